"""What `make bench` measures: how each figure comes about, and where it ought to be.

A Measure is made for every daemon that can, in a Box of its own; the functions return {name of a value: value}. A Row of
the table shows one of these values.
"""
import collections
import contextlib
import dataclasses
import os
import re
import time

from box import Failed, wait_for
from daemons import SINK, SOURCE, TORS, Job, Neighbor, vips
from procfs import cpu_seconds, peak_pss_mib, pids_of, pss_mib, status_sum

FAR_BFD = "/usr/sbin/bird"


@dataclasses.dataclass
class Measure:
    group: str  # as ONLY= names it
    key: str
    function: object  # (args, daemon, box, job, measure)
    job: Job
    routes: int = 0
    addresses: tuple = (1, 1)  # of the neighbours, on each link
    rounds: int = None  # None: as asked for
    bare: bool = False  # with a bare netlink loop beside


def program(args, name):
    return os.path.abspath(f"{args.build}/bench/{name}")


def injector(args, box, job, routes, *more):
    """Plays the job's neighbours: those that get all are sinks, of which there is one at most."""
    argv = [program(args, "injector"), "--routes", routes, "--timeout", args.timeout, *more]
    for n in job.neighbors:
        argv += ["--sink" if n.export else "--source", n.spec]
    return box.tool(box.peers, *argv)


def in_out(args, daemon, box, job, measure):
    processes, _ = box.start_daemon(daemon, job)
    feed = injector(args, box, job, measure.routes, "--hold", 1500, *(["--split"] if len(job.neighbors) > 2 else []))
    box.next_event(feed)
    before = cpu_seconds(pids_of(processes))
    loaded = box.next_event(feed)
    cpu = cpu_seconds(pids_of(processes)) - before
    time.sleep(0.8)
    rest = pss_mib(pids_of(processes))
    dropped = box.next_event(feed)
    peak = peak_pss_mib(pids_of(processes))
    if dropped["strays"]:
        raise Failed(f"{dropped['strays']} prefixes came out that never went in")
    return {"in": loaded["load_seconds"], "out": dropped["drop_seconds"], "peak": max(peak, rest), "rest": rest,
            "cpu": cpu, "sink_updates": loaded["sink_updates"], "sink_bytes": loaded["sink_bytes"]}


def fib_feed(args, box, job, routes, hold=1500):
    return injector(args, box, job, routes, "--fib", f"/run/netns/{box.device.netns}", "--hold", hold, "--end", "close")


def fib(args, daemon, box, job, measure):
    processes, _ = box.start_daemon(daemon, job)
    feed = fib_feed(args, box, job, measure.routes)
    box.next_event(feed)
    before = cpu_seconds(pids_of(processes))
    loaded = box.next_event(feed)
    cpu = cpu_seconds(pids_of(processes)) - before
    time.sleep(0.5)
    rest = pss_mib(pids_of(processes))
    dropped = box.next_event(feed)
    return {"add": loaded["load_seconds"], "gone": dropped["drop_seconds"], "rest": rest, "cpu": cpu}


def bare(args, box, measure):
    hops = [word for n in measure.job.neighbors for word in (n.address, f"eth{n.link}")]
    result = box.next_event(box.tool(box.device, program(args, "bare_fib"), measure.routes, *hops))
    return {"add": result["add_seconds"], "gone": result["delete_seconds"]}


def advertise(args, daemon, box, job, measure):
    """All sessions are up; from the change of the configuration until the last neighbour has all that it added."""
    processes, _ = box.start_daemon(daemon, job)
    receivers = box.tool(box.peers, program(args, "receivers"), "--base", "10.200.0.0", "--expect", len(job.vips),
                         "--expect", len(job.vips) + measure.routes, *[n.spec for n in job.neighbors])
    box.next_event(receivers, args.timeout)
    box.next_event(receivers, args.timeout)
    time.sleep(2)
    more = dataclasses.replace(job, vips=vips(len(job.vips) + measure.routes))
    box.write_files(daemon, more)
    began = time.monotonic()
    daemon.reload(box.dir, processes, more.vips[len(job.vips):])
    return {"more": box.next_event(receivers, args.timeout)["at"] - began}


def idle(args, daemon, box, job, _):
    processes, _ = box.start_daemon(daemon, job)
    feed = injector(args, box, job, 100, "--hold", -1)
    box.next_event(feed)
    box.next_event(feed)
    time.sleep(5)
    pids = pids_of(processes)
    before, cpu, began = status_sum(pids, "voluntary_ctxt_switches", True), cpu_seconds(pids), time.monotonic()
    time.sleep(10)
    took = time.monotonic() - began
    return {"pss": pss_mib(pids), "processes": len(pids),
            "wakeups": (status_sum(pids, "voluntary_ctxt_switches", True) - before) / took,
            "cpu": (cpu_seconds(pids) - cpu) / took}


def start(args, daemon, box, job, _):
    feed = injector(args, box, job, 0, "--listen")
    time.sleep(0.2)
    _, began = box.start_daemon(daemon, job)
    return {"established": box.next_event(feed, 60)["at"] - began}


@contextlib.contextmanager
def only_on(processors):
    """What is started meanwhile stays on these."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


# Nobody runs, however urgent, where another is deep in the kernel for a second; what is late should be the device. So the far end
# of BFD is where neither underlayd's netlink is (fib/bfd_thread.c) nor the injector, which counts a million routes in /proc.
BFD_PROCESSOR = {max(os.sched_getaffinity(0))}


class FarBfd:
    """The neighbours' end of BFD: BIRD, which has a thread for it, at real-time priority."""

    def __init__(self, box, neighbors, interval):
        text = "log stderr all; router id 10.0.0.2; protocol device {}\nprotocol bfd { debug { states, events };\n"
        text += f" interface \"*\" {{ interval {interval} ms; multiplier 3; }};\n"
        text += "".join(f" neighbor {n.local} dev \"eth{n.link}\" local {n.address};\n" for n in neighbors) + "}\n"
        config = box.write("far-bfd.conf", text)
        self.box, self.neighbors = box, neighbors
        with only_on(BFD_PROCESSOR):
            box.peers.start("chrt", "--rr", "20", FAR_BFD, "-f", "-c", config, "-s", f"{box.dir}/far-bfd.ctl", "-P",
                            f"{box.dir}/far-bfd.pid", log="far-bfd.log")

    def log(self):
        with open(f"{self.box.dir}/far-bfd.log", encoding="utf-8", errors="replace") as file:
            return file.read()

    def states(self):
        """{address of ours: [states it went through]}"""
        states = collections.defaultdict(list)
        for address, state in re.findall(r"Session to (\S+) changed state from \w+ to (\w+)", self.log()):
            states[address].append(state)
        return states

    def up(self):
        states = self.states()
        return all(states[n.local] and states[n.local][-1] == "Up" for n in self.neighbors)

    def wait_up(self, seconds=20):
        if not wait_for(self.up, seconds):
            raise Failed(f"BFD does not come up: {dict(self.states())}")

    def downs(self):
        return sum(states.count("Down") for states in self.states().values())


def bfd(args, daemon, box, job, measure):
    """False alarms while the routes come in, go into the kernel, and go again. A session that a false alarm costs is one."""
    far = FarBfd(box, job.neighbors, job.bfd)
    box.start_daemon(daemon, job)
    with only_on(os.sched_getaffinity(0) - BFD_PROCESSOR):
        feed = fib_feed(args, box, job, measure.routes, hold=3000)
    box.next_event(feed)
    far.wait_up()
    before = far.downs()
    try:
        loaded = box.next_event(feed)
    except Failed:
        if far.downs() > before:
            return {"flaps": far.downs() - before}
        raise
    time.sleep(2)
    flaps = far.downs() - before
    return {"flaps": flaps, "add": loaded["load_seconds"]}


def count(n):
    return f"{n // 1000000}M" if n % 1000000 == 0 else f"{n // 1000}k" if n % 1000 == 0 else str(n)


def measures(args):
    """All of them, in the order of the table; the sizes are those of the table for 1M routes, in proportion."""
    big, small, crowd = args.routes, args.routes // 5, 200
    sources = [Neighbor(1, 2 + i) for i in range(crowd)]
    receivers = [Neighbor(2, 2 + i) for i in range(32)]
    one, two = Job([SOURCE], fib=True), Job(TORS, fib=True, multipath=16)
    return [
        Measure("in-out", "in-out", in_out, Job([SOURCE, SINK]), big),
        Measure("crowd", "crowd", in_out, Job([*sources, SINK]), big // 1000, addresses=(crowd, 1)),
        Measure("fib", "fib-small", fib, one, small, bare=True),
        Measure("fib", "fib-big", fib, one, big, bare=True),
        Measure("ecmp", "ecmp", fib, two, small, bare=True),
        Measure("vips", "vips", advertise, Job(receivers, vips=vips(1)), big // 100, addresses=(1, 32)),
        Measure("vips", "more-vips", advertise, Job(receivers[:2], vips=vips(100)), big // 1000, addresses=(1, 2)),
        Measure("bfd", "bfd", bfd, Job([SOURCE], fib=True, bfd=50), big, rounds=1),
        Measure("idle", "idle", idle, Job([SOURCE, SINK], fib=True), rounds=1),
        # GoBGP and OpenBGPD say "no FIB" to the one above, and have a row of their own.
        Measure("idle", "idle-no-fib", idle, Job([SOURCE, SINK]), rounds=1),
        Measure("start", "start", start, Job([SOURCE], passive=False), rounds=args.runs if args.runs == 1 else max(args.runs, 5)),
    ]


@dataclasses.dataclass
class Row:
    group: str
    label: str
    key: str
    value: str
    unit: str
    target: object = None  # (best of the others, bare loop): number or None
    rule: str = ""  # the target in words


def half(best, _):
    return best / 2 if best else None


def of_bare(_, loop):
    return loop / 0.9 if loop else None


def fixed(value):
    return lambda _best, _bare: value


def rows(args):
    big, small = args.routes, args.routes // 5
    scale = big / 1e6
    return [
        Row("in-out", f"{count(big)} in, out at 2nd peer", "in-out", "in", "s", half, "half of the best"),
        Row("in-out", "… withdrawn at 2nd peer", "in-out", "out", "s", half, "half of the best"),
        Row("in-out", "… PSS, peak", "in-out", "peak", "MiB", half, "half of the best"),
        Row("in-out", "… PSS, table at rest", "in-out", "rest", "MiB", half, "half of the best"),
        Row("in-out", "… CPU of the daemon", "in-out", "cpu", "s"),
        Row("crowd", f"200 peers × {count(big // 1000)}, in, out", "crowd", "in", "s"),
        Row("crowd", "… withdrawn", "crowd", "out", "s"),
        Row("crowd", "… PSS, peak", "crowd", "peak", "MiB"),
        Row("fib", f"{count(small)} to kernel", "fib-small", "add", "s", of_bare, "bare / 0.9"),
        Row("fib", "… gone with the session", "fib-small", "gone", "s"),
        Row("fib", f"{count(big)} to kernel", "fib-big", "add", "s", of_bare, "bare / 0.9"),
        Row("fib", "… gone with the session", "fib-big", "gone", "s", fixed(1.5 * scale), "1.5 s for 1M"),
        Row("fib", "… PSS at rest", "fib-big", "rest", "MiB"),
        Row("ecmp", f"2 peers × {count(small)}, ECMP", "ecmp", "add", "s", fixed(0.8 * small / 2e5), "0.8 s for 200k"),
        Row("ecmp", "… gone with both sessions", "ecmp", "gone", "s"),
        Row("vips", f"{count(big // 100)} VIPs to 32 peers", "vips", "more", "s", half, "half of the best"),
        Row("vips", f"+{count(big // 1000)} VIPs to 2 peers", "more-vips", "more", "s", half, "half of the best"),
        Row("bfd", f"BFD 3×50 ms, {count(big)}: flaps", "bfd", "flaps", "", fixed(0), "none"),
        Row("idle", "idle, with FIB: PSS", "idle", "pss", "MiB", fixed(5.0), "5 MiB"),
        Row("idle", "… wake-ups", "idle", "wakeups", "/s"),
        Row("idle", "idle, no FIB: PSS", "idle-no-fib", "pss", "MiB"),
        Row("idle", "… wake-ups", "idle-no-fib", "wakeups", "/s"),
        Row("start", "start to Established", "start", "established", "s", fixed(0.2), "0.2 s"),
    ]


GROUPS = ("in-out", "crowd", "fib", "ecmp", "vips", "bfd", "idle", "start")
