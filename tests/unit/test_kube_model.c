/* Kubernetes in the speaker against itself: after whatever has happened, in whatever order, what is
 * advertised is what a process advertises that has just been started with the same objects and configuration.
 */
#include "kube_speaker.h"

#define ROUNDS   60
#define STEPS    60
#define SERVICES 4

static const char *const configurations[] = {
    "drain: {grace: 0s}",
    "drain: {grace: 0s}, services: {load-balancer: auto, external-ips: \"off\", cluster-ips: auto}",
    "drain: {grace: 0s}, services: {cluster-ips: aggregate, cidrs: [10.96.0.0/16]}",
    "drain: {grace: 0s, cordon: false, taints: [maintenance]}, pod-cidrs: false",
    "drain: {grace: 0s}, services: {load-balancer: \"off\", weight-by-endpoints: false}",
    "drain: {grace: 0s}, services: {selector: {matchLabels: {app: x}}}",
    "drain: {grace: 0s}, node-address: false, servers: [\"https://10.0.0.2:6443\"]",
    NULL, /* off */
};
#define CONFIGURATIONS (sizeof configurations / sizeof *configurations)

static struct {
    unsigned configuration;
    bool listed;
    bool node, cordoned, tainted, excluded, on_lo;
    struct {
        bool there, local, chosen;
        unsigned vip;                   /* some of them have the same */
        unsigned ready_here, elsewhere; /* the slice; 0 and 0: there is none */
    } services[SERVICES];
} world;

static uint32_t seed;
static unsigned any(unsigned n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

/* Objects as the world has them */

static const char *node_object(void)
{
    static char text[800];
    snprintf(
        text, sizeof text,
        "{\"metadata\":{\"name\":\"n1\",\"labels\":{%s}},\"spec\":{\"podCIDRs\":[\"10.244.1.0/24\","
        "\"fd00:244:1::/64\"],\"unschedulable\":%s,\"taints\":[%s]},\"status\":{\"addresses\":[{\"type\":"
        "\"InternalIP\",\"address\":\"10.0.0.11\"}]}}",
        world.excluded ? "\"node.kubernetes.io/exclude-from-external-load-balancers\":\"\"" : "",
        world.cordoned ? "true" : "false",
        world.tainted ? "{\"key\":\"maintenance\",\"effect\":\"NoExecute\"}" : "");
    return text;
}

static const char *service_object(unsigned i)
{
    static char text[800];
    snprintf(
        text, sizeof text,
        "{\"metadata\":{\"name\":\"s%u\",\"namespace\":\"d\",\"labels\":{\"app\":\"%s\"}},\"spec\":{\"type\":"
        "\"LoadBalancer\",\"clusterIP\":\"10.96.0.%u\",\"externalIPs\":[\"10.0.0.11\"],"
        "\"externalTrafficPolicy\":\"%s\"},\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"192.0.2.%u\"}"
        "]}}}",
        i, world.services[i].chosen ? "x" : "y", i + 1, world.services[i].local ? "Local" : "Cluster",
        world.services[i].vip);
    return text;
}

static const char *slice_object(unsigned i)
{
    static char text[2000];
    int n = snprintf(text, sizeof text,
                     "{\"metadata\":{\"name\":\"s%u-1\",\"namespace\":\"d\",\"labels\":{\"kubernetes.io/"
                     "service-name\":\"s%u\"}},\"addressType\":\"IPv4\",\"endpoints\":[",
                     i, i);
    for (unsigned k = 0; k < world.services[i].ready_here + world.services[i].elsewhere; k++)
        n +=
            snprintf(text + n, sizeof text - (size_t)n,
                     "%s{\"addresses\":[\"10.244.1.5\"],\"nodeName\":\"%s\",\"conditions\":{\"ready\":true}}",
                     k ? "," : "", k < world.services[i].ready_here ? "n1" : "n2");
    snprintf(text + n, sizeof text - (size_t)n, "]}");
    return text;
}

static void put_all(enum kube_kind kind)
{
    if (kind == KUBE_NODES && world.node)
        put(kind, node_object());
    for (unsigned i = 0; i < SERVICES; i++)
        if (kind == KUBE_SERVICES && world.services[i].there)
            put(kind, service_object(i));
        else if (kind == KUBE_SLICES && world.services[i].ready_here + world.services[i].elsewhere)
            put(kind, slice_object(i));
}

static void list_kind(enum kube_kind kind)
{
    ops.list_begin(ops_arg, kind);
    put_all(kind);
    reflectors[kind].info.listed = true;
    ops.list_end(ops_arg, kind);
    current(kind, true);
}

static void list_again(void)
{
    for (unsigned k = 0; k < KUBE_KINDS; k++)
        list_kind((enum kube_kind)((k + any(KUBE_KINDS)) % KUBE_KINDS));
    for (unsigned k = 0; k < KUBE_KINDS; k++)
        if (!reflectors[k].info.listed)
            list_kind((enum kube_kind)k);
    world.listed = true;
}

/* What can happen */

static void node_changes(void)
{
    bool *const what[] = {&world.node, &world.cordoned, &world.tainted, &world.excluded};
    unsigned i = any(4);
    *what[i] = !*what[i];
    if (!world.listed)
        return;
    if (world.node)
        put(KUBE_NODES, node_object());
    else
        gone(KUBE_NODES, node_object());
}

static void service_changes(void)
{
    unsigned i = any(SERVICES);
    bool *const what[] = {&world.services[i].there, &world.services[i].local, &world.services[i].chosen};
    unsigned k = any(4);
    if (k < 3)
        *what[k] = !*what[k];
    else
        world.services[i].vip = 1 + any(3);
    if (world.listed && world.services[i].there)
        put(KUBE_SERVICES, service_object(i));
    else if (world.listed)
        gone(KUBE_SERVICES, service_object(i));
}

static void slice_changes(void)
{
    unsigned i = any(SERVICES);
    world.services[i].ready_here = any(3);
    world.services[i].elsewhere = any(2);
    if (!world.listed)
        return;
    if (world.services[i].ready_here + world.services[i].elsewhere)
        put(KUBE_SLICES, slice_object(i));
    else
        gone(KUBE_SLICES, slice_object(i));
}

static void address_changes(void)
{
    world.on_lo = !world.on_lo;
    n_addresses = world.on_lo;
    CU_ASSERT_EQUAL(sources_apply(speaker.sources, speaker.config), 0);
    kube_addresses_changed(speaker.kube);
}

static struct config *configuration(unsigned i)
{
    struct config_errors e = {0};
    struct config *c = NULL;
    static const char off[] = "router: {asn: 64512, id: 10.0.0.1}\n";
    if (configurations[i])
        return load(configurations[i]);
    CU_ASSERT_EQUAL_FATAL(config_load("test", off, strlen(off), NULL, &e, &c), 0);
    return c;
}

static void configuration_changes(void)
{
    struct config *before = speaker.config;
    bool was_off = !configurations[world.configuration];
    world.configuration = any(CONFIGURATIONS);
    relists = 0;
    speaker.config = configuration(world.configuration);
    CU_ASSERT_EQUAL(sources_apply(speaker.sources, speaker.config), 0);
    kube_apply(speaker.kube, before);
    config_free(before);
    if (!configurations[world.configuration])
        world.listed = false;
    else if (was_off || (relists && any(2)))
        world.listed ? list_again() : (void)0;
    else if (relists)
        for (unsigned k = 0; k < KUBE_KINDS; k++)
            list_kind((enum kube_kind)k);
}

static void server_changes(void)
{
    if (!configurations[world.configuration])
        return;
    if (!world.listed || any(3) == 0)
        list_again();
    else
        current((enum kube_kind)any(KUBE_KINDS), any(2));
}

static void time_passes(void)
{
    turn(1);
}

static void step(void)
{
    static void (*const steps[])(void) = {node_changes,          service_changes, service_changes,
                                          slice_changes,         slice_changes,   address_changes,
                                          configuration_changes, server_changes,  time_passes};
    steps[any(sizeof steps / sizeof *steps)]();
}

/* The prefixes of the file, and what the RIB says of them. */
static char *advertised(void)
{
    char *text = file_text(), *out = NULL, *save = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char word[64];
        if (sscanf(line, "prefix %63s", word) == 1)
            fprintf(f, "%s%s%s\n", line, originated(word) ? "" : " NOT ORIGINATED",
                    originated(word) && draining(word) ? " draining" : "");
    }
    fprintf(f, "%u sources\n", sources_count(speaker.sources));
    fclose(f);
    free(text);
    return out;
}

/* disk: what another process has left, NULL none. */
static void fresh(const char *disk)
{
    static struct kube_saved saved;
    char *text = NULL;
    CU_ASSERT_FATAL(asprintf(&text, "boot b\nnode \"n1\"\n%s", disk ? disk : "") > 0);
    kube_saved_parse(text, "b", &saved);
    free(text);
    begin_from(configurations[world.configuration] ? configurations[world.configuration] : configurations[0],
               disk ? &saved : NULL);
    addresses[0] = (struct fib_address){.ifindex = 1};
    addr_parse("10.0.0.11", &addresses[0].addr);
}

static void what_has_happened_before_makes_no_difference(void)
{
    char *left = NULL;
    for (unsigned round = 0; round < ROUNDS; round++) {
        seed = round + 1;
        memset(&world, 0, sizeof world);
        world.node = true;
        for (unsigned i = 0; i < SERVICES; i++)
            world.services[i].vip = 1 + i % 3;
        fresh(any(2) ? left : NULL);
        for (unsigned i = 0; i < STEPS; i++)
            step();
        if (!configurations[world.configuration]) {
            CU_ASSERT_EQUAL(sources_count(speaker.sources), 0);
            end();
            continue;
        }
        if (!world.listed)
            list_again();
        turn(2);
        char *is = advertised();
        end();
        fresh(NULL);
        n_addresses = world.on_lo;
        list_again();
        turn(2);
        char *should = advertised();
        if (strcmp(is, should) != 0)
            printf("      round %u, configuration %u:\n%s      should be:\n%s", round, world.configuration,
                   is, should);
        CU_ASSERT_STRING_EQUAL(is, should);
        free(left);
        left = is;
        free(should);
        end();
    }
    free(left);
}

static const struct unit_case cases[] = {
    UNIT(what_has_happened_before_makes_no_difference),
};
UNIT_MAIN("kube_model", cases)
