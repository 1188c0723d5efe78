/* BFD, RFC 5880, 5881 (one hop), 5883 (multihop): asynchronous mode, on a thread of its own that holds no
 * privilege. The functions here are the main thread's; what the thread finds out comes back to it through the
 * loop: bfd.c then changes the kernel's groups first (nexthops_set_dead), and tells the speaker after it. */
#ifndef UNDERLAY_FIB_BFD_H
#define UNDERLAY_FIB_BFD_H

#include "fib/internal.h"

#define BFD_SESSIONS 4096     /* so many at most */
#define BFD_MIN_US   10000    /* of an interval */
#define BFD_MAX_US   60000000 /* the same */

struct bfd;

struct bfd *bfd_new(struct fib *f); /* no thread yet: it starts with the first session. NULL: out of memory */
void bfd_free(struct bfd *b);       /* without a word to the peers */

/* FM_BFD_SET, already validated: FM_BFD_STATE follows, with the error if there is one. 0 or -ENOMEM. */
int bfd_set(struct bfd *b, const struct fm_bfd *m);
void bfd_del(struct bfd *b, const struct fm_nexthop *peer); /* of the unknown: a no-op */
/* FM_NEXTHOP_ALIVE: BGP is up over what has failed; that is so until it was up once more, and failed again.
 */
void bfd_overrule(struct bfd *b, const struct fm_nexthop *peer);
void bfd_speaker_gone(struct bfd *b);  /* sessions go on, unclaimed */
void bfd_sweep(struct bfd *b);         /* ends those that no FM_BFD_SET has claimed */
void bfd_links_changed(struct bfd *b); /* links or addresses: over which interface a peer is one hop away */
/* Before a stop that leaves the routes in place, and before one that does not: every peer hears AdminDown
 * (RFC 5880 6.8.16, RFC 5882 4.3), so that it ends nothing. Blocks for a few milliseconds. */
void bfd_admin_down(struct bfd *b);
/* In a child of this process: it has all processors, which BFD divides (bfd_thread.c), and no real time. */
void bfd_forked(const struct bfd *b);

/* Executing ourselves anew: what the sessions are as text for bfd_restore, into a file of its own, and
 * the sockets without close-on-exec. The thread has stopped then; bfd_free or bfd_resume next. 0 or
 * -errno. */
int bfd_save(struct bfd *b, int fd);
int bfd_resume(struct bfd *b); /* bfd_save, but this process stays after all. 0 or -errno: there are none */
/* In the new life, before anything that takes time: the sessions go on with their discriminators and
 * states, unclaimed until the speaker's FM_BFD_SET. 0 or -errno: nothing was taken over. */
int bfd_restore(struct bfd *b, int fd);

#endif
