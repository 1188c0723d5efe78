/* Path attributes on the wire, for update.c and update_encode.c only: the table of attributes and what walks
 * over it. Others see update.h and rib/attr.h. */
#ifndef UNDERLAY_WIRE_ATTR_H
#define UNDERLAY_WIRE_ATTR_H

#include "wire/update.h"

enum { /* flags, RFC 4271 4.3 */
       PA_FLAG_OPTIONAL = 0x80,
       PA_FLAG_TRANSITIVE = 0x40,
       PA_FLAG_PARTIAL = 0x20,
       PA_FLAG_EXTENDED = 0x10,
};
enum pa_type { /* IANA, BGP Path Attributes */
               PA_ORIGIN = 1,
               PA_AS_PATH = 2,
               PA_NEXT_HOP = 3,
               PA_MED = 4,
               PA_LOCAL_PREF = 5,
               PA_ATOMIC_AGGREGATE = 6,
               PA_AGGREGATOR = 7,
               PA_COMMUNITIES = 8,
               PA_ORIGINATOR_ID = 9,
               PA_CLUSTER_LIST = 10,
               PA_MP_REACH = 14,
               PA_MP_UNREACH = 15,
               PA_EXTENDED_COMMUNITIES = 16,
               PA_AS4_PATH = 17,
               PA_AS4_AGGREGATOR = 18,
               PA_IPV6_EXTENDED = 25, /* RFC 5701 */
               PA_LARGE_COMMUNITIES = 32,
               PA_OTC = 35, /* RFC 9234 */
};

/* One attribute as framed, its value not looked at. */
struct pa_tlv {
    const uint8_t *start; /* of the flags */
    const uint8_t *value;
    uint16_t len; /* of the value */
    uint8_t flags, type;
};
static inline size_t pa_tlv_size(const struct pa_tlv *t)
{
    return (size_t)(t->value + t->len - t->start);
}
static inline bool pa_is_mp(uint8_t type)
{
    return type == PA_MP_REACH || type == PA_MP_UNREACH;
}
/* 1: *t is the next one. 0: the end. -EBADMSG: the rest is none (RFC 7606 section 4); t->start and t->len
 * cover it, and t->type is its type where it has one, else 0. */
int pa_next(struct wire_reader *r, struct pa_tlv *t);

/* The state of one UPDATE being decoded. */
struct pa_decoder {
    const struct update_ctx *ctx;
    struct update *out;
    struct attr_build
        build; /* all but the next hop, which may differ for the classic NLRI and for MP_REACH */
    struct ip_addr next_hop; /* NEXT_HOP */
    struct ip_addr mp_next_hop;
    struct nlri_span mp_head; /* of MP_REACH: all that matters to attributes (AFI, SAFI, next hop) */
    bool classic;             /* the NLRI field is not empty */
    bool reach;               /* it announces something, be it of a family we ignore */
    bool unreach_empty[FAM_COUNT];
    bool aggregator_is_trans, has_as4_aggregator;
    uint32_t as4_aggregator_as, as4_aggregator_id;
    struct pa_tlv as_path, as4_path;   /* start NULL: none (that is well formed) */
    uint32_t seen[8], carried_seen[8]; /* by type */
    uint32_t carried_len;
    uint8_t otc[4]; /* the one that we add */
    uint8_t *scratch;
    struct pa_tlv carried[256]; /* passed on as they are; valid where carried_seen says so; never cleared as a
                                   whole */
};
static inline bool pa_bit(const uint32_t set[8], uint8_t type)
{
    return set[type >> 5] >> (type & 31) & 1;
}

/* Notes an offence: the strongest action wins, the first of its kind is remembered with what a NOTIFICATION
 * needs. reason: static text; update_offend takes the subcode's. */
void update_offend_why(struct update *u, enum update_action action, uint8_t subcode, uint8_t type,
                       const char *reason, const void *data, size_t len);
void update_offend(struct update *u, enum update_action action, uint8_t subcode, uint8_t type,
                   const void *data, size_t len);
void pa_decode(struct pa_decoder *d, const struct pa_tlv *t);
/* After the last one: what takes several attributes together, and the carried ones into one part. 0 or
 * -ENOMEM. Build's spans may then point into d->scratch (the caller frees it). */
int pa_finish(struct pa_decoder *d);

struct pa_encoder {
    struct wire_writer *w;
    const struct update_export *x;
    struct attr_build b;
    enum family f;
    struct ip_addr next_hop; /* chosen: to be sent */
    bool originated;         /* by this node, so that our own MED and non-transitive communities may go out */
};
/* Everything but MP_REACH, ascending by type. */
void pa_encode_all(struct pa_encoder *e);

#endif
