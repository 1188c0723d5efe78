/* The writer of /metrics: both formats, and labels that hold anything. */
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "control/metrics.h"
#include "unit.h"

static char *written(bool openmetrics, const struct metric *m)
{
    struct metrics w = {.out = evbuffer_new(), .openmetrics = openmetrics};
    metrics_family(&w, m);
    metrics_put(&w, "peer=\"a\"", 7);
    metrics_put_milli(&w, NULL, 1005);
    evbuffer_add(w.out, "", 1);
    char *text = strdup((char *)evbuffer_pullup(w.out, -1));
    evbuffer_free(w.out);
    return text;
}

static void the_formats_differ_in_the_names_of_families(void)
{
    static const struct {
        bool openmetrics;
        struct metric m;
        const char *text;
    } rows[] = {
        {true,
         {"x_seconds", METRIC_COUNTER, "seconds", "Help."},
         "# HELP x_seconds Help.\n# TYPE x_seconds counter\n# UNIT x_seconds seconds\n"
         "x_seconds_total{peer=\"a\"} 7\nx_seconds_total 1.005\n"},
        {false,
         {"x_seconds", METRIC_COUNTER, "seconds", "Help."},
         "# HELP x_seconds_total Help.\n# TYPE x_seconds_total counter\n"
         "x_seconds_total{peer=\"a\"} 7\nx_seconds_total 1.005\n"},
        {true,
         {"x", METRIC_INFO, NULL, "Help."},
         "# HELP x Help.\n# TYPE x info\nx_info{peer=\"a\"} 7\nx_info 1.005\n"},
        {false,
         {"x", METRIC_INFO, NULL, "Help."},
         "# HELP x_info Help.\n# TYPE x_info gauge\nx_info{peer=\"a\"} 7\nx_info 1.005\n"},
        {true,
         {"x", METRIC_GAUGE, NULL, "Help."},
         "# HELP x Help.\n# TYPE x gauge\nx{peer=\"a\"} 7\nx 1.005\n"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = written(rows[i].openmetrics, &rows[i].m);
        CU_ASSERT_STRING_EQUAL(text, rows[i].text);
        free(text);
    }
}

static void labels_are_escaped_and_whole(void)
{
    static const struct {
        const char *in;
        size_t size;
        const char *out;
    } rows[] = {
        {"eth0", 16, "eth0"},
        {"a\"b\\c\nd", 16, "a\\\"b\\\\c\\nd"},
        {"\xff\xc3", 16, "??"},
        {"\xc3\xa4\xc3\xb6", 16, "\xc3\xa4\xc3\xb6"},
        {"\xc3\xa4\xc3\xb6", 4, "\xc3\xa4"},
        {"abc", 3, "ab"},
        {"a\"", 3, "a"},
        {"", 4, ""},
        {"\xe2\x82\xac", 3, ""},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        char buf[32];
        memset(buf, 0x55, sizeof buf);
        CU_ASSERT_STRING_EQUAL(metrics_label(rows[i].in, buf, rows[i].size), rows[i].out);
        CU_ASSERT_EQUAL(buf[rows[i].size], 0x55);
    }
}

static const struct unit_case cases[] = {
    UNIT(the_formats_differ_in_the_names_of_families),
    UNIT(labels_are_escaped_and_whole),
};
UNIT_MAIN("metrics", cases)
