/* Policies as people read them: the keys and values of a rule for `show policy` and `show running-config`,
 * and the sentence that says why a rule did not apply. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy.h"

const char *policy_cond_name(enum policy_cond c)
{
    static const char *const names[COND_COUNT] = {
        [COND_NONE] = "",         [COND_PREFIX] = "prefix",       [COND_FAMILY] = "family",
        [COND_SOURCE] = "source", [COND_PEER] = "peer",           [COND_NEXT_HOP] = "next-hop",
        [COND_ORIGIN] = "origin", [COND_COMMUNITY] = "community", [COND_AS_PATH] = "as-path",
    };
    return names[c];
}

const char *policy_then_name(enum policy_then t)
{
    static const char *const names[] = {"accept", "reject", "next"};
    return names[t];
}

/* "a, b, c", cut short with an ellipsis. */
static void join(const struct policy_words *w, char *buf, size_t size)
{
    size_t n = 0;
    buf[0] = 0;
    for (unsigned i = 0; i < w->n && n < size; i++) {
        size_t more = strlen(w->text[i]) + 2;
        if (n + more + 4 > size) {
            snprintf(buf + n, size - n, "%s...", i ? ", " : "");
            return;
        }
        n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? ", " : "", w->text[i]);
    }
}

const char *policy_miss_text(const struct policy_rule *r, enum policy_cond failed, char *buf, size_t size)
{
    static const char *const said[COND_COUNT] = {
        [COND_PREFIX] = "the prefix is not in",      [COND_FAMILY] = "the family is not",
        [COND_SOURCE] = "the source is not",         [COND_PEER] = "not from peer",
        [COND_NEXT_HOP] = "the next hop is not in",  [COND_ORIGIN] = "the origin is not",
        [COND_COMMUNITY] = "not present: community", [COND_AS_PATH] = "the AS path does not match",
    };
    char words[160];
    if (failed == COND_NONE) {
        snprintf(buf, size, "applies");
        return buf;
    }
    join(&r->words[failed], words, sizeof words);
    snprintf(buf, size, "%s %s", said[failed], words);
    return buf;
}

typedef void item_fn(void *arg, const struct policy_item *i);

void policy_rule_match_items(const struct policy_rule *r, item_fn *item, void *arg)
{
    for (enum policy_cond c = COND_PREFIX; c < COND_COUNT; c++)
        if (r->words[c].n)
            item(arg, &(struct policy_item){.key = policy_cond_name(c),
                                            .list = true,
                                            .values = (const char *const *)r->words[c].text,
                                            .n = r->words[c].n});
}

static void put_one(item_fn *item, void *arg, const char *key, const char *value)
{
    item(arg, &(struct policy_item){.key = key, .values = &value, .n = 1});
}

static void put_number(item_fn *item, void *arg, const char *key, uint32_t v)
{
    char text[16];
    snprintf(text, sizeof text, "%" PRIu32, v);
    put_one(item, arg, key, text);
}

static void put_communities(item_fn *item, void *arg, const char *key, const struct community_pattern *list,
                            unsigned n)
{
    char text[POLICY_MAX_COMMUNITIES][COMMUNITY_PATTERN_STRLEN];
    const char *values[POLICY_MAX_COMMUNITIES];
    for (unsigned i = 0; i < n && i < POLICY_MAX_COMMUNITIES; i++)
        values[i] = community_pattern_format(&list[i], text[i]);
    item(arg, &(struct policy_item){.key = key, .list = true, .values = values, .n = n});
}

void policy_rule_set_items(const struct policy_rule *r, item_fn *item, void *arg)
{
    static const char *const origins[] = {"igp", "egp", "incomplete"};
    char text[ADDR_STRLEN];
    if (r->has_local_pref)
        put_number(item, arg, "local-pref", r->local_pref);
    if (r->has_med)
        put_number(item, arg, "med", r->med);
    if (r->no_med)
        put_one(item, arg, "med", "none");
    if (r->has_origin)
        put_one(item, arg, "origin", origins[r->origin]);
    if (r->next_hop_self)
        put_one(item, arg, "next-hop", "self");
    if (r->next_hop.af)
        put_one(item, arg, "next-hop", addr_format(&r->next_hop, text));
    if (r->replaces)
        put_communities(item, arg, "community-replace", r->replace, r->n_replace);
    if (r->n_remove)
        put_communities(item, arg, "community-remove", r->remove, r->n_remove);
    if (r->n_add)
        put_communities(item, arg, "community-add", r->add, r->n_add);
    if (r->prepend)
        put_number(item, arg, "prepend", r->prepend);
    if (r->weight)
        put_number(item, arg, "weight", r->weight);
}
