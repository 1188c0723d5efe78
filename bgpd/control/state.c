/* The state file: what commands changed, kept over restarts as the commands that would change it again.
 *
 * Reading runs the lines through the same grammar and the same handlers as a client's, a few hundred a loop
 * turn. Writing is debounced, always the whole file, into a temporary one that the parent opens and then
 * renames over the real one, so that a crash leaves either the old or the new. fsync can take as long as the
 * disk likes; it happens in a thread of its own, which touches nothing but its buffer and descriptor, so that
 * no keepalive waits for a disk.
 *
 * A line that cannot be carried out any more (its peer has left the configuration) is logged and forgotten.
 */
#include "control/state.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "control/exec.h"
#include "drain.h"
#include "fibclient.h"
#include "log.h"
#include "loop.h"
#include "peer.h"
#include "source/source.h"
#include "speaker.h"

#define STATE_MAX_BYTES (64u << 20)
#define STATE_DELAY_MS  200
#define LINES_PER_TURN  250
#define IGNORED_SHOWN   5
#define CANNOT_WRITE    "cannot write the state file; what commands change is lost at a restart"

static const char heading[] = "# What commands changed in underlayd; read at its start, written by it.\n";

struct state {
    struct speaker *s;
    const struct grammar *grammar;
    struct timer *due;
    bool loading, loaded, running_line, saving, again;
    bool failing;               /* to write, which has been said */
    unsigned ignored;           /* lines */
    void (*flushed)(void *arg); /* NULL: nobody waits */
    void *flushed_arg;
    /* reading */
    struct task *reader;
    char *text, *next;
    struct evbuffer *sink;
    /* writing; the thread owns fd, data and error until it has written to done_fd */
    pthread_t thread;
    int fd, done_fd, error;
    struct io *done;
    char *data;
    size_t size;
};

static bool read_lines(void *arg);
static void save(void *arg);
static void written(void *arg, int fd, unsigned events);

struct state *state_new(struct speaker *s, const struct grammar *g)
{
    struct state *st = calloc(1, sizeof *st);
    if (!st)
        return NULL;
    st->s = s;
    st->grammar = g;
    st->fd = -1;
    st->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    st->due = timer_new(s->loop, save, st);
    st->reader = task_new(s->loop, read_lines, st);
    st->done = st->done_fd < 0 ? NULL : io_new(s->loop, st->done_fd, written, st);
    st->sink = evbuffer_new();
    if (!st->due || !st->reader || !st->done || !st->sink) {
        state_free(st);
        return NULL;
    }
    return st;
}

void state_free(struct state *st)
{
    if (!st)
        return;
    if (st->data)
        pthread_join(st->thread, NULL);
    free(st->data);
    if (st->fd >= 0)
        close(st->fd);
    io_free(st->done);
    if (st->done_fd >= 0)
        close(st->done_fd);
    timer_free(st->due);
    task_free(st->reader);
    if (st->sink)
        evbuffer_free(st->sink);
    free(st->text);
    free(st);
}

/* Reading */

static void loading_done(struct state *st)
{
    free(st->text);
    st->text = NULL;
    st->loading = false;
    st->loaded = true;
    if (st->again)
        timer_set(st->due, STATE_DELAY_MS);
    st->again = false;
    if (st->ignored > IGNORED_SHOWN)
        log_warn("lines of the state file are ignored", F_STR("path", st->s->state_path),
                 F_UINT("lines", st->ignored));
    speaker_state_loaded(st->s);
}

static void ignored(struct state *st, const char *why)
{
    if (st->ignored++ < IGNORED_SHOWN)
        log_warn("a line of the state file is ignored", F_STR("reason", why));
}

static void run_line(struct state *st, const char *line)
{
    struct command cmd;
    char error[256];
    if (!*line || *line == '#' || drain_restore(st->s->drain, line))
        return;
    int rc = grammar_parse(st->grammar, line, &cmd, error, sizeof error);
    if (!rc && !(cmd.row->flags & GRAMMAR_STATE)) {
        command_free(&cmd);
        snprintf(error, sizeof error, "not a command that is kept");
        rc = -EINVAL;
    }
    if (rc) {
        ignored(st, error);
        return;
    }
    struct writer *w = writer_new(st->sink, false);
    struct exec e = {.s = st->s, .grammar = st->grammar, .cmd = &cmd, .w = w};
    st->running_line = true;
    while (w && exec_step(&e) == EXEC_MORE)
        evbuffer_drain(st->sink, evbuffer_get_length(st->sink));
    st->running_line = false;
    if (e.status)
        ignored(st, e.error ? e.error : "unknown");
    exec_end(&e);
    writer_free(w);
    command_free(&cmd);
}

static bool read_lines(void *arg)
{
    struct state *st = arg;
    for (unsigned i = 0; i < LINES_PER_TURN; i++) {
        char *line = strsep(&st->next, "\n");
        if (!line) {
            loading_done(st);
            return false;
        }
        run_line(st, line);
    }
    return true;
}

/* The whole file, zero-terminated. It is a regular file of our own: reading it does not wait for anybody. */
static int read_file(int fd, char **out)
{
    struct stat sb;
    if (fstat(fd, &sb) < 0)
        return -errno;
    if (!S_ISREG(sb.st_mode))
        return -EINVAL;
    if (sb.st_size > STATE_MAX_BYTES)
        return -EFBIG;
    char *text = malloc((size_t)sb.st_size + 1);
    size_t n = 0;
    if (!text)
        return -ENOMEM;
    while (n < (size_t)sb.st_size) {
        ssize_t got = read(fd, text + n, (size_t)sb.st_size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            free(text);
            return -errno;
        }
        if (!got)
            break;
        n += (size_t)got;
    }
    for (char *zero = text; (zero = memchr(zero, 0, n - (size_t)(zero - text)));)
        *zero = '\n'; /* a broken line does not hide those after it */
    text[n] = 0;
    *out = text;
    return 0;
}

static void state_opened(void *arg, int fd, int error)
{
    struct state *st = arg;
    int rc = fd < 0 ? error : read_file(fd, &st->text);
    if (fd >= 0)
        close(fd);
    if (rc && rc != -ENOENT)
        log_error("cannot read the state file; what commands had changed is lost",
                  F_STR("path", st->s->state_path), F_ERR(rc));
    if (rc) {
        loading_done(st);
        return;
    }
    st->next = st->text;
    task_wake(st->reader);
}

void state_load(struct state *st)
{
    if (st->loading || st->loaded)
        return;
    st->loading = true;
    int rc = fibclient_open(st->s->fib, FM_ROLE_STATE, 0, state_opened, st);
    if (rc)
        state_opened(st, -1, rc);
}

/* Writing */

void state_changed(struct state *st)
{
    if (st->running_line)
        return;                    /* that is what the file says already */
    if (!st->loaded || st->saving) /* never write what has not been read yet */
        st->again = true;
    else if (!timer_running(st->due))
        timer_set(st->due, STATE_DELAY_MS);
}

void state_each_line(struct speaker *s, void (*cb)(void *arg, const char *line), void *arg)
{
    sources_each_command(s->sources, cb, arg);
    for (unsigned i = 0; i < peer_set_count(s->peers); i++) {
        const struct peer *p = peer_set_at(s->peers, i);
        const char *message = NULL;
        char line[512];
        if (!peer_is_shutdown(p, &message))
            continue;
        bool has = message && *message;
        snprintf(line, sizeof line, "neighbor %s shutdown%s%s", peer_name(p), has ? " message " : "",
                 has ? message : "");
        cb(arg, line);
    }
}

static void tell_flushed(struct state *st)
{
    void (*done)(void *arg) = st->flushed;
    st->flushed = NULL;
    if (done)
        done(st->flushed_arg);
}

void state_flush(struct state *st, void (*done)(void *arg), void *arg)
{
    st->flushed = done;
    st->flushed_arg = arg;
    if (st->saving)
        return; /* saving_done goes on */
    if (timer_running(st->due)) {
        timer_stop(st->due);
        save(st);
    } else {
        tell_flushed(st);
    }
}

static void saving_done(struct state *st, const char *what, int error)
{
    if (error && !st->failing)
        log_warn(what, F_STR("path", st->s->state_path), F_ERR(error));
    else if (!error && st->failing)
        log_info("the state file is written again", F_STR("path", st->s->state_path));
    st->failing = error;
    st->saving = false;
    if (st->again && st->flushed && !error)
        save(st);
    else if (st->again)
        timer_set(st->due, STATE_DELAY_MS);
    st->again = false;
    if (!st->saving)
        tell_flushed(st);
}

static void committed(void *arg, int fd, int error)
{
    if (fd >= 0)
        close(fd);
    saving_done(arg, CANNOT_WRITE, error);
}

static void *write_thread(void *arg)
{
    struct state *st = arg;
    size_t n = 0;
    st->error = 0;
    while (n < st->size && !st->error) {
        ssize_t put = write(st->fd, st->data + n, st->size - n);
        if (put >= 0)
            n += (size_t)put;
        else if (errno != EINTR)
            st->error = -errno;
    }
    if (!st->error && fsync(st->fd) < 0)
        st->error = -errno;
    uint64_t one = 1;
    while (write(st->done_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
    return NULL;
}

static void written(void *arg, int fd, unsigned events)
{
    struct state *st = arg;
    uint64_t count;
    (void)events;
    if (read(fd, &count, sizeof count) < 0)
        return;
    io_want(st->done, 0);
    pthread_join(st->thread, NULL);
    free(st->data);
    st->data = NULL;
    close(st->fd);
    st->fd = -1;
    int rc = st->error ? st->error : fibclient_commit(st->s->fib, FM_ROLE_STATE, committed, st);
    if (rc)
        saving_done(st, CANNOT_WRITE, rc);
}

static void add_line(void *arg, const char *line)
{
    FILE *f = arg;
    fputs(line, f);
    fputc('\n', f);
}

static void temporary_opened(void *arg, int fd, int error)
{
    struct state *st = arg;
    sigset_t all, before;
    FILE *f = fd < 0 ? NULL : open_memstream(&st->data, &st->size);
    if (!f) {
        if (fd >= 0)
            close(fd);
        saving_done(st, CANNOT_WRITE, fd < 0 ? error : -ENOMEM);
        return;
    }
    fputs(heading, f);
    state_each_line(st->s, add_line, f);
    drain_save(st->s->drain, f);
    int rc = fclose(f) ? -ENOMEM : 0;
    st->fd = fd;
    io_want(st->done, IO_READ);
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (!rc)
        rc = -pthread_create(&st->thread, NULL, write_thread, st);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!rc)
        return;
    io_want(st->done, 0);
    free(st->data);
    st->data = NULL;
    close(st->fd);
    st->fd = -1;
    saving_done(st, CANNOT_WRITE, rc);
}

static void save(void *arg)
{
    struct state *st = arg;
    st->saving = true;
    st->again = false;
    int rc = fibclient_open(st->s->fib, FM_ROLE_STATE, 1, temporary_opened, st);
    if (rc)
        saving_done(st, CANNOT_WRITE, rc);
}
