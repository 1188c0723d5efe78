/* Sources of paths: the node itself, number 0, and the peers.
 *
 * A session that ends may leave a million paths. They are not walked: the peer's generation moves on, which
 * makes them old where they lie, and the counts move from `paths` to `old`. A new session can deliver at once
 * while the sweep goes on. A generation has 8 bits, so one that is still in the table must not be given out
 * again; after 255 sessions lost within one sweep the sweep is finished first. The number of a removed peer
 * is free when its last path is gone. */
#include <errno.h>
#include <stdlib.h>

#include "rib/rib_int.h"

static int sources_grow(struct rib *r)
{
    uint32_t n = r->n_sources ? r->n_sources * 2 : 8;
    struct source **sources = realloc(r->sources, n * sizeof *sources);
    if (!sources)
        return -ENOMEM;
    r->sources = sources;
    while (r->n_sources < n)
        r->sources[r->n_sources++] = NULL;
    return 0;
}

struct source *source_new(struct rib *r)
{
    uint32_t number = 0;
    while (number < r->n_sources && r->sources[number])
        number++;
    if (number > UINT16_MAX || (number == r->n_sources && sources_grow(r)))
        return NULL;
    struct source *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->pub.number = (uint16_t)number;
    r->sources[number] = s;
    return s;
}

struct rib_peer *rib_peer_add(struct rib *r, bool ibgp, const struct ip_addr *address, void *owner)
{
    struct source *s = source_new(r);
    if (!s)
        return NULL;
    s->pub.ibgp = ibgp;
    s->pub.address = *address;
    s->pub.owner = owner;
    return &s->pub;
}

static bool source_has_old(const struct source *s)
{
    return s->old[FAM_IPV4] || s->old[FAM_IPV6];
}

static void source_free(struct rib *r, struct source *s)
{
    r->sources[s->pub.number] = NULL;
    free(s);
}

void source_old_gone(struct rib *r, enum family f, struct source *s)
{
    s->old[f]--;
    r->old_paths--;
    if (source_has_old(s))
        return;
    s->gens = 0;
    if (s->removed)
        source_free(r, s);
}

void rib_peer_down(struct rib *r, struct rib_peer *p)
{
    struct source *s = (struct source *)p;
    if (!p->paths[FAM_IPV4] && !p->paths[FAM_IPV6])
        return; /* nothing is of this generation: it serves for the next session */
    while (s->gens == UINT8_MAX && source_has_old(s))
        rib_work(r);
    for (enum family f = 0; f < FAM_COUNT; f++) {
        s->old[f] += p->paths[f];
        r->old_paths += p->paths[f];
        p->paths[f] = p->accepted[f] = 0;
    }
    s->gens++;
    p->gen++;
    sweep_want(r, SWEEP_OLD_PATHS);
}

void rib_peer_up(struct rib *r, struct rib_peer *p)
{
    rib_peer_down(r, p);
}

void rib_peer_remove(struct rib *r, struct rib_peer *p)
{
    struct source *s = (struct source *)p;
    rib_peer_down(r, p);
    p->owner = NULL;
    s->removed = true;
    if (!source_has_old(s))
        source_free(r, s);
}

const struct rib_peer *rib_peer_by_number(const struct rib *r, uint16_t number)
{
    return number < r->n_sources && r->sources[number] ? &r->sources[number]->pub : NULL;
}
