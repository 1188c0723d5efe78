"""What must hold with every implementation that a node may meet: FRR, BIRD, GoBGP, ExaBGP and OpenBGPD, over IPv4 and IPv6."""
from lab import never_during, wait_for
from peers import PEERS
from runner import cases, feature
from topology import FAR4, FAR6, NODE_AS, POD4, POD6, TOR_AS, Pair, leads_over

EVERY = [(k, t) for k in PEERS for t in ("ipv4", "ipv6")]
VIP4, VIP6 = "198.51.100.7/32", "2001:db8:7::7/128"


@cases(*EVERY)
@feature("IPv4 and IPv6 unicast")
@feature("Sessions over IPv6", when="ipv6")
def test_routes_both_ways_and_back_out(lab, kind, transport):
    pair = Pair(lab, kind, transport).up()
    node, tor = pair.underlay, pair.tor

    wait_for(lambda: tor.has(POD4, POD6), what="the ToR learns the pod CIDRs")
    for family, prefix in (("ipv4", POD4), ("ipv6", POD6)):
        route = tor.routes(family)[prefix]
        assert route["as_path"] == [NODE_AS], route
    extended = kind == "gobgp" and transport == "ipv6"  # it always offers RFC 8950, and then the next hop is of the session's family
    assert tor.routes("ipv4")[POD4]["next_hop"] == (pair.link.a6 if extended else pair.link.a4)

    pair.learn(FAR4, FAR6)
    for family, prefix in (("ipv4", FAR4), ("ipv6", FAR6)):
        route = node.kernel(family)[prefix]
        assert route["metric"] == 20 and "nhid" in route and leads_over(route, pair.link), route
        path = node.rib(family)[prefix][0]
        assert path["path"] == str(TOR_AS) and path["bestpath"] and path["valid"], path

    node.command(f"advertise {VIP4} {VIP6}")
    wait_for(lambda: tor.has(VIP4, VIP6), what="the ToR learns what was advertised at run time")
    node.command(f"withdraw {VIP4} {VIP6}")
    wait_for(lambda: tor.has_none(VIP4, VIP6), what="the ToR loses it")
    assert tor.has(POD4, POD6)

    tor.withdraw(FAR4, FAR6)
    wait_for(lambda: node.gone(FAR4, FAR6), what="withdrawn routes leave the kernel")
    assert FAR4 not in node.rib("ipv4") and FAR6 not in node.rib("ipv6")
    assert node.established()


@cases(*[(k,) for k in PEERS])
@feature("Restart of the peer")
def test_restart_of_the_peer(lab, kind):
    pair = Pair(lab, kind).up()
    pair.learn(FAR4, FAR6)
    pair.tor.stop()
    wait_for(lambda: pair.underlay.gone(FAR4, FAR6), what="routes of a peer that went leave the kernel")
    pair.tor.networks = [FAR4, FAR6]
    pair.tor.start()
    pair.wait_up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6), what="they come back with it")
    wait_for(lambda: pair.tor.has(POD4, POD6), what="it learns ours again")


@cases(*[(k,) for k in PEERS])
@feature("Restart of underlayd")
def test_restart_of_underlayd(lab, kind):
    pair = Pair(lab, kind).up()
    pair.learn(FAR4, FAR6)
    wait_for(lambda: pair.tor.has(POD4, POD6))
    assert pair.underlay.stop() == 0
    assert pair.underlay.kernel("ipv4") == {} and pair.underlay.kernel("ipv6") == {}, "SIGTERM withdraws our routes"
    wait_for(lambda: pair.tor.has_none(POD4, POD6), what="the ToR loses them")
    pair.underlay.start()
    pair.wait_up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6), what="learned again")
    wait_for(lambda: pair.tor.has(POD4, POD6), what="advertised again")


@cases(("frr",), ("bird",), ("gobgp",), ("openbgpd",))
@feature("iBGP")
def test_ibgp(lab, kind):
    pair = Pair(lab, kind, node_as=NODE_AS, tor_as=NODE_AS, peer={"asn": "internal"}).up()
    pair.learn(FAR4, FAR6)
    wait_for(lambda: pair.tor.has(POD4, POD6))
    assert pair.tor.routes("ipv4")[POD4]["as_path"] == []
    assert pair.underlay.neighbor()["nbrInternalLink"] is True
    path = pair.underlay.rib()[FAR4][0]
    assert path["path"] == "" and path["locPrf"] == 100, path


@cases(*[(k, t) for k in PEERS for t in ("ipv4", "ipv6") if (k, t) != ("exabgp", "ipv6")])
@feature("TCP-MD5")
def test_md5_right_key(lab, kind, transport):
    keys = {"password": "s3cret-of-the-rack"}
    pair = Pair(lab, kind, transport, peer=keys, neighbor=keys).up()
    pair.learn(FAR4)
    assert keys["password"] not in pair.underlay.process.output(), "keys are never logged"
    assert keys["password"] not in pair.underlay.ctl("show running-config", json_out=False).stdout


@cases(("frr",), ("bird",), ("openbgpd",))
@feature("TCP-MD5")
def test_md5_wrong_key_never_comes_up(lab, kind):
    pair = Pair(lab, kind, peer={"password": "right"}, neighbor={"password": "wrong"}).start()
    never_during(pair.underlay.established, 4, "a session with the wrong key")
    assert not pair.tor.established(pair.mine)


@cases(("frr",), ("bird",))
@feature("TCP-MD5")
def test_md5_key_missing_on_one_side(lab, kind):
    pair = Pair(lab, kind, peer={"password": "right"}).start()
    never_during(pair.underlay.established, 3, "a session where only we have a key")


@cases(("frr", "ipv4"), ("frr", "ipv6"), ("bird", "ipv4"), ("gobgp", "ipv4"), ("openbgpd", "ipv4"),
       ("openbgpd", "ipv6"))
@feature("GTSM")
def test_gtsm(lab, kind, transport):
    pair = Pair(lab, kind, transport, peer={"ttl_security": 1}, neighbor={"ttl_security": 1}).up()
    pair.learn(FAR4, FAR6)


@cases(("ours",), ("theirs",))
@feature("GTSM", peer="frr")
def test_gtsm_on_one_side_only_never_comes_up(lab, whose):
    # A plain eBGP speaker sends TTL 1; the side with GTSM must drop that. Only that side's view counts: what it sends
    # still arrives, so the other one may think that it is up until its hold time is over.
    pair = Pair(lab, "frr", peer={"ttl_security": 1} if whose == "ours" else {},
                neighbor={"ttl_security": 1} if whose == "theirs" else {}).start()
    up = pair.underlay.established if whose == "ours" else lambda: pair.tor.established(pair.tor.neighbors[0].address)
    never_during(up, 4, f"session with GTSM on {whose} only")
