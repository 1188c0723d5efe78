/* The sorted walk over the table while the table changes under it. */
#include <stdio.h>

#include "control/walk.h"
#include "rib_fixture.h"

static void fill(struct fixture *x, struct rib_peer *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char text[PREFIX_STRLEN];
        unsigned k = i * 7919 % n; /* not in order */
        snprintf(text, sizeof text, "10.%u.%u.0/24", k / 256, k % 256);
        fx_update(x, p, text, fx_attr(x, 1, 1));
    }
}

static struct prefix prefix_of(struct fixture *x, uint32_t index)
{
    struct prefix p;
    rib_entry_prefix(x->rib, FAM_IPV4, rib_entry(x->rib, FAM_IPV4, index), &p);
    return p;
}

static void every_entry_comes_once_in_order(void)
{
    struct fixture x;
    unsigned n = 0, turns = 0;
    struct prefix last = {.len = 0};
    fx_init(&x, 1);
    struct rib_peer *p = fx_peer(&x, 1, false);
    fill(&x, p, 10007);
    struct walk *w = walk_new(x.rib, FAM_IPV4);
    while (walk_prepare(w))
        turns++;
    CU_ASSERT_TRUE(turns >= 10007 / WALK_STEP);
    CU_ASSERT_FALSE(walk_failed(w));
    for (uint32_t i; (i = walk_next(w)); n++) {
        struct prefix now = prefix_of(&x, i);
        if (n)
            CU_ASSERT_TRUE_FATAL(prefix_cmp(&last, &now) < 0);
        last = now;
    }
    CU_ASSERT_EQUAL(n, 10007);
    CU_ASSERT_EQUAL(walk_next(w), 0);
    walk_free(w);
    fx_free(&x);
}

static void an_empty_table_ends_at_once(void)
{
    struct fixture x;
    fx_init(&x, 1);
    struct walk *w = walk_new(x.rib, FAM_IPV6);
    CU_ASSERT_FALSE(walk_prepare(w));
    CU_ASSERT_EQUAL(walk_next(w), 0);
    walk_free(w);
    fx_free(&x);
}

static void entries_that_vanish_are_skipped_and_new_ones_do_no_harm(void)
{
    struct fixture x;
    unsigned n = 0, removed = 0;
    fx_init(&x, 1);
    struct rib_peer *p = fx_peer(&x, 1, false);
    fill(&x, p, 6000);
    struct walk *w = walk_new(x.rib, FAM_IPV4);
    while (walk_prepare(w))
        ;
    for (; n < 1000; n++)
        CU_ASSERT_NOT_EQUAL_FATAL(walk_next(w), 0);
    for (unsigned k = 2000; k < 4000; k++, removed++) {
        char text[PREFIX_STRLEN];
        snprintf(text, sizeof text, "10.%u.%u.0/24", k / 256, k % 256);
        fx_withdraw(&x, p, text);
    }
    fx_work(&x);
    for (uint32_t i; (i = walk_next(w)); n++)
        CU_ASSERT_TRUE_FATAL(rib_entry_used(x.rib, FAM_IPV4, i));
    CU_ASSERT_EQUAL(n, 6000 - removed);
    walk_free(w);

    w = walk_new(x.rib,
                 FAM_IPV4); /* half collected, then everything goes and other prefixes take the indices */
    CU_ASSERT_TRUE(walk_prepare(w));
    rib_peer_down(x.rib, p);
    fx_work(&x);
    rib_peer_up(x.rib, p);
    for (unsigned k = 0; k < 100; k++) {
        char text[PREFIX_STRLEN];
        snprintf(text, sizeof text, "172.16.%u.0/24", k);
        fx_update(&x, p, text, fx_attr(&x, 1, 1));
    }
    while (walk_prepare(w))
        ;
    for (uint32_t i; (i = walk_next(w));)
        CU_ASSERT_TRUE_FATAL(rib_entry_used(x.rib, FAM_IPV4, i));
    walk_free(w);
    fx_free(&x);
}

static const struct unit_case cases[] = {
    UNIT(every_entry_comes_once_in_order),
    UNIT(an_empty_table_ends_at_once),
    UNIT(entries_that_vanish_are_skipped_and_new_ones_do_no_harm),
};
UNIT_MAIN("walk", cases)
