/* A hash from keys that live elsewhere to dense 32-bit indices: five bytes a slot, a tag and the index. The
 * owner keeps the records, hashes the keys and compares the candidates; 0 is not an index. Grows and shrinks
 * a little with each insertion and removal, so that no single call walks the table. Not thread safe. */
#ifndef UNDERLAY_IXHASH_H
#define UNDERLAY_IXHASH_H

#include <stdbool.h>
#include <stdint.h>

struct ixhash_part {
    uint8_t *tags; /* IXHASH_EMPTY, IXHASH_GONE, or 8 bits of the hash */
    uint32_t *slots;
    uint32_t size; /* a power of two, 0: none */
    uint32_t used; /* slots that are not empty */
};

struct ixhash {
    struct ixhash_part now, old; /* old: what the table is growing out of */
    uint32_t count;
    uint32_t top;     /* highest index ever inserted */
    uint32_t moved;   /* indices below are in `now` already */
    uint32_t old_top; /* indices above were never in `old` */
    /* The hash of a record, false when the index is not in use. Borrowed. */
    bool (*hash_of)(const void *arg, uint32_t index, uint32_t *hash);
    const void *arg;
};

enum { IXHASH_EMPTY = 0, IXHASH_GONE = 1 };

void ixhash_init(struct ixhash *h, bool (*hash_of)(const void *arg, uint32_t index, uint32_t *hash),
                 const void *arg);
void ixhash_reset(struct ixhash *h); /* frees */
/* The key must not be there yet. 0 or -ENOMEM. */
int ixhash_insert(struct ixhash *h, uint32_t hash, uint32_t index);
/* While the record still exists. Not there: no-op. */
void ixhash_remove(struct ixhash *h, uint32_t hash, uint32_t index);
uint64_t ixhash_memory(const struct ixhash *h);

/* Fetches the memory that a lookup of hash will want. */
static inline void ixhash_prefetch(const struct ixhash *h, uint32_t hash)
{
    for (const struct ixhash_part *t = &h->now; t->size; t = &h->old) {
        __builtin_prefetch(&t->tags[hash & (t->size - 1)], 1);
        __builtin_prefetch(&t->slots[hash & (t->size - 1)], 1);
        if (t == &h->old)
            break;
    }
}

/* Candidates for a hash, in no order, perhaps one twice: for (i = ixhash_first(h, &p, hash); i; i =
 * ixhash_next(h, &p)). */
struct ixhash_probe {
    const struct ixhash_part *part;
    uint32_t hash, pos;
};

static inline uint8_t ixhash_tag(uint32_t hash)
{
    uint8_t tag = (uint8_t)(hash >> 24);
    return tag > IXHASH_GONE ? tag : (uint8_t)(tag + 2);
}
static inline uint32_t ixhash_next(const struct ixhash *h, struct ixhash_probe *p)
{
    uint8_t tag = ixhash_tag(p->hash);
    for (;;) {
        const struct ixhash_part *t = p->part;
        uint32_t mask = t->size - 1;
        for (; t->size && t->tags[p->pos & mask] != IXHASH_EMPTY; p->pos++)
            if (t->tags[p->pos & mask] == tag)
                return t->slots[p->pos++ & mask];
        if (t == &h->old || !h->old.size)
            return 0;
        p->part = &h->old;
        p->pos = p->hash;
    }
}
static inline uint32_t ixhash_first(const struct ixhash *h, struct ixhash_probe *p, uint32_t hash)
{
    *p = (struct ixhash_probe){.part = &h->now, .hash = hash, .pos = hash};
    return ixhash_next(h, p);
}

#endif
