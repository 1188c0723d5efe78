/* A direct-mapped cache from raw attribute bytes to interned attributes. Routers send the same block again
 * and again: the routes of one origin do not fit one UPDATE, a table is sent again after a refresh, and
 * withdrawals come back. A hit costs one hash and one memcmp instead of parsing, sorting and interning. Never
 * more than its slots, each with a copy of at most MAX_BLOCK bytes; longer blocks are not remembered. Only
 * blocks without any offence are stored (update.c sees to that), so that every offence is seen, counted and
 * logged each time. */
#include "wire/update_cache.h"

#include <stdlib.h>
#include <sys/random.h>

#define MAX_BLOCK 512

struct slot {
    const struct attr *attr; /* NULL: empty */
    uint8_t *raw;
    uint32_t hash;
    uint16_t attr_len, head_len, room;
};

struct update_cache {
    uint32_t mask, seed;
    struct slot slots[];
};

struct update_cache *update_cache_new(unsigned slots)
{
    unsigned n = 1;
    while (n < slots)
        n *= 2;
    struct update_cache *c = calloc(1, sizeof *c + n * sizeof *c->slots);
    if (!c)
        return NULL;
    c->mask = n - 1;
    if (getrandom(&c->seed, sizeof c->seed, 0) != sizeof c->seed) {
        free(c);
        return NULL;
    }
    return c;
}

void update_cache_free(struct update_cache *c, struct attr_table *attrs)
{
    if (!c)
        return;
    for (uint32_t i = 0; i <= c->mask; i++) {
        attr_unref(attrs, c->slots[i].attr);
        free(c->slots[i].raw);
    }
    free(c);
}

const struct attr *update_cache_find(const struct update_cache *c, struct update_cache_key *k)
{
    k->hash = c->seed;
    for (unsigned i = 0; i < k->n; i++)
        k->hash = hash_bytes(k->piece[i].p, k->piece[i].len, k->hash);
    const struct slot *s = &c->slots[k->hash & c->mask];
    if (!s->attr || s->hash != k->hash || s->attr_len != k->attr_len || s->head_len != k->head_len)
        return NULL;
    const uint8_t *raw = s->raw;
    for (unsigned i = 0; i < k->n; i++) {
        if (memcmp(raw, k->piece[i].p, k->piece[i].len))
            return NULL;
        raw += k->piece[i].len;
    }
    return s->attr;
}

void update_cache_store(struct update_cache *c, struct attr_table *t, const struct update_cache_key *k,
                        const struct attr *a)
{
    struct slot *s = &c->slots[k->hash & c->mask];
    size_t len = k->attr_len + k->head_len;
    if (len > MAX_BLOCK)
        return;
    if (len > s->room) {
        uint8_t *raw = realloc(s->raw, len);
        if (!raw)
            return;
        s->raw = raw;
        s->room = (uint16_t)len;
    }
    uint8_t *o = s->raw;
    for (unsigned i = 0; i < k->n; i++) {
        memcpy(o, k->piece[i].p, k->piece[i].len);
        o += k->piece[i].len;
    }
    const struct attr *old = s->attr;
    s->attr = attr_ref(a);
    s->hash = k->hash;
    s->attr_len = (uint16_t)k->attr_len;
    s->head_len = (uint16_t)k->head_len;
    attr_unref(t, old);
}
