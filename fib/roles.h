/* Opening by role what the speaker may not open itself. Paths and listeners are fixed by FM_PATH and
 * FM_LISTEN before FM_START; afterwards only a role and an index are named. */
#ifndef UNDERLAY_FIB_ROLES_H
#define UNDERLAY_FIB_ROLES_H

#include <stdio.h>

#include "fib/internal.h"

struct roles *roles_new(struct fib *f);
void roles_free(struct roles *r);

/* A new speaker says anew what may be opened. Sockets stay open for it to be handed the same ones. */
void roles_forget(struct roles *r);
int roles_add_path(struct roles *r, const struct fm_path *p);     /* 0, -EINVAL, -ENOMEM, -E2BIG */
int roles_add_listen(struct roles *r, const struct fm_listen *l); /* likewise */
/* FM_START: FM_FD for the control socket and for every listener. What the former speaker had and this one has
 * not is closed. False: one that a speaker cannot do without did not open; it has been told, says why, and
 * ends. */
bool roles_start(struct roles *r);
void roles_open(struct roles *r, const struct fm_role *m);   /* answers FM_FD */
void roles_commit(struct roles *r, const struct fm_role *m); /* answers FM_FD */
bool roles_known(const struct roles *r, const struct fm_role *m);
bool roles_is_written(uint32_t role); /* a file that the speaker replaces: only those are committed */
/* Executing ourselves anew: the sockets, a line for each, as "role …"; and what such a line says without that
 * word, for a speaker that asks for the same. False: it says nothing that can be. */
void roles_save(const struct roles *r, FILE *out);
bool roles_restore(struct roles *r, const char *text);
void roles_remove_control(struct roles *r); /* at the end: unlinks the control socket */

/* Binds a listening socket at path, mode 0660 and group gid ((gid_t)-1: leave). *lock is held for as long as
 * the socket is ours. -EADDRINUSE: another process serves it. For roles.c and its test. */
int roles_bind_control(const char *path, uint32_t gid, int *fd, int *lock);

#endif
