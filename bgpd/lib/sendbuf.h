/* evbuffer_write for sockets: a reader that is gone is an error and not a signal. */
#ifndef UNDERLAY_SENDBUF_H
#define UNDERLAY_SENDBUF_H

#include <sys/types.h>

struct evbuffer;
/* Sends up to about `most` bytes from the front of b and takes away what went. Bytes sent or -errno. */
ssize_t sendbuf(int fd, struct evbuffer *b, size_t most);

#endif
