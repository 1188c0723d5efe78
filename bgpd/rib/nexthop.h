/* Next hops as BGP names them: interned, watched through the FIB process, with what it says of them (RFC
 * 4271 9.1.2.1, resolvability and interior cost). A group is the set that one best path and its multipaths
 * use, with the one that takes over when none of them is left; the kernel has one nexthop group for each. */
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
    /* Who gives paths over it; until the last reference goes. */
    bool named, shared; /* by a source, by another one too */
    bool dead;          /* the FIB was told so: the paths over it went with their session */
    uint8_t families;   /* 1 << enum family, of those paths */
    uint16_t source;    /* the first */
    uint32_t ifindex;
    uint32_t metric;
};

struct nhgroup_member {
    uint32_t nexthop : 24, weight : 8; /* 1..255 */
};

struct nexthop_ops { /* what reaches out to the FIB process; every member may be NULL in tests */
    void (*watch)(void *arg, const struct nexthop *nh);
    void (*unwatch)(void *arg, const struct nexthop *nh);
    /* n members in ascending order of address, then the backups. */
    void (*group_set)(void *arg, uint32_t group, const struct nhgroup_member *members, unsigned n,
                      unsigned n_backups);
    void (*group_del)(void *arg, uint32_t group);
    void (*dead)(void *arg, const struct nexthop *const *nh, unsigned n); /* n <= NEXTHOP_BATCH; at once */
    void (*alive)(void *arg, const struct nexthop *nh); /* not any more; before the next route over it */
    /* Whatever was said of that address before, and BFD says, a session has come up over it. */
    void (*revive)(void *arg, const struct ip_addr *addr, uint32_t scope);
};
#define NEXTHOP_BATCH 64

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

/* Whether the source is known to give paths of family f over it, so that nexthop_name has nothing to do. */
static inline bool nexthop_is_named(const struct nexthop *nh, uint16_t source, enum family f)
{
    return nh->named && !nh->dead && nh->families >> f & 1 && (nh->shared || nh->source == source);
}
/* The source, next hop and family that were last found to be so, by whom that asks for each path; 0 as soon
 * as it may be so no more. */
uint64_t *nexthop_last_named(struct nexthop_table *t);
static inline uint64_t nexthop_naming(uint32_t id, uint16_t source, enum family f)
{
    return (uint64_t)id << 32 | (uint32_t)source << 8 | (uint32_t)f;
}
/* The source gives one. anew: the one that did so before has none left. */
void nexthop_name(struct nexthop_table *t, uint32_t id, uint16_t source, enum family f, bool anew);
/* The source has no path left of these families (1 << enum family): the next hops that it alone named, in no
 * other family, are dead. A walk over the next hops. */
void nexthop_lose(struct nexthop_table *t, uint16_t source, uint8_t families);
/* A session of the source has come up: none of its next hops is dead, nor that address, known or not. */
void nexthop_revive(struct nexthop_table *t, uint16_t source, const struct ip_addr *addr, uint32_t scope);

/* Groups: ids 1 and up, by content; a reference each. n 1..FM_GROUP_MEMBERS. weights NULL: all the same, 1.
 * Of a next hop that is there twice the first weight counts. backup: 0 none; none is taken when it is a
 * member, when there is no room for it beside them, and when so many groups are in use that those without
 * would run short. 0: out of memory, or NHGROUPS_MOST. */
uint32_t nhgroup_get(struct nexthop_table *t, const uint32_t *nexthops, const uint8_t *weights, unsigned n,
                     uint32_t backup);
void nhgroup_ref(struct nexthop_table *t, uint32_t group);
void nhgroup_put(struct nexthop_table *t, uint32_t group);
unsigned nhgroup_members(const struct nexthop_table *t, uint32_t group,
                         const struct nhgroup_member **members);
uint32_t nhgroup_backup(const struct nexthop_table *t, uint32_t group); /* 0: none */
struct nexthop_stats {
    uint32_t nexthops, unreachable, groups;
};
void nexthop_stats(const struct nexthop_table *t, struct nexthop_stats *out); /* a walk over the next hops */
uint64_t nexthop_table_memory(const struct nexthop_table *t);

#endif
