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
__attribute__((unused)) static struct world good(enum kube_vip_kind kind, enum kube_vip_mode mode)
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

static const struct unit_case cases[] = {
    UNIT(every_combination_has_the_right_answer_and_reason),
};
UNIT_MAIN("kube rules", cases)
