/* OPEN as text: the fields (RFC 4271 4.2), the parameters in both encodings (RFC 9072), and every capability
 * that has a name, whether this daemon takes it or not. */
#include "wire/format_int.h"

/* Value of a capability, of n bytes; false: its length cannot be. */
typedef bool capability_format(struct text *t, const uint8_t *p, size_t n);

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

static bool format_nothing(struct text *t, const uint8_t *p, size_t n)
{
    (void)t, (void)p;
    return !n;
}

static bool format_multiprotocol(struct text *t, const uint8_t *p, size_t n)
{
    if (n != 4)
        return false;
    text_say(t, " ");
    text_family(t, get_u16(p), p[3]);
    return true;
}

static bool format_as4(struct text *t, const uint8_t *p, size_t n)
{
    if (n != 4)
        return false;
    text_say(t, " %u", get_u32(p));
    return true;
}

static bool format_extended_nexthop(struct text *t, const uint8_t *p, size_t n)
{
    for (; n >= 6; p += 6, n -= 6) {
        text_say(t, " ");
        text_family(t, get_u16(p), get_u16(p + 2) > UINT8_MAX ? 0 : p[3]);
        text_say(t, " over afi %u", get_u16(p + 4));
    }
    return !n;
}

static bool format_role(struct text *t, const uint8_t *p, size_t n)
{
    static const char *const names[] = {"provider", "rs-server", "rs-client", "customer", "peer"};
    if (n != 1)
        return false;
    if (*p < sizeof names / sizeof *names)
        text_say(t, " %s", names[*p]);
    else
        text_say(t, " %u", *p);
    return true;
}

/* RFC 4724 section 3, RFC 8538 section 2 */
static bool format_graceful_restart(struct text *t, const uint8_t *p, size_t n)
{
    if (n < 2)
        return false;
    text_say(t, " time %us%s%s", get_u16(p) & 0xfff, p[0] & 0x80 ? " restarting" : "",
             p[0] & 0x40 ? " notification" : "");
    for (p += 2, n -= 2; n >= 4; p += 4, n -= 4) {
        text_say(t, " ");
        text_family(t, get_u16(p), p[2]);
        text_say(t, "%s", p[3] & 0x80 ? " forwarding" : "");
    }
    return !n;
}

/* RFC 9494 section 3: AFI, SAFI, flags, 24 bits of seconds. */
static bool format_long_lived(struct text *t, const uint8_t *p, size_t n)
{
    for (; n >= 7; p += 7, n -= 7) {
        text_say(t, " ");
        text_family(t, get_u16(p), p[2]);
        text_say(t, "%s time %us", p[3] & 0x80 ? " forwarding" : "", get_u32(p + 3) & 0xffffff);
    }
    return !n;
}

static bool format_add_path(struct text *t, const uint8_t *p, size_t n)
{
    static const char *const modes[] = {"", "receive", "send", "both"};
    for (; n >= 4; p += 4, n -= 4) {
        text_say(t, " ");
        text_family(t, get_u16(p), p[2]);
        if (p[3] && p[3] < sizeof modes / sizeof *modes)
            text_say(t, " %s", modes[p[3]]);
        else
            text_say(t, " mode %u", p[3]);
    }
    return !n;
}

/* draft-walton-bgp-hostname-capability: a length and a name, then the same for the domain. It is text from
 * the network. */
static bool format_fqdn(struct text *t, const uint8_t *p, size_t n)
{
    for (int k = 0; k < 2 && n; k++) {
        size_t len = p[0];
        if (len + 1 > n)
            return false;
        text_say(t, k && len ? "." : k ? "" : " ");
        for (size_t i = 1; i <= len; i++)
            text_say(t, "%c", p[i] > ' ' && p[i] < 0x7f ? p[i] : '?');
        p += len + 1;
        n -= len + 1;
    }
    return !n;
}

static bool format_bytes(struct text *t, const uint8_t *p, size_t n)
{
    if (n) {
        text_say(t, " ");
        text_hex(t, p, n);
    }
    return true;
}

static const struct {
    uint8_t code;
    const char *name;
    capability_format *format;
} rows[] = {
    {CAP_MULTIPROTOCOL, "multiprotocol", format_multiprotocol},
    {CAP_ROUTE_REFRESH, "route-refresh", format_nothing},
    {3, "outbound-filter", format_bytes},
    {CAP_EXTENDED_NEXTHOP, "extended-nexthop", format_extended_nexthop},
    {CAP_EXTENDED_MESSAGE, "extended-message", format_nothing},
    {CAP_ROLE, "role", format_role},
    {CAP_GRACEFUL_RESTART, "graceful-restart", format_graceful_restart},
    {CAP_AS4, "4-octet-as", format_as4},
    {67, "dynamic", format_bytes},
    {CAP_ADD_PATH, "add-path", format_add_path},
    {CAP_ENHANCED_REFRESH, "enhanced-route-refresh", format_nothing},
    {CAP_LONG_LIVED_GR, "long-lived-graceful-restart", format_long_lived},
    {73, "fqdn", format_fqdn},
    {75, "software-version", format_bytes},
    {128, "route-refresh-old", format_nothing},
};

static void format_capability(struct text *t, uint8_t code, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].code != code)
            continue;
        text_say(t, ", %s", rows[i].name);
        if (!rows[i].format(t, p, n)) {
            text_say(t, " ");
            text_bad(t, "value", p, n);
        }
        return;
    }
    text_say(t, ", capability %u", code);
    format_bytes(t, p, n);
}

static void format_capabilities(struct text *t, const uint8_t *p, size_t n)
{
    while (n) {
        size_t len = n < 2 ? 0 : p[1];
        if (n < 2 || len + 2 > n) {
            text_say(t, ", ");
            text_bad(t, "capability", p, n);
            return;
        }
        format_capability(t, p[0], p + 2, len);
        p += len + 2;
        n -= len + 2;
    }
}

/* Parameters whose length field has `wide` octets. Type 1 was an authentication, whose data are nobody's
 * business. */
static void format_parameters(struct text *t, const uint8_t *p, size_t n, size_t wide)
{
    while (n) {
        size_t head = 1 + wide, len = n < head ? 0 : wide == 1 ? p[1] : get_u16(p + 1);
        if (n < head || len > n - head) {
            text_say(t, ", ");
            text_bad(t, "parameter", p, n);
            return;
        }
        if (p[0] == 2) {
            format_capabilities(t, p + head, len);
        } else {
            text_say(t, ", parameter %u", p[0]);
            if (p[0] == 1)
                text_say(t, " of %zu bytes", len);
            else
                format_bytes(t, p + head, len);
        }
        p += head + len;
        n -= head + len;
    }
}

void format_open(struct text *t, const uint8_t *body, size_t n)
{
    if (n < 10) {
        text_bad(t, "body", body, n);
        return;
    }
    text_say(t, "version %u, my-as %u, hold-time %u, id ", body[0], get_u16(body + 1), get_u16(body + 3));
    text_addr(t, AF_INET, body + 5);
    size_t len = body[9], head = 10, wide = 1;
    if (len && n >= 13 &&
        body[10] == 255) { /* RFC 9072 section 2: type 255 first, then two octets of length */
        len = get_u16(body + 11);
        head = 13;
        wide = 2;
        text_say(t, ", extended parameters");
    }
    if (len != n - head) {
        text_say(t, ", ");
        text_bad(t, "parameters length", body + head, n - head);
        return;
    }
    format_parameters(t, body + head, len, wide);
}
