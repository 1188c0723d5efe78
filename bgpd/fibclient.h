/* The speaker's end of fibmsg: tells the FIB process what the RIB wants in the kernel, and the RIB what came
 * of it. Knows the links and addresses of the node as the parent reports them. */
#ifndef UNDERLAY_FIBCLIENT_H
#define UNDERLAY_FIBCLIENT_H

#include "fibmsg.h"
#include "rib/rib.h"

struct speaker;
struct fibclient;

struct fib_link {
    uint32_t ifindex, flags, mtu; /* FM_LINK_* */
    char name[FM_NAME_MAX];
};
struct fib_address {
    uint32_t ifindex, flags; /* FM_ADDR_* */
    struct ip_addr addr;
    uint8_t len, scope;
};

struct fibclient *fibclient_new(struct speaker *s, int fd); /* owns fd */
/* Before the RIB and the next hops are freed: what they say while they go is not for the parent.
 * fibclient_free after them. */
void fibclient_detach(struct fibclient *c);
void fibclient_free(struct fibclient *c);
struct nexthop_ops fibclient_nexthop_ops(void); /* for nexthop_table_new; its arg is the fibclient */
void fibclient_attach_rib(struct fibclient *c); /* subscribes to s->rib */

const struct fib_link *fibclient_link(const struct fibclient *c, uint32_t ifindex);
const struct fib_link *fibclient_link_by_name(const struct fibclient *c, const char *name);
unsigned fibclient_addresses(const struct fibclient *c, const struct fib_address **out);
/* The address of ours that is on the subnet of a, or NULL. For "directly connected" and own next hops. */
const struct fib_address *fibclient_subnet_of(const struct fibclient *c, const struct ip_addr *a,
                                              uint32_t scope);
/* scope: the ifindex of a link-local address, which another interface may well have too; else 0. */
bool fibclient_is_own(const struct fibclient *c, const struct ip_addr *a, uint32_t scope);

void fibclient_ready(struct fibclient *c, const char *status);
void fibclient_status(struct fibclient *c, const char *status);
void fibclient_synced(struct fibclient *c);     /* once a life; later calls are no-ops */
void fibclient_rib_idle(struct fibclient *c);   /* the RIB's background work is done */
void fibclient_reconsider(struct fibclient *c); /* what any route should be may have changed */
void fibclient_reloading(struct fibclient *c);
void fibclient_log(struct fibclient *c, const struct fm_log *m);
/* BFD with a peer: FM_BFD_SET, answered to peer_set_bfd_state; FM_BFD_DEL. */
void fibclient_bfd_set(struct fibclient *c, const struct fm_bfd *m);
void fibclient_bfd_del(struct fibclient *c, const struct fm_nexthop *peer);
int fibclient_bind(struct fibclient *c, const struct ip_addr *a, bool add);
/* For the next speaker: fd is still the caller's. 0 or -errno. */
int fibclient_keep(struct fibclient *c, enum fm_keep_kind kind, uint32_t index, int fd);
void fibclient_keep_nothing(struct fibclient *c);            /* of what was said to be kept */
void fibclient_restart(struct fibclient *c, uint32_t flags); /* says FM_RESTART, flushes; the last word */
/* Asynchronous opens by role; cb owns fd (-1 with error -errno). */
int fibclient_open(struct fibclient *c, enum fm_file_role role, uint32_t index,
                   void (*cb)(void *arg, int fd, int error), void *arg);
int fibclient_commit(struct fibclient *c, enum fm_file_role role, void (*cb)(void *arg, int fd, int error),
                     void *arg);

/* All that the RIB wants was told, and all of it answered. */
bool fibclient_idle(const struct fibclient *c);

enum fib_reason { /* why the kernel does not have a route */
                  FIB_REASON_CONNECTED,
                  FIB_REASON_CONFLICT,
                  FIB_REASON_NEXTHOP,
                  FIB_REASON_PREFSRC,
                  FIB_REASON_PERMISSION,
                  FIB_REASON_MEMORY,
                  FIB_REASON_OTHER,
                  FIB_REASON_COUNT
};
struct fib_counts {
    uint64_t sent, results, failures;
    uint64_t set, deleted, superseded;    /* results by kind; failures apart */
    uint64_t failed_by[FIB_REASON_COUNT]; /* of failures */
    uint32_t pending;                     /* routes told and not answered yet */
};
void fibclient_counts(const struct fibclient *c, struct fib_counts *out);
uint64_t fibclient_memory(const struct fibclient *c);

#endif
