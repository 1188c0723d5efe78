/* Fixed-size records addressed by a dense 32-bit index, in chunks that never move. Index 0 is never handed
 * out, so 0 can mean "none". Freed indices are used again, lowest churn first. */
#ifndef UNDERLAY_SLAB_H
#define UNDERLAY_SLAB_H

#include <stddef.h>
#include <stdint.h>

#define SLAB_CHUNK_BITS 12
#define SLAB_CHUNK      (1u << SLAB_CHUNK_BITS)

struct slab {
    uint8_t **chunks;
    uint32_t n_chunks;
    uint32_t record;    /* bytes, >= 4 */
    uint32_t next;      /* lowest index never used */
    uint32_t free_head; /* list through the first 4 bytes of free records */
    uint32_t used;
};

void slab_init(struct slab *s, uint32_t record_size);
void slab_reset(struct slab *s);     /* frees everything */
uint32_t slab_alloc(struct slab *s); /* zeroed record; 0: out of memory */
void slab_free(struct slab *s, uint32_t i);
static inline void *slab_at(const struct slab *s, uint32_t i)
{
    return s->chunks[i >> SLAB_CHUNK_BITS] + (size_t)(i & (SLAB_CHUNK - 1)) * s->record;
}
uint64_t slab_memory(const struct slab *s);

#endif
