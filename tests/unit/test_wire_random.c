/* Good messages with a few octets changed, cut off or put in: whatever comes out, decoders stay inside the
 * message (each is in a block of its own, so that a sanitizer sees one octet too many), an UPDATE is taken
 * whole or not at all, and what was taken can be written again to every kind of peer. The sequence is the
 * same in every run. */
#include <stdlib.h>

#include "update_fixture.h"

#define ROUNDS 60000

static uint32_t state;

static uint32_t dice(uint32_t n)
{
    state = state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)state * n >> 32);
}

static const char *const updates[] = {
    "000000144001010040020602010000fde94003040a000001180a0100200a01020300",
    "0009180a0100200a0102030000",
    ("0000003a800e2a0002012020010db8000000000000000000000001fe8000000000000000000000000000010020"
     "20010db84001010040020602010000fde9"),
    "0000000b800f080002012020010db8",
    ("000000444001010240021002020000fde90000fdea0101000100004003040a00000180040400000001400600c0"
     "07080000fde90a000001c00808fde90001fde90002c06303010203180a0100"),
    ("00000031400101004002060202fde95ba04003040a000001c011060201000186a0c007065ba00a000001c01208"
     "000186a00a000001180a0100"),
    ("0000002e400101004002004003040a000001400504000000648009040a000001800a040a000002c010080002fd"
     "e900000001180a0100"),
};
static const char *const opens[] = {
    "04fde9005a0a00000218020601040001000102020200020641040000fde902024600",
    "04fde900000a000002ffff000902000641040000fde9",
    "045ba0ffffffffffff1a0216400600780001018045080001010300020101010400020001",
};

/* A changed copy in a block of its own; *n its length. */
static uint8_t *changed(const char *text, size_t *n)
{
    uint8_t buf[512];
    size_t len = hex(text, buf, sizeof buf / 2);
    for (uint32_t i = dice(4); i > 0 && len; i--) {
        size_t at = dice((uint32_t)len);
        switch (dice(5)) {
        case 0:
            buf[at] ^= (uint8_t)(1u << dice(8));
            break;
        case 1:
            buf[at] = (uint8_t)dice(256);
            break;
        case 2:
            buf[at] = (uint8_t)(buf[at] + dice(3) - 1);
            break;
        case 3:
            len = dice(8) ? len : at;
            break;
        case 4:
            memmove(buf + at + 1, buf + at, len - at);
            len++;
            break;
        }
    }
    uint8_t *p = malloc(len ? len : 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    memcpy(p, buf, len);
    *n = len;
    return p;
}

static unsigned take(const struct update_ctx *ctx, const struct attr *a, enum family f, struct nlri_span s,
                     const uint8_t *body, size_t n)
{
    static uint8_t out[BGP_MAX_LEN];
    struct prefix p[64];
    unsigned count = 0;
    CU_ASSERT_TRUE(!s.len || (s.p >= body && s.p + s.len <= body + n));
    while (count < 64 && nlri_next(&s, f, &p[count]))
        CU_ASSERT_TRUE(p[count++].len <= family_bits(f));
    for (unsigned kind = 0; a && count && kind < 4; kind++) {
        const struct update_export x = {
            .ebgp = kind & 1,
            .as4 = kind & 2,
            .local_as = 4200000000,
            .nexthop = {addr_v4(0x0a000009), addr_from_bytes(AF_INET6, (const uint8_t[16]){0xfd, [15] = 9})},
            .max_len = sizeof out};
        struct wire_writer w = wire_writer(out, sizeof out);
        CU_ASSERT_EQUAL(update_encode_reach(&w, &x, ctx->attrs, a, f, p, count), count);
    }
    return count;
}

static void updates_are_taken_whole_or_not_at_all(void)
{
    struct fixture x;
    unsigned actions[4] = {0}, routes = 0;
    fixture_open(&x, EBGP);
    state = 1;
    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t n;
        uint8_t *body = changed(updates[dice(sizeof updates / sizeof *updates)], &n);
        if (i % 500 == 0) { /* a cache belongs to one kind of session */
            update_cache_free(x.ctx.cache, x.attrs);
            x.ctx.cache = NULL;
            fixture_peer(&x, (enum peer_kind)(i / 500 % 4));
            x.ctx.cache = i / 2000 % 2 ? update_cache_new(16) : NULL;
        }
        CU_ASSERT_EQUAL(update_decode(&x.ctx, body, n, &x.u), 0);
        actions[x.u.action]++;
        for (enum family f = 0; f < FAM_COUNT; f++)
            for (int k = 0; k < 2; k++) {
                CU_ASSERT_TRUE(!x.u.attr[f][k] ||
                               (x.u.reach[f][k].len && x.u.action < UPDATE_TREAT_AS_WITHDRAW));
                CU_ASSERT_TRUE(x.u.action != UPDATE_RESET ||
                               !(x.u.reach[f][k].len | x.u.withdrawn[f][k].len));
                routes += take(&x.ctx, x.u.attr[f][k], f, x.u.reach[f][k], body, n);
                routes += take(&x.ctx, NULL, f, x.u.withdrawn[f][k], body, n);
            }
        update_release(&x.ctx, &x.u);
        free(body);
    }
    for (int a = 0; a < 4; a++) /* or the changes were too many, or too few */
        CU_ASSERT_TRUE(actions[a] > ROUNDS / 1000);
    CU_ASSERT_TRUE(routes > ROUNDS / 4);
    fixture_close(&x);
}

static void opens_are_good_or_say_why_not(void)
{
    unsigned good = 0;
    state = 2;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct open_msg m;
        struct bgp_error e = {0};
        size_t n;
        uint8_t *body = changed(opens[dice(sizeof opens / sizeof *opens)], &n);
        int rc = open_decode(body, n, &m, &e);
        CU_ASSERT_TRUE(rc ? e.code == BGP_ERR_OPEN : m.asn && m.id && m.hold_time != 1 && m.hold_time != 2);
        good += !rc;
        free(body);
    }
    CU_ASSERT_TRUE(good > ROUNDS / 10 && good < ROUNDS);
}

static const struct unit_case cases[] = {
    UNIT(updates_are_taken_whole_or_not_at_all),
    UNIT(opens_are_good_or_say_why_not),
};
UNIT_MAIN("wire_random", cases)
