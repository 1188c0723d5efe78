/* The HTTP server with pages of its own in place of the real ones: requests in pieces, pages in pieces,
 * clients that do not read, who gives way when all places are taken, and what a client wants by Accept. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "control/http.h"
#include "fibclient.h"
#include "loop.h"
#include "speaker.h"
#include "unit.h"

#define STEPS      100
#define STEP_BYTES 100000

static unsigned steps, dropped;
static struct http_request *waiting;

static void on_drop(struct http_request *r)
{
    if (waiting == r)
        waiting = NULL;
    dropped++;
}

/* A long one. */
enum http_result page_metrics(struct http_request *r)
{
    static char chunk[STEP_BYTES];
    memset(chunk, 'x', sizeof chunk);
    r->drop = on_drop;
    evbuffer_add(r->body, chunk, sizeof chunk);
    return ++steps == STEPS ? HTTP_DONE : HTTP_MORE;
}

/* One that waits, and then fails. */
enum http_result page_healthz(struct http_request *r)
{
    r->drop = on_drop;
    if (!waiting) {
        waiting = r;
        return HTTP_WAIT;
    }
    r->status = 503;
    evbuffer_add_printf(r->body, "no\n");
    return HTTP_DONE;
}

enum http_result page_readyz(struct http_request *r)
{
    evbuffer_add_printf(r->body, "%s\n", r->accept);
    return HTTP_DONE;
}

static unsigned asked;
int fibclient_open(struct fibclient *c, enum fm_file_role role, uint32_t index,
                   void (*cb)(void *arg, int fd, int error), void *arg)
{
    (void)c, (void)role, (void)index, (void)cb, (void)arg;
    asked++;
    return 0;
}

static struct speaker speaker;
static struct config config;
static struct http *http;
static struct timer *stop;
static struct sockaddr_in at;

static void stop_loop(void *arg)
{
    loop_stop(arg, 0);
}

static void turn(unsigned ms)
{
    uint64_t starved = unit_starved_ms();
    for (ms *= UNIT_SLOW; ms; ms = unit_owed_ms(&starved)) {
        timer_set(stop, ms);
        loop_run(speaker.loop);
    }
}

static void begin(void)
{
    socklen_t len = sizeof at;
    steps = dropped = asked = 0;
    waiting = NULL;
    at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CU_ASSERT_FATAL(!bind(fd, (void *)&at, sizeof at) && !listen(fd, 64) &&
                    !getsockname(fd, (void *)&at, &len));
    speaker = (struct speaker){.loop = loop_new(), .config = &config};
    stop = timer_new(speaker.loop, stop_loop, speaker.loop);
    http = http_new(&speaker);
    CU_ASSERT_PTR_NOT_NULL_FATAL(http);
    http_listen(http, fd, 0);
}

static void end(void)
{
    http_free(http);
    timer_free(stop);
    loop_free(speaker.loop);
}

static int client(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (void *)&at, sizeof at), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void say(int fd, const char *text)
{
    CU_ASSERT_EQUAL(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What has come, up to size - 1 bytes of it, and whether the other side has closed. */
static size_t hear(int fd, char *buf, size_t size, bool *closed)
{
    size_t n = 0;
    ssize_t got = -1;
    *closed = false;
    while (n < size - 1 && (got = recv(fd, buf + n, size - 1 - n, 0)) > 0)
        n += (size_t)got;
    *closed = n < size - 1 && (!got || errno == ECONNRESET);
    buf[n] = 0;
    return n;
}

static void a_request_may_come_byte_by_byte(void)
{
    static const char request[] =
        "GET /readyz?x HTTP/1.1\r\nHost: x\r\nACCEPT:  a/b\r\naccept: c/d;q=0.1\r\n\r\n";
    char answer[1024];
    bool closed;
    begin();
    int fd = client();
    for (const char *p = request; *p; p++) {
        CU_ASSERT_EQUAL(send(fd, p, 1, MSG_NOSIGNAL), 1);
        turn(1);
    }
    turn(20);
    hear(fd, answer, sizeof answer, &closed);
    CU_ASSERT_TRUE(closed);
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "HTTP/1.1 200 OK\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\r\nContent-Length: 14\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\r\n\r\na/b,c/d;q=0.1\n"));
    close(fd);
    end();
}

static void a_page_goes_on_only_as_it_is_read(void)
{
    static char buf[STEPS * (STEP_BYTES + 20) + 1024];
    bool closed = false;
    size_t n = 0;
    begin();
    int fd = client(), small = 262144;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    say(fd, "GET /metrics HTTP/1.1\r\n\r\n");
    turn(100);
    CU_ASSERT_TRUE(steps > 0 && steps < STEPS);
    for (unsigned i = 0; i < 5000 && !closed; i++) {
        n += hear(fd, buf + n, sizeof buf - n, &closed);
        turn(1);
    }
    CU_ASSERT_TRUE(closed);
    CU_ASSERT_EQUAL(steps, STEPS);
    CU_ASSERT_TRUE(n > STEPS * STEP_BYTES);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf, "\r\nTransfer-Encoding: chunked\r\n"));
    CU_ASSERT_EQUAL(memcmp(buf + n - 5, "0\r\n\r\n", 5), 0);
    close(fd);
    turn(20);
    CU_ASSERT_EQUAL(dropped, 1);
    end();
}

static void who_leaves_takes_the_page_along(void)
{
    begin();
    int fd = client();
    say(fd, "GET /healthz HTTP/1.1\r\n\r\n");
    turn(20);
    CU_ASSERT_PTR_NOT_NULL_FATAL(waiting);
    close(fd);
    for (unsigned i = 0; i < 40; i++) { /* others need the place */
        fd = client();
        say(fd, "GET /healthz HTTP/1.1\r\n\r\n");
        turn(2);
        close(fd);
    }
    end();
    CU_ASSERT_PTR_NULL(waiting);
    CU_ASSERT_TRUE(dropped >= 40);
}

static void a_page_that_waits_is_woken(void)
{
    char answer[1024];
    bool closed;
    begin();
    int fd = client();
    say(fd, "GET /healthz HTTP/1.0\n\n");
    turn(20);
    CU_ASSERT_PTR_NOT_NULL_FATAL(waiting);
    CU_ASSERT_EQUAL(hear(fd, answer, sizeof answer, &closed), 0);
    waiting->wake(waiting);
    turn(20);
    hear(fd, answer, sizeof answer, &closed);
    CU_ASSERT_TRUE(closed);
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "HTTP/1.1 503 Service Unavailable\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\r\n\r\nno\n"));
    close(fd);
    end();
}

static void the_silent_give_way(void)
{
    int idle[60];
    char answer[1024];
    bool closed;
    begin();
    int busy = client();
    say(busy, "GET /healthz HTTP/1.1\r\n\r\n"); /* has asked, and waits */
    turn(20);
    for (unsigned i = 0; i < 60; i++) {
        idle[i] = client();
        turn(2);
    }
    hear(idle[0], answer, sizeof answer, &closed);
    CU_ASSERT_TRUE(closed);
    hear(idle[59], answer, sizeof answer, &closed);
    CU_ASSERT_FALSE(closed);
    CU_ASSERT_PTR_NOT_NULL_FATAL(waiting);
    waiting->wake(waiting);
    turn(20);
    CU_ASSERT_TRUE(hear(busy, answer, sizeof answer, &closed) > 0);
    for (unsigned i = 0; i < 60; i++)
        close(idle[i]);
    close(busy);
    end();
}

static void a_listener_that_fails_is_said(void)
{
    begin();
    struct http *h = http_new(&speaker);
    config.metrics.listen = (struct endpoint){.addr = addr_v4(0x7f000001), .port = 9817};
    http_listen(h, -1, -EADDRINUSE);
    CU_ASSERT_EQUAL(http_error(h), -EADDRINUSE);
    http_free(h);
    end();
}

static void accept_is_weighed(void)
{
    static const struct {
        const char *accept, *type, *version;
        unsigned q;
    } rows[] = {
        {"", "text/plain", NULL, 1000},
        {"*/*", "text/plain", NULL, 1000},
        {"text/*;q=0.5", "text/plain", NULL, 500},
        {"text/*;q=0.5,text/plain", "text/plain", NULL, 1000},
        {"text/plain;q=0.1,text/*", "text/plain", NULL, 100}, /* the more precise one counts */
        {"text/plain ; q=0", "text/plain", NULL, 0},
        {"TEXT/Plain;Q=0.25", "text/plain", NULL, 250},
        {"application/json", "text/plain", NULL, 0},
        {"text/plainer", "text/plain", NULL, 0},
        {"a/b;version=1.0.0;q=0.5,a/b;version=0.0.1;q=0.75", "a/b", "1.0.0", 500},
        {"a/b;version=0.0.1", "a/b", "1.0.0", 0},
        {"a/b;version=1.0", "a/b", "1.0.0", 0},
        {"a/b", "a/b", "1.0.0", 1000},
        {"a/b;q=7", "a/b", NULL, 0},
        {"a/b;q=", "a/b", NULL, 0},
        {"a/b;q=0.9999999", "a/b", NULL, 999},
        {",;,,;q,/,*", "a/b", NULL, 0},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned q = http_wants(rows[i].accept, rows[i].type, rows[i].version);
        if (q != rows[i].q)
            printf("      %s: %u\n", rows[i].accept, q);
        CU_ASSERT_EQUAL(q, rows[i].q);
    }
}

static const struct unit_case cases[] = {
    UNIT(a_request_may_come_byte_by_byte),
    UNIT(a_page_goes_on_only_as_it_is_read),
    UNIT(who_leaves_takes_the_page_along),
    UNIT(a_page_that_waits_is_woken),
    UNIT(the_silent_give_way),
    UNIT(a_listener_that_fails_is_said),
    UNIT(accept_is_weighed),
};
UNIT_MAIN("http", cases)
