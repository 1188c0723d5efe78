/* GTSM (RFC 5082) on listening sockets, which serve peers with and without it: a packet filter by source
 * address. */
#ifndef UNDERLAY_GTSM_H
#define UNDERLAY_GTSM_H

#include <linux/filter.h>

#include "prefix.h"

/* Who connects from `from` must be at most so many hops away; 0: anywhere. The first that matches counts. */
struct gtsm_rule {
    struct prefix from;
    uint8_t hops;
};

/* The filter for sockets of family af (AF_INET, AF_INET6); rules of the other family are left out. 0, or
 * -ENOMEM, -E2BIG (more than the kernel takes). The caller frees out->filter; NULL when there is no rule. */
int gtsm_program(int af, const struct gtsm_rule *rules, unsigned n, struct sock_fprog *out);
/* In force for every packet from now on, until it is replaced; connections inherit it. A program without
 * instructions takes it away. 0 or -errno. */
int gtsm_attach(int fd, const struct sock_fprog *program);

#endif
