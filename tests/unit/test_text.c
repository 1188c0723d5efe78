#include <errno.h>
#include <string.h>

#include "lib/text.h"
#include "unit.h"

static void durations_have_a_unit(void)
{
    static const struct {
        const char *text;
        int err;
        uint32_t ms;
    } cases[] = {
        {"9s", 0, 9000},
        {"300ms", 0, 300},
        {"2m", 0, 120000},
        {"1h", 0, 3600000},
        {"0", 0, 0},
        {"0s", 0, 0},
        {"90", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"s", -EINVAL, 0},
        {"-1s", -EINVAL, 0},
        {"1.5s", -EINVAL, 0},
        {"1 s", -EINVAL, 0},
        {"1sec", -EINVAL, 0},
        {"4294967295ms", 0, 4294967295u},
        {"4294967296ms", -ERANGE, 0},
        {"1193h", 0, 4294800000u},
        {"1194h", -ERANGE, 0},
        {"99999999999999999999999s", -ERANGE, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t ms = 0;
        CU_ASSERT_EQUAL(duration_parse(cases[i].text, &ms), cases[i].err);
        CU_ASSERT_EQUAL(ms, cases[i].ms);
    }
}

static void durations_print_in_the_largest_exact_unit(void)
{
    static const struct {
        uint32_t ms;
        const char *text;
    } cases[] = {{0, "0s"},      {300, "300ms"}, {1500, "1500ms"}, {9000, "9s"},
                 {90000, "90s"}, {120000, "2m"}, {7200000, "2h"},  {4294967295u, "4294967295ms"}};
    char buf[DURATION_STRLEN];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CU_ASSERT_STRING_EQUAL(duration_format(cases[i].ms, buf), cases[i].text);
}

static void distance_counts_edits(void)
{
    static const struct {
        const char *a, *b;
        unsigned d;
    } cases[] = {{"", "", 0},
                 {"", "abc", 3},
                 {"abc", "", 3},
                 {"same", "same", 0},
                 {"hold-time", "holdtime", 1},
                 {"asn", "ans", 1},
                 {"kitten", "sitting", 3},
                 {"bfd", "xyz", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CU_ASSERT_EQUAL(text_distance(cases[i].a, cases[i].b), cases[i].d);
    char longest[200];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    CU_ASSERT_EQUAL(text_distance(longest, "x"), ~0u);
}

static void hints_are_given_only_when_near(void)
{
    static const char *const keys[] = {"asn", "hold-time", NULL, "keepalive-time", "description"};
    CU_ASSERT_STRING_EQUAL(text_closest("holdtime", keys, 5), "hold-time");
    CU_ASSERT_STRING_EQUAL(text_closest("hold_time", keys, 5), "hold-time");
    CU_ASSERT_STRING_EQUAL(text_closest("keep-alive-time", keys, 5), "keepalive-time");
    CU_ASSERT_STRING_EQUAL(text_closest("as", keys, 5), "asn");
    CU_ASSERT_PTR_NULL(text_closest("bandwidth", keys, 5));
    CU_ASSERT_PTR_NULL(text_closest("", keys, 5));
}

static const struct unit_case cases[] = {
    UNIT(durations_have_a_unit),
    UNIT(durations_print_in_the_largest_exact_unit),
    UNIT(distance_counts_edits),
    UNIT(hints_are_given_only_when_near),
};
UNIT_MAIN("text", cases)
