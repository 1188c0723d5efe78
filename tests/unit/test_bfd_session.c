/* The state machine of BFD without sockets: two sessions and a wire in one clock, and single packets where
 * the other side has to be more stubborn than ours. */
#include <string.h>

#include "fib/bfd_session.h"
#include "fibmsg.h"
#include "unit.h"

#define MS      1000ull
#define LATENCY 200 /* of the wire, us */
#define QUEUE   64

struct side {
    struct bfd_session s;
    bool deaf;     /* what comes to it is lost */
    unsigned sent; /* periodic packets */
    uint64_t gap_min, gap_max, last_us;
    struct bfd_packet last; /* as sent */
};

static struct sim {
    uint64_t now;
    struct side a, b;
    struct {
        struct side *to;
        struct bfd_packet p;
        uint64_t at;
    } queue[QUEUE];
    unsigned n;
} x;

static void emit(struct side *from, enum bfd_occasion why)
{
    struct side *to = from == &x.a ? &x.b : &x.a;
    struct bfd_packet p;

    bfd_session_packet(&from->s, why, x.now, &p);
    CU_ASSERT_FALSE(p.flags & BFD_POLL && p.flags & BFD_FINAL);
    from->last = p;
    if (why == BFD_PERIODIC) {
        uint64_t gap = x.now - from->last_us;
        if (from->sent++) {
            from->gap_min = gap < from->gap_min ? gap : from->gap_min;
            from->gap_max = gap > from->gap_max ? gap : from->gap_max;
        }
        from->last_us = x.now;
    }
    if (to->deaf)
        return;
    CU_ASSERT_FATAL(x.n < QUEUE);
    x.queue[x.n].to = to;
    x.queue[x.n].p = p;
    x.queue[x.n++].at = x.now + LATENCY;
}

static void serve(struct side *side)
{
    if (bfd_session_is_overdue(&side->s, x.now))
        bfd_session_expire(&side->s, x.now);
    if (bfd_session_has_news(&side->s))
        emit(side, BFD_IN_BETWEEN);
    if (x.now >= side->s.next_us)
        emit(side, BFD_PERIODIC);
}

static void deliver(void)
{
    struct side *to = x.queue[0].to;
    struct bfd_packet p = x.queue[0].p;

    memmove(x.queue, x.queue + 1, --x.n * sizeof *x.queue);
    if (to->deaf)
        return;
    if (bfd_session_receive(&to->s, &p, x.now))
        emit(to, BFD_ANSWER);
    serve(to);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void run_until(uint64_t end)
{
    for (;;) {
        uint64_t next = least(bfd_session_due_us(&x.a.s), bfd_session_due_us(&x.b.s));
        if (x.n)
            next = least(next, x.queue[0].at);
        if (next > end)
            break;
        x.now = next > x.now ? next : x.now;
        if (x.n && x.queue[0].at <= x.now)
            deliver();
        serve(&x.a);
        serve(&x.b);
    }
    x.now = end;
}

static void run_ms(uint64_t ms)
{
    run_until(x.now + ms * MS);
}

static void forget_gaps(struct side *side)
{
    side->sent = 0;
    side->gap_min = BFD_NEVER;
    side->gap_max = 0;
}

static void begin(uint32_t us_a, uint8_t mult_a, uint32_t us_b, uint8_t mult_b)
{
    memset(&x, 0, sizeof x);
    x.now = 1000000000;
    bfd_session_init(&x.a.s, 0xA, us_a, mult_a, 7, x.now);
    bfd_session_init(&x.b.s, 0xB, us_b, mult_b, 9, x.now);
    forget_gaps(&x.a);
    forget_gaps(&x.b);
}

static void begin_up(uint32_t us_a, uint8_t mult_a, uint32_t us_b, uint8_t mult_b)
{
    begin(us_a, mult_a, us_b, mult_b);
    run_ms(5000);
    CU_ASSERT_EQUAL_FATAL(x.a.s.state, FM_BFD_UP);
    CU_ASSERT_EQUAL_FATAL(x.b.s.state, FM_BFD_UP);
    forget_gaps(&x.a);
    forget_gaps(&x.b);
}

static void two_sides_come_up_and_agree_on_the_slower_rate(void)
{
    begin(50 * MS, 3, 200 * MS, 5);
    run_ms(20);
    CU_ASSERT_EQUAL(x.a.s.state, FM_BFD_UP);
    CU_ASSERT_EQUAL(x.b.s.state, FM_BFD_UP);
    run_ms(5000);
    forget_gaps(&x.a);
    run_ms(20000);
    CU_ASSERT_EQUAL(x.a.s.poll, BFD_POLL_IDLE);
    CU_ASSERT_EQUAL(x.a.s.tx_us, 50 * MS);
    CU_ASSERT_EQUAL(bfd_session_detection_us(&x.a.s), 5 * 200 * MS); /* 6.8.4 */
    CU_ASSERT_EQUAL(bfd_session_detection_us(&x.b.s), 3 * 200 * MS);
    CU_ASSERT_TRUE(x.a.gap_min >= 150 * MS && x.a.gap_max <= 200 * MS);
    CU_ASSERT_EQUAL(x.a.s.ups, 1);
    CU_ASSERT_EQUAL(x.a.s.downs, 0);
    CU_ASSERT_TRUE(x.a.last.flags & BFD_CONTROL_PLANE_INDEPENDENT);
}

static void the_interval_is_jittered(void)
{
    begin_up(100 * MS, 3, 100 * MS, 1);
    run_ms(60000);
    CU_ASSERT_TRUE(x.a.gap_min >= 75 * MS && x.a.gap_min < 78 * MS);
    CU_ASSERT_TRUE(x.a.gap_max <= 100 * MS && x.a.gap_max > 97 * MS);
    /* 6.8.7: with a multiplier of 1 never more than 90 %. */
    CU_ASSERT_TRUE(x.b.gap_min >= 75 * MS && x.b.gap_min < 78 * MS);
    CU_ASSERT_TRUE(x.b.gap_max <= 90 * MS && x.b.gap_max > 87 * MS);
}

static void a_second_lies_between_packets_while_it_is_not_up(void)
{
    begin(50 * MS, 3, 50 * MS, 3);
    x.a.deaf = x.b.deaf = true;
    run_ms(60000);
    CU_ASSERT_EQUAL(x.a.last.tx_us, BFD_SLOW_US);
    CU_ASSERT_TRUE(x.a.gap_min >= 750 * MS);
    CU_ASSERT_TRUE(x.a.sent >= 60 && x.a.sent <= 80);
    CU_ASSERT_EQUAL(x.a.last.your_discriminator, 0);
}

static void silence_ends_it_after_the_detection_time(void)
{
    begin_up(50 * MS, 3, 50 * MS, 3);
    x.a.deaf = true;
    uint64_t heard = x.a.s.detect_from_us;
    run_until(heard + 150 * MS - 1);
    CU_ASSERT_EQUAL(x.a.s.state, FM_BFD_UP);
    run_until(heard + 150 * MS);
    CU_ASSERT_EQUAL(x.a.s.state, FM_BFD_DOWN);
    CU_ASSERT_EQUAL(x.a.s.diag, BFD_DIAG_EXPIRED);
    CU_ASSERT_TRUE(x.a.s.failed);
    CU_ASSERT_EQUAL(x.a.s.downs, 1);
    CU_ASSERT_EQUAL(x.a.s.remote_discriminator, 0); /* 6.8.1 */
    run_ms(5);
    /* The other side still hears us, and learns it at once. */
    CU_ASSERT_EQUAL(x.b.s.state, FM_BFD_DOWN);
    CU_ASSERT_EQUAL(x.b.s.diag, BFD_DIAG_NEIGHBOR_DOWN);
    CU_ASSERT_EQUAL(x.b.s.remote_diag, BFD_DIAG_EXPIRED);
    CU_ASSERT_TRUE(x.b.s.failed);
    forget_gaps(&x.a); /* 6.8.3: slow again */
    run_ms(10000);
    CU_ASSERT_TRUE(x.a.gap_min >= 750 * MS && x.a.last.tx_us == BFD_SLOW_US);
    x.a.deaf = false;
    run_ms(5000);
    CU_ASSERT_EQUAL(x.a.s.state, FM_BFD_UP);
    CU_ASSERT_FALSE(x.a.s.failed);
    CU_ASSERT_EQUAL(x.a.s.diag, BFD_DIAG_NONE);
    CU_ASSERT_EQUAL(bfd_session_detection_us(&x.a.s), 150 * MS);
}

static void admin_down_of_the_peer_is_no_failure(void)
{
    begin_up(50 * MS, 3, 50 * MS, 3);
    bfd_session_admin_down(&x.b.s, x.now);
    serve(&x.b);
    run_ms(5);
    CU_ASSERT_EQUAL(x.a.s.state, FM_BFD_DOWN);
    CU_ASSERT_EQUAL(x.a.s.remote_state, FM_BFD_ADMIN_DOWN);
    CU_ASSERT_EQUAL(x.a.s.diag, BFD_DIAG_NEIGHBOR_DOWN);
    CU_ASSERT_FALSE(x.a.s.failed);
    run_ms(10000);
    CU_ASSERT_FALSE(x.a.s.failed);
    CU_ASSERT_EQUAL(x.a.s.state, FM_BFD_DOWN);
    CU_ASSERT_EQUAL(x.b.s.state, FM_BFD_ADMIN_DOWN); /* nothing that it hears changes that */
}

static void admin_down_ends_a_failure(void)
{
    begin_up(50 * MS, 3, 50 * MS, 3);
    x.a.deaf = true;
    run_ms(1000);
    CU_ASSERT_TRUE(x.a.s.failed);
    x.a.deaf = false;
    bfd_session_admin_down(&x.b.s, x.now);
    run_ms(2000);
    CU_ASSERT_FALSE(x.a.s.failed);
    CU_ASSERT_EQUAL(x.a.s.state, FM_BFD_DOWN);
}

static void a_change_is_polled_for(void)
{
    begin_up(50 * MS, 3, 50 * MS, 3);
    x.b.deaf = true; /* it would end with the Final */
    bfd_session_change(&x.a.s, 80 * MS, 4, x.now);
    for (int i = 0; i < 100 && x.a.last.tx_us != 80 * MS; i++)
        run_ms(1);
    CU_ASSERT_EQUAL(x.a.last.tx_us, 80 * MS);
    CU_ASSERT_EQUAL(x.a.last.rx_us, 80 * MS);
    CU_ASSERT_EQUAL(x.a.last.multiplier, 4);
    CU_ASSERT_TRUE(x.a.last.flags & BFD_POLL);
    x.b.deaf = false;
    run_ms(200);
    CU_ASSERT_EQUAL(x.a.s.poll, BFD_POLL_IDLE);
    CU_ASSERT_FALSE(x.a.last.flags & BFD_POLL);
    CU_ASSERT_EQUAL(bfd_session_detection_us(&x.b.s), 4 * 80 * MS);
    CU_ASSERT_EQUAL(x.a.s.state, FM_BFD_UP);
    CU_ASSERT_EQUAL(x.a.s.downs + x.b.s.downs, 0);
}

/* 6.8.3: the peer must know of it first. */
static void slower_sending_and_faster_hearing_wait_for_the_final(void)
{
    struct bfd_packet p;

    begin_up(50 * MS, 3, 50 * MS, 3);
    bfd_session_change(&x.a.s, 500 * MS, 3, x.now);
    CU_ASSERT_EQUAL(x.a.s.tx_us, 500 * MS);
    CU_ASSERT_EQUAL(x.a.s.tx_used_us, 50 * MS);
    CU_ASSERT_EQUAL(x.a.s.rx_used_us, 500 * MS); /* slower hearing holds at once */
    run_ms(3000);
    CU_ASSERT_EQUAL(x.a.s.tx_used_us, 500 * MS);
    bfd_session_change(&x.a.s, 50 * MS, 3, x.now);
    CU_ASSERT_EQUAL(x.a.s.tx_used_us, 50 * MS); /* and so does faster sending */
    CU_ASSERT_EQUAL(x.a.s.rx_used_us, 500 * MS);
    CU_ASSERT_EQUAL(bfd_session_detection_us(&x.a.s), 3 * 500 * MS);
    bfd_session_packet(&x.a.s, BFD_PERIODIC, x.now, &p);
    CU_ASSERT_TRUE(p.flags & BFD_POLL && p.rx_us == 50 * MS);
    run_ms(3000);
    CU_ASSERT_EQUAL(bfd_session_detection_us(&x.a.s), 150 * MS);
    CU_ASSERT_EQUAL(x.a.s.downs + x.b.s.downs, 0);
}

/* 6.8.3: what a Final is the answer to must be clear. */
static void a_second_change_waits_for_the_first(void)
{
    struct bfd_packet p = {
        .state = FM_BFD_UP, .multiplier = 3, .my_discriminator = 0xB, .tx_us = 50 * MS, .rx_us = 50 * MS};

    begin_up(50 * MS, 3, 50 * MS, 3);
    bfd_session_change(&x.a.s, 100 * MS, 3, x.now);
    bfd_session_change(&x.a.s, 400 * MS, 3, x.now);
    CU_ASSERT_EQUAL(x.a.s.tx_us, 100 * MS);
    p.flags = BFD_FINAL;
    bfd_session_receive(&x.a.s, &p, x.now);
    CU_ASSERT_EQUAL(x.a.s.tx_us, 100 * MS);
    CU_ASSERT_EQUAL(x.a.s.tx_used_us, 100 * MS);
    bfd_session_receive(&x.a.s, &p, x.now); /* one more Final to the first Poll */
    CU_ASSERT_EQUAL(x.a.s.tx_us, 100 * MS);
    p.flags = 0;
    bfd_session_receive(&x.a.s, &p, x.now);
    CU_ASSERT_EQUAL(x.a.s.tx_us, 400 * MS);
    CU_ASSERT_EQUAL(x.a.s.poll, BFD_POLL_SENDING);
}

static void a_poll_is_answered_in_every_state_but_admin_down(void)
{
    struct bfd_packet p = {.flags = BFD_POLL,
                           .state = FM_BFD_DOWN,
                           .multiplier = 3,
                           .my_discriminator = 0xB,
                           .tx_us = 1000 * MS,
                           .rx_us = 1000 * MS},
                      out;
    struct bfd_session s;

    bfd_session_init(&s, 1, 50 * MS, 3, 1, 0);
    CU_ASSERT_TRUE(bfd_session_receive(&s, &p, 10));
    bfd_session_packet(&s, BFD_ANSWER, 10, &out);
    CU_ASSERT_TRUE(out.flags & BFD_FINAL && !(out.flags & BFD_POLL));
    CU_ASSERT_EQUAL(out.your_discriminator, 0xB);
    bfd_session_admin_down(&s, 20);
    CU_ASSERT_FALSE(bfd_session_receive(&s, &p, 30));
    CU_ASSERT_EQUAL(s.state, FM_BFD_ADMIN_DOWN);
    CU_ASSERT_FALSE(s.heard);
}

/* 6.8.6: every pair of states. */
static void the_table_of_transitions(void)
{
    enum { AD = FM_BFD_ADMIN_DOWN, DN = FM_BFD_DOWN, IN = FM_BFD_INIT, UP = FM_BFD_UP };
    static const uint8_t table[4][4] = {
        [AD] = {AD, AD, AD, AD},
        [DN] = {[AD] = DN, [DN] = IN, [IN] = UP, [UP] = DN},
        [IN] = {[AD] = DN, [DN] = IN, [IN] = UP, [UP] = UP},
        [UP] = {[AD] = DN, [DN] = DN, [IN] = UP, [UP] = UP},
    };

    for (uint8_t ours = AD; ours <= UP; ours++)
        for (uint8_t theirs = AD; theirs <= UP; theirs++) {
            struct bfd_packet p = {.state = theirs,
                                   .multiplier = 3,
                                   .my_discriminator = 2,
                                   .your_discriminator = 1,
                                   .tx_us = 1000 * MS,
                                   .rx_us = 1000 * MS};
            struct bfd_session s;
            bfd_session_init(&s, 1, 50 * MS, 3, 1, 0);
            s.state = ours;
            bfd_session_receive(&s, &p, 10);
            CU_ASSERT_EQUAL(s.state, table[ours][theirs]);
            CU_ASSERT_EQUAL(s.failed, ours == UP && theirs == DN);
        }
}

static void a_peer_in_demand_mode_hears_nothing_but_changes(void)
{
    struct bfd_packet p = {.flags = BFD_DEMAND,
                           .state = FM_BFD_UP,
                           .multiplier = 3,
                           .my_discriminator = 0xB,
                           .your_discriminator = 0xA,
                           .tx_us = 50 * MS,
                           .rx_us = 50 * MS};

    begin_up(50 * MS, 3, 50 * MS, 3);
    bfd_session_receive(&x.a.s, &p, x.now);
    CU_ASSERT_EQUAL(x.a.s.next_us, BFD_NEVER);
    bfd_session_change(&x.a.s, 50 * MS, 5, x.now);
    CU_ASSERT_NOT_EQUAL(x.a.s.next_us, BFD_NEVER);
    CU_ASSERT_EQUAL(x.a.s.poll, BFD_POLL_SENDING); /* 6.6 */
    p.flags |= BFD_FINAL;
    bfd_session_receive(&x.a.s, &p, x.now);
    CU_ASSERT_EQUAL(x.a.s.next_us, BFD_NEVER);
    p.flags = 0;
    bfd_session_receive(&x.a.s, &p, x.now);
    CU_ASSERT_NOT_EQUAL(x.a.s.next_us, BFD_NEVER);
}

static void who_wants_nothing_gets_nothing(void)
{
    struct bfd_packet p = {
        .state = FM_BFD_DOWN, .multiplier = 3, .my_discriminator = 0xB, .tx_us = 1000 * MS};
    struct bfd_session s;

    bfd_session_init(&s, 1, 50 * MS, 3, 1, 0);
    bfd_session_receive(&s, &p, 10);
    CU_ASSERT_EQUAL(s.next_us, BFD_NEVER); /* 6.8.7: Required Min RX Interval 0 */
    CU_ASSERT_EQUAL(bfd_session_due_us(&s), 10 + 3000 * MS);
    bfd_session_expire(&s, 10 + 3000 * MS);
    CU_ASSERT_EQUAL(s.remote_rx_us, 1); /* 6.8.18 */
    CU_ASSERT_NOT_EQUAL(s.next_us, BFD_NEVER);
}

/* 6.8.3: "cannot wait longer than the new interval". */
static void a_peer_that_wants_more_gets_it_at_once(void)
{
    struct bfd_packet p = {.state = FM_BFD_UP,
                           .multiplier = 3,
                           .my_discriminator = 0xB,
                           .your_discriminator = 0xA,
                           .tx_us = 50 * MS,
                           .rx_us = 10000 * MS};

    begin_up(50 * MS, 3, 50 * MS, 3);
    uint64_t sent = x.a.s.sent_us;
    bfd_session_receive(&x.a.s, &p, x.now);
    CU_ASSERT_TRUE(x.a.s.next_us >= sent + 7500 * MS);
    p.rx_us = 50 * MS;
    bfd_session_receive(&x.a.s, &p, x.now);
    CU_ASSERT_TRUE(x.a.s.next_us <= sent + 50 * MS);
}

static void the_detection_time_is_granted_once(void)
{
    begin_up(50 * MS, 3, 50 * MS, 3);
    x.a.deaf = true;
    uint64_t late = x.a.s.detect_from_us + 400 * MS;
    CU_ASSERT_TRUE(bfd_session_is_overdue(&x.a.s, late));
    CU_ASSERT_TRUE(bfd_session_grant(&x.a.s, late));
    CU_ASSERT_FALSE(bfd_session_is_overdue(&x.a.s, late + 150 * MS - 1));
    CU_ASSERT_TRUE(bfd_session_is_overdue(&x.a.s, late + 150 * MS));
    CU_ASSERT_FALSE(bfd_session_grant(&x.a.s, late + 150 * MS));
    bfd_session_expire(&x.a.s, late + 150 * MS);
    CU_ASSERT_EQUAL(x.a.s.state, FM_BFD_DOWN);
}

static void extremes_do_not_wrap(void)
{
    struct bfd_packet p = {.state = FM_BFD_DOWN,
                           .multiplier = 255,
                           .my_discriminator = 0xB,
                           .tx_us = UINT32_MAX,
                           .rx_us = UINT32_MAX};
    struct bfd_session s;

    bfd_session_init(&s, 1, 50 * MS, 1, 1, 0);
    bfd_session_receive(&s, &p, 10);
    CU_ASSERT_EQUAL(bfd_session_detection_us(&s), 255ull * UINT32_MAX);
    CU_ASSERT_TRUE(s.next_us >= UINT32_MAX / 4ull * 3 - 1 && s.next_us <= UINT32_MAX);
}

/* Loss of every third packet or so: no flap within the multiplier. */
static void losses_below_the_multiplier_are_borne(void)
{
    begin_up(50 * MS, 3, 50 * MS, 3);
    for (int i = 0; i < 500; i++) {
        x.a.deaf = i % 2;
        x.b.deaf = i % 3 == 0;
        run_ms(37);
    }
    CU_ASSERT_EQUAL(x.a.s.downs + x.b.s.downs, 0);
}

static const struct unit_case cases[] = {
    UNIT(two_sides_come_up_and_agree_on_the_slower_rate),
    UNIT(the_interval_is_jittered),
    UNIT(a_second_lies_between_packets_while_it_is_not_up),
    UNIT(silence_ends_it_after_the_detection_time),
    UNIT(admin_down_of_the_peer_is_no_failure),
    UNIT(admin_down_ends_a_failure),
    UNIT(a_change_is_polled_for),
    UNIT(slower_sending_and_faster_hearing_wait_for_the_final),
    UNIT(a_second_change_waits_for_the_first),
    UNIT(a_poll_is_answered_in_every_state_but_admin_down),
    UNIT(the_table_of_transitions),
    UNIT(a_peer_in_demand_mode_hears_nothing_but_changes),
    UNIT(who_wants_nothing_gets_nothing),
    UNIT(a_peer_that_wants_more_gets_it_at_once),
    UNIT(the_detection_time_is_granted_once),
    UNIT(extremes_do_not_wrap),
    UNIT(losses_below_the_multiplier_are_borne),
};
UNIT_MAIN("bfd_session", cases)
