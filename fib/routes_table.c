/* Storage of the parent's routes: dense records addressed by a 32-bit index, and a hash from prefix and kind
 * to the index.
 *
 * The parent must know every route of ours to tell a replace from an add and ours from foreign, so at a
 * million routes this is most of its memory. Hence packed records, eight bytes of index a slot at up to 7/8
 * load, nothing else; and both arrays are given back when the last route goes.
 *
 * A million records are in no cache, so they must not be looked at to see that they are others. A slot has
 * the whole hash beside the index, and the slots are in the order of the hashes: each is at its home, which
 * is its hash scaled to the size, or behind it where that was taken. So a lookup ends where greater hashes
 * begin, a removal closes the gap, and the index grows by copying from one end to the other, all without a
 * record.
 *
 * The hash is seeded, as peers choose the prefixes.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fib/routes_internal.h"

#define FIRST_CAPACITY 64u
#define MAX_ROUTES     (1u << 24) /* a family: a speaker gone mad does not eat the node */
#define BEYOND         256u       /* slots behind the last home; the very last one stays empty */

void route_table_init(struct route_table *t, enum family f)
{
    *t = (struct route_table){.family = f, .n = 1};
    t->record = (uint32_t)(sizeof(struct route) + family_bytes(f));
    if (getrandom(&t->seed, sizeof t->seed, GRND_NONBLOCK) < 0)
        t->seed = (uint32_t)loop_now_us();
}

void route_table_reset(struct route_table *t)
{
    free(t->records);
    free(t->slots);
    route_table_init(t, t->family);
}

static uint32_t hash_of(const struct route_table *t, const uint8_t *addr, uint8_t len, bool unreachable)
{
    return hash_bytes(addr, family_bytes(t->family), t->seed ^ (len | (unreachable ? 0x100u : 0)));
}

/* Scaled to a number of homes that need not be a power of two: the index grows by a quarter, so that at no
 * size it is much larger than it must be. */
static uint32_t home_of(const struct route_table *t, uint32_t hash)
{
    return (uint32_t)((uint64_t)hash * t->homes >> 32);
}

/* Where the slots with this hash are, or would be. */
static uint32_t lower_bound(const struct route_table *t, uint32_t hash)
{
    uint32_t s = home_of(t, hash);

    while (t->slots[s].index && t->slots[s].hash < hash)
        s++;
    return s;
}

static bool matches(const struct route_table *t, const struct route *e, const uint8_t *addr, uint8_t len,
                    bool unreachable)
{
    return e->len == len && !(e->flags & RF_UNREACHABLE) == !unreachable &&
           !memcmp(e->addr, addr, family_bytes(t->family));
}

static uint32_t find(const struct route_table *t, uint32_t hash, const uint8_t *addr, uint8_t len,
                     bool unreachable)
{
    for (uint32_t s = lower_bound(t, hash); t->slots[s].index && t->slots[s].hash == hash; s++)
        if (matches(t, route_at(t, t->slots[s].index), addr, len, unreachable))
            return t->slots[s].index;
    return 0;
}

uint32_t route_table_find(const struct route_table *t, const uint8_t *addr, uint8_t len, bool unreachable)
{
    return t->used ? find(t, hash_of(t, addr, len, unreachable), addr, len, unreachable) : 0;
}

void route_table_prefetch(const struct route_table *t, const uint8_t *addr, uint8_t len, bool unreachable)
{
    if (t->used)
        __builtin_prefetch(&t->slots[home_of(t, hash_of(t, addr, len, unreachable))], 1);
}

void route_table_prefetch_route(const struct route_table *t, const uint8_t *addr, uint8_t len,
                                bool unreachable)
{
    if (!t->used)
        return;
    uint32_t hash = hash_of(t, addr, len, unreachable), s = lower_bound(t, hash);
    if (t->slots[s].hash == hash)
        __builtin_prefetch(route_at(t, t->slots[s].index), 1);
}

/* False: there is no room behind the last home. */
static bool link_index(struct route_table *t, uint32_t hash, uint32_t i)
{
    uint32_t s = lower_bound(t, hash), end = s;

    while (t->slots[end].index)
        end++;
    if (end + 1 == t->size)
        return false;
    memmove(&t->slots[s + 1], &t->slots[s], (end - s) * sizeof *t->slots);
    t->slots[s] = (struct route_slot){.hash = hash, .index = i};
    return true;
}

/* Whether what is linked finds room with so many homes. */
static bool fits(const struct route_table *t, uint32_t homes)
{
    uint64_t next = 0;

    for (uint32_t s = 0; s < t->size; s++) {
        if (!t->slots[s].index)
            continue;
        uint64_t home = (uint64_t)t->slots[s].hash * homes >> 32;
        next = (home > next ? home : next) + 1;
    }
    return next < homes + BEYOND;
}

/* In place: all go to the end, and in order from there to their new places, which are never farther. So the
 * index is not twice in memory, and only what is new of it is touched for the first time. */
static bool grow_index(struct route_table *t)
{
    uint32_t homes = t->homes ? t->homes + t->homes / 4 : FIRST_CAPACITY;

    while (!fits(t, homes))
        homes += homes / 4;
    uint32_t size = homes + BEYOND, from = size, to = 0;
    struct route_slot *slots = homes < 4 * MAX_ROUTES ? realloc(t->slots, size * sizeof *slots) : NULL;
    if (!slots)
        return false;
    for (uint32_t s = t->size; s-- > 0;)
        if (slots[s].index)
            slots[--from] = slots[s];
    t->slots = slots;
    t->size = size;
    t->homes = homes;
    memset(slots, 0, from * sizeof *slots);
    for (; from < size; from++, to++) {
        struct route_slot slot = slots[from];
        slots[from].index = 0;
        uint32_t home = home_of(t, slot.hash);
        to = home > to ? home : to;
        slots[to] = slot;
    }
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

static void free_record(struct route_table *t, uint32_t i)
{
    struct route *e = route_at(t, i);

    e->flags = 0;
    e->cookie = t->free;
    t->free = i;
}

uint32_t route_table_get(struct route_table *t, const uint8_t *addr, uint8_t len, bool unreachable)
{
    if ((t->used + 1) * 8ull > t->homes * 7ull && !grow_index(t))
        return 0;
    uint32_t hash = hash_of(t, addr, len, unreachable), i = find(t, hash, addr, len, unreachable);
    if (i)
        return i;
    if (!t->free && t->n >= t->capacity && !grow_records(t))
        return 0;
    i = t->free;
    if (i)
        t->free = route_at(t, i)->cookie;
    else
        i = t->n++;
    struct route *e = route_at(t, i);
    *e = (struct route){.flags = RF_USED | (unreachable ? RF_UNREACHABLE : 0), .len = len};
    memcpy(e->addr, addr, family_bytes(t->family));
    while (!link_index(t, hash, i))
        if (!grow_index(t)) {
            free_record(t, i);
            return 0;
        }
    t->used++;
    return i;
}

static void unlink_index(struct route_table *t, uint32_t i)
{
    const struct route *e = route_at(t, i);
    uint32_t s = lower_bound(t, hash_of(t, e->addr, e->len, e->flags & RF_UNREACHABLE));

    while (t->slots[s].index != i)
        s++;
    uint32_t end = s + 1;
    while (t->slots[end].index && home_of(t, t->slots[end].hash) < end)
        end++;
    memmove(&t->slots[s], &t->slots[s + 1], (end - s - 1) * sizeof *t->slots);
    t->slots[end - 1] = (struct route_slot){0};
}

void route_table_remove(struct route_table *t, uint32_t i)
{
    unlink_index(t, i);
    free_record(t, i);
    if (!--t->used)
        route_table_reset(t);
}

uint64_t route_table_memory(const struct route_table *t)
{
    return (uint64_t)t->capacity * t->record + (uint64_t)t->size * sizeof *t->slots;
}
