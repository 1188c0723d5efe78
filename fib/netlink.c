/* The netlink sockets of the parent and what only reads: dumps, lookups, the monitor.
 *
 * Requests, dumps and the monitor are apart so that an answer is never looked for among notifications and a
 * lost notification is never taken for a lost answer. Receive buffers are megabytes: with libnl's default the
 * kernel drops replies after 78 of them. Sockets are libnl's (ports, memberships); the bytes are read here,
 * for the hot path has no use for an object a message.
 *
 * The monitor leaves and joins the route groups on demand; links, addresses and nexthops it always hears.
 */
#include <errno.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fib/kernel_internal.h"

#define SOCKET_BUFFER (4 << 20)

static int set_flag(int fd, int option)
{
    int one = 1;
    return setsockopt(fd, SOL_NETLINK, option, &one, sizeof one);
}

static int open_socket(struct nl_sock **out)
{
    int size = SOCKET_BUFFER, half = SOCKET_BUFFER / 2;
    struct nl_sock *s = nl_socket_alloc();

    *out = s;
    if (!s)
        return -ENOMEM;
    if (nl_connect(s, NETLINK_ROUTE) < 0)
        return errno ? -errno : -EIO;
    int fd = nl_socket_get_fd(s);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &half, sizeof half) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &half, sizeof half);
    set_flag(fd, NETLINK_CAP_ACK);
    set_flag(fd, NETLINK_GET_STRICT_CHK); /* without it route dumps are not filtered */
    return 0;
}

int kernel_open(struct kernel **out)
{
    struct kernel *k = malloc(sizeof *k);

    *out = NULL;
    if (!k)
        return -ENOMEM;
    memset(k, 0, offsetof(struct kernel, rx_requests));
    k->seq = 1;
    k->claim = -1;
    k->batch = malloc(BATCH_BYTES);
    int rc = k->batch ? open_socket(&k->requests) : -ENOMEM;
    if (!rc)
        rc = open_socket(&k->dumps);
    if (!rc)
        rc = open_socket(&k->monitor);
    if (!rc &&
        nl_socket_add_memberships(k->monitor, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, 0) < 0)
        rc = -EIO;
    if (rc) {
        kernel_close(k);
        return rc;
    }
    /* The nexthop group does not exist on kernels that kernel_probe will refuse. */
    nl_socket_add_memberships(k->monitor, RTNLGRP_NEXTHOP, 0);
    kernel_monitor_routes(k, true);
    k->request_port = nl_socket_get_local_port(k->requests);
    *out = k;
    return 0;
}

void kernel_close(struct kernel *k)
{
    if (!k)
        return;
    nl_socket_free(k->requests);
    nl_socket_free(k->dumps);
    nl_socket_free(k->monitor);
    if (k->claim >= 0)
        close(k->claim);
    free(k->batch);
    free(k);
}

void kernel_configure(struct kernel *k, const struct kernel_config *cfg)
{
    k->cfg = *cfg;
}

static int send_dump(struct kernel *k, uint16_t type, const void *body, size_t len, uint32_t table)
{
    struct {
        struct nlmsghdr h;
        uint8_t body[64];
    } m = {
        .h = {.nlmsg_len = NLMSG_LENGTH(len), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};

    memcpy(m.body, body, len);
    if (table) {
        struct rtattr *a = (void *)((uint8_t *)&m + NLMSG_ALIGN(m.h.nlmsg_len));
        *a = (struct rtattr){RTA_LENGTH(4), RTA_TABLE};
        memcpy(RTA_DATA(a), &table, 4);
        m.h.nlmsg_len = NLMSG_ALIGN(m.h.nlmsg_len) + RTA_LENGTH(4);
    }
    m.h.nlmsg_seq = k->dump_seq = k->seq++;
    k->dump_error = 0;
    if (send(nl_socket_get_fd(k->dumps), &m, m.h.nlmsg_len, 0) < 0)
        return -errno;
    return 0;
}

int kernel_dump_start(struct kernel *k, enum kevent_type what, uint8_t af)
{
    switch (what) {
    case KEVENT_LINK: {
        struct ifinfomsg m = {.ifi_family = AF_UNSPEC};
        return send_dump(k, RTM_GETLINK, &m, sizeof m, 0);
    }
    case KEVENT_ADDRESS: {
        struct ifaddrmsg m = {.ifa_family = AF_UNSPEC};
        return send_dump(k, RTM_GETADDR, &m, sizeof m, 0);
    }
    case KEVENT_NEXTHOP: {
        struct nhmsg m = {.nh_family = AF_UNSPEC};
        return send_dump(k, RTM_GETNEXTHOP, &m, sizeof m, 0);
    }
    case KEVENT_ROUTE: {
        struct rtmsg m = {.rtm_family = af, .rtm_protocol = k->cfg.protocol};
        return send_dump(k, RTM_GETROUTE, &m, sizeof m, k->cfg.table);
    }
    }
    return -EINVAL;
}

/* The end of a dump: what it says, with ENOENT (no such table yet) being an empty one. */
static int dump_end(const struct kernel *k, int error)
{
    if (error && error != -ENOENT)
        return error;
    return k->dump_error;
}

int kernel_dump_step(struct kernel *k, kevent_fn *fn, void *arg)
{
    struct kevent ev;
    ssize_t got;

    do
        got = recv(nl_socket_get_fd(k->dumps), k->rx_dumps, sizeof k->rx_dumps, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    int left = (int)got;
    for (struct nlmsghdr *h = (void *)k->rx_dumps; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
        if (h->nlmsg_seq != k->dump_seq)
            continue; /* the rest of a dump that was given up */
        if (h->nlmsg_flags & NLM_F_DUMP_INTR)
            k->dump_error = -EINTR;
        if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
            int error = 0;
            if (h->nlmsg_len >= NLMSG_LENGTH(sizeof error))
                memcpy(&error, NLMSG_DATA(h), sizeof error);
            return dump_end(k, error);
        }
        if (kernel_parse(h, &ev))
            fn(arg, &ev);
    }
    return 1;
}

/* The kernel ends a dump when its socket goes, and starts no second one on a socket before. */
int kernel_dump_abort(struct kernel *k)
{
    struct nl_sock *fresh;
    int rc = open_socket(&fresh);

    nl_socket_free(rc ? fresh : k->dumps);
    if (!rc)
        k->dumps = fresh;
    return rc;
}

/* On a socket of its own, for one dump may be under way. */
int kernel_dump(struct kernel *k, enum kevent_type what, uint8_t af, kevent_fn *fn, void *arg)
{
    struct nl_sock *under_way = k->dumps;
    uint32_t seq = k->dump_seq;
    int error = k->dump_error, rc = open_socket(&k->dumps);

    if (!rc)
        rc = kernel_dump_start(k, what, af);
    if (!rc)
        do
            rc = kernel_dump_step(k, fn, arg);
        while (rc > 0);
    nl_socket_free(k->dumps);
    k->dumps = under_way;
    k->dump_seq = seq;
    k->dump_error = error;
    return rc;
}

static void ignore_event(void *arg, const struct kevent *ev)
{
    (void)arg, (void)ev;
}

int kernel_probe(struct kernel *k)
{
    int rc = kernel_dump(k, KEVENT_NEXTHOP, AF_UNSPEC, ignore_event, NULL);

    if (rc == -EINTR)
        return 0;
    return rc == -EINVAL ? -EOPNOTSUPP : rc;
}

/* Sends the one request gathered and reads its one answer; h stays valid until the next. 0 or -errno. */
static int ask(struct kernel *k, const struct nlmsghdr *request, const struct nlmsghdr **answer)
{
    uint32_t seq = request->nlmsg_seq;
    int fd = nl_socket_get_fd(k->requests);

    k->batch_n = 0;
    k->batch_len = 0;
    if (send(fd, request, request->nlmsg_len, 0) < 0)
        return -errno;
    for (;;) {
        ssize_t got = recv(fd, k->rx_requests, sizeof k->rx_requests, MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == ENOBUFS))
            continue;
        if (got < 0)
            return -errno;
        int left = (int)got;
        for (struct nlmsghdr *r = (void *)k->rx_requests; nlmsg_ok(r, left); r = nlmsg_next(r, &left)) {
            if (r->nlmsg_seq != seq)
                continue;
            *answer = r;
            return r->nlmsg_type == NLMSG_ERROR ? ((struct nlmsgerr *)NLMSG_DATA(r))->error : 0;
        }
    }
}

/* With RTM_F_FIB_MATCH the answer is the table's entry: its protocol, its metric and all its next hops. */
static int get_route(struct kernel *k, const struct ip_addr *a, struct kroute *out, struct kway *ways,
                     unsigned *n)
{
    struct kevent ev;
    const struct nlmsghdr *answer;
    struct nlmsghdr *h = kernel_message(k, RTM_GETROUTE, 0, sizeof(struct rtmsg));
    struct rtmsg *rtm = NLMSG_DATA(h);

    *rtm = (struct rtmsg){.rtm_family = a->af,
                          .rtm_dst_len = (uint8_t)family_bits(addr_family(a)),
                          .rtm_flags = RTM_F_FIB_MATCH};
    kernel_attr(k, h, RTA_DST, a->b, family_bytes(addr_family(a)));
    int rc = ask(k, h, &answer);
    if (rc)
        return rc;
    if (!kernel_parse(answer, &ev) || ev.type != KEVENT_ROUTE)
        return -EIO;
    *out = ev.u.route;
    *n = kernel_parse_ways(answer, ways, *n);
    return 0;
}

static int get_nexthop(struct kernel *k, uint32_t id, struct knexthop *out)
{
    struct kevent ev;
    const struct nlmsghdr *answer;
    struct nlmsghdr *h = kernel_message(k, RTM_GETNEXTHOP, 0, sizeof(struct nhmsg));

    kernel_attr_u32(k, h, NHA_ID, id);
    int rc = ask(k, h, &answer);
    if (rc)
        return rc;
    if (!kernel_parse(answer, &ev) || ev.type != KEVENT_NEXTHOP)
        return -EIO;
    *out = ev.u.nexthop;
    return 0;
}

static unsigned ways_of_nexthop(struct kernel *k, uint32_t id, struct kway *ways, unsigned max)
{
    struct knexthop group, nh;
    unsigned n = 0;

    if (get_nexthop(k, id, &group))
        return 0;
    if (!group.n_members && group.ifindex)
        ways[n++] = (struct kway){group.gateway, group.ifindex, 1};
    for (unsigned i = 0; i < group.n_members && n < max; i++)
        if (!get_nexthop(k, group.members[i].id, &nh) && nh.ifindex)
            ways[n++] = (struct kway){nh.gateway, nh.ifindex, group.members[i].weight};
    return n;
}

int kernel_lookup(struct kernel *k, const struct ip_addr *a, struct kroute *out, struct kway *ways,
                  unsigned *n)
{
    unsigned max = *n;
    int rc = get_route(k, a, out, ways, n);

    /* With net.ipv4.nexthop_compat_mode=0 the entry shows its nexthop id alone. */
    if (!rc && !*n && out->nexthop_id)
        *n = ways_of_nexthop(k, out->nexthop_id, ways, max);
    return rc;
}

int kernel_monitor_fd(const struct kernel *k)
{
    return nl_socket_get_fd(k->monitor);
}

int kernel_monitor_step(struct kernel *k, kevent_fn *fn, void *arg)
{
    struct kevent ev;
    ssize_t got = recv(nl_socket_get_fd(k->monitor), k->rx_monitor, sizeof k->rx_monitor, MSG_DONTWAIT);

    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    int left = (int)got;
    for (struct nlmsghdr *h = (void *)k->rx_monitor; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
        if (!kernel_parse(h, &ev))
            continue;
        ev.own = h->nlmsg_pid == k->request_port;
        fn(arg, &ev);
    }
    return 1;
}

int kernel_monitor_routes(struct kernel *k, bool on)
{
    int rc;

    if (on == k->routes_monitored)
        return 0;
    if (on)
        rc = nl_socket_add_memberships(k->monitor, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, 0);
    else
        rc = nl_socket_drop_memberships(k->monitor, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, 0);
    if (rc < 0)
        return -EIO;
    k->routes_monitored = on;
    return 0;
}
