/* The writer: JSON that jansson reads back as what was written, text that JSON mode never sees. */
#include <event2/buffer.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "control/writer.h"
#include "unit.h"

static struct evbuffer *out;
static struct writer *w;

static void begin(bool json)
{
    out = evbuffer_new();
    w = writer_new(out, json);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
}

static char *end(void)
{
    size_t n = evbuffer_get_length(out);
    char *text = calloc(1, n + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    evbuffer_remove(out, text, n);
    writer_free(w);
    evbuffer_free(out);
    return text;
}

static json_t *end_json(void)
{
    char *text = end();
    json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    CU_ASSERT_PTR_NOT_NULL(j);
    free(text);
    return j;
}

static void layout_is_two_spaces_a_member_a_line(void)
{
    begin(true);
    writer_object(w, NULL);
    writer_uint(w, "a", 1);
    writer_array(w, "b");
    writer_int(w, NULL, -2);
    writer_null(w, NULL);
    writer_end(w);
    writer_object(w, "c");
    writer_end(w);
    writer_end(w);
    char *text = end();
    CU_ASSERT_STRING_EQUAL(text, "{\n  \"a\": 1,\n  \"b\": [\n    -2,\n    null\n  ],\n  \"c\": {}\n}\n");
    free(text);
}

static void every_type_reads_back(void)
{
    struct ip_addr a = addr_v4(0x0a000001);
    struct prefix p = prefix_make(&a, 24);
    begin(true);
    writer_object(w, NULL);
    writer_uint(w, "max", UINT32_MAX);
    writer_int(w, "min", INT64_MIN);
    writer_bool(w, "yes", true);
    writer_bool(w, "no", false);
    writer_addr(w, "addr", &a);
    writer_prefix(w, "prefix", &p);
    writer_str(w, "none", NULL);
    writer_end(w);
    json_t *j = end_json();
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(j, "max")), UINT32_MAX);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(j, "min")), INT64_MIN);
    CU_ASSERT(json_is_true(json_object_get(j, "yes")));
    CU_ASSERT(json_is_false(json_object_get(j, "no")));
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "addr")), "10.0.0.1");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "prefix")), "10.0.0.0/24");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "none")), "");
    json_decref(j);
}

static void hostile_strings_stay_strings(void)
{
    static const struct {
        const char *in, *back;
    } rows[] = {
        {"plain", "plain"},
        {"quote\" back\\slash", "quote\" back\\slash"},
        {"line\nfeed\ttab\x01 del\x7f", "line\nfeed\ttab\x01 del\x7f"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xf0\x9f\x9a\x80", "\xf0\x9f\x9a\x80"},
        {"bad \xff byte", "bad ? byte"},
        {"cut \xc3", "cut ?"},
        {"overlong \xc0\xaf", "overlong ??"},
        {"surrogate \xed\xa0\x80", "surrogate ???"},
        {"too large \xf4\x90\x80\x80", "too large ????"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(true);
        writer_object(w, NULL);
        writer_str(w, "v", rows[i].in);
        writer_str(w, rows[i].in, "as a key");
        writer_end(w);
        json_t *j = end_json();
        const char *got = json_string_value(json_object_get(j, "v"));
        CU_ASSERT_PTR_NOT_NULL_FATAL(got);
        CU_ASSERT_STRING_EQUAL(got, rows[i].back);
        CU_ASSERT_PTR_NOT_NULL(json_object_get(j, rows[i].back));
        json_decref(j);
    }
}

static void text_mode_writes_text_only(void)
{
    begin(false);
    writer_object(w, NULL);
    writer_str(w, "key", "value");
    writer_text(w, "%s %d\n", "line", 1);
    writer_end(w);
    char *text = end();
    CU_ASSERT_STRING_EQUAL(text, "line 1\n");
    free(text);
}

static void json_mode_drops_text(void)
{
    begin(true);
    writer_array(w, NULL);
    writer_text(w, "not this");
    writer_end(w);
    char *text = end();
    CU_ASSERT_STRING_EQUAL(text, "[]\n");
    free(text);
}

static void full_above_64_kib_and_again_not_when_drained(void)
{
    begin(false);
    CU_ASSERT_FALSE(writer_full(w));
    for (unsigned i = 0; i < 65537; i++)
        writer_text(w, "x");
    CU_ASSERT_TRUE(writer_full(w));
    evbuffer_drain(out, 1);
    CU_ASSERT_FALSE(writer_full(w));
    free(end());
}

static const struct unit_case cases[] = {
    UNIT(layout_is_two_spaces_a_member_a_line),
    UNIT(every_type_reads_back),
    UNIT(hostile_strings_stay_strings),
    UNIT(text_mode_writes_text_only),
    UNIT(json_mode_drops_text),
    UNIT(full_above_64_kib_and_again_not_when_drained),
};
UNIT_MAIN("writer", cases)
