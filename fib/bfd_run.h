/* The BFD thread from inside: shared by bfd_thread.c (which starts and ends it), bfd_run.c (its loop) and
 * bfd_flow.c (what it does for one session). */
#ifndef UNDERLAY_FIB_BFD_RUN_H
#define UNDERLAY_FIB_BFD_RUN_H

#include <sched.h>

#include "fib/bfd_internal.h"

#define BFD_ADMIN_DOWNS 3 /* so often, when a session ends */

struct bfd_thread {
    pthread_t id;
    struct bfd_ring commands, events;
    int command_fd, event_fd;
    _Atomic bool all_down; /* the command has been carried out */
    /* The main thread's own. */
    bool apart;            /* it may run on `others` only, and the thread on the one that is left */
    cpu_set_t all, others; /* processors */
    /* The thread's own. */
    struct bfd_table *table;
    struct bfd_inbox *inbox;
    int listeners[BFD_LISTENERS];
    unsigned users[BFD_LISTENERS];
    uint8_t ports[BFD_PORTS / 8]; /* in use */
    struct bfd_flow *touched;     /* to be served in this turn */
    uint64_t turn_us;             /* when this turn began */
    uint64_t listen_us;           /* after a flood: not before */
    bool flooded;                 /* there may be more to read than was read in this turn */
    bool told, stopping;
    uint32_t stalled_us;              /* not let to run, in all */
    uint32_t starvations, starved_us; /* such as a peer may notice, see bfd_note_delay; the longest */
    uint32_t told_starvations;        /* the speaker knows of */
    uint64_t told_us;                 /* since then */
};

/* bfd_run.c: until BFD_CMD_STOP. */
void bfd_run(struct bfd_thread *t);
/* Something was due, and we are here only now: added to stalled_us from 1 ms on, a starvation from half of
 * the shortest interval on at which a session sends. Less is noise: no peer misses a packet for it. */
void bfd_note_delay(struct bfd_thread *t, uint64_t due_us, uint64_t now_us);

/* bfd_flow.c */
void bfd_flow_open(struct bfd_thread *t, struct bfd_flow *f,
                   bool anew);                      /* its sockets; retried when it fails */
bool bfd_flow_is_running(const struct bfd_flow *f); /* it has them */
void bfd_flow_send(struct bfd_thread *t, struct bfd_flow *f, enum bfd_occasion why);
/* AdminDown, several times, and gone when the peer must have heard. */
void bfd_flow_end(struct bfd_thread *t, struct bfd_flow *f);
/* What is due: packets, the end of the detection time, reports, its own end. */
void bfd_flow_serve(struct bfd_thread *t, struct bfd_flow *f);

static inline uint64_t bfd_earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

#endif
