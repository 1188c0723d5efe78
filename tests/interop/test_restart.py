"""Restarts of every kind under a flood of packets between pods across two ToRs with graceful restart: none is lost."""
import os
import shutil
import signal

from flood import Flood
from lab import SLOW, wait_for
from peers import Frr, Neighbor
from runner import cases, endurance, feature
from topology import FAR4, FAR6, NODE_AS, POD4, POD6, TOR_AS
from underlay import PROTOCOL, UNDERLAYD, Underlay, tor

PAIRS = [(f"192.0.2.{i}", f"10.244.7.{i}") for i in range(1, 5)] + \
    [(f"2001:db8:2::{i}", f"fd00:10:244:7::{i}") for i in range(1, 3)]
VIP = "198.51.100.7/32"


class Racks:
    """A node with pods, two ToRs, and behind both of them the pods of another rack, which pings those of the node."""

    def __init__(self, lab, program=UNDERLAYD, bfd=None, **sections):
        """bfd: (interval in ms, multiplier)"""
        self.lab, self.node, self.far = lab, lab.node("node"), lab.node("far")
        self.tors, self.links, ways = [], [], {"ipv4": [], "ipv6": []}
        for i in range(2):
            tor_node = lab.node(f"tor{i + 1}").forward()
            link, behind = lab.link(self.node, tor_node), lab.link(tor_node, self.far)
            tor_node.ip_batch([f"route add {FAR4} via {behind.b4}", f"route add {FAR6} via {behind.b6}"])
            ways["ipv4"].append(f"nexthop via {behind.a4}")
            ways["ipv6"].append(f"nexthop via {behind.a6}")
            asn = TOR_AS + i
            lines = (f"router bgp {asn}", " bgp graceful-restart", " bgp graceful-restart preserve-fw-state")
            self.tors.append(Frr(tor_node, asn, f"10.255.0.{i + 1}", networks=(FAR4, FAR6), lines=lines, neighbors=[
                Neighbor(link.a4, NODE_AS, link.b4, link.b4, link.b6, bfd=bfd,
                         extra=("graceful-restart",))]))
            self.links.append(link)
        self.far.address("lo", *[f"{source}/{128 if ':' in source else 32}" for source, _ in PAIRS])
        self.node.address("lo", *[f"{pod}/{128 if ':' in pod else 32}" for _, pod in PAIRS])
        self.far.ip_batch([f"route add {POD4} {' '.join(ways['ipv4'])}", f"route add {POD6} {' '.join(ways['ipv6'])}"])
        peer = {"bfd": {"interval": f"{bfd[0]}ms", "multiplier": bfd[1]}} if bfd else {}
        self.underlay = Underlay(self.node, [tor(link.b4, **peer) for link in self.links],
                                 **{"advertise": {"pod-cidrs": [POD4, POD6]}, **sections})
        self.program = program
        for each in self.tors:
            each.start()
        self.start()
        self.wait_whole()

    def start(self):
        daemon = self.underlay
        daemon.write()
        daemon.process = self.node.start(self.program, "--config", daemon.config_path, "--control-socket", daemon.socket,
                                         log=f"{daemon.name}.log")
        wait_for(daemon._answers, what="underlayd answers")

    def wait_whole(self):
        """Sessions are up, all was said both ways, and both ToRs are in use."""
        daemon = self.underlay
        daemon.wait_established(timeout=40)
        for link in self.links:
            wait_for(lambda: all(daemon.neighbor(link.b4)["gracefulRestartInfo"]["endOfRibRecv"].values()), 30, "End-of-RIB")
        wait_for(lambda: all(len(daemon.next_hops(p)) == 2 for p in (FAR4, FAR6)), what="two next hops")
        wait_for(lambda: daemon.installed(POD4, POD6), what="the node's own routes")
        for each in self.tors:
            wait_for(lambda: each.has(POD4, POD6), what="the node's pods at the ToR")
            wait_for(lambda: POD4 in each.node.routes("ipv4") and POD6 in each.node.routes("ipv6"), what="and in its kernel")

    def flood(self):
        return Flood(self.far, PAIRS, rate=1000)

    def drops(self):
        """How often each ToR has seen its session go."""
        return [each.neighbor()["connectionsDropped"] for each in self.tors]


class Unhurt:
    """What is done in the block costs no packet, and no route of ours leaves the kernel. drops: sessions lost at each ToR."""

    def __init__(self, racks, drops, name=""):
        self.racks, self.drops, self.name = racks, drops, name

    def __enter__(self):
        self.before, self.watch = self.racks.drops(), self.racks.node.monitor()
        self.flood = self.racks.flood().__enter__().wait_flowing()

    def __exit__(self, kind, *_):
        try:
            if not kind:
                self.racks.wait_whole()
        finally:
            self.flood.__exit__()
        if kind:
            return
        print(self.name, self.flood)
        assert self.flood.sent > 100 and not self.flood.lost, f"{self.name}: {self.flood}"
        # Sets of next hops may change as sessions come back one by one; routes go from one to the next.
        gone = [line for line in self.watch.deleted() if f"proto {PROTOCOL}" in line and not line.startswith("Deleted id")]
        assert not gone, gone
        seen = [now - before for now, before in zip(self.racks.drops(), self.before)]
        assert seen == [self.drops] * 2, f"sessions dropped as the ToRs saw it: {seen}"


def another(daemon, old):
    wait_for(lambda: daemon.speaker() != old and daemon._answers(), 30, "the next speaker serves")


def speaker_killed(racks):
    old = racks.underlay.speaker()
    os.kill(old, signal.SIGKILL)
    another(racks.underlay, old)


def all_killed(racks):
    daemon = racks.underlay
    child = daemon.speaker()
    daemon.process.send(signal.SIGKILL)
    daemon.process.wait()
    wait_for(lambda: child not in daemon.node.pids(), what="the speaker has followed")
    racks.start()


def preserved(racks):
    assert racks.underlay.stop() == 0
    racks.start()


def speaker_hangs(racks):
    """The parent finds out, after FM_HANG_MS; the ToRs have closed the session before."""
    old = racks.underlay.speaker()
    os.kill(old, signal.SIGSTOP)
    wait_for(lambda: "no sign of life" in racks.underlay.process.output(), 40, "it is found to hang")
    another(racks.underlay, old)


@feature("Graceful restart: restarting speaker", peer="frr")
def test_no_packet_is_lost_when_processes_are_killed_or_stopped(lab):
    racks = Racks(lab, router={"on-stop": "preserve"})
    for what in (speaker_killed, all_killed, preserved):
        with Unhurt(racks, drops=1, name=what.__name__):
            what(racks)


@cases((), timeout=120)
@feature("Graceful restart: restarting speaker", peer="frr")
@endurance
def test_no_packet_is_lost_when_the_speaker_hangs(lab):
    racks = Racks(lab)
    with Unhurt(racks, drops=1):
        speaker_hangs(racks)


@feature("Graceful restart: restarting speaker", peer="frr")
def test_no_packet_is_lost_when_the_configuration_changes(lab):
    racks = Racks(lab)
    daemon = racks.underlay
    at_tor = lambda there: all(t.has(VIP) if there else t.has_none(VIP) for t in racks.tors)
    with Unhurt(racks, drops=0):
        daemon.config["advertise"]["vips"] = [{"prefix": VIP}]
        daemon.write()
        daemon.process.send(signal.SIGHUP)
        wait_for(lambda: at_tor(True), what="the new VIP is known")
        daemon.config["advertise"]["vips"] = []
        daemon.config["router"]["multipath"] = 8
        daemon.write()
        daemon.command("reload")
        wait_for(lambda: at_tor(False), what="and gone")


def installed(lab, garbage=False):
    """What a package upgrade does: another file takes the place of the binary."""
    path = os.path.join(lab.dir, "underlayd")
    if garbage:
        lab.write("underlayd.new", "#!/bin/sh\nexit 1\n", 0o755)
    else:
        shutil.copy(UNDERLAYD, path + ".new")
    os.replace(path + ".new", path)
    return path


@feature("Planned restart: sessions are handed over", peer="frr")
def test_an_upgrade_is_not_noticed(lab):
    """The parent too is what was installed then, with the same process id; where that does not run it stays what it was.
    Its BFD sessions go on, and a stop that preserves the routes is no failure to them."""
    racks = Racks(lab, program=installed(lab), bfd=(300, 5), router={"on-stop": "preserve"},
                  advertise={"pod-cidrs": [POD4, POD6], "vips": [{"prefix": VIP, "bind": "lo"}]})
    daemon, pid = racks.underlay, racks.underlay.process.pid
    exe = lambda: os.stat(f"/proc/{pid}/exe").st_ino
    listeners = lambda: [line.split("ino:")[1] for line in
                         racks.node.run("ss", "-Hltne", "sport", "=", "179").stdout.splitlines()]
    sessions = lambda: [(s["status"], s["id"], s["remote-id"]) for s in
                        (each.bfd(link.a4) for each, link in zip(racks.tors, racks.links))]
    wait_for(lambda: {s[0] for s in sessions()} == {"up"}, what="BFD")
    first, bound, bfd = exe(), listeners(), sessions()
    assert len(bound) == 2
    with Unhurt(racks, drops=0, name="upgrade"):
        old, path = daemon.speaker(), installed(lab)
        os.killpg(pid, signal.SIGUSR2)  # as `systemctl kill` does, which means the speaker too
        another(daemon, old)
    second = exe()
    assert second == os.stat(path).st_ino != first and listeners() == bound
    assert os.readlink(f"/proc/{daemon.speaker()}/exe") == path
    with Unhurt(racks, drops=0, name="upgrade that failed"):
        old, path = daemon.speaker(), installed(lab, garbage=True)
        daemon.command("restart")
        another(daemon, old)
    assert exe() == second and "cannot take over" in daemon.process.output() and sessions() == bfd
    installed(lab)
    said = lambda: [n for each in racks.tors for n in each.notifications() + each.notifications("sent to")]
    before = said()
    with Unhurt(racks, drops=1, name="stop and start with BFD"):
        preserved(racks)
    assert said() == before, "nobody has taken it for a failure"
    assert VIP in racks.node.run("ip", "-o", "address", "show", "dev", "lo").stdout
    daemon.process.send(signal.SIGUSR1)
    wait_for(lambda: "a stop will withdraw" in daemon.process.output())
    assert daemon.stop() == 0 and daemon.gone(FAR4, FAR6, POD4, POD6), "what a former life has made is ours"
    assert not os.path.exists(daemon.socket) and racks.node.ip_json("nexthop", "show") == []
