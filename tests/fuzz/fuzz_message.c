/* A stream of messages as a connection would cut it: header, OPEN, NOTIFICATION, ROUTE-REFRESH. What was
 * decoded and can be encoded decodes to the same again. UPDATE has a target of its own. */
#include "tests/fuzz/fuzz.h"
#include "wire/msg.h"

static uint8_t out[BGP_MAX_EXT_LEN];

static bool same_text(const struct cap_text *a, const struct cap_text *b)
{
    return a->len == b->len && (!a->len || !memcmp(a->p, b->p, a->len));
}

/* Texts compared by content, the rest as it lies there. */
static bool same_capabilities(const struct capabilities *a, const struct capabilities *b)
{
    struct capabilities x = *a, y = *b;
    if (!same_text(&a->hostname, &b->hostname) || !same_text(&a->domain, &b->domain))
        return false;
    memset(&x.hostname, 0, sizeof x.hostname), memset(&x.domain, 0, sizeof x.domain);
    memset(&y.hostname, 0, sizeof y.hostname), memset(&y.domain, 0, sizeof y.domain);
    if (!x.family[FAM_IPV4] && !x.family[FAM_IPV6]) /* of families we do not know */
        x.has_multiprotocol = y.has_multiprotocol = false;
    return !memcmp(&x, &y, sizeof x);
}

static void take_open(const uint8_t *body, size_t n)
{
    static struct open_msg first, second; /* static: padding is zero in both */
    struct bgp_error e = {0};
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    if (open_decode(body, n, &first, &e)) {
        FUZZ_CHECK(e.code == BGP_ERR_OPEN);
        return;
    }
    FUZZ_CHECK(first.asn && first.id && first.hold_time != 1 && first.hold_time != 2);
    struct capabilities both = capabilities_negotiate(&first.caps, &first.caps);
    FUZZ_CHECK(both.as4 == first.caps.as4);
    if (first.caps.role_conflict) /* says nothing that could be said again */
        return;
    struct wire_writer w = wire_writer(out, sizeof out);
    open_encode(&w, &first);
    FUZZ_CHECK(!w.err && !open_decode(out + BGP_HEADER_LEN, wire_len(&w) - BGP_HEADER_LEN, &second, &e));
    FUZZ_CHECK(first.asn == second.asn && first.hold_time == second.hold_time && first.id == second.id);
    FUZZ_CHECK(same_capabilities(&first.caps, &second.caps));
}

static void take_notification(const uint8_t *body, size_t n)
{
    struct bgp_error first = {0}, second = {0};
    char text[512];
    if (notification_decode(body, n, &first))
        return;
    bgp_error_format(&first, text, sizeof text);
    FUZZ_CHECK(*text && strlen(text) < sizeof text);
    bgp_error_message(&first, text, sizeof text);
    for (const char *c = text; *c; c++)
        FUZZ_CHECK((unsigned char)*c >= ' ' && *c != 0x7f);
    struct wire_writer w = wire_writer(out, sizeof out);
    notification_encode(&w, &first);
    FUZZ_CHECK(!w.err && !notification_decode(out + BGP_HEADER_LEN, wire_len(&w) - BGP_HEADER_LEN, &second));
    FUZZ_CHECK(first.code == second.code && first.subcode == second.subcode && first.len == second.len &&
               !memcmp(first.data, second.data, first.len));
}

static void take_refresh(const uint8_t *body, size_t n)
{
    struct refresh_msg first, second;
    struct bgp_error e = {0};
    if (refresh_decode(body, n, &first, &e))
        return;
    struct wire_writer w = wire_writer(out, sizeof out);
    refresh_encode(&w, &first);
    FUZZ_CHECK(!w.err && !refresh_decode(out + BGP_HEADER_LEN, wire_len(&w) - BGP_HEADER_LEN, &second, &e));
    FUZZ_CHECK(first.afi == second.afi && first.safi == second.safi && first.subtype == second.subtype);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    size_t max = fuzz_u8(&in) & 1 ? BGP_MAX_EXT_LEN : BGP_MAX_LEN;
    while (in.n >= BGP_HEADER_LEN) {
        enum bgp_msg_type type;
        struct bgp_error e = {0};
        size_t len;
        if (msg_header_decode(in.p, max, &type, &len, &e)) {
            FUZZ_CHECK(e.code);
            return 0;
        }
        FUZZ_CHECK(len >= BGP_HEADER_LEN && len <= max);
        if (len > in.n)
            return 0;
        const uint8_t *body = in.p + BGP_HEADER_LEN;
        size_t n = len - BGP_HEADER_LEN;
        if (type == BGP_OPEN)
            take_open(body, n);
        else if (type == BGP_NOTIFICATION)
            take_notification(body, n);
        else if (type == BGP_ROUTE_REFRESH)
            take_refresh(body, n);
        in.p += len;
        in.n -= len;
    }
    return 0;
}
