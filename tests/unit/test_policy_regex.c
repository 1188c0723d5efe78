/* AS path patterns: what they find, what is refused, and that no text makes them slow. */
#include "policy_regex.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static void patterns_find_what_frr_finds(void)
{
    static const struct {
        const char *pattern, *path;
        bool found;
    } rows[] = {
        {"65001", "1 65001 2", true},
        {"65001", "1 650011 2", true},
        {"_65001_", "1 650011 2", false},
        {"_65001_", "65001", true},
        {"_65001_", "2 {65001,7} 3", true},
        {"_7_", "2 {65001,7} 3", true},
        {"_7_", "(7 8) 3", true},
        {"^$", "", true},
        {"^$", "1", false},
        {".*", "", true},
        {"^1_2$", "1 2", true},
        {"^1 2$", "1 2", true},
        {"^(1|2)_", "2 3", true},
        {"^(1|2)_", "3 2", false},
        {"a|^2", "2", true},
        {"_3$|^2_", "1 3", true},
        {"^[^ ]+$", "1", true},
        {"^[^ ]+$", "1 2", false},
        {"^[0-9]+( [0-9]+){2}$", "1 22 3", true},
        {"^[0-9]+( [0-9]+){2}$", "1 22", false},
        {"[_]", "1 2", false}, /* inside brackets it is itself */
        {"\\{1", "2 {1}", true},
        {"[[:digit:]]_[]5]", "1 5", true},
    };
    char why[100];
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct path_regex *r = path_regex_new(rows[i].pattern, why, sizeof why);
        CU_ASSERT_PTR_NOT_NULL_FATAL(r);
        CU_ASSERT_STRING_EQUAL(path_regex_text(r), rows[i].pattern);
        bool found = path_regex_match(r, rows[i].path, strlen(rows[i].path));
        CU_ASSERT_EQUAL(found, rows[i].found);
        if (found != rows[i].found)
            fprintf(stderr, "      `%s` in `%s`\n", rows[i].pattern, rows[i].path);
        path_regex_free(r);
    }
}

static void what_cannot_be_or_costs_too_much_is_refused(void)
{
    static const char *const bad[] = {"",        "(", "a)(b",   "[",    "(a)\\1",   "((1{99}){99})",
                                      "a{1001}", "*", "a{2,1}", "\x01", "a\xc3\xa4"};
    char why[100], pattern[300];
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct path_regex *r = path_regex_new(bad[i], why, sizeof why);
        if (!strcmp(bad[i], "*")) { /* glibc takes it for the character; so be it */
            path_regex_free(r);
            continue;
        }
        CU_ASSERT_PTR_NULL(r);
        CU_ASSERT(strlen(why) > 5);
        if (r)
            fprintf(stderr, "      %s\n", bad[i]);
        path_regex_free(r);
    }
    memset(pattern, '1', sizeof pattern);
    pattern[PATH_REGEX_MAX] = 0;
    struct path_regex *r = path_regex_new(pattern, why, sizeof why);
    CU_ASSERT_PTR_NOT_NULL(r);
    path_regex_free(r);
    pattern[PATH_REGEX_MAX] = '1';
    pattern[PATH_REGEX_MAX + 1] = 0;
    CU_ASSERT_PTR_NULL(path_regex_new(pattern, why, sizeof why));
}

/* Quadratic or worse, each of these would take minutes. */
static void text_of_a_peer_cannot_make_it_slow(void)
{
    static const char *const patterns[] = {"65001.*65002", "([0-9 ]+)+x", "(_65001_.*)*65003",
                                           "(6|5|0|1| )*1.{20}x"};
    size_t n = 16000;
    char *text = malloc(n + 1), why[100];
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (size_t i = 0; i < n; i++)
        text[i] = "65001 "[i % 6];
    text[n] = 0;
    for (unsigned i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct path_regex *r = path_regex_new(patterns[i], why, sizeof why);
        CU_ASSERT_PTR_NOT_NULL_FATAL(r);
        for (unsigned k = 0; k < 50; k++)
            CU_ASSERT_FALSE(path_regex_match(r, text, n));
        path_regex_free(r);
    }
    free(text);
}

static const struct unit_case cases[] = {
    UNIT(patterns_find_what_frr_finds),
    UNIT(what_cannot_be_or_costs_too_much_is_refused),
    UNIT(text_of_a_peer_cannot_make_it_slow),
};
UNIT_MAIN("policy_regex", cases)
