"""An API server that is played, for what a real one does not do when it is told to: answers that break off, are no JSON, come
late or from elsewhere. None of it withdraws anything, and all of it is got over."""
import json
import time

from cluster import NAME, POD4, POD6, Cluster
from fakekube import FakeKube
from kube_client import balancer, service
from kube_pki import Pki
from lab import wait_for
from rack import bounded
from runner import cases, endurance, feature

VIP, OTHER = "203.0.113.51", "203.0.113.52"
EVENT = '{"type":"MODIFIED","object":'
KINDS = ("nodes", "services", "endpointslices")


def lb(name, vip):
    return balancer(name, vip, NAME)


def played(lab, **keys):
    c = Cluster(lab, played=True, **keys).up(*lb("lb", VIP))
    c.sees(VIP, POD4, POD6)
    c.kube.wait_watched()
    return c


def over_it(c, plural="services"):
    """It watches again, and sees what happens then."""
    c.kube.wait_watched(plural)
    c.wait_state("current")


def breaks(*pieces, then="cut"):
    def fault(c):
        (stream,) = c.kube.streams("services")
        for piece in pieces:
            stream.send(piece)
        getattr(stream, then)()
    return fault


def garbles(octets):
    """Not even chunks."""
    def fault(c):
        (stream,) = c.kube.streams("services")
        stream.raw(octets)
        stream.cut()
    return fault


def list_fails(*answers):
    """The watch ends with 410, and the list that follows is answered so at first."""
    def fault(c):
        before = c.kube.count("services", "list")
        c.kube.next("services", "list", *answers)
        c.kube.streams("services")[0].event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})
        wait_for(lambda: c.kube.count("services", "list") > before + len(answers), 30, "another list")
    return fault


def watch_fails(*answers):
    def fault(c):
        c.kube.next("services", "watch", *answers)
        c.kube.streams("services")[0].end()
        wait_for(lambda: not c.kube.answers["services", "watch"], 30, "that answer was had")
    return fault


FAULTS = {
    "an event is cut": breaks(EVENT + '{"metadata":{"name":"lb'),
    "a reset": breaks(EVENT, then="reset"),
    "an end in the midst of an event": breaks(EVENT, then="end"),
    "an event that is no JSON": breaks('{"type":MODIFIED}\n'),
    "an event of no type": breaks('{"type":"ODD","object":{}}\n{"object":{}}\n{}\n', then="end"),
    "an object without a name": breaks(EVENT + '{"kind":"Service","metadata":{}}}\n', then="end"),
    "values of other types": breaks(EVENT + '[]}\n' + EVENT + '{"metadata":{"name":1,"namespace":[]},"spec":"x","status":7}}\n', then="end"),
    "no event at all": breaks("[[[[[\n"),
    "an unfinished chunk": garbles(b"ffff\r\n{"),
    "a chunk of no length": garbles(b"zz\r\n"),
    "410 as an event": list_fails(),
    "410 as a status": watch_fails(FakeKube.refuse(410, "Expired")),
    "500": watch_fails(FakeKube.refuse(500, "InternalError")),
    "429": watch_fails(FakeKube.refuse(429, "TooManyRequests", "Retry-After: 1\r\n")),
    "no HTTP": watch_fails(lambda s, r: (s.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), s.close())),
    "closed without an answer": watch_fails(FakeKube.cut),
    "a list that is cut": list_fails(FakeKube.says('{"kind":"ServiceList","items":[{"metadata":{"name":"lb"', then="cut")),
    "a list that is no JSON": list_fails(FakeKube.says('{"kind":"ServiceList","items":[{]}')),
    "a list that is something else": list_fails(FakeKube.says('"hello"')),
    "a list that ends early": list_fails(FakeKube.says('{"kind":"ServiceList","items":[')),
}


@cases(timeout=120)
@endurance
@feature("Kubernetes: answers that break", peer="frr")
def test_nothing_is_withdrawn_when_an_answer_breaks(lab):
    c = played(lab)
    for i, (what, fault) in enumerate(FAULTS.items(), 1):
        print(what)
        with c.quiet():
            fault(c)
            over_it(c)
        other = f"203.0.113.{100 + i}"
        c.put(*lb(f"after-{i}", other))
        c.sees(other)
    assert c.kind("services")["malformed"] >= 3, c.kind("services")


@feature("Kubernetes: answers that break", peer="frr")
def test_the_past_is_forgotten_between_two_pages(lab):
    c = Cluster(lab, played=True)
    c.kube.start()
    c.put(c.this_node(), *lb("lb", VIP), *[service(f"s{i:03}") for i in range(700)])
    c.kube.next("services", "list", lambda *_: True, c.kube.refuse(410, "Expired"))
    c.start()
    c.sees(VIP)
    lists = [r for r in c.kube.requests if r.plural == "services" and r.verb == "list"]
    assert "continue" in lists[1].query and "continue" not in lists[2].query, lists
    assert c.status()["counts"]["services"] == 701
    assert all(r.query.get("fieldSelector") == f"metadata.name={NAME}" for r in c.kube.requests if r.plural == "nodes")
    assert all(r.query.get("allowWatchBookmarks") == "true" for r in c.kube.requests if r.verb == "watch")
    c.kube.wait_watched()
    c.put(lb("other", OTHER)[1])  # another kind goes on
    c.kube.bookmark("services")
    wait_for(lambda: c.kind("services")["bookmarks"] == 1, what="the bookmark")
    c.kube.streams("services")[0].end()
    c.kube.wait_watched()
    (*_, last) = [r for r in c.kube.requests if r.plural == "services" and r.verb == "watch"]
    assert last.query["resourceVersion"] == str(c.kube.version), "it goes on from the bookmark"


@feature("Kubernetes: answers that break", peer="frr")
def test_byte_by_byte_and_slowly(lab):
    c = Cluster(lab, played=True)
    c.kube.start()
    c.put(c.this_node(), *lb("lb", VIP))

    def slow(stream, request):
        """A list that takes a while, and every byte of it in a piece of its own."""
        time.sleep(1)
        with c.kube.lock:
            items = list(c.kube.objects[request.plural].values())
            text = json.dumps({"kind": "List", "metadata": {"resourceVersion": str(c.kube.version)}, "items": items})
        stream.head()
        stream.dribble(text, 0.0005)
        stream.end()

    for plural in KINDS:
        c.kube.next(plural, "list", slow)
    c.start()
    c.sees(VIP)
    c.kube.wait_watched()
    one, slices = lb("other", OTHER)
    slices["metadata"]["resourceVersion"] = one["metadata"]["resourceVersion"] = str(c.kube.version)
    for plural, it in (("services", one), ("endpointslices", slices)):
        c.kube.streams(plural)[0].dribble(json.dumps({"type": "ADDED", "object": it}, indent=1, ensure_ascii=False) + "\n")
    c.sees(OTHER)


@feature("Kubernetes: answers that break", peer="frr")
def test_what_is_too_large_costs_a_connection_and_no_memory(lab):
    c = played(lab)
    before = rss(c)
    (stream,) = c.kube.streams("services")
    junk = b"x" * (1 << 20)
    stream.send(EVENT + '{"metadata":{"name":"')
    for _ in range(100):
        stream.send(junk)
    wait_for(lambda: not stream.open, 20, "the connection is given up")
    bounded(before, rss(c), 20, "an event of 100 MB")
    over_it(c)
    c.put(*lb("other", OTHER))
    c.sees(OTHER)


def rss(c):
    with open(f"/proc/{c.underlay.speaker()}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


@feature("Kubernetes: the API server refuses", peer="frr")
def test_a_redirect_is_not_followed(lab):
    c = Cluster(lab, played=True)
    elsewhere = FakeKube(lab.node("elsewhere"), lab.link(lab.nodes["node"], lab.nodes["elsewhere"]).b4, pki=c.kube.pki).start()
    c.kube.start()
    c.put(c.this_node(), *lb("lb", VIP))
    c.kube.next("services", "list", c.kube.refuse(302, "Found", f"Location: {elsewhere.url}/api/v1/services\r\n"))
    c.start()
    c.sees(VIP)
    assert not elsewhere.requests, "the token was given to somebody else"


@feature("Kubernetes: the API server refuses", peer="frr")
def test_whom_it_trusts(lab):
    """The authority, the name in the certificate, the account: each is said, and each can be mended."""
    c = Cluster(lab, played=True)
    c.kube.tokens = {"right"}
    c.kube.start()
    c.put(c.this_node(), *lb("lb", VIP))
    impostor = FakeKube(lab.node("impostor"), lab.link(lab.nodes["node"], lab.nodes["impostor"]).b4, pki=Pki(f"{lab.dir}/other")).start()
    misnamed = FakeKube(lab.node("misnamed"), lab.link(lab.nodes["node"], lab.nodes["misnamed"]).b4, pki=c.kube.pki)
    misnamed.tls.load_cert_chain(*misnamed.pki.leaf("elsewhere", "/CN=elsewhere", "serverAuth", "DNS:elsewhere", "IP:192.0.2.99"))
    misnamed.start()
    c.options.update(kubeconfig=c.kube.kubeconfig(), servers=[impostor.url])
    c.start(current=False)
    wait_for(lambda: "certificate" in c.status()["error"], 20, "another authority")
    c.reload(servers=[misnamed.url])
    wait_for(lambda: misnamed.address in c.status()["error"] or "host" in c.status()["error"].lower(), 20, "another name")
    c.reload(servers=[c.kube.url])
    wait_for(lambda: "401" in c.status()["error"], 20, "no such token")
    assert not impostor.requests and not misnamed.requests and c.tor.has_none(POD4)
    c.kube.write_token("right")
    c.wait_state("current")
    c.sees(VIP)


@cases(timeout=120)
@endurance
@feature("Kubernetes: the API server is away", peer="frr")
def test_one_of_several_servers(lab):
    """The first is not there, the second takes connections and says nothing."""
    c = Cluster(lab, played=True)
    deaf = FakeKube(lab.node("deaf"), lab.link(lab.nodes["node"], lab.nodes["deaf"]).b4, pki=c.kube.pki)
    deaf.deaf = True
    deaf.start()
    c.kube.start()
    c.put(c.this_node(), *lb("lb", VIP))
    c.options.update(kubeconfig=c.kube.kubeconfig(), servers=[f"https://{c.link.b4}:6443", deaf.url, c.kube.url])
    c.start(current=False)
    c.sees(VIP, timeout=60)
    assert c.status()["apiServer"] == c.kube.url
    c.kube.stop()
    c.wait_state("stale")
    c.kube.start()
    c.wait_state("current", timeout=60)
    assert c.tor.has(f"{VIP}/32")



@feature("Kubernetes: the API server is away", peer="frr")
def test_stale_after(lab):
    c = played(lab, kubernetes={"stale-after": "1s"})
    c.kube.stop()
    c.sees_not(VIP)
    c.sees(POD4, POD6, c.address4)
    c.kube.start()
    c.sees(VIP)
