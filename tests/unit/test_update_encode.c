/* Encoding UPDATEs: what changes on the way out to each kind of peer, how much fits, and, on random
 * attributes, that what we write we read back; and that no damage to a message makes the decoder misbehave.
 */
#include "update_fixture.h"

static struct update_export export_to(enum peer_kind kind)
{
    struct update_export x = {.ebgp = kind == EBGP || kind == OLD_EBGP,
                              .as4 = kind == EBGP || kind == IBGP,
                              .local_as = 64512,
                              .default_local_pref = 100,
                              .max_len = BGP_MAX_LEN};
    addr_parse("10.0.0.2", &x.nexthop[FAM_IPV4]);
    addr_parse("2001:db8::2", &x.nexthop[FAM_IPV6]);
    return x;
}

struct parts {
    uint8_t bytes[PART_COUNT][2048];
};

static void set_part(struct attr_build *b, struct parts *p, enum attr_part part, const char *text)
{
    b->part_len[part] = (uint16_t)hex(text, p->bytes[part], sizeof p->bytes[part]);
    b->part[part] = p->bytes[part];
}

static struct prefix prefix(const char *text)
{
    struct prefix p;
    CU_ASSERT_EQUAL_FATAL(prefix_parse(text, false, &p), 0);
    return p;
}

/* Encodes one prefix with b to a peer and compares the attributes (and what follows them) with hexadecimal
 * text. */
static void expect(struct fixture *x, const struct update_export *to, const struct attr_build *b,
                   const char *route, const char *want)
{
    static uint8_t got[BGP_MAX_LEN], bytes[BGP_MAX_LEN];
    struct prefix p = prefix(route);
    struct wire_writer w = wire_writer(got, sizeof got);
    const struct attr *a = attr_intern(x->attrs, b);
    CU_ASSERT_EQUAL_FATAL(update_encode_reach(&w, to, x->attrs, a, family_of_af(p.addr.af), &p, 1), 1);
    size_t n = hex(want, bytes, sizeof bytes), head = BGP_HEADER_LEN + 4;
    CU_ASSERT_EQUAL(wire_len(&w), head + n);
    CU_ASSERT_EQUAL((size_t)(got[16] << 8 | got[17]), wire_len(&w));
    if (wire_len(&w) != head + n || memcmp(got + head, bytes, n)) {
        printf("      got ");
        for (size_t i = head; i < wire_len(&w); i++)
            printf("%02x", got[i]);
        printf("\n");
        CU_FAIL("attributes");
    }
    attr_unref(x->attrs, a);
}

#define ROUTE "10.1.0.0/24"
#define NLRI  "18 0a0100"

static void originated_routes_carry_only_us(void)
{
    struct fixture x;
    fixture_open(&x, EBGP);
    struct update_export ebgp = export_to(EBGP), ibgp = export_to(IBGP), old = export_to(OLD_EBGP);
    struct attr_build b = {.flags = ATTR_HAS_MED, .med = 7};
    expect(&x, &ebgp, &b, ROUTE, "400101 00 400206 0201 0000fc00 400304 0a000002 800404 00000007" NLRI);
    expect(&x, &ibgp, &b, ROUTE, "400101 00 400200 400304 0a000002 800404 00000007 400504 00000064" NLRI);
    expect(&x, &old, &b, ROUTE, "400101 00 400204 0201 fc00 400304 0a000002 800404 00000007" NLRI);
    old.local_as = 100000;
    expect(&x, &old, &b, ROUTE,
           "400101 00 400204 0201 5ba0 400304 0a000002 800404 00000007 c01106 0201 000186a0" NLRI);
    fixture_close(&x);
}

static void what_stays_within_the_as_does_not_leave_it(void)
{
    struct fixture x;
    struct parts p;
    fixture_open(&x, EBGP);
    struct update_export ebgp = export_to(EBGP), ibgp = export_to(IBGP);
    struct attr_build b = {.nexthop = addr_v4(0x0a000909),
                           .flags = ATTR_HAS_MED | ATTR_HAS_LOCAL_PREF | ATTR_HAS_ORIGINATOR |
                                    ATTR_ATOMIC_AGGREGATE | ATTR_HAS_AGGREGATOR,
                           .med = 7,
                           .local_pref = 200,
                           .originator_id = 0x01020304,
                           .aggregator_as = 100000,
                           .aggregator_id = 0x0a000009};
    set_part(&b, &p, PART_AS_PATH, "0201 0000fde9");
    set_part(&b, &p, PART_COMMUNITY, "fde90001");
    set_part(&b, &p, PART_EXTENDED, "0002fde900000001 4004fde94b3ebc20");
    set_part(&b, &p, PART_CLUSTER, "01010101");
    set_part(&b, &p, PART_LARGE, "000000010000000200000003");
    set_part(&b, &p, PART_UNKNOWN, "e0 0b 0001 aa  e0 63 0002 abcd");
    expect(&x, &ibgp, &b, ROUTE,
           "400101 00 400206 0201 0000fde9 400304 0a000909 800404 00000007 400504 000000c8 400600"
           "c00708 000186a0 0a000009 c00804 fde90001 800904 01020304 800a04 01010101 e00b01 aa"
           "c01010 0002fde900000001 4004fde94b3ebc20 c0200c 000000010000000200000003 e06302 abcd" NLRI);
    expect(&x, &ebgp, &b, ROUTE,
           "400101 00 40020a 0202 0000fc00 0000fde9 400304 0a000002 400600"
           "c00708 000186a0 0a000009 c00804 fde90001 e00b01 aa"
           "c01008 0002fde900000001 c0200c 000000010000000200000003 e06302 abcd" NLRI);
    b.nexthop.af = 0; /* ours: a non-transitive community's first hop out */
    set_part(&b, &p, PART_AS_PATH, "");
    expect(&x, &ebgp, &b, ROUTE,
           "400101 00 400206 0201 0000fc00 400304 0a000002 800404 00000007 400600"
           "c00708 000186a0 0a000009 c00804 fde90001 e00b01 aa"
           "c01010 0002fde900000001 4004fde94b3ebc20 c0200c 000000010000000200000003 e06302 abcd" NLRI);
    fixture_close(&x);
}

static void two_octet_peers_get_as_trans_and_the_as4_attributes(void)
{
    struct fixture x;
    struct parts p;
    fixture_open(&x, EBGP);
    struct update_export old = export_to(OLD_IBGP);
    struct attr_build b = {.nexthop = addr_v4(0x0a000909),
                           .flags = ATTR_HAS_AGGREGATOR,
                           .aggregator_as = 100000,
                           .aggregator_id = 0x0a000009};
    set_part(&b, &p, PART_AS_PATH, "0302 00000005 00000006 0202 0000fde9 000186a0");
    expect(&x, &old, &b, ROUTE,
           "400101 00 40020c 0302 0005 0006 0202 fde9 5ba0 400304 0a000909 400504 00000064"
           "c00706 5ba0 0a000009 c0110a 0202 0000fde9 000186a0 c01208 000186a0 0a000009" NLRI);
    b.aggregator_as = 65001;
    set_part(&b, &p, PART_AS_PATH, "0201 0000fde9");
    expect(&x, &old, &b, ROUTE,
           "400101 00 400204 0201 fde9 400304 0a000909 400504 00000064 c00706 fde9 0a000009" NLRI);
    fixture_close(&x);
}

static void prepending_makes_a_segment_where_it_must(void)
{
    static char full[4096], want[8192];
    struct fixture x;
    struct parts p;
    fixture_open(&x, EBGP);
    struct update_export ebgp = export_to(EBGP);
    struct attr_build b = {.nexthop = addr_v4(0x0a000909)};
    set_part(&b, &p, PART_AS_PATH, "0102 00000001 00000002");
    expect(&x, &ebgp, &b, ROUTE,
           "400101 00 400210 0201 0000fc00 0102 00000001 00000002 400304 0a000002" NLRI);
    set_part(&b, &p, PART_AS_PATH, "0301 00000009 0201 00000001 0401 00000008"); /* RFC 5065 4.1 c */
    expect(&x, &ebgp, &b, ROUTE, "400101 00 40020a 0202 0000fc00 00000001 400304 0a000002" NLRI);
    for (unsigned n = 254; n <= 255; n++) {
        size_t o = (size_t)sprintf(full, "02%02x", n);
        for (unsigned i = 0; i < n; i++)
            o += (size_t)sprintf(full + o, " 00000001");
        set_part(&b, &p, PART_AS_PATH, full);
        if (n == 254)
            sprintf(want, "400101 00 500203fe 02ff 0000fc00 %s 400304 0a000002" NLRI, full + 4);
        else
            sprintf(want, "400101 00 50020404 0201 0000fc00 %s 400304 0a000002" NLRI, full);
        expect(&x, &ebgp, &b, ROUTE, want);
    }
    fixture_close(&x);
}

static void ipv6_goes_first_in_mp_reach(void)
{
    struct fixture x;
    fixture_open(&x, EBGP);
    struct update_export ebgp = export_to(EBGP);
    struct attr_build b = {0};
    expect(&x, &ebgp, &b, "2001:db8:1::/48",
           "800e1c 0002 01 10 20010db8000000000000000000000002 00 30 20010db80001"
           "400101 00 400206 0201 0000fc00");
    addr_parse("fe80::2", &ebgp.link_local);
    expect(&x, &ebgp, &b, "2001:db8:1::/48",
           "800e2c 0002 01 20 20010db8000000000000000000000002 fe800000000000000000000000000002 00 30 "
           "20010db80001"
           "400101 00 400206 0201 0000fc00");
    fixture_close(&x);
}

/* RFC 8950 section 3 */
static void ipv4_with_an_ipv6_next_hop_is_in_mp_reach(void)
{
    struct fixture x;
    fixture_open(&x, EBGP);
    struct update_export to = export_to(EBGP);
    struct attr_build b = {0};
    to.extended_nexthop = true;
    expect(&x, &to, &b, ROUTE, "400101 00 400206 0201 0000fc00 400304 0a000002" NLRI); /* ours is IPv4 */
    addr_parse("2001:db8::2", &to.nexthop[FAM_IPV4]);
    expect(&x, &to, &b, ROUTE,
           "800e19 0001 01 10 20010db8000000000000000000000002 00 18 0a0100 400101 00 400206 0201 0000fc00");
    addr_parse("fe80::2", &to.nexthop[FAM_IPV4]);
    addr_parse("fe80::2", &to.link_local);
    expect(&x, &to, &b, ROUTE,
           "800e29 0001 01 20 fe800000000000000000000000000002 fe800000000000000000000000000002 00 18 0a0100"
           "400101 00 400206 0201 0000fc00");
    fixture_close(&x);
}

static void an_ipv6_next_hop_is_kept_for_who_takes_it(void)
{
    struct fixture x;
    fixture_open(&x, IBGP);
    struct update_export to = export_to(IBGP);
    struct attr_build b = {0};
    addr_parse("2001:db8::9", &b.nexthop);
    expect(&x, &to, &b, ROUTE, "400101 00 400200 400304 0a000002 400504 00000064" NLRI);
    to.extended_nexthop = true;
    expect(
        &x, &to, &b, ROUTE,
        "800e19 0001 01 10 20010db8000000000000000000000009 00 18 0a0100 400101 00 400200 400504 00000064");
    fixture_close(&x);
}

static void next_hops_are_ours_or_kept(void)
{
    static const struct {
        enum peer_kind to;
        bool self;
        const char *hop, *route, *want; /* the next hop sent */
    } rows[] = {
        {IBGP, false, "10.9.9.9", ROUTE, "10.9.9.9"},
        {IBGP, true, "10.9.9.9", ROUTE, "10.0.0.2"},
        {EBGP, false, "10.9.9.9", ROUTE, "10.0.0.2"},
        {IBGP, false, NULL, ROUTE, "10.0.0.2"},
        {IBGP, false, "2001:db8::9", "2001:db8:1::/48", "2001:db8::9"},
        {IBGP, false, "fe80::9", "2001:db8:1::/48", "2001:db8::2"},
        {IBGP, false, "2001:db8::9", ROUTE, "10.0.0.2"},
    };
    struct fixture x;
    fixture_open(&x, IBGP);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct update_export to = export_to(rows[i].to);
        struct attr_build b = {.nexthop_scope = 0};
        struct prefix p = prefix(rows[i].route);
        enum family f = family_of_af(p.addr.af);
        char text[ADDR_STRLEN];
        if (rows[i].hop)
            addr_parse(rows[i].hop, &b.nexthop);
        to.nexthop_self = rows[i].self;
        addr_parse("fe80::2", &to.link_local);
        const struct attr *a = attr_intern(x.attrs, &b);
        struct wire_writer w = wire_writer(x.body, sizeof x.body);
        CU_ASSERT_EQUAL_FATAL(update_encode_reach(&w, &to, x.attrs, a, f, &p, 1), 1);
        fixture_peer(&x, rows[i].to);
        x.ctx.peer_as = 64512;
        update_release(&x.ctx, &x.u);
        CU_ASSERT_EQUAL(update_decode(&x.ctx, x.body + 19, wire_len(&w) - 19, &x.u), 0);
        CU_ASSERT_EQUAL_FATAL(x.u.action, UPDATE_OK);
        const struct nexthop *nh = nexthop_by_id(x.nexthops, x.u.attr[f][f == FAM_IPV6]->nexthop);
        CU_ASSERT_STRING_EQUAL(addr_format(&nh->addr, text), rows[i].want);
        attr_unref(x.attrs, a);
    }
    fixture_close(&x);
}

static void a_family_without_a_next_hop_cannot_be_sent(void)
{
    struct fixture x;
    fixture_open(&x, EBGP);
    struct update_export to = export_to(EBGP);
    struct attr_build b = {0};
    const struct attr *a = attr_intern(x.attrs, &b);
    struct prefix p = prefix(ROUTE);
    struct wire_writer w = wire_writer(x.body, sizeof x.body);
    to.nexthop[FAM_IPV4].af = 0;
    CU_ASSERT_EQUAL(update_encode_reach(&w, &to, x.attrs, a, FAM_IPV4, &p, 1), 0);
    CU_ASSERT_EQUAL(wire_len(&w), 0);
    CU_ASSERT_FALSE(w.err);
    attr_unref(x.attrs, a);
    fixture_close(&x);
}

/* All n prefixes in as few messages as the length allows, all decoded again. */
static void pack(enum family f, size_t max_len, bool reach, bool add_path)
{
    enum { N = 3000 };
    static struct prefix p[N];
    static uint32_t ids[N];
    static uint8_t out[65536 * 2];
    struct fixture x;
    fixture_open(&x, IBGP);
    struct update_export to = export_to(IBGP);
    struct attr_build b = {0};
    const struct attr *a = attr_intern(x.attrs, &b);
    unsigned sent = 0, got = 0, messages = 0;
    to.max_len = max_len;
    x.ctx.add_path[f] = add_path;
    for (unsigned i = 0; i < N; i++) {
        ids[i] = i * 0x01234567u;
        p[i] = prefix(f == FAM_IPV6 ? "2001:db8::/64" : "10.0.0.0/24");
        p[i].addr.b[f == FAM_IPV6 ? 6 : 1] = (uint8_t)(i >> 8);
        p[i].addr.b[f == FAM_IPV6 ? 7 : 2] = (uint8_t)i;
    }
    while (sent < N) {
        struct wire_writer w = wire_writer(out, sizeof out);
        const uint32_t *id = add_path ? ids + sent : NULL;
        unsigned n = reach ? update_encode_reach_paths(&w, &to, x.attrs, a, f, p + sent, id, N - sent)
                           : update_encode_unreach_paths(&w, &to, f, p + sent, id, N - sent);
        CU_ASSERT_FATAL(n > 0 && wire_len(&w) <= max_len);
        CU_ASSERT(sent + n == N || wire_len(&w) > max_len - 16); /* filled up */
        enum bgp_msg_type type;
        size_t len;
        struct bgp_error e;
        CU_ASSERT_EQUAL_FATAL(msg_header_decode(out, max_len, &type, &len, &e), 0);
        CU_ASSERT_EQUAL(len, wire_len(&w));
        CU_ASSERT_EQUAL(update_decode(&x.ctx, out + 19, len - 19, &x.u), 0);
        CU_ASSERT_EQUAL_FATAL(x.u.action, UPDATE_OK);
        struct nlri_span s = (reach ? x.u.reach : x.u.withdrawn)[f][f == FAM_IPV6];
        uint32_t got_id;
        for (struct prefix q; nlri_next_path(&s, f, add_path, &q, &got_id); got++)
            CU_ASSERT_FATAL(got < N && prefix_equal(&q, &p[got]) && got_id == (add_path ? ids[got] : 0));
        update_release(&x.ctx, &x.u);
        sent += n;
        messages++;
    }
    CU_ASSERT_EQUAL(got, N);
    CU_ASSERT(messages <= ((f == FAM_IPV6 ? 9 : 4) + 4 * add_path) * 3000 / (max_len - 120) + 1);
    attr_unref(x.attrs, a);
    fixture_close(&x);
}

static void messages_are_filled(void)
{
    for (enum family f = 0; f < FAM_COUNT; f++)
        for (int reach = 0; reach < 2; reach++) {
            for (int add_path = 0; add_path < 2; add_path++) {
                pack(f, BGP_MAX_LEN, reach, add_path);
                pack(f, BGP_MAX_EXT_LEN, reach, add_path);
                pack(f, 300, reach, add_path);
            }
        }
}

static void too_little_room_writes_nothing(void)
{
    struct fixture x;
    fixture_open(&x, IBGP);
    struct update_export to = export_to(IBGP);
    struct attr_build b = {0};
    const struct attr *a = attr_intern(x.attrs, &b);
    struct prefix p[] = {prefix(ROUTE), prefix("2001:db8::/32")};
    for (enum family f = 0; f < FAM_COUNT; f++)
        for (size_t max = 0; max < 120; max++) {
            uint8_t out[128];
            memset(out, 0xaa, sizeof out);
            to.max_len = max;
            struct wire_writer w = wire_writer(out, max);
            unsigned n = update_encode_reach(&w, &to, x.attrs, a, f, &p[f], 1);
            CU_ASSERT_EQUAL(n == 1, wire_len(&w) > 0);
            CU_ASSERT_EQUAL(out[max], 0xaa);
            n = update_encode_unreach(&w, &to, f, &p[f],
                                      1); /* the rest has less room than max_len, or it is unused */
            CU_ASSERT_FALSE(w.err);
            CU_ASSERT_EQUAL(out[max], 0xaa);
        }
    attr_unref(x.attrs, a);
    fixture_close(&x);
}

static void end_of_rib_reads_back(void)
{
    for (enum family f = 0; f < FAM_COUNT; f++) {
        struct fixture x;
        fixture_open(&x, EBGP);
        struct wire_writer w = wire_writer(x.body, sizeof x.body);
        update_encode_eor(&w, f);
        CU_ASSERT_EQUAL(wire_len(&w), f == FAM_IPV6 ? 29 : 23);
        CU_ASSERT_EQUAL(update_decode(&x.ctx, x.body + 19, wire_len(&w) - 19, &x.u), 0);
        CU_ASSERT_TRUE(x.u.eor[f] && !x.u.eor[!f]);
        fixture_close(&x);
    }
}

#define SEED 20240229u
static uint32_t state;
static uint32_t random_below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % n;
}

static uint16_t random_bytes(uint8_t *p, uint32_t units, uint16_t unit)
{
    uint16_t len = (uint16_t)(random_below(units + 1) * unit);
    for (uint16_t i = 0; i < len; i++)
        p[i] = (uint8_t)random_below(random_below(4) ? 3 : 256);
    return len;
}

static uint16_t random_path(uint8_t *p, bool wide)
{
    uint8_t *o = p;
    for (uint32_t segments = random_below(4); segments; segments--) {
        *o++ = random_below(3) ? 2 : 1;
        uint8_t *count = o++;
        *count = (uint8_t)(1 + random_below(random_below(8) ? 5 : 255));
        for (unsigned i = 0; i < *count; i++, o += 4) {
            uint32_t as = 1 + random_below(wide ? 4000000000u : 23000u);
            memcpy(o, (uint8_t[]){(uint8_t)(as >> 24), (uint8_t)(as >> 16), (uint8_t)(as >> 8), (uint8_t)as},
                   4);
        }
        if (o - p > 900)
            break;
    }
    return (uint16_t)(o - p);
}

/* Everything that an iBGP peer may say. */
static void random_build(struct attr_build *b, struct parts *p, enum family f, bool wide)
{
    *b = (struct attr_build){.nexthop = addr_v4(0x0a000001 + random_below(200)),
                             .med = random_below(1000),
                             .local_pref = 1 + random_below(1000),
                             .aggregator_as = 1 + random_below(wide ? 200000 : 60000),
                             .aggregator_id = random_below(1000),
                             .originator_id = random_below(1000),
                             .origin = (uint8_t)random_below(3),
                             .flags = (uint8_t)(random_below(32) | ATTR_HAS_LOCAL_PREF)};
    if (f == FAM_IPV6) {
        addr_parse("2001:db8::", &b->nexthop);
        b->nexthop.b[15] = (uint8_t)(1 + random_below(200));
    }
    for (int i = 0; i < PART_COUNT; i++)
        b->part[i] = p->bytes[i];
    b->part_len[PART_AS_PATH] = random_path(p->bytes[PART_AS_PATH], wide);
    b->part_len[PART_COMMUNITY] = random_bytes(p->bytes[PART_COMMUNITY], 100, 4);
    b->part_len[PART_LARGE] = random_bytes(p->bytes[PART_LARGE], 9, 12);
    b->part_len[PART_EXTENDED] = random_bytes(p->bytes[PART_EXTENDED], 9, 8);
    b->part_len[PART_CLUSTER] = random_bytes(p->bytes[PART_CLUSTER], 5, 4);
    uint8_t *u = p->bytes[PART_UNKNOWN];
    for (unsigned type = 64; type < 250; type += 1 + random_below(90)) {
        uint16_t len = random_bytes(u + 4, 40, 1);
        memcpy(u, (uint8_t[]){0xe0, (uint8_t)type, 0, (uint8_t)len}, 4);
        u += 4 + len;
    }
    b->part_len[PART_UNKNOWN] = (uint16_t)(u - p->bytes[PART_UNKNOWN]);
}

static struct prefix random_prefix(enum family f)
{
    struct ip_addr a = {.af = family_to_af(f)};
    for (size_t i = 0; i < family_bytes(f); i++)
        a.b[i] = (uint8_t)random_below(256);
    return prefix_make(&a, (uint8_t)random_below(family_bits(f) + 1));
}

/* Random attributes and prefixes to an iBGP peer (it gets all there is) and back; the same object must come
 * out. Returns the length of the message in out. */
static size_t round_trip(struct fixture *x, bool as4, uint8_t *out)
{
    struct parts p;
    struct attr_build b;
    struct prefix routes[20];
    enum family f = (enum family)random_below(2);
    struct update_export to = export_to(as4 ? IBGP : OLD_IBGP);
    unsigned n = 1 + random_below(20);
    for (unsigned i = 0; i < n; i++)
        routes[i] = random_prefix(f);
    random_build(&b, &p, f, random_below(2));
    const struct attr *a = attr_intern(x->attrs, &b);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    struct wire_writer w = wire_writer(out, BGP_MAX_LEN);
    CU_ASSERT_EQUAL_FATAL(update_encode_reach(&w, &to, x->attrs, a, f, routes, n), n);
    fixture_peer(x, as4 ? IBGP : OLD_IBGP);
    CU_ASSERT_EQUAL(update_decode(&x->ctx, out + 19, wire_len(&w) - 19, &x->u), 0);
    CU_ASSERT_EQUAL_FATAL(x->u.action, UPDATE_OK);
    struct nlri_span s = x->u.reach[f][f == FAM_IPV6];
    const struct attr *back = x->u.attr[f][f == FAM_IPV6];
    CU_ASSERT_PTR_EQUAL(back, a);
    struct prefix q;
    for (unsigned i = 0; i < n; i++)
        CU_ASSERT_TRUE(nlri_next(&s, f, &q) && prefix_equal(&q, &routes[i]));
    CU_ASSERT_FALSE(nlri_next(&s, f, &q));
    update_release(&x->ctx, &x->u);
    attr_unref(x->attrs, a);
    return wire_len(&w);
}

static void what_is_written_is_read_back(void)
{
    static uint8_t out[BGP_MAX_LEN];
    struct fixture x;
    fixture_open(&x, IBGP);
    printf("      seed %u\n", SEED);
    state = SEED;
    for (unsigned i = 0; i < 4000; i++)
        round_trip(&x, i & 1, out);
    fixture_close(&x);
}

static bool inside(const struct nlri_span *s, const uint8_t *body, size_t n)
{
    return !s->len || (s->p >= body && s->p + s->len <= body + n);
}

static void damage(uint8_t *body, size_t *n)
{
    for (uint32_t hits = 1 + random_below(4); hits; hits--) {
        uint32_t at = random_below((uint32_t)*n);
        if (random_below(2))
            body[at] = (uint8_t)(body[at] ^ 1u << random_below(8));
        else
            body[at] = (uint8_t)random_below(256);
    }
    if (!random_below(16))
        *n = random_below((uint32_t)*n + 1);
}

static void check_damaged(struct fixture *x, const uint8_t *body, size_t n)
{
    bool bad = update_decode(&x->ctx, body, n, &x->u) != 0, routes = false;
    for (enum family f = 0; f < FAM_COUNT; f++)
        for (int i = 0; i < 2; i++) {
            struct nlri_span s[] = {x->u.withdrawn[f][i], x->u.reach[f][i]};
            bool announced = s[1].len > 0;
            bad |= !inside(&s[0], body, n) || !inside(&s[1], body, n);
            bad |= !!x->u.attr[f][i] != (announced && x->u.action < UPDATE_TREAT_AS_WITHDRAW);
            for (int k = 0; k < 2; k++)
                for (struct prefix p; nlri_next(&s[k], f, &p); routes = true)
                    bad |= p.len > family_bits(f) || !inside(&s[k], body, n);
        }
    bad |= x->u.action == UPDATE_RESET && (routes || !x->u.error.code);
    bad |= x->u.action == UPDATE_OK && x->u.error.code;
    if (bad)
        CU_FAIL("a damaged message was not handled");
    update_release(&x->ctx, &x->u);
}

static void damaged_messages_do_no_harm(void)
{
    static uint8_t out[BGP_MAX_LEN];
    struct fixture x;
    unsigned counts[4] = {0};
    fixture_open(&x, IBGP);
    printf("      seed %u\n", SEED + 1);
    state = SEED + 1;
    struct update_cache *cache = update_cache_new(64);
    for (unsigned i = 0; i < 100000; i += 50) {
        static uint8_t good[BGP_MAX_LEN];
        bool as4 = i % 100 == 0;
        x.ctx.cache = as4 ? cache : NULL; /* it is for one kind of peer */
        size_t len = round_trip(&x, as4, good) - 19;
        x.ctx.ebgp = !as4 && random_below(2);
        for (unsigned k = 0; k < 50; k++) {
            /* at its exact size on the heap, so that a sanitizer sees any step beyond */
            size_t n = len;
            memcpy(out, good + 19, n);
            damage(out, &n);
            uint8_t *body = malloc(n ? n : 1);
            memcpy(body, out, n);
            check_damaged(&x, body, n);
            counts[x.u.action]++;
            free(body);
        }
    }
    printf("      ok %u, discard %u, withdraw %u, reset %u\n", counts[0], counts[1], counts[2], counts[3]);
    CU_ASSERT(counts[0] && counts[1] && counts[2] && counts[3]);
    x.ctx.cache = cache;
    fixture_close(&x);
}

static const struct unit_case cases[] = {
    UNIT(originated_routes_carry_only_us),
    UNIT(what_stays_within_the_as_does_not_leave_it),
    UNIT(two_octet_peers_get_as_trans_and_the_as4_attributes),
    UNIT(prepending_makes_a_segment_where_it_must),
    UNIT(ipv6_goes_first_in_mp_reach),
    UNIT(next_hops_are_ours_or_kept),
    UNIT(ipv4_with_an_ipv6_next_hop_is_in_mp_reach),
    UNIT(an_ipv6_next_hop_is_kept_for_who_takes_it),
    UNIT(a_family_without_a_next_hop_cannot_be_sent),
    UNIT(messages_are_filled),
    UNIT(too_little_room_writes_nothing),
    UNIT(end_of_rib_reads_back),
    UNIT(what_is_written_is_read_back),
    UNIT(damaged_messages_do_no_harm),
};
UNIT_MAIN("update_encode", cases)
