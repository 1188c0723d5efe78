/* The speaker's end of fibmsg.
 *
 * Routes flow one way as a dirty set (rib_sub): a task walks it, asks the RIB what the kernel should hold now
 * and sends that, so a prefix that flaps costs one message however often it changed. Results flow back by RIB
 * index (the cookie). The socketpair is never waited for: when fibchan has no room the task sleeps until it
 * has.
 *
 * Group messages and route messages share one queue in order, so a group exists before the first route over
 * it and goes after the last one has left it: group_del therefore first sends the routes gathered so far.
 *
 * Not here: what to install (rib_fib.c) and how (the fib process). */
#include "fibclient.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fibwatch.h"
#include "handover.h"
#include "log.h"
#include "speaker.h"
#include "speaker_events.h"

#define ROUTES_PER_STEP 2048

struct open_request {
    struct open_request *next;
    uint32_t role, index;
    void (*cb)(void *arg, int fd, int error);
    void *arg;
};

struct fibclient {
    struct speaker *s;
    struct fibchan *chan;
    struct timer *heartbeat;
    struct task *flush;
    struct rib_sub sub;
    struct fibwatch watches;
    struct log_limit log_limit;
    bool attached, detached, sync_wanted, sync_sent;
    struct open_request *opens; /* oldest first */
    struct fib_link *links;
    unsigned n_links;
    struct fib_address *addresses;
    unsigned n_addresses;
    struct fm_route batch[ROUTES_PER_STEP];
    unsigned n_batch;
    struct fib_counts counts;
};

static void send_or_die(struct fibclient *c, enum fm_type type, const void *records, uint32_t n)
{
    int rc = c->detached ? 0 : fibchan_send(c->chan, type, records, n, -1);
    if (rc < 0) {
        /* Only memory can fail here; a FIB process that missed a word from us is worse than a restart. */
        log_error("cannot queue a message to the fib process", F_STR("type", fm_type_name(type)), F_ERR(rc));
        speaker_fib_closed(c->s, "out of memory");
    }
}

static void flush_batch(struct fibclient *c)
{
    if (!c->n_batch)
        return;
    send_or_die(c, FM_ROUTES, c->batch, c->n_batch);
    c->counts.sent += c->n_batch;
    c->n_batch = 0;
}

static void send_watches(void *arg, enum fm_type type, const void *records, uint32_t n)
{
    send_or_die(arg, type, records, n);
}

/* Of watches both ways: it came or went. */
static void op_touch(void *arg, const struct nexthop *nh)
{
    struct fibclient *c = arg;
    if (c->detached)
        return;
    if (fibwatch_touch(&c->watches, nh->id))
        speaker_fib_closed(c->s, "out of memory");
    task_wake(c->flush);
}

/* Ahead of the routes on their way: forwarding waits for it. That a watch has begun it finds told. */
static void op_dead(void *arg, const struct nexthop *const *nh, unsigned n)
{
    struct fibclient *c = arg;
    if (c->detached)
        return;
    for (unsigned i = 0; i < n; i++)
        if (fibwatch_judge(&c->watches, nh[i]->id))
            speaker_fib_closed(c->s, "out of memory");
    fibwatch_flush(&c->watches, c->s->nexthops, send_watches, c);
}

/* The routes over it come later than this, and the flush begins with it. */
static void op_alive(void *arg, const struct nexthop *nh)
{
    struct fibclient *c = arg;
    if (c->detached)
        return;
    if (fibwatch_judge(&c->watches, nh->id))
        speaker_fib_closed(c->s, "out of memory");
    task_wake(c->flush);
}

static void op_revive(void *arg, const struct ip_addr *addr, uint32_t scope)
{
    struct nexthop nh = {.addr = *addr, .scope = scope};
    struct fm_nexthop r = nexthop_record(&nh);
    send_or_die(arg, FM_NEXTHOP_ALIVE, &r, 1);
}

static void op_group_set(void *arg, uint32_t group, const struct nhgroup_member *members, unsigned n,
                         unsigned n_backups)
{
    struct fibclient *c = arg;
    struct fm_group g = {.id = group, .n_members = (uint16_t)n, .n_backups = (uint16_t)n_backups};
    for (unsigned i = 0; i < n + n_backups; i++) {
        const struct nexthop *nh = nexthop_by_id(c->s->nexthops, members[i].nexthop);
        g.members[i] = (struct fm_member){.nexthop = nexthop_record(nh), .weight = members[i].weight};
    }
    send_or_die(c, FM_GROUP_SET, &g, 1);
}

static void op_group_del(void *arg, uint32_t group)
{
    struct fibclient *c = arg;
    struct fm_group_id r = {.id = group};
    flush_batch(c);
    send_or_die(c, FM_GROUP_DEL, &r, 1);
}

struct nexthop_ops fibclient_nexthop_ops(void)
{
    return (struct nexthop_ops){.watch = op_touch,
                                .unwatch = op_touch,
                                .group_set = op_group_set,
                                .group_del = op_group_del,
                                .dead = op_dead,
                                .alive = op_alive,
                                .revive = op_revive};
}

static void add_route(struct fibclient *c, const struct prefix *p, uint8_t op, uint32_t group,
                      uint32_t cookie)
{
    if (c->n_batch == ROUTES_PER_STEP || c->n_batch == fm_max_records(FM_ROUTES))
        flush_batch(c);
    struct fm_route *r = &c->batch[c->n_batch++];
    *r = (struct fm_route){.op = op, .af = p->addr.af, .len = p->len, .group = group, .cookie = cookie};
    memcpy(r->addr, p->addr.b, sizeof r->addr);
    if (cookie)
        c->counts.pending++;
}

/* Tells the kernel's side what one prefix should be now. A change from or to unreachable is two
 * records; the first has cookie 0, whose result nobody waits for. */
static void serve_index(struct fibclient *c, enum family f, uint32_t index)
{
    struct rib *rib = c->s->rib;
    dirty_clear(&c->sub.dirty[f], index);
    if (!rib_entry_used(rib, f, index))
        return;
    struct prefix p;
    struct rib_entry *e = rib_entry(rib, f, index);
    rib_entry_prefix(rib, f, e, &p);
    bool has = e->fib != FIB_NONE, unreachable = rib_fib_told(rib, f, index) == FM_ROUTE_UNREACHABLE;
    uint8_t remove = unreachable ? FM_ROUTE_DEL_UNREACHABLE : FM_ROUTE_DEL;
    uint32_t group = 0;
    int op = rib_fib_desired(rib, f, index, &group);

    if (op < 0) {
        /* No memory for the group: what the kernel has stays, and the next change of the prefix tries again.
         */
        uint32_t swallowed = 0;
        if (log_limit_ok(&c->log_limit, loop_now_ms(), &swallowed))
            log_error("route failed", F_PREFIX("prefix", &p), F_ERR(op), F_UINT("suppressed", swallowed));
    } else if (op && rib_fib_is_current(rib, f, index, op, group)) {
        if (group)
            nhgroup_put(c->s->nexthops, group);
    } else if (op) {
        if (has && unreachable != (op == FM_ROUTE_UNREACHABLE))
            add_route(c, &p, remove, 0, 0);
        add_route(c, &p, (uint8_t)op, group, index);
        rib_fib_sent(rib, f, index, op, group);
    } else if (has) {
        add_route(c, &p, remove, 0, index);
        rib_fib_sent(rib, f, index, 0, 0);
    } else {
        rib_release(rib, f, index);
    }
}

/* Routes that came may still wait for the word on their next hops, or for the walk that follows it. */
static bool has_drained(const struct fibclient *c)
{
    return !c->sub.dirty[FAM_IPV4].count && !c->sub.dirty[FAM_IPV6].count && !rib_has_work(c->s->rib) &&
           nexthop_all_resolved(c->s->nexthops);
}

bool fibclient_idle(const struct fibclient *c)
{
    return !c->counts.pending && has_drained(c);
}

static void tell_when_idle(struct fibclient *c)
{
    if (!c->s->fib_settled && fibclient_idle(c))
        speaker_fib_idle(c->s);
}

static void send_synced_when_drained(struct fibclient *c)
{
    if (!c->sync_wanted || c->sync_sent || !has_drained(c))
        return;
    c->sync_sent = true;
    log_info("all sessions have sent their routes; what none of them has is removed from the kernel");
    send_or_die(c, FM_SYNCED, NULL, 0);
}

static bool flush_step(void *arg)
{
    struct fibclient *c = arg;
    unsigned budget = ROUTES_PER_STEP;
    if (!fibchan_room(c->chan))
        return false; /* on_writable wakes us */
    fibwatch_flush(&c->watches, c->s->nexthops, send_watches, c);
    for (enum family f = 0; f < FAM_COUNT && budget; f++) {
        uint32_t i = 0;
        while (budget && (i = dirty_next(&c->sub.dirty[f], i)) != DIRTY_NONE) {
            serve_index(c, f, i++);
            budget--;
        }
    }
    flush_batch(c);
    send_synced_when_drained(c);
    tell_when_idle(c);
    return c->sub.dirty[FAM_IPV4].count || c->sub.dirty[FAM_IPV6].count;
}

static void on_writable(void *arg)
{
    struct fibclient *c = arg;
    task_wake(c->flush);
}

static enum fib_reason reason_of(int32_t error)
{
    switch (error) {
    case FM_E_CONNECTED:
        return FIB_REASON_CONNECTED;
    case FM_E_CONFLICT:
        return FIB_REASON_CONFLICT;
    case FM_E_NEXTHOP:
        return FIB_REASON_NEXTHOP;
    case FM_E_PREFSRC:
        return FIB_REASON_PREFSRC;
    case -EPERM:
    case -EACCES:
        return FIB_REASON_PERMISSION;
    case -ENOMEM:
    case -ENOBUFS:
    case -ENOSPC:
        return FIB_REASON_MEMORY;
    default:
        return FIB_REASON_OTHER;
    }
}

static void count_result(struct fib_counts *n, const struct fm_result *r)
{
    n->results++;
    if (n->pending)
        n->pending--;
    if (r->error == -ECANCELED) {
        n->superseded++;
    } else if (r->error) {
        n->failures++;
        n->failed_by[reason_of(r->error)]++;
    } else if (r->op == FM_ROUTE_DEL || r->op == FM_ROUTE_DEL_UNREACHABLE) {
        n->deleted++;
    } else {
        n->set++;
    }
}

static void on_results(struct fibclient *c, const struct fm_result *r, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!r[i].cookie)
            continue;
        count_result(&c->counts, &r[i]);
        if (r[i].error == -ECANCELED)
            continue; /* overridden by a later word, which has its own answer */
        rib_fib_result(c->s->rib, family_of_af(r[i].af), r[i].cookie, r[i].op, r[i].error);
    }
    tell_when_idle(c);
}

static void on_nexthop_states(struct fibclient *c, const struct fm_nexthop_state *st, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = nexthop_set_state(c->s->nexthops, &st[i]);
        if (id)
            rib_nexthop_changed(c->s->rib, id);
    }
    fibclient_rib_idle(c);
}

static void on_links(struct fibclient *c, const struct fm_link *r, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        unsigned k = 0;
        while (k < c->n_links && c->links[k].ifindex != r[i].ifindex)
            k++;
        if (r[i].flags & FM_LINK_DELETED) {
            if (k < c->n_links)
                c->links[k] = c->links[--c->n_links];
            continue;
        }
        if (k == c->n_links) {
            struct fib_link *grown = realloc(c->links, (c->n_links + 1) * sizeof *grown);
            if (!grown)
                continue;
            c->links = grown;
            c->n_links++;
        }
        c->links[k] = (struct fib_link){.ifindex = r[i].ifindex, .flags = r[i].flags, .mtu = r[i].mtu};
        memcpy(c->links[k].name, r[i].name, sizeof r[i].name);
        c->links[k].name[FM_NAME_MAX - 1] = 0;
    }
}

static void on_addresses(struct fibclient *c, const struct fm_address *r, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if ((r[i].af != AF_INET && r[i].af != AF_INET6) || r[i].len > family_bits(family_of_af(r[i].af)))
            continue; /* no address; the kernel has none of these */
        struct ip_addr a = addr_from_bytes(r[i].af, r[i].addr);
        unsigned k = 0;
        while (k < c->n_addresses &&
               !(c->addresses[k].ifindex == r[i].ifindex && c->addresses[k].len == r[i].len &&
                 addr_equal(&c->addresses[k].addr, &a)))
            k++;
        if (r[i].flags & FM_ADDR_DELETED) {
            if (k < c->n_addresses)
                c->addresses[k] = c->addresses[--c->n_addresses];
            continue;
        }
        if (k == c->n_addresses) {
            struct fib_address *grown = realloc(c->addresses, (c->n_addresses + 1) * sizeof *grown);
            if (!grown)
                continue;
            c->addresses = grown;
            c->n_addresses++;
        }
        c->addresses[k] = (struct fib_address){
            .ifindex = r[i].ifindex, .flags = r[i].flags, .addr = a, .len = r[i].len, .scope = r[i].scope};
    }
}

static void on_fd(struct fibclient *c, const struct fm_fd *r, int fd)
{
    for (struct open_request **p = &c->opens; *p; p = &(*p)->next) {
        struct open_request *o = *p;
        if (o->role != r->role || o->index != r->index)
            continue;
        *p = o->next;
        o->cb(o->arg, fd, r->error);
        free(o);
        return;
    }
    speaker_got_fd(c->s, (enum fm_file_role)r->role, r->index, fd, r->error);
}

static int on_message(void *arg, const struct fm_header *h, const void *records, int fd)
{
    struct fibclient *c = arg;
    switch (h->type) {
    case FM_FD:
        on_fd(c, records, fd);
        return 0;
    case FM_LINK:
        on_links(c, records, h->count);
        speaker_addresses_changed(c->s);
        return 0;
    case FM_ADDRESS:
        on_addresses(c, records, h->count);
        speaker_addresses_changed(c->s);
        return 0;
    case FM_SYNC_DONE:
        speaker_links_known(c->s, ((const struct fm_flags *)records)->flags);
        return 0;
    case FM_NEXTHOP_STATE:
        on_nexthop_states(c, records, h->count);
        return 0;
    case FM_BFD_STATE:
        for (uint32_t i = 0; i < h->count; i++)
            speaker_bfd_state(c->s, (const struct fm_bfd_state *)records + i);
        return 0;
    case FM_ROUTE_RESULTS:
        on_results(c, records, h->count);
        return 0;
    case FM_KEPT:
        speaker_handover_got(c->s, records, fd);
        return 0;
    case FM_RESTART_ASKED:
        speaker_restart_asked(c->s, ((const struct fm_flags *)records)->flags);
        return 0;
    case FM_RELOAD:
        speaker_reload_asked(c->s);
        return 0;
    case FM_STOP:
        speaker_stop(c->s, ((const struct fm_flags *)records)->flags & FM_STOP_PRESERVE);
        return 0;
    default:
        return -EPROTO;
    }
}

static void on_closed(void *arg, const char *why)
{
    struct fibclient *c = arg;
    speaker_fib_closed(c->s, why);
}

static void on_heartbeat(void *arg)
{
    struct fibclient *c = arg;
    send_or_die(c, FM_HEARTBEAT, NULL, 0);
    timer_set(c->heartbeat, FM_HEARTBEAT_MS);
}

static const struct fibchan_ops chan_ops = {
    .message = on_message, .writable = on_writable, .closed = on_closed};

struct fibclient *fibclient_new(struct speaker *s, int fd)
{
    struct fibclient *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->s = s;
    c->chan = fibchan_new(s->loop, fd, &chan_ops, c);
    c->heartbeat = timer_new(s->loop, on_heartbeat, c);
    c->flush = task_new(s->loop, flush_step, c);
    if (!c->chan || !c->heartbeat || !c->flush) {
        fibclient_free(c);
        return NULL;
    }
    timer_set(c->heartbeat, FM_HEARTBEAT_MS);
    return c;
}

void fibclient_detach(struct fibclient *c)
{
    if (!c)
        return;
    if (c->attached)
        rib_unsubscribe(c->s->rib, &c->sub);
    c->attached = false;
    c->detached = true;
}

void fibclient_free(struct fibclient *c)
{
    if (!c)
        return;
    fibclient_detach(c);
    while (c->opens) {
        struct open_request *o = c->opens;
        c->opens = o->next;
        free(o);
    }
    timer_free(c->heartbeat);
    task_free(c->flush);
    fibchan_free(c->chan);
    fibwatch_reset(&c->watches);
    free(c->links);
    free(c->addresses);
    free(c);
}

static void sub_wake(void *arg)
{
    struct fibclient *c = arg;
    task_wake(c->flush);
}

void fibclient_attach_rib(struct fibclient *c)
{
    c->sub = (struct rib_sub){.family = {true, true}, .forwarding = true, .wake = sub_wake, .arg = c};
    rib_subscribe(c->s->rib, &c->sub);
    c->attached = true;
}

const struct fib_link *fibclient_link(const struct fibclient *c, uint32_t ifindex)
{
    for (unsigned i = 0; i < c->n_links; i++)
        if (c->links[i].ifindex == ifindex)
            return &c->links[i];
    return NULL;
}

const struct fib_link *fibclient_link_by_name(const struct fibclient *c, const char *name)
{
    for (unsigned i = 0; i < c->n_links; i++)
        if (!strcmp(c->links[i].name, name))
            return &c->links[i];
    return NULL;
}

unsigned fibclient_addresses(const struct fibclient *c, const struct fib_address **out)
{
    *out = c->addresses;
    return c->n_addresses;
}

const struct fib_address *fibclient_subnet_of(const struct fibclient *c, const struct ip_addr *a,
                                              uint32_t scope)
{
    const struct fib_address *best = NULL;
    for (unsigned i = 0; i < c->n_addresses; i++) {
        const struct fib_address *own = &c->addresses[i];
        if (own->addr.af != a->af || (scope && own->ifindex != scope) ||
            (!scope && addr_is_link_local(a) && a->af == AF_INET6))
            continue;
        struct prefix subnet = prefix_make(&own->addr, own->len);
        if (prefix_contains_addr(&subnet, a) && (!best || own->len > best->len))
            best = own;
    }
    return best;
}

bool fibclient_is_own(const struct fibclient *c, const struct ip_addr *a, uint32_t scope)
{
    for (unsigned i = 0; i < c->n_addresses; i++)
        if (addr_equal(&c->addresses[i].addr, a) && (!scope || c->addresses[i].ifindex == scope))
            return true;
    return false;
}

static void send_text(struct fibclient *c, enum fm_type type, const char *text)
{
    struct fm_text r = {0};
    size_t n = strnlen(text, sizeof r.text - 1);
    memcpy(r.text, text, n);
    send_or_die(c, type, &r, 1);
}

void fibclient_ready(struct fibclient *c, const char *status)
{
    send_text(c, FM_READY, status);
}

void fibclient_status(struct fibclient *c, const char *status)
{
    send_text(c, FM_STATUS, status);
}

void fibclient_reloading(struct fibclient *c)
{
    send_or_die(c, FM_RELOADING, NULL, 0);
}

void fibclient_log(struct fibclient *c, const struct fm_log *m)
{
    send_or_die(c, FM_LOG, m, 1);
}

void fibclient_stopped(struct fibclient *c)
{
    flush_batch(c);
    send_or_die(c, FM_STOPPED, NULL, 0);
    fibchan_flush(c->chan, 1000);
}

int fibclient_keep(struct fibclient *c, enum fm_keep_kind kind, uint32_t index, int fd)
{
    const struct fm_keep m = {.kind = kind, .index = index};
    return fibchan_send(c->chan, FM_KEEP, &m, 1, fd);
}

void fibclient_keep_nothing(struct fibclient *c)
{
    const struct fm_keep m = {.kind = FM_KEEP_NOTHING};
    send_or_die(c, FM_KEEP, &m, 1);
}

void fibclient_restart(struct fibclient *c, uint32_t flags)
{
    const struct fm_flags m = {.flags = flags};
    flush_batch(c);
    send_or_die(c, FM_RESTART, &m, 1);
    fibclient_detach(c); /* what becomes of the RIB now is nothing to the routes */
    if (fibchan_flush(c->chan, 2000))
        log_warn("the fib process is slow: the hand-over may be incomplete");
}

void fibclient_reconsider(struct fibclient *c)
{
    for (enum family f = 0; f < FAM_COUNT; f++) {
        int rc = rib_mark_all(c->s->rib, &c->sub, f);
        if (rc)
            log_error("cannot look at all routes again", F_ERR(rc));
    }
}

void fibclient_rib_idle(struct fibclient *c)
{
    if (c->sync_wanted && !c->sync_sent)
        task_wake(c->flush);
    tell_when_idle(c);
}

void fibclient_synced(struct fibclient *c)
{
    c->sync_wanted = true;
    task_wake(c->flush);
}

int fibclient_send_start(struct fibclient *c, const struct fm_settings *settings, const struct fm_path *paths,
                         unsigned n_paths, const struct fm_listen *listens, unsigned n_listens)
{
    struct fm_hello hello = {.version = FIBMSG_VERSION, .pid = getpid()};
    int rc = fibchan_send(c->chan, FM_HELLO, &hello, 1, -1);
    if (!rc)
        rc = fibchan_send(c->chan, FM_SETTINGS, settings, 1, -1);
    for (unsigned i = 0; !rc && i < n_paths; i++)
        rc = fibchan_send(c->chan, FM_PATH, &paths[i], 1, -1);
    for (unsigned i = 0; !rc && i < n_listens; i++)
        rc = fibchan_send(c->chan, FM_LISTEN, &listens[i], 1, -1);
    if (!rc)
        rc = fibchan_send(c->chan, FM_START, NULL, 0, -1);
    return rc ? rc : fibchan_flush(c->chan, 5000);
}

void fibclient_bfd_set(struct fibclient *c, const struct fm_bfd *m)
{
    send_or_die(c, FM_BFD_SET, m, 1);
}

void fibclient_bfd_del(struct fibclient *c, const struct fm_nexthop *peer)
{
    send_or_die(c, FM_BFD_DEL, peer, 1);
}

int fibclient_bind(struct fibclient *c, const struct ip_addr *a, bool add)
{
    struct fm_bind r = {.op = add ? FM_BIND_ADD : FM_BIND_DEL, .af = a->af};
    memcpy(r.addr, a->b, sizeof r.addr);
    return fibchan_send(c->chan, FM_BIND, &r, 1, -1);
}

static int request(struct fibclient *c, enum fm_type type, uint32_t role, uint32_t index,
                   void (*cb)(void *arg, int fd, int error), void *arg)
{
    struct open_request *o = calloc(1, sizeof *o), **p = &c->opens;
    if (!o)
        return -ENOMEM;
    *o = (struct open_request){.role = role, .index = index, .cb = cb, .arg = arg};
    struct fm_role r = {.role = role, .index = index};
    int rc = fibchan_send(c->chan, type, &r, 1, -1);
    if (rc) {
        free(o);
        return rc;
    }
    while (*p)
        p = &(*p)->next;
    *p = o;
    return 0;
}

int fibclient_open(struct fibclient *c, enum fm_file_role role, uint32_t index,
                   void (*cb)(void *arg, int fd, int error), void *arg)
{
    return request(c, FM_OPEN, role, index, cb, arg);
}

int fibclient_commit(struct fibclient *c, enum fm_file_role role, void (*cb)(void *arg, int fd, int error),
                     void *arg)
{
    return request(c, FM_COMMIT, role, 0, cb, arg);
}

void fibclient_counts(const struct fibclient *c, struct fib_counts *out)
{
    *out = c->counts;
}

uint64_t fibclient_memory(const struct fibclient *c)
{
    return sizeof *c + dirty_memory(&c->sub.dirty[FAM_IPV4]) + dirty_memory(&c->sub.dirty[FAM_IPV6]) +
           dirty_memory(&c->watches.changed) + dirty_memory(&c->watches.judged) +
           c->watches.room * sizeof *c->watches.told + c->n_links * sizeof *c->links +
           c->n_addresses * sizeof *c->addresses;
}
