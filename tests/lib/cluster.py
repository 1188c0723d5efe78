"""A node of a cluster: underlayd below one ToR, and an API server that it watches, a real one or one that is played.

    cluster = Cluster(lab).up()                 # kube.KubeServer; cluster.api is its client
    cluster = Cluster(lab, played=True).up()    # fakekube.FakeKube; cluster.kube.put(...)

What counts is what the ToR (FRR) has: sees(), sees_not(). quiet() holds it to not having been told anything at all.
"""
import contextlib

import kube_client
from fakekube import FakeKube
from kube import KubeServer, programs
from lab import wait_for
from peers import PEERS, Neighbor
from topology import NODE_AS, TOR_AS
from underlay import Underlay, tor

NAME = "n1"
POD4, POD6 = "10.244.1.0/24", "fd00:10:244:1::/64"
SHUTDOWN = ("65535:0", "gshut", "graceful-shutdown", "gracefulshutdown")


def host(address):
    return address if "/" in address else f"{address}/{128 if ':' in address else 32}"


class Cluster:
    """kubernetes: keys of advertise.kubernetes beside the usual ones; sections: of the configuration."""

    def __init__(self, lab, played=False, kubernetes=None, options=(), kind="frr", peer=None, **sections):
        self.lab, self.played = lab, played
        if not played:
            programs()
        self.node, self.tor_node, self.master = lab.node("node"), lab.node("tor"), lab.node("master")
        self.link, self.way = lab.link(self.node, self.tor_node), lab.link(self.node, self.master)
        self.tor = PEERS[kind](self.tor_node, TOR_AS, "10.255.0.1", [Neighbor(self.link.a4, NODE_AS, self.link.b4)]) if kind else None
        self.kube = FakeKube(self.master, self.way.b4) if played else KubeServer(self.master, self.way.b4, *options)
        # Its lo address is the node's own.
        self.address4, self.address6 = "10.0.255.1", "fd00:0:255::1"
        self.node.address("lo", f"{self.address4}/32", f"{self.address6}/128")
        self.options = {"node": NAME, "services": {"load-balancer": "local", "external-ips": "auto", "cluster-ips": "off"},
                        **(kubernetes or {})}
        self.underlay = Underlay(self.node, [tor(self.link.b4, **(peer or {}))], **{"advertise": {"kubernetes": self.options}, **sections})

    @property
    def api(self):
        return self.kube.api

    def this_node(self, name=NAME, cidrs=(POD4, POD6), **keys):
        return kube_client.node(name, list(cidrs), [self.address4, self.address6], **keys)

    def up(self, *objects, current=True):
        """The API server with the node's object and these, then all else; until the daemon knows them."""
        self.kube.start()
        self.put(self.this_node(), *objects)
        return self.start(current=current)

    def start(self, current=True):
        if "kubeconfig" not in self.options:
            self.options["kubeconfig"] = self.kube.kubeconfig()
        if self.tor:
            self.tor.start()
        self.underlay.start()
        if self.tor:
            self.underlay.wait_established()
        if current:
            self.wait_state("current")
        return self

    def put(self, *objects):
        (self.kube.put if self.played else self.api.create)(*objects)

    def reload(self, **kubernetes):
        """With other keys of advertise.kubernetes."""
        self.options.update(kubernetes)
        self.underlay.write()
        self.underlay.command("reload")

    # What the daemon says.

    def status(self):
        return self.underlay.ctl("show kubernetes")

    def wait_state(self, *states, timeout=90):
        wait_for(lambda: self.status()["state"] in states, timeout, f"state {' or '.join(states)}")

    def kind(self, plural):
        return self.status()["kinds"][plural]

    def services(self):
        return self.underlay.ctl("show kubernetes services")

    def why(self, service, address):
        """The reason why an address of default/SERVICE is not advertised; "" when it is."""
        (row,) = [a for a in self.services()[f"default/{service}"]["addresses"] if a["address"] == address]
        return "" if row["advertised"] else row["reason"]

    def wait_why(self, service, address, text):
        wait_for(lambda: text in self.why(service, address), what=f"why {address} of {service} is not advertised: {text}")

    # What the ToR says.

    def sees(self, *addresses, timeout=20):
        wait_for(lambda: self.tor.has(*map(host, addresses)), timeout, f"the ToR has {' '.join(addresses)}")

    def sees_not(self, *addresses, timeout=20):
        wait_for(lambda: self.tor.has_none(*map(host, addresses)), timeout, f"the ToR has no {' '.join(addresses)}")

    def path(self, address):
        return self.tor.route(host(address))["paths"][0]

    def communities(self, address):
        return self.path(address).get("community", {}).get("string", "").lower().split()

    def shut(self, address):
        """It is announced, with GRACEFUL_SHUTDOWN."""
        return any(word in self.communities(address) for word in SHUTDOWN)

    def bandwidth(self, address):
        """The link bandwidth community as FRR words it, "" without."""
        return self.path(address).get("extendedCommunity", {}).get("string", "")

    def updates(self):
        """UPDATEs that the ToR has had from the node."""
        return self.tor.neighbor()["messageStats"]["updatesRecv"]

    @contextlib.contextmanager
    def quiet(self):
        """Nothing is said to the ToR meanwhile, and the session stays."""
        before, since = self.updates(), self.tor.neighbor()["connectionsEstablished"]
        yield
        after = self.updates()
        assert after == before, f"{after - before} UPDATEs where there was nothing to say"
        assert self.tor.neighbor()["connectionsEstablished"] == since, "the session went"
