/* Changes to the kernel: raw netlink messages written into one reused buffer and sent in one go.
 *
 * Only the last message of a batch asks for an ACK: errors come back without one, and are told apart by
 * sequence number. That is two to three times as fast as an ACK each, and libnl's objects would cost an
 * allocation a route (and libnl 3.7 cannot set a route's nexthop id). Replies are bounded by NETLINK_CAP_ACK
 * and a large receive buffer; if one is lost all the same, its route is reported as -EINPROGRESS and the
 * owner looks again.
 *
 * Whether a change may be sent at all is decided elsewhere (routes.c, nexthops.c).
 */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/socket.h>

#include "fib/kernel_internal.h"

#define WORST_METRIC 4294967295u
#define LO_IFINDEX   1 /* in every network namespace */
/* The longest message here: a group of KERNEL_MEMBERS_MAX. */
#define MESSAGE_MAX (NLMSG_SPACE(sizeof(struct rtmsg)) + RTA_SPACE(16) * 4 + 8 * KERNEL_MEMBERS_MAX)

struct nlmsghdr *kernel_message(struct kernel *k, uint16_t type, uint16_t flags, size_t extra)
{
    if (k->batch_n == KERNEL_BATCH_MAX || k->batch_len + MESSAGE_MAX > BATCH_BYTES)
        return NULL;
    if (!k->batch_n)
        k->batch_seq = k->seq;
    struct nlmsghdr *h = (struct nlmsghdr *)(void *)(k->batch + k->batch_len);
    *h = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH(extra),
                           .nlmsg_type = type,
                           .nlmsg_flags = NLM_F_REQUEST | flags,
                           .nlmsg_seq = k->seq++};
    memset(NLMSG_DATA(h), 0, NLMSG_ALIGN(extra));
    k->batch_last = h;
    k->batch_len += NLMSG_ALIGN(h->nlmsg_len);
    k->batch_n++;
    return h;
}

void kernel_attr(struct kernel *k, struct nlmsghdr *h, uint16_t type, const void *data, size_t len)
{
    struct rtattr *a = (struct rtattr *)(void *)((uint8_t *)h + NLMSG_ALIGN(h->nlmsg_len));
    a->rta_type = type;
    a->rta_len = (uint16_t)RTA_LENGTH(len);
    memcpy(RTA_DATA(a), data, len);
    h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len) + RTA_ALIGN(a->rta_len);
    k->batch_len = (size_t)((uint8_t *)h - k->batch) + h->nlmsg_len;
}

void kernel_attr_u32(struct kernel *k, struct nlmsghdr *h, uint16_t type, uint32_t value)
{
    kernel_attr(k, h, type, &value, sizeof value);
}

static const uint16_t op_flags[] = {
    [KERNEL_ADD] = NLM_F_CREATE | NLM_F_EXCL,
    [KERNEL_REPLACE] = NLM_F_REPLACE,
    [KERNEL_DELETE] = 0,
};

int kernel_route(struct kernel *k, enum kernel_op op, const struct kernel_route *r)
{
    const struct kernel_config *cfg = &k->cfg;
    enum family f = family_of_af(r->af);
    bool del = op == KERNEL_DELETE;
    int place = (int)k->batch_n;
    struct nlmsghdr *h =
        kernel_message(k, del ? RTM_DELROUTE : RTM_NEWROUTE, op_flags[op], sizeof(struct rtmsg));

    if (!h)
        return -ENOBUFS;
    struct rtmsg *rtm = NLMSG_DATA(h);
    *rtm = (struct rtmsg){
        .rtm_family = r->af,
        .rtm_dst_len = r->len,
        .rtm_table = cfg->table < 256 ? (unsigned char)cfg->table : RT_TABLE_UNSPEC,
        .rtm_protocol = cfg->protocol,
        .rtm_scope = del ? RT_SCOPE_NOWHERE : RT_SCOPE_UNIVERSE, /* nowhere: of any scope */
        /* What has the place may be of either type; IPv4 deletes one of the same type, or of any. */
        .rtm_type = del              ? RTN_UNSPEC
                    : r->unreachable ? RTN_UNREACHABLE
                    : r->blackhole   ? RTN_BLACKHOLE
                                     : RTN_UNICAST,
    };
    if (r->len)
        kernel_attr(k, h, RTA_DST, r->addr, family_bytes(f));
    if (cfg->table > 255)
        kernel_attr_u32(k, h, RTA_TABLE, cfg->table);
    kernel_attr_u32(k, h, RTA_PRIORITY, r->unreachable ? WORST_METRIC : cfg->metric);
    if (del || r->unreachable || r->blackhole)
        return place;
    kernel_attr_u32(k, h, RTA_NH_ID, r->nexthop_id);
    if (cfg->prefsrc[f].af)
        kernel_attr(k, h, RTA_PREFSRC, cfg->prefsrc[f].b, family_bytes(f));
    return place;
}

int kernel_route_delete(struct kernel *k, const struct kroute *r)
{
    struct nlmsghdr *h = kernel_message(k, RTM_DELROUTE, 0, sizeof(struct rtmsg));
    struct rtmsg *rtm = NLMSG_DATA(h);

    *rtm = (struct rtmsg){
        .rtm_family = r->prefix.addr.af,
        .rtm_dst_len = r->prefix.len,
        .rtm_table = r->table < 256 ? (unsigned char)r->table : RT_TABLE_UNSPEC,
        .rtm_protocol = r->protocol,
        .rtm_scope = RT_SCOPE_NOWHERE,
        .rtm_type = r->type,
    };
    if (r->prefix.len)
        kernel_attr(k, h, RTA_DST, r->prefix.addr.b, family_bytes(addr_family(&r->prefix.addr)));
    if (r->table > 255)
        kernel_attr_u32(k, h, RTA_TABLE, r->table);
    kernel_attr_u32(k, h, RTA_PRIORITY, r->metric);
    return kernel_call(k);
}

int kernel_nexthop_set(struct kernel *k, uint32_t id, const struct ip_addr *gateway, uint32_t ifindex,
                       bool replace)
{
    uint16_t flags = replace ? NLM_F_REPLACE : NLM_F_CREATE | NLM_F_EXCL;
    struct nlmsghdr *h = kernel_message(k, RTM_NEWNEXTHOP, flags, sizeof(struct nhmsg));
    struct nhmsg *nhm = NLMSG_DATA(h);

    *nhm = (struct nhmsg){.nh_family = gateway->af, .nh_protocol = k->cfg.protocol};
    kernel_attr_u32(k, h, NHA_ID, id);
    kernel_attr_u32(k, h, NHA_OIF, ifindex);
    kernel_attr(k, h, NHA_GATEWAY, gateway->b, family_bytes(addr_family(gateway)));
    return kernel_call(k);
}

int kernel_group_set(struct kernel *k, uint32_t id, const struct kmember *m, unsigned n, bool replace)
{
    struct nexthop_grp grp[KERNEL_MEMBERS_MAX];
    uint16_t flags = replace ? NLM_F_REPLACE : NLM_F_CREATE | NLM_F_EXCL;

    if (n > KERNEL_MEMBERS_MAX)
        return -E2BIG;
    for (unsigned i = 0; i < n; i++)
        grp[i] = (struct nexthop_grp){.id = m[i].id, .weight = (uint8_t)(m[i].weight - 1)};
    struct nlmsghdr *h = kernel_message(k, RTM_NEWNEXTHOP, flags, sizeof(struct nhmsg));
    struct nhmsg *nhm = NLMSG_DATA(h);
    *nhm = (struct nhmsg){.nh_family = AF_UNSPEC, .nh_protocol = k->cfg.protocol};
    kernel_attr_u32(k, h, NHA_ID, id);
    kernel_attr(k, h, NHA_GROUP, grp, n * sizeof *grp);
    return kernel_call(k);
}

int kernel_nexthop_delete(struct kernel *k, uint32_t id)
{
    struct nlmsghdr *h = kernel_message(k, RTM_DELNEXTHOP, 0, sizeof(struct nhmsg));

    kernel_attr_u32(k, h, NHA_ID, id);
    return kernel_call(k);
}

int kernel_address_set(struct kernel *k, const struct ip_addr *a, bool add)
{
    struct nlmsghdr *h = kernel_message(k, add ? RTM_NEWADDR : RTM_DELADDR,
                                        add ? NLM_F_CREATE | NLM_F_EXCL : 0, sizeof(struct ifaddrmsg));
    struct ifaddrmsg *ifa = NLMSG_DATA(h);
    size_t bytes = family_bytes(addr_family(a));

    *ifa = (struct ifaddrmsg){.ifa_family = a->af,
                              .ifa_prefixlen = (uint8_t)family_bits(addr_family(a)),
                              .ifa_flags = a->af == AF_INET6 ? IFA_F_NODAD : 0,
                              .ifa_index = LO_IFINDEX};
    kernel_attr(k, h, IFA_LOCAL, a->b, bytes);
    kernel_attr(k, h, IFA_ADDRESS, a->b, bytes);
    if (add)
        kernel_attr(k, h, IFA_PROTO, &k->cfg.protocol, 1);
    return kernel_call(k);
}

/* Reads answers until the one to the last message. 0, or -ENOBUFS / -EAGAIN when some were lost. */
static int read_answers(struct kernel *k, int *errors, unsigned n)
{
    uint32_t last = k->batch_seq + n - 1;
    int fd = nl_socket_get_fd(k->requests), lost = 0;

    for (;;) {
        ssize_t got = recv(fd, k->rx_requests, sizeof k->rx_requests, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == ENOBUFS) {
            lost = -ENOBUFS;
            continue;
        }
        if (got < 0)
            return lost ? lost : -errno;
        int left = (int)got;
        for (struct nlmsghdr *h = (void *)k->rx_requests; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
            uint32_t place = h->nlmsg_seq - k->batch_seq;
            if (h->nlmsg_type != NLMSG_ERROR || place >= n ||
                h->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr)))
                continue;
            errors[place] = ((struct nlmsgerr *)NLMSG_DATA(h))->error;
            if (h->nlmsg_seq == last)
                return lost;
        }
    }
}

static int send_batch(struct kernel *k)
{
    struct sockaddr_nl to = {.nl_family = AF_NETLINK};

    for (;;) {
        if (sendto(nl_socket_get_fd(k->requests), k->batch, k->batch_len, 0, (void *)&to, sizeof to) >= 0)
            return 0;
        if (errno != EINTR)
            return -errno;
    }
}

int kernel_commit(struct kernel *k, int *errors)
{
    unsigned n = k->batch_n;

    if (!n)
        return 0;
    memset(errors, 0, n * sizeof *errors);
    k->batch_last->nlmsg_flags |= NLM_F_ACK;
    int rc = send_batch(k);
    k->batch_n = 0;
    k->batch_len = 0;
    if (rc < 0) {
        for (unsigned i = 0; i < n; i++)
            errors[i] = rc;
        return rc;
    }
    if (read_answers(k, errors, n) < 0)
        for (unsigned i = 0; i < n; i++)
            if (!errors[i])
                errors[i] = -EINPROGRESS;
    return 0;
}

int kernel_call(struct kernel *k)
{
    int error;
    int rc = kernel_commit(k, &error);
    return rc < 0 ? rc : error;
}
