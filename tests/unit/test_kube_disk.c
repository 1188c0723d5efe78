/* What is kept on disk of Kubernetes, and what a process makes of it that cannot ask anybody. */
#include "kube_speaker.h"

static void what_is_saved_stands_until_it_is_known_better(void)
{
    struct kube_saved saved;
    char text[] = "boot b\nnode \"n1\"\nannotation underlay.io/asn \"65101\"\nprefix 10.244.9.0/24 pod-cidr\n"
                  "prefix 192.0.2.1/32 load-balancer weight 2 service \"default/web\"\n"
                  "prefix 192.0.2.9/32 external-ip service \"default/old\"\n";
    kube_saved_parse(text, "b", &saved);
    CU_ASSERT_EQUAL(saved.n_entries, 3);
    begin_from("", &saved);
    turn(1);
    CU_ASSERT_PTR_NOT_NULL(originated("192.0.2.9/32"));
    CU_ASSERT_EQUAL(attr_weight(originated("192.0.2.1/32")), 2);
    CU_ASSERT(info().from_disk && info().state == KUBE_STATE_STALE);
    list(KUBE_NODES, NODE(""));
    CU_ASSERT_PTR_NOT_NULL(originated("10.244.1.0/24"));
    CU_ASSERT_PTR_NULL(originated("10.244.9.0/24"));
    list(KUBE_SLICES, SLICE("true"));
    turn(1);
    CU_ASSERT_PTR_NOT_NULL(originated("192.0.2.9/32")); /* services are not known yet */
    list(KUBE_SERVICES, SERVICE);
    turn(1);
    CU_ASSERT_PTR_NULL(originated("192.0.2.9/32"));
    CU_ASSERT_EQUAL(attr_weight(originated("192.0.2.1/32")), 1);
    CU_ASSERT(!info().from_disk);
    end();
}

static void after_another_boot_only_the_node_itself_stands(void)
{
    struct kube_saved saved;
    char text[] = "boot b\nnode \"n1\"\nprefix 10.244.9.0/24 pod-cidr\nprefix 192.0.2.1/32 load-balancer\n"
                  "prefix 10.0.0.11/32 node-address external-ip\n";
    kube_saved_parse(text, "c", &saved);
    begin_from("", &saved);
    CU_ASSERT_PTR_NOT_NULL(originated("10.244.9.0/24"));
    CU_ASSERT_PTR_NOT_NULL(originated("10.0.0.11/32"));
    CU_ASSERT_PTR_NULL(originated("192.0.2.1/32"));
    end();
}

static void another_nodes_file_is_not_taken(void)
{
    struct kube_saved saved;
    char text[] = "boot b\nnode \"n2\"\nprefix 10.244.9.0/24 pod-cidr\n";
    kube_saved_parse(text, "b", &saved);
    begin_from("", &saved);
    CU_ASSERT_PTR_NULL(originated("10.244.9.0/24"));
    end();
}

static void what_is_written_is_read_again(void)
{
    char boot[64];
    struct kube_saved saved;
    begin("");
    list_all();
    CU_ASSERT(saves > 0);
    char *text = file_text();
    kube_saved_parse(text, kube_boot_id(boot), &saved);
    CU_ASSERT_STRING_EQUAL(saved.node, "n1");
    CU_ASSERT(saved.same_boot && saved.ignored == 0);
    CU_ASSERT_EQUAL_FATAL(saved.n_entries, 3);
    CU_ASSERT(saved.entries[0].by == SOURCE_KUBE_POD_CIDR || saved.entries[1].by == SOURCE_KUBE_POD_CIDR);
    for (unsigned i = 0; i < 3; i++)
        if (saved.entries[i].by == SOURCE_KUBE_VIP) {
            CU_ASSERT_EQUAL(saved.entries[i].kinds, 1 << KUBE_LOAD_BALANCER);
            CU_ASSERT_EQUAL(saved.entries[i].weight, 1);
            CU_ASSERT_STRING_EQUAL(saved.entries[i].service, "default/web");
        }
    kube_saved_reset(&saved);
    free(text);
    end();
}

static void lines_that_make_no_sense_are_left_out(void)
{
    static const char *const lines[] = {"nonsense",
                                        "prefix",
                                        "prefix x load-balancer",
                                        "prefix 0.0.0.0/0 pod-cidr",
                                        "prefix 127.0.0.0/8 pod-cidr",
                                        "node 1",
                                        "annotation x \"y\"",
                                        "annotation underlay.io/asn 65101",
                                        "leaving nothing",
                                        "annotation"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct kube_saved saved;
        char text[200];
        snprintf(text, sizeof text, "boot b\nnode \"n1\"\n%s\nprefix 10.244.1.0/24 pod-cidr\n", lines[i]);
        kube_saved_parse(text, "b", &saved);
        CU_ASSERT_EQUAL(saved.ignored, 1);
        CU_ASSERT_EQUAL(saved.n_entries, 1);
        kube_saved_reset(&saved);
    }
    struct kube_saved saved;
    char text[] = "prefix 10.244.1.0/24 from-the-future weight\nprefix 10.244.2.0/24 pod-cidr service\n"
                  "boot b\nprefix 10.0.0.0/8 load-balancer\n"; /* an address has all its bits */
    kube_saved_parse(text, "b", &saved);
    CU_ASSERT_EQUAL(saved.n_entries, 1);
    kube_saved_reset(&saved);
}

static void take(const char *lines, const char *keys)
{
    static struct kube_saved saved;
    char *text = NULL, boot[64];
    CU_ASSERT_FATAL(asprintf(&text, "boot %s\nnode \"n1\"\n%s", kube_boot_id(boot), lines) > 0);
    kube_saved_parse(text, boot, &saved);
    free(text);
    begin_from(keys, &saved);
}

#define POD "prefix 10.244.1.0/24 pod-cidr\n"
#define VIP "prefix 192.0.2.1/32 load-balancer weight 2 service \"default/web\"\n"
#define ALL                                                                                                  \
    POD VIP "prefix 192.0.2.9/32 external-ip load-balancer\nprefix 10.0.0.11/32 node-address\n"              \
            "prefix 10.96.0.0/16 service-cidr\n"

static void what_the_configuration_turns_off_is_not_taken(void)
{
    take(ALL, "pod-cidrs: false, node-address: false, services: {load-balancer: \"off\"}");
    CU_ASSERT(!originated("10.244.1.0/24") && !originated("10.0.0.11/32") && !originated("192.0.2.1/32"));
    CU_ASSERT(!originated("10.96.0.0/16") && originated("192.0.2.9/32"));
    CU_ASSERT_EQUAL(info().advertised, 1);
    end();
}

static void a_reload_takes_away_what_is_from_disk(void)
{
    take(ALL, "services: {cluster-ips: aggregate, cidrs: [10.96.0.0/16]}");
    CU_ASSERT_EQUAL(info().advertised, 5);
    configure("node-address: false, services: {load-balancer: \"off\", weight-by-endpoints: false}");
    CU_ASSERT(originated("10.244.1.0/24") && originated("192.0.2.9/32"));
    CU_ASSERT(!originated("192.0.2.1/32") && !originated("10.0.0.11/32") && !originated("10.96.0.0/16"));
    CU_ASSERT(info().from_disk);
    end();
}

static void a_reload_takes_nothing_away_that_is_known_since(void)
{
    take(POD VIP, "");
    list_all();
    configure("drain: {grace: 1s}");
    CU_ASSERT(originated("10.244.1.0/24") && originated("192.0.2.1/32") && !info().from_disk);
    end();
}

static void who_was_leaving_goes_on_to_leave(void)
{
    begin("drain: {grace: 1h}");
    list_all();
    put(KUBE_NODES, NODE(",\"unschedulable\":true"));
    char *text = file_text();
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nleaving services\n"));
    free(text);
    put(KUBE_NODES, NODE(""));
    text = file_text();
    CU_ASSERT_PTR_NULL(strstr(text, "leaving"));
    free(text);
    gone(KUBE_NODES, NODE(""));
    kube_stop(speaker.kube);
    text = file_text();
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nleaving node\n"));
    free(text);
    end();

    take("leaving services\n" POD VIP, "drain: {grace: 20ms}");
    CU_ASSERT(draining("192.0.2.1/32") && originated("10.244.1.0/24") && !draining("10.244.1.0/24"));
    CU_ASSERT_EQUAL(info().drain, KUBE_DRAIN_GRACEFUL);
    turn(60);
    CU_ASSERT(!originated("192.0.2.1/32") && originated("10.244.1.0/24"));
    list_all(); /* the cordon is gone */
    CU_ASSERT(originated("192.0.2.1/32") && !draining("192.0.2.1/32"));
    end();

    take("leaving node\n" POD VIP, "drain: {grace: 20ms}");
    CU_ASSERT(draining("192.0.2.1/32") && draining("10.244.1.0/24"));
    turn(60);
    CU_ASSERT_EQUAL(info().advertised, 0);
    end();
}

static void without_a_file_the_api_server_is_awaited(void)
{
    begin("");
    CU_ASSERT(kube_is_awaited(speaker.kube) && !told);
    list_all();
    CU_ASSERT(!kube_is_awaited(speaker.kube) && told > 0);
    put(KUBE_NODES, "{\"metadata\":{\"name\":\"n1\",\"annotations\":{\"underlay.io/asn\":\"65101\"}}}");
    CU_ASSERT(kube_is_awaited(speaker.kube));
    told = 0;
    reload_done(reload_arg, NULL, NULL);
    CU_ASSERT(!kube_is_awaited(speaker.kube) && told > 0);
    kube_stop(speaker.kube);
    CU_ASSERT(!kube_is_awaited(speaker.kube));
    end();
    take(POD, "");
    CU_ASSERT(!kube_is_awaited(speaker.kube));
    end();
}

static void stale_is_counted_from_when_it_began(void)
{
    char lines[300];
    begin("");
    list_all();
    char *text = file_text();
    CU_ASSERT_PTR_NULL(strstr(text, "stale-since"));
    free(text);
    current(KUBE_NODES, false);
    text = file_text();
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nstale-since "));
    free(text);
    current(KUBE_NODES, true);
    saves = 0;
    kube_stop(speaker.kube);
    text = file_text();
    CU_ASSERT(saves && strstr(text, "\nstale-since "));
    free(text);
    end();

    snprintf(lines, sizeof lines, "stale-since %llu\n" POD VIP, (unsigned long long)loop_now_ms() - 5000);
    take(lines, "stale-after: 1h");
    turn(1);
    CU_ASSERT(info().stale_ms >= 5000 && info().stale_ms < 60000 && originated("192.0.2.1/32"));
    configure("stale-after: 4s");
    CU_ASSERT(info().expired && !originated("192.0.2.1/32") && originated("10.244.1.0/24"));
    end();

    take("stale-since 18446744073709551615\n" POD VIP, "stale-after: 1h"); /* of the future */
    turn(1);
    CU_ASSERT(!info().expired && info().stale_ms < 5000);
    end();
}

static const struct unit_case cases[] = {
    UNIT(what_is_saved_stands_until_it_is_known_better),
    UNIT(after_another_boot_only_the_node_itself_stands),
    UNIT(another_nodes_file_is_not_taken),
    UNIT(what_is_written_is_read_again),
    UNIT(lines_that_make_no_sense_are_left_out),
    UNIT(what_the_configuration_turns_off_is_not_taken),
    UNIT(a_reload_takes_away_what_is_from_disk),
    UNIT(a_reload_takes_nothing_away_that_is_known_since),
    UNIT(who_was_leaving_goes_on_to_leave),
    UNIT(without_a_file_the_api_server_is_awaited),
    UNIT(stale_is_counted_from_when_it_began),
};
UNIT_MAIN("kube_disk", cases)
