/* Every input is cut at every byte, in every pair of pieces and of three: what comes out must be the same. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kube/json_cut.h"
#include "unit.h"

#define MAX_VALUE 40

/* Values joined by |, then what the end says. */
struct outcome {
    char values[1024];
    int error, end;
    char rest[256];
};
static int stop_at; /* the value to stop at, from 1; 0: never */
static unsigned n_values;

static int on_value(void *arg, const char *text, size_t len)
{
    struct outcome *o = arg;
    size_t n = strlen(o->values);
    CU_ASSERT_EQUAL(strlen(text), len);
    snprintf(o->values + n, sizeof o->values - n, "%s|", text);
    return ++n_values == (unsigned)stop_at ? -ECANCELED : 0;
}

static struct outcome cut(enum json_cut_mode mode, const char *text, size_t len, size_t at, size_t at2)
{
    struct outcome o = {.error = 0};
    const size_t ends[] = {at, at2, len};
    n_values = 0;
    struct json_cut *c = json_cut_new(mode, MAX_VALUE, on_value, &o);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    for (size_t i = 0, from = 0; i < 3; from = ends[i++]) {
        char *piece = malloc(ends[i] - from + !(ends[i] - from)); /* its end is that of the memory */
        memcpy(piece, text + from, ends[i] - from);
        int rc = json_cut_feed(c, piece, ends[i] - from);
        CU_ASSERT(!o.error || rc == o.error); /* it stays an error */
        o.error = rc;
        free(piece);
    }
    o.end = json_cut_end(c);
    const char *rest = json_cut_rest(c);
    snprintf(o.rest, sizeof o.rest, "%s", rest ? rest : "(none)");
    json_cut_free(c);
    return o;
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    return !strcmp(a->values, b->values) && !strcmp(a->rest, b->rest) && a->error == b->error &&
           a->end == b->end;
}

static void check(enum json_cut_mode mode, const char *text, size_t len, const struct outcome *want)
{
    struct outcome o = cut(mode, text, len, len, len);
    if (!same(&o, want))
        printf("    of %s: %s error %d end %d rest %s\n", text, o.values, o.error, o.end, o.rest);
    CU_ASSERT(same(&o, want));
    bool all = true;
    for (size_t at = 0; at <= len; at++)
        for (size_t at2 = at; at2 <= len; at2++) {
            struct outcome p = cut(mode, text, len, at, at2);
            all = all && same(&p, want);
        }
    CU_ASSERT(all);
}

static const struct {
    const char *text, *values;
    int error, end;
} streams[] = {
    {"", "", 0, 0},
    {" \r\n\t", "", 0, 0},
    {"{}", "{}|", 0, 0},
    {"{}\n{}\n", "{}|{}|", 0, 0},
    {"{}{\"a\":1}", "{}|{\"a\":1}|", 0, 0},
    {"{\"a\":{\"b\":[1,[2],{}]}}\n", "{\"a\":{\"b\":[1,[2],{}]}}|", 0, 0},
    {"{\"a\":\"}]\\\"{\"}", "{\"a\":\"}]\\\"{\"}|", 0, 0},
    {"{\"\\\\\":\"\\\\\"}", "{\"\\\\\":\"\\\\\"}|", 0, 0},
    {"{\"\xc3\xa9\":\"\xf0\x9f\x98\x80\"}", "{\"\xc3\xa9\":\"\xf0\x9f\x98\x80\"}|", 0, 0},
    {"{\n \"a\" : [ ]\r\n}", "{\n \"a\" : [ ]\r\n}|", 0, 0},
    {"{nonsense}", "{nonsense}|", 0, 0}, /* for jansson to say */
    {"{\"items\":[{}]}", "{\"items\":[{}]}|", 0, 0},
    {"{", "", 0, -EINVAL},
    {"{\"a", "", 0, -EINVAL},
    {"{}{\"a\":[", "{}|", 0, -EINVAL},
    {"{]", "", -EINVAL, -EINVAL},
    {"{}}", "{}|", -EINVAL, -EINVAL},
    {"{\"a\":[}]", "", -EINVAL, -EINVAL},
    {"{} []", "{}|", -EINVAL, -EINVAL},
    {"{}\ntrue", "{}|", -EINVAL, -EINVAL},
    {"{},{}", "{}|", -EINVAL, -EINVAL},
    {"<html>", "", -EINVAL, -EINVAL},
    {"{\"a\nb\":1}", "", -EINVAL, -EINVAL},
    {"{\"a\":\x01}", "", -EINVAL, -EINVAL},
    {"\xef\xbb\xbf{}", "", -EINVAL, -EINVAL},
    /* 40 bytes, and one more */
    {"{\"a\":\"0123456789012345678901234567890123\"}", "", -EMSGSIZE, -EMSGSIZE},
    {"{\"a\":\"01234567890123456789012345678901\"}", "{\"a\":\"01234567890123456789012345678901\"}|", 0, 0},
    {"{}{\"a\":\"0123456789012345678901234567890123456789", "{}|", -EMSGSIZE, -EMSGSIZE},
};

static void a_stream_is_cut_into_objects_wherever_it_is_split(void)
{
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        struct outcome want = {.error = streams[i].error, .end = streams[i].end, .rest = "(none)"};
        snprintf(want.values, sizeof want.values, "%s", streams[i].values);
        check(JSON_CUT_STREAM, streams[i].text, strlen(streams[i].text), &want);
    }
}

static const struct {
    const char *text, *values, *rest;
    int error, end;
} lists[] = {
    {"{\"items\":[]}", "", "{\"items\":[]}", 0, 0},
    {" {\"items\" : [ ] } \n", "", "{\"items\" : [] }", 0, 0},
    {"{\"items\":[{}]}", "{}|", "{\"items\":[]}", 0, 0},
    {"{\"kind\":\"L\",\"items\":[{\"a\":1}, {\"b\":[2]}\n],\"x\":1}", "{\"a\":1}|{\"b\":[2]}|",
     "{\"kind\":\"L\",\"items\":[],\"x\":1}", 0, 0},
    {"{}", "", "{}", 0, 0},
    {"{\"items\":null}", "", "{\"items\":null}", 0, 0}, /* as Go writes none */
    {"{\"items\":{\"a\":[{}]}}", "", "{\"items\":{\"a\":[{}]}}", 0, 0},
    {"{\"m\":{\"items\":[{}]}}", "", "{\"m\":{\"items\":[{}]}}", 0, 0},
    {"{\"m\":[\"items\",[{}]]}", "", "{\"m\":[\"items\",[{}]]}", 0, 0},
    {"{\"a\":\"items\",\"b\":[{}]}", "", "{\"a\":\"items\",\"b\":[{}]}", 0, 0},
    {"{\"item\":[{}],\"itemss\":[]}", "", "{\"item\":[{}],\"itemss\":[]}", 0, 0},
    {"{\"\":[{}],\"\\\"items\":[]}", "", "{\"\":[{}],\"\\\"items\":[]}", 0, 0},
    {"{\"\\u0069tems\":[{}]}", "", "{\"\\u0069tems\":[{}]}", 0, 0},
    {"{\"items\":[],\"items\":[]}", "", "(none)", -EINVAL, -EINVAL},
    {"{\"items\":[{}", "{}|", "(none)", 0, -EINVAL},
    {"{\"items\":[{}]", "{}|", "(none)", 0, -EINVAL},
    {"{\"items\":[{},]}", "{}|", "(none)", -EINVAL, -EINVAL},
    {"{\"items\":[,{}]}", "", "(none)", -EINVAL, -EINVAL},
    {"{\"items\":[{} {}]}", "{}|", "(none)", -EINVAL, -EINVAL},
    {"{\"items\":[1]}", "", "(none)", -EINVAL, -EINVAL},
    {"{\"items\":[[]]}", "", "(none)", -EINVAL, -EINVAL},
    {"{\"items\":[{}}", "{}|", "(none)", -EINVAL, -EINVAL},
    {"{\"items\":[]}{}", "", "(none)", -EINVAL, -EINVAL},
    {"[]", "", "(none)", -EINVAL, -EINVAL},
    {"", "", "(none)", 0, -EINVAL},
    {"{\"a\":\"012345678901234567890123456789012345678901234567890123456789\"}", "", "(none)", -EMSGSIZE,
     -EMSGSIZE},
    {"{\"items\":[{\"a\":\"012345678901234567890123456789012345678901234567890123456789\"}]}", "", "(none)",
     -EMSGSIZE, -EMSGSIZE},
};

static void elements_of_a_list_come_by_themselves_and_the_rest_at_the_end(void)
{
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct outcome want = {.error = lists[i].error, .end = lists[i].end};
        snprintf(want.values, sizeof want.values, "%s", lists[i].values);
        snprintf(want.rest, sizeof want.rest, "%s", lists[i].rest);
        check(JSON_CUT_ITEMS, lists[i].text, strlen(lists[i].text), &want);
    }
}

static void a_zero_byte_is_refused_in_and_between_objects(void)
{
    struct outcome want = {.error = -EINVAL, .end = -EINVAL, .rest = "(none)"};
    check(JSON_CUT_STREAM, "\0{}", 3, &want);
    check(JSON_CUT_STREAM, "{\"\0\":1}", 7, &want);
}

static void who_takes_the_values_can_stop(void)
{
    for (stop_at = 1; stop_at <= 2; stop_at++) {
        struct outcome want = {.error = -ECANCELED, .end = -ECANCELED, .rest = "(none)"};
        snprintf(want.values, sizeof want.values, "%s", stop_at == 1 ? "{}|" : "{}|{\"a\":2}|");
        check(JSON_CUT_STREAM, "{}{\"a\":2}{}", 11, &want);
        check(JSON_CUT_ITEMS, "{\"items\":[{},{\"a\":2},{}]}", 25, &want);
    }
    stop_at = 0;
}

static int count_value(void *arg, const char *text, size_t len)
{
    (void)text;
    *(size_t *)arg += len;
    return 0;
}

static void nesting_has_a_limit(void)
{
    char deep[1026];
    size_t bytes = 0;
    for (unsigned depth = 512; depth <= 513; depth++) {
        struct json_cut *c = json_cut_new(JSON_CUT_STREAM, 4096, count_value, &bytes);
        deep[0] = '{';
        memset(deep + 1, '[', depth - 1);
        memset(deep + depth, ']', depth - 1);
        deep[2 * depth - 1] = '}';
        CU_ASSERT_EQUAL(json_cut_feed(c, deep, 2 * depth), depth == 512 ? 0 : -EINVAL);
        json_cut_free(c);
    }
    CU_ASSERT_EQUAL(bytes, 1024);
}

/* A page of 500 objects of 30 kB: 15 MB go through, the largest object is what is held. */
static void a_list_may_be_larger_than_what_one_object_may_be(void)
{
    static char filler[30000];
    size_t bytes = 0;
    struct json_cut *c = json_cut_new(JSON_CUT_ITEMS, 40000, count_value, &bytes);
    memset(filler, 'x', sizeof filler);
    CU_ASSERT_EQUAL(json_cut_feed(c, "{\"items\":[", 10), 0);
    for (unsigned i = 0; i < 500; i++) {
        if (i)
            CU_ASSERT_EQUAL(json_cut_feed(c, ",", 1), 0);
        CU_ASSERT_EQUAL(json_cut_feed(c, "{\"", 2), 0);
        CU_ASSERT_EQUAL(json_cut_feed(c, filler, sizeof filler), 0);
        CU_ASSERT_EQUAL(json_cut_feed(c, "\":0}", 4), 0);
    }
    CU_ASSERT_EQUAL(json_cut_feed(c, "]}", 2), 0);
    CU_ASSERT_EQUAL(json_cut_end(c), 0);
    CU_ASSERT_STRING_EQUAL(json_cut_rest(c), "{\"items\":[]}");
    CU_ASSERT_EQUAL(bytes, 500 * (sizeof filler + 6));
    json_cut_free(c);
}

static const struct unit_case cases[] = {
    UNIT(a_stream_is_cut_into_objects_wherever_it_is_split),
    UNIT(elements_of_a_list_come_by_themselves_and_the_rest_at_the_end),
    UNIT(a_zero_byte_is_refused_in_and_between_objects),
    UNIT(who_takes_the_values_can_stop),
    UNIT(nesting_has_a_limit),
    UNIT(a_list_may_be_larger_than_what_one_object_may_be),
};
UNIT_MAIN("kube json_cut", cases)
