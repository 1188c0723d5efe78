/* Whose the next hops are.
 *
 * When a session is lost, the next hops that nobody else gives paths over are dead, and the FIB process can
 * turn the kernel's groups away from them at once, long before the sweep has come to the last path. To know
 * them takes no walk over paths: each next hop remembers the source that named it first, whether another one
 * ever did, and for which families. That is sticky, so it errs towards leaving a next hop alone; the sweep
 * then does what it always did.
 *
 * What a source still has says its count of paths: those kept by graceful restart are in it, so a next hop
 * stays alive as long as one of its families is kept. A path that comes over a dead next hop revives it. */
#include "rib/rib_int.h"

static bool source_is_gone(const struct rib *r, uint16_t number)
{
    const struct source *s = r->sources[number];
    if (!s)
        return true;
    for (enum family f = 0; f < FAM_COUNT; f++)
        if (s->pub.paths[f] || s->old[f])
            return false;
    return true;
}

void source_names_other(struct rib *r, enum family f, uint16_t source, uint32_t nexthop)
{
    const struct nexthop *nh = nexthop_by_id(r->nexthops, nexthop);
    if (!nh)
        return;
    if (!nexthop_is_named(nh, source, f))
        nexthop_name(r->nexthops, nexthop, source, f,
                     nh->named && nh->source != source && source_is_gone(r, nh->source));
    *r->last_named = nexthop_naming(nexthop, source, f);
}

void source_lost_paths(struct rib *r, const struct source *s)
{
    uint8_t without = 0;
    for (enum family f = 0; f < FAM_COUNT; f++)
        if (!s->pub.paths[f])
            without |= (uint8_t)(1u << f);
    if (without)
        nexthop_lose(r->nexthops, s->pub.number, without);
}

void rib_peer_alive(struct rib *r, const struct rib_peer *p, uint32_t scope)
{
    nexthop_revive(r->nexthops, p->number, &p->address, scope);
}
