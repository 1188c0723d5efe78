/* Many routes that go at once: by their group when it is theirs alone, one by one when it is not. */
#include <arpa/inet.h>

#include "fibfixture.h"

enum { N = 2000 };

static struct fm_result answers[4 * N];

static struct fm_route nth(uint8_t op, uint32_t i, uint32_t group)
{
    struct fm_route r = {.op = op, .af = AF_INET, .len = 24, .group = group, .cookie = i + 1};
    uint32_t a = htonl((20u << 24) + (i << 8));

    memcpy(r.addr, &a, sizeof a);
    return r;
}

static void apply_range(uint8_t op, uint32_t from, uint32_t to, uint32_t group)
{
    for (uint32_t i = from; i < to; i++) {
        struct fm_route r = nth(op, i, group);
        routes_apply(x.f.routes, &r);
    }
}

/* Answers of that kind without an error, each cookie once at most. */
static unsigned answered(uint8_t op)
{
    static bool seen[N];
    unsigned n = results(answers, sizeof answers / sizeof *answers), good = 0;

    memset(seen, 0, sizeof seen);
    for (unsigned i = 0; i < n; i++) {
        uint32_t k = answers[i].cookie - 1;
        if (answers[i].op != op || answers[i].error || k >= N || seen[k])
            continue;
        seen[k] = true;
        good++;
    }
    return good;
}

static void set_up_routes(void)
{
    set_up();
    set_group(1, "10.9.0.2", NULL);
    set_group(2, "10.9.1.2", NULL);
    apply_range(FM_ROUTE_SET, 0, N, 1);
    settle(30);
    CU_ASSERT_EQUAL_FATAL(x.k.n_routes, N);
    CU_ASSERT_EQUAL(answered(FM_ROUTE_SET), N);
}

static void all_routes_of_a_group_go_with_it(void)
{
    set_up_routes();
    apply_range(FM_ROUTE_DEL, 0, N, 0);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 1), 0);
    settle(30);
    CU_ASSERT_EQUAL(x.k.n_routes, 0);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_DELETE], 0);
    CU_ASSERT_EQUAL(answered(FM_ROUTE_DEL), N);
    CU_ASSERT_EQUAL(x.f.routes->tables[FAM_IPV4].used, 0);
    CU_ASSERT_EQUAL(x.k.n_nexthops, 2); /* those of group 2 */
    tear_down();
}

static void removals_wait_for_the_group_while_they_come_fast(void)
{
    struct routes *r;
    uint32_t none[1];
    bool waits = false;

    set_up_routes();
    r = x.f.routes;
    apply_range(FM_ROUTE_DEL, 0, N - 1, 0);
    for (int tries = 0; tries < 100 && !waits;
         tries++) { /* they wait for 4 ms, the test may be held up longer */
        r->gather_us = r->removal_us = loop_now_us();
        routes_take(r, none, 0);
        waits = timer_running(r->hold);
    }
    CU_ASSERT_TRUE(waits);
    apply_range(FM_ROUTE_DEL, N - 1, N, 0);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 1), 0);
    settle(30);
    CU_ASSERT_EQUAL(x.k.n_routes, 0);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_DELETE], 0);
    tear_down();
}

static void removals_without_an_end_are_written_soon(void)
{
    set_up_routes();
    apply_range(FM_ROUTE_DEL, 0, N - 1, 0);
    settle(60);
    CU_ASSERT_EQUAL(x.k.n_routes, 1);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_DELETE], N - 1);
    CU_ASSERT_EQUAL(answered(FM_ROUTE_DEL), N - 1);
    tear_down();
}

static void a_few_removals_do_not_wait(void)
{
    set_up_routes();
    apply_range(FM_ROUTE_DEL, 0, 100, 0);
    settle(20);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_DELETE], 100);
    tear_down();
}

static void routes_with_another_way_move_before_the_group_goes(void)
{
    set_up_routes();
    apply_range(FM_ROUTE_DEL, 0, N - 10, 0);
    apply_range(FM_ROUTE_SET, N - 10, N, 2);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 1), 0);
    settle(30);
    CU_ASSERT_EQUAL(x.k.n_routes, 10);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_REPLACE], 10); /* not an add: they were never away */
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD], N);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_DELETE], 0);
    CU_ASSERT_EQUAL(answered(FM_ROUTE_DEL), N - 10);
    tear_down();
}

static void a_route_that_cannot_move_keeps_the_group(void)
{
    set_up_routes();
    apply_range(FM_ROUTE_SET, N - 10, N, 2);
    x.k.refuse = -ENOMEM;
    settle(30);
    x.k.refuse = 0;
    apply_range(FM_ROUTE_DEL, 0, N - 10, 0);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 1), 0);
    settle(60);
    CU_ASSERT_EQUAL(x.k.n_routes, 10);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_DELETE], N - 10);
    tear_down();
}

static void a_route_of_a_former_speaker_keeps_the_group(void)
{
    set_up_routes();
    fib_speaker_gone(&x.f);
    set_group(7, "10.9.0.2", NULL);
    apply_range(FM_ROUTE_SET, 0, N - 10, 7);
    settle(30);
    apply_range(FM_ROUTE_DEL, 0, N - 10, 0);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 7), 0);
    settle(60);
    CU_ASSERT_EQUAL(x.k.n_routes, 10);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_DELETE], N - 10);
    tear_down();
}

static void what_nobody_confirmed_is_swept_by_its_group(void)
{
    set_up_routes();
    fib_speaker_gone(&x.f);
    settle(30);
    CU_ASSERT_EQUAL(x.k.n_routes, N);
    fib_sweep(&x.f);
    settle(30);
    CU_ASSERT_EQUAL(x.k.n_routes, 0);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_DELETE], 0);
    CU_ASSERT_EQUAL(x.k.n_nexthops, 0);
    tear_down();
}

static void the_last_word_wins_over_a_group_that_went(void)
{
    struct fm_link link = {0};

    set_up_routes();
    apply_range(FM_ROUTE_DEL, 0, N, 0);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 1), 0);
    uint32_t refs[1];
    CU_ASSERT_EQUAL(routes_take(x.f.routes, refs, 0), 0); /* the group goes, none is settled yet */
    CU_ASSERT_EQUAL(x.k.n_routes, 0);
    while (fibchan_room(x.f.chan))
        fib_tell(&x.f, FM_LINK, &link, 1);
    set_group(1, "10.9.0.2", NULL);
    apply_range(FM_ROUTE_SET, 0, 100, 1);
    for (int i = 0; i < 20; i++) {
        results(answers, sizeof answers / sizeof *answers);
        routes_wake(x.f.routes);
        settle(5);
    }
    CU_ASSERT_EQUAL(x.k.n_routes, 100);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD], N + 100);
    CU_ASSERT_EQUAL(x.f.routes->tables[FAM_IPV4].used, 100);
    tear_down();
}

/* The kernel reports IPv6 routes that went with a group, after they may have been put back over another. */
static void a_late_event_of_a_group_that_went_is_no_news(void)
{
    struct kroute gone = {.table = 254, .metric = 20, .protocol = 87, .type = RTN_UNICAST};

    set_up_routes();
    CU_ASSERT_FATAL(prefix_parse("20.0.0.0/24", true, &gone.prefix) == 0);
    gone.nexthop_id = in_kernel("20.0.0.0/24")->nexthop_id;
    apply_range(FM_ROUTE_SET, 0, 1, 2);
    settle(20);
    routes_event(x.f.routes, &gone, true);
    CU_ASSERT_EQUAL(x.f.routes->installed, N);
    gone.nexthop_id = in_kernel("20.0.0.0/24")->nexthop_id;
    routes_event(x.f.routes, &gone, true); /* whereas this one is */
    CU_ASSERT_EQUAL(x.f.routes->installed, N - 1);
    tear_down();
}

/* A small group in a large table: the kernel would look at the whole table for it. */
static void a_small_share_of_the_table_is_removed_one_by_one(void)
{
    set_up_routes();
    x.f.routes->installed += 100000;
    apply_range(FM_ROUTE_DEL, 0, N, 0);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 1), 0);
    settle(60);
    x.f.routes->installed -= 100000;
    CU_ASSERT_EQUAL(x.k.n_routes, 0);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_DELETE], N);
    tear_down();
}

static uint32_t dice(uint32_t n)
{
    static uint64_t s = 87;
    s = s * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((s >> 33) % n);
}

/* Whatever comes in whatever order: in the end the kernel has what was said last, over the right next hop. */
static void any_order_ends_with_the_last_word(void)
{
    static uint8_t group_of[N];
    static const char *const gateway[] = {NULL, "10.9.0.2", "10.9.1.2", "10.9.1.3"};
    bool defined[4] = {false};
    unsigned wanted = 0, wrong = 0;

    set_up();
    memset(group_of, 0, sizeof group_of);
    for (int round = 0; round < 150; round++) {
        uint32_t group = dice(4), from = dice(2) ? 0 : dice(N), to = dice(2) ? N : from + dice(N - from + 1);
        if (group && !defined[group])
            set_group(group, gateway[group], NULL);
        defined[group] = true;
        apply_range(group ? FM_ROUTE_SET : FM_ROUTE_DEL, from, to, group);
        memset(group_of + from, (int)group, to - from);
        for (uint32_t g = 1; g < 4; g++)
            if (defined[g] && !memchr(group_of, (int)g, N)) {
                CU_ASSERT_EQUAL(groups_del(x.f.groups, g), 0);
                defined[g] = false;
            }
        if (dice(3))
            run_for(1 + dice(3));
        results(answers, sizeof answers / sizeof *answers);
    }
    settle(100);
    for (uint32_t i = 0; i < N; i++) {
        struct fm_route r = nth(FM_ROUTE_SET, i, 0);
        struct ip_addr a = addr_from_bytes(AF_INET, r.addr);
        struct prefix p = prefix_make(&a, 24);
        const struct fake_route *k = fake_find(&x.k, &p, false);
        uint32_t c = k ? groups_by_kernel_id(x.f.groups, k->nexthop_id) : 0;
        wanted += group_of[i] != 0;
        wrong += !k != !group_of[i] || (k && c != groups_usable(x.f.groups, group_of[i]));
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(x.k.n_routes, wanted);
    CU_ASSERT_EQUAL(x.f.routes->tables[FAM_IPV4].used, wanted);
    CU_ASSERT_EQUAL(x.f.routes->failed, 0);
    tear_down();
}

static const struct unit_case cases[] = {
    UNIT(all_routes_of_a_group_go_with_it),
    UNIT(removals_wait_for_the_group_while_they_come_fast),
    UNIT(removals_without_an_end_are_written_soon),
    UNIT(a_few_removals_do_not_wait),
    UNIT(routes_with_another_way_move_before_the_group_goes),
    UNIT(a_route_that_cannot_move_keeps_the_group),
    UNIT(a_route_of_a_former_speaker_keeps_the_group),
    UNIT(what_nobody_confirmed_is_swept_by_its_group),
    UNIT(the_last_word_wins_over_a_group_that_went),
    UNIT(a_late_event_of_a_group_that_went_is_no_news),
    UNIT(a_small_share_of_the_table_is_removed_one_by_one),
    UNIT(any_order_ends_with_the_last_word),
};
UNIT_MAIN("fib_leave", cases)
