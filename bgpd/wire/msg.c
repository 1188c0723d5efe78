/* The messages but UPDATE: header, OPEN, NOTIFICATION, KEEPALIVE, ROUTE-REFRESH (RFC 4271 section 4, RFC
 * 2918). Decoders name the NOTIFICATION that the RFC asks for when they refuse; whether it is sent is the
 * session's decision, as is everything that needs to know the peer (its AS, its identifier, negotiated
 * capabilities). */
#include "wire/msg.h"

#include <errno.h>

static int refuse(struct bgp_error *err, uint8_t code, uint8_t subcode, const void *data, size_t len)
{
    *err = bgp_error_make(code, subcode, data, len);
    return -EBADMSG;
}

/* RFC 4271 6.1 wants the least length of each type; RFC 2918 fixes that of ROUTE-REFRESH. */
static const struct {
    uint16_t min, max;
} lengths[] = {
    [BGP_OPEN] = {29, BGP_MAX_LEN}, /* RFC 8654 section 3: never extended, nor KEEPALIVE */
    [BGP_UPDATE] = {23, BGP_MAX_EXT_LEN},
    [BGP_NOTIFICATION] = {21, BGP_MAX_EXT_LEN},
    [BGP_KEEPALIVE] = {BGP_HEADER_LEN, BGP_HEADER_LEN},
    [BGP_ROUTE_REFRESH] = {23, BGP_MAX_EXT_LEN},
};

int msg_header_decode(const uint8_t *p, size_t max_len, enum bgp_msg_type *type, size_t *len,
                      struct bgp_error *err)
{
    static const uint8_t marker[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                       0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint16_t n = (uint16_t)(p[16] << 8 | p[17]);
    uint8_t t = p[18];
    if (memcmp(p, marker, sizeof marker))
        return refuse(err, BGP_ERR_HEADER, BGP_ERR_HDR_SYNC, NULL, 0);
    if (n < BGP_HEADER_LEN || n > max_len)
        return refuse(err, BGP_ERR_HEADER, BGP_ERR_HDR_LENGTH, p + 16, 2);
    if (t < BGP_OPEN || t > BGP_ROUTE_REFRESH)
        return refuse(err, BGP_ERR_HEADER, BGP_ERR_HDR_TYPE, p + 18, 1);
    if (n < lengths[t].min || n > lengths[t].max)
        return refuse(err, BGP_ERR_HEADER, BGP_ERR_HDR_LENGTH, p + 16, 2);
    *type = (enum bgp_msg_type)t;
    *len = n;
    return 0;
}

uint8_t *msg_begin(struct wire_writer *w, enum bgp_msg_type type)
{
    uint8_t *start = wire_reserve(w, BGP_HEADER_LEN);
    if (!start)
        return NULL;
    memset(start, 0xff, 16);
    wire_set_u16(start + 16, 0);
    start[18] = (uint8_t)type;
    return start;
}

void msg_end(struct wire_writer *w, uint8_t *start)
{
    if (start && !w->err)
        wire_set_u16(start + 16, (uint16_t)(w->p - start));
}

enum { PARAM_CAPABILITIES = 2, PARAM_EXTENDED_LENGTH = 255 /* RFC 9072 section 2 */ };

/* Capabilities are all that is left of the optional parameters: RFC 5492 took over from authentication. */
static int decode_params(struct wire_reader *r, bool extended, struct open_msg *out, struct bgp_error *err)
{
    while (wire_left(r)) {
        uint8_t type = wire_get_u8(r);
        struct wire_reader v = wire_get_sub(r, extended ? wire_get_u16(r) : wire_get_u8(r));
        if (r->err)
            return refuse(err, BGP_ERR_OPEN, 0, NULL, 0);
        if (type != PARAM_CAPABILITIES)
            return refuse(err, BGP_ERR_OPEN, BGP_ERR_OPEN_PARAM, NULL, 0);
        if (capabilities_decode(v.p, wire_left(&v), &out->caps))
            return refuse(err, BGP_ERR_OPEN, 0, NULL, 0);
    }
    return 0;
}

int open_decode(const uint8_t *body, size_t n, struct open_msg *out, struct bgp_error *err)
{
    struct wire_reader r = wire_reader(body, n);
    memset(out, 0, sizeof *out);
    uint8_t version = wire_get_u8(&r);
    out->my_as = wire_get_u16(&r);
    out->hold_time = wire_get_u16(&r);
    out->id = wire_get_u32(&r);
    size_t len = wire_get_u8(&r);
    if (r.err)
        return refuse(err, BGP_ERR_OPEN, 0, NULL, 0);
    if (version != BGP_VERSION)
        return refuse(err, BGP_ERR_OPEN, BGP_ERR_OPEN_VERSION, (uint8_t[]){0, BGP_VERSION}, 2);

    bool extended = len && wire_left(&r) && *r.p == PARAM_EXTENDED_LENGTH;
    if (extended) {
        wire_get_u8(&r);
        len = wire_get_u16(&r);
    }
    if (r.err || len != wire_left(&r))
        return refuse(err, BGP_ERR_OPEN, 0, NULL, 0);
    int rc = decode_params(&r, extended, out, err);
    if (rc)
        return rc;

    out->asn = out->caps.as4 ? out->caps.asn : out->my_as;
    if (!out->asn || !out->my_as) /* RFC 7607 */
        return refuse(err, BGP_ERR_OPEN, BGP_ERR_OPEN_PEER_AS, NULL, 0);
    if (out->hold_time == 1 || out->hold_time == 2)
        return refuse(err, BGP_ERR_OPEN, BGP_ERR_OPEN_HOLD_TIME, NULL, 0);
    if (!out->id) /* RFC 6286 2.1: any other value will do */
        return refuse(err, BGP_ERR_OPEN, BGP_ERR_OPEN_ID, NULL, 0);
    return 0;
}

/* All capabilities in one parameter (RFC 5492 section 4). When that does not fit the one octet of a length:
 * RFC 9072 section 2. */
static void encode_params(struct wire_writer *w, const struct capabilities *caps)
{
    uint8_t *len = wire_reserve(w, 1), *start = wire_reserve(w, 2);
    capabilities_encode(w, caps);
    if (!len || !start || w->err)
        return;
    size_t n = (size_t)(w->p - start - 2);
    if (!n) {
        w->p = start;
        *len = 0;
        return;
    }
    if (n + 2 <= UINT8_MAX) {
        *len = (uint8_t)(n + 2);
        start[0] = PARAM_CAPABILITIES;
        start[1] = (uint8_t)n;
        return;
    }
    if (!wire_reserve(w, 4))
        return;
    memmove(start + 6, start + 2, n);
    *len = UINT8_MAX;
    start[0] = PARAM_EXTENDED_LENGTH;
    wire_set_u16(start + 1, (uint16_t)(n + 3));
    start[3] = PARAM_CAPABILITIES;
    wire_set_u16(start + 4, (uint16_t)n);
}

void open_encode(struct wire_writer *w, const struct open_msg *m)
{
    uint8_t *start = msg_begin(w, BGP_OPEN);
    wire_put_u8(w, BGP_VERSION);
    wire_put_u16(w, m->my_as);
    wire_put_u16(w, m->hold_time);
    wire_put_u32(w, m->id);
    encode_params(w, &m->caps);
    msg_end(w, start);
}

int notification_decode(const uint8_t *body, size_t n, struct bgp_error *out)
{
    if (n < 2)
        return -EBADMSG;
    *out = bgp_error_make(body[0], body[1], body + 2, n - 2);
    return 0;
}

void notification_encode(struct wire_writer *w, const struct bgp_error *e)
{
    uint8_t *start = msg_begin(w, BGP_NOTIFICATION);
    wire_put_u8(w, e->code);
    wire_put_u8(w, e->subcode);
    wire_put_bytes(w, e->data, e->len);
    msg_end(w, start);
}

void keepalive_encode(struct wire_writer *w)
{
    msg_end(w, msg_begin(w, BGP_KEEPALIVE));
}

int refresh_decode(const uint8_t *body, size_t n, struct refresh_msg *out, struct bgp_error *err)
{
    struct wire_reader r = wire_reader(body, n);
    out->afi = wire_get_u16(&r);
    out->subtype = wire_get_u8(&r);
    out->safi = wire_get_u8(&r);
    if (!r.err && !wire_left(&r))
        return 0;
    uint8_t whole[BGP_ERROR_DATA];
    struct wire_writer w = wire_writer(whole, sizeof whole);
    uint8_t *start = msg_begin(&w, BGP_ROUTE_REFRESH);
    size_t part = n < wire_room(&w) ? n : wire_room(&w);
    wire_put_bytes(&w, body, part);
    wire_set_u16(start + 16, (uint16_t)(BGP_HEADER_LEN + n));
    if (out->subtype == 1 || out->subtype == 2) /* RFC 7313 section 5: with the message as data */
        return refuse(err, BGP_ERR_ROUTE_REFRESH, 1, whole, wire_len(&w));
    return refuse(err, BGP_ERR_HEADER, BGP_ERR_HDR_LENGTH, start + 16, 2);
}

void refresh_encode(struct wire_writer *w, const struct refresh_msg *m)
{
    uint8_t *start = msg_begin(w, BGP_ROUTE_REFRESH);
    wire_put_u16(w, m->afi);
    wire_put_u8(w, m->subtype);
    wire_put_u8(w, m->safi);
    msg_end(w, start);
}
