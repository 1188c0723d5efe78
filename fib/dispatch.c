/* The border to the speaker: every message is checked here for its place in the order of a start, and every
 * field for its range, before anything acts on it. The speaker is the process that the network can reach, so
 * it is not believed; one message that a sound speaker would not send ends it.
 *
 * Framing (version, type, record size) was checked by fibchan. The table says who may come when; the
 * functions say what a record may hold. They return NULL or what is wrong.
 */
#include "fib/dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fib/bfd.h"
#include "fib/binds.h"
#include "fib/groups.h"
#include "fib/handover.h"
#include "fib/nexthops.h"
#include "fib/roles.h"
#include "fib/routes.h"
#include "fib/supervise.h"

/* Doomed: the parent or the speaker is about to end; what still comes is of no interest. */
enum state { ST_NEW, ST_HELLO, ST_SETTINGS, ST_STARTED, ST_READY, ST_DOOMED };

struct dispatch {
    struct fib *f;
    enum state state;
    int fd; /* with the message that is judged, -1: none or taken */
};

#define AHEAD          8   /* records */
#define ZEBRA_PROTOCOL 186 /* FRR's zebra takes every such route for its own and deletes it */

static bool all_zero(const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        if (b[i])
            return false;
    return true;
}

static bool valid_text(const char *s, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!s[i])
            return true;
        if (s[i] < ' ' || s[i] > '~')
            return false;
    }
    return false;
}

/* Address bytes past the family's size are zero. */
static bool valid_addr(uint8_t af, const uint8_t addr[16])
{
    return af == AF_INET6 || (af == AF_INET && all_zero(addr + 4, 12));
}

static const char *check_neighbor(const struct fm_nexthop *nh)
{
    if (!valid_addr(nh->af, nh->addr) || !all_zero(nh->reserved, sizeof nh->reserved))
        return "next hop is no address";
    struct ip_addr a = fm_addr(nh->af, nh->addr);
    bool scoped = a.af == AF_INET6 && addr_is_link_local(&a);
    if (addr_is_unspecified(&a) || addr_is_multicast(&a))
        return "next hop is no unicast address";
    if (scoped != (nh->scope != 0))
        return "next hop and scope do not agree";
    return NULL;
}

static const char *check_nexthop(const struct fm_nexthop *nh)
{
    const char *wrong = check_neighbor(nh);
    struct ip_addr a = fm_addr(nh->af, nh->addr);

    return !wrong && addr_is_loopback(&a) ? "next hop is this host" : wrong;
}

static const char *on_hello(struct dispatch *d, const void *records)
{
    const struct fm_hello *m = records;

    if (m->version != FIBMSG_VERSION)
        return "speaker of another version";
    d->state = ST_HELLO;
    return NULL;
}

static bool valid_log(uint8_t level, uint8_t format, uint8_t target)
{
    return level < LOG_LVL_COUNT && format <= LOG_FMT_JSON && target <= LOG_TO_SYSLOG;
}

static const char *on_settings(struct dispatch *d, const void *records)
{
    const struct fm_settings *s = records;

    if (s->protocol < 1 || s->protocol > 255 || s->protocol == ZEBRA_PROTOCOL)
        return "protocol out of range";
    if (!s->table || s->port > 65535 || s->flags & ~(uint32_t)(FM_SET_INSTALL | FM_SET_PRESERVE) ||
        s->reserved)
        return "setting out of range";
    if (!valid_log(s->log_level, s->log_format, s->log_target))
        return "log setting out of range";
    if (fib_configure(d->f, s) < 0) {
        d->state = ST_DOOMED;
        return NULL;
    }
    roles_forget(d->f->roles);
    d->state = ST_SETTINGS;
    return NULL;
}

static const char *on_path(struct dispatch *d, const void *records)
{
    return roles_add_path(d->f->roles, records) ? "path is not valid" : NULL;
}

static const char *on_listen(struct dispatch *d, const void *records)
{
    const struct fm_listen *l = records;

    if (!valid_addr(l->af, l->addr))
        return "listener is no address";
    return roles_add_listen(d->f->roles, l) ? "listener is not valid" : NULL;
}

static const char *on_start(struct dispatch *d, const void *records)
{
    (void)records;
    bool ok = roles_start(d->f->roles) && !fib_speaker_started(d->f);
    d->state = ok ? ST_STARTED : ST_DOOMED;
    return NULL;
}

static const char *on_ready(struct dispatch *d, const void *records)
{
    const struct fm_text *t = records;

    if (!valid_text(t->text, sizeof t->text))
        return "text is not printable";
    d->state = ST_READY;
    fib_speaker_ready(d->f, t->text);
    return NULL;
}

static const char *on_status(struct dispatch *d, const void *records)
{
    const struct fm_text *t = records;

    if (!valid_text(t->text, sizeof t->text))
        return "text is not printable";
    fib_speaker_status(d->f, t->text);
    return NULL;
}

static const char *on_reloading(struct dispatch *d, const void *records)
{
    (void)records;
    fib_speaker_reloading(d->f);
    return NULL;
}

static const char *on_heartbeat(struct dispatch *d, const void *records)
{
    (void)d, (void)records;
    return NULL;
}

static const char *on_open(struct dispatch *d, const void *records)
{
    if (!roles_known(d->f->roles, records))
        return "role that was not settled at start";
    roles_open(d->f->roles, records);
    return NULL;
}

static const char *on_commit(struct dispatch *d, const void *records)
{
    const struct fm_role *m = records;

    if (!roles_is_written(m->role) || !roles_known(d->f->roles, m))
        return "role that cannot be committed";
    roles_commit(d->f->roles, m);
    return NULL;
}

static const char *on_watch(struct dispatch *d, const void *records)
{
    const char *wrong = check_nexthop(records);

    if (!wrong && nexthops_watch(d->f->nexthops, records) < 0)
        return "out of memory";
    return wrong;
}

static const char *on_unwatch(struct dispatch *d, const void *records)
{
    const char *wrong = check_nexthop(records);

    if (!wrong)
        nexthops_unwatch(d->f->nexthops, records);
    return wrong;
}

static const char *on_dead(struct dispatch *d, const void *records)
{
    const char *wrong = check_nexthop(records);

    if (!wrong)
        nexthops_set_dead(d->f->nexthops, records, NEXTHOP_DEAD_SAID, true);
    return wrong;
}

static const char *on_alive(struct dispatch *d, const void *records)
{
    const char *wrong = check_nexthop(records);

    if (wrong)
        return wrong;
    nexthops_set_dead(d->f->nexthops, records, NEXTHOP_DEAD_SAID, false);
    bfd_overrule(d->f->bfd, records);
    return NULL;
}

static const char *on_group_set(struct dispatch *d, const void *records)
{
    const struct fm_group *g = records;

    if (g->id < 1 || g->id > GROUPS_MAX_ID)
        return "group number out of range";
    unsigned n = (unsigned)g->n_members + g->n_backups;
    if (g->n_members < 1 || n > FM_GROUP_MEMBERS)
        return "group size out of range";
    for (unsigned i = 0; i < n; i++) {
        const struct fm_member *m = &g->members[i];
        const char *wrong = check_nexthop(&m->nexthop);
        if (wrong)
            return wrong;
        if (m->weight < 1 || m->weight > 255)
            return "weight out of range";
        for (unsigned k = 0; k < i; k++)
            if (!memcmp(&g->members[k].nexthop, &m->nexthop, sizeof m->nexthop))
                return "group with a duplicate";
    }
    return groups_set(d->f->groups, g) ? "group cannot be kept" : NULL;
}

static const char *on_group_del(struct dispatch *d, const void *records)
{
    const struct fm_group_id *m = records;

    return groups_del(d->f->groups, m->id) ? "group is not known" : NULL;
}

static const char *check_route(const struct dispatch *d, const struct fm_route *m)
{
    if (m->op < FM_ROUTE_SET || m->op > FM_ROUTE_BLACKHOLE || m->reserved)
        return "route operation is not known";
    if (!valid_addr(m->af, m->addr) || m->len > family_bits(family_of_af(m->af)))
        return "route is no prefix";
    struct ip_addr a = fm_addr(m->af, m->addr);
    struct prefix p = prefix_make(&a, m->len);
    if (!addr_equal(&p.addr, &a))
        return "route with host bits";
    if (prefix_is_martian(&p))
        return "route that must never be installed";
    if (m->op == FM_ROUTE_BLACKHOLE && !prefix_is_host(&p))
        return "blackhole for more than a host";
    if (m->op == FM_ROUTE_SET ? !groups_known(d->f->groups, m->group) : m->group != 0)
        return "route over a group that is not known";
    return NULL;
}

static const char *on_route(struct dispatch *d, const void *records)
{
    const char *wrong = check_route(d, records);

    if (!wrong)
        routes_apply(d->f->routes, records);
    return wrong;
}

static const char *on_bind(struct dispatch *d, const void *records)
{
    const struct fm_bind *m = records;

    if ((m->op != FM_BIND_ADD && m->op != FM_BIND_DEL) || !valid_addr(m->af, m->addr) ||
        !all_zero(m->reserved, sizeof m->reserved))
        return "bind is not valid";
    struct ip_addr a = fm_addr(m->af, m->addr);
    if (addr_is_unspecified(&a) || addr_is_multicast(&a) || addr_is_loopback(&a))
        return "bind of an address that is nobody's";
    binds_apply(d->f->binds, m);
    return NULL;
}

static const char *check_bfd(const struct fm_bfd *m)
{
    bool multihop = m->flags & FM_BFD_MULTIHOP;
    const char *wrong = check_neighbor(&m->peer); /* which may be a process beside us */

    if (wrong)
        return wrong;
    struct ip_addr local = fm_addr(m->peer.af, m->local);
    if (!valid_addr(m->peer.af, m->local) || addr_is_multicast(&local))
        return "BFD from an address that is nobody's";
    if (m->flags & ~(uint32_t)(FM_BFD_MULTIHOP | FM_BFD_RESTARTING) ||
        !all_zero(m->reserved, sizeof m->reserved))
        return "BFD flag is not known";
    if (m->interval_us < BFD_MIN_US || m->interval_us > BFD_MAX_US || !m->multiplier)
        return "BFD interval or multiplier out of range";
    if (multihop ? !m->min_ttl || m->peer.scope : m->min_ttl != 255)
        return "BFD hops out of range";
    return NULL;
}

static const char *on_bfd_set(struct dispatch *d, const void *records)
{
    const char *wrong = check_bfd(records);

    if (!wrong && bfd_set(d->f->bfd, records) < 0)
        return "out of memory";
    return wrong;
}

static const char *on_bfd_del(struct dispatch *d, const void *records)
{
    const char *wrong = check_neighbor(records);

    if (!wrong)
        bfd_del(d->f->bfd, records);
    return wrong;
}

static const char *on_synced(struct dispatch *d, const void *records)
{
    (void)records;
    fib_sweep(d->f);
    return NULL;
}

static const char *on_stopped(struct dispatch *d, const void *records)
{
    (void)records;
    return supervise_said_stopped(d->f->supervisor) ? NULL : "stopped without being told to";
}

static const char *on_log(struct dispatch *d, const void *records)
{
    const struct fm_log *m = records;

    if (!valid_log(m->level, m->format, m->target) || m->reserved)
        return "log setting out of range";
    fib_set_log(d->f, m);
    return NULL;
}

static const char *on_keep(struct dispatch *d, const void *records)
{
    int rc = handover_keep(d->f->handover, records, d->fd);

    d->fd = -1;
    return !rc ? NULL : rc == -E2BIG ? "more than may be kept" : "nothing that may be kept";
}

static const char *on_restart(struct dispatch *d, const void *records)
{
    const struct fm_flags *m = records;

    if (m->flags & ~(uint32_t)FM_RESTART_PARENT)
        return "restart of an unknown kind";
    d->state = ST_DOOMED;
    handover_restart(d->f->handover, m->flags);
    return NULL;
}

static const struct row {
    enum state first, last;
    bool many; /* more than one record a message */
    const char *(*on)(struct dispatch *d, const void *record);
} rows[] = {
    [FM_HELLO] = {ST_NEW, ST_NEW, false, on_hello},
    [FM_SETTINGS] = {ST_HELLO, ST_HELLO, false, on_settings},
    [FM_PATH] = {ST_SETTINGS, ST_SETTINGS, true, on_path},
    [FM_LISTEN] = {ST_SETTINGS, ST_SETTINGS, true, on_listen},
    [FM_START] = {ST_SETTINGS, ST_SETTINGS, false, on_start},
    [FM_READY] = {ST_STARTED, ST_READY, false, on_ready},
    [FM_STATUS] = {ST_STARTED, ST_READY, false, on_status},
    [FM_RELOADING] = {ST_READY, ST_READY, false, on_reloading},
    [FM_HEARTBEAT] = {ST_NEW, ST_READY, false, on_heartbeat},
    [FM_OPEN] = {ST_STARTED, ST_READY, false, on_open},
    [FM_COMMIT] = {ST_STARTED, ST_READY, false, on_commit},
    [FM_NEXTHOP_WATCH] = {ST_STARTED, ST_READY, true, on_watch},
    [FM_NEXTHOP_UNWATCH] = {ST_STARTED, ST_READY, true, on_unwatch},
    [FM_NEXTHOP_DEAD] = {ST_STARTED, ST_READY, true, on_dead},
    [FM_NEXTHOP_ALIVE] = {ST_STARTED, ST_READY, true, on_alive},
    [FM_GROUP_SET] = {ST_STARTED, ST_READY, false, on_group_set},
    [FM_GROUP_DEL] = {ST_STARTED, ST_READY, true, on_group_del},
    [FM_ROUTES] = {ST_STARTED, ST_READY, true, on_route},
    [FM_BIND] = {ST_STARTED, ST_READY, true, on_bind},
    [FM_SYNCED] = {ST_STARTED, ST_READY, false, on_synced},
    [FM_STOPPED] = {ST_NEW, ST_READY, false, on_stopped},
    [FM_LOG] = {ST_STARTED, ST_READY, false, on_log},
    [FM_KEEP] = {ST_READY, ST_READY, false, on_keep},
    [FM_RESTART] = {ST_READY, ST_READY, false, on_restart},
    [FM_BFD_SET] = {ST_STARTED, ST_READY, true, on_bfd_set},
    [FM_BFD_DEL] = {ST_STARTED, ST_READY, true, on_bfd_del},
};

struct dispatch *dispatch_new(struct fib *f)
{
    struct dispatch *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->f = f;
    d->fd = -1;
    return d;
}

void dispatch_free(struct dispatch *d)
{
    free(d);
}

void dispatch_reset(struct dispatch *d)
{
    d->state = ST_NEW;
}

bool dispatch_is_ready(const struct dispatch *d)
{
    return d->state == ST_READY;
}

static const char *judge(struct dispatch *d, const struct fm_header *h, const void *records)
{
    const struct row *row = h->type < sizeof rows / sizeof *rows ? &rows[h->type] : NULL;
    const uint8_t *record = records;

    if (d->state == ST_DOOMED)
        return NULL;
    if (!row || !row->on)
        return "not for the speaker to say";
    if (d->state < row->first || d->state > row->last)
        return "out of order";
    if (h->count > 1 && !row->many)
        return "more than one record";
    uint32_t n = h->count ? h->count : 1;
    size_t size = fm_record_size(h->type);
    for (uint32_t i = 0; i < n; i++) {
        if (h->type == FM_ROUTES && i + 2 * AHEAD < n)
            routes_prefetch(d->f->routes, (const void *)(record + (i + 2 * AHEAD) * size));
        if (h->type == FM_ROUTES && i + AHEAD < n)
            routes_prefetch_route(d->f->routes, (const void *)(record + (i + AHEAD) * size));
        const char *wrong = row->on(d, record + i * size);
        if (wrong)
            return wrong;
    }
    return NULL;
}

int dispatch_message(struct dispatch *d, const struct fm_header *h, const void *records, int fd)
{
    d->fd = fd;
    const char *wrong = judge(d, h, records);

    if (d->fd >= 0)
        close(d->fd); /* only FM_KEEP hands us one */
    d->fd = -1;
    if (!wrong)
        return 0;
    log_error("invalid message from the speaker", F_STR("type", fm_type_name(h->type)),
              F_STR("reason", wrong));
    return -EPROTO;
}
