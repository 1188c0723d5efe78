/* A whole BGP message as one line of text, for people who watch a session (`debug PEER`). Pure, and a decoder
 * of its own: it reads what the codec refuses, so it trusts no byte, and nothing that it does depends on the
 * codec's tables being right. */
#ifndef UNDERLAY_WIRE_FORMAT_H
#define UNDERLAY_WIRE_FORMAT_H

#include "prefix.h"
#include "wire/msg.h"

#define MSG_FORMAT_SIZE 1024 /* a buffer that holds what is worth reading of a message */

/* What the bytes do not say by themselves. All false: as before an OPEN. */
struct msg_format_ctx {
    bool as4;                 /* AS_PATH and AGGREGATOR have 4-octet numbers (RFC 6793) */
    bool add_path[FAM_COUNT]; /* NLRI begins with a path identifier (RFC 7911), in the direction of the
                                 message */
    unsigned most_nlri;       /* prefixes shown of one list, the rest is counted; 0: 6 */
};

/* msg: the message with its header, len bytes of it (any number). Writes at most size bytes (1 and more) with
 * the final zero: printable text without a line break, cut with "..." where it is too long. What cannot be
 * read is shown as hex, a bounded piece of it, after "malformed". 0, or -EBADMSG when there was such a part.
 */
int msg_format(const uint8_t *msg, size_t len, const struct msg_format_ctx *ctx, char *buf, size_t size);

#endif
