/* Routes of a session: UPDATEs in to the RIB, Adj-RIB-Out out to the wire. Refreshing them is in
 * peer_refresh.c.
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
    uint32_t id[RIB_PREFETCH];
    bool add_path = p->ctx.add_path[f];
    unsigned n;
    int r = 0;

    do {
        for (n = 0; n < RIB_PREFETCH && nlri_next_path(&span, f, add_path, &x[n], &id[n]); n++)
            ;
        rib_prefetch(rib, f, x, n);
        for (unsigned i = 0; !r && i < n; i++)
            r = apply_one(p, f, &x[i], id[i], a);
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
    if (u.action != UPDATE_OK)
        peer_note_offence(p, &u, body, n);
    if (u.action == UPDATE_RESET) {
        const struct bgp_error e = u.error;
        update_release(&p->ctx, &u);
        peer_link_event(l, e.code == BGP_ERR_CEASE ? FSM_EV_AUTO_STOP : FSM_EV_UPDATE_ERR, &e);
        return;
    }
    peer_link_event(l, FSM_EV_UPDATE, NULL);
    rib_set_now(p->set->speaker->rib, (loop_now_ms() - p->set->speaker->started_ms) / 1000);
    int r = apply(l, &u);
    update_release(&p->ctx, &u);
    if (r)
        peer_out_of_memory(l);
    else
        peer_limit_check(p);
}

/* Out */

void peer_tx_wake(void *arg)
{
    struct peer *p = arg;
    if (p->up)
        task_wake(p->tx);
}

/* A message is begun only where the longest would fit: with those of RFC 8654 a chunk has room for one more,
 * so that short ones do not go out one at a time. */
static size_t out_least(const struct peer_link *l)
{
    return l->s.common.extended_message ? BGP_MAX_EXT_LEN : BGP_MAX_LEN;
}

static size_t out_chunk(const struct peer_link *l)
{
    return CONN_OUT_CHUNK + (l->s.common.extended_message ? BGP_MAX_EXT_LEN : 0);
}

bool peer_tx_step(void *arg)
{
    struct peer *p = arg;
    struct peer_link *l = p->up;
    size_t room = l ? conn_room(l->conn) : 0;
    bool more = false;

    if (!l || room < out_least(l) || adjout_waits(p->adjout))
        return false;
    if (peer_refresh_begin(p)) {
        peer_out_of_memory(l);
        return false;
    }
    room = conn_room(l->conn);
    struct wire_writer w = conn_writer(l->conn, room < out_chunk(l) ? room : out_chunk(l));
    if (w.err) {
        if (!l->conn->write_failed)
            peer_out_of_memory(l);
        return false;
    }
    unsigned n = adjout_fill(p->adjout, &w, &more);
    conn_commit(l->conn, &w, BGP_UPDATE, n);
    if (!n && adjout_no_memory(p->adjout)) { /* to try again at once, and again, helps nobody */
        peer_out_of_memory(l);
        return false;
    }
    more |= peer_refresh_end(p);
    conn_flush(l->conn);
    if (n)
        l->s.said_ms = loop_now_ms();
    return more && conn_room(l->conn) >= out_least(l);
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
        .extended_nexthop = ss->common.extended_nexthop[FAM_IPV4],
        .max_len = out_least(l),
        .role = peer_role(p),
        .llgr = ss->received.long_lived_gr,
    };

    memcpy(x.nexthop, ss->nexthop, sizeof x.nexthop);
    for (enum family f = 0; f < FAM_COUNT; f++)
        x.add_path[f] = ss->common.add_path[f] & ADD_PATH_SEND;
    p->ctx = (struct update_ctx){
        .attrs = s->attrs,
        .cache = update_cache_new(CACHE_SLOTS),
        .local_as = p->local_as,
        .peer_as = ss->remote_as,
        .scope = ss->ifindex,
        .link_local = p->scope,
        .extended_nexthop = ss->common.extended_nexthop[FAM_IPV4],
        .ebgp = !p->ibgp,
        .as4 = ss->common.as4,
        .role = peer_role(p),
    };
    memcpy(p->ctx.family, ss->common.family, sizeof p->ctx.family);
    for (enum family f = 0; f < FAM_COUNT; f++)
        p->ctx.add_path[f] = ss->common.add_path[f] & ADD_PATH_RECEIVE;
    p->rib->router_id = ss->remote_id;
    p->rib->as = ss->remote_as;
    p->rib->blackhole = p->config->blackhole;
    p->rib->one_hop = !p->ibgp && !p->config->multihop;
    p->rib->keep_received = !ss->received.route_refresh;
    peer_policy_forget(p);
    rib_peer_up(s->rib, p->rib);
    peer_limit_session_up(p);
    peer_restart_up(l);
    peer_export_policy(p);
    int r = p->ctx.cache ? adjout_start(p->adjout, &x, p->config->export, ss->common.family) : -ENOMEM;
    peer_restart_hold_eor(p);
    if (!r)
        peer_tx_wake(p);
    return r;
}

void peer_routes_down(struct peer *p)
{
    struct speaker *s = p->set->speaker;
    adjout_stop(p->adjout);
    rib_peer_down(s->rib, p->rib);
    peer_policy_forget(p);
    update_cache_free(p->ctx.cache, s->attrs);
    p->ctx = (struct update_ctx){0};
    peer_refresh_down(p);
}
