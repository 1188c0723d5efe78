/* fibmsg: what the two processes of underlayd say to each other over one SOCK_SEQPACKET socketpair.
 *
 * One datagram is one message: struct fm_header, then `count` records of the type's fixed size. No pointers,
 * no padding, host byte order (same binary on both ends), addresses in network order. The parent (fib)
 * distrusts the speaker: every message is checked for type, direction, count, sizes, state and, for routes,
 * against the settings sent once at start. An invalid message from the speaker is logged and the speaker is
 * killed and started again.
 *
 * Order of a start:
 * - parent: socketpair, exec speaker (as root)
 * - speaker: FM_HELLO, FM_SETTINGS, FM_PATH*, FM_LISTEN*, FM_START (has read the configuration; still root)
 * - parent: opens control socket and listeners by role, FM_FD each (error instead of a descriptor on failure;
 *   with one that is needed the start ends here, before anything of the kernel is looked at); claims the
 *   protocol number
 * - speaker: gives up its privileges
 * - parent: FM_LINK*, FM_ADDRESS* (the present state), FM_KEPT*, FM_SYNC_DONE; later FM_LINK and
 *   FM_ADDRESS as they change
 * - speaker: FM_READY, then FM_NEXTHOP_*, FM_GROUP_*, FM_ROUTES …, FM_HEARTBEAT every few seconds
 *
 * Of a later speaker of the same parent, stale time, on-stop and log settings are taken over; what else
 * differs in its FM_SETTINGS is logged and ignored (fib.* and the port need a full restart). Its paths and
 * listeners may differ, for it sends them while it is still root. When a speaker cannot start it exits
 * with the exit status of underlayd (1 configuration, 2 usage, 3 system); the parent passes on the status
 * of a first speaker that never said FM_READY, and starts any later one again with back-off.
 */
#ifndef UNDERLAY_FIBMSG_H
#define UNDERLAY_FIBMSG_H

#include <assert.h>
#include <stdint.h>

#define FIBMSG_VERSION 2
#define FIBMSG_MAX     65536 /* bytes in one datagram */
#define FM_PATH_MAX    256
#define FM_NAME_MAX    16 /* IFNAMSIZ */

enum fm_type {
    /* speaker to fib, once, in this order */
    FM_HELLO = 1, /* fm_hello */
    FM_SETTINGS,  /* fm_settings */
    FM_PATH,      /* fm_path; file names that may be opened by role later */
    FM_LISTEN,    /* fm_listen */
    FM_START,     /* no record; nothing of the above is accepted after it */
    /* speaker to fib, any time after FM_START */
    FM_READY,     /* fm_text: for systemd's STATUS= */
    FM_STATUS,    /* fm_text: a new STATUS= line */
    FM_RELOADING, /* no record; sd_notify RELOADING=1 until the next FM_READY */
    FM_HEARTBEAT, /* no record; at least every FM_HEARTBEAT_MS */
    FM_OPEN,      /* fm_role; answered by FM_FD */
    FM_COMMIT,    /* fm_role; renames the temporary file of a role that is written over the real one; answered
                     by FM_FD */
    FM_NEXTHOP_WATCH, /* fm_nexthop; answered by FM_NEXTHOP_STATE at once and at every change */
    FM_NEXTHOP_UNWATCH,
    FM_GROUP_SET, /* fm_group; one record a message. Defines or redefines a group */
    FM_GROUP_DEL, /* fm_group_id; no route of the speaker refers to it any more (those still to be deleted may
                     go with it) */
    FM_ROUTES,    /* fm_route[]; answered by FM_ROUTE_RESULTS */
    FM_BIND,      /* fm_bind[]; puts a VIP on lo or takes it away */
    FM_SYNCED,    /* no record; everything was learned: sweep what was not confirmed */
    FM_STOPPED,   /* no record; sessions are closed after FM_STOP; the speaker exits next */
    FM_LOG,       /* fm_log; how the parent logs from now on */
    /* The next hops of a session that is lost, when it alone gave the paths over them and no graceful restart
       retains them: no packet goes there any more, at once. Until FM_NEXTHOP_ALIVE or the next watch.
       ALIVE ends what BFD says as well: a session has come up over it all the same. */
    FM_NEXTHOP_DEAD, /* fm_nexthop[] */
    FM_NEXTHOP_ALIVE,
    FM_BFD_SET, /* fm_bfd[]; defines or changes the session with a peer; answered by FM_BFD_STATE */
    FM_BFD_DEL, /* fm_nexthop[]; says AdminDown to the peer, and ends it. A new speaker's FM_SYNCED, or the
                   stale time, does so to the sessions that it has not defined */
    /* A planned restart: what is not to be closed goes to the parent, which gives it to the next speaker. */
    FM_KEEP,    /* fm_keep, with the descriptor; only after FM_READY; FM_KEEP_MOST of them */
    FM_RESTART, /* fm_flags: FM_RESTART_*; all FM_KEEP were said; this speaker exits 0 next */
    /* fib to speaker */
    FM_FD = 64,       /* fm_fd, with the descriptor as SCM_RIGHTS when error is 0 (FM_COMMIT: without) */
    FM_LINK,          /* fm_link[] */
    FM_ADDRESS,       /* fm_address[] */
    FM_SYNC_DONE,     /* fm_flags: FM_KEPT_*; the initial FM_LINK and FM_ADDRESS are complete */
    FM_NEXTHOP_STATE, /* fm_nexthop_state[] */
    FM_ROUTE_RESULTS, /* fm_result[] */
    FM_RELOAD,        /* no record; SIGHUP */
    FM_STOP,          /* fm_flags: FM_STOP_*; a signal: close the sessions, say FM_STOPPED, exit 0 */
    FM_BFD_STATE,     /* fm_bfd_state[]; at FM_BFD_SET and at every change */
    FM_KEPT, /* fm_keep, with the descriptor: what the former speaker said with FM_KEEP, in the same order,
                before FM_SYNC_DONE. The parent closes its own copies then */
    FM_RESTART_ASKED, /* fm_flags: FM_RESTART_*; a signal: hand over, as `underlayctl restart` */
};
#define FM_HEARTBEAT_MS 5000  /* few wake-ups when idle */
#define FM_HANG_MS      15000 /* no message for so long: the parent kills the speaker */

struct fm_header {
    uint16_t version; /* FIBMSG_VERSION */
    uint16_t type;    /* enum fm_type */
    uint32_t count;   /* records that follow */
};

struct fm_hello {
    uint32_t version;
    int32_t pid;
};

#define FM_SET_INSTALL  0x01 /* fib.install */
#define FM_SET_PRESERVE 0x02 /* on-stop: preserve */

struct fm_settings {
    uint32_t flags;
    uint32_t table;
    uint32_t metric;
    uint32_t protocol;      /* 1..255, not 186 */
    uint32_t stale_time_ms; /* sweep at the latest so long after FM_READY when FM_SYNCED does not come */
    uint32_t control_gid;   /* group of the control socket, (uint32_t)-1: leave */
    uint32_t port;          /* BGP port of all listeners */
    uint8_t log_level, log_format, log_target; /* enums of log.h; the parent logs in the same way */
    uint8_t reserved;
    uint8_t prefsrc_ipv4[4]; /* all zero: none */
    uint8_t prefsrc_ipv6[16];
};

/* FM_SYNC_DONE: routes of ours from before this speaker are in the kernel, so that forwarding went on. */
#define FM_KEPT_IPV4 0x01
#define FM_KEPT_IPV6 0x02
/* FM_STOP: routes stay in the kernel, and peers may count on that. */
#define FM_STOP_PRESERVE 0x01
/* FM_RESTART: the parent executes itself anew too, from the file that it was started from. */
#define FM_RESTART_PARENT 0x01
struct fm_flags {
    uint32_t flags;
};

struct fm_log {
    uint8_t level, format, target; /* enums of log.h */
    uint8_t reserved;
};

enum fm_file_role {
    FM_ROLE_CONFIG,  /* read only */
    FM_ROLE_KEY,     /* password file `index`, read only */
    FM_ROLE_CONTROL, /* the listening control socket */
    FM_ROLE_LISTEN,  /* BGP listener `index` */
    FM_ROLE_STATE,   /* FM_OPEN index 0: read the state file (-ENOENT: none yet); index 1: a fresh temporary
                        file to write */
    FM_ROLE_RA,      /* a fresh raw ICMPv6 socket for router advertisements and solicitations, index 0 */
    FM_ROLE_METRICS, /* the HTTP listener, index 0 */
    /* Written as FM_ROLE_STATE is. The speaker writes into the temporary file by itself: what is in it and
       how much is its own affair. */
    FM_ROLE_KUBE_STATE, /* what was last heard from Kubernetes */
    FM_ROLE_CNI,        /* the CNI configuration, for others to read: mode 0644 */
    FM_ROLE_COUNT
};
struct fm_path {
    uint32_t role; /* FM_ROLE_CONFIG, _KEY, _CONTROL, _STATE, _KUBE_STATE, _CNI */
    uint32_t index;
    char path[FM_PATH_MAX]; /* zero-terminated */
};
struct fm_listen {
    uint32_t index;
    uint8_t af;    /* AF_INET or AF_INET6 (always V6ONLY) */
    uint8_t role;  /* FM_ROLE_LISTEN or FM_ROLE_METRICS */
    uint16_t port; /* 0: that of the settings */
    uint8_t addr[16];
};
struct fm_role {
    uint32_t role;
    uint32_t index;
};
struct fm_fd {
    uint32_t role;
    uint32_t index;
    int32_t error; /* 0 or -errno */
    uint32_t reserved;
};
struct fm_text {
    char text[128]; /* zero-terminated, printable ASCII */
};

/* A next hop as BGP means it: an address, and the interface where that is needed (link-local). */
struct fm_nexthop {
    uint8_t af;
    uint8_t reserved[3];
    uint32_t scope; /* ifindex for link-local addresses, else 0 */
    uint8_t addr[16];
};
#define FM_NH_REACHABLE 0x01
#define FM_NH_CONNECTED 0x02 /* on a subnet of one of our interfaces, not through a gateway */
#define FM_NH_BFD_DOWN  0x04 /* BFD with it has failed: not reachable for as long */
struct fm_nexthop_state {
    struct fm_nexthop nexthop;
    uint32_t flags;
    uint32_t ifindex; /* the interface it is reached over */
    uint32_t metric;  /* interior cost: 0 when connected, else the metric of the route that resolves it */
    uint8_t via_af;   /* the gateway when not connected: what the kernel's route says */
    uint8_t reserved[3];
    uint8_t via[16];
};

/* A set of next hops; the parent turns it into one kernel nexthop group. Numbers are the speaker's own, 1 and
 * up; they are forgotten when the speaker dies, and groups are matched by content, backups included. Members
 * sorted, no duplicates, backups in the order of their preference and none of them a member. The kernel gets
 * the members that are usable; when there is none, the first usable backup. Routes of IPv4 take members of
 * both families, those of IPv6 only of their own. */
#define FM_GROUP_MEMBERS 64 /* and backups, together */
struct fm_member {
    struct fm_nexthop nexthop;
    uint32_t weight; /* 1..255 */
};
struct fm_group {
    uint32_t id;
    uint16_t n_members; /* 1..FM_GROUP_MEMBERS */
    uint16_t n_backups; /* after the members in the same array */
    struct fm_member members[FM_GROUP_MEMBERS];
};
struct fm_group_id {
    uint32_t id;
};

enum fm_route_op {
    FM_ROUTE_SET = 1,     /* install over group, or replace what is there of ours */
    FM_ROUTE_UNREACHABLE, /* the same with type unreachable and the worst metric, group 0 */
    FM_ROUTE_DEL,         /* the unicast or blackhole one */
    FM_ROUTE_DEL_UNREACHABLE,
    FM_ROUTE_BLACKHOLE, /* in the place of the unicast one, with type blackhole; group 0; host routes only */
};
/* cookie is the speaker's and comes back in the result. A later record for the same prefix overrides an
 * earlier one that has not reached the kernel yet; both are answered, the overridden one with -ECANCELED. */
struct fm_route {
    uint8_t op; /* enum fm_route_op */
    uint8_t af;
    uint8_t len;
    uint8_t reserved;
    uint32_t group;
    uint32_t cookie;
    uint8_t addr[16]; /* host bits zero */
};
/* error 0: done. Else -errno of the kernel, or one of these. */
#define FM_E_CONNECTED (-10001) /* equal to a connected prefix: never installed; installed if that goes */
#define FM_E_CONFLICT  (-10002) /* another protocol's route is in the place (same prefix, table, metric) */
#define FM_E_NEXTHOP   (-10003) /* no member of the group is usable now; installed when one comes back */
#define FM_E_PREFSRC                                                                                         \
    (-10004) /* the preferred source is no address of this host; installed when it becomes one */
/* Sent for every fm_route; and unasked for (op FM_ROUTE_SET or FM_ROUTE_BLACKHOLE, same cookie) when an
 * installed route's state changes later.*/
struct fm_result {
    uint32_t cookie;
    int32_t error;
    uint8_t op;
    uint8_t af;
    uint8_t reserved[2];
};

#define FM_BIND_ADD 1
#define FM_BIND_DEL 2
struct fm_bind {
    uint8_t op;
    uint8_t af;
    uint8_t reserved[2];
    uint8_t addr[16];
};

#define FM_LINK_UP      0x01 /* administratively up and lower layer up */
#define FM_LINK_LOOP    0x02
#define FM_LINK_DELETED 0x80
struct fm_link {
    uint32_t ifindex;
    uint32_t flags;
    uint32_t mtu;
    char name[FM_NAME_MAX];
};
#define FM_ADDR_DELETED   0x80
#define FM_ADDR_TENTATIVE 0x01 /* IPv6 DAD not finished or failed */
#define FM_ADDR_OURS      0x02 /* put there by FM_BIND */
struct fm_address {
    uint32_t ifindex;
    uint32_t flags;
    uint8_t af;
    uint8_t len;
    uint8_t scope; /* RT_SCOPE_* */
    uint8_t reserved;
    uint8_t addr[16];
};

/* One BFD session (RFC 5880); the peer's address and scope are its name. */
#define FM_BFD_MULTIHOP 0x01 /* RFC 5883, else RFC 5881 */
/* The peer is in a graceful restart: if its BFD shares fate with its control plane (no FM_BFD_REMOTE_CPI), a
   failure is taken for part of that, and leaves the next hop alone (RFC 5882 4.3.2). */
#define FM_BFD_RESTARTING 0x02
struct fm_bfd {
    struct fm_nexthop peer;
    uint8_t local[16]; /* to send from, of the peer's family; all zero: the kernel's choice */
    uint32_t flags;
    uint32_t interval_us; /* DesiredMinTxInterval and RequiredMinRxInterval */
    uint8_t multiplier;   /* 1..255 */
    uint8_t min_ttl;      /* of what comes in: 255 of one hop (RFC 5881 5), 255 - hops + 1 with MULTIHOP */
    uint8_t reserved[2];
};
enum fm_bfd_session_state { FM_BFD_ADMIN_DOWN, FM_BFD_DOWN, FM_BFD_INIT, FM_BFD_UP }; /* RFC 5880 4.1 */
/* Of fm_bfd_state.flags. */
#define FM_BFD_FAILED     0x01 /* it was up and went down by itself: the path is dead (RFC 5882 section 3.2) */
#define FM_BFD_STARVED    0x02 /* this host did not let us run: the detection time was given once more */
#define FM_BFD_REMOTE_CPI 0x04 /* the peer's BFD outlives its control plane: the C bit, RFC 5880 4.1 */
struct fm_bfd_state {
    struct fm_nexthop peer;
    uint8_t local[16];           /* as sent from, all zero: not known yet */
    uint8_t state, remote_state; /* enum fm_bfd_session_state */
    uint8_t diag, remote_diag;   /* RFC 5880 4.1 */
    uint8_t multiplier, remote_multiplier;
    uint8_t reserved[2];
    uint32_t flags;
    int32_t error; /* 0, or why it cannot run: -errno of its socket */
    uint32_t discriminator, remote_discriminator;
    uint32_t tx_us, rx_us;               /* ours as sent: DesiredMinTx, RequiredMinRx */
    uint32_t remote_tx_us, remote_rx_us; /* theirs, 0 unknown */
    uint32_t detection_us;               /* the negotiated detection time, 0 none */
    uint32_t ups, downs;                 /* so often since it was defined */
    uint32_t starvations;                /* of the whole BFD thread: for half of an interval and more */
    uint32_t starved_us;                 /* the longest that it was not let to run */
    uint32_t reserved2;
    uint64_t since_ms; /* CLOCK_MONOTONIC: of the present state */
    /* Control packets of the session, those that were not dropped (RFC 5880 6.8.6); up to two seconds old. */
    uint64_t packets_in, packets_out;
};

/* What a speaker leaves to the next one. */
enum fm_keep_kind {
    FM_KEEP_STATE = 1, /* a sealed memfd: what the sessions are; see bgpd/handover.h */
    FM_KEEP_SESSION,   /* a TCP connection; index as in the state */
    FM_KEEP_NOTHING,   /* without a descriptor: the speaker stays, what was kept so far is closed */
};
#define FM_KEEP_MOST 16384
struct fm_keep {
    uint32_t kind; /* enum fm_keep_kind */
    uint32_t index;
};

_Static_assert(sizeof(struct fm_header) == 8, "fibmsg layout");
_Static_assert(sizeof(struct fm_hello) == 8, "fibmsg layout");
_Static_assert(sizeof(struct fm_settings) == 52, "fibmsg layout");
_Static_assert(sizeof(struct fm_flags) == 4, "fibmsg layout");
_Static_assert(sizeof(struct fm_log) == 4, "fibmsg layout");
_Static_assert(sizeof(struct fm_path) == 264, "fibmsg layout");
_Static_assert(sizeof(struct fm_listen) == 24, "fibmsg layout");
_Static_assert(sizeof(struct fm_role) == 8, "fibmsg layout");
_Static_assert(sizeof(struct fm_fd) == 16, "fibmsg layout");
_Static_assert(sizeof(struct fm_nexthop) == 24, "fibmsg layout");
_Static_assert(sizeof(struct fm_nexthop_state) == 56, "fibmsg layout");
_Static_assert(sizeof(struct fm_group) == 8 + 28 * FM_GROUP_MEMBERS, "fibmsg layout");
_Static_assert(sizeof(struct fm_bfd) == 52, "fibmsg layout");
_Static_assert(sizeof(struct fm_bfd_state) == 128, "fibmsg layout");
_Static_assert(sizeof(struct fm_keep) == 8, "fibmsg layout");
_Static_assert(sizeof(struct fm_route) == 28, "fibmsg layout");
_Static_assert(sizeof(struct fm_result) == 12, "fibmsg layout");
_Static_assert(sizeof(struct fm_bind) == 20, "fibmsg layout");
_Static_assert(sizeof(struct fm_link) == 28, "fibmsg layout");
_Static_assert(sizeof(struct fm_address) == 28, "fibmsg layout");

/* bgpd/lib/fibchan.c: framing over the socketpair, used by both ends. A queue for what the socket does not
 * take now, so that a sender never blocks. */
#include <stdbool.h>
#include <stddef.h>
struct fibchan;
struct loop;
struct fibchan_ops {
    /* One whole, well-formed message (header and payload length agree with the type's record size). fd is -1
     * or the descriptor that came with it (the callee owns it). Return 0, or negative to stop reading for
     * good. */
    int (*message)(void *arg, const struct fm_header *h, const void *records, int fd);
    void (*writable)(void *arg);                /* the queue was above fibchan_room and has drained */
    void (*closed)(void *arg, const char *why); /* end of file, error or malformed message; once */
};
struct fibchan *fibchan_new(struct loop *l, int fd, const struct fibchan_ops *ops, void *arg); /* owns fd */
void fibchan_free(struct fibchan *c);
/* Queues one message of n records of the type's size; passes fd (dup-ed by the kernel, still the caller's)
 * when >= 0. 0, -EMSGSIZE, -ENOMEM. Never blocks, never drops. In order, but for FM_NEXTHOP_DEAD, which goes
 * ahead of FM_ROUTES that wait. */
int fibchan_send(struct fibchan *c, enum fm_type type, const void *records, uint32_t n, int fd);
/* Messages that may still be queued before a producer of bulk should wait for `writable`; 0: wait. */
unsigned fibchan_room(struct fibchan *c);
/* Stops and resumes reading: for an end that owes more answers than it can send. End of file is then noticed
 * late. */
void fibchan_pause(struct fibchan *c, bool paused);
int fibchan_flush(struct fibchan *c, int timeout_ms); /* blocking; at start and stop only */
/* Handles all that is there now, paused or not: of an end that has died, its last words. */
void fibchan_drain(struct fibchan *c);
/* Largest n for which fibchan_send of this type fits. Record size, 0 for unknown types. */
uint32_t fm_max_records(enum fm_type type);
size_t fm_record_size(enum fm_type type);
/* Whether the given end may send this type. */
bool fm_from_speaker(enum fm_type type);
const char *fm_type_name(enum fm_type type);

#endif
