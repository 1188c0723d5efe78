/* Router advertisements and solicitations: what is read, what must be discarded (RFC 4861 6.1.1, 6.1.2), what
 * we say. */
#include "ra.h"

#include <errno.h>
#include <string.h>

#include "hex.h"
#include "unit.h"

#define ADVERT "86 00 1234 40 c0 0708 00007530 000003e8"

static int decode(const char *text, struct ra_msg *m)
{
    uint8_t b[256];
    size_t n = hex(text, b, sizeof b);
    return ra_decode(b, n, m);
}

static void an_advertisement_is_read_with_its_options(void)
{
    struct ra_msg m;
    CU_ASSERT_EQUAL(decode(ADVERT " 01 01 020304050607 05 01 0000 000005dc", &m), 0);
    CU_ASSERT_EQUAL(m.type, RA_ADVERTISEMENT);
    CU_ASSERT_EQUAL(m.hop_limit, 64);
    CU_ASSERT_EQUAL(m.flags, 0xc0);
    CU_ASSERT_EQUAL(m.lifetime, 1800);
    CU_ASSERT_EQUAL(m.reachable_ms, 30000);
    CU_ASSERT_EQUAL(m.retrans_ms, 1000);
    CU_ASSERT_TRUE(m.has_lladdr);
    CU_ASSERT_EQUAL(memcmp(m.lladdr, "\2\3\4\5\6\7", 6), 0);
    CU_ASSERT_EQUAL(m.mtu, 1500);
    CU_ASSERT_EQUAL(decode(ADVERT, &m), 0);
    CU_ASSERT_FALSE(m.has_lladdr);
    CU_ASSERT_EQUAL(m.mtu, 0);
}

static void options_that_we_do_not_know_are_skipped(void)
{
    static const char *const table[] = {
        ADVERT
        " 03 04 40c00000ffff0000ffff00000000 fd000000000000000000000000000000", /* prefix information */
        ADVERT " 19 03 000000000708 20010db8000000000000000000000001",          /* RDNSS */
        ADVERT " fd 01 000000000000",                                           /* experimental */
        ADVERT " 01 02 0203040506070809101112131415",                           /* of another medium */
        "85 00 0000 00000000",
        "85 00 0000 ffffffff 01 01 020304050607", /* "the contents of the Reserved field … MUST be ignored" */
    };
    struct ra_msg m;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        CU_ASSERT_EQUAL(decode(table[i], &m), 0);
    CU_ASSERT_EQUAL(m.type, RA_SOLICITATION);
    CU_ASSERT_TRUE(m.has_lladdr);
}

static void malformed_messages_are_discarded(void)
{
    static const char *const table[] = {
        "",
        "86",
        "86 00 0000",
        "86 00 1234 40 c0 0708 00007530 000003",   /* 15 octets */
        "86 01 1234 40 c0 0708 00007530 000003e8", /* code */
        "85 00 0000 000000",                       /* 7 octets */
        "85 01 0000 00000000",                     /* code */
        ADVERT " 01",                              /* an option without a length */
        ADVERT " 01 00",                           /* of no length */
        ADVERT " 01 00 020304050607",              /* the same, with what looks like a value */
        ADVERT " 01 01 0203040506",                /* cut off */
        ADVERT " 01 01 020304050607 05 02 0000 000005dc",
        ADVERT " fd ff 0000",
        ADVERT " 01 01 020304050607 00 00 000000000000",
        "85 00 0000 00000000 01 00",
    };
    struct ra_msg m;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        CU_ASSERT_EQUAL(decode(table[i], &m), -EBADMSG);
}

static void every_truncation_is_either_whole_or_discarded(void)
{
    uint8_t b[64];
    struct ra_msg m;
    size_t n = hex(ADVERT " 01 01 020304050607 05 01 0000 000005dc", b, sizeof b);
    for (size_t i = 0; i < n; i++)
        CU_ASSERT_EQUAL(ra_decode(b, i, &m), i == 16 || i == 24 ? 0 : -EBADMSG);
}

static void other_types_are_told_apart(void)
{
    struct ra_msg m;
    CU_ASSERT_EQUAL(decode("87 00 0000 00000000", &m), -ENOMSG); /* neighbor solicitation */
    CU_ASSERT_EQUAL(decode("80 00", &m), -ENOMSG);
}

static void the_packet_around_it_counts_too(void)
{
    static const struct {
        enum ra_type type;
        bool lladdr;
        const char *from;
        int hops;
        bool valid;
    } rows[] = {
        {RA_ADVERTISEMENT, true, "fe80::1", 255, true},
        {RA_ADVERTISEMENT, true, "fe80::1", 254, false}, /* a router has forwarded it */
        {RA_ADVERTISEMENT, true, "fe80::1", 64, false},
        {RA_ADVERTISEMENT, true, "fd00::1", 255, false},
        {RA_ADVERTISEMENT, false, "::", 255, false},
        {RA_ADVERTISEMENT, false, "169.254.0.1", 255, false},
        {RA_SOLICITATION, true, "fe80::1", 255, true},
        {RA_SOLICITATION, true, "fd00::1", 255, true},
        {RA_SOLICITATION, false, "::", 255, true},
        {RA_SOLICITATION, true, "::", 255, false},
        {RA_SOLICITATION, true, "fe80::1", 1, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ra_msg m = {.type = rows[i].type, .has_lladdr = rows[i].lladdr};
        struct ip_addr a;
        CU_ASSERT_EQUAL_FATAL(addr_parse(rows[i].from, &a), 0);
        CU_ASSERT_EQUAL(ra_packet_is_valid(&m, &a, rows[i].hops), rows[i].valid);
    }
}

static void what_is_written_is_read_again(void)
{
    const struct ra_msg rows[] = {
        {.type = RA_ADVERTISEMENT},
        {.type = RA_ADVERTISEMENT,
         .hop_limit = 64,
         .flags = 0x40,
         .lifetime = 30,
         .reachable_ms = 1,
         .retrans_ms = 2,
         .has_lladdr = true,
         .lladdr = {2, 3, 4, 5, 6, 7},
         .mtu = 9000},
        {.type = RA_SOLICITATION, .has_lladdr = true, .lladdr = {2, 3, 4, 5, 6, 7}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t b[RA_MAX];
        struct ra_msg m;
        size_t n = ra_encode(&rows[i], b, sizeof b);
        CU_ASSERT_TRUE(n >= 8 && n % 8 == 0);
        CU_ASSERT_EQUAL(ra_decode(b, n, &m), 0);
        CU_ASSERT_EQUAL(m.type, rows[i].type);
        CU_ASSERT_EQUAL(m.lifetime, rows[i].lifetime);
        CU_ASSERT_EQUAL(m.has_lladdr, rows[i].has_lladdr);
        CU_ASSERT_EQUAL(memcmp(m.lladdr, rows[i].lladdr, 6), 0);
        CU_ASSERT_EQUAL(m.mtu, rows[i].mtu);
        CU_ASSERT_EQUAL(ra_encode(&rows[i], b, n - 1), 0);
    }
}

static const struct unit_case cases[] = {
    UNIT(an_advertisement_is_read_with_its_options),
    UNIT(options_that_we_do_not_know_are_skipped),
    UNIT(malformed_messages_are_discarded),
    UNIT(every_truncation_is_either_whole_or_discarded),
    UNIT(other_types_are_told_apart),
    UNIT(the_packet_around_it_counts_too),
    UNIT(what_is_written_is_read_again),
};
UNIT_MAIN("ra", cases)
