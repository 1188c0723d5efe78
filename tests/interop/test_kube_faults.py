"""An API server that is away, has forgotten the past, or refuses; and a cluster that is large. Real ones, all of them."""
import copy
import os
import re
import signal
import time

from cluster import NAME, POD4, POD6, Cluster
from kube_client import endpoint, endpoint_slice, ingress, many, service
from kube_pki import LEEWAY, Pki
from lab import LabError, wait_for
from rack import bounded
from runner import cases, endurance, feature

VIP, OTHER, THIRD = "203.0.113.41", "203.0.113.42", "203.0.113.43"
SERVICES, PER_SLICE, HERE, CHANGED = 10000, 5, 200, 1000


def lb(c, name, vip, here=True):
    c.put(service(name, "LoadBalancer", externalTrafficPolicy="Local"),
          endpoint_slice(f"{name}-1", name, [endpoint(NAME if here else "n2", "10.244.1.9")]))
    c.api.patch_status("services", name, ingress(vip))


def killed_and_back(c):
    with c.quiet():
        c.kube.kill_server()
        c.wait_state("stale")
        assert c.status()["error"] and c.underlay.ctl("show kubernetes")["staleSeconds"] >= 0
        c.kube.start_server()
        c.wait_state("current")
    lb(c, "later", OTHER)
    c.sees(OTHER)


def the_past_is_compacted_away(c):
    """What has changed meanwhile is seen, and nothing else is touched."""
    before = c.kind("services")["gone"]
    c.kube.kill_server()
    c.wait_state("stale")
    moved = copy.deepcopy(c.slices["later-1"])
    moved["endpoints"][0]["nodeName"] = "n2"
    c.kube.bulk([moved, *[{**copy.deepcopy(c.slices["later-1"]), "metadata": {**moved["metadata"], "name": f"more-{i}", "uid": f"m{i}"}}
                          for i in range(3)]])
    c.kube.bulk_delete("endpointslices", [{"metadata": {**moved["metadata"], "name": f"more-{i}"}} for i in range(3)])
    c.kube.compact()
    told = c.updates()
    c.kube.start_server()
    c.wait_state("current")
    c.sees_not(OTHER)
    assert c.updates() == told + 1, "more than the withdrawal"
    assert c.kind("endpointslices")["gone"] + c.kind("services")["gone"] > before, "no 410 was seen"


def the_daemon_dies_meanwhile(c):
    """A new process knows what the last one knew; after a boot, no more than the pod CIDRs and the node's own address."""
    c.kube.kill_server()
    c.wait_state("stale")
    old = c.underlay.speaker()
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: c.underlay.speaker() != old, what="a new speaker")
    c.underlay.wait_established()
    c.sees(VIP, POD4, POD6)
    c.underlay.restart()
    c.underlay.wait_established()
    c.sees(VIP, POD4, POD6, c.address4)
    c.underlay.stop()
    path = f"{c.underlay.socket}.state-kubernetes"
    with open(path) as file:
        text = file.read()
    assert re.search(r"^boot \S+$", text, re.M), text
    with open(path, "w") as file:
        file.write(re.sub(r"^boot \S+$", "boot 00000000-0000-0000-0000-000000000000", text, flags=re.M))
    c.underlay.start()
    c.underlay.wait_established()
    c.sees(POD4, POD6, c.address4)
    assert c.tor.has_none(f"{VIP}/32"), "a service address after a boot, of which nobody knows whether a pod is there"
    c.kube.start_server()
    c.sees(VIP)
    c.wait_state("current")


@cases(timeout=240)
@feature("Kubernetes: the API server is away", peer="frr")
def test_the_api_server_goes_away_and_comes_back(lab):
    c = Cluster(lab).up()
    lb(c, "first", VIP)
    c.sees(VIP, POD4, POD6)
    killed_and_back(c)
    c.slices = {"later-1": c.api.get("endpointslices", "later-1")}
    the_past_is_compacted_away(c)
    the_daemon_dies_meanwhile(c)


@cases(timeout=180)
@feature("Kubernetes: the API server refuses", peer="frr")
def test_wrong_authority_and_expired_token(lab):
    c = Cluster(lab)
    c.kube.start()
    c.put(c.this_node())
    ca = c.kube.path("trusted.crt")
    replace(ca, Pki(c.kube.path("other")).ca)
    c.options["kubeconfig"] = c.kube.kubeconfig(ca=ca)
    c.start(current=False)
    wait_for(lambda: "certificate" in c.status()["error"], what="the certificate is refused")
    assert c.status()["state"] == "waiting" and c.tor.has_none(POD4)
    replace(ca, c.kube.pki.ca)
    c.wait_state("current")
    c.sees(POD4)
    lb(c, "first", VIP)
    c.sees(VIP)
    with c.quiet():
        c.kube.write_token(c.kube.token(-LEEWAY - 1))  # asked for with the next connection
        c.kube.kill_server()
        c.kube.start_server()
        wait_for(lambda: "401" in c.status()["error"], 30, "the token has expired")
        assert c.status()["state"] == "stale"
        c.kube.write_token(c.kube.token())
        c.wait_state("current")


def replace(path, other):
    """As a file that is rotated."""
    with open(other) as file, open(f"{path}.new", "w") as new:
        new.write(file.read())
    os.rename(f"{path}.new", path)


def wait_vips(c, count):
    vips = lambda: sum(p.startswith("203.") for p in c.tor.routes("ipv4"))
    try:
        wait_for(lambda: vips() == count, 60)
    except LabError:
        raise LabError(f"the ToR has {vips()} service addresses, not {count}: {c.status()}") from None


@cases(timeout=240)
@endurance
@feature("Kubernetes: a large cluster", peer="frr")
def test_ten_thousand_services_and_a_thousand_changes_at_once(lab):
    c = Cluster(lab)
    c.kube.start()
    c.put(c.this_node())
    lb(c, "pattern", VIP)
    services, slices = many(c.api.get("services", "pattern"), c.api.get("endpointslices", "pattern-1"), SERVICES, PER_SLICE,
                            lambda i, k: NAME if i < HERE and not k else f"n{k + 2}")
    c.kube.bulk(services)
    c.kube.bulk(slices)
    c.start()
    wait_vips(c, HERE + 1)
    counts = c.status()["counts"]
    assert counts["services"] >= SERVICES and counts["endpoints"] >= SERVICES * PER_SLICE, counts
    bounded(0, rss(c), 64, "10,000 services")
    changed = slices[HERE:HERE + CHANGED]
    for its in changed:
        its["endpoints"][-1]["nodeName"] = NAME
    began = time.monotonic()
    c.kube.bulk(changed, watched=True)
    wait_vips(c, HERE + CHANGED + 1)
    print(f"{CHANGED} changes took {time.monotonic() - began:.1f} s")
    bounded(0, rss(c), 64, "10,000 services, and changes")
    c.kube.bulk_delete("services", services[:HERE])
    wait_vips(c, CHANGED + 1)


def rss(c):
    """MiB of the speaker."""
    with open(f"/proc/{c.underlay.speaker()}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
