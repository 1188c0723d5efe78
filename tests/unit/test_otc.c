/* What is added to routes and kept of them at the edge: Only to Customer (RFC 9234 section 5) role by role,
 * GRACEFUL_SHUTDOWN (RFC 8326), the Partial bit (RFC 4271 section 5), the first AS of a route server. */
#include <errno.h>

#include "update_fixture.h"
#include "wire/otc.h"

#define GOOD  "400101 00 400206 0201 0000fde9 400304 0a000001 "
#define NLRI  "18 0a0100"
#define OTHER 65009u

static const struct attr *decode(struct fixture *x, enum bgp_role role, const char *more)
{
    char attrs[256];
    x->ctx.role = role;
    snprintf(attrs, sizeof attrs, "%s%s", GOOD, more);
    fixture_decode(x, "", attrs, NLRI);
    CU_ASSERT_EQUAL(x->u.action, UPDATE_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(x->u.attr[FAM_IPV4][0]);
    return x->u.attr[FAM_IPV4][0];
}

static void received_routes_by_role(void)
{
    static const struct {
        enum bgp_role we;
        uint32_t without; /* what OTC is when it came without, 0 none */
        bool leak_theirs, leak_other;
    } rows[] = {
        {ROLE_NONE, 0, false, false},
        {ROLE_PROVIDER, 0, true, true},       /* ingress 1: from a customer */
        {ROLE_RS_SERVER, 0, true, true},      /* ingress 1: from a client of our route server */
        {ROLE_PEER, 65001, false, true},      /* ingress 2, 3 */
        {ROLE_CUSTOMER, 65001, false, false}, /* ingress 3 */
        {ROLE_RS_CLIENT, 65001, false, false},
    };
    struct fixture x;
    fixture_open(&x, EBGP);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum bgp_role we = rows[i].we;
        const struct attr *a = decode(&x, we, "");
        CU_ASSERT_EQUAL(a->part_len[PART_OTC], rows[i].without ? 4 : 0);
        CU_ASSERT_EQUAL(attr_otc(a), rows[i].without);
        CU_ASSERT_FALSE(otc_is_leak(a, we, 65001));
        a = decode(&x, we, "c02304 0000fde9");
        CU_ASSERT_EQUAL(attr_otc(a), 65001);
        CU_ASSERT_EQUAL(otc_is_leak(a, we, 65001), rows[i].leak_theirs);
        a = decode(&x, we, "c02304 0000fdf1");
        CU_ASSERT_EQUAL(attr_otc(a), OTHER); /* "MUST be preserved unchanged" */
        CU_ASSERT_EQUAL(otc_is_leak(a, we, 65001), rows[i].leak_other);
    }
    fixture_close(&x);
}

/* Whether an OTC is in the message, and which. */
static uint32_t sent_otc(struct fixture *x, const struct attr *a, enum bgp_role we, bool ebgp)
{
    struct update_export to = {
        .ebgp = ebgp, .as4 = true, .role = we, .local_as = 64512, .max_len = BGP_MAX_LEN};
    uint8_t got[BGP_MAX_LEN];
    struct wire_writer w = wire_writer(got, sizeof got);
    struct prefix p;
    CU_ASSERT_EQUAL_FATAL(prefix_parse("10.1.0.0/24", false, &p), 0);
    addr_parse("10.0.0.2", &to.nexthop[FAM_IPV4]);
    CU_ASSERT_EQUAL_FATAL(update_encode_reach(&w, &to, x->attrs, a, FAM_IPV4, &p, 1), 1);
    struct update_ctx ctx = x->ctx;
    struct update u;
    ctx.role = ROLE_NONE;
    ctx.ebgp = ebgp;
    ctx.peer_as = 64512;
    ctx.cache = NULL;
    CU_ASSERT_EQUAL(update_decode(&ctx, got + BGP_HEADER_LEN, wire_len(&w) - BGP_HEADER_LEN, &u), 0);
    CU_ASSERT_EQUAL_FATAL(u.action, UPDATE_OK);
    uint32_t otc = attr_otc(u.attr[FAM_IPV4][0]);
    update_release(&ctx, &u);
    return otc;
}

static void sent_routes_by_role(void)
{
    static const struct {
        enum bgp_role we;
        uint32_t added;
        bool kept_back; /* egress 2, of a route with OTC */
    } rows[] = {
        {ROLE_NONE, 0, false},    {ROLE_PROVIDER, 64512, false}, {ROLE_RS_SERVER, 64512, false},
        {ROLE_PEER, 64512, true}, {ROLE_CUSTOMER, 0, true},      {ROLE_RS_CLIENT, 0, true},
    };
    struct fixture x;
    fixture_open(&x, EBGP);
    const struct attr *plain = attr_ref(decode(&x, ROLE_NONE, ""));
    const struct attr *marked = attr_ref(decode(&x, ROLE_NONE, "c02304 0000fdf1"));
    const struct attr *own = attr_intern(x.attrs, &(struct attr_build){.origin = ORIGIN_IGP});
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CU_ASSERT_EQUAL(sent_otc(&x, plain, rows[i].we, true), rows[i].added);
        CU_ASSERT_EQUAL(sent_otc(&x, own, rows[i].we, true), rows[i].added);
        CU_ASSERT_EQUAL(sent_otc(&x, marked, rows[i].we, true), OTHER);
        CU_ASSERT_EQUAL(otc_peer_is_above(rows[i].we), rows[i].kept_back);
    }
    CU_ASSERT_EQUAL(sent_otc(&x, marked, ROLE_NONE, false), OTHER); /* within the AS it is carried along */
    attr_unref(x.attrs, plain);
    attr_unref(x.attrs, marked);
    attr_unref(x.attrs, own);
    fixture_close(&x);
}

static void a_cached_block_has_the_otc_too(void)
{
    struct fixture x;
    fixture_open(&x, EBGP);
    x.ctx.cache = update_cache_new(4);
    const struct attr *first = attr_ref(decode(&x, ROLE_CUSTOMER, ""));
    CU_ASSERT_PTR_EQUAL(decode(&x, ROLE_CUSTOMER, ""), first);
    CU_ASSERT_EQUAL(attr_otc(first), 65001);
    attr_unref(x.attrs, first);
    fixture_close(&x);
}

/* RFC 8326 section 4. */
static void graceful_shutdown_is_local_pref_0_from_outside(void)
{
    struct fixture x;
    fixture_open(&x, EBGP);
    const struct attr *a = decode(&x, ROLE_NONE, "c00808 fde90001 ffff0000");
    CU_ASSERT_TRUE((a->flags & ATTR_HAS_LOCAL_PREF) && (a->flags & ATTR_GRACEFUL_SHUTDOWN));
    CU_ASSERT_EQUAL(a->local_pref, 0);
    a = decode(&x, ROLE_NONE, "c00804 fde90001");
    CU_ASSERT_FALSE(a->flags & (ATTR_HAS_LOCAL_PREF | ATTR_GRACEFUL_SHUTDOWN));
    fixture_peer(&x, IBGP);
    a = decode(&x, ROLE_NONE, "c00804 ffff0000 400504 000000c8");
    CU_ASSERT_EQUAL(a->local_pref, 200); /* the border has decided */
    fixture_close(&x);
}

/* RFC 4271 section 5: "it MUST NOT be set back to 0 by the current AS". */
static void partial_stays_partial(void)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"c00804 fde90001", "c00804 fde90001"},
        {"e00804 fde90001", "e00804 fde90001"},
        {"e00708 0000fde9 0a000001", "e00708 0000fde9 0a000001"},
        {"e01008 0002fde900000001", "e01008 0002fde900000001"},
        {"e0200c 000000010000000100000002", "e0200c 000000010000000100000002"},
        {"e02304 0000fde9", "e02304 0000fde9"},
        {"c01914 0002 20010db8000000000000000000000001 0001",
         "c01914 0002 20010db8000000000000000000000001 0001"},
        {"e01914 0002 20010db8000000000000000000000001 0001",
         "e01914 0002 20010db8000000000000000000000001 0001"},
        {"c06302 abcd", "e06302 abcd"}, /* one that we do not know */
        {"d06300 02 abcd", "e06302 abcd"},
        {"806302 abcd", ""},
    };
    struct update_export to = {.ebgp = true, .as4 = true, .local_as = 64512, .max_len = BGP_MAX_LEN};
    struct fixture x;
    struct prefix p;
    fixture_open(&x, EBGP);
    addr_parse("10.0.0.2", &to.nexthop[FAM_IPV4]);
    CU_ASSERT_EQUAL_FATAL(prefix_parse("10.1.0.0/24", false, &p), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t got[BGP_MAX_LEN], want[64];
        struct wire_writer w = wire_writer(got, sizeof got);
        const struct attr *a = decode(&x, ROLE_NONE, rows[i].in);
        CU_ASSERT_EQUAL_FATAL(update_encode_reach(&w, &to, x.attrs, a, FAM_IPV4, &p, 1), 1);
        size_t n = hex(rows[i].out, want, sizeof want), head = BGP_HEADER_LEN + 4 + 4 + 13 + 7;
        CU_ASSERT_EQUAL_FATAL(wire_len(&w), head + n + 4);
        CU_ASSERT_EQUAL(memcmp(got + head, want, n), 0);
    }
    fixture_close(&x);
}

/* RFC 7947 2.2.2.1: a route server does not put its AS in front. */
static void a_route_server_need_not_come_first(void)
{
    static const char foreign[] = "400101 00 400206 0201 0000fdf1 400304 0a000001";
    struct fixture x;
    fixture_open(&x, EBGP);
    for (enum bgp_role we = ROLE_NONE; we < ROLE_COUNT; we++) {
        x.ctx.role = we;
        fixture_decode(&x, "", foreign, NLRI);
        CU_ASSERT_EQUAL(x.u.action, we == ROLE_RS_CLIENT ? UPDATE_OK : UPDATE_TREAT_AS_WITHDRAW);
        fixture_decode(&x, "", "400101 00 400200 400304 0a000001", NLRI);
        CU_ASSERT_EQUAL(x.u.action, UPDATE_TREAT_AS_WITHDRAW);
    }
    fixture_close(&x);
}

static const struct unit_case cases[] = {
    UNIT(received_routes_by_role),        UNIT(sent_routes_by_role),
    UNIT(a_cached_block_has_the_otc_too), UNIT(graceful_shutdown_is_local_pref_0_from_outside),
    UNIT(partial_stays_partial),          UNIT(a_route_server_need_not_come_first),
};
UNIT_MAIN("otc", cases)
