/* Graceful restart of a peer and of our own (RFC 4724, 8538, 9494): what outlives a session, and for how
 * long. Only for peer*.c. */
#ifndef UNDERLAY_PEER_RESTART_H
#define UNDERLAY_PEER_RESTART_H

#include "fsm.h"
#include "prefix.h"
#include "wire/msg.h"

struct peer;
struct peer_info;
struct peer_link;
struct peer_session;
struct timer;

/* How a session ended, as far as its routes are concerned. */
enum session_end {
    END_ADMIN,        /* an operator or the configuration ended it */
    END_CONNECTION,   /* TCP failed or was closed, without a word */
    END_NOTIFICATION, /* one was sent or received, for an expired hold timer too; not a Hard Reset */
    END_HARD,         /* a Hard Reset, of either side */
    END_BFD_DOWN,     /* forwarding to the peer is known to fail */
};

/* Of one family. */
struct peer_kept {
    bool on;         /* stale paths of an earlier session are used */
    bool long_lived; /* for longer than the restart time, RFC 9494 */
    uint32_t long_ms;
    uint64_t due_ms;  /* when that ends */
    uint64_t last_ms; /* when it ends at the latest: the stale time after the first loss */
};

struct peer_restart {
    enum session_end end; /* of the session that is being released */
    uint64_t lost_ms;
    uint32_t restart_s; /* the peer's own, of the session that was lost */
    struct peer_kept kept[FAM_COUNT];
    struct timer *timer;
};

int peer_restart_init(struct peer *p); /* 0 or -ENOMEM */
void peer_restart_free(struct peer *p);

/* What we say of it in an OPEN to this peer, with the families that are in c. */
void peer_restart_offer(const struct peer *p, struct capabilities *c);
/* The NOTIFICATION e of ours as it goes out over l: as it is, or in a Hard Reset (RFC 8538 section 5.1).
 * Every one of ours passes through here. */
struct bgp_error peer_restart_notification(const struct peer_link *l, const struct bgp_error *e);
/* An Established session is about to end by this event. err: the NOTIFICATION that it causes, NULL none
 * known; received: the one that caused it. */
void peer_restart_ends(struct peer_link *l, enum fsm_event e, const struct bgp_error *err);
/* We stop and will be back: the session ends without a NOTIFICATION, if the peer keeps our routes then. */
void peer_restart_close(struct peer *p);
/* Just before the RIB hears that the session is gone, and just after it heard of a new one. */
void peer_restart_down(struct peer_link *l);
void peer_restart_up(struct peer_link *l);
void peer_restart_resume(struct peer *p);                    /* kept has come from another process */
bool peer_restart_is_notified(const struct peer_session *s); /* RFC 8538: NOTIFICATIONs of it are graceful */
void peer_restart_hold_eor(struct peer *p);                  /* if it is to be held; after adjout_start */
void peer_restart_eor(struct peer *p, enum family f);        /* End-of-RIB received */
void peer_restart_drop(struct peer *p, const char *why);     /* all that is kept goes */
void peer_restart_abort(struct peer *p); /* as if the restart time were over: RFC 5882 10.2 */
void peer_restart_info(const struct peer *p, struct peer_info *o);
/* Of the paths of f those that an earlier session left and this one has not said again yet. */
uint32_t peer_restart_left(const struct peer *p, enum family f);
/* Whether an OPEN over this connection, which came in, says that the peer behind the Established one has
 * restarted (4.2). */
bool peer_restart_replaces(const struct peer_link *l, const struct peer_link *established);
/* Whether End-of-RIB is to be waited for, however long it takes (until the stale time of the FIB is over). */
bool peer_restart_awaits_eor(const struct peer_link *l);

#endif
