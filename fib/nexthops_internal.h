/* Shared by nexthops.c (what BGP names) and hops.c (the kernel's objects). */
#ifndef UNDERLAY_FIB_NEXTHOPS_INTERNAL_H
#define UNDERLAY_FIB_NEXTHOPS_INTERNAL_H

#include "fib/nexthops.h"
#include "lib/ixhash.h"
#include "lib/slab.h"

struct nexthops {
    struct fib *f;
    struct slab tracked; /* struct tracked, of nexthops.c */
    struct slab hops;    /* struct hop, of hops.c */
    struct ixhash by_address, by_gateway, by_id;
    uint32_t seed;
    uint32_t next_id; /* offset in the range of hops */
    uint32_t walk_at; /* the next one to be resolved, 0: no walk */
    bool walk_again;
    uint32_t depending; /* tracked ones that a route may reach */
};

void hops_init(struct nexthops *n);
void hops_reset(struct nexthops *n);

#endif
