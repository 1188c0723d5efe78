/* BFD as a peer uses it, between the parent's word (played by the test) and a BGP session. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/bfd_name.h"
#include "peer_impl.h"
#include "peer_rig.h"

/* a's peer is 127.0.0.2, played. */
static void begin(struct rig *r, bool strict)
{
    rig_set_up(r);
    r->a.peers[0].passive = true;
    r->a.peers[0].idle_hold_time_ms = 20;
    r->a.peers[0].local_address = (struct ip_addr){0};
    r->a.peers[0].bfd.on = true;
    r->a.peers[0].bfd.interval_ms = 50;
    r->a.peers[0].bfd.multiplier = 3;
    r->a.peers[0].bfd.strict = strict;
    rig_start(&r->a);
}

static void end(struct rig *r, struct raw *x)
{
    raw_close(x);
    rig_tear_down(r);
}

static bool was_up;
static uint32_t downs;

static struct fm_bfd_state word(const struct rig *r, uint8_t state, uint32_t flags)
{
    downs += was_up && state != FM_BFD_UP;
    was_up = state == FM_BFD_UP;
    return (struct fm_bfd_state){
        .downs = downs,
        .peer = r->a.fib.bfd.peer,
        .state = state,
        .remote_state = state == FM_BFD_UP ? FM_BFD_UP : FM_BFD_DOWN,
        .diag = flags & FM_BFD_FAILED ? 1 : 0,
        .flags = flags,
        .discriminator = 7,
        .local = {127, 0, 0, 1},
    };
}

static void say(struct rig *r, uint8_t state, uint32_t flags)
{
    const struct fm_bfd_state st = word(r, state, flags);
    peer_set_bfd_state(r->a.s.peers, &st);
}

static struct peer_info info(struct rig *r)
{
    struct peer_info i;
    peer_info(rig_peer(&r->a), &i);
    return i;
}

static void up(struct rig *r, struct raw *x)
{
    bool connected = false;
    for (int i = 0; i < 100 && !connected; i++) {
        connected = raw_connect(r, x, "127.0.0.2") && raw_establish(r, x);
        if (!connected)
            raw_close(x);
        rig_settle(r, 10);
    }
    CU_ASSERT_FATAL(connected);
}

static void a_session_is_asked_for_as_configured(void)
{
    struct rig r;
    struct raw x = {.fd = -1, .listener = -1};
    begin(&r, false);
    const struct fm_bfd *m = &r.a.fib.bfd;
    CU_ASSERT_EQUAL(r.a.fib.bfd_sets, 1);
    CU_ASSERT(m->peer.af == AF_INET && !memcmp(m->peer.addr, (uint8_t[]){127, 0, 0, 2}, 4));
    CU_ASSERT(m->interval_us == 50000 && m->multiplier == 3 && m->min_ttl == 255 && !m->flags);
    CU_ASSERT_EQUAL(m->local[0], 0); /* the kernel's choice */
    peer_addresses_changed(rig_peer(&r.a));
    peer_clear(rig_peer(&r.a));
    CU_ASSERT_EQUAL(r.a.fib.bfd_sets, 1);
    CU_ASSERT_EQUAL(r.a.fib.bfd_dels, 0);
    end(&r, &x);
}

static void hops_make_it_a_session_over_hops(void)
{
    struct rig r;
    struct raw x = {.fd = -1, .listener = -1};
    rig_set_up(&r);
    r.a.peers[0].bfd.on = true;
    r.a.peers[0].bfd.interval_ms = 300;
    r.a.peers[0].bfd.multiplier = 3;
    r.a.peers[0].multihop = 3;
    rig_start(&r.a);
    CU_ASSERT_EQUAL(r.a.fib.bfd.flags, FM_BFD_MULTIHOP);
    CU_ASSERT_EQUAL(r.a.fib.bfd.min_ttl, 253);
    CU_ASSERT_EQUAL(memcmp(r.a.fib.bfd.local, (uint8_t[]){127, 0, 0, 1}, 4), 0); /* local-address */
    end(&r, &x);
}

static void a_change_of_the_configuration_changes_the_session_and_resets_nothing(void)
{
    struct rig r;
    struct raw x;
    struct config next;
    struct peer_config peers[2];
    begin(&r, false);
    up(&r, &x);
    next = r.a.config;
    memcpy(peers, r.a.peers, sizeof peers);
    next.peers = peers;
    peers[0].bfd.interval_ms = 100;
    r.a.s.config = &next;
    CU_ASSERT_EQUAL(peer_set_apply(r.a.s.peers, &next), 0);
    CU_ASSERT_EQUAL(r.a.fib.bfd_sets, 2);
    CU_ASSERT_EQUAL(r.a.fib.bfd.interval_us, 100000);
    memcpy(r.a.peers, peers, sizeof peers);
    r.a.peers[0].bfd.on = false;
    r.a.s.config = &r.a.config;
    CU_ASSERT_EQUAL(peer_set_apply(r.a.s.peers, &r.a.config), 0);
    CU_ASSERT_EQUAL(r.a.fib.bfd_dels, 1);
    CU_ASSERT_PTR_NULL(info(&r).bfd);
    CU_ASSERT(peer_established(rig_peer(&r.a)) && info(&r).dropped_count == 0);
    end(&r, &x);
}

static void it_ends_with_what_an_operator_shuts_down_and_begins_again(void)
{
    struct rig r;
    struct raw x = {.fd = -1, .listener = -1};
    begin(&r, false);
    peer_shutdown(rig_peer(&r.a), NULL);
    CU_ASSERT_EQUAL(r.a.fib.bfd_dels, 1);
    say(&r, FM_BFD_DOWN, FM_BFD_FAILED); /* crossed it */
    peer_no_shutdown(rig_peer(&r.a));
    CU_ASSERT_EQUAL(r.a.fib.bfd_sets, 2);
    CU_ASSERT_PTR_NULL(info(&r).bfd_state);
    r.a.config.n_peers = 0;
    CU_ASSERT_EQUAL(peer_set_apply(r.a.s.peers, &r.a.config), 0);
    CU_ASSERT_EQUAL(r.a.fib.bfd_dels, 2);
    end(&r, &x);
}

static void a_speaker_that_ends_leaves_the_sessions_alone(void)
{
    struct rig r;
    begin(&r, false);
    peer_set_stop(r.a.s.peers, BGP_CEASE_ADMIN_SHUTDOWN, false, NULL, NULL);
    peer_addresses_changed(rig_peer(&r.a));
    CU_ASSERT_EQUAL(r.a.fib.bfd_dels, 0);
    struct raw x = {.fd = -1, .listener = -1};
    end(&r, &x);
}

static void a_failure_ends_the_session_with_its_reason(void)
{
    struct rig r;
    struct raw x;
    begin(&r, false);
    up(&r, &x);
    say(&r, FM_BFD_UP, 0);
    CU_ASSERT_TRUE(peer_established(rig_peer(&r.a)));
    say(&r, FM_BFD_DOWN, FM_BFD_FAILED);
    CU_ASSERT_FALSE(peer_established(rig_peer(&r.a)));
    CU_ASSERT_EQUAL(rig_peer(&r.a)->restart.end, END_BFD_DOWN);
    CU_ASSERT_STRING_EQUAL(info(&r).last_reset,
                           "NOTIFICATION sent: Cease/BFD Down, control detection time expired");
    CU_ASSERT_PTR_NOT_NULL(strstr(info(&r).hint, "show bfd peers"));
    CU_ASSERT_TRUE(raw_expect_notification(&r, &x, BGP_ERR_CEASE, BGP_CEASE_BFD_DOWN, 1000));
    raw_close(&x);
    /* A peer without BFD still works; the parent has to know that the next hop is used again. */
    up(&r, &x);
    CU_ASSERT_EQUAL(r.a.fib.alives, 1);
    say(&r, FM_BFD_INIT, FM_BFD_FAILED); /* the same failure */
    CU_ASSERT_TRUE(peer_established(rig_peer(&r.a)));
    say(&r, FM_BFD_UP, 0);
    say(&r, FM_BFD_DOWN, FM_BFD_FAILED);
    CU_ASSERT_FALSE(peer_established(rig_peer(&r.a)));
    end(&r, &x);
}

static void what_is_no_failure_ends_nothing(void)
{
    struct rig r;
    struct raw x;
    begin(&r, false);
    say(&r, FM_BFD_DOWN, 0); /* before it was ever up */
    up(&r, &x);
    CU_ASSERT_EQUAL(r.a.fib.alives, 0);
    say(&r, FM_BFD_UP, 0);
    struct fm_bfd_state st = word(&r, FM_BFD_DOWN, 0); /* the peer shut it down: RFC 5882 4.2 */
    st.remote_state = FM_BFD_ADMIN_DOWN;
    peer_set_bfd_state(r.a.s.peers, &st);
    say(&r, FM_BFD_ADMIN_DOWN, FM_BFD_FAILED);
    st = word(&r, FM_BFD_DOWN, FM_BFD_FAILED);
    st.peer.addr[3] = 9; /* somebody else's */
    peer_set_bfd_state(r.a.s.peers, &st);
    st.peer.addr[3] = 2;
    st.peer.scope = 5;
    peer_set_bfd_state(r.a.s.peers, &st);
    CU_ASSERT_TRUE(peer_established(rig_peer(&r.a)));
    end(&r, &x);
}

static void a_failure_that_is_older_than_the_speaker_ends_nothing(void)
{
    struct rig r;
    struct raw x;
    begin(&r, false);
    up(&r, &x);
    say(&r, FM_BFD_DOWN, FM_BFD_FAILED);
    CU_ASSERT_TRUE(peer_established(rig_peer(&r.a)));
    end(&r, &x);
}

static void strict_waits_with_the_peers_connection(void)
{
    struct rig r;
    struct raw x, y;
    begin(&r, true);
    CU_ASSERT_TRUE(info(&r).waiting && info(&r).waits_for_bfd);
    CU_ASSERT_STRING_EQUAL(info(&r).waiting_why, "waiting for BFD (strict)");
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
    rig_settle(&r, 20);
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &y, "127.0.0.2"));
    rig_settle(&r, 20);
    say(&r, FM_BFD_DOWN, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(info(&r).waiting_why, "its session with 127.0.0.2 is down"));
    CU_ASSERT_PTR_NOT_NULL(strstr(info(&r).waiting_hint, "UDP to port 3784"));
    CU_ASSERT_EQUAL(info(&r).state, PEER_IDLE);
    say(&r, FM_BFD_UP, 0);
    CU_ASSERT_TRUE(raw_establish(&r, &y)); /* the newest of them */
    uint8_t body[BGP_MAX_LEN];
    size_t n;
    CU_ASSERT_EQUAL(raw_next(&r, &x, 0, 500, body, &n), 0);
    raw_close(&x);
    end(&r, &y);
}

static void strict_ends_and_waits_again(void)
{
    struct rig r;
    struct raw x;
    begin(&r, true);
    say(&r, FM_BFD_UP, 0);
    up(&r, &x);
    say(&r, FM_BFD_DOWN, FM_BFD_FAILED);
    CU_ASSERT_TRUE(raw_expect_notification(&r, &x, BGP_ERR_CEASE, BGP_CEASE_BFD_DOWN, 1000));
    for (int i = 0; i < 100 && !info(&r).waits_for_bfd; i++)
        rig_settle(&r, 10);
    CU_ASSERT_TRUE(info(&r).waits_for_bfd);
    CU_ASSERT_EQUAL(r.a.fib.alives, 0);
    raw_close(&x);
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
    rig_settle(&r, 20);
    CU_ASSERT_EQUAL(info(&r).state, PEER_IDLE);
    say(&r, FM_BFD_UP, 0);
    CU_ASSERT_TRUE(raw_establish(&r, &x));
    end(&r, &x);
}

static void strict_ends_an_attempt_under_way(void)
{
    struct rig r;
    struct raw x;
    begin(&r, true);
    say(&r, FM_BFD_UP, 0);
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_OPEN_SENT, 1000));
    say(&r, FM_BFD_DOWN, FM_BFD_FAILED);
    CU_ASSERT_TRUE(raw_expect_notification(&r, &x, BGP_ERR_CEASE, BGP_CEASE_BFD_DOWN, 1000));
    CU_ASSERT_EQUAL(info(&r).state, PEER_IDLE);
    end(&r, &x);
}

static void strict_does_not_wait_for_who_has_shut_bfd_down(void)
{
    struct rig r;
    struct raw x;
    begin(&r, true);
    say(&r, FM_BFD_DOWN, 0);
    CU_ASSERT_TRUE(info(&r).waits_for_bfd);
    struct fm_bfd_state st = word(&r, FM_BFD_DOWN, 0);
    st.remote_state = FM_BFD_ADMIN_DOWN;
    peer_set_bfd_state(r.a.s.peers, &st);
    CU_ASSERT_FALSE(info(&r).waits_for_bfd);
    up(&r, &x);
    end(&r, &x);
}

static void strict_taken_away_lets_the_peer_begin(void)
{
    struct rig r;
    struct raw x = {.fd = -1, .listener = -1};
    struct config next;
    struct peer_config peers[2];
    begin(&r, true);
    next = r.a.config;
    memcpy(peers, r.a.peers, sizeof peers);
    next.peers = peers;
    peers[0].bfd.strict = false;
    r.a.s.config = &next;
    CU_ASSERT_EQUAL(peer_set_apply(r.a.s.peers, &next), 0);
    CU_ASSERT_FALSE(info(&r).waiting);
    CU_ASSERT_EQUAL(info(&r).state, PEER_ACTIVE);
    end(&r, &x);
}

static void what_cannot_run_says_why(void)
{
    struct rig r;
    struct raw x = {.fd = -1, .listener = -1};
    begin(&r, true);
    struct fm_bfd_state st = word(&r, FM_BFD_DOWN, 0);
    st.error = -EADDRINUSE;
    peer_set_bfd_state(r.a.s.peers, &st);
    CU_ASSERT_PTR_NOT_NULL(strstr(info(&r).waiting_why, "cannot run: Address already in use"));
    CU_ASSERT_PTR_NOT_NULL(strstr(info(&r).waiting_hint, "bfdd"));
    end(&r, &x);
}

static void a_dynamic_peer_has_a_session_of_its_own(void)
{
    struct rig r;
    struct raw x;
    rig_set_up(&r);
    struct peer_config *c = &r.a.peers[0];
    c->kind = PEER_BY_RANGE;
    c->address = c->local_address = (struct ip_addr){0};
    prefix_parse("127.0.0.0/29", true, &c->range);
    c->limit = 2;
    c->passive = true;
    c->bfd.on = true;
    c->bfd.interval_ms = 50;
    c->bfd.multiplier = 3;
    rig_start(&r.a);
    CU_ASSERT_EQUAL(r.a.fib.bfd_sets, 0);
    r.a.s.peers->leave_ms = 50;
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
    for (int i = 0; i < 100 && !peer_set_count(r.a.s.peers); i++)
        rig_settle(&r, 10);
    CU_ASSERT_EQUAL_FATAL(peer_set_count(r.a.s.peers), 1);
    CU_ASSERT_TRUE(raw_establish(&r, &x));
    CU_ASSERT_EQUAL(r.a.fib.bfd.peer.addr[3], 2);
    say(&r, FM_BFD_UP, 0);
    say(&r, FM_BFD_DOWN, FM_BFD_FAILED);
    CU_ASSERT_TRUE(raw_expect_notification(&r, &x, BGP_ERR_CEASE, BGP_CEASE_BFD_DOWN, 1000));
    CU_ASSERT_EQUAL(r.a.fib.bfd_dels, 0);
    for (int i = 0; i < 100 && peer_set_count(r.a.s.peers); i++)
        rig_settle(&r, 10);
    CU_ASSERT_EQUAL(r.a.fib.bfd_dels, 1);
    end(&r, &x);
}

static void words_are_there_for_every_value(void)
{
    for (unsigned i = 0; i < 256; i++)
        CU_ASSERT(*bfd_state_name((uint8_t)i) && *bfd_diag_name((uint8_t)i));
    CU_ASSERT_STRING_EQUAL(bfd_diag_name(8), "reverse concatenated path down");
    CU_ASSERT_STRING_EQUAL(bfd_diag_name(9), "unknown");
}

static const struct unit_case cases[] = {
    UNIT(a_session_is_asked_for_as_configured),
    UNIT(hops_make_it_a_session_over_hops),
    UNIT(a_change_of_the_configuration_changes_the_session_and_resets_nothing),
    UNIT(it_ends_with_what_an_operator_shuts_down_and_begins_again),
    UNIT(a_speaker_that_ends_leaves_the_sessions_alone),
    UNIT(a_failure_ends_the_session_with_its_reason),
    UNIT(what_is_no_failure_ends_nothing),
    UNIT(a_failure_that_is_older_than_the_speaker_ends_nothing),
    UNIT(strict_waits_with_the_peers_connection),
    UNIT(strict_ends_and_waits_again),
    UNIT(strict_ends_an_attempt_under_way),
    UNIT(strict_does_not_wait_for_who_has_shut_bfd_down),
    UNIT(strict_taken_away_lets_the_peer_begin),
    UNIT(what_cannot_run_says_why),
    UNIT(a_dynamic_peer_has_a_session_of_its_own),
    UNIT(words_are_there_for_every_value),
};
UNIT_MAIN("peer_bfd", cases)
