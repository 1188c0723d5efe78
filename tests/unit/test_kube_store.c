/* The store, as the reflectors feed it and as who originates routes asks it. What is advertised is followed
 * as that user does: by taking addresses off the list and judging them. */
#include "kube/store.h"

#include <errno.h>
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

static struct kube_store_counts counts(const struct world *w)
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

static void what_only_changes_its_resource_version_is_not_judged_again(void)
{
    struct world w;
    open_world(&w);
    for (int round = 0; round < 2; round++) {
        json_t *objects[] = {service("a", "Local", "192.0.2.1"), slice("a-1", "a", "IPv4", 1, 1),
                             json_of("{'metadata': {'name': 'n1'}}")};
        enum kube_kind kinds[] = {KUBE_SERVICES, KUBE_SLICES, KUBE_NODES};
        settle(&w);
        for (int i = 0; i < 3; i++) {
            json_object_set_new(json_object_get(objects[i], "metadata"), "resourceVersion",
                                json_sprintf("%d", round));
            json_object_set_new(objects[i], "kind", json_string("whatever"));
            CU_ASSERT_EQUAL(put(&w, kinds[i], objects[i]), 0);
        }
    }
    CU_ASSERT_EQUAL(counts(&w).pending, 0);
    CU_ASSERT_EQUAL(kube_store_node_version(w.st), 1);
    close_world(&w);
}

static void slices_may_come_before_their_service_and_stay_after_it(void)
{
    struct world w;
    open_world(&w);
    put(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", 1, 0));
    CU_ASSERT_EQUAL(counts(&w).services, 0);
    CU_ASSERT_PTR_NULL(kube_store_service_after(w.st, NULL));
    for (int i = 0; i < 2; i++) {
        put(&w, KUBE_SERVICES, service("a", "Local", "192.0.2.1"));
        settle(&w);
        CU_ASSERT(judge(&w, "192.0.2.1").advertise);
        CU_ASSERT_EQUAL(counts(&w).services, 1);
        gone(&w, KUBE_SERVICES, "a");
        settle(&w);
        CU_ASSERT_EQUAL(w.judged, 2);
        CU_ASSERT_FALSE(judge(&w, "192.0.2.1").advertise);
        CU_ASSERT_EQUAL(counts(&w).addresses, 0);
        CU_ASSERT_EQUAL(counts(&w).slices, 1);
    }
    gone(&w, KUBE_SLICES, "a-1");
    gone(&w, KUBE_SLICES, "a-1");
    gone(&w, KUBE_SERVICES, "a");
    CU_ASSERT_EQUAL(counts(&w).endpoints, 0);
    close_world(&w);
}

static void slices_of_a_service_add_up_and_families_do_not_mix(void)
{
    struct world w;
    struct kube_endpoints e;
    open_world(&w);
    w.config.services.weight_by_endpoints = true;
    put(&w, KUBE_SERVICES, service("a", "Local", "192.0.2.1"));
    put(&w, KUBE_SERVICES, service("b", "Local", "2001:db8::1"));
    put(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", 1, 2));
    put(&w, KUBE_SLICES, slice("a-2", "a", "IPv4", 3, 4));
    put(&w, KUBE_SLICES, slice("b-1", "b", "IPv4", 1, 0));
    CU_ASSERT_EQUAL(judge(&w, "192.0.2.1").weight, 4);
    CU_ASSERT_FALSE(judge(&w, "2001:db8::1").advertise);
    put(&w, KUBE_SLICES, slice("b-2", "b", "IPv6", 2, 0));
    CU_ASSERT_EQUAL(judge(&w, "2001:db8::1").weight, 2);
    kube_store_endpoints(w.st, "d/a", FAM_IPV4, &e);
    CU_ASSERT(e.ready == 10 && e.ready_here == 4);
    kube_store_endpoints(w.st, "d/b", FAM_IPV6, &e);
    CU_ASSERT(e.ready == 2 && e.ready_here == 2);
    kube_store_endpoints(w.st, "d/c", FAM_IPV6, &e);
    CU_ASSERT(e.ready == 0 && e.ready_here == 0);
    CU_ASSERT_EQUAL(counts(&w).endpoints, 13);
    CU_ASSERT_EQUAL(counts(&w).endpoints_here, 7);
    gone(&w, KUBE_SLICES, "a-2");
    CU_ASSERT_EQUAL(judge(&w, "192.0.2.1").weight, 1);
    close_world(&w);
}

static void slice_may_become_another_services_or_none(void)
{
    struct world w;
    open_world(&w);
    put(&w, KUBE_SERVICES, service("a", "Local", "192.0.2.1"));
    put(&w, KUBE_SERVICES, service("b", "Local", "192.0.2.2"));
    put(&w, KUBE_SLICES, slice("x", "a", "IPv4", 1, 0));
    settle(&w);
    put(&w, KUBE_SLICES, slice("x", "b", "IPv4", 1, 0));
    settle(&w);
    CU_ASSERT_EQUAL(w.judged, 3); /* and the cluster IP that they share here */
    CU_ASSERT_FALSE(judge(&w, "192.0.2.1").advertise);
    CU_ASSERT(judge(&w, "192.0.2.2").advertise);
    put(&w, KUBE_SLICES, slice("x", "b", "IPv6", 1, 0));
    CU_ASSERT_FALSE(judge(&w, "192.0.2.2").advertise);
    put(&w, KUBE_SLICES, slice("x", "b", "IPv4", 1, 0));
    CU_ASSERT(judge(&w, "192.0.2.2").advertise);
    put(&w, KUBE_SLICES, slice("x", "b", "FQDN", 1, 0));
    CU_ASSERT_FALSE(judge(&w, "192.0.2.2").advertise);
    CU_ASSERT_EQUAL(counts(&w).slices, 0);
    put(&w, KUBE_SLICES, slice("x", "b", "IPv4", 1, 0));
    put(&w, KUBE_SLICES, slice("x", "", "IPv4", 1, 0));
    CU_ASSERT_EQUAL(counts(&w).slices, 0);
    CU_ASSERT_FALSE(judge(&w, "192.0.2.2").advertise);
    CU_ASSERT_EQUAL(counts(&w).endpoints_here, 0);
    close_world(&w);
}

/* In a large cluster pods come and go elsewhere all the time. */
static void endpoints_that_make_no_difference_here_are_not_judged(void)
{
    static const struct {
        const char *policy;
        unsigned here, elsewhere, judged;
    } steps[] = {
        {"Local", 0, 1, 0},   {"Local", 0, 5, 0},   {"Local", 0, 0, 0},   {"Local", 1, 0, 1},
        {"Local", 1, 9, 0},   {"Local", 2, 9, 1},   {"Local", 0, 9, 1},   {"Local", 0, 3, 0},
        {"Cluster", 0, 3, 1}, {"Cluster", 1, 2, 0}, {"Cluster", 5, 0, 0}, {"Cluster", 0, 0, 1},
    };
    struct world w;
    open_world(&w);
    w.config.services.mode[KUBE_CLUSTER_IP] = KUBE_VIP_OFF;
    w.config.services.weight_by_endpoints = true;
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        put(&w, KUBE_SERVICES, service("a", steps[i].policy, "192.0.2.1"));
        if (!i || steps[i].policy == steps[i - 1].policy)
            settle(&w);
        put(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", steps[i].here, steps[i].elsewhere));
        struct ip_addr vip;
        w.judged = 0;
        while (kube_store_next(w.st, &vip))
            w.judged += vip.b[0] == 192;
        CU_ASSERT_EQUAL(w.judged, steps[i].judged);
    }
    close_world(&w);
}

static void services_change_in_every_way(void)
{
    struct world w;
    open_world(&w);
    put(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", 0, 1));
    put(&w, KUBE_SERVICES, service("a", "Cluster", "192.0.2.1"));
    CU_ASSERT(judge(&w, "192.0.2.1").advertise);
    settle(&w);
    put(&w, KUBE_SERVICES, service("a", "Cluster", "192.0.2.2"));
    settle(&w);
    CU_ASSERT_EQUAL(w.judged, 3); /* the old, the new, the cluster IP */
    CU_ASSERT_FALSE(judge(&w, "192.0.2.1").advertise);
    CU_ASSERT(judge(&w, "192.0.2.2").advertise);
    put(&w, KUBE_SERVICES, service("a", "Local", "192.0.2.2"));
    settle(&w);
    CU_ASSERT_FALSE(judge(&w, "192.0.2.2").advertise);
    put(&w, KUBE_SERVICES, service("a", "Cluster", "192.0.2.2"));
    json_t *o = service("a", "Cluster", "192.0.2.2"); /* the API server does the same to the status */
    json_object_set_new(json_object_get(o, "spec"), "type", json_string("ClusterIP"));
    settle(&w);
    put(&w, KUBE_SERVICES, o);
    settle(&w);
    CU_ASSERT_EQUAL(w.judged, 2);
    CU_ASSERT_FALSE(judge(&w, "192.0.2.2").advertise);
    CU_ASSERT(judge(&w, "10.96.0.1").advertise);
    close_world(&w);
}

static void service_that_is_being_deleted_is_as_before(void)
{
    struct world w;
    open_world(&w);
    put(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", 1, 0));
    put(&w, KUBE_SERVICES, service("a", NULL, "192.0.2.1"));
    settle(&w);
    json_t *o = service("a", NULL, "192.0.2.1");
    json_object_set_new(json_object_get(o, "metadata"), "deletionTimestamp",
                        json_string("2026-01-01T00:00:00Z"));
    put(&w, KUBE_SERVICES, o);
    CU_ASSERT_EQUAL(counts(&w).pending, 0);
    CU_ASSERT(judge(&w, "192.0.2.1").advertise);
    close_world(&w);
}

static void shared_address_is_advertised_while_any_service_wants_it(void)
{
    struct world w;
    open_world(&w);
    w.config.services.weight_by_endpoints = true;
    put(&w, KUBE_SERVICES, service("b", "Local", "192.0.2.1"));
    put(&w, KUBE_SERVICES, service("c", "Local", "192.0.2.1"));
    put(&w, KUBE_SERVICES,
        json_of(
            "{'metadata': {'name': 'a', 'namespace': 'd'}, 'spec': {'clusterIP': '10.96.0.9', 'externalIPs': "
            "['192.0.2.1'], 'externalTrafficPolicy': 'Local'}}"));
    put(&w, KUBE_SLICES, slice("c-1", "c", "IPv4", 2, 0));
    struct kube_vip_state s = judge(&w, "192.0.2.1");
    CU_ASSERT(s.advertise && s.kinds == 1 << KUBE_LOAD_BALANCER && s.weight == 2 &&
              !strcmp(s.service, "d/c"));
    put(&w, KUBE_SLICES, slice("b-1", "b", "IPv4", 5, 0));
    s = judge(&w, "192.0.2.1");
    CU_ASSERT(s.weight == 5 && !strcmp(s.service, "d/b"));
    put(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", 1, 0));
    s = judge(&w, "192.0.2.1");
    CU_ASSERT(s.kinds == (1 << KUBE_LOAD_BALANCER | 1 << KUBE_EXTERNAL_IP) && s.weight == 5 &&
              !strcmp(s.service, "d/a"));
    gone(&w, KUBE_SERVICES, "a");
    gone(&w, KUBE_SERVICES, "b");
    s = judge(&w, "192.0.2.1");
    CU_ASSERT(s.advertise && s.weight == 2 && !strcmp(s.service, "d/c"));
    gone(&w, KUBE_SERVICES, "c");
    CU_ASSERT_FALSE(judge(&w, "192.0.2.1").advertise);
    settle(&w);
    CU_ASSERT_EQUAL(counts(&w).addresses, 0);
    close_world(&w);
}

static void swapped_address_is_never_withdrawn(void)
{
    struct world w;
    open_world(&w);
    put(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", 1, 0));
    put(&w, KUBE_SLICES, slice("b-1", "b", "IPv4", 1, 0));
    put(&w, KUBE_SERVICES, service("a", NULL, "192.0.2.1"));
    put(&w, KUBE_SERVICES, service("b", NULL, "192.0.2.2"));
    settle(&w);
    put(&w, KUBE_SERVICES, service("a", NULL, "192.0.2.2"));
    put(&w, KUBE_SERVICES, service("b", NULL, "192.0.2.1"));
    CU_ASSERT_STRING_EQUAL(judge(&w, "192.0.2.1").service, "d/b");
    CU_ASSERT_STRING_EQUAL(judge(&w, "192.0.2.2").service, "d/a");
    settle(&w);
    CU_ASSERT_EQUAL(w.judged, 3);
    close_world(&w);
}

static void list_takes_away_what_it_did_not_have(void)
{
    struct world w;
    open_world(&w);
    for (int kind = 0; kind < KUBE_KINDS; kind++)
        kube_store_list_begin(w.st, (enum kube_kind)kind);
    put(&w, KUBE_SERVICES, service("a", NULL, "192.0.2.1"));
    put(&w, KUBE_SERVICES, service("b", NULL, "192.0.2.2"));
    put(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", 1, 0));
    put(&w, KUBE_SLICES, slice("b-1", "b", "IPv4", 1, 0));
    put(&w, KUBE_NODES, json_of("{'metadata': {'name': 'n1'}}"));
    for (int kind = 0; kind < KUBE_KINDS; kind++)
        kube_store_list_end(w.st, (enum kube_kind)kind);
    settle(&w);
    CU_ASSERT_EQUAL(counts(&w).services, 2);
    CU_ASSERT_EQUAL(counts(&w).nodes, 1);
    /* What breaks off takes nothing away, however often. */
    for (int i = 0; i < 70000; i++)
        kube_store_list_begin(w.st, KUBE_SERVICES);
    put(&w, KUBE_SERVICES, service("b", NULL, "192.0.2.2"));
    CU_ASSERT_EQUAL(counts(&w).pending, 0);
    kube_store_list_end(w.st, KUBE_SERVICES);
    CU_ASSERT_EQUAL(counts(&w).services, 1);
    CU_ASSERT_EQUAL(counts(&w).slices, 2);
    CU_ASSERT_FALSE(judge(&w, "192.0.2.1").advertise);
    settle(&w);
    CU_ASSERT_EQUAL(w.judged, 2);
    kube_store_list_begin(w.st, KUBE_SLICES);
    kube_store_list_begin(w.st, KUBE_NODES);
    kube_store_list_end(w.st, KUBE_NODES);
    CU_ASSERT_PTR_NULL(kube_store_node(w.st));
    CU_ASSERT(judge(&w, "192.0.2.2").advertise);
    kube_store_list_end(w.st, KUBE_SLICES);
    CU_ASSERT_FALSE(judge(&w, "192.0.2.2").advertise);
    CU_ASSERT_EQUAL(counts(&w).slices, 0);
    close_world(&w);
}

static void only_our_own_node_is_kept(void)
{
    struct world w;
    open_world(&w);
    CU_ASSERT_EQUAL(put(&w, KUBE_NODES, json_of("{'metadata': {'name': 'n2'}}")), 0);
    CU_ASSERT_PTR_NULL(kube_store_node(w.st));
    put(&w, KUBE_NODES, json_of("{'metadata': {'name': 'n1'}, 'spec': {'unschedulable': true}}"));
    CU_ASSERT(kube_store_node(w.st)->unschedulable);
    CU_ASSERT_EQUAL(kube_store_node_version(w.st), 1);
    put(&w, KUBE_NODES, json_of("{'metadata': {'name': 'n2'}}"));
    gone(&w, KUBE_NODES, "n2");
    put(&w, KUBE_NODES,
        json_of("{'metadata': {'name': 'n1', 'labels': {'x': 'y'}}, 'spec': {'unschedulable': true}}"));
    CU_ASSERT_EQUAL(kube_store_node_version(w.st), 1);
    put(&w, KUBE_NODES, json_of("{'metadata': {'name': 'n1'}}"));
    CU_ASSERT_EQUAL(kube_store_node_version(w.st), 2);
    gone(&w, KUBE_NODES, "n1");
    CU_ASSERT_PTR_NULL(kube_store_node(w.st));
    CU_ASSERT_EQUAL(kube_store_node_version(w.st), 3);
    put(&w, KUBE_NODES, json_of("{'metadata': {'name': 'n1'}}"));
    kube_store_configure(w.st, &w.config, "n3");
    CU_ASSERT_PTR_NULL(kube_store_node(w.st));
    close_world(&w);
}

static void node_view_and_configuration_judge_all_again(void)
{
    struct kube_node_view view = {.known = true, .drained = true};
    struct world w;
    open_world(&w);
    put(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", 1, 0));
    put(&w, KUBE_SERVICES, service("a", NULL, "192.0.2.1"));
    settle(&w);
    kube_store_set_node_view(w.st, &view);
    settle(&w);
    CU_ASSERT_EQUAL(w.judged, 2);
    CU_ASSERT_FALSE(judge(&w, "192.0.2.1").advertise);
    kube_store_set_node_view(w.st, &view);
    CU_ASSERT_EQUAL(counts(&w).pending, 0);
    view = (struct kube_node_view){.known = true, .excluded = true};
    kube_store_set_node_view(w.st, &view);
    CU_ASSERT_FALSE(judge(&w, "192.0.2.1").advertise);
    CU_ASSERT(judge(&w, "10.96.0.1").advertise);
    settle(&w);
    struct config_kube other = {.services.mode = {KUBE_VIP_OFF, KUBE_VIP_OFF, KUBE_VIP_OFF}};
    kube_store_configure(w.st, &other, "n1");
    settle(&w);
    CU_ASSERT_EQUAL(w.judged, 2);
    CU_ASSERT_FALSE(judge(&w, "10.96.0.1").advertise);
    close_world(&w);
}

static void list_with_another_selector_or_class_changes_what_is_advertised(void)
{
    struct config_label label = {(char *)"app", (char *)"x"};
    struct config_kube selective = {.services = {.labels = &label, .n_labels = 1}},
                       classy = {.services.load_balancer_class = (char *)"x.io/y"};
    const struct config_kube *steps[] = {&selective, NULL, &classy, NULL};
    struct world w;
    open_world(&w);
    memcpy(selective.services.mode, w.config.services.mode, sizeof w.config.services.mode);
    memcpy(classy.services.mode, w.config.services.mode, sizeof w.config.services.mode);
    put(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", 1, 0));
    put(&w, KUBE_SERVICES, service("a", NULL, "192.0.2.1"));
    for (int i = 0; i < 4; i++) {
        kube_store_configure(w.st, steps[i] ? steps[i] : &w.config, "n1");
        settle(&w);
        kube_store_list_begin(w.st, KUBE_SERVICES);
        put(&w, KUBE_SERVICES, service("a", NULL, "192.0.2.1"));
        kube_store_list_end(w.st, KUBE_SERVICES);
        settle(&w);
        CU_ASSERT_EQUAL(w.judged, 2);
        CU_ASSERT_EQUAL(judge(&w, "192.0.2.1").advertise, !steps[i]);
        CU_ASSERT_EQUAL(judge(&w, "10.96.0.1").advertise, steps[i] != &selective);
    }
    close_world(&w);
}

static void list_of_what_to_judge_is_in_order_and_has_nothing_twice(void)
{
    static const char *const names[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3"};
    struct ip_addr vip;
    char text[ADDR_STRLEN];
    struct world w;
    open_world(&w);
    w.config.services.mode[KUBE_CLUSTER_IP] = KUBE_VIP_OFF;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 3; i++)
            put(&w, KUBE_SERVICES, service(names[i] + 8, round ? "Local" : NULL, names[i]));
    gone(&w, KUBE_SERVICES, "2"); /* is there to be judged all the same */
    CU_ASSERT_EQUAL(counts(&w).pending, 4);
    for (int i = 0; kube_store_next(w.st, &vip);) {
        if (vip.b[0] != 10)
            CU_ASSERT_STRING_EQUAL(addr_format(&vip, text), names[i++]);
    }
    CU_ASSERT_EQUAL(counts(&w).addresses, 3);
    CU_ASSERT_FALSE(kube_store_next(w.st, &vip));
    close_world(&w);
}

static void what_has_no_name_is_refused_and_changes_nothing(void)
{
    static const char *const bad[] = {
        "{}",
        "[]",
        "'x'",
        "null",
        "7",
        "{'metadata': {}}",
        "{'metadata': 'a'}",
        "{'metadata': {'name': 'a'}}",
        "{'metadata': {'name': '', 'namespace': 'd'}}",
        "{'metadata': {'name': 'a', 'namespace': ''}}",
        "{'metadata': {'name': 7, 'namespace': 'd'}}",
        "{'metadata': {'name': 'a/b', 'namespace': 'd'}}",
        "{'metadata': {'name': 'a\\nb', 'namespace': 'd'}}",
        "{'metadata': {'name': 'a', 'namespace': ['d']}}",
    };
    struct world w;
    open_world(&w);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (int kind = KUBE_SERVICES; kind < KUBE_KINDS; kind++) {
            json_t *o = json_of("[%s]", bad[i]);
            CU_ASSERT_EQUAL(kube_store_put(w.st, (enum kube_kind)kind, json_array_get(o, 0)), -EINVAL);
            kube_store_gone(w.st, (enum kube_kind)kind, json_array_get(o, 0));
            json_decref(o);
        }
    }
    CU_ASSERT_EQUAL(counts(&w).services + counts(&w).slices + counts(&w).pending, 0);
    close_world(&w);
}

static void walk_by_name_survives_what_comes_and_goes(void)
{
    static const char *const names[] = {"m", "c", "x", "a", "k", "z", "b"};
    char seen[32] = "";
    struct world w;
    open_world(&w);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        put(&w, KUBE_SERVICES, service(names[i], NULL, NULL));
    put(&w, KUBE_SLICES, slice("y-1", "y", "IPv4", 1, 0)); /* no service */
    char at[KUBE_KEY_LEN] = "";
    for (const struct kube_service *s; (s = kube_store_service_after(w.st, at[0] ? at : NULL));) {
        strcpy(at, s->name);
        strcat(seen, s->name + 2);
        if (!strcmp(at, "d/c")) {
            gone(&w, KUBE_SERVICES, "c");
            gone(&w, KUBE_SERVICES, "k");
            put(&w, KUBE_SERVICES, service("d", NULL, NULL));
            put(&w, KUBE_SERVICES, service("aa", NULL, NULL));
        }
    }
    CU_ASSERT_STRING_EQUAL(seen, "abcdmxz");
    CU_ASSERT_STRING_EQUAL(kube_store_service_after(w.st, "d/a")->name, "d/aa");
    CU_ASSERT_STRING_EQUAL(kube_store_service_after(w.st, "")->name, "d/a");
    CU_ASSERT_PTR_NULL(kube_store_service_after(w.st, "e"));
    close_world(&w);
}

static void verdict_says_why_an_address_is_not_advertised(void)
{
    struct world w;
    open_world(&w);
    put(&w, KUBE_SERVICES, service("a", "Local", "192.0.2.1"));
    put(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", 0, 2));
    const struct kube_service *s = kube_store_service_after(w.st, NULL);
    CU_ASSERT_EQUAL_FATAL(s->n_vips, 2);
    CU_ASSERT_STRING_EQUAL(kube_reason_text(kube_store_verdict(w.st, s, &s->vips[0]).reason),
                           "no ready endpoint on this node");
    CU_ASSERT_EQUAL(kube_store_verdict(w.st, s, &s->vips[1]).reason, KUBE_ADVERTISED);
    close_world(&w);
}

/* Memory is what malloc says is in use; sanitizers have another malloc, which says nothing. */
static uint64_t in_use(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* Names as clusters have them, three addresses each; slices of so many endpoints for the first services. */
static void fill(struct world *w, unsigned services, unsigned slices, unsigned endpoints)
{
    for (unsigned i = 0; i < services; i++)
        put(w, KUBE_SERVICES,
            json_of("{'metadata': {'name': 'service-%05u', 'namespace': 'team-%u', 'labels': {'app': 'a'}}, "
                    "'spec': "
                    "{'type': 'LoadBalancer', 'clusterIP': '10.96.%u.%u', 'clusterIPs': ['10.96.%u.%u', "
                    "'fd00:10:96::%x'], 'externalTrafficPolicy': 'Local'}, 'status': {'loadBalancer': "
                    "{'ingress': "
                    "[{'ip': '198.18.%u.%u', 'ipMode': 'VIP'}]}}}",
                    i, i % 50, i >> 8, i & 255, i >> 8, i & 255, i + 1, i >> 8, i & 255));
    for (unsigned i = 0; i < slices; i++) {
        json_t *o = json_of(
            "{'metadata': {'name': 'service-%05u-x7z2q', 'namespace': 'team-%u', 'labels': "
            "{'kubernetes.io/service-name': 'service-%05u'}}, 'addressType': 'IPv4', 'endpoints': []}",
            i, i % 50, i);
        for (unsigned e = 0; e < endpoints; e++)
            json_array_append_new(
                json_object_get(o, "endpoints"),
                json_of("{'addresses': ['10.244.%u.%u'], 'nodeName': 'n%u'}", i & 255, e, e + 1));
        put(w, KUBE_SLICES, o);
    }
}

static void measure(unsigned services, unsigned slices, unsigned endpoints)
{
    struct world w;
    uint64_t before = in_use();
    open_world(&w);
    fill(&w, services, slices, endpoints);
    uint64_t used = in_use() - before;
    struct kube_store_counts c = counts(&w);
    CU_ASSERT(c.services == services && c.slices == slices && c.addresses == 3 * services);
    CU_ASSERT(c.pending == c.addresses && c.endpoints == 50000 && c.endpoints_here == slices);
    printf("  %u services, %u slices of %u endpoints: %.2f MB", services, slices, endpoints,
           (double)c.bytes / 1e6);
    printf(used ? ", by mallinfo2 %.2f MB\n" : "\n", (double)used / 1e6);
    CU_ASSERT(c.bytes < 16000000 && used < 16000000);
    if (used)
        CU_ASSERT(c.bytes > used - used / 20 && c.bytes < used + used / 20);
    settle(&w);
    CU_ASSERT_EQUAL(w.judged, 3 * services);
    /* A list that has it all again changes nothing, and one that has nothing leaves nothing. */
    kube_store_list_begin(w.st, KUBE_SERVICES);
    fill(&w, services, 0, 0);
    kube_store_list_end(w.st, KUBE_SERVICES);
    CU_ASSERT(counts(&w).pending == 0 && counts(&w).services == services && counts(&w).bytes == c.bytes);
    for (int kind = KUBE_SERVICES; kind < KUBE_KINDS; kind++) {
        kube_store_list_begin(w.st, (enum kube_kind)kind);
        kube_store_list_end(w.st, (enum kube_kind)kind);
    }
    settle(&w);
    c = counts(&w);
    CU_ASSERT(c.services + c.slices + c.addresses + c.pending == 0 && c.endpoints == 0);
    close_world(&w);
}

static void ten_thousand_services_take_a_few_megabytes(void)
{
    measure(10000, 10000, 5);
    measure(10000, 500, 100);
}

/* Beside a model: objects as they were put, and who follows the list. Small numbers, so that everything
 * meets. */
enum { NAMES = 4, SLICES = 5, IPS = 6 };
static const char *const ips[IPS] = {"192.0.2.1",   "192.0.2.2",   "192.0.2.3",
                                     "2001:db8::1", "2001:db8::2", "10.96.0.1"};
struct model {
    struct kube_service *services[NAMES];
    struct kube_slice *slices[SLICES];
    struct kube_vip_state told[IPS]; /* as judged when the address was last on the list */
};

static uint32_t roll(uint32_t below)
{
    static uint32_t state = 1;
    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
}

static json_t *any_service(unsigned name)
{
    json_t *o =
        service((char[]){(char)('a' + name), 0}, roll(2) ? "Local" : NULL, roll(3) ? ips[roll(5)] : NULL);
    json_t *external = json_array();
    for (unsigned n = roll(3); n; n--)
        json_array_append_new(external, json_string(ips[roll(IPS)]));
    json_object_set_new(json_object_get(o, "spec"), "externalIPs", external);
    if (!roll(4))
        json_object_set_new(json_object_get(o, "spec"), "clusterIP", json_string("None"));
    return o;
}

static void model_service(struct world *w, struct model *m)
{
    unsigned name = roll(NAMES);
    json_t *o = any_service(name);
    kube_service_free(m->services[name]);
    m->services[name] = NULL;
    if (roll(4)) {
        m->services[name] = kube_service_parse(o, &w->config);
        CU_ASSERT_EQUAL(kube_store_put(w->st, KUBE_SERVICES, o), 0);
    } else {
        kube_store_gone(w->st, KUBE_SERVICES, o);
    }
    json_decref(o);
}

static void model_slice(struct world *w, struct model *m)
{
    static const char *const types[] = {"IPv4", "IPv6", "IPv4", "IPv6", "FQDN"};
    unsigned name = roll(SLICES);
    json_t *o = slice((char[]){(char)('p' + name), 0}, (char[]){(char)('a' + roll(NAMES)), 0}, types[roll(5)],
                      roll(3), roll(2));
    json_t *e = json_array_get(json_object_get(o, "endpoints"), 0);
    if (e && roll(2))
        json_object_set_new(e, "conditions",
                            json_of("{'ready': false, 'serving': true, 'terminating': true}"));
    kube_slice_free(m->slices[name]);
    m->slices[name] = NULL;
    if (roll(4)) {
        m->slices[name] = kube_slice_parse(o, "n1");
        CU_ASSERT_EQUAL(kube_store_put(w->st, KUBE_SLICES, o), 0);
    } else {
        kube_store_gone(w->st, KUBE_SLICES, o);
    }
    json_decref(o);
}

static struct kube_endpoints model_endpoints(const struct model *m, const char *service, enum family f)
{
    struct kube_endpoints sum = {0};
    for (unsigned i = 0; i < SLICES; i++) {
        const struct kube_slice *s = m->slices[i];
        if (!s || !s->service || s->family != f || strcmp(s->service, service))
            continue;
        sum.ready = (uint16_t)(sum.ready + s->endpoints.ready);
        sum.ready_here = (uint16_t)(sum.ready_here + s->endpoints.ready_here);
        sum.terminating = (uint16_t)(sum.terminating + s->endpoints.terminating);
        sum.terminating_here = (uint16_t)(sum.terminating_here + s->endpoints.terminating_here);
    }
    return sum;
}

static struct kube_vip_state model_judge(const struct world *w, const struct model *m,
                                         const struct ip_addr *ip, const struct kube_node_view *view)
{
    struct kube_vip_state out = {0};
    for (unsigned i = 0; i < NAMES; i++) {
        const struct kube_service *s = m->services[i];
        for (unsigned v = 0; s && v < s->n_vips; v++) {
            struct kube_endpoints e = model_endpoints(m, s->name, addr_family(ip));
            struct kube_verdict verdict = kube_rule(&w->config, view, s, &s->vips[v], &e);
            if (!addr_equal(&s->vips[v].addr, ip) || verdict.reason != KUBE_ADVERTISED)
                continue;
            out.service = out.service ? out.service : s->name;
            out.advertise = true;
            out.kinds |= (uint8_t)(1 << s->vips[v].kind);
            out.weight = verdict.weight > out.weight ? verdict.weight : out.weight;
        }
    }
    return out;
}

/* Who is told by the list alone knows what there is. */
static bool model_agrees(struct world *w, struct model *m, const struct kube_node_view *view)
{
    struct ip_addr vip;
    bool agrees = true;
    while (kube_store_next(w->st, &vip))
        for (unsigned i = 0; i < IPS; i++) {
            struct ip_addr ip;
            addr_parse(ips[i], &ip);
            if (addr_equal(&ip, &vip))
                kube_store_judge(w->st, &vip, &m->told[i]);
        }
    for (unsigned i = 0; i < IPS; i++) {
        struct kube_vip_state now = judge(w, ips[i]);
        addr_parse(ips[i], &vip);
        struct kube_vip_state is = model_judge(w, m, &vip, view);
        agrees &= now.advertise == is.advertise && now.kinds == is.kinds && now.weight == is.weight &&
                  !strcmp(now.service ? now.service : "", is.service ? is.service : "") &&
                  m->told[i].advertise == is.advertise && m->told[i].weight == is.weight &&
                  m->told[i].kinds == is.kinds;
    }
    return agrees;
}

static void random_events_leave_what_a_model_says(void)
{
    struct kube_node_view view = {.known = true};
    struct model m = {0};
    struct world w;
    unsigned wrong = 0;
    open_world(&w);
    w.config.services.weight_by_endpoints = true;
    for (unsigned i = 0; i < 20000; i++) {
        for (unsigned n = roll(3); n; n--)
            (roll(2) ? model_service : model_slice)(&w, &m);
        if (!roll(20)) {
            view = (struct kube_node_view){.known = roll(4), .excluded = !roll(3), .drained = !roll(5)};
            kube_store_set_node_view(w.st, &view);
        }
        wrong += !model_agrees(&w, &m, &view);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    for (unsigned i = 0; i < NAMES; i++)
        kube_service_free(m.services[i]);
    for (unsigned i = 0; i < SLICES; i++)
        kube_slice_free(m.slices[i]);
    close_world(&w);
}

/* Memory that runs out, once: the linker puts these in the place of what the store calls. */
static int fail_in = -1;
static bool fails(void)
{
    return fail_in >= 0 && fail_in-- == 0;
}
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}
void *__real_tsearch(const void *key, void **root, int (*compare)(const void *, const void *));
void *__wrap_tsearch(const void *key, void **root, int (*compare)(const void *, const void *));
void *__wrap_tsearch(const void *key, void **root, int (*compare)(const void *, const void *))
{
    return fails() ? NULL : __real_tsearch(key, root, compare);
}

/* An object that is there and cannot be taken in is none that the list did not have. */
static void known_object_survives_a_list_without_memory(void)
{
    struct world w;
    open_world(&w);
    put(&w, KUBE_SERVICES, service("a", "Local", "192.0.2.1"));
    put(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", 1, 0));
    put(&w, KUBE_NODES, json_of("{'metadata': {'name': 'n1'}}"));
    json_t *changed[KUBE_KINDS] = {json_of("{'metadata': {'name': 'n1'}, 'spec': {'unschedulable': true}}"),
                                   service("a", "Cluster", "192.0.2.2"), slice("a-1", "a", "IPv4", 0, 0)};
    for (int kind = 0; kind < KUBE_KINDS; kind++) {
        kube_store_list_begin(w.st, (enum kube_kind)kind);
        fail_in = 0;
        CU_ASSERT_EQUAL(put(&w, (enum kube_kind)kind, changed[kind]), -ENOMEM);
        fail_in = -1;
        kube_store_list_end(w.st, (enum kube_kind)kind);
    }
    CU_ASSERT(judge(&w, "192.0.2.1").advertise);
    CU_ASSERT(kube_store_node(w.st) && !kube_store_node(w.st)->unschedulable);
    close_world(&w);
}

/* Puts the object, with every single allocation failing in turn. */
static void put_without_memory(struct world *w, enum kube_kind kind, json_t *object)
{
    unsigned failures = 0;
    for (int n = 0;; n++) {
        struct kube_store_counts before = counts(w);
        uint64_t version = kube_store_node_version(w->st);
        fail_in = n;
        int rc = kube_store_put(w->st, kind, object);
        bool failed = fail_in < 0;
        fail_in = -1;
        struct kube_store_counts after = counts(w);
        if (rc == 0 && !failed)
            break;
        failures++;
        if (rc == 0) /* it could do without */
            continue;
        CU_ASSERT_EQUAL(rc, -ENOMEM);
        CU_ASSERT(before.services == after.services && before.slices == after.slices &&
                  before.addresses == after.addresses && before.pending == after.pending &&
                  before.endpoints == after.endpoints && before.nodes == after.nodes);
        CU_ASSERT_EQUAL(kube_store_node_version(w->st), version);
    }
    CU_ASSERT(failures > 0);
    json_decref(object);
}

static void without_memory_nothing_changes(void)
{
    struct world w;
    open_world(&w);
    put_without_memory(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", 1, 0));
    put_without_memory(&w, KUBE_SERVICES, service("a", "Local", "192.0.2.1"));
    CU_ASSERT(judge(&w, "192.0.2.1").advertise);
    put_without_memory(&w, KUBE_SERVICES, service("a", "Local", "192.0.2.2"));
    put_without_memory(&w, KUBE_SERVICES, service("b", "Local", "192.0.2.3"));
    CU_ASSERT(judge(&w, "192.0.2.2").advertise && !judge(&w, "192.0.2.3").advertise);
    put_without_memory(&w, KUBE_SLICES, slice("a-1", "b", "IPv4", 1, 0));
    put_without_memory(&w, KUBE_SLICES, slice("c-1", "c", "IPv4", 1, 0));
    CU_ASSERT(!judge(&w, "192.0.2.2").advertise && judge(&w, "192.0.2.3").advertise);
    put_without_memory(
        &w, KUBE_NODES,
        json_of("{'metadata': {'name': 'n1', 'annotations': {'underlay.io/asn': '65001'}}, 'spec': "
                "{'taints': [{'key': 'a'}], 'podCIDR': '10.244.1.0/24'}}"));
    CU_ASSERT_EQUAL(kube_store_node(w.st)->n_taints, 1);
    /* Where tables grow. */
    char name[16];
    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "198.51.%u.%u", i >> 8, i & 255);
        put_without_memory(&w, KUBE_SERVICES, service(name, NULL, name));
    }
    close_world(&w);
}

static const struct unit_case cases[] = {
    UNIT(vip_is_advertised_once_there_is_an_endpoint),
    UNIT(what_only_changes_its_resource_version_is_not_judged_again),
    UNIT(slices_may_come_before_their_service_and_stay_after_it),
    UNIT(slices_of_a_service_add_up_and_families_do_not_mix),
    UNIT(slice_may_become_another_services_or_none),
    UNIT(endpoints_that_make_no_difference_here_are_not_judged),
    UNIT(services_change_in_every_way),
    UNIT(service_that_is_being_deleted_is_as_before),
    UNIT(shared_address_is_advertised_while_any_service_wants_it),
    UNIT(swapped_address_is_never_withdrawn),
    UNIT(list_takes_away_what_it_did_not_have),
    UNIT(only_our_own_node_is_kept),
    UNIT(node_view_and_configuration_judge_all_again),
    UNIT(list_with_another_selector_or_class_changes_what_is_advertised),
    UNIT(list_of_what_to_judge_is_in_order_and_has_nothing_twice),
    UNIT(what_has_no_name_is_refused_and_changes_nothing),
    UNIT(walk_by_name_survives_what_comes_and_goes),
    UNIT(verdict_says_why_an_address_is_not_advertised),
    UNIT(ten_thousand_services_take_a_few_megabytes),
    UNIT(random_events_leave_what_a_model_says),
    UNIT(without_memory_nothing_changes),
    UNIT(known_object_survives_a_list_without_memory),
};
UNIT_MAIN("kube store", cases)
