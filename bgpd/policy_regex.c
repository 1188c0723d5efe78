/* AS_PATH patterns, against text that a peer chooses.
 *
 * The C library's regexec is no good for that: it keeps every state of its automaton that a text has led to,
 * and there are as many as a text is long. `1.{100}$` over a path of one message takes it seconds and
 * hundreds of MiB. So this is the other classical way (Thompson's): the pattern becomes a program of steps
 * that take a character or lead to other steps, and all places where a match may have got to go through the
 * text together. A character costs at most the length of the program, whatever came before it, and memory is
 * taken when the pattern is read only.
 *
 * The alphabet is that of a printed path, 16 characters, and a set of them is 16 bits. Anything else may be
 * written in a pattern and never matches. Back references need another kind of matching and are refused. */
#include "policy_regex.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MOST   2048 /* of a program */
#define REPEATS_MOST 1000

enum op { OP_SET, OP_SPLIT, OP_START, OP_END, OP_MATCH };

/* Where to go on is relative, so that a piece of a program can be moved and copied. */
struct step {
    uint8_t op;
    uint16_t set;      /* OP_SET: characters */
    int16_t to, other; /* of OP_SPLIT */
};

struct path_regex {
    char *text;
    unsigned n;
    struct step *program;
    uint32_t *seen; /* by step: when it was last reached */
    uint32_t now;
    uint16_t *active, *next, *stack;
};

static const char alphabet[] = "0123456789 ,{}()";
#define ANY    0xffff
#define BOUNDS 0xfc00

static uint16_t symbol(char c)
{
    if (c >= '0' && c <= '9')
        return (uint16_t)(1u << (c - '0'));
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (uint16_t)(1u << (at - alphabet)) : 0;
}

/* Reading a pattern */

struct reader {
    const char *s;
    unsigned depth; /* of parentheses */
    const char *wrong;
    unsigned n;
    struct step program[STEPS_MOST];
};

static void fail(struct reader *r, const char *why)
{
    if (!r->wrong)
        r->wrong = why;
}

static bool has_room(struct reader *r, unsigned more)
{
    if (r->n + more > STEPS_MOST)
        fail(r, "is too complex: too much is repeated");
    return !r->wrong;
}

static void put(struct reader *r, struct step step)
{
    if (has_room(r, 1))
        r->program[r->n++] = step;
}

/* A step in front of what starts at `at`. */
static void put_before(struct reader *r, unsigned at, struct step step)
{
    if (!has_room(r, 1))
        return;
    memmove(&r->program[at + 1], &r->program[at], (r->n - at) * sizeof step);
    r->program[at] = step;
    r->n++;
}

static struct step split(int to, int other)
{
    return (struct step){.op = OP_SPLIT, .to = (int16_t)to, .other = (int16_t)other};
}

static void put_boundary(struct reader *r)
{
    put(r, split(1, 3));
    put(r, (struct step){.op = OP_START});
    put(r, split(5, 5));
    put(r, split(1, 3));
    put(r, (struct step){.op = OP_SET, .set = BOUNDS});
    put(r, split(2, 2));
    put(r, (struct step){.op = OP_END});
}

static const struct {
    const char *name;
    int (*has)(int c);
} classes[] = {{"digit", isdigit}, {"space", isspace}, {"blank", isblank}, {"punct", ispunct},
               {"alnum", isalnum}, {"alpha", isalpha}, {"upper", isupper}, {"lower", islower},
               {"graph", isgraph}, {"print", isprint}, {"cntrl", iscntrl}, {"xdigit", isxdigit}};

/* "[:digit:]" */
static uint16_t read_class(struct reader *r)
{
    const char *end = strstr(r->s, ":]");
    uint16_t set = 0;
    for (size_t i = 0; end && i < sizeof classes / sizeof *classes; i++) {
        size_t n = strlen(classes[i].name);
        if ((size_t)(end - r->s) != n + 2 || strncmp(r->s + 2, classes[i].name, n))
            continue;
        for (const char *c = alphabet; *c; c++)
            set |= classes[i].has(*c) ? symbol(*c) : 0;
        r->s = end + 2;
        return set;
    }
    fail(r, "has a class of characters that does not exist");
    return 0;
}

static uint16_t read_range(struct reader *r)
{
    char from = *r->s++, to = from;
    uint16_t set = 0;
    if (*r->s == '-' && r->s[1] && r->s[1] != ']') {
        to = r->s[1];
        r->s += 2;
    }
    if (to < from)
        fail(r, "has a range that ends before it begins");
    for (const char *c = alphabet; *c; c++)
        set |= *c >= from && *c <= to ? symbol(*c) : 0;
    return set;
}

/* Behind the "[". */
static uint16_t read_bracket(struct reader *r)
{
    bool negated = *r->s == '^';
    uint16_t set = 0;
    r->s += negated;
    for (bool first = true; !r->wrong && *r->s && (first || *r->s != ']'); first = false) {
        if (r->s[0] == '[' && r->s[1] == ':')
            set |= read_class(r);
        else if (r->s[0] == '[' && r->s[1] && strchr(".=", r->s[1]))
            fail(r, "has a collating element, which is not supported");
        else
            set |= read_range(r);
    }
    if (!*r->s)
        fail(r, "has a [ that is not closed");
    else
        r->s++;
    return (uint16_t)(negated ? ~set : set);
}

static void read_choice(struct reader *r);

static void read_group(struct reader *r)
{
    r->depth++;
    read_choice(r);
    r->depth--;
    if (*r->s != ')')
        fail(r, "has a ( that is not closed");
    else
        r->s++;
}

static void read_escape(struct reader *r)
{
    char c = *r->s;
    if (!c)
        fail(r, "ends in a backslash");
    else if (c >= '1' && c <= '9')
        fail(r, "has a back reference, which is not supported");
    else if (isalnum((unsigned char)c) || c == '<' || c == '>' || c == '`' || c == '\'')
        fail(r, "has a backslash that is not before a special character; a boundary is _");
    else
        r->s++;
    put(r, (struct step){.op = OP_SET, .set = symbol(c)});
}

static void read_atom(struct reader *r)
{
    char c = *r->s++;
    if (c == '(')
        read_group(r);
    else if (c == '[')
        put(r, (struct step){.op = OP_SET, .set = read_bracket(r)});
    else if (c == '\\')
        read_escape(r);
    else if (c == '_')
        put_boundary(r);
    else if (c == '^')
        put(r, (struct step){.op = OP_START});
    else if (c == '$')
        put(r, (struct step){.op = OP_END});
    else if (c == ')')
        fail(r, "has a ) that was not opened");
    else if (strchr("*+?{", c))
        fail(r, "repeats nothing: a backslash makes *, +, ? and { ordinary characters");
    else if (c < 0x20 || c > 0x7e)
        fail(r, "contains a character that no AS path has");
    else
        put(r, (struct step){.op = OP_SET, .set = c == '.' ? ANY : symbol(c)});
}

static void star(struct reader *r, unsigned at)
{
    int n = (int)(r->n - at);
    put_before(r, at, split(1, n + 2));
    put(r, split(-n - 1, -n - 1));
}

/* The piece that starts at `at`, of n steps, once more. */
static void again(struct reader *r, unsigned at, unsigned n)
{
    if (!has_room(r, n))
        return;
    memcpy(&r->program[r->n], &r->program[at], n * sizeof *r->program);
    r->n += n;
}

/* At least lo times the piece at `at`, at most hi times; hi -1: any number. */
static void repeat(struct reader *r, unsigned at, int lo, int hi)
{
    unsigned n = r->n - at, copy;
    if (!hi) {
        r->n = at;
        return;
    }
    for (int i = 1; i < lo && !r->wrong; i++)
        again(r, at, n);
    for (int i = lo; (hi < 0 ? i == lo : i < hi) && !r->wrong; i++) {
        copy = r->n;
        if (i)
            again(r, at, n);
        else
            copy = at;
        if (hi < 0)
            star(r, copy);
        else
            put_before(r, copy, split(1, (int)n + 1));
        if (!i)
            at++; /* the piece has moved behind its split */
    }
}

/* "{2}", "{2,}", "{2,5}", "{,5}" */
static void read_bounds(struct reader *r, unsigned at)
{
    const char *s = r->s + 1;
    char *end;
    bool exact = true, digits = isdigit((unsigned char)*s);
    unsigned long lo = digits ? strtoul(s, &end, 10) : 0, hi = lo;
    s = digits ? end : s;
    if (*s == ',') {
        exact = false;
        s++;
        hi = isdigit((unsigned char)*s) ? strtoul(s, &end, 10) : REPEATS_MOST + 1;
        bool open = !isdigit((unsigned char)*s);
        s = open ? s : end;
        if (!open && hi > REPEATS_MOST)
            lo = hi;
    }
    if ((exact && !digits) || *s != '}')
        fail(r, "has a { that is no repetition; \\{ is the brace of an AS_SET");
    else if (lo > REPEATS_MOST)
        fail(r, "repeats too often; 1000 times at most");
    else if (hi < lo)
        fail(r, "has a repetition that ends before it begins");
    if (r->wrong)
        return;
    r->s = s + 1;
    repeat(r, at, (int)lo, hi > REPEATS_MOST ? -1 : (int)hi);
}

static void read_piece(struct reader *r)
{
    unsigned at = r->n;
    read_atom(r);
    while (!r->wrong && *r->s && strchr("*+?{", *r->s)) {
        if (*r->s == '{') {
            read_bounds(r, at);
            continue;
        }
        char c = *r->s++;
        repeat(r, at, c == '+', c == '?' ? 1 : -1);
    }
}

static void read_choice(struct reader *r)
{
    unsigned at = r->n;
    while (!r->wrong && *r->s && *r->s != '|' && (*r->s != ')' || !r->depth))
        read_piece(r);
    if (*r->s != '|' || r->wrong)
        return;
    r->s++;
    put_before(r, at, split(1, (int)(r->n - at) + 2));
    unsigned jump = r->n;
    put(r, split(0, 0));
    read_choice(r);
    if (!r->wrong)
        r->program[jump] = split((int)(r->n - jump), (int)(r->n - jump));
}

static bool read_pattern(struct reader *r, const char *pattern)
{
    r->s = pattern;
    if (!*pattern)
        fail(r, "is empty; ^$ is the empty path");
    else if (strlen(pattern) > PATH_REGEX_MAX)
        fail(r, "is longer than 200 characters");
    else
        read_choice(r);
    put(r, (struct step){.op = OP_MATCH});
    return !r->wrong;
}

static struct path_regex *keep(const struct reader *r, const char *pattern)
{
    struct path_regex *re = calloc(1, sizeof *re);
    if (!re)
        return NULL;
    re->n = r->n;
    re->text = strdup(pattern);
    re->program = calloc(r->n, sizeof *re->program);
    re->seen = calloc(r->n, sizeof *re->seen);
    re->active = calloc(r->n, sizeof *re->active);
    re->next = calloc(r->n, sizeof *re->next);
    re->stack = calloc(r->n + 2u, sizeof *re->stack);
    if (!re->text || !re->program || !re->seen || !re->active || !re->next || !re->stack) {
        path_regex_free(re);
        return NULL;
    }
    memcpy(re->program, r->program, r->n * sizeof *re->program);
    return re;
}

struct path_regex *path_regex_new(const char *pattern, char *why, size_t size)
{
    struct reader *r = calloc(1, sizeof *r);
    struct path_regex *re = NULL;
    if (size)
        *why = 0;
    if (!r)
        return NULL;
    if (read_pattern(r, pattern))
        re = keep(r, pattern);
    else
        snprintf(why, size, "%s", r->wrong);
    free(r);
    return re;
}

void path_regex_free(struct path_regex *r)
{
    if (!r)
        return;
    free(r->text);
    free(r->program);
    free(r->seen);
    free(r->active);
    free(r->next);
    free(r->stack);
    free(r);
}

const char *path_regex_text(const struct path_regex *r)
{
    return r->text;
}

/* Matching */

struct place {
    bool start, end; /* of the text */
    bool found;
    unsigned n;      /* steps that wait for a character, in `next` */
    unsigned visits; /* work done */
};

/* All that can be reached from a step without a character. What was reached before is not visited again, so
 * that there are never more on the stack than steps. */
static void reach(struct path_regex *r, struct place *p, uint16_t from)
{
    unsigned depth = 0;
    if (r->seen[from] != r->now) {
        r->seen[from] = r->now;
        r->stack[depth++] = from;
    }
    while (depth) {
        uint16_t i = r->stack[--depth];
        const struct step *s = &r->program[i];
        int to[2] = {i + 1, i + 1};
        p->visits++;
        if (s->op == OP_SET) {
            r->next[p->n++] = i;
            continue;
        }
        p->found |= s->op == OP_MATCH;
        if (s->op == OP_MATCH || (s->op == OP_START && !p->start) || (s->op == OP_END && !p->end))
            continue;
        if (s->op == OP_SPLIT) {
            to[0] = i + s->to;
            to[1] = i + s->other;
        }
        for (int k = 1; k >= 0; k--)
            if (r->seen[to[k]] != r->now) {
                r->seen[to[k]] = r->now;
                r->stack[depth++] = (uint16_t)to[k];
            }
    }
}

static void new_place(struct path_regex *r)
{
    if (!++r->now) { /* once in 4G characters */
        memset(r->seen, 0, r->n * sizeof *r->seen);
        r->now = 1;
    }
}

int path_regex_match(struct path_regex *r, const char *path, size_t len, unsigned *steps)
{
    unsigned n = 0; /* active ones */
    for (size_t i = 0; i <= len; i++) {
        struct place p = {.start = i == 0, .end = i == len, .visits = 1 + n};
        uint16_t c = i ? symbol(path[i - 1]) : 0;
        new_place(r);
        for (unsigned k = 0; k < n; k++)
            if (r->program[r->active[k]].set & c)
                reach(r, &p, (uint16_t)(r->active[k] + 1));
        reach(r, &p, 0); /* a match may begin anywhere */
        if (p.found)
            return 1;
        if (p.visits > *steps) {
            *steps = 0;
            return -E2BIG;
        }
        *steps -= p.visits;
        uint16_t *swap = r->active;
        r->active = r->next;
        r->next = swap;
        n = p.n;
    }
    return 0;
}
