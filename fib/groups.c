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
 * Matching by content is also how a restarted speaker finds the groups of its former life; for a restarted
 * parent see groups_adopt.c.
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

void content_free_unused(struct groups *g, uint32_t i)
{
    struct content *c = content_at(g, i);

    if (c->numbers || c->routes)
        return;
    if (c->adopted && routes_are_checked(g->f->routes))
        return; /* there may be more routes over it, not seen yet; the sweep comes after that */
    if (c->kernel_id)
        kernel_nexthop_delete(g->f->kernel, c->kernel_id);
    content_forget_group(g, i);
    set_unref(g, c->set);
    content_free(g, i);
}

void content_point_number(struct groups *g, uint32_t id, uint32_t content)
{
    uint32_t old = g->numbers[id].content;

    number_link(g, id, content);
    if (old)
        content_free_unused(g, old);
}

/* Takes a reference on each next hop. 0 or -ENOMEM. */
static int read_set(struct groups *g, const struct fm_group *m, struct group_set *out)
{
    *out = (struct group_set){0};
    for (unsigned k = 0; k < (unsigned)m->n_members + m->n_backups; k++) {
        uint32_t item = nexthops_ref(g->f->nexthops, &m->members[k].nexthop);
        if (!item) {
            set_unref(g, out);
            return -ENOMEM;
        }
        out->members[k] = (struct member){item, m->members[k].weight};
        out->n_members += k < m->n_members;
        out->n_backups += k >= m->n_members;
    }
    qsort(out->members, out->n_members, sizeof *out->members, set_compare_members);
    return 0;
}

/* The content for a set, whose references it takes over; 0: out of memory, or too many. A number that alone
 * has its content, redefined: the content changes in place, and its routes follow in the kernel. */
static uint32_t content_for(struct groups *g, const struct number *n, const struct group_set *s)
{
    const struct content *own = n->content ? content_at(g, n->content) : NULL;
    uint32_t c = content_find(g, s);

    if (c) {
        set_unref(g, s);
        return c;
    }
    c = adopted_find(g, s);
    if (!c && own && own->numbers == 1 && own->kernel_id)
        c = n->content;
    if (c && !content_redefine(g, c, s))
        return c;
    c = content_new(g, s);
    if (!c)
        set_unref(g, s);
    return c;
}

int groups_set(struct groups *g, const struct fm_group *m)
{
    struct group_set set;
    int rc = numbers_reserve(g, m->id);

    if (!rc)
        rc = read_set(g, m, &set);
    if (rc)
        return rc;
    struct number *num = &g->numbers[m->id];
    uint32_t c = content_for(g, num, &set);
    if (!c)
        return -ENOSPC;
    num->deleted = false;
    if (c != num->content) {
        if (num->wanted)
            routes_rescan(g->f->routes);
        content_point_number(g, m->id, c);
    }
    if (g->f->install && !content_update(g, c))
        fib_nexthops_changed(g->f, false);
    return 0;
}

static void drop_number(struct groups *g, uint32_t id)
{
    const struct number *n = &g->numbers[id];

    if (n->deleted && !n->wanted && n->content)
        content_point_number(g, id, 0);
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
    content_free_unused(g, i);
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
            groups_complain(g, "the kernel does not delete a nexthop group", rc);
            continue;
        }
        content_forget_group(g, i);
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

void groups_lost(struct groups *g, uint32_t i)
{
    content_bury(g, i);
}

uint32_t groups_next_id(const struct groups *g, uint32_t *at)
{
    while (++*at < contents_limit(g))
        if (content_at(g, *at) && content_at(g, *at)->kernel_id)
            return content_at(g, *at)->kernel_id;
    return 0;
}

void groups_sweep(struct groups *g)
{
    for (uint32_t i = 1; i < contents_limit(g); i++)
        if (content_at(g, i))
            content_free_unused(g, i);
}

void groups_delete_all(struct groups *g)
{
    for (uint32_t i = 1; i < contents_limit(g); i++)
        if (content_at(g, i) && content_at(g, i)->kernel_id) {
            kernel_nexthop_delete(g->f->kernel, content_at(g, i)->kernel_id);
            content_set_kernel_id(g, i, 0);
        }
}
