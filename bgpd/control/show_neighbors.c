/* show bgp neighbors as text, in FRR's words, plus what FRR leaves to be guessed: why a session is not up and
 * why a family is missing. The JSON of the same snapshot is in show_neighbors_json.c. One peer a step. */
#include "control/show_neighbors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/show.h"
#include "lib/text.h"
#include "loop.h"
#include "speaker.h"

/* The rows of capabilities that both renderings show. */
static bool has_multiprotocol(const struct capabilities *c, enum family f)
{
    return c->family[f];
}
static bool has_refresh(const struct capabilities *c, enum family f)
{
    (void)f;
    return c->route_refresh;
}
static bool has_enhanced_refresh(const struct capabilities *c, enum family f)
{
    (void)f;
    return c->enhanced_refresh;
}
static bool has_as4(const struct capabilities *c, enum family f)
{
    (void)f;
    return c->as4;
}
static bool has_extended_message(const struct capabilities *c, enum family f)
{
    (void)f;
    return c->extended_message;
}
static bool has_graceful_restart(const struct capabilities *c, enum family f)
{
    (void)f;
    return c->graceful_restart;
}
static bool has_extended_nexthop(const struct capabilities *c, enum family f)
{
    (void)f;
    return c->extended_nexthop[FAM_IPV4] || c->extended_nexthop[FAM_IPV6];
}
static bool has_long_lived_gr(const struct capabilities *c, enum family f)
{
    (void)f;
    return c->long_lived_gr;
}
static bool has_role(const struct capabilities *c, enum family f)
{
    (void)f;
    return c->has_role;
}

const struct capability_row capability_rows[] = {
    {"4byteAs", "4 Byte AS", has_as4, false},
    {"extendedMessage", "Extended Message", has_extended_message, false},
    {"routeRefresh", "Route refresh", has_refresh, false},
    {"enhancedRouteRefresh", "Enhanced Route Refresh", has_enhanced_refresh, false},
    {"gracefulRestart", "Graceful Restart", has_graceful_restart, false},
    {"longLivedGracefulRestart", "Long-lived Graceful Restart", has_long_lived_gr, false},
    {"extendedNexthop", "Extended nexthop", has_extended_nexthop, false},
    {"role", "Role", has_role, false},
    {"multiprotocolExtensions", "Address Family", has_multiprotocol, true},
    {NULL, NULL, NULL, false},
};

static const char *sides(bool sent, bool received, bool json)
{
    if (sent && received)
        return json ? "advertisedAndReceived" : "advertised and received";
    return sent ? "advertised" : received ? "received" : NULL;
}

const char *capability_sides(const struct peer_info *i, const struct capability_row *row, enum family f,
                             bool json)
{
    return sides(row->has(&i->sent, f), i->caps_valid && row->has(&i->received, f), json);
}

static const char *yes_no(bool v)
{
    return v ? "sent" : "not sent";
}

/* What to look at, and when it goes on. */
static void text_what_next(struct writer *w, const struct peer *p, const struct peer_info *i)
{
    const char *hint = show_peer_hint(p, i);
    char seconds[24];
    if (*hint) {
        writer_text(w, "  Check: ");
        show_wrap(w, 9, 9, hint);
    }
    if (i->admin_down)
        return;
    if (i->over_limit && i->limit_ms)
        writer_text(w, "  Next attempt: in %s, restart-after of max-prefixes\n",
                    show_seconds(i->limit_ms, seconds));
    else if (i->over_limit)
        writer_text(w, "  Next attempt: after `clear bgp %s`\n", peer_name(p));
    else if (i->idle_hold_ms)
        writer_text(w, "  Next attempt: in %s, after the pause that follows an error\n",
                    show_seconds(i->idle_hold_ms, seconds));
    else if (i->connect_retry_ms)
        writer_text(w, "  Next attempt: in %s\n", show_seconds(i->connect_retry_ms, seconds));
    else if (i->waits_for_bfd)
        writer_text(w, "  Next attempt: as soon as BFD is up\n");
    else if (i->waiting)
        writer_text(w, "  Next attempt: as soon as %s\n",
                    i->interface ? "that has changed" : "there is such a subnet");
    else if (peer_config(p)->passive && i->state < PEER_OPEN_SENT)
        writer_text(w, "  Next attempt: the peer's; it is passive here\n");
}

static void text_head(struct exec *e, const struct peer *p, const struct peer_info *i)
{
    struct writer *w = e->w;
    char id[PREFIX_STRLEN], up[UPTIME_STRLEN], why[256];
    char as[16] = "not known yet", line[160], where[ADDR_STRLEN + 32], address[ADDR_STRLEN];
    if (i->remote_as)
        snprintf(as, sizeof as, "%" PRIu32, i->remote_as);
    snprintf(where, sizeof where, "is %s", peer_name(p));
    if (i->interface)
        snprintf(where, sizeof where, "on %s: %s", i->interface,
                 i->neighbor.af ? addr_format(&i->neighbor, address) : "None");
    snprintf(line, sizeof line, "BGP neighbor %s, remote AS %s, local AS %" PRIu32 ", %s link", where, as,
             i->local_as, i->ibgp ? "internal" : "external");
    show_wrap(w, 0, 2, line);
    if (*peer_config(p)->description) {
        writer_text(w, " Description: ");
        show_wrap(w, 14, 14, peer_config(p)->description);
    }
    if (peer_config(p)->kind == PEER_BY_RANGE)
        writer_text(w, " Belongs to the subnet range group: %s\n", prefix_format(&peer_config(p)->range, id));
    if (show_given(i->hostname))
        writer_text(w, " Hostname: %s%s%s\n", i->hostname, show_given(i->domain) ? "." : "", i->domain);
    if (i->admin_down)
        writer_text(w, " Administratively shut down\n");
    if (i->local_role != ROLE_NONE || i->remote_role != ROLE_NONE)
        writer_text(w, "  Local Role: %s, Remote Role: %s\n", role_name(i->local_role),
                    role_name(i->remote_role));
    writer_text(w, "  BGP version 4, remote router ID %s, ", show_router_id(i->remote_id, id));
    writer_text(w, "local router ID %s\n", show_router_id(i->local_id, id));
    writer_text(w, "  BGP state = %s", show_peer_state(i));
    if (i->state == PEER_ESTABLISHED)
        writer_text(w, ", up for %s\n", show_uptime(i->up_ms, up));
    else
        writer_text(w, ", for %s\n", show_uptime(i->state_ms, up));
    if (i->state != PEER_ESTABLISHED) {
        writer_text(w, "  Not established: ");
        show_wrap(w, 19, 19, show_peer_why(p, i, why, sizeof why));
        text_what_next(w, p, i);
    }
    if (i->shutdown_message && *i->shutdown_message) {
        writer_text(w, "  Shutdown message: ");
        show_wrap(w, 20, 20, i->shutdown_message);
    }
    if (i->state == PEER_ESTABLISHED) {
        writer_text(w, "  Last read %s, ", show_uptime(i->last_read_ms, up));
        writer_text(w, "Last write %s\n", show_uptime(i->last_write_ms, up));
        writer_text(w, "  Hold time is %" PRIu32 " seconds, keepalive interval is %" PRIu32 " seconds\n",
                    i->hold_ms / 1000, i->keepalive_ms / 1000);
        if (i->send_hold_ms)
            writer_text(w, "  Send hold time is %" PRIu32 " seconds\n", i->send_hold_ms / 1000);
    }
    writer_text(w,
                "  Configured hold time is %" PRIu32 " seconds, keepalive interval is %" PRIu32 " seconds\n",
                peer_config(p)->hold_time_ms / 1000, peer_config(p)->keepalive_time_ms / 1000);
}

/* RFC 7911, in FRR's words: what each side would send (TX) and receive (RX). */
static void text_add_path(struct writer *w, const struct peer_info *i)
{
    static const struct {
        uint8_t bit;
        const char *name;
    } ways[] = {{2, "TX"}, {1, "RX"}};
    bool head = false;
    for (enum family f = 0; f < FAM_COUNT; f++)
        for (int k = 0; k < 2; k++) {
            const char *who =
                sides(i->sent.add_path[f] & ways[k].bit, i->received.add_path[f] & ways[k].bit, false);
            if (!who)
                continue;
            writer_text(w, "%s      %s Unicast: %s %s\n", head ? "" : "    AddPath:\n", f ? "IPv6" : "IPv4",
                        ways[k].name, who);
            head = true;
        }
}

static void text_capabilities(struct exec *e, const struct peer_info *i)
{
    if (i->fewer_capabilities)
        writer_text(e->w, "  Only the needed capabilities are offered: the peer refused the others\n");
    if (i->state != PEER_ESTABLISHED && i->state != PEER_OPEN_CONFIRM)
        return;
    writer_text(e->w, "  Neighbor capabilities:\n");
    for (const struct capability_row *row = capability_rows; row->json; row++)
        for (int f = 0; f < (row->per_family ? FAM_COUNT : 1); f++) {
            const char *sides = capability_sides(i, row, (enum family)f, false);
            if (sides && row->per_family)
                writer_text(e->w, "    %s %s Unicast: %s\n", row->text, f ? "IPv6" : "IPv4", sides);
            else if (sides)
                writer_text(e->w, "    %s: %s\n", row->text, sides);
        }
    text_add_path(e->w, i);
}

static void text_statistics(struct exec *e, const struct peer_info *i)
{
    const struct peer_stats *s = &i->stats;
    const struct {
        const char *name;
        uint64_t out, in;
    } rows[] = {
        {"Opens:", s->opens_out, s->opens_in},
        {"Notifications:", s->notifications_out, s->notifications_in},
        {"Updates:", s->updates_out, s->updates_in},
        {"Keepalives:", s->keepalives_out, s->keepalives_in},
        {"Route Refresh:", s->refreshes_out, s->refreshes_in},
    };
    uint64_t out = 0, in = 0;
    writer_text(e->w, "  Message statistics:\n    Inq depth is %zu bytes\n    Outq depth is %zu messages\n",
                i->inq, i->outq);
    writer_text(e->w, "                         Sent       Rcvd\n");
    for (unsigned k = 0; k < sizeof rows / sizeof *rows; k++) {
        writer_text(e->w, "    %-15s%10" PRIu64 " %10" PRIu64 "\n", rows[k].name, rows[k].out, rows[k].in);
        out += rows[k].out;
        in += rows[k].in;
    }
    writer_text(e->w, "    %-15s%10" PRIu64 " %10" PRIu64 "\n", "Total:", out, in);
}

/* FRR's two lines about max-prefixes. */
static void text_limit(struct writer *w, const struct peer_config *c, enum family f)
{
    char text[DURATION_STRLEN];
    if (!c->max_prefixes.most[f])
        return;
    writer_text(w, "  Maximum prefixes allowed %" PRIu32 "%s\n", c->max_prefixes.most[f],
                c->max_prefixes.action == LIMIT_WARN ? " (warning-only)" : "");
    writer_text(w, "  Threshold for warning message %u%%", (unsigned)c->max_prefixes.warn_percent);
    if (c->max_prefixes.action == LIMIT_RESTART)
        writer_text(w, ", restart interval %s", duration_format(c->max_prefixes.restart_after_ms, text));
    writer_text(w, "\n");
}

static void text_family(struct exec *e, const struct peer *p, const struct peer_info *i, enum family f)
{
    static const char *const exports[] = {[EXPORT_ORIGINATED] = "originated",
                                          [EXPORT_ALL] = "all",
                                          [EXPORT_NONE] = "none",
                                          [EXPORT_BY_POLICY] = "by policy "};
    static const char *const imports[] = {
        [IMPORT_ALL] = "all", [IMPORT_NONE] = "none", [IMPORT_BY_POLICY] = "by policy "};
    const struct peer_config *pc = peer_config(p);
    struct writer *w = e->w;
    const struct rib_peer *rp = peer_rib(p);
    char text[ADDR_STRLEN];
    if (!peer_config(p)->families[f])
        return;
    writer_text(w, "\n For address family: %s Unicast\n", f == FAM_IPV6 ? "IPv6" : "IPv4");
    text_limit(w, peer_config(p), f);
    if (!i->family[f]) {
        writer_text(w, "  Not in use: ");
        show_wrap(w, 14, 14,
                  i->family_why[f]               ? i->family_why[f]
                  : i->state != PEER_ESTABLISHED ? "the session is not established"
                                                 : "the peer does not offer it");
        return;
    }
    if (i->nexthop[f].af)
        writer_text(w, "  Next hop that we advertise: %s\n", addr_format(&i->nexthop[f], text));
    writer_text(w, "  Import %s%s, export %s%s\n", imports[pc->import],
                pc->import_policy ? pc->import_policy : "", exports[pc->export],
                pc->export_policy ? pc->export_policy : "");
    writer_text(w, "  End-of-RIB %s, %s\n", yes_no(i->eor_out[f]),
                i->eor_in[f] ? "received" : "not received");
    writer_text(w,
                "  Prefixes: %" PRIu32 " received, %" PRIu32 " accepted, %" PRIu32 " refused by the import\n",
                rp->paths[f], rp->accepted[f], rp->paths[f] - rp->accepted[f]);
    writer_text(w, "  Prefixes: %" PRIu32 " sent, %" PRIu32 " waiting to be sent\n",
                adjout_count(peer_adjout(p), f), adjout_queued(peer_adjout(p), f));
}

static void text_advertisements(struct writer *w, const struct peer_info *i)
{
    char ago[UPTIME_STRLEN];
    if (!i->interface)
        return;
    writer_text(w, "  Router advertisements: %" PRIu64 " sent, %" PRIu64 " received, last of the peer %s%s\n",
                i->ra_sent, i->ra_received, i->ra_last_ms ? show_uptime(i->ra_last_ms, ago) : "never",
                i->ra_last_ms ? " ago" : "");
}

static void text_transport(struct exec *e, const struct peer *p, const struct peer_info *i)
{
    struct writer *w = e->w;
    const struct peer_config *c = peer_config(p);
    char text[ADDR_STRLEN], up[UPTIME_STRLEN];
    writer_text(w, "\n  Connections established %" PRIu32 "; dropped %" PRIu32 "\n", i->established_count,
                i->dropped_count);
    if (show_was_reset(i)) {
        writer_text(w, "  Last reset %s, due to ", show_uptime(i->last_reset_ms, up));
        show_wrap(w, 32, 4, i->last_reset);
    } else {
        writer_text(w, "  Last reset never\n");
    }
    if (i->last_message && *i->last_message) {
        writer_text(w, "  Message from the peer: ");
        show_wrap(w, 25, 4, i->last_message);
    }
    if (c->multihop)
        writer_text(w, "  External BGP neighbor may be up to %u hops away\n", (unsigned)c->multihop);
    if (i->gtsm)
        writer_text(w, "  GTSM: at most %u hops away (ttl-security)\n", (unsigned)c->ttl_security);
    if (c->blackhole)
        writer_text(w, "  BLACKHOLE is honored: host routes with it drop packets\n");
    text_advertisements(w, i);
    text_bfd(w, p, i);
    if (i->local.af) {
        writer_text(w, "  Local host: %s, Local port: %u\n", addr_format(&i->local, text),
                    (unsigned)i->local_port);
        writer_text(w, "  Foreign host: %s, Foreign port: %u\n", addr_format(&i->remote, text),
                    (unsigned)i->remote_port);
        writer_text(w, "  Estimated round trip time: %" PRIu32 " ms\n", i->rtt_ms);
    }
    if (i->md5)
        writer_text(w, "  Peer authentication enabled (TCP MD5)\n");
}

static void text_restart(struct exec *e, const struct peer *p, const struct peer_info *i)
{
    struct writer *w = e->w;
    char line[200], left[UPTIME_STRLEN];
    if (i->state == PEER_ESTABLISHED && i->received.graceful_restart && i->sent.graceful_restart) {
        snprintf(line, sizeof line, "the peer's restart time is %u seconds%s%s",
                 i->received.gr_flags_time & 0xfffu,
                 i->received.gr_flags_time & 0x8000 ? "; it has restarted (R)" : "",
                 i->received.gr_flags_time & 0x4000 ? "; a NOTIFICATION keeps the routes too (N)" : "");
        writer_text(w, "  Graceful restart: ");
        show_wrap(w, 20, 4, line);
    }
    for (int f = 0; f < FAM_COUNT; f++) {
        uint32_t n = peer_rib(p)->stale[f];
        if (!i->kept[f].on)
            continue;
        snprintf(line, sizeof line, "%" PRIu32 " stale %s route%s used on, %s: for at most %s, until %s", n,
                 f ? "IPv6" : "IPv4", n == 1 ? " is" : "s are",
                 i->kept[f].long_lived ? "as the last resort (long-lived graceful restart)"
                                       : "since the peer may restart",
                 show_uptime(i->kept[f].left_ms, left),
                 i->state == PEER_ESTABLISHED ? "its End-of-RIB" : "the session is back");
        writer_text(w, "  ");
        show_wrap(w, 2, 4, line);
    }
}

static void text_neighbor(struct exec *e, const struct peer *p, const struct peer_info *i)
{
    text_head(e, p, i);
    text_capabilities(e, i);
    text_restart(e, p, i);
    text_statistics(e, i);
    text_offences(e->w, p, &i->stats);
    for (int f = 0; f < FAM_COUNT; f++)
        text_family(e, p, i, (enum family)f);
    text_transport(e, p, i);
}

enum exec_result show_neighbors(struct exec *e)
{
    unsigned *next = e->state, count = peer_set_count(e->s->peers);
    struct peer *only = NULL;
    struct peer_info i;
    if (command_arg(e->cmd, "PEER")) {
        only = show_find_peer(e);
        if (!only)
            return EXEC_DONE;
    }
    if (!next) {
        next = exec_state(e, sizeof *next);
        if (!next)
            return EXEC_DONE;
        writer_object(e->w, NULL);
        if (only)
            *next = count;
        else if (!count)
            writer_text(e->w, e->s->config->n_peers ? "No neighbors: nobody of a `range` is connected\n"
                                                    : "No neighbors are configured\n");
    }
    const struct peer *p = only ? only : *next < count ? peer_set_at(e->s->peers, *next) : NULL;
    if (p) {
        peer_info(p, &i);
        if (writer_json(e->w))
            json_neighbor(e, p, &i);
        else
            text_neighbor(e, p, &i);
        ++*next;
    }
    if (!only && *next < count) {
        writer_text(e->w, "\n");
        return EXEC_MORE;
    }
    writer_end(e->w);
    return EXEC_DONE;
}
