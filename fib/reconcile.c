/* Reconcile: the kernel's nexthop objects and routes of our protocol against our view of them.
 *
 * One procedure serves three occasions. At start it adopts what a former life left, so that a restart neither
 * loses nor rewrites a route that is learned again. After lost events (ENOBUFS) and after a bulk load, during
 * which the monitor did not listen, it finds what went missing or was changed under our protocol.
 *
 * Nexthop objects are few: they are dumped in one go. Routes are dumped a buffer a turn; while that goes on
 * none is written, so "not in the dump" means "not in the kernel". But routes come first: a check waits until
 * none is pending, and gives up and comes back when one is wanted meanwhile.
 */
#include "fib/reconcile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fib/groups.h"
#include "fib/nexthops.h"
#include "fib/routes.h"

#define REQUEST_MS   1000
#define HURRY_MS     50
#define QUIET_MS     2000  /* without a route written, before a check may begin */
#define PATIENCE_MS  30000 /* then it begins all the same */
#define MAX_ATTEMPTS 3     /* one after the other, when the table keeps changing under the dump */
#define SELDOM_MS    30000 /* between those that follow */

struct reconcile {
    struct fib *f;
    struct task *task;
    struct timer *timer;
    enum { RC_IDLE, RC_IPV4, RC_IPV6 } phase;
    bool complete;
    uint64_t asked_ms; /* the oldest request not served yet, 0: none */
    bool hurry;
    unsigned attempts;
    struct knexthop *found; /* our nexthop objects in the kernel */
    unsigned n_found;
};

static bool step(void *arg);

/* Routes come first: a check puts itself off while there are any, but not for ever. The one at start does not
 * wait. */
static bool may_wait(const struct reconcile *r)
{
    return r->asked_ms && loop_now_ms() - r->asked_ms < PATIENCE_MS;
}

static void due(void *arg)
{
    struct reconcile *r = arg;

    if (may_wait(r) && routes_busy(r->f->routes, r->hurry ? 0 : QUIET_MS))
        timer_set(r->timer, r->hurry ? HURRY_MS : REQUEST_MS);
    else
        reconcile_start(r);
}

struct reconcile *reconcile_new(struct fib *f)
{
    struct reconcile *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->f = f;
    r->task = task_new(f->loop, step, r);
    r->timer = timer_new(f->loop, due, r);
    if (r->task && r->timer)
        return r;
    reconcile_free(r);
    return NULL;
}

void reconcile_free(struct reconcile *r)
{
    if (!r)
        return;
    task_free(r->task);
    timer_free(r->timer);
    free(r->found);
    free(r);
}

void reconcile_request(struct reconcile *r)
{
    if (!r->f->install)
        return;
    if (!r->asked_ms)
        r->asked_ms = loop_now_ms();
    if (!timer_running(r->timer))
        timer_set(r->timer, REQUEST_MS);
}

void reconcile_hurry(struct reconcile *r)
{
    reconcile_request(r);
    if (!r->asked_ms)
        return;
    r->hurry = true;
    timer_set(r->timer, HURRY_MS);
}

static void on_nexthop(void *arg, const struct kevent *ev)
{
    struct reconcile *r = arg;

    if (ev->type != KEVENT_NEXTHOP || ev->u.nexthop.protocol != r->f->settings.protocol)
        return;
    nexthops_note_id(r->f->nexthops, ev->u.nexthop.id);
    if ((r->n_found & (r->n_found - 1)) == 0) {
        struct knexthop *grown = realloc(r->found, (r->n_found ? r->n_found * 2 : 1) * sizeof *grown);
        if (!grown)
            return;
        r->found = grown;
    }
    r->found[r->n_found++] = ev->u.nexthop;
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = ((const struct knexthop *)a)->id, y = ((const struct knexthop *)b)->id;
    return (x > y) - (x < y);
}

static bool was_found(const struct reconcile *r, uint32_t id)
{
    const struct knexthop key = {.id = id};
    return r->n_found && bsearch(&key, r->found, r->n_found, sizeof key, by_id);
}

/* 0, or why the kernel's nexthop objects could not be read. */
static int check_nexthops(struct reconcile *r)
{
    struct fib *f = r->f;
    uint32_t at = 0, id;
    bool lost = false;

    r->n_found = 0;
    int rc = kernel_dump(f->kernel, KEVENT_NEXTHOP, AF_UNSPEC, on_nexthop, r);
    if (rc)
        return rc;
    if (r->n_found)
        qsort(r->found, r->n_found, sizeof *r->found, by_id);
    while ((id = hops_next_id(f->nexthops, &at)))
        if (!was_found(r, id)) {
            hops_mark_lost(f->nexthops, hops_by_kernel_id(f->nexthops, id));
            lost = true;
        }
    if (lost)
        groups_hops_lost(f->groups);
    for (at = 0; (id = groups_next_id(f->groups, &at));)
        if (!was_found(r, id))
            groups_lost(f->groups, groups_by_kernel_id(f->groups, id));
    for (unsigned i = 0; i < r->n_found; i++)
        if (!r->found[i].n_members && r->found[i].gateway.af)
            hops_adopt(f->nexthops, &r->found[i]);
    for (unsigned i = 0; i < r->n_found; i++)
        if (r->found[i].n_members)
            groups_adopt(f->groups, &r->found[i]);
    free(r->found);
    r->found = NULL;
    fib_nexthops_changed(f, true);
    return 0;
}

void reconcile_nexthops(struct reconcile *r)
{
    int rc = check_nexthops(r);

    if (rc)
        reconcile_request(r);
}

static void finish(struct reconcile *r, int error)
{
    r->phase = RC_IDLE;
    routes_check_end(r->f->routes, r->complete && !error);
    fib_examined(r->f);
    if (routes_swept(r->f->routes)) {
        groups_sweep(r->f->groups);
        hops_sweep(r->f->nexthops);
    }
    if (!error && r->complete) {
        r->attempts = 0;
        r->asked_ms = 0;
        return;
    }
    if (error)
        log_warn("the kernel's routes could not be read", F_ERR(error));
    r->asked_ms = 0;
    reconcile_request(r);
    if (++r->attempts >= MAX_ATTEMPTS)
        timer_set(r->timer, SELDOM_MS);
}

void reconcile_start(struct reconcile *r)
{
    if (!r->f->install || r->phase != RC_IDLE)
        return;
    timer_stop(r->timer);
    r->hurry = false;
    int rc = check_nexthops(r);
    routes_check_begin(r->f->routes);
    r->phase = RC_IPV4;
    r->complete = true;
    if (!rc)
        rc = kernel_dump_start(r->f->kernel, KEVENT_ROUTE, AF_INET);
    if (rc)
        finish(r, rc);
    else
        task_wake(r->task);
}

static bool give_way(struct reconcile *r)
{
    if (!may_wait(r) || !routes_waiting(r->f->routes) || kernel_dump_abort(r->f->kernel))
        return false;
    r->phase = RC_IDLE;
    routes_check_end(r->f->routes, false);
    reconcile_request(r);
    return true;
}

static void on_route(void *arg, const struct kevent *ev)
{
    struct reconcile *r = arg;

    if (ev->type == KEVENT_ROUTE)
        routes_check_seen(r->f->routes, &ev->u.route);
}

static bool step(void *arg)
{
    struct reconcile *r = arg;

    if (r->phase == RC_IDLE || give_way(r))
        return false;
    int rc = kernel_dump_step(r->f->kernel, on_route, r);
    if (rc > 0)
        return true;
    if (rc == -EINTR) {
        r->complete = false;
        rc = 0;
    }
    if (!rc && r->phase == RC_IPV4) {
        r->phase = RC_IPV6;
        rc = kernel_dump_start(r->f->kernel, KEVENT_ROUTE, AF_INET6);
        if (!rc)
            return true;
    }
    finish(r, rc);
    return false;
}
