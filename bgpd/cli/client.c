/* Talking to the daemon.
 *
 * One poll loop over three things: lines to read, requests to write, answers to read. Answers are always
 * read, so that neither side can wait for the other; lines are read only while few requests are unsent, so
 * that a generator of millions of lines costs little memory here. Answers come in the order of the requests,
 * so a queue of line numbers is all the bookkeeping. Output goes to standard output as it arrives: the size
 * of a table never sits here either.
 *
 * SIGPIPE is left alone: `underlayctl show bgp | head` ends quietly; writes to the socket do not raise it. */
#include "cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/control.h"
#include "control/grammar.h"

#define OUT_PAUSE 65536

struct buffer {
    char *p;
    size_t start, end, room;
};

struct client {
    int fd, input; /* input -1: no more */
    bool json, by_line, unsendable;
    FILE *output;
    const struct grammar *grammar;
    struct buffer in, out, lines;
    unsigned long line;     /* number of the last one read */
    bool skipping;          /* the rest of a line that is too long */
    unsigned long *waiting; /* line numbers of requests without an answer */
    size_t first, n, room;
    bool in_frame, last_frame;
    size_t frame_left;
    int frame_status;
    struct buffer error;
    int worst;
};

static void out_of_memory(void)
{
    fprintf(stderr, "underlayctl: out of memory\n");
    exit(CLI_UNREACHABLE);
}

/* Room for n more bytes at the end. */
static char *buffer_reserve(struct buffer *b, size_t n)
{
    if (b->start == b->end)
        b->start = b->end = 0;
    if (b->start && b->room - b->end < n) {
        memmove(b->p, b->p + b->start, b->end - b->start);
        b->end -= b->start;
        b->start = 0;
    }
    if (b->room - b->end < n) {
        size_t room = b->room ? b->room : 4096;
        while (room - b->end < n)
            room *= 2;
        b->p = realloc(b->p, room);
        if (!b->p)
            out_of_memory();
        b->room = room;
    }
    return b->p + b->end;
}

static void buffer_add(struct buffer *b, const char *s, size_t n)
{
    if (n)
        memcpy(buffer_reserve(b, n), s, n);
    b->end += n;
}

static size_t buffer_length(const struct buffer *b)
{
    return b->end - b->start;
}

static void unreachable(const char *path, int error)
{
    struct stat sb;
    struct group *g = NULL;
    fprintf(stderr, "underlayctl: cannot reach underlayd at %s: ", path);
    switch (error) {
    case ENOENT:
        fprintf(stderr, "no such socket; is it running? (systemctl status underlayd, or --socket PATH)\n");
        break;
    case ECONNREFUSED:
        fprintf(stderr,
                "nobody listens there; is it running? (systemctl status underlayd, or --socket PATH)\n");
        break;
    case EACCES:
    case EPERM:
        if (!stat(path, &sb))
            g = getgrgid(sb.st_gid);
        fprintf(stderr, "permission denied; only root and members of the group %s may (control.group)\n",
                g ? g->gr_name : "underlay");
        break;
    case EAGAIN:
        fprintf(stderr, "it does not answer\n");
        break;
    default:
        fprintf(stderr, "%s\n", strerror(error));
    }
}

/* 0 or -errno. */
static int try_connect(const char *path, int *fd)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = 5}; /* a full backlog of a daemon that hangs */
    if (strlen(path) >= sizeof sa.sun_path)
        return -ENAMETOOLONG;
    strcpy(sa.sun_path, path);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd >= 0)
        setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (*fd < 0 || connect(*fd, (struct sockaddr *)&sa, sizeof sa) < 0 ||
        fcntl(*fd, F_SETFL, O_NONBLOCK) < 0) {
        int error = -errno;
        if (*fd >= 0)
            close(*fd);
        return error;
    }
    return 0;
}

int client_connect(const char *path, int *fd)
{
    int error = try_connect(path, fd);
    if (error)
        unreachable(path, -error);
    return error ? CLI_UNREACHABLE : CLI_OK;
}

/* Whether somebody answers within a second. */
static bool answers(int fd)
{
    static const char request[] = "text show version\n";
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    return send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0 && poll(&p, 1, 1000) > 0 &&
           recv(fd, &byte, 1, 0) > 0;
}

int client_wait_served(const char *path, unsigned seconds)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    struct timespec now, end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    do {
        int fd;
        bool served = !try_connect(path, &fd);
        if (served) {
            served = answers(fd);
            close(fd);
        }
        if (served)
            return CLI_OK;
        nanosleep(&pause, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec);
    fprintf(stderr, "underlayctl: nobody serves %s after %u s; its log says why\n", path, seconds);
    return CLI_UNREACHABLE;
}

static void note_status(struct client *c, int status)
{
    if (status > c->worst)
        c->worst = status;
}

static void put_error(const struct client *c, unsigned long line, const char *text)
{
    fflush(c->output);
    if (c->by_line)
        fprintf(stderr, "line %lu: %s\n", line, text);
    else
        fprintf(stderr, "underlayctl: %s\n", text);
}

static void queue_request(struct client *c, const char *command)
{
    if (c->first && c->first + c->n == c->room) {
        memmove(c->waiting, c->waiting + c->first, c->n * sizeof *c->waiting);
        c->first = 0;
    }
    if (c->n == c->room) {
        c->room = c->room ? 2 * c->room : 256;
        c->waiting = realloc(c->waiting, c->room * sizeof *c->waiting);
        if (!c->waiting)
            out_of_memory();
    }
    c->waiting[c->first + c->n++] = c->line;
    buffer_add(&c->out, c->json ? "json " : "text ", 5);
    buffer_add(&c->out, command, strlen(command));
    buffer_add(&c->out, "\n", 1);
}

/* Takes quotes away as the shell does on the command line: what is between '' as it is, between "" with \"
 * and
 * \\ for these two; outside, \ before a quote. False: a quote is not closed. */
static bool unquote(char *line)
{
    char quote = 0, *out = line;
    for (const char *p = line; *p; p++) {
        if (*p == '\\' && quote != '\'' && p[1] && strchr(quote ? "\"\\" : "\"'\\", p[1]))
            *out++ = *++p;
        else if (quote ? *p == quote : *p == '"' || *p == '\'')
            quote = quote ? 0 : *p;
        else
            *out++ = *p;
    }
    *out = 0;
    return !quote;
}

/* Checked here first: what is no command does not need a daemon to say so. */
static void take_line(struct client *c, char *line)
{
    struct command cmd;
    char error[512], *text = line + strspn(line, " \t\r");
    if (!*text || *text == '#')
        return;
    if (!unquote(text)) {
        put_error(c, c->line, "a quote is not closed; write \\' for an apostrophe");
        note_status(c, CLI_USAGE);
        return;
    }
    int rc = grammar_parse(c->grammar, text, &cmd, error, sizeof error);
    if (rc) {
        put_error(c, c->line, error);
        note_status(c, CLI_USAGE);
        return;
    }
    command_free(&cmd);
    queue_request(c, text);
}

static void take_lines(struct client *c)
{
    struct buffer *b = &c->lines;
    char *newline;
    while (buffer_length(b) && (newline = memchr(b->p + b->start, '\n', buffer_length(b)))) {
        char *line = b->p + b->start;
        bool whole = !c->skipping, clean = !memchr(line, 0, (size_t)(newline - line));
        *newline = 0;
        b->start += (size_t)(newline - line) + 1;
        if (whole)
            c->line++;
        c->skipping = false;
        if (whole && clean) {
            take_line(c, line);
        } else if (whole) {
            put_error(c, c->line, "the line holds a zero byte");
            note_status(c, CLI_USAGE);
        }
    }
    if (c->skipping)
        b->start = b->end;
    if (buffer_length(b) > CONTROL_REQUEST_MAX - 16) {
        c->line++;
        put_error(c, c->line, "longer than 1 MiB");
        note_status(c, CLI_USAGE);
        c->skipping = true;
        b->start = b->end;
    }
}

static void read_input(struct client *c)
{
    char *p = buffer_reserve(&c->lines, 65536);
    ssize_t n = read(c->input, p, 65536);
    if (n > 0) {
        c->lines.end += (size_t)n;
        take_lines(c);
        return;
    }
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    c->input = -1;
    if (buffer_length(&c->lines)) { /* the last line has no newline */
        buffer_add(&c->lines, "\n", 1);
        take_lines(c);
    }
}

static void send_requests(struct client *c)
{
    ssize_t n = send(c->fd, c->out.p + c->out.start, buffer_length(&c->out), MSG_NOSIGNAL);
    if (n >= 0)
        c->out.start += (size_t)n;
    else if (errno != EAGAIN && errno != EINTR)
        c->unsendable = true; /* an answer that says why may still be there to read */
}

static void end_answer(struct client *c)
{
    unsigned long line = c->n ? c->waiting[c->first] : 0;
    if (c->frame_status || buffer_length(&c->error)) {
        buffer_add(&c->error, "", 1);
        put_error(c, line, c->error.p + c->error.start);
    }
    c->error.start = c->error.end = 0;
    note_status(c, c->frame_status);
    if (c->n) {
        c->first++;
        c->n--;
    }
}

/* "LENGTH\n", or "LENGTH STATUS\n" for the last one. False: something else. */
static bool take_header(struct client *c, char *header)
{
    char *end;
    unsigned long length = strtoul(header, &end, 10);
    if (end == header || (*end && *end != ' '))
        return false;
    c->last_frame = *end == ' ';
    c->frame_left = length;
    c->frame_status = c->last_frame ? atoi(end + 1) : 0;
    c->in_frame = true;
    return c->frame_status >= 0 && c->frame_status <= CLI_USAGE;
}

/* Takes apart what has come. False: it makes no sense, or standard output is broken. */
static bool take_answers(struct client *c)
{
    struct buffer *b = &c->in;
    for (;;) {
        char *p = b->p + b->start;
        size_t n = buffer_length(b);
        if (!c->in_frame) {
            char *newline = n ? memchr(p, '\n', n) : NULL;
            if (!newline)
                return n < 64;
            *newline = 0;
            b->start += (size_t)(newline - p) + 1;
            if (!take_header(c, p))
                return false;
            continue;
        }
        size_t part = n < c->frame_left ? n : c->frame_left;
        if (c->last_frame)
            buffer_add(&c->error, p, part);
        else if (part && fwrite(p, 1, part, c->output) != part)
            return false;
        b->start += part;
        c->frame_left -= part;
        if (c->frame_left)
            return true;
        c->in_frame = false;
        if (c->last_frame)
            end_answer(c);
    }
}

/* Returns 1, 0 at the end of the connection, -1 when the rest is lost. */
static int read_answers(struct client *c)
{
    char *p = buffer_reserve(&c->in, 65536);
    ssize_t n = recv(c->fd, p, 65536, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 1 : 0;
    if (!n)
        return 0;
    c->in.end += (size_t)n;
    return take_answers(c) ? 1 : -1;
}

static int finish(struct client *c, int got)
{
    if (fflush(c->output) || ferror(c->output)) {
        fprintf(stderr, "underlayctl: cannot write the output: %s\n", strerror(errno));
        note_status(c, CLI_REFUSED);
    } else if (got < 0) {
        fprintf(stderr, "underlayctl: the answer makes no sense; is another program behind the socket?\n");
        note_status(c, CLI_UNREACHABLE);
    } else if (c->n || c->in_frame || buffer_length(&c->out)) {
        fprintf(stderr, "underlayctl: the connection to underlayd was lost before the answer was complete\n");
        note_status(c, CLI_UNREACHABLE);
    }
    free(c->in.p);
    free(c->out.p);
    free(c->lines.p);
    free(c->error.p);
    free(c->waiting);
    return c->worst;
}

static int client_run(struct client *c)
{
    int got = 1;
    while (c->input >= 0 || c->n) {
        bool may_read = c->input >= 0 && buffer_length(&c->out) < OUT_PAUSE && !c->unsendable;
        bool to_send = buffer_length(&c->out) && !c->unsendable;
        struct pollfd p[2] = {{.fd = c->fd, .events = (short)(POLLIN | (to_send ? POLLOUT : 0))},
                              {.fd = may_read ? c->input : -1, .events = POLLIN}};
        if (poll(p, 2, -1) < 0)
            continue;
        if (p[1].revents)
            read_input(c);
        if (p[0].revents & POLLOUT)
            send_requests(c);
        if (p[0].revents & (POLLIN | POLLHUP | POLLERR)) {
            got = read_answers(c);
            if (got <= 0)
                break;
            if (!c->n)
                fflush(c->output);
        }
    }
    if (got == 0 && c->input >= 0) {
        fprintf(stderr, "underlayctl: underlayd closed the connection\n");
        note_status(c, CLI_UNREACHABLE);
    }
    return finish(c, got);
}

int client_run_one(int fd, bool json, const char *command, FILE *out)
{
    struct client c = {.fd = fd, .input = -1, .json = json, .output = out};
    queue_request(&c, command);
    return client_run(&c);
}

int client_run_lines(int fd, bool json, int input, const struct grammar *g)
{
    struct client c = {
        .fd = fd, .input = input, .json = json, .by_line = true, .output = stdout, .grammar = g};
    return client_run(&c);
}
