/* fibchan: framing, malformed datagrams, descriptors, a full socket. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fibmsg.h"
#include "loop.h"
#include "unit.h"

struct fixture {
    struct loop *loop;
    struct fibchan *chan;
    int far; /* the raw other end */
    unsigned messages;
    struct fm_header last;
    uint8_t body[128];
    int fd;
    int answer; /* what the message callback returns */
    bool free_inside;
    char closed[64];
    unsigned closes;
    unsigned writables;
    unsigned slow_us; /* what a message takes */
};

static int on_message(void *arg, const struct fm_header *h, const void *records, int fd)
{
    struct fixture *x = arg;
    size_t n = h->count * fm_record_size(h->type);

    x->messages++;
    usleep(x->slow_us);
    x->last = *h;
    memcpy(x->body, records, n < sizeof x->body ? n : sizeof x->body);
    x->fd = fd;
    loop_stop(x->loop, 0);
    if (x->free_inside) {
        fibchan_free(x->chan);
        x->chan = NULL;
    }
    return x->answer;
}

static void on_writable(void *arg)
{
    struct fixture *x = arg;
    x->writables++;
}

static void on_closed(void *arg, const char *why)
{
    struct fixture *x = arg;

    x->closes++;
    snprintf(x->closed, sizeof x->closed, "%s", why);
    loop_stop(x->loop, 0);
}

static void overdue(void *arg)
{
    struct fixture *x = arg;
    loop_stop(x->loop, 1);
}

static void set_up(struct fixture *x)
{
    static const struct fibchan_ops ops = {
        .message = on_message, .writable = on_writable, .closed = on_closed};
    int pair[2];

    *x = (struct fixture){.fd = -1};
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0);
    x->loop = loop_new();
    x->far = pair[1];
    x->chan = fibchan_new(x->loop, pair[0], &ops, x);
    CU_ASSERT_PTR_NOT_NULL_FATAL(x->chan);
}

static void tear_down(struct fixture *x)
{
    fibchan_free(x->chan);
    if (x->far >= 0)
        close(x->far);
    loop_free(x->loop);
}

/* Runs until something was called, or for a while when nothing is. */
static void turn(struct fixture *x)
{
    struct timer *t = timer_new(x->loop, overdue, x);

    timer_set(t, 100 * UNIT_SLOW);
    loop_run(x->loop);
    timer_free(t);
}

static void a_message_arrives_whole(void)
{
    struct fixture x;
    struct {
        struct fm_header h;
        struct fm_role r[2];
    } m = {{FIBMSG_VERSION, FM_OPEN, 2}, {{1, 2}, {3, 4}}};

    set_up(&x);
    CU_ASSERT_EQUAL(send(x.far, &m, sizeof m, 0), (ssize_t)sizeof m);
    turn(&x);
    CU_ASSERT_EQUAL(x.messages, 1);
    CU_ASSERT_EQUAL(x.last.type, FM_OPEN);
    CU_ASSERT_EQUAL(x.last.count, 2);
    CU_ASSERT_EQUAL(memcmp(x.body, m.r, sizeof m.r), 0);
    CU_ASSERT_EQUAL(x.fd, -1);
    tear_down(&x);
}

static void malformed_datagrams_close_the_channel(void)
{
    static const struct {
        const char *what;
        struct fm_header h;
        size_t len;
    } table[] = {
        {"shorter than its header", {FIBMSG_VERSION, FM_START, 0}, 7},
        {"another version", {FIBMSG_VERSION + 1, FM_START, 0}, 8},
        {"type 0", {FIBMSG_VERSION, 0, 0}, 8},
        {"type in the gap", {FIBMSG_VERSION, FM_LOG + 1, 0}, 8},
        {"type past the end", {FIBMSG_VERSION, FM_STOP + 1, 0}, 8},
        {"type 65535", {FIBMSG_VERSION, 65535, 0}, 8},
        {"records where none belong", {FIBMSG_VERSION, FM_START, 1}, 8},
        {"no record where one belongs", {FIBMSG_VERSION, FM_OPEN, 0}, 8},
        {"record cut short", {FIBMSG_VERSION, FM_OPEN, 1}, 8 + 7},
        {"a byte too many", {FIBMSG_VERSION, FM_OPEN, 1}, 8 + 9},
        {"count smaller than the data", {FIBMSG_VERSION, FM_OPEN, 1}, 8 + 16},
        {"count larger than the data", {FIBMSG_VERSION, FM_OPEN, 3}, 8 + 16},
        {"count that overflows", {FIBMSG_VERSION, FM_OPEN, 0x20000000}, 8},
        {"count past a datagram", {FIBMSG_VERSION, FM_OPEN, 0xFFFFFFFF}, 8 + 8},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct fixture x;
        uint8_t buf[64] = {0};
        set_up(&x);
        memcpy(buf, &table[i].h, sizeof table[i].h);
        CU_ASSERT_EQUAL(send(x.far, buf, table[i].len, 0), (ssize_t)table[i].len);
        turn(&x);
        if (x.messages != 0 || x.closes != 1)
            printf("      accepted: %s\n", table[i].what);
        CU_ASSERT_EQUAL(x.messages, 0);
        CU_ASSERT_EQUAL(x.closes, 1);
        tear_down(&x);
    }
}

static void a_datagram_larger_than_allowed_closes_the_channel(void)
{
    struct fixture x;
    static uint8_t big[FIBMSG_MAX + 8];
    struct fm_header h = {FIBMSG_VERSION, FM_OPEN, (sizeof big - 8) / 8};

    set_up(&x);
    memcpy(big, &h, sizeof h);
    CU_ASSERT_EQUAL(send(x.far, big, sizeof big, 0), (ssize_t)sizeof big);
    turn(&x);
    CU_ASSERT_EQUAL(x.messages, 0);
    CU_ASSERT_STRING_EQUAL(x.closed, "message cut short");
    tear_down(&x);
}

static void end_of_file_is_told_once(void)
{
    struct fixture x;

    set_up(&x);
    close(x.far);
    x.far = -1;
    turn(&x);
    turn(&x);
    CU_ASSERT_EQUAL(x.closes, 1);
    CU_ASSERT_STRING_EQUAL(x.closed, "end of file");
    tear_down(&x);
}

static void a_descriptor_travels_with_its_message(void)
{
    struct fixture x;
    struct fixture y;
    static const struct fibchan_ops ops = {.message = on_message, .closed = on_closed};
    struct fm_fd m = {.role = FM_ROLE_STATE};
    struct stat a, b;

    set_up(&x);
    y = x;
    y.chan = fibchan_new(x.loop, x.far, &ops, &y);
    x.far = -1;
    CU_ASSERT_EQUAL(fibchan_send(y.chan, FM_FD, &m, 1, STDIN_FILENO), 0);
    turn(&x);
    CU_ASSERT_TRUE_FATAL(x.fd >= 0);
    CU_ASSERT_TRUE(fstat(x.fd, &a) == 0 && fstat(STDIN_FILENO, &b) == 0);
    CU_ASSERT_EQUAL(a.st_ino, b.st_ino);
    close(x.fd);
    fibchan_free(y.chan);
    tear_down(&x);
}

static void a_refusing_callback_stops_reading(void)
{
    struct fixture x;
    struct fm_header h = {FIBMSG_VERSION, FM_START, 0};

    set_up(&x);
    x.answer = -EPROTO;
    send(x.far, &h, sizeof h, 0);
    send(x.far, &h, sizeof h, 0);
    turn(&x);
    turn(&x);
    CU_ASSERT_EQUAL(x.messages, 1);
    tear_down(&x);
}

static void it_may_be_freed_inside_its_callback(void)
{
    struct fixture x;
    struct fm_header h = {FIBMSG_VERSION, FM_START, 0};

    set_up(&x);
    x.free_inside = true;
    send(x.far, &h, sizeof h, 0);
    send(x.far, &h, sizeof h, 0);
    turn(&x);
    CU_ASSERT_EQUAL(x.messages, 1);
    tear_down(&x);
}

static void a_paused_channel_reads_later(void)
{
    struct fixture x;
    struct fm_header h = {FIBMSG_VERSION, FM_START, 0};

    set_up(&x);
    fibchan_pause(x.chan, true);
    send(x.far, &h, sizeof h, 0);
    turn(&x);
    CU_ASSERT_EQUAL(x.messages, 0);
    fibchan_pause(x.chan, false);
    turn(&x);
    CU_ASSERT_EQUAL(x.messages, 1);
    tear_down(&x);
}

static void messages_that_take_long_are_not_all_read_in_one_turn(void)
{
    struct fixture x;
    const struct fm_header m = {FIBMSG_VERSION, FM_HEARTBEAT, 0};

    set_up(&x);
    x.slow_us = 3000;
    for (unsigned i = 1; i <= 3; i++)
        CU_ASSERT_EQUAL(send(x.far, &m, sizeof m, 0), (ssize_t)sizeof m);
    for (unsigned i = 1; i <= 3; i++) {
        turn(&x);
        CU_ASSERT_EQUAL(x.messages, i);
    }
    tear_down(&x);
}

static void what_the_socket_does_not_take_is_queued_in_order(void)
{
    struct fixture x;
    static struct fm_result r[5000];
    static uint8_t buf[FIBMSG_MAX];
    unsigned sent = 0, got = 0;

    set_up(&x);
    while (fibchan_room(x.chan)) {
        r[0].cookie = sent++;
        CU_ASSERT_EQUAL_FATAL(fibchan_send(x.chan, FM_ROUTE_RESULTS, r, 5000, -1), 0);
    }
    CU_ASSERT_TRUE(sent > 64);
    for (int idle = 0; got < sent && idle < 50;) {
        ssize_t n = recv(x.far, buf, sizeof buf, MSG_DONTWAIT);
        if (n < 0) {
            turn(&x);
            idle++;
            continue;
        }
        struct fm_result first;
        memcpy(&first, buf + sizeof(struct fm_header), sizeof first);
        CU_ASSERT_EQUAL(first.cookie, got);
        got++;
    }
    CU_ASSERT_EQUAL(got, sent);
    CU_ASSERT_EQUAL(x.writables, 1);
    CU_ASSERT_TRUE(fibchan_room(x.chan) > 0);
    tear_down(&x);
}

/* The parent starts other programs meanwhile. */
static void a_descriptor_that_waits_is_not_passed_on_by_an_exec(void)
{
    struct fixture x;
    static struct fm_result r[5000];
    struct fm_fd m = {.role = FM_ROLE_STATE};

    set_up(&x);
    while (fibchan_room(x.chan))
        CU_ASSERT_EQUAL_FATAL(fibchan_send(x.chan, FM_ROUTE_RESULTS, r, 5000, -1), 0);
    int copy = dup(STDIN_FILENO); /* what comes next has this number */
    close(copy);
    CU_ASSERT_EQUAL(fibchan_send(x.chan, FM_FD, &m, 1, STDIN_FILENO), 0);
    CU_ASSERT_EQUAL(fcntl(copy, F_GETFD), FD_CLOEXEC);
    tear_down(&x);
}

static void a_death_goes_ahead_of_routes_and_of_nothing_else(void)
{
    struct fixture x;
    static struct fm_route r[2048];
    static uint8_t buf[FIBMSG_MAX];
    static const struct fm_group_id group;
    static const struct fm_nexthop nh;
    uint16_t types[256], queued_from = 0;
    unsigned got = 0, sent = 0;

    set_up(&x);
    while (fibchan_room(x.chan) > 8) {
        if (fibchan_room(x.chan) == 64)
            queued_from = (uint16_t)sent;
        if (fibchan_room(x.chan) == 60)
            CU_ASSERT_EQUAL(fibchan_send(x.chan, FM_GROUP_DEL, &group, 1, -1), 0);
        CU_ASSERT_EQUAL_FATAL(fibchan_send(x.chan, FM_ROUTES, r, 2048, -1), 0);
        sent++;
    }
    CU_ASSERT_EQUAL(fibchan_send(x.chan, FM_NEXTHOP_DEAD, &nh, 1, -1), 0);
    CU_ASSERT_EQUAL(fibchan_send(x.chan, FM_NEXTHOP_ALIVE, &nh, 1, -1), 0);
    for (int idle = 0; got < sent + 3 && idle < 50;) {
        if (recv(x.far, buf, sizeof buf, MSG_DONTWAIT) < 0) {
            turn(&x);
            idle++;
            continue;
        }
        memcpy(&types[got++], buf + offsetof(struct fm_header, type), sizeof types[0]);
    }
    CU_ASSERT_EQUAL_FATAL(got, sent + 3);
    unsigned del = queued_from;
    while (del < got && types[del] != FM_GROUP_DEL)
        del++;
    CU_ASSERT_FATAL(del + 1 < got);
    CU_ASSERT_EQUAL(types[del + 1], FM_NEXTHOP_DEAD);
    CU_ASSERT_EQUAL(types[got - 1], FM_NEXTHOP_ALIVE);
    tear_down(&x);
}

static void wrong_counts_are_not_sent(void)
{
    struct fixture x;
    static uint8_t zeros[FIBMSG_MAX];

    set_up(&x);
    CU_ASSERT_EQUAL(fibchan_send(x.chan, FM_RELOAD, zeros, 1, -1), -EMSGSIZE);
    CU_ASSERT_EQUAL(fibchan_send(x.chan, FM_LINK, zeros, 0, -1), -EMSGSIZE);
    CU_ASSERT_EQUAL(fibchan_send(x.chan, FM_LINK, zeros, fm_max_records(FM_LINK) + 1, -1), -EMSGSIZE);
    CU_ASSERT_EQUAL(fibchan_send(x.chan, (enum fm_type)63, zeros, 0, -1), -EMSGSIZE);
    CU_ASSERT_EQUAL(fibchan_send(x.chan, FM_LINK, zeros, fm_max_records(FM_LINK), -1), 0);
    tear_down(&x);
}

static void types_know_who_says_them(void)
{
    CU_ASSERT_TRUE(fm_from_speaker(FM_ROUTES));
    CU_ASSERT_FALSE(fm_from_speaker(FM_ROUTE_RESULTS));
    CU_ASSERT_FALSE(fm_from_speaker((enum fm_type)0));
    CU_ASSERT_EQUAL(fm_record_size(FM_ROUTES), sizeof(struct fm_route));
    CU_ASSERT_EQUAL(fm_record_size(FM_RELOAD), 0);
    CU_ASSERT_STRING_EQUAL(fm_type_name(FM_HELLO), "HELLO");
    CU_ASSERT_STRING_EQUAL(fm_type_name((enum fm_type)999), "unknown");
}

static const struct unit_case cases[] = {
    UNIT(a_message_arrives_whole),
    UNIT(malformed_datagrams_close_the_channel),
    UNIT(a_datagram_larger_than_allowed_closes_the_channel),
    UNIT(end_of_file_is_told_once),
    UNIT(a_descriptor_travels_with_its_message),
    UNIT(a_refusing_callback_stops_reading),
    UNIT(it_may_be_freed_inside_its_callback),
    UNIT(a_paused_channel_reads_later),
    UNIT(messages_that_take_long_are_not_all_read_in_one_turn),
    UNIT(what_the_socket_does_not_take_is_queued_in_order),
    UNIT(a_descriptor_that_waits_is_not_passed_on_by_an_exec),
    UNIT(a_death_goes_ahead_of_routes_and_of_nothing_else),
    UNIT(wrong_counts_are_not_sent),
    UNIT(types_know_who_says_them),
};
UNIT_MAIN("fibchan", cases)
