/* A BGP speaker just good enough to feed and to drain a daemon at full speed. See peer.c. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PEER_READ_SIZE = 256 * 1024, PEER_MSG_MAX = 4096 };

enum peer_state { PEER_DOWN, PEER_CONNECTING, PEER_OPEN_SENT, PEER_OPEN_CONFIRM, PEER_ESTABLISHED };

struct peer {
    const char *name;
    struct sockaddr_in local, remote; /* remote port 0: wait on local for the daemon to connect */
    uint32_t asn;
    int fd, listen_fd;
    uint32_t watched; /* what peer_watch() told epoll last; 0 nothing */
    enum peer_state state;
    int64_t established_ns, keepalive_ns; /* keepalive_ns: when the last one was sent */
    const uint8_t *out;                   /* the stream being written; borrowed */
    size_t out_len, out_off;
    int64_t first_write_ns, last_write_ns;
    size_t in_len;
    uint64_t in_bytes, in_updates;
    char why[128]; /* why the session went down */
    /* Called for each UPDATE's body. */
    void (*on_update)(void *arg, const uint8_t *body, size_t len);
    void *arg;
    uint8_t in[PEER_READ_SIZE + PEER_MSG_MAX];
};

/* "LOCAL,REMOTE,ASN"; port is the daemon's, or with wait the own. Returns 0 or -EINVAL. */
int peer_init(struct peer *p, const char *name, const char *spec, uint16_t port, bool wait);

/* Starts connecting or listening. Returns 0 or -errno. */
int peer_start(struct peer *p);

/* Has the epoll descriptor wait for what the peer wants now, with the peer as data.ptr. Returns 0 or -errno.
 */
int peer_watch(struct peer *p, int epoll);

/* Handles readiness. Returns 0, or -errno when an established session was lost (why says more). */
int peer_ready(struct peer *p, uint32_t events);

/* Sends what time demands: KEEPALIVEs, connection attempts. */
int peer_tick(struct peer *p, int64_t now_ns);

/* Borrows data until it is written: out is NULL then. */
void peer_send(struct peer *p, const uint8_t *data, size_t len);
void peer_close(struct peer *p);

#endif
