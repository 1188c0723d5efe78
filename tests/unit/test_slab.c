#include <string.h>

#include "lib/slab.h"
#include "unit.h"

static void zero_is_never_handed_out(void)
{
    struct slab s;
    slab_init(&s, 40);
    CU_ASSERT_EQUAL(slab_memory(&s), 0);
    CU_ASSERT_EQUAL(slab_alloc(&s), 1);
    CU_ASSERT_EQUAL(slab_alloc(&s), 2);
    slab_free(&s, 0);
    CU_ASSERT_EQUAL(s.used, 2);
    slab_reset(&s);
}

static void records_are_zeroed_also_when_recycled(void)
{
    static const uint8_t zero[40];
    struct slab s;
    slab_init(&s, sizeof zero);
    uint32_t a = slab_alloc(&s), b = slab_alloc(&s);
    memset(slab_at(&s, a), 0xff, sizeof zero);
    memset(slab_at(&s, b), 0xff, sizeof zero);
    slab_free(&s, a);
    slab_free(&s, b);
    CU_ASSERT_EQUAL(slab_alloc(&s), b); /* the last freed first */
    CU_ASSERT_EQUAL(slab_alloc(&s), a);
    CU_ASSERT_EQUAL(memcmp(slab_at(&s, a), zero, sizeof zero), 0);
    CU_ASSERT_EQUAL(memcmp(slab_at(&s, b), zero, sizeof zero), 0);
    CU_ASSERT_EQUAL(slab_alloc(&s), 3);
    slab_reset(&s);
}

static void records_never_move(void)
{
    enum { N = 3 * SLAB_CHUNK };
    static void *at[N];
    struct slab s;
    slab_init(&s, 8);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t x = slab_alloc(&s);
        CU_ASSERT_EQUAL_FATAL(x, i + 1);
        at[i] = slab_at(&s, x);
        memcpy(at[i], &x, sizeof x);
    }
    for (uint32_t i = 0; i < N; i++) {
        uint32_t x;
        CU_ASSERT_EQUAL(slab_at(&s, i + 1), at[i]);
        memcpy(&x, at[i], sizeof x);
        CU_ASSERT_EQUAL(x, i + 1);
    }
    CU_ASSERT_EQUAL(s.used, N);
    CU_ASSERT_EQUAL(s.n_chunks, 4);
    CU_ASSERT_EQUAL(slab_memory(&s), 4 * (SLAB_CHUNK * 8 + sizeof(void *)));
    slab_reset(&s);
    CU_ASSERT_EQUAL(slab_alloc(&s), 1);
    slab_reset(&s);
}

static void tiny_records_still_hold_the_free_list(void)
{
    struct slab s;
    slab_init(&s, 1);
    uint32_t a = slab_alloc(&s), b = slab_alloc(&s);
    slab_free(&s, a);
    slab_free(&s, b);
    CU_ASSERT_EQUAL(slab_alloc(&s), b);
    CU_ASSERT_EQUAL(slab_alloc(&s), a);
    slab_reset(&s);
}

static const struct unit_case cases[] = {
    UNIT(zero_is_never_handed_out),
    UNIT(records_are_zeroed_also_when_recycled),
    UNIT(records_never_move),
    UNIT(tiny_records_still_hold_the_free_list),
};
UNIT_MAIN("slab", cases)
