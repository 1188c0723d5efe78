"""A planned restart of the speaker (`underlayctl restart`): the sessions go to the next process, and no peer notices."""
import re
import signal

import rawhttp
from lab import LabError, wait_for
from peers import Frr
from runner import cases, feature
from test_dynamic import ranged, wait_up
from test_unnumbered import Bare
from topology import FAR4, FAR6, POD4, POD6, TOR_AS, Dual, Pair
from underlay import UNDERLAYCTL

POD, FAR = "10.244.7.1", "192.0.2.1"
GONE, NEW = "203.0.113.0/24", "198.51.100.0/24"
OLD_VIP, NEW_VIP, VIP = "192.0.9.1/32", "192.0.9.2/32", "192.0.9.3/32"


class Flood:
    """Packets from a pod of the node to what lies behind the ToR and back, 200 a second."""

    def __init__(self, pair):
        pair.node.ip("address", "replace", f"{POD}/32", "dev", "lo")
        if not isinstance(pair.tor, Frr):  # the others have no routes in the kernel
            pair.tor_node.ip("route", "replace", f"{POD}/32", "via", pair.link.a4)
        pair.tor_node.address("lo", f"{FAR}/32")
        self.process = pair.node.start("ping", "-n", "-i", "0.005", "-W", "1", "-I", POD, FAR, log="ping.log")
        wait_for(lambda: self.process.output().count("time=") > 20, what="the ping is answered")

    def end(self):
        wait_for(lambda: self.process.output().count("time=") > 100, what="pings long enough")
        self.process.send(signal.SIGINT)
        self.process.wait(10)
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", self.process.output()).groups())
        assert sent > 100 and sent - received <= 1, f"{sent - received} of {sent} packets lost"  # one may be on its way


class Restart:
    """A planned restart of the speaker of a daemon: what is done in the with block happens while there is none."""

    def __init__(self, daemon, sessions=1):
        self.daemon, self.sessions = daemon, sessions

    def shown(self):
        return self.daemon.ctl("show bgp neighbors")

    def starts(self):
        return self.daemon.process.output().count("speaker: ready")

    def __enter__(self):
        self.before = self.shown()
        for _ in range(10):  # the next speaker may be there before its parent can be held
            starts = self.starts()
            self.ctl = self.daemon.node.start(UNDERLAYCTL, "--socket", self.daemon.socket, "restart", "speaker",
                                              log=f"restart-{starts}.log")
            wait_for(lambda: "handed over" in self.ctl.output(), what="an answer", every=0.002)
            self.daemon.process.send(signal.SIGSTOP)
            assert f"{self.sessions} of {self.sessions} sessions handed over" in self.ctl.output(), self.ctl.output()
            if self.starts() == starts:
                return self
            self.__exit__()
        raise LabError("every time the next speaker was there at once")

    def __exit__(self, *_):
        self.daemon.process.send(signal.SIGCONT)
        assert self.ctl.wait(30) == 0 and self.ctl.output().splitlines()[-1].startswith("restarted"), self.ctl.output()

    def unnoticed(self):
        """That the sessions are those of before, as we show them."""
        for name, was in self.before.items():
            now = self.shown()[name]
            keys = ("bgpState", "bgpTimerUpEstablishedEpoch", "connectionsEstablished", "connectionsDropped", "portLocal",
                    "portForeign", "neighborCapabilities", "bgpTimerHoldTimeMsecs")
            assert {k: now.get(k) for k in keys} == {k: was.get(k) for k in keys}, (was, now)
            assert now["messageStats"]["opensSent"] == was["messageStats"]["opensSent"]
            assert now["bgpState"] == "Established"


@cases(("frr",), ("bird",), ("gobgp",), ("exabgp",))
@feature("Planned restart: sessions are handed over")
def test_nothing_is_lost_and_what_has_changed_is_told(lab, kind):
    pair = Pair(lab, kind, networks=(FAR4, FAR6, GONE),
                advertise={"pod-cidrs": [POD4, POD6], "vips": [{"prefix": OLD_VIP}, {"prefix": VIP}]}).up()
    node, tor = pair.underlay, pair.tor
    wait_for(lambda: node.installed(FAR4, FAR6, GONE) and tor.has(POD4, POD6, OLD_VIP, VIP), what="routes both ways")
    theirs = tor.neighbor(pair.mine) if kind == "frr" else None
    watch, theirs_too, flood = pair.node.monitor(), pair.tor_node.monitor(), Flood(pair)
    node.config["advertise"]["vips"] = [{"prefix": VIP}, {"prefix": NEW_VIP}]
    node.write()
    with Restart(node) as restart:
        tor.withdraw(GONE)
        tor.announce(NEW)
    restart.unnoticed()
    wait_for(lambda: tor.has(NEW_VIP, POD4, POD6, VIP) and tor.has_none(OLD_VIP), what="the ToR has what is configured now")
    wait_for(lambda: node.installed(FAR4, FAR6, NEW) and node.gone(GONE), what="the node has what the ToR has now")
    wait_for(lambda: "what none of them has is removed" in node.process.output().split("sessions go to the next")[1],
             what="the kernel has been swept")
    flood.end()
    assert node.installed(FAR4, FAR6, NEW)
    deleted = [line for line in watch.deleted() if GONE not in line and "nexthop" not in line]
    assert not deleted, deleted
    if kind == "frr":
        now = tor.neighbor(pair.mine)
        assert not [e for p in (POD4, POD6, VIP) for e in theirs_too.events(p.removesuffix("/32"))], "what stays has changed"
        assert now["connectionsDropped"] == theirs["connectionsDropped"] and now["bgpTimerUpMsec"] >= theirs["bgpTimerUpMsec"]
        assert now["messageStats"]["opensRecv"] == theirs["messageStats"]["opensRecv"]
    restart.unnoticed()


def kinds_of_session(lab, what):
    if what == "unnumbered":
        pair = Bare(lab).up()
        pair.mine = None
        return pair
    if what == "dynamic":
        pair = ranged(lab, "frr")
        pair.start()
        return wait_up(pair)
    secret = {"password": "s3cret"}
    return {"ipv6": lambda: Pair(lab, "frr", "ipv6"), "ibgp": lambda: Pair(lab, "frr", node_as=TOR_AS),
            "md5": lambda: Pair(lab, "frr", peer=secret, neighbor=secret),
            "gtsm": lambda: Pair(lab, "frr", peer={"ttl-security": 1}, neighbor={"ttl_security": 1}),
            "add-path": lambda: Pair(lab, "frr", peer={"add-path": "both"}, neighbor={"add_path": "both"})}[what]().up()


@cases(("ipv6",), ("ibgp",), ("md5",), ("gtsm",), ("add-path",), ("dynamic",), ("unnumbered",))
@feature("Planned restart: sessions are handed over")
def test_every_kind_of_session(lab, what):
    pair = kinds_of_session(lab, what)
    node, tor = pair.underlay, pair.tor
    tor.announce(FAR4, FAR6)
    wait_for(lambda: node.installed(FAR4, FAR6) and tor.has(POD4, POD6), what="routes both ways")
    watch, theirs_too = pair.node.monitor(), pair.tor_node.monitor()
    for again in (NEW, GONE):  # a second one takes over what the first one took over
        with Restart(node) as restart:
            tor.announce(again)
        restart.unnoticed()
        wait_for(lambda: node.installed(FAR4, FAR6, again), what="what the ToR announced meanwhile")
    node.command("advertise 192.0.9.7/32")
    wait_for(lambda: tor.has("192.0.9.7/32"), what="and it hears us")
    assert not [e for p in (POD4, POD6) for e in theirs_too.events(p)], "what stays has changed"
    assert not [line for line in watch.deleted() if "nexthop" not in line]
    restart.unnoticed()


@feature("Planned restart: sessions are handed over")
def test_learned_routes_that_go_on_to_others_stay_there(lab):
    dual = Dual(lab)
    for peer in dual.underlay.config["peers"]:
        peer["export"] = "all"
    dual.up()
    here, there = dual.tors
    here.announce(FAR4, FAR6, GONE)
    wait_for(lambda: there.has(FAR4, FAR6, GONE), what="what one ToR announces is at the other")
    wait_for(lambda: FAR4 in there.node.routes("ipv4") and FAR6 in there.node.routes("ipv6"), what="and in its kernel")
    watch = there.node.monitor()
    with Restart(dual.underlay, 2) as restart:
        here.withdraw(GONE)
    wait_for(lambda: there.has_none(GONE), what="what is withdrawn goes there too")
    restart.unnoticed()
    assert there.has(FAR4, FAR6) and not [e for p in (FAR4, FAR6) for e in watch.events(p)]


@feature("Planned restart: sessions are handed over")
def test_what_a_reload_would_reset_is_reset(lab):
    pair = Pair(lab, "frr").up()
    pair.underlay.config["peers"][0]["hold-time"] = "30s"
    pair.underlay.write()
    with Restart(pair.underlay) as restart:
        pass
    assert restart.ctl.output().endswith("\nrestarted; sessions ended for a changed configuration: 1\n"), restart.ctl.output()
    wait_for(lambda: pair.underlay.neighbor()["connectionsEstablished"] == 2 and pair.underlay.established(), 20,
             "the session with the new hold time")
    assert any("6/6 (Cease/Other Configuration Change)" in line for line in pair.tor.notifications())
    assert pair.underlay.neighbor()["connectionsDropped"] == 1


@feature("Planned restart: sessions are handed over")
def test_a_configuration_that_does_not_load_refuses_the_restart(lab):
    pair = Pair(lab, "frr", metrics={"listen": f"127.0.0.1:{rawhttp.PORT}"}).up()
    node = pair.underlay
    before, speaker = node.neighbor(), node.speaker()
    node.write("router: {asn: nonsense}\n")
    done = node.ctl("restart speaker", json_out=False, check=False)
    assert done.returncode == 1 and "router.asn" in done.stderr, done
    assert node.speaker() == speaker and node.neighbor()["bgpTimerUpEstablishedEpoch"] == before["bgpTimerUpEstablishedEpoch"]
    assert "restart refused" in node.process.output()
    metrics = rawhttp.get(pair.node, "/metrics").text.splitlines()  # nobody has asked for a reload
    assert "underlay_config_last_reload_successful 1" in metrics and 'underlay_config_reloads_total{result="refused"} 0' in metrics


@feature("Planned restart: sessions are handed over")
def test_what_could_not_be_kept_is_told(lab):
    pair = Pair(lab, "frr")
    node = pair.underlay
    node.wrap = ("prlimit", "--nofile=500:500")
    pair.up()
    done = node.ctl("restart speaker", json_out=False, check=False)
    assert (done.returncode, done.stdout) == (1, "1 of 1 sessions handed over\n"), done
    assert done.stderr == ("underlayctl: restarted, but no session was taken over; they fall back to graceful restart; "
                           "the log says why\n"), done
    assert "more connections than this process may keep" in node.process.output()
    wait_for(lambda: node.established(), 30, "the session is back")
    assert "plannedRestart" not in node.ctl("show version")


@feature("Planned restart: sessions are handed over")
def test_a_peer_that_was_down_is_not_waited_for(lab):
    pair = Pair(lab, "frr", peer={"export": "all"}, networks=(FAR4,)).up()
    node = pair.underlay
    wait_for(lambda: node.installed(FAR4), what="a route")
    node.config["peers"].append({"address": "10.0.1.77", "asn": 65009, "passive": True, "multihop": 2})
    node.write()
    node.command("reload")
    assert "1 of 1 sessions handed over" in node.command("restart speaker")
    node.command(f"advertise {NEW_VIP}")
    wait_for(lambda: pair.tor.has(NEW_VIP), 10, "what is new is told")


@feature("Planned restart: sessions are handed over")
def test_the_parent_too(lab):
    pair = Pair(lab, "frr", networks=(FAR4, FAR6)).up()
    node, tor = pair.underlay, pair.tor
    wait_for(lambda: node.installed(FAR4, FAR6) and tor.has(POD4, POD6), what="routes both ways")
    before, theirs, watch = node.neighbor(), tor.neighbor(pair.mine), pair.node.monitor()
    flood = Flood(pair)
    speaker = node.speaker()
    assert node.command("restart").endswith("1 of 1 sessions handed over\nrestarted\n")
    assert node.speaker() != speaker
    wait_for(lambda: node.process.output().count("what none of them has is removed") == 2, what="the kernel has been swept")
    flood.end()
    now = node.neighbor()
    assert now["bgpTimerUpEstablishedEpoch"] == before["bgpTimerUpEstablishedEpoch"] and now["connectionsDropped"] == 0, now
    assert tor.neighbor(pair.mine)["connectionsDropped"] == theirs["connectionsDropped"]
    assert not watch.deleted(), watch.deleted()
