/* Fixed-size records in chunks of 4096, addressed by index.
 *
 * A 32-bit index costs half a pointer, stays good as a cursor over the whole table, and doubles as the bit
 * number in a struct dirty. Chunks come from calloc and are large, so the C library maps them: records that
 * were never used cost no memory, and only recycled ones must be cleared. Free records are a list through
 * their own first bytes, last in first out, because the record freed last is the one still in the cache.
 *
 * Not here: iteration over live records (the owner knows which are), and giving chunks back before
 * slab_reset. */
#include "lib/slab.h"

#include <stdlib.h>
#include <string.h>

void slab_init(struct slab *s, uint32_t record_size)
{
    uint32_t least = sizeof s->free_head;
    *s = (struct slab){.record = record_size < least ? least : record_size, .next = 1};
}

void slab_reset(struct slab *s)
{
    for (uint32_t i = 0; i < s->n_chunks; i++)
        free(s->chunks[i]);
    free(s->chunks);
    slab_init(s, s->record);
}

static int add_chunk(struct slab *s)
{
    uint8_t **chunks = realloc(s->chunks, (s->n_chunks + 1) * sizeof *chunks);
    if (!chunks)
        return -1;
    s->chunks = chunks;
    chunks[s->n_chunks] = calloc(SLAB_CHUNK, s->record);
    if (!chunks[s->n_chunks])
        return -1;
    s->n_chunks++;
    return 0;
}

uint32_t slab_alloc(struct slab *s)
{
    uint32_t i = s->free_head;
    if (i) {
        void *rec = slab_at(s, i);
        memcpy(&s->free_head, rec, sizeof s->free_head);
        memset(rec, 0, s->record);
    } else {
        if (s->next == UINT32_MAX || (s->next >> SLAB_CHUNK_BITS >= s->n_chunks && add_chunk(s)))
            return 0;
        i = s->next++;
    }
    s->used++;
    return i;
}

void slab_free(struct slab *s, uint32_t i)
{
    if (!i)
        return;
    memcpy(slab_at(s, i), &s->free_head, sizeof s->free_head);
    s->free_head = i;
    s->used--;
}

uint64_t slab_memory(const struct slab *s)
{
    return (uint64_t)s->n_chunks * (SLAB_CHUNK * (uint64_t)s->record + sizeof *s->chunks);
}
