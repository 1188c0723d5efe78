/* The decision process: every rule, and the same answer whatever the order of the candidates. */
#include "rib/decision.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define MAX_PATHS 5

struct path { /* zero: a plain eBGP path */
    uint16_t number;
    uint32_t local_pref; /* 0: none */
    uint16_t path_len;
    uint8_t origin;
    uint32_t as, med, metric, router_id, originator;
    uint8_t clusters, address;
    bool ibgp, unusable, local, shutting_down, has_med;
    uint32_t last_as; /* to make AS_PATHs of one length differ */
};

static struct attr *attr_of(const struct path *p)
{
    size_t path_bytes = 2 + 4 * (size_t)p->path_len;
    struct attr *a = calloc(1, sizeof *a + path_bytes + 4u * p->clusters);
    a->local_pref = p->local_pref;
    a->flags =
        (uint16_t)((p->local_pref ? ATTR_HAS_LOCAL_PREF : 0) | (p->med || p->has_med ? ATTR_HAS_MED : 0) |
                   (p->shutting_down ? ATTR_GRACEFUL_SHUTDOWN : 0) |
                   (p->originator ? ATTR_HAS_ORIGINATOR : 0));
    a->path_len = p->path_len;
    a->origin = p->origin;
    a->neighbor_as = p->as;
    a->med = p->med;
    a->originator_id = p->originator;
    a->part_len[PART_AS_PATH] = (uint16_t)path_bytes;
    a->part_len[PART_CLUSTER] = (uint16_t)(4 * p->clusters);
    a->data[0] = 2;
    a->data[1] = (uint8_t)p->path_len;
    a->data[path_bytes - 1] = (uint8_t)p->last_as;
    return a;
}

struct table {
    struct attr *attr[MAX_PATHS];
    struct rib_peer peer[MAX_PATHS];
    struct candidate cand[MAX_PATHS];
    unsigned n;
};

static void table_make(struct table *t, const struct path *paths, unsigned n)
{
    memset(t, 0, sizeof *t);
    t->n = n;
    for (unsigned i = 0; i < n; i++) {
        const struct path *p = &paths[i];
        t->attr[i] = attr_of(p);
        t->peer[i] = (struct rib_peer){.number = p->local ? 0 : (uint16_t)(i + 1),
                                       .ibgp = p->ibgp,
                                       .router_id = p->router_id,
                                       .address = addr_v4(0x0a000000u + p->address)};
        t->cand[i] = (struct candidate){
            .attr = t->attr[i], .peer = &t->peer[i], .metric = p->metric, .usable = !p->unusable};
    }
}

static void table_free(struct table *t)
{
    for (unsigned i = 0; i < t->n; i++)
        free(t->attr[i]);
}

struct rule_case {
    const char *name;
    struct path paths[MAX_PATHS];
    unsigned n;
    int best;
    enum select_reason why;
    unsigned multipaths; /* bits, with multipath 16 and relax */
};

static const struct rule_case rules[] = {
    {"nothing usable", {{.unusable = true}, {.unusable = true}}, 2, -1, SELECT_NONE, 0},
    {"only one", {{.as = 1}}, 1, 0, SELECT_ONLY, 0},
    {"only one usable", {{.local_pref = 900, .unusable = true}, {.as = 1}}, 2, 1, SELECT_ONLY, 0},
    {"originated first", {{.local_pref = 900}, {.local = true, .path_len = 3}}, 2, 1, SELECT_LOCAL, 0},
    {"local pref", {{.local_pref = 101, .path_len = 4}, {.path_len = 1}}, 2, 0, SELECT_LOCAL_PREF, 0},
    {"default local pref", {{.local_pref = 99, .path_len = 1}, {.path_len = 4}}, 2, 1, SELECT_LOCAL_PREF, 0},
    {"RFC 8326: external and shutting down, whatever a policy made of it",
     {{.local_pref = 300, .shutting_down = true}, {.path_len = 4}},
     2,
     1,
     SELECT_LOCAL_PREF,
     0},
    {"RFC 8326: internal ones have what the border gave them",
     {{.local_pref = 300, .shutting_down = true, .ibgp = true}, {.path_len = 4}},
     2,
     0,
     SELECT_LOCAL_PREF,
     0},
    {"as path", {{.path_len = 2, .origin = 2}, {.path_len = 3}}, 2, 0, SELECT_AS_PATH, 0},
    {"origin", {{.origin = 1, .as = 1}, {.origin = 0, .as = 1, .med = 9}}, 2, 1, SELECT_ORIGIN, 0},
    {"med in one as", {{.as = 1, .med = 5}, {.as = 1, .med = 4, .ibgp = true}}, 2, 1, SELECT_MED, 0},
    {"missing med is the lowest", {{.as = 1, .med = 1}, {.as = 1, .ibgp = true}}, 2, 1, SELECT_MED, 0},
    {"med of two ases is not compared",
     {{.as = 1, .med = 9, .router_id = 1}, {.as = 2, .med = 1, .router_id = 2}},
     2,
     0,
     SELECT_ROUTER_ID,
     3},
    {"ebgp", {{.ibgp = true}, {.metric = 50}}, 2, 1, SELECT_EBGP, 0},
    {"metric",
     {{.ibgp = true, .metric = 10, .router_id = 9}, {.ibgp = true, .metric = 11}},
     2,
     0,
     SELECT_METRIC,
     0},
    {"router id",
     {{.router_id = 7, .address = 1}, {.router_id = 6, .address = 2}},
     2,
     1,
     SELECT_ROUTER_ID,
     3},
    {"originator id stands for router id",
     {{.router_id = 7, .originator = 3, .ibgp = true}, {.router_id = 6, .ibgp = true}},
     2,
     0,
     SELECT_ROUTER_ID,
     3},
    {"cluster list", {{.clusters = 2, .address = 1}, {.clusters = 1, .address = 2}}, 2, 1, SELECT_CLUSTER, 3},
    {"address", {{.address = 9}, {.address = 8}}, 2, 1, SELECT_ADDRESS, 3},
    /* Pairwise, 0 beats 1 (router id), 1 beats 2 (router id) and 2 beats 0 (MED): a circle. By elimination 0
       goes. */
    {"med is not transitive",
     {{.as = 1, .med = 10, .router_id = 1}, {.as = 2, .router_id = 2}, {.as = 1, .med = 5, .router_id = 3}},
     3,
     1,
     SELECT_ROUTER_ID,
     6},
    /* The one that removes by MED must still be there after the steps before MED. */
    {"med of an eliminated path does not count",
     {{.as = 1, .med = 1, .origin = 2}, {.as = 1, .med = 8, .router_id = 1}, {.as = 2, .router_id = 2}},
     3,
     1,
     SELECT_ROUTER_ID,
     6},
    {"three of five",
     {{.router_id = 5}, {.router_id = 4}, {.router_id = 3}, {.path_len = 1}, {.ibgp = true}},
     5,
     2,
     SELECT_ROUTER_ID,
     7},
};

static const struct rib_config wide = {.multipath = 16, .as_path_relax = true, .default_local_pref = 100};

static void check_order(const struct rule_case *r, struct table *t, const unsigned *order)
{
    struct candidate c[MAX_PATHS];
    enum select_reason why;
    unsigned multi = 0;
    for (unsigned i = 0; i < r->n; i++)
        c[i] = t->cand[order[i]];
    int best = decision_select(c, r->n, &wide, &why);
    for (unsigned i = 0; i < r->n; i++)
        multi |= (unsigned)c[i].multipath << order[i];
    bool ok = (best < 0 ? -1 : (int)order[best]) == r->best && why == r->why && multi == r->multipaths;
    CU_ASSERT(ok);
    if (!ok)
        printf("      %s: best %d %s multipaths %x\n", r->name, best < 0 ? -1 : (int)order[best],
               select_reason_name(why), multi);
}

static void permute(const struct rule_case *r, struct table *t, unsigned *order, unsigned from)
{
    if (from == r->n)
        check_order(r, t, order);
    for (unsigned i = from; i < r->n; i++) {
        unsigned x = order[from];
        order[from] = order[i], order[i] = x;
        permute(r, t, order, from + 1);
        x = order[from], order[from] = order[i], order[i] = x;
    }
}

static void every_rule_in_every_order(void)
{
    for (unsigned i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct table t;
        unsigned order[MAX_PATHS] = {0, 1, 2, 3, 4};
        table_make(&t, rules[i].paths, rules[i].n);
        permute(&rules[i], &t, order, 0);
        table_free(&t);
    }
}

static unsigned multipaths_with(const struct path *paths, unsigned n, const struct rib_config *c)
{
    struct table t;
    enum select_reason why;
    unsigned bits = 0;
    table_make(&t, paths, n);
    decision_select(t.cand, n, c, &why);
    for (unsigned i = 0; i < n; i++)
        bits |= (unsigned)t.cand[i].multipath << i;
    table_free(&t);
    return bits;
}

static void width_takes_the_first_in_order_of_ties(void)
{
    static const struct path p[] = {{.router_id = 4}, {.router_id = 1}, {.router_id = 3}, {.router_id = 2}};
    struct rib_config c = wide;
    static const unsigned by_width[] = {0, 0, 1 << 1 | 1 << 3, 1 << 1 | 1 << 3 | 1 << 2, 15, 15};
    for (c.multipath = 1; c.multipath <= 5; c.multipath++)
        CU_ASSERT_EQUAL(multipaths_with(p, 4, &c), by_width[c.multipath]);
}

static void without_relax_the_as_path_must_be_the_same(void)
{
    static const struct path p[] = {{.path_len = 2, .last_as = 1, .router_id = 1},
                                    {.path_len = 2, .last_as = 2, .router_id = 2},
                                    {.path_len = 2, .last_as = 1, .router_id = 3}};
    struct rib_config c = wide;
    CU_ASSERT_EQUAL(multipaths_with(p, 3, &c), 7);
    c.as_path_relax = false;
    CU_ASSERT_EQUAL(multipaths_with(p, 3, &c), 5);
}

static int best_with(const struct path *paths, unsigned n, const struct rib_config *c,
                     enum select_reason *why)
{
    struct table t;
    table_make(&t, paths, n);
    int best = decision_select(t.cand, n, c, why);
    table_free(&t);
    return best;
}

static void med_is_compared_as_the_operator_says(void)
{
    static const struct path two_ases[] = {{.as = 1, .med = 9, .router_id = 1},
                                           {.as = 2, .med = 1, .router_id = 2}};
    static const struct path none[] = {{.as = 1, .router_id = 1}, {.as = 1, .med = 5, .router_id = 2}};
    static const struct path zero[] = {{.as = 1, .has_med = true, .router_id = 2},
                                       {.as = 1, .med = 5, .router_id = 1}};
    static const struct path apart[] = {{.as = 1, .router_id = 2}, {.as = 2, .med = 5, .router_id = 1}};
    enum select_reason why;
    struct rib_config c = wide;
    CU_ASSERT_EQUAL(best_with(two_ases, 2, &c, &why), 0);
    CU_ASSERT_EQUAL(best_with(none, 2, &c, &why), 0);
    c.always_compare_med = true;
    CU_ASSERT_EQUAL(best_with(two_ases, 2, &c, &why), 1);
    CU_ASSERT_EQUAL(why, SELECT_MED);
    CU_ASSERT_EQUAL(best_with(apart, 2, &c, &why), 0);
    c.med_missing_as_worst = true;
    CU_ASSERT_EQUAL(best_with(apart, 2, &c, &why), 1);
    c.always_compare_med = false;
    CU_ASSERT_EQUAL(best_with(none, 2, &c, &why), 1);
    CU_ASSERT_EQUAL(why, SELECT_MED);
    CU_ASSERT_EQUAL(best_with(zero, 2, &c, &why), 0); /* a MED of 0 is one */
    CU_ASSERT_EQUAL(best_with(apart, 2, &c, &why), 1);
    CU_ASSERT_EQUAL(why, SELECT_ROUTER_ID);
}

/* What holds by the letter of 9.1.2.2, for random candidates in random order. */
static void random_candidates_in_any_order_give_one_answer(void)
{
    srandom(1);
    for (unsigned round = 0; round < 2000; round++) {
        struct path p[MAX_PATHS] = {0};
        for (unsigned i = 0; i < MAX_PATHS; i++)
            p[i] = (struct path){.local_pref = random() % 4 ? 0 : 100,
                                 .path_len = random() % 8 ? 1 : 2,
                                 .as = (uint32_t)random() % 3,
                                 .med = (uint32_t)random() % 3,
                                 .ibgp = random() % 4 == 0,
                                 .metric = (uint32_t)random() % 2,
                                 .router_id = (uint32_t)random() % 3,
                                 .clusters = (uint8_t)(random() % 2),
                                 .address = (uint8_t)(random() % 5),
                                 .unusable = random() % 5 == 0};
        struct table t;
        table_make(&t, p, MAX_PATHS);
        struct candidate c[MAX_PATHS];
        enum select_reason why, first_why;
        memcpy(c, t.cand, sizeof c);
        int best = decision_select(c, MAX_PATHS, &wide, &first_why);
        struct rule_case r = {.name = "random", .n = MAX_PATHS, .best = best, .why = first_why};
        for (unsigned i = 0; i < MAX_PATHS; i++)
            r.multipaths |= (unsigned)c[i].multipath << i;
        unsigned order[MAX_PATHS] = {0, 1, 2, 3, 4};
        permute(&r, &t, order, 0);
        if (best >= 0) { /* no usable path of the same AS has all the same before MED and a lower MED */
            for (unsigned i = 0; i < MAX_PATHS; i++)
                CU_ASSERT(p[i].unusable || p[i].path_len > p[best].path_len || p[i].as != p[best].as ||
                          p[i].med >= p[best].med);
        }
        CU_ASSERT_EQUAL(decision_select(c, 0, &wide, &why), -1);
        table_free(&t);
    }
}

static void reasons_have_the_names_of_frr(void)
{
    CU_ASSERT_STRING_EQUAL(select_reason_name(SELECT_LOCAL_PREF), "Local Pref");
    CU_ASSERT_STRING_EQUAL(select_reason_name(SELECT_ADDRESS), "Neighbor IP");
    for (enum select_reason r = SELECT_NONE; r <= SELECT_PATH_ID; r++)
        CU_ASSERT(select_reason_name(r)[0] != 0);
}

static const struct unit_case cases[] = {
    UNIT(every_rule_in_every_order),
    UNIT(width_takes_the_first_in_order_of_ties),
    UNIT(without_relax_the_as_path_must_be_the_same),
    UNIT(med_is_compared_as_the_operator_says),
    UNIT(random_candidates_in_any_order_give_one_answer),
    UNIT(reasons_have_the_names_of_frr),
};
UNIT_MAIN("decision", cases)
