/* Watches from outside how many IPv4 routes a network namespace's kernel holds. See fibwatch.c. */
#ifndef BENCH_FIBWATCH_H
#define BENCH_FIBWATCH_H

#include "table.h"

enum { FIBWATCH_SAMPLES = 1024 };

struct fibwatch {
    int netlink, triestat;
    uint32_t seq;
    unsigned next, samples; /* samples before `next` are settled in the present direction */
    struct table_prefix sample[FIBWATCH_SAMPLES];
    unsigned width;        /* next hops that a route has when it has arrived */
    long base, routes;     /* prefixes before the first of ours; how many ours are */
    int64_t next_count_ns; /* earliest time of the next expensive count */
};

/* netns: path such as /run/netns/NAME, or NULL for the own. The table must outlive nothing. A route has
 * arrived with so many next hops. Returns 0 or -errno. */
int fibwatch_open(struct fibwatch *w, const char *netns, const struct table *t, unsigned hops);

/* What is in the kernel now counts as not ours; starts a watch for arrival. Returns 0 or -errno. */
int fibwatch_begin(struct fibwatch *w);

/* Starts a watch for removal. */
void fibwatch_turn(struct fibwatch *w);

/* 1 when all routes are in the kernel (present) or all are gone (!present), 0 not yet, or -errno. */
int fibwatch_poll(struct fibwatch *w, bool present, int64_t now_ns);
void fibwatch_close(struct fibwatch *w);

/* CLOCK_MONOTONIC. */
int64_t bench_now_ns(void);

#endif
