/* What the parsers of objects share. jansson answers NULL, 0 and false for what is missing or of another
 * type, also when it is asked about NULL, so a path into an object needs no checks on its way. */
#ifndef UNDERLAY_KUBE_OBJECT_INT_H
#define UNDERLAY_KUBE_OBJECT_INT_H

#include "kube/object.h"

/* A member that is text and not empty; else NULL. */
static inline const char *kube_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text && text[0] ? text : NULL;
}
static inline void kube_count(uint16_t *n)
{
    *n = *n < UINT16_MAX ? (uint16_t)(*n + 1) : *n;
}
bool kube_is_name(const char *text);
int kube_addr_parse(const char *text, struct ip_addr *out); /* 0 or -EINVAL, also for NULL */

#endif
