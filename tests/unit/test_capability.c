/* Capabilities: what is read, what is skipped, what is malformed, and what two sides have together. */
#include <errno.h>
#include <string.h>

#include "hex.h"
#include "unit.h"
#include "wire/capability.h"

static int decode(const char *text, struct capabilities *c)
{
    uint8_t b[128];
    size_t n = hex(text, b, sizeof b);
    return capabilities_decode(b, n, c);
}

static void multiprotocol_adds_up_and_skips_unknown_families(void)
{
    struct capabilities c = {0};
    CU_ASSERT_EQUAL(decode("01 04 0001 00 01", &c), 0);
    CU_ASSERT_TRUE(c.family[FAM_IPV4] && !c.family[FAM_IPV6]);
    CU_ASSERT_EQUAL(decode("01 04 0002 00 01  01 04 0019 00 46", &c), 0);
    CU_ASSERT_TRUE(c.family[FAM_IPV4] && c.family[FAM_IPV6]);
    struct capabilities d = {0};
    CU_ASSERT_EQUAL(decode("01 04 0001 00 80", &d), 0);
    CU_ASSERT_TRUE(d.has_multiprotocol && !d.family[FAM_IPV4] && !d.family[FAM_IPV6]);
}

static void unknown_capabilities_are_skipped(void)
{
    struct capabilities c = {0};
    CU_ASSERT_EQUAL(decode("80 00  c8 03 010203  02 00", &c), 0);
    CU_ASSERT_TRUE(c.route_refresh);
}

static void the_last_of_a_repeated_kind_counts(void)
{
    struct capabilities c = {0};
    CU_ASSERT_EQUAL(decode("41 04 00000001  41 04 00000002", &c), 0);
    CU_ASSERT_EQUAL(c.asn, 2);
    CU_ASSERT_EQUAL(decode("45 08 0001 01 03 0002 01 02  45 04 0002 01 01", &c), 0);
    CU_ASSERT_EQUAL(c.add_path[FAM_IPV4], 0);
    CU_ASSERT_EQUAL(c.add_path[FAM_IPV6], 1);
}

static void graceful_restart_is_read_per_family(void)
{
    struct capabilities c = {0};
    CU_ASSERT_EQUAL(decode("40 0a 8078 0001 01 00 0002 01 80", &c), 0);
    CU_ASSERT_TRUE(c.graceful_restart);
    CU_ASSERT_EQUAL(c.gr_flags_time, 0x8078);
    CU_ASSERT_TRUE(c.gr_family[FAM_IPV4] && !c.gr_forwarding[FAM_IPV4]);
    CU_ASSERT_TRUE(c.gr_family[FAM_IPV6] && c.gr_forwarding[FAM_IPV6]);
}

static void void_tuples_are_ignored(void)
{
    struct capabilities c = {0};
    CU_ASSERT_EQUAL(decode("45 04 0001 01 04", &c), 0); /* RFC 7911: not 1, 2, 3 */
    CU_ASSERT_EQUAL(c.add_path[FAM_IPV4], 0);
    CU_ASSERT_EQUAL(decode("05 0c 0001 0001 0001  0001 0001 0002", &c), 0);
    CU_ASSERT_TRUE(c.extended_nexthop[FAM_IPV4]);
    CU_ASSERT_EQUAL(decode("05 06 0001 0101 0002", &c), 0); /* SAFI 257 is not unicast */
    CU_ASSERT_FALSE(c.extended_nexthop[FAM_IPV4]);
}

static void lengths_that_cannot_be_are_malformed(void)
{
    static const char *const table[] = {
        "01",
        "01 04",
        "01 04 0001 00",
        "01 03 0001 00",
        "01 05 0001 00 01 00",
        "02 01 00",
        "41 02 fde9",
        "41 00",
        "05 05 0001 0001 00",
        "09 00",
        "09 02 0000",
        "40 01 00",
        "40 05 0078 0001 01",
        "45 03 0001 01",
        "46 01 00",
        "06 01 00",
        "47 06 0001 01 80 0001",
        "47 08 0001 01 80 000001 00",
        "02 00 80",
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct capabilities c = {0};
        if (decode(table[i], &c) != -EBADMSG)
            CU_FAIL(table[i]);
    }
}

static void what_is_false_is_not_written(void)
{
    uint8_t b[128];
    struct wire_writer w = wire_writer(b, sizeof b);
    struct capabilities none = {0};
    capabilities_encode(&w, &none);
    CU_ASSERT_EQUAL(wire_len(&w), 0);
    struct capabilities some = {.family = {true, true}, .as4 = true, .asn = 65001};
    capabilities_encode(&w, &some);
    uint8_t want[32];
    size_t n = hex("0104 0001 0001  0104 0002 0001  4104 0000 fde9", want, sizeof want);
    CU_ASSERT_EQUAL_FATAL(wire_len(&w), n);
    CU_ASSERT_EQUAL(memcmp(b, want, n), 0);
}

static void long_lived_graceful_restart_is_read_per_family(void)
{
    struct capabilities c = {0};
    CU_ASSERT_EQUAL(decode("47 15 0001 01 80 00003c  0002 01 00 ffffff  0019 46 80 000001", &c), 0);
    CU_ASSERT_TRUE(c.long_lived_gr);
    CU_ASSERT_TRUE(c.llgr_family[FAM_IPV4] && c.llgr_forwarding[FAM_IPV4]);
    CU_ASSERT_TRUE(c.llgr_family[FAM_IPV6] && !c.llgr_forwarding[FAM_IPV6]);
    CU_ASSERT_EQUAL(c.llgr_stale_s[FAM_IPV4], 60);
    CU_ASSERT_EQUAL(c.llgr_stale_s[FAM_IPV6], CAP_LLGR_STALE_MAX);
}

static void long_lived_graceful_restart_needs_the_short_one(void)
{
    struct capabilities ours = {.graceful_restart = true, .long_lived_gr = true, .llgr_family = {true, true}};
    struct capabilities theirs = {.long_lived_gr = true, .llgr_family = {true, false}, .llgr_stale_s = {60}};
    CU_ASSERT_FALSE(capabilities_negotiate(&ours, &theirs).long_lived_gr);
    theirs.graceful_restart = true;
    struct capabilities n = capabilities_negotiate(&ours, &theirs);
    CU_ASSERT_TRUE(n.long_lived_gr && n.llgr_family[FAM_IPV4] && !n.llgr_family[FAM_IPV6]);
    CU_ASSERT_EQUAL(n.llgr_stale_s[FAM_IPV4], 60);
}

static void a_stale_time_beyond_24_bits_is_cut(void)
{
    uint8_t b[16];
    struct wire_writer w = wire_writer(b, sizeof b);
    struct capabilities c = {.long_lived_gr = true,
                             .llgr_family = {true, false},
                             .llgr_stale_s = {UINT32_MAX, 0}},
                        out = {0};
    capabilities_encode(&w, &c);
    CU_ASSERT_EQUAL_FATAL(wire_len(&w), 9);
    CU_ASSERT_EQUAL(capabilities_decode(b, 9, &out), 0);
    CU_ASSERT_FALSE(out.llgr_forwarding[FAM_IPV4]);
    CU_ASSERT_EQUAL(out.llgr_stale_s[FAM_IPV4], CAP_LLGR_STALE_MAX);
}

static void hostname_and_domain_are_read_where_they_are_sound(void)
{
    static const struct {
        const char *bytes, *host, *domain;
    } table[] = {
        {"49 08 03 746f72 03 6c6162", "tor", "lab"},
        {"49 05 03 746f72 00", "tor", ""},
        {"49 04 03 746f72", "tor", ""}, /* the draft wants a length of the domain; some leave it away */
        {"49 06 03 746f72 03 6c", "tor", ""},
        {"49 02 00 00", "", ""},
        {"49 03 05 746f", NULL, NULL},
        {"49 00", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint8_t b[32];
        struct capabilities c = {0};
        CU_ASSERT_EQUAL(capabilities_decode(b, hex(table[i].bytes, b, sizeof b), &c), 0);
        CU_ASSERT_EQUAL(c.hostname.p != NULL, table[i].host != NULL);
        if (!table[i].host)
            continue;
        CU_ASSERT_EQUAL_FATAL(c.hostname.len, strlen(table[i].host));
        CU_ASSERT_EQUAL(memcmp(c.hostname.p, table[i].host, c.hostname.len), 0);
        CU_ASSERT_EQUAL_FATAL(c.domain.len, strlen(table[i].domain));
        CU_ASSERT_TRUE(!c.domain.len || !memcmp(c.domain.p, table[i].domain, c.domain.len));
    }
}

static void a_role_that_contradicts_an_earlier_one_is_noted(void)
{
    struct capabilities same = {0}, other = {0};
    CU_ASSERT_EQUAL(decode("09 01 03  09 01 03", &same), 0);
    CU_ASSERT_TRUE(same.has_role && !same.role_conflict);
    CU_ASSERT_EQUAL(decode("09 01 03  09 01 04  09 01 04", &other), 0);
    CU_ASSERT_TRUE(other.role_conflict);
}

static void ipv4_is_implied_where_nothing_is_said(void)
{
    struct capabilities silent = {0}, both = {.has_multiprotocol = true, .family = {true, true}};
    struct capabilities six = {.has_multiprotocol = true, .family = {false, true}};
    struct capabilities n = capabilities_negotiate(&both, &silent);
    CU_ASSERT_TRUE(n.family[FAM_IPV4] && !n.family[FAM_IPV6]);
    n = capabilities_negotiate(&six, &silent);
    CU_ASSERT_TRUE(!n.family[FAM_IPV4] && !n.family[FAM_IPV6]);
    n = capabilities_negotiate(&both, &six);
    CU_ASSERT_TRUE(!n.family[FAM_IPV4] && n.family[FAM_IPV6]);
}

static void a_capability_needs_both_sides(void)
{
    struct capabilities ours = {.as4 = true, .asn = 1, .route_refresh = true, .add_path = {1, 3}};
    struct capabilities theirs = {.as4 = true, .asn = 2, .add_path = {1, 2}};
    struct capabilities n = capabilities_negotiate(&ours, &theirs);
    CU_ASSERT_TRUE(n.as4);
    CU_ASSERT_EQUAL(n.asn, 2);
    CU_ASSERT_FALSE(n.route_refresh);
    CU_ASSERT_EQUAL(n.add_path[FAM_IPV4], 0); /* both only receive */
    CU_ASSERT_EQUAL(n.add_path[FAM_IPV6], 1); /* they send, we receive */
}

static const struct unit_case cases[] = {
    UNIT(multiprotocol_adds_up_and_skips_unknown_families),
    UNIT(unknown_capabilities_are_skipped),
    UNIT(the_last_of_a_repeated_kind_counts),
    UNIT(graceful_restart_is_read_per_family),
    UNIT(void_tuples_are_ignored),
    UNIT(lengths_that_cannot_be_are_malformed),
    UNIT(what_is_false_is_not_written),
    UNIT(long_lived_graceful_restart_is_read_per_family),
    UNIT(long_lived_graceful_restart_needs_the_short_one),
    UNIT(a_stale_time_beyond_24_bits_is_cut),
    UNIT(hostname_and_domain_are_read_where_they_are_sound),
    UNIT(a_role_that_contradicts_an_earlier_one_is_noted),
    UNIT(ipv4_is_implied_where_nothing_is_said),
    UNIT(a_capability_needs_both_sides),
};
UNIT_MAIN("capability", cases)
