/* Background work over the whole table, in bounded steps between which everything else goes on.
 *
 * There is one walk, round and round over both families, and several reasons for it. A reason that arrives
 * notes the position at which the walk will have come round once; when the walk is there, that reason is
 * done. So a second reason joins a walk that is under way, and one that comes again only moves its end:
 * nothing restarts and nothing is queued. What enters the table meanwhile needs no visit, as it was judged by
 * the new state when it came.
 *
 * A position is the round, the family and the index in one number that only grows. Old paths are counted, so
 * their walk ends with the last of them. */
#include "rib/rib_int.h"

#define ROUND (1ull << 40)
#define STEP  4096 /* entries, and paths beside their first */

static bool work_left(const struct rib *r)
{
    return r->old_paths || r->pos < r->decide_end || r->pos < r->import_end || r->pos < r->mark_end ||
           r->pos < r->long_end || (r->idle && r->pos < r->release_end);
}

uint64_t sweep_end(const struct rib *r)
{
    return r->pos + ROUND;
}

void sweep_want(struct rib *r, enum sweep_reason why)
{
    uint64_t end = sweep_end(r);
    switch (why) {
    case SWEEP_OLD_PATHS:
        break;
    case SWEEP_DECIDE:
        r->decide_end = end;
        break;
    case SWEEP_IMPORT:
        r->import_end = end;
        break;
    case SWEEP_MARK:
        r->mark_end = end;
        break;
    case SWEEP_RELEASE:
        r->release_end = end;
        break;
    case SWEEP_LONG_LIVED:
        r->long_end = end;
        break;
    }
    if (r->hooks.want_work && work_left(r))
        r->hooks.want_work(r->arg);
}

void rib_nexthop_changed(struct rib *r, uint32_t nexthop)
{
    (void)
        nexthop; /* to find its paths is the same walk, and to decide one of them is no more work than that */
    sweep_want(r, SWEEP_DECIDE);
}

void rib_reimport(struct rib *r, struct rib_peer *peer)
{
    for (uint32_t i = 1; i < r->n_sources; i++)
        if (r->sources[i] && (!peer || peer == &r->sources[i]->pub))
            r->sources[i]->import_end = sweep_end(r);
    sweep_want(r, SWEEP_IMPORT);
}

static unsigned import_again(struct rib *r, enum family f, const struct rib_entry *e)
{
    unsigned hints = 0;
    struct prefix prefix;
    rib_entry_prefix(r, f, e, &prefix);
    for (uint32_t i = e->paths; i; i = path_at(r, i)->next) {
        const struct rib_path *p = path_at(r, i);
        if (p->peer && r->pos < r->sources[p->peer]->import_end && !path_is_old(r, f, p))
            hints |= path_import_again(r, f, &prefix, i);
    }
    return hints;
}

void rib_reimport_prefix(struct rib *r, enum family f, const struct prefix *prefix)
{
    uint32_t index = table_find(&r->table[f], prefix);
    unsigned hints = 0;
    for (uint32_t i = index ? table_entry(&r->table[f], index)->paths : 0; i; i = path_at(r, i)->next)
        if (path_at(r, i)->peer && !path_is_old(r, f, path_at(r, i)))
            hints |= path_import_again(r, f, prefix, i);
    if (hints)
        entry_decide(r, f, index, hints);
}

static bool has_old_path(const struct rib *r, enum family f, const struct rib_entry *e)
{
    for (uint32_t i = e->paths; i; i = path_at(r, i)->next)
        if (path_is_old(r, f, path_at(r, i)))
            return true;
    return false;
}

/* How many paths beside the first it has looked at. */
static unsigned visit(struct rib *r, enum family f, uint32_t index)
{
    struct rib_entry *e = table_entry(&r->table[f], index);
    unsigned hints = 0, others = 0;
    if (!(e->sources & ENTRY_USED))
        return 0;
    for (uint32_t i = e->paths; i && (i = path_at(r, i)->next);)
        others++;
    if (r->pos < r->mark_end)
        subs_mark(r, f, index, HINT_BEST | (e->sources & ENTRY_WAS_ORIGINATED ? HINT_ORIGINATED : 0));
    if (r->pos < r->import_end)
        hints |= import_again(r, f, e);
    if (r->pos < r->long_end && e->paths)
        path_long_lived(r, f, e, &hints);
    if (hints || (e->paths && (r->pos < r->decide_end || r->pos < r->import_end || r->pos < r->long_end ||
                               (r->old_paths && has_old_path(r, f, e)))))
        entry_decide(r, f, index, hints);
    else if (!e->paths)
        entry_release(r, f, index);
    return others;
}

bool rib_has_work(const struct rib *r)
{
    return work_left(r);
}

bool rib_work(struct rib *r)
{
    for (unsigned n = 0; n < STEP && work_left(r); n++) {
        enum family f = r->pos >> 32 & 1;
        uint32_t index = (uint32_t)r->pos;
        if (index < rib_limit(r, f)) {
            n += visit(r, f, index);
            r->pos++;
        } else {
            r->pos +=
                (f == FAM_IPV4 ? 1ull << 32 : ROUND - (1ull << 32)) - index + 1; /* no entry has index 0 */
        }
    }
    return work_left(r);
}
