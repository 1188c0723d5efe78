/* What the files of the RIB share: the table (rib_table.c), paths and their update (rib.c), sources
 * (rib_peer.c), subscribers (rib_sub.c), background work (rib_sweep.c), the FIB's side (rib_fib.c). Not for
 * others. */
#ifndef UNDERLAY_RIB_INT_H
#define UNDERLAY_RIB_INT_H

#include "lib/ixhash.h"
#include "lib/slab.h"
#include "rib/decision.h"

/* A source and what the table still has of its earlier sessions. */
struct source {
    struct rib_peer pub;                /* first, so that a rib_peer is a source */
    uint32_t old[FAM_COUNT];            /* paths of generations that are over, not swept yet */
    uint64_t over[FAM_COUNT][4];        /* set of the generations that these may be of */
    uint32_t stale_accepted[FAM_COUNT]; /* of pub.stale */
    uint64_t stale_gens[FAM_COUNT][4];  /* set of the generations that pub.stale are of */
    uint64_t import_end;                /* position up to which its paths are judged again */
    uint64_t long_end[FAM_COUNT];       /* the same, up to which stale ones become long-lived */
    bool removed;
};

struct rib_table {
    struct slab entries;
    struct ixhash hash;
    uint64_t seed[2];
    enum family family;
    struct dirty originated; /* entries with an originated path */
    uint32_t fib[4];         /* by enum fib_state, without FIB_NONE */
};

#define RIB_TIME_MAX 0x3ffffffu /* of rib_path.since */

struct rib {
    uint32_t now : 26; /* rib_set_now */
    struct rib_config config;
    struct rib_hooks hooks;
    void *arg;
    struct attr_table *attrs;
    struct nexthop_table *nexthops;
    uint64_t *last_named; /* nexthop_last_named */
    struct rib_table table[FAM_COUNT];
    struct slab paths;
    uint32_t **path_ids; /* beside the chunks of paths, see rib_pathid.c */
    uint32_t n_path_ids;
    uint32_t **received; /* the same for attributes, see rib_received.c */
    uint32_t n_received;
    uint32_t n_paths[FAM_COUNT];

    struct source **sources; /* by number, NULL: free */
    uint32_t n_sources, serials;
    struct candidate *cand; /* n_cand of them: no prefix has more paths */
    uint32_t *cand_path, n_cand;

    struct rib_sub *subs, *subs_originated; /* the latter are never asked about learned prefixes */
    uint64_t version;

    /* Background work, see rib_sweep.c. */
    uint64_t pos;
    uint64_t decide_end, import_end, mark_end, release_end, long_end;
    uint32_t old_paths; /* of all sources */
    uint32_t idle;      /* entries without paths */

    struct slab errors; /* struct fib_error */
    struct ixhash errors_hash;
};

/* What is known of a change before deciding again. */
enum decide_hint {
    HINT_BEST = 1,       /* the best path is gone or has other attributes */
    HINT_FORWARDING = 2, /* so has one of the multipaths, or the backup */
    HINT_ORIGINATED = 4, /* the best was originated */
    HINT_PATHS = 8,      /* any path came, went or changed */
};

/* rib_table.c */
int table_init(struct rib_table *t, enum family f);
void table_reset(struct rib_table *t);
uint32_t table_find(const struct rib_table *t, const struct prefix *p);
uint32_t table_insert(struct rib_table *t, const struct prefix *p); /* must not be there; 0: out of memory */
void table_remove(struct rib_table *t, uint32_t index);
static inline struct rib_entry *table_entry(const struct rib_table *t, uint32_t index)
{
    return slab_at(&t->entries, index);
}

/* rib.c. May free the entry, when it has no paths. */
void entry_decide(struct rib *r, enum family f, uint32_t index, unsigned hints);
/* As the hook. */
static inline int path_import(struct rib *r, enum family f, const struct prefix *p, const struct attr **a,
                              const struct rib_peer *peer, bool judged)
{
    return peer->number && r->hooks.import ? r->hooks.import(r->arg, f, p, a, peer, judged) : IMPORT_OK;
}
void path_set_attr(struct rib *r, struct rib_path *p, const struct attr *a); /* takes its own reference */
void path_drop(struct rib *r, enum family f, struct rib_entry *e, uint32_t *link, unsigned *hints);
void path_set_reason(struct rib *r, enum family f, struct rib_path *p, enum import_reason reason);
static inline struct rib_path *path_at(const struct rib *r, uint32_t path)
{
    return slab_at(&r->paths, path);
}
static inline bool path_is_stale(const struct rib *r, enum family f, const struct rib_path *p)
{
    const struct source *s = r->sources[p->peer];
    return s->pub.stale[f] && s->stale_gens[f][p->gen / 64] >> p->gen % 64 & 1;
}
static inline bool path_is_old(const struct rib *r, enum family f, const struct rib_path *p)
{
    return r->sources[p->peer]->pub.gen[f] != p->gen && !path_is_stale(r, f, p);
}
void path_count(struct rib *r, enum family f, const struct rib_path *p, bool in); /* one that is not old */

/* rib_pathid.c */
int path_set_id(struct rib *r, uint32_t path, uint32_t id); /* 0 or -ENOMEM; never fails for id 0 */
void path_ids_reset(struct rib *r);
uint64_t path_ids_memory(const struct rib *r);
static inline uint32_t path_id(const struct rib *r, uint32_t path)
{
    uint32_t chunk = path >> SLAB_CHUNK_BITS;
    if (chunk >= r->n_path_ids || !r->path_ids[chunk])
        return 0;
    return r->path_ids[chunk][path & (SLAB_CHUNK - 1)];
}

/* rib_received.c */
int path_set_received(struct rib *r, uint32_t path, const struct attr *a); /* NULL: none, never fails */
unsigned path_import_again(struct rib *r, enum family f, const struct prefix *prefix, uint32_t path);
void received_reset(struct rib *r);
static inline uint32_t path_received(const struct rib *r, uint32_t path)
{
    uint32_t chunk = path >> SLAB_CHUNK_BITS;
    return chunk < r->n_received && r->received[chunk] ? r->received[chunk][path & (SLAB_CHUNK - 1)] : 0;
}

/* rib_peer.c */
struct source *source_new(struct rib *r);
void source_old_gone(struct rib *r, enum family f, struct source *s); /* one path of old less; may free s */

/* rib_nexthop.c */
void source_names_other(struct rib *r, enum family f, uint16_t source, uint32_t nexthop);
static inline void source_names(struct rib *r, enum family f, uint16_t source, const struct attr *a)
{
    if (nexthop_naming(a->nexthop, source, f) != *r->last_named) /* gives a path, mostly over the same */
        source_names_other(r, f, source, a->nexthop);
}
void source_lost_paths(struct rib *r, const struct source *s); /* all of a family, maybe */

/* rib_stale.c: marks or drops those paths of the entry that are due. */
void path_long_lived(struct rib *r, enum family f, struct rib_entry *e, unsigned *hints);

/* rib_sub.c; what: enum decide_hint */
void subs_mark(struct rib *r, enum family f, uint32_t index, unsigned what);
void entry_release(struct rib *r, enum family f, uint32_t index); /* frees it when nothing holds it */

/* rib_sweep.c */
enum sweep_reason {
    SWEEP_OLD_PATHS,
    SWEEP_DECIDE,
    SWEEP_IMPORT,
    SWEEP_MARK,
    SWEEP_RELEASE,
    SWEEP_LONG_LIVED
};
uint64_t sweep_end(const struct rib *r); /* the position where a walk that starts now has come round */
void sweep_want(struct rib *r, enum sweep_reason why);

/* rib_fib.c */
void fib_errors_init(struct rib *r);
void fib_errors_reset(struct rib *r);

#endif
