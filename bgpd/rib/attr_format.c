/* Attributes as text, in the notation that FRR's users know: "65001 64512 {64600,64601}", "65000:1
 * no-export", "RT:65000:100". Every function works like snprintf: it never writes past size, always ends with
 * a zero byte when size is not 0, and returns the length that all of it would have. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/community.h"
#include "rib/attr.h"
#include "wire/aspath.h"

struct text {
    char *buf;
    size_t size;
    int len;
};

static void __attribute__((format(printf, 2, 3))) put(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    size_t used = (size_t)t->len < t->size ? (size_t)t->len : t->size;
    int n = vsnprintf(t->size ? t->buf + used : NULL, t->size - used, fmt, ap);
    va_end(ap);
    if (n > 0)
        t->len += n;
}

static struct text text_begin(char *buf, size_t size)
{
    if (size)
        buf[0] = 0;
    return (struct text){buf, size, 0};
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

const char *origin_name(uint8_t origin)
{
    static const char *const names[] = {"IGP", "EGP", "incomplete"};
    return origin <= ORIGIN_INCOMPLETE ? names[origin] : "unknown";
}

int attr_format_as_path(const struct attr *a, char *buf, size_t size)
{
    static const struct {
        const char *open, *between, *close;
    } style[] = {
        [SEG_SET] = {"{", ",", "}"},
        [SEG_SEQUENCE] = {"", " ", ""},
        [SEG_CONFED_SEQUENCE] = {"(", " ", ")"},
        [SEG_CONFED_SET] = {"[", ",", "]"},
    };
    struct text t = text_begin(buf, size);
    uint16_t len;
    const uint8_t *p = attr_part(a, PART_AS_PATH, &len);
    struct wire_reader r = wire_reader(p, len);
    struct as_segment s;
    while (aspath_next(&r, &s)) {
        if (s.type < SEG_SET || s.type > SEG_CONFED_SET)
            continue;
        put(&t, "%s%s", t.len ? " " : "", style[s.type].open);
        for (unsigned i = 0; i < s.count; i++)
            put(&t, "%s%" PRIu32, i ? style[s.type].between : "", segment_as(&s, i));
        put(&t, "%s", style[s.type].close);
    }
    return t.len;
}

int attr_format_communities(const struct attr *a, char *buf, size_t size)
{
    struct text t = text_begin(buf, size);
    uint16_t len;
    const uint8_t *p = attr_part(a, PART_COMMUNITY, &len);
    for (const uint8_t *end = p + len; p < end; p += 4) {
        char one[COMMUNITY_STRLEN];
        put(&t, "%s%s", t.len ? " " : "", community_format(get_u32(p), one));
    }
    return t.len;
}

int attr_format_clusters(const struct attr *a, char *buf, size_t size)
{
    struct text t = text_begin(buf, size);
    uint16_t len;
    const uint8_t *p = attr_part(a, PART_CLUSTER, &len);
    for (const uint8_t *end = p + len; p < end; p += 4)
        put(&t, "%s%u.%u.%u.%u", t.len ? " " : "", p[0], p[1], p[2], p[3]);
    return t.len;
}

int attr_format_carried(const struct attr *a, char *buf, size_t size)
{
    struct text t = text_begin(buf, size);
    uint16_t len;
    const uint8_t *p = attr_part(a, PART_UNKNOWN, &len);
    for (const uint8_t *end = p + len; p < end;) {
        uint16_t n = get_u16(p + 2);
        put(&t, "%s%u:", t.len ? " " : "", p[1]);
        for (p += 4; n; n--)
            put(&t, "%02x", *p++);
    }
    return t.len;
}

int attr_format_large(const struct attr *a, char *buf, size_t size)
{
    struct text t = text_begin(buf, size);
    uint16_t len;
    const uint8_t *p = attr_part(a, PART_LARGE, &len);
    for (const uint8_t *end = p + len; p < end; p += 12)
        put(&t, "%s%" PRIu32 ":%" PRIu32 ":%" PRIu32, t.len ? " " : "", get_u32(p), get_u32(p + 4),
            get_u32(p + 8));
    return t.len;
}

/* RFC 4360 section 3 and 4, RFC 5668; link bandwidth as IEEE float in bytes per second. */
static void put_extended(struct text *t, const uint8_t *p)
{
    uint8_t type = p[0] & 0xbf; /* the non-transitive bit does not change the layout */
    const char *name = p[1] == 0x02 ? "RT" : p[1] == 0x03 ? "SoO" : NULL;
    if (type == 0x00 && p[1] == 0x04) {
        uint32_t raw = get_u32(p + 4);
        float bandwidth;
        memcpy(&bandwidth, &raw, sizeof bandwidth);
        put(t, "LB:%u:%.0f", get_u16(p + 2), (double)bandwidth);
    } else if (type == 0x00 && name) {
        put(t, "%s:%u:%" PRIu32, name, get_u16(p + 2), get_u32(p + 4));
    } else if (type == 0x01 && name) {
        put(t, "%s:%u.%u.%u.%u:%u", name, p[2], p[3], p[4], p[5], get_u16(p + 6));
    } else if (type == 0x02 && name) {
        put(t, "%s:%" PRIu32 ":%u", name, get_u32(p + 2), get_u16(p + 6));
    } else {
        put(t, "0x%08" PRIx32 "%08" PRIx32, get_u32(p), get_u32(p + 4));
    }
}

int attr_format_extended(const struct attr *a, char *buf, size_t size)
{
    struct text t = text_begin(buf, size);
    uint16_t len;
    const uint8_t *p = attr_part(a, PART_EXTENDED, &len);
    for (const uint8_t *end = p + len; p < end; p += 8) {
        if (t.len)
            put(&t, " ");
        put_extended(&t, p);
    }
    return t.len;
}
