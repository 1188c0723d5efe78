/* The keys of advertise.kubernetes and of cni, as config_schema.c has those of everything else. */
#include "config_int.h"
#include "config_schema.h"

/* clang-format off */
static const struct schema_key label_keys[] = {
    {"name", VALUE(config_label, key, label_key)},
    {"value", VALUE(config_label, value, label_value), BETWEEN(0, 63)},
};
static const struct schema_section schema_label = SECTION(label_keys, sizeof(struct config_label));

static const struct schema_key label_rule_keys[] = {
    {"key", VALUE(config_label_rule, key, label_key), .flags = KEY_REQUIRED},
    {"operator", VALUE(config_label_rule, op, word), .words = "In NotIn Exists DoesNotExist", .flags = KEY_REQUIRED},
    {"values", LIST(config_label_rule, values, n_values, label_value), BETWEEN(0, 63)},
};
static const struct schema_section schema_label_rule = SECTION(label_rule_keys, sizeof(struct config_label_rule));

static const struct schema_key selector_keys[] = {
    {"matchLabels", .shape = SHAPE_PAIRS, .sub = &schema_label, .offset = offsetof(struct config, advertise.kube.services.labels),
     .count = offsetof(struct config, advertise.kube.services.n_labels), .size = sizeof(struct config_label),
     .max = 100, .change = CONFIG_DIFF_ADVERTISE},
    {"matchExpressions", MAPS(config, advertise.kube.services.rules, advertise.kube.services.n_rules, schema_label_rule),
     .max = 100, .change = CONFIG_DIFF_ADVERTISE},
};
static const struct schema_section schema_selector = SECTION(selector_keys, 0);

#define SERVICE_MODE(kind) VALUE(config, advertise.kube.services.mode[kind], word), .change = CONFIG_DIFF_ADVERTISE
static const struct schema_key services_keys[] = {
    {"load-balancer", SERVICE_MODE(KUBE_LOAD_BALANCER), .words = "off local auto", .def = "local"},
    {"external-ips", SERVICE_MODE(KUBE_EXTERNAL_IP), .words = "off local auto", .def = "auto"},
    {"cluster-ips", SERVICE_MODE(KUBE_CLUSTER_IP), .words = "off local auto aggregate", .def = "off"},
    {"cidrs", LIST(config, advertise.kube.services.cidrs, advertise.kube.services.n_cidrs, unicast), .max = 16,
     .change = CONFIG_DIFF_ADVERTISE},
    {"load-balancer-class", VALUE(config, advertise.kube.services.load_balancer_class, string), BETWEEN(0, 253),
     .def = "", .change = CONFIG_DIFF_ADVERTISE},
    {"selector", .shape = SHAPE_MAP, .sub = &schema_selector},
    {"weight-by-endpoints", VALUE(config, advertise.kube.services.weight_by_endpoints, bool), .def = "true",
     .change = CONFIG_DIFF_ADVERTISE},
};
static const struct schema_section schema_services = SECTION(services_keys, 0);

#define COMMUNITIES(field) .shape = SHAPE_ADD, .type = &type_community, AT(config, advertise.kube.communities.field), \
     .max = 16, .change = CONFIG_DIFF_ADVERTISE
static const struct schema_key communities_keys[] = {
    {"pod-cidrs", COMMUNITIES(pod_cidrs)},
    {"node-address", COMMUNITIES(node_address)},
    {"load-balancer", COMMUNITIES(vip[KUBE_LOAD_BALANCER])},
    {"external-ips", COMMUNITIES(vip[KUBE_EXTERNAL_IP])},
    {"cluster-ips", COMMUNITIES(vip[KUBE_CLUSTER_IP])},
};
static const struct schema_section schema_communities = SECTION(communities_keys, 0);

static const struct schema_key drain_keys[] = {
    {"cordon", VALUE(config, advertise.kube.drain.cordon, bool), .def = "true", .change = CONFIG_DIFF_ADVERTISE},
    {"taints", LIST(config, advertise.kube.drain.taints, advertise.kube.drain.n_taints, taint), .max = 100,
     .change = CONFIG_DIFF_ADVERTISE},
    {"grace", VALUE(config, advertise.kube.drain.grace_ms, duration), BETWEEN(0, 24 * HOURS), .def = "30s",
     .change = CONFIG_DIFF_ADVERTISE},
};
static const struct schema_section schema_drain = SECTION(drain_keys, 0);

static const struct schema_key readiness_keys[] = {
    {"taint", VALUE(config, advertise.kube.ready.taint, taint), .change = CONFIG_DIFF_ADVERTISE},
    {"network-unavailable", VALUE(config, advertise.kube.ready.network_unavailable, bool), .def = "false",
     .change = CONFIG_DIFF_ADVERTISE},
};
static const struct schema_section schema_readiness = SECTION(readiness_keys, 0);

static const struct schema_key kube_keys[] = {
    {"kubeconfig", VALUE(config, advertise.kube.kubeconfig, path), BETWEEN(1, 255), .change = CONFIG_DIFF_ADVERTISE},
    {"servers", LIST(config, advertise.kube.servers, advertise.kube.n_servers, server), BETWEEN(1, 16),
     .change = CONFIG_DIFF_ADVERTISE},
    {"node", VALUE(config, advertise.kube.node, string), BETWEEN(1, 253), .change = CONFIG_DIFF_ADVERTISE},
    {"pod-cidrs", VALUE(config, advertise.kube.pod_cidrs, bool), .def = "true", .change = CONFIG_DIFF_ADVERTISE},
    {"node-address", VALUE(config, advertise.kube.node_address, bool), .def = "true", .change = CONFIG_DIFF_ADVERTISE},
    {"services", .shape = SHAPE_MAP, .sub = &schema_services},
    {"communities", .shape = SHAPE_MAP, .sub = &schema_communities},
    {"drain", .shape = SHAPE_MAP, .sub = &schema_drain},
    {"stale-after", VALUE(config, advertise.kube.stale_after_ms, duration), BETWEEN(0, 1000 * HOURS), .def = "0s",
     .change = CONFIG_DIFF_ADVERTISE},
    {"node-annotations", VALUE(config, advertise.kube.node_annotations, bool), .def = "true",
     .change = CONFIG_DIFF_ADVERTISE},
    {"compat", VALUE(config, advertise.kube.compat, word), .words = "none kube-router", .def = "none",
     .change = CONFIG_DIFF_ADVERTISE},
    {"peer-template", VALUE(config, advertise.kube.peer_template, string), .flags = KEY_UNPRINTED, BETWEEN(1, 255),
     .change = CONFIG_DIFF_ADVERTISE},
    {"readiness", .shape = SHAPE_MAP, .sub = &schema_readiness},
};
const struct schema_section schema_kube = SECTION(kube_keys, 0);

static const struct schema_key cni_keys[] = {
    {"write", VALUE(config, cni.write, path), BETWEEN(1, 240), .change = CONFIG_DIFF_RESTART},
    {"plugin", VALUE(config, cni.plugin, word), .words = "bridge ptp", .def = "bridge", .change = CONFIG_DIFF_ADVERTISE},
    {"bridge", VALUE(config, cni.bridge, ifname), .def = "cni0", .change = CONFIG_DIFF_ADVERTISE},
    {"mtu", VALUE(config, cni.mtu, uint), BETWEEN(1280, 65535), .flags = KEY_OFF, .def = "off",
     .change = CONFIG_DIFF_ADVERTISE},
    {"masquerade", VALUE(config, cni.masquerade, bool), .def = "false", .change = CONFIG_DIFF_ADVERTISE},
};
const struct schema_section schema_cni = SECTION(cni_keys, 0);
/* clang-format on */
