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
/* Where a packet to it goes first, and in which shares; none when it cannot be reached, or is dead. Borrowed
 * until it is resolved again. */
unsigned nexthops_ways(const struct nexthops *n, uint32_t i, const struct kway **ways);
/* Resolves those again that a packet reaches over that link, for the groups (groups_stale); what is new is
 * told to the speaker afterwards. */
void nexthops_link_down(struct nexthops *n, uint32_t ifindex);
void nexthops_tell_news(struct nexthops *n);
/* Resolves all of them again, some a step, for the groups and the speaker; true: there are more. A walk that
 * is asked for while one is under way comes after it. */
void nexthops_resolve(struct nexthops *n);
bool nexthops_resolve_step(struct nexthops *n);
/* Whether any is reached through a route rather than a subnet of ours: only then do the routes of others
 * matter. */
bool nexthops_depend_on_routes(const struct nexthops *n);

/* A next hop that no packet goes to any more although the kernel would: the groups have changed in the kernel
 * on return, those without another member to their backup. For as long as any of the reasons holds. Only
 * NEXTHOP_DEAD_BFD makes it unreachable for the speaker (FM_NH_BFD_DOWN). A session over BFD may be there
 * before its next hop is tracked, so that reason is kept apart and outlives the watch; the unknown and
 * NEXTHOP_DEAD_SAID: a no-op. */
enum nexthop_dead { NEXTHOP_DEAD_SAID = 1, NEXTHOP_DEAD_BFD = 2 };
void nexthops_set_dead(struct nexthops *n, const struct fm_nexthop *nh, enum nexthop_dead why, bool dead);

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
uint32_t hops_find(const struct nexthops *n, const struct ip_addr *gateway, uint32_t ifindex);
uint32_t hops_next_id(const struct nexthops *n, uint32_t *at); /* walks the kernel ids; *at from 0; 0 ends */
void hops_mark_lost(struct nexthops *n, uint32_t hop);
/* Groups give up a hop together: each says so, without an unref; at the end it is deleted in the kernel, out
 * of all groups that have it, when no other holds it. True: it was, and is lost. */
void hops_leave(struct nexthops *n, uint32_t hop);
bool hops_leave_end(struct nexthops *n, uint32_t hop);
bool hops_link_down(struct nexthops *n,
                    uint32_t ifindex);    /* marks all on that link lost; true: there was one */
void hops_sweep(struct nexthops *n);      /* deletes those that nothing refers to */
void hops_delete_all(struct nexthops *n); /* on-stop: withdraw */
/* An id for a group; of mark 15 bits stay in it. */
uint32_t nexthops_group_id(const struct nexthops *n, uint32_t mark, uint8_t serial);
void nexthops_note_id(struct nexthops *n, uint32_t id); /* seen in the kernel: not to be given out soon */
bool nexthops_id_is_ours(const struct nexthops *n, uint32_t id);

#endif
