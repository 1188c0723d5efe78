/* show kubernetes: what people and programs read of the API server, of the node and of services, in each
 * state that matters; what fits into 80 columns; that nothing of it is a command to the terminal. */
#include "exec_fixture.h"
#include "kube_store_fixture.h"

static struct world world;

static struct reflector_info kind(bool is_current)
{
    return (struct reflector_info){.state = is_current ? REFLECTOR_WATCHING : REFLECTOR_WAITING,
                                   .listed = true,
                                   .current = is_current,
                                   .heard_ms = loop_now_ms() - 4000,
                                   .retry_ms = is_current ? 0 : 700,
                                   .version = "1007",
                                   .error = "",
                                   .count = {.lists = 2, .watches = 3, .events = 40, .failures = 5}};
}

static void open_cluster(enum kube_state state)
{
    begin();
    open_world(&world);
    config.advertise.kube = world.config;
    config.advertise.kube.on = true;
    config.advertise.kube.node = (char *)(uintptr_t) "n1";
    kube_stored = world.st;
    cni_told = (struct cni_info){0};
    kube_told = (struct kube_info){.state = state,
                                   .server = "https://10.0.0.1:6443",
                                   .error = "",
                                   .settings_error = "",
                                   .readiness = "waiting",
                                   .advertised = 5};
    for (unsigned k = 0; k < KUBE_KINDS; k++)
        kube_told.kinds[k] = kind(state == KUBE_STATE_CURRENT);
    kube_store_counts(world.st, &kube_told.counts);
}

static void close_cluster(void)
{
    close_world(&world);
    kube_stored = NULL;
    end();
}

static void put_node(const char *more_metadata, const char *more_spec)
{
    put(&world, KUBE_NODES,
        json_of(
            "{'metadata': {'name': 'n1'%s}, 'spec': {'podCIDRs': ['10.244.1.0/24', 'fd00:244:1::/64']%s}, "
            "'status': {'addresses': [{'type': 'InternalIP', 'address': '10.0.0.11'}]}}",
            more_metadata, more_spec));
}

static const char *text_at(json_t *j, const char *path)
{
    const char *s = json_string_value(at(j, path));
    return s ? s : "(none)";
}

static void it_is_off(void)
{
    begin();
    kube_stored = NULL;
    kube_told = (struct kube_info){.error = ""};
    run("show kubernetes");
    expect_error(STATUS_REFUSED, "advertise.kubernetes is off in underlay.yaml");
    run("show kubernetes services");
    expect_error(STATUS_REFUSED, "advertise.kubernetes is off");
    end();
}

static void in_step(void)
{
    open_cluster(KUBE_STATE_CURRENT);
    put_node("", "");
    cni_told = (struct cni_info){.path = "/etc/cni/net.d/10-underlay.conflist", .state = "written"};
    run("show kubernetes");
    expect_output("In step with the API server https://10.0.0.1:6443\nNode n1\n");
    expect_output("  Pod CIDRs      10.244.1.0/24, fd00:244:1::/64\n  Internal IPs   10.0.0.11\n");
    expect_output("; 5 prefixes\n  advertised\nCNI /etc/cni/net.d/10-underlay.conflist: written\n");
    expect_output("nodes");
    expect_tidy();
    json_t *j = run_json("show kubernetes json");
    CU_ASSERT_STRING_EQUAL(text_at(j, "state"), "current");
    CU_ASSERT_STRING_EQUAL(text_at(j, "apiServer"), "https://10.0.0.1:6443");
    CU_ASSERT(json_is_false(at(j, "fromDisk")) && json_is_true(at(j, "node/known")));
    CU_ASSERT_STRING_EQUAL(text_at(j, "node|podCidrs|1"), "fd00:244:1::/64");
    CU_ASSERT_STRING_EQUAL(text_at(j, "kinds/services/state"), "watching");
    CU_ASSERT_EQUAL(json_integer_value(at(j, "kinds/endpointslices/failures")), 5);
    CU_ASSERT(json_integer_value(at(j, "kinds/nodes/heardMsec")) >= 4000);
    CU_ASSERT_EQUAL(json_integer_value(at(j, "counts/advertised")), 5);
    CU_ASSERT_STRING_EQUAL(text_at(j, "cni/state"), "written");
    json_decref(j);
    close_cluster();
}

static void stale_says_why_and_for_how_long(void)
{
    open_cluster(KUBE_STATE_STALE);
    put_node("", "");
    kube_told.stale_ms = 61000;
    kube_told.error =
        "services: 10.0.0.1:6443: connection refused; [fd00::1]:6443: no answer to a connection "
        "within five seconds";
    kube_told.expired = true;
    kube_told.save_error = -ENOSPC;
    run("show kubernetes");
    expect_output("Not in step with the API server for 00:01:01: services: 10.0.0.1:6443:");
    expect_output("service addresses are withdrawn");
    expect_output("\nNot kept on disk for the next start: No space left on device\n");
    expect_tidy();
    json_t *j = run_json("show kubernetes json");
    CU_ASSERT_STRING_EQUAL(text_at(j, "state"), "stale");
    CU_ASSERT_EQUAL(json_integer_value(at(j, "staleSeconds")), 61);
    CU_ASSERT_TRUE(json_is_true(at(j, "expired")));
    CU_ASSERT_STRING_EQUAL(text_at(j, "saveError"), "No space left on device");
    CU_ASSERT_EQUAL(json_integer_value(at(j, "kinds/nodes/retryMsec")), 700);
    json_decref(j);
    close_cluster();
}

static void from_disk_and_nobody_knows_the_node(void)
{
    open_cluster(KUBE_STATE_STALE);
    kube_told.from_disk = true;
    for (unsigned k = 0; k < KUBE_KINDS; k++)
        kube_told.kinds[k] = (struct reflector_info){.state = REFLECTOR_LISTING};
    run("show kubernetes");
    expect_output("; what is advertised is from an\n  earlier run\n");
    expect_output("Node n1: not known yet from the API server\n");
    expect_output("never");
    expect_tidy();
    json_t *j = run_json("show kubernetes node json");
    CU_ASSERT(json_is_false(at(j, "known")) && json_is_false(at(j, "deleted")));
    CU_ASSERT_EQUAL(json_array_size(at(j, "podCidrs")), 0);
    json_decref(j);
    kube_told.node_deleted = true;
    kube_told.drain = KUBE_DRAIN_GRACEFUL;
    kube_told.drain_left_ms = 12000;
    run("show kubernetes node");
    expect_output("Node n1: there is no such object\n"
                  "  Leaving: everything is sent with GRACEFUL_SHUTDOWN, withdrawal in 12 seconds\n");
    close_cluster();
}

static void a_node_that_is_drained(void)
{
    open_cluster(KUBE_STATE_CURRENT);
    put_node(", 'labels': {'node.kubernetes.io/exclude-from-external-load-balancers': ''}, 'annotations': "
             "{'underlay.io/asn': '65101'}",
             ", 'unschedulable': true, 'taints': [{'key': 'maintenance', 'effect': 'NoExecute'}]");
    config.advertise.kube.ready.taint = (char *)(uintptr_t) "underlay.io/not-ready";
    kube_told.drain = KUBE_DRAIN_GRACEFUL;
    kube_told.drain_left_ms = 900;
    kube_told.settings_error =
        "annotation underlay.io/asn: `65101` is not an AS number that could be used here";
    run("show kubernetes node");
    expect_output("Node n1, cordoned, excluded from external load balancers\n"
                  "  Leaving: its services are sent with GRACEFUL_SHUTDOWN, withdrawal in 1 second\n");
    expect_output(
        "  Taints         maintenance:NoExecute\n  underlay.io/asn: 65101\n  Not in force: annotation ");
    expect_output("  Readiness      waiting\n");
    expect_tidy();
    json_t *j = run_json("show kubernetes node json");
    CU_ASSERT_STRING_EQUAL(text_at(j, "drain"), "graceful-shutdown");
    CU_ASSERT_EQUAL(json_integer_value(at(j, "withdrawalInMsec")), 900);
    CU_ASSERT(json_is_true(at(j, "cordoned")) && json_is_true(at(j, "excluded")));
    CU_ASSERT_STRING_EQUAL(text_at(j, "annotations|underlay.io/asn"), "65101");
    CU_ASSERT_STRING_EQUAL(text_at(j, "taints/0"), "maintenance:NoExecute");
    CU_ASSERT_STRING_NOT_EQUAL(text_at(j, "annotationsError"), "(none)");
    json_decref(j);
    kube_told.drain = KUBE_DRAIN_WITHDRAWN;
    run("show kubernetes node");
    expect_output("  Withdrawn: its services\n");
    close_cluster();
}

/* Whoever may annotate a node is not to write on the terminal of who looks at it. */
static void no_text_is_a_command_to_the_terminal(void)
{
    open_cluster(KUBE_STATE_STALE);
    put_node(", 'annotations': {'underlay.io/peers': '- a\\u001b[2Jb\\u009b1m\\n-\\tc \\u007f  \\u00e9'}",
             ", 'taints': [{'key': 'x\\u001b]0;y\\u0007', 'effect': 'NoExecute'}]");
    kube_told.error = "nodes: not allowed (403): \033[31mno\r";
    run("show kubernetes");
    expect_output("underlay.io/peers: - a?[2Jb??1m - c ? \303\251\n");
    expect_output("x?]0;y?:NoExecute");
    expect_output("(403): ?[31mno");
    for (const char *p = output; *p; p++)
        CU_ASSERT(((unsigned char)*p >= 0x20 && *p != 0x7f) || *p == '\n');
    close_cluster();
}

static void services_say_why_not(void)
{
    open_cluster(KUBE_STATE_CURRENT);
    run("show kubernetes services");
    expect_output("No services are known\n");
    json_t *j = run_json("show kubernetes services json");
    CU_ASSERT_EQUAL(json_object_size(j), 0);
    json_decref(j);
    put(&world, KUBE_SERVICES, service("web", "Local", "192.0.2.1"));
    put(&world, KUBE_SLICES, slice("web-1", "web", "IPv4", 3, 1));
    put(&world, KUBE_SERVICES, service("elsewhere", "Local", "2001:db8:1111:2222:3333:4444:5555:6666"));
    put(&world, KUBE_SLICES, slice("elsewhere-1", "elsewhere", "IPv6", 0, 1));
    put(&world, KUBE_SERVICES,
        json_of("{'metadata': {'name': "
                "'a-name-as-long-as-kubernetes-allows-one-to-be-which-is-63-letters', 'namespace': "
                "'and-a-namespace-of-the-same-length-so-that-it-all-takes-a-line'}, 'spec': {'clusterIP': "
                "'None', 'externalIPs': ['192.0.2.7']}}"));
    world.config.services.weight_by_endpoints = true;
    run("show kubernetes services");
    expect_output("d/web\n");
    expect_output("  192.0.2.1            load-balancer advertised, weight 3\n");
    expect_output("  2001:db8:1111:2222:3333:4444:5555:6666 load-balancer no: no ready endpoint on\n"
                  "                                     this node\n");
    expect_output("that-it-all-takes-a-line/a-name-");
    expect_output(" (headless)\n  192.0.2.7            external-ip   no: headless\n");
    j = run_json("show kubernetes services json");
    CU_ASSERT_EQUAL(json_object_size(j), 3);
    CU_ASSERT_STRING_EQUAL(text_at(j, "d/web|type"), "LoadBalancer");
    CU_ASSERT_EQUAL(json_integer_value(at(j, "d/web|addresses|0|weight")), 3);
    CU_ASSERT_STRING_EQUAL(text_at(j, "d/elsewhere|addresses|0|reason"), "no ready endpoint on this node");
    CU_ASSERT_TRUE(json_is_false(at(j, "d/elsewhere|addresses|0|advertised")));
    json_decref(j);
    close_cluster();
}

static void without_a_library_services_say_what_is_missing(void)
{
    open_cluster(KUBE_STATE_WAITING);
    kube_stored = NULL;
    kube_told.error = "libssl.so.3: cannot open shared object file";
    run("show kubernetes services");
    expect_error(STATUS_REFUSED, "nothing is known from Kubernetes: libssl.so.3");
    run("show kubernetes");
    expect_output("Nothing is known yet, for 00:00:00: libssl.so.3");
    close_cluster();
}

static void many_services_are_walked_in_steps(void)
{
    char name[32], address[32];
    open_cluster(KUBE_STATE_CURRENT);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "s%04u", i);
        snprintf(address, sizeof address, "192.0.%u.%u", 2 + i / 250, 1 + i % 250);
        put(&world, KUBE_SERVICES, service(name, NULL, address));
    }
    json_t *j = run_json("show kubernetes services json");
    CU_ASSERT_EQUAL(json_object_size(j), 1000);
    CU_ASSERT(steps_taken >= 5);
    json_decref(j);
    run("show kubernetes services");
    expect_output("d/s0999\n");
    CU_ASSERT(steps_taken >= 5);
    expect_tidy();
    run_for("show kubernetes services", false, 2); /* whoever asked has gone */
    close_cluster();
}

static const struct unit_case cases[] = {
    UNIT(it_is_off),
    UNIT(in_step),
    UNIT(stale_says_why_and_for_how_long),
    UNIT(from_disk_and_nobody_knows_the_node),
    UNIT(a_node_that_is_drained),
    UNIT(no_text_is_a_command_to_the_terminal),
    UNIT(services_say_why_not),
    UNIT(without_a_library_services_say_what_is_missing),
    UNIT(many_services_are_walked_in_steps),
};
UNIT_MAIN("show_kube", cases)
