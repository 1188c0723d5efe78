/* UPDATE as text: withdrawn routes, path attributes by a table of names, NLRI (RFC 4271 4.3, RFC 4760). What
 * belongs to an address family or an attribute without a row here is shown as hex. */
#include "wire/attr.h"
#include "wire/format_int.h"

#define MOST_NLRI    6
#define MOST_NUMBERS 16 /* of an AS_PATH */
#define MOST_TAGS    8  /* communities of one kind */

/* The value; false: it is malformed. */
typedef bool attr_format(struct text *t, const uint8_t *p, size_t n);

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

static void format_prefix(struct text *t, enum family f, const uint8_t *p, uint8_t bits)
{
    uint8_t addr[16] = {0};
    char buf[PREFIX_STRLEN];
    memcpy(addr, p, (bits + 7u) / 8);
    struct ip_addr a = addr_from_bytes(family_to_af(f), addr);
    struct prefix x = prefix_make(&a, bits);
    text_say(t, " %s", prefix_format(&x, buf));
}

/* The prefixes of a list, the first few of them; what is no prefix ends it. */
static void format_nlri(struct text *t, enum family f, const uint8_t *p, size_t n)
{
    struct list l = {.most = t->ctx->most_nlri ? t->ctx->most_nlri : MOST_NLRI};
    size_t id = t->ctx->add_path[f] ? 4 : 0;
    while (n) {
        bool whole = n > id;
        uint8_t bits = whole ? p[id] : 0;
        size_t len = id + 1 + (bits + 7u) / 8;
        if (!whole || bits > family_bits(f) || len > n)
            break;
        if (list_more(&l)) {
            format_prefix(t, f, p + id + 1, bits);
            if (id)
                text_say(t, " id %u", get_u32(p));
        }
        p += len;
        n -= len;
    }
    list_end(t, &l);
    if (n) {
        text_say(t, " ");
        text_bad(t, "prefix", p, n);
    }
}

static bool format_origin(struct text *t, const uint8_t *p, size_t n)
{
    static const char *const names[] = {"igp", "egp", "incomplete"};
    if (n != 1 || *p > 2)
        return false;
    text_say(t, " %s", names[*p]);
    return true;
}

/* The numbers of one segment, in its brackets: SEQUENCE none, SET {}, the confederation's () and [] (RFC
 * 5065). */
static void format_segment(struct text *t, struct list *l, const uint8_t *p, unsigned count, size_t wide)
{
    static const char *const open[] = {"", "{", "", "(", "["}, *const close[] = {"", "}", "", ")", "]"};
    uint8_t type = p[0];
    const char *gap = "";
    text_say(t, " %s", open[type]);
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *as = p + 2 + i * wide;
        if (!list_more(l))
            continue;
        text_say(t, "%s%u", gap, wide == 4 ? get_u32(as) : get_u16(as));
        gap = " ";
    }
    text_say(t, "%s", close[type]);
}

static bool format_path(struct text *t, const uint8_t *p, size_t n, size_t wide)
{
    struct list l = {.most = MOST_NUMBERS};
    const uint8_t *at = p;
    size_t left = n;
    for (; left; at += 2 + at[1] * wide) { /* all of it is looked at before any of it is shown */
        if (left < 2 || at[0] < 1 || at[0] > 4 || !at[1] || 2 + at[1] * wide > left)
            return false;
        left -= 2 + at[1] * wide;
    }
    for (; n; n -= 2 + p[1] * wide, p += 2 + p[1] * wide)
        format_segment(t, &l, p, p[1], wide);
    list_end(t, &l);
    return true;
}

static bool format_as_path(struct text *t, const uint8_t *p, size_t n)
{
    if (!n)
        text_say(t, " empty");
    return format_path(t, p, n, t->ctx->as4 ? 4 : 2);
}

static bool format_as4_path(struct text *t, const uint8_t *p, size_t n)
{
    return format_path(t, p, n, 4);
}

static bool format_v4(struct text *t, const uint8_t *p, size_t n)
{
    if (n != 4)
        return false;
    text_say(t, " ");
    text_addr(t, AF_INET, p);
    return true;
}

static bool format_u32(struct text *t, const uint8_t *p, size_t n)
{
    if (n != 4)
        return false;
    text_say(t, " %u", get_u32(p));
    return true;
}

static bool format_empty(struct text *t, const uint8_t *p, size_t n)
{
    (void)t, (void)p;
    return !n;
}

static bool format_aggregator(struct text *t, const uint8_t *p, size_t n)
{
    if (n != 6 && n != 8)
        return false;
    text_say(t, " %u ", n == 8 ? get_u32(p) : get_u16(p));
    text_addr(t, AF_INET, p + n - 4);
    return true;
}

static bool format_communities(struct text *t, const uint8_t *p, size_t n)
{
    struct list l = {.most = MOST_TAGS};
    if (!n || n % 4)
        return false;
    for (; n; p += 4, n -= 4)
        if (list_more(&l))
            text_say(t, " %u:%u", get_u16(p), get_u16(p + 2));
    list_end(t, &l);
    return true;
}

static bool format_extended(struct text *t, const uint8_t *p, size_t n)
{
    struct list l = {.most = MOST_TAGS};
    if (!n || n % 8)
        return false;
    for (; n; p += 8, n -= 8)
        if (list_more(&l))
            text_say(t, " %08x%08x", get_u32(p), get_u32(p + 4));
    list_end(t, &l);
    return true;
}

static bool format_large(struct text *t, const uint8_t *p, size_t n)
{
    struct list l = {.most = MOST_TAGS};
    if (!n || n % 12)
        return false;
    for (; n; p += 12, n -= 12)
        if (list_more(&l))
            text_say(t, " %u:%u:%u", get_u32(p), get_u32(p + 4), get_u32(p + 8));
    list_end(t, &l);
    return true;
}

static bool format_clusters(struct text *t, const uint8_t *p, size_t n)
{
    struct list l = {.most = MOST_TAGS};
    if (!n || n % 4)
        return false;
    for (; n; p += 4, n -= 4)
        if (list_more(&l)) {
            text_say(t, " ");
            text_addr(t, AF_INET, p);
        }
    list_end(t, &l);
    return true;
}

/* Addresses of a next hop: 4 octets, or one or two of 16 (RFC 2545 section 3), whatever the family (RFC
 * 8950). */
static void format_next_hop(struct text *t, const uint8_t *p, size_t n)
{
    text_say(t, " next-hop ");
    if (n == 4) {
        text_addr(t, AF_INET, p);
    } else if (n == 16 || n == 32) {
        text_addr(t, AF_INET6, p);
        if (n == 32) {
            text_say(t, " ");
            text_addr(t, AF_INET6, p + 16);
        }
    } else {
        text_bad(t, "address", p, n);
    }
}

static void format_mp_routes(struct text *t, uint16_t afi, uint8_t safi, const uint8_t *p, size_t n)
{
    enum family f;
    if (family_from_afi(afi, safi, &f)) {
        format_nlri(t, f, p, n);
    } else {
        text_say(t, " ");
        text_hex(t, p, n);
    }
}

static bool format_mp_reach(struct text *t, const uint8_t *p, size_t n)
{
    if (n < 5 || p[3] > n - 5)
        return false;
    text_say(t, " ");
    text_family(t, get_u16(p), p[2]);
    format_next_hop(t, p + 4, p[3]);
    format_mp_routes(t, get_u16(p), p[2], p + 5 + p[3], n - 5 - p[3]);
    return true;
}

static bool format_mp_unreach(struct text *t, const uint8_t *p, size_t n)
{
    if (n < 3)
        return false;
    text_say(t, " ");
    text_family(t, get_u16(p), p[2]);
    format_mp_routes(t, get_u16(p), p[2], p + 3, n - 3);
    return true;
}

#define WELL_KNOWN     PA_FLAG_TRANSITIVE
#define OPTIONAL       PA_FLAG_OPTIONAL
#define OPT_TRANSITIVE (PA_FLAG_OPTIONAL | PA_FLAG_TRANSITIVE)

static const struct {
    uint8_t type, flags;
    const char *name;
    attr_format *format;
} rows[] = {
    {PA_ORIGIN, WELL_KNOWN, "origin", format_origin},
    {PA_AS_PATH, WELL_KNOWN, "as-path", format_as_path},
    {PA_NEXT_HOP, WELL_KNOWN, "next-hop", format_v4},
    {PA_MED, OPTIONAL, "med", format_u32},
    {PA_LOCAL_PREF, WELL_KNOWN, "local-pref", format_u32},
    {PA_ATOMIC_AGGREGATE, WELL_KNOWN, "atomic-aggregate", format_empty},
    {PA_AGGREGATOR, OPT_TRANSITIVE, "aggregator", format_aggregator},
    {PA_COMMUNITIES, OPT_TRANSITIVE, "communities", format_communities},
    {PA_ORIGINATOR_ID, OPTIONAL, "originator-id", format_v4},
    {PA_CLUSTER_LIST, OPTIONAL, "cluster-list", format_clusters},
    {PA_MP_REACH, OPTIONAL, "reach", format_mp_reach},
    {PA_MP_UNREACH, OPTIONAL, "withdraw", format_mp_unreach},
    {PA_EXTENDED_COMMUNITIES, OPT_TRANSITIVE, "extended-communities", format_extended},
    {PA_AS4_PATH, OPT_TRANSITIVE, "as4-path", format_as4_path},
    {PA_AS4_AGGREGATOR, OPT_TRANSITIVE, "as4-aggregator", format_aggregator},
    {PA_LARGE_COMMUNITIES, OPT_TRANSITIVE, "large-communities", format_large},
    {PA_OTC, OPT_TRANSITIVE, "otc", format_u32},
};

static void format_attribute(struct text *t, uint8_t flags, uint8_t type, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].type != type)
            continue;
        text_say(t, "%s", rows[i].name);
        if ((flags & OPT_TRANSITIVE) != rows[i].flags)
            text_say(t, " (flags %02x)", flags);
        else if (flags & PA_FLAG_PARTIAL)
            text_say(t, " (partial)");
        if (!rows[i].format(t, p, n)) {
            text_say(t, " ");
            text_bad(t, "value", p, n);
        }
        return;
    }
    text_say(t, "attribute %u flags %02x ", type, flags);
    text_hex(t, p, n);
}

static void format_attributes(struct text *t, const uint8_t *p, size_t n, const char **gap)
{
    while (n) {
        size_t wide = p[0] & PA_FLAG_EXTENDED ? 2 : 1, head = 2 + wide;
        size_t len = n < head ? 0 : wide == 2 ? get_u16(p + 2) : p[2];
        text_say(t, "%s", *gap);
        *gap = ", ";
        if (n < head || len > n - head) {
            text_bad(t, "attribute", p, n);
            return;
        }
        format_attribute(t, p[0], p[1], p + head, len);
        p += head + len;
        n -= head + len;
    }
}

/* RFC 4724 section 2: nothing at all, or nothing but an MP_UNREACH without routes. */
static bool format_end_of_rib(struct text *t, size_t withdrawn, const uint8_t *p, size_t n, size_t nlri)
{
    size_t head = n && p[0] & PA_FLAG_EXTENDED ? 4 : 3;
    if (withdrawn || nlri ||
        (n && (n != head + 3 || p[1] != PA_MP_UNREACH || p[head - 1] != 3 || (head == 4 && p[2]))))
        return false;
    text_say(t, "End-of-RIB ");
    text_family(t, n ? get_u16(p + head) : AFI_IPV4, n ? p[head + 2] : SAFI_UNICAST);
    return true;
}

void format_update(struct text *t, const uint8_t *body, size_t n)
{
    size_t withdrawn = n < 4 ? 0 : get_u16(body);
    size_t attrs = n < 4 || withdrawn > n - 4 ? 0 : get_u16(body + 2 + withdrawn);
    const char *gap = "";
    if (n < 4 || withdrawn > n - 4 || attrs > n - 4 - withdrawn) {
        text_bad(t, "lengths", body, n);
        return;
    }
    const uint8_t *first = body + 4 + withdrawn, *nlri = first + attrs;
    size_t routes = n - 4 - withdrawn - attrs;
    if (format_end_of_rib(t, withdrawn, first, attrs, routes))
        return;
    if (withdrawn) {
        text_say(t, "withdraw ipv4 unicast");
        format_nlri(t, FAM_IPV4, body + 2, withdrawn);
        gap = ", ";
    }
    format_attributes(t, first, attrs, &gap);
    if (routes) {
        text_say(t, "%sreach ipv4 unicast", gap);
        format_nlri(t, FAM_IPV4, nlri, routes);
    }
}
