/* Next hops in both senses: those that BGP names, resolved against links and the kernel's routes and watched
 * for the speaker; and the kernel's nexthop objects that stand for them ("hops"). */
#ifndef UNDERLAY_FIB_NEXTHOPS_H
#define UNDERLAY_FIB_NEXTHOPS_H

#include "fib/internal.h"

struct nexthops *nexthops_new(struct fib *f);
void nexthops_free(struct nexthops *n);

/* The speaker watches: the state is told at once and at every change. 0 or -ENOMEM. Unwatching the unknown is
 * a no-op. */
int nexthops_watch(struct nexthops *n, const struct fm_nexthop *nh);
void nexthops_unwatch(struct nexthops *n, const struct fm_nexthop *nh);
void nexthops_unwatch_all(struct nexthops *n);
/* Membership in a group; the index stays valid until the last unref. 0: out of memory. */
uint32_t nexthops_ref(struct nexthops *n, const struct fm_nexthop *nh);
void nexthops_unref(struct nexthops *n, uint32_t i);
const struct fm_nexthop_state *nexthops_state(const struct nexthops *n, uint32_t i);
/* Resolves all again and tells the speaker of changes. True when something changed. */
bool nexthops_resolve(struct nexthops *n);
/* Whether any is reached through a route rather than a subnet of ours: only then do the routes of others
 * matter. */
bool nexthops_depend_on_routes(const struct nexthops *n);

/* Kernel objects. An index, 0 with *error when the kernel does not take it. Shared and counted; the last
 * unref deletes. */
uint32_t hops_ref(struct nexthops *n, const struct ip_addr *gateway, uint32_t ifindex, int *error);
void hops_hold(struct nexthops *n, uint32_t hop); /* one more reference on a known one */
void hops_unref(struct nexthops *n, uint32_t hop);
uint32_t hops_kernel_id(const struct nexthops *n, uint32_t hop); /* 0: the kernel has lost it */
const struct ip_addr *hops_gateway(const struct nexthops *n, uint32_t hop, uint32_t *ifindex);
uint32_t hops_by_kernel_id(const struct nexthops *n, uint32_t id);
/* One that a former life left in the kernel; unreferenced until a group takes it. Its index or 0. */
uint32_t hops_adopt(struct nexthops *n, const struct knexthop *k);
uint32_t hops_next_id(const struct nexthops *n, uint32_t *at); /* walks the kernel ids; *at from 0; 0 ends */
void hops_mark_lost(struct nexthops *n, uint32_t hop);
bool hops_link_down(struct nexthops *n,
                    uint32_t ifindex);    /* marks all on that link lost; true: there was one */
void hops_sweep(struct nexthops *n);      /* deletes those that nothing refers to */
void hops_delete_all(struct nexthops *n); /* on-stop: withdraw */
/* A nexthop id of our range that is not in use. */
uint32_t nexthops_alloc_id(struct nexthops *n);
void nexthops_note_id(struct nexthops *n, uint32_t id); /* seen in the kernel: not to be given out soon */
bool nexthops_id_is_ours(const struct nexthops *n, uint32_t id);

#endif
