/* Sources of paths: the node itself, number 0, and the peers.
 *
 * A session that ends may leave a million paths. They are not walked: the peer's generation moves on, which
 * makes them old where they lie, and the counts move from `paths` to `old`. A new session can deliver at once
 * while the sweep goes on. In the same way a family becomes stale without a walk: its generation joins a set,
 * and what is stale is over when that set joins the one of what is to be swept. A generation has 8 bits: one
 * that may still be in the table is not given out again, and when all of them may be, the sweep is finished
 * first. The number of a removed peer is free when its last path is gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rib/rib_int.h"

#define STALE_GENERATIONS 128 /* of one family: a peer that restarts so often has lost its credit */
#define SPARE_GENERATIONS 64  /* for sessions that are lost; refreshes leave them free */

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
    rib_peer_move(r, &s->pub, address);
    s->pub.owner = owner;
    return &s->pub;
}

void rib_peer_move(struct rib *r, struct rib_peer *p, const struct ip_addr *address)
{
    p->address = *address;
    p->serial = ++r->serials;
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

static void set_add(uint64_t set[4], uint8_t gen)
{
    set[gen / 64] |= 1ull << gen % 64;
}

static bool set_has(const uint64_t set[4], uint8_t gen)
{
    return set[gen / 64] >> gen % 64 & 1;
}

static int set_size(const uint64_t set[4])
{
    return __builtin_popcountll(set[0]) + __builtin_popcountll(set[1]) + __builtin_popcountll(set[2]) +
           __builtin_popcountll(set[3]);
}

/* n paths of generations in `over` are not counted any more. */
static void paths_are_over(struct rib *r, enum family f, struct source *s, uint32_t n)
{
    s->old[f] += n;
    r->old_paths += n;
    if (s->old[f])
        sweep_want(r, SWEEP_OLD_PATHS);
    else
        memset(s->over[f], 0, sizeof s->over[f]);
}

/* One that no path has. To find none takes as many sessions lost within one sweep; refreshes do not count,
 * see rib_peer_refresh. */
static uint8_t free_generation(struct rib *r, enum family f, struct source *s)
{
    if (!s->pub.stale[f])
        memset(s->stale_gens[f], 0, sizeof s->stale_gens[f]); /* all of them were said again */
    uint8_t gen = s->pub.gen[f];
    while (++gen == s->pub.gen[f] || set_has(s->over[f], gen) || set_has(s->stale_gens[f], gen))
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
    for (int i = 0; i < 4; i++) {
        s->over[f][i] |= s->stale_gens[f][i];
        s->stale_gens[f][i] = 0;
    }
    paths_are_over(r, f, s, n);
    if (n)
        source_lost_paths(r, s);
}

void rib_peer_stale_too(struct rib *r, struct rib_peer *p, enum family f)
{
    struct source *s = (struct source *)p;
    if (p->paths[f] == p->stale[f])
        return;
    uint8_t next = free_generation(r, f, s);
    if (set_size(s->stale_gens[f]) == STALE_GENERATIONS)
        rib_peer_stale_end(r, p, f);
    set_add(s->stale_gens[f], p->gen[f]);
    p->stale[f] = p->paths[f];
    s->stale_accepted[f] = p->accepted[f];
    p->gen[f] = next;
}

bool rib_peer_refresh(struct rib *r, struct rib_peer *p, enum family f)
{
    struct source *s = (struct source *)p;
    if (p->paths[f] == p->stale[f])
        return true;
    if (!p->stale[f])
        memset(s->stale_gens[f], 0, sizeof s->stale_gens[f]);
    if (set_size(s->over[f]) + set_size(s->stale_gens[f]) >= 255 - SPARE_GENERATIONS)
        return false;
    rib_peer_stale_too(r, p, f);
    return true;
}

void rib_peer_stale(struct rib *r, struct rib_peer *p, enum family f)
{
    rib_peer_stale_end(r, p, f);
    rib_peer_stale_too(r, p, f);
}

bool rib_path_is_stale(const struct rib *r, enum family f, const struct rib_path *p)
{
    return path_is_stale(r, f, p);
}

void rib_peer_down(struct rib *r, struct rib_peer *p)
{
    struct source *s = (struct source *)p;
    bool lost = false;
    for (enum family f = 0; f < FAM_COUNT; f++) {
        if (p->paths[f] == p->stale[f])
            continue; /* nothing is of this generation: it serves for the next session */
        lost = true;
        uint8_t next = free_generation(r, f, s);
        uint32_t n = p->paths[f] - p->stale[f];
        p->paths[f] = p->stale[f];
        p->accepted[f] = s->stale_accepted[f];
        set_add(s->over[f], p->gen[f]);
        p->gen[f] = next;
        paths_are_over(r, f, s, n);
    }
    if (lost)
        source_lost_paths(r, s);
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
