/* A set of dense 32-bit indices with "walk from a cursor": the queue of everything here that must go out
 * once, last word wins, bounded by the table and not by the number of changes. One bit an index, and one
 * summary bit per 64 of them. */
#ifndef UNDERLAY_DIRTY_H
#define UNDERLAY_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

#define DIRTY_NONE UINT32_MAX

struct dirty {
    uint64_t *bits; /* valid where the summary says so */
    uint64_t *summary;
    uint32_t words; /* allocated words in bits */
    uint32_t count;
};

/* Zero-initialise. dirty_set grows the set: 0 or -ENOMEM (index not set). */
int dirty_set(struct dirty *d, uint32_t i);
void dirty_clear(struct dirty *d, uint32_t i);
bool dirty_test(const struct dirty *d, uint32_t i);
/* The lowest member >= from, or DIRTY_NONE. */
uint32_t dirty_next(const struct dirty *d, uint32_t from);
/* Sets 0..n-1. 0 or -ENOMEM. */
int dirty_fill(struct dirty *d, uint32_t n);
void dirty_reset(struct dirty *d);            /* empties and frees */
uint64_t dirty_memory(const struct dirty *d); /* reserved; of a sparse set only some pages are touched */

#endif
