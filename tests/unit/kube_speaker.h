/* Kubernetes in the speaker: real store, rules, sources and RIB, with fakes in place of the watches, the file
 * on disk and the parent. What the API server says is given as JSON; what is looked at is what the RIB
 * originates. */
#ifndef UNDERLAY_KUBE_SPEAKER_H
#define UNDERLAY_KUBE_SPEAKER_H

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

static struct kube_client_ops client_ops;
static void *client_arg;

int kube_client_load(const char **why)
{
    *why = NULL;
    return 0;
}
struct kube_client *kube_client_new(struct loop *l, const struct kube_client_ops *o, void *arg)
{
    (void)l;
    client_ops = *o;
    client_arg = arg;
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
/* What the parent is asked for, and whether it can be. */
static struct {
    void (*cb)(void *arg, int fd, int error);
    void *arg;
    int error;
} parent = {.error = -ENOTCONN};
int fibclient_open(struct fibclient *c, enum fm_file_role role, uint32_t index,
                   void (*cb)(void *arg, int fd, int error), void *arg)
{
    (void)c, (void)role, (void)index;
    parent.cb = cb;
    parent.arg = arg;
    return parent.error;
}
void speaker_own_prefixes_changed(struct speaker *s)
{
    (void)s;
}
static unsigned told; /* the speaker, that it is to look again */
void speaker_peer_state_changed(struct speaker *s)
{
    (void)s;
    told++;
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
/* A task of our own comes round as often as those of the others. */
static struct task *rounds;
static unsigned rounds_left;
static bool one_round(void *arg)
{
    if (--rounds_left)
        return true;
    loop_stop(arg, 0);
    return false;
}
/* So much time, and then what is under way comes to its end, however late the timer was. */
static void turn(unsigned ms)
{
    timer_set(stop, ms);
    loop_run(speaker.loop);
    rounds_left = 5;
    task_wake(rounds);
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
    n_addresses = saves = relists = reloads = told = 0;
    speaker.loop = loop_new();
    stop = timer_new(speaker.loop, stop_loop, speaker.loop);
    rounds = task_new(speaker.loop, one_round, speaker.loop);
    speaker.nexthops = nexthop_table_new(&none, NULL);
    speaker.attrs = attr_table_new(speaker.nexthops);
    speaker.rib = rib_new(&rc, &hooks, NULL, speaker.attrs, speaker.nexthops);
    speaker.sources = sources_new(&speaker);
    speaker.kube = kube_new(&speaker);
    speaker.config = load(keys);
    speaker.kube_saved = saved;
    speaker.running = true;
    CU_ASSERT_EQUAL(sources_apply(speaker.sources, speaker.config), 0);
    kube_apply(speaker.kube, NULL);
}

__attribute__((unused)) static void begin(const char *keys)
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
    task_free(rounds);
    loop_free(speaker.loop);
}

__attribute__((unused)) static void configure(const char *keys)
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
__attribute__((unused)) static void gone(enum kube_kind kind, const char *json)
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

__attribute__((unused)) static void list_all(void)
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
__attribute__((unused)) static bool draining(const char *text)
{
    const struct attr *a = originated(text);
    return a && (a->flags & ATTR_DRAINING);
}
__attribute__((unused)) static struct kube_info info(void)
{
    struct kube_info i;
    kube_info(speaker.kube, &i);
    return i;
}
/* The file as it would be written now; the caller's. */
__attribute__((unused)) static char *file_text(void)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    file_ops->write(file_arg, f);
    fclose(f);
    return text;
}

#endif
