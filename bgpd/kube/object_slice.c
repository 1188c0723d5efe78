/* EndpointSlices, of which numbers are kept and nothing else: fifty thousand endpoints would be most of what
 * a node holds of its cluster. That is why the same endpoint in two slices of a service counts twice, which
 * it may be for a moment while it moves from one to the other. Ports are not looked at: an endpoint is one of
 * the service, whichever of its ports it serves. */
#include <stdlib.h>
#include <string.h>

#include "kube/object_int.h"

static bool condition(const json_t *conditions, const char *name, bool when_missing)
{
    const json_t *value = json_object_get(conditions, name);
    return json_is_boolean(value) ? json_is_true(value) : when_missing;
}

static void count(struct kube_endpoints *e, const json_t *endpoint, const char *node)
{
    const json_t *conditions = json_object_get(endpoint, "conditions");
    const char *where = kube_text(endpoint, "nodeName");
    bool here = where && node && !strcmp(where, node), ready = condition(conditions, "ready", true);
    /* As kube-proxy does, which has nothing to send to then. */
    if (!json_array_size(json_object_get(endpoint, "addresses")))
        return;
    if (ready) {
        kube_count(&e->ready);
        if (here)
            kube_count(&e->ready_here);
    } else if (condition(conditions, "serving", ready) && condition(conditions, "terminating", false)) {
        kube_count(&e->terminating);
        if (here)
            kube_count(&e->terminating_here);
    }
}

/* Its service is in its own namespace. NULL: of none, as are slices of host names (addressType FQDN). */
static const char *service_of(const json_t *object, enum family *family)
{
    const json_t *metadata = json_object_get(object, "metadata");
    const char *service = kube_text(json_object_get(metadata, "labels"), "kubernetes.io/service-name");
    const char *type = kube_text(object, "addressType");
    if (!type || (strcmp(type, "IPv4") && strcmp(type, "IPv6")))
        return NULL;
    *family = strcmp(type, "IPv6") ? FAM_IPV4 : FAM_IPV6;
    return kube_is_name(service) ? service : NULL;
}

struct kube_slice *kube_slice_parse(const json_t *object, const char *node)
{
    const json_t *endpoints = json_object_get(object, "endpoints");
    enum family family = FAM_IPV4;
    const char *service = service_of(object, &family);
    char key[KUBE_KEY_LEN];
    if (kube_object_key(object, true, key))
        return NULL;
    size_t len = strlen(key) + 1, namespace = strcspn(key, "/") + 1;
    struct kube_slice *s = calloc(1, sizeof *s + len + (service ? namespace + strlen(service) + 1 : 0));
    if (!s)
        return NULL;
    s->name = memcpy(s + 1, key, len);
    s->family = family;
    if (service) {
        s->service = memcpy(s->name + len, key, namespace);
        strcpy(s->service + namespace, service);
    }
    for (size_t i = 0; i < json_array_size(endpoints); i++)
        count(&s->endpoints, json_array_get(endpoints, i), node);
    return s;
}

void kube_slice_free(struct kube_slice *s)
{
    free(s);
}
