/* Framing. Input of all connections goes through one scratch buffer: what a connection left unfinished is put
 * in front, one read of at most 64 KiB follows, whole messages are handed on where they lie, and only the
 * tail is kept. So an idle connection holds no buffer, and a busy one costs the loop one bounded bite a turn;
 * keepalives of others get theirs.
 *
 * Output is a flat buffer that grows on demand and is given back when it has drained. What is in it are whole
 * messages, and we remember where the first unbegun one starts: that lets an error drop everything behind it
 * and send the NOTIFICATION next. A failed write is not reported: the read side sees the same failure and
 * reports it once, from the loop.
 *
 * Not here: what messages mean, when to connect, timers of the protocol.
 */
#include "conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport.h"

#define OUT_MAX       (2 * CONN_OUT_HIGH)
#define OUT_KEEP      8192 /* a drained buffer of this size is kept */
#define TURN_LONG_MS  4    /* of a turn's work on messages */
#define TURN_SHORT_MS 2
#define LENGTH_FIELD  16 /* offset in the header, RFC 4271 4.1 */

static void on_io(void *arg, int fd, unsigned events);

struct conn *conn_new(struct loop *l, int fd, bool connecting, struct conn_scratch *scratch,
                      struct conn_counters *count, const struct conn_ops *ops, void *arg)
{
    struct conn *c = calloc(1, sizeof *c);
    if (c)
        c->io = io_new(l, fd, on_io, c);
    if (!c || !c->io) {
        free(c);
        close(fd);
        return NULL;
    }
    c->fd = fd;
    c->connecting = connecting;
    c->max_len = BGP_MAX_LEN;
    c->read_most = CONN_READ_MAX;
    c->loop = l;
    c->scratch = scratch;
    c->count = count;
    c->ops = ops;
    c->arg = arg;
    c->last_read_ms = c->last_write_ms = c->moved_ms = loop_now_ms();
    io_want(c->io, connecting ? IO_WRITE : IO_READ);
    return c;
}

static void leave_lingering(struct conn *c)
{
    if (!c->lingering)
        return;
    *c->prev = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->lingering->count--;
    c->lingering = NULL;
}

void conn_free(struct conn *c)
{
    if (!c)
        return;
    leave_lingering(c);
    timer_free(c->timer);
    io_free(c->io);
    close(c->fd);
    free(c->rest);
    free(c->out);
    free(c);
}

/* Input */

/* The buffer is as large as an ordinary message; one beyond it (RFC 8654) gets a large one for as long as it
 * takes to come in. */
static int keep_rest(struct conn *c, const uint8_t *p, size_t n)
{
    uint32_t size = n > BGP_MAX_LEN ? (uint32_t)c->max_len : BGP_MAX_LEN;
    c->rest_len = (uint32_t)n;
    if (!n && c->rest_size <= BGP_MAX_LEN)
        return 0;
    if (!n || c->rest_size < size) {
        free(c->rest);
        c->rest = n ? malloc(size) : NULL;
        c->rest_size = c->rest ? size : 0;
        if (n && !c->rest)
            return -ENOMEM;
    }
    if (n)
        memcpy(c->rest, p, n);
    return 0;
}

/* False: c may be gone. */
static bool take_messages(struct conn *c, const uint8_t *p, size_t n)
{
    while (n >= BGP_HEADER_LEN) {
        enum bgp_msg_type type;
        struct bgp_error err;
        size_t len;

        if (msg_header_decode(p, c->max_len, &type, &len, &err)) {
            c->refused = p;
            c->ops->header_error(c->arg, &err);
            return false;
        }
        if (n < len)
            break;
        c->count->in[type]++;
        if (c->ops->message(c->arg, type, p, len))
            return false;
        p += len;
        n -= len;
    }
    if (!keep_rest(c, p, n))
        return true;
    c->ops->closed(c->arg, -ENOMEM);
    return false;
}

/* What a message costs is up to the peer: many paths of one prefix, policies. So less is read the next time
 * when this time it took long. */
static void adapt(struct conn *c, uint64_t took_ms)
{
    if (took_ms > TURN_LONG_MS && c->read_most > CONN_READ_MIN)
        c->read_most /= 2;
    else if (took_ms < TURN_SHORT_MS && c->read_most < CONN_READ_MAX)
        c->read_most *= 2;
}

bool conn_read(struct conn *c)
{
    uint8_t *buf = c->scratch->bytes;
    size_t have = c->rest_len;

    if (c->connecting)
        return false;
    if (have)
        memcpy(buf, c->rest, have);
    ssize_t n = recv(c->fd, buf + have, c->read_most, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        c->ops->closed(c->arg, n < 0 ? -errno : 0);
        return false;
    }
    c->last_read_ms = loop_now_ms();
    uint64_t began_ms = c->last_read_ms;
    if (take_messages(c, buf, have + (size_t)n))
        adapt(c, loop_now_ms() - began_ms);
    return true;
}

static void finish_connect(struct conn *c)
{
    int r = transport_result(c->fd);
    c->connecting = false;
    io_want(c->io, IO_READ);
    c->ops->connected(c->arg, r);
}

static void on_io(void *arg, int fd, unsigned events)
{
    struct conn *c = arg;
    (void)fd;

    if (c->connecting) {
        finish_connect(c);
    } else if (events & IO_READ) {
        conn_read(c);
    } else if (events & IO_WRITE) {
        conn_flush(c);
        if (!(io_wanted(c->io) & IO_WRITE))
            c->ops->drained(c->arg);
    }
}

/* Output */

static int make_room(struct conn *c, size_t room)
{
    if (c->out_size - c->out_end >= room)
        return 0;
    if (c->out_start) {
        memmove(c->out, c->out + c->out_start, c->out_end - c->out_start);
        c->out_next -= c->out_start;
        c->out_end -= c->out_start;
        c->out_start = 0;
    }
    size_t need = c->out_end + room, size = c->out_size ? c->out_size : BGP_MAX_LEN;
    if (need > OUT_MAX)
        return -ENOBUFS;
    while (size < need)
        size *= 2;
    if (size == c->out_size)
        return 0;
    uint8_t *p = realloc(c->out, size);
    if (!p)
        return -ENOMEM;
    c->out = p;
    c->out_size = (uint32_t)size;
    return 0;
}

struct wire_writer conn_writer(struct conn *c, size_t room)
{
    if (c->write_failed || make_room(c, room))
        return (struct wire_writer){.err = true};
    return wire_writer(c->out + c->out_end, room);
}

void conn_commit(struct conn *c, const struct wire_writer *w, enum bgp_msg_type type, unsigned messages)
{
    if (w->err)
        return;
    c->out_end += (uint32_t)wire_len(w);
    c->count->out[type] += messages;
    if (c->ops->sent)
        c->ops->sent(c->arg, w->start, wire_len(w));
}

/* Moves out_next to the start of a message at or after out_start. */
static void find_next(struct conn *c)
{
    while (c->out_next < c->out_start) {
        const uint8_t *p = c->out + c->out_next + LENGTH_FIELD;
        c->out_next += (uint32_t)(p[0] << 8 | p[1]);
    }
}

static void reset_output(struct conn *c)
{
    c->out_start = c->out_end = c->out_next = 0;
    if (c->out_size > OUT_KEEP) {
        free(c->out);
        c->out = NULL;
        c->out_size = 0;
    }
}

void conn_flush(struct conn *c)
{
    if (c->connecting)
        return;
    while (c->out_start < c->out_end) {
        ssize_t n =
            send(c->fd, c->out + c->out_start, c->out_end - c->out_start, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            c->write_failed = true;
            reset_output(c);
        }
        if (n < 0)
            break;
        c->last_write_ms = loop_now_ms();
        uint32_t next = c->out_next;
        c->out_start += (uint32_t)n;
        find_next(c);
        if (c->out_next != next)
            c->moved_ms = loop_now_ms();
    }
    bool waiting = c->out_start < c->out_end;
    if (!waiting)
        reset_output(c);
    io_want(c->io, IO_READ | (waiting ? IO_WRITE : 0));
}

size_t conn_room(const struct conn *c)
{
    size_t n = c->out_end - c->out_start;
    return c->connecting || c->write_failed || n >= CONN_OUT_HIGH ? 0 : CONN_OUT_HIGH - n;
}

size_t conn_queued(const struct conn *c, unsigned *messages)
{
    unsigned n = c->out_next > c->out_start;
    for (uint32_t at = c->out_next; at < c->out_end; n++)
        at += (uint32_t)(c->out[at + LENGTH_FIELD] << 8 | c->out[at + LENGTH_FIELD + 1]);
    if (messages)
        *messages = n;
    return c->out_end - c->out_start;
}

uint64_t conn_moved_ms(struct conn *c)
{
    uint64_t acked, unacked = transport_unacked(c->fd, &acked);
    if ((!unacked && c->out_start == c->out_end) || acked != c->acked_bytes)
        c->moved_ms = loop_now_ms();
    c->acked_bytes = acked;
    return c->moved_ms;
}

void conn_discard_queued(struct conn *c)
{
    c->out_end = c->out_next;
}

/* Taking over */

static bool whole_messages(const uint8_t *p, size_t n)
{
    while (n >= BGP_HEADER_LEN) {
        size_t len = (size_t)(p[LENGTH_FIELD] << 8 | p[LENGTH_FIELD + 1]);
        if (len < BGP_HEADER_LEN || len > n)
            return false;
        p += len;
        n -= len;
    }
    return !n;
}

int conn_restore(struct conn *c, const uint8_t *rest, size_t rest_len, const uint8_t *out, size_t out_len,
                 size_t begun)
{
    if (rest_len >= c->max_len || begun > out_len || !whole_messages(out + begun, out_len - begun))
        return -EBADMSG;
    if ((rest_len && keep_rest(c, rest, rest_len)) || (out_len && make_room(c, out_len)))
        return -ENOMEM;
    if (out_len)
        memcpy(c->out, out, out_len);
    c->out_end = (uint32_t)out_len;
    c->out_next = (uint32_t)begun;
    return 0;
}

/* Closing */

static void linger_end(void *arg)
{
    struct conn *c = arg;
    struct conn_lingering *list = c->lingering;

    if (c->out_start < c->out_end)
        transport_abort_on_close(c->fd); /* it does not read; nor need the kernel keep what it would not */
    conn_free(c);
    if (!list->count && list->empty)
        list->empty(list->arg);
}

static void linger_io(void *arg, int fd, unsigned events)
{
    struct conn *c = arg;
    bool was_waiting = c->out_start < c->out_end;

    if (events & IO_WRITE) {
        conn_flush(c);
        if (was_waiting && c->out_start == c->out_end)
            shutdown(fd, SHUT_WR);
        return;
    }
    ssize_t n = recv(fd, c->scratch->bytes, CONN_READ_MAX, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        linger_end(c);
}

void conn_linger(struct conn *c, struct conn_lingering *list)
{
    struct timer *t = timer_new(c->loop, linger_end, c);
    struct io *io = io_new(c->loop, c->fd, linger_io, c);

    if (!t || !io || c->connecting || list->count >= list->most) {
        timer_free(t);
        io_free(io);
        conn_flush(c);
        conn_free(c);
        return;
    }
    io_free(c->io);
    c->io = io;
    c->timer = t;
    timer_set(t, CONN_LINGER_MS);
    transport_give_up_after(c->fd, CONN_ORPHAN_MS);
    c->lingering = list;
    c->next = list->head;
    c->prev = &list->head;
    if (c->next)
        c->next->prev = &c->next;
    list->head = c;
    list->count++;
    conn_flush(c);
    if (c->out_start == c->out_end)
        shutdown(c->fd, SHUT_WR);
}

void conn_lingering_abort(struct conn_lingering *list)
{
    while (list->head)
        conn_free(list->head);
}
