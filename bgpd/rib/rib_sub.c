/* Subscribers of the RIB: what is marked dirty for whom, and when an entry may go.
 *
 * Two lists, because a node may feed hundreds of peers with the few prefixes it originates: those are not
 * even looked at when a learned prefix changes or goes. An entry that was never originated cannot be known to
 * them.
 *
 * Out of memory for a bit is not an error that anybody could answer: the walk of the background then marks
 * everything again until it fits. */
#include <errno.h>

#include "rib/rib_int.h"

static void sub_mark(struct rib *r, struct rib_sub *s, enum family f, uint32_t index)
{
    bool was_empty = !s->dirty[f].count;
    if (dirty_set(&s->dirty[f], index))
        sweep_want(r, SWEEP_MARK);
    else if (was_empty && s->wake)
        s->wake(s->arg);
}

static bool sub_cares(const struct rib_sub *s, enum family f, unsigned what)
{
    return s->family[f] && (what & HINT_BEST || (s->forwarding && what & HINT_FORWARDING) ||
                            (s->all_paths[f] && what & HINT_PATHS));
}

void subs_mark(struct rib *r, enum family f, uint32_t index, unsigned what)
{
    for (struct rib_sub *s = r->subs; s; s = s->next_)
        if (sub_cares(s, f, what))
            sub_mark(r, s, f, index);
    for (struct rib_sub *s = what & HINT_ORIGINATED ? r->subs_originated : NULL; s; s = s->next_)
        if (sub_cares(s, f, what))
            sub_mark(r, s, f, index);
}

static bool list_holds(const struct rib_sub *s, enum family f, uint32_t index)
{
    for (; s; s = s->next_)
        if (s->family[f] && (dirty_test(&s->dirty[f], index) || (s->holds && s->holds(s->arg, f, index))))
            return true;
    return false;
}

void entry_release(struct rib *r, enum family f, uint32_t index)
{
    const struct rib_entry *e = table_entry(&r->table[f], index);
    if (e->paths || e->fib != FIB_NONE || list_holds(r->subs, f, index) ||
        (e->sources & ENTRY_WAS_ORIGINATED && list_holds(r->subs_originated, f, index)))
        return;
    table_remove(&r->table[f], index);
    r->idle--;
}

void rib_release(struct rib *r, enum family f, uint32_t index)
{
    if (rib_entry_used(r, f, index))
        entry_release(r, f, index);
}

void rib_subscribe(struct rib *r, struct rib_sub *s)
{
    struct rib_sub **list = s->originated_only ? &r->subs_originated : &r->subs;
    s->next_ = *list;
    *list = s;
}

static void sub_unlink(struct rib_sub **list, struct rib_sub *s)
{
    while (*list && *list != s)
        list = &(*list)->next_;
    if (*list)
        *list = s->next_;
}

void rib_unsubscribe(struct rib *r, struct rib_sub *s)
{
    sub_unlink(&r->subs, s);
    sub_unlink(&r->subs_originated, s);
    for (enum family f = 0; f < FAM_COUNT; f++)
        dirty_reset(&s->dirty[f]);
    if (r->idle)
        sweep_want(r, SWEEP_RELEASE);
}

void rib_sub_set_originated_only(struct rib *r, struct rib_sub *s, bool on)
{
    if (s->originated_only == on)
        return;
    sub_unlink(s->originated_only ? &r->subs_originated : &r->subs, s);
    s->originated_only = on;
    rib_subscribe(r, s);
}

int rib_mark_all(struct rib *r, struct rib_sub *s, enum family f)
{
    if (!s->family[f])
        return 0;
    bool was_empty = !s->dirty[f].count;
    int err = 0;
    if (s->originated_only) {
        const struct dirty *o = &r->table[f].originated;
        for (uint32_t i = dirty_next(o, 0); i != DIRTY_NONE && !err; i = dirty_next(o, i + 1))
            err = dirty_set(&s->dirty[f], i);
    } else {
        /* Index 0 and unused ones are set too; whoever serves them finds nothing there. */
        err = rib_limit(r, f) > 1 ? dirty_fill(&s->dirty[f], rib_limit(r, f)) : 0;
    }
    if (was_empty && s->dirty[f].count && s->wake)
        s->wake(s->arg);
    return err;
}
