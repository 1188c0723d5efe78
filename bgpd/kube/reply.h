/* The answer of an HTTP/1.1 server, RFC 9112: bytes in, status and pieces of the body out. Pure; holds a line
 * of the head at most. */
#ifndef UNDERLAY_KUBE_REPLY_H
#define UNDERLAY_KUBE_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLY_LINE_MAX 4096        /* of the head; the rest of a longer line is an error */
#define REPLY_HEAD_MAX (64 * 1024) /* all lines, those of interim answers included */

struct reply {
    uint8_t state; /* private */
    bool chunked, has_length;
    unsigned status; /* 0: the head has not come */
    uint64_t left;   /* bytes of the body, or of the chunk */
    size_t head_bytes, line_len;
    const char *why; /* what is wrong, after -EPROTO; static */
    void (*on_status)(void *arg, unsigned status);
    int (*on_data)(void *arg, const char *data, size_t len); /* negative: enough */
    void *arg;
    char line[REPLY_LINE_MAX];
};

void reply_init(struct reply *r, void (*on_status)(void *arg, unsigned status),
                int (*on_data)(void *arg, const char *data, size_t len), void *arg);
/* 0: more is to come; 1: complete, what follows is not looked at; -EPROTO with why; or what on_data returned.
 */
int reply_feed(struct reply *r, const char *data, size_t len);
/* The connection was closed in an orderly way. 1: that was the end of the body; -ECONNRESET. */
int reply_end(const struct reply *r);

#endif
