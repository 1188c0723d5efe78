/* The raw ICMPv6 socket of unnumbered peers: one for all interfaces, opened by the parent. Sends and receives
 * router advertisements and solicitations; what they mean is peer_unnumbered.c's business. */
#ifndef UNDERLAY_RASOCK_H
#define UNDERLAY_RASOCK_H

#include "ra.h"

struct speaker;
struct rasock;

struct rasock_ops {
    /* The socket is there, or (-errno) there is none for now; it is asked for again. */
    void (*opened)(void *arg, int error);
    /* A valid message that came in over an interface. Not called from within another call of this header. */
    void (*received)(void *arg, uint32_t ifindex, const struct ip_addr *from, const struct ra_msg *m);
};

/* Asks the parent for the socket at once. NULL: out of memory. Frees at the end of the process only, as an
 * answer of the parent may be on its way. */
struct rasock *rasock_new(struct speaker *s, const struct rasock_ops *ops, void *arg);
void rasock_free(struct rasock *r);
bool rasock_is_open(const struct rasock *r);
int rasock_error(const struct rasock *r); /* why it is not open: -errno, 0 not known yet */
/* Membership of the all-routers group, to which solicitations are sent. Once an interface. 0 or -errno. */
int rasock_join(struct rasock *r, uint32_t ifindex);
void rasock_leave(struct rasock *r, uint32_t ifindex); /* also of an interface that is gone */
/* The link-layer address of an Ethernet; false: it is none. */
bool rasock_lladdr(const struct rasock *r, const char *interface, uint8_t out[6]);
/* Whether the kernel acts on advertisements that come in over the interface, and makes who sends them a
 * default router of this node. */
bool rasock_host_obeys(const struct rasock *r, const char *interface);
/* From one of our link-local addresses. to af 0: to all nodes (an advertisement) or all routers (a
 * solicitation). 0 or -errno; never blocks. */
int rasock_send(struct rasock *r, uint32_t ifindex, const struct ip_addr *from, const struct ip_addr *to,
                const struct ra_msg *m);

#endif
