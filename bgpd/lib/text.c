/* Durations and spelling hints.
 *
 * A duration always has a unit, because "hold-time: 90" has been read as seconds by some and as milliseconds
 * by others; only 0 needs none. A hint is given when a third of the word or less would have to change:
 * "holdtime" for "hold-time", but nothing at all for a word that was never meant to be one of the candidates.
 */
#include "lib/text.h"

#include <errno.h>
#include <stdio.h>
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
