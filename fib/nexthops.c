/* Next hops: what BGP names (tracked), and the kernel objects that stand for them (hops).
 *
 * A tracked next hop is connected when it is on a subnet of an interface that is up, or link-local with such
 * an interface as scope; else the kernel's own table says how to reach it, but never by a route of ours: a
 * BGP route must not resolve itself. Its kernel object is the gateway that the packet goes to first, so
 * several next hops may share one hop.
 *
 * The kernel deletes nexthop objects without a word when their link goes down. hops_link_down does in our
 * view what the kernel has done; the object is also deleted by name then, so that both agree even when the
 * link was back too soon.
 *
 * Ids come from a range of our own, protocol << 24, given out in a circle so that a new object never carries
 * the id of one that an old notification may still speak of.
 *
 * A node has tens of next hops, but peers name them, so there may be thousands: they are found by hashes.
 * Index 0 is never used.
 */
#include "fib/nexthops.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fib/links.h"
#include "lib/ixhash.h"
#include "lib/slab.h"

struct tracked {
    struct fm_nexthop_state state;
    uint32_t refs; /* groups */
    bool watched;
    bool used;
};

struct hop {
    struct ip_addr gateway;
    uint32_t ifindex;
    uint32_t id; /* 0: not in the kernel */
    uint32_t refs;
    bool used;
};

struct nexthops {
    struct fib *f;
    struct slab tracked; /* struct tracked */
    struct slab hops;    /* struct hop */
    struct ixhash by_address, by_gateway, by_id;
    uint32_t seed;
    uint32_t next_id; /* offset in our range */
};

static struct tracked *tracked_at(const struct nexthops *n, uint32_t i)
{
    return slab_at(&n->tracked, i);
}

static struct hop *hop_at(const struct nexthops *n, uint32_t i)
{
    return slab_at(&n->hops, i);
}

static uint32_t hash_address(const struct nexthops *n, const struct fm_nexthop *nh)
{
    return hash_bytes(nh, sizeof *nh, n->seed);
}

static uint32_t hash_gateway(const struct nexthops *n, const struct ip_addr *a, uint32_t ifindex)
{
    return hash_bytes(a->b, family_bytes(addr_family(a)), n->seed ^ ifindex * 0x9e3779b1u);
}

static uint32_t hash_id(uint32_t id)
{
    id *= 0x9e3779b1u;
    return id ^ id >> 15;
}

static bool address_hash_of(const void *arg, uint32_t i, uint32_t *hash)
{
    const struct tracked *t = tracked_at(arg, i);
    if (t->used)
        *hash = hash_address(arg, &t->state.nexthop);
    return t->used;
}

/* Of those in the kernel, as the next one. */
static bool gateway_hash_of(const void *arg, uint32_t i, uint32_t *hash)
{
    const struct hop *h = hop_at(arg, i);
    if (!h->used || !h->id)
        return false;
    *hash = hash_gateway(arg, &h->gateway, h->ifindex);
    return true;
}

static bool id_hash_of(const void *arg, uint32_t i, uint32_t *hash)
{
    const struct hop *h = hop_at(arg, i);
    if (!h->used || !h->id)
        return false;
    *hash = hash_id(h->id);
    return true;
}

struct nexthops *nexthops_new(struct fib *f)
{
    struct nexthops *n = calloc(1, sizeof *n);
    if (!n || getrandom(&n->seed, sizeof n->seed, 0) != sizeof n->seed) {
        free(n);
        return NULL;
    }
    n->f = f;
    n->next_id = 1;
    slab_init(&n->tracked, sizeof(struct tracked));
    slab_init(&n->hops, sizeof(struct hop));
    ixhash_init(&n->by_address, address_hash_of, n);
    ixhash_init(&n->by_gateway, gateway_hash_of, n);
    ixhash_init(&n->by_id, id_hash_of, n);
    return n;
}

void nexthops_free(struct nexthops *n)
{
    if (!n)
        return;
    ixhash_reset(&n->by_address);
    ixhash_reset(&n->by_gateway);
    ixhash_reset(&n->by_id);
    slab_reset(&n->tracked);
    slab_reset(&n->hops);
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

static void resolve_by_route(struct nexthops *n, const struct ip_addr *a, struct fm_nexthop_state *st)
{
    struct kroute r;

    if (kernel_lookup(n->f->kernel, a, &r) || r.type != RTN_UNICAST || !r.ifindex)
        return;
    if (r.protocol == n->f->settings.protocol || !links_is_up(n->f->links, r.ifindex))
        return;
    st->flags = FM_NH_REACHABLE;
    st->ifindex = r.ifindex;
    st->metric = r.metric;
    st->via_af = r.gateway.af;
    memcpy(st->via, r.gateway.b, sizeof st->via);
}

static struct fm_nexthop_state resolve(struct nexthops *n, const struct fm_nexthop *nh)
{
    struct fm_nexthop_state st = {.nexthop = *nh};
    struct ip_addr a = fm_addr(nh->af, nh->addr);

    if (links_is_own(n->f->links, &a, nh->scope))
        return st; /* a packet to ourselves would never leave */
    st.ifindex = links_connected(n->f->links, &a, nh->scope);
    if (st.ifindex)
        st.flags = FM_NH_REACHABLE | FM_NH_CONNECTED;
    else if (!(a.af == AF_INET6 && addr_is_link_local(&a)))
        resolve_by_route(n, &a, &st);
    return st;
}

static uint32_t get_tracked(struct nexthops *n, const struct fm_nexthop *nh)
{
    uint32_t i = find_tracked(n, nh);

    if (i)
        return i;
    i = slab_alloc(&n->tracked);
    if (!i)
        return 0;
    if (ixhash_insert(&n->by_address, hash_address(n, nh), i)) {
        slab_free(&n->tracked, i);
        return 0;
    }
    *tracked_at(n, i) = (struct tracked){.state = resolve(n, nh), .used = true};
    return i;
}

static void release_tracked(struct nexthops *n, uint32_t i)
{
    struct tracked *t = tracked_at(n, i);

    if (t->refs || t->watched)
        return;
    ixhash_remove(&n->by_address, hash_address(n, &t->state.nexthop), i);
    t->used = false;
    slab_free(&n->tracked, i);
}

int nexthops_watch(struct nexthops *n, const struct fm_nexthop *nh)
{
    uint32_t i = get_tracked(n, nh);

    if (!i)
        return -ENOMEM;
    tracked_at(n, i)->watched = true;
    fib_tell(n->f, FM_NEXTHOP_STATE, &tracked_at(n, i)->state, 1);
    return 0;
}

void nexthops_unwatch(struct nexthops *n, const struct fm_nexthop *nh)
{
    uint32_t i = find_tracked(n, nh);

    if (!i)
        return;
    tracked_at(n, i)->watched = false;
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

bool nexthops_resolve(struct nexthops *n)
{
    bool changed = false;

    for (uint32_t i = 1; i < n->tracked.next; i++) {
        struct tracked *t = tracked_at(n, i);
        if (!t->used)
            continue;
        struct fm_nexthop_state st = resolve(n, &t->state.nexthop);
        if (!memcmp(&st, &t->state, sizeof st))
            continue;
        if ((st.flags ^ t->state.flags) & FM_NH_REACHABLE) {
            struct ip_addr a = fm_addr(st.nexthop.af, st.nexthop.addr);
            log_info("next hop changed", F_ADDR("nexthop", &a),
                     F_STR("state", st.flags & FM_NH_REACHABLE ? "reachable" : "unreachable"));
        }
        t->state = st;
        changed = true;
        if (t->watched)
            fib_tell(n->f, FM_NEXTHOP_STATE, &st, 1);
    }
    return changed;
}

bool nexthops_depend_on_routes(const struct nexthops *n)
{
    for (uint32_t i = 1; i < n->tracked.next; i++)
        if (tracked_at(n, i)->used && !(tracked_at(n, i)->state.flags & FM_NH_CONNECTED))
            return true;
    return false;
}

#define ID_RANGE 0x1000000u

bool nexthops_id_is_ours(const struct nexthops *n, uint32_t id)
{
    return id / ID_RANGE == n->f->settings.protocol && id % ID_RANGE;
}

void nexthops_note_id(struct nexthops *n, uint32_t id)
{
    if (nexthops_id_is_ours(n, id) && id % ID_RANGE >= n->next_id)
        n->next_id = id % ID_RANGE + 1;
}

uint32_t nexthops_alloc_id(struct nexthops *n)
{
    if (n->next_id >= ID_RANGE)
        n->next_id = 1;
    return n->f->settings.protocol * ID_RANGE + n->next_id++;
}

/* 0: out of memory. */
static uint32_t new_hop(struct nexthops *n, const struct hop *h)
{
    uint32_t i = slab_alloc(&n->hops);

    if (!i)
        return 0;
    *hop_at(n, i) = *h;
    if (ixhash_insert(&n->by_gateway, hash_gateway(n, &h->gateway, h->ifindex), i) ||
        ixhash_insert(&n->by_id, hash_id(h->id), i)) {
        ixhash_remove(&n->by_gateway, hash_gateway(n, &h->gateway, h->ifindex), i);
        hop_at(n, i)->used = false;
        slab_free(&n->hops, i);
        return 0;
    }
    return i;
}

/* The kernel has it no more. */
static void forget_hop(struct nexthops *n, uint32_t i)
{
    struct hop *h = hop_at(n, i);

    if (!h->id)
        return;
    ixhash_remove(&n->by_gateway, hash_gateway(n, &h->gateway, h->ifindex), i);
    ixhash_remove(&n->by_id, hash_id(h->id), i);
    h->id = 0;
}

static void free_hop(struct nexthops *n, uint32_t i)
{
    hop_at(n, i)->used = false;
    slab_free(&n->hops, i);
}

/* Lost hops are left to the groups that still hold them: a new object is a new hop. */
static uint32_t find_hop(const struct nexthops *n, const struct ip_addr *gateway, uint32_t ifindex)
{
    struct ixhash_probe p;
    uint32_t i = ixhash_first(&n->by_gateway, &p, hash_gateway(n, gateway, ifindex));

    for (; i; i = ixhash_next(&n->by_gateway, &p))
        if (hop_at(n, i)->ifindex == ifindex && addr_equal(&hop_at(n, i)->gateway, gateway))
            break;
    return i;
}

uint32_t hops_ref(struct nexthops *n, const struct ip_addr *gateway, uint32_t ifindex, int *error)
{
    uint32_t i = find_hop(n, gateway, ifindex), id = 0;
    int rc = -EEXIST;

    *error = 0;
    if (i) {
        hop_at(n, i)->refs++;
        return i;
    }
    for (int tries = 0; rc == -EEXIST && tries < 64; tries++) {
        id = nexthops_alloc_id(n);
        rc = kernel_nexthop_add(n->f->kernel, id, gateway, ifindex);
    }
    if (rc) {
        *error = rc;
        return 0;
    }
    const struct hop h = {.gateway = *gateway, .ifindex = ifindex, .id = id, .refs = 1, .used = true};
    i = new_hop(n, &h);
    if (!i) {
        kernel_nexthop_delete(n->f->kernel, id);
        *error = -ENOMEM;
    }
    return i;
}

static void delete_hop(struct nexthops *n, uint32_t i)
{
    if (hop_at(n, i)->id)
        kernel_nexthop_delete(n->f->kernel, hop_at(n, i)->id);
    forget_hop(n, i);
    free_hop(n, i);
}

void hops_hold(struct nexthops *n, uint32_t i)
{
    hop_at(n, i)->refs++;
}

void hops_unref(struct nexthops *n, uint32_t i)
{
    if (!--hop_at(n, i)->refs)
        delete_hop(n, i);
}

uint32_t hops_kernel_id(const struct nexthops *n, uint32_t i)
{
    return hop_at(n, i)->id;
}

const struct ip_addr *hops_gateway(const struct nexthops *n, uint32_t i, uint32_t *ifindex)
{
    *ifindex = hop_at(n, i)->ifindex;
    return &hop_at(n, i)->gateway;
}

uint32_t hops_by_kernel_id(const struct nexthops *n, uint32_t id)
{
    struct ixhash_probe p;
    uint32_t i = id ? ixhash_first(&n->by_id, &p, hash_id(id)) : 0;
    while (i && hop_at(n, i)->id != id)
        i = ixhash_next(&n->by_id, &p);
    return i;
}

uint32_t hops_adopt(struct nexthops *n, const struct knexthop *k)
{
    uint32_t i = hops_by_kernel_id(n, k->id);

    if (i)
        return i;
    return new_hop(n, &(struct hop){.gateway = k->gateway, .ifindex = k->ifindex, .id = k->id, .used = true});
}

uint32_t hops_next_id(const struct nexthops *n, uint32_t *at)
{
    while (++*at < n->hops.next)
        if (hop_at(n, *at)->used && hop_at(n, *at)->id)
            return hop_at(n, *at)->id;
    return 0;
}

void hops_mark_lost(struct nexthops *n, uint32_t i)
{
    kernel_nexthop_delete(n->f->kernel, hop_at(n, i)->id);
    forget_hop(n, i);
    if (!hop_at(n, i)->refs)
        free_hop(n, i);
}

bool hops_link_down(struct nexthops *n, uint32_t ifindex)
{
    bool any = false;

    for (uint32_t i = 1; i < n->hops.next; i++)
        if (hop_at(n, i)->used && hop_at(n, i)->id && hop_at(n, i)->ifindex == ifindex) {
            hops_mark_lost(n, i);
            any = true;
        }
    return any;
}

void hops_sweep(struct nexthops *n)
{
    for (uint32_t i = 1; i < n->hops.next; i++)
        if (hop_at(n, i)->used && !hop_at(n, i)->refs)
            delete_hop(n, i);
}

void hops_delete_all(struct nexthops *n)
{
    for (uint32_t i = 1; i < n->hops.next; i++)
        if (hop_at(n, i)->used && hop_at(n, i)->id) {
            kernel_nexthop_delete(n->f->kernel, hop_at(n, i)->id);
            forget_hop(n, i);
        }
}
