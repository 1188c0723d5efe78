/* Services: their addresses by kind, and what of the configuration can be said of one once and for all:
 * whether the selector and the class fit. Labels are not kept for that, so when these change services are
 * seen anew.
 *
 * A kube_service is one block, since there may be ten thousand. Which addresses count is not decided here:
 * also those that nobody will ever advertise are listed, to be shown with the reason. */
#include <stdlib.h>
#include <string.h>

#include "kube/object_int.h"

/* What fits the three lists of an object, before it is known how much is good. */
struct vips {
    struct kube_service_vip list[KUBE_VIP_KINDS * KUBE_SERVICE_VIPS_MOST];
    unsigned n, from; /* those of the present kind begin there */
    uint16_t proxied, unread;
};

static void add(struct vips *v, enum kube_vip_kind kind, const char *text)
{
    struct ip_addr a;
    if (kube_addr_parse(text, &a) || v->n - v->from == KUBE_SERVICE_VIPS_MOST) {
        kube_count(&v->unread);
        return;
    }
    for (unsigned i = v->from; i < v->n; i++)
        if (addr_equal(&v->list[i].addr, &a))
            return;
    v->list[v->n++] = (struct kube_service_vip){a, (uint8_t)kind};
}

static void add_all(struct vips *v, enum kube_vip_kind kind, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        add(v, kind, json_string_value(json_array_get(list, i)));
}

/* Entries may have a host name instead of an address. Addresses of ipMode Proxy end at the load balancer,
 * which sends to node ports: nothing on a node answers to them. */
static void add_load_balancer(struct vips *v, const json_t *status)
{
    const json_t *list = json_object_get(json_object_get(status, "loadBalancer"), "ingress");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *ingress = json_array_get(list, i);
        const char *ip = kube_text(ingress, "ip"), *mode = kube_text(ingress, "ipMode");
        if (ip && mode && !strcmp(mode, "Proxy"))
            kube_count(&v->proxied);
        else if (ip)
            add(v, KUBE_LOAD_BALANCER, ip);
    }
}

static const char *first_cluster_ip(const json_t *spec)
{
    const char *ip = kube_text(spec, "clusterIP");
    return ip ? ip : json_string_value(json_array_get(json_object_get(spec, "clusterIPs"), 0));
}

static void add_cluster_ips(struct vips *v, const json_t *spec)
{
    const json_t *list = json_object_get(spec, "clusterIPs");
    if (json_array_size(list))
        add_all(v, KUBE_CLUSTER_IP, list);
    else
        add(v, KUBE_CLUSTER_IP, first_cluster_ip(spec));
}

static enum kube_service_type type_of(const char *text)
{
    static const char *const types[] = {
        [KUBE_SERVICE_CLUSTER_IP] = "ClusterIP",
        [KUBE_SERVICE_NODE_PORT] = "NodePort",
        [KUBE_SERVICE_LOAD_BALANCER] = "LoadBalancer",
        [KUBE_SERVICE_EXTERNAL_NAME] = "ExternalName",
    };
    for (unsigned i = 0; text && i < sizeof types / sizeof *types; i++)
        if (!strcmp(text, types[i]))
            return i;
    return KUBE_SERVICE_CLUSTER_IP;
}

static bool is(const json_t *spec, const char *member, const char *value)
{
    const char *text = kube_text(spec, member);
    return text && !strcmp(text, value);
}

/* Labels may be empty text, which is not the same as none. */
static bool rule_fits(const struct config_label_rule *r, const json_t *labels)
{
    const char *label = json_string_value(json_object_get(labels, r->key));
    bool among = false;
    for (unsigned i = 0; label && i < r->n_values; i++)
        among |= !strcmp(label, r->values[i]);
    switch (r->op) {
    case LABEL_IN:
        return among;
    case LABEL_NOT_IN:
        return !among;
    case LABEL_EXISTS:
        return label;
    case LABEL_DOES_NOT_EXIST:
        return !label;
    }
    return false;
}

static bool selects(const struct config_kube *c, const json_t *labels)
{
    for (unsigned i = 0; i < c->services.n_labels; i++) {
        const char *label = json_string_value(json_object_get(labels, c->services.labels[i].key));
        if (!label || strcmp(label, c->services.labels[i].value))
            return false;
    }
    for (unsigned i = 0; i < c->services.n_rules; i++)
        if (!rule_fits(&c->services.rules[i], labels))
            return false;
    return true;
}

static struct kube_service *one_block(const char *name, const struct vips *v)
{
    size_t vips = v->n * sizeof *v->list, len = strlen(name) + 1;
    struct kube_service *s = calloc(1, sizeof *s + vips + len);
    if (!s)
        return NULL;
    s->vips = (struct kube_service_vip *)(s + 1); /* made of octets: aligned anywhere */
    s->name = (char *)s->vips + vips;
    memcpy(s->vips, v->list, vips);
    memcpy(s->name, name, len);
    s->n_vips = (uint16_t)v->n;
    s->n_proxied = v->proxied;
    s->n_unread = v->unread;
    return s;
}
_Static_assert(_Alignof(struct kube_service_vip) == 1 &&
                   KUBE_VIP_KINDS * KUBE_SERVICE_VIPS_MOST <= UINT16_MAX,
               "vips lie behind the struct and are counted in 16 bits");

struct kube_service *kube_service_parse(const json_t *object, const struct config_kube *c)
{
    const json_t *metadata = json_object_get(object, "metadata"), *spec = json_object_get(object, "spec");
    enum kube_service_type type = type_of(kube_text(spec, "type"));
    const char *class = c->services.load_balancer_class, *cluster_ip = first_cluster_ip(spec);
    bool headless = type != KUBE_SERVICE_EXTERNAL_NAME && (!cluster_ip || !strcmp(cluster_ip, "None"));
    char key[KUBE_KEY_LEN];
    struct vips v;
    v.n = v.from = v.proxied = v.unread = 0;
    if (kube_object_key(object, true, key))
        return NULL;
    if (type == KUBE_SERVICE_LOAD_BALANCER)
        add_load_balancer(&v, json_object_get(object, "status"));
    v.from = v.n;
    add_all(&v, KUBE_EXTERNAL_IP, json_object_get(spec, "externalIPs"));
    v.from = v.n;
    if (cluster_ip && !headless)
        add_cluster_ips(&v, spec);
    struct kube_service *s = one_block(key, &v);
    if (!s)
        return NULL;
    s->type = (uint8_t)type;
    s->headless = headless;
    s->external_local = is(spec, "externalTrafficPolicy", "Local");
    s->internal_local = is(spec, "internalTrafficPolicy", "Local");
    s->session_affinity = is(spec, "sessionAffinity", "ClientIP");
    s->selected = selects(c, json_object_get(metadata, "labels"));
    s->wrong_class =
        class && class[0] && type == KUBE_SERVICE_LOAD_BALANCER && !is(spec, "loadBalancerClass", class);
    return s;
}

void kube_service_free(struct kube_service *s)
{
    free(s);
}

bool kube_service_equal(const struct kube_service *a, const struct kube_service *b)
{
    return a->type == b->type && a->headless == b->headless && a->external_local == b->external_local &&
           a->internal_local == b->internal_local && a->session_affinity == b->session_affinity &&
           a->selected == b->selected && a->wrong_class == b->wrong_class && a->n_vips == b->n_vips &&
           a->n_proxied == b->n_proxied && a->n_unread == b->n_unread && !strcmp(a->name, b->name) &&
           !memcmp(a->vips, b->vips, a->n_vips * sizeof *a->vips);
}
