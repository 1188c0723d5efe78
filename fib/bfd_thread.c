/* The thread that BFD runs on: reads, sends, and watches the detection times.
 *
 * It holds no capability, takes no lock, allocates nothing once it runs, and never waits for the main thread:
 * commands come and events go through rings, and an event that finds no room is told later, for a report says
 * what is and not what was. A failure is never passed over that way.
 *
 * Order of a turn: what waits in the sockets is read before a detection time is judged, so that a peer is not
 * called dead because we were late. The time for which something was due and we did not run is added up; when
 * it makes up a good part of a detection time that has passed, the peer gets that time once more. Reading is
 * bounded each turn and, under a flood, each millisecond: the sessions still send on time. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fib/bfd_internal.h"

#define STACK_BYTES    (128 * 1024)
#define RING_SLOTS     256
#define REALTIME       10     /* SCHED_RR priority, where permitted */
#define NICE           (-10)  /* and where only this is */
#define TURN_BATCHES   8      /* of BFD_BATCH packets, from one socket in one turn */
#define TURN_FLOWS     256    /* timers in one turn */
#define FLOOD_US       1000   /* after a turn that did not read all */
#define LATE_US        1000   /* less is not counted */
#define STARVED_US     10000  /* counted as starvation */
#define REPORT_US      10000  /* between two changes of state that are told */
#define REPORT_REST_US 200000 /* of what else changes */
#define RETRY_FIRST_MS 1000   /* opening a socket */
#define RETRY_MAX_MS   30000
#define ADMIN_DOWNS    3 /* so often, when a session ends */
#define ADMIN_DOWN_US  5000
#define LEAVE_MIN_US   100000
#define LEAVE_MAX_US   3000000
#define STOP_GAP_US    2000 /* between the rounds of AdminDown at a stop */
#define PORT_TRIES     32

struct bfd_thread {
    pthread_t id;
    struct bfd_ring commands, events;
    int command_fd, event_fd;
    _Atomic bool all_down; /* the command has been carried out */
    /* The thread's own. */
    struct bfd_table *table;
    struct bfd_inbox *inbox;
    int listeners[BFD_LISTENERS];
    unsigned users[BFD_LISTENERS];
    uint8_t ports[BFD_PORTS / 8]; /* in use */
    struct bfd_flow *touched;     /* to be served in this turn */
    uint64_t turn_us;             /* when this turn began */
    uint64_t listen_us;           /* after a flood: not before */
    bool flooded;                 /* there is more to read than was read in this turn */
    bool told, stopping;
    uint32_t stalled_us;              /* not let to run, in all */
    uint32_t starvations, starved_us; /* of STARVED_US and more; the longest */
};

static void nudge(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n; /* full: it is readable already */
}

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
static void open_flow(struct bfd_thread *t, struct bfd_flow *f, bool anew)
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

static void send_packet(struct bfd_thread *t, struct bfd_flow *f, enum bfd_occasion why)
{
    struct bfd_packet p;
    uint8_t bytes[BFD_PACKET_LEN];

    bfd_session_packet(&f->session, why, t->turn_us, &p);
    bfd_packet_encode(&p, bytes);
    int rc = bfd_socket_send(f, bytes);
    bool passing = rc == -EAGAIN || rc == -ENOBUFS || rc == -EINTR;
    if (f->retry_us == BFD_NEVER && !passing)
        f->error = rc;
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
        .flags = (s->failed ? FM_BFD_FAILED : 0u) | (s->granted ? FM_BFD_STARVED : 0u),
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
    if (f->leaving || (f->told_us && !memcmp(&ev.state, &f->told, sizeof f->told)))
        return;
    uint64_t gap = is_urgent(&ev.state, &f->told) ? REPORT_US : REPORT_REST_US;
    if (f->told_us && t->turn_us < f->told_us + gap) {
        f->report_us = f->told_us + gap;
        return;
    }
    f->told = ev.state;
    ev.state.starvations = t->starvations;
    ev.state.starved_us = t->starved_us;
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

static bool is_running(const struct bfd_flow *f)
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

/* True: it is gone. */
static bool leave(struct bfd_thread *t, struct bfd_flow *f)
{
    if (f->repeats && t->turn_us >= f->repeat_us) {
        send_packet(t, f, BFD_IN_BETWEEN);
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

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void serve(struct bfd_thread *t, struct bfd_flow *f)
{
    struct bfd_session *s = &f->session;

    if (t->turn_us >= f->retry_us)
        open_flow(t, f, true);
    if (bfd_session_is_overdue(s, t->turn_us))
        expire(t, f);
    if (is_running(f)) {
        if (f->final_due)
            send_packet(t, f, BFD_ANSWER);
        else if (bfd_session_has_news(s))
            send_packet(t, f, BFD_IN_BETWEEN);
        if (t->turn_us >= s->next_us)
            send_packet(t, f, BFD_PERIODIC);
    }
    f->final_due = false;
    if (f->leaving && leave(t, f))
        return;
    report(t, f);
    uint64_t due =
        earlier(is_running(f) ? bfd_session_due_us(s) : BFD_NEVER, earlier(f->retry_us, f->report_us));
    if (f->leaving)
        due = earlier(due, f->repeats ? earlier(f->repeat_us, f->leave_us) : f->leave_us);
    bfd_table_due(t->table, f, due);
}

static void touch(struct bfd_thread *t, struct bfd_flow *f)
{
    if (f->touched)
        return;
    f->touched = true;
    f->next_touched = t->touched;
    t->touched = f;
}

static void serve_touched(struct bfd_thread *t)
{
    while (t->touched) {
        struct bfd_flow *f = t->touched;
        t->touched = f->next_touched;
        f->touched = false;
        serve(t, f);
    }
}

/* Packets */

/* RFC 5880 6.8.6 leaves to us how a packet without our discriminator finds its session: by its source, the
 * interface of one hop, and the addresses of more (RFC 5881 section 3, RFC 5883 4.1). The discriminator, once
 * it is there, decides alone, but for what an address of a link cannot be. */
static struct bfd_flow *find(struct bfd_thread *t, const struct bfd_packet *p, const struct bfd_datagram *d,
                             bool multihop)
{
    struct bfd_flow *f = p->your_discriminator ? bfd_table_by_discriminator(t->table, p->your_discriminator)
                                               : bfd_table_by_peer(t->table, &d->from, d->ifindex, false);

    if (!f || f->peer.af != d->from.af || f->multihop != multihop || d->ttl < f->terms.min_ttl)
        return NULL;
    if (multihop)
        return addr_equal(&f->peer, &d->from) && (!f->terms.local.af || addr_equal(&f->terms.local, &d->to))
                   ? f
                   : NULL;
    if (f->name.scope && f->name.scope != d->ifindex)
        return NULL;
    uint32_t expected = f->terms.ifindex ? f->terms.ifindex : f->learned_ifindex;
    return p->your_discriminator || !expected || expected == d->ifindex ? f : NULL;
}

static void on_datagram(struct bfd_thread *t, const struct bfd_datagram *d, bool multihop)
{
    struct bfd_packet p;

    if (bfd_packet_decode(d->data, d->n, &p))
        return;
    struct bfd_flow *f = find(t, &p, d, multihop);
    if (!f || !is_running(f))
        return;
    bool failed = f->session.failed;
    f->final_due |= bfd_session_receive(&f->session, &p, t->turn_us);
    f->failure_untold |= f->session.failed && !failed;
    f->stalled_us = t->stalled_us;
    f->learned_local = d->to;
    if (p.your_discriminator)
        f->learned_ifindex = d->ifindex;
    touch(t, f);
}

static void read_socket(struct bfd_thread *t, unsigned listener)
{
    for (unsigned i = 0; i < TURN_BATCHES; i++) {
        unsigned n = bfd_inbox_read(t->inbox, t->listeners[listener]);
        for (unsigned k = 0; k < n; k++) {
            struct bfd_datagram d;
            bfd_inbox_get(t->inbox, k, &d);
            on_datagram(t, &d, listener & 2);
        }
        if (n < BFD_BATCH)
            return;
    }
    t->flooded = true;
    t->listen_us = t->turn_us + FLOOD_US;
}

/* Commands */

static void add(struct bfd_thread *t, struct bfd_flow *f)
{
    struct bfd_flow *old = bfd_table_by_peer(t->table, &f->peer, f->name.scope, true);

    if (old) { /* its AdminDown would contradict */
        old->leave_us = 0;
        touch(t, old);
    }
    f->stalled_us = t->stalled_us;
    bfd_table_add(t->table, f);
    open_flow(t, f, false);
    touch(t, f);
}

static void change(struct bfd_thread *t, struct bfd_flow *f, const struct bfd_terms *terms)
{
    bool elsewhere = !addr_equal(&f->terms.local, &terms->local);

    f->terms = *terms;
    bfd_session_change(&f->session, terms->interval_us, terms->multiplier, t->turn_us);
    if (elsewhere) {
        f->learned_local = (struct ip_addr){0};
        open_flow(t, f, true);
    }
    touch(t, f);
}

static void del(struct bfd_thread *t, struct bfd_flow *f)
{
    uint64_t detection = bfd_session_remote_detection_us(&f->session);

    f->leaving = true;
    f->retry_us = BFD_NEVER;
    f->leave_us = t->turn_us;
    if (is_running(f) && f->session.remote_multiplier) {
        f->leave_us += detection < LEAVE_MIN_US   ? LEAVE_MIN_US
                       : detection > LEAVE_MAX_US ? LEAVE_MAX_US
                                                  : detection;
        f->repeats = ADMIN_DOWNS - 1;
        f->repeat_us = t->turn_us + ADMIN_DOWN_US;
    }
    bfd_session_admin_down(&f->session, t->turn_us);
    touch(t, f);
}

static void all_down(struct bfd_thread *t)
{
    struct bfd_flow *f;

    for (unsigned round = 0; round < ADMIN_DOWNS; round++) {
        for (uint32_t i = 1; (f = bfd_table_at(t->table, i)); i++) {
            bfd_session_admin_down(&f->session, t->turn_us);
            if (is_running(f) && f->session.remote_multiplier)
                send_packet(t, f, BFD_IN_BETWEEN);
            touch(t, f);
        }
        if (round < ADMIN_DOWNS - 1)
            usleep(STOP_GAP_US);
    }
    atomic_store(&t->all_down, true);
}

static void carry_out(struct bfd_thread *t)
{
    struct bfd_command c;

    while (bfd_ring_take(&t->commands, &c))
        switch (c.type) {
        case BFD_CMD_ADD:
            add(t, c.flow);
            break;
        case BFD_CMD_CHANGE:
            change(t, c.flow, &c.terms);
            break;
        case BFD_CMD_DEL:
            del(t, c.flow);
            break;
        case BFD_CMD_ALL_DOWN:
            all_down(t);
            break;
        case BFD_CMD_STOP:
            t->stopping = true;
            break;
        }
}

/* The loop */

/* Sleeps until us or until there is something to read; which listeners have something. */
static unsigned sleep_until(struct bfd_thread *t, uint64_t us)
{
    struct pollfd p[1 + BFD_LISTENERS] = {{.fd = t->command_fd, .events = POLLIN}};
    struct timespec ts, *timeout = NULL;
    uint64_t now = loop_now_us();
    unsigned ready = 0;
    bool deaf = now < t->listen_us;

    for (unsigned i = 0; i < BFD_LISTENERS; i++)
        p[1 + i] = (struct pollfd){.fd = deaf ? -1 : t->listeners[i], .events = POLLIN};
    if (deaf)
        us = earlier(us, t->listen_us);
    if (us != BFD_NEVER) {
        uint64_t left = us > now ? us - now : 0;
        ts = (struct timespec){.tv_sec = (time_t)(left / 1000000), .tv_nsec = (long)(left % 1000000 * 1000)};
        timeout = &ts;
    }
    if (ppoll(p, 1 + BFD_LISTENERS, timeout, NULL) <= 0)
        return 0;
    if (p[0].revents) {
        uint64_t count;
        ssize_t n = read(t->command_fd, &count, sizeof count);
        (void)n;
    }
    for (unsigned i = 0; i < BFD_LISTENERS; i++)
        ready |= p[1 + i].revents ? 1u << i : 0;
    return ready;
}

/* Something was due, and we are here only now. */
static void note_delay(struct bfd_thread *t, uint64_t due_us, uint64_t now_us)
{
    uint64_t since = due_us > t->turn_us ? due_us : t->turn_us;

    if (due_us > now_us || now_us < since + LATE_US)
        return;
    uint64_t late = now_us - since;
    t->stalled_us += (uint32_t)late;
    if (late < STARVED_US)
        return;
    t->starvations++;
    if (late > t->starved_us)
        t->starved_us = late > UINT32_MAX ? UINT32_MAX : (uint32_t)late;
}

static void turn(struct bfd_thread *t)
{
    struct bfd_flow *f = bfd_table_first(t->table);
    uint64_t due = f ? f->due_us : BFD_NEVER;
    unsigned ready = sleep_until(t, due);
    uint64_t now = loop_now_us();

    note_delay(t, due, now);
    t->turn_us = now;
    t->flooded = false;
    carry_out(t);
    for (unsigned i = 0; i < BFD_LISTENERS; i++)
        if (ready & 1u << i && t->listeners[i] >= 0)
            read_socket(t, i);
    serve_touched(t);
    for (unsigned i = 0; i < TURN_FLOWS && (f = bfd_table_first(t->table)) && f->due_us <= now; i++)
        serve(t, f);
    if (t->told)
        nudge(t->event_fd);
    t->told = false;
}

/* Not tried in vain: a sandbox may kill for it. */
static bool may_hurry(void)
{
    struct rlimit r = {0};
    cap_flag_value_t v = CAP_CLEAR;
    cap_t have = cap_get_proc();

    if (have)
        cap_get_flag(have, CAP_SYS_NICE, CAP_EFFECTIVE, &v);
    cap_free(have);
    return v == CAP_SET || (!getrlimit(RLIMIT_RTPRIO, &r) && r.rlim_cur >= REALTIME);
}

/* Capabilities are a thread's own. Being early matters more than being many: real time where permitted. */
static void settle_in(void)
{
    const struct sched_param p = {.sched_priority = REALTIME};

    prctl(PR_SET_NAME, "underlayd: bfd");
    prctl(PR_SET_TIMERSLACK, 1);
    if (may_hurry() && sched_setscheduler(0, SCHED_RR, &p) < 0)
        setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
    cap_t none = cap_init();
    if (none)
        cap_set_proc(none);
    cap_free(none);
}

static void *run(void *arg)
{
    struct bfd_thread *t = arg;

    settle_in();
    t->turn_us = loop_now_us();
    while (!t->stopping)
        turn(t);
    return NULL;
}

/* The main thread's half */

void bfd_thread_free(struct bfd_thread *t)
{
    if (!t)
        return;
    if (t->command_fd >= 0)
        close(t->command_fd);
    if (t->event_fd >= 0)
        close(t->event_fd);
    bfd_ring_reset(&t->commands);
    bfd_ring_reset(&t->events);
    bfd_table_free(t->table);
    bfd_inbox_free(t->inbox);
    free(t);
}

static int create(struct bfd_thread *t)
{
    pthread_attr_t attr;
    sigset_t all, old;

    if (pthread_attr_init(&attr))
        return -ENOMEM;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = -pthread_create(&t->id, &attr, run, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

struct bfd_thread *bfd_thread_start(const int listeners[BFD_LISTENERS], int *error)
{
    struct bfd_thread *t = calloc(1, sizeof *t);

    *error = -ENOMEM;
    if (!t)
        return NULL;
    memcpy(t->listeners, listeners, sizeof t->listeners);
    t->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    t->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t->command_fd < 0 || t->event_fd < 0)
        *error = -errno;
    else if (bfd_ring_init(&t->commands, RING_SLOTS, sizeof(struct bfd_command)) &&
             bfd_ring_init(&t->events, RING_SLOTS, sizeof(struct bfd_event)) &&
             (t->table = bfd_table_new()) && (t->inbox = bfd_inbox_new()))
        *error = create(t);
    if (!*error)
        return t;
    bfd_thread_free(t);
    return NULL;
}

void bfd_thread_tell(struct bfd_thread *t, const struct bfd_command *c)
{
    while (!bfd_ring_put(&t->commands, c)) {
        nudge(t->command_fd);
        usleep(100);
    }
    nudge(t->command_fd);
}

bool bfd_thread_take(struct bfd_thread *t, struct bfd_event *ev)
{
    return bfd_ring_take(&t->events, ev);
}

int bfd_thread_event_fd(const struct bfd_thread *t)
{
    return t->event_fd;
}

void bfd_thread_all_down(struct bfd_thread *t)
{
    const struct bfd_command c = {.type = BFD_CMD_ALL_DOWN};

    atomic_store(&t->all_down, false);
    bfd_thread_tell(t, &c);
    for (int i = 0; i < 100 && !atomic_load(&t->all_down); i++)
        usleep(500);
}

void bfd_thread_stop(struct bfd_thread *t, int listeners[BFD_LISTENERS])
{
    const struct bfd_command c = {.type = BFD_CMD_STOP};

    bfd_thread_tell(t, &c);
    pthread_join(t->id, NULL);
    for (unsigned i = 0; i < BFD_LISTENERS; i++)
        if (listeners)
            listeners[i] = t->listeners[i];
        else if (t->listeners[i] >= 0)
            close(t->listeners[i]);
}
