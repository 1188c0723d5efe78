/* YAML text to a tree of nodes that know their line and column.
 *
 * libyaml's event parser does the syntax; this file adds what a configuration wants on top: positions,
 * bounds, and plain refusal of what has no meaning here (tags, several documents, keys that are not words).
 * An alias is a second reference to the same node and costs nothing here; but whoever walks the tree expands
 * it, so the expanded size is added up while the tree is built and bounded, which stops "billion laughs" at
 * the alias that would go too far.
 *
 * Nodes, texts and lists of items lie one behind the other in a few chunks and go all at once. A chunk's
 * pages come in one call: a fault for each would take longer than to parse what fills it.
 *
 * Not here: variables in values (config_vars.c), what keys mean (config_schema.c), and types: a scalar is
 * text until somebody knows what it should be. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "config_int.h"
#include "lib/pages.h"

#define MAX_DEPTH   32
#define MAX_NODES   1000000 /* aliases expanded; a file of 1 MiB without aliases stays below */
#define MAX_ANCHORS 256

#define CHUNK_BYTES (64 * 1024u)

struct tree_chunk {
    struct tree_chunk *next;
    size_t size, used; /* with this header */
};

struct builder {
    struct load *ld;
    struct tree *tree;
    yaml_parser_t parser;
    struct node *stack[MAX_DEPTH];
    unsigned depth;
    struct node **items; /* those of all open nodes, outermost first */
    unsigned n_items, cap_items;
    struct {
        char *name;
        struct node *node;
    } anchors[MAX_ANCHORS];
    unsigned n_anchors;
};

static struct node at_mark(yaml_mark_t m)
{
    return (struct node){.line = (unsigned)m.line + 1, .col = (unsigned)m.column + 1};
}

static int fail(struct builder *b, yaml_mark_t m, const char *what)
{
    struct node at = at_mark(m);
    load_error(b->ld, &at, NULL, "%s", what);
    return -EINVAL;
}

static void *take(struct tree *t, size_t bytes)
{
    struct tree_chunk *c = t->chunks;
    bytes = (bytes + 7) & ~(size_t)7;
    if (!c || bytes > c->size - c->used) {
        size_t size = bytes + sizeof *c > CHUNK_BYTES ? bytes + sizeof *c : CHUNK_BYTES;
        c = pages_alloc(size);
        if (!c)
            return NULL;
        *c = (struct tree_chunk){.next = t->chunks, .size = size, .used = sizeof *c};
        t->chunks = c;
    }
    c->used += bytes;
    return (char *)c + c->used - bytes;
}

static struct node *new_node(struct builder *b, enum node_kind kind, yaml_mark_t m)
{
    struct node *n = take(b->tree, sizeof *n);
    if (!n)
        return NULL;
    *n = at_mark(m);
    n->kind = (uint8_t)kind;
    n->weight = 1;
    return n;
}

static int append(struct builder *b, struct node *parent, struct node *child)
{
    if (b->n_items == b->cap_items) {
        unsigned cap = b->cap_items ? b->cap_items * 2 : 2048;
        size_t bytes = cap * sizeof(struct node *);
        struct node **items = b->items ? realloc(b->items, bytes) : pages_alloc(bytes);
        if (!items)
            return -ENOMEM;
        b->items = items;
        b->cap_items = cap;
    }
    b->items[b->n_items++] = child;
    parent->n++;
    return 0;
}

static bool is_key(const struct builder *b)
{
    const struct node *parent = b->depth ? b->stack[b->depth - 1] : NULL;
    return parent && parent->kind == NODE_MAP && parent->n % 2 == 0;
}

/* Hangs a complete or just opened node below the innermost open one. */
static int attach(struct builder *b, struct node *n, yaml_mark_t m)
{
    if (!b->depth) {
        b->tree->root = n;
        return 0;
    }
    struct node *parent = b->stack[b->depth - 1];
    if (is_key(b) && n->kind != NODE_SCALAR)
        return fail(b, m, "a key must be a word, not a list or a mapping");
    return append(b, parent, n);
}

/* A node is complete: its weight counts in every node that is still open, innermost first. */
static int add_weight(struct builder *b, const struct node *n, yaml_mark_t m)
{
    if (!b->depth)
        return 0;
    struct node *parent = b->stack[b->depth - 1];
    if (n->weight > MAX_NODES - parent->weight)
        return fail(b, m, "too large: aliases are not meant to multiply; write out what is needed");
    parent->weight += n->weight;
    return 0;
}

static int remember_anchor(struct builder *b, const yaml_char_t *name, struct node *n, yaml_mark_t m)
{
    if (!name)
        return 0;
    unsigned i = 0;
    while (i < b->n_anchors && strcmp(b->anchors[i].name, (const char *)name) != 0)
        i++;
    if (i == MAX_ANCHORS)
        return fail(b, m, "too many anchors; 256 at most");
    if (i == b->n_anchors) {
        b->anchors[i].name = strdup((const char *)name);
        if (!b->anchors[i].name)
            return -ENOMEM;
        b->n_anchors++;
    }
    b->anchors[i].node = n;
    return 0;
}

static int on_alias(struct builder *b, const yaml_event_t *ev)
{
    const char *name = (const char *)ev->data.alias.anchor;
    for (unsigned i = 0; i < b->n_anchors; i++) {
        struct node *n = b->anchors[i].node;
        if (strcmp(b->anchors[i].name, name) != 0)
            continue;
        if (n->open)
            return fail(b, ev->start_mark, "this alias is inside the anchor that it names");
        int err = attach(b, n, ev->start_mark);
        return err ? err : add_weight(b, n, ev->start_mark);
    }
    return fail(b, ev->start_mark, "this alias has no anchor before it");
}

/* The text of a scalar, with variables put in where it is a value. */
static int set_text(struct builder *b, struct node *n, const char *text, yaml_scalar_style_t style,
                    yaml_mark_t m)
{
    bool expands = style == YAML_PLAIN_SCALAR_STYLE || style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    struct why why;
    char *expanded = NULL;
    int err = expands && !is_key(b) ? vars_expand(text, &expanded, &why) : 0;
    if (err)
        return err == -EINVAL ? fail(b, m, why.text) : err;
    const char *from = expanded ? expanded : text;
    size_t size = strlen(from) + 1;
    n->text = take(b->tree, size);
    if (n->text)
        memcpy(n->text, from, size);
    if (expanded)
        explicit_bzero(expanded, size);
    free(expanded);
    return n->text ? 0 : -ENOMEM;
}

static int on_scalar(struct builder *b, const yaml_event_t *ev)
{
    if (ev->data.scalar.tag)
        return fail(b, ev->start_mark, "tags are not supported; write the value alone");
    if (memchr(ev->data.scalar.value, 0, ev->data.scalar.length))
        return fail(b, ev->start_mark, "a value must not contain a zero byte");
    struct node *n = new_node(b, NODE_SCALAR, ev->start_mark);
    if (!n)
        return -ENOMEM;
    n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    int err = set_text(b, n, (const char *)ev->data.scalar.value, ev->data.scalar.style, ev->start_mark);
    if (!err)
        err = remember_anchor(b, ev->data.scalar.anchor, n, ev->start_mark);
    if (!err)
        err = attach(b, n, ev->start_mark);
    return err ? err : add_weight(b, n, ev->start_mark);
}

static int on_open(struct builder *b, enum node_kind kind, const yaml_char_t *anchor, const yaml_char_t *tag,
                   yaml_mark_t m)
{
    if (tag)
        return fail(b, m, "tags are not supported; write the value alone");
    if (b->depth == MAX_DEPTH)
        return fail(b, m, "nested too deeply; 32 levels at most");
    struct node *n = new_node(b, kind, m);
    if (!n)
        return -ENOMEM;
    n->open = true;
    int err = remember_anchor(b, anchor, n, m);
    if (!err)
        err = attach(b, n, m);
    b->stack[b->depth++] = n;
    return err;
}

static int on_close(struct builder *b, yaml_mark_t m)
{
    struct node *n = b->stack[--b->depth];
    size_t bytes = n->n * sizeof(struct node *);
    n->open = false;
    if (n->n && !(n->items = take(b->tree, bytes)))
        return -ENOMEM;
    b->n_items -= n->n;
    if (n->n)
        memcpy(n->items, b->items + b->n_items, bytes);
    return add_weight(b, n, m);
}

static bool tab_in_indent(const char *text, size_t len, size_t line)
{
    const char *p = text, *end = text + len;
    while (line-- && p)
        p = (p = memchr(p, '\n', (size_t)(end - p))) ? p + 1 : NULL;
    while (p && p < end && *p == ' ')
        p++;
    return p && p < end && *p == '\t';
}

static int syntax_error(struct builder *b, const char *text, size_t len)
{
    const yaml_parser_t *p = &b->parser;
    struct node at = at_mark(p->problem_mark);
    const char *problem = p->problem ? p->problem : "cannot be read";
    if (p->error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    if (p->error == YAML_READER_ERROR) {
        at.line = at.col = 1;
        for (size_t i = 0; i < p->problem_offset && i < len; i++) {
            at.col++;
            if (text[i] == '\n')
                at.line++, at.col = 1;
        }
        load_error(b->ld, &at, NULL, "not UTF-8 text: %s", problem);
    } else if (tab_in_indent(text, len, p->problem_mark.line)) {
        load_error(b->ld, &at, NULL, "YAML syntax: %s; indent with spaces, not with tabs", problem);
    } else if (p->context) {
        load_error(b->ld, &at, NULL, "YAML syntax: %s (%s from line %zu)", problem, p->context,
                   p->context_mark.line + 1);
    } else {
        load_error(b->ld, &at, NULL, "YAML syntax: %s", problem);
    }
    return -EINVAL;
}

static int on_event(struct builder *b, const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->tree->root)
            return fail(b, ev->start_mark, "a second YAML document; keep one");
        return 0;
    case YAML_ALIAS_EVENT:
        return on_alias(b, ev);
    case YAML_SCALAR_EVENT:
        return on_scalar(b, ev);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, NODE_SEQ, ev->data.sequence_start.anchor, ev->data.sequence_start.tag,
                       ev->start_mark);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, NODE_MAP, ev->data.mapping_start.anchor, ev->data.mapping_start.tag,
                       ev->start_mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_close(b, ev->start_mark);
    default:
        return 0;
    }
}

int tree_parse(struct load *ld, const char *text, size_t len, struct tree *out)
{
    struct builder b = {.ld = ld, .tree = out};
    int err = 0;
    *out = (struct tree){0};
    if (len > CONFIG_MAX_BYTES) {
        load_error(ld, NULL, NULL,
                   "larger than 1 MiB; use peer-templates, or advertise in bulk with underlayctl");
        return -EINVAL;
    }
    if (!yaml_parser_initialize(&b.parser))
        return -ENOMEM;
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
    for (bool end = false; !err && !end;) {
        yaml_event_t ev;
        if (!yaml_parser_parse(&b.parser, &ev)) {
            err = syntax_error(&b, text, len);
            break;
        }
        err = on_event(&b, &ev);
        end = ev.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&ev);
    }
    for (unsigned i = 0; i < b.n_anchors; i++)
        free(b.anchors[i].name);
    free(b.items);
    yaml_parser_delete(&b.parser);
    return err;
}

void tree_free(struct tree *t)
{
    for (struct tree_chunk *c = t->chunks, *next; c; c = next) {
        next = c->next;
        explicit_bzero(c, c->used); /* there may be passwords in it */
        free(c);
    }
    *t = (struct tree){0};
}

struct node *tree_scalar(struct tree *t, const char *text, size_t len)
{
    struct node *n = take(t, sizeof *n);
    char *copy = n ? take(t, len + 1) : NULL;
    if (!copy)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = 0;
    *n = (struct node){.kind = NODE_SCALAR, .weight = 1, .text = copy};
    return n;
}

struct node *tree_list(struct tree *t, enum node_kind kind, struct node *const *items, unsigned n)
{
    struct node *list = take(t, sizeof *list);
    struct node **copy = list ? take(t, (n + 2) * sizeof *copy) : NULL;
    if (!copy)
        return NULL;
    if (n)
        memcpy(copy, items, n * sizeof *copy);
    *list = (struct node){.kind = (uint8_t)kind, .weight = 1, .n = n, .items = copy};
    return list;
}

struct node *tree_with(struct tree *t, const struct node *map, const char *key, struct node *value)
{
    struct node *copy = tree_list(t, NODE_MAP, map ? map->items : NULL, map ? map->n : 0), *name;
    if (!copy || !value)
        return NULL;
    if (map) {
        copy->line = map->line;
        copy->col = map->col;
    }
    for (unsigned i = 0; i + 1 < copy->n; i += 2)
        if (!strcmp(copy->items[i]->text, key)) {
            copy->items[i + 1] = value;
            return copy;
        }
    if (!(name = tree_scalar(t, key, strlen(key))))
        return NULL;
    copy->items[copy->n++] = name;
    copy->items[copy->n++] = value;
    return copy;
}

const struct node *node_find(const struct node *map, const char *key)
{
    if (!map || map->kind != NODE_MAP)
        return NULL;
    for (unsigned i = 0; i + 1 < map->n; i += 2)
        if (strcmp(map->items[i]->text, key) == 0)
            return map->items[i + 1];
    return NULL;
}

bool node_is_null(const struct node *n)
{
    return n->kind == NODE_SCALAR && n->plain &&
           (!*n->text || !strcmp(n->text, "~") || !strcmp(n->text, "null"));
}

bool node_is_off(const struct node *n)
{
    return n->kind == NODE_SCALAR && (!strcmp(n->text, "off") || !strcmp(n->text, "false"));
}
