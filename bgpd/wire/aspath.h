/* AS_PATH as bytes: segments of type, count, ASNs (RFC 4271 4.3 b, RFC 5065 3). Inside, ASNs always have four
 * octets; peers that know only two are translated at the edge (RFC 6793). */
#ifndef UNDERLAY_ASPATH_H
#define UNDERLAY_ASPATH_H

#include "wire/wire.h"

enum { SEG_SET = 1, SEG_SEQUENCE = 2, SEG_CONFED_SEQUENCE = 3, SEG_CONFED_SET = 4 };

struct as_segment {
    uint8_t type, count;
    const uint8_t *as; /* count times four octets */
};
static inline bool segment_is_confed(uint8_t type)
{
    return type == SEG_CONFED_SEQUENCE || type == SEG_CONFED_SET;
}
static inline uint32_t segment_as(const struct as_segment *s, unsigned i)
{
    const uint8_t *p = s->as + 4 * i;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
/* Iterates a path that aspath_check passed, or one of our own making. False at the end. */
static inline bool aspath_next(struct wire_reader *r, struct as_segment *s)
{
    if (wire_left(r) < 2)
        return false;
    s->type = wire_get_u8(r);
    s->count = wire_get_u8(r);
    s->as = wire_get_bytes(r, 4u * s->count);
    return !r->err;
}

/* RFC 7606 7.2 and RFC 7607: known segment types, none empty, no overrun or underrun, no AS 0. width: octets
 * of an ASN, 2 or 4. confed_ok: confederation segments may occur (RFC 5065 5). */
bool aspath_check(const uint8_t *p, size_t n, unsigned width, bool confed_ok);
/* RFC 4271 9.1.2.2 a: a set counts one; RFC 5065 5.3: confederation segments count nothing. */
unsigned aspath_length(const uint8_t *p, size_t n);
/* The leftmost AS in the order of the bytes; 0: empty. */
uint32_t aspath_first(const uint8_t *p, size_t n);
/* Two-octet ASNs to four-octet ones. out has room for 2 n bytes; returns the bytes written. */
size_t aspath_widen(const uint8_t *p, size_t n, uint8_t *out);
/* RFC 6793 4.2.3: what an AS_PATH (already widened) and an AS4_PATH say together. out has room for n + n4
 * bytes. */
size_t aspath_merge(const uint8_t *p, size_t n, const uint8_t *p4, size_t n4, uint8_t *out);
/* Writes a path of four-octet ASNs with ASNs of width octets, AS_TRANS standing for those that do not fit.
 * prepend: an AS to put in front (RFC 4271 5.1.2 b), 0 none. strip: leave confederation segments out (RFC
 * 5065 4.1 c). */
void aspath_put(struct wire_writer *w, const uint8_t *p, size_t n, unsigned width, uint32_t prepend,
                bool strip);
bool aspath_has_confed(const uint8_t *p, size_t n);
/* Whether an ASN of the path needs four octets. */
bool aspath_is_wide(const uint8_t *p, size_t n);

#endif
