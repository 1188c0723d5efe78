"""The few networks that most tests need: a node with one ToR, and a node with two."""
from lab import wait_for
from peers import PEERS, Neighbor
from underlay import Underlay, tor

NODE_AS, TOR_AS = 65100, 65001
POD4, POD6 = "10.244.7.0/24", "fd00:10:244:7::/64"
FAR4, FAR6 = "192.0.2.0/24", "2001:db8:2::/48"
PODS = {"pod-cidrs": [POD4, POD6]}


class Pair:
    """A node and one ToR of some kind on one link, with a session over IPv4 or IPv6.

    peer and neighbor are keys of underlayd's peer and of peers.Neighbor; more sections go into underlayd's configuration."""

    def __init__(self, lab, kind="frr", transport="ipv4", node_as=NODE_AS, tor_as=TOR_AS, peer=None, neighbor=None,
                 tor_options=None, networks=(), **sections):
        self.lab = lab
        self.node, self.tor_node = lab.node("node"), lab.node("tor")
        self.link = link = lab.link(self.node, self.tor_node)
        mine, theirs = (link.a4, link.b4) if transport == "ipv4" else (link.a6, link.b6)
        self.mine, self.theirs = mine, theirs
        self.tor = PEERS[kind](self.tor_node, tor_as, "10.255.0.1", networks=networks, neighbors=[
            Neighbor(mine, node_as, theirs, link.b4, link.b6, **(neighbor or {}))], **(tor_options or {}))
        peer = tor(theirs, **{"asn": tor_as, **(peer or {})})
        self.underlay = Underlay(self.node, [peer], asn=node_as, **{"advertise": PODS, **sections})

    def start(self):
        (peer,) = self.underlay.config["peers"][:1]
        if peer.get("passive") or "range" in peer:
            for n in self.tor.neighbors:  # one of the two has to connect
                n.passive = bool(n.passive)
        self.tor.start()
        self.underlay.start()
        return self

    def wait_up(self, timeout=20):
        self.underlay.wait_established(timeout=timeout)
        self.tor.wait_established(timeout=timeout)
        return self

    def up(self):
        return self.start().wait_up()

    def learn(self, *prefixes):
        """The ToR announces; wait until the node's kernel has them."""
        self.tor.announce(*prefixes)
        wait_for(lambda: self.underlay.installed(*prefixes), what=f"in the kernel: {' '.join(prefixes[:4])}")


class Dual:
    """A node with two ToRs, each with a link and an AS of its own."""

    def __init__(self, lab, kinds=("frr", "frr"), **sections):
        self.node, self.tors, self.links = lab.node("node"), [], []
        for i, kind in enumerate(kinds):
            tor_node = lab.node(f"tor{i + 1}")
            link = lab.link(self.node, tor_node)
            self.links.append(link)
            self.tors.append(PEERS[kind](tor_node, TOR_AS + i, f"10.255.0.{i + 1}", [
                Neighbor(link.a4, NODE_AS, link.b4, link.b4, link.b6)]))
        self.underlay = Underlay(self.node, [tor(link.b4) for link in self.links], **{"advertise": PODS, **sections})

    def up(self):
        for peer in self.tors:
            peer.start()
        self.underlay.start()
        self.underlay.wait_established()
        return self

    def learn(self, *prefixes):
        """Both announce the same; wait until the kernel has two next hops for each."""
        for peer in self.tors:
            peer.announce(*prefixes)
        wait_for(lambda: all(len(self.underlay.next_hops(p)) == 2 for p in prefixes), what="two next hops in the kernel")


def gateways(route):
    """The (device, gateway) pairs of a kernel route as iproute2 prints it, with one next hop or a group."""
    hops = route.get("nexthops") or [route]
    return [(h.get("dev"), h.get("gateway") or h.get("via", {}).get("host")) for h in hops]


def leads_over(route, link):
    """True when a kernel route has one next hop: the ToR's end of the link. IPv6 also by its link-local address."""
    ((device, gateway),) = gateways(route)
    return device == link.dev_a and (gateway in (link.b4, link.b6) or (gateway or "").startswith("fe80::"))


def prefixes(count, family="ipv4"):
    """Any number of distinct prefixes of one family."""
    if family == "ipv4":
        return [f"172.{16 + i // 65536}.{i // 256 % 256}.{i % 256}/32" for i in range(count)]
    return [f"2001:db8:ffff:{i + 1:x}::/64" for i in range(count)]


