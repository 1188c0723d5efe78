"""Route refresh (RFC 2918), its enhanced form (RFC 7313) and End-of-RIB, with every implementation that has them."""
from lab import never_during, wait_for
from peers import PEERS
from rawbgp import as_path, attribute, next_hop, nlri, origin, refresh, update
from rack import Rack
from runner import cases, feature
from topology import FAR4, FAR6, POD4, POD6, Pair

EVERY = [(k,) for k in PEERS]
ENHANCED = [(k,) for k in PEERS if k != "gobgp"]  # GoBGP does not have it
OPTIONS = {"exabgp": {"extra": ("capability { route-refresh enable; }",)},
           "openbgpd": {"extra": ("announce enhanced refresh yes",)}}


def up(lab, kind, **keys):
    # BIRD with an import table answers itself what it would have to ask for.
    options = {"no_import_table": True} if kind == "bird" else None
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


@cases(*EVERY)
@feature("Route refresh")
def test_the_peer_sends_again(lab, kind):
    pair = up(lab, kind)
    pair.learn(FAR4, FAR6)
    before = stats(pair)
    pair.underlay.command(f"clear bgp {pair.theirs} soft in")
    wait_for(lambda: stats(pair)["routeRefreshSent"] == before["routeRefreshSent"] + 2, what="a request per family goes out")
    wait_for(lambda: stats(pair)["updatesRecv"] > before["updatesRecv"], what="the peer sends its routes again")
    assert pair.underlay.installed(FAR4, FAR6) and pair.underlay.established()
    never_during(lambda: pair.underlay.gone(FAR4) or pair.underlay.gone(FAR6), 0.5, "a route lost by a refresh")


@cases(*EVERY)
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
    assert node.established() and pair.tor.established(pair.mine)


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
