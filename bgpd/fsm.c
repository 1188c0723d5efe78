/* RFC 4271 section 8.2.2 as a table: one row a paragraph of the text, in the order of the text, and one row a
 * state for its "any other event". Where we read the RFC with later ones or with what every implementation
 * does, the row says so:
 *
 *  - Connect, TcpConnectionFails: the text goes to Idle unless DelayOpenTimer runs, and Idle refuses the
 * peer's own connection. We take the DelayOpen branch (Active, listening), as FRR, BIRD and OpenBGPD do.
 *  - A second OPEN on one connection is an unexpected message (RFC 6608); collisions are between connections,
 * and each connection has its own FSM here.
 *  - Established, header or OPEN error: section 6.1 wants its own code, not the FSM error of the catch-all.
 *
 * Not here: timers' values and jitter, collision itself, how long Idle lasts (peer.c).
 */
#include "fsm.h"

#include <stdbool.h>
#include <stddef.h>

#include "wire/msg.h"

#define DROP  (FSM_DO_STOP_CONNECT_RETRY | FSM_DO_RELEASE | FSM_DO_DROP)
#define FAIL  (DROP | FSM_DO_COUNT_UP)
#define ERROR (FAIL | FSM_DO_NOTIFY)

struct row {
    bool set;
    uint8_t next;
    uint8_t code, subcode;
    uint32_t actions;
};
#define ROW(state, ...)                                                                                      \
    {                                                                                                        \
        .set = true, .next = (state), .actions = (__VA_ARGS__)                                               \
    }
#define FSM_ERROR(sub)                                                                                       \
    {                                                                                                        \
        .set = true, .code = BGP_ERR_FSM, .subcode = (sub), .actions = ERROR                                 \
    }
#define HOLD_ERROR                                                                                           \
    {                                                                                                        \
        .set = true, .code = BGP_ERR_HOLD_TIMER, .actions = ERROR                                            \
    }
#define SEND_HOLD_ERROR                                                                                      \
    {                                                                                                        \
        .set = true, .code = BGP_ERR_SEND_HOLD_TIMER, .actions = ERROR                                       \
    }
#define IGNORE_STARTS(state)                                                                                 \
    [FSM_EV_MANUAL_START] = ROW(state, 0), [FSM_EV_AUTO_START] = ROW(state, 0),                              \
    [FSM_EV_MANUAL_START_PASSIVE] = ROW(state, 0), [FSM_EV_AUTO_START_PASSIVE] = ROW(state, 0),              \
    [FSM_EV_AUTO_START_DAMPED] = ROW(state, 0), [FSM_EV_AUTO_START_DAMPED_PASSIVE] = ROW(state, 0)
#define TRACK_SECOND(state)                                                                                  \
    [FSM_EV_TCP_VALID] = ROW(state, FSM_DO_TRACK), [FSM_EV_TCP_ACKED] = ROW(state, FSM_DO_TRACK),            \
    [FSM_EV_TCP_CONFIRMED] = ROW(state, FSM_DO_TRACK), [FSM_EV_TCP_INVALID] = ROW(state, FSM_DO_REJECT_TCP)

#define START         ROW(PEER_CONNECT, FSM_DO_COUNT_ZERO | FSM_DO_START_CONNECT_RETRY | FSM_DO_CONNECT)
#define START_PASSIVE ROW(PEER_ACTIVE, FSM_DO_COUNT_ZERO | FSM_DO_START_CONNECT_RETRY)
#define SEND_OPEN     ROW(PEER_OPEN_SENT, FSM_DO_STOP_CONNECT_RETRY | FSM_DO_SEND_OPEN | FSM_DO_HOLD_LARGE)

/* A damped start is one after an error: it keeps the counter, or the damping would never grow. */
static const struct row idle[FSM_EV_COUNT] = {
    [FSM_EV_MANUAL_START] = START,
    [FSM_EV_AUTO_START] = START,
    [FSM_EV_MANUAL_START_PASSIVE] = START_PASSIVE,
    [FSM_EV_AUTO_START_PASSIVE] = START_PASSIVE,
    [FSM_EV_AUTO_START_DAMPED] = ROW(PEER_CONNECT, FSM_DO_START_CONNECT_RETRY | FSM_DO_CONNECT),
    [FSM_EV_AUTO_START_DAMPED_PASSIVE] = ROW(PEER_ACTIVE, FSM_DO_START_CONNECT_RETRY),
    [FSM_EV_IDLE_HOLD_EXPIRES] = ROW(PEER_IDLE, FSM_DO_RESTART),
    /* "refuses all incoming BGP connections for this peer" */
    [FSM_EV_TCP_VALID] = ROW(PEER_IDLE, FSM_DO_REJECT_TCP),
    [FSM_EV_TCP_INVALID] = ROW(PEER_IDLE, FSM_DO_REJECT_TCP),
    [FSM_EV_TCP_CONFIRMED] = ROW(PEER_IDLE, FSM_DO_REJECT_TCP),
    [0] = ROW(PEER_IDLE, 0),
};

static const struct row connect_[FSM_EV_COUNT] = {
    IGNORE_STARTS(PEER_CONNECT),
    [FSM_EV_MANUAL_STOP] = ROW(PEER_IDLE, DROP | FSM_DO_COUNT_ZERO),
    [FSM_EV_CONNECT_RETRY_EXPIRES] =
        ROW(PEER_CONNECT, FSM_DO_DROP | FSM_DO_START_CONNECT_RETRY | FSM_DO_CONNECT),
    [FSM_EV_TCP_VALID] = ROW(PEER_CONNECT, 0),
    [FSM_EV_TCP_INVALID] = ROW(PEER_CONNECT, FSM_DO_REJECT_TCP),
    [FSM_EV_TCP_ACKED] = SEND_OPEN,
    [FSM_EV_TCP_CONFIRMED] = SEND_OPEN,
    [FSM_EV_TCP_FAILS] = ROW(PEER_ACTIVE, FSM_DO_DROP | FSM_DO_START_CONNECT_RETRY),
    [FSM_EV_HEADER_ERR] = ROW(PEER_IDLE, FAIL),
    [FSM_EV_OPEN_ERR] = ROW(PEER_IDLE, FAIL),
    [0] = ROW(PEER_IDLE, FAIL),
};

static const struct row active[FSM_EV_COUNT] = {
    IGNORE_STARTS(PEER_ACTIVE),
    [FSM_EV_MANUAL_STOP] = ROW(PEER_IDLE, DROP | FSM_DO_COUNT_ZERO),
    [FSM_EV_CONNECT_RETRY_EXPIRES] = ROW(PEER_CONNECT, FSM_DO_START_CONNECT_RETRY | FSM_DO_CONNECT),
    [FSM_EV_TCP_VALID] = ROW(PEER_ACTIVE, 0),
    [FSM_EV_TCP_INVALID] = ROW(PEER_ACTIVE, FSM_DO_REJECT_TCP),
    [FSM_EV_TCP_ACKED] = SEND_OPEN,
    [FSM_EV_TCP_CONFIRMED] = SEND_OPEN,
    [FSM_EV_TCP_FAILS] =
        ROW(PEER_IDLE, FSM_DO_RELEASE | FSM_DO_DROP | FSM_DO_COUNT_UP | FSM_DO_START_CONNECT_RETRY),
    [FSM_EV_HEADER_ERR] = ROW(PEER_IDLE, FAIL),
    [FSM_EV_OPEN_ERR] = ROW(PEER_IDLE, FAIL),
    [0] = ROW(PEER_IDLE, FAIL),
};

static const struct row open_sent[FSM_EV_COUNT] = {
    IGNORE_STARTS(PEER_OPEN_SENT),
    [FSM_EV_MANUAL_STOP] = ROW(PEER_IDLE, DROP | FSM_DO_NOTIFY | FSM_DO_COUNT_ZERO),
    [FSM_EV_AUTO_STOP] = ROW(PEER_IDLE, ERROR),
    [FSM_EV_HOLD_EXPIRES] = HOLD_ERROR,
    TRACK_SECOND(PEER_OPEN_SENT),
    [FSM_EV_TCP_FAILS] = ROW(PEER_ACTIVE, FSM_DO_RELEASE | FSM_DO_DROP | FSM_DO_START_CONNECT_RETRY),
    [FSM_EV_OPEN] = ROW(PEER_OPEN_CONFIRM,
                        FSM_DO_STOP_CONNECT_RETRY | FSM_DO_SEND_KEEPALIVE | FSM_DO_KEEPALIVE | FSM_DO_HOLD),
    [FSM_EV_HEADER_ERR] = ROW(PEER_IDLE, ERROR),
    [FSM_EV_OPEN_ERR] = ROW(PEER_IDLE, ERROR),
    [FSM_EV_COLLISION_DUMP] = ROW(PEER_IDLE, ERROR),
    [FSM_EV_NOTIFICATION_VERSION] = ROW(PEER_IDLE, DROP),
    /* In the catch-all of the text, but a NOTIFICATION is never answered with one (section 6, 4.5). */
    [FSM_EV_NOTIFICATION] = ROW(PEER_IDLE, FAIL),
    [0] = FSM_ERROR(BGP_ERR_FSM_OPEN_SENT),
};

static const struct row open_confirm[FSM_EV_COUNT] = {
    IGNORE_STARTS(PEER_OPEN_CONFIRM),
    [FSM_EV_MANUAL_STOP] = ROW(PEER_IDLE, DROP | FSM_DO_NOTIFY | FSM_DO_COUNT_ZERO),
    [FSM_EV_AUTO_STOP] = ROW(PEER_IDLE, ERROR),
    [FSM_EV_HOLD_EXPIRES] = HOLD_ERROR,
    [FSM_EV_KEEPALIVE_EXPIRES] = ROW(PEER_OPEN_CONFIRM, FSM_DO_SEND_KEEPALIVE | FSM_DO_KEEPALIVE),
    TRACK_SECOND(PEER_OPEN_CONFIRM),
    [FSM_EV_TCP_FAILS] = ROW(PEER_IDLE, FAIL),
    [FSM_EV_NOTIFICATION] = ROW(PEER_IDLE, FAIL),
    [FSM_EV_NOTIFICATION_VERSION] = ROW(PEER_IDLE, DROP),
    [FSM_EV_OPEN] = FSM_ERROR(BGP_ERR_FSM_OPEN_CONFIRM),
    [FSM_EV_HEADER_ERR] = ROW(PEER_IDLE, ERROR),
    [FSM_EV_OPEN_ERR] = ROW(PEER_IDLE, ERROR),
    [FSM_EV_COLLISION_DUMP] = ROW(PEER_IDLE, ERROR),
    [FSM_EV_KEEPALIVE] = ROW(PEER_ESTABLISHED, FSM_DO_HOLD | FSM_DO_UP),
    [0] = FSM_ERROR(BGP_ERR_FSM_OPEN_CONFIRM),
};

static const struct row established[FSM_EV_COUNT] = {
    IGNORE_STARTS(PEER_ESTABLISHED),
    [FSM_EV_MANUAL_STOP] = ROW(PEER_IDLE, DROP | FSM_DO_NOTIFY | FSM_DO_COUNT_ZERO),
    [FSM_EV_AUTO_STOP] = ROW(PEER_IDLE, ERROR),
    [FSM_EV_HOLD_EXPIRES] = HOLD_ERROR,
    [FSM_EV_SEND_HOLD_EXPIRES] = SEND_HOLD_ERROR,
    [FSM_EV_KEEPALIVE_EXPIRES] = ROW(PEER_ESTABLISHED, FSM_DO_SEND_KEEPALIVE | FSM_DO_KEEPALIVE),
    TRACK_SECOND(PEER_ESTABLISHED),
    [FSM_EV_OPEN] = FSM_ERROR(BGP_ERR_FSM_ESTABLISHED),
    [FSM_EV_COLLISION_DUMP] = ROW(PEER_IDLE, ERROR),
    [FSM_EV_NOTIFICATION_VERSION] = ROW(PEER_IDLE, FAIL),
    [FSM_EV_NOTIFICATION] = ROW(PEER_IDLE, FAIL),
    [FSM_EV_TCP_FAILS] = ROW(PEER_IDLE, FAIL),
    [FSM_EV_KEEPALIVE] = ROW(PEER_ESTABLISHED, FSM_DO_HOLD),
    [FSM_EV_UPDATE] = ROW(PEER_ESTABLISHED, FSM_DO_HOLD | FSM_DO_UPDATE),
    [FSM_EV_UPDATE_ERR] = ROW(PEER_IDLE, ERROR),
    [FSM_EV_ROUTE_REFRESH] = ROW(PEER_ESTABLISHED, FSM_DO_REFRESH),
    [FSM_EV_HEADER_ERR] = ROW(PEER_IDLE, ERROR),
    [FSM_EV_OPEN_ERR] = ROW(PEER_IDLE, ERROR),
    [0] = FSM_ERROR(BGP_ERR_FSM_ESTABLISHED),
};

static const struct row *const states[PEER_STATE_COUNT] = {
    [PEER_IDLE] = idle,           [PEER_CONNECT] = connect_,          [PEER_ACTIVE] = active,
    [PEER_OPEN_SENT] = open_sent, [PEER_OPEN_CONFIRM] = open_confirm, [PEER_ESTABLISHED] = established,
};

struct fsm_step fsm_step(enum peer_state s, enum fsm_event e)
{
    const struct row *r = &states[s][e < FSM_EV_COUNT ? e : 0];
    if (!r->set)
        r = &states[s][0];
    return (struct fsm_step){.next = r->next, .actions = r->actions, .code = r->code, .subcode = r->subcode};
}

const char *peer_state_name(enum peer_state s)
{
    static const char *const names[PEER_STATE_COUNT] = {"Idle",     "Connect",     "Active",
                                                        "OpenSent", "OpenConfirm", "Established"};
    return s < PEER_STATE_COUNT ? names[s] : "?";
}

const char *fsm_event_name(enum fsm_event e)
{
    static const char *const names[FSM_EV_COUNT] = {
        [FSM_EV_MANUAL_START] = "ManualStart",
        [FSM_EV_MANUAL_STOP] = "ManualStop",
        [FSM_EV_AUTO_START] = "AutomaticStart",
        [FSM_EV_MANUAL_START_PASSIVE] = "ManualStart_with_PassiveTcpEstablishment",
        [FSM_EV_AUTO_START_PASSIVE] = "AutomaticStart_with_PassiveTcpEstablishment",
        [FSM_EV_AUTO_START_DAMPED] = "AutomaticStart_with_DampPeerOscillations",
        [FSM_EV_AUTO_START_DAMPED_PASSIVE] =
            "AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment",
        [FSM_EV_AUTO_STOP] = "AutomaticStop",
        [FSM_EV_CONNECT_RETRY_EXPIRES] = "ConnectRetryTimer_Expires",
        [FSM_EV_HOLD_EXPIRES] = "HoldTimer_Expires",
        [FSM_EV_KEEPALIVE_EXPIRES] = "KeepaliveTimer_Expires",
        [FSM_EV_DELAY_OPEN_EXPIRES] = "DelayOpenTimer_Expires",
        [FSM_EV_IDLE_HOLD_EXPIRES] = "IdleHoldTimer_Expires",
        [FSM_EV_TCP_VALID] = "TcpConnection_Valid",
        [FSM_EV_TCP_INVALID] = "Tcp_CR_Invalid",
        [FSM_EV_TCP_ACKED] = "Tcp_CR_Acked",
        [FSM_EV_TCP_CONFIRMED] = "TcpConnectionConfirmed",
        [FSM_EV_TCP_FAILS] = "TcpConnectionFails",
        [FSM_EV_OPEN] = "BGPOpen",
        [FSM_EV_OPEN_DELAY_RUNNING] = "BGPOpen with DelayOpenTimer running",
        [FSM_EV_HEADER_ERR] = "BGPHeaderErr",
        [FSM_EV_OPEN_ERR] = "BGPOpenMsgErr",
        [FSM_EV_COLLISION_DUMP] = "OpenCollisionDump",
        [FSM_EV_NOTIFICATION_VERSION] = "NotifMsgVerErr",
        [FSM_EV_NOTIFICATION] = "NotifMsg",
        [FSM_EV_KEEPALIVE] = "KeepAliveMsg",
        [FSM_EV_UPDATE] = "UpdateMsg",
        [FSM_EV_UPDATE_ERR] = "UpdateMsgErr",
        [FSM_EV_ROUTE_REFRESH] = "RouteRefreshMsg",
        [FSM_EV_SEND_HOLD_EXPIRES] = "SendHoldTimer_Expires",
    };
    return e > 0 && e < FSM_EV_COUNT ? names[e] : "?";
}
