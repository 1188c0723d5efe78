/* What there is to say of each peer: a table of columns, and a row of numbers a peer.
 *
 * A scrape takes all rows first, some hundred peers a turn, and writes them column by column then. It costs
 * half a kilobyte a peer while it lasts, and peer_info is called once for each and not once for each series.
 * The number of series follows from the number of peers; nothing here grows with routes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "control/metrics.h"
#include "fibmsg.h"
#include "loop.h"
#include "peer.h"
#include "speaker.h"

#define TAKE_STEP  200
#define WRITE_STEP 500
#define ABSENT     UINT64_MAX /* no sample */
#define LABELS     160

enum column {
    C_STATE,
    C_FSM,
    C_UPTIME,
    C_ESTABLISHED,
    C_DROPPED,
    C_RECEIVED,
    C_ACCEPTED = C_RECEIVED + FAM_COUNT,
    C_ADVERTISED = C_ACCEPTED + FAM_COUNT,
    C_STALE = C_ADVERTISED + FAM_COUNT,
    C_QUEUED = C_STALE + FAM_COUNT,
    C_LIMIT = C_QUEUED + FAM_COUNT,
    C_MESSAGES_IN = C_LIMIT + FAM_COUNT,
    C_MESSAGES_OUT = C_MESSAGES_IN + 5,
    C_ERRORS = C_MESSAGES_OUT + 5,
    C_INPUT = C_ERRORS + 2,
    C_OUTPUT,
    C_OVER,
    C_HOLD,
    C_RTT,
    C_RESET,
    C_CODE,
    C_SUBCODE,
    C_BFD_STATE,
    C_BFD_UPTIME,
    C_BFD_UPS,
    C_BFD_DOWNS,
    C_BFD_DETECTION,
    COLUMNS
};

struct row {
    uint32_t serial; /* of rib_peer: never given twice */
    char labels[LABELS];
    uint64_t v[COLUMNS];
};

struct peer_samples {
    const struct speaker *s;
    struct row **rows;
    unsigned n, room, next; /* next: peer to be looked at */
    unsigned family, column, at;
    bool bfd;                         /* there is a session of it */
    uint32_t starvations, starved_us; /* of its thread, as last told */
};

static const char *const per_family[] = {"afi=\"ipv4\",safi=\"unicast\"", "afi=\"ipv6\",safi=\"unicast\""};
static const char *const per_message[] = {"type=\"open\"", "type=\"update\"", "type=\"notification\"",
                                          "type=\"keepalive\"", "type=\"route_refresh\""};
static const char *const per_action[] = {"action=\"treat_as_withdraw\"", "action=\"attribute_discard\""};
static const char *const plain[] = {NULL};

/* In the order of the columns. */
#define P "underlay_bgp_peer_"
#define B "underlay_bfd_peer_"
static const struct {
    struct metric m;
    const char *const *labels;
    unsigned columns;
    bool milli;
} families[] = {
    {{P "state", METRIC_GAUGE, NULL, "State of the session: 1 established, 0 down, 2 administratively down."},
     plain,
     1,
     0},
    {{P "fsm_state", METRIC_GAUGE, NULL,
      "State of RFC 4271: 1 Idle, 2 Connect, 3 Active, 4 OpenSent, 5 OpenConfirm, 6 Established."},
     plain,
     1,
     0},
    {{P "uptime_seconds", METRIC_GAUGE, "seconds", "How long the session is established; 0 when it is down."},
     plain,
     1,
     1},
    {{P "connections_established", METRIC_COUNTER, NULL, "Sessions that came up."}, plain, 1, 0},
    {{P "connections_dropped", METRIC_COUNTER, NULL, "Established sessions that were lost."}, plain, 1, 0},
    {{P "prefixes_received", METRIC_GAUGE, NULL,
      "Paths held of this peer, filtered and stale ones included."},
     per_family,
     2,
     0},
    {{P "prefixes_accepted", METRIC_GAUGE, NULL, "Those of them that the import did not refuse."},
     per_family,
     2,
     0},
    {{P "prefixes_advertised", METRIC_GAUGE, NULL, "Paths that this peer has from us."}, per_family, 2, 0},
    {{P "prefixes_stale", METRIC_GAUGE, NULL, "Paths of an earlier session that graceful restart keeps."},
     per_family,
     2,
     0},
    {{P "prefixes_queued", METRIC_GAUGE, NULL, "Prefixes that this peer has yet to be told of."},
     per_family,
     2,
     0},
    {{P "prefixes_limit", METRIC_GAUGE, NULL,
      "The configured limit of received prefixes, where there is one."},
     per_family,
     2,
     0},
    {{P "message_received", METRIC_COUNTER, NULL, "Messages received."}, per_message, 5, 0},
    {{P "message_sent", METRIC_COUNTER, NULL, "Messages sent."}, per_message, 5, 0},
    {{P "update_errors", METRIC_COUNTER, NULL,
      "Errors in UPDATEs that cost less than the session, RFC 7606."},
     per_action,
     2,
     0},
    {{P "input_queue_bytes", METRIC_GAUGE, "bytes", "Bytes of an unfinished message."}, plain, 1, 0},
    {{P "output_queue_messages", METRIC_GAUGE, "messages", "Messages not yet taken by the kernel."},
     plain,
     1,
     0},
    {{P "over_limit", METRIC_GAUGE, NULL, "1 while the session is down for passing its limit of prefixes."},
     plain,
     1,
     0},
    {{P "hold_time_seconds", METRIC_GAUGE, "seconds", "The hold time, negotiated or as configured."},
     plain,
     1,
     1},
    {{P "rtt_seconds", METRIC_GAUGE, "seconds", "Round-trip time of the TCP connection."}, plain, 1, 1},
    {{P "last_reset_age_seconds", METRIC_GAUGE, "seconds",
      "How long ago the last session or attempt ended, where one has."},
     plain,
     1,
     1},
    {{P "last_error_code", METRIC_GAUGE, NULL,
      "Code of the last NOTIFICATION either way, RFC 4271 4.5; 0 none."},
     plain,
     1,
     0},
    {{P "last_error_subcode", METRIC_GAUGE, NULL, "Subcode of the last NOTIFICATION."}, plain, 1, 0},
    {{B "state", METRIC_GAUGE, NULL,
      "State of BFD with the peer, where it is configured: 1 up, 0 down, 2 shut down by either side."},
     plain,
     1,
     0},
    {{B "uptime_seconds", METRIC_GAUGE, "seconds", "How long BFD is up; 0 when it is down."}, plain, 1, 1},
    {{B "ups", METRIC_COUNTER, NULL, "Times that BFD came up."}, plain, 1, 0},
    {{B "downs", METRIC_COUNTER, NULL, "Times that BFD was up and went down."}, plain, 1, 0},
    {{B "detection_seconds", METRIC_GAUGE, "seconds",
      "The negotiated detection time: so long a silence is a failure."},
     plain,
     1,
     1},
};
#undef P
#undef B
#define FAMILIES (sizeof families / sizeof *families)

struct peer_samples *peer_samples_new(const struct speaker *s)
{
    struct peer_samples *p = calloc(1, sizeof *p);
    if (p)
        p->s = s;
    return p;
}

void peer_samples_free(struct peer_samples *p)
{
    for (unsigned i = 0; p && i < p->n; i++)
        free(p->rows[i]);
    if (p)
        free(p->rows);
    free(p);
}

static void fill_families(struct row *r, const struct peer *p)
{
    const struct peer_config *c = peer_config(p);
    const struct rib_peer *rib = peer_rib(p);
    for (enum family f = 0; f < FAM_COUNT; f++) {
        bool on = c->families[f];
        r->v[C_RECEIVED + f] = on ? rib->paths[f] : ABSENT;
        r->v[C_ACCEPTED + f] = on ? rib->accepted[f] : ABSENT;
        r->v[C_ADVERTISED + f] = on ? adjout_count(peer_adjout(p), f) : ABSENT;
        r->v[C_STALE + f] = on ? rib->stale[f] : ABSENT;
        r->v[C_QUEUED + f] = on ? adjout_queued(peer_adjout(p), f) : ABSENT;
        r->v[C_LIMIT + f] = on && c->max_prefixes.most[f] ? c->max_prefixes.most[f] : ABSENT;
    }
}

static void fill_bfd(struct row *r, const struct peer_info *i)
{
    const struct fm_bfd_state *st = i->bfd_state;
    uint64_t now = loop_now_ms();
    bool up = st && st->state == FM_BFD_UP;
    bool shut = st && (st->state == FM_BFD_ADMIN_DOWN || st->remote_state == FM_BFD_ADMIN_DOWN);

    for (unsigned c = C_BFD_STATE; c <= C_BFD_DETECTION; c++)
        r->v[c] = i->bfd ? 0 : ABSENT;
    if (!i->bfd || !st)
        return;
    r->v[C_BFD_STATE] = up ? 1 : shut ? 2 : 0;
    r->v[C_BFD_UPTIME] = up && now > st->since_ms ? now - st->since_ms : 0;
    r->v[C_BFD_UPS] = st->ups;
    r->v[C_BFD_DOWNS] = st->downs;
    r->v[C_BFD_DETECTION] = st->detection_us / 1000;
}

/* Of the one thread that all sessions have; who was told last knows most. */
static void note_starvation(struct peer_samples *p, const struct fm_bfd_state *st)
{
    p->bfd = true;
    if (st->starvations > p->starvations)
        p->starvations = st->starvations;
    if (st->starved_us > p->starved_us)
        p->starved_us = st->starved_us;
}

static void fill(struct peer_samples *s, struct row *r, const struct peer *p)
{
    struct peer_info i;
    char name[LABELS - 40];
    peer_info(p, &i);
    bool up = i.state == PEER_ESTABLISHED;
    r->serial = peer_rib(p)->serial;
    snprintf(r->labels, sizeof r->labels, "peer=\"%s\",peer_as=\"%u\"",
             metrics_label(peer_name(p), name, sizeof name), i.remote_as);
    r->v[C_STATE] = i.admin_down ? 2 : up;
    r->v[C_FSM] = i.state - PEER_IDLE + 1u;
    r->v[C_UPTIME] = up ? i.up_ms : 0;
    r->v[C_ESTABLISHED] = i.established_count;
    r->v[C_DROPPED] = i.dropped_count;
    fill_families(r, p);
    fill_bfd(r, &i);
    if (i.bfd_state)
        note_starvation(s, i.bfd_state);
    const struct peer_stats *n = &i.stats;
    const uint64_t in[] = {n->opens_in, n->updates_in, n->notifications_in, n->keepalives_in,
                           n->refreshes_in};
    const uint64_t out[] = {n->opens_out, n->updates_out, n->notifications_out, n->keepalives_out,
                            n->refreshes_out};
    memcpy(&r->v[C_MESSAGES_IN], in, sizeof in);
    memcpy(&r->v[C_MESSAGES_OUT], out, sizeof out);
    r->v[C_ERRORS] = n->treat_as_withdraw;
    r->v[C_ERRORS + 1] = n->attr_discard;
    r->v[C_INPUT] = i.inq;
    r->v[C_OUTPUT] = i.outq;
    r->v[C_OVER] = i.over_limit;
    r->v[C_HOLD] = i.hold_ms;
    r->v[C_RTT] = up ? i.rtt_ms : ABSENT;
    r->v[C_RESET] = i.last_reset_ms ? i.last_reset_ms : ABSENT;
    r->v[C_CODE] = i.last_error.code;
    r->v[C_SUBCODE] = i.last_error.subcode;
}

static int by_serial(const void *a, const void *b)
{
    const struct row *const *x = a, *const *y = b;
    return ((*x)->serial > (*y)->serial) - ((*x)->serial < (*y)->serial);
}

/* Peers that came and went between two turns may have moved others to where they were met again. */
static void drop_doubles(struct peer_samples *p)
{
    unsigned n = 0;
    if (p->n <= TAKE_STEP)
        return;
    qsort(p->rows, p->n, sizeof *p->rows, by_serial);
    for (unsigned i = 0; i < p->n; i++)
        if (n && p->rows[n - 1]->serial == p->rows[i]->serial)
            free(p->rows[i]);
        else
            p->rows[n++] = p->rows[i];
    p->n = n;
}

bool peer_samples_take(struct peer_samples *p)
{
    unsigned count = peer_set_count(p->s->peers), end = p->next + TAKE_STEP;
    if (p->n + TAKE_STEP > p->room) {
        unsigned room = p->room ? 2 * p->room : TAKE_STEP;
        struct row **grown = realloc(p->rows, room * sizeof *grown);
        if (!grown)
            return false; /* what there is */
        p->rows = grown;
        p->room = room;
    }
    for (; p->next < count && p->next < end; p->next++) {
        struct row *r = calloc(1, sizeof *r);
        if (!r)
            return false;
        fill(p, r, peer_set_at(p->s->peers, p->next));
        p->rows[p->n++] = r;
    }
    if (p->next < count)
        return true;
    drop_doubles(p);
    return false;
}

static void write_row(const struct row *r, unsigned family, unsigned column, struct metrics *w)
{
    char labels[LABELS + 64];
    for (unsigned i = 0; i < families[family].columns; i++) {
        const char *more = families[family].labels[i];
        uint64_t v = r->v[column + i];
        if (v == ABSENT)
            continue;
        snprintf(labels, sizeof labels, "%s%s%s", r->labels, more ? "," : "", more ? more : "");
        if (families[family].milli)
            metrics_put_milli(w, labels, v);
        else
            metrics_put(w, labels, v);
    }
}

static void write_starvation(struct peer_samples *p, struct metrics *w)
{
    metrics_family(
        w, &(struct metric){"underlay_bfd_starvations", METRIC_COUNTER, NULL,
                            "Times that BFD was let to run late by half of its shortest interval or more."});
    metrics_put(w, NULL, p->starvations);
    metrics_family(w, &(struct metric){"underlay_bfd_longest_starvation_seconds", METRIC_GAUGE, "seconds",
                                       "The longest that it was late."});
    metrics_put_milli(w, NULL, (p->starved_us + 999) / 1000);
}

bool peer_samples_write(struct peer_samples *p, struct metrics *w)
{
    for (unsigned budget = WRITE_STEP; budget && p->family < FAMILIES; budget--) {
        if (p->n && !p->at)
            metrics_family(w, &families[p->family].m);
        if (p->n)
            write_row(p->rows[p->at++], p->family, p->column, w);
        if (p->at < p->n)
            continue;
        p->at = 0;
        p->column += families[p->family++].columns;
    }
    if (p->family < FAMILIES)
        return true;
    if (p->bfd)
        write_starvation(p, w);
    return false;
}
