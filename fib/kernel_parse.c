/* Netlink messages to the plain structs of kernel.h. The kernel is trusted to mean well, not to be of one
 * version: unknown attributes are skipped, and every length is checked all the same. Attributes are read
 * through libnl's nlmsg_parse. */
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>

#include "fib/kernel_internal.h"

static bool parse_attrs(const struct nlmsghdr *h, int header, struct nlattr **tb, int max)
{
    return nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, header, tb, max, NULL) >= 0;
}

static uint32_t get_u32(const struct nlattr *a)
{
    return a && nla_len(a) >= 4 ? nla_get_u32(a) : 0;
}

static struct ip_addr get_addr(uint8_t af, const struct nlattr *a)
{
    if (!a || (af != AF_INET && af != AF_INET6) || (size_t)nla_len(a) < family_bytes(family_of_af(af)))
        return (struct ip_addr){0};
    return addr_from_bytes(af, nla_data(a));
}

static bool parse_link(const struct nlmsghdr *h, struct klink *out)
{
    struct nlattr *tb[IFLA_MAX + 1];
    const struct ifinfomsg *ifi = nlmsg_data(h);

    /* Bridge ports are reported a second time under AF_BRIDGE; that is not about the link itself. */
    if (!parse_attrs(h, sizeof *ifi, tb, IFLA_MAX) || ifi->ifi_family == AF_BRIDGE || ifi->ifi_index <= 0)
        return false;
    *out = (struct klink){
        .ifindex = (uint32_t)ifi->ifi_index, .flags = ifi->ifi_flags, .mtu = get_u32(tb[IFLA_MTU])};
    if (tb[IFLA_IFNAME])
        nla_strlcpy(out->name, tb[IFLA_IFNAME], sizeof out->name);
    return true;
}

static bool parse_address(const struct nlmsghdr *h, struct kaddress *out)
{
    struct nlattr *tb[IFA_MAX + 1];
    const struct ifaddrmsg *ifa = nlmsg_data(h);

    if (!parse_attrs(h, sizeof *ifa, tb, IFA_MAX) ||
        (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6))
        return false;
    *out = (struct kaddress){.ifindex = ifa->ifa_index,
                             .flags = tb[IFA_FLAGS] ? get_u32(tb[IFA_FLAGS]) : ifa->ifa_flags,
                             .len = ifa->ifa_prefixlen,
                             .scope = ifa->ifa_scope,
                             .subnet = get_addr(ifa->ifa_family, tb[IFA_ADDRESS]),
                             .local = get_addr(ifa->ifa_family, tb[IFA_LOCAL])};
    if (tb[IFA_PROTO] && nla_len(tb[IFA_PROTO]) >= 1)
        out->protocol = nla_get_u8(tb[IFA_PROTO]);
    if (!out->local.af)
        out->local = out->subnet;
    if (!out->subnet.af)
        out->subnet = out->local;
    return out->local.af && out->len <= family_bits(addr_family(&out->local));
}

static bool parse_nexthop(const struct nlmsghdr *h, struct knexthop *out)
{
    struct nlattr *tb[NHA_MAX + 1];
    const struct nhmsg *nhm = nlmsg_data(h);

    if (!parse_attrs(h, sizeof *nhm, tb, NHA_MAX) || !tb[NHA_ID])
        return false;
    memset(out, 0, offsetof(struct knexthop, members));
    out->id = get_u32(tb[NHA_ID]);
    out->protocol = nhm->nh_protocol;
    out->ifindex = get_u32(tb[NHA_OIF]);
    out->gateway = get_addr(nhm->nh_family, tb[NHA_GATEWAY]);
    if (!tb[NHA_GROUP])
        return true;
    const struct nexthop_grp *g = nla_data(tb[NHA_GROUP]);
    size_t n = (size_t)nla_len(tb[NHA_GROUP]) / sizeof *g;
    for (size_t i = 0; i < n && i < KERNEL_MEMBERS_MAX; i++)
        out->members[out->n_members++] = (struct kmember){g[i].id, g[i].weight + 1u};
    return true;
}

/* RTA_VIA is struct rtvia, a gateway of the other family. */
static struct kway get_way(uint8_t af, struct nlattr *const *tb, uint32_t ifindex, uint32_t weight)
{
    struct kway way = {get_addr(af, tb[RTA_GATEWAY]), ifindex, weight};

    if (tb[RTA_VIA] && nla_len(tb[RTA_VIA]) >= 2 + 16)
        way.gateway = addr_from_bytes(AF_INET6, (const uint8_t *)nla_data(tb[RTA_VIA]) + 2);
    return way;
}

unsigned kernel_parse_ways(const struct nlmsghdr *h, struct kway *out, unsigned max)
{
    struct nlattr *tb[RTA_MAX + 1], *one[RTA_MAX + 1];
    const struct rtmsg *rtm = nlmsg_data(h);
    unsigned n = 0;

    if (!parse_attrs(h, sizeof *rtm, tb, RTA_MAX))
        return 0;
    if (tb[RTA_OIF] && !tb[RTA_MULTIPATH] && max)
        out[n++] = get_way(rtm->rtm_family, tb, get_u32(tb[RTA_OIF]), 1);
    const uint8_t *at = tb[RTA_MULTIPATH] ? nla_data(tb[RTA_MULTIPATH]) : NULL;
    for (int left = at ? nla_len(tb[RTA_MULTIPATH]) : 0; left >= (int)sizeof(struct rtnexthop) && n < max;) {
        const struct rtnexthop *nh = (const void *)at;
        int size = (int)NLMSG_ALIGN(nh->rtnh_len);
        if (nh->rtnh_len < sizeof *nh || nh->rtnh_len > left ||
            nla_parse(one, RTA_MAX, (struct nlattr *)(uintptr_t)(nh + 1), nh->rtnh_len - (int)sizeof *nh,
                      NULL) < 0)
            break;
        if (!(nh->rtnh_flags & RTNH_F_DEAD))
            out[n++] = get_way(rtm->rtm_family, one, (uint32_t)nh->rtnh_ifindex, nh->rtnh_hops + 1u);
        at += size;
        left -= size;
    }
    return n;
}

static bool parse_route(const struct nlmsghdr *h, struct kroute *out)
{
    struct nlattr *tb[RTA_MAX + 1];
    const struct rtmsg *rtm = nlmsg_data(h);

    if (!parse_attrs(h, sizeof *rtm, tb, RTA_MAX) ||
        (rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6))
        return false;
    struct ip_addr dst = get_addr(rtm->rtm_family, tb[RTA_DST]);
    dst.af = rtm->rtm_family;
    if (rtm->rtm_dst_len > family_bits(addr_family(&dst)))
        return false;
    *out = (struct kroute){.prefix = prefix_make(&dst, rtm->rtm_dst_len),
                           .table = tb[RTA_TABLE] ? get_u32(tb[RTA_TABLE]) : rtm->rtm_table,
                           .metric = get_u32(tb[RTA_PRIORITY]),
                           .nexthop_id = get_u32(tb[RTA_NH_ID]),
                           .protocol = rtm->rtm_protocol,
                           .type = rtm->rtm_type,
                           .cloned = rtm->rtm_flags & RTM_F_CLONED,
                           .replaced = h->nlmsg_flags & NLM_F_REPLACE,
                           .prefsrc = get_addr(rtm->rtm_family, tb[RTA_PREFSRC])};
    return true;
}

bool kernel_parse(const struct nlmsghdr *h, struct kevent *ev)
{
    ev->own = false;
    ev->deleted = h->nlmsg_type & 1; /* NEW, DEL, GET, SET: four a kind, NEW a multiple of four */
    switch (h->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        ev->type = KEVENT_LINK;
        return parse_link(h, &ev->u.link);
    case RTM_NEWADDR:
    case RTM_DELADDR:
        ev->type = KEVENT_ADDRESS;
        return parse_address(h, &ev->u.address);
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP:
        ev->type = KEVENT_NEXTHOP;
        return parse_nexthop(h, &ev->u.nexthop);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        ev->type = KEVENT_ROUTE;
        return parse_route(h, &ev->u.route);
    default:
        return false;
    }
}
