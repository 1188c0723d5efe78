#!/usr/bin/python3
"""The guided tour: a small data centre in network namespaces, and what underlay does in it. Started by `make demo`.

    tor-a, tor-b     real FRR, one AS each, one link between them
    node1, node2     underlayd, one AS each, a link and an eBGP session to either ToR
    pod1, pod2       behind a bridge on their node, on that node's pod CIDR, IPv4 and IPv6

Every step says what it proves, and ends the tour with exit status 1 when it does not. usage: demo.py [--keep | --clean]
"""
import os
import re
import sys
import textwrap

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "lib"))
from lab import Lab, LabError, require_root, sweep, wait_for
from peers import Frr, Neighbor
from underlay import UNDERLAYCTL, UNDERLAYD, Underlay, tor

TAG = "ul-demo"
VIP = "192.0.2.10"
WIDTH = 80
BFD = (100, 3)  # ms, and so many packets
PICTURE = f"""
    tor-a AS 65001 ------- tor-b AS 65002       FRR
        |         \\       /        |
        |           \\   /          |
        |            / \\           |            eBGP, dual-homed
        |         /       \\        |
    node1 AS 65101         node2 AS 65102       underlayd
        |                          |
    pod 10.244.1.10        pod 10.244.2.10      + service {VIP}
        fd00:10:244:1::10      fd00:10:244:2::10
"""


def say(text=""):
    print(text, flush=True)


def title(number, text):
    say(f"\n--- {number}. {text} ".ljust(WIDTH, "-"))


def proves(text):
    say(textwrap.fill(text, WIDTH, initial_indent="==> ", subsequent_indent="    "))


def show(place, command, output, keep=None):
    """A command as its user would type it, and what it printed; keep is a regular expression of lines worth showing."""
    say(f"{place}$ {command}")
    for line in output.expandtabs(4).rstrip().splitlines():
        if line.strip() and (keep is None or re.search(keep, line)):
            for part in textwrap.wrap(line.rstrip(), WIDTH - 2, subsequent_indent="    ", drop_whitespace=False):
                say("  " + part.rstrip())


def check(true, what):
    if not true:
        raise LabError(what)


class DataCentre:
    """Builds what PICTURE shows."""

    def __init__(self, lab):
        self.lab = lab
        self.tors = {n: lab.node(n).forward() for n in ("tor-a", "tor-b")}
        self.nodes = {n: lab.node(n).forward() for n in ("node1", "node2")}
        self.links = {}
        for i, (node, number) in enumerate(((n, i) for n in self.nodes for i in (1, 2)), 1):
            tor_name = ("tor-a", "tor-b")[number - 1]
            self.links[node, tor_name] = lab.link(self.nodes[node], self.tors[tor_name], i)
        self.links["tor-a", "tor-b"] = lab.link(self.tors["tor-a"], self.tors["tor-b"], 9)
        self.pods = {n: self.pod(n) for n in (1, 2)}
        self.frr = {n: self.router(n, 65001 + i) for i, n in enumerate(self.tors)}
        self.daemons = {n: self.daemon(n, i) for i, n in enumerate(self.nodes, 1)}

    def pod(self, number):
        """A pod as a CNI plugin would make it: a namespace on the node's bridge, the bridge being its gateway."""
        node, pod = self.nodes[f"node{number}"], self.lab.node(f"pod{number}")
        node.ip("link", "add", "cni0", "type", "bridge")
        link = self.lab.link(pod, node, 0, "eth0", "veth-pod")
        node.ip("link", "set", link.dev_b, "master", "cni0")
        node.address("cni0", f"10.244.{number}.1/24", f"fd00:10:244:{number}::1/64")
        node.ip("link", "set", "cni0", "up")
        pod.address("eth0", f"10.244.{number}.10/24", f"fd00:10:244:{number}::10/64")
        pod.ip("route", "add", "default", "via", f"10.244.{number}.1")
        pod.ip("route", "add", "default", "via", f"fd00:10:244:{number}::1")
        return pod

    def router(self, name, asn):
        neighbors = []
        for (a, b), link in self.links.items():
            if b == name:
                other = {"node1": 65101, "node2": 65102, "tor-a": 65001}[a]
                neighbors.append(Neighbor(link.a4, other, link.b4, bfd=None if other == 65001 else BFD))
            elif a == name:
                neighbors.append(Neighbor(link.b4, 65002, link.a4))
        return Frr(self.tors[name], asn, f"10.255.0.{asn - 65000}", neighbors, name=name)

    def daemon(self, name, number):
        ours = [(t, link) for (n, t), link in self.links.items() if n == name]
        advertise = {"pod-cidrs": [f"10.244.{number}.0/24", f"fd00:10:244:{number}::/64"]}
        if number == 2:
            advertise["vips"] = [{"prefix": f"{VIP}/32", "bind": "lo"}]
        daemon = Underlay(self.nodes[name], [tor(link.b4, description=t, bfd={"interval": f"{BFD[0]}ms", "multiplier": BFD[1]})
                                              for t, link in ours], asn=65100 + number,
                          id=f"10.255.1.{number}", name=name, advertise=advertise)
        del daemon.config["log"]
        return daemon

    def ctl(self, name, command, keep=None):
        show(name, f"underlayctl {command}", self.daemons[name].ctl(command, json_out=False).stdout, keep)


def sessions(dc):
    for peer in dc.frr.values():
        peer.start()
    for daemon in dc.daemons.values():
        daemon.start()
    for daemon in dc.daemons.values():
        daemon.wait_established()
    for peer in dc.frr.values():
        for n in peer.neighbors:
            peer.wait_established(n.address)
    for name in dc.frr:  # so that the tables below count routes
        wait_for(lambda: len(dc.frr[name].routes("ipv6")) == 2 and dc.daemons["node1"].installed("fd00:10:244:2::/64"),
                 what="routes have come around")
    show("node1", "cat underlay.yaml", open(dc.daemons["node1"].config_path).read())
    say()
    dc.ctl("node1", "show bgp summary")
    say()
    table = dc.frr["tor-a"].vtysh("show bgp ipv4 unicast summary")
    rows = [line.split() for line in table.splitlines() if re.match(r"Neighbor|(\S+\()?10\.", line)]
    show("tor-a", "vtysh -c 'show bgp ipv4 summary' | awk '{print $1,$3,$9,$10,$11}'",
         "\n".join(f"{r[0]:<18} {r[2]:>6} {r[8]:>9} {r[9]:>13} {r[10]:>7}" for r in rows))
    proves("Four sessions between underlayd and FRR are Established, seen from both sides, each with IPv4 and IPv6.")


def routes(dc):
    far = {"node1": ("10.244.2.0/24", "fd00:10:244:2::/64", f"{VIP}/32"), "node2": ("10.244.1.0/24", "fd00:10:244:1::/64")}
    for name, wanted in far.items():
        daemon = dc.daemons[name]
        wait_for(lambda: daemon.installed(*wanted), what=f"{name} has the other node's prefixes in its kernel")
        wait_for(lambda: all(len(daemon.next_hops(p)) == 2 for p in wanted), what="over both ToRs")
    node = dc.nodes["node1"]
    show("node1", "ip route show proto 87", node.ip("route", "show", "proto", "87").stdout)
    show("node1", "ip -6 route show proto 87", node.ip("-6", "route", "show", "proto", "87").stdout)
    proves("What node2 advertises is in node1's kernel: one nexthop group with both ToRs for every prefix. Its own pod "
           "CIDR is unreachable where no pod is, so that nothing loops to the ToR and back.")
    say()
    dc.ctl("node1", "show bgp 10.244.2.0/24", keep=r"^(?!.*(Not advertised|Last update))")
    proves("Every path says why it is the best one or not, and what the kernel made of the prefix.")


def ping(dc):
    """Pod to pod, with the packet looked at on both ToRs: whichever it passes sees the pod's own address."""
    for version, target, source in (("-4", "10.244.2.10", "10.244.1.10"), ("-6", "fd00:10:244:2::10", "fd00:10:244:1::10")):
        wire = [t.start("tcpdump", "-lnni", "any", "-c", "1", "-Q", "in", "icmp or icmp6", "and", "dst", "host", target,
                        log=f"{n}-tcpdump{version}.log") for n, t in dc.tors.items()]
        for process in wire:
            wait_for(lambda: "listening on" in process.output(), what="tcpdump listens")
        out = wait_for(lambda: dc.pods[1].run("ping", version, "-c", "3", "-i", "0.2", "-W", "1", target).stdout,
                       what=f"ping {target}")
        show("pod1", f"ping {target}", out, r"bytes from|loss")
        seen = wait_for(lambda: [line for p in wire for line in p.output().splitlines() if "echo request" in line],
                        what="an echo request on the wire")
        show("tor", "tcpdump -ni any icmp or icmp6", re.sub(r", (id|length).*", "", seen[0].partition(" ")[2]))
        check(f"{source} > {target}" in seen[0], f"the source on the wire is not the pod's: {seen[0]}")
    proves("Pods reach pods over the physical network, IPv4 and IPv6. On the wire the source is the pod's own address: "
           "no overlay, no tunnel, no NAT.")


def service(dc):
    page = os.path.join(dc.lab.dir, "www")
    os.makedirs(page)
    with open(os.path.join(page, "index.html"), "w") as f:
        f.write("hello from node2\n")
    dc.nodes["node2"].start("/usr/bin/python3", "-m", "http.server", "80", "--bind", VIP, "--directory", page,
                            log="node2-http.log")
    show("tor-a", f"vtysh -c 'show bgp ipv4 unicast {VIP}/32'",
         dc.frr["tor-a"].vtysh(f"show bgp ipv4 unicast {VIP}/32"), r"BGP routing|65102$|from ")
    fetch = ("import urllib.request as u; print(u.urlopen('http://%s/', timeout=3).read().decode(), end='')" % VIP)
    for name in dc.tors:
        out = wait_for(lambda: dc.tors[name].run("/usr/bin/python3", "-c", fetch).stdout, what=f"http from {name}")
        show(name, f"GET http://{VIP}/", out)
        check(out == "hello from node2\n", "the VIP answers with something else")
    proves(f"The service address {VIP} is on node2's lo while it is advertised, and answers from the ToRs' side.")


class Ping:
    """From one pod to the other, all the while something is done to the network."""
    interval = 0.01

    def __init__(self, dc, name, count):
        self.dc, self.count = dc, count
        self.process = dc.pods[1].start("ping", "-c", count, "-i", self.interval, "-W", "1", "10.244.2.10",
                                        log=f"pod1-ping-{name}.log")
        self.wait(50)

    def wait(self, answers):
        wait_for(lambda: self.process.output().count("bytes from") >= answers, what="the ping runs")

    def used(self, way):
        """The ToR that the requests (tx) or answers (rx) pass, by the counters of node1."""
        def packets(name):
            (row,) = self.dc.nodes["node1"].ip_json("-s", "link", "show", "dev", self.dc.links["node1", name].dev_a)
            return row["stats64"][way]["packets"]

        before = {t: packets(t) for t in self.dc.tors}
        self.wait(100)
        return max(self.dc.tors, key=lambda t: packets(t) - before[t])

    def end(self, seconds):
        """Sent and lost; not more than so long."""
        self.process.wait(self.count * self.interval + 10)
        summary = re.search(r"(\d+) packets transmitted, (\d+) received", self.process.output())
        sent, received = int(summary[1]), int(summary[2])
        lost = sent - received
        say(f"  {sent} sent, {received} received, {lost} lost (about {lost * self.interval * 1000:.0f} ms)")
        check(lost <= seconds / self.interval, f"more than {seconds} seconds of packets were lost")
        return sent, lost


def both_again(dc):
    wait_for(lambda: len(dc.daemons["node1"].next_hops("10.244.2.0/24")) == 2, timeout=30, what="both ToRs again")


def cut(dc):
    ping = Ping(dc, "cut", 600)
    used = ping.used("tx")
    other = next(t for t in dc.tors if t != used)
    say(f"pod1$ ping -i {ping.interval} 10.244.2.10 &          (its requests pass {used})")
    link = dc.links["node1", used]
    say(f"{used}$ ip link set {link.dev_b} down")
    link.down(link.b)
    wait_for(lambda: dc.daemons["node1"].next_hops("10.244.2.0/24") == [dc.links["node1", other].b4],
             what="node1's group is down to the other ToR")
    sent, lost = ping.end(1)
    show("node1", "ip route show 10.244.2.0/24", dc.nodes["node1"].ip("route", "show", "10.244.2.0/24").stdout)
    proves(f"The link that carried the ping was cut, and the ping went on over {other}: {lost} of {sent} lost, "
           "ToRs' convergence included.")
    link.up(link.b)
    both_again(dc)
    proves("With the link back, both ToRs are in use again.")


def silence(dc):
    daemon = dc.daemons["node1"]
    wait_for(lambda: all(s["status"] == "up" for s in daemon.ctl("show bfd peers")), timeout=30, what="BFD with both ToRs")
    dc.ctl("node1", "show bfd peers")
    ping = Ping(dc, "silence", 600)
    used = ping.used("rx")
    link = dc.links["node1", used]
    wrong = ("ip", "neigh", "replace", link.a4, "lladdr", "02:00:00:00:00:99", "nud", "permanent", "dev", link.dev_b)
    say(f"pod1$ ping -i {ping.interval} 10.244.2.10 &          (its answers pass {used})")
    say(f"{used}$ {' '.join(wrong[:6])}")
    dc.tors[used].run(*wrong)
    wait_for(lambda: "BFD Down" in daemon.neighbor(link.b4).get("lastResetDueTo", ""), what="node1 knows")
    sent, lost = ping.end(3)
    dc.ctl("node1", f"show bgp neighbors {used}", keep="Last reset|   control detection")
    proves(f"What {used} sent to node1 went nowhere, while every link stayed up. BFD saw it, long before the hold time of "
           f"9 seconds: {lost} of {sent} lost.")
    dc.tors[used].run("ip", "neigh", "del", link.a4, "dev", link.dev_b)
    both_again(dc)


def restart(dc):
    for daemon in dc.daemons.values():
        daemon.wait_established(timeout=30)
    dropped = lambda: {n: dc.frr[n].neighbor(dc.links["node1", n].a4)["connectionsDropped"] for n in dc.frr}
    ping, before, old = Ping(dc, "restart", 400), dropped(), dc.daemons["node1"].speaker()
    say(f"pod1$ ping -i {ping.interval} 10.244.2.10 &")
    dc.ctl("node1", "restart")
    check(dc.daemons["node1"].speaker() != old, "the process is the same")
    sent, lost = ping.end(0)
    check(dropped() == before, "a ToR saw its session go")
    proves(f"Both processes were started anew from the file on disk, as a package upgrade does: {lost} of {sent} lost, and no "
           "ToR saw its session go.")


STEPS = (("Sessions", sessions), ("Routes in the kernel", routes), ("A pod reaches a pod", ping),
         ("A service address", service), ("A link is cut", cut), ("A router falls silent", silence),
         ("A restart that nobody notices", restart))


def tell_how_to_look(dc):
    socket = dc.daemons["node1"].socket
    ctl = os.path.relpath(UNDERLAYCTL)
    say(f"""
It is still up. Look around, as root:
  ip netns exec {TAG}-node1 {ctl} \\
      --socket {socket} show bgp neighbors
  ip netns exec {TAG}-node1 ip route
  ip netns exec {TAG}-tor-a vtysh --vty_socket {dc.frr['tor-a'].dir} -d bgpd
  ip netns exec {TAG}-pod1 ping 10.244.2.10
  ls {dc.lab.dir}                    # logs and configuration files
Remove it: sudo make demo-clean""")


def perform(argv, target, tag, opening, build, steps, look, needed=()):
    """A demo as `make target` runs it: builds the lab, takes the steps, removes everything or says how to look at it."""
    if argv not in ([], ["--keep"], ["--clean"]):
        say(f"usage: {os.path.basename(sys.argv[0])} [--keep | --clean]")
        return 2
    require_root()
    if argv == ["--clean"]:
        sweep(tag)
        say("The demo is removed.")
        return 0
    if os.path.exists(f"/run/{tag}"):
        say(f"A demo is up already; remove it first: make {target}-clean")
        return 1
    for program in (UNDERLAYD, UNDERLAYCTL, *Frr.programs, *needed):
        check(os.access(program, os.X_OK), f"{program} is not there")
    with Lab(tag=tag) as lab:
        say(opening.rstrip())
        try:
            built = build(lab)
            for number, (text, step) in enumerate(steps, 1):
                title(number, text)
                step(built)
        except (LabError, KeyError, ValueError, SystemError) as error:
            say(f"\nFAILED: {error}\n{lab.logs()}")
            return 1
        lab.keep = argv == ["--keep"]
        say()
        say("All steps passed.")
        if lab.keep:
            look(built)
        else:
            say(f"Everything is removed again; `make {target} KEEP=1` leaves it up to look around.")
    return 0


def main(argv):
    return perform(argv, "demo", TAG, f"A small data centre in network namespaces; ==> is what a step proves.\n{PICTURE}", DataCentre,
                   STEPS, tell_how_to_look)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
