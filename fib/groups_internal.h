/* Shared by groups.c (the speaker's numbers), groups_kernel.c (what the kernel should have of a content),
 * groups_adopt.c (what a former life left) and groups_table.c (storage). */
#ifndef UNDERLAY_FIB_GROUPS_INTERNAL_H
#define UNDERLAY_FIB_GROUPS_INTERNAL_H

#include "fib/groups.h"
#include "lib/ixhash.h"
#include "lib/slab.h"

struct member {
    uint32_t item; /* index of a tracked next hop, or of a hop */
    uint32_t weight;
};

/* What a group is for. Members sorted, so that equal sets are equal bytes; behind them the backups, in the
 * order of their preference. */
struct group_set {
    uint16_t n_members, n_backups;
    struct member members[FM_GROUP_MEMBERS];
};
static inline unsigned set_size(const struct group_set *s)
{
    return (unsigned)s->n_members + s->n_backups;
}

/* In lists: of the contents that name a next hop (content and place in its set), and of stale ones. */
struct list_link {
    uint32_t prev, next;
};

struct content {
    uint32_t kernel_id;
    uint32_t numbers; /* that point here */
    uint32_t first;   /* of them */
    uint32_t routes;  /* in the kernel over this */
    uint32_t leaving; /* of them, counted by groups_leave */
    bool dead;
    bool adopted;  /* of a former life: what it is for is not known until a number takes it */
    bool stale;    /* the kernel has to be brought in line */
    bool refused;  /* it did not take it; tried again later */
    bool has_ipv4; /* in the set: IPv6 routes do not go over it */
    uint16_t n_hops;
    uint16_t room_hops;
    struct member *hops; /* the kernel group as it is, sorted */
    struct list_link stale_link;
    struct group_set *set;
    struct list_link *naming; /* one a member and backup */
};

struct content_slot {
    uint32_t link_; /* the slab's, of a free one */
    struct content *content;
};

struct number {
    uint32_t content;    /* 0: not defined */
    uint32_t prev, next; /* of the numbers of that content, 0: none */
    uint32_t wanted;     /* routes */
    bool deleted;        /* by the speaker; kept for the routes */
};

struct groups {
    struct fib *f;
    struct number *numbers;
    uint32_t n_numbers;
    struct slab slots; /* struct content_slot */
    struct ixhash by_set, by_kernel_id;
    uint32_t *named; /* by tracked next hop: the first of the contents that name it */
    uint32_t n_named;
    uint32_t stale_first, stale_last;
    uint32_t n_adopted, n_refused;
    uint32_t seed;
    uint8_t serial; /* of the last kernel id */
    struct log_limit failures;
};

static inline struct content *content_at(const struct groups *g, uint32_t i)
{
    return ((const struct content_slot *)slab_at(&g->slots, i))->content;
}
static inline uint32_t contents_limit(const struct groups *g)
{
    return g->slots.next;
}

/* groups_table.c */
int contents_init(struct groups *g); /* 0 or -errno */
void contents_reset(struct groups *g);
/* One that is for this, neither dead nor adopted; 0: none. */
uint32_t content_find(const struct groups *g, const struct group_set *s);
/* Takes over the references on the set's next hops. 0: out of memory, or too many. */
uint32_t content_new(struct groups *g, const struct group_set *s);
uint32_t content_new_adopted(struct groups *g); /* with an empty set */
void content_free(struct groups *g, uint32_t i);
/* Another set, and no more adopted; takes over the references and gives up those of the old one. 0 or
 * -ENOMEM: nothing has changed. */
int content_redefine(struct groups *g, uint32_t i, const struct group_set *s);
void content_set_kernel_id(struct groups *g, uint32_t i, uint32_t id); /* 0: none */
void content_set_dead(struct groups *g, uint32_t i);                   /* not found any more */
int content_reserve_hops(struct content *c, unsigned n);               /* 0 or -ENOMEM */
void content_set_stale(struct groups *g, uint32_t i, bool stale);
void content_set_refused(struct groups *g, uint32_t i, bool refused);
int numbers_reserve(struct groups *g, uint32_t id);                /* 0 or -ENOMEM */
void number_link(struct groups *g, uint32_t id, uint32_t content); /* 0: unlinks */
void set_unref(struct groups *g, const struct group_set *s);
int set_compare_members(const void *a, const void *b);

/* groups.c */
void content_free_unused(struct groups *g, uint32_t i);
void content_point_number(struct groups *g, uint32_t id, uint32_t content);

/* groups_kernel.c */
/* The ways that set s has now, each once and sorted by gateway, into room for KERNEL_MEMBERS_MAX. */
unsigned set_ways(const struct groups *g, const struct group_set *s, struct kway *out);
/* The kernel has the group no more. */
void content_forget_group(struct groups *g, uint32_t i);
/* The kernel has dropped (or is told to drop) the group and the routes over it. */
void content_bury(struct groups *g, uint32_t i);
int content_write(struct groups *g, uint32_t i, const struct member *hops, unsigned n);
/* False: the kernel refused something. */
bool content_update(struct groups *g, uint32_t i);
void groups_complain(struct groups *g, const char *what, int rc);

/* groups_adopt.c */
/* The one of a former life that is for this; 0: none. */
uint32_t adopted_find(const struct groups *g, const struct group_set *s);
/* What of a set stays in the ids of its group, in every life the same. */
uint32_t set_mark(const struct groups *g, const struct group_set *s);

#endif
