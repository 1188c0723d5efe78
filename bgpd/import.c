/* What the import accepts by default (a policy will replace this): everything but martians, the default route
 * unless it is asked for, what is our own, and what has been through our AS. Judged per path and prefix; the
 * RIB asks again when the own prefixes or the configuration change. RFC 4271 9.1.2 (AS loop), RFC 4456 8
 * (ORIGINATOR_ID). */
#include "config.h"
#include "fibclient.h"
#include "peer.h"
#include "source/source.h"
#include "speaker.h"

enum import_reason speaker_import(struct speaker *s, enum family f, const struct prefix *p,
                                  const struct attr *a, const struct rib_peer *from)
{
    (void)f;
    const struct peer *peer = from->owner;
    const struct peer_config *pc = peer ? peer_config(peer) : NULL;

    if (!pc || pc->import == IMPORT_NONE)
        return IMPORT_MODE_NONE;
    if (prefix_is_default(p) && !s->config->fib.accept_default)
        return IMPORT_DEFAULT_ROUTE;
    if (prefix_is_martian(p))
        return IMPORT_MARTIAN;
    if (attr_path_count_as(a, s->config->router.asn) > pc->allow_own_as)
        return IMPORT_AS_LOOP;
    if ((a->flags & ATTR_HAS_ORIGINATOR) && a->originator_id == s->router_id)
        return IMPORT_LOOP_ORIGINATOR;

    const struct nexthop *nh = nexthop_by_id(s->nexthops, a->nexthop);
    if (nh && fibclient_is_own(s->fib, &nh->addr, nh->scope))
        return IMPORT_OWN_NEXTHOP;
    return sources_own(s->sources, p);
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
    };
    return text[r];
}
