/* BFD as the parent runs it: the real thread and its sockets in a network namespace, against a peer that the
 * test plays packet by packet from another namespace. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fib/bfd.h"
#include "fib/bfd_packet.h"
#include "fib/bfd_run.h"
#include "fib/links.h"
#include "fib/nexthops.h"
#include "unit.h"

#define WAIT_MS   (5000 * UNIT_SLOW)
#define ONE_HOP   3784
#define MULTIHOP  4784
#define OUR_DISCR 0x0B0B0B0B

static struct {
    struct fib f;
    struct bfd *b;
    struct timer *tick;
    int sock; /* the peer's */
    struct sockaddr_storage to;
    socklen_t to_len;
    struct fm_bfd want;
    uint32_t ifindex;          /* what the links say */
    struct fm_bfd_state state; /* last told */
    bool told_failed, told_dead;
    bool dead, dead_when_told; /* next hop */
    unsigned tells;
    struct bfd_packet got; /* last from the daemon */
    int got_ttl, got_tos;
    uint16_t got_port;
} x;

/* The namespaces, the same for all cases. */
static int near_ns = -1, far_ns = -1;
static cpu_set_t processors; /* that we had at first */

uint32_t links_connected(struct links *l, const struct ip_addr *a, uint32_t scope)
{
    (void)l, (void)a;
    return scope ? scope : x.ifindex;
}

bool links_is_up(const struct links *l, uint32_t ifindex)
{
    (void)l, (void)ifindex;
    return true;
}

void nexthops_set_dead(struct nexthops *n, const struct fm_nexthop *nh, enum nexthop_dead why, bool dead)
{
    (void)n, (void)nh;
    CU_ASSERT_EQUAL(why, NEXTHOP_DEAD_BFD);
    x.dead = dead;
}

void fib_tell(struct fib *f, enum fm_type type, const void *records, uint32_t n)
{
    (void)f;
    CU_ASSERT_EQUAL(type, FM_BFD_STATE);
    CU_ASSERT_EQUAL(n, 1);
    if (memcmp(records, &x.want.peer, sizeof x.want.peer) != 0)
        return; /* of one that is there for the crowd */
    memcpy(&x.state, records, sizeof x.state);
    x.tells++;
    if (x.state.flags & FM_BFD_FAILED) {
        x.told_failed = true;
        x.dead_when_told = x.dead;
    }
}

static bool run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static bool run(const char *fmt, ...)
{
    char cmd[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(cmd, sizeof cmd, fmt, ap);
    va_end(ap);
    return system(cmd) == 0;
}

static void end_turn(void *arg)
{
    (void)arg;
    loop_stop(x.f.loop, 0);
}

/* One look of the daemon's main thread, a few milliseconds. */
static void turn(void)
{
    timer_set(x.tick, 2);
    loop_run(x.f.loop);
}

static int far_socket(uint8_t af, const char *addr, uint16_t port)
{
    struct ip_addr a;
    struct sockaddr_storage ss;
    int ttl = 255, on = 1;

    CU_ASSERT_FATAL(addr_parse(addr, &a) == 0 && setns(far_ns, CLONE_NEWNET) == 0);
    uint32_t far_index = if_nametoindex("far0");
    int fd = socket(af, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = addr_to_sockaddr(&a, port, addr_is_link_local(&a) ? far_index : 0, &ss);
    int rc = bind(fd, (void *)&ss, len);
    CU_ASSERT_FATAL(setns(near_ns, CLONE_NEWNET) == 0);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    if (af == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof ttl);
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on);
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
        ((struct sockaddr_in6 *)&x.to)->sin6_scope_id = far_index;
    } else {
        setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
        setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
        setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    }
    return fd;
}

static bool make_namespaces(void)
{
    if (far_ns >= 0)
        return true;
    if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
        unit_skip("needs root and network namespaces");
        return false;
    }
    sched_getaffinity(0, sizeof processors, &processors);
    int ready[2];
    char path[64], c;
    CU_ASSERT_FATAL(pipe(ready) == 0);
    near_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    pid_t holder = fork();
    if (!holder) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        c = unshare(CLONE_NEWNET) == 0;
        ssize_t n = write(ready[1], &c, 1);
        (void)n;
        for (;;)
            pause();
    }
    CU_ASSERT_FATAL(read(ready[0], &c, 1) == 1 && c);
    close(ready[0]);
    close(ready[1]);
    snprintf(path, sizeof path, "/proc/%d/ns/net", holder);
    far_ns = open(path, O_RDONLY | O_CLOEXEC);
    /* The far end first: a carrier that comes later is noticed up to a second later. */
    return far_ns >= 0 &&
           run("ip link set lo up; ip link add up0 type veth peer far0 && ip link set far0 netns %d",
               holder) &&
           run("nsenter -t %d -n sh -c 'ip addr add 10.9.0.2/24 dev far0; ip addr add fd09::2/64 dev far0 "
               "nodad;"
               "ip link set far0 addrgenmode none; ip addr add fe80::2/64 dev far0 nodad; ip link set far0 "
               "up'",
               holder) &&
           run("ip addr add 10.9.0.1/24 dev up0 && ip addr add fd09::1/64 dev up0 nodad && "
               "ip link set up0 addrgenmode none && ip addr add fe80::1/64 dev up0 nodad && ip link set up0 "
               "up");
}

static struct fm_bfd wanted(const char *peer, uint32_t us, uint8_t multiplier)
{
    struct fm_bfd m = {.interval_us = us, .multiplier = multiplier, .min_ttl = 255};
    struct ip_addr a;

    CU_ASSERT_FATAL(addr_parse(peer, &a) == 0);
    m.peer.af = a.af;
    memcpy(m.peer.addr, a.b, 16);
    if (addr_is_link_local(&a))
        m.peer.scope = x.ifindex;
    return m;
}

static void aim(const char *daemon, uint16_t port)
{
    struct ip_addr a;

    CU_ASSERT_FATAL(addr_parse(daemon, &a) == 0);
    x.to_len = addr_to_sockaddr(&a, port, 0, &x.to);
}

/* A daemon with its loop, and a peer with a socket. False: skipped. */
static bool set_up_at(const char *peer, const char *daemon)
{
    memset(&x, 0, sizeof x);
    log_init("fib", LOG_LVL_ERROR, LOG_FMT_TEXT, LOG_TO_STDERR);
    if (!make_namespaces())
        return false; /* skipped */
    x.f.loop = loop_new();
    x.tick = timer_new(x.f.loop, end_turn, NULL);
    x.b = bfd_new(&x.f);
    CU_ASSERT_FATAL(x.b != NULL);
    x.ifindex = if_nametoindex("up0");
    aim(daemon, ONE_HOP);
    x.sock = far_socket(strchr(peer, ':') ? AF_INET6 : AF_INET, peer, ONE_HOP);
    x.want = wanted(peer, 50000, 3);
    return true;
}

static bool set_up(void)
{
    return set_up_at("10.9.0.2", "10.9.0.1");
}

static void tear_down(void)
{
    bfd_free(x.b);
    timer_free(x.tick);
    loop_free(x.f.loop);
    close(x.sock);
}

/* Takes what the daemon has sent; the last of it is in x.got. The number. */
static unsigned hear(void)
{
    union {
        struct cmsghdr align;
        char buf[128];
    } control;
    uint8_t data[64];
    unsigned n = 0;

    for (;;) {
        struct sockaddr_storage from;
        struct iovec iov = {data, sizeof data};
        struct msghdr msg = {.msg_name = &from,
                             .msg_namelen = sizeof from,
                             .msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.buf,
                             .msg_controllen = sizeof control.buf};
        ssize_t len = recvmsg(x.sock, &msg, MSG_DONTWAIT);
        struct ip_addr a;
        if (len < 0)
            return n;
        CU_ASSERT_PTR_NULL(bfd_packet_decode(data, (size_t)len, &x.got));
        addr_from_sockaddr((void *)&from, &a, &x.got_port, NULL);
        for (struct cmsghdr *cm = CMSG_FIRSTHDR(&msg); cm; cm = CMSG_NXTHDR(&msg, cm)) {
            int v = 0;
            memcpy(&v, CMSG_DATA(cm), cm->cmsg_type == IP_TOS && cm->cmsg_level == IPPROTO_IP ? 1 : sizeof v);
            bool ttl =
                cm->cmsg_level == IPPROTO_IP ? cm->cmsg_type == IP_TTL : cm->cmsg_type == IPV6_HOPLIMIT;
            *(ttl ? &x.got_ttl : &x.got_tos) = v;
        }
        n++;
    }
}

static void send_raw(const void *data, size_t n)
{
    CU_ASSERT_EQUAL(sendto(x.sock, data, n, 0, (void *)&x.to, x.to_len), (ssize_t)n);
}

static void say_as(uint8_t state, uint32_t your, uint8_t flags)
{
    const struct bfd_packet p = {.state = state,
                                 .flags = flags,
                                 .multiplier = 3,
                                 .my_discriminator = OUR_DISCR,
                                 .your_discriminator = your,
                                 .tx_us = 100000,
                                 .rx_us = 50000};
    uint8_t bytes[BFD_PACKET_LEN];

    bfd_packet_encode(&p, bytes);
    send_raw(bytes, sizeof bytes);
}

/* As a sound peer would. */
static void say(uint8_t state)
{
    say_as(state, x.got.my_discriminator, 0);
}

/* The peer goes on saying `state` (0xFF: nothing) until cond holds. */
#define UNTIL(state_said, cond)                                                                              \
    do {                                                                                                     \
        uint64_t starved_ = unit_starved_ms();                                                               \
        unsigned left_ = WAIT_MS;                                                                            \
        for (uint64_t end_ = loop_now_ms() + left_; !(cond);) {                                              \
            if (loop_now_ms() >= end_) {                                                                     \
                left_ = unit_owed_ms(&starved_);                                                             \
                if (!left_)                                                                                  \
                    break;                                                                                   \
                end_ = loop_now_ms() + left_;                                                                \
            }                                                                                                \
            if ((state_said) != 0xFF)                                                                        \
                say(state_said);                                                                             \
            turn();                                                                                          \
            hear();                                                                                          \
        }                                                                                                    \
        CU_ASSERT(cond);                                                                                     \
    } while (0)
#define SILENT 0xFF

static void come_up(void)
{
    CU_ASSERT_EQUAL(bfd_set(x.b, &x.want), 0);
    x.got.my_discriminator = 0;
    UNTIL(FM_BFD_DOWN, x.got.state == FM_BFD_INIT);
    UNTIL(FM_BFD_UP, x.state.state == FM_BFD_UP && x.got.state == FM_BFD_UP);
}

static void stay_up_ms(unsigned ms)
{
    for (uint64_t end = loop_now_ms() + ms; loop_now_ms() < end;) {
        say_as(FM_BFD_UP, x.got.my_discriminator, x.got.flags & BFD_POLL ? BFD_FINAL : 0);
        turn();
        hear();
    }
}

static void a_session_comes_up_as(const char *peer, const char *daemon)
{
    if (!set_up_at(peer, daemon))
        return;
    come_up();
    CU_ASSERT_EQUAL(x.got_ttl, 255);
    CU_ASSERT_EQUAL(x.got_tos, 0xC0);
    CU_ASSERT_TRUE(x.got_port >= 49152);
    CU_ASSERT_TRUE(x.got.flags & BFD_CONTROL_PLANE_INDEPENDENT);
    CU_ASSERT_EQUAL(x.got.your_discriminator, OUR_DISCR);
    CU_ASSERT_EQUAL(x.state.remote_discriminator, OUR_DISCR);
    CU_ASSERT_EQUAL(x.state.error, 0);
    UNTIL(FM_BFD_UP, x.got.flags & BFD_POLL && x.got.tx_us == 50000);
    x.got.flags = BFD_POLL;
    say_as(FM_BFD_UP, x.got.my_discriminator, BFD_FINAL);
    UNTIL(FM_BFD_UP, !(x.got.flags & BFD_POLL));
    UNTIL(FM_BFD_UP, x.state.detection_us == 3 * 100000);
    struct ip_addr local = fm_addr(x.state.peer.af, x.state.local), is;
    CU_ASSERT_TRUE(addr_parse(daemon, &is) == 0 && addr_equal(&local, &is));
    CU_ASSERT_FALSE(x.dead);
    tear_down();
}

static void a_session_comes_up_over_ipv4(void)
{
    a_session_comes_up_as("10.9.0.2", "10.9.0.1");
}

static void a_session_comes_up_over_ipv6(void)
{
    a_session_comes_up_as("fd09::2", "fd09::1");
}

static void a_session_comes_up_over_link_local(void)
{
    a_session_comes_up_as("fe80::2", "fe80::1");
}

static void a_poll_is_answered_at_once(void)
{
    if (!set_up())
        return;
    come_up();
    hear();
    x.got.flags = 0;
    say_as(FM_BFD_UP, x.got.my_discriminator, BFD_POLL);
    UNTIL(SILENT, x.got.flags & BFD_FINAL || x.state.state != FM_BFD_UP);
    CU_ASSERT_FALSE(x.got.flags & BFD_POLL);
    tear_down();
}

static void silence_kills_the_next_hop_before_the_speaker_hears_of_it(void)
{
    if (!set_up())
        return;
    come_up();
    UNTIL(SILENT, x.told_failed);
    CU_ASSERT_TRUE(x.dead_when_told);
    CU_ASSERT_EQUAL(x.state.state, FM_BFD_DOWN);
    CU_ASSERT_EQUAL(x.state.diag, BFD_DIAG_EXPIRED);
    CU_ASSERT_EQUAL(x.state.downs, 1);
    UNTIL(SILENT, x.got.diag == BFD_DIAG_EXPIRED && !x.got.your_discriminator);
    CU_ASSERT_TRUE(x.dead);
    bfd_overrule(x.b, &x.want.peer);
    CU_ASSERT_FALSE(x.dead);
    UNTIL(FM_BFD_DOWN, x.state.state == FM_BFD_INIT);
    CU_ASSERT_TRUE(x.state.flags & FM_BFD_FAILED);
    CU_ASSERT_FALSE(x.dead);
    UNTIL(FM_BFD_UP, x.state.state == FM_BFD_UP);
    CU_ASSERT_FALSE(x.dead);
    CU_ASSERT_FALSE(x.state.flags & FM_BFD_FAILED);
    CU_ASSERT_EQUAL(x.state.ups, 2);
    UNTIL(SILENT, x.dead); /* what was overruled was that failure */
    tear_down();
}

static void down_is_a_failure_and_admin_down_is_none(void)
{
    if (!set_up())
        return;
    come_up();
    UNTIL(FM_BFD_ADMIN_DOWN, x.state.state == FM_BFD_DOWN);
    CU_ASSERT_EQUAL(x.state.remote_state, FM_BFD_ADMIN_DOWN);
    CU_ASSERT_FALSE(x.told_failed || x.dead);
    UNTIL(FM_BFD_DOWN, x.got.state == FM_BFD_INIT);
    UNTIL(FM_BFD_UP, x.state.state == FM_BFD_UP);
    say(FM_BFD_DOWN);
    UNTIL(SILENT, x.told_failed);
    CU_ASSERT_TRUE(x.dead && x.dead_when_told);
    UNTIL(FM_BFD_ADMIN_DOWN, !x.dead);
    CU_ASSERT_FALSE(x.state.flags & FM_BFD_FAILED);
    tear_down();
}

/* RFC 5882 4.3: with the C bit it is one all the same. */
static void a_failure_in_a_graceful_restart_is_none(void)
{
    for (unsigned independent = 0; independent < 2; independent++) {
        if (!set_up())
            return;
        come_up();
        x.want.flags = FM_BFD_RESTARTING;
        CU_ASSERT_EQUAL(bfd_set(x.b, &x.want), 0);
        say_as(FM_BFD_UP, x.got.my_discriminator, independent ? BFD_CONTROL_PLANE_INDEPENDENT : 0);
        UNTIL(SILENT, x.told_failed);
        CU_ASSERT_EQUAL(x.dead, independent);
        CU_ASSERT_EQUAL(!(x.state.flags & FM_BFD_REMOTE_CPI), !independent);
        x.want.flags = 0; /* the session is back before BFD is */
        CU_ASSERT_EQUAL(bfd_set(x.b, &x.want), 0);
        UNTIL(FM_BFD_DOWN, x.state.state == FM_BFD_INIT);
        CU_ASSERT_EQUAL(x.dead, independent);
        UNTIL(FM_BFD_UP, x.state.state == FM_BFD_UP);
        CU_ASSERT_FALSE(x.dead);
        x.told_failed = false;
        UNTIL(SILENT, x.told_failed);
        CU_ASSERT_TRUE(x.dead);
        tear_down();
    }
}

static void what_is_not_from_the_peer_changes_nothing(void)
{
    static const uint8_t junk[] = {0x20, 0x40, 3, 24, 1};
    int ttl = 254;

    if (!set_up())
        return;
    come_up();
    uint32_t right = x.got.my_discriminator;
    for (int i = 0; i < 20; i++) {
        say_as(FM_BFD_DOWN, right + 1, 0); /* another session's */
        setsockopt(x.sock, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
        say_as(FM_BFD_DOWN, right, 0); /* from farther than one hop */
        ttl = 255;
        setsockopt(x.sock, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
        ttl = 254;
        say_as(FM_BFD_DOWN, right, BFD_MULTIPOINT);
        say_as(FM_BFD_DOWN, right, BFD_AUTHENTICATION);
        say_as(FM_BFD_INIT, 0, 0);
        send_raw(junk, sizeof junk);
        send_raw(junk, 0);
        say_as(FM_BFD_UP, right, 0);
        turn();
        hear();
    }
    CU_ASSERT_EQUAL(x.state.state, FM_BFD_UP);
    CU_ASSERT_EQUAL(x.state.downs, 0);
    tear_down();
}

/* A pod on another interface of the node may put the peer's address on its packets. */
static void another_interface_than_the_peers_is_not_believed(void)
{
    if (!set_up())
        return;
    uint32_t right = x.ifindex;
    x.ifindex = right + 1000;
    x.want.interval_us = 100000;
    CU_ASSERT_EQUAL(bfd_set(x.b, &x.want), 0);
    x.got.my_discriminator = 0;
    for (int i = 0; i < 50; i++) {
        say_as(FM_BFD_DOWN, 0, 0);
        turn();
    }
    CU_ASSERT_EQUAL(x.state.state, FM_BFD_DOWN);
    CU_ASSERT_EQUAL(x.state.remote_discriminator, 0);
    x.ifindex = right;
    bfd_links_changed(x.b);
    UNTIL(FM_BFD_DOWN, x.state.state == FM_BFD_INIT);
    tear_down();
}

static void more_hops_are_counted(void)
{
    int ttl = 252;

    if (!set_up())
        return;
    close(x.sock);
    aim("10.9.0.1", MULTIHOP);
    x.sock = far_socket(AF_INET, "10.9.0.2", MULTIHOP);
    x.want.flags = FM_BFD_MULTIHOP;
    x.want.min_ttl = 253;
    memcpy(x.want.local, (uint8_t[]){10, 9, 0, 1}, 4);
    CU_ASSERT_EQUAL(bfd_set(x.b, &x.want), 0);
    UNTIL(SILENT, x.got.my_discriminator);
    setsockopt(x.sock, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    for (int i = 0; i < 20; i++) {
        say(FM_BFD_DOWN);
        turn();
    }
    CU_ASSERT_EQUAL(x.state.state, FM_BFD_DOWN);
    ttl = 253;
    setsockopt(x.sock, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    UNTIL(FM_BFD_DOWN, x.got.state == FM_BFD_INIT);
    UNTIL(FM_BFD_UP, x.state.state == FM_BFD_UP);
    tear_down();
}

static void a_session_outlives_the_speaker_and_changes_without_a_flap(void)
{
    if (!set_up())
        return;
    come_up();
    bfd_speaker_gone(x.b);
    stay_up_ms(100);
    unsigned tells = x.tells;
    x.want.interval_us = 80000;
    CU_ASSERT_EQUAL(bfd_set(x.b, &x.want), 0);
    CU_ASSERT_EQUAL(x.tells, tells + 1); /* answered at once, with what is */
    CU_ASSERT_EQUAL(x.state.state, FM_BFD_UP);
    bfd_sweep(x.b);
    for (int i = 0; i < 50 && x.got.tx_us != 80000; i++)
        stay_up_ms(20);
    CU_ASSERT_EQUAL(x.got.tx_us, 80000);
    UNTIL(FM_BFD_UP, x.state.tx_us == 80000);
    CU_ASSERT_EQUAL(x.state.downs, 0);
    tear_down();
}

static void the_unclaimed_ends_with_admin_down(void)
{
    if (!set_up())
        return;
    come_up();
    bfd_speaker_gone(x.b);
    bfd_sweep(x.b);
    UNTIL(SILENT, x.got.state == FM_BFD_ADMIN_DOWN);
    CU_ASSERT_EQUAL(x.got.diag, BFD_DIAG_ADMIN_DOWN);
    /* A new session with the same peer is another one. */
    uint32_t old = x.got.my_discriminator;
    CU_ASSERT_EQUAL(bfd_set(x.b, &x.want), 0);
    UNTIL(SILENT, x.got.my_discriminator != old && x.got.state == FM_BFD_DOWN);
    tear_down();
}

static void a_stop_says_admin_down_before_it_returns(void)
{
    if (!set_up())
        return;
    come_up();
    hear();
    bfd_admin_down(x.b);
    usleep(1000);
    CU_ASSERT_TRUE(hear() >= 3);
    CU_ASSERT_EQUAL(x.got.state, FM_BFD_ADMIN_DOWN);
    CU_ASSERT_FALSE(x.dead);
    tear_down();
}

static void a_port_that_is_taken_is_an_error_until_it_is_free(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(ONE_HOP)};

    if (!set_up())
        return;
    int taken = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(taken, (void *)&a, sizeof a), 0);
    CU_ASSERT_EQUAL(bfd_set(x.b, &x.want), 0);
    UNTIL(SILENT, x.state.error == -EADDRINUSE);
    CU_ASSERT_EQUAL(hear(), 0);
    close(taken);
    UNTIL(SILENT, x.state.error == 0);
    UNTIL(SILENT, x.got.my_discriminator);
    tear_down();
}

/* In the state of a child so that its descriptors are its own; exit status 0: the session went on. */
static _Noreturn void new_life(int fd)
{
    struct bfd *b = bfd_new(&x.f);
    uint32_t discriminator = x.got.my_discriminator;
    int log = memfd_create("log", MFD_CLOEXEC);
    char said[4096] = "";

    if (dup2(log, STDERR_FILENO) < 0)
        _exit(1);
    log_init("fib", LOG_LVL_INFO, LOG_FMT_TEXT, LOG_TO_STDERR);
    x.b = b;
    x.state = (struct fm_bfd_state){0};
    if (!b || bfd_restore(b, fd) || bfd_set(b, &x.want))
        _exit(1);
    bfd_sweep(b);
    for (int i = 0; i < 10; i++)
        stay_up_ms(40);
    bool same = x.got.my_discriminator == discriminator && x.got.state == FM_BFD_UP;
    if (pread(log, said, sizeof said - 1, 0) < 0 || strstr(said, "session is up"))
        _exit(3); /* that is no news */
    _exit(same && x.state.state == FM_BFD_UP && x.state.ups == 1 && !x.state.downs ? 0 : 2);
}

static void a_session_goes_on_in_a_new_life(void)
{
    int status, fd = memfd_create("bfd", MFD_CLOEXEC);

    if (!set_up())
        return;
    come_up();
    CU_ASSERT_EQUAL(bfd_save(x.b, fd), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid)
        new_life(fd);
    CU_ASSERT_TRUE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
    /* Nothing came of it: this life goes on. */
    CU_ASSERT_EQUAL(bfd_resume(x.b), 0);
    stay_up_ms(100);
    CU_ASSERT_EQUAL(x.got.state, FM_BFD_UP);
    CU_ASSERT_EQUAL(x.state.downs, 0);
    close(fd);
    tear_down();
}

/* One byte after the other is made another one; what is taken nevertheless must not do harm. */
/* In a child, for there is no way back from the limit; exit status 0: all was forgotten. */
static _Noreturn void life_without_descriptors(void)
{
    const struct rlimit none = {0};

    if (setrlimit(RLIMIT_NOFILE, &none) || bfd_resume(x.b) != -EMFILE || x.dead)
        _exit(1);
    x.want.interval_us = 80000;
    _exit(!bfd_set(x.b, &x.want) && x.state.error == -EMFILE ? 0 : 2);
}

static void sessions_that_cannot_go_on_are_forgotten(void)
{
    int status, fd = memfd_create("bfd", MFD_CLOEXEC);

    if (!set_up())
        return;
    come_up();
    UNTIL(SILENT, x.dead);
    CU_ASSERT_EQUAL(bfd_save(x.b, fd), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid)
        life_without_descriptors();
    CU_ASSERT_TRUE(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status));
    close(fd);
    tear_down();
}

static void a_damaged_save_is_refused_or_harmless(void)
{
    char text[4096];
    int fd = memfd_create("bfd", MFD_CLOEXEC);
    unsigned refused = 0;

    if (!set_up())
        return;
    come_up();
    CU_ASSERT_EQUAL(bfd_save(x.b, fd), 0);
    ssize_t n = pread(fd, text, sizeof text, 0);
    CU_ASSERT_TRUE_FATAL(n > 100 && n < (ssize_t)sizeof text);
    fflush(stdout);
    for (ssize_t i = 0; i < n; i += 13) {
        int damaged = memfd_create("damaged", MFD_CLOEXEC), status;
        char was = text[i];
        text[i] = i % 2 ? '7' : ' ';
        CU_ASSERT_EQUAL(write(damaged, text, (size_t)n), n);
        text[i] = was;
        pid_t pid = fork();
        if (!pid) {
            struct bfd *b = bfd_new(&x.f);
            int rc = bfd_restore(b, damaged);
            if (!rc)
                turn();
            _exit(rc ? 1 : 0);
        }
        CU_ASSERT_TRUE(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) < 2);
        refused += WEXITSTATUS(status);
        close(damaged);
    }
    CU_ASSERT_TRUE(refused > n / 26);
    close(fd);
    tear_down();
}

static void many_sessions_and_a_flood_beside_them(void)
{
    if (!set_up())
        return;
    for (unsigned i = 0; i < 500; i++) {
        struct fm_bfd m = x.want;
        m.peer.addr[2] = (uint8_t)(1 + i / 200);
        m.peer.addr[3] = (uint8_t)(1 + i % 200);
        CU_ASSERT_EQUAL(bfd_set(x.b, &m), 0);
    }
    turn();
    come_up();
    uint32_t right = x.got.my_discriminator;
    for (int i = 0; i < 30; i++) {
        for (int k = 0; k < 500; k++)
            say_as(FM_BFD_DOWN, right + 1 + (uint32_t)k, BFD_POLL);
        say_as(FM_BFD_UP, right, 0);
        turn();
        hear();
    }
    /* What was lost in the full queue is the peer's; what we send is on time. */
    CU_ASSERT_EQUAL(x.got.my_discriminator, right);
    struct fm_nexthop peer = x.want.peer;
    bfd_del(x.b, &peer);
    UNTIL(SILENT, x.got.state == FM_BFD_ADMIN_DOWN);
    tear_down();
}

/* One turn of the thread, which after a flood does not read yet: what has been said may be among the rest. */
static void nobody_is_judged_while_the_thread_does_not_read(void)
{
    struct bfd_thread t = {.listeners = {-1, -1, -1, -1}, .listen_us = loop_now_us() + 10000000};
    struct bfd_flow f = {.fd = -1, .retry_us = BFD_NEVER, .report_us = BFD_NEVER};

    if (!set_up())
        return;
    t.table = bfd_table_new();
    t.command_fd = eventfd(1, EFD_NONBLOCK);
    t.event_fd = eventfd(0, EFD_NONBLOCK);
    CU_ASSERT_FATAL(t.table && bfd_ring_init(&t.commands, 4, sizeof(struct bfd_command)) &&
                    bfd_ring_init(&t.events, 4, sizeof(struct bfd_event)));
    f.name = x.want.peer;
    f.peer = fm_addr(f.name.af, f.name.addr);
    f.terms = (struct bfd_terms){.interval_us = 50000, .multiplier = 3, .min_ttl = 255};
    bfd_session_init(&f.session, 1, 50000, 3, 1, loop_now_us());
    f.session.state = f.session.remote_state = FM_BFD_UP;
    f.session.remote_multiplier = 3;
    f.session.heard = true; /* long ago */
    bfd_ring_put(&t.commands, &(struct bfd_command){.type = BFD_CMD_ADD, .flow = &f});
    bfd_ring_put(&t.commands, &(struct bfd_command){.type = BFD_CMD_STOP});
    bfd_run(&t);
    CU_ASSERT_EQUAL(f.session.state, FM_BFD_UP);
    CU_ASSERT_TRUE(f.session.granted);
    for (unsigned i = 0; i < BFD_LISTENERS; i++)
        if (t.listeners[i] >= 0)
            close(t.listeners[i]);
    close(f.fd);
    close(t.command_fd);
    close(t.event_fd);
    bfd_ring_reset(&t.commands);
    bfd_ring_reset(&t.events);
    bfd_table_free(t.table);
    tear_down();
}

/* Before a turn takes back what has ended: the thread has room for so many and no more. */
static void a_speaker_that_begins_and_ends_without_pause_is_refused(void)
{
    bool refused = false;

    if (!set_up())
        return;
    for (unsigned i = 0; i < 3 * BFD_SESSIONS && !refused; i++) {
        x.want.flags ^= FM_BFD_MULTIHOP; /* another session */
        CU_ASSERT_EQUAL(bfd_set(x.b, &x.want), 0);
        refused = x.state.error == -EAGAIN;
    }
    CU_ASSERT_TRUE(refused);
    x.want.flags = 0;
    UNTIL(SILENT, !bfd_set(x.b, &x.want) && x.state.error != -EAGAIN);
    come_up();
    tear_down();
}

static unsigned threads(void)
{
    char line[128];
    unsigned n = 0;
    FILE *f = fopen("/proc/self/status", "r");

    while (f && fgets(line, sizeof line, f))
        sscanf(line, "Threads: %u", &n);
    if (f)
        fclose(f);
    return n;
}

static void there_is_no_thread_without_a_session(void)
{
    if (!set_up())
        return;
    unsigned before = threads();
    come_up();
    CU_ASSERT_EQUAL(threads(), before + 1);
    bfd_del(x.b, &x.want.peer);
    bfd_del(x.b, &x.want.peer);
    UNTIL(SILENT, threads() == before);
    come_up();
    tear_down();
}

/* Of a thread of ours by the name of its task; false: there is none. */
static bool processors_of(const char *name, int *policy, cpu_set_t *set)
{
    char path[64], comm[32];
    DIR *d = opendir("/proc/self/task");
    bool found = false;

    for (struct dirent *e; d && !found && (e = readdir(d));) {
        snprintf(path, sizeof path, "/proc/self/task/%.10s/comm", e->d_name);
        FILE *f = fopen(path, "r");
        if (f && fgets(comm, sizeof comm, f) && !strncmp(comm, name, strlen(name))) {
            pid_t id = atoi(e->d_name);
            *policy = sched_getscheduler(id);
            found = !sched_getaffinity(id, sizeof *set, set);
        }
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return found;
}

/* The kernel does not let a thread run, of any priority, where another is deep inside it. */
static void the_thread_is_urgent_and_has_a_processor_of_its_own(void)
{
    cpu_set_t ours, bfd, childs;
    int policy, pipes[2];

    if (!set_up())
        return;
    CU_ASSERT_EQUAL(bfd_set(x.b, &x.want), 0);
    UNTIL(SILENT, processors_of("underlayd: bfd", &policy, &bfd));
    sched_getaffinity(0, sizeof ours, &ours);
    if (policy == SCHED_RR && CPU_COUNT(&processors) > 1) {
        CU_ASSERT_EQUAL(CPU_COUNT(&bfd), 1);
        CU_ASSERT_EQUAL(CPU_COUNT(&ours), CPU_COUNT(&processors) - 1);
        CPU_OR(&bfd, &bfd, &ours);
        CU_ASSERT_TRUE(CPU_EQUAL(&bfd, &processors));
    } else {
        CU_ASSERT_TRUE(CPU_EQUAL(&ours, &processors) && CPU_EQUAL(&bfd, &processors));
    }
    CU_ASSERT_FATAL(pipe(pipes) == 0);
    pid_t pid = fork();
    if (!pid) {
        bfd_forked(x.b);
        sched_getaffinity(0, sizeof childs, &childs);
        _exit(write(pipes[1], &childs, sizeof childs) == sizeof childs ? 0 : 1);
    }
    CU_ASSERT_EQUAL(read(pipes[0], &childs, sizeof childs), sizeof childs);
    CU_ASSERT_TRUE(CPU_EQUAL(&childs, &processors));
    waitpid(pid, NULL, 0);
    close(pipes[0]);
    close(pipes[1]);
    bfd_del(x.b, &x.want.peer);
    UNTIL(SILENT, threads() == 1);
    sched_getaffinity(0, sizeof ours, &ours);
    CU_ASSERT_TRUE(CPU_EQUAL(&ours, &processors));
    tear_down();
}

/* What costs no peer a packet is no news, but is added up all the same. */
static void starvation_is_what_a_peer_may_notice(void)
{
    struct bfd_thread *t = calloc(1, sizeof *t);
    struct bfd_flow slow = {0}, fast = {.peer.b = {1}};

    CU_ASSERT_FATAL(t && (t->table = bfd_table_new()));
    bfd_session_init(&slow.session, 1, 2000000, 3, 1, 1);
    bfd_session_init(&fast.session, 2, 100000, 3, 1, 1);
    bfd_table_add(t->table, &slow);
    t->turn_us = 1000000;
    bfd_note_delay(t, 2000000, 2999999);
    CU_ASSERT_EQUAL(t->starvations, 0);
    CU_ASSERT_EQUAL(t->stalled_us, 999999);
    bfd_note_delay(t, 2000000, 3000000);
    CU_ASSERT_EQUAL(t->starvations, 1);
    CU_ASSERT_EQUAL(t->starved_us, 1000000);
    fast.session.tx_used_us = 100000; /* up: the slow rate is over */
    bfd_table_add(t->table, &fast);
    bfd_note_delay(t, 4000000, 4016000);
    CU_ASSERT_EQUAL(t->starvations, 1);
    bfd_note_delay(t, 4000000, 4050000); /* whose turn it was does not matter */
    CU_ASSERT_EQUAL(t->starvations, 2);
    CU_ASSERT_EQUAL(t->starved_us, 1000000);
    bfd_table_free(t->table);
    free(t);
}

static const struct unit_case cases[] = {
    UNIT(a_session_comes_up_over_ipv4),
    UNIT(a_session_comes_up_over_ipv6),
    UNIT(a_session_comes_up_over_link_local),
    UNIT(a_poll_is_answered_at_once),
    UNIT(silence_kills_the_next_hop_before_the_speaker_hears_of_it),
    UNIT(down_is_a_failure_and_admin_down_is_none),
    UNIT(a_failure_in_a_graceful_restart_is_none),
    UNIT(what_is_not_from_the_peer_changes_nothing),
    UNIT(another_interface_than_the_peers_is_not_believed),
    UNIT(more_hops_are_counted),
    UNIT(a_session_outlives_the_speaker_and_changes_without_a_flap),
    UNIT(the_unclaimed_ends_with_admin_down),
    UNIT(a_stop_says_admin_down_before_it_returns),
    UNIT(a_port_that_is_taken_is_an_error_until_it_is_free),
    UNIT(a_session_goes_on_in_a_new_life),
    UNIT(sessions_that_cannot_go_on_are_forgotten),
    UNIT(a_damaged_save_is_refused_or_harmless),
    UNIT(many_sessions_and_a_flood_beside_them),
    UNIT(nobody_is_judged_while_the_thread_does_not_read),
    UNIT(a_speaker_that_begins_and_ends_without_pause_is_refused),
    UNIT(there_is_no_thread_without_a_session),
    UNIT(the_thread_is_urgent_and_has_a_processor_of_its_own),
    UNIT(starvation_is_what_a_peer_may_notice),
};
UNIT_MAIN("bfd", cases)
