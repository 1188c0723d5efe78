/* Adj-RIB-In as it is handed over: attributes, each before the first route with it and numbered in that
 * order, and routes that name them. The table is walked once, whatever the number of peers.
 *
 * Routes are written as they were received, so that the new process judges them by its own import policy. Of
 * those that a policy changed and whose peer can send them again, only what the policy made of them is known;
 * they are put back as that and come again with the refresh. What is stale is put back first and made stale
 * then, which costs a second pass only when there is any. */
#include <errno.h>
#include <stdlib.h>

#include "handover_io.h"
#include "handover_state.h"
#include "rib/rib.h"
#include "speaker.h"
#include "wire/aspath.h"

enum { REC_END, REC_ATTR, REC_ROUTE };
enum { ROUTE_STALE = 1, ROUTE_JUDGED = 2, ROUTE_IPV6 = 4, ROUTE_PATH_ID = 8 };

/* Attributes */

/* Octets of which a part is a multiple; 0: not of one length. */
static const uint8_t unit[PART_COUNT] = {
    [PART_COMMUNITY] = 4, [PART_LARGE] = 12, [PART_EXTENDED] = 8, [PART_CLUSTER] = 4, [PART_OTC] = 4};

static bool unknown_is_sound(const uint8_t *p, size_t n)
{
    while (n >= 4) {
        size_t len = 4u + (size_t)(p[2] << 8 | p[3]);
        if (len > n)
            return false;
        p += len;
        n -= len;
    }
    return !n;
}

static bool part_is_sound(enum attr_part part, const uint8_t *p, size_t n)
{
    if (part == PART_AS_PATH)
        return !n || aspath_check(p, n, 4, true);
    if (part == PART_UNKNOWN)
        return unknown_is_sound(p, n);
    return n % unit[part] == 0 && (part != PART_OTC || n <= 4);
}

static void attr_fields(struct handover_io *io, struct attr_build *b)
{
    hio_addr(io, &b->nexthop);
    HIO(io, b->nexthop_scope);
    HIO(io, b->med);
    HIO(io, b->local_pref);
    HIO(io, b->aggregator_as);
    HIO(io, b->aggregator_id);
    HIO(io, b->originator_id);
    HIO(io, b->flags);
    HIO(io, b->origin);
    HIO(io, b->partial);
    for (enum attr_part part = 0; part < PART_COUNT; part++) {
        HIO(io, b->part_len[part]);
        b->part[part] = hio_view(io, b->part[part], b->part_len[part]);
        if (!io->error && !io->writing && !part_is_sound(part, b->part[part], b->part_len[part]))
            hio_fail(io);
    }
    if (b->origin > ORIGIN_INCOMPLETE)
        hio_fail(io);
}

/* Out */

struct saving {
    struct handover_io *io;
    const struct rib *rib;
    uint32_t *number; /* of an attribute, by id; 0: not written yet */
    uint32_t room, n;
    uint16_t *session; /* by number of the source, plus one; 0: none */
    uint32_t n_sources;
};

static uint32_t attr_number(struct saving *v, const struct attr *a)
{
    if (a->id >= v->room) {
        uint32_t room = a->id * 2 + 1024;
        uint32_t *grown = realloc(v->number, room * sizeof *grown);
        if (!grown) {
            v->io->error = -ENOMEM;
            return 0;
        }
        memset(grown + v->room, 0, (room - v->room) * sizeof *grown);
        v->number = grown;
        v->room = room;
    }
    if (!v->number[a->id]) {
        uint8_t tag = REC_ATTR;
        struct attr_build b;
        attr_to_build(rib_attrs(v->rib), a, &b);
        HIO(v->io, tag);
        attr_fields(v->io, &b);
        v->number[a->id] = ++v->n;
    }
    return v->number[a->id];
}

static void save_path(struct saving *v, enum family f, const struct rib_entry *e, uint32_t index)
{
    const struct rib_path *path = rib_path(v->rib, index);
    const struct rib_peer *from = rib_peer_by_number(v->rib, path->peer);
    bool stale = rib_path_is_stale(v->rib, f, path);
    if (!path->peer || path->peer >= v->n_sources || !v->session[path->peer] ||
        (!stale && path->gen != from->gen[f]))
        return; /* ours, of a session that stays behind, or waiting for the sweep */
    const struct attr *received = rib_path_received(v->rib, index);
    uint32_t attr = attr_number(v, received ? received : rib_path_attr(v->rib, path));
    uint32_t id = rib_path_id(v->rib, index);
    uint16_t session = v->session[path->peer] - 1;
    uint8_t tag = REC_ROUTE, flags = (uint8_t)((stale ? ROUTE_STALE : 0) | (received ? 0 : ROUTE_JUDGED) |
                                               (f == FAM_IPV6 ? ROUTE_IPV6 : 0) | (id ? ROUTE_PATH_ID : 0));
    struct prefix p;
    rib_entry_prefix(v->rib, f, e, &p);
    HIO(v->io, tag);
    HIO(v->io, flags);
    HIO(v->io, session);
    HIO(v->io, attr);
    if (id)
        HIO(v->io, id);
    hio_prefix(v->io, f, &p);
}

void handover_save_routes(struct speaker *s, struct handover_io *io, struct peer *const *sessions, unsigned n)
{
    struct saving v = {.io = io, .rib = s->rib};
    uint8_t end = REC_END;

    for (unsigned i = 0; i < n; i++)
        if (peer_rib(sessions[i])->number >= v.n_sources)
            v.n_sources = peer_rib(sessions[i])->number + 1u;
    v.session = calloc(v.n_sources + 1, sizeof *v.session);
    if (!v.session)
        io->error = -ENOMEM;
    for (unsigned i = 0; v.session && i < n; i++)
        v.session[peer_rib(sessions[i])->number] = (uint16_t)(i + 1);
    for (enum family f = 0; f < FAM_COUNT; f++)
        for (uint32_t i = 1; i < rib_limit(s->rib, f) && !io->error; i++) {
            if (!rib_entry_used(s->rib, f, i))
                continue;
            const struct rib_entry *e = rib_entry(s->rib, f, i);
            for (uint32_t path = e->paths; path; path = rib_path(s->rib, path)->next)
                save_path(&v, f, e, path);
        }
    HIO(io, end);
    free(v.session);
    free(v.number);
}

/* In */

struct loading {
    struct handover_io *io;
    struct speaker *s;
    struct peer *const *sessions;
    unsigned n_sessions;
    const struct attr **attrs;
    uint32_t n, room;
    uint32_t routes;
    /* Routes of one family that are read and not in the table yet; see rib_prefetch. */
    enum family f;
    unsigned n_waiting;
    struct prefix prefix[RIB_PREFETCH];
    struct waiting {
        struct rib_peer *from;
        const struct attr *attr;
        uint32_t id;
        bool judged;
    } waiting[RIB_PREFETCH];
};

static void put_waiting(struct loading *v)
{
    struct rib *rib = v->s->rib;
    unsigned n = v->n_waiting;
    rib_prefetch(rib, v->f, v->prefix, n);
    for (unsigned i = 0; i < n && !v->io->error; i++) {
        const struct waiting *w = &v->waiting[i];
        int r = w->judged ? rib_restore(rib, v->f, &v->prefix[i], w->from, w->id, w->attr)
                          : rib_update(rib, v->f, &v->prefix[i], w->from, w->id, w->attr);
        if (r && r != -ENOSPC)
            v->io->error = r;
    }
    v->routes += n;
    v->n_waiting = 0;
}

static void load_attr(struct loading *v, bool known)
{
    struct attr_build b = {0};
    attr_fields(v->io, &b);
    if (v->io->error || known)
        return;
    if (v->n == v->room) {
        uint32_t room = v->room * 2 + 256;
        const struct attr **grown = realloc(v->attrs, room * sizeof *grown);
        if (!grown) {
            v->io->error = -ENOMEM;
            return;
        }
        v->attrs = grown;
        v->room = room;
    }
    v->attrs[v->n] = attr_intern(v->s->attrs, &b);
    if (v->attrs[v->n])
        v->n++;
    else
        v->io->error = -ENOMEM;
}

static void load_route(struct loading *v, bool stale_ones)
{
    uint8_t flags;
    uint16_t session;
    uint32_t attr, id = 0;
    struct prefix p;

    HIO(v->io, flags);
    HIO(v->io, session);
    HIO(v->io, attr);
    if (flags & ROUTE_PATH_ID)
        HIO(v->io, id);
    enum family f = flags & ROUTE_IPV6 ? FAM_IPV6 : FAM_IPV4;
    hio_prefix(v->io, f, &p);
    if (session >= v->n_sessions || !attr || attr > v->n)
        hio_fail(v->io);
    if (v->io->error || !(flags & ROUTE_STALE) == stale_ones || !v->sessions[session])
        return;
    if (v->n_waiting == RIB_PREFETCH || v->f != f)
        put_waiting(v);
    v->f = f;
    v->prefix[v->n_waiting] = p;
    v->waiting[v->n_waiting++] = (struct waiting){.from = peer_rib(v->sessions[session]),
                                                  .attr = v->attrs[attr - 1],
                                                  .id = id,
                                                  .judged = flags & ROUTE_JUDGED};
}

static void load_pass(struct loading *v, bool stale_ones, bool attrs_known)
{
    uint8_t tag = REC_END;
    do {
        HIO(v->io, tag);
        if (tag == REC_ATTR)
            load_attr(v, attrs_known);
        else if (tag == REC_ROUTE)
            load_route(v, stale_ones);
        else if (tag != REC_END)
            hio_fail(v->io);
    } while (tag != REC_END && !v->io->error);
    put_waiting(v);
}

uint32_t handover_load_routes(struct speaker *s, struct handover_io *io, struct peer *const *sessions,
                              unsigned n)
{
    struct loading v = {.io = io, .s = s, .sessions = sessions, .n_sessions = n};
    struct wire_reader start = io->r;
    bool any = false;

    rib_set_now(s->rib, (loop_now_ms() - s->started_ms) / 1000);
    for (unsigned i = 0; i < n; i++)
        any |= peer_handover_is_stale(sessions[i]);
    if (any) {
        load_pass(&v, true, false);
        for (unsigned i = 0; i < n; i++)
            for (enum family f = 0; sessions[i] && f < FAM_COUNT; f++)
                rib_peer_stale_too(s->rib, peer_rib(sessions[i]), f);
        io->r = start;
    }
    load_pass(&v, false, any);
    for (uint32_t i = 0; i < v.n; i++)
        attr_unref(s->attrs, v.attrs[i]);
    free(v.attrs);
    return v.routes;
}
