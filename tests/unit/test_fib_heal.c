/* How fast we put back what others take away. */
#include "fib/heal.h"
#include "unit.h"

static void the_first_time_is_soon(void)
{
    struct heal h = {0};

    CU_ASSERT_EQUAL(heal_delay(&h, 1000), HEAL_FIRST_MS);
}

static void one_who_goes_on_is_answered_slower_up_to_a_limit_and_told_once(void)
{
    struct heal h = {0};
    uint64_t now = 1000;
    uint32_t last = 0, news = 0;

    for (int i = 0; i < 20; i++) {
        uint32_t delay = heal_delay(&h, now);
        CU_ASSERT_TRUE(delay >= last && delay <= HEAL_MOST_MS);
        last = delay;
        now += delay + 1;
        news += heal_is_news(&h);
    }
    CU_ASSERT_EQUAL(last, HEAL_MOST_MS);
    CU_ASSERT_EQUAL(news, 1);
}

static void after_a_quiet_time_all_begins_anew(void)
{
    struct heal h = {0};
    uint64_t now = 1000;

    for (int i = 0; i < 20; i++)
        now += heal_delay(&h, now);
    heal_is_news(&h);
    now += HEAL_QUIET_MS + 1;
    CU_ASSERT_EQUAL(heal_delay(&h, now), HEAL_FIRST_MS);
    CU_ASSERT_TRUE(heal_is_news(&h));
}

static const struct unit_case cases[] = {
    UNIT(the_first_time_is_soon),
    UNIT(one_who_goes_on_is_answered_slower_up_to_a_limit_and_told_once),
    UNIT(after_a_quiet_time_all_begins_anew),
};
UNIT_MAIN("fib_heal", cases)
