/* Shared by the files that implement kernel.h; nobody else's. */
#ifndef UNDERLAY_FIB_KERNEL_INTERNAL_H
#define UNDERLAY_FIB_KERNEL_INTERNAL_H

#include <linux/netlink.h>

#include "fib/kernel.h"

#define BATCH_BYTES 262144
#define RX_BYTES    65536

struct nl_sock;

struct kernel {
    struct kernel_config cfg;
    struct nl_sock *requests; /* changes and lookups */
    struct nl_sock *dumps;
    struct nl_sock *monitor;
    int claim; /* of our protocol number, see kernel_claim.c; -1: none */
    uint32_t request_port;
    uint32_t seq;
    bool routes_monitored;
    int dump_error;
    uint32_t dump_seq;
    uint32_t batch_seq; /* sequence number of the batch's first message */
    unsigned batch_n;
    size_t batch_len;
    struct nlmsghdr *batch_last;
    uint8_t *batch; /* BATCH_BYTES */
    /* One a socket: a callback on a dump or an event may make requests. */
    _Alignas(8) uint8_t rx_requests[RX_BYTES];
    uint8_t rx_dumps[RX_BYTES];
    uint8_t rx_monitor[RX_BYTES];
};

/* A message at the end of the batch, extra bytes of family header included and zeroed; NULL when there is no
 * room. */
struct nlmsghdr *kernel_message(struct kernel *k, uint16_t type, uint16_t flags, size_t extra);
void kernel_attr(struct kernel *k, struct nlmsghdr *h, uint16_t type, const void *data, size_t len);
void kernel_attr_u32(struct kernel *k, struct nlmsghdr *h, uint16_t type, uint32_t value);
/* Sends the one message gathered and returns its answer. */
int kernel_call(struct kernel *k);

/* Netlink message to event; false when it is none of ours to know. */
bool kernel_parse(const struct nlmsghdr *h, struct kevent *ev);
/* The next hops of a route, at most max; how many. */
unsigned kernel_parse_ways(const struct nlmsghdr *h, struct kway *out, unsigned max);

#endif
