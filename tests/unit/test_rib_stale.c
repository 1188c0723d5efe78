/* Stale paths: a family that outlives its session or is being refreshed, and long-lived stale ones. */
#include <stdio.h>

#include "lib/community.h"
#include "receiver.h"
#include "rib_fixture.h"

static const char P[] = "10.1.0.0/16", Q[] = "10.2.0.0/16", V6[] = "2001:db8:1::/48";

/* One peer that has said P, Q and V6; its next hop is reachable. */
static struct rib_peer *one_peer(struct fixture *x)
{
    fx_init(x, 1);
    struct rib_peer *a = fx_peer(x, 1, false);
    fx_update(x, a, P, fx_attr(x, 1, 1));
    fx_update(x, a, Q, fx_attr(x, 1, 1));
    fx_update(x, a, V6, fx_attr(x, 1, 1));
    fx_nexthop(x, 1, true, 0);
    fx_work(x);
    return a;
}

static bool is_stale(struct fixture *x, const char *prefix)
{
    struct prefix p = fx_prefix(prefix);
    enum family f = addr_family(&p.addr);
    const struct rib_path *best = fx_best(x, prefix);
    return best && rib_path_is_stale(x->rib, f, best);
}

static void a_stale_family_outlives_the_session_and_the_other_does_not(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x);
    rib_peer_stale(x.rib, a, FAM_IPV4);
    rib_peer_down(x.rib, a);
    fx_work(&x);
    CU_ASSERT(is_stale(&x, P));
    CU_ASSERT(is_stale(&x, Q));
    CU_ASSERT_EQUAL(fx_find(&x, V6), 0);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 2);
    CU_ASSERT_EQUAL(a->accepted[FAM_IPV4], 2);
    CU_ASSERT_EQUAL(a->stale[FAM_IPV4], 2);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV6], 0);
    fx_free(&x);
}

static void what_is_said_again_stays_and_the_rest_goes_at_the_end(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x);
    rib_peer_stale(x.rib, a, FAM_IPV4);
    rib_peer_down(x.rib, a);
    rib_peer_up(x.rib, a);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    CU_ASSERT(!is_stale(&x, P));
    CU_ASSERT(is_stale(&x, Q));
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 2);
    CU_ASSERT_EQUAL(a->stale[FAM_IPV4], 1);
    rib_peer_stale_end(x.rib, a, FAM_IPV4);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 1);
    CU_ASSERT_EQUAL(a->accepted[FAM_IPV4], 1);
    CU_ASSERT_EQUAL(a->stale[FAM_IPV4], 0);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number);
    CU_ASSERT_EQUAL(fx_find(&x, Q), 0);
    fx_free(&x);
}

static void the_same_said_again_is_no_change(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x);
    struct rib_stats before, after;
    rib_stats(x.rib, &before);
    rib_peer_stale(x.rib, a, FAM_IPV4);
    rib_peer_down(x.rib, a);
    rib_peer_stale_end(x.rib, a, FAM_IPV6); /* none: no-op */
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    fx_update(&x, a, Q, fx_attr(&x, 1, 1));
    rib_peer_stale_end(x.rib, a, FAM_IPV4);
    fx_update(&x, a, V6, fx_attr(&x, 1, 1));
    fx_work(&x);
    rib_stats(x.rib, &after);
    CU_ASSERT_EQUAL(after.version, before.version); /* V6 was not even visited in between */
    CU_ASSERT_EQUAL(after.paths[FAM_IPV4], 2);
    fx_free(&x);
}

static void stale_within_a_session_is_a_refresh(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x);
    rib_peer_stale(x.rib, a, FAM_IPV4);
    CU_ASSERT(is_stale(&x, P));
    CU_ASSERT(!is_stale(&x, V6));
    fx_update(&x, a, P, fx_attr(&x, 1, 2));
    fx_withdraw(&x, a, Q);
    CU_ASSERT_EQUAL(a->stale[FAM_IPV4], 0);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 1);
    rib_peer_stale_end(x.rib, a, FAM_IPV4);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number);
    CU_ASSERT_EQUAL(fx_find(&x, Q), 0);
    fx_free(&x);
}

static void a_second_restart_drops_what_was_stale_already(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x);
    rib_peer_stale(x.rib, a, FAM_IPV4);
    rib_peer_down(x.rib, a);
    rib_peer_up(x.rib, a);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    rib_peer_stale(x.rib, a, FAM_IPV4);
    rib_peer_down(x.rib, a);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 1);
    CU_ASSERT_EQUAL(a->stale[FAM_IPV4], 1);
    fx_work(&x);
    CU_ASSERT(is_stale(&x, P));
    CU_ASSERT_EQUAL(fx_find(&x, Q), 0);
    rib_peer_stale(x.rib, a, FAM_IPV4); /* nothing came since: nothing is left */
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_find(&x, P), 0);
    fx_free(&x);
}

static void more_may_become_stale_beside_what_is(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x);
    for (int i = 0; i < 5; i++) {
        rib_peer_stale_too(x.rib, a, FAM_IPV4);
        rib_peer_down(x.rib, a);
        rib_peer_up(x.rib, a);
        fx_update(&x, a, P, fx_attr(&x, 1, 1));
    }
    rib_peer_stale_too(x.rib, a, FAM_IPV4);
    fx_work(&x);
    CU_ASSERT(is_stale(&x, P));
    CU_ASSERT(is_stale(&x, Q));
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 2);
    CU_ASSERT_EQUAL(a->stale[FAM_IPV4], 2);
    rib_peer_stale_end(x.rib, a, FAM_IPV4);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_find(&x, P), 0);
    CU_ASSERT_EQUAL(fx_find(&x, Q), 0);
    fx_free(&x);
}

static void filtered_ones_are_counted_right(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x);
    rib_peer_stale(x.rib, a, FAM_IPV4);
    rib_peer_down(x.rib, a);
    x.verdict = IMPORT_POLICY;
    rib_reimport(x.rib, a);
    fx_work(&x);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 2);
    CU_ASSERT_EQUAL(a->accepted[FAM_IPV4], 0);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), -1);
    x.verdict = IMPORT_OK;
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    CU_ASSERT_EQUAL(a->accepted[FAM_IPV4], 1);
    rib_peer_stale_end(x.rib, a, FAM_IPV4);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 1);
    CU_ASSERT_EQUAL(a->accepted[FAM_IPV4], 1);
    fx_work(&x);
    fx_free(&x);
}

/* A stale generation may be as old as it likes: the ones that come after go around it. */
static void generations_go_around_the_stale_one(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x);
    char text[PREFIX_STRLEN];
    rib_peer_stale(x.rib, a, FAM_IPV4);
    rib_peer_down(x.rib, a);
    for (unsigned i = 0; i < 700; i++) {
        snprintf(text, sizeof text, "10.%u.%u.0/24", 10 + (i >> 8), i & 255);
        rib_peer_up(x.rib, a);
        fx_update(&x, a, text, fx_attr(&x, 1, 1));
        rib_peer_down(x.rib, a);
        CU_ASSERT_EQUAL_FATAL(a->paths[FAM_IPV4], 2);
    }
    fx_work(&x);
    struct rib_stats s;
    rib_stats(x.rib, &s);
    CU_ASSERT_EQUAL(s.paths[FAM_IPV4], 2);
    CU_ASSERT(is_stale(&x, P));
    CU_ASSERT(is_stale(&x, Q));
    fx_free(&x);
}

static void a_peer_cannot_use_up_the_generations(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x);
    char text[PREFIX_STRLEN];
    for (unsigned i = 0; i < 700; i++) {
        snprintf(text, sizeof text, "10.%u.%u.0/24", 10 + (i >> 8), i & 255);
        rib_peer_up(x.rib, a);
        fx_update(&x, a, text, fx_attr(&x, 1, 1));
        rib_peer_stale_too(x.rib, a, FAM_IPV4);
        rib_peer_down(x.rib, a);
    }
    fx_work(&x);
    struct rib_stats s;
    rib_stats(x.rib, &s);
    CU_ASSERT_EQUAL(s.paths[FAM_IPV4], a->stale[FAM_IPV4]);
    CU_ASSERT(a->stale[FAM_IPV4] >= 1 && a->stale[FAM_IPV4] <= 200);
    fx_free(&x);
}

/* A refresh that needs a generation when none is free is not begun: the sweep is not waited for. */
static void refreshes_without_end_wait_for_nothing(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x);
    unsigned begun = 0, refused = 0;
    char text[PREFIX_STRLEN];
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "10.%u.%u.0/24", 10 + (i >> 8), i & 255);
        fx_update(&x, a, text, fx_attr(&x, 1, 1));
        bool ok = rib_peer_refresh(x.rib, a, FAM_IPV4);
        begun += ok;
        refused += !ok;
        CU_ASSERT(!refused || rib_has_work(x.rib));
    }
    CU_ASSERT(begun > 100 && begun < 255);
    CU_ASSERT_EQUAL(begun + refused, 1000);
    CU_ASSERT(a->paths[FAM_IPV4] > a->stale[FAM_IPV4]);
    rib_peer_down(x.rib, a); /* one is always free for a session that is lost */
    CU_ASSERT(rib_has_work(x.rib));
    fx_work(&x);
    rib_peer_up(x.rib, a);
    fx_update(&x, a, P, fx_attr(&x, 1, 2));
    CU_ASSERT(rib_peer_refresh(x.rib, a, FAM_IPV4));
    fx_work(&x);
    CU_ASSERT(is_stale(&x, P));
    fx_free(&x);
}

/* A new identifier each time, and what was said before made stale each time. */
static void stale_paths_of_a_prefix_count_to_its_limit(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x), *b = fx_peer(&x, 2, false);
    struct prefix p = fx_prefix(P);
    uint32_t id = 1;
    rib_withdraw(x.rib, FAM_IPV4, &p, a, 0);
    fx_update(&x, b, P, fx_attr(&x, 2, 3));
    fx_nexthop(&x, 2, true, 0);
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < RIB_PATHS_MAX; i++) {
            const struct attr *at = fx_attr(&x, 1, 1 + id % 2);
            CU_ASSERT_EQUAL(rib_update(x.rib, FAM_IPV4, &p, a, id++, at), 0);
            attr_unref(x.attrs, at);
        }
        const struct attr *at = fx_attr(&x, 1, 1);
        CU_ASSERT(rib_update(x.rib, FAM_IPV4, &p, a, id, at) < 0);
        attr_unref(x.attrs, at);
        struct rib_stats s;
        rib_stats(x.rib, &s);
        CU_ASSERT(s.paths[FAM_IPV4] <= RIB_PATHS_MAX + 2); /* Q, and that of b */
        CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number);
        rib_peer_refresh(x.rib, a, FAM_IPV4);
        if (round % 10 == 9)
            fx_work(&x);
    }
    rib_peer_stale_end(x.rib, a, FAM_IPV4);
    fx_work(&x);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 0);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), b->number);
    fx_free(&x);
}

static void to_mark_a_family_walks_nothing(void)
{
    enum { N = 20000 };
    struct fixture x;
    struct rib_peer *a = one_peer(&x);
    for (uint32_t i = 0; i < N; i++) {
        struct ip_addr addr = addr_v4(0x20000000 + (i << 8));
        struct prefix p = prefix_make(&addr, 24);
        const struct attr *at = fx_attr(&x, 1, 1);
        CU_ASSERT_EQUAL(rib_update(x.rib, FAM_IPV4, &p, a, 0, at), 0);
        attr_unref(x.attrs, at);
    }
    fx_work(&x);
    struct rib_stats before, after;
    rib_stats(x.rib, &before);
    unsigned wanted = x.wanted_work;
    rib_peer_stale(x.rib, a, FAM_IPV4);
    rib_peer_stale(x.rib, a, FAM_IPV6);
    rib_peer_down(x.rib, a);
    CU_ASSERT_EQUAL(x.wanted_work, wanted);
    CU_ASSERT(!rib_work(x.rib));
    rib_stats(x.rib, &after);
    CU_ASSERT_EQUAL(after.version, before.version);
    CU_ASSERT_EQUAL(a->stale[FAM_IPV4], N + 2);
    fx_free(&x);
}

static void a_removed_peer_leaves_no_stale_paths(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x);
    rib_peer_stale(x.rib, a, FAM_IPV4);
    rib_peer_remove(x.rib, a);
    fx_work(&x);
    struct rib_stats s;
    rib_stats(x.rib, &s);
    CU_ASSERT_EQUAL(s.paths[FAM_IPV4] + s.paths[FAM_IPV6], 0);
    fx_free(&x);
}

/* Attributes with one community. */
static const struct attr *with_community(struct fixture *x, unsigned nexthop, unsigned hops, uint32_t c)
{
    const struct attr *plain = fx_attr(x, nexthop, hops);
    const uint8_t bytes[4] = {(uint8_t)(c >> 24), (uint8_t)(c >> 16), (uint8_t)(c >> 8), (uint8_t)c};
    struct attr_build b;
    attr_to_build(x->attrs, plain, &b);
    b.part[PART_COMMUNITY] = bytes;
    b.part_len[PART_COMMUNITY] = sizeof bytes;
    const struct attr *a = attr_intern(x->attrs, &b);
    attr_unref(x->attrs, plain);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    return a;
}

static bool best_has(struct fixture *x, const char *prefix, uint32_t community)
{
    const struct rib_path *best = fx_best(x, prefix);
    return best && attr_has_community(rib_path_attr(x->rib, best), community);
}

static void long_lived_stale_paths_lose_against_any_other(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x), *b = fx_peer(&x, 2, false);
    fx_nexthop(&x, 2, true, 0);
    fx_update(&x, b, P, fx_attr(&x, 2, 4)); /* a longer path */
    fx_nexthop(&x, 2, true, 0);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number);
    rib_peer_stale(x.rib, a, FAM_IPV4);
    rib_peer_down(x.rib, a);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number);
    rib_peer_stale_long(x.rib, a, FAM_IPV4);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), b->number);
    CU_ASSERT_EQUAL(rib_entry(x.rib, FAM_IPV4, fx_find(&x, P))->selection, SELECT_STALE);
    CU_ASSERT_EQUAL(fx_best_peer(&x, Q), a->number); /* better than none */
    CU_ASSERT(best_has(&x, Q, COMMUNITY_LLGR_STALE));
    rib_peer_up(x.rib, a);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    fx_update(&x, a, Q, fx_attr(&x, 1, 1));
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number);
    CU_ASSERT(!best_has(&x, Q, COMMUNITY_LLGR_STALE));
    fx_free(&x);
}

static void no_llgr_is_not_kept_that_long(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x);
    fx_update(&x, a, P, with_community(&x, 1, 1, COMMUNITY_NO_LLGR));
    rib_peer_stale(x.rib, a, FAM_IPV4);
    rib_peer_down(x.rib, a);
    CU_ASSERT(is_stale(&x, P)); /* RFC 4724 knows nothing of it */
    rib_peer_stale_long(x.rib, a, FAM_IPV4);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_find(&x, P), 0);
    CU_ASSERT(is_stale(&x, Q));
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 1);
    CU_ASSERT_EQUAL(a->stale[FAM_IPV4], 1);
    fx_free(&x);
}

static void what_was_said_again_does_not_become_long_lived(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x);
    rib_peer_stale(x.rib, a, FAM_IPV4);
    rib_peer_down(x.rib, a);
    rib_peer_up(x.rib, a);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    rib_peer_stale_long(x.rib, a, FAM_IPV4);
    fx_work(&x);
    CU_ASSERT(!best_has(&x, P, COMMUNITY_LLGR_STALE));
    CU_ASSERT(best_has(&x, Q, COMMUNITY_LLGR_STALE));
    fx_free(&x);
}

/* The mark of another speaker weighs as much as our own. */
static void a_received_llgr_stale_is_the_least_preferred(void)
{
    struct fixture x;
    struct rib_peer *a = one_peer(&x), *b = fx_peer(&x, 2, false);
    fx_update(&x, b, P, fx_attr(&x, 2, 4));
    fx_nexthop(&x, 2, true, 0);
    fx_work(&x);
    fx_update(&x, a, P, with_community(&x, 1, 1, COMMUNITY_LLGR_STALE));
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), b->number);
    fx_free(&x);
}

static const struct unit_case cases[] = {
    UNIT(a_stale_family_outlives_the_session_and_the_other_does_not),
    UNIT(what_is_said_again_stays_and_the_rest_goes_at_the_end),
    UNIT(the_same_said_again_is_no_change),
    UNIT(stale_within_a_session_is_a_refresh),
    UNIT(a_second_restart_drops_what_was_stale_already),
    UNIT(more_may_become_stale_beside_what_is),
    UNIT(filtered_ones_are_counted_right),
    UNIT(generations_go_around_the_stale_one),
    UNIT(a_peer_cannot_use_up_the_generations),
    UNIT(refreshes_without_end_wait_for_nothing),
    UNIT(stale_paths_of_a_prefix_count_to_its_limit),
    UNIT(to_mark_a_family_walks_nothing),
    UNIT(a_removed_peer_leaves_no_stale_paths),
    UNIT(long_lived_stale_paths_lose_against_any_other),
    UNIT(no_llgr_is_not_kept_that_long),
    UNIT(what_was_said_again_does_not_become_long_lived),
    UNIT(a_received_llgr_stale_is_the_least_preferred),
};
UNIT_MAIN("rib_stale", cases)
