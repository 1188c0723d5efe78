/* Export policies in Adj-RIB-Out: what a peer is sent by one, and that it hears only of what a change of the
 * policy changes. */
#include <errno.h>
#include <stdio.h>

#include "config.h"
#include "policy.h"
#include "receiver.h"
#include "rib_fixture.h"

#define N 2000

static const bool both[FAM_COUNT] = {true, true};

struct out {
    struct fixture x;
    struct rib_peer *from, *to;
    struct receiver *v;
    struct adjout *o;
    struct policy_env env;
};

/* A reference; what it was read from is gone. */
static struct policy *make(const char *rules)
{
    char text[2000];
    struct config_errors e = {0};
    struct config *c;
    snprintf(text, sizeof text, "router: {asn: 64512}\npolicies:\n  p: %s\n", rules);
    config_load("f", text, strlen(text), NULL, &e, &c);
    if (e.n)
        fprintf(stderr, "      %s\n", e.list[0].text);
    config_errors_reset(&e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    struct policy *p = policy_ref(c->policies[0]);
    config_free(c);
    return p;
}

static void set_policy(struct out *t, const char *rules)
{
    struct policy *p = rules ? make(rules) : NULL;
    adjout_set_policy(t->o, p, &t->env);
    policy_unref(p);
}

static void change(struct out *t, const char *rules)
{
    set_policy(t, rules);
    for (enum family f = 0; f < FAM_COUNT; f++)
        CU_ASSERT_EQUAL(adjout_resend(t->o, f, rules ? EXPORT_BY_POLICY : EXPORT_ALL, false), 0);
}

static void learn(struct out *t, unsigned n, unsigned attrs)
{
    for (unsigned i = 0; i < n; i++) {
        char text[PREFIX_STRLEN];
        snprintf(text, sizeof text, "10.%u.%u.0/24", i >> 8, i & 255);
        fx_update(&t->x, t->from, text, fx_attr_med(&t->x, 1, 65001, 1, 1 + i % attrs));
    }
}

static void start(struct out *t, const char *rules, bool add_path)
{
    struct update_export x = receiver_export(true);
    for (enum family f = 0; f < FAM_COUNT; f++)
        x.add_path[f] = t->v->ctx.add_path[f] = add_path;
    set_policy(t, rules);
    CU_ASSERT_EQUAL(adjout_start(t->o, &x, EXPORT_BY_POLICY, both), 0);
}

static void setup(struct out *t, const char *rules, bool add_path)
{
    *t = (struct out){0};
    fx_init(&t->x, 1);
    t->from = fx_peer(&t->x, 1, false);
    t->to = fx_peer(&t->x, 3, false);
    fx_update(&t->x, t->from, "192.0.2.1/32", fx_attr_med(&t->x, 1, 65001, 2, 7));
    fx_nexthop(&t->x, 1, true, 0);
    fx_originate(&t->x, "192.0.2.2/32", ORIGIN_KIND_VIP);
    fx_originate(&t->x, "192.0.2.3/32", ORIGIN_KIND_STATIC);
    fx_work(&t->x);
    t->v = receiver_new(true);
    t->o = adjout_new(t->x.rib, t->to, NULL, NULL);
    t->env = (struct policy_env){
        .attrs = t->x.attrs, .nexthops = t->x.nexthops, .export = true, .ebgp = true, .local_as = EXPORT_AS};
    start(t, rules, add_path);
}

static void teardown(struct out *t)
{
    adjout_free(t->o);
    fx_work(&t->x);
    receiver_free(t->v);
    fx_free(&t->x);
}

static const struct attr *has(const struct out *t, const char *prefix)
{
    struct prefix p = fx_prefix(prefix);
    return receiver_has(t->v, &p);
}

static void is(const struct out *t, const char *prefix, const char *path, const char *communities,
               int64_t med)
{
    char text[200];
    const struct attr *a = has(t, prefix);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    attr_format_as_path(a, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, path);
    attr_format_communities(a, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, communities);
    CU_ASSERT_EQUAL(a->flags & ATTR_HAS_MED ? (int64_t)a->med : -1, med);
}

static void what_is_accepted_goes_out_as_the_policy_leaves_it(void)
{
    for (int add_path = 0; add_path < 2; add_path++) {
        struct out t;
        setup(&t,
              "[{match: {source: vip}, set: {med: 4, prepend: 2, community-add: \"1:2\"}, then: accept},"
              " {match: {source: learned}, set: {community-add: \"3:4\"}, then: accept}]",
              add_path);
        receiver_drain(t.v, t.o);
        CU_ASSERT_EQUAL(t.v->n, 2);
        is(&t, "192.0.2.2/32", "64512 64512 64512", "1:2", 4);
        is(&t, "192.0.2.1/32", "64512 65001 64601", "3:4", -1); /* the MED was for us */
        CU_ASSERT_EQUAL(t.v->eor[FAM_IPV4], 1);
        fx_unoriginate(&t.x, "192.0.2.2/32");
        fx_withdraw(&t.x, t.from, "192.0.2.1/32");
        receiver_drain(t.v, t.o);
        CU_ASSERT_EQUAL(t.v->n, 0);
        CU_ASSERT_EQUAL(t.v->spurious, 0);
        teardown(&t);
    }
}

static void a_next_hop_that_is_set_is_sent(void)
{
    struct out t;
    struct attr_build b;
    setup(&t,
          "[{match: {source: vip}, set: {next-hop: 10.0.0.77, med: 3}, then: accept}, {set: {next-hop: "
          "self}, then: accept}]",
          false);
    receiver_drain(t.v, t.o);
    is(&t, "192.0.2.2/32", "64512", "", 3);
    attr_to_build(t.v->attrs, has(&t, "192.0.2.2/32"), &b);
    struct ip_addr set = addr_v4(0x0a00004d), self = addr_v4(0xc0000201);
    CU_ASSERT(addr_equal(&b.nexthop, &set));
    attr_to_build(t.v->attrs, has(&t, "192.0.2.1/32"), &b);
    CU_ASSERT(addr_equal(&b.nexthop, &self));
    teardown(&t);
}

/* Who may not have it at all is not asked of a policy. */
static void a_policy_does_not_override_the_rules_of_bgp(void)
{
    struct out t;
    static const uint8_t no_export[] = {0xff, 0xff, 0xff, 0x01};
    setup(&t, "[{set: {community-remove: \"*:*\"}, then: accept}]", false);
    struct attr_build b = {.nexthop = fx_addr(1), .part = {[PART_COMMUNITY] = no_export}};
    b.part_len[PART_COMMUNITY] = 4;
    fx_update(&t.x, t.from, "192.0.2.9/32", attr_intern(t.x.attrs, &b));
    fx_update(&t.x, t.to, "192.0.2.8/32", fx_attr(&t.x, 1, 1));
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, 3);
    CU_ASSERT_PTR_NULL(has(&t, "192.0.2.9/32"));
    CU_ASSERT_PTR_NULL(has(&t, "192.0.2.8/32"));
    teardown(&t);
}

static void a_policy_without_learned_routes_costs_nothing_for_them(void)
{
    struct out t;
    setup(&t, "[{match: {source: [vip, static]}, then: accept}, {match: {source: learned}, then: reject}]",
          false);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, 2);
    learn(&t, N, 3);
    CU_ASSERT_FALSE(adjout_pending(t.o));
    change(&t, "[{then: accept}]");
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, N + 3);
    change(&t, "[{match: {source: vip}, then: accept}]");
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, 1);
    CU_ASSERT_EQUAL(t.v->spurious, 0);
    teardown(&t);
}

static void what_becomes_equal_shares_messages(void)
{
    struct out t;
    setup(&t, "[{match: {source: learned}, set: {med: none, prepend: 1}, then: accept}]", false);
    learn(&t, N, 500); /* distinct by their MED only */
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, N + 1);
    CU_ASSERT(t.v->messages < 20);
    teardown(&t);
}

static void only_what_a_new_policy_changes_is_sent(void)
{
    struct out t;
    setup(&t, "[{match: {prefix: 10.0.0.0/16 le 24}, set: {med: 1}, then: accept}, {then: accept}]", false);
    learn(&t, N, 7);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, N + 3);
    t.v->announced = t.v->withdrawn = 0;

    /* The same, said otherwise. */
    change(&t,
           "[{match: {prefix: [10.0.0.0/16 ge 16 le 24]}, set: {med: 1}, then: accept}, {match: {}, then: "
           "accept}]");
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->announced + t.v->withdrawn, 0);

    change(&t, "[{match: {prefix: 10.0.0.0/16 le 24}, set: {med: 2}, then: accept}, {then: accept}]");
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->announced, 256);
    CU_ASSERT_EQUAL(t.v->withdrawn, 0);
    is(&t, "10.0.5.0/24", "64512 65001", "", 2);

    change(&t, "[{match: {prefix: 10.0.0.0/16 le 24}, then: reject}, {then: accept}]");
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->announced, 256);
    CU_ASSERT_EQUAL(t.v->withdrawn, 256);
    CU_ASSERT_EQUAL(t.v->n, N + 3 - 256);

    change(&t, NULL); /* all */
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->announced, 512);
    CU_ASSERT_EQUAL(t.v->n, N + 3);
    change(&t, "[{then: accept}]"); /* all, by a policy */
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->announced, 512);
    CU_ASSERT_EQUAL(t.v->withdrawn, 256);
    CU_ASSERT_EQUAL(t.v->spurious, 0);
    teardown(&t);
}

/* Policies that follow each other faster than the peer is served: what counts is what it has in the end. */
static void changes_in_a_hurry_end_where_the_last_one_says(void)
{
    static const char *const rules[] = {
        "[{set: {med: 1}, then: accept}]",
        "[{match: {prefix: 10.0.0.0/14 le 24}, set: {med: 2}, then: accept}]",
        NULL,
        "[{match: {prefix: 10.1.0.0/16 le 24}, then: reject}, {set: {med: 1}, then: accept}]",
        "[]",
        "[{match: {source: vip}, then: accept}]",
    };
    for (int add_path = 0; add_path < 2; add_path++) {
        for (unsigned seed = 1; seed < 20; seed++) {
            struct out t;
            setup(&t, "[{then: accept}]", add_path);
            learn(&t, N, 7);
            srandom(seed);
            for (unsigned i = 0; i < 12; i++) {
                for (unsigned k = (unsigned)random() % 3; k; k--)
                    receiver_fill(t.v, t.o, 5000 + (size_t)random() % 20000);
                change(&t, rules[(unsigned)random() % (sizeof rules / sizeof *rules)]);
            }
            change(&t, "[{match: {prefix: 10.1.0.0/16 le 24}, then: reject}, {set: {med: 9}, then: accept}]");
            receiver_drain(t.v, t.o);
            CU_ASSERT_EQUAL(t.v->n, N + 3 - 256);
            CU_ASSERT_EQUAL(t.v->spurious, 0);
            for (unsigned i = 0; i < t.v->n; i++)
                CU_ASSERT_EQUAL(t.v->has[i].attr->med, 9);
            CU_ASSERT_EQUAL(adjout_count(t.o, FAM_IPV4), N + 3 - 256);
            teardown(&t);
        }
    }
}

static void a_new_session_starts_with_the_new_policy(void)
{
    struct out t;
    setup(&t, "[{set: {med: 1}, then: accept}]", false);
    receiver_drain(t.v, t.o);
    adjout_stop(t.o);
    receiver_clear(t.v);
    start(&t, "[{set: {med: 2}, then: accept}]", false);
    receiver_drain(t.v, t.o);
    CU_ASSERT_EQUAL(t.v->n, 3);
    is(&t, "192.0.2.2/32", "64512", "", 2);
    CU_ASSERT_EQUAL(t.v->announced, 3);
    teardown(&t);
}

static bool memory_is_out;
int __real_policy_apply(const struct policy *p, struct policy_memo *m, const struct policy_route *r,
                        struct policy_result *out);
int __wrap_policy_apply(const struct policy *p, struct policy_memo *m, const struct policy_route *r,
                        struct policy_result *out);
int __wrap_policy_apply(const struct policy *p, struct policy_memo *m, const struct policy_route *r,
                        struct policy_result *out)
{
    return memory_is_out ? -ENOMEM : __real_policy_apply(p, m, r, out);
}

static void what_cannot_be_judged_for_want_of_memory_is_told_and_not_lost(void)
{
    for (int add_path = 0; add_path < 2; add_path++) {
        struct out t;
        setup(&t, "[{set: {med: 1}, then: accept}]", add_path);
        memory_is_out = true;
        CU_ASSERT_TRUE(receiver_fill(t.v, t.o, 8192));
        CU_ASSERT_TRUE(adjout_no_memory(t.o));
        CU_ASSERT_EQUAL(t.v->n, 0);
        CU_ASSERT_EQUAL(t.v->eor[FAM_IPV4], 0);
        memory_is_out = false;
        receiver_drain(t.v, t.o);
        CU_ASSERT_FALSE(adjout_no_memory(t.o));
        CU_ASSERT_EQUAL(t.v->n, 3);
        teardown(&t);
    }
}

static const struct unit_case cases[] = {
    UNIT(what_is_accepted_goes_out_as_the_policy_leaves_it),
    UNIT(a_next_hop_that_is_set_is_sent),
    UNIT(a_policy_does_not_override_the_rules_of_bgp),
    UNIT(a_policy_without_learned_routes_costs_nothing_for_them),
    UNIT(what_becomes_equal_shares_messages),
    UNIT(only_what_a_new_policy_changes_is_sent),
    UNIT(changes_in_a_hurry_end_where_the_last_one_says),
    UNIT(a_new_session_starts_with_the_new_policy),
    UNIT(what_cannot_be_judged_for_want_of_memory_is_told_and_not_lost),
};
UNIT_MAIN("adjout_policy", cases)
