/* The policy, as one function without state. It follows what kube-proxy would do with a packet that arrives
 * here, so that an address is advertised where it works; where it is stricter, underlay-kubernetes(7) says
 * so.
 *
 * First come the questions that have nothing to do with endpoints, in the order of enum kube_reason. Then
 * endpoints are counted: ready ones or, where the whole cluster has none, those that still serve while they
 * terminate. A node whose last pod ends thus withdraws as soon as others have ready ones, while kube-proxy
 * here goes on to serve what arrives; and a service whose pods all end at once is advertised to the end.
 *
 * Not here: the sum over the services that share an address (store_address.c), graceful shutdown while a
 * drain begins, which is said of routes and not of addresses. */
#include "kube/rules.h"

#include "rib/attr.h"

const char *kube_reason_text(enum kube_reason r)
{
    static const char *const texts[KUBE_REASONS] = {
        [KUBE_ADVERTISED] = "",
        [KUBE_WHY_OFF] = "not configured",
        [KUBE_WHY_AGGREGATE] = "service CIDR is advertised instead",
        [KUBE_WHY_UNUSABLE] = "not routed between hosts",
        [KUBE_WHY_TYPE] = "type ExternalName",
        [KUBE_WHY_HEADLESS] = "headless",
        [KUBE_WHY_SELECTOR] = "not chosen by the selector",
        [KUBE_WHY_CLASS] = "other load balancer class",
        [KUBE_WHY_NO_NODE] = "no object of this node",
        [KUBE_WHY_EXCLUDED] = "exclude-from-external-load-balancers",
        [KUBE_WHY_DRAINED] = "node is drained",
        [KUBE_WHY_NO_ENDPOINT] = "no ready endpoint",
        [KUBE_WHY_NO_LOCAL] = "no ready endpoint on this node",
    };
    return (unsigned)r < KUBE_REASONS ? texts[r] : "";
}

static bool usable(const struct ip_addr *a)
{
    struct prefix p = prefix_host(a);
    return a->af && !prefix_is_martian(&p);
}

/* Whatever its endpoints are. KUBE_ADVERTISED: nothing is against it. */
static enum kube_reason why_not(const struct config_kube *c, const struct kube_node_view *node,
                                const struct kube_service *s, const struct kube_service_vip *vip)
{
    bool external = vip->kind != KUBE_CLUSTER_IP;
    if (c->services.mode[vip->kind] == KUBE_VIP_OFF)
        return KUBE_WHY_OFF;
    if (c->services.mode[vip->kind] == KUBE_VIP_AGGREGATE)
        return KUBE_WHY_AGGREGATE;
    if (!usable(&vip->addr))
        return KUBE_WHY_UNUSABLE;
    if (s->type == KUBE_SERVICE_EXTERNAL_NAME)
        return KUBE_WHY_TYPE;
    if (s->headless)
        return KUBE_WHY_HEADLESS;
    if (!s->selected)
        return KUBE_WHY_SELECTOR;
    if (s->wrong_class && vip->kind == KUBE_LOAD_BALANCER)
        return KUBE_WHY_CLASS;
    if (!node->known)
        return KUBE_WHY_NO_NODE;
    if (node->excluded && external)
        return KUBE_WHY_EXCLUDED;
    if (node->drained)
        return KUBE_WHY_DRAINED;
    return KUBE_ADVERTISED;
}

_Static_assert(sizeof(((struct kube_endpoints *)0)->ready_here) == 2 && ATTR_WEIGHT_MOST >= UINT16_MAX,
               "every number of endpoints is a weight");

struct kube_verdict kube_rule(const struct config_kube *c, const struct kube_node_view *node,
                              const struct kube_service *s, const struct kube_service_vip *vip,
                              const struct kube_endpoints *e)
{
    struct kube_verdict v = {.reason = why_not(c, node, s, vip)};
    if (v.reason != KUBE_ADVERTISED)
        return v;
    bool policy_local = vip->kind == KUBE_CLUSTER_IP ? s->internal_local : s->external_local;
    bool local = c->services.mode[vip->kind] == KUBE_VIP_LOCAL || policy_local;
    unsigned anywhere = e->ready ? e->ready : e->terminating,
             here = e->ready ? e->ready_here : e->terminating_here;
    if (!anywhere)
        v.reason = KUBE_WHY_NO_ENDPOINT;
    else if (local && !here)
        v.reason = KUBE_WHY_NO_LOCAL;
    else
        v.terminating = !e->ready;
    if (v.reason == KUBE_ADVERTISED && local && c->services.weight_by_endpoints)
        v.weight = here;
    return v;
}
