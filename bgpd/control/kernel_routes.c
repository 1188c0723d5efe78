/* Two netlink dumps after each other on one socket: all nexthop objects first (routes only name them by
 * number, and with net.ipv4.nexthop_compat_mode=0 nothing else), then the routes, filtered by the kernel by
 * table and protocol thanks to strict checking. The nexthop objects are kept for the length of the dump;
 * routes are handed out one at a time from the receive buffer, so a million of them never sit here.
 *
 * The view is the kernel's: whatever the FIB process believes, this is what forwards packets. Not here: a
 * monitor. */
#include "control/kernel_routes.h"

#include <errno.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"

#define DUMP_BUFFER 65536

struct object { /* a nexthop object: one hop, or a group of others */
    uint32_t id;
    struct kernel_hop hop;
    struct nexthop_grp *group; /* NULL: a hop */
    unsigned n_group;
};

struct kernel_dump {
    int fd;
    struct io *io;
    void (*wake)(void *arg);
    void *arg;
    enum family family;
    uint32_t table;
    uint8_t protocol;
    enum { DUMP_NEXTHOPS, DUMP_ROUTES, DUMP_END } phase;
    uint32_t seq;
    bool interrupted;
    struct object *objects; /* ascending ids, as the kernel dumps them */
    unsigned n_objects, room;
    struct nlmsghdr *at; /* in buf */
    int left;
    union {
        struct nlmsghdr align;
        char buf[DUMP_BUFFER];
    };
};

static void readable(void *arg, int fd, unsigned events)
{
    struct kernel_dump *d = arg;
    (void)fd, (void)events;
    io_want(d->io, 0);
    d->wake(d->arg);
}

static int send_request(struct kernel_dump *d, int type, const void *payload, size_t size)
{
    struct {
        struct nlmsghdr h;
        char payload[64];
    } m = {.h = {.nlmsg_len = (uint32_t)NLMSG_LENGTH(size),
                 .nlmsg_type = (uint16_t)type,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                 .nlmsg_seq = ++d->seq}};
    memcpy(m.payload, payload, size);
    return send(d->fd, &m, m.h.nlmsg_len, 0) < 0 ? -errno : 0;
}

static int ask_nexthops(struct kernel_dump *d)
{
    const struct nhmsg m = {.nh_family = AF_UNSPEC};
    d->phase = DUMP_NEXTHOPS;
    return send_request(d, RTM_GETNEXTHOP, &m, sizeof m);
}

static int ask_routes(struct kernel_dump *d)
{
    const struct {
        struct rtmsg rtm;
        struct nlattr table;
        uint32_t number;
    } m = {.rtm = {.rtm_family = family_to_af(d->family), .rtm_protocol = d->protocol},
           .table = {.nla_len = NLA_HDRLEN + sizeof(uint32_t), .nla_type = RTA_TABLE},
           .number = d->table};
    d->phase = DUMP_ROUTES;
    return send_request(d, RTM_GETROUTE, &m, sizeof m);
}

static int open_socket(struct kernel_dump *d)
{
    const int on = 1, size = 1 << 20;
    d->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (d->fd < 0 || setsockopt(d->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on) < 0)
        return -errno;
    setsockopt(d->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size); /* a wish; a dump never overruns */
    return 0;
}

int kernel_dump_new(struct loop *l, enum family f, uint32_t table, uint8_t protocol, void (*wake)(void *arg),
                    void *arg, struct kernel_dump **out)
{
    struct kernel_dump *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    *d = (struct kernel_dump){.family = f, .table = table, .protocol = protocol, .wake = wake, .arg = arg};
    int rc = open_socket(d);
    if (!rc) {
        d->io = io_new(l, d->fd, readable, d);
        rc = d->io ? ask_nexthops(d) : -ENOMEM;
    }
    if (rc) {
        kernel_dump_free(d);
        return rc;
    }
    *out = d;
    return 0;
}

void kernel_dump_free(struct kernel_dump *d)
{
    if (!d)
        return;
    io_free(d->io);
    if (d->fd >= 0)
        close(d->fd);
    for (unsigned i = 0; i < d->n_objects; i++)
        free(d->objects[i].group);
    free(d->objects);
    free(d);
}

bool kernel_dump_interrupted(const struct kernel_dump *d)
{
    return d->interrupted;
}

static struct ip_addr get_address(struct nlattr *a)
{
    int n = nla_len(a);
    if (n != 4 && n != 16)
        return (struct ip_addr){0};
    return addr_from_bytes(n == 4 ? AF_INET : AF_INET6, nla_data(a));
}

/* RTA_VIA: a gateway of the other family. */
static struct ip_addr get_via(struct nlattr *a)
{
    const struct rtvia *via = nla_data(a);
    int n = nla_len(a) - (int)sizeof *via;
    if (n != (via->rtvia_family == AF_INET6 ? 16 : 4))
        return (struct ip_addr){0};
    return addr_from_bytes((uint8_t)via->rtvia_family, via->rtvia_addr);
}

static int add_object(struct kernel_dump *d, struct nlmsghdr *h)
{
    struct nlattr *tb[NHA_MAX + 1];
    const struct nhmsg *m = nlmsg_data(h);
    if (nlmsg_parse(h, sizeof *m, tb, NHA_MAX, NULL) < 0 || !tb[NHA_ID])
        return 0;
    if (d->n_objects == d->room) {
        unsigned room = d->room ? 2 * d->room : 64;
        struct object *grown = realloc(d->objects, room * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        d->objects = grown;
        d->room = room;
    }
    struct object *o = &d->objects[d->n_objects];
    *o = (struct object){.id = nla_get_u32(tb[NHA_ID]), .hop = {.weight = 1, .flags = (uint8_t)m->nh_flags}};
    if (tb[NHA_OIF])
        o->hop.ifindex = nla_get_u32(tb[NHA_OIF]);
    if (tb[NHA_GATEWAY])
        o->hop.gateway = get_address(tb[NHA_GATEWAY]);
    if (tb[NHA_GROUP]) {
        o->n_group = (unsigned)nla_len(tb[NHA_GROUP]) / sizeof *o->group;
        o->group = malloc(o->n_group * sizeof *o->group + 1);
        if (!o->group)
            return -ENOMEM;
        memcpy(o->group, nla_data(tb[NHA_GROUP]), o->n_group * sizeof *o->group);
    }
    d->n_objects++;
    return 0;
}

static const struct object *find_object(const struct kernel_dump *d, uint32_t id)
{
    unsigned low = 0, high = d->n_objects;
    while (low < high) {
        unsigned mid = low + (high - low) / 2;
        if (d->objects[mid].id == id)
            return &d->objects[mid];
        if (d->objects[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static void add_hop(struct kernel_route *r, const struct kernel_hop *hop, unsigned weight)
{
    if (r->n_hops == KERNEL_HOPS)
        return;
    r->hops[r->n_hops] = *hop;
    r->hops[r->n_hops++].weight = weight;
}

static void add_object_hops(const struct kernel_dump *d, struct kernel_route *r)
{
    const struct object *o = find_object(d, r->nhid), *member;
    if (o && !o->group)
        add_hop(r, &o->hop, 1);
    for (unsigned i = 0; o && i < o->n_group; i++) {
        member = find_object(d, o->group[i].id);
        if (member)
            add_hop(r, &member->hop, o->group[i].weight + 1u);
    }
}

static void add_multipath(struct kernel_route *r, struct nlattr *a)
{
    struct rtnexthop *nh = nla_data(a);
    int left = nla_len(a);
    while (left >= (int)sizeof *nh && nh->rtnh_len >= sizeof *nh && nh->rtnh_len <= left) {
        struct kernel_hop hop = {.ifindex = (uint32_t)nh->rtnh_ifindex, .flags = nh->rtnh_flags};
        struct nlattr *tb[RTA_MAX + 1];
        if (nla_parse(tb, RTA_MAX, (struct nlattr *)RTNH_DATA(nh), nh->rtnh_len - (int)sizeof *nh, NULL) >=
            0) {
            if (tb[RTA_GATEWAY])
                hop.gateway = get_address(tb[RTA_GATEWAY]);
            else if (tb[RTA_VIA])
                hop.gateway = get_via(tb[RTA_VIA]);
        }
        add_hop(r, &hop, nh->rtnh_hops + 1u);
        left -= (int)RTNH_ALIGN(nh->rtnh_len);
        nh = RTNH_NEXT(nh);
    }
}

/* False: not a route that was asked for. */
static bool parse_route(const struct kernel_dump *d, struct nlmsghdr *h, struct kernel_route *r)
{
    struct nlattr *tb[RTA_MAX + 1];
    const struct rtmsg *m = nlmsg_data(h);
    if (nlmsg_parse(h, sizeof *m, tb, RTA_MAX, NULL) < 0 || m->rtm_family != family_to_af(d->family))
        return false;
    uint32_t table = tb[RTA_TABLE] ? nla_get_u32(tb[RTA_TABLE]) : m->rtm_table;
    if (table != d->table || m->rtm_protocol != d->protocol || (m->rtm_flags & RTM_F_CLONED))
        return false;
    struct ip_addr any = {.af = m->rtm_family}, dst = tb[RTA_DST] ? get_address(tb[RTA_DST]) : any;
    *r = (struct kernel_route){
        .dst = prefix_make(&dst, m->rtm_dst_len), .type = m->rtm_type, .flags = m->rtm_flags};
    if (tb[RTA_PRIORITY])
        r->metric = nla_get_u32(tb[RTA_PRIORITY]);
    if (tb[RTA_PREFSRC])
        r->prefsrc = get_address(tb[RTA_PREFSRC]);
    if (tb[RTA_NH_ID])
        r->nhid = nla_get_u32(tb[RTA_NH_ID]);
    if (r->nhid) {
        add_object_hops(d, r);
    } else if (tb[RTA_MULTIPATH]) {
        add_multipath(r, tb[RTA_MULTIPATH]);
    } else if (tb[RTA_OIF] || tb[RTA_GATEWAY] || tb[RTA_VIA]) {
        struct kernel_hop hop = {.flags = (uint8_t)m->rtm_flags};
        hop.ifindex = tb[RTA_OIF] ? nla_get_u32(tb[RTA_OIF]) : 0;
        hop.gateway = tb[RTA_GATEWAY] ? get_address(tb[RTA_GATEWAY])
                      : tb[RTA_VIA]   ? get_via(tb[RTA_VIA])
                                      : hop.gateway;
        add_hop(r, &hop, 1);
    }
    return true;
}

/* The end of one of the two dumps. A table that does not exist has no routes; a kernel without nexthop
 * objects has none of them. */
static int end_of_dump(struct kernel_dump *d, struct nlmsghdr *h)
{
    int error = 0;
    if (h->nlmsg_len >= NLMSG_LENGTH(sizeof error))
        memcpy(&error, NLMSG_DATA(h), sizeof error);
    if (error == -ENOENT || (error == -EOPNOTSUPP && d->phase == DUMP_NEXTHOPS))
        error = 0;
    if (error)
        return error;
    if (d->phase == DUMP_NEXTHOPS)
        return ask_routes(d);
    d->phase = DUMP_END;
    return 0;
}

/* Fills the buffer again. 0, -EAGAIN or -errno. */
static int receive(struct kernel_dump *d)
{
    ssize_t n = recv(d->fd, d->buf, sizeof d->buf, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        io_want(d->io, IO_READ);
    if (n <= 0)
        return n < 0 ? -errno : -EIO;
    d->at = (struct nlmsghdr *)d->buf;
    d->left = (int)n;
    return 0;
}

int kernel_dump_next(struct kernel_dump *d, struct kernel_route *out)
{
    while (d->phase != DUMP_END) {
        int rc = 0;
        if (!d->at || !nlmsg_ok(d->at, d->left)) {
            rc = receive(d);
            if (rc)
                return rc;
            continue;
        }
        struct nlmsghdr *h = d->at;
        d->at = nlmsg_next(h, &d->left);
        if (h->nlmsg_seq != d->seq)
            continue;
        d->interrupted |= (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
            rc = end_of_dump(d, h);
        else if (h->nlmsg_type == RTM_NEWNEXTHOP)
            rc = add_object(d, h);
        else if (h->nlmsg_type == RTM_NEWROUTE && parse_route(d, h, out))
            return 1;
        if (rc)
            return rc;
    }
    return 0;
}
