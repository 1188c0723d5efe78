/* The other end of an Adj-RIB-Out: decodes what was written and keeps what a peer would then have. */
#ifndef UNDERLAY_RECEIVER_H
#define UNDERLAY_RECEIVER_H

#include <stdlib.h>
#include <string.h>

#include "rib/adjout.h"
#include "unit.h"

#define RECEIVER_MAX 4096
#define EXPORT_AS    64512

struct receiver {
    struct nexthop_table *nexthops;
    struct attr_table *attrs;
    struct update_ctx ctx;
    struct {
        struct prefix prefix;
        uint32_t id;
        const struct attr *attr;
    } has[RECEIVER_MAX];
    unsigned n;
    unsigned messages, announced, withdrawn, spurious; /* spurious: withdrawn without being there */
    bool withdrew_after_announcing;
    unsigned eor[FAM_COUNT];
    size_t max_len; /* of a message */
};

static inline struct receiver *receiver_new(bool ebgp)
{
    struct receiver *v = calloc(1, sizeof *v);
    v->max_len = BGP_MAX_LEN;
    v->nexthops = nexthop_table_new(NULL, NULL);
    v->attrs = attr_table_new(v->nexthops);
    v->ctx = (struct update_ctx){.attrs = v->attrs,
                                 .local_as = ebgp ? 65500 : EXPORT_AS,
                                 .peer_as = EXPORT_AS,
                                 .ebgp = ebgp,
                                 .as4 = true,
                                 .family = {true, true}};
    return v;
}

static inline void receiver_clear(struct receiver *v)
{
    for (unsigned i = 0; i < v->n; i++)
        attr_unref(v->attrs, v->has[i].attr);
    v->n = v->messages = v->announced = v->withdrawn = v->spurious = 0;
    v->eor[FAM_IPV4] = v->eor[FAM_IPV6] = 0;
    v->withdrew_after_announcing = false;
}

static inline void receiver_free(struct receiver *v)
{
    receiver_clear(v);
    CU_ASSERT_EQUAL(attr_table_count(v->attrs), 0);
    attr_table_free(v->attrs);
    nexthop_table_free(v->nexthops);
    free(v);
}

static inline const struct attr *receiver_has(const struct receiver *v, const struct prefix *p)
{
    for (unsigned i = 0; i < v->n; i++)
        if (prefix_equal(&v->has[i].prefix, p))
            return v->has[i].attr;
    return NULL;
}

/* a NULL: withdrawn. */
static inline void receiver_note(struct receiver *v, const struct prefix *p, uint32_t id,
                                 const struct attr *a)
{
    unsigned i = 0;
    while (i < v->n && (v->has[i].id != id || !prefix_equal(&v->has[i].prefix, p)))
        i++;
    if (i < v->n) {
        attr_unref(v->attrs, v->has[i].attr);
        v->has[i] = v->has[--v->n];
    } else {
        v->spurious += !a;
    }
    if (!a)
        return;
    CU_ASSERT_FATAL(v->n < RECEIVER_MAX);
    v->has[v->n].prefix = *p;
    v->has[v->n].id = id;
    v->has[v->n++].attr = attr_ref(a);
}

static inline void receiver_update(struct receiver *v, const uint8_t *body, size_t len)
{
    struct update u;
    CU_ASSERT_EQUAL_FATAL(update_decode(&v->ctx, body, len, &u), 0);
    CU_ASSERT_EQUAL_FATAL(u.action, UPDATE_OK);
    for (enum family f = 0; f < FAM_COUNT; f++) {
        v->eor[f] += u.eor[f];
        for (int i = 0; i < 2; i++) {
            struct prefix p;
            uint32_t id;
            while (nlri_next_path(&u.withdrawn[f][i], f, v->ctx.add_path[f], &p, &id)) {
                receiver_note(v, &p, id, NULL);
                v->withdrawn++;
                v->withdrew_after_announcing |= v->announced > 0;
            }
            while (nlri_next_path(&u.reach[f][i], f, v->ctx.add_path[f], &p, &id)) {
                receiver_note(v, &p, id, u.attr[f][i]);
                v->announced++;
            }
        }
    }
    update_release(&v->ctx, &u);
}

static inline void receiver_take(struct receiver *v, const struct wire_writer *w)
{
    CU_ASSERT_FALSE(w->err);
    for (const uint8_t *p = w->start; p < w->p;) {
        enum bgp_msg_type type;
        struct bgp_error err;
        size_t len;
        CU_ASSERT_EQUAL_FATAL(msg_header_decode(p, v->max_len, &type, &len, &err), 0);
        CU_ASSERT_EQUAL(type, BGP_UPDATE);
        receiver_update(v, p + BGP_HEADER_LEN, len - BGP_HEADER_LEN);
        v->messages++;
        p += len;
    }
}

/* One fill of at most `room` bytes. Whether there is more. */
static inline bool receiver_fill(struct receiver *v, struct adjout *o, size_t room)
{
    static uint8_t buf[65536];
    bool more;
    struct wire_writer w = wire_writer(buf, room < sizeof buf ? room : sizeof buf);
    unsigned before = v->messages, n = adjout_fill(o, &w, &more);
    receiver_take(v, &w);
    CU_ASSERT_EQUAL(v->messages - before, n);
    CU_ASSERT_EQUAL(more, adjout_pending(o));
    return more;
}

static inline void receiver_drain(struct receiver *v, struct adjout *o)
{
    for (unsigned n = 0; receiver_fill(v, o, SIZE_MAX); n++)
        CU_ASSERT_FATAL(n < 10000);
}

static inline struct update_export receiver_export(bool ebgp)
{
    struct update_export x = {.ebgp = ebgp,
                              .as4 = true,
                              .local_as = EXPORT_AS,
                              .default_local_pref = 100,
                              .nexthop = {addr_v4(0xc0000201)},
                              .max_len = BGP_MAX_LEN};
    addr_parse("2001:db8::1", &x.nexthop[FAM_IPV6]);
    return x;
}

#endif
