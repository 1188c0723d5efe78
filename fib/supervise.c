/* Supervision of the speaker.
 *
 * The speaker is executed, not merely forked: it gets a fresh address space (and its own layout of it), and
 * nothing of the parent's memory. It is recognised as hung when it has said nothing for FM_HANG_MS; killed,
 * it is started again after a back-off that doubles from 100 ms to 10 s and begins anew once a speaker has
 * lived 30 s. The kernel's routes stay as they are all the while.
 *
 * Only a first speaker that never got ready decides the exit status: its configuration is wrong, or its place
 * is taken, and the one who starts the daemon must learn of it. As PID 1 of a container this process also
 * reaps what is not its own.
 */
#include "fib/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fib/bfd.h"
#include "fib/dispatch.h"
#include "fib/handover.h"
#include "fib/routes.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   10000
#define HEALTHY_MS       30000
#define BRIEF_MS         1000
#define STOP_MS          5000
#define CLOSED_MS        1000
#define LATE_MS          1000 /* of a timer */
#define CHANNEL_BUFFER   (1 << 20)
#define SPEAKER_FD       3 /* where it finds its end */
#define EXIT_SYSTEM      3

struct supervisor {
    struct fib *f;
    const char **argv; /* our own but for the name, which is what ps shows */
    const char *exe;
    pid_t pid; /* 0: none */
    uint64_t started_ms;
    uint64_t heard_ms;
    uint64_t hang_due_ms;
    uint64_t backoff_ms;
    struct timer *restart;
    struct timer *hang;
    struct timer *stop;
    bool ever_ready;
    bool stopping;
    bool killed; /* by us: no news when it dies */
    bool closed; /* its channel: it should end by itself, with a status */
};

static int spawn(struct supervisor *s);

static void try_spawn(void *arg)
{
    struct supervisor *s = arg;
    int rc = spawn(s);

    if (!rc)
        return;
    log_error("cannot start the speaker", F_ERR(rc));
    timer_set(s->restart, BACKOFF_MAX_MS);
}

static void watch_hang(struct supervisor *s, uint64_t ms)
{
    s->hang_due_ms = loop_now_ms() + ms;
    timer_set(s->hang, ms);
}

static void check_hang(void *arg)
{
    struct supervisor *s = arg;
    uint64_t now = loop_now_ms(), silent = now - s->heard_ms;

    if (s->closed)
        supervise_kill(s, "it closed its channel and does not end");
    else if (silent < FM_HANG_MS)
        watch_hang(s, FM_HANG_MS - silent);
    else if (now > s->hang_due_ms + LATE_MS) /* we were held up: what it said may wait to be read */
        watch_hang(s, LATE_MS);
    else
        supervise_kill(s, "no sign of life");
}

static void stop_overdue(void *arg)
{
    struct supervisor *s = arg;

    log_warn("the speaker did not stop in time");
    fib_stop(s->f, 0);
}

static const char **speaker_argv(char *const *own)
{
    size_t n = 0;

    while (own && own[n])
        n++;
    const char **argv = calloc(n + 2, sizeof *argv);
    if (!argv)
        return NULL;
    argv[0] = "underlayd: speaker";
    for (size_t i = 1; i < n; i++)
        argv[i] = own[i];
    return argv;
}

struct supervisor *supervise_new(struct fib *f, const struct fib_options *o)
{
    struct supervisor *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->f = f;
    s->argv = speaker_argv(o->argv);
    s->exe = o->exe ? o->exe : "/proc/self/exe";
    s->backoff_ms = BACKOFF_FIRST_MS;
    s->restart = timer_new(f->loop, try_spawn, s);
    s->hang = timer_new(f->loop, check_hang, s);
    s->stop = timer_new(f->loop, stop_overdue, s);
    if (s->argv && s->restart && s->hang && s->stop)
        return s;
    supervise_free(s);
    return NULL;
}

static void drop_channel(struct supervisor *s)
{
    fibchan_free(s->f->chan);
    s->f->chan = NULL;
}

void supervise_free(struct supervisor *s)
{
    if (!s)
        return;
    if (s->pid) { /* before the channel goes: it has nothing to say about that */
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
    }
    drop_channel(s);
    timer_free(s->restart);
    timer_free(s->hang);
    timer_free(s->stop);
    free(s->argv);
    free(s);
}

static int on_message(void *arg, const struct fm_header *h, const void *records, int fd)
{
    struct supervisor *s = arg;

    s->heard_ms = loop_now_ms();
    int rc = dispatch_message(s->f->dispatch, h, records, fd);
    if (rc < 0) {
        supervise_kill(s, "invalid message");
        return rc;
    }
    routes_flush_results(s->f->routes);
    /* What it does not take in answers it may not go on asking for. */
    if (s->f->chan && !fibchan_room(s->f->chan))
        fibchan_pause(s->f->chan, true);
    return 0;
}

static void on_writable(void *arg)
{
    struct supervisor *s = arg;

    s->heard_ms = loop_now_ms();
    fibchan_pause(s->f->chan, false);
    routes_wake(s->f->routes);
}

/* SIGCHLD tells the rest, with the exit status; a speaker that closed its end but lives on is of no use. */
static void on_closed(void *arg, const char *why)
{
    struct supervisor *s = arg;

    log_debug("channel to the speaker closed", F_STR("reason", why));
    s->closed = true;
    timer_set(s->hang, CLOSED_MS);
}

static const struct fibchan_ops chan_ops = {
    .message = on_message, .writable = on_writable, .closed = on_closed};

/* In the child, between fork and exec. */
static _Noreturn void become_speaker(struct supervisor *s, int fd)
{
    char number[16];
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    bfd_forked(s->f->bfd);
    int mine = dup2(fd, SPEAKER_FD); /* without close-on-exec */
    if (fd == SPEAKER_FD)
        fcntl(fd, F_SETFD, 0);
    close_range(SPEAKER_FD + 1, ~0U,
                0); /* whatever we were started with is not for the process on the network */
    snprintf(number, sizeof number, "%d", mine);
    setenv(FIB_SPEAKER_FD_ENV, number, 1);
    unsetenv("NOTIFY_SOCKET"); /* the parent alone speaks to systemd */
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    execv(s->exe, (char *const *)s->argv);
    fprintf(stderr, "underlayd: cannot execute %s: %s\n", s->exe, strerror(errno));
    _exit(EXIT_SYSTEM);
}

static void grow_buffer(int fd)
{
    int size = CHANNEL_BUFFER;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static int spawn(struct supervisor *s)
{
    sigset_t all, old;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -errno;
    grow_buffer(pair[0]);
    grow_buffer(pair[1]);
    /* A signal between fork and exec must not run the parent's handlers in the child. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    pid_t pid = fork();
    int rc = pid < 0 ? -errno : 0;
    if (pid == 0)
        become_speaker(s, pair[1]);
    sigprocmask(SIG_SETMASK, &old, NULL);
    close(pair[1]);
    if (rc) {
        close(pair[0]);
        return rc;
    }
    s->pid = pid;
    s->killed = s->closed = false;
    s->started_ms = s->heard_ms = loop_now_ms();
    dispatch_reset(s->f->dispatch);
    watch_hang(s, FM_HANG_MS);
    s->f->chan = fibchan_new(s->f->loop, pair[0], &chan_ops, s);
    if (!s->f->chan) {
        close(pair[0]);
        supervise_kill(s, "out of memory");
    }
    log_debug("speaker started", F_INT("pid", pid));
    return 0;
}

int supervise_start(struct supervisor *s)
{
    return spawn(s);
}

static void tell_stop(struct supervisor *s)
{
    const struct fm_flags m = {.flags = fib_preserves(s->f) ? FM_STOP_PRESERVE : 0};
    fib_tell(s->f, FM_STOP, &m, 1);
}

void supervise_ready(struct supervisor *s)
{
    s->ever_ready = true;
    if (s->stopping) /* the sessions were on their way to it */
        tell_stop(s);
}

void supervise_kill(struct supervisor *s, const char *why)
{
    if (!s->pid || s->killed)
        return;
    s->killed = true;
    log_error("the speaker is killed", F_STR("reason", why), F_INT("pid", s->pid));
    kill(s->pid, SIGKILL);
}

bool supervise_stopping(const struct supervisor *s)
{
    return s->stopping;
}

void supervise_stop(struct supervisor *s)
{
    if (s->stopping || !s->pid) {
        fib_stop(s->f, 0);
        return;
    }
    s->stopping = true;
    if (!handover_pending(s->f->handover))
        tell_stop(s);
    timer_set(s->stop, STOP_MS);
}

bool supervise_said_stopped(struct supervisor *s)
{
    return s->stopping;
}

static void describe_death(const struct supervisor *s, int status)
{
    if (WIFSIGNALED(status))
        log_error("the speaker died", F_INT("signal", WTERMSIG(status)),
                  F_STR("name", strsignal(WTERMSIG(status))));
    else
        log_error("the speaker ended", F_INT("status", WEXITSTATUS(status)));
    log_info("the speaker is started again", F_UINT("in_ms", s->backoff_ms));
}

/* One that restarts as soon as it is there has to wait like one that dies. */
static void start_next(struct supervisor *s)
{
    if (loop_now_ms() - s->started_ms < BRIEF_MS)
        timer_set(s->restart, BACKOFF_FIRST_MS);
    else
        try_spawn(s);
}

static void speaker_died(struct supervisor *s, int status)
{
    bool clean = WIFEXITED(status) && !WEXITSTATUS(status);

    s->pid = 0;
    timer_stop(s->hang);
    if (clean && s->f->chan)
        fibchan_drain(s->f->chan);
    drop_channel(s);
    bool planned = handover_speaker_gone(s->f->handover, clean);
    if (s->stopping && !planned) {
        fib_stop(s->f, 0);
        return;
    }
    fib_speaker_gone(s->f);
    if (planned) {
        start_next(s);
        return;
    }
    if (!s->ever_ready) {
        /* It has said why, unless a signal took it. */
        if (WIFSIGNALED(status))
            log_error("the speaker died at start", F_STR("signal", strsignal(WTERMSIG(status))));
        int code = WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_SYSTEM;
        fib_stop(s->f, code);
        return;
    }
    if (loop_now_ms() - s->started_ms >= HEALTHY_MS)
        s->backoff_ms = BACKOFF_FIRST_MS;
    describe_death(s, status);
    timer_set(s->restart, s->backoff_ms);
    s->backoff_ms = s->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : s->backoff_ms * 2;
}

void supervise_reap(struct supervisor *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == s->pid)
            speaker_died(s, status);
}
