/* A queue between two threads, one that puts and one that takes: without a lock, so that neither ever waits
 * for the other. Records of one size; full is full. */
#ifndef UNDERLAY_FIB_BFD_RING_H
#define UNDERLAY_FIB_BFD_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct bfd_ring {
    _Atomic uint32_t put, taken; /* so many, ever */
    uint32_t slots;              /* a power of two */
    uint32_t size;               /* of a record */
    uint8_t *records;
};

static inline bool bfd_ring_init(struct bfd_ring *r, uint32_t slots, uint32_t size)
{
    r->slots = slots;
    r->size = size;
    atomic_init(&r->put, 0);
    atomic_init(&r->taken, 0);
    return (r->records = calloc(slots, size));
}

static inline void bfd_ring_reset(struct bfd_ring *r)
{
    free(r->records);
    r->records = NULL;
}

/* False: full. */
static inline bool bfd_ring_put(struct bfd_ring *r, const void *record)
{
    uint32_t put = atomic_load_explicit(&r->put, memory_order_relaxed);

    if (put - atomic_load_explicit(&r->taken, memory_order_acquire) == r->slots)
        return false;
    memcpy(r->records + (size_t)(put & (r->slots - 1)) * r->size, record, r->size);
    atomic_store_explicit(&r->put, put + 1, memory_order_release);
    return true;
}

/* False: empty. */
static inline bool bfd_ring_take(struct bfd_ring *r, void *record)
{
    uint32_t taken = atomic_load_explicit(&r->taken, memory_order_relaxed);

    if (atomic_load_explicit(&r->put, memory_order_acquire) == taken)
        return false;
    memcpy(record, r->records + (size_t)(taken & (r->slots - 1)) * r->size, r->size);
    atomic_store_explicit(&r->taken, taken + 1, memory_order_release);
    return true;
}

#endif
