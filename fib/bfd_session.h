/* One BFD session, RFC 5880 section 6.8: the state machine, the negotiation of intervals and the two timers,
 * without a socket and without a clock. Asynchronous mode; the peer may ask for Demand mode, we never do.
 *
 * The owner gives it packets and the time, sends what bfd_session_packet fills in, and calls again at
 * bfd_session_due_us at the latest. Times are microseconds of one monotonic clock. The struct is plain data:
 * it may be saved and go on in another process. */
#ifndef UNDERLAY_FIB_BFD_SESSION_H
#define UNDERLAY_FIB_BFD_SESSION_H

#include "fib/bfd_packet.h"

#define BFD_NEVER   UINT64_MAX
#define BFD_SLOW_US 1000000 /* DesiredMinTxInterval while not Up, at least: 6.8.3 */

/* After the Final of a Poll Sequence another one has to wait for a packet without Final: 6.8.3. */
enum bfd_poll { BFD_POLL_IDLE, BFD_POLL_SENDING, BFD_POLL_SETTLING };

struct bfd_session {
    uint8_t state, remote_state; /* enum fm_bfd_session_state */
    uint8_t diag, remote_diag;
    uint8_t multiplier, remote_multiplier; /* remote 0: nothing was heard yet */
    uint8_t poll;                          /* enum bfd_poll */
    bool remote_demand;
    bool remote_independent; /* of its control plane: the C bit */
    bool heard;              /* within the detection time: the timer runs */
    bool failed;             /* it was Up and ended by itself; until Up again or the peer's AdminDown */
    bool granted;            /* bfd_session_grant was used since the last packet */
    bool spoke;              /* `last` is what was sent last */
    uint32_t discriminator, remote_discriminator;
    uint32_t interval_us;                /* what we are asked for, both ways */
    uint32_t tx_us, rx_us;               /* DesiredMinTxInterval, RequiredMinRxInterval: as sent */
    uint32_t tx_used_us, rx_used_us;     /* the same as used in our timers: not before Final, 6.8.3 */
    uint32_t remote_tx_us, remote_rx_us; /* the peer's */
    uint32_t random;                     /* state of the jitter, never 0 */
    uint32_t ups, downs;                 /* times that it came and left Up */
    uint64_t since_us;                   /* of the present state */
    uint64_t detect_from_us;             /* when the detection time began to run */
    uint64_t sent_us;                    /* the last periodic packet */
    uint64_t next_us;                    /* the next one, BFD_NEVER */
    struct bfd_packet last;              /* as sent, without Poll and Final */
};

/* Down, the first packet due at once. discriminator is not 0 and unique. */
void bfd_session_init(struct bfd_session *s, uint32_t discriminator, uint32_t interval_us, uint8_t multiplier,
                      uint32_t seed, uint64_t now_us);
/* Other parameters: with a Poll Sequence, and without a flap. */
void bfd_session_change(struct bfd_session *s, uint32_t interval_us, uint8_t multiplier, uint64_t now_us);
void bfd_session_admin_down(struct bfd_session *s, uint64_t now_us); /* 6.8.16 */

/* A packet that bfd_packet_decode took and that was found to be this session's. True: a Final must be sent.
 */
bool bfd_session_receive(struct bfd_session *s, const struct bfd_packet *p, uint64_t now_us);
/* The detection time is over at now_us. */
bool bfd_session_is_overdue(const struct bfd_session *s, uint64_t now_us);
/* Then: Down if it was Init or Up; what was known of the peer is forgotten (6.8.1, 6.8.18). */
void bfd_session_expire(struct bfd_session *s, uint64_t now_us);
/* Or the detection time once more, because this host did not run. False: it has been since the last packet.
 */
bool bfd_session_grant(struct bfd_session *s, uint64_t now_us);

/* What to send: the periodic packet when it is due, a Final, or one in between because the contents differ
 * from what was sent last (6.8.7). */
enum bfd_occasion { BFD_PERIODIC, BFD_IN_BETWEEN, BFD_ANSWER };
void bfd_session_packet(struct bfd_session *s, enum bfd_occasion why, uint64_t now_us,
                        struct bfd_packet *out);
bool bfd_session_has_news(const struct bfd_session *s);

uint64_t bfd_session_due_us(const struct bfd_session *s);       /* of either timer, BFD_NEVER */
uint64_t bfd_session_detection_us(const struct bfd_session *s); /* 6.8.4; 0: nothing was heard yet */
/* The time the peer takes to notice that we are gone: our multiplier times the interval we send at. */
uint64_t bfd_session_remote_detection_us(const struct bfd_session *s);

#endif
