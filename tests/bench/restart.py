#!/usr/bin/python3
"""make bench-restart: what a restart of BGP on the node costs, in packets and in sessions.

A pod on the node and a host behind two ToRs (FRR, with graceful restart) send to each other, both ways over both ToRs,
while the node's routing daemon is restarted in one of several ways (WAYS). Counted are the packets that were lost, and
the sessions that the ToRs saw end. FRR and BIRD restart with the graceful restart of their own.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import time

import daemons
import rows
import run
from box import Failed, Tool, wait_for  # puts tests/lib on the path
from lab import Lab, LabError, require_root
from peers import Bird, Frr, Neighbor
from topology import NODE_AS, TOR_AS
from underlay import Underlay, tor

POD_NET, POD, POD_GATEWAY = "10.244.7.0/24", "10.244.7.2", "10.244.7.1"
FAR_NET, FAR = "192.0.2.0/24", "192.0.2.1"
FLOWS = 8
RELOADED = "198.51.100.7/32"  # what a reload adds
GRACE = 5  # seconds that all is watched after the sessions are there again
NOTES = [
    f"A pod and a host behind two ToRs (FRR, graceful restart) send to each other, {FLOWS} flows each way over",
    f"both, from before the restart until {GRACE} s after the sessions are up again. Packets: both ways, of the",
    "worst run; sessions: that the ToRs saw end, of two. BIRD is one process; BIRD and FRR have no hand-over.",
]


class Device:
    """A daemon on the node, and how it is restarted. Subclasses have a method way_… for each of WAYS that they know."""

    def __init__(self, node, links, build):
        self.node, self.links, self.build = node, links, build
        self.daemon = self.make()

    def start(self):
        self.daemon.start()

    def neighbors(self, extra, passive=False):
        return [Neighbor(link.b4, TOR_AS + i, link.a4, link.a4, link.a6, passive=passive, families=("ipv4",), extra=extra)
                for i, link in enumerate(self.links)]

class UnderlayDevice(Device):
    kind = daemons.Underlay

    def make(self):
        return Underlay(self.node, [tor(link.b4) for link in self.links], router={"on-stop": "preserve"},
                        advertise={"pod-cidrs": [POD_NET], "vips": []}, log={"level": "info"})

    def way_speaker(self):
        os.kill(self.daemon.speaker(), signal.SIGKILL)

    def way_all(self):
        child = self.daemon.speaker()
        self.daemon.process.send(signal.SIGKILL)
        self.daemon.process.wait(10)
        if not wait_for(lambda: child not in self.node.pids(), 10):
            raise Failed("the speaker does not follow its parent")
        self.daemon.start(wait=False)

    def way_stop(self):
        self.daemon.stop()
        self.daemon.start(wait=False)

    def way_reload(self):
        self.daemon.config["advertise"]["vips"] = [{"prefix": RELOADED}]
        self.daemon.write()
        self.daemon.command("reload")

    def way_restart_speaker(self):
        self.daemon.command("restart speaker")

    def way_restart(self):
        self.daemon.command("restart")


class FrrDevice(Device):
    kind = daemons.Frr

    def make(self):
        lines = [f"router bgp {NODE_AS}", " bgp graceful-restart", " bgp graceful-restart preserve-fw-state"]
        return Frr(self.node, NODE_AS, "10.255.1.1", self.neighbors(("graceful-restart",)), networks=[POD_NET], lines=lines,
                   zebra_argv=("-K", "60"))

    def way_speaker(self):
        self.daemon.kill_bgp()
        self.daemon.start()

    def way_all(self):
        self.daemon.kill()
        self.daemon.start()

    def way_stop(self):
        self.daemon.processes.pop().stop()
        self.daemon.start()

    def way_reload(self):
        self.daemon.announce(RELOADED)


class BirdDevice(Device):
    kind = daemons.Bird

    def make(self):
        lines = ["protocol kernel { persist; graceful restart; merge paths yes;",
                 " ipv4 { import none; export where source = RTS_BGP; }; }"]
        # A collision of connections costs BIRD its graceful restart: the ToRs connect.
        return Bird(self.node, NODE_AS, "10.255.1.1", self.neighbors(("graceful restart on;",), passive=True),
                    networks=[POD_NET], lines=lines)

    def again(self):
        self.daemon.processes = []
        self.daemon.options["argv"] = ("-R",)
        self.daemon.start()

    def way_all(self):
        self.daemon.kill()
        self.again()

    def way_stop(self):
        self.daemon.birdc("graceful restart")
        self.daemon.processes[-1].wait(10)
        self.again()

    def way_reload(self):
        self.daemon.announce(RELOADED)


WAYS = {
    "speaker": "SIGKILL of the BGP process",
    "all": "SIGKILL of all, start",
    "stop": "stop that preserves, start",
    "reload": "reload, one prefix more",
    "restart_speaker": "underlayctl restart speaker",
    "restart": "underlayctl restart",
}
DEVICES = (UnderlayDevice, BirdDevice, FrrDevice)


class Rack:
    """pod - node = two ToRs = far"""

    def __init__(self, lab, kind, args):
        self.lab, self.args = lab, args
        node, pod, far = lab.node("node").forward(), lab.node("pod"), lab.node("far")
        tors = [lab.node(f"tor{i}").forward() for i in (1, 2)]
        links = [lab.link(node, one) for one in tors]
        node.ip_batch([f"link add pod type veth peer name eth0 netns {pod.netns}", f"addr add {POD_GATEWAY}/24 dev pod",
                       "link set pod up"])
        pod.ip_batch([f"addr add {POD}/24 dev eth0", "link set eth0 up", f"route add default via {POD_GATEWAY}"])
        behind = [lab.link(one, far) for one in tors]
        far.address("lo", f"{FAR}/32")
        far.ip("route", "add", POD_NET, *[word for link in behind for word in ("nexthop", "via", link.a4)])
        self.tors = []
        for i, (one, link, back) in enumerate(zip(tors, links, behind)):
            one.ip("route", "add", FAR_NET, "via", back.b4)
            lines = [f"router bgp {TOR_AS + i}", " bgp graceful-restart", " bgp graceful-restart restart-time 60"]
            self.tors.append(Frr(one, TOR_AS + i, f"10.255.0.{i + 1}", [
                Neighbor(link.a4, NODE_AS, link.b4, link.b4, link.b6, families=("ipv4",), extra=("graceful-restart",))],
                networks=[FAR_NET], lines=lines))
        self.device = kind(node, links, args.build)
        for one in self.tors:
            one.start()
        self.device.start()
        self.streams = [self.stream(pod, far, FAR), self.stream(far, pod, POD)]

    def stream(self, source, sink, address):
        tool = Tool(["chrt", "--rr", "10", rows.program(self.args, "gap"), "--from", f"/run/netns/{source.netns}", "--to",
                     f"/run/netns/{sink.netns}", "--rate", self.args.rate, *[address] * FLOWS])
        self.lab.processes.append(tool)
        return tool

    def ask(self, command):
        for tool in self.streams:
            tool.say(command)
        return [tool.event(10) for tool in self.streams]

    def established(self):
        return all(one.established(one.neighbors[0].address) for one in self.tors)

    def dropped(self):
        """Sessions that the ToRs saw end so far."""
        return sum(one.neighbor().get("connectionsDropped", 0) for one in self.tors)

    def flows_well(self):
        """For a second nothing is lost."""
        self.ask("run")
        time.sleep(1)
        return not any(stream["lost"] for stream in self.ask("stop"))

    def once(self, way):
        if not wait_for(self.established, 60) or not wait_for(self.flows_well, 60):
            raise Failed("it does not come up: " + " ".join(n.get("bgpState", "?") for n in (t.neighbor() for t in self.tors)))
        before, began = self.dropped(), time.monotonic()
        self.ask("run")
        time.sleep(0.5)
        getattr(self.device, f"way_{way}")()
        time.sleep(1)
        if not wait_for(self.established, 60):
            raise Failed("a session does not come back")
        back = time.monotonic() - began
        time.sleep(GRACE)
        out, into = self.ask("stop")
        return {"sent": out["sent"] + into["sent"], "lost_out": out["lost"], "lost_in": into["lost"],
                "silent": max(out["silent"], into["silent"]), "sessions": self.dropped() - before, "seconds": back}


def measure(args, kind, way):
    with Lab("bench") as lab:
        try:
            return Rack(lab, kind, args).once(way)
        except (Failed, LabError):
            if args.logs:
                print(lab.logs(), file=sys.stderr)
            raise


def run_all(args, contenders, results):
    for way in args.only:
        print(WAYS[way], file=sys.stderr)
        row = {"way": way, "label": WAYS[way], "by": {}}
        results.append(row)
        for kind in DEVICES:
            if kind.kind.name not in contenders or not hasattr(kind, f"way_{way}"):
                continue
            slot = row["by"].setdefault(kind.kind.name, {"runs": [], "error": None})
            for _ in range(args.runs):
                try:
                    slot["runs"].append(measure(args, kind, way))
                    print(f"  {kind.kind.name}: {slot['runs'][-1]}", file=sys.stderr)
                except (Failed, LabError, OSError, subprocess.SubprocessError) as failure:
                    slot["error"] = str(failure)
                    print(f"  {kind.kind.name}: FAILED: {failure}", file=sys.stderr)


def cell(slot):
    if not slot:
        return ""
    if not slot["runs"]:
        return "failed"
    worst = max(slot["runs"], key=lambda r: (r["lost_out"] + r["lost_in"], r["sessions"]))
    return f"{worst['lost_out'] + worst['lost_in']} of {worst['sent']}; {worst['sessions']}" + "!" * bool(slot["error"])


def table(results):
    head = ["restart: lost of sent; sessions", *[kind.kind.short for kind in DEVICES]]
    return head, [[row["label"], *[cell(row["by"].get(kind.kind.name)) for kind in DEVICES]] for row in results]


def parse_args():
    parser = argparse.ArgumentParser(description="restarts of underlayd, BIRD and FRR, in packets")
    parser.add_argument("--build", default="build")
    parser.add_argument("--only", default=",".join(WAYS), help="comma-separated: " + " ".join(WAYS))
    parser.add_argument("--daemons", default="underlayd,bird,frr")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rate", type=int, default=5000, help="packets a second, each way")
    parser.add_argument("--logs", action="store_true", help="the ends of all logs of a run that failed")
    parser.add_argument("--markdown", metavar="FILE", help="the table as Markdown too")
    args = parser.parse_args()
    args.only = args.only.split(",")
    if set(args.only) - set(WAYS):
        parser.error("unknown in --only: " + " ".join(set(args.only) - set(WAYS)))
    return args


def main():
    args = parse_args()
    require_root()
    contenders, head = run.choose(args, [kind.kind for kind in DEVICES])
    results, status = [], 0
    try:
        run_all(args, {daemon.name for daemon in contenders}, results)
    except SystemExit as interrupted:  # what there is is shown
        status = interrupted.code
    run.show(args, head, *table(results), NOTES)
    with open(f"{args.build}/bench-restart.json", "w", encoding="utf-8") as file:
        json.dump({"versions": head, "rows": results}, file, indent=1)
    return status or int(any(slot["error"] for row in results for slot in row["by"].values()))


if __name__ == "__main__":
    sys.exit(main())
