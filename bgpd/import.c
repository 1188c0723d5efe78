/* What the import accepts. Never what must not be installed (martians), what is our own, and what would loop:
 * RFC 4271 9.1.2, RFC 4456 section 8, RFC 9234 section 5. Beyond that a policy decides, or by default
 * everything is accepted but the default route unless it is asked for.
 *
 * Judged per path and prefix. The RIB asks again when the own prefixes or the configuration change; what a
 * policy made of a path is then not judged by it a second time. */
#include "config.h"
#include "fibclient.h"
#include "peer.h"
#include "source/source.h"
#include "speaker.h"
#include "wire/otc.h"

/* Our CLUSTER_ID is the router id: we reflect nothing, but a neighbour may be set up that way. */
static bool cluster_loop(const struct speaker *s, const struct attr *a)
{
    uint16_t len;
    const uint8_t *p = attr_part(a, PART_CLUSTER, &len);
    for (; len >= 4; p += 4, len -= 4)
        if (((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]) == s->router_id)
            return true;
    return false;
}

/* With `local-asn` we are one AS to this peer and another one to the rest: either in a path means that the
 * route has been here (RFC 7705). */
static unsigned own_as_count(const struct attr *a, uint32_t router, uint32_t local)
{
    unsigned n = attr_path_count_as(a, router);
    return local == router ? n : n + attr_path_count_as(a, local);
}

/* By the attributes as received: what a policy has put in front of the AS path is not looked at. */
static enum import_reason loops(const struct speaker *s, const struct peer_config *pc, const struct attr *a,
                                const struct rib_peer *from)
{
    if (own_as_count(a, s->config->router.asn, pc->local_asn) > pc->allow_own_as)
        return IMPORT_AS_LOOP;
    if ((a->flags & ATTR_HAS_ORIGINATOR) && a->originator_id == s->router_id)
        return IMPORT_LOOP_ORIGINATOR;
    if (cluster_loop(s, a))
        return IMPORT_LOOP_CLUSTER;
    if (!from->ibgp && otc_is_leak(a, pc->role, from->as))
        return IMPORT_ROUTE_LEAK;
    return IMPORT_OK;
}

static enum import_reason own_nexthop(const struct speaker *s, const struct attr *a)
{
    const struct nexthop *nh = nexthop_by_id(s->nexthops, a->nexthop);
    return nh && fibclient_is_own(s->fib, &nh->addr, nh->scope) ? IMPORT_OWN_NEXTHOP : IMPORT_OK;
}

int speaker_import(struct speaker *s, enum family f, const struct prefix *p, const struct attr **a,
                   const struct rib_peer *from, bool judged)
{
    struct peer *peer = from->owner;
    const struct attr *received = *a;
    const struct peer_config *pc = peer ? peer_config(peer) : NULL;
    bool named = false;
    int reason;

    if (!pc || pc->import == IMPORT_NONE)
        return IMPORT_MODE_NONE;
    if (prefix_is_martian(p))
        return IMPORT_MARTIAN;
    reason = judged ? IMPORT_OK : (int)loops(s, pc, *a, from);
    if (!reason)
        reason = (int)sources_own(s->sources, p);
    if (!reason && pc->import_rules && !judged)
        reason = peer_import(peer, f, p, a, &named);
    /* A policy that accepts everything does not mean the default route; one whose list has 0.0.0.0/0 does. */
    if (!reason && prefix_is_default(p) && !named && !judged && !s->config->fib.accept_default)
        reason = IMPORT_DEFAULT_ROUTE;
    if (!reason)
        reason = (int)own_nexthop(s, *a);
    if (reason)
        *a = received; /* what is refused stays as it came, to be judged again */
    return reason;
}

const char *import_reason_text(enum import_reason r)
{
    static const char *const text[] = {
        [IMPORT_OK] = "accepted",
        [IMPORT_MARTIAN] = "martian prefix",
        [IMPORT_OWN_POD_CIDR] = "inside an own pod CIDR",
        [IMPORT_OWN_ADDRESS] = "an own VIP or address",
        [IMPORT_DEFAULT_ROUTE] = "default route (see fib.accept-default)",
        [IMPORT_AS_LOOP] = "own AS in the AS path (see allow-own-as)",
        [IMPORT_POLICY] = "rejected by policy",
        [IMPORT_MODE_NONE] = "import is none",
        [IMPORT_OWN_NEXTHOP] = "own address as next hop",
        [IMPORT_LOOP_ORIGINATOR] = "own router id as originator",
        [IMPORT_LOOP_CLUSTER] = "own router id in the cluster list",
        [IMPORT_ROUTE_LEAK] = "a route leak (its OTC attribute, see role)",
    };
    return text[r];
}
