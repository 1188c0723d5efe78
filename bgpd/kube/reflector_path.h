/* What a reflector asks for, as paths of the API. */
#ifndef UNDERLAY_KUBE_REFLECTOR_PATH_H
#define UNDERLAY_KUBE_REFLECTOR_PATH_H

#include "kube/reflector.h"

const char *kube_kind_name(enum kube_kind kind); /* "nodes", "services", "endpointslices" */
/* The caller's; NULL: out of memory. limit 0: all at once. token: what the page before gave, or NULL. */
char *reflector_list_path(enum kube_kind kind, const char *field_selector, unsigned limit, const char *token);
char *reflector_watch_path(enum kube_kind kind, const char *field_selector, const char *version,
                           uint32_t timeout_s);

#endif
