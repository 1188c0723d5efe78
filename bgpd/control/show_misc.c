/* show running-config, show memory, show version. */
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/http.h"
#include "control/show.h"
#include "control/state.h"
#include "drain.h"
#include "fibclient.h"
#include "handover.h"
#include "loop.h"
#include "speaker.h"

#define FEW_PREFIXES 10000 /* with fewer, room taken ahead is most of what the table has */

static void comment_line(void *arg, const char *line)
{
    struct exec *e = arg;
    if (!e->state) {
        writer_text(e->w, "\n# Changed by commands; kept over restarts, not part of the configuration:\n");
        e->state = calloc(1, 1); /* the heading is out */
    }
    writer_text(e->w, "#   %s\n", line);
}

static void json_line(void *arg, const char *line)
{
    writer_str(((struct exec *)arg)->w, NULL, line);
}

enum exec_result show_running(struct exec *e)
{
    char *text = config_print(e->s->config);
    if (!text)
        return exec_fail(e, STATUS_REFUSED, "out of memory");
    writer_object(e->w, NULL);
    writer_str(e->w, "file", e->s->config_name);
    writer_str(e->w, "config", text);
    writer_array(e->w, "commands");
    if (writer_json(e->w)) {
        state_each_line(e->s, json_line, e);
    } else {
        writer_text(e->w, "# %s as in force; secrets and defaults are not shown\n%s", e->s->config_name,
                    text);
        state_each_line(e->s, comment_line, e);
        free(e->state);
        e->state = NULL;
    }
    writer_end(e->w);
    writer_end(e->w);
    free(text);
    return EXEC_DONE;
}

/* A row of /proc/self/smaps_rollup in bytes; 0 when the kernel does not say. */
static uint64_t process_bytes(const char *name)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "re");
    char line[256];
    uint64_t kib = 0;
    size_t n = strlen(name);
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, name, n) && line[n] == ':')
            kib = strtoull(line + n + 1, NULL, 10);
    if (f)
        fclose(f);
    return kib * 1024;
}

static void put_memory(struct writer *w, const char *key, const char *label, uint64_t count, bool counted,
                       uint64_t bytes)
{
    writer_object(w, key);
    if (counted) {
        writer_uint(w, "count", count);
        writer_text(w, "%-28s %12" PRIu64 " %15" PRIu64 "\n", label, count, bytes);
    } else {
        writer_text(w, "%-28s %12s %15" PRIu64 "\n", label, "", bytes);
    }
    writer_uint(w, "bytes", bytes);
    writer_end(w);
}

static void put_peer_memory(struct exec *e)
{
    struct writer *w = e->w;
    uint64_t adjout = 0;
    unsigned n = peer_set_count(e->s->peers);
    for (unsigned i = 0; i < n; i++)
        adjout += adjout_memory(peer_adjout(peer_set_at(e->s->peers, i)));
    put_memory(w, "adjRibOut", "Adj-RIB-Out", 0, false, adjout);
    writer_object(w, "peers");
    for (unsigned i = 0; i < n; i++) {
        const struct peer *p = peer_set_at(e->s->peers, i);
        char label[64];
        snprintf(label, sizeof label, "Peer %s", peer_name(p));
        put_memory(w, peer_name(p), label, 0, false, peer_memory(p));
    }
    writer_end(w);
}

enum exec_result show_memory(struct exec *e)
{
    struct writer *w = e->w;
    struct speaker *s = e->s;
    struct rib_stats rs;
    rib_stats(s->rib, &rs);
    uint64_t prefixes = (uint64_t)rs.prefixes[FAM_IPV4] + rs.prefixes[FAM_IPV6];
    uint64_t paths = (uint64_t)rs.paths[FAM_IPV4] + rs.paths[FAM_IPV6];
    uint64_t pss = process_bytes("Pss"), rss = process_bytes("Rss");
    writer_object(w, NULL);
    writer_text(w, "%-28s %12s %15s\n", "Speaker", "Count", "Bytes");
    put_memory(w, "prefixes", "Prefixes", prefixes, true, rs.table_bytes);
    put_memory(w, "paths", "Paths", paths, true, rs.path_bytes);
    put_memory(w, "index", "Index", 0, false, rs.index_bytes);
    put_memory(w, "attributes", "Path attributes", attr_table_count(s->attrs), true,
               attr_table_memory(s->attrs));
    put_memory(w, "nexthops", "Next hops and groups", 0, false, nexthop_table_memory(s->nexthops));
    put_memory(w, "fib", "FIB client", 0, false, fibclient_memory(s->fib));
    put_peer_memory(e);
    uint64_t table = rs.table_bytes + rs.path_bytes + rs.index_bytes;
    if (prefixes)
        writer_uint(w, "bytesPerPrefix", table / prefixes);
    if (prefixes >= FEW_PREFIXES) {
        writer_text(w, "\nTable without attributes: %" PRIu64 " bytes a prefix\n", table / prefixes);
    }
    writer_object(w, "process");
    writer_uint(w, "rss", rss);
    writer_uint(w, "pss", pss);
    writer_text(w, "\nSpeaker process: RSS %" PRIu64 " KiB, PSS %" PRIu64 " KiB\n", rss / 1024, pss / 1024);
    writer_end(w);
    writer_end(w);
    return EXEC_DONE;
}

void show_drain(struct exec *e)
{
    const struct drain *d = e->s->drain;
    enum drain_phase phase = drain_phase(d);
    uint64_t left = drain_left_ms(d);
    char text[100];
    if (phase == DRAIN_OFF)
        return;
    writer_text(e->w, "Draining: %s\n", drain_text(d, text, sizeof text));
    writer_object(e->w, "draining");
    writer_str(e->w, "state", phase == DRAIN_WITHDRAWN ? "withdrawn" : "gracefulShutdown");
    if (phase == DRAIN_SHUTDOWN && left != DRAIN_NEVER)
        writer_uint(e->w, "withdrawalTimerMsecs", left);
    writer_end(e->w);
}

/* Of the HTTP listener. */
static void show_listener(struct exec *e)
{
    const struct endpoint *at = &e->s->config->metrics.listen;
    char addr[ADDR_STRLEN], text[ADDR_STRLEN + 8];
    int error = http_error(e->s->http);
    if (!at->port)
        return;
    snprintf(text, sizeof text, at->addr.af == AF_INET6 ? "[%s]:%u" : "%s:%u", addr_format(&at->addr, addr),
             at->port);
    writer_text(e->w, "metrics at http://%s/metrics%s%s\n", text, error ? " are off: " : "",
                error ? strerror(-error) : "");
    writer_object(e->w, "metrics");
    writer_str(e->w, "listen", text);
    writer_str(e->w, "error", error ? strerror(-error) : "");
    writer_end(e->w);
}

static void show_restart(struct exec *e)
{
    const struct handover_arrival *a = speaker_handover_arrival(e->s);
    if (!a->planned)
        return;
    writer_text(e->w, "planned restart: %u of %u sessions taken over", a->taken, a->sessions);
    if (a->ended)
        writer_text(e->w, ", %u ended for a changed configuration", a->ended);
    writer_text(e->w, "\n");
    if (a->wrong)
        writer_text(e->w, "what was handed over cannot be used: %s\n", a->wrong);
    writer_object(e->w, "plannedRestart");
    writer_uint(e->w, "sessions", a->sessions);
    writer_uint(e->w, "sessionsTakenOver", a->taken);
    writer_uint(e->w, "sessionsEnded", a->ended);
    writer_str(e->w, "error", a->wrong ? a->wrong : "");
    writer_end(e->w);
}

enum exec_result show_version(struct exec *e)
{
    char up[UPTIME_STRLEN], id[ADDR_STRLEN];
    uint64_t ms = loop_now_ms() - e->s->started_ms;
    show_router_id(e->s->router_id, id);
    writer_object(e->w, NULL);
    writer_str(e->w, "version", UNDERLAY_VERSION);
    writer_uint(e->w, "uptimeMsec", ms);
    writer_str(e->w, "uptimeString", show_uptime(ms, up));
    writer_int(e->w, "pid", getpid());
    writer_str(e->w, "routerId", id);
    writer_uint(e->w, "localAS", e->s->config->router.asn);
    writer_str(e->w, "configFile", e->s->config_name);
    writer_str(e->w, "libevent", event_get_version());
    writer_text(e->w, "underlay %s, libevent %s\nspeaker up for %s, pid %d, router ID %s, AS %" PRIu32 "\n",
                UNDERLAY_VERSION, event_get_version(), up, (int)getpid(), id, e->s->config->router.asn);
    show_restart(e);
    show_listener(e);
    show_drain(e);
    writer_end(e->w);
    return EXEC_DONE;
}
