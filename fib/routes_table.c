/* Storage of the parent's routes: dense records addressed by a 32-bit index, and a hash from prefix and kind
 * to the index.
 *
 * The parent must know every route of ours to tell a replace from an add and ours from foreign, so at a
 * million routes this is most of its memory. Hence packed records, four bytes of index a slot at up to 7/8
 * load, nothing else; and both arrays are given back when the last route goes.
 *
 * At such a load the records must not be looked at to see that they are others. A slot therefore says how far
 * its route is from its home slot, and along a run the homes only rise (Robin Hood hashing): a lookup looks
 * at records of its own home only, gives up where those end, and a removal closes the gap without a record.
 *
 * The hash is seeded, as peers choose the prefixes.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fib/routes_internal.h"

#define FIRST_CAPACITY 64u
#define INDEX_BITS     24
#define MAX_ROUTES     (1u << INDEX_BITS) /* a family: a speaker gone mad does not eat the node */
#define FAR            (1u << INDEX_BITS) /* one slot farther from home */
#define FAR_MAX        255u
#define AHEAD          16 /* records: what it takes to fetch a slot from memory */

static uint32_t slot_index(uint32_t slot)
{
    return slot & (FAR - 1);
}

static uint32_t slot_far(uint32_t slot)
{
    return slot >> INDEX_BITS;
}

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

/* A hash of 32 bits scaled to a size that need not be a power of two: the index grows by half, so that at no
 * size it is much larger than it must be. */
static uint32_t home_of(const struct route_table *t, const uint8_t *addr, uint8_t len, bool unreachable)
{
    uint32_t hash = hash_bytes(addr, family_bytes(t->family), t->seed ^ (len | (unreachable ? 0x100u : 0)));
    return (uint32_t)((uint64_t)hash * t->n_slots >> 32);
}

static uint32_t home_of_route(const struct route_table *t, const struct route *e)
{
    return home_of(t, e->addr, e->len, e->flags & RF_UNREACHABLE);
}

static uint32_t next_slot(const struct route_table *t, uint32_t s)
{
    return s + 1 == t->n_slots ? 0 : s + 1;
}

static bool matches(const struct route_table *t, const struct route *e, const uint8_t *addr, uint8_t len,
                    bool unreachable)
{
    return e->len == len && !(e->flags & RF_UNREACHABLE) == !unreachable &&
           !memcmp(e->addr, addr, family_bytes(t->family));
}

static uint32_t find(const struct route_table *t, uint32_t home, const uint8_t *addr, uint8_t len,
                     bool unreachable)
{
    for (uint32_t s = home, far = 0; t->slots[s] && slot_far(t->slots[s]) >= far;
         s = next_slot(t, s), far++) {
        uint32_t i = slot_index(t->slots[s]);
        if (slot_far(t->slots[s]) == far && matches(t, route_at(t, i), addr, len, unreachable))
            return i;
    }
    return 0;
}

uint32_t route_table_find(const struct route_table *t, const uint8_t *addr, uint8_t len, bool unreachable)
{
    return t->used ? find(t, home_of(t, addr, len, unreachable), addr, len, unreachable) : 0;
}

void route_table_prefetch(const struct route_table *t, const uint8_t *addr, uint8_t len, bool unreachable)
{
    if (t->used)
        __builtin_prefetch(&t->slots[home_of(t, addr, len, unreachable)], 1);
}

/* Puts index i behind those of its home or an earlier one; what follows moves on by one. False: something
 * would be too far from home. */
static bool link_index(struct route_table *t, uint32_t home, uint32_t i)
{
    uint32_t s = home, far = 0, end;

    for (; t->slots[s] && slot_far(t->slots[s]) >= far; s = next_slot(t, s))
        far++;
    if (far > FAR_MAX)
        return false;
    for (end = s; t->slots[end]; end = next_slot(t, end))
        if (slot_far(t->slots[end]) == FAR_MAX)
            return false;
    uint32_t put = far * FAR | i;
    for (; t->slots[s]; s = next_slot(t, s)) {
        uint32_t moved = t->slots[s] + FAR;
        t->slots[s] = put;
        put = moved;
    }
    t->slots[s] = put;
    return true;
}

static bool link_all(struct route_table *t)
{
    uint32_t homes[AHEAD]; /* of the next ones, on their way from memory */

    for (uint32_t i = 1; i < t->n + AHEAD; i++) {
        uint32_t k = i % AHEAD;
        if (i > AHEAD && route_at(t, i - AHEAD)->flags & RF_USED && !link_index(t, homes[k], i - AHEAD))
            return false;
        if (i >= t->n)
            continue;
        homes[k] = home_of_route(t, route_at(t, i));
        __builtin_prefetch(&t->slots[homes[k]], 1);
    }
    return true;
}

static bool grow_index(struct route_table *t)
{
    uint32_t *old = t->slots, old_n = t->n_slots;

    for (uint32_t n = old_n ? old_n + old_n / 2 : FIRST_CAPACITY; n < 4 * MAX_ROUTES; n += n / 2) {
        t->slots = calloc(n, sizeof *t->slots);
        if (!t->slots)
            break;
        t->n_slots = n;
        if (link_all(t)) {
            free(old);
            return true;
        }
        free(t->slots);
    }
    t->slots = old;
    t->n_slots = old_n;
    return false;
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
    if ((t->used + 1) * 8ull > t->n_slots * 7ull && !grow_index(t))
        return 0;
    uint32_t home = home_of(t, addr, len, unreachable), i = find(t, home, addr, len, unreachable);
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
    memset(e, 0, t->record);
    e->flags = RF_USED | (unreachable ? RF_UNREACHABLE : 0);
    e->len = len;
    memcpy(e->addr, addr, family_bytes(t->family));
    if (!link_index(t, home, i) && !grow_index(t)) {
        free_record(t, i);
        return 0;
    }
    t->used++;
    return i;
}

static void unlink_index(struct route_table *t, uint32_t i)
{
    uint32_t s = home_of_route(t, route_at(t, i)), next;

    while (slot_index(t->slots[s]) != i)
        s = next_slot(t, s);
    while (next = next_slot(t, s), slot_far(t->slots[next])) {
        t->slots[s] = t->slots[next] - FAR;
        s = next;
    }
    t->slots[s] = 0;
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
    return (uint64_t)t->capacity * t->record + (uint64_t)t->n_slots * sizeof *t->slots;
}
