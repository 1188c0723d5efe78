/* Random operations on the whole of the RIB beside a reference model that knows no indices, bits or
 * generations: a plain matrix of who said what. After a quiet moment best path, multipaths, counters, what
 * the kernel would hold (next hops and backup) and what each peer would have must agree, and at any moment no
 * next hop may be dead that somebody gives a path over. UNDERLAY_SEED repeats a run. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "receiver.h"
#include "rib_fixture.h"

enum {
    PEERS = 5,
    PREFIXES = 24,
    OPS = 40000,
    CHECK_EVERY = 40,
    RUNS = 20,
    FIRST_IBGP = 4,
    RESULTS = 256,
    GROUPS = 4096
};

struct said { /* of one peer about one prefix */
    bool present, stale;
    unsigned hops, as, med, nexthop;
};

struct result {
    enum family f;
    uint32_t index;
    int op, error;
};

struct model {
    struct said said[PEERS][PREFIXES];
    bool denied[PREFIXES];
    int originated[PREFIXES]; /* kind, -1 none */
    bool reachable[PEERS];
    uint32_t metric[PEERS];
    struct rib_config config;

    struct fixture x;
    struct prefix prefix[PREFIXES];
    const struct attr *keep[PEERS]; /* so that next hops stay watched */
    struct rib_peer *peer[PEERS];
    struct adjout *out[PEERS];
    enum export_mode mode[PEERS];
    struct receiver *v[PEERS];
    struct rib_sub fib;
    int kernel[PREFIXES]; /* number of the group, -1 unreachable, 0 nothing */
    int group[GROUPS];    /* by number: bits of next hops, above them those of backups; 0: not defined */
    bool shares;          /* peers name the next hops of others too */
    unsigned deaths;
    struct result result[RESULTS];
    unsigned n_results;
};

static const bool both[FAM_COUNT] = {true, true};

static unsigned pick(unsigned n)
{
    return (unsigned)random() % n;
}

static bool is_ibgp(unsigned peer)
{
    return peer >= FIRST_IBGP;
}

static int prefix_number(const struct model *m, const struct prefix *p)
{
    for (int i = 0; i < PREFIXES; i++)
        if (prefix_equal(&m->prefix[i], p))
            return i;
    return -1;
}

static int judge(void *arg, enum family f, const struct prefix *p, const struct attr **a,
                 const struct rib_peer *peer, bool judged)
{
    struct model *m = arg;
    (void)f, (void)a, (void)peer, (void)judged;
    return m->denied[prefix_number(m, p)] ? IMPORT_POLICY : IMPORT_OK;
}

static enum family family_at(const struct model *m, unsigned i)
{
    return addr_family(&m->prefix[i].addr);
}

/* The model's decision: keeps from `in` those with the lowest value. */
static unsigned lowest(const unsigned value[PEERS], unsigned in)
{
    unsigned least = UINT32_MAX, out = 0;
    for (unsigned i = 0; i < PEERS; i++)
        if (in >> i & 1 && value[i] < least)
            least = value[i];
    for (unsigned i = 0; i < PEERS; i++)
        if (in >> i & 1 && value[i] == least)
            out |= 1u << i;
    return out;
}

/* Best peer or -1, and the peers whose paths are used, of those over other next hops than `without`. */
static int model_best_without(const struct model *m, unsigned prefix, unsigned without, unsigned *used)
{
    unsigned in = 0, hops[PEERS], type[PEERS], metric[PEERS], by_med = 0;
    for (unsigned i = 0; i < PEERS; i++) {
        const struct said *s = &m->said[i][prefix];
        if (s->present && !m->denied[prefix] && m->reachable[s->nexthop] && !(without >> s->nexthop & 1))
            in |= 1u << i;
        hops[i] = s->hops;
        type[i] = is_ibgp(i);
        metric[i] = m->metric[s->nexthop];
    }
    in = lowest(hops, in);
    for (unsigned i = 0; i < PEERS; i++) {
        unsigned med[PEERS], same_as = 0;
        for (unsigned k = 0; k < PEERS; k++) {
            med[k] = m->said[k][prefix].med;
            if (in >> k & 1 && m->said[k][prefix].as == m->said[i][prefix].as)
                same_as |= 1u << k;
        }
        if (in >> i & 1)
            by_med |= lowest(med, same_as);
    }
    in = lowest(metric, lowest(type, by_med));
    *used = 0;
    int best = -1;
    unsigned width = m->config.multipath;
    for (unsigned i = 0; i < PEERS; i++) { /* router ids go up with the number */
        if (!(in >> i & 1) || !width)
            continue;
        best = best < 0 ? (int)i : best;
        *used |= 1u << i;
        width--;
    }
    return best;
}

static int model_best(const struct model *m, unsigned prefix, unsigned *used)
{
    return model_best_without(m, prefix, 0, used);
}

/* As m->group. */
static int model_kernel(const struct model *m, unsigned prefix)
{
    unsigned used, unused, nexthops = 0;
    if (m->originated[prefix] >= 0)
        return m->originated[prefix] == ORIGIN_KIND_POD_CIDR ? -1 : 0;
    if (model_best(m, prefix, &used) < 0)
        return 0;
    for (unsigned i = 0; i < PEERS; i++)
        if (used >> i & 1)
            nexthops |= 1u << m->said[i][prefix].nexthop;
    int backup = model_best_without(m, prefix, nexthops, &unused);
    return (int)(nexthops | (backup < 0 ? 0 : 1u << (PEERS + m->said[backup][prefix].nexthop)));
}

static int kernel_has(const struct model *m, unsigned prefix)
{
    int has = m->kernel[prefix];
    return has > 0 ? m->group[has] : has;
}

static void on_group_set(void *arg, uint32_t group, const struct nhgroup_member *members, unsigned n,
                         unsigned n_backups)
{
    struct model *m = arg;
    CU_ASSERT_FATAL(group < GROUPS && n_backups <= 1);
    m->group[group] = 0;
    for (unsigned i = 0; i < n + n_backups; i++) {
        const struct nexthop *nh = nexthop_by_id(m->x.nexthops, members[i].nexthop);
        m->group[group] |= 1 << (nh->addr.b[3] - 1 + (i < n ? 0 : PEERS));
    }
}

static void on_group_del(void *arg, uint32_t group)
{
    ((struct model *)arg)->group[group] = 0;
}

static void on_dead(void *arg, const struct nexthop *const *nh, unsigned n)
{
    (void)nh;
    ((struct model *)arg)->deaths += n;
}

static void fib_answer(struct model *m)
{
    struct result r = m->result[0];
    memmove(m->result, m->result + 1, --m->n_results * sizeof r);
    rib_fib_result(m->x.rib, r.f, r.index, r.op, r.error);
}

static void fib_put(struct model *m, enum family f, uint32_t index, int op, bool answer)
{
    if (!answer)
        return;
    if (m->n_results == RESULTS)
        fib_answer(m);
    m->result[m->n_results++] =
        (struct result){f, index, op, op < FM_ROUTE_DEL && pick(4) == 0 ? -EEXIST : 0};
    if (m->result[m->n_results - 1].error && pick(2)) { /* and then it goes in after all */
        if (m->n_results == RESULTS)
            fib_answer(m);
        m->result[m->n_results++] = (struct result){f, index, op, 0};
    }
}

/* One dirty index, as the FIB client does it. */
static bool fib_serve(struct model *m, enum family f)
{
    struct rib *r = m->x.rib;
    uint32_t index = dirty_next(&m->fib.dirty[f], 0), group;
    if (index == DIRTY_NONE)
        return false;
    dirty_clear(&m->fib.dirty[f], index);
    struct rib_entry *e = rib_entry(r, f, index);
    struct prefix p;
    CU_ASSERT_FATAL(rib_entry_used(r, f, index));
    rib_entry_prefix(r, f, e, &p);
    int *kernel = &m->kernel[prefix_number(m, &p)];
    bool has = e->fib != FIB_NONE, unreachable = rib_fib_told(r, f, index) == FM_ROUTE_UNREACHABLE;
    int op = rib_fib_desired(r, f, index, &group);
    if (has && rib_fib_is_current(r, f, index, op, group)) {
        if (group)
            nhgroup_put(m->x.nexthops, group);
        return true;
    }
    if (has && (!op || unreachable != (op == FM_ROUTE_UNREACHABLE)))
        fib_put(m, f, index, unreachable ? FM_ROUTE_DEL_UNREACHABLE : FM_ROUTE_DEL, !op);
    if (op)
        fib_put(m, f, index, op, true);
    if (op || has)
        rib_fib_sent(r, f, index, op, group);
    else
        rib_release(r, f, index);
    *kernel = op == FM_ROUTE_UNREACHABLE ? -1 : (int)group;
    return true;
}

static void out_start(struct model *m, unsigned i)
{
    struct update_export x = receiver_export(!is_ibgp(i));
    receiver_clear(m->v[i]);
    CU_ASSERT_EQUAL(adjout_start(m->out[i], &x, m->mode[i], both), 0);
}

static void model_init(struct model *m)
{
    static const struct rib_hooks hooks = {.import = judge};
    static const struct nexthop_ops ops = {
        .group_set = on_group_set, .group_del = on_group_del, .dead = on_dead};
    m->shares = pick(2);
    m->config = (struct rib_config){.multipath = 3, .as_path_relax = true, .default_local_pref = 100};
    m->x.nexthops = nexthop_table_new(&ops, m);
    m->x.attrs = attr_table_new(m->x.nexthops);
    m->x.rib = rib_new(&m->config, &hooks, m, m->x.attrs, m->x.nexthops);
    m->fib = (struct rib_sub){.family = {true, true}, .forwarding = true};
    rib_subscribe(m->x.rib, &m->fib);
    for (unsigned i = 0; i < PREFIXES; i++) {
        char text[PREFIX_STRLEN];
        if (i % 3)
            snprintf(text, sizeof text, "10.0.0.0/%u", 8 + i);
        else
            snprintf(text, sizeof text, "2001:db8:%u::/48", i);
        m->prefix[i] = fx_prefix(text);
        m->originated[i] = -1;
    }
    for (unsigned i = 0; i < PEERS; i++) {
        m->peer[i] = fx_peer(&m->x, i + 1, is_ibgp(i));
        m->keep[i] = fx_attr(&m->x, i + 1, 9);
        m->v[i] = receiver_new(!is_ibgp(i));
        m->out[i] = adjout_new(m->x.rib, m->peer[i], NULL, NULL);
        m->mode[i] = i % 2 ? EXPORT_ALL : EXPORT_ORIGINATED;
        out_start(m, i);
    }
}

static void op_update(struct model *m, unsigned peer, unsigned prefix)
{
    struct said s = {true,
                     false,
                     1 + !pick(6),
                     65001 + pick(2),
                     pick(8) ? 0 : pick(3),
                     m->shares && !pick(4) ? pick(PEERS) : peer};
    m->said[peer][prefix] = s;
    const struct attr *a = fx_attr_med(&m->x, s.nexthop + 1, s.as, s.hops, s.med);
    CU_ASSERT_EQUAL(rib_update(m->x.rib, family_at(m, prefix), &m->prefix[prefix], m->peer[peer], 0, a), 0);
    attr_unref(m->x.attrs, a);
}

static void op_withdraw(struct model *m, unsigned peer, unsigned prefix)
{
    m->said[peer][prefix].present = false;
    CU_ASSERT_EQUAL(rib_withdraw(m->x.rib, family_at(m, prefix), &m->prefix[prefix], m->peer[peer], 0), 0);
}

static void op_stale_end(struct model *m, unsigned peer, enum family f)
{
    for (unsigned i = 0; i < PREFIXES; i++)
        if (family_at(m, i) == f && m->said[peer][i].stale)
            m->said[peer][i].present = false;
    rib_peer_stale_end(m->x.rib, m->peer[peer], f);
}

static void op_stale(struct model *m, unsigned peer, enum family f)
{
    bool keep = pick(2);
    for (unsigned i = 0; i < PREFIXES; i++) {
        struct said *s = &m->said[peer][i];
        if (family_at(m, i) != f)
            continue;
        s->present = s->present && (keep || !s->stale);
        s->stale = s->present;
    }
    (keep ? rib_peer_stale_too : rib_peer_stale)(m->x.rib, m->peer[peer], f);
}

static void op_session(struct model *m, unsigned peer)
{
    bool same = pick(2);
    for (enum family f = 0; same && f < FAM_COUNT; f++)
        if (pick(2))
            op_stale(m, peer, f);
    for (unsigned i = 0; i < PREFIXES; i++)
        m->said[peer][i].present = same && m->said[peer][i].present && m->said[peer][i].stale;
    if (same) {
        rib_peer_down(m->x.rib, m->peer[peer]);
        adjout_stop(m->out[peer]);
        rib_peer_up(m->x.rib, m->peer[peer]);
    } else { /* another peer in its place; router ids stay in order */
        adjout_free(m->out[peer]);
        rib_peer_remove(m->x.rib, m->peer[peer]);
        m->peer[peer] = fx_peer(&m->x, peer + 1, is_ibgp(peer));
        m->out[peer] = adjout_new(m->x.rib, m->peer[peer], NULL, NULL);
    }
    out_start(m, peer);
}

static void op_originate(struct model *m, unsigned prefix)
{
    enum family f = family_at(m, prefix);
    if (pick(2)) {
        m->originated[prefix] = (int)pick(4);
        const struct attr *a = fx_attr(&m->x, 0, 0);
        CU_ASSERT_EQUAL(
            rib_originate(m->x.rib, f, &m->prefix[prefix], (enum origin_kind)m->originated[prefix], a), 0);
        attr_unref(m->x.attrs, a);
    } else {
        m->originated[prefix] = -1;
        CU_ASSERT_EQUAL(rib_unoriginate(m->x.rib, f, &m->prefix[prefix]), 0);
    }
}

static void op_rare(struct model *m, unsigned peer, unsigned prefix)
{
    switch (pick(8)) {
    case 0:
        m->reachable[peer] = pick(4);
        m->metric[peer] = !pick(6);
        fx_nexthop(&m->x, peer + 1, m->reachable[peer], m->metric[peer]);
        break;
    case 1:
        m->denied[prefix] = pick(4) == 0;
        rib_reimport(m->x.rib, NULL);
        break;
    case 2:
        m->config.multipath = 1 + pick(4);
        rib_set_config(m->x.rib, &m->config);
        break;
    case 3:
        op_session(m, peer);
        break;
    case 4:
        m->mode[peer] = (enum export_mode)pick(3);
        for (enum family f = 0; f < FAM_COUNT; f++)
            CU_ASSERT_EQUAL(adjout_resend(m->out[peer], f, m->mode[peer], pick(2)), 0);
        break;
    case 5:
        op_stale(m, peer, family_at(m, prefix));
        break;
    case 6:
        op_stale_end(m, peer, family_at(m, prefix));
        break;
    default:
        rib_work(m->x.rib);
        break;
    }
}

static void op_random(struct model *m)
{
    unsigned peer = pick(PEERS), prefix = pick(PREFIXES), what = pick(100);
    if (what < 50)
        op_update(m, peer, prefix);
    else if (what < 65)
        op_withdraw(m, peer, prefix);
    else if (what < 72)
        op_originate(m, prefix);
    else if (what < 80)
        op_rare(m, peer, prefix);
    else if (what < 87)
        receiver_fill(m->v[peer], m->out[peer], BGP_MAX_LEN + pick(100));
    else if (what < 95)
        fib_serve(m, pick(2) ? FAM_IPV6 : FAM_IPV4);
    else if (m->n_results)
        fib_answer(m);
}

static void settle(struct model *m)
{
    fx_work(&m->x);
    for (enum family f = 0; f < FAM_COUNT; f++)
        while (fib_serve(m, f))
            ;
    while (m->n_results)
        fib_answer(m);
    for (unsigned i = 0; i < PEERS; i++)
        receiver_drain(m->v[i], m->out[i]);
}

static bool paths_agree(const struct model *m, unsigned prefix)
{
    enum family f = family_at(m, prefix);
    const struct rib *r = m->x.rib;
    unsigned used, n = 0, got = 0;
    int best = model_best(m, prefix, &used);
    uint32_t index = rib_find(r, f, &m->prefix[prefix]);
    bool own = m->originated[prefix] >= 0;
    for (unsigned i = 0; i < PEERS; i++)
        n += m->said[i][prefix].present;
    if (!index)
        return !n && !own;
    const struct rib_entry *e = rib_entry(r, f, index);
    for (uint32_t i = e->paths; i; i = rib_path(r, i)->next, n--)
        for (unsigned k = 0; k < PEERS; k++)
            if (rib_path(r, i)->peer == m->peer[k]->number &&
                rib_path(r, i)->flags & (PATH_BEST | PATH_MULTIPATH))
                got |= 1u << k;
    if (n + own)
        return false;
    const struct rib_path *b = rib_best(r, e);
    if (own)
        return b && !b->peer && !got;
    return got == used && (best < 0 ? !b : b && b->peer == m->peer[best]->number);
}

static bool export_agrees(const struct model *m, unsigned to, unsigned prefix)
{
    unsigned used;
    int best = model_best(m, prefix, &used);
    const struct attr *has = receiver_has(m->v[to], &m->prefix[prefix]);
    unsigned ours = is_ibgp(to) ? 0 : 1;
    if (m->originated[prefix] >= 0)
        return m->mode[to] == EXPORT_NONE ? !has : has && has->path_len == ours;
    if (best < 0 || m->mode[to] != EXPORT_ALL || best == (int)to || (is_ibgp(to) && is_ibgp((unsigned)best)))
        return !has;
    const struct said *s = &m->said[best][prefix];
    return has && has->path_len == s->hops + ours && attr_path_count_as(has, s->as) == 1;
}

static bool counters_agree(const struct model *m, unsigned peer)
{
    uint32_t paths[FAM_COUNT] = {0}, accepted[FAM_COUNT] = {0}, stale[FAM_COUNT] = {0}, has = 0;
    for (unsigned i = 0; i < PREFIXES; i++) {
        bool present = m->said[peer][i].present;
        paths[family_at(m, i)] += present;
        accepted[family_at(m, i)] += present && !m->denied[i];
        stale[family_at(m, i)] += present && m->said[peer][i].stale;
        has += receiver_has(m->v[peer], &m->prefix[i]) != NULL;
    }
    return !memcmp(paths, m->peer[peer]->paths, sizeof paths) &&
           !memcmp(accepted, m->peer[peer]->accepted, sizeof accepted) &&
           !memcmp(stale, m->peer[peer]->stale, sizeof stale) &&
           has == adjout_count(m->out[peer], FAM_IPV4) + adjout_count(m->out[peer], FAM_IPV6) &&
           !m->v[peer]->spurious;
}

/* Only what is told of: paths that came are counted at once, whatever else waits. */
static bool counts_are_right_at_once(const struct model *m)
{
    for (unsigned k = 0; k < PEERS; k++) {
        uint32_t paths[FAM_COUNT] = {0};
        for (unsigned i = 0; i < PREFIXES; i++)
            paths[family_at(m, i)] += m->said[k][i].present;
        if (memcmp(paths, m->peer[k]->paths, sizeof paths))
            return false;
    }
    return true;
}

static bool no_nexthop_in_use_is_dead(const struct model *m)
{
    for (unsigned k = 0; k < PEERS; k++)
        for (unsigned i = 0; i < PREFIXES; i++)
            if (m->said[k][i].present &&
                nexthop_by_id(m->x.nexthops, m->keep[m->said[k][i].nexthop]->nexthop)->dead)
                return false;
    return true;
}

static bool agree(const struct model *m)
{
    for (unsigned i = 0; i < PREFIXES; i++) {
        enum family f = family_at(m, i);
        uint32_t index = rib_find(m->x.rib, f, &m->prefix[i]);
        int kernel = model_kernel(m, i);
        if (!paths_agree(m, i) || kernel_has(m, i) != kernel ||
            (index && (rib_entry(m->x.rib, f, index)->fib == FIB_NONE) != (kernel == 0)))
            return false;
        for (unsigned k = 0; k < PEERS; k++)
            if (!export_agrees(m, k, i))
                return false;
    }
    for (unsigned k = 0; k < PEERS; k++)
        if (!counters_agree(m, k))
            return false;
    return true;
}

/* When everybody has left, nothing must be left. */
static void model_end(struct model *m)
{
    struct rib_stats s;
    for (unsigned i = 0; i < PREFIXES; i++)
        rib_unoriginate(m->x.rib, family_at(m, i), &m->prefix[i]);
    for (unsigned i = 0; i < PEERS; i++) {
        rib_peer_stale_end(m->x.rib, m->peer[i], FAM_IPV4);
        rib_peer_stale_end(m->x.rib, m->peer[i], FAM_IPV6);
        rib_peer_down(m->x.rib, m->peer[i]);
    }
    settle(m);
    rib_stats(m->x.rib, &s);
    for (enum family f = 0; f < FAM_COUNT; f++) {
        CU_ASSERT_EQUAL(s.prefixes[f], 0);
        CU_ASSERT_EQUAL(s.paths[f], 0);
        CU_ASSERT_EQUAL(s.fib[f][FIB_PENDING] + s.fib[f][FIB_INSTALLED] + s.fib[f][FIB_FAILED], 0);
    }
    for (unsigned i = 0; i < PEERS; i++) {
        CU_ASSERT_EQUAL(m->v[i]->n, 0);
        adjout_free(m->out[i]);
        receiver_free(m->v[i]);
        attr_unref(m->x.attrs, m->keep[i]);
    }
    rib_unsubscribe(m->x.rib, &m->fib);
    fx_free(&m->x);
}

static void one_run(unsigned seed)
{
    printf("      seed %u\n", seed);
    srandom(seed);
    struct model *m = calloc(1, sizeof *m);
    model_init(m);
    for (unsigned i = 1; i <= OPS; i++) {
        op_random(m);
        CU_ASSERT_FATAL(counts_are_right_at_once(m));
        CU_ASSERT_FATAL(no_nexthop_in_use_is_dead(m));
        if (i % CHECK_EVERY)
            continue;
        settle(m);
        if (!agree(m)) {
            printf("      disagree after operation %u\n", i);
            CU_FAIL_FATAL("the RIB and the model disagree");
        }
    }
    CU_ASSERT(m->shares || m->deaths > 0);
    model_end(m);
    free(m);
}

static void the_rib_agrees_with_a_simple_model(void)
{
    const char *given = getenv("UNDERLAY_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    for (unsigned i = 0; i < (given ? 1 : RUNS); i++)
        one_run(seed + i * 1000003u);
}

static const struct unit_case cases[] = {UNIT(the_rib_agrees_with_a_simple_model)};
UNIT_MAIN("rib_random", cases)
