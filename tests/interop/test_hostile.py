"""A peer can never crash, block or bloat the daemon: a ToR that a test plays byte by byte, and rude control clients."""
import contextlib
import json
import os
import resource
import socket
import struct
import threading
import time

import rawbgp as bgp
from lab import SLOW, LabError, never_during, wait_for
from rawbgp import Speaker
from runner import cases
from topology import POD4, TOR_AS
from underlay import UNDERLAYD, Underlay, tor

with open(UNDERLAYD, "rb") as f:
    SANITIZED = b"__asan_init" in f.read()  # the sanitizer keeps freed memory: its RSS says nothing


class Rack:
    """The daemon at 10.9.0.1/16 and a played ToR with as many addresses as wanted, each a peer of its own."""

    def __init__(self, lab, peers=1, strangers=0, start=True, keys=None, **sections):
        self.lab, self.node, self.tor = lab, lab.node("node"), lab.node("tor")
        lab.link(self.node, self.tor, number=0)
        self.node.address("to-tor", "10.9.0.1/16", "fd00:9::1/64")
        self.addresses = [f"10.9.1.{i + 1}" for i in range(peers + strangers)]
        self.tor.address("to-node", *[f"{a}/16" for a in self.addresses], "fd00:9::2/64")
        keys = {"passive": True, **(keys or {})}
        self.underlay = Underlay(self.node, [tor(a, **keys) for a in self.addresses[:peers]],
                                 **{"advertise": {"pod-cidrs": [POD4]}, **sections})
        if start:
            self.underlay.start()
            self.pid = self.underlay.speaker()

    def speaker(self, number=0, **keys):
        return Speaker(self.tor, self.addresses[number], TOR_AS, f"10.255.0.{number + 1}", **keys)

    def session(self, number=0, **keys):
        return self.speaker(number).establish("10.9.0.1", **keys)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def rss(self):
        """MiB of the speaker."""
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024

    def unharmed(self):
        assert self.underlay.process.alive and self.underlay.speaker() == self.pid, "the speaker was restarted"

    def info(self, number=0):
        return self.underlay.neighbor(self.addresses[number])

    def wait_routes(self, count, number=0, timeout=20):
        def received():
            return self.underlay.summary()["peers"][self.addresses[number]]["pfxRcd"] == count
        wait_for(received, timeout, f"{count} routes from {self.addresses[number]}")


def attributes(*more, path=(TOR_AS,), hop="10.9.1.1"):
    return bgp.origin() + bgp.as_path(*path) + bgp.next_hop(hop) + b"".join(more)


def bounded(before, after, mebibytes, what):
    if not SANITIZED:
        assert after - before < mebibytes, f"{what}: {before:.1f} -> {after:.1f} MiB"


# What goes wrong on the wire gets the answer that the RFC says, and nobody else notices.

HEADERS = [
    (b"\xff" * 15 + b"\xfe" + struct.pack(">HB", 19, 4), 1, b""),
    (b"\0" * 16 + struct.pack(">HB", 19, 4), 1, b""),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, b""),
    (bgp.message(4, length=18), 2, b"\0\x12"),
    (bgp.message(4, length=0), 2, b"\0\0"),
    (bgp.message(4, length=20) + b"\0", 2, b"\0\x14"),
    (bgp.message(2, length=4097), 2, b"\x10\x01"),
    (bgp.message(2, length=65535), 2, b"\xff\xff"),
    (bgp.message(1, b"\0" * 9), 2, b"\0\x1c"),
    (bgp.message(2, b"\0" * 3), 2, b"\0\x16"),
    (bgp.message(3, b"\6"), 2, b"\0\x14"),
    (bgp.message(5, b"\0" * 3), 2, b"\0\x16"),
    (bgp.message(0), 3, b"\0"),
    (bgp.message(6), 3, b"\6"),
    (bgp.message(255), 3, b"\xff"),
]


def test_header_errors(lab):
    """RFC 4271 6.1, in OpenSent and in Established."""
    rack = Rack(lab, 2 * len(HEADERS))
    for i, (data, subcode, says) in enumerate(HEADERS):
        rack.speaker(2 * i).connect("10.9.0.1").send(data).expect_notification(1, subcode, says)
        rack.session(2 * i + 1).send(data).expect_notification(1, subcode, says)
    rack.session(0).send(bgp.message(5, b"\0\1\0\1\0")).expect_notification(1, 2, b"\0\x18")
    rack.unharmed()


MISSING = bytes((1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1))
OPENS = [
    ("version 3", {"version": 3}, 1, b"\0\4"),
    ("version 5", {"version": 5}, 1, b"\0\4"),
    ("another AS", {"asn": 65100}, 2, struct.pack(">H", 65100)),
    ("AS 0", {"my_as": 0}, 2, None),
    ("AS 0 in the capability", {"params": bgp.parameters(bgp.MP4, bgp.as4(0))}, 2, None),
    ("hold time 1", {"hold": 1}, 6, None),
    ("hold time 2", {"hold": 2}, 6, None),
    ("identifier 0", {"router_id": "0.0.0.0"}, 3, None),
    ("authentication", {"params": b"\1\1\0"}, 4, None),
    ("unknown parameter", {"params": b"\x63\0"}, 4, None),
    ("parameters beyond the end", {"params": b"", "params_len": 9}, 0, None),
    ("octets after the parameters", {"params": b"\2\0", "params_len": 0}, 0, None),
    ("parameter beyond the end", {"params": b"\2\7\1\4"}, 0, None),
    ("capability beyond the end", {"params": b"\2\4\1\4\0\1"}, 0, None),
    ("AS capability of 2 octets", {"params": b"\2\4\x41\2\xfd\xe9"}, 0, None),
    ("extended parameters beyond the end", {"params": b"\xff\xff\xff\2\0", "params_len": 255}, 0, None),
    ("no common family", {"params": bgp.parameters(bytes((1, 4, 0, 25, 0, 70)))}, 7, MISSING),
]


def test_open_errors(lab):
    """RFC 4271 6.2, 5492, 6286, 7607, 9072."""
    rack = Rack(lab, len(OPENS) + 2)
    for i, (what, keys, subcode, says) in enumerate(OPENS):
        peer = rack.speaker(i).connect("10.9.0.1").open(**keys)
        try:
            peer.expect_notification(2, subcode, says)
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from None
    # Good ones, to show that the rows above are refused for what they say: RFC 9072's form, and many unknown capabilities.
    extended = b"".join(struct.pack(">BH", 2, len(c)) + c for c in (bgp.MP4, bgp.as4(TOR_AS)))
    rack.session(len(OPENS), params=b"\xff" + struct.pack(">H", len(extended)) + extended, params_len=255)
    rack.session(len(OPENS) + 1, params=bgp.parameters(bgp.MP4, bgp.as4(TOR_AS), *[bytes((c, 0)) for c in range(200, 250)]))
    rack.unharmed()


def test_messages_in_the_wrong_state(lab):
    """RFC 6608: the state is the subcode, the type of the message the data."""
    rows = [(bgp.keepalive(), 4), (bgp.update(), 2), (bgp.refresh(), 5)]
    rack = Rack(lab, 8)
    peers = iter(range(8))
    for data, kind in rows:
        rack.speaker(next(peers)).connect("10.9.0.1").send(data).expect_notification(5, 1, bytes((kind,)))
    for data, kind in [(bgp.open_message(TOR_AS, "10.255.0.9"), 1), *rows[1:]]:
        peer = rack.speaker(next(peers)).connect("10.9.0.1").open()
        peer.expect(bgp.KEEPALIVE)
        peer.send(data).expect_notification(5, 2, bytes((kind,)))
    rack.session(next(peers)).send(bgp.open_message(TOR_AS, "10.255.0.9")).expect_notification(5, 3, b"\1")
    # A NOTIFICATION is never answered with one.
    peer = rack.speaker(next(peers)).connect("10.9.0.1").send(bgp.notification(9, 200, b"x" * 4000))
    peer.expect(bgp.OPEN)
    assert peer.receive() is None
    rack.unharmed()


MALFORMED = {
    "origin of 2 octets": bgp.attribute(0x40, 1, b"\0\0") + bgp.as_path(TOR_AS) + bgp.next_hop("10.9.1.1"),
    "origin 3": bgp.origin(3) + bgp.as_path(TOR_AS) + bgp.next_hop("10.9.1.1"),
    "origin with optional flag": bgp.attribute(0xc0, 1, b"\0") + bgp.as_path(TOR_AS) + bgp.next_hop("10.9.1.1"),
    "no origin": bgp.as_path(TOR_AS) + bgp.next_hop("10.9.1.1"),
    "no path": bgp.origin() + bgp.next_hop("10.9.1.1"),
    "no next hop": bgp.origin() + bgp.as_path(TOR_AS),
    "another AS first": attributes(path=(65009, TOR_AS)),
    "AS 0": attributes(path=(TOR_AS, 0)),
    "empty segment": bgp.origin() + bgp.attribute(0x40, 2, b"\2\0") + bgp.next_hop("10.9.1.1"),
    "segment overrun": bgp.origin() + bgp.attribute(0x40, 2, b"\2\2\0\0\xfd\xe9") + bgp.next_hop("10.9.1.1"),
    "unknown segment": bgp.origin() + bgp.attribute(0x40, 2, b"\7\1\0\0\xfd\xe9") + bgp.next_hop("10.9.1.1"),
    "next hop of 3": bgp.origin() + bgp.as_path(TOR_AS) + bgp.attribute(0x40, 3, b"\12\11\1"),
    "next hop multicast": attributes(hop="224.0.0.5"),
    "next hop loopback": attributes(hop="127.0.0.1"),
    "med of 3": attributes(bgp.attribute(0x80, 4, b"\0\0\1")),
    "communities of 5": attributes(bgp.attribute(0xc0, 8, b"\0" * 5)),
    "large communities of 13": attributes(bgp.attribute(0xc0, 32, b"\0" * 13)),
    "extended communities of 7": attributes(bgp.attribute(0xc0, 16, b"\0" * 7)),
    "last attribute overruns": attributes(b"\x80\4\x50\0"),
    "one octet of an attribute": attributes(b"\x80"),
    "nothing but routes": b"",
}
HARMLESS = {
    "local preference from outside": attributes(bgp.attribute(0x40, 5, b"\0\0\0\1")),
    "atomic aggregate of 1": attributes(bgp.attribute(0x40, 6, b"\0")),
    "aggregator of 3": attributes(bgp.attribute(0xc0, 7, b"\0\0\1")),
    "origin twice": attributes(bgp.origin(9)),
    "unknown optional": attributes(bgp.attribute(0xc0, 99, b"\xaa" * 300), bgp.attribute(0x80, 100, b"")),
}


def test_malformed_attributes_withdraw_the_route(lab):
    """RFC 7606: the session stays, and what the route was before is gone, from the kernel too."""
    rack = Rack(lab)
    bad = {what: f"198.18.{i}.0/24" for i, what in enumerate(MALFORMED)}
    good = {what: f"198.19.{i}.0/24" for i, what in enumerate(HARMLESS)}
    both = [*bad.values(), *good.values()]
    peer = rack.session().send(bgp.update(attributes(), bgp.nlri(*both, "203.0.113.0/24")))
    wait_for(lambda: rack.underlay.installed(*both), what="all in the kernel")
    peer.send(*[bgp.update(MALFORMED[what], bgp.nlri(prefix)) for what, prefix in bad.items()],
              *[bgp.update(HARMLESS[what], bgp.nlri(prefix)) for what, prefix in good.items()])
    rack.wait_routes(len(good) + 1)
    wait_for(lambda: set(rack.underlay.kernel()) == {*good.values(), "203.0.113.0/24", POD4}, what="only the good ones stay")
    peer.send(bgp.update(attributes(), bgp.nlri(*both)))
    wait_for(lambda: rack.underlay.installed(*both), what="announced well, they come back")
    assert rack.underlay.established() and rack.info()["connectionsDropped"] == 0
    rack.unharmed()


RESETS = [
    (bgp.update(attributes(), b"\x21\x0a\0\0\0\0"), 10),
    (bgp.update(attributes(), b"\x18\x0a\0"), 10),
    (bgp.update(withdrawn=b"\xff"), 10),
    (bgp.message(2, b"\0\x09\0\0"), 1),
    (bgp.message(2, b"\0\0\0\x09"), 1),
    (bgp.message(2, b"\xff\xff\xff\xff" + b"\0" * 4000), 1),
    (bgp.update(bgp.origin() + bgp.as_path(TOR_AS) + bgp.mp_reach6("fd00:9::2", b"\x81" + b"\0" * 17)), 9),
    (bgp.update(bgp.attribute(0x80, 15, b"\0\2\1\x80\0")), 9),
    (bgp.update(bgp.attribute(0x80, 15, b"\0\2\1") * 2), 1),
    (bgp.update(attributes(bgp.attribute(0x40, 200, b"\0")), bgp.nlri("198.18.0.0/24")), 2),
    (bgp.update(bgp.origin(7)), 6),
]


def test_routes_that_cannot_be_parsed_reset_the_session(lab):
    """RFC 7606 3 b, g, j and 5.3: nobody knows what was announced."""
    rack = Rack(lab, len(RESETS))
    for i, (data, subcode) in enumerate(RESETS):
        peer = rack.session(i).send(bgp.update(attributes(), bgp.nlri(f"198.18.{i}.0/24")), data)
        peer.expect_notification(3, subcode)
    wait_for(lambda: set(rack.underlay.kernel()) == {POD4}, what="nothing of theirs is left")
    rack.unharmed()


def test_one_byte_at_a_time(lab):
    rack = Rack(lab)
    peer = rack.speaker().connect("10.9.0.1")
    peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = (bgp.open_message(TOR_AS, "10.255.0.1") + bgp.keepalive() +
              bgp.update(attributes(bgp.communities(*range(40))), bgp.nlri("198.18.0.0/24", "0.0.0.0/0", "198.18.1.1/32")))
    for byte in stream:
        peer.send(bytes((byte,)))
    rack.wait_routes(2)  # the default route is not accepted
    rack.unharmed()


def test_half_a_message_and_then_silence(lab):
    rack = Rack(lab, 2, keys={"hold-time": "3s"})
    began = time.monotonic()
    half = rack.session(0).send(bgp.update(attributes(), bgp.nlri("198.18.0.0/24"))[:30])
    # Bytes that never make a message are no sign of life.
    drip = rack.session(1).send(bgp.message(2, length=4096))

    def trickle():
        with contextlib.suppress(OSError):
            while True:
                drip.send(b"\0")
                time.sleep(0.2)

    threading.Thread(target=trickle, daemon=True).start()
    half.expect_notification(4, 0, b"", timeout=6)
    drip.expect_notification(4, 0, b"", timeout=6)
    assert time.monotonic() - began > 2.5
    rack.unharmed()


# A peer that takes, or gives, more than its share.



class Quiet(threading.Thread):
    """A well-behaved peer beside the rude one: its keepalives come on time, all the while."""

    def __init__(self, rack, number):
        super().__init__(daemon=True)
        self.peer, self.worst, self.lost = rack.session(number, hold=3), 0, None
        self.stop = False
        self.start()

    def run(self):
        last = sent = time.monotonic()
        try:
            while not self.stop:
                now = time.monotonic()
                if now - sent > 0.5:
                    self.peer.send(bgp.keepalive())
                    sent = now
                if self.peer.readable(0.1):
                    got = self.peer.receive()
                    if got is None or got[0] == bgp.NOTIFICATION:
                        self.lost = f"closed: {got}"
                        return
                    last = time.monotonic()
                self.worst = max(self.worst, time.monotonic() - last)
        except Exception as error:
            self.lost = repr(error)

    def was_served(self):
        self.stop = True
        self.join()
        assert not self.lost, f"the quiet peer lost its session: {self.lost}"
        assert self.worst < 1.6 * SLOW, f"the quiet peer heard nothing for {self.worst:.2f}s"


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


def cpu(rack):
    with open(f"/proc/{rack.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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


def test_descriptors_run_out(lab):
    """Nobody is accepted for a second, but nothing spins and sessions go on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (48, hard))  # the daemon's from its start on
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


@cases(("10.255.0.1", "ours"), ("10.255.9.9", "ours"), ("10.255.0.1", "theirs"), ("10.255.9.9", "theirs"))
def test_collision_keeps_the_connection_of_the_higher_identifier(lab, router_id, first):
    """RFC 4271 6.8: whichever OPEN comes first, the one with the higher identifier keeps the connection that it made."""
    rack = Rack(lab, 1, start=False, keys={"passive": False, "connect-retry-time": "60s"})
    listener = bgp.socket_in(rack.tor)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((rack.addresses[0], 179))
    listener.listen()
    listener.settimeout(5 * SLOW)
    rack.underlay.start()
    rack.pid = rack.underlay.speaker()
    ours, theirs = rack.speaker(), rack.speaker()
    ours.sock = listener.accept()[0]
    ours.expect(bgp.OPEN)
    theirs.connect("10.9.0.1").expect(bgp.OPEN)
    one, two = (ours, theirs) if first == "ours" else (theirs, ours)
    one.open(router_id=router_id)
    one.expect(bgp.KEEPALIVE)
    two.open(router_id=router_id)
    winner, loser = (theirs, ours) if router_id > "10.255.1.1" else (ours, theirs)
    loser.expect_notification(6, 7)
    if winner is two:
        winner.expect(bgp.KEEPALIVE)
    winner.send(bgp.keepalive())
    rack.underlay.wait_established()
    # A third one, now that the session stands, loses whatever it says.
    rack.speaker().connect("10.9.0.1").open(router_id="10.255.255.255").expect_notification(6, 7)
    assert rack.underlay.established() and rack.info()["connectionsDropped"] == 0
    rack.unharmed()


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


# What a peer says is shown, and shown only.

TEXTS = {
    "plain": (b"rack 7 moves", "rack 7 moves"),
    "of 255 octets": (b"x" * 255, "x" * 255),
    "control characters": (b"a\n2026 error forged\x1b[2J\x07\r\"}\\", "a?2026 error forged?[2J??\"}\\"),
    "C1, line separator, direction": ("\u009b31m\u2028\u202eabc".encode(), "?31m??abc"),
    "zero": (b"a\0b", "a?b"),
    "UTF-8": ("Wartung \u00fcber Nacht \U0001f6a7".encode(), "Wartung \u00fcber Nacht \U0001f6a7"),
    "not UTF-8": (b"\xff\xfe\x80", "(malformed message)"),
    "overlong": (b"\xc0\xaf", "(malformed message)"),
    "longer than it is": (None, "(malformed message)"),
}


def test_shutdown_text_is_sanitised(lab):
    """RFC 9003, in text, in JSON and in the log of both formats."""
    rack = Rack(lab, len(TEXTS) + 1, log={"level": "debug", "format": "json"})
    for i, (sent, _) in enumerate(TEXTS.values()):
        data = b"\xff short" if sent is None else bytes((len(sent),)) + sent
        rack.session(i).send(bgp.notification(6, 2, data))
    rack.session(len(TEXTS)).send(bgp.notification(6, 2, b"\x03abc" + os.urandom(4000)))
    for i, (what, (_, shown)) in enumerate([*TEXTS.items(), ("trailing octets", (None, "abc"))]):
        wait_for(lambda: "lastShutdownDescription" in rack.info(i), what=what)
        assert rack.info(i)["lastShutdownDescription"] == shown, (what, rack.info(i)["lastShutdownDescription"])
    text = rack.underlay.ctl("show bgp neighbors", json_out=False).stdout
    bad = [c for c in text if (ord(c) < 32 and c != "\n") or 0x7f <= ord(c) < 0xa0 or c in "\u2028\u202e"]
    assert not bad, bad
    assert not any(line.startswith("2026 error forged") for line in text.splitlines())
    for line in rack.underlay.process.output().splitlines():
        if line.startswith("{"):
            json.loads(line)
    rack.unharmed()


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
