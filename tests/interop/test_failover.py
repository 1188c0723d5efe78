"""Failover: the kernel's groups change first, whatever the number of routes; then the routes, at leisure."""
from lab import wait_for
from peers import Frr, Neighbor
from runner import cases, feature
from topology import FAR4, FAR6, NODE_AS, POD4, PODS, Dual, Pair, gateways, leads_over, prefixes
from underlay import Underlay, tor

FAR, POD = "192.0.2.1", "10.244.7.1"
NO_GR = {"graceful-restart": {"enabled": False}}
MANY, MANY_START = prefixes(300), "172.16."


def objects(node):
    """Our nexthop objects by id, iproute2's JSON."""
    return {n["id"]: n for n in node.ip_json("nexthop", "show") if str(n.get("protocol")) == "87"}


class Stream:
    """Pings from a pod to an address that both ToRs have, without pause. They come back by static routes: only the
    node's forwarding is tried."""

    def __init__(self, dual):
        for link in dual.links:
            link.b.forward().ip("route", "replace", POD4, "via", link.a4)
            link.b.address("lo", f"{FAR}/32")
        dual.node.address("lo", f"{POD}/32")
        self.process = dual.node.start("ping", "-n", "-i", "0.002", "-W", "1", "-I", POD, FAR, log="stream.log")
        self.goes_on()

    def goes_on(self):
        so_far = self.process.output().count("time=")
        wait_for(lambda: self.process.output().count("time=") > so_far + 50, what="the pings are answered")

    def lost(self):
        self.goes_on()
        self.process.stop(2)
        summary = next(line for line in self.process.output().splitlines() if "packets transmitted" in line)
        sent, received = (int(part.split()[0]) for part in summary.split(", ")[:2])
        return sent - received


def first(events, *words):
    return next((i for i, line in enumerate(events) if any(w in line for w in words)), len(events))


def came_first(monitor, *words):
    """The kernel said one of these before anything of so many routes."""
    events = monitor.events()
    return first(events, *words) < first(events, MANY_START)


def over_one(dual, link, *wanted):
    routes = dual.underlay.kernel()
    return all(p in routes and leads_over(routes[p], link) for p in wanted)


def over_both(dual, *wanted):
    routes = dual.underlay.kernel()
    return all(p in routes and len(gateways(routes[p])) == 2 for p in wanted)


def two_paths(dual, prefix):
    return len(dual.underlay.ctl(f"show bgp {prefix}")["paths"]) == 2


@cases(("frr",), ("bird",))
@feature("Failover: an ECMP next hop goes by its nexthop object")
def test_session_lost_under_ecmp(lab, kind):
    dual = Dual(lab, (kind, "frr"), router=NO_GR).up()
    for peer in dual.tors:
        peer.announce(FAR4, *MANY)
    wait_for(lambda: over_both(dual, FAR4, *MANY), what="all lead over both ToRs")
    stream, monitor, before = Stream(dual), dual.node.monitor(), objects(dual.node)
    dual.tors[0].kill_bgp()
    wait_for(lambda: over_one(dual, dual.links[1], FAR4, *MANY), what="all lead over the other ToR")
    gone = next(i for i, n in before.items() if n.get("gateway") == dual.links[0].b4)
    assert came_first(monitor, f"Deleted id {gone} "), monitor.events()[:5]
    assert stream.lost() == 0


@feature("Failover: a backup takes over without ECMP")
def test_session_lost_with_a_backup(lab):
    dual = Dual(lab, router={**NO_GR, "multipath": 1}).up()
    for peer in dual.tors:
        peer.announce(FAR4, *MANY)
    wait_for(lambda: two_paths(dual, MANY[-1]) and two_paths(dual, FAR4), what="two paths")
    wait_for(lambda: over_one(dual, dual.links[0], FAR4, *MANY), what="all lead over the first ToR")
    stream, monitor, before = Stream(dual), dual.node.monitor(), objects(dual.node)
    dual.tors[0].kill_bgp()
    wait_for(lambda: over_one(dual, dual.links[1], FAR4, *MANY), what="all lead over the backup")
    assert came_first(monitor, *(f"id {i} group" for i in before)), monitor.events()[:5]
    assert stream.lost() == 0
    # Comes back: nothing is left dead.
    dual.tors[0].start()
    wait_for(lambda: over_one(dual, dual.links[0], FAR4), what="the first ToR again", timeout=30)


@cases(("ecmp", 16), ("backup", 1))
@feature("Failover: a link goes down")
def test_link_down(lab, _, multipath):
    dual = Dual(lab, router={"multipath": multipath}).up()
    for peer in dual.tors:
        peer.announce(FAR4, FAR6, *MANY)
    def used(*wanted):
        return over_both(dual, *wanted) if multipath > 1 else over_one(dual, dual.links[0], *wanted)

    wait_for(lambda: all(two_paths(dual, p) for p in (FAR4, FAR6, MANY[-1])), what="two paths")
    wait_for(lambda: used(FAR4, *MANY), what="the link is used")
    dual.links[0].down(dual.node)
    wait_for(lambda: over_one(dual, dual.links[1], FAR4, *MANY), what="all lead over the other link")
    wait_for(lambda: leads_over(dual.underlay.kernel("ipv6").get(FAR6, {}), dual.links[1]), what="IPv6 too")
    dual.links[0].up(dual.node)
    wait_for(lambda: used(FAR4), what="the link is used again", timeout=30)


@feature("Failover: without an alternative the group goes, and the kernel drops its routes")
def test_session_lost_without_alternative(lab):
    pair = Pair(lab, router=NO_GR).up()
    pair.learn(*MANY)
    monitor = pair.node.monitor()
    pair.tor.kill_bgp()
    wait_for(lambda: pair.underlay.gone(*MANY), what="no route is left")
    wait_for(lambda: not objects(pair.node), what="no nexthop object is left")
    assert not monitor.deleted(MANY_START), monitor.deleted(MANY_START)[:3]  # no removal one by one
    pair.tor.start()
    wait_for(lambda: pair.underlay.installed(*MANY), what="all are back with the session", timeout=30)


@feature("Failover: a next hop behind a route of somebody else's follows it")
def test_recursive_next_hop(lab):
    node, far, loopback = lab.node("node"), lab.node("tor"), "10.99.0.1"
    links = [lab.link(node, far, dev_a=f"one{i}", dev_b=f"two{i}") for i in range(2)]
    far.address("lo", f"{loopback}/32")
    node.ip("route", "add", loopback, "via", links[0].b4, "proto", "static")
    peer = Frr(far, NODE_AS, loopback, [Neighbor(links[0].a4, NODE_AS, loopback, loopback, links[0].b6, multihop=2)])
    underlay = Underlay(node, [tor(loopback, asn=NODE_AS, **{"local-address": links[0].a4})], asn=NODE_AS,
                        advertise=PODS)
    peer.start()
    underlay.start()
    underlay.wait_established()
    peer.announce(FAR4)

    def leads(link):
        route = underlay.kernel().get(FAR4)
        return bool(route) and gateways(route) == [(link.dev_a, link.b4)]

    wait_for(lambda: leads(links[0]), what="over the first link")
    node.ip("route", "replace", loopback, "via", links[1].b4, "proto", "static")
    wait_for(lambda: leads(links[1]), what="the route has moved with its next hop")
    node.ip("route", "del", loopback)
    wait_for(lambda: underlay.gone(FAR4), what="nothing leads there any more")
    node.ip("route", "add", loopback, "via", links[0].b4, "proto", "static")
    wait_for(lambda: leads(links[0]), what="over the first link again", timeout=30)
