/* A file of ours on disk, written through the parent by role: debounced, always as a whole, into a temporary
 * file that is renamed over the real one, so that a crash leaves either the old or the new. fsync happens in
 * a thread of its own. */
#ifndef UNDERLAY_SAVEDFILE_H
#define UNDERLAY_SAVEDFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "fibmsg.h"

struct speaker;
struct savedfile;

struct savedfile_ops {
    enum fm_file_role role; /* one that is written */
    uint32_t delay_ms;      /* with everything that changes until then */
    uint32_t rest_ms;       /* from one to the next, where changes never end */
    uint32_t retry_ms;      /* after one that failed; 0: 30 s */
    const char *failed;     /* for the log: "cannot write …; what is lost"; once, and it is tried again */
    const char *again;      /* "… is written again" */
    void (*write)(void *arg, FILE *f);
};
/* path is for the log. Borrows all of it. NULL: out of memory. */
struct savedfile *savedfile_new(struct speaker *s, const char *path, const struct savedfile_ops *ops,
                                void *arg);
void savedfile_free(struct savedfile *f);
void savedfile_changed(struct savedfile *f);
void savedfile_hold(struct savedfile *f, bool hold); /* what changes meanwhile is written when it ends */
/* Writes at once what is still due; done is called when the file is in place or could not be written, also at
 * once when there is nothing to write. Once. */
void savedfile_flush(struct savedfile *f, void (*done)(void *arg), void *arg);
int savedfile_error(const struct savedfile *f); /* of the last time that it was written, -errno; 0 none */

#endif
