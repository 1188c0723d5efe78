/* What the files of Adj-RIB-Out share: one best path a prefix (adjout.c), or all of them (adjout_paths.c).
 * Not for others. */
#ifndef UNDERLAY_ADJOUT_INT_H
#define UNDERLAY_ADJOUT_INT_H

#include "lib/ixhash.h"
#include "lib/slab.h"
#include "policy.h"
#include "rib/adjout.h"

#define BATCH       4096  /* prefixes a fill at most */
#define BATCH_LEAST 256   /* and when the buffer is small: sorting many to send few is work for nothing */
#define SCAN_STEP   16384 /* entries looked at a fill */

/* What a peer with ADD-PATH was sent: by prefix a list of paths, see adjout_paths.c. */
struct sent_table {
    struct slab prefixes, paths;
    struct ixhash by_index;
    uint32_t count; /* paths that the peer has */
    uint32_t epoch; /* what was said in an earlier one is to be said again */
    uint32_t stamp;
};

struct out_family {
    struct dirty has;              /* advertised; with add_path: has a record in `sent` */
    enum export_mode mode, before; /* before: while `scan` compares */
    bool unsure;                   /* what the peer has is by neither */
    bool changed;                  /* another policy since adjout_resend */
    bool on;
    bool eor_due, eor_sent;
    bool add_path;
    uint32_t scan; /* next entry to compare, 0: no walk under way */
    struct sent_table sent;
};

/* An export policy and what was found out by it. */
struct out_policy {
    struct policy *policy;    /* a reference, NULL: none */
    struct policy_memo *memo; /* NULL until it is needed */
    struct policy_env env;
};

struct adjout {
    struct rib *rib;
    struct rib_peer *peer;
    void (*wake)(void *arg);
    void *arg;
    struct update_export x;
    bool running, eor_held;
    bool resumed;   /* another process began the session */
    bool no_memory; /* in the last fill */
    struct out_family fam[FAM_COUNT];
    struct rib_sub sub;
    struct out_policy policy, before; /* before: while a scan compares */
};

/* adjout.c */
/* What a usable path is sent with: 1, 0: not at all, -ENOMEM: not known. *a borrows until the next call. */
int adjout_path_attr(struct adjout *o, enum family f, const struct rib_entry *e, const struct rib_path *p,
                     const struct attr **a);
bool adjout_room(const struct adjout *o, const struct wire_writer *w); /* for a message */
void adjout_served(struct adjout *o, enum family f, uint32_t index);   /* nothing is to be said of it now */
void adjout_sort(uint64_t *v, uint64_t *scratch, unsigned n); /* by the upper 32 bits; stable, into v */

/* What a policy made is held while it is in a batch of n (attribute id in the upper half); the rest is the
 * RIB's. */
static inline uint32_t adjout_hold(const struct out_family *of, const struct attr *a)
{
    return of->mode == EXPORT_BY_POLICY ? attr_ref(a)->id : a->id;
}
void adjout_release(struct adjout *o, enum family f, const uint64_t *batch, unsigned n);

/* adjout_policy.c */
int out_policy_apply(struct out_policy *op, struct adjout *o, enum family f, const struct rib_entry *e,
                     const struct rib_path *p, const struct attr **a);
void out_policy_reset(struct out_policy *op);
/* Whether the peer has something else of the entry than it should have by now. */
bool out_policy_differs(struct adjout *o, enum family f, uint32_t index);

/* adjout_paths.c */
void paths_start(struct adjout *o, enum family f);
void paths_stop(struct adjout *o, enum family f);
unsigned paths_write(struct adjout *o, struct wire_writer *w, enum family f, unsigned limit);
bool paths_differ(struct adjout *o, enum family f, uint32_t index);             /* maybe */
int paths_resume(struct adjout *o, enum family f, uint32_t index, uint32_t id); /* 0 or -ENOMEM */
void paths_each(const struct adjout *o, enum family f, uint32_t index,
                void (*cb)(void *arg, const struct prefix *p, uint32_t path_id), void *arg);
uint64_t paths_memory(const struct adjout *o, enum family f);

#endif
