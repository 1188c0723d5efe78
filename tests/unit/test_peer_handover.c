/* The sessions of a planned restart: saved by one process, taken over by the next, the peer played byte by
 * byte. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "handover_io.h"
#include "handover_state.h"
#include "peer_impl.h"
#include "peer_rig.h"

static const struct capabilities simple = {
    .has_multiprotocol = true, .family = {true, false}, .as4 = true, .asn = 65002, .route_refresh = true};
static const struct capabilities enhanced = {.has_multiprotocol = true,
                                             .family = {true, false},
                                             .as4 = true,
                                             .asn = 65002,
                                             .route_refresh = true,
                                             .enhanced_refresh = true};

/* What is between two processes. */
struct luggage {
    uint8_t *bytes;
    size_t n;
    int session; /* -1 none */
};

static struct peer_info info(struct rig *r)
{
    struct peer_info i;
    peer_info(rig_peer(&r->a), &i);
    return i;
}

struct heard {
    unsigned announced, withdrawn, eor, keepalives, refreshes; /* prefixes of /24, messages */
};

/* What the peer is told: so many things at least, and what follows at once. */
static struct heard hear(struct rig *r, struct raw *x, unsigned least)
{
    struct heard h = {0};
    uint8_t body[BGP_MAX_LEN], type;
    size_t n;
    while ((type = raw_next(
                r, x, 0, h.announced + h.withdrawn + h.eor + h.keepalives + h.refreshes < least ? 2000 : 50,
                body, &n))) {
        h.keepalives += type == BGP_KEEPALIVE;
        h.refreshes += type == BGP_ROUTE_REFRESH;
        if (type != BGP_UPDATE)
            continue;
        unsigned gone = (unsigned)(body[0] << 8 | body[1]),
                 attrs = (unsigned)(body[2 + gone] << 8 | body[3 + gone]);
        h.withdrawn += gone / 4;
        h.announced += (unsigned)(n - 4 - gone - attrs) / 4;
        h.eor += n == 4;
    }
    return h;
}

static void up(struct rig *r, struct raw *x, const struct capabilities *caps)
{
    rig_set_up(r);
    r->a.peers[0].passive = true;
    r->a.config.router.graceful_restart.enabled = true;
    r->a.config.router.graceful_restart.restart_time_ms = 120000;
    r->a.config.router.graceful_restart.stale_time_ms = 360000;
    CU_ASSERT_EQUAL(rig_originate(&r->a, "192.0.2.0/24"), 0);
    CU_ASSERT_EQUAL(rig_originate(&r->a, "192.0.3.0/24"), 0);
    rig_start(&r->a);
    CU_ASSERT_TRUE_FATAL(raw_connect(r, x, "127.0.0.2"));
    CU_ASSERT_TRUE_FATAL(raw_establish_with(r, x, caps));
    CU_ASSERT_EQUAL(hear(r, x, 3).eor, 1); /* behind the two prefixes */
}

static void down(struct rig *r, struct raw *x)
{
    raw_close(x);
    rig_tear_down(r);
}

/* 10.third.0.0/24 as a message of its own. */
static size_t route(uint8_t *buf, uint8_t third, uint8_t med)
{
    const uint8_t body[] = {0, 0, 0,   27, 0x40, 1, 1,    0, 0x40, 2, 6, 2, 1,   0,  0,  0xfd,  0xea, 0x40,
                            3, 4, 192, 0,  2,    1, 0x80, 4, 4,    0, 0, 0, med, 24, 10, third, 0};
    struct wire_writer w = wire_writer(buf, 128);
    uint8_t *start = msg_begin(&w, BGP_UPDATE);
    wire_put_bytes(&w, body, sizeof body);
    msg_end(&w, start);
    return wire_len(&w);
}

static void send_bytes(struct raw *x, const uint8_t *p, size_t n)
{
    CU_ASSERT_EQUAL(send(x->fd, p, n, MSG_NOSIGNAL), (ssize_t)n);
}

static void announce(struct rig *r, struct raw *x, uint8_t third)
{
    uint8_t buf[128];
    send_bytes(x, buf, route(buf, third, third));
    rig_settle(r, 30);
}

/* The old process says what it has, and ends. */
static struct luggage leave(struct rig *r)
{
    struct luggage g = {.session = -1};
    struct handover_left left;
    CU_ASSERT_EQUAL_FATAL(handover_save(&r->a.s, &left), 0);
    CU_ASSERT_EQUAL(left.n, peer_established(rig_peer(&r->a)));
    CU_ASSERT_EQUAL(left.lost, 0);
    g.n = (size_t)lseek(left.state, 0, SEEK_END);
    g.bytes = malloc(g.n);
    CU_ASSERT_EQUAL(pread(left.state, g.bytes, g.n, 0), (ssize_t)g.n);
    if (left.n)
        g.session = dup(left.sessions[0]);
    peer_set_leave(r->a.s.peers);
    handover_left_release(&left);
    rig_renew(r);
    return g;
}

static int memfd_of(const uint8_t *p, size_t n)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CU_ASSERT_EQUAL(write(fd, p, n), (ssize_t)n);
    CU_ASSERT_EQUAL(hio_seal(fd), 0);
    return fd;
}

/* The new one has its configuration and takes over. */
static int arrive(struct rig *r, struct luggage *g, struct handover_taken *taken)
{
    CU_ASSERT_EQUAL(peer_set_apply(r->a.s.peers, &r->a.config), 0);
    r->a.s.running = true;
    int fd = memfd_of(g->bytes, g->n);
    int rc = handover_load(&r->a.s, fd, &g->session, g->session >= 0, taken);
    close(fd);
    free(g->bytes);
    g->bytes = NULL;
    peer_set_start(r->a.s.peers);
    return rc;
}

static void restart(struct rig *r)
{
    struct handover_taken taken;
    struct luggage g = leave(r);
    CU_ASSERT_EQUAL(arrive(r, &g, &taken), 0);
    CU_ASSERT_EQUAL(taken.sessions, 1);
    CU_ASSERT_TRUE(taken.whole);
}

static uint32_t paths(struct rig *r)
{
    return peer_rib(rig_peer(&r->a))->paths[FAM_IPV4];
}

static void session_goes_on(void)
{
    struct rig r;
    struct raw x;
    up(&r, &x, &simple);
    announce(&r, &x, 1);
    announce(&r, &x, 2);
    const struct peer_info before = info(&r);
    struct luggage g = leave(&r);
    struct handover_taken taken;
    CU_ASSERT_EQUAL(rig_originate(&r.a, "192.0.2.0/24"), 0); /* 192.0.3.0/24 is gone, this one is new: */
    CU_ASSERT_EQUAL(rig_originate(&r.a, "192.0.4.0/24"), 0);
    CU_ASSERT_EQUAL(arrive(&r, &g, &taken), 0);
    CU_ASSERT_EQUAL(taken.sessions, 1);
    CU_ASSERT_EQUAL(taken.routes, 2);
    struct peer_info after = info(&r);
    CU_ASSERT_EQUAL(after.state, PEER_ESTABLISHED);
    CU_ASSERT(after.up_ms >= before.up_ms);
    CU_ASSERT_EQUAL(after.up_since_wall, before.up_since_wall);
    CU_ASSERT_EQUAL(after.established_count, 1);
    CU_ASSERT_EQUAL(after.dropped_count, 0);
    CU_ASSERT_EQUAL(after.stats.opens_in, before.stats.opens_in);
    CU_ASSERT_EQUAL(after.stats.updates_in, before.stats.updates_in);
    CU_ASSERT_EQUAL(after.remote_as, 65002);
    CU_ASSERT_EQUAL(after.hold_ms, before.hold_ms);
    CU_ASSERT_EQUAL(after.local_port, before.local_port);
    CU_ASSERT(after.eor_out[FAM_IPV4]);
    CU_ASSERT(rig_has(&r.a, "10.1.0.0/24"));
    CU_ASSERT(rig_has(&r.a, "10.2.0.0/24"));
    struct heard h = hear(&r, &x, 4);
    CU_ASSERT_EQUAL(h.announced, 2);
    CU_ASSERT_EQUAL(h.withdrawn, 1);
    CU_ASSERT_EQUAL(h.eor, 0);
    CU_ASSERT_EQUAL(h.refreshes, 1);
    announce(&r, &x, 3);
    CU_ASSERT(rig_has(&r.a, "10.3.0.0/24"));
    restart(&r); /* and once more */
    CU_ASSERT_EQUAL(paths(&r), 3);
    CU_ASSERT_EQUAL(info(&r).up_since_wall, before.up_since_wall);
    down(&r, &x);
}

static void half_a_message_is_completed_later(void)
{
    struct rig r;
    struct raw x;
    uint8_t buf[128];
    up(&r, &x, &simple);
    size_t n = route(buf, 7, 0);
    send_bytes(&x, buf, 21);
    rig_settle(&r, 30);
    restart(&r);
    send_bytes(&x, buf + 21, n - 21);
    rig_settle(&r, 30);
    CU_ASSERT(rig_has(&r.a, "10.7.0.0/24"));
    down(&r, &x);
}

static void what_came_in_between_is_read(void)
{
    struct rig r;
    struct raw x;
    uint8_t buf[128];
    struct handover_taken taken;
    up(&r, &x, &simple);
    struct luggage g = leave(&r);
    size_t n = route(buf, 8, 0);
    send_bytes(&x, buf, n);
    CU_ASSERT_EQUAL(arrive(&r, &g, &taken), 0);
    rig_settle(&r, 30);
    CU_ASSERT(rig_has(&r.a, "10.8.0.0/24"));
    down(&r, &x);
}

static void half_a_message_out_is_completed(void)
{
    struct rig r;
    struct raw x;
    up(&r, &x, &simple);
    struct conn *c = rig_peer(&r.a)->up->conn;
    struct wire_writer w = conn_writer(c, 2 * BGP_HEADER_LEN);
    keepalive_encode(&w);
    keepalive_encode(&w);
    conn_commit(c, &w, BGP_KEEPALIVE, 2);
    CU_ASSERT_EQUAL(send(c->fd, c->out + c->out_start, 5, MSG_NOSIGNAL), 5);
    c->out_start += 5;
    c->out_next = c->out_start + BGP_HEADER_LEN - 5;
    restart(&r);
    CU_ASSERT_EQUAL(hear(&r, &x, 5).keepalives, 2);
    down(&r, &x);
}

static void attributes_come_as_they_were(void)
{
    struct rig r;
    struct raw x;
    struct prefix p;
    up(&r, &x, &enhanced);
    announce(&r, &x, 9);
    restart(&r);
    CU_ASSERT_EQUAL(prefix_parse("10.9.0.0/24", true, &p), 0);
    uint32_t at = rib_find(r.a.s.rib, FAM_IPV4, &p);
    CU_ASSERT_FATAL(at && rib_entry(r.a.s.rib, FAM_IPV4, at)->paths);
    const struct attr *a =
        rib_path_attr(r.a.s.rib, rib_path(r.a.s.rib, rib_entry(r.a.s.rib, FAM_IPV4, at)->paths));
    CU_ASSERT_EQUAL(a->med, 9);
    CU_ASSERT_EQUAL(a->neighbor_as, 65002);
    CU_ASSERT_EQUAL(a->path_len, 1);
    char path[32];
    attr_format_as_path(a, path, sizeof path);
    CU_ASSERT_STRING_EQUAL(path, "65002");
    CU_ASSERT_EQUAL(nexthop_by_id(r.a.s.nexthops, a->nexthop)->addr.b[3], 1);
    down(&r, &x);
}

static void refresh(struct raw *x, uint8_t subtype)
{
    uint8_t buf[32];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    refresh_encode(&w, &(struct refresh_msg){.afi = AFI_IPV4, .subtype = subtype, .safi = SAFI_UNICAST});
    raw_send(x, &w);
}

/* Begun with the old process, ended with the new one: what was not said again goes, the rest stays. */
static void refresh_goes_on(void)
{
    struct rig r;
    struct raw x;
    up(&r, &x, &enhanced);
    announce(&r, &x, 1);
    announce(&r, &x, 2);
    refresh(&x, 1);
    announce(&r, &x, 1);
    CU_ASSERT_EQUAL(peer_rib(rig_peer(&r.a))->stale[FAM_IPV4], 1);
    restart(&r);
    CU_ASSERT_EQUAL(peer_rib(rig_peer(&r.a))->stale[FAM_IPV4], 1);
    CU_ASSERT_EQUAL(paths(&r), 2);
    refresh(&x, 2);
    rig_settle(&r, 50);
    CU_ASSERT(rig_has(&r.a, "10.1.0.0/24"));
    CU_ASSERT_FALSE(rig_has(&r.a, "10.2.0.0/24"));
    down(&r, &x);
}

/* A peer that promises an enhanced refresh and never gives it loses nothing. */
static void without_an_answer_the_routes_stay(void)
{
    struct rig r;
    struct raw x;
    up(&r, &x, &enhanced);
    announce(&r, &x, 1);
    restart(&r);
    CU_ASSERT_EQUAL(hear(&r, &x, 3).refreshes, 1);
    CU_ASSERT_EQUAL(paths(&r), 1);
    CU_ASSERT_EQUAL(peer_rib(rig_peer(&r.a))->stale[FAM_IPV4], 0);
    down(&r, &x);
}

static void changed_configuration_resets(void)
{
    struct rig r;
    struct raw x;
    struct handover_taken taken;
    up(&r, &x, &simple);
    struct luggage g = leave(&r);
    r.a.peers[0].hold_time_ms = 60000;
    CU_ASSERT_EQUAL(arrive(&r, &g, &taken), 0);
    CU_ASSERT_EQUAL(taken.sessions, 0);
    CU_ASSERT_EQUAL(taken.ended, 1);
    CU_ASSERT_FALSE(taken.whole);
    CU_ASSERT(raw_expect_notification(&r, &x, BGP_ERR_CEASE, BGP_CEASE_CONFIG_CHANGE, 1000));
    down(&r, &x);
}

static void removed_peer_is_told_so(void)
{
    struct rig r;
    struct raw x;
    struct handover_taken taken;
    up(&r, &x, &simple);
    announce(&r, &x, 1);
    struct luggage g = leave(&r);
    r.a.peers[0].address = addr_v4(0x7f000009);
    CU_ASSERT_EQUAL(arrive(&r, &g, &taken), 0);
    CU_ASSERT_EQUAL(taken.sessions, 0);
    CU_ASSERT_EQUAL(taken.routes, 0);
    CU_ASSERT(raw_expect_notification(&r, &x, BGP_ERR_CEASE, BGP_CEASE_DECONFIGURED, 1000));
    down(&r, &x);
}

static void shut_down_meanwhile(void)
{
    struct rig r;
    struct raw x;
    struct handover_taken taken;
    up(&r, &x, &simple);
    struct luggage g = leave(&r);
    r.a.peers[0].shutdown = true;
    CU_ASSERT_EQUAL(arrive(&r, &g, &taken), 0);
    CU_ASSERT(raw_expect_notification(&r, &x, BGP_ERR_CEASE, BGP_CEASE_ADMIN_SHUTDOWN, 1000));
    down(&r, &x);
}

static void without_a_session_the_history_goes_along(void)
{
    struct rig r;
    struct raw x;
    struct handover_taken taken;
    up(&r, &x, &simple);
    peer_shutdown(rig_peer(&r.a), NULL);
    CU_ASSERT(raw_expect_notification(&r, &x, BGP_ERR_CEASE, BGP_CEASE_ADMIN_SHUTDOWN, 1000));
    rig_settle(&r, 20);
    const struct peer_info before = info(&r);
    char why[160];
    snprintf(why, sizeof why, "%s", before.last_reset);
    CU_ASSERT(*why && before.dropped_count == 1);
    struct luggage g = leave(&r);
    r.a.peers[0].shutdown = true;
    CU_ASSERT_EQUAL(arrive(&r, &g, &taken), 0);
    CU_ASSERT_EQUAL(taken.sessions + taken.ended, 0);
    const struct peer_info after = info(&r);
    CU_ASSERT_TRUE(after.admin_down && after.state == PEER_IDLE);
    CU_ASSERT_STRING_EQUAL(after.last_reset, why);
    CU_ASSERT(after.last_reset_ms >= before.last_reset_ms && after.last_reset_ms < 60000);
    CU_ASSERT(after.established_count == 1 && after.dropped_count == 1);
    CU_ASSERT_EQUAL(after.stats.updates_out, before.stats.updates_out);
    CU_ASSERT_EQUAL(after.stats.notifications_out, 1);
    down(&r, &x);
}

static void peer_that_left_meanwhile(void)
{
    struct rig r;
    struct raw x;
    struct handover_taken taken;
    up(&r, &x, &simple);
    announce(&r, &x, 1);
    struct luggage g = leave(&r);
    raw_close(&x);
    CU_ASSERT_EQUAL(arrive(&r, &g, &taken), 0);
    CU_ASSERT_EQUAL(taken.sessions, 1);
    for (int i = 0; i < 100 && info(&r).state == PEER_ESTABLISHED; i++)
        rig_settle(&r, 10);
    CU_ASSERT_NOT_EQUAL(info(&r).state, PEER_ESTABLISHED);
    CU_ASSERT_EQUAL(info(&r).dropped_count, 1);
    down(&r, &x);
}

/* Anything but the whole state as it was written: no session, and no harm. */
static void broken_state(void)
{
    struct rig r;
    struct raw x;
    up(&r, &x, &enhanced);
    announce(&r, &x, 1);
    struct luggage whole = leave(&r);
    unsigned taken_over = 0;
    srand(1);
    for (size_t n = 0; n < whole.n; n += 1 + n / 16) {
        struct handover_taken taken;
        struct luggage g = {.bytes = malloc(whole.n), .n = n ? n : 1, .session = dup(whole.session)};
        memcpy(g.bytes, whole.bytes, whole.n);
        CU_ASSERT_NOT_EQUAL(arrive(&r, &g, &taken), 0);
        CU_ASSERT_NOT_EQUAL(info(&r).state, PEER_ESTABLISHED);
        CU_ASSERT_EQUAL(paths(&r), 0);
        rig_renew(&r);
    }
    for (int i = 0; i < 200; i++) {
        struct handover_taken taken;
        struct luggage g = {.bytes = malloc(whole.n), .n = whole.n, .session = dup(whole.session)};
        memcpy(g.bytes, whole.bytes, whole.n);
        g.bytes[(size_t)rand() % whole.n] ^= (uint8_t)(1 << rand() % 8);
        taken_over += !arrive(&r, &g, &taken);
        rig_renew(&r);
    }
    CU_ASSERT(taken_over < 200);
    free(whole.bytes);
    close(whole.session);
    down(&r, &x);
}

/* The time runs on over the restart; but what lies unread counts before the peer is called dead. */
static void hold_timer_runs_on(void)
{
    for (int alive = 0; alive < 2; alive++) {
        struct rig r;
        struct raw x;
        struct handover_taken taken;
        up(&r, &x, &simple);
        rig_peer(&r.a)->up->s.heard_ms = loop_now_ms() - 89999;
        struct luggage g = leave(&r);
        if (alive)
            raw_send_keepalive(&x);
        CU_ASSERT_EQUAL(arrive(&r, &g, &taken), 0);
        CU_ASSERT_EQUAL(taken.sessions, 1);
        if (!alive)
            CU_ASSERT(raw_expect_notification(&r, &x, BGP_ERR_HOLD_TIMER, 0, 1000));
        rig_settle(&r, 50);
        CU_ASSERT_EQUAL(info(&r).state == PEER_ESTABLISHED, alive);
        down(&r, &x);
    }
}

static void flood_between_the_processes_is_read(void)
{
    struct rig r;
    struct raw x;
    struct handover_taken taken;
    uint8_t buf[128];
    up(&r, &x, &simple);
    struct luggage g = leave(&r);
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < 200; i++)
            send_bytes(&x, buf, route(buf, (uint8_t)i, (uint8_t)round));
    CU_ASSERT_EQUAL(arrive(&r, &g, &taken), 0);
    for (int i = 0; i < 100 && paths(&r) < 200; i++)
        rig_settle(&r, 10);
    CU_ASSERT_EQUAL(paths(&r), 200);
    CU_ASSERT_EQUAL(info(&r).state, PEER_ESTABLISHED);
    down(&r, &x);
}

/* What we began with BoRR ends with EoRR, after everything has been said. */
static void refresh_out_is_ended(void)
{
    struct rig r;
    struct raw x;
    up(&r, &x, &enhanced);
    rig_peer(&r.a)->refresh.out[FAM_IPV4] = true;
    struct luggage g = leave(&r);
    struct handover_taken taken;
    CU_ASSERT_EQUAL(rig_originate(&r.a, "192.0.2.0/24"), 0);
    CU_ASSERT_EQUAL(arrive(&r, &g, &taken), 0);
    struct heard h = hear(&r, &x, 4);
    CU_ASSERT_EQUAL(h.announced, 1);
    CU_ASSERT_EQUAL(h.withdrawn, 1);
    CU_ASSERT_EQUAL(h.refreshes, 2); /* ours, and the end of theirs */
    down(&r, &x);
}

static void another_format_is_refused(void)
{
    struct rig r;
    struct raw x;
    struct handover_taken taken;
    up(&r, &x, &simple);
    struct luggage g = leave(&r);
    g.bytes[11]++;
    CU_ASSERT_EQUAL(arrive(&r, &g, &taken), -EBADMSG);
    CU_ASSERT_EQUAL(raw_next(&r, &x, BGP_KEEPALIVE, 200, (uint8_t[BGP_MAX_LEN]){0}, &(size_t){0}), 0);
    down(&r, &x); /* without a word: graceful restart has its turn */
}

static void connections_missing(void)
{
    struct rig r;
    struct raw x;
    struct handover_taken taken;
    up(&r, &x, &simple);
    struct luggage g = leave(&r);
    close(g.session);
    g.session = -1;
    CU_ASSERT_EQUAL(arrive(&r, &g, &taken), 0);
    CU_ASSERT_EQUAL(taken.sessions, 0);
    CU_ASSERT_NOT_EQUAL(info(&r).state, PEER_ESTABLISHED);
    down(&r, &x);
}

static const struct capabilities several = {.has_multiprotocol = true,
                                            .family = {true, false},
                                            .as4 = true,
                                            .asn = 65002,
                                            .route_refresh = true,
                                            .add_path = {ADD_PATH_RECEIVE}};

/* The path identifier of the only announcement of the next UPDATE, 0: there is no such thing. */
static uint32_t announced_id(struct rig *r, struct raw *x)
{
    uint8_t body[BGP_MAX_LEN], type;
    size_t n;
    while ((type = raw_next(r, x, BGP_KEEPALIVE, 200, body, &n))) {
        if (type != BGP_UPDATE)
            continue;
        unsigned gone = (unsigned)(body[0] << 8 | body[1]),
                 attrs = (unsigned)(body[2 + gone] << 8 | body[3 + gone]);
        CU_ASSERT_EQUAL(gone, 0);
        const uint8_t *p = body + 4 + gone + attrs;
        if (p + 8 == body + n)
            return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    return 0;
}

static void path_identifiers_stay(void)
{
    struct rig r;
    struct raw x;
    struct handover_taken taken;
    rig_set_up(&r);
    r.a.peers[0].passive = true;
    r.a.peers[0].add_path = ADD_PATH_SEND;
    for (int i = 0; i < 5; i++) {
        char text[32];
        snprintf(text, sizeof text, "192.0.%d.0/24", i + 10);
        CU_ASSERT_EQUAL(rig_originate(&r.a, text), 0);
    }
    struct prefix p;
    for (int i = 0; i < 4; i++) {
        char text[32];
        snprintf(text, sizeof text, "192.0.%d.0/24", i + 10);
        CU_ASSERT_EQUAL(prefix_parse(text, true, &p), 0);
        rib_unoriginate(r.a.s.rib, FAM_IPV4, &p);
    }
    rig_start(&r.a);
    CU_ASSERT_TRUE_FATAL(raw_connect(&r, &x, "127.0.0.2"));
    CU_ASSERT_TRUE_FATAL(raw_establish_with(&r, &x, &several));
    uint32_t id = announced_id(&r, &x);
    CU_ASSERT_EQUAL(id, 5);
    rig_settle(&r, 20);
    struct luggage g = leave(&r);
    CU_ASSERT_EQUAL(rig_originate(&r.a, "192.0.14.0/24"), 0);
    CU_ASSERT_EQUAL(arrive(&r, &g, &taken), 0);
    CU_ASSERT_EQUAL(announced_id(&r, &x), id);
    CU_ASSERT_EQUAL(adjout_count(peer_adjout(rig_peer(&r.a)), FAM_IPV4), 1);
    down(&r, &x);
}

static void bfd_on(struct rig *r)
{
    r->a.peers[0].bfd.on = true;
    r->a.peers[0].bfd.interval_ms = 50;
    r->a.peers[0].bfd.multiplier = 3;
    peer_addresses_changed(rig_peer(&r->a));
}

static void say_bfd(struct rig *r, uint8_t state, uint32_t downs)
{
    const struct fm_bfd_state st = {
        .peer = r->a.fib.bfd.peer, .state = state, .flags = downs ? FM_BFD_FAILED : 0, .downs = downs};
    peer_set_bfd_state(r->a.s.peers, &st);
}

/* The new process learns what BFD says when it has the session already. */
static void bfd_failure_in_between_is_news(void)
{
    struct rig r;
    struct raw x;
    up(&r, &x, &simple);
    bfd_on(&r);
    say_bfd(&r, FM_BFD_UP, 0);
    restart(&r);
    say_bfd(&r, FM_BFD_UP, 0);
    CU_ASSERT_TRUE(peer_established(rig_peer(&r.a)));
    restart(&r);
    say_bfd(&r, FM_BFD_DOWN, 1);
    CU_ASSERT_FALSE(peer_established(rig_peer(&r.a)));
    CU_ASSERT_EQUAL(r.a.fib.alives, 0);
    down(&r, &x);
}

/* The peer has no BFD any more; the parent may have forgotten that BGP came up all the same. */
static void bfd_failure_that_was_known_is_none(void)
{
    struct rig r;
    struct raw x;
    up(&r, &x, &simple);
    bfd_on(&r);
    peer_bfd_taken_over(rig_peer(&r.a), 1);
    for (unsigned i = 0; i < 2; i++) {
        r.a.fib.alives = 0;
        say_bfd(&r, FM_BFD_DOWN, 1);
        CU_ASSERT_TRUE(peer_established(rig_peer(&r.a)));
        CU_ASSERT_EQUAL(r.a.fib.alives, 1);
        restart(&r);
    }
    down(&r, &x);
}

static const struct unit_case cases[] = {
    UNIT(session_goes_on),
    UNIT(half_a_message_is_completed_later),
    UNIT(what_came_in_between_is_read),
    UNIT(half_a_message_out_is_completed),
    UNIT(attributes_come_as_they_were),
    UNIT(refresh_goes_on),
    UNIT(without_an_answer_the_routes_stay),
    UNIT(changed_configuration_resets),
    UNIT(removed_peer_is_told_so),
    UNIT(shut_down_meanwhile),
    UNIT(without_a_session_the_history_goes_along),
    UNIT(peer_that_left_meanwhile),
    UNIT(broken_state),
    UNIT(hold_timer_runs_on),
    UNIT(flood_between_the_processes_is_read),
    UNIT(refresh_out_is_ended),
    UNIT(another_format_is_refused),
    UNIT(connections_missing),
    UNIT(path_identifiers_stay),
    UNIT(bfd_failure_in_between_is_news),
    UNIT(bfd_failure_that_was_known_is_none),
};
UNIT_MAIN("peer_handover", cases)
