/* A set of dense indices as a bitmap of two levels.
 *
 * The queues of a BGP speaker hold "this prefix changed", not "this is the change": setting a bit twice is
 * one entry, the set cannot outgrow the table, and a consumer that walks with a cursor sees members set
 * behind it on its next round. The summary has one bit a word of the map, set when the word is not zero, so
 * that a walk over a sparse set of a million indices looks at 256 summary words at most.
 *
 * A word whose summary bit is clear is not even initialised. So a set that grows touches its summary only,
 * and the few prefixes that go to hundreds of peers cost each of them a page or two, whatever else is in the
 * table.
 *
 * Not here: order of arrival. A walk goes up by index. */
#include "lib/dirty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int grow(struct dirty *d, uint32_t need_words)
{
    uint64_t words = d->words ? d->words : 64;
    while (words < need_words)
        words *= 2;
    uint64_t *bits = realloc(d->bits, words * sizeof *bits);
    if (!bits)
        return -ENOMEM;
    d->bits = bits; /* still good for d->words when the next step fails */
    uint64_t *summary = realloc(d->summary, words / 64 * sizeof *summary);
    if (!summary)
        return -ENOMEM;
    d->summary = summary;
    memset(summary + d->words / 64, 0, (words - d->words) / 64 * sizeof *summary);
    d->words = (uint32_t)words;
    return 0;
}

/* Word w of the map, which must be there. */
static uint64_t word(const struct dirty *d, uint32_t w)
{
    return d->summary[w / 64] >> (w % 64) & 1 ? d->bits[w] : 0;
}

static void set_word(struct dirty *d, uint32_t w, uint64_t bits)
{
    uint64_t bit = 1ull << (w % 64);
    d->bits[w] = bits;
    d->summary[w / 64] = bits ? d->summary[w / 64] | bit : d->summary[w / 64] & ~bit;
}

int dirty_set(struct dirty *d, uint32_t i)
{
    uint32_t w = i / 64;
    if (i == DIRTY_NONE || (w >= d->words && grow(d, w + 1)))
        return -ENOMEM;
    uint64_t bit = 1ull << (i % 64), old = word(d, w);
    d->count += !(old & bit);
    set_word(d, w, old | bit);
    return 0;
}

void dirty_clear(struct dirty *d, uint32_t i)
{
    if (!dirty_test(d, i))
        return;
    set_word(d, i / 64, d->bits[i / 64] & ~(1ull << (i % 64)));
    d->count--;
}

bool dirty_test(const struct dirty *d, uint32_t i)
{
    return i / 64 < d->words && (word(d, i / 64) >> (i % 64) & 1);
}

/* The lowest set bit >= from of a bitmap of `words` words, or UINT32_MAX. */
static uint32_t next_bit(const uint64_t *map, uint32_t words, uint32_t from)
{
    uint32_t w = from / 64;
    if (w >= words)
        return UINT32_MAX;
    uint64_t rest = map[w] & (~0ull << (from % 64));
    while (!rest) {
        if (++w == words)
            return UINT32_MAX;
        rest = map[w];
    }
    return w * 64 + (uint32_t)__builtin_ctzll(rest);
}

uint32_t dirty_next(const struct dirty *d, uint32_t from)
{
    uint32_t w = from / 64;
    if (!d->count || w >= d->words)
        return DIRTY_NONE;
    uint64_t rest = word(d, w) & (~0ull << (from % 64));
    if (!rest) {
        w = next_bit(d->summary, d->words / 64, w + 1);
        if (w == UINT32_MAX)
            return DIRTY_NONE;
        rest = d->bits[w];
    }
    return w * 64 + (uint32_t)__builtin_ctzll(rest);
}

int dirty_fill(struct dirty *d, uint32_t n)
{
    if (!n)
        return 0;
    /* From the top, so that the set grows once, or nothing of it changes. */
    int err = dirty_set(d, n - 1);
    if (err)
        return err;
    uint32_t whole = n / 64;
    for (uint32_t w = 0; w < whole; w++) {
        d->count += 64 - (uint32_t)__builtin_popcountll(word(d, w));
        set_word(d, w, ~0ull);
    }
    for (uint32_t i = whole * 64; i < n; i++)
        dirty_set(d, i); /* cannot fail: the word is there */
    return 0;
}

void dirty_reset(struct dirty *d)
{
    free(d->bits);
    free(d->summary);
    *d = (struct dirty){0};
}

uint64_t dirty_memory(const struct dirty *d)
{
    return d->words * sizeof *d->bits + d->words / 64 * sizeof *d->summary;
}
