/*
 * When is the N-th route in the kernel? The obvious ways to ask disturb what they measure: a listener on the
 * route multicast group costs the writer 20-36 %, a dump of 1M routes takes seconds, and
 * /proc/net/fib_triestat walks the whole trie. Looking up one route is cheap and takes no RTNL lock. So a
 * random sample of the table is looked up, each poll going on where the last one stopped (one lookup while
 * the wanted state has not come); only when the whole sample is settled, and with that all but a thousandth
 * of the table, is fib_triestat asked for the exact count.
 *
 * A sample is a prefix whose first address no longer prefix of the table covers, so that the lookup answers
 * with it.
 */
#include "fibwatch.h"

#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { COUNT_EVERY_NS = 10000000 };

struct lookup {
    struct nlmsghdr n;
    struct rtmsg r;
    struct rtattr a;
    uint32_t dst;
};

int64_t bench_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void choose_samples(struct fibwatch *w, const struct table *t)
{
    uint64_t rng = 87;

    w->samples = 0;
    for (unsigned attempt = 0; attempt < 4 * FIBWATCH_SAMPLES && w->samples < FIBWATCH_SAMPLES; attempt++) {
        struct table_prefix p = t->prefixes[table_random(&rng) % t->routes];

        if (!table_covered(t, p))
            w->sample[w->samples++] = p;
    }
}

/* Both descriptors stay bound to the namespace they were opened in. */
static int open_here(struct fibwatch *w)
{
    struct timeval patience = {.tv_sec = 5};

    w->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    w->triestat = open("/proc/thread-self/net/fib_triestat", O_RDONLY | O_CLOEXEC);
    if (w->netlink < 0 || w->triestat < 0)
        return -errno;
    setsockopt(w->netlink, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return 0;
}

int fibwatch_open(struct fibwatch *w, const char *netns, const struct table *t, unsigned hops)
{
    int home, err;

    memset(w, 0, sizeof(*w));
    w->netlink = w->triestat = -1;
    w->routes = t->routes;
    w->width = hops;
    choose_samples(w, t);
    if (!netns)
        return open_here(w);
    home = netns_enter(netns);
    if (home < 0)
        return home;
    err = open_here(w);
    return netns_leave(home) < 0 ? -EIO : err;
}

void fibwatch_close(struct fibwatch *w)
{
    if (w->netlink >= 0)
        close(w->netlink);
    if (w->triestat >= 0)
        close(w->triestat);
    w->netlink = w->triestat = -1;
}

/* How many next hops a route has. A group's are listed like any others, unless nexthop_compat_mode is off. */
static unsigned width(const struct nlmsghdr *n)
{
    const struct rtmsg *r = NLMSG_DATA(n);
    unsigned left = (unsigned)RTM_PAYLOAD(n), hops = 1;

    for (struct rtattr *a = RTM_RTA(r); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        int rest = (int)RTA_PAYLOAD(a);

        if (a->rta_type != RTA_MULTIPATH)
            continue;
        hops = 0;
        for (struct rtnexthop *h = RTA_DATA(a); RTNH_OK(h, rest); h = RTNH_NEXT(h)) {
            hops++;
            rest -= NLMSG_ALIGN(h->rtnh_len);
        }
    }
    return hops;
}

/* 1 when the kernel's best match for the prefix's first address is the prefix itself, with all its next hops.
 */
static int lookup(struct fibwatch *w, struct table_prefix p)
{
    struct lookup req = {
        .n = {.nlmsg_len = sizeof(req), .nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST},
        .r = {.rtm_family = AF_INET, .rtm_dst_len = 32, .rtm_flags = RTM_F_FIB_MATCH},
        .a = {.rta_len = RTA_LENGTH(4), .rta_type = RTA_DST},
        .dst = __builtin_bswap32(p.addr),
    };
    union {
        struct nlmsghdr n;
        uint8_t bytes[4096];
    } reply;
    ssize_t len;

    req.n.nlmsg_seq = ++w->seq;
    if (send(w->netlink, &req, sizeof(req), 0) < 0)
        return -errno;
    do {
        len = recv(w->netlink, &reply, sizeof(reply), 0);
        if (len < 0)
            return -errno;
    } while ((size_t)len < NLMSG_HDRLEN || reply.n.nlmsg_seq != w->seq);
    if (reply.n.nlmsg_type != RTM_NEWROUTE)
        return 0; /* no route at all */
    return ((struct rtmsg *)NLMSG_DATA(&reply.n))->rtm_dst_len == p.len && width(&reply.n) >= w->width;
}

/* The first table that the kernel lists is main, merged with local as long as nobody adds policy rules. */
static long count_prefixes(struct fibwatch *w)
{
    char text[4096], *line;
    ssize_t len = pread(w->triestat, text, sizeof(text) - 1, 0);

    if (len < 0)
        return -errno;
    text[len] = 0;
    line = strstr(text, "Main:");
    line = line ? strstr(line, "Prefixes:") : NULL;
    return line ? strtol(line + strlen("Prefixes:"), NULL, 10) : -EPROTO;
}

int fibwatch_begin(struct fibwatch *w)
{
    w->base = count_prefixes(w);
    w->next = 0;
    w->next_count_ns = 0;
    return w->base < 0 ? (int)w->base : 0;
}

void fibwatch_turn(struct fibwatch *w)
{
    w->width = 1;
    w->next = 0;
    w->next_count_ns = 0;
}

int fibwatch_poll(struct fibwatch *w, bool present, int64_t now_ns)
{
    long count;

    for (; w->next < w->samples; w->next++) {
        int found = lookup(w, w->sample[w->next]);

        if (found < 0)
            return found;
        if (found != present)
            return 0;
    }
    if (now_ns < w->next_count_ns)
        return 0;
    count = count_prefixes(w);
    w->next_count_ns = bench_now_ns() + COUNT_EVERY_NS;
    if (count < 0)
        return (int)count;
    return present ? count >= w->base + w->routes : count <= w->base;
}
