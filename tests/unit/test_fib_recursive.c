/* Next hops that are not connected, resolved through the kernel's routes of others: against the real kernel,
 * each case in a network namespace of its own, the test playing the speaker. RFC 4271 section 9.1.2.1. */
#include "fibtest.h"

#define ROUTES4 "ip -4 route show proto 201"
#define ROUTES6 "ip -6 route show proto 201"

static bool start(struct fibtest *t, const char *nexthop, bool compat)
{
    struct fm_settings s = fibtest_settings();
    struct fm_nexthop nh = fibtest_nexthop(nexthop, 0);

    if (!fibtest_namespace(t))
        return false;
    CU_ASSERT_TRUE(run("sysctl -qw net.ipv4.nexthop_compat_mode=%d", compat));
    fibtest_launch(t);
    fibtest_greet(t, &s);
    fibtest_send(t, FM_NEXTHOP_WATCH, &nh, 1);
    const struct fm_nexthop_state *st = fibtest_wait(t, FM_NEXTHOP_STATE, NULL, WAIT_MS);
    CU_ASSERT_TRUE(st && !st->flags);
    return true;
}

static bool becomes(struct fibtest *t, uint32_t flags, uint32_t metric)
{
    const struct fm_nexthop_state *st = fibtest_wait(t, FM_NEXTHOP_STATE, NULL, WAIT_MS);
    return st && st->flags == flags && st->metric == metric;
}

static void all_gateways_of_a_multipath_route_serve(void)
{
    struct fibtest t;

    if (!start(&t, "192.0.2.1", true))
        return;
    CU_ASSERT_TRUE(run(
        "ip route add 192.0.2.0/24 metric 5 nexthop via 10.9.0.9 weight 1 nexthop via 10.9.1.9 weight 3"));
    CU_ASSERT_TRUE(becomes(&t, FM_NH_REACHABLE, 5));
    fibtest_group(&t, 1, "192.0.2.1", NULL);
    fibtest_group(&t, 2, "192.0.2.1", "10.9.0.2");
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.51.0.0/16", 2), 0);
    CU_ASSERT_TRUE(shows(ROUTES4 " 10.50.0.0/16", "nexthop via 10.9.0.9 dev up0 weight 1"));
    CU_ASSERT_TRUE(shows(ROUTES4 " 10.50.0.0/16", "nexthop via 10.9.1.9 dev up1 weight 3"));
    /* A half for each member, the one of two ways in its shares. */
    CU_ASSERT_TRUE(shows(ROUTES4 " 10.51.0.0/16", "nexthop via 10.9.0.9 dev up0 weight 1"));
    CU_ASSERT_TRUE(shows(ROUTES4 " 10.51.0.0/16", "nexthop via 10.9.1.9 dev up1 weight 3"));
    CU_ASSERT_TRUE(shows(ROUTES4 " 10.51.0.0/16", "nexthop via 10.9.0.2 dev up0 weight 4"));
    CU_ASSERT_TRUE(run("ip link set up1 down"));
    CU_ASSERT_TRUE(shows_soon(ROUTES4 " 10.50.0.0/16", "10.9.1.9", false));
    CU_ASSERT_TRUE(shows(ROUTES4 " 10.50.0.0/16", "via 10.9.0.9 dev up0"));
    fibtest_end(&t);
}

/* Two next hops of BGP share a gateway, and one of them is dead: its object stays, and what is over the other
 * is not touched. */
static void a_gateway_that_another_next_hop_needs_outlives_the_dead(void)
{
    struct fibtest t;
    char before[256], after[256];
    struct fm_nexthop nh = fibtest_nexthop("10.9.0.2", 0);

    if (!start(&t, "192.0.2.1", true))
        return;
    CU_ASSERT_TRUE(run("ip route add 192.0.2.0/24 metric 5 via 10.9.0.2"));
    CU_ASSERT_TRUE(becomes(&t, FM_NH_REACHABLE, 5));
    fibtest_group(&t, 1, "192.0.2.1", NULL);
    fibtest_group(&t, 2, "10.9.0.2", "10.9.1.2");
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.51.0.0/16", 2), 0);
    output(before, sizeof before, ROUTES4 " 10.50.0.0/16");
    fibtest_send(&t, FM_NEXTHOP_DEAD, &nh, 1);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_DEL, "203.0.113.0/24", 0), 0);
    CU_ASSERT_TRUE(shows(ROUTES4 " 10.51.0.0/16", "via 10.9.1.2 dev up1"));
    CU_ASSERT_FALSE(shows(ROUTES4 " 10.51.0.0/16", "10.9.0.2"));
    output(after, sizeof after, ROUTES4 " 10.50.0.0/16");
    CU_ASSERT_PTR_NOT_NULL(strstr(before, "nhid"));
    CU_ASSERT_STRING_EQUAL(after, before);
    fibtest_end(&t);
}

static void a_changed_route_is_followed(void)
{
    struct fibtest t;

    if (!start(&t, "192.0.2.1", true))
        return;
    fibtest_group(&t, 1, "192.0.2.1", NULL);
    CU_ASSERT_TRUE(run("ip route add 192.0.2.0/24 via 10.9.0.9 metric 5"));
    CU_ASSERT_TRUE(becomes(&t, FM_NH_REACHABLE, 5));
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_TRUE(run("ip route replace 192.0.2.0/24 via 10.9.1.9 metric 5"));
    CU_ASSERT_TRUE(becomes(&t, FM_NH_REACHABLE, 5));
    CU_ASSERT_TRUE(shows_soon(ROUTES4, "via 10.9.1.9 dev up1", true));
    CU_ASSERT_TRUE(run("ip route add 192.0.2.0/24 via 10.9.0.8 metric 3"));
    CU_ASSERT_TRUE(becomes(&t, FM_NH_REACHABLE, 3));
    CU_ASSERT_TRUE(shows_soon(ROUTES4, "via 10.9.0.8 dev up0", true));
    CU_ASSERT_TRUE(run("ip route add 192.0.2.1/32 dev up1 metric 9"));
    CU_ASSERT_TRUE(becomes(&t, FM_NH_REACHABLE, 9));
    CU_ASSERT_TRUE(shows_soon(ROUTES4, "via 192.0.2.1 dev up1", true));
    CU_ASSERT_TRUE(run("ip route replace unreachable 192.0.2.1/32 metric 9"));
    CU_ASSERT_TRUE(becomes(&t, 0, 0));
    CU_ASSERT_TRUE(shows_soon(ROUTES4, "10.50", false));
    CU_ASSERT_TRUE(run("ip route del unreachable 192.0.2.1/32"));
    CU_ASSERT_TRUE(becomes(&t, FM_NH_REACHABLE, 3));
    CU_ASSERT_TRUE(run("ip link set up0 down"));
    CU_ASSERT_TRUE(becomes(&t, FM_NH_REACHABLE, 5));
    CU_ASSERT_TRUE(shows_soon(ROUTES4, "via 10.9.1.9 dev up1", true));
    fibtest_end(&t);
}

static void over_nexthop_objects_of_others(int compat)
{
    struct fibtest t;

    if (!start(&t, "192.0.2.1", compat))
        return;
    CU_ASSERT_TRUE(
        run("ip nexthop add id 1 via 10.9.0.9 dev up0 && ip nexthop add id 2 via 10.9.1.9 dev up1 && "
            "ip nexthop add id 3 group 1/2,5 && ip route add 192.0.2.0/24 nhid 3 metric 5"));
    CU_ASSERT_TRUE(becomes(&t, FM_NH_REACHABLE, 5));
    fibtest_group(&t, 1, "192.0.2.1", NULL);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_TRUE(run("sysctl -qw net.ipv4.nexthop_compat_mode=1"));
    CU_ASSERT_TRUE(shows(ROUTES4, "nexthop via 10.9.0.9 dev up0 weight 1"));
    CU_ASSERT_TRUE(shows(ROUTES4, "nexthop via 10.9.1.9 dev up1 weight 5"));
    CU_ASSERT_TRUE(run("ip route replace 192.0.2.0/24 nhid 1 metric 5"));
    CU_ASSERT_TRUE(shows_soon(ROUTES4, "10.9.1.9", false));
    CU_ASSERT_TRUE(shows(ROUTES4, "via 10.9.0.9 dev up0"));
    fibtest_end(&t);
}

static void routes_over_nexthop_objects_of_others_serve(void)
{
    over_nexthop_objects_of_others(1);
    over_nexthop_objects_of_others(0);
}

static void ipv6_is_no_different(void)
{
    struct fibtest t;

    if (!start(&t, "2001:db8::1", true))
        return;
    CU_ASSERT_TRUE(run("ip -6 route add 2001:db8::/64 metric 5 nexthop via fd09:0::9 nexthop via fd09:1::9"));
    CU_ASSERT_TRUE(becomes(&t, FM_NH_REACHABLE, 5));
    fibtest_group(&t, 1, "2001:db8::1", NULL);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "fd50::/48", 1), 0);
    CU_ASSERT_TRUE(shows_soon(ROUTES6, "nexthop via fd09::9 dev up0", true));
    CU_ASSERT_TRUE(shows_soon(ROUTES6, "nexthop via fd09:1::9 dev up1", true));
    CU_ASSERT_TRUE(run("ip -6 route del 2001:db8::/64"));
    CU_ASSERT_TRUE(shows_soon(ROUTES6, "fd50", false));
    fibtest_end(&t);
}

static void the_default_route_serves_when_there_is_no_better(void)
{
    struct fibtest t;

    if (!start(&t, "192.0.2.1", true))
        return;
    CU_ASSERT_TRUE(run("ip route add default via 10.9.0.9 metric 7"));
    CU_ASSERT_TRUE(becomes(&t, FM_NH_REACHABLE, 7));
    fibtest_group(&t, 2, "10.9.1.2", NULL);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 2), 0);
    CU_ASSERT_TRUE(run("ip route add 192.0.2.0/24 via 10.9.1.9 metric 5"));
    CU_ASSERT_TRUE(becomes(&t, FM_NH_REACHABLE, 5));
    fibtest_end(&t);
}

/* The monitor does not listen to routes then. */
static void a_change_during_a_bulk_load_is_found_all_the_same(void)
{
    static struct fm_route batch[1000];
    struct fibtest t;

    if (!start(&t, "192.0.2.1", true))
        return;
    fibtest_group(&t, 1, "192.0.2.1", "10.9.1.2");
    CU_ASSERT_TRUE(run("ip route add 192.0.2.0/24 via 10.9.0.9 metric 5"));
    CU_ASSERT_TRUE(becomes(&t, FM_NH_REACHABLE, 5));
    for (unsigned i = 0; i < 40000;) {
        for (unsigned k = 0; k < 1000; k++, i++)
            batch[k] = (struct fm_route){.op = FM_ROUTE_SET,
                                         .af = AF_INET,
                                         .len = 32,
                                         .group = 1,
                                         .cookie = i + 1,
                                         .addr = {20, 0, (uint8_t)(i >> 8), (uint8_t)i}};
        fibtest_send(&t, FM_ROUTES, batch, 1000);
        if (i == 20000)
            CU_ASSERT_TRUE(run("ip route replace 192.0.2.0/24 via 10.9.0.8 metric 5"));
    }
    CU_ASSERT_TRUE(becomes(&t, FM_NH_REACHABLE, 5));
    CU_ASSERT_TRUE(shows_soon("ip nexthop show proto 201", "via 10.9.0.8", true));
    fibtest_end(&t);
}

static const struct unit_case cases[] = {
    UNIT(all_gateways_of_a_multipath_route_serve),
    UNIT(a_gateway_that_another_next_hop_needs_outlives_the_dead),
    UNIT(a_changed_route_is_followed),
    UNIT(routes_over_nexthop_objects_of_others_serve),
    UNIT(ipv6_is_no_different),
    UNIT(the_default_route_serves_when_there_is_no_better),
    UNIT(a_change_during_a_bulk_load_is_found_all_the_same),
};
FIBTEST_MAIN("fib_recursive", cases)
