/* A realistic IPv4 table and the BGP byte streams that announce and withdraw it. See table.c. */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TABLE_MAX_LEN = 24, TABLE_SLOTS = 2 << TABLE_MAX_LEN };

struct table_prefix {
    uint32_t addr; /* host order */
    uint8_t len;
};

/* A growing byte buffer that holds whole BGP messages. */
struct table_stream {
    uint8_t *data;
    size_t len, size;
    uint32_t messages;
};

/* What to build, and who announces it. */
struct table_spec {
    uint32_t routes;
    uint64_t seed;
    uint32_t asn;               /* first in every path; 0: only the prefixes, no streams */
    uint32_t next_hop;          /* host order */
    uint32_t prepend;           /* so often once more in every path: a route that is second best */
    const struct table *beside; /* none of its prefixes; the bitmap is shared, and has the prefixes of both */
};

struct table {
    uint32_t routes;               /* how many prefixes */
    uint32_t sets;                 /* how many distinct attribute sets they share */
    struct table_prefix *prefixes; /* grouped by attribute set */
    uint8_t *present;              /* bitmap over table_slot() */
    bool shared;                   /* it belongs to the table beside this one */
    struct table_stream announce, withdraw;
};

/* Every prefix up to /24 has its own bit: 1 followed by the prefix's bits, as in a binary heap. */
static inline uint32_t table_slot(uint32_t addr, unsigned len)
{
    return (1u << len) | (uint32_t)((uint64_t)addr >> (32 - len));
}

/* Returns whether the bit was set before. */
static inline bool table_mark(uint8_t *bitmap, uint32_t slot)
{
    uint8_t bit = (uint8_t)(1u << (slot & 7)), old = bitmap[slot >> 3];

    bitmap[slot >> 3] = old | bit;
    return old & bit;
}

static inline bool table_unmark(uint8_t *bitmap, uint32_t slot)
{
    uint8_t bit = (uint8_t)(1u << (slot & 7)), old = bitmap[slot >> 3];

    bitmap[slot >> 3] = old & (uint8_t)~bit;
    return old & bit;
}

static inline bool table_marked(const uint8_t *bitmap, uint32_t slot)
{
    return bitmap[slot >> 3] >> (slot & 7) & 1;
}

/* splitmix64: the same seed gives the same table on every machine. */
uint64_t table_random(uint64_t *state);

/* An empty bitmap over table_slot(); the caller frees it. NULL when out of memory. */
uint8_t *table_bitmap_new(void);

/* Returns 0, -ENOMEM, or -ERANGE for more routes than the model holds. */
int table_build(struct table *t, const struct table_spec *spec);
void table_free(struct table *t);

/* Whether a longer prefix of the table has p's first address. */
bool table_covered(const struct table *t, struct table_prefix p);

/* The i-th of n places spread over the table from its first to its last prefix: an address that is p's and no
 * longer prefix's. Host order. */
uint32_t table_place(const struct table *t, unsigned i, unsigned n);

#endif
