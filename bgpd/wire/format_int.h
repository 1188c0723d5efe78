/* Between the files of the message formatter. */
#ifndef UNDERLAY_WIRE_FORMAT_INT_H
#define UNDERLAY_WIRE_FORMAT_INT_H

#include "wire/format.h"

/* The line being written. What does not fit is dropped, and the end says so. */
struct text {
    char *start, *p, *end; /* end: where the final zero goes at the latest */
    bool cut, bad;
    const struct msg_format_ctx *ctx;
};

void text_say(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_hex(struct text *t, const uint8_t *p, size_t n); /* the first bytes, and how many there are */
/* "malformed WHAT: HEX". */
void text_bad(struct text *t, const char *what, const uint8_t *p, size_t n);
void text_addr(struct text *t, uint8_t af, const uint8_t *p);
void text_family(struct text *t, uint16_t afi, uint8_t safi); /* "ipv4 unicast", "afi 25 safi 70" */

/* A list of which only the first ones are shown: for each item, `if (list_more(&l)) text_say(...)`, at the
 * end list_end. */
struct list {
    unsigned n, most;
};
static inline bool list_more(struct list *l)
{
    return l->n++ < l->most;
}
void list_end(struct text *t, const struct list *l);

void format_open(struct text *t, const uint8_t *body, size_t n);
void format_update(struct text *t, const uint8_t *body, size_t n);

#endif
