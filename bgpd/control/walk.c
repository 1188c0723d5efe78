/* The table is a hash; people want it sorted. Sorting a million prefixes in one turn would make keepalives
 * late, so the walk first collects indices in sorted runs of 2000, a run a turn, and then merges the runs
 * with a heap while it goes, each step costing the logarithm of a few hundred runs. It holds four bytes an
 * entry, and the prefix only of each run's front.
 *
 * Entries may come, go and change their prefix meanwhile (an index is used again): what is gone is skipped,
 * what is new is missed, and a reused index may show out of order. It is a listing, not a snapshot. */
#include "control/walk.h"

#include <stdlib.h>
#include <string.h>

struct item {
    struct prefix prefix;
    uint32_t index;
};
struct run {
    struct item front;
    uint32_t at, end; /* in indices; at is the one after front */
};

struct walk {
    struct rib *rib;
    enum family family;
    bool failed, ready;
    uint32_t cursor;
    uint32_t *indices;
    uint32_t n, room;
    struct run *heap; /* the smallest front first */
    unsigned n_runs, runs_room;
};

struct walk *walk_new(struct rib *r, enum family f)
{
    struct walk *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->rib = r;
    w->family = f;
    w->cursor = 1;
    return w;
}

void walk_free(struct walk *w)
{
    if (!w)
        return;
    free(w->indices);
    free(w->heap);
    free(w);
}

static bool load(const struct walk *w, uint32_t index, struct item *out)
{
    if (index >= rib_limit(w->rib, w->family) || !rib_entry_used(w->rib, w->family, index))
        return false;
    out->index = index;
    rib_entry_prefix(w->rib, w->family, rib_entry(w->rib, w->family, index), &out->prefix);
    return true;
}

/* Moves a run to its next entry that exists. False: it is at its end. */
static bool run_advance(const struct walk *w, struct run *r)
{
    while (r->at < r->end)
        if (load(w, w->indices[r->at++], &r->front))
            return true;
    return false;
}

static void sift_down(struct walk *w, unsigned i)
{
    for (;;) {
        unsigned least = i;
        for (unsigned c = 2 * i + 1; c <= 2 * i + 2 && c < w->n_runs; c++)
            if (prefix_cmp(&w->heap[c].front.prefix, &w->heap[least].front.prefix) < 0)
                least = c;
        if (least == i)
            return;
        struct run r = w->heap[i];
        w->heap[i] = w->heap[least];
        w->heap[least] = r;
        i = least;
    }
}

static int compare(const void *a, const void *b)
{
    return prefix_cmp(&((const struct item *)a)->prefix, &((const struct item *)b)->prefix);
}

static bool make_room(struct walk *w)
{
    if (w->n + WALK_STEP > w->room) {
        uint32_t room = w->room ? 2 * w->room : 2 * WALK_STEP;
        uint32_t *grown = realloc(w->indices, room * sizeof *grown);
        if (!grown)
            return false;
        w->indices = grown;
        w->room = room;
    }
    if (w->n_runs == w->runs_room) {
        unsigned room = w->runs_room ? 2 * w->runs_room : 8;
        struct run *grown = realloc(w->heap, room * sizeof *grown);
        if (!grown)
            return false;
        w->heap = grown;
        w->runs_room = room;
    }
    return true;
}

bool walk_prepare(struct walk *w)
{
    if (w->ready || w->failed)
        return false;
    struct item *items = malloc(WALK_STEP * sizeof *items);
    unsigned n = 0;
    if (!items || !make_room(w)) {
        free(items);
        w->failed = true;
        return false;
    }
    uint32_t limit = rib_limit(w->rib, w->family), stop = w->cursor + WALK_STEP;
    for (; w->cursor < limit && w->cursor < stop; w->cursor++)
        n += load(w, w->cursor, &items[n]);
    qsort(items, n, sizeof *items, compare);
    struct run r = {.at = w->n, .end = w->n + n};
    for (unsigned i = 0; i < n; i++)
        w->indices[w->n++] = items[i].index;
    free(items);
    if (run_advance(w, &r))
        w->heap[w->n_runs++] = r;
    if (w->cursor < limit)
        return true;
    for (unsigned i = w->n_runs / 2; i-- > 0;)
        sift_down(w, i);
    w->ready = true;
    return false;
}

bool walk_failed(const struct walk *w)
{
    return w->failed;
}

uint32_t walk_next(struct walk *w)
{
    while (w->n_runs) {
        struct item found = w->heap[0].front, now;
        if (!run_advance(w, &w->heap[0]))
            w->heap[0] = w->heap[--w->n_runs];
        sift_down(w, 0);
        if (load(w, found.index, &now))
            return found.index;
    }
    return 0;
}
