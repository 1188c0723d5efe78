/* The kernel's news, and what follows from them: next hops are resolved again and groups with them, what
 * others took away is put back, and everything is looked at again when news were lost.
 */
#include <errno.h>
#include <string.h>

#include "fib/bfd.h"
#include "fib/groups.h"
#include "fib/internal.h"
#include "fib/links.h"
#include "fib/nexthops.h"
#include "fib/reconcile.h"
#include "fib/routes.h"

#define RESOLVE_SOON_MS 5   /* from a change to resolving next hops again, */
#define RESOLVE_MS      50  /* and between two times: changes come in bursts */
#define BULK_LOOK_MS    200 /* while the monitor does not hear of routes */
#define RETRY_FIRST_MS  1000
#define RETRY_MAX_MS    60000
#define EVENTS_PER_TURN 256

/* A part of the next hops, and of the groups that change with them. */
static bool resolve_step(void *arg)
{
    struct fib *f = arg;
    bool more = nexthops_resolve_step(f->nexthops);

    if (!groups_update(f->groups))
        f->resolve_refused = true;
    if (more || groups_behind(f->groups))
        return true;
    f->resolved_ms = loop_now_ms();
    if (f->resolve_refused)
        fib_nexthops_changed(f, false);
    else
        f->resolve_backoff_ms = RETRY_FIRST_MS;
    f->resolve_refused = false;
    if (routes_bulk(f->routes) && nexthops_depend_on_routes(f->nexthops) && !timer_running(f->resolve))
        timer_set(f->resolve, BULK_LOOK_MS);
    return false;
}

static void resolve_due(void *arg)
{
    struct fib *f = arg;

    nexthops_resolve(f->nexthops);
    groups_retry(f->groups);
    task_wake(f->resolver);
}

/* The first of a burst soon, the others together. */
void fib_nexthops_changed(struct fib *f, bool soon)
{
    if (soon) {
        uint64_t since = loop_now_ms() - f->resolved_ms;
        uint64_t wait = since + RESOLVE_SOON_MS < RESOLVE_MS ? RESOLVE_MS - since : RESOLVE_SOON_MS;
        if (!timer_running(f->resolve) || timer_remaining_ms(f->resolve) > wait)
            timer_set(f->resolve, wait);
    } else if (!timer_running(f->resolve)) {
        timer_set(f->resolve, f->resolve_backoff_ms);
        f->resolve_backoff_ms =
            f->resolve_backoff_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : f->resolve_backoff_ms * 2;
    }
}

void fib_monitor_routes(struct fib *f, bool on)
{
    kernel_monitor_routes(f->kernel, on);
    if (nexthops_depend_on_routes(f->nexthops))
        fib_nexthops_changed(f, true);
}

void fib_link_changed(struct fib *f, uint32_t ifindex, bool up)
{
    if (!up) {
        /* The kernel has deleted every nexthop on the link and what hung on it, and says nothing of that. */
        if (hops_link_down(f->nexthops, ifindex))
            groups_hops_lost(f->groups);
        nexthops_link_down(f->nexthops, ifindex);
        if (!groups_update(f->groups))
            f->resolve_refused = true;
        nexthops_tell_news(f->nexthops);
        task_wake(f->resolver); /* for what is left */
    }
    bfd_links_changed(f->bfd);
    fib_nexthops_changed(f, true);
}

void fib_address_changed(struct fib *f, const struct kaddress *a, bool deleted)
{
    struct prefix p = prefix_make(&a->subnet, a->len);
    const uint8_t *prefsrc = a->local.af == AF_INET6 ? f->settings.prefsrc_ipv6 : f->settings.prefsrc_ipv4;

    bfd_links_changed(f->bfd);
    routes_recheck(f->routes, &p);
    fib_nexthops_changed(f, true);
    if (!f->configured || memcmp(prefsrc, a->local.b, family_bytes(addr_family(&a->local))))
        return;
    /* The kernel drops IPv4 routes with a preferred source that goes, and refuses those of both families
     * until it is back. */
    routes_sources_changed(f->routes);
    if (deleted)
        reconcile_hurry(f->reconcile);
}

static void mend_due(void *arg)
{
    struct fib *f = arg;
    reconcile_nexthops(f->reconcile);
}

/* What others delete is taken out of our view at once; putting it back, and back to what it was, comes with
 * the next look at all of them. */
static void on_kernel_nexthop(struct fib *f, const struct knexthop *k, bool deleted)
{
    uint32_t group = groups_by_kernel_id(f->groups, k->id), hop = hops_by_kernel_id(f->nexthops, k->id);

    if (!nexthops_id_is_ours(f->nexthops, k->id) || (!group && !hop))
        return;
    if (deleted && group) {
        groups_lost(f->groups, group);
    } else if (deleted) {
        hops_mark_lost(f->nexthops, hop);
        groups_hops_lost(f->groups);
    }
    if (timer_running(f->mend))
        return;
    timer_set(f->mend, heal_delay(&f->mending, loop_now_ms()));
    if (heal_is_news(&f->mending))
        log_warn("a nexthop object of ours was deleted or changed by another program; it is put back",
                 F_UINT("id", k->id));
}

static void on_kernel_event(void *arg, const struct kevent *ev)
{
    struct fib *f = arg;

    switch (ev->type) {
    case KEVENT_LINK:
    case KEVENT_ADDRESS:
        links_event(f->links, ev);
        break;
    case KEVENT_NEXTHOP:
        if (f->install && !ev->own)
            on_kernel_nexthop(f, &ev->u.nexthop, ev->deleted);
        break;
    case KEVENT_ROUTE:
        if (ev->own || ev->u.route.cloned || !f->configured)
            break;
        routes_event(f->routes, &ev->u.route, ev->deleted);
        if (ev->u.route.protocol != f->settings.protocol && nexthops_depend_on_routes(f->nexthops))
            fib_nexthops_changed(f, true);
        break;
    }
}

static void look_again(struct fib *f)
{
    int rc = links_refresh(f->links);

    f->events_lost =
        rc == -EINTR ? rc : 0; /* once more, with the next news: what has interrupted it is among them */
    if (rc && rc != -EINTR)
        log_warn("links and addresses could not be read", F_ERR(rc));
    routes_sources_changed(f->routes);
    fib_nexthops_changed(f, true);
    reconcile_request(f->reconcile);
}

/* From an overflow on the kernel drops news, without a further word, until all that waits is read: only what
 * is looked at after that is all there is. */
void fib_on_monitor(void *arg, int fd, unsigned events)
{
    struct fib *f = arg;
    int rc = 1;

    (void)fd, (void)events;
    for (int i = 0; i < EVENTS_PER_TURN && rc; i++) {
        rc = kernel_monitor_step(f->kernel, on_kernel_event, f);
        if (rc < 0)
            f->events_lost = rc;
    }
    if (!rc && f->events_lost) {
        if (f->events_lost != -EINTR)
            log_info("events of the kernel were lost; looking at everything again", F_ERR(f->events_lost));
        look_again(f);
    }
}

bool fib_events_init(struct fib *f)
{
    f->resolve_backoff_ms = RETRY_FIRST_MS;
    return (f->resolve = timer_new(f->loop, resolve_due, f)) &&
           (f->resolver = task_new(f->loop, resolve_step, f)) && (f->mend = timer_new(f->loop, mend_due, f));
}

void fib_events_reset(struct fib *f)
{
    timer_free(f->resolve);
    task_free(f->resolver);
    timer_free(f->mend);
}
