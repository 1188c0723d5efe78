/* The configuration back to YAML, by the same tables that it was read with.
 *
 * Printed is what an operator would have to write today: required keys and what differs from the defaults,
 * with templates resolved into the peers. What a section prints is made first and its name put in front only
 * when there is something. Not here: comments and the order of the operator's file, which are not kept; and
 * passwords, which are hidden (config_load refuses "<hidden>", so that nobody restores a backup with that for
 * a password). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_policy.h"
#include "lib/community.h"

static void print_section(FILE *f, const struct schema_section *s, const void *base, const void *def,
                          unsigned indent);

/* In single quotes no variable is put in: of a text that looks like one and is none, or is one by now. */
static void print_verbatim(FILE *f, const char *s)
{
    fputc('\'', f);
    for (; *s; s++)
        fprintf(f, *s == '\'' ? "''" : "%c", *s);
    fputc('\'', f);
}

/* Quoted unless every YAML reader takes it for the same word. */
void config_print_text(FILE *f, const char *s)
{
    static const char *const special[] = {"null", "Null", "NULL", "yes", "no", "on",
                                          "y",    "n",    "Yes",  "No",  "On", "Off"};
    size_t plain = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-");
    bool quote = !*s || s[plain] || strchr("._-", s[0]);
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        quote |= !strcmp(s, special[i]);
    if (!quote) {
        fputs(s, f);
        return;
    }
    if (strstr(s, "${")) {
        print_verbatim(f, s);
        return;
    }
    fputc('"', f);
    for (; *s; s++)
        fprintf(f, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
    fputc('"', f);
}

static void print_value(FILE *f, const struct schema_key *k, const void *field)
{
    char buf[VALUE_STRLEN];
    config_print_text(f, k->type->format(k, field, buf, sizeof buf));
}

static void print_list(FILE *f, const struct schema_key *k, const void *base)
{
    struct list l = key_list(k, base);
    for (unsigned i = 0; i < l.n; i++) {
        fputs(i ? ", " : "", f);
        print_value(f, k, (char *)l.items + (size_t)i * k->size);
    }
}

static void print_pairs(FILE *f, const struct schema_key *k, const void *base)
{
    struct list l = key_list(k, base);
    for (unsigned i = 0; i < l.n; i++) {
        const void *item = (char *)l.items + (size_t)i * k->size;
        fputs(i ? ", " : "", f);
        print_value(f, &k->sub->keys[0], key_field(&k->sub->keys[0], item));
        fputs(": ", f);
        print_value(f, &k->sub->keys[1], key_field(&k->sub->keys[1], item));
    }
}

static void print_set(FILE *f, const struct schema_key *k, const void *base)
{
    const bool *set = key_field(k, base);
    char word[VALUE_STRLEN];
    const char *sep = "";
    for (unsigned i = 0; word_at(k->words, i, word, sizeof word); i++) {
        if (!set[i])
            continue;
        fprintf(f, "%s%s", sep, word);
        sep = ", ";
    }
}

static void print_communities(FILE *f, const struct config_communities *v)
{
    char buf[COMMUNITY_STRLEN];
    const char *sep = "";
    for (unsigned i = 0; i < v->n_standard; i++, sep = ", ")
        fprintf(f, "%s\"%s\"", sep, community_format(v->standard[i], buf));
    for (unsigned i = 0; i < v->n_large; i++, sep = ", ")
        fprintf(f, "%s\"%s\"", sep, community_format_large(v->large[i], buf));
}

/* The defaults of keepalive-time and local-asn are derived, and so is password from its file: none was
 * written. */
static struct peer_config as_written(const struct peer_config *p, uint32_t asn)
{
    struct peer_config w = *p;
    if (w.local_asn == asn)
        w.local_asn = 0;
    if (w.keepalive_time_ms == w.hold_time_ms / 3)
        w.keepalive_time_ms = 0;
    if (w.kind == PEER_BY_RANGE)
        w.passive = false; /* what it is anyway */
    if (w.password_file)
        explicit_bzero(w.password, sizeof w.password);
    return w;
}

static void print_maps(FILE *f, const struct schema_key *k, const void *base, unsigned indent)
{
    struct list l = key_list(k, base);
    void *def = calloc(1, k->size);
    if (!def || schema_defaults(k->sub, def))
        l.n = 0;
    for (unsigned i = 0; i < l.n; i++) {
        const void *item = (char *)l.items + (size_t)i * k->size;
        struct peer_config peer;
        char *text = NULL;
        size_t size;
        FILE *part = open_memstream(&text, &size);
        if (!part)
            break;
        if (k->sub == &schema_peer) {
            peer = as_written(item, ((const struct config *)base)->router.asn);
            item = &peer;
        }
        print_section(part, k->sub, item, def, indent + 4);
        if (!fclose(part) && size > indent + 4)
            fprintf(f, "%*s- %s", indent + 2, "", text + indent + 4); /* the first line, without its indent */
        free(text);
        explicit_bzero(&peer, sizeof peer);
    }
    if (def)
        schema_release(k->sub, def);
    free(def);
}

static void print_map(FILE *f, const struct schema_key *k, const void *base, const void *def, unsigned indent)
{
    char *text = NULL;
    size_t size;
    FILE *part = open_memstream(&text, &size);
    if (!part)
        return;
    print_section(part, k->sub, base, def, indent + 2);
    if (!fclose(part) && size)
        fprintf(f, "%*s%s:\n%s", indent, "", k->name, text);
    else if (!schema_equal(k, base, def)) { /* as the one value that says it in short */
        fprintf(f, "%*s%s: ", indent, "", k->name);
        print_value(f, k, key_field(k, base));
        fputc('\n', f);
    }
    free(text);
}

static void print_key(FILE *f, const struct schema_key *k, const void *base, const void *def, unsigned indent)
{
    if (k->shape == SHAPE_MAP) {
        print_map(f, k, base, def, indent);
        return;
    }
    if (k->shape == SHAPE_POLICIES || k->shape == SHAPE_SETS) {
        (k->shape == SHAPE_SETS ? config_print_sets : config_print_policies)(f, base);
        return;
    }
    bool required = k->flags & KEY_REQUIRED && k->type != &type_asn; /* which may be left to an annotation */
    if (!required && schema_equal(k, base, def))
        return;
    fprintf(f, "%*s%s:%s", indent, "", k->name,
            k->shape == SHAPE_MAPS     ? "\n"
            : k->shape == SHAPE_SCALAR ? " "
            : k->shape == SHAPE_PAIRS  ? " {"
                                       : " [");
    switch (k->shape) {
    case SHAPE_MAPS:
        print_maps(f, k, base, indent);
        return;
    case SHAPE_SCALAR:
        print_value(f, k, key_field(k, base));
        break;
    case SHAPE_LIST:
        print_list(f, k, base);
        break;
    case SHAPE_SET:
        print_set(f, k, base);
        break;
    case SHAPE_PAIRS:
        print_pairs(f, k, base);
        fputs("}\n", f);
        return;
    case SHAPE_ADD:
        print_communities(f, key_field(k, base));
        break;
    default:
        break;
    }
    fputs(k->shape == SHAPE_SCALAR ? "\n" : "]\n", f);
}

static void print_section(FILE *f, const struct schema_section *s, const void *base, const void *def,
                          unsigned indent)
{
    for (unsigned i = 0; i < s->n; i++)
        if (!(s->keys[i].flags & (KEY_NOT_YET | KEY_UNPRINTED)) && s->keys[i].shape != SHAPE_TEMPLATES)
            print_key(f, &s->keys[i], base, def, indent);
}

char *config_print(const struct config *c)
{
    char *out = NULL;
    size_t size;
    struct config *def = calloc(1, sizeof *def);
    FILE *f = open_memstream(&out, &size);
    bool bad = !def || !f || schema_defaults(&schema_root, def);
    if (!bad)
        print_section(f, &schema_root, c, def, 0);
    if ((f && fclose(f)) || bad) {
        free(out);
        out = NULL;
    }
    config_free(def);
    return out;
}
