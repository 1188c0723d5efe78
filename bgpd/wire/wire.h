/* Cursors over bytes with a sticky error: get or put everything, then look at err once. Big endian. A read
 * past the end returns zeros and sets err; a write past the end writes nothing and sets err. */
#ifndef UNDERLAY_WIRE_H
#define UNDERLAY_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wire_reader {
    const uint8_t *p, *end;
    bool err;
};
struct wire_writer {
    uint8_t *start, *p, *end;
    bool err;
};

static inline struct wire_reader wire_reader(const void *p, size_t n)
{
    return (struct wire_reader){.p = p, .end = n ? (const uint8_t *)p + n : p}; /* NULL of no bytes too */
}
static inline size_t wire_left(const struct wire_reader *r)
{
    return (size_t)(r->end - r->p);
}
static inline const uint8_t *wire_get_bytes(struct wire_reader *r, size_t n)
{
    static const uint8_t zeros[16];
    if (r->err || wire_left(r) < n) {
        r->err = true;
        return n <= sizeof zeros ? zeros : NULL;
    }
    const uint8_t *p = r->p;
    r->p += n;
    return p;
}
static inline uint8_t wire_get_u8(struct wire_reader *r)
{
    return *wire_get_bytes(r, 1);
}
static inline uint16_t wire_get_u16(struct wire_reader *r)
{
    const uint8_t *p = wire_get_bytes(r, 2);
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t wire_get_u32(struct wire_reader *r)
{
    const uint8_t *p = wire_get_bytes(r, 4);
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
/* A sub-reader over the next n bytes. */
static inline struct wire_reader wire_get_sub(struct wire_reader *r, size_t n)
{
    const uint8_t *p = wire_get_bytes(r, n);
    if (r->err)
        return (struct wire_reader){.err = true};
    return wire_reader(p, n);
}

static inline struct wire_writer wire_writer(void *p, size_t n)
{
    return (struct wire_writer){.start = p, .p = p, .end = (uint8_t *)p + n};
}
static inline size_t wire_len(const struct wire_writer *w)
{
    return (size_t)(w->p - w->start);
}
static inline size_t wire_room(const struct wire_writer *w)
{
    return (size_t)(w->end - w->p);
}
static inline uint8_t *wire_reserve(struct wire_writer *w, size_t n)
{
    if (w->err || wire_room(w) < n) {
        w->err = true;
        return NULL;
    }
    uint8_t *p = w->p;
    w->p += n;
    return p;
}
static inline void wire_put_bytes(struct wire_writer *w, const void *src, size_t n)
{
    uint8_t *p = wire_reserve(w, n);
    if (p && n)
        memcpy(p, src, n);
}
static inline void wire_put_u8(struct wire_writer *w, uint8_t v)
{
    wire_put_bytes(w, &v, 1);
}
static inline void wire_set_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void wire_put_u16(struct wire_writer *w, uint16_t v)
{
    uint8_t b[2];
    wire_set_u16(b, v);
    wire_put_bytes(w, b, 2);
}
static inline void wire_put_u32(struct wire_writer *w, uint32_t v)
{
    uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    wire_put_bytes(w, b, 4);
}

#endif
