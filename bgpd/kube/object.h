/* Kubernetes objects, reduced to what this node needs as they are parsed. Missing and unknown fields are
 * nothing special; a field of the wrong type is as if it were missing, and only an object without a name is
 * refused. */
#ifndef UNDERLAY_KUBE_OBJECT_H
#define UNDERLAY_KUBE_OBJECT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "config_kube.h"
#include "prefix.h"

enum kube_annotation {
    KUBE_ANNOTATION_ASN,       /* underlay.io/asn */
    KUBE_ANNOTATION_ROUTER_ID, /* underlay.io/router-id */
    KUBE_ANNOTATION_PEERS,     /* underlay.io/peers */
    KUBE_ANNOTATION_KR_ASN,    /* kube-router.io/node.asn */
    KUBE_ANNOTATION_KR_IPS,    /* kube-router.io/peer.ips */
    KUBE_ANNOTATION_KR_ASNS,   /* kube-router.io/peer.asns */
    KUBE_ANNOTATION_KR_PORTS,  /* kube-router.io/peer.ports */
    KUBE_ANNOTATION_COUNT
};
extern const char *const kube_annotation_names[KUBE_ANNOTATION_COUNT];

struct kube_node {
    char *name;
    struct prefix *pod_cidrs; /* host bits cleared, no martian, no default */
    struct ip_addr *internal_ips;
    char **taints; /* "key=value:Effect", "key:Effect" without a value; in the order of spec.taints */
    unsigned n_pod_cidrs, n_internal_ips, n_taints;
    bool unschedulable, deleting /* deletionTimestamp */,
        excluded /* node.kubernetes.io/exclude-from-external-load-balancers */;
    bool network_unavailable;                 /* condition NetworkUnavailable is True */
    char *annotations[KUBE_ANNOTATION_COUNT]; /* NULL: none */
};
struct kube_node *kube_node_parse(const json_t *object); /* NULL: no name, or out of memory */
void kube_node_free(struct kube_node *n);
bool kube_node_equal(const struct kube_node *a, const struct kube_node *b);
/* taint as kube_node has them against "key", "key=value", "key:Effect" or "key=value:Effect". */
bool kube_taint_matches(const char *taint, const char *pattern);

enum kube_service_type {
    KUBE_SERVICE_CLUSTER_IP,
    KUBE_SERVICE_NODE_PORT,
    KUBE_SERVICE_LOAD_BALANCER,
    KUBE_SERVICE_EXTERNAL_NAME
};
struct kube_service_vip {
    struct ip_addr addr;
    uint8_t kind; /* enum kube_vip_kind */
};
struct kube_service {
    char *name;                    /* "NAMESPACE/NAME" */
    struct kube_service_vip *vips; /* by kind, in the order of the object */
    uint16_t n_vips, n_proxied;    /* load balancer addresses of ipMode Proxy, left out */
    uint8_t type;                  /* enum kube_service_type */
    bool headless;
    bool external_local, internal_local; /* the traffic policies */
    bool session_affinity;
    bool selected;    /* by selector and load-balancer-class of the configuration */
    bool wrong_class; /* not selected, for the class */
};
struct kube_service *kube_service_parse(const json_t *object, const struct config_kube *c);
void kube_service_free(struct kube_service *s);

/* Of one EndpointSlice only how many endpoints are what: on this node, and anywhere. */
struct kube_endpoints {
    uint16_t ready_here, terminating_here; /* ready; serving and terminating */
    uint16_t ready, terminating;
};
struct kube_slice {
    char *name, *service; /* "NAMESPACE/NAME" both; service NULL: of none */
    enum family family;   /* slices of FQDN are of none: service NULL */
    struct kube_endpoints endpoints;
};
struct kube_slice *kube_slice_parse(const json_t *object, const char *node);
void kube_slice_free(struct kube_slice *s);

#endif
