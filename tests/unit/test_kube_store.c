/* The store: what it is told, and what it then says of an address. What is advertised is followed as its user
 * does, by taking addresses off the list and judging them. Long runs beside a model are
 * test_kube_store_model.c, memory is test_kube_store_memory.c. */
#include <errno.h>

#include "kube_store_fixture.h"

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
};
UNIT_MAIN("kube store", cases)
