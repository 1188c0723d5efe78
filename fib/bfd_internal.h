/* What the BFD files share: a session with its socket ("flow"), the thread that owns it, and what the main
 * thread and that thread say to each other.
 *
 * A flow is made by the main thread, given to the BFD thread with BFD_CMD_ADD, and belongs to that thread
 * until BFD_EV_GONE brings it back. */
#ifndef UNDERLAY_FIB_BFD_INTERNAL_H
#define UNDERLAY_FIB_BFD_INTERNAL_H

#include <pthread.h>

#include "fib/bfd.h"
#include "fib/bfd_ring.h"
#include "fib/bfd_session.h"
#include "prefix.h"

#define BFD_FLOWS (2 * BFD_SESSIONS) /* those that are leaving beside those that came in their place */

#define BFD_PORT_FIRST 49152 /* source ports: RFC 5881 section 4 */
#define BFD_PORTS      16384

/* The receiving sockets: one for each family and kind of session. */
enum bfd_listener { BFD_LISTENERS = 4 };
static inline unsigned bfd_listener_of(uint8_t af, bool multihop)
{
    return (af == AF_INET6 ? 1u : 0u) | (multihop ? 2u : 0u);
}

/* What may change while a session goes on. */
struct bfd_terms {
    uint32_t interval_us;
    uint8_t multiplier;
    uint8_t min_ttl;
    struct ip_addr local; /* to send from, af 0: the kernel's choice */
    uint32_t ifindex;     /* over which a peer one hop away is reached, 0 not known */
};

struct bfd_flow {
    struct bfd_session session;
    struct bfd_terms terms;
    struct fm_nexthop name; /* the peer */
    struct ip_addr peer;
    bool multihop;
    bool overruled; /* the main thread's, while there is no other */
    int fd;         /* it sends on, -1: none */
    uint16_t port;
    int error;               /* -errno, of a socket or of sending */
    bool listens;            /* counted in the listener's users */
    bool final_due, touched; /* in this turn */
    bool leaving;            /* AdminDown until leave_us, then gone */
    bool failure_untold;
    uint8_t repeats;              /* AdminDown packets to send quickly */
    uint32_t learned_ifindex;     /* where packets with our discriminator come in */
    struct ip_addr learned_local; /* and what they are sent to */
    uint32_t stalled_us;          /* the thread's sum when the peer was heard last */
    uint32_t backoff_ms;          /* of opening sockets */
    uint64_t retry_us, report_us; /* BFD_NEVER: no */
    uint64_t leave_us, repeat_us;
    uint64_t packets_in, packets_out;
    uint64_t told_us;         /* the last report */
    struct fm_bfd_state told; /* what it said */
    uint64_t due_us;          /* key in the heap */
    uint32_t heap_at;         /* 1 and up, 0: not in it */
    struct bfd_flow *next_by_discriminator, *next_by_peer, *next_touched;
    struct bfd_flow *next, *prev; /* the main thread's list of all that it has made */
};

struct bfd_command {
    enum { BFD_CMD_ADD, BFD_CMD_CHANGE, BFD_CMD_DEL, BFD_CMD_ALL_DOWN, BFD_CMD_STOP } type;
    struct bfd_flow *flow;
    struct bfd_terms terms;
};
struct bfd_event {
    enum { BFD_EV_STATE, BFD_EV_GONE } type;
    struct bfd_flow *flow; /* STATE: not to be looked into, a name only */
    struct fm_bfd_state state;
};

/* The thread. Created for the first session and ended with the last. */
struct bfd_thread;
/* listeners: sockets of a former life or -1, owned from here on. NULL with *error. */
struct bfd_thread *bfd_thread_start(const int listeners[BFD_LISTENERS], int *error);
/* The main thread's half. Waits for room when the queue is full: the BFD thread never waits for us. */
void bfd_thread_tell(struct bfd_thread *t, const struct bfd_command *c);
bool bfd_thread_take(struct bfd_thread *t, struct bfd_event *ev);
int bfd_thread_event_fd(const struct bfd_thread *t); /* readable when there is something to take */
/* Every peer hears AdminDown, several times. Waits for that, some milliseconds. */
void bfd_thread_all_down(struct bfd_thread *t);
/* Ends it and waits. The flows are the caller's again, events may still be taken; listeners are put out, -1
 * where there is none, or closed when that is NULL. */
void bfd_thread_stop(struct bfd_thread *t, int listeners[BFD_LISTENERS]);
void bfd_thread_free(struct bfd_thread *t); /* after the stop */
/* In a child of the main thread: on all processors again. */
void bfd_thread_forked(const struct bfd_thread *t);

/* bfd_table.c: the flows of a thread, found by discriminator, by peer, and by who is due first. */
struct bfd_table;
struct bfd_table *bfd_table_new(void); /* NULL: out of memory */
void bfd_table_free(struct bfd_table *t);
void bfd_table_add(struct bfd_table *t, struct bfd_flow *f); /* at most BFD_FLOWS */
void bfd_table_remove(struct bfd_table *t, struct bfd_flow *f);
struct bfd_flow *bfd_table_by_discriminator(const struct bfd_table *t, uint32_t discriminator);
/* One with that peer, which is leaving or is not; the scope matters for link-local addresses only. */
struct bfd_flow *bfd_table_by_peer(const struct bfd_table *t, const struct ip_addr *peer, uint32_t scope,
                                   bool leaving);
void bfd_table_due(struct bfd_table *t, struct bfd_flow *f, uint64_t us); /* moves it in the order */
struct bfd_flow *bfd_table_first(const struct bfd_table *t);              /* due first, NULL: none */
struct bfd_flow *bfd_table_at(const struct bfd_table *t, uint32_t i);     /* 1 to the number; NULL ends */

/* bfd_socket.c. Return a descriptor or -errno. */
int bfd_socket_listen(uint8_t af, bool multihop);
int bfd_socket_sender(const struct bfd_flow *f, uint16_t port);
int bfd_socket_send(const struct bfd_flow *f, const uint8_t packet[BFD_PACKET_LEN]); /* 0 or -errno */
bool bfd_socket_is_ours(int fd, uint8_t af); /* a datagram socket of that family */
struct bfd_datagram {
    struct ip_addr from, to;
    uint32_t ifindex;
    int ttl; /* -1: not known */
    const uint8_t *data;
    size_t n;
};
#define BFD_BATCH 32
struct bfd_inbox; /* buffers for a batch */
struct bfd_inbox *bfd_inbox_new(void);
void bfd_inbox_free(struct bfd_inbox *in);
/* Reads up to BFD_BATCH datagrams; the number, 0 none. They are valid until the next call. */
unsigned bfd_inbox_read(struct bfd_inbox *in, int fd);
void bfd_inbox_get(struct bfd_inbox *in, unsigned i, struct bfd_datagram *out);

/* bfd_save.c: one line of text a session. */
struct bfd_saved {
    int listeners[BFD_LISTENERS];
    struct bfd_flow **flows; /* of n_flows; the caller's */
    unsigned n_flows;
};
int bfd_saved_write(const struct bfd_saved *s, int fd); /* 0 or -errno */
int bfd_saved_read(struct bfd_saved *s, int fd);        /* 0 or -errno: nothing is left open or allocated */

#endif
