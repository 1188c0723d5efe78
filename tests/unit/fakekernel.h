/* A kernel for tests of fib/: implements fib/kernel.h in memory, so the real one is not linked. It keeps what
 * was written, refuses on demand, and knows which routes are somebody else's. */
#ifndef UNDERLAY_FAKEKERNEL_H
#define UNDERLAY_FAKEKERNEL_H

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "fib/kernel.h"

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000
#endif

#define FAKE_MAX      4096
#define FAKE_NEXTHOPS 256

struct fake_route {
    struct prefix prefix;
    uint32_t nexthop_id;
    bool unreachable;
    bool foreign;
    bool blackhole;
};

struct kernel {
    struct kernel_config cfg;
    struct fake_route routes[FAKE_MAX];
    unsigned n_routes;
    struct knexthop nexthops[FAKE_NEXTHOPS];
    unsigned n_nexthops;
    struct {
        enum kernel_op op;
        struct fake_route r;
    } batch[KERNEL_BATCH_MAX];
    unsigned n_batch;
    unsigned ops[3]; /* carried out, by kernel_op */
    unsigned commits;
    unsigned group_writes, nexthop_deletes;
    uint32_t touched[16]; /* groups written and objects deleted, since n_touched was reset */
    unsigned n_touched;
    int refuse; /* every route change fails with this */
    int probe;  /* what kernel_probe returns */
    int claim;  /* what kernel_claim returns */
    bool routes_monitored;
    bool dump_endless;
    unsigned dumps_interrupted; /* so many of routes, the next ones, end with -EINTR, */
    unsigned looks_interrupted; /* and so many of anything else */
    unsigned route_dumps, dumps_aborted, link_dumps;
    bool overflown;   /* of the monitor: said once, */
    unsigned waiting; /* and then there are events to read, of nothing */
};

static inline struct fake_route *fake_find(struct kernel *k, const struct prefix *p, bool unreachable)
{
    for (unsigned i = 0; i < k->n_routes; i++)
        if (k->routes[i].unreachable == unreachable && prefix_equal(&k->routes[i].prefix, p))
            return &k->routes[i];
    return NULL;
}

static inline bool fake_has_nexthop(const struct kernel *k, uint32_t id)
{
    for (unsigned i = 0; i < k->n_nexthops; i++)
        if (k->nexthops[i].id == id)
            return true;
    return false;
}

static inline void fake_touch(struct kernel *k, uint32_t id)
{
    if (k->n_touched < sizeof k->touched / sizeof *k->touched)
        k->touched[k->n_touched++] = id;
}

int kernel_open(struct kernel **out)
{
    (void)out;
    return -EPERM;
}

void kernel_close(struct kernel *k)
{
    (void)k;
}

void kernel_configure(struct kernel *k, const struct kernel_config *cfg)
{
    k->cfg = *cfg;
}

int kernel_probe(struct kernel *k)
{
    return k->probe;
}

int kernel_claim(struct kernel *k)
{
    return k->claim;
}

int kernel_claim_fd(const struct kernel *k)
{
    (void)k;
    return -1;
}

void kernel_take_claim(struct kernel *k, int fd)
{
    (void)k;
    close(fd);
}

int kernel_route(struct kernel *k, enum kernel_op op, const struct kernel_route *r)
{
    struct ip_addr a = addr_from_bytes(r->af, r->addr);

    if (k->n_batch == KERNEL_BATCH_MAX)
        return -ENOBUFS;
    k->batch[k->n_batch].op = op;
    k->batch[k->n_batch].r =
        (struct fake_route){prefix_make(&a, r->len), r->nexthop_id, r->unreachable, false, r->blackhole};
    return (int)k->n_batch++;
}

static inline int fake_apply(struct kernel *k, enum kernel_op op, const struct fake_route *r)
{
    struct fake_route *there = fake_find(k, &r->prefix, r->unreachable);

    if (k->refuse)
        return k->refuse;
    if (op != KERNEL_DELETE && !r->unreachable && !r->blackhole && !fake_has_nexthop(k, r->nexthop_id))
        return -EINVAL;
    if (op == KERNEL_DELETE) {
        if (!there || there->foreign)
            return -ESRCH;
        *there = k->routes[--k->n_routes];
    } else if (op == KERNEL_ADD) {
        if (there)
            return -EEXIST;
        k->routes[k->n_routes++] = *r;
    } else {
        if (!there)
            return -ENOENT;
        *there = *r;
    }
    k->ops[op]++;
    return 0;
}

int kernel_commit(struct kernel *k, int *errors)
{
    for (unsigned i = 0; i < k->n_batch; i++)
        errors[i] = fake_apply(k, k->batch[i].op, &k->batch[i].r);
    k->commits += k->n_batch != 0;
    k->n_batch = 0;
    return 0;
}

int kernel_nexthop_set(struct kernel *k, uint32_t id, const struct ip_addr *gateway, uint32_t ifindex,
                       bool replace)
{
    struct knexthop *nh = &k->nexthops[0];

    if (fake_has_nexthop(k, id) != replace)
        return replace ? -ENOENT : -EEXIST;
    while (replace && nh->id != id)
        nh++;
    if (!replace)
        nh = &k->nexthops[k->n_nexthops++];
    *nh = (struct knexthop){.id = id, .gateway = *gateway, .ifindex = ifindex, .protocol = k->cfg.protocol};
    return 0;
}

int kernel_group_set(struct kernel *k, uint32_t id, const struct kmember *m, unsigned n, bool replace)
{
    struct knexthop *nh = &k->nexthops[0];

    k->group_writes++;
    fake_touch(k, id);
    for (unsigned i = 0; i < n; i++)
        if (!fake_has_nexthop(k, m[i].id))
            return -EINVAL;
    if (fake_has_nexthop(k, id) != replace)
        return replace ? -ENOENT : -EEXIST;
    while (replace && nh->id != id)
        nh++;
    if (!replace)
        nh = &k->nexthops[k->n_nexthops++];
    *nh = (struct knexthop){.id = id, .protocol = k->cfg.protocol, .n_members = (uint16_t)n};
    memcpy(nh->members, m, n * sizeof *m);
    return 0;
}

static inline bool fake_leaves_group(struct knexthop *group, uint32_t id)
{
    unsigned kept = 0;

    for (unsigned m = 0; m < group->n_members; m++)
        if (group->members[m].id != id)
            group->members[kept++] = group->members[m];
    bool empty = group->n_members && !kept;
    group->n_members = (uint16_t)(empty ? group->n_members : kept);
    return empty;
}

/* Routes over it go with it, and groups that have no other member. */
int kernel_nexthop_delete(struct kernel *k, uint32_t id)
{
    unsigned i = 0;

    k->nexthop_deletes++;
    fake_touch(k, id);
    while (i < k->n_nexthops && k->nexthops[i].id != id)
        i++;
    if (i == k->n_nexthops)
        return -ENOENT;
    k->nexthops[i] = k->nexthops[--k->n_nexthops];
    for (unsigned r = k->n_routes; r-- > 0;)
        if (k->routes[r].nexthop_id == id && !k->routes[r].unreachable && !k->routes[r].foreign)
            k->routes[r] = k->routes[--k->n_routes];
    for (unsigned n = 0; n < k->n_nexthops; n++)
        if (fake_leaves_group(&k->nexthops[n], id)) {
            kernel_nexthop_delete(k, k->nexthops[n].id);
            n = (unsigned)-1;
        }
    return 0;
}

int kernel_address_set(struct kernel *k, const struct ip_addr *a, bool add)
{
    (void)k, (void)a, (void)add;
    return 0;
}

int kernel_route_delete(struct kernel *k, const struct kroute *r)
{
    struct fake_route x = {.prefix = r->prefix};
    return fake_apply(k, KERNEL_DELETE, &x);
}

int kernel_lookup(struct kernel *k, const struct ip_addr *a, struct kroute *out, struct kway *ways,
                  unsigned *n)
{
    (void)k, (void)a, (void)out, (void)ways, (void)n;
    return -ENETUNREACH;
}

int kernel_dump_start(struct kernel *k, enum kevent_type what, uint8_t af)
{
    (void)af;
    k->route_dumps += what == KEVENT_ROUTE;
    return 0;
}

/* Of routes nothing is dumped; nexthop objects are, below. */
int kernel_dump_step(struct kernel *k, kevent_fn *fn, void *arg)
{
    (void)fn, (void)arg;
    if (k->dumps_interrupted) {
        k->dumps_interrupted--;
        return -EINTR;
    }
    return k->dump_endless;
}

int kernel_dump_abort(struct kernel *k)
{
    k->dumps_aborted++;
    return 0;
}

int kernel_dump(struct kernel *k, enum kevent_type what, uint8_t af, kevent_fn *fn, void *arg)
{
    struct kevent ev = {.type = KEVENT_NEXTHOP};

    (void)af;
    k->link_dumps += what == KEVENT_LINK;
    for (unsigned i = 0; what == KEVENT_NEXTHOP && i < k->n_nexthops; i++) {
        ev.u.nexthop = k->nexthops[i];
        fn(arg, &ev);
    }
    if (!k->looks_interrupted)
        return 0;
    k->looks_interrupted--;
    return -EINTR;
}

int kernel_monitor_fd(const struct kernel *k)
{
    (void)k;
    return -1;
}

int kernel_monitor_step(struct kernel *k, kevent_fn *fn, void *arg)
{
    (void)fn, (void)arg;
    if (k->overflown) {
        k->overflown = false;
        return -ENOBUFS;
    }
    k->waiting -= k->waiting > 0;
    return k->waiting > 0;
}

int kernel_monitor_routes(struct kernel *k, bool on)
{
    k->routes_monitored = on;
    return 0;
}

#endif
