/*
 * A table like the Internet's, made from a seed.
 *
 * What matters to a BGP speaker is not which prefixes there are but their shape: the mix of prefix lengths
 * (the kernel's trie, the hash of the RIB), how many routes share an attribute set (interning, packing), how
 * many come in one UPDATE, and that neither prefixes nor attributes come sorted. So: the length mix of a full
 * table of today, one attribute set per eight routes on average with a long tail, prefixes of one set near
 * each other, at most 20 prefixes an UPDATE, and the UPDATEs shuffled within blocks as a real feed has them.
 *
 * The streams are built in memory before the clock starts, so that the injector costs its machine as little
 * as possible. Not here: IPv6, and prefixes longer than /24, which a full table does not have.
 */
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROUTES_PER_SET = 8,
    PREFIXES_PER_UPDATE = 20,
    SHUFFLE_BLOCK = 1024, /* UPDATEs */
    REGION_LEN = 12,      /* the prefixes of one attribute set lie within one /12 */
    ROUTES_MAX = 4000000,
    GROUP_MAX = 400,
    ATTRS_MAX = 512,
    PREPEND_MAX = 8,
    MSG_HEADER = 19,
    MSG_MAX = 4096,
    MSG_UPDATE = 2,
};

/* Per 100,000 routes, from /8 to /24. */
static const uint32_t length_mix[] = {
    [8] = 2,     [9] = 2,     [10] = 4,     [11] = 10,    [12] = 30,    [13] = 60,
    [14] = 120,  [15] = 210,  [16] = 1400,  [17] = 850,   [18] = 1400,  [19] = 2500,
    [20] = 4500, [21] = 5200, [22] = 11500, [23] = 10600, [24] = 61612,
};

struct span {
    size_t off, len;
};

uint64_t table_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint32_t below(uint64_t *rng, uint32_t limit)
{
    return (uint32_t)((table_random(rng) >> 32) * limit >> 32);
}

uint8_t *table_bitmap_new(void)
{
    return calloc(TABLE_SLOTS / 8, 1);
}

static int stream_add(struct table_stream *s, const uint8_t *msg, size_t len)
{
    if (s->len + len > s->size) {
        size_t size = s->size ? s->size * 2 : 1 << 20;
        uint8_t *data = realloc(s->data, size);

        if (!data)
            return -ENOMEM;
        s->data = data;
        s->size = size;
    }
    memcpy(s->data + s->len, msg, len);
    s->len += len;
    s->messages++;
    return 0;
}

static uint8_t *put_u16(uint8_t *p, uint32_t v)
{
    *p++ = (uint8_t)(v >> 8);
    *p++ = (uint8_t)v;
    return p;
}

static uint8_t *put_u32(uint8_t *p, uint32_t v)
{
    return put_u16(put_u16(p, v >> 16), v);
}

static uint8_t *put_attr(uint8_t *p, uint8_t flags, uint8_t type, size_t len)
{
    *p++ = flags;
    *p++ = type;
    *p++ = (uint8_t)len;
    return p;
}

static uint8_t *put_prefix(uint8_t *p, struct table_prefix pfx)
{
    *p++ = pfx.len;
    for (unsigned i = 0; i < (pfx.len + 7u) / 8; i++)
        *p++ = (uint8_t)(pfx.addr >> (24 - 8 * i));
    return p;
}

static uint32_t random_asn(uint64_t *rng)
{
    return below(rng, 100) < 55 ? 1000 + below(rng, 62000) : 131072 + below(rng, 270000);
}

/* One attribute set, in ascending type order as RFC 4271 5 asks. The set's number is in its path: all are
 * distinct. */
static size_t build_attrs(uint8_t *attrs, uint64_t *rng, uint32_t set, const struct table_spec *from)
{
    uint8_t *p = attrs;
    uint32_t dice = below(rng, 100), hops = 2 + below(rng, 3) + below(rng, 4), n;

    p = put_attr(p, 0x40, 1, 1);
    *p++ = dice < 90 ? 0 : dice < 99 ? 2 : 1;
    p = put_attr(p, 0x40, 2, 2 + 4 * (hops + from->prepend));
    *p++ = 2;
    *p++ = (uint8_t)(hops + from->prepend);
    for (uint32_t i = 0; i <= from->prepend; i++)
        p = put_u32(p, from->asn);
    for (uint32_t i = 1; i + 1 < hops; i++)
        p = put_u32(p, random_asn(rng));
    p = put_u32(p, 401000 + set);
    p = put_u32(put_attr(p, 0x40, 3, 4), from->next_hop);
    if (below(rng, 100) < 30)
        p = put_u32(put_attr(p, 0x80, 4, 4), below(rng, 20) * 10);
    if (below(rng, 100) < 4) {
        p = put_attr(p, 0x40, 6, 0);
        p = put_u32(put_u32(put_attr(p, 0xc0, 7, 8), 401000 + set), 0xc0000200 + below(rng, 250));
    }
    if (below(rng, 100) < 45) {
        n = 1 + below(rng, 6);
        p = put_attr(p, 0xc0, 8, 4 * n);
        for (uint32_t i = 0; i < n; i++)
            p = put_u32(p, (1000 + below(rng, 60000)) << 16 | below(rng, 4000));
    }
    if (below(rng, 100) < 8) {
        n = 1 + below(rng, 3);
        p = put_attr(p, 0xc0, 32, 12 * n);
        for (uint32_t i = 0; i < n; i++)
            p = put_u32(put_u32(put_u32(p, random_asn(rng)), below(rng, 100)), below(rng, 5000));
    }
    return (size_t)(p - attrs);
}

static unsigned random_len(uint64_t *rng)
{
    uint32_t dice = below(rng, 100000);

    for (unsigned len = 8; len < TABLE_MAX_LEN; len++) {
        if (dice < length_mix[len])
            return len;
        dice -= length_mix[len];
    }
    return TABLE_MAX_LEN;
}

/* Not what importers refuse as martians, and not 10/8, where the benchmark's own links are. */
static bool usable(uint32_t addr)
{
    uint32_t first = addr >> 24;

    return first != 0 && first != 10 && first != 127 && first < 224 && addr >> 16 != 0xa9fe;
}

static struct table_prefix random_prefix(struct table *t, uint64_t *rng, uint32_t region)
{
    unsigned len = random_len(rng);

    for (unsigned attempt = 0;; attempt++) {
        uint32_t addr = (uint32_t)table_random(rng);

        if (attempt >= 64)
            len = TABLE_MAX_LEN;
        if (attempt < 16 && len > REGION_LEN)
            addr = region | addr >> REGION_LEN;
        addr &= ~0u << (32 - len);
        if (usable(addr) && !table_mark(t->present, table_slot(addr, len)))
            return (struct table_prefix){addr, (uint8_t)len};
    }
}

/* Mostly small with a long tail, and exact in sum: the mean of what is left decides, the last set takes the
 * rest. */
static uint32_t group_size(uint64_t *rng, uint32_t routes_left, uint32_t sets_left)
{
    uint32_t most = routes_left - (sets_left - 1), mean = routes_left / sets_left, size = 1;

    if (sets_left == 1)
        return routes_left;
    while (size < most && size < GROUP_MAX && below(rng, 1000) >= 1000 / (mean ? mean : 1))
        size++;
    return size;
}

static int add_update(struct table_stream *s, const uint8_t *attrs, size_t attrs_len,
                      const struct table_prefix *pfx, uint32_t n)
{
    uint8_t msg[MSG_MAX], *p = msg + MSG_HEADER;

    memset(msg, 0xff, 16);
    msg[18] = MSG_UPDATE;
    p = put_u16(put_u16(p, 0), (uint32_t)attrs_len);
    memcpy(p, attrs, attrs_len);
    p += attrs_len;
    for (uint32_t i = 0; i < n; i++)
        p = put_prefix(p, pfx[i]);
    put_u16(msg + 16, (uint32_t)(p - msg));
    return stream_add(s, msg, (size_t)(p - msg));
}

/* Copies the messages of a stream in the order of spans. */
static int reorder(struct table_stream *s, const struct span *spans)
{
    uint8_t *data = malloc(s->size);
    size_t len = 0;

    if (!data)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->messages; i++) {
        memcpy(data + len, s->data + spans[i].off, spans[i].len);
        len += spans[i].len;
    }
    free(s->data);
    s->data = data;
    return 0;
}

static int shuffle_in_blocks(struct table_stream *s, uint64_t *rng)
{
    struct span *spans = malloc((s->messages + 1) * sizeof(*spans));
    size_t off = 0;
    int err;

    if (!spans)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->messages; i++) {
        spans[i] = (struct span){off, (size_t)s->data[off + 16] << 8 | s->data[off + 17]};
        off += spans[i].len;
    }
    for (uint32_t start = 0; start < s->messages; start += SHUFFLE_BLOCK) {
        uint32_t left = s->messages - start, n = left < SHUFFLE_BLOCK ? left : SHUFFLE_BLOCK;

        for (uint32_t i = n; i > 1; i--) {
            uint32_t j = start + below(rng, i);
            struct span other = spans[j];

            spans[j] = spans[start + i - 1];
            spans[start + i - 1] = other;
        }
    }
    err = reorder(s, spans);
    free(spans);
    return err;
}

/* Withdrawals carry no attributes, so speakers pack them full. */
static int build_withdraw(struct table *t)
{
    uint8_t msg[MSG_MAX];
    int err = 0;

    memset(msg, 0xff, 16);
    msg[18] = MSG_UPDATE;
    for (uint32_t i = 0; i < t->routes && !err;) {
        uint8_t *start = msg + MSG_HEADER + 2, *p = start;

        while (i < t->routes && p - msg < MSG_MAX - 2 - 4)
            p = put_prefix(p, t->prefixes[i++]);
        put_u16(start - 2, (uint32_t)(p - start));
        p = put_u16(p, 0);
        put_u16(msg + 16, (uint32_t)(p - msg));
        err = stream_add(&t->withdraw, msg, (size_t)(p - msg));
    }
    return err;
}

static int build_announce(struct table *t, uint64_t *rng, const struct table_spec *from)
{
    uint8_t attrs[ATTRS_MAX];
    uint32_t done = 0;

    for (uint32_t set = 0; set < t->sets; set++) {
        uint32_t n = group_size(rng, t->routes - done, t->sets - set), region = (uint32_t)table_random(rng);
        size_t attrs_len = build_attrs(attrs, rng, set, from);

        region &= ~0u << (32 - REGION_LEN);
        for (uint32_t i = 0; i < n; i++)
            t->prefixes[done + i] = random_prefix(t, rng, region);
        for (uint32_t i = 0; i < n; i += PREFIXES_PER_UPDATE) {
            uint32_t count = n - i < PREFIXES_PER_UPDATE ? n - i : PREFIXES_PER_UPDATE;

            if (from->asn && add_update(&t->announce, attrs, attrs_len, t->prefixes + done + i, count) < 0)
                return -ENOMEM;
        }
        done += n;
    }
    return 0;
}

int table_build(struct table *t, const struct table_spec *spec)
{
    uint64_t rng = spec->seed;
    uint32_t routes = spec->routes;
    int err;

    memset(t, 0, sizeof(*t));
    if (!routes || routes > ROUTES_MAX || spec->prepend > PREPEND_MAX)
        return -ERANGE;
    t->routes = routes;
    t->sets = routes < ROUTES_PER_SET ? 1 : routes / ROUTES_PER_SET;
    t->prefixes = malloc(routes * sizeof(*t->prefixes));
    t->shared = spec->beside;
    t->present = t->shared ? spec->beside->present : table_bitmap_new();
    err = t->prefixes && t->present ? build_announce(t, &rng, spec) : -ENOMEM;
    if (!err && spec->asn)
        err = shuffle_in_blocks(&t->announce, &rng);
    if (!err && spec->asn)
        err = build_withdraw(t);
    if (err)
        table_free(t);
    return err;
}

void table_free(struct table *t)
{
    free(t->prefixes);
    if (!t->shared)
        free(t->present);
    free(t->announce.data);
    free(t->withdraw.data);
    memset(t, 0, sizeof(*t));
}

bool table_covered(const struct table *t, struct table_prefix p)
{
    for (unsigned len = p.len + 1u; len <= TABLE_MAX_LEN; len++)
        if (table_marked(t->present, table_slot(p.addr, len)))
            return true;
    return false;
}

uint32_t table_place(const struct table *t, unsigned i, unsigned n)
{
    uint32_t at = n < 2 ? 0 : (uint32_t)((uint64_t)(t->routes - 1) * i / (n - 1));

    /* Most are covered by none; from the last one the search goes backwards. */
    while (table_covered(t, t->prefixes[at]))
        at = i + 1 < n && at + 1 < t->routes ? at + 1 : at ? at - 1 : t->routes - 1;
    return t->prefixes[at].addr;
}
