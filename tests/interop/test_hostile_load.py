"""A peer can never block or bloat the daemon, and neither can a rude control client: floods, deafness, leaks."""
import contextlib
import os
import resource
import socket
import struct
import subprocess
import threading
import time

import netns
import rawbgp as bgp
import underlay
from lab import SLOW, LabError, never_during, wait_for
from rack import Quiet, Rack, attributes, bounded, cpu
from runner import cases, endurance, feature
from topology import POD4, TOR_AS
from underlay import UNDERLAYD

# A peer that takes, or gives, more than its share.


@feature("Floods and exhaustion")
@endurance
def test_keepalives_on_time_while_routes_pour_in(lab):
    """200,000 routes, withdrawn and announced again, beside floods of KEEPALIVE and ROUTE-REFRESH."""
    rack = Rack(lab, 4, fib={"install": False})
    quiet = Quiet(rack, 0)
    big, flood, asks = rack.session(1), rack.session(2), rack.session(3)
    routes = bgp.host_routes(200000)
    big.send(*[bgp.update(attributes(), piece) for piece in routes])
    flood.send(bgp.keepalive() * 50000)
    rack.wait_routes(200000, 1)
    sink = threading.Thread(target=asks.hung_up, args=(60,), daemon=True)
    sink.start()
    asks.send(bgp.refresh() * 20000, bgp.refresh(2) * 20000, bgp.refresh(1, 1) * 1000, bgp.refresh(25, 0, 70) * 1000)
    big.send(*[bgp.update(withdrawn=piece) for piece in routes])
    rack.wait_routes(0, 1)
    wait_for(lambda: rack.info(3)["messageStats"]["routeRefreshRecv"] == 42000, what="all requests are read")
    assert rack.underlay.established(rack.addresses[2]) and rack.underlay.established(rack.addresses[3])
    # However often it is asked, what waits to be sent is sent once: far fewer UPDATEs than requests.
    assert rack.info(3)["messageStats"]["updatesSent"] < 20000, rack.info(3)["messageStats"]
    quiet.was_served()
    rack.unharmed()


@feature("Floods and exhaustion")
@endurance
def test_refresh_flood_over_a_large_table_is_bounded(lab):
    """The worst case: everything is exported, and the one who asks is the one whom it came from."""
    rack = Rack(lab, 3, fib={"install": False}, keys={"export": "all"})
    quiet, asks = Quiet(rack, 0), rack.session(1)
    asks.send(*[bgp.update(attributes(), piece) for piece in bgp.host_routes(200000)])
    rack.wait_routes(200000, 1)
    threading.Thread(target=asks.hung_up, args=(60,), daemon=True).start()
    before = cpu(rack)
    asks.send(bgp.refresh() * 30000)
    wait_for(lambda: rack.info(1)["messageStats"]["routeRefreshRecv"] == 30000, what="all requests are read")
    assert cpu(rack) - before < 2 * SLOW, f"{cpu(rack) - before:.1f}s for 30,000 requests"
    quiet.was_served()
    rack.unharmed()


@feature("Floods and exhaustion")
def test_peer_that_never_reads(lab):
    """What waits for it is one buffer and bits; it sends keepalives, so the session stays."""
    rack = Rack(lab, 3, fib={"install": False}, keys={"export": "all"})
    quiet = Quiet(rack, 0)
    deaf = rack.session(1, receive_buffer=4096)
    big = rack.session(2)
    before = rack.rss()
    threading.Thread(target=big.hung_up, args=(60,), daemon=True).start()
    one = bgp.host_routes(200000)
    for med in range(3):  # the same routes again and again: the last word on each wins
        big.send(*[bgp.update(attributes(bgp.attribute(0x80, 4, struct.pack(">I", med))), piece) for piece in one])
        deaf.send(bgp.keepalive() * 10)
    rack.wait_routes(200000, 2)
    wait_for(lambda: rack.info(1)["messageStats"]["updatesSent"] > 10, what="something is on its way to it")
    deaf.send(bgp.refresh() * 1000, bgp.keepalive())
    wait_for(lambda: rack.info(1)["messageStats"]["routeRefreshRecv"] == 1000, what="its requests are read")
    bounded(before, rack.rss(), 60, "200,000 routes and a peer that does not read")
    assert rack.underlay.established(rack.addresses[1])
    quiet.was_served()
    deaf.close()
    rack.unharmed()


@feature("Floods and exhaustion")
@endurance
def test_attributes_are_released_with_their_routes(lab):
    """100,000 distinct communities, with long paths and lists among them: accounted for, and gone when withdrawn."""
    rack = Rack(lab, 2, fib={"install": False})
    quiet, peer = Quiet(rack, 0), rack.session(1)
    attribute_memory = lambda: rack.underlay.ctl("show memory")["attributes"]
    messages = []
    for i in range(100000):
        more = bgp.communities(i) if i % 50 else bgp.communities(*range(i, i + 400))
        path = (TOR_AS,) if i % 100 else (TOR_AS, *range(200000 + i, 200300 + i))
        messages.append(bgp.update(attributes(more, path=path), b"\x20" + struct.pack(">I", 0x64400000 + i)))
    stream = b"".join(messages)

    def burst():
        peer.send(stream)
        rack.wait_routes(100000, 1)
        full = attribute_memory()
        assert full["count"] > 100000 and full["bytes"] > 100000 * 64, full
        peer.send(*[bgp.update(withdrawn=piece) for piece in bgp.host_routes(100000)])
        rack.wait_routes(0, 1)
        empty = attribute_memory()
        # What the cache of the session remembers stays: 256 of them.
        assert empty["count"] < 300 and empty["bytes"] < full["bytes"] - 100000 * 64, (full, empty)

    before = rack.rss()
    burst()
    after = rack.rss()
    bounded(before, after, 60, "100,000 attributes that are gone")
    burst()
    bounded(after, rack.rss(), 3, "the same once more takes no more")
    quiet.was_served()
    rack.unharmed()


@feature("Floods and exhaustion")
@endurance
def test_next_hops_without_end(lab):
    """A peer can name as many as its subnet has addresses, and a next hop costs the kernel's side work."""
    rack = Rack(lab, 2)
    quiet, peer = Quiet(rack, 0), rack.session(1)
    hop = lambda i: attributes(hop=f"10.9.{10 + i // 250}.{1 + i % 250}")
    # One after the other on one prefix, faster than they can be resolved: what was in between is never asked.
    before = rack.rss()
    for _ in range(3):
        peer.send(*[bgp.update(hop(i), bgp.nlri("198.18.0.0/24")) for i in range(40000)])
    wait_for(lambda: rack.underlay.next_hops("198.18.0.0/24") == ["10.9.169.250"], what="the last one counts")
    bounded(before, rack.rss(), 3, "120,000 next hops one after the other")
    # All at once: that is too much, and costs this peer its session, but not the others theirs.
    peer.send(*[bgp.update(hop(i), b"\x20" + struct.pack(">I", 0x64400000 + i)) for i in range(16500)])
    peer.expect_notification(6, 8)
    wait_for(lambda: set(rack.underlay.kernel()) == {POD4}, 40, "nothing of it is left")
    assert [n for n in rack.node.ip_json("nexthop", "show") if str(n.get("protocol")) == "87"] == []
    quiet.was_served()
    rack.unharmed()


# Connections.

def knock(rack, number, count):
    """count connections at once from one address, all left open; yields now and then."""
    kept = []
    try:
        for i in range(count):
            sock = bgp.socket_in(rack.tor)
            kept.append(sock)
            sock.bind((rack.addresses[number], 0))
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(("10.9.0.1", 179))
            if i % 100 == 99:
                yield i
    finally:
        for sock in kept:
            sock.close()


@cases(("stranger",), ("peer",))
@feature("Floods and exhaustion")
def test_connections_without_end(lab, who):
    """Descriptors stay bounded, and another peer comes in meanwhile."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    rack = Rack(lab, 2, strangers=1)
    before = rack.descriptors()
    for i in knock(rack, 2 if who == "stranger" else 0, 3000):
        assert rack.descriptors() - before < 100, f"{rack.descriptors()} descriptors"
        if i % 1000 == 999:
            rack.session(1).send(bgp.notification(6, 2)).close()
    wait_for(lambda: rack.descriptors() <= before + 2, what="all are given back")
    rack.session(0)
    rack.unharmed()


@feature("Floods and exhaustion")
def test_descriptors_run_out(lab):
    """Nobody is accepted for a second, but nothing spins and sessions go on."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    script = f'#!/bin/sh\nulimit -n 48\nexec {UNDERLAYD} "$@"\n'
    underlay.UNDERLAYD = lab.write("few-descriptors", script, mode=0o755)  # for this test, which is a process of its own
    rack = Rack(lab, 2, strangers=1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    quiet, before = Quiet(rack, 0), cpu(rack)
    for _ in knock(rack, 2, 1000):
        pass
    wait_for(lambda: "cannot accept connections" in rack.underlay.process.output(), what="descriptors run out")
    assert cpu(rack) - before < 1 * SLOW
    rack.session(1)
    quiet.was_served()
    rack.unharmed()


@feature("Floods and exhaustion")
def test_flapping(lab):
    """A peer that comes and goes is made to wait longer and longer, and leaves nothing behind."""
    rack = Rack(lab, 2, keys={"idle-hold-time": "1s", "idle-hold-max": "60s"})
    quiet = Quiet(rack, 0)
    descriptors, ups, refused = rack.descriptors(), 0, 0
    while ups + refused < 100:
        try:
            peer = rack.session(1, wait=0)
        except LabError:
            refused += 1
            time.sleep(0.01)
            continue
        peer.send(bgp.update(attributes(), bgp.nlri("198.18.0.0/24")))
        peer.close(reset=ups % 2)
        ups += 1
    assert 4 <= ups <= 6, f"{ups} sessions: the back-off starts too soon or not at all"
    wait_for(lambda: rack.descriptors() <= descriptors, what="no descriptor is leaked")
    wait_for(lambda: rack.underlay.gone("198.18.0.0/24"), what="its route is gone")
    quiet.was_served()
    rack.unharmed()


@feature("Floods and exhaustion")
@endurance
def test_flapping_by_order_leaks_nothing(lab):
    """100 sessions with routes, each cleared by the operator, which forgets the errors: nothing piles up."""
    rack = Rack(lab, 2, fib={"install": False})
    quiet, routes = Quiet(rack, 0), [bgp.update(attributes(), piece) for piece in bgp.host_routes(2000)]
    descriptors, memory = rack.descriptors(), None
    for i in range(100):
        peer = rack.session(1).send(*routes)
        if i % 10 == 9:
            rack.wait_routes(2000, 1)
        rack.underlay.command(f"clear bgp {rack.addresses[1]}")
        peer.close()
        if i == 20:
            memory = rack.rss()
    bounded(memory, rack.rss(), 2, "80 sessions")
    wait_for(lambda: rack.descriptors() <= descriptors, what="no descriptor is leaked")
    quiet.was_served()
    rack.unharmed()


@feature("Floods and exhaustion")
def test_log_that_nobody_reads(lab):
    """Standard error is a pipe whose reader has stopped: lines are lost, and nothing else."""
    rack = Rack(lab, 2, start=False)
    out, into = os.pipe()
    rack.underlay.write()
    with netns.inside(rack.node.netns):
        process = subprocess.Popen([UNDERLAYD, "--config", rack.underlay.config_path, "--control-socket",
                                    rack.underlay.socket], stderr=into, start_new_session=True)
    try:
        os.close(into)
        wait_for(lambda: rack.underlay.ctl("show bgp summary"), what="it answers")
        for _ in range(1000):  # each connection is worth several lines at level debug
            peer = rack.speaker(0)
            peer.connect("10.9.0.1").close()
        os.set_blocking(out, False)
        assert len(os.read(out, 1 << 20)) >= 60000, "the pipe was full"
        rack.session(1)
    finally:
        process.terminate()
        process.wait(10 * SLOW)
        os.close(out)


# Whoever may open the control socket may still be confused.

def control(rack):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10 * SLOW)
    sock.connect(rack.underlay.socket)
    return sock


def drain(sock):
    with contextlib.suppress(OSError):
        out = b""
        while more := sock.recv(65536):
            out += more
        return out
    return out


@feature("Floods and exhaustion")
def test_control_socket_takes_garbage(lab):
    rack = Rack(lab, 1)
    quiet = Quiet(rack, 0)
    before, memory = rack.descriptors(), rack.rss()
    for junk in (b"\n" * 5000, b"\0\n", b"\xff" * 1000 + b"\n", os.urandom(100000) + b"\n", b"GET / HTTP/1.1\r\n\r\n",
                 b"json\n", b"text \n", b"text " + b"show " * 10000 + b"\n", b"json show bgp " + b"9" * 100000 + b"\n",
                 b"text advertise " + b"1.1.1.1/33 " * 50000 + b"\n", b"half a line"):
        sock = control(rack)
        with contextlib.suppress(OSError):
            sock.sendall(junk)
        sock.shutdown(socket.SHUT_WR)
        drain(sock)
        sock.close()
    endless = control(rack)
    with contextlib.suppress(OSError):
        for _ in range(50):  # 50 MiB without a newline: it stops listening after one
            endless.sendall(b"x" * 1048576)
    assert b"longer than" in drain(endless)
    endless.close()
    bounded(memory, rack.rss(), 8, "garbage on the control socket")
    wait_for(lambda: rack.descriptors() <= before, what="no descriptor is leaked")
    quiet.was_served()
    rack.unharmed()


@feature("Floods and exhaustion")
def test_hundred_control_clients(lab):
    rack = Rack(lab, 1)
    quiet = Quiet(rack, 0)
    before = rack.descriptors()
    clients = []
    for _ in range(100):
        sock = control(rack)
        with contextlib.suppress(OSError):
            sock.sendall(b"json show bgp summary\n")
        clients.append(sock)
    assert rack.descriptors() - before <= 33, rack.descriptors()
    answers = [sock.recv(65536) for sock in clients]
    assert sum(b"routerId" in a for a in answers) == 32, answers[:1]
    assert sum(b"too many clients" in a for a in answers) == 68
    for sock in clients:
        sock.close()
    wait_for(lambda: rack.descriptors() <= before, what="all are given back")
    rack.info()
    quiet.was_served()
    rack.unharmed()


@feature("Floods and exhaustion")
def test_control_clients_that_never_read(lab):
    """Ten ask for 100,000 routes again and again, and read nothing of it."""
    rack = Rack(lab, 2, fib={"install": False})
    quiet, peer = Quiet(rack, 0), rack.session(1)
    peer.send(*[bgp.update(attributes(), piece) for piece in bgp.host_routes(100000)])
    rack.wait_routes(100000, 1)
    memory, clients = rack.rss(), []
    for _ in range(10):
        sock = control(rack)
        sock.sendall(b"json show bgp ipv4 unicast\n" * 1000)
        clients.append(sock)
    peer.send(*[bgp.update(withdrawn=piece) for piece in bgp.host_routes(50000)])
    rack.wait_routes(50000, 1)
    never_during(lambda: not rack.underlay.process.alive, 1)
    bounded(memory, rack.rss(), 16, "ten clients that do not read")
    idle = cpu(rack)
    time.sleep(0.5)
    assert cpu(rack) - idle < 0.25, "the daemon spins"
    for sock in clients:
        sock.close()
    quiet.was_served()
    rack.unharmed()
