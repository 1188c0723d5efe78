/* From a TCP connection to an agreed session: the OPEN that we send, the checks of the one that comes (RFC
 * 4271 6.2, 6286, 5492), collision detection (6.8), and the dispatch of every message that a connection hands
 * up. What it means for the operator that a session or an attempt ended is in peer_why.c.
 *
 * Collisions: by the letter of 6.8 an OPEN is compared with connections in OpenConfirm (the higher BGP
 * Identifier keeps the connection that it initiated) and loses against one that is Established. In addition a
 * connection of ours that completes while another is past its OPEN is closed without saying OPEN: the other
 * side will be Established before it could compare, and both sides closing a different one would leave none.
 */
#include <errno.h>
#include <string.h>

#include "peer_impl.h"
#include "transport.h"

/* Output */

void peer_send_keepalive(struct peer_link *l)
{
    struct wire_writer w = conn_writer(l->conn, BGP_HEADER_LEN);
    if (w.err)
        return; /* so much waits to be written that one more sign of life adds nothing */
    keepalive_encode(&w);
    conn_commit(l->conn, &w, BGP_KEEPALIVE, 1);
    conn_flush(l->conn);
}

/* Whether the end of l is worth a word: with another connection on its way only that of a session is. */
static bool matters(struct peer_link *l)
{
    return l == l->peer->up || peer_other(l)->state < PEER_OPEN_SENT;
}

/* What the peer has not begun to read is dropped: nothing before the NOTIFICATION matters any more. A
 * collision says nothing about the session that goes on. */
void peer_send_notification(struct peer_link *l, const struct bgp_error *e)
{
    const struct bgp_error out = peer_restart_notification(l, e);
    if (matters(l))
        peer_note_error(l->peer, &out, false);
    if (!l->conn)
        return;
    conn_discard_queued(l->conn);
    struct wire_writer w = conn_writer(l->conn, BGP_HEADER_LEN + 2 + BGP_ERROR_DATA);
    if (w.err)
        return;
    notification_encode(&w, &out);
    conn_commit(l->conn, &w, BGP_NOTIFICATION, 1);
}

void peer_send_open(struct peer_link *l)
{
    struct peer *p = l->peer;
    struct peer_session *s = &l->s;

    *s = (struct peer_session){0};
    if (transport_local(l->conn->fd, &s->local, &s->local_port) ||
        transport_remote(l->conn->fd, &s->remote, &s->remote_port, NULL))
        s->local = s->remote = (struct ip_addr){0}; /* already reset; the read side will tell */
    peer_choose_nexthops(p, s);
    peer_offer(p, s);

    const struct open_msg m = {
        .asn = p->local_as,
        .my_as = p->local_as > UINT16_MAX ? BGP_AS_TRANS : (uint16_t)p->local_as,
        .hold_time = (uint16_t)(p->config->hold_time_ms / 1000),
        .id = p->local_id,
        .caps = s->sent,
    };
    struct wire_writer w = conn_writer(l->conn, BGP_MAX_LEN);
    if (w.err)
        return; /* the hold timer ends it */
    open_encode(&w, &m);
    s->sent.hostname = s->sent.domain = (struct cap_text){0}; /* borrowed */
    if (s->sent.extended_message)
        l->conn->max_len = BGP_MAX_EXT_LEN; /* RFC 8654 section 4: who was told may send them */
    conn_commit(l->conn, &w, BGP_OPEN, 1);
    conn_flush(l->conn);
}

/* OPEN received */

/* AS_TRANS is nobody's number (RFC 6793 section 9). */
static bool as_is_expected(const struct peer *p, uint32_t asn)
{
    const struct peer_config *c = p->config;
    if (asn == BGP_AS_TRANS)
        return false;
    return c->asn_kind == ASN_EXTERNAL ? asn != p->local_as : asn == c->asn;
}

static bool any_family(const struct capabilities *c)
{
    return c->family[FAM_IPV4] || c->family[FAM_IPV6];
}

/* RFC 5492 section 5: the data are the capabilities that we miss. */
static struct bgp_error no_common_family(const struct capabilities *ours)
{
    uint8_t buf[64];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    for (enum family f = 0; f < FAM_COUNT; f++)
        if (ours->family[f]) {
            const uint8_t mp[] = {CAP_MULTIPROTOCOL, 4, 0, f == FAM_IPV6 ? AFI_IPV6 : AFI_IPV4, 0,
                                  SAFI_UNICAST};
            wire_put_bytes(&w, mp, sizeof mp);
        }
    return bgp_error_make(BGP_ERR_OPEN, BGP_ERR_OPEN_CAPABILITY, buf, wire_len(&w));
}

/* RFC 9234 4.2: where both sides say one, and only there. */
static bool roles_agree(const struct peer *p, const struct capabilities *theirs)
{
    if (p->ibgp || peer_role(p) == ROLE_NONE || !theirs->has_role)
        return true;
    return !theirs->role_conflict && role_matches(peer_role(p), role_from_wire(theirs->role));
}

/* What only the session can judge. 0 or -EBADMSG with *err. */
static int check_open(struct peer_link *l, const struct open_msg *m, struct bgp_error *err)
{
    struct peer *p = l->peer;
    struct capabilities common = capabilities_negotiate(&l->s.sent, &m->caps);

    peer_settle_nexthops(&l->s, &common);
    if (!as_is_expected(p, m->asn)) {
        uint8_t as[2];
        wire_set_u16(as, m->my_as);
        peer_note_bad_as(p, m->asn);
        *err = bgp_error_make(BGP_ERR_OPEN, BGP_ERR_OPEN_PEER_AS, as, sizeof as);
    } else if (p->ibgp && m->id == p->local_id) { /* RFC 6286 section 2.2 */
        uint8_t id[4] = {(uint8_t)(m->id >> 24), (uint8_t)(m->id >> 16), (uint8_t)(m->id >> 8),
                         (uint8_t)m->id};
        *err = bgp_error_make(BGP_ERR_OPEN, BGP_ERR_OPEN_ID, id, sizeof id);
    } else if (!any_family(&common)) {
        *err = no_common_family(&l->s.sent);
    } else if (!roles_agree(p, &m->caps)) {
        peer_note_bad_role(p, &m->caps);
        *err = bgp_error_make(BGP_ERR_OPEN, BGP_ERR_OPEN_ROLE, NULL, 0);
    } else {
        return 0;
    }
    return -EBADMSG;
}

/* Goes to terminals and logs: printable ASCII, and what else there may be as "?". */
static void take_name(char out[PEER_HOSTLEN], const struct cap_text *name)
{
    size_t n = name->len < PEER_HOSTLEN ? name->len : PEER_HOSTLEN - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = name->p[i] > 0x20 && name->p[i] < 0x7f ? (char)name->p[i] : '?';
    out[n] = 0;
}

static void agree(struct peer_link *l, const struct open_msg *m)
{
    const struct peer_config *c = l->peer->config;
    struct peer_session *s = &l->s;

    take_name(l->peer->h.hostname, &m->caps.hostname);
    take_name(l->peer->h.domain, &m->caps.domain);
    s->received = m->caps;
    s->received.hostname = s->received.domain = (struct cap_text){0}; /* borrowed from the message */
    s->common = capabilities_negotiate(&s->sent, &m->caps);
    peer_settle_nexthops(s, &s->common);
    s->caps_valid = true;
    s->remote_as = m->asn;
    s->remote_id = m->id;
    s->hold_ms = m->hold_time * 1000u < c->hold_time_ms ? m->hold_time * 1000u : c->hold_time_ms;
    s->keepalive_ms = s->hold_ms / 3;
    if (c->keepalive_time_ms && c->keepalive_time_ms < s->keepalive_ms)
        s->keepalive_ms = c->keepalive_time_ms;
}

/* RFC 4271 6.8, RFC 6286 section 2.3. */
static bool ours_wins(const struct peer_link *l)
{
    const struct peer *p = l->peer;
    if (p->local_id != l->s.remote_id)
        return p->local_id > l->s.remote_id;
    return p->local_as > l->s.remote_as;
}

/* An OPEN has come over l and is sound. Whether l is to go on. */
static bool survives_collision(struct peer_link *l)
{
    struct peer_link *other = peer_other(l), *loser;
    const struct bgp_error cease = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_COLLISION, NULL, 0);

    if (other->state == PEER_ESTABLISHED && peer_restart_replaces(l, other)) {
        /* RFC 4724 4.2: "no NOTIFICATION message should be sent -- the previous TCP session is simply closed"
         */
        peer_note_restarted(other);
        peer_link_event(other, FSM_EV_TCP_FAILS, NULL);
        return l->conn != NULL;
    }
    if (other->state == PEER_ESTABLISHED)
        loser = l;
    else if (other->state != PEER_OPEN_CONFIRM)
        return true;
    else if (l->incoming == other->incoming) /* two from the peer: it has given the older one up */
        loser = other;
    else
        loser = l->incoming == ours_wins(l) ? l : other;
    log_debug("connection collision", F_STR("peer", l->peer->name),
              F_STR("closes", loser->incoming ? "incoming" : "outgoing"));
    peer_link_event(loser, FSM_EV_COLLISION_DUMP, &cease);
    return loser != l;
}

static void receive_open(struct peer_link *l, const uint8_t *body, size_t n)
{
    struct open_msg m;
    struct bgp_error err;

    if (l->state != PEER_OPEN_SENT) {
        peer_link_event(l, FSM_EV_OPEN, NULL); /* unexpected: RFC 6608 */
        return;
    }
    if (open_decode(body, n, &m, &err) || check_open(l, &m, &err)) {
        peer_link_event(l, FSM_EV_OPEN_ERR, &err);
        return;
    }
    agree(l, &m);
    if (survives_collision(l))
        peer_link_event(l, FSM_EV_OPEN, NULL);
}

static void receive_notification(struct peer_link *l, const uint8_t *body, size_t n)
{
    struct peer *p = l->peer;
    struct bgp_error e;

    if (notification_decode(body, n, &e))
        e = (struct bgp_error){0};
    if (matters(l))
        peer_note_error(p, &e, true);
    if (e.code == BGP_ERR_OPEN && l->state != PEER_ESTABLISHED &&
        (e.subcode == BGP_ERR_OPEN_PARAM || e.subcode == BGP_ERR_OPEN_CAPABILITY))
        peer_offer_refused(p, &l->s, e.subcode);
    bool version = e.code == BGP_ERR_OPEN && e.subcode == BGP_ERR_OPEN_VERSION;
    peer_link_event(l, version ? FSM_EV_NOTIFICATION_VERSION : FSM_EV_NOTIFICATION, &e);
}

/* What a connection hands up */

static int on_message(void *arg, enum bgp_msg_type type, const uint8_t *msg, size_t len)
{
    struct peer_link *l = arg;
    const struct conn *c = l->conn;
    const uint8_t *body = msg + BGP_HEADER_LEN;
    size_t n = len - BGP_HEADER_LEN;

    peer_debug_received(l, msg, len);
    l->rx_type = (uint8_t)type;
    switch (type) {
    case BGP_OPEN:
        receive_open(l, body, n);
        break;
    case BGP_UPDATE:
        peer_receive_update(l, body, n);
        break;
    case BGP_NOTIFICATION:
        receive_notification(l, body, n);
        break;
    case BGP_KEEPALIVE:
        peer_link_event(l, FSM_EV_KEEPALIVE, NULL);
        break;
    case BGP_ROUTE_REFRESH:
        peer_receive_refresh(l, body, n);
        break;
    }
    l->rx_type = 0;
    return l->conn != c;
}

static void on_header_error(void *arg, const struct bgp_error *e)
{
    struct peer_link *l = arg;
    peer_debug_received(l, l->conn->refused, BGP_HEADER_LEN);
    peer_link_event(arg, FSM_EV_HEADER_ERR, e);
}

static void on_closed(void *arg, int error)
{
    struct peer_link *l = arg;

    if (error == -ENOMEM) {
        peer_out_of_memory(l);
        return;
    }
    if (matters(l))
        peer_note_closed(l, error);
    peer_link_event(l, FSM_EV_TCP_FAILS, NULL);
}

static void on_connected(void *arg, int error)
{
    struct peer_link *l = arg;
    if (error) {
        peer_note_connect_failure(l->peer, error);
        peer_link_event(l, FSM_EV_TCP_FAILS, NULL);
    } else if (peer_other(l)->state >= PEER_OPEN_CONFIRM) {
        peer_link_event(l, FSM_EV_COLLISION_DUMP, NULL);
    } else {
        peer_link_event(l, FSM_EV_TCP_ACKED, NULL);
    }
}

static void on_drained(void *arg)
{
    struct peer_link *l = arg;
    peer_tx_wake(l->peer);
}

static void on_sent(void *arg, const uint8_t *p, size_t n)
{
    peer_debug_sent(arg, p, n);
}

const struct conn_ops peer_conn_ops = {
    .sent = on_sent,
    .connected = on_connected,
    .message = on_message,
    .header_error = on_header_error,
    .closed = on_closed,
    .drained = on_drained,
};
