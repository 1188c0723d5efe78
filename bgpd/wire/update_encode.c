/* Writing UPDATEs. One message carries one kind of thing (RFC 7606 5.1): announced or withdrawn prefixes of
 * one family, as many as fit, so that a table of routes with few distinct attributes takes few messages. The
 * attributes are written straight from the interned object through the rows of attr.c; what changes on the
 * way out to this peer is decided in those rows from update_export. A message that turns out not to fit
 * leaves the writer as it was. */
#include "wire/attr.h"
#include "wire/attr_mp.h"
#include "wire/nlri.h"

/* RFC 4271 5.1.3. A link-local address means nothing beyond the link that it came from, and one of the other
 * family nothing to a peer without RFC 8950: we stand in for both. */
static bool choose_next_hop(struct pa_encoder *e)
{
    const struct ip_addr *theirs = &e->b.nexthop, *self = &e->x->nexthop[e->f];
    bool takes_ipv6 = e->f == FAM_IPV6 || e->x->extended_nexthop;
    bool may = e->b.flags & ATTR_AS_IS || (!e->x->nexthop_self && !e->x->ebgp);
    bool keep = may && !addr_is_link_local(theirs) &&
                (theirs->af == family_to_af(e->f) || (theirs->af == AF_INET6 && takes_ipv6));
    e->next_hop = keep ? *theirs : *self;
    return e->next_hop.af == family_to_af(e->f) || (e->next_hop.af == AF_INET6 && takes_ipv6);
}

/* A writer over the next max_len bytes of w. */
static bool open_message(struct wire_writer *w, const struct update_export *x, struct wire_writer *out,
                         uint8_t **start)
{
    if (w->err || wire_room(w) < x->max_len || x->max_len < BGP_HEADER_LEN + 4)
        return false;
    *out = wire_writer(w->p, x->max_len);
    *start = msg_begin(out, BGP_UPDATE);
    return *start;
}

static unsigned close_message(struct wire_writer *w, struct wire_writer *m, uint8_t *start, unsigned count)
{
    if (m->err || !count)
        return 0;
    msg_end(m, start);
    w->p = m->p;
    return count;
}

static unsigned put_nlri(struct wire_writer *m, const struct prefix *prefixes, const uint32_t *ids,
                         unsigned n, size_t room)
{
    size_t bytes;
    unsigned count = nlri_fit(prefixes, ids, n, room, &bytes);
    nlri_put(m, prefixes, ids, count);
    return count;
}

unsigned update_encode_reach(struct wire_writer *w, const struct update_export *x, const struct attr_table *t,
                             const struct attr *a, enum family f, const struct prefix *prefixes, unsigned n)
{
    return update_encode_reach_paths(w, x, t, a, f, prefixes, NULL, n);
}

unsigned update_encode_reach_paths(struct wire_writer *w, const struct update_export *x,
                                   const struct attr_table *t, const struct attr *a, enum family f,
                                   const struct prefix *prefixes, const uint32_t *ids, unsigned n)
{
    struct wire_writer m;
    uint8_t *start;
    unsigned count = 0;
    if (!open_message(w, x, &m, &start))
        return 0;
    struct pa_encoder e = {.w = &m, .x = x, .f = f};
    attr_to_build(t, a, &e.b);
    e.originated = !e.b.nexthop.af || e.b.flags & ATTR_AS_IS;
    if (!choose_next_hop(&e))
        return 0;
    wire_put_u16(&m, 0); /* no withdrawn routes */
    uint8_t *len = wire_reserve(&m, 2), *attrs = m.p;
    pa_encode_all(&e);
    if (m.err)
        return 0;
    bool classic = e.next_hop.af == AF_INET;
    if (!classic)
        count = encode_mp_reach(&e, attrs, prefixes, ids, n);
    wire_set_u16(len, (uint16_t)(m.p - attrs));
    if (classic)
        count = put_nlri(&m, prefixes, ids, n, wire_room(&m));
    return close_message(w, &m, start, count);
}

unsigned update_encode_unreach(struct wire_writer *w, const struct update_export *x, enum family f,
                               const struct prefix *prefixes, unsigned n)
{
    return update_encode_unreach_paths(w, x, f, prefixes, NULL, n);
}

unsigned update_encode_unreach_paths(struct wire_writer *w, const struct update_export *x, enum family f,
                                     const struct prefix *prefixes, const uint32_t *ids, unsigned n)
{
    struct wire_writer m;
    uint8_t *start;
    unsigned count;
    if (!open_message(w, x, &m, &start))
        return 0;
    uint8_t *withdrawn = wire_reserve(&m, 2);
    if (f == FAM_IPV4) {
        count = put_nlri(&m, prefixes, ids, n, wire_room(&m) - 2);
        wire_set_u16(withdrawn, (uint16_t)(m.p - withdrawn - 2));
        wire_put_u16(&m, 0);
    } else {
        wire_set_u16(withdrawn, 0);
        uint8_t *attrs = wire_reserve(&m, 2);
        count = encode_mp_unreach(&m, f, prefixes, ids, n);
        wire_set_u16(attrs, (uint16_t)(m.p - attrs - 2));
    }
    return close_message(w, &m, start, count);
}

void update_encode_eor(struct wire_writer *w, enum family f)
{
    static const uint8_t ipv4[] = {0, 0, 0, 0};
    static const uint8_t ipv6[] = {0, 0, 0, 6, PA_FLAG_OPTIONAL, PA_MP_UNREACH, 3, 0, AFI_IPV6, SAFI_UNICAST};
    uint8_t *start = msg_begin(w, BGP_UPDATE);
    wire_put_bytes(w, f == FAM_IPV6 ? ipv6 : ipv4, f == FAM_IPV6 ? sizeof ipv6 : sizeof ipv4);
    msg_end(w, start);
}
