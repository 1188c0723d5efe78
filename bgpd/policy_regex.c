/* AS_PATH patterns by the C library's regcomp and regexec, made safe for text that a peer chooses.
 *
 * Three habits of glibc have to be kept in check. It tries a pattern at every position of the text, which is
 * quadratic: `65001.*65002` over a thousand times 65001. Behind `^.*` the same pattern is tried once and
 * finds the same. Back references make it exponential: they are refused. The states of its automaton are made
 * as the text needs them and kept for good, which a peer could make grow: after so much text the pattern is
 * compiled anew. What an operator can do to himself at load (`((1{99}){99}){99}`) is refused, too. */
#include "policy_regex.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUNDARY     "(^|[,{}() ]|$)"
#define FRESH_AFTER  65536 /* characters matched */
#define REPEATS_MOST 1000  /* all counted repetitions of a pattern, multiplied */

struct path_regex {
    char *text;
    char *compiled; /* what regcomp gets */
    regex_t re;
    size_t matched; /* since it was compiled */
    bool ready;
};

/* Characters up to the end of a bracket expression that starts at s. */
static size_t bracket_len(const char *s)
{
    size_t n = 1;
    if (s[n] == '^')
        n++;
    if (s[n] == ']')
        n++;
    while (s[n] && s[n] != ']') {
        if (s[n] == '[' && s[n + 1] && strchr(":.=", s[n + 1])) {
            const char end[] = {s[n + 1], ']', 0}, *stop = strstr(s + n + 2, end);
            if (!stop)
                return strlen(s);
            n = (size_t)(stop - s) + 1;
        }
        n++;
    }
    return n + (s[n] == ']');
}

/* The greater bound of "{2}", "{2,}", "{2,5}"; 0 when it is none. */
static unsigned long repeats(const char *s)
{
    char *end;
    unsigned long lo = strtoul(s + 1, &end, 10), hi = lo;
    if (*end == ',' && end[1] != '}')
        hi = strtoul(end + 1, &end, 10);
    return hi > lo ? hi : lo;
}

static const char *unfit(const char *pattern)
{
    unsigned long product = 1;
    for (const char *s = pattern; *s; s++) {
        if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e)
            return "contains a character that no AS path has";
        if (*s == '\\') {
            if (s[1] >= '1' && s[1] <= '9')
                return "has a back reference, which is not supported";
            s += s[1] != 0;
        } else if (*s == '[') {
            s += bracket_len(s) - 1;
        } else if (*s == '{') {
            unsigned long n = repeats(s);
            if (n > REPEATS_MOST || (n && (product *= n) > REPEATS_MOST))
                return "repeats too often; 1000 times at most, all repetitions multiplied";
        }
    }
    return NULL;
}

static char *expand(const char *pattern)
{
    char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);
    if (!f)
        return NULL;
    fputs("^.*(", f);
    for (const char *s = pattern; *s; s++) {
        size_t n = *s == '[' ? bracket_len(s) : *s == '\\' && s[1] ? 2 : 1;
        if (*s == '_')
            fputs(BOUNDARY, f);
        else
            fwrite(s, 1, n, f);
        s += n - 1;
    }
    fputc(')', f);
    if (fclose(f)) {
        free(out);
        return NULL;
    }
    return out;
}

struct path_regex *path_regex_new(const char *pattern, char *why, size_t size)
{
    const char *bad = !*pattern                          ? "is empty; ^$ is the empty path"
                      : strlen(pattern) > PATH_REGEX_MAX ? "is longer than 200 characters"
                                                         : unfit(pattern);
    regex_t alone;
    if (size)
        *why = 0;
    if (bad) {
        snprintf(why, size, "%s", bad);
        return NULL;
    }
    /* By itself first: "a)(b" is fine within parentheses. */
    int err = regcomp(&alone, pattern, REG_EXTENDED | REG_NOSUB);
    if (err) {
        regerror(err, NULL, why, size);
        return NULL;
    }
    regfree(&alone);
    struct path_regex *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->text = strdup(pattern);
    r->compiled = expand(pattern);
    err = r->text && r->compiled ? regcomp(&r->re, r->compiled, REG_EXTENDED | REG_NOSUB) : REG_ESPACE;
    r->ready = !err;
    if (err) {
        if (err != REG_ESPACE)
            regerror(err, NULL, why, size);
        path_regex_free(r);
        return NULL;
    }
    return r;
}

void path_regex_free(struct path_regex *r)
{
    if (!r)
        return;
    if (r->ready)
        regfree(&r->re);
    free(r->text);
    free(r->compiled);
    free(r);
}

const char *path_regex_text(const struct path_regex *r)
{
    return r->text;
}

bool path_regex_match(struct path_regex *r, const char *path, size_t len)
{
    if (r->ready && r->matched + len > FRESH_AFTER) {
        regfree(&r->re);
        r->ready = false;
    }
    if (!r->ready) {
        r->ready = !regcomp(&r->re, r->compiled, REG_EXTENDED | REG_NOSUB);
        r->matched = 0;
    }
    r->matched += len;
    return r->ready && !regexec(&r->re, path, 0, NULL, 0);
}
