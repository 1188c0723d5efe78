/* What the BFD thread does for one session: its sockets, what is sent and when, whether silence is the peer's
 * failure or our own lateness, and what is told to the main thread. An event that finds no room is told
 * later, for a report says what is and not what was; a failure is never passed over that way. */
#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

#include "fib/bfd_run.h"

#define REPORT_US      10000   /* between two changes of state that are told */
#define REPORT_REST_US 200000  /* of what else changes */
#define COUNT_US       2000000 /* the counters, when nothing else does */
#define RETRY_FIRST_MS 1000    /* opening a socket */
#define RETRY_MAX_MS   30000
#define PORT_TRIES     32
#define ADMIN_DOWN_US  5000
#define LEAVE_MIN_US   100000
#define LEAVE_MAX_US   3000000

/* Sockets */

static int take_port(struct bfd_thread *t, struct bfd_flow *f)
{
    uint32_t at = 0;
    int fd = -EADDRINUSE;

    if (getrandom(&at, sizeof at, GRND_NONBLOCK) < 0)
        at = (uint32_t)t->turn_us;
    for (int i = 0; i < PORT_TRIES && fd == -EADDRINUSE; i++, at++) {
        at %= BFD_PORTS;
        if (t->ports[at / 8] & 1 << at % 8)
            continue;
        fd = bfd_socket_sender(f, (uint16_t)(BFD_PORT_FIRST + at));
        if (fd >= 0)
            f->port = (uint16_t)(BFD_PORT_FIRST + at);
    }
    return fd;
}

static void mark_port(struct bfd_thread *t, uint16_t port, bool used)
{
    unsigned at = port - BFD_PORT_FIRST;

    if (used)
        t->ports[at / 8] |= (uint8_t)(1 << at % 8);
    else
        t->ports[at / 8] &= (uint8_t) ~(1 << at % 8);
}

static int listen_for(struct bfd_thread *t, struct bfd_flow *f)
{
    unsigned i = bfd_listener_of(f->peer.af, f->multihop);

    if (f->listens)
        return 0;
    if (t->listeners[i] < 0) {
        int fd = bfd_socket_listen(f->peer.af, f->multihop);
        if (fd < 0)
            return fd;
        t->listeners[i] = fd;
    }
    t->users[i]++;
    f->listens = true;
    return 0;
}

static void close_sender(struct bfd_thread *t, struct bfd_flow *f)
{
    if (f->fd < 0)
        return;
    mark_port(t, f->port, false);
    close(f->fd);
    f->fd = -1;
}

static void close_flow(struct bfd_thread *t, struct bfd_flow *f)
{
    unsigned i = bfd_listener_of(f->peer.af, f->multihop);

    close_sender(t, f);
    if (f->listens && !--t->users[i]) {
        close(t->listeners[i]);
        t->listeners[i] = -1;
    }
    f->listens = false;
}

/* A socket of its own, also in the place of one that is there; what fails is tried again later. */
void bfd_flow_open(struct bfd_thread *t, struct bfd_flow *f, bool anew)
{
    int rc = listen_for(t, f), fd = f->fd;
    uint16_t old = f->port;

    if (!rc && (fd < 0 || anew)) {
        rc = take_port(t, f);
        if (rc >= 0) {
            if (fd >= 0) {
                mark_port(t, old, false);
                close(fd);
            } else {
                f->session.next_us = t->turn_us;
            }
            f->fd = rc;
            rc = 0;
        }
    }
    if (!rc)
        mark_port(t, f->port, true);
    f->error = rc;
    if (!rc) {
        f->retry_us = BFD_NEVER;
        f->backoff_ms = 0;
        return;
    }
    f->backoff_ms = !f->backoff_ms                     ? RETRY_FIRST_MS
                    : f->backoff_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS
                                                       : f->backoff_ms * 2;
    f->retry_us = t->turn_us + f->backoff_ms * 1000ull;
}

void bfd_flow_send(struct bfd_thread *t, struct bfd_flow *f, enum bfd_occasion why)
{
    struct bfd_packet p;
    uint8_t bytes[BFD_PACKET_LEN];

    bfd_session_packet(&f->session, why, t->turn_us, &p);
    bfd_packet_encode(&p, bytes);
    int rc = bfd_socket_send(f, bytes);
    bool passing = rc == -EAGAIN || rc == -ENOBUFS || rc == -EINTR;
    if (f->retry_us == BFD_NEVER && !passing)
        f->error = rc;
    f->packets_out += !rc;
}

/* Reports */

static void describe(const struct bfd_flow *f, struct fm_bfd_state *out)
{
    const struct bfd_session *s = &f->session;
    const struct ip_addr *local = f->terms.local.af ? &f->terms.local : &f->learned_local;
    uint64_t detection = bfd_session_detection_us(s);

    *out = (struct fm_bfd_state){
        .peer = f->name,
        .state = s->state,
        .remote_state = s->remote_state,
        .diag = s->diag,
        .remote_diag = s->remote_diag,
        .multiplier = s->multiplier,
        .remote_multiplier = s->remote_multiplier,
        .flags = (s->failed ? FM_BFD_FAILED : 0u) | (s->granted ? FM_BFD_STARVED : 0u) |
                 (s->remote_independent ? FM_BFD_REMOTE_CPI : 0u),
        .error = f->error,
        .discriminator = s->discriminator,
        .remote_discriminator = s->remote_discriminator,
        .tx_us = s->tx_us,
        .rx_us = s->rx_us,
        .remote_tx_us = s->remote_tx_us,
        .remote_rx_us = s->remote_multiplier ? s->remote_rx_us : 0,
        .detection_us = detection > UINT32_MAX ? UINT32_MAX : (uint32_t)detection,
        .ups = s->ups,
        .downs = s->downs,
        .since_ms = s->since_us / 1000,
    };
    memcpy(out->local, local->b, sizeof out->local);
    /* Up again before the failure was told: that comes first. */
    if (f->failure_untold && s->state == FM_BFD_UP) {
        out->state = FM_BFD_DOWN;
        out->flags |= FM_BFD_FAILED;
    }
}

static bool is_urgent(const struct fm_bfd_state *a, const struct fm_bfd_state *b)
{
    return a->state != b->state || a->flags != b->flags || a->error != b->error || a->downs != b->downs;
}

static void report(struct bfd_thread *t, struct bfd_flow *f)
{
    struct bfd_event ev = {.type = BFD_EV_STATE, .flow = f};

    f->report_us = BFD_NEVER;
    describe(f, &ev.state);
    if (f->leaving)
        return;
    bool same = f->told_us && !memcmp(&ev.state, &f->told, sizeof f->told);
    uint64_t gap = same ? COUNT_US : is_urgent(&ev.state, &f->told) ? REPORT_US : REPORT_REST_US;
    if (f->told_us && t->turn_us < f->told_us + gap) {
        f->report_us = f->told_us + gap;
        return;
    }
    f->told = ev.state;
    ev.state.starvations = t->starvations;
    ev.state.starved_us = t->starved_us;
    ev.state.packets_in = f->packets_in;
    ev.state.packets_out = f->packets_out;
    if (!bfd_ring_put(&t->events, &ev)) {
        f->told.peer.af = 0; /* so that it differs */
        f->report_us = t->turn_us + REPORT_US;
        return;
    }
    t->told = true;
    f->told_us = t->turn_us;
    bool again = f->failure_untold && f->session.state == FM_BFD_UP;
    f->failure_untold = false;
    if (again)
        f->report_us = t->turn_us + REPORT_US;
}

/* Serving a session */

bool bfd_flow_is_running(const struct bfd_flow *f)
{
    return f->fd >= 0 && f->listens;
}

static void expire(struct bfd_thread *t, struct bfd_flow *f)
{
    struct bfd_session *s = &f->session;
    bool matters = s->state == FM_BFD_UP || s->state == FM_BFD_INIT;
    uint64_t stalled = t->stalled_us - f->stalled_us;

    if (matters && (t->flooded || stalled >= bfd_session_detection_us(s) / 4) &&
        bfd_session_grant(s, t->turn_us)) {
        f->stalled_us = t->stalled_us;
        return;
    }
    bool failed = s->failed;
    bfd_session_expire(s, t->turn_us);
    f->failure_untold |= s->failed && !failed;
}

void bfd_flow_end(struct bfd_thread *t, struct bfd_flow *f)
{
    uint64_t detection = bfd_session_remote_detection_us(&f->session);

    f->leaving = true;
    f->retry_us = BFD_NEVER;
    f->leave_us = t->turn_us;
    if (bfd_flow_is_running(f) && f->session.remote_multiplier) {
        f->leave_us += detection < LEAVE_MIN_US   ? LEAVE_MIN_US
                       : detection > LEAVE_MAX_US ? LEAVE_MAX_US
                                                  : detection;
        f->repeats = BFD_ADMIN_DOWNS - 1;
        f->repeat_us = t->turn_us + ADMIN_DOWN_US;
    }
    bfd_session_admin_down(&f->session, t->turn_us);
}

/* True: it is gone. */
static bool leave(struct bfd_thread *t, struct bfd_flow *f)
{
    if (f->repeats && t->turn_us >= f->repeat_us) {
        bfd_flow_send(t, f, BFD_IN_BETWEEN);
        f->repeats--;
        f->repeat_us = t->turn_us + ADMIN_DOWN_US;
    }
    if (t->turn_us < f->leave_us)
        return false;
    const struct bfd_event ev = {.type = BFD_EV_GONE, .flow = f};
    close_flow(t, f);
    bfd_table_remove(t->table, f);
    if (bfd_ring_put(&t->events, &ev)) {
        t->told = true;
        return true;
    }
    f->leave_us = f->repeat_us = t->turn_us + REPORT_US;
    f->repeats = 0;
    bfd_table_add(t->table, f);
    return false;
}

void bfd_flow_serve(struct bfd_thread *t, struct bfd_flow *f)
{
    struct bfd_session *s = &f->session;

    if (t->turn_us >= f->retry_us)
        bfd_flow_open(t, f, true);
    if (bfd_session_is_overdue(s, t->turn_us))
        expire(t, f);
    if (bfd_flow_is_running(f)) {
        if (f->final_due)
            bfd_flow_send(t, f, BFD_ANSWER);
        else if (bfd_session_has_news(s))
            bfd_flow_send(t, f, BFD_IN_BETWEEN);
        if (t->turn_us >= s->next_us)
            bfd_flow_send(t, f, BFD_PERIODIC);
    }
    f->final_due = false;
    if (f->leaving && leave(t, f))
        return;
    report(t, f);
    uint64_t due = bfd_earlier(bfd_flow_is_running(f) ? bfd_session_due_us(s) : BFD_NEVER,
                               bfd_earlier(f->retry_us, f->report_us));
    if (f->leaving)
        due = bfd_earlier(due, f->repeats ? bfd_earlier(f->repeat_us, f->leave_us) : f->leave_us);
    bfd_table_due(t->table, f, due);
}
