/* Attributes as received, where an import policy changed them and the peer cannot be asked to send them again
 * (no route refresh, RFC 2918): a changed policy is applied to these. Other paths need none: what was not
 * changed, or was rejected, is in the table as it came, and what a peer can send again is asked for.
 *
 * They lie beside the slab of paths, chunk by chunk, like path identifiers (rib_pathid.c); each holds a
 * reference. */
#include <errno.h>
#include <stdlib.h>

#include "rib/rib_int.h"

static int chunk_need(struct rib *r, uint32_t chunk)
{
    if (chunk >= r->n_received) {
        uint32_t n = r->paths.n_chunks > chunk ? r->paths.n_chunks : chunk + 1;
        uint32_t **chunks = realloc(r->received, n * sizeof(*chunks));
        if (!chunks)
            return -ENOMEM;
        r->received = chunks;
        while (r->n_received < n)
            chunks[r->n_received++] = NULL;
    }
    if (!r->received[chunk])
        r->received[chunk] = calloc(SLAB_CHUNK, sizeof **r->received);
    return r->received[chunk] ? 0 : -ENOMEM;
}

int path_set_received(struct rib *r, uint32_t path, const struct attr *a)
{
    uint32_t chunk = path >> SLAB_CHUNK_BITS, before = path_received(r, path), now = a ? a->id : 0;
    if (before == now)
        return 0;
    if (a && chunk_need(r, chunk))
        return -ENOMEM;
    r->received[chunk][path & (SLAB_CHUNK - 1)] = a ? attr_ref(a)->id : 0;
    if (before)
        attr_unref(r->attrs, attr_by_id(r->attrs, before));
    return 0;
}

void received_reset(struct rib *r)
{
    for (uint32_t i = 0; i < r->n_received; i++) {
        for (uint32_t j = 0; r->received[i] && j < SLAB_CHUNK; j++)
            if (r->received[i][j])
                attr_unref(r->attrs, attr_by_id(r->attrs, r->received[i][j]));
        free(r->received[i]);
    }
    free(r->received);
    r->received = NULL;
    r->n_received = 0;
}

const struct attr *rib_path_received(const struct rib *r, uint32_t path)
{
    uint32_t kept = path_received(r, path);
    const struct rib_path *p = path_at(r, path);
    if (kept)
        return attr_by_id(r->attrs, kept);
    return p->flags & PATH_CHANGED ? NULL : attr_by_id(r->attrs, p->attr);
}

/* What is long-lived stale has attributes of its own (rib_stale.c), which no policy may undo: of that only
 * the verdict counts. */
unsigned path_import_again(struct rib *r, enum family f, const struct prefix *prefix, uint32_t path)
{
    struct rib_path *p = path_at(r, path);
    const struct rib_peer *peer = &r->sources[p->peer]->pub;
    const struct attr *had = attr_by_id(r->attrs, p->attr), *received = rib_path_received(r, path);
    uint8_t before = p->flags;
    bool judged = !received, marked = had->flags & ATTR_LLGR_STALE && path_is_stale(r, f, p);
    const struct attr *used = judged ? had : received;
    int reason = path_import(r, f, prefix, &used, peer, judged);
    if (reason < 0)
        return 0; /* out of memory: it stays as it was */
    if (marked) {
        used = had;
    } else if (!judged) {
        bool changed = used != received;
        if (path_set_received(r, path, changed && peer->keep_received ? received : NULL))
            return 0;
        p->flags = (uint8_t)((p->flags & ~PATH_CHANGED) | (changed ? PATH_CHANGED : 0));
    }
    unsigned hints = 0;
    if (used != had) {
        hints |= HINT_PATHS | (p->flags & PATH_BEST ? HINT_BEST : 0u) |
                 (p->flags & (PATH_MULTIPATH | PATH_BACKUP) ? HINT_FORWARDING : 0u);
        source_names(r, f, p->peer, used);
        path_set_attr(r, p, used);
        p->since = r->now;
    }
    path_set_reason(r, f, p, (enum import_reason)reason);
    return p->flags != before ? hints | HINT_PATHS : hints;
}
