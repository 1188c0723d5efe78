/* Only to Customer (RFC 9234 section 5), as predicates over what we are to the peer. No role: no rule. */
#ifndef UNDERLAY_OTC_H
#define UNDERLAY_OTC_H

#include "rib/attr.h"
#include "wire/role.h"

/* Ingress 3: the other side is a provider, a peer or a route server; egress 2: routes with OTC are not for
 * it. */
static inline bool otc_peer_is_above(enum bgp_role we)
{
    return we == ROLE_CUSTOMER || we == ROLE_PEER || we == ROLE_RS_CLIENT;
}
/* Egress 1: it is a customer, a peer or a client of our route server. */
static inline bool otc_peer_is_below(enum bgp_role we)
{
    return we == ROLE_PROVIDER || we == ROLE_PEER || we == ROLE_RS_SERVER;
}
/* Ingress 1 and 2. */
static inline bool otc_is_leak(const struct attr *a, enum bgp_role we, uint32_t peer_as)
{
    if (!a->part_len[PART_OTC])
        return false;
    return we == ROLE_PROVIDER || we == ROLE_RS_SERVER || (we == ROLE_PEER && attr_otc(a) != peer_as);
}

#endif
