/* The parent against the real kernel: each case in a network namespace of its own, the test playing the
 * speaker. */
#include "fib/heal.h"
#include "fib/kernel.h"
#include "fibtest.h"

#define ROUTES4 "ip -4 route show proto 201"
#define ROUTES6 "ip -6 route show proto 201"

static void a_route_over_one_next_hop_is_installed_and_removed(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    fibtest_group(&t, 2, "fd09:0::2", NULL);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "fd50::/48", 2), 0);
    CU_ASSERT_TRUE(shows(ROUTES4, "10.50.0.0/16 nhid"));
    CU_ASSERT_TRUE(shows(ROUTES4, "via 10.9.0.2 dev up0 metric 20"));
    CU_ASSERT_TRUE(shows(ROUTES6, "fd50::/48 nhid"));
    CU_ASSERT_TRUE(shows("ip nexthop show proto 201", "group"));
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_DEL, "10.50.0.0/16", 0), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_DEL, "fd50::/48", 0), 0);
    CU_ASSERT_FALSE(shows(ROUTES4, "10.50"));
    CU_ASSERT_FALSE(shows(ROUTES6, "fd50"));
    fibtest_send(&t, FM_GROUP_DEL, &(struct fm_group_id){1}, 1);
    fibtest_send(&t, FM_GROUP_DEL, &(struct fm_group_id){2}, 1);
    CU_ASSERT_TRUE(shows_soon("ip nexthop show", "proto 201", false));
    fibtest_end(&t);
}

static void two_next_hops_are_one_multipath_route(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    fibtest_group(&t, 1, "10.9.0.2", "10.9.1.2");
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_TRUE(shows(ROUTES4, "nexthop via 10.9.0.2 dev up0 weight 1"));
    CU_ASSERT_TRUE(shows(ROUTES4, "nexthop via 10.9.1.2 dev up1 weight 1"));
    fibtest_end(&t);
}

static void equal_groups_share_one_kernel_object(void)
{
    struct fibtest t;
    char buf[4096];

    if (!fibtest_start(&t))
        return;
    fibtest_group(&t, 1, "10.9.0.2", "10.9.1.2");
    fibtest_group(&t, 2, "10.9.1.2", "10.9.0.2");
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 2), 0);
    output(buf, sizeof buf, "ip nexthop show proto 201 | grep -c group");
    CU_ASSERT_EQUAL(atoi(buf), 1);
    fibtest_end(&t);
}

static void a_replace_leaves_no_gap(void)
{
    struct fibtest t;
    char cmd[128], file[96];

    if (!fibtest_start(&t))
        return;
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    fibtest_group(&t, 2, "10.9.1.2", NULL);
    fibtest_group(&t, 3, "fd09:0::2", NULL);
    fibtest_group(&t, 4, "fd09:1::2", NULL);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "fd50::/48", 3), 0);
    snprintf(file, sizeof file, "%s/monitor", t.dir);
    CU_ASSERT_TRUE(run("timeout 1 ip monitor route > %s & sleep 0.3", file));
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 2), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "fd50::/48", 4), 0);
    usleep(900000);
    snprintf(cmd, sizeof cmd, "cat %s", file);
    CU_ASSERT_TRUE(shows(cmd, "10.50.0.0/16"));
    CU_ASSERT_TRUE(shows(cmd, "fd50::/48"));
    CU_ASSERT_FALSE(shows(cmd, "Deleted"));
    CU_ASSERT_TRUE(shows(ROUTES4, "dev up1"));
    CU_ASSERT_TRUE(shows(ROUTES6, "dev up1"));
    fibtest_end(&t);
}

static void a_foreign_route_is_a_conflict_until_it_goes(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    CU_ASSERT_TRUE(run("ip route add 10.50.0.0/16 via 10.9.1.9 metric 20 proto static"));
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    struct fm_route r = fibtest_route(FM_ROUTE_SET, "10.50.0.0/16", 1, 7);
    fibtest_send(&t, FM_ROUTES, &r, 1);
    CU_ASSERT_EQUAL(fibtest_result(&t, 7, WAIT_MS), FM_E_CONFLICT);
    CU_ASSERT_TRUE(shows("ip route", "10.50.0.0/16 via 10.9.1.9"));
    CU_ASSERT_TRUE(run("ip route del 10.50.0.0/16 via 10.9.1.9 metric 20"));
    CU_ASSERT_EQUAL(fibtest_result(&t, 7, WAIT_MS), 0);
    CU_ASSERT_TRUE(shows(ROUTES4, "via 10.9.0.2"));
    /* Taken over by a foreign replace: reported, left alone, and never deleted by us. */
    CU_ASSERT_TRUE(run("ip route replace 10.50.0.0/16 via 10.9.1.9 metric 20 proto static"));
    CU_ASSERT_EQUAL(fibtest_result(&t, 7, WAIT_MS), FM_E_CONFLICT);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_DEL, "10.50.0.0/16", 0), 0);
    CU_ASSERT_TRUE(shows("ip route", "10.50.0.0/16 via 10.9.1.9"));
    fibtest_end(&t);
}

static void a_connected_prefix_is_never_installed(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    fibtest_group(&t, 2, "fd09:0::2", NULL);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.9.1.0/24", 1), FM_E_CONNECTED);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "fd09:1::/64", 2), FM_E_CONNECTED);
    struct fm_route r = fibtest_route(FM_ROUTE_SET, "10.60.0.0/24", 1, 9);
    fibtest_send(&t, FM_ROUTES, &r, 1);
    CU_ASSERT_EQUAL(fibtest_result(&t, 9, WAIT_MS), 0);
    CU_ASSERT_TRUE(run("ip addr add 10.60.0.1/24 dev up1"));
    CU_ASSERT_EQUAL(fibtest_result(&t, 9, WAIT_MS), FM_E_CONNECTED);
    CU_ASSERT_FALSE(shows(ROUTES4, "10.60"));
    CU_ASSERT_TRUE(run("ip addr del 10.60.0.1/24 dev up1"));
    CU_ASSERT_EQUAL(fibtest_result(&t, 9, WAIT_MS), 0);
    CU_ASSERT_TRUE(shows(ROUTES4, "10.60"));
    fibtest_end(&t);
}

static void an_unreachable_route_stands_beside_a_unicast_one(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_UNREACHABLE, "10.244.7.0/24", 0), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_UNREACHABLE, "fd00:10:244:7::/64", 0), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.244.7.0/24", 1), 0);
    CU_ASSERT_TRUE(shows(ROUTES4, "unreachable 10.244.7.0/24 metric 4294967295"));
    CU_ASSERT_TRUE(shows(ROUTES4, "via 10.9.0.2"));
    CU_ASSERT_TRUE(shows(ROUTES6, "unreachable fd00:10:244:7::/64 dev lo metric 4294967295"));
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_DEL, "10.244.7.0/24", 0), 0);
    CU_ASSERT_TRUE(shows(ROUTES4, "unreachable 10.244.7.0/24"));
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_DEL_UNREACHABLE, "10.244.7.0/24", 0), 0);
    CU_ASSERT_FALSE(shows(ROUTES4, "10.244"));
    fibtest_end(&t);
}

static void settings_reach_the_route(void)
{
    struct fibtest t;
    struct fm_settings s = fibtest_settings();

    if (!fibtest_namespace(&t))
        return;
    s.table = 1000;
    s.metric = 77;
    memcpy(s.prefsrc_ipv4, (uint8_t[]){10, 9, 1, 1}, 4);
    fibtest_launch(&t);
    fibtest_greet(&t, &s);
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_TRUE(shows("ip route show table 1000", "src 10.9.1.1 metric 77"));
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_DEL, "10.50.0.0/16", 0), 0);
    CU_ASSERT_FALSE(shows("ip route show table 1000", "10.50"));
    fibtest_end(&t);
}

static void link_down_and_up_moves_routes_away_and_back(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    struct fm_nexthop nh = fibtest_nexthop("10.9.0.2", 0);
    fibtest_send(&t, FM_NEXTHOP_WATCH, &nh, 1);
    const struct fm_nexthop_state *st = fibtest_wait(&t, FM_NEXTHOP_STATE, NULL, WAIT_MS);
    CU_ASSERT_TRUE(st && st->flags == (FM_NH_REACHABLE | FM_NH_CONNECTED));
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    fibtest_group(&t, 2, "10.9.0.2", "10.9.1.2");
    struct fm_route single = fibtest_route(FM_ROUTE_SET, "10.50.0.0/16", 1, 21);
    struct fm_route both = fibtest_route(FM_ROUTE_SET, "10.51.0.0/16", 2, 22);
    fibtest_send(&t, FM_ROUTES, &single, 1);
    CU_ASSERT_EQUAL(fibtest_result(&t, 21, WAIT_MS), 0);
    fibtest_send(&t, FM_ROUTES, &both, 1);
    CU_ASSERT_EQUAL(fibtest_result(&t, 22, WAIT_MS), 0);
    for (int round = 0; round < 2; round++) {
        /* Administratively, then by carrier. */
        CU_ASSERT_TRUE(run(round ? "ip link set far0 down" : "ip link set up0 down"));
        st = fibtest_wait(&t, FM_NEXTHOP_STATE, NULL, WAIT_MS);
        CU_ASSERT_TRUE(st && st->flags == 0);
        CU_ASSERT_EQUAL(fibtest_result(&t, 21, WAIT_MS), FM_E_NEXTHOP);
        CU_ASSERT_FALSE(shows(ROUTES4, "10.50"));
        CU_ASSERT_TRUE(shows(ROUTES4, "10.51.0.0/16"));
        CU_ASSERT_FALSE(shows(ROUTES4, "up0"));
        CU_ASSERT_TRUE(run(round ? "ip link set far0 up" : "ip link set up0 up"));
        CU_ASSERT_EQUAL(fibtest_result(&t, 21, WAIT_MS), 0);
        CU_ASSERT_TRUE(shows(ROUTES4, "10.50.0.0/16"));
        CU_ASSERT_TRUE(shows(ROUTES4, "nexthop via 10.9.0.2 dev up0 weight 1"));
    }
    fibtest_end(&t);
}

static void a_next_hop_behind_a_gateway_is_resolved_but_not_by_ours(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    struct fm_nexthop nh = fibtest_nexthop("192.0.2.1", 0);
    fibtest_send(&t, FM_NEXTHOP_WATCH, &nh, 1);
    const struct fm_nexthop_state *st = fibtest_wait(&t, FM_NEXTHOP_STATE, NULL, WAIT_MS);
    CU_ASSERT_TRUE(st && st->flags == 0);
    CU_ASSERT_TRUE(run("ip route add 192.0.2.0/24 via 10.9.1.9 metric 5"));
    st = fibtest_wait(&t, FM_NEXTHOP_STATE, NULL, WAIT_MS);
    CU_ASSERT_TRUE(st && st->flags == FM_NH_REACHABLE && st->metric == 5 && st->via_af == AF_INET);
    fibtest_group(&t, 1, "192.0.2.1", NULL);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_TRUE(shows(ROUTES4, "via 10.9.1.9 dev up1"));
    CU_ASSERT_TRUE(run("ip route del 192.0.2.0/24 && ip route add 192.0.2.0/25 via 10.9.1.9 proto 201"));
    st = fibtest_wait(&t, FM_NEXTHOP_STATE, NULL, WAIT_MS);
    CU_ASSERT_TRUE(st && st->flags == 0);
    CU_ASSERT_TRUE(shows_soon(ROUTES4, "10.50", false));
    fibtest_end(&t);
}

static void a_killed_speaker_is_replaced_and_no_route_leaves(void)
{
    struct fibtest t;
    char cmd[128], file[96];

    if (!fibtest_start(&t))
        return;
    struct fm_settings s = fibtest_settings();
    fibtest_group(&t, 1, "10.9.0.2", "10.9.1.2");
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.51.0.0/16", 1), 0);
    snprintf(file, sizeof file, "%s/monitor", t.dir);
    CU_ASSERT_TRUE(run("timeout 2 ip monitor route nexthop > %s & sleep 0.3", file));
    kill(t.speaker, SIGKILL);
    fibtest_accept(&t);
    fibtest_greet(&t, &s);
    fibtest_group(&t, 5, "10.9.0.2", "10.9.1.2");
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 5), 0);
    snprintf(cmd, sizeof cmd, "cat %s", file);
    CU_ASSERT_FALSE(shows(cmd, "10.5"));
    fibtest_send(&t, FM_SYNCED, NULL, 0);
    CU_ASSERT_TRUE(shows_soon(ROUTES4, "10.51", false));
    CU_ASSERT_TRUE(shows(ROUTES4, "10.50.0.0/16"));
    usleep(300000);
    CU_ASSERT_TRUE(shows(cmd, "Deleted 10.51.0.0/16"));
    CU_ASSERT_FALSE(shows(cmd, "10.50"));
    fibtest_end(&t);
}

static void sigterm_stops_the_speaker_and_leaves_nothing(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    fibtest_group(&t, 2, "fd09:0::2", "fd09:1::2");
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "fd50::/48", 2), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_UNREACHABLE, "10.244.7.0/24", 0), 0);
    struct fm_bind b = {.op = FM_BIND_ADD, .af = AF_INET, .addr = {192, 0, 2, 10}};
    fibtest_send(&t, FM_BIND, &b, 1);
    CU_ASSERT_TRUE(shows_soon("ip addr show dev lo", "192.0.2.10/32", true));
    kill(t.fib, SIGTERM);
    CU_ASSERT_PTR_NOT_NULL(fibtest_wait(&t, FM_STOP, NULL, WAIT_MS));
    fibtest_send(&t, FM_STOPPED, NULL, 0);
    kill(t.speaker, SIGKILL);
    CU_ASSERT_EQUAL(fibtest_exit_status(&t, WAIT_MS), 0);
    CU_ASSERT_FALSE(shows("ip route show table all", "proto 201"));
    CU_ASSERT_FALSE(shows("ip -6 route show table all", "proto 201"));
    CU_ASSERT_FALSE(shows("ip nexthop", "proto 201"));
    CU_ASSERT_FALSE(shows("ip addr show dev lo", "192.0.2.10"));
    fibtest_end(&t);
}

static void leftovers_of_a_killed_parent_are_adopted(void)
{
    struct fibtest t;
    char cmd[128], file[96];

    if (!fibtest_start(&t))
        return;
    struct fm_settings s = fibtest_settings();
    fibtest_group(&t, 1, "10.9.0.2", "10.9.1.2");
    fibtest_group(&t, 2, "10.9.1.2", NULL);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.51.0.0/16", 1), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.52.0.0/16", 2), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_UNREACHABLE, "10.244.7.0/24", 0), 0);
    kill(t.fib, SIGKILL);
    waitpid(t.fib, NULL, 0);
    kill(t.speaker, SIGKILL);
    CU_ASSERT_TRUE(run("ip route add 10.53.0.0/16 via 10.9.0.9 proto 201 metric 99"));
    snprintf(file, sizeof file, "%s/monitor", t.dir);
    CU_ASSERT_TRUE(run("timeout 2 ip monitor route > %s & sleep 0.3", file));
    fibtest_launch(&t);
    fibtest_greet(&t, &s);
    fibtest_group(&t, 9, "10.9.0.2", "10.9.1.2");
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 9), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.51.0.0/16", 9), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_UNREACHABLE, "10.244.7.0/24", 0), 0);
    fibtest_send(&t, FM_SYNCED, NULL, 0);
    CU_ASSERT_TRUE(shows_soon(ROUTES4, "10.52", false));
    CU_ASSERT_TRUE(shows_soon(ROUTES4, "10.53", false));
    CU_ASSERT_TRUE(shows(ROUTES4, "10.50.0.0/16"));
    snprintf(cmd, sizeof cmd, "cat %s", file);
    CU_ASSERT_FALSE(shows(cmd, "10.50"));
    CU_ASSERT_FALSE(shows(cmd, "10.51"));
    CU_ASSERT_FALSE(shows(cmd, "10.244"));
    fibtest_end(&t);
}

static void a_route_deleted_by_others_is_put_back(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_TRUE(run("ip route del 10.50.0.0/16 proto 201"));
    CU_ASSERT_TRUE(shows_soon(ROUTES4, "10.50.0.0/16", true));
    CU_ASSERT_TRUE(run("ip nexthop flush proto 201 2>/dev/null; true"));
    CU_ASSERT_TRUE(shows_soon(ROUTES4, "via 10.9.0.2 dev up0", true));
    fibtest_end(&t);
}

/* Before that was noted the speaker died, so that nobody wants any of them any more. */
static void routes_deleted_by_others_that_nobody_wants_are_forgotten(void)
{
    struct fibtest t;
    struct fm_settings s = fibtest_settings();

    if (!fibtest_start(&t))
        return;
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    pid_t old = t.speaker;
    kill(old, SIGKILL);
    CU_ASSERT_TRUE(run("ip route del 10.50.0.0/16 proto 201"));
    fibtest_accept(&t);
    CU_ASSERT_NOT_EQUAL(t.speaker, old);
    fibtest_greet(&t, &s);
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    usleep(2 * HEAL_FIRST_MS * 1000);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    fibtest_end(&t);
}

static void an_ipv6_route_refuses_an_ipv4_group(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    fibtest_group(&t, 2, "fd09:0::2", NULL);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "fd50::/48", 1), -EAFNOSUPPORT);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 2), 0);
    CU_ASSERT_TRUE(shows(ROUTES4, "via inet6 fd09::2"));
    fibtest_group(&t, 3, "10.9.0.2", "fd09:0::2"); /* of both: for IPv4 only */
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "fd50::/48", 3), -EAFNOSUPPORT);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.51.0.0/16", 3), 0);
    CU_ASSERT_TRUE(shows(ROUTES4, "nexthop via inet6 fd09::2"));
    CU_ASSERT_TRUE(shows(ROUTES4, "nexthop via 10.9.0.2"));
    fibtest_end(&t);
}

static void an_invalid_message_costs_the_speaker_its_life(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    struct fm_route r = fibtest_route(FM_ROUTE_SET, "10.50.0.0/16", 77, 1);
    pid_t old = t.speaker;
    fibtest_send(&t, FM_ROUTES, &r, 1);
    fibtest_accept(&t);
    CU_ASSERT_NOT_EQUAL(t.speaker, old);
    fibtest_end(&t);
}

static void the_status_of_a_first_speaker_is_passed_on(void)
{
    struct fibtest t;

    if (!fibtest_namespace(&t))
        return;
    fibtest_launch(&t);
    kill(t.speaker, SIGKILL);
    CU_ASSERT_EQUAL(fibtest_exit_status(&t, WAIT_MS), 3);
    fibtest_end(&t);
}

static void a_link_local_next_hop_carries_both_families(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    struct fm_group g = {.id = 1, .n_members = 1};
    g.members[0] = (struct fm_member){fibtest_nexthop("fe80::99", if_nametoindex("up0")), 1};
    fibtest_send(&t, FM_GROUP_SET, &g, 1);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "fd50::/48", 1), 0);
    CU_ASSERT_TRUE(shows(ROUTES4, "via inet6 fe80::99 dev up0"));
    CU_ASSERT_TRUE(shows(ROUTES6, "via fe80::99 dev up0"));
    CU_ASSERT_TRUE(run("ip link set up0 down"));
    CU_ASSERT_TRUE(shows_soon(ROUTES6, "fd50", false));
    CU_ASSERT_TRUE(run("ip link set up0 up"));
    CU_ASSERT_TRUE(shows_soon(ROUTES6, "via fe80::99 dev up0", true));
    CU_ASSERT_TRUE(shows_soon(ROUTES4, "via inet6 fe80::99 dev up0", true));
    fibtest_end(&t);
}

static void weights_reach_the_kernel(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    struct fm_group g = {.id = 1, .n_members = 2};
    g.members[0] = (struct fm_member){fibtest_nexthop("10.9.0.2", 0), 3};
    g.members[1] = (struct fm_member){fibtest_nexthop("10.9.1.2", 0), 255};
    fibtest_send(&t, FM_GROUP_SET, &g, 1);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_TRUE(shows(ROUTES4, "via 10.9.0.2 dev up0 weight 3"));
    CU_ASSERT_TRUE(shows(ROUTES4, "via 10.9.1.2 dev up1 weight 255"));
    fibtest_end(&t);
}

static void a_blackhole_has_the_place_of_the_route(void)
{
    static const char *const prefixes[] = {"10.50.0.1/32", "fd50::1/128"};
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    fibtest_group(&t, 2, "fd09::2", NULL);
    for (uint32_t i = 0; i < 2; i++) {
        const char *list = i ? ROUTES6 : ROUTES4, *shown = i ? "blackhole fd50::1" : "blackhole 10.50.0.1";
        CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_BLACKHOLE, prefixes[i], 0), 0);
        CU_ASSERT_TRUE(shows(list, shown) && shows(list, "metric 20"));
        CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, prefixes[i], i + 1), 0);
        CU_ASSERT_FALSE(shows(list, "blackhole"));
        CU_ASSERT_TRUE(shows(list, "50"));
        CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_BLACKHOLE, prefixes[i], 0), 0);
        CU_ASSERT_TRUE(shows(list, shown));
        CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_DEL, prefixes[i], 0), 0);
        CU_ASSERT_FALSE(shows(list, "50"));
    }
    fibtest_end(&t);
}

static void a_bound_address_is_known_again_or_swept(void)
{
    struct fibtest t;
    struct fm_bind one = {.op = FM_BIND_ADD, .af = AF_INET, .addr = {192, 0, 2, 10}};
    struct fm_bind two = {.op = FM_BIND_ADD, .af = AF_INET, .addr = {192, 0, 2, 11}};
    const struct fm_address *a;
    uint32_t n;
    bool ours = false;

    if (!fibtest_start(&t))
        return;
    CU_ASSERT_TRUE(run("ip addr add 192.0.2.12/32 dev lo"));
    fibtest_send(&t, FM_BIND, &one, 1);
    fibtest_send(&t, FM_BIND, &two, 1);
    while (!ours && (a = fibtest_wait(&t, FM_ADDRESS, &n, WAIT_MS)))
        ours = a->addr[3] == 10 && a->flags == FM_ADDR_OURS;
    CU_ASSERT_TRUE(ours);
    CU_ASSERT_TRUE(shows_soon("ip addr show dev lo", "192.0.2.11/32", true));
    kill(t.fib, SIGKILL);
    waitpid(t.fib, NULL, 0);
    kill(t.speaker, SIGKILL);
    struct fm_settings s = fibtest_settings();
    fibtest_launch(&t);
    fibtest_greet(&t, &s);
    fibtest_send(&t, FM_BIND, &one, 1);
    fibtest_send(&t, FM_SYNCED, NULL, 0);
    CU_ASSERT_TRUE(shows_soon("ip addr show dev lo", "192.0.2.11/32", false));
    CU_ASSERT_TRUE(shows("ip addr show dev lo", "192.0.2.10/32"));
    one.op = FM_BIND_DEL;
    fibtest_send(&t, FM_BIND, &one, 1);
    CU_ASSERT_TRUE(shows_soon("ip addr show dev lo", "192.0.2.10/32", false));
    CU_ASSERT_TRUE(shows("ip addr show dev lo", "192.0.2.12/32"));
    fibtest_end(&t);
}

static void preserve_leaves_routes_behind(void)
{
    struct fibtest t;
    struct fm_settings s = fibtest_settings();

    if (!fibtest_namespace(&t))
        return;
    s.flags |= FM_SET_PRESERVE;
    fibtest_launch(&t);
    fibtest_greet(&t, &s);
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    kill(t.fib, SIGTERM);
    CU_ASSERT_PTR_NOT_NULL(fibtest_wait(&t, FM_STOP, NULL, WAIT_MS));
    kill(t.fib, SIGTERM); /* the second one does not wait */
    CU_ASSERT_EQUAL(fibtest_exit_status(&t, WAIT_MS), 0);
    CU_ASSERT_TRUE(shows(ROUTES4, "10.50.0.0/16"));
    fibtest_end(&t);
}

/* The parent sleeps while the kernel tells more than its socket holds. */
static void lost_events_are_made_good_by_a_new_look(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    fibtest_group(&t, 2, "10.9.1.2", NULL);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.51.0.0/16", 2), 0);
    kill(t.fib, SIGSTOP);
    CU_ASSERT_TRUE(run("for i in $(seq 100 199); do for j in $(seq 0 255); do "
                       "echo route add 30.$i.$j.0/24 via 10.9.1.9 proto static; done; done > %s/batch && "
                       "ip -batch %s/batch",
                       t.dir, t.dir));
    CU_ASSERT_TRUE(run("ip route del 10.51.0.0/16 proto 201 && ip link set up0 down && ip link set up0 up && "
                       "ip addr add 10.70.0.1/24 dev up1"));
    CU_ASSERT_FALSE(shows(ROUTES4, "10.5"));
    fibtest_send(&t, FM_HEARTBEAT, NULL, 0);
    kill(t.fib, SIGCONT);
    CU_ASSERT_TRUE(fibtest_shows_soon(&t, ROUTES4, "10.50.0.0/16", true));
    CU_ASSERT_TRUE(fibtest_shows_soon(&t, ROUTES4, "10.51.0.0/16", true));
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.70.0.0/24", 1), FM_E_CONNECTED);
    fibtest_end(&t);
}

/* 100,000 routes: not a timed test, the figures are for the reader. */
static void count(void *n, const struct kevent *ev)
{
    (void)ev;
    ++*(unsigned *)n;
}

/* Links are looked at when news of them were lost, also while the routes are. */
static void a_dump_does_not_disturb_the_one_under_way(void)
{
    struct fibtest t;
    struct kernel *k;
    unsigned routes = 0, links = 0;
    int rc;

    if (!fibtest_namespace(&t))
        return;
    CU_ASSERT_TRUE(
        run("for i in $(seq 20 39); do for k in $(seq 0 99); do echo route add unreachable 10.$i.$k.0/24 "
            "proto 201; done; done | ip -batch -"));
    CU_ASSERT_FATAL(kernel_open(&k) == 0);
    kernel_configure(k, &(struct kernel_config){.table = 254, .protocol = 201});
    CU_ASSERT_EQUAL(kernel_dump_start(k, KEVENT_ROUTE, AF_INET), 0);
    CU_ASSERT_EQUAL(kernel_dump_step(k, count, &routes), 1);
    CU_ASSERT_EQUAL_FATAL(kernel_dump(k, KEVENT_LINK, AF_UNSPEC, count, &links), 0);
    CU_ASSERT_TRUE(links > 0);
    while ((rc = kernel_dump_step(k, count, &routes)) > 0)
        ;
    CU_ASSERT_EQUAL(rc, 0);
    CU_ASSERT_EQUAL(routes, 2000);
    kernel_close(k);
    fibtest_end(&t);
}

static void a_hundred_thousand_routes_in_and_out(void)
{
    enum { N = 100000, CHUNK = 2000 };
    static struct fm_route routes[CHUNK];
    struct fibtest t;
    char buf[64];

    if (!fibtest_start(&t))
        return;
    fibtest_group(&t, 1, "10.9.0.2", "10.9.1.2");
    for (int del = 0; del < 2; del++) {
        uint64_t start = loop_now_us();
        uint32_t sent = 0, answered = 0, failed = 0, n = 0;
        while (answered < N) {
            while (sent < N && sent - answered < 40000) {
                for (uint32_t i = 0; i < CHUNK; i++, sent++) {
                    uint32_t a = htonl((20u << 24) + (sent << 8));
                    routes[i] = (struct fm_route){.op = del ? FM_ROUTE_DEL : FM_ROUTE_SET,
                                                  .af = AF_INET,
                                                  .len = 24,
                                                  .group = !del,
                                                  .cookie = sent};
                    memcpy(routes[i].addr, &a, 4);
                }
                fibtest_send(&t, FM_ROUTES, routes, CHUNK);
            }
            const struct fm_result *res = fibtest_wait(&t, FM_ROUTE_RESULTS, &n, WAIT_MS);
            CU_ASSERT_PTR_NOT_NULL_FATAL(res);
            answered += n;
            for (uint32_t i = 0; i < n; i++)
                failed += res[i].error != 0;
        }
        uint64_t us = loop_now_us() - start;
        printf("      %s %u routes: %llu ms, %llu routes/s\n", del ? "delete" : "add", N,
               (unsigned long long)us / 1000, (unsigned long long)N * 1000000 / us);
        CU_ASSERT_EQUAL(failed, 0);
        CU_ASSERT_EQUAL(atoi(output(buf, sizeof buf, ROUTES4 " | wc -l")), del ? 0 : 3 * N);
    }
    fibtest_end(&t);
}

/* The nth route of a family, or its removal. */
static struct fm_route nth_route(uint8_t op, uint8_t af, uint32_t n, uint32_t group)
{
    uint32_t a = htonl((af == AF_INET6 ? 0xfd500000u : 20u << 24) + (n << 8));
    struct fm_route r = {.op = op, .af = af, .len = 24, .group = group, .cookie = n};

    memcpy(r.addr, &a, sizeof a);
    return r;
}

/* Sends count of them and waits for as many results; how many had an error. */
static uint32_t do_many(struct fibtest *t, uint8_t op, uint8_t af, uint32_t from, uint32_t count,
                        uint32_t group)
{
    enum { CHUNK = 1000 };
    static struct fm_route routes[CHUNK];
    uint32_t sent = 0, answered = 0, failed = 0, n = 0;

    while (sent < count) {
        uint32_t k = 0;
        for (; k < CHUNK && sent < count; k++, sent++)
            routes[k] = nth_route(op, af, from + sent, group);
        fibtest_send(t, FM_ROUTES, routes, k);
    }
    if (op == FM_ROUTE_DEL)
        fibtest_send(t, FM_GROUP_DEL, &(struct fm_group_id){af == AF_INET ? 1 : 2}, 1);
    while (answered < count) {
        const struct fm_result *res = fibtest_wait(t, FM_ROUTE_RESULTS, &n, WAIT_MS);
        CU_ASSERT_PTR_NOT_NULL_FATAL(res);
        answered += n;
        for (uint32_t i = 0; i < n; i++)
            failed += res[i].error != 0;
    }
    return failed;
}

/* All but a few of a group's routes are removed; those few have another way, and never leave the kernel. */
static void routes_go_with_their_group_and_others_stay(void)
{
    enum { N = 20000, MOVED = 10 };
    static const uint8_t families[] = {AF_INET, AF_INET6};
    struct fibtest t;
    char buf[64], cmd[128];

    if (!fibtest_start(&t))
        return;
    fibtest_group(&t, 1, "10.9.0.2", NULL);
    fibtest_group(&t, 2, "fd09:0::2", NULL);
    fibtest_group(&t, 3, "10.9.1.2", NULL);
    fibtest_group(&t, 4, "fd09:1::2", NULL);
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(do_many(&t, FM_ROUTE_SET, families[i], 0, N, (uint32_t)i + 1), 0);
    CU_ASSERT_TRUE(run("ip -4 monitor route > %s/monitor & echo $! > %s/pid; sleep 0.3", t.dir, t.dir));
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(do_many(&t, FM_ROUTE_SET, families[i], 0, MOVED, (uint32_t)i + 3), 0);
        CU_ASSERT_EQUAL(do_many(&t, FM_ROUTE_DEL, families[i], MOVED, N - MOVED, 0), 0);
    }
    CU_ASSERT_EQUAL(atoi(output(buf, sizeof buf, ROUTES4 " | grep -c metric")), MOVED);
    CU_ASSERT_EQUAL(atoi(output(buf, sizeof buf, ROUTES6 " | grep -c metric")), MOVED);
    /* What the kernel says late of the IPv6 routes that went is not taken for the work of others. */
    usleep(300000);
    CU_ASSERT_EQUAL(atoi(output(buf, sizeof buf, ROUTES4 " | grep -c 10.9.1.2")), MOVED);
    CU_ASSERT_EQUAL(atoi(output(buf, sizeof buf, ROUTES6 " | grep -c fd09:1::2")), MOVED);
    CU_ASSERT_EQUAL(atoi(output(buf, sizeof buf, "ip nexthop show proto 201 | wc -l")), 4);
    CU_ASSERT_TRUE(run("kill $(cat %s/pid)", t.dir));
    snprintf(cmd, sizeof cmd, "grep Deleted %s/monitor", t.dir);
    CU_ASSERT_FALSE(shows(cmd, "Deleted 20.0.5.0/24"));
    /* IPv4 routes that go with a group are not reported by the kernel: one by one they would be. */
    snprintf(cmd, sizeof cmd, "grep -c 'Deleted 20' %s/monitor", t.dir);
    CU_ASSERT_TRUE(atoi(output(buf, sizeof buf, cmd)) < N / 2);
    fibtest_end(&t);
}

static const struct unit_case cases[] = {
    UNIT(a_route_over_one_next_hop_is_installed_and_removed),
    UNIT(two_next_hops_are_one_multipath_route),
    UNIT(equal_groups_share_one_kernel_object),
    UNIT(a_replace_leaves_no_gap),
    UNIT(a_foreign_route_is_a_conflict_until_it_goes),
    UNIT(a_connected_prefix_is_never_installed),
    UNIT(an_unreachable_route_stands_beside_a_unicast_one),
    UNIT(settings_reach_the_route),
    UNIT(link_down_and_up_moves_routes_away_and_back),
    UNIT(a_next_hop_behind_a_gateway_is_resolved_but_not_by_ours),
    UNIT(a_killed_speaker_is_replaced_and_no_route_leaves),
    UNIT(sigterm_stops_the_speaker_and_leaves_nothing),
    UNIT(leftovers_of_a_killed_parent_are_adopted),
    UNIT(a_route_deleted_by_others_is_put_back),
    UNIT(routes_deleted_by_others_that_nobody_wants_are_forgotten),
    UNIT(an_ipv6_route_refuses_an_ipv4_group),
    UNIT(an_invalid_message_costs_the_speaker_its_life),
    UNIT(the_status_of_a_first_speaker_is_passed_on),
    UNIT(a_link_local_next_hop_carries_both_families),
    UNIT(weights_reach_the_kernel),
    UNIT(a_blackhole_has_the_place_of_the_route),
    UNIT(a_bound_address_is_known_again_or_swept),
    UNIT(preserve_leaves_routes_behind),
    UNIT(a_dump_does_not_disturb_the_one_under_way),
    UNIT(lost_events_are_made_good_by_a_new_look),
    UNIT(routes_go_with_their_group_and_others_stay),
    UNIT(a_hundred_thousand_routes_in_and_out),
};
FIBTEST_MAIN("fib_kernel", cases)
