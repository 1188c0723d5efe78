"""debug PEER against what real peers say."""
import rawbgp as bgp
from lab import wait_for
from rack import Rack, attributes
from runner import cases, feature
from topology import FAR4, FAR6, POD4, POD6, Pair

ALL = (("frr",), ("bird",), ("gobgp",), ("exabgp",), ("openbgpd",))


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
    wait_for(lambda: shows(pair, "sent", "NOTIFICATION 6/", "Cease/Administrative Reset"), what="our NOTIFICATION")
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
    before = len(said(pair, "received"))
    pair.learn(FAR4)
    assert len(said(pair, "received")) == before


def test_a_refresh_and_a_secret(lab):
    pair = Pair(lab, "frr", peer={"password": "correcthorse"}, neighbor={"password": "correcthorse"}).up()
    pair.underlay.command(f"debug {pair.theirs}")
    pair.underlay.command(f"clear bgp {pair.theirs} soft in")
    wait_for(lambda: shows(pair, "sent", "ROUTE-REFRESH"), what="our refresh")
    pair.tor.vtysh("clear bgp * soft in")
    wait_for(lambda: shows(pair, "received", "ROUTE-REFRESH"), what="FRR's")
    assert "horse" not in pair.underlay.process.output()


@feature("Debug of messages", peer="raw")
def test_a_table_does_not_drown_the_log(lab):
    """20,000 UPDATEs as fast as they come: what is too much to read is counted, and the session is none the worse."""
    rack = Rack(lab, 1, fib={"install": False})
    peer = rack.session()
    rack.underlay.command(f"debug {rack.addresses[0]} for 1m")
    routes = [f"100.64.{i // 256}.{i % 256}/32" for i in range(20000)]
    peer.send(b"".join(bgp.update(attributes(), bgp.nlri(route)) for route in routes))
    rack.wait_routes(20000)
    wait_for(lambda: "messages not shown" in rack.underlay.process.output(), what="the rest is counted")
    lines = [line for line in rack.underlay.process.output().splitlines() if "debug: received" in line]
    assert 40 <= len(lines) < 4000, len(lines)
    assert all(len(line) < 1400 for line in lines)
    assert rack.info()["connectionsDropped"] == 0
    rack.unharmed()


@feature("Debug of messages", peer="raw")
def test_what_is_malformed_is_shown_as_hex(lab):
    rack = Rack(lab, 1)
    rack.underlay.command(f"debug {rack.addresses[0]}")
    peer = rack.session()
    peer.send(bgp.update(bgp.attribute(0x40, 1, b"\x09"), bgp.nlri("192.0.2.0/24")))
    peer.send(bgp.message(2, b"\xff\xff\x00\x00"))
    wait_for(lambda: "origin malformed value: 09" in rack.underlay.process.output())
    wait_for(lambda: "UPDATE malformed lengths: ffff0000" in rack.underlay.process.output())
    assert "debug: sent" in rack.underlay.process.output()
    rack.unharmed()
