/* Route refresh of a session with a peer that the test plays: requests, Beginning-of-RR and End-of-RR both
 * ways (RFC 2918, RFC 7313). */
#include "peer_rig.h"

static const struct capabilities enhanced = {.has_multiprotocol = true,
                                             .family = {true, false},
                                             .as4 = true,
                                             .asn = 65002,
                                             .route_refresh = true,
                                             .enhanced_refresh = true};

static struct peer_info info(struct node *n)
{
    struct peer_info i;
    peer_info(rig_peer(n), &i);
    return i;
}

static unsigned said; /* ROUTE-REFRESH messages, in this session */

static void set_up(struct rig *r, bool hold_eor)
{
    said = 0;
    rig_set_up(r);
    r->a.s.deferring = hold_eor;
    if (hold_eor)
        r->a.peers[0].export = EXPORT_ALL; /* what the node originates has nothing to wait for */
    r->a.peers[0].passive = true;
    r->a.config.router.graceful_restart.enabled = true; /* the enhanced form comes with it */
    r->a.config.router.graceful_restart.restart_time_ms = 120000;
    r->a.config.router.graceful_restart.stale_time_ms = 360000;
    CU_ASSERT_EQUAL(rig_originate(&r->a, "192.0.2.0/24"), 0);
    rig_start(&r->a);
}

static void establish(struct rig *r, struct raw *x, const struct capabilities *caps)
{
    CU_ASSERT_TRUE_FATAL(raw_connect(r, x, "127.0.0.2"));
    CU_ASSERT_TRUE_FATAL(raw_establish_with(r, x, caps));
}

static void up(struct rig *r, struct raw *x, const struct capabilities *caps)
{
    set_up(r, false);
    establish(r, x, caps);
}

static void down(struct rig *r, struct raw *x)
{
    raw_close(x);
    rig_tear_down(r);
}

static void say(struct raw *x, uint16_t afi, uint8_t subtype)
{
    uint8_t buf[32];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    said++;
    refresh_encode(&w, &(struct refresh_msg){.afi = afi, .subtype = subtype, .safi = SAFI_UNICAST});
    raw_send(x, &w);
}

/* 10.third.0.0/24, announced or withdrawn; 0: End-of-RIB */
static void route(struct raw *x, uint8_t third, bool announce)
{
    static const uint8_t attrs[] = {0x40, 1,    1,    0,    0x40, 2, 6,   2, 1, 0,
                                    0,    0xfd, 0xea, 0x40, 3,    4, 192, 0, 2, 1};
    const uint8_t nlri[] = {24, 10, third, 0};
    uint8_t buf[128];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    uint8_t *start = msg_begin(&w, BGP_UPDATE);
    bool eor = !third;
    wire_put_u16(&w, eor || announce ? 0 : sizeof nlri);
    if (!eor && !announce)
        wire_put_bytes(&w, nlri, sizeof nlri);
    wire_put_u16(&w, eor || !announce ? 0 : sizeof attrs);
    if (!eor && announce) {
        wire_put_bytes(&w, attrs, sizeof attrs);
        wire_put_bytes(&w, nlri, sizeof nlri);
    }
    msg_end(&w, start);
    raw_send(x, &w);
}

/* All that was sent has been read: a request of a family that was not agreed on is counted and does nothing.
 */
static void heard(struct rig *r, struct raw *x)
{
    say(x, 99, 0);
    for (unsigned i = 0; i < 200 && info(&r->a).stats.refreshes_in < said; i++)
        rig_settle(r, 10);
    rig_settle(r, 10); /* and what it left to the background is done */
}

static bool is_eor(uint8_t type, size_t n)
{
    return type == BGP_UPDATE && n == 4;
}

/* The next messages but KEEPALIVEs as one letter each: U, E for End-of-RIB, R B F for ROUTE-REFRESH 0 1 2. */
static const char *hear(struct rig *r, struct raw *x, unsigned ms)
{
    static char text[32];
    uint8_t body[BGP_MAX_LEN], type;
    size_t n, k = 0;
    while (k + 1 < sizeof text && (type = raw_next(r, x, BGP_KEEPALIVE, ms, body, &n)))
        text[k++] = type == BGP_ROUTE_REFRESH ? "RBF?"[body[2] > 2 ? 3 : body[2]]
                    : is_eor(type, n)         ? 'E'
                    : type == BGP_UPDATE      ? 'U'
                                              : '!';
    text[k] = 0;
    return text;
}

static void a_request_is_served_between_begin_and_end(void)
{
    struct rig r;
    struct raw x;
    up(&r, &x, &enhanced);
    CU_ASSERT_STRING_EQUAL(hear(&r, &x, 50), "UE");
    say(&x, AFI_IPV4, 0);
    CU_ASSERT_STRING_EQUAL(hear(&r, &x, 50), "BUF");
    say(&x, AFI_IPV6, 0); /* not agreed on */
    say(&x, 25, 0);
    CU_ASSERT_STRING_EQUAL(hear(&r, &x, 50), "");
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ESTABLISHED);
    CU_ASSERT_EQUAL(info(&r.a).stats.refreshes_in, 3);
    CU_ASSERT_EQUAL(info(&r.a).stats.refreshes_out, 2);
    CU_ASSERT_EQUAL(peer_soft_out(rig_peer(&r.a)), 0); /* begun by us: the same */
    CU_ASSERT_STRING_EQUAL(hear(&r, &x, 50), "BUF");
    CU_ASSERT_EQUAL(peer_soft_in(rig_peer(&r.a)), 0);
    CU_ASSERT_STRING_EQUAL(hear(&r, &x, 50), "R");
    down(&r, &x);
}

static void a_peer_without_the_capability_gets_no_brackets(void)
{
    struct rig r;
    struct raw x;
    up(&r, &x, NULL);
    CU_ASSERT_STRING_EQUAL(hear(&r, &x, 50), "UE");
    say(&x, AFI_IPV4, 0);
    CU_ASSERT_STRING_EQUAL(hear(&r, &x, 50), "U");
    route(&x, 1, true);
    say(&x, AFI_IPV4, 1); /* and its own mean nothing */
    say(&x, AFI_IPV4, 2);
    say(&x, AFI_IPV4, 77);
    heard(&r, &x);
    CU_ASSERT_TRUE(rig_has(&r.a, "10.1.0.0/24"));
    down(&r, &x);
}

static void requests_before_end_of_rib_wait_and_many_are_one(void)
{
    struct rig r;
    struct raw x;
    up(&r, &x, &enhanced);
    for (unsigned i = 0; i < 50; i++)
        say(&x, AFI_IPV4, 0);
    const char *text = hear(&r, &x, 50);
    const char *first = strchr(text, 'B');
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    CU_ASSERT(strchr(text, 'E') && strchr(text, 'E') < first);
    CU_ASSERT(strlen(text) <= 2 + 2 * 3); /* one while the first is served may make a second round */
    CU_ASSERT_STRING_EQUAL(first + strlen(first) - 3, "BUF");
    down(&r, &x);
}

static void a_request_behind_a_held_end_of_rib_costs_nothing_until_it_is_freed(void)
{
    struct rig r;
    struct raw x;
    set_up(&r, true);
    establish(&r, &x, &enhanced);
    say(&x, AFI_IPV4, 0);
    heard(&r, &x);
    CU_ASSERT_STRING_EQUAL(hear(&r, &x, 50), "U");
    CU_ASSERT_FALSE(peer_tx_step(rig_peer(&r.a))); /* a step that asks for another would never end */
    peer_set_release_eor(r.a.s.peers);
    CU_ASSERT_STRING_EQUAL(hear(&r, &x, 50), "EBUF");
    down(&r, &x);
}

static void what_is_not_said_again_goes_with_the_end(void)
{
    struct rig r;
    struct raw x;
    up(&r, &x, &enhanced);
    route(&x, 1, true);
    route(&x, 2, true);
    route(&x, 3, true);
    route(&x, 0, true);
    say(&x, AFI_IPV4, 2); /* of nothing that began */
    heard(&r, &x);
    CU_ASSERT_TRUE(rig_has(&r.a, "10.1.0.0/24") && rig_has(&r.a, "10.2.0.0/24"));
    say(&x, AFI_IPV4, 1);
    route(&x, 1, true);
    heard(&r, &x);
    CU_ASSERT_TRUE(rig_has(&r.a, "10.1.0.0/24") && rig_has(&r.a, "10.2.0.0/24")); /* stale is not gone */
    say(&x, AFI_IPV4, 1); /* anew, before it has ended */
    route(&x, 2, true);
    heard(&r, &x);
    CU_ASSERT_TRUE(rig_has(&r.a, "10.1.0.0/24") && rig_has(&r.a, "10.3.0.0/24"));
    say(&x, AFI_IPV4, 2);
    heard(&r, &x);
    CU_ASSERT_FALSE(rig_has(&r.a, "10.1.0.0/24"));
    CU_ASSERT_TRUE(rig_has(&r.a, "10.2.0.0/24"));
    CU_ASSERT_FALSE(rig_has(&r.a, "10.3.0.0/24"));
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ESTABLISHED);
    down(&r, &x);
}

static void an_end_that_never_comes_is_not_waited_for(void)
{
    struct rig r;
    struct raw x;
    up(&r, &x, &enhanced);
    r.a.config.router.graceful_restart.stale_time_ms = 200;
    route(&x, 1, true);
    route(&x, 2, true);
    route(&x, 0, true);
    say(&x, AFI_IPV4, 1);
    route(&x, 2, true);
    heard(&r, &x);
    for (unsigned i = 0; i < 100 && rig_has(&r.a, "10.1.0.0/24"); i++)
        rig_settle(&r, 20);
    CU_ASSERT_FALSE(rig_has(&r.a, "10.1.0.0/24"));
    CU_ASSERT_TRUE(rig_has(&r.a, "10.2.0.0/24"));
    down(&r, &x);
}

/* RFC 7313 4: of a peer with graceful restart no refresh begins before its End-of-RIB. */
static void a_begin_before_end_of_rib_is_ignored(void)
{
    struct rig r;
    struct raw x;
    struct capabilities caps = enhanced;
    caps.graceful_restart = true;
    up(&r, &x, &caps);
    route(&x, 1, true);
    say(&x, AFI_IPV4, 1);
    say(&x, AFI_IPV4, 2);
    heard(&r, &x);
    CU_ASSERT_TRUE(rig_has(&r.a, "10.1.0.0/24"));
    route(&x, 0, true);
    say(&x, AFI_IPV4, 1);
    say(&x, AFI_IPV4, 2);
    heard(&r, &x);
    CU_ASSERT_FALSE(rig_has(&r.a, "10.1.0.0/24"));
    down(&r, &x);
}

static void wrong_lengths_end_the_session(void)
{
    static const struct {
        uint8_t subtype, code, sub;
        bool enhanced;
    } rows[] = {
        {1, BGP_ERR_ROUTE_REFRESH, 1, true},
        {2, BGP_ERR_ROUTE_REFRESH, 1, true},
        {0, BGP_ERR_HEADER, BGP_ERR_HDR_LENGTH, true},
        {1, 0, 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig r;
        struct raw x;
        uint8_t buf[32];
        struct wire_writer w = wire_writer(buf, sizeof buf);
        up(&r, &x, rows[i].enhanced ? &enhanced : NULL);
        uint8_t *start = msg_begin(&w, BGP_ROUTE_REFRESH);
        wire_put_bytes(&w, (const uint8_t[]){0, AFI_IPV4, rows[i].subtype, SAFI_UNICAST, 0xee}, 5);
        msg_end(&w, start);
        raw_send(&x, &w);
        if (rows[i].code)
            CU_ASSERT_TRUE(raw_expect_notification(&r, &x, rows[i].code, rows[i].sub, 500));
        rig_settle(&r, 20);
        CU_ASSERT_EQUAL(info(&r.a).state == PEER_ESTABLISHED, !rows[i].code);
        down(&r, &x);
    }
}

static const struct unit_case cases[] = {
    UNIT(a_request_is_served_between_begin_and_end),
    UNIT(a_peer_without_the_capability_gets_no_brackets),
    UNIT(requests_before_end_of_rib_wait_and_many_are_one),
    UNIT(a_request_behind_a_held_end_of_rib_costs_nothing_until_it_is_freed),
    UNIT(what_is_not_said_again_goes_with_the_end),
    UNIT(an_end_that_never_comes_is_not_waited_for),
    UNIT(a_begin_before_end_of_rib_is_ignored),
    UNIT(wrong_lengths_end_the_session),
};
UNIT_MAIN("peer_refresh", cases)
