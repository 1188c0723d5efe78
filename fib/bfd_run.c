/* The loop of the BFD thread: it reads, carries out what the main thread wants, and serves who is due.
 *
 * It takes no lock, allocates nothing, and never waits for the main thread: commands come and events go
 * through rings.
 *
 * Order of a turn: what waits in the sockets is read before a detection time is judged, so that a peer is not
 * called dead because we were late. The time for which something was due and we did not run is added up; when
 * it makes up a good part of a detection time that has passed, the peer gets that time once more. Reading is
 * bounded each turn and, under a flood, each millisecond: the sessions still send on time. */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fib/bfd_run.h"

#define TURN_BATCHES    8    /* of BFD_BATCH packets, from one socket in one turn */
#define TURN_FLOWS      256  /* timers in one turn */
#define FLOOD_US        1000 /* after a turn that did not read all */
#define LATE_US         1000 /* less is not counted */
#define STARVED_TELL_US 1000000
#define STOP_GAP_US     2000 /* between the rounds of AdminDown at a stop */

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
        bfd_flow_serve(t, f);
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
    if (!f || !bfd_flow_is_running(f))
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
    bfd_flow_open(t, f, false);
    touch(t, f);
}

static void change(struct bfd_thread *t, struct bfd_flow *f, const struct bfd_terms *terms)
{
    bool elsewhere = !addr_equal(&f->terms.local, &terms->local);

    f->terms = *terms;
    bfd_session_change(&f->session, terms->interval_us, terms->multiplier, t->turn_us);
    if (elsewhere) {
        f->learned_local = (struct ip_addr){0};
        bfd_flow_open(t, f, true);
    }
    touch(t, f);
}

static void all_down(struct bfd_thread *t)
{
    struct bfd_flow *f;

    for (unsigned round = 0; round < BFD_ADMIN_DOWNS; round++) {
        for (uint32_t i = 1; (f = bfd_table_at(t->table, i)); i++) {
            bfd_session_admin_down(&f->session, t->turn_us);
            if (bfd_flow_is_running(f) && f->session.remote_multiplier)
                bfd_flow_send(t, f, BFD_IN_BETWEEN);
            touch(t, f);
        }
        if (round < BFD_ADMIN_DOWNS - 1)
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
            bfd_flow_end(t, c.flow);
            touch(t, c.flow);
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

    t->flooded = deaf;
    for (unsigned i = 0; i < BFD_LISTENERS; i++)
        p[1 + i] = (struct pollfd){.fd = deaf ? -1 : t->listeners[i], .events = POLLIN};
    if (deaf)
        us = bfd_earlier(us, t->listen_us);
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

/* Half of the shortest interval at which we send. */
static uint64_t noticeable_us(const struct bfd_thread *t)
{
    uint64_t least = BFD_MAX_US;
    const struct bfd_flow *f;

    for (uint32_t i = 1; (f = bfd_table_at(t->table, i)); i++)
        least = bfd_earlier(least, bfd_session_remote_detection_us(&f->session) / f->session.multiplier);
    return least / 2;
}

void bfd_note_delay(struct bfd_thread *t, uint64_t due_us, uint64_t now_us)
{
    uint64_t since = due_us > t->turn_us ? due_us : t->turn_us;

    if (due_us > now_us || now_us < since + LATE_US)
        return;
    uint64_t late = now_us - since;
    t->stalled_us += (uint32_t)late;
    if (late < noticeable_us(t))
        return;
    t->starvations++;
    if (late > t->starved_us)
        t->starved_us = late > UINT32_MAX ? UINT32_MAX : (uint32_t)late;
}

/* It is told with a session's state, for want of a report of its own; one a second is enough. */
static void tell_starvation(struct bfd_thread *t)
{
    struct bfd_flow *f = bfd_table_at(t->table, 1);

    if (!f || t->starvations == t->told_starvations || t->turn_us < t->told_us + STARVED_TELL_US)
        return;
    t->told_starvations = t->starvations;
    t->told_us = t->turn_us;
    f->told.peer.af = 0; /* so that it differs */
    touch(t, f);
}

static void turn(struct bfd_thread *t)
{
    struct bfd_flow *f = bfd_table_first(t->table);
    uint64_t due = f ? f->due_us : BFD_NEVER;
    unsigned ready = sleep_until(t, due);
    uint64_t now = loop_now_us();

    bfd_note_delay(t, due, now);
    t->turn_us = now;
    carry_out(t);
    for (unsigned i = 0; i < BFD_LISTENERS; i++)
        if (ready & 1u << i && t->listeners[i] >= 0)
            read_socket(t, i);
    tell_starvation(t);
    serve_touched(t);
    for (unsigned i = 0; i < TURN_FLOWS && (f = bfd_table_first(t->table)) && f->due_us <= now; i++)
        bfd_flow_serve(t, f);
    if (t->told)
        eventfd_write(t->event_fd, 1);
    t->told = false;
}

void bfd_run(struct bfd_thread *t)
{
    t->turn_us = loop_now_us();
    while (!t->stopping)
        turn(t);
}
