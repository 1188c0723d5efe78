"""BGP unnumbered and IPv6 next hops for IPv4 routes (RFC 8950), with no address on the links but the kernel's own."""
import os
import socket
import struct

import rawbgp as bgp
from lab import never_during, wait_for
from peers import PEERS, Bird, ExaBgp, Frr, GoBgp, Neighbor
from rack import Rack, attributes
from runner import cases, feature
from topology import FAR4, FAR6, NODE_AS, POD4, POD6, PODS, TOR_AS
from underlay import Underlay, on_interface, tor


def link_local(node, device):
    """The address that the kernel gave to a link, once duplicate detection is done."""
    def usable():
        for row in node.ip_json("-6", "addr", "show", "dev", device, "scope", "link"):
            for a in row.get("addr_info", []):
                if "local" in a and not a.get("tentative"):
                    return a["local"]
        return None
    return wait_for(usable, what=f"a link-local address on {device}")


def bare_link(lab, a, b, **names):
    return lab.link(a, b, number=0, **names)


def vias(node, prefix):
    """(device, family, gateway) of each next hop of an IPv4 route in the kernel, as iproute2 shows it."""
    route = node.routes("ipv6" if ":" in prefix else "ipv4")[prefix]
    hops = route.get("nexthops") or [route]
    return sorted((h["dev"], h["via"]["family"] if "via" in h else "same", h["via"]["host"] if "via" in h else h["gateway"])
                  for h in hops)


def frr_on(node, links, asn=TOR_AS, router_id="10.255.0.1", **options):
    """An FRR with an unnumbered peer on each link."""
    mine = [link.dev_b if link.b is node else link.dev_a for link in links]
    return Frr(node, asn, router_id, [Neighbor(dev, "external", interface=True, **options) for dev in mine])


class Bare:
    """A node and a ToR on a link without addresses."""

    def __init__(self, lab, peer=None, neighbor=None, **sections):
        self.lab, self.node, self.tor_node = lab, lab.node("node"), lab.node("tor").forward()
        self.link = bare_link(lab, self.node, self.tor_node)
        self.tor = frr_on(self.tor_node, [self.link], **(neighbor or {}))
        self.device = self.link.dev_a
        self.underlay = Underlay(self.node, [on_interface(self.device, **(peer or {}))],
                                 **{"advertise": PODS, **sections})

    def up(self):
        self.tor.start()
        self.underlay.start()
        self.underlay.wait_established()
        return self


@feature("Unnumbered: link-local session", "RFC 8950 IPv4 over IPv6 next hops", peer="frr")
def test_frr_without_any_address(lab):
    bare = Bare(lab).up()
    theirs = link_local(bare.tor_node, bare.link.dev_b)
    info = bare.underlay.neighbor()
    assert info["bgpNeighborAddr"] == theirs, info
    assert "advertisedAndReceived" in str(info["neighborCapabilities"]["extendedNexthop"]), info["neighborCapabilities"]
    assert bare.underlay.summary()["peers"][bare.device]["idType"] == "interface"
    bare.tor.announce(FAR4, FAR6)
    wait_for(lambda: bare.underlay.installed(FAR4, FAR6), what="both families in the kernel")
    assert vias(bare.node, FAR4) == [(bare.device, "inet6", theirs)]
    assert vias(bare.node, FAR6) == [(bare.device, "same", theirs)]
    (shown,) = [r for r in bare.underlay.ctl("show ip route") if r["dst"] == FAR4]
    assert shown["via"] == {"family": "inet6", "host": theirs} and shown["dev"] == bare.device, shown
    wait_for(lambda: bare.tor.has(POD4, POD6), what="the pods at the ToR")
    mine = link_local(bare.node, bare.device)
    assert {bare.tor.routes(f)[p]["next_hop"] for f, p in (("ipv4", POD4), ("ipv6", POD6))} == {mine}
    text = bare.underlay.ctl(f"show bgp neighbors {bare.device}", json_out=False).stdout
    assert f"BGP neighbor on {bare.device}: {theirs}, remote AS {TOR_AS}" in " ".join(text.split()), text


def pod(lab, node, number):
    """A pod behind a node: 10.244.N.2 and fd00:10:244:N::2; the node forwards."""
    inside = lab.node(f"pod-{node.name}")
    link = bare_link(lab, node.forward(), inside, dev_a="pods", dev_b="eth0")
    node.address(link.dev_a, f"10.244.{number}.1/24", f"fd00:10:244:{number}::1/64")
    inside.address(link.dev_b, f"10.244.{number}.2/24", f"fd00:10:244:{number}::2/64")
    inside.ip("route", "add", "default", "via", f"10.244.{number}.1")
    inside.ip("-6", "route", "add", "default", "via", f"fd00:10:244:{number}::1")
    return inside


def pods_of(number):
    return [f"10.244.{number}.0/24", f"fd00:10:244:{number}::/64"]


class Fabric:
    """Two nodes with a pod each, under one or two ToRs, and not an address between them."""

    def __init__(self, lab, tors=1):
        self.nodes = [lab.node(f"node{i}") for i in (1, 2)]
        self.top = [lab.node(f"tor{i + 1}").forward() for i in range(tors)]
        self.links = {(n.name, t.name): bare_link(lab, n, t) for n in self.nodes for t in self.top}
        self.pods = [pod(lab, n, i + 1) for i, n in enumerate(self.nodes)]
        self.frr = [frr_on(t, [self.links[n.name, t.name] for n in self.nodes], TOR_AS + i, f"10.255.0.{i + 1}")
                    for i, t in enumerate(self.top)]
        self.daemons = []
        for i, n in enumerate(self.nodes):
            n.address("lo", f"10.255.1.{i + 1}/32")
            peers = [on_interface(self.links[n.name, t.name].dev_a) for t in self.top]
            self.daemons.append(Underlay(n, peers, NODE_AS + i, id=f"10.255.1.{i + 1}",
                                         advertise={"pod-cidrs": pods_of(i + 1), "interfaces": ["lo"]}))

    def up(self):
        for daemon in (*self.frr, *self.daemons):
            daemon.start()
        for d in self.daemons:
            d.wait_established()
        for i, d in enumerate(self.daemons):
            wait_for(lambda: all(len(vias(d.node, p)) == len(self.top) for p in pods_of(2 - i) if d.installed(p))
                     and d.installed(*pods_of(2 - i)), what="the other node's pods, over every ToR")
        return self

    def pings(self):
        return all(self.pods[0].run("ping", "-c", "1", "-W", "1", a, check=False).returncode == 0
                   for a in ("10.244.2.2", "fd00:10:244:2::2"))


@cases((1,), (2,))
@feature("Unnumbered: pod to pod", peer="frr")
def test_pods_reach_pods(lab, tors):
    fabric = Fabric(lab, tors).up()
    wait_for(fabric.pings, what="pod to pod, IPv4 and IPv6")
    source = fabric.nodes[0].run("ping", "-c", "1", "-W", "1", "10.244.2.2", check=False)
    assert source.returncode == 0, "the node itself, by its address on lo"


@feature("Unnumbered: follows the interface", peer="frr")
def test_two_tors_and_one_of_the_links_goes(lab):
    fabric = Fabric(lab, 2).up()
    wait_for(fabric.pings)
    daemon, link = fabric.daemons[0], fabric.links["node1", "tor1"]
    link.down(fabric.top[0])
    wait_for(lambda: not daemon.established(link.dev_a), 3, "the session ends with the link")
    assert daemon.neighbor(link.dev_a)["lastReset"] == f"interface {link.dev_a} is down"
    wait_for(lambda: len(vias(daemon.node, "10.244.2.0/24")) == 1, what="one next hop is left")
    wait_for(fabric.pings, what="over the other ToR")
    link.up(fabric.top[0])
    daemon.wait_established(link.dev_a)
    wait_for(lambda: len(vias(daemon.node, "10.244.2.0/24")) == 2, what="both again")


def why(underlay, name=None):
    return underlay.neighbor(name).get("notEstablishedBecause", "")


@feature("Unnumbered: follows the interface", peer="frr")
def test_interface_that_comes_and_goes(lab):
    """It is not there at first, then down, then nobody is heard, then it works; deleted and made again; renamed."""
    node, tor_node = lab.node("node"), lab.node("tor").forward()
    underlay = Underlay(node, [on_interface("up0")], advertise=PODS).start()
    wait_for(lambda: why(underlay) == "interface up0 does not exist", what="the reason: no interface")
    text = underlay.ctl("show bgp neighbors up0", json_out=False).stdout
    assert "BGP neighbor on up0: None" in text and "Check:" in text, text
    link = bare_link(lab, node, tor_node, dev_a="up0", dev_b="down0")
    node.ip("link", "set", "up0", "down")
    wait_for(lambda: why(underlay) == "interface up0 is down", what="the reason: down")
    node.ip("link", "set", "up0", "up")
    wait_for(lambda: why(underlay) == "no router advertisement heard on up0 yet", what="the reason: nobody there")
    assert underlay.neighbor()["bgpNeighborAddr"] == "none"
    frr = frr_on(tor_node, [link])
    frr.start()
    underlay.wait_established()
    frr.announce(FAR4)
    wait_for(lambda: underlay.installed(FAR4))
    node.ip("link", "del", "up0")
    wait_for(lambda: why(underlay) == "interface up0 does not exist" and underlay.gone(FAR4), 3, "gone at once")
    bare_link(lab, node, tor_node, dev_a="up0", dev_b="down0")
    underlay.wait_established(timeout=30)
    wait_for(lambda: underlay.installed(FAR4), what="over the new interface of the same name")
    node.ip("link", "set", "up0", "name", "other0")
    wait_for(lambda: why(underlay) == "interface up0 does not exist", 3, "renamed: gone")
    node.ip("link", "set", "other0", "name", "up0")
    underlay.wait_established()


def test_routes_of_a_lost_link_are_gone_without_the_hold_time(lab):
    bare = Bare(lab, peer={"hold_time": "90s"}).up()
    bare.tor.announce(FAR4, FAR6)
    wait_for(lambda: bare.underlay.installed(FAR4, FAR6))
    bare.link.down(bare.tor_node)
    wait_for(lambda: not bare.underlay.rib().get(FAR4), 3, "the routes of the session")


@feature("Unnumbered: MD5 and GTSM", peer="frr")
def test_md5_and_gtsm(lab):
    bare = Bare(lab, peer={"password": "secret", "ttl_security": 1}, neighbor={"password": "secret", "ttl_security": 1})
    bare.up()
    bare.tor.announce(FAR4)
    wait_for(lambda: bare.underlay.installed(FAR4))
    bare.underlay.command("clear bgp *")
    wait_for(lambda: bare.underlay.neighbor()["connectionsEstablished"] > 1 and bare.underlay.established())


def test_wrong_password_stays_down(lab):
    bare = Bare(lab, peer={"password": "secret"}, neighbor={"password": "other"})
    bare.tor.start()
    bare.underlay.start()
    wait_for(lambda: bare.underlay.neighbor()["bgpNeighborAddr"] != "none", what="the ToR is heard")
    never_during(bare.underlay.established, 4, "two different keys")


@cases((True,), (False,))
def test_who_connects(lab, passive):
    """Either side may be the one that connects."""
    bare = Bare(lab, peer={"passive": passive}, neighbor={"passive": not passive}).up()
    port = "portLocal" if passive else "portForeign"
    assert bare.underlay.neighbor()[port] == 179


def bird_on(node, link, remote, asn=TOR_AS, **options):
    """BIRD has no discovery: it is told the link-local address of the other side."""
    device, other = (link.dev_b, link.dev_a) if link.b is node else (link.dev_a, link.dev_b)
    link_local(node, device)
    return Bird(node, asn, "10.255.0.1", [Neighbor(f"{link_local(remote, other)}%'{device}'", NODE_AS, **options)])


@cases((True,), (False,))
@feature("Unnumbered: link-local session", "RFC 8950 IPv4 over IPv6 next hops", peer="bird")
def test_bird(lab, extended):
    """It does not advertise itself, so it is known only when it connects. Without RFC 8950 there is no IPv4, and why is told."""
    node, tor_node = lab.node("node"), lab.node("tor").forward()
    link = bare_link(lab, node, tor_node)
    bird = bird_on(tor_node, link, node, extended_nexthop=extended)
    underlay = Underlay(node, [on_interface(link.dev_a)], advertise=PODS).start()
    wait_for(lambda: why(underlay).startswith("no router advertisement"), what="nobody advertises")
    bird.start()
    underlay.wait_established()
    bird.announce(FAR4, FAR6)
    wait_for(lambda: underlay.installed(FAR6) and bird.has(POD6), what="IPv6")
    theirs = link_local(tor_node, link.dev_b)
    if extended:
        wait_for(lambda: underlay.installed(FAR4) and bird.has(POD4), what="IPv4")
        assert vias(node, FAR4) == [(link.dev_a, "inet6", theirs)]
        return
    family = underlay.neighbor()["addressFamilyInfo"]["ipv4Unicast"]
    assert "takes no IPv6 next hops" in family["notInUse"], family
    assert not underlay.installed(FAR4)


@feature("Unnumbered: link-local session", "RFC 8950 IPv4 over IPv6 next hops", peer="gobgp")
def test_gobgp(lab):
    """GoBGP advertises nothing and looks for the other side in the kernel's neighbour table."""
    node, tor_node = lab.node("node"), lab.node("tor").forward()
    link = bare_link(lab, node, tor_node)
    mine, theirs = link_local(node, link.dev_a), link_local(tor_node, link.dev_b)
    underlay = Underlay(node, [on_interface(link.dev_a)], advertise=PODS).start()
    known = ("neigh", "show", "dev", link.dev_b)
    wait_for(lambda: mine in tor_node.ip("-6", *known).stdout, what="our advertisement makes us a neighbour")
    gobgp = GoBgp(tor_node, TOR_AS, "10.255.0.1", [Neighbor(link.dev_b, NODE_AS, interface=True)])
    gobgp.start()
    underlay.wait_established()
    gobgp.gobgp("global", "rib", "add", "-a", "ipv6", FAR6, "nexthop", theirs)
    wait_for(lambda: underlay.installed(FAR6) and gobgp.has(POD6), what="IPv6")
    gobgp.gobgp("global", "rib", "add", "-a", "ipv4", FAR4, "nexthop", theirs)
    wait_for(lambda: underlay.installed(FAR4) and gobgp.has(POD4), what="IPv4")
    assert vias(node, FAR4) == [(link.dev_a, "inet6", theirs)]


@feature("RFC 8950 IPv4 over IPv6 next hops", peer="exabgp")
def test_exabgp(lab):
    node, tor_node = lab.node("node"), lab.node("tor")
    link = bare_link(lab, node, tor_node)
    node.address(link.dev_a, "fd00::a/64")
    tor_node.address(link.dev_b, "fd00::b/64")
    peer = ExaBgp(tor_node, TOR_AS, "10.255.0.1", [Neighbor("fd00::a", NODE_AS, local="fd00::b", extra=(
        "capability { nexthop enable; }", "nexthop { ipv4 unicast ipv6; }"))])
    underlay = Underlay(node, [tor("fd00::b")], advertise=PODS).start()
    peer.start()
    underlay.wait_established()
    peer.command(f"announce route {FAR4} next-hop fd00::b")
    wait_for(lambda: underlay.installed(FAR4) and peer.has(POD4, POD6), what="IPv4 both ways")
    assert vias(node, FAR4) == [(link.dev_a, "inet6", "fd00::b")]


@cases(("frr",), ("bird",))
@feature("RFC 8950 IPv4 over IPv6 next hops")
def test_extended_next_hop_between_addresses(lab, kind):
    """A numbered IPv6 session on a link without IPv4."""
    node, tor_node = lab.node("node"), lab.node("tor").forward()
    link = bare_link(lab, node, tor_node)
    node.address(link.dev_a, "fd00::a/64")
    tor_node.address(link.dev_b, "fd00::b/64")
    peer = PEERS[kind](tor_node, TOR_AS, "10.255.0.1", [Neighbor("fd00::a", NODE_AS, extended_nexthop=True)])
    underlay = Underlay(node, [tor("fd00::b")], advertise=PODS).start()
    peer.start()
    underlay.wait_established()
    peer.announce(FAR4, FAR6)
    wait_for(lambda: underlay.installed(FAR4, FAR6) and peer.has(POD4, POD6), what="both families, both ways")
    assert vias(node, FAR4) == [(link.dev_a, "inet6", "fd00::b")]
    assert underlay.neighbor()["nexthop"] == "fd00::a"
    peer.withdraw(FAR4)
    wait_for(lambda: underlay.gone(FAR4), what="withdrawn")


@cases((None,), (False,))
@feature("RFC 8950: one side without it", peer="frr")
def test_extended_next_hop_that_is_not_agreed_on(lab, ours):
    """One side does not offer it: IPv4 needs an address on the link, and until there is one its absence is explained."""
    node, tor_node = lab.node("node"), lab.node("tor").forward()
    link = bare_link(lab, node, tor_node)
    node.address(link.dev_a, "fd00::a/64")
    tor_node.address(link.dev_b, "fd00::b/64")
    frr = Frr(tor_node, TOR_AS, "10.255.0.1", [Neighbor("fd00::a", NODE_AS, extended_nexthop=ours is False)])
    underlay = Underlay(node, [tor("fd00::b", extended_nexthop=ours)], advertise=PODS).start()
    frr.start()
    underlay.wait_established()
    frr.announce(FAR4, FAR6)
    wait_for(lambda: underlay.installed(FAR6) and frr.has(POD6), what="IPv6")
    why_not = underlay.neighbor()["addressFamilyInfo"]["ipv4Unicast"]["notInUse"]
    assert "no usable IPv4 address" in why_not, why_not
    assert not underlay.installed(FAR4) and not frr.has(POD4)
    node.address(link.dev_a, "10.0.1.0/31")
    tor_node.address(link.dev_b, "10.0.1.1/31")
    underlay.command("clear bgp *")
    wait_for(lambda: underlay.installed(FAR4) and frr.has(POD4), what="with IPv4 addresses on the link")
    assert vias(node, FAR4) == [(link.dev_a, "same", "10.0.1.1")]


@feature("RFC 8950: ECMP of both families", peer="frr")
def test_one_prefix_over_both_kinds_of_next_hop(lab):
    node, tops = lab.node("node"), [lab.node(f"tor{i}").forward() for i in (1, 2)]
    numbered, bare = lab.link(node, tops[0]), bare_link(lab, node, tops[1])
    one = Frr(tops[0], TOR_AS, "10.255.0.1", [Neighbor(numbered.a4, NODE_AS)], networks=[FAR4])
    two = frr_on(tops[1], [bare], TOR_AS + 1, "10.255.0.2")
    two.networks = [FAR4]
    underlay = Underlay(node, [tor(numbered.b4), on_interface(bare.dev_a)], advertise=PODS).start()
    one.start()
    two.start()
    underlay.wait_established()
    theirs = link_local(tops[1], bare.dev_b)
    both = sorted([(numbered.dev_a, "same", numbered.b4), (bare.dev_a, "inet6", theirs)])
    wait_for(lambda: underlay.installed(FAR4) and vias(node, FAR4) == both, what="a group of two families")
    numbered.down()
    wait_for(lambda: vias(node, FAR4) == both[:1] if both[0][1] == "inet6" else both[1:], what="only the IPv6 next hop")


@feature("Unnumbered: two routers on a link", peer="frr")
def test_a_second_router_on_the_link(lab):
    """The present one keeps the session while it lives; when it is gone the other one takes its place."""
    node, hub = lab.node("node"), lab.node("hub")
    tops = [lab.node(f"tor{i}").forward() for i in (1, 2)]
    hub.ip("link", "add", "br0", "type", "bridge")
    hub.ip("link", "set", "br0", "up")
    links = [bare_link(lab, n, hub, dev_a="up0", dev_b=f"port-{n.name}") for n in (node, *tops)]
    for link in links:
        hub.ip("link", "set", link.dev_b, "master", "br0")
    frrs = [frr_on(t, [link], TOR_AS + i, f"10.255.0.{i + 1}") for i, (t, link) in enumerate(zip(tops, links[1:]))]
    first, second = (link_local(t, "up0") for t in tops)
    underlay = Underlay(node, [on_interface("up0")], advertise=PODS)
    frrs[0].start()
    underlay.start()
    underlay.wait_established()
    drops = underlay.neighbor()["connectionsDropped"]
    assert underlay.neighbor()["bgpNeighborAddr"] == first
    frrs[1].start()
    wait_for(lambda: "second router on the interface" in underlay.process.output(), what="it says that there are two")
    never_during(lambda: underlay.neighbor()["bgpNeighborAddr"] != first or not underlay.established(), 3, "swapped")
    assert underlay.neighbor()["connectionsDropped"] == drops
    frrs[0].kill()
    tops[0].ip("link", "set", "up0", "down")
    wait_for(lambda: underlay.neighbor()["bgpNeighborAddr"] == second and underlay.established(), 60, "the other one")
    assert underlay.neighbor()["remoteAs"] == TOR_AS + 1


def test_peers_come_and_go_by_reload(lab):
    """The raw socket is asked for when the first unnumbered peer comes, long after the privileges are gone."""
    node, tor_node = lab.node("node"), lab.node("tor").forward()
    links = [bare_link(lab, node, tor_node, dev_a=f"up{i}", dev_b=f"down{i}") for i in range(2)]
    frr = frr_on(tor_node, links)
    frr.start()
    underlay = Underlay(node, [], advertise=PODS).start()
    underlay.config["peers"] = [on_interface("up0")]
    underlay.write()
    underlay.command("reload")
    underlay.wait_established("up0")
    sessions = underlay.neighbor("up0")["connectionsEstablished"]
    underlay.config["peers"] = [on_interface("up1"), on_interface("up0", description="tor-a")]
    underlay.write()
    underlay.command("reload")
    underlay.wait_established("up1")
    assert underlay.neighbor("up0")["connectionsEstablished"] == sessions and underlay.neighbor("up0")["nbrDesc"] == "tor-a"
    underlay.command("neighbor tor-a shutdown")
    wait_for(lambda: underlay.state("up0") == "Idle")
    underlay.command("no neighbor up0 shutdown")
    underlay.wait_established("up0")
    underlay.config["peers"] = [on_interface("up1")]
    underlay.write()
    underlay.command("reload")
    wait_for(lambda: not frr.established("down0") and frr.established("down1"), what="only the second is left")


@feature("Unnumbered: link-local session", peer="underlay")
def test_two_of_ours_back_to_back(lab):
    a, b = lab.node("a"), lab.node("b")
    link = bare_link(lab, a, b)
    one = Underlay(a, [on_interface(link.dev_a)], id="10.255.1.1", advertise={"pod-cidrs": pods_of(1)}).start()
    two = Underlay(b, [on_interface(link.dev_b)], NODE_AS + 1, id="10.255.1.2", advertise={"pod-cidrs": pods_of(2)}).start()
    one.wait_established()
    two.wait_established()
    wait_for(lambda: one.installed(*pods_of(2)) and two.installed(*pods_of(1)), what="each other's pods")
    assert vias(a, "10.244.2.0/24") == [(link.dev_a, "inet6", link_local(b, link.dev_b))]
    before = one.neighbor()["connectionsEstablished"]
    b.run("kill", "-9", str(two.speaker()))
    wait_for(lambda: one.neighbor()["connectionsEstablished"] > before and one.established(), what="a speaker that dies")


@feature("Unnumbered: link-local session", peer="frr")
def test_one_link_local_address_everywhere(lab):
    """fe80::1 at both ToRs, and on a bridge of our own: only the interface tells them apart."""
    node, tops = lab.node("node"), [lab.node(f"tor{i}").forward() for i in (1, 2)]
    links = [bare_link(lab, node, t) for t in tops]
    node.ip("link", "add", "docker0", "type", "bridge")
    node.ip("link", "set", "docker0", "up")
    for n, device in ((node, "docker0"), *((t, link.dev_b) for t, link in zip(tops, links))):
        n.ip("-6", "addr", "flush", "dev", device)
        n.address(device, "fe80::1/64")
    frrs = [frr_on(t, [link], TOR_AS + i, f"10.255.0.{i + 1}") for i, (t, link) in enumerate(zip(tops, links))]
    for frr in frrs:
        frr.networks = [FAR4, FAR6]
        frr.start()
    underlay = Underlay(node, [on_interface(link.dev_a) for link in links], advertise=PODS).start()
    underlay.wait_established()
    wait_for(lambda: underlay.installed(FAR4, FAR6) and vias(node, FAR4) == sorted(
        (link.dev_a, "inet6", "fe80::1") for link in links), what="both next hops, one address")
    links[0].down(tops[0])
    wait_for(lambda: vias(node, FAR4) == [(links[1].dev_a, "inet6", "fe80::1")], what="one of them")
    assert underlay.established(links[1].dev_a)


ADVERTISEMENT = struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)


class Advertiser:
    """A raw ICMPv6 socket of the test's own in the other node."""

    def __init__(self, node, device):
        self.sock = bgp.socket_in(node, socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self.index = int(node.ip_json("link", "show", "dev", device)[0]["ifindex"])
        self.hops(255)
        self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, self.index)

    def hops(self, number):
        self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, number)

    def source(self, address):
        self.sock.bind((address, 0, 0, self.index))

    def say(self, packet, to="ff02::1"):
        self.sock.sendto(packet, (to, 0, 0, self.index))


def test_advertisements_that_must_be_discarded(lab):
    """RFC 4861 6.1.2: nothing of it names a peer; a flood of it, and of good ones, costs nobody anything."""
    node, far = lab.node("node"), lab.node("far")
    link = bare_link(lab, node, far)
    far.address(link.dev_b, "fd00::b/64")
    theirs = link_local(far, link.dev_b)
    underlay = Underlay(node, [on_interface(link.dev_a)], advertise=PODS).start()
    pid = underlay.speaker()
    wait_for(lambda: why(underlay).startswith("no router advertisement"))
    bad = Advertiser(far, link.dev_b)
    bad.hops(64)
    bad.say(ADVERTISEMENT)
    bad.hops(255)
    for packet in (ADVERTISEMENT[:15], b"\x86\x01" + ADVERTISEMENT[2:], ADVERTISEMENT + b"\x01\x00",
                   ADVERTISEMENT + b"\x01\x00" + b"\0" * 6, ADVERTISEMENT + b"\x01\x02" + b"\0" * 6,
                   b"\x85\x00" + b"\0" * 6, ADVERTISEMENT + os.urandom(1400)):
        for _ in range(100):
            bad.say(packet)
    stranger = Advertiser(far, link.dev_b)
    stranger.source("fd00::b")
    stranger.say(ADVERTISEMENT)
    never_during(lambda: underlay.neighbor()["bgpNeighborAddr"] != "none", 2, "it believed one of these")
    assert underlay.neighbor()["routerAdvertisementsRecv"] == 0
    bad.say(ADVERTISEMENT)
    wait_for(lambda: underlay.neighbor()["bgpNeighborAddr"] == theirs, what="a good one is believed")
    for _ in range(20000):
        bad.say(ADVERTISEMENT)
    assert underlay.speaker() == pid and underlay.neighbor()["bgpNeighborAddr"] == theirs


def test_an_ipv4_link_local_next_hop(lab):
    """169.254/16 means nothing without a scope, but a peer may say it; the privileged process takes none with IPv4."""
    rack = Rack(lab)
    peer = rack.session()
    peer.send(bgp.update(attributes(hop="169.254.1.1"), bgp.nlri(FAR4)))
    wait_for(lambda: FAR4 in rack.underlay.rib(), what="the path is known")
    rack.unharmed()
