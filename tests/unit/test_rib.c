/* The RIB: paths, sources and their generations, background work, subscribers, the FIB's side. */
#include <errno.h>
#include <stdio.h>

#include "rib_fixture.h"

static const char P[] = "10.1.0.0/16";

static uint32_t fib_desired(struct fixture *x, const char *prefix, int expect)
{
    uint32_t group;
    CU_ASSERT_EQUAL(rib_fib_desired(x->rib, FAM_IPV4, fx_find(x, prefix), &group), expect);
    CU_ASSERT_EQUAL(group != 0, expect == FM_ROUTE_SET);
    return group;
}

static unsigned group_size(struct fixture *x, const char *prefix)
{
    const struct nhgroup_member *m;
    uint32_t g = fib_desired(x, prefix, FM_ROUTE_SET);
    unsigned n = nhgroup_members(x->nexthops, g, &m);
    nhgroup_put(x->nexthops, g);
    return n;
}

/* Two peers whose next hops are reachable. */
static struct rib_peer *two_peers(struct fixture *x, unsigned multipath, struct rib_peer **b)
{
    fx_init(x, multipath);
    struct rib_peer *a = fx_peer(x, 1, false);
    *b = fx_peer(x, 2, false);
    /* Attributes that stay keep the next hops watched, so that their state is not lost between two updates.
     */
    fx_update(x, a, "192.0.2.1/32", fx_attr(x, 1, 1));
    fx_update(x, *b, "192.0.2.2/32", fx_attr(x, 2, 1));
    fx_nexthop(x, 1, true, 0);
    fx_nexthop(x, 2, true, 0);
    fx_work(x);
    return a;
}

static void a_path_is_found_and_withdrawn(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    CU_ASSERT_EQUAL(fx_find(&x, P), 0);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 2);
    fx_withdraw(&x, a, P);
    CU_ASSERT_EQUAL(fx_find(&x, P), 0);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 1);
    fx_free(&x);
}

static void withdraw_of_unknown_prefix_is_noop(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    fx_withdraw(&x, a, P);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    fx_withdraw(&x, b, P);
    fx_unoriginate(&x, P);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number);
    CU_ASSERT_EQUAL(b->paths[FAM_IPV4], 1);
    fx_free(&x);
}

static uint32_t since(struct fixture *x)
{
    return rib_best(x->rib, rib_entry(x->rib, FAM_IPV4, fx_find(x, P)))->since;
}

static void a_path_knows_when_it_changed_last(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    rib_set_now(x.rib, 100);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    CU_ASSERT_EQUAL(since(&x), 100);
    rib_set_now(x.rib, 200);
    fx_update(&x, a, P, fx_attr(&x, 1, 1)); /* the same again is no change */
    CU_ASSERT_EQUAL(since(&x), 100);
    fx_update(&x, a, P, fx_attr(&x, 1, 2));
    CU_ASSERT_EQUAL(since(&x), 200);
    rib_set_now(x.rib, UINT64_MAX); /* stands still instead of wrapping */
    fx_update(&x, a, P, fx_attr(&x, 1, 3));
    CU_ASSERT_EQUAL(since(&x), (1u << 26) - 1);
    fx_free(&x);
}

static void an_update_replaces_the_path_of_its_peer(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    fx_update(&x, b, P, fx_attr(&x, 2, 2));
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number);
    fx_update(&x, a, P, fx_attr(&x, 1, 3));
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), b->number);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 2);
    CU_ASSERT_EQUAL(rib_entry(x.rib, FAM_IPV4, fx_find(&x, P))->selection, SELECT_AS_PATH);
    fx_free(&x);
}

static void families_and_lengths_do_not_mix(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    static const char *const prefixes[] = {"0.0.0.0/0", "10.0.0.0/8",    "10.0.0.0/9",    "::/0",
                                           "a00::/8",   "2001:db8::/32", "2001:db8::/128"};
    for (unsigned i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        fx_update(&x, i % 2 ? a : b, prefixes[i], fx_attr(&x, i % 2 ? 1 : 2, 1));
    for (unsigned i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        CU_ASSERT_EQUAL(fx_best_peer(&x, prefixes[i]), (i % 2 ? a : b)->number);
        struct prefix p = fx_prefix(prefixes[i]), out;
        enum family f = addr_family(&p.addr);
        rib_entry_prefix(x.rib, f, rib_entry(x.rib, f, rib_find(x.rib, f, &p)), &out);
        CU_ASSERT(prefix_equal(&p, &out));
    }
    CU_ASSERT_EQUAL(a->paths[FAM_IPV6] + b->paths[FAM_IPV6], 4);
    struct ip_addr in = fx_prefix("10.1.2.3").addr;
    CU_ASSERT_EQUAL(rib_match(x.rib, FAM_IPV4, &in), fx_find(&x, "10.0.0.0/9"));
    in = fx_prefix("203.0.113.1").addr;
    CU_ASSERT_EQUAL(rib_match(x.rib, FAM_IPV4, &in), fx_find(&x, "0.0.0.0/0"));
    fx_free(&x);
}

static void filtered_paths_stay_but_are_no_candidates(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    x.verdict = IMPORT_MARTIAN;
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), -1);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 2);
    CU_ASSERT_EQUAL(a->accepted[FAM_IPV4], 1);
    x.verdict = IMPORT_OK;
    rib_reimport(x.rib, b);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), -1); /* another peer's */
    rib_reimport(x.rib, a);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), -1); /* in the background */
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number);
    CU_ASSERT_EQUAL(a->accepted[FAM_IPV4], 2);
    x.verdict = IMPORT_POLICY;
    struct prefix p = fx_prefix(P), none = fx_prefix("192.0.2.0/30");
    rib_reimport_prefix(x.rib, FAM_IPV4, &none);
    rib_reimport_prefix(x.rib, FAM_IPV4, &p);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), -1); /* at once, and the others are as they were */
    CU_ASSERT_EQUAL(a->accepted[FAM_IPV4], 1);
    CU_ASSERT(b->accepted[FAM_IPV4] > 0);
    rib_reimport(x.rib, NULL);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), -1);
    CU_ASSERT_EQUAL(a->accepted[FAM_IPV4] + b->accepted[FAM_IPV4], 0);
    CU_ASSERT_EQUAL(rib_path(x.rib, rib_entry(x.rib, FAM_IPV4, fx_find(&x, P))->paths)->reason,
                    IMPORT_POLICY);
    fx_withdraw(&x, a, P);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 1);
    fx_free(&x);
}

static void unresolved_next_hops_wait_for_the_answer(void)
{
    struct fixture x;
    fx_init(&x, 1);
    struct rib_peer *a = fx_peer(&x, 1, false);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), -1);
    CU_ASSERT_EQUAL(a->accepted[FAM_IPV4], 1);
    fx_nexthop(&x, 1, true, 0);
    CU_ASSERT(x.wanted_work > 0);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number);
    fx_nexthop(&x, 1, false, 0);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), -1);
    fx_free(&x);
}

static void a_peer_one_hop_away_names_next_hops_of_the_subnet_only(void)
{
    struct ip_addr addr = fx_addr(1);
    struct fm_nexthop_state s = {.nexthop.af = AF_INET, .flags = FM_NH_REACHABLE, .ifindex = 1};
    struct fixture x;
    fx_init(&x, 1);
    struct rib_peer *a = fx_peer(&x, 1, false);
    a->one_hop = true;
    memcpy(s.nexthop.addr, addr.b, sizeof s.nexthop.addr);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    uint32_t id = nexthop_set_state(x.nexthops, &s);
    CU_ASSERT(id != 0);
    rib_nexthop_changed(x.rib, id);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), -1); /* reachable over another router */
    s.flags |= FM_NH_CONNECTED;
    CU_ASSERT_EQUAL(nexthop_set_state(x.nexthops, &s), id);
    rib_nexthop_changed(x.rib, id);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number);
    fx_free(&x);
}

static void interior_cost_decides_and_changes(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    fx_update(&x, b, P, fx_attr(&x, 2, 1));
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number); /* router id */
    fx_nexthop(&x, 1, true, 10);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), b->number);
    fx_free(&x);
}

static void a_lost_session_is_swept_in_bounded_steps(void)
{
    enum { N = 20000 };
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    for (uint32_t i = 0; i < N; i++) {
        struct ip_addr addr = addr_v4(0x20000000 + (i << 8));
        struct prefix p = prefix_make(&addr, 24);
        const struct attr *at = fx_attr(&x, 1, 1);
        CU_ASSERT_EQUAL(rib_update(x.rib, FAM_IPV4, &p, a, 0, at), 0);
        attr_unref(x.attrs, at);
    }
    rib_peer_down(x.rib, a);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4] + a->accepted[FAM_IPV4], 0);
    struct rib_stats s;
    unsigned steps = 0;
    for (uint32_t before = N + 2;; before = s.paths[FAM_IPV4], steps++) {
        bool more = rib_work(x.rib);
        rib_stats(x.rib, &s);
        CU_ASSERT(before - s.paths[FAM_IPV4] <= 4096);
        if (!more)
            break;
    }
    CU_ASSERT(steps >= N / 4096);
    CU_ASSERT_EQUAL(s.paths[FAM_IPV4], 1);
    CU_ASSERT_EQUAL(s.prefixes[FAM_IPV4], 1);
    CU_ASSERT_EQUAL(b->paths[FAM_IPV4], 1);
    fx_free(&x);
}

static void a_new_session_delivers_while_the_old_is_swept(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    fx_update(&x, a, "10.2.0.0/16", fx_attr(&x, 1, 1));
    fx_update(&x, a, "10.3.0.0/16", fx_attr(&x, 1, 1));
    fx_update(&x, b, "10.3.0.0/16", fx_attr(&x, 2, 2));
    rib_peer_down(x.rib, a);
    rib_peer_up(x.rib, a);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    fx_withdraw(&x, a, "10.2.0.0/16"); /* of the old one: no matter */
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 1);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number);
    CU_ASSERT_EQUAL(fx_find(&x, "10.2.0.0/16"), 0);
    CU_ASSERT_EQUAL(fx_best_peer(&x, "10.3.0.0/16"), b->number);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 1);
    CU_ASSERT_EQUAL(a->accepted[FAM_IPV4], 1);
    fx_free(&x);
}

static void generations_are_not_confused_when_they_wrap(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    char text[PREFIX_STRLEN];
    for (unsigned i = 0; i < 600; i++) { /* no sweep in between: each session leaves one path */
        snprintf(text, sizeof text, "10.%u.%u.0/24", i >> 8, i & 255);
        fx_update(&x, a, text, fx_attr(&x, 1, 1));
        rib_peer_down(x.rib, a);
        rib_peer_up(x.rib, a);
    }
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    fx_work(&x);
    struct rib_stats s;
    rib_stats(x.rib, &s);
    CU_ASSERT_EQUAL(s.paths[FAM_IPV4], 2); /* P and b's */
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number);
    fx_free(&x);
}

static void a_removed_peers_number_is_free_after_the_sweep(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    uint16_t number = a->number;
    rib_peer_remove(x.rib, a);
    CU_ASSERT_NOT_EQUAL(fx_peer(&x, 3, false)->number, number);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_find(&x, "192.0.2.1/32"), 0);
    CU_ASSERT_PTR_NULL(rib_peer_by_number(x.rib, number));
    CU_ASSERT_EQUAL(fx_peer(&x, 4, false)->number, number);
    fx_free(&x);
}

static void originated_wins_and_its_kind_decides_what_the_fib_gets(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    fx_originate(&x, P, ORIGIN_KIND_POD_CIDR);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), 0);
    CU_ASSERT_EQUAL(rib_entry(x.rib, FAM_IPV4, fx_find(&x, P))->selection, SELECT_LOCAL);
    fib_desired(&x, P, FM_ROUTE_UNREACHABLE);
    for (enum origin_kind k = ORIGIN_KIND_STATIC; k <= ORIGIN_KIND_INTERFACE; k++) {
        fx_originate(&x, P, k);
        fib_desired(&x, P, k == ORIGIN_KIND_POD_CIDR ? FM_ROUTE_UNREACHABLE : 0);
    }
    fx_unoriginate(&x, P);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), a->number);
    CU_ASSERT_EQUAL(group_size(&x, P), 1);
    fx_free(&x);
}

static void multipaths_make_one_group(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 2, &b);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    fx_update(&x, b, P, fx_attr(&x, 2, 1));
    CU_ASSERT_EQUAL(group_size(&x, P), 2);
    fx_nexthop(&x, 1, false, 0);
    fx_work(&x);
    CU_ASSERT_EQUAL(group_size(&x, P), 1);
    fx_nexthop(&x, 1, true, 0);
    fx_work(&x);
    CU_ASSERT_EQUAL(group_size(&x, P), 2);
    struct rib_config c = {.multipath = 1, .default_local_pref = 100};
    rib_set_config(x.rib, &c);
    fx_work(&x);
    CU_ASSERT_EQUAL(group_size(&x, P), 1);
    fx_free(&x);
}

static void the_fib_keeps_an_entry_until_the_removal_is_answered(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    uint32_t i = fx_find(&x, P), g = fib_desired(&x, P, FM_ROUTE_SET);
    CU_ASSERT_FALSE(rib_fib_is_current(x.rib, FAM_IPV4, i, FM_ROUTE_SET, g));
    rib_fib_sent(x.rib, FAM_IPV4, i, FM_ROUTE_SET, g);
    CU_ASSERT(rib_fib_is_current(x.rib, FAM_IPV4, i, FM_ROUTE_SET, g));
    CU_ASSERT_EQUAL(rib_entry(x.rib, FAM_IPV4, i)->fib, FIB_PENDING);
    rib_fib_result(x.rib, FAM_IPV4, i, FM_ROUTE_SET, 0);
    CU_ASSERT_EQUAL(rib_entry(x.rib, FAM_IPV4, i)->fib, FIB_INSTALLED);
    fx_withdraw(&x, a, P);
    CU_ASSERT_EQUAL(fx_find(&x, P), i);
    fib_desired(&x, P, 0);
    rib_fib_sent(x.rib, FAM_IPV4, i, 0, 0);
    rib_release(x.rib, FAM_IPV4, i);
    rib_fib_result(x.rib, FAM_IPV4, i, FM_ROUTE_SET, -EEXIST); /* a late word on what was there before */
    CU_ASSERT_EQUAL(rib_entry(x.rib, FAM_IPV4, i)->fib, FIB_PENDING);
    rib_fib_result(x.rib, FAM_IPV4, i, FM_ROUTE_DEL, 0);
    CU_ASSERT_EQUAL(fx_find(&x, P), 0);
    rib_fib_result(x.rib, FAM_IPV4, i, FM_ROUTE_DEL, 0); /* of an entry that is gone */
    rib_fib_result(x.rib, FAM_IPV4, 1u << 30, FM_ROUTE_DEL, 0);
    fx_free(&x);
}

static void a_late_removal_result_does_not_hit_the_new_route(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    uint32_t i = fx_find(&x, P);
    rib_fib_sent(x.rib, FAM_IPV4, i, FM_ROUTE_SET, fib_desired(&x, P, FM_ROUTE_SET));
    fx_withdraw(&x, a, P);
    rib_fib_sent(x.rib, FAM_IPV4, i, 0, 0);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    rib_fib_sent(x.rib, FAM_IPV4, i, FM_ROUTE_SET, fib_desired(&x, P, FM_ROUTE_SET));
    rib_fib_result(x.rib, FAM_IPV4, i, FM_ROUTE_DEL, 0);
    CU_ASSERT_EQUAL(rib_entry(x.rib, FAM_IPV4, i)->fib, FIB_PENDING);
    rib_fib_result(x.rib, FAM_IPV4, i, FM_ROUTE_SET, 0);
    CU_ASSERT_EQUAL(rib_entry(x.rib, FAM_IPV4, i)->fib, FIB_INSTALLED);
    fx_originate(&x, P, ORIGIN_KIND_POD_CIDR);
    rib_fib_sent(x.rib, FAM_IPV4, i, FM_ROUTE_UNREACHABLE, 0);
    CU_ASSERT_EQUAL(rib_fib_told(x.rib, FAM_IPV4, i), FM_ROUTE_UNREACHABLE);
    rib_fib_result(x.rib, FAM_IPV4, i, FM_ROUTE_SET, 0);
    CU_ASSERT_EQUAL(rib_entry(x.rib, FAM_IPV4, i)->fib, FIB_PENDING);
    rib_fib_result(x.rib, FAM_IPV4, i, FM_ROUTE_UNREACHABLE, 0);
    CU_ASSERT_EQUAL(rib_entry(x.rib, FAM_IPV4, i)->fib, FIB_INSTALLED);
    fx_free(&x);
}

static void failures_keep_their_error_until_an_unasked_for_success(void)
{
    enum { N = 100 };
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    uint32_t index[N];
    struct rib_stats s;
    for (int i = 0; i < N; i++) {
        char text[PREFIX_STRLEN];
        snprintf(text, sizeof text, "10.1.%d.0/24", i);
        fx_update(&x, a, text, fx_attr(&x, 1, 1));
        index[i] = fx_find(&x, text);
        rib_fib_sent(x.rib, FAM_IPV4, index[i], FM_ROUTE_SET, fib_desired(&x, text, FM_ROUTE_SET));
        rib_fib_result(x.rib, FAM_IPV4, index[i], FM_ROUTE_SET, -1000 - i);
    }
    rib_stats(x.rib, &s);
    CU_ASSERT_EQUAL(s.fib[FAM_IPV4][FIB_FAILED], N);
    for (int i = 0; i < N; i += 2)
        rib_fib_result(x.rib, FAM_IPV4, index[i], FM_ROUTE_SET, 0);
    for (int i = 0; i < N; i++) {
        CU_ASSERT_EQUAL(rib_fib_error(x.rib, FAM_IPV4, index[i]), i % 2 ? -1000 - i : 0);
        CU_ASSERT_EQUAL(rib_entry(x.rib, FAM_IPV4, index[i])->fib, i % 2 ? FIB_FAILED : FIB_INSTALLED);
    }
    rib_fib_result(x.rib, FAM_IPV4, index[0], FM_ROUTE_SET, FM_E_CONFLICT);
    CU_ASSERT_EQUAL(rib_fib_error(x.rib, FAM_IPV4, index[0]), FM_E_CONFLICT);
    rib_stats(x.rib, &s);
    CU_ASSERT_EQUAL(s.fib[FAM_IPV4][FIB_INSTALLED], N / 2 - 1);
    CU_ASSERT_EQUAL(s.fib[FAM_IPV4][FIB_NONE], 2);
    fx_free(&x);
}

struct watcher {
    struct rib_sub sub;
    unsigned woken;
    bool holding;
};

static void on_wake(void *arg)
{
    ((struct watcher *)arg)->woken++;
}

static bool on_holds(void *arg, enum family f, uint32_t index)
{
    (void)f, (void)index;
    return ((struct watcher *)arg)->holding;
}

static void watch(struct fixture *x, struct watcher *w, bool originated_only, bool forwarding)
{
    *w = (struct watcher){.sub = {.family = {true, false},
                                  .originated_only = originated_only,
                                  .forwarding = forwarding,
                                  .wake = on_wake,
                                  .holds = on_holds,
                                  .arg = w}};
    rib_subscribe(x->rib, &w->sub);
}

/* Whether it was marked; serves it. */
static bool take(struct fixture *x, struct watcher *w, uint32_t index)
{
    bool marked = dirty_test(&w->sub.dirty[FAM_IPV4], index);
    dirty_clear(&w->sub.dirty[FAM_IPV4], index);
    rib_release(x->rib, FAM_IPV4, index);
    return marked;
}

static void subscribers_hear_what_they_care_for(void)
{
    struct fixture x;
    struct watcher fib, all, own;
    struct rib_peer *b, *a = two_peers(&x, 2, &b);
    watch(&x, &fib, false, true);
    watch(&x, &all, false, false);
    watch(&x, &own, true, false);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    uint32_t i = fx_find(&x, P);
    CU_ASSERT(take(&x, &fib, i) && take(&x, &all, i) && !take(&x, &own, i));
    CU_ASSERT(fib.woken == 1 && all.woken == 1 && own.woken == 0);
    fx_update(&x, a, P, fx_attr(&x, 1, 1)); /* the same again */
    CU_ASSERT(!take(&x, &fib, i) && !take(&x, &all, i));
    fx_update(&x, b, P, fx_attr(&x, 2, 1)); /* a second path of the group */
    CU_ASSERT(take(&x, &fib, i) && !take(&x, &all, i));
    fx_update(&x, b, P, fx_attr_med(&x, 2, 65002, 1, 5)); /* other attributes of it */
    CU_ASSERT(take(&x, &fib, i) && !take(&x, &all, i));
    fx_update(&x, a, P, fx_attr_med(&x, 1, 65001, 1, 5)); /* and of the best */
    CU_ASSERT(take(&x, &fib, i) && take(&x, &all, i));
    fx_originate(&x, P, ORIGIN_KIND_VIP);
    CU_ASSERT(take(&x, &fib, i) && take(&x, &all, i) && take(&x, &own, i));
    fx_withdraw(&x, a, P); /* not the best any more */
    CU_ASSERT(!take(&x, &fib, i) && !take(&x, &all, i) && !take(&x, &own, i));
    fx_unoriginate(&x, P);
    CU_ASSERT(take(&x, &own, i) && take(&x, &all, i) && take(&x, &fib, i));
    rib_unsubscribe(x.rib, &fib.sub);
    rib_unsubscribe(x.rib, &all.sub);
    rib_unsubscribe(x.rib, &own.sub);
    fx_free(&x);
}

static void an_entry_lives_while_somebody_has_to_say_it_is_gone(void)
{
    struct fixture x;
    struct watcher w;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    watch(&x, &w, false, false);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    fx_withdraw(&x, a, P);
    uint32_t i = fx_find(&x, P);
    CU_ASSERT(i != 0); /* dirty */
    w.holding = true;
    CU_ASSERT(take(&x, &w, i));
    CU_ASSERT_EQUAL(fx_find(&x, P), i); /* held */
    w.holding = false;
    rib_release(x.rib, FAM_IPV4, i);
    CU_ASSERT_EQUAL(fx_find(&x, P), 0);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    fx_withdraw(&x, a, P);
    CU_ASSERT(fx_find(&x, P) != 0);
    rib_unsubscribe(x.rib, &w.sub);
    fx_work(&x);
    CU_ASSERT_EQUAL(fx_find(&x, P), 0);
    fx_free(&x);
}

static void mark_all_is_what_the_subscriber_cares_for(void)
{
    struct fixture x;
    struct watcher all, own;
    struct rib_peer *b;
    two_peers(&x, 1, &b);
    fx_originate(&x, P, ORIGIN_KIND_VIP);
    watch(&x, &all, false, false);
    watch(&x, &own, true, false);
    CU_ASSERT_EQUAL(rib_mark_all(x.rib, &all.sub, FAM_IPV4), 0);
    CU_ASSERT_EQUAL(rib_mark_all(x.rib, &own.sub, FAM_IPV4), 0);
    CU_ASSERT(all.woken == 1 && own.woken == 1);
    CU_ASSERT_EQUAL(own.sub.dirty[FAM_IPV4].count, 1);
    CU_ASSERT(take(&x, &own, fx_find(&x, P)) && take(&x, &all, fx_find(&x, P)));
    CU_ASSERT(take(&x, &all, fx_find(&x, "192.0.2.1/32")));
    rib_unsubscribe(x.rib, &all.sub);
    rib_unsubscribe(x.rib, &own.sub);
    fx_free(&x);
}

static void the_version_counts_best_path_changes(void)
{
    struct fixture x;
    struct rib_stats before, s;
    struct rib_peer *b, *a = two_peers(&x, 2, &b);
    rib_stats(x.rib, &before);
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    fx_update(&x, b, P, fx_attr(&x, 2, 1));
    fx_update(&x, b, P, fx_attr(&x, 2, 1));
    fx_withdraw(&x, a, P);
    rib_stats(x.rib, &s);
    CU_ASSERT_EQUAL(s.version - before.version, 2);
    fx_free(&x);
}

/* A step is bounded by what it looks at, also where each prefix has many paths. */
static void a_step_of_the_walk_is_bounded_by_paths(void)
{
    enum { PREFIXES = 512, PATHS = 32 };
    struct fixture x;
    unsigned steps = 1;
    fx_init(&x, 1);
    for (unsigned k = 1; k <= PATHS; k++) {
        struct rib_peer *peer = fx_peer(&x, k, false);
        const struct attr *a = fx_attr(&x, k, 1);
        for (uint32_t i = 0; i < PREFIXES; i++) {
            struct ip_addr addr = addr_v4(0x20000000 + (i << 8));
            struct prefix p = prefix_make(&addr, 24);
            CU_ASSERT_EQUAL(rib_update(x.rib, FAM_IPV4, &p, peer, 0, a), 0);
        }
        attr_unref(x.attrs, a);
    }
    fx_nexthop(&x, 1, true, 0);
    while (rib_work(x.rib))
        steps++;
    CU_ASSERT(steps >= PREFIXES * PATHS / 4096);
    fx_free(&x);
}

/* The walk is on its way while prefixes come and go and other reasons arrive. */
static void reasons_that_arrive_during_a_walk_are_done_too(void)
{
    enum { N = 10000 };
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    for (uint32_t i = 0; i < N; i++) {
        struct ip_addr addr = addr_v4(0x20000000 + (i << 8));
        struct prefix p = prefix_make(&addr, 24);
        const struct attr *at = fx_attr(&x, 1, 1);
        CU_ASSERT_EQUAL(rib_update(x.rib, FAM_IPV4, &p, a, 0, at), 0);
        attr_unref(x.attrs, at);
    }
    fx_nexthop(&x, 1, false, 0);
    CU_ASSERT(rib_work(x.rib));
    fx_nexthop(&x, 1, true, 0); /* half of them have seen the first change only */
    CU_ASSERT(rib_work(x.rib));
    x.verdict = IMPORT_POLICY;
    rib_reimport(x.rib, a);
    CU_ASSERT(rib_work(x.rib));
    x.verdict = IMPORT_OK;
    rib_reimport(x.rib, a);
    rib_peer_down(x.rib, b);
    fx_work(&x);
    CU_ASSERT_EQUAL(a->accepted[FAM_IPV4], N + 1);
    unsigned best = 0;
    for (uint32_t i = 1; i < rib_limit(x.rib, FAM_IPV4); i++)
        best += rib_entry_used(x.rib, FAM_IPV4, i) && rib_best(x.rib, rib_entry(x.rib, FAM_IPV4, i));
    CU_ASSERT_EQUAL(best, N + 1);
    CU_ASSERT_EQUAL(fx_find(&x, "192.0.2.2/32"), 0);
    fx_free(&x);
}

static int put_path(struct fixture *x, struct rib_peer *peer, const char *prefix, uint32_t id,
                    const struct attr *a)
{
    struct prefix p = fx_prefix(prefix);
    int r = rib_update(x->rib, addr_family(&p.addr), &p, peer, id, a);
    attr_unref(x->attrs, a);
    return r;
}

static void drop_path(struct fixture *x, struct rib_peer *peer, const char *prefix, uint32_t id)
{
    struct prefix p = fx_prefix(prefix);
    CU_ASSERT_EQUAL(rib_withdraw(x->rib, addr_family(&p.addr), &p, peer, id), 0);
}

static uint32_t best_id(struct fixture *x, const char *prefix)
{
    return rib_path_id(x->rib, rib_entry(x->rib, FAM_IPV4, fx_find(x, prefix))->paths);
}

static void paths_of_one_peer_are_told_apart_by_their_id(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    CU_ASSERT_EQUAL(put_path(&x, a, P, 7, fx_attr(&x, 1, 2)), 0);
    CU_ASSERT_EQUAL(put_path(&x, a, P, 9, fx_attr(&x, 2, 1)), 0);
    CU_ASSERT_EQUAL(put_path(&x, a, P, 0, fx_attr(&x, 2, 3)), 0);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 1 + 3);
    CU_ASSERT_EQUAL(best_id(&x, P), 9);
    CU_ASSERT_EQUAL(put_path(&x, a, P, 9, fx_attr(&x, 2, 4)), 0); /* replaces, and is worse now */
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 1 + 3);
    CU_ASSERT_EQUAL(best_id(&x, P), 7);
    drop_path(&x, a, P, 8); /* never heard of */
    drop_path(&x, b, P, 7); /* not its own */
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 1 + 3);
    drop_path(&x, a, P, 7);
    CU_ASSERT_EQUAL(best_id(&x, P), 0);
    drop_path(&x, a, P, 0);
    drop_path(&x, a, P, 9);
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 1);
    CU_ASSERT_EQUAL(fx_best_peer(&x, P), -1);
    /* What is free again has forgotten its identifier. */
    CU_ASSERT_EQUAL(put_path(&x, b, P, 0, fx_attr(&x, 2, 1)), 0);
    CU_ASSERT_EQUAL(best_id(&x, P), 0);
    fx_free(&x);
}

static void equal_paths_of_one_peer_are_multipaths_and_the_lowest_id_is_best(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 4, &b);
    CU_ASSERT_EQUAL(put_path(&x, a, P, 0xfffffffe, fx_attr(&x, 1, 1)), 0);
    CU_ASSERT_EQUAL(put_path(&x, a, P, 3, fx_attr(&x, 2, 1)), 0);
    CU_ASSERT_EQUAL(best_id(&x, P), 3);
    const struct rib_entry *e = rib_entry(x.rib, FAM_IPV4, fx_find(&x, P));
    CU_ASSERT_EQUAL(e->selection, SELECT_PATH_ID);
    for (uint32_t i = e->paths; i; i = rib_path(x.rib, i)->next)
        CU_ASSERT(rib_path(x.rib, i)->flags & PATH_MULTIPATH);
    uint32_t group;
    const struct nhgroup_member *members;
    CU_ASSERT_EQUAL(rib_fib_desired(x.rib, FAM_IPV4, fx_find(&x, P), &group), FM_ROUTE_SET);
    CU_ASSERT_EQUAL(nhgroup_members(x.nexthops, group, &members), 2);
    nhgroup_put(x.nexthops, group);
    fx_free(&x);
}

static void a_peer_has_so_many_paths_of_a_prefix_and_no_more(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 64, &b);
    for (uint32_t i = 1; i <= RIB_PATHS_MAX; i++)
        CU_ASSERT_EQUAL(put_path(&x, a, P, i, fx_attr_med(&x, 1, 65001, 1, i)), 0);
    CU_ASSERT_EQUAL(put_path(&x, a, P, 1000, fx_attr(&x, 1, 1)), -ENOSPC);
    CU_ASSERT_EQUAL(put_path(&x, a, P, RIB_PATHS_MAX, fx_attr(&x, 1, 1)), 0); /* a replacement fits */
    CU_ASSERT_EQUAL(put_path(&x, b, P, 1000, fx_attr(&x, 1, 1)), 0); /* the other has its own limit */
    CU_ASSERT_EQUAL(a->paths[FAM_IPV4], 1 + RIB_PATHS_MAX);
    rib_peer_down(x.rib, a); /* what waits for the sweep does not count for the next session */
    for (uint32_t i = 1; i <= RIB_PATHS_MAX; i++)
        CU_ASSERT_EQUAL(put_path(&x, a, P, 5000 + i, fx_attr(&x, 1, 1)), 0);
    fx_work(&x);
    struct rib_stats s;
    rib_stats(x.rib, &s);
    CU_ASSERT_EQUAL(s.paths[FAM_IPV4], RIB_PATHS_MAX + 2);
    fx_free(&x);
}

static void who_wants_all_paths_hears_of_each(void)
{
    struct fixture x;
    struct rib_peer *b, *a = two_peers(&x, 1, &b);
    struct rib_sub all = {.family = {true, true}, .all_paths = {true, false}},
                   best = {.family = {true, true}};
    fx_update(&x, a, P, fx_attr(&x, 1, 1));
    rib_subscribe(x.rib, &all);
    rib_subscribe(x.rib, &best);
    uint32_t i = fx_find(&x, P);
#define HEARD(what)                                                                                          \
    do {                                                                                                     \
        what;                                                                                                \
        fx_work(&x);                                                                                         \
        CU_ASSERT(dirty_test(&all.dirty[FAM_IPV4], i));                                                      \
        CU_ASSERT_FALSE(dirty_test(&best.dirty[FAM_IPV4], i));                                               \
        dirty_clear(&all.dirty[FAM_IPV4], i);                                                                \
    } while (0)
    HEARD(put_path(&x, b, P, 5, fx_attr(&x, 2, 2)));
    HEARD(put_path(&x, b, P, 5, fx_attr(&x, 2, 3)));
    HEARD(fx_nexthop(&x, 2, false, 0));
    HEARD(fx_nexthop(&x, 2, true, 0));
    x.verdict = IMPORT_POLICY;
    HEARD(rib_reimport(x.rib, b));
    HEARD(drop_path(&x, b, P, 5));
#undef HEARD
    rib_unsubscribe(x.rib, &all);
    rib_unsubscribe(x.rib, &best);
    fx_free(&x);
}

static const struct unit_case cases[] = {
    UNIT(a_path_is_found_and_withdrawn),
    UNIT(withdraw_of_unknown_prefix_is_noop),
    UNIT(an_update_replaces_the_path_of_its_peer),
    UNIT(a_path_knows_when_it_changed_last),
    UNIT(families_and_lengths_do_not_mix),
    UNIT(filtered_paths_stay_but_are_no_candidates),
    UNIT(unresolved_next_hops_wait_for_the_answer),
    UNIT(a_peer_one_hop_away_names_next_hops_of_the_subnet_only),
    UNIT(interior_cost_decides_and_changes),
    UNIT(a_lost_session_is_swept_in_bounded_steps),
    UNIT(a_new_session_delivers_while_the_old_is_swept),
    UNIT(generations_are_not_confused_when_they_wrap),
    UNIT(a_removed_peers_number_is_free_after_the_sweep),
    UNIT(originated_wins_and_its_kind_decides_what_the_fib_gets),
    UNIT(multipaths_make_one_group),
    UNIT(the_fib_keeps_an_entry_until_the_removal_is_answered),
    UNIT(a_late_removal_result_does_not_hit_the_new_route),
    UNIT(failures_keep_their_error_until_an_unasked_for_success),
    UNIT(subscribers_hear_what_they_care_for),
    UNIT(an_entry_lives_while_somebody_has_to_say_it_is_gone),
    UNIT(mark_all_is_what_the_subscriber_cares_for),
    UNIT(the_version_counts_best_path_changes),
    UNIT(a_step_of_the_walk_is_bounded_by_paths),
    UNIT(reasons_that_arrive_during_a_walk_are_done_too),
    UNIT(paths_of_one_peer_are_told_apart_by_their_id),
    UNIT(equal_paths_of_one_peer_are_multipaths_and_the_lowest_id_is_best),
    UNIT(a_peer_has_so_many_paths_of_a_prefix_and_no_more),
    UNIT(who_wants_all_paths_hears_of_each),
};
UNIT_MAIN("rib", cases)
