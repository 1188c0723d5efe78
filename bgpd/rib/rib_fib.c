/* The FIB's side of an entry: what the kernel should hold, what it was told, what came of it.
 *
 * Only learned paths become routes, host routes of a peer that may say so blackhole routes (RFC 7999). Of
 * what the node originates, pod CIDRs get an unreachable route, so that traffic to addresses nobody has
 * cannot loop to the ToR and back, and everything else nothing: it is local already. As an originated path
 * always wins, a prefix is never both.
 *
 * An entry with a route is kept until the removal is answered, since the answer names it by its index.
 * Several words may be on the way for one prefix; a result counts only if it answers the kind of the last.
 * Why a route failed is rare and lies in a table of its own. How and when to send is the FIB client's
 * business. */
#include <errno.h>

#include "rib/rib_int.h"

struct fib_error {
    uint32_t key; /* index, 0: not in use; also the slab's link when free */
    int32_t error;
    uint8_t family;
    uint8_t used;
};

static uint32_t error_hash(enum family f, uint32_t index)
{
    uint32_t x = (index * 2 + f) * 0x9e3779b1u;
    return x ^ x >> 15;
}

static bool error_hash_of(const void *arg, uint32_t i, uint32_t *hash)
{
    const struct rib *r = arg;
    const struct fib_error *x = slab_at(&r->errors, i);
    if (!x->used)
        return false;
    *hash = error_hash(x->family, x->key);
    return true;
}

void fib_errors_init(struct rib *r)
{
    slab_init(&r->errors, sizeof(struct fib_error));
    ixhash_init(&r->errors_hash, error_hash_of, r);
}

void fib_errors_reset(struct rib *r)
{
    slab_reset(&r->errors);
    ixhash_reset(&r->errors_hash);
}

static uint32_t error_find(const struct rib *r, enum family f, uint32_t index)
{
    struct ixhash_probe p;
    uint32_t i = ixhash_first(&r->errors_hash, &p, error_hash(f, index));
    for (; i; i = ixhash_next(&r->errors_hash, &p)) {
        const struct fib_error *x = slab_at(&r->errors, i);
        if (x->key == index && x->family == f)
            return i;
    }
    return 0;
}

static void error_note(struct rib *r, enum family f, uint32_t index, int32_t error)
{
    uint32_t i = error_find(r, f, index), hash = error_hash(f, index);
    if (!i) {
        i = slab_alloc(&r->errors);
        if (!i)
            return; /* rib_fib_error has an answer for that */
        *(struct fib_error *)slab_at(&r->errors, i) =
            (struct fib_error){.key = index, .family = (uint8_t)f, .used = 1};
        if (ixhash_insert(&r->errors_hash, hash, i)) {
            ((struct fib_error *)slab_at(&r->errors, i))->used = 0;
            slab_free(&r->errors, i);
            return;
        }
    }
    ((struct fib_error *)slab_at(&r->errors, i))->error = error;
}

static void error_forget(struct rib *r, enum family f, uint32_t index)
{
    uint32_t i = error_find(r, f, index);
    if (!i)
        return;
    ixhash_remove(&r->errors_hash, error_hash(f, index), i);
    ((struct fib_error *)slab_at(&r->errors, i))->used = 0;
    slab_free(&r->errors, i);
}

int32_t rib_fib_error(const struct rib *r, enum family f, uint32_t index)
{
    if (!rib_entry_used(r, f, index) || table_entry(&r->table[f], index)->fib != FIB_FAILED)
        return 0;
    uint32_t i = error_find(r, f, index);
    return i ? ((const struct fib_error *)slab_at(&r->errors, i))->error : -ENOMEM;
}

static void set_state(struct rib *r, enum family f, uint32_t index, enum fib_state state)
{
    struct rib_entry *e = table_entry(&r->table[f], index);
    if (e->fib == state)
        return;
    if (e->fib == FIB_FAILED)
        error_forget(r, f, index);
    r->table[f].fib[e->fib]--; /* that of FIB_NONE is not read */
    r->table[f].fib[state]++;
    e->fib = (uint8_t)state;
}

/* The hops of one route. One backup is enough: it only has to carry until the RIB has decided anew, and each
 * further one would multiply the groups by the orders that the rest can come in. */
struct hops {
    unsigned n;
    uint32_t backup; /* 0: none */
    bool weighted;   /* each has a bandwidth */
    uint32_t nexthop[FM_GROUP_MEMBERS];
    float bandwidth[FM_GROUP_MEMBERS];
};

/* RFC 7999 section 3.3: where it was agreed on for the session, and for as long a prefix as there is. */
static bool is_blackhole(const struct rib *r, enum family f, const struct rib_entry *e,
                         const struct rib_path *p)
{
    return rib_path_attr(r, p)->flags & ATTR_BLACKHOLE && e->len == family_bits(f) &&
           r->sources[p->peer]->pub.blackhole;
}

/* The next hops of the best and its multipaths; those of IPv4 may be of both families (RFC 8950), and the
 * kernel takes that. Old paths count until they are swept: to leave them out before the next best is chosen
 * would open a gap. */
static void gather_hops(const struct rib *r, enum family f, const struct rib_entry *e, struct hops *h)
{
    h->n = 0;
    h->backup = 0;
    h->weighted = true;
    for (uint32_t i = e->paths; i; i = path_at(r, i)->next) {
        const struct rib_path *p = path_at(r, i);
        if (!(p->flags & (PATH_BEST | PATH_MULTIPATH | PATH_BACKUP)))
            continue;
        const struct attr *a = rib_path_attr(r, p);
        if (p->flags & PATH_BACKUP && !is_blackhole(r, f, e, p))
            h->backup = a->nexthop;
        if (p->flags & PATH_BACKUP || h->n == FM_GROUP_MEMBERS || !nexthop_by_id(r->nexthops, a->nexthop))
            continue;
        h->weighted = h->weighted && a->flags & ATTR_HAS_BANDWIDTH;
        if (h->weighted)
            h->bandwidth[h->n] = attr_bandwidth(a);
        h->nexthop[h->n++] = a->nexthop;
    }
}

/* A next hop that several paths name is one link: the greatest of its bandwidths counts, once. */
static void join_hops(struct hops *h)
{
    unsigned n = 0;
    for (unsigned i = 0; i < h->n; i++) {
        unsigned k = 0;
        while (k < n && h->nexthop[k] != h->nexthop[i])
            k++;
        if (k == n) {
            h->nexthop[n] = h->nexthop[i];
            h->bandwidth[n++] = h->bandwidth[i];
        } else if (h->bandwidth[k] < h->bandwidth[i]) {
            h->bandwidth[k] = h->bandwidth[i];
        }
    }
    h->n = n;
}

/* Weights only where every path has a bandwidth, or those without would have to be guessed. */
static uint32_t get_group(struct rib *r, struct hops *h)
{
    uint8_t weights[FM_GROUP_MEMBERS];
    if (!h->weighted || h->n < 2)
        return nhgroup_get(r->nexthops, h->nexthop, NULL, h->n, h->backup);
    join_hops(h);
    bandwidth_to_weights(h->bandwidth, h->n, weights);
    return nhgroup_get(r->nexthops, h->nexthop, weights, h->n, h->backup);
}
_Static_assert(FM_GROUP_MEMBERS <= ATTR_WEIGHTS_MAX, "bandwidth_to_weights");

int rib_fib_desired(struct rib *r, enum family f, uint32_t index, uint32_t *group)
{
    const struct rib_entry *e = table_entry(&r->table[f], index);
    const struct rib_path *best = rib_best(r, e);
    struct hops hops;
    *group = 0;
    if (!best)
        return 0;
    if (!best->peer)
        return best->kind == ORIGIN_KIND_POD_CIDR ? FM_ROUTE_UNREACHABLE : 0;
    if (is_blackhole(r, f, e, best))
        return FM_ROUTE_BLACKHOLE;
    gather_hops(r, f, e, &hops);
    if (!hops.n)
        return 0;
    *group = get_group(r, &hops);
    return *group ? FM_ROUTE_SET : -ENOMEM;
}

static int told(const struct rib_entry *e)
{
    return e->group                         ? FM_ROUTE_SET
           : e->sources & ENTRY_UNREACHABLE ? FM_ROUTE_UNREACHABLE
           : e->sources & ENTRY_BLACKHOLE   ? FM_ROUTE_BLACKHOLE
                                            : 0;
}

int rib_fib_told(const struct rib *r, enum family f, uint32_t index)
{
    return told(table_entry(&r->table[f], index));
}

bool rib_fib_is_current(const struct rib *r, enum family f, uint32_t index, int op, uint32_t group)
{
    const struct rib_entry *e = table_entry(&r->table[f], index);
    return told(e) == op && e->group == group;
}

void rib_fib_sent(struct rib *r, enum family f, uint32_t index, int op, uint32_t group)
{
    struct rib_entry *e = table_entry(&r->table[f], index);
    uint32_t before = e->group;
    e->group = op == FM_ROUTE_SET ? group : 0;
    e->sources &= (uint8_t) ~(ENTRY_UNREACHABLE | ENTRY_BLACKHOLE);
    if (op == FM_ROUTE_UNREACHABLE)
        e->sources |= ENTRY_UNREACHABLE;
    else if (op == FM_ROUTE_BLACKHOLE)
        e->sources |= ENTRY_BLACKHOLE;
    set_state(r, f, index, FIB_PENDING);
    if (before)
        nhgroup_put(r->nexthops, before);
}

void rib_fib_result(struct rib *r, enum family f, uint32_t index, int op, int32_t error)
{
    if (!rib_entry_used(r, f, index))
        return;
    const struct rib_entry *e = table_entry(&r->table[f], index);
    if (op == FM_ROUTE_DEL || op == FM_ROUTE_DEL_UNREACHABLE)
        op = 0;
    if (e->fib == FIB_NONE || op != told(e))
        return;
    if (!op) { /* whatever the error: the FIB process does not try again */
        set_state(r, f, index, FIB_NONE);
        entry_release(r, f, index);
    } else if (error) {
        set_state(r, f, index, FIB_FAILED);
        error_note(r, f, index, error);
    } else {
        set_state(r, f, index, FIB_INSTALLED);
    }
}
