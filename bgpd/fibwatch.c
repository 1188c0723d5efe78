/* Watches of next hops, on their way to the FIB process.
 *
 * A peer may name a new next hop in every UPDATE, faster than the other process resolves them. A message for
 * each would pile up without end, so changes are kept as a set of ids, bounded by the table, and what a next
 * hop was in between is never told. Ids are used again at once: an id that now stands for another address
 * first ends the old watch.
 *
 * All ends go before all beginnings, because an address may have moved from one id to another, and the end of
 * the old watch must not end the new one. A next hop that went and came back is told once more, since the new
 * object waits for an answer of its own.
 *
 * Not here: when there is room (fibclient.c).
 */
#include "fibwatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 16 /* each takes the other process some time, between which it looks at the kernel */

struct batch {
    enum fm_type type;
    fibwatch_send *send;
    void *arg;
    uint32_t n;
    struct fm_nexthop records[BATCH];
};

struct fm_nexthop nexthop_record(const struct nexthop *nh)
{
    struct fm_nexthop r = {.af = nh->addr.af, .scope = nh->scope};
    memcpy(r.addr, nh->addr.b, sizeof r.addr);
    return r;
}

int fibwatch_touch(struct fibwatch *w, uint32_t id)
{
    if (id >= w->room) {
        uint32_t room = id < 32 ? 64 : 2 * id;
        struct fm_nexthop *told = realloc(w->told, room * sizeof *told);
        if (!told)
            return -ENOMEM;
        memset(told + w->room, 0, (room - w->room) * sizeof *told);
        w->told = told;
        w->room = room;
    }
    return dirty_set(&w->changed, id);
}

static void batch_send(struct batch *b)
{
    if (b->n)
        b->send(b->arg, b->type, b->records, b->n);
    b->n = 0;
}

static void batch_add(struct batch *b, const struct fm_nexthop *r)
{
    b->records[b->n++] = *r;
    if (b->n == BATCH)
        batch_send(b);
}

static struct fm_nexthop now(const struct nexthop_table *t, uint32_t id)
{
    const struct nexthop *nh = nexthop_by_id(t, id);
    return nh ? nexthop_record(nh) : (struct fm_nexthop){0};
}

void fibwatch_flush(struct fibwatch *w, const struct nexthop_table *t, fibwatch_send *send, void *arg)
{
    struct batch b = {.type = FM_NEXTHOP_UNWATCH, .send = send, .arg = arg};
    uint32_t id;

    for (id = dirty_next(&w->changed, 0); id != DIRTY_NONE; id = dirty_next(&w->changed, id + 1)) {
        struct fm_nexthop is = now(t, id);
        if (w->told[id].af && memcmp(&w->told[id], &is, sizeof is))
            batch_add(&b, &w->told[id]);
        w->told[id] = is;
    }
    batch_send(&b);
    b.type = FM_NEXTHOP_WATCH;
    while ((id = dirty_next(&w->changed, 0)) != DIRTY_NONE) {
        if (w->told[id].af)
            batch_add(&b, &w->told[id]);
        dirty_clear(&w->changed, id);
    }
    batch_send(&b);
}

void fibwatch_reset(struct fibwatch *w)
{
    dirty_reset(&w->changed);
    free(w->told);
    *w = (struct fibwatch){0};
}
