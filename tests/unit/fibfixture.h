/* The routes, groups and next hops of fib/ over the kernel in memory, and the speaker's end of their channel.
 */
#ifndef UNDERLAY_FIBFIXTURE_H
#define UNDERLAY_FIBFIXTURE_H

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fakekernel.h"
#include "fib/dispatch.h"
#include "fib/groups.h"
#include "fib/internal.h"
#include "fib/links.h"
#include "fib/nexthops.h"
#include "fib/reconcile.h"
#include "fib/routes_internal.h"
#include "unit.h"

struct fixture {
    struct fib f;
    struct kernel k;
    int far;
    uint64_t limit_ms;
};

static struct fixture x;

static inline int ignore_message(void *arg, const struct fm_header *h, const void *records, int fd)
{
    (void)arg, (void)h, (void)records, (void)fd;
    return 0;
}

static inline void ignore_close(void *arg, const char *why)
{
    (void)arg, (void)why;
}

static inline void add_link(uint32_t ifindex, const char *addr4, bool up)
{
    struct kevent link = {.type = KEVENT_LINK}, addr = {.type = KEVENT_ADDRESS};

    link.u.link =
        (struct klink){.ifindex = ifindex, .flags = up ? IFF_UP | IFF_LOWER_UP | IFF_RUNNING : IFF_UP};
    links_event(x.f.links, &link);
    addr.u.address = (struct kaddress){.ifindex = ifindex, .len = 24};
    CU_ASSERT_FATAL(addr_parse(addr4, &addr.u.address.local) == 0);
    addr.u.address.subnet = addr.u.address.local;
    links_event(x.f.links, &addr);
}

static inline void stop(void *arg)
{
    struct fib *f = arg;
    loop_stop(f->loop, 0);
}

/* Time passes. */
static inline void run_for(uint64_t ms)
{
    struct timer *t = timer_new(x.f.loop, stop, &x.f);

    timer_set(t, ms);
    loop_run(x.f.loop);
    timer_free(t);
}

/* What is under way comes to its end: so long of our own time, see unit_starved_ms. */
static inline void settle(unsigned ms)
{
    uint64_t starved = unit_starved_ms();

    for (ms *= UNIT_SLOW; ms; ms = unit_owed_ms(&starved))
        run_for(ms);
}

static inline void set_up_with(uint32_t flags)
{
    static const struct fibchan_ops ops = {.message = ignore_message, .closed = ignore_close};
    static const struct fib_options options = {0};
    struct fm_settings s = {
        .flags = flags, .table = 254, .metric = 20, .protocol = 87, .log_level = LOG_LVL_ERROR};
    int pair[2];

    memset(&x, 0, sizeof x);
    x.f.kernel = &x.k;
    x.f.loop = loop_new();
    CU_ASSERT_FATAL(fib_make_modules(&x.f, &options));
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0);
    x.f.chan = fibchan_new(x.f.loop, pair[0], &ops, &x);
    x.far = pair[1];
    add_link(2, "10.9.0.1", true);
    add_link(3, "10.9.1.1", true);
    fib_configure(&x.f, &s);
    fib_speaker_started(&x.f);
    run_for(20);
}

static inline void set_up(void)
{
    set_up_with(FM_SET_INSTALL);
}

static inline void tear_down(void)
{
    close(x.far);
    fib_free_modules(&x.f);
    loop_free(x.f.loop);
}

static inline struct fm_route make(uint8_t op, const char *text, uint32_t group, uint32_t cookie)
{
    struct fm_route r = {.op = op, .group = group, .cookie = cookie};
    struct prefix p;

    CU_ASSERT_FATAL(prefix_parse(text, true, &p) == 0);
    r.af = p.addr.af;
    r.len = p.len;
    memcpy(r.addr, p.addr.b, sizeof r.addr);
    return r;
}

static inline void apply(uint8_t op, const char *text, uint32_t group, uint32_t cookie)
{
    struct fm_route r = make(op, text, group, cookie);
    routes_apply(x.f.routes, &r);
}

static inline void set_group(uint32_t id, const char *a, const char *b)
{
    struct fm_group g = {.id = id, .n_members = b ? 2 : 1};
    const char *text[] = {a, b};

    for (unsigned i = 0; i < g.n_members; i++) {
        struct ip_addr addr;
        CU_ASSERT_FATAL(addr_parse(text[i], &addr) == 0);
        g.members[i] = (struct fm_member){.nexthop.af = addr.af, .weight = 1};
        memcpy(g.members[i].nexthop.addr, addr.b, 16);
    }
    CU_ASSERT_EQUAL(groups_set(x.f.groups, &g), 0);
}

/* All results that have come, oldest first. */
static inline unsigned results(struct fm_result *out, unsigned max)
{
    static uint8_t buf[FIBMSG_MAX];
    struct fm_header h;
    unsigned n = 0;

    while (recv(x.far, buf, sizeof buf, MSG_DONTWAIT) > 0) {
        memcpy(&h, buf, sizeof h);
        for (uint32_t i = 0; h.type == FM_ROUTE_RESULTS && i < h.count && n < max; i++)
            memcpy(&out[n++], buf + sizeof h + i * sizeof *out, sizeof *out);
    }
    return n;
}

/* The last word on cookie; 1: none. */
static inline int result_of(uint32_t cookie)
{
    struct fm_result r[256];
    int error = 1;

    for (unsigned i = 0, n = results(r, 256); i < n; i++)
        if (r[i].cookie == cookie)
            error = r[i].error;
    return error;
}

static inline struct fake_route *in_kernel(const char *text)
{
    struct prefix p;

    CU_ASSERT_FATAL(prefix_parse(text, true, &p) == 0);
    return fake_find(&x.k, &p, false);
}

#endif
