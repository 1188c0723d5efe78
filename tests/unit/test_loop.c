#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "unit.h"

static void stop_loop(void *arg)
{
    loop_stop(arg, 7);
}

static int run_for(struct loop *l, uint64_t ms)
{
    struct timer *t = timer_new(l, stop_loop, l);
    timer_set(t, ms);
    int status = loop_run(l);
    timer_free(t);
    return status;
}

static void spin_ms(uint64_t ms)
{
    uint64_t end = loop_now_us() + ms * 1000;
    while (loop_now_us() < end)
        ;
}

static void spin(void *arg)
{
    spin_ms(*(const unsigned *)arg);
}

static void what_callbacks_take_is_counted(void)
{
    unsigned ms = 12;
    struct loop *l = loop_new();
    struct loop_stats before, after;
    loop_stats(l, &before);
    struct timer *t = timer_new(l, spin, &ms), *late = timer_new(l, spin, &ms);
    timer_set(t, 1);
    timer_set(late, 2); /* waits for the other */
    run_for(l, 60);
    loop_stats(l, &after);
    CU_ASSERT(after.callbacks - before.callbacks >= 2);
    CU_ASSERT(after.busy_us >= 24000);
    CU_ASSERT(after.longest_us >= 12000);
    CU_ASSERT(after.latest_ms >= 9);
    CU_ASSERT_EQUAL(loop_bucket_us[3], 10000);
    CU_ASSERT(after.callbacks - after.at_most[3] >= 2);
    timer_free(t);
    timer_free(late);
    loop_free(l);
}

static void stop_gives_its_status_to_run(void)
{
    struct loop *l = loop_new();
    CU_ASSERT_EQUAL(run_for(l, 1), 7);
    loop_stop(l, 3); /* before the run: it does not start */
    CU_ASSERT_EQUAL(loop_run(l), 3);
    CU_ASSERT_EQUAL(run_for(l, 1), 7);
    loop_free(l);
}

static void timers_are_never_early(void)
{
    struct loop *l = loop_new();
    for (int i = 0; i < 10; i++) {
        uint64_t start = loop_now_us();
        run_for(l, 5);
        CU_ASSERT(loop_now_us() - start >= 5000);
    }
    loop_free(l);
}

static void count(void *arg)
{
    ++*(int *)arg;
}

static void timers_rearm_stop_and_tell_what_is_left(void)
{
    struct loop *l = loop_new();
    int n = 0;
    struct timer *t = timer_new(l, count, &n);
    CU_ASSERT_FALSE(timer_running(t));
    CU_ASSERT_EQUAL(timer_remaining_ms(t), 0);
    timer_set(t, 100000);
    CU_ASSERT_TRUE(timer_running(t));
    CU_ASSERT(timer_remaining_ms(t) > 99000 && timer_remaining_ms(t) <= 100000);
    timer_set(t, 5); /* replaces */
    run_for(l, 30);
    CU_ASSERT_EQUAL(n, 1);
    CU_ASSERT_FALSE(timer_running(t));
    timer_set(t, 5);
    timer_stop(t);
    CU_ASSERT_FALSE(timer_running(t));
    CU_ASSERT_EQUAL(timer_remaining_ms(t), 0);
    run_for(l, 20);
    CU_ASSERT_EQUAL(n, 1);
    timer_free(t);
    timer_free(NULL);
    loop_free(l);
}

struct self {
    struct loop *l;
    struct timer *timer;
    struct io *io;
    struct task *task;
    struct sig *sig;
    int calls;
};

static void free_timer(void *arg)
{
    struct self *s = arg;
    timer_free(s->timer);
    s->calls++;
}

static void free_io(void *arg, int fd, unsigned events)
{
    struct self *s = arg;
    (void)fd, (void)events;
    io_free(s->io);
    s->calls++;
}

static bool free_task(void *arg)
{
    struct self *s = arg;
    task_wake(s->task);
    task_free(s->task);
    s->calls++;
    return true;
}

static void free_sig(void *arg, int signum)
{
    struct self *s = arg;
    sig_free(s->sig);
    s->calls += signum == SIGUSR1;
}

static void objects_may_be_freed_from_their_own_callback(void)
{
    int fds[2];
    struct self s = {.l = loop_new()};
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    s.timer = timer_new(s.l, free_timer, &s);
    timer_set(s.timer, 0);
    s.io = io_new(s.l, fds[0], free_io, &s);
    CU_ASSERT_EQUAL(write(fds[1], "x", 1),
                    1); /* readable and writable in the same turn: one callback all the same */
    io_want(s.io, IO_READ | IO_WRITE);
    s.task = task_new(s.l, free_task, &s);
    task_wake(s.task);
    s.sig = sig_new(s.l, SIGUSR1, free_sig, &s);
    raise(SIGUSR1);
    run_for(s.l, 30);
    CU_ASSERT_EQUAL(s.calls, 4);
    loop_free(s.l);
    close(fds[0]);
    close(fds[1]);
}

static void note_io(void *arg, int fd, unsigned events)
{
    (void)fd;
    *(unsigned *)arg |= events;
}

static void descriptors_report_what_is_wanted(void)
{
    int fds[2];
    unsigned got = 0;
    struct loop *l = loop_new();
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct io *io = io_new(l, fds[0], note_io, &got);
    CU_ASSERT_EQUAL(io_wanted(io), 0);
    CU_ASSERT_EQUAL(write(fds[1], "x", 1), 1);
    run_for(l, 5);
    CU_ASSERT_EQUAL(got, 0);
    io_want(io, IO_WRITE);
    run_for(l, 5);
    CU_ASSERT_EQUAL(got, IO_WRITE);
    got = 0;
    io_want(io, IO_READ);
    CU_ASSERT_EQUAL(io_wanted(io), IO_READ);
    run_for(l, 5);
    CU_ASSERT_EQUAL(got, IO_READ);
    got = 0;
    io_want(io, IO_READ | IO_WRITE);
    run_for(l, 5);
    CU_ASSERT_EQUAL(got, IO_READ | IO_WRITE);
    got = 0;
    io_want(io, 0);
    run_for(l, 5);
    CU_ASSERT_EQUAL(got, 0);
    io_free(io);
    loop_free(l);
    close(fds[0]);
    close(fds[1]);
}

struct work {
    int steps, until;
    struct task *task;
    bool wake_self;
};

static bool step(void *arg)
{
    struct work *w = arg;
    w->steps++;
    if (w->wake_self) {
        w->wake_self = false;
        task_wake(w->task);
        return false;
    }
    return w->steps < w->until;
}

static void tasks_step_until_they_say_no(void)
{
    struct loop *l = loop_new();
    struct work w = {.until = 5};
    w.task = task_new(l, step, &w);
    run_for(l, 5);
    CU_ASSERT_EQUAL(w.steps, 0);
    task_wake(w.task);
    task_wake(w.task);
    run_for(l, 20);
    CU_ASSERT_EQUAL(w.steps, 5);
    task_wake(w.task);
    run_for(l, 20);
    CU_ASSERT_EQUAL(w.steps, 6);
    w.wake_self = true; /* work that comes up during the last step is not lost */
    task_wake(w.task);
    run_for(l, 20);
    CU_ASSERT_EQUAL(w.steps, 8);
    task_free(w.task);
    task_free(NULL);
    loop_free(l);
}

struct busy {
    int steps, reads, ticks;
    uint64_t due, late_us;
    struct timer *timer;
};

static bool busy_step(void *arg)
{
    struct busy *b = arg;
    b->steps++;
    spin_ms(2);
    return true;
}

static void busy_read(void *arg, int fd, unsigned events)
{
    struct busy *b = arg;
    (void)fd, (void)events;
    b->reads++; /* leaves the byte there: always readable */
    spin_ms(2);
}

static void busy_tick(void *arg)
{
    struct busy *b = arg;
    uint64_t late = loop_now_us() - b->due;
    b->late_us = late > b->late_us ? late : b->late_us;
    b->ticks++;
    b->due = loop_now_us() + 5000;
    timer_set(b->timer, 5);
}

static void timers_stay_punctual_while_everything_is_busy(void)
{
    enum { N = 8 };
    int fds[N][2];
    struct io *io[N];
    struct task *task[N];
    struct busy b = {0}, each[2 * N] = {0};
    struct loop *l = loop_new();
    for (int i = 0; i < N; i++) {
        CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]), 0);
        CU_ASSERT_EQUAL(write(fds[i][1], "x", 1), 1);
        io[i] = io_new(l, fds[i][0], busy_read, &each[i]);
        io_want(io[i], IO_READ);
        task[i] = task_new(l, busy_step, &each[N + i]);
        task_wake(task[i]);
    }
    b.timer = timer_new(l, busy_tick, &b);
    b.due = loop_now_us() + 5000;
    timer_set(b.timer, 5);
    run_for(l, 400);
    /* 16 callbacks of 2 ms (or more, on a busy machine) are ready in every turn. In order of readiness alone
     * the timer would come once in 16 callbacks; it is due after every third. */
    int total = 0;
    for (int i = 0; i < 2 * N; i++)
        total += each[i].steps + each[i].reads;
    CU_ASSERT(total >= 2 * N);
    CU_ASSERT(b.ticks * 8 >= total);
    for (int i = 0; i < 2 * N; i++)
        CU_ASSERT((each[i].steps + each[i].reads + 1) * 2 * N * 4 >= total); /* nobody starves */
    for (int i = 0; i < N; i++) {
        io_free(io[i]);
        task_free(task[i]);
        close(fds[i][0]);
        close(fds[i][1]);
    }
    timer_free(b.timer);
    loop_free(l);
}

static void rearm_at_once(void *arg)
{
    struct self *s = arg;
    s->calls++;
    timer_set(s->timer, 0);
}

static void a_timer_of_zero_does_not_starve_tasks(void)
{
    struct self s = {.l = loop_new()};
    struct work w = {.until = 20};
    s.timer = timer_new(s.l, rearm_at_once, &s);
    timer_set(s.timer, 0);
    w.task = task_new(s.l, step, &w);
    task_wake(w.task);
    run_for(s.l, 50);
    CU_ASSERT(s.calls > 1);
    CU_ASSERT_EQUAL(w.steps, 20);
    timer_free(s.timer);
    task_free(w.task);
    loop_free(s.l);
}

static void idle_loop_sleeps(void)
{
    struct rusage before, after;
    struct loop *l = loop_new();
    struct timer *far = timer_new(l, stop_loop, l);
    timer_set(far, 600000);
    getrusage(RUSAGE_SELF, &before);
    run_for(l, 300);
    getrusage(RUSAGE_SELF, &after);
    CU_ASSERT(after.ru_nvcsw - before.ru_nvcsw <= 3); /* one sleep, not one a tick */
    timer_free(far);
    loop_free(l);
}

static const struct unit_case cases[] = {
    UNIT(what_callbacks_take_is_counted),
    UNIT(stop_gives_its_status_to_run),
    UNIT(timers_are_never_early),
    UNIT(timers_rearm_stop_and_tell_what_is_left),
    UNIT(objects_may_be_freed_from_their_own_callback),
    UNIT(descriptors_report_what_is_wanted),
    UNIT(tasks_step_until_they_say_no),
    UNIT(timers_stay_punctual_while_everything_is_busy),
    UNIT(a_timer_of_zero_does_not_starve_tasks),
    UNIT(idle_loop_sleeps),
};
UNIT_MAIN("loop", cases)
