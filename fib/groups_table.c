/* Where contents and numbers of groups are kept, and how they are found: contents by their set, by their
 * kernel id and by the next hops that they name, the numbers of a content by a list. Peers decide how many
 * there are, so nothing that is done for each of them walks over all. A hash that found no memory only makes
 * a content harder to find: it is written anew then. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fib/groups_internal.h"
#include "fib/nexthops.h"

static uint32_t hash_set(const struct groups *g, const struct group_set *s)
{
    return hash_bytes(s->members, set_size(s) * sizeof *s->members, g->seed ^ s->n_backups);
}

/* Ids are ours, given out one after the other. */
static uint32_t hash_id(uint32_t id)
{
    id *= 0x9e3779b1u;
    return id ^ id >> 15;
}

static bool set_hash_of(const void *arg, uint32_t i, uint32_t *hash)
{
    const struct groups *g = arg;
    const struct content *c = content_at(g, i);
    if (!c || c->dead || c->adopted)
        return false;
    *hash = hash_set(g, c->set);
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
    g->serial = (uint8_t)g->seed;
    slab_init(&g->slots, sizeof(struct content_slot));
    ixhash_init(&g->by_set, set_hash_of, g);
    ixhash_init(&g->by_kernel_id, id_hash_of, g);
    return 0;
}

static void free_memory(struct content *c)
{
    if (!c)
        return;
    free(c->hops);
    free(c->set);
    free(c->naming);
    free(c);
}

void contents_reset(struct groups *g)
{
    for (uint32_t i = 1; i < contents_limit(g); i++)
        free_memory(content_at(g, i));
    ixhash_reset(&g->by_set);
    ixhash_reset(&g->by_kernel_id);
    slab_reset(&g->slots);
    free(g->named);
    free(g->numbers);
}

/* The list of a next hop is one of places: the content's index, and which member of it. */
#define PLACE_BITS 6
_Static_assert(FM_GROUP_MEMBERS <= 1 << PLACE_BITS && GROUPS_MAX_ID < 1u << (32 - PLACE_BITS), "places fit");

static struct list_link *naming_at(const struct groups *g, uint32_t place)
{
    return &content_at(g, place >> PLACE_BITS)->naming[place & ((1u << PLACE_BITS) - 1)];
}

static int reserve_named(struct groups *g, const struct group_set *s)
{
    uint32_t most = 0, slots = g->n_named ? g->n_named : 16;

    for (unsigned k = 0; k < set_size(s); k++)
        most = s->members[k].item > most ? s->members[k].item : most;
    if (most < g->n_named)
        return 0;
    while (slots <= most)
        slots *= 2;
    uint32_t *grown = realloc(g->named, slots * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    memset(grown + g->n_named, 0, (slots - g->n_named) * sizeof *grown);
    g->named = grown;
    g->n_named = slots;
    return 0;
}

static void link_naming(struct groups *g, uint32_t i)
{
    const struct content *c = content_at(g, i);

    for (unsigned k = 0; k < set_size(c->set); k++) {
        uint32_t place = i << PLACE_BITS | k, *head = &g->named[c->set->members[k].item];
        c->naming[k] = (struct list_link){0, *head};
        if (*head)
            naming_at(g, *head)->prev = place;
        *head = place;
    }
}

static void unlink_naming(struct groups *g, uint32_t i)
{
    const struct content *c = content_at(g, i);

    for (unsigned k = 0; k < set_size(c->set); k++) {
        const struct list_link l = c->naming[k];
        if (l.prev)
            naming_at(g, l.prev)->next = l.next;
        else
            g->named[c->set->members[k].item] = l.next;
        if (l.next)
            naming_at(g, l.next)->prev = l.prev;
    }
}

void groups_stale(struct groups *g, uint32_t nexthop)
{
    for (uint32_t place = nexthop < g->n_named ? g->named[nexthop] : 0; place;
         place = naming_at(g, place)->next)
        content_set_stale(g, place >> PLACE_BITS, true);
}

uint32_t content_find(const struct groups *g, const struct group_set *s)
{
    struct ixhash_probe p;
    uint32_t i = ixhash_first(&g->by_set, &p, hash_set(g, s));
    for (; i; i = ixhash_next(&g->by_set, &p)) {
        const struct group_set *other = content_at(g, i)->set;
        if (other->n_members == s->n_members && other->n_backups == s->n_backups &&
            !memcmp(other->members, s->members, set_size(s) * sizeof *s->members))
            return i;
    }
    return 0;
}

static bool any_ipv4(const struct groups *g, const struct group_set *s)
{
    for (unsigned i = 0; i < set_size(s); i++)
        if (nexthops_state(g->f->nexthops, s->members[i].item)->nexthop.af == AF_INET)
            return true;
    return false;
}

void set_unref(struct groups *g, const struct group_set *s)
{
    for (unsigned i = 0; i < set_size(s); i++)
        nexthops_unref(g->f->nexthops, s->members[i].item);
}

int set_compare_members(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return (x->item > y->item) - (x->item < y->item);
}

/* Of the size that it needs. */
static struct group_set *copy_set(const struct group_set *s)
{
    size_t size = offsetof(struct group_set, members) + set_size(s) * sizeof *s->members;
    struct group_set *copy = malloc(size);
    if (copy)
        memcpy(copy, s, size);
    return copy;
}

static void take_off(struct groups *g, uint32_t i)
{
    struct content *c = content_at(g, i);

    if (c->dead)
        return;
    if (!c->adopted)
        ixhash_remove(&g->by_set, hash_set(g, c->set), i);
    g->n_adopted -= c->adopted;
    c->adopted = false;
    unlink_naming(g, i);
}

int content_redefine(struct groups *g, uint32_t i, const struct group_set *s)
{
    struct content *c = content_at(g, i);
    struct group_set *set = copy_set(s), *old = c->set;
    struct list_link *naming = calloc(set_size(s), sizeof *naming);

    if (!set || !naming || reserve_named(g, s)) {
        free(set);
        free(naming);
        return -ENOMEM;
    }
    take_off(g, i);
    free(c->naming);
    c->set = set;
    c->naming = naming;
    c->has_ipv4 = any_ipv4(g, s);
    link_naming(g, i);
    ixhash_insert(&g->by_set, hash_set(g, s), i);
    set_unref(g, old);
    free(old);
    return 0;
}

uint32_t content_new_adopted(struct groups *g)
{
    static const struct group_set empty;
    struct content *c = calloc(1, sizeof *c);
    uint32_t i = c && g->slots.used < GROUPS_MAX_ID ? slab_alloc(&g->slots) : 0;

    if (!i || !(c->set = copy_set(&empty))) {
        free(c);
        if (i)
            slab_free(&g->slots, i);
        return 0;
    }
    c->adopted = true;
    g->n_adopted++;
    ((struct content_slot *)slab_at(&g->slots, i))->content = c;
    return i;
}

uint32_t content_new(struct groups *g, const struct group_set *s)
{
    uint32_t i = content_new_adopted(g);

    if (i && content_redefine(g, i, s)) {
        content_free(g, i);
        i = 0;
    }
    return i;
}

void content_free(struct groups *g, uint32_t i)
{
    struct content *c = content_at(g, i);

    content_set_stale(g, i, false);
    content_set_refused(g, i, false);
    content_set_kernel_id(g, i, 0);
    content_set_dead(g, i);
    free_memory(c);
    ((struct content_slot *)slab_at(&g->slots, i))->content = NULL;
    slab_free(&g->slots, i);
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
    take_off(g, i);
    content_at(g, i)->dead = true;
}

int content_reserve_hops(struct content *c, unsigned n)
{
    if (n <= c->room_hops)
        return 0;
    struct member *grown = realloc(c->hops, n * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    c->hops = grown;
    c->room_hops = (uint16_t)n;
    return 0;
}

void content_set_stale(struct groups *g, uint32_t i, bool stale)
{
    struct content *c = content_at(g, i);
    struct list_link *l = &c->stale_link;

    if (c->stale == stale)
        return;
    c->stale = stale;
    if (stale) {
        *l = (struct list_link){g->stale_last, 0};
        *(l->prev ? &content_at(g, l->prev)->stale_link.next : &g->stale_first) = i;
        g->stale_last = i;
    } else {
        *(l->prev ? &content_at(g, l->prev)->stale_link.next : &g->stale_first) = l->next;
        *(l->next ? &content_at(g, l->next)->stale_link.prev : &g->stale_last) = l->prev;
    }
}

void content_set_refused(struct groups *g, uint32_t i, bool refused)
{
    struct content *c = content_at(g, i);

    g->n_refused += refused - c->refused;
    c->refused = refused;
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
