/* The routes: what the speaker wants, what the kernel has, and the work between the two. */
#ifndef UNDERLAY_FIB_ROUTES_H
#define UNDERLAY_FIB_ROUTES_H

#include "fib/internal.h"

#define ROUTES_BULK 10000u /* pending routes from which the monitor does not listen to route changes */

struct routes *routes_new(struct fib *f);
void routes_free(struct routes *r);

/* One validated fm_route. Answered later by FM_ROUTE_RESULTS. 0; -ENOMEM or -ENOSPC were answered as a result
 * too. */
int routes_apply(struct routes *r, const struct fm_route *m);
/* One that comes soon, not validated yet: fetch the memory that routes_apply will want, in two steps. */
void routes_prefetch(const struct routes *r, const struct fm_route *m);
void routes_prefetch_route(const struct routes *r, const struct fm_route *m);
/* Sends the results gathered so far. */
void routes_flush_results(struct routes *r);
void routes_wake(struct routes *r);   /* the channel has room again */
void routes_rescan(struct routes *r); /* groups changed: look at every route, a part each turn */
void routes_retry(struct routes *r);  /* what failed is tried again now */
/* p became, or stopped to be, a connected prefix; or its place in the kernel became free. */
void routes_recheck(struct routes *r, const struct prefix *p);
/* fib.prefsrc may have become, or stopped to be, an address of this host. */
void routes_sources_changed(struct routes *r);
/* A route change in the kernel that is not ours. */
void routes_event(struct routes *r, const struct kroute *k, bool deleted);

void routes_speaker_gone(struct routes *r); /* all become unconfirmed */
void routes_sweep(struct routes *r);        /* unconfirmed ones go */

/* Reconcile with a dump: begin, seen for every route of our protocol and table, end. No route is written
 * meanwhile. Complete: what was not seen is not in the kernel. */
void routes_check_begin(struct routes *r);
void routes_check_seen(struct routes *r, const struct kroute *k);
void routes_check_end(struct routes *r, bool complete);
bool routes_are_checked(const struct routes *r); /* between begin and end */

struct routes_counts {
    uint32_t routes, installed, pending, failed;
    uint64_t memory;
};
void routes_count(const struct routes *r, struct routes_counts *out);
bool routes_bulk(const struct routes *r);    /* so many that the monitor does not listen */
bool routes_waiting(const struct routes *r); /* some are pending */
bool routes_busy(const struct routes *r,
                 uint64_t quiet_ms); /* pending now, or written within the last quiet_ms */
bool routes_kept(const struct routes *r, enum family f); /* some of a former life are there */
bool routes_swept(const struct routes *r);               /* the sweep of this speaker's start is over */

/* On-stop: withdraw; all of our routes that hang on no group. */
void routes_delete_all(struct routes *r);

#endif
