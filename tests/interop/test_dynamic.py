"""Dynamic neighbours: real peers that connect to a node which knows only the range they are in."""
import os
import signal

from lab import never_during, wait_for
from peers import Frr, Neighbor
from rack import Rack, bounded
from runner import cases, feature
from topology import FAR4, FAR6, NODE_AS, POD4, POD6, TOR_AS, Pair

KINDS = ("frr", "bird", "gobgp", "exabgp", "openbgpd")
ALL = tuple((k, t) for k in KINDS for t in ("ipv4", "ipv6"))
RANGES = {"ipv4": "10.0.0.0/16", "ipv6": "fd00::/32"}


def ranged(lab, kind, transport="ipv4", peer=None, **options):
    """A pair whose node has the ToR only as a range."""
    pair = Pair(lab, kind, transport, **options)
    (entry,) = pair.underlay.config["peers"]
    for key in ("address", "connect-retry-time"):
        entry.pop(key)
    entry.update({"range": RANGES[transport], "asn": "external", **(peer or {})})
    return pair


def neighbor(pair):
    return pair.underlay.ctl("show bgp neighbors").get(pair.theirs, {})


def wait_up(pair):
    wait_for(lambda: neighbor(pair).get("bgpState") == "Established", 30, "the dynamic peer's session")
    pair.tor.wait_established(pair.mine)
    return pair


def up(pair):
    pair.start()
    return wait_up(pair)


def reload_with(node, **keys):
    node.config["peers"][0].update({k.replace("_", "-"): v for k, v in keys.items()})
    node.write()
    node.command("reload")


@cases(*ALL)
@feature("Dynamic neighbours")
def test_a_peer_of_the_range_exchanges_routes(lab, kind, transport):
    pair = up(ranged(lab, kind, transport))
    node = pair.underlay
    wait_for(lambda: pair.tor.has(POD4, POD6), what="our routes there")
    pair.learn(FAR4, FAR6)
    summary = node.summary()
    row = summary["peers"][pair.theirs]
    assert summary["dynamicPeers"] == 1 and row["dynamicPeer"] is True and row["idType"] == transport, summary
    shown = neighbor(pair)
    assert shown["dynamicPeer"] is True and shown["peerSubnetRangeGroup"] == RANGES[transport]
    text = node.ctl("show bgp summary", json_out=False).stdout
    assert f"*{pair.theirs}" in text and "1 dynamic neighbor(s), limit 100" in text
    text = node.ctl(f"show bgp neighbors {pair.theirs}", json_out=False).stdout
    assert f"Belongs to the subnet range group: {RANGES[transport]}" in text


@cases(("frr",), ("bird",))
@feature("Dynamic neighbours: TCP-MD5")
def test_one_key_for_the_range(lab, kind):
    pair = up(ranged(lab, kind, peer={"password": "secret1"}, neighbor={"password": "secret1"}))
    assert neighbor(pair)["authenticationEnabled"] == 1
    reload_with(pair.underlay, password="secret2")
    never_during(lambda: neighbor(pair).get("bgpState") == "Established", 3, "up with the old key")
    reload_with(pair.underlay, password="secret1")
    wait_up(pair)


@cases(("ipv6",))
@feature("Dynamic neighbours: TCP-MD5", peer="frr")
def test_one_key_for_an_ipv6_range(lab, transport):
    up(ranged(lab, "frr", transport, peer={"password": "secret1"}, neighbor={"password": "secret1"}))


@cases(("frr",), ("bird",))
@feature("Dynamic neighbours: GTSM")
def test_gtsm(lab, kind):
    pair = up(ranged(lab, kind, peer={"ttl-security": 1}, neighbor={"ttl_security": 1}))
    wait_for(lambda: pair.tor.has(POD4))


@cases(*((k,) for k in KINDS))
@feature("Dynamic neighbours: iBGP")
def test_internal_peers(lab, kind):
    pair = up(ranged(lab, kind, peer={"asn": "internal"}, tor_as=NODE_AS))
    assert neighbor(pair).get("nbrInternalLink") is True
    wait_for(lambda: pair.tor.has(POD4, POD6))


@feature("Dynamic neighbours: limit", peer="frr")
def test_the_limit_is_kept_and_logged(lab):
    pair = ranged(lab, "frr", peer={"limit": 1})
    up(pair)
    other = lab.node("other")
    link = lab.link(pair.node, other)
    frr = Frr(other, TOR_AS + 1, "10.255.0.2", [Neighbor(link.a4, NODE_AS)])
    frr.start()
    wait_for(lambda: any(n.startswith("6/5") for n in frr.notifications()), what="the second one is refused")
    wait_for(lambda: "limit of the range is reached" in pair.underlay.process.output())
    assert pair.underlay.summary()["totalPeers"] == 1
    reload_with(pair.underlay, limit=2)
    frr.wait_established(link.a4)
    assert pair.underlay.summary()["dynamicPeers"] == 2 and neighbor(pair)["connectionsDropped"] == 0


def test_shutdown_refuses_it_and_outlives_a_restart(lab):
    pair = up(ranged(lab, "frr"))
    node = pair.underlay
    node.command(f"neighbor {pair.theirs} shutdown message go away")
    wait_for(lambda: any(n.startswith("6/2") for n in pair.tor.notifications()), what="FRR is told")
    wait_for(lambda: any(n.startswith("6/5") for n in pair.tor.notifications()), 30, what="and refused later on")
    assert node.summary()["peers"][pair.theirs]["peerState"] == "Admin"
    node.restart()
    assert node.summary()["peers"][pair.theirs]["peerState"] == "Admin"
    never_during(lambda: neighbor(pair)["bgpState"] == "Established", 3, "up in spite of the command")
    node.command(f"no neighbor {pair.theirs} shutdown")
    wait_up(pair)
    node.command(f"clear bgp {pair.theirs}")
    wait_for(lambda: any(n.startswith("6/4") for n in pair.tor.notifications()))
    wait_up(pair)


def test_a_reload_takes_the_range_away_and_changes_it(lab):
    pair = up(ranged(lab, "frr"))
    node = pair.underlay
    reload_with(node, description="nodes", max_prefixes=1000)
    assert neighbor(pair)["nbrDesc"] == "nodes" and neighbor(pair)["connectionsDropped"] == 0
    reload_with(node, range="10.99.0.0/16")
    wait_for(lambda: any(n.startswith("6/3") for n in pair.tor.notifications()), what="FRR has got Cease/3")
    assert not neighbor(pair)
    reload_with(node, range="10.0.0.0/16")
    wait_up(pair)
    node.config["peers"].append({**node.config["peers"][0], "address": pair.theirs, "passive": True})
    node.config["peers"][1].pop("range")
    node.write()
    node.command("reload")
    wait_for(lambda: neighbor(pair).get("bgpState") == "Established" and "dynamicPeer" not in neighbor(pair), 30,
             "the configured address wins")


def test_routes_of_dynamic_peers_survive_a_restart_of_the_speaker(lab):
    """Nobody is configured by address, so at the start nobody is missed: the kernel's routes have to wait all the same."""
    pair = up(ranged(lab, "frr"))
    pair.learn(FAR4)
    watch = pair.node.monitor()
    os.kill(pair.underlay.speaker(), signal.SIGKILL)
    wait_for(lambda: "killed" in pair.underlay.process.output() or neighbor(pair).get("bgpState") != "Established", 20)
    wait_up(pair)
    wait_for(lambda: FAR4 in pair.underlay.rib(), what="learned again")
    assert not watch.deleted(FAR4)


@feature("Dynamic neighbours: limit", peer="raw")
def test_a_crowd_from_the_range(lab):
    """200 addresses, of which 150 may be peers at a time: they come, go and come again."""
    rack = Rack(lab, 0, 200, start=False, advertise={})
    rack.underlay.config["peers"] = [{"range": "10.9.0.0/16", "asn": "external", "limit": 150}]
    rack.underlay.start()
    rack.pid = rack.underlay.speaker()
    had = rack.descriptors()
    crowd = [rack.session(i) for i in range(150)]
    wait_for(lambda: rack.underlay.summary()["dynamicPeers"] == 150)
    for i in range(150, 200):
        rack.speaker(i).connect("10.9.0.1").expect_notification(6, 5)
    assert rack.underlay.summary()["failedPeers"] == 0
    for peer in crowd[:100]:
        peer.close()
    wait_for(lambda: rack.underlay.summary()["failedPeers"] == 100, what="gone, and still shown")
    rss = rack.rss()
    crowd[:100] = [rack.session(i) for i in list(range(150, 200)) + list(range(50))]
    wait_for(lambda: rack.underlay.summary()["failedPeers"] == 0, what="others are in their places")
    assert rack.underlay.summary()["dynamicPeers"] == 150
    bounded(rss, rack.rss(), 4, "peers in the place of others")
    for peer in crowd:
        peer.close()
    wait_for(lambda: rack.descriptors() <= had + 1, what="no descriptor is left")
    rack.unharmed()
