/* Unnumbered peers: who sits at the other end of an interface, found by router advertisements (RFC 4861).
 * Only for peer*.c. */
#ifndef UNDERLAY_PEER_UNNUMBERED_H
#define UNDERLAY_PEER_UNNUMBERED_H

#include "rasock.h"

struct peer;
struct peer_set;
struct unnumbered;

struct unnumbered *unnumbered_new(struct peer *p); /* NULL: out of memory */
void unnumbered_free(struct unnumbered *u);
/* Looks at the interface again: a change of it ends the session, and what can start starts. At a start of the
 * peer, and whenever links or addresses changed. */
void unnumbered_look(struct unnumbered *u);
/* The interface is up, has a link-local address of ours, and the peer's address there is known. */
bool unnumbered_is_ready(const struct unnumbered *u);
/* What is missing for that, and what to look at. */
void unnumbered_why(const struct unnumbered *u, char *why, size_t why_size, char *hint, size_t hint_size);
uint32_t unnumbered_ifindex(const struct unnumbered *u);     /* 0: there is no such interface */
struct ip_addr unnumbered_local(const struct unnumbered *u); /* to connect from */
/* A connection from a link-local address that is no peer's: the unnumbered peer of that interface that takes
 * it for its own, as it knows of none yet; or NULL. */
struct peer *unnumbered_adopt(struct peer_set *ps, const struct ip_addr *from, uint32_t ifindex);

struct unnumbered_info {
    uint64_t advertised, heard; /* advertisements, solicited ones included */
    uint64_t heard_ms;          /* ago; 0: never since the interface is up */
};
void unnumbered_info(const struct unnumbered *u, struct unnumbered_info *out);

extern const struct rasock_ops unnumbered_rasock_ops; /* arg: struct peer_set */

#endif
