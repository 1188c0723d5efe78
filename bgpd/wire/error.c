/* What a NOTIFICATION says, as a value, as bytes and as words. The words are those of the RFCs' IANA
 * registries, so that an operator can search for them. The shutdown communication (RFC 9003) is text from the
 * peer: it goes to logs and terminals, so it is checked for well-formed UTF-8 and loses its control
 * characters here, once, before anyone prints it. Deciding which error a session sends is not done here. */
#include <stdio.h>

#include "wire/msg.h"

struct bgp_error bgp_error_make(uint8_t code, uint8_t subcode, const void *data, size_t len)
{
    struct bgp_error e = {.code = code, .subcode = subcode};
    e.len = (uint16_t)(len < BGP_ERROR_DATA ? len : BGP_ERROR_DATA);
    if (e.len)
        memcpy(e.data, data, e.len);
    return e;
}

struct bgp_error bgp_error_wrap(const struct bgp_error *e)
{
    struct bgp_error w = {.code = BGP_ERR_CEASE, .subcode = BGP_CEASE_HARD_RESET, .len = 2};
    size_t n = e->len < BGP_ERROR_DATA - 2 ? e->len : BGP_ERROR_DATA - 2;
    w.data[0] = e->code;
    w.data[1] = e->subcode;
    memcpy(w.data + 2, e->data, n);
    w.len = (uint16_t)(n + 2);
    return w;
}

/* One with nothing within is a Hard Reset all the same; inner then has code 0. */
bool bgp_error_unwrap(const struct bgp_error *e, struct bgp_error *inner)
{
    if (e->code != BGP_ERR_CEASE || e->subcode != BGP_CEASE_HARD_RESET)
        return false;
    *inner =
        e->len < 2 ? (struct bgp_error){0} : bgp_error_make(e->data[0], e->data[1], e->data + 2, e->len - 2u);
    return true;
}

#define SUBCODES 12
static const struct {
    const char *name;
    const char *sub[SUBCODES];
} codes[] = {
    [BGP_ERR_HEADER] = {"Message Header Error",
                        {[BGP_ERR_HDR_SYNC] = "Connection Not Synchronized",
                         [BGP_ERR_HDR_LENGTH] = "Bad Message Length",
                         [BGP_ERR_HDR_TYPE] = "Bad Message Type"}},
    [BGP_ERR_OPEN] = {"OPEN Message Error",
                      {[BGP_ERR_OPEN_VERSION] = "Unsupported Version Number",
                       [BGP_ERR_OPEN_PEER_AS] = "Bad Peer AS",
                       [BGP_ERR_OPEN_ID] = "Bad BGP Identifier",
                       [BGP_ERR_OPEN_PARAM] = "Unsupported Optional Parameter",
                       [BGP_ERR_OPEN_HOLD_TIME] = "Unacceptable Hold Time",
                       [BGP_ERR_OPEN_CAPABILITY] = "Unsupported Capability",
                       [BGP_ERR_OPEN_ROLE] = "Role Mismatch"}},
    [BGP_ERR_UPDATE] = {"UPDATE Message Error",
                        {[BGP_ERR_UPD_MALFORMED] = "Malformed Attribute List",
                         [BGP_ERR_UPD_UNKNOWN_WELLKNOWN] = "Unrecognized Well-known Attribute",
                         [BGP_ERR_UPD_MISSING] = "Missing Well-known Attribute",
                         [BGP_ERR_UPD_FLAGS] = "Attribute Flags Error",
                         [BGP_ERR_UPD_LENGTH] = "Attribute Length Error",
                         [BGP_ERR_UPD_ORIGIN] = "Invalid ORIGIN Attribute",
                         [BGP_ERR_UPD_NEXT_HOP] = "Invalid NEXT_HOP Attribute",
                         [BGP_ERR_UPD_OPTIONAL] = "Optional Attribute Error",
                         [BGP_ERR_UPD_NLRI] = "Invalid Network Field",
                         [BGP_ERR_UPD_AS_PATH] = "Malformed AS_PATH"}},
    [BGP_ERR_HOLD_TIMER] = {"Hold Timer Expired", {NULL}},
    [BGP_ERR_FSM] = {"Finite State Machine Error",
                     {[BGP_ERR_FSM_OPEN_SENT] = "Unexpected Message in OpenSent",
                      [BGP_ERR_FSM_OPEN_CONFIRM] = "Unexpected Message in OpenConfirm",
                      [BGP_ERR_FSM_ESTABLISHED] = "Unexpected Message in Established"}},
    [BGP_ERR_CEASE] = {"Cease",
                       {[BGP_CEASE_MAX_PREFIXES] = "Maximum Number of Prefixes Reached",
                        [BGP_CEASE_ADMIN_SHUTDOWN] = "Administrative Shutdown",
                        [BGP_CEASE_DECONFIGURED] = "Peer De-configured",
                        [BGP_CEASE_ADMIN_RESET] = "Administrative Reset",
                        [BGP_CEASE_REJECTED] = "Connection Rejected",
                        [BGP_CEASE_CONFIG_CHANGE] = "Other Configuration Change",
                        [BGP_CEASE_COLLISION] = "Connection Collision Resolution",
                        [BGP_CEASE_RESOURCES] = "Out of Resources",
                        [BGP_CEASE_HARD_RESET] = "Hard Reset",
                        [BGP_CEASE_BFD_DOWN] = "BFD Down"}},
    [BGP_ERR_ROUTE_REFRESH] = {"ROUTE-REFRESH Message Error", {[1] = "Invalid Message Length"}},
    [BGP_ERR_SEND_HOLD_TIMER] = {"Send Hold Timer Expired", {NULL}},
};

const char *bgp_error_format(const struct bgp_error *e, char *buf, size_t size)
{
    struct bgp_error inner;
    if (bgp_error_unwrap(e, &inner) && inner.code &&
        !(inner.code == BGP_ERR_CEASE && inner.subcode == BGP_CEASE_HARD_RESET)) {
        int n = snprintf(buf, size, "Hard Reset: ");
        if (n > 0 && (size_t)n < size)
            bgp_error_format(&inner, buf + n, size - (size_t)n);
        return buf;
    }
    const char *name = e->code < sizeof codes / sizeof *codes ? codes[e->code].name : NULL;
    const char *sub = name && e->subcode < SUBCODES ? codes[e->code].sub[e->subcode] : NULL;
    if (!e->code)
        snprintf(buf, size, "none");
    else if (!name)
        snprintf(buf, size, "code %u subcode %u", e->code, e->subcode);
    else if (sub)
        snprintf(buf, size, "%s/%s", name, sub);
    else if (e->subcode)
        snprintf(buf, size, "%s/subcode %u", name, e->subcode);
    else
        snprintf(buf, size, "%s", name);
    return buf;
}

/* Bytes of the well-formed UTF-8 character at p (Unicode 15 table 3-7: shortest form, no surrogates), 0:
 * none. */
static size_t utf8_char(const uint8_t *p, size_t n)
{
    uint8_t lo = 0x80, hi = 0xbf;
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (!len || len > n)
        return 0;
    if (p[0] == 0xe0)
        lo = 0xa0;
    else if (p[0] == 0xed)
        hi = 0x9f;
    else if (p[0] == 0xf0)
        lo = 0x90;
    else if (p[0] == 0xf4)
        hi = 0x8f;
    for (size_t i = 1; i < len; i++, lo = 0x80, hi = 0xbf)
        if (p[i] < lo || p[i] > hi)
            return 0;
    return len;
}

static bool is_control(const uint8_t *p, size_t len)
{
    if (len == 1)
        return p[0] < 0x20 || p[0] == 0x7f;
    if (len == 2)
        return p[0] == 0xc2 && p[1] < 0xa0;
    /* U+2028 to U+202E and U+2066 to U+2069: line separators and what turns the direction of text */
    return len == 3 && p[0] == 0xe2 &&
           ((p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) || (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

const char *bgp_error_message(const struct bgp_error *e, char *buf, size_t size)
{
    struct bgp_error inner;
    size_t o = 0;
    if (bgp_error_unwrap(e, &inner))
        e = &inner;
    buf[0] = 0;
    if (e->code != BGP_ERR_CEASE ||
        (e->subcode != BGP_CEASE_ADMIN_SHUTDOWN && e->subcode != BGP_CEASE_ADMIN_RESET) || !e->len ||
        !e->data[0])
        return buf;
    const uint8_t *p = e->data + 1, *end = p + e->data[0];
    bool ok = end <= e->data + e->len;
    while (ok && p < end) {
        size_t n = utf8_char(p, (size_t)(end - p));
        bool bad = n && is_control(p, n);
        size_t put = bad ? 1 : n;
        ok = n > 0;
        if (o + put >= size)
            break;
        memcpy(buf + o, bad ? (const uint8_t *)"?" : p, put);
        o += put;
        p += n;
    }
    buf[o] = 0;
    if (!ok) /* RFC 9003 section 2: invalid sequences are not interpreted; section 4: the event is told */
        snprintf(buf, size, "(malformed message)");
    return buf;
}

void bgp_error_set_message(struct bgp_error *e, const char *utf8)
{
    size_t n = strlen(utf8), len = 0;
    while (len < n) {
        size_t one = utf8_char((const uint8_t *)utf8 + len, n - len);
        if (!one || len + one > UINT8_MAX)
            break;
        len += one;
    }
    e->data[0] = (uint8_t)len;
    memcpy(e->data + 1, utf8, len);
    e->len = (uint16_t)(len ? len + 1 : 0);
}
