/* Services and their slices. A record stands for a name: slices may come before their service and stay after
 * it, and it lives as long as there is either. Of slices only sums are kept with the service, so it makes no
 * difference whether it has one or five hundred. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kube/store_int.h"

static struct service *service_get(struct kube_store *st, const char *name)
{
    struct service *s = store_tree_find(&st->services_by_name, name);
    if (s)
        return s;
    uint32_t i = slab_alloc(&st->services);
    char *copy = i ? strdup(name) : NULL;
    if (!copy) {
        slab_free(&st->services, i);
        return NULL;
    }
    s = service_at(st, i);
    *s = (struct service){.name = copy, .self = i};
    if (store_tree_add(st, &st->services_by_name, s)) {
        free(copy);
        *s = (struct service){0};
        slab_free(&st->services, i);
        return NULL;
    }
    st->blocks += block_bytes(copy);
    return s;
}

static void drop_if_unused(struct kube_store *st, struct service *s)
{
    if (!s || s->object || s->slices)
        return;
    uint32_t i = s->self;
    store_tree_remove(st, &st->services_by_name, s);
    st->blocks -= block_bytes(s->name);
    free(s->name);
    *s = (struct service){0};
    slab_free(&st->services, i);
}

static void set_object(struct kube_store *st, struct service *s, struct kube_service *object, uint32_t uses)
{
    addresses_release(st, s->uses);
    st->blocks += block_bytes(object) - block_bytes(s->object);
    st->n_objects += !!object - !!s->object;
    kube_service_free(s->object);
    s->object = object;
    s->uses = uses;
    addresses_queue(st, uses);
}

int service_put(struct kube_store *st, const char *key, const json_t *object)
{
    struct service *s = store_tree_find(&st->services_by_name, key);
    if (s)
        s->mark = st->marks[KUBE_SERVICES]; /* it is there, whatever comes of it */
    struct kube_service *fresh = kube_service_parse(object, st->config);
    uint32_t uses;
    if (fresh && s && s->object && kube_service_equal(s->object, fresh)) {
        kube_service_free(fresh);
        return 0;
    }
    s = fresh ? service_get(st, key) : NULL;
    if (!s || addresses_use(st, s->self, fresh, &uses)) {
        drop_if_unused(st, s);
        kube_service_free(fresh);
        return -ENOMEM;
    }
    s->mark = st->marks[KUBE_SERVICES];
    set_object(st, s, fresh, uses);
    return 0;
}

static void service_end(struct kube_store *st, struct service *s)
{
    if (!s || !s->object)
        return;
    set_object(st, s, NULL, 0);
    drop_if_unused(st, s);
}

void service_gone(struct kube_store *st, const char *key)
{
    service_end(st, store_tree_find(&st->services_by_name, key));
}

void services_sweep(struct kube_store *st)
{
    for (uint32_t i = 1; i < st->services.next; i++)
        if (service_at(st, i)->mark != st->marks[KUBE_SERVICES])
            service_end(st, service_at(st, i));
}

static uint16_t saturated(uint32_t n)
{
    return n < UINT16_MAX ? (uint16_t)n : UINT16_MAX;
}

struct kube_endpoints service_endpoints(const struct service *s, enum family f)
{
    const struct endpoint_sums *e = &s->endpoints[f];
    return (struct kube_endpoints){.ready_here = saturated(e->ready_here),
                                   .terminating_here = saturated(e->terminating_here),
                                   .ready = saturated(e->ready),
                                   .terminating = saturated(e->terminating)};
}

/* Queues the addresses for which it makes a difference that the endpoints were others before. */
static void compare_verdicts(struct kube_store *st, const struct service *s, enum family f,
                             const struct kube_endpoints *before)
{
    struct kube_endpoints now = service_endpoints(s, f);
    for (uint32_t i = s->uses; i; i = use_at(st, i)->next_of_service) {
        const struct kube_service_vip *vip = &s->object->vips[use_at(st, i)->vip];
        if (addr_family(&vip->addr) != f)
            continue;
        struct kube_verdict a = kube_rule(st->config, &st->view, s->object, vip, before),
                            b = kube_rule(st->config, &st->view, s->object, vip, &now);
        if ((a.reason == KUBE_ADVERTISED) != (b.reason == KUBE_ADVERTISED) || a.weight != b.weight)
            addresses_queue_one(st, i);
    }
}

static void add(struct kube_store *st, struct service *s, const struct kube_slice *o, int sign)
{
    const struct kube_endpoints *e = &o->endpoints;
    struct endpoint_sums *sums = &s->endpoints[o->family];
    sums->ready += (uint32_t)(sign * e->ready);
    sums->ready_here += (uint32_t)(sign * e->ready_here);
    sums->terminating += (uint32_t)(sign * e->terminating);
    sums->terminating_here += (uint32_t)(sign * e->terminating_here);
    st->ready += (uint64_t)(sign * e->ready);
    st->ready_here += (uint64_t)(sign * e->ready_here);
}

/* What a slice said, and what it says; NULL: it was not there, it is gone. */
static void recount(struct kube_store *st, struct service *s, const struct kube_slice *was,
                    const struct kube_slice *is)
{
    struct kube_endpoints before[FAM_COUNT];
    for (enum family f = 0; f < FAM_COUNT; f++)
        before[f] = service_endpoints(s, f);
    if (was)
        add(st, s, was, -1);
    if (is)
        add(st, s, is, 1);
    s->slices += (uint32_t)(!!is - !!was);
    for (enum family f = 0; f < FAM_COUNT; f++)
        if ((was && was->family == f) || (is && is->family == f))
            compare_verdicts(st, s, f, &before[f]);
    drop_if_unused(st, s);
}

static void slice_end(struct kube_store *st, struct slice *l)
{
    if (!l || !l->object)
        return;
    uint32_t i = l->self;
    store_tree_remove(st, &st->slices_by_name, l);
    recount(st, service_at(st, l->service), l->object, NULL);
    st->blocks -= block_bytes(l->object);
    kube_slice_free(l->object);
    *l = (struct slice){0};
    slab_free(&st->slices, i);
}

static int slice_add(struct kube_store *st, struct kube_slice *o, struct service *s)
{
    uint32_t i = slab_alloc(&st->slices);
    if (!i)
        return -ENOMEM;
    struct slice *l = slice_at(st, i);
    *l = (struct slice){o->name, o, s->self, st->marks[KUBE_SLICES], i};
    if (store_tree_add(st, &st->slices_by_name, l)) {
        *l = (struct slice){0};
        slab_free(&st->slices, i);
        return -ENOMEM;
    }
    st->blocks += block_bytes(o);
    recount(st, s, NULL, o);
    return 0;
}

static bool slice_equal(const struct kube_slice *a, const struct kube_slice *b)
{
    const struct kube_endpoints *x = &a->endpoints, *y = &b->endpoints;
    return a->family == b->family && x->ready_here == y->ready_here && x->ready == y->ready &&
           x->terminating_here == y->terminating_here && x->terminating == y->terminating && a->service &&
           b->service && !strcmp(a->service, b->service);
}

static void slice_change(struct kube_store *st, struct slice *l, struct kube_slice *o, struct service *s)
{
    struct kube_slice *was = l->object;
    struct service *of = service_at(st, l->service);
    if (of == s) {
        recount(st, s, was, o);
    } else {
        recount(st, s, NULL, o);
        recount(st, of, was, NULL);
    }
    st->blocks += block_bytes(o) - block_bytes(was);
    *l = (struct slice){o->name, o, s->self, st->marks[KUBE_SLICES], l->self}; /* the same name, elsewhere */
    kube_slice_free(was);
}

int slice_put(struct kube_store *st, const char *key, const json_t *object)
{
    struct slice *l = store_tree_find(&st->slices_by_name, key);
    if (l)
        l->mark = st->marks[KUBE_SLICES]; /* it is there, whatever comes of it */
    struct kube_slice *o = kube_slice_parse(object, st->node_name);
    if (!o)
        return -ENOMEM;
    if (!o->service || (l && slice_equal(l->object, o))) {
        if (!o->service)
            slice_end(st, l);
        kube_slice_free(o);
        return 0;
    }
    struct service *s = service_get(st, o->service);
    if (s && l) {
        slice_change(st, l, o, s);
        return 0;
    }
    if (s && !slice_add(st, o, s))
        return 0;
    drop_if_unused(st, s);
    kube_slice_free(o);
    return -ENOMEM;
}

void slice_gone(struct kube_store *st, const char *key)
{
    slice_end(st, store_tree_find(&st->slices_by_name, key));
}

void slices_sweep(struct kube_store *st)
{
    for (uint32_t i = 1; i < st->slices.next; i++)
        if (slice_at(st, i)->mark != st->marks[KUBE_SLICES])
            slice_end(st, slice_at(st, i));
}

void services_reset(struct kube_store *st)
{
    store_tree_free(&st->services_by_name);
    store_tree_free(&st->slices_by_name);
    for (uint32_t i = 1; i < st->services.next; i++) {
        struct service *s = service_at(st, i);
        if (!s->object && !s->slices)
            continue; /* a free record */
        kube_service_free(s->object);
        free(s->name);
    }
    for (uint32_t i = 1; i < st->slices.next; i++)
        kube_slice_free(slice_at(st, i)->object);
    slab_reset(&st->services);
    slab_reset(&st->slices);
}
