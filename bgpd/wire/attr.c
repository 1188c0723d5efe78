/* The path attributes as a table: each row has the flags and lengths that the attribute must have, how its
 * value is read and written, and the RFC 7606 action when any of this is wrong. The checks that all
 * attributes share (flags, length, repeats, who may send it) run here over the rows; the functions of a row
 * look only at the value. Values that are stored as they came (paths, communities) are borrowed from the
 * message, not copied: interning copies them once. What needs several attributes (AS4_PATH, those that are
 * passed on unread) waits for pa_finish. MP_REACH and MP_UNREACH are in attr_mp.c. */
#include "wire/attr.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/community.h"
#include "wire/aspath.h"
#include "wire/attr_mp.h"
#include "wire/otc.h"

#define WELL_KNOWN     PA_FLAG_TRANSITIVE
#define OPT_TRANSITIVE (PA_FLAG_OPTIONAL | PA_FLAG_TRANSITIVE)
#define OPTIONAL       PA_FLAG_OPTIONAL

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* RFC 4271 section 5: once set it stays set. */
static void keep_partial(struct pa_decoder *d, const struct pa_tlv *t, uint8_t which)
{
    if (t->flags & PA_FLAG_PARTIAL)
        d->build.partial |= which;
}

static uint8_t decode_origin(struct pa_decoder *d, const struct pa_tlv *t)
{
    d->build.origin = t->value[0];
    return t->value[0] > ORIGIN_INCOMPLETE ? BGP_ERR_UPD_ORIGIN : 0;
}

static uint8_t decode_as_path(struct pa_decoder *d, const struct pa_tlv *t)
{
    if (!aspath_check(t->value, t->len, d->ctx->as4 ? 4 : 2, d->ctx->confederation))
        return BGP_ERR_UPD_AS_PATH;
    d->as_path = *t;
    return 0;
}

/* RFC 4271 6.3: "a valid IP host address". RFC 4760 section 3: ignored where all the NLRI is in MP_REACH. */
static uint8_t decode_next_hop(struct pa_decoder *d, const struct pa_tlv *t)
{
    d->next_hop = addr_from_bytes(AF_INET, t->value);
    bool host = t->value[0] != 0 && t->value[0] != 127 && t->value[0] < 224;
    return d->classic && !host ? BGP_ERR_UPD_NEXT_HOP : 0;
}

static uint8_t decode_med(struct pa_decoder *d, const struct pa_tlv *t)
{
    d->build.med = get_u32(t->value);
    d->build.flags |= ATTR_HAS_MED;
    return 0;
}

static uint8_t decode_local_pref(struct pa_decoder *d, const struct pa_tlv *t)
{
    d->build.local_pref = get_u32(t->value);
    d->build.flags |= ATTR_HAS_LOCAL_PREF;
    return 0;
}

static uint8_t decode_atomic_aggregate(struct pa_decoder *d, const struct pa_tlv *t)
{
    (void)t;
    d->build.flags |= ATTR_ATOMIC_AGGREGATE;
    return 0;
}

static uint8_t decode_aggregator(struct pa_decoder *d, const struct pa_tlv *t)
{
    if (t->len != (d->ctx->as4 ? 8 : 6))
        return BGP_ERR_UPD_LENGTH;
    struct wire_reader r = wire_reader(t->value, t->len);
    uint32_t as = d->ctx->as4 ? wire_get_u32(&r) : wire_get_u16(&r);
    if (!as) /* RFC 7607 */
        return BGP_ERR_UPD_OPTIONAL;
    d->build.aggregator_as = as;
    d->build.aggregator_id = wire_get_u32(&r);
    d->build.flags |= ATTR_HAS_AGGREGATOR;
    keep_partial(d, t, PARTIAL_AGGREGATOR);
    d->aggregator_is_trans = as == BGP_AS_TRANS;
    return 0;
}

static uint8_t decode_originator(struct pa_decoder *d, const struct pa_tlv *t)
{
    d->build.originator_id = get_u32(t->value);
    d->build.flags |= ATTR_HAS_ORIGINATOR;
    return 0;
}

static uint8_t borrow(struct pa_decoder *d, const struct pa_tlv *t, enum attr_part part, uint8_t partial)
{
    keep_partial(d, t, partial);
    d->build.part[part] = t->value;
    d->build.part_len[part] = t->len;
    return 0;
}

static uint8_t decode_communities(struct pa_decoder *d, const struct pa_tlv *t)
{
    return borrow(d, t, PART_COMMUNITY, PARTIAL_COMMUNITY);
}

static uint8_t decode_extended(struct pa_decoder *d, const struct pa_tlv *t)
{
    return borrow(d, t, PART_EXTENDED, PARTIAL_EXTENDED);
}

static uint8_t decode_large(struct pa_decoder *d, const struct pa_tlv *t)
{
    return borrow(d, t, PART_LARGE, PARTIAL_LARGE);
}

static uint8_t decode_cluster_list(struct pa_decoder *d, const struct pa_tlv *t)
{
    return borrow(d, t, PART_CLUSTER, 0);
}

static uint8_t decode_as4_path(struct pa_decoder *d, const struct pa_tlv *t)
{
    if (!aspath_check(t->value, t->len, 4, true))
        return BGP_ERR_UPD_OPTIONAL;
    if (aspath_has_confed(t->value, t->len)) /* RFC 6793 section 6: left out (aspath_merge), and told */
        update_offend_why(d->out, UPDATE_ATTR_DISCARD, BGP_ERR_UPD_OPTIONAL, PA_AS4_PATH,
                          "confederation segments, which are left out", t->start, pa_tlv_size(t));
    d->as4_path = *t;
    return 0;
}

static uint8_t decode_as4_aggregator(struct pa_decoder *d, const struct pa_tlv *t)
{
    d->as4_aggregator_as = get_u32(t->value);
    d->as4_aggregator_id = get_u32(t->value + 4);
    d->has_as4_aggregator = d->as4_aggregator_as != 0;
    return d->has_as4_aggregator ? 0 : BGP_ERR_UPD_OPTIONAL;
}

static uint8_t decode_otc(struct pa_decoder *d, const struct pa_tlv *t)
{
    return borrow(d, t, PART_OTC, PARTIAL_OTC);
}

static uint8_t carry(struct pa_decoder *d, const struct pa_tlv *t)
{
    d->carried[t->type] = *t;
    d->carried_seen[t->type >> 5] |= 1u << (t->type & 31);
    d->carried_len += 4u + t->len;
    return 0;
}

static uint8_t transitive(const struct pa_encoder *e, uint8_t partial)
{
    return OPT_TRANSITIVE | (e->b.partial & partial ? PA_FLAG_PARTIAL : 0);
}

static uint8_t *begin(struct pa_encoder *e, uint8_t flags, uint8_t type)
{
    uint8_t *p = wire_reserve(e->w, 3);
    if (p) {
        p[0] = flags;
        p[1] = type;
    }
    return p;
}

/* The extended length only where it is needed (RFC 4271 4.3). */
static void end(struct pa_encoder *e, uint8_t *p)
{
    if (!p || e->w->err)
        return;
    size_t len = (size_t)(e->w->p - p - 3);
    p[2] = (uint8_t)len;
    if (len <= UINT8_MAX || !wire_reserve(e->w, 1))
        return;
    memmove(p + 4, p + 3, len);
    p[0] |= PA_FLAG_EXTENDED;
    wire_set_u16(p + 2, (uint16_t)len);
}

static void put_attr(struct pa_encoder *e, uint8_t flags, uint8_t type, const void *value, size_t len)
{
    uint8_t *p = begin(e, flags, type);
    wire_put_bytes(e->w, value, len);
    end(e, p);
}

static void put_attr_u32(struct pa_encoder *e, uint8_t flags, uint8_t type, uint32_t value)
{
    uint8_t *p = begin(e, flags, type);
    wire_put_u32(e->w, value);
    end(e, p);
}

static void encode_origin(struct pa_encoder *e)
{
    put_attr(e, WELL_KNOWN, PA_ORIGIN, &e->b.origin, 1);
}

static void put_path(struct pa_encoder *e, uint8_t flags, uint8_t type, unsigned width, bool strip)
{
    uint8_t *p = begin(e, flags, type);
    aspath_put(e->w, e->b.part[PART_AS_PATH], e->b.part_len[PART_AS_PATH], width,
               e->x->ebgp ? e->x->local_as : 0, strip);
    end(e, p);
}

static void encode_as_path(struct pa_encoder *e)
{
    put_path(e, WELL_KNOWN, PA_AS_PATH, e->x->as4 ? 4 : 2, e->x->ebgp);
}

static void encode_next_hop(struct pa_encoder *e)
{
    if (e->next_hop.af == AF_INET)
        put_attr(e, WELL_KNOWN, PA_NEXT_HOP, e->next_hop.b, 4);
}

/* RFC 4271 5.1.4: one that came from a neighbouring AS stays within ours. */
static void encode_med(struct pa_encoder *e)
{
    if ((e->b.flags & ATTR_HAS_MED) && (!e->x->ebgp || e->originated))
        put_attr_u32(e, OPTIONAL, PA_MED, e->b.med);
}

static void encode_local_pref(struct pa_encoder *e)
{
    if (!e->x->ebgp)
        put_attr_u32(e, WELL_KNOWN, PA_LOCAL_PREF,
                     e->b.flags & ATTR_HAS_LOCAL_PREF ? e->b.local_pref : e->x->default_local_pref);
}

static void encode_atomic_aggregate(struct pa_encoder *e)
{
    if (e->b.flags & ATTR_ATOMIC_AGGREGATE)
        put_attr(e, WELL_KNOWN, PA_ATOMIC_AGGREGATE, NULL, 0);
}

static void encode_aggregator(struct pa_encoder *e)
{
    if (!(e->b.flags & ATTR_HAS_AGGREGATOR))
        return;
    uint8_t *p = begin(e, transitive(e, PARTIAL_AGGREGATOR), PA_AGGREGATOR);
    if (e->x->as4)
        wire_put_u32(e->w, e->b.aggregator_as);
    else
        wire_put_u16(e->w, e->b.aggregator_as > UINT16_MAX ? BGP_AS_TRANS : (uint16_t)e->b.aggregator_as);
    wire_put_u32(e->w, e->b.aggregator_id);
    end(e, p);
}

static void put_part(struct pa_encoder *e, uint8_t flags, uint8_t type, enum attr_part part)
{
    if (e->b.part_len[part])
        put_attr(e, flags, type, e->b.part[part], e->b.part_len[part]);
}

static void encode_communities(struct pa_encoder *e)
{
    put_part(e, transitive(e, PARTIAL_COMMUNITY), PA_COMMUNITIES, PART_COMMUNITY);
}

static void encode_originator(struct pa_encoder *e)
{
    if (!e->x->ebgp && (e->b.flags & ATTR_HAS_ORIGINATOR))
        put_attr_u32(e, OPTIONAL, PA_ORIGINATOR_ID, e->b.originator_id);
}

static void encode_cluster_list(struct pa_encoder *e)
{
    if (!e->x->ebgp)
        put_part(e, OPTIONAL, PA_CLUSTER_LIST, PART_CLUSTER);
}

/* RFC 4360 section 3: those with the 0x40 bit do not cross an AS boundary. Our own first hop out is none. */
static void encode_extended(struct pa_encoder *e)
{
    const uint8_t *c = e->b.part[PART_EXTENDED], *stop = c + e->b.part_len[PART_EXTENDED];
    bool all = !e->x->ebgp || e->originated;
    uint8_t *p = NULL;
    for (; c < stop; c += 8) {
        if (!all && (c[0] & 0x40))
            continue;
        if (!p)
            p = begin(e, transitive(e, PARTIAL_EXTENDED), PA_EXTENDED_COMMUNITIES);
        wire_put_bytes(e->w, c, 8);
    }
    end(e, p);
}

/* RFC 6793 4.2.2: only where the AS_PATH cannot say it. */
static void encode_as4_path(struct pa_encoder *e)
{
    bool wide = (e->x->ebgp && e->x->local_as > UINT16_MAX) ||
                aspath_is_wide(e->b.part[PART_AS_PATH], e->b.part_len[PART_AS_PATH]);
    if (!e->x->as4 && wide)
        put_path(e, OPT_TRANSITIVE, PA_AS4_PATH, 4, true);
}

static void encode_as4_aggregator(struct pa_encoder *e)
{
    if (e->x->as4 || !(e->b.flags & ATTR_HAS_AGGREGATOR) || e->b.aggregator_as <= UINT16_MAX)
        return;
    uint8_t *p = begin(e, transitive(e, PARTIAL_AGGREGATOR), PA_AS4_AGGREGATOR);
    wire_put_u32(e->w, e->b.aggregator_as);
    wire_put_u32(e->w, e->b.aggregator_id);
    end(e, p);
}

static void encode_large(struct pa_encoder *e)
{
    put_part(e, transitive(e, PARTIAL_LARGE), PA_LARGE_COMMUNITIES, PART_LARGE);
}

/* RFC 9234 section 5, egress 1; what is there stays as it is. */
static void encode_otc(struct pa_encoder *e)
{
    put_part(e, transitive(e, PARTIAL_OTC), PA_OTC, PART_OTC);
    if (!e->b.part_len[PART_OTC] && otc_peer_is_below(e->x->role))
        put_attr_u32(e, OPT_TRANSITIVE, PA_OTC, e->x->local_as);
}

enum sender { /* who may send it; from others it is discarded */
              ANY,
              INTERNAL, /* iBGP peers */
              OLD       /* peers with two-octet ASNs */
};

#define DISCARD  UPDATE_ATTR_DISCARD
#define WITHDRAW UPDATE_TREAT_AS_WITHDRAW
#define RESET    UPDATE_RESET
#define LONG     UINT16_MAX

static const struct row {
    const char *name;
    uint8_t flags; /* the Optional and Transitive bits */
    enum sender from;
    uint16_t min, max, unit; /* octets; the length is a multiple of unit */
    uint8_t (*decode)(struct pa_decoder *d, const struct pa_tlv *t); /* 0 or the UPDATE error subcode */
    void (*encode)(struct pa_encoder *e);
    enum update_action on_error; /* RFC 7606 section 7 */
    enum update_action on_flags; /* RFC 7606 3 c, but 3 f and 5.3 */
} rows[] = {
    /* clang-format off */
    [PA_ORIGIN]               = {"origin", WELL_KNOWN, ANY, 1, 1, 1, decode_origin, encode_origin, WITHDRAW, WITHDRAW},
    [PA_AS_PATH]              = {"as-path", WELL_KNOWN, ANY, 0, LONG, 1, decode_as_path, encode_as_path, WITHDRAW, WITHDRAW},
    [PA_NEXT_HOP]             = {"next-hop", WELL_KNOWN, ANY, 4, 4, 1, decode_next_hop, encode_next_hop, WITHDRAW, WITHDRAW},
    [PA_MED]                  = {"med", OPTIONAL, ANY, 4, 4, 1, decode_med, encode_med, WITHDRAW, WITHDRAW},
    [PA_LOCAL_PREF]           = {"local-pref", WELL_KNOWN, INTERNAL, 4, 4, 1, decode_local_pref, encode_local_pref, WITHDRAW, WITHDRAW},
    [PA_ATOMIC_AGGREGATE]     = {"atomic-aggregate", WELL_KNOWN, ANY, 0, 0, 1, decode_atomic_aggregate, encode_atomic_aggregate, DISCARD, DISCARD},
    [PA_AGGREGATOR]           = {"aggregator", OPT_TRANSITIVE, ANY, 6, 8, 1, decode_aggregator, encode_aggregator, DISCARD, DISCARD},
    [PA_COMMUNITIES]          = {"communities", OPT_TRANSITIVE, ANY, 4, LONG, 4, decode_communities, encode_communities, WITHDRAW, WITHDRAW},
    [PA_ORIGINATOR_ID]        = {"originator-id", OPTIONAL, INTERNAL, 4, 4, 1, decode_originator, encode_originator, WITHDRAW, WITHDRAW},
    [PA_CLUSTER_LIST]         = {"cluster-list", OPTIONAL, INTERNAL, 4, LONG, 4, decode_cluster_list, encode_cluster_list, WITHDRAW, WITHDRAW},
    [PA_MP_REACH]             = {"mp-reach", OPTIONAL, ANY, 5, LONG, 1, decode_mp_reach, NULL, RESET, RESET},
    [PA_MP_UNREACH]           = {"mp-unreach", OPTIONAL, ANY, 3, LONG, 1, decode_mp_unreach, NULL, RESET, RESET},
    [PA_EXTENDED_COMMUNITIES] = {"extended-communities", OPT_TRANSITIVE, ANY, 8, LONG, 8, decode_extended, encode_extended, WITHDRAW, WITHDRAW},
    [PA_IPV6_EXTENDED]        = {"ipv6-extended-communities", OPT_TRANSITIVE, ANY, 20, LONG, 20, carry, NULL, WITHDRAW, WITHDRAW},
    [PA_AS4_PATH]             = {"as4-path", OPT_TRANSITIVE, OLD, 6, LONG, 2, decode_as4_path, encode_as4_path, DISCARD, WITHDRAW},
    [PA_AS4_AGGREGATOR]       = {"as4-aggregator", OPT_TRANSITIVE, OLD, 8, 8, 1, decode_as4_aggregator, encode_as4_aggregator, DISCARD, WITHDRAW},
    [PA_LARGE_COMMUNITIES]    = {"large-communities", OPT_TRANSITIVE, ANY, 12, LONG, 12, decode_large, encode_large, WITHDRAW, WITHDRAW},
    [PA_OTC]                  = {"otc", OPT_TRANSITIVE, ANY, 4, 4, 1, decode_otc, encode_otc, WITHDRAW, WITHDRAW},
    /* clang-format on */
};
#define N_ROWS (sizeof rows / sizeof *rows)

const char *pa_name(uint8_t type)
{
    return type < N_ROWS ? rows[type].name : NULL;
}

int pa_next(struct wire_reader *r, struct pa_tlv *t)
{
    size_t left = wire_left(r);
    if (!left)
        return 0;
    t->start = r->p;
    t->flags = wire_get_u8(r);
    t->type = wire_get_u8(r);
    t->len = t->flags & PA_FLAG_EXTENDED ? wire_get_u16(r) : wire_get_u8(r);
    t->value = r->p;
    if (!r->err && t->len <= wire_left(r)) {
        r->p += t->len;
        return 1;
    }
    t->len = (uint16_t)left;
    if (r->err)
        t->type = 0;
    return -EBADMSG;
}

/* RFC 4271 section 5 and 6.3: a peer must know every well-known attribute; an unknown optional one is passed
 * on with Partial set, or forgotten. */
static void decode_unknown(struct pa_decoder *d, const struct pa_tlv *t)
{
    if (!(t->flags & PA_FLAG_OPTIONAL)) {
        update_offend(d->out, UPDATE_RESET, BGP_ERR_UPD_UNKNOWN_WELLKNOWN, t->type, t->start, pa_tlv_size(t));
    } else if (t->flags & PA_FLAG_TRANSITIVE) {
        carry(d, t);
    }
}

static uint8_t check(struct pa_decoder *d, const struct row *row, const struct pa_tlv *t)
{
    if ((t->flags ^ row->flags) & OPT_TRANSITIVE)
        return BGP_ERR_UPD_FLAGS;
    if (t->len < row->min || t->len > row->max || t->len % row->unit)
        return BGP_ERR_UPD_LENGTH;
    return row->decode(d, t);
}

void pa_decode(struct pa_decoder *d, const struct pa_tlv *t)
{
    const struct row *row = t->type < N_ROWS && rows[t->type].name ? &rows[t->type] : NULL;
    enum update_action action = UPDATE_ATTR_DISCARD;
    uint8_t subcode;
    const char *reason = NULL;
    if (pa_bit(d->seen, t->type)) { /* RFC 7606 3 g */
        action = pa_is_mp(t->type) ? UPDATE_RESET : UPDATE_ATTR_DISCARD;
        reason = "there twice";
    } else if (!row) {
        decode_unknown(d, t);
    } else if (row->from == INTERNAL && d->ctx->ebgp) { /* RFC 7606 7.5, 7.9, 7.10 */
        reason = "not for external peers";
    } else if (row->from == OLD && d->ctx->as4) { /* RFC 6793 section 6 */
        reason = "not for peers with four-octet ASNs";
    } else if ((subcode = check(d, row, t))) {
        action = subcode == BGP_ERR_UPD_FLAGS ? row->on_flags : row->on_error;
        update_offend(d->out, action, subcode, t->type, t->start, pa_tlv_size(t));
    }
    d->seen[t->type >> 5] |= 1u << (t->type & 31);
    if (reason)
        update_offend_why(d->out, action, BGP_ERR_UPD_MALFORMED, t->type, reason, t->start, pa_tlv_size(t));
}

/* RFC 6793 4.2.3: an AGGREGATOR that a two-octet speaker wrote after the AS4 ones were made makes these void.
 */
static bool merge_aggregator(struct pa_decoder *d)
{
    if (!d->has_as4_aggregator || !(d->build.flags & ATTR_HAS_AGGREGATOR))
        return true;
    if (!d->aggregator_is_trans)
        return false;
    d->build.aggregator_as = d->as4_aggregator_as;
    d->build.aggregator_id = d->as4_aggregator_id;
    return true;
}

/* The path of a two-octet peer, in four octets: into two areas of scratch, the widened one first. */
static void merge_path(struct pa_decoder *d, uint8_t *widened, bool as4_valid)
{
    const struct pa_tlv *t = &d->as_path, *t4 = &d->as4_path;
    const uint8_t *path = widened;
    size_t len = aspath_widen(t->value, t->len, widened);
    if (t4->start && as4_valid) {
        uint8_t *merged = widened + len;
        len = aspath_merge(widened, len, t4->value, t4->len, merged);
        path = merged;
    }
    if (len > UINT16_MAX) { /* only an extended message can get here */
        update_offend(d->out, UPDATE_TREAT_AS_WITHDRAW, BGP_ERR_UPD_AS_PATH, PA_AS_PATH, t->start,
                      pa_tlv_size(t));
        len = 0;
    }
    d->build.part[PART_AS_PATH] = path;
    d->build.part_len[PART_AS_PATH] = (uint16_t)len;
}

/* Partial: somebody on the way, we for one, did not know it (RFC 4271 section 5). */
static void gather_carried(struct pa_decoder *d, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, d->carried_len);
    for (unsigned type = 0; type < 256; type++) {
        if (!pa_bit(d->carried_seen, (uint8_t)type))
            continue;
        const struct pa_tlv *t = &d->carried[type];
        wire_put_u8(&w, OPT_TRANSITIVE | (pa_name(t->type) ? t->flags & PA_FLAG_PARTIAL : PA_FLAG_PARTIAL));
        wire_put_u8(&w, t->type);
        wire_put_u16(&w, t->len);
        wire_put_bytes(&w, t->value, t->len);
    }
    d->build.part[PART_UNKNOWN] = p;
    d->build.part_len[PART_UNKNOWN] = (uint16_t)wire_len(&w);
}

/* RFC 4271 6.3, RFC 7606 7.2: the leftmost AS is the peer's. A route server does not put its own there (RFC
 * 7947 2.2.2.1). */
static void check_first_as(struct pa_decoder *d)
{
    const struct pa_tlv *t = &d->as_path;
    if (!d->ctx->ebgp || !d->reach || !t->start)
        return;
    uint32_t first = aspath_first(d->build.part[PART_AS_PATH], d->build.part_len[PART_AS_PATH]);
    if (first == d->ctx->peer_as || (first && d->ctx->role == ROLE_RS_CLIENT))
        return;
    update_offend_why(d->out, UPDATE_TREAT_AS_WITHDRAW, BGP_ERR_UPD_AS_PATH, PA_AS_PATH,
                      "does not begin with the peer's AS", t->start, pa_tlv_size(t));
}

static bool asks_for_graceful_shutdown(const struct attr_build *b)
{
    const uint8_t *c = b->part[PART_COMMUNITY];
    for (unsigned i = 0; i < b->part_len[PART_COMMUNITY]; i += 4)
        if (get_u32(c + i) == COMMUNITY_GRACEFUL_SHUTDOWN)
            return true;
    return false;
}

/* What we add to a route on its way in. */
static void amend(struct pa_decoder *d)
{
    struct attr_build *b = &d->build;
    if (!d->ctx->ebgp)
        return;
    if (!b->part_len[PART_OTC] && otc_peer_is_above(d->ctx->role)) { /* RFC 9234 section 5, ingress 3 */
        struct wire_writer w = wire_writer(d->otc, sizeof d->otc);
        wire_put_u32(&w, d->ctx->peer_as);
        b->part[PART_OTC] = d->otc;
        b->part_len[PART_OTC] = sizeof d->otc;
    }
    if (asks_for_graceful_shutdown(b)) { /* RFC 8326 4.1 */
        b->local_pref = 0;
        b->flags |= ATTR_HAS_LOCAL_PREF;
    }
}

int pa_finish(struct pa_decoder *d)
{
    const struct pa_tlv *path = &d->as_path;
    size_t widened = d->ctx->as4 || !path->start ? 0 : 4u * path->len + d->as4_path.len;
    if (d->carried_len > UINT16_MAX) {
        update_offend(d->out, UPDATE_TREAT_AS_WITHDRAW, BGP_ERR_UPD_LENGTH, 0, NULL, 0);
        d->carried_len = 0;
    }
    if (widened + d->carried_len) {
        d->scratch = malloc(widened + d->carried_len);
        if (!d->scratch)
            return -ENOMEM;
    }
    bool as4_valid = merge_aggregator(d);
    if (widened) {
        merge_path(d, d->scratch, as4_valid);
    } else if (path->start) {
        d->build.part[PART_AS_PATH] = path->value;
        d->build.part_len[PART_AS_PATH] = path->len;
    }
    if (d->carried_len)
        gather_carried(d, d->scratch + widened);
    check_first_as(d);
    amend(d);
    return 0;
}

/* The next unknown attribute at *p, if its type is below limit. */
static bool put_unknown(struct pa_encoder *e, const uint8_t **p, const uint8_t *stop, unsigned limit)
{
    if (*p >= stop || (*p)[1] >= limit)
        return false;
    const uint8_t *u = *p;
    size_t len = (size_t)u[2] << 8 | u[3];
    put_attr(e, u[0], u[1], u + 4, len);
    *p = u + 4 + len;
    return true;
}

void pa_encode_all(struct pa_encoder *e)
{
    const uint8_t *unknown = e->b.part[PART_UNKNOWN], *stop = unknown + e->b.part_len[PART_UNKNOWN];
    for (unsigned type = 0; type < N_ROWS; type++) {
        if (!rows[type].encode)
            continue;
        while (put_unknown(e, &unknown, stop, type))
            ;
        rows[type].encode(e);
    }
    while (put_unknown(e, &unknown, stop, 256))
        ;
}
