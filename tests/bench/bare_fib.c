/*
 * The ceiling: how fast can this kernel take the very table that the injector announces, with nothing but a
 * loop around netlink? One nexthop object for each gateway, one group of them, routes that carry the group's
 * id, built into messages while they are sent, in batches of 64 KiB with an ACK asked for the last message of
 * all only; then the group is deleted, which takes every route with it. The order is the table's own, which
 * is not sorted; a fully random one is no faster. No daemon that hears of routes from a network can be
 * faster.
 *
 * With --link-down the routes go because DEVICE is set down: how long the kernel takes for that, before it
 * tells anybody, comes first when a link is lost.
 *
 * Run it inside a network namespace: bare_fib [--link-down] ROUTES GATEWAY DEVICE [GATEWAY DEVICE]... Prints
 * one line of JSON.
 */
#include "lib/fibwatch.h"
#include "lib/table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 64 * 1024, GROUP_ID = 1, NEXTHOP_ID = 2, HOPS_MAX = 8, PROTOCOL = 99, METRIC = 20 };

struct route_request {
    struct nlmsghdr n;
    struct rtmsg r;
    struct rtattr dst_attr;
    uint32_t dst;
    struct rtattr metric_attr;
    uint32_t metric;
    struct rtattr id_attr;
    uint32_t id;
};

struct nexthop_request {
    struct nlmsghdr n;
    struct nhmsg nh;
    uint8_t attrs[128];
};

struct hop {
    uint32_t gateway, ifindex;
};

static void add_attr(struct nexthop_request *req, uint16_t type, const void *data, size_t len)
{
    struct rtattr *a = (struct rtattr *)((uint8_t *)req + NLMSG_ALIGN(req->n.nlmsg_len));

    a->rta_type = type;
    a->rta_len = (uint16_t)RTA_LENGTH(len);
    memcpy(RTA_DATA(a), data, len);
    req->n.nlmsg_len = NLMSG_ALIGN(req->n.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

/* Waits for the ACK of the last message; errors of earlier ones come first. Returns 0 or -errno. */
static int wait_ack(int fd, uint32_t seq)
{
    uint8_t buf[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
    int first = 0;

    for (;;) {
        ssize_t got = recv(fd, buf, sizeof(buf), 0);
        int len = (int)got;

        if (got < 0)
            return -errno;
        for (struct nlmsghdr *n = (struct nlmsghdr *)buf; NLMSG_OK(n, (unsigned)len);
             n = NLMSG_NEXT(n, len)) {
            const struct nlmsgerr *e = NLMSG_DATA(n);

            if (n->nlmsg_type != NLMSG_ERROR)
                continue;
            if (e->error && !first)
                first = e->error;
            if (n->nlmsg_seq == seq)
                return first;
        }
    }
}

static int request_nexthop(int fd, struct nexthop_request *req, uint16_t type, uint16_t flags)
{
    req->n.nlmsg_type = type;
    req->n.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    req->n.nlmsg_seq = 1;
    if (send(fd, req, req->n.nlmsg_len, 0) < 0)
        return -errno;
    return wait_ack(fd, 1);
}

static struct nexthop_request nexthop(uint32_t id)
{
    struct nexthop_request req = {.n.nlmsg_len = NLMSG_LENGTH(sizeof(struct nhmsg)),
                                  .nh.nh_protocol = PROTOCOL};

    add_attr(&req, NHA_ID, &id, sizeof(id));
    return req;
}

static int add_group(int fd, const struct hop *hops, unsigned n)
{
    struct nexthop_request group = nexthop(GROUP_ID);
    struct nexthop_grp entries[HOPS_MAX] = {0};

    for (unsigned i = 0; i < n; i++) {
        struct nexthop_request member = nexthop(NEXTHOP_ID + i);
        int err;

        entries[i].id = NEXTHOP_ID + i;
        member.nh.nh_family = AF_INET;
        add_attr(&member, NHA_GATEWAY, &hops[i].gateway, sizeof(hops[i].gateway));
        add_attr(&member, NHA_OIF, &hops[i].ifindex, sizeof(hops[i].ifindex));
        err = request_nexthop(fd, &member, RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_EXCL);
        if (err)
            return err;
    }
    add_attr(&group, NHA_GROUP, entries, n * sizeof(entries[0]));
    return request_nexthop(fd, &group, RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_EXCL);
}

static int del_nexthop(int fd, uint32_t id)
{
    struct nexthop_request req = nexthop(id);

    req.nh.nh_protocol = 0; /* a delete names no protocol */
    return request_nexthop(fd, &req, RTM_DELNEXTHOP, 0);
}

static int add_routes(int fd, const struct table *t)
{
    struct route_request req = {
        .n = {.nlmsg_len = sizeof(req), .nlmsg_type = RTM_NEWROUTE},
        .r = {.rtm_family = AF_INET,
              .rtm_table = RT_TABLE_MAIN,
              .rtm_protocol = PROTOCOL,
              .rtm_type = RTN_UNICAST},
        .dst_attr = {RTA_LENGTH(4), RTA_DST},
        .metric_attr = {RTA_LENGTH(4), RTA_PRIORITY},
        .metric = METRIC,
        .id_attr = {RTA_LENGTH(4), RTA_NH_ID},
        .id = GROUP_ID,
    };
    static uint8_t batch[BATCH];
    size_t used = 0;

    for (uint32_t i = 0; i < t->routes; i++) {
        bool last = i + 1 == t->routes;

        req.n.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | (last ? NLM_F_ACK : 0);
        req.n.nlmsg_seq = i + 2;
        req.r.rtm_dst_len = t->prefixes[i].len;
        req.dst = htonl(t->prefixes[i].addr);
        memcpy(batch + used, &req, sizeof(req));
        used += sizeof(req);
        if (!last && used + sizeof(req) <= sizeof(batch))
            continue;
        if (send(fd, batch, used, 0) < 0)
            return -errno;
        used = 0;
    }
    return wait_ack(fd, t->routes + 1);
}

static int set_down(int fd, uint32_t ifindex)
{
    struct {
        struct nlmsghdr n;
        struct ifinfomsg i;
    } req = {.n = {.nlmsg_len = sizeof(req),
                   .nlmsg_type = RTM_NEWLINK,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
                   .nlmsg_seq = 1},
             .i = {.ifi_index = (int)ifindex, .ifi_change = IFF_UP}};

    if (send(fd, &req, sizeof(req), 0) < 0)
        return -errno;
    return wait_ack(fd, 1);
}

static int measure(int fd, const struct table *t, const struct hop *hops, unsigned n, bool link_down)
{
    int64_t start, added, deleted;
    int err = add_group(fd, hops, n);

    if (err)
        return err;
    start = bench_now_ns();
    err = add_routes(fd, t);
    added = bench_now_ns();
    if (err)
        return err;
    err = link_down ? set_down(fd, hops[0].ifindex) : del_nexthop(fd, GROUP_ID);
    deleted = bench_now_ns();
    for (unsigned i = 0; i < n && !link_down; i++)
        del_nexthop(fd, NEXTHOP_ID + i);
    if (!err)
        printf("{\"event\": \"bare\", \"routes\": %u, \"add_seconds\": %.6f, \"delete_seconds\": %.6f}\n",
               t->routes, (double)(added - start) / 1e9, (double)(deleted - added) / 1e9);
    return err;
}

int main(int argc, char **argv)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), size = 4 << 20, err;
    struct table_spec spec = {.seed = 1};
    struct table table;
    struct hop hops[HOPS_MAX];
    unsigned n = 0;
    bool link_down = argc > 1 && !strcmp(argv[1], "--link-down");

    argc -= link_down;
    argv += link_down;
    for (int i = 2; i + 1 < argc && n < HOPS_MAX && inet_pton(AF_INET, argv[i], &hops[n].gateway) == 1;
         i += 2)
        hops[n++].ifindex = if_nametoindex(argv[i + 1]);
    if (!n || argc != 2 + 2 * (int)n) {
        fprintf(stderr, "usage: %s [--link-down] ROUTES GATEWAY DEVICE [GATEWAY DEVICE]...\n", argv[0]);
        return 2;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    spec.routes = (uint32_t)strtoul(argv[1], NULL, 10);
    err = table_build(&table, &spec);
    if (!err) {
        err = measure(fd, &table, hops, n, link_down);
        table_free(&table);
    }
    if (err)
        printf("{\"event\": \"failed\", \"error\": \"%s\"}\n", strerror(-err));
    close(fd);
    return err ? 1 : 0;
}
