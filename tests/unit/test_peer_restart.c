/* Graceful restart of a peer that the test plays: what stays when its session ends, and for how long. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "peer_impl.h"
#include "peer_rig.h"

static const char P[] = "192.0.2.0/24";

static const struct capabilities restarts = {
    .has_multiprotocol = true,
    .family = {true, false},
    .as4 = true,
    .asn = 65002,
    .graceful_restart = true,
    .gr_flags_time = 0x4000 | 60,
    .gr_family = {true, false},
    .gr_forwarding = {true, false},
};

static void config(struct rig *r, uint32_t stale_ms, uint32_t long_ms)
{
    r->a.config.router.graceful_restart.enabled = true;
    r->a.config.router.graceful_restart.restart_time_ms = 120000;
    r->a.config.router.graceful_restart.stale_time_ms = stale_ms;
    r->a.config.router.graceful_restart.long_lived_ms = long_ms;
    r->a.peers[0].passive = true;
    r->a.peers[0].idle_hold_time_ms = 20;
}

static void announce(struct rig *r, struct raw *x)
{
    static const uint8_t update[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                     0xff, 0xff, 0xff, 0xff, 0,    47,   2,    0,    0,    0,    20,   0x40,
                                     1,    1,    0,    0x40, 2,    6,    2,    1,    0,    0,    0xfd, 0xea,
                                     0x40, 3,    4,    192,  0,    2,    1,    24,   192,  0,    2};
    CU_ASSERT_EQUAL(write(x->fd, update, sizeof update), (ssize_t)sizeof update);
    for (int i = 0; i < 100 && !rig_has(&r->a, P); i++)
        rig_settle(r, 10);
    CU_ASSERT(rig_has(&r->a, P));
}

static void end_of_rib(struct rig *r, struct raw *x)
{
    uint8_t eor[23];
    memset(eor, 0xff, 16);
    memcpy(eor + 16, (const uint8_t[]){0, 23, 2, 0, 0, 0, 0}, 7);
    CU_ASSERT_EQUAL(write(x->fd, eor, sizeof eor), (ssize_t)sizeof eor);
    rig_settle(r, 50);
}

static void up(struct rig *r, struct raw *x, const struct capabilities *caps)
{
    bool connected = false;
    for (int i = 0; i < 100 && !connected; i++) {
        connected = raw_connect(r, x, "127.0.0.2") && raw_establish_with(r, x, caps);
        if (!connected)
            raw_close(x);
        rig_settle(r, 10);
    }
    CU_ASSERT_FATAL(connected);
    CU_ASSERT_TRUE_FATAL(rig_wait(r, &r->a, PEER_ESTABLISHED, 1000));
}

static uint32_t stale(struct rig *r)
{
    return peer_rib(rig_peer(&r->a))->stale[FAM_IPV4];
}

static void has_it(struct rig *r, bool expect)
{
    for (int i = 0; i < 100 && rig_has(&r->a, P) != expect; i++)
        rig_settle(r, 10);
    CU_ASSERT_EQUAL(rig_has(&r->a, P), expect);
}

/* A session with one route. */
static void begin(struct rig *r, struct raw *x, const struct capabilities *caps, uint32_t stale_ms,
                  uint32_t long_ms)
{
    rig_set_up(r);
    config(r, stale_ms, long_ms);
    rig_start(&r->a);
    *x = (struct raw){.fd = -1, .listener = -1};
    up(r, x, caps);
    announce(r, x);
}

static void lost(struct rig *r, struct raw *x)
{
    raw_close(x);
    for (int i = 0; i < 100 && peer_established(rig_peer(&r->a)); i++)
        rig_settle(r, 10);
    CU_ASSERT_FALSE(peer_established(rig_peer(&r->a)));
}

static void a_closed_connection_leaves_stale_routes(void)
{
    struct rig r;
    struct raw x;
    begin(&r, &x, &restarts, 60000, 0);
    lost(&r, &x);
    CU_ASSERT_EQUAL(stale(&r), 1);
    struct peer_info i;
    peer_info(rig_peer(&r.a), &i);
    CU_ASSERT(i.kept[FAM_IPV4].on && !i.kept[FAM_IPV4].long_lived);
    CU_ASSERT(i.kept[FAM_IPV4].left_ms > 50000 && i.kept[FAM_IPV4].left_ms <= 60000);
    up(&r, &x, &restarts);
    announce(&r, &x);
    for (int k = 0; k < 100 && stale(&r); k++)
        rig_settle(&r, 10);
    CU_ASSERT_EQUAL(stale(&r), 0);
    end_of_rib(&r, &x);
    has_it(&r, true);
    raw_close(&x);
    rig_tear_down(&r);
}

static void end_of_rib_sweeps_what_was_not_said_again(void)
{
    struct rig r;
    struct raw x;
    begin(&r, &x, &restarts, 60000, 0);
    lost(&r, &x);
    up(&r, &x, &restarts);
    has_it(&r, true);
    end_of_rib(&r, &x);
    has_it(&r, false);
    raw_close(&x);
    rig_tear_down(&r);
}

static void without_the_capability_nothing_stays(void)
{
    struct rig r;
    struct raw x;
    struct capabilities c = restarts;
    c.graceful_restart = false;
    begin(&r, &x, &c, 60000, 0);
    lost(&r, &x);
    has_it(&r, false);
    rig_tear_down(&r);
}

static void a_family_that_was_not_named_does_not_stay(void)
{
    struct rig r;
    struct raw x;
    struct capabilities c = restarts; /* a helper only */
    c.gr_family[FAM_IPV4] = false;
    begin(&r, &x, &c, 60000, 0);
    lost(&r, &x);
    has_it(&r, false);
    rig_tear_down(&r);
}

static void forwarding_state_lost_is_routes_lost(void)
{
    struct rig r;
    struct raw x;
    struct capabilities c = restarts;
    begin(&r, &x, &restarts, 60000, 0);
    lost(&r, &x);
    CU_ASSERT_EQUAL(stale(&r), 1);
    c.gr_forwarding[FAM_IPV4] = false;
    up(&r, &x, &c);
    has_it(&r, false);
    raw_close(&x);
    rig_tear_down(&r);
}

static void the_restart_time_is_the_peers(void)
{
    struct rig r;
    struct raw x;
    struct capabilities c = restarts;
    c.gr_flags_time = 1;
    begin(&r, &x, &c, 60000, 0);
    uint64_t t = loop_now_ms();
    lost(&r, &x);
    CU_ASSERT_EQUAL(stale(&r), 1);
    rig_run(&r, 1100);
    has_it(&r, false);
    CU_ASSERT(loop_now_ms() - t >= 1000);
    rig_tear_down(&r);
}

static void the_stale_time_bounds_a_session_without_end_of_rib(void)
{
    struct rig r;
    struct raw x;
    begin(&r, &x, &restarts, 1000, 0);
    lost(&r, &x);
    up(&r, &x, &restarts);
    has_it(&r, true);
    rig_run(&r, 1100);
    has_it(&r, false);
    CU_ASSERT(peer_established(rig_peer(&r.a)));
    raw_close(&x);
    rig_tear_down(&r);
}

static void notify(struct raw *x, uint8_t code, uint8_t subcode, const void *data, size_t n)
{
    uint8_t buf[BGP_MAX_LEN];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    struct bgp_error e = bgp_error_make(code, subcode, data, n);
    notification_encode(&w, &e);
    raw_send(x, &w);
}

static void notifications(bool n_bit, uint8_t subcode, bool stays)
{
    struct rig r;
    struct raw x;
    struct capabilities c = restarts;
    c.gr_flags_time = (uint16_t)((n_bit ? 0x4000 : 0) | 60);
    begin(&r, &x, &c, 60000, 0);
    notify(&x, BGP_ERR_CEASE, subcode, (const uint8_t[]){6, 3}, subcode == BGP_CEASE_HARD_RESET ? 2 : 0);
    lost(&r, &x);
    CU_ASSERT_EQUAL(stale(&r), stays);
    has_it(&r, stays);
    rig_tear_down(&r);
}

static void a_notification_is_graceful_between_two_with_the_n_bit(void)
{
    notifications(true, BGP_CEASE_ADMIN_SHUTDOWN, true);
    notifications(false, BGP_CEASE_ADMIN_SHUTDOWN, false);
    notifications(true, BGP_CEASE_RESOURCES, true);
    notifications(true, BGP_CEASE_HARD_RESET, false);
    notifications(false, BGP_CEASE_HARD_RESET, false);
}

static void a_hard_reset_tells_what_is_in_it(void)
{
    struct rig r;
    struct raw x;
    struct peer_info i;
    begin(&r, &x, &restarts, 60000, 0);
    notify(&x, BGP_ERR_CEASE, BGP_CEASE_HARD_RESET, "\x06\x02\x05later", 8);
    lost(&r, &x);
    peer_info(rig_peer(&r.a), &i);
    CU_ASSERT_STRING_EQUAL(i.last_reset, "NOTIFICATION received: Hard Reset: Cease/Administrative Shutdown");
    CU_ASSERT_STRING_EQUAL(i.last_message, "later");
    rig_tear_down(&r);
}

static void what_an_operator_does_is_a_hard_reset(bool n_bit)
{
    struct rig r;
    struct raw x;
    uint8_t body[4096], type;
    size_t n = 0;
    struct capabilities c = restarts;
    c.gr_flags_time = (uint16_t)((n_bit ? 0x4000 : 0) | 60);
    begin(&r, &x, &c, 60000, 0);
    peer_shutdown(rig_peer(&r.a), "bye");
    do
        type = raw_next(&r, &x, 0, 1000, body, &n);
    while (type && type != BGP_NOTIFICATION);
    CU_ASSERT_EQUAL(type, BGP_NOTIFICATION);
    const char *expect = n_bit ? "\x06\x09\x06\x02\x03"
                                 "bye"
                               : "\x06\x02\x03"
                                 "bye";
    CU_ASSERT_EQUAL(n, strlen(expect));
    CU_ASSERT_EQUAL(memcmp(body, expect, strlen(expect)), 0);
    has_it(&r, false);
    raw_close(&x);
    rig_tear_down(&r);
}

static void a_shutdown_goes_out_as_a_hard_reset_where_that_is_known(void)
{
    what_an_operator_does_is_a_hard_reset(true);
    what_an_operator_does_is_a_hard_reset(false);
}

/* What ends a session for long is a Hard Reset, if both sides know it; nothing else is, and never before the
 * session is up. */
static void which_notifications_are_hard_resets(void)
{
    static const struct {
        uint8_t code, subcode;
        bool hard;
    } rows[] = {
        {BGP_ERR_CEASE, BGP_CEASE_MAX_PREFIXES, true},  {BGP_ERR_CEASE, BGP_CEASE_ADMIN_SHUTDOWN, true},
        {BGP_ERR_CEASE, BGP_CEASE_DECONFIGURED, true},  {BGP_ERR_CEASE, BGP_CEASE_ADMIN_RESET, true},
        {BGP_ERR_CEASE, BGP_CEASE_CONFIG_CHANGE, true}, {BGP_ERR_CEASE, BGP_CEASE_BFD_DOWN, true},
        {BGP_ERR_CEASE, BGP_CEASE_REJECTED, false},     {BGP_ERR_CEASE, BGP_CEASE_COLLISION, false},
        {BGP_ERR_CEASE, BGP_CEASE_RESOURCES, false},    {BGP_ERR_HOLD_TIMER, 0, false},
        {BGP_ERR_UPDATE, BGP_ERR_UPD_MALFORMED, false}, {BGP_ERR_SEND_HOLD_TIMER, 0, false},
    };
    for (unsigned knows = 0; knows < 2; knows++)
        for (unsigned up = 0; up < 2; up++)
            for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                static struct peer p;
                struct peer_link *l = &p.links[0];
                const struct bgp_error e = bgp_error_make(rows[i].code, rows[i].subcode, NULL, 0);
                *l = (struct peer_link){.peer = &p, .s = {.caps_valid = true}};
                l->s.common.graceful_restart = true;
                l->s.sent.gr_flags_time = 0x4078;
                l->s.received.gr_flags_time = knows ? 0x4078 : 0x0078;
                p.up = up ? l : NULL;
                struct bgp_error out = peer_restart_notification(l, &e);
                bool wrapped = out.code == BGP_ERR_CEASE && out.subcode == BGP_CEASE_HARD_RESET;
                CU_ASSERT_EQUAL(wrapped, rows[i].hard && knows && up);
                CU_ASSERT_EQUAL(wrapped ? out.data[0] : out.code, rows[i].code);
                CU_ASSERT_EQUAL(wrapped ? out.data[1] : out.subcode, rows[i].subcode);
            }
}

static void a_shutdown_ends_stale_routes_too(void)
{
    struct rig r;
    struct raw x;
    begin(&r, &x, &restarts, 60000, 0);
    lost(&r, &x);
    CU_ASSERT_EQUAL(stale(&r), 1);
    peer_shutdown(rig_peer(&r.a), NULL);
    has_it(&r, false);
    rig_tear_down(&r);
}

static void a_second_restart(bool n_bit)
{
    struct rig r;
    struct raw x;
    struct capabilities c = restarts;
    c.gr_flags_time = (uint16_t)((n_bit ? 0x4000 : 0) | 60);
    begin(&r, &x, &c, 60000, 0);
    lost(&r, &x);
    up(&r, &x, &c);
    lost(&r, &x); /* before it said anything */
    CU_ASSERT_EQUAL(stale(&r), n_bit);
    has_it(&r, n_bit);
    rig_tear_down(&r);
}

static void a_second_restart_drops_the_older_routes_without_the_n_bit(void)
{
    a_second_restart(true);
    a_second_restart(false);
}

static void long_lived_routes_follow_the_restart_time(void)
{
    struct rig r;
    struct raw x;
    struct peer_info i;
    struct capabilities c = restarts;
    c.gr_flags_time = 0x4000;
    c.long_lived_gr = true;
    c.llgr_family[FAM_IPV4] = c.llgr_forwarding[FAM_IPV4] = true;
    c.llgr_stale_s[FAM_IPV4] = 1;
    begin(&r, &x, &c, 60000, 100000);
    lost(&r, &x);
    rig_settle(&r, 50);
    peer_info(rig_peer(&r.a), &i);
    CU_ASSERT(i.kept[FAM_IPV4].on && i.kept[FAM_IPV4].long_lived);
    has_it(&r, true);
    rig_run(&r, 1100); /* the lesser of the two times */
    has_it(&r, false);
    rig_tear_down(&r);
}

static void a_new_connection_takes_over_from_a_settled_session(void)
{
    struct rig r;
    struct raw x, y = {.fd = -1, .listener = -1};
    struct peer_info i;
    begin(&r, &x, &restarts, 60000, 0);
    rig_run(&r, PEER_SETTLE_MS + 100);
    CU_ASSERT_TRUE(raw_connect(&r, &y, "127.0.0.2"));
    CU_ASSERT_TRUE(raw_establish_with(&r, &y, &restarts));
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 1000));
    peer_info(rig_peer(&r.a), &i);
    CU_ASSERT_EQUAL(i.established_count, 2);
    CU_ASSERT_EQUAL(stale(&r), 1);
    CU_ASSERT_EQUAL(i.stats.notifications_out, 0);
    raw_close(&x);
    raw_close(&y);
    rig_tear_down(&r);
}

static void what_we_offer_says_what_is_true(void)
{
    struct rig r;
    struct capabilities c = {.family = {true, false}};
    rig_set_up(&r);
    config(&r, 60000, 0);
    r.a.s.started_ms = loop_now_ms();
    rig_start(&r.a);
    peer_restart_offer(rig_peer(&r.a), &c);
    CU_ASSERT(c.graceful_restart && !c.long_lived_gr);
    CU_ASSERT_EQUAL(c.gr_flags_time, 0x4000 | 120);
    CU_ASSERT(c.gr_family[FAM_IPV4] && !c.gr_forwarding[FAM_IPV4] && !c.gr_family[FAM_IPV6]);
    r.a.s.kept[FAM_IPV4] = true;
    r.a.config.router.graceful_restart.long_lived_ms = 1500;
    peer_restart_offer(rig_peer(&r.a), &c);
    CU_ASSERT_EQUAL(c.gr_flags_time, 0xc000 | 120);
    CU_ASSERT(c.gr_forwarding[FAM_IPV4] && c.long_lived_gr && c.llgr_forwarding[FAM_IPV4]);
    CU_ASSERT_EQUAL(c.llgr_stale_s[FAM_IPV4], 2);
    r.a.s.started_ms -= 120001; /* whoever waited does no more */
    peer_restart_offer(rig_peer(&r.a), &c);
    CU_ASSERT_EQUAL(c.gr_flags_time, 0x4000 | 120);
    r.a.config.router.graceful_restart.enabled = false;
    peer_restart_offer(rig_peer(&r.a), &c);
    CU_ASSERT(!c.graceful_restart && !c.long_lived_gr);
    rig_tear_down(&r);
}

static void on_stopped(void *arg)
{
    struct rig *r = arg;
    r->stopped++;
}

static void a_stop_that_preserves_closes_without_a_word(void)
{
    struct rig r;
    struct raw x;
    uint8_t body[4096], type;
    size_t n;
    begin(&r, &x, &restarts, 60000, 0);
    peer_set_stop(r.a.s.peers, BGP_CEASE_ADMIN_SHUTDOWN, true, on_stopped, &r);
    do
        type = raw_next(&r, &x, 0, 1000, body, &n);
    while (type && type != BGP_NOTIFICATION);
    CU_ASSERT_EQUAL(type, 0);
    rig_settle(&r, 50);
    CU_ASSERT_EQUAL(r.stopped, 1);
    raw_close(&x);
    rig_tear_down(&r);
}

static const struct unit_case cases[] = {
    UNIT(a_closed_connection_leaves_stale_routes),
    UNIT(end_of_rib_sweeps_what_was_not_said_again),
    UNIT(without_the_capability_nothing_stays),
    UNIT(a_family_that_was_not_named_does_not_stay),
    UNIT(forwarding_state_lost_is_routes_lost),
    UNIT(the_restart_time_is_the_peers),
    UNIT(the_stale_time_bounds_a_session_without_end_of_rib),
    UNIT(a_notification_is_graceful_between_two_with_the_n_bit),
    UNIT(a_hard_reset_tells_what_is_in_it),
    UNIT(which_notifications_are_hard_resets),
    UNIT(a_shutdown_goes_out_as_a_hard_reset_where_that_is_known),
    UNIT(a_shutdown_ends_stale_routes_too),
    UNIT(a_second_restart_drops_the_older_routes_without_the_n_bit),
    UNIT(long_lived_routes_follow_the_restart_time),
    UNIT(a_new_connection_takes_over_from_a_settled_session),
    UNIT(what_we_offer_says_what_is_true),
    UNIT(a_stop_that_preserves_closes_without_a_word),
};
UNIT_MAIN("peer_restart", cases)
