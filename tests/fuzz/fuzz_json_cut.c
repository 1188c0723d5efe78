/* The splitter of JSON against jansson: what both take is the same objects, wherever the text is split. The
 * first byte chooses stream or list, the second the length of the pieces. */
#include <errno.h>
#include <jansson.h>

#include "kube/json_cut.h"
#include "tests/fuzz/fuzz.h"

#define MAX_VALUE 4096

struct got {
    json_t *values; /* array; NULL: one of them is not JSON */
    char *text;     /* of all values */
    size_t len;
};

static int on_value(void *arg, const char *text, size_t len)
{
    struct got *g = arg;
    FUZZ_CHECK(len && len <= MAX_VALUE && text[0] == '{' && text[len - 1] == '}' && !text[len]);
    g->text = realloc(g->text, g->len + len + 1);
    FUZZ_CHECK(g->text);
    memcpy(g->text + g->len, text, len + 1);
    g->len += len;
    json_t *j = g->values ? json_loadb(text, len, JSON_ALLOW_NUL, NULL) : NULL;
    if (g->values && (!j || json_array_append_new(g->values, j))) {
        json_decref(g->values);
        g->values = NULL;
    }
    return 0;
}

/* In pieces of n bytes. The end in *error, the rest (the caller's) in *rest. */
static struct got cut(enum json_cut_mode mode, const uint8_t *data, size_t size, size_t n, int *error,
                      char **rest)
{
    struct got g = {.values = json_array()};
    struct json_cut *c = json_cut_new(mode, MAX_VALUE, on_value, &g);
    *error = 0;
    for (size_t at = 0; at < size && !*error; at += n)
        *error = json_cut_feed(c, (const char *)data + at, size - at < n ? size - at : n);
    if (!*error)
        *error = json_cut_end(c);
    FUZZ_CHECK(*error == json_cut_end(c));
    *rest = json_cut_rest(c) ? strdup(json_cut_rest(c)) : NULL;
    json_cut_free(c);
    return g;
}

static void reset(struct got *g)
{
    json_decref(g->values);
    free(g->text);
}

/* jansson's objects of a stream; NULL: it does not take all of it. */
static json_t *reference_stream(const uint8_t *data, size_t size)
{
    json_t *all = json_array();
    for (size_t at = 0; at < size;) {
        json_error_t e;
        if (strchr(" \t\r\n", data[at]) && data[at]) {
            at++;
            continue;
        }
        json_t *j =
            json_loadb((const char *)data + at, size - at, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &e);
        if (!json_is_object(j)) {
            json_decref(j);
            json_decref(all);
            return NULL;
        }
        json_array_append_new(all, j);
        at += (size_t)e.position;
    }
    return all;
}

static void check_stream(const struct got *g, int error, const uint8_t *data, size_t size)
{
    json_t *want = reference_stream(data, size);
    if (want && error != -EMSGSIZE)
        FUZZ_CHECK(!error && g->values && json_equal(want, g->values));
    else if (!want)
        FUZZ_CHECK(error || !g->values);
    json_decref(want);
}

static void check_list(const struct got *g, int error, const char *rest, const uint8_t *data, size_t size)
{
    json_t *want = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    json_t *left = rest && g->values ? json_loads(rest, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL) : NULL;
    json_t *items = json_object_get(left, "items");
    if (!error && g->values && left) {
        FUZZ_CHECK(want);
        if (g->len) {
            FUZZ_CHECK(json_is_array(items) && !json_array_size(items));
            json_array_extend(items, g->values);
        }
        FUZZ_CHECK(json_equal(want, left));
    } else if (json_is_object(want) && error != -EMSGSIZE) {
        /* Elements that are no objects, and nothing else. */
        const json_t *all = json_object_get(want, "items");
        bool objects = true;
        for (size_t i = 0; i < json_array_size(all); i++)
            objects = objects && json_is_object(json_array_get(all, i));
        FUZZ_CHECK(!objects);
    }
    json_decref(want);
    json_decref(left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    enum json_cut_mode mode = fuzz_u8(&in) & 1 ? JSON_CUT_ITEMS : JSON_CUT_STREAM;
    size_t n = 1 + fuzz_u8(&in) % 32u;
    int error, error2;
    char *rest, *rest2;
    struct got whole = cut(mode, in.p, in.n, in.n + 1, &error, &rest);
    struct got pieces = cut(mode, in.p, in.n, n, &error2, &rest2);
    /* Of two things that are wrong with one object either may be found first. */
    FUZZ_CHECK(error == error2 || (error && error2 && (error == -EMSGSIZE || error2 == -EMSGSIZE)));
    FUZZ_CHECK(whole.len == pieces.len && (!whole.len || !memcmp(whole.text, pieces.text, whole.len)));
    FUZZ_CHECK(!rest == !rest2 && (!rest || !strcmp(rest, rest2)));
    if (in.n && memchr(in.p, 0, in.n))
        FUZZ_CHECK(error); /* jansson reads over a zero byte behind a number */
    else if (mode == JSON_CUT_STREAM)
        check_stream(&whole, error, in.p, in.n);
    else
        check_list(&whole, error, rest, in.p, in.n);
    reset(&whole);
    reset(&pieces);
    free(rest);
    free(rest2);
    return 0;
}
