/* show kubernetes: whether we are in step with the API server, what this node is to it, and for each address
 * of a service that it is advertised or why it is not. Services are walked by name, a few a step, while they
 * come and go. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/show.h"
#include "kube/cni.h"
#include "kube/kube.h"
#include "loop.h"
#include "speaker.h"

#define SERVICES_STEP 200

static const char *const kind_words[KUBE_VIP_KINDS] = {"load-balancer", "external-ip", "cluster-ip"};
static const char *const type_words[] = {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"};

static enum exec_result is_off(struct exec *e)
{
    struct kube_info i;
    kube_info(e->s->kube, &i);
    if (i.state != KUBE_STATE_OFF)
        return exec_fail(e, STATUS_REFUSED, "nothing is known from Kubernetes: %s", i.error);
    return exec_fail(e, STATUS_REFUSED, "Kubernetes is not asked: advertise.kubernetes is off in %s",
                     e->s->config_name);
}

/* The node */

static const struct kube_node *node_of(const struct exec *e)
{
    const struct kube_store *st = kube_get_store(e->s->kube);
    return st ? kube_store_node(st) : NULL;
}

static void json_texts(struct writer *w, const char *key, char *const *list, unsigned n)
{
    writer_array(w, key);
    for (unsigned i = 0; i < n; i++)
        writer_str(w, NULL, list[i]);
    writer_end(w);
}

static void json_node(struct exec *e, const char *key, const struct kube_info *i)
{
    const struct kube_node *n = node_of(e);
    struct writer *w = e->w;
    writer_object(w, key);
    writer_str(w, "name", e->s->config->advertise.kube.node);
    writer_bool(w, "known", n);
    writer_array(w, "podCidrs");
    for (unsigned k = 0; n && k < n->n_pod_cidrs; k++)
        writer_prefix(w, NULL, &n->pod_cidrs[k]);
    writer_end(w);
    writer_array(w, "internalIps");
    for (unsigned k = 0; n && k < n->n_internal_ips; k++)
        writer_addr(w, NULL, &n->internal_ips[k]);
    writer_end(w);
    writer_bool(w, "cordoned", n && n->unschedulable);
    json_texts(w, "taints", n ? n->taints : NULL, n ? n->n_taints : 0);
    writer_bool(w, "excluded", n && n->excluded);
    writer_bool(w, "networkUnavailable", n && n->network_unavailable);
    writer_bool(w, "deleted", i->node_deleted);
    writer_str(w, "drain", kube_drain_name(i->drain));
    if (i->drain == KUBE_DRAIN_GRACEFUL)
        writer_uint(w, "withdrawalInMsec", i->drain_left_ms);
    writer_object(w, "annotations");
    for (unsigned k = 0; n && k < KUBE_ANNOTATION_COUNT; k++)
        if (n->annotations[k])
            writer_str(w, kube_annotation_names[k], n->annotations[k]);
    writer_end(w);
    if (*i->settings_error)
        writer_str(w, "annotationsError", i->settings_error);
    writer_str(w, "readiness", i->readiness);
    writer_end(w);
}

static void text_list(struct exec *e, const char *label, unsigned n,
                      const char *(*item)(const struct kube_node *node, unsigned i, char *buf),
                      const struct kube_node *node)
{
    char line[2048], buf[PREFIX_STRLEN];
    size_t len = 0;
    for (unsigned i = 0; i < n && len < sizeof line; i++)
        len += (size_t)snprintf(line + len, sizeof line - len, "%s%s", i ? ", " : "", item(node, i, buf));
    writer_text(e->w, "  %-14s ", label);
    show_wrap(e->w, 17, 17, n ? line : "none");
}

static const char *pod_cidr(const struct kube_node *n, unsigned i, char *buf)
{
    return prefix_format(&n->pod_cidrs[i], buf);
}
static const char *internal_ip(const struct kube_node *n, unsigned i, char *buf)
{
    return addr_format(&n->internal_ips[i], buf);
}
static const char *taint(const struct kube_node *n, unsigned i, char *buf)
{
    (void)buf;
    return n->taints[i];
}

static void text_drain(struct exec *e, const struct kube_info *i)
{
    char left[24];
    if (i->drain == KUBE_DRAIN_GRACEFUL)
        writer_text(e->w, "  Leaving: %s sent with GRACEFUL_SHUTDOWN, withdrawal in %s\n",
                    i->node_deleted ? "everything is" : "its services are",
                    show_seconds(i->drain_left_ms, left));
    else if (i->drain == KUBE_DRAIN_WITHDRAWN)
        writer_text(e->w, "  Withdrawn: %s\n", i->node_deleted ? "everything" : "its services");
}

static void text_node(struct exec *e, const struct kube_info *i)
{
    const struct kube_node *n = node_of(e);
    const char *name = e->s->config->advertise.kube.node;
    if (!n) {
        writer_text(e->w, "Node %s: %s\n", name,
                    i->node_deleted ? "there is no such object" : "not known yet from the API server");
        text_drain(e, i);
        return;
    }
    writer_text(e->w, "Node %s%s%s\n", name, n->unschedulable ? ", cordoned" : "",
                n->excluded ? ", excluded from external load balancers" : "");
    if (!e->s->config->router.asn)
        writer_text(e->w, "  No AS number yet, and no sessions: annotate the node with underlay.io/asn\n");
    text_drain(e, i);
    text_list(e, "Pod CIDRs", n->n_pod_cidrs, pod_cidr, n);
    text_list(e, "Internal IPs", n->n_internal_ips, internal_ip, n);
    if (n->n_taints)
        text_list(e, "Taints", n->n_taints, taint, n);
    for (unsigned k = 0; k < KUBE_ANNOTATION_COUNT; k++)
        if (n->annotations[k]) {
            writer_text(e->w, "  %s: ", kube_annotation_names[k]);
            show_wrap(e->w, (unsigned)strlen(kube_annotation_names[k]) + 4, 4, n->annotations[k]);
        }
    if (*i->settings_error) {
        writer_text(e->w, "  Not in force: ");
        show_wrap(e->w, 16, 4, i->settings_error);
    }
    if (e->s->config->advertise.kube.ready.taint || e->s->config->advertise.kube.ready.network_unavailable) {
        writer_text(e->w, "  %-14s ", "Readiness");
        show_wrap(e->w, 17, 17, i->readiness);
    }
}

/* The whole */

static const char *reflector_word(enum reflector_state s)
{
    static const char *const words[] = {"idle", "listing", "watching", "waiting"};
    return words[s];
}

static uint64_t heard_ms(const struct reflector_info *r)
{
    return r->heard_ms ? loop_now_ms() - r->heard_ms : 0;
}

static void json_kind(struct writer *w, const char *key, const struct reflector_info *r)
{
    writer_object(w, key);
    writer_str(w, "state", reflector_word(r->state));
    writer_bool(w, "listed", r->listed);
    writer_bool(w, "current", r->current);
    writer_str(w, "resourceVersion", r->version);
    if (r->heard_ms)
        writer_uint(w, "heardMsec", heard_ms(r));
    writer_uint(w, "retryMsec", r->retry_ms);
    writer_str(w, "error", r->error);
    writer_uint(w, "lists", r->count.lists);
    writer_uint(w, "watches", r->count.watches);
    writer_uint(w, "events", r->count.events);
    writer_uint(w, "bookmarks", r->count.bookmarks);
    writer_uint(w, "gone", r->count.gone);
    writer_uint(w, "stalls", r->count.stalls);
    writer_uint(w, "malformed", r->count.malformed);
    writer_uint(w, "failures", r->count.failures);
    writer_uint(w, "bytes", r->count.bytes);
    writer_end(w);
}

static void json_all(struct exec *e, const struct kube_info *i)
{
    struct writer *w = e->w;
    struct cni_info cni;
    cni_info(e->s->cni, &cni);
    writer_object(w, NULL);
    writer_str(w, "apiServer", i->server);
    writer_str(w, "state", kube_state_name(i->state));
    writer_uint(w, "staleSeconds", i->stale_ms / 1000);
    writer_bool(w, "fromDisk", i->from_disk);
    writer_bool(w, "expired", i->expired);
    writer_str(w, "error", i->error);
    if (i->save_error)
        writer_str(w, "saveError", strerror(-i->save_error));
    json_node(e, "node", i);
    writer_object(w, "kinds");
    for (unsigned k = 0; k < KUBE_KINDS; k++)
        json_kind(w, kube_kind_names[k], &i->kinds[k]);
    writer_end(w);
    writer_object(w, "counts");
    writer_uint(w, "services", i->counts.services);
    writer_uint(w, "endpointSlices", i->counts.slices);
    writer_uint(w, "addresses", i->counts.addresses);
    writer_uint(w, "endpoints", i->counts.endpoints);
    writer_uint(w, "endpointsHere", i->counts.endpoints_here);
    writer_uint(w, "advertised", i->advertised);
    writer_uint(w, "pending", i->counts.pending);
    writer_uint(w, "memoryBytes", i->counts.bytes);
    writer_end(w);
    if (cni.path) {
        writer_object(w, "cni");
        writer_str(w, "path", cni.path);
        writer_str(w, "state", cni.state);
        writer_end(w);
    }
    writer_end(w);
}

static void text_state(struct exec *e, const struct kube_info *i)
{
    char age[UPTIME_STRLEN], line[600];
    show_uptime(i->stale_ms, age);
    switch (i->state) {
    case KUBE_STATE_CURRENT:
        writer_text(e->w, "In step with the API server %s\n", i->server);
        return;
    case KUBE_STATE_LISTING:
        writer_text(e->w, "Nothing is known yet: the API server is being asked\n");
        return;
    case KUBE_STATE_WAITING:
        snprintf(line, sizeof line, "Nothing is known yet, for %s: %s", age, i->error);
        break;
    default:
        snprintf(line, sizeof line, "Not in step with the API server for %s%s%s%s%s", age,
                 *i->error ? ": " : "", i->error,
                 i->from_disk ? "; what is advertised is from an earlier run" : "",
                 i->expired ? "; service addresses are withdrawn (stale-after)" : "");
    }
    show_wrap(e->w, 0, 2, line);
}

static enum exec_result text_all(struct exec *e, const struct kube_info *i)
{
    struct table t = {.columns = 6};
    struct cni_info cni;
    char line[256];
    bool ok = table_add(&t, (const char *[]){"Kind", "State", "Lists", "Events", "Failures", "Heard"});
    text_state(e, i);
    if (i->save_error)
        writer_text(e->w, "Not kept on disk for the next start: %s\n", strerror(-i->save_error));
    text_node(e, i);
    snprintf(line, sizeof line,
             "%u services with %u addresses, %" PRIu64 " ready endpoints, %" PRIu64
             " of them here; %u prefixes advertised",
             i->counts.services, i->counts.addresses, i->counts.endpoints, i->counts.endpoints_here,
             i->advertised);
    writer_text(e->w, "\n");
    show_wrap(e->w, 0, 2, line);
    cni_info(e->s->cni, &cni);
    if (cni.path) {
        writer_text(e->w, "CNI %s: ", cni.path);
        show_wrap(e->w, (unsigned)strlen(cni.path) + 6, 2, cni.state);
    }
    writer_text(e->w, "\n");
    for (unsigned k = 0; ok && k < KUBE_KINDS; k++) {
        const struct reflector_info *r = &i->kinds[k];
        char lists[24], events[24], failures[24], heard[UPTIME_STRLEN] = "never";
        snprintf(lists, sizeof lists, "%" PRIu64, r->count.lists);
        snprintf(events, sizeof events, "%" PRIu64, r->count.events);
        snprintf(failures, sizeof failures, "%" PRIu64, r->count.failures);
        if (r->heard_ms)
            show_uptime(heard_ms(r), heard);
        ok = table_add(&t,
                       (const char *[]){kube_kind_names[k], r->current ? "current" : reflector_word(r->state),
                                        lists, events, failures, heard});
    }
    if (ok)
        table_print(&t, e->w);
    free(t.cells);
    return ok ? EXEC_DONE : exec_fail(e, STATUS_REFUSED, "out of memory");
}

/* Services */

struct walk_state {
    char after[512];
    bool begun;
};

static void json_service(struct exec *e, const struct kube_store *st, const struct kube_service *s)
{
    unsigned advertised = 0;
    for (unsigned k = 0; k < s->n_vips; k++)
        advertised += kube_store_verdict(st, s, &s->vips[k]).reason == KUBE_ADVERTISED;
    writer_object(e->w, s->name);
    writer_str(e->w, "type", type_words[s->type]);
    writer_uint(e->w, "advertised", advertised);
    if (s->headless)
        writer_bool(e->w, "headless", true);
    if (s->n_proxied)
        writer_uint(e->w, "addressesOfProxies", s->n_proxied);
    writer_array(e->w, "addresses");
    for (unsigned k = 0; k < s->n_vips; k++) {
        const struct kube_verdict v = kube_store_verdict(st, s, &s->vips[k]);
        writer_object(e->w, NULL);
        writer_addr(e->w, "address", &s->vips[k].addr);
        writer_str(e->w, "kind", kind_words[s->vips[k].kind]);
        writer_bool(e->w, "advertised", v.reason == KUBE_ADVERTISED);
        if (v.reason != KUBE_ADVERTISED)
            writer_str(e->w, "reason", kube_reason_text(v.reason));
        if (v.weight)
            writer_uint(e->w, "weight", v.weight);
        if (v.terminating)
            writer_bool(e->w, "onlyTerminating", true);
        writer_end(e->w);
    }
    writer_end(e->w);
    writer_end(e->w);
}

static void text_service(struct exec *e, const struct kube_store *st, const struct kube_service *s)
{
    writer_text(e->w, "%s%s\n", s->name, s->headless ? " (headless)" : "");
    for (unsigned k = 0; k < s->n_vips; k++) {
        const struct kube_verdict v = kube_store_verdict(st, s, &s->vips[k]);
        char addr[ADDR_STRLEN], weight[32] = "";
        if (v.weight)
            snprintf(weight, sizeof weight, ", weight %" PRIu32, v.weight);
        addr_format(&s->vips[k].addr, addr);
        writer_text(e->w, "  %-20s %-13s ", addr, kind_words[s->vips[k].kind]);
        char line[200];
        snprintf(line, sizeof line, "%s%s%s%s", v.reason == KUBE_ADVERTISED ? "advertised" : "no: ",
                 v.reason == KUBE_ADVERTISED ? weight : kube_reason_text(v.reason),
                 v.terminating ? ", only endpoints that terminate are left" : "",
                 v.reason == KUBE_ADVERTISED && s->session_affinity ? "; affinity holds per node" : "");
        show_wrap(e->w, strlen(addr) > 20 ? (unsigned)strlen(addr) + 17 : 37, 37, line);
    }
}

static enum exec_result show_services(struct exec *e)
{
    const struct kube_store *st = kube_get_store(e->s->kube);
    struct walk_state *w = e->state ? e->state : exec_state(e, sizeof *w);
    if (!w)
        return EXEC_DONE;
    if (!st)
        return is_off(e);
    if (!w->begun)
        writer_object(e->w, NULL);
    for (unsigned n = 0; n < SERVICES_STEP && !writer_full(e->w); n++) {
        const struct kube_service *s = kube_store_service_after(st, w->begun ? w->after : NULL);
        if (!s) {
            writer_end(e->w);
            if (!w->begun)
                writer_text(e->w, "No services are known\n");
            return EXEC_DONE;
        }
        w->begun = true;
        snprintf(w->after, sizeof w->after, "%s", s->name);
        if (writer_json(e->w))
            json_service(e, st, s);
        else if (s->n_vips)
            text_service(e, st, s);
    }
    return EXEC_MORE;
}

enum exec_result show_kubernetes(struct exec *e)
{
    struct kube_info i;
    kube_info(e->s->kube, &i);
    if (i.state == KUBE_STATE_OFF)
        return is_off(e);
    if (command_has(e->cmd, "services"))
        return show_services(e);
    if (command_has(e->cmd, "node")) {
        if (writer_json(e->w))
            json_node(e, NULL, &i);
        else
            text_node(e, &i);
        return EXEC_DONE;
    }
    if (!writer_json(e->w))
        return text_all(e, &i);
    json_all(e, &i);
    return EXEC_DONE;
}
