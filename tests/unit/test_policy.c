/* Policies: rules × routes × what is expected, read through the configuration as an operator writes them. */
#include "policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "rib_fixture.h"
#include "unit.h"

static const char *const interface_name = "eth7";
static const char *interface_of(const struct rib_peer *p)
{
    return p->number == 2 ? interface_name : "";
}

struct bench {
    struct fixture x;
    struct config *c;
    struct rib_peer *a, *b; /* 10.0.0.1, and one behind eth7 */
    struct policy_memo *in, *out, *out_internal;
};

static struct policy_memo *memo(struct bench *t, bool export, bool ebgp)
{
    struct policy_env env = {.attrs = t->x.attrs,
                             .nexthops = t->x.nexthops,
                             .export = export,
                             .ebgp = ebgp,
                             .local_as = 64512,
                             .interface = interface_of};
    return policy_memo_new(&env);
}

static struct config *load(const char *policies)
{
    char text[4096];
    struct config_errors e = {0};
    struct config *c;
    snprintf(text, sizeof text,
             "router: {asn: 64512, id: 10.0.0.9}\n"
             "sets:\n  prefixes: {pods: [\"10.244.0.0/16 le 24\", \"fd00::/16 le 64\"]}\n"
             "  communities: {bad: [\"65001:666\", \"1:2:3\"]}\n  as-paths: {short: [\"^65001$\"]}\n"
             "peers:\n  - {address: 10.0.0.1, asn: 65001, description: tor}\n"
             "  - {address: 10.0.0.2, asn: 65002}\n%s",
             policies);
    config_load("f", text, strlen(text), NULL, &e, &c);
    if (e.n)
        fprintf(stderr, "      %s\n", e.list[0].text);
    config_errors_reset(&e);
    return c;
}

static void setup(struct bench *t, const char *rules)
{
    char text[3000];
    fx_init(&t->x, 1);
    t->a = fx_peer(&t->x, 1, false);
    t->b = fx_peer(&t->x, 2, false);
    snprintf(text, sizeof text, "policies:\n  p: %s\n", rules);
    t->c = load(text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t->c);
    t->in = memo(t, false, true);
    t->out = memo(t, true, true);
    t->out_internal = memo(t, true, false);
}

static void teardown(struct bench *t)
{
    policy_memo_free(t->in);
    policy_memo_free(t->out);
    policy_memo_free(t->out_internal);
    config_free(t->c);
    fx_free(&t->x);
}

/* A route as the rows describe it. */
struct route {
    const char *prefix;
    const char *path;        /* "65001 64600" */
    const char *communities; /* "65001:1 1:2:3 rt:1:2" */
    unsigned from;           /* peer 1 or 2; 0: originated, of kind */
    uint8_t kind;
    uint8_t origin;
    uint32_t med; /* 0: none */
};

static void put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}

static const struct attr *route_attr(struct bench *t, const struct route *r)
{
    static const enum attr_part part_of[] = {PART_COMMUNITY, PART_LARGE, PART_EXTENDED};
    uint8_t parts[PART_COUNT][512];
    struct attr_build b = {.origin = r->origin, .med = r->med, .flags = r->med ? ATTR_HAS_MED : 0};
    unsigned n = 0;
    char copy[200], *save;
    for (unsigned i = 0; i < PART_COUNT; i++)
        b.part[i] = parts[i];
    snprintf(copy, sizeof copy, "%s", r->path ? r->path : "");
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        put_u32(parts[PART_AS_PATH] + 2 + 4 * n++, (uint32_t)strtoul(w, NULL, 10));
    parts[PART_AS_PATH][0] = 2;
    parts[PART_AS_PATH][1] = (uint8_t)n;
    b.part_len[PART_AS_PATH] = (uint16_t)(n ? 2 + 4 * n : 0);
    snprintf(copy, sizeof copy, "%s", r->communities ? r->communities : "");
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        struct community_pattern p;
        CU_ASSERT_EQUAL_FATAL(community_pattern_parse(w, false, &p), 0);
        enum attr_part part = part_of[p.kind];
        memcpy(parts[part] + b.part_len[part], p.value, p.len);
        b.part_len[part] = (uint16_t)(b.part_len[part] + p.len);
    }
    if (r->from)
        b.nexthop = fx_addr(r->from);
    return attr_intern(t->x.attrs, &b);
}

/* "reject 2" or "accept 1 path=… lp=… med=… com=… large=… ext=… nh=… origin=…", only what is there. */
static const char *describe(struct bench *t, const struct policy_result *r, char *buf, size_t size)
{
    char text[300];
    size_t n = (size_t)snprintf(buf, size, "%s %u", r->accepted ? "accept" : "reject", r->rule);
    if (!r->accepted)
        return buf;
    const struct attr *a = r->attr;
    struct attr_build b;
    attr_to_build(t->x.attrs, a, &b);
    if (attr_format_as_path(a, text, sizeof text))
        n += (size_t)snprintf(buf + n, size - n, " path=%s", text);
    if (a->flags & ATTR_HAS_LOCAL_PREF)
        n += (size_t)snprintf(buf + n, size - n, " lp=%u", a->local_pref);
    if (a->flags & ATTR_HAS_MED)
        n += (size_t)snprintf(buf + n, size - n, " med=%u", a->med);
    if (attr_format_communities(a, text, sizeof text))
        n += (size_t)snprintf(buf + n, size - n, " com=%s", text);
    if (attr_format_large(a, text, sizeof text))
        n += (size_t)snprintf(buf + n, size - n, " large=%s", text);
    if (attr_format_extended(a, text, sizeof text))
        n += (size_t)snprintf(buf + n, size - n, " ext=%s", text);
    if (b.nexthop.af)
        n += (size_t)snprintf(buf + n, size - n, " nh=%s", addr_format(&b.nexthop, text));
    if (a->origin)
        n += (size_t)snprintf(buf + n, size - n, " origin=%s", origin_name((uint8_t)a->origin));
    if (a->flags & ATTR_AS_IS)
        snprintf(buf + n, size - n, " as-is");
    return buf;
}

static void told(void *arg, const struct policy *p, unsigned i, enum policy_cond failed,
                 const struct attr *seen)
{
    (void)p, (void)i, (void)failed, (void)seen;
    ++*(unsigned *)arg;
}

static void check(struct bench *t, struct policy_memo *m, const struct route *route, const char *expected)
{
    char got[600];
    struct prefix prefix = fx_prefix(route->prefix);
    const struct attr *a = route_attr(t, route);
    const struct policy *p = t->c->policies[0];
    struct policy_route r = {.family = addr_family(&prefix.addr),
                             .prefix = &prefix,
                             .attr = a,
                             .from = route->from == 1 ? t->a
                                     : route->from    ? t->b
                                                      : NULL,
                             .source = route->from ? POLICY_SOURCE_LEARNED : route->kind};
    struct policy_result first, again, explained;
    unsigned rules = 0;
    CU_ASSERT_EQUAL(policy_apply(p, m, &r, &first), 0);
    CU_ASSERT_STRING_EQUAL(describe(t, &first, got, sizeof got), expected);
    if (strcmp(got, expected))
        fprintf(stderr, "      %s: %s\n      instead of %s\n", route->prefix, got, expected);
    /* remembered, and evaluated at length, it is the same */
    CU_ASSERT_EQUAL(policy_apply(p, m, &r, &again), 0);
    CU_ASSERT_PTR_EQUAL(again.attr, first.attr);
    CU_ASSERT_EQUAL(policy_explain(p, m, &r, told, &rules, &explained), 0);
    CU_ASSERT_PTR_EQUAL(explained.attr, first.attr);
    CU_ASSERT_EQUAL(explained.rule, first.rule);
    CU_ASSERT(rules <= p->n_rules && rules >= first.rule);
    attr_unref(t->x.attrs, a);
}

#define R(...) ((struct route){__VA_ARGS__})
#define NET    .prefix = "10.1.2.0/24"

/* Each row: a rule's match, a route, whether it holds. */
static void every_condition_holds_and_fails_as_the_manual_says(void)
{
    static const struct {
        const char *match;
        struct route route;
        bool holds;
    } rows[] = {
        {"{}", {NET, .from = 1}, true},
        {"{prefix: 10.1.2.0/24}", {NET, .from = 1}, true},
        {"{prefix: 10.1.0.0/16}", {NET, .from = 1}, false},
        {"{prefix: 10.1.0.0/16 le 24}", {NET, .from = 1}, true},
        {"{prefix: 10.1.0.0/16 le 23}", {NET, .from = 1}, false},
        {"{prefix: 10.1.0.0/16 ge 24}", {NET, .from = 1}, true},
        {"{prefix: 10.1.0.0/16 ge 25}", {NET, .from = 1}, false},
        {"{prefix: 10.1.0.0/16 ge 17 le 24}", {NET, .from = 1}, true},
        {"{prefix: 10.1.0.0/16 ge 17 le 24}", {"10.1.0.0/16", .from = 1}, false},
        {"{prefix: [10.9.0.0/16, 10.1.2.0/24]}", {NET, .from = 1}, true},
        {"{prefix: 0.0.0.0/0 le 32}", {"2001:db8::/32", .from = 1}, false},
        {"{prefix: \"::/0 le 48\"}", {"2001:db8::/32", .from = 1}, true},
        {"{prefix: \"::/0 le 48\"}", {NET, .from = 1}, false},
        {"{prefix: \"@pods\"}", {"10.244.7.0/24", .from = 1}, true},
        {"{prefix: \"@pods\"}", {"fd00:1::/64", .from = 1}, true},
        {"{prefix: [\"@pods\", 10.1.2.0/24]}", {NET, .from = 1}, true},
        {"{prefix: \"@pods\"}", {NET, .from = 1}, false},
        {"{family: ipv4}", {NET, .from = 1}, true},
        {"{family: [ipv6]}", {NET, .from = 1}, false},
        {"{family: [ipv6, ipv4]}", {NET, .from = 1}, true},
        {"{community: \"65001:1\"}", {NET, .communities = "65001:1", .from = 1}, true},
        {"{community: \"65001:1\"}", {NET, .communities = "65001:2 65002:1", .from = 1}, false},
        {"{community: \"65001:*\"}", {NET, .communities = "65001:2", .from = 1}, true},
        {"{community: \"*:2\"}", {NET, .communities = "65001:2", .from = 1}, true},
        {"{community: \"*:3\"}", {NET, .communities = "65001:2", .from = 1}, false},
        {"{community: \"*:*\"}", {NET, .from = 1}, false},
        {"{community: no-export}", {NET, .communities = "no-export", .from = 1}, true},
        {"{community: [\"1:1\", \"65001:1:2\"]}", {NET, .communities = "65001:1:2", .from = 1}, true},
        {"{community: \"65001:1:*\"}", {NET, .communities = "65001:1:4000000000", .from = 1}, true},
        {"{community: \"65001:1:2\"}", {NET, .communities = "65001:1", .from = 1}, false},
        {"{community: \"rt:65000:1\"}", {NET, .communities = "rt:65000:1", .from = 1}, true},
        {"{community: \"rt:65000:*\"}", {NET, .communities = "rt:65000:9", .from = 1}, true},
        {"{community: \"rt:*\"}", {NET, .communities = "rt:10.0.0.1:9", .from = 1}, true},
        {"{community: \"rt:*\"}", {NET, .communities = "rt:4200000000:9", .from = 1}, true},
        {"{community: \"rt:*\"}", {NET, .communities = "soo:65000:9", .from = 1}, false},
        {"{community: \"0x0002fde800000001\"}", {NET, .communities = "rt:65000:1", .from = 1}, true},
        {"{community: \"lb:*\"}", {NET, .communities = "0x4004fde847f42400", .from = 1}, true},
        {"{community: \"lb:*\"}", {NET, .communities = "rt:65000:1", .from = 1}, false},
        {"{community: \"@bad\"}", {NET, .communities = "1:2:3", .from = 1}, true},
        {"{community: \"@bad\"}", {NET, .communities = "1:2", .from = 1}, false},
        {"{as-path: ^65001_}", {NET, .path = "65001 64600", .from = 1}, true},
        {"{as-path: ^65001_}", {NET, .path = "65001", .from = 1}, true},
        {"{as-path: ^65001_}", {NET, .path = "650011 64600", .from = 1}, false},
        {"{as-path: _64600$}", {NET, .path = "65001 64600", .from = 1}, true},
        {"{as-path: _64600$}", {NET, .path = "65001 164600", .from = 1}, false},
        {"{as-path: \"_6460[0-9]_\"}", {NET, .path = "65001 64605 7", .from = 1}, true},
        {"{as-path: ^$}", {NET, .kind = ORIGIN_KIND_VIP}, true},
        {"{as-path: ^$}", {NET, .path = "65001", .from = 1}, false},
        {"{as-path: [_1_, _2_]}", {NET, .path = "65001 2 65003", .from = 1}, true},
        {"{as-path: \"@short\"}", {NET, .path = "65001", .from = 1}, true},
        {"{as-path: \"@short\"}", {NET, .path = "65001 65001", .from = 1}, false},
        {"{next-hop: 10.0.0.1}", {NET, .from = 1}, true},
        {"{next-hop: 10.0.0.0/31}", {NET, .from = 1}, true},
        {"{next-hop: 10.0.0.0/31}", {NET, .from = 2}, false},
        {"{next-hop: 0.0.0.0/0}", {NET, .kind = ORIGIN_KIND_VIP}, false},
        {"{peer: 10.0.0.1}", {NET, .from = 1}, true},
        {"{peer: tor}", {NET, .from = 1}, true},
        {"{peer: [tor]}", {NET, .from = 2}, false},
        {"{peer: [tor, 10.0.0.2]}", {NET, .from = 2}, true},
        {"{peer: tor}", {NET, .kind = ORIGIN_KIND_VIP}, false},
        {"{origin: igp}", {NET, .from = 1}, true},
        {"{origin: [egp, incomplete]}", {NET, .from = 1, .origin = ORIGIN_INCOMPLETE}, true},
        {"{origin: [egp, incomplete]}", {NET, .from = 1}, false},
        {"{source: learned}", {NET, .from = 1}, true},
        {"{source: [vip, pod-cidr]}", {NET, .kind = ORIGIN_KIND_VIP}, true},
        {"{source: [vip, pod-cidr]}", {NET, .kind = ORIGIN_KIND_POD_CIDR}, true},
        {"{source: [vip, pod-cidr]}", {NET, .kind = ORIGIN_KIND_STATIC}, false},
        {"{source: interface}", {NET, .kind = ORIGIN_KIND_INTERFACE}, true},
        {"{source: static}", {NET, .kind = ORIGIN_KIND_STATIC}, true},
        {"{source: static}", {NET, .from = 1}, false},
        {"{prefix: 10.1.2.0/24, as-path: ^65001_}", {NET, .path = "65001", .from = 1}, true},
        {"{prefix: 10.1.2.0/24, as-path: ^65001_}", {NET, .path = "65002", .from = 1}, false},
        {"{prefix: 10.1.3.0/24, as-path: ^65001_}", {NET, .path = "65001", .from = 1}, false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench t;
        char rules[200], got[600];
        snprintf(rules, sizeof rules, "[{match: %s, then: accept}]", rows[i].match);
        setup(&t, rules);
        struct policy_result r;
        struct prefix prefix = fx_prefix(rows[i].route.prefix);
        const struct attr *a = route_attr(&t, &rows[i].route);
        const struct policy_route pr = {.family = addr_family(&prefix.addr),
                                        .prefix = &prefix,
                                        .attr = a,
                                        .from = rows[i].route.from == 1 ? t.a
                                                : rows[i].route.from    ? t.b
                                                                        : NULL,
                                        .source =
                                            rows[i].route.from ? POLICY_SOURCE_LEARNED : rows[i].route.kind};
        CU_ASSERT_EQUAL(policy_apply(t.c->policies[0], t.in, &pr, &r), 0);
        CU_ASSERT_EQUAL(r.accepted, rows[i].holds);
        CU_ASSERT_EQUAL(r.rule, rows[i].holds);
        if (r.accepted != rows[i].holds)
            fprintf(stderr, "      %s %s: %s\n", rows[i].match, rows[i].route.prefix,
                    describe(&t, &r, got, sizeof got));
        if (r.accepted)
            CU_ASSERT_PTR_EQUAL(r.attr, a); /* nothing was changed */
        attr_unref(t.x.attrs, a);
        teardown(&t);
    }
}

static void every_change_is_made(void)
{
    static const struct {
        const char *set;
        struct route route;
        const char *expected; /* after "accept 1 path=65001 " … and before the next hop */
    } rows[] = {
        {"local-pref: 200", {NET, "65001", .from = 1}, "path=65001 lp=200 nh=10.0.0.1"},
        {"med: 0", {NET, "65001", .from = 1}, "path=65001 med=0 nh=10.0.0.1"},
        {"med: none", {NET, "65001", .from = 1, .med = 7}, "path=65001 nh=10.0.0.1"},
        {"origin: egp", {NET, "65001", .from = 1}, "path=65001 nh=10.0.0.1 origin=EGP"},
        {"next-hop: 10.0.0.7", {NET, "65001", .from = 1}, "path=65001 nh=10.0.0.7"},
        {"next-hop: \"2001:db8::1\"", {NET, "65001", .from = 1}, "path=65001 nh=10.0.0.1"},
        {"prepend: 3", {NET, "65001 7", .from = 1}, "path=65001 65001 65001 65001 7 nh=10.0.0.1"},
        {"community-add: [\"1:1\", no-export, \"1:2:3\", \"rt:5:6\"]",
         {NET, "65001", "2:2", .from = 1},
         "path=65001 com=1:1 2:2 no-export large=1:2:3 ext=RT:5:6 nh=10.0.0.1"},
        {"community-add: [\"2:2\"]", {NET, "65001", "2:2", .from = 1}, "path=65001 com=2:2 nh=10.0.0.1"},
        {"community-remove: [\"1:1\", \"2:*\"]",
         {NET, "65001", "1:1 1:2 2:1 2:2 2:3:4 rt:2:1", .from = 1},
         "path=65001 com=1:2 large=2:3:4 ext=RT:2:1 nh=10.0.0.1"},
        {"community-remove: [\"*:*\", \"*:*:*\", \"rt:*\"]",
         {NET, "65001", "1:1 2:3:4 rt:2:1 soo:1:1", .from = 1},
         "path=65001 ext=SoO:1:1 nh=10.0.0.1"},
        {"community-replace: [\"9:9\"]",
         {NET, "65001", "1:1 2:3:4 rt:2:1", .from = 1},
         "path=65001 com=9:9 large=2:3:4 ext=RT:2:1 nh=10.0.0.1"},
        {"community-add: [\"9:9\"], community-remove: [\"*:*\"]",
         {NET, "65001", "1:1", .from = 1},
         "path=65001 com=9:9 nh=10.0.0.1"},
        {"community-add: \"@bad\"",
         {NET, "65001", .from = 1},
         "path=65001 com=65001:666 large=1:2:3 nh=10.0.0.1"},
        {"weight: 100",
         {NET, "65001", "0x4004000100000000", .from = 1},
         "path=65001 ext=LB:64512:12500000 nh=10.0.0.1"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench t;
        char rules[300], expected[300];
        snprintf(rules, sizeof rules, "[{set: {%s}, then: accept}]", rows[i].set);
        snprintf(expected, sizeof expected, "accept 1 %s", rows[i].expected);
        setup(&t, rules);
        check(&t, t.in, &rows[i].route, expected);
        teardown(&t);
    }
}

static void the_first_rule_that_decides_wins_and_none_rejects(void)
{
    struct bench t;
    setup(&t, "[{match: {community: \"1:1\"}, then: reject},"
              " {match: {prefix: 10.0.0.0/8 le 24}, then: accept},"
              " {match: {community: \"2:2\"}, set: {local-pref: 5}, then: accept}]");
    check(&t, t.in, &R(NET, .communities = "1:1", .from = 1), "reject 1");
    check(&t, t.in, &R(NET, .communities = "2:2", .from = 1), "accept 2 com=2:2 nh=10.0.0.1");
    check(&t, t.in, &R("10.1.2.0/25", .communities = "2:2", .from = 1), "accept 3 lp=5 com=2:2 nh=10.0.0.1");
    check(&t, t.in, &R("10.1.2.0/25", .from = 1), "reject 0");
    check(&t, t.in, &R(NET, .communities = "2:2", .from = 1), "accept 2 com=2:2 nh=10.0.0.1");
    teardown(&t);
}

static void an_empty_policy_rejects_everything(void)
{
    struct bench t;
    setup(&t, "[]");
    check(&t, t.in, &R(NET, .from = 1), "reject 0");
    check(&t, t.out, &R(NET, .kind = ORIGIN_KIND_VIP), "reject 0");
    teardown(&t);
}

static void next_keeps_what_was_set_and_later_rules_see_it(void)
{
    struct bench t;
    setup(&t, "[{match: {as-path: ^65001_}, set: {community-add: \"9:1\", prepend: 1}, then: next},"
              " {match: {community: \"9:1\"}, set: {local-pref: 300}, then: next},"
              " {match: {as-path: \"^65001 65001 7$\"}, set: {med: 4}, then: next},"
              " {match: {prefix: 10.0.0.0/8 le 32}, then: accept}]");
    check(&t, t.in, &R(NET, "65001 7", .from = 1),
          "accept 4 path=65001 65001 7 lp=300 med=4 com=9:1 nh=10.0.0.1");
    check(&t, t.in, &R(NET, "65002 7", .from = 1), "accept 4 path=65002 7 nh=10.0.0.1");
    check(&t, t.in, &R("11.0.0.0/8", "65001 7", .from = 1), "reject 0");
    teardown(&t);
}

static void on_export_own_as_is_prepended_and_nothing_of_others_leaks(void)
{
    struct bench t;
    setup(&t, "[{match: {source: learned}, set: {prepend: 2, community-add: \"5:5\"}, then: accept},"
              " {match: {source: vip}, set: {med: 9, prepend: 1}, then: accept},"
              " {match: {source: static}, then: accept}]");
    /* The next hop, the MED and what is not transitive of an external neighbour are not for another one. */
    check(&t, t.out, &R(NET, "65001", "0x4004000100000000 rt:1:1", 1, .med = 7),
          "accept 1 path=64512 64512 65001 com=5:5 ext=RT:1:1 as-is");
    check(&t, t.out_internal, &R(NET, "65001", "0x4004000100000000", 1, .med = 7),
          "accept 1 path=64512 64512 65001 med=7 com=5:5 ext=LB:1:0 nh=10.0.0.1 as-is");
    check(&t, t.out, &R(NET, .kind = ORIGIN_KIND_VIP), "accept 2 path=64512 med=9 as-is");
    /* Without a change it is the same object. */
    check(&t, t.out, &R(NET, .kind = ORIGIN_KIND_STATIC), "accept 3");
    check(&t, t.out, &R(NET, .kind = ORIGIN_KIND_POD_CIDR), "reject 0");
    teardown(&t);
}

static void an_exported_next_hop_is_matched_as_it_was_until_it_is_set(void)
{
    struct bench t;
    setup(&t, "[{set: {med: 1}, then: next},"
              " {match: {next-hop: 10.0.0.1}, set: {next-hop: 10.0.0.77}, then: next},"
              " {match: {next-hop: 10.0.0.77}, set: {community-add: \"7:7\"}, then: next},"
              " {match: {peer: 10.0.0.2}, set: {next-hop: self}, then: next},"
              " {then: accept}]");
    check(&t, t.out, &R(NET, "65001", .from = 1), "accept 5 path=65001 med=1 com=7:7 nh=10.0.0.77 as-is");
    check(&t, t.out_internal, &R(NET, "65002", .from = 2), "accept 5 path=65002 med=1 as-is");
    teardown(&t);
}

static void results_are_remembered_by_what_they_depend_on(void)
{
    struct bench t;
    setup(&t, "[{match: {prefix: 10.0.0.0/8 le 24, peer: 10.0.0.1}, set: {local-pref: 1}, then: accept},"
              " {match: {source: vip}, set: {local-pref: 2}, then: accept},"
              " {match: {family: ipv6}, set: {local-pref: 3}, then: accept}]");
    for (unsigned i = 0; i < 3; i++) {
        check(&t, t.in, &R(NET, .from = 1), "accept 1 lp=1 nh=10.0.0.1");
        check(&t, t.in, &R("10.1.2.0/25", .from = 1), "reject 0");
        check(&t, t.in, &R("2001:db8::/48", .from = 1), "accept 3 lp=3 nh=10.0.0.1");
        check(&t, t.in, &R(NET, .from = 2), "reject 0");
        check(&t, t.in, &R(NET, .kind = ORIGIN_KIND_VIP), "accept 2 lp=2");
        check(&t, t.in, &R(NET, .kind = ORIGIN_KIND_STATIC), "reject 0");
    }
    teardown(&t);
}

/* A number is given again, and an unnumbered peer moves. */
static void results_are_of_the_peer_that_it_was(void)
{
    struct bench t;
    struct ip_addr elsewhere = fx_addr(9);
    setup(&t, "[{match: {peer: 10.0.0.1}, then: accept}]");
    check(&t, t.out_internal, &R(NET, .from = 1), "accept 1 nh=10.0.0.1");
    rib_peer_move(t.x.rib, t.a, &elsewhere);
    check(&t, t.out_internal, &R(NET, .from = 1), "reject 0");
    uint16_t number = t.a->number;
    rib_peer_remove(t.x.rib, t.a);
    t.a = fx_peer(&t.x, 1, false);
    CU_ASSERT_EQUAL(t.a->number, number);
    check(&t, t.out_internal, &R(NET, .from = 1), "accept 1 nh=10.0.0.1");
    teardown(&t);
}

/* RFC 8326: the last choice for us and for those whom we tell. */
static void graceful_shutdown_stays_the_last_choice(void)
{
    struct bench t;
    setup(&t, "[{match: {community: \"1:1\"}, set: {local-pref: 200}, then: accept},"
              " {match: {community: \"1:2\"}, set: {community-add: [graceful-shutdown]}, then: accept},"
              " {match: {community: \"1:3\"}, set: {community-remove: [graceful-shutdown]}, then: accept},"
              " {set: {community-remove: [graceful-shutdown], local-pref: 7}, then: accept}]");
    check(&t, t.in, &R(NET, .from = 1, .communities = "1:1 65535:0"),
          "accept 1 lp=0 com=1:1 graceful-shutdown nh=10.0.0.1");
    check(&t, t.in, &R(NET, .from = 1, .communities = "1:2"),
          "accept 2 lp=0 com=1:2 graceful-shutdown nh=10.0.0.1");
    check(&t, t.in, &R(NET, .from = 1, .communities = "1:3 65535:0"), "accept 3 com=1:3 nh=10.0.0.1");
    check(&t, t.in, &R(NET, .from = 1, .communities = "65535:0"), "accept 4 lp=7 nh=10.0.0.1");
    check(&t, t.out_internal, &R(NET, .from = 1, .communities = "1:1 65535:0"),
          "accept 1 lp=200 com=1:1 graceful-shutdown nh=10.0.0.1 as-is");
    teardown(&t);
}

static void many_attributes_pass_through_few_slots(void)
{
    struct bench t;
    char path[40], expected[80];
    setup(&t, "[{match: {as-path: \"_[0-9]*7$\"}, set: {local-pref: 7}, then: accept}, {then: accept}]");
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 1000; i++) {
            snprintf(path, sizeof path, "65001 %u", i + 1);
            if ((i + 1) % 10 == 7)
                snprintf(expected, sizeof expected, "accept 1 path=%s lp=7 nh=10.0.0.1", path);
            else
                snprintf(expected, sizeof expected, "accept 2 path=%s nh=10.0.0.1", path);
            check(&t, t.in, &R(NET, path, .from = 1), expected);
        }
    teardown(&t); /* nothing is left in the attribute table */
}

static void an_endless_path_is_rejected(void)
{
    struct bench t;
    static uint8_t path[2 + 4 * 255][20];
    setup(&t, "[{then: accept}]");
    struct attr_build b = {.nexthop = fx_addr(1)};
    uint8_t *p = path[0];
    for (unsigned s = 0; s < 5; s++) {
        *p++ = 2;
        *p++ = 255;
        for (unsigned i = 0; i < 255; i++, p += 4)
            put_u32(p, 4200000000u + i);
    }
    b.part[PART_AS_PATH] = path[0];
    b.part_len[PART_AS_PATH] = (uint16_t)(p - path[0]);
    const struct attr *a = attr_intern(t.x.attrs, &b);
    struct prefix prefix = fx_prefix("10.1.2.0/24");
    struct policy_route r = {.prefix = &prefix, .attr = a, .from = t.a, .source = POLICY_SOURCE_LEARNED};
    struct policy_result out;
    CU_ASSERT_EQUAL(policy_apply(t.c->policies[0], t.in, &r, &out), 0);
    CU_ASSERT_FALSE(out.accepted);
    attr_unref(t.x.attrs, a);
    teardown(&t);
}

static void prepending_goes_over_to_a_new_segment(void)
{
    struct bench t;
    uint8_t path[2 + 4 * 250] = {2, 250};
    setup(&t, "[{set: {prepend: 16}, then: accept}]");
    for (unsigned i = 0; i < 250; i++)
        put_u32(path + 2 + 4 * i, 65001);
    struct attr_build b = {.nexthop = fx_addr(1)};
    b.part[PART_AS_PATH] = path;
    b.part_len[PART_AS_PATH] = sizeof path;
    const struct attr *a = attr_intern(t.x.attrs, &b);
    struct prefix prefix = fx_prefix("10.1.2.0/24");
    struct policy_route r = {.prefix = &prefix, .attr = a, .from = t.a, .source = POLICY_SOURCE_LEARNED};
    struct policy_result out;
    CU_ASSERT_EQUAL(policy_apply(t.c->policies[0], t.in, &r, &out), 0);
    CU_ASSERT_EQUAL_FATAL(out.accepted, true);
    CU_ASSERT_EQUAL(out.attr->path_len, 266);
    CU_ASSERT_EQUAL(out.attr->part_len[PART_AS_PATH], sizeof path + 2 + 4 * 16);
    attr_unref(t.x.attrs, a);
    teardown(&t);
}

static void policies_are_compared_by_what_they_do(void)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"[{then: accept}]", "[{match: {}, then: accept}]", true},
        {"[{then: accept}]", "[{then: reject}]", false},
        {"[{then: accept}]", "[{then: accept}, {then: accept}]", false},
        {"[{match: {prefix: 10.0.0.0/8}, then: accept}]",
         "[{match: {prefix: [10.0.0.0/8 le 8]}, then: accept}]", true},
        {"[{match: {prefix: \"@pods\"}, then: accept}]",
         "[{match: {prefix: [10.244.0.0/16 le 24, \"fd00::/16 le 64\"]}, then: accept}]", true},
        {"[{match: {peer: tor}, then: accept}]", "[{match: {peer: 10.0.0.1}, then: accept}]", true},
        {"[{match: {peer: tor}, then: accept}]", "[{match: {peer: 10.0.0.2}, then: accept}]", false},
        {"[{match: {as-path: a}, then: accept}]", "[{match: {as-path: b}, then: accept}]", false},
        {"[{set: {med: 0}, then: accept}]", "[{set: {med: none}, then: accept}]", false},
        {"[{set: {med: 0}, then: accept}]", "[{then: accept}]", false},
        {"[{set: {local-pref: 1}, then: next}]", "[{set: {local-pref: 2}, then: next}]", false},
        {"[{set: {prepend: 1}, then: next}]", "[{set: {prepend: 2}, then: next}]", false},
        {"[{set: {weight: 1}, then: next}]", "[{set: {weight: 2}, then: next}]", false},
        {"[{set: {next-hop: self}, then: next}]", "[{set: {next-hop: 10.0.0.1}, then: next}]", false},
        {"[{set: {community-add: \"1:1\"}, then: next}]", "[{set: {community-remove: \"1:1\"}, then: next}]",
         false},
        {"[{set: {community-remove: \"1:1\"}, then: next}]",
         "[{set: {community-remove: \"1:*\"}, then: next}]", false},
        {"[{set: {community-replace: \"1:1\"}, then: next}]", "[{set: {community-add: \"1:1\"}, then: next}]",
         false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench x, y;
        setup(&x, rows[i].a);
        setup(&y, rows[i].b);
        CU_ASSERT_EQUAL(policy_equal(x.c->policies[0], y.c->policies[0]), rows[i].equal);
        if (policy_equal(x.c->policies[0], y.c->policies[0]) != rows[i].equal)
            fprintf(stderr, "      %s and %s\n", rows[i].a, rows[i].b);
        teardown(&x);
        teardown(&y);
    }
}

/* What is printed loads to policies that do the same. */
static void printed_policies_load_again(void)
{
    struct config_errors e = {0};
    struct config *c, *again;
    char *text = NULL;
    c = load(
        "policies:\n"
        "  a: [{match: {prefix: [\"@pods\", 10.0.0.0/8 ge 9], community: [\"@bad\", \"rt:1:*\"], as-path: "
        "\"^65001_[0-9]{2}\\\\(\", peer: tor, next-hop: [10.0.0.1, 10.1.0.0/16], family: ipv4, origin: igp, "
        "source: [vip, learned]}, set: {local-pref: 1, med: none, origin: egp, next-hop: self, "
        "community-add: [\"1:1\", no-export], community-remove: [\"*:*\", \"lb:*\", \"1:*:3\"], "
        "community-replace: \"soo:10.0.0.1:7\", prepend: 2, weight: 3}, then: next}, {then: accept}]\n"
        "  b: []\n  c: [{set: {med: 0, next-hop: 10.9.9.9}, then: accept}]\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    text = config_print(c);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    config_load("printed", text, strlen(text), NULL, &e, &again);
    if (e.n)
        fprintf(stderr, "      %s\n%s", e.list[0].text, text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    CU_ASSERT_EQUAL_FATAL(again->n_policies, 3);
    for (unsigned i = 0; i < 3; i++)
        CU_ASSERT_TRUE(policy_equal(c->policies[i], again->policies[i]));
    char *text2 = config_print(again);
    CU_ASSERT_STRING_EQUAL(text, text2);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "@pods")); /* as written */
    free(text);
    free(text2);
    config_free(c);
    config_free(again);
}

/* A peer whose policy does something else is judged or served again, nobody else, and nobody is reset. */
static void a_reload_touches_those_whose_policy_changed(void)
{
    static const struct {
        const char *a, *b;
        unsigned changes; /* of the only peer that differs, 0: none does */
    } rows[] = {
        {"policies: {p: [{then: accept}], q: [{then: reject}]}", "policies: {p: [{then: accept}], q: []}", 0},
        {"policies: {p: [{then: accept}]}", "policies: {p: [{match: {}, then: accept}]}", 0},
        {"policies: {p: [{then: accept}]}", "policies: {p: [{then: reject}]}",
         PEER_DIFF_REIMPORT | PEER_DIFF_REEXPORT},
        {"policies: {p: [{then: accept}]}", "policies: {p: [{set: {med: 1}, then: accept}]}",
         PEER_DIFF_REIMPORT | PEER_DIFF_REEXPORT},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config *c[2];
        for (int k = 0; k < 2; k++) {
            char text[600];
            struct config_errors e = {0};
            snprintf(text, sizeof text,
                     "router: {asn: 64512}\npeers:\n  - {address: 10.0.0.1, asn: 1, import: p, export: p}\n"
                     "  - {address: 10.0.0.2, asn: 2}\n%s\n",
                     k ? rows[i].b : rows[i].a);
            config_load("f", text, strlen(text), NULL, &e, &c[k]);
            CU_ASSERT_PTR_NOT_NULL_FATAL(c[k]);
        }
        struct config_diff d;
        CU_ASSERT_EQUAL(config_diff(c[0], c[1], &d), 0);
        CU_ASSERT_EQUAL(d.n_peers, rows[i].changes != 0);
        if (d.n_peers)
            CU_ASSERT_EQUAL(d.peers[0].changes, rows[i].changes);
        CU_ASSERT_STRING_EQUAL(d.restart, "");
        config_diff_reset(&d);
        config_free(c[0]);
        config_free(c[1]);
    }
}

static const struct unit_case cases[] = {
    UNIT(every_condition_holds_and_fails_as_the_manual_says),
    UNIT(every_change_is_made),
    UNIT(the_first_rule_that_decides_wins_and_none_rejects),
    UNIT(an_empty_policy_rejects_everything),
    UNIT(next_keeps_what_was_set_and_later_rules_see_it),
    UNIT(on_export_own_as_is_prepended_and_nothing_of_others_leaks),
    UNIT(an_exported_next_hop_is_matched_as_it_was_until_it_is_set),
    UNIT(results_are_remembered_by_what_they_depend_on),
    UNIT(results_are_of_the_peer_that_it_was),
    UNIT(graceful_shutdown_stays_the_last_choice),
    UNIT(many_attributes_pass_through_few_slots),
    UNIT(an_endless_path_is_rejected),
    UNIT(prepending_goes_over_to_a_new_segment),
    UNIT(policies_are_compared_by_what_they_do),
    UNIT(printed_policies_load_again),
    UNIT(a_reload_touches_those_whose_policy_changed),
};
UNIT_MAIN("policy", cases)
