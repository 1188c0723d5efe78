#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

static unsigned long resident_kib(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fscanf(f, "%*u %lu", &pages), 1);
    fclose(f);
    return pages * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

static void sparse_sets_of_a_large_table_are_small(void)
{
    enum { N = 400, VIPS = 20, LEARNED = 1000000 };
    struct dirty *d = calloc(N, sizeof *d);
    unsigned long before = resident_kib();
    for (int i = 0; i < N; i++)
        for (uint32_t k = 0; k < VIPS; k++)
            CU_ASSERT_EQUAL_FATAL(dirty_set(&d[i], LEARNED + k), 0);
    CU_ASSERT((resident_kib() - before) / N < 40); /* a bitmap is 128 */
    for (int i = 0; i < N; i++) {
        CU_ASSERT_EQUAL(d[i].count, VIPS);
        CU_ASSERT_EQUAL(dirty_next(&d[i], 0), LEARNED);
        dirty_reset(&d[i]);
    }
    free(d);
}

/* Where the memory of the map had something else in it before. */
static void what_memory_held_before_does_not_show(void)
{
    for (int i = 0; i < 64; i++) {
        struct dirty d = {0};
        uint32_t top = 4000u + 60000u * (uint32_t)i;
        void *junk = malloc(top);
        CU_ASSERT_PTR_NOT_NULL_FATAL(junk);
        memset(junk, 0xff, top);
        free(junk);
        CU_ASSERT_EQUAL(dirty_set(&d, top), 0);
        CU_ASSERT_EQUAL(dirty_next(&d, 0), top);
        CU_ASSERT_FALSE(dirty_test(&d, top - 64));
        CU_ASSERT_EQUAL(dirty_set(&d, top / 2), 0);
        CU_ASSERT_EQUAL(dirty_next(&d, 0), top / 2);
        CU_ASSERT_EQUAL(dirty_next(&d, top / 2 + 1), top);
        dirty_clear(&d, top);
        CU_ASSERT_EQUAL(dirty_fill(&d, top / 3), 0);
        CU_ASSERT_EQUAL(d.count, top / 3 + 1);
        CU_ASSERT_EQUAL(dirty_next(&d, top / 3), top / 2);
        dirty_reset(&d);
    }
}

static const struct unit_case cases[] = {
    UNIT(empty_set_has_nothing),
    UNIT(setting_twice_is_one_entry),
    UNIT(walk_visits_members_in_order),
    UNIT(agrees_with_a_plain_array_under_random_changes),
    UNIT(fill_sets_exactly_n),
    UNIT(sparse_walk_skips_through_the_summary),
    UNIT(sparse_sets_of_a_large_table_are_small),
    UNIT(what_memory_held_before_does_not_show),
};
UNIT_MAIN("dirty", cases)
