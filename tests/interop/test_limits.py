"""max-prefixes against real peers: how the session ends, what each side shows, and what lets the peer come back."""
import rawbgp as bgp
from lab import never_during, wait_for
from rack import Rack, attributes, bounded
from runner import cases, feature
from topology import FAR4, FAR6, Pair, prefixes

ALL = (("frr",), ("bird",), ("gobgp",), ("exabgp",), ("openbgpd",))


def over_limit(node):
    return node.neighbor()["bgpState"] == "Idle" and node.summary()["peers"][node.config["peers"][0]["address"]][
        "state"] == "Idle (PfxCt)"


def reload_with(node, **peer):
    node.config["peers"][0].update({k.replace("_", "-"): v for k, v in peer.items()})
    node.write()
    node.command("reload")


@cases(*ALL)
@feature("Prefix limit")
def test_peer_over_the_limit_is_stopped_and_comes_back(lab, kind):
    few, more = prefixes(8), prefixes(12)[8:]
    pair = Pair(lab, kind, peer={"max_prefixes": {"ipv4": 10, "restart-after": "3s"}}).up()
    node = pair.underlay
    pair.tor.announce(*few)
    wait_for(lambda: node.installed(*few), what="what is below the limit is used")
    family = node.neighbor()["addressFamilyInfo"]["ipv4Unicast"]
    assert (family["prefixAllowedMax"], family["prefixAllowedWarningThresh"],
            family["prefixAllowedRestartIntervalMsecs"]) == (10, 75, 3000)
    assert "comes near the limit" in node.process.output()
    pair.tor.announce(*more)
    wait_for(lambda: over_limit(node), what="down for its prefixes")
    shown = node.neighbor()
    assert shown["lastNotificationReason"].endswith("Cease/Maximum Number of Prefixes Reached"), shown
    assert "more than 10 IPv4 prefixes" in shown["notEstablishedBecause"] and "max-prefixes" in shown["notEstablishedHint"]
    row = node.summary()["peers"][pair.theirs]
    assert (row["state"], row["peerState"]) == ("Idle (PfxCt)", "PfxCt")
    wait_for(lambda: node.gone(*few), what="its routes are gone")
    pair.tor.withdraw(*more)
    wait_for(lambda: node.established() and node.installed(*few), 30, what="back after restart-after")
    assert "too many prefixes" in node.process.output()


@feature("Prefix limit", peer="frr")
def test_frr_is_told_which_limit(lab):
    pair = Pair(lab, "frr", peer={"max_prefixes": {"ipv6": 2, "action": "stop"}}).up()
    pair.tor.announce(*prefixes(5))
    wait_for(lambda: pair.underlay.installed(*prefixes(5)), what="the other family has no limit")
    pair.tor.announce(*prefixes(3, "ipv6"))
    wait_for(lambda: over_limit(pair.underlay))
    wait_for(lambda: any(n.startswith("6/1") for n in pair.tor.notifications()), what="FRR has got Cease/1")
    never_during(lambda: not over_limit(pair.underlay), 3, "it came back without an operator")
    pair.tor.withdraw(*prefixes(3, "ipv6"))
    pair.underlay.command(f"clear bgp {pair.theirs}")
    pair.wait_up()


def test_reload_raises_and_lowers_the_limit(lab):
    pair = Pair(lab, "frr", peer={"max_prefixes": {"ipv4": 3, "action": "stop"}}, advertise={}).up()
    node = pair.underlay
    pair.tor.announce(*prefixes(5))
    wait_for(lambda: over_limit(node))
    reload_with(node, max_prefixes={"ipv4": 5, "action": "stop"})
    pair.wait_up()
    wait_for(lambda: node.installed(*prefixes(5)))
    flaps = node.neighbor()["connectionsDropped"]
    reload_with(node, max_prefixes={"ipv4": 4, "action": "warn"})
    wait_for(lambda: "more prefixes than the limit" in node.process.output())
    assert node.established() and node.neighbor()["connectionsDropped"] == flaps
    reload_with(node, max_prefixes={"ipv4": 4, "action": "restart", "restart-after": "1h"})
    wait_for(lambda: over_limit(node), what="one that is lowered below the count acts")
    assert node.neighbor()["nextStartTimerDueInMsecs"] > 3_000_000
    reload_with(node, max_prefixes="off")
    pair.wait_up()


def test_filtered_prefixes_count(lab):
    pair = Pair(lab, "frr", peer={"max_prefixes": {"ipv4": 4, "ipv6": 4, "action": "stop"}, "import": "none"}).up()
    pair.tor.announce(FAR4, FAR6)
    wait_for(lambda: pair.underlay.neighbor()["addressFamilyInfo"]["ipv4Unicast"].get("receivedPrefixCounter"))
    assert not pair.underlay.neighbor()["addressFamilyInfo"]["ipv4Unicast"]["acceptedPrefixCounter"]
    pair.tor.announce(*prefixes(6))
    wait_for(lambda: over_limit(pair.underlay))


@cases(("frr",), ("bird",))
@feature("Prefix limit of the peer")
def test_the_peers_limit_on_us(lab, kind):
    """The other way round: what we advertise is too much for the peer; we show what it said."""
    pods = {"pod-cidrs": [f"10.{i}.0.0/16" for i in range(100, 110)]}
    pair = Pair(lab, kind, advertise=pods)
    if kind == "frr":
        pair.tor.options["ipv4"] = (f"neighbor {pair.mine} maximum-prefix 5",)
    else:
        pair.tor.config = lambda plain=pair.tor.config: plain().replace("import table;", "import limit 5 action disable;")
    pair.start()
    wait_for(lambda: pair.underlay.neighbor().get("lastNotificationReason", "").endswith(
        "Cease/Maximum Number of Prefixes Reached"), what="we got Cease/1")
    shown = pair.underlay.neighbor()
    assert "NOTIFICATION received" in shown["lastResetDueTo"] or "NOTIFICATION received" in shown[
        "notEstablishedBecause"], shown


@feature("Prefix limit", peer="raw")
def test_a_table_by_mistake_is_stopped_at_once(lab):
    """500,000 routes where 1000 are allowed: the session ends with the family and the limit, and no memory is gone."""
    rack = Rack(lab, 1, fib={"install": False}, keys={"max-prefixes": {"ipv4": 1000, "action": "stop"}})
    peer, before = rack.session(), rack.rss()
    try:
        peer.send(*[bgp.update(attributes(), piece) for piece in bgp.host_routes(500000)])
    except OSError:
        pass  # it is hung up on while it talks
    wait_for(lambda: rack.info()["bgpState"] == "Idle", what="the session is closed")
    assert rack.info()["lastErrorCodeSubcode"] == "0601"
    assert "more than 1000 IPv4 prefixes" in rack.info()["notEstablishedBecause"]
    assert rack.info()["messageStats"]["updatesRecv"] < 5
    bounded(before, rack.rss(), 3, "a table beyond the limit")
    again = rack.speaker().connect("10.9.0.1")
    again.expect_notification(6, 5)
    rack.underlay.command(f"clear bgp {rack.addresses[0]}")
    rack.session()
    rack.unharmed()


@feature("Prefix limit", peer="raw")
def test_the_notification_has_the_family_and_the_limit(lab):
    rack = Rack(lab, 1, keys={"max-prefixes": {"ipv4": 3}})
    peer = rack.session()
    peer.send(bgp.update(attributes(), bgp.nlri("192.0.2.0/26", "192.0.2.64/26", "192.0.2.128/26")))
    rack.wait_routes(3)
    peer.send(bgp.update(attributes(), bgp.nlri("192.0.2.192/26"), withdrawn=bgp.nlri("192.0.2.0/26")))
    rack.wait_routes(3)
    peer.send(bgp.update(attributes(), bgp.nlri("192.0.2.0/26")))
    peer.expect_notification(6, 1, bytes.fromhex("00010100000003"))
    rack.unharmed()
