/* Next hops and groups: interning, watches, states. */
#include "rib/nexthop.h"

#include <string.h>

#include "unit.h"

struct fake_fib {
    unsigned watches, unwatches, sets, dels;
    struct nhgroup_member members[FM_GROUP_MEMBERS];
    unsigned n, n_backups;
};

static void on_watch(void *arg, const struct nexthop *nh)
{
    CU_ASSERT_EQUAL(nh->refs, 1);
    ((struct fake_fib *)arg)->watches++;
}

static void on_unwatch(void *arg, const struct nexthop *nh)
{
    (void)nh;
    ((struct fake_fib *)arg)->unwatches++;
}

static void on_group_set(void *arg, uint32_t group, const struct nhgroup_member *members, unsigned n,
                         unsigned n_backups)
{
    struct fake_fib *k = arg;
    CU_ASSERT(group != 0);
    k->sets++;
    k->n = n;
    k->n_backups = n_backups;
    memcpy(k->members, members, (n + n_backups) * sizeof *members);
}

static void on_group_del(void *arg, uint32_t group)
{
    (void)group;
    ((struct fake_fib *)arg)->dels++;
}

static struct nexthop_table *table_over(struct fake_fib *k)
{
    static const struct nexthop_ops ops = {
        .watch = on_watch, .unwatch = on_unwatch, .group_set = on_group_set, .group_del = on_group_del};
    *k = (struct fake_fib){0};
    return nexthop_table_new(&ops, k);
}

static uint32_t get(struct nexthop_table *t, uint32_t host)
{
    struct ip_addr a = addr_v4(host);
    return nexthop_get(t, &a, 0);
}

static struct fm_nexthop_state state_of(uint32_t host, uint32_t flags, uint32_t metric)
{
    struct ip_addr a = addr_v4(host);
    struct fm_nexthop_state s = {.nexthop.af = AF_INET, .flags = flags, .metric = metric, .ifindex = 7};
    memcpy(s.nexthop.addr, a.b, sizeof s.nexthop.addr);
    return s;
}

static void first_reference_watches_and_last_unwatches(void)
{
    struct fake_fib k;
    struct nexthop_table *t = table_over(&k);
    uint32_t a = get(t, 1);
    CU_ASSERT(a != 0);
    CU_ASSERT_EQUAL(get(t, 1), a);
    CU_ASSERT_EQUAL(k.watches, 1);
    nexthop_put(t, a);
    CU_ASSERT_EQUAL(k.unwatches, 0);
    nexthop_put(t, a);
    CU_ASSERT_EQUAL(k.unwatches, 1);
    CU_ASSERT_PTR_NULL(nexthop_by_id(t, a));
    nexthop_table_free(t);
}

static void link_local_addresses_differ_by_scope(void)
{
    struct fake_fib k;
    struct nexthop_table *t = table_over(&k);
    struct ip_addr ll;
    CU_ASSERT_EQUAL_FATAL(addr_parse("fe80::1", &ll), 0);
    CU_ASSERT_NOT_EQUAL(nexthop_get(t, &ll, 3), nexthop_get(t, &ll, 4));
    nexthop_table_free(t);
}

static void a_fresh_nexthop_is_not_resolved(void)
{
    struct fake_fib k;
    struct nexthop_table *t = table_over(&k);
    const struct nexthop *nh = nexthop_by_id(t, get(t, 1));
    CU_ASSERT(!nh->resolved && !nh->reachable);
    nexthop_table_free(t);
}

static void only_what_decisions_look_at_counts_as_a_change(void)
{
    struct fake_fib k;
    struct nexthop_table *t = table_over(&k);
    uint32_t id = get(t, 1);
    static const struct {
        uint32_t flags, metric;
        bool changed;
    } steps[] = {
        {0, 0, false}, /* unusable before the answer and after it */
        {FM_NH_REACHABLE | FM_NH_CONNECTED, 0, true},
        {FM_NH_REACHABLE | FM_NH_CONNECTED, 0, false},
        {FM_NH_REACHABLE, 0, true}, /* a peer one hop away may name connected ones only */
        {FM_NH_REACHABLE, 20, true},
        {0, 20, true},
        {0, 30, false},
    };
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct fm_nexthop_state s = state_of(1, steps[i].flags, steps[i].metric);
        CU_ASSERT_EQUAL(nexthop_set_state(t, &s), steps[i].changed ? id : 0);
        CU_ASSERT(nexthop_by_id(t, id)->resolved);
    }
    CU_ASSERT_EQUAL(nexthop_by_id(t, id)->ifindex, 7);
    nexthop_table_free(t);
}

static void a_state_of_an_unknown_nexthop_is_ignored(void)
{
    struct fake_fib k;
    struct nexthop_table *t = table_over(&k);
    struct fm_nexthop_state s = state_of(9, FM_NH_REACHABLE, 0);
    CU_ASSERT_EQUAL(nexthop_set_state(t, &s), 0);
    s.nexthop.af = 0;
    CU_ASSERT_EQUAL(nexthop_set_state(t, &s), 0);
    nexthop_table_free(t);
}

static void groups_are_one_per_set_whatever_the_order(void)
{
    struct fake_fib k;
    struct nexthop_table *t = table_over(&k);
    uint32_t c = get(t, 3), a = get(t, 1), b = get(t, 2);
    uint32_t g = nhgroup_get(t, (uint32_t[]){c, a, b, a}, NULL, 4, 0);
    CU_ASSERT_EQUAL(nhgroup_get(t, (uint32_t[]){b, c, a}, NULL, 3, 0), g);
    CU_ASSERT_NOT_EQUAL(nhgroup_get(t, (uint32_t[]){a, b}, NULL, 2, 0), g);
    CU_ASSERT_EQUAL(k.sets, 2);
    const struct nhgroup_member *m;
    CU_ASSERT_EQUAL_FATAL(nhgroup_members(t, g, &m), 3);
    CU_ASSERT(m[0].nexthop == a && m[1].nexthop == b && m[2].nexthop == c); /* ascending by address */
    nexthop_table_free(t);
}

static void a_group_keeps_its_nexthops_and_goes_with_the_last_reference(void)
{
    struct fake_fib k;
    struct nexthop_table *t = table_over(&k);
    uint32_t a = get(t, 1), g = nhgroup_get(t, &a, NULL, 1, 0);
    nhgroup_ref(t, g);
    nexthop_put(t, a);
    CU_ASSERT_EQUAL(k.unwatches, 0);
    nhgroup_put(t, g);
    CU_ASSERT_EQUAL(k.dels, 0);
    nhgroup_put(t, g);
    CU_ASSERT_EQUAL(k.dels, 1);
    CU_ASSERT_EQUAL(k.unwatches, 1);
    const struct nhgroup_member *m;
    CU_ASSERT_EQUAL(nhgroup_members(t, g, &m), 0);
    nexthop_table_free(t);
}

static void many_come_and_go(void)
{
    enum { N = 5000 };
    struct fake_fib k;
    struct nexthop_table *t = table_over(&k);
    static uint32_t id[N], group[N];
    for (uint32_t i = 0; i < N; i++) {
        id[i] = get(t, i + 1);
        group[i] = nhgroup_get(t, &id[i], NULL, 1, 0);
    }
    for (uint32_t i = 0; i < N; i += 2) {
        nexthop_put(t, id[i]);
        nhgroup_put(t, group[i]);
    }
    CU_ASSERT_EQUAL(k.unwatches, N / 2);
    for (uint32_t i = 1; i < N; i += 2) {
        CU_ASSERT_EQUAL(get(t, i + 1), id[i]);
        CU_ASSERT_EQUAL(nhgroup_get(t, &id[i], NULL, 1, 0), group[i]);
    }
    CU_ASSERT_EQUAL(k.watches, N);
    CU_ASSERT(nexthop_table_memory(t) > N * sizeof(struct nexthop) / 2);
    nexthop_table_free(t);
}

static void there_is_a_most_of_them(void)
{
    struct fake_fib k;
    struct nexthop_table *t = table_over(&k);
    uint32_t first = get(t, 1);
    for (uint32_t i = 2; i <= NEXTHOPS_MOST; i++)
        CU_ASSERT_FATAL(get(t, i) != 0);
    CU_ASSERT_EQUAL(get(t, NEXTHOPS_MOST + 1), 0);
    CU_ASSERT_EQUAL(get(t, 1), first); /* those that are there can be had */
    for (uint32_t i = 0; i < NHGROUPS_MOST; i++) {
        uint32_t pair[] = {i / NEXTHOPS_MOST + 1, i % NEXTHOPS_MOST + 1};
        nhgroup_get(t, pair, NULL, 2, 0);
    }
    uint32_t beyond[] = {9, 10};
    for (uint32_t i = 0; i < 16; i++) /* pairs with themselves or told before were fewer groups */
        beyond[1] = nhgroup_get(t, (uint32_t[]){9, 100 + i}, NULL, 2, 0);
    CU_ASSERT_EQUAL(beyond[1], 0);
    nexthop_table_free(t);
}

static void a_backup_makes_another_group(void)
{
    struct fake_fib k;
    struct nexthop_table *t = table_over(&k);
    uint32_t a = get(t, 1), b = get(t, 2), c = get(t, 3);
    uint32_t plain = nhgroup_get(t, &a, NULL, 1, 0), with = nhgroup_get(t, &a, NULL, 1, b);
    CU_ASSERT_EQUAL(k.n, 1);
    CU_ASSERT_EQUAL(k.n_backups, 1);
    CU_ASSERT_EQUAL(k.members[1].nexthop, b);
    CU_ASSERT_NOT_EQUAL(plain, with);
    CU_ASSERT_NOT_EQUAL(nhgroup_get(t, &a, NULL, 1, c), with);
    CU_ASSERT_NOT_EQUAL(nhgroup_get(t, (uint32_t[]){a, b}, NULL, 2, 0), with);
    CU_ASSERT_EQUAL(nhgroup_get(t, &a, NULL, 1, b), with);
    CU_ASSERT_EQUAL(nhgroup_get(t, &a, NULL, 1, a), plain);
    CU_ASSERT_EQUAL(nhgroup_backup(t, with), b);
    CU_ASSERT_EQUAL(nhgroup_backup(t, plain), 0);
    nhgroup_put(t, with);
    nexthop_put(t, b);
    CU_ASSERT_EQUAL(k.unwatches, 0); /* the group has it */
    nhgroup_put(t, with);
    CU_ASSERT_EQUAL(k.unwatches, 0); /* so has the group of two */
    nexthop_table_free(t);
}

static void backups_leave_groups_to_the_rest(void)
{
    struct fake_fib k;
    struct nexthop_table *t = table_over(&k);
    uint32_t id[NHGROUPS_MOST / 2 / 256 + 1], other[256], beyond = 0;
    for (uint32_t i = 0; i < sizeof id / sizeof *id; i++)
        id[i] = get(t, 1000 + i);
    for (uint32_t i = 0; i < 256; i++)
        other[i] = get(t, 100000 + i);
    for (uint32_t i = 0; i < NHGROUPS_MOST / 2; i++)
        nhgroup_get(t, &id[i / 256], NULL, 1, other[i % 256]);
    CU_ASSERT_EQUAL(k.n_backups, 1);
    beyond = nhgroup_get(t, &id[NHGROUPS_MOST / 2 / 256], NULL, 1, other[0]);
    CU_ASSERT_EQUAL(nhgroup_backup(t, beyond), 0);
    const struct nhgroup_member *m;
    CU_ASSERT_EQUAL(nhgroup_members(t, beyond, &m), 1);
    nexthop_table_free(t);
}

static const struct unit_case cases[] = {
    UNIT(first_reference_watches_and_last_unwatches),
    UNIT(link_local_addresses_differ_by_scope),
    UNIT(a_fresh_nexthop_is_not_resolved),
    UNIT(only_what_decisions_look_at_counts_as_a_change),
    UNIT(a_state_of_an_unknown_nexthop_is_ignored),
    UNIT(groups_are_one_per_set_whatever_the_order),
    UNIT(a_group_keeps_its_nexthops_and_goes_with_the_last_reference),
    UNIT(many_come_and_go),
    UNIT(there_is_a_most_of_them),
    UNIT(a_backup_makes_another_group),
    UNIT(backups_leave_groups_to_the_rest),
};
UNIT_MAIN("nexthop", cases)
