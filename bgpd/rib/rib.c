/* The RIB: Adj-RIBs-In and Loc-RIB in one table.
 *
 * Every path that anybody told us hangs off its prefix, filtered and unresolvable ones too (RFC 4271 9.1.2:
 * they are kept, as they may become usable), one a source and path identifier (RFC 7911) at most. The best is
 * the head of the list, so that Loc-RIB is not a second table. A change decides its prefix at once; the
 * result goes to the subscribers as a bit in their dirty sets, and what they then send they read from here.
 * Nearly all prefixes of a node have one path: that case takes no candidate list.
 *
 * Paths of a session that is gone are not candidates any more whenever their prefix is decided, and are
 * dropped then; the background sweep (rib_sweep.c) sees to the rest. */
#include "rib/rib.h"

#include <errno.h>
#include <stdlib.h>

#include "rib/rib_int.h"

struct rib *rib_new(const struct rib_config *c, const struct rib_hooks *h, void *arg,
                    struct attr_table *attrs, struct nexthop_table *nexthops)
{
    struct rib *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    if (h)
        r->hooks = *h;
    r->config = *c;
    r->arg = arg;
    r->attrs = attrs;
    r->nexthops = nexthops;
    r->last_named = nexthop_last_named(nexthops);
    r->pos = 1;
    slab_init(&r->paths, sizeof(struct rib_path));
    fib_errors_init(r);
    if (table_init(&r->table[FAM_IPV4], FAM_IPV4) || table_init(&r->table[FAM_IPV6], FAM_IPV6) ||
        !source_new(r)) {
        rib_free(r);
        return NULL;
    }
    return r;
}

void rib_free(struct rib *r)
{
    if (!r)
        return;
    for (uint32_t i = 1; i < r->paths.next; i++)
        if (path_at(r, i)->attr)
            attr_unref(r->attrs, attr_by_id(r->attrs, path_at(r, i)->attr));
    for (enum family f = 0; f < FAM_COUNT; f++) {
        for (uint32_t i = 1; i < rib_limit(r, f); i++)
            if (rib_entry_used(r, f, i) && rib_entry(r, f, i)->group)
                nhgroup_put(r->nexthops, rib_entry(r, f, i)->group);
        table_reset(&r->table[f]);
    }
    slab_reset(&r->paths);
    path_ids_reset(r);
    received_reset(r);
    fib_errors_reset(r);
    for (uint32_t i = 0; i < r->n_sources; i++)
        free(r->sources[i]);
    free(r->sources);
    free(r->cand);
    free(r->cand_path);
    free(r);
}

void rib_set_config(struct rib *r, const struct rib_config *c)
{
    r->config = *c;
    sweep_want(r, SWEEP_DECIDE);
}

void path_set_reason(struct rib *r, enum family f, struct rib_path *p, enum import_reason reason)
{
    bool was = p->flags & PATH_FILTERED, is = reason != IMPORT_OK;
    p->reason = reason & 0xf;
    if (was == is)
        return;
    path_count(r, f, p, false);
    p->flags ^= PATH_FILTERED;
    path_count(r, f, p, true);
}

void path_set_attr(struct rib *r, struct rib_path *p, const struct attr *a)
{
    const struct attr *before = attr_by_id(r->attrs, p->attr);
    p->attr = attr_ref(a)->id;
    attr_unref(r->attrs, before);
}

/* Takes the path out of the list at *link, and what it counted for. */
void path_drop(struct rib *r, enum family f, struct rib_entry *e, uint32_t *link, unsigned *hints)
{
    uint32_t index = *link;
    struct rib_path *p = path_at(r, index);
    if (p->flags & PATH_BEST)
        *hints |= HINT_BEST | (p->peer ? 0 : HINT_ORIGINATED);
    if (p->flags & (PATH_MULTIPATH | PATH_BACKUP))
        *hints |= HINT_FORWARDING;
    *hints |= HINT_PATHS;
    *link = p->next;
    if (path_is_old(r, f, p))
        source_old_gone(r, f, r->sources[p->peer]);
    else
        path_count(r, f, p, false);
    attr_unref(r->attrs, attr_by_id(r->attrs, p->attr));
    p->attr = 0;
    path_set_id(r, index, 0);
    path_set_received(r, index, NULL);
    slab_free(&r->paths, index);
    r->n_paths[f]--;
    r->idle += !e->paths;
}

static void drop_old_paths(struct rib *r, enum family f, struct rib_entry *e, unsigned *hints)
{
    uint32_t *link = &e->paths;
    while (*link) {
        struct rib_path *p = path_at(r, *link);
        if (path_is_old(r, f, p))
            path_drop(r, f, e, link, hints);
        else
            link = &p->next;
    }
}

bool rib_path_usable(const struct rib *r, enum family f, const struct rib_path *p)
{
    return !(p->flags & (PATH_FILTERED | PATH_UNREACHABLE)) && !path_is_old(r, f, p);
}

/* RFC 4271 9.1.2.1; notes it in the path. */
static bool path_usable(const struct rib *r, struct rib_path *p, const struct attr *a, uint32_t *metric,
                        unsigned *hints)
{
    uint8_t before = p->flags & PATH_UNREACHABLE;
    *metric = 0;
    p->flags ^= before;
    if (a->nexthop) {
        const struct nexthop *nh = nexthop_by_id(r->nexthops, a->nexthop);
        if (nh->reachable && (nh->connected || !r->sources[p->peer]->pub.one_hop))
            *metric = nh->metric;
        else
            p->flags |= PATH_UNREACHABLE;
    }
    if ((p->flags ^ before) & PATH_UNREACHABLE)
        *hints |= HINT_PATHS;
    return !(p->flags & (PATH_FILTERED | PATH_UNREACHABLE));
}

/* As PATH_BEST, _MULTIPATH and _BACKUP. True when it is used otherwise than before. */
static bool path_set_use(struct rib_path *p, unsigned use)
{
    uint8_t before = p->flags & (PATH_BEST | PATH_MULTIPATH | PATH_BACKUP);
    p->flags = (uint8_t)((p->flags ^ before) | use);
    return before != use;
}

static void decide_one(struct rib *r, struct rib_entry *e, unsigned *hints)
{
    struct rib_path *p = path_at(r, e->paths);
    uint32_t metric;
    bool usable = path_usable(r, p, attr_by_id(r->attrs, p->attr), &metric, hints);
    e->selection = usable ? SELECT_ONLY : SELECT_NONE;
    if (path_set_use(p, usable ? PATH_BEST : 0))
        *hints |= HINT_FORWARDING;
}

static void move_to_head(struct rib *r, struct rib_entry *e, uint32_t index)
{
    uint32_t *link = &e->paths;
    while (*link != index)
        link = &path_at(r, *link)->next;
    struct rib_path *p = path_at(r, index);
    *link = p->next;
    p->next = e->paths;
    e->paths = index;
}

static void decide_many(struct rib *r, struct rib_entry *e, unsigned *hints)
{
    unsigned n = 0;
    for (uint32_t i = e->paths; i; i = path_at(r, i)->next, n++) {
        struct rib_path *p = path_at(r, i);
        struct candidate *c = &r->cand[n];
        c->attr = attr_by_id(r->attrs, p->attr);
        c->peer = &r->sources[p->peer]->pub;
        c->path_id = path_id(r, i);
        c->usable = path_usable(r, p, c->attr, &c->metric, hints);
        r->cand_path[n] = i;
    }
    enum select_reason why;
    int best = decision_select(r->cand, n, &r->config, &why);
    int backup = decision_backup(r->cand, n, best, &r->config);
    for (unsigned i = 0; i < n; i++) {
        unsigned use = ((int)i == best ? PATH_BEST : 0u) | (r->cand[i].multipath ? PATH_MULTIPATH : 0u) |
                       ((int)i == backup ? PATH_BACKUP : 0u);
        if (path_set_use(path_at(r, r->cand_path[i]), use))
            *hints |= HINT_FORWARDING;
    }
    if (best > 0)
        move_to_head(r, e, r->cand_path[best]);
    e->selection = (uint8_t)why;
}

void entry_decide(struct rib *r, enum family f, uint32_t index, unsigned hints)
{
    struct rib_entry *e = table_entry(&r->table[f], index);
    if (r->old_paths)
        drop_old_paths(r, f, e, &hints);
    uint32_t before = rib_best(r, e) ? e->paths : 0;
    if (before && !path_at(r, before)->peer)
        hints |= HINT_ORIGINATED;
    if (!e->paths)
        e->selection = SELECT_NONE;
    else if (!path_at(r, e->paths)->next)
        decide_one(r, e, &hints);
    else
        decide_many(r, e, &hints);

    const struct rib_path *best = rib_best(r, e);
    if (before != (best ? e->paths : 0))
        hints |= HINT_BEST;
    if (best && !best->peer)
        hints |= HINT_ORIGINATED;
    r->version += hints & HINT_BEST;
    if (hints & (HINT_BEST | HINT_FORWARDING | HINT_PATHS))
        subs_mark(r, f, index, hints);
    if (!e->paths)
        entry_release(r, f, index);
}

/* Where the list names the path of this source with this identifier, or its end. */
static uint32_t *path_link(struct rib *r, struct rib_entry *e, uint16_t source, uint32_t id)
{
    uint32_t *link = &e->paths;
    while (*link && (path_at(r, *link)->peer != source || path_id(r, *link) != id))
        link = &path_at(r, *link)->next;
    return link;
}

/* Whether the prefix may have one path more: of this source, and for the arrays of the decision. Of those at
 * the limit a stale one gives way, since a peer can make its paths stale as often as it likes. What is of an
 * earlier session goes anyhow. */
static int path_make_room(struct rib *r, enum family f, struct rib_entry *e, uint16_t source, unsigned *hints)
{
    uint32_t n = 0, own = 0, *stale = NULL;
    for (uint32_t *link = &e->paths; *link; link = &path_at(r, *link)->next, n++) {
        const struct rib_path *p = path_at(r, *link);
        if (p->peer != source || path_is_old(r, f, p))
            continue;
        own++;
        if (path_is_stale(r, f, p))
            stale = link;
    }
    if (own >= RIB_PATHS_MAX && !stale)
        return -ENOSPC;
    if (n >= r->n_cand) {
        uint32_t size = 2 * n + 8;
        struct candidate *cand = realloc(r->cand, size * sizeof *cand);
        r->cand = cand ? cand : r->cand;
        uint32_t *cand_path = realloc(r->cand_path, size * sizeof *cand_path);
        r->cand_path = cand_path ? cand_path : r->cand_path;
        if (!cand || !cand_path)
            return -ENOMEM;
        r->n_cand = size;
    }
    if (own >= RIB_PATHS_MAX)
        path_drop(r, f, e, stale, hints);
    return 0;
}

static int path_replace(struct rib *r, enum family f, uint32_t index, struct rib_path *p,
                        const struct rib_path *fresh, const struct attr *a)
{
    bool old = path_is_old(r, f, p), same = p->attr == fresh->attr && p->kind == fresh->kind;
    p->flags = (uint8_t)((p->flags & ~PATH_CHANGED) | (fresh->flags & PATH_CHANGED));
    if (!old && p->gen != fresh->gen) {
        path_count(r, f, p, false);
        p->gen = fresh->gen;
        path_count(r, f, p, true);
    }
    if (!old && same && p->reason == fresh->reason)
        return 0;
    unsigned hints = HINT_PATHS;
    if (p->flags & PATH_BEST && !same)
        hints |= HINT_BEST;
    if (p->flags & (PATH_MULTIPATH | PATH_BACKUP) && !same)
        hints |= HINT_FORWARDING;
    if (old) {
        source_old_gone(r, f, r->sources[p->peer]);
        p->gen = fresh->gen;
        path_count(r, f, p, true);
    }
    path_set_reason(r, f, p, fresh->reason);
    if (p->attr != fresh->attr)
        path_set_attr(r, p, a);
    p->kind = fresh->kind;
    if (old || !same)
        p->since = r->now;
    entry_decide(r, f, index, hints);
    return 0;
}

/* A second path goes behind the best, which stays the head until the decision says otherwise. */
static int path_add(struct rib *r, enum family f, uint32_t index, const struct rib_path *fresh, uint32_t id,
                    const struct attr *a)
{
    struct rib_entry *e = table_entry(&r->table[f], index);
    unsigned hints = HINT_PATHS;
    int err = e->paths ? path_make_room(r, f, e, fresh->peer, &hints) : 0;
    if (err)
        return err;
    uint32_t i = slab_alloc(&r->paths);
    if (!i || (id && path_set_id(r, i, id))) {
        if (i)
            slab_free(&r->paths, i);
        if (e->paths)
            entry_decide(r, f, index, hints); /* one may have given way */
        return -ENOMEM;
    }
    struct rib_path *p = path_at(r, i);
    *p = *fresh;
    p->attr = attr_ref(a)->id;
    p->since = r->now;
    r->idle -= !e->paths;
    uint32_t *link = e->paths ? &path_at(r, e->paths)->next : &e->paths;
    p->next = *link;
    *link = i;
    r->n_paths[f]++;
    path_count(r, f, p, true);
    entry_decide(r, f, index, hints);
    return 0;
}

static int path_put(struct rib *r, enum family f, const struct prefix *prefix, const struct rib_path *fresh,
                    uint32_t id, const struct attr *a)
{
    uint32_t index = table_find(&r->table[f], prefix);
    source_names(r, f, fresh->peer, a);
    if (index) {
        uint32_t path = *path_link(r, table_entry(&r->table[f], index), fresh->peer, id);
        return path ? path_replace(r, f, index, path_at(r, path), fresh, a)
                    : path_add(r, f, index, fresh, id, a);
    }
    index = table_insert(&r->table[f], prefix);
    if (!index)
        return -ENOMEM;
    r->idle++;
    int err = path_add(r, f, index, fresh, id, a);
    if (err) {
        table_remove(&r->table[f], index);
        r->idle--;
    }
    return err;
}

void rib_set_now(struct rib *r, uint64_t seconds)
{
    r->now = seconds < RIB_TIME_MAX ? (uint32_t)seconds & RIB_TIME_MAX : RIB_TIME_MAX;
}

static int update(struct rib *r, enum family f, const struct prefix *p, struct rib_peer *peer,
                  uint32_t path_id, const struct attr *a, bool judged)
{
    const struct attr *used = a;
    int reason = path_import(r, f, p, &used, peer, judged);
    if (reason < 0)
        return reason;
    bool changed = used != a || judged;
    struct rib_path fresh = {
        .attr = used->id,
        .peer = peer->number,
        .gen = peer->gen[f],
        .flags = (uint8_t)((reason == IMPORT_OK ? 0 : PATH_FILTERED) | (changed ? PATH_CHANGED : 0)),
        .reason = (unsigned)reason & 0xf};
    int err = path_put(r, f, p, &fresh, path_id, used);
    if (!err && (changed || r->n_received) && (peer->keep_received || r->n_received)) {
        uint32_t path =
            *path_link(r, table_entry(&r->table[f], table_find(&r->table[f], p)), peer->number, path_id);
        err = path_set_received(r, path, changed && !judged && peer->keep_received ? a : NULL);
    }
    return err;
}

int rib_update(struct rib *r, enum family f, const struct prefix *p, struct rib_peer *peer, uint32_t path_id,
               const struct attr *a)
{
    return update(r, f, p, peer, path_id, a, false);
}

int rib_restore(struct rib *r, enum family f, const struct prefix *p, struct rib_peer *peer, uint32_t path_id,
                const struct attr *a)
{
    return update(r, f, p, peer, path_id, a, true);
}

uint32_t rib_hold(struct rib *r, enum family f, const struct prefix *p, bool originated)
{
    struct rib_table *t = &r->table[f];
    uint32_t index = table_find(t, p);
    if (!index && (index = table_insert(t, p)))
        r->idle++;
    if (index && originated)
        table_entry(t, index)->sources |= ENTRY_WAS_ORIGINATED;
    return index;
}

int rib_withdraw(struct rib *r, enum family f, const struct prefix *p, struct rib_peer *peer,
                 uint32_t path_id)
{
    uint32_t index = table_find(&r->table[f], p);
    if (!index)
        return 0;
    struct rib_entry *e = table_entry(&r->table[f], index);
    uint32_t *link = path_link(r, e, peer->number, path_id);
    if (!*link)
        return 0;
    unsigned hints = 0;
    path_drop(r, f, e, link, &hints);
    entry_decide(r, f, index, hints);
    return 0;
}

/* The entry is made to remember that it is originated before it is decided, as those it is marked for are
 * found by it. */
int rib_originate(struct rib *r, enum family f, const struct prefix *p, enum origin_kind kind,
                  const struct attr *a)
{
    struct rib_path fresh = {.attr = a->id, .kind = kind & 3};
    struct rib_table *t = &r->table[f];
    uint32_t index = table_find(t, p);
    bool known = index;
    if (!known) {
        index = table_insert(t, p);
        if (!index)
            return -ENOMEM;
        r->idle++;
    }
    struct rib_entry *e = table_entry(t, index);
    bool had = e->sources & ENTRY_ORIGINATED;
    int err = dirty_set(&t->originated, index);
    if (!err) {
        e->sources |= ENTRY_ORIGINATED | ENTRY_WAS_ORIGINATED;
        err = path_put(r, f, p, &fresh, 0, a);
    }
    if (err && !had) {
        dirty_clear(&t->originated, index);
        e->sources &= (uint8_t)~ENTRY_ORIGINATED;
        rib_release(r, f, index);
    }
    return err;
}

int rib_unoriginate(struct rib *r, enum family f, const struct prefix *p)
{
    uint32_t index = table_find(&r->table[f], p);
    if (!index || !(table_entry(&r->table[f], index)->sources & ENTRY_ORIGINATED))
        return 0;
    dirty_clear(&r->table[f].originated, index);
    table_entry(&r->table[f], index)->sources &= (uint8_t)~ENTRY_ORIGINATED;
    return rib_withdraw(r, f, p, &r->sources[0]->pub, 0);
}

void rib_stats(const struct rib *r, struct rib_stats *out)
{
    *out =
        (struct rib_stats){.path_bytes = slab_memory(&r->paths) + path_ids_memory(r), .version = r->version};
    for (enum family f = 0; f < FAM_COUNT; f++) {
        const struct rib_table *t = &r->table[f];
        out->prefixes[f] = t->entries.used;
        out->paths[f] = r->n_paths[f];
        out->table_bytes += slab_memory(&t->entries);
        out->index_bytes += ixhash_memory(&t->hash);
        out->fib[f][FIB_NONE] = t->entries.used;
        for (int s = FIB_PENDING; s <= FIB_FAILED; s++) {
            out->fib[f][s] = t->fib[s];
            out->fib[f][FIB_NONE] -= t->fib[s];
        }
    }
}
