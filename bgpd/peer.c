/* A peer's life: carries out what the FSM says (fsm.c), owns the timers, and decides between sessions.
 *
 * A peer has two links, each an FSM of its own with at most one TCP connection: one that connects (or,
 * passive, waits), and room for one that came in. They meet in the collision rules (peer_open.c); the winner
 * goes on, wherever it lies. The ConnectRetryTimer belongs to the one that connects, the IdleHoldTimer to the
 * peer: it runs when neither link lives, and doubles while errors follow each other (8.2.2,
 * DampPeerOscillations).
 *
 * Not here: timers (peer_timer.c), messages (peer_open.c, peer_update.c), listeners and configuration
 * (peer_set.c), how it looks (peer_info.c), why it is not up (peer_why.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer_impl.h"
#include "transport.h"

#define FRESH_MS 1000 /* an attempt to connect: until the kernel sends its SYN again */

bool peer_admin_down(const struct peer *p)
{
    return p->config->shutdown || p->shut_by_cli;
}

/* Actions */

static void notify(struct peer_link *l, const struct fsm_step *st, const struct bgp_error *err)
{
    struct bgp_error own;
    if (st->code) {
        bool unexpected = st->code == BGP_ERR_FSM && l->rx_type;
        own = bgp_error_make(st->code, unexpected ? st->subcode : 0, &l->rx_type, unexpected);
        err = &own;
    } else if (!err) {
        own = bgp_error_make(BGP_ERR_CEASE, 0, NULL, 0);
        err = &own;
    }
    peer_send_notification(l, err);
}

/* A connection on which a NOTIFICATION waits closes slowly. */
static void drop(struct peer_link *l, bool notified)
{
    struct conn *c = l->conn;
    l->conn = NULL;
    if (c && notified)
        conn_linger(c, &l->peer->set->lingering);
    else
        conn_free(c);
}

static void release(struct peer_link *l)
{
    struct peer *p = l->peer;
    timer_stop(l->hold);
    timer_stop(l->keepalive);
    timer_stop(l->send_hold);
    l->s.hold_run_ms = 0;
    if (p->up != l)
        return;
    p->up = NULL;
    p->offer = OFFER_ALL;
    p->offers_told = 0;
    timer_stop(p->settle);
    p->h.dropped++;
    peer_restart_down(l);
    peer_routes_down(p);
}

static int start_connection(struct peer_link *l)
{
    struct peer *p = l->peer;
    const struct peer_config *c = p->config;
    const struct transport_options o = {
        .local = p->unnumbered ? unnumbered_local(p->unnumbered) : c->local_address,
        .scope = p->scope,
        .key = *c->password ? c->password : NULL,
        .ttl = c->multihop ? c->multihop
               : p->ibgp   ? 0
                           : 1,
        .gtsm_hops = c->ttl_security,
    };
    int fd, r = transport_connect(&p->address, c->port, &o, &fd);
    p->attempt_ms = loop_now_ms();
    if (r)
        return r;
    l->conn = conn_new(p->set->speaker->loop, fd, true, p->set->scratch, &p->h.count, &peer_conn_ops, l);
    return l->conn ? 0 : -ENOMEM;
}

static void do_connect(struct peer_link *l)
{
    int r = start_connection(l);
    if (r) {
        peer_note_connect_failure(l->peer, r);
        peer_link_event(l, FSM_EV_TCP_FAILS, NULL);
    }
}

/* Ends a link that nobody needs any more; not an error, and nothing restarts because of it. */
static void abandon(struct peer_link *l, const struct bgp_error *why)
{
    struct peer *p = l->peer;
    bool started = p->started;
    unsigned errors = p->errors;

    p->started = false;
    peer_link_event(l, FSM_EV_MANUAL_STOP, why);
    p->started = started;
    p->errors = errors;
}

static void note_up(struct peer_link *l)
{
    struct peer *p = l->peer;
    p->up = l;
    p->h.established++;
    p->h.up_ms = loop_now_ms();
    p->h.up_wall = (uint64_t)wall_now_s();
    p->settled = false;
    timer_set(p->settle, PEER_SETTLE_MS);
    peer_start_send_hold(l);
}

static void session_up(struct peer_link *l)
{
    struct peer_link *other = peer_other(l);

    /* An attempt that has not got as far as an OPEN is pointless now; one that has is judged by the peer's
     * OPEN (6.8). */
    if (other->state == PEER_CONNECT || other->state == PEER_ACTIVE)
        abandon(other, NULL);
    if (peer_routes_up(l))
        peer_out_of_memory(l);
    else
        peer_bfd_session_up(l->peer);
}

/* Transitions */

static enum peer_state higher_state(const struct peer *p)
{
    enum peer_state a = p->links[0].state, b = p->links[1].state;
    return a > b ? a : b;
}

static void state_changed(struct peer *p)
{
    enum peer_state before = p->state;
    p->state = higher_state(p);
    if (p->state == before)
        return;
    p->state_ms = loop_now_ms();
    if (p->dynamic)
        peer_dynamic_state_changed(p);
    peer_log_transition(p, before);
    if (p->state == PEER_ESTABLISHED || before == PEER_ESTABLISHED)
        speaker_peer_state_changed(p->set->speaker);
}

/* One link has come to its end. The other one may go on; if it was only trying, an error makes both wait, and
 * so does a session lost once too often: or a flapping peer would always have its next connection ready. One
 * that still waits for the peer's OPEN beside a session is most likely none any more, but a leftover of the
 * time when both sides connected. It must not keep us from a new one for the four minutes of OpenSent; a peer
 * that means it has sent its OPEN long before. */
static void link_ended(struct peer_link *l, bool error, enum peer_state before)
{
    struct peer *p = l->peer;
    struct peer_link *other = peer_other(l);

    l->incoming = false;
    bool flaps = error && before == PEER_ESTABLISHED && p->errors > PEER_FORGIVEN;
    if (p->started && before >= PEER_OPEN_CONFIRM && other->state == PEER_OPEN_SENT)
        peer_start_hold(other, PEER_LEFTOVER_MS);
    if (!p->started || (other->state >= PEER_OPEN_SENT && !flaps))
        return;
    if (other->state != PEER_IDLE) {
        if (!error) {
            if (other->state == PEER_ACTIVE && !timer_running(p->connect_retry))
                peer_start_connect_retry(other);
            return;
        }
        abandon(other, NULL);
    }
    peer_start_idle_hold(p);
}

/* Of a connection that nobody needed nothing is counted. */
static void end_parts(struct peer_link *l, const struct fsm_step *st, const struct bgp_error *err,
                      enum peer_state before)
{
    if (st->actions & FSM_DO_NOTIFY)
        notify(l, st, err);
    if ((st->actions & FSM_DO_STOP_CONNECT_RETRY) && !l->incoming)
        timer_stop(l->peer->connect_retry);
    if (st->actions & FSM_DO_RELEASE)
        release(l);
    if (st->actions & FSM_DO_DROP)
        drop(l, st->actions & FSM_DO_NOTIFY);
    if (st->actions & FSM_DO_COUNT_ZERO)
        l->peer->errors = 0;
    if ((st->actions & FSM_DO_COUNT_UP) &&
        (before == PEER_ESTABLISHED || peer_other(l)->state < PEER_OPEN_SENT))
        l->peer->errors++;
}

static void start_parts(struct peer_link *l, const struct fsm_step *st)
{
    if (st->actions & FSM_DO_SEND_OPEN)
        peer_send_open(l);
    if (st->actions & FSM_DO_HOLD_LARGE)
        peer_start_hold(l, PEER_OPEN_HOLD_MS);
    if (st->actions & FSM_DO_SEND_KEEPALIVE)
        peer_send_keepalive(l);
    if (st->actions & FSM_DO_HOLD)
        peer_start_hold(l, l->s.hold_ms);
    if (st->actions & FSM_DO_KEEPALIVE)
        peer_start_keepalive(l);
    if (st->actions & FSM_DO_START_CONNECT_RETRY)
        peer_start_connect_retry(l);
    /* An incoming connection takes over from an outgoing FSM that only waits for its next attempt. */
    if (l->state == PEER_OPEN_SENT && peer_other(l)->state == PEER_ACTIVE)
        timer_stop(l->peer->connect_retry);
}

/* The last action of a step may raise the next event, so it comes when everything else is done. */
void peer_link_event(struct peer_link *l, enum fsm_event e, const struct bgp_error *err)
{
    struct peer *p = l->peer;
    enum peer_state before = l->state;
    struct fsm_step st = fsm_step(before, e);

    l->state = st.next;
    if (p->up == l && st.next != PEER_ESTABLISHED)
        peer_restart_ends(l, e, err);
    end_parts(l, &st, err, before);
    start_parts(l, &st);
    if (l->incoming && l->state == PEER_ACTIVE && before > PEER_ACTIVE)
        l->state = PEER_IDLE; /* it came in and is gone: nothing to wait for on this one */
    if (before != PEER_IDLE && l->state == PEER_IDLE)
        link_ended(l, st.actions & FSM_DO_COUNT_UP, before);
    if (st.actions & FSM_DO_UP)
        note_up(l);
    state_changed(p);
    if (st.actions & FSM_DO_CONNECT)
        do_connect(l);
    else if (st.actions & FSM_DO_RESTART)
        peer_start(p, false);
    else if (st.actions & FSM_DO_UP)
        session_up(l);
}

void peer_out_of_memory(struct peer_link *l)
{
    const struct bgp_error e = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_RESOURCES, NULL, 0);
    peer_link_event(l, FSM_EV_AUTO_STOP, &e);
}

/* Start and stop */

/* hesitates: listens at first, and connects a moment later. */
static void start(struct peer *p, bool by_operator, bool hesitates)
{
    struct peer_link *l = &p->links[0];
    bool damped = p->errors > 0;

    if (by_operator)
        peer_limit_release(p);
    peer_bfd_look(p);
    if (p->limit.held || peer_admin_down(p) || !p->set->speaker->running || p->set->stopping ||
        p->state != PEER_IDLE)
        return;
    if (p->unnumbered)
        unnumbered_look(p->unnumbered);
    p->started = true;
    p->local_as = p->config->local_asn;
    p->local_id = p->set->speaker->router_id;
    if (by_operator)
        p->offer = OFFER_ALL;
    timer_stop(p->idle_hold);
    if (!peer_is_reachable(p) || peer_bfd_holds(p)) {
        peer_wait(p);
        return;
    }
    p->waiting = false;
    hesitates |= peer_bfd_has_parked(p);
    hesitates &= !p->config->passive;
    l->incoming = false;
    if (p->config->passive || hesitates)
        peer_link_event(l,
                        by_operator ? FSM_EV_MANUAL_START_PASSIVE
                        : damped    ? FSM_EV_AUTO_START_DAMPED_PASSIVE
                                    : FSM_EV_AUTO_START_PASSIVE,
                        NULL);
    else
        peer_link_event(l,
                        by_operator ? FSM_EV_MANUAL_START
                        : damped    ? FSM_EV_AUTO_START_DAMPED
                                    : FSM_EV_AUTO_START,
                        NULL);
    if (hesitates)
        timer_set(p->connect_retry, PEER_HESITATE_MS + arc4random_uniform(200));
}

/* Two who find each other by advertisements do so in the same moment, and would connect in the same one too.
 */
void peer_start(struct peer *p, bool by_operator)
{
    start(p, by_operator, p->unnumbered && !by_operator);
}

void peer_stop(struct peer *p, const struct bgp_error *why)
{
    p->started = false;
    p->waiting = false;
    timer_stop(p->idle_hold);
    timer_stop(p->connect_retry);
    for (int i = 0; i < 2; i++)
        peer_link_event(&p->links[i], FSM_EV_MANUAL_STOP, why);
    peer_restart_drop(p, "the peer was shut down, reset or removed");
}

/* A peer that sees the new connection before it has read the NOTIFICATION takes it for a restart (RFC 4724
 * 4.2): it never hears why, and FRR refuses the first OPEN. */
void peer_reset(struct peer *p, uint8_t cease)
{
    const struct bgp_error e = bgp_error_make(BGP_ERR_CEASE, cease, NULL, 0);
    bool lost = p->up;
    peer_stop(p, &e);
    start(p, true, lost);
}

void peer_shutdown(struct peer *p, const char *message)
{
    struct bgp_error e = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_ADMIN_SHUTDOWN, NULL, 0);

    free(p->shutdown_message);
    p->shutdown_message = message ? strdup(message) : NULL;
    p->shut_by_cli = true;
    if (message)
        bgp_error_set_message(&e, message);
    peer_stop(p, &e);
    peer_bfd_look(p);
}

void peer_no_shutdown(struct peer *p)
{
    free(p->shutdown_message);
    p->shutdown_message = NULL;
    p->shut_by_cli = false;
    peer_start(p, true);
}

bool peer_is_shutdown(const struct peer *p, const char **message)
{
    if (message)
        *message = p->shutdown_message;
    return p->shut_by_cli;
}

void peer_clear(struct peer *p)
{
    peer_reset(p, BGP_CEASE_ADMIN_RESET);
}

/* The connection is dead, though nobody says so: nothing from the other side reaches us any more. Where the
 * address was none that we knew of when the session began, its absence means nothing. */
static void end_without_address(struct peer_link *l)
{
    if (l->state < PEER_OPEN_SENT || !l->s.ifindex || peer_address_is_ours(l->peer, &l->s.local))
        return;
    peer_note_address_gone(l);
    peer_link_event(l, FSM_EV_TCP_FAILS, NULL);
}

void peer_drop(struct peer *p)
{
    unsigned errors = p->errors;

    for (struct peer_link *l = p->links; l < p->links + 2; l++) {
        if (l->state > PEER_ACTIVE)
            peer_link_event(l, FSM_EV_TCP_FAILS, NULL);
        peer_link_event(l, FSM_EV_MANUAL_STOP, NULL); /* without a connection: says nothing */
    }
    timer_stop(p->idle_hold);
    timer_stop(p->connect_retry);
    p->errors = errors;
}

void peer_wait(struct peer *p)
{
    char why[160], hint[160];

    p->waiting = true;
    peer_waiting_why(p, why, sizeof why, hint, sizeof hint);
    log_info("waiting", F_STR("peer", p->name), F_STR("reason", why));
}

/* Addresses come in bursts, our own VIPs among them. What has just been sent may be answered already; the
 * peer would see a connection that is reset and another one, which not every peer survives: of a dynamic
 * neighbor FRR 8 forgets the session that then comes up. */
static bool is_fresh_attempt(const struct peer_link *l)
{
    return l->state == PEER_CONNECT && loop_now_ms() - l->peer->attempt_ms < FRESH_MS;
}

void peer_addresses_changed(struct peer *p)
{
    if (p->unnumbered)
        unnumbered_look(p->unnumbered);
    for (int i = 0; i < 2; i++)
        end_without_address(&p->links[i]);
    peer_bfd_look(p);
    if (p->waiting) {
        if (peer_is_reachable(p) && !peer_bfd_holds(p))
            peer_start(p, false);
    } else if (timer_running(p->connect_retry)) {
        struct peer_link *l = peer_connecting(p);
        if (l && !is_fresh_attempt(l))
            peer_link_event(l, FSM_EV_CONNECT_RETRY_EXPIRES, NULL);
    }
}

/* A newer one replaces one that has not sent its OPEN: the peer has restarted, or gave that one up. NULL: no
 * room. */
static struct peer_link *link_for_incoming(struct peer *p)
{
    struct peer_link *found = NULL;
    for (struct peer_link *l = p->links; l < p->links + 2; l++) {
        if (l->state == PEER_IDLE)
            return l;
        if (l->incoming && l->state == PEER_OPEN_SENT)
            found = l;
    }
    return found;
}

/* In Idle after an error that we complained about, the peer has to wait as we do. After one of its own, or
 * silence, its connection says that it is ready again: waiting longer would only lengthen the outage. But not
 * when it flaps: each time costs everybody behind us a change of routes. */
static bool may_come_in(struct peer *p)
{
    bool forgiven = !p->complained && p->errors <= PEER_FORGIVEN;
    if (p->started && p->state == PEER_IDLE && !p->waiting && forgiven) {
        timer_stop(p->idle_hold);
        p->links[0].incoming = false;
        peer_link_event(&p->links[0], FSM_EV_AUTO_START_DAMPED_PASSIVE, NULL);
    }
    return p->started && p->state != PEER_IDLE;
}

/* A connection that came in, from this peer's address: an FSM of its own tracks it. Idle refuses (RFC
 * 4271 8.2.2): by closing without a word, which leaves the other side listening, so that our own attempt
 * after Idle finds it; two that refuse each other with a NOTIFICATION could be Idle in turns for ever. What
 * an operator closed says so (RFC 4486). */
void peer_accept(struct peer *p, int fd)
{
    const struct peer_config *c = p->config;
    const struct transport_options o = {.ttl = c->multihop ? c->multihop
                                               : p->ibgp   ? 0
                                                           : 1,
                                        .gtsm_hops = c->ttl_security,
                                        .check_syn = p->set->check_syn};
    struct peer_link *l = NULL;

    if (peer_admin_down(p) || p->limit.held) {
        peer_set_reject(p->set, fd, BGP_CEASE_REJECTED);
        return;
    }
    if (p->started && p->waiting && peer_bfd_holds(p)) {
        peer_bfd_park(p, fd);
        return;
    }
    if (may_come_in(p))
        l = link_for_incoming(p);
    if (!l || transport_accepted(fd, &o)) {
        log_debug("connection from the peer closed: not the time for it", F_STR("peer", p->name),
                  F_STR("state", peer_state_name(p->state)));
        close(fd);
        return;
    }
    if (l->state == PEER_OPEN_SENT) {
        const struct bgp_error e = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_COLLISION, NULL, 0);
        abandon(l, &e);
    }
    l->incoming = true;
    peer_link_event(l, FSM_EV_AUTO_START_DAMPED_PASSIVE, NULL);
    l->conn = conn_new(p->set->speaker->loop, fd, false, p->set->scratch, &p->h.count, &peer_conn_ops, l);
    peer_link_event(l, l->conn ? FSM_EV_TCP_CONFIRMED : FSM_EV_TCP_FAILS, NULL);
}

/* Creation */

static int make_links(struct peer *p, struct loop *loop)
{
    for (int i = 0; i < 2; i++) {
        struct peer_link *l = &p->links[i];
        l->peer = p;
        if (peer_link_timers_new(l, loop))
            return -ENOMEM;
    }
    return 0;
}

/* Everything of a peer that is an object of its own. */
static int make_parts(struct peer *p, struct speaker *s)
{
    struct peer_set *ps = p->set;
    bool by_interface = p->config->kind == PEER_BY_INTERFACE;

    if (by_interface && !ps->rasock)
        ps->rasock = rasock_new(s, &unnumbered_rasock_ops, ps);
    p->unnumbered = by_interface && ps->rasock ? unnumbered_new(p) : NULL;
    p->limit.again = timer_new(s->loop, peer_limit_again, p);
    p->refresh.timer = timer_new(s->loop, peer_refresh_timeout, p);
    p->tx = task_new(s->loop, peer_tx_step, p);
    p->rib = rib_peer_add(s->rib, p->ibgp, &p->address, p);
    p->adjout = p->rib ? adjout_new(s->rib, p->rib, peer_tx_wake, p) : NULL;
    if (!p->adjout || !p->tx || !p->refresh.timer || !p->limit.again || (by_interface && !p->unnumbered) ||
        peer_restart_init(p))
        return -ENOMEM;
    return peer_timers_new(p, s->loop);
}

struct peer *peer_new(struct peer_set *ps, const struct peer_config *c, const struct ip_addr *at)
{
    struct speaker *s = ps->speaker;
    struct peer *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->set = ps;
    p->config = c;
    p->ibgp = peer_config_is_ibgp(s->config, c);
    p->local_as = c->local_asn;
    p->local_id = s->router_id;
    p->state_ms = loop_now_ms();
    p->address = at ? *at : c->address;
    if (c->kind == PEER_BY_INTERFACE)
        memcpy(p->name, c->interface, sizeof c->interface);
    else
        addr_format(&p->address, p->name);
    if (make_parts(p, s) || make_links(p, s->loop)) {
        peer_free(p);
        return NULL;
    }
    return p;
}

void peer_free(struct peer *p)
{
    if (!p)
        return;
    for (int i = 0; i < 2; i++) {
        timer_free(p->links[i].hold);
        timer_free(p->links[i].keepalive);
        timer_free(p->links[i].send_hold);
        conn_free(p->links[i].conn);
    }
    timer_free(p->connect_retry);
    timer_free(p->idle_hold);
    timer_free(p->settle);
    timer_free(p->limit.again);
    peer_restart_free(p);
    task_free(p->tx);
    unnumbered_free(p->unnumbered);
    peer_bfd_free(p);
    if (p->up)
        peer_routes_down(p);
    timer_free(p->refresh.timer);
    if (p->adjout)
        adjout_free(p->adjout);
    if (p->rib)
        rib_peer_remove(p->set->speaker->rib, p->rib);
    peer_dynamic_free(p);
    peer_debug_free(p);
    peer_policy_forget(p);
    free(p->shutdown_message);
    free(p->h.offences);
    free(p);
}
