/* The policy. Three times: the rows of the tables in underlay-kubernetes(7), which the manual must have word
 * by word; every combination of inputs against predicates that share no code with the rules; and single
 * behaviours by name. */
#include "kube/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rib/attr.h"
#include "unit.h"

static struct kube_service_vip vip_of(const char *text, enum kube_vip_kind kind)
{
    struct kube_service_vip v = {.kind = (uint8_t)kind};
    CU_ASSERT_EQUAL_FATAL(addr_parse(text, &v.addr), 0);
    return v;
}

/* Everything that the rules look at. */
struct world {
    struct config_kube config;
    struct kube_node_view node;
    struct kube_service service;
    struct kube_service_vip vip;
    struct kube_endpoints endpoints;
};
static struct kube_verdict judge(const struct world *w)
{
    return kube_rule(&w->config, &w->node, &w->service, &w->vip, &w->endpoints);
}

/* Advertised: one ready endpoint here, and nothing against it. */
static struct world good(enum kube_vip_kind kind, enum kube_vip_mode mode)
{
    struct world w = {.node.known = true,
                      .service = {.selected = true, .type = KUBE_SERVICE_LOAD_BALANCER},
                      .vip = vip_of("192.0.2.1", kind),
                      .endpoints = {.ready = 1, .ready_here = 1}};
    w.config.services.mode[kind] = mode;
    return w;
}

/* Every combination. An answer is right when address and reason fit together: the reason given is true, and
 * no reason that is asked for before it is. */
static bool holds(enum kube_reason r, const struct world *w)
{
    enum kube_vip_mode mode = w->config.services.mode[w->vip.kind];
    const struct kube_endpoints *e = &w->endpoints;
    bool follows_local = (w->vip.kind == KUBE_CLUSTER_IP && w->service.internal_local) ||
                         (w->vip.kind == KUBE_LOAD_BALANCER && w->service.external_local) ||
                         (w->vip.kind == KUBE_EXTERNAL_IP && w->service.external_local);
    bool needs_here = mode == KUBE_VIP_LOCAL || (mode == KUBE_VIP_AUTO && follows_local);
    bool served_here = e->ready_here > 0 || (e->ready == 0 && e->terminating_here > 0);
    switch (r) {
    case KUBE_WHY_OFF:
        return mode == KUBE_VIP_OFF;
    case KUBE_WHY_AGGREGATE:
        return mode == KUBE_VIP_AGGREGATE;
    case KUBE_WHY_UNUSABLE:
        return w->vip.addr.b[0] == 127 || w->vip.addr.b[0] == 0xff;
    case KUBE_WHY_TYPE:
        return w->service.type == KUBE_SERVICE_EXTERNAL_NAME;
    case KUBE_WHY_HEADLESS:
        return w->service.headless;
    case KUBE_WHY_SELECTOR:
        return !w->service.selected;
    case KUBE_WHY_CLASS:
        return w->service.wrong_class && w->vip.kind == KUBE_LOAD_BALANCER;
    case KUBE_WHY_NO_NODE:
        return !w->node.known;
    case KUBE_WHY_EXCLUDED:
        return w->node.excluded && (w->vip.kind == KUBE_LOAD_BALANCER || w->vip.kind == KUBE_EXTERNAL_IP);
    case KUBE_WHY_DRAINED:
        return w->node.drained;
    case KUBE_WHY_NO_ENDPOINT:
        return e->ready + e->terminating == 0;
    case KUBE_WHY_NO_LOCAL:
        return needs_here && !served_here && e->ready + e->terminating > 0;
    case KUBE_ADVERTISED:
    case KUBE_REASONS:
        break;
    }
    return false;
}

static bool right(const struct world *w, const struct kube_verdict *v)
{
    enum kube_vip_mode mode = w->config.services.mode[w->vip.kind];
    bool policy = w->vip.kind == KUBE_CLUSTER_IP ? w->service.internal_local : w->service.external_local;
    for (enum kube_reason r = KUBE_ADVERTISED + 1; r < KUBE_REASONS; r++)
        if (holds(r, w))
            return v->reason == r && !v->terminating && !v->weight;
    uint32_t here = w->endpoints.ready ? w->endpoints.ready_here : w->endpoints.terminating_here;
    bool weighed = w->config.services.weight_by_endpoints && (mode == KUBE_VIP_LOCAL || policy);
    return v->reason == KUBE_ADVERTISED && v->terminating == !w->endpoints.ready &&
           v->weight == (weighed ? here : 0);
}

/* Mixed radix: one digit for each input. */
static unsigned digit(unsigned *n, unsigned base)
{
    unsigned d = *n % base;
    *n /= base;
    return d;
}

static bool world_number(unsigned n, struct world *w)
{
    static const uint16_t few[] = {0, 1, 3};
    static struct ip_addr addresses[4];
    if (!addresses[0].af)
        for (unsigned i = 0; i < 4; i++)
            addresses[i] =
                vip_of((const char *[]){"192.0.2.1", "2001:db8::1", "127.0.0.1", "ff02::1"}[i], 0).addr;
    memset(w, 0, sizeof *w);
    w->vip.kind = (uint8_t)digit(&n, KUBE_VIP_KINDS);
    w->config.services.mode[w->vip.kind] = digit(&n, KUBE_VIP_AGGREGATE + 1);
    w->config.services.weight_by_endpoints = digit(&n, 2);
    w->vip.addr = addresses[digit(&n, 4)];
    w->service.type = (uint8_t)digit(&n, KUBE_SERVICE_EXTERNAL_NAME + 1);
    w->service.headless = digit(&n, 2);
    w->service.selected = digit(&n, 2);
    w->service.wrong_class = digit(&n, 2);
    w->service.external_local = digit(&n, 2);
    w->service.internal_local = digit(&n, 2);
    w->node.known = digit(&n, 2);
    w->node.excluded = digit(&n, 2);
    w->node.drained = digit(&n, 2);
    w->endpoints.ready_here = few[digit(&n, 3)];
    w->endpoints.ready = (uint16_t)(w->endpoints.ready_here + digit(&n, 2));
    w->endpoints.terminating_here = few[digit(&n, 3)];
    w->endpoints.terminating = (uint16_t)(w->endpoints.terminating_here + digit(&n, 2));
    return n == 0; /* else all have been */
}

static void every_combination_has_the_right_answer_and_reason(void)
{
    unsigned seen[KUBE_REASONS] = {0}, wrong = 0, n = 0;
    struct world w;
    for (; world_number(n, &w); n++) {
        struct kube_verdict v = judge(&w);
        seen[v.reason]++;
        if (!right(&w, &v) && wrong++ < 5)
            printf("combination %u: reason %d \"%s\" terminating %d weight %u\n", n, v.reason,
                   kube_reason_text(v.reason), v.terminating, v.weight);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    for (int r = 0; r < KUBE_REASONS; r++)
        CU_ASSERT(seen[r] > 0);
    printf("  %u combinations, %u of them advertised\n", n, seen[KUBE_ADVERTISED]);
}

/* The tables of the manual, word by word. */
static void is_off(struct world *w)
{
    w->config.services.mode[w->vip.kind] = KUBE_VIP_OFF;
}
static void is_aggregate(struct world *w)
{
    if (w->config.services.mode[w->vip.kind] != KUBE_VIP_OFF)
        w->config.services.mode[w->vip.kind] = KUBE_VIP_AGGREGATE;
}
static void is_martian(struct world *w)
{
    w->vip = vip_of("127.0.0.1", w->vip.kind);
}
static void is_external_name(struct world *w)
{
    w->service.type = KUBE_SERVICE_EXTERNAL_NAME;
}
static void is_headless(struct world *w)
{
    w->service.headless = true;
}
static void is_not_selected(struct world *w)
{
    w->service.selected = false;
}
static void is_of_other_class(struct world *w)
{
    w->service.wrong_class = true;
}
static void has_no_node(struct world *w)
{
    w->node.known = false;
}
static void is_excluded(struct world *w)
{
    w->node.excluded = true;
}
static void is_drained(struct world *w)
{
    w->node.drained = true;
}
static void has_no_endpoint(struct world *w)
{
    w->endpoints = (struct kube_endpoints){0};
}
static void has_none_here(struct world *w)
{
    if (w->endpoints.ready)
        w->endpoints = (struct kube_endpoints){.ready = 1};
}

static const struct {
    const char *row; /* of the manual */
    enum kube_reason reason;
    void (*make)(struct world *w);
} reasons[] = {
    {".It not configured Ta all Ta the mode off", KUBE_WHY_OFF, is_off},
    {".It service CIDR is advertised instead Ta all Ta the mode aggregate", KUBE_WHY_AGGREGATE, is_aggregate},
    {".It not routed between hosts Ta all Ta loopback, multicast ...", KUBE_WHY_UNUSABLE, is_martian},
    {".It type ExternalName Ta all Ta spec.type", KUBE_WHY_TYPE, is_external_name},
    {".It headless Ta all Ta clusterIP None or none", KUBE_WHY_HEADLESS, is_headless},
    {".It not chosen by the selector Ta all Ta services.selector", KUBE_WHY_SELECTOR, is_not_selected},
    {".It other load balancer class Ta lb Ta spec.loadBalancerClass", KUBE_WHY_CLASS, is_of_other_class},
    {".It no object of this node Ta all Ta no such Node", KUBE_WHY_NO_NODE, has_no_node},
    {".It exclude-from-external-load-balancers Ta lb, ext Ta a label of the Node", KUBE_WHY_EXCLUDED,
     is_excluded},
    {".It node is drained Ta all Ta the end of drain.grace", KUBE_WHY_DRAINED, is_drained},
    {".It no ready endpoint Ta all Ta none in the cluster", KUBE_WHY_NO_ENDPOINT, has_no_endpoint},
    {".It no ready endpoint on this node Ta all Ta none here, one needed", KUBE_WHY_NO_LOCAL, has_none_here},
};
enum { N_REASONS = sizeof reasons / sizeof *reasons };

/* Mode, traffic policy, where an endpoint is needed. */
static const char *const needs[] = {
    ".It local Ta Cluster Ta on this node",
    ".It local Ta Local Ta on this node",
    ".It auto Ta Cluster Ta anywhere",
    ".It auto Ta Local Ta on this node",
};

/* Whether there are ready endpoints here and elsewhere, and such that end and serve; what is then advertised
 * of addresses that need one here and anywhere. */
static const char *const counting[] = {
    ".It yes Ta - Ta - Ta - Ta yes Ta yes",   ".It no Ta yes Ta - Ta - Ta no Ta yes",
    ".It no Ta no Ta yes Ta - Ta yes Ta yes", ".It no Ta no Ta no Ta yes Ta no Ta yes",
    ".It no Ta no Ta no Ta no Ta no Ta no",
};

/* The cells of a row, up to so many. */
static void split(const char *row, char cells[][64], unsigned n)
{
    const char *at = row + strlen(".It ");
    for (unsigned i = 0; i < n; i++) {
        const char *end = strstr(at, " Ta ");
        size_t len = end ? (size_t)(end - at) : strlen(at);
        snprintf(cells[i], sizeof cells[i], "%.*s", (int)len, at);
        CU_ASSERT_EQUAL_FATAL(!end, i == n - 1);
        at = end ? end + strlen(" Ta ") : NULL;
    }
}

static bool concerns(const char *kinds, enum kube_vip_kind kind)
{
    static const char *const words[] = {"lb", "ext", "cluster"};
    return !strcmp(kinds, "all") || strstr(kinds, words[kind]);
}

static void manual_gives_the_reasons_and_their_order(void)
{
    char cells[3][64];
    CU_ASSERT_EQUAL(N_REASONS, KUBE_REASONS - 1);
    for (unsigned i = 0; i < N_REASONS; i++) {
        split(reasons[i].row, cells, 3);
        CU_ASSERT_STRING_EQUAL(cells[0], kube_reason_text(reasons[i].reason));
        for (enum kube_vip_kind kind = 0; kind < KUBE_VIP_KINDS; kind++) {
            struct world w = good(kind, KUBE_VIP_LOCAL);
            CU_ASSERT_EQUAL(judge(&w).reason, KUBE_ADVERTISED);
            reasons[i].make(&w);
            CU_ASSERT_EQUAL(judge(&w).reason, concerns(cells[1], kind) ? reasons[i].reason : KUBE_ADVERTISED);
            if (!concerns(cells[1], kind))
                continue;
            for (unsigned later = i + 1; later < N_REASONS; later++)
                reasons[later].make(&w);
            CU_ASSERT_EQUAL(judge(&w).reason, reasons[i].reason);
        }
    }
}

static void manual_gives_where_an_endpoint_is_needed(void)
{
    char cells[3][64];
    for (unsigned i = 0; i < sizeof needs / sizeof *needs; i++) {
        split(needs[i], cells, 3);
        for (enum kube_vip_kind kind = 0; kind < KUBE_VIP_KINDS; kind++) {
            struct world w = good(kind, strcmp(cells[0], "auto") ? KUBE_VIP_LOCAL : KUBE_VIP_AUTO);
            bool local = !strcmp(cells[1], "Local");
            /* The policy for the other kind of traffic is the opposite, and does not matter. */
            w.service.internal_local = (kind == KUBE_CLUSTER_IP) == local;
            w.service.external_local = (kind != KUBE_CLUSTER_IP) == local;
            w.endpoints = (struct kube_endpoints){.ready = 1};
            CU_ASSERT_EQUAL(judge(&w).reason,
                            strcmp(cells[2], "anywhere") ? KUBE_WHY_NO_LOCAL : KUBE_ADVERTISED);
        }
    }
}

/* Whether one of these counts is what a cell says. */
static bool is(const char *cell, unsigned n)
{
    return !strcmp(cell, "-") || !strcmp(cell, n ? "yes" : "no");
}

static void manual_gives_which_endpoints_count(void)
{
    char cells[6][64];
    for (unsigned n = 0; n < 16; n++) {
        unsigned rows = 0, counts[4] = {n & 1, n >> 1 & 1, n >> 2 & 1, n >> 3};
        struct world w = good(KUBE_LOAD_BALANCER, KUBE_VIP_AUTO);
        w.endpoints = (struct kube_endpoints){.ready_here = (uint16_t)counts[0],
                                              .ready = (uint16_t)(counts[0] + counts[1]),
                                              .terminating_here = (uint16_t)counts[2],
                                              .terminating = (uint16_t)(counts[2] + counts[3])};
        for (unsigned i = 0; i < sizeof counting / sizeof *counting; i++) {
            split(counting[i], cells, 6);
            if (!is(cells[0], counts[0]) || !is(cells[1], counts[1]) || !is(cells[2], counts[2]) ||
                !is(cells[3], counts[3]))
                continue;
            rows++;
            w.service.external_local = true;
            CU_ASSERT(is(cells[4], judge(&w).reason == KUBE_ADVERTISED));
            w.service.external_local = false;
            CU_ASSERT(is(cells[5], judge(&w).reason == KUBE_ADVERTISED));
            CU_ASSERT_EQUAL(judge(&w).terminating, n && !counts[0] && !counts[1]);
        }
        CU_ASSERT_EQUAL(rows, 1); /* each case is in one row */
    }
}

/* From the last one to the next, which must be a row. */
static const char *next_row(const char *at, const char *row)
{
    size_t len = strlen(row);
    CU_ASSERT_FATAL(!strncmp(at, row, len) && at[len] == '\n');
    return at + len + 1;
}

static const char *table(const char *manual, const char *first)
{
    const char *at = strstr(manual, first);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    return at;
}

static void manual_has_these_tables_and_no_other_rows(void)
{
    static char manual[65536];
    FILE *f = fopen("etc/man/underlay-kubernetes.7", "r");
    if (!f) {
        unit_skip("the manual is read from the top of the tree");
        return;
    }
    manual[fread(manual, 1, sizeof manual - 1, f)] = 0;
    fclose(f);
    const char *at = table(manual, reasons[0].row);
    for (unsigned i = 0; i < N_REASONS; i++)
        at = next_row(at, reasons[i].row);
    at = next_row(at, ".El");
    at = table(at, needs[0]);
    for (unsigned i = 0; i < sizeof needs / sizeof *needs; i++)
        at = next_row(at, needs[i]);
    at = next_row(at, ".El");
    at = table(at, counting[0]);
    for (unsigned i = 0; i < sizeof counting / sizeof *counting; i++)
        at = next_row(at, counting[i]);
    next_row(at, ".El");
}

static void weight_is_the_number_of_endpoints_that_count_here(void)
{
    struct world w = good(KUBE_LOAD_BALANCER, KUBE_VIP_AUTO);
    w.endpoints =
        (struct kube_endpoints){.ready_here = 3, .ready = 9, .terminating_here = 2, .terminating = 2};
    CU_ASSERT_EQUAL(judge(&w).weight, 0);
    w.config.services.weight_by_endpoints = true;
    CU_ASSERT_EQUAL(judge(&w).weight, 0); /* the traffic is for all nine */
    w.service.external_local = true;
    CU_ASSERT_EQUAL(judge(&w).weight, 3);
    w.service.external_local = false;
    w.config.services.mode[KUBE_LOAD_BALANCER] = KUBE_VIP_LOCAL;
    CU_ASSERT_EQUAL(judge(&w).weight, 3);
    w.endpoints.ready = w.endpoints.ready_here = 0;
    CU_ASSERT_EQUAL(judge(&w).weight, 2);
    CU_ASSERT(judge(&w).terminating);
    w.endpoints.ready = w.endpoints.ready_here = UINT16_MAX;
    CU_ASSERT_EQUAL(judge(&w).weight, UINT16_MAX);
    CU_ASSERT(judge(&w).weight <= ATTR_WEIGHT_MOST);
    w.node.drained = true;
    CU_ASSERT_EQUAL(judge(&w).weight, 0);
}

static void addresses_that_are_never_routed_are_unusable(void)
{
    static const struct {
        const char *address;
        enum kube_reason reason;
    } rows[] = {
        {"192.0.2.1", KUBE_ADVERTISED},
        {"10.96.0.1", KUBE_ADVERTISED},
        {"100.64.0.1", KUBE_ADVERTISED},
        {"2001:db8::1", KUBE_ADVERTISED},
        {"fd00::1", KUBE_ADVERTISED},
        {"0.0.0.0", KUBE_WHY_UNUSABLE},
        {"0.1.2.3", KUBE_WHY_UNUSABLE},
        {"127.0.0.1", KUBE_WHY_UNUSABLE},
        {"169.254.169.254", KUBE_WHY_UNUSABLE},
        {"224.0.0.1", KUBE_WHY_UNUSABLE},
        {"239.1.1.1", KUBE_WHY_UNUSABLE},
        {"240.0.0.1", KUBE_WHY_UNUSABLE},
        {"255.255.255.255", KUBE_WHY_UNUSABLE},
        {"::", KUBE_WHY_UNUSABLE},
        {"::1", KUBE_WHY_UNUSABLE},
        {"fe80::1", KUBE_WHY_UNUSABLE},
        {"ff02::1", KUBE_WHY_UNUSABLE},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w = good(KUBE_EXTERNAL_IP, KUBE_VIP_LOCAL);
        w.vip = vip_of(rows[i].address, KUBE_EXTERNAL_IP);
        CU_ASSERT_EQUAL(judge(&w).reason, rows[i].reason);
    }
    struct world none = good(KUBE_EXTERNAL_IP, KUBE_VIP_LOCAL);
    none.vip.addr = (struct ip_addr){0};
    CU_ASSERT_EQUAL(judge(&none).reason, KUBE_WHY_UNUSABLE);
}

static void every_reason_has_a_text_of_its_own(void)
{
    CU_ASSERT_STRING_EQUAL(kube_reason_text(KUBE_ADVERTISED), "");
    CU_ASSERT_STRING_EQUAL(kube_reason_text(KUBE_REASONS), "");
    for (enum kube_reason a = KUBE_ADVERTISED + 1; a < KUBE_REASONS; a++)
        for (enum kube_reason b = KUBE_ADVERTISED; b < a; b++)
            CU_ASSERT(strcmp(kube_reason_text(a), kube_reason_text(b)) != 0);
}

static const struct unit_case cases[] = {
    UNIT(every_combination_has_the_right_answer_and_reason),
    UNIT(manual_gives_the_reasons_and_their_order),
    UNIT(manual_gives_where_an_endpoint_is_needed),
    UNIT(manual_gives_which_endpoints_count),
    UNIT(manual_has_these_tables_and_no_other_rows),
    UNIT(weight_is_the_number_of_endpoints_that_count_here),
    UNIT(addresses_that_are_never_routed_are_unusable),
    UNIT(every_reason_has_a_text_of_its_own),
};
UNIT_MAIN("kube rules", cases)
