"""Which addresses of services the node advertises, as the objects of a real API server change; what the ToR has.

An API server takes some seconds to start, so each test has many rules, one a function, on services of their own. Fields that the
oldest server of the tests does not have are put to a played one.
"""
import kube_client
from cluster import NAME, Cluster
from kube import SERVICES4, SERVICES6
from kube_client import balancer, endpoint, endpoint_slice, ingress, service
from lab import wait_for
from runner import cases, feature

HERE, THERE = NAME, "n2"
NO_LOCAL, NO_ENDPOINT = "no ready endpoint on this node", "no ready endpoint"


class Service:
    """One in the cluster, with a slice for each family of its endpoints."""

    def __init__(self, cluster, name, *vips, kind="LoadBalancer", local=True, **spec):
        self.cluster, self.api, self.name = cluster, cluster.api, name
        spec = {"externalTrafficPolicy": "Local" if local else "Cluster", **spec} if kind != "ClusterIP" else spec
        self.object = self.api.create(service(name, kind, **spec))
        if vips:
            self.give(*vips)

    def give(self, *vips):
        self.api.patch_status("services", self.name, ingress(*vips))
        return self

    def endpoints(self, *endpoints):
        """Those are all there are; (node, ready, serving, terminating) each, or the node alone, which is ready."""
        for family, form in (("4", "10.244.9.{}"), ("6", "fd00:10:244:9::{}")):
            rows = [endpoint(e, form.format(i)) if isinstance(e, str) else endpoint(e[0], form.format(i), *e[1:])
                    for i, e in enumerate(endpoints, 1)]
            name = f"{self.name}-{family}"
            if self.api.request("GET", kube_client.path_of("endpointslices", name))[0] == 404:
                empty = endpoint_slice(name, self.name, rows)
                empty["addressType"] = f"IPv{family}"
                self.api.create(empty)
            else:
                self.api.patch("endpointslices", name, {"endpoints": rows})
        return self

    def patch(self, **spec):
        self.object = self.api.patch("services", self.name, {"spec": spec})
        return self

    def delete(self):
        self.api.delete("services", self.name)


def vip_follows_its_endpoints(c):
    a, b = "203.0.113.1", "2001:db8:53::1"
    lb = Service(c, "follows", a, b)
    c.wait_why("follows", a, NO_ENDPOINT)
    lb.endpoints(THERE)
    c.wait_why("follows", a, NO_LOCAL)
    lb.endpoints(THERE, HERE)
    c.sees(a, b)
    lb.endpoints(THERE, (HERE, False))
    c.sees_not(a, b)
    c.wait_why("follows", a, NO_LOCAL)
    lb.endpoints(HERE)
    c.sees(a, b)
    lb.delete()
    c.sees_not(a, b)
    wait_for(lambda: "default/follows" not in c.services(), what="the service is forgotten")


def terminating_endpoints_serve_when_nothing_else_is_left(c):
    vip = "203.0.113.2"
    lb = Service(c, "ends", vip).endpoints((HERE, False, True, True), THERE)
    c.wait_why("ends", vip, NO_LOCAL)
    lb.endpoints((HERE, False, True, True), (THERE, False, False, True))
    c.sees(vip)
    lb.endpoints((HERE, False, False, True))
    c.sees_not(vip)


def addresses_come_and_go(c):
    first, second = "203.0.113.3", "203.0.113.4"
    lb = Service(c, "moves", first).endpoints(HERE)
    c.sees(first)
    lb.give(first, second)
    c.sees(first, second)
    lb.give(second)
    c.sees_not(first)
    c.sees(second)


def one_address_of_two_services(c):
    vip = "203.0.113.5"
    first, second = Service(c, "one", vip).endpoints(HERE), Service(c, "two", vip).endpoints(HERE)
    c.sees(vip)
    with c.quiet():
        first.endpoints(THERE)
        c.wait_why("one", vip, NO_LOCAL)
        assert c.why("two", vip) == ""
    second.delete()
    c.sees_not(vip)
    first.delete()


def type_and_policy_change(c):
    vip = "203.0.113.6"
    lb = Service(c, "changes", vip).endpoints(THERE)
    c.wait_why("changes", vip, NO_LOCAL)
    c.reload(services={"load-balancer": "auto", "external-ips": "auto"})
    lb.patch(externalTrafficPolicy="Cluster")
    c.sees(vip)
    lb.endpoints()
    c.sees_not(vip)
    c.wait_why("changes", vip, NO_ENDPOINT)
    lb.endpoints(HERE).patch(externalTrafficPolicy="Local")
    c.sees(vip)
    lb.patch(type="ClusterIP", externalTrafficPolicy=None)
    c.sees_not(vip)
    c.reload(services={"load-balancer": "local", "external-ips": "auto"})


def session_affinity_changes_nothing(c):
    vip = "203.0.113.7"
    lb = Service(c, "sticky", vip).endpoints(HERE)
    c.sees(vip)
    with c.quiet():
        lb.patch(sessionAffinity="ClientIP")
        events = c.kind("services")["events"]
        lb.patch(sessionAffinity="None")
        wait_for(lambda: c.kind("services")["events"] > events, what="the change is seen")
    assert c.why("sticky", vip) == ""


def weight_is_the_number_of_endpoints_here(c):
    vip = "203.0.113.8"
    lb = Service(c, "heavy", vip).endpoints(HERE, THERE, HERE)
    c.sees(vip)
    wait_for(lambda: ":250000" in c.bandwidth(vip), what="two endpoints, 2 Mbit/s")
    lb.endpoints(HERE, HERE, HERE)
    wait_for(lambda: ":375000" in c.bandwidth(vip), what="three")
    c.reload(services={"weight-by-endpoints": False})
    wait_for(lambda: not c.bandwidth(vip), what="no weight")
    c.reload(services={})


@cases(timeout=180)
@feature("Kubernetes: service addresses", peer="frr")
def test_load_balancer_addresses(lab):
    c = Cluster(lab).up()
    for rule in (vip_follows_its_endpoints, terminating_endpoints_serve_when_nothing_else_is_left, addresses_come_and_go,
                 one_address_of_two_services, type_and_policy_change, session_affinity_changes_nothing,
                 weight_is_the_number_of_endpoints_here):
        rule(c)


def external_ips_by_policy(c):
    a, b, other = "203.0.113.11", "2001:db8:53::11", "203.0.113.12"
    ext = Service(c, "ext", kind="ClusterIP", externalIPs=[a, b]).endpoints(THERE)
    c.sees(a, b)
    ext.patch(externalIPs=[other])
    c.sees_not(a, b)
    c.sees(other)
    ext.patch(type="NodePort", externalTrafficPolicy="Local")
    c.sees_not(other)
    c.wait_why("ext", other, NO_LOCAL)
    ext.endpoints(HERE)
    c.sees(other)


def cluster_ips_are_off_then_single_then_aggregates(c):
    cip = Service(c, "cip", kind="ClusterIP").endpoints(THERE)
    address = cip.object["spec"]["clusterIP"]
    c.wait_why("cip", address, "not configured")
    c.reload(services={"cluster-ips": "auto"})
    c.sees(address)
    c.reload(services={"cluster-ips": "aggregate", "cidrs": [SERVICES4, SERVICES6]})
    c.sees(SERVICES4, SERVICES6)
    c.sees_not(address)
    c.wait_why("cip", address, "CIDR")
    c.reload(services={"cluster-ips": "off"})
    c.sees_not(SERVICES4, SERVICES6)


def headless_has_no_address(c):
    vip = "203.0.113.13"
    Service(c, "headless", kind="ClusterIP", clusterIP="None", externalIPs=[vip]).endpoints(HERE)
    c.wait_why("headless", vip, "headless")
    assert not c.tor.has(vip + "/32")


def external_name_has_none(c):
    vip = "203.0.113.14"
    Service(c, "elsewhere", kind="ExternalName", externalName="example.org", externalIPs=[vip], externalTrafficPolicy=None)
    c.wait_why("elsewhere", vip, "ExternalName")


def selector_chooses(c):
    vip, other = "203.0.113.15", "203.0.113.16"
    Service(c, "chosen", kind="ClusterIP", externalIPs=[vip]).endpoints(HERE)
    Service(c, "left", kind="ClusterIP", externalIPs=[other]).endpoints(HERE)
    c.sees(vip, other)
    c.reload(services={"selector": {"matchExpressions": [{"key": "bgp", "operator": "In", "values": ["yes", "true"]}]}})
    c.sees_not(vip, other)
    c.wait_why("left", other, "selector")
    c.api.patch("services", "chosen", {"metadata": {"labels": {"bgp": "yes"}}})
    c.sees(vip)
    c.api.patch("services", "chosen", {"metadata": {"labels": None}})
    c.sees_not(vip)
    c.reload(services={})
    c.sees(vip, other)


def communities_by_kind(c):
    vip = "203.0.113.17"
    Service(c, "marked", kind="ClusterIP", externalIPs=[vip]).endpoints(HERE)
    c.sees(vip)
    c.reload(communities={"external-ips": ["65000:100"], "pod-cidrs": ["65000:7"]})
    wait_for(lambda: c.communities(vip) == ["65000:100"], what="the community of external IPs")
    wait_for(lambda: c.communities("10.244.1.0/24") == ["65000:7"], what="the community of pod CIDRs")


@cases(timeout=180)
@feature("Kubernetes: service addresses", peer="frr")
def test_other_addresses_of_services(lab):
    c = Cluster(lab).up()
    for rule in (external_ips_by_policy, cluster_ips_are_off_then_single_then_aggregates, headless_has_no_address,
                 external_name_has_none, selector_chooses, communities_by_kind):
        rule(c)


def newer(name, vip, **spec):
    """As a newer API server gives it."""
    return balancer(name, vip, HERE, **spec)


@feature("Kubernetes: service addresses", peer="frr")
def test_load_balancer_class_against_a_played_server(lab):
    mine, other, none = "203.0.113.21", "203.0.113.22", "203.0.113.23"
    c = Cluster(lab, played=True).up(*newer("mine", mine, loadBalancerClass="example.com/bgp"),
                                     *newer("other", other, loadBalancerClass="example.com/arp"), *newer("none", none))
    c.sees(mine, other, none)
    c.reload(services={"load-balancer-class": "example.com/bgp"})
    c.sees_not(other, none)
    c.wait_why("other", other, "class")
    c.sees(mine)


@feature("Kubernetes: service addresses", peer="frr")
def test_ip_mode_and_internal_traffic_policy_against_a_played_server(lab):
    vip, proxied, cluster_ip = "203.0.113.24", "203.0.113.25", "10.96.0.77"
    lb, slices = newer("modes", vip)
    lb["status"] = {"loadBalancer": {"ingress": [{"ip": vip, "ipMode": "VIP"}, {"ip": proxied, "ipMode": "Proxy"}]}}
    cip = service("cip", clusterIP=cluster_ip, clusterIPs=[cluster_ip], internalTrafficPolicy="Local")
    c = Cluster(lab, played=True, kubernetes={"services": {"cluster-ips": "auto"}}).up(
        lb, slices, cip, endpoint_slice("cip-1", "cip", [endpoint(THERE, "10.244.2.5")]))
    c.sees(vip)
    assert not c.tor.has(f"{proxied}/32") and not c.tor.has(f"{cluster_ip}/32")
    c.wait_why("cip", cluster_ip, NO_LOCAL)
    cip["spec"]["internalTrafficPolicy"] = "Cluster"
    c.put(cip)
    c.sees(cluster_ip)
    c.put(lb)
    lb["status"]["loadBalancer"]["ingress"][1]["ipMode"] = "VIP"
    c.put(lb)
    c.sees(proxied)
