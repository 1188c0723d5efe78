/* Dynamic neighbours: peers that nobody has named, made when somebody connects from a configured range.
 *
 * The most specific range that has the address gives the settings; a peer configured by its address wins over
 * every range. A dynamic peer is a struct peer like others, passive, behind the configured ones in the set,
 * found by a hash of its own. When its session is over it stays for a minute, so that an operator sees why
 * and its back-off holds, or until its place is needed: a range has at most `limit` of them, so what
 * strangers can cost is bounded. Those stay longer that an operator shut down or watches, that passed
 * max-prefixes, or whose routes are kept for a restart.
 *
 * After a start nobody knows who will come back; what the kernel still has of an earlier life is kept for a
 * while (peer_set_expects). TCP-MD5 keys of ranges lie on the listeners as keys of prefixes, where the kernel
 * takes the most specific one. Not here: the session itself (peer.c), configured peers (peer_set.c). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fibclient.h"
#include "peer_impl.h"
#include "transport.h"

#define LEAVE_MS  60000
#define EXPECT_MS 120000 /* FRR and others try to connect every 120 s */

struct peer_range {
    const struct peer_config *config;
    unsigned members;
    struct dynamic *oldest, *newest; /* of the members without a session, by when they lost it */
    struct log_limit log;
};

/* What a struct peer has beside, when it is dynamic. */
struct dynamic {
    struct peer *peer;
    struct peer_range *range;
    struct dynamic *chain;         /* of the hash */
    struct dynamic *older, *newer; /* of range->oldest … newest */
    bool idle;                     /* is on that list */
    bool configured;               /* during peer_set_apply: its address has become a peer's of its own */
    unsigned at;                   /* in set->peers */
    struct timer *leave;
};

struct range_table {
    struct peer_range *list; /* by prefix */
    unsigned n;
    bool has_len[FAM_COUNT][129];
};

struct peer_dynamic {
    struct range_table ranges, next; /* next: during peer_set_apply */
    struct dynamic **buckets;
    unsigned n_buckets, n;
    uint32_t seed;
    struct timer *expect; /* runs: peers may still come back after the start */
};

struct peer_dynamic *peer_dynamic_new(struct peer_set *ps)
{
    struct peer_dynamic *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->seed = arc4random();
    ps->leave_ms = LEAVE_MS;
    d->expect = timer_new(ps->speaker->loop, peer_dynamic_expected, ps);
    if (!d->expect) {
        free(d);
        return NULL;
    }
    return d;
}

void peer_dynamic_delete(struct peer_dynamic *d)
{
    if (!d)
        return;
    timer_free(d->expect);
    free(d->ranges.list);
    free(d->next.list);
    free(d->buckets);
    free(d);
}

/* Ranges */

static int range_against(const void *key, const void *member)
{
    return prefix_cmp(key, &((const struct peer_range *)member)->config->range);
}

static int by_range(const void *a, const void *b)
{
    return range_against(&((const struct peer_range *)a)->config->range, b);
}

static struct peer_range *range_at(const struct range_table *t, const struct prefix *p)
{
    return t->n ? bsearch(p, t->list, t->n, sizeof *t->list, range_against) : NULL;
}

/* The most specific one. Link-local addresses belong to interfaces. */
static struct peer_range *range_of(const struct range_table *t, const struct ip_addr *a)
{
    enum family f = addr_family(a);
    struct peer_range *r = NULL;
    for (unsigned len = family_bits(f) + 1; !r && len-- > 0 && !addr_is_link_local(a);)
        if (t->has_len[f][len]) {
            const struct prefix p = prefix_make(a, (uint8_t)len);
            r = range_at(t, &p);
        }
    return r;
}

static int read_ranges(const struct config *c, struct range_table *t)
{
    *t = (struct range_table){.list = calloc(c->n_peers + 1, sizeof *t->list)};
    if (!t->list)
        return -ENOMEM;
    for (unsigned i = 0; i < c->n_peers; i++) {
        const struct peer_config *p = &c->peers[i];
        if (p->kind != PEER_BY_RANGE)
            continue;
        t->list[t->n++].config = p;
        t->has_len[addr_family(&p->range.addr)][p->range.len] = true;
    }
    if (t->n)
        qsort(t->list, t->n, sizeof *t->list, by_range);
    return 0;
}

/* Keys */

/* What the kernel has taken without a key before it knew of one. */
static void refuse_unsigned(struct peer_set *ps, const struct peer_listener *l, const struct prefix *range)
{
    int fd;
    while ((fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct ip_addr from = {0};
        if (!ps->speaker->running || transport_remote(fd, &from, NULL, NULL) ||
            prefix_contains_addr(range, &from))
            close(fd);
        else
            peer_set_accepted(ps, fd);
    }
}

static void set_key(struct peer_set *ps, const struct peer_listener *l, const struct peer_config *c, bool on)
{
    char text[PREFIX_STRLEN];
    struct ip_addr local;
    int r = transport_local(l->fd, &local, NULL);
    if (!r && local.af != c->range.addr.af)
        return;
    if (!r)
        r = transport_set_range_key(l->fd, &c->range, on ? c->password : NULL);
    if (!r && on)
        refuse_unsigned(ps, l, &c->range);
    if (r)
        log_error("cannot set the TCP-MD5 key; connections from this range will not work",
                  F_STR("range", prefix_format(&c->range, text)), F_ERR(r));
}

static void set_keys(struct peer_set *ps, const struct peer_config *c, bool on)
{
    for (const struct peer_listener *l = ps->listeners; l; l = l->next)
        set_key(ps, l, c, on);
}

static bool same_key(const struct peer_range *other, const struct peer_config *c)
{
    return other && !strcmp(other->config->password, c->password);
}

static void change_keys(struct peer_set *ps, const struct range_table *before,
                        const struct range_table *after)
{
    for (unsigned i = 0; i < before->n; i++) {
        const struct peer_config *c = before->list[i].config;
        if (*c->password && !same_key(range_at(after, &c->range), c))
            set_keys(ps, c, false);
    }
    for (unsigned i = 0; i < after->n; i++) {
        const struct peer_config *c = after->list[i].config;
        if (*c->password && !same_key(range_at(before, &c->range), c))
            set_keys(ps, c, true);
    }
}

void peer_dynamic_listen(struct peer_set *ps, const struct peer_listener *l)
{
    const struct range_table *t = &ps->dynamic->ranges;
    for (unsigned i = 0; i < t->n; i++)
        if (*t->list[i].config->password)
            set_key(ps, l, t->list[i].config, true);
}

/* GTSM */

unsigned peer_dynamic_ranges(const struct peer_set *ps)
{
    return ps->dynamic->ranges.n;
}

uint8_t peer_dynamic_hops(const struct peer_set *ps, const struct ip_addr *a)
{
    const struct peer_range *r = a->af ? range_of(&ps->dynamic->ranges, a) : NULL;
    return r ? r->config->ttl_security : 0;
}

/* Sorted by prefix, a range stands before those inside of it: backwards, the first match is the narrowest. */
unsigned peer_dynamic_gtsm(const struct peer_set *ps, struct gtsm_rule *rules)
{
    const struct range_table *t = &ps->dynamic->ranges;
    unsigned n = 0;
    bool any = false;
    for (unsigned i = t->n; i-- > 0;) {
        const struct peer_config *c = t->list[i].config;
        any |= c->ttl_security > 0;
        rules[n++] = (struct gtsm_rule){.from = c->range, .hops = c->ttl_security};
    }
    return any ? n : 0;
}

/* Members */

static struct dynamic **bucket(const struct peer_dynamic *d, const struct ip_addr *a)
{
    return &d->buckets[hash_bytes(a, sizeof *a, d->seed) & (d->n_buckets - 1)];
}

struct peer *peer_dynamic_find(const struct peer_set *ps, const struct ip_addr *a)
{
    const struct peer_dynamic *d = ps->dynamic;
    for (struct dynamic *m = d->n_buckets ? *bucket(d, a) : NULL; m; m = m->chain)
        if (addr_equal(&m->peer->address, a))
            return m->peer;
    return NULL;
}

static int grow_hash(struct peer_set *ps)
{
    struct peer_dynamic *d = ps->dynamic;
    unsigned n = d->n_buckets ? d->n_buckets * 2 : 16;
    if (d->n < d->n_buckets)
        return 0;
    struct dynamic **buckets = calloc(n, sizeof *buckets);
    if (!buckets)
        return -ENOMEM;
    free(d->buckets);
    d->buckets = buckets;
    d->n_buckets = n;
    for (unsigned i = ps->n_fixed; i < ps->n; i++) {
        struct dynamic *m = ps->peers[i]->dynamic, **b = bucket(d, &ps->peers[i]->address);
        m->chain = *b;
        *b = m;
    }
    return 0;
}

static int grow_set(struct peer_set *ps)
{
    unsigned room = ps->room ? ps->room * 2 : 16;
    if (ps->n < ps->room)
        return 0;
    struct peer **peers = realloc(ps->peers, room * sizeof *peers);
    if (!peers)
        return -ENOMEM;
    ps->peers = peers;
    ps->room = room;
    return 0;
}

static void leave_list(struct dynamic *m)
{
    if (!m->idle)
        return;
    *(m->older ? &m->older->newer : &m->range->oldest) = m->newer;
    *(m->newer ? &m->newer->older : &m->range->newest) = m->older;
    m->older = m->newer = NULL;
    m->idle = false;
}

static void join_list(struct dynamic *m)
{
    m->older = m->range->newest;
    *(m->older ? &m->older->newer : &m->range->oldest) = m;
    m->range->newest = m;
    m->idle = true;
}

static bool stays(const struct peer *p)
{
    return p->shut_by_cli || p->limit.held || p->debug || p->rib->stale[FAM_IPV4] || p->rib->stale[FAM_IPV6];
}

void peer_dynamic_state_changed(struct peer *p)
{
    struct dynamic *m = p->dynamic;
    if (p->state > PEER_ACTIVE) {
        leave_list(m);
        timer_stop(m->leave);
    } else if (!m->idle) {
        join_list(m);
        timer_set(m->leave, p->set->leave_ms);
    }
}

/* The place in set->peers goes with the peer's removal from there. */
void peer_dynamic_free(struct peer *p)
{
    struct dynamic *m = p->dynamic;
    struct peer_dynamic *d = p->set->dynamic;
    if (!m)
        return;
    for (struct dynamic **b = bucket(d, &p->address); *b; b = &(*b)->chain)
        if (*b == m) {
            *b = m->chain;
            d->n--;
            break;
        }
    leave_list(m);
    m->range->members--;
    timer_free(m->leave);
    free(m);
    p->dynamic = NULL;
}

static void remove_peer(struct peer *p)
{
    struct peer_set *ps = p->set;
    struct peer *last = ps->peers[--ps->n];

    log_debug("dynamic peer forgotten", F_STR("peer", p->name));
    ps->peers[p->dynamic->at] = last;
    last->dynamic->at = p->dynamic->at;
    ps->lingering.most--;
    peer_bfd_end(p);
    peer_free(p);
    speaker_peer_state_changed(ps->speaker);
}

static void on_leave(void *arg)
{
    struct peer *p = arg;
    if (stays(p))
        timer_set(p->dynamic->leave, p->set->leave_ms);
    else
        remove_peer(p);
}

/* Whether there is room in the range for one more, if need be in the place of one whose session is over. */
static bool make_room(struct peer_range *r)
{
    if (r->members < r->config->limit)
        return true;
    for (struct dynamic *m = r->oldest; m; m = m->newer)
        if (!stays(m->peer)) {
            remove_peer(m->peer);
            return r->members < r->config->limit;
        }
    return false;
}

static int make(struct peer_set *ps, struct peer_range *r, const struct ip_addr *a, struct peer **out)
{
    struct dynamic *m;
    struct peer *p;

    if (!make_room(r) || ps->n >= CONFIG_MAX_PEERS)
        return -EUSERS;
    if (grow_set(ps) || grow_hash(ps))
        return -ENOMEM;
    p = peer_new(ps, r->config, a);
    m = p ? calloc(1, sizeof *m) : NULL;
    if (m)
        m->leave = timer_new(ps->speaker->loop, on_leave, p);
    if (!m || !m->leave) {
        free(m);
        peer_free(p);
        return -ENOMEM;
    }
    m->peer = p;
    m->range = r;
    m->at = ps->n;
    m->chain = *bucket(ps->dynamic, a);
    *bucket(ps->dynamic, a) = m;
    ps->dynamic->n++;
    p->dynamic = m;
    r->members++;
    ps->peers[ps->n++] = p;
    ps->lingering.most++;
    peer_dynamic_state_changed(p);
    *out = p;
    return 0;
}

static const char *refusal(int error)
{
    return error == -EUSERS ? "connection refused: the limit of the range is reached"
           : error == -EADDRNOTAVAIL
               ? "connection refused: not directly connected, and the range has no multihop"
           : error == -EACCES ? "connection refused: the range is shut down"
                              : "connection refused: out of memory";
}

/* A stranger from the range. 0, or why it may not come in. */
static int admit(struct peer_set *ps, struct peer_range *r, const struct ip_addr *from, struct peer **out)
{
    const struct peer_config *c = r->config;
    if (c->shutdown)
        return -EACCES;
    if (!peer_config_is_ibgp(ps->speaker->config, c) && !c->multihop &&
        !fibclient_subnet_of(ps->speaker->fib, from, 0))
        return -EADDRNOTAVAIL;
    return make(ps, r, from, out);
}

bool peer_dynamic_accept(struct peer_set *ps, const struct ip_addr *from, int fd)
{
    struct peer *p = peer_dynamic_find(ps, from);
    struct peer_range *r = p ? p->dynamic->range : range_of(&ps->dynamic->ranges, from);
    uint32_t swallowed = 0;
    char text[PREFIX_STRLEN];

    if (!r)
        return false;
    if (!p && ps->applying) { /* it tries again */
        close(fd);
        return true;
    }
    int error = p ? 0 : admit(ps, r, from, &p);
    if (error) {
        if (log_limit_ok(&r->log, loop_now_ms(), &swallowed))
            log_warn(refusal(error), F_ADDR("peer", from),
                     F_STR("range", prefix_format(&r->config->range, text)),
                     F_UINT("limit", r->config->limit), F_UINT_IF("suppressed", swallowed));
        peer_set_reject(ps, fd, BGP_CEASE_REJECTED);
        return true;
    }
    if (!p->started)
        peer_start(p, false);
    peer_accept(p, fd);
    return true;
}

struct peer *peer_set_expect(struct peer_set *ps, const char *name)
{
    struct ip_addr a;
    struct peer *p = peer_set_find(ps, name);
    if (p || addr_parse(name, &a))
        return p;
    struct peer_range *r = range_of(&ps->dynamic->ranges, &a);
    return r && !make(ps, r, &a, &p) ? p : NULL;
}

/* Applying a configuration */

int peer_dynamic_prepare(struct peer_set *ps, const struct config *c)
{
    return read_ranges(c, &ps->dynamic->next);
}

unsigned peer_dynamic_gather(struct peer_set *ps, const struct config *c, struct peer **next, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct peer *p = peer_dynamic_find(ps, &next[i]->address);
        if (p)
            p->dynamic->configured = true;
    }
    for (unsigned i = ps->n_fixed; i < ps->n; i++) {
        struct peer *p = ps->peers[i];
        const struct peer_range *r = range_of(&ps->dynamic->next, &p->address);
        if (!r || p->dynamic->configured || p->ibgp != peer_config_is_ibgp(c, r->config))
            continue;
        p->next = r->config;
        next[n++] = p;
    }
    return n;
}

void peer_dynamic_changed(struct peer_set *ps)
{
    struct peer_dynamic *d = ps->dynamic;

    change_keys(ps, &d->ranges, &d->next);
    for (unsigned i = ps->n_fixed; i < ps->n; i++) {
        struct dynamic *m = ps->peers[i]->dynamic;
        bool idle = m->idle;
        leave_list(m);
        m->at = i;
        m->range = range_of(&d->next, &m->peer->address);
        m->range->members++;
        if (idle)
            join_list(m);
    }
    free(d->ranges.list);
    d->ranges = d->next;
    d->next = (struct range_table){0};
}

/* The start */

void peer_dynamic_start(struct peer_set *ps)
{
    if (ps->dynamic->ranges.n)
        timer_set(ps->dynamic->expect, EXPECT_MS);
}

void peer_dynamic_expected(void *arg)
{
    struct peer_set *ps = arg;
    speaker_peer_state_changed(ps->speaker);
}

bool peer_set_expects(const struct peer_set *ps)
{
    return timer_running(ps->dynamic->expect);
}
