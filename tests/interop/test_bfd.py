"""BFD with FRR's bfdd and with BIRD: what is negotiated, what a failure does to BGP and to the kernel, and what does nothing."""
import os
import signal

from lab import never_during, wait_for
from peers import PEERS, Frr, Neighbor
from runner import cases, feature
from test_outside import METRICS, families, value
from test_unnumbered import Bare, link_local
from topology import FAR4, FAR6, NODE_AS, PODS, TOR_AS, Pair
from underlay import Underlay, tor

OURS, THEIRS = {"interval": "100ms", "multiplier": 5}, (200, 4)


def session(underlay, address):
    return next(s for s in underlay.ctl("show bfd peers") if s["peer"] == address)


def wait_bfd(underlay, address, status="up", timeout=20):
    def reached():
        found = session(underlay, address)
        return found["status"] == status and found
    return wait_for(reached, timeout, f"BFD with {address} is {status}")


def pair(lab, kind="frr", transport="ipv4", ours=OURS, theirs=THEIRS, **options):
    return Pair(lab, kind, transport, peer={"bfd": ours}, neighbor={"bfd": theirs, **options.pop("neighbor", {})}, **options)


def negotiated(underlay, peer, address, mine, multihop=False):
    """Both sides show each other's timers, and the slower one's are used."""
    ours = wait_bfd(underlay, address)
    assert ours["multihop"] is multihop and ours["local"] == mine, ours
    assert (ours["transmit-interval"], ours["receive-interval"], ours["detect-multiplier"]) == (100, 100, 5), ours
    assert ours["diagnostic"] == "ok" and ours["id"] and ours["remote-id"], ours

    def settled():  # the Poll Sequence that follows Up
        s = session(underlay, address)
        return s["detection-time"] == 800 and s["remote-transmit-interval"] == 200 and s["remote-detect-multiplier"] == 4
    wait_for(settled, what="4 x 200 ms without a packet are a failure")
    if isinstance(peer, Frr):
        wait_for(lambda: peer.bfd(mine)["status"] == "up", what="bfdd has it up")
        wait_for(lambda: peer.bfd(mine)["remote-transmit-interval"] == 100, what="bfdd knows our interval")
        theirs, ours = peer.bfd(mine), session(underlay, address)
        assert theirs["remote-detect-multiplier"] == 5 and theirs["multihop"] is multihop, theirs
        assert (theirs["id"], theirs["remote-id"]) == (ours["remote-id"], ours["id"]), (theirs, ours)
        assert {type(v) for k, v in ours.items() if k in theirs and type(theirs[k]) is not type(v)} == set(), (theirs, ours)
    else:
        wait_for(lambda: peer.bfd(mine) == {"status": "up", "interval": 0.2, "timeout": 1.0}, what="BIRD: 5 x 200 ms")


@cases(("frr", "ipv4"), ("frr", "ipv6"), ("bird", "ipv4"), ("bird", "ipv6"))
@feature("BFD: one hop, timers")
def test_timers_are_those_of_the_slower_side(lab, kind, transport):
    p = pair(lab, kind, transport).up()
    negotiated(p.underlay, p.tor, p.theirs, p.mine)
    info = p.underlay.neighbor()["peerBfdInfo"]
    assert info["type"] == "single hop" and info["status"] == "Up" and info["detectMultiplier"] == 5, info
    assert "up" in p.underlay.ctl("show bfd peers", json_out=False).stdout


@feature("BFD: link-local", peer="frr")
def test_unnumbered(lab):
    b = Bare(lab, peer={"bfd": OURS}, neighbor={"bfd": THEIRS}).up()
    negotiated(b.underlay, b.tor, link_local(b.tor_node, b.link.dev_b), link_local(b.node, b.device))
    assert session(b.underlay, link_local(b.tor_node, b.link.dev_b))["interface"] == b.device


class Far:
    """A node and a ToR with a router between them; the sessions are between addresses of lo, or of the links."""

    def __init__(self, lab, kind):
        self.node, self.router, tor_node = lab.node("node"), lab.node("router").forward(), lab.node("tor")
        near, far = lab.link(self.node, self.router), lab.link(self.router, tor_node)
        self.mine, self.theirs = near.a4, far.b4
        self.node.ip("route", "add", f"{far.a4}/31", "via", near.b4)
        tor_node.ip("route", "add", f"{near.a4}/31", "via", far.a4)
        self.tor = PEERS[kind](tor_node, TOR_AS, "10.255.0.1", [
            Neighbor(self.mine, NODE_AS, self.theirs, far.b4, multihop=3, families=("ipv4",), bfd=THEIRS)])
        # BIRD sends it with a TTL of 64, which is as if it came from far away.
        self.hops = 255 if kind == "bird" else 3
        self.underlay = Underlay(self.node, [tor(self.theirs, multihop=self.hops, families=["ipv4"], bfd=OURS)],
                                 advertise=PODS)


@cases(("frr",), ("bird",))
@feature("BFD: multihop")
def test_over_a_router(lab, kind):
    far = Far(lab, kind)
    far.tor.start()
    far.underlay.start()
    far.underlay.wait_established()
    negotiated(far.underlay, far.tor, far.theirs, far.mine, multihop=True)
    assert session(far.underlay, far.theirs)["minimum-ttl"] == 256 - far.hops


def lost_by_bfd(underlay, *prefixes):
    wait_for(lambda: "BFD Down" in underlay.neighbor().get("lastResetDueTo", ""), what="closed because of BFD")
    info = underlay.neighbor()
    assert info["lastErrorCodeSubcode"] == "060A" and info["connectionsDropped"] == 1, info
    wait_for(lambda: underlay.gone(*prefixes), what="nothing of the peer in the kernel")


def wrong_neighbor(p):
    """What the ToR sends from now on goes to nobody, and no carrier is lost."""
    p.tor_node.ip("neigh", "replace", p.mine, "lladdr", "02:00:00:00:00:99", "dev", p.link.dev_b, "nud", "permanent")


@feature("BFD: failure closes the session with Cease/10", peer="frr")
def test_a_dead_path_without_loss_of_carrier(lab):
    # A hold time far beyond the test's patience: only BFD can find it.
    p = pair(lab, ours={"interval": "50ms"}, theirs=(50, 3), neighbor={"hold": 300})
    p.underlay.config["peers"][0]["hold-time"] = "300s"
    p.up().learn(FAR4, FAR6)
    wait_bfd(p.underlay, p.theirs)
    wrong_neighbor(p)
    lost_by_bfd(p.underlay, FAR4, FAR6)
    assert session(p.underlay, p.theirs)["diagnostic"] == "control detection time expired"
    assert "BFD Down" in p.underlay.neighbor()["lastResetDueTo"]
    p.tor_node.ip("neigh", "del", p.mine, "dev", p.link.dev_b)
    p.wait_up()
    wait_for(lambda: p.underlay.installed(FAR4, FAR6), what="all is back")


@feature("BFD: failure of the daemon alone", peer="frr")
def test_killed_bfdd_costs_a_session_that_comes_back_without_it(lab):
    p = pair(lab, ours={"interval": "50ms"}, theirs=(50, 3)).up()
    p.learn(FAR4)
    wait_bfd(p.underlay, p.theirs)
    p.tor.bfd_process().stop(signal.SIGKILL)
    lost_by_bfd(p.underlay)
    assert any("6/10" in n for n in p.tor.notifications()), p.tor.notifications()
    p.wait_up()  # a peer without BFD works
    wait_for(lambda: p.underlay.installed(FAR4), what="and so does forwarding, over what BFD calls dead")
    assert session(p.underlay, p.theirs)["status"] != "up"


@feature("BFD: AdminDown is no failure", peer="frr")
def test_who_ends_bfd_on_purpose_keeps_the_session(lab):
    p = pair(lab, ours={"interval": "50ms"}, theirs=(50, 3), **METRICS).up()
    p.learn(FAR4)
    wait_bfd(p.underlay, p.theirs)

    def metric(name):
        return value(families(p.node), f"underlay_bfd_peer_{name}", peer=p.theirs, peer_as="65001")
    wait_for(lambda: metric("detection_seconds") == 0.15, what="3 x 50 ms")
    ups = metric("ups_total")
    assert metric("state") == 1 and metric("uptime_seconds") >= 0 and ups >= 1, "the metrics of BFD"
    p.tor.vtysh("configure terminal", "bfd", "profile i50x3", "shutdown", daemon="bfdd")
    wait_bfd(p.underlay, p.theirs, "down")
    assert p.underlay.neighbor()["peerBfdInfo"]["notUpBecause"] == "the peer has shut it down"
    assert metric("state") == 2 and metric("uptime_seconds") == 0 and metric("downs_total") == ups, "one down for each up"
    never_during(lambda: not p.underlay.established() or p.underlay.gone(FAR4), 1, "the session or its route is lost")
    assert p.underlay.neighbor()["connectionsDropped"] == 0


@feature("BFD: strict", peer="frr")
def test_strict_waits_for_bfd(lab):
    p = pair(lab, ours={"interval": "50ms", "strict": True}, theirs=(50, 3)).start()
    p.tor.configure(f"no neighbor {p.mine} bfd")
    p.underlay.stop()
    p.underlay.start()
    wait_for(lambda: "waiting for BFD" in p.underlay.neighbor()["notEstablishedBecause"], what="it says what it waits for")
    never_during(p.underlay.established, 1.5, "a session before BFD")
    p.tor.configure(f"neighbor {p.mine} bfd", f"neighbor {p.mine} bfd profile i50x3")
    p.wait_up()
    assert session(p.underlay, p.theirs)["status"] == "up"


@feature("BFD: reload changes timers by a Poll Sequence", peer="frr")
def test_a_new_interval_costs_nothing(lab):
    p = pair(lab).up()
    ident = wait_bfd(p.underlay, p.theirs)["id"]
    for keys, interval, multiplier in (({"interval": "400ms", "multiplier": 3}, 400, 3), ({"interval": "60ms"}, 60, 3)):
        p.underlay.config["peers"][0]["bfd"] = keys
        p.underlay.write()
        p.underlay.command("reload")
        wait_for(lambda: p.tor.bfd(p.mine)["remote-transmit-interval"] == interval, what=f"bfdd hears of {interval} ms")
        wait_for(lambda: p.tor.bfd(p.mine)["remote-detect-multiplier"] == multiplier, what="and of the multiplier")
        wait_for(lambda: session(p.underlay, p.theirs)["detection-time"] == 4 * max(200, interval), what="detection time")
    now = session(p.underlay, p.theirs)
    assert now["id"] == ident and now["sessionDowns"] == 0 and p.tor.bfd(p.mine)["status"] == "up", now
    assert p.underlay.neighbor()["connectionsDropped"] == 0


@feature("BFD: outlives the speaker", peer="frr")
def test_a_killed_speaker_flaps_no_bfd(lab):
    p = pair(lab, ours={"interval": "50ms"}, theirs=(50, 3)).up()
    ours = wait_bfd(p.underlay, p.theirs)
    theirs = wait_for(lambda: p.tor.bfd(p.mine)["status"] == "up" and p.tor.bfd(p.mine), what="bfdd has it up")
    speaker = p.underlay.speaker()
    os.kill(speaker, signal.SIGKILL)
    wait_for(lambda: p.underlay.speaker() != speaker, what="another speaker")
    p.wait_up()
    again, there = wait_bfd(p.underlay, p.theirs), p.tor.bfd(p.mine)
    assert again["id"] == ours["id"] and again["sessionDowns"] == 0, (ours, again)
    assert there["status"] == "up" and there["id"] == theirs["id"] and there["uptime"] >= theirs["uptime"], (theirs, there)
    assert p.tor.vtysh(f"show bfd peer {p.mine} counters", daemon="bfdd").count("Session down events: 0"), "bfdd saw it go"
