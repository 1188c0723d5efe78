/* The thread that BFD runs on, as the main thread has it: where and how urgently it runs, and the two rings
 * between them. It holds no capability.
 *
 * Real-time priority, where permitted, is not enough. The main thread is in the kernel most of the time when
 * routes come in, and a kernel that does not preempt itself stays there: 300 ms for one route that makes the
 * kernel double the root of its table, a second for a next hop that goes with a million routes. Whoever is to
 * run on that processor waits for it, however urgent, while others are idle. So the two are kept apart: the
 * BFD thread has a processor, the main thread all the others, as long as there is a BFD thread. What the main
 * thread forks has all of them again (bfd_thread_forked). */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fib/bfd_run.h"

#define STACK_BYTES (128 * 1024)
#define RING_SLOTS  256
#define REALTIME    10    /* SCHED_RR priority, where permitted */
#define NICE        (-10) /* and where only this is */

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

static void *run(void *arg)
{
    prctl(PR_SET_NAME, "underlayd: bfd");
    prctl(PR_SET_TIMERSLACK, 1);
    if (sched_getscheduler(0) == SCHED_OTHER && may_hurry())
        setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
    cap_t none = cap_init(); /* capabilities are a thread's own */
    if (none)
        cap_set_proc(none);
    cap_free(none);
    bfd_run(arg);
    return NULL;
}

/* The last processor, since interrupts tend to be on the first; the others are for the main thread. False:
 * there is one only, or too many to name. */
static bool divide(cpu_set_t *all, cpu_set_t *own, cpu_set_t *others)
{
    int last = CPU_SETSIZE - 1;

    if (sched_getaffinity(0, sizeof *all, all) < 0 || CPU_COUNT(all) < 2)
        return false;
    while (!CPU_ISSET(last, all))
        last--;
    *others = *all;
    CPU_CLR(last, others);
    CPU_ZERO(own);
    CPU_SET(last, own);
    return true;
}

static void ask_for_real_time(struct bfd_thread *t, pthread_attr_t *attr)
{
    const struct sched_param p = {.sched_priority = REALTIME};
    cpu_set_t own;

    t->apart = divide(&t->all, &own, &t->others);
    if (t->apart)
        pthread_attr_setaffinity_np(attr, sizeof own, &own);
    pthread_attr_setschedpolicy(attr, SCHED_RR);
    pthread_attr_setschedparam(attr, &p);
    pthread_attr_setinheritsched(attr, PTHREAD_EXPLICIT_SCHED);
}

static int create(struct bfd_thread *t, bool urgent)
{
    pthread_attr_t attr;
    sigset_t all, old;

    if (pthread_attr_init(&attr))
        return -ENOMEM;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (urgent)
        ask_for_real_time(t, &attr);
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = -pthread_create(&t->id, &attr, run, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    t->apart = !rc && t->apart && !sched_setaffinity(0, sizeof t->others, &t->others);
    return rc;
}

/* Unless someone else has moved it since. */
static void reunite(struct bfd_thread *t)
{
    cpu_set_t now;

    if (t->apart && !sched_getaffinity(0, sizeof now, &now) && CPU_EQUAL(&now, &t->others))
        sched_setaffinity(0, sizeof t->all, &t->all);
    t->apart = false;
}

void bfd_thread_forked(const struct bfd_thread *t)
{
    if (t->apart)
        sched_setaffinity(0, sizeof t->all, &t->all);
}

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
        *error = may_hurry() && !create(t, true) ? 0 : create(t, false);
    if (!*error)
        return t;
    bfd_thread_free(t);
    return NULL;
}

void bfd_thread_tell(struct bfd_thread *t, const struct bfd_command *c)
{
    while (!bfd_ring_put(&t->commands, c)) {
        eventfd_write(t->command_fd, 1);
        usleep(100);
    }
    eventfd_write(t->command_fd, 1);
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
    reunite(t);
    for (unsigned i = 0; i < BFD_LISTENERS; i++)
        if (listeners)
            listeners[i] = t->listeners[i];
        else if (t->listeners[i] >= 0)
            close(t->listeners[i]);
}
