/* Comparing our view with what the kernel says it has: at start, after lost events, after a bulk load. */
#ifndef UNDERLAY_FIB_RECONCILE_H
#define UNDERLAY_FIB_RECONCILE_H

#include "fib/internal.h"

struct reconcile *reconcile_new(struct fib *f);
void reconcile_free(struct reconcile *r);
void reconcile_nexthops(struct reconcile *r); /* the nexthop objects alone, now */
void reconcile_start(struct reconcile *r);    /* now: a part each turn; routes are not written meanwhile */
void reconcile_request(struct reconcile *r); /* soon, once the route queue is empty; many requests make one */
void reconcile_hurry(
    struct reconcile *r); /* the same as soon as no route waits: the kernel has changed many of ours */

#endif
