/* Adj-RIB-Out: what may go to a peer, and that the messages written leave the peer with just that. */
#include <stdio.h>

#include "receiver.h"
#include "rib_fixture.h"

static const bool both[FAM_COUNT] = {true, true};
static const char P[] = "10.1.0.0/16";

struct out {
    struct fixture x;
    struct rib_peer *from, *inner, *to; /* eBGP, iBGP; where it goes */
    struct receiver *v;
    struct adjout *o;
    unsigned woken;
};

static void on_wake(void *arg)
{
    ((struct out *)arg)->woken++;
}

static void setup(struct out *t, bool ebgp, enum export_mode mode)
{
    *t = (struct out){0};
    fx_init(&t->x, 1);
    t->from = fx_peer(&t->x, 1, false);
    t->inner = fx_peer(&t->x, 2, true);
    t->to = fx_peer(&t->x, 3, !ebgp);
    fx_update(&t->x, t->from, "192.0.2.1/32", fx_attr(&t->x, 1, 1));
    fx_update(&t->x, t->inner, "192.0.2.2/32", fx_attr(&t->x, 2, 1));
    fx_nexthop(&t->x, 1, true, 0);
    fx_nexthop(&t->x, 2, true, 0);
    fx_work(&t->x);
    t->v = receiver_new(ebgp);
    t->o = adjout_new(t->x.rib, t->to, on_wake, t);
    struct update_export x = receiver_export(ebgp);
    CU_ASSERT_EQUAL(adjout_start(t->o, &x, mode, both), 0);
}

static void teardown(struct out *t)
{
    adjout_free(t->o);
    fx_work(&t->x);
    receiver_free(t->v);
    fx_free(&t->x);
}

static bool peer_has(const struct out *t, const char *prefix)
{
    struct prefix p = fx_prefix(prefix);
    return receiver_has(t->v, &p);
}

static void many(struct out *t, unsigned n, unsigned attrs, unsigned hops)
{
    for (unsigned i = 0; i < n; i++) {
        char text[PREFIX_STRLEN];
        snprintf(text, sizeof text, "10.%u.%u.0/24", i >> 8, i & 255);
        fx_update(&t->x, t->from, text, fx_attr_med(&t->x, 1, 65001 + i % attrs, hops, 0));
    }
}

static void the_initial_dump_is_packed_and_ends_with_eor(void)
{
    struct out t;
    setup(&t, true, EXPORT_ALL);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, 2);
    adjout_stop(t.o);
    receiver_clear(t.v);
    many(&t, 2000, 4, 1);
    struct update_export x = receiver_export(true);
    unsigned woken = t.woken;
    adjout_start(t.o, &x, EXPORT_ALL, both);
    CU_ASSERT(t.woken > woken);
    CU_ASSERT_FALSE(adjout_eor_sent(t.o, FAM_IPV4));
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, 2002);
    CU_ASSERT_EQUAL(adjout_count(t.o, FAM_IPV4), 2002);
    CU_ASSERT_EQUAL(adjout_queued(t.o, FAM_IPV4), 0);
    CU_ASSERT(t.v->messages <= 4 + 1 + 2); /* one an attribute set, of 500 prefixes; End-of-RIB */
    CU_ASSERT(t.v->eor[FAM_IPV4] == 1 && t.v->eor[FAM_IPV6] == 1);
    CU_ASSERT(adjout_eor_sent(t.o, FAM_IPV4) && adjout_eor_sent(t.o, FAM_IPV6));
    teardown(&t);
}

static void what_a_peer_told_us_does_not_go_back(void)
{
    struct out t;
    setup(&t, true, EXPORT_ALL);
    fx_nexthop(&t.x, 3, true, 0);
    fx_update(&t.x, t.to, P, fx_attr(&t.x, 3, 1));
    fx_nexthop(&t.x, 3, true, 0);
    fx_work(&t.x);
    CU_ASSERT_EQUAL(fx_best_peer(&t.x, P), t.to->number);
    receiver_drain(t.v, t.o);
    CU_ASSERT_FALSE(peer_has(&t, P));
    fx_originate(&t.x, P, ORIGIN_KIND_VIP);
    receiver_drain(t.v, t.o);
    CU_ASSERT(peer_has(&t, P));
    fx_unoriginate(&t.x, P);
    receiver_drain(t.v, t.o);
    CU_ASSERT_FALSE(peer_has(&t, P));
    teardown(&t);
}

static void internal_peers_get_external_and_own_paths_only(void)
{
    struct out t;
    setup(&t, false, EXPORT_ALL);
    fx_originate(&t.x, P, ORIGIN_KIND_VIP);
    receiver_drain(t.v, t.o);
    CU_ASSERT(peer_has(&t, P) && peer_has(&t, "192.0.2.1/32") && !peer_has(&t, "192.0.2.2/32"));
    teardown(&t);
}

static void well_known_communities_bind_received_paths(void)
{
    static const struct {
        uint32_t community;
        bool ebgp, ibgp;
    } rows[] = {
        {0xfde80001, true, true},  {0xffffff01, false, true}, {0xffffff02, false, false},
        {0xffffff03, false, true}, {0xffffff04, true, true},  {0xffff029a, false, true}, /* RFC 7999 3.2 */
    };
    for (unsigned i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        struct out t;
        bool ebgp = i & 1;
        uint32_t c = rows[i / 2].community;
        uint8_t bytes[] = {0, 0, 0, 1, (uint8_t)(c >> 24), (uint8_t)(c >> 16), (uint8_t)(c >> 8), (uint8_t)c};
        setup(&t, ebgp, EXPORT_ALL);
        struct attr_build b = {.nexthop = fx_addr(1)};
        b.part[PART_COMMUNITY] = bytes;
        b.part_len[PART_COMMUNITY] = sizeof bytes;
        fx_update(&t.x, t.from, P, attr_intern(t.x.attrs, &b));
        struct prefix own = fx_prefix("10.2.0.0/16");
        b.nexthop.af = 0;
        const struct attr *a = attr_intern(t.x.attrs, &b);
        CU_ASSERT_EQUAL(rib_originate(t.x.rib, FAM_IPV4, &own, ORIGIN_KIND_VIP, a), 0);
        attr_unref(t.x.attrs, a);
        receiver_drain(t.v, t.o);
        CU_ASSERT_EQUAL(peer_has(&t, P), ebgp ? rows[i / 2].ebgp : rows[i / 2].ibgp);
        CU_ASSERT(peer_has(&t, "10.2.0.0/16"));
        teardown(&t);
    }
}

static void what_is_withheld_goes_to_nobody(void)
{
    struct prefix own = fx_prefix(P);
    struct out t;
    setup(&t, false, EXPORT_ALL);
    for (int i = 0; i < 3; i++) {
        struct attr_build b = {.flags = i == 1 ? ATTR_WITHHELD : 0};
        const struct attr *a = attr_intern(t.x.attrs, &b);
        CU_ASSERT_EQUAL(rib_originate(t.x.rib, FAM_IPV4, &own, ORIGIN_KIND_VIP, a), 0);
        attr_unref(t.x.attrs, a);
        receiver_drain(t.v, t.o);
        CU_ASSERT_EQUAL(peer_has(&t, P), i != 1);
    }
    teardown(&t);
}

/* RFC 9234 section 5, egress 2. */
static void routes_with_otc_go_to_customers_only(void)
{
    static const bool may[ROLE_COUNT] = {
        [ROLE_NONE] = true, [ROLE_PROVIDER] = true, [ROLE_RS_SERVER] = true, [ROLE_PEER] = false};
    for (enum bgp_role we = ROLE_NONE; we < ROLE_COUNT; we++) {
        static const uint8_t otc[] = {0, 0, 0xfd, 0xe9};
        struct out t;
        setup(&t, true, EXPORT_ALL);
        adjout_stop(t.o);
        struct update_export x = receiver_export(true);
        x.role = we;
        CU_ASSERT_EQUAL(adjout_start(t.o, &x, EXPORT_ALL, both), 0);
        struct attr_build b = {.nexthop = fx_addr(1)};
        b.part[PART_OTC] = otc;
        b.part_len[PART_OTC] = sizeof otc;
        fx_update(&t.x, t.from, P, attr_intern(t.x.attrs, &b));
        fx_originate(&t.x, "10.2.0.0/16", ORIGIN_KIND_VIP);
        receiver_drain(t.v, t.o);
        CU_ASSERT_EQUAL(peer_has(&t, P), may[we]);
        CU_ASSERT(peer_has(&t, "10.2.0.0/16") && peer_has(&t, "192.0.2.1/32"));
        teardown(&t);
    }
}

static void learned_routes_cost_a_peer_of_originated_nothing(void)
{
    struct out t;
    setup(&t, true, EXPORT_ORIGINATED);
    fx_originate(&t.x, P, ORIGIN_KIND_VIP);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, 1);
    uint64_t memory = adjout_memory(t.o);
    unsigned woken = t.woken;
    many(&t, 2000, 4, 1);
    CU_ASSERT_FALSE(adjout_pending(t.o));
    CU_ASSERT_EQUAL(t.woken, woken);
    CU_ASSERT_EQUAL(adjout_memory(t.o), memory);
    teardown(&t);
}

static void a_flap_between_two_fills_is_one_message_or_none(void)
{
    struct out t;
    setup(&t, true, EXPORT_ALL);
    receiver_drain(t.v, t.o);
    unsigned before = t.v->messages;
    fx_update(&t.x, t.from, P, fx_attr(&t.x, 1, 1));
    fx_withdraw(&t.x, t.from, P);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->messages, before);
    CU_ASSERT_EQUAL(fx_find(&t.x, P), 0);
    for (unsigned hops = 1; hops <= 5; hops++)
        fx_update(&t.x, t.from, P, fx_attr(&t.x, 1, hops));
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->messages, before + 1);
    struct prefix p = fx_prefix(P);
    CU_ASSERT_EQUAL(receiver_has(t.v, &p)->path_len, 6); /* ours in front */
    fx_update(&t.x, t.from, P, fx_attr(&t.x, 1, 5));     /* the same again */
    CU_ASSERT_FALSE(adjout_pending(t.o));
    fx_withdraw(&t.x, t.from, P);
    CU_ASSERT(fx_find(&t.x, P) != 0); /* until the peer knows */
    receiver_drain(t.v, t.o);
    CU_ASSERT_FALSE(peer_has(&t, P));
    CU_ASSERT_EQUAL(fx_find(&t.x, P), 0);
    CU_ASSERT_EQUAL(t.v->spurious, 0);
    teardown(&t);
}

/* Between the end of a session and the sweep its paths are the best still, and when they come again the same
 * nobody is told: so what is served meanwhile is served as ever. */
static void a_best_path_of_a_session_that_is_over_goes_until_it_is_swept(void)
{
    struct out t;
    setup(&t, true, EXPORT_ALL);
    fx_update(&t.x, t.from, P, fx_attr(&t.x, 1, 1));
    rib_peer_down(t.x.rib, t.from);
    receiver_drain(t.v, t.o);
    CU_ASSERT_TRUE(peer_has(&t, P));
    rib_peer_up(t.x.rib, t.from);
    fx_update(&t.x, t.from, P, fx_attr(&t.x, 1, 1));
    fx_work(&t.x);
    receiver_drain(t.v, t.o);
    CU_ASSERT_TRUE(peer_has(&t, P));
    rib_peer_down(t.x.rib, t.from);
    fx_work(&t.x);
    receiver_drain(t.v, t.o);
    CU_ASSERT_FALSE(peer_has(&t, P));
    teardown(&t);
}

static void withdrawals_go_first(void)
{
    struct out t;
    setup(&t, true, EXPORT_ALL);
    fx_update(&t.x, t.from, P, fx_attr(&t.x, 1, 1));
    receiver_drain(t.v, t.o);
    t.v->announced = 0;
    fx_update(&t.x, t.from, "10.0.0.0/24", fx_attr(&t.x, 1, 1));
    fx_withdraw(&t.x, t.from, P);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->announced, 1);
    CU_ASSERT_EQUAL(t.v->withdrawn, 1);
    CU_ASSERT_FALSE(t.v->withdrew_after_announcing);
    teardown(&t);
}

static void what_does_not_fit_comes_with_the_next_fill(void)
{
    struct out t;
    setup(&t, true, EXPORT_ALL);
    many(&t, 3000, 300, 4);
    CU_ASSERT(receiver_fill(t.v, t.o, BGP_MAX_LEN - 1));
    CU_ASSERT_EQUAL(t.v->messages, 0);
    unsigned fills = 0;
    while (receiver_fill(t.v, t.o, BGP_MAX_LEN + 500))
        fills++;
    CU_ASSERT(fills > 3);
    CU_ASSERT_EQUAL(t.v->n, 3002);
    CU_ASSERT_EQUAL(t.v->announced, 3002); /* nothing twice */
    CU_ASSERT_EQUAL(t.v->eor[FAM_IPV4], 1);
    rib_peer_down(t.x.rib, t.from);
    fx_work(&t.x);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, 1);
    teardown(&t);
}

static void a_change_of_mode_sends_the_difference(void)
{
    struct out t;
    setup(&t, true, EXPORT_ALL);
    many(&t, 1000, 2, 1);
    fx_originate(&t.x, P, ORIGIN_KIND_VIP);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, 1003);
    t.v->announced = 0;
    for (enum family f = 0; f < FAM_COUNT; f++)
        CU_ASSERT_EQUAL(adjout_resend(t.o, f, EXPORT_ORIGINATED, false), 0);
    CU_ASSERT(adjout_pending(t.o));
    fx_withdraw(&t.x, t.from, "10.0.0.0/24"); /* meanwhile; the peer has it still */
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, 1);
    CU_ASSERT_EQUAL(t.v->announced, 0);
    CU_ASSERT_EQUAL(fx_find(&t.x, "10.0.0.0/24"), 0);
    fx_update(&t.x, t.from, "10.0.0.0/24", fx_attr(&t.x, 1, 1));
    CU_ASSERT_FALSE(adjout_pending(t.o)); /* does not even hear of it now */
    for (enum family f = 0; f < FAM_COUNT; f++)
        CU_ASSERT_EQUAL(adjout_resend(t.o, f, EXPORT_ALL, false), 0);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, 1003);
    CU_ASSERT_EQUAL(t.v->announced, 1002); /* not the VIP, which it had */
    CU_ASSERT_EQUAL(adjout_resend(t.o, FAM_IPV4, EXPORT_NONE, false), 0);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, 0);
    CU_ASSERT_EQUAL(t.v->spurious, 0);
    CU_ASSERT_EQUAL(t.v->eor[FAM_IPV4], 1);
    teardown(&t);
}

static void a_forced_resend_repeats_everything(void)
{
    struct out t;
    setup(&t, true, EXPORT_ALL);
    many(&t, 100, 2, 1);
    receiver_drain(t.v, t.o);
    t.v->announced = 0;
    CU_ASSERT_EQUAL(adjout_resend(t.o, FAM_IPV4, EXPORT_ALL, false), 0);
    CU_ASSERT_FALSE(adjout_pending(t.o));
    CU_ASSERT_EQUAL(adjout_resend(t.o, FAM_IPV4, EXPORT_ALL, true), 0);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->announced, 102);
    CU_ASSERT_EQUAL(adjout_count(t.o, FAM_IPV4), 102);
    teardown(&t);
}

static void a_lost_session_lets_go_of_what_it_had(void)
{
    struct out t;
    setup(&t, true, EXPORT_ALL);
    fx_update(&t.x, t.from, P, fx_attr(&t.x, 1, 1));
    receiver_drain(t.v, t.o);
    fx_withdraw(&t.x, t.from, P);
    CU_ASSERT(fx_find(&t.x, P) != 0);
    adjout_stop(t.o);
    fx_work(&t.x);
    CU_ASSERT_EQUAL(fx_find(&t.x, P), 0);
    CU_ASSERT_EQUAL(adjout_count(t.o, FAM_IPV4), 0);
    CU_ASSERT_FALSE(adjout_pending(t.o));
    teardown(&t);
}

static void a_family_without_next_hop_gets_eor_alone(void)
{
    struct out t;
    setup(&t, true, EXPORT_ALL);
    fx_originate(&t.x, "2001:db8::/32", ORIGIN_KIND_VIP);
    adjout_stop(t.o);
    struct update_export x = receiver_export(true);
    x.nexthop[FAM_IPV6].af = 0;
    CU_ASSERT_EQUAL(adjout_start(t.o, &x, EXPORT_ALL, both), 0);
    receiver_drain(t.v, t.o);
    CU_ASSERT_FALSE(peer_has(&t, "2001:db8::/32"));
    CU_ASSERT_EQUAL(t.v->eor[FAM_IPV6], 1);
    CU_ASSERT_EQUAL(t.v->n, 2);
    adjout_stop(t.o);
    receiver_clear(t.v);
    x = receiver_export(true);
    CU_ASSERT_EQUAL(adjout_start(t.o, &x, EXPORT_ORIGINATED, (const bool[FAM_COUNT]){false, true}), 0);
    receiver_drain(t.v, t.o);
    CU_ASSERT(peer_has(&t, "2001:db8::/32"));
    CU_ASSERT(t.v->eor[FAM_IPV4] == 0 && t.v->eor[FAM_IPV6] == 1);
    teardown(&t);
}

static void attributes_that_fit_in_no_message_are_withdrawn(void)
{
    static uint8_t large[12 * 400];
    for (unsigned i = 0; i < sizeof large / 12; i++)
        large[12 * i + 10] = (uint8_t)(i >> 8), large[12 * i + 11] = (uint8_t)i;
    struct out t;
    setup(&t, true, EXPORT_ALL);
    fx_update(&t.x, t.from, P, fx_attr(&t.x, 1, 1));
    receiver_drain(t.v, t.o);
    CU_ASSERT(peer_has(&t, P));
    struct attr_build b = {.nexthop = fx_addr(1)};
    b.part[PART_LARGE] = large;
    b.part_len[PART_LARGE] = sizeof large;
    fx_update(&t.x, t.from, P, attr_intern(t.x.attrs, &b));
    fx_update(&t.x, t.from, "10.2.0.0/16", attr_intern(t.x.attrs, &b));
    receiver_drain(t.v, t.o);
    CU_ASSERT_FALSE(peer_has(&t, P));
    CU_ASSERT_EQUAL(t.v->n, 2);
    CU_ASSERT_EQUAL(t.v->spurious, 0);
    teardown(&t);
}

/* RFC 8654: as many prefixes a message as it has room for, and chunks that have room for more than one. */
static void extended_messages_are_filled(void)
{
    static uint8_t buf[64 * 1024 + BGP_MAX_EXT_LEN];
    struct out t;
    setup(&t, true, EXPORT_ALL);
    struct update_export x = receiver_export(true);
    x.max_len = BGP_MAX_EXT_LEN;
    t.v->max_len = BGP_MAX_EXT_LEN;
    many(&t, 4000, 1, 1);
    CU_ASSERT_EQUAL(adjout_start(t.o, &x, EXPORT_ALL, both), 0);
    bool more = true;
    for (unsigned fills = 0; more; fills++) {
        struct wire_writer w = wire_writer(buf, sizeof buf);
        adjout_fill(t.o, &w, &more);
        receiver_take(t.v, &w);
        CU_ASSERT_FATAL(fills < 10);
    }
    CU_ASSERT(t.v->n >= 4000);
    CU_ASSERT(t.v->messages <= 8); /* 4000 * 4 bytes in one or two, a few other routes, two End-of-RIB */
    struct wire_writer small = wire_writer(buf, BGP_MAX_LEN);
    CU_ASSERT_EQUAL(adjout_resend(t.o, FAM_IPV4, EXPORT_ALL, true), 0);
    CU_ASSERT_EQUAL(adjout_fill(t.o, &small, &more), 0); /* less room than the longest message */
    CU_ASSERT_TRUE(more);
    teardown(&t);
}

static const struct unit_case cases[] = {
    UNIT(what_is_withheld_goes_to_nobody),
    UNIT(the_initial_dump_is_packed_and_ends_with_eor),
    UNIT(what_a_peer_told_us_does_not_go_back),
    UNIT(internal_peers_get_external_and_own_paths_only),
    UNIT(well_known_communities_bind_received_paths),
    UNIT(routes_with_otc_go_to_customers_only),
    UNIT(learned_routes_cost_a_peer_of_originated_nothing),
    UNIT(a_flap_between_two_fills_is_one_message_or_none),
    UNIT(a_best_path_of_a_session_that_is_over_goes_until_it_is_swept),
    UNIT(withdrawals_go_first),
    UNIT(what_does_not_fit_comes_with_the_next_fill),
    UNIT(a_change_of_mode_sends_the_difference),
    UNIT(a_forced_resend_repeats_everything),
    UNIT(a_lost_session_lets_go_of_what_it_had),
    UNIT(a_family_without_next_hop_gets_eor_alone),
    UNIT(attributes_that_fit_in_no_message_are_withdrawn),
    UNIT(extended_messages_are_filled),
};
UNIT_MAIN("adjout", cases)
