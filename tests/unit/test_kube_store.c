/* The store, as the reflectors feed it and as who originates routes asks it. What is advertised is followed
 * as that user does: by taking addresses off the list and judging them. */
#include "kube/store.h"

#include <malloc.h>

#include "kube_fixture.h"

struct world {
    struct config_kube config;
    struct kube_store *st;
    unsigned judged; /* by the last settle */
};

static void open_world(struct world *w)
{
    struct kube_node_view view = {.known = true};
    *w = (struct world){.st = kube_store_new()};
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->st);
    for (int k = 0; k < KUBE_VIP_KINDS; k++)
        w->config.services.mode[k] = KUBE_VIP_AUTO;
    kube_store_configure(w->st, &w->config, "n1");
    kube_store_set_node_view(w->st, &view);
}

static void close_world(struct world *w)
{
    kube_store_free(w->st);
}

static int put(struct world *w, enum kube_kind kind, json_t *object)
{
    int rc = kube_store_put(w->st, kind, object);
    json_decref(object);
    return rc;
}

static void gone(struct world *w, enum kube_kind kind, const char *name)
{
    json_t *o = json_of("{'metadata': {'name': '%s', 'namespace': 'd'}}", name);
    kube_store_gone(w->st, kind, o);
    json_decref(o);
}

/* A service of type LoadBalancer; policy and ip may be NULL. */
static json_t *service(const char *name, const char *policy, const char *ip)
{
    return json_of(
        "{'metadata': {'name': '%s', 'namespace': 'd'}, 'spec': {'type': 'LoadBalancer', 'clusterIP': "
        "'10.96.0.1', 'externalTrafficPolicy': '%s'}, 'status': {'loadBalancer': {'ingress': [%s%s%s]}}}",
        name, policy ? policy : "Cluster", ip ? "{'ip': '" : "", ip ? ip : "", ip ? "'}" : "");
}

/* So many ready endpoints here and elsewhere. */
static json_t *slice(const char *name, const char *of, const char *type, unsigned here, unsigned elsewhere)
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
static void settle(struct world *w)
{
    struct ip_addr vip;
    for (w->judged = 0; kube_store_next(w->st, &vip); w->judged++)
        ;
}

static struct kube_vip_state judge(const struct world *w, const char *text)
{
    struct kube_vip_state s;
    struct ip_addr vip;
    CU_ASSERT_EQUAL_FATAL(addr_parse(text, &vip), 0);
    kube_store_judge(w->st, &vip, &s);
    return s;
}

__attribute__((unused)) static struct kube_store_counts counts(const struct world *w)
{
    struct kube_store_counts c;
    kube_store_counts(w->st, &c);
    return c;
}

static void vip_is_advertised_once_there_is_an_endpoint(void)
{
    struct world w;
    open_world(&w);
    CU_ASSERT_EQUAL(put(&w, KUBE_SERVICES, service("a", NULL, "192.0.2.1")), 0);
    settle(&w);
    CU_ASSERT_EQUAL(w.judged, 2); /* and its cluster IP */
    CU_ASSERT_FALSE(judge(&w, "192.0.2.1").advertise);
    put(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", 0, 1));
    settle(&w);
    CU_ASSERT_EQUAL(w.judged, 2);
    struct kube_vip_state s = judge(&w, "192.0.2.1");
    CU_ASSERT(s.advertise);
    CU_ASSERT_EQUAL(s.kinds, 1 << KUBE_LOAD_BALANCER);
    CU_ASSERT_STRING_EQUAL(s.service, "d/a");
    CU_ASSERT_EQUAL(judge(&w, "10.96.0.1").kinds, 1 << KUBE_CLUSTER_IP);
    CU_ASSERT_FALSE(judge(&w, "192.0.2.2").advertise);
    gone(&w, KUBE_SLICES, "a-1");
    settle(&w);
    CU_ASSERT_EQUAL(w.judged, 2);
    CU_ASSERT_FALSE(judge(&w, "192.0.2.1").advertise);
    close_world(&w);
}

static const struct unit_case cases[] = {
    UNIT(vip_is_advertised_once_there_is_an_endpoint),
};
UNIT_MAIN("kube store", cases)
