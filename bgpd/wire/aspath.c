/* AS_PATH bytes: checking, counting, translating between two and four octets, prepending. The path stays in
 * its wire form all its life (it is compared, hashed and stored as bytes), so these are loops over segments
 * and nothing is decoded into structures of its own. Text is made in rib/attr_format.c. */
#include "wire/aspath.h"

#include "wire/msg.h"

bool aspath_check(const uint8_t *p, size_t n, unsigned width, bool confed_ok)
{
    const uint8_t *end = p + n;
    while (p < end) {
        if (end - p < 2)
            return false;
        uint8_t type = p[0];
        size_t bytes = (size_t)p[1] * width;
        p += 2;
        if (type < SEG_SET || type > SEG_CONFED_SET || (segment_is_confed(type) && !confed_ok))
            return false;
        if (!bytes || bytes > (size_t)(end - p))
            return false;
        for (const uint8_t *stop = p + bytes; p < stop; p += width)
            if (!(p[0] | p[1]) && (width == 2 || !(p[2] | p[3])))
                return false;
    }
    return true;
}

unsigned aspath_length(const uint8_t *p, size_t n)
{
    struct wire_reader r = wire_reader(p, n);
    struct as_segment s;
    unsigned sum = 0;
    while (aspath_next(&r, &s))
        if (!segment_is_confed(s.type))
            sum += s.type == SEG_SET ? 1 : s.count;
    return sum;
}

uint32_t aspath_first(const uint8_t *p, size_t n)
{
    struct wire_reader r = wire_reader(p, n);
    struct as_segment s;
    return aspath_next(&r, &s) && s.count ? segment_as(&s, 0) : 0;
}

bool aspath_is_wide(const uint8_t *p, size_t n)
{
    struct wire_reader r = wire_reader(p, n);
    struct as_segment s;
    while (aspath_next(&r, &s))
        for (unsigned i = 0; i < s.count; i++)
            if (segment_as(&s, i) > UINT16_MAX)
                return true;
    return false;
}

bool aspath_has_confed(const uint8_t *p, size_t n)
{
    struct wire_reader r = wire_reader(p, n);
    struct as_segment s;
    while (aspath_next(&r, &s))
        if (segment_is_confed(s.type))
            return true;
    return false;
}

size_t aspath_widen(const uint8_t *p, size_t n, uint8_t *out)
{
    uint8_t *o = out;
    const uint8_t *end = p + n;
    while (end - p >= 2) {
        unsigned count = p[1];
        *o++ = *p++;
        *o++ = *p++;
        for (unsigned i = 0; i < count && end - p >= 2; i++, p += 2, o += 4) {
            o[0] = o[1] = 0;
            o[2] = p[0];
            o[3] = p[1];
        }
    }
    return (size_t)(o - out);
}

static uint8_t *put_segment(uint8_t *o, uint8_t type, const uint8_t *as, unsigned count)
{
    *o++ = type;
    *o++ = (uint8_t)count;
    memcpy(o, as, 4u * count);
    return o + 4u * count;
}

/* The leading part of a path that holds `want` ASes, with the confederation segments before and next to it.
 * *last: where its last segment begins, NULL for none. */
static uint8_t *copy_leading(const uint8_t *p, size_t n, unsigned want, uint8_t *o, uint8_t **last)
{
    struct wire_reader r = wire_reader(p, n);
    struct as_segment s;
    while (aspath_next(&r, &s)) {
        unsigned count = s.count;
        if (!segment_is_confed(s.type)) {
            if (!want)
                break;
            if (s.type == SEG_SEQUENCE && count > want)
                count = want;
            want -= s.type == SEG_SET ? 1 : count;
        }
        *last = o;
        o = put_segment(o, s.type, s.as, count);
        if (count < s.count)
            break;
    }
    return o;
}

size_t aspath_merge(const uint8_t *p, size_t n, const uint8_t *p4, size_t n4, uint8_t *out)
{
    unsigned have = aspath_length(p, n), have4 = aspath_length(p4, n4);
    if (have < have4) {
        memcpy(out, p, n);
        return n;
    }
    uint8_t *last = NULL, *o = copy_leading(p, n, have - have4, out, &last);
    struct wire_reader r = wire_reader(p4, n4);
    struct as_segment s;
    while (aspath_next(&r, &s)) {
        if (segment_is_confed(s.type)) /* RFC 6793 section 6: discarded */
            continue;
        if (last && last[0] == SEG_SEQUENCE && s.type == SEG_SEQUENCE && last[1] + s.count <= 255) {
            last[1] = (uint8_t)(last[1] + s.count); /* one sequence was cut in two: mend it */
            memcpy(o, s.as, 4u * s.count);
            o += 4u * s.count;
        } else {
            o = put_segment(o, s.type, s.as, s.count);
        }
        last = NULL;
    }
    return (size_t)(o - out);
}

static void put_as(struct wire_writer *w, uint32_t as, unsigned width)
{
    if (width == 4)
        wire_put_u32(w, as);
    else
        wire_put_u16(w, as > UINT16_MAX ? BGP_AS_TRANS : (uint16_t)as);
}

void aspath_put(struct wire_writer *w, const uint8_t *p, size_t n, unsigned width, uint32_t prepend,
                bool strip)
{
    struct wire_reader r = wire_reader(p, n);
    struct as_segment s;
    bool more;
    do
        more = aspath_next(&r, &s);
    while (more && strip && segment_is_confed(s.type));
    if (prepend) {
        bool joins = more && s.type == SEG_SEQUENCE && s.count < 255;
        wire_put_u8(w, SEG_SEQUENCE);
        wire_put_u8(w, joins ? (uint8_t)(s.count + 1) : 1);
        put_as(w, prepend, width);
        for (unsigned i = 0; joins && i < s.count; i++)
            put_as(w, segment_as(&s, i), width);
        if (joins)
            more = aspath_next(&r, &s);
    }
    for (; more; more = aspath_next(&r, &s)) {
        if (strip && segment_is_confed(s.type))
            continue;
        wire_put_u8(w, s.type);
        wire_put_u8(w, s.count);
        for (unsigned i = 0; i < s.count; i++)
            put_as(w, segment_as(&s, i), width);
    }
}
