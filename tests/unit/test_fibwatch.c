/* Watches of next hops: what is told is the difference to what was told last, ends before beginnings. */
#include "fibwatch.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

struct rig {
    struct fibwatch w;
    struct nexthop_table *t;
    char told[256]; /* "-1 +2 x3 o3": ends, beginnings, deaths, lives, with the last octets of addresses */
    unsigned messages;
};

static void on_touch(void *arg, const struct nexthop *nh)
{
    struct rig *r = arg;
    CU_ASSERT_EQUAL(fibwatch_touch(&r->w, nh->id), 0);
}

static void on_dead(void *arg, const struct nexthop *const *nh, unsigned n)
{
    struct rig *r = arg;
    for (unsigned i = 0; i < n; i++)
        CU_ASSERT_EQUAL(fibwatch_judge(&r->w, nh[i]->id), 0);
}

static void on_alive(void *arg, const struct nexthop *nh)
{
    struct rig *r = arg;
    CU_ASSERT_EQUAL(fibwatch_judge(&r->w, nh->id), 0);
}

static void on_send(void *arg, enum fm_type type, const void *records, uint32_t n)
{
    struct rig *r = arg;
    const struct fm_nexthop *nh = records;
    r->messages++;
    CU_ASSERT_TRUE(n > 0 && n <= fm_max_records(type));
    for (uint32_t i = 0; i < n && strlen(r->told) < sizeof r->told - 8; i++)
        snprintf(r->told + strlen(r->told), 8, "%c%u ",
                 type == FM_NEXTHOP_WATCH     ? '+'
                 : type == FM_NEXTHOP_UNWATCH ? '-'
                 : type == FM_NEXTHOP_DEAD    ? 'x'
                                              : 'o',
                 nh[i].addr[3]);
}

static void set_up(struct rig *r)
{
    static const struct nexthop_ops ops = {
        .watch = on_touch, .unwatch = on_touch, .dead = on_dead, .alive = on_alive};
    *r = (struct rig){0};
    r->t = nexthop_table_new(&ops, r);
}

static void tear_down(struct rig *r)
{
    nexthop_table_free(r->t);
    fibwatch_reset(&r->w);
}

static uint32_t get(struct rig *r, uint32_t host)
{
    struct ip_addr a = addr_v4(host);
    return nexthop_get(r->t, &a, 0);
}

static void expect(struct rig *r, const char *told)
{
    r->told[0] = 0;
    fibwatch_flush(&r->w, r->t, on_send, r);
    if (strcmp(r->told, told))
        printf("      told \"%s\", not \"%s\"\n", r->told, told);
    CU_ASSERT_STRING_EQUAL(r->told, told);
    CU_ASSERT_EQUAL(r->w.changed.count, 0);
}

static void beginnings_and_ends_are_told_once(void)
{
    struct rig r;
    set_up(&r);
    uint32_t a = get(&r, 1), b = get(&r, 2);
    expect(&r, "+1 +2 ");
    expect(&r, "");
    nexthop_put(r.t, a);
    expect(&r, "-1 ");
    nexthop_put(r.t, b);
    expect(&r, "-2 ");
    tear_down(&r);
}

static void what_came_and_went_in_between_is_not_told(void)
{
    struct rig r;
    set_up(&r);
    for (uint32_t i = 1; i < 200; i++)
        nexthop_put(r.t, get(&r, i));
    expect(&r, "");
    CU_ASSERT_EQUAL(r.messages, 0);
    get(&r, 200);
    expect(&r, "+200 ");
    tear_down(&r);
}

static void an_id_used_again_ends_the_old_watch_first(void)
{
    struct rig r;
    set_up(&r);
    nexthop_put(r.t, get(&r, 1));
    uint32_t a = get(&r, 1);
    expect(&r, "+1 ");
    nexthop_put(r.t, a);
    CU_ASSERT_EQUAL(get(&r, 2), a);
    expect(&r, "-1 +2 ");
    tear_down(&r);
}

/* The object is new and waits for an answer of its own. */
static void one_that_came_back_is_told_again(void)
{
    struct rig r;
    set_up(&r);
    uint32_t a = get(&r, 1);
    expect(&r, "+1 ");
    nexthop_put(r.t, a);
    CU_ASSERT_EQUAL(get(&r, 1), a);
    expect(&r, "+1 ");
    tear_down(&r);
}

static void an_address_that_moved_to_another_id_stays_watched(void)
{
    struct rig r;
    set_up(&r);
    uint32_t a = get(&r, 1), b = get(&r, 2);
    expect(&r, "+1 +2 ");
    nexthop_put(r.t, b);
    nexthop_put(r.t, a);
    CU_ASSERT_EQUAL(get(&r, 2), a);
    CU_ASSERT_EQUAL(get(&r, 3), b);
    expect(&r, "-1 -2 +2 +3 ");
    tear_down(&r);
}

static void many_go_in_few_messages(void)
{
    struct rig r;
    set_up(&r);
    for (uint32_t i = 1; i <= 1000; i++)
        get(&r, i);
    fibwatch_flush(&r.w, r.t, on_send, &r);
    CU_ASSERT_TRUE(r.messages <= 1000 / 16 + 1);
    tear_down(&r);
}

static void a_death_is_told_after_the_watch_and_once(void)
{
    struct rig r;
    set_up(&r);
    uint32_t a = get(&r, 1);
    nexthop_name(r.t, a, 1, FAM_IPV4, false);
    nexthop_lose(r.t, 1, 1 << FAM_IPV4);
    expect(&r, "+1 x1 ");
    nexthop_lose(r.t, 1, 1 << FAM_IPV4);
    expect(&r, "");
    nexthop_name(r.t, a, 1, FAM_IPV4, false);
    expect(&r, "o1 ");
    nexthop_lose(r.t, 1, 1 << FAM_IPV4);
    nexthop_name(r.t, a, 1, FAM_IPV4, false);
    expect(&r, "");
    tear_down(&r);
}

static void one_that_died_and_came_back_is_not_left_dead(void)
{
    struct rig r;
    set_up(&r);
    uint32_t a = get(&r, 1);
    nexthop_name(r.t, a, 1, FAM_IPV4, false);
    nexthop_lose(r.t, 1, 1 << FAM_IPV4);
    expect(&r, "+1 x1 ");
    nexthop_put(r.t, a);
    CU_ASSERT_EQUAL(get(&r, 1), a);
    expect(&r, "+1 o1 "); /* its watch has never ended */
    nexthop_name(r.t, a, 1, FAM_IPV4, false);
    nexthop_lose(r.t, 1, 1 << FAM_IPV4);
    expect(&r, "x1 ");
    nexthop_put(r.t, a);
    CU_ASSERT_EQUAL(get(&r, 2), a);
    expect(&r, "-1 +2 ");
    nexthop_put(r.t, a);
    CU_ASSERT_EQUAL(get(&r, 1), a);
    expect(&r, "-2 +1 "); /* the death went with the first watch */
    tear_down(&r);
}

static const struct unit_case cases[] = {
    UNIT(beginnings_and_ends_are_told_once),
    UNIT(what_came_and_went_in_between_is_not_told),
    UNIT(an_id_used_again_ends_the_old_watch_first),
    UNIT(one_that_came_back_is_told_again),
    UNIT(an_address_that_moved_to_another_id_stays_watched),
    UNIT(many_go_in_few_messages),
    UNIT(a_death_is_told_after_the_watch_and_once),
    UNIT(one_that_died_and_came_back_is_not_left_dead),
};
UNIT_MAIN("fibwatch", cases)
