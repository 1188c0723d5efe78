/*
 * What a change of routing does to packets: a steady stream through the device under test, sender and
 * receiver in one process and on one clock. The receiver knows for every packet when it was sent, whether it
 * came, and over which interface. Commands on standard input, a line each, answered by a line of JSON
 * (CLOCK_MONOTONIC seconds):
 *
 *     flows            finds a flow to every destination that comes over the old interface: how many there
 * are run              begins to send, the flows in turn down IF, cut IF  in the wire's namespace: the
 * interface goes down; it leaves its bridge settle MS [AT]   when for so long every packet has come, and none
 * of them over the old interface: what was sent, lost, and came over the old interface since AT (default:
 * since down or cut), and `good_at`: when the first packet was sent from which on that holds for every flow
 *     stop             ends sending: what was sent and lost since run, and the longest time that a flow was
 * silent
 *
 * `bfd_at` is when the wire last delivered a BFD packet (UDP port 3784) to the device over the interface
 * --bfd. Without --old all flows count, the first port of each destination.
 */
#include "lib/fibwatch.h"
#include "lib/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PORT = 9000,
    DESTINATIONS_MAX = 16,
    SOCKETS = 16, /* source ports to choose from */
    PACKETS_MAX = 4 << 20,
    PROBE = 1 << 31, /* marks the number of a packet that looks for a flow */
    PROBE_MS = 150,
    GRACE_NS = 50000000, /* so long a packet may be on its way */
    BEHIND_NS = 20000000,
    GIVE_UP_NS = 1000000000,
    BFD_PORT = 3784,
};

enum via { VIA_NONE, VIA_OLD, VIA_OTHER };

struct flow {
    struct sockaddr_in to;
    int socket; /* index, -1: none that comes over the old interface */
};

struct gap {
    const char *from, *into, *wire, *old, *bfd;
    unsigned rate, timeout;
    struct flow flow[DESTINATIONS_MAX];
    unsigned flows, old_index;
    int tx[SOCKETS], rx, control, sniffer;
    bool running;
    int64_t next_ns, interval_ns, since_ns, bfd_ns;
    int64_t settle_ns, settle_until_ns; /* 0: not asked for */
    uint32_t sent;                      /* packets since run; they take the flows in turn */
    int64_t *sent_ns;
    uint8_t *via;
    uint32_t found[DESTINATIONS_MAX]; /* bitmap of the sockets whose probes came over the old interface */
};

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static void fail(const char *what)
{
    printf("{\"event\": \"failed\", \"error\": \"%s: %s\"}\n", what, strerror(errno));
    exit(1);
}

/* Probes carry the destination and the socket, others their number. */
static void send_packet(struct gap *g, const struct flow *f, int sock, uint32_t number)
{
    sendto(g->tx[sock], &number, sizeof(number), MSG_DONTWAIT, (const struct sockaddr *)&f->to,
           sizeof(f->to));
}

static void receive(struct gap *g)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
    } control;
    uint32_t number;

    for (;;) {
        struct iovec iov = {&number, sizeof(number)};
        struct msghdr m = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
        struct in_pktinfo info = {0};

        if (recvmsg(g->rx, &m, MSG_DONTWAIT) != sizeof(number))
            return;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
            if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
                memcpy(&info, CMSG_DATA(c), sizeof(info));
        if (number & PROBE) {
            if ((unsigned)info.ipi_ifindex == g->old_index)
                g->found[(number >> 8) % DESTINATIONS_MAX] |= 1u << number % SOCKETS;
        } else if (number < g->sent) {
            g->via[number] = g->old_index && (unsigned)info.ipi_ifindex == g->old_index ? VIA_OLD : VIA_OTHER;
        }
    }
}

static void sniff(struct gap *g)
{
    struct sockaddr_ll from;
    socklen_t len = sizeof(from);
    uint8_t frame[64];

    while (recvfrom(g->sniffer, frame, sizeof(frame), MSG_DONTWAIT, (struct sockaddr *)&from, &len) > 0)
        if (from.sll_pkttype == PACKET_OUTGOING)
            g->bfd_ns = bench_now_ns();
}

static void find_flows(struct gap *g)
{
    int64_t end = bench_now_ns() + PROBE_MS * 1000000ll;
    unsigned found = 0;

    memset(g->found, 0, sizeof(g->found));
    for (unsigned i = 0; i < g->flows; i++)
        for (unsigned s = 0; s < SOCKETS; s++)
            send_packet(g, &g->flow[i], (int)s, (uint32_t)PROBE | i << 8 | s);
    while (bench_now_ns() < end) {
        poll(&(struct pollfd){.fd = g->rx, .events = POLLIN}, 1, 10);
        receive(g);
    }
    for (unsigned i = 0; i < g->flows; i++) {
        g->flow[i].socket = g->found[i] ? __builtin_ctz(g->found[i]) : -1;
        found += g->found[i] != 0;
    }
    printf("{\"event\": \"flows\", \"found\": %u}\n", found);
}

static void begin(struct gap *g)
{
    g->running = true;
    g->sent = 0;
    g->settle_ns = 0;
    g->since_ns = g->next_ns = bench_now_ns();
    printf("{\"event\": \"running\"}\n");
}

static void send_due(struct gap *g, int64_t now)
{
    if (now - g->next_ns > BEHIND_NS)
        g->next_ns = now; /* we were not let to run: no burst after it */
    for (; g->next_ns <= now && g->sent < PACKETS_MAX; g->next_ns += g->interval_ns) {
        const struct flow *f = &g->flow[g->sent % g->flows];

        g->via[g->sent] = VIA_NONE;
        g->sent_ns[g->sent] = bench_now_ns();
        send_packet(g, f, f->socket < 0 ? 0 : f->socket, g->sent++);
    }
}

/* The trouble is told to the kernel by one system call, of which the time is known. */
static void trouble(struct gap *g, const char *name, bool cut)
{
    struct ifreq r = {0};

    snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    if (cut) {
        r.ifr_ifindex = 0;
        if (ioctl(g->control, SIOCGIFINDEX, &r) < 0)
            fail(name);
        snprintf(r.ifr_name, sizeof(r.ifr_name), "br%s", name + 1);
    }
    g->since_ns = bench_now_ns();
    if (ioctl(g->control, cut ? SIOCBRDELIF : SIOCSIFFLAGS, &r) < 0)
        fail(r.ifr_name);
    printf("{\"event\": \"trouble\", \"at\": %.6f}\n", seconds(g->since_ns));
}

/* Of each flow the packet after its last bad one; the latest of those. 0: a flow has not had one yet. */
static int64_t good_since(const struct gap *g, uint32_t first, uint32_t end)
{
    int64_t latest = 0;

    for (uint32_t f = 0; f < g->flows; f++) {
        int64_t good = 0;

        for (uint32_t i = end; i-- > first;) {
            if (i % g->flows != f)
                continue;
            if (g->via[i] != VIA_OTHER)
                break;
            good = g->sent_ns[i];
        }
        if (!good)
            return 0;
        latest = good > latest ? good : latest;
    }
    return latest;
}

static uint32_t first_since(const struct gap *g, int64_t since)
{
    uint32_t i = g->sent;

    while (i && g->sent_ns[i - 1] >= since)
        i--;
    return i;
}

static void report(const struct gap *g, const char *event, int64_t since, uint32_t end, int64_t good)
{
    uint32_t first = first_since(g, since), lost = 0, old = 0;
    int64_t last[DESTINATIONS_MAX] = {0}, silent = 0;

    for (uint32_t i = first; i < end; i++) {
        int64_t *l = &last[i % g->flows];

        lost += g->via[i] == VIA_NONE;
        old += g->via[i] == VIA_OLD;
        if (g->via[i] == VIA_NONE)
            continue;
        if (*l && g->sent_ns[i] - *l > silent)
            silent = g->sent_ns[i] - *l;
        *l = g->sent_ns[i];
    }
    printf(
        "{\"event\": \"%s\", \"sent\": %u, \"lost\": %u, \"old\": %u, \"good_at\": %.6f, \"bfd_at\": %.6f, "
        "\"silent\": %.6f}\n",
        event, end - first, lost, old, seconds(good), seconds(g->bfd_ns), seconds(silent));
}

/* Looks at what was sent GRACE_NS ago and before. */
static void check_settled(struct gap *g, int64_t now)
{
    uint32_t first = first_since(g, g->since_ns), end = first_since(g, now - GRACE_NS);
    int64_t good = end > first ? good_since(g, first, end) : 0;

    if (good && now - GRACE_NS - good >= g->settle_ns) {
        report(g, "settled", g->since_ns, end, good);
    } else if (now > g->settle_until_ns) {
        printf(
            "{\"event\": \"failed\", \"error\": \"packets are still lost or sent the old way after %u s\"}\n",
            g->timeout);
        exit(1);
    } else {
        return;
    }
    g->settle_ns = 0;
    g->running = false;
}

/* Returns -1 at the end of the input. */
static int read_command(struct gap *g)
{
    char line[128], name[IFNAMSIZ];
    ssize_t got = read(STDIN_FILENO, line, sizeof(line) - 1);
    double at = 0;
    unsigned ms;

    if (got <= 0)
        return -1;
    line[got] = 0;
    if (!strncmp(line, "flows", 5)) {
        find_flows(g);
    } else if (!strncmp(line, "run", 3)) {
        begin(g);
    } else if (sscanf(line, "down %15s", name) == 1) {
        trouble(g, name, false);
    } else if (sscanf(line, "cut %15s", name) == 1) {
        trouble(g, name, true);
    } else if (sscanf(line, "settle %u %lf", &ms, &at) >= 1) {
        g->settle_ns = ms * 1000000ll;
        g->settle_until_ns = bench_now_ns() + g->timeout * 1000000000ll;
        if (at > 0)
            g->since_ns = (int64_t)(at * 1e9);
    } else if (!strncmp(line, "stop", 4)) {
        int64_t end = bench_now_ns() + 6 * GRACE_NS;

        g->running = false;
        while (bench_now_ns() < end) {
            poll(NULL, 0, 10);
            receive(g);
        }
        report(g, "stopped", 0, g->sent, 0);
    }
    return 0;
}

static void run(struct gap *g)
{
    struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {g->rx, POLLIN, 0}, {g->sniffer, POLLIN, 0}};
    int64_t next_check = 0;

    for (;;) {
        int64_t now = bench_now_ns(), wait = g->running ? g->next_ns - now : GIVE_UP_NS;
        struct timespec ts = {.tv_nsec = wait > 0 ? wait % GIVE_UP_NS : 0, .tv_sec = wait >= GIVE_UP_NS};

        if (ppoll(fds, 3, &ts, NULL) > 0) {
            if (fds[2].revents)
                sniff(g);
            if (fds[1].revents)
                receive(g);
            if (fds[0].revents && read_command(g) < 0)
                return;
        }
        now = bench_now_ns();
        if (g->running)
            send_due(g, now);
        if (g->running && g->settle_ns && now >= next_check) {
            check_settled(g, now);
            next_check = bench_now_ns() + GRACE_NS;
        }
    }
}

static void open_sender(struct gap *g)
{
    int home = netns_enter(g->from);

    for (unsigned i = 0; i < SOCKETS && home >= 0; i++) {
        struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(PORT + 1 + i))};

        g->tx[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (g->tx[i] < 0 || bind(g->tx[i], (struct sockaddr *)&own, sizeof(own)) < 0)
            fail("sender");
    }
    if (home < 0 || netns_leave(home) < 0)
        fail(g->from);
}

static void open_receiver(struct gap *g)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int home = netns_enter(g->into), on = 1, size = 8 << 20;

    g->rx = home < 0 ? -1 : socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (g->rx < 0 || bind(g->rx, (struct sockaddr *)&any, sizeof(any)) < 0)
        fail("receiver");
    setsockopt(g->rx, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
    setsockopt(g->rx, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    if (g->old) {
        g->old_index = if_nametoindex(g->old);
        if (!g->old_index)
            fail(g->old);
    }
    if (netns_leave(home) < 0)
        fail(g->into);
}

/* Sees IPv4 packets to the port of BFD. */
static void open_sniffer(struct gap *g)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 5),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 3),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 36),      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, BFD_PORT, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, sizeof(uint32_t)), BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};

    at.sll_ifindex = (int)if_nametoindex(g->bfd);
    g->sniffer = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (g->sniffer < 0 || setsockopt(g->sniffer, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0 ||
        bind(g->sniffer, (struct sockaddr *)&at, sizeof(at)) < 0)
        fail("sniffer");
}

static void open_wire(struct gap *g)
{
    int home = netns_enter(g->wire);

    if (home < 0)
        fail(g->wire);
    g->control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (g->bfd)
        open_sniffer(g);
    if (netns_leave(home) < 0)
        fail(g->wire);
}

static int usage(const char *name)
{
    fprintf(stderr,
            "usage: %s --from NETNS --to NETNS [--wire NETNS [--bfd IF]] [--old IF] [--rate PACKETS/S] "
            "[--timeout SECONDS] ADDRESS...\n",
            name);
    return 2;
}

static int parse(struct gap *g, int argc, char **argv)
{
    static const struct option known[] = {
        {"from", 1, NULL, 'f'}, {"to", 1, NULL, 't'},   {"wire", 1, NULL, 'w'},    {"old", 1, NULL, 'o'},
        {"bfd", 1, NULL, 'b'},  {"rate", 1, NULL, 'r'}, {"timeout", 1, NULL, 'T'}, {0},
    };
    int c;

    g->rate = 8000;
    g->timeout = 60;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'r')
            g->rate = (unsigned)atoi(optarg);
        else if (c == 'T')
            g->timeout = (unsigned)atoi(optarg);
        else if (c == '?')
            return -EINVAL;
        else
            *(c == 'f'   ? &g->from
              : c == 't' ? &g->into
              : c == 'w' ? &g->wire
              : c == 'o' ? &g->old
                         : &g->bfd) = optarg;
    }
    for (; optind < argc && g->flows < DESTINATIONS_MAX; g->flows++) {
        struct flow *f = &g->flow[g->flows];

        *f = (struct flow){.to = {.sin_family = AF_INET, .sin_port = htons(PORT)}, .socket = (int)g->flows};
        if (inet_pton(AF_INET, argv[optind++], &f->to.sin_addr) != 1)
            return -EINVAL;
    }
    return g->from && g->into && g->flows && g->rate && optind == argc ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
    struct gap *g = calloc(1, sizeof(*g));

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!g)
        return 3;
    if (parse(g, argc, argv) < 0)
        return usage(argv[0]);
    g->sent_ns = calloc(PACKETS_MAX, sizeof(*g->sent_ns));
    g->via = calloc(PACKETS_MAX, 1);
    if (!g->sent_ns || !g->via)
        return 3;
    g->control = g->sniffer = -1;
    g->interval_ns = 1000000000 / g->rate;
    open_sender(g);
    open_receiver(g);
    if (g->wire)
        open_wire(g);
    run(g);
    return 0;
}
