/* From octets to routes: random UPDATEs of several peers, good ones and ones with a fault whose consequence
 * RFC 7606 fixes, go through the decoder into the RIB, with sessions that end, restart gracefully and refresh
 * in between. Beside it a model that shares no code with either: the messages are put together here octet by
 * octet, and the model keeps a plain list of who said what and picks the best by going through the rules of
 * RFC 4271 9.1.2 one after the other. Adj-RIB-In and Loc-RIB must agree. UNDERLAY_SEED makes another
 * sequence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rib_fixture.h"
#include "wire/update.h"

enum { PEERS = 4, PREFIXES = 12, IDS = 3, HOPS = 3, OPS = 30000, ADD_PATH = 3 };

/* What a peer is to us. Two are of one AS, so that their MEDs compare. */
static const struct kind {
    bool ebgp, as4, add_path;
    uint32_t as;
} kinds[PEERS] = {{true, true, false, 65001},
                  {true, false, false, 65002},
                  {false, true, false, 64512},
                  {true, true, true, 65001}};

struct said {
    bool present, stale;
    unsigned origin, hops, med, local_pref, nexthop, path_len, community;
    uint32_t first_as;
};

static struct model {
    struct fixture x;
    struct rib_peer *peer[PEERS];
    struct update_ctx ctx[PEERS];
    const struct attr *keep[FAM_COUNT][HOPS]; /* so that next hops stay watched */
    struct said said[PEERS][PREFIXES][IDS];
    bool reachable[HOPS];
    unsigned metric[HOPS];
    struct prefix prefix[PREFIXES];
    unsigned faults[UPDATE_RESET + 1], bests;
} m;

static unsigned pick(unsigned n)
{
    return (unsigned)random() % n;
}

static enum family family_at(unsigned i)
{
    return i % 2 ? FAM_IPV6 : FAM_IPV4;
}

/* Octets */

struct octets {
    uint8_t b[1024];
    unsigned n;
};

static void put(struct octets *o, unsigned bytes, uint32_t v)
{
    while (bytes--)
        o->b[o->n++] = (uint8_t)((bytes < 4 ? v >> 8 * bytes : 0));
}

static void put_octets(struct octets *o, const struct octets *more)
{
    memcpy(o->b + o->n, more->b, more->n);
    o->n += more->n;
}

static void put_attribute(struct octets *o, unsigned flags, unsigned type, const struct octets *value)
{
    put(o, 1, flags);
    put(o, 1, type);
    put(o, 1, value->n);
    put_octets(o, value);
}

static void put_number(struct octets *o, unsigned flags, unsigned type, unsigned bytes, uint32_t v)
{
    struct octets value = {.n = 0};
    put(&value, bytes, v);
    put_attribute(o, flags, type, &value);
}

static void put_route(struct octets *o, unsigned peer, unsigned prefix, unsigned id)
{
    const struct prefix *p = &m.prefix[prefix];
    if (kinds[peer].add_path)
        put(o, 4, 100 + id);
    put(o, 1, p->len);
    for (unsigned i = 0; i < (p->len + 7u) / 8; i++)
        put(o, 1, p->addr.b[i]);
}

static void put_path(struct octets *o, unsigned peer, const struct said *s)
{
    struct octets value = {.n = 0};
    unsigned size = kinds[peer].as4 ? 4 : 2;
    put(&value, 1, 2);
    put(&value, 1, s->hops);
    for (unsigned i = 0; i < s->hops; i++)
        put(&value, size, i ? 64600 + i : s->first_as);
    if (s->path_len > s->hops) { /* and a set, which counts one */
        put(&value, 1, 1);
        put(&value, 1, 2);
        put(&value, size, 64700);
        put(&value, size, 64701);
    }
    put_attribute(o, 0x40, 2, &value);
}

static struct ip_addr hop(enum family f, unsigned n)
{
    struct ip_addr a;
    char text[32];
    snprintf(text, sizeof text, f == FAM_IPV4 ? "10.0.0.%u" : "fd00::%u", n + 1);
    addr_parse(text, &a);
    return a;
}

/* Faults and what follows from them: RFC 7606 section 7, RFC 4271 6.3 where that one leaves it. */
enum fault {
    NO_FAULT,
    NO_ORIGIN,
    BAD_ORIGIN,
    ORIGIN_FLAGS,
    NO_PATH,
    PATH_CUT,
    PATH_NOT_THEIRS,
    SHORT_MED,
    ODD_COMMUNITIES,
    LONG_ATOMIC,
    SHORT_AGGREGATOR,
    TWICE,
    UNKNOWN_OPTIONAL,
    UNKNOWN_WELL_KNOWN,
    LONG_PREFIX,
    N_FAULTS
};
static const enum update_action follows[N_FAULTS] = {
    [NO_FAULT] = UPDATE_OK,
    [NO_ORIGIN] = UPDATE_TREAT_AS_WITHDRAW,
    [BAD_ORIGIN] = UPDATE_TREAT_AS_WITHDRAW,
    [ORIGIN_FLAGS] = UPDATE_TREAT_AS_WITHDRAW,
    [NO_PATH] = UPDATE_TREAT_AS_WITHDRAW,
    [PATH_CUT] = UPDATE_TREAT_AS_WITHDRAW,
    [PATH_NOT_THEIRS] = UPDATE_TREAT_AS_WITHDRAW,
    [SHORT_MED] = UPDATE_TREAT_AS_WITHDRAW,
    [ODD_COMMUNITIES] = UPDATE_TREAT_AS_WITHDRAW,
    [LONG_ATOMIC] = UPDATE_ATTR_DISCARD,
    [SHORT_AGGREGATOR] = UPDATE_ATTR_DISCARD,
    [TWICE] = UPDATE_ATTR_DISCARD,
    [UNKNOWN_OPTIONAL] = UPDATE_OK,
    [UNKNOWN_WELL_KNOWN] = UPDATE_RESET,
    [LONG_PREFIX] = UPDATE_RESET,
};

static void put_faulty_path(struct octets *o, unsigned peer, const struct said *s, enum fault fault)
{
    struct said changed = *s;
    struct octets cut = {.n = 0};
    if (fault == NO_PATH)
        return;
    if (fault == PATH_NOT_THEIRS)
        changed.first_as = 65099;
    put_path(&cut, peer, &changed);
    if (fault == PATH_CUT) { /* the last octet is missing */
        cut.n--;
        cut.b[2]--;
    }
    put_octets(o, &cut);
}

static struct octets attributes(unsigned peer, enum family f, const struct said *s, enum fault fault)
{
    struct octets o = {.n = 0};
    struct ip_addr nh = hop(f, s->nexthop);
    if (fault != NO_ORIGIN)
        put_number(&o, fault == ORIGIN_FLAGS ? 0xc0 : 0x40, 1, 1, fault == BAD_ORIGIN ? 3 : s->origin);
    put_faulty_path(&o, peer, s, fault);
    if (f == FAM_IPV4)
        put_number(&o, 0x40, 3, 4, 0x0a000000u | nh.b[3]);
    if (s->med || fault == SHORT_MED)
        put_number(&o, 0x80, 4, fault == SHORT_MED ? 3 : 4, s->med);
    if (!kinds[peer].ebgp)
        put_number(&o, 0x40, 5, 4, s->local_pref);
    if (fault == LONG_ATOMIC)
        put_number(&o, 0x40, 6, 1, 0);
    if (fault == SHORT_AGGREGATOR)
        put_number(&o, 0xc0, 7, 5, 0);
    if (s->community || fault == ODD_COMMUNITIES)
        put_number(&o, 0xc0, 8, fault == ODD_COMMUNITIES ? 3 : 4, s->community);
    if (fault == TWICE)
        put_number(&o, 0x40, 1, 1, (s->origin + 1) % 3);
    if (fault == UNKNOWN_OPTIONAL)
        put_number(&o, 0xc0, 77, 4, 7);
    if (fault == UNKNOWN_WELL_KNOWN)
        put_number(&o, 0x40, 78, 4, 7);
    return o;
}

static struct octets update(enum family f, const struct said *s, const struct octets *withdrawn,
                            const struct octets *reach, struct octets attrs)
{
    struct octets o = {.n = 0}, value = {.n = 0};
    struct ip_addr nh = hop(f, s->nexthop);
    if (f == FAM_IPV6 && reach->n) {
        put(&value, 4, 0x00020110);
        for (int i = 0; i < 16; i++)
            put(&value, 1, nh.b[i]);
        put(&value, 1, 0);
        put_octets(&value, reach);
        put_attribute(&attrs, 0x80, 14, &value);
    }
    if (f == FAM_IPV6 && withdrawn->n) {
        value.n = 0;
        put(&value, 3, 0x000201);
        put_octets(&value, withdrawn);
        put_attribute(&attrs, 0x80, 15, &value);
    }
    put(&o, 2, f == FAM_IPV4 ? withdrawn->n : 0);
    if (f == FAM_IPV4)
        put_octets(&o, withdrawn);
    put(&o, 2, attrs.n);
    put_octets(&o, &attrs);
    if (f == FAM_IPV4)
        put_octets(&o, reach);
    return o;
}

/* Sessions */

static void session_ends(unsigned peer, bool graceful)
{
    for (enum family f = 0; f < FAM_COUNT; f++)
        (graceful ? rib_peer_stale : rib_peer_stale_end)(m.x.rib, m.peer[peer], f);
    rib_peer_down(m.x.rib, m.peer[peer]);
    rib_peer_up(m.x.rib, m.peer[peer]);
    for (unsigned i = 0; i < PREFIXES; i++)
        for (unsigned id = 0; id < IDS; id++) {
            struct said *s = &m.said[peer][i][id];
            s->present = s->present && graceful && !s->stale; /* twice stale is too old */
            s->stale = s->present;
        }
}

static void end_of_rib(unsigned peer, enum family f)
{
    rib_peer_stale_end(m.x.rib, m.peer[peer], f);
    for (unsigned i = 0; i < PREFIXES; i++)
        for (unsigned id = 0; id < IDS; id++) {
            struct said *s = &m.said[peer][i][id];
            s->present = s->present && (family_at(i) != f || !s->stale);
        }
}

/* As a session applies it: what is withdrawn first. */
static void apply(unsigned peer, const struct update *u)
{
    for (enum family f = 0; f < FAM_COUNT; f++)
        for (int reach = 0; reach < 2; reach++)
            for (int k = 0; k < 2; k++) {
                struct nlri_span s = reach ? u->reach[f][k] : u->withdrawn[f][k];
                const struct attr *a = reach ? u->attr[f][k] : NULL;
                struct prefix p;
                uint32_t id;
                while (nlri_next_path(&s, f, m.ctx[peer].add_path[f], &p, &id))
                    CU_ASSERT_EQUAL(a ? rib_update(m.x.rib, f, &p, m.peer[peer], id, a)
                                      : rib_withdraw(m.x.rib, f, &p, m.peer[peer], id),
                                    0);
            }
}

static void deliver(unsigned peer, const struct octets *o, enum update_action expected)
{
    struct update u;
    uint8_t *body = malloc(o->n);
    memcpy(body, o->b, o->n);
    CU_ASSERT_EQUAL_FATAL(update_decode(&m.ctx[peer], body, o->n, &u), 0);
    CU_ASSERT_EQUAL_FATAL(u.action, expected);
    m.faults[u.action]++;
    if (u.action == UPDATE_RESET)
        session_ends(peer, false);
    else
        apply(peer, &u);
    update_release(&m.ctx[peer], &u);
    free(body);
}

static struct said any_route(unsigned peer)
{
    const struct kind *k = &kinds[peer];
    struct said s = {.present = true,
                     .origin = pick(4) ? 0 : pick(3),
                     .hops = 1 + !pick(4),
                     .med = pick(3) ? 0 : pick(3),
                     .local_pref = k->ebgp ? 100 : 99 + pick(3),
                     .nexthop = pick(HOPS),
                     .community = pick(8)   ? 0
                                  : pick(2) ? 0xffff0006
                                            : 0xfde90007,
                     .first_as = k->ebgp ? k->as : 65001 + pick(2)};
    s.path_len = s.hops + !pick(6);
    return s;
}

static enum fault any_fault(unsigned peer, bool announces)
{
    enum fault f = pick(3) || !announces ? NO_FAULT : (enum fault)pick(N_FAULTS);
    /* Fewer resets, or nothing is left to compare. A length beyond the family's is put in by the caller. */
    if (follows[f] == UPDATE_RESET && pick(4))
        f = NO_FAULT;
    return f == PATH_NOT_THEIRS && !kinds[peer].ebgp ? NO_FAULT : f;
}

static void op_update(unsigned peer)
{
    struct octets withdrawn = {.n = 0}, reach = {.n = 0};
    struct said s = any_route(peer);
    enum family f = (enum family)pick(2);
    unsigned n_reach = pick(4), n_withdrawn = pick(3), which[8][2];
    enum fault fault = any_fault(peer, n_reach);
    enum update_action action = follows[fault];
    if (!n_reach && !n_withdrawn)
        return; /* an End-of-RIB */
    for (unsigned i = 0; i < n_withdrawn + n_reach; i++) {
        which[i][0] = 2 * pick(PREFIXES / 2) + (f == FAM_IPV6);
        which[i][1] = kinds[peer].add_path ? pick(IDS) : 0;
        put_route(i < n_withdrawn ? &withdrawn : &reach, peer, which[i][0], which[i][1]);
    }
    if (fault == LONG_PREFIX) {
        put_route(&reach, peer, f == FAM_IPV6, 0);
        reach.b[reach.n - 1 - (m.prefix[f == FAM_IPV6].len + 7u) / 8] = 129;
    }
    struct octets none = {.n = 0};
    struct octets o = update(f, &s, &withdrawn, &reach, n_reach ? attributes(peer, f, &s, fault) : none);
    if (action != UPDATE_RESET)
        for (unsigned i = 0; i < n_withdrawn + n_reach; i++) {
            struct said *there = &m.said[peer][which[i][0]][which[i][1]];
            *there = s;
            there->present = i >= n_withdrawn && action < UPDATE_TREAT_AS_WITHDRAW;
        }
    deliver(peer, &o, action);
}

/* The best, by the rules in their order. Each leaves those with the lowest value of something. */
struct contest {
    const struct said *s[PEERS * IDS];
    unsigned peer[PEERS * IDS], id[PEERS * IDS], n;
};

static void keep_lowest(struct contest *c, unsigned (*value)(const struct contest *c, unsigned i))
{
    unsigned least = UINT32_MAX, n = 0;
    for (unsigned i = 0; i < c->n; i++)
        least = value(c, i) < least ? value(c, i) : least;
    for (unsigned i = 0; i < c->n; i++)
        if (value(c, i) == least) {
            c->s[n] = c->s[i];
            c->peer[n] = c->peer[i];
            c->id[n++] = c->id[i];
        }
    c->n = n;
}
static unsigned by_long_lived(const struct contest *c, unsigned i)
{
    return c->s[i]->community == 0xffff0006;
}
static unsigned by_local_pref(const struct contest *c, unsigned i)
{
    return 1000 - c->s[i]->local_pref;
}
static unsigned by_path(const struct contest *c, unsigned i)
{
    return c->s[i]->path_len;
}
static unsigned by_origin(const struct contest *c, unsigned i)
{
    return c->s[i]->origin;
}
static unsigned by_ebgp(const struct contest *c, unsigned i)
{
    return !kinds[c->peer[i]].ebgp;
}
static unsigned by_metric(const struct contest *c, unsigned i)
{
    return m.metric[c->s[i]->nexthop];
}
static unsigned by_router_id(const struct contest *c, unsigned i)
{
    return c->peer[i];
}
static unsigned by_path_id(const struct contest *c, unsigned i)
{
    return c->id[i];
}

/* Not transitive between neighbour ASes: whoever is worse than another one of the same AS goes. */
static void keep_lowest_med(struct contest *c)
{
    struct contest all = *c;
    c->n = 0;
    for (unsigned i = 0; i < all.n; i++) {
        bool beaten = false;
        for (unsigned k = 0; k < all.n; k++)
            beaten |= all.s[k]->first_as == all.s[i]->first_as && all.s[k]->med < all.s[i]->med;
        if (!beaten) {
            c->s[c->n] = all.s[i];
            c->peer[c->n] = all.peer[i];
            c->id[c->n++] = all.id[i];
        }
    }
}

static struct contest model_best(unsigned prefix)
{
    struct contest c = {.n = 0};
    for (unsigned p = 0; p < PEERS; p++)
        for (unsigned id = 0; id < IDS; id++)
            if (m.said[p][prefix][id].present && m.reachable[m.said[p][prefix][id].nexthop]) {
                c.s[c.n] = &m.said[p][prefix][id];
                c.peer[c.n] = p;
                c.id[c.n++] = id;
            }
    keep_lowest(&c, by_long_lived);
    keep_lowest(&c, by_local_pref);
    keep_lowest(&c, by_path);
    keep_lowest(&c, by_origin);
    keep_lowest_med(&c);
    keep_lowest(&c, by_ebgp);
    keep_lowest(&c, by_metric);
    keep_lowest(&c, by_router_id);
    keep_lowest(&c, by_path_id);
    return c;
}

static void expect_path(const struct said *s, const struct rib_path *p, enum family f)
{
    const struct attr *a = rib_path_attr(m.x.rib, p);
    char path[128];
    struct ip_addr nh = hop(f, s->nexthop);
    CU_ASSERT_EQUAL(a->origin, s->origin);
    CU_ASSERT_EQUAL(a->med, s->med);
    CU_ASSERT_EQUAL(a->flags & ATTR_HAS_LOCAL_PREF ? a->local_pref : 100, s->local_pref);
    CU_ASSERT_EQUAL(a->path_len, s->path_len);
    CU_ASSERT_TRUE(addr_equal(&nexthop_by_id(m.x.nexthops, a->nexthop)->addr, &nh));
    CU_ASSERT_TRUE(!s->community || attr_has_community(a, s->community));
    attr_format_as_path(a, path, sizeof path);
    CU_ASSERT_EQUAL(strtoul(path, NULL, 10), s->first_as);
    CU_ASSERT_EQUAL(!strstr(path, "{64700,64701}"), s->path_len == s->hops);
}

/* All paths of a prefix, in both directions; then the best. */
static void check_prefix(unsigned prefix)
{
    enum family f = family_at(prefix);
    uint32_t index = rib_find(m.x.rib, f, &m.prefix[prefix]);
    const struct rib_entry *e = index ? rib_entry(m.x.rib, f, index) : NULL;
    unsigned found = 0, expected = 0;
    for (unsigned p = 0; p < PEERS; p++)
        for (unsigned id = 0; id < IDS; id++)
            expected += m.said[p][prefix][id].present;
    for (uint32_t i = e ? e->paths : 0; i; found++) {
        const struct rib_path *path = rib_path(m.x.rib, i);
        unsigned peer = 0, id = rib_path_id(m.x.rib, i);
        while (peer < PEERS && m.peer[peer]->number != path->peer)
            peer++;
        CU_ASSERT_FATAL(peer < PEERS);
        id = kinds[peer].add_path ? id - 100 : id;
        CU_ASSERT_TRUE_FATAL(id < IDS && m.said[peer][prefix][id].present);
        CU_ASSERT_EQUAL(rib_path_is_stale(m.x.rib, f, path), m.said[peer][prefix][id].stale);
        expect_path(&m.said[peer][prefix][id], path, f);
        i = path->next;
    }
    CU_ASSERT_EQUAL(found, expected);
    struct contest c = model_best(prefix);
    const struct rib_path *best = e ? rib_best(m.x.rib, e) : NULL;
    CU_ASSERT_EQUAL_FATAL(best != NULL, c.n == 1);
    if (!best)
        return;
    m.bests++;
    CU_ASSERT_EQUAL(best->peer, m.peer[c.peer[0]]->number);
    CU_ASSERT_EQUAL(rib_path_id(m.x.rib, e->paths), kinds[c.peer[0]].add_path ? 100 + c.id[0] : 0);
}

static void set_hop(unsigned n, bool reachable, unsigned metric)
{
    m.reachable[n] = reachable;
    m.metric[n] = metric;
    for (enum family f = 0; f < FAM_COUNT; f++) {
        struct ip_addr a = hop(f, n);
        struct fm_nexthop_state s = {
            .nexthop.af = a.af, .flags = reachable ? FM_NH_REACHABLE : 0, .metric = metric, .ifindex = 1};
        memcpy(s.nexthop.addr, a.b, sizeof s.nexthop.addr);
        uint32_t id = nexthop_set_state(m.x.nexthops, &s);
        if (id)
            rib_nexthop_changed(m.x.rib, id);
    }
}

static void set_up(void)
{
    memset(&m, 0, sizeof m);
    fx_init(&m.x, 1);
    for (unsigned i = 0; i < PEERS; i++) {
        m.peer[i] = fx_peer(&m.x, i + 1, !kinds[i].ebgp);
        m.ctx[i] = (struct update_ctx){.attrs = m.x.attrs,
                                       .cache = i % 2 ? update_cache_new(16) : NULL,
                                       .local_as = 64512,
                                       .peer_as = kinds[i].as,
                                       .scope = 1,
                                       .ebgp = kinds[i].ebgp,
                                       .as4 = kinds[i].as4,
                                       .family = {true, true},
                                       .add_path = {kinds[i].add_path, kinds[i].add_path}};
    }
    for (unsigned i = 0; i < PREFIXES; i++) {
        char text[PREFIX_STRLEN];
        snprintf(text, sizeof text, i % 2 ? "2001:db8::/%u" : "10.0.0.0/%u", (i % 2 ? 33 : 9) + 2 * i);
        m.prefix[i] = fx_prefix(text);
    }
    for (unsigned n = 0; n < HOPS; n++) {
        for (enum family f = 0; f < FAM_COUNT; f++) {
            struct attr_build b = {.nexthop = hop(f, n)};
            m.keep[f][n] = attr_intern(m.x.attrs, &b);
        }
        set_hop(n, true, 0);
    }
}

static void tear_down(void)
{
    for (unsigned i = 0; i < PEERS; i++)
        update_cache_free(m.ctx[i].cache, m.x.attrs);
    for (unsigned n = 0; n < HOPS; n++)
        for (enum family f = 0; f < FAM_COUNT; f++)
            attr_unref(m.x.attrs, m.keep[f][n]);
    for (unsigned i = 0; i < PEERS; i++)
        rib_peer_remove(m.x.rib, m.peer[i]);
    fx_work(&m.x);
    fx_free(&m.x);
}

static void one_op(void)
{
    unsigned peer = pick(PEERS);
    switch (pick(60)) {
    case 0:
        session_ends(peer, pick(2));
        break;
    case 1:
    case 2:
        end_of_rib(peer, (enum family)pick(2));
        break;
    case 3:
        set_hop(pick(HOPS), pick(4), pick(2));
        break;
    default:
        op_update(peer);
    }
}

static void what_updates_say_is_what_the_rib_has(void)
{
    const char *seed = getenv("UNDERLAY_SEED");
    unsigned number = seed ? (unsigned)strtoul(seed, NULL, 0) : 4271, failures = CU_get_number_of_failures();
    srandom(number);
    set_up();
    for (unsigned i = 0; i < OPS; i++) {
        one_op();
        if (i % 7)
            continue;
        fx_work(&m.x);
        for (unsigned p = 0; p < PREFIXES; p++)
            check_prefix(p);
        if (CU_get_number_of_failures() != failures) {
            printf("      UNDERLAY_SEED=%u operation %u\n", number, i);
            break;
        }
    }
    for (int a = 0; a <= UPDATE_RESET; a++)
        CU_ASSERT_TRUE(m.faults[a] > OPS / 300); /* or faults are too rare, or too many */
    CU_ASSERT_TRUE(m.bests > OPS / 4);
    tear_down();
}

static const struct unit_case cases[] = {
    UNIT(what_updates_say_is_what_the_rib_has),
};
UNIT_MAIN("rib_model", cases)
