/* show bfd peers: the sessions of BFD as the parent last told them, in the names and words of FRR's bfdd, as
 * are those of its two shorter forms, brief (whose JSON is that of the long one) and counters; and
 * the lines about BFD of show bgp neighbors. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/show.h"
#include "control/show_neighbors.h"
#include "fibclient.h"
#include "lib/bfd_name.h"
#include "loop.h"
#include "speaker.h"

static uint64_t age_ms(const struct fm_bfd_state *st)
{
    uint64_t now = loop_now_ms();
    return st->since_ms && now > st->since_ms ? now - st->since_ms : 0;
}

static struct ip_addr local_of(const struct peer_info *i)
{
    static const uint8_t none[16];
    const uint8_t *b =
        i->bfd_state && memcmp(i->bfd_state->local, none, sizeof none) ? i->bfd_state->local : i->bfd->local;
    return memcmp(b, none, sizeof none) ? addr_from_bytes(i->bfd->peer.af, b) : (struct ip_addr){0};
}

static void json_remote(struct writer *w, const struct fm_bfd_state *st)
{
    writer_uint(w, "remote-receive-interval", st->remote_rx_us / 1000);
    writer_uint(w, "remote-transmit-interval", st->remote_tx_us / 1000);
    writer_uint(w, "remote-detect-multiplier", st->remote_multiplier);
    writer_bool(w, "remoteControlPlaneIndependent", st->flags & FM_BFD_REMOTE_CPI);
}

/* As the parent told it; down, as long as it has not. */
static const struct fm_bfd_state *state_of(const struct peer_info *i)
{
    static const struct fm_bfd_state untold = {.state = FM_BFD_DOWN, .remote_state = FM_BFD_DOWN};
    return i->bfd_state ? i->bfd_state : &untold;
}

/* Which session it is. */
static void json_name(struct exec *e, const struct peer_info *i)
{
    struct ip_addr peer = addr_from_bytes(i->bfd->peer.af, i->bfd->peer.addr), local = local_of(i);
    const struct fib_address *own = fibclient_subnet_of(e->s->fib, &peer, i->bfd->peer.scope);
    bool multihop = i->bfd->flags & FM_BFD_MULTIHOP;
    const struct fib_link *link =
        multihop ? NULL : fibclient_link(e->s->fib, own ? own->ifindex : i->bfd->peer.scope);
    struct writer *w = e->w;

    writer_bool(w, "multihop", multihop);
    writer_addr(w, "peer", &peer);
    if (local.af)
        writer_addr(w, "local", &local);
    writer_str(w, "vrf", "default");
    if (link)
        writer_str(w, "interface", link->name);
}

static void json_session(struct exec *e, const struct peer *p, const struct peer_info *i)
{
    const struct fm_bfd_state *st = state_of(i);
    struct writer *w = e->w;

    writer_object(w, NULL);
    json_name(e, i);
    writer_uint(w, "id", st->discriminator);
    writer_uint(w, "remote-id", st->remote_discriminator);
    writer_bool(w, "passive-mode", false);
    writer_str(w, "status", bfd_state_name(st->state));
    if (st->state == FM_BFD_UP)
        writer_uint(w, "uptime", age_ms(st) / 1000);
    else if (st->state == FM_BFD_DOWN && st->since_ms)
        writer_uint(w, "downtime", age_ms(st) / 1000);
    writer_str(w, "diagnostic", bfd_diag_name(st->diag));
    writer_str(w, "remote-diagnostic", bfd_diag_name(st->remote_diag));
    writer_uint(w, "receive-interval", i->bfd->interval_us / 1000);
    writer_uint(w, "transmit-interval", i->bfd->interval_us / 1000);
    writer_uint(w, "detect-multiplier", i->bfd->multiplier);
    json_remote(w, st);
    writer_uint(w, "detection-time", st->detection_us / 1000);
    if (i->bfd->flags & FM_BFD_MULTIHOP)
        writer_uint(w, "minimum-ttl", i->bfd->min_ttl);
    writer_str(w, "bgpPeer", peer_name(p));
    writer_bool(w, "strict", peer_config(p)->bfd.strict);
    writer_uint(w, "sessionUps", st->ups);
    writer_uint(w, "sessionDowns", st->downs);
    writer_uint(w, "starvations", st->starvations);
    writer_uint(w, "longestStarvationMsecs", (st->starved_us + 999) / 1000);
    if (st->error)
        writer_str(w, "error", strerror(-st->error));
    writer_end(w);
}

/* "300 ms", "1.5 ms" */
static const char *ms(uint32_t us, char buf[24])
{
    if (!us)
        return "-";
    if (us % 1000)
        snprintf(buf, 24, "%.1f ms", us / 1000.0);
    else
        snprintf(buf, 24, "%" PRIu32 " ms", us / 1000);
    return buf;
}

/* Why it is not up, or what is worth knowing about one that is. */
static void remark(const struct peer_info *i, char *buf, size_t size)
{
    const struct fm_bfd_state *st = i->bfd_state;
    char hint[120];

    *buf = 0;
    if (!st) {
        snprintf(buf, size, "being set up");
    } else if (st->error) {
        bfd_error_hint(st->error, hint, sizeof hint);
        snprintf(buf, size, "cannot run: %s%s%s", strerror(-st->error), *hint ? "; check: " : "", hint);
    } else if (st->state == FM_BFD_UP) {
        return;
    } else if (st->remote_state == FM_BFD_ADMIN_DOWN) {
        snprintf(buf, size, "the peer has shut it down");
    } else if (st->diag) {
        snprintf(buf, size, "%s", bfd_diag_name(st->diag));
    } else if (!st->ups && i->bfd->min_ttl > 1 && i->bfd->flags & FM_BFD_MULTIHOP) {
        snprintf(buf, size, "nothing heard from the peer yet with a TTL of %u or more (`multihop`)",
                 (unsigned)i->bfd->min_ttl);
    } else if (!st->ups) {
        snprintf(buf, size, "nothing heard from the peer yet");
    }
}

static bool text_row(struct table *t, const struct peer *p, const struct peer_info *i)
{
    const struct fm_bfd_state *st = i->bfd_state;
    char up[UPTIME_STRLEN], tx[24], rx[24], detection[24];
    uint32_t sends = st ? st->tx_us : 0, hears = st ? st->rx_us : 0;

    /* RFC 5880 6.8.7 and 6.8.4: the slower of the two sides, each way. */
    if (st && st->remote_rx_us > sends)
        sends = st->remote_rx_us;
    if (st && st->remote_tx_us > hears)
        hears = st->remote_tx_us;
    return table_add(t,
                     (const char *[]){peer_name(p), st ? bfd_state_name(st->state) : "-",
                                      st && st->since_ms ? show_uptime(age_ms(st), up) : "-", ms(sends, tx),
                                      ms(hears, rx), ms(st ? st->detection_us : 0, detection),
                                      i->bfd->flags & FM_BFD_MULTIHOP ? "multi" : "single"});
}

/* What the table has no room for. */
static void text_remarks(struct exec *e)
{
    char why[TABLE_CELL], line[TABLE_CELL + 80];
    struct peer_info i;
    bool first = true;

    for (unsigned k = 0; !writer_json(e->w) && k < peer_set_count(e->s->peers); k++) {
        const struct peer *p = peer_set_at(e->s->peers, k);
        peer_info(p, &i);
        if (!i.bfd)
            continue;
        remark(&i, why, sizeof why);
        if (!*why)
            continue;
        snprintf(line, sizeof line, "%s: %s", peer_name(p), why);
        writer_text(e->w, "%s", first ? "\n" : "");
        show_wrap(e->w, 0, 2, line);
        first = false;
    }
}

static void text_starvation(struct writer *w, const struct fm_bfd_state *st)
{
    char line[200], text[24];
    if (!st || !st->starvations)
        return;
    snprintf(line, sizeof line,
             "This host did not let BFD run in time: %" PRIu32
             " time%s, for %s at the longest. No peer is called dead for that.",
             st->starvations, st->starvations == 1 ? "" : "s", ms(st->starved_us, text));
    writer_text(w, "\n");
    show_wrap(w, 0, 0, line);
}

/* As bfdd's: by discriminator and addresses. */
static bool brief_row(struct table *t, const struct peer *p, const struct peer_info *i)
{
    const struct fm_bfd_state *st = i->bfd_state;
    struct ip_addr peer = addr_from_bytes(i->bfd->peer.af, i->bfd->peer.addr), local = local_of(i);
    char id[16] = "-", from[ADDR_STRLEN] = "-", to[ADDR_STRLEN];

    (void)p;
    if (st)
        snprintf(id, sizeof id, "%" PRIu32, st->discriminator);
    if (local.af)
        addr_format(&local, from);
    return table_add(
        t, (const char *[]){id, from, addr_format(&peer, to), st ? bfd_state_name(st->state) : "-"});
}

static bool counters_row(struct table *t, const struct peer *p, const struct peer_info *i)
{
    const struct fm_bfd_state *st = state_of(i);
    char in[24], out[24], ups[16], downs[16];

    snprintf(in, sizeof in, "%" PRIu64, st->packets_in);
    snprintf(out, sizeof out, "%" PRIu64, st->packets_out);
    snprintf(ups, sizeof ups, "%" PRIu32, st->ups);
    snprintf(downs, sizeof downs, "%" PRIu32, st->downs);
    return table_add(t, (const char *[]){peer_name(p), in, out, ups, downs});
}

static void json_counters(struct exec *e, const struct peer *p, const struct peer_info *i)
{
    const struct fm_bfd_state *st = state_of(i);
    struct writer *w = e->w;

    writer_object(w, NULL);
    json_name(e, i);
    writer_uint(w, "control-packet-input", st->packets_in);
    writer_uint(w, "control-packet-output", st->packets_out);
    writer_uint(w, "echo-packet-input", 0); /* asynchronous mode has none */
    writer_uint(w, "echo-packet-output", 0);
    writer_uint(w, "session-up", st->ups);
    writer_uint(w, "session-down", st->downs);
    writer_str(w, "bgpPeer", peer_name(p));
    writer_end(w);
}

static const struct view {
    unsigned columns;
    const char *heading[TABLE_COLUMNS];
    bool (*row)(struct table *t, const struct peer *p, const struct peer_info *i);
    void (*json)(struct exec *e, const struct peer *p, const struct peer_info *i);
} full = {7,
          {"Neighbor", "Status", "Since", "Sends each", "Hears each", "Detection", "Hops"},
          text_row,
          json_session},
  brief = {4, {"SessionId", "LocalAddress", "PeerAddress", "Status"}, brief_row, json_session},
  counters = {5, {"Neighbor", "Packets in", "Packets out", "Ups", "Downs"}, counters_row, json_counters};

enum exec_result show_bfd_peers(struct exec *e)
{
    const struct view *v = command_has(e->cmd, "brief")      ? &brief
                           : command_has(e->cmd, "counters") ? &counters
                                                             : &full;
    struct table t = {.columns = v->columns};
    const struct fm_bfd_state *last = NULL;
    struct peer_info i;
    bool ok = writer_json(e->w) || table_add(&t, v->heading);

    writer_array(e->w, NULL);
    for (unsigned k = 0; ok && k < peer_set_count(e->s->peers); k++) {
        const struct peer *p = peer_set_at(e->s->peers, k);
        peer_info(p, &i);
        if (!i.bfd)
            continue;
        if (i.bfd_state && (!last || i.bfd_state->starvations > last->starvations))
            last = i.bfd_state;
        if (writer_json(e->w))
            v->json(e, p, &i);
        else
            ok = v->row(&t, p, &i);
    }
    writer_end(e->w);
    if (v == &brief && t.rows)
        writer_text(e->w, "Session count: %u\n", t.rows - 1);
    if (t.rows > 1)
        table_print(&t, e->w);
    else if (t.rows == 1)
        writer_text(e->w, "No BFD sessions: no peer that is wanted has `bfd`\n");
    free(t.cells);
    if (v == &full) {
        text_remarks(e);
        text_starvation(e->w, last);
    }
    return EXEC_DONE;
}

/* show bgp neighbors, as bgpd of FRR has it. */

static const char *status_word(const struct peer_info *i)
{
    if (!i->bfd_state)
        return "Unknown";
    return i->bfd_state->state == FM_BFD_UP           ? "Up"
           : i->bfd_state->state == FM_BFD_ADMIN_DOWN ? "Admin Down"
                                                      : "Down";
}

static const char *last_update(const struct peer_info *i, char buf[32])
{
    uint64_t s = i->bfd_state ? age_ms(i->bfd_state) / 1000 : 0;
    if (!i->bfd_state || !i->bfd_state->since_ms)
        return "never";
    snprintf(buf, 32, "%" PRIu64 ":%02u:%02u:%02u", s / 86400, (unsigned)(s / 3600 % 24),
             (unsigned)(s / 60 % 60), (unsigned)(s % 60));
    return buf;
}

void text_bfd(struct writer *w, const struct peer *p, const struct peer_info *i)
{
    const struct peer_config *c = peer_config(p);
    char text[32], why[TABLE_CELL];

    if (!i->bfd)
        return;
    writer_text(w, "  BFD: Type: %s%s\n", i->bfd->flags & FM_BFD_MULTIHOP ? "multi hop" : "single hop",
                c->bfd.strict ? ", strict" : "");
    writer_text(w, "  Detect Multiplier: %u, Min Rx interval: %" PRIu32 ", Min Tx interval: %" PRIu32 "\n",
                (unsigned)c->bfd.multiplier, c->bfd.interval_ms, c->bfd.interval_ms);
    writer_text(w, "  Status: %s, Last update: %s\n", status_word(i), last_update(i, text));
    remark(i, why, sizeof why);
    if (*why) {
        writer_text(w, "  Not up: ");
        show_wrap(w, 10, 10, why);
    }
}

void json_bfd(struct writer *w, const struct peer *p, const struct peer_info *i)
{
    const struct peer_config *c = peer_config(p);
    char text[32], why[TABLE_CELL];

    if (!i->bfd)
        return;
    writer_object(w, "peerBfdInfo");
    writer_str(w, "type", i->bfd->flags & FM_BFD_MULTIHOP ? "multi hop" : "single hop");
    writer_uint(w, "detectMultiplier", c->bfd.multiplier);
    writer_uint(w, "rxMinInterval", c->bfd.interval_ms);
    writer_uint(w, "txMinInterval", c->bfd.interval_ms);
    writer_str(w, "status", status_word(i));
    writer_str(w, "lastUpdate", last_update(i, text));
    writer_bool(w, "strict", c->bfd.strict);
    remark(i, why, sizeof why);
    if (*why)
        writer_str(w, "notUpBecause", why);
    writer_end(w);
}
