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
 * That a next hop is dead goes with its watch: the other process knows it only while it watches, and forgets
 * it with the watch. So the word on it comes after the watch has begun, and one that went and came back, with
 * its watch never ended, is not left dead.
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

static int make_room(struct fibwatch *w, uint32_t id)
{
    if (id < w->room)
        return 0;
    uint32_t room = id < 32 ? 64 : 2 * id;
    struct fibwatch_told *told = realloc(w->told, room * sizeof *told);
    if (!told)
        return -ENOMEM;
    memset(told + w->room, 0, (room - w->room) * sizeof *told);
    w->told = told;
    w->room = room;
    return 0;
}

int fibwatch_judge(struct fibwatch *w, uint32_t id)
{
    int rc = make_room(w, id);
    return rc ? rc : dirty_set(&w->judged, id);
}

int fibwatch_touch(struct fibwatch *w, uint32_t id)
{
    int rc = fibwatch_judge(w, id);
    return rc ? rc : dirty_set(&w->changed, id);
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

static void tell_watches(struct fibwatch *w, const struct nexthop_table *t, fibwatch_send *send, void *arg)
{
    struct batch b = {.type = FM_NEXTHOP_UNWATCH, .send = send, .arg = arg};
    uint32_t id;

    for (id = dirty_next(&w->changed, 0); id != DIRTY_NONE; id = dirty_next(&w->changed, id + 1)) {
        struct fm_nexthop is = now(t, id);
        if (!memcmp(&w->told[id].nexthop, &is, sizeof is))
            continue;
        if (w->told[id].nexthop.af)
            batch_add(&b, &w->told[id].nexthop);
        w->told[id] = (struct fibwatch_told){.nexthop = is};
    }
    batch_send(&b);
    b.type = FM_NEXTHOP_WATCH;
    while ((id = dirty_next(&w->changed, 0)) != DIRTY_NONE) {
        if (w->told[id].nexthop.af)
            batch_add(&b, &w->told[id].nexthop);
        dirty_clear(&w->changed, id);
    }
    batch_send(&b);
}

static void tell_deaths(struct fibwatch *w, const struct nexthop_table *t, fibwatch_send *send, void *arg)
{
    struct batch dead = {.type = FM_NEXTHOP_DEAD, .send = send, .arg = arg};
    struct batch alive = {.type = FM_NEXTHOP_ALIVE, .send = send, .arg = arg};
    uint32_t id;

    while ((id = dirty_next(&w->judged, 0)) != DIRTY_NONE) {
        const struct nexthop *nh = nexthop_by_id(t, id);
        dirty_clear(&w->judged, id);
        if (!nh || nh->dead == w->told[id].dead)
            continue;
        w->told[id].dead = nh->dead;
        batch_add(nh->dead ? &dead : &alive, &w->told[id].nexthop);
    }
    batch_send(&dead);
    batch_send(&alive);
}

void fibwatch_flush(struct fibwatch *w, const struct nexthop_table *t, fibwatch_send *send, void *arg)
{
    tell_watches(w, t, send, arg);
    tell_deaths(w, t, send, arg);
}

void fibwatch_reset(struct fibwatch *w)
{
    dirty_reset(&w->changed);
    dirty_reset(&w->judged);
    free(w->told);
    *w = (struct fibwatch){0};
}
