#!/usr/bin/python3
"""The tour of Kubernetes: a cluster in network namespaces, and what underlay makes of it. Started by `make demo-kubernetes`.

    api              a real kube-apiserver with etcd
    tor-a, tor-b     real FRR, one AS each
    node1, node2     underlayd, with one configuration for both; their AS numbers and routers are annotations of the Nodes
    pods             made by the real CNI plugins, by the configuration that underlayd has written
    client           behind both ToRs

There is no kubelet, no controller and no kube-proxy. What these would do is done by this program: Nodes, EndpointSlices and the
address of the load balancer are written to the API server, and a packet for a service address that arrives at a node is led to a
pod there by a route (the pod has the address on its lo). Every step says what it proves, and ends the tour with exit status 1 when
it does not. usage: kubernetes.py [--keep | --clean]
"""
import json
import os
import shutil
import signal
import sys

from demo import check, perform, proves, say, show  # puts tests/lib on the path
import cni
import kube_client
from kube import KubeServer, programs
from kube_client import endpoint, endpoint_slice, ingress, service
from lab import ROOT, Skip, wait_for
from peers import Frr, Neighbor
from underlay import UNDERLAYCTL, Underlay, tor

TAG = "ul-demo-kubernetes"
VIP, API, CLIENT = "192.0.2.10", "10.255.9.1", "10.0.5.0/24"
NOT_READY = {"key": "underlay.io/not-ready", "effect": "NoSchedule"}
GRACE = 3
PICTURE = f"""
                    client
                   /      \\
    tor-a AS 65001          tor-b AS 65002       FRR
        |         \\        /        |
        |           \\    /          |            eBGP, dual-homed
        |           /    \\          |
        |         /        \\        |
    node1 AS 65101          node2 AS 65102       underlayd ---- api  kube-apiserver
        |                           |
      pods 10.244.1.0/24          pods 10.244.2.0/24            LoadBalancer {VIP}
           fd00:10:244:1::/64          fd00:10:244:2::/64
"""
# Answers with its name.
WEB = """
import http.server, sys
class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = sys.argv[1].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("", 80), Web).serve_forever()
"""
# One request after the other, each over a connection of its own, until it is ended; then what came of them. A connection that breaks
# is tried once more, as every HTTP client does with a GET: a router that spreads traffic anew may move it to the other node.
REQUESTS = """
import collections, http.client, json, signal, sys, time
count, running = collections.Counter(), True
def stop(*_):
    global running
    running = False
signal.signal(signal.SIGTERM, stop)
def ask():
    connection = http.client.HTTPConnection(sys.argv[1], timeout=2)
    connection.request("GET", "/")
    return connection.getresponse().read().decode()
while running:
    for attempt in (1, 2):
        try:
            name = ask()
            count["answers"] += 1
            count["second attempts"] += attempt - 1
            count[name] += 1
            print(name, flush=True)
            break
        except OSError as error:
            if attempt == 2:
                count["lost"] += 1
                print("lost:", error, flush=True)
        except http.client.HTTPException:
            pass
    time.sleep(0.005)
print(json.dumps(count), flush=True)
"""


class Cluster:
    """Builds what PICTURE shows."""

    def __init__(self, lab):
        self.lab = lab
        self.tors = {n: lab.node(n).forward() for n in ("tor-a", "tor-b")}
        self.nodes = {n: lab.node(n).forward() for n in ("node1", "node2")}
        self.client, self.master = lab.node("client"), lab.node("api")
        self.links = {}
        for i, (node, name) in enumerate(((n, t) for n in self.nodes for t in self.tors), 1):
            self.links[node, name] = lab.link(self.nodes[node], self.tors[name], i)
        self.edges = {n: lab.link(self.client, t, 0) for n, t in self.tors.items()}
        for i, (name, link) in enumerate(self.edges.items(), 1):
            self.client.address(link.dev_a, f"10.0.5{i}.1/24")
            self.tors[name].address(link.dev_b, f"10.0.5{i}.2/24")
        self.client.ip("addr", "add", "10.0.5.1/32", "dev", "lo")
        self.client.ip("route", "add", "default", "src", "10.0.5.1", *[w for i in (1, 2) for w in ("nexthop", "via", f"10.0.5{i}.2")])
        for i, t in enumerate(self.tors.values(), 1):
            t.ip("route", "add", CLIENT, "via", f"10.0.5{i}.1")
        self.management()
        self.kube = KubeServer(self.master, API)
        self.frr = {n: self.router(n, 65001 + i) for i, n in enumerate(self.tors)}
        self.daemons = {n: self.daemon(n) for n in self.nodes}
        self.runtimes = {n: cni.Runtime(self.nodes[n], d.config["cni"]["write"]) for n, d in self.daemons.items()}
        self.pods, self.ready = {}, {}

    def management(self):
        """The API server is reached without BGP."""
        self.master.address("lo", f"{API}/32")
        for i, node in enumerate(self.nodes.values(), 1):
            link = self.lab.link(node, self.master, 20 + i)
            node.ip("route", "add", API, "via", link.b4)

    def router(self, name, asn):
        neighbors = [Neighbor(link.a4, 65100 + int(node[-1]), link.b4) for (node, t), link in self.links.items() if t == name]
        return Frr(self.tors[name], asn, f"10.255.0.{asn - 65000}", neighbors, networks=[CLIENT], name=name)

    def daemon(self, name):
        conflist = os.path.join(self.lab.dir, f"{name}-net.d/10-underlay.conflist")
        os.mkdir(os.path.dirname(conflist))
        daemon = Underlay(self.nodes[name], [], id=f"10.255.1.{name[-1]}", name=name, cni={"write": conflist}, advertise={"kubernetes": {
            "kubeconfig": self.kube.path("kubeconfig"), "node": "${NODE_NAME}", "peer-template": "tor",
            "services": {"load-balancer": "local"}, "drain": {"cordon": True, "grace": f"{GRACE}s"},
            "readiness": {"taint": "underlay.io/not-ready:NoSchedule", "network-unavailable": True}}})
        del daemon.config["log"], daemon.config["router"]["asn"]
        daemon.config["peer-templates"] = {"tor": {k: v for k, v in tor(None).items() if k != "address"}}
        daemon.wrap = ("env", f"NODE_NAME={name}")
        return daemon

    def node_object(self, name):
        number = name[-1]
        one = kube_client.node(name, [f"10.244.{number}.0/24", f"fd00:10:244:{number}::/64"], taints=[NOT_READY], annotations={
            "underlay.io/asn": f"6510{number}", "underlay.io/peers": ",".join(self.links[name, t].b4 for t in self.tors)})
        one["status"]["conditions"] = [{"type": "NetworkUnavailable", "status": "True", "reason": "NoRoutes"},
                                       {"type": "Ready", "status": "True"}]
        return one

    def kubectl(self, words, keep=None, quiet=False):
        done = self.master.run("kubectl", "--kubeconfig", self.kube.path("admin.kubeconfig"), *words.split())
        if not quiet:
            show("admin", f"kubectl {words}", done.stdout, keep)
        return done.stdout

    def ctl(self, name, command, keep=None):
        show(name, f"underlayctl {command}", self.daemons[name].ctl(command, json_out=False).stdout, keep)

    def table(self, name, prefix=f"{VIP}/32"):
        """The nodes by which a ToR reaches a prefix, as its kernel does."""
        route = self.tors[name].routes(protocol="186").get(prefix)
        hops = route.get("nexthops") or [route] if route else []
        ways = {link.a4: node for (node, t), link in self.links.items() if t == name}
        return sorted(ways.get(h.get("gateway"), "?") for h in hops)

    def leads_to(self, *nodes, timeout=20):
        for name in self.tors:
            wait_for(lambda: self.table(name) == sorted(nodes), timeout, f"{name} reaches {VIP} by {' and '.join(nodes) or 'nobody'}")

    # What kubelet, controllers and kube-proxy would do.

    def pod(self, name, node):
        """A pod of the service, which serves but is not ready yet."""
        pod = self.pods[name] = self.runtimes[node].pod(name)
        pod.on = node
        pod.node.ip("addr", "add", f"{VIP}/32", "dev", "lo")
        pod.server = pod.node.start("/usr/bin/python3", "-c", WEB, f"{name} on {node}", log=f"{name}-http.log")
        wait_for(lambda: self.nodes[node].run("/usr/bin/python3", "-c", "import socket, sys; socket.create_connection((sys.argv[1], 80), 2)",
                                              pod.addresses["ipv4"]), what=f"{name} serves")
        self.nodes[node].ip("route", "replace", VIP, "via", pod.addresses["ipv4"])
        return pod

    def endpoints(self, **ready):
        """The EndpointSlice: which pods are ready, by name."""
        self.ready.update(ready)
        rows = [endpoint(self.pods[n].on, self.pods[n].addresses["ipv4"], r, serving=True, terminating=not r) for n, r in self.ready.items()]
        self.kube.api.patch("endpointslices", "web-1", {"endpoints": rows})

    def remove(self, name):
        pod = self.pods.pop(name)
        self.ready.pop(name, None)
        self.endpoints()
        self.nodes[pod.on].ip("route", "del", VIP, "via", pod.addresses["ipv4"])
        pod.server.stop()
        self.runtimes[pod.on].remove(pod)


class Requests:
    """From the client to the service, all the while something is done to the cluster."""

    def __init__(self, cluster, name):
        self.process = cluster.client.start("/usr/bin/python3", "-c", REQUESTS, VIP, log=f"client-{name}.log")
        say(f"client$ while :; do curl -s http://{VIP}/; done &")
        self.wait(50)

    def answers(self):
        return self.process.output().count(" on node")

    def wait(self, more):
        """Until so many more have been answered."""
        before = self.answers()
        wait_for(lambda: self.answers() >= before + more, 30, "the service answers")

    def last(self):
        return self.process.output().splitlines()[-1].split()[-1]

    def end(self):
        self.process.stop(signal.SIGTERM)
        count = json.loads(self.process.output().splitlines()[-1])
        by = ", ".join(f"{n} by {name}" for name, n in sorted(count.items()) if " on " in name)
        again = count.get("second attempts", 0)
        say(f"  {count['answers']} answered ({by}), {again} of them at the second attempt, {count.get('lost', 0)} lost")
        check(not count.get("lost"), "a request was lost")
        return count["answers"]


def api_server(c):
    c.kube.start()
    with open(os.path.join(ROOT, "contrib/kubernetes/readiness/rbac.yaml")) as file:
        c.kube.api.apply(file.read())
    c.kube.kubeconfig()
    c.kube.admin_kubeconfig()
    for name in c.nodes:
        c.kube.api.create(c.node_object(name))
    c.kubectl("version", keep="Server Version")
    c.kubectl("get nodes -o custom-columns=NAME:.metadata.name,PODCIDRS:.spec.podCIDRs,TAINTS:.spec.taints[*].key")
    proves("An API server, and two nodes that have pod CIDRs and no network yet: a taint keeps pods away.")


def network(c):
    for peer in c.frr.values():
        peer.start()
    for daemon in c.daemons.values():
        daemon.start()
    show("node1", "cat underlay.yaml", open(c.daemons["node1"].config_path).read())
    say()
    for name, daemon in c.daemons.items():
        daemon.wait_established(*[c.links[name, t].b4 for t in c.tors])
    c.ctl("node1", "show bgp summary")
    proves("One file for all nodes: AS number and routers of each are annotations of its Node.")
    pods = [f"10.244.{i}.0/24" for i in (1, 2)] + [f"fd00:10:244:{i}::/64" for i in (1, 2)]
    for name, peer in c.frr.items():
        wait_for(lambda: peer.has(*pods), 30, f"{name} has all pod CIDRs")
    nodes = lambda: c.kube.api.get("nodes")["items"]
    wait_for(lambda: not any(n["spec"].get("taints") for n in nodes()), 30, "the taint is removed")
    wait_for(lambda: all(x["status"] == "False" for n in nodes() for x in n["status"]["conditions"] if x["type"] == "NetworkUnavailable"),
             30, "the condition")
    say()
    c.kubectl("get nodes -o custom-columns=NAME:.metadata.name,TAINTS:.spec.taints[*].key,"
              "NETWORK:.status.conditions[?(@.type==\"NetworkUnavailable\")].reason")
    proves("The ToRs have the pod CIDRs of both nodes, and the nodes each other's in their kernels: underlayd has removed the taint and "
           "cleared the condition.")


def pods(c):
    runtime = c.runtimes["node1"]
    wait_for(lambda: all(os.path.exists(r.path) for r in c.runtimes.values()), 30, "the CNI configurations")
    show("node1", "cat /etc/cni/net.d/10-underlay.conflist", json.dumps(runtime.network(), indent=1), r"type|subnet|Masq|mtu")
    a, b = (c.runtimes[n].pod(f"hello-{n[-1]}") for n in c.nodes)
    for family in ("ipv4", "ipv6"):
        answered, text = a.ping(b.addresses[family], count=2)
        show("hello-1", f"ping {b.addresses[family]}", text, r"bytes from|loss")
        check(answered, "no answer")
    proves("The reference CNI plugins make pods by what underlayd wrote, and these reach each other over the ToRs: no overlay, no NAT.")


def vip(c):
    api = c.kube.api
    api.create(service("web", "LoadBalancer", externalTrafficPolicy="Local"), endpoint_slice("web-1", "web", []))
    api.patch_status("services", "web", ingress(VIP))
    c.kubectl("get service web")
    wait_for(lambda: "default/web" in c.daemons["node1"].ctl("show kubernetes services"), what="node1 knows the service")
    c.ctl("node1", "show kubernetes services")
    c.leads_to()
    c.pod("web-1", "node1")
    say(f"\nA pod of it becomes ready on node1. In place of kube-proxy a route leads {VIP} to the pod there.")
    c.endpoints(**{"web-1": True})
    c.leads_to("node1")
    c.ctl("node1", "show kubernetes services")
    say()
    c.ctl("node2", "show kubernetes services")
    show("tor-a", f"ip route show {VIP}", c.tors["tor-a"].ip("route", "show", VIP).stdout)
    proves(f"{VIP} is advertised by the node on which it works, and by no other; each says why.")


def moves(c):
    requests = Requests(c, "moves")
    c.pod("web-2", "node2")
    say("A second pod becomes ready, on node2.")
    c.endpoints(**{"web-2": True})
    c.leads_to("node1", "node2")
    requests.wait(100)
    show("tor-a", f"ip route show {VIP}", c.tors["tor-a"].ip("route", "show", VIP).stdout)
    say()
    say("The pod on node1 is told to end: it serves what still comes, and is not ready any more.")
    c.endpoints(**{"web-1": False})
    c.leads_to("node2")
    requests.wait(50)
    c.remove("web-1")
    requests.wait(50)
    check(requests.last() == "node2", "answered by a pod that is gone")
    requests.end()
    proves("The address has moved with its endpoints from one node over both to the other, and every request was answered.")


def drain(c):
    c.pod("web-3", "node1")
    c.endpoints(**{"web-3": True})
    c.leads_to("node1", "node2")
    requests = Requests(c, "drain")
    say()
    c.kubectl("cordon node1")
    wait_for(lambda: all(shut(peer) for peer in c.frr.values()), GRACE * 3, "GRACEFUL_SHUTDOWN at the ToRs")
    show("tor-a", f"vtysh -c 'show bgp ipv4 unicast {VIP}/32'", c.frr["tor-a"].vtysh(f"show bgp ipv4 unicast {VIP}/32"),
         r"^  6510|ommunity|best")
    c.leads_to("node2")
    say(f"Withdrawn after the grace of {GRACE} seconds:")
    wait_for(lambda: c.daemons["node1"].ctl("show kubernetes node")["drain"] == "withdrawn", 30, "the grace is over")
    c.ctl("node1", "show kubernetes services")
    say("The pod on node1 is evicted.")
    c.remove("web-3")
    requests.wait(100)
    c.kubectl("uncordon node1")
    c.pod("web-4", "node1")
    c.endpoints(**{"web-4": True})
    c.leads_to("node1", "node2")
    requests.wait(100)
    requests.end()
    proves("A cordoned node is the last choice at once and out of service after the grace, and back when it is uncordoned: no request was "
           "lost.")


def shut(peer):
    """Whether a ToR has the address with GRACEFUL_SHUTDOWN from somebody."""
    words = str([path.get("community") for path in peer.route(f"{VIP}/32")["paths"]]).lower()
    return "graceful-shutdown" in words or "gracefulshutdown" in words or "65535:0" in words


def outage(c):
    requests = Requests(c, "outage")
    say("The API server is killed.")
    c.kube.kill_server()
    daemon = c.daemons["node1"]
    wait_for(lambda: daemon.ctl("show kubernetes")["state"] == "stale", 30, "node1 knows")
    c.ctl("node1", "show kubernetes")
    requests.wait(100)
    c.leads_to("node1", "node2")
    c.kube.start_server()
    wait_for(lambda: daemon.ctl("show kubernetes")["state"] == "current", 90, "node1 is in step again")
    requests.end()
    proves("While the API server is away nothing is withdrawn; what is known stays, and is known to be old.")


STEPS = (("A cluster without a network", api_server), ("The nodes get one", network), ("Pods", pods),
         ("A service, and where it works", vip), ("Its address moves with its pods", moves), ("Cordon and drain", drain),
         ("The API server goes away", outage))


def tell_how_to_look(c):
    ctl = os.path.relpath(UNDERLAYCTL)
    say(f"""
It is still up. Look around, as root:
  ip netns exec {TAG}-api kubectl \\
      --kubeconfig {c.kube.path("admin.kubeconfig")} get nodes,services,endpointslices
  ip netns exec {TAG}-node1 {ctl} \\
      --socket {c.daemons["node1"].socket} show kubernetes
  ip netns exec {TAG}-tor-a ip route
  ls {c.lab.dir}         # logs and configuration files
Remove it: sudo make demo-kubernetes-clean""")


def main(argv):
    try:
        if argv != ["--clean"]:
            programs()
    except Skip as reason:
        say(str(reason))
        return 1
    return perform(argv, "demo-kubernetes", TAG, f"A cluster in network namespaces; ==> is what a step proves.\n{PICTURE}", Cluster,
                   STEPS, tell_how_to_look, [shutil.which("kubectl") or "kubectl"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
