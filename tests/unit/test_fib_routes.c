/* Routes, groups and next hops over a kernel in memory: order of wishes, refusals, retries, memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fibfixture.h"

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
    settle(20);
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
    settle(20);
    apply(FM_ROUTE_SET, "10.50.0.0/16", 2, 2);
    settle(20);
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
    settle(20);
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
    settle(20);
    CU_ASSERT_EQUAL(result_of(1), FM_E_CONFLICT);
    apply(FM_ROUTE_SET, "10.50.0.0/16", 2, 2);
    settle(20);
    CU_ASSERT_EQUAL(result_of(2), FM_E_CONFLICT);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_REPLACE], 0);
    apply(FM_ROUTE_DEL, "10.50.0.0/16", 0, 3);
    settle(20);
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

/* Every pair of some addresses, from number first on. */
static unsigned set_pairs(unsigned first)
{
    enum { ADDRESSES = 18 };
    char a[16], b[16];
    unsigned n = 0;

    for (unsigned i = 0; i < ADDRESSES; i++)
        for (unsigned k = 0; k < i; k++, n++) {
            snprintf(a, sizeof a, "10.9.0.%u", 10 + i);
            snprintf(b, sizeof b, "10.9.0.%u", 10 + k);
            set_group(first + n, n & 1 ? a : b, n & 1 ? b : a);
        }
    return n;
}

static unsigned groups_in_kernel(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < x.k.n_nexthops; i++)
        n += x.k.nexthops[i].n_members > 0;
    return n;
}

static void set_weighted(uint32_t id, uint32_t a, uint32_t b)
{
    struct fm_group g = {.id = id, .n_members = 2};
    g.members[0] = (struct fm_member){{.af = AF_INET, .addr = {10, 9, 0, 2}}, a};
    g.members[1] = (struct fm_member){{.af = AF_INET, .addr = {10, 9, 1, 2}}, b};
    CU_ASSERT_EQUAL(groups_set(x.f.groups, &g), 0);
}

/* What a former life of the whole daemon left is found again by members and weights. */
static void a_group_is_adopted_by_its_weights(void)
{
    const uint32_t first = 87u << 24;
    struct knexthop hop = {.id = first + 1, .ifindex = 2, .protocol = 87, .gateway = addr_v4(0x0a090002)};
    struct knexthop group = {.id = first + 3, .protocol = 87, .n_members = 2};

    set_up();
    x.k.nexthops[x.k.n_nexthops++] = hop;
    hop.id++, hop.ifindex++, hop.gateway = addr_v4(0x0a090102);
    x.k.nexthops[x.k.n_nexthops++] = hop;
    group.members[0] = (struct kmember){first + 1, 1};
    group.members[1] = (struct kmember){first + 2, 5};
    x.k.nexthops[x.k.n_nexthops++] = group;
    reconcile_start(x.f.reconcile);
    settle(20);
    set_weighted(1, 1, 5);
    CU_ASSERT_EQUAL(x.k.n_nexthops, 3);
    CU_ASSERT_EQUAL(groups_kernel_id(x.f.groups, groups_usable(x.f.groups, 1)), first + 3);
    set_weighted(2, 5, 1);
    set_weighted(3, 1, 1);
    CU_ASSERT_EQUAL(x.k.n_nexthops, 5);
    /* Weights that somebody has changed are put back. */
    x.k.nexthops[2].members[1].weight = 7;
    reconcile_start(x.f.reconcile);
    settle(20);
    CU_ASSERT_EQUAL(x.k.nexthops[2].members[1].weight, 5);
    tear_down();
}

static void many_groups_are_found_by_content_and_outlive_their_link(void)
{
    set_up();
    unsigned n = set_pairs(1), before = x.k.n_nexthops;
    CU_ASSERT_EQUAL(groups_in_kernel(), n);
    CU_ASSERT_EQUAL(set_pairs(1000), n); /* other numbers for the same */
    CU_ASSERT_EQUAL(x.k.n_nexthops, before);
    for (unsigned i = 0; i < n; i += 2)
        CU_ASSERT_EQUAL(groups_del(x.f.groups, 1 + i), 0);
    CU_ASSERT_EQUAL(groups_in_kernel(), n);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 1000), 0); /* the last number of the first pair */
    CU_ASSERT_EQUAL(groups_in_kernel(), n - 1);
    struct kevent down = {.type = KEVENT_LINK, .u.link = {.ifindex = 2, .flags = IFF_UP}};
    struct kevent up = {.type = KEVENT_LINK, .u.link = {.ifindex = 2, .flags = IFF_UP | IFF_LOWER_UP}};
    apply(FM_ROUTE_SET, "10.50.0.0/16", 1001, 1);
    settle(20);
    for (unsigned turn = 0; turn < 3; turn++) {
        links_event(x.f.links, &down);
        settle(20);
        CU_ASSERT_EQUAL(x.k.n_nexthops, 0);
        CU_ASSERT_PTR_NULL(in_kernel("10.50.0.0/16"));
        links_event(x.f.links, &up);
        for (int wait = 0; wait < 100 && !in_kernel("10.50.0.0/16"); wait++)
            settle(20);
        CU_ASSERT_EQUAL(groups_in_kernel(), n - 1);
        CU_ASSERT_PTR_NOT_NULL(in_kernel("10.50.0.0/16"));
    }
    groups_forget_ids(x.f.groups);
    apply(FM_ROUTE_DEL, "10.50.0.0/16", 0, 2);
    settle(50);
    CU_ASSERT_EQUAL(x.k.n_nexthops, 0);
    tear_down();
}

static void thousands_of_next_hops_are_watched_and_forgotten(void)
{
    enum { N = 16384 };
    set_up();
    fibchan_free(x.f.chan); /* nobody reads the answers */
    x.f.chan = NULL;
    for (unsigned turn = 0; turn < 2; turn++) {
        for (uint32_t i = 0; i < N; i++) {
            struct fm_nexthop nh = {.af = AF_INET, .addr = {10, 9, (uint8_t)(i >> 8), (uint8_t)i}};
            CU_ASSERT_EQUAL_FATAL(nexthops_watch(x.f.nexthops, &nh), 0);
            CU_ASSERT_EQUAL_FATAL(nexthops_ref(x.f.nexthops, &nh), i + 1); /* the same one, and no holes */
        }
        for (uint32_t i = N; i; i--) {
            struct fm_nexthop nh = nexthops_state(x.f.nexthops, i)->nexthop;
            nexthops_unref(x.f.nexthops, i);
            nexthops_unwatch(x.f.nexthops, &nh);
        }
    }
    CU_ASSERT_FALSE(nexthops_depend_on_routes(x.f.nexthops));
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
    settle(20);
    uint32_t shared = in_kernel("10.51.0.0/16")->nexthop_id;
    links_event(x.f.links, &down);
    settle(20);
    CU_ASSERT_PTR_NULL(in_kernel("10.50.0.0/16"));
    CU_ASSERT_EQUAL(result_of(1), FM_E_NEXTHOP);
    links_event(x.f.links, &up);
    settle(150);
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
    settle(20);
    CU_ASSERT_EQUAL(in_kernel("10.50.0.0/16")->nexthop_id, in_kernel("10.51.0.0/16")->nexthop_id);
    set_group(1, "10.9.1.2", NULL);
    settle(20);
    CU_ASSERT_NOT_EQUAL(in_kernel("10.50.0.0/16")->nexthop_id, in_kernel("10.51.0.0/16")->nexthop_id);
    /* Alone on its content, a number changes it in place: no route is written. */
    unsigned replaced = x.k.ops[KERNEL_REPLACE];
    set_group(2, "10.9.1.3", NULL);
    settle(20);
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
    settle(20);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 2), 0);
    CU_ASSERT_EQUAL(x.k.n_nexthops, 3);
    apply(FM_ROUTE_DEL, "10.50.0.0/16", 0, 2);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 1), 0);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 1), -ENOENT);
    settle(20);
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
    settle(20);
    fib_speaker_gone(&x.f);
    settle(20);
    CU_ASSERT_EQUAL(x.k.n_routes, 2);
    CU_ASSERT_FALSE(groups_known(x.f.groups, 1));
    set_group(4, "10.9.0.2", NULL);
    apply(FM_ROUTE_SET, "10.50.0.0/16", 4, 3);
    settle(20);
    CU_ASSERT_EQUAL(result_of(3), 0);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD], 2);
    fib_sweep(&x.f);
    settle(20);
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
    settle(50);
    CU_ASSERT_EQUAL(x.k.commits, 0);
    CU_ASSERT_EQUAL(results(r, N), 0);
    for (int i = 0; i < 20; i++) {
        routes_wake(x.f.routes); /* what supervise.c does when the channel drains */
        settle(10);
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
    settle(20);
    x.k.dump_endless = true;
    reconcile_request(x.f.reconcile);
    run_for(2000);
    CU_ASSERT_FALSE(x.f.routes->checking); /* not so soon after a write */
    run_for(1200);
    CU_ASSERT_TRUE(x.f.routes->checking);
    apply(FM_ROUTE_SET, "10.51.0.0/16", 1, 2);
    settle(20);
    CU_ASSERT_EQUAL(result_of(2), 0);
    CU_ASSERT_EQUAL(x.k.dumps_aborted, 1);
    /* Nothing was taken for lost on the word of half a dump. */
    CU_ASSERT_EQUAL(x.f.routes->installed, 2);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD], 2);
    tear_down();
}

static void dumps_reach(unsigned n)
{
    for (unsigned i = 0; x.k.route_dumps < n && i < 100; i++)
        settle(100);
    CU_ASSERT_EQUAL(x.k.route_dumps, n);
}

/* What changed under a dump may be missing in it: nothing is lost on its word, and it is repeated. */
static void an_interrupted_dump_is_repeated(void)
{
    set_up();
    set_group(1, "10.9.0.2", NULL);
    apply(FM_ROUTE_SET, "10.50.0.0/16", 1, 1);
    settle(20);
    x.k.route_dumps = 0;
    x.k.dumps_interrupted = 1;
    reconcile_start(x.f.reconcile);
    settle(20);
    CU_ASSERT_EQUAL(x.k.route_dumps, 2); /* one a family */
    CU_ASSERT_EQUAL(x.f.routes->installed, 1);
    x.k.n_routes = 0;
    dumps_reach(4);
    settle(20);
    CU_ASSERT_PTR_NOT_NULL(in_kernel("10.50.0.0/16"));
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD], 2);
    tear_down();
}

static void a_table_that_changes_under_every_dump_is_left_in_peace(void)
{
    set_up();
    x.k.route_dumps = 0;
    x.k.dumps_interrupted = -1u;
    reconcile_start(x.f.reconcile);
    dumps_reach(2 * 3);
    run_for(1500);
    CU_ASSERT_EQUAL(x.k.route_dumps, 2 * 3);
    tear_down();
}

/* While the monitor is behind, the kernel drops what would come after: a look before that is over misses it.
 */
static void after_an_overflow_all_that_waits_is_read_before_the_new_look(void)
{
    set_up();
    x.k.overflown = true;
    x.k.waiting = 1000;
    x.k.link_dumps = 0;
    for (unsigned turns = 0; x.k.waiting && turns < 100; turns++) {
        CU_ASSERT_EQUAL(x.k.link_dumps, 0);
        fib_on_monitor(&x.f, -1, 0);
    }
    CU_ASSERT_EQUAL(x.k.link_dumps, 1);
    fib_on_monitor(&x.f, -1, 0);
    CU_ASSERT_EQUAL(x.k.link_dumps, 1);
    tear_down();
}

/* An address that went while news were lost is in no later news. */
static void a_look_that_was_interrupted_is_taken_again(void)
{
    set_up();
    x.k.overflown = true;
    x.k.waiting = 1;
    x.k.looks_interrupted = 2; /* links and addresses */
    fib_on_monitor(&x.f, -1, 0);
    CU_ASSERT_EQUAL(x.k.looks_interrupted, 0);
    CU_ASSERT_TRUE(links_is_up(x.f.links, 2));
    x.k.waiting = 1;
    fib_on_monitor(&x.f, -1, 0);
    CU_ASSERT_FALSE(links_is_up(x.f.links, 2));
    tear_down();
}

/* A check at the start, which has shown the first of the routes over a group of a former life. */
static struct kroute check_begins(void)
{
    const uint32_t id = 87u << 24;
    struct knexthop hop = {.id = id + 1, .protocol = 87, .ifindex = 2},
                    group = {.id = id + 0x800001, .protocol = 87, .n_members = 1, .members = {{id + 1, 1}}};
    struct kroute k = {
        .table = 254, .metric = 20, .protocol = 87, .type = RTN_UNICAST, .nexthop_id = group.id};

    set_up();
    CU_ASSERT_FATAL(addr_parse("10.9.0.2", &hop.gateway) == 0);
    hops_adopt(x.f.nexthops, &hop);
    groups_adopt(x.f.groups, &group);
    routes_check_begin(x.f.routes);
    CU_ASSERT_FATAL(prefix_parse("10.50.0.0/16", true, &k.prefix) == 0);
    routes_check_seen(x.f.routes, &k);
    return k;
}

/* The dump may still show routes over it. */
static void a_group_that_goes_during_a_check_is_not_found_again(void)
{
    struct kroute k = check_begins();

    groups_lost(x.f.groups, groups_by_kernel_id(x.f.groups, k.nexthop_id));
    settle(20);
    CU_ASSERT_EQUAL(groups_by_kernel_id(x.f.groups, k.nexthop_id), 0);
    CU_ASSERT_FATAL(prefix_parse("10.51.0.0/16", true, &k.prefix) == 0);
    routes_check_seen(x.f.routes, &k);
    routes_check_end(x.f.routes, true);
    settle(20);
    CU_ASSERT_EQUAL(x.f.routes->installed, 1); /* something of ours, until the sweep */
    tear_down();
}

static void a_route_that_goes_during_a_check_takes_no_other_along(void)
{
    struct kroute k = check_begins();

    routes_event(x.f.routes, &k, true);
    CU_ASSERT_NOT_EQUAL(groups_by_kernel_id(x.f.groups, k.nexthop_id), 0);
    CU_ASSERT_FATAL(prefix_parse("10.51.0.0/16", true, &k.prefix) == 0);
    routes_check_seen(x.f.routes, &k);
    routes_check_end(x.f.routes, true);
    CU_ASSERT_EQUAL(x.f.routes->installed, 1);
    CU_ASSERT_NOT_EQUAL(groups_by_kernel_id(x.f.groups, k.nexthop_id), 0);
    fib_sweep(&x.f);
    settle(20);
    CU_ASSERT_EQUAL(groups_by_kernel_id(x.f.groups, k.nexthop_id), 0);
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

static bool ascends(const struct fake_route *r, unsigned n)
{
    for (unsigned i = 1; i < n; i++)
        if (memcmp(r[i - 1].prefix.addr.b, r[i].prefix.addr.b, 16) >= 0)
            return false;
    return true;
}

static void what_is_written_together_is_in_the_order_of_the_addresses(void)
{
    enum { N = 1500 }; /* one batch of each family */
    char text[64];

    set_up();
    for (unsigned i = 0; i < N; i++) {
        unsigned n = i * 7919 % N;
        snprintf(text, sizeof text, "%u.%u.%u.0/24", 20 + n % 200, n / 256, n % 256);
        apply(FM_ROUTE_UNREACHABLE, text, 0, i);
    }
    settle(100);
    CU_ASSERT_EQUAL(x.k.n_routes, N);
    CU_ASSERT_TRUE(ascends(x.k.routes, N));
    for (unsigned i = 0; i < N; i++) {
        unsigned n = i * 7919 % N;
        snprintf(text, sizeof text, "fd00:%x:%x::/64", n % 10, n);
        apply(FM_ROUTE_UNREACHABLE, text, 0, N + i);
    }
    settle(100);
    CU_ASSERT_EQUAL(x.k.n_routes, 2 * N);
    CU_ASSERT_TRUE(ascends(x.k.routes + N, N));
    tear_down();
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
    CU_ASSERT_TRUE(route_table_memory(&t) < 32ull * N);
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
    UNIT(a_group_is_adopted_by_its_weights),
    UNIT(many_groups_are_found_by_content_and_outlive_their_link),
    UNIT(thousands_of_next_hops_are_watched_and_forgotten),
    UNIT(a_link_that_goes_takes_its_routes_and_brings_them_back),
    UNIT(a_redefined_group_moves_its_routes),
    UNIT(objects_go_with_their_last_use),
    UNIT(a_new_speaker_confirms_and_the_rest_is_swept),
    UNIT(results_wait_for_a_speaker_that_does_not_read),
    UNIT(a_check_gives_way_to_a_route),
    UNIT(an_interrupted_dump_is_repeated),
    UNIT(a_table_that_changes_under_every_dump_is_left_in_peace),
    UNIT(a_look_that_was_interrupted_is_taken_again),
    UNIT(a_group_that_goes_during_a_check_is_not_found_again),
    UNIT(a_route_that_goes_during_a_check_takes_no_other_along),
    UNIT(after_an_overflow_all_that_waits_is_read_before_the_new_look),
    UNIT(a_kernel_without_nexthop_objects_is_refused),
    UNIT(what_is_written_together_is_in_the_order_of_the_addresses),
    UNIT(a_table_of_routes_is_compact_and_finds_what_is_left),
};
UNIT_MAIN("fib_routes", cases)
