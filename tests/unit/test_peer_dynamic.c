/* Dynamic neighbours: who becomes a peer, who does not, and when it is forgotten. The rig's node a waits for
 * 127.0.0.0/8, the test plays those who connect. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "peer_rig.h"

static struct peer *at(struct rig *r, const char *address)
{
    return peer_set_find(r->a.s.peers, address);
}

static unsigned count(struct rig *r)
{
    return peer_set_count(r->a.s.peers);
}

static enum peer_state state(struct rig *r, const char *address)
{
    struct peer_info i;
    peer_info(at(r, address), &i);
    return i.state;
}

static void make_range(struct peer_config *c, const char *range, uint32_t limit)
{
    c->kind = PEER_BY_RANGE;
    c->address = c->local_address = (struct ip_addr){0};
    CU_ASSERT_EQUAL_FATAL(prefix_parse(range, false, &c->range), 0);
    c->limit = limit;
    c->passive = true;
}

static void set_up(struct rig *r, uint32_t limit)
{
    rig_set_up(r);
    make_range(&r->a.peers[0], "127.0.0.0/8", limit);
    rig_start(&r->a);
}

/* Whether somebody from there gets an Established session. */
static bool comes_up(struct rig *r, struct raw *x, const char *from)
{
    if (!raw_connect(r, x, from))
        return false;
    raw_send_open(x, 65002, 0x0a000002, 90);
    raw_send_keepalive(x);
    for (unsigned i = 0; i < 200; i++) {
        struct peer *p = at(r, from);
        if (p && peer_established(p))
            return true;
        rig_settle(r, 5);
    }
    return false;
}

static bool is_refused(struct rig *r, const char *from)
{
    struct raw x;
    bool is =
        raw_connect(r, &x, from) && raw_expect_notification(r, &x, BGP_ERR_CEASE, BGP_CEASE_REJECTED, 1000);
    raw_close(&x);
    return is;
}

static bool becomes(struct rig *r, unsigned n)
{
    for (unsigned i = 0; i < 200 && count(r) != n; i++)
        rig_settle(r, 5);
    return count(r) == n;
}

static void apply(struct rig *r, struct config *c)
{
    r->a.s.config = c;
    CU_ASSERT_EQUAL(peer_set_apply(r->a.s.peers, c), 0);
}

static void who_connects_from_the_range_becomes_a_peer(void)
{
    struct rig r;
    struct raw x, y;
    set_up(&r, 10);
    CU_ASSERT_EQUAL(count(&r), 0);
    CU_ASSERT_PTR_NULL(at(&r, "127.0.0.7"));
    CU_ASSERT_TRUE(comes_up(&r, &x, "127.0.0.7"));
    CU_ASSERT_TRUE(comes_up(&r, &y, "127.0.0.8"));
    CU_ASSERT_EQUAL(count(&r), 2);
    CU_ASSERT_STRING_EQUAL(peer_name(at(&r, "127.0.0.8")), "127.0.0.8");
    CU_ASSERT_EQUAL(peer_config(at(&r, "127.0.0.8"))->kind, PEER_BY_RANGE);
    CU_ASSERT_PTR_NULL(peer_set_find(r.a.s.peers, ""));
    raw_close(&x);
    raw_close(&y);
    rig_tear_down(&r);
}

static void it_is_forgotten_a_while_after_its_session(void)
{
    struct rig r;
    struct raw x, y;
    set_up(&r, 10);
    r.a.s.peers->leave_ms = 150;
    CU_ASSERT_TRUE(comes_up(&r, &x, "127.0.0.7"));
    CU_ASSERT_TRUE(comes_up(&r, &y, "127.0.0.8"));
    rig_run(&r, 300);
    CU_ASSERT_EQUAL(count(&r), 2); /* not while it is up */
    raw_close(&x);
    rig_settle(&r, 40);
    CU_ASSERT_EQUAL(count(&r), 2);
    struct peer_info i;
    peer_info(at(&r, "127.0.0.7"), &i);
    CU_ASSERT_TRUE(i.last_reset[0]); /* for the operator to see */
    CU_ASSERT_TRUE(becomes(&r, 1));
    CU_ASSERT_PTR_NULL(at(&r, "127.0.0.7"));
    CU_ASSERT_PTR_NOT_NULL(at(&r, "127.0.0.8")); /* found in its new place */
    CU_ASSERT_TRUE(comes_up(&r, &x, "127.0.0.7"));
    raw_close(&x);
    raw_close(&y);
    rig_tear_down(&r);
}

static void the_limit_holds_but_not_for_those_that_have_left(void)
{
    struct rig r;
    struct raw x, y, z;
    set_up(&r, 2);
    CU_ASSERT_TRUE(comes_up(&r, &x, "127.0.0.7"));
    CU_ASSERT_TRUE(comes_up(&r, &y, "127.0.0.8"));
    CU_ASSERT_TRUE(is_refused(&r, "127.0.0.9"));
    CU_ASSERT_EQUAL(count(&r), 2);
    raw_close(&x);
    rig_settle(&r, 40);
    CU_ASSERT_TRUE(comes_up(&r, &z, "127.0.0.9")); /* in the place of .7 */
    CU_ASSERT_PTR_NULL(at(&r, "127.0.0.7"));
    CU_ASSERT_TRUE(is_refused(&r, "127.0.0.7"));
    raw_close(&y);
    raw_close(&z);
    rig_tear_down(&r);
}

static void off_the_subnets_it_needs_multihop(void)
{
    struct rig r;
    struct raw x;
    set_up(&r, 10);
    r.a.fib.no_subnet = true;
    CU_ASSERT_TRUE(is_refused(&r, "127.0.0.7"));
    CU_ASSERT_EQUAL(count(&r), 0);
    r.a.peers[0].multihop = 2;
    CU_ASSERT_TRUE(comes_up(&r, &x, "127.0.0.7"));
    raw_close(&x);
    rig_tear_down(&r);
}

static void the_most_specific_range_and_a_configured_address_win(void)
{
    struct rig r;
    struct raw x, y, z;
    struct peer_config pc[4];
    rig_set_up(&r);
    struct config c = r.a.config;
    for (unsigned i = 0; i < 4; i++)
        pc[i] = r.a.peers[0];
    make_range(&pc[0], "127.0.0.0/8", 5);
    make_range(&pc[1], "127.0.1.0/24", 5);
    make_range(&pc[2], "127.0.0.0/16", 5);
    pc[3].address = addr_v4(0x7f000109);
    pc[3].passive = true;
    c.peers = pc;
    c.n_peers = 4;
    apply(&r, &c);
    r.a.s.running = true;
    peer_set_start(r.a.s.peers);
    CU_ASSERT_TRUE(comes_up(&r, &x, "127.0.1.7"));
    CU_ASSERT_TRUE(comes_up(&r, &y, "127.0.2.7"));
    CU_ASSERT_TRUE(comes_up(&r, &z, "127.0.1.9"));
    CU_ASSERT_PTR_EQUAL(peer_config(at(&r, "127.0.1.7")), &pc[1]);
    CU_ASSERT_PTR_EQUAL(peer_config(at(&r, "127.0.2.7")), &pc[2]);
    CU_ASSERT_PTR_EQUAL(peer_config(at(&r, "127.0.1.9")), &pc[3]);
    CU_ASSERT_EQUAL(count(&r), 3);
    CU_ASSERT_PTR_EQUAL(peer_set_at(r.a.s.peers, 0), at(&r, "127.0.1.9")); /* configured ones come first */
    raw_close(&x);
    raw_close(&y);
    raw_close(&z);
    rig_tear_down(&r);
}

static void a_reload_changes_what_it_must(void)
{
    struct rig r;
    struct raw x, y;
    static char text[] = "other";
    set_up(&r, 10);
    CU_ASSERT_TRUE(comes_up(&r, &x, "127.0.0.7"));
    CU_ASSERT_TRUE(comes_up(&r, &y, "127.0.1.7"));
    struct config c = r.a.config;
    struct peer_config live[2] = {r.a.peers[0], r.a.peers[0]}, one, changed;
    live[0].description = text;
    live[0].limit = 1; /* lets those be that are there */
    c.peers = live;
    apply(&r, &c);
    CU_ASSERT_EQUAL(state(&r, "127.0.0.7"), PEER_ESTABLISHED);
    CU_ASSERT_STRING_EQUAL(peer_config(at(&r, "127.0.0.7"))->description, "other");
    CU_ASSERT_TRUE(is_refused(&r, "127.0.0.9"));

    one = live[0];
    make_range(&one, "127.0.0.0/24", 10); /* one is still in a range, the other is not */
    c.peers = &one;
    apply(&r, &c);
    CU_ASSERT_TRUE(raw_expect_notification(&r, &y, BGP_ERR_CEASE, BGP_CEASE_DECONFIGURED, 1000));
    CU_ASSERT_PTR_NULL(at(&r, "127.0.1.7"));
    CU_ASSERT_TRUE(is_refused(&r, "127.0.1.7"));
    CU_ASSERT_EQUAL(count(&r), 1);

    raw_close(&x);
    CU_ASSERT_TRUE(comes_up(&r, &x, "127.0.0.8"));
    changed = one;
    changed.hold_time_ms = 30000;
    c.peers = &changed;
    apply(&r, &c);
    CU_ASSERT_TRUE(raw_expect_notification(&r, &x, BGP_ERR_CEASE, BGP_CEASE_CONFIG_CHANGE, 1000));
    raw_close(&x);
    CU_ASSERT_TRUE(comes_up(&r, &x, "127.0.0.8"));
    c.n_peers = 0;
    apply(&r, &c);
    CU_ASSERT_EQUAL(count(&r), 0);
    raw_close(&x);
    raw_close(&y);
    rig_tear_down(&r);
}

static void an_address_that_gets_configured_is_no_longer_dynamic(void)
{
    struct rig r;
    struct raw x;
    set_up(&r, 10);
    CU_ASSERT_TRUE(comes_up(&r, &x, "127.0.0.7"));
    struct config c = r.a.config;
    struct peer_config pc[2] = {r.a.peers[0], r.a.peers[0]};
    pc[1].kind = PEER_BY_ADDRESS;
    pc[1].address = addr_v4(0x7f000007);
    c.peers = pc;
    c.n_peers = 2;
    apply(&r, &c);
    CU_ASSERT_EQUAL(count(&r), 1);
    CU_ASSERT_PTR_EQUAL(peer_config(at(&r, "127.0.0.7")), &pc[1]);
    raw_close(&x);
    CU_ASSERT_TRUE(comes_up(&r, &x, "127.0.0.7"));
    raw_close(&x);
    rig_tear_down(&r);
}

static void shutdown_keeps_it_out_until_it_is_taken_back(void)
{
    struct rig r;
    struct raw x;
    set_up(&r, 10);
    r.a.s.peers->leave_ms = 30;
    CU_ASSERT_TRUE(comes_up(&r, &x, "127.0.0.7"));
    peer_shutdown(at(&r, "127.0.0.7"), "go away");
    CU_ASSERT_TRUE(raw_expect_notification(&r, &x, BGP_ERR_CEASE, BGP_CEASE_ADMIN_SHUTDOWN, 1000));
    raw_close(&x);
    rig_settle(&r, 150);
    CU_ASSERT_EQUAL(count(&r), 1); /* is remembered as long as the command is in force */
    CU_ASSERT_TRUE(is_refused(&r, "127.0.0.7"));
    peer_no_shutdown(at(&r, "127.0.0.7"));
    CU_ASSERT_TRUE(becomes(&r, 0));

    struct peer *p = peer_set_expect(r.a.s.peers, "127.0.0.8"); /* nobody has come from there yet */
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    peer_shutdown(p, NULL);
    CU_ASSERT_TRUE(is_refused(&r, "127.0.0.8"));
    CU_ASSERT_PTR_NULL(peer_set_expect(r.a.s.peers, "192.0.2.1"));
    CU_ASSERT_PTR_NULL(peer_set_expect(r.a.s.peers, "nobody"));
    rig_tear_down(&r);
}

static void a_range_that_is_shut_down_makes_no_peers(void)
{
    struct rig r;
    set_up(&r, 10);
    r.a.peers[0].shutdown = true;
    CU_ASSERT_TRUE(is_refused(&r, "127.0.0.7"));
    CU_ASSERT_EQUAL(count(&r), 0);
    rig_tear_down(&r);
}

/* The first rule that matches counts, so narrow ranges come before the wide ones around them. */
static void gtsm_rules_go_from_narrow_to_wide(void)
{
    struct rig r;
    struct gtsm_rule rules[3];
    struct peer_config pc[3];
    rig_set_up(&r);
    struct config c = r.a.config;
    for (unsigned i = 0; i < 3; i++)
        pc[i] = r.a.peers[0];
    make_range(&pc[0], "127.0.0.0/8", 5);
    make_range(&pc[1], "127.0.1.0/24", 5);
    make_range(&pc[2], "127.0.0.0/16", 5);
    c.peers = pc;
    c.n_peers = 3;
    apply(&r, &c);
    CU_ASSERT_EQUAL(peer_dynamic_gtsm(r.a.s.peers, rules), 0); /* nobody wants it */
    pc[0].ttl_security = 3;
    pc[1].ttl_security = 1;
    apply(&r, &c);
    CU_ASSERT_EQUAL_FATAL(peer_dynamic_gtsm(r.a.s.peers, rules), 3);
    CU_ASSERT(rules[0].from.len == 24 && rules[0].hops == 1);
    CU_ASSERT(rules[1].from.len == 16 && rules[1].hops == 0);
    CU_ASSERT(rules[2].from.len == 8 && rules[2].hops == 3);
    struct ip_addr a = addr_v4(0x7f000209);
    CU_ASSERT_EQUAL(peer_dynamic_hops(r.a.s.peers, &a), 0);
    a = addr_v4(0x7f010209);
    CU_ASSERT_EQUAL(peer_dynamic_hops(r.a.s.peers, &a), 3);
    rig_tear_down(&r);
}

/* Thousands: each is found, and the set stays whole when half of them goes. */
static void thousands_are_found(void)
{
    struct rig r;
    char text[ADDR_STRLEN];
    set_up(&r, 5000);
    for (unsigned i = 1; i <= 5001; i++) {
        snprintf(text, sizeof text, "127.1.%u.%u", i / 256, i % 256);
        CU_ASSERT_EQUAL(peer_set_expect(r.a.s.peers, text) != NULL,
                        true); /* the last one in the place of one */
    }
    CU_ASSERT_EQUAL(count(&r), 5000);
    struct config c = r.a.config;
    struct peer_config half = r.a.peers[0];
    make_range(&half, "127.1.8.0/21", 5000);
    c.peers = &half;
    apply(&r, &c);
    CU_ASSERT_EQUAL(count(&r), 2048);
    for (unsigned i = 2048; i < 4096; i++) {
        snprintf(text, sizeof text, "127.1.%u.%u", i / 256, i % 256);
        CU_ASSERT_PTR_NOT_NULL(at(&r, text));
    }
    rig_tear_down(&r);
}

static const struct unit_case cases[] = {
    UNIT(who_connects_from_the_range_becomes_a_peer),
    UNIT(it_is_forgotten_a_while_after_its_session),
    UNIT(the_limit_holds_but_not_for_those_that_have_left),
    UNIT(off_the_subnets_it_needs_multihop),
    UNIT(the_most_specific_range_and_a_configured_address_win),
    UNIT(a_reload_changes_what_it_must),
    UNIT(an_address_that_gets_configured_is_no_longer_dynamic),
    UNIT(shutdown_keeps_it_out_until_it_is_taken_back),
    UNIT(a_range_that_is_shut_down_makes_no_peers),
    UNIT(gtsm_rules_go_from_narrow_to_wide),
    UNIT(thousands_are_found),
};
UNIT_MAIN("peer_dynamic", cases)
