/* An HTTP server (RFC 9110, 9112) that is as small as its purpose: one request a connection, no body, no
 * keep-alive, the connection closed after the answer.
 *
 * Written over the loop and not with evhttp, because everything here is about clients that mean no good: with
 * evhttp nothing bounds the number of connections, and its timeout starts again with each byte that trickles
 * in. Here a connection has five seconds for its request and thirty more for the answer, a head has room for
 * 8 KiB, there are 16 places, and who comes when all are taken gets that of the one who has waited longest
 * without having asked for anything: a probe of Kubernetes must get through while others play.
 *
 * A page is made in steps, and goes on only while less than 64 KiB of it wait to be read. After the answer
 * our side is closed and what still comes is read away for a moment, since closing with bytes unread sends a
 * reset, which may overtake the answer (RFC 9112 9.6). */
#include "control/http.h"

#include <ctype.h>
#include <errno.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fibclient.h"
#include "lib/sendbuf.h"
#include "log.h"
#include "loop.h"
#include "speaker.h"

#define CLIENTS_MAX 16
#define HEAD_MAX    8192
#define OUT_MAX     65536
#define TURN_US     2000
#define ASK_MS      5000
#define ANSWER_MS   30000
#define LINGER_MS   1000
#define AGAIN_MS    60000 /* for a listener that could not be opened */
#define PAUSE_MS    1000  /* without descriptors */

struct http_client {
    struct http_client *next; /* who came later */
    struct http *h;
    int fd;
    enum { ASKING, ANSWERED, LINGERING } state;
    struct io *io;
    struct task *task;
    struct timer *deadline;
    char head[HEAD_MAX + 1];
    size_t n_head;
    struct evbuffer *out;
    http_page *page; /* NULL: all of it is in `out` */
    bool is_head, old, begun, chunked, waiting;
    struct http_request r;
};

struct http {
    struct speaker *s;
    int fd, error;
    struct io *io;
    struct timer *again;
    struct http_client *clients; /* the oldest first */
    unsigned n_clients;
};

static http_page page_index;

static const struct {
    const char *path;
    http_page *page;
} pages[] = {
    {"/metrics", page_metrics},
    {"/healthz", page_healthz},
    {"/readyz", page_readyz},
    {"/", page_index},
};

static enum http_result page_index(struct http_request *r)
{
    evbuffer_add_printf(r->body, "underlayd %s\n", UNDERLAY_VERSION);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (pages[i].path[1])
            evbuffer_add_printf(r->body, "%s\n", pages[i].path);
    return HTTP_DONE;
}

/* Accept */

static const char *skip_blanks(const char *s)
{
    return s + strspn(s, " \t");
}

/* "0.25" to 250. */
static unsigned parse_q(const char *s)
{
    unsigned q = *s == '1' ? 1000 : 0, unit = 100;
    if (!isdigit((unsigned char)*s++) || *s++ != '.')
        return q;
    for (; unit && isdigit((unsigned char)*s); s++, unit /= 10)
        q += unit * (unsigned)(*s - '0');
    return q > 1000 ? 1000 : q;
}

/* One media range of n bytes. How precisely it names the type, 0: not at all; *q gets its weight. */
static unsigned range_names(const char *range, size_t n, const char *type, const char *version, unsigned *q)
{
    size_t name = strcspn(range, "; \t,"), slash = strcspn(type, "/") + 1;
    unsigned precise = name == strlen(type) && !strncasecmp(range, type, name)                        ? 3
                       : name == slash + 1 && range[slash] == '*' && !strncasecmp(range, type, slash) ? 2
                       : name == 3 && !strncmp(range, "*/*", 3)                                       ? 1
                                                                                                      : 0;
    const char *end = range + n, *p = range + name;
    *q = 1000;
    while (precise && (p = memchr(p, ';', (size_t)(end - p)))) {
        p = skip_blanks(p + 1);
        size_t len = strcspn(p, "; \t,");
        if (!strncasecmp(p, "q=", 2))
            *q = parse_q(p + 2);
        else if (version && !strncasecmp(p, "version=", 8) &&
                 (len - 8 != strlen(version) || strncmp(p + 8, version, len - 8)))
            return 0;
    }
    return precise;
}

unsigned http_wants(const char *accept, const char *type, const char *version)
{
    unsigned best = 0, wanted = *accept ? 0 : 1000, q;
    while (*(accept += strspn(accept, " \t,"))) {
        size_t n = strcspn(accept, ",");
        unsigned precise = range_names(accept, n, type, version, &q);
        if (precise > best || (precise && precise == best && q > wanted)) {
            best = precise;
            wanted = q;
        }
        accept += n;
    }
    return wanted;
}

/* Clients */

static void client_free(struct http_client *cl)
{
    struct http_client **p = &cl->h->clients;
    while (*p && *p != cl)
        p = &(*p)->next;
    if (*p) {
        *p = cl->next;
        cl->h->n_clients--;
    }
    if (cl->r.drop)
        cl->r.drop(&cl->r);
    io_free(cl->io);
    task_free(cl->task);
    timer_free(cl->deadline);
    if (cl->out)
        evbuffer_free(cl->out);
    if (cl->r.body)
        evbuffer_free(cl->r.body);
    if (cl->fd >= 0)
        close(cl->fd);
    free(cl);
}

static const char *reason_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } rows[] = {{200, "OK"},
                {400, "Bad Request"},
                {404, "Not Found"},
                {405, "Method Not Allowed"},
                {408, "Request Timeout"},
                {431, "Request Header Fields Too Large"},
                {503, "Service Unavailable"},
                {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].status == status)
            return rows[i].reason;
    return "Unknown";
}

/* The head goes out with the first of the body, whose length is known when it is also the last. */
static void put_head(struct http_client *cl, bool last)
{
    const struct http_request *r = &cl->r;
    cl->begun = true;
    cl->chunked = !last && !cl->old;
    evbuffer_add_printf(
        cl->out, "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\nConnection: close\r\n",
        r->status, reason_of(r->status), r->type);
    if (r->status == 405)
        evbuffer_add_printf(cl->out, "Allow: GET, HEAD\r\n");
    if (last)
        evbuffer_add_printf(cl->out, "Content-Length: %zu\r\n", evbuffer_get_length(r->body));
    else if (cl->chunked)
        evbuffer_add_printf(cl->out, "Transfer-Encoding: chunked\r\n");
    evbuffer_add_printf(cl->out, "\r\n");
}

/* What a step has made, framed. */
static void put_body(struct http_client *cl, bool last)
{
    if (!cl->begun)
        put_head(cl, last);
    size_t n = evbuffer_get_length(cl->r.body);
    if (cl->is_head) {
        evbuffer_drain(cl->r.body, n);
        return;
    }
    if (n && cl->chunked)
        evbuffer_add_printf(cl->out, "%zx\r\n", n);
    evbuffer_add_buffer(cl->out, cl->r.body);
    if (n && cl->chunked)
        evbuffer_add_printf(cl->out, "\r\n");
    if (last && cl->chunked)
        evbuffer_add_printf(cl->out, "0\r\n\r\n");
}

static void run_page(struct http_client *cl)
{
    enum http_result result = cl->page(&cl->r);
    cl->waiting = result == HTTP_WAIT;
    if (cl->waiting)
        return;
    bool last = result == HTTP_DONE;
    put_body(cl, last);
    if (last || cl->is_head)
        cl->page = NULL;
}

static void answer(struct http_client *cl, unsigned status, const char *text)
{
    cl->state = ANSWERED;
    cl->page = NULL;
    cl->r.status = status;
    evbuffer_add_printf(cl->r.body, "%s\n", text);
    put_body(cl, true);
    timer_set(cl->deadline, ANSWER_MS);
    io_want(cl->io, 0);
    task_wake(cl->task);
}

/* False when the client is gone. */
static bool client_flush(struct http_client *cl)
{
    while (evbuffer_get_length(cl->out)) {
        ssize_t n = sendbuf(cl->fd, cl->out, OUT_MAX);
        if (n == -EAGAIN || n == -EINTR)
            break;
        if (n <= 0) {
            client_free(cl);
            return false;
        }
    }
    bool rest = evbuffer_get_length(cl->out);
    if (!rest && !cl->page) {
        cl->state = LINGERING;
        shutdown(cl->fd, SHUT_WR);
        timer_set(cl->deadline, LINGER_MS);
        io_want(cl->io, IO_READ);
    } else {
        io_want(cl->io, rest ? IO_WRITE : 0);
    }
    return true;
}

static bool may_go_on(const struct http_client *cl)
{
    return cl->page && !cl->waiting && evbuffer_get_length(cl->out) <= OUT_MAX;
}

static bool client_turn(void *arg)
{
    struct http_client *cl = arg;
    uint64_t end = loop_now_us() + TURN_US;
    if (cl->state != ANSWERED)
        return false;
    while (may_go_on(cl) && loop_now_us() < end)
        run_page(cl);
    return client_flush(cl) && may_go_on(cl);
}

static void client_wake(struct http_request *r)
{
    struct http_client *cl = (struct http_client *)((char *)r - offsetof(struct http_client, r));
    cl->waiting = false;
    task_wake(cl->task);
}

/* The request */

/* Where the head ends, 0: not yet. Lines may end without a carriage return (RFC 9112 2.2). */
static size_t end_of_head(const char *head, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++) {
        if (head[i] != '\n')
            continue;
        size_t next = i + 1 + (head[i + 1] == '\r');
        if (next < n && head[next] == '\n')
            return next + 1;
    }
    return 0;
}

/* Of all Accept lines; joins them in place of what it has read already, so that no memory is needed. */
static const char *find_accept(char *fields)
{
    char *out = fields, *line, *save = NULL;
    static const char name[] = "accept:";
    bool some = false;
    char *begin = fields;
    for (line = strtok_r(fields, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
        if (strncasecmp(line, name, sizeof name - 1))
            continue;
        const char *value = skip_blanks(line + sizeof name - 1);
        size_t n = strlen(value);
        if (some)
            *out++ = ',';
        memmove(out, value, n);
        out += n;
        some = true;
    }
    *out = 0;
    return some ? begin : "";
}

static http_page *find_page(const char *target)
{
    if (!strncasecmp(target, "http://", 7)) /* the absolute form, RFC 9112 3.2.2 */
        target = target + 7 + strcspn(target + 7, "/");
    size_t n = strcspn(target, "?#");
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (n == strlen(pages[i].path) && !strncmp(target, pages[i].path, n))
            return pages[i].page;
    return NULL;
}

/* The head is there, n bytes of it. */
static void client_request(struct http_client *cl, size_t n)
{
    char *save = NULL, *line = cl->head, *fields;
    cl->head[n] = 0;
    if (strlen(line) != n) {
        answer(cl, 400, "the request holds a zero");
        return;
    }
    line += strspn(line, "\r\n"); /* RFC 9112 2.2 */
    fields = line + strcspn(line, "\n");
    if (*fields)
        *fields++ = 0;
    const char *method = strtok_r(line, " \r", &save), *target = strtok_r(NULL, " \r", &save),
               *version = strtok_r(NULL, " \r", &save);
    if (!method || !target || !version || strtok_r(NULL, " \r", &save) || strncmp(version, "HTTP/", 5)) {
        answer(cl, 400, "expected METHOD PATH HTTP/1.1");
        return;
    }
    cl->is_head = !strcmp(method, "HEAD");
    cl->old = !strcmp(version, "HTTP/1.0");
    http_page *page = find_page(target);
    if (strncmp(version, "HTTP/1.", 7)) {
        answer(cl, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    } else if (!cl->is_head && strcmp(method, "GET")) {
        answer(cl, 405, "only GET and HEAD; to change something use underlayctl");
    } else if (!page) {
        answer(cl, 404, "no such page; there are /metrics, /healthz and /readyz");
    } else {
        cl->state = ANSWERED;
        cl->page = page;
        cl->r.accept = find_accept(fields);
        timer_set(cl->deadline, ANSWER_MS);
        io_want(cl->io, 0);
        task_wake(cl->task);
    }
}

static void client_ask(struct http_client *cl)
{
    ssize_t got = recv(cl->fd, cl->head + cl->n_head, HEAD_MAX - cl->n_head, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        client_free(cl);
        return;
    }
    cl->n_head += (size_t)got;
    size_t end = end_of_head(cl->head, cl->n_head);
    if (end)
        client_request(cl, end);
    else if (cl->n_head == HEAD_MAX)
        answer(cl, 431, "the request is longer than 8 KiB");
}

static void client_linger(struct http_client *cl)
{
    char waste[4096];
    ssize_t got = recv(cl->fd, waste, sizeof waste, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        client_free(cl);
}

static void client_ready(void *arg, int fd, unsigned events)
{
    struct http_client *cl = arg;
    (void)fd, (void)events;
    if (cl->state == ASKING)
        client_ask(cl);
    else if (cl->state == LINGERING)
        client_linger(cl);
    else
        task_wake(cl->task);
}

static void client_late(void *arg)
{
    struct http_client *cl = arg;
    if (cl->state == ASKING)
        answer(cl, 408, "the request was not finished within 5 s");
    else
        client_free(cl);
}

static bool client_new(struct http *h, int fd)
{
    struct http_client *cl = calloc(1, sizeof *cl), **last = &h->clients;
    if (!cl)
        return false;
    cl->h = h;
    cl->fd = fd;
    cl->out = evbuffer_new();
    cl->io = io_new(h->s->loop, fd, client_ready, cl);
    cl->task = task_new(h->s->loop, client_turn, cl);
    cl->deadline = timer_new(h->s->loop, client_late, cl);
    cl->r = (struct http_request){.s = h->s,
                                  .accept = "",
                                  .body = evbuffer_new(),
                                  .status = 200,
                                  .type = "text/plain; charset=utf-8",
                                  .wake = client_wake};
    if (!cl->out || !cl->r.body || !cl->io || !cl->task || !cl->deadline) {
        cl->fd = -1;
        client_free(cl);
        return false;
    }
    while (*last)
        last = &(*last)->next;
    *last = cl;
    h->n_clients++;
    timer_set(cl->deadline, ASK_MS);
    io_want(cl->io, IO_READ);
    return true;
}

static void make_place(struct http *h)
{
    struct http_client *goes = h->clients;
    if (h->n_clients < CLIENTS_MAX)
        return;
    while (goes && goes->state == ANSWERED)
        goes = goes->next;
    client_free(goes ? goes : h->clients);
}

static void http_accept(void *arg, int fd, unsigned events)
{
    struct http *h = arg;
    (void)events;
    int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            io_want(h->io, 0); /* it stays readable, and would be all that the loop does */
            timer_set(h->again, PAUSE_MS);
        }
        return;
    }
    make_place(h);
    if (!client_new(h, client))
        close(client);
}

/* The listener */

static void got_listener(void *arg, int fd, int error)
{
    http_listen(arg, fd, error);
}

static void http_again(void *arg)
{
    struct http *h = arg;
    if (h->io)
        io_want(h->io, IO_READ);
    else if (fibclient_open(h->s->fib, FM_ROLE_METRICS, 0, got_listener, h))
        timer_set(h->again, AGAIN_MS);
}

struct http *http_new(struct speaker *s)
{
    struct http *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->s = s;
    h->fd = -1;
    h->again = timer_new(s->loop, http_again, h);
    if (!h->again) {
        free(h);
        return NULL;
    }
    return h;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    while (h->clients)
        client_free(h->clients);
    io_free(h->io);
    timer_free(h->again);
    if (h->fd >= 0)
        close(h->fd);
    free(h);
}

void http_listen(struct http *h, int fd, int error)
{
    if (!error && !(h->io = io_new(h->s->loop, fd, http_accept, h))) {
        close(fd);
        error = -ENOMEM;
    }
    if (error) {
        if (!h->error)
            log_warn("no metrics: cannot listen; tried again every minute",
                     F_ADDR("address", &h->s->config->metrics.listen.addr),
                     F_UINT("port", h->s->config->metrics.listen.port), F_ERR(error));
        h->error = error;
        timer_set(h->again, AGAIN_MS);
        return;
    }
    if (h->error)
        log_info("metrics: listening", F_ADDR("address", &h->s->config->metrics.listen.addr),
                 F_UINT("port", h->s->config->metrics.listen.port));
    h->error = 0;
    h->fd = fd;
    io_want(h->io, IO_READ);
}

int http_error(const struct http *h)
{
    return h->error;
}
