/* Paths whose attributes an import policy changed: what is kept, and what is judged again. */
#include "rib_fixture.h"

#define P "10.1.0.0/16"

static const struct rib_path *path_of(struct fixture *x, uint32_t *index)
{
    uint32_t i = rib_entry(x->rib, FAM_IPV4, fx_find(x, P))->paths;
    if (index)
        *index = i;
    return rib_path(x->rib, i);
}

static const struct attr *attr_of(struct fixture *x)
{
    return rib_path_attr(x->rib, path_of(x, NULL));
}

static const struct attr *received_of(struct fixture *x)
{
    uint32_t i;
    path_of(x, &i);
    return rib_path_received(x->rib, i);
}

static struct rib_peer *setup(struct fixture *x, bool keep)
{
    fx_init(x, 1);
    struct rib_peer *p = fx_peer(x, 1, false);
    p->keep_received = keep;
    return p;
}

/* From now on the policy makes this of every path. */
static void policy(struct fixture *x, const struct attr *a)
{
    attr_unref(x->attrs, x->change);
    x->change = a;
}

static void teardown(struct fixture *x)
{
    policy(x, NULL);
    fx_free(x);
}

static void a_changed_path_is_stored_as_changed(void)
{
    struct fixture x;
    struct rib_peer *p = setup(&x, false);
    policy(&x, fx_attr(&x, 1, 3));
    fx_update(&x, p, P, fx_attr(&x, 1, 1));
    CU_ASSERT_PTR_EQUAL(attr_of(&x), x.change);
    CU_ASSERT(path_of(&x, NULL)->flags & PATH_CHANGED);
    CU_ASSERT_PTR_NULL(received_of(&x));
    CU_ASSERT_EQUAL(attr_table_count(x.attrs), 1);
    teardown(&x);
}

static void an_unchanged_path_is_its_own_original(void)
{
    struct fixture x;
    struct rib_peer *p = setup(&x, true);
    fx_update(&x, p, P, fx_attr(&x, 1, 1));
    CU_ASSERT_FALSE(path_of(&x, NULL)->flags & PATH_CHANGED);
    CU_ASSERT_PTR_EQUAL(received_of(&x), attr_of(&x));
    teardown(&x);
}

static void what_is_kept_is_judged_by_the_new_policy(void)
{
    struct fixture x;
    struct rib_peer *p = setup(&x, true);
    const struct attr *sent = fx_attr(&x, 1, 1);
    policy(&x, fx_attr(&x, 1, 3));
    fx_update(&x, p, P, attr_ref(sent));
    fx_nexthop(&x, 1, true, 0);
    fx_work(&x);
    CU_ASSERT_PTR_EQUAL(received_of(&x), sent);

    policy(&x, fx_attr(&x, 1, 4)); /* another change */
    rib_reimport(x.rib, p);
    fx_work(&x);
    CU_ASSERT_PTR_EQUAL(attr_of(&x), x.change);
    CU_ASSERT_PTR_EQUAL(received_of(&x), sent);

    x.verdict = IMPORT_POLICY; /* a rejection: as it came */
    rib_reimport(x.rib, p);
    fx_work(&x);
    CU_ASSERT_PTR_EQUAL(attr_of(&x), sent);
    CU_ASSERT(path_of(&x, NULL)->flags & PATH_FILTERED);
    CU_ASSERT_FALSE(path_of(&x, NULL)->flags & PATH_CHANGED);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), -1);

    x.verdict = IMPORT_OK;
    policy(&x, NULL); /* and no policy at all */
    rib_reimport(x.rib, p);
    fx_work(&x);
    CU_ASSERT_PTR_EQUAL(attr_of(&x), sent);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), 1);
    CU_ASSERT_EQUAL(x.judged, 0);
    attr_unref(x.attrs, sent);
    teardown(&x);
}

static void what_is_not_kept_stays_until_it_is_sent_again(void)
{
    struct fixture x;
    struct rib_peer *p = setup(&x, false);
    const struct attr *sent = fx_attr(&x, 1, 1), *first = fx_attr(&x, 1, 3);
    policy(&x, attr_ref(first));
    fx_update(&x, p, P, attr_ref(sent));
    fx_nexthop(&x, 1, true, 0);
    fx_work(&x);
    policy(&x, fx_attr(&x, 1, 4));
    rib_reimport(x.rib, p);
    fx_work(&x);
    CU_ASSERT_EQUAL(x.judged, 1);
    CU_ASSERT_PTR_EQUAL(attr_of(&x), first);
    x.verdict = IMPORT_OWN_POD_CIDR; /* what does not depend on the policy counts at once */
    rib_reimport(x.rib, p);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), -1);
    CU_ASSERT_PTR_EQUAL(attr_of(&x), first);
    x.verdict = IMPORT_OK;
    rib_reimport(x.rib, p);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), 1);
    fx_update(&x, p, P, attr_ref(sent));
    CU_ASSERT_PTR_EQUAL(attr_of(&x), x.change);
    attr_unref(x.attrs, sent);
    attr_unref(x.attrs, first);
    teardown(&x);
}

/* Also one that was not changed before: then it is known as received, refresh or not. */
static void a_first_policy_changes_what_is_there(void)
{
    for (int keep = 0; keep < 2; keep++) {
        struct fixture x;
        struct rib_peer *p = setup(&x, keep);
        const struct attr *sent = fx_attr(&x, 1, 1);
        fx_update(&x, p, P, attr_ref(sent));
        policy(&x, fx_attr(&x, 1, 3));
        rib_reimport(x.rib, p);
        fx_work(&x);
        CU_ASSERT_PTR_EQUAL(attr_of(&x), x.change);
        CU_ASSERT_PTR_EQUAL(received_of(&x), keep ? sent : NULL);
        attr_unref(x.attrs, sent);
        teardown(&x);
    }
}

/* The peer says now what the policy had made of it: no change to anybody, but it is its own original again.
 */
static void an_update_that_needs_no_change_any_more_is_as_received(void)
{
    for (int keep = 0; keep < 2; keep++) {
        struct fixture x;
        struct rib_peer *p = setup(&x, keep);
        policy(&x, fx_attr(&x, 1, 3));
        fx_update(&x, p, P, fx_attr(&x, 1, 1));
        fx_update(&x, p, P, attr_ref(x.change));
        CU_ASSERT_FALSE(path_of(&x, NULL)->flags & PATH_CHANGED);
        CU_ASSERT_PTR_EQUAL(received_of(&x), x.change);
        CU_ASSERT_EQUAL(attr_table_count(x.attrs), 1);
        teardown(&x);
    }
}

static void withdrawn_and_lost_paths_leave_nothing(void)
{
    struct fixture x;
    struct rib_peer *p = setup(&x, true);
    policy(&x, fx_attr(&x, 1, 3));
    fx_update(&x, p, P, fx_attr(&x, 1, 1));
    fx_withdraw(&x, p, P);
    CU_ASSERT_EQUAL(attr_table_count(x.attrs), 1);
    fx_update(&x, p, P, fx_attr(&x, 1, 1));
    rib_peer_down(x.rib, p);
    fx_work(&x);
    CU_ASSERT_EQUAL(attr_table_count(x.attrs), 1);
    policy(&x, NULL);
    rib_peer_up(x.rib, p);
    fx_update(&x, p, P, fx_attr(&x, 1, 2)); /* the same record of the slab */
    CU_ASSERT_PTR_EQUAL(received_of(&x), attr_of(&x));
    teardown(&x);
}

/* A new policy changes who wins, and those who serve the best path hear of it. */
static void a_changed_best_path_is_told(void)
{
    struct fixture x;
    struct rib_peer *p = setup(&x, false);
    struct rib_sub sub = {.family = {true, true}};
    rib_subscribe(x.rib, &sub);
    fx_update(&x, p, P, fx_attr(&x, 1, 1));
    fx_nexthop(&x, 1, true, 0);
    fx_work(&x);
    dirty_clear(&sub.dirty[FAM_IPV4], fx_find(&x, P));
    rib_reimport(x.rib, p);
    fx_work(&x);
    CU_ASSERT_EQUAL(sub.dirty[FAM_IPV4].count, 0);
    policy(&x, fx_attr(&x, 1, 3));
    rib_reimport(x.rib, p);
    fx_work(&x);
    CU_ASSERT_EQUAL(sub.dirty[FAM_IPV4].count, 1);
    rib_unsubscribe(x.rib, &sub);
    teardown(&x);
}

/* RFC 9494: the mark is not the policy's to remove, but a route that it refuses is refused at once. */
static void a_policy_decides_about_long_lived_stale_paths_and_leaves_the_mark(void)
{
    for (int keep = 0; keep < 2; keep++) {
        struct fixture x;
        struct rib_peer *p = setup(&x, keep);
        if (keep)
            policy(&x, fx_attr(&x, 1, 3));
        fx_update(&x, p, P, fx_attr(&x, 1, 1));
        fx_nexthop(&x, 1, true, 0);
        rib_peer_stale(x.rib, p, FAM_IPV4);
        rib_peer_stale_long(x.rib, p, FAM_IPV4);
        fx_work(&x);
        CU_ASSERT(attr_of(&x)->flags & ATTR_LLGR_STALE);
        policy(&x, fx_attr(&x, 1, 4));
        rib_reimport(x.rib, p);
        fx_work(&x);
        CU_ASSERT(attr_of(&x)->flags & ATTR_LLGR_STALE);
        CU_ASSERT_EQUAL(fx_best_peer(&x, P), 1);
        x.verdict = IMPORT_POLICY;
        rib_reimport(x.rib, p);
        fx_work(&x);
        CU_ASSERT(attr_of(&x)->flags & ATTR_LLGR_STALE);
        CU_ASSERT_EQUAL(fx_best_peer(&x, P), -1);
        x.verdict = IMPORT_OK;
        rib_reimport(x.rib, p);
        fx_work(&x);
        CU_ASSERT_EQUAL(fx_best_peer(&x, P), 1);
        teardown(&x);
    }
}

static const struct unit_case cases[] = {
    UNIT(a_changed_path_is_stored_as_changed),
    UNIT(an_unchanged_path_is_its_own_original),
    UNIT(what_is_kept_is_judged_by_the_new_policy),
    UNIT(what_is_not_kept_stays_until_it_is_sent_again),
    UNIT(a_first_policy_changes_what_is_there),
    UNIT(an_update_that_needs_no_change_any_more_is_as_received),
    UNIT(withdrawn_and_lost_paths_leave_nothing),
    UNIT(a_changed_best_path_is_told),
    UNIT(a_policy_decides_about_long_lived_stale_paths_and_leaves_the_mark),
};
UNIT_MAIN("rib_received", cases)
