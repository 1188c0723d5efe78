"""Link bandwidth as weights, both ways, and BLACKHOLE routes, against real peers."""
import struct

from lab import wait_for
from peers import Frr, Neighbor
from runner import cases, feature
from topology import FAR4, FAR6, NODE_AS, TOR_AS, Dual, Pair
from underlay import Underlay, tor

VIP4, VIP6 = "203.0.113.7/32", "2001:db8:53::7/128"
HIT4, HIT6, WIDE = "198.51.100.66/32", "2001:db8:66::66/128", "198.51.100.0/24"
BLACKHOLE = "65535:666"
BLACK = "6"  # RTN_BLACKHOLE: the labs read iproute2's numbers, not its names
MBIT = 125000  # bytes per second
SENDERS = [("frr",), ("bird",), ("gobgp",), ("exabgp",)]


def community(asn, mbit, transitive=True):
    raw = struct.pack("!BBHf", 0 if transitive else 0x40, 4, asn, mbit * MBIT).hex()
    return raw[:8], raw[8:]


def give_bandwidth(peer, mbit):
    """The peer, not started yet, sends everything with this link bandwidth, each in its own way."""
    first, second = community(peer.asn, mbit, peer.kind != "exabgp")
    if peer.kind == "frr":
        for family in ("ipv4", "ipv6"):
            peer.options[family] = [f"neighbor {n.address} route-map OUT out" for n in peer.neighbors]
        peer.options["lines"] = ["route-map OUT permit 10", f" set extcommunity bandwidth {mbit}"]
    elif peer.kind == "bird":
        ec = f"(generic, 0x{first}, 0x{second})"
        peer.options["export"] = f"filter {{ bgp_ext_community.add({ec}); accept; }};"
    elif peer.kind == "gobgp":
        peer.bandwidth = mbit
    peer.attributes = f"extended-community [ 0x{first}{second} ]"


def announce(peer, *prefixes):
    if peer.kind == "exabgp":
        peer.announce(*prefixes, attributes=peer.attributes)
    elif peer.kind == "gobgp":
        for words in ("policy statement add lb", f"policy statement lb add action ext-community add lb:{peer.asn}:"
                      f"{peer.bandwidth * MBIT}", "policy add out lb", "global policy export add out default accept"):
            peer.gobgp(*words.split())
        peer.announce(*prefixes)
    else:
        peer.announce(*prefixes)


def weights(route):
    """Weights of a kernel route as iproute2 prints it, by device."""
    return {h["dev"]: h["weight"] for h in route.get("nexthops", [])}


def kernel_weights(node, prefix, **match):
    family = "ipv6" if ":" in prefix else "ipv4"
    return list(weights(node.routes(family, **match).get(prefix, {})).values())


def bandwidths(underlay, prefix):
    return sorted(p.get("linkBandwidth", 0) for p in underlay.ctl(f"show bgp {prefix}")["paths"])


@cases(*SENDERS)
@feature("Link bandwidth: weighted ECMP")
def test_bandwidths_of_two_tors_become_weights(lab, kind):
    dual = Dual(lab, (kind, kind))
    for peer, mbit in zip(dual.tors, (100, 300)):
        give_bandwidth(peer, mbit)
    dual.up()
    for peer in dual.tors:
        announce(peer, FAR4, FAR6)
    by_device = {dual.links[0].dev_a: 1, dual.links[1].dev_a: 3}
    for prefix, family in ((FAR4, "ipv4"), (FAR6, "ipv6")):
        wait_for(lambda: weights(dual.underlay.kernel(family).get(prefix, {})) == by_device, what=f"1:3 for {prefix}")
    assert bandwidths(dual.underlay, FAR4) == [100 * MBIT, 300 * MBIT]
    assert "Link bandwidth: 300 Mbit/s" in dual.underlay.command(f"show bgp {FAR4}")
    (shown,) = [r for r in dual.underlay.ctl("show ip route") if r["dst"] == FAR4]
    assert weights(shown) == by_device, shown
    assert f"dev {dual.links[1].dev_a} weight 3" in dual.underlay.command("show ip route")


@cases()
@feature("Link bandwidth: weighted ECMP", peer="exabgp")
def test_weights_only_where_every_path_has_a_bandwidth_that_means_something(lab):
    dual = Dual(lab, ("exabgp", "exabgp")).up()
    a, b = dual.tors

    def tell(peer, first, second):
        peer.announce(FAR4, attributes=f"extended-community [ 0x{first}{second} ]")

    def ratio():
        return sorted(weights(dual.underlay.kernel().get(FAR4, {})).values())

    tell(a, *community(TOR_AS, 100))
    b.announce(FAR4)
    wait_for(lambda: ratio() == [1, 1], what="plain ECMP while one has none")
    tell(b, *community(TOR_AS + 1, 500))
    wait_for(lambda: ratio() == [1, 5], what="1:5 when both have one")
    for raw in (0x7f800000, 0x7fc00000, 0xff800000, 0xcbbebc20, 0, 0x80000000):  # inf, NaN, -inf, negative, 0, -0
        tell(b, *community(TOR_AS + 1, 500))
        wait_for(lambda: ratio() == [1, 5], what="1:5 again")
        tell(b, f"4004{TOR_AS + 1:04x}", f"{raw:08x}")
        wait_for(lambda: ratio() == [1, 1], what=f"plain ECMP with 0x{raw:08x}")
    # The greatest float beside the smallest: as far apart as weights can be.
    tell(a, f"4004{TOR_AS:04x}", "7f7fffff")
    tell(b, f"4004{TOR_AS + 1:04x}", "00000001")
    wait_for(lambda: ratio()[0] == 1 and ratio()[1] >= 250, what="the greatest weight beside the smallest")


@cases()
@feature("Link bandwidth: weighted ECMP", peer="bird")
def test_weights_outlive_a_crash_of_the_speaker(lab):
    dual = Dual(lab, ("bird", "bird"))
    for peer, mbit in zip(dual.tors, (100, 500)):
        give_bandwidth(peer, mbit)
    underlay = dual.up().underlay
    for peer in dual.tors:
        peer.announce(FAR4, FAR6)
    wait_for(lambda: sorted(weights(underlay.kernel().get(FAR4, {})).values()) == [1, 5], what="1:5")
    wait_for(lambda: sorted(weights(underlay.kernel("ipv6").get(FAR6, {})).values()) == [1, 5], what="1:5")
    watch, before = dual.node.monitor(), weights(underlay.kernel()[FAR4])
    dual.node.run("kill", "-9", str(underlay.speaker()))
    wait_for(lambda: back(underlay), 40, what="a new speaker with both sessions")
    wait_for(lambda: known(underlay, FAR4) and bandwidths(underlay, FAR4) == [100 * MBIT, 500 * MBIT], 30, what="both paths")
    wait_for(lambda: underlay.ctl(f"show bgp {FAR4}")["fibInstalled"], what="the route confirmed")
    # A session that is first may have the route alone for a moment, but it never goes.
    wait_for(lambda: weights(underlay.kernel()[FAR4]) == before, what="1:5 again")
    gone = [line for line in watch.deleted() if FAR4.split("/")[0] in line or FAR6.split("/")[0] in line]
    assert gone == [], gone


def known(underlay, prefix):
    return underlay.ctl("show", "bgp", prefix, check=False, json_out=False).returncode == 0


def back(underlay):
    done = underlay.ctl("show", "bgp", "neighbors", check=False, json_out=False)
    return done.returncode == 0 and all(underlay.established(p["address"]) for p in underlay.config["peers"])


class Row:
    """One FRR ToR and two nodes that advertise the same VIPs, each with a weight."""

    def __init__(self, lab, asn, weights):
        self.tor_node, self.nodes, neighbors = lab.node("tor"), [], []
        for i, weight in enumerate(weights):
            node = lab.node(f"node{i + 1}")
            link = lab.link(node, self.tor_node)
            vips = [{"prefix": p, "weight": weight} for p in (VIP4, VIP6)]
            self.nodes.append(Underlay(node, [tor(link.b4)], asn=asn + i, advertise={"vips": vips}))
            neighbors.append(Neighbor(link.a4, asn + i, link.b4, link.b4, link.b6))
        self.tor = Frr(self.tor_node, TOR_AS, "10.255.0.1", neighbors)

    def up(self):
        self.tor.start()
        for node in self.nodes:
            node.start()
        return self

    def ratio(self, prefix=VIP4):
        found = sorted(kernel_weights(self.tor_node, prefix, protocol="186"))
        return found[1] / found[0] if len(found) == 2 else None


def reload(underlay, **sections):
    underlay.config.update(sections)
    underlay.write()
    underlay.command("reload")


@cases(("two-octet AS", NODE_AS), ("four-octet AS", 4200000100))
@feature("VIP weight as link bandwidth", peer="frr")
def test_a_router_spreads_a_vip_by_the_weights_of_its_nodes(lab, _, asn):
    row = Row(lab, asn, (1, 3)).up()
    for prefix in (VIP4, VIP6):
        wait_for(lambda: row.ratio(prefix) == 3, 30, what=f"1:3 for {prefix} in the router's kernel")
    # Live, by a reload and by a command, which comes before the configuration and survives a restart.
    reload(row.nodes[1], advertise={"vips": [{"prefix": VIP4, "weight": 2}]})
    wait_for(lambda: row.ratio() == 2, what="1:2 after a reload")
    row.nodes[0].command(f"advertise {VIP4} weight 8")
    wait_for(lambda: row.ratio() == 4, what="8:2 after a command")
    assert [p["connectionsEstablished"] for n in row.nodes for p in n.ctl("show bgp neighbors").values()] == [1, 1]
    row.nodes[0].restart()
    wait_for(lambda: row.ratio() == 4, 30, what="8:2 after a restart")
    reload(row.nodes[1], advertise={"vips": [{"prefix": VIP4}]})
    wait_for(lambda: row.ratio() == 1, what="plain ECMP when one has no weight")
    refused = row.nodes[0].ctl("advertise", VIP4, "weight", "0", json_out=False, check=False)
    assert refused.returncode and "weight 0 is out of range; expected 1 to 1000000" in refused.stderr, refused


def sent_bandwidth(peer, prefix):
    """Extended communities of a learned route, as the peer itself shows them."""
    if peer.kind == "bird":
        return peer.birdc(f"show route all {prefix}")
    if peer.kind == "gobgp":
        return str([a for p in (peer.json("global", "rib", "-a", "ipv4") or {}).get(prefix, []) for a in p["attrs"]])
    return str([e for e in peer.events() if e["type"] == "update" and prefix in str(e)])


@cases(("bird", "(unknown 0x4004, 65100, 1223959552)"), ("gobgp", "500000"), ("exabgp", str(0x4004FE4C48F42400)))
@feature("VIP weight as link bandwidth")
def test_a_weight_is_sent_over_ebgp(lab, kind, text):
    pair = Pair(lab, kind, advertise={"vips": [{"prefix": VIP4, "weight": 4}, {"prefix": VIP6}]}).up()
    wait_for(lambda: text in sent_bandwidth(pair.tor, VIP4), what=f"{text} at the peer: {sent_bandwidth(pair.tor, VIP4)}")
    assert pair.underlay.ctl(f"show bgp {VIP4}")["paths"][0]["linkBandwidth"] == 4 * MBIT
    assert "linkBandwidth" not in pair.underlay.ctl(f"show bgp {VIP6}")["paths"][0]


def tag_blackhole(peer):
    if peer.kind == "frr":
        for family in ("ipv4", "ipv6"):
            peer.options[family] = [f"neighbor {n.address} route-map OUT out" for n in peer.neighbors]
        peer.options["lines"] = ["route-map OUT permit 10", f" set community {BLACKHOLE}"]
    else:
        peer.options["export"] = "filter { bgp_community.add((65535, 666)); accept; };"


def kind_of(underlay, prefix):
    """unicast, blackhole, or None."""
    route = underlay.kernel("ipv6" if ":" in prefix else "ipv4").get(prefix)
    return route and route.get("type", "unicast")


def pings(node, prefix):
    return node.run("ping", "-c1", "-W1", prefix.split("/")[0], check=False).returncode == 0


@cases(("frr",), ("bird",))
@feature("BLACKHOLE (RFC 7999)")
def test_a_host_route_with_the_community_becomes_a_blackhole_where_agreed(lab, kind):
    pair = Pair(lab, kind, peer={"blackhole": True})
    underlay = pair.underlay
    tag_blackhole(pair.tor)
    pair.up()
    for prefix in (HIT4, HIT6):
        pair.tor_node.address("lo", prefix)
    pair.learn(WIDE, FAR6)
    wait_for(lambda: pings(pair.node, HIT4), what="the victim answers through the wider route")
    pair.learn(HIT4, HIT6)
    for prefix in (HIT4, HIT6):
        assert kind_of(underlay, prefix) == BLACK, underlay.kernel()
        assert not pings(pair.node, prefix)
    assert underlay.kernel()[HIT4]["metric"] == 20
    assert kind_of(underlay, WIDE) == kind_of(underlay, FAR6) == "unicast", "more than a host"
    (row,) = [r for r in underlay.ctl("show ip route") if r["dst"] == HIT4.split("/")[0]]
    assert (row["type"], row["state"]) == ("blackhole", "installed"), row
    assert "blackhole 198.51.100.66" in underlay.command("show ip route")
    assert underlay.neighbor()["blackhole"] and "BLACKHOLE is honored" in underlay.command("show bgp neighbors")
    wait_for(lambda: "installed as blackhole" in underlay.command(f"show bgp {HIT6}"), what="the answer of the kernel")

    # Whoever takes it away or puts another in its place: it comes back.
    pair.node.ip("route", "del", "blackhole", HIT4)
    wait_for(lambda: kind_of(underlay, HIT4) == BLACK, what="the blackhole healed")
    pair.node.ip("-6", "route", "del", "blackhole", HIT6, "metric", "20")
    wait_for(lambda: kind_of(underlay, HIT6) == BLACK, what="the IPv6 blackhole healed")

    # Another life finds them as they are; nothing is taken away meanwhile.
    watch = pair.node.monitor()
    pair.node.run("kill", "-9", str(underlay.speaker()))
    wait_for(lambda: back(underlay), 40, what="a new speaker")
    wait_for(lambda: known(underlay, HIT4) and underlay.ctl(f"show bgp {HIT4}")["fibInstalled"], 30, what="confirmed")
    assert kind_of(underlay, HIT4) == BLACK

    # Live: not agreed any more, and again. One message each, so that there is no gap.
    for agreed, kind_now in ((False, "unicast"), (True, BLACK)) * 2:
        underlay.config["peers"][0]["blackhole"] = agreed
        reload(underlay)
        wait_for(lambda: kind_of(underlay, HIT4) == kind_of(underlay, HIT6) == kind_now, what=kind_now)
        assert pings(pair.node, HIT4) == (not agreed)
    gone = [line for line in watch.deleted() if "66" in line.split()[1] and "::66" in line or HIT4.split("/")[0] in line]
    assert gone == [], gone
    pair.tor.withdraw(HIT4, HIT6)
    wait_for(lambda: underlay.gone(HIT4, HIT6), what="withdrawn: gone")
    wait_for(lambda: pings(pair.node, HIT4), what="the victim answers again")


@cases(("frr",), ("bird",))
@feature("BLACKHOLE (RFC 7999)")
def test_without_the_agreement_the_community_is_one_like_any_other(lab, kind):
    pair = Pair(lab, kind)
    tag_blackhole(pair.tor)
    pair.up().learn(HIT4, HIT6)
    assert kind_of(pair.underlay, HIT4) == kind_of(pair.underlay, HIT6) == "unicast"
    assert pair.underlay.ctl(f"show bgp {HIT4}")["paths"][0]["community"]["string"] == "blackhole"


@cases()
@feature("BLACKHOLE (RFC 7999)", peer="frr")
def test_a_stop_takes_blackholes_away_and_a_crash_does_not(lab):
    pair = Pair(lab, "frr", peer={"blackhole": True})
    tag_blackhole(pair.tor)
    pair.up().learn(HIT4, HIT6)
    pair.underlay.process.stop(9)
    assert kind_of(pair.underlay, HIT4) == kind_of(pair.underlay, HIT6) == BLACK
    pair.tor.withdraw(HIT6)
    pair.underlay.start()
    wait_for(lambda: pair.underlay.gone(HIT6), 40, what="what is not learned again is swept")
    assert kind_of(pair.underlay, HIT4) == BLACK
    pair.underlay.stop()
    assert pair.underlay.gone(HIT4)


@cases()
@feature("BLACKHOLE (RFC 7999)", peer="frr")
def test_blackholes_are_not_sent_on(lab):
    """export: all makes the node a transit, but not of these, unless a policy says so."""
    dual = Dual(lab, ("frr", "frr"))
    for peer in dual.underlay.config["peers"]:
        peer.update(blackhole=True, export="all")
    tag_blackhole(dual.tors[0])
    dual.up()
    dual.tors[0].announce(HIT4)
    dual.tors[1].announce(FAR4)
    wait_for(lambda: kind_of(dual.underlay, HIT4) == BLACK, what="the blackhole")
    wait_for(lambda: dual.tors[0].has(FAR4), what="what is sent on")
    assert dual.tors[1].has_none(HIT4)
    dual.underlay.config["peers"][1]["export"] = "everything"
    reload(dual.underlay, policies={"everything": [{"then": "accept"}]})
    wait_for(lambda: dual.tors[1].has(HIT4), what="what a policy wants to be sent on")
