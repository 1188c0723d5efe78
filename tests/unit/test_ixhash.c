/* The index hash, against a plain array of which keys are there. */
#include "lib/ixhash.h"

#include <stdlib.h>

#include "unit.h"

#define N 60000

struct records {
    struct ixhash h;
    uint32_t mask; /* of the hash: a small one makes everything collide */
    bool used[N + 1];
};

static uint32_t hash_of_index(const struct records *r, uint32_t index)
{
    uint32_t x = index * 0x9e3779b1u;
    return (x ^ x >> 15) & r->mask;
}

static bool record_hash(const void *arg, uint32_t index, uint32_t *hash)
{
    const struct records *r = arg;
    *hash = hash_of_index(r, index);
    return r->used[index];
}

static struct records *records_new(uint32_t mask)
{
    struct records *r = calloc(1, sizeof *r);
    r->mask = mask;
    ixhash_init(&r->h, record_hash, r);
    return r;
}

static void records_free(struct records *r)
{
    ixhash_reset(&r->h);
    free(r);
}

static bool found(const struct records *r, uint32_t index)
{
    struct ixhash_probe p;
    uint32_t i = ixhash_first(&r->h, &p, hash_of_index(r, index));
    while (i && i != index)
        i = ixhash_next(&r->h, &p);
    return i;
}

static void put(struct records *r, uint32_t index)
{
    r->used[index] = true;
    CU_ASSERT_EQUAL_FATAL(ixhash_insert(&r->h, hash_of_index(r, index), index), 0);
}

static void drop(struct records *r, uint32_t index)
{
    ixhash_remove(&r->h, hash_of_index(r, index), index);
    r->used[index] = false;
}

static void check(const struct records *r, uint32_t n)
{
    uint32_t wrong = 0, count = 0;
    for (uint32_t i = 1; i <= n; i++) {
        wrong += found(r, i) != r->used[i];
        count += r->used[i];
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(r->h.count, count);
}

static void everything_is_found_while_it_grows_and_shrinks(void)
{
    struct records *r = records_new(UINT32_MAX);
    CU_ASSERT_FALSE(found(r, 1));
    drop(r, 1);
    for (uint32_t i = 1; i <= N; i++) {
        put(r, i);
        CU_ASSERT(found(r, i) && found(r, i / 2 + 1));
    }
    check(r, N);
    uint64_t full = ixhash_memory(&r->h);
    CU_ASSERT(full <= (uint64_t)N * 12);
    for (uint32_t i = 1; i <= N; i++) {
        drop(r, i);
        CU_ASSERT_FALSE(found(r, i));
    }
    check(r, N);
    CU_ASSERT(ixhash_memory(&r->h) < full / 8);
    records_free(r);
}

/* A table that has shrunk below a wide range of indices must grow again before it has moved through them. */
static void growing_again_before_it_has_moved(void)
{
    struct records *r = records_new(UINT32_MAX);
    for (uint32_t i = 1; i <= N; i++)
        put(r, i);
    for (uint32_t i = 1; i < N; i++)
        drop(r, i);
    for (uint32_t i = 1; i < 3000; i++)
        put(r, i);
    check(r, N);
    for (uint32_t i = 3000; i < N; i++)
        put(r, i);
    check(r, N);
    records_free(r);
}

static void random_operations(uint32_t mask, uint32_t n, unsigned ops)
{
    struct records *r = records_new(mask);
    srandom(7);
    for (unsigned i = 0; i < ops; i++) {
        uint32_t index = 1 + (uint32_t)random() % n;
        /* Mostly in one half of the time, mostly out in the other. */
        bool in = random() % 8 < (i / (ops / 6) % 2 ? 2 : 6);
        if (in && !r->used[index])
            put(r, index);
        else if (!in && r->used[index])
            drop(r, index);
        if (i % (ops / 20) == 0)
            check(r, n);
    }
    check(r, n);
    records_free(r);
}

static void random_operations_agree_with_an_array(void)
{
    random_operations(UINT32_MAX, 20000, 400000);
}

static void keys_that_all_collide_are_told_apart(void)
{
    random_operations(3, 200, 20000);
    random_operations(0xff000003u, 200, 20000);
}

static const struct unit_case cases[] = {
    UNIT(everything_is_found_while_it_grows_and_shrinks),
    UNIT(growing_again_before_it_has_moved),
    UNIT(random_operations_agree_with_an_array),
    UNIT(keys_that_all_collide_are_told_apart),
};
UNIT_MAIN("ixhash", cases)
