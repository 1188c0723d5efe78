/* Decoding UPDATEs: one row for each rule of RFC 7606 (and those of RFC 4271, 4760, 6793, 7607 behind it)
 * with the action and the error it asks for; then what a good message yields. */
#include <errno.h>

#include "update_fixture.h"

#define ORIGIN_ "400101 00 "
#define PATH    "400206 0201 0000fde9 "
#define HOP     "400304 0a000001 "
#define GOOD    ORIGIN_ PATH HOP
#define IPATH   "400200 "
#define IGOOD   ORIGIN_ IPATH HOP "400504 00000064 "
#define OPATH   "400204 0201 fde9 "
#define OGOOD   ORIGIN_ OPATH HOP
#define NLRI    "18 0a0100"
#define HOP6    "10 20010db8 00000000 00000000 00000001 00 "
#define NLRI6   "20 20010db8 "
#define REACH6  "800e1a 0002 01 " HOP6 NLRI6

struct rule {
    const char *why;
    enum peer_kind peer;
    const char *attrs, *nlri;
    enum update_action action;
    uint8_t subcode, bad;
};

static void check_rules(const struct rule *r, size_t n)
{
    struct fixture x;
    fixture_open(&x, EBGP);
    for (size_t i = 0; i < n; i++) {
        fixture_peer(&x, r[i].peer);
        CU_ASSERT_EQUAL(fixture_decode(&x, "", r[i].attrs, r[i].nlri), 0);
        bool ok = x.u.action == r[i].action && x.u.error.subcode == r[i].subcode &&
                  x.u.bad_attr == r[i].bad && x.u.error.code == (r[i].action ? BGP_ERR_UPDATE : 0);
        for (int f = 0; f < 2; f++)
            for (int k = 0; k < 2; k++) {
                bool routes = x.u.reach[f][k].len > 0;
                ok &= !(routes && r[i].action == UPDATE_RESET);
                ok &= !!x.u.attr[f][k] == (routes && r[i].action < UPDATE_TREAT_AS_WITHDRAW);
            }
        if (!ok) {
            printf("      %s: action %d subcode %u attribute %u\n", r[i].why, x.u.action, x.u.error.subcode,
                   x.u.bad_attr);
            CU_FAIL("rule");
        }
    }
    fixture_close(&x);
}
#define CHECK(rules) check_rules(rules, sizeof rules / sizeof *rules)

#define OK       UPDATE_OK
#define DISCARD  UPDATE_ATTR_DISCARD
#define WITHDRAW UPDATE_TREAT_AS_WITHDRAW
#define RESET    UPDATE_RESET
enum { LIST = 1, UNKNOWN, MISSING, FLAGS, LENGTH, ORIGIN, NEXT_HOP = 8, OPTIONAL, NETWORK, AS_PATH };

static void good_messages_pass(void)
{
    static const struct rule rules[] = {
        {"ebgp", EBGP, GOOD, NLRI, OK, 0, 0},
        {"ibgp", IBGP, IGOOD, NLRI, OK, 0, 0},
        {"ibgp without LOCAL_PREF", IBGP, ORIGIN_ IPATH HOP, NLRI, OK, 0, 0},
        {"two-octet ASNs", OLD_EBGP, OGOOD, NLRI, OK, 0, 0},
        {"no NLRI", EBGP, GOOD, "", OK, 0, 0},
        {"default route", EBGP, GOOD, "00", OK, 0, 0},
        {"host bits set", EBGP, GOOD, "07 ff", OK, 0, 0},
        {"extended length where not needed", EBGP, "50010001 00" PATH HOP, NLRI, OK, 0, 0},
        {"partial and low flag bits are ignored", EBGP, "6f0101 00" PATH HOP, NLRI, OK, 0, 0},
        {"any order", EBGP, HOP PATH ORIGIN_, NLRI, OK, 0, 0},
        {"IPv6", EBGP, REACH6 ORIGIN_ PATH, "", OK, 0, 0},
        {"IPv6 last", EBGP, ORIGIN_ PATH REACH6, "", OK, 0, 0},
        {"IPv6, NEXT_HOP ignored", EBGP, REACH6 ORIGIN_ PATH "400304 00000000", "", OK, 0, 0},
        {"both families", EBGP, REACH6 GOOD, NLRI, OK, 0, 0},
        {"IPv4 in MP_REACH", EBGP, ORIGIN_ PATH "800e0d 0001 01 04 0a000001 00 18 0a0100", "", OK, 0, 0},
        {"global and link-local", EBGP,
         ORIGIN_ PATH
         "800e2a 0002 01 20 20010db8000000000000000000000001 fe800000000000000000000000000001 00" NLRI6,
         "", OK, 0, 0},
        {"a family not negotiated", EBGP, ORIGIN_ PATH "800e0b 0019 46 04 0a000001 00 ffff", "", OK, 0, 0},
        {"unknown optional", EBGP, GOOD "c06302 abcd 806402 abcd", NLRI, OK, 0, 0},
        {"unknown optional, empty", EBGP, GOOD "c06300", NLRI, OK, 0, 0},
    };
    CHECK(rules);
}

static void the_frame_is_checked(void)
{
    static const struct {
        const char *body;
        uint8_t subcode;
    } rows[] = {
        {"", LIST},
        {"0000", LIST},
        {"0000 00", LIST},
        {"0001 0000", LIST}, /* withdrawn routes beyond the end */
        {"0000 0001", LIST}, /* attributes beyond the end */
        {"0000 ffff 400101 00", LIST},
        {"0002 1801 0000", NETWORK}, /* RFC 7606 3 i: a withdrawn prefix cut off */
        {"0005 2101020304 0000", NETWORK},
    };
    struct fixture x;
    fixture_open(&x, EBGP);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        x.len = hex(rows[i].body, x.body, sizeof x.body);
        CU_ASSERT_EQUAL(update_decode(&x.ctx, x.body, x.len, &x.u), 0);
        CU_ASSERT_EQUAL(x.u.action, UPDATE_RESET);
        CU_ASSERT_EQUAL(x.u.error.code, BGP_ERR_UPDATE);
        CU_ASSERT_EQUAL(x.u.error.subcode, rows[i].subcode);
    }
    fixture_close(&x);
}

static void rfc7606_section_3_general_rules(void)
{
    static const struct rule rules[] = {
        {"3c ORIGIN optional", EBGP, "c00101 00" PATH HOP, NLRI, WITHDRAW, FLAGS, 1},
        {"3c ORIGIN not transitive", EBGP, "000101 00" PATH HOP, NLRI, WITHDRAW, FLAGS, 1},
        {"3c AS_PATH", EBGP, ORIGIN_ "800206 0201 0000fde9" HOP, NLRI, WITHDRAW, FLAGS, 2},
        {"3c NEXT_HOP", EBGP, ORIGIN_ PATH "c00304 0a000001", NLRI, WITHDRAW, FLAGS, 3},
        {"3c MED transitive", EBGP, GOOD "c00404 00000001", NLRI, WITHDRAW, FLAGS, 4},
        {"3c LOCAL_PREF", IBGP, ORIGIN_ IPATH HOP "c00504 00000064", NLRI, WITHDRAW, FLAGS, 5},
        {"3f ATOMIC_AGGREGATE", EBGP, GOOD "c00600", NLRI, DISCARD, FLAGS, 6},
        {"3f AGGREGATOR", EBGP, GOOD "400708 0000fde9 0a000001", NLRI, DISCARD, FLAGS, 7},
        {"3c communities", EBGP, GOOD "800804 fde90001", NLRI, WITHDRAW, FLAGS, 8},
        {"3c ORIGINATOR_ID", IBGP, IGOOD "c00904 0a000001", NLRI, WITHDRAW, FLAGS, 9},
        {"3c CLUSTER_LIST", IBGP, IGOOD "c00a04 0a000001", NLRI, WITHDRAW, FLAGS, 10},
        {"3c extended communities", EBGP, GOOD "801008 0002fde900000001", NLRI, WITHDRAW, FLAGS, 16},
        {"3c large communities", EBGP, GOOD "80200c 000000010000000100000001", NLRI, WITHDRAW, FLAGS, 32},
        {"3d no ORIGIN", EBGP, PATH HOP, NLRI, WITHDRAW, MISSING, 1},
        {"3d no AS_PATH", EBGP, ORIGIN_ HOP, NLRI, WITHDRAW, MISSING, 2},
        {"3d no NEXT_HOP", EBGP, ORIGIN_ PATH, NLRI, WITHDRAW, MISSING, 3},
        {"3d no ORIGIN with MP_REACH", EBGP, REACH6 PATH, "", WITHDRAW, MISSING, 1},
        {"3d nothing but MP_REACH", EBGP, REACH6, "", WITHDRAW, MISSING, 1},
        {"3d nothing but NLRI", EBGP, "", NLRI, WITHDRAW, MISSING, 1},
        {"3g MP_REACH twice", EBGP, REACH6 REACH6 ORIGIN_ PATH, "", RESET, LIST, 14},
        {"3g MP_UNREACH twice", EBGP, "800f03 000201 800f03 000201", "", RESET, LIST, 15},
        {"3g ORIGIN twice", EBGP, GOOD ORIGIN_, NLRI, DISCARD, LIST, 1},
        {"3g the second is not looked at", EBGP, GOOD "400101 ff", NLRI, DISCARD, LIST, 1},
        {"3g unknown twice", EBGP, GOOD "c06301 01 c06301 02", NLRI, DISCARD, LIST, 99},
        {"3h the strongest wins", EBGP, "400101 07" PATH HOP "400601 00", NLRI, WITHDRAW, ORIGIN, 1},
        {"3h the strongest wins, the other way round", EBGP, "400601 00 400101 07" PATH HOP, NLRI, WITHDRAW,
         ORIGIN, 1},
        {"3h the first of a kind is told", EBGP, "400101 07 400203 020100" HOP, NLRI, WITHDRAW, ORIGIN, 1},
        {"3h reset over withdraw", EBGP, "400101 07" PATH HOP "40c801 00", NLRI, RESET, UNKNOWN, 200},
        {"unknown well-known", EBGP, GOOD "40c801 00", NLRI, RESET, UNKNOWN, 200},
        {"unknown well-known, not transitive", EBGP, GOOD "000b01 00", NLRI, RESET, UNKNOWN, 11},
    };
    CHECK(rules);
}

static void rfc7606_section_4_attribute_lengths(void)
{
    static const struct rule rules[] = {
        {"the last attribute overruns", EBGP, GOOD "800405 00000001", NLRI, WITHDRAW, LENGTH, 4},
        {"with the extended length", EBGP, GOOD "900400ff 00000001", NLRI, WITHDRAW, LENGTH, 4},
        {"one octet left", EBGP, GOOD "80", NLRI, WITHDRAW, LIST, 0},
        {"two octets left", EBGP, GOOD "8004", NLRI, WITHDRAW, LIST, 0},
        {"three where four are needed", EBGP, GOOD "900400", NLRI, WITHDRAW, LIST, 0},
        {"MP_REACH overruns: its NLRI is lost", EBGP, GOOD "800e40 0002 01", NLRI, RESET, LENGTH, 14},
        {"MP_UNREACH overruns", EBGP, GOOD "800f04 0002 01", NLRI, RESET, LENGTH, 15},
        {"empty ORIGIN", EBGP, "400100" PATH HOP, NLRI, WITHDRAW, LENGTH, 1},
        {"empty communities", EBGP, GOOD "c00800", NLRI, WITHDRAW, LENGTH, 8},
        {"empty CLUSTER_LIST", IBGP, IGOOD "800a00", NLRI, WITHDRAW, LENGTH, 10},
        {"empty extended communities", EBGP, GOOD "c01000", NLRI, WITHDRAW, LENGTH, 16},
        {"empty large communities", EBGP, GOOD "c02000", NLRI, WITHDRAW, LENGTH, 32},
    };
    CHECK(rules);
}

static void rfc7606_section_5_nlri(void)
{
    static const struct rule rules[] = {
        {"5.2 an error and no routes", EBGP, "400101 07" PATH HOP, "", RESET, ORIGIN, 1},
        {"5.2 but a discard is harmless", EBGP, GOOD "400601 00", "", DISCARD, LENGTH, 6},
        {"5.2 an overrun and no routes", EBGP, GOOD "800405 00000001", "", RESET, LENGTH, 4},
        {"5.2 an error beside MP_UNREACH alone", EBGP, "800f03 000201 400101 07", "", RESET, ORIGIN, 1},
        {"5.2 an error with routes in MP_REACH", EBGP, REACH6 "400101 07" PATH, "", WITHDRAW, ORIGIN, 1},
        {"5.3 longer than 32", EBGP, GOOD "", "21 0a000000 00", RESET, NETWORK, 0},
        {"5.3 cut off", EBGP, GOOD "", "18 0a00", RESET, NETWORK, 0},
        {"5.3 the second one cut off", EBGP, GOOD "", "18 0a0000 08", RESET, NETWORK, 0},
        {"5.3 IPv6 longer than 128", EBGP,
         ORIGIN_ PATH "800e27 0002 01" HOP6 "81 20010db800000000000000000000000000", "", RESET, OPTIONAL, 14},
        {"5.3 IPv6 cut off", EBGP, ORIGIN_ PATH "800e19 0002 01" HOP6 "20 20010d", "", RESET, OPTIONAL, 14},
        {"5.3 IPv4 in MP_REACH longer than 32", EBGP,
         ORIGIN_ PATH "800e0f 0001 01 04 0a000001 00 28 0a00000000", "", RESET, OPTIONAL, 14},
        {"5.3 MP_REACH flags", EBGP, ORIGIN_ PATH "c00e1a 0002 01" HOP6 NLRI6, "", RESET, FLAGS, 14},
        {"5.3 MP_UNREACH flags", EBGP, "400f03 0002 01", "", RESET, FLAGS, 15},
        {"5.3 MP_REACH below 5", EBGP, "800e04 0002 01 00", "", RESET, LENGTH, 14},
        {"5.3 MP_UNREACH below 3", EBGP, "800f02 0002", "", RESET, LENGTH, 15},
        {"5.3 MP_UNREACH longer than 128", EBGP, "800f05 0002 01 ff 00", "", RESET, OPTIONAL, 15},
        {"5.3 MP_UNREACH cut off", EBGP, "800f06 0002 01 20 2001", "", RESET, OPTIONAL, 15},
    };
    CHECK(rules);
}

static void rfc7606_section_7_values(void)
{
    static const struct rule rules[] = {
        {"7.1 ORIGIN length", EBGP, "400102 0000" PATH HOP, NLRI, WITHDRAW, LENGTH, 1},
        {"7.1 ORIGIN value", EBGP, "400101 03" PATH HOP, NLRI, WITHDRAW, ORIGIN, 1},
        {"7.2 segment type", EBGP, ORIGIN_ "400206 0501 0000fde9" HOP, NLRI, WITHDRAW, AS_PATH, 2},
        {"7.2 segment type 0", EBGP, ORIGIN_ "400206 0001 0000fde9" HOP, NLRI, WITHDRAW, AS_PATH, 2},
        {"7.2 overrun", EBGP, ORIGIN_ "400206 0202 0000fde9" HOP, NLRI, WITHDRAW, AS_PATH, 2},
        {"7.2 underrun", EBGP, ORIGIN_ "400207 0201 0000fde9 02" HOP, NLRI, WITHDRAW, AS_PATH, 2},
        {"7.2 empty segment", EBGP, ORIGIN_ "400208 0201 0000fde9 0200" HOP, NLRI, WITHDRAW, AS_PATH, 2},
        {"7.2 confederation segment", EBGP, ORIGIN_ "40020c 0301 0000fde9 0201 0000fde9" HOP, NLRI, WITHDRAW,
         AS_PATH, 2},
        {"7.2 confederation segment in iBGP, no confederation configured", IBGP,
         ORIGIN_ "400206 0301 0000fde9" HOP, NLRI, WITHDRAW, AS_PATH, 2},
        {"7.2 not the peer's AS first", EBGP, ORIGIN_ "400206 0201 0000fdea" HOP, NLRI, WITHDRAW, AS_PATH, 2},
        {"7.2 empty path from eBGP", EBGP, ORIGIN_ "400200" HOP, NLRI, WITHDRAW, AS_PATH, 2},
        {"7.2 another AS first is fine in iBGP", IBGP, ORIGIN_ "400206 0201 0000fdea" HOP, NLRI, OK, 0, 0},
        {"RFC 7607 AS 0", EBGP, ORIGIN_ "40020a 0202 0000fde9 00000000" HOP, NLRI, WITHDRAW, AS_PATH, 2},
        {"RFC 7607 AS 0 in two octets", OLD_EBGP, ORIGIN_ "400206 0202 fde9 0000" HOP, NLRI, WITHDRAW,
         AS_PATH, 2},
        {"two-octet path from a four-octet peer", EBGP, ORIGIN_ OPATH HOP, NLRI, WITHDRAW, AS_PATH, 2},
        {"four-octet path from a two-octet peer", OLD_EBGP, ORIGIN_ PATH HOP, NLRI, WITHDRAW, AS_PATH, 2},
        {"7.3 NEXT_HOP length", EBGP, ORIGIN_ PATH "400303 0a0000", NLRI, WITHDRAW, LENGTH, 3},
        {"7.3 NEXT_HOP of 16", EBGP, ORIGIN_ PATH "400310 20010db8000000000000000000000001", NLRI, WITHDRAW,
         LENGTH, 3},
        {"NEXT_HOP 0.0.0.0", EBGP, ORIGIN_ PATH "400304 00000000", NLRI, WITHDRAW, NEXT_HOP, 3},
        {"NEXT_HOP 127.0.0.1", EBGP, ORIGIN_ PATH "400304 7f000001", NLRI, WITHDRAW, NEXT_HOP, 3},
        {"NEXT_HOP 224.0.0.1", EBGP, ORIGIN_ PATH "400304 e0000001", NLRI, WITHDRAW, NEXT_HOP, 3},
        {"NEXT_HOP 255.255.255.255", EBGP, ORIGIN_ PATH "400304 ffffffff", NLRI, WITHDRAW, NEXT_HOP, 3},
        {"7.4 MED length", EBGP, GOOD "800403 000001", NLRI, WITHDRAW, LENGTH, 4},
        {"7.5 LOCAL_PREF from eBGP", EBGP, GOOD "400504 00000064", NLRI, DISCARD, LIST, 5},
        {"7.5 even of a wrong length", EBGP, GOOD "400501 00", NLRI, DISCARD, LIST, 5},
        {"7.5 LOCAL_PREF length", IBGP, ORIGIN_ IPATH HOP "400505 0000006400", NLRI, WITHDRAW, LENGTH, 5},
        {"7.6 ATOMIC_AGGREGATE length", EBGP, GOOD "400601 00", NLRI, DISCARD, LENGTH, 6},
        {"7.7 AGGREGATOR of 6 from a four-octet peer", EBGP, GOOD "c00706 fde9 0a000001", NLRI, DISCARD,
         LENGTH, 7},
        {"7.7 AGGREGATOR of 8 from a two-octet peer", OLD_EBGP, OGOOD "c00708 0000fde9 0a000001", NLRI,
         DISCARD, LENGTH, 7},
        {"7.7 AGGREGATOR of 7", EBGP, GOOD "c00707 fde9 0a000001 00", NLRI, DISCARD, LENGTH, 7},
        {"RFC 7607 AGGREGATOR AS 0", EBGP, GOOD "c00708 00000000 0a000001", NLRI, DISCARD, OPTIONAL, 7},
        {"7.8 communities length", EBGP, GOOD "c00805 fde9000100", NLRI, WITHDRAW, LENGTH, 8},
        {"7.9 ORIGINATOR_ID from eBGP", EBGP, GOOD "800904 0a000001", NLRI, DISCARD, LIST, 9},
        {"7.9 ORIGINATOR_ID length", IBGP, IGOOD "800905 0a00000100", NLRI, WITHDRAW, LENGTH, 9},
        {"7.10 CLUSTER_LIST from eBGP", EBGP, GOOD "800a04 0a000001", NLRI, DISCARD, LIST, 10},
        {"7.10 CLUSTER_LIST length", IBGP, IGOOD "800a06 0a0000010000", NLRI, WITHDRAW, LENGTH, 10},
        {"7.14 extended communities length", EBGP, GOOD "c01007 0002fde9000000", NLRI, WITHDRAW, LENGTH, 16},
        {"RFC 8092 large communities length", EBGP, GOOD "c0200d 00000001000000010000000100", NLRI, WITHDRAW,
         LENGTH, 32},
        {"RFC 6793 AS4_PATH from a four-octet peer", EBGP, GOOD "c01106 0201 000186a0", NLRI, DISCARD, LIST,
         17},
        {"RFC 6793 AS4_AGGREGATOR from a four-octet peer", EBGP, GOOD "c01208 000186a0 0a000001", NLRI,
         DISCARD, LIST, 18},
        {"RFC 6793 AS4_PATH too short", OLD_EBGP, OGOOD "c01104 0201 fde9", NLRI, DISCARD, LENGTH, 17},
        {"RFC 6793 AS4_PATH odd", OLD_EBGP, OGOOD "c01107 0201 000186a0 00", NLRI, DISCARD, LENGTH, 17},
        {"RFC 6793 AS4_PATH overrun", OLD_EBGP, OGOOD "c01106 0202 000186a0", NLRI, DISCARD, OPTIONAL, 17},
        {"RFC 6793 AS4_PATH segment type", OLD_EBGP, OGOOD "c01106 0701 000186a0", NLRI, DISCARD, OPTIONAL,
         17},
        {"RFC 7607 AS4_PATH AS 0", OLD_EBGP, OGOOD "c01106 0201 00000000", NLRI, DISCARD, OPTIONAL, 17},
        {"RFC 6793 AS4_AGGREGATOR length", OLD_EBGP, OGOOD "c01206 fde9 0a000001", NLRI, DISCARD, LENGTH, 18},
        {"RFC 7607 AS4_AGGREGATOR AS 0", OLD_EBGP, OGOOD "c01208 00000000 0a000001", NLRI, DISCARD, OPTIONAL,
         18},
    };
    CHECK(rules);
}

static void rfc7606_7_11_next_hop_of_mp_reach(void)
{
    static const struct rule rules[] = {
        {"of 0", EBGP, ORIGIN_ PATH "800e0a 0002 01 00 00" NLRI6, "", RESET, OPTIONAL, 14},
        {"of 4", EBGP, ORIGIN_ PATH "800e0e 0002 01 04 0a000001 00" NLRI6, "", RESET, OPTIONAL, 14},
        {"of 24 (with RD)", EBGP,
         ORIGIN_ PATH "800e22 0002 01 18 0000000000000000 20010db8000000000000000000000001 00" NLRI6, "",
         RESET, OPTIONAL, 14},
        {"of 48 (with RDs)", EBGP,
         ORIGIN_ PATH "800e3a 0002 01 30 0000000000000000 20010db8000000000000000000000001 0000000000000000 "
                      "fe800000000000000000000000000001 00" NLRI6,
         "", RESET, OPTIONAL, 14},
        {"of 255, which is not there", EBGP, ORIGIN_ PATH "800e0a 0002 01 ff 00" NLRI6, "", RESET, OPTIONAL,
         14},
        {"no room for the reserved octet", EBGP, ORIGIN_ PATH "800e05 0002 01 01 00", "", RESET, OPTIONAL,
         14},
        {"of 16 for IPv4, RFC 8950 not negotiated", EBGP, ORIGIN_ PATH "800e19 0001 01" HOP6 "18 0a0100", "",
         RESET, OPTIONAL, 14},
        {"unspecified", EBGP, ORIGIN_ PATH "800e1a 0002 01 10 00000000000000000000000000000000 00" NLRI6, "",
         WITHDRAW, OPTIONAL, 14},
        {"loopback", EBGP, ORIGIN_ PATH "800e1a 0002 01 10 00000000000000000000000000000001 00" NLRI6, "",
         WITHDRAW, OPTIONAL, 14},
        {"multicast", EBGP, ORIGIN_ PATH "800e1a 0002 01 10 ff020000000000000000000000000001 00" NLRI6, "",
         WITHDRAW, OPTIONAL, 14},
        {"IPv4 multicast", EBGP, ORIGIN_ PATH "800e0d 0001 01 04 e0000001 00 18 0a0100", "", WITHDRAW,
         OPTIONAL, 14},
    };
    CHECK(rules);
}

static void the_error_carries_the_attribute(void)
{
    struct fixture x;
    uint8_t want[16];
    fixture_open(&x, EBGP);
    fixture_decode(&x, "", GOOD "40c803 010203", NLRI);
    size_t n = hex("40c803 010203", want, sizeof want);
    CU_ASSERT_EQUAL(x.u.error.len, n);
    CU_ASSERT_EQUAL(memcmp(x.u.error.data, want, n), 0);
    fixture_decode(&x, "", ORIGIN_ PATH, NLRI);
    CU_ASSERT_EQUAL(x.u.error.len, 1);
    CU_ASSERT_EQUAL(x.u.error.data[0], 3); /* RFC 4271 6.3: the type that is missing */
    fixture_close(&x);
}

static unsigned prefixes(struct nlri_span s, enum family f, char *last)
{
    struct prefix p;
    unsigned n = 0;
    for (; nlri_next(&s, f, &p); n++)
        prefix_format(&p, last);
    return n;
}

static void spans_and_attributes_come_out(void)
{
    struct fixture x;
    char text[PREFIX_STRLEN];
    fixture_open(&x, EBGP);
    CU_ASSERT_EQUAL(fixture_decode(&x, "08 0b 00", REACH6 GOOD "800404 00000007 800f08 0002 01 20 20010db9",
                                   "0c ac1f 18 0a0100"),
                    0);
    CU_ASSERT_EQUAL(x.u.action, UPDATE_OK);
    CU_ASSERT_EQUAL(prefixes(x.u.withdrawn[FAM_IPV4][0], FAM_IPV4, text), 2);
    CU_ASSERT_STRING_EQUAL(text, "0.0.0.0/0");
    CU_ASSERT_EQUAL(prefixes(x.u.reach[FAM_IPV4][0], FAM_IPV4, text), 2);
    CU_ASSERT_STRING_EQUAL(text, "10.1.0.0/24");
    x.u.reach[FAM_IPV4][0].len = 3;
    CU_ASSERT_EQUAL(prefixes(x.u.reach[FAM_IPV4][0], FAM_IPV4, text), 1);
    CU_ASSERT_STRING_EQUAL(text, "172.16.0.0/12"); /* host bits masked */
    CU_ASSERT_EQUAL(prefixes(x.u.reach[FAM_IPV6][1], FAM_IPV6, text), 1);
    CU_ASSERT_STRING_EQUAL(text, "2001:db8::/32");
    CU_ASSERT_EQUAL(prefixes(x.u.withdrawn[FAM_IPV6][1], FAM_IPV6, text), 1);
    CU_ASSERT_STRING_EQUAL(text, "2001:db9::/32");
    const struct attr *four = x.u.attr[FAM_IPV4][0], *six = x.u.attr[FAM_IPV6][1];
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(four, NULL);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(six, NULL);
    CU_ASSERT_EQUAL(four->med, 7);
    CU_ASSERT_EQUAL(six->med, 7);
    CU_ASSERT_EQUAL(nexthop_by_id(x.nexthops, four->nexthop)->addr.af, AF_INET);
    CU_ASSERT_EQUAL(nexthop_by_id(x.nexthops, six->nexthop)->addr.af, AF_INET6);
    fixture_close(&x);
}

static void next_hops_of_ipv6_are_picked(void)
{
    static const struct {
        const char *mp;
        const char *text; /* NULL: treat as withdraw */
        uint32_t scope;   /* of the session */
    } rows[] = {
        {"800e1a 0002 01" HOP6 NLRI6, "2001:db8::1", 0},
        {"800e2a 0002 01 20 20010db8000000000000000000000001 fe800000000000000000000000000002 00" NLRI6,
         "2001:db8::1", 2},
        {"800e2a 0002 01 20 00000000000000000000000000000000 fe800000000000000000000000000002 00" NLRI6,
         "fe80::2", 2},
        {"800e2a 0002 01 20 fe800000000000000000000000000001 fe800000000000000000000000000002 00" NLRI6,
         "fe80::2", 2},
        {"800e1a 0002 01 10 fe800000000000000000000000000001 00" NLRI6, "fe80::1", 2},
        {"800e1a 0002 01 10 fe800000000000000000000000000001 00" NLRI6, NULL, 0},
    };
    struct fixture x;
    fixture_open(&x, EBGP);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char attrs[512], text[ADDR_STRLEN];
        snprintf(attrs, sizeof attrs, "%s%s", rows[i].mp, ORIGIN_ PATH);
        x.ctx.scope = rows[i].scope;
        fixture_decode(&x, "", attrs, "");
        CU_ASSERT_EQUAL(x.u.action, rows[i].text ? UPDATE_OK : UPDATE_TREAT_AS_WITHDRAW);
        if (!rows[i].text)
            continue;
        const struct nexthop *nh = nexthop_by_id(x.nexthops, x.u.attr[FAM_IPV6][1]->nexthop);
        CU_ASSERT_STRING_EQUAL(addr_format(&nh->addr, text), rows[i].text);
        CU_ASSERT_EQUAL(nh->scope, addr_is_link_local(&nh->addr) ? rows[i].scope : 0);
    }
    fixture_close(&x);
}

#define GLOBAL " 20010db8000000000000000000000001 "
#define LOCAL  " fe800000000000000000000000000002 "
#define VOID_  " 00000000000000000000000000000000 "

/* RFC 8950 section 3: the length says which family the next hop is of. */
static void ipv4_may_have_an_ipv6_next_hop_where_agreed(void)
{
    static const struct {
        const char *mp;
        const char *text; /* of the next hop; NULL: the action says it all */
        bool agreed, link_local;
        enum update_action action;
    } rows[] = {
        {"800e19 0001 01" HOP6 "18 0a0100", "2001:db8::1", true, false, UPDATE_OK},
        {"800e19 0001 01" HOP6 "18 0a0100", NULL, false, false, UPDATE_RESET},
        {"800e29 0001 01 20" GLOBAL LOCAL "00 18 0a0100", "2001:db8::1", true, false, UPDATE_OK},
        {"800e29 0001 01 20" GLOBAL LOCAL "00 18 0a0100", "fe80::2", true, true, UPDATE_OK},
        {"800e29 0001 01 20" LOCAL LOCAL "00 18 0a0100", "fe80::2", true, true, UPDATE_OK},
        {"800e29 0001 01 20" VOID_ LOCAL "00 18 0a0100", "fe80::2", true, true, UPDATE_OK},
        {"800e19 0001 01 10" LOCAL "00 18 0a0100", "fe80::2", true, true, UPDATE_OK},
        {"800e29 0001 01 20" GLOBAL VOID_ "00 18 0a0100", "2001:db8::1", true, true, UPDATE_OK},
        {"800e0d 0001 01 04 0a000001 00 18 0a0100", "10.0.0.1", true, true, UPDATE_OK},
        {"800e19 0001 01 10" VOID_ "00 18 0a0100", NULL, true, true, UPDATE_TREAT_AS_WITHDRAW},
        {"800e29 0001 01 20" VOID_ VOID_ "00 18 0a0100", NULL, true, true, UPDATE_TREAT_AS_WITHDRAW},
        {"800e21 0001 01 18" GLOBAL "0000000000000000 00 18 0a0100", NULL, true, true,
         UPDATE_RESET}, /* VPN */
        {"800e09 0001 01 00 00 18 0a0100", NULL, true, true, UPDATE_RESET},
        {"800e0d 0002 01 04 0a000001 00 18 200101", NULL, true, true,
         UPDATE_RESET}, /* not the other way round */
    };
    struct fixture x;
    fixture_open(&x, EBGP);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char attrs[512], text[ADDR_STRLEN];
        snprintf(attrs, sizeof attrs, "%s%s", rows[i].mp, ORIGIN_ PATH);
        x.ctx.extended_nexthop = rows[i].agreed;
        x.ctx.link_local = rows[i].link_local;
        fixture_decode(&x, "", attrs, "");
        CU_ASSERT_EQUAL(x.u.action, rows[i].action);
        if (!rows[i].text || x.u.action != UPDATE_OK)
            continue;
        const struct nexthop *nh = nexthop_by_id(x.nexthops, x.u.attr[FAM_IPV4][1]->nexthop);
        CU_ASSERT_STRING_EQUAL(addr_format(&nh->addr, text), rows[i].text);
        CU_ASSERT_EQUAL(nh->scope, nh->addr.af == AF_INET6 && addr_is_link_local(&nh->addr) ? 2 : 0);
    }
    fixture_close(&x);
}

/* The privileged process takes a scope with link-local IPv6 only, and ends a speaker that says otherwise. */
static void an_ipv4_link_local_next_hop_has_no_scope(void)
{
    struct fixture x;
    fixture_open(&x, EBGP);
    fixture_decode(&x, "", ORIGIN_ PATH "400304 a9fe0101", NLRI);
    CU_ASSERT_EQUAL_FATAL(x.u.action, UPDATE_OK);
    CU_ASSERT_EQUAL(nexthop_by_id(x.nexthops, x.u.attr[FAM_IPV4][0]->nexthop)->scope, 0);
    fixture_close(&x);
}

static void end_of_rib_is_told_from_empty_messages(void)
{
    static const struct {
        const char *withdrawn, *attrs, *nlri;
        bool eor[FAM_COUNT];
    } rows[] = {
        {"", "", "", {true, false}},
        {"", "800f03 0002 01", "", {false, true}},
        {"", "900f0003 0002 01", "", {false, true}},
        {"", "800f03 0001 01", "", {true, false}},
        {"", "800f08 0002 01 20 20010db8", "", {false, false}},
        {"08 0a", "", "", {false, false}},
        {"08 0a", "800f03 0002 01", "", {false, false}},
        {"", GOOD, "", {false, false}},
        {"", "800f03 0002 01" GOOD, NLRI, {false, false}},
        {"", "800f03 0019 46", "", {false, false}},
    };
    struct fixture x;
    fixture_open(&x, EBGP);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CU_ASSERT_EQUAL(fixture_decode(&x, rows[i].withdrawn, rows[i].attrs, rows[i].nlri), 0);
        CU_ASSERT_EQUAL(x.u.action, UPDATE_OK);
        CU_ASSERT_EQUAL(x.u.eor[FAM_IPV4], rows[i].eor[FAM_IPV4]);
        CU_ASSERT_EQUAL(x.u.eor[FAM_IPV6], rows[i].eor[FAM_IPV6]);
    }
    fixture_close(&x);
}

static void routes_of_families_not_negotiated_are_ignored(void)
{
    struct fixture x;
    fixture_open(&x, EBGP);
    x.ctx.family[FAM_IPV6] = false;
    fixture_decode(&x, "", REACH6 GOOD, NLRI);
    CU_ASSERT_EQUAL(x.u.action, UPDATE_OK);
    CU_ASSERT_EQUAL(x.u.reach[FAM_IPV6][1].len, 0);
    CU_ASSERT_PTR_NULL(x.u.attr[FAM_IPV6][1]);
    CU_ASSERT_PTR_NOT_NULL(x.u.attr[FAM_IPV4][0]);
    x.ctx.family[FAM_IPV4] = false;
    x.ctx.family[FAM_IPV6] = true;
    fixture_decode(&x, "08 0a", REACH6 GOOD, NLRI);
    CU_ASSERT_EQUAL(x.u.action, UPDATE_OK);
    CU_ASSERT_EQUAL(x.u.reach[FAM_IPV4][0].len, 0);
    CU_ASSERT_EQUAL(x.u.withdrawn[FAM_IPV4][0].len, 0);
    CU_ASSERT_PTR_NOT_NULL(x.u.attr[FAM_IPV6][1]);
    fixture_close(&x);
}

static void unknown_transitive_attributes_are_kept_with_partial(void)
{
    struct fixture x;
    uint8_t want[32];
    uint16_t len;
    fixture_open(&x, EBGP);
    fixture_decode(&x, "", GOOD "d0640001 07 c06302 abcd 806502 0000", NLRI);
    CU_ASSERT_EQUAL(x.u.action, UPDATE_OK);
    const uint8_t *p = attr_part(x.u.attr[FAM_IPV4][0], PART_UNKNOWN, &len);
    size_t n = hex("e0 63 0002 abcd  e0 64 0001 07", want, sizeof want);
    CU_ASSERT_EQUAL_FATAL(len, n);
    CU_ASSERT_EQUAL(memcmp(p, want, n), 0);
    fixture_close(&x);
}

/* RFC 6793 4.2.3. */
static void as4_paths_are_merged(void)
{
    static const struct {
        const char *attrs, *path;
        uint32_t aggregator;
    } rows[] = {
        {OPATH, "65001", 0},
        {"400206 0202 fde9 5ba0 c01106 0201 000186a0", "65001 100000", 0},
        {"400208 0203 fde9 5ba0 5ba0 c0110a 0202 000186a0 000186a1", "65001 100000 100001", 0},
        {"400206 0202 fde9 5ba0 c0110a 0202 0000fde9 000186a0", "65001 100000", 0},
        {"400204 0201 fde9 c0110a 0202 000186a0 000186a1", "65001", 0}, /* AS4_PATH longer: ignored */
        {"40020a 0202 fde9 fdea 0101 5ba0 c01106 0101 000186a0", "65001 65002 {100000}", 0},
        {"40020c 0201 fde9 0103 0001 0002 0003 c01106 0201 000186a0", "65001 100000", 0},
        {"40020e 0201 fde9 0102 0001 0002 0201 5ba0 c01106 0201 000186a0", "65001 {1,2} 100000", 0},
        {"400206 0202 fde9 5ba0 c0110c 0301 00000005 0201 000186a0", "65001 100000",
         0}, /* confederation left out, and told */
        {"400206 0202 fde9 5ba0 c00706 5ba0 0a000001 c01106 0201 000186a0 c01208 000186a0 0a000002",
         "65001 100000", 100000},
        {"400206 0202 fde9 5ba0 c00706 fdea 0a000001 c01106 0201 000186a0 c01208 000186a0 0a000002",
         "65001 23456", 65002}, /* aggregated by a two-octet speaker since */
        {"400206 0202 fde9 5ba0 c01106 0201 000186a0 c01208 000186a0 0a000002", "65001 100000", 0},
    };
    struct fixture x;
    fixture_open(&x, OLD_EBGP);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char attrs[512], text[64];
        snprintf(attrs, sizeof attrs, "%s%s", ORIGIN_ HOP, rows[i].attrs);
        fixture_decode(&x, "", attrs, NLRI);
        bool confed = strstr(rows[i].attrs, "0301");
        CU_ASSERT_EQUAL_FATAL(x.u.action, confed ? UPDATE_ATTR_DISCARD : UPDATE_OK);
        const struct attr *a = x.u.attr[FAM_IPV4][0];
        attr_format_as_path(a, text, sizeof text);
        CU_ASSERT_STRING_EQUAL(text, rows[i].path);
        CU_ASSERT_EQUAL(a->aggregator_as, rows[i].aggregator);
    }
    fixture_close(&x);
}

static void confederation_segments_pass_where_configured(void)
{
    struct fixture x;
    fixture_open(&x, IBGP);
    x.ctx.confederation = true;
    fixture_decode(&x, "", ORIGIN_ "40020c 0301 0000fde9 0201 0000fdea" HOP, NLRI);
    CU_ASSERT_EQUAL(x.u.action, UPDATE_OK);
    CU_ASSERT_TRUE(x.u.attr[FAM_IPV4][0]->flags & ATTR_PATH_HAS_CONFED);
    fixture_close(&x);
}

static void the_cache_gives_what_parsing_gives(void)
{
    static const struct {
        const char *attrs, *nlri;
    } rows[] = {
        {GOOD, NLRI},
        {GOOD, "18 0a0200"},
        {GOOD "800404 00000001", NLRI},
        {REACH6 ORIGIN_ PATH, ""},
        {"800e1a 0002 01 10 20010db8 00000000 00000000 00000002 00 20 20010db8" ORIGIN_ PATH, ""},
        {ORIGIN_ "800e15 0002 01" HOP6 PATH, ""}, /* MP_REACH without routes */
        {GOOD "800e15 0002 01" HOP6, NLRI},       /* beside classic ones */
        {REACH6 GOOD, NLRI},
        {REACH6 GOOD, ""},
        {GOOD, ""},
        {"400101 07" PATH HOP, NLRI},
        {GOOD "800f08 0002 01 20 20010db8", NLRI},
    };
    struct fixture x, plain;
    fixture_open(&x, EBGP);
    fixture_open(&plain, EBGP);
    x.ctx.cache = update_cache_new(1); /* everything meets in one slot */
    CU_ASSERT_PTR_NOT_NULL_FATAL(x.ctx.cache);
    enum { N = sizeof rows / sizeof *rows };
    for (unsigned i = 0; i < N * N * 2; i++) {
        unsigned row = i & 1 ? i / 2 / N : i / 2 % N;
        fixture_decode(&x, "", rows[row].attrs, rows[row].nlri);
        fixture_decode(&plain, "", rows[row].attrs, rows[row].nlri);
        CU_ASSERT_EQUAL(x.u.action, plain.u.action);
        for (int k = 0; k < 4; k++) {
            const struct attr *a = x.u.attr[k / 2][k % 2], *b = plain.u.attr[k / 2][k % 2];
            CU_ASSERT_EQUAL_FATAL(!a, !b);
            if (!a)
                continue;
            const struct nexthop *ha = nexthop_by_id(x.nexthops, a->nexthop);
            const struct nexthop *hb = nexthop_by_id(plain.nexthops, b->nexthop);
            CU_ASSERT_TRUE(addr_equal(&ha->addr, &hb->addr));
            CU_ASSERT_EQUAL(a->med, b->med);
            CU_ASSERT_EQUAL(a->path_len, b->path_len);
        }
    }
    fixture_close(&plain);
    fixture_close(&x);
}

static void out_of_memory_costs_the_session_only(void)
{
    struct fixture x;
    fixture_open(&x, EBGP);
    for (uint32_t id = 1; id < FAKE_NEXTHOPS; id++) /* the table of next hops is full: interning fails */
        x.nexthops->at[id].refs = 1;
    x.nexthops->limit = FAKE_NEXTHOPS - 1;
    CU_ASSERT_EQUAL(fixture_decode(&x, "08 0a", GOOD, NLRI), -ENOMEM);
    CU_ASSERT_EQUAL(x.u.action, UPDATE_RESET);
    CU_ASSERT_EQUAL(x.u.error.code, BGP_ERR_CEASE);
    CU_ASSERT_EQUAL(x.u.error.subcode, BGP_CEASE_RESOURCES);
    CU_ASSERT_EQUAL(x.u.reach[FAM_IPV4][0].len + x.u.withdrawn[FAM_IPV4][0].len, 0);
    x.nexthops->limit = 0;
    fixture_close(&x);
}

/* RFC 7911 section 3: in every place where NLRI can be, and where one is wrong nobody knows what was meant.
 */
static void path_identifiers_are_part_of_nlri(void)
{
    static const struct {
        const char *withdrawn, *attrs, *nlri;
        enum update_action action;
        unsigned n[4]; /* withdrawn, its MP_UNREACH; announced, its MP_REACH */
        uint32_t id;   /* of all */
    } rows[] = {
        {"00000007 18 0a0100 00000007 00", "", "", UPDATE_OK, {2, 0, 0, 0}, 7},
        {"", GOOD, "00000007 18 0a0100 00000007 10 0a02", UPDATE_OK, {0, 0, 2, 0}, 7},
        {"", ORIGIN_ PATH "800e1e 0002 01 " HOP6 "00000007 " NLRI6, "", UPDATE_OK, {0, 0, 0, 1}, 7},
        {"", "800f0b 0002 01 00000007 18 20010d", "", UPDATE_OK, {0, 1, 0, 0}, 7},
        {"18 0a0100", "", "", UPDATE_RESET, {0}, 0}, /* without one */
        {"", GOOD, "18 0a0100", UPDATE_RESET, {0}, 0},
        {"", ORIGIN_ PATH REACH6, "", UPDATE_RESET, {0}, 0},
        {"", "800f07 0002 01 18 20010d", "", UPDATE_RESET, {0}, 0},
        {"", GOOD, "00000007", UPDATE_RESET, {0}, 0},
        {"", GOOD, "00000007 21 0a01000000", UPDATE_RESET, {0}, 0},
    };
    struct fixture x;
    fixture_open(&x, EBGP);
    x.ctx.add_path[FAM_IPV4] = x.ctx.add_path[FAM_IPV6] = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CU_ASSERT_EQUAL(fixture_decode(&x, rows[i].withdrawn, rows[i].attrs, rows[i].nlri), 0);
        CU_ASSERT_EQUAL(x.u.action, rows[i].action);
        struct nlri_span spans[4] = {x.u.withdrawn[FAM_IPV4][0], x.u.withdrawn[FAM_IPV6][1],
                                     x.u.reach[FAM_IPV4][0], x.u.reach[FAM_IPV6][1]};
        for (unsigned k = 0; k < 4; k++) {
            struct prefix p;
            uint32_t id;
            unsigned n = 0;
            for (; nlri_next_path(&spans[k], k & 1 ? FAM_IPV6 : FAM_IPV4, true, &p, &id); n++)
                CU_ASSERT_EQUAL(id, rows[i].id);
            CU_ASSERT_EQUAL(n, rows[i].n[k]);
        }
    }
    /* One direction or family alone. */
    x.ctx.add_path[FAM_IPV6] = false;
    fixture_decode(&x, "00000001 08 0a", ORIGIN_ PATH REACH6, "");
    CU_ASSERT_EQUAL(x.u.action, UPDATE_OK);
    fixture_close(&x);
}

static const struct unit_case cases[] = {
    UNIT(good_messages_pass),
    UNIT(the_frame_is_checked),
    UNIT(rfc7606_section_3_general_rules),
    UNIT(rfc7606_section_4_attribute_lengths),
    UNIT(rfc7606_section_5_nlri),
    UNIT(rfc7606_section_7_values),
    UNIT(rfc7606_7_11_next_hop_of_mp_reach),
    UNIT(the_error_carries_the_attribute),
    UNIT(spans_and_attributes_come_out),
    UNIT(path_identifiers_are_part_of_nlri),
    UNIT(next_hops_of_ipv6_are_picked),
    UNIT(ipv4_may_have_an_ipv6_next_hop_where_agreed),
    UNIT(an_ipv4_link_local_next_hop_has_no_scope),
    UNIT(end_of_rib_is_told_from_empty_messages),
    UNIT(routes_of_families_not_negotiated_are_ignored),
    UNIT(unknown_transitive_attributes_are_kept_with_partial),
    UNIT(as4_paths_are_merged),
    UNIT(confederation_segments_pass_where_configured),
    UNIT(the_cache_gives_what_parsing_gives),
    UNIT(out_of_memory_costs_the_session_only),
};
UNIT_MAIN("update", cases)
