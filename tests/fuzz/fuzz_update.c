/* UPDATEs of one session of any kind, one after the other, so that the cache of attribute blocks has its turn
 * too. Spans lie inside of the message, an UPDATE is taken whole or not at all, what was taken can be written
 * for every kind of peer, is then well formed, and once written does not change any more. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_nexthop.h"
#include "wire/update.h"

enum { PREFIXES = 64 };

static uint8_t out[BGP_MAX_EXT_LEN];
static struct nexthop_table *nexthops;
static struct attr_table *attrs;

struct routes {
    struct prefix prefix[PREFIXES];
    uint32_t id[PREFIXES];
    unsigned n;
};

static struct update_ctx context(uint8_t kind)
{
    return (struct update_ctx){.attrs = attrs,
                               .local_as = 64512,
                               .peer_as = kind & 1 ? 65001 : 64512,
                               .scope = 2,
                               .ebgp = kind & 1,
                               .as4 = kind & 2,
                               .family = {!(kind & 4), !(kind & 8)},
                               .add_path = {kind & 16, kind & 32}};
}

static struct routes walk(struct nlri_span s, enum family f, bool add_path, const uint8_t *body, size_t n)
{
    struct routes r = {.n = 0};
    struct prefix p;
    uint32_t id;
    FUZZ_CHECK(!s.len || (s.p >= body && s.p + s.len <= body + n));
    while (nlri_next_path(&s, f, add_path, &p, &id)) {
        FUZZ_CHECK(p.len <= family_bits(f));
        if (r.n < PREFIXES) {
            r.prefix[r.n] = p;
            r.id[r.n++] = id;
        }
    }
    return r;
}

/* Written by us for a peer of that kind, and read by that peer. The attributes as it has them, a new
 * reference, or NULL when they do not fit the message. */
static const struct attr *there(const struct attr *a, enum family f, const struct routes *r, bool ebgp,
                                bool as4, bool add_path)
{
    const struct update_export x = {
        .ebgp = ebgp,
        .as4 = as4,
        .local_as = 64512,
        .default_local_pref = 100,
        .nexthop = {addr_v4(0x0a000009), addr_from_bytes(AF_INET6, (const uint8_t[16]){0xfd, [15] = 9})},
        .nexthop_self = true,
        .max_len = BGP_MAX_LEN};
    const struct update_ctx ctx = {.attrs = attrs,
                                   .local_as = ebgp ? 65001 : 64512,
                                   .peer_as = 64512,
                                   .ebgp = ebgp,
                                   .as4 = as4,
                                   .family = {true, true},
                                   .add_path = {add_path, add_path}};
    struct wire_writer w = wire_writer(out, BGP_MAX_LEN);
    unsigned n = update_encode_reach_paths(&w, &x, attrs, a, f, r->prefix, add_path ? r->id : NULL, r->n);
    FUZZ_CHECK(n <= r->n);
    if (!n)
        return NULL;
    enum bgp_msg_type type;
    struct bgp_error e;
    struct update u;
    size_t len;
    FUZZ_CHECK(!w.err && !msg_header_decode(out, BGP_MAX_LEN, &type, &len, &e) && len == wire_len(&w));
    FUZZ_CHECK(!update_decode(&ctx, out + BGP_HEADER_LEN, len - BGP_HEADER_LEN, &u));
    FUZZ_CHECK(u.action == UPDATE_OK);
    unsigned i = 0;
    const struct attr *got = NULL;
    for (int k = 0; k < 2; k++) {
        struct nlri_span s = u.reach[f][k];
        struct prefix p;
        uint32_t id;
        FUZZ_CHECK(!s.len == !u.attr[f][k]);
        for (; nlri_next_path(&s, f, add_path, &p, &id); i++)
            FUZZ_CHECK(i < n && prefix_equal(&p, &r->prefix[i]) && id == (add_path ? r->id[i] : 0));
        if (u.attr[f][k])
            got = attr_ref(u.attr[f][k]);
    }
    FUZZ_CHECK(i == n && got);
    update_release(&ctx, &u);
    return got;
}

static void write_again(const struct attr *a, enum family f, const struct routes *r)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        const struct attr *once = there(a, f, r, kind & 1, kind & 2, kind & 1);
        if (once && !(kind & 1)) { /* iBGP: nothing is added any more */
            const struct attr *twice = there(once, f, r, false, kind & 2, true);
            FUZZ_CHECK(once == twice);
            attr_unref(attrs, twice);
        }
        if (once)
            attr_unref(attrs, once);
    }
}

static void show(const struct attr *a)
{
    char text[256]; /* less than some need: must be cut */
    attr_format_as_path(a, text, sizeof text);
    attr_format_communities(a, text, sizeof text);
    attr_format_large(a, text, sizeof text);
    attr_format_extended(a, text, sizeof text);
    attr_path_count_as(a, 64512);
}

static void take(const struct update_ctx *ctx, const uint8_t *body, size_t n)
{
    struct update u;
    FUZZ_CHECK(!update_decode(ctx, body, n, &u));
    FUZZ_CHECK(u.action <= UPDATE_RESET && (u.action != UPDATE_RESET || u.error.code));
    for (enum family f = 0; f < FAM_COUNT; f++)
        for (int k = 0; k < 2; k++) {
            FUZZ_CHECK(u.action != UPDATE_RESET || !(u.reach[f][k].len | u.withdrawn[f][k].len));
            FUZZ_CHECK(!u.attr[f][k] || (u.reach[f][k].len && u.action < UPDATE_TREAT_AS_WITHDRAW));
            FUZZ_CHECK(u.attr[f][k] || !u.reach[f][k].len || u.action >= UPDATE_TREAT_AS_WITHDRAW);
            walk(u.withdrawn[f][k], f, ctx->add_path[f], body, n);
            struct routes r = walk(u.reach[f][k], f, ctx->add_path[f], body, n);
            if (!u.attr[f][k])
                continue;
            show(u.attr[f][k]);
            write_again(u.attr[f][k], f, &r);
        }
    update_release(ctx, &u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    nexthops = nexthops ? nexthops : nexthop_table_new(NULL, NULL);
    attrs = attrs ? attrs : attr_table_new(nexthops);
    struct update_ctx ctx = context(fuzz_u8(&in));
    ctx.cache = fuzz_u8(&in) & 1 ? update_cache_new(4) : NULL;
    for (int i = 0; i < 8 && in.n; i++) {
        struct fuzz_in piece = fuzz_piece(&in);
        uint8_t *body = malloc(piece.n ? piece.n : 1); /* of its own, so that it ends where the memory does */
        FUZZ_CHECK(body);
        memcpy(body, piece.p, piece.n);
        take(&ctx, body, piece.n);
        free(body);
    }
    update_cache_free(ctx.cache, attrs);
    FUZZ_CHECK(!attr_table_count(attrs) && !fake_nexthop_refs(nexthops));
    return 0;
}
