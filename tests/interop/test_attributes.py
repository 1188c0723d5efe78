"""Path attributes, good ones and bad ones: what comes in, what is made of it, what goes out, and what of it is shown."""
import dataclasses
import struct

import rawbgp as bgp
from lab import wait_for
from rack import Rack
from runner import cases, feature
from topology import FAR4, FAR6, NODE_AS, POD4, TOR_AS, Pair
from underlay import Underlay, tor


def raw(text):
    return bytes.fromhex(text.replace(" ", ""))


def flip(attribute, bit):
    return bytes((attribute[0] ^ bit,)) + attribute[1:]


def longer(attribute):
    return attribute[:2] + bytes((attribute[2] + 1,)) + attribute[3:] + b"\xff"


ORIGIN, PATH, HOP = bgp.origin(), bgp.as_path(TOR_AS), bgp.next_hop("10.9.1.1")
GOOD = ORIGIN + PATH + HOP
MED, COMMUNITY = raw("800404 00000007"), bgp.communities(TOR_AS << 16 | 1)
EXTENDED, LARGE = raw("c01008 0002fde900000001"), raw("c0200c 000000010000000100000002")
IPV6_EXTENDED = raw("c01914 0002 20010db8000000000000000000000001 0001")
AGGREGATOR, OTC = raw("c00708 0000fde9 0a000001"), raw("c02304 0000fde9")
OPTIONAL, TRANSITIVE = 0x80, 0x40

# (what, the attributes of the UPDATE, the attribute that is counted); each UPDATE is about a prefix that was announced before.
WITHDRAW = [
    ("ORIGIN value", bgp.origin(3) + PATH + HOP, "origin"),
    ("ORIGIN length", longer(ORIGIN) + PATH + HOP, "origin"),
    ("ORIGIN flags", flip(ORIGIN, OPTIONAL) + PATH + HOP, "origin"),
    ("ORIGIN missing", PATH + HOP, "origin"),
    ("AS_PATH segment type", ORIGIN + raw("400206 0501 0000fde9") + HOP, "as-path"),
    ("AS_PATH overrun", ORIGIN + raw("400206 0202 0000fde9") + HOP, "as-path"),
    ("AS_PATH underrun", ORIGIN + longer(PATH) + HOP, "as-path"),
    ("AS_PATH empty segment", ORIGIN + raw("400208 0201 0000fde9 0200") + HOP, "as-path"),
    ("AS_PATH with AS 0", ORIGIN + bgp.as_path(TOR_AS, 0) + HOP, "as-path"),
    ("AS_PATH of another AS", ORIGIN + bgp.as_path(TOR_AS + 1) + HOP, "as-path"),
    ("AS_PATH with confederation segments", ORIGIN + raw("40020c 0301 0000fde9 0201 0000fde9") + HOP, "as-path"),
    ("AS_PATH empty", ORIGIN + bgp.as_path() + HOP, "as-path"),
    ("AS_PATH missing", ORIGIN + HOP, "as-path"),
    ("NEXT_HOP length", ORIGIN + PATH + raw("400305 0a09010100"), "next-hop"),
    ("NEXT_HOP 0.0.0.0", ORIGIN + PATH + bgp.next_hop("0.0.0.0"), "next-hop"),
    ("NEXT_HOP multicast", ORIGIN + PATH + bgp.next_hop("224.0.0.5"), "next-hop"),
    ("NEXT_HOP loopback", ORIGIN + PATH + bgp.next_hop("127.0.0.1"), "next-hop"),
    ("NEXT_HOP class E", ORIGIN + PATH + bgp.next_hop("240.0.0.1"), "next-hop"),
    ("NEXT_HOP missing", ORIGIN + PATH, "next-hop"),
    ("MED length", GOOD + longer(MED), "med"),
    ("MED flags", GOOD + flip(MED, TRANSITIVE), "med"),
    ("communities length", GOOD + longer(COMMUNITY), "communities"),
    ("communities empty", GOOD + raw("c00800"), "communities"),
    ("extended communities length", GOOD + longer(EXTENDED), "extended-communities"),
    ("large communities length", GOOD + longer(LARGE), "large-communities"),
    ("large communities flags", GOOD + flip(LARGE, TRANSITIVE), "large-communities"),
    ("IPv6 extended communities length", GOOD + longer(IPV6_EXTENDED), "ipv6-extended-communities"),
    ("OTC length", GOOD + longer(OTC), "otc"),
    ("the last one is cut off", GOOD + raw("800405 00000007"), "med"),
    ("two octets left", GOOD + raw("8004"), "other"),
    ("the strongest of several counts", raw("400601 00") + bgp.origin(9) + PATH + HOP, "origin"),
]
DISCARD = [
    ("LOCAL_PREF from outside", GOOD + raw("400504 000000c8"), "local-pref"),
    ("LOCAL_PREF from outside, of a wrong length", GOOD + raw("400503 000000"), "local-pref"),
    ("ORIGINATOR_ID from outside", GOOD + raw("800904 0a000001"), "originator-id"),
    ("CLUSTER_LIST from outside", GOOD + raw("800a04 0a000001"), "cluster-list"),
    ("ATOMIC_AGGREGATE length", GOOD + raw("400601 00"), "atomic-aggregate"),
    ("AGGREGATOR length", GOOD + longer(AGGREGATOR), "aggregator"),
    ("AGGREGATOR flags", GOOD + flip(AGGREGATOR, OPTIONAL), "aggregator"),
    ("AGGREGATOR with AS 0", GOOD + raw("c00708 00000000 0a000001"), "aggregator"),
    ("AS4_PATH from a four-octet peer", GOOD + raw("c01106 0201 000186a0"), "as4-path"),
    ("AS4_AGGREGATOR from a four-octet peer", GOOD + raw("c01208 000186a0 0a000001"), "as4-aggregator"),
    ("ORIGIN twice", GOOD + bgp.origin(2), "origin"),
    ("an unknown one twice", GOOD + raw("c06301 01 c06301 02"), "other"),
]


@feature("RFC 7606: session stays", peer="raw")
def test_bad_attributes_keep_the_session(lab):
    """RFC 7606: one session, many bad UPDATEs; each costs its own routes or one attribute, is counted, and nothing more."""
    rack = Rack(lab)
    tor = rack.session()
    mine = [(f"198.18.{i}.0/24", *row) for i, row in enumerate(WITHDRAW + DISCARD)]
    tor.send(bgp.update(GOOD, bgp.nlri(*[m[0] for m in mine], "198.51.100.0/24")))
    rack.wait_routes(len(mine) + 1)
    for prefix, _, attributes, _ in mine:
        tor.send(bgp.update(attributes, bgp.nlri(prefix)))
    tor.send(bgp.update(GOOD, bgp.nlri("203.0.113.0/24")))  # so that everything before it has been read
    wait_for(lambda: "203.0.113.0/24" in rack.underlay.rib())
    left = rack.underlay.rib()
    assert "198.51.100.0/24" in left, "a route that no bad UPDATE was about"
    for i, (prefix, what, _, _) in enumerate(mine):
        assert (prefix in left) == (i >= len(WITHDRAW)), what
    discarded = rack.underlay.ctl(f"show bgp {mine[-1][0]}")["paths"][0]
    assert discarded["valid"] and "locPrf" not in discarded and "originatorId" not in discarded, discarded

    info = rack.info()
    assert info["bgpState"] == "Established" and info["connectionsDropped"] == 0, info
    stats, bad = info["messageStats"], info["malformedUpdates"]
    assert stats["treatAsWithdraw"] == len(WITHDRAW), stats
    assert stats["attributesDiscarded"] == len(DISCARD) + 1, stats  # and the ATOMIC_AGGREGATE beside a bad ORIGIN
    for name in {m[3] for m in mine}:
        want = {"treatAsWithdraw": sum(w[2] == name for w in WITHDRAW), "discarded": sum(d[2] == name for d in DISCARD)}
        want["discarded"] += name == "atomic-aggregate"
        assert bad["attributes"][name] == want, (name, bad["attributes"][name], want)
    last = bad["last"]
    assert last["action"] == "attribute-discard" and last["hex"] == "c0630102" and last["routes"] == 1, last
    text = rack.underlay.ctl("show bgp neighbors", json_out=False).stdout
    assert f"as withdrawal {len(WITHDRAW)}, attributes discarded {len(DISCARD) + 1}" in text and "c0630102" in text, text
    log = rack.underlay.process.output()
    line = next(x for x in log.splitlines() if "malformed UPDATE: its routes" in x)
    for word in ("peer=10.9.1.1", "attribute=origin", "action=treat-as-withdraw", "hex=40010103", "198.18.0.0/24"):
        assert word in line, line
    told = sum("warn" in x and "malformed UPDATE" in x for x in log.splitlines())
    assert 5 <= told <= 8, f"{told} lines for {len(mine)} bad UPDATEs"
    rack.unharmed()


def mp_reach6(hop, *prefixes):
    return bgp.mp_reach6(hop, bgp.nlri(*prefixes))


@cases(("fd00:9::2", True), ("::", False), ("::1", False), ("ff02::1", False), ("::ffff:10.9.1.1", False))
@feature("Next hops that cannot be")
def test_ipv6_next_hop_that_no_host_can_have(lab, hop, good):
    rack = Rack(lab)
    tor = rack.session()
    tor.send(bgp.update(mp_reach6("fd00:9::2", FAR6, "2001:db8:9::/48") + ORIGIN + PATH))
    wait_for(lambda: FAR6 in rack.underlay.rib("ipv6"))
    tor.send(bgp.update(mp_reach6(hop, FAR6) + ORIGIN + PATH), bgp.update(GOOD, bgp.nlri(FAR4)))
    wait_for(lambda: FAR4 in rack.underlay.rib())
    left = rack.underlay.rib("ipv6")
    assert (FAR6 in left) == good and "2001:db8:9::/48" in left, left
    assert rack.info()["bgpState"] == "Established"


def test_next_hops_that_are_hosts_but_not_for_us(lab):
    """RFC 4271 6.3: semantically incorrect; the route is ignored, which is no error of the message."""
    rack = Rack(lab)
    tor = rack.session()
    for prefix, hop in (("198.51.100.1/32", "10.9.0.1"), ("198.51.100.2/32", "203.0.113.9"), ("198.51.100.3/32", "10.9.1.77")):
        tor.send(bgp.update(ORIGIN + PATH + bgp.next_hop(hop), bgp.nlri(prefix)))
    wait_for(lambda: rack.underlay.installed("198.51.100.3/32"), what="another host of the subnet will do")
    own, foreign = (rack.underlay.ctl(f"show bgp 198.51.100.{i}/32")["paths"][0] for i in (1, 2))
    assert own["filteredReason"] == "own address as next hop" and not own["valid"], own
    assert not foreign["valid"] and rack.underlay.gone("198.51.100.1/32", "198.51.100.2/32"), foreign
    info = rack.info()
    assert info["messageStats"]["treatAsWithdraw"] == 0 and "malformedUpdates" not in info, info


@feature("Malformed attributes (RFC 7606)")
def test_one_bad_update_withdraws_both_families(lab):
    """RFC 7606 section 2: all contained routes, in NLRI and in MP_REACH_NLRI."""
    rack = Rack(lab)
    tor = rack.session()
    tor.send(bgp.update(mp_reach6("fd00:9::2", FAR6) + GOOD, bgp.nlri(FAR4)))
    wait_for(lambda: FAR4 in rack.underlay.rib() and FAR6 in rack.underlay.rib("ipv6"))
    wait_for(lambda: rack.underlay.installed(FAR4, FAR6))
    tor.send(bgp.update(mp_reach6("fd00:9::2", FAR6) + bgp.origin(7) + PATH + HOP, bgp.nlri(FAR4)))
    wait_for(lambda: rack.underlay.gone(FAR4, FAR6), what="both leave the kernel")
    assert FAR4 not in rack.underlay.rib() and FAR6 not in rack.underlay.rib("ipv6")
    info = rack.info()
    assert info["bgpState"] == "Established" and info["messageStats"]["treatAsWithdraw"] == 1, info
    assert info["malformedUpdates"]["last"]["routes"] == 2, info["malformedUpdates"]


RESETS = {
    "MP_REACH_NLRI twice": (mp_reach6("fd00:9::2", FAR6) * 2 + GOOD, [], 1),
    "next hop length": (raw("800e0e 0002 01 04 0a000001 00 20 20010db8") + GOOD, [FAR4], 9),
    "prefix length": (raw("800f05 0002 01 ff 00"), [], 9),
    "an error and no routes": (bgp.origin(7) + PATH + HOP, [], 6),
    "unknown well-known": (GOOD + raw("406302 abcd"), [FAR4], 2),
}


@cases(*[(what,) for what in RESETS])
@feature("Malformed attributes (RFC 7606)")
def test_what_must_reset(lab, what):
    """RFC 7606 3 g, 5.2, 5.3, 7.11; RFC 4271 6.3 where RFC 7606 changes nothing."""
    rack = Rack(lab)
    tor = rack.session()
    bad, routes, subcode = RESETS[what]
    tor.send(bgp.update(bad, bgp.nlri(*routes))).expect_notification(3, subcode)
    wait_for(lambda: rack.info().get("malformedUpdates", {}).get("last", {}).get("action") == "session-reset")
    rack.unharmed()


def next_update(speaker, prefix):
    """The attributes of the UPDATE that announces the prefix, as {type: (flags, value)}."""
    while True:
        body = speaker.expect(bgp.UPDATE)
        withdrawn = struct.unpack(">H", body[:2])[0]
        (size,) = struct.unpack(">H", body[2 + withdrawn:4 + withdrawn])
        rest, found = body[4 + withdrawn:4 + withdrawn + size], {}
        if bgp.nlri(prefix) not in body[4 + withdrawn + size:]:
            continue
        while rest:
            flags, kind, n, head = rest[0], rest[1], rest[2], 3
            if flags & 0x10:
                n, head = struct.unpack(">H", rest[2:4])[0], 4
            found[kind], rest = (flags & 0xe0, rest[head:head + n]), rest[head + n:]
        return found


class Transit:
    """The node hands on what one played ToR says to another."""

    def __init__(self, lab, **keys):
        self.rack = Rack(lab, 2, keys={"export": "all", **keys})
        self.left, self.right = self.rack.session(0), self.rack.session(1)

    def through(self, attributes, prefix=FAR4):
        self.left.send(bgp.update(attributes, bgp.nlri(prefix)))
        return next_update(self.right, prefix)


@feature("Unknown attributes")
def test_what_is_handed_on(lab):
    """RFC 4271 section 5: the flags of what is unknown, and of what somebody did not know before us; 5.1.4: no MED of others."""
    transit = Transit(lab)
    out = transit.through(GOOD + MED + flip(COMMUNITY, 0x20) + LARGE + IPV6_EXTENDED + raw("c0f302 abcd 80f402 abcd") +
                          raw("c01010 0002fde900000001 4004fde949742400"))
    assert out[243] == (0xe0, b"\xab\xcd"), out
    assert 244 not in out and 4 not in out, out
    assert out[8] == (0xe0, COMMUNITY[3:]) and out[32] == (0xc0, LARGE[3:]) and out[25] == (0xc0, IPV6_EXTENDED[3:]), out
    assert out[16][1][:8] == EXTENDED[3:] and 5 not in out, out  # a LOCAL_PREF stays within the AS
    shown = transit.rack.underlay.ctl(f"show bgp {FAR4}")["paths"][0]
    assert shown["unknownAttributes"] == "25:000220010db80000000000000000000000010001 243:abcd", shown


@feature("Long AS paths")
def test_long_as_paths(lab):
    """More ASes than a segment holds, in and out, and one more in front of a full segment."""
    transit = Transit(lab)
    rest = list(range(1, 255))
    for n, path in enumerate([[TOR_AS, *rest], [TOR_AS, *rest, 300], [TOR_AS, *rest * 3]]):
        prefix = f"198.51.100.{n}/32"
        out = transit.through(ORIGIN + bgp.as_path(*path) + HOP, prefix)
        flags, value = out[2]
        seen, first = [], value[1]
        while value:
            assert value[0] == 2 and 0 < value[1] <= 255, value[:2]
            seen += struct.unpack(f">{value[1]}I", value[2:2 + 4 * value[1]])
            value = value[2 + 4 * value[1]:]
        assert seen == [NODE_AS, *path], (len(seen), len(path), first)
        assert transit.rack.underlay.rib()[prefix][0]["path"] == " ".join(map(str, path))


def test_what_is_shown_of_a_path(lab):
    """FRR's names, of what only some paths have."""
    rack = Rack(lab, keys={"asn": "internal"})
    inner = bgp.Speaker(rack.tor, rack.addresses[0], NODE_AS, "10.255.0.1").establish("10.9.0.1")
    inner.send(bgp.update(ORIGIN + bgp.as_path() + HOP + raw("400504 000000c8 400600") + AGGREGATOR + OTC +
                          raw("800904 0a000007 800a08 0a000001 0a000002") + EXTENDED, bgp.nlri(FAR4)))
    wait_for(lambda: FAR4 in rack.underlay.rib())
    path = rack.underlay.ctl(f"show bgp {FAR4}")["paths"][0]
    want = {"aggregatorAs": TOR_AS, "aggregatorId": "10.0.0.1", "atomicAggregate": True, "otc": TOR_AS, "locPrf": 200,
            "originatorId": "10.0.0.7", "clusterList": {"string": "10.0.0.1 10.0.0.2", "list": ["10.0.0.1", "10.0.0.2"]},
            "extendedCommunity": {"string": "RT:65001:1"}}
    assert {k: path.get(k) for k in want} == want, path
    text = rack.underlay.ctl(f"show bgp {FAR4}", json_out=False).stdout
    for words in ("(aggregated by 65001 10.0.0.1)", "atomic-aggregate", "otc 65001", "Originator: 10.0.0.7",
                  "Cluster list: 10.0.0.1 10.0.0.2", "Extended Community: RT:65001:1"):
        assert words in text, text


@feature("Route reflection, as a client")
def test_loops_of_reflection_are_refused(lab):
    """RFC 4456 section 8."""
    rack = Rack(lab, keys={"asn": "internal"})
    inner = bgp.Speaker(rack.tor, rack.addresses[0], NODE_AS, "10.255.0.1").establish("10.9.0.1")
    base, me = ORIGIN + bgp.as_path() + HOP + raw("400504 00000064"), "0aff0101"  # the node's router id
    inner.send(bgp.update(base + raw(f"800904 {me}"), bgp.nlri("198.51.100.1/32")),
               bgp.update(base + raw(f"800a08 0a000001 {me}"), bgp.nlri("198.51.100.2/32")),
               bgp.update(base + raw("800a08 0a000001 0a000002"), bgp.nlri("198.51.100.3/32")))
    wait_for(lambda: rack.underlay.installed("198.51.100.3/32"))
    why = [rack.underlay.ctl(f"show bgp 198.51.100.{i}/32")["paths"][0].get("filteredReason") for i in (1, 2, 3)]
    assert why == ["own router id as originator", "own router id in the cluster list", None], why


@feature("MED options", peer="raw")
def test_med_options_apply_at_reload(lab):
    """router.med: compared across ASes, and what no MED means."""
    rack = Rack(lab, 2, start=False)
    rack.underlay.start()
    rack.pid = rack.underlay.speaker()
    low, none = rack.session(0), bgp.Speaker(rack.tor, rack.addresses[1], 65002, "10.255.0.2").establish("10.9.0.1")
    low.send(bgp.update(GOOD + raw("800404 00000009"), bgp.nlri(FAR4, "198.51.100.0/24")))
    hop = bgp.origin() + bgp.as_path(65002) + bgp.next_hop("10.9.1.2")
    none.send(bgp.update(hop + raw("800404 00000005"), bgp.nlri(FAR4)), bgp.update(hop, bgp.nlri("198.51.100.0/24")))

    def best(prefix):
        paths = rack.underlay.ctl(f"show bgp {prefix}")["paths"]
        return next(p["peer"]["peerId"] for p in paths if "bestpath" in p)

    wait_for(lambda: all(len(rack.underlay.rib().get(p, ())) == 2 for p in (FAR4, "198.51.100.0/24")))
    assert [best(FAR4), best("198.51.100.0/24")] == ["10.9.1.1", "10.9.1.1"], "MEDs of two ASes are not compared"
    for med, want in (({"always-compare": True}, ["10.9.1.2", "10.9.1.2"]),
                      ({"always-compare": True, "missing-as-worst": True}, ["10.9.1.2", "10.9.1.1"]),
                      ({}, ["10.9.1.1", "10.9.1.1"])):
        rack.underlay.config["router"]["med"] = med
        rack.underlay.write()
        rack.underlay.command("reload")
        wait_for(lambda: [best(FAR4), best("198.51.100.0/24")] == want, what=f"{med} is in force")
    assert rack.info()["connectionsDropped"] == 0, "a reload of router.med resets nothing"


@feature("GRACEFUL_SHUTDOWN", peer="raw")
def test_graceful_shutdown_makes_a_path_the_last_choice(lab):
    """RFC 8326 section 4, from external peers."""
    rack = Rack(lab, 2)
    short, detour = rack.session(0), rack.session(1)
    short.send(bgp.update(GOOD, bgp.nlri(FAR4)))
    detour.send(bgp.update(bgp.origin() + bgp.as_path(TOR_AS, 65009) + bgp.next_hop("10.9.1.2"), bgp.nlri(FAR4)))
    wait_for(lambda: rack.underlay.installed(FAR4) and rack.underlay.next_hops(FAR4) == ["10.9.1.1"])
    short.send(bgp.update(GOOD + bgp.communities(0xffff0000), bgp.nlri(FAR4)))
    wait_for(lambda: rack.underlay.next_hops(FAR4) == ["10.9.1.2"], what="the traffic moves")
    (leaving,) = [p for p in rack.underlay.ctl(f"show bgp {FAR4}")["paths"] if p["peer"]["peerId"] == "10.9.1.1"]
    assert leaving["locPrf"] == 0 and leaving["community"]["list"] == ["gracefulShutdown"], leaving
    assert leaving["notBestReason"] == "lower local preference", leaving
    detour.close()
    wait_for(lambda: rack.underlay.next_hops(FAR4) == ["10.9.1.1"], what="it is still there when nothing else is")


@cases(("provider", 65001, True), ("provider", 65009, True), ("rs-server", 65001, True), ("peer", 65001, False),
       ("peer", 65009, True), ("customer", 65009, False), ("rs-client", 65009, False))
@feature("Roles, OTC", peer="raw")
def test_route_leaks_are_refused(lab, role, otc, leak):
    """RFC 9234 section 5, ingress 1 and 2. The peer has no role of its own, which is no reason to trust it."""
    rack = Rack(lab, keys={"role": role})
    tor = rack.session()
    tor.send(bgp.update(GOOD + bgp.attribute(0xc0, 35, struct.pack(">I", otc)), bgp.nlri(FAR4)),
             bgp.update(GOOD, bgp.nlri("198.51.100.0/24")))
    wait_for(lambda: rack.underlay.installed("198.51.100.0/24"))
    paths = {p: rack.underlay.ctl(f"show bgp {p}")["paths"][0] for p in (FAR4, "198.51.100.0/24")}
    assert paths[FAR4]["otc"] == otc and paths[FAR4]["valid"] != leak, paths
    assert ("a route leak" in paths[FAR4].get("filteredReason", "")) == leak, paths
    above = role in ("customer", "peer", "rs-client")
    assert paths["198.51.100.0/24"].get("otc") == (TOR_AS if above else None), paths
    assert rack.underlay.gone(FAR4) or not leak
    tor.close()


@cases(("graceful-shutdown",), ("no-export",), ("llgr-stale",), ("no-peer",))
@feature("Well-known communities")
def test_communities_by_name(lab, name):
    """As they are written in the configuration and shown, with their numbers on the wire."""
    number = {"graceful-shutdown": 0xffff0000, "no-export": 0xffffff01, "llgr-stale": 0xffff0006, "no-peer": 0xffffff04}[name]
    rack = Rack(lab, advertise={"vips": [{"prefix": "198.51.100.7/32", "communities": [name]}]})
    tor = rack.session()
    assert next_update(tor, "198.51.100.7/32")[8] == (0xc0, struct.pack(">I", number))
    assert rack.underlay.ctl("show bgp 198.51.100.7/32")["paths"][0]["community"]["string"] == name
    rack.underlay.command(f"advertise 198.51.100.8/32 community {name}")
    assert next_update(tor, "198.51.100.8/32")[8] == (0xc0, struct.pack(">I", number))


@cases(("frr",), ("bird",))
@feature("Route reflection, as a client")
def test_what_a_reflector_hands_on(lab, kind):
    """Two nodes are clients of one router; each learns who the other one is and which cluster it came through."""
    client = {"frr": ("10.0.1.0", "10.0.2.0"), "bird": ()}[kind]
    pair = Pair(lab, kind, node_as=NODE_AS, tor_as=NODE_AS, peer={"asn": "internal"},
                neighbor={"extra": ["rr client;"] if kind == "bird" else []},
                tor_options={"ipv4": [f"neighbor {address} route-reflector-client" for address in client]})
    other = lab.node("other")
    link = lab.link(other, pair.tor_node)
    pair.tor.neighbors.append(dataclasses.replace(pair.tor.neighbors[0], address=link.a4, local=link.b4))
    second = Underlay(other, [tor(link.b4, asn="internal")], asn=NODE_AS, id="10.255.1.2",
                      advertise={"pod-cidrs": ["10.244.8.0/24"]})
    pair.start()
    second.start()
    for node, prefix, origin in ((pair.underlay, "10.244.8.0/24", "10.255.1.2"), (second, POD4, "10.255.1.1")):
        wait_for(lambda: prefix in node.rib(), what=f"{prefix} comes through the reflector")
        path = node.ctl(f"show bgp {prefix}")["paths"][0]
        assert (path["originatorId"], path["clusterList"]["list"]) == (origin, ["10.255.0.1"]), path
