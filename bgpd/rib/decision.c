/* The decision process by elimination, as RFC 4271 9.1.2.2 writes it: every step looks at all that is still
 * under consideration and removes what it does not prefer. A pairwise comparison would be shorter and wrong:
 * MED is compared only within one neighbour AS, so "better than" is not transitive and the outcome would hang
 * on the order of the paths.
 *
 * The reason given for the best is the last step that removed something. Multipaths are those still tied with
 * the best when interior cost has been compared: from there on the steps only break ties.
 *
 * It knows no table and no prefix; candidates that are filtered or unresolvable come in as not usable. */
#include "rib/decision.h"

#include <string.h>

/* A step turns a candidate into a number; the lowest stay. */
typedef uint64_t (*key_fn)(const struct candidate *c, const struct rib_config *cfg);

static uint64_t key_local(const struct candidate *c, const struct rib_config *cfg)
{
    (void)cfg;
    return c->peer->number != 0;
}

/* RFC 9494 4.3: less preferred than any route that is not, be it our own mark or that of another speaker. */
static uint64_t key_stale(const struct candidate *c, const struct rib_config *cfg)
{
    (void)cfg;
    return (c->attr->flags & ATTR_LLGR_STALE) != 0;
}

uint32_t decision_local_pref(const struct attr *a, const struct rib_peer *from, const struct rib_config *c)
{
    if ((a->flags & ATTR_GRACEFUL_SHUTDOWN) && from->number && !from->ibgp)
        return 0;
    return a->flags & ATTR_HAS_LOCAL_PREF ? a->local_pref : c->default_local_pref;
}

static uint64_t key_local_pref(const struct candidate *c, const struct rib_config *cfg)
{
    return UINT32_MAX - decision_local_pref(c->attr, c->peer, cfg);
}

static uint64_t key_as_path(const struct candidate *c, const struct rib_config *cfg)
{
    (void)cfg;
    return c->attr->path_len;
}

static uint64_t key_origin(const struct candidate *c, const struct rib_config *cfg)
{
    (void)cfg;
    return c->attr->origin;
}

static uint64_t key_ebgp(const struct candidate *c, const struct rib_config *cfg)
{
    (void)cfg;
    return c->peer->ibgp;
}

static uint64_t key_metric(const struct candidate *c, const struct rib_config *cfg)
{
    (void)cfg;
    return c->metric;
}

/* RFC 4456 section 9: the ORIGINATOR_ID stands for the identifier of the speaker. */
static uint64_t key_router_id(const struct candidate *c, const struct rib_config *cfg)
{
    (void)cfg;
    return c->attr->flags & ATTR_HAS_ORIGINATOR ? c->attr->originator_id : c->peer->router_id;
}

static uint64_t key_cluster(const struct candidate *c, const struct rib_config *cfg)
{
    (void)cfg;
    return c->attr->part_len[PART_CLUSTER];
}

/* 9.1.2.2 c: none is the lowest possible; some want the opposite. */
static uint64_t key_med(const struct candidate *c, const struct rib_config *cfg)
{
    bool worst = cfg->med_missing_as_worst && !(c->attr->flags & ATTR_HAS_MED);
    return worst ? UINT32_MAX : c->attr->med;
}

static unsigned keep_lowest(struct candidate *cand, unsigned n, key_fn key, const struct rib_config *cfg)
{
    uint64_t least = UINT64_MAX;
    unsigned left = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t k = cand[i].in ? key(&cand[i], cfg) : UINT64_MAX;
        least = k < least ? k : least;
    }
    for (unsigned i = 0; i < n; i++)
        left += cand[i].in = cand[i].in && key(&cand[i], cfg) == least;
    return left;
}

/* All of the first one's neighbour AS. */
static unsigned judge_neighbor_as(struct candidate *cand, unsigned n, const struct rib_config *cfg)
{
    uint32_t as = cand->attr->neighbor_as;
    uint64_t least = UINT64_MAX;
    unsigned left = 0;
    for (unsigned i = 0; i < n; i++)
        if (cand[i].in && cand[i].attr->neighbor_as == as && key_med(&cand[i], cfg) < least)
            least = key_med(&cand[i], cfg);
    for (unsigned i = 0; i < n; i++) {
        if (!cand[i].in || cand[i].attr->neighbor_as != as)
            continue;
        cand[i].judged = true;
        left += cand[i].in = key_med(&cand[i], cfg) == least;
    }
    return left;
}

/* 9.1.2.2 c. A path goes when another one of its neighbour AS has a lower MED. Those lowest ones never go
 * themselves, so removing at once is the same as removing after the comparison. */
static unsigned keep_lowest_med(struct candidate *cand, unsigned n, const struct rib_config *cfg)
{
    if (cfg->always_compare_med)
        return keep_lowest(cand, n, key_med, cfg);
    unsigned left = 0;
    for (unsigned m = 0; m < n; m++)
        cand[m].judged = false;
    for (unsigned m = 0; m < n; m++)
        if (cand[m].in && !cand[m].judged)
            left += judge_neighbor_as(cand + m, n - m, cfg);
    return left;
}

/* 9.1.2.2 g; the number settles what can only be two sessions with one address. */
static int compare_address(const struct candidate *a, const struct candidate *b)
{
    int c = addr_cmp(&a->peer->address, &b->peer->address);
    return c ? c : (int)a->peer->number - (int)b->peer->number;
}

/* RFC 7911 leaves open which of two equal paths of one peer is preferred; this only has to be the same every
 * time. */
static int compare_path_id(const struct candidate *a, const struct candidate *b)
{
    return a->path_id < b->path_id ? -1 : a->path_id > b->path_id;
}

/* Steps f and g, then the path identifiers, among paths that are equal so far: a total order. */
static int compare_ties(const struct candidate *a, const struct candidate *b)
{
    static const key_fn keys[] = {key_router_id, key_cluster};
    for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++) {
        uint64_t x = keys[i](a, NULL), y = keys[i](b, NULL);
        if (x != y)
            return x < y ? -1 : 1;
    }
    int c = compare_address(a, b);
    return c ? c : compare_path_id(a, b);
}

static int break_ties(const struct candidate *cand, unsigned n, enum select_reason *why)
{
    int best = -1, second = -1;
    for (unsigned i = 0; i < n; i++) {
        if (!cand[i].in)
            continue;
        if (best < 0 || compare_ties(&cand[i], &cand[best]) < 0) {
            second = best;
            best = (int)i;
        } else if (second < 0 || compare_ties(&cand[i], &cand[second]) < 0) {
            second = (int)i;
        }
    }
    if (second < 0)
        return best;
    const struct candidate *a = &cand[best], *b = &cand[second];
    *why = key_router_id(a, NULL) != key_router_id(b, NULL) ? SELECT_ROUTER_ID
           : key_cluster(a, NULL) != key_cluster(b, NULL)   ? SELECT_CLUSTER
           : compare_address(a, b)                          ? SELECT_ADDRESS
                                                            : SELECT_PATH_ID;
    return best;
}

static bool same_as_path(const struct attr *a, const struct attr *b)
{
    uint16_t la, lb;
    const uint8_t *pa = attr_part(a, PART_AS_PATH, &la), *pb = attr_part(b, PART_AS_PATH, &lb);
    return la == lb && !memcmp(pa, pb, la);
}

/* The first ones in the order of the remaining steps, most of them at most: their indices in list, in that
 * order. Called for each path of a prefix that is one of many, so it does not sort them all. */
static unsigned first_ones(const struct candidate *cand, unsigned n, unsigned most, unsigned list[])
{
    unsigned have = 0;
    for (unsigned i = 0; i < n; i++) {
        if (!cand[i].in || (have == most && compare_ties(&cand[i], &cand[list[have - 1]]) >= 0))
            continue;
        unsigned lo = 0, hi = have;
        while (lo < hi) {
            unsigned mid = (lo + hi) / 2;
            if (compare_ties(&cand[i], &cand[list[mid]]) < 0)
                hi = mid;
            else
                lo = mid + 1;
        }
        have += have < most;
        memmove(list + lo + 1, list + lo, (have - 1 - lo) * sizeof *list);
        list[lo] = i;
    }
    return have;
}

/* Of those tied with the best, up to the width. */
static void mark_multipaths(struct candidate *cand, unsigned n, int best, const struct rib_config *cfg)
{
    unsigned list[RIB_PATHS_MAX],
        most = cfg->multipath - 1 < RIB_PATHS_MAX ? cfg->multipath - 1 : RIB_PATHS_MAX;
    for (unsigned i = 0; i < n; i++)
        if (cand[i].in && !cfg->as_path_relax && !same_as_path(cand[i].attr, cand[best].attr))
            cand[i].in = false;
    cand[best].in = false;
    unsigned found = first_ones(cand, n, most, list);
    for (unsigned i = 0; i < found; i++)
        cand[list[i]].multipath = cand[best].multipath = true;
}

/* Removes what the steps do not prefer, from among the usable. How many are left. */
static unsigned eliminate(struct candidate *cand, unsigned n, const struct rib_config *c,
                          enum select_reason *why)
{
    static const struct {
        key_fn key; /* NULL: MED */
        enum select_reason why;
    } steps[] = {
        {key_local, SELECT_LOCAL},     {key_stale, SELECT_STALE},   {key_local_pref, SELECT_LOCAL_PREF},
        {key_as_path, SELECT_AS_PATH}, {key_origin, SELECT_ORIGIN}, {NULL, SELECT_MED},
        {key_ebgp, SELECT_EBGP},       {key_metric, SELECT_METRIC},
    };
    unsigned left = 0;
    for (unsigned i = 0; i < n; i++)
        left += cand[i].in = cand[i].usable;
    *why = left ? SELECT_ONLY : SELECT_NONE;
    for (unsigned s = 0; s < sizeof steps / sizeof *steps && left > 1; s++) {
        unsigned now = steps[s].key ? keep_lowest(cand, n, steps[s].key, c) : keep_lowest_med(cand, n, c);
        if (now < left)
            *why = steps[s].why;
        left = now;
    }
    return left;
}

int decision_select(struct candidate *cand, unsigned n, const struct rib_config *c, enum select_reason *why)
{
    for (unsigned i = 0; i < n; i++)
        cand[i].multipath = false;
    unsigned left = eliminate(cand, n, c, why);
    if (!left)
        return -1;
    int best = break_ties(cand, n, why);
    if (left > 1 && c->multipath > 1)
        mark_multipaths(cand, n, best, c);
    return best;
}

/* Another next hop than all of these. */
static bool is_other(uint32_t nexthop, const uint32_t *members, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (members[i] == nexthop)
            return false;
    return true;
}

int decision_backup(struct candidate *cand, unsigned n, int best, const struct rib_config *c)
{
    uint32_t members[RIB_PATHS_MAX + 1];
    unsigned n_members = 0, left = 0;
    int last = -1;
    enum select_reason why;

    if (best < 0 || !cand[best].peer->number)
        return -1;
    for (unsigned i = 0; i < n; i++)
        if (((int)i == best || cand[i].multipath) && is_other(cand[i].attr->nexthop, members, n_members))
            members[n_members++] = cand[i].attr->nexthop;
    for (unsigned i = 0; i < n; i++) {
        cand[i].usable = cand[i].usable && is_other(cand[i].attr->nexthop, members, n_members);
        if (cand[i].usable) {
            left++;
            last = (int)i;
        }
    }
    if (left < 2)
        return last;
    eliminate(cand, n, c, &why);
    return break_ties(cand, n, &why);
}

const char *select_reason_name(enum select_reason r)
{
    static const char *const names[] = {
        [SELECT_NONE] = "Nothing to Select", [SELECT_ONLY] = "First path received",
        [SELECT_LOCAL] = "Local Route",      [SELECT_STALE] = "Long-lived Stale",
        [SELECT_LOCAL_PREF] = "Local Pref",  [SELECT_AS_PATH] = "AS Path",
        [SELECT_ORIGIN] = "Origin",          [SELECT_MED] = "MED",
        [SELECT_EBGP] = "Peer Type",         [SELECT_METRIC] = "IGP Metric",
        [SELECT_ROUTER_ID] = "Router ID",    [SELECT_CLUSTER] = "Cluster length",
        [SELECT_ADDRESS] = "Neighbor IP",    [SELECT_PATH_ID] = "Path ID",
    };
    return r < sizeof names / sizeof *names ? names[r] : "";
}
