/* Adj-RIB-Out of a peer that takes several paths of a prefix (RFC 7911).
 *
 * All paths that may go to the peer are sent, each under its index in the slab of paths as path identifier:
 * it stays as long as the path does, whatever becomes of its attributes, and no other path of the prefix has
 * it meanwhile. One that is used again later for another path of the same prefix replaces, which is what it
 * should. Of a session that another process began, identifiers are in use that stand for no path here: paths
 * of the prefix take these first, so that the peer sees no route go that stays.
 *
 * The peer's view is remembered path by path, since a withdrawal must name what was said: a record of the
 * prefix in a hash, with a list of identifiers and of what was last said under each. To serve a dirty prefix
 * is to compare this list with the paths of now; only the difference is sent, and a prefix without one is
 * done. So a batch that stops in the middle of a prefix needs no memory of where. Attributes are remembered
 * by id and hash and without a reference, so that a lost session with a million paths is forgotten at once.
 *
 * What the rules of export are is adjout.c's business. */
#include <errno.h>
#include <string.h>

#include "rib/adjout_int.h"

struct sent_prefix {
    uint32_t first; /* path; also the slab's link when free */
    uint32_t index; /* of the entry, 0: not in use */
};

struct sent_path {
    uint32_t next;
    uint32_t id;
    uint32_t path;       /* that it stands for, 0: none yet */
    uint32_t attr, hash; /* as last said; attr 0: nothing was */
    uint32_t epoch;
    uint32_t stamp : 31; /* seen in the comparison of this number */
    uint32_t sent : 1;   /* the peer has it; else it was found not to fit in a message */
};

struct item {
    uint32_t path; /* in the slab of sent ones */
    uint32_t index;
};

struct path_batch {
    unsigned n_reach, n_unreach, limit;
    unsigned budget; /* steps of comparing that are left */
    struct item reach[BATCH], unreach[BATCH];
    uint64_t order[BATCH], scratch[BATCH]; /* attribute id, position in reach */
    struct prefix prefixes[BATCH];
    uint32_t ids[BATCH];
};

static uint32_t hash_index(uint32_t index)
{
    uint32_t x = index * 0x9e3779b1u;
    return x ^ x >> 15;
}

static bool hash_of(const void *arg, uint32_t i, uint32_t *hash)
{
    const struct sent_table *t = arg;
    const struct sent_prefix *s = slab_at(&t->prefixes, i);
    *hash = hash_index(s->index);
    return s->index;
}

static struct sent_prefix *prefix_at(const struct sent_table *t, uint32_t i)
{
    return slab_at(&t->prefixes, i);
}

static struct sent_path *path_at(const struct sent_table *t, uint32_t i)
{
    return slab_at(&t->paths, i);
}

void paths_start(struct adjout *o, enum family f)
{
    struct sent_table *t = &o->fam[f].sent;
    *t = (struct sent_table){.epoch = 1};
    slab_init(&t->prefixes, sizeof(struct sent_prefix));
    slab_init(&t->paths, sizeof(struct sent_path));
    ixhash_init(&t->by_index, hash_of, t);
}

void paths_stop(struct adjout *o, enum family f)
{
    struct sent_table *t = &o->fam[f].sent;
    if (!o->fam[f].add_path)
        return;
    slab_reset(&t->prefixes);
    slab_reset(&t->paths);
    ixhash_reset(&t->by_index);
}

static uint32_t record_find(const struct sent_table *t, uint32_t index)
{
    struct ixhash_probe p;
    for (uint32_t i = ixhash_first(&t->by_index, &p, hash_index(index)); i; i = ixhash_next(&t->by_index, &p))
        if (prefix_at(t, i)->index == index)
            return i;
    return 0;
}

/* The entry lives as long as the bit in `has` is set, so the two come and go together. 0: out of memory. */
static uint32_t record_new(struct out_family *of, uint32_t index)
{
    struct sent_table *t = &of->sent;
    uint32_t i = slab_alloc(&t->prefixes);
    if (!i)
        return 0;
    prefix_at(t, i)->index = index;
    if (dirty_set(&of->has, index))
        goto fail;
    if (!ixhash_insert(&t->by_index, hash_index(index), i))
        return i;
    dirty_clear(&of->has, index);
fail:
    prefix_at(t, i)->index = 0;
    slab_free(&t->prefixes, i);
    return 0;
}

static void record_free(struct out_family *of, uint32_t i)
{
    struct sent_table *t = &of->sent;
    uint32_t index = prefix_at(t, i)->index;
    ixhash_remove(&t->by_index, hash_index(index), i);
    prefix_at(t, i)->index = 0;
    slab_free(&t->prefixes, i);
    dirty_clear(&of->has, index);
}

static void path_forget(struct sent_table *t, uint32_t *link)
{
    uint32_t i = *link;
    *link = path_at(t, i)->next;
    t->count -= path_at(t, i)->sent;
    slab_free(&t->paths, i);
}

static void path_forget_of(struct sent_table *t, const struct item *x)
{
    uint32_t *link = &prefix_at(t, record_find(t, x->index))->first;
    while (*link && *link != x->path)
        link = &path_at(t, *link)->next;
    if (*link)
        path_forget(t, link);
}

static bool id_is_used(const struct sent_table *t, uint32_t record, uint32_t id)
{
    for (uint32_t i = prefix_at(t, record)->first; i; i = path_at(t, i)->next)
        if (path_at(t, i)->id == id)
            return true;
    return false;
}

/* The record of one path under that of its prefix, made when there is none. 0: out of memory. */
static uint32_t path_record(struct sent_table *t, uint32_t record, uint32_t path, unsigned *budget)
{
    uint32_t *link = &prefix_at(t, record)->first, free = 0, id = path;
    for (; *link; link = &path_at(t, *link)->next, *budget -= *budget > 0) {
        if (path_at(t, *link)->path == path)
            return *link;
        if (!path_at(t, *link)->path && !free)
            free = *link;
    }
    uint32_t i = free ? free : slab_alloc(&t->paths);
    if (!i)
        return 0;
    path_at(t, i)->path = path;
    if (!free) {
        while (id_is_used(t, record, id))
            id += 0x10000001; /* beyond what a path of ours is likely to have */
        path_at(t, i)->id = id;
        *link = i;
    }
    return i;
}

int paths_resume(struct adjout *o, enum family f, uint32_t index, uint32_t id)
{
    struct sent_table *t = &o->fam[f].sent;
    uint32_t record = record_find(t, index);
    if (!record && !(record = record_new(&o->fam[f], index)))
        return -ENOMEM;
    uint32_t i = id_is_used(t, record, id) ? 0 : slab_alloc(&t->paths);
    if (!i)
        return id_is_used(t, record, id) ? 0 : -ENOMEM;
    *path_at(t, i) = (struct sent_path){.next = prefix_at(t, record)->first, .id = id, .sent = 1};
    prefix_at(t, record)->first = i;
    t->count++;
    return 0;
}

void paths_each(const struct adjout *o, enum family f, uint32_t index,
                void (*cb)(void *arg, const struct prefix *p, uint32_t path_id), void *arg)
{
    const struct sent_table *t = &o->fam[f].sent;
    uint32_t record = record_find(t, index);
    struct prefix p;
    rib_entry_prefix(o->rib, f, rib_entry(o->rib, f, index), &p);
    for (uint32_t i = record ? prefix_at(t, record)->first : 0; i; i = path_at(t, i)->next)
        if (path_at(t, i)->sent)
            cb(arg, &p, path_at(t, i)->id);
}

/* True: as it was last said, in this epoch. */
static bool is_said(const struct sent_table *t, const struct sent_path *s, const struct attr *a)
{
    return s->attr == a->id && s->hash == a->hash && s->epoch == t->epoch;
}

static void note_said(const struct sent_table *t, struct sent_path *s, const struct attr *a)
{
    s->attr = a->id;
    s->hash = a->hash;
    s->epoch = t->epoch;
}

/* Puts what is to be announced of the entry into the batch. False: no room, or out of memory. */
static bool gather_reach(struct adjout *o, enum family f, uint32_t index, uint32_t *record,
                         struct path_batch *b)
{
    struct sent_table *t = &o->fam[f].sent;
    const struct rib_entry *e = rib_entry(o->rib, f, index);
    for (uint32_t i = e->paths; i; i = rib_path(o->rib, i)->next) {
        const struct rib_path *p = rib_path(o->rib, i);
        b->budget -= b->budget > 0;
        const struct attr *a;
        int may = adjout_path_attr(o, f, e, p, &a);
        o->no_memory |= may < 0;
        if (may < 0)
            return false;
        if (!may)
            continue;
        if (!*record && !(*record = record_new(&o->fam[f], index)))
            return false;
        uint32_t k = path_record(t, *record, i, &b->budget);
        if (!k)
            return false;
        struct sent_path *s = path_at(t, k);
        s->stamp = t->stamp & 0x7fffffff;
        if (is_said(t, s, a))
            continue;
        if (b->n_reach == b->limit)
            return false;
        b->order[b->n_reach] = (uint64_t)adjout_hold(&o->fam[f], a) << 32 | b->n_reach;
        b->reach[b->n_reach++] = (struct item){k, index};
    }
    return true;
}

/* What is in the record and was not seen just now. False: no room. */
static bool gather_unreach(struct adjout *o, enum family f, uint32_t index, uint32_t record,
                           struct path_batch *b)
{
    struct sent_table *t = &o->fam[f].sent;
    uint32_t *link = &prefix_at(t, record)->first;
    while (*link) {
        const struct sent_path *s = path_at(t, *link);
        b->budget -= b->budget > 0;
        if (s->stamp == (t->stamp & 0x7fffffff)) {
            link = &path_at(t, *link)->next;
        } else if (!s->sent) {
            path_forget(t, link);
        } else if (b->n_unreach == b->limit) {
            return false;
        } else {
            b->unreach[b->n_unreach++] = (struct item){*link, index};
            link = &path_at(t, *link)->next;
        }
    }
    return true;
}

/* False: the batch is full (or memory is), and nothing is known of the rest. */
static bool gather_one(struct adjout *o, enum family f, uint32_t index, struct path_batch *b)
{
    struct out_family *of = &o->fam[f];
    uint32_t record = record_find(&of->sent, index);
    unsigned before = b->n_reach + b->n_unreach;
    of->sent.stamp++;
    if (rib_entry_used(o->rib, f, index) && !gather_reach(o, f, index, &record, b))
        return false;
    if (record && !gather_unreach(o, f, index, record, b))
        return false;
    if (b->n_reach + b->n_unreach > before)
        return true;
    if (record && !prefix_at(&of->sent, record)->first)
        record_free(of, record);
    adjout_served(o, f, index);
    return true;
}

static void gather(struct adjout *o, enum family f, struct path_batch *b)
{
    const struct dirty *d = &o->sub.dirty[f];
    b->n_reach = b->n_unreach = 0;
    b->budget = 4 * SCAN_STEP;
    unsigned looked_at = 0;
    for (uint32_t i = dirty_next(d, 0); i != DIRTY_NONE && b->budget && looked_at < SCAN_STEP;
         i = dirty_next(d, i + 1), looked_at++)
        if (b->n_reach == b->limit || b->n_unreach == b->limit || !gather_one(o, f, i, b))
            break;
}

static void fill_nlri(const struct adjout *o, enum family f, struct path_batch *b, unsigned at,
                      const struct item *x)
{
    rib_entry_prefix(o->rib, f, rib_entry(o->rib, f, x->index), &b->prefixes[at]);
    b->ids[at] = path_at(&o->fam[f].sent, x->path)->id;
}

static unsigned write_unreach(struct adjout *o, struct wire_writer *w, enum family f, struct path_batch *b)
{
    unsigned messages = 0;
    for (unsigned i = 0; i < b->n_unreach; i++)
        fill_nlri(o, f, b, i, &b->unreach[i]);
    for (unsigned done = 0; done < b->n_unreach && adjout_room(o, w); messages++) {
        unsigned n =
            update_encode_unreach_paths(w, &o->x, f, b->prefixes + done, b->ids + done, b->n_unreach - done);
        if (!n)
            break;
        for (unsigned i = done; i < done + n; i++)
            path_forget_of(&o->fam[f].sent, &b->unreach[i]);
        done += n;
    }
    return messages;
}

static struct item *ordered(struct path_batch *b, unsigned i)
{
    return &b->reach[(uint32_t)b->order[i]];
}

/* Attributes that fit in no message (RFC 4271 9.2: not advertised): what the peer has under the identifier is
 * withdrawn, and there is no second attempt until something changes. */
static unsigned give_up(struct adjout *o, struct wire_writer *w, enum family f, struct path_batch *b,
                        const struct attr *a, unsigned from, unsigned to)
{
    struct sent_table *t = &o->fam[f].sent;
    b->n_unreach = 0;
    for (unsigned i = from; i < to; i++) {
        struct sent_path *s = path_at(t, ordered(b, i)->path);
        if (s->sent)
            b->unreach[b->n_unreach++] = *ordered(b, i);
        else
            note_said(t, s, a);
    }
    return write_unreach(o, w, f, b);
}

/* One run of paths with the same attributes. */
static unsigned write_run(struct adjout *o, struct wire_writer *w, enum family f, struct path_batch *b,
                          unsigned from, unsigned to)
{
    struct sent_table *t = &o->fam[f].sent;
    const struct attr *a = attr_by_id(rib_attrs(o->rib), (uint32_t)(b->order[from] >> 32));
    unsigned messages = 0;
    for (unsigned i = from; i < to; i++)
        fill_nlri(o, f, b, i - from, ordered(b, i));
    for (unsigned done = from; done < to && adjout_room(o, w); messages++) {
        unsigned n = update_encode_reach_paths(w, &o->x, rib_attrs(o->rib), a, f, b->prefixes + (done - from),
                                               b->ids + (done - from), to - done);
        if (!n)
            return messages + give_up(o, w, f, b, a, done, to);
        for (unsigned end = done + n; done < end; done++) {
            struct sent_path *s = path_at(t, ordered(b, done)->path);
            t->count += !s->sent;
            s->sent = 1;
            note_said(t, s, a);
        }
    }
    return messages;
}

unsigned paths_write(struct adjout *o, struct wire_writer *w, enum family f, unsigned limit)
{
    struct path_batch b;
    b.limit = limit < BATCH ? limit : BATCH;
    gather(o, f, &b);
    unsigned n_held = b.n_reach;
    adjout_sort(b.order, b.scratch, b.n_reach);
    unsigned messages = write_unreach(o, w, f, &b);
    for (unsigned from = 0, to; from < b.n_reach && adjout_room(o, w); from = to) {
        for (to = from + 1; to < b.n_reach && b.order[to] >> 32 == b.order[from] >> 32; to++)
            ;
        messages += write_run(o, w, f, &b, from, to);
    }
    adjout_release(o, f, b.order, n_held);
    return messages;
}

bool paths_differ(struct adjout *o, enum family f, uint32_t index)
{
    const struct rib_entry *e = rib_entry(o->rib, f, index);
    if (dirty_test(&o->fam[f].has, index))
        return true;
    const struct attr *a;
    for (uint32_t i = e->paths; i; i = rib_path(o->rib, i)->next)
        if (adjout_path_attr(o, f, e, rib_path(o->rib, i), &a))
            return true;
    return false;
}

bool adjout_sends_paths(const struct adjout *o, enum family f)
{
    return o->fam[f].add_path;
}

bool adjout_has_path(const struct adjout *o, enum family f, uint32_t index, uint32_t path)
{
    const struct sent_table *t = &o->fam[f].sent;
    uint32_t record = o->fam[f].add_path ? record_find(t, index) : 0;
    for (uint32_t i = record ? prefix_at(t, record)->first : 0; i; i = path_at(t, i)->next)
        if (path_at(t, i)->path == path)
            return path_at(t, i)->sent;
    return false;
}

uint64_t paths_memory(const struct adjout *o, enum family f)
{
    const struct sent_table *t = &o->fam[f].sent;
    return o->fam[f].add_path
               ? slab_memory(&t->prefixes) + slab_memory(&t->paths) + ixhash_memory(&t->by_index)
               : 0;
}
