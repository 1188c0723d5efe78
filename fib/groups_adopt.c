/* Groups of a former life, found in the kernel.
 *
 * The kernel shows where such a group goes now, not what it is for: which members are gone, which backups
 * there would be. So an adopted content has an empty set until the speaker defines a group that it fits, and
 * then becomes that, with its kernel group and its routes where they are. Groups that go the same way now may
 * be for different things, and each route is to stay on its own: what a group is for left a mark in its id.
 * Without one of the mark, of an older version or redefined in that life, any that goes the same way does.
 */
#include <stdlib.h>
#include <string.h>

#include "fib/groups_internal.h"
#include "fib/nexthops.h"

/* The order of members is not the same in every life, that of backups is. */
uint32_t set_mark(const struct groups *g, const struct group_set *s)
{
    uint32_t mark = 0;

    for (unsigned k = 0; k < set_size(s); k++) {
        const struct member *m = &s->members[k];
        const struct fm_nexthop *nh = &nexthops_state(g->f->nexthops, m->item)->nexthop;
        mark += hash_bytes(nh, sizeof *nh, k < s->n_members ? m->weight : 0x10000u * k + m->weight);
    }
    mark *= 0x9e3779b1u;
    return mark >> 16;
}

static bool has_way(const struct kway *ways, unsigned n, const struct ip_addr *gateway, uint32_t ifindex)
{
    for (unsigned w = 0; w < n; w++)
        if (ways[w].ifindex == ifindex && addr_equal(&ways[w].gateway, gateway))
            return true;
    return false;
}

/* That the kernel group goes nowhere but where the set might, dead or not. */
static bool is_within(const struct groups *g, const struct content *c, const struct group_set *s)
{
    for (unsigned h = 0; h < c->n_hops; h++) {
        uint32_t ifindex;
        const struct ip_addr *gateway = hops_gateway(g->f->nexthops, c->hops[h].item, &ifindex);
        bool found = false;
        for (unsigned k = 0; !found && k < set_size(s); k++) {
            const struct fm_nexthop *nh = &nexthops_state(g->f->nexthops, s->members[k].item)->nexthop;
            struct ip_addr a = fm_addr(nh->af, nh->addr);
            const struct kway *ways;
            unsigned n = nexthops_ways(g->f->nexthops, s->members[k].item, &ways);
            found = has_way(ways, n, gateway, ifindex) || addr_equal(&a, gateway);
        }
        if (!found)
            return false;
    }
    return true;
}

static uint32_t find_marked(const struct groups *g, const struct group_set *s)
{
    uint32_t mark = set_mark(g, s);

    for (unsigned serial = 0; serial < 256; serial++) {
        uint32_t id = nexthops_group_id(g->f->nexthops, mark, (uint8_t)serial);
        uint32_t i = groups_by_kernel_id(g, id);
        if (i && content_at(g, i)->adopted && is_within(g, content_at(g, i), s))
            return i;
    }
    return 0;
}

static uint32_t find_going(const struct groups *g, const struct group_set *s)
{
    struct kway ways[KERNEL_MEMBERS_MAX];
    struct member hops[KERNEL_MEMBERS_MAX];
    unsigned n = set_ways(g, s, ways);

    for (unsigned w = 0; w < n; w++) {
        uint32_t hop = hops_find(g->f->nexthops, &ways[w].gateway, ways[w].ifindex);
        if (!hop)
            return 0;
        hops[w] = (struct member){hop, ways[w].weight};
    }
    if (!n)
        return 0;
    qsort(hops, n, sizeof *hops, set_compare_members);
    for (uint32_t i = 1; i < contents_limit(g); i++) {
        const struct content *c = content_at(g, i);
        if (c && c->adopted && c->n_hops == n && !memcmp(c->hops, hops, n * sizeof *hops))
            return i;
    }
    return 0;
}

uint32_t adopted_find(const struct groups *g, const struct group_set *s)
{
    uint32_t i = g->n_adopted ? find_marked(g, s) : 0;

    return i || !g->n_adopted ? i : find_going(g, s);
}

/* One that we know: what it has in the kernel is what we believe, or is written again. */
static void restore(struct groups *g, uint32_t at, const struct member *hops, unsigned n)
{
    const struct content *c = content_at(g, at);

    if (c->n_hops != n || (n && memcmp(hops, c->hops, n * sizeof *hops)))
        content_write(g, at, c->hops, c->n_hops);
}

void groups_adopt(struct groups *g, const struct knexthop *k)
{
    struct member hops[KERNEL_MEMBERS_MAX];
    unsigned n = 0;

    for (unsigned i = 0; i < k->n_members; i++) {
        uint32_t hop = hops_by_kernel_id(g->f->nexthops, k->members[i].id);
        if (hop)
            hops[n++] = (struct member){hop, k->members[i].weight};
    }
    if (n)
        qsort(hops, n, sizeof *hops, set_compare_members);
    uint32_t at = groups_by_kernel_id(g, k->id);
    if (at) {
        restore(g, at, hops, n);
        return;
    }
    at = n ? content_new_adopted(g) : 0;
    if (!at || content_reserve_hops(content_at(g, at), n)) {
        if (at)
            content_free(g, at);
        return;
    }
    struct content *c = content_at(g, at);
    content_set_kernel_id(g, at, k->id);
    c->n_hops = (uint16_t)n;
    memcpy(c->hops, hops, n * sizeof *hops);
    for (unsigned h = 0; h < n; h++)
        hops_hold(g->f->nexthops, hops[h].item);
}
