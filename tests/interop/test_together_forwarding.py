"""What keeps forwarding going, two at a time: BFD, failover, healing, hand-over and the kernel's modes."""
import signal

from lab import wait_for
from rack import Rack
from runner import cases, feature
from test_bfd import lost_by_bfd, pair, wait_bfd
from test_handover import Restart
from topology import FAR4, FAR6, Dual, prefixes

MANY = prefixes(50)


def sweeps(underlay):
    return underlay.process.output().count("what none of them has is removed")


def dropped(underlay, link):
    return underlay.neighbor(link.b4)["connectionsDropped"]


@feature("BFD: failure of the daemon alone", "Planned restart: sessions are handed over", peer="frr")
def test_restart_with_a_session_over_what_bfd_calls_dead(lab):
    """The peer has lost its BFD and goes on without it: a new parent and a new speaker know that BFD was overruled."""
    p = pair(lab, ours={"interval": "50ms"}, theirs=(50, 3)).up()
    p.learn(FAR4)
    wait_bfd(p.underlay, p.theirs)
    p.tor.bfd_process().stop(signal.SIGKILL)
    lost_by_bfd(p.underlay)
    p.wait_up()
    wait_for(lambda: p.underlay.installed(FAR4), what="forwarding over what BFD calls dead")
    watch, losses = p.node.monitor(), p.underlay.neighbor()["connectionsDropped"]  # a busy bfdd may have lost one before
    for what in ("restart", "restart speaker"):
        swept = sweeps(p.underlay)
        p.underlay.command(what)
        wait_for(lambda: sweeps(p.underlay) > swept, what="the sweep")
    assert p.underlay.installed(FAR4) and not watch.deleted(FAR4), watch.deleted()
    assert p.underlay.established() and p.underlay.neighbor()["connectionsDropped"] == losses


@cases(("1",), ("0",))
@feature("Planned restart: sessions are handed over", "Healed after others", peer="frr")
def test_flushed_while_no_speaker_runs(lab, compat_mode):
    """Without next hops and routes in the kernel, and with nobody there who wants them: the next speaker's come back. So
    they do where the kernel does not show gateways, and no session is lost."""
    dual = Dual(lab)
    dual.node.sysctl({"net.ipv4.nexthop_compat_mode": compat_mode})
    dual.up().learn(FAR4, FAR6)
    for tor in dual.tors:
        tor.announce(*MANY)
    daemon = dual.underlay
    wait_for(lambda: daemon.installed(*MANY), what="all routes")
    parent = daemon.process.pid
    with Restart(daemon, 2):
        for what in ("nexthop", "route"):
            dual.node.ip(what, "flush", "proto", "87", check=False)
    wait_for(lambda: daemon.installed(FAR4, FAR6, *MANY), 30, "all is back")
    wait_for(lambda: all(len(daemon.next_hops(p)) == 2 for p in (FAR4, FAR6, MANY[-1])), 30, "over both ToRs")
    assert daemon.process.alive and daemon.process.pid == parent
    assert [dropped(daemon, link) for link in dual.links] == [0, 0]
    if compat_mode == "1":
        return
    child = daemon.speaker()
    watch = dual.node.monitor()
    swept = sweeps(daemon)
    daemon.process.stop(signal.SIGKILL)
    wait_for(lambda: child not in dual.node.pids(), what="the speaker has followed")
    daemon.start()
    daemon.wait_established()
    wait_for(lambda: sweeps(daemon) > swept, what="the sweep")
    assert not [line for line in watch.deleted() if not line.startswith("Deleted id")], watch.deleted()


@feature("Planned restart: sessions are handed over")
def test_a_restart_is_over_when_all_sessions_are_there(lab):
    rack = Rack(lab, peers=60)
    sessions = [rack.session(i) for i in range(len(rack.addresses))]
    wait_for(lambda: all(rack.underlay.established(a) for a in rack.addresses[-5:]), what="all are up")
    for what in ("restart", "restart speaker"):
        rack.underlay.command(what)
        seen = [n["bgpState"] for n in rack.underlay.ctl("show bgp neighbors").values()]
        assert seen == ["Established"] * len(sessions), seen
