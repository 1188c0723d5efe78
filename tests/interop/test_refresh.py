"""Route refresh (RFC 2918), its enhanced form (RFC 7313) and End-of-RIB, with every implementation that has them."""
from lab import never_during, wait_for
from peers import PEERS
from runner import cases, feature
from topology import FAR4, FAR6, POD4, POD6, Pair

EVERY = [(k,) for k in PEERS]
# OpenBGPD up to 7.7 takes a request of a family that was agreed on for one that was not, and drops it.
SERVING = [(k,) for k in PEERS if k != "openbgpd"]
ASKING = [(k,) for k in PEERS if k != "gobgp"]  # GoBGP keeps what it was sent and never asks
# GoBGP does not have the enhanced form, and ExaBGP resets the session when it is to send it.
ENHANCED = [("frr",), ("bird",)]
OPTIONS = {"exabgp": {"extra": ("capability { route-refresh enable; }",)},
           "openbgpd": {"extra": ("announce enhanced refresh yes",)}}


def up(lab, kind, **keys):
    # BIRD with an import table answers itself what it would have to ask for.
    options = {"no_import_table": True} if kind == "bird" else None
    if kind == "gobgp":  # it sends End-of-RIB with graceful restart only
        options = {"afi-safi": {"mp-graceful-restart": {"config": {"enabled": True}}},
                   "neighbor": {"graceful-restart": {"config": {"enabled": True, "restart-time": 20}}}}
    if kind == "exabgp":
        keys["router"] = {"graceful-restart": {"enabled": False}}  # without it nothing enhanced is offered
    return Pair(lab, kind, neighbor=OPTIONS.get(kind), tor_options=options, **keys).up()


def stats(pair):
    return pair.underlay.neighbor()["messageStats"]


def ask(tor, address):
    """The peer asks for all our routes again."""
    if tor.kind == "frr":
        tor.vtysh(f"clear bgp {address} soft in")
        tor.vtysh(f"clear bgp ipv6 {address} soft in")
    elif tor.kind == "bird":
        tor.birdc("reload in peer0")
    elif tor.kind == "gobgp":
        tor.gobgp("neighbor", address, "softresetin")
    elif tor.kind == "openbgpd":
        tor.bgpctl("neighbor", address, "refresh")
    else:
        tor.command(f"neighbor {address} announce route-refresh ipv4 unicast")


@cases(*SERVING)
@feature("Route refresh")
def test_the_peer_sends_again(lab, kind):
    pair = up(lab, kind)
    pair.learn(FAR4, FAR6)
    before = stats(pair)
    pair.underlay.command(f"clear bgp {pair.theirs} soft in")
    wait_for(lambda: stats(pair)["routeRefreshSent"] == before["routeRefreshSent"] + 2, what="a request per family goes out")
    wait_for(lambda: stats(pair)["updatesRecv"] > before["updatesRecv"], what="the peer sends its routes again")
    assert pair.underlay.installed(FAR4, FAR6) and pair.underlay.established()
    assert pair.underlay.neighbor()["connectionsEstablished"] == 1
    never_during(lambda: pair.underlay.gone(FAR4) or pair.underlay.gone(FAR6), 0.5, "a route lost by a refresh")


@cases(*ASKING)
@feature("Route refresh")
def test_we_send_again(lab, kind):
    pair = up(lab, kind)
    wait_for(lambda: pair.tor.has(POD4, POD6), what="the ToR has our routes")
    before = stats(pair)
    ask(pair.tor, pair.mine)
    wait_for(lambda: stats(pair)["routeRefreshRecv"] > before["routeRefreshRecv"], what="the request arrives")
    wait_for(lambda: stats(pair)["updatesSent"] > before["updatesSent"], what="our routes go out again")
    never_during(lambda: pair.tor.has_none(POD4) or pair.tor.has_none(POD6), 0.5, "a route lost by a refresh")
    pair.underlay.command(f"clear bgp {pair.theirs} soft out")
    never_during(lambda: pair.tor.has_none(POD4) or pair.tor.has_none(POD6), 0.5, "a route lost by a refresh of ours")
    assert pair.underlay.established() and pair.tor.established(pair.mine)
    assert pair.underlay.neighbor()["connectionsEstablished"] == 1


@cases(*ENHANCED)
@feature("Enhanced route refresh")
def test_a_refresh_has_a_beginning_and_an_end(lab, kind):
    pair = up(lab, kind)
    pair.learn(FAR4, FAR6)
    node = pair.underlay
    wait_for(lambda: pair.tor.has(POD4, POD6), what="the ToR has our routes")
    assert node.neighbor()["neighborCapabilities"]["enhancedRouteRefresh"] == "advertisedAndReceived"
    before = stats(pair)
    node.command(f"clear bgp {pair.theirs} soft in")
    wait_for(lambda: stats(pair)["routeRefreshRecv"] >= before["routeRefreshRecv"] + 4,
             what="Beginning and End-of-RR of both families")
    wait_for(lambda: node.process.output().count("route refresh received") == 2, what="both refreshes are over")
    assert "swept=0" in node.process.output()
    assert node.installed(FAR4, FAR6)

    before = stats(pair)
    ask(pair.tor, pair.mine)
    wait_for(lambda: stats(pair)["routeRefreshSent"] >= before["routeRefreshSent"] + 2, what="we bracket what we send")
    node.command(f"clear bgp {pair.theirs} soft out")
    wait_for(lambda: stats(pair)["routeRefreshSent"] >= before["routeRefreshSent"] + 6, what="and what we begin ourselves")
    never_during(lambda: pair.tor.has_none(POD4) or pair.tor.has_none(POD6), 0.5, "a route that the peer drops at the end")
    assert node.established() and node.neighbor()["connectionsEstablished"] == 1


@cases(("openbgpd",))
@feature("Enhanced route refresh")
def test_what_we_send_is_between_a_beginning_and_an_end(lab, kind):
    pair = up(lab, kind)
    wait_for(lambda: pair.tor.has(POD4, POD6), what="the ToR has our routes")
    before = stats(pair)
    ask(pair.tor, pair.mine)
    wait_for(lambda: stats(pair)["routeRefreshSent"] == before["routeRefreshSent"] + 4, what="both families are bracketed")
    assert pair.tor.has(POD4, POD6) and pair.underlay.neighbor()["connectionsEstablished"] == 1


@cases(*EVERY)
@feature("End-of-RIB")
def test_end_of_rib(lab, kind):
    """Both families, the one of which there is nothing to say too; sent always, received where the peer sends it."""
    pair = up(lab, kind, advertise={"pod-cidrs": [POD4]})
    both = {"ipv4Unicast": True, "ipv6Unicast": True}

    def info():
        return pair.underlay.neighbor()["gracefulRestartInfo"]

    wait_for(lambda: info()["endOfRibSend"] == both, what="End-of-RIB sent")
    wait_for(lambda: info()["endOfRibRecv"] == both, what="End-of-RIB received")
