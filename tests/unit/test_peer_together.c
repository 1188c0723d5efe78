/* Features of a session that meet: graceful restart with limits, ranges, interfaces and second connections.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "peer_rig.h"

static const struct capabilities restarts = {
    .has_multiprotocol = true,
    .family = {true, false},
    .as4 = true,
    .asn = 65002,
    .route_refresh = true,
    .graceful_restart = true,
    .gr_flags_time = 0x4000 | 60,
    .gr_family = {true, false},
    .gr_forwarding = {true, false},
};

static struct peer_info info(struct rig *r)
{
    struct peer_info i;
    peer_info(rig_peer(&r->a), &i);
    return i;
}

static void set_up(struct rig *r)
{
    rig_set_up(r);
    r->a.config.router.graceful_restart.enabled = true;
    r->a.config.router.graceful_restart.restart_time_ms = 120000;
    r->a.config.router.graceful_restart.stale_time_ms = 60000;
    r->a.peers[0].passive = true;
    r->a.peers[0].idle_hold_time_ms = 20;
}

static void up(struct rig *r, struct raw *x)
{
    bool connected = false;
    for (int i = 0; i < 100 && !connected; i++) {
        connected = raw_connect(r, x, "127.0.0.2") && raw_establish_with(r, x, &restarts);
        if (!connected)
            raw_close(x);
        rig_settle(r, 10);
    }
    CU_ASSERT_FATAL(connected);
}

/* 10.0.n.0/24 for n from first on. */
static void announce(struct rig *r, struct raw *x, unsigned first, unsigned n)
{
    static const uint8_t attributes[] = {0x40, 1,    1,    0,    0x40, 2, 6,   2, 1, 0,
                                         0,    0xfd, 0xea, 0x40, 3,    4, 192, 0, 2, 9};
    uint8_t buf[BGP_MAX_LEN];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    uint8_t *start = msg_begin(&w, BGP_UPDATE);
    wire_put_u16(&w, 0);
    wire_put_u16(&w, sizeof attributes);
    wire_put_bytes(&w, attributes, sizeof attributes);
    for (unsigned i = first; i < first + n; i++)
        wire_put_bytes(&w, (uint8_t[]){24, 10, 0, (uint8_t)i}, 4);
    msg_end(&w, start);
    raw_send(x, &w);
    rig_settle(r, 50);
}

static void end_of_rib(struct rig *r, struct raw *x)
{
    uint8_t buf[BGP_HEADER_LEN + 4];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    update_encode_eor(&w, FAM_IPV4);
    raw_send(x, &w);
    rig_settle(r, 50);
}

static void lost(struct rig *r, struct raw *x)
{
    raw_close(x);
    for (int i = 0; i < 100 && peer_established(rig_peer(&r->a)); i++)
        rig_settle(r, 10);
    CU_ASSERT_FALSE(peer_established(rig_peer(&r->a)));
}

static const struct rib_peer *rib(struct rig *r)
{
    return peer_rib(rig_peer(&r->a));
}

static void what_a_restarted_peer_left_is_not_counted_by_its_limit(void)
{
    struct rig r;
    struct raw x;
    set_up(&r);
    r.a.peers[0].max_prefixes.most[FAM_IPV4] = 3;
    r.a.peers[0].max_prefixes.warn_percent = 100;
    r.a.peers[0].max_prefixes.restart_after_ms = 60000;
    rig_start(&r.a);
    up(&r, &x);
    announce(&r, &x, 0, 3);
    lost(&r, &x);
    up(&r, &x);
    announce(&r, &x, 10, 3);
    CU_ASSERT_TRUE(peer_established(rig_peer(&r.a)));
    CU_ASSERT_EQUAL(rib(&r)->paths[FAM_IPV4], 6);
    CU_ASSERT_FALSE(rig_peer(&r.a)->limit.near[FAM_IPV4]);
    lost(&r, &x); /* but it does not leave more and more */
    CU_ASSERT_EQUAL(rib(&r)->stale[FAM_IPV4], 3);
    CU_ASSERT_FALSE(rig_has(&r.a, "10.0.0.0/24"));
    CU_ASSERT_TRUE(rig_has(&r.a, "10.0.10.0/24"));
    up(&r, &x);
    announce(&r, &x, 10, 2);
    end_of_rib(&r, &x);
    CU_ASSERT_EQUAL(rib(&r)->paths[FAM_IPV4], 2);
    announce(&r, &x, 20, 2);
    CU_ASSERT_FALSE(peer_established(rig_peer(&r.a)));
    CU_ASSERT_TRUE(info(&r).over_limit);
    CU_ASSERT_EQUAL(rib(&r)->paths[FAM_IPV4], 0); /* nor is anything kept of a session that passed it */
    raw_close(&x);
    rig_tear_down(&r);
}

static void a_flapping_peer_does_not_keep_stale_routes_for_ever(void)
{
    struct rig r;
    struct raw x;
    set_up(&r);
    rig_start(&r.a);
    up(&r, &x);
    announce(&r, &x, 0, 2);
    lost(&r, &x);
    uint64_t first = loop_now_ms();
    for (int i = 0; i < 3; i++) {
        rig_settle(&r, 100);
        up(&r, &x);
        announce(&r, &x, 10, 1);
        uint64_t end = loop_now_ms() + info(&r).kept[FAM_IPV4].left_ms;
        CU_ASSERT(info(&r).kept[FAM_IPV4].on && end <= first + 60000 + 10);
        if (i < 2)
            lost(&r, &x);
    }
    end_of_rib(&r, &x);
    CU_ASSERT_EQUAL(rib(&r)->paths[FAM_IPV4], 1);
    raw_close(&x);
    rig_tear_down(&r);
}

static void reload(struct rig *r, struct config *c, struct peer_config *pc)
{
    c->peers = pc;
    r->a.s.config = c;
    CU_ASSERT_EQUAL(peer_set_apply(r->a.s.peers, c), 0);
}

static void a_reload_ends_what_is_kept_only_where_it_would_end_the_session(void)
{
    struct rig r;
    struct raw x;
    set_up(&r);
    rig_start(&r.a);
    up(&r, &x);
    announce(&r, &x, 0, 2);
    lost(&r, &x);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ACTIVE, 1000));
    struct config next = r.a.config;
    struct peer_config pc = r.a.peers[0];
    char words[] = "another description";
    pc.passive = false;
    pc.description = words;
    pc.import = IMPORT_NONE; /* the rig's import accepts everything */
    pc.allow_own_as = 1;
    pc.export = EXPORT_NONE;
    pc.idle_hold_max_ms = 5000;
    reload(&r, &next, &pc);
    CU_ASSERT_EQUAL(rib(&r)->stale[FAM_IPV4], 2);
    CU_ASSERT(info(&r).state == PEER_CONNECT || info(&r).state == PEER_ACTIVE);
    struct config last = next;
    struct peer_config other = pc;
    other.hold_time_ms = 30000;
    reload(&r, &last, &other);
    CU_ASSERT_EQUAL(rib(&r)->paths[FAM_IPV4], 0);
    CU_ASSERT_FALSE(info(&r).kept[FAM_IPV4].on);
    rig_tear_down(&r);
}

static void a_dynamic_peer_stays_as_long_as_its_routes_are_kept(void)
{
    struct rig r;
    struct raw x;
    set_up(&r);
    struct peer_config *c = &r.a.peers[0];
    c->kind = PEER_BY_RANGE;
    c->address = c->local_address = (struct ip_addr){0};
    CU_ASSERT_EQUAL_FATAL(prefix_parse("127.0.0.0/8", false, &c->range), 0);
    c->limit = 1;
    rig_start(&r.a);
    r.a.s.peers->leave_ms = 30;
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
    for (int i = 0; i < 100 && !peer_set_count(r.a.s.peers); i++)
        rig_settle(&r, 10);
    CU_ASSERT_TRUE_FATAL(raw_establish_with(&r, &x, &restarts));
    announce(&r, &x, 0, 2);
    lost(&r, &x);
    const struct peer *p = rig_peer(&r.a);
    struct raw other;
    CU_ASSERT_TRUE(raw_connect(&r, &other, "127.0.0.3")); /* nor does it make room for another one */
    CU_ASSERT_TRUE(raw_expect_notification(&r, &other, BGP_ERR_CEASE, BGP_CEASE_REJECTED, 1000));
    raw_close(&other);
    rig_run(&r, 200);
    CU_ASSERT_EQUAL_FATAL(peer_set_count(r.a.s.peers), 1);
    CU_ASSERT_EQUAL(rib(&r)->stale[FAM_IPV4], 2);
    up(&r, &x);
    CU_ASSERT_PTR_EQUAL(rig_peer(&r.a), p);
    announce(&r, &x, 0, 1);
    end_of_rib(&r, &x);
    CU_ASSERT_EQUAL(rib(&r)->paths[FAM_IPV4], 1);
    lost(&r, &x);
    CU_ASSERT_EQUAL(rib(&r)->stale[FAM_IPV4], 1);
    peer_clear(rig_peer(&r.a)); /* and when they are not any more, it goes */
    for (int i = 0; i < 100 && peer_set_count(r.a.s.peers); i++)
        rig_settle(&r, 10);
    CU_ASSERT_EQUAL(peer_set_count(r.a.s.peers), 0);
    rig_tear_down(&r);
}

/* The peer has two connections; the session was over the first one. */
static void a_silent_connection_does_not_outlast_the_session_for_long(void)
{
    struct rig r;
    struct raw x, y;
    set_up(&r);
    rig_start(&r.a);
    up(&r, &x);
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &y, "127.0.0.2"));
    CU_ASSERT_TRUE(raw_expect(&r, &y, BGP_OPEN));
    lost(&r, &x);
    CU_ASSERT_EQUAL(info(&r).state, PEER_OPEN_SENT);
    CU_ASSERT_TRUE(raw_expect_notification(&r, &y, BGP_ERR_HOLD_TIMER, 0, 4 * PEER_LEFTOVER_MS));
    raw_close(&y);
    up(&r, &x);
    raw_close(&x);
    rig_tear_down(&r);
}

static void a_connection_that_lives_takes_over_when_the_session_is_lost(void)
{
    struct rig r;
    struct raw x, y;
    set_up(&r);
    rig_start(&r.a);
    up(&r, &x);
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &y, "127.0.0.2"));
    CU_ASSERT_TRUE(raw_expect(&r, &y, BGP_OPEN));
    lost(&r, &x);
    raw_send_open(&y, 65002, 0x0a000002, 90);
    raw_send_keepalive(&y);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_ESTABLISHED, 1000));
    CU_ASSERT_EQUAL(rig_peer(&r.a)->up->s.hold_run_ms, 90000); /* not the short one */
    raw_close(&y);
    rig_tear_down(&r);
}

static void a_connection_older_than_the_session_is_no_restart(void)
{
    struct rig r;
    struct raw x, y;
    set_up(&r);
    r.a.peers[0].passive = false;
    raw_listen(&r, &x);
    rig_start(&r.a);
    CU_ASSERT_TRUE_FATAL(raw_accept(&r, &x));
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &y, "127.0.0.2"));
    CU_ASSERT_TRUE(raw_expect(&r, &y, BGP_OPEN));
    rig_settle(&r, 20);
    CU_ASSERT_TRUE_FATAL(raw_establish_with(&r, &x, &restarts));
    rig_peer(&r.a)->settled = true;
    raw_send_open(&y, 65002, 0x0a000002, 90);
    CU_ASSERT_TRUE(raw_expect_notification(&r, &y, BGP_ERR_CEASE, BGP_CEASE_COLLISION, 1000));
    CU_ASSERT_TRUE(peer_established(rig_peer(&r.a)));
    CU_ASSERT_EQUAL(info(&r).established_count, 1);
    CU_ASSERT_EQUAL(info(&r).dropped_count, 0); /* who loses a collision was never a session */
    CU_ASSERT_STRING_EQUAL(info(&r).last_reset, "");
    raw_close(&x);
    raw_close(&y);
    rig_tear_down(&r);
}

/* A path of the peer of n that an earlier session has left. */
static void leave(struct rig *r)
{
    struct node *n = &r->a;
    struct peer *p = rig_peer(n);
    const struct attr_build b = {.origin = ORIGIN_IGP, .nexthop = p->address, .nexthop_scope = p->scope};
    const struct attr *a = attr_intern(n->s.attrs, &b);
    struct prefix x;
    CU_ASSERT_EQUAL_FATAL(prefix_parse("192.0.2.0/24", true, &x), 0);
    CU_ASSERT_EQUAL(rib_update(n->s.rib, FAM_IPV4, &x, p->rib, 0, a), 0);
    attr_unref(n->s.attrs, a);
    rib_peer_stale(n->s.rib, p->rib, FAM_IPV4);
    p->restart.kept[FAM_IPV4] = (struct peer_kept){.on = true, .due_ms = loop_now_ms() + 60000};
    timer_set(p->restart.timer, 60000);
}

static void hear(struct rig *r, const char *from)
{
    struct rasock *s = r->a.s.peers->rasock;
    const struct ra_msg m = {.type = RA_ADVERTISEMENT};
    struct ip_addr a;
    CU_ASSERT_EQUAL_FATAL(addr_parse(from, &a), 0);
    s->ops->received(s->arg, 7, &a, &m);
}

static void set_up_unnumbered(struct rig *r)
{
    set_up(r);
    struct peer_config *c = &r->a.peers[0];
    c->kind = PEER_BY_INTERFACE;
    c->address = c->local_address = (struct ip_addr){0};
    c->passive = false;
    strcpy(c->interface, "eth0");
    c->asn_kind = ASN_EXTERNAL;
    r->a.fib.n_links = 1;
    r->a.fib.links[0] = (struct fib_link){.ifindex = 7, .flags = FM_LINK_UP, .name = "eth0"};
    r->a.fib.addresses[0] = (struct fib_address){.ifindex = 7, .len = 64};
    CU_ASSERT_EQUAL_FATAL(addr_parse("fe80::1", &r->a.fib.addresses[0].addr), 0);
    rig_start(&r->a);
    hear(r, "fe80::2");
    leave(r);
}

static void an_unnumbered_peer_leaves_nothing_when_its_interface_goes(void)
{
    struct rig r;
    set_up_unnumbered(&r);
    hear(&r, "fe80::2");
    CU_ASSERT_EQUAL(rib(&r)->stale[FAM_IPV4], 1);
    r.a.fib.links[0].flags = 0;
    peer_set_addresses_changed(r.a.s.peers);
    CU_ASSERT_EQUAL(rib(&r)->paths[FAM_IPV4], 0);
    CU_ASSERT_FALSE(info(&r).kept[FAM_IPV4].on);
    rig_tear_down(&r);
}

static void another_router_on_the_interface_does_not_inherit_routes(void)
{
    struct rig r;
    set_up_unnumbered(&r);
    uint32_t before = rib(&r)->serial;
    for (int i = 0; i < 5; i++)
        hear(&r, "fe80::3");
    CU_ASSERT_EQUAL(rib(&r)->stale[FAM_IPV4], 1); /* the present one still may come back */
    for (int i = 0; i < 1500 && rib(&r)->paths[FAM_IPV4]; i++) {
        hear(&r, "fe80::3");
        rig_settle(&r, 10);
    }
    CU_ASSERT_EQUAL(rib(&r)->paths[FAM_IPV4], 0);
    struct ip_addr now;
    CU_ASSERT_EQUAL_FATAL(addr_parse("fe80::3", &now), 0);
    CU_ASSERT_TRUE(addr_equal(&rig_peer(&r.a)->address, &now));
    CU_ASSERT(rib(&r)->serial > before);
    rig_tear_down(&r);
}

static const struct unit_case cases[] = {
    UNIT(what_a_restarted_peer_left_is_not_counted_by_its_limit),
    UNIT(a_flapping_peer_does_not_keep_stale_routes_for_ever),
    UNIT(a_reload_ends_what_is_kept_only_where_it_would_end_the_session),
    UNIT(a_dynamic_peer_stays_as_long_as_its_routes_are_kept),
    UNIT(a_silent_connection_does_not_outlast_the_session_for_long),
    UNIT(a_connection_that_lives_takes_over_when_the_session_is_lost),
    UNIT(a_connection_older_than_the_session_is_no_restart),
    UNIT(an_unnumbered_peer_leaves_nothing_when_its_interface_goes),
    UNIT(another_router_on_the_interface_does_not_inherit_routes),
};
UNIT_MAIN("peer_together", cases)
