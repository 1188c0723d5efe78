/* The flows of the BFD thread: two hashes of fixed size and a heap, made once, so that the thread asks nobody
 * for memory. The hash by peer is seeded, though peers do not choose their addresses freely. */
#include <sys/random.h>

#include "fib/bfd_internal.h"

#define BUCKETS 4096

struct bfd_table {
    uint32_t seed;
    uint32_t n;
    struct bfd_flow *by_discriminator[BUCKETS];
    struct bfd_flow *by_peer[BUCKETS];
    struct bfd_flow *heap[BFD_FLOWS + 1]; /* from 1 */
};

struct bfd_table *bfd_table_new(void)
{
    struct bfd_table *t = calloc(1, sizeof *t);

    if (t && getrandom(&t->seed, sizeof t->seed, GRND_NONBLOCK) != sizeof t->seed)
        t->seed = 1;
    return t;
}

void bfd_table_free(struct bfd_table *t)
{
    free(t);
}

static struct bfd_flow **discriminator_bucket(struct bfd_table *t, uint32_t discriminator)
{
    return &t->by_discriminator[discriminator % BUCKETS];
}

static struct bfd_flow **peer_bucket(struct bfd_table *t, const struct ip_addr *peer)
{
    return &t->by_peer[hash_bytes(peer->b, sizeof peer->b, t->seed) % BUCKETS];
}

static void place(struct bfd_table *t, struct bfd_flow *f, uint32_t at)
{
    t->heap[at] = f;
    f->heap_at = at;
}

static void sift(struct bfd_table *t, struct bfd_flow *f)
{
    uint32_t at = f->heap_at;

    for (; at > 1 && t->heap[at / 2]->due_us > f->due_us; at /= 2)
        place(t, t->heap[at / 2], at);
    for (uint32_t child; (child = 2 * at) <= t->n; at = child) {
        if (child < t->n && t->heap[child + 1]->due_us < t->heap[child]->due_us)
            child++;
        if (t->heap[child]->due_us >= f->due_us)
            break;
        place(t, t->heap[child], at);
    }
    place(t, f, at);
}

void bfd_table_add(struct bfd_table *t, struct bfd_flow *f)
{
    struct bfd_flow **d = discriminator_bucket(t, f->session.discriminator), **p = peer_bucket(t, &f->peer);

    f->next_by_discriminator = *d;
    *d = f;
    f->next_by_peer = *p;
    *p = f;
    place(t, f, ++t->n);
    sift(t, f);
}

void bfd_table_remove(struct bfd_table *t, struct bfd_flow *f)
{
    struct bfd_flow **d = discriminator_bucket(t, f->session.discriminator), **p = peer_bucket(t, &f->peer);

    while (*d != f)
        d = &(*d)->next_by_discriminator;
    *d = f->next_by_discriminator;
    while (*p != f)
        p = &(*p)->next_by_peer;
    *p = f->next_by_peer;

    struct bfd_flow *last = t->heap[t->n--];
    if (last != f) {
        place(t, last, f->heap_at);
        sift(t, last);
    }
    f->heap_at = 0;
}

struct bfd_flow *bfd_table_by_discriminator(const struct bfd_table *t, uint32_t discriminator)
{
    struct bfd_flow *f = t->by_discriminator[discriminator % BUCKETS];

    while (f && f->session.discriminator != discriminator)
        f = f->next_by_discriminator;
    return f;
}

struct bfd_flow *bfd_table_by_peer(const struct bfd_table *t, const struct ip_addr *peer, uint32_t scope,
                                   bool leaving)
{
    struct bfd_flow *f = *peer_bucket((struct bfd_table *)t, peer);

    for (; f; f = f->next_by_peer)
        if (f->leaving == leaving && addr_equal(&f->peer, peer) && (!f->name.scope || f->name.scope == scope))
            return f;
    return NULL;
}

void bfd_table_due(struct bfd_table *t, struct bfd_flow *f, uint64_t us)
{
    f->due_us = us;
    sift(t, f);
}

struct bfd_flow *bfd_table_first(const struct bfd_table *t)
{
    return t->n ? t->heap[1] : NULL;
}

struct bfd_flow *bfd_table_at(const struct bfd_table *t, uint32_t i)
{
    return i && i <= t->n ? t->heap[i] : NULL;
}
