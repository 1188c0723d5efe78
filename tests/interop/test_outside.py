"""What others see of the node from outside: /metrics, /healthz, /readyz, and a drain as the ToR sees it."""
import concurrent.futures
import json
import os
import signal

import rawhttp
from lab import ROOT, SLOW, wait_for
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
from rawhttp import get
from runner import feature
from topology import FAR4, POD4, POD6, Dual, Pair
from underlay import Underlay

METRICS = {"metrics": {"listen": f"127.0.0.1:{rawhttp.PORT}"}}
PROMETHEUS = ("application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
              "text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
SHUTDOWN = "graceful-shutdown"


def families(node, accept=PROMETHEUS):
    answer = get(node, "/metrics", accept=accept)
    assert answer.status == 200, answer.text
    if "openmetrics" in answer.headers["content-type"]:
        assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        return {m.name: m for m in openmetrics(answer.text)}
    return {m.name: m for m in prometheus(answer.text)}


def value(found, name, **labels):
    """Of the one sample with these labels, among others."""
    (sample,) = [s for m in found.values() for s in m.samples
                 if s.name == name and all(s.labels.get(k) == v for k, v in labels.items())]
    return sample.value


def failing(node):
    return [line.split()[0] for line in get(node, "/readyz").text.splitlines() if line.startswith("[-]")]


@feature("Metrics", peer="frr")
def test_metrics_are_openmetrics_and_true(lab):
    dual = Dual(lab, **METRICS).up()
    dual.learn(FAR4)
    first = dual.links[0].b4
    found = families(dual.node)
    peer = {"peer": first, "peer_as": "65001"}
    assert value(found, "underlay_bgp_peer_state", **peer) == 1
    assert value(found, "underlay_bgp_peer_prefixes_accepted", **peer, afi="ipv4", safi="unicast") == 1
    assert value(found, "underlay_bgp_peer_prefixes_advertised", **peer, afi="ipv6", safi="unicast") == 1
    assert value(found, "underlay_bgp_peer_message_received_total", **peer, type="update") >= 1
    assert found["underlay_bgp_peer_uptime_seconds"].unit == "seconds"
    assert value(found, "underlay_fib_routes", afi="ipv4", state="installed") == 2  # and that of the pod CIDR, unreachable
    assert value(found, "underlay_rib_prefixes", afi="ipv4") == dual.underlay.summary()["ribCount"]
    assert value(found, "underlay_nexthop_groups") == 1
    assert value(found, "underlay_originated_prefixes", source="pod-cidr") == 2
    assert abs(value(found, "process_open_fds") - len(os.listdir(f"/proc/{dual.underlay.speaker()}/fd"))) <= 2
    assert value(found, "underlay_loop_callback_seconds_bucket", le="+Inf") == value(found, "underlay_loop_callback_seconds_count")
    plain = families(dual.node, "text/plain")
    assert value(plain, "underlay_bgp_peer_state", **peer) == 1
    assert plain["underlay_bgp_peer_message_received"].type == "counter", "the older format names the sample"
    with open(os.path.join(ROOT, "etc/man/underlay-metrics.7")) as f:
        manual = f.read().replace(",", " ").split()
    assert not set(found) - set(manual), "not in the manual"
    before = sum(len(m.samples) for m in found.values())
    dual.learn(*[f"172.20.{i}.0/24" for i in range(50)])
    assert sum(len(m.samples) for m in families(dual.node).values()) == before, "series grow with routes"
    dropped = value(families(dual.node), "underlay_bgp_peer_connections_dropped_total", peer=first)
    dual.tors[0].stop()
    wait_for(lambda: value(families(dual.node), "underlay_bgp_peer_state", peer=first) == 0, 20, "the session's end")
    assert value(families(dual.node), "underlay_bgp_peer_connections_dropped_total", peer=first) == dropped + 1


@feature("Metrics", peer="frr")
def test_metrics_of_bfd_where_it_is_configured(lab):
    pair = Pair(lab, "frr", peer={"bfd": True}, neighbor={"bfd": (100, 3)}, **METRICS).up()
    state = lambda: value(families(pair.node), "underlay_bfd_peer_state", peer=pair.theirs)
    wait_for(lambda: state() == 1, 20, "BFD is up")
    assert value(families(pair.node), "underlay_bfd_peer_downs_total", peer=pair.theirs) == 0
    found = families(pair.node)
    late = [value(found, f"underlay_bfd_{name}") for name in ("starvations_total", "longest_starvation_seconds")]
    assert (late[0] > 0) == (late[1] > 0), late
    pair.tor.bfd_process().stop(signal.SIGKILL)
    wait_for(lambda: state() == 0, 20, "BFD is down")
    assert value(families(pair.node), "underlay_bfd_peer_downs_total", peer=pair.theirs) == 1
    pair.underlay.config["peers"][0]["bfd"] = False
    pair.underlay.write()
    pair.underlay.command("reload")
    wait_for(lambda: "underlay_bfd_peer_state" not in {s.name for m in families(pair.node).values() for s in m.samples},
             what="no word of BFD")


@feature("Health and readiness", peer="frr")
def test_ready_when_routes_are_in_the_kernel(lab):
    pair = Pair(lab, "frr", **METRICS)
    pair.underlay.start()
    answer = get(pair.node, "/readyz")
    assert answer.status == 503 and "[+]started ok" in answer.text, answer.text
    assert failing(pair.node) == ["[-]session", "[-]fib"], answer.text
    assert get(pair.node, "/healthz").status == 200, "alive all the same"
    pair.tor.start()
    pair.tor.announce(FAR4)
    wait_for(lambda: get(pair.node, "/readyz").status == 200, 20, "readiness")
    assert pair.underlay.installed(FAR4), "ready before the routes are in the kernel"
    checks = json.loads(get(pair.node, "/readyz", accept="application/json").text)
    assert checks["ok"] and [c["name"] for c in checks["checks"]] == ["started", "session", "fib", "drain", "kubernetes"], checks
    pair.tor.stop()
    wait_for(lambda: failing(pair.node) == ["[-]session"], 20, "not ready without a session")
    os.kill(pair.underlay.process.pid, signal.SIGSTOP)
    try:
        answer = get(pair.node, "/healthz")
    finally:
        os.kill(pair.underlay.process.pid, signal.SIGCONT)
    assert answer.status == 503 and "[-]fib failed" in answer.text, "a parent that hangs is not seen"
    assert get(pair.node, "/healthz").status == 200


def trickle(sock):
    """A byte of a request every now and then, until there is an answer."""
    sock.settimeout(0.3)
    while True:
        try:
            return sock.recv(100)
        except TimeoutError:
            sock.sendall(b"G")


def test_rude_clients_of_http(lab):
    node = lab.node("node")
    underlay = Underlay(node, **METRICS).start()
    pid = underlay.speaker()
    for raw, status in [(b"\r\n\r\n", 400), (b"GET\r\n\r\n", 400), (b"GET /metrics\r\n\r\n", 400), (b"\0\0\r\n\r\n", 400),
                        (b"GET /metrics HTTP/1.1\r\nX: \0\r\n\r\n", 400), (b"GET / HTTP/2.0\r\n\r\n", 505),
                        (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 405), (b"GET /etc HTTP/1.1\r\n\r\n", 404),
                        (b"GET /../etc HTTP/1.1\n\n", 404), (b"GET /metrics?a=b HTTP/1.0\n\n", 200),
                        (b"GET http://node:1/healthz HTTP/1.1\r\n\r\n", 200), (b"GET / HTTP/1.1\r\n" + b"a" * 9000, 431),
                        (b"GET / HTTP/1.1\r\nAccept: " + b";;q=,,*/*;q=9.," * 100 + b"\r\n\r\n", 200)]:
        assert rawhttp.ask(node, raw).status == status, raw[:60]
    head = get(node, "/metrics", method="HEAD")
    assert head.status == 200 and not head.text
    idle = [rawhttp.connect(node) for _ in range(40)]  # more than there are places
    for sock in idle[:20]:
        sock.close()
    deaf = [rawhttp.connect(node) for _ in range(10)]
    for sock in deaf:
        sock.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert get(node, "/healthz").status == 200, "others are served all the same"
    wait_for(lambda: families(node), what="a scrape")
    slow = concurrent.futures.ThreadPoolExecutor(1).submit(trickle, rawhttp.connect(node))
    assert b" 408 " in slow.result(30 * SLOW), "a byte now and then buys time"
    for sock in idle[20:] + deaf:
        sock.close()
    assert underlay.speaker() == pid, "the speaker was restarted"


def test_a_taken_port_costs_the_metrics_only(lab):
    node = lab.node("node")
    with rawhttp.listening(node) as taken:
        underlay = Underlay(node, advertise={"pod-cidrs": [POD4]}, **METRICS).start()
        wait_for(lambda: underlay.installed(POD4), what="its route")
        assert "are off: Address already in use" in underlay.command("show version")
        taken.close()
    underlay.config["metrics"] = {"listen": "127.0.0.1:9818"}
    underlay.write()
    assert "needs a restart of underlayd: metrics.listen" in underlay.command("reload")
    os.kill(underlay.speaker(), signal.SIGKILL)
    wait_for(lambda: get(node, "/healthz", port=9818).status == 200, what="a new speaker on the new port")


def shut(tor, prefix):
    """Whether the ToR has it with GRACEFUL_SHUTDOWN."""
    path = tor.route(prefix)["paths"][0]
    return SHUTDOWN in path.get("community", {}).get("string", "").lower().replace("gracefulshutdown", SHUTDOWN)


@feature("Graceful shutdown (RFC 8326)", peer="frr")
def test_drain_and_undrain(lab):
    policy = {"plain": [{"set": {"community-replace": ["65000:7"]}, "then": "accept"}]}
    pair = Pair(lab, "frr", peer={"export": "plain"}, policies=policy, **METRICS).up()
    pair.learn(FAR4)
    underlay, ToR = pair.underlay, pair.tor
    wait_for(lambda: ToR.has(POD4, POD6))
    underlay.command("drain after 3600")
    wait_for(lambda: shut(ToR, POD4) and shut(ToR, POD6), what="GRACEFUL_SHUTDOWN at the ToR, in spite of the policy")
    assert ToR.has(POD4, POD6) and underlay.installed(FAR4)
    underlay.command("reload")
    old = underlay.speaker()
    wait_for(lambda: "drain-of" in open(f"{underlay.socket}.state").read(), what="state on disk")
    assert underlay.summary()["draining"]["state"] == "gracefulShutdown"
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: underlay.speaker() != old, what="a new speaker")
    underlay.wait_established()
    wait_for(lambda: shut(ToR, POD4), what="still drained")
    assert 3000 < underlay.summary()["draining"]["withdrawalTimerMsecs"] / 1000 < 3600, "the delay goes on"
    wait_for(lambda: failing(pair.node) == ["[-]drain"], what="only the drain stands in the way")
    assert value(families(pair.node), "underlay_draining") == 1
    since = underlay.neighbor()["bgpTimerUpEstablishedEpoch"]
    underlay.command("drain after 0 wait")
    wait_for(lambda: ToR.has_none(POD4, POD6), what="the withdrawal")
    assert underlay.summary()["draining"]["state"] == "withdrawn" and underlay.installed(FAR4, POD4), underlay.kernel()
    underlay.command("drain")
    assert underlay.summary()["draining"]["state"] == "withdrawn", "twice is as once"
    underlay.command("undrain")
    wait_for(lambda: ToR.has(POD4, POD6) and not shut(ToR, POD4), what="all is back")
    assert underlay.neighbor()["bgpTimerUpEstablishedEpoch"] == since, "the session was reset"
    underlay.command("bgp graceful-shutdown")
    wait_for(lambda: shut(ToR, POD4))
    underlay.restart()
    underlay.wait_established()
    wait_for(lambda: ToR.has(POD4) and not shut(ToR, POD4), what="a daemon started anew is not drained")
