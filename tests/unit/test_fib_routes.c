/* Routes, groups and next hops over a kernel in memory: order of wishes, refusals, retries, memory. */
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

static int ignore_message(void *arg, const struct fm_header *h, const void *records, int fd)
{
    (void)arg, (void)h, (void)records, (void)fd;
    return 0;
}

static void ignore_close(void *arg, const char *why)
{
    (void)arg, (void)why;
}

static void add_link(uint32_t ifindex, const char *addr4, bool up)
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

static void stop(void *arg)
{
    struct fib *f = arg;
    loop_stop(f->loop, 0);
}

static void run_for(uint64_t ms)
{
    struct timer *t = timer_new(x.f.loop, stop, &x.f);

    timer_set(t, ms);
    loop_run(x.f.loop);
    timer_free(t);
}

static void set_up_with(uint32_t flags)
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

static void set_up(void)
{
    set_up_with(FM_SET_INSTALL);
}

static void tear_down(void)
{
    close(x.far);
    fib_free_modules(&x.f);
    loop_free(x.f.loop);
}

static struct fm_route make(uint8_t op, const char *text, uint32_t group, uint32_t cookie)
{
    struct fm_route r = {.op = op, .group = group, .cookie = cookie};
    struct prefix p;

    CU_ASSERT_FATAL(prefix_parse(text, true, &p) == 0);
    r.af = p.addr.af;
    r.len = p.len;
    memcpy(r.addr, p.addr.b, sizeof r.addr);
    return r;
}

static void apply(uint8_t op, const char *text, uint32_t group, uint32_t cookie)
{
    struct fm_route r = make(op, text, group, cookie);
    routes_apply(x.f.routes, &r);
}

static void set_group(uint32_t id, const char *a, const char *b)
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
static unsigned results(struct fm_result *out, unsigned max)
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
static int result_of(uint32_t cookie)
{
    struct fm_result r[256];
    int error = 1;

    for (unsigned i = 0, n = results(r, 256); i < n; i++)
        if (r[i].cookie == cookie)
            error = r[i].error;
    return error;
}

static struct fake_route *in_kernel(const char *text)
{
    struct prefix p;

    CU_ASSERT_FATAL(prefix_parse(text, true, &p) == 0);
    return fake_find(&x.k, &p, false);
}

static void the_last_word_wins_and_both_are_answered(void)
{
    struct fm_result r[8];

    set_up();
    set_group(1, "10.9.0.2", NULL);
    set_group(2, "10.9.1.2", NULL);
    apply(FM_ROUTE_SET, "10.50.0.0/16", 1, 1);
    apply(FM_ROUTE_SET, "10.50.0.0/16", 2, 2);
    apply(FM_ROUTE_SET, "10.51.0.0/16", 1, 3);
    apply(FM_ROUTE_DEL, "10.51.0.0/16", 0, 4);
    run_for(20);
    CU_ASSERT_EQUAL(results(r, 8), 4);
    for (unsigned i = 0; i < 4; i++) {
        bool overridden = r[i].cookie == 1 || r[i].cookie == 3;
        CU_ASSERT_EQUAL(r[i].error, overridden ? -ECANCELED : 0);
        CU_ASSERT_EQUAL(r[i].op, r[i].cookie == 4 ? FM_ROUTE_DEL : FM_ROUTE_SET);
    }
    CU_ASSERT_EQUAL(x.k.n_routes, 1);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD], 1);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_DELETE], 0);
    tear_down();
}

static void the_same_again_costs_the_kernel_nothing(void)
{
    set_up();
    set_group(1, "10.9.0.2", "10.9.1.2");
    set_group(2, "10.9.1.2", "10.9.0.2");
    apply(FM_ROUTE_SET, "10.50.0.0/16", 1, 1);
    run_for(20);
    apply(FM_ROUTE_SET, "10.50.0.0/16", 2, 2);
    run_for(20);
    CU_ASSERT_EQUAL(result_of(2), 0);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD], 1);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_REPLACE], 0);
    tear_down();
}

static void removing_the_unknown_is_done(void)
{
    set_up();
    apply(FM_ROUTE_DEL, "10.50.0.0/16", 0, 1);
    apply(FM_ROUTE_DEL_UNREACHABLE, "fd50::/48", 0, 2);
    routes_flush_results(x.f.routes);
    struct fm_result r[4];
    CU_ASSERT_EQUAL(results(r, 4), 2);
    CU_ASSERT_EQUAL(r[0].error, 0);
    CU_ASSERT_EQUAL(r[1].error, 0);
    tear_down();
}

static void without_install_every_wish_is_granted_and_nothing_written(void)
{
    set_up_with(0);
    set_group(1, "10.9.0.2", NULL);
    apply(FM_ROUTE_SET, "10.50.0.0/16", 1, 1);
    routes_flush_results(x.f.routes);
    run_for(20);
    CU_ASSERT_EQUAL(result_of(1), 0);
    CU_ASSERT_EQUAL(x.k.n_routes, 0);
    CU_ASSERT_EQUAL(x.k.n_nexthops, 0);
    tear_down();
}

static void a_foreign_route_is_never_replaced(void)
{
    set_up();
    set_group(1, "10.9.0.2", NULL);
    set_group(2, "10.9.1.2", NULL);
    struct fake_route foreign = {.foreign = true, .nexthop_id = 5};
    CU_ASSERT_FATAL(prefix_parse("10.50.0.0/16", false, &foreign.prefix) == 0);
    x.k.routes[x.k.n_routes++] = foreign;
    apply(FM_ROUTE_SET, "10.50.0.0/16", 1, 1);
    run_for(20);
    CU_ASSERT_EQUAL(result_of(1), FM_E_CONFLICT);
    apply(FM_ROUTE_SET, "10.50.0.0/16", 2, 2);
    run_for(20);
    CU_ASSERT_EQUAL(result_of(2), FM_E_CONFLICT);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_REPLACE], 0);
    apply(FM_ROUTE_DEL, "10.50.0.0/16", 0, 3);
    run_for(20);
    CU_ASSERT_EQUAL(result_of(3), 0);
    CU_ASSERT_TRUE(in_kernel("10.50.0.0/16")->foreign);
    tear_down();
}

static void a_refusal_is_reported_and_retried_without_a_busy_loop(void)
{
    set_up();
    set_group(1, "10.9.0.2", NULL);
    x.k.refuse = -ENOMEM;
    apply(FM_ROUTE_SET, "10.50.0.0/16", 1, 1);
    apply(FM_ROUTE_SET, "10.51.0.0/16", 1, 2);
    run_for(300);
    CU_ASSERT_EQUAL(result_of(1), -ENOMEM);
    CU_ASSERT_EQUAL(x.k.commits, 1);
    run_for(1000);
    CU_ASSERT_EQUAL(x.k.commits, 2);
    x.k.refuse = 0;
    run_for(1000);
    CU_ASSERT_EQUAL(x.k.commits, 2); /* the second wait is twice as long */
    run_for(1300);
    CU_ASSERT_EQUAL(x.k.n_routes, 2);
    CU_ASSERT_EQUAL(result_of(2), 0);
    tear_down();
}

static void a_link_that_goes_takes_its_routes_and_brings_them_back(void)
{
    struct kevent down = {.type = KEVENT_LINK, .u.link = {.ifindex = 2, .flags = IFF_UP}};
    struct kevent up = {.type = KEVENT_LINK, .u.link = {.ifindex = 2, .flags = IFF_UP | IFF_LOWER_UP}};

    set_up();
    set_group(1, "10.9.0.2", NULL);
    set_group(2, "10.9.0.2", "10.9.1.2");
    apply(FM_ROUTE_SET, "10.50.0.0/16", 1, 1);
    apply(FM_ROUTE_SET, "10.51.0.0/16", 2, 2);
    run_for(20);
    uint32_t shared = in_kernel("10.51.0.0/16")->nexthop_id;
    links_event(x.f.links, &down);
    run_for(20);
    CU_ASSERT_PTR_NULL(in_kernel("10.50.0.0/16"));
    CU_ASSERT_EQUAL(result_of(1), FM_E_NEXTHOP);
    links_event(x.f.links, &up);
    run_for(150);
    CU_ASSERT_PTR_NOT_NULL(in_kernel("10.50.0.0/16"));
    CU_ASSERT_EQUAL(result_of(1), 0);
    /* The surviving group keeps its id: its route was never touched. */
    CU_ASSERT_EQUAL(in_kernel("10.51.0.0/16")->nexthop_id, shared);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD], 3);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_REPLACE], 0);
    tear_down();
}

static void a_redefined_group_moves_its_routes(void)
{
    set_up();
    set_group(1, "10.9.0.2", NULL);
    set_group(2, "10.9.0.2", NULL);
    set_group(3, "10.9.1.2", NULL);
    apply(FM_ROUTE_SET, "10.50.0.0/16", 1, 1);
    apply(FM_ROUTE_SET, "10.51.0.0/16", 2, 2);
    run_for(20);
    CU_ASSERT_EQUAL(in_kernel("10.50.0.0/16")->nexthop_id, in_kernel("10.51.0.0/16")->nexthop_id);
    set_group(1, "10.9.1.2", NULL);
    run_for(20);
    CU_ASSERT_NOT_EQUAL(in_kernel("10.50.0.0/16")->nexthop_id, in_kernel("10.51.0.0/16")->nexthop_id);
    /* Alone on its content, a number changes it in place: no route is written. */
    unsigned replaced = x.k.ops[KERNEL_REPLACE];
    set_group(2, "10.9.1.3", NULL);
    run_for(20);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_REPLACE], replaced);
    tear_down();
}

static void objects_go_with_their_last_use(void)
{
    set_up();
    set_group(1, "10.9.0.2", "10.9.1.2");
    set_group(2, "10.9.0.2", NULL);
    CU_ASSERT_EQUAL(x.k.n_nexthops, 4);
    apply(FM_ROUTE_SET, "10.50.0.0/16", 1, 1);
    run_for(20);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 2), 0);
    CU_ASSERT_EQUAL(x.k.n_nexthops, 3);
    apply(FM_ROUTE_DEL, "10.50.0.0/16", 0, 2);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 1), 0);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 1), -ENOENT);
    run_for(20);
    CU_ASSERT_EQUAL(x.k.n_nexthops, 0);
    CU_ASSERT_EQUAL(result_of(2), 0);
    tear_down();
}

static void a_new_speaker_confirms_and_the_rest_is_swept(void)
{
    set_up();
    set_group(1, "10.9.0.2", NULL);
    apply(FM_ROUTE_SET, "10.50.0.0/16", 1, 1);
    apply(FM_ROUTE_SET, "10.51.0.0/16", 1, 2);
    run_for(20);
    fib_speaker_gone(&x.f);
    run_for(20);
    CU_ASSERT_EQUAL(x.k.n_routes, 2);
    CU_ASSERT_FALSE(groups_known(x.f.groups, 1));
    set_group(4, "10.9.0.2", NULL);
    apply(FM_ROUTE_SET, "10.50.0.0/16", 4, 3);
    run_for(20);
    CU_ASSERT_EQUAL(result_of(3), 0);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD], 2);
    fib_sweep(&x.f);
    run_for(20);
    CU_ASSERT_EQUAL(x.k.n_routes, 1);
    CU_ASSERT_PTR_NOT_NULL(in_kernel("10.50.0.0/16"));
    tear_down();
}

static void results_wait_for_a_speaker_that_does_not_read(void)
{
    enum { N = 3000 };
    static struct fm_result r[N];

    set_up();
    set_group(1, "10.9.0.2", NULL);
    /* A result message each, until the channel has no more room. */
    struct fm_link link = {0};
    while (fibchan_room(x.f.chan))
        fib_tell(&x.f, FM_LINK, &link, 1);
    for (uint32_t i = 0; i < N; i++) {
        char text[32];
        snprintf(text, sizeof text, "10.%u.%u.0/24", 100 + i / 256, i % 256);
        apply(FM_ROUTE_SET, text, 1, i + 1);
    }
    run_for(50);
    CU_ASSERT_EQUAL(x.k.commits, 0);
    CU_ASSERT_EQUAL(results(r, N), 0);
    for (int i = 0; i < 20; i++) {
        routes_wake(x.f.routes); /* what supervise.c does when the channel drains */
        run_for(10);
        results(r, N);
    }
    CU_ASSERT_EQUAL(x.k.n_routes, N);
    tear_down();
}

static void a_check_gives_way_to_a_route(void)
{
    set_up();
    set_group(1, "10.9.0.2", NULL);
    apply(FM_ROUTE_SET, "10.50.0.0/16", 1, 1);
    run_for(20);
    x.k.dump_endless = true;
    reconcile_request(x.f.reconcile);
    run_for(2000);
    CU_ASSERT_FALSE(x.f.routes->checking); /* not so soon after a write */
    run_for(1200);
    CU_ASSERT_TRUE(x.f.routes->checking);
    apply(FM_ROUTE_SET, "10.51.0.0/16", 1, 2);
    run_for(20);
    CU_ASSERT_EQUAL(result_of(2), 0);
    CU_ASSERT_EQUAL(x.k.dumps_aborted, 1);
    /* Nothing was taken for lost on the word of half a dump. */
    CU_ASSERT_EQUAL(x.f.routes->installed, 2);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD], 2);
    tear_down();
}

static void a_kernel_without_nexthop_objects_is_refused(void)
{
    struct fm_settings s = {.flags = FM_SET_INSTALL, .table = 254, .metric = 20, .protocol = 87};
    static const struct fib_options options = {0};

    memset(&x, 0, sizeof x);
    x.f.kernel = &x.k;
    x.f.loop = loop_new();
    x.k.probe = -EOPNOTSUPP;
    CU_ASSERT_FATAL(fib_make_modules(&x.f, &options));
    FILE *said = tmpfile();
    char text[512] = "";
    int was = dup(STDERR_FILENO);
    CU_ASSERT_FATAL(said && dup2(fileno(said), STDERR_FILENO) >= 0);
    CU_ASSERT_EQUAL(fib_configure(&x.f, &s), -EOPNOTSUPP);
    dup2(was, STDERR_FILENO);
    close(was);
    CU_ASSERT_TRUE(pread(fileno(said), text, sizeof text - 1, 0) > 0);
    fclose(said);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "no nexthop objects"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "Linux 5.3"));
    CU_ASSERT_PTR_EQUAL(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
    CU_ASSERT_EQUAL(loop_run(x.f.loop), 3);
    CU_ASSERT_EQUAL(x.k.n_routes + x.k.n_nexthops, 0);
    fib_free_modules(&x.f);
    loop_free(x.f.loop);
}

static void a_table_of_routes_is_compact_and_finds_what_is_left(void)
{
    enum { N = 1000000 };
    struct route_table t;

    route_table_init(&t, FAM_IPV4);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t a = __builtin_bswap32(0x10000000u + (i << 8));
        CU_ASSERT_FATAL(route_table_get(&t, (uint8_t *)&a, 24, false) != 0);
    }
    CU_ASSERT_EQUAL(t.used, N);
    printf("      %u IPv4 routes: %.1f bytes each\n", N, (double)route_table_memory(&t) / N);
    CU_ASSERT_TRUE(route_table_memory(&t) < 26ull * N);
    for (uint32_t i = 0; i < N; i += 2) {
        uint32_t a = __builtin_bswap32(0x10000000u + (i << 8));
        route_table_remove(&t, route_table_find(&t, (uint8_t *)&a, 24, false));
    }
    unsigned wrong = 0;
    for (uint32_t i = 0; i < N; i++) {
        uint32_t a = __builtin_bswap32(0x10000000u + (i << 8));
        wrong += (route_table_find(&t, (uint8_t *)&a, 24, false) != 0) != (i % 2);
        wrong += route_table_find(&t, (uint8_t *)&a, 24, true) != 0;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    route_table_reset(&t);
}

static const struct unit_case cases[] = {
    UNIT(the_last_word_wins_and_both_are_answered),
    UNIT(the_same_again_costs_the_kernel_nothing),
    UNIT(removing_the_unknown_is_done),
    UNIT(without_install_every_wish_is_granted_and_nothing_written),
    UNIT(a_foreign_route_is_never_replaced),
    UNIT(a_refusal_is_reported_and_retried_without_a_busy_loop),
    UNIT(a_link_that_goes_takes_its_routes_and_brings_them_back),
    UNIT(a_redefined_group_moves_its_routes),
    UNIT(objects_go_with_their_last_use),
    UNIT(a_new_speaker_confirms_and_the_rest_is_swept),
    UNIT(results_wait_for_a_speaker_that_does_not_read),
    UNIT(a_check_gives_way_to_a_route),
    UNIT(a_kernel_without_nexthop_objects_is_refused),
    UNIT(a_table_of_routes_is_compact_and_finds_what_is_left),
};
UNIT_MAIN("fib_routes", cases)
