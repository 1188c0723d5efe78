/* See sendbuf.h. libevent's own evbuffer_write calls writev, which has no way to say MSG_NOSIGNAL. */
#include "lib/sendbuf.h"

#include <errno.h>
#include <event2/buffer.h>
#include <sys/socket.h>
#include <sys/uio.h>

_Static_assert(sizeof(struct evbuffer_iovec) == sizeof(struct iovec), "libevent's is the system's");

ssize_t sendbuf(int fd, struct evbuffer *b, size_t most)
{
    struct evbuffer_iovec parts[8];
    int n = evbuffer_peek(b, (ev_ssize_t)most, NULL, parts, 8);
    struct msghdr m = {.msg_iov = (struct iovec *)parts, .msg_iovlen = n < 8 ? (size_t)n : 8};
    ssize_t sent = sendmsg(fd, &m, MSG_NOSIGNAL);
    if (sent < 0)
        return -errno;
    evbuffer_drain(b, (size_t)sent);
    return sent;
}
