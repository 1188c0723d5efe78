/* The RIB: what every peer told us (Adj-RIB-In), what we originate, and the decision between them (Loc-RIB),
 * RFC 4271 sections 3.2 and 9.1. An exact-match hash from prefix to a dense 32-bit index; everything about a
 * prefix hangs off the index. No sockets, no clock: subscribers (the FIB client, each peer's Adj-RIB-Out) own
 * a dirty set that changes mark. Several sources may own one prefix; a source is a rib_peer, number 0 being
 * the node itself. */
#ifndef UNDERLAY_RIB_H
#define UNDERLAY_RIB_H

#include "lib/dirty.h"
#include "rib/attr.h"
#include "rib/nexthop.h"

struct rib;

enum path_flags {
    PATH_BEST = 0x01,
    PATH_MULTIPATH = 0x02,   /* used beside the best; the best has it too when there are others */
    PATH_BACKUP = 0x04,      /* the next best over another next hop than these */
    PATH_FILTERED = 0x08,    /* the import check or policy rejected it; see rib_path.reason */
    PATH_UNREACHABLE = 0x10, /* next hop not resolvable */
    PATH_CHANGED = 0x80,     /* the import policy changed its attributes; see rib_path_received */
};

/* One path, 16 bytes. */
struct rib_path {
    uint32_t next; /* slab index of the next path of the prefix, 0 none; the best is first */
    uint32_t attr; /* attr id, holds a reference */
    uint16_t peer; /* rib_peer number */
    uint8_t gen;   /* of the peer's session when the path came: current, stale, or to be swept */
    uint8_t flags;
    uint32_t reason : 4; /* enum import_reason, of PATH_FILTERED */
    uint32_t kind : 2;   /* of originated paths: enum origin_kind */
    uint32_t since : 26; /* when it came or changed, by rib_set_now */
};

enum fib_state { FIB_NONE, FIB_PENDING, FIB_INSTALLED, FIB_FAILED };

/* One prefix: 16 bytes for IPv4 and 28 for IPv6 (the address lies at the end). */
struct rib_entry {
    uint32_t paths; /* slab index of the first path, 0: none */
    uint32_t group; /* nexthop group the FIB was last told, 0 none; holds a reference */
    uint8_t len;
    uint8_t fib;       /* enum fib_state */
    uint8_t sources;   /* enum entry_flags */
    uint8_t selection; /* enum select_reason of the best path */
    uint8_t addr[];    /* 4 or 16 */
};

enum entry_flags {
    ENTRY_ORIGINATED = 0x01,     /* has an originated path */
    ENTRY_UNREACHABLE = 0x02,    /* what the FIB was told is an unreachable route */
    ENTRY_BLACKHOLE = 0x08,      /* or a blackhole route */
    ENTRY_WAS_ORIGINATED = 0x04, /* since the entry exists: subscribers of originated prefixes may know it */
    ENTRY_USED = 0x80,
};

/* What of ours a prefix is: what it gets in the FIB and how it guards the import. */
enum origin_kind { ORIGIN_KIND_STATIC, ORIGIN_KIND_POD_CIDR, ORIGIN_KIND_VIP, ORIGIN_KIND_INTERFACE };

enum select_reason { /* why the best won; JSON "selectionReason" in FRR's words */
                     SELECT_NONE,
                     SELECT_ONLY,
                     SELECT_LOCAL,
                     SELECT_STALE, /* the others are long-lived stale, RFC 9494 */
                     SELECT_LOCAL_PREF,
                     SELECT_AS_PATH,
                     SELECT_ORIGIN,
                     SELECT_MED,
                     SELECT_EBGP,
                     SELECT_METRIC,
                     SELECT_ROUTER_ID,
                     SELECT_CLUSTER,
                     SELECT_ADDRESS,
                     SELECT_PATH_ID
};
const char *select_reason_name(enum select_reason r); /* "Local Pref", "AS Path", … */

enum import_reason {
    IMPORT_OK,
    IMPORT_MARTIAN,
    IMPORT_OWN_POD_CIDR,
    IMPORT_OWN_ADDRESS,
    IMPORT_DEFAULT_ROUTE,
    IMPORT_AS_LOOP,
    IMPORT_POLICY,
    IMPORT_MODE_NONE,
    IMPORT_OWN_NEXTHOP,
    IMPORT_LOOP_ORIGINATOR,
    IMPORT_LOOP_CLUSTER,
    IMPORT_ROUTE_LEAK
};
const char *import_reason_text(enum import_reason r); /* "inside an own pod CIDR", … */

struct rib_config {
    unsigned multipath; /* width, 1 off */
    bool as_path_relax;
    uint32_t default_local_pref; /* 100 */
    bool always_compare_med;     /* also between neighbour ASes: not what RFC 4271 9.1.2.2 c says */
    bool med_missing_as_worst;   /* no MED is the highest one, else the lowest */
};

/* A source of paths. Registered once; number stays for its life. */
struct rib_peer {
    uint16_t number; /* set by rib_peer_add */
    uint32_t serial; /* likewise; unlike the number never given twice, and another one after rib_peer_move */
    bool ibgp;
    uint8_t gen[FAM_COUNT]; /* of what comes now */
    bool one_hop;           /* RFC 4271 6.3: only next hops on a subnet of ours will do */
    bool blackhole;         /* RFC 7999: its host routes with that community drop packets */
    uint32_t as;            /* of its last session, 0 none yet */
    bool keep_received; /* cannot be asked to say it again: what a policy changes is kept as received too */
    uint32_t router_id; /* host order */
    struct ip_addr address;
    void *owner;                  /* struct peer */
    uint32_t paths[FAM_COUNT];    /* of the current session and stale ones, filtered included */
    uint32_t accepted[FAM_COUNT]; /* without filtered */
    uint32_t stale[FAM_COUNT];    /* those of paths that the source has not said again yet */
};

struct rib_hooks {
    /* Import check and policy for one path; called again by rib_reimport. Must be cheap. *a: as received,
     * and replaced by what the policy makes of it (borrowed until the next call) when it is accepted. judged:
     * *a has been through the policy already and what was received is not known any more; only what does
     * not depend on it is looked at. An enum import_reason or -ENOMEM. */
    int (*import)(void *arg, enum family f, const struct prefix *p, const struct attr **a,
                  const struct rib_peer *peer, bool judged);
    /* Background work is waiting: call rib_work from a task until it returns false. */
    void (*want_work)(void *arg);
};

/* attrs and nexthops are borrowed. NULL: out of memory. */
struct rib *rib_new(const struct rib_config *c, const struct rib_hooks *h, void *arg,
                    struct attr_table *attrs, struct nexthop_table *nexthops);
void rib_free(struct rib *r);
void rib_set_config(struct rib *r, const struct rib_config *c); /* re-decides everything in the background */
bool rib_has_work(const struct rib *r);
bool rib_work(struct rib *r); /* one bounded step of sweeps and re-decisions; false when there is none left */

/* The time that changes are stamped with from now on: seconds since the process started (it stands still
 * after two years). The RIB has no clock of its own. */
void rib_set_now(struct rib *r, uint64_t seconds);

struct rib_peer *rib_peer_add(struct rib *r, bool ibgp, const struct ip_addr *address,
                              void *owner); /* NULL: ENOMEM */
/* Another address, between two sessions. */
void rib_peer_move(struct rib *r, struct rib_peer *p, const struct ip_addr *address);
/* Removes all its paths in the background; then the number is free again. The pointer is dead at once. */
void rib_peer_remove(struct rib *r, struct rib_peer *p);
/* A session came up: its paths are of a new generation; router_id set before by the caller. */
void rib_peer_up(struct rib *r, struct rib_peer *p);
/* The session is gone: its paths lose at once in order of a bounded background sweep, but for the stale ones.
 * Next hops that only these paths used are said to be dead before any of that; so they are whenever else the
 * last paths of a source go at once (rib_peer_stale_end, rib_peer_remove). The next path over one revives it.
 */
void rib_peer_down(struct rib *r, struct rib_peer *p);
/* Its session has come up although something says that its next hops are dead (BFD may): they are not.
 * scope: the ifindex when its address is link-local, else 0. */
void rib_peer_alive(struct rib *r, const struct rib_peer *p, uint32_t scope);
/* What the source has in family f is stale from now on: used as before, until the source says it again or
 * rib_peer_stale_end drops what it did not. What was stale already goes (RFC 4724 4.2: "MUST be deleted").
 * Called before rib_peer_down it makes the family outlive the session (graceful restart), within one it is
 * Beginning-of-RIB (RFC 7313 4.2). No walk, however many paths there are. */
void rib_peer_stale(struct rib *r, struct rib_peer *p, enum family f);
/* The same, but what was stale already stays (RFC 8538 4.1, RFC 7313). */
void rib_peer_stale_too(struct rib *r, struct rib_peer *p, enum family f);
/* The same within a session, as often as the peer likes. False, and nothing is changed: what earlier ones
 * have left behind has to be swept first. */
bool rib_peer_refresh(struct rib *r, struct rib_peer *p, enum family f);
void rib_peer_stale_end(struct rib *r, struct rib_peer *p,
                        enum family f); /* in the background; none: no-op */
/* RFC 9494 4.3: what is still stale gets the community LLGR_STALE, by which it is the least preferred; what
 * has NO_LLGR goes. In the background. */
void rib_peer_stale_long(struct rib *r, struct rib_peer *p, enum family f);
const struct rib_peer *rib_peer_by_number(const struct rib *r, uint16_t number);

/* These n <= RIB_PREFETCH prefixes are updated or withdrawn next. A table of millions is in no cache: to wait
 * for memory once and not for each of them is a third of the time. */
#define RIB_PREFETCH 16
void rib_prefetch(const struct rib *r, enum family f, const struct prefix *p, unsigned n);

/* A source may have so many paths of one prefix (RFC 7911): as many as the widest multipath could use. */
#define RIB_PATHS_MAX 64
/* Takes its own references. path_id: RFC 7911, 0 without ADD-PATH; the pair of prefix and path id is what is
 * replaced and withdrawn. 0, -ENOMEM or -ENOSPC (one more than RIB_PATHS_MAX); then nothing changed. peer 0
 * originates (kind). */
int rib_update(struct rib *r, enum family f, const struct prefix *p, struct rib_peer *peer, uint32_t path_id,
               const struct attr *a);
/* The same of a path that has been through the import policy in another process (handover.h). */
int rib_restore(struct rib *r, enum family f, const struct prefix *p, struct rib_peer *peer, uint32_t path_id,
                const struct attr *a);
int rib_withdraw(struct rib *r, enum family f, const struct prefix *p, struct rib_peer *peer,
                 uint32_t path_id); /* unknown: no-op */
int rib_originate(struct rib *r, enum family f, const struct prefix *p, enum origin_kind kind,
                  const struct attr *a);
int rib_unoriginate(struct rib *r, enum family f, const struct prefix *p);

/* A next hop's state changed (nexthop_set_state returned it): re-decides in the background. */
void rib_nexthop_changed(struct rib *r, uint32_t nexthop);
/* Own prefixes or policies changed: the import check runs again over all paths of `peer`, of all when NULL.
 */
void rib_reimport(struct rib *r, struct rib_peer *peer);
/* The same for the paths of one prefix, of all peers, at once. */
void rib_reimport_prefix(struct rib *r, enum family f, const struct prefix *prefix);

/* Subscribers. The dirty set of a family gets an index when its best path, its multipath set or its
 * attributes change in a way the subscriber cares for. The subscriber clears bits as it serves them. */
struct rib_sub {
    struct rib_sub *next_;
    struct dirty dirty[FAM_COUNT];
    bool family[FAM_COUNT];
    bool originated_only; /* only prefixes whose old or new best is originated */
    bool forwarding; /* the FIB: also told when only the multipath set or the backup changed; others only when
                        the best did */
    bool all_paths[FAM_COUNT]; /* told when any path comes, goes, changes, or becomes usable or unusable */
    void (*wake)(void *arg);   /* called when a set turns non-empty; cheap (task_wake) */
    bool (*holds)(void *arg, enum family f, uint32_t index); /* may be NULL; see rib_release */
    void *arg;
};
void rib_subscribe(struct rib *r, struct rib_sub *s); /* borrowed until rib_unsubscribe */
void rib_unsubscribe(struct rib *r,
                     struct rib_sub *s); /* resets its dirty sets; what only it held is released */
/* Changes originated_only of a subscriber. To true: only once nothing that is not originated is dirty or
 * held. */
void rib_sub_set_originated_only(struct rib *r, struct rib_sub *s, bool on);
int rib_mark_all(struct rib *r, struct rib_sub *s,
                 enum family f); /* everything the subscriber cares for; dirty_fill */

/* Reading. Indices run from 1 to rib_limit-1; an index may be unused (rib_entry_used). */
uint32_t rib_find(const struct rib *r, enum family f, const struct prefix *p); /* 0: none */
uint32_t rib_limit(const struct rib *r, enum family f);
bool rib_entry_used(const struct rib *r, enum family f, uint32_t index);
struct rib_entry *rib_entry(const struct rib *r, enum family f, uint32_t index);
void rib_entry_prefix(const struct rib *r, enum family f, const struct rib_entry *e, struct prefix *out);
const struct rib_path *rib_path(const struct rib *r, uint32_t path);
uint32_t rib_path_id(const struct rib *r, uint32_t path); /* as received, RFC 7911 */
/* Neither filtered nor without a reachable next hop, nor of a session that is gone and waiting for the sweep.
 */
bool rib_path_usable(const struct rib *r, enum family f, const struct rib_path *p);
bool rib_path_is_stale(const struct rib *r, enum family f, const struct rib_path *p);
const struct rib_path *rib_best(const struct rib *r, const struct rib_entry *e); /* NULL: none */
const struct attr *rib_path_attr(const struct rib *r, const struct rib_path *p);
/* As the peer sent it. NULL: changed by the import policy and not kept (rib_peer.keep_received). */
const struct attr *rib_path_received(const struct rib *r, uint32_t path);
/* Longest match for an address, by probing the hash length by length; 0 none. For show. */
uint32_t rib_match(const struct rib *r, enum family f, const struct ip_addr *a);
struct attr_table *rib_attrs(const struct rib *r);
struct nexthop_table *rib_nexthops(const struct rib *r);

/* The FIB client's part of an entry. What it should hold now: FM_ROUTE_SET with *group (a new reference to
 * hand to rib_fib_sent or nhgroup_put), FM_ROUTE_UNREACHABLE for an own pod CIDR or aggregate,
 * FM_ROUTE_BLACKHOLE, or 0 for nothing. -ENOMEM. */
int rib_fib_desired(struct rib *r, enum family f, uint32_t index, uint32_t *group);
/* Whether the FIB was told just that already (whatever came of it), so that nothing is to be sent. */
bool rib_fib_is_current(const struct rib *r, enum family f, uint32_t index, int op, uint32_t group);
/* What the FIB was told last: enum fm_route_op, 0 for a removal or nothing. */
int rib_fib_told(const struct rib *r, enum family f, uint32_t index);
/* Notes what was sent: op 0 when a removal was sent. Keeps the entry alive while the FIB has it. */
void rib_fib_sent(struct rib *r, enum family f, uint32_t index, int op, uint32_t group);
/* A result for it; error as in fibmsg. Frees the entry when nothing holds it any more. */
void rib_fib_result(struct rib *r, enum family f, uint32_t index, int op, int32_t error);
int32_t rib_fib_error(const struct rib *r, enum family f,
                      uint32_t index); /* of FIB_FAILED entries; kept aside */
/* An entry lives while it has paths, the FIB has it, or a subscriber's dirty set has it or `holds` it
 * (Adj-RIB-Out: advertised and not withdrawn yet). A subscriber that has served an index of an entry without
 * paths calls this; it is freed if nobody is left. */
void rib_release(struct rib *r, enum family f, uint32_t index);
/* The entry of a prefix, made if there is none, for a subscriber that `holds` it from now on. originated: the
 * subscriber is one of originated prefixes only. 0: out of memory. */
uint32_t rib_hold(struct rib *r, enum family f, const struct prefix *p, bool originated);

struct rib_stats {
    uint32_t prefixes[FAM_COUNT], paths[FAM_COUNT];
    uint32_t fib[FAM_COUNT][4]; /* by enum fib_state */
    uint64_t table_bytes, path_bytes, index_bytes;
    uint64_t version; /* counts best-path changes: "tableVersion" */
};
void rib_stats(const struct rib *r, struct rib_stats *out);

#endif
