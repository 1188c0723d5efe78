/* Kubernetes objects, reduced to what this node needs as they are parsed. Missing and unknown fields are
 * nothing special; a field of the wrong type is as if it were missing, and only an object without a name (and
 * a namespace, where its kind has one) is refused. Addresses are what Kubernetes takes them for: IPv4 inside
 * of IPv6 (::ffff:192.0.2.1) is IPv4. */
#ifndef UNDERLAY_KUBE_OBJECT_H
#define UNDERLAY_KUBE_OBJECT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "config_kube.h"
#include "prefix.h"

/* "NAMESPACE/NAME", or "NAME" of a node. -EINVAL: the object has none, or what cannot be a name of
 * Kubernetes. */
#define KUBE_KEY_LEN 320
int kube_object_key(const json_t *object, bool namespaced, char key[KUBE_KEY_LEN]);

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

#define KUBE_NODE_ADDRESSES_MOST 64 /* of either kind; what is beyond is left out */
struct kube_node {
    char *name;
    struct prefix *pod_cidrs;     /* unique, host bits cleared, no martian, no default */
    struct ip_addr *internal_ips; /* unique */
    char **taints; /* "key=value:Effect", "key:Effect" without a value; in the order of spec.taints */
    unsigned n_pod_cidrs, n_internal_ips, n_taints;
    bool unschedulable, deleting /* deletionTimestamp */,
        excluded /* node.kubernetes.io/exclude-from-external-load-balancers, whatever its value */;
    bool network_unavailable;                 /* condition NetworkUnavailable is True */
    char *annotations[KUBE_ANNOTATION_COUNT]; /* NULL: none */
};
struct kube_node *kube_node_parse(const json_t *object); /* NULL: no name, or out of memory */
void kube_node_free(struct kube_node *n);
bool kube_node_equal(const struct kube_node *a, const struct kube_node *b);
/* taint as kube_node has them against "key", "key=value", "key:Effect" or "key=value:Effect": what the
 * pattern leaves out may be anything. */
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
#define KUBE_SERVICE_VIPS_MOST 256 /* of one kind */
struct kube_service {              /* one block of memory */
    char *name;                    /* "NAMESPACE/NAME" */
    struct kube_service_vip *vips; /* by kind, in the order of the object; unique within a kind */
    uint16_t n_vips;
    uint16_t n_proxied; /* load balancer addresses of ipMode Proxy, left out */
    uint16_t n_unread;  /* left out too: what is no address, and what is beyond KUBE_SERVICE_VIPS_MOST */
    uint8_t type;       /* enum kube_service_type */
    bool headless;
    bool external_local, internal_local; /* the traffic policies */
    bool session_affinity;
    bool selected;    /* by the selector of the configuration: concerns all addresses */
    bool wrong_class; /* of another load balancer class: concerns those of the load balancer */
};
/* NULL: no name, or out of memory. */
struct kube_service *kube_service_parse(const json_t *object, const struct config_kube *c);
void kube_service_free(struct kube_service *s);
bool kube_service_equal(const struct kube_service *a, const struct kube_service *b);

/* Of one EndpointSlice only how many endpoints are what: on this node, and anywhere. Where 16 bits do not
 * hold a number it is the greatest that they do. */
struct kube_endpoints {
    uint16_t ready_here, terminating_here; /* ready; not ready, but serving and terminating */
    uint16_t ready, terminating;           /* those here included */
};
struct kube_slice {       /* one block of memory */
    char *name, *service; /* "NAMESPACE/NAME" both; service NULL: of none */
    enum family family;   /* slices of FQDN are of none: service NULL */
    struct kube_endpoints endpoints;
};
/* NULL: no name, or out of memory. */
struct kube_slice *kube_slice_parse(const json_t *object, const char *node);
void kube_slice_free(struct kube_slice *s);

#endif
