"""The CNI configuration: written when the node can route, and good for the reference plugins."""
import ipaddress
import json
import os
import socket

import cni
import netns
from lab import never_during, wait_for
from peers import Frr, Neighbor
from runner import cases, feature
from topology import POD4, POD6, Pair
from underlay import Underlay, tor


def configuration(lab, node, **keys):
    return {"write": os.path.join(lab.dir, f"{node}-cni/net.d/10-underlay.conflist"), **keys}


class Cluster:
    """Two nodes below one ToR, each with pod CIDRs of its own and a container runtime."""

    def __init__(self, lab, **keys):
        self.lab, self.tor_node = lab, lab.node("tor").forward()
        self.links, self.underlays, self.runtimes, neighbors = [], [], [], []
        for i in (1, 2):
            node = lab.node(f"node{i}").forward()
            link = lab.link(node, self.tor_node)
            config = configuration(lab, node.name, **keys)
            neighbors.append(Neighbor(link.a4, 65100 + i, link.b4, link.b4, link.b6))
            self.underlays.append(Underlay(node, [tor(link.b4)], asn=65100 + i, id=f"10.255.1.{i}", cni=config,
                                           advertise={"pod-cidrs": self.cidrs(i)}))
            self.runtimes.append(cni.Runtime(node, config["write"]))
            self.links.append(link)
        self.tor = Frr(self.tor_node, 65001, "10.255.0.1", neighbors)

    @staticmethod
    def cidrs(i):
        return [f"10.244.{i}.0/24", f"fd00:10:244:{i}::/64"]

    def up(self):
        self.tor.start()
        for underlay in self.underlays:
            underlay.start()
        for i, underlay in enumerate(self.underlays, 1):
            wait_for(lambda: os.path.exists(underlay.config["cni"]["write"]), 20, "the CNI configuration is there")
            wait_for(lambda: underlay.installed(*self.cidrs(3 - i)), what="routes to the other node's pods")
        return self


def speaks_to(pod, other, family):
    """A connection from one pod to the other, which sees it come from the pod's own address."""
    af = socket.AF_INET6 if family == "ipv6" else socket.AF_INET
    with netns.inside(other.netns):
        server = socket.create_server((other.addresses[family], 0), family=af)
    with server, netns.inside(pod.netns):
        with socket.create_connection(server.getsockname()[:2], timeout=10):
            accepted, sender = server.accept()
            accepted.close()
    return sender[0] == pod.addresses[family]


@cases(("bridge",), ("ptp",))
@feature("CNI: pods over the underlay", peer="frr")
def test_pods_reach_each_other_across_nodes_by_their_own_addresses(lab, plugin):
    cluster = Cluster(lab, plugin=plugin, mtu=1400).up()
    here, there = cluster.runtimes
    one = here.pod("pod1")
    # Without any pod there: nothing but the unreachable route is below the other node's pod CIDR.
    nobody = {"10.244.2.77": cluster.links[1].a4, "fd00:10:244:2::77": cluster.links[1].a6}
    assert all(one.told_unreachable(address, by=node) for address, node in nobody.items())
    beside, far = here.pod("pod2"), there.pod("pod3")
    for pod, i in ((one, 1), (beside, 1), (far, 2)):
        for family, cidr in zip(("ipv4", "ipv6"), cluster.cidrs(i)):
            assert ipaddress.ip_address(pod.addresses[family]) in ipaddress.ip_network(cidr), pod.addresses
        assert pod.node.ip_json("link", "show", "eth0")[0]["mtu"] == 1400
    for family in ("ipv4", "ipv6"):
        for a, b in ((one, beside), (one, far), (far, one)):
            wait_for(lambda: a.ping(b.addresses[family])[0], what=f"{a.netns} reaches {b.netns} over {family}")
            assert speaks_to(a, b, family), "the address was translated"
    if plugin == "bridge":  # the kernel is to give up looking for a neighbour at once, instead of after three seconds
        for table in ("arp_cache", "ndisc_cache"):
            there.node.ip("ntable", "change", "name", table, "dev", "cni0", "retrans", "100")
    assert all(one.told_unreachable(address, by=node) for address, node in nobody.items())
    here.remove(beside)
    assert here.pod("pod4").ping(far.addresses["ipv4"])[0]


@feature("CNI: pods over the underlay", peer="frr")
def test_configuration_is_there_only_once_the_node_can_route_and_stays(lab):
    config = configuration(lab, "node")
    pair = Pair(lab, cni=config, router={"on-stop": "preserve"})
    pair.underlay.start()
    never_during(lambda: os.path.exists(os.path.dirname(config["write"])), 0.5, "written without a session")
    pair.tor.start()
    wait_for(lambda: os.path.exists(config["write"]), 20, "written")
    assert pair.underlay.established()
    assert os.stat(config["write"]).st_mode & 0o777 == 0o644
    assert os.listdir(os.path.dirname(config["write"])) == ["10-underlay.conflist"]

    def written():
        with open(config["write"]) as file:
            return json.load(file)["plugins"][0]

    ranges = [{"subnet": POD4}], [{"subnet": POD6}]
    assert written()["ipam"]["ranges"] == list(ranges) and "mtu" not in written(), written()
    file = os.stat(config["write"]).st_ino
    pair.underlay.restart()
    pair.wait_up()
    pair.underlay.command("reload")
    never_during(lambda: os.stat(config["write"]).st_ino != file, 0.5, "written again although it says the same")
    config["mtu"], config["plugin"] = 1400, "ptp"
    pair.underlay.write()
    pair.underlay.command("reload")
    wait_for(lambda: (written()["type"], written().get("mtu")) == ("ptp", 1400), what="written anew")
    pair.underlay.stop()
    assert os.path.exists(config["write"])
