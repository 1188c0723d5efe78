"""Restarts, deaths and reloads of a node in a cluster: what the ToR has stays, also while nobody can be asked.

The API server is played (fakekube.py): it is away when the test wants it to be, and back with other objects."""
import contextlib
import os
import re
import signal

from cluster import NAME, POD4, POD6, Cluster, host
from kube_client import endpoint, endpoint_slice, ingress, service
from lab import wait_for
from peers import PEERS, Neighbor
from runner import cases, feature
from topology import FAR4, NODE_AS, TOR_AS
from underlay import tor

VIP, OTHER, EXTERNAL = "203.0.113.71", "203.0.113.72", "203.0.113.73"
STATIC, OTHER_POD4 = "198.51.100.7/32", "10.244.2.0/24"


def lb(name, vip, here=True):
    one = service(name, "LoadBalancer", externalTrafficPolicy="Local", clusterIP="10.96.0.9", clusterIPs=["10.96.0.9"])
    one["status"] = ingress(vip)
    return one, endpoint_slice(f"{name}-1", name, [endpoint(NAME if here else "n2", "10.244.1.9")])


def peer(address):
    return f"{{address: {address}, asn: external, hold-time: 9s, connect-retry-time: 1s}}"


def annotated(lab):
    """All that makes this node what it is comes from annotations: its AS number and its peers."""
    c = Cluster(lab, played=True)
    c.underlay.config["peers"] = []
    del c.underlay.config["router"]["asn"]
    c.says = lambda *peers: c.kube.put(c.this_node(annotations={
        "underlay.io/asn": str(NODE_AS), "underlay.io/peers": f"[{', '.join(peers)}]"}))
    c.kube.start()
    c.says(peer(c.link.b4))
    c.put(*lb("web", VIP))
    c.start()
    c.sees(VIP, POD4, POD6, c.address4, c.address6)
    c.kube.wait_watched()
    return c


def goes_away(c):
    c.kube.stop()
    c.wait_state("stale")


def comes_back(c):
    """With something else than before."""
    c.kube.put(*lb("web", VIP, here=False), *lb("other", OTHER))
    c.kube.start()
    c.sees(OTHER)
    c.sees_not(VIP)
    wait_for(lambda: not c.status()["fromDisk"] and c.status()["state"] == "current", what="in step")


@contextlib.contextmanager
def kept(c, sessions=0):
    """What is done in the block costs so many sessions and not a route: the ToR's kernel has them all the time."""
    ours = [POD4, POD6, VIP, c.address4, c.address6]
    settled(c, *ours)
    before, watch = c.tor.neighbor()["connectionsDropped"], c.tor_node.monitor()
    yield
    c.tor.wait_established()
    c.sees(*ours)
    wait_for(lambda: c.tor.neighbor()["connectionsDropped"] - before == sessions, what=f"{sessions} sessions lost")
    changed = [e for a in ours for e in (watch.deleted(a) if sessions else watch.events(a.split("/")[0]))]
    assert not changed, changed


def settled(c, *addresses, gone=None):
    """What BGP has there the kernel of the ToR has too, a little later."""
    def there():
        kernel = {*c.tor_node.routes("ipv4"), *c.tor_node.routes("ipv6")}
        return {host(a) for a in addresses} <= kernel and gone not in kernel
    wait_for(there, what="the kernel of the ToR is as far")


@feature("Kubernetes: restarts", peer="frr")
def test_a_planned_restart_is_not_noticed(lab):
    c = annotated(lab)
    for command in ("restart speaker", "restart"):
        with kept(c):
            assert "1 of 1 sessions handed over" in c.underlay.command(command)
            c.wait_state("current")
    goes_away(c)
    for command in ("restart", "restart speaker"):
        with kept(c):
            assert "1 of 1 sessions handed over" in c.underlay.command(command)
            wait_for(lambda: c.status()["fromDisk"] and c.status()["error"], what="it has asked in vain")
    comes_back(c)


def speaker_dies(c):
    old = c.underlay.speaker()
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: c.underlay.speaker() != old and c.underlay._answers(), what="the next speaker")


def all_die(c, meanwhile=lambda: None):
    child = c.underlay.speaker()
    c.underlay.process.send(signal.SIGKILL)
    c.underlay.process.wait()
    wait_for(lambda: child not in c.node.pids(), what="the speaker has followed")
    meanwhile()
    c.underlay.start()


def on_disk(c):
    with contextlib.suppress(OSError), open(c.underlay.socket + ".state-kubernetes") as file:
        return file.read()
    return ""


@cases(("speaker",), ("daemon",))
@feature("Kubernetes: restarts", peer="frr")
def test_death_while_nobody_can_be_asked(lab, of):
    c = annotated(lab)
    wait_for(lambda: VIP in on_disk(c) and "underlay.io/peers" in on_disk(c), what="it is on disk")
    goes_away(c)
    with kept(c, sessions=1):
        speaker_dies(c) if of == "speaker" else all_die(c)
        wait_for(lambda: c.status()["fromDisk"] and c.status()["error"], what="it has asked in vain")
    comes_back(c)


@feature("Kubernetes: restarts", peer="frr")
def test_without_a_file_nothing_is_swept_before_the_peers_are_known(lab):
    """Who kept the routes of the process before, the kernel and the ToR, keeps them until it has asked the API server."""
    c = annotated(lab)
    c.tor.announce(FAR4)
    wait_for(lambda: c.underlay.installed(FAR4), what="a route of the ToR")
    watch = c.node.monitor()
    with kept(c, sessions=1):
        all_die(c, meanwhile=lambda: os.unlink(c.underlay.socket + ".state-kubernetes"))
        wait_for(lambda: c.underlay.process.output().count("what none of them has is removed") == 2, what="the kernel is swept")
    assert c.underlay.installed(FAR4) and not watch.deleted(FAR4), watch.deleted(FAR4)


@feature("Kubernetes: restarts", peer="frr")
def test_after_a_boot_without_the_api_server_there_are_pods_and_no_services(lab):
    c = annotated(lab)
    c.kube.stop()
    c.underlay.stop()
    c.sees_not(VIP, POD4)
    text = re.sub(r"^boot .*$", "boot of-another-life", on_disk(c), flags=re.M)
    with open(c.underlay.socket + ".state-kubernetes", "w") as file:
        file.write(text)
    c.underlay.start()
    c.sees(POD4, POD6, c.address4, c.address6)
    wait_for(lambda: c.status()["fromDisk"] and c.status()["error"], what="it has asked in vain")
    assert c.tor.has_none(f"{VIP}/32") and c.status()["counts"]["advertised"] == 4
    c.kube.start()
    c.sees(VIP)


@feature("Kubernetes: reload", peer="frr")
def test_a_reload_changes_what_differs_and_nothing_else(lab):
    c = Cluster(lab, played=True)
    c.options["kubeconfig"] = c.kube.kubeconfig()
    advertise = c.underlay.config["advertise"]
    advertise["vips"] = [{"prefix": STATIC}]
    external = service("external", externalIPs=[EXTERNAL], clusterIP="10.96.0.8", clusterIPs=["10.96.0.8"])
    c.kube.put(c.this_node("n2", [OTHER_POD4]))
    c.up(*lb("web", VIP), external, endpoint_slice("external-1", "external", [endpoint("n2", "10.244.2.9")]))
    mine = (VIP, EXTERNAL, POD4, POD6, c.address4, c.address6)
    c.sees(STATIC, *mine)
    settled(c, STATIC)
    static, dropped = c.tor_node.monitor(), c.tor.neighbor()["connectionsDropped"]

    advertise["kubernetes"] = "off"
    c.reload()
    c.sees_not(*mine)
    assert c.underlay.ctl("show kubernetes", json_out=False, check=False).returncode
    advertise["kubernetes"] = c.options
    c.reload()
    c.sees(*mine)

    c.reload(node="n2")
    c.sees(OTHER_POD4, EXTERNAL)
    c.sees_not(POD4, POD6, VIP)
    c.reload(node=NAME)
    c.sees(*mine)
    c.sees_not(OTHER_POD4)
    settled(c, *mine, gone=OTHER_POD4)
    rest = c.tor_node.monitor()
    with c.quiet():
        c.reload()
        c.reload(servers=[c.kube.url])
        c.wait_state("current")
    before = c.updates()
    c.reload(communities={"load-balancer": ["65000:71"]})
    wait_for(lambda: c.communities(VIP) == ["65000:71"], what="the community")
    assert c.updates() - before == 1 and not c.communities(EXTERNAL) and not c.communities(POD4)
    before = c.updates()
    c.reload(services={**c.options["services"], "load-balancer": "off"})
    c.sees_not(VIP)
    c.wait_why("web", VIP, "not configured")
    assert c.updates() - before == 1
    assert c.tor.has(STATIC, POD4, POD6, f"{EXTERNAL}/32")
    for word, watch in ((STATIC.split("/")[0], static), (POD4, rest), (POD6, rest), (EXTERNAL, rest)):
        assert not watch.events(word), watch.events(word)
    assert c.tor.neighbor()["connectionsDropped"] == dropped


@feature("Kubernetes: reload", peer="frr")
def test_while_nobody_can_be_asked_a_reload_still_counts(lab):
    """What is known from disk alone follows the configuration too."""
    c = annotated(lab)
    wait_for(lambda: VIP in on_disk(c), what="it is on disk")
    goes_away(c)
    c.underlay.command("restart speaker")
    wait_for(lambda: c.status()["fromDisk"] and c.status()["error"], what="it has asked in vain")
    c.reload(services={**c.options["services"], "load-balancer": "off"}, **{"node-address": False})
    c.sees_not(VIP, c.address4, c.address6)
    c.sees(POD4, POD6)


@feature("Kubernetes: annotations", peer="frr")
def test_annotations_that_change_peers(lab):
    c = annotated(lab)
    second = lab.node("tor2")
    link = lab.link(c.node, second)
    other = PEERS["frr"](second, TOR_AS + 1, "10.255.0.2", [Neighbor(link.a4, NODE_AS, link.b4)]).start()
    peers = lambda: sorted(c.underlay.ctl("show bgp neighbors"))
    error = lambda: c.status()["node"].get("annotationsError", "")
    with c.quiet():
        c.says(peer(c.link.b4), peer(link.b4))
        wait_for(lambda: other.has(POD4, f"{VIP}/32"), what="the second ToR has it all")
    with c.quiet():
        up = other.neighbor()["connectionsEstablished"]
        c.says(peer(c.link.b4), peer("192.0.2.300"))
        wait_for(lambda: "underlay.io/peers" in error() and "192.0.2.300" in error(), what="what is wrong")
        assert "Not in force: " in c.underlay.command("show kubernetes node")
        assert peers() == sorted([c.link.b4, link.b4]) and other.neighbor()["connectionsEstablished"] == up
        c.says(peer(c.link.b4), peer(link.b4))
        wait_for(lambda: not error(), what="it is as it is in force, and right")
        c.says(peer(c.link.b4))
        wait_for(lambda: peers() == [c.link.b4], what="the second peer is gone")
    wait_for(lambda: other.neighbor()["bgpState"] != "Established", what="and its session")
