/* Draining: the node is about to go, and says so before it does (RFC 8326). First everything it originates is
 * sent with GRACEFUL_SHUTDOWN, so that traffic moves to other nodes where there are any; after a delay it is
 * withdrawn. Sessions stay, and what was learned stays in the kernel. A drain outlives reloads and the
 * speaker, not the daemon. */
#ifndef UNDERLAY_DRAIN_H
#define UNDERLAY_DRAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define DRAIN_AFTER_MS     30000 /* unless told otherwise */
#define DRAIN_AFTER_MOST_S 86400u
#define DRAIN_NEVER        UINT64_MAX /* only GRACEFUL_SHUTDOWN */

enum drain_phase { DRAIN_OFF, DRAIN_SHUTDOWN, DRAIN_WITHDRAWN };

struct speaker;
struct drain;
struct drain *drain_new(struct speaker *s); /* before the privileges go. NULL: out of memory */
void drain_free(struct drain *d);
/* Begins, or gives the drain that is under way another delay, from now on. again: leave one that has its
 * delay as it is. */
void drain_begin(struct drain *d, uint64_t after_ms, bool again);
void drain_end(struct drain *d); /* everything is sent as before */
enum drain_phase drain_phase(const struct drain *d);
uint64_t drain_left_ms(const struct drain *d); /* until the withdrawal, DRAIN_NEVER; 0: none is due */
/* "graceful shutdown is said, withdrawal in 12 s"; NULL when off. Returns buf. */
const char *drain_text(const struct drain *d, char *buf, size_t size);

/* Who waits until the peers have been told of the withdrawal, or the drain ends. */
struct drain_waiter {
    struct drain_waiter *next;
    void (*wake)(void *arg);
    void *arg;
};
/* False: there is nothing to wait for. The waiter is the caller's until wake or drain_forget. */
bool drain_wait(struct drain *d, struct drain_waiter *w);
void drain_forget(struct drain *d, struct drain_waiter *w);
bool drain_is_told(const struct drain *d); /* nothing waits to be said to a peer whose session is up */

/* The state file's line, if there is a drain; and back: false when the line is something else. */
void drain_save(const struct drain *d, FILE *f);
bool drain_restore(struct drain *d, const char *line);

#endif
