/* Which next hops the FIB process is to watch, as a queue that cannot grow: by id in a dirty set, compared
 * with what it was told last when there is room to tell it more. */
#ifndef UNDERLAY_FIBWATCH_H
#define UNDERLAY_FIBWATCH_H

#include "lib/dirty.h"
#include "rib/nexthop.h"

struct fibwatch_told {
    struct fm_nexthop nexthop; /* af 0: nothing */
    bool dead;
};
struct fibwatch {               /* zero-initialise */
    struct dirty changed;       /* ids */
    struct dirty judged;        /* ids that may be dead, or not any more */
    struct fibwatch_told *told; /* by id */
    uint32_t room;
};
/* FM_NEXTHOP_WATCH, _UNWATCH, _DEAD or _ALIVE with n records. */
typedef void fibwatch_send(void *arg, enum fm_type type, const void *records, uint32_t n);

int fibwatch_touch(struct fibwatch *w, uint32_t id); /* it came or went: 0 or -ENOMEM */
int fibwatch_judge(struct fibwatch *w, uint32_t id); /* it died or is alive again: the same */
/* Tells what has changed since the last time. */
void fibwatch_flush(struct fibwatch *w, const struct nexthop_table *t, fibwatch_send *send, void *arg);
void fibwatch_reset(struct fibwatch *w);
struct fm_nexthop nexthop_record(const struct nexthop *nh);

#endif
