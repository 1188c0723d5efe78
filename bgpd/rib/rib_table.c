/* Prefix to index: the entries of one family in a slab, found through a hash of bytes that lie in the entry
 * itself.
 *
 * An exact-match hash and no trie, because BGP never asks for a longest match: the kernel does, and `show`
 * for one address can afford to probe every length. Memory decides at a million routes: 16 bytes an entry and
 * 5 bytes a slot.
 *
 * The hash is seeded, as peers choose the prefixes. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "rib/rib_int.h"

static uint64_t mix(uint64_t x, uint64_t seed)
{
    x ^= seed;
    x *= 0x9fb21c651e98df25u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

static uint32_t hash_address(const struct rib_table *t, const uint8_t *addr, uint8_t len)
{
    if (t->family == FAM_IPV4) {
        uint32_t a;
        memcpy(&a, addr, sizeof a);
        return (uint32_t)mix((uint64_t)a << 8 | len, t->seed[0]);
    }
    uint64_t hi, lo;
    memcpy(&hi, addr, sizeof hi);
    memcpy(&lo, addr + sizeof hi, sizeof lo);
    return (uint32_t)mix(mix(hi, t->seed[0]) + lo + len, t->seed[1]);
}

static bool entry_hash_of(const void *arg, uint32_t index, uint32_t *hash)
{
    const struct rib_table *t = arg;
    const struct rib_entry *e = table_entry(t, index);
    if (!(e->sources & ENTRY_USED))
        return false;
    *hash = hash_address(t, e->addr, e->len);
    return true;
}

int table_init(struct rib_table *t, enum family f)
{
    t->family = f;
    slab_init(&t->entries, (uint32_t)(offsetof(struct rib_entry, addr) + family_bytes(f)));
    ixhash_init(&t->hash, entry_hash_of, t);
    return getrandom(t->seed, sizeof t->seed, 0) == sizeof t->seed ? 0 : -EIO;
}

void table_reset(struct rib_table *t)
{
    slab_reset(&t->entries);
    ixhash_reset(&t->hash);
    dirty_reset(&t->originated);
}

uint32_t table_find(const struct rib_table *t, const struct prefix *p)
{
    struct ixhash_probe probe;
    uint32_t index = ixhash_first(&t->hash, &probe, hash_address(t, p->addr.b, p->len));
    for (; index; index = ixhash_next(&t->hash, &probe)) {
        const struct rib_entry *e = table_entry(t, index);
        if (e->len == p->len && !memcmp(e->addr, p->addr.b, family_bytes(t->family)))
            return index;
    }
    return 0;
}

/* Twice over the prefixes: the slots of the first are here when the last has asked for its own. */
void rib_prefetch(const struct rib *r, enum family f, const struct prefix *p, unsigned n)
{
    const struct rib_table *t = &r->table[f];
    uint32_t hash[RIB_PREFETCH];

    for (unsigned i = 0; i < n; i++) {
        hash[i] = hash_address(t, p[i].addr.b, p[i].len);
        ixhash_prefetch(&t->hash, hash[i]);
    }
    for (unsigned i = 0; i < n; i++) {
        struct ixhash_probe probe;
        uint32_t index = ixhash_first(&t->hash, &probe, hash[i]);
        if (index)
            __builtin_prefetch(table_entry(t, index), 1);
    }
}

uint32_t table_insert(struct rib_table *t, const struct prefix *p)
{
    uint32_t index = slab_alloc(&t->entries);
    if (!index)
        return 0;
    struct rib_entry *e = table_entry(t, index);
    e->len = p->len;
    e->sources = ENTRY_USED;
    memcpy(e->addr, p->addr.b, family_bytes(t->family));
    if (ixhash_insert(&t->hash, hash_address(t, e->addr, e->len), index)) {
        e->sources = 0;
        slab_free(&t->entries, index);
        return 0;
    }
    return index;
}

void table_remove(struct rib_table *t, uint32_t index)
{
    struct rib_entry *e = table_entry(t, index);
    ixhash_remove(&t->hash, hash_address(t, e->addr, e->len), index);
    e->sources = 0;
    slab_free(&t->entries, index);
}

uint32_t rib_find(const struct rib *r, enum family f, const struct prefix *p)
{
    return table_find(&r->table[f], p);
}

uint32_t rib_limit(const struct rib *r, enum family f)
{
    return r->table[f].entries.next;
}

bool rib_entry_used(const struct rib *r, enum family f, uint32_t index)
{
    return index && index < rib_limit(r, f) && table_entry(&r->table[f], index)->sources & ENTRY_USED;
}

struct rib_entry *rib_entry(const struct rib *r, enum family f, uint32_t index)
{
    return table_entry(&r->table[f], index);
}

void rib_entry_prefix(const struct rib *r, enum family f, const struct rib_entry *e, struct prefix *out)
{
    (void)r;
    memset(out, 0, sizeof *out);
    out->addr.af = family_to_af(f);
    out->len = e->len;
    memcpy(out->addr.b, e->addr, family_bytes(f));
}

uint32_t rib_match(const struct rib *r, enum family f, const struct ip_addr *a)
{
    for (int len = (int)family_bits(f); len >= 0; len--) {
        struct prefix p = prefix_make(a, (uint8_t)len);
        uint32_t index = table_find(&r->table[f], &p);
        if (index && table_entry(&r->table[f], index)->paths)
            return index;
    }
    return 0;
}

const struct rib_path *rib_path(const struct rib *r, uint32_t path)
{
    return path_at(r, path);
}

const struct rib_path *rib_best(const struct rib *r, const struct rib_entry *e)
{
    if (!e->paths)
        return NULL;
    const struct rib_path *p = path_at(r, e->paths);
    return p->flags & PATH_BEST ? p : NULL;
}

const struct attr *rib_path_attr(const struct rib *r, const struct rib_path *p)
{
    return attr_by_id(r->attrs, p->attr);
}

struct attr_table *rib_attrs(const struct rib *r)
{
    return r->attrs;
}

struct nexthop_table *rib_nexthops(const struct rib *r)
{
    return r->nexthops;
}
