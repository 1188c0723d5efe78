/* Clients of the control socket: accepting, framing, pausing.
 *
 * A client is a pipeline: bytes in, a request line, an exec that writes into `body`, frames out. It moves
 * only while less than 64 KiB of answers wait to be read, so a client that asks for a full table and goes for
 * lunch costs that much memory and no time; and only a few milliseconds a loop turn, so ten clients that ask
 * for everything do not delay a keepalive. Requests of one client run one after the other, those of several
 * side by side.
 *
 * When all places are taken, the client that has done nothing for longest gives way if that is a minute or
 * more, so that forgotten shells cannot lock an operator out. Not here: what commands do (exec.c), who may
 * connect (the mode and group of the socket, the parent's business). */
#include "control/control.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/exec.h"
#include "control/state.h"
#include "handover.h"
#include "lib/sendbuf.h"
#include "log.h"
#include "loop.h"
#include "speaker.h"

#define CLIENTS_MAX    32
#define CLIENT_WAIT_MS 60000
#define OUT_MAX        65536
#define TURN_US        2000
#define PAUSE_MS       1000 /* without descriptors */

struct client {
    struct client *next;
    struct control *c;
    int fd;
    struct io *io;
    struct task *task;
    struct timer *unfinished; /* runs while half a request is here */
    struct evbuffer *in, *out, *body;
    struct writer *writer; /* of the request that runs; NULL: none does */
    struct command cmd;
    struct exec exec;
    bool waiting; /* the exec will wake us */
    bool eof;     /* nothing more will be asked */
    bool closing; /* goes when its answers are out */
    uint64_t active_ms;
};

struct control {
    struct speaker *s;
    struct grammar *grammar;
    struct state *state;
    int fd;
    struct io *io;
    struct timer *again; /* runs while nobody is accepted */
    struct client *clients;
    unsigned n_clients;
};

static void client_end_request(struct client *cl)
{
    if (!cl->writer)
        return;
    exec_end(&cl->exec);
    command_free(&cl->cmd);
    writer_free(cl->writer);
    cl->writer = NULL;
    cl->waiting = false;
}

static void client_free(struct client *cl)
{
    struct client **p = &cl->c->clients;
    while (*p && *p != cl)
        p = &(*p)->next;
    if (*p) {
        *p = cl->next;
        cl->c->n_clients--;
    }
    client_end_request(cl);
    io_free(cl->io);
    task_free(cl->task);
    timer_free(cl->unfinished);
    for (int i = 0; i < 3; i++) {
        struct evbuffer *b = (struct evbuffer *[]){cl->in, cl->out, cl->body}[i];
        if (b)
            evbuffer_free(b);
    }
    if (cl->fd >= 0)
        close(cl->fd);
    free(cl);
}

static void put_frame(struct client *cl)
{
    size_t n = evbuffer_get_length(cl->body);
    if (!n)
        return;
    evbuffer_add_printf(cl->out, "%zu\n", n);
    evbuffer_add_buffer(cl->out, cl->body);
}

static void put_status(struct client *cl, int status, const char *error)
{
    size_t n = error ? strlen(error) : 0;
    evbuffer_add_printf(cl->out, "%zu %d\n", n, status);
    evbuffer_add(cl->out, error, n);
}

static void client_wake(void *arg)
{
    struct client *cl = arg;
    cl->waiting = false;
    task_wake(cl->task);
}

static void start_request(struct client *cl, const char *line)
{
    char error[512];
    bool json = !strncmp(line, "json ", 5);
    if (!json && strncmp(line, "text ", 5)) {
        put_status(cl, STATUS_USAGE, "a request is \"text COMMAND\" or \"json COMMAND\"");
        return;
    }
    int rc = grammar_parse(cl->c->grammar, line + 5, &cl->cmd, error, sizeof error);
    if (rc) {
        put_status(cl, rc == -ENOMEM ? STATUS_REFUSED : STATUS_USAGE, error);
        return;
    }
    cl->writer = writer_new(cl->body, (json || cl->cmd.json) && (cl->cmd.row->flags & GRAMMAR_JSON));
    if (!cl->writer) {
        command_free(&cl->cmd);
        put_status(cl, STATUS_REFUSED, "out of memory");
        return;
    }
    cl->exec = (struct exec){.s = cl->c->s,
                             .grammar = cl->c->grammar,
                             .cmd = &cl->cmd,
                             .w = cl->writer,
                             .wake = client_wake,
                             .wake_arg = cl};
}

/* Whether the bytes of a line can be a command: a zero would hide the rest of it, control characters would
 * reach logs. */
static bool line_is_clean(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f)
            return false;
    return true;
}

/* Takes the next whole line, if there is one. */
static bool next_request(struct client *cl)
{
    size_t n;
    char *line = evbuffer_readln(cl->in, &n, EVBUFFER_EOL_CRLF);
    if (!line) {
        if (evbuffer_get_length(cl->in) > CONTROL_REQUEST_MAX) {
            evbuffer_drain(cl->in, evbuffer_get_length(cl->in));
            put_status(cl, STATUS_USAGE, "the request is longer than 1 MiB");
            cl->closing = true;
        }
        return false;
    }
    if (line_is_clean(line, n))
        start_request(cl, line);
    else
        put_status(cl, STATUS_USAGE, "the request holds control characters");
    free(line);
    return true;
}

/* What this process still does is lost on the next one. Only the restart itself has an answer to give. */
static bool comes_too_late(const struct client *cl)
{
    return speaker_handover_is_over(cl->c->s) && cl->cmd.row->id != CMD_RESTART;
}

static void run_request(struct client *cl)
{
    if (comes_too_late(cl)) {
        put_status(cl, STATUS_REFUSED, "the daemon is restarting; ask again");
        client_end_request(cl);
        return;
    }
    enum exec_result r = exec_step(&cl->exec);
    put_frame(cl);
    cl->waiting = r == EXEC_WAIT;
    if (r != EXEC_DONE)
        return;
    put_status(cl, cl->exec.status, cl->exec.error);
    client_end_request(cl);
}

static bool may_go_on(const struct client *cl)
{
    return evbuffer_get_length(cl->out) <= OUT_MAX && !cl->waiting && !cl->closing;
}

static bool has_line(const struct client *cl)
{
    return evbuffer_search_eol(cl->in, NULL, NULL, EVBUFFER_EOL_LF).pos >= 0;
}

/* What the descriptor is watched for, and the clock of a half-sent request. */
static void client_arm(struct client *cl)
{
    bool room = evbuffer_get_length(cl->in) <= CONTROL_REQUEST_MAX && !cl->eof && !cl->closing;
    io_want(cl->io, (room ? IO_READ : 0) | (evbuffer_get_length(cl->out) ? IO_WRITE : 0));
    bool half = !cl->writer && evbuffer_get_length(cl->in) && !has_line(cl);
    if (!half)
        timer_stop(cl->unfinished);
    else if (!timer_running(cl->unfinished))
        timer_set(cl->unfinished, CLIENT_WAIT_MS);
}

/* False when the client is gone. */
static bool client_flush(struct client *cl)
{
    while (evbuffer_get_length(cl->out)) {
        ssize_t n = sendbuf(cl->fd, cl->out, OUT_MAX);
        if (n == -EAGAIN || n == -EINTR)
            break;
        if (n <= 0) {
            client_free(cl);
            return false;
        }
        cl->active_ms = loop_now_ms();
    }
    bool idle = !cl->writer && !evbuffer_get_length(cl->out);
    if (idle && (cl->closing || (cl->eof && !has_line(cl)))) {
        client_free(cl);
        return false;
    }
    return true;
}

/* The task of a client: one turn. */
static bool client_turn(void *arg)
{
    struct client *cl = arg;
    uint64_t end = loop_now_us() + TURN_US;
    bool some = true;
    while (some && may_go_on(cl) && loop_now_us() < end) {
        if (cl->writer)
            run_request(cl);
        else
            some = next_request(cl);
    }
    if (!client_flush(cl))
        return false;
    client_arm(cl);
    return some && may_go_on(cl);
}

static void client_read(struct client *cl)
{
    char buf[65536];
    ssize_t n = read(cl->fd, buf, sizeof buf);
    if (n > 0) {
        evbuffer_add(cl->in, buf, (size_t)n);
        cl->active_ms = loop_now_ms();
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        cl->eof = true;
    }
}

static void client_ready(void *arg, int fd, unsigned events)
{
    struct client *cl = arg;
    (void)fd;
    if (events & IO_READ)
        client_read(cl);
    if ((events & IO_WRITE) && !client_flush(cl))
        return;
    client_arm(cl);
    task_wake(cl->task);
}

static void client_unfinished(void *arg)
{
    struct client *cl = arg;
    put_status(cl, STATUS_USAGE, "the request was not finished within 60 s");
    cl->closing = true;
    if (client_flush(cl))
        client_arm(cl);
}

static struct client *client_new(struct control *c, int fd)
{
    struct client *cl = calloc(1, sizeof *cl);
    if (!cl)
        return NULL;
    cl->c = c;
    cl->fd = fd;
    cl->active_ms = loop_now_ms();
    cl->in = evbuffer_new();
    cl->out = evbuffer_new();
    cl->body = evbuffer_new();
    cl->io = io_new(c->s->loop, fd, client_ready, cl);
    cl->task = task_new(c->s->loop, client_turn, cl);
    cl->unfinished = timer_new(c->s->loop, client_unfinished, cl);
    if (!cl->in || !cl->out || !cl->body || !cl->io || !cl->task || !cl->unfinished) {
        cl->fd = -1;
        client_free(cl);
        return NULL;
    }
    cl->next = c->clients;
    c->clients = cl;
    c->n_clients++;
    io_want(cl->io, IO_READ);
    return cl;
}

static bool make_place(struct control *c)
{
    struct client *idlest = c->clients;
    for (struct client *cl = c->clients; cl; cl = cl->next)
        if (cl->active_ms < idlest->active_ms)
            idlest = cl;
    if (c->n_clients < CLIENTS_MAX)
        return true;
    if (loop_now_ms() - idlest->active_ms < CLIENT_WAIT_MS)
        return false;
    client_free(idlest);
    return true;
}

static void control_accept(void *arg, int fd, unsigned events)
{
    struct control *c = arg;
    (void)events;
    int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            io_want(c->io, 0); /* it stays readable, and would be all that the loop does */
            timer_set(c->again, PAUSE_MS);
        }
        return;
    }
    if (!make_place(c)) {
        static const char full[] = "33 1\ntoo many clients (32 at the most)";
        _Static_assert(sizeof full - 1 - 5 == 33, "length of the frame");
        if (send(client, full, sizeof full - 1, MSG_NOSIGNAL) < 0)
            log_debug("cannot answer a control client", F_ERR(errno));
        close(client);
    } else if (!client_new(c, client)) {
        close(client);
    }
}

static void control_again(void *arg)
{
    struct control *c = arg;
    io_want(c->io, IO_READ);
}

struct control *control_new(struct speaker *s)
{
    struct control *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->s = s;
    c->fd = -1;
    c->grammar = grammar_new();
    c->again = timer_new(s->loop, control_again, c);
    c->state = c->grammar ? state_new(s, c->grammar) : NULL;
    if (!c->state || !c->again) {
        control_free(c);
        return NULL;
    }
    return c;
}

void control_free(struct control *c)
{
    if (!c)
        return;
    while (c->clients)
        client_free(c->clients);
    io_free(c->io);
    timer_free(c->again);
    if (c->fd >= 0)
        close(c->fd);
    state_free(c->state);
    grammar_free(c->grammar);
    free(c);
}

int control_listen(struct control *c, int fd)
{
    c->io = io_new(c->s->loop, fd, control_accept, c);
    if (!c->io) {
        close(fd);
        return -ENOMEM;
    }
    c->fd = fd;
    return 0;
}

void control_serve(struct control *c)
{
    if (c->io)
        io_want(c->io, IO_READ);
}

void control_state_load(struct control *c)
{
    state_load(c->state);
}

void control_state_flush(struct control *c, void (*done)(void *arg), void *arg)
{
    state_flush(c->state, done, arg);
}

void control_state_changed(struct control *c)
{
    state_changed(c->state);
}
