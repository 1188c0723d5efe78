/* Messages as text: what people see of each kind, and that no bytes, however broken, do more than look odd.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"
#include "unit.h"
#include "wire/format.h"

static size_t message(uint8_t type, const uint8_t *body, size_t n, uint8_t *out)
{
    memset(out, 0xff, 16);
    n += BGP_HEADER_LEN;
    out[16] = (uint8_t)(n >> 8);
    out[17] = (uint8_t)n;
    out[18] = type;
    if (n > BGP_HEADER_LEN)
        memcpy(out + BGP_HEADER_LEN, body, n - BGP_HEADER_LEN);
    return n;
}

static void expect(const struct msg_format_ctx *ctx, uint8_t type, const uint8_t *body, size_t n,
                   const char *text, int rc)
{
    uint8_t msg[8192];
    char buf[MSG_FORMAT_SIZE];
    size_t len = message(type, body, n, msg);
    CU_ASSERT_EQUAL(msg_format(msg, len, ctx, buf, sizeof buf), rc);
    if (strcmp(buf, text))
        printf("      `%s`\n  not `%s`\n", buf, text);
    CU_ASSERT_STRING_EQUAL(buf, text);
}

static const struct msg_format_ctx four = {.as4 = true};

static void short_messages_have_all_in_one_line(void)
{
    static const struct {
        uint8_t type;
        const char *body, *text;
        int rc;
    } rows[] = {
        {4, "", "KEEPALIVE", 0},
        {4, "00", "KEEPALIVE, malformed body: 00", -EBADMSG},
        {5, "0001 00 01", "ROUTE-REFRESH request ipv4 unicast", 0},
        {5, "0002 01 01", "ROUTE-REFRESH begin ipv6 unicast", 0},
        {5, "0019 07 46", "ROUTE-REFRESH subtype 7 afi 25 safi 70", 0},
        {5, "000100", "ROUTE-REFRESH malformed body: 000100", -EBADMSG},
        {3, "0601 0001 01 00000064",
         "NOTIFICATION 6/1 Cease/Maximum Number of Prefixes Reached, data 00010100000064", 0},
        {3, "0602 03 627965", "NOTIFICATION 6/2 Cease/Administrative Shutdown, message \"bye\"", 0},
        {3, "0602 03 620a65", "NOTIFICATION 6/2 Cease/Administrative Shutdown, message \"b?e\"", 0},
        {3, "06", "NOTIFICATION malformed body: 06", -EBADMSG},
        {9, "0a0b", "type 9, malformed type: 0a0b", -EBADMSG},
    };
    uint8_t body[64];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(&four, rows[i].type, body, hex(rows[i].body, body, sizeof body), rows[i].text, rows[i].rc);
}

static void open_shows_every_capability(void)
{
    static const struct {
        const char *capabilities, *text;
        int rc;
    } rows[] = {
        {"010400010001", ", multiprotocol ipv4 unicast", 0},
        {"0104 0019 00 46", ", multiprotocol afi 25 safi 70", 0},
        {"0200 4600 0600 8000",
         ", route-refresh, enhanced-route-refresh, extended-message, route-refresh-old", 0},
        {"4104 fa56ea01", ", 4-octet-as 4200000001", 0},
        {"4101 01", ", 4-octet-as malformed value: 01", -EBADMSG},
        {"4006 c078 0001 01 80",
         ", graceful-restart time 120s restarting notification ipv4 unicast forwarding", 0},
        {"4508 00010103 00020102", ", add-path ipv4 unicast both ipv6 unicast send", 0},
        {"0506 0001 0001 0002", ", extended-nexthop ipv4 unicast over afi 2", 0},
        {"4707 0001 01 80 000e10", ", long-lived-graceful-restart ipv4 unicast forwarding time 3600s", 0},
        {"090103", ", role customer", 0},
        {"090109", ", role 9", 0},
        {"4908 03746f72 036c0a62", ", fqdn tor.l?b", 0},
        {"4902 0574", ", fqdn malformed value: 0574", -EBADMSG},
        {"6302 abcd", ", capability 99 abcd", 0},
        {"4104", ", malformed capability: 4104", -EBADMSG},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t body[300] = {4, 0xfd, 0xe9, 0, 9, 10, 0, 0, 1};
        char text[400];
        size_t n = hex(rows[i].capabilities, body + 12, 200);
        body[9] = (uint8_t)(n + 2);
        body[10] = 2;
        body[11] = (uint8_t)n;
        snprintf(text, sizeof text, "OPEN version 4, my-as 65001, hold-time 9, id 10.0.0.1%s", rows[i].text);
        expect(&four, BGP_OPEN, body, 12 + n, text, rows[i].rc);
    }
}

static void open_shows_its_parameters(void)
{
    static const struct {
        const char *parameters, *text;
        int rc;
    } rows[] = {
        {"00", "", 0},
        {"ff ff 0009 02 0006 010400010001", ", extended parameters, multiprotocol ipv4 unicast",
         0},                                                         /* RFC 9072 */
        {"0a 0108 7365637265742121", ", parameter 1 of 8 bytes", 0}, /* an authentication is not shown */
        {"03 0701 aa", ", parameter 7 aa", 0},
        {"04 0204 4104", ", malformed parameter: 02044104", -EBADMSG},
        {"09 0202", ", malformed parameters length: 0202", -EBADMSG},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t body[300] = {4, 0xfd, 0xe9, 0, 9, 10, 0, 0, 1};
        char text[400];
        size_t n = hex(rows[i].parameters, body + 9, 200);
        snprintf(text, sizeof text, "OPEN version 4, my-as 65001, hold-time 9, id 10.0.0.1%s", rows[i].text);
        expect(&four, BGP_OPEN, body, 9 + n, text, rows[i].rc);
    }
    expect(&four, BGP_OPEN, (uint8_t[]){4, 1}, 2, "OPEN malformed body: 0401", -EBADMSG);
}

static size_t update(const char *withdrawn, const char *attributes, const char *nlri, uint8_t *body)
{
    size_t w = hex(withdrawn, body + 2, 1000), a = hex(attributes, body + 4 + w, 2000);
    wire_set_u16(body, (uint16_t)w);
    wire_set_u16(body + 2 + w, (uint16_t)a);
    return 4 + w + a + hex(nlri, body + 4 + w + a, 1000);
}

#define V6 "fd000000000000000000000000000001"
#define LL "fe800000000000000000000000000001"

static void update_shows_attributes_and_routes(void)
{
    static const struct {
        const char *withdrawn, *attributes, *nlri, *text;
        int rc;
    } rows[] = {
        {"", "", "", "End-of-RIB ipv4 unicast", 0},
        {"", "800f03 000201", "", "End-of-RIB ipv6 unicast", 0},
        {"", "900f0003 000201", "", "End-of-RIB ipv6 unicast", 0},
        {"180a0100", "", "", "withdraw ipv4 unicast 10.1.0.0/24", 0},
        {"180a0100", "400101 00", "", "withdraw ipv4 unicast 10.1.0.0/24, origin igp", 0},
        {"", "400101 00 400206 0201 0000fde9 400304 0a000001 800404 00000005", "180a0100 00",
         "origin igp, as-path 65001, next-hop 10.0.0.1, med 5, reach ipv4 unicast 10.1.0.0/24 0.0.0.0/0", 0},
        {"", "400200 400504 00000064 400600", "", "as-path empty, local-pref 100, atomic-aggregate", 0},
        {"", "400210 0102 00000001 00000002 0301 00000003", "", "as-path {1 2} (3)", 0},
        {"", "400206 0202 00000001", "", "as-path malformed value: 020200000001", -EBADMSG},
        {"", "400206 0701 00000001", "", "as-path malformed value: 070100000001", -EBADMSG},
        {"", "c00708 0000fde9 0a000001 e01106 0201 fa56ea01", "",
         "aggregator 65001 10.0.0.1, as4-path (partial) 4200000001", 0},
        {"", "c00808 fde80064 ffffff01 c02008", "",
         "communities 65000:100 65535:65281, malformed attribute: c02008", -EBADMSG},
        {"", "c0200c 000000010000000200000003 c01008 4004fde849742400", "",
         "large-communities 1:2:3, extended-communities 4004fde849742400", 0},
        {"", "800904 0a000001 800a08 0a0000020a000003", "",
         "originator-id 10.0.0.1, cluster-list 10.0.0.2 10.0.0.3", 0},
        {"", "c02304 0000fde9", "", "otc 65001", 0},
        {"", "c00101 00", "", "origin (flags c0) igp", 0},
        {"", "400101 05", "", "origin malformed value: 05", -EBADMSG},
        {"", "c06302 abcd", "", "attribute 99 flags c0 abcd", 0},
        {"", "800e2c 0002 01 20" V6 LL "00 30fd0100000000", "",
         "reach ipv6 unicast next-hop fd00::1 fe80::1 fd01::/48", 0},
        {"", "800e19 0001 01 10" V6 "00 180a0100", "", "reach ipv4 unicast next-hop fd00::1 10.1.0.0/24", 0},
        {"", "800e0b 0019 46 04 0a000001 00 0102", "", "reach afi 25 safi 70 next-hop 10.0.0.1 0102", 0},
        {"", "800f0a 0002 01 30fd0100000000", "", "withdraw ipv6 unicast fd01::/48", 0},
        {"", "800e04 00020120", "", "reach malformed value: 00020120", -EBADMSG},
        {"", "", "180a0100 21 0a", "reach ipv4 unicast 10.1.0.0/24 malformed prefix: 210a", -EBADMSG},
        {"", "", "180a01ff 180a", "reach ipv4 unicast 10.1.255.0/24 malformed prefix: 180a", -EBADMSG},
        {"", "", "080a 080b 080c 080d 080e 080f 0810 0811",
         "reach ipv4 unicast 10.0.0.0/8 11.0.0.0/8 12.0.0.0/8 13.0.0.0/8 14.0.0.0/8 15.0.0.0/8 (+2 more)", 0},
    };
    uint8_t body[4096];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[400];
        size_t n = update(rows[i].withdrawn, rows[i].attributes, rows[i].nlri, body);
        snprintf(text, sizeof text, "UPDATE %s", rows[i].text);
        expect(&four, BGP_UPDATE, body, n, text, rows[i].rc);
    }
    expect(&four, BGP_UPDATE, (uint8_t[]){0, 9, 0, 0}, 4, "UPDATE malformed lengths: 00090000", -EBADMSG);
}

static void context_says_how_numbers_and_routes_are_written(void)
{
    const struct msg_format_ctx old = {0}, ids = {.as4 = true, .add_path = {true, false}};
    uint8_t body[256];
    size_t n = update("", "400206 0202 fde9 fdea c00706 fde9 0a000001", "080a", body);
    expect(&old, BGP_UPDATE, body, n,
           "UPDATE as-path 65001 65002, aggregator 65001 10.0.0.1, reach ipv4 unicast 10.0.0.0/8", 0);
    n = update("00000007 080a", "", "00000001 080b 0000", body);
    expect(&ids, BGP_UPDATE, body, n,
           "UPDATE withdraw ipv4 unicast 10.0.0.0/8 id 7, reach ipv4 unicast 11.0.0.0/8 id 1 malformed "
           "prefix: 0000",
           -EBADMSG);
}

static void frame_is_checked(void)
{
    uint8_t msg[64];
    char buf[MSG_FORMAT_SIZE];
    size_t n = message(BGP_KEEPALIVE, NULL, 0, msg);
    CU_ASSERT_EQUAL(msg_format(msg, 3, &four, buf, sizeof buf), -EBADMSG);
    CU_ASSERT_STRING_EQUAL(buf, "malformed header: ffffff");
    msg[2] = 0;
    CU_ASSERT_EQUAL(msg_format(msg, n, &four, buf, sizeof buf), -EBADMSG);
    CU_ASSERT_STRING_EQUAL(buf, "malformed marker: ffff00ffffffffffffffffffffffffff, KEEPALIVE");
    msg[2] = 0xff;
    msg[17] = 20;
    CU_ASSERT_EQUAL(msg_format(msg, n, &four, buf, sizeof buf), -EBADMSG);
    CU_ASSERT_STRING_EQUAL(buf, "malformed length 20 of 19 bytes, KEEPALIVE");
}

/* Every size of the buffer: always terminated, never beyond, and cut text says so. */
static void text_is_cut_at_the_buffer(void)
{
    uint8_t body[64], msg[128];
    char whole[MSG_FORMAT_SIZE], buf[MSG_FORMAT_SIZE];
    size_t n = message(BGP_UPDATE, body, update("", "400101 00 400304 0a000001", "180a0100", body), msg);
    msg_format(msg, n, &four, whole, sizeof whole);
    size_t len = strlen(whole);
    for (size_t size = 1; size <= len + 2; size++) {
        memset(buf, '#', sizeof buf);
        msg_format(msg, n, &four, buf, size);
        CU_ASSERT_TRUE(strlen(buf) < size);
        CU_ASSERT_EQUAL(buf[size], '#');
        if (size > 4 && size <= len)
            CU_ASSERT_STRING_EQUAL(buf + size - 4, "...");
        if (size > len)
            CU_ASSERT_STRING_EQUAL(buf, whole);
    }
}

/* Random damage to a sound message, in memory of just its size: a read past the end is a sanitizer's find. */
static void no_bytes_do_harm(void)
{
    uint8_t body[4096], sound[5000];
    char buf[MSG_FORMAT_SIZE];
    srandom(7);
    for (unsigned round = 0; round < 20000; round++) {
        size_t n =
            update("180a0100", "400101 00 400206 0201 0000fde9 800e2c 0002 01 20" V6 LL "00 30fd0100000000",
                   "180a0100 00", body);
        size_t len = message((uint8_t)(1 + round % 6), body, n, sound);
        for (unsigned k = 0; k < 1 + round % 8; k++)
            sound[16 + (size_t)random() % (len - 16)] = (uint8_t)random();
        len -= (size_t)random() % (round % 2 ? len : 4);
        uint8_t *exact = malloc(len ? len : 1);
        const struct msg_format_ctx ctx = {.as4 = round & 1, .add_path = {round & 2, round & 4}};
        memcpy(exact, sound, len);
        msg_format(exact, len, &ctx, buf, sizeof buf);
        for (const char *c = buf; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                CU_FAIL("a control character in the text");
        free(exact);
    }
}

static const struct unit_case cases[] = {
    UNIT(short_messages_have_all_in_one_line),
    UNIT(open_shows_every_capability),
    UNIT(open_shows_its_parameters),
    UNIT(update_shows_attributes_and_routes),
    UNIT(context_says_how_numbers_and_routes_are_written),
    UNIT(frame_is_checked),
    UNIT(text_is_cut_at_the_buffer),
    UNIT(no_bytes_do_harm),
};
UNIT_MAIN("format", cases)
