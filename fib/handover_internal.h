/* Shared by the files that implement handover.h; nobody else's. */
#ifndef UNDERLAY_FIB_HANDOVER_INTERNAL_H
#define UNDERLAY_FIB_HANDOVER_INTERNAL_H

#include "fib/handover.h"

struct kept {
    struct fm_keep what;
    int fd;
};

struct handover {
    struct fib *f;
    char *path;        /* of this process's binary as it was called at start */
    char *const *argv; /* this process's own */
    struct kept *kept;
    unsigned n_kept;
    unsigned n_lost; /* no descriptor was left for them */
    unsigned n_sent; /* to a speaker that is not ready yet */
    int fd_limit;
    uint32_t flags; /* FM_RESTART_* */
    bool asked;     /* FM_RESTART: the speaker is about to end */
    struct timer *overdue;
};

void handover_drop(struct handover *h);                                /* closes what is kept */
int handover_add(struct handover *h, const struct fm_keep *m, int fd); /* owns fd when it works: 0, -ENOMEM */

/* Whether what is now at the path runs, knows our arguments and can read the configuration. 0; -errno;
 * 1: it says no. Blocks for as long as that takes, two seconds at most. */
int handover_exec_check(const struct handover *h);
/* Does not return when it works, else -errno and everything is as before. */
int handover_exec(struct handover *h);

#endif
