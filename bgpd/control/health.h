/* Whether the daemon lives, and whether the node may be sent traffic: /healthz, /readyz, and the same in
 * metrics. */
#ifndef UNDERLAY_HEALTH_H
#define UNDERLAY_HEALTH_H

#include <stdbool.h>

struct speaker;

struct health;
struct health *health_new(struct speaker *s); /* NULL: out of memory */
void health_free(struct health *h);

/* Ready is when all of these hold:
 * - started: links, addresses and the state file are known, peers were started
 * - session: at least one session is established
 * - fib: once since the speaker's start the kernel had all that the peers had sent by then, one of them with
 *   End-of-RIB (or Established for 5 s without); later changes do not take that back
 * - drain: the node is not drained
 * - kubernetes: where it is on, something is known from the API server, if only from an earlier run */
#define HEALTH_CHECKS 5
struct health_check {
    const char *name;
    bool ok;
    char why[160]; /* it is not ok; else "" */
};
bool health_ready(const struct speaker *s, struct health_check out[HEALTH_CHECKS]);

#endif
