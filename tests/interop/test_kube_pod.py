"""underlayd as the DaemonSet of contrib/kubernetes runs it: with its configuration and its capabilities, nothing writable but what
it mounts, the pod's account, and settings from annotations of the node. The API server is a played one."""
import json
import os
import re
import shutil

import kube_pki
from cluster import NAME, POD4, POD6, Cluster
from fakekube import PORT, TOKEN
from kube_client import balancer
from lab import ROOT, Skip, wait_for
from rawhttp import get
from runner import feature
from test_service import make, unit
from topology import NODE_AS

BASE = os.path.join(ROOT, "contrib/kubernetes/base")
VIP = "203.0.113.61"


def manifest(name):
    with open(os.path.join(BASE, name)) as file:
        return file.read()


def status_of(pid, key):
    with open(f"/proc/{pid}/status") as file:
        return int(next(line.split()[1] for line in file if line.startswith(f"{key}:")), 16)


class Pod(Cluster):
    def __init__(self, lab):
        super().__init__(lab, played=True)
        self.daemonset = manifest("daemonset.yaml")
        self.capabilities = re.search(r"add: \[(.*)\]", self.daemonset)[1].split(", ")
        self.cni = os.path.join(lab.dir, "net.d")
        os.mkdir(self.cni)
        self.text = manifest("underlay.yaml").replace("/etc/cni/net.d", self.cni)
        self.underlay.write = lambda: type(self.underlay).write(self.underlay, self.text)
        self.kube.tokens = {TOKEN}

    def boot(self, *objects):
        self.kube.start()
        self.kube.put(*objects)
        self.tor.start()
        account = kube_pki.in_cluster(os.path.join(self.lab.dir, "account"), self.kube.pki.ca, TOKEN)
        self.underlay.wrap = kube_pki.as_pod(account, self.kube.address, PORT, self.lab.dir, self.capabilities, NODE_NAME=NAME,
                                             NODE_IP=self.address4)
        self.underlay.start()
        return self

    def probe(self, which):
        path, port = re.search(which + r"Probe:\n +httpGet: \{host: 127.0.0.1, path: (\S+), port: (\d+)\}", self.daemonset).groups()
        return get(self.node, path, port=int(port)).status


@feature("Kubernetes: as a DaemonSet", peer="frr")
def test_a_pod_of_the_daemonset(lab):
    pod = Pod(lab)
    node = pod.this_node()
    pod.boot(node, *balancer("lb", VIP, NAME))
    pod.wait_state("current")
    assert pod.probe("liveness") == 200 and pod.probe("readiness") == 503, "alive, and not ready before it has a router"
    node["metadata"]["annotations"] = {"underlay.io/asn": str(NODE_AS), "underlay.io/peers": pod.link.b4}
    pod.kube.put(node)
    pod.underlay.wait_established(pod.link.b4)
    pod.sees(VIP, POD4, POD6, pod.address4, pod.address6)
    wait_for(lambda: pod.probe("readiness") == 200, 20, "ready")
    with open(os.path.join(pod.cni, "10-underlay.conflist")) as file:
        assert json.load(file)["plugins"]
    allowed = status_of(pod.underlay.process.pid, "CapBnd")
    assert allowed.bit_count() == len(pod.capabilities), "not run with what the DaemonSet gives it"
    assert status_of(pod.underlay.speaker(), "CapPrm") == 0
    # A new pod in its place: what the old one has left in the kernel is taken over.
    kernel = pod.underlay.kernel()
    assert POD4 in kernel
    pod.underlay.stop()
    assert pod.underlay.kernel() == kernel, "routes did not outlive the pod"
    pod.underlay.start()
    pod.underlay.wait_established(pod.link.b4)
    pod.sees(VIP, POD4)


@feature("Kubernetes: annotations", peer="frr")
def test_annotations_of_kube_router(lab):
    """One file for all nodes; what an annotation says wrong changes nothing."""
    c = Cluster(lab, played=True, kubernetes={"compat": "kube-router", "peer-template": "tor"})
    template = c.underlay.config["peers"].pop()
    del c.underlay.config["router"]["asn"], template["address"]
    c.underlay.config["peer-templates"] = {"tor": template}
    node = c.this_node(annotations={"kube-router.io/node.asn": str(NODE_AS), "kube-router.io/peer.ips": c.link.b4,
                                    "kube-router.io/peer.asns": "65001"})
    c.kube.start()
    c.kube.put(node)
    c.start()
    c.underlay.wait_established(c.link.b4)
    c.sees(POD4)
    with c.quiet():
        node["metadata"]["annotations"]["kube-router.io/peer.ips"] = "nowhere"
        c.kube.put(node)
        wait_for(lambda: "nowhere" in c.underlay.command("show kubernetes"), what="the error is shown")
    node["metadata"]["annotations"].update({"underlay.io/peers": c.link.b6, "kube-router.io/peer.ips": c.link.b4})
    c.kube.put(node)
    wait_for(lambda: list(c.underlay.ctl("show bgp neighbors")) == [c.link.b6], what="the peer of our own annotation")


@feature("Kubernetes: as a service of the host", peer="frr")
def test_as_a_service_of_the_host(lab):
    """Under the system calls and capabilities that the unit leaves it; a kubeconfig with its files, and the CNI file."""
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze is not installed")
    root = make(lab, "install")
    conflist = os.path.join(lab.dir, "net.d/10-underlay.conflist")
    c = Cluster(lab, played=True, cni={"write": conflist})
    capabilities = re.search(r"^CapabilityBoundingSet=(.*)$", unit(root), re.M)[1].lower().replace("cap_", "+").split()
    c.underlay.wrap = ("env", "ASAN_OPTIONS=detect_leaks=0", "setpriv", "--bounding-set", ",".join(["-all", *capabilities]),
                       "--inh-caps=-all", "--no-new-privs", "/usr/bin/python3", f"{ROOT}/tests/lib/sandbox.py",
                       f"{root}/lib/systemd/system/underlayd.service")
    c.up(*balancer("lb", VIP, NAME))
    c.sees(VIP, POD4, POD6)
    wait_for(lambda: os.path.exists(conflist), what="the CNI configuration")
