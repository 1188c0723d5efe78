/* The scalars of what is advertised: communities, MED, and where a VIP is put.
 *
 * Standard and large communities share one list in the file and are two sorted sets in the struct, so that
 * two spellings of the same thing compare equal and an attribute can be built from them as they are. A MED of
 * 0 is not the absence of one, hence has_med. Not here: the prefix, which is like any other (config_value.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_int.h"
#include "lib/community.h"

static int by_value(const void *a, const void *b, void *n_words)
{
    const uint32_t *x = a, *y = b;
    for (size_t i = 0; i < *(const size_t *)n_words; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

/* Adds one value of n words to a sorted set. */
static int add_community(uint32_t **set, unsigned *count, const uint32_t *value, size_t n)
{
    for (unsigned i = 0; i < *count; i++)
        if (!memcmp(*set + i * n, value, n * sizeof *value))
            return 0;
    uint32_t *grown = realloc(*set, (*count + 1) * n * sizeof *value);
    if (!grown)
        return -ENOMEM;
    memcpy(grown + *count * n, value, n * sizeof *value);
    *set = grown;
    qsort_r(grown, ++*count, n * sizeof *value, by_value, &n);
    return 0;
}

static int parse_community(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    struct config_communities *v = field;
    uint32_t standard, large[3];
    int kind = community_parse(text, &standard, large);
    (void)k;
    if (kind == -ERANGE)
        return value_wrong(why, "`%.60s` is too large; A:B takes 65535 at most, A:B:C (large) 4294967295",
                           text);
    if (kind < 0)
        return value_wrong(why, "`%.60s` is not a community; 65000:100, 65000:1:2 and no-export are", text);
    if (kind == 1)
        return add_community(&v->standard, &v->n_standard, &standard, 1);
    uint32_t *words = (uint32_t *)v->large;
    int err = add_community(&words, &v->n_large, large, 3);
    v->large = (uint32_t(*)[3])words;
    return err;
}

static bool equal_communities(const void *a, const void *b)
{
    const struct config_communities *x = a, *y = b;
    size_t standard = x->n_standard * sizeof *x->standard, large = x->n_large * sizeof *x->large;
    return x->n_standard == y->n_standard && x->n_large == y->n_large &&
           (!standard || !memcmp(x->standard, y->standard, standard)) &&
           (!large || !memcmp(x->large, y->large, large));
}

static void release_communities(void *field)
{
    struct config_communities *v = field;
    free(v->standard);
    free(v->large);
    *v = (struct config_communities){0};
}

static int parse_med(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    int err = type_uint.parse(k, field, text, why);
    if (!err)
        outer_of(field, struct config_vip, med)->has_med = true;
    return err;
}

static const char *format_med(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    return outer_of(field, const struct config_vip, med)->has_med ? type_uint.format(k, field, buf, size)
                                                                  : "";
}

static bool equal_med(const void *a, const void *b)
{
    const struct config_vip *x = outer_of(a, const struct config_vip, med);
    const struct config_vip *y = outer_of(b, const struct config_vip, med);
    return x->has_med == y->has_med && x->med == y->med;
}

static int parse_bind(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    bool lo = !strcmp(text, "lo");
    (void)k;
    if (!lo && strcmp(text, "off") && strcmp(text, "false"))
        return value_wrong(why, "`%.40s` is not lo or off; a VIP can only be put on lo", text);
    *(bool *)field = lo;
    return 0;
}

static const char *format_bind(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    (void)k, (void)buf, (void)size;
    return *(const bool *)field ? "lo" : "off";
}

/* clang-format off */
const struct value_type type_community = {"a community", parse_community, NULL, equal_communities, release_communities};
const struct value_type type_med = {"a number", parse_med, format_med, equal_med, NULL};
const struct value_type type_bind = {"lo or off", parse_bind, format_bind, NULL, NULL};
/* clang-format on */
