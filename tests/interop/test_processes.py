"""The two processes: what they are called and may do, how they start and stop, and what outlives which of them."""
import os
import re
import signal
import socket
import time

from lab import never_during, wait_for
from runner import cases
from topology import FAR4, POD4, Pair
from underlay import UNDERLAYD, Underlay, tor

VIP = "198.51.100.7/32"
KEPT = {"KILL": 5, "SETGID": 6, "SETUID": 7, "NET_BIND_SERVICE": 10, "NET_ADMIN": 12, "NET_RAW": 13, "SYS_NICE": 23}


def proc(pid, name):
    with open(f"/proc/{pid}/{name}") as f:
        return f.read()


def status(pid):
    return dict(line.split(":\t", 1) for line in proc(pid, "status").splitlines() if ":\t" in line)


def quiet(output):
    """The lines of a log that a user would take for trouble."""
    return [line for line in output.splitlines() if re.search(r"Z (error|warn) |^underlayd:", line)
            and "no account named" not in line and "no such group" not in line]


def lone(lab, **sections):
    """A daemon without peers that logs as it does by default."""
    return Underlay(lab.node("node"), advertise={"pod-cidrs": [POD4]}, log={"level": "info"}, **sections)


def test_names_and_capabilities(lab):
    daemon = lone(lab).start()
    parent, child = daemon.process.pid, daemon.speaker()
    assert proc(parent, "comm").strip() == "underlayd: fib", proc(parent, "comm")
    assert proc(child, "comm").strip() == "underlayd: bgp", proc(child, "comm")
    assert proc(child, "cmdline").split("\0")[0] == "underlayd: speaker", proc(child, "cmdline")
    kept = sum(1 << bit for bit in KEPT.values())
    wait_for(lambda: int(status(parent)["CapEff"], 16) == kept, what=f"capabilities {kept:x}, not {status(parent)['CapEff']}")
    assert int(status(parent)["CapPrm"], 16) == kept and int(status(parent)["CapAmb"], 16) == 0, status(parent)
    os.kill(child, signal.SIGKILL)
    wait_for(lambda: daemon.speaker() != child, what="a second speaker")
    again = lambda: status(daemon.speaker())
    wait_for(lambda: int(again()["CapPrm"], 16) == 0 and "0" not in again()["Uid"].split(), what="it has no privilege either")


def test_started_by_an_account_with_capabilities_the_speaker_has_none(lab):
    node = lab.node("node")
    daemon = Underlay(node, advertise={"pod-cidrs": [POD4]})
    os.chmod(lab.dir, 0o777)
    daemon.write()
    program = os.path.join(lab.dir, "underlayd")
    with open(UNDERLAYD, "rb") as f, open(program, "wb") as g:
        g.write(f.read())
    os.chmod(program, 0o755)
    caps = "+net_admin,+net_bind_service"
    daemon.process = node.start("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps", caps,
                                "--ambient-caps", caps, program, "--config", daemon.config_path, "--control-socket",
                                daemon.socket)
    wait_for(lambda: daemon.installed(POD4), what="it works")
    found = status(daemon.speaker())
    assert [int(found[k], 16) for k in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0] * 4, found
    old = daemon.speaker()
    daemon.process.send(signal.SIGUSR2)  # executed anew, it has them still
    wait_for(lambda: daemon.speaker() != old and daemon.process.output().count("ready asn") == 2, what="the next speaker")
    assert int(status(daemon.speaker())["CapPrm"], 16) == 0 and "executed anew" in daemon.process.output()
    assert daemon.stop() == 0 and daemon.gone(POD4)


def test_clean_stop_leaves_nothing(lab):
    daemon = lone(lab).start()
    wait_for(lambda: daemon.installed(POD4))
    assert os.path.exists(daemon.socket) and os.path.exists(daemon.socket + ".lock")
    assert daemon.stop() == 0
    assert not os.path.exists(daemon.socket) and not os.path.exists(daemon.socket + ".lock")
    assert daemon.gone(POD4) and daemon.node.ip_json("nexthop", "show") == []
    assert quiet(daemon.process.output()) == [], daemon.process.output()


def test_interrupt_of_the_whole_process_group(lab):
    """Ctrl-C in a terminal reaches both processes; the peers are told all the same."""
    pair = Pair(lab, "frr", log={"level": "info"}).up()
    os.killpg(pair.underlay.process.pid, signal.SIGINT)
    assert pair.underlay.process.wait(10) == 0
    wait_for(lambda: any(n.startswith("6/2 ") for n in pair.tor.notifications()), what="Cease, administrative shutdown")
    assert pair.underlay.gone(POD4) and quiet(pair.underlay.process.output()) == [], pair.underlay.process.output()


@cases(("once",), ("twice",))
def test_stop_with_a_speaker_that_hangs(lab, how):
    daemon = lone(lab).start()
    wait_for(lambda: daemon.installed(POD4))
    child = daemon.speaker()
    os.kill(child, signal.SIGSTOP)
    began = time.monotonic()
    daemon.process.send(signal.SIGTERM)
    if how == "twice":
        wait_for(lambda: "stopping" in daemon.process.output())
        daemon.process.send(signal.SIGTERM)
    assert daemon.process.wait(10) == 0
    took = time.monotonic() - began
    assert took < 3 if how == "twice" else took < 9, took
    assert daemon.gone(POD4) and not os.path.exists(daemon.socket)
    assert child not in daemon.node.pids()


def test_speaker_that_dies_again_and_again_is_started_ever_later(lab):
    daemon = lone(lab).start()
    wait_for(lambda: daemon.installed(POD4))
    watch = daemon.node.monitor()
    for i in range(4):
        old = wait_for(daemon.speaker)
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: daemon.process.output().count("started again") == i + 1, what="its death is noticed")
        wait_for(lambda: daemon.speaker() != old, what="the next one")
        wait_for(lambda: daemon.process.output().count("speaker: ready") == i + 2, what="which gets ready")
    waits = [int(n) for n in re.findall(r"started again in_ms=(\d+)", daemon.process.output())]
    assert waits == [100, 200, 400, 800], waits
    assert watch.deleted() == [] and daemon.process.alive


def test_as_pid_1_it_reaps_and_stops(lab):
    node = lab.node("node")
    daemon = Underlay(node, advertise={"pod-cidrs": [POD4]}, log={"level": "info"})
    daemon.write()
    daemon.process = outer = node.start("unshare", "-pf", "--mount-proc", UNDERLAYD, "--config", daemon.config_path,
                                        "--control-socket", daemon.socket)
    wait_for(lambda: daemon.installed(POD4), what="it runs")
    (pid1,) = proc(outer.pid, f"task/{outer.pid}/children").split()
    speaker = proc(pid1, f"task/{pid1}/children").split()
    assert len(speaker) == 1, speaker
    # Two orphans: their parent ends at once, and they a little later.
    node.run("nsenter", "-t", pid1, "-p", "-m", "sh", "-c", "exec >/dev/null 2>&1; sleep 1 & sleep 1.2 &")
    wait_for(lambda: len(proc(pid1, f"task/{pid1}/children").split()) == 3, what="PID 1 has inherited them")
    wait_for(lambda: proc(pid1, f"task/{pid1}/children").split() == speaker, what="no zombie stays")
    os.kill(int(pid1), signal.SIGUSR2)
    wait_for(lambda: "executed anew" in daemon.process.output(), what="it executes itself anew, and is still PID 1")
    wait_for(lambda: daemon.process.output().count("ready asn") == 2, what="the next speaker")
    os.kill(int(pid1), signal.SIGTERM)
    assert outer.wait(10) == 0
    assert daemon.gone(POD4) and not os.path.exists(daemon.socket)


def originates(daemon, *prefixes):
    rib = daemon.rib()
    return all(p in rib for p in prefixes)


@cases(("speaker killed",), ("daemon killed",), ("restart",))
def test_what_commands_changed_outlives(lab, what):
    pair = Pair(lab, "frr").up()
    daemon, state = pair.underlay, pair.underlay.socket + ".state"
    daemon.command(f"advertise {VIP} 2001:db8:7::7/128")
    daemon.command(f"neighbor {pair.theirs} shutdown message spare-parts")
    if what != "restart":
        time.sleep(1)  # the time that a change may take to reach the disk
    if what == "speaker killed":
        old = daemon.speaker()
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: daemon.speaker() != old and daemon.ctl("show version", check=False, json_out=False).returncode == 0)
    else:
        daemon.stop(signal.SIGKILL if what == "daemon killed" else signal.SIGTERM)
        assert os.stat(state).st_mode & 0o777 == 0o600
        daemon.start()
    wait_for(lambda: originates(daemon, VIP, POD4) and "2001:db8:7::7/128" in daemon.rib("ipv6"), what="advertised again")
    never_during(lambda: daemon.state() not in ("Idle", "Idle (Admin)"), 1, "a session that was shut down comes up")
    daemon.command(f"no neighbor {pair.theirs} shutdown")
    pair.wait_up()
    wait_for(lambda: pair.tor.has(VIP), what="at the ToR too")


@cases(("garbage",), ("directory",), ("not writable",))
def test_a_bad_state_file_is_survived_and_said(lab, what):
    daemon = lone(lab)
    state = daemon.socket + ".state"
    if what == "garbage":
        with open(state, "wb") as f:
            f.write(b"\x00\xff\xfe\x00advertise\nadvertise 300.1.1.1/8\n" + b"reload\n" * 1000 + f"advertise {VIP}\n".encode())
    elif what == "directory":
        os.mkdir(state)
    else:
        os.mkdir(state + ".new")  # as root nothing else is refused without a mount
    daemon.start()
    if what == "garbage":
        wait_for(lambda: originates(daemon, VIP), what="the good line counts")
        assert "lines=1003" in daemon.process.output() and len(quiet(daemon.process.output())) == 6, daemon.process.output()
    daemon.command("advertise 198.51.100.8/32")
    if what == "garbage":
        wait_for(lambda: "198.51.100.8/32" in open(state).read())
        return
    wait_for(lambda: [line for line in quiet(daemon.process.output()) if "lost at a restart" in line and state in line],
             what="a warning with the path")
    daemon.command("advertise 198.51.100.9/32")
    never_during(lambda: daemon.process.output().count("lost at a restart") > 1, 0.7, "the same warning twice")
    assert originates(daemon, "198.51.100.8/32", "198.51.100.9/32")
    os.rmdir(state if what == "directory" else state + ".new")
    daemon.command("withdraw 198.51.100.9/32")
    wait_for(lambda: "198.51.100.8/32" in open(state).read(), what="written again")


def test_two_daemons_in_one_namespace_keep_to_themselves(lab):
    """Protocols 87 and 88: neither touches routes, nexthops or state of the other, not even when it stops."""
    pair = Pair(lab, "frr", networks=[FAR4]).up()
    second_tor = lab.node("tor2")
    link = lab.link(pair.node, second_tor)
    from peers import PEERS, Neighbor
    other_tor = PEERS["frr"](second_tor, 65002, "10.255.0.2", networks=["203.0.113.0/24"],
                             neighbors=[Neighbor(link.a4, 65100, link.b4, link.b4, link.b6)])
    other_tor.start()
    second = Underlay(pair.node, [tor(link.b4, asn=65002)], name="second", id="10.255.1.2", router={"listen": []},
                      fib={"protocol": 88, "metric": 30})
    second.start()
    second.wait_established()
    theirs = lambda: pair.node.routes("ipv4", protocol="88")
    wait_for(lambda: "203.0.113.0/24" in theirs() and pair.underlay.installed(FAR4))
    ids = lambda protocol: {n["id"] >> 24 for n in pair.node.ip_json("nexthop", "show") if str(n["protocol"]) == protocol}
    assert ids("87") == {87} and ids("88") == {88}
    second.command(f"advertise {VIP}")
    watch = pair.node.monitor()
    second.restart()
    wait_for(lambda: "203.0.113.0/24" in theirs(), timeout=20, what="the second one is back")
    assert originates(second, VIP) and not originates(pair.underlay, VIP)
    assert watch.deleted(FAR4) == [] and ids("87") == {87}
    pair.underlay.stop()
    assert pair.underlay.gone(FAR4) and "203.0.113.0/24" in theirs() and ids("88") == {88} and ids("87") == set()


class Systemd:
    """The receiving end of sd_notify."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.setblocking(False)
        self.got = []

    def messages(self):
        while True:
            try:
                self.got.append(self.socket.recv(4096).decode().splitlines())
            except BlockingIOError:
                return self.got

    def has(self, *words):
        return any(all(any(line.startswith(w) for line in m) for w in words) for m in self.messages())


def test_systemd_is_told(lab):
    pair = Pair(lab, "frr")
    pair.tor.start()
    path = os.path.join(lab.dir, "notify")
    systemd = Systemd(path)
    daemon = pair.underlay
    daemon.write()
    daemon.process = pair.node.start(UNDERLAYD, "--config", daemon.config_path, "--control-socket", daemon.socket,
                                     env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"})
    wait_for(lambda: systemd.has("READY=1", "STATUS="), what="READY")
    pair.wait_up()
    wait_for(lambda: systemd.has("STATUS=1 of 1 sessions established"), what="STATUS follows the sessions")
    assert "NOTIFY_SOCKET" not in proc(daemon.speaker(), "environ") and "WATCHDOG" not in proc(daemon.speaker(), "environ")
    count = sum("WATCHDOG=1" in m for m in systemd.messages())
    wait_for(lambda: sum("WATCHDOG=1" in m for m in systemd.messages()) >= count + 3, timeout=3, what="WATCHDOG")
    del systemd.got[:]
    before = time.monotonic_ns() // 1000
    daemon.process.send(signal.SIGHUP)
    wait_for(lambda: systemd.has("RELOADING=1", "MONOTONIC_USEC=") and systemd.has("READY=1"), what="RELOADING, then READY")
    order = [m[0] for m in systemd.got if m[0] in ("RELOADING=1", "READY=1")]
    assert order == ["RELOADING=1", "READY=1"], order
    (stamp,) = [int(line.split("=")[1]) for m in systemd.got for line in m if line.startswith("MONOTONIC_USEC=")]
    assert before <= stamp <= time.monotonic_ns() // 1000
    daemon.process.send(signal.SIGTERM)
    assert daemon.process.wait(10) == 0
    assert systemd.has("STOPPING=1")
