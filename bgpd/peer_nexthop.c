/* What we are to a peer: the next hop that we advertise as ourselves, for each family, and whether an eBGP
 * peer is where it should be, on a subnet of ours.
 *
 * For the session's own family it is the session's local address (RFC 4271 5.1.3: an address of the interface
 * that the connection uses). For the other one it is the lowest usable address of the same interface, because
 * the peer must be able to resolve it on the same link; only iBGP over hops may take any interface, as the
 * interior routing reaches all of them. A family without such an address is not offered in the OPEN: routes
 * with a next hop that the peer cannot use would be worse than none. Addresses that we put on lo ourselves
 * (VIPs) may move to another node and never count.
 *
 * IPv4 routes over IPv6 may have an IPv6 next hop (RFC 8950), but whether the peer takes one shows only in
 * its OPEN. So IPv4 is offered when there is either kind of next hop, and dropped again when the one that is
 * left is not there (peer_settle_nexthops).
 *
 * Between link-local addresses without a global one at the interface the next hop is our link-local address,
 * sent twice: RFC 2545 has no form for it alone, and of those in use this is the one that every
 * implementation of unnumbered peers takes.
 */
#include <string.h>

#include "fibclient.h"
#include "peer_impl.h"

bool peer_is_reachable(const struct peer *p)
{
    const struct peer_config *c = p->config;
    if (p->unnumbered)
        return unnumbered_is_ready(p->unnumbered);
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

static bool is_link_local6(const struct ip_addr *a)
{
    return a->af == AF_INET6 && addr_is_link_local(a);
}

/* af 0: there is none. */
static struct ip_addr own_next_hop(const struct speaker *sp, const struct peer_session *s, enum family f,
                                   bool anywhere)
{
    struct ip_addr a = {0};
    if (s->local.af == family_to_af(f) && !addr_is_link_local(&s->local))
        return s->local;
    if (s->ifindex)
        a = lowest(sp, f, s->ifindex, false);
    if (!a.af && s->local.af == family_to_af(f) && is_link_local6(&s->local))
        a = s->local;
    return a.af || !anywhere ? a : lowest(sp, f, 0, false);
}

void peer_choose_nexthops(const struct peer *p, struct peer_session *s)
{
    static const char *const why[FAM_COUNT] = {
        [FAM_IPV4] = "no usable IPv4 address on the interface of the session",
        [FAM_IPV6] = "no usable global IPv6 address on the interface of the session",
    };
    const struct speaker *sp = p->set->speaker;
    bool anywhere = p->ibgp && !fibclient_subnet_of(sp->fib, &p->address, p->scope);

    s->ifindex = p->scope ? p->scope : interface_of(sp, &s->local);
    if (p->config->extended_nexthop && p->config->families[FAM_IPV4] && s->local.af == AF_INET6)
        s->nexthop6 = own_next_hop(sp, s, FAM_IPV6, anywhere);
    for (enum family f = 0; f < FAM_COUNT; f++) {
        s->nexthop[f] = (struct ip_addr){0};
        s->family_why[f] = NULL;
        if (!p->config->families[f])
            continue;
        s->nexthop[f] = own_next_hop(sp, s, f, anywhere);
        if (!s->nexthop[f].af && !(f == FAM_IPV4 && s->nexthop6.af))
            s->family_why[f] = why[f];
    }
    /* RFC 2545 section 3: with the link-local one where both are on one link. */
    s->link_local = (struct ip_addr){0};
    if (is_link_local6(&s->local))
        s->link_local = s->local;
    else if (s->ifindex && !anywhere && !p->config->multihop)
        s->link_local = lowest(sp, FAM_IPV6, s->ifindex, true);
}

/* RFC 8950 section 4: only "if the BGP speaker has first ascertained … that the BGP peer supports" it.
 * Section 5: the next hop is of the family that the session runs over. */
void peer_settle_nexthops(struct peer_session *s, struct capabilities *common)
{
    if (!common->family[FAM_IPV4])
        return;
    if (common->extended_nexthop[FAM_IPV4] && s->nexthop6.af) {
        s->nexthop[FAM_IPV4] = s->nexthop6;
    } else if (!s->nexthop[FAM_IPV4].af) {
        common->family[FAM_IPV4] = false;
        s->family_why[FAM_IPV4] = "the peer takes no IPv6 next hops for IPv4 (extended nexthop), and the "
                                  "interface of the session has no "
                                  "usable IPv4 address";
    }
}
