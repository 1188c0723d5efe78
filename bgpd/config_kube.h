/* advertise.kubernetes and cni, as part of struct config. See underlay.yaml(5). */
#ifndef UNDERLAY_CONFIG_KUBE_H
#define UNDERLAY_CONFIG_KUBE_H

#include <stdbool.h>
#include <stdint.h>

#include "kube/access.h"
#include "prefix.h"

/* Sets, sorted and unique. */
struct config_communities {
    uint32_t *standard;
    uint32_t (*large)[3];
    unsigned n_standard, n_large;
};

enum kube_vip_kind { KUBE_LOAD_BALANCER, KUBE_EXTERNAL_IP, KUBE_CLUSTER_IP, KUBE_VIP_KINDS };
enum kube_vip_mode {
    KUBE_VIP_OFF,
    KUBE_VIP_LOCAL,     /* only with a ready endpoint on this node */
    KUBE_VIP_AUTO,      /* as the service's traffic policy says */
    KUBE_VIP_AGGREGATE, /* cluster-ips only: services.cidrs instead */
};
enum kube_compat { KUBE_COMPAT_NONE, KUBE_COMPAT_KUBE_ROUTER };

struct config_label { /* matchLabels */
    char *key, *value;
};
enum label_operator { LABEL_IN, LABEL_NOT_IN, LABEL_EXISTS, LABEL_DOES_NOT_EXIST };
struct config_label_rule { /* matchExpressions */
    char *key;
    enum label_operator op;
    char **values;
    unsigned n_values;
};

struct config_kube {
    bool on;
    char *kubeconfig; /* NULL: the service account of the pod */
    char **servers;   /* instead of the one that the kubeconfig names */
    unsigned n_servers;
    char *node; /* never NULL when on; by default $NODE_NAME, else the host name */
    bool pod_cidrs, node_address;
    struct {
        enum kube_vip_mode mode[KUBE_VIP_KINDS];
        char *load_balancer_class; /* "": any */
        struct config_label *labels;
        struct config_label_rule *rules;
        unsigned n_labels, n_rules;
        bool weight_by_endpoints;
        struct prefix *cidrs; /* of KUBE_VIP_AGGREGATE */
        unsigned n_cidrs;
    } services;
    struct {
        struct config_communities pod_cidrs, node_address, vip[KUBE_VIP_KINDS];
    } communities;
    struct {
        bool cordon;
        char **taints; /* patterns of kube_taint_matches */
        unsigned n_taints;
        uint32_t grace_ms;
    } drain;
    uint32_t stale_after_ms; /* 0: for ever */
    bool node_annotations;
    enum kube_compat compat;
    char *peer_template; /* of peers that annotations name by address alone; NULL: none */
    struct {
        char *taint; /* removed once ready; NULL: none */
        bool network_unavailable;
    } ready;
    struct kube_access access; /* read from kubeconfig; empty when not on */
};

enum cni_plugin { CNI_BRIDGE, CNI_PTP };
struct config_cni {
    char *write; /* path; NULL: off */
    enum cni_plugin plugin;
    char *bridge; /* name of the bridge */
    uint32_t mtu; /* 0: the plugin's choice */
    bool masquerade;
};

/* Whether they choose the same services: those that were left out need not be seen again. */
bool config_kube_same_selection(const struct config_kube *a, const struct config_kube *b);

#endif
