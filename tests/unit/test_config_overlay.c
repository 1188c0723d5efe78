/* Annotations of the node over the file that all nodes share. How the API server is reached does not matter
 * here. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "config_overlay.h"
#include "fake_kube_access.h"
#include "unit.h"

static char files_read[256];

static int read_file(void *arg, const char *path, char *buf, size_t size, size_t *len)
{
    (void)arg, (void)size;
    size_t n = strlen(files_read);
    snprintf(files_read + n, sizeof files_read - n, "%s ", path);
    memcpy(buf, "secret", 6);
    *len = 6;
    return 0;
}

/* Annotations by pairs of name and text, a NULL name at the end. */
struct note {
    const char *name, *text;
};
#define NOTES(...)                                                                                           \
    (const struct note[])                                                                                    \
    {                                                                                                        \
        __VA_ARGS__ __VA_OPT__(, )                                                                           \
        {                                                                                                    \
            NULL, NULL                                                                                       \
        }                                                                                                    \
    }

static struct config_overlay *overlay_of(const struct note *notes)
{
    char *text[KUBE_ANNOTATION_COUNT] = {NULL};
    for (; notes->name; notes++)
        for (unsigned i = 0; i < KUBE_ANNOTATION_COUNT; i++)
            if (!strcmp(notes->name, kube_annotation_names[i]))
                text[i] = (char *)(uintptr_t)notes->text;
    struct config_overlay *o = config_overlay_new(text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    return o;
}

static struct config *load(const char *file, const struct note *notes, char **errors)
{
    struct config_overlay *o = overlay_of(notes);
    const struct config_files files = {.read = read_file, .overlay = o};
    struct config_errors e = {0};
    struct config *c = NULL;
    *files_read = 0;
    int err = config_load("f", file, strlen(file), &files, &e, &c);
    CU_ASSERT_EQUAL(err, c ? 0 : -EINVAL);
    *errors = config_errors_text(&e);
    config_errors_reset(&e);
    config_overlay_free(o);
    return c;
}

static struct config *good(const char *file, const struct note *notes)
{
    char *errors;
    struct config *c = load(file, notes, &errors);
    if (!c)
        fprintf(stderr, "      %s", errors);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    free(errors);
    return c;
}

static void says(const char *file, const struct note *notes, const char *expected)
{
    char *errors;
    struct config *c = load(file, notes, &errors);
    CU_ASSERT_PTR_NULL(c);
    if (strcmp(errors, expected) != 0) {
        fprintf(stderr, "      %s", errors);
        CU_FAIL("error");
    }
    free(errors);
    config_free(c);
}

static const char shared[] = "router: {port: 1790}\n"
                             "peer-templates:\n"
                             "  tor: {asn: 65000, hold-time: 9s, password-file: /etc/tor}\n"
                             "  spine: {asn: 65100}\n"
                             "advertise: {kubernetes: {node: n, peer-template: tor}}\n";
static const char shared_by_kube_router[] = "advertise: {kubernetes: {node: n, compat: kube-router}}\n";

static void annotations_give_asn_id_and_peers(void)
{
    struct config *c =
        good(shared, NOTES({"underlay.io/asn", " 65007 "}, {"underlay.io/router-id", "10.0.0.7"},
                           {"underlay.io/peers", "10.0.1.1, fd00::1\t10.0.1.2"}));
    CU_ASSERT_TRUE(c->router.asn == 65007 && c->router.id == 0x0a000007 && c->router.port == 1790);
    CU_ASSERT_EQUAL_FATAL(c->n_peers, 3);
    for (unsigned i = 0; i < 3; i++)
        CU_ASSERT_TRUE(c->peers[i].asn == 65000 && c->peers[i].hold_time_ms == 9000 &&
                       c->peers[i].local_asn == 65007 && !strcmp(c->peers[i].password, "secret"));
    CU_ASSERT_TRUE(c->peers[1].address.af == AF_INET6 && c->peers[2].address.b[3] == 2);
    config_free(c);
}

static void peers_may_be_a_list_as_in_the_file(void)
{
    static const char *const texts[] = {"[{\"address\":\"10.0.1.1\",\"template\":\"spine\",\"hold-time\":"
                                        "\"30s\"},{\"interface\":\"eth1\",\"asn\":\"external\"},"
                                        "\"10.0.1.2\"]",
                                        "  - address: 10.0.1.1\n    template: spine\n    hold-time: 30s\n  - "
                                        "{interface: eth1, asn: external}\n"
                                        "  - 10.0.1.2\n"};
    for (unsigned i = 0; i < 2; i++) {
        struct config *c = good(shared, NOTES({"underlay.io/asn", "65007"}, {"underlay.io/peers", texts[i]}));
        CU_ASSERT_EQUAL_FATAL(c->n_peers, 3);
        CU_ASSERT_TRUE(c->peers[0].asn == 65100 && c->peers[0].hold_time_ms == 30000);
        CU_ASSERT_TRUE(c->peers[1].kind == PEER_BY_INTERFACE && !strcmp(c->peers[1].interface, "eth1"));
        CU_ASSERT_TRUE(c->peers[2].address.b[3] == 2 && c->peers[2].asn == 65000);
        config_free(c);
    }
    struct config *c = good(shared, NOTES({"underlay.io/asn", "65007"}, {"underlay.io/peers", "[]"}));
    CU_ASSERT_EQUAL(c->n_peers, 0);
    config_free(c);
}

static void they_win_over_the_router_of_the_file_and_add_to_its_peers(void)
{
    static const char file[] = "router: &r {asn: 65001, id: 10.0.0.1}\n"
                               "peers: [{address: 10.0.1.9, asn: 65000}, {address: 10.0.1.1, asn: 65009}]\n"
                               "advertise: {kubernetes: {node: n}}\n";
    struct config *c = good(file, NOTES({"underlay.io/asn", "65007"},
                                        {"underlay.io/peers", "[{address: 10.0.1.1, asn: 65000},"
                                                              " {address: 10.0.1.2, asn: 65000}]"}));
    CU_ASSERT_TRUE(c->router.asn == 65007 && c->router.id == 0x0a000001);
    CU_ASSERT_EQUAL_FATAL(c->n_peers, 3);
    CU_ASSERT_TRUE(c->peers[1].asn == 65009); /* the file's */
    CU_ASSERT_TRUE(c->peers[2].address.b[3] == 2);
    config_free(c);
}

static void without_asn_there_are_no_peers(void)
{
    static const char file[] = "peers: [{address: 10.0.1.9, asn: 65000}]\n"
                               "advertise: {kubernetes: true}\n";
    struct config *c = good(file, NOTES({"underlay.io/router-id", "10.0.0.7"}));
    CU_ASSERT_TRUE(c->router.asn == 0 && c->n_peers == 0 && c->router.id == 0x0a000007);
    char *printed = config_print(c), *errors;
    struct config *again = load(printed, NOTES(), &errors);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    CU_ASSERT_EQUAL(again->router.asn, 0);
    config_free(again);
    config_free(c);
    free(printed);
    free(errors);
    c = good(file, NOTES({"underlay.io/asn", "65007"}));
    CU_ASSERT_TRUE(c->router.asn == 65007 && c->n_peers == 1);
    config_free(c);
}

static void kube_routers_count_only_when_wanted_and_where_ours_are_missing(void)
{
    const struct note *notes =
        NOTES({"kube-router.io/node.asn", "65007"}, {"kube-router.io/peer.ips", "10.0.1.1,fd00::1"},
              {"kube-router.io/peer.asns", "65000,65001"}, {"kube-router.io/peer.ports", "1179"});
    struct config *c = good(shared_by_kube_router, notes);
    CU_ASSERT_EQUAL(c->router.asn, 65007);
    CU_ASSERT_EQUAL_FATAL(c->n_peers, 2);
    CU_ASSERT_TRUE(c->peers[0].asn == 65000 && c->peers[1].asn == 65001);
    CU_ASSERT_TRUE(c->peers[0].port == 1179 && c->peers[1].port == 1179);
    config_free(c);
    c = good(shared, notes);
    CU_ASSERT_TRUE(c->router.asn == 0 && c->n_peers == 0);
    config_free(c);
    c = good(shared_by_kube_router,
             NOTES({"kube-router.io/node.asn", "65007"}, {"kube-router.io/peer.ips", "10.0.1.1"},
                   {"kube-router.io/peer.asns", "65000"}, {"underlay.io/asn", "65008"},
                   {"underlay.io/peers", "[{address: 10.0.1.2, asn: 65003}]"}));
    CU_ASSERT_EQUAL(c->router.asn, 65008);
    CU_ASSERT_EQUAL_FATAL(c->n_peers, 1);
    CU_ASSERT_EQUAL(c->peers[0].asn, 65003);
    config_free(c);
}

static void nothing_is_taken_where_the_configuration_does_not_want_it(void)
{
    static const char *const files[] = {
        "router: {asn: 65001}\n", "router: {asn: 65001}\nadvertise: {kubernetes: off}\n",
        "router: {asn: 65001}\nadvertise: {kubernetes: {node-annotations: false}}\n"};
    for (unsigned i = 0; i < 3; i++) {
        struct config *c = good(files[i], NOTES({"underlay.io/asn", "65007"}, {"underlay.io/peers", "junk"}));
        CU_ASSERT_TRUE(c->router.asn == 65001 && c->n_peers == 0);
        config_free(c);
    }
    says("advertise: {kubernetes: {node-annotations: false}}\n", NOTES({"underlay.io/asn", "65007"}),
         "f:1:1: router: missing; this section is required here\n");
}

static void errors_name_the_annotation(void)
{
    const struct {
        const struct note *notes;
        const char *said;
    } rows[] = {
        {NOTES({"underlay.io/asn", "many"}),
         "annotation underlay.io/asn: `many` is not an AS number; 64512 and 1.10 are\n"},
        {NOTES({"underlay.io/asn", "65007"}, {"underlay.io/router-id", "::1"}),
         "annotation underlay.io/router-id: `::1` is not a router id; write it as an IPv4 address other than "
         "0.0.0.0\n"},
        {NOTES({"underlay.io/peers", "10.0.1.1,tor1"}),
         "annotation underlay.io/peers: [1].address: `tor1` is not an IPv4 or IPv6 address\n"},
        {NOTES({"underlay.io/peers", "[{address: 10.0.1.1, asn: x}]"}),
         "annotation underlay.io/peers: [0].asn: `x` is not an AS number, external or internal\n"},
        {NOTES({"underlay.io/peers", "[{address: 10.0.1.1, asn: 65000, bfd: {interval: 1h}}]"}),
         "annotation underlay.io/peers: [0].bfd.interval: 1h is out of range; 10ms to 1m\n"},
        {NOTES({"underlay.io/peers", "[{address: 10.0.1.1, template: x}]"}),
         "annotation underlay.io/peers: [0].asn: missing; an AS number, external or internal is required "
         "here\n"
         "annotation underlay.io/peers: [0].template: no template `x` in peer-templates; add it there\n"},
        {NOTES({"underlay.io/peers", "[{address: 10.0.1.1, adress: 1, asn: 65000}]"}),
         "annotation underlay.io/peers: [0]: unknown key `adress`; did you mean `address`?\n"},
        {NOTES({"underlay.io/peers", "[{asn: 65000}]"}),
         "annotation underlay.io/peers: [0].address: missing; an address, interface or range is required "
         "here\n"},
        {NOTES({"underlay.io/peers", "[[10.0.1.1]]"}),
         "annotation underlay.io/peers: [0]: expected a mapping of keys, not a list\n"},
        {NOTES({"underlay.io/peers", "[{address: 10.0.1.1, asn: 65000, password-file: /etc/shadow}]"}),
         "annotation underlay.io/peers: [0].password-file: files are named in the configuration alone; put "
         "it into "
         "a template there\n"},
        {NOTES({"underlay.io/peers", "10.0.1.1 10.0.1.1"}),
         "annotation underlay.io/peers: [1]: is the same peer as [0]; keep one\n"},
        {NOTES({"underlay.io/peers", "[{address"}), "annotation underlay.io/peers:2:1: YAML syntax: did not "
                                                    "find expected ',' or '}' (while parsing a flow "
                                                    "mapping from line 1)\n"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        says(shared, rows[i].notes, rows[i].said);
    says("router: {asn: 65007}\nadvertise: {kubernetes: true}\n", NOTES({"underlay.io/peers", "10.0.1.1"}),
         "annotation underlay.io/peers: names a peer by its address alone, but the configuration does not "
         "say what "
         "such peers are: set advertise.kubernetes.peer-template\n");
}

static void errors_name_kube_routers_annotation_too(void)
{
    static const struct note ips = {"kube-router.io/peer.ips", "10.0.1.1,10.0.1.2"};
    says(shared_by_kube_router, NOTES({"kube-router.io/node.asn", "-1"}),
         "annotation kube-router.io/node.asn: `-1` is not an AS number; 64512 and 1.10 are\n");
    says(shared_by_kube_router, NOTES(ips, {"kube-router.io/peer.asns", "65000,65001,65002"}),
         "annotation kube-router.io/peer.asns: has 3 elements, but kube-router.io/peer.ips has 2; give one "
         "for all, "
         "or one each\n");
    says(shared_by_kube_router, NOTES(ips, {"kube-router.io/peer.asns", "65000,x"}),
         "annotation kube-router.io/peer.asns: [1].asn: `x` is not an AS number, external or internal\n");
    says(shared_by_kube_router,
         NOTES(ips, {"kube-router.io/peer.asns", "65000"}, {"kube-router.io/peer.ports", "0"}),
         "annotation kube-router.io/peer.ports: [0].port: 0 is out of range; 1 to 65535\n"
         "annotation kube-router.io/peer.ports: [1].port: 0 is out of range; 1 to 65535\n");
    says(shared_by_kube_router, NOTES({"kube-router.io/peer.ips", "10.0.1.1"}),
         "annotation kube-router.io/peer.ips: [0].asn: missing; an AS number, external or internal is "
         "required here\n");
}

/* An error of the file is told as ever, and before. */
static void errors_of_the_file_keep_their_place(void)
{
    says("router: {port: x}\npeers: [{address: y, asn: 65000}]\nadvertise: {kubernetes: true}\n",
         NOTES({"underlay.io/asn", "z"}, {"underlay.io/peers", "[{address: 10.0.1.1, asn: q}]"}),
         "f:1:16: router.port: `x` is not a number; 1 to 65535\n"
         "f:2:19: peers[0].address: `y` is not an IPv4 or IPv6 address\n"
         "annotation underlay.io/asn: `z` is not an AS number; 64512 and 1.10 are\n"
         "annotation underlay.io/peers: [0].asn: `q` is not an AS number, external or internal\n");
}

static void there_is_a_bound(void)
{
    char text[300 * 12] = "";
    for (unsigned i = 0; i < 257; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "10.1.%u.%u,", i / 250, i % 250 + 1);
    says(shared, NOTES({"underlay.io/peers", text}), "annotation underlay.io/peers: more than 256 peers\n");
    says("advertise: {kubernetes: {compat: kube-router}}\n",
         NOTES({"kube-router.io/peer.ips", text}, {"kube-router.io/peer.asns", text}),
         "annotation kube-router.io/peer.ips: more than 256 peers\n");
}

/* The parent learns at the start which files there are; a peer by annotation comes later. */
static void password_files_of_templates_are_known_in_advance(void)
{
    struct config *c = good(shared, NOTES());
    CU_ASSERT_STRING_EQUAL(files_read, "/etc/tor ");
    config_free(c);
    c = good("router: {asn: 65001}\npeer-templates: {tor: {asn: 65000, password-file: /etc/tor}}\n", NOTES());
    CU_ASSERT_STRING_EQUAL(files_read, "");
    config_free(c);
}

/* Whoever may write annotations finds no way to hurt. */
static void garbage_never_crashes(void)
{
    static const char alphabet[] = "[]{},:-&*!|>'\"#%@`$ \n\t\\10.af<";
    unsigned seed = 4711;
    for (unsigned i = 0; i < 20000; i++) {
        char text[4][24], *errors;
        for (unsigned k = 0; k < 4; k++) {
            unsigned n = (seed = seed * 1103515245 + 12345) >> 16 & 15;
            for (unsigned b = 0; b < n; b++)
                text[k][b] = alphabet[((seed = seed * 1103515245 + 12345) >> 16) % (sizeof alphabet - 1)];
            text[k][n] = 0;
        }
        struct config *c =
            load(i % 2 ? shared_by_kube_router : shared,
                 NOTES({"underlay.io/asn", text[0]}, {"underlay.io/peers", i % 4 ? text[1] : NULL},
                       {"kube-router.io/peer.ips", text[2]}, {"kube-router.io/peer.asns", text[3]}),
                 &errors);
        free(errors);
        config_free(c);
    }
}

static void overlays_are_compared_by_their_text(void)
{
    struct config_overlay *a = overlay_of(NOTES({"underlay.io/asn", "65007"})),
                          *b = overlay_of(NOTES({"underlay.io/asn", "65007"}, {"underlay.io/peers", ""})),
                          *c = overlay_of(NOTES({"underlay.io/peers", "65007"})), *none = overlay_of(NOTES());
    CU_ASSERT_TRUE(config_overlay_equal(a, b));
    CU_ASSERT_FALSE(config_overlay_equal(a, c));
    CU_ASSERT_FALSE(config_overlay_equal(a, NULL));
    CU_ASSERT_TRUE(config_overlay_equal(none, NULL));
    config_overlay_free(a);
    config_overlay_free(b);
    config_overlay_free(c);
    config_overlay_free(none);
}

static const struct unit_case cases[] = {
    UNIT(annotations_give_asn_id_and_peers),
    UNIT(peers_may_be_a_list_as_in_the_file),
    UNIT(they_win_over_the_router_of_the_file_and_add_to_its_peers),
    UNIT(without_asn_there_are_no_peers),
    UNIT(kube_routers_count_only_when_wanted_and_where_ours_are_missing),
    UNIT(nothing_is_taken_where_the_configuration_does_not_want_it),
    UNIT(errors_name_the_annotation),
    UNIT(errors_name_kube_routers_annotation_too),
    UNIT(errors_of_the_file_keep_their_place),
    UNIT(there_is_a_bound),
    UNIT(password_files_of_templates_are_known_in_advance),
    UNIT(garbage_never_crashes),
    UNIT(overlays_are_compared_by_their_text),
};
UNIT_MAIN("config_overlay", cases)
