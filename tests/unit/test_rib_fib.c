/* What the FIB should hold beside plain ECMP: weights of members, and blackhole routes (RFC 7999). */
#include <string.h>

#include "lib/community.h"
#include "rib_fixture.h"

#define P "192.0.2.66/32"

/* Next hop 10.0.0.n, a bandwidth (0: none) and a community (0: none). */
static const struct attr *attr_with(struct fixture *x, unsigned n, float bandwidth, uint32_t community)
{
    uint8_t path[] = {2, 1, 0, 0, 0xfd, (uint8_t)n}, lb[8] = {0x40, 4, 0xfd, 0xe9};
    uint8_t c[4] = {(uint8_t)(community >> 24), (uint8_t)(community >> 16), (uint8_t)(community >> 8),
                    (uint8_t)community};
    uint32_t raw;
    memcpy(&raw, &bandwidth, sizeof raw);
    for (int i = 0; i < 4; i++)
        lb[4 + i] = (uint8_t)(raw >> (24 - 8 * i));
    struct attr_build b = {.nexthop = fx_addr(n)};
    b.part[PART_AS_PATH] = path, b.part_len[PART_AS_PATH] = sizeof path;
    b.part[PART_EXTENDED] = lb, b.part_len[PART_EXTENDED] = bandwidth != 0 ? 8 : 0;
    b.part[PART_COMMUNITY] = c, b.part_len[PART_COMMUNITY] = community ? 4 : 0;
    const struct attr *a = attr_intern(x->attrs, &b);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    return a;
}

static void peers(struct fixture *x, struct rib_peer *peer[3])
{
    fx_init(x, 8);
    for (unsigned i = 0; i < 3; i++) {
        char keep[] = "198.51.100.1/32"; /* so that the next hop stays watched */
        peer[i] = fx_peer(x, i + 1, false);
        keep[11] = (char)('1' + i);
        fx_update(x, peer[i], keep, attr_with(x, i + 1, 0, 0));
        fx_nexthop(x, i + 1, true, 0);
    }
    fx_work(x);
}

static int desired(struct fixture *x, const char *prefix, uint32_t *group)
{
    struct prefix p = fx_prefix(prefix);
    return rib_fib_desired(x->rib, addr_family(&p.addr), fx_find(x, prefix), group);
}

/* Weights in order of address, as digits: "13". */
static const char *weights(struct fixture *x, const char *prefix)
{
    static char text[3 * FM_GROUP_MEMBERS];
    const struct nhgroup_member *m;
    uint32_t group;
    CU_ASSERT_EQUAL_FATAL(desired(x, prefix, &group), FM_ROUTE_SET);
    unsigned n = nhgroup_members(x->nexthops, group, &m);
    for (unsigned i = 0; i < n; i++)
        text[i] = (char)('0' + m[i].weight);
    text[n] = 0;
    nhgroup_put(x->nexthops, group);
    return text;
}

static void bandwidths_of_all_paths_are_weights(void)
{
    struct fixture x;
    struct rib_peer *peer[3];
    peers(&x, peer);
    fx_update(&x, peer[0], P, attr_with(&x, 1, 1000, 0));
    CU_ASSERT_STRING_EQUAL(weights(&x, P), "1"); /* alone it weighs nothing */
    fx_update(&x, peer[2], P, attr_with(&x, 3, 3000, 0));
    CU_ASSERT_STRING_EQUAL(weights(&x, P), "13");
    fx_update(&x, peer[1], P, attr_with(&x, 2, 0, 0));
    CU_ASSERT_STRING_EQUAL(weights(&x, P), "111");
    fx_update(&x, peer[1], P, attr_with(&x, 2, -1000, 0));
    CU_ASSERT_STRING_EQUAL(weights(&x, P), "111");
    fx_update(&x, peer[1], P, attr_with(&x, 2, 2000, 0));
    CU_ASSERT_STRING_EQUAL(weights(&x, P), "123");
    fx_withdraw(&x, peer[0], P);
    CU_ASSERT_STRING_EQUAL(weights(&x, P), "23");
    fx_free(&x);
}

static void a_path_that_is_not_used_does_not_count(void)
{
    struct fixture x;
    struct rib_peer *peer[3];
    peers(&x, peer);
    fx_update(&x, peer[0], P, attr_with(&x, 1, 1000, 0));
    fx_update(&x, peer[1], P, attr_with(&x, 2, 4000, 0));
    fx_update(&x, peer[2], P, fx_attr(&x, 3, 5)); /* without a bandwidth, and longer */
    CU_ASSERT_STRING_EQUAL(weights(&x, P), "14");
    fx_free(&x);
}

static void one_next_hop_of_two_paths_is_one_link(void)
{
    struct fixture x;
    struct rib_peer *peer[3];
    peers(&x, peer);
    fx_update(&x, peer[0], P, attr_with(&x, 1, 1000, 0));
    fx_update(&x, peer[1], P, attr_with(&x, 1, 2000, 0));
    fx_update(&x, peer[2], P, attr_with(&x, 3, 4000, 0));
    CU_ASSERT_STRING_EQUAL(weights(&x, P), "12");
    fx_free(&x);
}

static void about_the_same_bandwidth_is_the_group_without(void)
{
    struct fixture x;
    struct rib_peer *peer[3];
    uint32_t plain, same, other;
    peers(&x, peer);
    for (unsigned i = 0; i < 2; i++) {
        fx_update(&x, peer[i], "192.0.2.1/32", attr_with(&x, i + 1, 0, 0));
        fx_update(&x, peer[i], "192.0.2.2/32", attr_with(&x, i + 1, 1000 + (float)i, 0));
        fx_update(&x, peer[i], "192.0.2.3/32", attr_with(&x, i + 1, 1000 * (1 + (float)i), 0));
    }
    CU_ASSERT_EQUAL(desired(&x, "192.0.2.1/32", &plain), FM_ROUTE_SET);
    CU_ASSERT_EQUAL(desired(&x, "192.0.2.2/32", &same), FM_ROUTE_SET);
    CU_ASSERT_EQUAL(desired(&x, "192.0.2.3/32", &other), FM_ROUTE_SET);
    CU_ASSERT_EQUAL(plain, same);
    CU_ASSERT_NOT_EQUAL(plain, other);
    fx_free(&x);
}

static void a_change_of_bandwidth_tells_the_fib(void)
{
    struct fixture x;
    struct rib_peer *peer[3];
    struct rib_sub sub = {.family = {true, true}, .forwarding = true};
    peers(&x, peer);
    fx_update(&x, peer[0], P, attr_with(&x, 1, 1000, 0));
    fx_update(&x, peer[1], P, attr_with(&x, 2, 1000, 0));
    rib_subscribe(x.rib, &sub);
    for (unsigned i = 0; i < 2; i++) { /* of the best and of the other */
        CU_ASSERT_EQUAL(sub.dirty[FAM_IPV4].count, 0);
        fx_update(&x, peer[i], P, attr_with(&x, i + 1, 5000, 0));
        CU_ASSERT_TRUE(dirty_test(&sub.dirty[FAM_IPV4], fx_find(&x, P)));
        dirty_clear(&sub.dirty[FAM_IPV4], fx_find(&x, P));
    }
    rib_unsubscribe(x.rib, &sub);
    fx_free(&x);
}

static void host_routes_of_an_agreed_peer_are_blackholes(void)
{
    static const struct {
        const char *prefix;
        uint32_t community;
        bool agreed;
        int op;
    } rows[] = {
        {"192.0.2.66/32", COMMUNITY_BLACKHOLE, true, FM_ROUTE_BLACKHOLE},
        {"2001:db8::66/128", COMMUNITY_BLACKHOLE, true, FM_ROUTE_BLACKHOLE},
        {"192.0.2.66/32", COMMUNITY_BLACKHOLE, false, FM_ROUTE_SET},
        {"192.0.2.66/32", COMMUNITY_NO_EXPORT, true, FM_ROUTE_SET},
        {"192.0.2.66/31", COMMUNITY_BLACKHOLE, true, FM_ROUTE_SET},
        {"192.0.0.0/16", COMMUNITY_BLACKHOLE, true, FM_ROUTE_SET},
        {"2001:db8::66/127", COMMUNITY_BLACKHOLE, true, FM_ROUTE_SET},
        {"2001:db8::/32", COMMUNITY_BLACKHOLE, true, FM_ROUTE_SET},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture x;
        struct rib_peer *peer[3];
        uint32_t group;
        peers(&x, peer);
        peer[0]->blackhole = rows[i].agreed;
        fx_update(&x, peer[0], rows[i].prefix, attr_with(&x, 1, 0, rows[i].community));
        CU_ASSERT_EQUAL(desired(&x, rows[i].prefix, &group), rows[i].op);
        CU_ASSERT_EQUAL(!group, rows[i].op == FM_ROUTE_BLACKHOLE);
        fx_free(&x);
    }
}

static void the_best_path_says_whether_it_is_a_blackhole(void)
{
    struct fixture x;
    struct rib_peer *peer[3];
    uint32_t group;
    peers(&x, peer);
    peer[1]->blackhole = true;
    fx_update(&x, peer[0], P, attr_with(&x, 1, 0, 0));
    fx_update(&x, peer[1], P, attr_with(&x, 2, 0, COMMUNITY_BLACKHOLE));
    CU_ASSERT_EQUAL(desired(&x, P, &group), FM_ROUTE_SET);
    fx_withdraw(&x, peer[0], P);
    CU_ASSERT_EQUAL(desired(&x, P, &group), FM_ROUTE_BLACKHOLE);
    fx_originate(&x, P, ORIGIN_KIND_VIP);
    CU_ASSERT_EQUAL(desired(&x, P, &group), 0);
    fx_free(&x);
}

static void what_was_told_is_remembered(void)
{
    struct fixture x;
    struct rib_peer *peer[3];
    uint32_t group;
    peers(&x, peer);
    peer[0]->blackhole = true;
    fx_update(&x, peer[0], P, attr_with(&x, 1, 0, COMMUNITY_BLACKHOLE));
    uint32_t i = fx_find(&x, P);
    CU_ASSERT_EQUAL(rib_fib_told(x.rib, FAM_IPV4, i), 0);
    rib_fib_sent(x.rib, FAM_IPV4, i, FM_ROUTE_BLACKHOLE, 0);
    CU_ASSERT_EQUAL(rib_fib_told(x.rib, FAM_IPV4, i), FM_ROUTE_BLACKHOLE);
    CU_ASSERT_TRUE(rib_fib_is_current(x.rib, FAM_IPV4, i, FM_ROUTE_BLACKHOLE, 0));
    rib_fib_result(x.rib, FAM_IPV4, i, FM_ROUTE_SET, 0); /* not the answer to that */
    CU_ASSERT_EQUAL(rib_entry(x.rib, FAM_IPV4, i)->fib, FIB_PENDING);
    rib_fib_result(x.rib, FAM_IPV4, i, FM_ROUTE_BLACKHOLE, 0);
    CU_ASSERT_EQUAL(rib_entry(x.rib, FAM_IPV4, i)->fib, FIB_INSTALLED);
    peer[0]->blackhole = false;
    CU_ASSERT_EQUAL(desired(&x, P, &group), FM_ROUTE_SET);
    CU_ASSERT_FALSE(rib_fib_is_current(x.rib, FAM_IPV4, i, FM_ROUTE_SET, group));
    rib_fib_sent(x.rib, FAM_IPV4, i, FM_ROUTE_SET, group);
    CU_ASSERT_EQUAL(rib_fib_told(x.rib, FAM_IPV4, i), FM_ROUTE_SET);
    fx_withdraw(&x, peer[0], P);
    rib_fib_sent(x.rib, FAM_IPV4, i, 0, 0);
    CU_ASSERT_EQUAL(rib_fib_told(x.rib, FAM_IPV4, i), 0);
    rib_fib_result(x.rib, FAM_IPV4, i, FM_ROUTE_DEL, 0);
    CU_ASSERT_EQUAL(fx_find(&x, P), 0);
    fx_free(&x);
}

static const struct unit_case cases[] = {
    UNIT(bandwidths_of_all_paths_are_weights),          UNIT(a_path_that_is_not_used_does_not_count),
    UNIT(one_next_hop_of_two_paths_is_one_link),        UNIT(about_the_same_bandwidth_is_the_group_without),
    UNIT(a_change_of_bandwidth_tells_the_fib),          UNIT(host_routes_of_an_agreed_peer_are_blackholes),
    UNIT(the_best_path_says_whether_it_is_a_blackhole), UNIT(what_was_told_is_remembered),
};
UNIT_MAIN("rib_fib", cases)
