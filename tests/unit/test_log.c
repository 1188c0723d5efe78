#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "unit.h"

static char out[20000];
static int saved = -1, file = -1;

/* Standard error into a file, so that what was written can be read back. */
static void capture(enum log_level level, enum log_format format)
{
    file = memfd_create("log", MFD_CLOEXEC);
    saved = dup(2);
    dup2(file, 2);
    log_init("speaker", level, format, LOG_TO_STDERR);
}

static const char *captured(void)
{
    dup2(saved, 2);
    close(saved);
    ssize_t n = pread(file, out, sizeof out - 1, 0);
    close(file);
    out[n > 0 ? n : 0] = 0;
    return out;
}

static bool matches(const char *text, const char *re)
{
    regex_t r;
    CU_ASSERT_EQUAL_FATAL(regcomp(&r, re, REG_EXTENDED | REG_NOSUB), 0);
    bool yes = regexec(&r, text, 0, NULL, 0) == 0;
    regfree(&r);
    return yes;
}

static void text_line_has_time_level_process_and_fields(void)
{
    struct ip_addr a;
    struct prefix p;
    addr_parse("10.0.1.1", &a);
    prefix_parse("fd00::/8", false, &p);
    capture(LOG_LVL_INFO, LOG_FMT_TEXT);
    log_info("session established", F_ADDR("peer", &a), F_UINT("asn", 65001), F_INT("delta", -3),
             F_PREFIX("prefix", &p), F_ERR(-ENOENT));
    CU_ASSERT(matches(captured(),
                      "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z info  speaker: "
                      "session established peer=10\\.0\\.1\\.1 asn=65001 delta=-3 prefix=fd00::/8 "
                      "error=\"No such file or directory\"\n$"));
}

static void optional_fields_without_a_value_are_left_out(void)
{
    capture(LOG_LVL_INFO, LOG_FMT_TEXT);
    log_info("x", F_STR_IF("a", ""), F_STR_IF("b", NULL), F_UINT_IF("c", 0), F_STR_IF("d", "e"),
             F_UINT_IF("f", 1), F_UINT("g", 0));
    CU_ASSERT_PTR_NOT_NULL(strstr(captured(), "speaker: x d=e f=1 g=0\n"));
}

static void values_are_quoted_and_escaped_when_needed(void)
{
    static const struct {
        const char *value, *shown;
    } cases[] = {
        {"plain", "v=plain\n"},
        {"", "v=\"\"\n"},
        {"two words", "v=\"two words\"\n"},
        {"say \"hi\"", "v=\"say \\\"hi\\\"\"\n"},
        {"a\nb\x1b[31m", "v=\"a\\nb\\x1b[31m\"\n"},
        {"back\\slash", "v=\"back\\\\slash\"\n"},
        {"k=v", "v=\"k=v\"\n"},
        {"gr\xc3\xbc\xc3\x9f", "v=\"gr\xc3\xbc\xc3\x9f\"\n"},
        {"bad\xff\xc3", "v=\"bad\\xff\\xc3\"\n"},
        {"c1\xc2\x9b", "v=\"c1\\xc2\\x9b\"\n"},
        {"overlong\xc0\xaf", "v=\"overlong\\xc0\\xaf\"\n"},
        {"\xed\xa0\x80", "v=\"\\xed\\xa0\\x80\"\n"},
        {NULL, "v=\"\"\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        capture(LOG_LVL_INFO, LOG_FMT_TEXT);
        log_info("m", F_STR("v", cases[i].value));
        const char *line = captured(), *v = strstr(line, "v=");
        CU_ASSERT_PTR_NOT_NULL_FATAL(v);
        CU_ASSERT_STRING_EQUAL(v, cases[i].shown);
    }
}

static void json_line_is_one_object(void)
{
    struct ip_addr a;
    addr_parse("fd00::1", &a);
    capture(LOG_LVL_INFO, LOG_FMT_JSON);
    log_warn("odd \"name\"\n", F_ADDR("peer", &a), F_UINT("n", 18446744), F_STR("bytes", "x\x01\xff\xc3\xbc"),
             F_ERR(EPERM));
    const char *line = captured();
    CU_ASSERT_EQUAL(strcspn(line, "\n") + 1, strlen(line));
    json_t *o = json_loads(line, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "level")), "warn");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "process")), "speaker");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "msg")), "odd \"name\"\n");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "peer")), "fd00::1");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(o, "n")), 18446744);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "bytes")), "x\x01\xef\xbf\xbd\xc3\xbc");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "error")), strerror(EPERM));
    CU_ASSERT(matches(json_string_value(json_object_get(o, "time")), "^[0-9-]{10}T[0-9:.]{12}Z$"));
    json_decref(o);
}

static void monstrous_values_leave_valid_json(void)
{
    char *big = malloc(3000);
    memset(big, 1, 2999); /* six bytes each when escaped */
    big[2999] = 0;
    capture(LOG_LVL_INFO, LOG_FMT_JSON);
    log_info(big, F_STR("a", big), F_STR("b", big), F_UINT("c", 5));
    json_t *o = json_loads(captured(), 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(o, "c")),
                    5); /* what does not fit goes, the rest stays */
    json_decref(o);
    memset(big, '\xbc', 2999); /* a cut inside a character */
    for (int i = 0; i + 1 < 2999; i += 2)
        big[i] = '\xc3';
    capture(LOG_LVL_INFO, LOG_FMT_JSON);
    log_info("m", F_STR("a", big));
    o = json_loads(captured(), 0, NULL);
    CU_ASSERT_PTR_NOT_NULL(o);
    json_decref(o);
    free(big);
}

static void levels_filter(void)
{
    capture(LOG_LVL_WARN, LOG_FMT_TEXT);
    log_info("hidden");
    log_printf(LOG_LVL_DEBUG, "hidden %d", 1);
    log_error("shown");
    log_set_level(LOG_LVL_DEBUG);
    log_printf(LOG_LVL_DEBUG, "shown %d", 2);
    CU_ASSERT_EQUAL(log_get_level(), LOG_LVL_DEBUG);
    CU_ASSERT(matches(captured(), "^[^\n]* error speaker: shown\n[^\n]* debug speaker: shown 2\n$"));
}

static void level_names(void)
{
    enum log_level l;
    for (unsigned i = 0; i < LOG_LVL_COUNT; i++) {
        CU_ASSERT_EQUAL(log_level_parse(log_level_name((enum log_level)i), &l), 0);
        CU_ASSERT_EQUAL(l, i);
    }
    CU_ASSERT_EQUAL(log_level_parse("warning", &l), 0);
    CU_ASSERT_EQUAL(l, LOG_LVL_WARN);
    CU_ASSERT_EQUAL(log_level_parse("INFO", &l), -EINVAL);
    CU_ASSERT_EQUAL(log_level_parse("", &l), -EINVAL);
}

static void journal_lines_carry_a_priority_and_no_time(void)
{
    char id[64];
    struct stat st;
    capture(LOG_LVL_INFO, LOG_FMT_TEXT);
    CU_ASSERT_EQUAL_FATAL(fstat(2, &st), 0);
    snprintf(id, sizeof id, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", id, 1);
    log_init("fib", LOG_LVL_INFO, LOG_FMT_TEXT, LOG_TO_STDERR);
    log_warn("link down", F_STR("link", "eth0"));
    CU_ASSERT_STRING_EQUAL(captured(), "<4>fib: link down link=eth0\n");

    setenv("JOURNAL_STREAM", "1:1", 1); /* inherited, but standard error goes elsewhere */
    capture(LOG_LVL_INFO, LOG_FMT_TEXT);
    log_warn("x");
    CU_ASSERT(matches(captured(), "Z warn  speaker: x\n$"));
    unsetenv("JOURNAL_STREAM");
}

static void errno_survives_a_line(void)
{
    capture(LOG_LVL_INFO, LOG_FMT_TEXT);
    close(2);
    errno = EBUSY;
    log_info("into nothing");
    CU_ASSERT_EQUAL(errno, EBUSY);
    captured();
}

static void limit_lets_a_burst_through_then_one_in_ten_seconds(void)
{
    struct log_limit l = {0};
    uint32_t swallowed = 99;
    uint64_t now = 5000;
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_TRUE(log_limit_ok(&l, now, &swallowed));
        CU_ASSERT_EQUAL(swallowed, 0);
    }
    for (int i = 0; i < 7; i++)
        CU_ASSERT_FALSE(log_limit_ok(&l, now + 9999, &swallowed));
    CU_ASSERT_TRUE(log_limit_ok(&l, now + 10000, &swallowed));
    CU_ASSERT_EQUAL(swallowed, 7);
    CU_ASSERT_FALSE(log_limit_ok(&l, now + 10001, &swallowed));
    now += 1000000; /* a long silence gives the whole burst back, and not more */
    for (int i = 0; i < 5; i++)
        CU_ASSERT_TRUE(log_limit_ok(&l, now, &swallowed));
    CU_ASSERT_FALSE(log_limit_ok(&l, now, &swallowed));
}

static void full_pipe_costs_lines_and_no_time(void)
{
    int fd[2];
    char page[4096];
    CU_ASSERT_EQUAL_FATAL(pipe(fd), 0);
    saved = dup(2);
    dup2(fd[1], 2);
    close(fd[1]);
    log_init("speaker", LOG_LVL_INFO, LOG_FMT_TEXT, LOG_TO_STDERR);
    alarm(20); /* a line that blocks ends the program */
    for (int i = 0; i < 5000; i++)
        log_info("a line that nobody reads", F_INT("number", i));
    ssize_t n = read(fd[0], page, sizeof page);
    log_info("and one more");
    dup2(saved, 2);
    close(saved);
    alarm(0);
    CU_ASSERT_EQUAL(n, (ssize_t)sizeof page);
    CU_ASSERT(strstr(page, "number=0\n") != NULL);
    close(fd[0]);
}

static const struct unit_case cases[] = {
    UNIT(text_line_has_time_level_process_and_fields),
    UNIT(optional_fields_without_a_value_are_left_out),
    UNIT(values_are_quoted_and_escaped_when_needed),
    UNIT(json_line_is_one_object),
    UNIT(monstrous_values_leave_valid_json),
    UNIT(levels_filter),
    UNIT(level_names),
    UNIT(journal_lines_carry_a_priority_and_no_time),
    UNIT(errno_survives_a_line),
    UNIT(full_pipe_costs_lines_and_no_time),
    UNIT(limit_lets_a_burst_through_then_one_in_ten_seconds),
};
UNIT_MAIN("log", cases)
