#include <stdio.h>
#include <string.h>

#include "config.h"
#include "unit.h"

static struct config *load(const char *text)
{
    struct config_errors e = {0};
    struct config *c;
    CU_ASSERT_EQUAL(config_load("f", text, strlen(text), NULL, &e, &c), 0);
    if (e.n)
        fprintf(stderr, "      %s\n", e.list[0].text);
    config_errors_reset(&e);
    return c;
}

static void a_changed_peer_key_means_what_it_should(void)
{
    static const struct {
        const char *key, *before, *after;
        unsigned changes;
    } cases[] = {
        {"asn", "65001", "65002", PEER_DIFF_RESET},
        {"asn", "external", "65001", PEER_DIFF_RESET},
        {"asn", "internal", "64512", 0},
        {"description", "a", "b", PEER_DIFF_OTHER},
        {"port", "179", "180", PEER_DIFF_RESET},
        {"local-address", "10.0.1.2", "10.0.1.3", PEER_DIFF_RESET},
        {"passive", "false", "true", PEER_DIFF_OTHER},
        {"password", "one", "two", PEER_DIFF_RESET},
        {"password", "one", "one", 0},
        {"ttl-security", "1", "off", PEER_DIFF_RESET},
        {"multihop", "2", "3", PEER_DIFF_RESET},
        {"hold-time", "90s", "9s", PEER_DIFF_RESET},
        {"keepalive-time", "30s", "10s", PEER_DIFF_RESET},
        {"keepalive-time", "30s", "30000ms", 0},
        {"connect-retry-time", "5s", "6s", PEER_DIFF_OTHER},
        {"idle-hold-time", "1s", "2s", PEER_DIFF_OTHER},
        {"idle-hold-max", "60s", "2m", PEER_DIFF_OTHER},
        {"families", "[ipv4]", "[ipv4, ipv6]", PEER_DIFF_RESET},
        {"families", "[ipv6, ipv4]", "[ipv4, ipv6]", 0},
        {"extended-nexthop", "true", "false", PEER_DIFF_RESET},
        {"allow-own-as", "0", "1", PEER_DIFF_REIMPORT},
        {"add-path", "none", "none", 0},
        {"add-path", "receive", "both", PEER_DIFF_RESET},
        {"import", "all", "none", PEER_DIFF_REIMPORT},
        {"export", "all", "originated", PEER_DIFF_REEXPORT},
        {"max-prefixes", "off", "10", PEER_DIFF_OTHER},
        {"max-prefixes", "10", "{ipv4: 10, ipv6: 10}", 0},
        {"max-prefixes", "10", "{ipv4: 10, ipv6: 10, action: stop}", PEER_DIFF_OTHER},
        {"bfd", "off", "true", PEER_DIFF_OTHER},
        {"bfd", "true", "{interval: 300ms}", 0},
        {"bfd", "{multiplier: 4}", "off", PEER_DIFF_OTHER},
        {"bfd", "true", "{strict: true}", PEER_DIFF_OTHER},
        {"shutdown", "false", "true", PEER_DIFF_ADMIN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config *c[2];
        for (int k = 0; k < 2; k++) {
            char text[200];
            snprintf(text, sizeof text, "router: {asn: 64512}\npeers: [{address: 10.0.1.1, %s%s: %s}]\n",
                     strcmp(cases[i].key, "asn") ? "asn: 65001, " : "", cases[i].key,
                     k ? cases[i].after : cases[i].before);
            c[k] = load(text);
            CU_ASSERT_PTR_NOT_NULL_FATAL(c[k]);
        }
        struct config_diff d;
        CU_ASSERT_EQUAL(config_diff(c[0], c[1], &d), 0);
        CU_ASSERT_EQUAL(d.changes, cases[i].changes ? CONFIG_DIFF_PEERS : 0);
        CU_ASSERT_EQUAL(d.n_peers, cases[i].changes ? 1 : 0);
        if (d.n_peers == 1 && cases[i].changes) {
            CU_ASSERT_EQUAL(d.peers[0].changes, cases[i].changes);
            CU_ASSERT_STRING_EQUAL(d.peers[0].key, cases[i].key);
            CU_ASSERT_PTR_EQUAL(d.peers[0].before, &c[0]->peers[0]);
            CU_ASSERT_PTR_EQUAL(d.peers[0].after, &c[1]->peers[0]);
        }
        config_diff_reset(&d);
        config_free(c[0]);
        config_free(c[1]);
    }
}

static void the_key_that_forces_a_reset_is_named(void)
{
    struct config *a =
        load("router: {asn: 64512}\npeers: [{address: 10.0.1.1, asn: 65001, description: x}]\n");
    struct config *b =
        load("router: {asn: 64512}\npeers: [{address: 10.0.1.1, asn: 65001, hold-time: 9s}]\n");
    const char *key = NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    CU_ASSERT_EQUAL(peer_config_diff(a->peers, b->peers, &key), PEER_DIFF_RESET | PEER_DIFF_OTHER);
    CU_ASSERT_STRING_EQUAL(key, "hold-time");
    CU_ASSERT_EQUAL(peer_config_diff(a->peers, a->peers, NULL), 0);
    config_free(a);
    config_free(b);
}

/* A build that digests otherwise would reset every session that it takes over from the one before. */
static void digests_are_the_same_in_every_build(void)
{
    static const struct {
        const char *key;
        uint64_t digest;
    } known[] = {{"hold-time", 0x8b8e52184015c4ed},
                 {"password", 0xab23f0eec020c951},
                 {"families", 0x082f2207b4e88cc4}};
    struct config *c = load("router: {asn: 64512}\n"
                            "peers: [{address: 10.0.1.1, asn: 65001, password: secret, families: [ipv4]}]\n");
    const char *key;
    unsigned found = 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    for (unsigned i = 0;; i++) {
        uint64_t digest = peer_config_digest(c->peers, i, &key);
        if (!key)
            break;
        for (unsigned k = 0; k < sizeof known / sizeof *known; k++)
            if (!strcmp(known[k].key, key)) {
                CU_ASSERT_EQUAL(digest, known[k].digest);
                found++;
            }
    }
    CU_ASSERT_EQUAL(found, sizeof known / sizeof *known);
    config_free(c);
}

static void ranges_are_paired_by_their_prefix(void)
{
    struct config *a =
        load("router: {asn: 64512}\npeers: [{range: 10.0.0.0/8, asn: 1}, {range: 10.0.0.0/9, asn: 1}]\n");
    struct config *b = load("router: {asn: 64512}\npeers: [{range: 10.0.0.0/9, asn: 1, limit: 5}, {range: "
                            "\"fd00::/8\", asn: 1}]\n");
    struct config_diff d;
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    CU_ASSERT_EQUAL(config_diff(a, b, &d), 0);
    CU_ASSERT_EQUAL_FATAL(d.n_peers, 3);
    CU_ASSERT(d.peers[0].before == &a->peers[0] && !d.peers[0].after);
    CU_ASSERT(d.peers[1].before == &a->peers[1] && d.peers[1].after == &b->peers[0]);
    CU_ASSERT_EQUAL(d.peers[1].changes, PEER_DIFF_OTHER);
    CU_ASSERT_STRING_EQUAL(d.peers[1].key, "limit");
    CU_ASSERT(!d.peers[2].before && d.peers[2].after == &b->peers[1]);
    config_diff_reset(&d);
    config_free(a);
    config_free(b);
}

static void unnumbered_peers_are_paired_by_interface(void)
{
    struct config *a =
        load("router: {asn: 64512}\npeers: [{interface: eth0, asn: 1}, {interface: eth1, asn: 1}, "
             "{address: 10.0.1.1, asn: 1}]\n");
    struct config *b =
        load("router: {asn: 64512}\npeers: [{address: 10.0.1.1, asn: 1}, {interface: eth2, asn: 1}, "
             "{interface: eth1, asn: 2}]\n");
    struct config_diff d;
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    CU_ASSERT_EQUAL(a->peers[0].kind, PEER_BY_INTERFACE);
    CU_ASSERT_EQUAL(a->peers[2].kind, PEER_BY_ADDRESS);
    CU_ASSERT_EQUAL(config_diff(a, b, &d), 0);
    CU_ASSERT_EQUAL_FATAL(d.n_peers, 3);
    CU_ASSERT(d.peers[0].before == &a->peers[0] && !d.peers[0].after);
    CU_ASSERT(!d.peers[1].before && d.peers[1].after == &b->peers[1]);
    CU_ASSERT(d.peers[2].before == &a->peers[1] && d.peers[2].after == &b->peers[2]);
    config_diff_reset(&d);
    config_free(a);
    config_free(b);
}

static void peers_are_paired_by_address(void)
{
    struct config *a =
        load("router: {asn: 64512}\npeers: [{address: 10.0.1.3, asn: 1}, {address: 10.0.1.1, asn: 1}, "
             "{address: 10.0.1.2, asn: 1}]\n");
    struct config *b =
        load("router: {asn: 64512}\npeers: [{address: 10.0.1.2, asn: 2}, {address: \"fd00::9\", asn: 1}, "
             "{address: 10.0.1.1, asn: 1}]\n");
    struct config_diff d;
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    CU_ASSERT_EQUAL(config_diff(a, b, &d), 0);
    CU_ASSERT_EQUAL_FATAL(d.n_peers, 3);
    CU_ASSERT(d.peers[0].before == &a->peers[0] && !d.peers[0].after);
    CU_ASSERT(d.peers[1].before == &a->peers[2] && d.peers[1].after == &b->peers[0]);
    CU_ASSERT_EQUAL(d.peers[1].changes, PEER_DIFF_RESET);
    CU_ASSERT(!d.peers[2].before && d.peers[2].after == &b->peers[1]);
    config_diff_reset(&d);
    config_free(a);
    config_free(b);
}

static void changes_beside_the_peers_are_classified(void)
{
    static const struct {
        const char *text;
        unsigned changes;
        const char *restart;
    } cases[] = {
        {"router: {asn: 64512}", 0, ""},
        {"router: {asn: 64513}", CONFIG_DIFF_ASN, ""},
        {"router: {asn: 64512, id: 10.0.0.1}", CONFIG_DIFF_ID, ""},
        {"router: {asn: 64512, multipath: 2}", CONFIG_DIFF_DECISION, ""},
        {"router: {asn: 64512, multipath-as-path-relax: false}", CONFIG_DIFF_DECISION, ""},
        {"router: {asn: 64512, med: {always-compare: true}}", CONFIG_DIFF_DECISION, ""},
        {"router: {asn: 64512, med: {missing-as-worst: true}}", CONFIG_DIFF_DECISION, ""},
        {"router: {asn: 64512, med: {always-compare: false, missing-as-worst: false}}", 0, ""},
        {"router: {asn: 64512, listen: []}", CONFIG_DIFF_RESTART, "router.listen"},
        {"router: {asn: 64512, listen: [\"::\", 0.0.0.0]}", CONFIG_DIFF_RESTART, "router.listen"},
        {"router: {asn: 64512, port: 180}", CONFIG_DIFF_RESTART, "router.port"},
        {"router: {asn: 64512}\nfib: {metric: 21, prefsrc: {ipv6: \"fd00::1\"}}", CONFIG_DIFF_RESTART,
         "fib.metric, fib.prefsrc.ipv6"},
        {"router: {asn: 64512}\nfib: {install: false, table: 7, protocol: 88, accept-default: true}",
         CONFIG_DIFF_RESTART, "fib.install, fib.table, fib.protocol, fib.accept-default"},
        {"router: {asn: 64512}\ncontrol: {socket: /x, group: y}", CONFIG_DIFF_RESTART,
         "control.socket, control.group"},
        {"router: {asn: 64512}\nlog: {level: debug}", CONFIG_DIFF_LOG, ""},
        {"router: {asn: 64512}\nadvertise: {pod-cidrs: [10.1.0.0/24]}", CONFIG_DIFF_ADVERTISE, ""},
        {"router: {asn: 64512}\nadvertise: {interfaces: [lo]}", CONFIG_DIFF_ADVERTISE, ""},
        {"router: {asn: 64512}\nadvertise: {vips: [{prefix: 192.0.2.1/32}]}", CONFIG_DIFF_ADVERTISE, ""},
    };
    struct config *a = load("router: {asn: 64512}");
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config *b = load(cases[i].text);
        struct config_diff d;
        CU_ASSERT_PTR_NOT_NULL_FATAL(b);
        CU_ASSERT_EQUAL(config_diff(a, b, &d), 0);
        CU_ASSERT_EQUAL(d.changes, cases[i].changes);
        CU_ASSERT_STRING_EQUAL(d.restart, cases[i].restart);
        config_diff_reset(&d);
        config_free(b);
    }
    config_free(a);
}

static void a_changed_vip_is_seen(void)
{
    static const char *const vips[] = {"{prefix: 192.0.2.1/32}",
                                       "{prefix: 192.0.2.2/32}",
                                       "{prefix: 192.0.2.1/32, med: 0}",
                                       "{prefix: 192.0.2.1/32, med: 1}",
                                       "{prefix: 192.0.2.1/32, bind: lo}",
                                       "{prefix: 192.0.2.1/32, communities: [\"1:1\"]}",
                                       "{prefix: 192.0.2.1/32, communities: [\"1:1:1\"]}",
                                       "{prefix: 192.0.2.1/32, communities: [\"1:1:1\", \"1:1\"]}"};
    enum { N = sizeof vips / sizeof *vips };
    struct config *c[N];
    for (int i = 0; i < N; i++) {
        char text[200];
        snprintf(text, sizeof text, "router: {asn: 1}\nadvertise: {vips: [%s]}\n", vips[i]);
        c[i] = load(text);
        CU_ASSERT_PTR_NOT_NULL_FATAL(c[i]);
    }
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            struct config_diff d;
            CU_ASSERT_EQUAL(config_diff(c[i], c[j], &d), 0);
            CU_ASSERT_EQUAL(d.changes, i == j ? 0 : CONFIG_DIFF_ADVERTISE);
            config_diff_reset(&d);
        }
    }
    for (int i = 0; i < N; i++)
        config_free(c[i]);
}

static const struct unit_case cases[] = {
    UNIT(a_changed_peer_key_means_what_it_should), UNIT(the_key_that_forces_a_reset_is_named),
    UNIT(digests_are_the_same_in_every_build),     UNIT(peers_are_paired_by_address),
    UNIT(ranges_are_paired_by_their_prefix),       UNIT(unnumbered_peers_are_paired_by_interface),
    UNIT(changes_beside_the_peers_are_classified), UNIT(a_changed_vip_is_seen),
};
UNIT_MAIN("config_diff", cases)
