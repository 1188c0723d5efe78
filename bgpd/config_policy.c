/* `policies` and `sets`: rules read from the tree into compiled policies (policy.h), and back to text.
 *
 * These sections have free names and values whose meaning depends on the key, so they are read by functions
 * of their own, over two small tables: what may stand in `match`, what in `set`. A list of `match` is written
 * as a list or as one value; an element "@NAME" stands for the elements of a set. A set is parsed where it is
 * used, silently, and once where it stands, for its errors. What is wrong has the line and column of the
 * element.
 *
 * Peers are named by what the configuration calls them (an address, a range, an interface, a description),
 * which is settled when all of them are known: config_check_policies. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_policy.h"
#include "lib/text.h"
#include "policy.h"

#define MAX_SETS 256
#define MAX_LIST 1000 /* elements of a list of `match`, those of sets included */

/* Reading */

struct rule_reader {
    struct load *ld;
    struct policy_rule *rule;
    const struct policy_key *key;
    struct policy_words *words; /* NULL: not kept */
    unsigned n;                 /* elements so far */
};

static void read_values(struct rule_reader *rd, const struct node *n, const struct path *path, bool in_set);

static void read_value(struct rule_reader *rd, const struct node *n, const struct path *path, bool in_set)
{
    struct why why = {0};
    struct path sets = {.name = "sets"}, kind = {.up = &sets, .name = rd->key->set};
    if (n->kind != NODE_SCALAR || node_is_null(n)) {
        load_error(rd->ld, n, path, "expected a value, not %s",
                   n->kind == NODE_SCALAR ? "nothing" : "a list");
        return;
    }
    if (rd->words && !in_set && words_append(rd->words, n->text))
        rd->ld->oom = true;
    if (*n->text == '@' && rd->key->set && !in_set) {
        const struct node *values =
            node_find(node_find(node_find(rd->ld->root, "sets"), rd->key->set), n->text + 1);
        if (!values) {
            load_error(rd->ld, n, path, "there is no set `%.60s` in sets.%s; add it there", n->text + 1,
                       rd->key->set);
            return;
        }
        rd->ld->quiet++; /* its errors are those of `sets` */
        read_values(rd, values, &(struct path){.up = &kind, .name = n->text + 1}, true);
        rd->ld->quiet--;
        return;
    }
    if (++rd->n == MAX_LIST + 1)
        load_error(rd->ld, n, path, "one too many; %d elements at most, those of sets included", MAX_LIST);
    if (rd->n > MAX_LIST)
        return;
    int err = rd->key->parse(rd->rule, n->text, &why);
    if (err == -ENOMEM)
        rd->ld->oom = true;
    else if (err)
        load_error(rd->ld, n, path, "%s", why.text);
}

/* A list, or one value by itself. */
static void read_values(struct rule_reader *rd, const struct node *n, const struct path *path, bool in_set)
{
    if (n->kind == NODE_SEQ && !n->n)
        load_error(rd->ld, n, path, "is empty; list what is meant, or leave the key out");
    for (unsigned i = 0; n->kind == NODE_SEQ && i < n->n; i++)
        read_value(rd, n->items[i], &(struct path){.up = path, .index = i}, in_set);
    if (n->kind != NODE_SEQ)
        read_value(rd, n, path, in_set);
}

static void unknown(struct load *ld, const struct node *key, const struct path *path,
                    const char *const *names, size_t n)
{
    const char *hint = text_closest(key->text, names, n);
    char all[160] = "";
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", i ? ", " : "", names[i]);
    if (hint)
        load_error(ld, key, path, "unknown key `%.40s`; did you mean `%s`?", key->text, hint);
    else
        load_error(ld, key, path, "unknown key `%.40s`; there are %s", key->text, all);
}

/* Whether n is a mapping (nothing at all is an empty one), each key of it there once. */
static bool is_map(struct load *ld, const struct node *n, const struct path *path, const char *of)
{
    if (n->kind != NODE_MAP) {
        if (!node_is_null(n))
            load_error(ld, n, path, "expected a mapping of %s", of);
        return false;
    }
    for (unsigned i = 0; i + 1 < n->n; i += 2)
        if (node_find(n, n->items[i]->text) != n->items[i + 1])
            load_error(ld, n->items[i], path, "`%.60s` is there twice; keep one", n->items[i]->text);
    return true;
}

static const struct policy_key *find_key(struct load *ld, const struct policy_key *keys, size_t n,
                                         const struct node *key, const struct path *path)
{
    const char *names[N_MATCH_KEYS + N_SET_KEYS];
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(key->text, keys[i].name))
            return &keys[i];
        names[i] = keys[i].name;
    }
    unknown(ld, key, path, names, n);
    return NULL;
}

/* `match` or `set`. */
static void read_keys(struct load *ld, struct policy_rule *r, const struct policy_key *keys, size_t n_keys,
                      const struct node *map, const struct path *path)
{
    if (!is_map(ld, map, path, "keys and values"))
        return;
    for (unsigned i = 0; i + 1 < map->n; i += 2) {
        const struct policy_key *k = find_key(ld, keys, n_keys, map->items[i], path);
        if (!k)
            continue;
        struct rule_reader rd = {.ld = ld, .rule = r, .key = k, .words = k->cond ? &r->words[k->cond] : NULL};
        struct path at = {.up = path, .name = k->name};
        if (k->list)
            read_values(&rd, map->items[i + 1], &at, false);
        else
            read_value(&rd, map->items[i + 1], &at, false);
    }
}

static void read_then(struct load *ld, struct policy_rule *r, const struct node *rule,
                      const struct path *path)
{
    const struct node *n = node_find(rule, "then");
    struct path at = {.up = path, .name = "then"};
    unsigned i;
    if (!n)
        load_error(ld, rule, &at, "missing; accept, reject or next");
    else if (n->kind != NODE_SCALAR || !word_in("accept reject next", n->text, &i))
        load_error(ld, n, &at, "`%.40s` is not accept, reject or next",
                   n->kind == NODE_SCALAR ? n->text : "");
    else
        r->then = (enum policy_then)i;
}

static void read_rule(struct load *ld, struct policy_rule *r, const struct node *rule,
                      const struct path *path)
{
    static const char *const names[] = {"match", "set", "then"};
    if (rule->kind != NODE_MAP) {
        load_error(ld, rule, path, "expected a rule: match, set and then");
        return;
    }
    is_map(ld, rule, path, "keys");
    for (unsigned i = 0; i + 1 < rule->n; i += 2) {
        const struct node *key = rule->items[i];
        struct path at = {.up = path, .name = key->text};
        if (!strcmp(key->text, "match"))
            read_keys(ld, r, policy_match_keys, N_MATCH_KEYS, rule->items[i + 1], &at);
        else if (!strcmp(key->text, "set"))
            read_keys(ld, r, policy_set_keys, N_SET_KEYS, rule->items[i + 1], &at);
        else if (strcmp(key->text, "then") != 0)
            unknown(ld, key, path, names, 3);
    }
    read_then(ld, r, rule, path);
    if (r->then == POLICY_REJECT && policy_rule_sets(r))
        load_error(ld, node_find(rule, "set"), &(struct path){.up = path, .name = "set"},
                   "has no effect on a route that is rejected; remove it");
}

static bool name_ok(struct load *ld, const struct node *key, const struct path *path, const char *what)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    const char *name = key->text;
    size_t n = strlen(name);
    if (word_in("all none originated", name, NULL))
        load_error(ld, key, path, "`%s` is not free for a name; it means something as import or export",
                   name);
    else if (!n || n >= POLICY_NAMELEN || strspn(name, letters) != n || !isalnum((unsigned char)*name))
        load_error(ld, key, path,
                   "`%.80s` is not the name of a %s; 1 to 63 letters, digits, `-`, `_` and `.` are", name,
                   what);
    else
        return true;
    return false;
}

static void read_policy(struct load *ld, const struct node *key, const struct node *rules,
                        const struct path *path)
{
    struct config *c = ld->config;
    struct path at = {.up = path, .name = key->text};
    if (!name_ok(ld, key, path, "policy"))
        return;
    if (rules->kind != NODE_SEQ) {
        load_error(ld, rules, &at, "expected a list of rules; [] rejects everything");
        return;
    }
    if (rules->n > POLICY_MAX_RULES) {
        load_error(ld, rules, &at, "%u rules; %d at most", rules->n, POLICY_MAX_RULES);
        return;
    }
    struct policy *p = policy_new(key->text, rules->n);
    if (!p || list_append(&c->policies, &c->n_policies, sizeof p, &p)) {
        policy_unref(p);
        ld->oom = true;
        return;
    }
    for (unsigned i = 0; i < rules->n; i++)
        read_rule(ld, &p->rules[i], rules->items[i], &(struct path){.up = &at, .index = i});
}

void config_read_policies(struct load *ld, const struct node *n, const struct path *path)
{
    if (!is_map(ld, n, path, "names to lists of rules"))
        return;
    if (n->n / 2 > MAX_POLICIES)
        load_error(ld, n, path, "%u policies; %d at most", n->n / 2, MAX_POLICIES);
    for (unsigned i = 0; i + 1 < n->n && i / 2 < MAX_POLICIES; i += 2)
        read_policy(ld, n->items[i], n->items[i + 1], path);
}

/* One set: parsed for its errors into a rule that is thrown away; its text is kept for printing. */
static void read_one_set(struct load *ld, const struct policy_key *k, const struct node *key,
                         const struct node *values, const struct path *path)
{
    struct config *c = ld->config;
    struct config_set set = {.kind = k->set};
    struct path at = {.up = path, .name = key->text};
    struct policy *scratch = policy_new("", 1);
    if (!name_ok(ld, key, path, "set")) {
        policy_unref(scratch);
        return;
    }
    set.name = strdup(key->text);
    struct rule_reader rd = {.ld = ld, .key = k, .words = &set.words};
    if (scratch && set.name) {
        rd.rule = &scratch->rules[0];
        read_values(&rd, values, &at, false);
    }
    policy_unref(scratch);
    if (!scratch || !set.name || list_append(&c->sets, &c->n_sets, sizeof set, &set))
        ld->oom = true;
}

void config_read_sets(struct load *ld, const struct node *n, const struct path *path)
{
    static const char *const names[] = {"prefixes", "communities", "as-paths"};
    if (!is_map(ld, n, path, "prefixes, communities and as-paths"))
        return;
    for (unsigned i = 0; i + 1 < n->n; i += 2) {
        const struct node *key = n->items[i], *sets = n->items[i + 1];
        const struct policy_key *k = NULL;
        for (unsigned j = 0; j < N_MATCH_KEYS; j++)
            if (policy_match_keys[j].set && !strcmp(policy_match_keys[j].set, key->text))
                k = &policy_match_keys[j];
        struct path at = {.up = path, .name = key->text};
        if (!k) {
            unknown(ld, key, path, names, 3);
        } else if (is_map(ld, sets, &at, "names to lists")) {
            if (sets->n / 2 > MAX_SETS)
                load_error(ld, sets, &at, "%u sets; %d at most", sets->n / 2, MAX_SETS);
            for (unsigned s = 0; s + 1 < sets->n && s / 2 < MAX_SETS; s += 2)
                read_one_set(ld, k, sets->items[s], sets->items[s + 1], &at);
        }
    }
}

void config_release_policies(struct config *c)
{
    for (unsigned i = 0; i < c->n_policies; i++)
        policy_unref(c->policies[i]);
    free(c->policies);
    c->policies = NULL;
    c->n_policies = 0;
}

void config_release_sets(struct config *c)
{
    for (unsigned i = 0; i < c->n_sets; i++) {
        for (unsigned w = 0; w < c->sets[i].words.n; w++)
            free(c->sets[i].words.text[w]);
        free(c->sets[i].words.text);
        free(c->sets[i].name);
    }
    free(c->sets);
    c->sets = NULL;
    c->n_sets = 0;
}

const struct policy *config_find_policy(const struct config *c, const char *name)
{
    for (unsigned i = 0; name && i < c->n_policies; i++)
        if (!strcmp(c->policies[i]->name, name))
            return c->policies[i];
    return NULL;
}
