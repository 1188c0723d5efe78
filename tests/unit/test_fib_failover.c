/* Failover over a kernel in memory: what is written, and how little, when a next hop dies and comes back. */
#include <stdio.h>

#include "fibfixture.h"

static struct fm_nexthop nexthop(const char *text)
{
    struct fm_nexthop nh = {0};
    struct ip_addr a;

    CU_ASSERT_FATAL(addr_parse(text, &a) == 0);
    nh.af = a.af;
    memcpy(nh.addr, a.b, sizeof nh.addr);
    return nh;
}

/* The first n of the next hops are members, the others backups. */
static void set_group_of(uint32_t id, unsigned n, const char *const *text)
{
    struct fm_group g = {.id = id, .n_members = (uint16_t)n};

    for (unsigned i = 0; text[i]; i++) {
        g.members[i] = (struct fm_member){nexthop(text[i]), 1};
        g.n_backups += i >= n;
    }
    CU_ASSERT_EQUAL(groups_set(x.f.groups, &g), 0);
}
#define GROUP(id, n, ...) set_group_of(id, n, (const char *const[]){__VA_ARGS__, NULL})

static void dead(const char *text, enum nexthop_dead why, bool is)
{
    struct fm_nexthop nh = nexthop(text);
    nexthops_set_dead(x.f.nexthops, &nh, why, is);
}

static const struct knexthop *object(uint32_t id)
{
    for (unsigned i = 0; i < x.k.n_nexthops; i++)
        if (x.k.nexthops[i].id == id)
            return &x.k.nexthops[i];
    return NULL;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Where the kernel's route goes: "10.9.0.2 10.9.1.2", or "" when there is none. */
static const char *way_of(const char *prefix)
{
    static char out[1024];
    char text[8][ADDR_STRLEN];
    const struct fake_route *r = in_kernel(prefix);
    const struct knexthop *group = r ? object(r->nexthop_id) : NULL;
    unsigned n = group ? group->n_members : 0;

    for (unsigned m = 0; m < n; m++)
        addr_format(&object(group->members[m].id)->gateway, text[m]);
    if (n)
        qsort(text, n, sizeof *text, compare_text);
    out[0] = 0;
    for (unsigned m = 0; m < n; m++)
        snprintf(out + strlen(out), sizeof out - strlen(out), "%s%s", m ? " " : "", text[m]);
    return out;
}

#define GOES(prefix, way) CU_ASSERT_STRING_EQUAL(way_of(prefix), way)

static void route(const char *prefix, uint32_t group, uint32_t cookie)
{
    apply(FM_ROUTE_SET, prefix, group, cookie);
    settle(20);
    CU_ASSERT_EQUAL(result_of(cookie), 0);
}

static void a_dead_member_goes_with_its_object(void)
{
    set_up();
    GROUP(1, 2, "10.9.0.2", "10.9.1.2");
    GROUP(2, 2, "10.9.0.2", "10.9.1.3");
    route("10.50.0.0/16", 1, 1);
    route("10.51.0.0/16", 2, 2);
    unsigned writes = x.k.group_writes, deletes = x.k.nexthop_deletes;
    dead("10.9.0.2", NEXTHOP_DEAD_SAID, true);
    GOES("10.50.0.0/16", "10.9.1.2");
    GOES("10.51.0.0/16", "10.9.1.3");
    CU_ASSERT_EQUAL(x.k.group_writes, writes);
    CU_ASSERT_EQUAL(x.k.nexthop_deletes, deletes + 1);
    settle(20);
    CU_ASSERT_EQUAL(result_of(1), 1); /* nothing to say */
    dead("10.9.0.2", NEXTHOP_DEAD_SAID, false);
    GOES("10.50.0.0/16", "10.9.0.2 10.9.1.2");
    GOES("10.51.0.0/16", "10.9.0.2 10.9.1.3");
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD], 2);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_REPLACE], 0);
    tear_down();
}

static void without_another_member_the_first_usable_backup_serves(void)
{
    set_up();
    GROUP(1, 1, "10.9.0.2", "10.9.1.2", "10.9.1.3");
    route("10.50.0.0/16", 1, 1);
    GOES("10.50.0.0/16", "10.9.0.2");
    uint32_t id = in_kernel("10.50.0.0/16")->nexthop_id;
    dead("10.9.0.2", NEXTHOP_DEAD_SAID, true);
    GOES("10.50.0.0/16", "10.9.1.2");
    dead("10.9.1.2", NEXTHOP_DEAD_BFD, true);
    GOES("10.50.0.0/16", "10.9.1.3");
    dead("10.9.0.2", NEXTHOP_DEAD_SAID, false);
    GOES("10.50.0.0/16", "10.9.0.2");
    CU_ASSERT_EQUAL(in_kernel("10.50.0.0/16")->nexthop_id, id);
    settle(20);
    CU_ASSERT_EQUAL(result_of(1), 1);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD], 1);
    tear_down();
}

static void what_has_a_backup_moves_before_the_object_goes(void)
{
    set_up();
    GROUP(1, 2, "10.9.0.2", "10.9.1.2");
    GROUP(2, 1, "10.9.0.2", "10.9.1.2");
    GROUP(3, 1, "10.9.0.2");
    route("10.50.0.0/16", 1, 1);
    route("10.51.0.0/16", 2, 2);
    route("10.52.0.0/16", 3, 3);
    dead("10.9.0.2", NEXTHOP_DEAD_BFD, true);
    GOES("10.50.0.0/16", "10.9.1.2");
    GOES("10.51.0.0/16", "10.9.1.2");
    CU_ASSERT_PTR_NULL(in_kernel("10.52.0.0/16"));
    settle(20);
    struct fm_result r[8];
    CU_ASSERT_EQUAL(results(r, 8), 1);
    CU_ASSERT_TRUE(r[0].cookie == 3 && r[0].error == FM_E_NEXTHOP);
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_DELETE], 0);
    dead("10.9.0.2", NEXTHOP_DEAD_BFD, false);
    settle(20);
    CU_ASSERT_EQUAL(result_of(3), 0);
    GOES("10.52.0.0/16", "10.9.0.2");
    GOES("10.51.0.0/16", "10.9.0.2");
    tear_down();
}

/* A large group takes long in the kernel: what is small beside it does not wait for it. */
static void small_groups_do_not_wait_for_a_large_one(void)
{
    set_up();
    GROUP(1, 1, "10.9.0.2", "10.9.1.2");
    GROUP(2, 2, "10.9.0.2", "10.9.1.2");
    GROUP(3, 1, "10.9.0.2");
    GROUP(4, 1, "10.9.0.2", "10.9.1.3");
    route("10.50.0.0/16", 1, 1);
    route("10.51.0.0/16", 2, 2);
    route("10.52.0.0/16", 3, 3);
    route("10.53.0.0/16", 4, 4);
    for (unsigned i = 0; i < 100000; i++)
        groups_hold(x.f.groups, groups_usable(x.f.groups, 1));
    x.k.n_touched = 0;
    dead("10.9.0.2", NEXTHOP_DEAD_SAID, true);
    CU_ASSERT_EQUAL(x.k.touched[2], in_kernel("10.50.0.0/16")->nexthop_id);
    CU_ASSERT_FALSE(fake_has_nexthop(&x.k, x.k.touched[3])); /* what has no other goes last */
    GOES("10.50.0.0/16", "10.9.1.2");
    GOES("10.51.0.0/16", "10.9.1.2");
    GOES("10.53.0.0/16", "10.9.1.3");
    CU_ASSERT_PTR_NULL(in_kernel("10.52.0.0/16"));
    for (unsigned i = 0; i < 100000; i++)
        groups_release(x.f.groups, groups_usable(x.f.groups, 1));
    tear_down();
}

static void routes_of_a_group_that_went_are_removed_in_peace(void)
{
    set_up();
    GROUP(1, 1, "10.9.0.2");
    route("10.50.0.0/16", 1, 1);
    route("10.51.0.0/16", 1, 2);
    dead("10.9.0.2", NEXTHOP_DEAD_SAID, true);
    CU_ASSERT_EQUAL(x.k.n_routes, 0);
    CU_ASSERT_EQUAL(x.k.n_nexthops, 0);
    apply(FM_ROUTE_DEL, "10.50.0.0/16", 0, 3);
    settle(20);
    apply(FM_ROUTE_DEL, "10.51.0.0/16", 0, 4);
    settle(20);
    struct fm_result r[8];
    unsigned n = results(r, 8);
    CU_ASSERT_TRUE(n >= 2);
    for (unsigned i = 0; i < n; i++)
        CU_ASSERT_EQUAL(r[i].error, r[i].cookie == 2 ? FM_E_NEXTHOP : 0);
    CU_ASSERT_EQUAL(groups_del(x.f.groups, 1), 0);
    struct routes_counts c;
    routes_count(x.f.routes, &c);
    CU_ASSERT_TRUE(!c.routes && !c.installed && !c.pending && !c.failed);
    tear_down();
}

/* The speaker's view: reachable for all of what it has said itself, not of what BFD says. */
static uint32_t flags_told(const char *text)
{
    struct fm_nexthop nh = nexthop(text);
    static uint8_t buf[FIBMSG_MAX];
    struct fm_header h;
    uint32_t flags = 0;

    while (recv(x.far, buf, sizeof buf, MSG_DONTWAIT) > 0) {
        memcpy(&h, buf, sizeof h);
        struct fm_nexthop_state *st = (void *)(buf + sizeof h);
        for (uint32_t i = 0; h.type == FM_NEXTHOP_STATE && i < h.count; i++)
            if (!memcmp(&st[i].nexthop, &nh, sizeof nh))
                flags = st[i].flags | 0x80000000u;
    }
    return flags & ~0x80000000u;
}

static void only_bfd_makes_it_unreachable_and_outlives_the_watch(void)
{
    struct fm_nexthop nh = nexthop("10.9.0.2");

    set_up();
    dead("10.9.0.2", NEXTHOP_DEAD_SAID, true); /* unknown */
    dead("10.9.0.2", NEXTHOP_DEAD_BFD, true);  /* before the watch */
    nexthops_watch(x.f.nexthops, &nh);
    CU_ASSERT_EQUAL(flags_told("10.9.0.2"), FM_NH_CONNECTED | FM_NH_BFD_DOWN);
    nexthops_unwatch(x.f.nexthops, &nh);
    GROUP(1, 1, "10.9.0.2", "10.9.1.2");
    route("10.50.0.0/16", 1, 1);
    GOES("10.50.0.0/16", "10.9.1.2");
    nexthops_watch(x.f.nexthops, &nh);
    dead("10.9.0.2", NEXTHOP_DEAD_SAID, true);
    dead("10.9.0.2", NEXTHOP_DEAD_BFD, false);
    CU_ASSERT_EQUAL(flags_told("10.9.0.2"), FM_NH_CONNECTED | FM_NH_REACHABLE);
    GOES("10.50.0.0/16", "10.9.1.2");
    nexthops_unwatch(x.f.nexthops, &nh); /* its routes are about to go, and must not come back before */
    settle(100);
    GOES("10.50.0.0/16", "10.9.1.2");
    nexthops_watch(x.f.nexthops, &nh);
    settle(100);
    GOES("10.50.0.0/16", "10.9.0.2");
    tear_down();
}

static void what_was_said_outlives_the_speaker_until_the_next_one_watches(void)
{
    struct fm_nexthop nh = nexthop("10.9.0.2");

    set_up();
    nexthops_watch(x.f.nexthops, &nh);
    GROUP(1, 1, "10.9.0.2", "10.9.1.2");
    route("10.50.0.0/16", 1, 1);
    dead("10.9.0.2", NEXTHOP_DEAD_SAID, true);
    fib_speaker_gone(&x.f);
    settle(100);
    GOES("10.50.0.0/16", "10.9.1.2");
    GROUP(4, 1, "10.9.0.2", "10.9.1.2");
    GOES("10.50.0.0/16", "10.9.1.2");
    nexthops_watch(x.f.nexthops, &nh);
    settle(100);
    GOES("10.50.0.0/16", "10.9.0.2");
    CU_ASSERT_EQUAL(x.k.ops[KERNEL_ADD] + x.k.ops[KERNEL_REPLACE], 1);
    tear_down();
}

static void sets_differ_by_their_backups(void)
{
    set_up();
    GROUP(1, 1, "10.9.0.2", "10.9.1.2");
    GROUP(2, 1, "10.9.0.2");
    GROUP(3, 1, "10.9.0.2", "10.9.1.2");
    GROUP(4, 2, "10.9.0.2", "10.9.1.2");
    route("10.50.0.0/16", 1, 1);
    route("10.51.0.0/16", 2, 2);
    route("10.52.0.0/16", 3, 3);
    route("10.53.0.0/16", 4, 4);
    uint32_t id[4];
    for (unsigned i = 0; i < 4; i++) {
        char text[32];
        snprintf(text, sizeof text, "10.%u.0.0/16", 50 + i);
        id[i] = in_kernel(text)->nexthop_id;
    }
    CU_ASSERT_TRUE(id[0] != id[1] && id[0] == id[2] && id[3] != id[0] && id[3] != id[1]);
    /* A number redefined keeps its group in the kernel, whatever it has more or less. */
    GROUP(4, 1, "10.9.1.2", "10.9.0.2");
    CU_ASSERT_EQUAL(in_kernel("10.53.0.0/16")->nexthop_id, id[3]);
    GOES("10.53.0.0/16", "10.9.1.2");
    tear_down();
}

static void an_ipv6_route_takes_no_group_with_an_ipv4_backup(void)
{
    set_up();
    GROUP(1, 1, "fd09::2", "10.9.0.2");
    apply(FM_ROUTE_SET, "fd50::/48", 1, 1);
    routes_flush_results(x.f.routes);
    CU_ASSERT_EQUAL(result_of(1), -EAFNOSUPPORT);
    tear_down();
}

static void set_link(uint32_t ifindex, bool up)
{
    struct kevent ev = {.type = KEVENT_LINK,
                        .u.link = {.ifindex = ifindex, .flags = IFF_UP | (up ? IFF_LOWER_UP : 0)}};
    links_event(x.f.links, &ev);
}

static void a_link_that_goes_leaves_its_routes_to_the_backup_at_once(void)
{
    set_up();
    GROUP(1, 1, "10.9.0.2", "10.9.1.2");
    GROUP(2, 2, "10.9.0.2", "10.9.1.2");
    route("10.50.0.0/16", 1, 1);
    route("10.51.0.0/16", 2, 2);
    unsigned written = x.k.group_writes;
    set_link(2, false);
    /* The group that the kernel has made smaller is not written, the one that it has deleted not in vain. */
    CU_ASSERT_EQUAL(x.k.group_writes, written + 1);
    CU_ASSERT_FALSE(x.f.resolve_refused);
    GOES("10.51.0.0/16", "10.9.1.2");
    settle(3);
    GOES("10.50.0.0/16", "10.9.1.2");
    CU_ASSERT_EQUAL(result_of(1), 1);
    set_link(2, true);
    settle(100);
    GOES("10.50.0.0/16", "10.9.0.2");
    GOES("10.51.0.0/16", "10.9.0.2 10.9.1.2");
    tear_down();
}

/* Any order of deaths, returns and links ends where the last words say. */
static void any_order_ends_with_what_is_alive(void)
{
    static const char *const nh[] = {"10.9.0.2", "10.9.0.3", "10.9.1.2", "10.9.1.3"};
    bool gone[4] = {false};
    char want[128];

    set_up();
    GROUP(1, 2, nh[0], nh[2]);
    GROUP(2, 1, nh[0], nh[1], nh[2], nh[3]);
    GROUP(3, 1, nh[3], nh[0]);
    apply(FM_ROUTE_SET, "10.50.0.0/16", 1, 1);
    apply(FM_ROUTE_SET, "10.51.0.0/16", 2, 2);
    apply(FM_ROUTE_SET, "10.52.0.0/16", 3, 3);
    settle(20);
    srand(4);
    for (int round = 0; round < 300; round++) {
        int i = rand() % 4;
        gone[i] = !gone[i];
        dead(nh[i], i & 1 ? NEXTHOP_DEAD_SAID : NEXTHOP_DEAD_BFD, gone[i]);
        if (rand() % 3 == 0)
            settle(1);
        if (round % 10)
            continue;
        settle(20);
        snprintf(want, sizeof want, "%s",
                 !gone[0]   ? nh[0]
                 : !gone[1] ? nh[1]
                 : !gone[2] ? nh[2]
                 : !gone[3] ? nh[3]
                            : "");
        GOES("10.51.0.0/16", want);
        GOES("10.52.0.0/16", !gone[3] ? nh[3] : !gone[0] ? nh[0] : "");
        CU_ASSERT_EQUAL(strlen(way_of("10.50.0.0/16")), gone[0] && gone[2] ? 0 : gone[0] || gone[2] ? 8 : 17);
    }
    for (int i = 0; i < 4; i++)
        dead(nh[i], i & 1 ? NEXTHOP_DEAD_SAID : NEXTHOP_DEAD_BFD, false);
    apply(FM_ROUTE_DEL, "10.50.0.0/16", 0, 4);
    apply(FM_ROUTE_DEL, "10.51.0.0/16", 0, 5);
    apply(FM_ROUTE_DEL, "10.52.0.0/16", 0, 6);
    for (uint32_t id = 1; id <= 3; id++)
        groups_del(x.f.groups, id);
    settle(20);
    CU_ASSERT_EQUAL(x.k.n_nexthops, 0);
    CU_ASSERT_EQUAL(x.k.n_routes, 0);
    tear_down();
}

static const struct unit_case cases[] = {
    UNIT(a_dead_member_goes_with_its_object),
    UNIT(without_another_member_the_first_usable_backup_serves),
    UNIT(what_has_a_backup_moves_before_the_object_goes),
    UNIT(small_groups_do_not_wait_for_a_large_one),
    UNIT(routes_of_a_group_that_went_are_removed_in_peace),
    UNIT(only_bfd_makes_it_unreachable_and_outlives_the_watch),
    UNIT(what_was_said_outlives_the_speaker_until_the_next_one_watches),
    UNIT(sets_differ_by_their_backups),
    UNIT(an_ipv6_route_takes_no_group_with_an_ipv4_backup),
    UNIT(a_link_that_goes_leaves_its_routes_to_the_backup_at_once),
    UNIT(any_order_ends_with_what_is_alive),
};
UNIT_MAIN("fib_failover", cases)
