/* Next hops as BGP names them: interned, watched through the FIB process, with what it says of them (RFC
 * 4271 9.1.2.1, resolvability and interior cost). A group is the set that one best path and its multipaths
 * use; the kernel has one nexthop group for each. */
#ifndef UNDERLAY_NEXTHOP_H
#define UNDERLAY_NEXTHOP_H

#include "fibmsg.h"
#include "prefix.h"

struct nexthop {
    uint32_t id; /* 1 and up */
    uint32_t refs;
    struct ip_addr addr;
    uint32_t scope; /* ifindex for link-local, else 0 */
    bool resolved;  /* an answer has come since the watch */
    bool reachable;
    bool connected;
    uint32_t ifindex;
    uint32_t metric;
};

struct nhgroup_member {
    uint32_t nexthop : 24, weight : 8; /* 1..255 */
};

struct nexthop_ops { /* what reaches out to the FIB process; every member may be NULL in tests */
    void (*watch)(void *arg, const struct nexthop *nh);
    void (*unwatch)(void *arg, const struct nexthop *nh);
    void (*group_set)(void *arg, uint32_t group, const struct nhgroup_member *members,
                      unsigned n); /* ascending address order */
    void (*group_del)(void *arg, uint32_t group);
};

/* The FIB process and the kernel pay for each, and peers name them. Who names one more is out of resources.
 */
#define NEXTHOPS_MOST 16384
#define NHGROUPS_MOST 65536
_Static_assert(NEXTHOPS_MOST < 1 << 24, "nhgroup_member.nexthop");

struct nexthop_table;
struct nexthop_table *nexthop_table_new(const struct nexthop_ops *ops, void *arg);
void nexthop_table_free(struct nexthop_table *t);
/* A reference; the first one starts the watch. 0: out of memory, or NEXTHOPS_MOST. */
uint32_t nexthop_get(struct nexthop_table *t, const struct ip_addr *addr, uint32_t scope);
void nexthop_put(struct nexthop_table *t, uint32_t id); /* the last one ends the watch */
const struct nexthop *nexthop_by_id(const struct nexthop_table *t, uint32_t id);
/* The FIB's word on one. Returns its id when anything that matters to decisions changed, else 0. */
uint32_t nexthop_set_state(struct nexthop_table *t, const struct fm_nexthop_state *s);
bool nexthop_all_resolved(const struct nexthop_table *t); /* each has had its answer; a walk */
/* Watches and groups are sent again to a FIB process that has just started with us (never needed while it
 * lives). */

/* Groups: ids 1 and up, by content; a reference each. n 1..FM_GROUP_MEMBERS. weights NULL: all the same, 1.
 * Of a next hop that is there twice the first weight counts. 0: out of memory, or NHGROUPS_MOST. */
uint32_t nhgroup_get(struct nexthop_table *t, const uint32_t *nexthops, const uint8_t *weights, unsigned n);
void nhgroup_ref(struct nexthop_table *t, uint32_t group);
void nhgroup_put(struct nexthop_table *t, uint32_t group);
unsigned nhgroup_members(const struct nexthop_table *t, uint32_t group,
                         const struct nhgroup_member **members);
struct nexthop_stats {
    uint32_t nexthops, unreachable, groups;
};
void nexthop_stats(const struct nexthop_table *t, struct nexthop_stats *out); /* a walk over the next hops */
uint64_t nexthop_table_memory(const struct nexthop_table *t);

#endif
