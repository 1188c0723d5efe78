/* Which pending routes come next, and when.
 *
 * Routes that are missing come first, those that a link has taken down with it above all; what is there and
 * has to move to another group works meanwhile. Removals come last. A session that is lost takes its routes
 * with it, and the kernel drops a whole group's routes several times as fast as it deletes them one by one.
 * So while removals come in faster than they could be written, they are left to gather; once they turn out to
 * be all the routes over a group that no number names any more, the group is deleted in their place. Whatever
 * else is over a group, a route that only waits to be moved to another one or one that a former speaker left,
 * keeps it: it is counted, and the counts differ. Waiting is bounded by the time it would have taken to write
 * what has gathered.
 *
 * A queued route may have changed its mind since: what it takes is decided when its turn comes (routes.c).
 *
 * The order is the kernel's: its trie is twice as slow when it grows, and many times when it shrinks, from
 * one end, and in a fully random order every step of it waits for memory. So a part of the queue is chosen at
 * random, which spreads over all of the trie, and that part is written in the order of the addresses, which
 * leaves neighbours in memory beside each other too: to drop them with their group later takes half the time.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "fib/groups.h"
#include "fib/routes_internal.h"

#define RETRY_MS    1000
#define QUIET_US    20000 /* without a further removal: they are all there */
#define HOLD_MS     5
#define REMOVE_US   3    /* what it takes the kernel to delete one route, */
#define FLUSH_SHARE 16   /* so many times as long as to look at one while a group goes: it looks at all */
#define GROUP_LEAST 1024 /* routes for which it is worth to look */
#define RUN         16   /* neighbours in the queue, which came together and lie together */
#define CHOSEN_MAX  8192 /* a multiple of it */
#define AHEAD       RUN  /* records: what it takes to fetch one from memory */

static struct route *route_of(const struct routes *r, uint32_t ref)
{
    return route_at(&r->tables[routes_ref_family(ref)], routes_ref_index(ref));
}

void routes_fetch(const struct routes *r, uint32_t ref)
{
    __builtin_prefetch(route_of(r, ref), 1);
}

static bool queue_reserve(struct route_queue *q)
{
    if (q->n < q->size)
        return true;
    uint32_t size = q->size ? q->size * 2 : 1024;
    uint32_t *grown = realloc(q->refs, size * sizeof *grown);
    if (!grown)
        return false;
    q->refs = grown;
    q->size = size;
    return true;
}

static void queue_reset(struct route_queue *q)
{
    free(q->refs);
    *q = (struct route_queue){0};
}

uint32_t routes_queued(const struct routes *r)
{
    return r->missing.n + r->moves.n + r->removals.n;
}

void routes_queue_reset(struct routes *r)
{
    queue_reset(&r->missing);
    queue_reset(&r->moves);
    queue_reset(&r->removals);
    r->look = false;
}

/* Over a group, and to be over nothing. */
static bool leaves(const struct route *e)
{
    return !e->want && route_is_over_group(e->have) && !(e->flags & RF_UNCONFIRMED);
}

static struct route_queue *queue_of(struct routes *r, const struct route *e)
{
    if (leaves(e))
        return &r->removals;
    bool there = e->have && !(route_is_over_group(e->have) && groups_is_dead(r->f->groups, e->have));
    return there ? &r->moves : &r->missing;
}

void routes_enqueue(struct routes *r, enum family f, uint32_t i)
{
    struct route *e = route_at(&r->tables[f], i);

    if (e->flags & RF_PENDING)
        return;
    struct route_queue *q = queue_of(r, e);
    if (!queue_reserve(q)) {
        r->walk_again = true; /* found again by the next walk */
        timer_set(r->retry, RETRY_MS);
        return;
    }
    if (q == &r->removals) {
        r->removal_us = loop_now_us();
        r->look = true;
        if (!q->n)
            r->gather_us = r->removal_us;
    }
    e->flags |= RF_PENDING;
    q->refs[q->n++] = i | (f == FAM_IPV6 ? ROUTE_REF_IPV6 : 0);
    if (!r->bulk && routes_queued(r) > ROUTES_BULK) {
        r->bulk = true;
        fib_monitor_routes(r->f, false);
    }
    task_wake(r->writer);
}

/* Deletes every group whose routes are all among the removals. */
static void drop_groups(struct routes *r)
{
    struct groups *g = r->f->groups;
    struct route_queue *q = &r->removals;

    uint32_t least = r->installed / FLUSH_SHARE > GROUP_LEAST ? r->installed / FLUSH_SHARE : GROUP_LEAST;

    if (!r->look || q->n < least || !groups_leave_begin(g, least))
        return;
    for (uint32_t k = 0; k < q->n; k++) {
        const struct route *e = route_of(r, q->refs[k]);
        if (leaves(e))
            groups_leave(g, e->have);
    }
    if (groups_leave_end(g, least))
        r->gather_us = 0; /* what is left takes no time */
    r->look = false;
}

static bool removals_gather(struct routes *r)
{
    uint64_t now = loop_now_us();

    if (r->removals.n < GROUP_LEAST || now - r->removal_us > QUIET_US ||
        now - r->gather_us > (uint64_t)r->removals.n * REMOVE_US)
        return false;
    timer_set(r->hold, HOLD_MS);
    return true;
}

/* xorshift64*: to scatter, not to surprise. */
static uint32_t next_random(struct routes *r, uint32_t n)
{
    r->random ^= r->random >> 12;
    r->random ^= r->random << 25;
    r->random ^= r->random >> 27;
    return (uint32_t)(((r->random * 0x2545F4914F6CDD1Dull >> 32) * n) >> 32);
}

struct keyed {
    uint64_t key;
    uint32_t ref;
};

/* By their keys, largest first; stable, a byte at a time, without those bytes in which they are all the same.
 * Returns the one of the two arrays that has the result. */
static struct keyed *sort_keyed(struct keyed *a, struct keyed *spare, uint32_t n)
{
    for (unsigned shift = 0; shift < 64; shift += 8) {
        uint32_t starts[257] = {0};
        for (uint32_t i = 0; i < n; i++)
            starts[0xff - (a[i].key >> shift & 0xff) + 1]++;
        if (starts[0xff - (a[0].key >> shift & 0xff) + 1] == n)
            continue;
        for (unsigned b = 1; b < 256; b++)
            starts[b] += starts[b - 1];
        for (uint32_t i = 0; i < n; i++)
            spare[starts[0xff - (a[i].key >> shift & 0xff)]++] = a[i];
        struct keyed *done = spare;
        spare = a;
        a = done;
    }
    return a;
}

static uint64_t key_of(const struct routes *r, uint32_t ref)
{
    uint64_t key;
    if (routes_ref_family(ref) == FAM_IPV4) {
        uint32_t key32;
        memcpy(&key32, route_of(r, ref)->addr, sizeof key32);
        return be32toh(key32);
    }
    memcpy(&key, route_of(r, ref)->addr, sizeof key);
    return be64toh(key);
}

/* Runs at random places, to the start of the queue: up to max routes. Returns how many. */
static uint32_t scatter(struct routes *r, struct route_queue *q, uint32_t max)
{
    uint32_t runs = q->n / RUN, n = 0;
    uint32_t saved[RUN];

    if (q->n <= max)
        return q->n;
    for (uint32_t i = 0; n < max; i++, n += RUN) {
        uint32_t *to = q->refs + n, *from = q->refs + (i + next_random(r, runs - i)) * RUN;
        memcpy(saved, from, sizeof saved);
        memmove(from, to, sizeof saved);
        memcpy(to, saved, sizeof saved);
    }
    return n;
}

/* The next ones to be taken, to the start of the queue. */
static void choose(struct routes *r, struct route_queue *q)
{
    static struct keyed room[2][CHOSEN_MAX];
    uint32_t n = scatter(r, q, CHOSEN_MAX);

    for (uint32_t i = 0; i < n + AHEAD; i++) {
        if (i < n)
            routes_fetch(r, room[0][i].ref = q->refs[i]);
        if (i >= AHEAD)
            room[0][i - AHEAD].key = key_of(r, room[0][i - AHEAD].ref);
    }
    const struct keyed *sorted = sort_keyed(room[0], room[1], n);
    for (uint32_t i = 0; i < n; i++)
        q->refs[i] = sorted[i].ref;
    q->chosen = n;
}

unsigned routes_take(struct routes *r, uint32_t *out, unsigned max)
{
    struct route_queue *q = r->missing.n ? &r->missing : &r->moves;

    if (!q->n) {
        q = &r->removals;
        drop_groups(r);
        if (removals_gather(r))
            return 0;
    }
    if (q->n && !q->chosen)
        choose(r, q);
    unsigned n = q->chosen < max ? q->chosen : max;
    for (unsigned i = 0; i < n; i++) {
        out[i] = q->refs[--q->chosen];
        q->refs[q->chosen] = q->refs[--q->n];
        routes_fetch(r, out[i]);
    }
    if (!q->n)
        queue_reset(q);
    return n;
}
