/* One TCP connection that carries BGP messages: framing of the input, a bounded output buffer, counters.
 * Knows the message header and nothing else of BGP. */
#ifndef UNDERLAY_CONN_H
#define UNDERLAY_CONN_H

#include "loop.h"
#include "wire/msg.h"

#define CONN_READ_MAX  (64 * 1024)  /* bytes read in one turn of the loop */
#define CONN_READ_MIN  (4 * 1024)   /* the same where the peer's messages take long */
#define CONN_OUT_HIGH  (256 * 1024) /* no more UPDATEs are made while so much waits to be written */
#define CONN_OUT_CHUNK (64 * 1024)
#define CONN_LINGER_MS 1000
#define CONN_ORPHAN_MS 10000 /* the kernel goes on alone for so long at most */

#define BGP_TYPE_COUNT 6

/* By message type; lives longer than a connection. */
struct conn_counters {
    uint64_t in[BGP_TYPE_COUNT], out[BGP_TYPE_COUNT];
};

/* One for all connections of a loop: what is read goes through it, a connection keeps only an unfinished
 * message. */
struct conn_scratch {
    uint8_t bytes[CONN_READ_MAX + BGP_MAX_EXT_LEN];
};

struct conn_ops {
    void (*connected)(void *arg, int error); /* of a connection we initiate: 0 or -errno */
    /* One whole message with its header, which is sound. Return 0, or nonzero to read no further in this
     * turn: the connection is then not touched any more, it may be gone. */
    int (*message)(void *arg, enum bgp_msg_type type, const uint8_t *msg, size_t len);
    void (*header_error)(void *arg, const struct bgp_error *e);
    void (*closed)(void *arg, int error); /* end of file: 0, else -errno */
    void (*drained)(void *arg);           /* what could not be written at once has been */
    /* Whole messages that were put into the output; may be NULL. */
    void (*sent)(void *arg, const uint8_t *p, size_t n);
};

struct conn {
    int fd;
    bool connecting;
    bool write_failed; /* the read side will tell */
    size_t max_len;    /* of a message from the peer */
    uint8_t *rest;     /* the start of a message whose end has not come */
    uint32_t rest_len, rest_size;
    uint32_t read_most; /* CONN_READ_MIN to CONN_READ_MAX */
    uint8_t *out;
    uint32_t out_size;
    uint32_t out_start, out_end; /* not yet written */
    uint32_t out_next;           /* the first message of which nothing is written yet */
    uint64_t last_read_ms, last_write_ms;
    uint64_t moved_ms;      /* see conn_moved_ms */
    uint64_t acked_bytes;   /* of TCP, when we last looked */
    const uint8_t *refused; /* during ops->header_error: the header */

    struct loop *loop;
    struct io *io;
    struct conn_scratch *scratch;
    struct conn_counters *count;
    const struct conn_ops *ops;
    void *arg;
    struct conn_lingering *lingering; /* the list it is on, with a timer; else NULL */
    struct timer *timer;
    struct conn *next, **prev;
};

/* Owns fd from here on, on failure too. scratch, count and ops are borrowed. NULL: out of memory. */
struct conn *conn_new(struct loop *l, int fd, bool connecting, struct conn_scratch *scratch,
                      struct conn_counters *count, const struct conn_ops *ops, void *arg);
void conn_free(struct conn *c); /* closes */
/* What another process had of this connection: the start of an unfinished message, and output whose first
 * `begun` bytes are the rest of a message that was written in part. To a fresh connection; conn_flush goes
 * on. 0, -ENOMEM, or -EBADMSG: these are no such bytes. */
int conn_restore(struct conn *c, const uint8_t *rest, size_t rest_len, const uint8_t *out, size_t out_len,
                 size_t begun);

/* Reads once, at most read_most, and hands the messages on. Whether anything came. c may be gone after
 * it. */
bool conn_read(struct conn *c);

/* Room for whole messages of `room` bytes at the end of the output; w.err is set when there is none. Then
 * conn_commit with the number of messages put (type is for the counters), then conn_flush. */
struct wire_writer conn_writer(struct conn *c, size_t room);
void conn_commit(struct conn *c, const struct wire_writer *w, enum bgp_msg_type type, unsigned messages);
void conn_flush(struct conn *c);        /* writes what the socket takes; the rest as it can */
size_t conn_room(const struct conn *c); /* bytes below CONN_OUT_HIGH; 0: wait for `drained` */
size_t conn_queued(const struct conn *c, unsigned *messages); /* bytes not written yet */
/* When output last got on, as far as anybody looked: nothing waited, a whole message went to the socket, or
 * the peer's TCP acknowledged something that it had not the last time this was asked. */
uint64_t conn_moved_ms(struct conn *c);
void conn_discard_queued(struct conn *c); /* drops messages of which nothing has been written */

/* Closing so that the last message arrives: writes the rest, sends FIN, reads (and drops) until the peer
 * closes too, because unread input would turn the FIN into a reset that overtakes the message; CONN_LINGER_MS
 * at most. */
struct conn_lingering {
    struct conn *head;
    unsigned count, most; /* beyond so many, connections are closed at once: descriptors are not for ever */
    void (*empty)(void *arg); /* the last one has gone; may be NULL */
    void *arg;
};
void conn_linger(struct conn *c,
                 struct conn_lingering *list); /* owns c from here on; never calls `empty` itself */
void conn_lingering_abort(struct conn_lingering *list);

#endif
