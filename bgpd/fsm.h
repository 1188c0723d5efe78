/* The BGP finite state machine, RFC 4271 section 8: one for each TCP connection (8.2.1.2). Pure: a state and
 * an event go in, the next state and what to do come out. Who owns sockets and timers carries the actions
 * out, in the order of their bits. */
#ifndef UNDERLAY_FSM_H
#define UNDERLAY_FSM_H

#include <stdint.h>

enum peer_state {
    PEER_IDLE,
    PEER_CONNECT,
    PEER_ACTIVE,
    PEER_OPEN_SENT,
    PEER_OPEN_CONFIRM,
    PEER_ESTABLISHED,
    PEER_STATE_COUNT
};
const char *peer_state_name(enum peer_state s); /* "Idle", "Connect", "Active", "OpenSent", … as FRR */

enum fsm_event { /* numbers of RFC 4271 section 8.1 */
                 FSM_EV_MANUAL_START = 1,
                 FSM_EV_MANUAL_STOP = 2,
                 FSM_EV_AUTO_START = 3,
                 FSM_EV_MANUAL_START_PASSIVE = 4,
                 FSM_EV_AUTO_START_PASSIVE = 5,
                 FSM_EV_AUTO_START_DAMPED = 6,
                 FSM_EV_AUTO_START_DAMPED_PASSIVE = 7,
                 FSM_EV_AUTO_STOP = 8,
                 FSM_EV_CONNECT_RETRY_EXPIRES = 9,
                 FSM_EV_HOLD_EXPIRES = 10,
                 FSM_EV_KEEPALIVE_EXPIRES = 11,
                 FSM_EV_DELAY_OPEN_EXPIRES = 12, /* DelayOpen is not offered: 12 and 20 are never raised */
                 FSM_EV_IDLE_HOLD_EXPIRES = 13,
                 FSM_EV_TCP_VALID = 14,
                 FSM_EV_TCP_INVALID = 15,
                 FSM_EV_TCP_ACKED = 16,
                 FSM_EV_TCP_CONFIRMED = 17,
                 FSM_EV_TCP_FAILS = 18,
                 FSM_EV_OPEN = 19,
                 FSM_EV_OPEN_DELAY_RUNNING = 20,
                 FSM_EV_HEADER_ERR = 21,
                 FSM_EV_OPEN_ERR = 22,
                 FSM_EV_COLLISION_DUMP = 23,
                 FSM_EV_NOTIFICATION_VERSION = 24,
                 FSM_EV_NOTIFICATION = 25,
                 FSM_EV_KEEPALIVE = 26,
                 FSM_EV_UPDATE = 27,
                 FSM_EV_UPDATE_ERR = 28,
                 FSM_EV_ROUTE_REFRESH = 29,     /* RFC 2918 */
                 FSM_EV_SEND_HOLD_EXPIRES = 30, /* RFC 9687 */
                 FSM_EV_COUNT
};
const char *fsm_event_name(enum fsm_event e); /* "ManualStart", "HoldTimer_Expires", … as the RFC */

enum fsm_action {
    FSM_DO_NOTIFY = 1u << 0, /* send a NOTIFICATION; code and subcode of the step, or the event's own */
    FSM_DO_STOP_CONNECT_RETRY = 1u << 1, /* "sets the ConnectRetryTimer to zero" */
    FSM_DO_RELEASE =
        1u << 2, /* all BGP resources, routes of the connection included; stops hold and keepalive */
    FSM_DO_DROP = 1u << 3,       /* the TCP connection */
    FSM_DO_COUNT_ZERO = 1u << 4, /* ConnectRetryCounter, and with it the damping */
    FSM_DO_COUNT_UP = 1u << 5,   /* the same plus one: performs peer oscillation damping */
    FSM_DO_START_CONNECT_RETRY = 1u << 6,
    FSM_DO_CONNECT = 1u << 7, /* initiate a TCP connection */
    FSM_DO_RESTART = 1u << 8, /* raise the start event that suits the peer */
    FSM_DO_SEND_OPEN = 1u << 9,
    FSM_DO_HOLD_LARGE = 1u << 10, /* HoldTimer to a large value: 4 minutes */
    FSM_DO_SEND_KEEPALIVE = 1u << 11,
    FSM_DO_HOLD = 1u << 12,       /* (re)start the HoldTimer with the negotiated value, unless that is 0 */
    FSM_DO_KEEPALIVE = 1u << 13,  /* (re)start the KeepaliveTimer, unless the negotiated hold time is 0 */
    FSM_DO_UP = 1u << 14,         /* Established now */
    FSM_DO_UPDATE = 1u << 15,     /* process the UPDATE */
    FSM_DO_REFRESH = 1u << 16,    /* process the ROUTE-REFRESH */
    FSM_DO_REJECT_TCP = 1u << 17, /* close the connection that was offered, not this one */
    FSM_DO_TRACK = 1u << 18, /* the offered connection gets an FSM of its own until its OPEN comes (6.8) */
};

struct fsm_step {
    enum peer_state next;
    uint32_t actions; /* enum fsm_action */
    uint8_t code,
        subcode; /* of FSM_DO_NOTIFY when the FSM itself decides; 0: the error that came with the event */
};
struct fsm_step fsm_step(enum peer_state s, enum fsm_event e);

#endif
