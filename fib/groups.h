/* Nexthop groups: the speaker's numbers, their contents, and one kernel object a content. */
#ifndef UNDERLAY_FIB_GROUPS_H
#define UNDERLAY_FIB_GROUPS_H

#include "fib/internal.h"

#define GROUPS_MAX_ID 0xFFFFCu /* the highest number that the speaker may use: routes keep it in 20 bits */

struct groups *groups_new(struct fib *f);
void groups_free(struct groups *g);

/* FM_GROUP_SET and FM_GROUP_DEL, already validated. 0 or -errno (-ENOENT: no such group; -ENOSPC, -ENOMEM).
 */
int groups_set(struct groups *g, const struct fm_group *m);
int groups_del(struct groups *g, uint32_t id);
void groups_forget_ids(struct groups *g); /* the speaker is gone; contents stay while routes are on them */
bool groups_known(const struct groups *g, uint32_t id);
bool groups_has_ipv4(const struct groups *g, uint32_t id); /* a member whose next hop is IPv4 */
/* Routes that want number id: it is kept, even when deleted, until they want something else. */
void groups_want(struct groups *g, uint32_t id);
void groups_unwant(struct groups *g, uint32_t id);
/* The content behind a number that the kernel has now; 0: none is usable. */
uint32_t groups_usable(const struct groups *g, uint32_t id);

/* Contents by index. Routes in the kernel hold a reference on theirs. */
void groups_hold(struct groups *g, uint32_t index);
void groups_release(struct groups *g, uint32_t index);
/* Removal of a group in place of its routes, which the kernel then drops. Between begin and end, leave counts
 * the routes that are to be over nothing; a group that no number names, and all of whose routes were counted,
 * is deleted and its content dead. Only those of at least so many routes; false: there was none. */
bool groups_leave_begin(struct groups *g, uint32_t least);
void groups_leave(struct groups *g, uint32_t index);
bool groups_leave_end(struct groups *g, uint32_t least);
uint32_t groups_kernel_id(const struct groups *g, uint32_t index);
bool groups_is_dead(const struct groups *g,
                    uint32_t index); /* the kernel dropped it, and its routes with it */
uint32_t groups_by_kernel_id(const struct groups *g, uint32_t id);

/* What is known of that tracked next hop has changed: the groups that name it are no longer in line. */
void groups_stale(struct groups *g, uint32_t nexthop);
/* Brings some of them in line in the kernel, as many as a turn of the loop has time for; groups_behind: there
 * are more. False: the kernel refused something, which groups_retry makes stale again. */
bool groups_update(struct groups *g);
bool groups_behind(const struct groups *g);
void groups_update_all(struct groups *g); /* now, however many */
void groups_retry(struct groups *g);
/* Hops were lost to the kernel: shrinks what had them, buries what has none left. */
void groups_hops_lost(struct groups *g);
void groups_lost(struct groups *g, uint32_t index); /* the kernel group itself was deleted by somebody */
uint32_t groups_next_id(const struct groups *g, uint32_t *at); /* walks the kernel ids; *at from 0; 0 ends */
/* A group of ours found in the kernel; its members must have been adopted before. A known one whose members
 * differ is written again; another waits for the speaker to define what fits it. */
void groups_adopt(struct groups *g, const struct knexthop *k);
void groups_sweep(struct groups *g);      /* deletes those without a number and without a route */
void groups_delete_all(struct groups *g); /* from the kernel, and so their routes: on-stop: withdraw */

#endif
