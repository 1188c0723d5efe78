/* Adj-RIB-Out with ADD-PATH: the peer has every path that may go to it, under identifiers that stay, and
 * loses each by its own withdrawal. UNDERLAY_SEED repeats the random run. */
#include <stdio.h>
#include <time.h>

#include "receiver.h"
#include "rib_fixture.h"

static const bool both[FAM_COUNT] = {true, true};
static const char P[] = "10.1.0.0/16";

struct out {
    struct fixture x;
    struct rib_peer *a, *b, *inner, *to; /* two eBGP, one iBGP; where it goes */
    struct receiver *v;
    struct adjout *o;
};

static void start(struct out *t, enum export_mode mode, bool ebgp)
{
    struct update_export x = receiver_export(ebgp);
    x.add_path[FAM_IPV4] = x.add_path[FAM_IPV6] = true;
    receiver_clear(t->v);
    CU_ASSERT_EQUAL(adjout_start(t->o, &x, mode, both), 0);
}

static void setup(struct out *t, bool ebgp, enum export_mode mode)
{
    *t = (struct out){0};
    fx_init(&t->x, 4);
    t->a = fx_peer(&t->x, 1, false);
    t->b = fx_peer(&t->x, 2, false);
    t->inner = fx_peer(&t->x, 3, true);
    t->to = fx_peer(&t->x, 4, !ebgp);
    for (unsigned i = 1; i <= 4; i++) { /* keeps their next hops watched */
        char text[PREFIX_STRLEN];
        snprintf(text, sizeof text, "192.0.2.%u/32", i);
        fx_update(&t->x, t->to, text, fx_attr(&t->x, i, 1));
        fx_nexthop(&t->x, i, true, 0);
    }
    fx_work(&t->x);
    t->v = receiver_new(ebgp);
    t->v->ctx.add_path[FAM_IPV4] = t->v->ctx.add_path[FAM_IPV6] = true;
    t->o = adjout_new(t->x.rib, t->to, NULL, NULL);
    start(t, mode, ebgp);
}

static void teardown(struct out *t)
{
    adjout_free(t->o);
    fx_work(&t->x);
    receiver_free(t->v);
    fx_free(&t->x);
}

static void put(struct out *t, struct rib_peer *peer, const char *prefix, uint32_t id, const struct attr *a)
{
    struct prefix p = fx_prefix(prefix);
    CU_ASSERT_EQUAL(rib_update(t->x.rib, addr_family(&p.addr), &p, peer, id, a), 0);
    attr_unref(t->x.attrs, a);
}

static void take(struct out *t, struct rib_peer *peer, const char *prefix, uint32_t id)
{
    struct prefix p = fx_prefix(prefix);
    CU_ASSERT_EQUAL(rib_withdraw(t->x.rib, addr_family(&p.addr), &p, peer, id), 0);
}

/* How many paths of the prefix the peer has; *id (may be NULL) of the one whose AS path starts with `as`. */
static unsigned peer_paths(const struct out *t, const char *prefix, uint32_t as, uint32_t *id)
{
    struct prefix p = fx_prefix(prefix);
    unsigned n = 0;
    if (id)
        *id = 0;
    for (unsigned i = 0; i < t->v->n; i++) {
        if (!prefix_equal(&t->v->has[i].prefix, &p))
            continue;
        n++;
        if (id && attr_path_count_as(t->v->has[i].attr, as))
            *id = t->v->has[i].id;
    }
    return n;
}

static void all_paths_go_and_each_is_withdrawn_by_its_id(void)
{
    struct out t;
    uint32_t first, second, third, again;
    setup(&t, true, EXPORT_ALL);
    put(&t, t.a, P, 0, fx_attr_med(&t.x, 1, 65001, 1, 0));
    put(&t, t.b, P, 5, fx_attr_med(&t.x, 2, 65002, 2, 0));
    put(&t, t.b, P, 6, fx_attr_med(&t.x, 2, 65003, 3, 0));
    put(&t, t.to, P, 0, fx_attr_med(&t.x, 4, 65004, 1, 0)); /* its own does not come back */
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(peer_paths(&t, P, 65001, &first), 3);
    peer_paths(&t, P, 65002, &second);
    peer_paths(&t, P, 65003, &third);
    CU_ASSERT(first && second && third && first != second && second != third && first != third);
    CU_ASSERT_EQUAL(adjout_count(t.o, FAM_IPV4), 3);
    CU_ASSERT(adjout_has_path(t.o, FAM_IPV4, fx_find(&t.x, P), first));
    CU_ASSERT_FALSE(adjout_has_path(t.o, FAM_IPV4, fx_find(&t.x, P), 0));
    /* Only what changes is said, under the same identifier. */
    unsigned announced = t.v->announced;
    put(&t, t.b, P, 6, fx_attr_med(&t.x, 2, 65003, 1, 7));
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->announced, announced + 1);
    CU_ASSERT_EQUAL(peer_paths(&t, P, 65003, &again), 3);
    CU_ASSERT_EQUAL(again, third);
    take(&t, t.a, P, 0); /* the best or not is all the same */
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(peer_paths(&t, P, 65001, &again), 2);
    CU_ASSERT_EQUAL(again, 0);
    rib_peer_down(t.x.rib, t.b);
    fx_work(&t.x);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(peer_paths(&t, P, 0, NULL), 0);
    CU_ASSERT_EQUAL(adjout_count(t.o, FAM_IPV4), 0);
    CU_ASSERT_EQUAL(t.v->spurious, 0);
    teardown(&t);
}

static void unusable_paths_are_withdrawn(void)
{
    struct out t;
    setup(&t, true, EXPORT_ALL);
    put(&t, t.a, P, 0, fx_attr_med(&t.x, 1, 65001, 1, 0));
    put(&t, t.b, P, 0, fx_attr_med(&t.x, 2, 65002, 2, 0));
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(peer_paths(&t, P, 0, NULL), 2);
    fx_nexthop(&t.x, 2, false, 0);
    fx_work(&t.x);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(peer_paths(&t, P, 0, NULL), 1);
    fx_nexthop(&t.x, 2, true, 0);
    fx_work(&t.x);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(peer_paths(&t, P, 0, NULL), 2);
    t.x.verdict = IMPORT_POLICY;
    rib_reimport(t.x.rib, t.b);
    fx_work(&t.x);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(peer_paths(&t, P, 0, NULL), 1);
    CU_ASSERT_EQUAL(t.v->spurious, 0);
    teardown(&t);
}

static void originated_only_sends_one_path_of_ours(void)
{
    struct out t;
    uint32_t id;
    setup(&t, true, EXPORT_ORIGINATED);
    put(&t, t.a, P, 0, fx_attr_med(&t.x, 1, 65001, 1, 0));
    fx_originate(&t.x, P, ORIGIN_KIND_STATIC);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(peer_paths(&t, P, EXPORT_AS, &id), 1);
    CU_ASSERT(id);
    fx_unoriginate(&t.x, P);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(peer_paths(&t, P, 0, NULL), 0);
    teardown(&t);
}

static void a_forced_resend_repeats_every_path(void)
{
    struct out t;
    setup(&t, true, EXPORT_ALL);
    put(&t, t.a, P, 0, fx_attr_med(&t.x, 1, 65001, 1, 0));
    put(&t, t.b, P, 0, fx_attr_med(&t.x, 2, 65002, 2, 0));
    receiver_drain(t.v, t.o);
    unsigned announced = t.v->announced;
    CU_ASSERT_EQUAL(adjout_resend(t.o, FAM_IPV4, EXPORT_ALL, true), 0);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->announced, announced + 2);
    CU_ASSERT_EQUAL(adjout_resend(t.o, FAM_IPV4, EXPORT_ORIGINATED, false), 0);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(peer_paths(&t, P, 0, NULL), 0);
    CU_ASSERT_EQUAL(adjout_resend(t.o, FAM_IPV4, EXPORT_ALL, false), 0);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(peer_paths(&t, P, 0, NULL), 2);
    teardown(&t);
}

/* What does not fit in a message is not sent, and what was there under its identifier goes. */
static void attributes_that_fit_in_no_message_cost_their_path_only(void)
{
    enum { N = 1000 };
    static uint8_t communities[N * 4];
    struct out t;
    setup(&t, true, EXPORT_ALL);
    for (unsigned i = 0; i < N; i++)
        communities[4 * i] = 1, communities[4 * i + 2] = (uint8_t)(i >> 8),
                        communities[4 * i + 3] = (uint8_t)i;
    put(&t, t.a, P, 1, fx_attr_med(&t.x, 1, 65001, 1, 0));
    put(&t, t.a, P, 2, fx_attr_med(&t.x, 1, 65002, 1, 0));
    receiver_drain(t.v, t.o);
    const struct attr *small = fx_attr_med(&t.x, 1, 65001, 1, 0);
    struct attr_build b;
    attr_to_build(t.x.attrs, small, &b);
    b.part[PART_COMMUNITY] = communities;
    b.part_len[PART_COMMUNITY] = sizeof communities;
    b.part[PART_LARGE] = communities;
    b.part_len[PART_LARGE] = 600;
    const struct attr *large = attr_intern(t.x.attrs, &b);
    attr_unref(t.x.attrs, small);
    put(&t, t.a, P, 1, large);
    put(&t, t.a, "10.2.0.0/16", 1, attr_ref(large));
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(peer_paths(&t, P, 0, NULL), 1);
    CU_ASSERT_EQUAL(peer_paths(&t, "10.2.0.0/16", 0, NULL), 0);
    CU_ASSERT_EQUAL(adjout_count(t.o, FAM_IPV4), 1);
    put(&t, t.a, P, 1, fx_attr_med(&t.x, 1, 65003, 1, 0));
    take(&t, t.a, "10.2.0.0/16", 1);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(peer_paths(&t, P, 0, NULL), 2);
    CU_ASSERT_EQUAL(t.v->spurious, 0);
    teardown(&t);
}

static void a_million_bytes_go_in_many_small_fills(void)
{
    enum { PREFIXES = 400, IDS = 8 };
    struct out t;
    setup(&t, false, EXPORT_ALL);
    for (unsigned i = 0; i < PREFIXES * IDS; i++) {
        char text[PREFIX_STRLEN];
        if (i % 2)
            snprintf(text, sizeof text, "2001:db8:%x::/48", i / IDS);
        else
            snprintf(text, sizeof text, "10.%u.%u.0/24", i / IDS >> 8, i / IDS & 255);
        put(&t, i % 3 ? t.a : t.b, text, 1 + i % IDS, fx_attr_med(&t.x, 1, 65001 + i % 5, 1 + i % 3, 0));
    }
    for (unsigned n = 0; receiver_fill(t.v, t.o, BGP_MAX_LEN + 50); n++)
        CU_ASSERT_FATAL(n < 10000);
    CU_ASSERT_EQUAL(t.v->n, PREFIXES * IDS);
    CU_ASSERT_EQUAL(adjout_count(t.o, FAM_IPV4) + adjout_count(t.o, FAM_IPV6), PREFIXES * IDS);
    CU_ASSERT(t.v->eor[FAM_IPV4] == 1 && t.v->eor[FAM_IPV6] == 1);
    CU_ASSERT(adjout_memory(t.o) > 0);
    adjout_stop(t.o);
    start(&t, EXPORT_ALL, false);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, PREFIXES * IDS);
    teardown(&t);
}

/* The random run: who said what under which identifier is a cube; 0 in it is nothing. */
enum { SOURCES = 3, PREFIXES = 12, IDS = 5, OPS = 20000 };

struct model {
    struct out t;
    unsigned said[SOURCES][PREFIXES][IDS]; /* MED, which nothing else has */
    bool originated[PREFIXES], reachable[SOURCES];
    enum export_mode mode;
    bool ebgp;
    unsigned next;
};

static unsigned pick(unsigned n)
{
    return (unsigned)random() % n;
}

static struct prefix prefix_of(unsigned i)
{
    char text[PREFIX_STRLEN];
    snprintf(text, sizeof text, i % 3 ? "10.%u.0.0/16" : "2001:db8:%u::/48", i);
    return fx_prefix(text);
}

static struct rib_peer *source_of(struct model *m, unsigned i)
{
    struct rib_peer *all[SOURCES] = {m->t.a, m->t.inner, m->t.to};
    return all[i];
}

static unsigned nexthop_of(unsigned source)
{
    static const unsigned hop[SOURCES] = {1, 3, 4};
    return hop[source];
}

static bool expected(const struct model *m, unsigned source)
{
    if (m->mode != EXPORT_ALL || source == 2 || !m->reachable[source])
        return false;
    return m->ebgp || source != 1;
}

static void compare(struct model *m)
{
    struct out *t = &m->t;
    unsigned n = 0;
    fx_work(&t->x);
    receiver_drain(t->v, t->o);
    CU_ASSERT_EQUAL(t->v->spurious, 0);
    for (unsigned p = 0; p < PREFIXES; p++) {
        struct prefix x = prefix_of(p);
        n += m->originated[p] && m->mode != EXPORT_NONE;
        for (unsigned s = 0; s < SOURCES; s++)
            for (unsigned k = 0; k < IDS; k++) {
                if (!m->said[s][p][k] || !expected(m, s))
                    continue;
                n++;
                unsigned found = 0; /* an eBGP peer is not told the MED: by the AS that stands for it */
                for (unsigned i = 0; i < t->v->n; i++)
                    found += prefix_equal(&t->v->has[i].prefix, &x) &&
                             attr_path_count_as(t->v->has[i].attr, m->said[s][p][k]);
                CU_ASSERT_EQUAL(found, 1);
            }
    }
    CU_ASSERT_EQUAL(t->v->n, n);
    CU_ASSERT_EQUAL(adjout_count(t->o, FAM_IPV4) + adjout_count(t->o, FAM_IPV6), n);
}

static void op_session(struct model *m, unsigned s)
{
    if (s == 2) {
        adjout_stop(m->t.o);
        start(&m->t, m->mode, m->ebgp);
        return;
    }
    memset(m->said[s], 0, sizeof m->said[s]);
    rib_peer_down(m->t.x.rib, source_of(m, s));
}

static void op_random(struct model *m)
{
    unsigned s = pick(SOURCES), p = pick(PREFIXES), k = pick(IDS), what = pick(100);
    struct rib *r = m->t.x.rib;
    struct prefix x = prefix_of(p);
    enum family f = addr_family(&x.addr);
    if (what < 50) {
        m->said[s][p][k] = 100000 + m->next++;
        const struct attr *a = fx_attr_med(&m->t.x, nexthop_of(s), m->said[s][p][k], 1 + pick(3), 0);
        CU_ASSERT_EQUAL(rib_update(r, f, &x, source_of(m, s), k, a), 0);
        attr_unref(m->t.x.attrs, a);
    } else if (what < 75) {
        m->said[s][p][k] = 0;
        CU_ASSERT_EQUAL(rib_withdraw(r, f, &x, source_of(m, s), k), 0);
    } else if (what < 82) {
        char text[PREFIX_STRLEN];
        m->originated[p] = pick(2);
        (m->originated[p] ? (void)fx_originate(&m->t.x, prefix_format(&x, text), ORIGIN_KIND_VIP)
                          : fx_unoriginate(&m->t.x, prefix_format(&x, text)));
    } else if (what < 94) {
        receiver_fill(m->t.v, m->t.o, BGP_MAX_LEN + pick(100));
    } else if (what < 96) {
        m->reachable[s] = pick(3);
        fx_nexthop(&m->t.x, nexthop_of(s), m->reachable[s], 0);
    } else if (what < 98) {
        m->mode = (enum export_mode)pick(3);
        for (f = 0; f < FAM_COUNT; f++)
            CU_ASSERT_EQUAL(adjout_resend(m->t.o, f, m->mode, pick(2)), 0);
    } else if (!pick(4)) {
        op_session(m, s);
    }
}

static void random_run(bool ebgp)
{
    static struct model m;
    m = (struct model){.mode = EXPORT_ALL, .reachable = {true, true, true}, .ebgp = ebgp};
    setup(&m.t, ebgp, EXPORT_ALL);
    for (unsigned i = 1; i <= 4; i++) { /* not part of the model */
        char text[PREFIX_STRLEN];
        snprintf(text, sizeof text, "192.0.2.%u/32", i);
        const struct attr *a = fx_attr(&m.t.x, i, 1);
        fx_update(&m.t.x, m.t.to, text, a);
    }
    for (unsigned i = 0; i < OPS; i++) {
        op_random(&m);
        if (i % 50 == 0)
            compare(&m);
    }
    compare(&m);
    teardown(&m.t);
}

static void the_peer_agrees_with_a_simple_model(void)
{
    const char *env = getenv("UNDERLAY_SEED");
    unsigned seed = env ? (unsigned)strtoul(env, NULL, 10) : (unsigned)time(NULL);
    printf("      seed %u\n", seed);
    srandom(seed);
    random_run(true);
    random_run(false);
}

static const struct unit_case cases[] = {
    UNIT(all_paths_go_and_each_is_withdrawn_by_its_id),
    UNIT(unusable_paths_are_withdrawn),
    UNIT(originated_only_sends_one_path_of_ours),
    UNIT(a_forced_resend_repeats_every_path),
    UNIT(attributes_that_fit_in_no_message_cost_their_path_only),
    UNIT(a_million_bytes_go_in_many_small_fills),
    UNIT(the_peer_agrees_with_a_simple_model),
};
UNIT_MAIN("adjout_paths", cases)
