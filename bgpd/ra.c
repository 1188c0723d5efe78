/* Router Advertisements and Solicitations on the wire.
 *
 * Only what a router needs to know of another one on the link is kept: that it is there, and what it says of
 * itself. Prefixes, routes and DNS servers are for hosts, and pass as any unknown option does: skipped, but
 * with a length that must be sound, since "an implementation MUST silently discard" a message with a zero one
 * (RFC 4861 4.6). A message is judged whole before anything of it is used. */
#include "ra.h"

#include <errno.h>
#include <string.h>

#include "wire/wire.h"

#define SOLICITATION_LEN  8  /* RFC 4861 6.1.1 */
#define ADVERTISEMENT_LEN 16 /* 6.1.2 */

enum { OPT_SOURCE_LLADDR = 1, OPT_MTU = 5 };

/* 4.6: type, length in units of 8 octets with these two, value. */
static int decode_options(struct wire_reader *r, struct ra_msg *m)
{
    while (wire_left(r)) {
        uint8_t type = wire_get_u8(r);
        size_t len = 8u * wire_get_u8(r);
        if (r->err || len < 8 || wire_left(r) < len - 2)
            return -EBADMSG;
        struct wire_reader v = wire_get_sub(r, len - 2);
        if (type == OPT_SOURCE_LLADDR && len == 8) {
            m->has_lladdr = true;
            memcpy(m->lladdr, wire_get_bytes(&v, sizeof m->lladdr), sizeof m->lladdr);
        } else if (type == OPT_MTU && len == 8) {
            wire_get_u16(&v); /* reserved */
            m->mtu = wire_get_u32(&v);
        }
    }
    return 0;
}

int ra_decode(const uint8_t *icmp, size_t n, struct ra_msg *out)
{
    struct wire_reader r = wire_reader(icmp, n);
    uint8_t type = wire_get_u8(&r), code = wire_get_u8(&r);

    *out = (struct ra_msg){0};
    if (!r.err && type != RA_SOLICITATION && type != RA_ADVERTISEMENT)
        return -ENOMSG;
    if (r.err || code != 0 || n < (type == RA_SOLICITATION ? SOLICITATION_LEN : ADVERTISEMENT_LEN))
        return -EBADMSG;
    out->type = type;
    wire_get_u16(&r); /* checksum */
    if (type == RA_SOLICITATION) {
        wire_get_u32(&r); /* reserved */
    } else {
        out->hop_limit = wire_get_u8(&r);
        out->flags = wire_get_u8(&r);
        out->lifetime = wire_get_u16(&r);
        out->reachable_ms = wire_get_u32(&r);
        out->retrans_ms = wire_get_u32(&r);
    }
    return decode_options(&r, out);
}

bool ra_packet_is_valid(const struct ra_msg *m, const struct ip_addr *source, int hop_limit)
{
    if (hop_limit != RA_HOP_LIMIT || source->af != AF_INET6)
        return false;
    if (m->type == RA_ADVERTISEMENT) /* "routers must use their link-local address as the source" */
        return addr_is_link_local(source);
    return !addr_is_unspecified(source) || !m->has_lladdr;
}

size_t ra_encode(const struct ra_msg *m, uint8_t *buf, size_t size)
{
    struct wire_writer w = wire_writer(buf, size);
    wire_put_u8(&w, (uint8_t)m->type);
    wire_put_u8(&w, 0);
    wire_put_u16(&w, 0); /* checksum */
    if (m->type == RA_SOLICITATION) {
        wire_put_u32(&w, 0);
    } else {
        wire_put_u8(&w, m->hop_limit);
        wire_put_u8(&w, m->flags);
        wire_put_u16(&w, m->lifetime);
        wire_put_u32(&w, m->reachable_ms);
        wire_put_u32(&w, m->retrans_ms);
    }
    if (m->has_lladdr) {
        wire_put_u8(&w, OPT_SOURCE_LLADDR);
        wire_put_u8(&w, 1);
        wire_put_bytes(&w, m->lladdr, sizeof m->lladdr);
    }
    if (m->mtu) {
        wire_put_u8(&w, OPT_MTU);
        wire_put_u8(&w, 1);
        wire_put_u16(&w, 0);
        wire_put_u32(&w, m->mtu);
    }
    return w.err ? 0 : wire_len(&w);
}
