/* A splitter of JSON that can stop at every byte.
 *
 * A parser for streams would be a second JSON parser beside jansson; what is missing from jansson is only
 * where a value ends, and for that nesting and strings are enough. So this counts brackets, copies what lies
 * between them, and leaves the rest to jansson: `{"a":tru}` is a value here and an error there.
 *
 * A list is one object whose size is that of the cluster. Its member "items" is found by its name at depth
 * one, its elements are cut out one by one, and what is left of the object, which is a few hundred bytes of
 * metadata, can be parsed like any other. A name written with escapes is not found; no server writes it so,
 * and then the object is merely too large.
 *
 * Memory: one value and the rest, max each; room that one large value wanted goes when it is through. */
#include "kube/json_cut.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH  512 /* jansson has a limit as well; objects of Kubernetes stay below 40 */
#define KEEP_BYTES 65536u

static const char ITEMS[] = "items";

struct text {
    char *p;
    size_t len, cap;
};

enum place {
    BETWEEN, /* before a value of a stream; before the object of a list */
    IN_VALUE,
    IN_REST,      /* of the object of a list */
    ITEM_OR_END,  /* behind "items": [ */
    ITEM,         /* behind a comma there */
    COMMA_OR_END, /* behind an element */
    AFTER,        /* the object of a list is complete */
};
enum member { /* of the object of a list, at depth one */
              NAME,
              NAME_ITEMS, /* this was it */
              VALUE_ITEMS,
              OTHER
};

struct json_cut {
    enum json_cut_mode mode;
    size_t max;
    int (*value)(void *arg, const char *text, size_t len);
    void *arg;
    int error;
    uint8_t place, member;
    bool in_string, escaped, had_items;
    unsigned matched; /* bytes of ITEMS that the name has so far; beyond: another name */
    unsigned depth;
    uint8_t is_list[MAX_DEPTH / 8]; /* the open brackets, a bit each */
    struct text one, rest;
};

struct json_cut *json_cut_new(enum json_cut_mode mode, size_t max,
                              int (*value)(void *arg, const char *text, size_t len), void *arg)
{
    struct json_cut *c = calloc(1, sizeof *c);
    if (c) {
        c->mode = mode;
        c->max = max;
        c->value = value;
        c->arg = arg;
    }
    return c;
}

void json_cut_free(struct json_cut *c)
{
    if (!c)
        return;
    free(c->one.p);
    free(c->rest.p);
    free(c);
}

static int append(const struct json_cut *c, struct text *t, const char *from, const char *to)
{
    size_t n = (size_t)(to - from), cap = t->cap ? t->cap : 1024;
    if (n > c->max - t->len)
        return -EMSGSIZE;
    while (cap < t->len + n + 1)
        cap *= 2;
    if (cap != t->cap) {
        char *grown = realloc(t->p, cap);
        if (!grown)
            return -ENOMEM;
        t->p = grown;
        t->cap = cap;
    }
    memcpy(t->p + t->len, from, n);
    t->len += n;
    t->p[t->len] = 0;
    return 0;
}

static int open_bracket(struct json_cut *c, bool list)
{
    if (c->depth == MAX_DEPTH)
        return -EINVAL;
    uint8_t *byte = &c->is_list[c->depth / 8], bit = (uint8_t)(1u << c->depth % 8);
    *byte = (uint8_t)(list ? *byte | bit : *byte & ~bit);
    c->depth++;
    return 0;
}

static int close_bracket(struct json_cut *c, bool list)
{
    if (!c->depth)
        return -EINVAL;
    c->depth--;
    bool was_list = c->is_list[c->depth / 8] >> c->depth % 8 & 1;
    return was_list == list ? 0 : -EINVAL;
}

static bool is_space(char ch)
{
    return ch == ' ' || ch == '\n' || ch == '\r' || ch == '\t';
}

/* One byte of a value. */
static int step(struct json_cut *c, char ch)
{
    if (c->in_string) {
        if (c->escaped)
            c->escaped = false;
        else if (ch == '\\')
            c->escaped = true;
        else if (ch == '"')
            c->in_string = false;
        return (unsigned char)ch < 0x20 ? -EINVAL : 0;
    }
    switch (ch) {
    case '"':
        c->in_string = true;
        return 0;
    case '{':
    case '[':
        return open_bracket(c, ch == '[');
    case '}':
    case ']':
        return close_bracket(c, ch == ']');
    default:
        return (unsigned char)ch < 0x20 && !is_space(ch) ? -EINVAL : 0;
    }
}

/* The whole value is there. */
static int deliver(struct json_cut *c)
{
    size_t len = c->one.len;
    c->one.len = 0;
    c->place = c->mode == JSON_CUT_ITEMS ? COMMA_OR_END : BETWEEN;
    int rc = c->value(c->arg, c->one.p, len);
    if (c->one.cap > KEEP_BYTES) {
        free(c->one.p);
        c->one = (struct text){0};
    }
    return rc < 0 ? rc : 0;
}

/* Each of these takes bytes from *p while its place lasts. */

static int in_value(struct json_cut *c, const char **p, const char *end)
{
    const char *from = *p;
    unsigned outside = c->mode == JSON_CUT_ITEMS ? 2 : 0;
    int rc = 0;
    bool complete = false;
    while (!rc && !complete && *p < end) {
        rc = step(c, *(*p)++);
        complete = c->depth == outside;
    }
    if (!rc)
        rc = append(c, &c->one, from, *p);
    return rc || !complete ? rc : deliver(c);
}

static void in_name(struct json_cut *c, char ch)
{
    if (c->in_string)
        c->matched = c->matched < sizeof ITEMS && ITEMS[c->matched] == ch ? c->matched + 1 : sizeof ITEMS;
    else
        c->member = c->matched == sizeof ITEMS - 1 ? NAME_ITEMS : OTHER;
}

/* A byte at depth one, outside of strings. */
static int between_members(struct json_cut *c, char ch)
{
    if (is_space(ch))
        return 0;
    if (c->member == VALUE_ITEMS && ch == '[') {
        if (c->had_items)
            return -EINVAL;
        c->had_items = true;
        c->place = ITEM_OR_END;
    }
    if (ch == ',')
        c->member = NAME;
    else if (ch == ':' && c->member == NAME_ITEMS)
        c->member = VALUE_ITEMS;
    else if (ch == '"' && c->member == NAME)
        c->matched = 0;
    else
        c->member = OTHER;
    return 0;
}

static int in_rest(struct json_cut *c, const char **p, const char *end)
{
    const char *from = *p;
    int rc = 0;
    while (!rc && c->place == IN_REST && *p < end) {
        char ch = *(*p)++;
        bool in_string = c->in_string, at_one = c->depth == 1;
        rc = step(c, ch);
        if (!rc && at_one && in_string && c->member == NAME)
            in_name(c, ch);
        else if (!rc && at_one && !in_string)
            rc = between_members(c, ch);
        if (!c->depth)
            c->place = AFTER;
    }
    return rc ? rc : append(c, &c->rest, from, *p);
}

static int start(struct json_cut *c, char ch, enum place place)
{
    c->place = (uint8_t)place;
    c->member = NAME;
    return append(c, place == IN_REST ? &c->rest : &c->one, &ch, &ch + 1);
}

/* A byte where only white space and few others may be. */
static int at_place(struct json_cut *c, char ch)
{
    int rc;
    if (is_space(ch))
        return 0;
    if ((c->place == BETWEEN || c->place == ITEM_OR_END || c->place == ITEM) && ch == '{') {
        rc = step(c, ch);
        return rc ? rc : start(c, ch, c->mode == JSON_CUT_ITEMS && c->place == BETWEEN ? IN_REST : IN_VALUE);
    }
    if ((c->place == ITEM_OR_END || c->place == COMMA_OR_END) && ch == ']') {
        rc = step(c, ch);
        c->place = IN_REST;
        return rc ? rc : append(c, &c->rest, &ch, &ch + 1);
    }
    if (c->place == COMMA_OR_END && ch == ',') {
        c->place = ITEM;
        return 0;
    }
    return -EINVAL;
}

int json_cut_feed(struct json_cut *c, const char *data, size_t len)
{
    const char *p = data, *end = data + len;
    while (!c->error && p < end)
        c->error = c->place == IN_VALUE  ? in_value(c, &p, end)
                   : c->place == IN_REST ? in_rest(c, &p, end)
                                         : at_place(c, *p++);
    return c->error;
}

int json_cut_end(const struct json_cut *c)
{
    if (c->error)
        return c->error;
    return c->place == (c->mode == JSON_CUT_ITEMS ? AFTER : BETWEEN) ? 0 : -EINVAL;
}

const char *json_cut_rest(const struct json_cut *c)
{
    return c->place == AFTER && !c->error ? c->rest.p : NULL;
}
