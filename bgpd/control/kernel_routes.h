/* Our routes as the kernel has them, read by the speaker itself: dumps need no privilege. */
#ifndef UNDERLAY_KERNEL_ROUTES_H
#define UNDERLAY_KERNEL_ROUTES_H

#include "prefix.h"

struct loop;

#define KERNEL_HOPS 64
struct kernel_hop {
    struct ip_addr gateway; /* af 0: none, directly on the interface */
    uint32_t ifindex;       /* 0: none (blackhole) */
    unsigned weight;        /* 1 and up */
    uint8_t flags;          /* RTNH_F_* */
};
struct kernel_route {
    struct prefix dst;
    uint8_t type;          /* RTN_* */
    uint32_t metric, nhid; /* nhid 0: none */
    struct ip_addr prefsrc;
    uint32_t flags;  /* RTM_F_*, RTNH_F_* of rtm_flags */
    unsigned n_hops; /* those past KERNEL_HOPS are not kept */
    struct kernel_hop hops[KERNEL_HOPS];
};

struct kernel_dump;
/* Asks for the routes of one family, table and protocol. wake is called when there is more after -EAGAIN. 0
 * or -errno. */
int kernel_dump_new(struct loop *l, enum family f, uint32_t table, uint8_t protocol, void (*wake)(void *arg),
                    void *arg, struct kernel_dump **out);
void kernel_dump_free(struct kernel_dump *d);
/* 1 and the next route, 0 at the end, -EAGAIN, or another -errno. Never blocks. The kernel makes the dump as
 * it is read: a reader that stops costs nothing. */
int kernel_dump_next(struct kernel_dump *d, struct kernel_route *out);
bool kernel_dump_interrupted(
    const struct kernel_dump *d); /* the table changed meanwhile: some routes may be missing */

#endif
