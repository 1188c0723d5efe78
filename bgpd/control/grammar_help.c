/* What the grammar says to people: hints for what could not be parsed, candidates for completion, help, and
 * the list in the man page. All of it is read off the same table that parses, so it cannot disagree with it.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/grammar_int.h"
#include "lib/text.h"

#define EXPECTED_MAX 40

/* The distinct tokens that may come next, without the "json" that nearly everything may end in. */
static unsigned expected_tokens(const struct grammar *g, const struct match *m, const char *begin,
                                const char **out)
{
    unsigned n = 0;
    for (unsigned r = 0; r < g->n; r++)
        for (unsigned i = 0; i < g->patterns[r].n; i++) {
            const struct token *t = &g->patterns[r].tokens[i];
            bool known = !(m->expected[r] >> i & 1) || strncmp(t->text, begin, strlen(begin)) ||
                         (t->keyword && !strcmp(t->text, "json"));
            for (unsigned k = 0; k < n && !known; k++)
                known = !strcmp(out[k], t->text);
            if (!known && n < EXPECTED_MAX)
                out[n++] = t->text;
        }
    return n;
}

struct text {
    char *out;
    size_t size, n;
};

static void append(struct text *t, const char *s, const char *after)
{
    int n = snprintf(t->out + t->n, t->size - t->n, "%s%s", s, after);
    t->n += n > 0 && (size_t)n < t->size - t->n ? (size_t)n : t->size - t->n - 1;
}

static void append_list(struct text *t, const char **list, unsigned n)
{
    if (n > 1)
        append(t, "one of ", "");
    for (unsigned i = 0; i < n; i++)
        append(t, list[i], i + 1 < n ? ", " : "");
}

/* The words before number `n` as they were understood. */
static void append_words(struct text *t, const struct command *c, unsigned n)
{
    for (unsigned i = 0; i < n && i < 5; i++)
        append(t, c->words[i].name ? c->words[i].name : c->words[i].value, i + 1 < n ? " " : "");
    if (n > 5)
        append(t, "...", "");
}

static void append_word(struct text *t, const char *before, const char *word, const char *after)
{
    append(t, before, "`");
    for (unsigned i = 0; word[i] && i < 60; i++)
        append(t, (char[]){isprint((unsigned char)word[i]) ? word[i] : '?', 0}, "");
    append(t, "`", after);
}

void hint_word(const struct grammar *g, const struct match *m, const struct command *c, unsigned at,
               enum reading_result why, char *out, size_t size)
{
    const char *list[EXPECTED_MAX], *keywords[EXPECTED_MAX] = {NULL}, *word = c->words[at].value;
    struct text t = {.out = out, .size = size};
    *out = 0;
    if (why == READ_AMBIGUOUS) {
        append_word(&t, "ambiguous word ", word, ": ");
        append_list(&t, list, expected_tokens(g, m, word, list));
        return;
    }
    unsigned n = expected_tokens(g, m, "", list);
    for (unsigned i = 0; i < n; i++)
        keywords[i] = isupper((unsigned char)*list[i]) ? NULL : list[i];
    const char *guess = text_closest(word, keywords, n);
    append_word(&t, n ? "unknown word " : "unexpected word ", word, "");
    if (guess) {
        append_word(&t, "; did you mean ", guess, "?");
    } else if (n) {
        append(&t, "; expected ", "");
        append_list(&t, list, n);
    } else {
        append(&t, " after `", "");
        append_words(&t, c, at);
        append(&t, "`, which is complete", "");
    }
}

void hint_incomplete(const struct grammar *g, const struct match *m, const struct command *c, char *out,
                     size_t size)
{
    const char *list[EXPECTED_MAX];
    struct text t = {.out = out, .size = size};
    *out = 0;
    if (c->n) {
        append(&t, "incomplete command `", "");
        append_words(&t, c, c->n);
        append(&t, "`; expects ", "");
    } else {
        append(&t, "no command; expects ", "");
    }
    append_list(&t, list, expected_tokens(g, m, "", list));
}

void grammar_complete(const struct grammar *g, const char *line, void (*cb)(void *arg, const char *candidate),
                      void *arg)
{
    const char *list[EXPECTED_MAX];
    struct match m;
    struct reading as;
    char *buf = strdup(line), *save = NULL;
    size_t len = strlen(line);
    bool unfinished = len && !isspace((unsigned char)line[len - 1]), ends = false;
    const char *last = "";
    match_start(g, &m);
    for (char *w = buf ? strtok_r(buf, " \t", &save) : NULL; w; w = strtok_r(NULL, " \t", &save)) {
        if (unfinished && !*save) {
            last = w;
            break;
        }
        if (match_read(g, &m, w, &as) != READ_OK) {
            free(buf);
            return;
        }
        match_advance(g, &m, w, &as);
    }
    unsigned n = expected_tokens(g, &m, last, list);
    for (unsigned i = 0; i < n; i++)
        cb(arg, list[i]);
    for (unsigned r = 0; r < g->n && !*last; r++)
        ends |= m.ends[r];
    if (ends)
        cb(arg, "");
    free(buf);
}

bool grammar_help(const struct grammar *g, const char *words, void (*cb)(void *arg, const char *line),
                  void *arg)
{
    struct match m;
    struct reading as;
    char *buf = strdup(words), *save = NULL, line[256];
    bool any = false, fits = buf != NULL;
    match_start(g, &m);
    for (char *w = buf ? strtok_r(buf, " \t", &save) : NULL; w && fits; w = strtok_r(NULL, " \t", &save)) {
        fits = match_read(g, &m, w, &as) == READ_OK;
        if (fits)
            match_advance(g, &m, w, &as);
    }
    for (unsigned r = 0; r < g->n && fits; r++) {
        if (!m.expected[r] && !m.ends[r])
            continue;
        any = true;
        cb(arg, g->patterns[r].row->syntax);
        snprintf(line, sizeof line, "    %s", g->patterns[r].row->help);
        cb(arg, line);
    }
    free(buf);
    return any;
}

void grammar_mdoc(void (*cb)(void *arg, const char *line), void *arg)
{
    char line[256];
    for (const struct grammar_row *row = grammar_rows; row->id; row++) {
        snprintf(line, sizeof line, ".It Li \"%s\"", row->syntax);
        cb(arg, line);
        snprintf(line, sizeof line, "%c%s.", toupper((unsigned char)*row->help), row->help + 1);
        cb(arg, line);
    }
}
