/* Routes: the speaker's last word on a prefix, what the kernel has of ours there, and batches that bring them
 * together.
 *
 * Nothing here is a queue of operations. A pending route is one whose wish and kernel state may differ; which
 * operation that takes is decided when its turn comes (routes_target against have), so the last word wins by
 * itself and a batch never carries two changes of one prefix. Adds are exclusive; a replace is only sent over
 * what we know to be ours, since the kernel's replace does not ask whose route it is.
 *
 * A turn of the loop writes one batch at most, and none while the speaker does not take its results. Every
 * fm_route is answered, and a later change of state (a next hop that goes, a connected prefix that comes) is
 * reported unasked.
 *
 * Not here: which pending routes come next (routes_queue.c), walks over the whole table (routes_check.c),
 * what a group is (groups.c).
 */
#include "fib/routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fib/groups.h"
#include "fib/links.h"
#include "fib/reconcile.h"
#include "fib/routes_internal.h"

#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS   60000
#define RESULTS_MAX    4096
#define AHEAD          8 /* records: what it takes to fetch one from memory */

struct batch {
    unsigned n;
    uint32_t ref[KERNEL_BATCH_MAX]; /* as in the queue */
    uint32_t target[KERNEL_BATCH_MAX];
    enum kernel_op op[KERNEL_BATCH_MAX];
    int errors[KERNEL_BATCH_MAX];
};

static bool write_batch(void *arg);

static void retry_due(void *arg)
{
    routes_retry(arg);
}

static void hold_due(void *arg)
{
    routes_wake(arg);
}

struct routes *routes_new(struct fib *f)
{
    struct routes *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->f = f;
    r->random = loop_now_us() | 1;
    r->retry_ms = RETRY_FIRST_MS;
    r->results = malloc(RESULTS_MAX * sizeof *r->results);
    r->writer = task_new(f->loop, write_batch, r);
    r->walker = task_new(f->loop, routes_walk, r);
    r->retry = timer_new(f->loop, retry_due, r);
    r->heal = timer_new(f->loop, routes_heal, r);
    r->hold = timer_new(f->loop, hold_due, r);
    for (enum family fam = 0; fam < FAM_COUNT; fam++)
        route_table_init(&r->tables[fam], fam);
    if (!r->results || !r->writer || !r->walker || !r->retry || !r->heal || !r->hold) {
        routes_free(r);
        return NULL;
    }
    return r;
}

void routes_free(struct routes *r)
{
    if (!r)
        return;
    for (enum family f = 0; f < FAM_COUNT; f++)
        route_table_reset(&r->tables[f]);
    task_free(r->writer);
    task_free(r->walker);
    timer_free(r->retry);
    timer_free(r->heal);
    timer_free(r->hold);
    routes_queue_reset(r);
    free(r->strays);
    free(r->results);
    free(r);
}

struct prefix routes_prefix(enum family f, const struct route *e)
{
    struct ip_addr a = addr_from_bytes(family_to_af(f), e->addr);
    return prefix_make(&a, e->len);
}

void routes_flush_results(struct routes *r)
{
    if (r->n_results)
        fib_tell(r->f, FM_ROUTE_RESULTS, r->results, r->n_results);
    r->n_results = 0;
}

static void add_result(struct routes *r, uint8_t af, uint8_t op, uint32_t cookie, int32_t error)
{
    if (r->n_results == RESULTS_MAX)
        routes_flush_results(r);
    r->results[r->n_results++] = (struct fm_result){.cookie = cookie, .error = error, .op = op, .af = af};
}

static uint8_t op_of(const struct route *e)
{
    if (e->flags & RF_UNREACHABLE)
        return e->want ? FM_ROUTE_UNREACHABLE : FM_ROUTE_DEL_UNREACHABLE;
    return e->want == ROUTE_BLACKHOLE ? FM_ROUTE_BLACKHOLE : e->want ? FM_ROUTE_SET : FM_ROUTE_DEL;
}

void routes_set_have(struct routes *r, struct route *e, uint32_t have)
{
    uint32_t old = e->have;

    e->flags &= ~(unsigned)RF_UNSEEN;
    if (old == have)
        return;
    if (route_is_over_group(have))
        groups_hold(r->f->groups, have);
    e->have = have;
    r->installed += (have != 0) - (old != 0);
    if (route_is_over_group(old))
        groups_release(r->f->groups, old);
}

void routes_set_want(struct routes *r, struct route *e, uint32_t want)
{
    uint32_t old = e->want;

    if (route_is_over_group(want))
        groups_want(r->f->groups, want);
    e->want = want;
    if (route_is_over_group(old))
        groups_unwant(r->f->groups, old);
}

void routes_set_error(struct routes *r, struct route *e, enum route_error error)
{
    r->failed += (error == RE_FAILED) - (e->error == RE_FAILED);
    e->error = error;
}

uint32_t routes_target(struct routes *r, enum family f, const struct route *e, enum route_error *why)
{
    *why = RE_NONE;
    if (!e->want || e->want == ROUTE_UNREACHABLE)
        return e->want;
    struct prefix p = routes_prefix(f, e);
    if (links_prefix_connected(r->f->links, &p)) {
        *why = RE_CONNECTED;
        return ROUTE_NONE;
    }
    if (e->want == ROUTE_BLACKHOLE)
        return e->want;
    /* The kernel takes no route with it, and drops those of IPv4. Those of IPv6 over nexthop objects it
     * keeps, and would send with an address that is nobody's. */
    if (r->sourceless[f]) {
        *why = RE_PREFSRC;
        return ROUTE_NONE;
    }
    uint32_t content = groups_usable(r->f->groups, e->want);
    if (!content)
        *why = RE_NEXTHOP;
    return content;
}

void routes_release(struct routes *r, enum family f, uint32_t i)
{
    struct route *e = route_at(&r->tables[f], i);

    if (e->want || e->have || (e->flags & RF_PENDING))
        return;
    routes_set_error(r, e, RE_NONE);
    route_table_remove(&r->tables[f], i);
}

static int answer_at_once(struct routes *r, const struct fm_route *m, int error)
{
    add_result(r, m->af, m->op, m->cookie, error);
    return error;
}

static bool names_unreachable(const struct fm_route *m)
{
    return m->op == FM_ROUTE_UNREACHABLE || m->op == FM_ROUTE_DEL_UNREACHABLE;
}

void routes_prefetch(const struct routes *r, const struct fm_route *m)
{
    enum family f = m->af == AF_INET6 ? FAM_IPV6 : FAM_IPV4;
    route_table_prefetch(&r->tables[f], m->addr, m->len, names_unreachable(m));
}

void routes_prefetch_route(const struct routes *r, const struct fm_route *m)
{
    enum family f = m->af == AF_INET6 ? FAM_IPV6 : FAM_IPV4;
    route_table_prefetch_route(&r->tables[f], m->addr, m->len, names_unreachable(m));
}

int routes_apply(struct routes *r, const struct fm_route *m)
{
    enum family f = family_of_af(m->af);
    struct route_table *t = &r->tables[f];
    bool unreachable = names_unreachable(m);
    bool del = m->op == FM_ROUTE_DEL || m->op == FM_ROUTE_DEL_UNREACHABLE;

    if (!r->f->install)
        return answer_at_once(r, m, 0);
    /* The kernel refuses an IPv6 route over a group with an IPv4 member; IPv4 over IPv6 is fine. */
    if (m->op == FM_ROUTE_SET && m->af == AF_INET6 && groups_has_ipv4(r->f->groups, m->group))
        return answer_at_once(r, m, -EAFNOSUPPORT);
    uint32_t i = del ? route_table_find(t, m->addr, m->len, unreachable)
                     : route_table_get(t, m->addr, m->len, unreachable);
    if (!i)
        return answer_at_once(r, m, del ? 0 : -ENOMEM);
    struct route *e = route_at(t, i);
    if (e->flags & RF_OWED)
        add_result(r, m->af, op_of(e), e->cookie, -ECANCELED);
    e->cookie = m->cookie;
    e->flags = (e->flags | RF_OWED) & ~(unsigned)RF_UNCONFIRMED;
    routes_set_want(r, e,
                    del                           ? ROUTE_NONE
                    : unreachable                 ? ROUTE_UNREACHABLE
                    : m->op == FM_ROUTE_BLACKHOLE ? ROUTE_BLACKHOLE
                                                  : m->group);
    routes_enqueue(r, f, i);
    return 0;
}

/* The outcome for route i is known: error is one of FM_E_*, -errno or 0; told when owed, or when it is news.
 */
static void settle(struct routes *r, enum family f, uint32_t i, enum route_error state, int error)
{
    struct route *e = route_at(&r->tables[f], i);

    if ((e->flags & RF_OWED) || (e->want && e->error != state))
        add_result(r, family_to_af(f), op_of(e), e->cookie, error);
    e->flags &= ~(unsigned)RF_OWED;
    routes_set_error(r, e, state);
    routes_release(r, f, i);
}

static int code_of(enum route_error why)
{
    switch (why) {
    case RE_CONNECTED:
        return FM_E_CONNECTED;
    case RE_CONFLICT:
        return FM_E_CONFLICT;
    case RE_NEXTHOP:
        return FM_E_NEXTHOP;
    case RE_PREFSRC:
        return FM_E_PREFSRC;
    default:
        return 0;
    }
}

/* What a pending route takes: an operation into the batch, or nothing, which settles it here. */
static void plan(struct routes *r, struct batch *b, uint32_t ref)
{
    enum family f = routes_ref_family(ref);
    uint32_t i = routes_ref_index(ref);
    struct route *e = route_at(&r->tables[f], i);
    enum route_error why;

    e->flags &= ~(unsigned)RF_PENDING;
    if (route_is_over_group(e->have) && groups_is_dead(r->f->groups, e->have))
        routes_set_have(r, e, ROUTE_NONE);
    if (e->flags & RF_UNCONFIRMED) {
        routes_release(r, f, i);
        return;
    }
    uint32_t target = routes_target(r, f, e, &why);
    if (target == e->have) {
        settle(r, f, i, why, code_of(why));
        return;
    }
    enum kernel_op op = !target ? KERNEL_DELETE : e->have ? KERNEL_REPLACE : KERNEL_ADD;
    struct kernel_route kr = {.af = family_to_af(f),
                              .len = (uint8_t)e->len,
                              .unreachable = e->flags & RF_UNREACHABLE,
                              .blackhole = target == ROUTE_BLACKHOLE,
                              .addr = e->addr,
                              .nexthop_id =
                                  route_is_over_group(target) ? groups_kernel_id(r->f->groups, target) : 0};
    if (kernel_route(r->f->kernel, op, &kr) < 0) {
        routes_enqueue(r, f, i);
        return;
    }
    b->ref[b->n] = ref;
    b->target[b->n] = target;
    b->op[b->n++] = op;
}

static const char *const refusals[] = {
    [KERNEL_ADD] = "route failed: the kernel refused it",
    [KERNEL_REPLACE] = "route failed: the kernel refused the change",
    [KERNEL_DELETE] = "route not removed: the kernel refused it",
};

static void complain(struct routes *r, const struct prefix *p, const char *what, int rc)
{
    uint32_t swallowed;

    if (log_limit_ok(&r->failures, loop_now_ms(), &swallowed))
        log_warn(what, F_PREFIX("prefix", p), F_ERR(rc), F_UINT_IF("suppressed", swallowed));
}

static void finish(struct routes *r, enum family f, uint32_t i, enum kernel_op op, uint32_t target, int rc)
{
    struct route *e = route_at(&r->tables[f], i);
    enum route_error why = RE_NONE;

    if (op == KERNEL_DELETE && rc == -ESRCH)
        rc = 0;
    if (!rc) {
        routes_set_have(r, e, target);
        if (!target)
            routes_target(r, f, e, &why);
        settle(r, f, i, why, code_of(why));
    } else if (op == KERNEL_ADD && rc == -EEXIST) {
        /* Somebody else's, as far as we know; if it is ours after all, the check finds it. */
        if (e->error != RE_CONFLICT) {
            struct prefix p = routes_prefix(f, e);
            complain(r, &p, "route failed: another protocol's route is in the place", rc);
            reconcile_request(r->f->reconcile);
        }
        settle(r, f, i, RE_CONFLICT, FM_E_CONFLICT);
    } else if (op == KERNEL_REPLACE && (rc == -ENOENT || rc == -ESRCH)) {
        routes_set_have(r, e, ROUTE_NONE);
        routes_enqueue(r, f, i);
    } else {
        struct prefix p = routes_prefix(f, e);
        complain(r, &p, refusals[op], rc);
        if (rc == -EINPROGRESS)
            reconcile_request(r->f->reconcile);
        settle(r, f, i, RE_FAILED, rc);
        if (!timer_running(r->retry))
            timer_set(r->retry, r->retry_ms);
    }
}

static void bulk_over(struct routes *r)
{
    r->bulk = false;
    fib_monitor_routes(r->f, true);
    reconcile_request(r->f->reconcile); /* what happened while nobody listened */
}

static void queue_empty(struct routes *r)
{
    if (r->bulk)
        bulk_over(r);
    if (!r->failed)
        r->retry_ms = RETRY_FIRST_MS;
}

static bool write_batch(void *arg)
{
    struct routes *r = arg;
    struct batch b;
    uint32_t taken[KERNEL_BATCH_MAX];

    if (r->checking || (r->f->chan && !fibchan_room(r->f->chan)))
        return false; /* routes_check_end or routes_wake goes on */
    b.n = 0;
    unsigned n = routes_take(r, taken, KERNEL_BATCH_MAX);
    if (!n && routes_queued(r))
        return false; /* the timer goes on, or what comes next */
    for (unsigned i = 0; i < n; i++)
        plan(r, &b, taken[i]);
    kernel_commit(r->f->kernel, b.errors);
    for (unsigned i = 0; i < b.n; i++) {
        if (i + AHEAD < b.n)
            routes_fetch(r, b.ref[i + AHEAD]);
        finish(r, routes_ref_family(b.ref[i]), routes_ref_index(b.ref[i]), b.op[i], b.target[i], b.errors[i]);
    }
    if (b.n)
        r->written_ms = loop_now_ms();
    routes_flush_results(r);
    if (!routes_queued(r))
        queue_empty(r);
    return routes_queued(r);
}

void routes_wake(struct routes *r)
{
    task_wake(r->writer);
}

void routes_retry(struct routes *r)
{
    timer_stop(r->retry);
    if (!r->failed && !r->walk_again)
        return;
    r->retry_ms = r->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : r->retry_ms * 2;
    r->walk_failed = true;
    routes_rescan(r);
}

static bool prefsrc_is_missing(const struct routes *r, enum family f)
{
    const struct fm_settings *s = &r->f->settings;
    struct ip_addr a = fm_addr(family_to_af(f), f == FAM_IPV6 ? s->prefsrc_ipv6 : s->prefsrc_ipv4);
    return !addr_is_unspecified(&a) && !links_is_own(r->f->links, &a, 0);
}

void routes_sources_changed(struct routes *r)
{
    for (enum family f = 0; f < FAM_COUNT; f++) {
        bool missing = prefsrc_is_missing(r, f);
        if (missing == r->sourceless[f])
            continue;
        r->sourceless[f] = missing;
        if (missing)
            log_warn("fib.prefsrc is no address of this host; routes wait for it",
                     F_STR("family", family_name(f)));
        routes_rescan(r);
    }
}

void routes_recheck(struct routes *r, const struct prefix *p)
{
    enum family f = addr_family(&p->addr);
    uint32_t i = route_table_find(&r->tables[f], p->addr.b, p->len, false);

    if (i && !(route_at(&r->tables[f], i)->flags & RF_UNCONFIRMED))
        routes_enqueue(r, f, i);
}

void routes_count(const struct routes *r, struct routes_counts *out)
{
    *out =
        (struct routes_counts){.installed = r->installed, .pending = routes_queued(r), .failed = r->failed};
    for (enum family f = 0; f < FAM_COUNT; f++) {
        out->routes += r->tables[f].used;
        out->memory += route_table_memory(&r->tables[f]);
    }
}

bool routes_swept(const struct routes *r)
{
    return r->swept;
}

bool routes_bulk(const struct routes *r)
{
    return r->bulk;
}

bool routes_waiting(const struct routes *r)
{
    return routes_queued(r);
}

bool routes_busy(const struct routes *r, uint64_t quiet_ms)
{
    return routes_queued(r) || (r->written_ms && loop_now_ms() - r->written_ms < quiet_ms);
}
