/* A pattern is a value and a mask over the bytes of one community, whatever its kind: matching is one loop,
 * and an exact community is a pattern with a full mask. The shape of the text tells the kind: two numbers are
 * a standard community, three a large one; extended ones start with what they are. */
#include "lib/community_pattern.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/community.h"
#include "prefix.h"

/* RFC 4360 section 4 and 5; link bandwidth. The types 0 to 2 differ in the layout of the value. */
static const struct {
    const char *name;
    uint8_t subtype;
} extended[] = {{"rt:", 0x02}, {"soo:", 0x03}, {"lb:", 0x04}};
#define LINK_BANDWIDTH 0x04

static void put(struct community_pattern *p, unsigned at, unsigned bytes, uint32_t v)
{
    for (unsigned i = 0; i < bytes; i++) {
        p->value[at + i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
        p->mask[at + i] = 0xff;
    }
}

static uint32_t get(const uint8_t *b, unsigned bytes)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | b[i];
    return v;
}

struct field {
    bool any; /* `*` */
    uint64_t v;
};

/* Numbers or `*` between colons, at most three; how many, or -EINVAL. */
static int split(const char *s, struct field f[3])
{
    for (int n = 0; n < 3; n++) {
        size_t digits = strspn(s, "0123456789");
        f[n] = (struct field){.any = *s == '*'};
        if (!digits && !f[n].any)
            return -EINVAL;
        for (size_t i = 0; i < digits; i++)
            if (f[n].v <= UINT32_MAX)
                f[n].v = f[n].v * 10 + (uint64_t)(s[i] - '0');
        s += f[n].any ? 1 : digits;
        if (!*s)
            return n + 1;
        if (*s++ != ':')
            return -EINVAL;
    }
    return -EINVAL;
}

static int put_field(struct community_pattern *p, unsigned at, unsigned bytes, const struct field *f)
{
    if (f->any)
        return 0;
    if (f->v >> 8 * bytes)
        return -ERANGE;
    put(p, at, bytes, (uint32_t)f->v);
    return 0;
}

static int parse_hex(const char *s, struct community_pattern *p)
{
    unsigned v;
    if (strlen(s) != 16 || strspn(s, "0123456789abcdefABCDEF") != 16)
        return -EINVAL;
    for (unsigned i = 0; i < 8; i++) {
        if (sscanf(s + 2 * i, "%2x", &v) != 1)
            return -EINVAL;
        put(p, i, 1, v);
    }
    return 0;
}

static int parse_extended(const char *s, uint8_t subtype, struct community_pattern *p)
{
    struct field f[3];
    const char *colon = strchr(s, ':');
    char head[ADDR_STRLEN];
    struct ip_addr a;
    put(p, 1, 1, subtype);
    if (!strcmp(s, "*") || !strcmp(s, "*:*")) { /* of any layout, transitive or not */
        p->mask[0] = 0xbc;
        return 0;
    }
    if (subtype == LINK_BANDWIDTH)
        return -EINVAL;
    if (colon && (size_t)(colon - s) < sizeof head) {
        memcpy(head, s, (size_t)(colon - s));
        head[colon - s] = 0;
        if (!addr_parse(head, &a) && a.af == AF_INET) {
            put(p, 0, 1, 0x01);
            put(p, 2, 4, get(a.b, 4));
            int n = split(colon + 1, f);
            return n == 1 ? put_field(p, 6, 2, &f[0]) : -EINVAL;
        }
    }
    if (split(s, f) != 2 || f[0].any)
        return -EINVAL;
    bool wide = f[0].v > UINT16_MAX; /* RFC 5668 */
    put(p, 0, 1, wide ? 0x02 : 0x00);
    int err = put_field(p, 2, wide ? 4 : 2, &f[0]);
    return err ? err : put_field(p, wide ? 6 : 4, wide ? 2 : 4, &f[1]);
}

static int parse(const char *text, struct community_pattern *p)
{
    uint32_t standard, large[3];
    struct field f[3];
    if (!strncasecmp(text, "0x", 2)) {
        p->kind = COMMUNITY_EXTENDED;
        p->len = 8;
        return parse_hex(text + 2, p);
    }
    for (size_t i = 0; i < sizeof extended / sizeof *extended; i++) {
        size_t n = strlen(extended[i].name);
        if (!strncasecmp(text, extended[i].name, n)) {
            p->kind = COMMUNITY_EXTENDED;
            p->len = 8;
            return parse_extended(text + n, extended[i].subtype, p);
        }
    }
    int n = split(text, f), err = 0;
    if (n < 0) {
        p->len = 4;
        if (community_parse(text, &standard, large) != 1) /* a name */
            return -EINVAL;
        put(p, 0, 4, standard);
        return 0;
    }
    if (n < 2)
        return -EINVAL;
    unsigned width = n == 2 ? 2 : 4;
    p->kind = n == 2 ? COMMUNITY_STANDARD : COMMUNITY_LARGE;
    p->len = (uint8_t)(width * (unsigned)n);
    for (int i = 0; !err && i < n; i++)
        err = put_field(p, width * (unsigned)i, width, &f[i]);
    return err;
}

int community_pattern_parse(const char *text, bool wildcard, struct community_pattern *out)
{
    *out = (struct community_pattern){0};
    int err = parse(text, out);
    if (!err && !wildcard && strchr(text, '*'))
        return -EDOM;
    return err;
}

bool community_pattern_match(const struct community_pattern *p, const uint8_t *community)
{
    for (unsigned i = 0; i < p->len; i++)
        if ((community[i] & p->mask[i]) != p->value[i])
            return false;
    return true;
}

static const char *number(const struct community_pattern *p, unsigned at, unsigned bytes, char buf[12])
{
    if (!p->mask[at])
        return "*";
    snprintf(buf, 12, "%" PRIu32, get(p->value + at, bytes));
    return buf;
}

static const char *format_extended(const struct community_pattern *p, char *buf)
{
    char a[ADDR_STRLEN], b[12];
    size_t size = COMMUNITY_PATTERN_STRLEN;
    for (size_t i = 0; i < sizeof extended / sizeof *extended; i++) {
        const char *name = extended[i].name;
        uint8_t type = p->value[0];
        if (p->mask[1] != 0xff || p->value[1] != extended[i].subtype)
            continue;
        if (p->mask[0] != 0xff) {
            snprintf(buf, size, "%s*", name);
            return buf;
        }
        if (type > 2 || p->value[1] == LINK_BANDWIDTH)
            break;
        struct ip_addr ip = addr_v4(get(p->value + 2, 4));
        if (type == 1)
            addr_format(&ip, a);
        else
            snprintf(a, sizeof a, "%" PRIu32, get(p->value + 2, type ? 4 : 2));
        snprintf(buf, size, "%s%s:%s", name, a, number(p, type ? 6 : 4, type ? 2 : 4, b));
        return buf;
    }
    snprintf(buf, size, "0x%08" PRIx32 "%08" PRIx32, get(p->value, 4), get(p->value + 4, 4));
    return buf;
}

const char *community_pattern_format(const struct community_pattern *p, char buf[COMMUNITY_PATTERN_STRLEN])
{
    char a[12], b[12], c[12];
    if (p->kind == COMMUNITY_EXTENDED)
        return format_extended(p, buf);
    if (p->kind == COMMUNITY_LARGE)
        snprintf(buf, COMMUNITY_PATTERN_STRLEN, "%s:%s:%s", number(p, 0, 4, a), number(p, 4, 4, b),
                 number(p, 8, 4, c));
    else if (p->mask[0] && p->mask[2])
        community_format(get(p->value, 4), buf);
    else
        snprintf(buf, COMMUNITY_PATTERN_STRLEN, "%s:%s", number(p, 0, 2, a), number(p, 2, 2, b));
    return buf;
}
