/* Policies: what a peer's import or export makes of a route. A list of rules, tried in order: where every
 * condition of a rule holds, its changes are made and its verdict counts (`next`: the changes are kept and
 * the following rules see them). What no rule decides is rejected.
 *
 * Pure: attributes in, attributes out, no sockets and no clock. Policies are counted and never changed after
 * they are built (config_policy.c), so that what still works by the old configuration may keep its own. */
#ifndef UNDERLAY_POLICY_H
#define UNDERLAY_POLICY_H

#include "lib/community_pattern.h"
#include "policy_regex.h"
#include "rib/attr.h"
#include "rib/nexthop.h"
#include "rib/rib.h"

#define POLICY_MAX_RULES       64
#define POLICY_NAMELEN         64
#define POLICY_MAX_COMMUNITIES 32 /* in one `set` */
/* What matching the AS path of one route may cost, in steps of policy_regex.h: some 10 ms. */
#define POLICY_MAX_STEPS 4000000
#define POLICY_MAX_PATH  16384 /* of a printed AS_PATH: far more than an UPDATE of 4096 octets can carry */

enum policy_then { POLICY_ACCEPT, POLICY_REJECT, POLICY_NEXT };

/* The conditions, in the order in which they are looked at: those of the prefix first. */
enum policy_cond {
    COND_NONE, /* all hold */
    COND_PREFIX,
    COND_FAMILY,
    COND_SOURCE,
    COND_PEER,
    COND_NEXT_HOP,
    COND_ORIGIN,
    COND_COMMUNITY,
    COND_AS_PATH,
    COND_COUNT
};

/* Where a route comes from: enum origin_kind, or a peer. */
#define POLICY_SOURCE_LEARNED 4
#define POLICY_SOURCE_WORDS   "static pod-cidr vip interface learned"

struct prefix_range {
    struct prefix prefix;
    uint8_t ge, le; /* lengths that match */
};

struct policy_peer { /* one of the two */
    struct prefix range;
    char interface[16];
};

struct policy_words { /* as written in the file, for people */
    char **text;
    unsigned n;
};

struct policy_rule {
    struct policy_words words[COND_COUNT];
    struct prefix_range *prefixes;
    struct community_pattern *communities;
    struct path_regex **paths;
    struct prefix *next_hops;
    struct policy_peer *peers;
    unsigned n_prefixes, n_communities, n_paths, n_next_hops, n_peers;
    uint8_t families, sources, origins; /* sets of bits, 0: any */

    bool has_local_pref, has_med, no_med, has_origin, replaces, next_hop_self;
    uint8_t origin, prepend;
    uint32_t local_pref, med;
    uint32_t weight; /* 0: not set */
    struct ip_addr next_hop;
    struct community_pattern *add, *remove, *replace;
    unsigned n_add, n_remove, n_replace;
    enum policy_then then;
};

struct policy {
    unsigned refs;
    char name[POLICY_NAMELEN];
    struct policy_rule *rules;
    unsigned n_rules;
};
struct policy *policy_new(const char *name, unsigned n_rules); /* one reference; NULL: out of memory */
struct policy *policy_ref(const struct policy *p);             /* NULL stays NULL */
void policy_unref(struct policy *p);                           /* NULL is a no-op */
/* Whether they do the same, whatever they are called and however they are written. */
bool policy_equal(const struct policy *a, const struct policy *b);
bool policy_changes_attributes(const struct policy *p);
bool policy_may_accept_learned(const struct policy *p); /* NULL: no */
bool policy_rule_sets(const struct policy_rule *r);
bool policy_sets_next_hop_self(const struct policy *p); /* some rule sets next-hop self */

/* The session that a policy serves, and what evaluating it costs less with: results by attributes, so that a
 * million routes with few attributes are few evaluations. Holds references to attributes, bounded. */
struct policy_memo;
struct policy_env {
    struct attr_table *attrs;
    struct nexthop_table *nexthops;
    bool export, ebgp;
    uint32_t local_as; /* what export prepends */
    /* The interface of an unnumbered peer, "" for others. */
    const char *(*interface)(const struct rib_peer *peer);
};
struct policy_memo *policy_memo_new(const struct policy_env *env); /* NULL: out of memory */
void policy_memo_free(struct policy_memo *m);
uint64_t policy_memo_memory(const struct policy_memo *m); /* NULL: 0 */
static inline bool policy_env_equal(const struct policy_env *a, const struct policy_env *b)
{
    return a->attrs == b->attrs && a->export == b->export && a->ebgp == b->ebgp && a->local_as == b->local_as;
}

struct policy_route {
    enum family family;
    const struct prefix *prefix;
    const struct attr *attr;
    const struct rib_peer *from; /* NULL: originated */
    uint8_t source;              /* enum origin_kind, or POLICY_SOURCE_LEARNED */
};
struct policy_result {
    bool accepted;
    uint8_t rule;            /* that decided, from 1; 0: none did */
    const struct attr *attr; /* of an accepted route; borrowed until the memo's next use */
};
/* 0 or -ENOMEM. */
int policy_apply(const struct policy *p, struct policy_memo *m, const struct policy_route *r,
                 struct policy_result *out);
/* The same without the memo's short cuts; rule is told of each rule that was looked at and of the first
 * condition that did not hold. */
int policy_explain(const struct policy *p, struct policy_memo *m, const struct policy_route *r,
                   void (*rule)(void *arg, const struct policy *p, unsigned i, enum policy_cond failed,
                                const struct attr *seen),
                   void *arg, struct policy_result *out);
/* What can be said of a prefix alone: the first of the conditions on it that fails. */
enum policy_cond policy_check_prefix(const struct policy_rule *r, enum family f, const struct prefix *p);

/* policy_set.c: the changes of one rule. Spans of b that are changed point into buf. */
struct policy_buffer {
    uint8_t parts[PART_EXTENDED + 1][UINT16_MAX + 1];
};
/* -E2BIG: more than an attribute can hold. */
int policy_rule_apply(const struct policy_rule *r, const struct policy_env *env, enum family f,
                      struct attr_build *b, struct policy_buffer *buf);

/* policy_text.c: for people. Return buf. */
const char *policy_cond_name(enum policy_cond c); /* "prefix", "as-path": the keys */
const char *policy_then_name(enum policy_then t);
/* "not present: community 65001:1"; "applies". */
const char *policy_miss_text(const struct policy_rule *r, enum policy_cond failed, char *buf, size_t size);
/* Calls for every condition and every change of a rule, "local-pref", "200"; list: several values follow each
 * other under the same key. */
struct policy_item {
    const char *key;
    bool list;
    const char *const *values;
    unsigned n;
};
void policy_rule_match_items(const struct policy_rule *r,
                             void (*item)(void *arg, const struct policy_item *i), void *arg);
void policy_rule_set_items(const struct policy_rule *r, void (*item)(void *arg, const struct policy_item *i),
                           void *arg);

#endif
