/* The ceiling: N IPv4 routes over one nexthop group written to the kernel by a bare netlink loop, in a
 * network namespace of its own, with nothing around it: no table, no results, no speaker. Batches without ACK
 * but on the last message, as fib/kernel_batch.c sends them. What underlayd needs for the same table is
 * measured against this.
 *
 * Usage: bench_netlink [COUNT [scattered|ascending [BATCH]]]; prints one line a step: what, routes, ms,
 * routes/s. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PROTOCOL 87
#define METRIC   20

struct bench {
    int fd;
    uint32_t seq;
    size_t len;
    unsigned n;
    struct nlmsghdr *last;
    _Alignas(8) uint8_t buf[1 << 20];
};

static void fail(const char *what)
{
    fprintf(stderr, "bench_netlink: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static struct nlmsghdr *message(struct bench *b, uint16_t type, uint16_t flags, const void *header,
                                size_t size)
{
    struct nlmsghdr *h = (void *)(b->buf + b->len);

    *h = (struct nlmsghdr){NLMSG_LENGTH(size), type, (uint16_t)(NLM_F_REQUEST | flags), b->seq++, 0};
    memcpy(NLMSG_DATA(h), header, size);
    b->len += NLMSG_ALIGN(h->nlmsg_len);
    b->last = h;
    b->n++;
    return h;
}

static void attr(struct bench *b, struct nlmsghdr *h, uint16_t type, const void *data, size_t len)
{
    struct rtattr *a = (void *)((uint8_t *)h + NLMSG_ALIGN(h->nlmsg_len));

    *a = (struct rtattr){(uint16_t)RTA_LENGTH(len), type};
    memcpy(RTA_DATA(a), data, len);
    h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len) + RTA_ALIGN(a->rta_len);
    b->len = (size_t)((uint8_t *)h - b->buf) + h->nlmsg_len;
}

/* Sends the batch and reads until the ACK of its last message; any error ends the run. */
static void commit(struct bench *b)
{
    static _Alignas(8) uint8_t rx[65536];

    if (!b->n)
        return;
    b->last->nlmsg_flags |= NLM_F_ACK;
    uint32_t last = b->last->nlmsg_seq;
    if (send(b->fd, b->buf, b->len, 0) < 0)
        fail("send");
    b->len = b->n = 0;
    for (bool done = false; !done;) {
        ssize_t got = recv(b->fd, rx, sizeof rx, 0);
        if (got < 0)
            fail("recv");
        int left = (int)got;
        for (struct nlmsghdr *h = (void *)rx; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
            const struct nlmsgerr *e = NLMSG_DATA(h);
            if (h->nlmsg_type != NLMSG_ERROR)
                continue;
            if (e->error) {
                errno = -e->error;
                fail("the kernel refused");
            }
            done = h->nlmsg_seq == last;
        }
    }
}

static void nexthop(struct bench *b, uint32_t id, const char *gateway, const uint32_t *members, unsigned n)
{
    struct nhmsg m = {.nh_family = gateway ? AF_INET : AF_UNSPEC, .nh_protocol = PROTOCOL};
    struct nexthop_grp grp[8] = {0};
    struct nlmsghdr *h = message(b, RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_REPLACE, &m, sizeof m);

    attr(b, h, NHA_ID, &id, sizeof id);
    if (gateway) {
        uint32_t oif = if_nametoindex("up0"), addr;
        inet_pton(AF_INET, gateway, &addr);
        attr(b, h, NHA_OIF, &oif, sizeof oif);
        attr(b, h, NHA_GATEWAY, &addr, sizeof addr);
    } else {
        for (unsigned i = 0; i < n; i++)
            grp[i].id = members[i];
        attr(b, h, NHA_GROUP, grp, n * sizeof *grp);
    }
    commit(b);
}

/* A route of the table: /24s and some /22 and /32, so that the trie has more than one level. */
static void route(struct bench *b, uint16_t type, uint16_t flags, uint32_t i, uint32_t group)
{
    static const uint8_t lens[] = {24, 24, 24, 24, 24, 24, 22, 23};
    uint8_t len = lens[i % 8];
    uint32_t dst = htonl(0x10000000u + (i << 8)), metric = METRIC;
    struct rtmsg m = {.rtm_family = AF_INET,
                      .rtm_dst_len = len,
                      .rtm_table = RT_TABLE_MAIN,
                      .rtm_protocol = PROTOCOL,
                      .rtm_scope = type == RTM_DELROUTE ? RT_SCOPE_NOWHERE : RT_SCOPE_UNIVERSE,
                      .rtm_type = RTN_UNICAST};
    struct nlmsghdr *h = message(b, type, flags, &m, sizeof m);

    dst &= htonl(~0u << (32 - len));
    attr(b, h, RTA_DST, &dst, sizeof dst);
    attr(b, h, RTA_PRIORITY, &metric, sizeof metric);
    if (type == RTM_NEWROUTE)
        attr(b, h, RTA_NH_ID, &group, sizeof group);
}

static void step(struct bench *b, const char *what, uint16_t type, uint16_t flags, uint32_t group,
                 const uint32_t *order, uint32_t count, unsigned batch)
{
    uint64_t start = now_us();

    for (uint32_t i = 0; i < count; i++) {
        route(b, type, flags, order[i], group);
        if (b->n == batch)
            commit(b);
    }
    commit(b);
    uint64_t us = now_us() - start;
    printf("%-8s %8u routes %7llu ms %8llu routes/s\n", what, count, (unsigned long long)us / 1000,
           (unsigned long long)count * 1000000 / (us ? us : 1));
}

static void set_up(void)
{
    if (unshare(CLONE_NEWNET) < 0)
        fail("unshare");
    if (system("ip link set lo up && ip link add up0 type veth peer name far0 && ip link set far0 up && "
               "ip link set up0 up && ip addr add 10.9.0.1/24 dev up0"))
        fail("no link");
}

static struct bench *open_bench(void)
{
    struct bench *b = calloc(1, sizeof *b);
    int size = 4 << 20, one = 1;

    if (!b || (b->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) < 0)
        fail("socket");
    setsockopt(b->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    setsockopt(b->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    setsockopt(b->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
    b->seq = 1;
    return b;
}

/* The order of the table's numbers; a fixed seed, so that runs compare. */
static uint32_t *make_order(uint32_t count, bool scattered)
{
    uint32_t *order = malloc(count * sizeof *order);
    uint64_t x = 88172645463325252ull;

    if (!order)
        fail("memory");
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    for (uint32_t i = count; scattered && i > 1; i--) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint32_t k = (uint32_t)(x % i), t = order[i - 1];
        order[i - 1] = order[k];
        order[k] = t;
    }
    return order;
}

int main(int argc, char **argv)
{
    uint32_t count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 200000;
    bool scattered = argc < 3 || strcmp(argv[2], "ascending");
    unsigned batch = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 2048;

    if (count < 1 || count > 2000000 || batch < 1 || batch > 16384 || argc > 4 ||
        (argc > 2 && scattered && strcmp(argv[2], "scattered"))) {
        fprintf(stderr, "usage: bench_netlink [COUNT [scattered|ascending [BATCH]]]\n");
        return 2;
    }
    set_up();
    struct bench *b = open_bench();
    uint32_t *order = make_order(count, scattered);
    nexthop(b, 1, "10.9.0.2", NULL, 0);
    nexthop(b, 2, "10.9.0.3", NULL, 0);
    nexthop(b, 11, NULL, (uint32_t[]){1}, 1);
    nexthop(b, 12, NULL, (uint32_t[]){1, 2}, 2);
    step(b, "add", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, 11, order, count, batch);
    step(b, "replace", RTM_NEWROUTE, NLM_F_REPLACE, 12, order, count, batch);
    step(b, "delete", RTM_DELROUTE, 0, 0, order, count, batch);
    free(order);
    free(b);
    return 0;
}
