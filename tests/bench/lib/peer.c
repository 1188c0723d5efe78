/*
 * The benchmark's own BGP speaker. It is independent of the daemon's codec and session code on purpose: a
 * shared mistake, or a shared speed-up, would not show. It knows OPEN, KEEPALIVE and the framing of the rest,
 * believes what the daemon says, and leaves UPDATEs to a callback. It offers both families, 4-octet AS and
 * route refresh, and no graceful restart, so that a closed session means routes gone.
 *
 * A stream is written in large pieces and never broken up: KEEPALIVEs wait until it is out, as UPDATEs do
 * their work.
 */
#include "peer.h"

#include "fibwatch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HOLD_TIME = 90,
    AS_TRANS = 23456,
    MSG_HEADER = 19,
    OPEN_LEN = MSG_HEADER + 10 + 22,
    MSG_OPEN = 1,
    MSG_UPDATE = 2,
    MSG_NOTIFICATION = 3,
    MSG_KEEPALIVE = 4,
    WRITE_SIZE = 1 << 20,
    SOCKET_BUFFER = 4 << 20,
    RETRY_NS = 5000000,
};

int peer_init(struct peer *p, const char *name, const char *spec, uint16_t port, bool wait)
{
    char local[32], remote[32];
    unsigned long asn;

    memset(p, 0, offsetof(struct peer, in));
    p->name = name;
    p->fd = p->listen_fd = -1;
    if (sscanf(spec, "%31[^,],%31[^,],%lu", local, remote, &asn) != 3)
        return -EINVAL;
    p->asn = (uint32_t)asn;
    p->local.sin_family = p->remote.sin_family = AF_INET;
    if (inet_pton(AF_INET, local, &p->local.sin_addr) != 1 ||
        inet_pton(AF_INET, remote, &p->remote.sin_addr) != 1)
        return -EINVAL;
    *(wait ? &p->local.sin_port : &p->remote.sin_port) = htons(port);
    return 0;
}

static void tune(int fd)
{
    int on = 1, size = SOCKET_BUFFER;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

static int connect_now(struct peer *p)
{
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    p->watched = 0;
    if (p->fd < 0)
        return -errno;
    tune(p->fd);
    if (bind(p->fd, (struct sockaddr *)&p->local, sizeof(p->local)) < 0)
        return -errno;
    p->state = PEER_CONNECTING;
    if (connect(p->fd, (struct sockaddr *)&p->remote, sizeof(p->remote)) < 0 && errno != EINPROGRESS)
        peer_close(p);
    return 0;
}

int peer_start(struct peer *p)
{
    int on = 1;

    if (p->remote.sin_port)
        return connect_now(p);
    p->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->listen_fd < 0)
        return -errno;
    setsockopt(p->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(p->listen_fd, (struct sockaddr *)&p->local, sizeof(p->local)) < 0 || listen(p->listen_fd, 4) < 0)
        return -errno;
    return 0;
}

int peer_watch(struct peer *p, int epoll)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = p};
    int fd = p->state == PEER_DOWN ? p->listen_fd : p->fd;

    if (p->state == PEER_CONNECTING || p->out)
        ev.events |= EPOLLOUT;
    if (fd < 0 || p->watched == ev.events)
        return 0;
    p->watched = ev.events;
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &ev) < 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
        return -errno;
    return 0;
}

void peer_close(struct peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    p->watched = 0;
    p->state = PEER_DOWN;
    p->in_len = 0;
    p->out = NULL;
}

void peer_send(struct peer *p, const uint8_t *data, size_t len)
{
    p->out = data;
    p->out_len = len;
    p->out_off = 0;
    p->first_write_ns = p->last_write_ns = 0;
}

/* A session that had not come up may be tried again; one that was up is lost. */
static int down(struct peer *p, const char *why, int err)
{
    bool up = p->state == PEER_ESTABLISHED;

    if (!p->why[0] || up)
        snprintf(p->why, sizeof(p->why), "%s: %s", why, err ? strerror(err) : "closed by the daemon");
    peer_close(p);
    return up ? -ECONNRESET : 0;
}

static int send_small(struct peer *p, const uint8_t *msg, size_t len)
{
    ssize_t done = send(p->fd, msg, len, MSG_NOSIGNAL);

    return done == (ssize_t)len ? 0 : down(p, "send", done < 0 ? errno : ENOBUFS);
}

static int send_keepalive(struct peer *p)
{
    uint8_t msg[MSG_HEADER];

    memset(msg, 0xff, 16);
    msg[16] = 0;
    msg[17] = MSG_HEADER;
    msg[18] = MSG_KEEPALIVE;
    p->keepalive_ns = bench_now_ns();
    return send_small(p, msg, sizeof(msg));
}

static int send_open(struct peer *p)
{
    uint32_t id = ntohl(p->local.sin_addr.s_addr), as2 = p->asn > 0xffff ? AS_TRANS : p->asn;
    uint8_t msg[OPEN_LEN] = {
        // clang-format off
        [17] = OPEN_LEN, MSG_OPEN, 4, (uint8_t)(as2 >> 8), (uint8_t)as2, 0, HOLD_TIME,
        (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id, 22, 2, 20,
        1, 4, 0, 1, 0, 1, /* multiprotocol, IPv4 unicast */
        1, 4, 0, 2, 0, 1, /* multiprotocol, IPv6 unicast */
        65, 4, (uint8_t)(p->asn >> 24), (uint8_t)(p->asn >> 16), (uint8_t)(p->asn >> 8), (uint8_t)p->asn,
        2, 0, /* route refresh */
        // clang-format on
    };

    memset(msg, 0xff, 16);
    p->state = PEER_OPEN_SENT;
    return send_small(p, msg, sizeof(msg));
}

static int handle_message(struct peer *p, const uint8_t *msg, size_t len)
{
    switch (msg[18]) {
    case MSG_OPEN:
        if (p->state != PEER_OPEN_SENT)
            return 0;
        p->state = PEER_OPEN_CONFIRM;
        return send_keepalive(p);
    case MSG_KEEPALIVE:
        if (p->state == PEER_OPEN_CONFIRM) {
            p->state = PEER_ESTABLISHED;
            p->established_ns = bench_now_ns();
        }
        return 0;
    case MSG_UPDATE:
        p->in_updates++;
        if (p->on_update)
            p->on_update(p->arg, msg + MSG_HEADER, len - MSG_HEADER);
        return 0;
    case MSG_NOTIFICATION:
        if (len >= MSG_HEADER + 2)
            snprintf(p->why, sizeof(p->why), "NOTIFICATION %u/%u from the daemon", msg[19], msg[20]);
        return 0;
    default:
        return 0;
    }
}

static int read_some(struct peer *p)
{
    ssize_t got = recv(p->fd, p->in + p->in_len, PEER_READ_SIZE, 0);
    size_t off = 0;

    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        return down(p, "recv", got < 0 ? errno : 0);
    }
    p->in_bytes += (uint64_t)got;
    p->in_len += (size_t)got;
    while (p->in_len - off >= MSG_HEADER) {
        const uint8_t *msg = p->in + off;
        size_t len = (size_t)msg[16] << 8 | msg[17];
        int err;

        if (len < MSG_HEADER || len > PEER_MSG_MAX)
            return down(p, "message length", EBADMSG);
        if (p->in_len - off < len)
            break;
        err = handle_message(p, msg, len);
        if (err || p->state == PEER_DOWN)
            return err;
        off += len;
    }
    p->in_len -= off;
    memmove(p->in, p->in + off, p->in_len);
    return 0;
}

static int write_some(struct peer *p)
{
    size_t left = p->out_len - p->out_off;
    ssize_t done;

    if (!p->first_write_ns)
        p->first_write_ns = bench_now_ns();
    done = send(p->fd, p->out + p->out_off, left < WRITE_SIZE ? left : WRITE_SIZE, MSG_NOSIGNAL);
    if (done < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : down(p, "send", errno);
    p->out_off += (size_t)done;
    if (p->out_off == p->out_len) {
        p->out = NULL;
        p->last_write_ns = p->keepalive_ns = bench_now_ns();
    }
    return 0;
}

static int finish_connect(struct peer *p)
{
    int err = 0;
    socklen_t len = sizeof(err);

    getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &err, &len);
    return err ? down(p, "connect", err) : send_open(p);
}

static int accept_one(struct peer *p)
{
    int fd = accept4(p->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return 0;
    p->fd = fd;
    p->watched = 0;
    tune(fd);
    return send_open(p);
}

int peer_ready(struct peer *p, uint32_t events)
{
    int err = 0;

    if (p->state == PEER_DOWN)
        return accept_one(p);
    if (p->state == PEER_CONNECTING)
        return events ? finish_connect(p) : 0;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        err = read_some(p);
    if (!err && p->state == PEER_ESTABLISHED && p->out && events & EPOLLOUT)
        err = write_some(p);
    return err;
}

int peer_tick(struct peer *p, int64_t now_ns)
{
    if (p->state == PEER_DOWN && p->remote.sin_port && !p->established_ns &&
        now_ns - p->keepalive_ns > RETRY_NS) {
        p->keepalive_ns = now_ns;
        return connect_now(p);
    }
    if (p->state == PEER_ESTABLISHED && !p->out && now_ns - p->keepalive_ns > HOLD_TIME * 1000000000ll / 3)
        return send_keepalive(p);
    return 0;
}
