/* A RIB with what it borrows, for the tests around it. Peers are in AS 65001 and up; next hop 10.0.0.N
 * belongs to peer N. */
#ifndef UNDERLAY_RIB_FIXTURE_H
#define UNDERLAY_RIB_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "rib/rib.h"
#include "unit.h"

struct fixture {
    struct nexthop_table *nexthops;
    struct attr_table *attrs;
    struct rib *rib;
    enum import_reason verdict; /* what the import check says of every path */
    const struct attr *change;  /* what its policy makes of every path; NULL: no policy */
    unsigned imports, judged, wanted_work;
};

static inline int fx_import(void *arg, enum family f, const struct prefix *p, const struct attr **a,
                            const struct rib_peer *peer, bool judged)
{
    struct fixture *x = arg;
    (void)f, (void)p, (void)peer;
    x->imports++;
    x->judged += judged;
    if (x->change && !judged && !x->verdict)
        *a = x->change;
    return (int)x->verdict;
}

static inline void fx_want_work(void *arg)
{
    ((struct fixture *)arg)->wanted_work++;
}

static inline void fx_init(struct fixture *x, unsigned multipath)
{
    static const struct rib_hooks hooks = {.import = fx_import, .want_work = fx_want_work};
    struct rib_config c = {.multipath = multipath, .as_path_relax = true, .default_local_pref = 100};
    *x = (struct fixture){.nexthops = nexthop_table_new(NULL, NULL)};
    x->attrs = attr_table_new(x->nexthops);
    x->rib = rib_new(&c, &hooks, x, x->attrs, x->nexthops);
    CU_ASSERT_PTR_NOT_NULL_FATAL(x->rib);
}

/* Whatever is left must be what the RIB held. */
static inline void fx_free(struct fixture *x)
{
    rib_free(x->rib);
    CU_ASSERT_EQUAL(attr_table_count(x->attrs), 0);
    attr_table_free(x->attrs);
    nexthop_table_free(x->nexthops);
}

static inline void fx_work(struct fixture *x)
{
    for (unsigned n = 0; rib_work(x->rib); n++)
        CU_ASSERT_FATAL(n < 100000);
}

static inline struct prefix fx_prefix(const char *text)
{
    struct prefix p;
    CU_ASSERT_EQUAL_FATAL(prefix_parse(text, true, &p), 0);
    return p;
}

static inline struct ip_addr fx_addr(unsigned peer)
{
    return addr_v4(0x0a000000u | peer);
}

static inline struct rib_peer *fx_peer(struct fixture *x, unsigned n, bool ibgp)
{
    struct ip_addr a = fx_addr(n);
    struct rib_peer *p = rib_peer_add(x->rib, ibgp, &a, x);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    p->router_id = n;
    rib_peer_up(x->rib, p);
    return p;
}

static inline void fx_nexthop(struct fixture *x, unsigned peer, bool reachable, uint32_t metric)
{
    struct ip_addr a = fx_addr(peer);
    struct fm_nexthop_state s = {
        .nexthop.af = AF_INET, .flags = reachable ? FM_NH_REACHABLE : 0, .metric = metric, .ifindex = 1};
    memcpy(s.nexthop.addr, a.b, sizeof s.nexthop.addr);
    uint32_t id = nexthop_set_state(x->nexthops, &s);
    if (id)
        rib_nexthop_changed(x->rib, id);
}

/* An attribute set with next hop 10.0.0.nexthop (0: originated) and an AS_PATH of `hops` ASNs that starts at
 * `first`. */
static inline const struct attr *fx_attr_med(struct fixture *x, unsigned nexthop, uint32_t first,
                                             unsigned hops, uint32_t med)
{
    uint8_t path[2 + 4 * 16] = {2 /* AS_SEQUENCE */, (uint8_t)hops};
    for (unsigned i = 0; i < hops; i++) {
        uint32_t asn = i ? 64600 + i : first;
        uint8_t *d = path + 2 + 4 * i;
        d[0] = (uint8_t)(asn >> 24), d[1] = (uint8_t)(asn >> 16), d[2] = (uint8_t)(asn >> 8),
        d[3] = (uint8_t)asn;
    }
    struct attr_build b = {.med = med, .flags = med ? ATTR_HAS_MED : 0};
    if (nexthop)
        b.nexthop = fx_addr(nexthop);
    if (hops) {
        b.part[PART_AS_PATH] = path;
        b.part_len[PART_AS_PATH] = (uint16_t)(2 + 4 * hops);
    }
    const struct attr *a = attr_intern(x->attrs, &b);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    return a;
}

static inline const struct attr *fx_attr(struct fixture *x, unsigned nexthop, unsigned hops)
{
    return fx_attr_med(x, nexthop, 65000 + nexthop, hops, 0);
}

static inline void fx_update(struct fixture *x, struct rib_peer *peer, const char *prefix,
                             const struct attr *a)
{
    struct prefix p = fx_prefix(prefix);
    CU_ASSERT_EQUAL(rib_update(x->rib, addr_family(&p.addr), &p, peer, 0, a), 0);
    attr_unref(x->attrs, a); /* the RIB has its own */
}

static inline void fx_withdraw(struct fixture *x, struct rib_peer *peer, const char *prefix)
{
    struct prefix p = fx_prefix(prefix);
    CU_ASSERT_EQUAL(rib_withdraw(x->rib, addr_family(&p.addr), &p, peer, 0), 0);
}

static inline void fx_originate(struct fixture *x, const char *prefix, enum origin_kind kind)
{
    struct prefix p = fx_prefix(prefix);
    const struct attr *a = fx_attr(x, 0, 0);
    CU_ASSERT_EQUAL(rib_originate(x->rib, addr_family(&p.addr), &p, kind, a), 0);
    attr_unref(x->attrs, a);
}

static inline void fx_unoriginate(struct fixture *x, const char *prefix)
{
    struct prefix p = fx_prefix(prefix);
    CU_ASSERT_EQUAL(rib_unoriginate(x->rib, addr_family(&p.addr), &p), 0);
}

static inline uint32_t fx_find(struct fixture *x, const char *prefix)
{
    struct prefix p = fx_prefix(prefix);
    return rib_find(x->rib, addr_family(&p.addr), &p);
}

static inline const struct rib_path *fx_best(struct fixture *x, const char *prefix)
{
    struct prefix p = fx_prefix(prefix);
    enum family f = addr_family(&p.addr);
    uint32_t i = rib_find(x->rib, f, &p);
    return i ? rib_best(x->rib, rib_entry(x->rib, f, i)) : NULL;
}

/* Source number of the best, -1 none. */
static inline int fx_best_peer(struct fixture *x, const char *prefix)
{
    const struct rib_path *p = fx_best(x, prefix);
    return p ? p->peer : -1;
}

#endif
