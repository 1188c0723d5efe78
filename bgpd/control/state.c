/* The state file: what commands changed, kept over restarts as the commands that would change it again.
 *
 * Reading runs the lines through the same grammar and the same handlers as a client's, a few hundred a loop
 * turn. Writing is savedfile.c's.
 *
 * A line that cannot be carried out any more (its peer has left the configuration) is logged and forgotten.
 */
#include "control/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "control/exec.h"
#include "drain.h"
#include "fibclient.h"
#include "log.h"
#include "loop.h"
#include "peer.h"
#include "savedfile.h"
#include "source/source.h"
#include "speaker.h"

#define STATE_MAX_BYTES (64u << 20)
#define LINES_PER_TURN  250
#define IGNORED_SHOWN   5

static const char heading[] = "# What commands changed in underlayd; read at its start, written by it.\n";

struct state {
    struct speaker *s;
    const struct grammar *grammar;
    struct savedfile *file;
    bool loading, loaded, running_line;
    unsigned ignored; /* lines */
    struct task *reader;
    char *text, *next;
    struct evbuffer *sink;
};

static bool read_lines(void *arg);
static void write_lines(void *arg, FILE *f);
static const struct savedfile_ops file_ops = {
    .role = FM_ROLE_STATE,
    .delay_ms = 200,
    .failed = "cannot write the state file; what commands change is lost at a restart",
    .again = "the state file is written again",
    .write = write_lines,
};

struct state *state_new(struct speaker *s, const struct grammar *g)
{
    struct state *st = calloc(1, sizeof *st);
    if (!st)
        return NULL;
    st->s = s;
    st->grammar = g;
    st->file = savedfile_new(s, s->state_path, &file_ops, st);
    st->reader = task_new(s->loop, read_lines, st);
    st->sink = evbuffer_new();
    if (!st->file || !st->reader || !st->sink) {
        state_free(st);
        return NULL;
    }
    savedfile_hold(st->file, true); /* never write what has not been read yet */
    return st;
}

void state_free(struct state *st)
{
    if (!st)
        return;
    savedfile_free(st->file);
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
    savedfile_hold(st->file, false);
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
    if (!st->running_line) /* else that is what the file says already */
        savedfile_changed(st->file);
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

void state_flush(struct state *st, void (*done)(void *arg), void *arg)
{
    savedfile_flush(st->file, done, arg);
}

static void add_line(void *arg, const char *line)
{
    FILE *f = arg;
    fputs(line, f);
    fputc('\n', f);
}

static void write_lines(void *arg, FILE *f)
{
    struct state *st = arg;
    fputs(heading, f);
    state_each_line(st->s, add_line, f);
    drain_save(st->s->drain, f);
}
