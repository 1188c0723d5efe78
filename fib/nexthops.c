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
 * Tables are short arrays: a node has tens of next hops, not thousands. Index 0 is never used.
 */
#include "fib/nexthops.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "fib/links.h"

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
    struct tracked *tracked;
    uint32_t n_tracked; /* slots, slot 0 included */
    struct hop *hops;
    uint32_t n_hops;
    uint32_t next_id; /* offset in our range */
};

struct nexthops *nexthops_new(struct fib *f)
{
    struct nexthops *n = calloc(1, sizeof *n);
    if (n) {
        n->f = f;
        n->next_id = 1;
    }
    return n;
}

void nexthops_free(struct nexthops *n)
{
    if (!n)
        return;
    free(n->tracked);
    free(n->hops);
    free(n);
}

static uint32_t find_tracked(const struct nexthops *n, const struct fm_nexthop *nh)
{
    for (uint32_t i = 1; i < n->n_tracked; i++)
        if (n->tracked[i].used && !memcmp(&n->tracked[i].state.nexthop, nh, sizeof *nh))
            return i;
    return 0;
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
    for (i = 1; i < n->n_tracked && n->tracked[i].used; i++)
        ;
    if (i >= n->n_tracked) {
        uint32_t slots = n->n_tracked ? n->n_tracked * 2 : 8;
        struct tracked *grown = realloc(n->tracked, slots * sizeof *grown);
        if (!grown)
            return 0;
        i = n->n_tracked ? n->n_tracked : 1;
        memset(grown + n->n_tracked, 0, (slots - n->n_tracked) * sizeof *grown);
        n->tracked = grown;
        n->n_tracked = slots;
    }
    n->tracked[i] = (struct tracked){.state = resolve(n, nh), .used = true};
    return i;
}

static void release_tracked(struct nexthops *n, uint32_t i)
{
    if (!n->tracked[i].refs && !n->tracked[i].watched)
        n->tracked[i].used = false;
}

int nexthops_watch(struct nexthops *n, const struct fm_nexthop *nh)
{
    uint32_t i = get_tracked(n, nh);

    if (!i)
        return -ENOMEM;
    n->tracked[i].watched = true;
    fib_tell(n->f, FM_NEXTHOP_STATE, &n->tracked[i].state, 1);
    return 0;
}

void nexthops_unwatch(struct nexthops *n, const struct fm_nexthop *nh)
{
    uint32_t i = find_tracked(n, nh);

    if (!i)
        return;
    n->tracked[i].watched = false;
    release_tracked(n, i);
}

void nexthops_unwatch_all(struct nexthops *n)
{
    for (uint32_t i = 1; i < n->n_tracked; i++) {
        n->tracked[i].watched = false;
        release_tracked(n, i);
    }
}

uint32_t nexthops_ref(struct nexthops *n, const struct fm_nexthop *nh)
{
    uint32_t i = get_tracked(n, nh);
    if (i)
        n->tracked[i].refs++;
    return i;
}

void nexthops_unref(struct nexthops *n, uint32_t i)
{
    n->tracked[i].refs--;
    release_tracked(n, i);
}

const struct fm_nexthop_state *nexthops_state(const struct nexthops *n, uint32_t i)
{
    return &n->tracked[i].state;
}

bool nexthops_resolve(struct nexthops *n)
{
    bool changed = false;

    for (uint32_t i = 1; i < n->n_tracked; i++) {
        struct tracked *t = &n->tracked[i];
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
    for (uint32_t i = 1; i < n->n_tracked; i++)
        if (n->tracked[i].used && !(n->tracked[i].state.flags & FM_NH_CONNECTED))
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

static uint32_t new_hop(struct nexthops *n)
{
    uint32_t i;

    for (i = 1; i < n->n_hops && n->hops[i].used; i++)
        ;
    if (i < n->n_hops)
        return i;
    uint32_t slots = n->n_hops ? n->n_hops * 2 : 8;
    struct hop *grown = realloc(n->hops, slots * sizeof *grown);
    if (!grown)
        return 0;
    i = n->n_hops ? n->n_hops : 1;
    memset(grown + n->n_hops, 0, (slots - n->n_hops) * sizeof *grown);
    n->hops = grown;
    n->n_hops = slots;
    return i;
}

/* Lost hops are left to the groups that still hold them: a new object is a new hop. */
static uint32_t find_hop(const struct nexthops *n, const struct ip_addr *gateway, uint32_t ifindex)
{
    for (uint32_t i = 1; i < n->n_hops; i++) {
        const struct hop *h = &n->hops[i];
        if (h->used && h->id && h->ifindex == ifindex && addr_equal(&h->gateway, gateway))
            return i;
    }
    return 0;
}

uint32_t hops_ref(struct nexthops *n, const struct ip_addr *gateway, uint32_t ifindex, int *error)
{
    uint32_t i = find_hop(n, gateway, ifindex), id = 0;
    int rc = -EEXIST;

    *error = 0;
    if (i) {
        n->hops[i].refs++;
        return i;
    }
    i = new_hop(n);
    if (!i) {
        *error = -ENOMEM;
        return 0;
    }
    for (int tries = 0; rc == -EEXIST && tries < 64; tries++) {
        id = nexthops_alloc_id(n);
        rc = kernel_nexthop_add(n->f->kernel, id, gateway, ifindex);
    }
    if (rc) {
        *error = rc;
        return 0;
    }
    n->hops[i] = (struct hop){.gateway = *gateway, .ifindex = ifindex, .id = id, .refs = 1, .used = true};
    return i;
}

static void delete_hop(struct nexthops *n, uint32_t i)
{
    struct hop *h = &n->hops[i];

    if (h->id)
        kernel_nexthop_delete(n->f->kernel, h->id);
    h->used = false;
}

void hops_hold(struct nexthops *n, uint32_t i)
{
    n->hops[i].refs++;
}

void hops_unref(struct nexthops *n, uint32_t i)
{
    if (!--n->hops[i].refs)
        delete_hop(n, i);
}

uint32_t hops_kernel_id(const struct nexthops *n, uint32_t i)
{
    return n->hops[i].id;
}

const struct ip_addr *hops_gateway(const struct nexthops *n, uint32_t i, uint32_t *ifindex)
{
    *ifindex = n->hops[i].ifindex;
    return &n->hops[i].gateway;
}

uint32_t hops_by_kernel_id(const struct nexthops *n, uint32_t id)
{
    for (uint32_t i = 1; id && i < n->n_hops; i++)
        if (n->hops[i].used && n->hops[i].id == id)
            return i;
    return 0;
}

uint32_t hops_adopt(struct nexthops *n, const struct knexthop *k)
{
    uint32_t i = hops_by_kernel_id(n, k->id);

    if (i)
        return i;
    i = new_hop(n);
    if (i)
        n->hops[i] = (struct hop){.gateway = k->gateway, .ifindex = k->ifindex, .id = k->id, .used = true};
    return i;
}

uint32_t hops_next_id(const struct nexthops *n, uint32_t *at)
{
    while (++*at < n->n_hops)
        if (n->hops[*at].used && n->hops[*at].id)
            return n->hops[*at].id;
    return 0;
}

void hops_mark_lost(struct nexthops *n, uint32_t i)
{
    kernel_nexthop_delete(n->f->kernel, n->hops[i].id);
    n->hops[i].id = 0;
    if (!n->hops[i].refs)
        n->hops[i].used = false;
}

bool hops_link_down(struct nexthops *n, uint32_t ifindex)
{
    bool any = false;

    for (uint32_t i = 1; i < n->n_hops; i++)
        if (n->hops[i].used && n->hops[i].id && n->hops[i].ifindex == ifindex) {
            hops_mark_lost(n, i);
            any = true;
        }
    return any;
}

void hops_sweep(struct nexthops *n)
{
    for (uint32_t i = 1; i < n->n_hops; i++)
        if (n->hops[i].used && !n->hops[i].refs)
            delete_hop(n, i);
}

void hops_delete_all(struct nexthops *n)
{
    for (uint32_t i = 1; i < n->n_hops; i++)
        if (n->hops[i].used && n->hops[i].id) {
            kernel_nexthop_delete(n->f->kernel, n->hops[i].id);
            n->hops[i].id = 0;
        }
}
