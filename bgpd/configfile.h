/* Configuration files on disk: reading them with the privilege of a start, and later through the parent by
 * role. Password files that were named at the start are numbered; the parent opens only those again. */
#ifndef UNDERLAY_CONFIGFILE_H
#define UNDERLAY_CONFIGFILE_H

#include "config.h"

/* Files that a configuration refers to, with their contents once read. */
struct keyfiles {
    unsigned n;
    struct keyfile {
        char *path;
        char *text; /* NULL: not read; secret */
        size_t len;
        int error; /* of reading it, -errno */
    } * files;
};
void keyfiles_free(struct keyfiles *k); /* wipes the contents */

/* Loads from the file system, with what annotations of the node say (overlay, NULL: nothing). keys, when not
 * NULL, collects the paths of the files that it names (without contents). 0, or -EINVAL with *errors (the
 * caller's, "FILE:LINE:COL: …\\n" each). */
int configfile_load(const char *path, const struct config_overlay *overlay, struct config **out,
                    char **errors, struct keyfiles *keys);

/* The same from text already read, and password files from keys (those not in it are tried as files), with
 * what annotations of the node say (NULL: nothing). */
int configfile_parse(const char *name, const char *text, size_t len, const struct keyfiles *keys,
                     const struct config_overlay *overlay, struct config **out, char **errors);

/* Reads a whole descriptor, at most max bytes, zero-terminated. 0 or -errno (-EFBIG). */
int configfile_read_fd(int fd, size_t max, char **text, size_t *len);

#endif
