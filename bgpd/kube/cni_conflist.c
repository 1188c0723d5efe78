/* What the reference plugins are told.
 *
 * One address of each family: host-local takes one out of every set of ranges, so the CIDRs of a family are
 * one set. The bridge is told only the first IPv4 CIDR, for the plugin gives it one IPv4 gateway address.
 * With another CIDR than before it moves that address (forceAddress); pods of the old one are no longer
 * routed to anyway. Routes name no gateway: the one of the range is meant, the first address of the CIDR.
 *
 * hairpinMode lets a pod reach itself through a service. The underlay knows pods by their own addresses, so
 * nothing is masqueraded unless the configuration says so. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "kube/cni.h"

#define VERSION "0.4.0" /* old enough for every runtime, new enough for prevResult and CHECK */
#define NETWORK "underlay"

static json_t *ranges_of(const struct config_cni *c, const struct prefix *cidrs, unsigned n, enum family f)
{
    json_t *set = json_array();
    char text[PREFIX_STRLEN];

    for (unsigned i = 0; i < n; i++) {
        if (addr_family(&cidrs[i].addr) != f ||
            (c->plugin == CNI_BRIDGE && f == FAM_IPV4 && json_array_size(set)))
            continue;
        if (json_array_append_new(set, json_pack("{s:s}", "subnet", prefix_format(&cidrs[i], text)))) {
            json_decref(set);
            return NULL;
        }
    }
    return set;
}

static json_t *make_ipam(const struct config_cni *c, const struct prefix *cidrs, unsigned n)
{
    static const char *const everywhere[FAM_COUNT] = {[FAM_IPV4] = "0.0.0.0/0", [FAM_IPV6] = "::/0"};
    json_t *ranges = json_array(), *routes = json_array();
    bool failed = !ranges || !routes;

    for (enum family f = 0; f < FAM_COUNT; f++) {
        json_t *set = ranges_of(c, cidrs, n, f);
        failed |= !set;
        if (json_array_size(set)) {
            failed |= json_array_append(ranges, set) ||
                      json_array_append_new(routes, json_pack("{s:s}", "dst", everywhere[f]));
        }
        json_decref(set);
    }
    json_t *ipam =
        failed ? NULL
               : json_pack("{s:s, s:O, s:O}", "type", "host-local", "ranges", ranges, "routes", routes);
    json_decref(ranges);
    json_decref(routes);
    return ipam;
}

static json_t *make_interface(const struct config_cni *c, json_t *ipam)
{
    json_t *mtu = c->mtu ? json_integer(c->mtu) : NULL;

    if (c->plugin == CNI_PTP)
        return json_pack("{s:s, s:b, s:o*, s:o}", "type", "ptp", "ipMasq", c->masquerade, "mtu", mtu, "ipam",
                         ipam);
    return json_pack("{s:s, s:s, s:b, s:b, s:b, s:b, s:o*, s:o}", "type", "bridge", "bridge", c->bridge,
                     "isGateway", true, "forceAddress", true, "hairpinMode", true, "ipMasq", c->masquerade,
                     "mtu", mtu, "ipam", ipam);
}

int cni_conflist(const struct config_cni *c, const struct prefix *pod_cidrs, unsigned n, char **text)
{
    *text = NULL;
    if (!n)
        return -EINVAL;
    json_t *list = json_pack("{s:s, s:s, s:[o, {s:s, s:{s:b}}]}", "cniVersion", VERSION, "name", NETWORK,
                             "plugins", make_interface(c, make_ipam(c, pod_cidrs, n)), "type", "portmap",
                             "capabilities", "portMappings", true);
    char *json = list ? json_dumps(list, JSON_INDENT(2)) : NULL;

    if (json && asprintf(text, "%s\n", json) < 0)
        *text = NULL;
    free(json);
    json_decref(list);
    return *text ? 0 : -ENOMEM;
}
