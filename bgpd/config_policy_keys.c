/* What may stand in `match` and in `set` of a rule, and how a value becomes part of the compiled rule. A
 * parser gets one value or one element of a list, and says in a sentence what is wrong with it; file, line
 * and key are put in front by config_policy.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_policy.h"

#define MAX_PREPEND 16

int list_append(void *list, unsigned *n, size_t size, const void *item)
{
    void *items;
    memcpy(&items, list, sizeof items);
    void *grown = reallocarray(items, *n + 1, size);
    if (!grown)
        return -ENOMEM;
    memcpy((char *)grown + *n * size, item, size);
    memcpy(list, &grown, sizeof grown);
    ++*n;
    return 0;
}

int words_append(struct policy_words *w, const char *text)
{
    char *copy = strdup(text);
    int err = copy ? list_append(&w->text, &w->n, sizeof copy, &copy) : -ENOMEM;
    if (err)
        free(copy);
    return err;
}

/* Values of `match` */

static bool read_length(const char *text, unsigned *out)
{
    size_t n = strlen(text);
    if (!n || n > 3 || strspn(text, "0123456789") != n)
        return false;
    *out = (unsigned)atoi(text);
    return true;
}

static int parse_range(const char *text, struct prefix_range *r, struct why *why)
{
    char buf[PREFIX_STRLEN], copy[128], *save = NULL;
    snprintf(copy, sizeof copy, "%s", text);
    const char *word = strtok_r(copy, " ", &save);
    int err = word ? prefix_parse(word, false, &r->prefix) : -EINVAL;
    if (err == -EADDRNOTAVAIL)
        return value_wrong(why, "%.60s has host bits set; did you mean %s?", word,
                           prefix_format(&r->prefix, buf));
    if (err == -ERANGE)
        return value_wrong(why, "`%.60s` is too long a prefix; /32 is the limit of IPv4, /128 of IPv6", word);
    if (err)
        return value_wrong(why,
                           "`%.60s` is not a prefix; `10.0.0.0/8`, `10.0.0.0/8 le 24` and `::/0 ge 48 "
                           "le 64` are",
                           text);
    unsigned bits = family_bits(addr_family(&r->prefix.addr)), ge = 0, le = 0, v;
    bool has_ge = false, has_le = false;
    while ((word = strtok_r(NULL, " ", &save))) {
        bool is_ge = !strcmp(word, "ge"), again = is_ge ? has_ge : has_le;
        const char *number = strtok_r(NULL, " ", &save);
        if ((!is_ge && strcmp(word, "le") != 0) || again || !number || !read_length(number, &v))
            return value_wrong(why, "`%.60s`: after the prefix come `ge N`, `le N` or both", text);
        *(is_ge ? &ge : &le) = v;
        *(is_ge ? &has_ge : &has_le) = true;
    }
    if (!has_ge)
        ge = r->prefix.len;
    if (!has_le)
        le = has_ge ? bits : r->prefix.len;
    if (ge < r->prefix.len || le < ge || le > bits)
        return value_wrong(why, "`%.60s` matches nothing; the lengths are %u <= ge <= le <= %u", text,
                           r->prefix.len, bits);
    r->ge = (uint8_t)ge;
    r->le = (uint8_t)le;
    return 0;
}

static int match_prefix(struct policy_rule *r, const char *text, struct why *why)
{
    struct prefix_range x = {0};
    int err = parse_range(text, &x, why);
    return err ? err : list_append(&r->prefixes, &r->n_prefixes, sizeof x, &x);
}

static int parse_pattern(const char *text, bool wildcard, struct community_pattern *p, struct why *why)
{
    switch (community_pattern_parse(text, wildcard, p)) {
    case 0:
        return 0;
    case -ERANGE:
        return value_wrong(why, "`%.60s` has a number too large for its place; A:B takes 65535 at most",
                           text);
    case -EDOM:
        return value_wrong(why, "`%.60s`: `*` cannot be set, only matched and removed", text);
    default:
        return value_wrong(why,
                           "`%.60s` is not a community; 65000:100, no-export, 65000:1:2 and rt:65000:1 are%s",
                           text, wildcard ? ", and 65000:*" : "");
    }
}

static int match_community(struct policy_rule *r, const char *text, struct why *why)
{
    struct community_pattern p;
    int err = parse_pattern(text, true, &p, why);
    return err ? err : list_append(&r->communities, &r->n_communities, sizeof p, &p);
}

static int match_as_path(struct policy_rule *r, const char *text, struct why *why)
{
    char wrong[120];
    struct path_regex *re = path_regex_new(text, wrong, sizeof wrong);
    if (!re)
        return *wrong ? value_wrong(why, "`%.60s` is not a regular expression for AS paths: %s", text, wrong)
                      : -ENOMEM;
    int err = list_append(&r->paths, &r->n_paths, sizeof re, &re);
    if (err)
        path_regex_free(re);
    return err;
}

static int match_next_hop(struct policy_rule *r, const char *text, struct why *why)
{
    struct prefix p;
    char buf[PREFIX_STRLEN];
    int err = prefix_parse(text, true, &p);
    if (err == -EADDRNOTAVAIL)
        return value_wrong(why, "%.60s has host bits set; did you mean %s?", text, prefix_format(&p, buf));
    if (err)
        return value_wrong(why, "`%.60s` is neither an address nor a prefix", text);
    return list_append(&r->next_hops, &r->n_next_hops, sizeof p, &p);
}

static int match_word(uint8_t *set, const char *words, const char *text, struct why *why)
{
    unsigned i;
    if (!word_in(words, text, &i))
        return value_wrong(why, "`%.40s` is not one of: %s", text, words);
    *set = (uint8_t)(*set | 1u << i);
    return 0;
}

static int match_family(struct policy_rule *r, const char *text, struct why *why)
{
    return match_word(&r->families, "ipv4 ipv6", text, why);
}

static int match_source(struct policy_rule *r, const char *text, struct why *why)
{
    return match_word(&r->sources, POLICY_SOURCE_WORDS, text, why);
}

static int match_origin(struct policy_rule *r, const char *text, struct why *why)
{
    return match_word(&r->origins, "igp egp incomplete", text, why);
}

static int match_peer(struct policy_rule *r, const char *text, struct why *why)
{
    (void)r;
    return *text ? 0 : value_wrong(why, "empty; the address or description of a peer");
}

/* clang-format off */
const struct policy_key policy_match_keys[] = {
    {"prefix", "prefixes", COND_PREFIX, true, match_prefix},
    {"community", "communities", COND_COMMUNITY, true, match_community},
    {"as-path", "as-paths", COND_AS_PATH, true, match_as_path},
    {"next-hop", NULL, COND_NEXT_HOP, true, match_next_hop},
    {"peer", NULL, COND_PEER, true, match_peer},
    {"family", NULL, COND_FAMILY, true, match_family},
    {"origin", NULL, COND_ORIGIN, true, match_origin},
    {"source", NULL, COND_SOURCE, true, match_source},
};
/* clang-format on */
_Static_assert(sizeof policy_match_keys / sizeof *policy_match_keys == N_MATCH_KEYS, "all of them");

/* Values of `set` */

static int number(const char *text, uint32_t lo, uint32_t hi, uint32_t *out, struct why *why)
{
    const struct schema_key k = {.size = sizeof *out, .min = lo, .max = hi};
    return type_uint.parse(&k, out, text, why);
}

static int set_local_pref(struct policy_rule *r, const char *text, struct why *why)
{
    r->has_local_pref = true;
    return number(text, 0, UINT32_MAX, &r->local_pref, why);
}

static int set_med(struct policy_rule *r, const char *text, struct why *why)
{
    r->no_med = !strcmp(text, "none");
    r->has_med = !r->no_med;
    return r->no_med ? 0 : number(text, 0, UINT32_MAX, &r->med, why);
}

static int set_origin(struct policy_rule *r, const char *text, struct why *why)
{
    unsigned i;
    if (!word_in("igp egp incomplete", text, &i))
        return value_wrong(why, "`%.40s` is not igp, egp or incomplete", text);
    r->has_origin = true;
    r->origin = (uint8_t)i;
    return 0;
}

static int set_next_hop(struct policy_rule *r, const char *text, struct why *why)
{
    r->next_hop_self = !strcmp(text, "self");
    return r->next_hop_self ? 0 : type_addr.parse(NULL, &r->next_hop, text, why);
}

static int set_prepend(struct policy_rule *r, const char *text, struct why *why)
{
    uint32_t n = 0;
    int err = number(text, 1, MAX_PREPEND, &n, why);
    r->prepend = (uint8_t)n;
    return err;
}

static int set_weight(struct policy_rule *r, const char *text, struct why *why)
{
    return number(text, 1, ATTR_WEIGHT_MOST, &r->weight, why);
}

static int set_list(struct community_pattern **list, unsigned *n, const char *text, bool wildcard,
                    struct why *why)
{
    struct community_pattern p;
    int err = parse_pattern(text, wildcard, &p, why);
    if (!err && *n == POLICY_MAX_COMMUNITIES)
        return value_wrong(why, "one too many; %d communities at most", POLICY_MAX_COMMUNITIES);
    return err ? err : list_append(list, n, sizeof p, &p);
}

static int set_add(struct policy_rule *r, const char *text, struct why *why)
{
    return set_list(&r->add, &r->n_add, text, false, why);
}

static int set_remove(struct policy_rule *r, const char *text, struct why *why)
{
    return set_list(&r->remove, &r->n_remove, text, true, why);
}

static int set_replace(struct policy_rule *r, const char *text, struct why *why)
{
    r->replaces = true;
    return set_list(&r->replace, &r->n_replace, text, false, why);
}

/* clang-format off */
const struct policy_key policy_set_keys[] = {
    {"local-pref", NULL, COND_NONE, false, set_local_pref},
    {"med", NULL, COND_NONE, false, set_med},
    {"origin", NULL, COND_NONE, false, set_origin},
    {"next-hop", NULL, COND_NONE, false, set_next_hop},
    {"community-add", "communities", COND_NONE, true, set_add},
    {"community-remove", "communities", COND_NONE, true, set_remove},
    {"community-replace", "communities", COND_NONE, true, set_replace},
    {"prepend", NULL, COND_NONE, false, set_prepend},
    {"weight", NULL, COND_NONE, false, set_weight},
};
/* clang-format on */
_Static_assert(sizeof policy_set_keys / sizeof *policy_set_keys == N_SET_KEYS, "all of them");
