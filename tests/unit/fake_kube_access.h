/* An API server that is always reached in the same way, whatever the environment and the disk say. */
#ifndef UNDERLAY_FAKE_KUBE_ACCESS_H
#define UNDERLAY_FAKE_KUBE_ACCESS_H

#include "kube/access.h"

int kube_access_load(const char *path, char *const *servers, unsigned n, const struct config_files *files,
                     struct kube_access *out, char **why)
{
    (void)path, (void)servers, (void)n, (void)files, (void)why;
    *out = (struct kube_access){0};
    return 0;
}
void kube_access_reset(struct kube_access *a)
{
    (void)a;
}
bool kube_access_equal(const struct kube_access *a, const struct kube_access *b)
{
    (void)a, (void)b;
    return true;
}
bool kube_server_valid(const char *text, const char **why)
{
    (void)text, (void)why;
    return true;
}

#endif
