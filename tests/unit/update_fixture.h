/* What the tests of UPDATE share: tables, a context per kind of peer, messages from hexadecimal text. */
#ifndef UNDERLAY_UPDATE_FIXTURE_H
#define UNDERLAY_UPDATE_FIXTURE_H

#include "fake_nexthop.h"
#include "hex.h"
#include "unit.h"
#include "wire/update.h"

enum peer_kind { EBGP, IBGP, OLD_EBGP, OLD_IBGP };

struct fixture {
    struct nexthop_table *nexthops;
    struct attr_table *attrs;
    struct update_ctx ctx;
    uint8_t body[BGP_MAX_LEN];
    size_t len;
    struct update u;
};

static inline void fixture_peer(struct fixture *x, enum peer_kind kind)
{
    x->ctx = (struct update_ctx){.attrs = x->attrs,
                                 .cache = x->ctx.cache,
                                 .local_as = 64512,
                                 .peer_as = kind == EBGP || kind == OLD_EBGP ? 65001 : 64512,
                                 .scope = 2,
                                 .ebgp = kind == EBGP || kind == OLD_EBGP,
                                 .as4 = kind == EBGP || kind == IBGP,
                                 .family = {true, true}};
}

static inline void fixture_open(struct fixture *x, enum peer_kind kind)
{
    memset(x, 0, sizeof *x);
    x->nexthops = nexthop_table_new(NULL, NULL);
    x->attrs = attr_table_new(x->nexthops);
    CU_ASSERT_FATAL(x->nexthops && x->attrs);
    fixture_peer(x, kind);
}

static inline void fixture_close(struct fixture *x)
{
    update_release(&x->ctx, &x->u);
    update_cache_free(x->ctx.cache, x->attrs);
    CU_ASSERT_EQUAL(attr_table_count(x->attrs), 0);
    attr_table_free(x->attrs);
    CU_ASSERT_EQUAL(fake_nexthop_refs(x->nexthops), 0);
    nexthop_table_free(x->nexthops);
}

/* Decodes an UPDATE made of its three fields; what was decoded before is released. */
static inline int fixture_decode(struct fixture *x, const char *withdrawn, const char *attrs,
                                 const char *nlri)
{
    struct wire_writer w = wire_writer(x->body, sizeof x->body);
    const char *fields[] = {withdrawn, attrs, nlri};
    update_release(&x->ctx, &x->u);
    for (int i = 0; i < 3; i++) {
        uint8_t *len = i < 2 ? wire_reserve(&w, 2) : NULL;
        size_t n = hex(fields[i], w.p, wire_room(&w));
        if (len)
            wire_set_u16(len, (uint16_t)n);
        wire_reserve(&w, n);
    }
    x->len = wire_len(&w);
    return update_decode(&x->ctx, x->body, x->len, &x->u);
}

#endif
