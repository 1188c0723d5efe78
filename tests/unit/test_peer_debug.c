/* debug PEER: what gets into the log, how much of it, and when it ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer_rig.h"

static void set_up(struct rig *r, struct raw *x)
{
    rig_set_up(r);
    raw_listen(r, x);
    rig_start(&r->a);
    CU_ASSERT_TRUE_FATAL(raw_accept(r, x));
}

static void tear_down(struct rig *r, struct raw *x)
{
    raw_close(x);
    rig_tear_down(r);
}

static void send_update(struct raw *x)
{
    static const uint8_t body[] = {0, 0,    0,    20,   0x40, 1, 1,   0, 0x40, 2, 6,  2,  1, 0,
                                   0, 0xfd, 0xea, 0x40, 3,    4, 192, 0, 2,    9, 24, 10, 1, 2};
    uint8_t buf[BGP_MAX_LEN];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    uint8_t *start = msg_begin(&w, BGP_UPDATE);
    wire_put_bytes(&w, body, sizeof body);
    msg_end(&w, start);
    raw_send(x, &w);
}

static void both_directions_are_logged_whatever_the_state(void)
{
    struct rig r;
    struct raw x;
    struct capture c;
    set_up(&r, &x);
    capture_begin(&c);
    CU_ASSERT_EQUAL(peer_debug_start(rig_peer(&r.a), 60000), 0);
    CU_ASSERT_TRUE(raw_establish(&r, &x));
    send_update(&x);
    rig_settle(&r, 50);
    peer_clear(rig_peer(&r.a));
    char *text = capture_end(&c);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "debug: received peer=127.0.0.2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "OPEN version 4, my-as 65002, hold-time 90, id 10.0.0.2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "debug: sent peer=127.0.0.2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "KEEPALIVE"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "UPDATE End-of-RIB ipv4 unicast"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "UPDATE origin igp, as-path 65002, next-hop 192.0.2.9, reach ipv4 unicast 10.1.2.0/24"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "NOTIFICATION 6/4 Cease/Administrative Reset"));
    CU_ASSERT_TRUE(peer_debug_left(rig_peer(&r.a)) > 0); /* the session is gone, the watch is not */
    free(text);
    tear_down(&r, &x);
}

static void a_header_that_is_refused_is_shown(void)
{
    struct rig r;
    struct raw x;
    struct capture c;
    uint8_t bad[BGP_HEADER_LEN] = {0xff, 0xff, 0xab, [17] = 19, [18] = 4};
    struct wire_writer w = {.start = bad, .p = bad + sizeof bad};
    set_up(&r, &x);
    capture_begin(&c);
    CU_ASSERT_EQUAL(peer_debug_start(rig_peer(&r.a), 60000), 0);
    raw_send(&x, &w);
    rig_settle(&r, 50);
    char *text = capture_end(&c);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "malformed marker: ffffab00"));
    free(text);
    tear_down(&r, &x);
}

static void a_flood_is_counted_not_shown(void)
{
    struct rig r;
    struct raw x;
    struct capture c;
    set_up(&r, &x);
    CU_ASSERT_TRUE(raw_establish(&r, &x));
    capture_begin(&c);
    CU_ASSERT_EQUAL(peer_debug_start(rig_peer(&r.a), 60000), 0);
    for (unsigned i = 0; i < 300; i++)
        send_update(&x);
    raw_send_keepalive(&x);
    rig_settle(&r, 100);
    peer_debug_stop(rig_peer(&r.a));
    char *text = capture_end(&c);
    CU_ASSERT_TRUE(capture_count(text, "UPDATE origin") <= 120 && capture_count(text, "UPDATE origin") >= 40);
    CU_ASSERT_TRUE(capture_count(text, "KEEPALIVE") > 0); /* UPDATEs do not take the place of others */
    CU_ASSERT_TRUE(capture_count(text, "messages not shown") > 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "debug: over"));
    free(text);
    tear_down(&r, &x);
}

static void it_ends_by_itself_and_can_be_made_longer(void)
{
    struct rig r;
    struct raw x;
    struct capture c;
    set_up(&r, &x);
    capture_begin(&c);
    CU_ASSERT_EQUAL(peer_debug_start(rig_peer(&r.a), 20), 0);
    CU_ASSERT_EQUAL(peer_debug_start(rig_peer(&r.a), 60000), 0);
    rig_settle(&r, 60);
    CU_ASSERT_TRUE(peer_debug_left(rig_peer(&r.a)) > 0);
    CU_ASSERT_EQUAL(peer_debug_start(rig_peer(&r.a), 20), 0);
    rig_settle(&r, 100);
    CU_ASSERT_EQUAL(peer_debug_left(rig_peer(&r.a)), 0);
    raw_send_keepalive(&x); /* an error in OpenSent, which nobody watches any more */
    rig_settle(&r, 20);
    char *text = capture_end(&c);
    CU_ASSERT_PTR_NULL(strstr(text, "debug: received"));
    free(text);
    tear_down(&r, &x);
}

static void a_reload_does_not_end_it(void)
{
    struct rig r;
    struct raw x;
    struct capture c;
    set_up(&r, &x);
    capture_begin(&c);
    struct config changed = r.a.config;
    struct peer_config pc = r.a.peers[0];
    CU_ASSERT_EQUAL(peer_debug_start(rig_peer(&r.a), 60000), 0);
    pc.hold_time_ms = 30000;
    changed.peers = &pc;
    r.a.s.config = &changed;
    CU_ASSERT_EQUAL(peer_set_apply(r.a.s.peers, &changed), 0);
    CU_ASSERT_TRUE(peer_debug_left(rig_peer(&r.a)) > 0);
    struct peer_config internal = pc; /* another kind of session: the peer is made anew */
    internal.asn = changed.router.asn;
    changed.peers = &internal;
    CU_ASSERT_EQUAL(peer_set_apply(r.a.s.peers, &changed), 0);
    CU_ASSERT_TRUE(rig_peer(&r.a)->ibgp);
    CU_ASSERT_TRUE(peer_debug_left(rig_peer(&r.a)) > 0);
    free(capture_end(&c));
    tear_down(&r, &x);
}

static const struct unit_case cases[] = {
    UNIT(both_directions_are_logged_whatever_the_state),
    UNIT(a_header_that_is_refused_is_shown),
    UNIT(a_flood_is_counted_not_shown),
    UNIT(it_ends_by_itself_and_can_be_made_longer),
    UNIT(a_reload_does_not_end_it),
};
UNIT_MAIN("peer_debug", cases)
