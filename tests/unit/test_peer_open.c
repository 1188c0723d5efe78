/* What two sides agree on when a session begins, and what follows from it: capabilities, roles, names, the
 * send hold timer, an own address that goes away. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer_rig.h"

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

/* The other end of a that does what the test says; a waits for it. */
static void play(struct rig *r, struct raw *x)
{
    rig_set_up(r);
    r->a.peers[0].passive = true;
    rig_start(&r->a);
    CU_ASSERT_TRUE_FATAL(raw_connect(r, x, "127.0.0.2"));
}

static void send_open(struct raw *x, uint16_t my_as, const struct capabilities *caps)
{
    uint8_t buf[BGP_MAX_LEN];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    const struct open_msg m = {.my_as = my_as, .hold_time = 90, .id = 0x0a000002, .caps = *caps};
    open_encode(&w, &m);
    raw_send(x, &w);
}

static void send_notification(struct raw *x, uint8_t code, uint8_t subcode)
{
    uint8_t buf[64];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    const struct bgp_error e = bgp_error_make(code, subcode, NULL, 0);
    notification_encode(&w, &e);
    raw_send(x, &w);
}

/* The OPEN of a. */
static struct open_msg receive_open(struct rig *r, struct raw *x)
{
    static uint8_t body[BGP_MAX_LEN]; /* what is decoded borrows from it */
    struct open_msg m = {0};
    struct bgp_error e;
    size_t n;
    CU_ASSERT_EQUAL(raw_next(r, x, 0, 1000, body, &n), BGP_OPEN);
    CU_ASSERT_EQUAL(open_decode(body, n, &m, &e), 0);
    return m;
}

/* Of the messages that a takes on its connection. */
static size_t longest(const struct rig *r)
{
    const struct peer *p = peer_set_at(r->a.s.peers, 0);
    const struct conn *c = p->links[0].conn ? p->links[0].conn : p->links[1].conn;
    return c ? c->max_len : 0;
}

static void end(struct rig *r, struct raw *x)
{
    raw_close(x);
    rig_tear_down(r);
}

static void hostnames_are_told_and_made_safe(void)
{
    struct rig r;
    struct raw x;
    const struct capabilities caps = {.hostname = {(const uint8_t *)"to\x1br\xc3\xa4", 6},
                                      .domain = {(const uint8_t *)"lab", 3}};
    char own[65] = "";
    play(&r, &x);
    struct open_msg m = receive_open(&r, &x);
    gethostname(own, sizeof own - 1);
    CU_ASSERT_EQUAL_FATAL(m.caps.hostname.len, strlen(own));
    CU_ASSERT_EQUAL(memcmp(m.caps.hostname.p, own, strlen(own)), 0);
    send_open(&x, 65002, &caps);
    raw_send_keepalive(&x);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 1000));
    CU_ASSERT_STRING_EQUAL(info(&r.a).hostname, "to?r??");
    CU_ASSERT_STRING_EQUAL(info(&r.a).domain, "lab");
    CU_ASSERT_PTR_NULL(info(&r.a).received.hostname.p);
    CU_ASSERT_PTR_NULL(info(&r.a).sent.hostname.p);
    end(&r, &x);
}

static void a_long_hostname_is_cut(void)
{
    struct rig r;
    struct raw x;
    uint8_t name[200];
    memset(name, 'x', sizeof name);
    const struct capabilities caps = {.hostname = {name, 200}, .domain = {name, 50}};
    play(&r, &x);
    send_open(&x, 65002, &caps); /* longer than 255: RFC 9072 */
    raw_send_keepalive(&x);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 1000));
    CU_ASSERT_EQUAL(strlen(info(&r.a).hostname), PEER_HOSTLEN - 1);
    CU_ASSERT_EQUAL(strlen(info(&r.a).domain), 50);
    end(&r, &x);
}

/* RFC 5492 section 3, and peers that answer capabilities which they do not know with an error. */
static void refused_capabilities_are_left_away_once(void)
{
    static const struct {
        uint8_t subcode;
        bool multiprotocol;
    } rows[] = {{BGP_ERR_OPEN_PARAM, false}, {BGP_ERR_OPEN_CAPABILITY, true}};
    for (int i = 0; i < 2; i++) {
        struct rig r;
        struct raw x;
        play(&r, &x);
        struct open_msg m = receive_open(&r, &x);
        CU_ASSERT_TRUE(m.caps.route_refresh && m.caps.extended_message && m.caps.as4);
        send_notification(&x, BGP_ERR_OPEN, rows[i].subcode);
        rig_settle(&r, 20);
        raw_close(&x);
        CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
        m = receive_open(&r, &x);
        CU_ASSERT_FALSE(m.caps.route_refresh || m.caps.extended_message || m.caps.hostname.p);
        CU_ASSERT_EQUAL(m.caps.has_multiprotocol, rows[i].multiprotocol);
        CU_ASSERT_EQUAL(m.caps.as4, rows[i].multiprotocol);
        CU_ASSERT_TRUE(info(&r.a).fewer_capabilities);
        CU_ASSERT_EQUAL(longest(&r), BGP_MAX_LEN); /* RFC 8654 section 5 */
        send_open(&x, 65002, &(struct capabilities){0});
        raw_send_keepalive(&x);
        CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 1000));
        CU_ASSERT_TRUE(info(&r.a).family[FAM_IPV4]);
        raw_close(&x);
        CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_IDLE, 1000)); /* the next session may have all again */
        CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
        CU_ASSERT_TRUE(receive_open(&r, &x).caps.extended_message);
        end(&r, &x);
    }
}

static void capabilities_refused_again_are_offered_again(void)
{
    struct rig r;
    struct raw x;
    struct capture c;
    play(&r, &x);
    capture_begin(&c);
    for (int i = 0; i < 3; i++) {
        struct open_msg m = receive_open(&r, &x);
        CU_ASSERT_EQUAL(m.caps.route_refresh, i != 1);
        send_notification(&x, BGP_ERR_OPEN, BGP_ERR_OPEN_CAPABILITY);
        rig_settle(&r, 20);
        raw_close(&x);
        if (i < 2)
            CU_ASSERT_TRUE(raw_connect(&r, &x, "127.0.0.2"));
    }
    char *text = capture_end(&c);
    CU_ASSERT_EQUAL(capture_count(text, "next without the optional ones"), 1); /* not at every attempt */
    CU_ASSERT_EQUAL(capture_count(text, "all again"), 1);
    free(text);
    end(&r, &x);
}

/* IPv6 needs its capability: then the needed ones stay, whatever the peer says. */
static void ipv6_alone_is_never_offered_without_a_word(void)
{
    struct rig r;
    struct raw x;
    rig_set_up(&r);
    r.a.peers[0].passive = true;
    r.a.peers[0].families[FAM_IPV4] = false;
    addr_parse("fd00::1", &r.a.fib.addresses[r.a.fib.n].addr);
    r.a.fib.addresses[r.a.fib.n++].ifindex = 1;
    rig_start(&r.a);
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
    receive_open(&r, &x);
    send_notification(&x, BGP_ERR_OPEN, BGP_ERR_OPEN_PARAM);
    rig_settle(&r, 20);
    raw_close(&x);
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
    struct open_msg m = receive_open(&r, &x);
    CU_ASSERT_TRUE(m.caps.family[FAM_IPV6] && m.caps.as4 && !m.caps.route_refresh);
    end(&r, &x);
}

/* RFC 9234 tables 1 and 2. */
static void roles_must_fit(void)
{
    static const struct {
        enum bgp_role ours;
        uint8_t theirs, again; /* 255: not said */
        bool fits;
    } rows[] = {
        {ROLE_PROVIDER, 3, 255, true},  {ROLE_CUSTOMER, 0, 255, true},  {ROLE_RS_SERVER, 2, 255, true},
        {ROLE_RS_CLIENT, 1, 255, true}, {ROLE_PEER, 4, 255, true},      {ROLE_PEER, 4, 4, true},
        {ROLE_PEER, 255, 255, true},    {ROLE_NONE, 3, 255, true},      {ROLE_NONE, 3, 4, true},
        {ROLE_PROVIDER, 0, 255, false}, {ROLE_CUSTOMER, 3, 255, false}, {ROLE_RS_SERVER, 1, 255, false},
        {ROLE_PEER, 3, 255, false},     {ROLE_PEER, 5, 255, false},     {ROLE_PEER, 4, 3, false},
        {ROLE_PROVIDER, 2, 255, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig r;
        struct raw x;
        uint8_t buf[64];
        rig_set_up(&r);
        r.a.peers[0].passive = true;
        r.a.peers[0].role = rows[i].ours;
        rig_start(&r.a);
        CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
        struct open_msg m = receive_open(&r, &x);
        CU_ASSERT_EQUAL(m.caps.has_role, rows[i].ours != ROLE_NONE);
        CU_ASSERT_EQUAL(role_from_wire(m.caps.has_role ? m.caps.role : 255), rows[i].ours);
        struct capabilities caps = {.has_role = rows[i].theirs != 255, .role = rows[i].theirs};
        struct wire_writer w = wire_writer(buf, sizeof buf);
        open_encode(&w, &(struct open_msg){.my_as = 65002, .hold_time = 90, .id = 9, .caps = caps});
        if (rows[i].again != 255) { /* one more capability in the same parameter */
            wire_put_bytes(&w, (uint8_t[]){CAP_ROLE, 1, rows[i].again}, 3);
            buf[17] += 3, buf[28] += 3, buf[30] += 3;
        }
        raw_send(&x, &w);
        bool ok = rows[i].fits ? raw_expect(&r, &x, BGP_KEEPALIVE)
                               : raw_expect_notification(&r, &x, BGP_ERR_OPEN, BGP_ERR_OPEN_ROLE, 1000);
        if (!ok)
            printf("      row %zu\n", i);
        CU_ASSERT_TRUE(ok);
        CU_ASSERT_EQUAL(info(&r.a).local_role, rows[i].ours);
        if (!rows[i].fits)
            CU_ASSERT_PTR_NOT_NULL(strstr(info(&r.a).last_failure, "Role Mismatch"));
        end(&r, &x);
    }
}

static void internal_peers_have_no_role(void)
{
    struct rig r;
    struct raw x;
    const struct capabilities caps = {.has_role = true, .role = 0};
    rig_set_up(&r);
    r.a.peers[0].passive = true;
    r.a.peers[0].asn = 65001;
    r.a.peers[0].role = ROLE_PROVIDER;
    rig_start(&r.a);
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
    CU_ASSERT_FALSE(receive_open(&r, &x).caps.has_role);
    send_open(&x, 65001, &caps);
    CU_ASSERT_TRUE(raw_expect(&r, &x, BGP_KEEPALIVE));
    end(&r, &x);
}

/* RFC 6793 section 9: AS_TRANS is nobody. */
static void as_trans_is_no_peer(void)
{
    for (int wide = 0; wide < 2; wide++) {
        struct rig r;
        struct raw x;
        const struct capabilities caps = {.as4 = wide, .asn = BGP_AS_TRANS};
        rig_set_up(&r);
        r.a.peers[0].passive = true;
        r.a.peers[0].asn_kind = ASN_EXTERNAL;
        r.a.peers[0].asn = 0;
        rig_start(&r.a);
        CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
        send_open(&x, BGP_AS_TRANS, &caps);
        CU_ASSERT_TRUE(raw_expect_notification(&r, &x, BGP_ERR_OPEN, BGP_ERR_OPEN_PEER_AS, 1000));
        end(&r, &x);
    }
}

static void two_octet_peer_is_known_by_the_field(void)
{
    struct rig r;
    struct raw x;
    rig_set_up(&r);
    r.a.peers[0].passive = true;
    r.a.peers[0].local_asn = r.a.config.router.asn = 4200000001;
    rig_start(&r.a);
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
    struct open_msg m = receive_open(&r, &x);
    CU_ASSERT_EQUAL(m.my_as, BGP_AS_TRANS);
    CU_ASSERT_EQUAL(m.caps.asn, 4200000001);
    send_open(&x, 65002, &(struct capabilities){.route_refresh = true});
    raw_send_keepalive(&x);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 1000));
    CU_ASSERT_FALSE(rig_peer(&r.a)->ctx.as4);
    CU_ASSERT_EQUAL(info(&r.a).remote_as, 65002);
    end(&r, &x);
}

static void local_asn_is_all_that_the_peer_sees(void)
{
    struct rig r;
    rig_set_up(&r);
    r.a.peers[0].local_asn = 64999;
    r.b.peers[0].asn = 0;
    r.b.peers[0].asn_kind = ASN_EXTERNAL;
    both_up(&r);
    CU_ASSERT_EQUAL(info(&r.a).local_as, 64999);
    CU_ASSERT_EQUAL(info(&r.b).remote_as, 64999);
    CU_ASSERT_EQUAL(rig_peer(&r.a)->ctx.local_as, 64999);
    CU_ASSERT_FALSE(info(&r.b).ibgp);
    rig_tear_down(&r);
}

static void local_asn_decides_whether_the_peer_is_internal(void)
{
    struct rig r;
    rig_set_up(&r);
    r.a.peers[0].local_asn = 65002;
    r.b.peers[0].asn = 65002;
    both_up(&r);
    CU_ASSERT_TRUE(info(&r.a).ibgp && info(&r.b).ibgp);
    rig_tear_down(&r);
}

static void an_as_that_router_asn_changes_resets_and_says_so(void)
{
    struct rig r;
    rig_set_up(&r);
    r.b.peers[0].asn_kind = ASN_EXTERNAL;
    r.b.peers[0].asn = 0;
    both_up(&r);
    struct config next = r.a.config;
    struct peer_config peer = r.a.peers[0];
    next.peers = &peer;
    next.router.asn = peer.local_asn = 64998;
    r.a.s.config = &next;
    CU_ASSERT_EQUAL(peer_set_apply(r.a.s.peers, &next), 0);
    CU_ASSERT_STRING_EQUAL(info(&r.a).last_reset, "NOTIFICATION sent: Cease/Other Configuration Change");
    rig_settle(&r, 50);
    CU_ASSERT_TRUE(rig_wait(&r, &r.b, PEER_ESTABLISHED, 5000));
    CU_ASSERT_EQUAL(info(&r.b).remote_as, 64998);
    rig_tear_down(&r);
}

/* RFC 8654: what is longer than 4096 octets is taken from who was told so, and whole. */
static void long_messages_are_taken_where_they_were_offered(void)
{
    enum { LEN = 60000 };
    struct rig r;
    struct raw x;
    uint8_t *m = calloc(1, LEN);
    play(&r, &x);
    CU_ASSERT_TRUE(raw_establish(&r, &x)); /* the peer does not say that it can: it may send all the same */
    CU_ASSERT_FALSE(rig_peer(&r.a)->up->s.common.extended_message);
    memset(m, 0xff, 16);
    wire_set_u16(m + 16, LEN);
    m[18] = BGP_UPDATE;
    wire_set_u16(m + 19, LEN - 23); /* withdrawals of 0.0.0.0/0 */
    CU_ASSERT_EQUAL(fcntl(x.fd, F_SETFL, 0), 0);
    for (size_t at = 0, part = 7000; at < LEN; at += part) {
        part = part < LEN - at ? part : LEN - at;
        CU_ASSERT_EQUAL(send(x.fd, m + at, part, MSG_NOSIGNAL), (ssize_t)part);
        rig_settle(&r, 5);
    }
    raw_send_keepalive(&x);
    for (int i = 0; i < 100 && info(&r.a).stats.keepalives_in < 2; i++)
        rig_settle(&r, 20);
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ESTABLISHED);
    CU_ASSERT_EQUAL(info(&r.a).stats.updates_in, 1);
    CU_ASSERT_EQUAL(info(&r.a).stats.keepalives_in, 2);
    CU_ASSERT_EQUAL(rig_peer(&r.a)->up->conn->rest_size, 0); /* nothing so large is kept */
    free(m);
    end(&r, &x);
}

/* The peer sends keepalives and reads nothing; routes that change go nowhere. RFC 9687. */
static void peer_that_reads_nothing_loses_the_session(void)
{
    struct rig r;
    struct raw x;
    int small = 4096;
    rig_set_up(&r);
    r.a.peers[0].passive = true;
    r.a.peers[0].send_hold_time_ms = 400;
    r.a.peers[0].families[FAM_IPV4] = false;
    struct fib_address six = {.ifindex = 1, .len = 64};
    addr_parse("fd00::1", &six.addr);
    r.a.fib.addresses[r.a.fib.n++] = six;
    rig_start(&r.a);
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
    setsockopt(x.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    const struct capabilities caps = {.has_multiprotocol = true, .family = {false, true}};
    send_open(&x, 65002, &caps);
    raw_send_keepalive(&x);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 1000));
    CU_ASSERT_EQUAL(info(&r.a).send_hold_ms, 400);
    rig_run(&r, 900);
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ESTABLISHED); /* with little to send it owes nothing */
    uint64_t until = loop_now_ms() + 10000;
    for (unsigned i = 0; info(&r.a).state == PEER_ESTABLISHED && loop_now_ms() < until; i++) {
        char prefix[64];
        for (unsigned k = 0; k < 2000 && i < 100; k++) {
            snprintf(prefix, sizeof prefix, "fd01:%x:%x::/48", i, k);
            rig_originate(&r.a, prefix);
        }
        raw_send_keepalive(&x);
        rig_settle(&r, 20);
    }
    struct peer_info a = info(&r.a);
    CU_ASSERT_NOT_EQUAL(a.state, PEER_ESTABLISHED);
    CU_ASSERT_EQUAL(a.last_error.code, BGP_ERR_SEND_HOLD_TIMER);
    CU_ASSERT_EQUAL(a.last_error.subcode, 0);
    CU_ASSERT_FALSE(a.last_error_received);
    CU_ASSERT_PTR_NOT_NULL(strstr(a.last_reset, "send hold timer expired"));
    CU_ASSERT_EQUAL(a.send_hold_ms, 0);
    end(&r, &x);
}

static void send_hold_time_follows_the_hold_time(void)
{
    static const struct {
        uint32_t hold, own, want;
    } rows[] = {{90000, 0, 480000}, {300000, 0, 600000}, {90000, 5000, 5000}, {0, 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig r;
        rig_set_up(&r);
        r.a.peers[0].hold_time_ms = r.b.peers[0].hold_time_ms = rows[i].hold;
        r.a.peers[0].send_hold_time_ms = rows[i].own;
        both_up(&r);
        CU_ASSERT_EQUAL(info(&r.a).send_hold_ms, rows[i].want);
        CU_ASSERT_EQUAL(timer_running(rig_peer(&r.a)->up->send_hold), rows[i].want != 0);
        rig_tear_down(&r);
    }
}

static void session_ends_with_the_address_that_it_came_from(void)
{
    struct rig r;
    rig_set_up(&r);
    r.b.peers[0].passive = true;
    both_up(&r);
    struct fib_address own = r.a.fib.addresses[0];
    r.a.fib.addresses[1] = own;
    addr_parse("127.0.0.77", &r.a.fib.addresses[1].addr);
    r.a.fib.n = 2;
    peer_set_addresses_changed(r.a.s.peers);
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ESTABLISHED); /* one more is nothing to it */
    r.a.fib.addresses[0].flags |= FM_ADDR_DELETED;
    peer_set_addresses_changed(r.a.s.peers);
    CU_ASSERT_NOT_EQUAL(info(&r.a).state, PEER_ESTABLISHED);
    CU_ASSERT_STRING_EQUAL(info(&r.a).last_reset, "our address of the session is gone: 127.0.0.1");
    r.a.fib.addresses[0] = own;
    peer_set_addresses_changed(r.a.s.peers);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 8000));
    rig_tear_down(&r);
}

static void an_address_that_we_never_knew_is_not_missed(void)
{
    struct rig r;
    rig_set_up(&r);
    addr_parse("127.0.0.77", &r.a.fib.addresses[0].addr);
    both_up(&r);
    peer_set_addresses_changed(r.a.s.peers);
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ESTABLISHED);
    rig_tear_down(&r);
}

/* RFC 6608 section 4, for every state and every message that does not belong there. */
static void unexpected_messages_are_named_in_every_state(void)
{
    static const struct {
        enum peer_state state;
        uint8_t type;
    } rows[] = {{PEER_OPEN_SENT, BGP_KEEPALIVE},     {PEER_OPEN_SENT, BGP_UPDATE},
                {PEER_OPEN_SENT, BGP_ROUTE_REFRESH}, {PEER_OPEN_CONFIRM, BGP_OPEN},
                {PEER_OPEN_CONFIRM, BGP_UPDATE},     {PEER_OPEN_CONFIRM, BGP_ROUTE_REFRESH},
                {PEER_ESTABLISHED, BGP_OPEN}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig r;
        struct raw x;
        uint8_t body[BGP_MAX_LEN] = {0}, buf[64], type;
        struct wire_writer w = wire_writer(buf, sizeof buf);
        size_t n = 0;
        play(&r, &x);
        if (rows[i].state != PEER_OPEN_SENT)
            raw_send_open(&x, 65002, 9, 90);
        if (rows[i].state == PEER_ESTABLISHED)
            raw_send_keepalive(&x);
        CU_ASSERT_TRUE(rig_wait(&r, &r.a, rows[i].state, 1000));
        if (rows[i].type == BGP_OPEN) {
            raw_send_open(&x, 65002, 9, 90);
        } else if (rows[i].type == BGP_KEEPALIVE) {
            raw_send_keepalive(&x);
        } else {
            uint8_t *start = msg_begin(&w, (enum bgp_msg_type)rows[i].type);
            wire_put_u32(&w, rows[i].type == BGP_UPDATE ? 0 : 0x00010001);
            msg_end(&w, start);
            raw_send(&x, &w);
        }
        do
            type = raw_next(&r, &x, 0, 1000, body, &n);
        while (type && type != BGP_NOTIFICATION);
        CU_ASSERT_EQUAL(n, 3);
        CU_ASSERT_EQUAL(body[0], BGP_ERR_FSM);
        CU_ASSERT_EQUAL(body[1], rows[i].state - PEER_OPEN_SENT + BGP_ERR_FSM_OPEN_SENT);
        CU_ASSERT_EQUAL(body[2], rows[i].type);
        end(&r, &x);
    }
}

static const struct unit_case cases[] = {
    UNIT(hostnames_are_told_and_made_safe),
    UNIT(a_long_hostname_is_cut),
    UNIT(refused_capabilities_are_left_away_once),
    UNIT(capabilities_refused_again_are_offered_again),
    UNIT(ipv6_alone_is_never_offered_without_a_word),
    UNIT(roles_must_fit),
    UNIT(internal_peers_have_no_role),
    UNIT(as_trans_is_no_peer),
    UNIT(two_octet_peer_is_known_by_the_field),
    UNIT(local_asn_is_all_that_the_peer_sees),
    UNIT(local_asn_decides_whether_the_peer_is_internal),
    UNIT(an_as_that_router_asn_changes_resets_and_says_so),
    UNIT(long_messages_are_taken_where_they_were_offered),
    UNIT(peer_that_reads_nothing_loses_the_session),
    UNIT(send_hold_time_follows_the_hold_time),
    UNIT(session_ends_with_the_address_that_it_came_from),
    UNIT(an_address_that_we_never_knew_is_not_missed),
    UNIT(unexpected_messages_are_named_in_every_state),
};
UNIT_MAIN("peer_open", cases)
