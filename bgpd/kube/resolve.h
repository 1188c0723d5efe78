/* Host names to addresses, without blocking: libevent's resolver on our loop. */
#ifndef UNDERLAY_KUBE_RESOLVE_H
#define UNDERLAY_KUBE_RESOLVE_H

#include "kube/libs.h"
#include "prefix.h"

struct loop;
struct lookup;
struct resolver;

struct resolver *resolver_new(struct loop *l, const struct kube_libs *libs); /* NULL: out of memory */
void resolver_free(struct resolver *r); /* after its lookups; those that were cancelled may be under way */

/* done is called once, later, unless it is cancelled before. n 0: *why says what is wrong, static. NULL: out
 * of memory. */
struct lookup *lookup_start(struct resolver *r, const char *name,
                            void (*done)(void *arg, const struct ip_addr *addrs, unsigned n, const char *why),
                            void *arg);
void lookup_cancel(struct lookup *k); /* NULL is a no-op */

#endif
