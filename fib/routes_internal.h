/* Shared by routes_table.c (storage), routes_queue.c (what is pending), routes.c (wishes and batches) and
 * routes_check.c (walks over everything). */
#ifndef UNDERLAY_FIB_ROUTES_INTERNAL_H
#define UNDERLAY_FIB_ROUTES_INTERNAL_H

#include "fib/heal.h"
#include "fib/routes.h"

/* want: a group number of the speaker's; have: the index of a group's content. Or one of these, in both. */
#define ROUTE_NONE        0u
#define ROUTE_UNREACHABLE 0xFFFFFu
#define ROUTE_OTHER       0xFFFFEu /* have only: of our protocol, but not as we would write it */
#define ROUTE_BLACKHOLE   0xFFFFDu /* in the place of the unicast one */
static inline bool route_is_over_group(uint32_t want_or_have)
{
    return want_or_have && want_or_have < ROUTE_BLACKHOLE;
}

enum route_flag {
    RF_USED = 1,
    RF_UNREACHABLE = 2, /* part of the key: this is the unreachable one of the prefix */
    RF_PENDING = 4,     /* in the queue */
    RF_UNCONFIRMED = 8, /* of a former speaker; left alone until wanted again or swept */
    RF_UNSEEN = 16,     /* not met in the present check */
    RF_OWED = 32,       /* the speaker waits for a result */
};
enum route_error { RE_NONE, RE_CONNECTED, RE_CONFLICT, RE_NEXTHOP, RE_PREFSRC, RE_FAILED };

/* 16 bytes an IPv4 route, 28 an IPv6 one; plus 9 to 12 in the index. */
struct route {
    uint32_t cookie;
    uint32_t want : 20, flags : 12;
    uint32_t have : 20, len : 8, error : 4;
    uint8_t addr[];
};

struct route_slot {
    uint32_t hash, index; /* index 0: empty */
};

struct route_table {
    enum family family;
    uint32_t record; /* bytes */
    uint32_t n;      /* slots ever used, slot 0 included */
    uint32_t capacity;
    uint32_t used;
    uint32_t free; /* list of unused slots through cookie */
    uint8_t *records;
    struct route_slot *slots; /* see routes_table.c */
    uint32_t size, homes;
    uint32_t seed;
};

static inline struct route *route_at(const struct route_table *t, uint32_t i)
{
    return (struct route *)(void *)(t->records + (size_t)i * t->record);
}

void route_table_init(struct route_table *t, enum family f);
void route_table_reset(struct route_table *t);
/* By prefix and kind; 0: not there. */
uint32_t route_table_find(const struct route_table *t, const uint8_t *addr, uint8_t len, bool unreachable);
/* Soon to be looked up: a table of millions of routes is in no cache. */
void route_table_prefetch(const struct route_table *t, const uint8_t *addr, uint8_t len, bool unreachable);
/* After that, and before the lookup. */
void route_table_prefetch_route(const struct route_table *t, const uint8_t *addr, uint8_t len,
                                bool unreachable);
/* The existing or a new, zeroed one; 0: out of memory or full. Moves the records: pointers from route_at are
 * void. */
uint32_t route_table_get(struct route_table *t, const uint8_t *addr, uint8_t len, bool unreachable);
void route_table_remove(struct route_table *t, uint32_t i);
uint64_t route_table_memory(const struct route_table *t);

/* Routes by reference: the index, and the family in the top bit. */
struct route_queue {
    uint32_t *refs;
    uint32_t n, size;
    uint32_t chosen; /* so many at the start come next, the last one first */
};
#define ROUTE_REF_IPV6 0x80000000u
static inline enum family routes_ref_family(uint32_t ref)
{
    return ref & ROUTE_REF_IPV6 ? FAM_IPV6 : FAM_IPV4;
}
static inline uint32_t routes_ref_index(uint32_t ref)
{
    return ref & ~ROUTE_REF_IPV6;
}

struct routes {
    struct fib *f;
    struct route_table tables[FAM_COUNT];
    struct task *writer;
    struct task *walker;
    struct timer *retry;
    struct timer *heal; /* a walk soon: routes of ours went that nobody told us to take away */
    struct heal healing;
    uint32_t taken, n_taken; /* the first of them as in the queue, and how many */
    uint64_t retry_ms;
    /* Pending routes, see routes_queue.c. */
    struct route_queue missing, moves, removals;
    struct timer *hold;  /* removals that wait for more of them */
    uint64_t removal_us; /* the last one came */
    uint64_t gather_us;  /* the first of those that wait came; 0: do not wait */
    bool look;           /* for groups that may go: there were removals since */
    uint64_t random;
    uint64_t written_ms;        /* the last batch */
    uint32_t failed;            /* routes with RE_FAILED */
    uint32_t installed;         /* routes with have */
    bool bulk;                  /* the monitor does not listen */
    bool sourceless[FAM_COUNT]; /* fib.prefsrc is no address of this host */
    bool checking;              /* between routes_check_begin and _end: nothing is written */
    bool swept;                 /* nothing is unconfirmed any more */
    /* The walk of routes_check.c. */
    bool walk_again;
    bool walk_failed; /* also queue what failed */
    enum family walk_family;
    uint32_t walk_at;
    /* Routes of our protocol that we would never write (another metric): deleted at the sweep. */
    struct kroute *strays;
    uint32_t n_strays;
    struct fm_result *results;
    uint32_t n_results;
    struct log_limit failures;
};

void routes_enqueue(struct routes *r, enum family f, uint32_t i);
/* Takes out up to max routes whose turn it is; 0 with some queued: they wait for more, and the writer is
 * woken. */
unsigned routes_take(struct routes *r, uint32_t *refs, unsigned max);
void routes_fetch(const struct routes *r, uint32_t ref); /* into the cache */
uint32_t routes_queued(const struct routes *r);
void routes_queue_reset(struct routes *r); /* forgets all; RF_PENDING is the caller's */
void routes_set_have(struct routes *r, struct route *e, uint32_t have);
void routes_set_want(struct routes *r, struct route *e, uint32_t want);
void routes_set_error(struct routes *r, struct route *e, enum route_error error);
/* What the kernel should have for e now, and why it should have nothing although it is wanted. */
uint32_t routes_target(struct routes *r, enum family f, const struct route *e, enum route_error *why);
struct prefix routes_prefix(enum family f, const struct route *e);
void routes_release(struct routes *r, enum family f, uint32_t i); /* frees it when nothing holds it */
bool routes_walk(void *arg);                                      /* the walker's step */
void routes_heal(void *arg);                                      /* the timer's */

#endif
