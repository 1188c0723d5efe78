"""Graceful restart, RFC 4724, 8538 and 9494, with each peer in each role: what is forwarded meanwhile is what counts."""
import os
import re
import signal

import rawbgp
from lab import SLOW, never_during, wait_for
from runner import cases, feature
from topology import FAR4, FAR6, POD4, POD6, Pair
from underlay import PROTOCOL, Underlay, tor

POD, FAR = "10.244.7.1", "192.0.2.1"
GONE4 = "203.0.113.0/24"  # what the peer does not say again


class Ping:
    """Packets both ways between a pod of the node and what lies behind the ToR, 50 a second."""

    def __init__(self, pair, back=True):
        """back: by the ToR's own routes to the pod, else by one that nobody touches."""
        pair.node.ip("address", "replace", f"{POD}/32", "dev", "lo")
        if not back:
            pair.tor_node.ip("route", "replace", f"{POD}/32", "via", pair.link.a4)
        pair.tor_node.address("lo", f"{FAR}/32")
        self.process = pair.node.start("ping", "-n", "-i", "0.02", "-W", "1", "-I", POD, FAR, log="ping.log")
        wait_for(lambda: self.process.output().count("time=") > 5, what="the ping is answered")

    def end(self):
        self.process.send(signal.SIGINT)
        self.process.wait(10)
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", self.process.output()).groups())
        assert sent > 20 and sent - received <= 1, f"{sent - received} of {sent} packets lost"  # one may be on its way


def options(kind, long_lived=False, restart_time=30):
    """The peer's own graceful restart: keys of Pair."""
    seconds = {"restart-time": restart_time}
    if kind == "frr":
        return {"neighbor": {"extra": ["graceful-restart"]},
                "tor_options": {"lines": [f"router bgp 65001", " bgp graceful-restart",
                                          f" bgp graceful-restart restart-time {restart_time}",
                                          " bgp graceful-restart preserve-fw-state"]}}
    if kind == "bird":
        extra = ["graceful restart on;", f"graceful restart time {restart_time};"]
        extra += ["long lived graceful restart on;", "long lived stale time 60;"] if long_lived else []
        # Whose restart meets a collision of connections gives up all, and with the next one says that it has kept nothing.
        return {"neighbor": {"extra": extra, "passive": True},
                "tor_options": {"kernel": True, "lines": ["graceful restart wait 5;"]}}
    if kind == "gobgp":
        afi = {"mp-graceful-restart": {"config": {"enabled": True}}}
        if long_lived:
            afi["long-lived-graceful-restart"] = {"config": {"enabled": True, "restart-time": 60}}
        # Its routes come over its API after its start: a session before that would get End-of-RIB without them.
        late = {"peer": {"idle_hold_time": f"{round(5 * SLOW)}s"}, "neighbor": {"passive": True}}
        return {**late, "tor_options": {"afi-safi": afi, "neighbor": {"graceful-restart": {"config": {
            "enabled": True, "notification-enabled": True, "long-lived-enabled": long_lived, **seconds}}}}}
    return {"neighbor": {"extra": [f"capability {{ graceful-restart {restart_time}; }}"]}}


def helper_pair(lab, kind, **more):
    pair = Pair(lab, kind, networks=(FAR4, FAR6, GONE4), **{**options(kind, more.pop("long_lived", False)), **more}).up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6, GONE4), what="its routes are in the kernel")
    wait_for(lambda: all(pair.underlay.neighbor()["gracefulRestartInfo"]["endOfRibRecv"].values()), what="End-of-RIB")
    return pair


def restarted(pair):
    """The peer's BGP comes back as one that restarts, without GONE4."""
    pair.tor.networks = [p for p in pair.tor.networks if p != GONE4]
    pair.tor.options["argv"] = {"bird": ("-R",), "gobgp": ("-r",)}.get(pair.tor.kind, ())
    pair.tor.start()


def stale(pair, prefix=FAR4):
    return any(p.get("stale") for p in pair.underlay.rib()[prefix])


def go_for_a_restart(pair):
    """BIRD as its operator lets it go: it leaves its routes in the kernel, and ends the sessions without a word."""
    pair.tor.birdc("graceful restart")
    pair.tor.processes.pop().wait()


@cases(("frr",), ("bird",), ("bird", "asked"), ("gobgp",), ("exabgp",))
@feature("Graceful restart: helper")
def test_routes_of_a_peer_that_dies_stay_until_it_has_said_which_are_still_there(lab, kind, how="killed"):
    pair = helper_pair(lab, kind)
    watch = pair.node.monitor()
    ping = Ping(pair, back=kind == "frr")  # BIRD takes its own out for a moment, the others have none
    go_for_a_restart(pair) if how == "asked" else pair.tor.kill_bgp()
    wait_for(lambda: not pair.underlay.established(), what="the loss is noticed")
    assert stale(pair) and pair.underlay.installed(FAR4, FAR6, GONE4)
    info = pair.underlay.neighbor()["gracefulRestartInfo"]
    assert info["ipv4Unicast"]["stalePrefixCounter"] >= 2 and 0 < info["timers"]["restartTimerRemaining"] <= 120, info
    text = pair.underlay.command("show bgp neighbors")
    assert re.search(r"[23] stale IPv4 routes are used on", " ".join(text.split())), text
    restarted(pair)
    if kind == "exabgp":
        # It has no forwarding state and says so (F is 0): all goes at once and comes again with the session.
        wait_for(lambda: pair.underlay.gone(GONE4), 30, "what is not said again goes")
        wait_for(lambda: pair.underlay.installed(FAR4, FAR6), 30, "and the rest is there")
        return
    pair.wait_up(40)
    wait_for(lambda: pair.underlay.gone(GONE4), 30, "what is not said again goes")
    wait_for(lambda: not stale(pair), what="the rest is fresh")
    ping.end()
    deleted = [line for line in watch.deleted() if GONE4 not in line and "nexthop" not in line]
    assert not deleted and pair.underlay.installed(FAR4, FAR6), deleted


@cases(("frr",), ("bird",), ("gobgp",))
@feature("Graceful restart: helper")
def test_routes_of_a_peer_that_does_not_come_back_go(lab, kind):
    pair = Pair(lab, kind, networks=(FAR4,), **options(kind, restart_time=4)).up()
    wait_for(lambda: pair.underlay.installed(FAR4))
    pair.tor.kill_bgp()
    wait_for(lambda: not pair.underlay.established(), what="the loss is noticed")
    assert stale(pair)
    wait_for(lambda: pair.underlay.gone(FAR4), 15, "its restart time is over")
    assert "did not come back in time" in pair.underlay.process.output()


def test_stale_time_bounds_it_all(lab):
    pair = Pair(lab, "frr", networks=(FAR4,), router={"graceful-restart": {"stale-time": "3s"}}, **options("frr")).up()
    wait_for(lambda: pair.underlay.installed(FAR4))
    pair.tor.kill_bgp()
    wait_for(lambda: not pair.underlay.established(), what="the loss is noticed")
    assert stale(pair)
    wait_for(lambda: pair.underlay.gone(FAR4), 15, "its stale time is over")


def test_an_operator_is_never_graceful(lab):
    pair = helper_pair(lab, "frr")
    pair.underlay.command(f"neighbor {pair.theirs} shutdown")
    wait_for(lambda: pair.underlay.gone(FAR4, FAR6), what="routes gone after a shutdown here")
    pair.underlay.command(f"no neighbor {pair.theirs} shutdown")
    pair.wait_up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6))
    pair.tor.kill_bgp()
    wait_for(lambda: not pair.underlay.established())
    assert stale(pair)
    pair.underlay.command(f"neighbor {pair.theirs} shutdown")
    wait_for(lambda: pair.underlay.gone(FAR4, FAR6), what="and stale ones too")


def test_off_means_off(lab):
    pair = Pair(lab, "frr", networks=(FAR4,), router={"graceful-restart": {"enabled": False}}, **options("frr")).up()
    wait_for(lambda: pair.underlay.installed(FAR4))
    assert "gracefulRestart" not in pair.underlay.neighbor()["neighborCapabilities"] or \
        pair.underlay.neighbor()["neighborCapabilities"]["gracefulRestart"] == "received"
    pair.tor.kill_bgp()
    wait_for(lambda: pair.underlay.gone(FAR4), what="gone with the session")


def restart_pair(lab, kind, **sections):
    """Both ways: the ToR keeps our routes in its kernel (FRR, BIRD), or in its table (GoBGP)."""
    pair = Pair(lab, kind, networks=(FAR4, FAR6), **options(kind), **sections).up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6), what="the ToR's routes in our kernel")
    wait_for(lambda: pair.tor.has(POD4, POD6), what="our routes at the ToR")
    if kind in ("frr", "bird"):
        wait_for(lambda: POD4 in pair.tor_node.routes("ipv4"), what="and in its kernel")
    return pair


def route_at_tor_stays(pair):
    """A watch that fails when the ToR's kernel lost our pod's route for a moment."""
    return pair.tor_node.monitor() if pair.tor.kind in ("frr", "bird") else None


def speaker_killed(daemon):
    old = daemon.speaker()
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: daemon.speaker() != old, what="a new speaker")


def both_killed(daemon):
    child = daemon.speaker()
    daemon.process.send(signal.SIGKILL)
    daemon.process.wait(10)
    wait_for(lambda: child not in daemon.node.pids(), what="the speaker has followed")
    daemon.start()


def preserved(daemon):
    assert daemon.stop() == 0
    assert daemon.installed(FAR4, FAR6, POD4), "routes stay"
    daemon.start()


@cases(*[(kind, how) for kind in ("frr", "bird", "gobgp") for how in ("speaker", "daemon", "preserve")])
@feature("Graceful restart: restarting speaker")
def test_the_node_restarts_and_both_ways_stay(lab, kind, how):
    pair = restart_pair(lab, kind, router={"on-stop": "preserve"} if how == "preserve" else {})
    daemon = pair.underlay
    here, there = pair.node.monitor(), route_at_tor_stays(pair)
    ping = Ping(pair) if there else None
    before = pair.tor.routes("ipv4")
    {"speaker": speaker_killed, "daemon": both_killed, "preserve": preserved}[how](daemon)
    kept = []
    wait_for(lambda: kept.append(pair.tor.has(POD4)) or daemon.established(), 30, "the session is back")
    pair.wait_up()
    assert all(kept) and before, "the ToR had our route all the time"
    wait_for(lambda: all(daemon.neighbor()["gracefulRestartInfo"]["endOfRibRecv"].values()), 30, "End-of-RIB of the ToR")
    wait_for(lambda: daemon.installed(FAR4, FAR6, POD4, POD6), what="all is confirmed")
    never_during(lambda: pair.tor.has_none(POD4) or not daemon.installed(FAR4, FAR6), 2, "nothing is swept")
    if ping:
        ping.end()
        assert not there.deleted(POD4), there.deleted(POD4)
    gone = [line for line in here.deleted() if PROTOCOL in line and "nexthop" not in line]
    assert not gone, gone


def gr_capability(opened):
    """(R, N, restart time, {AFI: F}) of the capability in an OPEN's body, None without one."""
    params, found = opened[10:], None
    while params:
        kind, length = params[:2]
        value, params = params[2:2 + length], params[2 + length:]
        while kind == 2 and value:
            code, size = value[:2]
            if code == 64:
                flags = int.from_bytes(value[2:4], "big")
                tuples = [value[i:i + 4] for i in range(4, 2 + size, 4)]
                found = (bool(flags & 0x8000), bool(flags & 0x4000), flags & 0xfff, {t[1]: bool(t[3] & 0x80) for t in tuples})
            value = value[2 + size:]
    return found


def test_a_cold_start_says_neither_restarted_nor_forwarding(lab):
    node, tor_node = lab.node("node"), lab.node("tor")
    link = lab.link(node, tor_node)
    daemon = Underlay(node, [tor(link.b4, passive=True)], advertise={"pod-cidrs": [POD4]},
                      router={"graceful-restart": {"restart-time": "77s"}}).start()
    wait_for(lambda: daemon.installed(POD4))

    def said():
        raw = rawbgp.Speaker(tor_node, link.b4).connect(link.a4).open()
        found = gr_capability(raw.expect(rawbgp.OPEN))
        raw.close()
        return found

    assert said() == (False, True, 77, {1: False, 2: False})
    speaker_killed(daemon)
    wait_for(daemon._answers)
    assert said() == (True, True, 77, {1: True, 2: True}), "the kernel went on"
    assert daemon.stop() == 0
    daemon.start()
    assert said() == (False, True, 77, {1: False, 2: False}), "a stop has taken all away"
    wait_for(lambda: daemon.installed(POD4), what="a route to find again")
    both_killed(daemon)
    assert said() == (True, True, 77, {1: True, 2: False}), "as the kernel has only IPv4 routes"


def test_a_stop_that_withdraws_is_final_for_the_peer(lab):
    pair = restart_pair(lab, "frr")
    assert pair.underlay.stop() == 0
    wait_for(lambda: pair.tor.has_none(POD4, POD6), 5, "the ToR drops our routes at once")
    assert pair.underlay.gone(FAR4, FAR6, POD4, POD6)


def test_sigusr1_withdraws_what_the_configuration_would_preserve(lab):
    pair = restart_pair(lab, "frr", router={"on-stop": "preserve"})
    pair.underlay.process.send(signal.SIGUSR1)
    wait_for(lambda: "a stop will withdraw" in pair.underlay.process.output())
    assert pair.underlay.established() and pair.underlay.stop() == 0
    wait_for(lambda: pair.tor.has_none(POD4, POD6), 5, "the ToR drops our routes at once")
    assert pair.underlay.gone(FAR4, FAR6, POD4, POD6) and pair.node.ip_json("nexthop", "show") == []


def test_preserve_keeps_vips_bound(lab):
    vip = "198.51.100.7/32"
    pair = restart_pair(lab, "frr", router={"on-stop": "preserve"},
                        advertise={"pod-cidrs": [POD4, POD6], "vips": [{"prefix": vip, "bind": "lo"}]})
    bound = lambda: vip in str(pair.node.run("ip", "-o", "address", "show", "dev", "lo").stdout)
    wait_for(bound, what="the VIP is on lo")
    assert pair.underlay.stop() == 0 and bound() and pair.tor.has(vip)
    pair.underlay.start()
    pair.wait_up()
    never_during(lambda: not bound() or pair.tor.has_none(vip), 2, "it stays")


@cases(("gobgp",), ("frr",))
@feature("Hard reset (RFC 8538)")
def test_a_shutdown_is_a_hard_reset_and_a_received_one_ends_all(lab, kind):
    more = options(kind)
    if kind == "frr":
        more["tor_options"]["lines"].append(" bgp graceful-restart notification")
        more["tor_options"]["lines"].append(" bgp hard-administrative-reset")
    pair = Pair(lab, kind, networks=(FAR4, FAR6), **more).up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6) and pair.tor.has(POD4))
    assert pair.underlay.neighbor()["gracefulRestartInfo"]["nBit"] is True
    pair.underlay.ctl("neighbor", pair.theirs, "shutdown", "message", "line card", json_out=False)
    assert "Hard Reset: Cease/Administrative Shutdown" in pair.underlay.neighbor()["lastReset"]
    wait_for(lambda: pair.tor.has_none(POD4, POD6), 5, "the peer keeps nothing")
    if kind == "frr":
        assert "Hard Reset" in "".join(p.output() for p in pair.tor.processes)
    pair.underlay.command(f"no neighbor {pair.theirs} shutdown")
    pair.wait_up(30)
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6))
    if kind == "gobgp":  # its shutdown is a plain Cease, which between two with the N bit is graceful
        pair.tor.gobgp("neighbor", pair.mine, "shutdown")
        wait_for(lambda: not pair.underlay.established(), what="the session is down")
        assert stale(pair) and pair.underlay.installed(FAR4, FAR6)
        return
    pair.tor.configure(f"neighbor {pair.mine} shutdown message line card")
    wait_for(lambda: pair.underlay.gone(FAR4, FAR6), 5, "what the peer shut down is gone at once")
    neighbor = pair.underlay.neighbor()
    assert "Hard Reset: Cease/Administrative" in neighbor["lastReset"] and \
        neighbor["lastShutdownDescription"] == "line card", neighbor


@cases(("bird",), ("gobgp",))
@feature("Long-lived graceful restart")
def test_long_lived_stale_routes_are_the_last_resort(lab, kind):
    pair = Pair(lab, kind, networks=(FAR4,), router={"graceful-restart": {"long-lived": "60s"}},
                **options(kind, long_lived=True, restart_time=2)).up()
    wait_for(lambda: pair.underlay.installed(FAR4))
    sides = pair.underlay.neighbor()["neighborCapabilities"]["longLivedGracefulRestart"]
    assert sides == "advertisedAndReceived", sides
    pair.tor.kill_bgp()
    wait_for(lambda: "are long-lived" in pair.underlay.process.output(), 20, "the restart time is over")
    detail = lambda: pair.underlay.ctl(f"show bgp ipv4 unicast {FAR4}")["paths"][0]
    wait_for(lambda: "llgr-stale" in detail().get("community", {}).get("string", ""), what="it is marked")
    assert pair.underlay.installed(FAR4) and detail()["stale"]
    assert pair.underlay.neighbor()["gracefulRestartInfo"]["ipv4Unicast"]["longLived"] is True
    restarted(pair)
    pair.wait_up(40)
    wait_for(lambda: not detail().get("stale"), 20, "it is fresh again")
    assert "llgr-stale" not in detail().get("community", {}).get("string", "")
