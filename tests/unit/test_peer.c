/* Sessions from start to end: two speakers against each other, and one against a peer that the test plays. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer_rig.h"
#include "transport.h"

static struct peer_info info(struct node *n)
{
    struct peer_info i;
    peer_info(rig_peer(n), &i);
    return i;
}

static void both_up(struct rig *r)
{
    rig_start(&r->b);
    rig_start(&r->a);
    CU_ASSERT_TRUE(rig_wait(r, &r->a, PEER_ESTABLISHED, 3000));
    CU_ASSERT_TRUE(rig_wait(r, &r->b, PEER_ESTABLISHED, 3000));
}

static void session_comes_up_at_once_with_a_peer_that_waits(void)
{
    struct rig r;
    rig_set_up(&r);
    r.b.peers[0].passive = true;
    rig_start(&r.b);
    rig_settle(&r, 20);
    uint64_t t = loop_now_ms();
    rig_start(&r.a);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 1000));
    CU_ASSERT_TRUE(rig_wait(&r, &r.b, PEER_ESTABLISHED, 1000));
    CU_ASSERT_TRUE(loop_now_ms() - t < 200);
    struct peer_info a = info(&r.a), b = info(&r.b);
    CU_ASSERT_EQUAL(a.remote_as, 65002);
    CU_ASSERT_EQUAL(b.remote_id, 0x0a000001);
    CU_ASSERT_EQUAL(a.remote_port, r.port);
    CU_ASSERT_EQUAL(b.local_port, r.port);
    CU_ASSERT_EQUAL(a.hold_ms, 90000);
    CU_ASSERT_EQUAL(a.stats.opens_out, 1);
    CU_ASSERT_EQUAL(a.stats.opens_in, 1);
    CU_ASSERT_EQUAL(a.established_count, 1);
    CU_ASSERT_TRUE(r.a.state_changes >= 1);
    rig_tear_down(&r);
}

static void two_passive_peers_never_connect(void)
{
    struct rig r;
    rig_set_up(&r);
    r.a.peers[0].passive = r.b.peers[0].passive = true;
    r.a.peers[0].connect_retry_time_ms = 20;
    rig_start(&r.a);
    rig_start(&r.b);
    rig_settle(&r, 150);
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ACTIVE);
    CU_ASSERT_EQUAL(info(&r.a).stats.opens_out, 0);
    rig_tear_down(&r);
}

/* 127/8 is no next hop for routes, so those here are IPv6. */
static void give_ipv6(struct rig *r)
{
    struct fib_address six = {.ifindex = 1, .len = 64};
    addr_parse("fd00::1", &six.addr);
    r->a.fib.addresses[r->a.fib.n++] = six;
    addr_parse("fd00::2", &six.addr);
    r->b.fib.addresses[r->b.fib.n++] = six;
}

static void routes_go_both_ways_and_leave_with_the_session(void)
{
    struct rig r;
    rig_set_up(&r);
    give_ipv6(&r);
    CU_ASSERT_EQUAL(rig_originate(&r.a, "fd01::/48"), 0);
    CU_ASSERT_EQUAL(rig_originate(&r.b, "fd02::/48"), 0);
    both_up(&r);
    rig_settle(&r, 50);
    CU_ASSERT_TRUE(rig_has(&r.b, "fd01::/48"));
    CU_ASSERT_TRUE(rig_has(&r.a, "fd02::/48"));
    CU_ASSERT_TRUE(info(&r.a).eor_in[FAM_IPV4]);
    CU_ASSERT_TRUE(info(&r.a).eor_out[FAM_IPV4]);
    CU_ASSERT_TRUE(peer_synced(rig_peer(&r.a)));
    CU_ASSERT_EQUAL(rig_originate(&r.a, "fd03::/48"), 0);
    rig_settle(&r, 50);
    CU_ASSERT_TRUE(rig_has(&r.b, "fd03::/48"));
    peer_shutdown(rig_peer(&r.a), NULL);
    rig_settle(&r, 100);
    CU_ASSERT_FALSE(rig_has(&r.b, "fd01::/48"));
    CU_ASSERT_FALSE(rig_has(&r.a, "fd02::/48"));
    rig_tear_down(&r);
}

static void ipv6_goes_over_an_ipv4_session_where_the_interface_has_an_address(void)
{
    struct rig r;
    rig_set_up(&r);
    give_ipv6(&r);
    CU_ASSERT_EQUAL(rig_originate(&r.a, "fd00:1::/64"), 0);
    both_up(&r);
    rig_settle(&r, 50);
    CU_ASSERT_TRUE(info(&r.a).family[FAM_IPV6]);
    CU_ASSERT_PTR_NULL(info(&r.a).family_why[FAM_IPV6]);
    CU_ASSERT_TRUE(rig_has(&r.b, "fd00:1::/64"));
    rig_tear_down(&r);
}

static void family_without_a_next_hop_is_not_offered(void)
{
    static const uint32_t flags[] = {FM_ADDR_TENTATIVE, FM_ADDR_OURS};
    for (int i = 0; i < 4; i++) { /* link-local only; another interface; tentative; a VIP of ours */
        struct rig r;
        struct fib_address six = {.ifindex = i == 1 ? 2 : 1, .len = 64, .flags = i < 2 ? 0 : flags[i - 2]};
        rig_set_up(&r);
        addr_parse(i == 0 ? "fe80::1" : "fd00::1", &six.addr);
        r.a.fib.addresses[r.a.fib.n++] = six;
        both_up(&r);
        CU_ASSERT_FALSE(info(&r.a).family[FAM_IPV6]);
        CU_ASSERT_TRUE(info(&r.a).family[FAM_IPV4]);
        CU_ASSERT_FALSE(info(&r.a).sent.family[FAM_IPV6]);
        CU_ASSERT_PTR_NOT_NULL(info(&r.a).family_why[FAM_IPV6]);
        rig_tear_down(&r);
    }
}

static void two_active_peers_end_with_one_session(void)
{
    for (int i = 0; i < 20; i++) {
        struct rig r;
        rig_set_up(&r);
        both_up(&r);
        rig_settle(&r, 30);
        CU_ASSERT_EQUAL(info(&r.a).state, PEER_ESTABLISHED);
        CU_ASSERT_EQUAL(info(&r.b).state, PEER_ESTABLISHED);
        CU_ASSERT_EQUAL(info(&r.a).local_port, info(&r.b).remote_port);
        CU_ASSERT_EQUAL(info(&r.a).dropped_count, 0);
        rig_tear_down(&r);
    }
}

/* Both connections are there before an OPEN is answered; `first` gets the peer's OPEN first. */
static void collide(bool peer_is_higher, bool outgoing_first)
{
    struct rig r;
    struct raw out, in;
    uint32_t id = peer_is_higher ? 0x0a0000ff : 0x09000001;

    rig_set_up(&r);
    raw_listen(&r, &out);
    rig_start(&r.a);
    CU_ASSERT_TRUE(raw_accept(&r, &out));
    CU_ASSERT_TRUE(raw_connect(&r, &in, "127.0.0.2"));
    CU_ASSERT_TRUE(raw_expect(&r, &out, BGP_OPEN));
    CU_ASSERT_TRUE(raw_expect(&r, &in, BGP_OPEN));
    raw_send_open(outgoing_first ? &out : &in, 65002, id, 90);
    CU_ASSERT_TRUE(raw_expect(&r, outgoing_first ? &out : &in, BGP_KEEPALIVE));
    raw_send_open(outgoing_first ? &in : &out, 65002, id, 90);
    struct raw *winner = peer_is_higher ? &in : &out, *loser = peer_is_higher ? &out : &in;
    CU_ASSERT_TRUE(raw_expect_notification(&r, loser, BGP_ERR_CEASE, BGP_CEASE_COLLISION, 1000));
    raw_send_keepalive(winner);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 1000));
    CU_ASSERT_EQUAL(rig_peer(&r.a)->up->incoming, peer_is_higher);
    CU_ASSERT_EQUAL(rig_peer(&r.a)->errors, 0);
    CU_ASSERT_STRING_EQUAL(info(&r.a).last_reset, "");
    raw_close(&out);
    raw_close(&in);
    rig_tear_down(&r);
}

static void collision_keeps_the_connection_of_the_higher_identifier(void)
{
    for (int i = 0; i < 4; i++)
        collide(i & 1, i & 2);
}

static void established_session_wins_a_collision(void)
{
    struct rig r;
    struct raw x, second;
    rig_set_up(&r);
    r.a.peers[0].passive = true;
    rig_start(&r.a);
    CU_ASSERT_TRUE(raw_connect(&r, &x, "127.0.0.2"));
    CU_ASSERT_TRUE(raw_establish(&r, &x));
    CU_ASSERT_TRUE(raw_connect(&r, &second, "127.0.0.2"));
    CU_ASSERT_TRUE(raw_expect(&r, &second, BGP_OPEN));
    raw_send_open(&second, 65002, 0x0a0000ff, 90);
    CU_ASSERT_TRUE(raw_expect_notification(&r, &second, BGP_ERR_CEASE, BGP_CEASE_COLLISION, 1000));
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ESTABLISHED);
    CU_ASSERT_EQUAL(info(&r.a).dropped_count, 0);
    raw_close(&x);
    raw_close(&second);
    rig_tear_down(&r);
}

static void newer_connection_replaces_one_without_an_open(void)
{
    struct rig r;
    struct raw x, second;
    rig_set_up(&r);
    r.a.peers[0].connect_retry_time_ms = 60000; /* its own attempt is refused, and the next one far away */
    rig_start(&r.a);
    rig_settle(&r, 20);
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ACTIVE);
    CU_ASSERT_TRUE(raw_connect(&r, &x, "127.0.0.2"));
    CU_ASSERT_TRUE(raw_expect(&r, &x, BGP_OPEN));
    CU_ASSERT_TRUE(raw_connect(&r, &second, "127.0.0.2"));
    CU_ASSERT_TRUE(raw_establish(&r, &second));
    raw_close(&x);
    raw_close(&second);
    rig_tear_down(&r);
}

static void bad_opens_get_the_right_notification(void)
{
    static const struct {
        const char *what;
        uint32_t asn, id;
        uint16_t hold;
        bool ipv6_only, ibgp, external;
        uint8_t code, subcode;
    } rows[] = {
        {.what = "wrong AS", .asn = 65003, .id = 9, .hold = 90, .code = 2, .subcode = BGP_ERR_OPEN_PEER_AS},
        {.what = "own AS where external is asked",
         .asn = 65001,
         .id = 9,
         .hold = 90,
         .external = true,
         .code = 2,
         .subcode = BGP_ERR_OPEN_PEER_AS},
        {.what = "own identifier, iBGP",
         .asn = 65001,
         .id = 0x0a000001,
         .hold = 90,
         .ibgp = true,
         .code = 2,
         .subcode = BGP_ERR_OPEN_ID},
        {.what = "identifier 0", .asn = 65002, .id = 0, .hold = 90, .code = 2, .subcode = BGP_ERR_OPEN_ID},
        {.what = "hold time 2",
         .asn = 65002,
         .id = 9,
         .hold = 2,
         .code = 2,
         .subcode = BGP_ERR_OPEN_HOLD_TIME},
        {.what = "no common family",
         .asn = 65002,
         .id = 9,
         .hold = 90,
         .ipv6_only = true,
         .code = 2,
         .subcode = BGP_ERR_OPEN_CAPABILITY},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig r;
        struct raw x;
        rig_set_up(&r);
        r.a.peers[0].passive = true;
        if (rows[i].ibgp)
            r.a.peers[0].asn = 65001;
        if (rows[i].external)
            r.a.peers[0].asn_kind = ASN_EXTERNAL;
        if (rows[i].ipv6_only) {
            r.a.peers[0].families[FAM_IPV4] = false;
            addr_parse("fd00::1", &r.a.fib.addresses[r.a.fib.n].addr);
            r.a.fib.addresses[r.a.fib.n++].ifindex = 1;
        }
        rig_start(&r.a);
        CU_ASSERT_TRUE(raw_connect(&r, &x, "127.0.0.2"));
        raw_send_open(&x, rows[i].asn, rows[i].id, rows[i].hold);
        bool ok = raw_expect_notification(&r, &x, rows[i].code, rows[i].subcode, 1000);
        if (!ok)
            printf("      %s\n", rows[i].what);
        CU_ASSERT_TRUE(ok);
        struct peer_info a = info(&r.a);
        CU_ASSERT_EQUAL(a.last_error.code, rows[i].code);
        CU_ASSERT_EQUAL(a.last_error.subcode, rows[i].subcode);
        CU_ASSERT_FALSE(a.last_error_received);
        CU_ASSERT_EQUAL(a.state, PEER_IDLE);
        raw_close(&x);
        rig_tear_down(&r);
    }
}

static void unexpected_messages_get_the_fsm_error_with_their_type(void)
{
    for (int established = 0; established < 2; established++) {
        struct rig r;
        struct raw x;
        uint8_t body[BGP_MAX_LEN], type;
        size_t n;
        rig_set_up(&r);
        r.a.peers[0].passive = true;
        rig_start(&r.a);
        CU_ASSERT_TRUE(raw_connect(&r, &x, "127.0.0.2"));
        if (established) {
            CU_ASSERT_TRUE(raw_establish(&r, &x));
            raw_send_open(&x, 65002, 0x0a000002, 90);
        } else {
            raw_send_keepalive(&x);
        }
        do
            type = raw_next(&r, &x, 0, 1000, body, &n);
        while (type && type != BGP_NOTIFICATION);
        CU_ASSERT_EQUAL(n, 3);
        CU_ASSERT_EQUAL(body[0], BGP_ERR_FSM);
        CU_ASSERT_EQUAL(body[1], established ? BGP_ERR_FSM_ESTABLISHED : BGP_ERR_FSM_OPEN_SENT);
        CU_ASSERT_EQUAL(body[2], established ? BGP_OPEN : BGP_KEEPALIVE);
        raw_close(&x);
        rig_tear_down(&r);
    }
}

static void silent_peer_loses_the_session_after_the_hold_time(void)
{
    struct rig r;
    struct raw x;
    rig_set_up(&r);
    r.a.peers[0].passive = true;
    rig_start(&r.a);
    CU_ASSERT_TRUE(raw_connect(&r, &x, "127.0.0.2"));
    raw_send_open(&x, 65002, 0x0a000002, 3);
    raw_send_keepalive(&x);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 1000));
    CU_ASSERT_EQUAL(info(&r.a).hold_ms, 3000);
    CU_ASSERT_EQUAL(info(&r.a).keepalive_ms, 1000);
    uint64_t t = loop_now_ms();
    rig_run(&r, 1500);
    raw_send_keepalive(&x); /* puts it off to 4.5 s */
    CU_ASSERT_TRUE(raw_expect_notification(&r, &x, BGP_ERR_HOLD_TIMER, 0, 6000));
    t = loop_now_ms() - t;
    CU_ASSERT_TRUE(t >= 4400 && t < 5000);
    CU_ASSERT_STRING_EQUAL(info(&r.a).last_reset, "hold timer expired");
    CU_ASSERT_TRUE(info(&r.a).stats.keepalives_out >= 4);
    raw_close(&x);
    rig_tear_down(&r);
}

/* The process did not get to run for longer than the hold time; the peer's KEEPALIVE lies unread. */
static void busy_speaker_reads_before_it_blames_the_peer(void)
{
    struct rig r;
    struct raw x;
    rig_set_up(&r);
    r.a.peers[0].passive = true;
    rig_start(&r.a);
    CU_ASSERT_TRUE(raw_connect(&r, &x, "127.0.0.2"));
    raw_send_open(&x, 65002, 0x0a000002, 3);
    raw_send_keepalive(&x);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 1000));
    usleep(2500000);
    raw_send_keepalive(&x);
    usleep(700000);
    rig_settle(&r, 100);
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ESTABLISHED);
    raw_close(&x);
    rig_tear_down(&r);
}

static void hold_time_0_means_no_timers(void)
{
    struct rig r;
    rig_set_up(&r);
    r.a.peers[0].hold_time_ms = r.a.peers[0].keepalive_time_ms = 0;
    both_up(&r);
    CU_ASSERT_EQUAL(info(&r.b).hold_ms, 0);
    CU_ASSERT_EQUAL(info(&r.b).keepalive_ms, 0);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_FALSE(timer_running(rig_peer(&r.a)->links[i].hold));
        CU_ASSERT_FALSE(timer_running(rig_peer(&r.b)->links[i].keepalive));
    }
    rig_tear_down(&r);
}

static void shutdown_says_why_and_refuses(void)
{
    struct rig r;
    struct raw x;
    rig_set_up(&r);
    both_up(&r);
    peer_shutdown(rig_peer(&r.a), "rack 7 moves");
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_IDLE);
    CU_ASSERT_TRUE(info(&r.a).admin_down);
    rig_settle(&r, 50);
    struct peer_info b = info(&r.b);
    CU_ASSERT_TRUE(b.last_error_received);
    CU_ASSERT_EQUAL(b.last_error.code, BGP_ERR_CEASE);
    CU_ASSERT_EQUAL(b.last_error.subcode, BGP_CEASE_ADMIN_SHUTDOWN);
    CU_ASSERT_STRING_EQUAL(b.last_message, "rack 7 moves");
    CU_ASSERT_TRUE(raw_connect(&r, &x, "127.0.0.2"));
    CU_ASSERT_TRUE(raw_expect_notification(&r, &x, BGP_ERR_CEASE, BGP_CEASE_REJECTED, 1000));
    raw_close(&x);
    peer_no_shutdown(rig_peer(&r.a));
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 10000));
    rig_tear_down(&r);
}

static void clear_resets_and_comes_back(void)
{
    struct rig r;
    rig_set_up(&r);
    r.b.peers[0].passive = true;
    both_up(&r);
    peer_clear(rig_peer(&r.a));
    rig_settle(&r, 20);
    CU_ASSERT_EQUAL(info(&r.b).last_error.subcode, BGP_CEASE_ADMIN_RESET);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 8000));
    CU_ASSERT_EQUAL(info(&r.a).established_count, 2);
    rig_tear_down(&r);
}

static void stranger_is_refused(void)
{
    struct rig r;
    struct raw x;
    rig_set_up(&r);
    rig_start(&r.a);
    CU_ASSERT_TRUE(raw_connect(&r, &x, "127.0.0.9"));
    CU_ASSERT_TRUE(raw_expect_notification(&r, &x, BGP_ERR_CEASE, BGP_CEASE_REJECTED, 1000));
    raw_close(&x);
    rig_tear_down(&r);
}

static bool up_with(void (*change)(struct rig *r), unsigned ms)
{
    struct rig r;
    rig_set_up(&r);
    change(&r);
    rig_start(&r.b);
    rig_start(&r.a);
    bool up = rig_wait(&r, &r.a, PEER_ESTABLISHED, ms);
    rig_tear_down(&r);
    return up;
}

static void same_keys(struct rig *r)
{
    strcpy(r->a.peers[0].password, "secret");
    strcpy(r->b.peers[0].password, "secret");
}
static void other_keys(struct rig *r)
{
    strcpy(r->a.peers[0].password, "secret");
    strcpy(r->b.peers[0].password, "Secret");
}
static void key_on_one_side(struct rig *r)
{
    strcpy(r->a.peers[0].password, "secret");
}

static void md5_keys_must_agree(void)
{
    const struct ip_addr a = addr_v4(0x7f000001);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int rc = transport_set_key(fd, &a, 0, "x");
    close(fd);
    if (rc) {
        unit_skip("the kernel has no TCP-MD5");
        return;
    }
    CU_ASSERT_TRUE(up_with(same_keys, 2000));
    CU_ASSERT_FALSE(up_with(other_keys, 400));
    CU_ASSERT_FALSE(up_with(key_on_one_side, 400));
}

static void gtsm_on_both(struct rig *r)
{
    r->a.peers[0].ttl_security = r->b.peers[0].ttl_security = 1;
}
static void gtsm_on_one(struct rig *r)
{
    r->a.peers[0].ttl_security = 1;
}

static void gtsm_drops_what_comes_from_afar(void)
{
    CU_ASSERT_TRUE(up_with(gtsm_on_both, 2000));
    CU_ASSERT_FALSE(up_with(gtsm_on_one, 400)); /* the other side sends with TTL 1 */
}

static bool contains(const char *text, const char *part)
{
    return text && strstr(text, part);
}

/* Each way of not coming up leaves its own reason and hint, and the next attempt is announced. */
static void attempts_that_fail_say_why(void)
{
    struct rig r;
    struct raw x;
    rig_set_up(&r);
    rig_start(&r.a); /* nothing listens at the peer */
    rig_settle(&r, 50);
    CU_ASSERT_TRUE(contains(info(&r.a).last_failure, "Connection refused"));
    CU_ASSERT_TRUE(contains(info(&r.a).hint, "whether BGP runs there"));
    CU_ASSERT_TRUE(info(&r.a).connect_retry_ms > 0);
    CU_ASSERT_STRING_EQUAL(info(&r.a).last_reset, "");
    CU_ASSERT_TRUE(raw_connect(&r, &x, "127.0.0.2"));
    CU_ASSERT_TRUE(raw_expect(&r, &x, BGP_OPEN));
    raw_close(&x);
    rig_settle(&r, 50);
    CU_ASSERT_TRUE(contains(info(&r.a).last_failure, "closed the connection before it sent an OPEN"));
    CU_ASSERT_TRUE(contains(info(&r.a).hint, "127.0.0.1 as a neighbor"));
    CU_ASSERT_TRUE(raw_connect(&r, &x, "127.0.0.2"));
    raw_send_open(&x, 64999, 9, 90);
    CU_ASSERT_TRUE(raw_expect_notification(&r, &x, BGP_ERR_OPEN, BGP_ERR_OPEN_PEER_AS, 1000));
    CU_ASSERT_TRUE(contains(info(&r.a).last_failure, "Bad Peer AS, expected 65002, got 64999"));
    CU_ASSERT_TRUE(info(&r.a).idle_hold_ms > 0);
    raw_close(&x);
    rig_tear_down(&r);
}

/* What an operator cannot tell from the name of a NOTIFICATION comes with what to look at. */
static void every_notification_says_what_to_look_at(void)
{
    static const struct {
        uint8_t code, subcode;
        bool received;
        const char *hint;
    } rows[] = {
        {BGP_ERR_CEASE, BGP_CEASE_ADMIN_RESET, true, "cleared the session on the other side"},
        {BGP_ERR_CEASE, BGP_CEASE_CONFIG_CHANGE, true, "configuration changed"},
        {BGP_ERR_CEASE, BGP_CEASE_RESOURCES, true, "memory and limits of the other side"},
        {BGP_ERR_CEASE, BGP_CEASE_HARD_RESET, true, "the other side's log"},
        {BGP_ERR_CEASE, BGP_CEASE_BFD_DOWN, true, "the link"},
        {BGP_ERR_CEASE, BGP_CEASE_ADMIN_SHUTDOWN, true, "an operator shut the session down"},
        {BGP_ERR_CEASE, BGP_CEASE_MAX_PREFIXES, true, "limit of prefixes"},
        {BGP_ERR_UPDATE, BGP_ERR_UPD_MALFORMED, true, "the other side's log"},
        {BGP_ERR_UPDATE, BGP_ERR_UPD_MALFORMED, false, "`debug 127.0.0.2`"},
        {BGP_ERR_HEADER, BGP_ERR_HDR_SYNC, false, "the other side's software"},
        {BGP_ERR_FSM, BGP_ERR_FSM_OPEN_CONFIRM, true, "the other side's log"},
        {BGP_ERR_HOLD_TIMER, 0, false, "whether the peer is alive"},
        {BGP_ERR_SEND_HOLD_TIMER, 0, true, "whether this node is overloaded"},
    };
    struct rig r;
    rig_set_up(&r);
    rig_start(&r.a);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct bgp_error e = {.code = rows[i].code, .subcode = rows[i].subcode};
        peer_note_error(rig_peer(&r.a), &e, rows[i].received);
        CU_ASSERT_TRUE(contains(info(&r.a).hint, rows[i].hint));
        if (!contains(info(&r.a).hint, rows[i].hint))
            fprintf(stderr, "      %u/%u: %s\n", e.code, e.subcode, info(&r.a).hint);
    }
    rig_tear_down(&r);
}

/* What happens afterwards does not hide why the last session was lost. */
static void last_reset_outlives_failing_attempts(void)
{
    struct rig r;
    struct raw x;
    rig_set_up(&r);
    r.a.peers[0].connect_retry_time_ms = 100;
    r.a.peers[0].idle_hold_time_ms = 100;
    raw_listen(&r, &x);
    rig_start(&r.a);
    CU_ASSERT_TRUE_FATAL(raw_accept(&r, &x));
    CU_ASSERT_TRUE(raw_establish(&r, &x));
    CU_ASSERT_STRING_EQUAL(info(&r.a).last_failure, "");
    raw_close(&x); /* and listens no more */
    rig_run(&r, 400);
    CU_ASSERT_TRUE(contains(info(&r.a).last_reset, "closed the connection without a NOTIFICATION"));
    CU_ASSERT_TRUE(contains(info(&r.a).last_failure, "Connection refused"));
    rig_tear_down(&r);
}

static void ebgp_peer_off_the_subnets_waits_for_one(void)
{
    struct rig r;
    rig_set_up(&r);
    r.a.fib.no_subnet = true;
    rig_start(&r.b);
    rig_start(&r.a);
    rig_settle(&r, 50);
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_IDLE);
    CU_ASSERT_TRUE(info(&r.a).waiting);
    r.a.fib.no_subnet = false;
    peer_set_addresses_changed(r.a.s.peers);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 8000));
    rig_tear_down(&r);
}

static void an_attempt_that_has_just_begun_goes_on_when_addresses_change(void)
{
    struct rig r;
    struct raw x;
    rig_set_up(&r);
    raw_listen(&r, &x);
    rig_start(&r.a);
    peer_set_addresses_changed(r.a.s.peers);
    CU_ASSERT_TRUE_FATAL(raw_accept(&r, &x));
    CU_ASSERT_TRUE(raw_establish(&r, &x));
    raw_close(&x);
    rig_tear_down(&r);
}

static void errors_in_a_row_double_the_idle_hold_time(void)
{
    struct rig r;
    struct raw x;
    rig_set_up(&r);
    raw_listen(&r, &x);
    rig_start(&r.a);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t want = 200u << i;
        CU_ASSERT_TRUE_FATAL(raw_accept(&r, &x));
        x.len = 0;
        raw_send_open(&x, 64999, 9, 90);
        CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_IDLE, 1000));
        uint64_t left = timer_remaining_ms(rig_peer(&r.a)->idle_hold);
        CU_ASSERT_TRUE(left <= want && left + 30 >= want * 3 / 4);
        CU_ASSERT_EQUAL(rig_peer(&r.a)->errors, i + 1);
        close(x.fd);
        x.fd = -1;
        rig_run(&r, (unsigned)left);
    }
    raw_close(&x);
    rig_tear_down(&r);
}

/* Each time the next connection is there before the last one is lost, so that the peer is never seen in Idle.
 */
static void flapping_peer_is_refused_after_a_few_times(void)
{
    struct rig r;
    struct raw x, next;
    uint8_t byte;
    unsigned ups = 0;

    rig_set_up(&r);
    r.a.peers[0].passive = true;
    rig_start(&r.a);
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
    for (; ups < 10 && rig_peer(&r.a)->errors <= PEER_FORGIVEN; ups++) {
        CU_ASSERT_TRUE_FATAL(raw_establish(&r, &x));
        CU_ASSERT_TRUE_FATAL(raw_connect(&r, &next, "127.0.0.2"));
        rig_settle(&r, 10);
        raw_close(&x);
        rig_settle(&r, 10);
        x = next;
    }
    CU_ASSERT_EQUAL(ups, PEER_FORGIVEN + 1);
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_IDLE);
    CU_ASSERT_TRUE(timer_remaining_ms(rig_peer(&r.a)->idle_hold) > 1000);
    raw_close(&x);
    CU_ASSERT_TRUE(raw_connect(&r, &x, "127.0.0.2"));
    rig_settle(&r, 10);
    CU_ASSERT_EQUAL(recv(x.fd, &byte, 1, MSG_DONTWAIT), 0); /* closed without a word */
    raw_close(&x);
    rig_tear_down(&r);
}

static void malformed_attribute_withdraws_and_keeps_the_session(void)
{
    struct rig r;
    struct raw x;
    uint8_t buf[128];
    /* ORIGIN 9 is no origin: RFC 7606 7.1, treat-as-withdraw */
    static const uint8_t attrs[] = {0x40, 1,    1,    9,    0x40, 2, 6,   2, 1, 0,
                                    0,    0xfd, 0xea, 0x40, 3,    4, 192, 0, 2, 1};
    rig_set_up(&r);
    r.a.peers[0].passive = true;
    rig_start(&r.a);
    CU_ASSERT_TRUE(raw_connect(&r, &x, "127.0.0.2"));
    CU_ASSERT_TRUE(raw_establish(&r, &x));
    for (int good = 1; good >= 0; good--) {
        struct wire_writer w = wire_writer(buf, sizeof buf);
        uint8_t *start = msg_begin(&w, BGP_UPDATE);
        wire_put_u16(&w, 0);
        wire_put_u16(&w, sizeof attrs);
        wire_put_bytes(&w, attrs, sizeof attrs);
        if (good)
            w.p[-(ptrdiff_t)sizeof attrs + 3] = ORIGIN_IGP;
        wire_put_bytes(&w, (const uint8_t[]){24, 10, 9, 8}, 4);
        msg_end(&w, start);
        raw_send(&x, &w);
        rig_settle(&r, 30);
        CU_ASSERT_EQUAL(rig_has(&r.a, "10.9.8.0/24"), good);
    }
    CU_ASSERT_EQUAL(info(&r.a).stats.treat_as_withdraw, 1);
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ESTABLISHED);
    raw_close(&x);
    rig_tear_down(&r);
}

static void route_refresh_sends_everything_again(void)
{
    struct rig r;
    rig_set_up(&r);
    give_ipv6(&r);
    CU_ASSERT_EQUAL(rig_originate(&r.b, "fd02::/48"), 0);
    both_up(&r);
    rig_settle(&r, 50);
    uint64_t before = info(&r.a).stats.updates_in;
    CU_ASSERT_EQUAL(peer_soft_in(rig_peer(&r.a)), 0);
    rig_settle(&r, 50);
    CU_ASSERT_EQUAL(info(&r.b).stats.refreshes_in, 2); /* one a family */
    CU_ASSERT_TRUE(info(&r.a).stats.updates_in > before);
    CU_ASSERT_TRUE(rig_has(&r.a, "fd02::/48"));
    rig_tear_down(&r);
}

static void many_refreshes_at_once_are_one(void)
{
    struct rig r;
    struct raw x;
    uint8_t buf[23 * 100];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    const struct refresh_msg m = {.afi = AFI_IPV4, .safi = SAFI_UNICAST};

    rig_set_up(&r);
    r.a.peers[0].passive = true;
    CU_ASSERT_EQUAL(rig_originate(&r.a, "192.0.2.0/24"), 0);
    rig_start(&r.a);
    CU_ASSERT_TRUE(raw_connect(&r, &x, "127.0.0.2"));
    CU_ASSERT_TRUE(raw_establish(&r, &x));
    rig_settle(&r, 20);
    uint64_t before = info(&r.a).stats.updates_out;
    for (int i = 0; i < 100; i++)
        refresh_encode(&w, &m);
    raw_send(&x, &w);
    rig_settle(&r, 30);
    CU_ASSERT_EQUAL(info(&r.a).stats.refreshes_in, 100);
    CU_ASSERT_EQUAL(info(&r.a).stats.updates_out, before + 1);
    raw_close(&x);
    rig_tear_down(&r);
}

static void peer_that_does_not_read_costs_one_buffer(void)
{
    struct rig r;
    struct raw x;
    char text[PREFIX_STRLEN];
    rig_set_up(&r);
    r.a.peers[0].passive = true;
    rig_start(&r.a);
    CU_ASSERT_TRUE(raw_connect(&r, &x, "127.0.0.2"));
    int small = 4096;
    setsockopt(x.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    CU_ASSERT_TRUE(raw_establish(&r, &x));
    setsockopt(rig_peer(&r.a)->up->conn->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 65536; i++) {
            snprintf(text, sizeof text, "10.%u.%u.%u/32", round, i >> 8, i & 255);
            rig_originate(&r.a, text);
        }
        rig_settle(&r, 50);
    }
    CU_ASSERT_TRUE(conn_queued(rig_peer(&r.a)->up->conn, NULL) >= CONN_OUT_HIGH / 2);
    CU_ASSERT_TRUE(conn_queued(rig_peer(&r.a)->up->conn, NULL) <= CONN_OUT_HIGH);
    CU_ASSERT_TRUE(adjout_pending(peer_adjout(rig_peer(&r.a))));
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ESTABLISHED);
    raw_close(&x);
    rig_tear_down(&r);
}

static void deconfigured_peer_is_told_and_changed_one_starts_anew(void)
{
    struct rig r;
    struct config changed;
    struct peer_config pc;
    rig_set_up(&r);
    r.b.peers[0].passive = true;
    both_up(&r);

    changed = r.a.config;
    pc = r.a.peers[0];
    pc.hold_time_ms = 30000;
    changed.peers = &pc;
    r.a.s.config = &changed;
    CU_ASSERT_EQUAL(peer_set_apply(r.a.s.peers, &changed), 0);
    rig_settle(&r, 20);
    CU_ASSERT_EQUAL(info(&r.b).last_error.subcode, BGP_CEASE_CONFIG_CHANGE);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 8000));
    CU_ASSERT_EQUAL(info(&r.a).hold_ms, 30000);

    struct peer_config same = pc; /* another copy of the same: nothing happens */
    changed.peers = &same;
    CU_ASSERT_EQUAL(peer_set_apply(r.a.s.peers, &changed), 0);
    CU_ASSERT_EQUAL(info(&r.a).established_count, 2);
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ESTABLISHED);
    CU_ASSERT_PTR_EQUAL(peer_config(rig_peer(&r.a)), &same);

    changed.n_peers = 0;
    CU_ASSERT_EQUAL(peer_set_apply(r.a.s.peers, &changed), 0);
    CU_ASSERT_EQUAL(peer_set_count(r.a.s.peers), 0);
    rig_settle(&r, 20);
    CU_ASSERT_EQUAL(info(&r.b).last_error.subcode, BGP_CEASE_DECONFIGURED);
    rig_tear_down(&r);
}

static void on_stopped(void *arg)
{
    struct rig *r = arg;
    r->stopped++;
}

static void stopping_says_goodbye_and_reports(void)
{
    struct rig r;
    rig_set_up(&r);
    both_up(&r);
    peer_set_stop(r.a.s.peers, BGP_CEASE_ADMIN_SHUTDOWN, false, on_stopped, &r);
    CU_ASSERT_EQUAL(r.stopped, 0);
    rig_settle(&r, 100);
    CU_ASSERT_EQUAL(r.stopped, 1);
    CU_ASSERT_EQUAL(info(&r.b).last_error.subcode, BGP_CEASE_ADMIN_SHUTDOWN);
    rig_run(&r, 2100);
    CU_ASSERT_EQUAL(r.stopped, 1);
    rig_tear_down(&r);
}

static const struct unit_case cases[] = {
    UNIT(session_comes_up_at_once_with_a_peer_that_waits),
    UNIT(two_passive_peers_never_connect),
    UNIT(routes_go_both_ways_and_leave_with_the_session),
    UNIT(ipv6_goes_over_an_ipv4_session_where_the_interface_has_an_address),
    UNIT(family_without_a_next_hop_is_not_offered),
    UNIT(two_active_peers_end_with_one_session),
    UNIT(collision_keeps_the_connection_of_the_higher_identifier),
    UNIT(established_session_wins_a_collision),
    UNIT(newer_connection_replaces_one_without_an_open),
    UNIT(bad_opens_get_the_right_notification),
    UNIT(unexpected_messages_get_the_fsm_error_with_their_type),
    UNIT(silent_peer_loses_the_session_after_the_hold_time),
    UNIT(busy_speaker_reads_before_it_blames_the_peer),
    UNIT(hold_time_0_means_no_timers),
    UNIT(shutdown_says_why_and_refuses),
    UNIT(clear_resets_and_comes_back),
    UNIT(stranger_is_refused),
    UNIT(md5_keys_must_agree),
    UNIT(gtsm_drops_what_comes_from_afar),
    UNIT(attempts_that_fail_say_why),
    UNIT(every_notification_says_what_to_look_at),
    UNIT(last_reset_outlives_failing_attempts),
    UNIT(ebgp_peer_off_the_subnets_waits_for_one),
    UNIT(an_attempt_that_has_just_begun_goes_on_when_addresses_change),
    UNIT(errors_in_a_row_double_the_idle_hold_time),
    UNIT(flapping_peer_is_refused_after_a_few_times),
    UNIT(malformed_attribute_withdraws_and_keeps_the_session),
    UNIT(route_refresh_sends_everything_again),
    UNIT(many_refreshes_at_once_are_one),
    UNIT(peer_that_does_not_read_costs_one_buffer),
    UNIT(deconfigured_peer_is_told_and_changed_one_starts_anew),
    UNIT(stopping_says_goodbye_and_reports),
};
UNIT_MAIN("peer", cases)
