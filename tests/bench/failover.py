#!/usr/bin/python3
"""make bench-failover: how long packets go the wrong way, or nowhere, when one of two routers is lost.

Two routers (one process, tors.c) announce the same table; packets from a pod behind the device go to addresses spread over
that table, each in a flow that the device sends to the first router (gap.c). Then that router is lost, in one of four ways
(TRIGGERS), and the time is taken until the first packet of the last flow that found its way over the other. The same box
serves all runs of a row: the router is brought back, and everything waits until the daemon has nothing left to do.
"""
import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import time

import daemons
import report
import rows
import run
from box import Box, Failed, wait_for
from daemons import TORS, Job
from lab import LabError, adding, require_root
from procfs import wait_quiet

POD, POD_GATEWAY = "10.98.0.2", "10.98.0.1"
BFD_MS = 50
OLD = 1  # the link over which the router is that will be lost


ECMP = Job(TORS, fib=True, multipath=16, impatient=True)


@dataclasses.dataclass
class Trigger:
    key: str
    label: str
    job: Job
    second_best: bool = False  # the second router is only the backup of the first
    takes_link: bool = False


TRIGGERS = (
    Trigger("session", "session lost, ECMP", ECMP),
    Trigger("bfd", "BFD down, ECMP", dataclasses.replace(ECMP, bfd=BFD_MS)),
    Trigger("ecmp-link", "link down, ECMP", ECMP, takes_link=True),
    Trigger("link", "link down, single best path", dataclasses.replace(ECMP, multipath=1), second_best=True, takes_link=True),
)
NOTES = [
    "ms, median / worst: from the loss until the first packet of the last of 8 flows from which on all go",
    "over the other router; their destinations are spread over the table, 1000 packets/s each. session: the",
    "router closes TCP, without graceful restart; its packets would still arrive. BFD: the wire drops all,",
    f"the carrier stays; detection, 3×{BFD_MS} ms after the last BFD packet, is not counted. link: the carrier",
    "goes. bare: what the kernel takes to drop so many routes with their link, before it tells anybody, and",
    "a netlink loop to add them; the target is the one and 1.3 times the other, 5 ms at least.",
]


class Stage:
    """A box with the device under test between a pod and two routers."""

    def __init__(self, args, daemon, trigger, routes, compat):
        self.args, self.daemon, self.trigger, self.routes, self.compat = args, daemon, trigger, routes, compat

    def __enter__(self):
        self.box = box = Box(wire=True)
        try:
            self.build()
        except BaseException as failure:
            text = box.log_excerpt()
            box.close()
            if isinstance(failure, (Failed, LabError)):
                raise Failed(f"{failure}; {text}") from None
            raise
        return self

    def __exit__(self, *_):
        self.box.close()

    def build(self):
        args, box, trigger = self.args, self.box, self.trigger
        pod = box.node("pod")
        box.device.ip_batch([f"link add pod type veth peer name eth0 netns {pod.netns}",
                             *adding("pod", f"{POD_GATEWAY}/24"), "link set pod up"])
        pod.ip_batch([*adding("eth0", f"{POD}/24"), "link set eth0 up", f"route add default via {POD_GATEWAY}"])
        box.device.forward().sysctl({"net.ipv4.nexthop_compat_mode": self.compat})
        # The routers take every packet that comes over the links for their own, whatever its destination.
        box.peers.ip_batch(["route add local default dev lo table 100",
                            *[f"rule add iif eth{n.link} lookup 100 pref 100" for n in TORS]])
        self.far = rows.FarBfd(box, TORS, BFD_MS) if trigger.job.bfd else None
        self.processes, _ = box.start_daemon(self.daemon, trigger.job)
        self.tors = box.tool(box.peers, rows.program(args, "tors"), "--routes", self.routes,
                             *(["--second-best"] if trigger.second_best else []), *[n.spec for n in TORS])
        places = box.next_event(self.tors)["addresses"]
        self.gap = box.tool(box.wire, "chrt", "--rr", "10", rows.program(args, "gap"), "--from", f"/run/netns/{pod.netns}",
                            "--to", f"/run/netns/{box.peers.netns}", "--wire", f"/run/netns/{box.wire.netns}",
                            "--old", f"eth{OLD}", *(["--bfd", f"d{OLD}"] if self.far else []),
                            "--timeout", args.timeout, *places)
        self.places = len(places)

    def ask(self, tool, command):
        tool.say(command)
        return self.box.next_event(tool, self.args.timeout + 10)

    def ready(self):
        """All is announced, written to the kernel, and every flow is found to go over the first router."""
        self.ask(self.tors, "open")
        if self.far:
            self.far.wait_up()
        patience = 15 + self.routes / 5000
        if not wait_for(lambda: self.ask(self.gap, "flows")["found"] == self.places, patience):
            raise Failed("not every flow goes over the first router")
        wait_quiet(self.processes, self.args.timeout)
        if self.ask(self.gap, "flows")["found"] != self.places:
            raise Failed("a flow has left the first router without a reason")

    def once(self):
        """One loss; seconds from it, or from its detection, until all goes well again."""
        self.ask(self.gap, "run")
        time.sleep(0.4)
        if self.trigger.key == "session":
            lost = self.ask(self.tors, f"close {OLD - 1}")["at"]
            return self.ask(self.gap, f"settle 300 {lost:.6f}")["good_at"] - lost
        lost = self.ask(self.gap, f"cut p{OLD}" if self.far else f"down d{OLD}")["at"]
        settled = self.ask(self.gap, "settle 300")
        self.repair()
        return settled["good_at"] - (settled["bfd_at"] + 3 * BFD_MS / 1000 if self.far else lost)

    def repair(self):
        if self.far:
            self.box.wire.ip("link", "set", f"p{OLD}", "master", f"br{OLD}")
        else:
            self.box.wire.ip("link", "set", f"d{OLD}", "up")


def on_stage(args, daemon, trigger, routes, compat, times):
    """Adds to times until there are enough, or the daemon does not get back to where it was. Then another stage has to
    be set up; at least one loss is measured, or it fails."""
    with Stage(args, daemon, trigger, routes, compat) as stage:
        try:
            stage.ready()
            times.append(stage.once())
            while len(times) < args.runs and not (trigger.takes_link and daemon.forgets_links):
                try:
                    stage.ready()
                except Failed as failure:
                    print(f"  {daemon.name}: set up again: {failure}", file=sys.stderr)
                    return
                times.append(stage.once())
        except (Failed, LabError) as failure:
            raise Failed(f"{failure}; {stage.box.log_excerpt()}") from None


def measure(args, daemon, trigger, routes, compat):
    """{"times": [...], "error": None or text}"""
    times, began = [], time.monotonic()
    try:
        while len(times) < args.runs:
            on_stage(args, daemon, trigger, routes, compat, times)
    except (Failed, LabError, OSError, subprocess.SubprocessError) as failure:
        print(f"  {daemon.name}: FAILED: {failure}", file=sys.stderr)
        return {"times": times, "error": str(failure)}
    print(f"  {daemon.name}: {' '.join(f'{1000 * t:.1f}' for t in times)} ms ({time.monotonic() - began:.0f} s)",
          file=sys.stderr)
    return {"times": times, "error": None}


def bare(args, routes):
    """Milliseconds for the kernel to drop so many routes with their link, and for the bare loop to add them."""
    with Box() as box:
        done = box.next_event(box.tool(box.device, rows.program(args, "bare_fib"), "--link-down", routes, TORS[1].address, "eth2"))
    dropped, added = 1000 * done["delete_seconds"], 1000 * done["add_seconds"]
    print(f"  bare: {dropped:.1f} + {added:.1f} ms", file=sys.stderr)
    return dropped, added


def plan(args):
    for trigger in TRIGGERS:
        for routes in args.routes:
            for compat in args.compat:
                if trigger.key in args.only:
                    yield trigger, routes, compat


def run_all(args, contenders, results):
    for trigger, routes, compat in plan(args):
        print(f"{trigger.label}, {rows.count(routes)} routes, nexthop_compat_mode={compat}", file=sys.stderr)
        row = {"trigger": trigger.key, "label": trigger.label, "routes": routes, "compat": compat, "bare": None, "by": {}}
        results.append(row)
        if trigger.second_best:
            row["bare"] = [statistics.median(t) for t in zip(*(bare(args, routes) for _ in range(min(3, args.runs))))]
        for daemon in contenders:
            if routes <= args.others or daemon.name == "underlayd":
                row["by"][daemon.name] = measure(args, daemon, trigger, routes, compat)


def cell(result):
    if not result:
        return ""
    if not result["times"]:
        return "failed"
    times = [max(0.0, 1000 * t) for t in result["times"]]
    shown = " / ".join(f"{t:.1f}" if t < 100 else f"{t:.0f}" for t in (statistics.median(times), max(times)))
    return shown + ("!" if result["error"] else "")


def table(results):
    head = ["what is lost", "routes", "compat", "underlayd", "BIRD", "FRR", "bare", "target", "/target"]
    body = []
    for row in results:
        ours = (row["by"].get("underlayd") or {"times": ()})["times"]
        dropped, added = row["bare"] or (0, 0)
        target = max(5.0, dropped + 1.3 * added)
        body.append([row["label"], rows.count(row["routes"]), row["compat"],
                     *[cell(row["by"].get(name)) for name in ("underlayd", "bird", "frr")],
                     " + ".join(map(report.number, row["bare"] or ())), report.number(target),
                     f"{1000 * statistics.median(ours) / target:.2f}" if ours else ""])
    return head, body


def parse_args():
    parser = argparse.ArgumentParser(description="failover of underlayd, BIRD and FRR, in packets")
    keys = [trigger.key for trigger in TRIGGERS]
    parser.add_argument("--build", default="build")
    parser.add_argument("--routes", default="100,100000,1000000", help="sizes of the table, comma-separated")
    parser.add_argument("--others", type=int, default=100000, help="the largest table that the other daemons get")
    parser.add_argument("--only", default=",".join(keys), help="comma-separated: " + " ".join(keys))
    parser.add_argument("--compat", default="1,0", help="net.ipv4.nexthop_compat_mode")
    parser.add_argument("--daemons", default="underlayd,bird,frr")
    parser.add_argument("--runs", type=int, default=10, help="losses of each row and daemon")
    parser.add_argument("--timeout", type=int, default=90, help="seconds for each step of one loss")
    parser.add_argument("--markdown", metavar="FILE", help="the table as Markdown too")
    args = parser.parse_args()
    args.only = args.only.split(",")
    if set(args.only) - set(keys):
        parser.error("unknown in --only: " + " ".join(set(args.only) - set(keys)))
    args.routes = [int(n) for n in args.routes.split(",")]
    args.compat = [int(n) for n in args.compat.split(",")]
    return args


def main():
    args = parse_args()
    require_root()
    contenders, head = run.choose(args, (daemons.Underlay, daemons.Bird, daemons.Frr))
    results, status = [], 0
    try:
        run_all(args, contenders, results)
    except SystemExit as interrupted:  # what there is is shown
        status = interrupted.code
    run.show(args, head, *table(results), NOTES)
    with open(f"{args.build}/bench-failover.json", "w", encoding="utf-8") as file:
        json.dump({"versions": head, "rows": results}, file, indent=1)
    return status or int(any(result["error"] for row in results for result in row["by"].values()))


if __name__ == "__main__":
    sys.exit(main())
