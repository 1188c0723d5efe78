/* Failover against the real kernel: each case in a network namespace of its own, the test playing the
 * speaker. How long it takes is printed, with net.ipv4.nexthop_compat_mode on and off: first until a packet
 * would go the new way (what the kernel answers to a lookup), then until the call is over. */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "fibtest.h"

#define ROUTES4 "ip -4 route show proto 201"
#define ROUTES6 "ip -6 route show proto 201"

/* The first n of the next hops are members, the others backups. */
static void group_of(struct fibtest *t, uint32_t id, unsigned n, const char *const *text)
{
    struct fm_group g = {.id = id, .n_members = (uint16_t)n};

    for (unsigned i = 0; text[i]; i++) {
        g.members[i] = (struct fm_member){fibtest_nexthop(text[i], 0), 1};
        g.n_backups += i >= n;
    }
    fibtest_send(t, FM_GROUP_SET, &g, 1);
}
#define GROUP(t, id, n, ...) group_of(t, id, n, (const char *const[]){__VA_ARGS__, NULL})

static void say(struct fibtest *t, enum fm_type type, const char *text)
{
    struct fm_nexthop nh = fibtest_nexthop(text, 0);
    fibtest_send(t, type, &nh, 1);
}

/* Everything said so far has been done: messages are handled in their order. */
static void done(struct fibtest *t)
{
    CU_ASSERT_EQUAL(fibtest_do(t, FM_ROUTE_DEL, "203.0.113.0/24", 0), 0);
}

static void a_dead_next_hop_moves_what_has_another_and_empties_the_rest(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    GROUP(&t, 1, 2, "10.9.0.2", "10.9.1.2");
    GROUP(&t, 2, 1, "10.9.0.2", "10.9.1.3");
    GROUP(&t, 3, 1, "10.9.0.2");
    GROUP(&t, 4, 1, "fd09:0::2", "fd09:1::2");
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.51.0.0/16", 2), 0);
    struct fm_route r = fibtest_route(FM_ROUTE_SET, "10.52.0.0/16", 3, 7);
    fibtest_send(&t, FM_ROUTES, &r, 1);
    CU_ASSERT_EQUAL(fibtest_result(&t, 7, WAIT_MS), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "fd50::/48", 4), 0);
    say(&t, FM_NEXTHOP_DEAD, "10.9.0.2");
    say(&t, FM_NEXTHOP_DEAD, "fd09:0::2");
    CU_ASSERT_EQUAL(fibtest_result(&t, 7, WAIT_MS), FM_E_NEXTHOP);
    done(&t);
    CU_ASSERT_TRUE(shows(ROUTES4, "via 10.9.1.2 dev up1"));
    CU_ASSERT_TRUE(shows(ROUTES4, "via 10.9.1.3 dev up1"));
    CU_ASSERT_TRUE(shows(ROUTES6, "via fd09:1::2 dev up1"));
    CU_ASSERT_FALSE(shows("ip nexthop show proto 201", "up0"));
    CU_ASSERT_FALSE(shows(ROUTES4, "10.52"));
    say(&t, FM_NEXTHOP_ALIVE, "10.9.0.2");
    say(&t, FM_NEXTHOP_ALIVE, "fd09:0::2");
    CU_ASSERT_EQUAL(fibtest_result(&t, 7, WAIT_MS), 0);
    CU_ASSERT_TRUE(shows(ROUTES4, "nexthop via 10.9.0.2 dev up0"));
    CU_ASSERT_FALSE(shows(ROUTES4, "10.9.1.3"));
    CU_ASSERT_TRUE(shows(ROUTES6, "via fd09::2 dev up0"));
    fibtest_end(&t);
}

static void link_down(struct fibtest *t, bool carrier)
{
    CU_ASSERT_TRUE(run(carrier ? "ip link set far0 down" : "ip link set up0 down"));
    CU_ASSERT_TRUE(shows_soon(ROUTES4 " 10.51.0.0/16", "via 10.9.1.3 dev up1", true));
    CU_ASSERT_TRUE(shows_soon(ROUTES6, "via fd09:1::2 dev up1", true));
    CU_ASSERT_TRUE(shows(ROUTES4 " 10.50.0.0/16", "via 10.9.1.2 dev up1"));
    CU_ASSERT_FALSE(shows("ip -4 route show proto 201; ip -6 route show proto 201", "up0"));
    CU_ASSERT_TRUE(run(carrier ? "ip link set far0 up" : "ip link set up0 up"));
    CU_ASSERT_TRUE(shows_soon(ROUTES4 " 10.51.0.0/16", "via 10.9.0.2 dev up0", true));
    CU_ASSERT_TRUE(shows_soon(ROUTES4 " 10.50.0.0/16", "nexthop via 10.9.0.2 dev up0", true));
    (void)t;
}

static void a_link_down_moves_routes_to_their_backup_and_back(void)
{
    struct fibtest t;

    if (!fibtest_start(&t))
        return;
    GROUP(&t, 1, 2, "10.9.0.2", "10.9.1.2");
    GROUP(&t, 2, 1, "10.9.0.2", "10.9.1.3");
    GROUP(&t, 4, 1, "fd09:0::2", "fd09:1::2");
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.50.0.0/16", 1), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.51.0.0/16", 2), 0);
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "fd50::/48", 4), 0);
    link_down(&t, false);
    /* Addresses of IPv6 went with the link. */
    CU_ASSERT_TRUE(run("ip addr add fd09:0::1/64 dev up0 nodad"));
    link_down(&t, true);
    fibtest_end(&t);
}

/* What is in the kernel is the same for two of them, and each route stays where it is. */
static void a_new_parent_knows_which_group_was_for_what(void)
{
    struct fibtest t;
    char cmd[128], file[96];

    if (!fibtest_start(&t))
        return;
    struct fm_settings s = fibtest_settings();
    GROUP(&t, 1, 1, "10.9.0.2");
    GROUP(&t, 2, 1, "10.9.0.2", "10.9.1.2");
    GROUP(&t, 3, 1, "10.9.0.2", "10.9.1.3");
    GROUP(&t, 4, 2, "10.9.0.2", "10.9.1.3");
    GROUP(&t, 5, 1, "10.9.1.2", "10.9.0.2");
    for (unsigned i = 1; i <= 5; i++) {
        char text[32];
        snprintf(text, sizeof text, "10.5%u.0.0/16", i);
        CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, text, i), 0);
    }
    say(&t, FM_NEXTHOP_DEAD, "10.9.1.2"); /* group 5 is left on its backup */
    done(&t);
    kill(t.fib, SIGKILL);
    waitpid(t.fib, NULL, 0);
    kill(t.speaker, SIGKILL);
    snprintf(file, sizeof file, "%s/monitor", t.dir);
    snprintf(cmd, sizeof cmd, "cat %s", file);
    CU_ASSERT_TRUE(run("ip monitor nexthop route > %s & echo $! > %s.pid; sleep 0.3", file, file));
    fibtest_launch(&t);
    fibtest_greet(&t, &s);
    GROUP(&t, 11, 1, "10.9.0.2");
    GROUP(&t, 14, 2, "10.9.1.3", "10.9.0.2");
    GROUP(&t, 13, 1, "10.9.0.2", "10.9.1.3");
    GROUP(&t, 12, 1, "10.9.0.2", "10.9.1.2");
    for (unsigned i = 1; i <= 4; i++) {
        char text[32];
        snprintf(text, sizeof text, "10.5%u.0.0/16", i);
        CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, text, i + 10), 0);
    }
    CU_ASSERT_TRUE(run("ip route add 198.51.100.0/24 dev up1"));
    CU_ASSERT_TRUE(shows_soon(cmd, "198.51.100.0", true));
    CU_ASSERT_FALSE(shows(cmd, "10.5")); /* no route, */
    CU_ASSERT_FALSE(shows(cmd, "id"));   /* no nexthop object was written */
    GROUP(&t, 15, 1, "10.9.1.2", "10.9.0.2");
    CU_ASSERT_EQUAL(fibtest_do(&t, FM_ROUTE_SET, "10.55.0.0/16", 15), 0);
    CU_ASSERT_TRUE(shows(ROUTES4 " 10.55.0.0/16", "via 10.9.1.2"));
    fibtest_send(&t, FM_SYNCED, NULL, 0);
    done(&t);
    char buf[64];
    CU_ASSERT_EQUAL(atoi(output(buf, sizeof buf, "ip nexthop show proto 201 | grep -c group")), 5);
    run("kill $(cat %s.pid)", file);
    fibtest_end(&t);
}

/* Where the kernel sends a packet for this address now: its ifindex, 0: nowhere. */
static unsigned goes_to(int s, const char *address)
{
    struct {
        struct nlmsghdr h;
        struct rtmsg r;
        struct rtattr a;
        struct in_addr dst;
    } m = {.h = {sizeof m, RTM_GETROUTE, NLM_F_REQUEST, 1, 0},
           .r = {.rtm_family = AF_INET, .rtm_dst_len = 32},
           .a = {RTA_LENGTH(4), RTA_DST}};
    _Alignas(8) uint8_t buf[4096];
    unsigned oif = 0;

    inet_pton(AF_INET, address, &m.dst);
    if (send(s, &m, sizeof m, 0) < 0)
        return 0;
    ssize_t got = recv(s, buf, sizeof buf, 0);
    struct nlmsghdr *h = (void *)buf;
    if (got < (ssize_t)sizeof *h || h->nlmsg_type != RTM_NEWROUTE)
        return 0;
    struct rtattr *a = RTM_RTA((struct rtmsg *)NLMSG_DATA(h));
    for (int left = (int)RTM_PAYLOAD(h); RTA_OK(a, left); a = RTA_NEXT(a, left))
        if (a->rta_type == RTA_OIF)
            memcpy(&oif, RTA_DATA(a), sizeof oif);
    return oif;
}

static void add_routes(struct fibtest *t, unsigned n, uint32_t group)
{
    static struct fm_route batch[1000];

    for (unsigned i = 0; i < n;) {
        unsigned k = 0;
        for (; k < 1000 && i < n; k++, i++)
            batch[k] = (struct fm_route){.op = FM_ROUTE_SET,
                                         .af = AF_INET,
                                         .len = 32,
                                         .group = group,
                                         .cookie = i + 1,
                                         .addr = {20, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
        fibtest_send(t, FM_ROUTES, batch, k);
    }
    for (unsigned seen = 0, got; seen < n; seen += got) {
        fibtest_send(t, FM_HEARTBEAT, NULL, 0);
        if (!fibtest_wait(t, FM_ROUTE_RESULTS, &got, WAIT_MS * 3))
            break;
    }
}

static double since_ms(uint64_t start_us)
{
    return (double)(loop_now_us() - start_us) / 1000.0;
}

enum trigger { DEAD_BACKUP, DEAD_ECMP, DEAD_ALONE, LINK_BACKUP, LINK_ECMP };
static const char *const trigger_names[] = {"dead, to the backup", "dead, of two members",
                                            "dead, no alternative", "link down, to the backup",
                                            "link down, of two members"};

/* First and last route: a route of the table is put back somewhere in between. */
static void measure(unsigned n, bool compat, enum trigger what)
{
    struct fibtest t;
    char first[32], last[32];

    if (!fibtest_namespace(&t))
        return;
    struct fm_settings s = fibtest_settings();
    CU_ASSERT_TRUE(run("sysctl -qw net.ipv4.nexthop_compat_mode=%d", compat));
    fibtest_launch(&t);
    fibtest_greet(&t, &s);
    if (what == DEAD_ECMP || what == LINK_ECMP)
        GROUP(&t, 1, 2, "10.9.0.2", "10.9.1.2");
    else if (what == DEAD_ALONE)
        GROUP(&t, 1, 1, "10.9.0.2");
    else
        GROUP(&t, 1, 1, "10.9.0.2", "10.9.1.2");
    add_routes(&t, n, 1);
    snprintf(first, sizeof first, "20.0.0.0");
    snprintf(last, sizeof last, "20.%u.%u.%u", (n - 1) >> 16, (n - 1) >> 8 & 255, (n - 1) & 255);
    int sock = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    unsigned up1 = if_nametoindex("up1"), want = what == DEAD_ALONE ? 0 : up1;
    usleep(200000);
    uint64_t start = loop_now_us();
    if (what >= LINK_BACKUP) {
        CU_ASSERT_TRUE(run("ip link set up0 down"));
        printf("      (ip link set: %.1f ms) ", since_ms(start));
    } else {
        say(&t, FM_NEXTHOP_DEAD, "10.9.0.2");
    }
    while (goes_to(sock, first) != want && since_ms(start) < WAIT_MS)
        ;
    double changed = since_ms(start);
    while (goes_to(sock, last) != want && since_ms(start) < WAIT_MS)
        ;
    double all = since_ms(start);
    if (what >= LINK_BACKUP) {
        char buf[64];
        snprintf(buf, sizeof buf, "%u", n);
        CU_ASSERT_TRUE(shows_soon("ip -4 route show proto 201 | wc -l", buf, true));
    }
    done(&t);
    printf("      %7u routes, compat_mode %d, %s: first %.1f ms, last %.1f ms, parent free %.1f ms\n", n,
           compat, trigger_names[what], changed, all, since_ms(start));
    close(sock);
    fibtest_end(&t);
}

static void how_long_it_takes(void)
{
    unsigned most = getenv("FIBTEST_ROUTES") ? (unsigned)atoi(getenv("FIBTEST_ROUTES")) : 1000;

    for (int compat = 1; compat >= 0; compat--)
        for (unsigned n = 100; n; n = n < most ? most : 0)
            for (enum trigger what = DEAD_BACKUP; what <= LINK_ECMP; what++)
                measure(n, compat, what);
}

static const struct unit_case cases[] = {
    UNIT(a_dead_next_hop_moves_what_has_another_and_empties_the_rest),
    UNIT(a_link_down_moves_routes_to_their_backup_and_back),
    UNIT(a_new_parent_knows_which_group_was_for_what),
    UNIT(how_long_it_takes),
};
FIBTEST_MAIN("fib_failover_kernel", cases)
