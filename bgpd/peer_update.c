/* Routes of a session: UPDATEs in to the RIB, Adj-RIB-Out out to the wire, and ROUTE-REFRESH (RFC 2918) both
 * ways.
 *
 * In: the codec has judged the message (RFC 7606) before the FSM hears of it, so a message is either applied
 * whole or is an UpdateMsgErr. Out: a task fills the connection's buffer in chunks while it is below its
 * high-water mark, and sleeps until Adj-RIB-Out has something new or the socket has taken what it was given.
 * A peer that does not read therefore costs one buffer, whatever changes meanwhile.
 */
#include <errno.h>
#include <string.h>

#include "peer_impl.h"

#define CACHE_SLOTS 256

/* In */

static void note_offence(struct peer *p, const struct update *u)
{
    uint32_t swallowed = 0;
    char text[80];

    if (u->action == UPDATE_TREAT_AS_WITHDRAW)
        p->h.treat_as_withdraw++;
    else
        p->h.attr_discard++;
    if (log_limit_ok(&p->log_limit, loop_now_ms(), &swallowed))
        log_warn(u->action == UPDATE_TREAT_AS_WITHDRAW ? "malformed UPDATE: its routes are taken as withdrawn"
                                                       : "malformed UPDATE: attribute discarded",
                 F_STR("peer", p->name), F_UINT("attribute", u->bad_attr),
                 F_STR("reason", bgp_error_format(&u->error, text, sizeof text)),
                 F_UINT_IF("suppressed", swallowed));
}

static void note_too_many_paths(struct peer *p, const struct prefix *prefix)
{
    uint32_t swallowed = 0;
    char text[PREFIX_STRLEN];

    if (log_limit_ok(&p->log_limit, loop_now_ms(), &swallowed))
        log_warn("too many paths of one prefix: those beyond the limit are ignored", F_STR("peer", p->name),
                 F_STR("prefix", prefix_format(prefix, text)), F_UINT("limit", RIB_PATHS_MAX),
                 F_UINT_IF("suppressed", swallowed));
}

static int apply_one(struct peer *p, enum family f, const struct prefix *x, uint32_t id, const struct attr *a)
{
    struct rib *rib = p->set->speaker->rib;
    int r = a ? rib_update(rib, f, x, p->rib, id, a) : rib_withdraw(rib, f, x, p->rib, id);
    if (r != -ENOSPC)
        return r;
    note_too_many_paths(p, x);
    return 0;
}

/* a NULL: withdrawn. */
static int apply_span(struct peer *p, enum family f, struct nlri_span span, const struct attr *a)
{
    struct rib *rib = p->set->speaker->rib;
    struct prefix x[RIB_PREFETCH];
    unsigned n;
    int r = 0;

    do {
        for (n = 0; n < RIB_PREFETCH && nlri_next(&span, f, &x[n]); n++)
            ;
        rib_prefetch(rib, f, x, n);
        for (unsigned i = 0; !r && i < n; i++)
            r = apply_one(p, f, &x[i], 0, a);
    } while (!r && n == RIB_PREFETCH);
    return r;
}

static int apply_spans(struct peer *p, const struct update *u, enum family f, int k)
{
    int r = apply_span(p, f, u->withdrawn[f][k], NULL);
    return r ? r : apply_span(p, f, u->reach[f][k], u->attr[f][k]);
}

static int apply(struct peer_link *l, const struct update *u)
{
    struct peer *p = l->peer;
    bool was_synced = peer_synced(p);
    int r = 0;

    for (enum family f = 0; f < FAM_COUNT; f++) {
        for (int k = 0; !r && k < 2; k++)
            r = apply_spans(p, u, f, k);
        if (u->eor[f] && !l->s.eor_in[f]) {
            l->s.eor_in[f] = true;
            peer_restart_eor(p, f);
            log_debug("End-of-RIB received", F_STR("peer", p->name), F_STR("family", family_name(f)));
        }
    }
    if (!r && !was_synced && peer_synced(p))
        speaker_peer_state_changed(p->set->speaker);
    return r;
}

void peer_receive_update(struct peer_link *l, const uint8_t *body, size_t n)
{
    struct peer *p = l->peer;
    struct update u;

    if (l->state != PEER_ESTABLISHED) {
        peer_link_event(l, FSM_EV_UPDATE, NULL); /* unexpected: RFC 6608 */
        return;
    }
    update_decode(&p->ctx, body, n, &u);
    if (u.action == UPDATE_RESET) {
        const struct bgp_error e = u.error;
        update_release(&p->ctx, &u);
        peer_link_event(l, e.code == BGP_ERR_CEASE ? FSM_EV_AUTO_STOP : FSM_EV_UPDATE_ERR, &e);
        return;
    }
    if (u.action != UPDATE_OK)
        note_offence(p, &u);
    peer_link_event(l, FSM_EV_UPDATE, NULL);
    rib_set_now(p->set->speaker->rib, (loop_now_ms() - p->set->speaker->started_ms) / 1000);
    int r = apply(l, &u);
    update_release(&p->ctx, &u);
    if (r)
        peer_out_of_memory(l);
}

void peer_receive_refresh(struct peer_link *l, const uint8_t *body, size_t n)
{
    struct peer *p = l->peer;
    struct refresh_msg m;
    struct bgp_error err;
    enum family f;

    peer_link_event(l, FSM_EV_ROUTE_REFRESH, NULL);
    if (p->up != l)
        return;
    if (refresh_decode(body, n, &m, &err)) {
        peer_link_event(l, FSM_EV_HEADER_ERR, &err);
        return;
    }
    /* RFC 2918 section 4: a family that was not agreed on is ignored; so are the demarcations of RFC 7313. */
    if (m.subtype || !family_from_afi(m.afi, m.safi, &f) || !l->s.common.family[f])
        return;
    p->refresh_due[f] = true;
    peer_tx_wake(p);
}

/* Out */

void peer_tx_wake(void *arg)
{
    struct peer *p = arg;
    if (p->up)
        task_wake(p->tx);
}

static int refresh(struct peer *p)
{
    int r = 0;
    for (enum family f = 0; !r && f < FAM_COUNT; f++) {
        if (p->refresh_due[f])
            r = adjout_resend(p->adjout, f, p->config->export, true);
        p->refresh_due[f] = false;
    }
    return r;
}

bool peer_tx_step(void *arg)
{
    struct peer *p = arg;
    struct peer_link *l = p->up;
    size_t room = l ? conn_room(l->conn) : 0;
    bool more = false;

    if (room < BGP_MAX_LEN)
        return false;
    if (refresh(p)) {
        peer_out_of_memory(l);
        return false;
    }
    struct wire_writer w = conn_writer(l->conn, room < CONN_OUT_CHUNK ? room : CONN_OUT_CHUNK);
    if (w.err) {
        if (!l->conn->write_failed)
            peer_out_of_memory(l);
        return false;
    }
    unsigned n = adjout_fill(p->adjout, &w, &more);
    conn_commit(l->conn, &w, BGP_UPDATE, n);
    conn_flush(l->conn);
    if (n)
        l->s.said_ms = loop_now_ms();
    return more && conn_room(l->conn) >= BGP_MAX_LEN;
}

/* Up and down */

int peer_routes_up(struct peer_link *l)
{
    struct peer *p = l->peer;
    struct speaker *s = p->set->speaker;
    const struct peer_session *ss = &l->s;
    struct update_export x = {
        .ebgp = !p->ibgp,
        .as4 = ss->common.as4,
        .local_as = p->local_as,
        .default_local_pref = 100,
        .link_local = ss->link_local,
        .max_len = BGP_MAX_LEN,
        .role = peer_role(p),
    };

    memcpy(x.nexthop, ss->nexthop, sizeof x.nexthop);
    p->ctx = (struct update_ctx){
        .attrs = s->attrs,
        .cache = update_cache_new(CACHE_SLOTS),
        .local_as = p->local_as,
        .peer_as = ss->remote_as,
        .scope = ss->ifindex,
        .ebgp = !p->ibgp,
        .as4 = ss->common.as4,
        .role = peer_role(p),
    };
    memcpy(p->ctx.family, ss->common.family, sizeof p->ctx.family);
    p->rib->router_id = ss->remote_id;
    p->rib->one_hop = !p->ibgp && !p->config->multihop;
    rib_peer_up(s->rib, p->rib);
    peer_restart_up(l);
    int r = p->ctx.cache ? adjout_start(p->adjout, &x, p->config->export, ss->common.family) : -ENOMEM;
    if (!r)
        peer_tx_wake(p);
    return r;
}

void peer_routes_down(struct peer *p)
{
    struct speaker *s = p->set->speaker;
    adjout_stop(p->adjout);
    rib_peer_down(s->rib, p->rib);
    update_cache_free(p->ctx.cache, s->attrs);
    p->ctx = (struct update_ctx){0};
    memset(p->refresh_due, 0, sizeof p->refresh_due);
}

int peer_soft_in(struct peer *p)
{
    struct peer_link *l = p->up;

    rib_reimport(p->set->speaker->rib, p->rib);
    if (!l)
        return -ENOTCONN;
    if (!l->s.received.route_refresh)
        return -EOPNOTSUPP;
    for (enum family f = 0; f < FAM_COUNT; f++) {
        const struct refresh_msg m = {.afi = f == FAM_IPV6 ? AFI_IPV6 : AFI_IPV4, .safi = SAFI_UNICAST};
        struct wire_writer w;
        if (!l->s.common.family[f])
            continue;
        w = conn_writer(l->conn, BGP_HEADER_LEN + 4);
        if (w.err)
            return -ENOBUFS;
        refresh_encode(&w, &m);
        conn_commit(l->conn, &w, BGP_ROUTE_REFRESH, 1);
    }
    conn_flush(l->conn);
    return 0;
}

int peer_soft_out(struct peer *p)
{
    int r = p->up ? 0 : -ENOTCONN;
    for (enum family f = 0; !r && f < FAM_COUNT; f++)
        if (p->up->s.common.family[f])
            r = adjout_resend(p->adjout, f, p->config->export, true);
    if (!r)
        peer_tx_wake(p);
    return r;
}
