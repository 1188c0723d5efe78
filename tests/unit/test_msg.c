/* Header, OPEN, NOTIFICATION, KEEPALIVE, ROUTE-REFRESH: what is refused and with which error, and that what
 * we write we read back the same. */
#include <errno.h>
#include <string.h>

#include "hex.h"
#include "unit.h"
#include "wire/msg.h"

#define MARKER "ffffffff ffffffff ffffffff ffffffff "

static void headers_are_checked_as_rfc4271_says(void)
{
    static const struct {
        const char *bytes;
        size_t max;
        int rc;
        uint8_t subcode;
        size_t len; /* of the message, or of the error's data */
        uint8_t data;
    } table[] = {
        {MARKER "0013 04", 4096, 0, 0, 19, 0},
        {MARKER "001d 01", 4096, 0, 0, 29, 0},
        {MARKER "1000 02", 4096, 0, 0, 4096, 0},
        {MARKER "ffff 02", 65535, 0, 0, 65535, 0},
        {"ffffffff ffffffff ffffffff fffffffe 0013 04", 4096, -EBADMSG, BGP_ERR_HDR_SYNC, 0, 0},
        {"00000000 00000000 00000000 00000000 0013 04", 4096, -EBADMSG, BGP_ERR_HDR_SYNC, 0, 0},
        {MARKER "0012 04", 4096, -EBADMSG, BGP_ERR_HDR_LENGTH, 2, 0x00},
        {MARKER "1001 02", 4096, -EBADMSG, BGP_ERR_HDR_LENGTH, 2, 0x10},
        {MARKER "0014 04", 4096, -EBADMSG, BGP_ERR_HDR_LENGTH, 2, 0x00},  /* KEEPALIVE with a body */
        {MARKER "001c 01", 4096, -EBADMSG, BGP_ERR_HDR_LENGTH, 2, 0x00},  /* OPEN too short */
        {MARKER "0016 02", 4096, -EBADMSG, BGP_ERR_HDR_LENGTH, 2, 0x00},  /* UPDATE too short */
        {MARKER "0014 03", 4096, -EBADMSG, BGP_ERR_HDR_LENGTH, 2, 0x00},  /* NOTIFICATION too short */
        {MARKER "0016 05", 4096, -EBADMSG, BGP_ERR_HDR_LENGTH, 2, 0x00},  /* ROUTE-REFRESH too short */
        {MARKER "1001 01", 65535, -EBADMSG, BGP_ERR_HDR_LENGTH, 2, 0x10}, /* OPEN is never extended */
        {MARKER "0013 00", 4096, -EBADMSG, BGP_ERR_HDR_TYPE, 1, 0x00},
        {MARKER "0013 06", 4096, -EBADMSG, BGP_ERR_HDR_TYPE, 1, 0x06},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint8_t b[19];
        enum bgp_msg_type type = 0;
        size_t len = 0;
        struct bgp_error e = {0};
        CU_ASSERT_EQUAL_FATAL(hex(table[i].bytes, b, sizeof b), sizeof b);
        CU_ASSERT_EQUAL(msg_header_decode(b, table[i].max, &type, &len, &e), table[i].rc);
        if (!table[i].rc) {
            CU_ASSERT_EQUAL(len, table[i].len);
            CU_ASSERT_EQUAL(type, b[18]);
            continue;
        }
        CU_ASSERT_EQUAL(e.code, BGP_ERR_HEADER);
        CU_ASSERT_EQUAL(e.subcode, table[i].subcode);
        CU_ASSERT_EQUAL(e.len, table[i].len);
        CU_ASSERT(!e.len || e.data[0] == table[i].data);
    }
}

static void opens_are_checked(void)
{
    static const struct {
        const char *body;
        int rc;
        uint8_t subcode;
        uint32_t asn;
    } table[] = {
        {"04 fde9 005a 0a000001 00", 0, 0, 65001},
        {"04 fde9 0000 0a000001 00", 0, 0, 65001},
        {"04 5ba0 005a 0a000001 08 0206 4104 0001 86a0", 0, 0, 100000},
        {"04 5ba0 005a 0a000001 ff ff 0009 02 0006 4104 0001 86a0", 0, 0, 100000}, /* RFC 9072 */
        {"04 fde9 005a 0a000001 01 ff 0000", 0, 0, 65001},   /* the same, nothing in it */
        {"04 fde9 005a 0a000001 04 0202 c000", 0, 0, 65001}, /* an unknown capability */
        {"03 fde9 005a 0a000001 00", -EBADMSG, BGP_ERR_OPEN_VERSION, 0},
        {"05 fde9 005a 0a000001 00", -EBADMSG, BGP_ERR_OPEN_VERSION, 0},
        {"04 0000 005a 0a000001 00", -EBADMSG, BGP_ERR_OPEN_PEER_AS, 0},
        {"04 5ba0 005a 0a000001 08 0206 4104 0000 0000", -EBADMSG, BGP_ERR_OPEN_PEER_AS, 0},
        {"04 fde9 0001 0a000001 00", -EBADMSG, BGP_ERR_OPEN_HOLD_TIME, 0},
        {"04 fde9 0002 0a000001 00", -EBADMSG, BGP_ERR_OPEN_HOLD_TIME, 0},
        {"04 fde9 005a 00000000 00", -EBADMSG, BGP_ERR_OPEN_ID, 0},
        {"04 fde9 005a 0a000001 02 0100", -EBADMSG, BGP_ERR_OPEN_PARAM, 0},
        {"04 fde9 005a 0a000001 05 0200 ff01 00", -EBADMSG, BGP_ERR_OPEN_PARAM, 0}, /* 255, but not first */
        {"04 fde9 005a 0a000001 04 0200", -EBADMSG, 0, 0},                          /* parameters cut off */
        {"04 fde9 005a 0a000001 00 0200", -EBADMSG, 0, 0},                          /* and too many */
        {"04 fde9 005a 0a000001 02 0201", -EBADMSG, 0, 0},
        {"04 fde9 005a 0a000001 01 02", -EBADMSG, 0, 0},
        {"04 fde9 005a 0a000001 04 0202 4104", -EBADMSG, 0, 0}, /* capability cut off */
        {"04 fde9 005a 0a000001 ff ff 0009 02 0007 4104 0001 86a0", -EBADMSG, 0, 0},
        {"04 fde9 005a 0a000001 ff ff 00", -EBADMSG, 0, 0},
        {"04 fde9 005a", -EBADMSG, 0, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint8_t b[64];
        struct open_msg m;
        struct bgp_error e = {0};
        size_t n = hex(table[i].body, b, sizeof b);
        int rc = open_decode(b, n, &m, &e);
        if (rc != table[i].rc || e.subcode != table[i].subcode)
            printf("      row %zu: %s\n", i, table[i].body);
        CU_ASSERT_EQUAL(rc, table[i].rc);
        CU_ASSERT_EQUAL(e.subcode, table[i].subcode);
        CU_ASSERT_EQUAL(e.code, table[i].rc ? BGP_ERR_OPEN : 0);
        if (!table[i].rc)
            CU_ASSERT_EQUAL(m.asn, table[i].asn);
    }
}

static void a_wrong_version_is_answered_with_ours(void)
{
    uint8_t b[16];
    struct open_msg m;
    struct bgp_error e;
    CU_ASSERT_EQUAL(open_decode(b, hex("03 fde9 005a 0a000001 00", b, sizeof b), &m, &e), -EBADMSG);
    CU_ASSERT_EQUAL(e.len, 2);
    CU_ASSERT_EQUAL(e.data[0], 0);
    CU_ASSERT_EQUAL(e.data[1], 4);
}

static void an_open_with_every_capability_comes_back_the_same(void)
{
    struct open_msg in = {.asn = 4200000001,
                          .my_as = BGP_AS_TRANS,
                          .hold_time = 9,
                          .id = 0x0a00000b,
                          .caps = {.has_multiprotocol = true,
                                   .family = {true, true},
                                   .route_refresh = true,
                                   .as4 = true,
                                   .asn = 4200000001,
                                   .extended_message = true,
                                   .enhanced_refresh = true,
                                   .extended_nexthop = {true, false},
                                   .graceful_restart = true,
                                   .gr_flags_time = 0x8078,
                                   .gr_family = {true, true},
                                   .gr_forwarding = {false, true},
                                   .add_path = {3, 1},
                                   .long_lived_gr = true,
                                   .llgr_family = {true, true},
                                   .llgr_forwarding = {true, false},
                                   .llgr_stale_s = {3600, 0xffffff},
                                   .has_role = true,
                                   .role = 4}};
    uint8_t b[256];
    struct wire_writer w = wire_writer(b, sizeof b);
    open_encode(&w, &in);
    CU_ASSERT_FALSE_FATAL(w.err);
    enum bgp_msg_type type;
    size_t len;
    struct bgp_error e = {0};
    struct open_msg out;
    CU_ASSERT_EQUAL_FATAL(msg_header_decode(b, BGP_MAX_LEN, &type, &len, &e), 0);
    CU_ASSERT_EQUAL(type, BGP_OPEN);
    CU_ASSERT_EQUAL(len, wire_len(&w));
    CU_ASSERT_EQUAL_FATAL(open_decode(b + 19, len - 19, &out, &e), 0);
    CU_ASSERT_EQUAL(out.asn, in.asn);
    CU_ASSERT_EQUAL(out.my_as, in.my_as);
    CU_ASSERT_EQUAL(out.hold_time, in.hold_time);
    CU_ASSERT_EQUAL(out.id, in.id);
    CU_ASSERT_EQUAL(memcmp(&out.caps, &in.caps, sizeof in.caps), 0);
}

/* RFC 9072 section 2: only where one octet cannot say the length. */
static void long_parameters_take_the_extended_form(void)
{
    uint8_t name[255], b[512];
    memset(name, 'n', sizeof name);
    for (unsigned n = 0; n <= 253; n++) {
        struct open_msg out, in = {.asn = 1, .my_as = 1, .id = 1, .caps.hostname = {name, (uint8_t)n}};
        struct wire_writer w = wire_writer(b, sizeof b);
        struct bgp_error e;
        open_encode(&w, &in);
        CU_ASSERT_FALSE_FATAL(w.err);
        bool extended = n + 6 > 255; /* parameter, capability and the two lengths of names */
        CU_ASSERT_EQUAL(b[28], extended ? 255 : n + 6);
        CU_ASSERT_EQUAL(b[29], extended ? 255 : 2);
        CU_ASSERT_EQUAL_FATAL(open_decode(b + 19, wire_len(&w) - 19, &out, &e), 0);
        CU_ASSERT_EQUAL(out.caps.hostname.len, n);
        CU_ASSERT_EQUAL(memcmp(out.caps.hostname.p, name, n), 0);
    }
    struct open_msg m = {.my_as = 1, .id = 1, .caps.hostname = {name, 254}}; /* no capability holds that */
    struct wire_writer w = wire_writer(b, sizeof b);
    open_encode(&w, &m);
    CU_ASSERT_TRUE(w.err);
}

static void what_does_not_fit_sets_the_error_and_writes_no_further(void)
{
    struct open_msg m = {.my_as = 1, .id = 1, .caps = {.as4 = true, .asn = 1}};
    uint8_t b[64];
    struct bgp_error e = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_ADMIN_RESET, "xyz", 3);
    for (size_t room = 0; room < 37; room++) {
        memset(b, 0xaa, sizeof b);
        struct wire_writer w = wire_writer(b, room);
        open_encode(&w, &m);
        CU_ASSERT_TRUE(w.err);
        CU_ASSERT_EQUAL(b[room], 0xaa);
    }
    for (size_t room = 0; room < 24; room++) {
        memset(b, 0xaa, sizeof b);
        struct wire_writer w = wire_writer(b, room);
        notification_encode(&w, &e);
        CU_ASSERT_TRUE(w.err);
        CU_ASSERT_EQUAL(b[room], 0xaa);
    }
}

static void notification_and_keepalive_come_back_the_same(void)
{
    uint8_t b[64];
    struct wire_writer w = wire_writer(b, sizeof b);
    struct bgp_error in = bgp_error_make(BGP_ERR_UPDATE, BGP_ERR_UPD_FLAGS, "abc", 3), out = {0}, e;
    enum bgp_msg_type type;
    size_t len;
    notification_encode(&w, &in);
    CU_ASSERT_EQUAL(msg_header_decode(b, BGP_MAX_LEN, &type, &len, &e), 0);
    CU_ASSERT_EQUAL(len, 24);
    CU_ASSERT_EQUAL(notification_decode(b + 19, len - 19, &out), 0);
    CU_ASSERT_EQUAL(memcmp(&in, &out, sizeof in), 0);
    CU_ASSERT_EQUAL(notification_decode(b + 19, 1, &out), -EBADMSG);
    w = wire_writer(b, sizeof b);
    keepalive_encode(&w);
    CU_ASSERT_EQUAL(msg_header_decode(b, BGP_MAX_LEN, &type, &len, &e), 0);
    CU_ASSERT_EQUAL(type, BGP_KEEPALIVE);
    CU_ASSERT_EQUAL(len, 19);
}

static void long_notification_data_is_cut(void)
{
    uint8_t body[1000];
    struct bgp_error e;
    memset(body, 6, sizeof body);
    CU_ASSERT_EQUAL(notification_decode(body, sizeof body, &e), 0);
    CU_ASSERT_EQUAL(e.len, BGP_ERROR_DATA);
}

static void refresh_lengths_are_checked(void)
{
    uint8_t b[64];
    struct refresh_msg m, in = {AFI_IPV6, 0, SAFI_UNICAST};
    struct bgp_error e;
    struct wire_writer w = wire_writer(b, sizeof b);
    refresh_encode(&w, &in);
    CU_ASSERT_EQUAL(wire_len(&w), 23);
    CU_ASSERT_EQUAL(refresh_decode(b + 19, 4, &m, &e), 0);
    CU_ASSERT_EQUAL(m.afi, AFI_IPV6);
    CU_ASSERT_EQUAL(m.safi, SAFI_UNICAST);
    CU_ASSERT_EQUAL(m.subtype, 0);
    CU_ASSERT_EQUAL(refresh_decode(b, hex("0001 00 01 00", b, sizeof b), &m, &e), -EBADMSG);
    CU_ASSERT_EQUAL(e.code, BGP_ERR_HEADER);
    CU_ASSERT_EQUAL(e.subcode, BGP_ERR_HDR_LENGTH);
    CU_ASSERT_EQUAL(e.data[1], 24);
    CU_ASSERT_EQUAL(refresh_decode(b, hex("0001 02 01 00", b, sizeof b), &m, &e), -EBADMSG);
    CU_ASSERT_EQUAL(e.code, BGP_ERR_ROUTE_REFRESH);
    CU_ASSERT_EQUAL(e.subcode, 1);
    CU_ASSERT_EQUAL(e.len, 24);
    CU_ASSERT_EQUAL(e.data[17], 24);
}

static void errors_have_the_registrys_names(void)
{
    static const struct {
        uint8_t code, subcode;
        const char *text;
    } table[] = {
        {6, 2, "Cease/Administrative Shutdown"},
        {6, 10, "Cease/BFD Down"},
        {6, 99, "Cease/subcode 99"},
        {3, 11, "UPDATE Message Error/Malformed AS_PATH"},
        {4, 0, "Hold Timer Expired"},
        {8, 0, "Send Hold Timer Expired"},
        {9, 4, "code 9 subcode 4"},
        {255, 255, "code 255 subcode 255"},
        {0, 0, "none"},
    };
    char buf[80];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct bgp_error e = {.code = table[i].code, .subcode = table[i].subcode};
        CU_ASSERT_STRING_EQUAL(bgp_error_format(&e, buf, sizeof buf), table[i].text);
    }
}

static void a_hard_reset_carries_a_notification(void)
{
    char buf[80], message[BGP_ERROR_DATA + 1], longest[256];
    struct bgp_error inner, e = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_ADMIN_SHUTDOWN, NULL, 0);
    memset(longest, 'x', 255);
    longest[255] = 0;
    CU_ASSERT_FALSE(bgp_error_unwrap(&e, &inner));
    bgp_error_set_message(&e, longest);
    struct bgp_error hard = bgp_error_wrap(&e);
    CU_ASSERT_EQUAL(hard.subcode, BGP_CEASE_HARD_RESET);
    CU_ASSERT_EQUAL(hard.len, 258);
    CU_ASSERT_TRUE(bgp_error_unwrap(&hard, &inner));
    CU_ASSERT_EQUAL(inner.len, e.len);
    CU_ASSERT_EQUAL(memcmp(inner.data, e.data, e.len), 0);
    CU_ASSERT_STRING_EQUAL(bgp_error_format(&hard, buf, sizeof buf),
                           "Hard Reset: Cease/Administrative Shutdown");
    CU_ASSERT_STRING_EQUAL(bgp_error_format(&hard, buf, 8), "Hard Re");
    CU_ASSERT_STRING_EQUAL(bgp_error_message(&hard, message, sizeof message), longest);
    /* Ones that no sound speaker sends. */
    hard = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_HARD_RESET, "\x06", 1);
    CU_ASSERT_TRUE(bgp_error_unwrap(&hard, &inner));
    CU_ASSERT_EQUAL(inner.code, 0);
    CU_ASSERT_STRING_EQUAL(bgp_error_format(&hard, buf, sizeof buf), "Cease/Hard Reset");
    hard = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_HARD_RESET, "\x06\x09\x06\x09\x06\x09", 6);
    CU_ASSERT_STRING_EQUAL(bgp_error_format(&hard, buf, sizeof buf), "Cease/Hard Reset");
    CU_ASSERT_STRING_EQUAL(bgp_error_message(&hard, message, sizeof message), "");
}

static void shutdown_messages_are_safe_to_print(void)
{
    static const struct {
        const char *data; /* hexadecimal */
        const char *text;
    } table[] = {
        {"05 68656c6c6f", "hello"},
        {"00", ""},
        {"", ""},
        {"03 410a42", "A?B"},
        {"04 1b5b306d", "?[0m"},
        {"05 41 e2 80 ae 42", "A?B"}, /* text turned right to left */
        {"03 c28541", "?A"},          /* C1 control */
        {"02 c3a4", "\xc3\xa4"},
        {"04 f09f9880", "\xf0\x9f\x98\x80"},
        {"02 c0af", "(malformed message)"}, /* not the shortest form */
        {"03 e0809f", "(malformed message)"},
        {"03 eda080", "(malformed message)"},   /* a surrogate */
        {"04 f4908080", "(malformed message)"}, /* beyond U+10FFFF */
        {"02 41c3", "(malformed message)"},     /* cut in a character */
        {"01 80", "(malformed message)"},
        {"09 68656c6c6f", "(malformed message)"}, /* longer than what is there */
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint8_t b[32];
        char buf[32];
        size_t n = hex(table[i].data, b, sizeof b);
        struct bgp_error e = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_ADMIN_SHUTDOWN, b, n);
        CU_ASSERT_STRING_EQUAL(bgp_error_message(&e, buf, sizeof buf), table[i].text);
        e.subcode = BGP_CEASE_CONFIG_CHANGE;
        CU_ASSERT_STRING_EQUAL(bgp_error_message(&e, buf, sizeof buf), "");
    }
}

static void a_message_may_have_255_octets(void)
{
    uint8_t body[2 + 256] = {BGP_ERR_CEASE, BGP_CEASE_ADMIN_RESET, 255};
    char buf[BGP_ERROR_DATA + 1];
    struct bgp_error e;
    memset(body + 3, 'x', 255);
    CU_ASSERT_EQUAL(notification_decode(body, sizeof body, &e), 0);
    CU_ASSERT_EQUAL(strlen(bgp_error_message(&e, buf, sizeof buf)), 255);
}

static void a_message_is_cut_at_a_character(void)
{
    char text[400] = "", buf[300];
    struct bgp_error e = {.code = BGP_ERR_CEASE, .subcode = BGP_CEASE_ADMIN_SHUTDOWN};
    bgp_error_set_message(&e, "back in 2 hours");
    CU_ASSERT_EQUAL(e.len, 16);
    CU_ASSERT_STRING_EQUAL(bgp_error_message(&e, buf, sizeof buf), "back in 2 hours");
    CU_ASSERT_STRING_EQUAL(bgp_error_message(&e, buf, 5), "back");
    for (int i = 0; i < 100; i++)
        strcat(text, "\xe2\x82\xac");
    bgp_error_set_message(&e, text);
    CU_ASSERT_EQUAL(e.data[0], 255);
    CU_ASSERT_EQUAL(e.len, 256);
    CU_ASSERT_EQUAL(strlen(bgp_error_message(&e, buf, sizeof buf)), 255);
    CU_ASSERT_EQUAL(strlen(bgp_error_message(&e, buf, 12)), 9);
    bgp_error_set_message(&e, "");
    CU_ASSERT_EQUAL(e.len, 0);
}

static const struct unit_case cases[] = {
    UNIT(headers_are_checked_as_rfc4271_says),
    UNIT(opens_are_checked),
    UNIT(a_wrong_version_is_answered_with_ours),
    UNIT(an_open_with_every_capability_comes_back_the_same),
    UNIT(long_parameters_take_the_extended_form),
    UNIT(what_does_not_fit_sets_the_error_and_writes_no_further),
    UNIT(notification_and_keepalive_come_back_the_same),
    UNIT(long_notification_data_is_cut),
    UNIT(refresh_lengths_are_checked),
    UNIT(errors_have_the_registrys_names),
    UNIT(a_hard_reset_carries_a_notification),
    UNIT(shutdown_messages_are_safe_to_print),
    UNIT(a_message_may_have_255_octets),
    UNIT(a_message_is_cut_at_a_character),
};
UNIT_MAIN("msg", cases)
