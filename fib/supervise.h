/* The speaker's life: start, heartbeat, end, start again. */
#ifndef UNDERLAY_FIB_SUPERVISE_H
#define UNDERLAY_FIB_SUPERVISE_H

#include "fib/internal.h"

struct supervisor *supervise_new(struct fib *f, const struct fib_options *o);
void supervise_free(struct supervisor *s); /* kills a speaker that still lives */
int supervise_start(struct supervisor *s); /* the first speaker: 0 or -errno */
void supervise_ready(struct supervisor *s);
/* SIGTERM: asks the speaker to stop; ends with fib_stop. A second call does not wait any longer. */
void supervise_stop(struct supervisor *s);
bool supervise_said_stopped(struct supervisor *s); /* FM_STOPPED came; false when nobody asked for it */
bool supervise_stopping(const struct supervisor *s);
void supervise_kill(struct supervisor *s, const char *why); /* the speaker must go; it is started again */
void supervise_reap(struct supervisor *s);                  /* SIGCHLD */

#endif
