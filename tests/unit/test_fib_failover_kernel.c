/* Failover against the real kernel: each case in a network namespace of its own, the test playing the
 * speaker. How long it takes is printed, with net.ipv4.nexthop_compat_mode on and off: until the first
 * packets would go the new way (what the kernel answers to lookups), until all do, until the parent has time
 * again. FIBTEST_ROUTES: the larger of the tables, 1000000 for the whole truth; FIBTEST_TRIGGERS: which ones,
 * as the digits of `enum trigger`; FIBTEST_BARE: build/bench/bare_fib, run beside what a link down costs. */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/ioctl.h>

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

/* What a process has had of the CPUs. */
static double cpu_ms(pid_t pid)
{
    char path[64];
    unsigned long long ns = 0;

    snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%llu", &ns) != 1)
        ns = 0;
    if (f)
        fclose(f);
    return (double)ns / 1e6;
}

/* Destinations all over the table, so that ECMP sends some to each member. */
#define PROBES 256u

static unsigned count_by(int sock, unsigned n, unsigned ifindex)
{
    unsigned probes = n < PROBES ? n : PROBES, count = 0;
    char text[32];

    for (unsigned i = 0; i < probes; i++) {
        unsigned k = (unsigned)((uint64_t)i * n / probes);
        snprintf(text, sizeof text, "20.%u.%u.%u", k >> 16, k >> 8 & 255, k & 255);
        count += goes_to(sock, text) == ifindex;
    }
    return count;
}

/* Takes the link down; in *news when a listener hears of it, which is before the kernel acts upon it. A child
 * stays in the kernel for as long as that takes. */
static pid_t set_down(const char *link, uint64_t *news)
{
    struct sockaddr_nl own = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    struct ifreq r = {0};
    int ctl = socket(AF_INET, SOCK_DGRAM, 0), monitor = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    uint8_t buf[4096];

    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", link);
    CU_ASSERT_EQUAL(bind(monitor, (void *)&own, sizeof own), 0);
    pid_t child = fork();
    if (!child)
        _exit(ioctl(ctl, SIOCSIFFLAGS, &r) < 0);
    CU_ASSERT_TRUE(recv(monitor, buf, sizeof buf, 0) > 0);
    *news = loop_now_us();
    close(ctl);
    close(monitor);
    return child;
}

enum trigger { DEAD_BACKUP, DEAD_ECMP, DEAD_ALONE, LINK_BACKUP, LINK_ECMP };
static const char *const trigger_names[] = {"dead, to the backup", "dead, of two members",
                                            "dead, no alternative", "link down, to the backup",
                                            "link down, of two members"};

/* Until a packet to some destination goes a new way, and until all do. */
static void watch(struct fibtest *t, unsigned n, enum trigger what, int sock)
{
    unsigned up1 = if_nametoindex("up1"), to = what == DEAD_ALONE ? 0 : up1, probes = n < PROBES ? n : PROBES;
    unsigned before = count_by(sock, n, to), now = before;
    double cpu = cpu_ms(t->fib), first = 0, told = 0;
    uint64_t start = loop_now_us(), said = start;
    pid_t child = 0;

    CU_ASSERT_TRUE(before < probes);
    if (what >= LINK_BACKUP)
        child = set_down("up0", &start);
    else
        say(t, FM_NEXTHOP_DEAD, "10.9.0.2");
    while (now < probes && since_ms(start) < WAIT_MS * 3) {
        usleep(200);
        now = count_by(sock, n, to);
        if (!first && now > before)
            first = since_ms(start);
        if (child && waitpid(child, NULL, WNOHANG) == child) {
            told = since_ms(start);
            child = 0;
        }
        if (since_ms(said) > 1000) {
            said = loop_now_us();
            fibtest_send(t, FM_HEARTBEAT, NULL, 0);
        }
    }
    double last = since_ms(start);
    CU_ASSERT_EQUAL(now, probes);
    if (child)
        waitpid(child, NULL, 0);
    done(t);
    printf("first %.1f ms, last %.1f ms, ", first, last);
    if (what >= LINK_BACKUP)
        printf("the kernel's own part %.1f ms, ", told);
    printf("parent free %.1f ms, its CPU %.0f ms\n", since_ms(start), cpu_ms(t->fib) - cpu);
}

static void measure(unsigned n, bool compat, enum trigger what)
{
    struct fibtest t;

    if (!fibtest_namespace(&t))
        return;
    struct fm_settings s = fibtest_settings();
    CU_ASSERT_TRUE(run("sysctl -qw net.ipv4.nexthop_compat_mode=%d", compat));
    if (what == LINK_BACKUP && getenv("FIBTEST_BARE"))
        run("time %s %u 10.9.1.2 up1", getenv("FIBTEST_BARE"), n);
    fibtest_launch(&t);
    fibtest_greet(&t, &s);
    if (what == DEAD_ECMP || what == LINK_ECMP)
        GROUP(&t, 1, 2, "10.9.0.2", "10.9.1.2");
    else if (what == DEAD_ALONE)
        GROUP(&t, 1, 1, "10.9.0.2");
    else
        GROUP(&t, 1, 1, "10.9.0.2", "10.9.1.2");
    add_routes(&t, n, 1);
    int sock = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    usleep(200000);
    printf("      %7u routes, compat_mode %d, %s: ", n, compat, trigger_names[what]);
    watch(&t, n, what, sock);
    close(sock);
    fibtest_end(&t);
}

static void how_long_it_takes(void)
{
    unsigned most = getenv("FIBTEST_ROUTES") ? (unsigned)atoi(getenv("FIBTEST_ROUTES")) : 1000;
    const char *triggers = getenv("FIBTEST_TRIGGERS") ? getenv("FIBTEST_TRIGGERS") : "01234";

    for (int compat = 1; compat >= 0; compat--)
        for (unsigned n = 100; n; n = n < most ? most : 0)
            for (enum trigger what = DEAD_BACKUP; what <= LINK_ECMP; what++)
                if (strchr(triggers, '0' + (int)what))
                    measure(n, compat, what);
}

static const struct unit_case cases[] = {
    UNIT(a_dead_next_hop_moves_what_has_another_and_empties_the_rest),
    UNIT(a_link_down_moves_routes_to_their_backup_and_back),
    UNIT(a_new_parent_knows_which_group_was_for_what),
    UNIT(how_long_it_takes),
};
FIBTEST_MAIN("fib_failover_kernel", cases)
