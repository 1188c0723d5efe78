"""ADD-PATH (RFC 7911) with every implementation that has it: several paths of one prefix on a single session, both ways."""
from lab import wait_for
from peers import PEERS, Neighbor
from runner import cases, feature
from topology import NODE_AS, TOR_AS, Pair
from underlay import Underlay, tor

VIP4, VIP6 = "198.51.100.7/32", "2001:db8:7::7/128"
EVERY = [(k,) for k in PEERS]
LEAVES = (("left", 65201, "10.255.2.1"), ("right", 65202, "10.255.2.2"))


def leaf(lab, hub, name, asn, router_id):
    """Another node that advertises the same VIPs, cabled to hub."""
    link = lab.link(lab.node(name), hub)
    daemon = Underlay(link.a, [tor(link.b4, import_="none")], asn=asn, id=router_id,
                      advertise={"vips": [{"prefix": VIP4}, {"prefix": VIP6}]})
    daemon.config["peers"][0]["import"] = daemon.config["peers"][0].pop("import-")
    return link, daemon


def paths(node, prefix):
    family = "ipv6" if ":" in prefix else "ipv4"
    return node.ctl("show", "bgp", family, "unicast", prefix).get("paths", [])


def heard(peer, prefix):
    """How many paths of the prefix the peer has from us."""
    family = "ipv6" if ":" in prefix else "ipv4"
    if peer.kind != "exabgp":
        return peer.routes(family).get(prefix, {}).get("paths", 0)
    have = set()
    for e in peer.events():
        update = e["neighbor"].get("message", {}).get("update", {}) if e["type"] == "update" else {}
        for rows in update.get("announce", {}).get(f"{family} unicast", {}).values():
            have |= {row["path-information"] for row in rows if row["nlri"] == prefix}
        for row in update.get("withdraw", {}).get(f"{family} unicast", []):
            have -= {row["path-information"]} if row["nlri"] == prefix else set()
    return len(have)


def said(node, address, *words):
    """What is said of ADD-PATH about both families, in FRR's words: tx and rx are each what either side itself does."""
    shown = node.neighbor(address)["neighborCapabilities"]["addPath"]
    return all(any(k in (w, f"{w[:2]}AdvertisedAndReceived") for k in shown[f])
               for w in words for f in ("ipv4Unicast", "ipv6Unicast"))


@cases(*[(k,) for k in PEERS if k != "exabgp"])
@feature("ADD-PATH: receive")
def test_a_tor_sends_all_it_knows(lab, kind):
    pair = Pair(lab, kind, peer={"add_path": "receive"}, neighbor={"add_path": "send"})
    leaves = [leaf(lab, pair.tor_node, *row) for row in LEAVES]
    pair.tor.neighbors += [Neighbor(link.a4, asn, link.b4, link.b4, link.b6)
                           for (link, _), (_, asn, _) in zip(leaves, LEAVES)]
    pair.start()
    for _, daemon in leaves:
        daemon.start()
    pair.wait_up()
    node = pair.underlay
    # Over an IPv4 session GoBGP is its own IPv6 next hop as an IPv4-mapped address, which is none.
    vips = (VIP4,) if kind == "gobgp" else (VIP4, VIP6)
    for prefix in vips:
        wait_for(lambda: len(paths(node, prefix)) == 2, what=f"both paths of {prefix}")
        both = paths(node, prefix)
        assert len({p["addpathRxId"] for p in both}) == 2, both
        assert {p["aspath"]["string"] for p in both} == {f"{TOR_AS} 65201", f"{TOR_AS} 65202"}, both
    assert said(node, pair.theirs, "rxAdvertised", "txReceived"), node.neighbor()["neighborCapabilities"]
    assert node.neighbor()["addressFamilyInfo"]["ipv4Unicast"]["receivedPrefixCounter"] >= 2
    leaves[0][1].stop()
    for prefix in vips:
        wait_for(lambda: [p["aspath"]["string"] for p in paths(node, prefix)] == [f"{TOR_AS} 65202"],
                 what=f"one path of {prefix} is withdrawn, the other stays")
        assert node.installed(prefix), paths(node, prefix)
    leaves[0][1].start()
    wait_for(lambda: all(len(paths(node, p)) == 2 for p in vips), what="it comes back")
    leaves[0][1].stop()
    leaves[1][1].stop()
    wait_for(lambda: node.gone(*vips) and VIP4 not in node.rib(), what="both are gone")
    assert node.established()


@cases(("frr",), ("exabgp",))
@feature("ADD-PATH: receive")
def test_one_session_gives_ecmp(lab, kind):
    """Several next hops from a single route server."""
    pair = Pair(lab, kind, peer={"add_path": "receive"}, neighbor={"add_path": "send"})
    pair.node.address(pair.link.dev_a, "10.9.0.1/24")
    pair.tor_node.address(pair.link.dev_b, "10.9.0.254/24")
    hops = ["10.9.0.2", "10.9.0.3"]
    if kind == "exabgp":
        pair.up()
        for i, hop in enumerate(hops):
            pair.tor.command(f"neighbor {pair.mine} announce route {VIP4} next-hop {hop} path-information 0.0.0.{i + 1}")
    else:
        leaves = [leaf(lab, pair.tor_node, *row) for row in LEAVES]
        pair.tor.neighbors += [Neighbor(link.a4, asn, link.b4, link.b4, link.b6)
                               for (link, _), (_, asn, _) in zip(leaves, LEAVES)]
        pair.tor.options = {
            "ipv4": [f"neighbor {pair.mine} attribute-unchanged next-hop",
                     *[f"neighbor {link.a4} route-map {link.a.name} in" for link, _ in leaves]],
            "lines": [f"route-map {link.a.name} permit 1\n set ip next-hop {hop}" for (link, _), hop in zip(leaves, hops)]}
        pair.start()
        for _, daemon in leaves:
            daemon.start()
        pair.wait_up()
    wait_for(lambda: sorted(pair.underlay.next_hops(VIP4)) == hops, what="two next hops in the kernel by one session")
    if kind == "exabgp":
        pair.tor.command(f"neighbor {pair.mine} withdraw route {VIP4} next-hop {hops[0]} path-information 0.0.0.1")
    else:
        leaves[0][1].stop()
    wait_for(lambda: pair.underlay.next_hops(VIP4) == hops[1:], what="the other one is left")


@cases(*EVERY)
@feature("ADD-PATH: send")
def test_the_peer_gets_all_that_we_know(lab, kind):
    pair = Pair(lab, kind, peer={"add_path": "send", "export": "all"}, neighbor={"add_path": "receive"})
    leaves = [leaf(lab, pair.node, *row) for row in LEAVES]
    pair.underlay.config["peers"] += [tor(link.a4) for link, _ in leaves]
    pair.start()
    for _, daemon in leaves:
        daemon.start()
    pair.wait_up()
    node, peer = pair.underlay, pair.tor
    for prefix in (VIP4, VIP6):
        wait_for(lambda: heard(peer, prefix) == 2, what=f"the peer has both paths of {prefix}")
    assert said(node, pair.theirs, "txAdvertised", "rxReceived"), node.neighbor(pair.theirs)["neighborCapabilities"]
    sent = node.ctl("show", "bgp", "neighbors", pair.theirs, "advertised-routes")["advertisedRoutes"][VIP4]
    rows = sent if isinstance(sent, list) else [sent]
    assert all(r["addpathTxId"] for r in rows), sent
    assert len({p["addpathTxIds"]["all"] for p in paths(node, VIP4) if p.get("addpathTxIds")}) == 2, paths(node, VIP4)

    leaves[0][1].stop()
    for prefix in (VIP4, VIP6):
        wait_for(lambda: heard(peer, prefix) == 1, what=f"the peer loses one path of {prefix}")
    leaves[0][1].start()
    wait_for(lambda: heard(peer, VIP4) == 2 and heard(peer, VIP6) == 2, what="and gets it again")
    node.command(f"clear bgp {pair.theirs} soft out")
    leaves[0][1].stop()
    leaves[1][1].stop()
    wait_for(lambda: heard(peer, VIP4) == 0 and heard(peer, VIP6) == 0, what="the peer loses all")
    assert node.established(pair.theirs) and peer.established(pair.mine)


@cases(("frr",), ("bird",), ("gobgp",))
@feature("ADD-PATH: send", "ADD-PATH: receive")
def test_both_ways_with_the_defaults(lab, kind):
    """Only originated routes go out, under an identifier; the ToR's own come in under one."""
    pair = Pair(lab, kind, peer={"add_path": "both"}, neighbor={"add_path": "both"}).up()
    pair.learn("192.0.2.0/24", "2001:db8:2::/48")
    wait_for(lambda: pair.tor.has("10.244.7.0/24", "fd00:10:244:7::/64"), what="the ToR has what is ours")
    assert heard(pair.tor, "10.244.7.0/24") == 1
    assert pair.tor.routes("ipv4")["10.244.7.0/24"]["as_path"] == [NODE_AS]
    pair.tor.withdraw("192.0.2.0/24")
    wait_for(lambda: pair.underlay.gone("192.0.2.0/24"), what="a withdrawn route leaves the kernel")
    assert pair.underlay.installed("2001:db8:2::/48")


@cases(("both", "none"), ("none", "both"))
def test_one_side_alone_changes_nothing(lab, ours, theirs):
    pair = Pair(lab, "bird", peer={"add_path": ours}, neighbor={"add_path": None if theirs == "none" else theirs}).up()
    pair.learn("192.0.2.0/24", "2001:db8:2::/48")
    wait_for(lambda: pair.tor.has("10.244.7.0/24", "fd00:10:244:7::/64"), what="the ToR has what is ours")
    (path,) = paths(pair.underlay, "192.0.2.0/24")
    assert "addpathRxId" not in path
