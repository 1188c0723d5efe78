/* Inside a peer; only for peer*.c. Values that a session consists of (negotiated, counted, unread, unsent)
 * are plain structs, so that they can be written out for another process: struct peer_session, struct conn,
 * struct peer_history. */
#ifndef UNDERLAY_PEER_IMPL_H
#define UNDERLAY_PEER_IMPL_H

#include <linux/filter.h>

#include "conn.h"
#include "gtsm.h"
#include "log.h"
#include "loop.h"
#include "peer.h"
#include "peer_bfd.h"
#include "peer_restart.h"
#include "peer_unnumbered.h"
#include "speaker.h"
#include "wire/update.h"

#define PEER_NAMELEN      64     /* an address or an interface */
#define PEER_HOSTLEN      65     /* of a host or domain name, HOST_NAME_MAX and the end */
#define PEER_OPEN_HOLD_MS 240000 /* RFC 4271 8.2.2: "a HoldTimer value of 4 minutes is suggested" */
#define PEER_LEFTOVER_MS  5000   /* in OpenSent when the other connection was lost: so much longer at most */
#define PEER_SETTLE_MS    5000   /* Established so long: no longer worth waiting for its End-of-RIB */
#define PEER_HESITATE_MS  100    /* and up to 200 more */
#define PEER_STABLE_MS    60000  /* Established so long: earlier errors are forgotten */
#define PEER_FORGIVEN     3      /* errors in a row after which a peer that comes back too soon has to wait */

/* How much of what we can do we say in the OPEN; see peer_offer.c. */
enum peer_offer { OFFER_ALL, OFFER_NEEDED, OFFER_NOTHING };

/* One connection's session: what was said and agreed, and what we are to the other side. */
struct peer_session {
    struct ip_addr local, remote;
    uint16_t local_port, remote_port;
    uint32_t ifindex; /* of the local address, 0 unknown */
    struct ip_addr nexthop[FAM_COUNT], link_local;
    struct ip_addr nexthop6;           /* what nexthop[FAM_IPV4] becomes where the peer takes it (RFC 8950) */
    const char *family_why[FAM_COUNT]; /* why a configured family was not offered; static text */
    enum peer_offer offer;
    struct capabilities sent, received, common;
    bool caps_valid;
    uint32_t remote_as, remote_id;
    uint32_t hold_ms; /* negotiated, 0: no hold timer and no keepalives */
    uint32_t keepalive_ms;
    uint32_t send_hold_ms; /* RFC 9687, 0: none */
    uint64_t heard_ms;     /* when the hold timer was last restarted */
    uint32_t hold_run_ms;  /* the value it runs with, 0 stopped */
    uint64_t said_ms;      /* last KEEPALIVE or UPDATE of ours */
    uint32_t say_in_ms;    /* keepalive_ms with this round's jitter */
    bool eor_in[FAM_COUNT];
};

/* One FSM with its TCP connection (RFC 4271 8.2.1.2). */
struct peer_link {
    struct peer *peer;
    enum peer_state state;
    bool incoming;
    uint8_t rx_type; /* of the message being processed, 0 none: data of an FSM error, RFC 6608 */
    struct conn *conn;
    struct timer *hold, *keepalive, *send_hold;
    struct peer_session s;
};

/* What outlives a session. */
struct peer_history {
    struct conn_counters count;
    uint64_t treat_as_withdraw, attr_discard;
    struct peer_offences *offences; /* NULL until there is one */
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
    char hostname[PEER_HOSTLEN], domain[PEER_HOSTLEN]; /* as the peer last said; "" none */
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
    bool waiting;          /* for a subnet of ours that has the peer, its address on the interface, or BFD */
    enum peer_state state; /* the higher of the two, as last logged */
    uint64_t state_ms;
    uint64_t attempt_ms;   /* when the last attempt to connect began */
    enum peer_offer offer; /* of the next OPEN */
    unsigned offers_told;  /* bit mask of enum peer_offer: logged as the next one since it was last up */
    unsigned errors;       /* ConnectRetryCounter */
    struct timer *connect_retry, *idle_hold, *settle;
    bool settled;

    bool shut_by_cli;
    char *shutdown_message;

    struct dynamic *dynamic; /* of PEER_BY_RANGE, else NULL */
    struct peer_bfd *bfd;    /* NULL: no session of BFD */
    struct peer_limit limit;
    struct peer_debug *debug; /* NULL: off */
    struct task *tx;
    struct {                 /* see peer_refresh.c */
        bool due[FAM_COUNT]; /* asked for; any number of requests is one until it is served */
        bool out[FAM_COUNT]; /* begun by us, not ended */
        bool in[FAM_COUNT];  /* begun by the peer, not ended */
        uint64_t in_until_ms[FAM_COUNT];
        struct timer *timer;
    } refresh;
    struct peer_restart restart;
    struct rib_peer *rib;
    struct adjout *adjout;
    struct policy_memo *import_memo; /* NULL until it is needed */
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
        struct sock_fprog gtsm; /* in force; filter NULL: none */
    } * listeners;
    bool check_syn;             /* the kernel refuses us the filters of GTSM */
    struct timer *accept_again; /* out of descriptors: the listeners pause */
    struct log_limit log_limit;
    char hostname[PEER_HOSTLEN]; /* what we call ourselves in OPENs */
    uint32_t asn;                /* router.asn as last applied */
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

/* peer_timer.c */
int peer_timers_new(struct peer *p, struct loop *loop); /* 0 or -ENOMEM */
int peer_link_timers_new(struct peer_link *l, struct loop *loop);
void peer_start_connect_retry(struct peer_link *l);
void peer_start_hold(struct peer_link *l, uint32_t ms); /* 0: stop */
void peer_start_keepalive(struct peer_link *l);
void peer_start_send_hold(struct peer_link *l);
void peer_start_idle_hold(struct peer *p);
struct peer_link *peer_connecting(struct peer *p); /* the link that connects; NULL while none does */

/* peer_open.c: from TCP up to the end of the OPEN exchange */
extern const struct conn_ops peer_conn_ops; /* arg: struct peer_link */
void peer_send_open(struct peer_link *l);
void peer_send_keepalive(struct peer_link *l);
void peer_send_notification(struct peer_link *l, const struct bgp_error *e);
void peer_notification_received(struct peer *p, const struct bgp_error *e);

/* peer_offer.c: the capabilities of our OPEN */
void peer_offer(const struct peer *p, struct peer_session *s); /* fills s->sent; next hops are chosen */
/* The peer answered the OPEN of s with OPEN error 4 or 7. */
void peer_offer_refused(struct peer *p, const struct peer_session *s, uint8_t subcode);

/* peer_why.c: reasons, hints, and the log lines about them; before the event that they cause */
void peer_note_error(struct peer *p, const struct bgp_error *e, bool received);
void peer_note_bad_as(struct peer *p, uint32_t got); /* detail of the error that follows */
void peer_note_bad_role(struct peer *p, const struct capabilities *theirs);
void peer_note_address_gone(struct peer_link *l);
void peer_note_closed(struct peer_link *l, int error); /* 0 or -errno */
void peer_note_restarted(struct peer_link *l);         /* it connects anew */
void peer_note_ground_lost(struct peer *p, const char *reason,
                           const char *hint); /* of the session, if there is one */
/* Of a peer that waits: what for, and what to look at. */
void peer_waiting_why(const struct peer *p, char *why, size_t why_size, char *hint, size_t hint_size);
void peer_note_connect_failure(struct peer *p, int error); /* -errno; -ETIMEDOUT: no answer */
void peer_log_transition(struct peer *p, enum peer_state before);

/* peer_offence.c: UPDATEs with errors, before they are applied. body: the whole message without its header */
void peer_note_offence(struct peer *p, const struct update *u, const uint8_t *body, size_t n);

/* peer_nexthop.c: what we are to the peer, family by family */
bool peer_is_reachable(const struct peer *p); /* on a subnet of ours, where it must be */
bool peer_address_is_ours(const struct peer *p, const struct ip_addr *a);
void peer_choose_nexthops(const struct peer *p, struct peer_session *s);
/* Of what both offered, what can be used: changes s->nexthop, s->family_why and *common. */
void peer_settle_nexthops(struct peer_session *s, struct capabilities *common);

/* peer_update.c */
int peer_routes_up(struct peer_link *l);
void peer_routes_down(struct peer *p);
void peer_receive_update(struct peer_link *l, const uint8_t *body, size_t n);
bool peer_tx_step(void *peer);
void peer_tx_wake(void *peer);

/* peer_policy.c */
void peer_policy_forget(struct peer *p); /* what was found out by the policies in force */
void peer_import_changed(struct peer *p, const struct peer_config *before);
void peer_export_policy(struct peer *p); /* tells Adj-RIB-Out */
int peer_export_changed(struct peer *p); /* 0 or -ENOMEM */

/* peer_refresh.c */
void peer_receive_refresh(struct peer_link *l, const uint8_t *body, size_t n);
int peer_refresh_ask(struct peer *p);   /* whose session is up: 0, -EOPNOTSUPP, -ENOBUFS */
int peer_refresh_begin(struct peer *p); /* before Adj-RIB-Out is written: 0 or -ENOMEM */
bool peer_refresh_end(struct peer *p);  /* after it: whether there is more to do */
void peer_refresh_down(struct peer *p);
void peer_refresh_timeout(void *peer);

/* peer_dynamic.c */
struct peer_dynamic *peer_dynamic_new(struct peer_set *ps);
void peer_dynamic_delete(struct peer_dynamic *d); /* after its peers */
struct peer *peer_dynamic_find(const struct peer_set *ps, const struct ip_addr *a);
/* A connection of no configured peer; false: of no range either, and fd is still the caller's. */
bool peer_dynamic_accept(struct peer_set *ps, const struct ip_addr *from, int fd);
void peer_dynamic_state_changed(struct peer *p);
void peer_dynamic_free(struct peer *p);                                       /* what peer_free frees of it */
void peer_dynamic_listen(struct peer_set *ps, const struct peer_listener *l); /* a new one wants the keys */
unsigned peer_dynamic_ranges(const struct peer_set *ps);
/* How many hops away who connects from a may be, by its range; 0: anywhere. */
uint8_t peer_dynamic_hops(const struct peer_set *ps, const struct ip_addr *a);
/* At most one rule a range, the most specific first; none when no range wants GTSM. */
unsigned peer_dynamic_gtsm(const struct peer_set *ps, struct gtsm_rule *rules);
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
/* scope: of a link-local address, else 0. NULL: nobody is there. */
struct peer *peer_set_at_address(const struct peer_set *ps, const struct ip_addr *a, uint32_t scope);
/* Where the peer is has changed (af 0: nobody knows): finds it there, and the listeners want its key. */
void peer_set_move(struct peer *p, const struct ip_addr *a, uint32_t scope);
void peer_set_accepted(struct peer_set *ps, int fd);              /* owns fd */
void peer_set_reject(struct peer_set *ps, int fd, uint8_t cease); /* owns fd */
/* A connection that belongs to no peer, and its end: e behind the message that is being written. */
struct conn *peer_set_stranger(struct peer_set *ps, int fd); /* owns fd; NULL: out of memory */
void peer_set_dismiss(struct peer_set *ps, struct conn *c, const struct bgp_error *e); /* owns c */

#endif
