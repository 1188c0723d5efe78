/* /metrics: the writer, and everything that is not about one peer.
 *
 * The number of series depends on the configuration alone. All of these are read in one turn, which costs
 * less than a millisecond; peers come in steps (metrics_peer.c). Names have the base units of Prometheus, and
 * labels those of frr_exporter, so that its dashboards join: `peer`, `peer_as`, `afi`, `safi`. */
#include "control/metrics.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/health.h"
#include "control/http.h"
#include "drain.h"
#include "fibclient.h"
#include "lib/text.h"
#include "loop.h"
#include "peer.h"
#include "source/source.h"
#include "speaker.h"

/* The writer */

static const char *suffix_of(enum metric_type t)
{
    return t == METRIC_COUNTER ? "_total" : t == METRIC_INFO ? "_info" : "";
}

void metrics_family(struct metrics *w, const struct metric *m)
{
    static const char *const types[] = {"gauge", "counter", "info", "histogram"};
    const char *suffix = w->openmetrics ? "" : suffix_of(m->type);
    const char *type = m->type == METRIC_INFO && !w->openmetrics ? "gauge" : types[m->type];
    w->m = *m;
    evbuffer_add_printf(w->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", m->name, suffix, m->help, m->name, suffix,
                        type);
    if (w->openmetrics && m->unit)
        evbuffer_add_printf(w->out, "# UNIT %s %s\n", m->name, m->unit);
}

void metrics_put_as(struct metrics *w, const char *suffix, const char *labels, const char *value)
{
    bool some = labels && *labels;
    evbuffer_add_printf(w->out, "%s%s%s%s%s %s\n", w->m.name, suffix, some ? "{" : "", some ? labels : "",
                        some ? "}" : "", value);
}

void metrics_put(struct metrics *w, const char *labels, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    metrics_put_as(w, suffix_of(w->m.type), labels, text);
}

void metrics_put_milli(struct metrics *w, const char *labels, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64 ".%03u", value / 1000, (unsigned)(value % 1000));
    metrics_put_as(w, suffix_of(w->m.type), labels, text);
}

const char *metrics_label(const char *text, char *buf, size_t size)
{
    char *clean = text_utf8(text);
    size_t n = 0;
    for (const char *p = clean ? clean : ""; *p;) {
        bool escape = *p == '"' || *p == '\\' || *p == '\n';
        size_t length = 1; /* of the character: never half of one */
        while ((p[length] & 0xc0) == 0x80)
            length++;
        if (n + length + escape >= size)
            break;
        if (escape)
            buf[n++] = '\\';
        memcpy(buf + n, *p == '\n' ? "n" : p, length);
        n += length;
        p += length;
    }
    buf[n] = 0;
    free(clean);
    return buf;
}

/* The families */

struct scrape {
    struct metrics w;
    struct peer_samples *peers;
    enum { TAKING, GENERAL, PEERS } at;
};

static void begin(struct metrics *w, const char *name, enum metric_type type, const char *unit,
                  const char *help)
{
    metrics_family(w, &(struct metric){name, type, unit, help});
}

static void put_one(struct metrics *w, const char *name, enum metric_type type, const char *unit,
                    const char *help, uint64_t value)
{
    begin(w, name, type, unit, help);
    metrics_put(w, NULL, value);
}

static void put_families(struct metrics *w, const char *name, const char *help, const uint32_t v[FAM_COUNT])
{
    begin(w, name, METRIC_GAUGE, NULL, help);
    for (enum family f = 0; f < FAM_COUNT; f++) {
        char labels[48];
        snprintf(labels, sizeof labels, "afi=\"%s\",safi=\"unicast\"", family_name(f));
        metrics_put(w, labels, v[f]);
    }
}

static void put_rib(struct metrics *w, const struct speaker *s)
{
    struct rib_stats rs;
    struct nexthop_stats nh;
    rib_stats(s->rib, &rs);
    nexthop_stats(s->nexthops, &nh);
    put_families(w, "underlay_rib_prefixes", "Prefixes in the table.", rs.prefixes);
    put_families(w, "underlay_rib_paths", "Paths in the table.", rs.paths);
    put_one(w, "underlay_rib_changes", METRIC_COUNTER, NULL, "Changes of a best path.", rs.version);
    put_one(w, "underlay_rib_attributes", METRIC_GAUGE, NULL, "Distinct sets of path attributes.",
            attr_table_count(s->attrs));
    begin(w, "underlay_rib_memory_bytes", METRIC_GAUGE, "bytes", "Memory of the table by part.");
    metrics_put(w, "part=\"prefixes\"", rs.table_bytes);
    metrics_put(w, "part=\"paths\"", rs.path_bytes);
    metrics_put(w, "part=\"index\"", rs.index_bytes);
    metrics_put(w, "part=\"attributes\"", attr_table_memory(s->attrs));
    metrics_put(w, "part=\"nexthops\"", nexthop_table_memory(s->nexthops));
    begin(w, "underlay_nexthops", METRIC_GAUGE, NULL, "Next hops that paths have.");
    metrics_put(w, "state=\"reachable\"", nh.nexthops - nh.unreachable);
    metrics_put(w, "state=\"unreachable\"", nh.unreachable);
    put_one(w, "underlay_nexthop_groups", METRIC_GAUGE, NULL, "Distinct sets of next hops that routes use.",
            nh.groups);
}

static void put_fib(struct metrics *w, const struct speaker *s)
{
    static const char *const states[] = {
        [FIB_PENDING] = "pending", [FIB_INSTALLED] = "installed", [FIB_FAILED] = "failed"};
    static const char *const reasons[FIB_REASON_COUNT] = {[FIB_REASON_CONNECTED] = "connected",
                                                          [FIB_REASON_CONFLICT] = "conflict",
                                                          [FIB_REASON_NEXTHOP] = "nexthop",
                                                          [FIB_REASON_PREFSRC] = "prefsrc",
                                                          [FIB_REASON_PERMISSION] = "permission",
                                                          [FIB_REASON_MEMORY] = "memory",
                                                          [FIB_REASON_OTHER] = "other"};
    struct rib_stats rs;
    struct fib_counts n;
    char labels[80];
    rib_stats(s->rib, &rs);
    fibclient_counts(s->fib, &n);
    begin(w, "underlay_fib_routes", METRIC_GAUGE, NULL,
          "Routes that the kernel should have, unreachable ones of pod CIDRs too, by what it says of them.");
    for (enum family f = 0; f < FAM_COUNT; f++)
        for (unsigned i = FIB_PENDING; i <= FIB_FAILED; i++) {
            snprintf(labels, sizeof labels, "afi=\"%s\",state=\"%s\"", family_name(f), states[i]);
            metrics_put(w, labels, rs.fib[f][i]);
        }
    begin(w, "underlay_fib_operations", METRIC_COUNTER, NULL, "Answers of the kernel to changes of routes.");
    metrics_put(w, "result=\"set\"", n.set);
    metrics_put(w, "result=\"deleted\"", n.deleted);
    metrics_put(w, "result=\"superseded\"", n.superseded);
    metrics_put(w, "result=\"failed\"", n.failures);
    begin(w, "underlay_fib_failures", METRIC_COUNTER, NULL,
          "Routes that the kernel did not take, by the reason.");
    for (unsigned i = 0; i < FIB_REASON_COUNT; i++) {
        snprintf(labels, sizeof labels, "reason=\"%s\"", reasons[i]);
        metrics_put(w, labels, n.failed_by[i]);
    }
    put_one(w, "underlay_fib_queue", METRIC_GAUGE, NULL, "Changes of routes that are not answered yet.",
            n.pending);
}

static void put_loop(struct metrics *w, const struct speaker *s)
{
    struct loop_stats l;
    char labels[32], text[32];
    loop_stats(s->loop, &l);
    begin(w, "underlay_loop_callback_seconds", METRIC_HISTOGRAM, "seconds",
          "What one piece of work took, which is what everything else waited.");
    for (unsigned i = 0; i <= LOOP_BUCKETS; i++) {
        if (i < LOOP_BUCKETS)
            snprintf(labels, sizeof labels, "le=\"%g\"", loop_bucket_us[i] / 1e6);
        else
            snprintf(labels, sizeof labels, "le=\"+Inf\"");
        snprintf(text, sizeof text, "%" PRIu64, i < LOOP_BUCKETS ? l.at_most[i] : l.callbacks);
        metrics_put_as(w, "_bucket", labels, text);
    }
    snprintf(text, sizeof text, "%" PRIu64 ".%06u", l.busy_us / 1000000, (unsigned)(l.busy_us % 1000000));
    metrics_put_as(w, "_sum", NULL, text);
    snprintf(text, sizeof text, "%" PRIu64, l.callbacks);
    metrics_put_as(w, "_count", NULL, text);
    begin(w, "underlay_loop_callback_longest_seconds", METRIC_GAUGE, "seconds",
          "The longest piece of work of the last one to two minutes.");
    metrics_put_milli(w, NULL, (l.longest_us + 999) / 1000);
    begin(w, "underlay_loop_timer_latest_seconds", METRIC_GAUGE, "seconds",
          "How much too late a timer ran at the worst, in the last one to two minutes.");
    metrics_put_milli(w, NULL, l.latest_ms);
}

static void put_config(struct metrics *w, const struct speaker *s)
{
    put_one(w, "underlay_config_last_reload_successful", METRIC_GAUGE, NULL,
            "1 when the last reload was applied, or there was none.", !s->reloads.last_refused);
    put_one(w, "underlay_config_last_reload_success_timestamp_seconds", METRIC_GAUGE, "seconds",
            "When the configuration in force was read, as Unix time.", (uint64_t)s->reloads.done_wall);
    begin(w, "underlay_config_reloads", METRIC_COUNTER, NULL, "Reloads since the speaker was started.");
    metrics_put(w, "result=\"applied\"", s->reloads.done);
    metrics_put(w, "result=\"refused\"", s->reloads.refused);
}

static void put_node(struct metrics *w, const struct speaker *s)
{
    struct sources_counts n;
    struct health_check checks[HEALTH_CHECKS];
    char labels[48];
    sources_counts(s->sources, &n);
    begin(w, "underlay_originated_prefixes", METRIC_GAUGE, NULL,
          "Prefixes that this node originates, by who wants them.");
    metrics_put(w, "source=\"pod-cidr\"", n.pod_cidrs);
    metrics_put(w, "source=\"vip\"", n.vips);
    metrics_put(w, "source=\"interface\"", n.interfaces);
    metrics_put(w, "source=\"command\"", n.commands);
    metrics_put(w, "source=\"kubernetes\"", n.kubernetes);
    put_one(w, "underlay_draining", METRIC_GAUGE, NULL,
            "0 not drained, 1 graceful shutdown is said, 2 what the node originates is withdrawn.",
            drain_phase(s->drain));
    put_one(w, "underlay_ready", METRIC_GAUGE, NULL, "1 when readyz says so.", health_ready(s, checks));
    begin(w, "underlay_ready_check", METRIC_GAUGE, NULL, "1 when this check of readyz holds.");
    for (unsigned i = 0; i < HEALTH_CHECKS; i++) {
        snprintf(labels, sizeof labels, "check=\"%s\"", checks[i].name);
        metrics_put(w, labels, checks[i].ok);
    }
}

static void put_build(struct metrics *w, const struct speaker *s)
{
    char labels[128], id[ADDR_STRLEN];
    const struct ip_addr router = {.af = AF_INET,
                                   .b = {(uint8_t)(s->router_id >> 24), (uint8_t)(s->router_id >> 16),
                                         (uint8_t)(s->router_id >> 8), (uint8_t)s->router_id}};
    begin(w, "underlay_build", METRIC_INFO, NULL, "The version that runs.");
    metrics_put(w, "version=\"" UNDERLAY_VERSION "\"", 1);
    begin(w, "underlay_router", METRIC_INFO, NULL, "Who this node is.");
    snprintf(labels, sizeof labels, "router_id=\"%s\",local_as=\"%" PRIu32 "\"", addr_format(&router, id),
             s->config->router.asn);
    metrics_put(w, labels, 1);
}

static void put_general(struct metrics *w, const struct speaker *s)
{
    put_build(w, s);
    metrics_process(w, s);
    put_node(w, s);
    metrics_kube(w, s);
    put_config(w, s);
    put_rib(w, s);
    put_fib(w, s);
    put_loop(w, s);
    put_one(w, "underlay_bgp_peers", METRIC_GAUGE, NULL, "Peers, dynamic ones included.",
            peer_set_count(s->peers));
}

/* The page */

static void drop_scrape(struct http_request *r)
{
    struct scrape *c = r->state;
    peer_samples_free(c->peers);
    free(c);
}

static bool start(struct http_request *r)
{
    struct scrape *c = calloc(1, sizeof *c);
    if (!c)
        return false;
    r->state = c;
    r->drop = drop_scrape;
    unsigned open = http_wants(r->accept, "application/openmetrics-text", "1.0.0"),
             text = http_wants(r->accept, "text/plain", "0.0.4");
    c->w = (struct metrics){.out = r->body, .openmetrics = *r->accept && open && open >= text};
    r->type = c->w.openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                               : "text/plain; version=0.0.4; charset=utf-8";
    c->peers = peer_samples_new(r->s);
    return c->peers;
}

enum http_result page_metrics(struct http_request *r)
{
    struct scrape *c = r->state;
    if (!c && !start(r)) {
        r->status = 503;
        return HTTP_DONE;
    }
    c = r->state;
    switch (c->at) {
    case TAKING:
        if (!peer_samples_take(c->peers))
            c->at = GENERAL;
        return HTTP_MORE;
    case GENERAL:
        put_general(&c->w, r->s);
        c->at = PEERS;
        return HTTP_MORE;
    default:
        if (peer_samples_write(c->peers, &c->w))
            return HTTP_MORE;
        if (c->w.openmetrics)
            evbuffer_add_printf(r->body, "# EOF\n");
        return HTTP_DONE;
    }
}
