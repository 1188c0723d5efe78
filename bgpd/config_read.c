/* The tree of a file into struct config, by the schema.
 *
 * One walk for every section: each key of the mapping is looked up, refused when it is unknown, not built
 * yet, given twice or not for this place, and otherwise read by its shape and type. A peer is its defaults,
 * then its template's keys, then its own, read into the same struct, so that "own keys win" needs no code. A
 * template is read once by itself for its errors and then silently for each peer that names it.
 *
 * A wrong value leaves the default behind and its element in the list, so that the n-th element is always the
 * n-th node, and everything after it is still checked: people want to see all errors at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_policy.h"
#include "lib/text.h"

#define MAX_KEYS 64

static void read_section(struct load *ld, const struct schema_section *s, void *base, const struct node *map,
                         const struct path *path, bool in_template);

static const char *kind_name(const struct node *n)
{
    return n->kind == NODE_SEQ ? "a list" : n->kind == NODE_MAP ? "a mapping" : "a single value";
}

static void unknown_key(struct load *ld, const struct schema_section *s, const struct node *key,
                        const struct path *path)
{
    const char *names[MAX_KEYS];
    for (unsigned i = 0; i < s->n; i++)
        names[i] = s->keys[i].name;
    const char *hint = text_closest(key->text, names, s->n);
    if (!strcmp(key->text, "<<"))
        load_error(ld, key, path, "merge keys are not supported; use peer-templates");
    else if (hint)
        load_error(ld, key, path, "unknown key `%.40s`; did you mean `%s`?", key->text, hint);
    else
        load_error(ld, key, path, "unknown key `%.40s`; underlay.yaml(5) lists the keys", key->text);
}

static void read_scalar(struct load *ld, const struct schema_key *k, void *field, const struct node *n,
                        const struct path *path)
{
    struct why why = {0};
    if (n->kind != NODE_SCALAR) {
        load_error(ld, n, path, "expected %s, not %s", k->type->what, kind_name(n));
        return;
    }
    if (node_is_null(n)) {
        load_error(ld, n, path, "has no value; expected %s", k->type->what);
        return;
    }
    int err = k->type->parse(k, field, n->text, &why);
    if (err == -ENOMEM)
        ld->oom = true;
    else if (err)
        load_error(ld, n, path, "%s", why.text);
}

/* Whether n is a list of no more than k->max. An empty value is not: `peers:` alone is more likely a slip. */
static bool is_list(struct load *ld, const struct schema_key *k, const struct node *n,
                    const struct path *path)
{
    if (n->kind != NODE_SEQ)
        load_error(ld, n, path, "expected a list, not %s%s", node_is_null(n) ? "nothing" : kind_name(n),
                   k->shape == SHAPE_SET ? "; write it in [ ]" : "; [] is the empty one");
    else if (k->max && n->n > k->max)
        load_error(ld, n, path, "%u elements; %u at most", n->n, k->max);
    else
        return true;
    return false;
}

static void read_list(struct load *ld, const struct schema_key *k, void *base, const struct node *n,
                      const struct path *path)
{
    if (!is_list(ld, k, n, path))
        return;
    if (key_list_reset(k, base, n->n)) {
        ld->oom = true;
        return;
    }
    char *item = key_list(k, base).items;
    for (unsigned i = 0; i < n->n; i++, item += k->size) {
        struct path at = {.up = path, .index = i};
        if (k->shape == SHAPE_LIST) {
            read_scalar(ld, k, item, n->items[i], &at);
        } else {
            if (schema_defaults(k->sub, item))
                ld->oom = true;
            read_section(ld, k->sub, item, n->items[i], &at, false);
        }
    }
}

static void read_added(struct load *ld, const struct schema_key *k, void *base, const struct node *n,
                       const struct path *path)
{
    if (!is_list(ld, k, n, path))
        return;
    for (unsigned i = 0; i < n->n; i++)
        read_scalar(ld, k, key_field(k, base), n->items[i], &(struct path){.up = path, .index = i});
}

/* Names are the user's, so that only texts and doubles are checked. */
static void read_pairs(struct load *ld, const struct schema_key *k, void *base, const struct node *n,
                       const struct path *path)
{
    const struct schema_key *name = &k->sub->keys[0], *text = &k->sub->keys[1];
    if (n->kind != NODE_MAP) {
        load_error(ld, n, path, "expected a mapping of names to text, not %s",
                   node_is_null(n) ? "nothing" : kind_name(n));
        return;
    }
    if (n->n / 2 > k->max) {
        load_error(ld, n, path, "%u elements; %u at most", n->n / 2, k->max);
        return;
    }
    if (key_list_reset(k, base, n->n / 2)) {
        ld->oom = true;
        return;
    }
    char *item = key_list(k, base).items;
    for (unsigned i = 0; i + 1 < n->n; i += 2, item += k->size) {
        struct path at = {.up = path, .name = n->items[i]->text};
        if (node_find(n, n->items[i]->text) != n->items[i + 1])
            load_error(ld, n->items[i], &at, "is there twice; keep one");
        read_scalar(ld, name, key_field(name, item), n->items[i], &at);
        read_scalar(ld, text, key_field(text, item), n->items[i + 1], &at);
    }
}

static void read_set(struct load *ld, const struct schema_key *k, void *base, const struct node *n,
                     const struct path *path)
{
    bool *set = key_field(k, base);
    if (!is_list(ld, k, n, path))
        return;
    memset(set, 0, k->size);
    if (!n->n)
        load_error(ld, n, path, "is empty; list at least one of: %s", k->words);
    for (unsigned i = 0; i < n->n; i++) {
        struct path at = {.up = path, .index = i};
        const struct node *item = n->items[i];
        unsigned word;
        if (item->kind != NODE_SCALAR)
            load_error(ld, item, &at, "expected a word, not %s", kind_name(item));
        else if (!word_in(k->words, item->text, &word))
            load_error(ld, item, &at, "`%.40s` is not one of: %s", item->text, k->words);
        else if (set[word])
            load_error(ld, item, &at, "`%s` is listed twice", item->text);
        else
            set[word] = true;
    }
}

static void read_templates(struct load *ld, const struct schema_key *k, const struct node *n,
                           const struct path *path)
{
    if (n->kind != NODE_MAP) {
        load_error(ld, n, path, "expected a mapping of names to peer keys, not %s",
                   node_is_null(n) ? "nothing" : kind_name(n));
        return;
    }
    for (unsigned i = 0; i + 1 < n->n; i += 2) {
        struct peer_config scratch = {0};
        const char *name = n->items[i]->text;
        struct path at = {.up = path, .name = name};
        if (node_find(n, name) != n->items[i + 1])
            load_error(ld, n->items[i], &at, "is there twice; give each template a name of its own");
        if (schema_defaults(k->sub, &scratch))
            ld->oom = true;
        read_section(ld, k->sub, &scratch, n->items[i + 1], &at, true);
        schema_release(k->sub, &scratch);
    }
}

/* The keys of the template that a peer names, before its own. */
static const struct node *apply_template(struct load *ld, const struct node *map, void *base,
                                         const struct path *path)
{
    const struct node *name = node_find(map, "template"), *all = node_find(ld->root, "peer-templates");
    struct path at = {.up = path, .name = "template"};
    if (!name)
        return NULL;
    if (name->kind != NODE_SCALAR || node_is_null(name)) {
        load_error(ld, name, &at, "expected the name of a template");
        return NULL;
    }
    const struct node *keys = node_find(all, name->text);
    if (!keys) {
        const char *names[MAX_KEYS];
        unsigned n = 0;
        for (unsigned i = 0; all && all->kind == NODE_MAP && i + 1 < all->n && n < MAX_KEYS; i += 2)
            names[n++] = all->items[i]->text;
        const char *hint = text_closest(name->text, names, n);
        load_error(ld, name, &at, "no template `%.40s` in peer-templates%s%.40s%s", name->text,
                   hint ? "; did you mean `" : "; add it there", hint ? hint : "", hint ? "`?" : "");
        return NULL;
    }
    ld->quiet++;
    read_section(ld, &schema_peer, base, keys, path, true);
    ld->quiet--;
    return keys;
}

static void read_key(struct load *ld, const struct schema_key *k, void *base, const struct node *n,
                     const struct path *path)
{
    switch (k->shape) {
    case SHAPE_SCALAR:
        read_scalar(ld, k, key_field(k, base), n, path);
        break;
    case SHAPE_LIST:
    case SHAPE_MAPS:
        read_list(ld, k, base, n, path);
        break;
    case SHAPE_ADD:
        read_added(ld, k, base, n, path);
        break;
    case SHAPE_SET:
        read_set(ld, k, base, n, path);
        break;
    case SHAPE_PAIRS:
        read_pairs(ld, k, base, n, path);
        break;
    case SHAPE_MAP:
        if (k->type && n->kind == NODE_SCALAR && !node_is_null(n))
            read_scalar(ld, k, key_field(k, base), n, path);
        else
            read_section(ld, k->sub, base, n, path, false);
        break;
    case SHAPE_TEMPLATES:
        if (k->sub)
            read_templates(ld, k, n, path);
        break;
    case SHAPE_POLICIES:
        config_read_policies(ld, n, path);
        break;
    case SHAPE_SETS:
        config_read_sets(ld, n, path);
        break;
    }
}

/* Of two keys that exclude each other, the one that is here turns off what came from the template; both is an
 * error. */
static void exclude(struct load *ld, const struct schema_key *k, const struct schema_key *excluded,
                    void *base, const struct node *map, const struct node *key, bool other_seen,
                    const struct path *path)
{
    const struct node *other = node_find(map, excluded->name);
    if (node_is_off(node_find(map, k->name)))
        return;
    if (!other && schema_key_default(excluded, base))
        ld->oom = true;
    if (other && !node_is_off(other) && other_seen)
        load_error(ld, key, path, "excludes %s; keep one of the two", k->excludes);
}

static void not_built(struct load *ld, const struct schema_key *k, const struct node *key,
                      const struct node *value, const struct path *path)
{
    if (!k->off || value->kind != NODE_SCALAR || !word_in(k->off, value->text, NULL))
        load_error(ld, key, path, "not supported by this version yet; remove the key");
}

static void missing_keys(struct load *ld, const struct schema_section *s, const struct node *map,
                         const struct node *from_template, const struct path *path)
{
    for (unsigned i = 0; i < s->n; i++) {
        const struct schema_key *k = &s->keys[i];
        bool identity = s == &schema_peer && !strcmp(k->name, "address") && !node_find(map, "interface") &&
                        !node_find(map, "range");
        bool left = ld->overlay.allowed && (k->type == &type_asn || s == &schema_root); /* to an annotation */
        if ((!(k->flags & KEY_REQUIRED) && !identity) || left || node_find(map, k->name) ||
            node_find(from_template, k->name))
            continue;
        load_error(ld, map, &(struct path){.up = path, .name = k->name}, "missing; %s is required here",
                   identity                ? "an address, interface or range"
                   : k->shape == SHAPE_MAP ? "this section"
                                           : k->type->what);
    }
}

/* The keys of a small section, "a, b, c"; "" of one that has more than a line of them. */
static void names_of(const struct schema_section *s, char *buf, size_t size)
{
    size_t n = 0;
    *buf = 0;
    for (unsigned i = 0; s->n <= 6 && i < s->n && n < size; i++)
        if (!(s->keys[i].flags & KEY_NOT_YET))
            n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? ", " : "", s->keys[i].name);
}

static void read_section(struct load *ld, const struct schema_section *s, void *base, const struct node *map,
                         const struct path *path, bool in_template)
{
    const struct node *seen[MAX_KEYS] = {0}, *from_template = NULL;
    /* A section whose keys are all commented out is an empty one. */
    bool empty = node_is_null(map) && path && path->name;
    if (map->kind != NODE_MAP && !empty) {
        char keys[200];
        names_of(s, keys, sizeof keys);
        load_error(ld, map, path, "expected a mapping of keys, not %s%s%s",
                   node_is_null(map) ? "nothing" : kind_name(map), *keys ? "; there are " : "", keys);
        return;
    }
    if (s == &schema_peer && !in_template)
        from_template = apply_template(ld, map, base, path);
    for (unsigned i = 0; i + 1 < map->n; i += 2) {
        const struct node *key = map->items[i], *value = map->items[i + 1];
        const struct schema_key *k = schema_find(s, key->text);
        struct path at = {.up = path, .name = k ? k->name : NULL};
        if (!k) {
            unknown_key(ld, s, key, path);
            continue;
        }
        if (seen[k - s->keys]) {
            load_error(ld, key, &at, "is there twice, first on line %u; keep one", seen[k - s->keys]->line);
            continue;
        }
        seen[k - s->keys] = key;
        if (k->flags & KEY_NOT_YET) {
            not_built(ld, k, key, value, &at);
        } else if (in_template && (k->flags & KEY_OWN)) {
            load_error(ld, key, &at, "does not belong in a template; give it to the peer");
        } else {
            read_key(ld, k, base, value, &at);
            const struct schema_key *excluded = k->excludes ? schema_find(s, k->excludes) : NULL;
            if (excluded)
                exclude(ld, k, excluded, base, map, key, seen[excluded - s->keys], &at);
        }
    }
    if (!in_template)
        missing_keys(ld, s, map, from_template, path);
}

void config_read(struct load *ld)
{
    if (schema_defaults(&schema_root, ld->config))
        ld->oom = true;
    if (!ld->root || node_is_null(ld->root))
        load_error(ld, NULL, NULL, "is empty; at least router.asn is required");
    else
        read_section(ld, &schema_root, ld->config, ld->root, NULL, false);
}
