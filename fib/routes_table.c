/* Storage of the parent's routes: dense records addressed by a 32-bit index, and a hash from prefix and kind
 * to the index.
 *
 * The parent must know every route of ours to tell a replace from an add and ours from foreign, so at a
 * million routes this is most of its memory. Hence packed records, four bytes of index a slot at up to 7/8
 * load, nothing else; and both arrays are given back when the last route goes.
 */
#include <stdlib.h>
#include <string.h>

#include "fib/routes_internal.h"

#define FIRST_CAPACITY 64u
#define MAX_ROUTES     (1u << 24) /* a family: a speaker gone mad does not eat the node */

void route_table_init(struct route_table *t, enum family f)
{
    *t = (struct route_table){.family = f, .n = 1};
    t->record = (uint32_t)(sizeof(struct route) + family_bytes(f));
}

void route_table_reset(struct route_table *t)
{
    free(t->records);
    free(t->index);
    route_table_init(t, t->family);
}

/* A hash of 32 bits scaled to a size that need not be a power of two: the index grows by half, so that at no
 * size it is much larger than it must be. */
static uint32_t slot_of(const struct route_table *t, const uint8_t *addr, uint8_t len, bool unreachable)
{
    uint32_t hash = hash_bytes(addr, family_bytes(t->family), len | (unreachable ? 0x100u : 0));
    return (uint32_t)((uint64_t)hash * t->index_size >> 32);
}

static uint32_t next_slot(const struct route_table *t, uint32_t s)
{
    return s + 1 == t->index_size ? 0 : s + 1;
}

/* Steps from one slot on to another, round the end. */
static uint32_t distance(const struct route_table *t, uint32_t from, uint32_t to)
{
    return to >= from ? to - from : to + t->index_size - from;
}

static bool matches(const struct route_table *t, const struct route *e, const uint8_t *addr, uint8_t len,
                    bool unreachable)
{
    return e->len == len && !(e->flags & RF_UNREACHABLE) == !unreachable &&
           !memcmp(e->addr, addr, family_bytes(t->family));
}

uint32_t route_table_find(const struct route_table *t, const uint8_t *addr, uint8_t len, bool unreachable)
{
    if (!t->used)
        return 0;
    for (uint32_t s = slot_of(t, addr, len, unreachable); t->index[s]; s = next_slot(t, s))
        if (matches(t, route_at(t, t->index[s]), addr, len, unreachable))
            return t->index[s];
    return 0;
}

static uint32_t home_of(const struct route_table *t, uint32_t i)
{
    const struct route *e = route_at(t, i);
    return slot_of(t, e->addr, e->len, e->flags & RF_UNREACHABLE);
}

static void link_index(struct route_table *t, uint32_t i)
{
    uint32_t s = home_of(t, i);

    while (t->index[s])
        s = next_slot(t, s);
    t->index[s] = i;
}

static bool grow_index(struct route_table *t)
{
    uint32_t size = t->index_size ? t->index_size + t->index_size / 2 : FIRST_CAPACITY;
    uint32_t *fresh = calloc(size, sizeof *fresh);

    if (!fresh)
        return false;
    free(t->index);
    t->index = fresh;
    t->index_size = size;
    for (uint32_t i = 1; i < t->n; i++)
        if (route_at(t, i)->flags & RF_USED)
            link_index(t, i);
    return true;
}

static bool grow_records(struct route_table *t)
{
    uint32_t capacity = t->capacity ? t->capacity + t->capacity / 4 : FIRST_CAPACITY;
    uint8_t *grown = capacity > MAX_ROUTES ? NULL : realloc(t->records, (size_t)capacity * t->record);

    if (!grown)
        return false;
    t->records = grown;
    t->capacity = capacity;
    return true;
}

uint32_t route_table_get(struct route_table *t, const uint8_t *addr, uint8_t len, bool unreachable)
{
    uint32_t i = route_table_find(t, addr, len, unreachable);

    if (i)
        return i;
    if ((t->used + 1) * 8ull > t->index_size * 7ull && !grow_index(t))
        return 0;
    if (!t->free && t->n >= t->capacity && !grow_records(t))
        return 0;
    i = t->free;
    if (i)
        t->free = route_at(t, i)->cookie;
    else
        i = t->n++;
    struct route *e = route_at(t, i);
    memset(e, 0, t->record);
    e->flags = RF_USED | (unreachable ? RF_UNREACHABLE : 0);
    e->len = len;
    memcpy(e->addr, addr, family_bytes(t->family));
    t->used++;
    link_index(t, i);
    return i;
}

/* Backward shift: what follows in the run moves up when its home allows, so no tombstones are needed. */
static void unlink_index(struct route_table *t, uint32_t i)
{
    uint32_t hole = home_of(t, i);

    while (t->index[hole] != i)
        hole = next_slot(t, hole);
    for (uint32_t s = next_slot(t, hole); t->index[s]; s = next_slot(t, s)) {
        uint32_t home = home_of(t, t->index[s]);
        if (distance(t, home, s) >= distance(t, hole, s)) {
            t->index[hole] = t->index[s];
            hole = s;
        }
    }
    t->index[hole] = 0;
}

void route_table_remove(struct route_table *t, uint32_t i)
{
    struct route *e = route_at(t, i);

    unlink_index(t, i);
    e->flags = 0;
    e->cookie = t->free;
    t->free = i;
    if (!--t->used)
        route_table_reset(t);
}

uint64_t route_table_memory(const struct route_table *t)
{
    return (uint64_t)t->capacity * t->record + (uint64_t)t->index_size * sizeof *t->index;
}
