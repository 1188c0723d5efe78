/* max-prefixes: what is counted, what passing it does, and what lets the peer come back. */
#include <string.h>
#include <unistd.h>

#include "peer_rig.h"

static struct peer_info info(struct node *n)
{
    struct peer_info i;
    peer_info(rig_peer(n), &i);
    return i;
}

static void put_nlri(struct wire_writer *w, unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++)
        wire_put_bytes(w, (uint8_t[]){24, 10, (uint8_t)(i >> 8), (uint8_t)i}, 4);
}

/* One UPDATE that withdraws and announces prefixes 10.x.y.0/24 by number. */
static void send_routes(struct raw *x, unsigned first_out, unsigned out, unsigned first_in, unsigned in)
{
    static const uint8_t attributes[] = {0x40, 1,    1,    0,    0x40, 2, 6,   2, 1, 0,
                                         0,    0xfd, 0xea, 0x40, 3,    4, 192, 0, 2, 9};
    uint8_t buf[BGP_MAX_LEN];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    uint8_t *start = msg_begin(&w, BGP_UPDATE);
    wire_put_u16(&w, (uint16_t)(out * 4));
    put_nlri(&w, first_out, out);
    wire_put_u16(&w, in ? sizeof attributes : 0);
    wire_put_bytes(&w, attributes, in ? sizeof attributes : 0);
    put_nlri(&w, first_in, in);
    msg_end(&w, start);
    raw_send(x, &w);
}

static void set_up(struct rig *r, struct raw *x, enum limit_action action)
{
    rig_set_up(r);
    r->a.peers[0].max_prefixes.most[FAM_IPV4] = 3;
    r->a.peers[0].max_prefixes.warn_percent = 75;
    r->a.peers[0].max_prefixes.action = action;
    r->a.peers[0].max_prefixes.restart_after_ms = 100;
    raw_listen(r, x);
    rig_start(&r->a);
    CU_ASSERT_TRUE_FATAL(raw_accept(r, x));
    CU_ASSERT_TRUE_FATAL(raw_establish(r, x));
}

static void tear_down(struct rig *r, struct raw *x)
{
    raw_close(x);
    rig_tear_down(r);
}

static void reload(struct rig *r, struct config *c, struct peer_config *pc)
{
    c->peers = pc;
    r->a.s.config = c;
    CU_ASSERT_EQUAL(peer_set_apply(r->a.s.peers, c), 0);
}

static bool established_again(struct rig *r, struct raw *x)
{
    close(x->fd);
    x->len = 0;
    return raw_accept(r, x) && raw_establish(r, x);
}

static void passing_it_ends_the_session_with_family_and_limit(void)
{
    struct rig r;
    struct raw x;
    uint8_t body[BGP_MAX_LEN];
    size_t n = 0;
    set_up(&r, &x, LIMIT_RESTART);
    send_routes(&x, 0, 0, 0, 3);
    rig_settle(&r, 30);
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ESTABLISHED);
    CU_ASSERT_TRUE(rig_peer(&r.a)->limit.near[FAM_IPV4]);
    send_routes(&x, 0, 0, 3, 2);
    uint8_t type;
    do
        type = raw_next(&r, &x, BGP_KEEPALIVE, 1000, body, &n);
    while (type == BGP_UPDATE);
    CU_ASSERT_EQUAL(type, BGP_NOTIFICATION);
    CU_ASSERT_EQUAL(n, 9);
    CU_ASSERT_EQUAL(memcmp(body, "\x06\x01\x00\x01\x01\x00\x00\x00\x03", 9), 0);
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_IDLE);
    CU_ASSERT_TRUE(info(&r.a).over_limit);
    CU_ASSERT_TRUE(info(&r.a).limit_ms > 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(info(&r.a).last_failure, "more than 3 IPv4 prefixes"));
    CU_ASSERT_PTR_NOT_NULL(strstr(info(&r.a).hint, "max-prefixes"));
    CU_ASSERT_TRUE(established_again(&r, &x)); /* after restart-after */
    CU_ASSERT_FALSE(info(&r.a).over_limit);
    tear_down(&r, &x);
}

static void the_peer_is_refused_during_the_pause(void)
{
    struct rig r;
    struct raw x, in;
    set_up(&r, &x, LIMIT_STOP);
    send_routes(&x, 0, 0, 0, 4);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_IDLE, 1000));
    CU_ASSERT_TRUE(raw_connect(&r, &in, "127.0.0.2"));
    CU_ASSERT_TRUE(raw_expect_notification(&r, &in, BGP_ERR_CEASE, BGP_CEASE_REJECTED, 1000));
    CU_ASSERT_EQUAL(info(&r.a).limit_ms, 0);
    rig_run(&r, 300);
    CU_ASSERT_TRUE(info(&r.a).over_limit);
    peer_clear(rig_peer(&r.a));
    CU_ASSERT_FALSE(info(&r.a).over_limit);
    CU_ASSERT_TRUE(established_again(&r, &x));
    raw_close(&in);
    tear_down(&r, &x);
}

static void a_message_is_judged_by_what_comes_of_it(void)
{
    struct rig r;
    struct raw x;
    set_up(&r, &x, LIMIT_STOP);
    send_routes(&x, 0, 0, 0, 3);
    send_routes(&x, 0, 2, 10, 2);
    send_routes(&x, 0, 0, 10, 2); /* said again: no more than before */
    rig_settle(&r, 50);
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ESTABLISHED);
    CU_ASSERT_EQUAL(peer_rib(rig_peer(&r.a))->paths[FAM_IPV4], 3);
    send_routes(&x, 0, 0, 0, 1);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_IDLE, 1000));
    tear_down(&r, &x);
}

/* What is read at once may be many messages: none behind the one that passed the limit is applied. */
static void a_flood_is_stopped_within_the_message(void)
{
    struct rig r;
    struct raw x;
    set_up(&r, &x, LIMIT_STOP);
    r.a.peers[0].max_prefixes.most[FAM_IPV4] = 900;
    for (unsigned i = 0; i < 10; i++)
        send_routes(&x, 0, 0, i * 500, 500);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_IDLE, 1000));
    CU_ASSERT_EQUAL(info(&r.a).stats.updates_in, 2);
    tear_down(&r, &x);
}

static void warn_only_warns(void)
{
    struct rig r;
    struct raw x;
    set_up(&r, &x, LIMIT_WARN);
    send_routes(&x, 0, 0, 0, 200);
    rig_settle(&r, 50);
    CU_ASSERT_EQUAL(info(&r.a).state, PEER_ESTABLISHED);
    CU_ASSERT_TRUE(rig_peer(&r.a)->limit.over[FAM_IPV4]);
    send_routes(&x, 0, 199, 0, 0);
    rig_settle(&r, 50);
    CU_ASSERT_FALSE(rig_peer(&r.a)->limit.over[FAM_IPV4]);
    CU_ASSERT_FALSE(rig_peer(&r.a)->limit.near[FAM_IPV4]);
    tear_down(&r, &x);
}

static void a_reload_that_widens_it_lets_the_peer_come_back(void)
{
    struct rig r;
    struct raw x;
    set_up(&r, &x, LIMIT_STOP);
    struct config changed = r.a.config;
    struct peer_config pc = r.a.peers[0], wider = pc;
    send_routes(&x, 0, 0, 0, 4);
    CU_ASSERT_TRUE(rig_wait(&r, &r.a, PEER_IDLE, 1000));
    static char text[] = "other";
    pc.description = text;
    reload(&r, &changed, &pc);
    CU_ASSERT_TRUE(info(&r.a).over_limit);
    wider.max_prefixes.most[FAM_IPV4] = 4;
    reload(&r, &changed, &wider);
    CU_ASSERT_FALSE(info(&r.a).over_limit);
    CU_ASSERT_TRUE(established_again(&r, &x));
    tear_down(&r, &x);
}

static void a_reload_that_narrows_it_acts(void)
{
    struct rig r;
    struct raw x;
    set_up(&r, &x, LIMIT_RESTART);
    struct config changed = r.a.config;
    struct peer_config pc = r.a.peers[0];
    send_routes(&x, 0, 0, 0, 3);
    rig_settle(&r, 50);
    pc.max_prefixes.most[FAM_IPV4] = 2;
    reload(&r, &changed, &pc);
    CU_ASSERT_TRUE(info(&r.a).over_limit);
    CU_ASSERT_TRUE(raw_expect_notification(&r, &x, BGP_ERR_CEASE, BGP_CEASE_MAX_PREFIXES, 1000));
    tear_down(&r, &x);
}

static const struct unit_case cases[] = {
    UNIT(passing_it_ends_the_session_with_family_and_limit),
    UNIT(the_peer_is_refused_during_the_pause),
    UNIT(a_message_is_judged_by_what_comes_of_it),
    UNIT(a_flood_is_stopped_within_the_message),
    UNIT(warn_only_warns),
    UNIT(a_reload_that_widens_it_lets_the_peer_come_back),
    UNIT(a_reload_that_narrows_it_acts),
};
UNIT_MAIN("peer_limit", cases)
