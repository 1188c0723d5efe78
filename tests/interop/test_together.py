"""Features that meet on one session: what an operator runs is never one of them alone."""
import struct

import rawbgp as bgp
from lab import never_during, wait_for
from rack import Rack, attributes
from runner import cases, feature
from test_dynamic import ranged
from test_graceful_restart import GONE4, helper_pair, options, restarted, stale
from test_unnumbered import Bare
from topology import FAR4, FAR6, POD4, TOR_AS, Dual, Pair

OTHER4 = "198.51.100.0/24"


def neighbor(pair):
    return pair.underlay.ctl("show bgp neighbors").get(pair.theirs, {})


def reload(underlay, peer=None, **sections):
    underlay.config["peers"][0].update(peer or {})
    underlay.config.update(sections)
    underlay.write()
    underlay.command("reload")


def lose(pair):
    """The peer's BGP dies; its routes are used on."""
    pair.tor.kill_bgp()
    wait_for(lambda: neighbor(pair).get("bgpState") != "Established", what="the loss is noticed")
    assert stale(pair)


@cases(("frr",), ("bird",), ("gobgp",))
@feature("Dynamic neighbours: graceful restart")
def test_a_dynamic_peer_restarts(lab, kind):
    more = options(kind)
    more.get("neighbor", {}).pop("passive", None)  # it has to connect
    pair = ranged(lab, kind, networks=(FAR4, FAR6, GONE4), **{**more, "peer": {}}).start()
    wait_for(lambda: neighbor(pair).get("bgpState") == "Established", 30, "the session")
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6, GONE4), what="its routes are in the kernel")
    wait_for(lambda: all(neighbor(pair)["gracefulRestartInfo"]["endOfRibRecv"].values()), what="End-of-RIB")
    watch = pair.node.monitor()
    lose(pair)
    assert neighbor(pair)["dynamicPeer"] is True and pair.underlay.installed(FAR4, FAR6, GONE4)
    restarted(pair)
    wait_for(lambda: neighbor(pair).get("bgpState") == "Established", 40, "it is found again")
    if kind == "gobgp":  # its routes come over its API after its start: all goes with an early End-of-RIB
        wait_for(lambda: pair.underlay.gone(GONE4) and pair.underlay.installed(FAR4, FAR6), 30)
        return
    wait_for(lambda: pair.underlay.gone(GONE4), 30, "what is not said again goes")
    wait_for(lambda: not stale(pair), what="the rest is fresh")
    deleted = [line for line in watch.deleted() if GONE4 not in line and "nexthop" not in line]
    assert not deleted and pair.underlay.installed(FAR4, FAR6), deleted


@feature("Unnumbered: graceful restart", peer="frr")
def test_an_unnumbered_peer_restarts_but_a_lost_interface_ends_it(lab):
    bare = Bare(lab, neighbor={"extra": ["graceful-restart"]})
    bare.tor.networks = (FAR4, FAR6)
    bare.tor.options = {"lines": [f"router bgp {TOR_AS}", " bgp graceful-restart",
                                  " bgp graceful-restart preserve-fw-state"]}
    bare.up()
    node = bare.underlay
    wait_for(lambda: node.installed(FAR4, FAR6), what="both families in the kernel")
    wait_for(lambda: all(node.neighbor()["gracefulRestartInfo"]["endOfRibRecv"].values()), what="End-of-RIB")
    watch = bare.node.monitor()
    bare.tor.kill_bgp()
    wait_for(lambda: not node.established(), what="the loss is noticed")
    assert node.installed(FAR4, FAR6) and all(p.get("stale") for p in node.rib()[FAR4])
    bare.tor.start()
    node.wait_established(timeout=40)
    wait_for(lambda: not any(p.get("stale") for p in node.rib()[FAR4]), 30, "they are fresh again")
    deleted = [line for line in watch.deleted() if "nexthop" not in line and PROTO in line]
    assert not deleted and node.installed(FAR4, FAR6), deleted
    bare.tor.kill_bgp()
    wait_for(lambda: not node.established(), what="the loss is noticed")
    bare.link.down(bare.tor_node)
    wait_for(lambda: FAR4 not in node.rib() and FAR6 not in node.rib("ipv6"), 5, "nothing is kept without the link")
    assert node.gone(FAR4, FAR6)


PROTO = "proto 87"
TAKES = [{"match": {"peer": "tor of rack 7", "prefix": [FAR4]}, "set": {"local-pref": 222}, "then": "accept"}]


@feature("Unnumbered: policy", peer="frr")
def test_a_policy_names_an_unnumbered_peer_by_its_description(lab):
    bare = Bare(lab, peer={"description": "tor of rack 7", "import": "p"}, policies={"p": TAKES}).up()
    node = bare.underlay
    bare.tor.announce(FAR4, FAR6, OTHER4)
    wait_for(lambda: node.installed(FAR4), what="what the policy takes")
    assert node.rib()[FAR4][0]["locPrf"] == 222
    wait_for(lambda: OTHER4 in node.ctl(f"show bgp neighbors {bare.device} filtered-routes")["filteredRoutes"])
    reload(node, policies={"p": [{"match": {"peer": bare.device, "prefix": [OTHER4]}, "then": "accept"}]})
    wait_for(lambda: node.installed(OTHER4) and node.gone(FAR4, FAR6), what="the new policy, by the interface's name")
    assert node.neighbor()["connectionsDropped"] == 0


@feature("Graceful restart: with a reload", peer="frr")
def test_a_policy_of_a_reload_counts_for_stale_routes_too(lab):
    pair = helper_pair(lab, "frr")
    lose(pair)
    reload(pair.underlay, {"import": "p"},
           policies={"p": [{"match": {"prefix": [GONE4]}, "then": "reject"}, {"then": "accept"}]})
    wait_for(lambda: pair.underlay.gone(GONE4), what="what the policy refuses goes at once")
    assert stale(pair) and pair.underlay.installed(FAR4, FAR6)
    pair.tor.start()
    pair.wait_up(40)
    wait_for(lambda: not stale(pair), 30, "the rest is fresh")
    assert pair.underlay.gone(GONE4)


@cases(("reset",), ("removed",), ("shutdown",), ("clear",))
@feature("Graceful restart: with a reload", peer="frr")
def test_what_an_operator_does_meanwhile_ends_stale_routes(lab, what):
    pair = helper_pair(lab, "frr")
    lose(pair)
    if what == "clear":
        pair.underlay.command(f"clear bgp {pair.theirs}")
    elif what == "removed":
        pair.underlay.config["peers"] = []
        pair.underlay.write()
        pair.underlay.command("reload")
    else:
        reload(pair.underlay, {"reset": {"role": "customer"}, "shutdown": {"shutdown": True}}[what])
    wait_for(lambda: pair.underlay.gone(FAR4, FAR6, GONE4), 5, "they go at once")
    assert POD4 in pair.underlay.kernel(), "and nothing else"


@cases(("withdraw",), ("preserve",))
@feature("Graceful restart: with a stop", peer="frr")
def test_a_stop_while_routes_are_stale(lab, how):
    pair = helper_pair(lab, "frr", router={"on-stop": how})
    lose(pair)
    assert pair.underlay.stop() == 0
    if how == "preserve":
        assert pair.underlay.installed(FAR4, FAR6, GONE4)
        pair.underlay.start()
        restarted(pair)
        pair.wait_up(40)
        wait_for(lambda: pair.underlay.gone(GONE4), 30, "what nobody says again is swept")
        assert pair.underlay.installed(FAR4, FAR6)
    else:
        assert pair.underlay.kernel() == {} and pair.underlay.kernel("ipv6") == {}


@feature("ADD-PATH: graceful restart", peer="bird")
def test_paths_of_a_restarted_peer_replace_the_stale_ones(lab):
    more = options("bird")
    more["neighbor"]["add_path"] = "send"
    pair = helper_pair(lab, "bird", peer={"add_path": "receive", "max-prefixes": {"ipv4": 2, "ipv6": 1}}, **more)
    watch = pair.node.monitor()
    lose(pair)
    restarted(pair)
    pair.wait_up(40)
    wait_for(lambda: pair.underlay.gone(GONE4), 30, "what is not said again goes")
    wait_for(lambda: not stale(pair), what="the rest is fresh")
    assert [len(pair.underlay.rib()[p]) for p in (FAR4,)] == [1]
    deleted = [line for line in watch.deleted() if GONE4 not in line and "nexthop" not in line]
    assert not deleted and pair.underlay.installed(FAR4, FAR6), deleted


def capabilities(*more):
    return bgp.parameters(bgp.MP4, bytes((2, 0)), bgp.as4(TOR_AS), *more)


RESTARTS = bytes((64, 6)) + struct.pack(">HHBB", 0x4000 | 60, 1, 1, 0x80)
BOTH_PATHS = bytes((69, 4, 0, 1, 1, 3))
ENHANCED = bytes((70, 0))
EOR = bgp.update()


def paths_of(prefix, *ids):
    return b"".join(struct.pack(">I", i) + bgp.nlri(prefix) for i in ids)


@feature("ADD-PATH: graceful restart", peer="raw")
def test_other_path_identifiers_after_a_restart_do_not_pass_the_limit(lab):
    rack = Rack(lab, keys={"add-path": "receive", "max-prefixes": {"ipv4": 2}})
    params = capabilities(RESTARTS, BOTH_PATHS)
    rack.session(params=params).send(bgp.update(attributes(), paths_of(OTHER4, 1, 2)), EOR).close()
    wait_for(lambda: not rack.underlay.established(), what="the loss is noticed")
    peer = rack.session(params=params).send(bgp.update(attributes(), paths_of(OTHER4, 11, 12)))
    rack.wait_routes(4)
    never_during(lambda: not rack.underlay.established(), 1, "the session ends")
    peer.send(EOR)
    rack.wait_routes(2)
    assert {p["addpathRxId"] for p in rack.underlay.ctl("show", "bgp", OTHER4)["paths"]} == {11, 12}
    peer.send(bgp.update(attributes(), paths_of(OTHER4, 13))).expect(bgp.NOTIFICATION)
    wait_for(lambda: OTHER4 not in rack.underlay.rib(), what="too many: nothing is kept")
    rack.unharmed()


ASKS = [{"match": {"community": "1:1"}, "set": {"local-pref": 10}, "then": "accept"}]


def shown_paths(rack, prefix):
    """The local preference of each path by its identifier; None: refused."""
    return {p["addpathRxId"]: None if p.get("filteredReason") else p["locPrf"]
            for p in rack.underlay.ctl("show", "bgp", prefix)["paths"]}


@cases((True,), (False,))
@feature("ADD-PATH: with policies", peer="raw")
def test_an_import_policy_judges_path_by_path(lab, refresh):
    """The peer that cannot be asked again is judged by what it said, path by path."""
    rack = Rack(lab, 2, keys={"add-path": "receive", "import": "p"}, policies={"p": ASKS}, router={"multipath": 4})
    extra = (BOTH_PATHS,) + ((bytes((2, 0)),) if refresh else ())
    peer = rack.session(params=bgp.parameters(bgp.MP4, bgp.as4(TOR_AS), *extra))
    said = [bgp.update(attributes(bgp.communities(1 << 16 | i), hop=f"10.9.1.{i}"), paths_of(OTHER4, i)) for i in (1, 2)]
    peer.send(*said)
    wait_for(lambda: OTHER4 in rack.underlay.rib() and shown_paths(rack, OTHER4) == {1: 10, 2: None}, what="one is refused")
    wait_for(lambda: rack.underlay.installed(OTHER4))
    assert rack.underlay.next_hops(OTHER4) == ["10.9.1.1"]
    for policy, expected, hops in (
            ([{"set": {"local-pref": 20}, "then": "accept"}], {1: 20, 2: 20}, ["10.9.1.1", "10.9.1.2"]),
            ([{"match": {"community": "1:2"}, "set": {"local-pref": 30}, "then": "accept"}], {1: None, 2: 30}, ["10.9.1.2"])):
        reload(rack.underlay, policies={"p": policy})
        if refresh:
            peer.expect(bgp.REFRESH)
            peer.send(*said)
        wait_for(lambda: shown_paths(rack, OTHER4) == expected, what=f"{expected}")
        wait_for(lambda: rack.underlay.installed(OTHER4) and rack.underlay.next_hops(OTHER4) == hops, what=f"{hops}")
    peer.send(bgp.update(withdrawn=paths_of(OTHER4, 2)))
    wait_for(lambda: rack.underlay.gone(OTHER4) and shown_paths(rack, OTHER4) == {1: None})
    assert rack.info()["connectionsDropped"] == 0


def collect(peer, have):
    """What the peer has been sent of IPv4 so far, as {(path identifier, prefix)}, added to have."""
    while peer.readable(0.2):
        kind, body = peer.receive()
        if kind != bgp.UPDATE:
            continue
        n = int.from_bytes(body[:2], "big")
        gone, rest = body[2:2 + n], body[2 + n:]
        come = rest[2 + int.from_bytes(rest[:2], "big"):]
        for data, change in ((gone, have.discard), (come, have.add)):
            while data:
                size = 5 + (data[4] + 7) // 8
                change((int.from_bytes(data[:4], "big"), data[4:size]))
                data = data[size:]
    return have


@feature("ADD-PATH: with policies", peer="raw")
def test_an_export_policy_judges_path_by_path(lab):
    rack = Rack(lab, 2, keys={"add-path": "both", "export": "p"}, policies={"p": [
        {"match": {"community": "1:1"}, "then": "reject"}, {"match": {"source": "learned"}, "then": "accept"}]})
    params = capabilities(BOTH_PATHS)
    one, two = rack.session(0, params=params), rack.session(1, params=params)
    for i in (1, 2, 3):
        one.send(bgp.update(attributes(bgp.communities(1 << 16 | i)), paths_of(OTHER4, i)))
    have = set()
    wait_for(lambda: len(collect(two, have)) == 2, what="two of three")
    first = set(have)
    reload(rack.underlay, policies={"p": [{"match": {"community": "1:2"}, "then": "reject"}, {"match": {"source": "learned"}, "then": "accept"}]})
    wait_for(lambda: len(collect(two, have)) == 2 and have != first, what="another two")
    assert len(have & first) == 1, (have, first)
    one.send(bgp.update(withdrawn=paths_of(OTHER4, 1)))
    wait_for(lambda: len(collect(two, have)) == 1, what="one is withdrawn")
    assert have == have & first
    one.close()
    wait_for(lambda: not collect(two, have), what="the rest too")
    assert rack.info(1)["connectionsDropped"] == 0


@feature("Policy: next hops", peer="raw")
def test_next_hops_set_on_import(lab):
    """One that nobody can reach, our own, and at last a good one; no session is reset and nothing else installed."""
    rack = Rack(lab, keys={"import": "p"}, policies={"p": [{"set": {"next-hop": "10.99.0.1"}, "then": "accept"}]})
    peer = rack.session(params=bgp.parameters(bgp.MP4, bgp.as4(TOR_AS)))
    peer.send(bgp.update(attributes(), bgp.nlri(OTHER4)))
    shown = lambda: rack.underlay.ctl("show", "bgp", OTHER4)["paths"][0]
    wait_for(lambda: OTHER4 in rack.underlay.rib())
    assert shown()["nexthops"][0]["ip"] == "10.99.0.1" and not shown()["nexthops"][0]["accessible"], shown()
    reload(rack.underlay, policies={"p": [{"set": {"next-hop": "10.9.0.1"}, "then": "accept"}]})
    wait_for(lambda: "own address" in shown().get("filteredReason", ""), what="our own is refused")
    assert rack.underlay.gone(OTHER4)
    rack.tor.address("to-node", "10.9.1.77/16")
    reload(rack.underlay, policies={"p": [{"set": {"next-hop": "10.9.1.77"}, "then": "accept"}]})
    wait_for(lambda: rack.underlay.installed(OTHER4) and rack.underlay.next_hops(OTHER4) == ["10.9.1.77"])
    assert rack.info()["connectionsDropped"] == 0


@feature("Enhanced route refresh: graceful restart", peer="raw")
def test_a_refresh_begins_only_after_end_of_rib(lab):
    """RFC 7313 section 4; what was stale before must not be taken for fresh, nor the other way round."""
    rack = Rack(lab)
    params = capabilities(RESTARTS, ENHANCED)
    rack.session(params=params).send(bgp.update(attributes(), bgp.nlri(FAR4, OTHER4)), EOR).close()
    wait_for(lambda: not rack.underlay.established(), what="the loss is noticed")
    peer = rack.session(params=params).send(bgp.refresh(subtype=1), bgp.update(attributes(), bgp.nlri(FAR4)),
                                            bgp.refresh(subtype=2))
    wait_for(lambda: "a refresh begins before End-of-RIB" in rack.underlay.process.output())
    rack.wait_routes(2)
    peer.send(EOR)
    rack.wait_routes(1)
    peer.send(bgp.update(attributes(), bgp.nlri(OTHER4)), bgp.refresh(subtype=1), bgp.update(attributes(), bgp.nlri(OTHER4)))
    peer.close()  # in the middle of a refresh: all of it is what the peer had said
    wait_for(lambda: not rack.underlay.established(), what="the loss is noticed")
    assert set(rack.underlay.rib()) >= {FAR4, OTHER4} and all(p.get("stale") for p in rack.underlay.rib()[OTHER4])
    peer = rack.session(params=params).send(bgp.update(attributes(), bgp.nlri(OTHER4)), EOR)
    rack.wait_routes(1)
    assert rack.underlay.established()


@feature("Graceful restart: families", peer="raw")
def test_a_family_that_does_not_come_back_is_not_kept(lab):
    rack = Rack(lab)
    both = bytes((64, 10)) + struct.pack(">HHBBHBB", 0x4000 | 60, 1, 1, 0x80, 2, 1, 0x80)
    six = bgp.update(bgp.origin() + bgp.as_path(TOR_AS) + bgp.mp_reach6("fd00:9::2", bgp.nlri(FAR6)))
    peer = rack.session(params=bgp.parameters(bgp.MP4, bgp.MP6, bytes((2, 0)), bgp.as4(TOR_AS), both))
    peer.send(bgp.update(attributes(), bgp.nlri(FAR4)), six)
    wait_for(lambda: rack.underlay.installed(FAR4, FAR6), what="both families")
    peer.close()
    wait_for(lambda: not rack.underlay.established(), what="the loss is noticed")
    assert rack.underlay.installed(FAR4, FAR6)
    peer = rack.session(hold=0, params=capabilities(RESTARTS))
    wait_for(lambda: rack.underlay.gone(FAR6), 5, "IPv6 is not in the new OPEN")
    assert rack.underlay.established() and rack.underlay.installed(FAR4) and rack.underlay.rib()[FAR4][0].get("stale")


@feature("Collisions: leftovers", peer="raw")
def test_a_silent_second_connection_does_not_keep_the_peer_away(lab):
    """The peer connected twice; one became the session and is closed, over the other one nothing is said."""
    rack = Rack(lab)
    params = capabilities(RESTARTS)
    peer = rack.session(params=params).send(bgp.update(attributes(), bgp.nlri(FAR4)))
    silent = rack.speaker().connect("10.9.0.1")
    silent.expect(bgp.OPEN)
    wait_for(lambda: rack.underlay.installed(FAR4))
    peer.close()
    wait_for(lambda: not rack.underlay.established(), what="the loss is noticed")
    silent.expect_notification(4, 0, timeout=20)
    assert rack.underlay.installed(FAR4) and rack.info()["connectionsDropped"] == 1
    again = rack.session(params=params, wait=5).send(EOR)
    wait_for(lambda: rack.underlay.gone(FAR4), what="not said again")
    third = rack.speaker().connect("10.9.0.1").open(params=params)
    third.expect_notification(6, 7)
    assert rack.info()["connectionsDropped"] == 1 and rack.info()["connectionsEstablished"] == 2
    down = [line for line in rack.underlay.process.output().splitlines() if "session down" in line]
    assert len(down) == 1 and 'reason=""' not in down[0], down
    again.close()


@feature("Graceful shutdown: with a policy", peer="frr")
def test_graceful_shutdown_wins_against_a_policy(lab):
    dual = Dual(lab, policies={"p": [{"set": {"local-pref": 300}, "then": "accept"}]})
    for peer in dual.underlay.config["peers"]:
        peer["import"] = "p"
    dual.up().learn(FAR4)
    dual.tors[0].configure("route-map drain permit 10", "set community graceful-shutdown additive",
                           f"router bgp {dual.tors[0].asn}", "address-family ipv4 unicast",
                           f"neighbor {dual.links[0].a4} route-map drain out",
                           f"neighbor {dual.links[0].a4} send-community")
    wait_for(lambda: dual.underlay.next_hops(FAR4) == [dual.links[1].b4], 20, "the traffic leaves the first ToR")
    shown = {p["peer"]["peerId"]: p["locPrf"] for p in dual.underlay.ctl("show", "bgp", FAR4)["paths"]}
    assert shown == {dual.links[0].b4: 0, dual.links[1].b4: 300}, shown
    reload(dual.underlay, policies={"p": [{"set": {"local-pref": 300, "community-remove": ["graceful-shutdown"]},
                                           "then": "accept"}]})
    wait_for(lambda: len(dual.underlay.next_hops(FAR4)) == 2, what="unless the policy takes the community away")


@feature("Unnumbered: accept_ra", peer="frr")
def test_a_default_route_of_the_kernel_is_warned_of(lab):
    bare = Bare(lab)
    bare.node.sysctl({"net.ipv6.conf.all.forwarding": 0})
    for key, value in (("forwarding", 0), ("accept_ra", 1), ("accept_ra_defrtr", 1)):
        bare.node.sysctl({f"net.ipv6.conf.{bare.device}.{key}": value})
    bare.up()
    warning = "takes the router on the interface for a default router"
    wait_for(lambda: warning in bare.underlay.process.output(), 30, "the warning")
    wait_for(lambda: bare.node.ip_json("-6", "route", "show", "default", "proto", "ra"), what="what it is about")
    wait_for(lambda: bare.underlay.neighbor()["connectionsEstablished"] == 1)
    assert bare.underlay.process.output().count(warning) == 1
    bare.underlay.stop()
    bare.node.sysctl({f"net.ipv6.conf.{bare.device}.accept_ra": 0})
    bare.underlay.start().wait_established()
    never_during(lambda: bare.underlay.process.output().count(warning) > 1, 3, "warned without a reason")
