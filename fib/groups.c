/* Nexthop groups.
 *
 * Three things that are easily mixed up: the *number* by which the speaker names a set of next hops, the
 * *content* (the members as BGP means them, shared by all numbers that say the same), and the content's
 * *kernel group*, whose members are the hops that are usable now. A content keeps its kernel id while members
 * come and go (an in-place replace, no route is touched). When the kernel drops the group, its routes are
 * gone as well: the content is then *dead*, a fresh one takes its place behind the numbers, and routes.c
 * finds by the dead index which routes to put back. So "what this route has in the kernel" is one index,
 * never ambiguous.
 *
 * Matching by content is also how a restarted speaker, or a restarted parent, finds the groups of its former
 * life.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fib/groups_internal.h"
#include "fib/nexthops.h"
#include "fib/routes.h"

struct groups *groups_new(struct fib *f)
{
    struct groups *g = calloc(1, sizeof *g);
    if (!g || contents_init(g)) {
        free(g);
        return NULL;
    }
    g->f = f;
    return g;
}

void groups_free(struct groups *g)
{
    if (!g)
        return;
    contents_reset(g);
    free(g);
}

/* Contents are equal whatever the order they were told in. */
static int compare_members(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return (x->item > y->item) - (x->item < y->item);
}

static bool any_ipv4(const struct groups *g, const struct member *m, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (nexthops_state(g->f->nexthops, m[i].item)->nexthop.af == AF_INET)
            return true;
    return false;
}

/* Takes over the references on the members' next hops. */
static uint32_t new_content(struct groups *g, const struct member *m, unsigned n)
{
    uint32_t i = content_new(g, m, n);

    if (i)
        content_at(g, i)->has_ipv4 = any_ipv4(g, m, n);
    return i;
}

static void unref_members(struct groups *g, const struct member *m, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        nexthops_unref(g->f->nexthops, m[i].item);
}

static void unref_hops(struct groups *g, const struct member *m, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        hops_unref(g->f->nexthops, m[i].item);
}

static void free_unused(struct groups *g, uint32_t i)
{
    struct content *c = content_at(g, i);

    if (c->numbers || c->routes)
        return;
    if (c->kernel_id)
        kernel_nexthop_delete(g->f->kernel, c->kernel_id);
    unref_hops(g, c->hops, c->n_hops);
    unref_members(g, c->members, c->n_members);
    content_free(g, i);
}

static void point_number(struct groups *g, uint32_t id, uint32_t content)
{
    uint32_t old = g->numbers[id].content;

    number_link(g, id, content);
    if (old)
        free_unused(g, old);
}

/* The kernel has the group no more. */
static void forget_group(struct groups *g, uint32_t i)
{
    struct content *c = content_at(g, i);

    content_set_kernel_id(g, i, 0);
    unref_hops(g, c->hops, c->n_hops);
    c->n_hops = 0;
}

/* The kernel has dropped (or is told to drop) the group and the routes over it. */
static void bury(struct groups *g, uint32_t i)
{
    struct content *c = content_at(g, i);
    struct nexthops *nhs = g->f->nexthops;

    kernel_nexthop_delete(g->f->kernel, c->kernel_id);
    forget_group(g, i);
    if (!c->routes) {
        free_unused(g, i);
        return;
    }
    content_set_dead(g, i);
    routes_rescan(g->f->routes);
    if (!c->numbers)
        return;
    for (unsigned k = 0; k < c->n_members; k++)
        nexthops_ref(nhs, &nexthops_state(nhs, c->members[k].item)->nexthop);
    uint32_t fresh = new_content(g, c->members, c->n_members);
    if (!fresh)
        unref_members(g, c->members, c->n_members);
    while (c->first) /* the routes keep it */
        point_number(g, c->first, fresh);
}

static void complain(struct groups *g, const char *what, int rc)
{
    uint32_t swallowed;
    if (log_limit_ok(&g->failures, loop_now_ms(), &swallowed))
        log_warn(what, F_ERR(rc), F_UINT_IF("suppressed", swallowed));
}

/* The hops that content c should have now, each with a reference taken. False when some hop could not be
 * made. */
static bool gather_hops(struct groups *g, const struct content *c, struct member *out, unsigned *n)
{
    bool complete = true;

    *n = 0;
    for (unsigned i = 0; i < c->n_members; i++) {
        const struct fm_nexthop_state *st = nexthops_state(g->f->nexthops, c->members[i].item);
        if (!(st->flags & FM_NH_REACHABLE))
            continue;
        struct ip_addr gw =
            st->via_af ? fm_addr(st->via_af, st->via) : fm_addr(st->nexthop.af, st->nexthop.addr);
        int error;
        uint32_t hop = hops_ref(g->f->nexthops, &gw, st->ifindex, &error);
        if (!hop) {
            complain(g, "the kernel takes no nexthop object", error);
            complete = false;
            continue;
        }
        /* Two next hops behind one gateway are one hop with both weights: a kernel group takes no duplicates.
         */
        unsigned k = 0;
        while (k < *n && out[k].item != hop)
            k++;
        if (k < *n) {
            uint32_t sum = out[k].weight + c->members[i].weight;
            out[k].weight = sum > 256 ? 256 : sum;
            hops_unref(g->f->nexthops, hop);
        } else {
            out[(*n)++] = (struct member){hop, c->members[i].weight};
        }
    }
    return complete;
}

static int write_group(struct groups *g, uint32_t i, const struct member *hops, unsigned n)
{
    const struct content *c = content_at(g, i);
    struct kmember km[FM_GROUP_MEMBERS];
    int rc = -EEXIST;

    for (unsigned k = 0; k < n; k++)
        km[k] = (struct kmember){hops_kernel_id(g->f->nexthops, hops[k].item), hops[k].weight};
    if (c->kernel_id)
        return kernel_group_set(g->f->kernel, c->kernel_id, km, n, true);
    for (int tries = 0; rc == -EEXIST && tries < 64; tries++) {
        uint32_t id = nexthops_alloc_id(g->f->nexthops);
        rc = kernel_group_set(g->f->kernel, id, km, n, false);
        if (!rc)
            content_set_kernel_id(g, i, id);
    }
    return rc;
}

static bool update_content(struct groups *g, uint32_t i)
{
    struct content *c = content_at(g, i);
    struct member hops[FM_GROUP_MEMBERS];
    unsigned n;

    if (!c->numbers)
        return true; /* left from a former life: as it is until it is confirmed or swept */
    bool complete = gather_hops(g, c, hops, &n);
    if (n == c->n_hops && !memcmp(hops, c->hops, n * sizeof *hops)) {
        unref_hops(g, hops, n);
        return complete;
    }
    if (!n) {
        bury(g, i);
        return complete;
    }
    bool fresh = !c->kernel_id;
    int rc = write_group(g, i, hops, n);
    if (rc) {
        unref_hops(g, hops, n);
        complain(g, "the kernel takes no nexthop group", rc);
        if (rc == -ENOENT && c->kernel_id)
            bury(g, i);
        return false;
    }
    unref_hops(g, c->hops, c->n_hops);
    memcpy(c->hops, hops, n * sizeof *hops);
    c->n_hops = (uint16_t)n;
    if (fresh)
        routes_rescan(g->f->routes);
    return complete;
}

bool groups_update(struct groups *g)
{
    bool ok = true;

    if (!g->f->install)
        return true;
    for (uint32_t i = 1; i < contents_limit(g); i++)
        if (content_at(g, i) && !content_at(g, i)->dead && !update_content(g, i))
            ok = false;
    return ok;
}

/* A number that alone has its content, redefined: the content changes in place, and its routes follow in the
 * kernel. */
static bool change_in_place(struct groups *g, const struct number *n, const struct member *m, unsigned count)
{
    struct content *c = n->content ? content_at(g, n->content) : NULL;

    if (!c || c->numbers != 1 || !c->kernel_id || c->n_members != count)
        return false;
    unref_members(g, c->members, c->n_members);
    content_set_members(g, n->content, m);
    c->has_ipv4 = any_ipv4(g, m, count);
    return true;
}

int groups_set(struct groups *g, const struct fm_group *m)
{
    struct member members[FM_GROUP_MEMBERS];
    unsigned n = 0;
    int rc = numbers_reserve(g, m->id);

    for (; !rc && n < m->n_members; n++) {
        members[n] =
            (struct member){nexthops_ref(g->f->nexthops, &m->members[n].nexthop), m->members[n].weight};
        if (!members[n].item)
            rc = -ENOMEM;
    }
    if (rc) {
        unref_members(g, members, n ? n - 1 : 0);
        return rc;
    }
    qsort(members, n, sizeof *members, compare_members);
    struct number *num = &g->numbers[m->id];
    num->deleted = false;
    uint32_t c = content_find(g, members, n);
    if (c) {
        unref_members(g, members, n);
    } else if (!change_in_place(g, num, members, n)) {
        c = new_content(g, members, n);
        if (!c) {
            unref_members(g, members, n);
            return -ENOSPC;
        }
    }
    if (c && c != num->content) {
        if (num->wanted)
            routes_rescan(g->f->routes);
        point_number(g, m->id, c);
    }
    if (g->f->install && !update_content(g, num->content))
        fib_nexthops_changed(g->f, false);
    return 0;
}

static void drop_number(struct groups *g, uint32_t id)
{
    const struct number *n = &g->numbers[id];

    if (n->deleted && !n->wanted && n->content)
        point_number(g, id, 0);
}

int groups_del(struct groups *g, uint32_t id)
{
    if (!groups_known(g, id))
        return -ENOENT;
    g->numbers[id].deleted = true;
    drop_number(g, id);
    return 0;
}

void groups_forget_ids(struct groups *g)
{
    for (uint32_t id = 1; id < g->n_numbers; id++) {
        g->numbers[id].deleted = true;
        drop_number(g, id);
    }
}

bool groups_known(const struct groups *g, uint32_t id)
{
    return id && id < g->n_numbers && g->numbers[id].content && !g->numbers[id].deleted;
}

bool groups_has_ipv4(const struct groups *g, uint32_t id)
{
    return content_at(g, g->numbers[id].content)->has_ipv4;
}

void groups_want(struct groups *g, uint32_t id)
{
    g->numbers[id].wanted++;
}

void groups_unwant(struct groups *g, uint32_t id)
{
    g->numbers[id].wanted--;
    drop_number(g, id);
}

uint32_t groups_usable(const struct groups *g, uint32_t id)
{
    uint32_t c = g->numbers[id].content;
    return c && content_at(g, c)->kernel_id ? c : 0;
}

void groups_hold(struct groups *g, uint32_t i)
{
    content_at(g, i)->routes++;
}

void groups_release(struct groups *g, uint32_t i)
{
    content_at(g, i)->routes--;
    free_unused(g, i);
}

static bool may_leave(const struct content *c, uint32_t least)
{
    return c && !c->numbers && c->kernel_id && c->routes >= least;
}

bool groups_leave_begin(struct groups *g, uint32_t least)
{
    bool any = false;

    for (uint32_t i = 1; i < contents_limit(g); i++)
        if (may_leave(content_at(g, i), least)) {
            content_at(g, i)->leaving = 0;
            any = true;
        }
    return any;
}

void groups_leave(struct groups *g, uint32_t i)
{
    content_at(g, i)->leaving++;
}

bool groups_leave_end(struct groups *g, uint32_t least)
{
    bool any = false;

    for (uint32_t i = 1; i < contents_limit(g); i++) {
        struct content *c = content_at(g, i);
        if (!may_leave(c, least) || c->leaving != c->routes)
            continue;
        int rc = kernel_nexthop_delete(g->f->kernel, c->kernel_id);
        if (rc && rc != -ENOENT) {
            complain(g, "the kernel does not delete a nexthop group", rc);
            continue;
        }
        forget_group(g, i);
        content_set_dead(g, i);
        any = true;
    }
    return any;
}

uint32_t groups_kernel_id(const struct groups *g, uint32_t i)
{
    return content_at(g, i)->kernel_id;
}

bool groups_is_dead(const struct groups *g, uint32_t i)
{
    return content_at(g, i)->dead;
}

void groups_hops_lost(struct groups *g)
{
    for (uint32_t i = 1; i < contents_limit(g); i++) {
        struct content *c = content_at(g, i);
        if (!c || !c->kernel_id)
            continue;
        unsigned kept = 0;
        for (unsigned k = 0; k < c->n_hops; k++) {
            if (hops_kernel_id(g->f->nexthops, c->hops[k].item))
                c->hops[kept++] = c->hops[k];
            else
                hops_unref(g->f->nexthops, c->hops[k].item);
        }
        c->n_hops = (uint16_t)kept;
        if (!kept)
            bury(g, i);
    }
}

void groups_lost(struct groups *g, uint32_t i)
{
    bury(g, i);
}

uint32_t groups_next_id(const struct groups *g, uint32_t *at)
{
    while (++*at < contents_limit(g))
        if (content_at(g, *at) && content_at(g, *at)->kernel_id)
            return content_at(g, *at)->kernel_id;
    return 0;
}

static void restore(struct groups *g, uint32_t at, const struct knexthop *k)
{
    const struct content *c = content_at(g, at);
    bool same = c->n_hops == k->n_members;

    for (unsigned i = 0; same && i < k->n_members; i++)
        same = hops_kernel_id(g->f->nexthops, c->hops[i].item) == k->members[i].id &&
               c->hops[i].weight == k->members[i].weight;
    if (!same)
        write_group(g, at, c->hops, c->n_hops);
}

void groups_adopt(struct groups *g, const struct knexthop *k)
{
    struct member members[KERNEL_MEMBERS_MAX], hops[KERNEL_MEMBERS_MAX];
    struct nexthops *nhs = g->f->nexthops;
    unsigned n = 0;

    uint32_t known = groups_by_kernel_id(g, k->id);
    if (known) {
        restore(g, known, k);
        return;
    }
    for (unsigned i = 0; i < k->n_members; i++) {
        uint32_t ifindex, hop = hops_by_kernel_id(nhs, k->members[i].id);
        if (!hop)
            continue;
        const struct ip_addr *gw = hops_gateway(nhs, hop, &ifindex);
        struct fm_nexthop nh = {.af = gw->af};
        memcpy(nh.addr, gw->b, sizeof nh.addr);
        if (gw->af == AF_INET6 && addr_is_link_local(gw))
            nh.scope = ifindex;
        members[n] = (struct member){nexthops_ref(nhs, &nh), k->members[i].weight};
        hops[n] = (struct member){hop, k->members[i].weight};
        if (members[n].item)
            n++;
    }
    qsort(members, n, sizeof *members, compare_members);
    uint32_t i = n ? new_content(g, members, n) : 0;
    if (!i) {
        unref_members(g, members, n);
        return;
    }
    struct content *c = content_at(g, i);
    content_set_kernel_id(g, i, k->id);
    c->n_hops = (uint16_t)n;
    memcpy(c->hops, hops, n * sizeof *hops);
    for (unsigned h = 0; h < n; h++)
        hops_hold(nhs, hops[h].item);
}

void groups_sweep(struct groups *g)
{
    for (uint32_t i = 1; i < contents_limit(g); i++)
        if (content_at(g, i))
            free_unused(g, i);
}

void groups_delete_all(struct groups *g)
{
    for (uint32_t i = 1; i < contents_limit(g); i++)
        if (content_at(g, i) && content_at(g, i)->kernel_id) {
            kernel_nexthop_delete(g->f->kernel, content_at(g, i)->kernel_id);
            content_set_kernel_id(g, i, 0);
        }
}
