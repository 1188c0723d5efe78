/* Whether this node advertises an address of a service: one pure function, and the whole of the policy. The
 * table of rules in underlay-kubernetes(7) is this function in words; its test is that table. */
#ifndef UNDERLAY_KUBE_RULES_H
#define UNDERLAY_KUBE_RULES_H

#include "kube/object.h"

/* Why not, in the order in which it is asked: the first that holds is the reason. What lasts comes first,
 * what passes by itself last. */
enum kube_reason {
    KUBE_ADVERTISED,
    KUBE_WHY_OFF,         /* this kind of address is not advertised by the configuration */
    KUBE_WHY_AGGREGATE,   /* its service CIDR is instead */
    KUBE_WHY_UNUSABLE,    /* martian (also unspecified and multicast): never routed between hosts */
    KUBE_WHY_TYPE,        /* ExternalName: nothing is behind it */
    KUBE_WHY_HEADLESS,    /* kube-proxy does nothing for it, for its external IPs neither */
    KUBE_WHY_SELECTOR,    /* not chosen by the selector */
    KUBE_WHY_CLASS,       /* of another load balancer class; addresses of the load balancer only */
    KUBE_WHY_NO_NODE,     /* the API server has no object of this node */
    KUBE_WHY_EXCLUDED,    /* the node's label exclude-from-external-load-balancers; not cluster IPs */
    KUBE_WHY_DRAINED,     /* cordoned, tainted or deleted, and the grace is over */
    KUBE_WHY_NO_ENDPOINT, /* no ready endpoint anywhere, and none that still serves */
    KUBE_WHY_NO_LOCAL,    /* … on this node, which is what is asked for */
    KUBE_REASONS
};
const char *
kube_reason_text(enum kube_reason r); /* "no ready endpoint on this node"; "" for KUBE_ADVERTISED */

struct kube_verdict {
    enum kube_reason reason; /* KUBE_ADVERTISED */
    bool terminating; /* advertised for endpoints that terminate but serve: no other is left anywhere */
    uint32_t weight;  /* with weight-by-endpoints: the endpoints on this node that count, where one is asked
                         for  here (else 0); at most ATTR_WEIGHT_MOST */
};
/* The state of the node that matters to all services. */
struct kube_node_view {
    bool known, excluded;
    bool drained; /* withdrawn; while only GRACEFUL_SHUTDOWN is said, false */
};
/* of_family: the endpoints of the service that are of the family of the address. */
struct kube_verdict kube_rule(const struct config_kube *c, const struct kube_node_view *node,
                              const struct kube_service *s, const struct kube_service_vip *vip,
                              const struct kube_endpoints *of_family);

#endif
