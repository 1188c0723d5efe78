/* Lists name no resourceVersion: that is the newest state, and the only kind of list that comes in pages. */
#include "kube/reflector_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Services and their slices that kube-proxy leaves alone, and for the same reason: nothing on this node would
 * forward what comes for them. */
#define PROXIED "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name"

static const struct {
    const char *name, *path, *labels;
} kinds[KUBE_KINDS] = {
    [KUBE_NODES] = {"nodes", "/api/v1/nodes", NULL},
    [KUBE_SERVICES] = {"services", "/api/v1/services", PROXIED},
    [KUBE_SLICES] = {"endpointslices", "/apis/discovery.k8s.io/v1/endpointslices", PROXIED},
};

const char *kube_kind_name(enum kube_kind kind)
{
    return kinds[kind].name;
}

/* RFC 3986 2.3: what need not be escaped */
static bool unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);
}

static void put_argument(FILE *f, const char *name, const char *value)
{
    if (!value)
        return;
    fprintf(f, "&%s=", name);
    for (; *value; value++)
        if (unreserved(*value))
            putc(*value, f);
        else
            fprintf(f, "%%%02X", (unsigned char)*value);
}

static char *build(enum kube_kind kind, const char *field_selector, const char *first, const char *name,
                   const char *value)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    if (!f)
        return NULL;
    fprintf(f, "%s?%s", kinds[kind].path, first);
    put_argument(f, name, value);
    put_argument(f, "fieldSelector", field_selector);
    put_argument(f, "labelSelector", kinds[kind].labels);
    if (!fclose(f))
        return text;
    free(text);
    return NULL;
}

char *reflector_list_path(enum kube_kind kind, const char *field_selector, unsigned limit, const char *token)
{
    char first[32];
    snprintf(first, sizeof first, "limit=%u", limit);
    return build(kind, field_selector, first, "continue", token);
}

char *reflector_watch_path(enum kube_kind kind, const char *field_selector, const char *version,
                           uint32_t timeout_s)
{
    char first[80];
    snprintf(first, sizeof first, "watch=true&allowWatchBookmarks=true&timeoutSeconds=%u", timeout_s);
    return build(kind, field_selector, first, "resourceVersion", version);
}
