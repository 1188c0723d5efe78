/* Sources on a real RIB, with fakes for the FIB client: which prefixes are originated, with which attributes,
 * and when they go. */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fibclient.h"
#include "source/source.h"
#include "speaker.h"

static struct fib_link links[1];
static struct fib_address addresses[2];
static unsigned n_addresses;
static int bound;
static unsigned guard_changes;

const struct fib_link *fibclient_link_by_name(const struct fibclient *c, const char *name)
{
    (void)c;
    return strcmp(name, links[0].name) ? NULL : &links[0];
}
unsigned fibclient_addresses(const struct fibclient *c, const struct fib_address **out)
{
    (void)c;
    *out = addresses;
    return n_addresses;
}
bool fibclient_is_own(const struct fibclient *c, const struct ip_addr *a, uint32_t scope)
{
    (void)c, (void)scope;
    for (unsigned i = 0; i < n_addresses; i++)
        if (addr_equal(&addresses[i].addr, a))
            return true;
    return false;
}
int fibclient_bind(struct fibclient *c, const struct ip_addr *a, bool add)
{
    (void)c, (void)a;
    bound += add ? 1 : -1;
    return 0;
}
void speaker_own_prefixes_changed(struct speaker *s)
{
    (void)s;
    guard_changes++;
}

static struct speaker speaker;

static struct prefix px(const char *text)
{
    struct prefix p;
    CU_ASSERT_EQUAL_FATAL(prefix_parse(text, true, &p), 0);
    return p;
}

static void setup(void)
{
    static const struct rib_config rc = {.multipath = 16, .as_path_relax = true, .default_local_pref = 100};
    static const struct rib_hooks hooks = {0};
    static const struct nexthop_ops ops = {0};
    memset(&speaker, 0, sizeof speaker);
    links[0] = (struct fib_link){.ifindex = 1, .name = "lo"};
    n_addresses = 0;
    bound = 0;
    speaker.nexthops = nexthop_table_new(&ops, NULL);
    speaker.attrs = attr_table_new(speaker.nexthops);
    speaker.rib = rib_new(&rc, &hooks, NULL, speaker.attrs, speaker.nexthops);
    speaker.sources = sources_new(&speaker);
    CU_ASSERT_PTR_NOT_NULL_FATAL(speaker.sources);
}

static void teardown(void)
{
    sources_free(speaker.sources);
    rib_free(speaker.rib);
    CU_ASSERT_EQUAL(attr_table_count(speaker.attrs), 0);
    attr_table_free(speaker.attrs);
    nexthop_table_free(speaker.nexthops);
}

/* The attributes that p is originated with, or NULL. */
static const struct attr *originated(const char *text)
{
    struct prefix p = px(text);
    enum family f = addr_family(&p.addr);
    uint32_t i = rib_find(speaker.rib, f, &p);
    const struct rib_path *best = i ? rib_best(speaker.rib, rib_entry(speaker.rib, f, i)) : NULL;
    return best && best->peer == 0 ? rib_path_attr(speaker.rib, best) : NULL;
}

static void apply(const char *yaml)
{
    struct config_errors e = {0};
    struct config *c = NULL;
    struct config_files files = {.read = config_read_file};
    CU_ASSERT_EQUAL_FATAL(config_load("test", yaml, strlen(yaml), &files, &e, &c), 0);
    CU_ASSERT_EQUAL(sources_apply(speaker.sources, c), 0);
    config_errors_reset(&e);
    config_free(speaker.config);
    speaker.config = c;
}

#define BASE "router: {asn: 64512, id: 10.0.0.1}\n"

static void configuration_is_originated_and_withdrawn(void)
{
    setup();
    apply(BASE "advertise: {pod-cidrs: [10.244.1.0/24], vips: [{prefix: 192.0.2.1/32, med: 7, bind: lo}]}\n");
    CU_ASSERT_PTR_NOT_NULL(originated("10.244.1.0/24"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(originated("192.0.2.1/32"));
    CU_ASSERT_EQUAL(originated("192.0.2.1/32")->med, 7);
    CU_ASSERT_EQUAL(bound, 1);
    apply(BASE);
    CU_ASSERT_PTR_NULL(originated("10.244.1.0/24"));
    CU_ASSERT_PTR_NULL(originated("192.0.2.1/32"));
    CU_ASSERT_EQUAL(bound, 0);
    CU_ASSERT_EQUAL(sources_count(speaker.sources), 0);
    config_free(speaker.config);
    teardown();
}

static void a_drain_marks_everything_and_is_taken_back(void)
{
    const struct advertise_options o = {.communities = {0xfde80001}, .n_communities = 1};
    struct prefix by_command = px("192.0.2.2/32");
    setup();
    apply(BASE "advertise: {vips: [{prefix: 192.0.2.1/32, communities: ['65000:1']}]}\n");
    const struct attr *before = originated("192.0.2.1/32");
    CU_ASSERT_EQUAL(sources_drain(speaker.sources, DRAIN_SHUTDOWN), 0);
    const struct attr *a = originated("192.0.2.1/32");
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_TRUE(a->flags & ATTR_GRACEFUL_SHUTDOWN && a->flags & ATTR_DRAINING &&
                   !(a->flags & ATTR_WITHHELD));
    CU_ASSERT_TRUE(a->flags & ATTR_HAS_LOCAL_PREF && !a->local_pref);
    CU_ASSERT_TRUE(attr_has_community(a, 0xfde80001));
    /* What comes meanwhile is no better, nor after a reload. */
    CU_ASSERT_EQUAL(sources_advertise(speaker.sources, &by_command, &o), 0);
    apply(BASE "advertise: {pod-cidrs: [10.244.1.0/24], vips: [{prefix: 192.0.2.1/32, communities: "
               "['65000:1']}]}\n");
    CU_ASSERT_PTR_EQUAL(originated("192.0.2.2/32"), a);
    CU_ASSERT_TRUE(originated("10.244.1.0/24")->flags & ATTR_DRAINING);
    CU_ASSERT_EQUAL(sources_drain(speaker.sources, DRAIN_WITHDRAWN), 0);
    CU_ASSERT_TRUE(originated("192.0.2.1/32")->flags & ATTR_WITHHELD);
    CU_ASSERT_EQUAL(sources_own(speaker.sources, &by_command), IMPORT_OWN_ADDRESS);
    CU_ASSERT_EQUAL(sources_drain(speaker.sources, DRAIN_OFF), 0);
    CU_ASSERT_PTR_EQUAL(originated("192.0.2.1/32"), before);
    config_free(speaker.config);
    teardown();
}

static void reload_with_the_same_prefixes_changes_nothing(void)
{
    struct rib_stats before, after;
    setup();
    apply(BASE "advertise: {vips: [{prefix: 192.0.2.1/32, communities: ['65000:1']}]}\n");
    rib_stats(speaker.rib, &before);
    apply(BASE "advertise: {vips: [{prefix: 192.0.2.1/32, communities: ['65000:1']}]}\n");
    rib_stats(speaker.rib, &after);
    CU_ASSERT_EQUAL(before.version, after.version);
    config_free(speaker.config);
    teardown();
}

static void interface_addresses_come_and_go(void)
{
    setup();
    addresses[0] = (struct fib_address){.ifindex = 1, .addr = px("10.0.0.11").addr, .len = 32};
    addresses[1] = (struct fib_address){.ifindex = 1, .addr = px("127.0.0.1").addr, .len = 8};
    n_addresses = 2;
    apply(BASE "advertise: {interfaces: [lo]}\n");
    CU_ASSERT_PTR_NOT_NULL(originated("10.0.0.11/32"));
    CU_ASSERT_PTR_NULL(originated("127.0.0.1/32"));
    n_addresses = 0;
    sources_addresses_changed(speaker.sources);
    CU_ASSERT_PTR_NULL(originated("10.0.0.11/32"));
    config_free(speaker.config);
    teardown();
}

static void cli_and_configuration_share_a_prefix(void)
{
    struct advertise_options o = {.communities = {65536000u}, .n_communities = 1, .has_med = true, .med = 9};
    struct prefix p = px("192.0.2.1/32");
    setup();
    apply(BASE "advertise: {vips: [{prefix: 192.0.2.1/32, med: 7}]}\n");
    CU_ASSERT_EQUAL(sources_withdraw(speaker.sources, &p), -EBUSY);
    CU_ASSERT_EQUAL(sources_advertise(speaker.sources, &p, &o), 0);
    CU_ASSERT_EQUAL(originated("192.0.2.1/32")->med, 9);
    CU_ASSERT_EQUAL(sources_withdraw(speaker.sources, &p), 0);
    CU_ASSERT_EQUAL(originated("192.0.2.1/32")->med, 7);
    p = px("192.0.2.99/32");
    CU_ASSERT_EQUAL(sources_withdraw(speaker.sources, &p), -ENOENT);
    config_free(speaker.config);
    teardown();
}

static void keep_line(void *arg, const char *line)
{
    strcat(arg, line);
    strcat(arg, "\n");
}

static void commands_say_what_was_advertised(void)
{
    struct advertise_options o = {.communities = {(65000u << 16) | 100, 65000u << 16},
                                  .n_communities = 2,
                                  .large = {{65000, 1, 2}},
                                  .n_large = 1,
                                  .has_med = true,
                                  .med = 5};
    struct prefix p = px("fd00::1/128"), martian = px("127.0.0.1/32"), any = px("0.0.0.0/0");
    char text[1024] = "";
    setup();
    CU_ASSERT_EQUAL(sources_advertise(speaker.sources, &p, &o), 0);
    CU_ASSERT_EQUAL(sources_advertise(speaker.sources, &martian, &o), -EINVAL);
    CU_ASSERT_EQUAL(sources_advertise(speaker.sources, &any, &o), -EINVAL);
    sources_each_command(speaker.sources, keep_line, text);
    CU_ASSERT_STRING_EQUAL(
        text, "advertise fd00::1/128 community 65000:0 community 65000:100 community 65000:1:2 med 5\n");
    teardown();
}

static bool says(const struct attr *a, const char *text)
{
    char extended[128] = "";
    attr_format_extended(a, extended, sizeof extended);
    return !strcmp(extended, text);
}

static void a_weight_is_a_link_bandwidth_of_our_as(void)
{
    struct advertise_options o = {.weight = 1000000};
    struct prefix p = px("192.0.2.9/32");
    char text[256] = "";
    setup();
    apply(BASE "advertise: {vips: [{prefix: 192.0.2.1/32, weight: 3}, {prefix: 192.0.2.2/32}]}\n");
    CU_ASSERT_TRUE(says(originated("192.0.2.1/32"), "LB:64512:375000"));
    CU_ASSERT_TRUE(says(originated("192.0.2.2/32"), ""));
    CU_ASSERT_EQUAL(sources_advertise(speaker.sources, &p, &o), 0);
    CU_ASSERT_TRUE(says(originated("192.0.2.9/32"), "LB:64512:124999999488"));
    sources_each_command(speaker.sources, keep_line, text);
    CU_ASSERT_STRING_EQUAL(text, "advertise 192.0.2.9/32 weight 1000000\n");
    /* Live, and of another AS what commands said too. One of four octets does not fit. */
    apply(
        "router: {asn: 4200000000, id: 10.0.0.1}\nadvertise: {vips: [{prefix: 192.0.2.1/32, weight: 1}]}\n");
    CU_ASSERT_TRUE(says(originated("192.0.2.1/32"), "LB:23456:125000"));
    CU_ASSERT_TRUE(says(originated("192.0.2.9/32"), "LB:23456:124999999488"));
    apply(BASE "advertise: {vips: [{prefix: 192.0.2.1/32, weight: off}]}\n");
    CU_ASSERT_TRUE(says(originated("192.0.2.1/32"), ""));
    config_free(speaker.config);
    teardown();
}

static void own_prefixes_guard_the_import(void)
{
    static const struct {
        const char *prefix;
        enum import_reason reason;
    } cases[] = {
        {"10.244.1.0/24", IMPORT_OWN_POD_CIDR},
        {"10.244.1.128/25", IMPORT_OWN_POD_CIDR},
        {"10.244.0.0/16", IMPORT_OK},
        {"192.0.2.1/32", IMPORT_OWN_ADDRESS},
        {"192.0.2.0/24", IMPORT_OK},
        {"10.0.0.11/32", IMPORT_OWN_ADDRESS},
        {"10.0.0.12/32", IMPORT_OK},
    };
    setup();
    addresses[0] = (struct fib_address){.ifindex = 1, .addr = px("10.0.0.11").addr, .len = 32};
    n_addresses = 1;
    guard_changes = 0;
    apply(BASE "advertise: {pod-cidrs: [10.244.1.0/24], vips: [{prefix: 192.0.2.1/32}]}\n");
    CU_ASSERT(guard_changes > 0);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct prefix p = px(cases[i].prefix);
        CU_ASSERT_EQUAL(sources_own(speaker.sources, &p), cases[i].reason);
    }
    config_free(speaker.config);
    teardown();
}

static int import_own(void *arg, enum family f, const struct prefix *p, const struct attr **a,
                      const struct rib_peer *peer, bool judged)
{
    (void)arg, (void)f, (void)a, (void)peer, (void)judged;
    return (int)sources_own(speaker.sources, p);
}

static const struct rib_path *learned(const char *text)
{
    struct prefix p = px(text);
    uint32_t i = rib_find(speaker.rib, FAM_IPV4, &p);
    uint32_t path = i ? rib_entry(speaker.rib, FAM_IPV4, i)->paths : 0;
    for (; path; path = rib_path(speaker.rib, path)->next)
        if (rib_path(speaker.rib, path)->peer)
            return rib_path(speaker.rib, path);
    return NULL;
}

/* Services come and go many times a second, and the table may have a million routes. */
static void a_service_guards_its_prefix_and_costs_no_walk(void)
{
    static const struct rib_hooks hooks = {.import = import_own};
    struct advertise_options o = {0};
    struct ip_addr from = addr_v4(0x0a000002);
    struct prefix vip = px("192.0.2.1/32"), pods = px("10.244.1.0/24"), inside = px("10.244.1.0/25");
    setup();
    rib_free(speaker.rib);
    speaker.rib =
        rib_new(&(struct rib_config){.multipath = 1}, &hooks, NULL, speaker.attrs, speaker.nexthops);
    apply(BASE);
    struct rib_peer *peer = rib_peer_add(speaker.rib, false, &from, NULL);
    struct attr_build b = {.origin = ORIGIN_IGP};
    const struct attr *a = attr_intern(speaker.attrs, &b);
    CU_ASSERT_EQUAL(rib_update(speaker.rib, FAM_IPV4, &vip, peer, 0, a), 0);
    CU_ASSERT_EQUAL(rib_update(speaker.rib, FAM_IPV4, &inside, peer, 0, a), 0);
    attr_unref(speaker.attrs, a);
    while (rib_work(speaker.rib))
        ;
    guard_changes = 0;
    CU_ASSERT_EQUAL(learned("192.0.2.1/32")->reason, IMPORT_OK);
    CU_ASSERT_EQUAL(sources_set_kube(speaker.sources, &vip, SOURCE_KUBE_VIP, &o, false), 0);
    CU_ASSERT_EQUAL(learned("192.0.2.1/32")->reason, IMPORT_OWN_ADDRESS);
    CU_ASSERT_EQUAL(sources_advertise(speaker.sources, &vip, &o), 0);
    CU_ASSERT_EQUAL(sources_set_kube(speaker.sources, &vip, 0, NULL, false), 0);
    CU_ASSERT_EQUAL(learned("192.0.2.1/32")->reason, IMPORT_OWN_ADDRESS); /* of the command still */
    CU_ASSERT_EQUAL(sources_withdraw(speaker.sources, &vip), 0);
    CU_ASSERT_EQUAL(learned("192.0.2.1/32")->reason, IMPORT_OK);
    sources_kube_done(speaker.sources);
    CU_ASSERT(!rib_has_work(speaker.rib) && guard_changes == 0);
    CU_ASSERT_EQUAL(sources_set_kube(speaker.sources, &pods, SOURCE_KUBE_POD_CIDR, &o, false), 0);
    sources_kube_done(speaker.sources);
    CU_ASSERT_EQUAL(guard_changes, 1); /* what is inside of it takes a walk */
    rib_peer_remove(speaker.rib, peer);
    config_free(speaker.config);
    teardown();
}

static const struct unit_case cases[] = {
    UNIT(a_drain_marks_everything_and_is_taken_back),
    UNIT(configuration_is_originated_and_withdrawn),
    UNIT(reload_with_the_same_prefixes_changes_nothing),
    UNIT(interface_addresses_come_and_go),
    UNIT(cli_and_configuration_share_a_prefix),
    UNIT(commands_say_what_was_advertised),
    UNIT(own_prefixes_guard_the_import),
    UNIT(a_service_guards_its_prefix_and_costs_no_walk),
    UNIT(a_weight_is_a_link_bandwidth_of_our_as),
};
UNIT_MAIN("source", cases)
