/* A stand-in for rib/nexthop.c, taken at link time: a small array, references counted, no watching. Include
 * it in the one source file of a test program that uses attributes without a RIB. */
#ifndef UNDERLAY_FAKE_NEXTHOP_H
#define UNDERLAY_FAKE_NEXTHOP_H

#include <stdlib.h>
#include <string.h>

#include "rib/nexthop.h"

#define FAKE_NEXTHOPS 4096
struct nexthop_table {
    struct nexthop at[FAKE_NEXTHOPS]; /* [id]; refs 0: free */
    uint32_t limit;
};

struct nexthop_table *nexthop_table_new(const struct nexthop_ops *ops, void *arg)
{
    (void)ops, (void)arg;
    return calloc(1, sizeof(struct nexthop_table));
}

void nexthop_table_free(struct nexthop_table *t)
{
    free(t);
}

uint32_t nexthop_get(struct nexthop_table *t, const struct ip_addr *addr, uint32_t scope)
{
    uint32_t unused = 0;
    for (uint32_t id = 1; id <= t->limit; id++) {
        struct nexthop *nh = &t->at[id];
        if (nh->refs && nh->scope == scope && !memcmp(&nh->addr, addr, sizeof *addr)) {
            nh->refs++;
            return id;
        }
        if (!nh->refs && !unused)
            unused = id;
    }
    if (!unused && t->limit + 1 < FAKE_NEXTHOPS)
        unused = ++t->limit;
    if (unused)
        t->at[unused] = (struct nexthop){.id = unused, .refs = 1, .addr = *addr, .scope = scope};
    return unused;
}

void nexthop_put(struct nexthop_table *t, uint32_t id)
{
    t->at[id].refs--;
}

const struct nexthop *nexthop_by_id(const struct nexthop_table *t, uint32_t id)
{
    return id <= t->limit && t->at[id].refs ? &t->at[id] : NULL;
}

static inline uint32_t fake_nexthop_refs(const struct nexthop_table *t)
{
    uint32_t sum = 0;
    for (uint32_t id = 1; id <= t->limit; id++)
        sum += t->at[id].refs;
    return sum;
}

#endif
