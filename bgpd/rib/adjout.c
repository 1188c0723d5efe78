/* Adj-RIB-Out: per peer and prefix one bit "the peer has it from us" and one bit "something is to be said".
 *
 * What is said is read from the RIB when it is said: the best path then, or a withdrawal. So a prefix that
 * flaps while the peer is slow costs one message, and no copy of attributes is kept. A fill gathers a batch
 * of dirty prefixes, sorts what is to be announced by attribute object, and packs each run into as few
 * UPDATEs as fit; withdrawals go first, as they make room at the peer. What does not fit in the caller's
 * buffer stays dirty.
 *
 * With ADD-PATH a family is served by adjout_paths.c, which knows what was said path by path.
 *
 * A peer that gets only what the node originates subscribes to just that, so the size of the learned table
 * costs it nothing. A change of mode is compared against the table by a walk in steps; a ROUTE-REFRESH just
 * marks all.
 *
 * How attributes change on their way out is the business of a policy, if there is one (adjout_policy.c), and
 * then of the codec (update_encode_reach). Prefixes are sorted by what the policy makes of them. */
#include "rib/adjout_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/community.h"
#include "wire/otc.h"

struct batch {
    unsigned n_reach, n_unreach;
    uint32_t unreach[BATCH];
    uint64_t reach[BATCH]; /* attribute id, index */
    uint64_t sorted[BATCH];
    struct prefix prefixes[BATCH];
};

static void on_wake(void *arg)
{
    struct adjout *o = arg;
    if (o->wake)
        o->wake(o->arg);
}

static bool on_holds(void *arg, enum family f, uint32_t index)
{
    const struct adjout *o = arg;
    return dirty_test(&o->fam[f].has, index);
}

struct adjout *adjout_new(struct rib *r, struct rib_peer *peer, void (*wake)(void *arg), void *arg)
{
    struct adjout *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->rib = r;
    o->peer = peer;
    o->wake = wake;
    o->arg = arg;
    o->sub = (struct rib_sub){.wake = on_wake, .holds = on_holds, .arg = o};
    return o;
}

void adjout_free(struct adjout *o)
{
    if (!o)
        return;
    adjout_stop(o);
    out_policy_reset(&o->policy);
    free(o);
}

static bool wants_learned(const struct adjout *o)
{
    for (enum family f = 0; f < FAM_COUNT; f++)
        if (o->fam[f].on && (o->fam[f].mode == EXPORT_ALL || (o->fam[f].mode == EXPORT_BY_POLICY &&
                                                              policy_may_accept_learned(o->policy.policy))))
            return true;
    return false;
}

int adjout_start(struct adjout *o, const struct update_export *x, enum export_mode mode,
                 const bool family[FAM_COUNT])
{
    adjout_stop(o);
    o->x = *x;
    o->running = true;
    o->resumed = false;
    for (enum family f = 0; f < FAM_COUNT; f++) {
        o->fam[f] = (struct out_family){
            .mode = mode, .on = family[f], .eor_due = family[f], .add_path = family[f] && x->add_path[f]};
        o->sub.family[f] = family[f];
        o->sub.all_paths[f] = o->fam[f].add_path;
        if (o->fam[f].add_path)
            paths_start(o, f);
    }
    o->sub.originated_only = !wants_learned(o);
    rib_subscribe(o->rib, &o->sub);
    int err = 0;
    for (enum family f = 0; f < FAM_COUNT && !err; f++)
        err = rib_mark_all(o->rib, &o->sub, f);
    if (err)
        adjout_stop(o);
    else
        on_wake(o); /* End-of-RIB is to be sent even if there is nothing else */
    return err;
}

void adjout_hold_eor(struct adjout *o, bool hold)
{
    bool freed = o->eor_held && !hold;
    o->eor_held = hold;
    if (freed && o->running)
        on_wake(o);
}

bool adjout_waits(const struct adjout *o)
{
    return o->resumed && o->eor_held;
}

void adjout_resume(struct adjout *o, enum family f, bool eor_sent)
{
    struct out_family *of = &o->fam[f];
    o->resumed = true;
    of->eor_sent = of->on && eor_sent;
    of->eor_due = of->on && !eor_sent;
}

/* It may well be that nobody has the prefix any more: then the entry lives for the withdrawal. */
int adjout_resume_prefix(struct adjout *o, enum family f, const struct prefix *p, uint32_t path_id)
{
    struct out_family *of = &o->fam[f];
    if (!of->on)
        return 0;
    uint32_t index = rib_hold(o->rib, f, p, o->sub.originated_only);
    if (!index)
        return -ENOMEM;
    int err = of->add_path ? paths_resume(o, f, index, path_id) : dirty_set(&of->has, index);
    if (!err)
        err = dirty_set(&o->sub.dirty[f], index);
    if (err)
        rib_release(o->rib, f, index);
    return err;
}

void adjout_each(const struct adjout *o, enum family f,
                 void (*cb)(void *arg, const struct prefix *p, uint32_t path_id), void *arg)
{
    const struct out_family *of = &o->fam[f];
    for (uint32_t i = dirty_next(&of->has, 0); i != DIRTY_NONE; i = dirty_next(&of->has, i + 1)) {
        struct prefix p;
        rib_entry_prefix(o->rib, f, rib_entry(o->rib, f, i), &p);
        if (of->add_path)
            paths_each(o, f, i, cb, arg);
        else
            cb(arg, &p, 0);
    }
}

void adjout_stop(struct adjout *o)
{
    if (!o->running)
        return;
    o->running = false;
    for (enum family f = 0; f < FAM_COUNT; f++) {
        dirty_reset(&o->fam[f].has);
        paths_stop(o, f);
        o->fam[f] = (struct out_family){0};
    }
    rib_unsubscribe(o->rib, &o->sub);
    out_policy_reset(&o->before);
}

int adjout_resend(struct adjout *o, enum family f, enum export_mode mode, bool force)
{
    struct out_family *of = &o->fam[f];
    bool changed = mode != of->mode || of->changed;
    if (!o->running || !of->on || (!changed && !force))
        return 0;
    if (changed) {
        of->unsure |= of->scan != 0;
        of->before = of->mode;
        of->mode = mode;
        of->changed = false;
        of->scan = 1;
        if (wants_learned(o)) /* else when all that is learned is withdrawn */
            rib_sub_set_originated_only(o->rib, &o->sub, false);
    }
    of->sent.epoch += force;
    int err = force ? rib_mark_all(o->rib, &o->sub, f) : 0;
    on_wake(o);
    return err;
}

/* What a received path's communities forbid. On what we originate they are meant for those behind the peer.
 */
static bool community_forbids(const struct attr *a, bool ebgp)
{
    uint16_t len;
    const uint8_t *p = attr_part(a, PART_COMMUNITY, &len);
    for (; len >= 4; p += 4, len -= 4) {
        uint32_t c = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        if (c == COMMUNITY_NO_ADVERTISE || (ebgp && (c == COMMUNITY_NO_EXPORT || c == COMMUNITY_LOCAL_AS)))
            return true;
    }
    return false;
}

static bool may_go(const struct adjout *o, enum family f, const struct rib_path *p)
{
    const struct out_family *of = &o->fam[f];
    if (!of->on || of->mode == EXPORT_NONE || !o->x.nexthop[f].af)
        return false;
    if (!p->peer)
        return !(rib_path_attr(o->rib, p)->flags & ATTR_WITHHELD);
    if (of->mode == EXPORT_ORIGINATED || p->peer == o->peer->number)
        return false;
    /* RFC 4271 9.2: what an internal peer told us is not for another one. */
    if (o->peer->ibgp && rib_peer_by_number(o->rib, p->peer)->ibgp)
        return false;
    const struct attr *a = rib_path_attr(o->rib, p);
    if (a->part_len[PART_OTC] && otc_peer_is_above(o->x.role)) /* RFC 9234 section 5, egress 2 */
        return false;
    if (a->flags & ATTR_LLGR_STALE && !o->x.llgr) /* RFC 9494 4.3 */
        return false;
    /* RFC 7999 3.2: as if it had NO_EXPORT, unless a policy says otherwise. */
    if (a->flags & ATTR_BLACKHOLE && !o->peer->ibgp && of->mode != EXPORT_BY_POLICY)
        return false;
    return !community_forbids(a, !o->peer->ibgp);
}

int adjout_path_attr(struct adjout *o, enum family f, const struct rib_entry *e, const struct rib_path *p,
                     const struct attr **a)
{
    /* The best path is what the last decision says, until the next one tells us: also one of a session that
     * is over and not swept yet, or that may come again the same without a word to us. */
    if ((o->fam[f].add_path && !rib_path_usable(o->rib, f, p)) || !may_go(o, f, p))
        return 0;
    if (o->fam[f].mode == EXPORT_BY_POLICY)
        return out_policy_apply(&o->policy, o, f, e, p, a);
    *a = rib_path_attr(o->rib, p);
    return 1;
}

const struct attr *adjout_attr(struct adjout *o, enum family f, const struct rib_entry *e,
                               const struct rib_path *p)
{
    const struct attr *a;
    return adjout_path_attr(o, f, e, p, &a) > 0 ? a : NULL;
}

const struct rib_path *adjout_exportable(const struct adjout *o, enum family f, const struct rib_entry *e)
{
    const struct rib_path *best = rib_best(o->rib, e);
    return best && may_go(o, f, best) ? best : NULL;
}

void adjout_served(struct adjout *o, enum family f, uint32_t index)
{
    dirty_clear(&o->sub.dirty[f], index);
    if (rib_entry_used(o->rib, f, index) && !rib_entry(o->rib, f, index)->paths)
        rib_release(o->rib, f, index);
}

static void gather(struct adjout *o, enum family f, unsigned limit, struct batch *b)
{
    const struct dirty *d = &o->sub.dirty[f];
    unsigned looked_at = 0; /* those of which nothing is to be said cost time too */
    b->n_reach = b->n_unreach = 0;
    for (uint32_t i = dirty_next(d, 0);
         i != DIRTY_NONE && b->n_reach + b->n_unreach < limit && looked_at < SCAN_STEP;
         i = dirty_next(d, i + 1), looked_at++) {
        const struct rib_entry *e = rib_entry_used(o->rib, f, i) ? rib_entry(o->rib, f, i) : NULL;
        const struct rib_path *best = e ? rib_best(o->rib, e) : NULL;
        const struct attr *a;
        int may = best ? adjout_path_attr(o, f, e, best, &a) : 0;
        o->no_memory |= may < 0;
        if (may < 0)
            continue; /* stays dirty */
        if (may)
            b->reach[b->n_reach++] = (uint64_t)adjout_hold(&o->fam[f], a) << 32 | i;
        else if (dirty_test(&o->fam[f].has, i))
            b->unreach[b->n_unreach++] = i;
        else
            adjout_served(o, f, i);
    }
}

/* By attribute id, least significant digit first; stable, so that indices stay in order and neighbours stay
 * together. */
void adjout_sort(uint64_t *v, uint64_t *scratch, unsigned n)
{
    uint32_t differ = 0;
    for (unsigned i = 1; i < n; i++)
        differ |= (uint32_t)((v[i] ^ v[0]) >> 32);
    for (unsigned shift = 32; shift < 64; shift += 8) {
        if (!(differ >> (shift - 32) & 0xff))
            continue;
        unsigned at[257] = {0};
        for (unsigned i = 0; i < n; i++)
            at[(v[i] >> shift & 0xff) + 1]++;
        for (unsigned i = 0; i < 256; i++)
            at[i + 1] += at[i];
        for (unsigned i = 0; i < n; i++)
            scratch[at[v[i] >> shift & 0xff]++] = v[i];
        memcpy(v, scratch, n * sizeof *v);
    }
}

bool adjout_room(const struct adjout *o, const struct wire_writer *w)
{
    return wire_room(w) >= o->x.max_len && !w->err;
}

static unsigned write_unreach(struct adjout *o, struct wire_writer *w, enum family f, struct batch *b)
{
    unsigned messages = 0;
    for (unsigned i = 0; i < b->n_unreach; i++)
        rib_entry_prefix(o->rib, f, rib_entry(o->rib, f, b->unreach[i]), &b->prefixes[i]);
    for (unsigned done = 0; done < b->n_unreach && adjout_room(o, w); messages++) {
        unsigned n = update_encode_unreach(w, &o->x, f, b->prefixes + done, b->n_unreach - done);
        if (!n)
            break;
        for (unsigned i = done; i < done + n; i++) {
            dirty_clear(&o->fam[f].has, b->unreach[i]);
            adjout_served(o, f, b->unreach[i]);
        }
        done += n;
    }
    return messages;
}

/* Attributes that fit in no message (RFC 4271 9.2: not advertised): what the peer has of them is withdrawn.
 */
static unsigned give_up(struct adjout *o, struct wire_writer *w, enum family f, struct batch *b,
                        unsigned from, unsigned to)
{
    b->n_unreach = 0;
    for (unsigned i = from; i < to; i++) {
        uint32_t index = (uint32_t)b->reach[i];
        if (dirty_test(&o->fam[f].has, index))
            b->unreach[b->n_unreach++] = index;
        else
            adjout_served(o, f, index);
    }
    return write_unreach(o, w, f, b);
}

/* One run of prefixes with the same attributes. */
static unsigned write_run(struct adjout *o, struct wire_writer *w, enum family f, struct batch *b,
                          unsigned from, unsigned to)
{
    unsigned messages = 0;
    const struct attr *a = attr_by_id(rib_attrs(o->rib), (uint32_t)(b->reach[from] >> 32));
    for (unsigned i = from; i < to; i++)
        rib_entry_prefix(o->rib, f, rib_entry(o->rib, f, (uint32_t)b->reach[i]), &b->prefixes[i - from]);
    for (unsigned done = from; done < to && adjout_room(o, w); messages++) {
        unsigned n =
            update_encode_reach(w, &o->x, rib_attrs(o->rib), a, f, b->prefixes + (done - from), to - done);
        if (!n)
            return messages + give_up(o, w, f, b, done, to);
        for (unsigned end = done + n; done < end; done++) {
            uint32_t index = (uint32_t)b->reach[done];
            if (dirty_set(&o->fam[f].has, index))
                continue; /* out of memory: stays dirty and is said once more */
            dirty_clear(&o->sub.dirty[f], index);
        }
    }
    return messages;
}

static unsigned batch_limit(const struct wire_writer *w)
{
    size_t limit = wire_room(w) / 4;
    return limit > BATCH ? BATCH : limit < BATCH_LEAST ? BATCH_LEAST : (unsigned)limit;
}

static unsigned write_batch(struct adjout *o, struct wire_writer *w, enum family f)
{
    struct batch b;
    gather(o, f, batch_limit(w), &b);
    unsigned n_held = b.n_reach;
    adjout_sort(b.reach, b.sorted, b.n_reach);
    unsigned messages = write_unreach(o, w, f, &b);
    for (unsigned from = 0, to; from < b.n_reach && adjout_room(o, w); from = to) {
        for (to = from + 1; to < b.n_reach && b.reach[to] >> 32 == b.reach[from] >> 32; to++)
            ;
        messages += write_run(o, w, f, &b, from, to);
    }
    adjout_release(o, f, b.reach, n_held);
    return messages;
}

/* After a change of mode: marks what the peer has and should not have, or the other way round. */
static void scan_step(struct adjout *o, enum family f)
{
    struct out_family *of = &o->fam[f];
    uint32_t limit = rib_limit(o->rib, f);
    for (unsigned n = 0; n < SCAN_STEP && of->scan < limit; n++, of->scan++) {
        if (!rib_entry_used(o->rib, f, of->scan))
            continue;
        bool differs = of->add_path ? paths_differ(o, f, of->scan) : out_policy_differs(o, f, of->scan);
        if (differs && dirty_set(&o->sub.dirty[f], of->scan))
            return; /* out of memory: goes on from here */
    }
    if (of->scan < limit)
        return;
    of->scan = 0;
    of->unsure = false;
    if (!o->fam[FAM_IPV4].scan && !o->fam[FAM_IPV6].scan)
        out_policy_reset(&o->before);
}

static bool family_pending(const struct adjout *o, enum family f)
{
    return o->fam[f].scan || (o->fam[f].eor_due && !o->eor_held) || o->sub.dirty[f].count;
}

bool adjout_family_pending(const struct adjout *o, enum family f)
{
    return o->running && family_pending(o, f);
}

bool adjout_pending(const struct adjout *o)
{
    return o->running && (family_pending(o, FAM_IPV4) || family_pending(o, FAM_IPV6));
}

unsigned adjout_fill(struct adjout *o, struct wire_writer *w, bool *more)
{
    unsigned messages = 0;
    o->no_memory = false;
    for (enum family f = 0; f < FAM_COUNT && o->running; f++) {
        struct out_family *of = &o->fam[f];
        if (of->scan)
            scan_step(o, f);
        if (o->sub.dirty[f].count && adjout_room(o, w))
            messages += of->add_path ? paths_write(o, w, f, batch_limit(w)) : write_batch(o, w, f);
        if (of->eor_due && !o->eor_held && !of->scan && !o->sub.dirty[f].count && adjout_room(o, w)) {
            update_encode_eor(w, f);
            of->eor_due = false;
            of->eor_sent = true;
            messages++;
        }
    }
    *more = adjout_pending(o);
    if (!*more && o->running && !o->sub.originated_only && !wants_learned(o))
        rib_sub_set_originated_only(o->rib, &o->sub, true);
    return messages;
}

bool adjout_no_memory(const struct adjout *o)
{
    return o->no_memory;
}

uint32_t adjout_count(const struct adjout *o, enum family f)
{
    return o->fam[f].add_path ? o->fam[f].sent.count : o->fam[f].has.count;
}

uint32_t adjout_queued(const struct adjout *o, enum family f)
{
    return o->sub.dirty[f].count;
}

bool adjout_eor_sent(const struct adjout *o, enum family f)
{
    return o->fam[f].eor_sent;
}

bool adjout_has(const struct adjout *o, enum family f, uint32_t index)
{
    return dirty_test(&o->fam[f].has, index);
}

uint64_t adjout_memory(const struct adjout *o)
{
    uint64_t sum = sizeof *o + policy_memo_memory(o->policy.memo);
    for (enum family f = 0; f < FAM_COUNT; f++)
        sum += dirty_memory(&o->fam[f].has) + dirty_memory(&o->sub.dirty[f]) + paths_memory(o, f);
    return sum;
}
