/* Hops: the kernel's nexthop objects, one a gateway and interface, shared by the groups that go there.
 *
 * The kernel deletes nexthop objects without a word when their link goes down. hops_link_down does in our
 * view what the kernel has done; the object is also deleted by name then, so that both agree even when the
 * link was back too soon.
 *
 * Ids come from a range of our own, protocol << 24. Its lower half is for hops, given out in a circle so that
 * a new object never carries the id of one that an old notification may still speak of. In the upper half are
 * the groups: 15 bits of the id say what the group is for, so that a later life knows it again although the
 * kernel shows no more than where it goes now; the last 8 go in a circle.
 */
#include <errno.h>

#include "fib/nexthops_internal.h"

struct hop {
    struct ip_addr gateway;
    uint32_t ifindex;
    uint32_t id; /* 0: not in the kernel */
    uint32_t refs;
    uint32_t leaving; /* of them, see hops_leave */
    bool used;
};

static struct hop *hop_at(const struct nexthops *n, uint32_t i)
{
    return slab_at(&n->hops, i);
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

void hops_init(struct nexthops *n)
{
    n->next_id = 1;
    slab_init(&n->hops, sizeof(struct hop));
    ixhash_init(&n->by_gateway, gateway_hash_of, n);
    ixhash_init(&n->by_id, id_hash_of, n);
}

void hops_reset(struct nexthops *n)
{
    ixhash_reset(&n->by_gateway);
    ixhash_reset(&n->by_id);
    slab_reset(&n->hops);
}

#define ID_RANGE  0x1000000u
#define GROUP_IDS 0x800000u /* of the range, the half for groups */

bool nexthops_id_is_ours(const struct nexthops *n, uint32_t id)
{
    return id / ID_RANGE == n->f->settings.protocol && id % ID_RANGE;
}

void nexthops_note_id(struct nexthops *n, uint32_t id)
{
    if (nexthops_id_is_ours(n, id) && id % ID_RANGE < GROUP_IDS && id % ID_RANGE >= n->next_id)
        n->next_id = id % ID_RANGE + 1;
}

static uint32_t alloc_id(struct nexthops *n)
{
    if (n->next_id >= GROUP_IDS)
        n->next_id = 1;
    return n->f->settings.protocol * ID_RANGE + n->next_id++;
}

uint32_t nexthops_group_id(const struct nexthops *n, uint32_t mark, uint8_t serial)
{
    return n->f->settings.protocol * ID_RANGE + GROUP_IDS + mark % (GROUP_IDS >> 8) * 256 + serial;
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
uint32_t hops_find(const struct nexthops *n, const struct ip_addr *gateway, uint32_t ifindex)
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
    uint32_t i = hops_find(n, gateway, ifindex), id = 0;
    int rc = -EEXIST;

    *error = 0;
    if (i) {
        hop_at(n, i)->refs++;
        return i;
    }
    for (int tries = 0; rc == -EEXIST && tries < 64; tries++) {
        id = alloc_id(n);
        rc = kernel_nexthop_set(n->f->kernel, id, gateway, ifindex, false);
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
    const struct hop *h = i ? hop_at(n, i) : NULL;

    if (h && (h->ifindex != k->ifindex || !addr_equal(&h->gateway, &k->gateway)))
        kernel_nexthop_set(n->f->kernel, k->id, &h->gateway, h->ifindex,
                           true); /* somebody turned it elsewhere */
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

/* Those that nobody else holds any more are of no use to the groups that have other hops, and deleting them
 * takes them out of all those groups in one go. */
void hops_leave(struct nexthops *n, uint32_t i)
{
    hop_at(n, i)->leaving++;
}

bool hops_leave_end(struct nexthops *n, uint32_t i)
{
    struct hop *h = hop_at(n, i);
    bool all = h->leaving && h->leaving == h->refs;

    h->leaving = 0;
    if (!all || !h->id)
        return false;
    int rc = kernel_nexthop_delete(n->f->kernel, h->id);
    if (rc && rc != -ENOENT)
        return false;
    forget_hop(n, i);
    return true;
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
