/* TCP sockets as BGP wants them: nonblocking, TTL rules (RFC 4271 peers one hop away, RFC 5082), TCP-MD5 (RFC
 * 2385), class of service. No loop, no state: options in, descriptor out. Needs no privilege. */
#ifndef UNDERLAY_TRANSPORT_H
#define UNDERLAY_TRANSPORT_H

#include <stdbool.h>

#include "prefix.h"

#define TRANSPORT_KEY_MAX 80 /* TCP_MD5SIG_MAXKEYLEN */

struct transport_options {
    struct ip_addr local; /* to connect from; af 0: the kernel's choice */
    uint32_t scope;       /* ifindex, for link-local addresses */
    const char *key;      /* TCP-MD5; NULL: none. Borrowed */
    uint8_t ttl; /* of what we send: 1 for direct eBGP, the hops for multihop, 255 for GTSM; 0: the default */
    uint8_t gtsm_hops; /* RFC 5082: drop what has crossed more routers; 0: off */
    bool check_syn;    /* of a connection that came in: no filter has, see transport_save_syn */
};

/* Starts a connection. 0 with a descriptor that turns writable when it is done or has failed; -errno
 * (-ENETUNREACH …). */
int transport_connect(const struct ip_addr *peer, uint16_t port, const struct transport_options *o, int *fd);
int transport_result(int fd); /* of a connect that turned writable: 0 or -errno */
/* A connection that came in: the same rules. The key has been inherited from the listener. 0 or -errno;
 * -EHOSTUNREACH: its first packet came from too far away, or nobody knows (GTSM with check_syn). */
int transport_accepted(int fd, const struct transport_options *o);

/* A bound, listening socket. TTL 255, so that the answer to the first packet of a GTSM peer is not dropped by
 * it. */
int transport_listener(int fd);
/* Keeps the first packet of connections to a listener, for transport_accepted to look at. 0 or -errno. */
int transport_save_syn(int listener);
/* The key for one peer on a listener or an own socket; NULL takes it away (absent already: no error). 0 or
 * -errno. */
int transport_set_key(int fd, const struct ip_addr *peer, uint32_t scope, const char *key);

/* The same for all addresses of a range (Linux 4.13); the kernel takes the most specific key that it has. */
int transport_set_range_key(int fd, const struct prefix *range, const char *key);

int transport_local(int fd, struct ip_addr *a, uint16_t *port);
int transport_remote(int fd, struct ip_addr *a, uint16_t *port, uint32_t *scope);
/* Bytes that the other side has not acknowledged (the FIN included); *acked: those that it has, in all. */
uint64_t transport_unacked(int fd, uint64_t *acked);
/* After close(): give the connection up when nothing is acknowledged for so long. */
void transport_give_up_after(int fd, uint32_t ms);
void transport_abort_on_close(int fd); /* reset it, and drop what is unsent */
uint32_t transport_rtt_us(int fd);     /* smoothed, 0: unknown */

#endif
