/* Path identifiers as received (RFC 7911 section 3), beside the slab of paths and not in it.
 *
 * Few peers of a node send them, and a path of 16 bytes is what the size of the table hangs on. So each chunk
 * of paths gets an array of identifiers when the first other than 0 comes into it, and until then a look-up
 * costs one comparison. What is free has the identifier 0. */
#include <errno.h>
#include <stdlib.h>

#include "rib/rib_int.h"

static int chunks_grow(struct rib *r, uint32_t chunk)
{
    if (chunk < r->n_path_ids)
        return 0;
    uint32_t n = r->paths.n_chunks > chunk ? r->paths.n_chunks : chunk + 1;
    uint32_t **chunks = realloc(r->path_ids, n * sizeof(*chunks));
    if (!chunks)
        return -ENOMEM;
    r->path_ids = chunks;
    while (r->n_path_ids < n)
        chunks[r->n_path_ids++] = NULL;
    return 0;
}

int path_set_id(struct rib *r, uint32_t path, uint32_t id)
{
    uint32_t chunk = path >> SLAB_CHUNK_BITS;
    if (path_id(r, path) == id)
        return 0;
    if (chunks_grow(r, chunk))
        return -ENOMEM;
    if (!r->path_ids[chunk])
        r->path_ids[chunk] = calloc(SLAB_CHUNK, sizeof **r->path_ids);
    if (!r->path_ids[chunk])
        return -ENOMEM;
    r->path_ids[chunk][path & (SLAB_CHUNK - 1)] = id;
    return 0;
}

void path_ids_reset(struct rib *r)
{
    for (uint32_t i = 0; i < r->n_path_ids; i++)
        free(r->path_ids[i]);
    free(r->path_ids);
    r->path_ids = NULL;
    r->n_path_ids = 0;
}

uint64_t path_ids_memory(const struct rib *r)
{
    uint64_t n = r->n_path_ids * sizeof *r->path_ids;
    for (uint32_t i = 0; i < r->n_path_ids; i++)
        n += r->path_ids[i] ? SLAB_CHUNK * sizeof **r->path_ids : 0;
    return n;
}

uint32_t rib_path_id(const struct rib *r, uint32_t path)
{
    return path_id(r, path);
}
