/* Kubernetes in the speaker: three reflectors feed the store; what may have changed is judged a few addresses
 * a turn; what is to be advertised goes to source.c.
 *
 * Nothing is judged before all three kinds were listed once, and until then what an earlier process has left
 * on disk stands: a half of what is known is not a reason to withdraw. That the API server is away changes
 * nothing by itself; only stale-after does. The node's own object is in kube_node.c. */
#include "kube/kube.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_overlay.h"
#include "configfile.h"
#include "fibclient.h"
#include "kube/kube_internal.h"
#include "savedfile.h"
#include "source/source.h"

#define JUDGED_PER_TURN 256
#define ERROR_SAID_MS   3000 /* a watch that ends and comes back at once is nothing to talk about */

const char *const kube_kind_names[KUBE_KINDS] = {"nodes", "services", "endpointslices"};

const struct config_kube *kube_config(const struct kube *k)
{
    return &k->s->config->advertise.kube;
}

/* Judging */

static void say_change(struct kube *k, const struct kube_entry *before, const struct kube_entry *after)
{
    uint32_t more;
    if (!before == !after || !log_limit_ok(&k->changes, loop_now_ms(), &more))
        return;
    const struct kube_entry *e = after ? after : before;
    log_info(after ? "a service address is advertised" : "a service address is withdrawn",
             F_PREFIX("prefix", &e->prefix), F_STR_IF("service", e->service), F_UINT_IF("unsaid", more));
}

static void judge(struct kube *k, const struct ip_addr *vip)
{
    struct kube_entry e = {.prefix = prefix_host(vip)}, copy;
    const struct kube_entry *now = kube_advertise_find(k->advertise, &e.prefix);
    struct kube_vip_state v = {0};
    char service[512] = "";
    if (!k->expired)
        kube_store_judge(k->store, vip, &v);
    e.by = (uint8_t)(kube_node_wants(k, &e.prefix) | (v.advertise ? SOURCE_KUBE_VIP : 0));
    e.kinds = v.advertise ? v.kinds : 0;
    e.weight = v.advertise ? v.weight : 0;
    e.service = v.advertise ? v.service : NULL;
    bool was = now && (now->by & SOURCE_KUBE_VIP);
    if (was) {
        snprintf(service, sizeof service, "%s", now->service ? now->service : "");
        copy = *now;
        copy.service = *service ? service : NULL;
    }
    if (!kube_advertise_set(k->advertise, &e))
        return;
    say_change(k, was ? &copy : NULL, v.advertise ? &e : NULL);
    kube_changed(k);
}

static void judge_entry(void *arg, const struct kube_entry *e)
{
    struct kube *k = arg;
    if (e->by & SOURCE_KUBE_VIP) {
        struct ip_addr vip = e->prefix.addr;
        judge(k, &vip);
    }
}

static void judge_unconfirmed(void *arg, const struct kube_entry *e)
{
    if (e->unconfirmed)
        judge_entry(arg, e);
}

static bool all_listed(const struct kube *k)
{
    struct reflector_info info;
    for (unsigned i = 0; i < KUBE_KINDS; i++) {
        reflector_info(k->reflectors[i], &info);
        if (!info.listed)
            return false;
    }
    return true;
}

/* The end of the first round: what is advertised from disk and nobody has confirmed goes. */
static void first_round_done(struct kube *k)
{
    struct kube_store_counts n;
    kube_store_counts(k->store, &n);
    k->judged = true;
    kube_advertise_each(k->advertise, judge_unconfirmed, k);
    k->from_disk = false;
    kube_changed(k);
    log_info("Kubernetes is known", F_STR("server", kube_client_server(k->client)),
             F_UINT("services", n.services),
             F_UINT("advertised", kube_advertise_count(k->advertise, UINT8_MAX)));
    speaker_peer_state_changed(k->s);
}

bool kube_is_awaited(const struct kube *k)
{
    return k->on && !k->stopped && k->client && ((!k->judged && !k->from_disk) || kube_settings_pending(k));
}

static bool judge_some(void *arg)
{
    struct kube *k = arg;
    struct ip_addr vip;
    unsigned n = 0;
    if (!k->on || k->stopped || !all_listed(k))
        return false;
    while (n < JUDGED_PER_TURN && kube_store_next(k->store, &vip)) {
        judge(k, &vip);
        n++;
    }
    bool more = n == JUDGED_PER_TURN;
    if (!more && !k->judged)
        first_round_done(k);
    sources_kube_done(k->s->sources);
    return more;
}

void kube_changed(struct kube *k)
{
    savedfile_changed(k->file);
}

/* What comes from the API server */

static void list_begin(void *arg, enum kube_kind kind)
{
    struct kube *k = arg;
    kube_store_list_begin(k->store, kind);
}

static void list_end(void *arg, enum kube_kind kind)
{
    struct kube *k = arg;
    kube_store_list_end(k->store, kind);
    if (kind == KUBE_NODES)
        kube_node_seen(k);
    task_wake(k->judge);
}

static void put(void *arg, enum kube_kind kind, const json_t *object)
{
    struct kube *k = arg;
    uint32_t more;
    int rc = kube_store_put(k->store, kind, object);
    if (rc && log_limit_ok(&k->left_out, loop_now_ms(), &more))
        log_warn("an object of Kubernetes is left out", F_STR("kind", kube_kind_names[kind]), F_ERR(rc),
                 F_UINT_IF("unsaid", more));
    if (kind == KUBE_NODES)
        kube_node_seen(k);
    task_wake(k->judge);
}

static void gone(void *arg, enum kube_kind kind, const json_t *object)
{
    struct kube *k = arg;
    kube_store_gone(k->store, kind, object);
    if (kind == KUBE_NODES)
        kube_node_seen(k);
    task_wake(k->judge);
}

/* Whether it is in step */

static void set_expired(struct kube *k, bool expired)
{
    if (k->expired == expired)
        return;
    k->expired = expired;
    if (expired)
        log_warn("the API server is away for too long: service addresses are withdrawn",
                 F_UINT("stale_after", kube_config(k)->stale_after_ms / 1000));
    else if (k->store)
        kube_store_configure(k->store, kube_config(k), kube_config(k)->node); /* all is judged again */
    kube_advertise_each(k->advertise, judge_entry, k);                        /* also what is from disk */
    sources_kube_done(k->s->sources);
    task_wake(k->judge);
}

static void stale_too_long(void *arg)
{
    set_expired(arg, true);
}

static void say_error(void *arg)
{
    struct kube *k = arg;
    if (k->current)
        return;
    if (!*k->error) /* a long list is no error */
        timer_set(k->error_due, ERROR_SAID_MS);
    else
        log_warn("not in step with Kubernetes; what is advertised stays", F_STR("reason", k->error));
}

static void set_stale_timer(struct kube *k)
{
    uint64_t after = kube_config(k)->stale_after_ms, age = loop_now_ms() - k->stale_since_ms;
    if (k->current || !after || age < after)
        set_expired(k, false);
    if (k->current || !after)
        timer_stop(k->stale);
    else
        timer_set(k->stale, age < after ? after - age : 0);
}

static void set_current(struct kube *k, bool current)
{
    if (k->current == current)
        return;
    k->current = current;
    if (current) {
        if (!timer_running(k->error_due) && k->judged)
            log_info("in step with Kubernetes again", F_STR("server", kube_client_server(k->client)));
        timer_stop(k->error_due);
    } else {
        k->stale_since_ms = loop_now_ms();
        timer_set(k->error_due, ERROR_SAID_MS);
    }
    kube_changed(k); /* since when */
    set_stale_timer(k);
}

static void reflector_changed(void *arg, enum kube_kind kind)
{
    struct kube *k = arg;
    struct reflector_info info;
    bool current = true, came = false;
    k->error[0] = 0;
    for (unsigned i = 0; i < KUBE_KINDS; i++) {
        reflector_info(k->reflectors[i], &info);
        current &= info.current;
        if (!info.current && info.error[0] && !k->error[0])
            snprintf(k->error, sizeof k->error, "%s: %s", kube_kind_names[i], info.error);
    }
    reflector_info(k->reflectors[kind], &info);
    came = info.current && !k->kind_current[kind];
    k->kind_current[kind] = info.current;
    for (unsigned i = 0; came && i < KUBE_KINDS; i++)
        reflector_hurry(k->reflectors[i]);
    set_current(k, current);
    kube_readiness_check(k);
}

static const struct reflector_ops reflector_ops = {list_begin, list_end, put, gone, reflector_changed};

/* Files of the client, by role */

struct reading {
    void (*done)(void *arg, char *text, size_t len, int error);
    void *arg;
};

static void file_opened(void *arg, int fd, int error)
{
    struct reading r = *(struct reading *)arg;
    char *text = NULL;
    size_t len = 0;
    free(arg);
    if (fd >= 0) {
        error = configfile_read_fd(fd, KUBE_ACCESS_MAX_BYTES, &text, &len);
        close(fd);
    }
    r.done(r.arg, error ? NULL : text, len, error);
}

static void read_file(void *arg, const char *path, void (*done)(void *arg, char *text, size_t len, int error),
                      void *done_arg)
{
    struct kube *k = arg;
    const struct keyfiles *known = &k->s->keys;
    unsigned i = 0;
    while (i < known->n && strcmp(known->files[i].path, path) != 0)
        i++;
    struct reading *r = i < known->n ? malloc(sizeof *r) : NULL;
    int rc = i == known->n ? -ENOKEY : !r ? -ENOMEM : 0;
    if (!rc) {
        *r = (struct reading){done, done_arg};
        rc = fibclient_open(k->s->fib, FM_ROLE_KEY, i, file_opened, r);
    }
    if (!rc)
        return;
    free(r);
    done(done_arg, NULL, 0, rc);
}

static const struct kube_client_ops client_ops = {read_file};

/* Life */

struct kube *kube_new(struct speaker *s)
{
    struct kube *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->s = s;
    k->advertise = kube_advertise_new(s);
    k->judge = task_new(s->loop, judge_some, k);
    k->stale = timer_new(s->loop, stale_too_long, k);
    k->error_due = timer_new(s->loop, say_error, k);
    k->file = kube_disk_new(k);
    if (k->advertise && k->judge && k->stale && k->error_due && k->file && kube_node_new(k) &&
        kube_readiness_new(k) && kube_settings_new(k))
        return k;
    kube_free(k);
    return NULL;
}

static void end_watching(struct kube *k)
{
    kube_readiness_reset(k);
    for (unsigned i = 0; i < KUBE_KINDS; i++) {
        reflector_free(k->reflectors[i]);
        k->reflectors[i] = NULL;
    }
    kube_client_free(k->client);
    k->client = NULL;
    kube_store_free(k->store);
    k->store = NULL;
    k->current = k->judged = false;
    memset(k->kind_current, 0, sizeof k->kind_current);
    timer_stop(k->stale);
    timer_stop(k->error_due);
}

void kube_free(struct kube *k)
{
    if (!k)
        return;
    end_watching(k);
    kube_node_free_parts(k);
    kube_readiness_free(k);
    kube_settings_free(k);
    savedfile_free(k->file);
    timer_free(k->stale);
    timer_free(k->error_due);
    task_free(k->judge);
    kube_advertise_free(k->advertise);
    free(k);
}

static int begin_watching(struct kube *k)
{
    const struct config_kube *c = kube_config(k);
    char name[300];
    snprintf(name, sizeof name, "metadata.name=%s", c->node);
    k->client = kube_client_new(k->s->loop, &client_ops, k);
    k->store = kube_store_new();
    if (!k->client || !k->store || kube_client_set_access(k->client, &c->access))
        return -ENOMEM;
    kube_store_configure(k->store, c, c->node);
    for (unsigned i = 0; i < KUBE_KINDS; i++) {
        k->reflectors[i] = reflector_new(k->s->loop, k->client, (enum kube_kind)i,
                                         i == KUBE_NODES ? name : NULL, NULL, &reflector_ops, k);
        if (!k->reflectors[i])
            return -ENOMEM;
    }
    k->node_version = UINT64_MAX;
    timer_set(k->error_due, ERROR_SAID_MS);
    for (unsigned i = 0; i < KUBE_KINDS; i++)
        reflector_start(k->reflectors[i]);
    return 0;
}

static void turn_on(struct kube *k)
{
    k->on = true;
    if (!k->stale_since_ms)
        k->stale_since_ms = loop_now_ms();
    if (!k->s->config->router.asn)
        log_warn(
            "no AS number yet, and no sessions: the annotation underlay.io/asn of the node has to give it");
    int rc = kube_client_load(&k->no_library);
    if (rc)
        log_error("Kubernetes cannot be asked: a library is missing", F_STR("reason", k->no_library));
    else
        rc = begin_watching(k);
    if (rc == -ENOMEM)
        log_error("Kubernetes cannot be asked", F_ERR(rc));
    if (rc)
        end_watching(k);
    set_stale_timer(k);
}

static void forget_entry(void *arg, const struct kube_entry *e)
{
    struct kube *k = arg;
    kube_advertise_set(k->advertise, &(struct kube_entry){.prefix = e->prefix});
}

static void turn_off(struct kube *k)
{
    end_watching(k);
    kube_node_reset(k);
    kube_advertise_each(k->advertise, forget_entry, k);
    sources_kube_done(k->s->sources);
    k->on = k->from_disk = k->expired = false;
    k->stale_since_ms = 0;
    kube_changed(k);
}

static void reconfigure(struct kube *k, const struct config *before)
{
    const struct config_kube *c = kube_config(k), *old = &before->advertise.kube;
    if (strcmp(c->node, old->node) != 0) {
        turn_off(k);
        turn_on(k);
        return;
    }
    if (k->store)
        kube_store_configure(k->store, c, c->node);
    kube_disk_filter(k);
    kube_advertise_again(k->advertise);
    set_stale_timer(k);
    if (!k->client) {
        sources_kube_done(k->s->sources);
        return;
    }
    bool elsewhere = !kube_access_equal(&c->access, &old->access);
    if (elsewhere && kube_client_set_access(k->client, &c->access))
        log_error("the API server's address cannot be changed", F_ERR(ENOMEM));
    for (unsigned i = 0; i < KUBE_KINDS; i++) /* another server may be another cluster, with other versions */
        if (elsewhere || (i == KUBE_SERVICES && !config_kube_same_selection(c, old)))
            reflector_relist(k->reflectors[i]);
    kube_settings_again(k);
    kube_node_again(k);
    sources_kube_done(k->s->sources);
    task_wake(k->judge);
}

/* What the store has borrowed goes away. */
static void reconfigure_stopped(struct kube *k)
{
    const struct config_kube *c = kube_config(k);
    if (k->store)
        kube_store_configure(k->store, c, c->on ? c->node : "");
}

void kube_apply(struct kube *k, const struct config *before)
{
    const struct config_kube *c = kube_config(k);
    if (!c->on && !k->on)
        return;
    if (k->stopped) {
        reconfigure_stopped(k);
    } else if (!c->on) {
        turn_off(k);
    } else if (!k->on) {
        if (k->s->kube_saved) {
            kube_disk_take(k, k->s->kube_saved);
            kube_saved_reset(k->s->kube_saved);
            k->s->kube_saved = NULL;
        }
        turn_on(k);
    } else {
        reconfigure(k, before);
    }
}

void kube_addresses_changed(struct kube *k)
{
    if (k->on && !k->stopped)
        kube_node_apply(k);
}

void kube_ready_changed(struct kube *k)
{
    if (k->on && !k->stopped)
        kube_readiness_check(k);
}

void kube_stop(struct kube *k)
{
    k->stopped = true;
    for (unsigned i = 0; i < KUBE_KINDS; i++) {
        reflector_free(k->reflectors[i]);
        k->reflectors[i] = NULL;
    }
    if (k->on && k->current) { /* the next process is out of step since now, whenever it starts */
        k->current = false;
        k->stale_since_ms = loop_now_ms();
        kube_changed(k);
    }
    kube_readiness_reset(k);
    timer_stop(k->services.grace); /* whoever leaves says so on disk */
    timer_stop(k->node.grace);
    timer_stop(k->stale);
    timer_stop(k->error_due);
}

void kube_flush(struct kube *k, void (*done)(void *arg), void *arg)
{
    savedfile_flush(k->file, done, arg);
}
