/* Inside a peer; only for peer*.c. Values that a session consists of (negotiated, counted, unread, unsent)
 * are plain structs, so that they can be written out for another process: struct peer_session, struct conn,
 * struct peer_history. */
#ifndef UNDERLAY_PEER_IMPL_H
#define UNDERLAY_PEER_IMPL_H

#include "conn.h"
#include "log.h"
#include "loop.h"
#include "peer.h"
#include "peer_unnumbered.h"
#include "speaker.h"
#include "wire/update.h"

#define PEER_NAMELEN      64     /* an address or an interface */
#define PEER_OPEN_HOLD_MS 240000 /* RFC 4271 8.2.2: "a HoldTimer value of 4 minutes is suggested" */
#define PEER_SETTLE_MS    5000   /* Established so long: no longer worth waiting for its End-of-RIB */
#define PEER_STABLE_MS    60000  /* Established so long: earlier errors are forgotten */
#define PEER_FORGIVEN     3      /* errors in a row after which a peer that comes back too soon has to wait */

/* One connection's session: what was said and agreed, and what we are to the other side. */
struct peer_session {
    struct ip_addr local, remote;
    uint16_t local_port, remote_port;
    uint32_t ifindex; /* of the local address, 0 unknown */
    struct ip_addr nexthop[FAM_COUNT], link_local;
    struct ip_addr nexthop6;           /* what nexthop[FAM_IPV4] becomes where the peer takes it (RFC 8950) */
    const char *family_why[FAM_COUNT]; /* why a configured family was not offered; static text */
    struct capabilities sent, received, common;
    bool caps_valid;
    uint32_t remote_as, remote_id;
    uint32_t hold_ms; /* negotiated, 0: no hold timer and no keepalives */
    uint32_t keepalive_ms;
    uint64_t heard_ms;    /* when the hold timer was last restarted */
    uint32_t hold_run_ms; /* the value it runs with, 0 stopped */
    uint64_t said_ms;     /* last KEEPALIVE or UPDATE of ours */
    uint32_t say_in_ms;   /* keepalive_ms with this round's jitter */
    bool eor_in[FAM_COUNT];
};

/* One FSM with its TCP connection (RFC 4271 8.2.1.2). */
struct peer_link {
    struct peer *peer;
    enum peer_state state;
    bool incoming;
    uint8_t rx_type; /* of the message being processed, 0 none: data of an FSM error, RFC 6608 */
    struct conn *conn;
    struct timer *hold, *keepalive;
    struct peer_session s;
};

/* What outlives a session. */
struct peer_history {
    struct conn_counters count;
    uint64_t treat_as_withdraw, attr_discard;
    uint32_t established, dropped;
    uint64_t up_ms, up_wall; /* when the present session came up */
    struct bgp_error last_error;
    bool last_error_received;
    char last_reset[160]; /* see peer_why.c */
    uint64_t last_reset_ms;
    char last_failure[160], hint[160]; /* of the last attempt or session; empty while Established */
    uint64_t last_failure_ms;
    int connect_error; /* the last one */
    uint32_t asn;      /* of the last session, 0 none yet */
    char told[160];    /* the failure that was last logged */
    char last_message[BGP_ERROR_DATA + 1];
};

/* Of max-prefixes; peer_limit.c. */
struct peer_limit {
    bool near[FAM_COUNT], over[FAM_COUNT]; /* of the session's count: told */
    bool held;                             /* the limit was passed: no session until `again` or an operator */
    enum family family;                    /* whose */
    struct timer *again;
    struct log_limit log;
};

struct peer {
    struct peer_set *set;
    const struct peer_config *config; /* of the configuration in force */
    struct ip_addr address;           /* where it is; af 0: an unnumbered peer that has not been heard of */
    uint32_t scope;                   /* ifindex, of a link-local address; else 0 */
    struct unnumbered *unnumbered;    /* of PEER_BY_INTERFACE, else NULL */
    char name[PEER_NAMELEN];
    uint32_t local_as, local_id;
    bool ibgp;
    const struct peer_config *next; /* during peer_set_apply: what the new configuration has for it */

    struct peer_link links[2];
    struct peer_link *up;  /* the Established one or NULL */
    bool started;          /* wants to be up: not shut down, not stopping */
    bool complained;       /* the last session ended by a NOTIFICATION of ours, other than for silence */
    bool waiting;          /* for a subnet of ours that has the peer, or for its address on the interface */
    enum peer_state state; /* the higher of the two, as last logged */
    uint64_t state_ms;
    unsigned errors; /* ConnectRetryCounter */
    struct timer *connect_retry, *idle_hold, *settle;
    bool settled;

    bool shut_by_cli;
    char *shutdown_message;

    struct dynamic *dynamic; /* of PEER_BY_RANGE, else NULL */
    struct peer_limit limit;
    struct peer_debug *debug; /* NULL: off */
    struct task *tx;
    bool refresh_due[FAM_COUNT]; /* asked for; any number of requests is one until tx runs */
    struct rib_peer *rib;
    struct adjout *adjout;
    struct update_ctx ctx;
    struct log_limit log_limit, failure_limit;
    char detail[80]; /* of the NOTIFICATION that is about to be sent */
    struct peer_history h;
};

struct peer_set {
    struct speaker *speaker;
    struct peer **peers;   /* in the order of the configuration; behind them the dynamic ones */
    struct peer **by_addr; /* the configured ones by address and scope */
    struct peer_dynamic *dynamic;
    unsigned n_fixed, room; /* configured ones; for how many there is room in peers */
    bool applying;
    uint32_t leave_ms;     /* how long a dynamic peer without a session is remembered */
    struct rasock *rasock; /* NULL until there is an unnumbered peer */
    unsigned n;
    bool stopping;
    struct peer_listener {
        struct peer_listener *next;
        struct peer_set *set;
        int fd;
        struct io *io;
    } * listeners;
    struct timer *accept_again; /* out of descriptors: the listeners pause */
    struct log_limit log_limit;
    struct conn_scratch *scratch;
    struct conn_lingering lingering;
    struct conn_counters rejected;
    void (*done)(void *arg);
    void *done_arg;
    struct timer *done_timer;
};

/* peer.c */
/* at: where it is, NULL: where the configuration says. NULL: out of memory. */
struct peer *peer_new(struct peer_set *ps, const struct peer_config *c, const struct ip_addr *at);
void peer_free(struct peer *p); /* without a word to the other side */
void peer_start(struct peer *p, bool by_operator);
void peer_stop(struct peer *p, const struct bgp_error *why); /* NOTIFICATION, and stays down */
void peer_reset(struct peer *p, uint8_t cease);              /* the same, then starts again */
void peer_addresses_changed(struct peer *p);
/* The ground is gone from under the peer: its connections end without a word, since none gets through, and
 * nothing has to be waited for before the next attempt. */
void peer_drop(struct peer *p);
void peer_wait(struct peer *p); /* is not where it should be: says why, once */
bool peer_admin_down(const struct peer *p);
void peer_link_event(struct peer_link *l, enum fsm_event e, const struct bgp_error *err);
void peer_out_of_memory(struct peer_link *l);
void peer_accept(struct peer *p, int fd); /* owns fd */
static inline struct peer_link *peer_other(struct peer_link *l)
{
    return l == &l->peer->links[0] ? &l->peer->links[1] : &l->peer->links[0];
}

/* RFC 9234 is about eBGP only (sections 3 and 4). */
static inline enum bgp_role peer_role(const struct peer *p)
{
    return p->ibgp ? ROLE_NONE : p->config->role;
}

/* peer_open.c: from TCP up to the end of the OPEN exchange */
extern const struct conn_ops peer_conn_ops; /* arg: struct peer_link */
void peer_send_open(struct peer_link *l);
void peer_send_keepalive(struct peer_link *l);
void peer_send_notification(struct peer_link *l, const struct bgp_error *e);
void peer_notification_received(struct peer *p, const struct bgp_error *e);

/* peer_why.c: reasons, hints, and the log lines about them; before the event that they cause */
void peer_note_error(struct peer *p, const struct bgp_error *e, bool received);
void peer_note_bad_as(struct peer *p, uint32_t got);   /* detail of the error that follows */
void peer_note_closed(struct peer_link *l, int error); /* 0 or -errno */
void peer_note_ground_lost(struct peer *p, const char *reason,
                           const char *hint); /* of the session, if there is one */
/* Of a peer that waits: what for, and what to look at. */
void peer_waiting_why(const struct peer *p, char *why, size_t why_size, char *hint, size_t hint_size);
void peer_note_connect_failure(struct peer *p, int error); /* -errno; -ETIMEDOUT: no answer */
void peer_log_transition(struct peer *p, enum peer_state before);

/* peer_nexthop.c: what we are to the peer, family by family */
bool peer_is_reachable(const struct peer *p); /* on a subnet of ours, where it must be */
void peer_choose_nexthops(const struct peer *p, struct peer_session *s);
/* Of what both offered, what can be used: changes s->nexthop, s->family_why and *common. */
void peer_settle_nexthops(struct peer_session *s, struct capabilities *common);

/* peer_update.c */
int peer_routes_up(struct peer_link *l);
void peer_routes_down(struct peer *p);
void peer_receive_update(struct peer_link *l, const uint8_t *body, size_t n);
void peer_receive_refresh(struct peer_link *l, const uint8_t *body, size_t n);
bool peer_tx_step(void *peer);
void peer_tx_wake(void *peer);

/* peer_dynamic.c */
struct peer_dynamic *peer_dynamic_new(struct peer_set *ps);
void peer_dynamic_delete(struct peer_dynamic *d); /* after its peers */
struct peer *peer_dynamic_find(const struct peer_set *ps, const struct ip_addr *a);
/* A connection of no configured peer; false: of no range either, and fd is still the caller's. */
bool peer_dynamic_accept(struct peer_set *ps, const struct ip_addr *from, int fd);
void peer_dynamic_state_changed(struct peer *p);
void peer_dynamic_free(struct peer *p);                                       /* what peer_free frees of it */
void peer_dynamic_listen(struct peer_set *ps, const struct peer_listener *l); /* a new one wants the keys */
void peer_dynamic_start(struct peer_set *ps);
void peer_dynamic_expected(void *peer_set);
/* Three steps of peer_set_apply: reads the ranges; adds the dynamic peers that stay to the n of next, with
 * their `next`; and, when the set has its new peers and the others are freed, goes over to the new ranges. */
int peer_dynamic_prepare(struct peer_set *ps, const struct config *c);
unsigned peer_dynamic_gather(struct peer_set *ps, const struct config *c, struct peer **next, unsigned n);
void peer_dynamic_changed(struct peer_set *ps);

/* peer_limit.c */
bool peer_limit_check(struct peer *p); /* after a change of the count; false: the session is over */
void peer_limit_session_up(struct peer *p);
void peer_limit_changed(struct peer *p, const struct peer_config *before);
void peer_limit_release(struct peer *p);
void peer_limit_again(void *peer);

/* peer_debug.c */
void peer_debug_received(struct peer_link *l, const uint8_t *msg, size_t len);
void peer_debug_sent(struct peer_link *l, const uint8_t *p, size_t n); /* any number of messages */
void peer_debug_move(struct peer *from, struct peer *to);
void peer_debug_free(struct peer *p);

/* peer_set.c */
/* Where the peer is has changed (af 0: nobody knows): finds it there, and the listeners want its key. */
void peer_set_move(struct peer *p, const struct ip_addr *a, uint32_t scope);
void peer_set_accepted(struct peer_set *ps, int fd);              /* owns fd */
void peer_set_reject(struct peer_set *ps, int fd, uint8_t cease); /* owns fd */

#endif
