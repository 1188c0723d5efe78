/* Shared by groups.c (what a group is, and what the kernel should have of it) and groups_table.c (storage of
 * contents and numbers). */
#ifndef UNDERLAY_FIB_GROUPS_INTERNAL_H
#define UNDERLAY_FIB_GROUPS_INTERNAL_H

#include "fib/groups.h"
#include "lib/ixhash.h"
#include "lib/slab.h"

struct member {
    uint32_t item; /* index of a tracked next hop, or of a hop */
    uint32_t weight;
};

struct content {
    uint32_t kernel_id;
    uint32_t numbers; /* that point here */
    uint32_t first;   /* of them */
    uint32_t routes;  /* in the kernel over this */
    uint32_t leaving; /* of them, counted by groups_leave */
    bool dead;
    bool has_ipv4; /* among the members: IPv6 routes do not go over it */
    uint16_t n_members;
    uint16_t n_hops;
    struct member *hops; /* room for n_members */
    struct member members[];
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
    struct ixhash by_members, by_kernel_id;
    uint32_t seed;
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

int contents_init(struct groups *g); /* 0 or -errno */
void contents_reset(struct groups *g);
/* One that is not dead; 0: none. Members sorted. */
uint32_t content_find(const struct groups *g, const struct member *m, unsigned n);
/* 0: out of memory, or too many. has_ipv4 and references are the caller's. */
uint32_t content_new(struct groups *g, const struct member *m, unsigned n);
void content_free(struct groups *g, uint32_t i);
void content_set_members(struct groups *g, uint32_t i, const struct member *m); /* as many as before */
void content_set_kernel_id(struct groups *g, uint32_t i, uint32_t id);          /* 0: none */
void content_set_dead(struct groups *g, uint32_t i);                            /* not found any more */
int numbers_reserve(struct groups *g, uint32_t id);                             /* 0 or -ENOMEM */
void number_link(struct groups *g, uint32_t id, uint32_t content);              /* 0: unlinks */

#endif
