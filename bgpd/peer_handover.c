/* A session as bytes, and back: what a planned restart takes along of a peer (handover.h).
 *
 * Taken along is what the other side could notice, and what an operator would miss: the connection with what
 * was unread and unsent, everything agreed in the OPENs, the timers' state, what the peer has from us, and
 * the history. Not taken along: what follows from the configuration, what the state file has, and the details
 * of errors in UPDATEs (their counts are).
 *
 * A session comes up here without an OPEN, so it does not pass through the FSM: its link is put into
 * Established as it was. When the new configuration has something against it, it is ended afterwards as a
 * reload would, so that the peer is told why. A peer that is not configured any more has no struct peer to do
 * so: its connection gets the NOTIFICATION and is closed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handover_io.h"
#include "handover_state.h"
#include "peer_impl.h"

#define KEYS_MOST 64

/* All of a session that is on its way, apart from what goes straight into Adj-RIB-Out. */
struct handed {
    uint8_t kind;
    struct ip_addr address;
    uint32_t scope;
    char name[PEER_NAMELEN];
    uint32_t local_as, local_id;
    bool ibgp;
    struct {
        char name[32];
        uint64_t digest;
    } key[KEYS_MOST]; /* of the configuration: those that a session hangs on */
    uint8_t n_keys;
    bool incoming, settled;
    uint32_t errors;
    uint32_t bfd_downs;
    struct peer_session s;
    struct peer_history h;
    struct peer_restart restart;
    struct {
        bool due, out, in;
        uint64_t in_until_ms;
    } refresh[FAM_COUNT];
    bool near[FAM_COUNT], over[FAM_COUNT]; /* of the limit */
    struct {
        uint32_t max_len, begun;
        uint64_t last_read_ms, last_write_ms;
        const uint8_t *rest, *out;
        uint32_t rest_len, out_len;
    } conn;
};

/* Both directions */

static void flags_fields(struct handover_io *io, bool flags[FAM_COUNT])
{
    for (enum family f = 0; f < FAM_COUNT; f++)
        HIO(io, flags[f]);
}

/* hostname and domain are of the OPEN itself; see peer_history. */
static void capabilities_fields(struct handover_io *io, struct capabilities *c)
{
    HIO(io, c->has_multiprotocol);
    flags_fields(io, c->family);
    HIO(io, c->route_refresh);
    HIO(io, c->as4);
    HIO(io, c->asn);
    HIO(io, c->extended_message);
    HIO(io, c->enhanced_refresh);
    flags_fields(io, c->extended_nexthop);
    HIO(io, c->graceful_restart);
    HIO(io, c->gr_flags_time);
    flags_fields(io, c->gr_family);
    flags_fields(io, c->gr_forwarding);
    HIO(io, c->long_lived_gr);
    flags_fields(io, c->llgr_family);
    flags_fields(io, c->llgr_forwarding);
    for (enum family f = 0; f < FAM_COUNT; f++) {
        HIO(io, c->add_path[f]);
        HIO(io, c->llgr_stale_s[f]);
    }
    HIO(io, c->has_role);
    HIO(io, c->role);
    HIO(io, c->role_conflict);
}

static void session_fields(struct handover_io *io, struct peer_session *s)
{
    hio_addr(io, &s->local);
    hio_addr(io, &s->remote);
    HIO(io, s->local_port);
    HIO(io, s->remote_port);
    HIO(io, s->ifindex);
    for (enum family f = 0; f < FAM_COUNT; f++)
        hio_addr(io, &s->nexthop[f]);
    hio_addr(io, &s->link_local);
    hio_addr(io, &s->nexthop6);
    HIO(io, s->offer);
    capabilities_fields(io, &s->sent);
    capabilities_fields(io, &s->received);
    capabilities_fields(io, &s->common);
    HIO(io, s->remote_as);
    HIO(io, s->remote_id);
    HIO(io, s->hold_ms);
    HIO(io, s->keepalive_ms);
    HIO(io, s->heard_ms);
    HIO(io, s->said_ms);
    HIO(io, s->say_in_ms);
    flags_fields(io, s->eor_in);
    if (s->offer > OFFER_NOTHING)
        hio_fail(io);
}

static void error_fields(struct handover_io *io, struct bgp_error *e)
{
    HIO(io, e->code);
    HIO(io, e->subcode);
    HIO(io, e->len);
    if (e->len > sizeof e->data) {
        hio_fail(io);
        e->len = 0;
    }
    hio_bytes(io, e->data, e->len);
}

static void history_fields(struct handover_io *io, struct peer_history *h)
{
    for (unsigned i = 0; i < BGP_TYPE_COUNT; i++) {
        HIO(io, h->count.in[i]);
        HIO(io, h->count.out[i]);
    }
    HIO(io, h->treat_as_withdraw);
    HIO(io, h->attr_discard);
    HIO(io, h->established);
    HIO(io, h->dropped);
    HIO(io, h->up_ms);
    HIO(io, h->up_wall);
    error_fields(io, &h->last_error);
    HIO(io, h->last_error_received);
    hio_text(io, h->last_reset, sizeof h->last_reset);
    HIO(io, h->last_reset_ms);
    HIO(io, h->asn);
    hio_text(io, h->last_message, sizeof h->last_message);
    hio_text(io, h->hostname, sizeof h->hostname);
    hio_text(io, h->domain, sizeof h->domain);
}

static void restart_fields(struct handover_io *io, struct peer_restart *r)
{
    HIO(io, r->lost_ms);
    HIO(io, r->restart_s);
    for (enum family f = 0; f < FAM_COUNT; f++) {
        struct peer_kept *k = &r->kept[f];
        HIO(io, k->on);
        HIO(io, k->long_lived);
        HIO(io, k->long_ms);
        HIO(io, k->due_ms);
        HIO(io, k->last_ms);
    }
}

static void handed_fields(struct handover_io *io, struct handed *x)
{
    HIO(io, x->kind);
    hio_addr(io, &x->address);
    HIO(io, x->scope);
    hio_text(io, x->name, sizeof x->name);
    HIO(io, x->local_as);
    HIO(io, x->local_id);
    HIO(io, x->ibgp);
    HIO(io, x->n_keys);
    if (x->n_keys > KEYS_MOST) {
        hio_fail(io);
        x->n_keys = 0;
    }
    for (unsigned i = 0; i < x->n_keys; i++) {
        hio_text(io, x->key[i].name, sizeof x->key[i].name);
        HIO(io, x->key[i].digest);
    }
    HIO(io, x->incoming);
    HIO(io, x->settled);
    HIO(io, x->errors);
    HIO(io, x->bfd_downs);
    session_fields(io, &x->s);
    history_fields(io, &x->h);
    restart_fields(io, &x->restart);
    for (enum family f = 0; f < FAM_COUNT; f++) {
        HIO(io, x->refresh[f].due);
        HIO(io, x->refresh[f].out);
        HIO(io, x->refresh[f].in);
        HIO(io, x->refresh[f].in_until_ms);
    }
    flags_fields(io, x->near);
    flags_fields(io, x->over);
    HIO(io, x->conn.max_len);
    HIO(io, x->conn.begun);
    HIO(io, x->conn.last_read_ms);
    HIO(io, x->conn.last_write_ms);
    hio_span(io, &x->conn.rest, &x->conn.rest_len);
    hio_span(io, &x->conn.out, &x->conn.out_len);
}

/* Out */

const char *peer_handover_obstacle(const struct peer *p)
{
    const struct peer_link *l = p->up;
    if (l->conn->write_failed)
        return "its connection has failed";
    return NULL;
}

int peer_handover_fd(const struct peer *p)
{
    return p->up->conn->fd;
}

static void collect(const struct peer *p, struct handed *x)
{
    const struct peer_link *l = p->up;
    const struct conn *c = l->conn;
    const char *name;

    *x = (struct handed){
        .kind = (uint8_t)p->config->kind,
        .address = p->address,
        .scope = p->scope,
        .local_as = p->local_as,
        .local_id = p->local_id,
        .ibgp = p->ibgp,
        .incoming = l->incoming,
        .settled = p->settled,
        .errors = p->errors,
        .bfd_downs = peer_bfd_downs(p),
        .s = l->s,
        .h = p->h,
        .restart = p->restart,
        .conn = {.max_len = (uint32_t)c->max_len,
                 .begun = c->out_next - c->out_start,
                 .last_read_ms = c->last_read_ms,
                 .last_write_ms = c->last_write_ms,
                 .rest = c->rest,
                 .rest_len = c->rest_len,
                 .out = c->out ? c->out + c->out_start : NULL,
                 .out_len = c->out_end - c->out_start},
    };
    memcpy(x->name, p->name, sizeof x->name);
    for (; x->n_keys < KEYS_MOST; x->n_keys++) {
        x->key[x->n_keys].digest = peer_config_digest(p->config, x->n_keys, &name);
        if (!name)
            break;
        snprintf(x->key[x->n_keys].name, sizeof x->key->name, "%s", name);
    }
    for (enum family f = 0; f < FAM_COUNT; f++) {
        x->refresh[f].due = p->refresh.due[f];
        x->refresh[f].out = p->refresh.out[f];
        x->refresh[f].in = p->refresh.in[f];
        x->refresh[f].in_until_ms = p->refresh.in_until_ms[f];
        x->near[f] = p->limit.near[f];
        x->over[f] = p->limit.over[f];
    }
}

static void save_advertised(void *arg, const struct prefix *p, uint32_t path_id)
{
    struct handover_io *io = arg;
    struct prefix prefix = *p;
    bool more = true;
    HIO(io, more);
    hio_prefix(io, addr_family(&p->addr), &prefix);
    HIO(io, path_id);
}

void peer_handover_save(struct peer *p, struct handover_io *io)
{
    struct handed x;
    bool more = false;

    collect(p, &x);
    handed_fields(io, &x);
    for (enum family f = 0; f < FAM_COUNT; f++) {
        bool eor_sent = adjout_eor_sent(p->adjout, f);
        HIO(io, eor_sent);
        adjout_each(p->adjout, f, save_advertised, io);
        HIO(io, more);
    }
}

void peer_handover_save_histories(struct peer_set *ps, struct handover_io *io)
{
    bool more = true;
    for (unsigned i = 0; i < ps->n; i++) {
        struct peer *p = ps->peers[i];
        if (peer_established(p))
            continue;
        HIO(io, more);
        hio_text(io, p->name, sizeof p->name);
        history_fields(io, &p->h);
    }
    more = false;
    HIO(io, more);
}

/* In */

/* A peer of a range that has no session need not be here. */
void peer_handover_load_histories(struct peer_set *ps, struct handover_io *io)
{
    bool more;
    for (HIO(io, more); more && !io->error; HIO(io, more)) {
        char name[PEER_NAMELEN];
        struct peer_history h = {0};
        hio_text(io, name, sizeof name);
        history_fields(io, &h);
        struct peer *p = io->error ? NULL : peer_set_find(ps, name);
        if (p && p->state == PEER_IDLE && !p->h.established)
            p->h = h;
    }
}

static struct peer *find(struct peer_set *ps, const struct handed *x)
{
    struct peer *p = peer_set_find(ps, x->name);
    if (!p && x->kind == PEER_BY_RANGE)
        p = peer_set_expect(ps, x->name);
    if (p && (p->config->kind == PEER_BY_INTERFACE) != (x->kind == PEER_BY_INTERFACE))
        return NULL;
    return p && p->state == PEER_IDLE ? p : NULL;
}

/* Whether the peer still is where it was: an interface may have been replaced. */
static bool find_place(struct peer *p, const struct handed *x)
{
    if (!p->unnumbered)
        return true;
    unnumbered_look(p->unnumbered);
    const struct ip_addr local = unnumbered_local(p->unnumbered);
    if (x->scope != unnumbered_ifindex(p->unnumbered) || !addr_equal(&local, &x->s.local))
        return false;
    peer_set_move(p, &x->address, x->scope);
    return true;
}

/* The texts belong to the process; the rest of what peer_choose_nexthops finds is as it was agreed. */
static void recall_why(const struct peer *p, struct peer_session *s)
{
    struct peer_session now = *s;
    struct capabilities common = s->common;
    peer_choose_nexthops(p, &now);
    peer_settle_nexthops(&now, &common);
    for (enum family f = 0; f < FAM_COUNT; f++)
        s->family_why[f] = s->common.family[f] ? NULL : now.family_why[f];
}

static void restart_timers(struct peer *p, struct peer_link *l)
{
    uint64_t now = loop_now_ms(), heard = l->s.heard_ms, said = l->s.said_ms;
    uint32_t say_in = l->s.say_in_ms;

    peer_start_hold(l, l->s.hold_ms);
    l->s.heard_ms = heard < now ? heard : now;
    if (l->s.hold_ms) /* it looks into the socket before it calls the peer dead */
        timer_set(l->hold, l->s.heard_ms + l->s.hold_ms > now ? l->s.heard_ms + l->s.hold_ms - now : 0);
    peer_start_keepalive(l);
    l->s.said_ms = said < now ? said : now;
    l->s.say_in_ms = say_in;
    if (l->s.keepalive_ms)
        timer_set(l->keepalive, l->s.said_ms + say_in > now ? l->s.said_ms + say_in - now : 0);
    peer_start_send_hold(l);
    timer_set(p->settle, p->settled ? PEER_STABLE_MS - PEER_SETTLE_MS : PEER_SETTLE_MS);
}

static int take_connection(struct peer_link *l, const struct handed *x, int fd)
{
    struct peer *p = l->peer;
    int r;
    l->conn = conn_new(p->set->speaker->loop, fd, false, p->set->scratch, &p->h.count, &peer_conn_ops, l);
    if (!l->conn)
        return -ENOMEM;
    l->conn->max_len = x->conn.max_len == BGP_MAX_EXT_LEN ? BGP_MAX_EXT_LEN : BGP_MAX_LEN;
    r = conn_restore(l->conn, x->conn.rest, x->conn.rest_len, x->conn.out, x->conn.out_len, x->conn.begun);
    l->conn->last_read_ms = x->conn.last_read_ms;
    l->conn->last_write_ms = x->conn.last_write_ms;
    if (r) {
        conn_free(l->conn);
        l->conn = NULL;
    }
    return r;
}

static void take_values(struct peer *p, struct peer_link *l, const struct handed *x)
{
    p->started = true;
    p->waiting = false;
    p->local_as = x->local_as;
    p->local_id = x->local_id;
    p->errors = x->errors;
    p->settled = x->settled;
    p->h = x->h;
    l->incoming = x->incoming;
    l->s = x->s;
    l->s.caps_valid = true;
    recall_why(p, &l->s);
}

/* What sessions that come up start with nothing of. */
static void take_progress(struct peer *p, const struct handed *x)
{
    bool in = false;
    p->restart.lost_ms = x->restart.lost_ms;
    p->restart.restart_s = x->restart.restart_s;
    for (enum family f = 0; f < FAM_COUNT; f++) {
        p->restart.kept[f] = x->restart.kept[f];
        p->refresh.due[f] = x->refresh[f].due && x->s.common.family[f];
        p->refresh.out[f] = x->refresh[f].out && x->s.common.enhanced_refresh;
        p->refresh.in[f] = x->refresh[f].in && x->s.common.family[f];
        p->refresh.in_until_ms[f] = x->refresh[f].in_until_ms;
        in |= p->refresh.in[f];
        p->limit.near[f] = x->near[f];
        p->limit.over[f] = x->over[f];
    }
    if (in)
        timer_set(p->refresh.timer, 0); /* finds out which is due, and when the next one is */
    peer_restart_resume(p);
}

/* 0, or -errno: then p is as it was, and fd is closed. */
static int establish(struct peer *p, const struct handed *x, int fd)
{
    struct peer_link *l = &p->links[0];
    int r = take_connection(l, x, fd);
    if (r)
        return r;
    take_values(p, l, x);
    l->state = p->state = PEER_ESTABLISHED;
    p->state_ms = p->h.up_ms;
    p->up = l;
    if (p->dynamic)
        peer_dynamic_state_changed(p);
    restart_timers(p, l);
    peer_bfd_taken_over(p, x->bfd_downs);
    r = peer_routes_up(l);
    take_progress(p, x);
    return r;
}

/* An Established session that nobody here wants. */
static bool dismiss(struct peer_set *ps, const struct handed *x, int fd, uint8_t cease)
{
    const struct bgp_error why = bgp_error_make(BGP_ERR_CEASE, cease, NULL, 0);
    struct conn *c = peer_set_stranger(ps, fd);
    if (!c)
        return false;
    if (conn_restore(c, NULL, 0, x->conn.out, x->conn.out_len, x->conn.begun)) {
        conn_free(c);
        return false;
    }
    const struct bgp_error out = peer_restart_is_notified(&x->s) ? bgp_error_wrap(&why) : why;
    log_info(cease == BGP_CEASE_DECONFIGURED ? "session not taken over: the peer is not configured any more"
                                             : "session not taken over: the peer's AS or ours has changed",
             F_STR("peer", x->name));
    peer_set_dismiss(ps, c, &out);
    return true;
}

/* What the peer has from us goes to its Adj-RIB-Out; NULL: nowhere. */
static void load_advertised(struct handover_io *io, struct peer *p, enum family f)
{
    bool eor_sent, more;
    int r = 0;
    HIO(io, eor_sent);
    if (p)
        adjout_resume(p->adjout, f, eor_sent);
    for (HIO(io, more); more && !io->error && !r; HIO(io, more)) {
        struct prefix prefix;
        uint32_t path_id;
        hio_prefix(io, f, &prefix);
        HIO(io, path_id);
        if (p && !io->error)
            r = adjout_resume_prefix(p->adjout, f, &prefix, path_id);
    }
    if (r && !io->error)
        io->error = r;
}

/* The first key whose value a session hangs on and that has another one now; NULL: none. */
static const char *changed_key(const struct peer *p, const struct handed *x)
{
    const char *name;
    if (p->local_id != p->set->speaker->router_id)
        return "router.id";
    for (unsigned i = 0;; i++) {
        uint64_t digest = peer_config_digest(p->config, i, &name);
        if (!name)
            return NULL;
        for (unsigned k = 0; k < x->n_keys; k++)
            if (!strcmp(x->key[k].name, name) && x->key[k].digest != digest)
                return name;
    }
}

struct peer *peer_handover_load(struct peer_set *ps, struct handover_io *io, int fd, bool *ended,
                                const char **changed)
{
    struct handed *x = calloc(1, sizeof *x);
    struct peer *p = NULL;

    if (x)
        handed_fields(io, x);
    else
        io->error = -ENOMEM;
    if (io->error) {
        if (fd >= 0)
            close(fd);
        free(x);
        return NULL;
    }
    p = fd >= 0 ? find(ps, x) : NULL;
    if (fd < 0) {
        log_warn("session not taken over: its connection was lost on the way", F_STR("peer", x->name));
    } else if (!p || p->ibgp != x->ibgp) {
        *ended = dismiss(ps, x, fd, p ? BGP_CEASE_CONFIG_CHANGE : BGP_CEASE_DECONFIGURED);
        p = NULL;
    } else if (!find_place(p, x)) {
        log_warn("session not taken over: its interface has changed", F_STR("peer", p->name));
        close(fd);
        p = NULL;
    } else if (establish(p, x, fd)) {
        if (p->up)
            peer_handover_abort(p);
        log_warn("session not taken over", F_STR("peer", p->name));
        p = NULL;
    }
    for (enum family f = 0; f < FAM_COUNT; f++)
        load_advertised(io, p, f);
    if (p)
        *changed = changed_key(p, x);
    free(x);
    return p;
}

bool peer_handover_is_stale(const struct peer *p)
{
    bool stale = false;
    for (enum family f = 0; p && f < FAM_COUNT; f++)
        stale |= p->restart.kept[f].on || p->refresh.in[f];
    return stale;
}

bool peer_handover_resume(struct peer *p, const char *changed)
{
    if (!p->up)
        return false;
    log_info("session taken over", F_STR("peer", p->name), F_UINT("asn", p->up->s.remote_as),
             F_STR("state", peer_state_name(p->state)),
             F_UINT("routes", p->rib->paths[FAM_IPV4] + p->rib->paths[FAM_IPV6]));
    if (changed) {
        log_info("session reset: its configuration changed", F_STR("peer", p->name), F_STR("key", changed));
        peer_reset(p, BGP_CEASE_CONFIG_CHANGE);
    } else if (peer_admin_down(p)) {
        const struct bgp_error e = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_ADMIN_SHUTDOWN, NULL, 0);
        peer_stop(p, &e);
    } else if (peer_limit_check(p)) {
        peer_addresses_changed(p);
    }
    if (!p->up)
        return false;
    peer_refresh_ask(p);
    conn_flush(p->up->conn);
    return true;
}

void peer_handover_abort(struct peer *p)
{
    if (!p->up)
        return;
    peer_note_ground_lost(p, "the state that the former process handed over is not sound", "");
    peer_link_event(p->up, FSM_EV_TCP_FAILS, NULL);
    timer_stop(p->idle_hold);
    p->errors = 0;
}
