/* The state machine of BFD, to be read beside RFC 5880 section 6.8.
 *
 * Three values stand for each of the two intervals: what is wanted (interval_us, with the slow rate while not
 * Up), what the packets say (tx_us, rx_us), and what our own timers use (tx_used_us, rx_used_us). A change
 * goes from the first to the second with a Poll Sequence; to the third at once, but for a slower transmission
 * or a faster reception in the Up state, which wait for the Final. One change at a time: while a Poll
 * Sequence is under way a session that is Up keeps saying what it polls for. */
#include "fib/bfd_session.h"

#include <string.h>

#include "fibmsg.h"

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* xorshift: the jitter need not be secret. */
static uint32_t random_below(struct bfd_session *s, uint32_t n)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 17;
    s->random ^= s->random << 5;
    return (uint32_t)((uint64_t)s->random * n >> 32);
}

static uint32_t send_interval(const struct bfd_session *s)
{
    return larger(s->tx_used_us, s->remote_rx_us);
}

/* 6.8.7: less 0 to 25 %; with a multiplier of 1 less 10 to 25 %. */
static uint32_t jittered(struct bfd_session *s)
{
    uint32_t interval = send_interval(s), quarter = interval / 4;
    uint32_t least = s->multiplier == 1 ? interval / 10 + 1 : 0;

    return interval - least - random_below(s, quarter - least + 1);
}

static bool demand_is_active(const struct bfd_session *s)
{
    return s->remote_demand && s->state == FM_BFD_UP && s->remote_state == FM_BFD_UP;
}

/* 6.8.7: whether periodic packets are sent at all. */
static bool is_periodic(const struct bfd_session *s)
{
    return s->remote_rx_us && (!demand_is_active(s) || s->poll == BFD_POLL_SENDING);
}

static void schedule(struct bfd_session *s)
{
    s->next_us = is_periodic(s) ? s->sent_us + jittered(s) : BFD_NEVER;
}

/* Brings what the packets say in line with what is wanted: 6.8.3. */
static void negotiate(struct bfd_session *s)
{
    bool up = s->state == FM_BFD_UP;
    uint32_t tx = up ? s->interval_us : larger(s->interval_us, BFD_SLOW_US), rx = s->interval_us;

    if ((tx == s->tx_us && rx == s->rx_us) || (up && s->poll != BFD_POLL_IDLE))
        return;
    if (!up || tx < s->tx_used_us)
        s->tx_used_us = tx;
    if (!up || rx > s->rx_used_us)
        s->rx_used_us = rx;
    s->tx_us = tx;
    s->rx_us = rx;
    s->poll = BFD_POLL_SENDING;
}

static void set_state(struct bfd_session *s, uint8_t state, uint8_t diag, uint64_t now_us)
{
    if (s->state == state)
        return;
    if (s->state == FM_BFD_UP)
        s->downs++;
    if (state == FM_BFD_UP)
        s->ups++;
    s->state = state;
    s->diag = diag;
    s->since_us = now_us;
    negotiate(s);
}

void bfd_session_init(struct bfd_session *s, uint32_t discriminator, uint32_t interval_us, uint8_t multiplier,
                      uint32_t seed, uint64_t now_us)
{
    uint32_t tx = larger(interval_us, BFD_SLOW_US);

    *s = (struct bfd_session){
        .state = FM_BFD_DOWN,
        .remote_state = FM_BFD_DOWN,
        .multiplier = multiplier,
        .discriminator = discriminator,
        .interval_us = interval_us,
        .tx_us = tx,
        .tx_used_us = tx,
        .rx_us = interval_us,
        .rx_used_us = interval_us,
        .remote_rx_us = 1,
        .random = seed ? seed : 1,
        .since_us = now_us,
        .sent_us = now_us,
        .next_us = now_us,
    };
}

void bfd_session_change(struct bfd_session *s, uint32_t interval_us, uint8_t multiplier, uint64_t now_us)
{
    uint32_t before = send_interval(s);
    bool other = multiplier != s->multiplier;

    (void)now_us;
    s->interval_us = interval_us;
    s->multiplier = multiplier;
    negotiate(s);
    /* 6.6: where periodic packets do not tell it, a Poll Sequence has to. */
    if (other && demand_is_active(s) && s->poll == BFD_POLL_IDLE)
        s->poll = BFD_POLL_SENDING;
    if (send_interval(s) != before || other || s->next_us == BFD_NEVER)
        schedule(s);
}

void bfd_session_admin_down(struct bfd_session *s, uint64_t now_us)
{
    s->failed = false;
    s->heard = false;
    set_state(s, FM_BFD_ADMIN_DOWN, BFD_DIAG_ADMIN_DOWN, now_us);
    schedule(s);
}

/* The lower half of 6.8.6. */
static void transition(struct bfd_session *s, uint64_t now_us)
{
    uint8_t remote = s->remote_state;

    if (remote == FM_BFD_ADMIN_DOWN) {
        s->failed = false;
        if (s->state != FM_BFD_DOWN)
            set_state(s, FM_BFD_DOWN, BFD_DIAG_NEIGHBOR_DOWN, now_us);
        return;
    }
    switch (s->state) {
    case FM_BFD_DOWN:
        if (remote == FM_BFD_DOWN)
            set_state(s, FM_BFD_INIT, s->diag, now_us);
        else if (remote == FM_BFD_INIT)
            set_state(s, FM_BFD_UP, BFD_DIAG_NONE, now_us);
        break;
    case FM_BFD_INIT:
        if (remote == FM_BFD_INIT || remote == FM_BFD_UP)
            set_state(s, FM_BFD_UP, BFD_DIAG_NONE, now_us);
        break;
    case FM_BFD_UP:
        if (remote == FM_BFD_DOWN) {
            set_state(s, FM_BFD_DOWN, BFD_DIAG_NEIGHBOR_DOWN, now_us);
            s->failed = true;
        }
        break;
    }
    if (s->state == FM_BFD_UP)
        s->failed = false;
}

/* A Final ends the Poll Sequence; what waited for it is used from now on. */
static void end_poll(struct bfd_session *s)
{
    s->poll = BFD_POLL_SETTLING;
    s->tx_used_us = s->tx_us;
    s->rx_used_us = s->rx_us;
}

bool bfd_session_receive(struct bfd_session *s, const struct bfd_packet *p, uint64_t now_us)
{
    uint32_t before = send_interval(s);
    bool was_periodic = is_periodic(s);

    s->remote_discriminator = p->my_discriminator;
    s->remote_state = p->state;
    s->remote_diag = p->diag;
    s->remote_multiplier = p->multiplier;
    s->remote_demand = p->flags & BFD_DEMAND;
    s->remote_independent = p->flags & BFD_CONTROL_PLANE_INDEPENDENT;
    s->remote_rx_us = p->rx_us;
    s->remote_tx_us = p->tx_us;
    if (p->flags & BFD_FINAL && s->poll == BFD_POLL_SENDING) {
        end_poll(s);
    } else if (!(p->flags & BFD_FINAL) && s->poll == BFD_POLL_SETTLING) {
        s->poll = BFD_POLL_IDLE;
        negotiate(s);
    }
    bool discard = s->state == FM_BFD_ADMIN_DOWN;
    if (!discard) {
        s->heard = true;
        s->granted = false;
        s->detect_from_us = now_us;
        transition(s, now_us);
    }
    if (send_interval(s) != before || is_periodic(s) != was_periodic)
        schedule(s);
    return !discard && p->flags & BFD_POLL;
}

uint64_t bfd_session_detection_us(const struct bfd_session *s)
{
    return (uint64_t)s->remote_multiplier * larger(s->rx_used_us, s->remote_tx_us);
}

uint64_t bfd_session_remote_detection_us(const struct bfd_session *s)
{
    return (uint64_t)s->multiplier * send_interval(s);
}

bool bfd_session_is_overdue(const struct bfd_session *s, uint64_t now_us)
{
    return s->heard && now_us >= s->detect_from_us + bfd_session_detection_us(s);
}

void bfd_session_expire(struct bfd_session *s, uint64_t now_us)
{
    bool up = s->state == FM_BFD_UP;

    s->heard = false;
    s->remote_discriminator = 0;
    s->remote_rx_us = 1;
    s->remote_demand = false;
    if (up || s->state == FM_BFD_INIT)
        set_state(s, FM_BFD_DOWN, BFD_DIAG_EXPIRED, now_us);
    s->failed |= up;
    schedule(s);
}

bool bfd_session_grant(struct bfd_session *s, uint64_t now_us)
{
    if (s->granted)
        return false;
    s->granted = true;
    s->detect_from_us = now_us;
    return true;
}

static void fill(const struct bfd_session *s, struct bfd_packet *out)
{
    *out = (struct bfd_packet){
        .diag = s->diag,
        .state = s->state,
        .flags = BFD_CONTROL_PLANE_INDEPENDENT,
        .multiplier = s->multiplier,
        .my_discriminator = s->discriminator,
        .your_discriminator = s->remote_discriminator,
        .tx_us = s->tx_us,
        .rx_us = s->rx_us,
    };
}

bool bfd_session_has_news(const struct bfd_session *s)
{
    struct bfd_packet p;

    fill(s, &p);
    return s->spoke && memcmp(&p, &s->last, sizeof p);
}

void bfd_session_packet(struct bfd_session *s, enum bfd_occasion why, uint64_t now_us, struct bfd_packet *out)
{
    fill(s, out);
    s->last = *out;
    s->spoke = true;
    if (why == BFD_ANSWER)
        out->flags |= BFD_FINAL;
    else if (s->poll == BFD_POLL_SENDING)
        out->flags |= BFD_POLL;
    if (why != BFD_PERIODIC)
        return;
    s->sent_us = now_us;
    schedule(s);
}

uint64_t bfd_session_due_us(const struct bfd_session *s)
{
    uint64_t detect = s->heard ? s->detect_from_us + bfd_session_detection_us(s) : BFD_NEVER;

    return detect < s->next_us ? detect : s->next_us;
}
