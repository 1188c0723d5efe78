/* Nodes, and what all objects have: a name. Whatever an API server (or who pretends to be one) sends must do
 * no harm: names are checked, since they are shown and are keys, and the numbers of addresses have bounds,
 * since they are compared with each other. Sizes are bounded by who reads the object.
 *
 * Not here: services and slices (object_service.c, object_slice.c), and what any of it means (rules.c). */
#include "kube/object.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kube/object_int.h"

const char *const kube_annotation_names[KUBE_ANNOTATION_COUNT] = {
    [KUBE_ANNOTATION_ASN] = "underlay.io/asn",
    [KUBE_ANNOTATION_ROUTER_ID] = "underlay.io/router-id",
    [KUBE_ANNOTATION_PEERS] = "underlay.io/peers",
    [KUBE_ANNOTATION_KR_ASN] = "kube-router.io/node.asn",
    [KUBE_ANNOTATION_KR_IPS] = "kube-router.io/peer.ips",
    [KUBE_ANNOTATION_KR_ASNS] = "kube-router.io/peer.asns",
    [KUBE_ANNOTATION_KR_PORTS] = "kube-router.io/peer.ports",
};

/* Names are DNS labels or subdomains (RFC 1123): lower case, at most 253. Upper case and "_" do no harm. */
bool kube_is_name(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    return text && strlen(text) <= 253 && !text[strspn(text, allowed)];
}

int kube_object_key(const json_t *object, bool namespaced, char key[KUBE_KEY_LEN])
{
    const json_t *metadata = json_object_get(object, "metadata");
    const char *name = kube_text(metadata, "name"), *namespace = kube_text(metadata, "namespace");
    if (!kube_is_name(name) || (namespaced && (!kube_is_name(namespace) || strlen(namespace) > 63)))
        return -EINVAL;
    snprintf(key, KUBE_KEY_LEN, "%s%s%s", namespaced ? namespace : "", namespaced ? "/" : "", name);
    return 0;
}

int kube_addr_parse(const char *text, struct ip_addr *out)
{
    struct ip_addr a;
    if (!text || addr_parse(text, &a))
        return -EINVAL;
    if (a.af == AF_INET6 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)a.b))
        a = addr_from_bytes(AF_INET, a.b + 12);
    *out = a;
    return 0;
}

static void add_pod_cidr(struct kube_node *n, const char *text)
{
    struct prefix p;
    int rc = text ? prefix_parse(text, false, &p) : -EINVAL;
    if ((rc && rc != -EADDRNOTAVAIL) || prefix_is_default(&p) || prefix_is_martian(&p))
        return;
    for (unsigned i = 0; i < n->n_pod_cidrs; i++)
        if (prefix_equal(&n->pod_cidrs[i], &p))
            return;
    if (n->n_pod_cidrs < KUBE_NODE_ADDRESSES_MOST)
        n->pod_cidrs[n->n_pod_cidrs++] = p;
}

static int read_pod_cidrs(struct kube_node *n, const json_t *spec)
{
    const json_t *list = json_object_get(spec, "podCIDRs");
    n->pod_cidrs = calloc(KUBE_NODE_ADDRESSES_MOST, sizeof *n->pod_cidrs);
    if (!n->pod_cidrs)
        return -ENOMEM;
    for (size_t i = 0; i < json_array_size(list); i++)
        add_pod_cidr(n, json_string_value(json_array_get(list, i)));
    if (!json_array_size(list))
        add_pod_cidr(n, kube_text(spec, "podCIDR"));
    return 0;
}

static int read_internal_ips(struct kube_node *n, const json_t *list)
{
    n->internal_ips = calloc(KUBE_NODE_ADDRESSES_MOST, sizeof *n->internal_ips);
    if (!n->internal_ips)
        return -ENOMEM;
    for (size_t i = 0; i < json_array_size(list) && n->n_internal_ips < KUBE_NODE_ADDRESSES_MOST; i++) {
        const json_t *address = json_array_get(list, i);
        const char *type = kube_text(address, "type");
        struct ip_addr *a = &n->internal_ips[n->n_internal_ips];
        if (!type || strcmp(type, "InternalIP") || kube_addr_parse(kube_text(address, "address"), a))
            continue;
        unsigned same = 0;
        while (!addr_equal(&n->internal_ips[same], a))
            same++;
        n->n_internal_ips += same == n->n_internal_ips;
    }
    return 0;
}

static int read_taints(struct kube_node *n, const json_t *list)
{
    size_t size = json_array_size(list);
    if (size && !(n->taints = calloc(size, sizeof *n->taints)))
        return -ENOMEM;
    for (size_t i = 0; i < size; i++) {
        const json_t *taint = json_array_get(list, i);
        const char *key = kube_text(taint, "key"), *value = kube_text(taint, "value"),
                   *effect = kube_text(taint, "effect");
        if (!key)
            continue;
        if (asprintf(&n->taints[n->n_taints], "%s%s%s:%s", key, value ? "=" : "", value ? value : "",
                     effect ? effect : "") < 0) {
            n->taints[n->n_taints] = NULL;
            return -ENOMEM;
        }
        n->n_taints++;
    }
    return 0;
}

static int read_annotations(struct kube_node *n, const json_t *annotations)
{
    for (int i = 0; i < KUBE_ANNOTATION_COUNT; i++) {
        const char *text = json_string_value(json_object_get(annotations, kube_annotation_names[i]));
        if (text && !(n->annotations[i] = strdup(text)))
            return -ENOMEM;
    }
    return 0;
}

static bool network_unavailable(const json_t *conditions)
{
    for (size_t i = 0; i < json_array_size(conditions); i++) {
        const json_t *c = json_array_get(conditions, i);
        const char *type = kube_text(c, "type"), *status = kube_text(c, "status");
        if (type && status && !strcmp(type, "NetworkUnavailable"))
            return !strcmp(status, "True");
    }
    return false;
}

struct kube_node *kube_node_parse(const json_t *object)
{
    const json_t *metadata = json_object_get(object, "metadata"), *spec = json_object_get(object, "spec"),
                 *status = json_object_get(object, "status");
    char key[KUBE_KEY_LEN];
    struct kube_node *n = kube_object_key(object, false, key) ? NULL : calloc(1, sizeof *n);
    if (!n)
        return NULL;
    /* Presence counts, as to Kubernetes' own service controller. */
    n->excluded = json_object_get(json_object_get(metadata, "labels"),
                                  "node.kubernetes.io/exclude-from-external-load-balancers");
    n->deleting = kube_text(metadata, "deletionTimestamp");
    n->unschedulable = json_is_true(json_object_get(spec, "unschedulable"));
    n->network_unavailable = network_unavailable(json_object_get(status, "conditions"));
    n->name = strdup(key);
    if (n->name && !read_pod_cidrs(n, spec) && !read_internal_ips(n, json_object_get(status, "addresses")) &&
        !read_taints(n, json_object_get(spec, "taints")) &&
        !read_annotations(n, json_object_get(metadata, "annotations")))
        return n;
    kube_node_free(n);
    return NULL;
}

void kube_node_free(struct kube_node *n)
{
    if (!n)
        return;
    for (unsigned i = 0; i < n->n_taints; i++)
        free(n->taints[i]);
    for (int i = 0; i < KUBE_ANNOTATION_COUNT; i++)
        free(n->annotations[i]);
    free(n->taints);
    free(n->pod_cidrs);
    free(n->internal_ips);
    free(n->name);
    free(n);
}

static bool text_equal(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

bool kube_node_equal(const struct kube_node *a, const struct kube_node *b)
{
    if (strcmp(a->name, b->name) || a->unschedulable != b->unschedulable || a->deleting != b->deleting ||
        a->excluded != b->excluded || a->network_unavailable != b->network_unavailable ||
        a->n_pod_cidrs != b->n_pod_cidrs || a->n_internal_ips != b->n_internal_ips ||
        a->n_taints != b->n_taints)
        return false;
    for (unsigned i = 0; i < a->n_pod_cidrs; i++)
        if (!prefix_equal(&a->pod_cidrs[i], &b->pod_cidrs[i]))
            return false;
    for (unsigned i = 0; i < a->n_internal_ips; i++)
        if (!addr_equal(&a->internal_ips[i], &b->internal_ips[i]))
            return false;
    for (unsigned i = 0; i < a->n_taints; i++)
        if (strcmp(a->taints[i], b->taints[i]))
            return false;
    for (int i = 0; i < KUBE_ANNOTATION_COUNT; i++)
        if (!text_equal(a->annotations[i], b->annotations[i]))
            return false;
    return true;
}

/* A part of "key=value:Effect"; text NULL: it is not there. */
struct part {
    const char *text;
    size_t len;
};

static void taint_split(const char *text, struct part *key, struct part *value, struct part *effect)
{
    *key = (struct part){text, strcspn(text, "=:")};
    *value = *effect = (struct part){NULL, 0};
    text += key->len;
    if (*text == '=') {
        *value = (struct part){text + 1, strcspn(text + 1, ":")};
        text += 1 + value->len;
    }
    if (*text == ':')
        *effect = (struct part){text + 1, strlen(text + 1)};
}

static bool part_fits(const struct part *has, const struct part *wanted)
{
    return !wanted->text ||
           (has->len == wanted->len && !memcmp(has->text ? has->text : "", wanted->text, has->len));
}

bool kube_taint_matches(const char *taint, const char *pattern)
{
    struct part has[3], wanted[3];
    taint_split(taint, &has[0], &has[1], &has[2]);
    taint_split(pattern, &wanted[0], &wanted[1], &wanted[2]);
    return part_fits(&has[0], &wanted[0]) && part_fits(&has[1], &wanted[1]) && part_fits(&has[2], &wanted[2]);
}
