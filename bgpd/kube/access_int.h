/* Between access.c, kubeconfig.c and request.c. */
#ifndef UNDERLAY_KUBE_ACCESS_INT_H
#define UNDERLAY_KUBE_ACCESS_INT_H

#include <stdarg.h>

#include "kube/access.h"

int access_fail(char **why, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));                        /* -EINVAL, or -ENOMEM */
const char *access_read_error(int error);                         /* what a read of a file came to, -errno */
int access_add_server(struct kube_access *a, const char *server); /* copies; 0 or -ENOMEM */
/* As kube_access_load; out may be half filled when it fails. */
int kubeconfig_load(const char *path, const struct config_files *files, struct kube_access *out, char **why);

#endif
