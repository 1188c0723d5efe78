/* Backups of routes, and next hops that die with the session that alone gave paths over them. */
#include <stdio.h>

#include "rib_fixture.h"

#define P "192.0.2.0/24"

struct rig {
    struct fixture x;
    struct rib_peer *peer[4]; /* [1..3] */
    const struct attr *keep[5];
    struct rib_sub fib;
};

/* Next hops 1 to 4 are known and reachable, whoever names them. */
static void set_up(struct rig *r, unsigned multipath)
{
    fx_init(&r->x, multipath);
    for (unsigned i = 1; i <= 4; i++) {
        r->keep[i] = fx_attr(&r->x, i, 9);
        fx_nexthop(&r->x, i, true, 0);
    }
    for (unsigned i = 1; i <= 3; i++)
        r->peer[i] = fx_peer(&r->x, i, false);
    r->fib = (struct rib_sub){.family = {true, true}, .forwarding = true};
    rib_subscribe(r->x.rib, &r->fib);
    fx_work(&r->x);
}

static void tear_down(struct rig *r)
{
    for (unsigned i = 1; i <= 4; i++)
        attr_unref(r->x.attrs, r->keep[i]);
    rib_unsubscribe(r->x.rib, &r->fib);
    fx_free(&r->x);
}

/* Peer n says prefix over next hop `nexthop`, the preferred one with the fewest hops. */
static void say(struct rig *r, unsigned n, const char *prefix, unsigned nexthop, unsigned hops)
{
    fx_update(&r->x, r->peer[n], prefix, fx_attr(&r->x, nexthop, hops));
}

/* "1 2|3": members and backup. */
static const char *group(struct rig *r, const char *prefix)
{
    static char text[64];
    const struct nhgroup_member *m;
    struct prefix p = fx_prefix(prefix);
    uint32_t g;
    CU_ASSERT_EQUAL_FATAL(rib_fib_desired(r->x.rib, addr_family(&p.addr), fx_find(&r->x, prefix), &g),
                          FM_ROUTE_SET);
    unsigned n = nhgroup_members(r->x.nexthops, g, &m), at = 0;
    for (unsigned i = 0; i < n; i++)
        at += (unsigned)snprintf(text + at, sizeof text - at, i ? " %u" : "%u",
                                 nexthop_by_id(r->x.nexthops, m[i].nexthop)->addr.b[3]);
    uint32_t backup = nhgroup_backup(r->x.nexthops, g);
    if (backup)
        snprintf(text + at, sizeof text - at, "|%u", nexthop_by_id(r->x.nexthops, backup)->addr.b[3]);
    nhgroup_put(r->x.nexthops, g);
    return text;
}

static bool fib_heard(struct rig *r, const char *prefix)
{
    uint32_t index = fx_find(&r->x, prefix);
    bool heard = dirty_test(&r->fib.dirty[FAM_IPV4], index);
    dirty_clear(&r->fib.dirty[FAM_IPV4], index);
    return heard;
}

static bool dead(const struct rig *r, unsigned nexthop)
{
    return nexthop_by_id(r->x.nexthops, r->keep[nexthop]->nexthop)->dead;
}

static void the_second_best_is_the_backup_without_ecmp(void)
{
    struct rig r;
    set_up(&r, 1);
    say(&r, 1, P, 1, 1);
    CU_ASSERT_STRING_EQUAL(group(&r, P), "1");
    say(&r, 3, P, 3, 3);
    CU_ASSERT_STRING_EQUAL(group(&r, P), "1|3");
    say(&r, 2, P, 2, 2);
    CU_ASSERT_STRING_EQUAL(group(&r, P), "1|2");
    fx_withdraw(&r.x, r.peer[1], P);
    CU_ASSERT_STRING_EQUAL(group(&r, P), "2|3");
    tear_down(&r);
}

static void the_next_best_stands_behind_an_ecmp_set(void)
{
    struct rig r;
    set_up(&r, 2);
    for (unsigned i = 1; i <= 3; i++)
        say(&r, i, P, i, 1);
    CU_ASSERT_STRING_EQUAL(group(&r, P), "1 2|3"); /* equal, but the set is full */
    say(&r, 2, P, 2, 3);
    CU_ASSERT_STRING_EQUAL(group(&r, P), "1 3|2");
    tear_down(&r);
}

static void a_backup_goes_over_another_next_hop(void)
{
    struct rig r;
    set_up(&r, 1);
    say(&r, 1, P, 1, 1);
    say(&r, 2, P, 1, 2);
    CU_ASSERT_STRING_EQUAL(group(&r, P), "1");
    say(&r, 3, P, 3, 3);
    CU_ASSERT_STRING_EQUAL(group(&r, P), "1|3");
    tear_down(&r);
}

static void what_cannot_be_used_is_no_backup(void)
{
    struct rig r;
    set_up(&r, 1);
    say(&r, 1, P, 1, 1);
    say(&r, 2, P, 2, 2);
    fx_nexthop(&r.x, 2, false, 0);
    fx_work(&r.x);
    CU_ASSERT_STRING_EQUAL(group(&r, P), "1");
    fx_nexthop(&r.x, 2, true, 0);
    fx_work(&r.x);
    CU_ASSERT_STRING_EQUAL(group(&r, P), "1|2");
    r.x.verdict = IMPORT_POLICY;
    rib_reimport(r.x.rib, r.peer[2]);
    fx_work(&r.x);
    CU_ASSERT_STRING_EQUAL(group(&r, P), "1");
    tear_down(&r);
}

static void the_fib_hears_when_only_the_backup_changes(void)
{
    struct rig r;
    set_up(&r, 1);
    say(&r, 1, P, 1, 1);
    CU_ASSERT(fib_heard(&r, P));
    say(&r, 2, P, 2, 2);
    CU_ASSERT(fib_heard(&r, P));
    say(&r, 2, P, 4, 2); /* the same path over another next hop */
    CU_ASSERT(fib_heard(&r, P));
    CU_ASSERT_STRING_EQUAL(group(&r, P), "1|4");
    say(&r, 3, P, 3, 3); /* not the backup */
    CU_ASSERT_FALSE(fib_heard(&r, P));
    fx_withdraw(&r.x, r.peer[2], P);
    CU_ASSERT(fib_heard(&r, P));
    CU_ASSERT_STRING_EQUAL(group(&r, P), "1|3");
    tear_down(&r);
}

/* It is in the list beside the best alone, and no other path changes its use when it goes. */
static void the_fib_hears_when_the_only_backup_goes(void)
{
    struct rig r;
    set_up(&r, 1);
    say(&r, 1, P, 1, 1);
    say(&r, 2, P, 2, 2);
    fib_heard(&r, P);
    fx_withdraw(&r.x, r.peer[2], P);
    CU_ASSERT_TRUE(fib_heard(&r, P));
    CU_ASSERT_STRING_EQUAL(group(&r, P), "1");
    tear_down(&r);
}

static void what_the_node_originates_has_no_backup(void)
{
    struct rig r;
    struct prefix p = fx_prefix(P);
    uint32_t g;
    set_up(&r, 1);
    say(&r, 1, P, 1, 1);
    fx_originate(&r.x, P, ORIGIN_KIND_STATIC);
    CU_ASSERT_EQUAL(rib_fib_desired(r.x.rib, FAM_IPV4, fx_find(&r.x, P), &g), 0);
    fx_unoriginate(&r.x, P);
    CU_ASSERT_STRING_EQUAL(group(&r, P), "1");
    CU_ASSERT_EQUAL(rib_find(r.x.rib, FAM_IPV4, &p), fx_find(&r.x, P));
    tear_down(&r);
}

static void next_hops_of_a_lost_session_are_dead_before_any_sweep(void)
{
    struct rig r;
    set_up(&r, 1);
    say(&r, 1, P, 1, 1);
    say(&r, 1, "198.51.100.0/24", 4, 1); /* a third party's */
    say(&r, 2, P, 2, 2);
    rib_peer_down(r.x.rib, r.peer[1]);
    CU_ASSERT(dead(&r, 1) && dead(&r, 4) && !dead(&r, 2));
    CU_ASSERT_STRING_EQUAL(group(&r, P), "1|2"); /* not decided yet */
    fx_work(&r.x);
    CU_ASSERT_STRING_EQUAL(group(&r, P), "2");
    tear_down(&r);
}

static void a_next_hop_of_two_sessions_outlives_one(void)
{
    struct rig r;
    set_up(&r, 1);
    say(&r, 1, P, 4, 1);
    say(&r, 2, P, 4, 2);
    say(&r, 2, P, 2, 2); /* not any more; but nobody counts */
    rib_peer_down(r.x.rib, r.peer[1]);
    CU_ASSERT_FALSE(dead(&r, 4));
    tear_down(&r);
}

static void a_next_hop_is_inherited_from_a_peer_without_paths(void)
{
    struct rig r;
    set_up(&r, 1);
    say(&r, 1, P, 4, 1);
    rib_peer_remove(r.x.rib, r.peer[1]);
    fx_work(&r.x);
    CU_ASSERT(dead(&r, 4));
    say(&r, 2, P, 4, 1);
    CU_ASSERT_FALSE(dead(&r, 4));
    rib_peer_down(r.x.rib, r.peer[2]);
    CU_ASSERT(dead(&r, 4));
    tear_down(&r);
}

static void the_first_path_of_a_new_session_revives(void)
{
    struct rig r;
    set_up(&r, 1);
    say(&r, 1, P, 1, 1);
    say(&r, 1, "198.51.100.0/24", 4, 1);
    rib_peer_down(r.x.rib, r.peer[1]);
    rib_peer_up(r.x.rib, r.peer[1]);
    CU_ASSERT(dead(&r, 1));
    say(&r, 1, P, 1, 1); /* while the old paths are still there */
    CU_ASSERT(!dead(&r, 1) && dead(&r, 4));
    rib_peer_alive(r.x.rib, r.peer[1], 0);
    CU_ASSERT_FALSE(dead(&r, 4));
    fx_work(&r.x);
    CU_ASSERT_FALSE(dead(&r, 1));
    tear_down(&r);
}

/* The RIB asks once about paths over one next hop that follow each other, but not beyond this. */
static void the_next_hop_named_last_dies_and_revives_too(void)
{
    struct rig r;
    set_up(&r, 1);
    say(&r, 1, P, 1, 1);
    rib_peer_down(r.x.rib, r.peer[1]);
    CU_ASSERT(dead(&r, 1));
    rib_peer_up(r.x.rib, r.peer[1]);
    say(&r, 1, P, 1, 1);
    CU_ASSERT_FALSE(dead(&r, 1));
    tear_down(&r);
}

static void a_next_hop_in_the_place_of_the_one_named_last_is_named(void)
{
    struct rig r;
    set_up(&r, 1);
    const struct attr *a = fx_attr(&r.x, 5, 1);
    uint32_t id = a->nexthop;
    fx_update(&r.x, r.peer[1], P, a);
    fx_withdraw(&r.x, r.peer[1], P);
    a = fx_attr(&r.x, 6, 1);
    CU_ASSERT_EQUAL(a->nexthop, id);
    fx_update(&r.x, r.peer[1], P, a);
    CU_ASSERT_FALSE(nexthop_by_id(r.x.nexthops, id)->dead);
    rib_peer_down(r.x.rib, r.peer[1]);
    CU_ASSERT(nexthop_by_id(r.x.nexthops, id)->dead);
    tear_down(&r);
}

/* IPv6 paths over an IPv4 next hop are nothing that happens; the RIB does not care. */
static void a_family_that_is_kept_keeps_its_next_hops(void)
{
    struct rig r;
    set_up(&r, 1);
    say(&r, 1, P, 1, 1);
    say(&r, 1, P, 4, 1);
    say(&r, 1, "2001:db8::/32", 4, 1);
    rib_peer_stale(r.x.rib, r.peer[1], FAM_IPV6);
    rib_peer_down(r.x.rib, r.peer[1]);
    CU_ASSERT(dead(&r, 1) && !dead(&r, 4));
    fx_work(&r.x);
    rib_peer_stale_end(r.x.rib, r.peer[1], FAM_IPV6); /* it did not come back in time */
    CU_ASSERT(dead(&r, 4));
    tear_down(&r);
}

static void nothing_dies_while_all_is_kept(void)
{
    struct rig r;
    set_up(&r, 1);
    say(&r, 1, P, 1, 1);
    rib_peer_stale(r.x.rib, r.peer[1], FAM_IPV4);
    rib_peer_down(r.x.rib, r.peer[1]);
    rib_peer_up(r.x.rib, r.peer[1]);
    CU_ASSERT_FALSE(dead(&r, 1));
    say(&r, 1, P, 1, 1);
    rib_peer_stale_end(r.x.rib, r.peer[1], FAM_IPV4); /* End-of-RIB */
    CU_ASSERT_FALSE(dead(&r, 1));
    tear_down(&r);
}

static void a_policy_that_sets_the_next_hop_names_it(void)
{
    struct rig r;
    set_up(&r, 1);
    say(&r, 1, P, 1, 1);
    say(&r, 2, "198.51.100.0/24", 4, 1);
    r.x.change = r.keep[4];
    rib_reimport(r.x.rib, r.peer[1]);
    fx_work(&r.x);
    rib_peer_down(r.x.rib, r.peer[2]);
    CU_ASSERT_FALSE(dead(&r, 4));
    tear_down(&r);
}

static const struct unit_case cases[] = {
    UNIT(the_second_best_is_the_backup_without_ecmp),
    UNIT(the_next_best_stands_behind_an_ecmp_set),
    UNIT(a_backup_goes_over_another_next_hop),
    UNIT(what_cannot_be_used_is_no_backup),
    UNIT(the_fib_hears_when_only_the_backup_changes),
    UNIT(the_fib_hears_when_the_only_backup_goes),
    UNIT(what_the_node_originates_has_no_backup),
    UNIT(next_hops_of_a_lost_session_are_dead_before_any_sweep),
    UNIT(a_next_hop_of_two_sessions_outlives_one),
    UNIT(a_next_hop_is_inherited_from_a_peer_without_paths),
    UNIT(the_first_path_of_a_new_session_revives),
    UNIT(the_next_hop_named_last_dies_and_revives_too),
    UNIT(a_next_hop_in_the_place_of_the_one_named_last_is_named),
    UNIT(a_family_that_is_kept_keeps_its_next_hops),
    UNIT(nothing_dies_while_all_is_kept),
    UNIT(a_policy_that_sets_the_next_hop_names_it),
};
UNIT_MAIN("rib_nexthop", cases)
