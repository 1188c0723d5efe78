/* Sources of paths: the node itself, number 0, and the peers.
 *
 * A session that ends may leave a million paths. They are not walked: the peer's generation moves on, which
 * makes them old where they lie, and the counts move from `paths` to `old`. A new session can deliver at once
 * while the sweep goes on. In the same way a family becomes stale without a walk: its generation is
 * remembered as the stale one, of which there is one at a time, and ends by no longer being that. A
 * generation has 8 bits: one that may still be in the table is not given out again, and when all of them may
 * be, the sweep is finished first. The number of a removed peer is free when its last path is gone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
    if (!s->old[f])
        memset(s->over[f], 0, sizeof s->over[f]);
    if (s->removed && !source_has_old(s))
        source_free(r, s);
}

void path_count(struct rib *r, enum family f, const struct rib_path *p, bool in)
{
    struct source *s = r->sources[p->peer];
    uint32_t one = in ? 1 : UINT32_MAX, accepted = p->flags & PATH_FILTERED ? 0 : one;
    bool stale = p->gen != s->pub.gen[f];
    s->pub.paths[f] += one;
    s->pub.accepted[f] += accepted;
    s->pub.stale[f] += stale ? one : 0;
    s->stale_accepted[f] += stale ? accepted : 0;
}

/* n paths of a generation are not counted any more. */
static void generation_is_over(struct rib *r, enum family f, struct source *s, uint8_t gen, uint32_t n)
{
    if (!n)
        return;
    s->old[f] += n;
    r->old_paths += n;
    s->over[f][gen / 64] |= 1ull << gen % 64;
    sweep_want(r, SWEEP_OLD_PATHS);
}

static bool is_over(const struct source *s, enum family f, uint8_t gen)
{
    return s->over[f][gen / 64] >> gen % 64 & 1;
}

/* One that no path has. To find none takes as many sessions lost within one sweep. */
static uint8_t free_generation(struct rib *r, enum family f, const struct source *s)
{
    uint8_t gen = s->pub.gen[f];
    while (++gen == s->pub.gen[f] || is_over(s, f, gen) || (s->pub.stale[f] && s->stale_gen[f] == gen))
        while (gen == s->pub.gen[f] && s->old[f])
            rib_work(r);
    return gen;
}

void rib_peer_stale_end(struct rib *r, struct rib_peer *p, enum family f)
{
    struct source *s = (struct source *)p;
    uint32_t n = p->stale[f];
    p->paths[f] -= n;
    p->accepted[f] -= s->stale_accepted[f];
    p->stale[f] = s->stale_accepted[f] = 0;
    s->long_end[f] = 0;
    generation_is_over(r, f, s, s->stale_gen[f], n);
}

void rib_peer_stale(struct rib *r, struct rib_peer *p, enum family f)
{
    struct source *s = (struct source *)p;
    rib_peer_stale_end(r, p, f);
    if (!p->paths[f])
        return;
    uint8_t next = free_generation(r, f, s);
    s->stale_gen[f] = p->gen[f];
    p->stale[f] = p->paths[f];
    s->stale_accepted[f] = p->accepted[f];
    p->gen[f] = next;
}

bool rib_path_is_stale(const struct rib *r, enum family f, const struct rib_path *p)
{
    return path_is_stale(r, f, p);
}

void rib_peer_down(struct rib *r, struct rib_peer *p)
{
    struct source *s = (struct source *)p;
    for (enum family f = 0; f < FAM_COUNT; f++) {
        if (p->paths[f] == p->stale[f])
            continue; /* nothing is of this generation: it serves for the next session */
        uint8_t next = free_generation(r, f, s);
        uint32_t n = p->paths[f] - p->stale[f];
        p->paths[f] = p->stale[f];
        p->accepted[f] = s->stale_accepted[f];
        generation_is_over(r, f, s, p->gen[f], n);
        p->gen[f] = next;
    }
}

void rib_peer_up(struct rib *r, struct rib_peer *p)
{
    rib_peer_down(r, p);
}

void rib_peer_remove(struct rib *r, struct rib_peer *p)
{
    struct source *s = (struct source *)p;
    for (enum family f = 0; f < FAM_COUNT; f++)
        rib_peer_stale_end(r, p, f);
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
