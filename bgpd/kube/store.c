/* The store as its users see it: lists that sweep by mark, events, our own node, counts and walks.
 *
 * A list marks what it has, and at its end everything without the present mark goes; a list that breaks off
 * leaves nothing behind but marks that the next one renews. What is there but could not be taken in for want
 * of memory is marked as well: then what was known of it stays. Services and slices are store_service.c,
 * addresses and the judgement store_address.c; what is advertised and what not is rules.c alone. */
#include "kube/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kube/store_int.h"

struct kube_store *kube_store_new(void)
{
    struct kube_store *st = calloc(1, sizeof *st);
    if (!st)
        return NULL;
    slab_init(&st->services, sizeof(struct service));
    slab_init(&st->slices, sizeof(struct slice));
    addresses_init(st);
    return st;
}

void kube_store_free(struct kube_store *st)
{
    if (!st)
        return;
    services_reset(st);
    addresses_reset(st);
    kube_node_free(st->node);
    free(st);
}

static void set_node(struct kube_store *st, struct kube_node *n)
{
    kube_node_free(st->node);
    st->node = n;
    st->node_version++;
}

void kube_store_configure(struct kube_store *st, const struct config_kube *c, const char *node)
{
    st->config = c;
    st->node_name = node;
    if (st->node && strcmp(st->node->name, node))
        set_node(st, NULL);
    addresses_queue_all(st);
}

static int node_put(struct kube_store *st, const char *key, const json_t *object)
{
    if (strcmp(key, st->node_name))
        return 0;
    st->node_mark = st->marks[KUBE_NODES];
    struct kube_node *n = kube_node_parse(object);
    if (!n)
        return -ENOMEM;
    if (st->node && kube_node_equal(st->node, n))
        kube_node_free(n);
    else
        set_node(st, n);
    return 0;
}

static void node_gone(struct kube_store *st, const char *key)
{
    if (st->node && !strcmp(st->node->name, key))
        set_node(st, NULL);
}

static void node_sweep(struct kube_store *st)
{
    if (st->node && st->node_mark != st->marks[KUBE_NODES])
        set_node(st, NULL);
}

static const struct {
    bool namespaced;
    int (*put)(struct kube_store *st, const char *key, const json_t *object);
    void (*gone)(struct kube_store *st, const char *key);
    void (*sweep)(struct kube_store *st);
} kinds[KUBE_KINDS] = {
    [KUBE_NODES] = {false, node_put, node_gone, node_sweep},
    [KUBE_SERVICES] = {true, service_put, service_gone, services_sweep},
    [KUBE_SLICES] = {true, slice_put, slice_gone, slices_sweep},
};

void kube_store_list_begin(struct kube_store *st, enum kube_kind kind)
{
    st->marks[kind]++;
}

void kube_store_list_end(struct kube_store *st, enum kube_kind kind)
{
    kinds[kind].sweep(st);
}

int kube_store_put(struct kube_store *st, enum kube_kind kind, const json_t *object)
{
    char key[KUBE_KEY_LEN];
    if (!st->config || kube_object_key(object, kinds[kind].namespaced, key))
        return -EINVAL;
    return kinds[kind].put(st, key, object);
}

void kube_store_gone(struct kube_store *st, enum kube_kind kind, const json_t *object)
{
    char key[KUBE_KEY_LEN];
    if (!kube_object_key(object, kinds[kind].namespaced, key))
        kinds[kind].gone(st, key);
}

const struct kube_node *kube_store_node(const struct kube_store *st)
{
    return st->node;
}

uint64_t kube_store_node_version(const struct kube_store *st)
{
    return st->node_version;
}

void kube_store_set_node_view(struct kube_store *st, const struct kube_node_view *v)
{
    if (st->view.known == v->known && st->view.excluded == v->excluded && st->view.drained == v->drained)
        return;
    st->view = *v;
    addresses_queue_all(st);
}

const struct kube_service *kube_store_service_after(const struct kube_store *st, const char *after)
{
    struct service *s = store_tree_after(&st->services_by_name, after);
    while (s && !s->object)
        s = store_tree_after(&st->services_by_name, s->name);
    return s ? s->object : NULL;
}

void kube_store_endpoints(const struct kube_store *st, const char *service, enum family f,
                          struct kube_endpoints *out)
{
    const struct service *s = store_tree_find(&st->services_by_name, service);
    *out = s ? service_endpoints(s, f) : (struct kube_endpoints){0};
}

struct kube_verdict kube_store_verdict(const struct kube_store *st, const struct kube_service *s,
                                       const struct kube_service_vip *vip)
{
    struct kube_endpoints e;
    kube_store_endpoints(st, s->name, addr_family(&vip->addr), &e);
    return kube_rule(st->config, &st->view, s, vip, &e);
}

void kube_store_counts(const struct kube_store *st, struct kube_store_counts *out)
{
    *out = (struct kube_store_counts){
        .nodes = !!st->node,
        .services = st->n_objects,
        .slices = st->slices.used,
        .addresses = st->addresses.used,
        .pending = st->pending,
        .endpoints = st->ready,
        .endpoints_here = st->ready_here,
        .bytes = sizeof *st + st->blocks + slab_memory(&st->services) + slab_memory(&st->slices) +
                 slab_memory(&st->addresses) + slab_memory(&st->uses) + ixhash_memory(&st->addresses_by_ip),
    };
}
