/* Commands over a real RIB, grammar and writer, with fakes in place of sessions, sources, the FIB client and
 * reload. */
#ifndef UNDERLAY_EXEC_FIXTURE_H
#define UNDERLAY_EXEC_FIXTURE_H

#include <errno.h>
#include <event2/buffer.h>
#include <jansson.h>
#include <stdio.h>

#include "control/control.h"
#include "control/exec.h"
#include "control/http.h"
#include "drain.h"
#include "fibclient.h"
#include "fibmsg.h"
#include "handover.h"
#include "kube/cni.h"
#include "kube/kube.h"
#include "loop.h"
#include "peer.h"
#include "rib_fixture.h"
#include "source/source.h"
#include "speaker.h"

#define PEERS 3

struct peer {
    const char *name;
    struct peer_config config;
    struct peer_info info;
    const struct peer_offences *offences;
    struct rib_peer *rib;
    struct adjout *out;
    bool shut;
    char message[256];
    unsigned cleared, soft_in, soft_out;
    int soft_in_result;
};
struct sources {
    struct prefix list[20000];
    struct advertise_options last;
    unsigned n, withdrawn, state_changes;
};

static struct fixture fx;
static struct speaker speaker;
static struct config config;
static struct peer peers[PEERS];
static struct sources sources;
static struct grammar *grammar;
static int reload_result;
static uint32_t restart_flags; /* of the last restart */
static unsigned handed_over;   /* so often a restart was answered */
static void (*reload_answer)(void *arg, const char *errors, const char *notes);
static void *reload_arg;

/* What the last command answered. */
static int status;
static char *output, *error_text;
static unsigned steps_taken, woken;

unsigned peer_set_count(const struct peer_set *ps)
{
    (void)ps;
    return PEERS;
}
struct peer *peer_set_at(const struct peer_set *ps, unsigned i)
{
    (void)ps;
    return &peers[i];
}
struct peer *peer_set_find(const struct peer_set *ps, const char *name)
{
    (void)ps;
    for (unsigned i = 0; i < PEERS; i++)
        if (!strcmp(name, peers[i].name) || !strcmp(name, peers[i].config.description))
            return &peers[i];
    return NULL;
}
struct peer *peer_set_expect(struct peer_set *ps, const char *name)
{
    return peer_set_find(ps, name);
}
const char *peer_name(const struct peer *p)
{
    return p->name;
}
const struct peer_config *peer_config(const struct peer *p)
{
    return &p->config;
}
struct rib_peer *peer_rib(const struct peer *p)
{
    return p->rib;
}
struct adjout *peer_adjout(const struct peer *p)
{
    return p->out;
}
bool peer_established(const struct peer *p)
{
    return p->info.state == PEER_ESTABLISHED;
}
void peer_info(const struct peer *p, struct peer_info *out)
{
    *out = p->info;
}
const struct peer_offences *peer_offences(const struct peer *p)
{
    return p->offences;
}
/* The drain: its phase and what it was told. */
static struct {
    enum drain_phase phase;
    uint64_t after_ms;
    bool again, untold;
    struct drain_waiter *waiter;
    enum drain_phase ends; /* what it is when the waiting is over */
} drain;
void drain_begin(struct drain *d, uint64_t after_ms, bool again)
{
    (void)d;
    drain.phase = DRAIN_SHUTDOWN;
    drain.after_ms = after_ms;
    drain.again = again;
}
void drain_end(struct drain *d)
{
    (void)d;
    drain.phase = DRAIN_OFF;
}
enum drain_phase drain_phase(const struct drain *d)
{
    (void)d;
    return drain.phase;
}
uint64_t drain_left_ms(const struct drain *d)
{
    (void)d;
    return drain.phase == DRAIN_SHUTDOWN ? drain.after_ms : 0;
}
const char *drain_text(const struct drain *d, char *buf, size_t size)
{
    (void)d;
    snprintf(buf, size, "drained");
    return buf;
}
bool drain_wait(struct drain *d, struct drain_waiter *w)
{
    (void)d;
    drain.waiter = w;
    drain.phase = drain.ends;
    return true;
}
bool drain_is_told(const struct drain *d)
{
    (void)d;
    return !drain.untold;
}
void drain_forget(struct drain *d, struct drain_waiter *w)
{
    (void)d;
    drain.waiter = drain.waiter == w ? NULL : drain.waiter;
}
bool drain_restore(struct drain *d, const char *line)
{
    (void)d, (void)line;
    return false;
}
void drain_save(const struct drain *d, FILE *f)
{
    (void)d, (void)f;
}
static struct kube_info kube_told;
static const struct kube_store *kube_stored;
static struct cni_info cni_told;
const char *const kube_kind_names[KUBE_KINDS] = {"nodes", "services", "endpointslices"};
void kube_info(const struct kube *k, struct kube_info *out)
{
    (void)k;
    *out = kube_told;
}
const char *kube_state_name(enum kube_state s)
{
    return s == KUBE_STATE_CURRENT ? "current" : "stale";
}
const char *kube_drain_name(enum kube_drain d)
{
    return d == KUBE_DRAIN_OFF ? "off" : "graceful-shutdown";
}
const struct kube_store *kube_get_store(const struct kube *k)
{
    (void)k;
    return kube_stored;
}
void cni_info(const struct cni *c, struct cni_info *out)
{
    (void)c;
    *out = cni_told;
}
int http_error(const struct http *h)
{
    (void)h;
    return 0;
}
uint64_t peer_memory(const struct peer *p)
{
    (void)p;
    return 1000;
}
static struct handover_arrival arrival;
const struct handover_arrival *speaker_handover_arrival(const struct speaker *s)
{
    (void)s;
    return &arrival;
}
const char *peer_state_name(enum peer_state s)
{
    return (const char *[]){"Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"}[s];
}
bool peer_is_shutdown(const struct peer *p, const char **message)
{
    *message = p->message;
    return p->shut;
}
void peer_shutdown(struct peer *p, const char *message)
{
    p->shut = true;
    snprintf(p->message, sizeof p->message, "%s", message ? message : "");
}
void peer_no_shutdown(struct peer *p)
{
    p->shut = false;
}
void peer_clear(struct peer *p)
{
    p->cleared++;
}
static uint64_t debugged[PEERS];
int peer_debug_start(struct peer *p, uint32_t ms)
{
    debugged[p - peers] = ms;
    return 0;
}
void peer_debug_stop(struct peer *p)
{
    debugged[p - peers] = 0;
}
uint64_t peer_debug_left(const struct peer *p)
{
    return debugged[p - peers];
}
int peer_soft_in(struct peer *p)
{
    p->soft_in++;
    return p->info.state == PEER_ESTABLISHED ? p->soft_in_result : -ENOTCONN;
}
int peer_soft_out(struct peer *p)
{
    p->soft_out++;
    return p->info.state == PEER_ESTABLISHED ? 0 : -ENOTCONN;
}

int sources_advertise(struct sources *s, const struct prefix *p, const struct advertise_options *o)
{
    s->list[s->n++] = *p;
    s->last = *o;
    return 0;
}
int sources_withdraw(struct sources *s, const struct prefix *p)
{
    for (unsigned i = 0; i < s->n; i++)
        if (prefix_equal(&s->list[i], p)) {
            s->withdrawn++;
            return 0;
        }
    return p->addr.b[0] == 10 ? -EBUSY : -ENOENT;
}
void sources_each_command(const struct sources *s, void (*cb)(void *arg, const char *line), void *arg)
{
    if (s->n)
        cb(arg, "advertise 192.0.2.1/32");
}
void control_state_changed(struct control *c)
{
    (void)c;
    sources.state_changes++;
}
struct rib_config speaker_rib_config(const struct config *c)
{
    return (struct rib_config){.multipath = c->router.multipath, .default_local_pref = 100};
}
void speaker_set_log_level(struct speaker *s, enum log_level level)
{
    (void)s;
    log_set_level(level);
}
void speaker_state_loaded(struct speaker *s)
{
    (void)s;
}
int speaker_reload(struct speaker *s, void (*done)(void *arg, const char *errors, const char *notes),
                   void *arg)
{
    (void)s;
    reload_answer = done;
    reload_arg = arg;
    return reload_result;
}
int speaker_handover_begin(struct speaker *s, uint32_t flags,
                           void (*done)(void *arg, const char *error, const char *told), void *arg)
{
    restart_flags = flags;
    return speaker_reload(s, done, arg);
}
void speaker_handover_end(struct speaker *s)
{
    (void)s;
    handed_over++;
}
char *config_print(const struct config *c)
{
    (void)c;
    return strdup("router:\n  asn: 64512\n");
}
const struct fib_link *fibclient_link(const struct fibclient *c, uint32_t ifindex)
{
    static const struct fib_link eth0 = {.ifindex = 1, .name = "eth0"};
    (void)c;
    return ifindex == 1 ? &eth0 : NULL;
}
const struct fib_address *fibclient_subnet_of(const struct fibclient *c, const struct ip_addr *a,
                                              uint32_t scope)
{
    static const struct fib_address own = {.ifindex = 1, .len = 24};
    (void)c;
    return a->af == AF_INET && !scope ? &own : NULL;
}
uint64_t fibclient_memory(const struct fibclient *c)
{
    (void)c;
    return 2000;
}
int fibclient_open(struct fibclient *c, enum fm_file_role role, uint32_t index,
                   void (*cb)(void *arg, int fd, int error), void *arg)
{
    (void)c, (void)role, (void)index, (void)cb, (void)arg;
    return -ENOENT;
}
int fibclient_commit(struct fibclient *c, enum fm_file_role role, void (*cb)(void *arg, int fd, int error),
                     void *arg)
{
    (void)c, (void)role, (void)cb, (void)arg;
    return -ENOENT;
}

const char *import_reason_text(enum import_reason r)
{
    return r == IMPORT_OWN_POD_CIDR ? "inside an own pod CIDR" : "another reason";
}

static void no_wake(void *arg)
{
    (void)arg;
    woken++;
}

static void make_peer(unsigned i, const char *description, enum peer_state state)
{
    static char names[PEERS][ADDR_STRLEN];
    struct peer *p = &peers[i];
    *p = (struct peer){.rib = fx_peer(&fx, i + 1, false)};
    p->rib->owner = p;
    p->name = addr_format(&p->rib->address, names[i]);
    p->config = (struct peer_config){.address = p->rib->address,
                                     .asn = 65001 + i,
                                     .description = (char *)(uintptr_t)description,
                                     .port = 179,
                                     .hold_time_ms = 90000,
                                     .keepalive_time_ms = 30000,
                                     .families = {true, true}};
    p->info = (struct peer_info){.state = state,
                                 .local_as = 64512,
                                 .remote_as = 65001 + i,
                                 .remote_id = 0x0a0000f0 + i,
                                 .local_id = 0x0a00000b,
                                 .family = {state == PEER_ESTABLISHED, false},
                                 .hold_ms = 9000,
                                 .keepalive_ms = 3000,
                                 .last_reset = ""};
    p->info.nexthop[FAM_IPV4] = addr_v4(0x0a000001);
    p->out = adjout_new(fx.rib, p->rib, no_wake, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p->out);
}

static void begin(void)
{
    fx_init(&fx, 16);
    config =
        (struct config){.router = {.asn = 64512, .multipath_as_path_relax = true}, .fib = {.protocol = 87}};
    memset(&sources, 0, sizeof sources);
    make_peer(0, "tor-a", PEER_ESTABLISHED);
    make_peer(1, "tor-b", PEER_ESTABLISHED);
    make_peer(2, "tor-c", PEER_ACTIVE);
    speaker = (struct speaker){.loop = loop_new(),
                               .config = &config,
                               .config_name = "underlay.yaml",
                               .attrs = fx.attrs,
                               .nexthops = fx.nexthops,
                               .rib = fx.rib,
                               .peers = (struct peer_set *)peers,
                               .sources = &sources,
                               .router_id = 0x0a00000b};
    grammar = grammar_new();
    reload_result = 0;
    reload_answer = NULL;
    output = error_text = NULL;
    steps_taken = woken = 0;
}

static void end(void)
{
    free(output);
    free(error_text);
    grammar_free(grammar);
    for (unsigned i = 0; i < PEERS; i++)
        adjout_free(peers[i].out);
    loop_free(speaker.loop);
    fx_free(&fx);
}

/* Runs a command to its end, or for max steps and then ends it as if the client had gone. */
static void run_for(const char *line, bool json, unsigned max)
{
    struct command cmd;
    char why[512];
    struct evbuffer *body = evbuffer_new(), *all = evbuffer_new();
    CU_ASSERT_EQUAL_FATAL(grammar_parse(grammar, line, &cmd, why, sizeof why), 0);
    struct writer *w = writer_new(body, json || cmd.json);
    struct exec e = {.s = &speaker, .grammar = grammar, .cmd = &cmd, .w = w, .wake = no_wake};
    for (steps_taken = 0; steps_taken < max;) {
        enum exec_result r = exec_step(&e);
        steps_taken++;
        evbuffer_add_buffer(all, body);
        if (r == EXEC_WAIT && reload_answer) { /* the test has set what the reload answers */
            reload_answer(reload_arg, peers[0].message[0] ? peers[0].message : NULL, "a note");
            reload_answer = NULL;
        } else if (r == EXEC_DONE) {
            break;
        }
    }
    free(output);
    free(error_text);
    size_t n = evbuffer_get_length(all);
    output = calloc(1, n + 1);
    evbuffer_remove(all, output, n);
    error_text = strdup(e.error ? e.error : "");
    status = e.status;
    exec_end(&e);
    writer_free(w);
    command_free(&cmd);
    evbuffer_free(body);
    evbuffer_free(all);
}

static inline void run(const char *line)
{
    run_for(line, false, 100000);
}

static inline json_t *run_json(const char *line)
{
    run_for(line, true, 100000);
    json_t *j = json_loads(output, JSON_REJECT_DUPLICATES, NULL);
    if (!j)
        printf("      not JSON: %s\n", output);
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    return j;
}

/* A member by path: "peers/10.0.0.1/pfxRcd"; numbers index arrays; "|" instead of "/" when keys hold slashes.
 */
static inline json_t *at(json_t *j, const char *path)
{
    char copy[256], *save = NULL, separator[] = {strchr(path, '|') ? '|' : '/', 0};
    snprintf(copy, sizeof copy, "%s", path);
    for (char *k = strtok_r(copy, separator, &save); k && j; k = strtok_r(NULL, separator, &save))
        j = json_is_array(j) ? json_array_get(j, (size_t)atoi(k)) : json_object_get(j, k);
    return j;
}

static inline void expect_output(const char *what)
{
    if (!strstr(output, what))
        printf("      no \"%s\" in:\n%s", what, output);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, what));
}

static inline void expect_error(int code, const char *what)
{
    if (status != code || !strstr(error_text, what))
        printf("      status %d: %s\n", status, error_text);
    CU_ASSERT_EQUAL(status, code);
    CU_ASSERT_PTR_NOT_NULL(strstr(error_text, what));
}

/* Every line at most 80 wide and without trailing blanks. */
static inline void expect_tidy(void)
{
    for (const char *line = output; *line;) {
        size_t n = strcspn(line, "\n");
        if (n > 80 || (n && line[n - 1] == ' '))
            printf("      |%.*s|\n", (int)n, line);
        CU_ASSERT_TRUE(n <= 80);
        CU_ASSERT_FALSE(n && line[n - 1] == ' ');
        line += n + (line[n] == '\n');
    }
}

#endif
