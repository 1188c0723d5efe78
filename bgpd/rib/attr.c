/* Interned path attributes. A build is laid out in a scratch object in canonical form (community lists sorted
 * and without repeats), so that equal contents are equal bytes: one hash and one memcmp decide. Objects are
 * allocated at their exact size. An open-addressing table of {hash, id} finds them without touching an object
 * that does not match; a vector turns ids into objects and links the free ids through itself, so ids stay
 * dense. The hash is seeded: a peer picks the keys. What attributes mean (preference, export) is not known
 * here. */
#include "rib/attr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/community.h"
#include "rib/nexthop.h"
#include "wire/aspath.h"

struct slot {
    uint32_t hash;
    uint32_t id; /* 0: empty */
};

struct attr_table {
    struct nexthop_table *nexthops;
    struct slot *slots; /* linear probing; a power of two, at most 3/4 full */
    uint32_t n_slots;
    uint32_t count;
    union {
        struct attr *attr;
        uintptr_t free; /* next free id * 2 + 1: odd, which no pointer is */
    } * ids;
    uint32_t n_ids, ids_room, free_id;
    uint32_t seed;
    struct attr *scratch;
    size_t scratch_size;
    uint64_t object_bytes;
};

_Static_assert(offsetof(struct attr, data) == sizeof(struct attr),
               "no padding: objects are compared as bytes");
#define COMPUTED                                                                                             \
    (ATTR_PATH_HAS_CONFED | ATTR_LLGR_STALE | ATTR_GRACEFUL_SHUTDOWN | ATTR_HAS_BANDWIDTH | ATTR_BLACKHOLE)
#define KEY_OFFSET offsetof(struct attr, nexthop) /* what comes before is not part of the contents */

static size_t attr_size(const struct attr *a)
{
    size_t size = sizeof *a;
    for (int i = 0; i < PART_COUNT; i++)
        size += a->part_len[i];
    return size;
}

/* What malloc takes for it on a 64-bit glibc. */
static uint64_t heap_size(size_t size)
{
    return (size + 8 + 15) & ~(size_t)15;
}

struct attr_table *attr_table_new(struct nexthop_table *nexthops)
{
    struct attr_table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->nexthops = nexthops;
    t->n_slots = 64;
    t->n_ids = 1;
    t->ids_room = 64;
    t->slots = calloc(t->n_slots, sizeof *t->slots);
    t->ids = calloc(t->ids_room, sizeof *t->ids);
    if (!t->slots || !t->ids || getrandom(&t->seed, sizeof t->seed, 0) != sizeof t->seed) {
        attr_table_free(t);
        return NULL;
    }
    return t;
}

static bool id_in_use(const struct attr_table *t, uint32_t id)
{
    return id && id < t->n_ids && !(t->ids[id].free & 1);
}

void attr_table_free(struct attr_table *t)
{
    if (!t)
        return;
    for (uint32_t id = 1; id < t->n_ids; id++) {
        if (!id_in_use(t, id))
            continue;
        if (t->ids[id].attr->nexthop)
            nexthop_put(t->nexthops, t->ids[id].attr->nexthop);
        free(t->ids[id].attr);
    }
    free(t->scratch);
    free(t->slots);
    free(t->ids);
    free(t);
}

static int grow_slots(struct attr_table *t)
{
    uint32_t n = t->n_slots * 2, mask = n - 1;
    struct slot *slots = calloc(n, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < t->n_slots; i++) {
        uint32_t at = t->slots[i].hash & mask;
        if (!t->slots[i].id)
            continue;
        while (slots[at].id)
            at = (at + 1) & mask;
        slots[at] = t->slots[i];
    }
    free(t->slots);
    t->slots = slots;
    t->n_slots = n;
    return 0;
}

static int grow_ids(struct attr_table *t)
{
    void *ids = reallocarray(t->ids, t->ids_room * 2, sizeof *t->ids);
    if (!ids)
        return -ENOMEM;
    t->ids = ids;
    t->ids_room *= 2;
    return 0;
}

/* Room for one more, so that nothing can fail after the object is made. */
static int reserve(struct attr_table *t)
{
    int rc = 0;
    if ((uint64_t)(t->count + 1) * 4 > (uint64_t)t->n_slots * 3)
        rc = grow_slots(t);
    if (!rc && !t->free_id && t->n_ids == t->ids_room)
        rc = grow_ids(t);
    return rc;
}

static uint32_t take_id(struct attr_table *t)
{
    uint32_t id = t->free_id;
    if (!id)
        return t->n_ids++;
    t->free_id = (uint32_t)(t->ids[id].free >> 1);
    return id;
}

static const uint8_t part_unit[PART_COUNT] = {[PART_COMMUNITY] = 4, [PART_LARGE] = 12, [PART_EXTENDED] = 8};

static int compare_units(const void *a, const void *b, void *unit)
{
    return memcmp(a, b, *(const uint8_t *)unit);
}

/* Sorts the units at p, drops repeats, returns the new length. Lists are short and mostly sorted already. */
static uint16_t sort_units(uint8_t *p, uint16_t len, uint8_t unit)
{
    bool sorted = true;
    for (unsigned i = unit; i < len && sorted; i += unit)
        sorted = memcmp(p + i - unit, p + i, unit) < 0;
    if (sorted)
        return len;
    qsort_r(p, len / unit, unit, compare_units, (void *)&unit);
    unsigned out = unit;
    for (unsigned i = unit; i < len; i += unit) {
        if (!memcmp(p + out - unit, p + i, unit))
            continue;
        memmove(p + out, p + i, unit);
        out += unit;
    }
    return (uint16_t)out;
}

static void summarize_path(struct attr *a, const uint8_t *path, uint16_t len)
{
    struct wire_reader r = wire_reader(path, len);
    struct as_segment s;
    bool leading = true;
    unsigned n = 0;
    while (aspath_next(&r, &s)) {
        if (segment_is_confed(s.type)) {
            a->flags |= ATTR_PATH_HAS_CONFED;
            continue;
        }
        if (leading && s.type == SEG_SEQUENCE && s.count)
            a->neighbor_as = segment_as(&s, 0);
        leading = false;
        n += s.type == SEG_SET ? 1 : s.count;
    }
    a->path_len = (uint16_t)n;
}

bool attr_has_community(const struct attr *a, uint32_t community)
{
    uint16_t len;
    const uint8_t *p = attr_part(a, PART_COMMUNITY, &len);
    for (; len >= 4; p += 4, len -= 4)
        if (((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]) == community)
            return true;
    return false;
}

/* Lays b out in t->scratch, without the next hop. */
static int lay_out(struct attr_table *t, const struct attr_build *b)
{
    size_t size = sizeof(struct attr);
    for (int i = 0; i < PART_COUNT; i++)
        size += b->part_len[i];
    if (size > t->scratch_size) {
        struct attr *grown = realloc(t->scratch, size * 2);
        if (!grown)
            return -ENOMEM;
        t->scratch = grown;
        t->scratch_size = size * 2;
    }
    struct attr *s = t->scratch;
    *s = (struct attr){
        .med = b->flags & ATTR_HAS_MED ? b->med : 0,
        .local_pref = b->flags & ATTR_HAS_LOCAL_PREF ? b->local_pref : 0,
        .aggregator_as = b->flags & ATTR_HAS_AGGREGATOR ? b->aggregator_as : 0,
        .aggregator_id = b->flags & ATTR_HAS_AGGREGATOR ? b->aggregator_id : 0,
        .originator_id = b->flags & ATTR_HAS_ORIGINATOR ? b->originator_id : 0,
        .origin = b->origin,
        .partial = b->partial,
        .flags = b->flags & (uint16_t)~COMPUTED,
    };
    uint8_t *d = s->data;
    for (int i = 0; i < PART_COUNT; i++) {
        uint16_t len = b->part_len[i];
        if (!len)
            continue;
        memcpy(d, b->part[i], len);
        if (part_unit[i])
            len = sort_units(d, len, part_unit[i]);
        s->part_len[i] = len;
        d += len;
    }
    summarize_path(s, s->data, s->part_len[PART_AS_PATH]);
    if (attr_has_community(s, COMMUNITY_LLGR_STALE))
        s->flags |= ATTR_LLGR_STALE;
    if (attr_has_community(s, COMMUNITY_GRACEFUL_SHUTDOWN))
        s->flags |= ATTR_GRACEFUL_SHUTDOWN;
    if (attr_has_community(s, COMMUNITY_BLACKHOLE))
        s->flags |= ATTR_BLACKHOLE;
    if (s->part_len[PART_EXTENDED] && attr_bandwidth(s) > 0)
        s->flags |= ATTR_HAS_BANDWIDTH;
    return 0;
}

static struct attr *find(const struct attr_table *t, uint32_t hash, size_t size)
{
    uint32_t mask = t->n_slots - 1;
    for (uint32_t at = hash & mask; t->slots[at].id; at = (at + 1) & mask) {
        if (t->slots[at].hash != hash)
            continue;
        struct attr *a = t->ids[t->slots[at].id].attr;
        if (attr_size(a) == size && !memcmp(&a->nexthop, &t->scratch->nexthop, size - KEY_OFFSET))
            return a;
    }
    return NULL;
}

static struct attr *insert(struct attr_table *t, uint32_t hash, size_t size)
{
    if (reserve(t))
        return NULL;
    struct attr *a = malloc(size);
    if (!a)
        return NULL;
    memcpy(a, t->scratch, size);
    a->id = take_id(t);
    a->hash = hash;
    t->ids[a->id].attr = a;
    uint32_t mask = t->n_slots - 1, at = hash & mask;
    while (t->slots[at].id)
        at = (at + 1) & mask;
    t->slots[at] = (struct slot){hash, a->id};
    t->count++;
    t->object_bytes += heap_size(size);
    return a;
}

const struct attr *attr_intern(struct attr_table *t, const struct attr_build *b)
{
    if (lay_out(t, b))
        return NULL;
    struct attr *s = t->scratch;
    if (b->nexthop.af) {
        s->nexthop = nexthop_get(t->nexthops, &b->nexthop, b->nexthop_scope);
        if (!s->nexthop)
            return NULL;
    }
    size_t size = attr_size(s);
    uint32_t hash = hash_bytes(&s->nexthop, size - KEY_OFFSET, t->seed), nexthop = s->nexthop;
    struct attr *a = find(t, hash, size);
    bool fresh = !a;
    if (fresh)
        a = insert(t, hash, size);
    if (a)
        a->refs++;
    if (nexthop && !(a && fresh)) /* an object that was there has its own reference */
        nexthop_put(t->nexthops, nexthop);
    return a;
}

const struct attr *attr_ref(const struct attr *a)
{
    ((struct attr *)a)->refs++; /* const to all others: only the count may change */
    return a;
}

/* Closes the gap, moving up what a probe would no longer reach. */
static void remove_slot(struct attr_table *t, const struct attr *a)
{
    uint32_t mask = t->n_slots - 1, gap = a->hash & mask;
    while (t->slots[gap].id != a->id)
        gap = (gap + 1) & mask;
    for (uint32_t at = (gap + 1) & mask; t->slots[at].id; at = (at + 1) & mask) {
        uint32_t home = t->slots[at].hash & mask;
        if (((at - home) & mask) < ((at - gap) & mask))
            continue;
        t->slots[gap] = t->slots[at];
        gap = at;
    }
    t->slots[gap] = (struct slot){0};
}

void attr_unref(struct attr_table *t, const struct attr *a)
{
    struct attr *m = (struct attr *)a;
    if (!m || --m->refs)
        return;
    remove_slot(t, m);
    t->ids[m->id].free = (uintptr_t)t->free_id << 1 | 1;
    t->free_id = m->id;
    t->count--;
    t->object_bytes -= heap_size(attr_size(m));
    if (m->nexthop)
        nexthop_put(t->nexthops, m->nexthop);
    free(m);
}

const struct attr *attr_by_id(const struct attr_table *t, uint32_t id)
{
    return id_in_use(t, id) ? t->ids[id].attr : NULL;
}

void attr_to_build(const struct attr_table *t, const struct attr *a, struct attr_build *out)
{
    *out = (struct attr_build){
        .med = a->med,
        .local_pref = a->local_pref,
        .aggregator_as = a->aggregator_as,
        .aggregator_id = a->aggregator_id,
        .originator_id = a->originator_id,
        .origin = a->origin,
        .partial = a->partial,
        .flags = a->flags,
    };
    const struct nexthop *nh = a->nexthop ? nexthop_by_id(t->nexthops, a->nexthop) : NULL;
    if (nh) {
        out->nexthop = nh->addr;
        out->nexthop_scope = nh->scope;
    }
    const uint8_t *d = a->data;
    for (int i = 0; i < PART_COUNT; i++) {
        out->part[i] = d;
        out->part_len[i] = a->part_len[i];
        d += a->part_len[i];
    }
}

unsigned attr_path_count_as(const struct attr *a, uint32_t asn)
{
    struct wire_reader r = wire_reader(a->data, a->part_len[PART_AS_PATH]);
    struct as_segment s;
    unsigned n = 0;
    while (aspath_next(&r, &s))
        for (unsigned i = 0; i < s.count; i++)
            n += segment_as(&s, i) == asn;
    return n;
}

uint32_t attr_table_count(const struct attr_table *t)
{
    return t->count;
}

uint64_t attr_table_memory(const struct attr_table *t)
{
    return sizeof *t + (uint64_t)t->n_slots * sizeof *t->slots + (uint64_t)t->ids_room * sizeof *t->ids +
           t->scratch_size + t->object_bytes;
}
