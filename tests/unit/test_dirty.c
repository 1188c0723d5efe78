#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/dirty.h"
#include "unit.h"

static void empty_set_has_nothing(void)
{
    struct dirty d = {0};
    CU_ASSERT_EQUAL(dirty_next(&d, 0), DIRTY_NONE);
    CU_ASSERT_FALSE(dirty_test(&d, 0));
    CU_ASSERT_FALSE(dirty_test(&d, UINT32_MAX));
    dirty_clear(&d, 5);
    CU_ASSERT_EQUAL(d.count, 0);
    CU_ASSERT_EQUAL(dirty_memory(&d), 0);
    CU_ASSERT_NOT_EQUAL(dirty_set(&d, DIRTY_NONE), 0);
}

static void setting_twice_is_one_entry(void)
{
    struct dirty d = {0};
    CU_ASSERT_EQUAL(dirty_set(&d, 70), 0);
    CU_ASSERT_EQUAL(dirty_set(&d, 70), 0);
    CU_ASSERT_EQUAL(d.count, 1);
    dirty_clear(&d, 70);
    dirty_clear(&d, 70);
    CU_ASSERT_EQUAL(d.count, 0);
    CU_ASSERT_EQUAL(dirty_next(&d, 0), DIRTY_NONE);
    dirty_reset(&d);
}

static void walk_visits_members_in_order(void)
{
    static const uint32_t in[] = {0, 1, 63, 64, 4095, 4096, 4097, 262143, 262144, 5000000};
    struct dirty d = {0};
    for (size_t i = sizeof in / sizeof *in; i-- > 0;)
        CU_ASSERT_EQUAL(dirty_set(&d, in[i]), 0);
    size_t n = 0;
    for (uint32_t i = dirty_next(&d, 0); i != DIRTY_NONE; i = dirty_next(&d, i + 1))
        CU_ASSERT_EQUAL(i, in[n++]);
    CU_ASSERT_EQUAL(n, sizeof in / sizeof *in);
    CU_ASSERT_EQUAL(dirty_next(&d, UINT32_MAX - 1), DIRTY_NONE);
    dirty_reset(&d);
}

static void agrees_with_a_plain_array_under_random_changes(void)
{
    enum { N = 20000 };
    struct dirty d = {0};
    bool *model = calloc(N, sizeof *model);
    uint32_t count = 0;
    srandom(1);
    for (int round = 0; round < 60000; round++) {
        uint32_t i = (uint32_t)random() % N;
        bool on = random() % 3 == 0;
        count += on - model[i];
        model[i] = on;
        if (on)
            dirty_set(&d, i);
        else
            dirty_clear(&d, i);
        if (round % 16)
            continue;
        uint32_t from = (uint32_t)random() % N, want = from;
        while (want < N && !model[want])
            want++;
        CU_ASSERT_EQUAL(dirty_next(&d, from), want < N ? want : DIRTY_NONE);
    }
    CU_ASSERT_EQUAL(d.count, count);
    free(model);
    dirty_reset(&d);
}

static void fill_sets_exactly_n(void)
{
    static const uint32_t sizes[] = {1, 63, 64, 65, 4096, 4097, 10000};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        struct dirty d = {0};
        dirty_set(&d, 3);
        dirty_set(&d, sizes[k] + 100);
        CU_ASSERT_EQUAL(dirty_fill(&d, sizes[k]), 0);
        CU_ASSERT_EQUAL(d.count, sizes[k] < 4 ? sizes[k] + 2 : sizes[k] + 1);
        CU_ASSERT_TRUE(dirty_test(&d, sizes[k] - 1));
        CU_ASSERT_EQUAL(dirty_test(&d, sizes[k]), sizes[k] == 3);
        for (uint32_t i = 0; i < sizes[k]; i++)
            dirty_clear(&d, i);
        CU_ASSERT_EQUAL(dirty_next(&d, 4), sizes[k] + 100);
        dirty_reset(&d);
    }
    struct dirty d = {0};
    CU_ASSERT_EQUAL(dirty_fill(&d, 0), 0);
    CU_ASSERT_EQUAL(d.words, 0);
}

static void sparse_walk_skips_through_the_summary(void)
{
    /* 10,000 lookups over 64M indices with one member at the end look at 164M summary words; without the
     * summary they would look at 10G words of the map. */
    struct dirty d = {0};
    CU_ASSERT_EQUAL(dirty_set(&d, 64u << 20), 0);
    clock_t start = clock();
    for (uint32_t i = 0; i < 10000; i++)
        CU_ASSERT_EQUAL_FATAL(dirty_next(&d, i), 64u << 20);
    CU_ASSERT((double)(clock() - start) / CLOCKS_PER_SEC < 2.0);
    CU_ASSERT(dirty_memory(&d) <= 2 * (64ull << 20) / 8 * 66 / 64);
    dirty_reset(&d);
}

static const struct unit_case cases[] = {
    UNIT(empty_set_has_nothing),        UNIT(setting_twice_is_one_entry),
    UNIT(walk_visits_members_in_order), UNIT(agrees_with_a_plain_array_under_random_changes),
    UNIT(fill_sets_exactly_n),          UNIT(sparse_walk_skips_through_the_summary),
};
UNIT_MAIN("dirty", cases)
