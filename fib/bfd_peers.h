/* The main thread's half of BFD: which sessions there are and whose. Shared by bfd.c, whose functions these
 * are, and bfd_handover.c. */
#ifndef UNDERLAY_FIB_BFD_PEERS_H
#define UNDERLAY_FIB_BFD_PEERS_H

#include "fib/bfd_internal.h"

#define BFD_BUCKETS 1024

struct bfd_peer {
    struct bfd_peer *next;
    struct bfd_flow *flow; /* the thread's */
    struct fm_bfd want;
    struct bfd_terms terms;    /* as the thread has them */
    struct fm_bfd_state state; /* as last told */
    struct log_limit limit;
    bool claimed;
    bool dead;      /* said so to the next hops */
    bool overruled; /* it has failed, which is no word about the path: a restart, or BGP came up over it */
};

struct bfd {
    struct fib *f;
    struct bfd_thread *thread;
    struct io *io;
    struct bfd_flow *flows;       /* all that were made and have not come back */
    int listeners[BFD_LISTENERS]; /* while there is no thread */
    uint32_t seed;
    struct log_limit refusals;
    unsigned n_peers, n_flows;
    struct bfd_peer *peers[BFD_BUCKETS];
};

/* The first of bucket *i and after. */
struct bfd_peer *bfd_first_peer(struct bfd *b, unsigned *i);
struct bfd_peer *bfd_peer_after(struct bfd *b, unsigned *i, struct bfd_peer *p);
/* Without a flow. NULL: out of memory. */
struct bfd_peer *bfd_add_peer(struct bfd *b, const struct fm_bfd *m);
void bfd_own_flow(struct bfd *b, struct bfd_flow *f);
void bfd_free_flow(struct bfd *b, struct bfd_flow *f);
int bfd_start_thread(struct bfd *b);                   /* 0 or -errno; there may be one */
void bfd_stop_thread(struct bfd *b, bool hear_it_out); /* the flows and the listeners are ours again */
void bfd_forget_all(struct bfd *b);

#endif
