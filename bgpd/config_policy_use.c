/* What refers to policies and peers by name, settled when the whole file is read: the `import` and `export`
 * of a peer, the peers in the conditions of a rule. And policies back to text, for `show running-config`.
 *
 * A peer's key is the same after a reload when what its policy does is the same, whatever the policy is
 * called and however it is written: nothing has to be judged or sent again then. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_policy.h"
#include "lib/text.h"

/* Across keys */

/* What the configuration calls a peer. Several may have one description. */
static bool is_called(const struct peer_config *p, const char *text)
{
    struct ip_addr a;
    struct prefix range;
    if (*p->interface && !strcmp(p->interface, text))
        return true;
    if (p->address.af && !addr_parse(text, &a) && addr_equal(&a, &p->address))
        return true;
    if (p->range.addr.af && !prefix_parse(text, false, &range) && prefix_equal(&range, &p->range))
        return true;
    return p->description && *p->description && !strcmp(p->description, text);
}

static void settle_peer(struct load *ld, struct policy_rule *r, const struct node *n, const struct path *path)
{
    bool found = false;
    for (unsigned i = 0; n->kind == NODE_SCALAR && i < ld->config->n_peers; i++) {
        const struct peer_config *p = &ld->config->peers[i];
        struct policy_peer x = {0};
        if (!is_called(p, n->text))
            continue;
        found = true;
        if (*p->interface)
            memcpy(x.interface, p->interface, sizeof x.interface);
        else
            x.range = p->range.addr.af ? p->range : prefix_host(&p->address);
        if (list_append(&r->peers, &r->n_peers, sizeof x, &x))
            ld->oom = true;
    }
    if (!found && n->kind == NODE_SCALAR && *n->text)
        load_error(ld, n, path, "no peer has `%.60s` for its address, interface, range or description",
                   n->text);
}

static void settle_rule(struct load *ld, struct policy_rule *r, const struct node *rule,
                        const struct path *path)
{
    const struct node *n = node_find(node_find(rule, "match"), "peer");
    struct path match = {.up = path, .name = "match"}, at = {.up = &match, .name = "peer"};
    if (!n)
        return;
    for (unsigned i = 0; n->kind == NODE_SEQ && i < n->n; i++)
        settle_peer(ld, r, n->items[i], &(struct path){.up = &at, .index = i});
    if (n->kind == NODE_SCALAR)
        settle_peer(ld, r, n, &at);
}

void config_check_policies(struct load *ld)
{
    const struct node *policies = node_find(ld->root, "policies");
    struct path top = {.name = "policies"};
    for (unsigned i = 0; i < ld->config->n_policies; i++) {
        struct policy *p = ld->config->policies[i];
        const struct node *rules = node_find(policies, p->name);
        struct path at = {.up = &top, .name = p->name};
        for (unsigned j = 0; rules && rules->kind == NODE_SEQ && j < p->n_rules && j < rules->n; j++)
            settle_rule(ld, &p->rules[j], rules->items[j], &(struct path){.up = &at, .index = j});
    }
}

static const struct policy *resolve(struct load *ld, const char *name, const struct node *n,
                                    const struct path *path, const char *words)
{
    const struct policy *p = config_find_policy(ld->config, name);
    if (!name || p)
        return p;
    const char *names[MAX_POLICIES + 3];
    unsigned count = 0;
    char buf[3][16];
    for (unsigned i = 0; word_at(words, i, buf[i], sizeof buf[i]); i++)
        names[count++] = buf[i];
    for (unsigned i = 0; i < ld->config->n_policies && i < MAX_POLICIES; i++)
        names[count++] = ld->config->policies[i]->name;
    const char *hint = text_closest(name, names, count);
    load_error(ld, n, path, "there is no policy `%.64s`%s%.64s%s", name,
               hint ? "; did you mean `" : "; add it to `policies`", hint ? hint : "", hint ? "`?" : "");
    return NULL;
}

void config_check_peer_policies(struct load *ld, struct peer_config *p, const struct node *import,
                                const struct node *export, const struct path *path)
{
    struct path in = {.up = path, .name = "import"}, out = {.up = path, .name = "export"};
    p->import_rules = resolve(ld, p->import_policy, import, &in, "all none");
    p->export_rules = resolve(ld, p->export_policy, export, &out, "originated all none");
    if (p->import_rules && policy_sets_next_hop_self(p->import_rules))
        load_error(ld, import, &in, "policy `%s` sets next-hop self, which only an export can do",
                   p->import_policy);
}

/* The keys `import` and `export` of a peer: a word or the name of a policy. The names lie beside them. */

static int parse_mode(const struct schema_key *k, char **name, uint32_t *mode, uint32_t by_policy,
                      const char *text, struct why *why)
{
    unsigned i;
    char *copy = NULL;
    if (word_in(k->words, text, &i)) {
        *mode = i;
    } else if (!*text || strlen(text) >= POLICY_NAMELEN) {
        return value_wrong(why, "`%.40s` is not one of: %s; nor the name of a policy", text, k->words);
    } else {
        copy = strdup(text);
        if (!copy)
            return -ENOMEM;
        *mode = by_policy;
    }
    free(*name);
    *name = copy;
    return 0;
}

static int parse_import(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    struct peer_config *p = outer_of(field, struct peer_config, import);
    uint32_t mode = p->import;
    int err = parse_mode(k, &p->import_policy, &mode, IMPORT_BY_POLICY, text, why);
    p->import = (enum import_mode)mode;
    return err;
}

static int parse_export(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    struct peer_config *p = outer_of(field, struct peer_config, export);
    uint32_t mode = p->export;
    int err = parse_mode(k, &p->export_policy, &mode, EXPORT_BY_POLICY, text, why);
    p->export = (enum export_mode)mode;
    return err;
}

static const char *format_import(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    const struct peer_config *p = outer_of(field, const struct peer_config, import);
    return p->import_policy ? p->import_policy : word_at(k->words, p->import, buf, size) ? buf : "";
}

static const char *format_export(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    const struct peer_config *p = outer_of(field, const struct peer_config, export);
    return p->export_policy ? p->export_policy : word_at(k->words, p->export, buf, size) ? buf : "";
}

static bool same_policy(const char *a, const struct policy *x, const char *b, const struct policy *y)
{
    if (x && y)
        return policy_equal(x, y);
    return a && b ? !strcmp(a, b) : a == b;
}

static bool equal_import(const void *a, const void *b)
{
    const struct peer_config *x = outer_of(a, const struct peer_config, import);
    const struct peer_config *y = outer_of(b, const struct peer_config, import);
    return x->import == y->import &&
           same_policy(x->import_policy, x->import_rules, y->import_policy, y->import_rules);
}

static bool equal_export(const void *a, const void *b)
{
    const struct peer_config *x = outer_of(a, const struct peer_config, export);
    const struct peer_config *y = outer_of(b, const struct peer_config, export);
    return x->export == y->export &&
           same_policy(x->export_policy, x->export_rules, y->export_policy, y->export_rules);
}

static void release_import(void *field)
{
    struct peer_config *p = outer_of(field, struct peer_config, import);
    free(p->import_policy);
    p->import_policy = NULL;
}

static void release_export(void *field)
{
    struct peer_config *p = outer_of(field, struct peer_config, export);
    free(p->export_policy);
    p->export_policy = NULL;
}

/* clang-format off */
const struct value_type type_import = {"all, none or the name of a policy", parse_import, format_import, equal_import, release_import};
const struct value_type type_export = {"originated, all, none or the name of a policy", parse_export, format_export, equal_export, release_export};
/* clang-format on */

/* Back to text */

struct printer {
    FILE *f;
    unsigned n;
};

static void print_item(void *arg, const struct policy_item *i)
{
    struct printer *p = arg;
    fprintf(p->f, "%s%s: %s", p->n++ ? ", " : "", i->key, i->list ? "[" : "");
    for (unsigned v = 0; v < i->n; v++) {
        fputs(v ? ", " : "", p->f);
        config_print_text(p->f, i->values[v]);
    }
    fputs(i->list ? "]" : "", p->f);
}

static void print_rule(FILE *f, const struct policy_rule *r)
{
    struct printer match = {.f = f}, set = {.f = f};
    const char *lead = "    - ";
    bool conditions = false;
    for (unsigned c = 0; c < COND_COUNT; c++)
        conditions |= r->words[c].n > 0;
    if (conditions) {
        fprintf(f, "%smatch: {", lead);
        policy_rule_match_items(r, print_item, &match);
        fputs("}\n", f);
        lead = "      ";
    }
    if (policy_rule_sets(r)) {
        fprintf(f, "%sset: {", lead);
        policy_rule_set_items(r, print_item, &set);
        fputs("}\n", f);
        lead = "      ";
    }
    fprintf(f, "%sthen: %s\n", lead, policy_then_name(r->then));
}

void config_print_policies(FILE *f, const struct config *c)
{
    for (unsigned i = 0; i < c->n_policies; i++) {
        const struct policy *p = c->policies[i];
        fprintf(f, "%s  %s:%s\n", i ? "" : "policies:\n", p->name, p->n_rules ? "" : " []");
        for (unsigned j = 0; j < p->n_rules; j++) {
            print_rule(f, &p->rules[j]);
        }
    }
}

void config_print_sets(FILE *f, const struct config *c)
{
    static const char *const kinds[] = {"prefixes", "communities", "as-paths"};
    if (c->n_sets)
        fputs("sets:\n", f);
    for (unsigned k = 0; k < 3; k++) {
        bool any = false;
        for (unsigned i = 0; i < c->n_sets; i++) {
            const struct config_set *s = &c->sets[i];
            if (strcmp(s->kind, kinds[k]) != 0)
                continue;
            if (!any)
                fprintf(f, "  %s:\n", kinds[k]);
            any = true;
            fprintf(f, "    %s: [", s->name);
            for (unsigned w = 0; w < s->words.n; w++) {
                fputs(w ? ", " : "", f);
                config_print_text(f, s->words.text[w]);
            }
            fputs("]\n", f);
        }
    }
}
