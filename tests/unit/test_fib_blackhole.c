/* Blackhole routes (RFC 7999) in the kernel: in the place of the unicast one, healed, adopted, swept. Over a
 * kernel in memory; the real one is in test_fib_kernel.c and in the interop tests. */
#include <linux/rtnetlink.h>

#include "fibfixture.h"

static struct kroute seen(const char *text, uint8_t type, uint32_t nexthop_id)
{
    struct kroute k = {.table = 254, .metric = 20, .protocol = 87, .type = type, .nexthop_id = nexthop_id};
    CU_ASSERT_FATAL(prefix_parse(text, true, &k.prefix) == 0);
    return k;
}

static bool is_blackhole(const char *text)
{
    return in_kernel(text) && in_kernel(text)->blackhole;
}

static void it_takes_the_place_of_the_unicast_one_and_gives_it_back(void)
{
    set_up();
    set_group(1, "10.9.0.2", NULL);
    apply(FM_ROUTE_SET, "10.50.0.1/32", 1, 1);
    settle(20);
    apply(FM_ROUTE_BLACKHOLE, "10.50.0.1/32", 0, 2);
    settle(20);
    CU_ASSERT_EQUAL(result_of(2), 0);
    CU_ASSERT_TRUE(is_blackhole("10.50.0.1/32"));
    apply(FM_ROUTE_SET, "10.50.0.1/32", 1, 3);
    settle(20);
    CU_ASSERT_EQUAL(result_of(3), 0);
    CU_ASSERT_FALSE(is_blackhole("10.50.0.1/32"));
    CU_ASSERT_EQUAL(x.k.n_routes, 1);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD], 1);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_REPLACE], 2);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_DELETE], 0);
    apply(FM_ROUTE_BLACKHOLE, "10.50.0.1/32", 0, 4);
    settle(20);
    apply(FM_ROUTE_DEL, "10.50.0.1/32", 0, 5);
    settle(20);
    CU_ASSERT_EQUAL(result_of(5), 0);
    CU_ASSERT_EQUAL(x.k.n_routes, 0);
    tear_down();
}

static void it_needs_no_next_hop(void)
{
    struct fm_result r[4];
    set_up();
    apply(FM_ROUTE_BLACKHOLE, "10.50.0.1/32", 0, 1);
    apply(FM_ROUTE_BLACKHOLE, "fd50::1/128", 0, 2);
    settle(20);
    CU_ASSERT_EQUAL_FATAL(results(r, 4), 2);
    for (unsigned i = 0; i < 2; i++)
        CU_ASSERT_TRUE(r[i].op == FM_ROUTE_BLACKHOLE && !r[i].error);
    CU_ASSERT_TRUE(is_blackhole("10.50.0.1/32") && is_blackhole("fd50::1/128"));
    CU_ASSERT_EQUAL(x.k.n_nexthops, 0);
    tear_down();
}

static void it_gives_way_to_a_connected_prefix(void)
{
    set_up();
    struct kevent addr = {.type = KEVENT_ADDRESS, .u.address = {.ifindex = 2, .len = 32}};
    addr.u.address.local = addr.u.address.subnet = addr_v4(0x0a320001);
    apply(FM_ROUTE_BLACKHOLE, "10.50.0.1/32", 0, 1);
    settle(20);
    CU_ASSERT_EQUAL(result_of(1), 0);
    links_event(x.f.links, &addr);
    routes_recheck(x.f.routes, &(struct prefix){.addr = addr_v4(0x0a320001), .len = 32});
    settle(20);
    CU_ASSERT_EQUAL(result_of(1), FM_E_CONNECTED);
    CU_ASSERT_PTR_NULL(in_kernel("10.50.0.1/32"));
    tear_down();
}

static void what_somebody_takes_away_or_changes_is_put_back(void)
{
    set_up();
    apply(FM_ROUTE_BLACKHOLE, "10.50.0.1/32", 0, 1);
    settle(20);
    struct kroute gone = seen("10.50.0.1/32", RTN_BLACKHOLE, 0);
    x.k.n_routes = 0;
    routes_event(x.f.routes, &gone, true);
    settle(300);
    CU_ASSERT_TRUE(is_blackhole("10.50.0.1/32"));
    struct kroute other = seen("10.50.0.1/32", RTN_UNICAST, 0);
    in_kernel("10.50.0.1/32")->blackhole = false;
    routes_event(x.f.routes, &other, false);
    settle(300);
    CU_ASSERT_TRUE(is_blackhole("10.50.0.1/32"));
    tear_down();
}

static void late_words_change_nothing(void)
{
    set_up();
    set_group(1, "10.9.0.2", NULL);
    apply(FM_ROUTE_BLACKHOLE, "10.50.0.1/32", 0, 1);
    settle(20);
    struct kroute unicast = seen("10.50.0.1/32", RTN_UNICAST, 7),
                  black = seen("10.50.0.1/32", RTN_BLACKHOLE, 0);
    routes_event(x.f.routes, &black, false);  /* what is there */
    routes_event(x.f.routes, &unicast, true); /* went with a group that it was over before */
    settle(100);
    apply(FM_ROUTE_SET, "10.50.0.1/32", 1, 2);
    settle(20);
    routes_event(x.f.routes, &black, true);
    settle(100);
    CU_ASSERT_EQUAL(result_of(2), 0);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD], 1);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_REPLACE], 1);
    tear_down();
}

static void one_of_a_former_life_is_adopted_or_swept(void)
{
    struct kroute a = seen("10.50.0.1/32", RTN_BLACKHOLE, 0), b = seen("10.50.0.2/32", RTN_BLACKHOLE, 0);
    set_up();
    for (int i = 0; i < 2; i++)
        x.k.routes[x.k.n_routes++] =
            (struct fake_route){.prefix = i ? b.prefix : a.prefix, .blackhole = true};
    routes_check_begin(x.f.routes);
    routes_check_seen(x.f.routes, &a);
    routes_check_seen(x.f.routes, &b);
    routes_check_end(x.f.routes, true);
    apply(FM_ROUTE_BLACKHOLE, "10.50.0.1/32", 0, 1);
    settle(20);
    CU_ASSERT_EQUAL(result_of(1), 0);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD] + x.k.ops[KERNEL_REPLACE] + x.k.ops[KERNEL_DELETE], 0);
    fib_sweep(&x.f);
    settle(20);
    CU_ASSERT_TRUE(is_blackhole("10.50.0.1/32"));
    CU_ASSERT_PTR_NULL(in_kernel("10.50.0.2/32"));
    routes_delete_all(x.f.routes);
    CU_ASSERT_EQUAL(x.k.n_routes, 0);
    tear_down();
}

static void a_group_may_go_beside_it(void)
{
    set_up();
    set_group(1, "10.9.0.2", NULL);
    apply(FM_ROUTE_SET, "10.50.0.1/32", 1, 1);
    settle(20);
    apply(FM_ROUTE_BLACKHOLE, "10.50.0.1/32", 0, 2);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 1), 0);
    settle(20);
    CU_ASSERT_EQUAL(result_of(2), 0);
    CU_ASSERT_TRUE(is_blackhole("10.50.0.1/32"));
    for (unsigned i = 0; i < x.k.n_nexthops; i++)
        CU_ASSERT_EQUAL(x.k.nexthops[i].n_members, 0);
    tear_down();
}

static const struct unit_case cases[] = {
    UNIT(it_takes_the_place_of_the_unicast_one_and_gives_it_back),
    UNIT(it_needs_no_next_hop),
    UNIT(it_gives_way_to_a_connected_prefix),
    UNIT(what_somebody_takes_away_or_changes_is_put_back),
    UNIT(late_words_change_nothing),
    UNIT(one_of_a_former_life_is_adopted_or_swept),
    UNIT(a_group_may_go_beside_it),
};
UNIT_MAIN("fib_blackhole", cases)
