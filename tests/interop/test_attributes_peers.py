"""Attributes as other implementations make and understand them: communities of three kinds, two-octet AS numbers, roles."""
import json
import re

from lab import never_during, wait_for
from peers import PEERS
from runner import cases, feature
from topology import FAR4, FAR6, NODE_AS, POD4, TOR_AS, Dual, Pair, leads_over

EVERY = [(k,) for k in PEERS]
VIP = "198.51.100.7/32"


def told(tor, prefix):
    """All that the peer says of a route of ours, as its own text."""
    if tor.kind == "frr":
        return json.dumps(tor.route(prefix))
    if tor.kind == "bird":
        return tor.birdc(f"show route all {prefix}")
    if tor.kind == "gobgp":
        return tor.gobgp("global", "rib", prefix)
    if tor.kind == "openbgpd":
        return json.dumps([r for r in tor.json("show rib detail")["rib"] if r["prefix"] == prefix])
    return json.dumps([e["neighbor"]["message"] for e in tor.events() if e["type"] == "update" and prefix in json.dumps(e)])


# How each peer writes 65100:100, 65100:1:2 and no-export, in order.
OURS = {
    "frr": ("65100:100", "65100:1:2", "no-export"),
    "bird": ("(65100,100)", "(65100, 1, 2)", "(65535,65281)"),
    "gobgp": ("65100:100", "65100:1:2", "no-export"),
    "exabgp": ("[65100, 100]", "[65100, 1, 2]", "[65535, 65281]"),
    "openbgpd": ("65100:100", "65100:1:2", "NO_EXPORT"),
}
FRR_MARK = ["route-map mark permit 10", " set community 65001:7", " set large-community 65001:8:9", " set extcommunity rt 65001:10",
            " set extcommunity soo 65001:11"]
BIRD_MARK = ("export filter { bgp_community.add((65001,7)); bgp_large_community.add((65001,8,9)); "
             "bgp_ext_community.add((rt,65001,10)); bgp_ext_community.add((ro,65001,11)); accept; };")
OPTIONS = {
    "frr": {"lines": FRR_MARK},
    "bird": {"channel": (BIRD_MARK,)},
    "openbgpd": {"filters": ["match to any set { community 65001:7 large-community 65001:8:9 ext-community rt 65001:10 "
                             "ext-community soo 65001:11 }"]},
}


def marked(lab, kind):
    """A node and a ToR that marks what it announces with one community of each kind."""
    vip = {"prefix": VIP, "communities": ["65100:100", "65100:1:2", "no-export"]}
    pair = Pair(lab, kind, tor_options=OPTIONS.get(kind), advertise={"vips": [vip], "pod-cidrs": [POD4]})
    if kind == "frr":
        pair.tor.options["ipv4"] = [f"neighbor {pair.mine} route-map mark out"]
    pair.up()
    if kind == "gobgp":
        for name, value in (("mark1", "rt:65001:10"), ("mark2", "soo:65001:11")):
            pair.tor.gobgp("policy", "statement", name, "add", "action", "ext-community", "add", value)
            pair.tor.gobgp("policy", "add", "mark", name)
        pair.tor.gobgp("global", "policy", "export", "add", "mark")
        pair.tor.gobgp("global", "rib", "add", FAR4, "nexthop", pair.link.b4, "community", "65001:7", "large-community",
                       "65001:8:9")
    elif kind == "exabgp":
        pair.tor.announce(FAR4, attributes="community [65001:7] large-community [65001:8:9] "
                                           "extended-community [target:65001:10 origin:65001:11]")
    else:
        pair.tor.announce(FAR4)
    wait_for(lambda: pair.underlay.installed(FAR4), what="the marked route is in use")
    return pair


@cases(*EVERY)
@feature("Communities", "Large communities", "Extended communities")
def test_communities_of_three_kinds(lab, kind):
    pair = marked(lab, kind)
    path = pair.underlay.ctl(f"show bgp {FAR4}")["paths"][0]
    assert path["community"]["string"] == "65001:7", path
    assert path["largeCommunity"]["string"] == "65001:8:9", path
    assert path["extendedCommunity"]["string"] == "RT:65001:10 SoO:65001:11", path
    wait_for(lambda: pair.tor.has(VIP, POD4))
    text = told(pair.tor, VIP)
    for word in OURS[kind]:
        assert word in text, (word, text)
    assert pair.underlay.neighbor()["messageStats"]["attributesDiscarded"] == 0


AS4_OFF = {
    "bird": {"neighbor": {"extra": ("enable as4 off;",)}},
    "exabgp": {"neighbor": {"extra": ("capability { asn4 disable; }",)}},
    "openbgpd": {"neighbor": {"extra": ("announce as-4byte no",)}},
}
WIDE_AS, BEHIND = 4200000001, 4200000005


@cases(*[(k,) for k in AS4_OFF])
@feature("AS4_PATH, 2-octet peer")
def test_peer_with_two_octet_as_numbers(lab, kind):
    """RFC 6793 4.2.2 and 4.2.3, both ways: AS_TRANS stands for us there, and what is behind the peer is whole here."""
    options = {"bird": {"channel": (f"export filter {{ bgp_path.prepend({BEHIND}); accept; }};",)}}.get(kind)
    us = NODE_AS if kind == "bird" else WIDE_AS  # with as4 off it takes no such AS for a neighbour's
    # IPv4 only: Wireshark guesses the width from what follows AS_PATH, and gets it wrong where nothing does.
    pair = Pair(lab, kind, node_as=us, neighbor=AS4_OFF[kind]["neighbor"], tor_options=options, advertise={"pod-cidrs": [POD4]})
    if kind == "exabgp":
        pair.tor.neighbors[0].asn = 23456  # BIRD and OpenBGPD look at our capability all the same
    pair.up()
    assert "4byteAs" not in pair.underlay.neighbor()["neighborCapabilities"] or \
        pair.underlay.neighbor()["neighborCapabilities"]["4byteAs"] == "advertised", pair.underlay.neighbor()
    if kind == "exabgp":
        pair.tor.announce(FAR4, attributes=f"as-path [{TOR_AS} {BEHIND}]")
    else:
        pair.tor.announce(FAR4)
    wait_for(lambda: pair.underlay.installed(FAR4))
    path = pair.underlay.rib()[FAR4][0]["path"]
    assert path == (f"{TOR_AS}" if kind == "openbgpd" else f"{TOR_AS} {BEHIND}"), path
    wait_for(lambda: pair.tor.has(POD4))
    seen = pair.tor.routes("ipv4")[POD4]["as_path"]
    assert seen in ([23456], [us]), seen
    assert str(us) in told(pair.tor, POD4), told(pair.tor, POD4)  # in AS4_PATH, or merged
    assert pair.underlay.neighbor()["messageStats"]["attributesDiscarded"] == 0


ROLE = {"frr": "local-role {}", "bird": "local role {};"}


def role_of(kind, role):
    """A peer's own word for a role."""
    return role.replace("-", "_") if kind == "bird" else role


@cases(*[(k, ours, theirs) for k in ROLE for ours, theirs in (("customer", "provider"), ("provider", "customer"),
                                                               ("peer", "peer"), ("rs-client", "rs-server"))])
@feature("Roles, OTC")
def test_roles_mark_routes(lab, kind, ours, theirs):
    """RFC 9234 section 5 with a peer that does the same: each adds OTC where the other would."""
    extra = (ROLE[kind].format(role_of(kind, theirs)),)
    pair = Pair(lab, kind, peer={"role": ours}, neighbor={"extra": extra}).up()
    info = pair.underlay.neighbor()
    assert (info["localRole"], info["remoteRole"]) == (ours, theirs), info
    pair.learn(FAR4, FAR6)
    wait_for(lambda: pair.tor.has(POD4))
    path = pair.underlay.ctl(f"show bgp {FAR4}")["paths"][0]
    assert path.get("otc") == (None if ours == "provider" else TOR_AS), path
    text = told(pair.tor, POD4)
    if kind == "frr":
        otc = json.loads(text)["paths"][0].get("otc")
    else:
        match = re.search(r"BGP\.(?:onlytocustomer|otc): (\d+)", text)
        otc = match and int(match[1])
    assert otc == (NODE_AS if ours in ("provider", "peer") else None), text


@cases(*[(k,) for k in ROLE])
@feature("Roles, OTC")
def test_what_came_from_above_does_not_go_up(lab, kind):
    """A route learned from one provider is not for another one, nor for a peer; for a customer it is."""
    dual = Dual(lab, (kind, kind))
    first, second = dual.tors
    for tor in dual.tors:
        tor.neighbors[0].extra = (ROLE[kind].format(role_of(kind, "provider")),)
    for peer in dual.underlay.config["peers"]:
        peer.update({"role": "customer", "export": "all"})
    dual.up()
    first.announce(FAR4)
    wait_for(lambda: dual.underlay.installed(FAR4))
    never_during(lambda: second.has(FAR4), 1, "a route of one provider at the other")
    wait_for(lambda: second.has(POD4))


@cases(("exabgp",))
@feature("RFC 7606: session stays")
def test_malformed_attributes_of_a_real_peer(lab, kind):
    pair = Pair(lab, kind).up()
    pair.learn(FAR4)
    pair.tor.announce(FAR4, attributes="attribute [0x08 0xc0 0x000102]")
    wait_for(lambda: pair.underlay.gone(FAR4), what="its route is withdrawn by the error")
    info = pair.underlay.neighbor()
    assert info["bgpState"] == "Established" and info["connectionsDropped"] == 0, info
    assert info["malformedUpdates"]["attributes"]["communities"]["treatAsWithdraw"] == 1, info
    pair.tor.announce(FAR4)
    wait_for(lambda: pair.underlay.installed(FAR4), what="and comes back with a good UPDATE")


def transit(lab, *kinds):
    """The first ToR's routes go through the node to the second."""
    dual = Dual(lab, kinds)
    dual.underlay.config["peers"][1]["export"] = "all"
    return dual.up()


@cases(("frr",), ("bird",), ("gobgp",), ("openbgpd",))
@feature("Well-known communities")
def test_what_must_not_go_on_does_not(lab, kind):
    """RFC 1997: NO_EXPORT stays within the AS, NO_ADVERTISE with us. What ExaBGP says never reaches the second router."""
    dual = transit(lab, "exabgp", kind)
    source, other = dual.tors
    source.announce("198.51.100.1/32", attributes="community [no-export]")
    source.announce("198.51.100.2/32", attributes="community [no-advertise]")
    source.announce("198.51.100.3/32", attributes="community [65001:7]")
    wait_for(lambda: other.has("198.51.100.3/32"), what="the one that may")
    wait_for(lambda: dual.underlay.installed("198.51.100.1/32", "198.51.100.2/32"), what="the others are used here all the same")
    never_during(lambda: other.has("198.51.100.1/32") or other.has("198.51.100.2/32"), 1, "handed on")


@feature("Unknown attributes", peer="bird")
def test_unknown_attributes_between_two_routers(lab):
    """RFC 4271 section 5: ExaBGP makes one that is transitive and one that is not; BIRD gets the first."""
    dual = transit(lab, "exabgp", "bird")
    source, other = dual.tors
    source.announce(FAR4, attributes="attribute [0xf3 0xc0 0xabcd] attribute [0xf4 0x80 0xabcd]")
    wait_for(lambda: other.has(FAR4), what="handed on")
    text = other.birdc(f"show route all {FAR4}")
    assert re.search(r"BGP\.f3 \[t\]: ab cd", text) and "BGP.f4" not in text, text


@cases(("frr",), ("bird",), ("gobgp",), ("openbgpd",))
@feature("Long AS paths")
def test_a_path_of_more_than_one_segment(lab, kind):
    """RFC 4271 5.1.2: a segment holds 255; the path comes as ExaBGP made it, with us in front."""
    dual = transit(lab, "exabgp", kind)
    source, other = dual.tors
    rest = [4200000000 + i for i in range(280)]
    source.announce(FAR4, attributes=f"as-path [{TOR_AS} {' '.join(map(str, rest))}]")
    wait_for(lambda: other.has(FAR4), what="handed on")
    path = [NODE_AS, TOR_AS, *rest]
    if kind == "bird":  # shows the beginning of it
        assert FAR4 in other.birdc(f"show route where net = {FAR4} && bgp_path.len = {len(path)}")
    else:
        assert other.routes("ipv4")[FAR4]["as_path"] == path


@cases(("frr",), ("bird",))
@feature("GRACEFUL_SHUTDOWN")
def test_a_router_that_is_about_to_go(lab, kind):
    """RFC 8326: its routes become the last choice at once, and are an equal one again when it stays."""
    dual = Dual(lab, (kind, kind)).up()
    dual.learn(FAR4)
    leaving = dual.tors[0]
    said = {"frr": "bgp graceful-shutdown", "bird": "filter { bgp_community.add((65535,0)); accept; };"}[kind]

    def tell(going):
        if kind == "frr":
            leaving.vtysh("configure terminal", f"router bgp {leaving.asn}", said if going else f"no {said}")
        else:
            leaving.options["export"] = said if going else "all;"
            leaving.announce()

    tell(True)
    wait_for(lambda: leads_over(dual.underlay.kernel("ipv4")[FAR4], dual.links[1]), what="traffic leaves it")
    tell(False)
    wait_for(lambda: len(dual.underlay.next_hops(FAR4)) == 2, what="both again")


@cases((True,), (False,))
@feature("MED options", peer="exabgp")
def test_med_of_two_ases(lab, always):
    """RFC 4271 9.1.2.2 c compares it within one neighbouring AS; with `always-compare` between all, and one that is missing is 0,
    or with `missing-as-worst` the worst (RFC 4451)."""
    med = {"med": {"always-compare": True, "missing-as-worst": True}} if always else {}
    dual = Dual(lab, ("exabgp", "exabgp"), router=med).up()
    first, second = dual.tors
    first.announce(FAR4, attributes="med 20")
    second.announce(FAR4, attributes="med 10")
    first.announce("198.51.100.1/32", attributes="med 20")
    second.announce("198.51.100.1/32")
    hops = dual.underlay.next_hops
    wait_for(lambda: all(len(dual.underlay.rib()[p]) == 2 for p in (FAR4, "198.51.100.1/32")), what="two paths of each")
    if not always:
        wait_for(lambda: len(hops(FAR4)) == len(hops("198.51.100.1/32")) == 2, what="equal")
        return
    wait_for(lambda: leads_over(dual.underlay.kernel("ipv4")[FAR4], dual.links[1]), what="the lower one")
    wait_for(lambda: leads_over(dual.underlay.kernel("ipv4")["198.51.100.1/32"], dual.links[0]), what="any before none")
