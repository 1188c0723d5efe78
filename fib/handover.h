/* A planned restart: what the speaker wants kept (FM_KEEP) for the next one, and this process executing
 * itself anew with its descriptors and its BFD sessions.
 *
 * The descriptors are dup-ed by the kernel on their way here, so the TCP connections stay open while the old
 * speaker ends. They go to the next speaker at FM_SYNC_DONE. Where there is none, or it dies before FM_READY,
 * the sessions are lost, and graceful restart has to do. */
#ifndef UNDERLAY_FIB_HANDOVER_H
#define UNDERLAY_FIB_HANDOVER_H

#include <stdio.h>

#include "fib/internal.h"

struct handover;

struct handover *handover_new(struct fib *f, const struct fib_options *o);
void handover_free(struct handover *h); /* closes what is kept */
/* FM_KEEP; owns fd. 0; -E2BIG, -EINVAL (no descriptor, or not of its kind): the speaker is not sound. A
 * connection for which this process may have no descriptor is not kept, and lost alone. */
int handover_keep(struct handover *h, const struct fm_keep *m, int fd);
void handover_restart(struct handover *h, uint32_t flags); /* FM_RESTART: the speaker has seconds to end */
/* The speaker has ended, clean: with status 0. Whether that was a planned restart, so that the next one
 * starts at once. Does not return when this process is to be executed anew as well, and that works. */
bool handover_speaker_gone(struct handover *h, bool clean);
void handover_send(struct handover *h); /* FM_KEPT to the new speaker, before FM_SYNC_DONE */
void handover_done(struct handover *h); /* FM_READY: what was sent is in use */
/* Sessions are on their way from one speaker to the next, so that none can close them now. */
bool handover_pending(const struct handover *h);

/* In the new life of this process: what the former one has left. 0: nothing; 1: taken over; -errno. */
int handover_resume(struct handover *h);
/* For modules that pass descriptors on: the one makes fd outlive the exec and returns it, the other takes it
 * over in the new life, false when it is not one that was passed on. */
int handover_pass(int fd);
bool handover_take(int fd);

#endif
