/* The timers of a peer and its links (RFC 4271 sections 8 and 10, RFC 9687).
 *
 * Hold and keepalive timers are not set again for every message: they note the time, and a timer that fires
 * early runs on for the rest. A hold timer that is really due first looks whether the sign of life lies
 * unread in the socket, because a busy speaker must not blame its peer.
 *
 * The send hold timer is about the other direction: a peer that goes on talking but takes nothing any more
 * keeps routes that are no longer true. It looks at what TCP has got rid of (conn_moved_ms), since a socket
 * buffer hides a peer that stopped reading for a long time when there is little to send.
 *
 * Not here: what happens when one fires (fsm.c, peer.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "peer_impl.h"

#define SEND_HOLD_LEAST_MS 480000u /* RFC 9687: 8 minutes */

/* RFC 4271 section 10: "jitter … multiplying by a random factor … from 0.75 to 1.0" */
static uint32_t jitter(uint32_t ms)
{
    return ms - arc4random_uniform(ms / 4 + 1);
}

void peer_start_connect_retry(struct peer_link *l)
{
    struct peer *p = l->peer;
    if (!l->incoming && !p->config->passive && peer_other(l)->state < PEER_OPEN_SENT)
        timer_set(p->connect_retry, jitter(p->config->connect_retry_time_ms));
}

struct peer_link *peer_connecting(struct peer *p)
{
    for (struct peer_link *l = p->links; l < p->links + 2; l++)
        if (!l->incoming && (l->state == PEER_CONNECT || l->state == PEER_ACTIVE))
            return l;
    return NULL;
}

static void on_connect_retry(void *arg)
{
    struct peer *p = arg;
    struct peer_link *l = peer_connecting(p);
    if (l && l->state == PEER_CONNECT)
        peer_note_connect_failure(p, -ETIMEDOUT);
    if (l)
        peer_link_event(l, FSM_EV_CONNECT_RETRY_EXPIRES, NULL);
}

void peer_start_hold(struct peer_link *l, uint32_t ms)
{
    l->s.heard_ms = loop_now_ms();
    if (l->s.hold_run_ms != ms) {
        l->s.hold_run_ms = ms;
        if (ms)
            timer_set(l->hold, ms);
        else
            timer_stop(l->hold);
    }
}

static bool hold_goes_on(struct peer_link *l)
{
    uint64_t now = loop_now_ms(), due = l->s.heard_ms + l->s.hold_run_ms;
    if (now < due)
        timer_set(l->hold, due - now);
    return now < due;
}

static void on_hold(void *arg)
{
    struct peer_link *l = arg;
    struct conn *c = l->conn;

    if (hold_goes_on(l))
        return;
    conn_read(c);
    if (l->conn == c && !hold_goes_on(l))
        peer_link_event(l, FSM_EV_HOLD_EXPIRES, NULL);
}

void peer_start_keepalive(struct peer_link *l)
{
    conn_moved_ms(l->conn);
    l->s.said_ms = loop_now_ms();
    l->s.say_in_ms = jitter(l->s.keepalive_ms);
    if (l->s.keepalive_ms)
        timer_set(l->keepalive, l->s.say_in_ms);
}

static void on_keepalive(void *arg)
{
    struct peer_link *l = arg;
    uint64_t now = loop_now_ms(), due = l->s.said_ms + l->s.say_in_ms;

    if (now < due) /* an UPDATE went out meanwhile, 8.2.2 */
        timer_set(l->keepalive, due - now);
    else
        peer_link_event(l, FSM_EV_KEEPALIVE_EXPIRES, NULL);
}

/* RFC 9687: the greater of 8 minutes and twice the hold time; none where there is no hold time. */
static uint32_t send_hold_ms(const struct peer_link *l)
{
    uint32_t twice = 2 * l->s.hold_ms, own = l->peer->config->send_hold_time_ms;
    if (!l->s.hold_ms)
        return 0;
    return own ? own : twice > SEND_HOLD_LEAST_MS ? twice : SEND_HOLD_LEAST_MS;
}

void peer_start_send_hold(struct peer_link *l)
{
    l->s.send_hold_ms = send_hold_ms(l);
    if (l->s.send_hold_ms)
        timer_set(l->send_hold, l->s.send_hold_ms);
}

static void on_send_hold(void *arg)
{
    struct peer_link *l = arg;
    uint64_t now = loop_now_ms(), due = conn_moved_ms(l->conn) + l->s.send_hold_ms;

    if (now < due)
        timer_set(l->send_hold, due - now);
    else
        peer_link_event(l, FSM_EV_SEND_HOLD_EXPIRES, NULL);
}

void peer_start_idle_hold(struct peer *p)
{
    uint64_t ms = p->config->idle_hold_time_ms;
    for (unsigned i = 1; i < p->errors && ms < p->config->idle_hold_max_ms; i++)
        ms *= 2;
    if (ms > p->config->idle_hold_max_ms)
        ms = p->config->idle_hold_max_ms;
    timer_set(p->idle_hold, jitter((uint32_t)ms));
}

static void on_idle_hold(void *arg)
{
    struct peer *p = arg;
    peer_link_event(&p->links[0], FSM_EV_IDLE_HOLD_EXPIRES, NULL);
}

/* First after 5 s Established, then once more when it has been stable for a minute. */
static void on_settle(void *arg)
{
    struct peer *p = arg;
    if (p->settled) {
        p->errors = 0;
        return;
    }
    p->settled = true;
    timer_set(p->settle, PEER_STABLE_MS - PEER_SETTLE_MS);
    speaker_peer_state_changed(p->set->speaker);
}

/* Creation */

int peer_link_timers_new(struct peer_link *l, struct loop *loop)
{
    l->hold = timer_new(loop, on_hold, l);
    l->keepalive = timer_new(loop, on_keepalive, l);
    l->send_hold = timer_new(loop, on_send_hold, l);
    return l->hold && l->keepalive && l->send_hold ? 0 : -ENOMEM;
}

int peer_timers_new(struct peer *p, struct loop *loop)
{
    p->connect_retry = timer_new(loop, on_connect_retry, p);
    p->idle_hold = timer_new(loop, on_idle_hold, p);
    p->settle = timer_new(loop, on_settle, p);
    return p->connect_retry && p->idle_hold && p->settle ? 0 : -ENOMEM;
}
