/* Matching command lines against the table, by Glushkov's construction: every word of a row's syntax is a
 * position, and three bit masks a row (which positions may come first, which may end it, which may follow
 * which) are all there is to optional parts, choices and repetition. All rows are matched side by side, word
 * by word, so that a cut-short keyword is judged against everything that could stand there.
 *
 * A word is, in this order: a keyword spelt out, an argument, the unambiguous beginning of a keyword. What an
 * argument accepts here is only its look, so that hints point at the right thing; whether a prefix has host
 * bits is for the command to say. Not here: what commands do (exec.c), and help (grammar_help.c). */
#include "control/grammar.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/grammar_int.h"

static bool accept_any(const char *w)
{
    return *w != 0;
}

static bool accept_address(const char *w)
{
    return (isxdigit((unsigned char)*w) || *w == ':') && strpbrk(w, ".:/");
}

static bool accept_number(const char *w)
{
    return *w && strspn(w, "0123456789") == strlen(w);
}

static bool accept_duration(const char *w)
{
    return *w >= '0' && *w <= '9';
}

static bool accept_community(const char *w)
{
    static const char *const names[] = {"no-export",  "no-advertise",      "no-export-subconfed",
                                        "no-peer",    "graceful-shutdown", "blackhole",
                                        "accept-own", "llgr-stale",        "no-llgr"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(w, names[i]))
            return true;
    return strchr(w, ':') != NULL;
}

static const struct {
    const char *name;
    bool (*accept)(const char *word);
} arguments[] = {
    {"PEER", accept_any},       {"POLICY", accept_any},        {"TEXT", accept_any},
    {"COMMAND", accept_any},    {"PREFIX", accept_address},    {"ADDRESS", accept_address},
    {"N", accept_number},       {"DURATION", accept_duration}, {"COMMUNITY", accept_community},
    {"SECONDS", accept_number},
};

static bool token_accepts(const struct token *t, const char *word)
{
    return !t->keyword && arguments[t->argument].accept(word);
}

/* The masks of a part of a syntax. */
struct part {
    uint32_t first, last;
    bool nullable;
};

struct compiler {
    const char *p;
    struct pattern *out;
};

static void follow_all(struct pattern *o, uint32_t from, uint32_t to)
{
    for (unsigned i = 0; i < o->n; i++)
        if (from >> i & 1)
            o->follow[i] |= to;
}

static struct part concatenate(struct pattern *o, struct part a, struct part b)
{
    follow_all(o, a.last, b.first);
    return (struct part){.first = a.first | (a.nullable ? b.first : 0),
                         .last = b.last | (b.nullable ? a.last : 0),
                         .nullable = a.nullable && b.nullable};
}

/* The table is ours: what does not fit is a bug that any run of the tests hits. */
static struct part add_token(struct pattern *o, const char *text, size_t len)
{
    if (o->n == PATTERN_MAX || len >= sizeof o->tokens->text)
        abort();
    unsigned i = o->n++;
    struct token *t = &o->tokens[i];
    bool repeat = len > 3 && !strncmp(text + len - 3, "...", 3);
    memcpy(t->text, text, repeat ? len - 3 : len);
    t->keyword = !isupper((unsigned char)*text);
    if (repeat)
        o->follow[i] = 1u << i;
    while (!t->keyword && strcmp(arguments[t->argument].name, t->text))
        if (++t->argument == sizeof arguments / sizeof *arguments)
            abort();
    return (struct part){.first = 1u << i, .last = 1u << i};
}

/* sequence := ( '[' sequence ']' '...'? | word ( '|' word )* )* */
static struct part compile_sequence(struct compiler *c)
{
    struct part all = {.nullable = true};
    while (*c->p && *c->p != ']') {
        struct part item = {0};
        if (*c->p == ' ') {
            c->p++;
            continue;
        }
        if (*c->p == '[') {
            c->p++;
            item = compile_sequence(c);
            item.nullable = true;
            c->p++;
            if (!strncmp(c->p, "...", 3)) {
                follow_all(c->out, item.last, item.first);
                c->p += 3;
            }
        } else {
            for (;;) {
                size_t len = strcspn(c->p, " []|");
                struct part word = add_token(c->out, c->p, len);
                item.first |= word.first;
                item.last |= word.last;
                c->p += len;
                if (*c->p != '|')
                    break;
                c->p++;
            }
        }
        all = concatenate(c->out, all, item);
    }
    return all;
}

struct grammar *grammar_new(void)
{
    struct grammar *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    for (const struct grammar_row *row = grammar_rows; row->id; row++) {
        struct pattern *o = &g->patterns[g->n++];
        struct compiler c = {.p = row->syntax, .out = o};
        struct part all = compile_sequence(&c);
        o->row = row;
        if (row->flags & GRAMMAR_JSON) {
            struct part json = add_token(o, "json", 4);
            json.nullable = true;
            all = concatenate(o, all, json);
        }
        o->first = all.first;
        o->last = all.last;
    }
    return g;
}

void grammar_free(struct grammar *g)
{
    free(g);
}

void match_start(const struct grammar *g, struct match *m)
{
    memset(m, 0, sizeof *m);
    for (unsigned r = 0; r < g->n; r++)
        m->expected[r] = g->patterns[r].first;
}

/* Whether a token is the one that a word was taken for. */
static bool token_is(const struct token *t, const struct reading *as, const char *word)
{
    if (as->keyword)
        return t->keyword && !strcmp(t->text, as->keyword);
    return token_accepts(t, word);
}

/* What a word means where these tokens are expected. */
enum reading_result match_read(const struct grammar *g, const struct match *m, const char *word,
                               struct reading *out)
{
    size_t len = strlen(word);
    const char *begins = NULL;
    bool argument = false, ambiguous = false;
    for (unsigned r = 0; r < g->n; r++)
        for (unsigned i = 0; m->expected[r] >> i; i++) {
            const struct token *t = &g->patterns[r].tokens[i];
            if (!(m->expected[r] >> i & 1))
                continue;
            if (!t->keyword) {
                argument |= token_accepts(t, word);
            } else if (!strcmp(t->text, word)) {
                out->keyword = t->text;
                return READ_OK;
            } else if (!strncmp(t->text, word, len)) {
                ambiguous |= begins && strcmp(begins, t->text);
                begins = t->text;
            }
        }
    out->keyword = argument ? NULL : begins;
    return argument ? READ_OK : ambiguous ? READ_AMBIGUOUS : begins ? READ_OK : READ_NONE;
}

void match_advance(const struct grammar *g, struct match *m, const char *word, const struct reading *as)
{
    for (unsigned r = 0; r < g->n; r++) {
        const struct pattern *o = &g->patterns[r];
        uint32_t next = 0;
        m->ends[r] = false;
        for (unsigned i = 0; m->expected[r] >> i; i++) {
            if (!(m->expected[r] >> i & 1) || !token_is(&o->tokens[i], as, word))
                continue;
            next |= o->follow[i];
            m->ends[r] |= o->last >> i & 1;
        }
        m->expected[r] = next;
    }
}

/* What parts words; nothing else does, so that counting and cutting agree. */
#define BLANKS " \t\r\n"

static size_t count_words(const char *line)
{
    size_t n = 0;
    for (const char *w = line + strspn(line, BLANKS); *w; w += strspn(w, BLANKS)) {
        n++;
        w += strcspn(w, BLANKS);
    }
    return n;
}

/* Cuts the line into words in place, in buf. Returns how many. */
static unsigned split_words(char *buf, struct command_word *words)
{
    unsigned n = 0;
    char *save = NULL;
    for (char *w = strtok_r(buf, BLANKS, &save); w; w = strtok_r(NULL, BLANKS, &save))
        words[n++].value = w;
    return n;
}

/* Names the words after the tokens of the row that matched. */
static void name_words(const struct pattern *o, struct command *c)
{
    uint32_t expected = o->first;
    unsigned kept = 0;
    for (unsigned k = 0; k < c->n; k++) {
        struct command_word w = c->words[k];
        struct reading as = {.keyword = w.name};
        unsigned i = 0;
        while (!(expected >> i & 1) || !token_is(&o->tokens[i], &as, w.value))
            i++;
        expected = o->follow[i];
        w.keyword = o->tokens[i].keyword;
        w.name = o->tokens[i].text;
        if ((o->row->flags & GRAMMAR_JSON) && w.keyword && !strcmp(w.name, "json"))
            c->json = true;
        else
            c->words[kept++] = w;
    }
    c->n = kept;
}

static int match_line(const struct grammar *g, struct command *c, char *error, size_t size)
{
    struct match m;
    match_start(g, &m);
    for (unsigned k = 0; k < c->n; k++) {
        struct reading as;
        enum reading_result got = match_read(g, &m, c->words[k].value, &as);
        if (got != READ_OK) {
            hint_word(g, &m, c, k, got, error, size);
            return -EINVAL;
        }
        c->words[k].name = as.keyword; /* NULL: an argument; named below, when the row is known */
        match_advance(g, &m, c->words[k].value, &as);
    }
    for (unsigned r = 0; r < g->n; r++)
        if (m.ends[r]) {
            c->row = g->patterns[r].row;
            name_words(&g->patterns[r], c);
            return 0;
        }
    hint_incomplete(g, &m, c, error, size);
    return -EINVAL;
}

int grammar_parse(const struct grammar *g, const char *line, struct command *out, char *error, size_t size)
{
    *out = (struct command){0};
    snprintf(error, size, "out of memory");
    out->buf = strdup(line);
    out->words = calloc(count_words(line) + 1, sizeof *out->words);
    if (!out->buf || !out->words) {
        command_free(out);
        return -ENOMEM;
    }
    out->n = split_words(out->buf, out->words);
    int rc = match_line(g, out, error, size);
    if (rc)
        command_free(out);
    return rc;
}

void command_free(struct command *c)
{
    free(c->words);
    free(c->buf);
    *c = (struct command){0};
}

bool command_has(const struct command *c, const char *keyword)
{
    for (unsigned i = 0; i < c->n; i++)
        if (c->words[i].keyword && !strcmp(c->words[i].name, keyword))
            return true;
    return false;
}

const char *command_arg(const struct command *c, const char *name)
{
    for (unsigned i = 0; i < c->n; i++)
        if (!c->words[i].keyword && !strcmp(c->words[i].name, name))
            return c->words[i].value;
    return NULL;
}
