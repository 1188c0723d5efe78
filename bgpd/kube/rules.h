/* Whether this node advertises an address of a service: one pure function, and the whole of the policy. The
 * table of rules in underlay-kubernetes(7) is this function in words; its test is that table. */
#ifndef UNDERLAY_KUBE_RULES_H
#define UNDERLAY_KUBE_RULES_H

#include "kube/object.h"

enum kube_reason {
    KUBE_ADVERTISED,
    KUBE_WHY_OFF,       /* this kind of address is not advertised by the configuration */
    KUBE_WHY_AGGREGATE, /* its service CIDR is instead */
    KUBE_WHY_CLASS,     /* of another load balancer class */
    KUBE_WHY_SELECTOR,  /* not chosen by the selector */
    KUBE_WHY_TYPE,      /* ExternalName: nothing is behind it */
    KUBE_WHY_HEADLESS,
    KUBE_WHY_EXCLUDED,    /* the node's label exclude-from-external-load-balancers */
    KUBE_WHY_DRAINED,     /* cordoned, tainted or deleted, and the grace is over */
    KUBE_WHY_NO_ENDPOINT, /* no ready endpoint anywhere */
    KUBE_WHY_NO_LOCAL,    /* no ready endpoint on this node */
    KUBE_WHY_NO_NODE,     /* the API server has no object of this node */
    KUBE_WHY_UNUSABLE,    /* martian, default or an address of the node itself */
    KUBE_REASONS
};
const char *kube_reason_text(enum kube_reason r); /* "no ready endpoint on this node" */

struct kube_verdict {
    enum kube_reason reason; /* KUBE_ADVERTISED */
    bool terminating;        /* nothing but serving endpoints that terminate is left */
    uint32_t weight;         /* ready endpoints on this node, where they alone get the traffic, else 0 */
};
/* The state of the node that matters to all services. */
struct kube_node_view {
    bool known, excluded;
    bool drained; /* withdrawn; while only GRACEFUL_SHUTDOWN is said, false */
};
struct kube_verdict kube_rule(const struct config_kube *c, const struct kube_node_view *node,
                              const struct kube_service *s, const struct kube_service_vip *vip,
                              const struct kube_endpoints *of_family);

#endif
