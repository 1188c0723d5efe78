#!/usr/bin/python3
"""make bench-kubernetes: how soon the network knows what Kubernetes knows, and what that costs a node.

A real API server and etcd, a node with underlayd, a ToR (FRR) and a second neighbour that this program plays, all on this
machine. A change is a PATCH of an EndpointSlice that lets the only endpoint of a service on the node become ready or not. The clock
starts when the API server has answered it, for then it has happened. What the API server itself takes until it tells its watches is
measured beside it, by a watch of this program's own.
"""
import argparse
import os
import re
import socket
import statistics
import sys
import threading
import time

import report
from box import Failed  # puts tests/lib on the path
from procfs import pss_mib, status_sum
import kube_client
import netns
import rawbgp
from cluster import NAME, Cluster
from kube_client import endpoint, endpoint_slice, ingress, service
from lab import Lab, LabError, Skip, require_root, wait_for
from underlay import Underlay, tor

VIP = "203.0.113.1"
PLAYED_AS = 65002
PER_SLICE, HERE = 5, 200  # endpoints; services with one of them on this node


class Bench:
    def __init__(self, lab):
        self.cluster = c = Cluster(lab)
        self.played = lab.node("played")
        self.link = lab.link(c.node, self.played)
        c.underlay.config["peers"].append(tor(self.link.b4, asn=PLAYED_AS, passive=True, hold_time="90s"))
        c.underlay.config["log"] = {"level": "warn"}
        c.kube.start()
        c.put(c.this_node(), service("lb", "LoadBalancer", externalTrafficPolicy="Local"),
              endpoint_slice("lb-1", "lb", [endpoint(NAME, "10.244.1.9")]))
        c.api.patch_status("services", "lb", ingress(VIP))
        self.prefix = rawbgp.nlri(f"{VIP}/32")

    def connect(self):
        """The played neighbour, at once when the daemon listens. Hold time 0: it need not say that it lives."""
        speaker = rawbgp.Speaker(self.played, self.link.b4, PLAYED_AS, "10.255.0.2")
        while True:
            speaker.sock = rawbgp.socket_in(self.played)
            speaker.sock.bind((self.link.b4, 0))
            speaker.sock.settimeout(5)
            try:
                speaker.sock.connect((self.link.a4, 179))
                speaker.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                break
            except OSError:
                speaker.sock.close()
                time.sleep(0.002)
        speaker.open(hold=0).send(rawbgp.keepalive())
        return speaker

    def update(self, speaker, seconds=30):
        """When an UPDATE came that names the address, and whether it is announced."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            got = speaker.receive(seconds)
            if got and got[0] == rawbgp.UPDATE and self.prefix in got[1]:
                withdrawn = int.from_bytes(got[1][:2], "big")
                return time.monotonic(), self.prefix not in got[1][2:2 + withdrawn]
        raise Failed("no UPDATE")

    def change(self, ready):
        """When it had happened."""
        self.cluster.api.patch("endpointslices", "lb-1", {"endpoints": [endpoint(NAME, "10.244.1.9", ready)]})
        return time.monotonic()

    def start(self):
        """From the daemon's start to the first UPDATE with the address; the session of the played neighbour."""
        c = self.cluster
        c.options["kubeconfig"] = c.kube.kubeconfig(token=c.kube.token())
        began = time.monotonic()
        c.underlay.start(wait=False)
        speaker = self.connect()
        seen, announced = self.update(speaker, 120)
        if not announced:
            raise Failed("withdrawn before it was announced")
        c.wait_state("current")
        return seen - began, speaker

    def stop(self, speaker):
        self.cluster.underlay.stop()
        speaker.close()
        for ending in ("state", "state-kubernetes"):
            path = f"{self.cluster.underlay.socket}.{ending}"
            if os.path.exists(path):
                os.unlink(path)


class Watch:
    """The events of a watch of endpoint slices by when they came: what the API server itself takes."""

    def __init__(self, kube):
        self.times = []
        version = kube.api.get("endpointslices", namespace=None)["metadata"]["resourceVersion"]
        client = kube.client(token=kube.token())
        client._connect()
        path = f"{kube_client.path_of('endpointslices', namespace=None)}?watch=1&resourceVersion={version}"
        client.connection.request("GET", path, headers={"Authorization": f"Bearer {client.token}"})
        self.answer = client.connection.getresponse()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while self.answer.readline():
                self.times.append(time.monotonic())
        except OSError:
            pass

    def when(self, number):
        while len(self.times) < number:
            time.sleep(0.0002)
        return self.times[number - 1]


def reactions(bench, speaker, count):
    """Milliseconds from each change to the API server's event, and to the UPDATE."""
    watch, events, updates = Watch(bench.cluster.kube), [], []
    for i in range(count):
        happened = bench.change(ready=i % 2 == 1)
        seen, announced = bench.update(speaker)
        if announced != (i % 2 == 1):
            raise Failed("the wrong UPDATE")
        events.append(1000 * (watch.when(i + 1) - happened))
        updates.append(1000 * (seen - happened))
        time.sleep(0.05)
    return events, updates


def tables(bench, count):
    """Milliseconds from each change to FRR's table, looked at all the time."""
    cluster, times = bench.cluster, []
    for i in range(count):
        ready = i % 2 == 1
        happened = bench.change(ready)
        while cluster.tor.has(f"{VIP}/32") != ready:
            if time.monotonic() > happened + 30:
                raise Failed("FRR does not see it")
        times.append(1000 * (time.monotonic() - happened))
        time.sleep(0.05)
    return times


def fill(kube, count):
    """So many services, with PER_SLICE endpoints each."""
    services, slices = kube_client.many(kube.api.get("services", "lb"), kube.api.get("endpointslices", "lb-1"), count, PER_SLICE,
                                        lambda i, k: NAME if i < HERE and not k else f"n{k + 2}")
    kube.bulk(services)
    kube.bulk(slices)


def listing(kube):
    """Seconds that the API server takes for the list of endpoint slices, in pages as underlayd asks for them: none is looked at."""
    client, more, began = kube.client(token=kube.token()), "", time.monotonic()
    client._connect()
    while more is not None:
        path = f"{kube_client.path_of('endpointslices', namespace=None)}?limit=500{more}"
        client.connection.request("GET", path, headers={"Authorization": f"Bearer {client.token}"})
        match = re.search(rb'"continue":"([^"]+)"', client.connection.getresponse().read())
        more = f"&continue={match[1].decode()}" if match else None
    return time.monotonic() - began


def memory(pid, child):
    """(RSS, PSS) in MiB of parent and speaker."""
    return [(status_sum([p], "VmRSS") / 1024, pss_mib([p])) for p in (pid, child)]


def spread(values):
    ordered = sorted(values)
    return [f"{statistics.median(ordered):.1f}", f"{ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]:.1f}", f"{ordered[-1]:.1f}"]


def measure(lab, options):
    bench = Bench(lab)
    cluster = bench.cluster
    cluster.tor.start()
    starts = []
    for _ in range(options.runs):
        seconds, speaker = bench.start()
        starts.append(seconds)
        if len(starts) < options.runs:
            bench.stop(speaker)
    cluster.underlay.wait_established(cluster.link.b4)
    cluster.sees(VIP)
    events, updates = reactions(bench, speaker, options.changes)
    took = [["API server's own watch event", *spread(events)], ["UPDATE on the wire", *spread(updates)],
             ["FRR's table", *spread(tables(bench, options.changes))]]
    lines = report.text(["ms after the API server's answer", "median", "p99", "most"], took,
                        [f"{options.changes} changes each of one endpoint's readiness; what comes before the answer is negative."])
    bench.stop(speaker)
    fill(cluster.kube, options.services)
    seconds, speaker = bench.start()
    wait_for(lambda: cluster.status()["counts"]["advertised"] > HERE, 60, "all addresses")
    counts = cluster.status()["counts"]
    full = memory(cluster.underlay.process.pid, cluster.underlay.speaker())
    bench.stop(speaker)
    alone = listing(cluster.kube)
    idle = without(lab)
    rows = [[name, *[f"{value:.1f}" for pair in pairs for value in pair]] for name, pairs in (
        (f"{counts['services']} services, {counts['endpoints']} endpoints", full), ("no Kubernetes", idle))]
    lines += ["", *report.text(["MiB", "parent RSS", "PSS", "speaker RSS", "PSS"], rows)]
    lines += ["", *report.text(["s from start to the first UPDATE with a service address", "median", "most"],
                               [["1 service", f"{statistics.median(starts):.2f}", f"{max(starts):.2f}"],
                                [f"{options.services} services", f"{seconds:.2f}", f"{seconds:.2f}"],
                                ["the API server's list of their endpoints alone", f"{alone:.2f}", f"{alone:.2f}"]])]
    return lines


def without(lab):
    """The same daemon with no Kubernetes in its configuration."""
    node = lab.node("plain")
    daemon = Underlay(node, advertise={"pod-cidrs": ["10.244.1.0/24"]}, log={"level": "warn"}).start()
    wait_for(lambda: daemon.installed("10.244.1.0/24"), what="its route")
    return memory(daemon.process.pid, daemon.speaker())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--services", type=int, default=10000)
    parser.add_argument("--runs", type=int, default=5, help="starts")
    options = parser.parse_args()
    require_root()
    netns.prepare()
    with Lab("bench-kubernetes") as lab:
        try:
            print("\n".join(measure(lab, options)))
        except Skip as reason:
            print(reason)
            return 3
        except (LabError, Failed, SystemError) as error:
            print(f"{error}\n{lab.logs()}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
