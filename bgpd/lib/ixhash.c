/* Open addressing with linear probing over a byte of hash per slot: a probe reads one cache line of tags, and
 * a record only when its tag fits. Removal leaves a mark unless the next slot is empty anyway.
 *
 * A table that has become too full (or too empty) is not rehashed at one go: the new one stands beside the
 * old one and a few records move with each call. They are moved in the order of their indices, not of their
 * slots, because the records then lie one after the other in memory. What has moved stays in the old table
 * too, until all of it is dropped; so a lookup may meet an index twice, and a removal looks in both.
 *
 * It is not a map: it has no keys, no values and no iteration. */
#include "lib/ixhash.h"

#include <errno.h>
#include <stdlib.h>

#define MIN_SIZE 16
#define STEP     32 /* records moved by one insertion or removal */

void ixhash_init(struct ixhash *h, bool (*hash_of)(const void *arg, uint32_t index, uint32_t *hash),
                 const void *arg)
{
    *h = (struct ixhash){.hash_of = hash_of, .arg = arg};
}

static void part_free(struct ixhash_part *t)
{
    free(t->tags);
    free(t->slots);
    *t = (struct ixhash_part){0};
}

void ixhash_reset(struct ixhash *h)
{
    part_free(&h->now);
    part_free(&h->old);
    ixhash_init(h, h->hash_of, h->arg);
}

static int part_alloc(struct ixhash_part *t, uint32_t size)
{
    *t =
        (struct ixhash_part){.size = size, .tags = calloc(size, 1), .slots = malloc(size * sizeof *t->slots)};
    if (t->tags && t->slots)
        return 0;
    part_free(t);
    return -ENOMEM;
}

static void part_put(struct ixhash_part *t, uint32_t hash, uint32_t index)
{
    uint32_t mask = t->size - 1, pos = hash & mask;
    while (t->tags[pos] > IXHASH_GONE)
        pos = (pos + 1) & mask;
    t->used += t->tags[pos] == IXHASH_EMPTY;
    t->tags[pos] = ixhash_tag(hash);
    t->slots[pos] = index;
}

/* The slot that holds index, or size. */
static uint32_t part_slot(const struct ixhash_part *t, uint32_t hash, uint32_t index)
{
    if (!t->size)
        return 0;
    uint32_t mask = t->size - 1, pos = hash & mask;
    uint8_t tag = ixhash_tag(hash);
    for (; t->tags[pos] != IXHASH_EMPTY; pos = (pos + 1) & mask)
        if (t->tags[pos] == tag && t->slots[pos] == index)
            return pos;
    return t->size;
}

static void part_drop(struct ixhash_part *t, uint32_t hash, uint32_t index)
{
    uint32_t pos = part_slot(t, hash, index), mask = t->size - 1;
    if (pos == t->size)
        return;
    t->tags[pos] = IXHASH_GONE;
    /* A mark before an empty slot keeps no probe going. */
    if (t->tags[(pos + 1) & mask] != IXHASH_EMPTY)
        return;
    for (; t->tags[pos] == IXHASH_GONE; pos = (pos - 1) & mask) {
        t->tags[pos] = IXHASH_EMPTY;
        t->used--;
    }
}

static void move_some(struct ixhash *h, uint32_t n)
{
    if (!h->old.size)
        return;
    for (; n && h->moved <= h->old_top; h->moved++, n--) {
        uint32_t hash;
        if (h->hash_of(h->arg, h->moved, &hash) && part_slot(&h->now, hash, h->moved) == h->now.size)
            part_put(&h->now, hash, h->moved);
    }
    if (h->moved > h->old_top)
        part_free(&h->old);
}

/* Asked to grow again before it has finished growing: only when most indices are unused. All at once, then.
 */
static void move_all(struct ixhash *h, struct ixhash_part fresh)
{
    for (uint32_t i = 1; i <= h->top; i++) {
        uint32_t hash;
        if (h->hash_of(h->arg, i, &hash))
            part_put(&fresh, hash, i);
    }
    part_free(&h->now);
    part_free(&h->old);
    h->now = fresh;
}

static int rebuild(struct ixhash *h)
{
    struct ixhash_part fresh;
    uint32_t size = MIN_SIZE;
    while (size < UINT32_MAX / 2 + 1 && (uint64_t)size * 7 < (uint64_t)(h->count + 1) * 10)
        size *= 2;
    if (part_alloc(&fresh, size))
        return -ENOMEM;
    if (h->old.size) {
        move_all(h, fresh);
        return 0;
    }
    h->old = h->now;
    h->now = fresh;
    h->moved = 1;
    h->old_top = h->top;
    if (!h->count)
        part_free(&h->old);
    return 0;
}

int ixhash_insert(struct ixhash *h, uint32_t hash, uint32_t index)
{
    bool there = false;
    if ((uint64_t)(h->now.used + 1) * 8 > (uint64_t)h->now.size * 7) {
        /* Without memory a table that is not growing can be filled to the last but one slot. */
        if (rebuild(h) && (h->old.size || h->now.used + 2 > h->now.size))
            return -ENOMEM;
        there = part_slot(&h->now, hash, index) != h->now.size;
    }
    if (!there)
        part_put(&h->now, hash, index);
    h->count++;
    if (index > h->top)
        h->top = index;
    move_some(h, STEP);
    return 0;
}

void ixhash_remove(struct ixhash *h, uint32_t hash, uint32_t index)
{
    if (part_slot(&h->now, hash, index) == h->now.size && part_slot(&h->old, hash, index) == h->old.size)
        return;
    move_some(h, STEP); /* before it goes: the record looks in use until the owner frees it */
    part_drop(&h->now, hash, index);
    part_drop(&h->old, hash, index);
    h->count--;
    if (!h->old.size && h->now.size > 64 * MIN_SIZE && h->count < h->now.size / 8)
        (void)rebuild(h); /* without memory the large one serves as well */
}

uint64_t ixhash_memory(const struct ixhash *h)
{
    return ((uint64_t)h->now.size + h->old.size) * (sizeof *h->now.tags + sizeof *h->now.slots);
}
