/* Where contents and numbers of groups are kept, and how they are found: contents by their members and by
 * their kernel id, the numbers of a content by a list. Peers decide how many there are, so nothing that is
 * done for each of them walks over all. A hash that found no memory only makes a content harder to find: it
 * is written anew then. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fib/groups_internal.h"

static uint32_t hash_members(const struct groups *g, const struct member *m, unsigned n)
{
    return hash_bytes(m, n * sizeof *m, g->seed);
}

/* Ids are ours, given out one after the other. */
static uint32_t hash_id(uint32_t id)
{
    id *= 0x9e3779b1u;
    return id ^ id >> 15;
}

static bool members_hash_of(const void *arg, uint32_t i, uint32_t *hash)
{
    const struct groups *g = arg;
    const struct content *c = content_at(g, i);
    if (!c || c->dead)
        return false;
    *hash = hash_members(g, c->members, c->n_members);
    return true;
}

static bool id_hash_of(const void *arg, uint32_t i, uint32_t *hash)
{
    const struct content *c = content_at(arg, i);
    if (!c || !c->kernel_id)
        return false;
    *hash = hash_id(c->kernel_id);
    return true;
}

int contents_init(struct groups *g)
{
    if (getrandom(&g->seed, sizeof g->seed, 0) != sizeof g->seed)
        return -EIO;
    slab_init(&g->slots, sizeof(struct content_slot));
    ixhash_init(&g->by_members, members_hash_of, g);
    ixhash_init(&g->by_kernel_id, id_hash_of, g);
    return 0;
}

void contents_reset(struct groups *g)
{
    for (uint32_t i = 1; i < contents_limit(g); i++)
        free(content_at(g, i));
    ixhash_reset(&g->by_members);
    ixhash_reset(&g->by_kernel_id);
    slab_reset(&g->slots);
    free(g->numbers);
}

uint32_t content_find(const struct groups *g, const struct member *m, unsigned n)
{
    struct ixhash_probe p;
    uint32_t i = ixhash_first(&g->by_members, &p, hash_members(g, m, n));
    for (; i; i = ixhash_next(&g->by_members, &p)) {
        const struct content *c = content_at(g, i);
        if (c->n_members == n && !memcmp(c->members, m, n * sizeof *m))
            return i;
    }
    return 0;
}

uint32_t content_new(struct groups *g, const struct member *m, unsigned n)
{
    struct content *c = calloc(1, sizeof *c + 2 * n * sizeof *m);
    uint32_t i = c && g->slots.used < GROUPS_MAX_ID ? slab_alloc(&g->slots) : 0;

    if (!i) {
        free(c);
        return 0;
    }
    c->n_members = (uint16_t)n;
    c->hops = c->members + n;
    memcpy(c->members, m, n * sizeof *m);
    ((struct content_slot *)slab_at(&g->slots, i))->content = c;
    ixhash_insert(&g->by_members, hash_members(g, m, n), i);
    return i;
}

void content_free(struct groups *g, uint32_t i)
{
    struct content *c = content_at(g, i);

    content_set_kernel_id(g, i, 0);
    content_set_dead(g, i);
    free(c);
    ((struct content_slot *)slab_at(&g->slots, i))->content = NULL;
    slab_free(&g->slots, i);
}

void content_set_members(struct groups *g, uint32_t i, const struct member *m)
{
    struct content *c = content_at(g, i);

    ixhash_remove(&g->by_members, hash_members(g, c->members, c->n_members), i);
    memcpy(c->members, m, c->n_members * sizeof *m);
    ixhash_insert(&g->by_members, hash_members(g, m, c->n_members), i);
}

void content_set_kernel_id(struct groups *g, uint32_t i, uint32_t id)
{
    struct content *c = content_at(g, i);

    if (c->kernel_id)
        ixhash_remove(&g->by_kernel_id, hash_id(c->kernel_id), i);
    c->kernel_id = id;
    if (id)
        ixhash_insert(&g->by_kernel_id, hash_id(id), i);
}

void content_set_dead(struct groups *g, uint32_t i)
{
    struct content *c = content_at(g, i);

    if (!c->dead)
        ixhash_remove(&g->by_members, hash_members(g, c->members, c->n_members), i);
    c->dead = true;
}

uint32_t groups_by_kernel_id(const struct groups *g, uint32_t id)
{
    struct ixhash_probe p;
    uint32_t i = id ? ixhash_first(&g->by_kernel_id, &p, hash_id(id)) : 0;
    while (i && content_at(g, i)->kernel_id != id)
        i = ixhash_next(&g->by_kernel_id, &p);
    return i;
}

int numbers_reserve(struct groups *g, uint32_t id)
{
    if (id < g->n_numbers)
        return 0;
    uint32_t slots = g->n_numbers ? g->n_numbers : 16;
    while (slots <= id)
        slots *= 2;
    struct number *grown = realloc(g->numbers, slots * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    memset(grown + g->n_numbers, 0, (slots - g->n_numbers) * sizeof *grown);
    g->numbers = grown;
    g->n_numbers = slots;
    return 0;
}

void number_link(struct groups *g, uint32_t id, uint32_t content)
{
    struct number *n = &g->numbers[id];

    if (n->content) {
        struct content *old = content_at(g, n->content);
        if (n->prev)
            g->numbers[n->prev].next = n->next;
        else
            old->first = n->next;
        if (n->next)
            g->numbers[n->next].prev = n->prev;
        old->numbers--;
    }
    n->content = content;
    n->prev = n->next = 0;
    if (content) {
        struct content *c = content_at(g, content);
        n->next = c->first;
        if (c->first)
            g->numbers[c->first].prev = id;
        c->first = id;
        c->numbers++;
    }
}
