/* Dumps of the kernel's routes, in a network namespace of the test's own. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/kernel_routes.h"
#include "loop.h"
#include "unit.h"

static struct loop *loop;
static unsigned woken;

static void wake(void *arg)
{
    (void)arg;
    woken++;
    loop_stop(loop, 0);
}

static bool shell(const char *commands)
{
    return system(commands) == 0;
}

/* False: the case is skipped. */
static bool begin(void)
{
    if (unshare(CLONE_NEWNET) < 0) {
        unit_skip("no permission to make a network namespace");
        return false;
    }
    loop = loop_new();
    CU_ASSERT_TRUE_FATAL(
        shell("ip link set lo up && ip link add v0 type veth peer name v1 && ip link set v0 up &&"
              "ip link set v1 up && ip addr add 10.0.0.1/24 dev v0 && ip -6 addr add fd00::1/64 dev v0"
              " nodad"));
    return true;
}

/* All of them into out; returns how many. */
static unsigned dump(enum family f, uint32_t table, struct kernel_route *out, unsigned max)
{
    struct kernel_dump *d;
    unsigned n = 0;
    int rc;
    CU_ASSERT_EQUAL_FATAL(kernel_dump_new(loop, f, table, 87, wake, NULL, &d), 0);
    while ((rc = kernel_dump_next(d, &out[n < max ? n : max - 1])) != 0) {
        if (rc == -EAGAIN)
            loop_run(loop);
        else if (rc < 0)
            break;
        else
            n++;
    }
    CU_ASSERT_EQUAL(rc, 0);
    kernel_dump_free(d);
    return n;
}

static void routes_are_filtered_by_protocol_and_table(void)
{
    struct kernel_route r[8];
    if (!begin())
        return;
    CU_ASSERT_TRUE_FATAL(shell("ip route add 10.1.0.0/24 via 10.0.0.2 proto 87 metric 20 src 10.0.0.1 &&"
                               "ip route add 10.2.0.0/24 via 10.0.0.2 proto 99 &&"
                               "ip route add 10.3.0.0/24 via 10.0.0.2 proto 87 table 100"));
    CU_ASSERT_EQUAL_FATAL(dump(FAM_IPV4, 254, r, 8), 1);
    char text[PREFIX_STRLEN];
    CU_ASSERT_STRING_EQUAL(prefix_format(&r[0].dst, text), "10.1.0.0/24");
    CU_ASSERT_EQUAL(r[0].metric, 20);
    CU_ASSERT_EQUAL(r[0].type, RTN_UNICAST);
    CU_ASSERT_STRING_EQUAL(addr_format(&r[0].prefsrc, text), "10.0.0.1");
    CU_ASSERT_EQUAL_FATAL(r[0].n_hops, 1);
    CU_ASSERT_STRING_EQUAL(addr_format(&r[0].hops[0].gateway, text), "10.0.0.2");
    CU_ASSERT_TRUE(r[0].hops[0].ifindex > 1);
    CU_ASSERT_EQUAL(dump(FAM_IPV4, 100, r, 8), 1);
    CU_ASSERT_EQUAL(dump(FAM_IPV4, 4711, r, 8), 0); /* no such table */
    CU_ASSERT_EQUAL(dump(FAM_IPV6, 254, r, 8), 0);
    loop_free(loop);
}

static void nexthop_objects_and_groups_are_resolved(void)
{
    struct kernel_route r[8];
    char text[PREFIX_STRLEN];
    if (!begin())
        return;
    if (!shell("ip nexthop add id 10 via 10.0.0.2 dev v0 && ip nexthop add id 11 via 10.0.0.3 dev v0 &&"
               "ip nexthop add id 20 group 10,3/11 && ip nexthop add id 30 via fd00::2 dev v0 &&"
               "ip route add 10.1.0.0/24 nhid 20 proto 87 && ip route add 10.2.0.0/24 nhid 10 proto 87 &&"
               "ip -6 route add 2001:db8::/32 nhid 30 proto 87")) {
        unit_skip("no nexthop objects in this kernel");
        return;
    }
    for (unsigned hidden = 0; hidden < 2; hidden++) { /* 1: the routes name nothing but the object's id */
        if (hidden && !shell("sysctl -qw net.ipv4.nexthop_compat_mode=0"))
            break;
        CU_ASSERT_EQUAL_FATAL(dump(FAM_IPV4, 254, r, 8), 2);
        CU_ASSERT_EQUAL(r[0].nhid, 20);
        CU_ASSERT_EQUAL_FATAL(r[0].n_hops, 2);
        CU_ASSERT_STRING_EQUAL(addr_format(&r[0].hops[0].gateway, text), "10.0.0.2");
        CU_ASSERT_EQUAL(r[0].hops[0].weight, 3);
        CU_ASSERT_STRING_EQUAL(addr_format(&r[0].hops[1].gateway, text), "10.0.0.3");
        CU_ASSERT_EQUAL(r[0].hops[1].weight, 1);
        CU_ASSERT_EQUAL_FATAL(r[1].n_hops, 1);
        CU_ASSERT_EQUAL(r[1].nhid, 10);
        CU_ASSERT_EQUAL_FATAL(dump(FAM_IPV6, 254, r, 8), 1);
        CU_ASSERT_STRING_EQUAL(addr_format(&r[0].hops[0].gateway, text), "fd00::2");
    }
    loop_free(loop);
}

static void other_shapes_are_understood(void)
{
    struct kernel_route r[8];
    char text[PREFIX_STRLEN];
    if (!begin())
        return;
    CU_ASSERT_TRUE_FATAL(
        shell("ip route add unreachable 10.1.0.0/24 proto 87 metric 4294967295 &&"
              "ip route add 10.2.0.0/24 proto 87 nexthop via 10.0.0.2 nexthop via 10.0.0.3 weight 5 &&"
              "ip route add 10.3.0.0/24 via inet6 fd00::9 dev v0 proto 87 &&"
              "ip route add default via 10.0.0.2 proto 87"));
    CU_ASSERT_EQUAL_FATAL(dump(FAM_IPV4, 254, r, 8), 4);
    CU_ASSERT_TRUE(prefix_is_default(&r[0].dst));
    CU_ASSERT_EQUAL(r[1].type, RTN_UNREACHABLE);
    CU_ASSERT_EQUAL(r[1].metric, UINT32_MAX);
    CU_ASSERT_EQUAL(r[1].n_hops, 0);
    CU_ASSERT_EQUAL_FATAL(r[2].n_hops, 2);
    CU_ASSERT_EQUAL(r[2].hops[1].weight, 5);
    CU_ASSERT_STRING_EQUAL(addr_format(&r[3].hops[0].gateway, text), "fd00::9");
    loop_free(loop);
}

static void a_large_dump_comes_whole(void)
{
    static struct kernel_route r[1];
    if (!begin())
        return;
    FILE *ip = popen("ip -batch -", "w");
    for (unsigned k = 0; k < 5000; k++)
        fprintf(ip, "route add 10.%u.%u.0/24 via 10.0.0.2 proto 87\n", 1 + k / 256, k % 256);
    CU_ASSERT_EQUAL_FATAL(pclose(ip), 0);
    CU_ASSERT_EQUAL(dump(FAM_IPV4, 254, r, 1), 5000);
    loop_free(loop);
}

static const struct unit_case cases[] = {
    UNIT(routes_are_filtered_by_protocol_and_table),
    UNIT(nexthop_objects_and_groups_are_resolved),
    UNIT(other_shapes_are_understood),
    UNIT(a_large_dump_comes_whole),
};
UNIT_MAIN("kernel_routes", cases)
