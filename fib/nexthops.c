/* Next hops as BGP names them, tracked for the speaker and for the groups (RFC 4271 section 9.1.2.1).
 *
 * A tracked next hop is connected when it is on a subnet of an interface that is up, or link-local with such
 * an interface as scope; else the kernel's own table says how to reach it, but never by a route of ours: a
 * BGP route must not resolve itself. Its ways are the gateways that the packet goes to first, several when
 * the kernel's route is multipath, so several next hops may share one hop of hops.c.
 *
 * A dead one is not gone to although it is reachable for all that the kernel knows. What BFD says outlives
 * the watch, and what the speaker has said outlives the speaker while its groups do: the next one starts to
 * watch what it has learned anew.
 *
 * A node has tens of next hops, but peers name them, so there may be thousands: they are found by hashes, and
 * resolved some a turn. Index 0 is never used.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fib/groups.h"
#include "fib/links.h"
#include "fib/nexthops_internal.h"

#define RESOLVE_STEP 256 /* a route's lookup in the kernel takes some microseconds */

struct tracked {
    struct fm_nexthop_state state;
    uint32_t refs; /* groups */
    uint8_t dead;  /* enum nexthop_dead */
    bool watched;
    bool used;
    bool news; /* for the speaker, when the kernel has changed */
    uint16_t n_ways;
    struct kway *ways; /* `one`, or allocated */
    struct kway one;
};

struct resolution {
    struct fm_nexthop_state state;
    unsigned n_ways;
    struct kway ways[KERNEL_MEMBERS_MAX];
};

static struct tracked *tracked_at(const struct nexthops *n, uint32_t i)
{
    return slab_at(&n->tracked, i);
}

static uint32_t hash_address(const struct nexthops *n, const struct fm_nexthop *nh)
{
    return hash_bytes(nh, sizeof *nh, n->seed);
}

static bool address_hash_of(const void *arg, uint32_t i, uint32_t *hash)
{
    const struct tracked *t = tracked_at(arg, i);
    if (t->used)
        *hash = hash_address(arg, &t->state.nexthop);
    return t->used;
}

struct nexthops *nexthops_new(struct fib *f)
{
    struct nexthops *n = calloc(1, sizeof *n);
    if (!n || getrandom(&n->seed, sizeof n->seed, 0) != sizeof n->seed) {
        free(n);
        return NULL;
    }
    n->f = f;
    slab_init(&n->tracked, sizeof(struct tracked));
    ixhash_init(&n->by_address, address_hash_of, n);
    hops_init(n);
    return n;
}

static void forget_ways(struct tracked *t)
{
    if (t->ways != &t->one)
        free(t->ways);
    t->ways = NULL;
    t->n_ways = 0;
}

void nexthops_free(struct nexthops *n)
{
    if (!n)
        return;
    for (uint32_t i = 1; i < n->tracked.next; i++)
        if (tracked_at(n, i)->used)
            forget_ways(tracked_at(n, i));
    hops_reset(n);
    ixhash_reset(&n->by_address);
    slab_reset(&n->tracked);
    free(n);
}

static uint32_t find_tracked(const struct nexthops *n, const struct fm_nexthop *nh)
{
    struct ixhash_probe p;
    uint32_t i = ixhash_first(&n->by_address, &p, hash_address(n, nh));
    while (i && memcmp(&tracked_at(n, i)->state.nexthop, nh, sizeof *nh))
        i = ixhash_next(&n->by_address, &p);
    return i;
}

static void resolve_by_route(struct nexthops *n, const struct ip_addr *a, struct resolution *out)
{
    struct fm_nexthop_state *st = &out->state;
    struct kroute r;
    unsigned found = KERNEL_MEMBERS_MAX, kept = 0;

    if (kernel_lookup(n->f->kernel, a, &r, out->ways, &found) || r.type != RTN_UNICAST ||
        r.protocol == n->f->settings.protocol)
        return;
    for (unsigned i = 0; i < found; i++)
        if (links_is_up(n->f->links, out->ways[i].ifindex))
            out->ways[kept++] = out->ways[i];
    if (!kept)
        return;
    out->n_ways = kept;
    st->flags = FM_NH_REACHABLE;
    st->ifindex = out->ways[0].ifindex;
    st->metric = r.metric;
    st->via_af = out->ways[0].gateway.af;
    memcpy(st->via, out->ways[0].gateway.b, sizeof st->via);
    for (unsigned i = 0; i < kept; i++)
        if (!out->ways[i].gateway.af)
            out->ways[i].gateway = *a; /* on the link, by a route without a gateway */
}

static void resolve(struct nexthops *n, const struct tracked *t, struct resolution *out)
{
    const struct fm_nexthop *nh = &t->state.nexthop;
    struct ip_addr a = fm_addr(nh->af, nh->addr);
    struct fm_nexthop_state *st = &out->state;

    *st = (struct fm_nexthop_state){.nexthop = *nh};
    out->n_ways = 0;
    if (links_is_own(n->f->links, &a, nh->scope))
        return; /* a packet to ourselves would never leave */
    st->ifindex = links_connected(n->f->links, &a, nh->scope);
    if (st->ifindex) {
        st->flags = FM_NH_REACHABLE | FM_NH_CONNECTED;
        out->ways[out->n_ways++] = (struct kway){a, st->ifindex, 1};
    } else if (!(a.af == AF_INET6 && addr_is_link_local(&a))) {
        resolve_by_route(n, &a, out);
    }
    if (t->dead & NEXTHOP_DEAD_BFD)
        st->flags = (st->flags & ~(uint32_t)FM_NH_REACHABLE) | FM_NH_BFD_DOWN;
}

static bool same_ways(const struct tracked *t, const struct resolution *r)
{
    if (t->n_ways != r->n_ways)
        return false;
    for (unsigned i = 0; i < r->n_ways; i++)
        if (t->ways[i].ifindex != r->ways[i].ifindex || t->ways[i].weight != r->ways[i].weight ||
            !addr_equal(&t->ways[i].gateway, &r->ways[i].gateway))
            return false;
    return true;
}

/* Out of memory: the first way has to do. */
static void set_ways(struct tracked *t, const struct resolution *r)
{
    forget_ways(t);
    t->ways = r->n_ways > 1 ? malloc(r->n_ways * sizeof *t->ways) : &t->one;
    t->n_ways = (uint16_t)r->n_ways;
    if (!t->ways) {
        t->ways = &t->one;
        t->n_ways = 1;
    }
    memcpy(t->ways, r->ways, t->n_ways * sizeof *t->ways);
}

static bool depends_on_routes(const struct tracked *t)
{
    struct ip_addr a = fm_addr(t->state.nexthop.af, t->state.nexthop.addr);
    return !(t->state.flags & FM_NH_CONNECTED) && !(a.af == AF_INET6 && addr_is_link_local(&a));
}

static uint32_t get_tracked(struct nexthops *n, const struct fm_nexthop *nh)
{
    uint32_t i = find_tracked(n, nh);
    struct resolution r;

    if (i)
        return i;
    i = slab_alloc(&n->tracked);
    if (!i)
        return 0;
    if (ixhash_insert(&n->by_address, hash_address(n, nh), i)) {
        slab_free(&n->tracked, i);
        return 0;
    }
    struct tracked *t = tracked_at(n, i);
    *t = (struct tracked){.state.nexthop = *nh, .used = true};
    resolve(n, t, &r);
    t->state = r.state;
    set_ways(t, &r);
    n->depending += depends_on_routes(t);
    return i;
}

static void release_tracked(struct nexthops *n, uint32_t i)
{
    struct tracked *t = tracked_at(n, i);

    if (t->refs || t->watched || t->dead & NEXTHOP_DEAD_BFD)
        return;
    n->depending -= depends_on_routes(t);
    forget_ways(t);
    ixhash_remove(&n->by_address, hash_address(n, &t->state.nexthop), i);
    t->used = false;
    slab_free(&n->tracked, i);
}

static void tell(struct nexthops *n, uint32_t i)
{
    if (tracked_at(n, i)->watched)
        fib_tell(n->f, FM_NEXTHOP_STATE, &tracked_at(n, i)->state, 1);
}

/* True when the speaker is to be told; the groups know already. */
static bool resolve_one(struct nexthops *n, uint32_t i)
{
    struct tracked *t = tracked_at(n, i);
    struct resolution r;

    resolve(n, t, &r);
    bool news = memcmp(&r.state, &t->state, sizeof r.state), moved = !same_ways(t, &r);
    if ((r.state.flags ^ t->state.flags) & FM_NH_REACHABLE) {
        struct ip_addr a = fm_addr(r.state.nexthop.af, r.state.nexthop.addr);
        log_info("next hop changed", F_ADDR("nexthop", &a), F_UINT_IF("ifindex", r.state.nexthop.scope),
                 F_STR("state", r.state.flags & FM_NH_REACHABLE  ? "reachable"
                                : r.state.flags & FM_NH_BFD_DOWN ? "BFD is down"
                                                                 : "unreachable"));
    }
    n->depending -= depends_on_routes(t);
    t->state = r.state;
    n->depending += depends_on_routes(t);
    if (moved) {
        set_ways(t, &r);
        groups_stale(n->f->groups, i);
    }
    return news;
}

static void set_dead_bits(struct nexthops *n, uint32_t i, uint8_t dead)
{
    struct tracked *t = tracked_at(n, i);
    uint8_t old = t->dead;

    t->dead = dead;
    if (!old == !dead)
        return;
    groups_stale(n->f->groups, i);
}

int nexthops_watch(struct nexthops *n, const struct fm_nexthop *nh)
{
    uint32_t i = get_tracked(n, nh);

    if (!i)
        return -ENOMEM;
    struct tracked *t = tracked_at(n, i);
    if (!t->watched && t->dead & NEXTHOP_DEAD_SAID) {
        set_dead_bits(n, i, t->dead & ~NEXTHOP_DEAD_SAID);
        fib_nexthops_changed(n->f, true);
    }
    t->watched = true;
    tell(n, i);
    return 0;
}

void nexthops_unwatch(struct nexthops *n, const struct fm_nexthop *nh)
{
    uint32_t i = find_tracked(n, nh);

    if (!i)
        return;
    tracked_at(n, i)->watched = false; /* what was said of it holds while groups of routes to go name it */
    release_tracked(n, i);
}

void nexthops_unwatch_all(struct nexthops *n)
{
    for (uint32_t i = 1; i < n->tracked.next; i++)
        if (tracked_at(n, i)->used) {
            tracked_at(n, i)->watched = false;
            release_tracked(n, i);
        }
}

uint32_t nexthops_ref(struct nexthops *n, const struct fm_nexthop *nh)
{
    uint32_t i = get_tracked(n, nh);
    if (i)
        tracked_at(n, i)->refs++;
    return i;
}

void nexthops_unref(struct nexthops *n, uint32_t i)
{
    tracked_at(n, i)->refs--;
    release_tracked(n, i);
}

const struct fm_nexthop_state *nexthops_state(const struct nexthops *n, uint32_t i)
{
    return &tracked_at(n, i)->state;
}

unsigned nexthops_ways(const struct nexthops *n, uint32_t i, const struct kway **ways)
{
    const struct tracked *t = tracked_at(n, i);

    *ways = t->ways;
    return t->dead ? 0 : t->n_ways;
}

void nexthops_set_dead(struct nexthops *n, const struct fm_nexthop *nh, enum nexthop_dead why, bool dead)
{
    uint32_t i = dead && why == NEXTHOP_DEAD_BFD ? get_tracked(n, nh) : find_tracked(n, nh);

    if (!i)
        return;
    struct tracked *t = tracked_at(n, i);
    uint8_t old = t->dead;
    set_dead_bits(n, i, dead ? old | why : old & ~why);
    if (t->dead == old)
        return;
    t->refs++;
    bool news = resolve_one(n, i);
    groups_update_all(n->f->groups);
    if (news)
        tell(n, i);
    nexthops_unref(n, i);
}

void nexthops_link_down(struct nexthops *n, uint32_t ifindex)
{
    for (uint32_t i = 1; i < n->tracked.next; i++) {
        const struct tracked *t = tracked_at(n, i);
        bool over = false;
        for (unsigned w = 0; t->used && w < t->n_ways; w++)
            over |= t->ways[w].ifindex == ifindex;
        if (over)
            tracked_at(n, i)->news = resolve_one(n, i);
    }
}

void nexthops_tell_news(struct nexthops *n)
{
    for (uint32_t i = 1; i < n->tracked.next; i++) {
        struct tracked *t = tracked_at(n, i);
        if (t->used && t->news)
            tell(n, i);
        t->news = false;
    }
}

void nexthops_resolve(struct nexthops *n)
{
    n->walk_again = n->walk_at;
    if (!n->walk_at)
        n->walk_at = 1;
}

bool nexthops_resolve_step(struct nexthops *n)
{
    for (unsigned budget = RESOLVE_STEP; budget && n->walk_at; budget--) {
        if (n->walk_at < n->tracked.next) {
            uint32_t i = n->walk_at++;
            if (tracked_at(n, i)->used && resolve_one(n, i))
                tell(n, i);
        } else {
            n->walk_at = n->walk_again;
            n->walk_again = false;
        }
    }
    return n->walk_at;
}

bool nexthops_depend_on_routes(const struct nexthops *n)
{
    return n->depending;
}
