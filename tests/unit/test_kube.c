/* Kubernetes in the speaker: real store, rules, sources and RIB, with fakes in place of the watches, the file
 * on disk and the parent. What the API server says is given as JSON; what is looked at is what the RIB
 * originates. */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_overlay.h"
#include "fibclient.h"
#include "kube/client.h"
#include "kube/kube.h"
#include "kube/saved.h"
#include "loop.h"
#include "savedfile.h"
#include "source/source.h"
#include "speaker.h"

static struct speaker speaker;
static struct timer *stop;
static struct fib_link lo = {.ifindex = 1, .flags = FM_LINK_LOOP, .name = "lo"};
static struct fib_address addresses[1];
static unsigned n_addresses, saves, relists;

/* The watches */

struct reflector {
    enum kube_kind kind;
    struct reflector_info info;
};
static struct reflector reflectors[KUBE_KINDS];
static struct reflector_ops ops;
static void *ops_arg;

struct reflector *reflector_new(struct loop *l, struct kube_client *c, enum kube_kind kind,
                                const char *field_selector, const struct reflector_times *times,
                                const struct reflector_ops *o, void *arg)
{
    (void)l, (void)c, (void)times;
    if (kind == KUBE_NODES)
        CU_ASSERT_STRING_EQUAL(field_selector, "metadata.name=n1");
    ops = *o;
    ops_arg = arg;
    reflectors[kind] = (struct reflector){.kind = kind};
    return &reflectors[kind];
}
void reflector_free(struct reflector *r)
{
    (void)r;
}
void reflector_start(struct reflector *r)
{
    r->info.state = REFLECTOR_LISTING;
}
void reflector_relist(struct reflector *r)
{
    (void)r;
    relists++;
}
static unsigned hurried[KUBE_KINDS];
void reflector_hurry(struct reflector *r)
{
    hurried[r->kind]++;
}
void reflector_info(const struct reflector *r, struct reflector_info *out)
{
    *out = r->info;
}

/* The client */

static struct {
    unsigned patches;
    char path[200], type[80], body[400];
    struct kube_request_ops ops;
    void *arg;
} asked;

int kube_client_load(const char **why)
{
    *why = NULL;
    return 0;
}
struct kube_client *kube_client_new(struct loop *l, const struct kube_client_ops *o, void *arg)
{
    (void)l, (void)o, (void)arg;
    return (struct kube_client *)&asked;
}
void kube_client_free(struct kube_client *c)
{
    (void)c;
}
int kube_client_set_access(struct kube_client *c, const struct kube_access *a)
{
    (void)c, (void)a;
    return 0;
}
const char *kube_client_server(const struct kube_client *c)
{
    (void)c;
    return "https://10.0.0.1:6443";
}
struct kube_request *kube_request_start(struct kube_client *c, enum kube_method method, const char *path,
                                        const char *content_type, const char *body, uint32_t idle_ms,
                                        const struct kube_request_ops *o, void *arg)
{
    (void)c, (void)idle_ms;
    CU_ASSERT_EQUAL(method, KUBE_PATCH);
    asked.patches++;
    snprintf(asked.path, sizeof asked.path, "%s", path);
    snprintf(asked.type, sizeof asked.type, "%s", content_type);
    snprintf(asked.body, sizeof asked.body, "%s", body);
    asked.ops = *o;
    asked.arg = arg;
    return (struct kube_request *)&asked;
}
void kube_request_cancel(struct kube_request *r)
{
    (void)r;
}

/* The file, the parent, the rest of the speaker */

static const struct savedfile_ops *file_ops;
static void *file_arg;

struct savedfile *savedfile_new(struct speaker *s, const char *path, const struct savedfile_ops *o, void *arg)
{
    (void)s, (void)path;
    file_ops = o;
    file_arg = arg;
    return (struct savedfile *)&file_ops;
}
void savedfile_free(struct savedfile *f)
{
    (void)f;
}
void savedfile_changed(struct savedfile *f)
{
    (void)f;
    saves++;
}
void savedfile_flush(struct savedfile *f, void (*done)(void *arg), void *arg)
{
    (void)f;
    done(arg);
}
int savedfile_error(const struct savedfile *f)
{
    (void)f;
    return 0;
}
unsigned fibclient_addresses(const struct fibclient *c, const struct fib_address **out)
{
    (void)c;
    *out = addresses;
    return n_addresses;
}
const struct fib_link *fibclient_link(const struct fibclient *c, uint32_t ifindex)
{
    (void)c, (void)ifindex;
    return &lo;
}
const struct fib_link *fibclient_link_by_name(const struct fibclient *c, const char *name)
{
    (void)c, (void)name;
    return NULL;
}
bool fibclient_is_own(const struct fibclient *c, const struct ip_addr *a, uint32_t scope)
{
    (void)c, (void)a, (void)scope;
    return false;
}
int fibclient_bind(struct fibclient *c, const struct ip_addr *a, bool add)
{
    (void)c, (void)a, (void)add;
    return 0;
}
int fibclient_open(struct fibclient *c, enum fm_file_role role, uint32_t index,
                   void (*cb)(void *arg, int fd, int error), void *arg)
{
    (void)c, (void)role, (void)index, (void)cb, (void)arg;
    return -ENOTCONN;
}
void speaker_own_prefixes_changed(struct speaker *s)
{
    (void)s;
}
static void (*reload_done)(void *arg, const char *errors, const char *notes);
static void *reload_arg;
static unsigned reloads;
int speaker_reload(struct speaker *s, void (*done)(void *arg, const char *errors, const char *notes),
                   void *arg)
{
    (void)s;
    reloads++;
    reload_done = done;
    reload_arg = arg;
    return 0;
}

/* The fixture */

static void stop_loop(void *arg)
{
    loop_stop(arg, 0);
}
static void turn(unsigned ms)
{
    timer_set(stop, ms);
    loop_run(speaker.loop);
}

static struct config *load(const char *keys)
{
    char yaml[1000];
    struct config_errors e = {0};
    struct config *c = NULL;
    struct config_files files = {.read = config_read_file};
    snprintf(yaml, sizeof yaml,
             "router: {asn: 64512, id: 10.0.0.1}\nadvertise: {kubernetes: {node: n1%s%s}}\n",
             *keys ? ", " : "", keys);
    CU_ASSERT_EQUAL_FATAL(config_load("test", yaml, strlen(yaml), &files, &e, &c), 0);
    config_errors_reset(&e);
    return c;
}

static void begin_from(const char *keys, struct kube_saved *saved)
{
    static const struct rib_config rc = {.multipath = 16, .as_path_relax = true, .default_local_pref = 100};
    static const struct rib_hooks hooks = {0};
    static const struct nexthop_ops none = {0};
    setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", 1);
    memset(&speaker, 0, sizeof speaker);
    memset(&asked, 0, sizeof asked);
    n_addresses = saves = relists = reloads = 0;
    speaker.loop = loop_new();
    stop = timer_new(speaker.loop, stop_loop, speaker.loop);
    speaker.nexthops = nexthop_table_new(&none, NULL);
    speaker.attrs = attr_table_new(speaker.nexthops);
    speaker.rib = rib_new(&rc, &hooks, NULL, speaker.attrs, speaker.nexthops);
    speaker.sources = sources_new(&speaker);
    speaker.kube = kube_new(&speaker);
    speaker.config = load(keys);
    speaker.kube_saved = saved;
    CU_ASSERT_EQUAL(sources_apply(speaker.sources, speaker.config), 0);
    kube_apply(speaker.kube, NULL);
}

static void begin(const char *keys)
{
    begin_from(keys, NULL);
}

static void end(void)
{
    kube_free(speaker.kube);
    sources_free(speaker.sources);
    rib_free(speaker.rib);
    CU_ASSERT_EQUAL(attr_table_count(speaker.attrs), 0);
    attr_table_free(speaker.attrs);
    nexthop_table_free(speaker.nexthops);
    config_overlay_free(speaker.overlay);
    config_free(speaker.config);
    timer_free(stop);
    loop_free(speaker.loop);
}

static void configure(const char *keys)
{
    struct config *before = speaker.config;
    speaker.config = load(keys);
    CU_ASSERT_EQUAL(sources_apply(speaker.sources, speaker.config), 0);
    kube_apply(speaker.kube, before);
    config_free(before);
    turn(1);
}

static void put(enum kube_kind kind, const char *json)
{
    json_t *o = json_loads(json, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    ops.put(ops_arg, kind, o);
    json_decref(o);
}
static void gone(enum kube_kind kind, const char *json)
{
    json_t *o = json_loads(json, 0, NULL);
    ops.gone(ops_arg, kind, o);
    json_decref(o);
}

static void current(enum kube_kind kind, bool is)
{
    reflectors[kind].info.listed |= is;
    reflectors[kind].info.current = is;
    snprintf(reflectors[kind].info.error, sizeof reflectors[kind].info.error, "%s",
             is ? "" : "connection refused");
    ops.changed(ops_arg, kind);
}
/* A whole list of this one object, or of none. */
static void list(enum kube_kind kind, const char *json)
{
    ops.list_begin(ops_arg, kind);
    if (json)
        put(kind, json);
    reflectors[kind].info.listed = true;
    ops.list_end(ops_arg, kind);
    current(kind, true);
}

#define NODE(more)                                                                                           \
    "{\"metadata\":{\"name\":\"n1\"},\"spec\":{\"podCIDRs\":[\"10.244.1.0/24\",\"fd00:244:1::/64\"]" more    \
    "},\"status\":"                                                                                          \
    "{\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"10.0.0.11\"}]}}"
#define SERVICE                                                                                              \
    "{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"},\"spec\":{\"type\":\"LoadBalancer\","        \
    "\"clusterIP\":"                                                                                         \
    "\"10.96.0.9\",\"externalTrafficPolicy\":\"Local\"},\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":" \
    "\"192.0.2.1\"}]}}}"
#define SLICE(ready)                                                                                         \
    "{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"default\",\"labels\":{\"kubernetes.io/"               \
    "service-name\":\"web\"}},"                                                                              \
    "\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"10.244.1.5\"],\"nodeName\":\"n1\","           \
    "\"conditions\":{"                                                                                       \
    "\"ready\":" ready "}}]}"

static void list_all(void)
{
    list(KUBE_NODES, NODE(""));
    list(KUBE_SERVICES, SERVICE);
    list(KUBE_SLICES, SLICE("true"));
    turn(1);
}

static const struct attr *originated(const char *text)
{
    struct prefix p;
    CU_ASSERT_EQUAL_FATAL(prefix_parse(text, true, &p), 0);
    enum family f = addr_family(&p.addr);
    uint32_t i = rib_find(speaker.rib, f, &p);
    const struct rib_path *best = i ? rib_best(speaker.rib, rib_entry(speaker.rib, f, i)) : NULL;
    return best && best->peer == 0 ? rib_path_attr(speaker.rib, best) : NULL;
}
static bool draining(const char *text)
{
    const struct attr *a = originated(text);
    return a && (a->flags & ATTR_DRAINING);
}
static struct kube_info info(void)
{
    struct kube_info i;
    kube_info(speaker.kube, &i);
    return i;
}

/* The cases */

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
    char *text = NULL, boot[64];
    size_t size;
    struct kube_saved saved;
    begin("");
    list_all();
    CU_ASSERT(saves > 0);
    FILE *f = open_memstream(&text, &size);
    file_ops->write(file_arg, f);
    fclose(f);
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
    char text[] = "prefix 10.244.1.0/24 from-the-future weight\nprefix 10.244.2.0/24 pod-cidr service\n";
    kube_saved_parse(text, "b", &saved);
    CU_ASSERT_EQUAL(saved.n_entries, 1);
    kube_saved_reset(&saved);
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
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    file_ops->write(file_arg, f);
    fclose(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "annotation underlay.io/asn \"65101\"\n"));
    free(text);
    end();
}

static const struct unit_case cases[] = {
    UNIT(a_service_is_advertised_while_it_works),
    UNIT(nothing_is_judged_by_a_half_of_what_there_is),
    UNIT(what_is_saved_stands_until_it_is_known_better),
    UNIT(after_another_boot_only_the_node_itself_stands),
    UNIT(another_nodes_file_is_not_taken),
    UNIT(what_is_written_is_read_again),
    UNIT(lines_that_make_no_sense_are_left_out),
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
    UNIT(readiness_is_said_once_routes_are_in_the_kernel),
    UNIT(annotations_reload_the_configuration_once),
};
UNIT_MAIN("kube", cases)
