"""debug PEER against what real peers say."""
from lab import wait_for
from runner import cases, feature
from topology import FAR4, FAR6, POD4, POD6, Pair, prefixes

ALL = (("frr",), ("bird",), ("gobgp",), ("exabgp",))


def said(pair, way):
    return [line for line in pair.underlay.process.output().splitlines() if f"debug: {way}" in line]


def shows(pair, way, *words):
    """A line of one direction with all these words."""
    return any(all(w in line for w in words) for line in said(pair, way))


@cases(*ALL)
@feature("Debug of messages")
def test_messages_are_readable_in_both_directions(lab, kind):
    pair = Pair(lab, kind).up()
    node = pair.underlay
    node.command(f"debug {pair.theirs} for 5m")
    assert node.ctl("show debug")[pair.theirs]["remainingMsecs"] > 200_000
    node.command(f"clear bgp {pair.theirs}")
    wait_for(lambda: shows(pair, "sent", "NOTIFICATION 6/4 Cease/Administrative Reset"), what="our NOTIFICATION")
    pair.wait_up()
    pair.learn(FAR4, FAR6)
    pair.tor.withdraw(FAR4)
    wait_for(lambda: shows(pair, "received", "UPDATE withdraw", FAR4), what="the withdrawal")
    for way, asn in (("sent", 65100), ("received", 65001)):
        assert shows(pair, way, "OPEN version 4", f"4-octet-as {asn}", "multiprotocol ipv4 unicast"), way
    assert shows(pair, "sent", "UPDATE", "as-path 65100", "reach ipv4 unicast", POD4)
    assert shows(pair, "sent", "UPDATE", "reach ipv6 unicast next-hop", POD6)
    assert shows(pair, "sent", "UPDATE End-of-RIB ipv6 unicast")
    assert shows(pair, "received", "UPDATE", "origin i", "as-path 65001", f"next-hop {pair.link.b4}", FAR4)
    assert shows(pair, "received", "UPDATE", "reach ipv6 unicast next-hop", pair.link.b6, FAR6)
    wait_for(lambda: shows(pair, "received", "KEEPALIVE") and shows(pair, "sent", "KEEPALIVE"))
    odd = [line for way in ("sent", "received") for line in said(pair, way) if "malformed" in line]
    assert not odd, odd
    node.command(f"no debug {pair.theirs}")
    assert not node.ctl("show debug")
    before = len(said(pair, "sent"))
    node.command(f"clear bgp {pair.theirs}")
    pair.wait_up()
    assert len(said(pair, "sent")) == before


def test_a_refresh_and_a_secret(lab):
    pair = Pair(lab, "frr", peer={"password": "correcthorse"}, neighbor={"password": "correcthorse"}).up()
    pair.underlay.command(f"debug {pair.theirs}")
    pair.underlay.command(f"clear bgp {pair.theirs} soft in")
    wait_for(lambda: shows(pair, "sent", "ROUTE-REFRESH"), what="our refresh")
    pair.tor.vtysh("clear bgp * soft in")
    wait_for(lambda: shows(pair, "received", "ROUTE-REFRESH"), what="FRR's")
    assert "horse" not in pair.underlay.process.output()


def test_a_table_does_not_drown_the_log(lab):
    """Each route in an UPDATE of its own (a MED apart): what is too much to read is counted."""
    pair = Pair(lab, "exabgp").up()
    pair.underlay.command(f"debug {pair.theirs} for 1m")
    for i, prefix in enumerate(prefixes(1500)):
        pair.tor.announce(prefix, attributes=f"med {i}")
    wait_for(lambda: pair.underlay.installed(*prefixes(1500)), 40, what="all of them")
    wait_for(lambda: "messages not shown" in pair.underlay.process.output(), what="the rest is counted")
    assert len(said(pair, "received")) < 1200
    assert pair.underlay.neighbor()["connectionsDropped"] == 0
