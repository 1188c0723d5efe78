/* The event loop: the only file that knows libevent.
 *
 * Two priorities make keepalives punctual. Timers are 0, descriptors, signals and tasks are 1; libevent runs
 * what is due at 0 before it looks at 1, and max_dispatch_interval makes it look again after a few
 * milliseconds of callbacks at 1, whatever is still queued there. What is queued goes on in the order in
 * which it became ready, so a busy descriptor does not starve a quiet one. A task is a timeout of zero at
 * priority 1: it lines up behind the descriptors that the same turn found ready, and runs once a turn.
 * Without anything to do the loop blocks in the kernel; there is no tick.
 *
 * Events live inside our objects, so an object is one allocation, and freeing it removes its events even when
 * they are already queued in this turn. After a callback nothing but locals is touched unless the object is
 * known to be alive.
 *
 * Each callback is timed. What cannot be known afterwards is the worst of the last minute; it is kept for two
 * minutes that follow each other, so that who asks once a minute misses none, without a timer.
 *
 * Not here: threads. A loop and all its objects belong to one. */
#include "loop.h"

#include "lib/loop_base.h"

#include <stdlib.h>
#include <time.h>

#include <event2/event.h>
#include <event2/event_struct.h>

enum { PRIO_TIMER, PRIO_WORK, PRIO_COUNT };
#define TURN_MS 4 /* of callbacks between two looks at the timers */

#define WINDOW_US 60000000

struct loop {
    struct event_base *base;
    int status;
    bool stopped;
    uint64_t callbacks, busy_us, took[LOOP_BUCKETS + 1];
    struct worst {
        uint64_t longest_us, latest_ms;
    } worst[2];         /* of this minute, of the one before */
    uint64_t window_us; /* when this minute began */
};

const uint32_t loop_bucket_us[LOOP_BUCKETS] = {1000, 2000, 5000, 10000, 20000, 50000, 100000, 500000};

struct loop *loop_new(void)
{
    struct loop *l = calloc(1, sizeof *l);
    struct event_config *cfg = event_config_new();
    if (!l || !cfg)
        goto fail;
    const struct timeval turn = {.tv_usec = TURN_MS * 1000};
    /* Without the cache of the time, a timer set late in a long turn counts from now and not from the turn's
     * start. The coarse clock would make a 5 ms timer anything from 1 to 9. */
    if (event_config_set_flag(cfg, EVENT_BASE_FLAG_NO_CACHE_TIME | EVENT_BASE_FLAG_PRECISE_TIMER |
                                       EVENT_BASE_FLAG_NOLOCK) ||
        event_config_set_max_dispatch_interval(cfg, &turn, -1, PRIO_WORK))
        goto fail;
    l->base = event_base_new_with_config(cfg);
    if (!l->base || event_base_priority_init(l->base, PRIO_COUNT))
        goto fail;
    event_config_free(cfg);
    return l;
fail:
    if (cfg)
        event_config_free(cfg);
    loop_free(l);
    return NULL;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    if (l->base)
        event_base_free(l->base);
    free(l);
}

struct event_base *loop_base(const struct loop *l)
{
    return l->base;
}

int loop_run(struct loop *l)
{
    if (!l->stopped && event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0)
        l->status = -1;
    l->stopped = false; /* may run again */
    return l->status;
}

void loop_stop(struct loop *l, int status)
{
    l->status = status;
    l->stopped = true;
    event_base_loopbreak(l->base);
}

uint64_t loop_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t loop_now_ms(void)
{
    return loop_now_us() / 1000;
}

int64_t wall_now_s(void)
{
    return time(NULL);
}

/* Measuring */

static void roll(struct loop *l, uint64_t now)
{
    if (now - l->window_us < WINDOW_US)
        return;
    l->worst[1] = now - l->window_us < 2 * WINDOW_US ? l->worst[0] : (struct worst){0};
    l->worst[0] = (struct worst){0};
    l->window_us = now;
}

static void took(struct loop *l, uint64_t began)
{
    uint64_t now = loop_now_us(), us = now - began;
    unsigned i = 0;
    while (i < LOOP_BUCKETS && us > loop_bucket_us[i])
        i++;
    roll(l, now);
    l->took[i]++;
    l->callbacks++;
    l->busy_us += us;
    if (us > l->worst[0].longest_us)
        l->worst[0].longest_us = us;
}

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void loop_stats(struct loop *l, struct loop_stats *out)
{
    roll(l, loop_now_us());
    *out = (struct loop_stats){.callbacks = l->callbacks,
                               .busy_us = l->busy_us,
                               .longest_us = greater(l->worst[0].longest_us, l->worst[1].longest_us),
                               .latest_ms = greater(l->worst[0].latest_ms, l->worst[1].latest_ms)};
    for (unsigned i = 0; i < LOOP_BUCKETS; i++)
        out->at_most[i] = (i ? out->at_most[i - 1] : 0) + l->took[i];
}

/* Timers */

struct timer {
    struct event ev;
    struct loop *loop;
    void (*cb)(void *arg);
    void *arg;
    uint64_t due_ms;
};

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct timer *t = arg;
    struct loop *l = t->loop;
    uint64_t now = loop_now_us();
    (void)fd, (void)what;
    roll(l, now);
    if (now / 1000 > t->due_ms)
        l->worst[0].latest_ms = greater(l->worst[0].latest_ms, now / 1000 - t->due_ms);
    t->cb(t->arg);
    took(l, now);
}

struct timer *timer_new(struct loop *l, void (*cb)(void *arg), void *arg)
{
    struct timer *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->loop = l;
    t->cb = cb;
    t->arg = arg;
    if (event_assign(&t->ev, l->base, -1, 0, on_timer, t) || event_priority_set(&t->ev, PRIO_TIMER)) {
        free(t);
        return NULL;
    }
    return t;
}

void timer_free(struct timer *t)
{
    if (!t)
        return;
    event_del(&t->ev);
    free(t);
}

void timer_set(struct timer *t, uint64_t ms)
{
    /* A timer that re-arms itself with 0 would be due in every turn, and priority 1 would never run. */
    if (ms == 0)
        ms = 1;
    const struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    t->due_ms = loop_now_ms() + ms;
    event_add(&t->ev, &tv);
}

void timer_stop(struct timer *t)
{
    event_del(&t->ev);
}

bool timer_running(const struct timer *t)
{
    return event_pending(&t->ev, EV_TIMEOUT, NULL);
}

uint64_t timer_remaining_ms(const struct timer *t)
{
    uint64_t now = loop_now_ms();
    return timer_running(t) && t->due_ms > now ? t->due_ms - now : 0;
}

/* Descriptors: one event a direction, so that wanting to write now and then is one EPOLL_CTL_MOD. */

struct io {
    struct event read, write;
    struct loop *loop;
    void (*cb)(void *arg, int fd, unsigned events);
    void *arg;
    unsigned wanted;
};

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    struct io *io = arg;
    struct loop *l = io->loop;
    uint64_t now = loop_now_us();
    io->cb(io->arg, fd, what & EV_READ ? IO_READ : IO_WRITE);
    took(l, now);
}

struct io *io_new(struct loop *l, int fd, void (*cb)(void *arg, int fd, unsigned events), void *arg)
{
    struct io *io = calloc(1, sizeof *io);
    if (!io)
        return NULL;
    io->loop = l;
    io->cb = cb;
    io->arg = arg;
    if (event_assign(&io->read, l->base, fd, EV_READ | EV_PERSIST, on_io, io) ||
        event_assign(&io->write, l->base, fd, EV_WRITE | EV_PERSIST, on_io, io) ||
        event_priority_set(&io->read, PRIO_WORK) || event_priority_set(&io->write, PRIO_WORK)) {
        free(io);
        return NULL;
    }
    return io;
}

void io_free(struct io *io)
{
    if (!io)
        return;
    event_del(&io->read);
    event_del(&io->write);
    free(io);
}

static void want(struct event *ev, bool now, bool before)
{
    if (now && !before)
        event_add(ev, NULL);
    else if (!now && before)
        event_del(ev);
}

void io_want(struct io *io, unsigned events)
{
    want(&io->read, events & IO_READ, io->wanted & IO_READ);
    want(&io->write, events & IO_WRITE, io->wanted & IO_WRITE);
    io->wanted = events;
}

unsigned io_wanted(const struct io *io)
{
    return io->wanted;
}

/* Tasks */

struct task {
    struct event ev;
    struct loop *loop;
    bool (*step)(void *arg);
    void *arg;
    bool *gone; /* while step runs: set there when the task is freed */
    bool woken; /* while step runs: run again, whatever it returns */
};

static void arm(struct task *t)
{
    static const struct timeval at_once;
    if (!event_pending(&t->ev, EV_TIMEOUT, NULL))
        event_add(&t->ev, &at_once);
}

static void on_task(evutil_socket_t fd, short what, void *arg)
{
    struct task *t = arg;
    struct loop *l = t->loop;
    uint64_t now = loop_now_us();
    bool gone = false;
    (void)fd, (void)what;
    t->gone = &gone;
    t->woken = false;
    bool more = t->step(t->arg);
    took(l, now);
    if (gone)
        return;
    t->gone = NULL;
    if (more || t->woken)
        arm(t);
}

struct task *task_new(struct loop *l, bool (*step)(void *arg), void *arg)
{
    struct task *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->loop = l;
    t->step = step;
    t->arg = arg;
    if (event_assign(&t->ev, l->base, -1, 0, on_task, t) || event_priority_set(&t->ev, PRIO_WORK)) {
        free(t);
        return NULL;
    }
    return t;
}

void task_free(struct task *t)
{
    if (!t)
        return;
    if (t->gone)
        *t->gone = true;
    event_del(&t->ev);
    free(t);
}

void task_wake(struct task *t)
{
    if (t->gone)
        t->woken = true;
    else
        arm(t);
}

/* Signals */

struct sig {
    struct event ev;
    void (*cb)(void *arg, int signum);
    void *arg;
};

static void on_sig(evutil_socket_t signum, short what, void *arg)
{
    struct sig *s = arg;
    (void)what;
    s->cb(s->arg, signum);
}

struct sig *sig_new(struct loop *l, int signum, void (*cb)(void *arg, int signum), void *arg)
{
    struct sig *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->cb = cb;
    s->arg = arg;
    if (event_assign(&s->ev, l->base, signum, EV_SIGNAL | EV_PERSIST, on_sig, s) ||
        event_priority_set(&s->ev, PRIO_WORK) || event_add(&s->ev, NULL)) {
        free(s);
        return NULL;
    }
    return s;
}

void sig_free(struct sig *s)
{
    if (!s)
        return;
    event_del(&s->ev);
    free(s);
}
