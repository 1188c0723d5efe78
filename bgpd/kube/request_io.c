/* The bytes of a request: TCP, TLS by OpenSSL on our own descriptor, HTTP.
 *
 * OpenSSL works on the socket itself and not through a bufferevent: what it decrypts, a record of 16 KiB,
 * goes to the parser and to who wants it in the same breath, so nothing can pile up here. A server that sends
 * faster than we take is slowed down by TCP. A turn of the loop takes so many bytes, and so long, at most.
 *
 * The timer is not set for each byte: when it fires, it looks when the last one came. Timers run before
 * descriptors, so after a time in which we were not let to run it lets them have a turn first. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kube/request.h"
#include "loop.h"
#include "transport.h"

#define PIECE_BYTES 16384 /* a TLS record */
#define TURN_BYTES  (4 * PIECE_BYTES)
#define TURN_US     2000

#define LAST_LOOK_MS 10

/* What this connection is to, for errors. */
static const char *endpoint(const struct kube_request *r, char buf[400])
{
    char addr[ADDR_STRLEN];
    bool v6 = r->at.addr.af == AF_INET6;
    int n = snprintf(buf, 400, "%s%s%s:%u", v6 ? "[" : "", r->at.host, v6 ? "]" : "", r->at.port);
    if (!r->at.addr.af && r->addr)
        snprintf(buf + n, (size_t)(400 - n), " (%s)", addr_format(&r->addrs[r->addr - 1], addr));
    return buf;
}

static const char *errno_text(int error, char buf[100])
{
    snprintf(buf, 100, "%s", strerror(-error));
    if (*buf >= 'A' && *buf <= 'Z')
        *buf = (char)(*buf - 'A' + 'a');
    return buf;
}

/* This address does not do; the next one. r may be gone. */
static void try_next(struct kube_request *r, int error, const char *what)
{
    char at[400];
    request_note(r, error, "%s: %s", endpoint(r, at), what);
    request_next_address(r);
}

static void end_with(struct kube_request *r, int error, const char *what)
{
    char at[400];
    *r->why = 0; /* that others did not do no longer matters */
    request_note(r, error, "%s: %s", endpoint(r, at), what);
    request_finish(r, error);
}

/* Connecting */

/* Found dead within 30 s, also while an idle watch has nothing to say. */
static void set_keepalive(int fd)
{
    const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},   {IPPROTO_TCP, TCP_KEEPIDLE, 15},
        {IPPROTO_TCP, TCP_KEEPINTVL, 5}, {IPPROTO_TCP, TCP_KEEPCNT, 3},
        {IPPROTO_TCP, TCP_NODELAY, 1},   {IPPROTO_TCP, TCP_USER_TIMEOUT, 30000},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
}

static int open_socket(struct kube_request *r, const struct ip_addr *a)
{
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(a, r->at.port, 0, &ss);
    r->fd = socket(a->af, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (r->fd < 0)
        return -errno;
    set_keepalive(r->fd);
    if (connect(r->fd, (struct sockaddr *)&ss, len) && errno != EINPROGRESS)
        return -errno;
    r->io = io_new(r->c->loop, r->fd, request_on_io, r);
    return r->io ? 0 : -ENOMEM;
}

int request_connect(struct kube_request *r, const struct ip_addr *a)
{
    char at[400], text[100];
    int error = open_socket(r, a);
    if (error) {
        request_note(r, error, "%s: %s", endpoint(r, at), errno_text(error, text));
        request_disconnect(r);
        return error;
    }
    io_want(r->io, IO_WRITE);
    request_stage(r, STAGE_CONNECT);
    return 0;
}

void request_disconnect(struct kube_request *r)
{
    if (r->ssl)
        r->c->libs->SSL_free(r->ssl);
    io_free(r->io);
    if (r->fd >= 0)
        close(r->fd);
    r->ssl = NULL;
    r->io = NULL;
    r->fd = -1;
}

/* What the certificate must be for. */
static const char *verified_name(const struct kube_request *r)
{
    return r->access->a.tls_server_name ? r->access->a.tls_server_name : r->at.host;
}

static void handshake(struct kube_request *r);

static void connected(struct kube_request *r)
{
    char text[100];
    int error = transport_result(r->fd);
    if (error) {
        try_next(r, error, errno_text(error, text));
        return;
    }
    r->ssl = tls_new(r->c->libs, r->ctx, r->fd, verified_name(r), &r->names);
    if (!r->ssl) {
        try_next(r, -ENOMEM, "out of memory");
        return;
    }
    request_stage(r, STAGE_HANDSHAKE);
    handshake(r);
}

/* TLS. Whether the operation is to be repeated once the socket is ready; else what came of it. */
static bool again(struct kube_request *r, int result, int *error)
{
    *error = r->c->libs->SSL_get_error(r->ssl, result);
    if (*error != SSL_ERROR_WANT_READ && *error != SSL_ERROR_WANT_WRITE)
        return false;
    io_want(r->io, *error == SSL_ERROR_WANT_READ ? IO_READ : IO_WRITE);
    return true;
}

static const char *ca_name(const struct kube_request *r, char *buf, size_t size)
{
    const struct kube_secret *ca = &r->access->a.ca;
    snprintf(buf, size, "the CA %s%s", ca->file ? "in " : "of the kubeconfig", ca->file ? ca->file : "");
    return buf;
}

/* Why a TLS operation failed; returns -errno. saved: errno right after it. */
static int failed(struct kube_request *r, int ssl_error, int saved, char *buf, size_t size)
{
    char ca[300];
    if (ssl_error == SSL_ERROR_SYSCALL && saved) {
        errno_text(-saved, buf);
        return -saved;
    }
    unsigned long e = r->c->libs->ERR_peek_error();
    if (ssl_error == SSL_ERROR_ZERO_RETURN || ssl_error == SSL_ERROR_SYSCALL ||
        (ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING)) {
        snprintf(buf, size, "closed the connection");
        return -ECONNRESET;
    }
    tls_why(r->c->libs, r->ssl, verified_name(r), ca_name(r, ca, sizeof ca),
            r->access->a.cert.file || r->access->a.cert.text, buf, size);
    return -EPROTO;
}

/* HTTP */

static int write_request(struct kube_request *r)
{
    const char *token = r->secret[SECRET_TOKEN];
    char content[200] = "";
    bool v6 = r->at.addr.af == AF_INET6;
    if (r->body)
        snprintf(content, sizeof content, "Content-Type: %.100s\r\nContent-Length: %zu\r\n", r->content_type,
                 strlen(r->body));
    int n = asprintf(&r->out,
                     "%s %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nUser-Agent: underlayd/" UNDERLAY_VERSION
                     "\r\nAccept: application/json\r\nConnection: close\r\n%s%s%s%s\r\n%s",
                     r->method == KUBE_PATCH ? "PATCH" : "GET", r->path, v6 ? "[" : "", r->at.host,
                     v6 ? "]" : "", r->at.port, token ? "Authorization: Bearer " : "", token ? token : "",
                     token ? "\r\n" : "", content, r->body ? r->body : "");
    if (n < 0) {
        r->out = NULL;
        return -ENOMEM;
    }
    r->out_len = (size_t)n;
    return 0;
}

static void on_status(void *arg, unsigned status)
{
    struct kube_request *r = arg;
    r->ops->status(r->arg, status);
}

static int on_data(void *arg, const char *data, size_t len)
{
    struct kube_request *r = arg;
    int rc = r->ops->data(r->arg, data, len);
    r->stopped = rc < 0;
    return rc;
}

static void send_request(struct kube_request *r)
{
    char why[400];
    int error;
    while (r->out_sent < r->out_len) {
        r->c->libs->ERR_clear_error();
        errno = 0;
        int n = r->c->libs->SSL_write(r->ssl, r->out + r->out_sent, (int)(r->out_len - r->out_sent));
        int saved = errno;
        if (n > 0) {
            r->out_sent += (size_t)n;
        } else {
            if (!again(r, n, &error)) {
                error = failed(r, error, saved, why, sizeof why);
                end_with(r, error, why);
            }
            return;
        }
    }
    explicit_bzero(r->out, r->out_len);
    reply_init(&r->reply, on_status, on_data, r);
    request_stage(r, STAGE_REPLY);
    io_want(r->io, IO_READ);
}

static void on_connected(struct kube_request *r)
{
    struct kube_client *c = r->c;
    if (c->access == r->access)
        c->first = r->server;
    snprintf(c->reached, sizeof c->reached, "%s", r->access->a.servers[r->server]);
    if (write_request(r)) {
        end_with(r, -ENOMEM, "out of memory");
        return;
    }
    request_stage(r, STAGE_SEND);
    send_request(r);
}

static void handshake(struct kube_request *r)
{
    char why[400];
    int error;
    r->c->libs->ERR_clear_error();
    errno = 0;
    int rc = r->c->libs->SSL_connect(r->ssl), saved = errno;
    if (rc == 1) {
        on_connected(r);
    } else if (!again(r, rc, &error)) {
        error = failed(r, error, saved, why, sizeof why);
        try_next(r, error, why);
    }
}

/* What came last came; n is not positive. */
static void end_of_reply(struct kube_request *r, int n, int saved)
{
    char why[400];
    int error;
    if (again(r, n, &error))
        return;
    if (error == SSL_ERROR_ZERO_RETURN && reply_end(&r->reply) == 1) {
        request_finish(r, 0);
        return;
    }
    bool head = r->reply.status;
    error = failed(r, error, saved, why, sizeof why);
    if (error == -ECONNRESET)
        end_with(r, error,
                 head ? "cut off in the midst of the answer" : "closed the connection without an answer");
    else
        end_with(r, error, why);
}

void request_read(struct kube_request *r)
{
    char buf[PIECE_BYTES];
    uint64_t until = loop_now_us() + TURN_US;
    for (size_t got = 0; got < TURN_BYTES && loop_now_us() < until;) {
        r->c->libs->ERR_clear_error();
        errno = 0;
        int n = r->c->libs->SSL_read(r->ssl, buf, sizeof buf), saved = errno;
        if (n <= 0) {
            end_of_reply(r, n, saved);
            return;
        }
        got += (size_t)n;
        r->heard_ms = loop_now_ms();
        r->last_look = false;
        int rc = reply_feed(&r->reply, buf, (size_t)n);
        if (rc == 1) {
            r->c->libs->SSL_shutdown(r->ssl);
            request_finish(r, 0);
            return;
        }
        if (rc < 0) {
            end_with(r, rc, r->reply.why ? r->reply.why : "stopped");
            return;
        }
    }
    if (r->c->libs->SSL_has_pending(r->ssl))
        task_wake(r->task); /* the socket alone will not tell */
}

/* Events */

void request_on_io(void *arg, int fd, unsigned events)
{
    struct kube_request *r = arg;
    (void)fd, (void)events;
    if (r->stage == STAGE_CONNECT)
        connected(r);
    else if (r->stage == STAGE_HANDSHAKE)
        handshake(r);
    else if (r->stage == STAGE_SEND)
        send_request(r);
    else
        request_read(r);
}

void request_on_timer(void *arg)
{
    struct kube_request *r = arg;
    char why[100];
    uint64_t silent = loop_now_ms() - r->heard_ms;
    if (r->stage == STAGE_REPLY && silent < r->idle_ms) {
        timer_set(r->timer, r->idle_ms - silent);
        return;
    }
    if (!r->last_look) {
        r->last_look = true;
        timer_set(r->timer, LAST_LOOK_MS);
        return;
    }
    snprintf(why, sizeof why, "no answer for %llu s", (unsigned long long)(silent + 500) / 1000);
    if (r->stage == STAGE_FILES) {
        request_note(r, -ETIMEDOUT, "the files of the credentials cannot be read: %s", why);
        request_finish(r, -ETIMEDOUT);
    } else if (r->stage == STAGE_RESOLVE) {
        lookup_cancel(r->lookup);
        r->lookup = NULL;
        request_note(r, -ETIMEDOUT, "%s: %s from the DNS servers", r->at.host, why);
        request_next_address(r); /* there is none: the next server */
    } else if (r->stage == STAGE_CONNECT || r->stage == STAGE_HANDSHAKE) {
        try_next(r, -ETIMEDOUT, why);
    } else {
        end_with(r, -ETIMEDOUT, why);
    }
}
