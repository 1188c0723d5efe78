/* RFC 4271 section 8.2.2, every state against every event, written down a second time from the text: where it
 * goes, and whether a NOTIFICATION is sent and whose. Then the actions that the text lists, cell by cell
 * where they matter. */
#include "fsm.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"
#include "wire/msg.h"

/* One letter a state, in the order Idle Connect Active OpenSent OpenConfirm Established:
 *   . stays          C A S O E goes to Connect, Active, OpenSent, OpenConfirm, Established
 *   i Idle, silently       n Idle with the NOTIFICATION of the event
 *   f Idle with the FSM error (RFC 6608 subcode)     h Idle with Hold Timer Expired */
static const struct {
    enum fsm_event event;
    const char *cells;
} matrix[] = {
    {FSM_EV_MANUAL_START, "C....."},
    {FSM_EV_MANUAL_STOP, ".iinnn"},
    {FSM_EV_AUTO_START, "C....."},
    {FSM_EV_MANUAL_START_PASSIVE, "A....."},
    {FSM_EV_AUTO_START_PASSIVE, "A....."},
    {FSM_EV_AUTO_START_DAMPED, "C....."},
    {FSM_EV_AUTO_START_DAMPED_PASSIVE, "A....."},
    {FSM_EV_AUTO_STOP, ".iinnn"},
    {FSM_EV_CONNECT_RETRY_EXPIRES, "..Cfff"},
    {FSM_EV_HOLD_EXPIRES, ".iihhh"},
    {FSM_EV_KEEPALIVE_EXPIRES, ".iif.."},
    {FSM_EV_DELAY_OPEN_EXPIRES, ".iifff"},
    {FSM_EV_IDLE_HOLD_EXPIRES, ".iifff"},
    {FSM_EV_TCP_VALID, "......"},
    {FSM_EV_TCP_INVALID, "......"},
    {FSM_EV_TCP_ACKED, ".SS..."},
    {FSM_EV_TCP_CONFIRMED, ".SS..."},
    {FSM_EV_TCP_FAILS, ".AiAii"},
    {FSM_EV_OPEN, ".iiOff"},
    {FSM_EV_OPEN_DELAY_RUNNING, ".iifff"},
    {FSM_EV_HEADER_ERR, ".iinnn"},
    {FSM_EV_OPEN_ERR, ".iinnn"},
    {FSM_EV_COLLISION_DUMP, ".iinnn"},
    {FSM_EV_NOTIFICATION_VERSION, ".iiiii"},
    {FSM_EV_NOTIFICATION, ".iiiii"},
    {FSM_EV_KEEPALIVE, ".iifE."},
    {FSM_EV_UPDATE, ".iiff."},
    {FSM_EV_UPDATE_ERR, ".iiffn"},
    {FSM_EV_ROUTE_REFRESH, ".iiff."},
    {FSM_EV_SEND_HOLD_EXPIRES, ".iiffs"},
};

static enum peer_state wanted_state(enum peer_state from, char c)
{
    static const char letters[] = "iCASOE";
    const char *at = strchr("nfhs", c) ? letters : strchr(letters, c);
    return c == '.' ? from : (enum peer_state)(at - letters);
}

static bool cell_holds(enum peer_state s, enum fsm_event e, char c)
{
    struct fsm_step st = fsm_step(s, e);
    bool notify = strchr("nfhs", c), to_idle = strchr("infhs", c);
    uint8_t code = c == 'f'   ? BGP_ERR_FSM
                   : c == 'h' ? BGP_ERR_HOLD_TIMER
                   : c == 's' ? BGP_ERR_SEND_HOLD_TIMER
                              : 0;
    uint8_t subcode = c == 'f' ? (uint8_t)(s - PEER_OPEN_SENT + BGP_ERR_FSM_OPEN_SENT) : 0;

    return st.next == wanted_state(s, c) && notify == !!(st.actions & FSM_DO_NOTIFY) && st.code == code &&
           st.subcode == subcode && (!to_idle || (st.actions & FSM_DO_DROP));
}

static void every_state_takes_every_event_as_the_rfc_says(void)
{
    CU_ASSERT_EQUAL(sizeof matrix / sizeof *matrix, FSM_EV_COUNT - 1);
    for (unsigned i = 0; i < sizeof matrix / sizeof *matrix; i++) {
        CU_ASSERT_EQUAL(matrix[i].event, i + 1);
        for (enum peer_state s = 0; s < PEER_STATE_COUNT; s++) {
            bool ok = cell_holds(s, matrix[i].event, matrix[i].cells[s]);
            if (!ok)
                printf("      %s in %s is not '%c'\n", fsm_event_name(matrix[i].event), peer_state_name(s),
                       matrix[i].cells[s]);
            CU_ASSERT_TRUE(ok);
        }
    }
}

static void check_actions(enum peer_state s, enum fsm_event e, uint32_t want)
{
    uint32_t got = fsm_step(s, e).actions;
    if (got != want)
        printf("      %s in %s: actions %#x, not %#x\n", fsm_event_name(e), peer_state_name(s), got, want);
    CU_ASSERT_EQUAL(got, want);
}

static void actions_are_those_of_the_text(void)
{
    const uint32_t down = FSM_DO_STOP_CONNECT_RETRY | FSM_DO_RELEASE | FSM_DO_DROP;
    const struct {
        enum peer_state s;
        enum fsm_event e;
        uint32_t actions;
    } rows[] = {
        {PEER_IDLE, FSM_EV_AUTO_START, FSM_DO_COUNT_ZERO | FSM_DO_START_CONNECT_RETRY | FSM_DO_CONNECT},
        {PEER_IDLE, FSM_EV_AUTO_START_DAMPED, FSM_DO_START_CONNECT_RETRY | FSM_DO_CONNECT},
        {PEER_IDLE, FSM_EV_AUTO_START_PASSIVE, FSM_DO_COUNT_ZERO | FSM_DO_START_CONNECT_RETRY},
        {PEER_IDLE, FSM_EV_IDLE_HOLD_EXPIRES, FSM_DO_RESTART},
        {PEER_IDLE, FSM_EV_TCP_CONFIRMED, FSM_DO_REJECT_TCP},
        {PEER_IDLE, FSM_EV_MANUAL_STOP, 0},
        {PEER_CONNECT, FSM_EV_CONNECT_RETRY_EXPIRES,
         FSM_DO_DROP | FSM_DO_START_CONNECT_RETRY | FSM_DO_CONNECT},
        {PEER_CONNECT, FSM_EV_TCP_ACKED, FSM_DO_STOP_CONNECT_RETRY | FSM_DO_SEND_OPEN | FSM_DO_HOLD_LARGE},
        {PEER_CONNECT, FSM_EV_TCP_FAILS, FSM_DO_DROP | FSM_DO_START_CONNECT_RETRY},
        {PEER_CONNECT, FSM_EV_MANUAL_STOP, down | FSM_DO_COUNT_ZERO},
        {PEER_ACTIVE, FSM_EV_CONNECT_RETRY_EXPIRES, FSM_DO_START_CONNECT_RETRY | FSM_DO_CONNECT},
        {PEER_ACTIVE, FSM_EV_TCP_CONFIRMED, FSM_DO_STOP_CONNECT_RETRY | FSM_DO_SEND_OPEN | FSM_DO_HOLD_LARGE},
        {PEER_OPEN_SENT, FSM_EV_OPEN,
         FSM_DO_STOP_CONNECT_RETRY | FSM_DO_SEND_KEEPALIVE | FSM_DO_KEEPALIVE | FSM_DO_HOLD},
        {PEER_OPEN_SENT, FSM_EV_TCP_FAILS, FSM_DO_RELEASE | FSM_DO_DROP | FSM_DO_START_CONNECT_RETRY},
        {PEER_OPEN_SENT, FSM_EV_TCP_CONFIRMED, FSM_DO_TRACK},
        {PEER_OPEN_SENT, FSM_EV_NOTIFICATION_VERSION, down},
        {PEER_OPEN_SENT, FSM_EV_OPEN_ERR, down | FSM_DO_COUNT_UP | FSM_DO_NOTIFY},
        {PEER_OPEN_CONFIRM, FSM_EV_KEEPALIVE, FSM_DO_HOLD | FSM_DO_UP},
        {PEER_OPEN_CONFIRM, FSM_EV_KEEPALIVE_EXPIRES, FSM_DO_SEND_KEEPALIVE | FSM_DO_KEEPALIVE},
        {PEER_OPEN_CONFIRM, FSM_EV_COLLISION_DUMP, down | FSM_DO_COUNT_UP | FSM_DO_NOTIFY},
        {PEER_ESTABLISHED, FSM_EV_KEEPALIVE, FSM_DO_HOLD},
        {PEER_ESTABLISHED, FSM_EV_UPDATE, FSM_DO_HOLD | FSM_DO_UPDATE},
        {PEER_ESTABLISHED, FSM_EV_KEEPALIVE_EXPIRES, FSM_DO_SEND_KEEPALIVE | FSM_DO_KEEPALIVE},
        {PEER_ESTABLISHED, FSM_EV_MANUAL_STOP, down | FSM_DO_NOTIFY | FSM_DO_COUNT_ZERO},
        {PEER_ESTABLISHED, FSM_EV_AUTO_STOP, down | FSM_DO_NOTIFY | FSM_DO_COUNT_UP},
        {PEER_ESTABLISHED, FSM_EV_TCP_FAILS, down | FSM_DO_COUNT_UP},
        {PEER_ESTABLISHED, FSM_EV_ROUTE_REFRESH, FSM_DO_REFRESH},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        check_actions(rows[i].s, rows[i].e, rows[i].actions);
}

static void unknown_event_is_any_other_event(void)
{
    CU_ASSERT_EQUAL(fsm_step(PEER_IDLE, FSM_EV_COUNT).next, PEER_IDLE);
    CU_ASSERT_EQUAL(fsm_step(PEER_IDLE, FSM_EV_COUNT).actions, 0);
    CU_ASSERT_EQUAL(fsm_step(PEER_ESTABLISHED, FSM_EV_COUNT).code, BGP_ERR_FSM);
}

static const struct unit_case cases[] = {
    UNIT(every_state_takes_every_event_as_the_rfc_says),
    UNIT(actions_are_those_of_the_text),
    UNIT(unknown_event_is_any_other_event),
};
UNIT_MAIN("fsm", cases)
