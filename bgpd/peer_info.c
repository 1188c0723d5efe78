/* How a peer looks from outside: the getters and the snapshot behind `show bgp neighbors`, the summary and
 * the metrics. Reads only.
 */
#include <string.h>

#include "peer_impl.h"
#include "transport.h"

const char *peer_name(const struct peer *p)
{
    return p->name;
}

const struct peer_config *peer_config(const struct peer *p)
{
    return p->config;
}

struct rib_peer *peer_rib(const struct peer *p)
{
    return p->rib;
}

struct adjout *peer_adjout(const struct peer *p)
{
    return p->adjout;
}

bool peer_established(const struct peer *p)
{
    return p->up != NULL;
}

bool peer_synced(const struct peer *p)
{
    if (!p->up)
        return false;
    for (enum family f = 0; f < FAM_COUNT; f++)
        if (p->up->s.common.family[f] && !p->up->s.eor_in[f])
            return p->settled && !peer_restart_awaits_eor(p->up);
    return true;
}

static uint64_t ago(uint64_t then, uint64_t now)
{
    return then && now > then ? now - then : 0;
}

static void fill_stats(const struct peer *p, struct peer_stats *o)
{
    const struct conn_counters *c = &p->h.count;
    *o = (struct peer_stats){
        .opens_in = c->in[BGP_OPEN],
        .opens_out = c->out[BGP_OPEN],
        .notifications_in = c->in[BGP_NOTIFICATION],
        .notifications_out = c->out[BGP_NOTIFICATION],
        .updates_in = c->in[BGP_UPDATE],
        .updates_out = c->out[BGP_UPDATE],
        .keepalives_in = c->in[BGP_KEEPALIVE],
        .keepalives_out = c->out[BGP_KEEPALIVE],
        .refreshes_in = c->in[BGP_ROUTE_REFRESH],
        .refreshes_out = c->out[BGP_ROUTE_REFRESH],
        .treat_as_withdraw = p->h.treat_as_withdraw,
        .attr_discard = p->h.attr_discard,
    };
}

/* The link that is furthest on speaks for the peer. */
static const struct peer_link *speaking(const struct peer *p)
{
    return p->links[1].state > p->links[0].state ? &p->links[1] : &p->links[0];
}

static void fill_session(const struct peer *p, const struct peer_link *l, struct peer_info *o, uint64_t now)
{
    const struct peer_session *s = &l->s;
    unsigned messages;

    o->local = s->local;
    o->remote = s->remote;
    o->local_port = s->local_port;
    o->remote_port = s->remote_port;
    memcpy(o->nexthop, s->nexthop, sizeof o->nexthop);
    o->sent = s->sent;
    o->received = s->received;
    o->caps_valid = s->caps_valid;
    if (s->caps_valid) {
        o->remote_role = s->received.has_role ? role_from_wire(s->received.role) : ROLE_NONE;
        o->remote_as = s->remote_as;
        o->remote_id = s->remote_id;
        o->hold_ms = s->hold_ms;
        o->keepalive_ms = s->keepalive_ms;
    }
    for (enum family f = 0; f < FAM_COUNT; f++) {
        o->family[f] = l == p->up && s->common.family[f];
        o->family_why[f] = s->family_why[f];
        if (p->config->families[f] && s->caps_valid && !s->common.family[f] && !s->family_why[f])
            o->family_why[f] = "not offered by the peer";
        o->eor_in[f] = s->eor_in[f];
        o->eor_out[f] = o->family[f] && adjout_eor_sent(p->adjout, f);
    }
    o->last_read_ms = ago(l->conn->last_read_ms, now);
    o->last_write_ms = ago(l->conn->last_write_ms, now);
    o->rtt_ms = (transport_rtt_us(l->conn->fd) + 500) / 1000;
    o->inq = l->conn->rest_len;
    conn_queued(l->conn, &messages);
    o->outq = messages;
}

static void fill_unnumbered(const struct peer *p, struct peer_info *o)
{
    struct unnumbered_info u;

    o->neighbor = p->address;
    if (!p->unnumbered)
        return;
    unnumbered_info(p->unnumbered, &u);
    o->interface = p->config->interface;
    o->ra_sent = u.advertised;
    o->ra_received = u.heard;
    o->ra_last_ms = u.heard_ms;
}

void peer_info(const struct peer *p, struct peer_info *o)
{
    const struct peer_link *l = speaking(p);
    const struct peer_config *c = p->config;
    uint64_t now = loop_now_ms();

    *o = (struct peer_info){
        .state = p->state,
        .admin_down = peer_admin_down(p),
        .shutdown_message = p->shutdown_message,
        .ibgp = p->ibgp,
        .local_as = p->local_as,
        .remote_as = c->asn ? c->asn : p->h.asn,
        .local_id = p->local_id,
        .local_role = peer_role(p),
        .send_hold_ms = p->up ? p->up->s.send_hold_ms : 0,
        .up_ms = p->up ? ago(p->h.up_ms, now) : 0,
        .up_since_wall = p->up ? p->h.up_wall : 0,
        .state_ms = ago(p->state_ms, now),
        .hold_ms = c->hold_time_ms,
        .keepalive_ms = c->keepalive_time_ms,
        .connect_retry_ms = timer_remaining_ms(p->connect_retry),
        .idle_hold_ms = timer_remaining_ms(p->idle_hold),
        .established_count = p->h.established,
        .dropped_count = p->h.dropped,
        .last_error = p->h.last_error,
        .last_error_received = p->h.last_error_received,
        .last_reset = p->h.last_reset,
        .last_failure = p->h.last_failure,
        .hint = p->h.hint,
        .waiting = p->waiting,
        .over_limit = p->limit.held,
        .limit_ms = timer_remaining_ms(p->limit.again),
        .last_reset_ms = ago(p->h.last_reset_ms, now),
        .last_message = p->h.last_message,
        .own_hostname = p->set->hostname,
        .hostname = p->h.hostname,
        .domain = p->h.domain,
        .fewer_capabilities = l->state >= PEER_OPEN_SENT ? l->s.offer != OFFER_ALL : p->offer != OFFER_ALL,
        .md5 = *c->password,
        .gtsm = c->ttl_security,
        .ttl_security = c->ttl_security,
        .multihop = c->multihop,
    };
    if (p->waiting)
        peer_waiting_why(p, o->waiting_why, sizeof o->waiting_why, o->waiting_hint, sizeof o->waiting_hint);
    fill_unnumbered(p, o);
    peer_bfd_info(p, o);
    fill_stats(p, &o->stats);
    peer_restart_info(p, o);
    if (l->state >= PEER_OPEN_SENT)
        fill_session(p, l, o, now);
}

uint64_t peer_memory(const struct peer *p)
{
    uint64_t n = sizeof *p + adjout_memory(p->adjout);
    for (int i = 0; i < 2; i++) {
        const struct conn *c = p->links[i].conn;
        if (c)
            n += sizeof *c + c->out_size + c->rest_size;
    }
    return n;
}
