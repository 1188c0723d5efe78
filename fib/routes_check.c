/* Walks over every route: after groups changed, when a speaker goes, at the sweep, and around a dump of the
 * kernel's routes.
 *
 * The walk after a change of groups is cut into steps, for a million routes must not hold up the loop. The
 * others only touch flags in memory (some ms a million) and are done in one go, because what follows must see
 * all or nothing.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "fib/groups.h"
#include "fib/routes_internal.h"

#define WALK_STEP    32768u
#define WORST_METRIC 4294967295u

static bool have_is_dead(const struct routes *r, const struct route *e)
{
    return route_is_over_group(e->have) && groups_is_dead(r->f->groups, e->have);
}

/* Queues route i when the kernel may have to change for it. */
static void look_at(struct routes *r, enum family f, uint32_t i)
{
    struct route *e = route_at(&r->tables[f], i);
    enum route_error why;

    if (!(e->flags & RF_USED) || (e->flags & RF_PENDING))
        return;
    bool died = have_is_dead(r, e);
    if (died)
        routes_set_have(r, e, ROUTE_NONE);
    if (e->flags & RF_UNCONFIRMED) {
        routes_release(r, f, i);
        return;
    }
    if (e->error == RE_CONFLICT && !died)
        return; /* tried again when the place is free */
    uint32_t target = routes_target(r, f, e, &why);
    if (e->error == RE_FAILED && target && !died && !r->walk_failed)
        return;
    if (target != e->have || why != e->error)
        routes_enqueue(r, f, i);
}

bool routes_walk(void *arg)
{
    struct routes *r = arg;
    uint32_t budget = WALK_STEP;

    while (budget) {
        struct route_table *t = &r->tables[r->walk_family];
        if (r->walk_at < t->n) {
            look_at(r, r->walk_family, r->walk_at++);
            budget--;
        } else if (r->walk_family == FAM_IPV4) {
            r->walk_family = FAM_IPV6;
            r->walk_at = 1;
        } else if (r->walk_again) {
            r->walk_again = false;
            r->walk_family = FAM_IPV4;
            r->walk_at = 1;
        } else {
            r->walk_failed = false;
            r->walk_at = 0;
            return false;
        }
    }
    return true;
}

void routes_rescan(struct routes *r)
{
    if (r->walk_at) {
        r->walk_again = true;
        return;
    }
    r->walk_again = false;
    r->walk_family = FAM_IPV4;
    r->walk_at = 1;
    task_wake(r->walker);
}

/* Somebody else's route at the place of route i of ours. */
static void foreign_event(struct routes *r, enum family f, uint32_t i, const struct kroute *k, bool deleted)
{
    struct route *e = route_at(&r->tables[f], i);

    if (!deleted && k->replaced && e->have)
        routes_set_have(r, e, ROUTE_NONE);
    else if (!deleted || e->error != RE_CONFLICT)
        return;
    if (e->flags & RF_UNCONFIRMED)
        routes_release(r, f, i);
    else
        routes_enqueue(r, f, i);
}

/* Whether k is what route e of ours is believed to be. */
static bool shows(const struct routes *r, const struct route *e, const struct kroute *k)
{
    if (e->have == ROUTE_BLACKHOLE)
        return k->type == RTN_BLACKHOLE;
    return route_is_over_group(e->have) && k->nexthop_id == groups_kernel_id(r->f->groups, e->have);
}

/* The word that k was deleted is old: it went with a group that e was moved from, or was put back since. */
static bool is_late(const struct routes *r, const struct route *e, const struct kroute *k)
{
    bool known = e->have == ROUTE_BLACKHOLE || route_is_over_group(e->have);
    return known && (k->nexthop_id || k->type == RTN_BLACKHOLE) && !shows(r, e, k);
}

void routes_event(struct routes *r, const struct kroute *k, bool deleted)
{
    enum family f = addr_family(&k->prefix.addr);
    const struct fm_settings *s = &r->f->settings;
    bool unreachable = k->type == RTN_UNREACHABLE && k->metric == WORST_METRIC;

    if (!r->f->install || k->table != s->table || (!unreachable && k->metric != s->metric))
        return;
    uint32_t i = route_table_find(&r->tables[f], k->prefix.addr.b, k->prefix.len, unreachable);
    if (!i)
        return;
    struct route *e = route_at(&r->tables[f], i);
    if (deleted && is_late(r, e, k))
        return;
    if (k->protocol != s->protocol) {
        foreign_event(r, f, i, k, deleted);
        return;
    }
    if (deleted)
        routes_set_have(r, e, ROUTE_NONE);
    else if (!unreachable && !shows(r, e, k))
        routes_set_have(r, e, ROUTE_OTHER);
    else
        return;
    if (!timer_running(r->heal)) {
        timer_set(r->heal, heal_delay(&r->healing, loop_now_ms()));
        r->taken = i | (f == FAM_IPV6 ? ROUTE_REF_IPV6 : 0);
        r->n_taken = 0;
    }
    r->n_taken++;
    if (e->flags & RF_UNCONFIRMED)
        routes_release(r, f, i);
}

/* What the kernel took away itself, because a link went down, it does not take back yet. */
static bool was_taken_by_others(struct routes *r, enum family f, uint32_t i)
{
    const struct route *e = i < r->tables[f].n ? route_at(&r->tables[f], i) : NULL; /* all may be gone */
    enum route_error why;
    uint32_t target = e && e->flags & RF_USED ? routes_target(r, f, e, &why) : ROUTE_NONE;
    return target && target != e->have;
}

void routes_heal(void *arg)
{
    struct routes *r = arg;
    enum family f = routes_ref_family(r->taken);
    uint32_t i = routes_ref_index(r->taken);

    if (was_taken_by_others(r, f, i) && heal_is_news(&r->healing)) {
        struct prefix p = routes_prefix(f, route_at(&r->tables[f], i));
        log_warn("routes of ours were deleted or changed by another program; they are put back",
                 F_PREFIX("prefix", &p), F_UINT("routes", r->n_taken));
    }
    routes_rescan(r);
}

#define FOR_EACH_ROUTE(r, f, i, e)                                                                           \
    for (enum family f = 0; f < FAM_COUNT; f++)                                                              \
        for (uint32_t i = 1; i < (r)->tables[f].n; i++)                                                      \
            for (struct route *e = route_at(&(r)->tables[f], i); e && (e->flags & RF_USED); e = NULL)

void routes_speaker_gone(struct routes *r)
{
    routes_queue_reset(r);
    r->n_results = 0;
    r->swept = false;
    FOR_EACH_ROUTE(r, f, i, e)
    {
        e->flags = (e->flags | RF_UNCONFIRMED) & ~(unsigned)(RF_PENDING | RF_OWED);
        if (have_is_dead(r, e))
            routes_set_have(r, e, ROUTE_NONE);
        routes_set_want(r, e, ROUTE_NONE);
        routes_set_error(r, e, RE_NONE);
        routes_release(r, f, i);
    }
    task_wake(r->writer); /* which finds nothing to do, and ends a bulk load */
}

void routes_sweep(struct routes *r)
{
    uint32_t swept = r->n_strays;

    r->swept = true;
    for (uint32_t i = 0; i < r->n_strays; i++)
        kernel_route_delete(r->f->kernel, &r->strays[i]);
    free(r->strays);
    r->strays = NULL;
    r->n_strays = 0;
    FOR_EACH_ROUTE(r, f, i, e)
    {
        if (!(e->flags & RF_UNCONFIRMED))
            continue;
        e->flags &= ~(unsigned)RF_UNCONFIRMED;
        routes_enqueue(r, f, i);
        swept++;
    }
    if (swept)
        log_info("routes that were not learned again are removed", F_UINT("routes", swept));
}

void routes_check_begin(struct routes *r)
{
    r->checking = true;
    r->n_strays = 0;
    FOR_EACH_ROUTE(r, f, i, e)
    {
        if (e->have)
            e->flags |= RF_UNSEEN;
    }
}

static void add_stray(struct routes *r, const struct kroute *k)
{
    if ((r->n_strays & (r->n_strays - 1)) == 0) {
        uint32_t size = r->n_strays ? r->n_strays * 2 : 1;
        struct kroute *grown = realloc(r->strays, size * sizeof *grown);
        if (!grown)
            return;
        r->strays = grown;
    }
    r->strays[r->n_strays++] = *k;
}

/* What have is when the kernel shows k. */
static uint32_t have_of(struct routes *r, const struct kroute *k)
{
    enum family f = addr_family(&k->prefix.addr);
    const struct fm_settings *s = &r->f->settings;
    struct ip_addr prefsrc = fm_addr(family_to_af(f), f == FAM_IPV6 ? s->prefsrc_ipv6 : s->prefsrc_ipv4);

    if (addr_is_unspecified(&prefsrc))
        prefsrc.af = 0;
    if (k->type == RTN_BLACKHOLE)
        return ROUTE_BLACKHOLE;
    if (k->type != RTN_UNICAST || memcmp(&k->prefsrc, &prefsrc, sizeof prefsrc))
        return ROUTE_OTHER;
    uint32_t content = groups_by_kernel_id(r->f->groups, k->nexthop_id);
    return content ? content : ROUTE_OTHER;
}

void routes_check_seen(struct routes *r, const struct kroute *k)
{
    enum family f = addr_family(&k->prefix.addr);
    const struct fm_settings *s = &r->f->settings;
    bool unreachable = k->type == RTN_UNREACHABLE && k->metric == WORST_METRIC;

    if (k->table != s->table || k->protocol != s->protocol || k->cloned)
        return;
    if (!unreachable && k->metric != s->metric) {
        add_stray(r, k);
        return;
    }
    uint32_t i = route_table_find(&r->tables[f], k->prefix.addr.b, k->prefix.len, unreachable);
    bool known = i;
    if (!known && !(i = route_table_get(&r->tables[f], k->prefix.addr.b, k->prefix.len, unreachable)))
        return;
    struct route *e = route_at(&r->tables[f], i);
    routes_set_have(r, e, unreachable ? ROUTE_UNREACHABLE : have_of(r, k));
    if (!known)
        e->flags |= RF_UNCONFIRMED;
}

void routes_check_end(struct routes *r, bool complete)
{
    uint32_t lost = 0;

    r->checking = false;
    FOR_EACH_ROUTE(r, f, i, e)
    {
        enum route_error why;
        if ((e->flags & RF_UNSEEN) && complete) {
            routes_set_have(r, e, ROUTE_NONE);
            lost++;
        }
        e->flags &= ~(unsigned)RF_UNSEEN;
        if ((e->flags & RF_UNCONFIRMED) && r->swept)
            e->flags &= ~(unsigned)RF_UNCONFIRMED;
        if (!(e->flags & RF_UNCONFIRMED) && routes_target(r, f, e, &why) != e->have &&
            e->error != RE_FAILED && (e->error != RE_CONFLICT || e->have))
            routes_enqueue(r, f, i);
        else
            routes_release(r, f, i);
    }
    if (lost)
        log_warn("routes were missing in the kernel", F_UINT("routes", lost));
    if (r->swept && r->n_strays)
        routes_sweep(r);
    task_wake(r->writer);
}

bool routes_are_checked(const struct routes *r)
{
    return r->checking;
}

bool routes_kept(const struct routes *r, enum family family)
{
    FOR_EACH_ROUTE((struct routes *)(uintptr_t)r, f, i, e)
    {
        if (f == family && e->flags & RF_UNCONFIRMED)
            return true;
    }
    return false;
}

void routes_delete_all(struct routes *r)
{
    struct kernel *k = r->f->kernel;
    int errors[KERNEL_BATCH_MAX];

    FOR_EACH_ROUTE(r, f, i, e)
    {
        if (!e->have || route_is_over_group(e->have))
            continue; /* those go with the groups */
        struct kernel_route kr = {.af = family_to_af(f),
                                  .len = (uint8_t)e->len,
                                  .unreachable = e->flags & RF_UNREACHABLE,
                                  .addr = e->addr};
        if (kernel_route(k, KERNEL_DELETE, &kr) < 0) {
            kernel_commit(k, errors);
            kernel_route(k, KERNEL_DELETE, &kr);
        }
    }
    kernel_commit(k, errors);
    for (uint32_t i = 0; i < r->n_strays; i++)
        kernel_route_delete(k, &r->strays[i]);
}
