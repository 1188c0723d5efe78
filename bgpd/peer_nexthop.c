/* What we are to a peer: the next hop that we advertise as ourselves, for each family, and whether an eBGP
 * peer is where it should be, on a subnet of ours.
 *
 * For the session's own family it is the session's local address (RFC 4271 5.1.3: an address of the interface
 * that the connection uses). For the other one it is the lowest usable address of the same interface, because
 * the peer must be able to resolve it on the same link; only iBGP over hops may take any interface, as the
 * interior routing reaches all of them. A family without such an address is not offered in the OPEN: routes
 * with a next hop that the peer cannot use would be worse than none. Addresses that we put on lo ourselves
 * (VIPs) may move to another node and never count.
 */
#include <string.h>

#include "fibclient.h"
#include "peer_impl.h"

bool peer_is_reachable(const struct peer *p)
{
    const struct peer_config *c = p->config;
    return p->ibgp || c->multihop || fibclient_subnet_of(p->set->speaker->fib, &p->address, 0);
}

static bool usable(const struct fib_address *a, enum family f)
{
    return addr_family(&a->addr) == f && !(a->flags & (FM_ADDR_TENTATIVE | FM_ADDR_OURS | FM_ADDR_DELETED));
}

/* Of one interface, or of any when ifindex is 0. link_local: the one of that kind, else a global one. */
static struct ip_addr lowest(const struct speaker *s, enum family f, uint32_t ifindex, bool link_local)
{
    const struct fib_address *a;
    const struct ip_addr *best = NULL;
    unsigned n = fibclient_addresses(s->fib, &a);

    for (unsigned i = 0; i < n; i++) {
        if (!usable(&a[i], f) || (ifindex && a[i].ifindex != ifindex) || addr_is_loopback(&a[i].addr))
            continue;
        if (addr_is_link_local(&a[i].addr) == link_local && (!best || addr_cmp(&a[i].addr, best) < 0))
            best = &a[i].addr;
    }
    return best ? *best : (struct ip_addr){0};
}

static uint32_t interface_of(const struct speaker *s, const struct ip_addr *local)
{
    const struct fib_address *a;
    unsigned n = fibclient_addresses(s->fib, &a);
    for (unsigned i = 0; i < n; i++)
        if (addr_equal(&a[i].addr, local) && !(a[i].flags & FM_ADDR_DELETED))
            return a[i].ifindex;
    return 0;
}

bool peer_address_is_ours(const struct peer *p, const struct ip_addr *a)
{
    return interface_of(p->set->speaker, a) != 0;
}

void peer_choose_nexthops(const struct peer *p, struct peer_session *s)
{
    static const char *const why[FAM_COUNT] = {
        [FAM_IPV4] = "no usable IPv4 address on the interface of the session",
        [FAM_IPV6] = "no usable global IPv6 address on the interface of the session",
    };
    const struct speaker *sp = p->set->speaker;
    bool anywhere = p->ibgp && !fibclient_subnet_of(sp->fib, &p->address, p->scope);

    s->ifindex = interface_of(sp, &s->local);
    for (enum family f = 0; f < FAM_COUNT; f++) {
        s->nexthop[f] = (struct ip_addr){0};
        s->family_why[f] = NULL;
        if (!p->config->families[f])
            continue;
        if (addr_family(&s->local) == f && !addr_is_link_local(&s->local))
            s->nexthop[f] = s->local;
        else if (s->ifindex)
            s->nexthop[f] = lowest(sp, f, s->ifindex, false);
        if (!s->nexthop[f].af && anywhere)
            s->nexthop[f] = lowest(sp, f, 0, false);
        if (!s->nexthop[f].af)
            s->family_why[f] = why[f];
    }
    /* RFC 2545 section 3: with the link-local one where both are on one link. */
    s->link_local = s->ifindex && !anywhere && !p->config->multihop ? lowest(sp, FAM_IPV6, s->ifindex, true)
                                                                    : (struct ip_addr){0};
}
