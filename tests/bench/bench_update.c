/* How fast UPDATEs are decoded and their attributes interned: 1M IPv4 prefixes in 125k distinct attribute
 * sets, eight prefixes a message, as a full table looks. Prints; asserts nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "../unit/fake_nexthop.h"
#include "wire/update.h"

enum { SETS = 125000, PER_SET = 8 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const struct attr *make_set(struct attr_table *t, uint32_t i)
{
    uint8_t path[2 + 16] = {2,
                            4,
                            0,
                            0,
                            0xfd,
                            0xe9,
                            0,
                            0,
                            0x32,
                            0x12,
                            0,
                            (uint8_t)(i >> 12),
                            (uint8_t)(i >> 4),
                            7,
                            0,
                            0,
                            (uint8_t)(i >> 8),
                            (uint8_t)(i | 1)};
    uint8_t communities[8] = {0xfd, 0xe9, (uint8_t)(i >> 8), (uint8_t)i, 0xfd, 0xea, (uint8_t)(i >> 16), 1};
    struct attr_build b = {.nexthop = addr_v4(0x0a000001),
                           .part = {[PART_AS_PATH] = path, [PART_COMMUNITY] = communities},
                           .part_len = {[PART_AS_PATH] = sizeof path, [PART_COMMUNITY] = sizeof communities}};
    return attr_intern(t, &b);
}

static size_t make_stream(uint8_t *buf, size_t size)
{
    struct nexthop_table *nh = nexthop_table_new(NULL, NULL);
    struct attr_table *t = attr_table_new(nh);
    struct update_export x = {
        .as4 = true, .max_len = BGP_MAX_LEN, .nexthop = {addr_v4(0x0a000001)}, .default_local_pref = 100};
    struct wire_writer w = wire_writer(buf, size);
    double start = now();
    for (uint32_t i = 0; i < SETS; i++) {
        struct prefix p[PER_SET];
        for (uint32_t k = 0; k < PER_SET; k++) {
            struct ip_addr a = addr_v4(0x01000000 + (i * PER_SET + k) * 256);
            p[k] = prefix_make(&a, 24);
        }
        const struct attr *a = make_set(t, i);
        update_encode_reach(&w, &x, t, a, FAM_IPV4, p, PER_SET);
        attr_unref(t, a);
    }
    printf("encode   %6.2f M prefixes/s (with interning)\n", SETS * PER_SET / (now() - start) / 1e6);
    attr_table_free(t);
    nexthop_table_free(nh);
    return wire_len(&w);
}

static const struct attr *keep[SETS];

static double run(const struct update_ctx *ctx, const uint8_t *p, size_t n, uint64_t *prefixes)
{
    uint32_t kept = 0;
    double start = now();
    *prefixes = 0;
    for (const uint8_t *end = p + n; p < end;) {
        enum bgp_msg_type type;
        size_t len;
        struct bgp_error err;
        struct update u;
        struct prefix prefix;
        if (msg_header_decode(p, BGP_MAX_LEN, &type, &len, &err) ||
            update_decode(ctx, p + BGP_HEADER_LEN, len - BGP_HEADER_LEN, &u))
            break;
        while (nlri_next(&u.reach[FAM_IPV4][0], FAM_IPV4, &prefix))
            ++*prefixes;
        if (kept < SETS && u.attr[FAM_IPV4][0])
            keep[kept++] = attr_ref(u.attr[FAM_IPV4][0]);
        update_release(ctx, &u);
        p += len;
    }
    double took = now() - start;
    printf("  %" PRIu64 " prefixes in %.3f s: %.2f M prefixes/s, %.0f ns a message, %" PRIu32
           " attribute sets, %.0f bytes each\n",
           *prefixes, took, (double)*prefixes / took / 1e6, took * 1e9 / SETS, attr_table_count(ctx->attrs),
           (double)attr_table_memory(ctx->attrs) / attr_table_count(ctx->attrs));
    while (kept)
        attr_unref(ctx->attrs, keep[--kept]);
    return took;
}

int main(void)
{
    size_t size = (size_t)SETS * 160 + BGP_MAX_LEN;
    uint8_t *buf = malloc(size);
    if (!buf)
        return 1;
    size_t n = make_stream(buf, size);
    for (unsigned slots = 0; slots <= 262144; slots = slots ? slots * 256 : 1024) {
        struct nexthop_table *nh = nexthop_table_new(NULL, NULL);
        struct attr_table *t = attr_table_new(nh);
        struct update_ctx ctx = {
            .attrs = t, .local_as = 64512, .peer_as = 64512, .as4 = true, .family = {true, true}};
        uint64_t prefixes;
        ctx.cache = slots ? update_cache_new(slots) : NULL;
        printf("decode, cache of %u slots\n", slots);
        run(&ctx, buf, n, &prefixes);
        run(&ctx, buf, n, &prefixes);
        update_cache_free(ctx.cache, t);
        attr_table_free(t);
        nexthop_table_free(nh);
    }
    free(buf);
    return 0;
}
