"""Sessions: who connects, who may, how they end, and what the other side is told."""
from lab import never_during, wait_for
from peers import PEERS, Frr, Neighbor
from runner import cases, feature
from topology import FAR4, FAR6, NODE_AS, POD4, POD6, PODS, TOR_AS, Pair
from underlay import Underlay, tor


def connections(pair):
    """Established TCP connections of BGP in the node."""
    out = pair.node.run("ss", "-Htn", "state", "established", "( sport = :179 or dport = :179 )").stdout
    return len(out.splitlines())


@cases(*[(k, t) for k in PEERS for t in ("ipv4", "ipv6")])
@feature("Passive and active opening")
def test_passive_waits_for_the_peer(lab, kind, transport):
    pair = Pair(lab, kind, transport, peer={"passive": True}).up()
    assert pair.underlay.neighbor()["portLocal"] == 179


@feature("Passive and active opening", peer="frr")
def test_passive_on_both_sides_stays_down(lab):
    pair = Pair(lab, "frr", peer={"passive": True}, neighbor={"passive": True}).start()
    never_during(pair.underlay.established, 3, "somebody connected")
    assert pair.underlay.state() == "Active"


@cases(*[(k, t) for k in PEERS for t in ("ipv4", "ipv6")])
@feature("Passive and active opening")
def test_active_with_a_peer_that_only_waits(lab, kind, transport):
    pair = Pair(lab, kind, transport, neighbor={"passive": True}).up()
    assert pair.underlay.neighbor()["portForeign"] == 179


@feature("Passive and active opening", peer="frr")
def test_never_listening_still_connects(lab):
    pair = Pair(lab, "frr", router={"listen": []}).up()
    assert "179" not in pair.node.run("ss", "-Htln").stdout
    assert pair.underlay.neighbor()["portForeign"] == 179


@feature("Passive and active opening", peer="frr")
def test_other_ports(lab):
    pair = Pair(lab, "frr", peer={"passive": True}, router={"port": 1179},
                neighbor={"extra": ("port 1179",)}).up()
    assert pair.underlay.neighbor()["portLocal"] == 1179


@cases(("10.255.1.1",), ("10.1.1.1",))
@feature("Collision of connections", peer="frr")
def test_collisions_leave_one_session(lab, router_id):
    """Both connect at once, many times over, with the higher identifier on either side (RFC 4271 6.8)."""
    pair = Pair(lab, "frr", id=router_id).up()
    node, frr = pair.underlay, pair.tor
    for _ in range(8):
        before = node.neighbor()["connectionsEstablished"]
        frr.vtysh("clear bgp *")
        node.command("clear bgp *")
        wait_for(lambda: node.neighbor()["connectionsEstablished"] > before and node.established()
                 and frr.established(pair.mine), what="up again after both cleared")
    wait_for(lambda: frr.has(POD4, POD6) and connections(pair) == 1, what="one connection, with all routes")
    flaps = node.neighbor()["connectionsDropped"]
    never_during(lambda: node.neighbor()["connectionsDropped"] != flaps, 1.5, "the session flaps after a collision")


@cases(*[(k,) for k in PEERS])
@feature("Multihop")
def test_multihop_over_a_router(lab, kind):
    node, middle, far = lab.node("node"), lab.node("middle").forward(), lab.node("far")
    near_link, far_link = lab.link(node, middle), lab.link(middle, far)
    node.ip("route", "add", f"{far_link.b4}/32", "via", near_link.b4)
    far.ip("route", "add", f"{near_link.a4}/32", "via", far_link.a4)
    peer = PEERS[kind](far, TOR_AS, "10.255.0.1", [
        Neighbor(near_link.a4, NODE_AS, far_link.b4, far_link.b4, multihop=2, families=("ipv4",))])
    underlay = Underlay(node, [tor(far_link.b4, multihop=2, families=["ipv4"])], advertise={"pod-cidrs": [POD4]})
    peer.start()
    underlay.start()
    underlay.wait_established()
    wait_for(lambda: peer.has(POD4), what="advertised over two hops")
    peer.announce(FAR4)
    wait_for(lambda: underlay.installed(FAR4), what="a next hop that is a router away resolves")
    assert underlay.next_hops(FAR4) == [near_link.b4]


@feature("Multihop", peer="frr")
def test_ebgp_over_two_hops_needs_multihop(lab):
    node, middle, far = lab.node("node"), lab.node("middle").forward(), lab.node("far")
    near_link, far_link = lab.link(node, middle), lab.link(middle, far)
    node.ip("route", "add", f"{far_link.b4}/32", "via", near_link.b4)
    far.ip("route", "add", f"{near_link.a4}/32", "via", far_link.a4)
    frr = Frr(far, TOR_AS, "10.255.0.1", [Neighbor(near_link.a4, NODE_AS, far_link.b4, multihop=2)])
    underlay = Underlay(node, [tor(far_link.b4)])
    frr.start()
    underlay.start()
    never_during(underlay.established, 3, "eBGP over a router without multihop")


@cases((1,), (0,))
@feature("AS_PATH loops, allow-own-as", peer="frr")
def test_allow_own_as(lab, allowed):
    """All nodes in one AS behind an eBGP ToR: what the other node advertises carries our own AS."""
    top = lab.node("tor").forward()
    nodes = [lab.node("node1"), lab.node("node2")]
    links = [lab.link(n, top) for n in nodes]
    frr = Frr(top, TOR_AS, "10.255.0.1", [Neighbor(k.a4, NODE_AS) for k in links])
    frr.start()
    daemons = []
    for i, (n, k) in enumerate(zip(nodes, links)):
        daemons.append(Underlay(n, [tor(k.b4, allow_own_as=allowed)], id=f"10.255.1.{i + 1}",
                                advertise={"pod-cidrs": [f"10.244.{i}.0/24", f"fd00:10:244:{i}::/64"]}).start())
    for d in daemons:
        d.wait_established()
    if allowed:
        wait_for(lambda: daemons[0].installed("10.244.1.0/24", "fd00:10:244:1::/64"), what="the other node's pods")
        wait_for(lambda: daemons[1].installed("10.244.0.0/24", "fd00:10:244::/64"), what="the other node's pods")
        assert daemons[0].rib()["10.244.1.0/24"][0]["path"] == f"{TOR_AS} {NODE_AS}"
    else:
        wait_for(lambda: frr.has("10.244.0.0/24", "10.244.1.0/24"))
        never_during(lambda: daemons[0].installed("10.244.1.0/24"), 2, "a route that carries our own AS")


@cases(("frr",), ("bird",), ("gobgp",), ("exabgp",), ("openbgpd",))
@feature("4-octet AS numbers")
def test_four_octet_as_numbers(lab, kind):
    """RFC 6793: AS_TRANS in the OPEN's own field, the number itself in the capability and in AS_PATH."""
    ours, theirs = 4200000001, 4200000002
    pair = Pair(lab, kind, node_as=ours, tor_as=theirs).up()
    wait_for(lambda: pair.tor.has(POD4, POD6))
    assert pair.tor.routes("ipv4")[POD4]["as_path"] == [ours]
    pair.learn(FAR4)
    assert pair.underlay.rib()[FAR4][0]["path"] == str(theirs)


@feature("Shutdown with a message", peer="frr")
def test_shutdown_message_is_seen_by_the_peer(lab):
    # Passive: FRR would try again at once, and then shows the refusal of that instead.
    pair = Pair(lab, "frr", neighbor={"passive": True}).up()
    node, frr = pair.underlay, pair.tor
    node.command(f"neighbor {pair.theirs} shutdown message rack 7 moves tonight")
    wait_for(lambda: frr.neighbor().get("lastShutdownDescription") == "rack 7 moves tonight", what="FRR shows the message")
    assert frr.neighbor()["lastNotificationReason"] == "Cease/Administrative Shutdown"
    row = node.summary()["peers"][pair.theirs]
    assert row["state"] == "Idle (Admin)" and row["peerState"] == "Admin", row
    never_during(node.established, 2, "a session that was shut down")
    node.command(f"no neighbor {pair.theirs} shutdown")
    pair.wait_up()


def test_shutdown_outlives_a_restart(lab):
    pair = Pair(lab, "frr").up()
    pair.underlay.command(f"neighbor {pair.theirs} shutdown")
    pair.underlay.restart()
    never_during(pair.underlay.established, 2, "shutdown was forgotten")
    pair.underlay.command(f"no neighbor {pair.theirs} shutdown")
    pair.wait_up()


@feature("Shutdown with a message", peer="frr")
def test_peer_that_shuts_down_is_shown_with_its_reason(lab):
    pair = Pair(lab, "frr").up()
    pair.tor.configure(f"neighbor {pair.mine} shutdown message power work")
    wait_for(lambda: not pair.underlay.established(), what="session ends")
    text = pair.underlay.ctl(f"show bgp neighbors {pair.theirs}", json_out=False).stdout
    assert "Administrative Shutdown" in text and "power work" in text, text


@feature("Cease on clear and stop", peer="frr")
def test_clear_resets_and_comes_back(lab):
    pair = Pair(lab, "frr").up()
    before = pair.underlay.neighbor()["connectionsDropped"]
    pair.underlay.command(f"clear bgp {pair.theirs}")
    wait_for(lambda: pair.underlay.neighbor()["connectionsDropped"] == before + 1, what="the reset is counted")
    pair.wait_up()
    assert "6/4 (Cease/Administrative Reset)" in pair.tor.notifications(), pair.tor.notifications()


@feature("Route refresh", peer="frr")
def test_clear_soft_keeps_the_session(lab):
    pair = Pair(lab, "frr").up()
    pair.learn(FAR4)
    before = pair.underlay.neighbor()
    pair.underlay.command("clear bgp * soft in")
    wait_for(lambda: pair.tor.neighbor()["messageStats"]["routeRefreshRecv"] >= 2, what="a refresh for both families")
    updates = pair.tor.neighbor()["messageStats"]["updatesRecv"]
    pair.underlay.command("clear bgp * soft out")
    wait_for(lambda: pair.tor.neighbor()["messageStats"]["updatesRecv"] > updates, what="everything is sent again")
    after = pair.underlay.neighbor()
    assert after["connectionsDropped"] == before["connectionsDropped"]
    assert pair.underlay.installed(FAR4)


@feature("Route refresh", peer="frr")
def test_refresh_asked_by_the_peer(lab):
    pair = Pair(lab, "frr").up()
    wait_for(lambda: pair.tor.has(POD4, POD6))
    updates = pair.tor.neighbor()["messageStats"]["updatesRecv"]
    pair.tor.vtysh(f"clear bgp {pair.mine} soft in")
    wait_for(lambda: pair.tor.neighbor()["messageStats"]["updatesRecv"] > updates, what="we answer a refresh")
    assert pair.underlay.neighbor()["messageStats"]["routeRefreshRecv"] >= 1


@feature("Cease on clear and stop", peer="frr")
def test_sigterm_tells_the_peer_and_withdraws(lab):
    pair = Pair(lab, "frr").up()
    pair.learn(FAR4, FAR6)
    assert pair.underlay.stop() == 0
    wait_for(lambda: "6/2 (Cease/Administrative Shutdown)" in pair.tor.notifications(), what="Cease at the peer")
    assert pair.node.routes("ipv4", protocol="87") == {} and pair.node.routes("ipv6", protocol="87") == {}
    assert [n for n in pair.node.ip_json("nexthop", "show") if str(n.get("protocol")) == "87"] == []


@feature("Hold timer", peer="frr")
def test_peer_that_falls_silent_is_dropped_after_the_hold_time(lab):
    pair = Pair(lab, "frr", peer={"hold_time": "3s"}).up()
    pair.learn(FAR4)
    assert pair.underlay.neighbor()["bgpTimerHoldTimeMsecs"] == 3000
    pair.link.b.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all")  # nothing else may answer for it
    pair.node.ip("route", "add", "blackhole", f"{pair.theirs}/32", "metric", "1")
    wait_for(lambda: not pair.underlay.established(), timeout=8, what="hold timer expires")
    wait_for(lambda: pair.underlay.gone(FAR4), what="its routes go")
    pair.node.ip("route", "del", "blackhole", f"{pair.theirs}/32", "metric", "1")
    pair.wait_up()


def test_wrong_asn_is_refused_with_bad_peer_as(lab):
    pair = Pair(lab, "frr", peer={"asn": TOR_AS + 5}).start()
    wait_for(lambda: "2/2 (OPEN Message Error/Bad Peer AS)" in pair.tor.notifications(), what="2/2 at the peer")
    assert not pair.underlay.established()


def test_same_router_id_within_an_as_is_refused(lab):
    """RFC 6286: within an AS the identifiers must differ."""
    pair = Pair(lab, "bird", id="10.255.0.1", tor_as=NODE_AS, peer={"asn": "internal"}).start()
    wait_for(lambda: "Bad BGP identifier" in pair.tor.processes[0].output(), what="2/3 at the peer")
    assert not pair.underlay.established()


@cases(("ipv4",), ("ipv6",))
def test_one_family_only(lab, family):
    pair = Pair(lab, "frr", peer={"families": [family]}, advertise=PODS).up()
    mine, other = (POD4, POD6) if family == "ipv4" else (POD6, POD4)
    wait_for(lambda: pair.tor.has(mine), what="the family that both speak")
    never_during(lambda: pair.tor.has(other), 1, "the other family")
