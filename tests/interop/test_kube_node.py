"""This node's own object in a real API server: what the node advertises for it, when it leaves, and what it is told."""
import os

from cluster import NAME, POD4, POD6, Cluster
from kube_client import endpoint, endpoint_slice, ingress, service
from lab import ROOT, wait_for
from runner import cases, feature

VIP = "203.0.113.31"
EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"
NOT_READY = {"key": "underlay.io/not-ready", "effect": "NoSchedule"}
UNREACHABLE = "7"  # RTN_UNREACHABLE


def drain(grace, **keys):
    return {"cordon": True, "taints": ["maintenance"], "grace": grace, **keys}


def with_a_service(c):
    c.put(service("lb", "LoadBalancer", externalTrafficPolicy="Local"), endpoint_slice("lb-1", "lb", [endpoint(NAME, "10.244.1.9")]))
    c.api.patch_status("services", "lb", ingress(VIP))
    c.sees(VIP)


def not_known_yet(c):
    assert not c.status()["node"]["known"] and c.tor.has_none(POD4, POD6)
    c.put(c.this_node(cidrs=[]))
    c.sees(c.address4, c.address6)
    c.api.patch("nodes", NAME, {"spec": {"podCIDR": POD4, "podCIDRs": [POD4, POD6]}})
    c.sees(POD4, POD6)
    for family, prefix in (("ipv4", POD4), ("ipv6", POD6)):
        wait_for(lambda: c.underlay.kernel(family)[prefix]["type"] == UNREACHABLE, what="no loop for what no pod has")
    assert c.status()["node"]["podCidrs"] == [POD4, POD6]


def addresses_on_lo_only(c):
    c.api.patch_status("nodes", NAME, {"addresses": [{"type": "InternalIP", "address": a}
                                                     for a in (c.address4, c.address6, c.link.a4, "10.0.255.9")]})
    wait_for(lambda: len(c.status()["node"]["internalIps"]) == 4, what="four addresses")
    assert c.tor.has(f"{c.address4}/32") and not c.tor.has(f"{c.link.a4}/32") and not c.tor.has("10.0.255.9/32")
    c.node.address("lo", "10.0.255.9/32")
    c.sees("10.0.255.9")
    c.node.ip("addr", "del", "10.0.255.9/32", "dev", "lo")
    c.sees_not("10.0.255.9")


def label_that_excludes(c):
    c.api.patch("nodes", NAME, {"metadata": {"labels": {EXCLUDE: ""}}})
    c.sees_not(VIP)
    c.wait_why("lb", VIP, "exclude-from-external-load-balancers")
    assert c.tor.has(POD4, POD6)
    c.api.patch("nodes", NAME, {"metadata": {"labels": {EXCLUDE: None}}})
    c.sees(VIP)


def leaving(c, leave, come_back, what):
    """GRACEFUL_SHUTDOWN for as long as the grace, and no longer; what is the addresses that leave."""
    stay = [a for a in (VIP, POD4, c.address4) if a not in what]
    c.reload(drain=drain("3600s"))
    leave()
    wait_for(lambda: all(map(c.shut, what)), what=f"GRACEFUL_SHUTDOWN of {what}")
    assert not any(map(c.shut, stay)), "more than what leaves"
    assert c.status()["node"]["drain"] == "graceful-shutdown"
    come_back()
    wait_for(lambda: not any(map(c.shut, what)), what="all as before")
    assert c.status()["node"]["drain"] == "off"
    c.reload(drain=drain("1s"))
    leave()
    c.sees_not(*what)
    assert c.status()["node"]["drain"] == "withdrawn"
    for address in stay:
        c.sees(address)
    come_back()
    c.sees(*what)
    assert not any(map(c.shut, what))


def cordon(c):
    cordoned = lambda value: lambda: c.api.patch("nodes", NAME, {"spec": {"unschedulable": value}})
    leaving(c, cordoned(True), cordoned(None), [VIP])
    c.reload(drain=drain("1s", cordon=False))
    with c.quiet():
        cordoned(True)()
        wait_for(lambda: c.status()["node"]["cordoned"], what="the cordon is seen")
    cordoned(None)()


def taint(c):
    others = c.api.get("nodes", NAME)["spec"].get("taints", [])
    tainted = lambda *more: lambda: c.api.patch("nodes", NAME, {"spec": {"taints": others + list(more)}})
    tainted({"key": "other", "effect": "NoExecute"})()
    wait_for(lambda: "other:NoExecute" in c.status()["node"]["taints"], what="a taint that means nothing")
    assert c.status()["node"]["drain"] == "off"
    leaving(c, tainted({"key": "maintenance", "value": "now", "effect": "NoExecute"}), tainted(), [VIP])


def deletion(c):
    leaving(c, lambda: c.api.delete("nodes", NAME), lambda: c.put(c.this_node()), [VIP, POD4, POD6, c.address4])


@cases(timeout=180)
@feature("Kubernetes: the node's object", peer="frr")
def test_the_node_follows_its_object(lab):
    c = Cluster(lab)
    c.kube.start()
    c.start()
    for step in (not_known_yet, addresses_on_lo_only, with_a_service, label_that_excludes, cordon, taint, deletion):
        step(c)


@cases(timeout=180)
@feature("Kubernetes: readiness", peer="frr")
def test_the_node_is_told_to_be_ready(lab):
    c = Cluster(lab, kubernetes={"readiness": {"taint": "underlay.io/not-ready:NoSchedule", "network-unavailable": True}})
    c.kube.start()
    node = c.this_node(taints=[NOT_READY, {"key": "other", "effect": "NoSchedule"}])
    node["status"]["conditions"] = [{"type": "NetworkUnavailable", "status": "True", "reason": "NoRouteCreated"},
                                    {"type": "Ready", "status": "True"}]
    c.put(node)
    c.start()
    taints = lambda: [t["key"] for t in c.api.get("nodes", NAME)["spec"].get("taints", [])]
    wait_for(lambda: "403" in str(c.status()), what="the plain account may not patch")
    assert NOT_READY["key"] in taints()
    with open(os.path.join(ROOT, "contrib/kubernetes/readiness/rbac.yaml")) as file:
        c.api.apply(file.read())
    wait_for(lambda: NOT_READY["key"] not in taints(), 30, "the taint is removed")
    assert "other" in taints(), "of others"
    condition = lambda: {x["type"]: x["status"] for x in c.api.get("nodes", NAME)["status"]["conditions"]}
    wait_for(lambda: condition() == {"NetworkUnavailable": "False", "Ready": "True"}, what="the condition")
    c.sees(POD4)
