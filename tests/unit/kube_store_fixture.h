/* A store for tests, as the reflectors feed it and as who originates routes asks it. */
#ifndef UNDERLAY_KUBE_STORE_FIXTURE_H
#define UNDERLAY_KUBE_STORE_FIXTURE_H

#include "kube/store.h"
#include "kube_fixture.h"

struct world {
    struct config_kube config;
    struct kube_store *st;
    unsigned judged; /* by the last settle */
};

static inline void open_world(struct world *w)
{
    struct kube_node_view view = {.known = true};
    *w = (struct world){.st = kube_store_new()};
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->st);
    for (int k = 0; k < KUBE_VIP_KINDS; k++)
        w->config.services.mode[k] = KUBE_VIP_AUTO;
    kube_store_configure(w->st, &w->config, "n1");
    kube_store_set_node_view(w->st, &view);
}

static inline void close_world(struct world *w)
{
    kube_store_free(w->st);
}

static inline int put(struct world *w, enum kube_kind kind, json_t *object)
{
    int rc = kube_store_put(w->st, kind, object);
    json_decref(object);
    return rc;
}

static inline void gone(struct world *w, enum kube_kind kind, const char *name)
{
    json_t *o = json_of("{'metadata': {'name': '%s', 'namespace': 'd'}}", name);
    kube_store_gone(w->st, kind, o);
    json_decref(o);
}

/* A service of type LoadBalancer; policy and ip may be NULL. */
static inline json_t *service(const char *name, const char *policy, const char *ip)
{
    return json_of(
        "{'metadata': {'name': '%s', 'namespace': 'd'}, 'spec': {'type': 'LoadBalancer', 'clusterIP': "
        "'10.96.0.1', 'externalTrafficPolicy': '%s'}, 'status': {'loadBalancer': {'ingress': [%s%s%s]}}}",
        name, policy ? policy : "Cluster", ip ? "{'ip': '" : "", ip ? ip : "", ip ? "'}" : "");
}

/* So many ready endpoints here and elsewhere. */
static inline json_t *slice(const char *name, const char *of, const char *type, unsigned here,
                            unsigned elsewhere)
{
    json_t *o = json_of(
        "{'metadata': {'name': '%s', 'namespace': 'd', 'labels': {'kubernetes.io/service-name': '%s'}}, "
        "'addressType': '%s', 'endpoints': []}",
        name, of, type);
    for (unsigned i = 0; i < here + elsewhere; i++)
        json_array_append_new(
            json_object_get(o, "endpoints"),
            json_of("{'addresses': ['10.0.0.1'], 'nodeName': '%s', 'conditions': {'ready': true}}",
                    i < here ? "n1" : "n2"));
    return o;
}

/* Takes everything off the list. */
static inline void settle(struct world *w)
{
    struct ip_addr vip;
    for (w->judged = 0; kube_store_next(w->st, &vip); w->judged++)
        ;
}

static inline struct kube_vip_state judge(const struct world *w, const char *text)
{
    struct kube_vip_state s;
    struct ip_addr vip;
    CU_ASSERT_EQUAL_FATAL(addr_parse(text, &vip), 0);
    kube_store_judge(w->st, &vip, &s);
    return s;
}

static inline struct kube_store_counts counts(const struct world *w)
{
    struct kube_store_counts c;
    kube_store_counts(w->st, &c);
    return c;
}

#endif
