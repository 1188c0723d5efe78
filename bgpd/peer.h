/* A BGP peer: configuration, FSM (fsm.h), its one or two TCP connections (RFC 4271 6.8 collision), negotiated
 * state, the source of paths it is to the RIB and its Adj-RIB-Out. Everything about a session's life is
 * behind this header; the pure parts (FSM, codec) are elsewhere. */
#ifndef UNDERLAY_PEER_H
#define UNDERLAY_PEER_H

#include "config.h"
#include "fsm.h"
#include "rib/adjout.h"
#include "wire/msg.h"

struct speaker;
struct peer;

/* All peers of a speaker. */
struct peer_set;
struct peer_set *peer_set_new(struct speaker *s);
void peer_set_free(struct peer_set *ps);
/* Brings the set in line with the speaker's configuration: adds, removes (Cease/3), resets only peers whose
 * own session settings changed (Cease/6), applies the rest live. Peers start at once when the speaker is
 * running. 0 or -errno. */
int peer_set_apply(struct peer_set *ps, const struct config *c);
void peer_set_start(struct peer_set *ps);
/* Closes every session (Cease/subcode) and calls done when the last NOTIFICATION is out, 2 s at most.
 * preserve: without a word where the peer keeps our routes for a restart. */
void peer_set_stop(struct peer_set *ps, uint8_t subcode, bool preserve, void (*done)(void *arg), void *arg);
/* The sessions are another process's from now on: forgets all peers, without a word to the other sides. */
void peer_set_leave(struct peer_set *ps);
unsigned peer_set_count(const struct peer_set *ps);
struct peer *peer_set_at(const struct peer_set *ps,
                         unsigned i); /* in the order of the configuration, then dynamic ones */
struct peer *peer_set_find(const struct peer_set *ps,
                           const char *name); /* address, interface or description */

/* The same for a command that is to hold for a dynamic peer that is not there yet: makes it, if name is an
 * address of a range that has room. */
struct peer *peer_set_expect(struct peer_set *ps, const char *name);
/* The daemon has started not long ago, and dynamic peers may still come back. */
bool peer_set_expects(const struct peer_set *ps);

/* Addresses or links of the node changed: peers that waited for a subnet of theirs start, those between two
 * attempts try now. */
void peer_set_addresses_changed(struct peer_set *ps);

/* FM_BFD_STATE. */
struct fm_bfd;
struct fm_bfd_state;
void peer_set_bfd_state(struct peer_set *ps, const struct fm_bfd_state *st);

/* A listening socket of the parent's, handed to us by role. Owns fd. Sets the MD5 keys and TTL rules of its
 * family. */
int peer_set_listen(struct peer_set *ps, int fd);

/* RFC 4724 4.1, after a restart with the forwarding state kept: nothing that this peer has yet to send is to
 * be waited for before End-of-RIB goes to others. And the end of that. */
bool peer_has_sent_all(const struct peer *p);
void peer_set_release_eor(struct peer_set *ps);

const char *peer_name(const struct peer *p); /* the address as text, or the interface */
const struct peer_config *peer_config(const struct peer *p);
struct rib_peer *peer_rib(const struct peer *p);
struct adjout *peer_adjout(const struct peer *p);
bool peer_established(const struct peer *p);
/* Established and End-of-RIB of all its families seen, or 5 s past Established: nothing to wait for before a
 * sweep. */
bool peer_synced(const struct peer *p);

/* Administrative, from the CLI; kept apart from the configuration's own `shutdown` and persisted by the
 * caller. */
void peer_shutdown(struct peer *p, const char *message); /* Cease/2 with RFC 9003 text; message may be NULL */
void peer_no_shutdown(struct peer *p);
bool peer_is_shutdown(const struct peer *p, const char **message); /* by the CLI */
void peer_clear(struct peer *p);                                   /* Cease/4, then starts again at once */
int peer_soft_in(
    struct peer *p); /* ROUTE-REFRESH and reimport; -ENOTCONN, -EOPNOTSUPP (reimport done all the same) */
int peer_soft_out(struct peer *p); /* resend everything; -ENOTCONN */

/* Logs the messages of the peer, decoded, for so long; again: from now on. 0 or -ENOMEM. */
int peer_debug_start(struct peer *p, uint32_t ms);
void peer_debug_stop(struct peer *p);
uint64_t peer_debug_left(const struct peer *p); /* ms, 0: not */
/* The import policy's part of rib_hooks.import. named: the rule that accepts it has a list of prefixes. */
int peer_import(struct peer *p, enum family f, const struct prefix *prefix, const struct attr **a,
                bool *named);
/* What policies are evaluated with for this peer; the caller's. NULL: out of memory. */
struct policy_memo;
struct policy_memo *peer_policy_memo(const struct peer *p, bool export);

struct peer_stats { /* FRR's messageStats */
    uint64_t opens_in, opens_out, notifications_in, notifications_out, updates_in, updates_out, keepalives_in,
        keepalives_out, refreshes_in, refreshes_out;
    uint64_t treat_as_withdraw, attr_discard; /* RFC 7606 */
};

/* Errors in UPDATEs of this peer (RFC 7606), of all its sessions. */
#define PEER_OFFENCE_TYPES                                                                                   \
    36 /* counted by attribute type; [0] is for unknown ones and for the message itself */
#define PEER_OFFENCE_DATA 64
struct peer_offences {
    uint32_t withdrawn[PEER_OFFENCE_TYPES]; /* routes were taken as withdrawn because of it */
    uint32_t discarded[PEER_OFFENCE_TYPES];
    struct {
        uint64_t ms; /* when */
        const char *action, *reason;
        uint8_t type;
        uint16_t len;                    /* of the attribute, header included; 0: not about one */
        uint8_t data[PEER_OFFENCE_DATA]; /* its first octets */
        uint8_t data_len;
        uint32_t routes; /* that it was about */
    } last;
};
const struct peer_offences *peer_offences(const struct peer *p); /* NULL: none */

/* A snapshot for show and metrics; pointers borrow until the next event. */
struct peer_info {
    enum peer_state state;
    bool admin_down; /* by configuration or CLI */
    const char *shutdown_message;
    bool ibgp;
    uint32_t local_as,
        remote_as; /* remote_as as configured or, for external/internal, as learned (0 not yet) */
    uint32_t local_id, remote_id; /* host order, remote 0 when unknown */
    struct ip_addr local, remote; /* of the connection; af 0 when there is none */
    uint16_t local_port, remote_port;
    struct ip_addr nexthop[FAM_COUNT];  /* what we advertise as ourselves; af 0: none */
    const char *family_why[FAM_COUNT];  /* why a configured family is not up, NULL when it is */
    struct capabilities sent, received; /* valid from OpenSent / OpenConfirm on */
    bool caps_valid;
    enum bgp_role local_role, remote_role; /* RFC 9234; as configured, as received */
    bool family[FAM_COUNT];                /* negotiated */
    uint64_t up_ms, up_since_wall;         /* duration, epoch seconds; 0 when never or down */
    uint64_t state_ms;                     /* in the present state */
    uint64_t last_read_ms, last_write_ms;  /* ago */
    uint32_t send_hold_ms;                 /* RFC 9687, while it runs; else 0 */
    uint32_t hold_ms, keepalive_ms;        /* negotiated (configured when not up) */
    uint64_t connect_retry_ms;             /* left, 0 when not running */
    uint64_t idle_hold_ms;                 /* the same, of the pause after an error */
    uint32_t rtt_ms;
    uint32_t established_count, dropped_count;
    struct bgp_error last_error; /* last reset; code 0 none */
    bool last_error_received;    /* from the peer, else sent by us */
    const char
        *last_reset; /* of the last Established session, else the last error: "hold timer expired", "" */
    uint64_t last_reset_ms;          /* ago */
    const char *last_failure, *hint; /* why it is not up and what to look at; "" unknown or up */
    bool waiting; /* for a subnet of ours that has the peer, (unnumbered) its address on the interface, or BFD
                   */
    bool waits_for_bfd;
    const struct fm_bfd *bfd;             /* the session as asked for, NULL: there is none */
    const struct fm_bfd_state *bfd_state; /* as last told, NULL: not yet */
    bool over_limit;                      /* down since it passed max-prefixes */
    uint64_t limit_ms;                    /* left of that pause, 0: until an operator clears it */
    char waiting_why[160], waiting_hint[160];
    const char *interface;                        /* of an unnumbered peer, else NULL */
    struct ip_addr neighbor;                      /* where the peer is; af 0: not known yet */
    uint64_t ra_sent, ra_received, ra_last_ms;    /* router advertisements; the last received, ago, 0 never */
    const char *last_message;                     /* RFC 9003 text of the peer's last Cease, "" */
    const char *own_hostname, *hostname, *domain; /* as the peer says, "" unknown */
    bool fewer_capabilities;                      /* offered, because the peer refused all of them */
    bool md5, gtsm;
    uint8_t ttl_security, multihop;
    size_t inq, outq; /* bytes, messages not yet written */
    struct peer_stats stats;
    bool eor_in[FAM_COUNT], eor_out[FAM_COUNT];
    struct {
        bool on, long_lived;
        uint64_t left_ms;
        uint32_t restart_s; /* the peer's restart time, of the session that was lost */
    } kept[FAM_COUNT];      /* stale routes of an earlier session (graceful restart), and how much longer */
};
void peer_info(const struct peer *p, struct peer_info *out);
uint64_t peer_memory(const struct peer *p);

#endif
