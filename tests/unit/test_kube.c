/* Kubernetes in the speaker: from what the API server says to what the RIB originates. */
#include "kube_speaker.h"

static void a_service_is_advertised_while_it_works(void)
{
    begin("communities: {load-balancer: [\"65000:100\"]}");
    list_all();
    const struct attr *a = originated("192.0.2.1/32");
    char text[100];
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    attr_format_communities(a, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "65000:100");
    CU_ASSERT_EQUAL(attr_weight(a), 1);
    CU_ASSERT_PTR_NOT_NULL(originated("10.244.1.0/24"));
    CU_ASSERT_PTR_NOT_NULL(originated("fd00:244:1::/64"));
    CU_ASSERT_PTR_NULL(originated("10.96.0.9/32"));
    put(KUBE_SLICES, SLICE("false"));
    turn(1);
    CU_ASSERT_PTR_NULL(originated("192.0.2.1/32"));
    put(KUBE_SLICES, SLICE("true"));
    turn(1);
    CU_ASSERT_PTR_NOT_NULL(originated("192.0.2.1/32"));
    gone(KUBE_SERVICES, SERVICE);
    turn(1);
    CU_ASSERT_PTR_NULL(originated("192.0.2.1/32"));
    end();
}

static void nothing_is_judged_by_a_half_of_what_there_is(void)
{
    begin("services: {load-balancer: auto}");
    list(KUBE_NODES, NODE(""));
    CU_ASSERT_PTR_NOT_NULL(originated("10.244.1.0/24"));
    list(KUBE_SERVICES, SERVICE);
    turn(1);
    CU_ASSERT_EQUAL(info().state, KUBE_STATE_LISTING);
    CU_ASSERT_PTR_NULL(originated("192.0.2.1/32"));
    list(KUBE_SLICES, SLICE("true"));
    turn(1);
    CU_ASSERT_EQUAL(info().state, KUBE_STATE_CURRENT);
    CU_ASSERT_PTR_NOT_NULL(originated("192.0.2.1/32"));
    end();
}

static void a_cordon_makes_services_leave_and_nothing_else(void)
{
    begin("drain: {grace: 20ms}");
    list_all();
    put(KUBE_NODES, NODE(",\"unschedulable\":true"));
    CU_ASSERT(draining("192.0.2.1/32"));
    CU_ASSERT_EQUAL(info().drain, KUBE_DRAIN_GRACEFUL);
    CU_ASSERT(originated("10.244.1.0/24") && !draining("10.244.1.0/24"));
    turn(60);
    CU_ASSERT_PTR_NULL(originated("192.0.2.1/32"));
    CU_ASSERT_EQUAL(info().drain, KUBE_DRAIN_WITHDRAWN);
    CU_ASSERT_PTR_NOT_NULL(originated("10.244.1.0/24"));
    put(KUBE_NODES, NODE(""));
    turn(1);
    CU_ASSERT(originated("192.0.2.1/32") && !draining("192.0.2.1/32"));
    end();
}

static void a_cordon_that_is_taken_back_withdraws_nothing(void)
{
    begin("drain: {grace: 20ms}");
    list_all();
    put(KUBE_NODES, NODE(",\"unschedulable\":true"));
    CU_ASSERT(draining("192.0.2.1/32"));
    put(KUBE_NODES, NODE(""));
    CU_ASSERT(originated("192.0.2.1/32") && !draining("192.0.2.1/32"));
    turn(60);
    CU_ASSERT_PTR_NOT_NULL(originated("192.0.2.1/32"));
    end();
}

static void taints_of_the_configuration_do_the_same(void)
{
    begin("drain: {cordon: false, taints: [\"maintenance:NoExecute\"], grace: 1h}");
    list_all();
    put(KUBE_NODES,
        NODE(",\"unschedulable\":true,\"taints\":[{\"key\":\"maintenance\",\"effect\":\"NoSchedule\"}]"));
    CU_ASSERT(!draining("192.0.2.1/32"));
    put(KUBE_NODES, NODE(",\"taints\":[{\"key\":\"maintenance\",\"effect\":\"NoExecute\"}]"));
    CU_ASSERT(draining("192.0.2.1/32"));
    end();
}

static void on_a_node_cordoned_before_the_start_services_do_not_come(void)
{
    begin("drain: {grace: 1h}");
    list(KUBE_NODES, NODE(",\"unschedulable\":true"));
    list(KUBE_SERVICES, SERVICE);
    list(KUBE_SLICES, SLICE("true"));
    turn(1);
    CU_ASSERT_PTR_NULL(originated("192.0.2.1/32"));
    CU_ASSERT_PTR_NOT_NULL(originated("10.244.1.0/24"));
    end();
}

static void a_deleted_node_leaves_with_all(void)
{
    begin("drain: {grace: 20ms}");
    list_all();
    gone(KUBE_NODES, NODE(""));
    turn(1);
    CU_ASSERT(draining("192.0.2.1/32") && draining("10.244.1.0/24") && info().node_deleted);
    turn(60);
    CU_ASSERT(!originated("192.0.2.1/32") && !originated("10.244.1.0/24") && !originated("fd00:244:1::/64"));
    put(KUBE_NODES, NODE(""));
    turn(1);
    CU_ASSERT(originated("192.0.2.1/32") && originated("10.244.1.0/24") && !draining("10.244.1.0/24"));
    end();
}

static void an_absent_server_changes_nothing(void)
{
    begin("");
    list_all();
    for (unsigned k = 0; k < KUBE_KINDS; k++)
        current((enum kube_kind)k, false);
    turn(30);
    memset(hurried, 0, sizeof hurried);
    current(KUBE_NODES, true); /* who gets through tells the others */
    CU_ASSERT(hurried[KUBE_SERVICES] == 1 && hurried[KUBE_SLICES] == 1);
    current(KUBE_NODES, true);
    CU_ASSERT_EQUAL(hurried[KUBE_SERVICES], 1);
    current(KUBE_NODES, false);
    CU_ASSERT_EQUAL(info().state, KUBE_STATE_STALE);
    CU_ASSERT_STRING_EQUAL(info().error, "nodes: connection refused");
    CU_ASSERT_PTR_NOT_NULL(originated("192.0.2.1/32"));
    end();
}

static void stale_after_withdraws_services_until_the_server_is_back(void)
{
    begin("stale-after: 20ms");
    list_all();
    turn(60);
    CU_ASSERT_PTR_NOT_NULL(originated("192.0.2.1/32"));
    current(KUBE_SLICES, false);
    turn(60);
    CU_ASSERT(info().expired);
    CU_ASSERT(!originated("192.0.2.1/32") && originated("10.244.1.0/24"));
    current(KUBE_SLICES, true);
    turn(1);
    CU_ASSERT_PTR_NOT_NULL(originated("192.0.2.1/32"));
    end();
}

static void a_nodes_address_counts_where_it_is_on_lo(void)
{
    begin("");
    list_all();
    CU_ASSERT_PTR_NULL(originated("10.0.0.11/32"));
    addresses[0] = (struct fib_address){.ifindex = 1};
    addr_parse("10.0.0.11", &addresses[0].addr);
    n_addresses = 1;
    kube_addresses_changed(speaker.kube);
    CU_ASSERT_PTR_NOT_NULL(originated("10.0.0.11/32"));
    n_addresses = 0;
    kube_addresses_changed(speaker.kube);
    CU_ASSERT_PTR_NULL(originated("10.0.0.11/32"));
    end();
}

static void aggregates_stand_for_cluster_ips(void)
{
    begin("services: {cluster-ips: aggregate, cidrs: [10.96.0.0/16]}, drain: {grace: 0s}");
    CU_ASSERT_PTR_NULL(originated("10.96.0.0/16"));
    list_all();
    CU_ASSERT_PTR_NOT_NULL(originated("10.96.0.0/16"));
    CU_ASSERT_PTR_NULL(originated("10.96.0.9/32"));
    put(KUBE_NODES, NODE(",\"unschedulable\":true"));
    CU_ASSERT_PTR_NULL(originated("10.96.0.0/16"));
    end();
}

static void a_reload_changes_what_it_says_and_nothing_else(void)
{
    begin("");
    list_all();
    configure("communities: {load-balancer: [\"65000:7\"]}");
    CU_ASSERT_EQUAL(relists, 0);
    char text[100];
    attr_format_communities(originated("192.0.2.1/32"), text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "65000:7");
    configure("services: {load-balancer: \"off\", cluster-ips: auto}, pod-cidrs: false");
    CU_ASSERT(!originated("192.0.2.1/32") && originated("10.96.0.9/32") && !originated("10.244.1.0/24"));
    configure("services: {selector: {matchLabels: {app: x}}}");
    CU_ASSERT_EQUAL(relists, 1);
    end();
}

static void turned_off_it_takes_all_along(void)
{
    begin("");
    list_all();
    struct config *before = speaker.config;
    struct config_errors e = {0};
    static const char yaml[] = "router: {asn: 64512, id: 10.0.0.1}\n";
    CU_ASSERT_EQUAL_FATAL(config_load("test", yaml, strlen(yaml), NULL, &e, &speaker.config), 0);
    kube_apply(speaker.kube, before);
    config_free(before);
    CU_ASSERT_EQUAL(sources_count(speaker.sources), 0);
    CU_ASSERT_EQUAL(info().state, KUBE_STATE_OFF);
    end();
}

static unsigned files_read;
static void file_read(void *arg, char *text, size_t len, int error)
{
    (void)arg, (void)text, (void)len;
    CU_ASSERT(error == -ENOKEY || error == -ENOTCONN || error == -ENOENT);
    files_read++;
}

/* The client outlives neither a reload nor a stop; who has asked for a file is told once all the same. */
static void a_file_may_come_when_nobody_waits_any_more(void)
{
    struct keyfile known = {.path = (char *)(uintptr_t) "/run/token"};
    begin("");
    speaker.keys.files = &known;
    speaker.keys.n = 1;
    files_read = 0;
    client_ops.read_file(client_arg, "/run/other", file_read, NULL);
    client_ops.read_file(client_arg, "/run/token", file_read, NULL);
    CU_ASSERT_EQUAL(files_read, 2);
    parent.error = 0;
    client_ops.read_file(client_arg, "/run/token", file_read, NULL);
    CU_ASSERT_EQUAL(files_read, 2);
    speaker.keys.n = 0;
    end();
    parent.error = -ENOTCONN;
    parent.cb(parent.arg, -1, -ENOENT);
    CU_ASSERT_EQUAL(files_read, 3);
}

static void readiness_is_said_once_routes_are_in_the_kernel(void)
{
    begin("readiness: {taint: \"underlay.io/not-ready:NoSchedule\"}");
    list_all();
    put(KUBE_NODES,
        NODE(",\"taints\":[{\"key\":\"a\",\"effect\":\"NoSchedule\"},{\"key\":\"underlay.io/not-ready\","
             "\"effect\":\"NoSchedule\"}]"));
    CU_ASSERT_EQUAL(asked.patches, 0);
    CU_ASSERT_STRING_EQUAL(info().readiness, "waiting");
    speaker.fib_settled = true;
    kube_ready_changed(speaker.kube);
    CU_ASSERT_EQUAL(asked.patches, 1);
    CU_ASSERT_STRING_EQUAL(asked.path, "/api/v1/nodes/n1");
    CU_ASSERT_STRING_EQUAL(asked.type, "application/json-patch+json");
    CU_ASSERT_PTR_NOT_NULL(strstr(asked.body, "\"remove\",\"path\":\"/spec/taints/1\""));
    asked.ops.status(asked.arg, 403);
    asked.ops.done(asked.arg, 0, "");
    CU_ASSERT_PTR_NOT_NULL(strstr(info().readiness, "403"));
    kube_ready_changed(speaker.kube); /* not at once again */
    CU_ASSERT_EQUAL(asked.patches, 1);
    put(KUBE_NODES, NODE(""));
    turn(1300);
    CU_ASSERT_STRING_EQUAL(info().readiness, "done");
    CU_ASSERT_EQUAL(asked.patches, 1);
    end();
}

#define ANNOTATED(asn)                                                                                       \
    "{\"metadata\":{\"name\":\"n1\",\"annotations\":{\"underlay.io/asn\":\"" asn "\"}},\"spec\":{}}"

static void annotations_reload_the_configuration_once(void)
{
    begin("");
    list_all();
    CU_ASSERT_EQUAL(reloads, 0);
    put(KUBE_NODES, ANNOTATED("65101"));
    CU_ASSERT_EQUAL(reloads, 1);
    CU_ASSERT_STRING_EQUAL(speaker.overlay->text[KUBE_ANNOTATION_ASN], "65101");
    reload_done(reload_arg, NULL, NULL);
    put(KUBE_NODES, ANNOTATED("65101"));
    CU_ASSERT_EQUAL(reloads, 1);
    put(KUBE_NODES, ANNOTATED("x"));
    CU_ASSERT_EQUAL(reloads, 2);
    reload_done(reload_arg, "annotation underlay.io/asn: `x` is not an AS number\nmore\n", NULL);
    CU_ASSERT_STRING_EQUAL(speaker.overlay->text[KUBE_ANNOTATION_ASN], "65101");
    CU_ASSERT_STRING_EQUAL(info().settings_error, "annotation underlay.io/asn: `x` is not an AS number");
    put(KUBE_NODES, ANNOTATED("x"));
    CU_ASSERT_EQUAL(reloads, 2); /* refused already */
    char *text = file_text();
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "annotation underlay.io/asn \"65101\"\n"));
    free(text);
    end();
}

static void a_reload_counts_for_a_grace_under_way(void)
{
    begin("drain: {grace: 1h}");
    list_all();
    put(KUBE_NODES, NODE(",\"unschedulable\":true"));
    configure("drain: {grace: 2h}");
    CU_ASSERT(info().drain_left_ms > 3600000 && draining("192.0.2.1/32"));
    configure("drain: {grace: 0s}");
    turn(1);
    CU_ASSERT_EQUAL(info().drain, KUBE_DRAIN_WITHDRAWN);
    CU_ASSERT_PTR_NULL(originated("192.0.2.1/32"));
    end();
}

static void a_node_that_is_deleted_leaves_as_it_was(void)
{
    static const char node[] = "{\"metadata\":{\"name\":\"n1\",\"labels\":{\"node.kubernetes.io/"
                               "exclude-from-external-load-balancers\":"
                               "\"\"}},\"spec\":{\"podCIDR\":\"10.244.1.0/24\"}}";
    begin("drain: {grace: 1h}");
    list_all();
    put(KUBE_NODES, node);
    turn(1);
    CU_ASSERT_PTR_NULL(originated("192.0.2.1/32"));
    gone(KUBE_NODES, node);
    turn(1);
    CU_ASSERT(!originated("192.0.2.1/32") && draining("10.244.1.0/24"));
    end();
}

static void a_longer_stale_after_takes_the_services_back(void)
{
    begin("stale-after: 20ms");
    list_all();
    current(KUBE_SLICES, false);
    turn(60);
    CU_ASSERT(info().expired && !originated("192.0.2.1/32"));
    configure("stale-after: 1h");
    CU_ASSERT(!info().expired && originated("192.0.2.1/32"));
    end();
}

static void two_reasons_for_one_prefix(void)
{
    begin("drain: {grace: 1h}, services: {external-ips: auto}");
    addresses[0] = (struct fib_address){.ifindex = 1};
    addr_parse("10.0.0.11", &addresses[0].addr);
    n_addresses = 1;
    list_all();
    put(KUBE_SERVICES, "{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"},\"spec\":{\"clusterIP\":"
                       "\"10.96.0.9\",\"externalIPs\":[\"10.0.0.11\"]}}");
    turn(1);
    CU_ASSERT_PTR_NOT_NULL(originated("10.0.0.11/32"));
    CU_ASSERT_EQUAL(info().advertised, 3);
    put(KUBE_NODES, NODE(",\"unschedulable\":true"));
    CU_ASSERT(!draining("10.0.0.11/32")); /* the node stays */
    n_addresses = 0;
    kube_addresses_changed(speaker.kube);
    CU_ASSERT(draining("10.0.0.11/32")); /* the service alone */
    put(KUBE_NODES, NODE(""));
    gone(KUBE_SERVICES, SERVICE);
    turn(1);
    CU_ASSERT_PTR_NULL(originated("10.0.0.11/32"));
    end();
}

static void another_server_is_another_cluster(void)
{
    begin("servers: [\"https://10.0.0.1:6443\"]");
    list_all();
    configure("servers: [\"https://10.0.0.2:6443\"]");
    CU_ASSERT_EQUAL(relists, KUBE_KINDS);
    CU_ASSERT_PTR_NOT_NULL(originated("192.0.2.1/32"));
    end();
}

static void a_stopped_one_follows_the_configuration(void)
{
    begin("");
    list_all();
    kube_stop(speaker.kube);
    configure("services: {load-balancer: auto}"); /* what the store had borrowed is gone */
    const struct kube_service *s = kube_store_service_after(kube_get_store(speaker.kube), NULL);
    CU_ASSERT_EQUAL(kube_store_verdict(kube_get_store(speaker.kube), s, &s->vips[0]).reason, KUBE_ADVERTISED);
    CU_ASSERT_PTR_NOT_NULL(originated("192.0.2.1/32"));
    end();
}

static void annotations_that_are_taken_back_are_no_error_any_more(void)
{
    begin("");
    list_all();
    put(KUBE_NODES, ANNOTATED("65101"));
    reload_done(reload_arg, NULL, NULL);
    put(KUBE_NODES, ANNOTATED("x"));
    reload_done(reload_arg, "annotation underlay.io/asn: no\n", NULL);
    CU_ASSERT_STRING_EQUAL(info().settings_error, "annotation underlay.io/asn: no");
    put(KUBE_NODES, ANNOTATED("65101"));
    CU_ASSERT_EQUAL(reloads, 2);
    CU_ASSERT_STRING_EQUAL(info().settings_error, "");
    put(KUBE_NODES, ANNOTATED("x"));
    CU_ASSERT_EQUAL(reloads, 3);
    reload_done(reload_arg, "annotation underlay.io/asn: no\n", NULL);
    configure("node-annotations: false");
    CU_ASSERT_STRING_EQUAL(info().settings_error, "");
    end();
}

static void annotations_wait_for_whoever_reloads(void)
{
    begin("");
    speaker.running = false;
    list_all();
    put(KUBE_NODES, ANNOTATED("65101"));
    turn(1200);
    speaker.running = speaker.reloading = true;
    turn(1700); /* so many attempts cost nothing later */
    CU_ASSERT_EQUAL(reloads, 0);
    speaker.reloading = false;
    turn(700);
    CU_ASSERT_EQUAL(reloads, 1);
    end();
}

static void annotations_that_never_rest_are_read_now_and_then(void)
{
    char node[200];
    begin("");
    list_all();
    for (unsigned i = 0; i < 50; i++) {
        snprintf(node, sizeof node,
                 "{\"metadata\":{\"name\":\"n1\",\"annotations\":{\"underlay.io/asn\":\"%u\"}}}", i + 1);
        put(KUBE_NODES, node);
        if (reload_done)
            reload_done(reload_arg, NULL, NULL);
        reload_done = NULL;
    }
    CU_ASSERT(reloads > 1 && reloads < 10);
    end();
}

static void the_taint_that_is_removed_is_the_one_that_was_meant(void)
{
    begin("readiness: {taint: \"underlay.io/not-ready:NoSchedule\"}");
    speaker.fib_settled = true;
    list_all();
    put(KUBE_NODES, NODE(",\"taints\":[{\"key\":\"underlay.io/not-ready\",\"effect\":\"NoExecute\"},{\"key\":"
                         "\"underlay.io/not-ready\",\"effect\":\"NoSchedule\"}]"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(asked.body, "\"path\":\"/spec/taints/1/key\",\"value\":\"underlay.io/not-ready\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(asked.body, "\"path\":\"/spec/taints/1/effect\",\"value\":\"NoSchedule\""));
    end();
}

static const struct unit_case cases[] = {
    UNIT(a_service_is_advertised_while_it_works),
    UNIT(nothing_is_judged_by_a_half_of_what_there_is),
    UNIT(a_cordon_makes_services_leave_and_nothing_else),
    UNIT(a_cordon_that_is_taken_back_withdraws_nothing),
    UNIT(taints_of_the_configuration_do_the_same),
    UNIT(on_a_node_cordoned_before_the_start_services_do_not_come),
    UNIT(a_deleted_node_leaves_with_all),
    UNIT(an_absent_server_changes_nothing),
    UNIT(stale_after_withdraws_services_until_the_server_is_back),
    UNIT(a_nodes_address_counts_where_it_is_on_lo),
    UNIT(aggregates_stand_for_cluster_ips),
    UNIT(a_reload_changes_what_it_says_and_nothing_else),
    UNIT(turned_off_it_takes_all_along),
    UNIT(a_file_may_come_when_nobody_waits_any_more),
    UNIT(readiness_is_said_once_routes_are_in_the_kernel),
    UNIT(annotations_reload_the_configuration_once),
    UNIT(a_reload_counts_for_a_grace_under_way),
    UNIT(a_node_that_is_deleted_leaves_as_it_was),
    UNIT(a_longer_stale_after_takes_the_services_back),
    UNIT(two_reasons_for_one_prefix),
    UNIT(another_server_is_another_cluster),
    UNIT(a_stopped_one_follows_the_configuration),
    UNIT(annotations_that_are_taken_back_are_no_error_any_more),
    UNIT(annotations_wait_for_whoever_reloads),
    UNIT(annotations_that_never_rest_are_read_now_and_then),
    UNIT(the_taint_that_is_removed_is_the_one_that_was_meant),
};
UNIT_MAIN("kube", cases)
