/* What the kernel should have of a content, and bringing it there.
 *
 * The kernel's notices of a change of routes grow with the table (unless net.ipv4.nexthop_compat_mode is 0):
 * rewriting a group tells of every route over it, although packets have gone the new way since the beginning.
 * Deleting a hop does not, whatever the number of groups and routes that have it. So of the groups that are
 * not in line those that get something new are written first. The others only give up hops, and a hop that
 * all its groups give up is deleted: the kernel shrinks the groups that have others, and drops those that
 * have none, with their routes. Only what is left then is written.
 *
 * Before a large group is written or dropped, which may hold up the rest for a second, those go that are
 * small beside it and have somewhere to go, each written by itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fib/groups_internal.h"
#include "fib/nexthops.h"
#include "fib/routes.h"

#define UPDATE_STEP 128  /* groups written at once, some 0.1 ms each */
#define SMALL_STEP  32   /* of them ahead of a large one, */
#define SMALL_SHARE 4    /* and this part of its routes altogether */
#define LARGE       4096 /* routes, about as many microseconds */
#define WEIGHT_MAX  256
#define UNIT_MAX    0x10000u

void groups_complain(struct groups *g, const char *what, int rc)
{
    uint32_t swallowed;
    if (log_limit_ok(&g->failures, loop_now_ms(), &swallowed))
        log_warn(what, F_ERR(rc), F_UINT_IF("suppressed", swallowed));
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

/* Two next hops behind one gateway are one way with both weights: a kernel group takes no duplicates. */
static unsigned add_way(struct kway *out, unsigned n, const struct kway *way, uint32_t weight)
{
    unsigned k = 0;

    while (k < n && (out[k].ifindex != way->ifindex || !addr_equal(&out[k].gateway, &way->gateway)))
        k++;
    if (k == KERNEL_MEMBERS_MAX)
        return n;
    if (k == n)
        out[n++] = (struct kway){way->gateway, way->ifindex, 0};
    out[k].weight += weight;
    return n;
}

static uint32_t ways_of(const struct groups *g, const struct member *m, const struct kway **ways, unsigned *n)
{
    uint32_t sum = 0;

    *n = nexthops_ways(g->f->nexthops, m->item, ways);
    for (unsigned w = 0; w < *n; w++)
        sum += (*ways)[w].weight;
    return sum;
}

/* What a member's weight is counted in, so that the shares of its ways are whole: 1 when all have one way. */
static uint32_t common_unit(const struct groups *g, const struct group_set *s)
{
    uint32_t unit = 1;

    for (unsigned k = 0; k < set_size(s); k++) {
        const struct kway *ways;
        unsigned n;
        uint32_t sum = ways_of(g, &s->members[k], &ways, &n);
        uint32_t grown = n > 1 ? unit / gcd(unit, sum) * sum : unit;
        if (grown <= UNIT_MAX)
            unit = grown; /* else the shares are near enough */
    }
    return unit;
}

static unsigned add_member(const struct groups *g, const struct member *m, uint32_t unit, struct kway *out,
                           unsigned n)
{
    const struct kway *ways;
    unsigned n_ways;
    uint32_t sum = ways_of(g, m, &ways, &n_ways);

    for (unsigned w = 0; w < n_ways; w++)
        n = add_way(out, n, &ways[w],
                    n_ways > 1 ? (uint32_t)((uint64_t)m->weight * ways[w].weight * unit / sum)
                               : m->weight * unit);
    return n;
}

/* As the kernel takes them; as they were given when all are whole members. */
static void scale_weights(struct kway *out, unsigned n, uint32_t unit)
{
    uint32_t divisor = 0, most = 0;

    for (unsigned i = 0; unit > 1 && i < n; i++)
        divisor = gcd(out[i].weight, divisor);
    for (unsigned i = 0; i < n; i++) {
        out[i].weight /= divisor ? divisor : 1;
        most = out[i].weight > most ? out[i].weight : most;
    }
    for (unsigned i = 0; i < n; i++) {
        uint32_t w = out[i].weight;
        if (unit > 1 && most > WEIGHT_MAX)
            w = (uint32_t)((uint64_t)w * WEIGHT_MAX / most);
        out[i].weight = !w ? 1 : w > WEIGHT_MAX ? WEIGHT_MAX : w;
    }
}

unsigned set_ways(const struct groups *g, const struct group_set *s, struct kway *out)
{
    uint32_t unit = common_unit(g, s);
    unsigned n = 0, k = 0;

    for (; k < s->n_members; k++)
        n = add_member(g, &s->members[k], unit, out, n);
    for (; !n && k < set_size(s); k++)
        n = add_member(g, &s->members[k], unit, out, n);
    scale_weights(out, n, unit);
    return n;
}

static void unref_hops(struct groups *g, const struct member *m, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        hops_unref(g->f->nexthops, m[i].item);
}

/* The hops that content c should have now, each with a reference taken. False when some hop could not be
 * made. */
static bool gather_hops(struct groups *g, const struct content *c, struct member *out, unsigned *n)
{
    struct kway ways[KERNEL_MEMBERS_MAX];
    unsigned n_ways = set_ways(g, c->set, ways);
    int error = 0;

    *n = 0;
    for (unsigned i = 0; i < n_ways; i++) {
        int rc;
        uint32_t hop = hops_ref(g->f->nexthops, &ways[i].gateway, ways[i].ifindex, &rc);
        if (hop)
            out[(*n)++] = (struct member){hop, ways[i].weight};
        else
            error = rc;
    }
    if (error)
        groups_complain(g, "the kernel takes no nexthop object", error);
    if (*n)
        qsort(out, *n, sizeof *out, set_compare_members);
    return !error;
}

void content_forget_group(struct groups *g, uint32_t i)
{
    struct content *c = content_at(g, i);

    content_set_kernel_id(g, i, 0);
    unref_hops(g, c->hops, c->n_hops);
    c->n_hops = 0;
}

void content_bury(struct groups *g, uint32_t i)
{
    struct content *c = content_at(g, i);

    if (c->kernel_id)
        kernel_nexthop_delete(g->f->kernel, c->kernel_id);
    content_forget_group(g, i);
    if (!c->routes) {
        content_set_stale(g, i, true);
        content_free_unused(g, i);
        return;
    }
    content_set_dead(g, i);
    routes_rescan(g->f->routes);
    if (!c->numbers)
        return;
    for (unsigned k = 0; k < set_size(c->set); k++)
        nexthops_ref(g->f->nexthops, &nexthops_state(g->f->nexthops, c->set->members[k].item)->nexthop);
    uint32_t fresh = content_new(g, c->set);
    if (!fresh)
        set_unref(g, c->set);
    else
        content_set_stale(g, fresh, true);
    while (c->first) /* the routes keep it */
        content_point_number(g, c->first, fresh);
}

int content_write(struct groups *g, uint32_t i, const struct member *hops, unsigned n)
{
    const struct content *c = content_at(g, i);
    struct kmember km[KERNEL_MEMBERS_MAX];
    int rc = -EEXIST;

    for (unsigned k = 0; k < n; k++)
        km[k] = (struct kmember){hops_kernel_id(g->f->nexthops, hops[k].item), hops[k].weight};
    if (c->kernel_id)
        return kernel_group_set(g->f->kernel, c->kernel_id, km, n, true);
    uint32_t mark = set_mark(g, c->set);
    for (int tries = 0; rc == -EEXIST && tries < 1024; tries++) {
        uint32_t id = nexthops_group_id(g->f->nexthops, mark + (uint32_t)tries / 256, ++g->serial);
        rc = kernel_group_set(g->f->kernel, id, km, n, false);
        if (!rc)
            content_set_kernel_id(g, i, id);
    }
    return rc;
}

/* Takes over the references on hops. False: the kernel refused. */
static bool write_hops(struct groups *g, uint32_t i, const struct member *hops, unsigned n)
{
    struct content *c = content_at(g, i);
    bool fresh = !c->kernel_id;
    int rc = content_reserve_hops(c, n);

    if (!rc)
        rc = content_write(g, i, hops, n);
    if (rc) {
        unref_hops(g, hops, n);
        groups_complain(g, "the kernel takes no nexthop group", rc);
        content_set_refused(g, i, true);
        if (rc == -ENOENT && c->kernel_id)
            content_bury(g, i);
        return false;
    }
    unref_hops(g, c->hops, c->n_hops);
    memcpy(c->hops, hops, n * sizeof *hops);
    c->n_hops = (uint16_t)n;
    if (fresh)
        routes_rescan(g->f->routes);
    return true;
}

/* That everything of hops is in the kernel group already, and it has others too. */
static bool gives_up(const struct content *c, const struct member *hops, unsigned n)
{
    unsigned k = 0;

    for (unsigned h = 0; h < c->n_hops && k < n; h++)
        if (c->hops[h].item == hops[k].item && c->hops[h].weight == hops[k].weight)
            k++;
    return k == n && n < c->n_hops;
}

/* What is left alone for now. */
enum later { NOTHING, WHAT_DIES, WHAT_GIVES_UP /* all its hops, or some */ };

static bool waits(const struct content *c, const struct member *hops, unsigned n, enum later later)
{
    return (later == WHAT_GIVES_UP && gives_up(c, hops, n)) || (later == WHAT_DIES && !n && c->n_hops);
}

/* Brings content i in line. False: the kernel refused something. */
static bool update(struct groups *g, uint32_t i, enum later later)
{
    struct content *c = content_at(g, i);
    struct member hops[KERNEL_MEMBERS_MAX];
    unsigned n;

    if (c->dead || c->adopted || (!c->numbers && !c->routes)) {
        content_set_stale(g, i, false);
        return true;
    }
    bool complete = gather_hops(g, c, hops, &n);
    if (waits(c, hops, n, later)) {
        unref_hops(g, hops, n);
        return complete;
    }
    content_set_stale(g, i, false);
    content_set_refused(g, i, !complete);
    if (n == c->n_hops && (!n || !memcmp(hops, c->hops, n * sizeof *hops))) {
        unref_hops(g, hops, n);
        return complete;
    }
    if (!n) {
        content_bury(g, i);
        return complete;
    }
    return write_hops(g, i, hops, n) && complete;
}

bool content_update(struct groups *g, uint32_t i)
{
    return update(g, i, NOTHING);
}

/* What of content c's kernel group is not in line. */
static unsigned given_up(struct groups *g, const struct content *c, uint32_t *out)
{
    struct member hops[KERNEL_MEMBERS_MAX];
    unsigned n, n_out = 0;

    if (c->dead || c->adopted)
        return 0;
    gather_hops(g, c, hops, &n);
    for (unsigned h = 0, k = 0; h < c->n_hops; h++) {
        if (k < n && c->hops[h].item == hops[k].item)
            k++;
        else
            out[n_out++] = c->hops[h].item;
    }
    unref_hops(g, hops, n);
    return n_out;
}

static bool drop_lost_hops(struct groups *g, uint32_t i)
{
    struct content *c = content_at(g, i);
    unsigned kept = 0;

    for (unsigned k = 0; k < c->n_hops; k++) {
        if (hops_kernel_id(g->f->nexthops, c->hops[k].item))
            c->hops[kept++] = c->hops[k];
        else
            hops_unref(g->f->nexthops, c->hops[k].item);
    }
    bool lost = kept < c->n_hops;
    c->n_hops = (uint16_t)kept;
    if (!kept)
        content_bury(g, i);
    return lost;
}

void groups_hops_lost(struct groups *g)
{
    for (uint32_t i = 1; i < contents_limit(g); i++)
        if (content_at(g, i) && content_at(g, i)->kernel_id && drop_lost_hops(g, i) && content_at(g, i))
            content_set_stale(g, i, true);
}

/* Deletes the hops that all their groups give up. */
static void delete_hops(struct groups *g)
{
    uint32_t items[KERNEL_MEMBERS_MAX];
    bool lost = false;

    for (uint32_t i = g->stale_first; i; i = content_at(g, i)->stale_link.next)
        for (unsigned k = given_up(g, content_at(g, i), items); k-- > 0;)
            hops_leave(g->f->nexthops, items[k]);
    for (uint32_t i = g->stale_first; i; i = content_at(g, i)->stale_link.next)
        for (unsigned k = given_up(g, content_at(g, i), items); k-- > 0;)
            lost |= hops_leave_end(g->f->nexthops, items[k]);
    if (lost)
        groups_hops_lost(g);
}

/* The routes of the largest group that is to be written or dropped; what only shrinks takes no time. */
static uint32_t largest(struct groups *g)
{
    struct member hops[KERNEL_MEMBERS_MAX];
    uint32_t most = 0;

    for (uint32_t i = g->stale_first; i; i = content_at(g, i)->stale_link.next) {
        const struct content *c = content_at(g, i);
        unsigned n;
        if (c->dead || c->adopted || c->routes < LARGE || c->routes <= most)
            continue;
        gather_hops(g, c, hops, &n);
        if (!n || !gives_up(c, hops, n))
            most = c->routes;
        unref_hops(g, hops, n);
    }
    return most;
}

/* Some of those that would wait for a large one. */
static bool update_small(struct groups *g, unsigned *budget)
{
    uint32_t room = largest(g) / SMALL_SHARE;
    unsigned left = SMALL_STEP;
    bool ok = true;

    for (uint32_t i = room ? g->stale_first : 0, next; i && left; i = next) {
        uint32_t routes = content_at(g, i)->routes;
        next = content_at(g, i)->stale_link.next;
        if (!routes || routes > room)
            continue;
        ok &= update(g, i, WHAT_DIES);
        if (content_at(g, i) && content_at(g, i)->stale)
            continue;
        room -= routes;
        left--;
    }
    *budget -= SMALL_STEP - left;
    return ok;
}

bool groups_update(struct groups *g)
{
    unsigned budget = UPDATE_STEP;

    if (!g->f->install)
        return true;
    bool ok = update_small(g, &budget);
    for (uint32_t i = g->stale_first, next; i && budget; i = next) {
        next = content_at(g, i)->stale_link.next;
        ok &= update(g, i, WHAT_GIVES_UP);
        if (!content_at(g, i) || !content_at(g, i)->stale)
            budget--;
    }
    if (!budget)
        return ok;
    if (g->stale_first)
        delete_hops(g);
    while (g->stale_first && budget--)
        ok &= update(g, g->stale_first, NOTHING);
    return ok;
}

void groups_update_all(struct groups *g)
{
    bool ok = true;

    while (groups_behind(g))
        ok &= groups_update(g);
    if (!ok)
        fib_nexthops_changed(g->f, false);
}

bool groups_behind(const struct groups *g)
{
    return g->f->install && g->stale_first;
}

void groups_retry(struct groups *g)
{
    for (uint32_t i = 1; g->n_refused && i < contents_limit(g); i++)
        if (content_at(g, i) && content_at(g, i)->refused) {
            content_set_refused(g, i, false);
            content_set_stale(g, i, true);
        }
}
