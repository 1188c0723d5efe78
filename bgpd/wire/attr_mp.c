/* The multiprotocol attributes (RFC 4760): they carry NLRI, so an error in them is one after which nobody
 * knows what was announced, and the session is reset (RFC 7606 5.3, 7.11; we do not disable single families).
 * Families that were not negotiated are framed and then ignored. A next hop that is well formed but no host
 * address costs only the routes.
 *
 * IPv4 routes may have an IPv6 next hop where that was negotiated (RFC 8950); the length says which it is.
 * They are withdrawn in the classic field all the same, which every speaker reads. */
#include "wire/attr_mp.h"

#include "wire/nlri.h"

/* RFC 2545 section 3: a global address, maybe followed by a link-local one; the global one is what can be
 * compared and tracked, but between link-local addresses nothing says that we can reach it. A link-local
 * address alone, twice, or beside a void global one is what unnumbered peers send. */
static bool pick_next_hop(const struct update_ctx *ctx, const uint8_t *p, size_t n, struct ip_addr *out)
{
    static const uint8_t v4_mapped[12] = {[10] = 0xff, 0xff};
    *out = addr_from_bytes(n == 4 ? AF_INET : AF_INET6, p);
    if (n == 4)
        return p[0] != 0 && p[0] != 127 && p[0] < 224;
    if (n == 32) {
        struct ip_addr second = addr_from_bytes(AF_INET6, p + 16);
        bool both = addr_is_link_local(&second) && ctx->link_local;
        if (both || addr_is_link_local(out) || addr_is_unspecified(out))
            *out = second;
    }
    if (addr_is_link_local(out))
        return ctx->scope != 0;
    if (!memcmp(out->b, v4_mapped, sizeof v4_mapped)) /* RFC 4291 2.5.5.2: of no host on a wire */
        return false;
    return !addr_is_unspecified(out) && !addr_is_loopback(out) && !addr_is_multicast(out);
}

uint8_t decode_mp_reach(struct pa_decoder *d, const struct pa_tlv *t)
{
    struct wire_reader r = wire_reader(t->value, t->len);
    enum family f;
    uint16_t afi = wire_get_u16(&r);
    uint8_t safi = wire_get_u8(&r), len = wire_get_u8(&r);
    const uint8_t *next_hop = wire_get_bytes(&r, len);
    wire_get_u8(&r); /* reserved */
    if (r.err)
        return BGP_ERR_UPD_OPTIONAL;
    d->mp_head = (struct nlri_span){t->value, 4u + len};
    d->reach |= wire_left(&r) > 0;
    if (!family_from_afi(afi, safi, &f) || !d->ctx->family[f])
        return 0;
    bool is_ipv6 = len == 16 || len == 32;
    if (f == FAM_IPV4 ? len != 4 && !(is_ipv6 && d->ctx->extended_nexthop) : !is_ipv6)
        return BGP_ERR_UPD_OPTIONAL;
    if (!nlri_check(r.p, wire_left(&r), f, d->ctx->add_path[f]))
        return BGP_ERR_UPD_OPTIONAL;
    d->out->reach[f][1] = (struct nlri_span){r.p, (uint32_t)wire_left(&r)};
    if (!pick_next_hop(d->ctx, next_hop, len, &d->mp_next_hop))
        update_offend_why(d->out, UPDATE_TREAT_AS_WITHDRAW, BGP_ERR_UPD_OPTIONAL, t->type,
                          "its next hop is not the address of a host", t->start, pa_tlv_size(t));
    return 0;
}

uint8_t decode_mp_unreach(struct pa_decoder *d, const struct pa_tlv *t)
{
    struct wire_reader r = wire_reader(t->value, t->len);
    enum family f;
    uint16_t afi = wire_get_u16(&r);
    uint8_t safi = wire_get_u8(&r);
    if (!family_from_afi(afi, safi, &f) || !d->ctx->family[f])
        return 0;
    if (!nlri_check(r.p, wire_left(&r), f, d->ctx->add_path[f]))
        return BGP_ERR_UPD_OPTIONAL;
    d->out->withdrawn[f][1] = (struct nlri_span){r.p, (uint32_t)wire_left(&r)};
    d->unreach_empty[f] = !wire_left(&r);
    return 0;
}

static void put_head(struct wire_writer *w, uint8_t type, size_t body, enum family f)
{
    if (body > UINT8_MAX) {
        wire_put_u8(w, PA_FLAG_OPTIONAL | PA_FLAG_EXTENDED);
        wire_put_u8(w, type);
        wire_put_u16(w, (uint16_t)body);
    } else {
        wire_put_u8(w, PA_FLAG_OPTIONAL);
        wire_put_u8(w, type);
        wire_put_u8(w, (uint8_t)body);
    }
    wire_put_u16(w, f == FAM_IPV6 ? AFI_IPV6 : AFI_IPV4);
    wire_put_u8(w, SAFI_UNICAST);
}

unsigned encode_mp_reach(struct pa_encoder *e, uint8_t *at, const struct prefix *prefixes,
                         const uint32_t *ids, unsigned n)
{
    const struct ip_addr *second = &e->x->link_local;
    bool self = addr_equal(&e->next_hop, &e->x->nexthop[e->f]), two = self && second->af == AF_INET6;
    size_t one = family_bytes(addr_family(&e->next_hop)), hop = two ? 2 * one : one;
    size_t fixed = 5 + hop, bytes, others = (size_t)(e->w->p - at), room = wire_room(e->w);
    if (room < 4 + fixed)
        return 0;
    unsigned count = nlri_fit(prefixes, ids, n, room - 4 - fixed, &bytes);
    size_t body = fixed + bytes, size = body + (body > UINT8_MAX ? 4 : 3);
    if (!count || !wire_reserve(e->w, size))
        return 0;
    memmove(at + size, at, others);
    struct wire_writer w = wire_writer(at, size);
    put_head(&w, PA_MP_REACH, body, e->f);
    wire_put_u8(&w, (uint8_t)hop);
    wire_put_bytes(&w, e->next_hop.b, one);
    wire_put_bytes(&w, second->b, hop - one);
    wire_put_u8(&w, 0);
    nlri_put(&w, prefixes, ids, count);
    return count;
}

unsigned encode_mp_unreach(struct wire_writer *w, enum family f, const struct prefix *prefixes,
                           const uint32_t *ids, unsigned n)
{
    size_t bytes, room = wire_room(w);
    if (room < 7)
        return 0;
    unsigned count = nlri_fit(prefixes, ids, n, room - 7, &bytes);
    put_head(w, PA_MP_UNREACH, 3 + bytes, f);
    nlri_put(w, prefixes, ids, count);
    return count;
}
