/* Judging what the speaker says. */
#ifndef UNDERLAY_FIB_DISPATCH_H
#define UNDERLAY_FIB_DISPATCH_H

#include "fib/internal.h"

struct dispatch *dispatch_new(struct fib *f);
void dispatch_free(struct dispatch *d);
void dispatch_reset(struct dispatch *d); /* a new speaker begins with FM_HELLO */
bool dispatch_is_ready(const struct dispatch *d);
/* One well-formed message; owns fd, which came with it (-1: none). 0, or -EPROTO when it is not valid (logged
 * with the reason): the speaker must go. */
int dispatch_message(struct dispatch *d, const struct fm_header *h, const void *records, int fd);

#endif
