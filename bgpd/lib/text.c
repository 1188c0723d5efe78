/* Durations, spelling hints, and text that is not what it should be.
 *
 * A duration always has a unit, because "hold-time: 90" has been read as seconds by some and as milliseconds
 * by others; only 0 needs none. A hint is given when a third of the word or less would have to change:
 * "holdtime" for "hold-time", but nothing at all for a word that was never meant to be one of the candidates.
 */
#include "lib/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *suffix;
    uint32_t ms;
} units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
#define N_UNITS (sizeof units / sizeof *units)

int duration_parse(const char *text, uint32_t *ms)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0)
        return -EINVAL;
    uint64_t v = 0;
    for (size_t i = 0; i < digits; i++)
        if (v <= UINT32_MAX) /* saturates: any further digit cannot make it fit again */
            v = v * 10 + (uint64_t)(text[i] - '0');
    uint64_t unit = v == 0 && !text[digits] ? 1 : 0;
    for (size_t i = 0; i < N_UNITS; i++)
        if (strcmp(text + digits, units[i].suffix) == 0)
            unit = units[i].ms;
    if (!unit)
        return -EINVAL;
    if (v * unit > UINT32_MAX)
        return -ERANGE;
    *ms = (uint32_t)(v * unit);
    return 0;
}

const char *duration_format(uint32_t ms, char buf[DURATION_STRLEN])
{
    size_t i = 0;
    if (ms == 0)
        return strcpy(buf, "0s");
    while (ms % units[i].ms)
        i++;
    snprintf(buf, DURATION_STRLEN, "%u%s", ms / units[i].ms, units[i].suffix);
    return buf;
}

#define WORD_MAX 64

static unsigned min2(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned text_distance(const char *a, const char *b)
{
    size_t na = strnlen(a, WORD_MAX), nb = strnlen(b, WORD_MAX);
    unsigned rows[3][WORD_MAX + 1]; /* the row before last, the last, and this one, in turn */
    if (na == WORD_MAX || nb == WORD_MAX)
        return ~0u;
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned *cur = rows[i % 3];
        const unsigned *last = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
        cur[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            cur[j] = min2(last[j], cur[j - 1]) + 1;
            cur[j] = min2(cur[j], last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cur[j] = min2(cur[j], before[j - 2] + 1);
        }
    }
    return rows[na % 3][nb];
}

const char *text_closest(const char *word, const char *const *candidates, size_t n)
{
    const char *best = NULL;
    unsigned least = ((unsigned)strnlen(word, WORD_MAX) + 1) / 3 + 1;
    for (size_t i = 0; i < n; i++) {
        unsigned d = candidates[i] ? text_distance(word, candidates[i]) : ~0u;
        if (d < least) {
            least = d;
            best = candidates[i];
        }
    }
    return best;
}

/* Length of the UTF-8 sequence at s, 0 when it is none (RFC 3629 section 4). */
static unsigned utf8_sequence(const unsigned char *s)
{
    static const struct {
        unsigned char first, last, second_min, second_max, length;
    } rows[] = {
        {0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (s[0] < rows[i].first || s[0] > rows[i].last)
            continue;
        if (rows[i].length > 1 && (s[1] < rows[i].second_min || s[1] > rows[i].second_max))
            return 0;
        for (unsigned k = 2; k < rows[i].length; k++)
            if ((s[k] & 0xc0) != 0x80)
                return 0;
        return rows[i].length;
    }
    return 0;
}

char *text_utf8(const char *s)
{
    char *copy = malloc(strlen(s) + 1), *p = copy;
    for (; copy && *s;) {
        unsigned n = utf8_sequence((const unsigned char *)s);
        if (n)
            memcpy(p, s, n);
        else
            *p = '?';
        p += n ? n : 1;
        s += n ? n : 1;
    }
    if (copy)
        *p = 0;
    return copy;
}
