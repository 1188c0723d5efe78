/* Laws of the codec on random valid input: what is written is read back, over settings of the session that
 * other tests fix: extended messages, path identifiers, many prefixes in several messages, eBGP (where what
 * changes on the way is said here a second time, in other words), OPENs with any capabilities. The sequence
 * is the same in every run; UNDERLAY_SEED makes another one, which is printed when it fails. */
#include <stdio.h>
#include <stdlib.h>

#include "update_fixture.h"
#include "wire/attr.h"

enum { ROUNDS = 4000, MOST = 700 };

static uint32_t state;

static uint32_t dice(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % n;
}

static void seed(uint32_t number)
{
    const char *given = getenv("UNDERLAY_SEED");
    state = given ? (uint32_t)strtoul(given, NULL, 0) : number;
    state = state ? state : 1;
}

/* A session: how it was negotiated. */
struct session {
    bool ebgp, as4, add_path, link_local;
    size_t max_len;
    struct update_export x;
    struct update_ctx ctx;
};

static struct session any_session(struct fixture *f)
{
    struct session s = {.ebgp = dice(2),
                        .as4 = dice(2),
                        .add_path = dice(2),
                        .link_local = dice(2),
                        .max_len = dice(2) ? BGP_MAX_LEN : BGP_MAX_EXT_LEN};
    s.x = (struct update_export){.ebgp = s.ebgp,
                                 .as4 = s.as4,
                                 .local_as = 64512,
                                 .default_local_pref = 100,
                                 .nexthop_self = dice(2),
                                 .max_len = s.max_len};
    addr_parse("10.0.0.2", &s.x.nexthop[FAM_IPV4]);
    addr_parse("2001:db8::2", &s.x.nexthop[FAM_IPV6]);
    if (s.link_local)
        addr_parse("fe80::2", &s.x.link_local);
    s.ctx = (struct update_ctx){.attrs = f->attrs,
                                .local_as = s.ebgp ? 65001 : 64512,
                                .peer_as = 64512,
                                .scope = 2,
                                .ebgp = s.ebgp,
                                .as4 = s.as4,
                                .family = {true, true},
                                .add_path = {s.add_path, s.add_path}};
    return s;
}

struct routes {
    struct prefix prefix[MOST];
    uint32_t id[MOST];
    unsigned n;
};

static void any_routes(struct routes *r, enum family f)
{
    r->n = 1 + dice(dice(4) ? 12 : MOST);
    for (unsigned i = 0; i < r->n; i++) {
        struct ip_addr a = {.af = family_to_af(f)};
        for (size_t k = 0; k < family_bytes(f); k++)
            a.b[k] = (uint8_t)dice(256);
        r->prefix[i] = prefix_make(&a, (uint8_t)dice(family_bits(f) + 1));
        r->id[i] = dice(3) ? dice(UINT32_MAX) : 0;
    }
}

struct build {
    struct attr_build b;
    uint8_t part[PART_COUNT][16384];
};

static void any_units(struct build *o, enum attr_part part, uint32_t most, uint16_t unit)
{
    uint16_t len = (uint16_t)(dice(most + 1) * unit);
    for (uint16_t i = 0; i < len; i++)
        o->part[part][i] = (uint8_t)dice(dice(3) ? 4 : 256);
    o->b.part_len[part] = len;
}

static void any_path(struct build *o)
{
    uint8_t *p = o->part[PART_AS_PATH];
    for (uint32_t segments = dice(4); segments; segments--) {
        *p++ = dice(4) ? 2 : 1;
        uint8_t count = (uint8_t)(1 + dice(dice(6) ? 4 : 255));
        *p++ = count;
        for (; count; count--, p += 4) {
            uint32_t as = dice(2) ? 1 + dice(65000) : 70000 + dice(4200000000u);
            struct wire_writer w = wire_writer(p, 4);
            wire_put_u32(&w, as == BGP_AS_TRANS ? 1 : as);
        }
    }
    o->b.part_len[PART_AS_PATH] = (uint16_t)(p - o->part[PART_AS_PATH]);
}

static void any_unknown(struct build *o)
{
    uint8_t *p = o->part[PART_UNKNOWN];
    for (unsigned type = 70; type < 240; type += 1 + dice(80)) {
        uint16_t len = (uint16_t)dice(dice(3) ? 20 : 600);
        memcpy(p, (uint8_t[]){0xe0, (uint8_t)type, (uint8_t)(len >> 8), (uint8_t)len}, 4);
        memset(p + 4, (int)dice(256), len);
        p += 4 + len;
    }
    o->b.part_len[PART_UNKNOWN] = (uint16_t)(p - o->part[PART_UNKNOWN]);
}

static const struct attr *any_attributes(struct fixture *x, struct build *o, enum family f, bool large)
{
    o->b = (struct attr_build){.med = dice(1000),
                               .local_pref = dice(1000),
                               .aggregator_as = 1 + dice(dice(2) ? 200000 : 60000),
                               .aggregator_id = dice(UINT32_MAX),
                               .originator_id = dice(UINT32_MAX),
                               .origin = (uint8_t)dice(3),
                               .flags = (uint8_t)(dice(32) | ATTR_HAS_LOCAL_PREF)};
    addr_parse(f == FAM_IPV4 ? "10.0.0.1" : "2001:db8::1", &o->b.nexthop);
    for (int i = 0; i < PART_COUNT; i++)
        o->b.part[i] = o->part[i];
    any_path(o);
    any_units(o, PART_COMMUNITY, large ? 3000 : 60, 4);
    any_units(o, PART_LARGE, 9, 12);
    any_units(o, PART_EXTENDED, 9, 8);
    any_units(o, PART_CLUSTER, 5, 4);
    any_unknown(o);
    const struct attr *a = attr_intern(x->attrs, &o->b);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    return a;
}

static void expect_same_part(const struct attr *got, const struct attr *sent, enum attr_part p)
{
    uint16_t n, m;
    const uint8_t *a = attr_part(got, p, &n), *b = attr_part(sent, p, &m);
    CU_ASSERT_TRUE(n == m && !memcmp(a, b, n));
}

/* RFC 4271 5.1.2 to 5.1.5, RFC 4456 8, RFC 4360 6: what an external peer gets to know. */
static void expect_external(const struct attr *got, const struct attr *sent)
{
    static char path[65536], want[65536];
    attr_format_as_path(got, path, sizeof path);
    int n = snprintf(want, sizeof want, "64512 ");
    if (!attr_format_as_path(sent, want + n, sizeof want - (size_t)n))
        want[n - 1] = 0;
    CU_ASSERT_STRING_EQUAL(path, want);
    CU_ASSERT_EQUAL(got->path_len, sent->path_len + 1);
    CU_ASSERT_EQUAL(got->neighbor_as, 64512);
    CU_ASSERT_EQUAL(got->origin, sent->origin);
    CU_ASSERT_FALSE(got->flags & (ATTR_HAS_MED | ATTR_HAS_LOCAL_PREF | ATTR_HAS_ORIGINATOR));
    unsigned kept = ATTR_ATOMIC_AGGREGATE | ATTR_HAS_AGGREGATOR;
    CU_ASSERT_EQUAL(got->flags & kept, sent->flags & kept);
    CU_ASSERT_EQUAL(got->part_len[PART_CLUSTER], 0);
    expect_same_part(got, sent, PART_COMMUNITY);
    expect_same_part(got, sent, PART_LARGE);
    expect_same_part(got, sent, PART_UNKNOWN);
    uint16_t len, here = 0, there;
    const uint8_t *e = attr_part(sent, PART_EXTENDED, &len), *g = attr_part(got, PART_EXTENDED, &there);
    for (uint16_t i = 0; i < len; i = (uint16_t)(i + 8))
        if (!(e[i] & 0x40)) { /* transitive over ASes */
            CU_ASSERT_TRUE(here + 8 <= there && !memcmp(g + here, e + i, 8));
            here = (uint16_t)(here + 8);
        }
    CU_ASSERT_EQUAL(here, there);
}

static void expect_next_hop(struct fixture *x, const struct session *s, const struct attr *got, enum family f)
{
    const struct nexthop *nh = nexthop_by_id(x->nexthops, got->nexthop);
    struct ip_addr theirs;
    addr_parse(f == FAM_IPV4 ? "10.0.0.1" : "2001:db8::1", &theirs);
    bool self = s->ebgp || s->x.nexthop_self;
    /* With a link-local address beside it, that is the one to use on the link (RFC 2545 section 3). */
    CU_ASSERT_TRUE(addr_equal(&nh->addr, self ? &s->x.nexthop[f] : &theirs) ||
                   (f == FAM_IPV6 && s->link_local && addr_equal(&nh->addr, &s->x.link_local)));
}

/* One message: the same prefixes from `at` on. Returns how many. */
static unsigned read_message(struct fixture *x, struct session *s, const struct attr *a, enum family f,
                             const struct routes *r, unsigned at, const uint8_t *m, size_t n)
{
    enum bgp_msg_type type;
    struct bgp_error e;
    size_t len;
    uint8_t *body = malloc(n); /* for the sanitizer, of just the size */
    memcpy(body, m, n);
    CU_ASSERT_EQUAL_FATAL(msg_header_decode(body, s->max_len, &type, &len, &e), 0);
    CU_ASSERT_TRUE_FATAL(type == BGP_UPDATE && len == n && n <= s->max_len);
    CU_ASSERT_EQUAL(update_decode(&s->ctx, body + BGP_HEADER_LEN, n - BGP_HEADER_LEN, &x->u), 0);
    CU_ASSERT_EQUAL_FATAL(x->u.action, UPDATE_OK);
    struct nlri_span span = a ? x->u.reach[f][f] : x->u.withdrawn[f][f];
    struct prefix p;
    uint32_t id;
    unsigned count = 0;
    for (; nlri_next_path(&span, f, s->add_path, &p, &id); count++)
        CU_ASSERT_TRUE(at + count < r->n && prefix_equal(&p, &r->prefix[at + count]) &&
                       id == (s->add_path ? r->id[at + count] : 0));
    if (a && s->ebgp)
        expect_external(x->u.attr[f][f], a);
    else if (a && !s->x.nexthop_self && !s->link_local)
        CU_ASSERT_PTR_EQUAL(x->u.attr[f][f], a); /* interned: all of it is the same */
    if (a)
        expect_next_hop(x, s, x->u.attr[f][f], f);
    update_release(&s->ctx, &x->u);
    free(body);
    return count;
}

static unsigned messages, extended;

static void round_trip(struct fixture *x)
{
    static uint8_t out[BGP_MAX_EXT_LEN];
    static struct routes r;
    static struct build o;
    struct session s = any_session(x);
    enum family f = (enum family)dice(2);
    any_routes(&r, f);
    const struct attr *a = dice(4) ? any_attributes(x, &o, f, s.max_len > BGP_MAX_LEN && dice(2)) : NULL;
    for (unsigned at = 0; at < r.n;) {
        struct wire_writer w = wire_writer(out, s.max_len);
        const uint32_t *ids = s.add_path ? r.id + at : NULL;
        unsigned n = a ? update_encode_reach_paths(&w, &s.x, x->attrs, a, f, r.prefix + at, ids, r.n - at)
                       : update_encode_unreach_paths(&w, &s.x, f, r.prefix + at, ids, r.n - at);
        if (!n && a && s.max_len == BGP_MAX_LEN) {
            CU_ASSERT_EQUAL(wire_len(&w), 0); /* attributes beyond a message: nothing, rather than a part */
            break;
        }
        CU_ASSERT_FATAL(n > 0);
        messages++;
        extended += wire_len(&w) > BGP_MAX_LEN;
        CU_ASSERT_EQUAL_FATAL(read_message(x, &s, a, f, &r, at, out, wire_len(&w)), n);
        at += n;
    }
    if (a)
        attr_unref(x->attrs, a);
}

static void updates_come_back_as_they_went(void)
{
    struct fixture x;
    fixture_open(&x, EBGP);
    seed(7);
    messages = extended = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t before = state;
        unsigned failures = CU_get_number_of_failures();
        round_trip(&x);
        if (CU_get_number_of_failures() != failures) {
            printf("      UNDERLAY_SEED=%u repeats it\n", before);
            break;
        }
    }
    CU_ASSERT_TRUE(messages > ROUNDS && extended > ROUNDS / 20); /* or the dice were loaded */
    fixture_close(&x);
}

static struct capabilities any_capabilities(void)
{
    struct capabilities c = {.has_multiprotocol = dice(4),
                             .route_refresh = dice(2),
                             .as4 = dice(3),
                             .extended_message = dice(2),
                             .enhanced_refresh = dice(2),
                             .graceful_restart = dice(2),
                             .long_lived_gr = dice(2),
                             .has_role = dice(2)};
    unsigned families = 1 + dice(3);
    for (enum family f = 0; f < FAM_COUNT; f++) {
        c.family[f] = c.has_multiprotocol && families >> f & 1;
        c.extended_nexthop[f] = f == FAM_IPV4 && dice(2); /* of IPv4 routes only */
        c.add_path[f] = (uint8_t)dice(4);
        c.gr_family[f] = c.graceful_restart && dice(2);
        c.gr_forwarding[f] = c.gr_family[f] && dice(2);
        c.llgr_family[f] = c.long_lived_gr && dice(2);
        c.llgr_forwarding[f] = c.llgr_family[f] && dice(2);
        c.llgr_stale_s[f] = c.llgr_family[f] ? dice(1 << 24) : 0;
    }
    c.gr_flags_time = c.graceful_restart ? (uint16_t)dice(65536) & 0xcfff : 0; /* two bits are reserved */
    c.role = c.has_role ? (uint8_t)dice(5) : 0;
    static const uint8_t names[] = "leaf-7.example.net";
    if (dice(2))
        c.hostname = (struct cap_text){names, (uint8_t)(1 + dice(sizeof names - 1))};
    return c;
}

static void expect_capabilities(struct capabilities got, struct capabilities sent)
{
    CU_ASSERT_EQUAL(got.hostname.len, sent.hostname.len);
    CU_ASSERT_TRUE(!got.hostname.len || !memcmp(got.hostname.p, sent.hostname.p, got.hostname.len));
    CU_ASSERT_TRUE(got.has_multiprotocol == sent.has_multiprotocol && got.as4 == sent.as4 &&
                   got.route_refresh == sent.route_refresh && got.enhanced_refresh == sent.enhanced_refresh &&
                   got.extended_message == sent.extended_message &&
                   got.graceful_restart == sent.graceful_restart && got.gr_flags_time == sent.gr_flags_time &&
                   got.long_lived_gr == sent.long_lived_gr && got.has_role == sent.has_role &&
                   got.role == sent.role && !got.role_conflict);
    CU_ASSERT_TRUE(!sent.as4 || got.asn == sent.asn);
    for (enum family f = 0; f < FAM_COUNT; f++)
        CU_ASSERT_TRUE(
            got.family[f] == sent.family[f] && got.add_path[f] == sent.add_path[f] &&
            got.extended_nexthop[f] == sent.extended_nexthop[f] && got.gr_family[f] == sent.gr_family[f] &&
            got.gr_forwarding[f] == sent.gr_forwarding[f] && got.llgr_family[f] == sent.llgr_family[f] &&
            got.llgr_forwarding[f] == sent.llgr_forwarding[f] && got.llgr_stale_s[f] == sent.llgr_stale_s[f]);
}

static void opens_come_back_as_they_went(void)
{
    static uint8_t out[BGP_MAX_LEN];
    seed(8);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct open_msg sent = {.hold_time = (uint16_t)(dice(4) ? 3 + dice(65000) : 0),
                                .id = 1 + dice(UINT32_MAX - 1),
                                .caps = any_capabilities()},
                        got;
        struct bgp_error e = {0};
        sent.asn = sent.caps.as4 && dice(2) ? 70000 + dice(4200000000u) : 1 + dice(65535);
        sent.my_as = (uint16_t)(sent.asn < 65536 ? sent.asn : BGP_AS_TRANS);
        sent.caps.asn = sent.caps.as4 ? sent.asn : 0;
        struct wire_writer w = wire_writer(out, sizeof out);
        open_encode(&w, &sent);
        CU_ASSERT_FATAL(!w.err);
        CU_ASSERT_EQUAL_FATAL(open_decode(out + BGP_HEADER_LEN, wire_len(&w) - BGP_HEADER_LEN, &got, &e), 0);
        CU_ASSERT_TRUE(got.asn == sent.asn && got.my_as == sent.my_as && got.id == sent.id &&
                       got.hold_time == sent.hold_time);
        expect_capabilities(got.caps, sent.caps);
    }
}

static const struct unit_case cases[] = {
    UNIT(updates_come_back_as_they_went),
    UNIT(opens_come_back_as_they_went),
};
UNIT_MAIN("update_property", cases)
