/* fibchan: one fibmsg datagram at a time over the SOCK_SEQPACKET socketpair between fib and speaker; both
 * ends use it.
 *
 * The table below is the only place that knows which record belongs to which type and who may say it; a
 * message that does not fit its row closes the channel. What the records mean is for the two ends to judge
 * (fib/dispatch.c here).
 *
 * A sender never blocks: what the socket does not take is queued. The queue has no hard limit, because the
 * messages that must not be lost (results, link changes) are bounded by the state they describe; producers of
 * bulk ask fibchan_room before they go on, and a reader that owes too many answers stops reading with
 * fibchan_pause.
 */
#include "fibmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"

#define QUEUE_HIGH 64   /* messages queued before producers of bulk wait */
#define QUEUE_LOW  8    /* and when they may go on */
#define TURN_US    2000 /* of reading; what a message takes is not for us to know */

struct queued {
    struct queued *next;
    size_t len;
    int fd;
    uint8_t data[];
};

struct fibchan {
    struct loop *loop;
    struct io *io;
    struct fibchan_ops ops;
    void *arg;
    struct queued *head;
    struct queued **tail;
    unsigned queued;
    int fd;
    bool waiting; /* a producer was told 0 room */
    bool paused;
    bool closed;
    unsigned depth; /* callbacks running; freeing waits for them */
    bool freed;
    _Alignas(8) uint8_t rx[FIBMSG_MAX]; /* records are read in place */
};

static const struct fm_row {
    const char *name;
    uint16_t size;
    bool speaker; /* the speaker says it; else the parent */
} rows[] = {
    [FM_HELLO] = {"HELLO", sizeof(struct fm_hello), true},
    [FM_SETTINGS] = {"SETTINGS", sizeof(struct fm_settings), true},
    [FM_PATH] = {"PATH", sizeof(struct fm_path), true},
    [FM_LISTEN] = {"LISTEN", sizeof(struct fm_listen), true},
    [FM_START] = {"START", 0, true},
    [FM_READY] = {"READY", sizeof(struct fm_text), true},
    [FM_STATUS] = {"STATUS", sizeof(struct fm_text), true},
    [FM_RELOADING] = {"RELOADING", 0, true},
    [FM_HEARTBEAT] = {"HEARTBEAT", 0, true},
    [FM_OPEN] = {"OPEN", sizeof(struct fm_role), true},
    [FM_COMMIT] = {"COMMIT", sizeof(struct fm_role), true},
    [FM_NEXTHOP_WATCH] = {"NEXTHOP_WATCH", sizeof(struct fm_nexthop), true},
    [FM_NEXTHOP_UNWATCH] = {"NEXTHOP_UNWATCH", sizeof(struct fm_nexthop), true},
    [FM_GROUP_SET] = {"GROUP_SET", sizeof(struct fm_group), true},
    [FM_GROUP_DEL] = {"GROUP_DEL", sizeof(struct fm_group_id), true},
    [FM_ROUTES] = {"ROUTES", sizeof(struct fm_route), true},
    [FM_BIND] = {"BIND", sizeof(struct fm_bind), true},
    [FM_SYNCED] = {"SYNCED", 0, true},
    [FM_STOPPED] = {"STOPPED", 0, true},
    [FM_LOG] = {"LOG", sizeof(struct fm_log), true},
    [FM_NEXTHOP_DEAD] = {"NEXTHOP_DEAD", sizeof(struct fm_nexthop), true},
    [FM_NEXTHOP_ALIVE] = {"NEXTHOP_ALIVE", sizeof(struct fm_nexthop), true},
    [FM_BFD_SET] = {"BFD_SET", sizeof(struct fm_bfd), true},
    [FM_BFD_DEL] = {"BFD_DEL", sizeof(struct fm_nexthop), true},
    [FM_KEEP] = {"KEEP", sizeof(struct fm_keep), true},
    [FM_RESTART] = {"RESTART", sizeof(struct fm_flags), true},
    [FM_FD] = {"FD", sizeof(struct fm_fd), false},
    [FM_LINK] = {"LINK", sizeof(struct fm_link), false},
    [FM_ADDRESS] = {"ADDRESS", sizeof(struct fm_address), false},
    [FM_SYNC_DONE] = {"SYNC_DONE", sizeof(struct fm_flags), false},
    [FM_NEXTHOP_STATE] = {"NEXTHOP_STATE", sizeof(struct fm_nexthop_state), false},
    [FM_ROUTE_RESULTS] = {"ROUTE_RESULTS", sizeof(struct fm_result), false},
    [FM_RELOAD] = {"RELOAD", 0, false},
    [FM_STOP] = {"STOP", sizeof(struct fm_flags), false},
    [FM_BFD_STATE] = {"BFD_STATE", sizeof(struct fm_bfd_state), false},
    [FM_KEPT] = {"KEPT", sizeof(struct fm_keep), false},
    [FM_RESTART_ASKED] = {"RESTART_ASKED", sizeof(struct fm_flags), false},
};

static const struct fm_row *row_of(unsigned type)
{
    return type < sizeof rows / sizeof *rows && rows[type].name ? &rows[type] : NULL;
}

size_t fm_record_size(enum fm_type type)
{
    const struct fm_row *r = row_of(type);
    return r ? r->size : 0;
}

uint32_t fm_max_records(enum fm_type type)
{
    size_t size = fm_record_size(type);
    return size ? (FIBMSG_MAX - sizeof(struct fm_header)) / size : 0;
}

bool fm_from_speaker(enum fm_type type)
{
    const struct fm_row *r = row_of(type);
    return r && r->speaker;
}

const char *fm_type_name(enum fm_type type)
{
    const struct fm_row *r = row_of(type);
    return r ? r->name : "unknown";
}

static void update_wanted(struct fibchan *c)
{
    if (!c->closed)
        io_want(c->io, (c->paused ? 0 : IO_READ) | (c->head ? IO_WRITE : 0));
}

static void enter(struct fibchan *c)
{
    c->depth++;
}

static void destroy(struct fibchan *c)
{
    while (c->head) {
        struct queued *q = c->head;
        c->head = q->next;
        if (q->fd >= 0)
            close(q->fd);
        free(q);
    }
    free(c);
}

static bool leave(struct fibchan *c)
{
    if (--c->depth || !c->freed)
        return !c->freed;
    destroy(c);
    return false;
}

static void close_channel(struct fibchan *c, const char *why)
{
    if (c->closed)
        return;
    c->closed = true;
    io_want(c->io, 0);
    c->ops.closed(c->arg, why);
}

/* What is wrong with a datagram of n bytes in rx, NULL when nothing is. */
static const char *check_message(const struct fibchan *c, size_t n, int flags)
{
    struct fm_header h;

    if (flags & (MSG_TRUNC | MSG_CTRUNC))
        return "message cut short";
    if (n < sizeof h)
        return "message shorter than its header";
    memcpy(&h, c->rx, sizeof h);
    if (h.version != FIBMSG_VERSION)
        return "message of another version";
    const struct fm_row *r = row_of(h.type);
    if (!r)
        return "message of unknown type";
    if (r->size ? h.count == 0 || h.count > fm_max_records(h.type) : h.count != 0)
        return "message with a wrong number of records";
    if (n != sizeof h + (size_t)h.count * r->size)
        return "message of the wrong length";
    return NULL;
}

static int take_descriptor(struct msghdr *msg)
{
    int fd = -1;

    for (struct cmsghdr *cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm)) {
        if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int got;
            memcpy(&got, CMSG_DATA(cm) + i * sizeof got, sizeof got);
            if (fd < 0)
                fd = got;
            else
                close(got);
        }
    }
    return fd;
}

/* 1: a message was handled, 0: nothing to read now, -1: closed. */
static int read_one(struct fibchan *c)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {c->rx, sizeof c->rx};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf};

    ssize_t n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        close_channel(c, n < 0 && errno != ECONNRESET ? strerror(errno) : "end of file");
        return -1;
    }
    int fd = take_descriptor(&msg);
    const char *wrong = check_message(c, (size_t)n, msg.msg_flags);
    if (wrong) {
        if (fd >= 0)
            close(fd);
        close_channel(c, wrong);
        return -1;
    }
    struct fm_header h;
    memcpy(&h, c->rx, sizeof h);
    if (c->ops.message(c->arg, &h, c->rx + sizeof h, fd) < 0) {
        c->closed = true;
        if (!c->freed)
            io_want(c->io, 0);
        return -1;
    }
    return 1;
}

/* 0: the socket took it; -EAGAIN: not now; else the channel is broken, which the reading side will notice. */
static int send_now(struct fibchan *c, const void *data, size_t len, int fd)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)data, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        msg.msg_control = control.buf;
        msg.msg_controllen = sizeof control.buf;
        struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(cm), &fd, sizeof fd);
    }
    if (sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    /* ETOOMANYREFS: as many descriptors are on their way as this account may have. */
    return errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ETOOMANYREFS ? -EAGAIN : -errno;
}

static int drain_queue(struct fibchan *c)
{
    while (c->head) {
        struct queued *q = c->head;
        if (send_now(c, q->data, q->len, q->fd) == -EAGAIN)
            return -EAGAIN;
        c->head = q->next;
        if (!c->head)
            c->tail = &c->head;
        c->queued--;
        if (q->fd >= 0)
            close(q->fd);
        free(q);
    }
    return 0;
}

static void on_io(void *arg, int fd, unsigned events)
{
    struct fibchan *c = arg;
    (void)fd;

    enter(c);
    if (events & IO_WRITE) {
        drain_queue(c);
        update_wanted(c);
        if (c->waiting && c->queued <= QUEUE_LOW) {
            c->waiting = false;
            if (c->ops.writable)
                c->ops.writable(c->arg);
        }
    }
    if (events & IO_READ) {
        uint64_t end = loop_now_us() + TURN_US;
        while (!c->closed && !c->freed && !c->paused && read_one(c) > 0 && loop_now_us() < end)
            ;
    }
    leave(c);
}

struct fibchan *fibchan_new(struct loop *l, int fd, const struct fibchan_ops *ops, void *arg)
{
    struct fibchan *c = malloc(sizeof *c);
    if (!c)
        return NULL;
    /* Not calloc: the receive buffer stays untouched, and so costs nothing, until something comes. */
    memset(c, 0, offsetof(struct fibchan, rx));
    c->loop = l;
    c->fd = fd;
    c->ops = *ops;
    c->arg = arg;
    c->tail = &c->head;
    c->io = io_new(l, fd, on_io, c);
    if (!c->io) {
        free(c);
        return NULL;
    }
    update_wanted(c);
    return c;
}

void fibchan_free(struct fibchan *c)
{
    if (!c || c->freed)
        return;
    io_free(c->io);
    close(c->fd);
    c->closed = c->freed = true;
    if (!c->depth)
        destroy(c);
}

static unsigned type_of(const struct queued *q)
{
    struct fm_header h;
    memcpy(&h, q->data, sizeof h);
    return h.type;
}

/* Forwarding waits for the word that a next hop is dead, so it goes ahead of the routes at the end of the
 * queue: what it is about, watches and groups, keeps its order. */
static struct queued **place_for(struct fibchan *c, unsigned type)
{
    struct queued **at = &c->head;
    if (type != FM_NEXTHOP_DEAD)
        return c->tail;
    for (struct queued *q = c->head; q; q = q->next)
        if (type_of(q) != FM_ROUTES)
            at = &q->next;
    return at;
}

static int enqueue(struct fibchan *c, const void *data, size_t len, int fd)
{
    struct queued *q = malloc(sizeof *q + len);
    if (!q)
        return -ENOMEM;
    *q = (struct queued){.len = len, .fd = -1};
    memcpy(q->data, data, len);
    if (fd >= 0 && (q->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) {
        free(q);
        return -ENOMEM;
    }
    struct queued **at = place_for(c, type_of(q));
    q->next = *at;
    *at = q;
    if (!q->next)
        c->tail = &q->next;
    c->queued++;
    update_wanted(c);
    return 0;
}

int fibchan_send(struct fibchan *c, enum fm_type type, const void *records, uint32_t n, int fd)
{
    const struct fm_row *r = row_of(type);
    uint8_t buf[FIBMSG_MAX];

    if (!r || (r->size ? n == 0 || n > fm_max_records(type) : n != 0))
        return -EMSGSIZE;
    struct fm_header h = {FIBMSG_VERSION, (uint16_t)type, n};
    size_t body = (size_t)n * r->size;
    memcpy(buf, &h, sizeof h);
    if (body)
        memcpy(buf + sizeof h, records, body);
    if (c->head || send_now(c, buf, sizeof h + body, fd) == -EAGAIN)
        return enqueue(c, buf, sizeof h + body, fd);
    return 0;
}

unsigned fibchan_room(struct fibchan *c)
{
    if (c->queued >= QUEUE_HIGH) {
        c->waiting = true;
        return 0;
    }
    return QUEUE_HIGH - c->queued;
}

void fibchan_pause(struct fibchan *c, bool paused)
{
    if (c->paused == paused)
        return;
    c->paused = paused;
    update_wanted(c);
}

void fibchan_drain(struct fibchan *c)
{
    enter(c);
    while (!c->closed && !c->freed && read_one(c) > 0)
        ;
    leave(c);
}

int fibchan_flush(struct fibchan *c, int timeout_ms)
{
    uint64_t end = loop_now_ms() + (uint64_t)timeout_ms;

    while (drain_queue(c) == -EAGAIN) {
        uint64_t now = loop_now_ms();
        struct pollfd p = {.fd = c->fd, .events = POLLOUT};
        if (now >= end)
            return -ETIMEDOUT;
        if (poll(&p, 1, (int)(end - now)) < 0 && errno != EINTR)
            return -errno;
    }
    update_wanted(c);
    return 0;
}
