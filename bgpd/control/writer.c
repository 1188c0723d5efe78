/* Text or JSON from the same calls.
 *
 * JSON is written as it is asked for, with only a small stack of open objects and arrays in memory, so that a
 * table of a million routes costs no more than one of ten. Layout is that of people and of `jq .`: two
 * spaces, one member a line. Strings of plain ASCII need no escaping and go out as they are (most of what a
 * BGP speaker says is such); everything else is encoded by jansson, after bytes that are not UTF-8 were
 * replaced, since a peer's text may hold anything. For the same reason no text has control characters: those
 * would be commands to the terminal.
 *
 * Not a document model: keys are not checked for duplicates, and who opens an object has to end it. */
#include "control/writer.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"

#define WRITER_DEPTH 16
#define WRITER_FULL  65536

struct writer {
    struct evbuffer *out;
    bool json;
    unsigned depth;
    struct {
        char close;
        bool empty;
    } open[WRITER_DEPTH];
};

struct writer *writer_new(struct evbuffer *out, bool json)
{
    struct writer *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->out = out;
    w->json = json;
    return w;
}

void writer_free(struct writer *w)
{
    free(w);
}

bool writer_json(const struct writer *w)
{
    return w->json;
}

bool writer_full(const struct writer *w)
{
    return evbuffer_get_length(w->out) > WRITER_FULL;
}

static void put(struct writer *w, const char *s)
{
    evbuffer_add(w->out, s, strlen(s));
}

static bool is_plain(const char *s)
{
    for (; *s; s++)
        if (*s < 0x20 || *s > 0x7e || *s == '"' || *s == '\\')
            return false;
    return true;
}

static void put_string(struct writer *w, const char *s)
{
    if (is_plain(s)) {
        evbuffer_add_printf(w->out, "\"%s\"", s);
        return;
    }
    char *repaired = text_utf8(s);
    json_t *value = repaired ? json_string(repaired) : NULL;
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    put(w, text ? text : "\"\"");
    free(text);
    json_decref(value);
    free(repaired);
}

static void put_indent(struct writer *w)
{
    static const char blanks[] = "\n                                ";
    _Static_assert(sizeof blanks > 2 * WRITER_DEPTH, "indent");
    evbuffer_add(w->out, blanks, 1 + 2 * (size_t)w->depth);
}

/* Comma, indent and key. False in text mode. */
static bool member(struct writer *w, const char *key)
{
    if (!w->json)
        return false;
    if (w->depth) {
        if (!w->open[w->depth - 1].empty)
            put(w, ",");
        w->open[w->depth - 1].empty = false;
        put_indent(w);
    }
    if (key) {
        put_string(w, key);
        put(w, ": ");
    }
    return true;
}

/* Past the stack's depth nothing could be closed again: that is a bug of the caller, not input. */
static void open_container(struct writer *w, const char *key, const char *bracket, char close)
{
    if (!member(w, key))
        return;
    if (w->depth == WRITER_DEPTH)
        abort();
    put(w, bracket);
    w->open[w->depth].close = close;
    w->open[w->depth].empty = true;
    w->depth++;
}

void writer_object(struct writer *w, const char *key)
{
    open_container(w, key, "{", '}');
}

void writer_array(struct writer *w, const char *key)
{
    open_container(w, key, "[", ']');
}

void writer_end(struct writer *w)
{
    if (!w->json || !w->depth)
        return;
    w->depth--;
    if (!w->open[w->depth].empty)
        put_indent(w);
    evbuffer_add(w->out, &w->open[w->depth].close, 1);
    if (!w->depth)
        put(w, "\n");
}

void writer_str(struct writer *w, const char *key, const char *v)
{
    if (member(w, key))
        put_string(w, v ? v : "");
}

void writer_int(struct writer *w, const char *key, int64_t v)
{
    if (member(w, key))
        evbuffer_add_printf(w->out, "%" PRId64, v);
}

void writer_uint(struct writer *w, const char *key, uint64_t v)
{
    if (member(w, key))
        evbuffer_add_printf(w->out, "%" PRIu64, v);
}

void writer_bool(struct writer *w, const char *key, bool v)
{
    if (member(w, key))
        put(w, v ? "true" : "false");
}

void writer_null(struct writer *w, const char *key)
{
    if (member(w, key))
        put(w, "null");
}

void writer_addr(struct writer *w, const char *key, const struct ip_addr *a)
{
    char text[ADDR_STRLEN];
    if (w->json)
        writer_str(w, key, addr_format(a, text));
}

void writer_prefix(struct writer *w, const char *key, const struct prefix *p)
{
    char text[PREFIX_STRLEN];
    if (w->json)
        writer_str(w, key, prefix_format(p, text));
}

/* Also those of ISO 8859-1, as UTF-8 writes them. */
static void replace_controls(char *s)
{
    for (unsigned char *p = (unsigned char *)s; *p; p++) {
        if ((*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f)
            *p = '?';
        else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = '?';
    }
}

void writer_text(struct writer *w, const char *fmt, ...)
{
    char line[256], *text = line;
    va_list args;
    if (w->json)
        return;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (n >= (int)sizeof line) {
        va_start(args, fmt);
        text = vasprintf(&text, fmt, args) < 0 ? NULL : text;
        va_end(args);
    }
    if (!text || n < 0)
        return;
    replace_controls(text);
    evbuffer_add(w->out, text, (size_t)n);
    if (text != line)
        free(text);
}
