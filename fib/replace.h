/* Files that are replaced as a whole: written under another name beside the old one, then renamed over it. */
#ifndef UNDERLAY_FIB_REPLACE_H
#define UNDERLAY_FIB_REPLACE_H

#include <sys/types.h>

/* The directories that path is in, as far as they are missing, with exactly this mode. 0 or -errno. */
int make_parent_directories(const char *path, mode_t mode);
/* A fresh temporary file beside path, mode 0600, open for writing; what an earlier one left behind is gone.
 * Its name ends in ".new", which nobody takes for the file itself: container runtimes read any *.conflist,
 * *.conf and *.json of their directory. A descriptor or -errno. */
int replace_begin(const char *path, mode_t directories);
/* Puts what was written to fd, of replace_begin, in the place of path, on disk when this returns. fd stays
 * the caller's. 0 or -errno; then path is as it was, unless it was the directory that could not be synced. */
int replace_commit(const char *path, int fd, mode_t mode);

#endif
