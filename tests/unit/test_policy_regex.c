/* AS path patterns: what they find, what is refused, and that no text makes them slow. */
#include "policy_regex.h"

#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define PLENTY 100000000u

static int find(struct path_regex *r, const char *path)
{
    unsigned steps = PLENTY;
    return path_regex_match(r, path, strlen(path), &steps);
}

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
        {"_{2}1", "2 1}1", false},
        {"_{2}1", "2 {1}", true},
        {"^(_1){2}$", "1 1", true},
        {"^(_1){2}$", "1 11", false},
        {"^(1 ?|2 ?){2,3}$", "1 2 1", true},
        {"^(1 ?|2 ?){2,3}$", "1 2 1 2", false},
        {"^(1|2){,2}$", "121", false},
        {"^((1|2){2}){0,2}$", "1212", true},
        {"^((1|2){2}){0,2}$", "121", false},
        {"^(1{2,}|){2}$", "1111", true},
        {"1{0}2", "2", true},
        {"(1*)*2", "1112", true},
        {"()1", "1", true},
    };
    char why[100];
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct path_regex *r = path_regex_new(rows[i].pattern, why, sizeof why);
        CU_ASSERT_PTR_NOT_NULL_FATAL(r);
        CU_ASSERT_STRING_EQUAL(path_regex_text(r), rows[i].pattern);
        bool found = find(r, rows[i].path) == 1;
        CU_ASSERT_EQUAL(found, rows[i].found);
        if (found != rows[i].found)
            fprintf(stderr, "      `%s` in `%s`\n", rows[i].pattern, rows[i].path);
        path_regex_free(r);
    }
}

static void what_cannot_be_or_costs_too_much_is_refused(void)
{
    static const char *const bad[] = {"",
                                      "(",
                                      "a)(b",
                                      "[",
                                      "[[:digits:]]",
                                      "[[.a.]]",
                                      "(a)\\1",
                                      "((1{99}){99})",
                                      "a{1001}",
                                      "*",
                                      "a|*",
                                      "(+1)",
                                      "1{",
                                      "1{}",
                                      "1{,",
                                      "1{2,1}",
                                      "1{99999999999999999999}",
                                      "\x01",
                                      "a\xc3\xa4",
                                      "[9-0]",
                                      "1\\",
                                      "\\b1",
                                      "\\<1",
                                      "1)",
                                      "{1",
                                      "()*)",
                                      "((((_{100})*){100})*){100}"};
    char why[100], pattern[300];
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct path_regex *r = path_regex_new(bad[i], why, sizeof why);
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

/* With the C library's matcher the third and the last took seconds and hundreds of MiB, others are
 * exponential for one that goes back. The bound is the length of the text times that of the program. */
static void text_of_a_peer_cannot_make_it_slow(void)
{
    static const char *const patterns[] = {"65001.*65002",      "([0-9 ]+)+x",         "1.{100}$",
                                           "(_65001_.*)*65003", "(6|5|0|1| )*1.{20}x", "((1*)*)*x",
                                           "1.{900}$"};
    size_t n = 16000;
    char *text = malloc(n + 1), why[100];
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (size_t i = 0; i < n; i++)
        text[i] = random() % 4 ? '1' : "65001 "[i % 6];
    text[n - 1] = '7';
    text[n] = 0;
    for (unsigned i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct path_regex *r = path_regex_new(patterns[i], why, sizeof why);
        CU_ASSERT_PTR_NOT_NULL_FATAL(r);
        unsigned steps = PLENTY;
        int found = path_regex_match(r, text, n, &steps);
        CU_ASSERT(found >= 0);
        CU_ASSERT(PLENTY - steps < n * 2048);
        if (i < 2)
            CU_ASSERT(!found && PLENTY - steps < n * 20);
        path_regex_free(r);
    }
    free(text);
}

static void what_takes_more_steps_than_allowed_is_said_to(void)
{
    char why[100];
    unsigned steps = 1000;
    struct path_regex *r = path_regex_new("(1.*){20}x", why, sizeof why);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    CU_ASSERT_EQUAL(path_regex_match(r, "2 2 2", 5, &steps), 0);
    CU_ASSERT(steps > 900 && steps < 1000);
    CU_ASSERT(path_regex_match(r, "1111111111111111111111111111111111111111", 40, &steps) < 0);
    CU_ASSERT_EQUAL(steps, 0);
    path_regex_free(r);
}

/* The C library as the reference. It is wrong about anchors within what it duplicates (+ and counts); those
 * are in the table above. */

static void put(char *out, const char *s)
{
    strcat(out, s);
}

static void random_pattern(char *out, int depth)
{
    static const char *const atoms[] = {"1",    "2", "12", " ", ".",           "[12]", "[^1]",
                                        "[^ ]", "^", "$",  "_", "[[:digit:]]", "\\{",  "\\}"};
    static const char *const repeats[] = {"*", "?", "+", "{2}", "{0}", "{1,}", "{0,2}", "{2,3}", "{1,4}"};
    int n = 1 + (int)(random() % 3);
    for (int i = 0; i < n && strlen(out) < 80; i++) {
        bool plain = false;
        if (depth && random() % 4 == 0) {
            put(out, "(");
            random_pattern(out, depth - 1);
            put(out, random() % 2 ? "|" : "");
            random_pattern(out, depth - 1);
            put(out, ")");
        } else {
            const char *a = atoms[(size_t)random() % (sizeof atoms / sizeof *atoms)];
            plain = !strchr("^$_", *a);
            put(out, a);
            if (*a == '^' || *a == '$')
                continue;
        }
        if (random() % 3 == 0)
            put(out, repeats[(size_t)random() % (plain ? sizeof repeats / sizeof *repeats : 2)]);
    }
}

static void as_the_library_has_it(const char *pattern, char out[2048])
{
    size_t n = 0;
    for (const char *s = pattern; *s; s++) {
        if (*s == '_')
            n += (size_t)snprintf(out + n, 2048 - n, "(^|[,{}() ]|$)");
        else
            out[n++] = *s;
    }
    out[n] = 0;
}

static void random_patterns_find_what_the_c_library_finds(void)
{
    unsigned found[2] = {0};
    char why[100], pattern[256], theirs[2048], path[20];
    for (int i = 0; i < 4000; i++) {
        regex_t re;
        *pattern = 0;
        random_pattern(pattern, 2);
        as_the_library_has_it(pattern, theirs);
        struct path_regex *r = path_regex_new(pattern, why, sizeof why);
        if (!r)
            fprintf(stderr, "      %s: %s\n", pattern, why);
        CU_ASSERT_PTR_NOT_NULL_FATAL(r);
        CU_ASSERT_EQUAL_FATAL(regcomp(&re, theirs, REG_EXTENDED | REG_NOSUB), 0);
        for (int k = 0; k < 10; k++) {
            size_t n = (size_t)random() % 9;
            for (size_t j = 0; j < n; j++)
                path[j] = "1212 {}"[random() % 7];
            path[n] = 0;
            int expected = !regexec(&re, path, 0, NULL, 0);
            found[expected]++;
            CU_ASSERT_EQUAL(find(r, path), expected);
            if (find(r, path) != expected)
                fprintf(stderr, "      `%s` in `%s`: %d expected\n", pattern, path, expected);
        }
        regfree(&re);
        path_regex_free(r);
    }
    CU_ASSERT(found[0] > 1000 && found[1] > 1000);
}

static const struct unit_case cases[] = {
    UNIT(patterns_find_what_frr_finds),
    UNIT(what_cannot_be_or_costs_too_much_is_refused),
    UNIT(text_of_a_peer_cannot_make_it_slow),
    UNIT(what_takes_more_steps_than_allowed_is_said_to),
    UNIT(random_patterns_find_what_the_c_library_finds),
};
UNIT_MAIN("policy_regex", cases)
