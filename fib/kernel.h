/* The kernel as the parent sees it: one batch of changes at a time, dumps, lookups and a monitor. This header
 * is the whole border, so that a test can put a fake kernel behind it at link time. Implemented by netlink.c
 * (sockets, dumps, monitor), kernel_batch.c (changes), kernel_parse.c (messages to structs) and
 * kernel_claim.c.
 *
 * Every call is synchronous: rtnetlink does its work inside sendmsg, so the answers are there when it
 * returns. */
#ifndef UNDERLAY_FIB_KERNEL_H
#define UNDERLAY_FIB_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "prefix.h"

#define KERNEL_BATCH_MAX   2048 /* changes in one batch: about 4 ms of kernel work */
#define KERNEL_MEMBERS_MAX 64

struct kernel;

/* What all our routes have in common. */
struct kernel_config {
    uint32_t table;
    uint32_t metric;
    uint8_t protocol;
    struct ip_addr prefsrc[FAM_COUNT]; /* af 0: none */
};

struct klink {
    uint32_t ifindex;
    uint32_t flags; /* IFF_* */
    uint32_t mtu;
    char name[16];
};
struct kaddress {
    uint32_t ifindex;
    uint32_t flags; /* IFA_F_* */
    uint8_t len;
    uint8_t scope;
    uint8_t protocol; /* IFA_PROTO, 0 where the kernel does not know it */
    struct ip_addr local;
    struct ip_addr subnet; /* the peer's where there is one, else local; with len: what is connected */
};
struct kmember {
    uint32_t id;
    uint32_t weight; /* 1..256 */
};
struct knexthop {
    uint32_t id;
    uint32_t ifindex;
    uint8_t protocol;
    uint16_t n_members; /* 0: not a group */
    struct ip_addr gateway;
    struct kmember members[KERNEL_MEMBERS_MAX];
};
/* Where a packet goes first, one of the next hops of a route; gateway.af 0: on the link itself. */
struct kway {
    struct ip_addr gateway;
    uint32_t ifindex;
    uint32_t weight; /* 1..256 */
};
struct kroute {
    struct prefix prefix;
    uint32_t table;
    uint32_t metric;
    uint32_t nexthop_id; /* 0: none */
    uint8_t protocol;
    uint8_t type;  /* RTN_* */
    bool cloned;   /* a cached or local copy: not what anybody configured */
    bool replaced; /* in an event: it took the place of another */
    struct ip_addr prefsrc;
};

enum kevent_type { KEVENT_LINK, KEVENT_ADDRESS, KEVENT_NEXTHOP, KEVENT_ROUTE };
struct kevent {
    enum kevent_type type;
    bool deleted;
    bool own; /* caused by our own request */
    union {
        struct klink link;
        struct kaddress address;
        struct knexthop nexthop;
        struct kroute route;
    } u;
};
typedef void kevent_fn(void *arg, const struct kevent *ev);

/* 0; -EPERM, -ENOMEM, -errno. Opens the sockets in the present network namespace, subscribed to links and
 * addresses. */
int kernel_open(struct kernel **out);
void kernel_close(struct kernel *k);
void kernel_configure(struct kernel *k, const struct kernel_config *cfg);
/* 0, or -EOPNOTSUPP when this kernel has no nexthop objects, or -errno. */
int kernel_probe(struct kernel *k);
/* Claims the configured protocol number in this network namespace until kernel_close. -EADDRINUSE: another
 * daemon has it; -errno. */
int kernel_claim(struct kernel *k);
int kernel_claim_fd(const struct kernel *k);      /* what holds the claim, -1: none; to be passed on */
void kernel_take_claim(struct kernel *k, int fd); /* of the former life; owns fd */

/* Changes are gathered until kernel_commit sends them; each call returns its place in the batch, or -ENOBUFS
 * when the batch is full. A route op is one of these. */
enum kernel_op {
    KERNEL_ADD,     /* exclusive: -EEXIST when anything has the place */
    KERNEL_REPLACE, /* whatever is there; only for what is known to be ours */
    KERNEL_DELETE,  /* only of our protocol */
};
struct kernel_route {
    uint8_t af;
    uint8_t len;
    bool unreachable; /* type unreachable and the worst metric, nexthop_id ignored */
    bool blackhole;   /* type blackhole, nexthop_id ignored; a delete takes any type at the metric */
    const void *addr; /* 4 or 16 bytes */
    uint32_t nexthop_id;
};
int kernel_route(struct kernel *k, enum kernel_op op, const struct kernel_route *r);
/* Sends the batch and empties it; errors[i] is 0, -errno, or -EINPROGRESS where the answer was lost. Returns
 * 0, or negative when the whole batch did not reach the kernel (errors then hold that). */
int kernel_commit(struct kernel *k, int *errors);

/* One change each, done on return: 0 or -errno. */
int kernel_nexthop_set(struct kernel *k, uint32_t id, const struct ip_addr *gateway, uint32_t ifindex,
                       bool replace);
int kernel_group_set(struct kernel *k, uint32_t id, const struct kmember *m, unsigned n, bool replace);
int kernel_nexthop_delete(struct kernel *k, uint32_t id);
int kernel_address_set(struct kernel *k, const struct ip_addr *a,
                       bool add);                                  /* host address on lo, marked as ours */
int kernel_route_delete(struct kernel *k, const struct kroute *r); /* exactly this one, for leftovers */

/* The route that the kernel takes towards a, and its next hops, at most *n of them; -errno when there is
 * none.
 */
int kernel_lookup(struct kernel *k, const struct ip_addr *a, struct kroute *out, struct kway *ways,
                  unsigned *n);

/* Dumps; af counts for routes only, which are filtered to our table and protocol. One dump at a time: start,
 * then step until it returns 0 (done) or negative; 1 means more. Each step handles one buffer of the
 * kernel's. -EINTR at the end: what was dumped changed meanwhile. */
int kernel_dump_start(struct kernel *k, enum kevent_type what, uint8_t af);
int kernel_dump_step(struct kernel *k, kevent_fn *fn, void *arg);
int kernel_dump_abort(struct kernel *k); /* gives up the one under way; 0 or -errno */
int kernel_dump(struct kernel *k, enum kevent_type what, uint8_t af, kevent_fn *fn,
                void *arg); /* all of it, beside one that is under way */

int kernel_monitor_fd(const struct kernel *k);
/* Up to one read's worth of events: 1: handled some, 0: nothing there, -ENOBUFS: events were lost, -errno. */
int kernel_monitor_step(struct kernel *k, kevent_fn *fn, void *arg);
/* Whether route changes are reported; left during a bulk load, because they cost the writer a third. */
int kernel_monitor_routes(struct kernel *k, bool on);

#endif
