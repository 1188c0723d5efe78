/* Framing and output of a connection, over a socketpair whose other end the test plays. */
#include "conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

struct rig {
    struct loop *loop;
    struct timer *deadline;
    struct conn_scratch *scratch;
    struct conn_counters count;
    struct conn_lingering lingering;
    struct conn *c;
    int far; /* the other end, blocking */
    unsigned messages, closed, drained, emptied;
    size_t bytes;
    int close_error, stop_after;
    unsigned us; /* that a message takes */
    struct bgp_error error;
    uint8_t last_type;
};

static int on_message(void *arg, enum bgp_msg_type type, const uint8_t *msg, size_t len)
{
    struct rig *r = arg;
    r->messages++;
    r->bytes += len;
    r->last_type = (uint8_t)type;
    if (r->us)
        usleep(r->us);
    CU_ASSERT_EQUAL(msg[18], type);
    if (r->stop_after && --r->stop_after == 0) {
        conn_free(r->c);
        r->c = NULL;
        return 1;
    }
    return 0;
}

static void on_header_error(void *arg, const struct bgp_error *e)
{
    struct rig *r = arg;
    r->error = *e;
}

static void on_closed(void *arg, int error)
{
    struct rig *r = arg;
    r->closed++;
    r->close_error = error;
    conn_free(r->c);
    r->c = NULL;
}

static void on_drained(void *arg)
{
    struct rig *r = arg;
    r->drained++;
    loop_stop(r->loop, 0);
}

static const struct conn_ops ops = {
    .message = on_message, .header_error = on_header_error, .closed = on_closed, .drained = on_drained};

static void on_deadline(void *arg)
{
    struct rig *r = arg;
    loop_stop(r->loop, 0);
}

static void on_empty(void *arg)
{
    struct rig *r = arg;
    r->emptied++;
    loop_stop(r->loop, 0);
}

static void run_for(struct rig *r, unsigned ms)
{
    uint64_t starved = unit_starved_ms();
    for (ms *= UNIT_SLOW; ms; ms = unit_owed_ms(&starved)) {
        timer_set(r->deadline, ms);
        loop_run(r->loop);
    }
}

static void set_up(struct rig *r)
{
    int fd[2];
    memset(r, 0, sizeof *r);
    r->loop = loop_new();
    r->deadline = timer_new(r->loop, on_deadline, r);
    r->scratch = malloc(sizeof *r->scratch);
    r->lingering = (struct conn_lingering){.most = 1, .empty = on_empty, .arg = r};
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    fcntl(fd[0], F_SETFL, O_NONBLOCK);
    r->far = fd[1];
    r->c = conn_new(r->loop, fd[0], false, r->scratch, &r->count, &ops, r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->c);
}

static void tear_down(struct rig *r)
{
    conn_free(r->c);
    conn_lingering_abort(&r->lingering);
    if (r->far >= 0)
        close(r->far);
    timer_free(r->deadline);
    loop_free(r->loop);
    free(r->scratch);
}

/* KEEPALIVE, an UPDATE of 23 bytes, NOTIFICATION: three lengths. */
static size_t three_messages(uint8_t *buf, size_t size)
{
    struct wire_writer w = wire_writer(buf, size);
    const struct bgp_error e = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_ADMIN_RESET, "xyz", 3);
    keepalive_encode(&w);
    uint8_t *start = msg_begin(&w, BGP_UPDATE);
    wire_put_u32(&w, 0);
    msg_end(&w, start);
    notification_encode(&w, &e);
    CU_ASSERT_FALSE(w.err);
    return wire_len(&w);
}

static void messages_split_at_every_byte_arrive_whole(void)
{
    uint8_t buf[256];
    size_t n = three_messages(buf, sizeof buf);
    for (size_t cut = 0; cut <= n; cut++) {
        struct rig r;
        set_up(&r);
        CU_ASSERT_EQUAL(write(r.far, buf, cut), (ssize_t)cut);
        conn_read(r.c);
        CU_ASSERT_EQUAL(write(r.far, buf + cut, n - cut), (ssize_t)(n - cut));
        conn_read(r.c);
        CU_ASSERT_EQUAL(r.messages, 3);
        CU_ASSERT_EQUAL(r.bytes, n);
        CU_ASSERT_EQUAL(r.c->rest_len, 0);
        CU_ASSERT_EQUAL(r.count.in[BGP_KEEPALIVE], 1);
        CU_ASSERT_EQUAL(r.count.in[BGP_NOTIFICATION], 1);
        tear_down(&r);
    }
}

static void messages_byte_by_byte_arrive_whole(void)
{
    uint8_t buf[256];
    size_t n = three_messages(buf, sizeof buf);
    struct rig r;
    set_up(&r);
    for (size_t i = 0; i < n; i++) {
        CU_ASSERT_EQUAL(write(r.far, buf + i, 1), 1);
        CU_ASSERT_TRUE(conn_read(r.c));
    }
    CU_ASSERT_EQUAL(r.messages, 3);
    CU_ASSERT_EQUAL(r.last_type, BGP_NOTIFICATION);
    tear_down(&r);
}

static void one_read_is_bounded_and_loses_nothing(void)
{
    struct rig r;
    uint8_t buf[BGP_MAX_LEN];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    int size = 1 << 20;

    set_up(&r);
    setsockopt(r.far, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    uint8_t *start = msg_begin(&w, BGP_UPDATE);
    memset(wire_reserve(&w, 4071 - BGP_HEADER_LEN), 0, 4071 - BGP_HEADER_LEN); /* no divisor of the bite */
    msg_end(&w, start);
    for (int i = 0; i < 40; i++)
        CU_ASSERT_EQUAL_FATAL(write(r.far, buf, 4071), 4071);
    CU_ASSERT_TRUE(conn_read(r.c));
    CU_ASSERT_TRUE(r.bytes <= CONN_READ_MAX);
    run_for(&r, 50);
    CU_ASSERT_EQUAL(r.messages, 40);
    tear_down(&r);
}

static void where_messages_take_long_less_is_read(void)
{
    enum { N = 1000 };
    const size_t size = N * BGP_HEADER_LEN;
    static uint8_t buf[N * BGP_HEADER_LEN];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    struct rig r;

    set_up(&r);
    for (int i = 0; i < N; i++)
        keepalive_encode(&w);
    r.us = 20;
    for (int i = 1; i <= 5; i++) {
        CU_ASSERT_EQUAL_FATAL(write(r.far, buf, size), (ssize_t)size);
        while (r.messages < (unsigned)i * N)
            CU_ASSERT_TRUE_FATAL(conn_read(r.c));
        CU_ASSERT(r.c->read_most <= (uint32_t)CONN_READ_MAX >> (i < 3 ? i : 2));
    }
    CU_ASSERT(r.c->read_most <= size);
    r.us = 0;
    for (int i = 0; i < 1000 && r.c->read_most < CONN_READ_MAX; i++) {
        CU_ASSERT_EQUAL_FATAL(write(r.far, buf, BGP_HEADER_LEN), BGP_HEADER_LEN);
        CU_ASSERT_TRUE_FATAL(conn_read(r.c));
    }
    CU_ASSERT_EQUAL(r.c->read_most, CONN_READ_MAX);
    tear_down(&r);
}

static void bad_headers_are_reported(void)
{
    static const struct {
        const char *what;
        unsigned at;
        uint8_t value, length, type;
        uint8_t subcode;
    } rows[] = {
        {"marker, first byte", 0, 0xfe, 19, BGP_KEEPALIVE, BGP_ERR_HDR_SYNC},
        {"marker, last byte", 15, 0x00, 19, BGP_KEEPALIVE, BGP_ERR_HDR_SYNC},
        {"shorter than a header", 15, 0xff, 18, BGP_KEEPALIVE, BGP_ERR_HDR_LENGTH},
        {"KEEPALIVE with a body", 15, 0xff, 20, BGP_KEEPALIVE, BGP_ERR_HDR_LENGTH},
        {"short OPEN", 15, 0xff, 28, BGP_OPEN, BGP_ERR_HDR_LENGTH},
        {"short UPDATE", 15, 0xff, 22, BGP_UPDATE, BGP_ERR_HDR_LENGTH},
        {"short NOTIFICATION", 15, 0xff, 20, BGP_NOTIFICATION, BGP_ERR_HDR_LENGTH},
        {"longer than 4096", 16, 0x10, 1, BGP_UPDATE, BGP_ERR_HDR_LENGTH},
        {"type 0", 15, 0xff, 19, 0, BGP_ERR_HDR_TYPE},
        {"type 6", 15, 0xff, 19, 6, BGP_ERR_HDR_TYPE},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig r;
        uint8_t h[BGP_HEADER_LEN];
        set_up(&r);
        memset(h, 0xff, 16);
        h[16] = 0;
        h[17] = rows[i].length;
        h[18] = rows[i].type;
        h[rows[i].at] = rows[i].value;
        CU_ASSERT_EQUAL(write(r.far, h, sizeof h), (ssize_t)sizeof h);
        conn_read(r.c);
        if (r.error.code != BGP_ERR_HEADER || r.error.subcode != rows[i].subcode)
            printf("      %s: %u/%u\n", rows[i].what, r.error.code, r.error.subcode);
        CU_ASSERT_EQUAL(r.error.code, BGP_ERR_HEADER);
        CU_ASSERT_EQUAL(r.error.subcode, rows[i].subcode);
        CU_ASSERT_EQUAL(r.messages, 0);
        tear_down(&r);
    }
}

static void freeing_inside_a_message_stops_the_reading(void)
{
    uint8_t buf[256];
    size_t n = three_messages(buf, sizeof buf);
    struct rig r;
    set_up(&r);
    r.stop_after = 2;
    CU_ASSERT_EQUAL(write(r.far, buf, n), (ssize_t)n);
    run_for(&r, 20);
    CU_ASSERT_EQUAL(r.messages, 2);
    tear_down(&r);
}

static void end_of_file_is_reported_once(void)
{
    struct rig r;
    set_up(&r);
    close(r.far);
    r.far = -1;
    run_for(&r, 20);
    CU_ASSERT_EQUAL(r.closed, 1);
    CU_ASSERT_EQUAL(r.close_error, 0);
    tear_down(&r);
}

static void put_keepalives(struct conn *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct wire_writer w = conn_writer(c, BGP_HEADER_LEN);
        if (w.err)
            return;
        keepalive_encode(&w);
        conn_commit(c, &w, BGP_KEEPALIVE, 1);
    }
}

static size_t drain(int fd, uint8_t *last, size_t n)
{
    uint8_t buf[65536];
    size_t total = 0;
    for (ssize_t got; (got = recv(fd, buf, sizeof buf, MSG_DONTWAIT)) > 0; total += (size_t)got)
        for (size_t i = 0; i < (size_t)got; i++) {
            memmove(last, last + 1, n - 1);
            last[n - 1] = buf[i];
        }
    return total;
}

static void output_beyond_the_socket_waits_and_drains(void)
{
    struct rig r;
    uint8_t last[BGP_HEADER_LEN];
    size_t total = 0;
    unsigned queued;

    set_up(&r);
    for (int i = 0; i < 40 && conn_room(r.c); i++) {
        put_keepalives(r.c, 1000);
        conn_flush(r.c);
    }
    CU_ASSERT_EQUAL(conn_room(r.c), 0);
    uint64_t sent = r.count.out[BGP_KEEPALIVE];
    CU_ASSERT_TRUE(conn_queued(r.c, &queued) >= CONN_OUT_HIGH);
    CU_ASSERT_TRUE(queued > 0 && queued < sent);
    while (!r.drained) {
        total += drain(r.far, last, sizeof last);
        run_for(&r, 20);
    }
    total += drain(r.far, last, sizeof last);
    CU_ASSERT_EQUAL(total, sent * BGP_HEADER_LEN);
    CU_ASSERT_EQUAL(conn_queued(r.c, &queued), 0);
    CU_ASSERT_EQUAL(queued, 0);
    CU_ASSERT_PTR_NULL(r.c->out);
    tear_down(&r);
}

static void output_is_capped_whatever_is_put(void)
{
    struct rig r;
    set_up(&r);
    for (int i = 0; i < 100; i++)
        put_keepalives(r.c, 1000);
    CU_ASSERT_TRUE(conn_queued(r.c, NULL) <= 2 * CONN_OUT_HIGH);
    tear_down(&r);
}

/* The peer reads slowly: what it has begun to get is completed, what it has not is dropped, then the
 * NOTIFICATION. */
static void notification_goes_ahead_of_what_was_queued(void)
{
    struct rig r;
    uint8_t last[21];
    size_t total = 0;
    const struct bgp_error e = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_ADMIN_RESET, NULL, 0);

    set_up(&r);
    for (int i = 0; i < 40 && conn_room(r.c); i++) {
        put_keepalives(r.c, 1000);
        conn_flush(r.c);
    }
    conn_discard_queued(r.c);
    CU_ASSERT_TRUE(conn_queued(r.c, NULL) < BGP_HEADER_LEN);
    struct wire_writer w = conn_writer(r.c, BGP_MAX_LEN);
    notification_encode(&w, &e);
    conn_commit(r.c, &w, BGP_NOTIFICATION, 1);
    conn_linger(r.c, &r.lingering);
    r.c = NULL;
    CU_ASSERT_EQUAL(r.lingering.count, 1);
    for (int i = 0; i < 5; i++) {
        total += drain(r.far, last, sizeof last);
        run_for(&r, 10);
    }
    CU_ASSERT_EQUAL((total - sizeof last) % BGP_HEADER_LEN, 0);
    CU_ASSERT_EQUAL(last[18], BGP_NOTIFICATION);
    CU_ASSERT_EQUAL(last[20], BGP_CEASE_ADMIN_RESET);
    CU_ASSERT_EQUAL(recv(r.far, last, 1, MSG_DONTWAIT), 0); /* FIN */
    CU_ASSERT_EQUAL(r.emptied, 0);
    close(r.far);
    r.far = -1;
    run_for(&r, 200);
    CU_ASSERT_EQUAL(r.emptied, 1);
    CU_ASSERT_EQUAL(r.lingering.count, 0);
    tear_down(&r);
}

static void lingering_ends_although_the_peer_never_closes(void)
{
    struct rig r;
    set_up(&r);
    conn_linger(r.c, &r.lingering);
    r.c = NULL;
    run_for(&r, 5 * CONN_LINGER_MS);
    CU_ASSERT_EQUAL(r.emptied, 1);
    tear_down(&r);
}

static void beyond_the_most_that_linger_connections_close_at_once(void)
{
    struct rig r;
    int fd[2];
    char byte;
    set_up(&r);
    conn_linger(r.c, &r.lingering);
    r.c = NULL;
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd), 0);
    struct conn *second = conn_new(r.loop, fd[0], false, r.scratch, &r.count, &ops, &r);
    put_keepalives(second, 1);
    conn_linger(second, &r.lingering);
    CU_ASSERT_EQUAL(r.lingering.count, 1);
    CU_ASSERT_EQUAL(fcntl(fd[0], F_GETFD), -1);
    CU_ASSERT_EQUAL(recv(fd[1], &byte, 1, 0), 1); /* what was to be said has been, as far as it fits */
    close(fd[1]);
    tear_down(&r);
}

static const struct unit_case cases[] = {
    UNIT(messages_split_at_every_byte_arrive_whole),
    UNIT(messages_byte_by_byte_arrive_whole),
    UNIT(one_read_is_bounded_and_loses_nothing),
    UNIT(where_messages_take_long_less_is_read),
    UNIT(bad_headers_are_reported),
    UNIT(freeing_inside_a_message_stops_the_reading),
    UNIT(end_of_file_is_reported_once),
    UNIT(output_beyond_the_socket_waits_and_drains),
    UNIT(output_is_capped_whatever_is_put),
    UNIT(notification_goes_ahead_of_what_was_queued),
    UNIT(lingering_ends_although_the_peer_never_closes),
    UNIT(beyond_the_most_that_linger_connections_close_at_once),
};
UNIT_MAIN("conn", cases)
