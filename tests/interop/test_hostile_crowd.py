"""Too many, too long, too fast: peers of a range, deaf peers, messages of 65535 octets, bursts over a limit, advertisements on a
link, reloads under load."""
import contextlib
import json
import os
import socket
import struct
import threading
import time

import rawbgp as bgp
from lab import SLOW, wait_for
from rack import Quiet, Rack, attributes, bounded
from runner import cases, endurance, feature
from test_hostile_protocol import AS4, EXTENDED, FLOODS, REFRESH, drained, packed, restart
from topology import POD4, TOR_AS
from underlay import Underlay, on_interface

LARGE = packed(bgp.MP4, AS4, REFRESH, EXTENDED)


def full_attributes(what, size=65535 - 19 - 4 - 5 - 40):
    """Attributes that nearly fill a message of RFC 8654."""
    if what == "path":
        return attributes(path=(TOR_AS, *range(100000, 100000 + size // 4 - 140)))
    if what == "communities":
        return attributes(bgp.communities(*range(1, size // 4 - 20)))
    if what == "large communities":
        return attributes(bgp.attribute(0xc0, 32, os.urandom((size - 60) // 12 * 12)))
    return attributes(*[bgp.attribute(0xc0, 200 + i, os.urandom((size - 400) // 20)) for i in range(20)])


@cases(("path",), ("communities",), ("large communities",), ("unknown",))
@feature("RFC 8654 messages that are full")
def test_messages_of_64k(lab, what):
    """Taken, shown, judged by patterns, watched by debug, and not sent where they do not fit."""
    policies = {"judge": [{"match": {"as-path": ["(_[0-9]+)*_9$", "1.{100}$", "([0-9 ]+)+x"]}, "then": "reject"},
                          {"match": {"community": ["65001:*", "*:77", "1:2:3"]}, "set": {"community-add": ["65100:1"]},
                           "then": "next"},
                          {"then": "accept"}]}
    rack = Rack(lab, 4, fib={"install": False}, policies=policies, keys={"export": "all"})
    rack.underlay.config["peers"][3]["import"] = "judge"
    rack.underlay.write()
    rack.underlay.command("reload")
    quiet, short, wide, peer = Quiet(rack, 0), rack.session(1), rack.session(2, **LARGE), rack.session(3, **LARGE)
    for other in (short, wide):
        drained(other)
    before = rack.rss()
    rack.underlay.command(f"debug {rack.addresses[3]} for 60s")
    small = bgp.update(attributes(), bgp.nlri("198.18.0.0/24"))
    peer.send(small)
    wait_for(lambda: rack.info(1)["messageStats"]["updatesSent"] > 1, what="the other peer has it")
    for i in range(50):
        full = full_attributes(what)
        assert len(full) > 60000, len(full)
        peer.send(bgp.update(full, bgp.nlri("198.18.0.0/24", f"198.18.{i}.0/24")))
    peer.send(bgp.update(attributes(), bgp.nlri("198.18.200.0/24")))
    wait_for(lambda: "198.18.200.0/24" in rack.underlay.rib(), what="all of it is read")
    rejected = what == "path"  # more than 4096 octets of it
    shown = rack.underlay.ctl("show bgp ipv4 unicast 198.18.0.0/24")
    json.dumps(shown)
    rack.underlay.command("show bgp ipv4 unicast 198.18.0.0/24")
    rack.underlay.command("show policy judge 198.18.0.0/24")
    for verb in ("filtered-routes", "received-routes"):
        json.dumps(rack.underlay.ctl(f"show bgp neighbors {rack.addresses[3]} {verb}"))
    advertised = lambda n: rack.underlay.ctl(f"show bgp neighbors {rack.addresses[n]} advertised-routes")["advertisedRoutes"]
    wait_for(lambda: "198.18.200.0/24" in advertised(1) and "198.18.0.0/24" not in advertised(1), what="too long for one")
    if not rejected:
        wait_for(lambda: "198.18.0.0/24" in advertised(2), what="the other one can take it")
    assert rack.underlay.established(rack.addresses[1]) and rack.underlay.established(rack.addresses[3])
    bounded(before, rack.rss(), 24, "50 messages of 64 KiB")
    assert len(rack.underlay.process.output()) < 2000000
    quiet.was_served()
    rack.unharmed()


@feature(FLOODS)
@endurance
def test_fifty_deaf_peers(lab):
    """Each costs a buffer; when the send hold timer has run out, nothing."""
    rack = Rack(lab, 52, fib={"install": False}, keys={"export": "all"})
    quiet, before = Quiet(rack, 0), rack.rss()
    deaf = [rack.session(i, receive_buffer=4096, hold=0, **LARGE) for i in range(2, 52)]
    big = drained(rack.session(1))
    big.send(*[bgp.update(attributes(bgp.communities(n)), p) for n, p in enumerate(bgp.host_routes(100000))])
    rack.wait_routes(100000, 1)
    for peer in deaf:
        peer.send(bgp.refresh() * 100)
    wait_for(lambda: rack.info(51)["messageStats"]["routeRefreshRecv"] == 100, what="requests are read")
    # 100,000 bits and a quarter of a MiB each, at most twice over.
    bounded(before, rack.rss(), 60, "fifty peers that do not read")
    for peer in deaf:
        peer.close(reset=True)
    wait_for(lambda: not any(rack.underlay.established(a) for a in rack.addresses[2:]), what="all are gone")
    quiet.was_served()
    rack.unharmed()


# Dynamic neighbours.

def crowd(lab, limit, count, **keys):
    """A node with a range, and a ToR with count addresses in it."""
    rack = Rack(lab, 1, start=False, **keys)
    # Behind a router, and not on the link: there are more than the kernel remembers link-layer addresses.
    rack.underlay.config["peers"].append({"range": "10.20.0.0/16", "asn": "external", "limit": limit, "hold-time": "9s",
                                          "multihop": 2})
    rack.node.ip("route", "add", "10.20.0.0/16", "via", rack.addresses[0])
    rack.tor.ip("route", "add", "local", "10.20.0.0/16", "dev", "lo")
    rack.underlay.start()
    rack.pid = rack.underlay.speaker()
    return rack, [f"10.20.{i // 250}.{1 + i % 250}" for i in range(count)]


def knock(rack, address, data=b""):
    sock = bgp.socket_in(rack.tor)
    sock.bind((address, 0))
    sock.settimeout(5 * SLOW)
    sock.connect(("10.9.0.1", 179))
    if data:
        with contextlib.suppress(OSError):
            sock.sendall(data)
    return sock


@feature(FLOODS)
@endurance
def test_thousands_of_strangers_in_a_range(lab):
    """3,000 addresses connect, most of them say something wrong; others look and clear meanwhile."""
    rack, addresses = crowd(lab, 500, 3000, fib={"install": False})
    quiet, before, descriptors = Quiet(rack, 0), rack.rss(), rack.descriptors()
    words = [b"", bgp.open_message(65100, "10.255.9.9"), bgp.open_message(TOR_AS, "10.255.9.9", version=3), b"\0" * 100,
             bgp.open_message(64999, "10.255.9.8") + bgp.keepalive(), bgp.notification(6, 9, b"\6")]
    stop = False

    def look():
        k = 0
        while not stop:
            k += 1
            rack.underlay.ctl("show bgp summary")
            rack.underlay.ctl("show bgp neighbors", check=False)
            rack.underlay.ctl(f"clear bgp 10.20.0.{1 + k % 250}", json_out=False, check=False)

    watcher = threading.Thread(target=look)
    watcher.start()
    kept, peak = [], 0
    try:
        for i, address in enumerate(addresses):
            kept.append(knock(rack, address, words[i % len(words)]))
            if len(kept) > 300:
                kept.pop(0).close()
            if i % 100 == 0:
                assert rack.descriptors() - descriptors < 500 * 2 + 700, rack.descriptors()
    finally:
        stop = True
        watcher.join()
    for sock in kept:
        sock.close()
    assert rack.underlay.summary()["dynamicPeers"] <= 500
    bounded(before, rack.rss(), 40, "3,000 strangers")
    wait_for(lambda: rack.descriptors() <= descriptors + 3, 60, "all descriptors are given back")
    good = bgp.Speaker(rack.tor, addresses[7], TOR_AS, "10.255.7.7").establish("10.9.0.1", wait=60)
    good.send(bgp.update(attributes(), bgp.nlri("198.18.0.0/24")))
    wait_for(lambda: "198.18.0.0/24" in rack.underlay.rib(), what="one who behaves comes in")
    quiet.was_served()
    rack.unharmed()


# Limits.

@cases(("restart",), ("warn",))
@feature("Prefix limit")
def test_a_burst_far_over_the_limit(lab, action):
    """Half a million prefixes with graceful restart; what is kept or stale is over with the session."""
    rack = Rack(lab, 2, fib={"install": False}, keys={
        "max-prefixes": {"ipv4": 1000, "action": action, **({"restart-after": "1h"} if action == "restart" else {})}})
    quiet, before = Quiet(rack, 0), rack.rss()
    peer = rack.session(1, **packed(bgp.MP4, AS4, REFRESH, restart(4095)))
    burst = b"".join(bgp.update(attributes(), p) for p in bgp.host_routes(500000))
    with contextlib.suppress(OSError):
        peer.send(burst)
    if action == "restart":
        peer.expect_notification(6, 9)  # Hard Reset: it has graceful restart (RFC 8538)
        wait_for(lambda: not rack.underlay.established(rack.addresses[1]))
        rack.wait_routes(0, 1)
        bounded(before, rack.rss(), 8, "what came before the limit")
    else:
        rack.wait_routes(500000, 1)
    log = rack.underlay.process.output()
    assert log.count("than the limit") + log.count("too many prefixes") + log.count("near the limit") < 10, log[-2000:]
    quiet.was_served()
    rack.unharmed()


# Unnumbered.

def advertisement(options=b"", lifetime=1800):
    return struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, lifetime, 0, 0) + options


@feature(FLOODS)
def test_a_link_full_of_routers(lab):
    """Advertisements with options of all lengths, solicitations, each from another address."""
    node, far = lab.node("node"), lab.node("far")
    link = lab.link(node, far, number=0)
    underlay = Underlay(node, [on_interface(link.dev_a)], advertise={"pod-cidrs": [POD4]}).start()
    pid = underlay.speaker()
    raw = bgp.socket_in(far, socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86dd))  # with headers of our own
    addresses = [socket.inet_pton(socket.AF_INET6, f"fe80::{i:x}") for i in range(2, 4000)]
    everyone, routers = (socket.inet_pton(socket.AF_INET6, a) for a in ("ff02::1", "ff02::2"))

    where = {d: (link.dev_b, 0x86dd, 0, 0, b"\x33\x33" + d[12:]) for d in (everyone, routers)}

    def say(source, dest, icmp):
        pseudo = source + dest + struct.pack(">II", len(icmp), 58) + icmp + b"\0" * (len(icmp) % 2)
        total = sum(struct.unpack(f">{len(pseudo) // 2}H", pseudo))
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        icmp = icmp[:2] + struct.pack(">H", ~total & 0xffff) + icmp[4:]
        packet = struct.pack(">IHBB", 6 << 28, len(icmp), 58, 255) + source + dest + icmp
        raw.sendto(packet, where[dest])

    wait_for(lambda: underlay.neighbor()["routerAdvertisementsSent"] > 0, what="it advertises itself")
    start, sent = time.monotonic(), underlay.neighbor()["routerAdvertisementsSent"]
    for i in range(20000):
        source = addresses[i % len(addresses)]
        option = bytes((1 + i % 40, 1 + i % 5)) + b"\xff" * (8 * (1 + i % 5) - 2)
        say(source, everyone, advertisement(option * (1 + i % 20)))
        if i % 4 == 0:
            say(source, routers, bytes((133, 0)) + b"\0" * 6 + (bytes((1, 1)) + b"\2" * 6 if i % 8 else b""))
    for size in (1, 2, 7, 15, 16, 17, 24, 1000, 1400):
        say(addresses[0], everyone, (advertisement() + os.urandom(1500))[:size])
    took = time.monotonic() - start
    wait_for(lambda: underlay.neighbor()["routerAdvertisementsRecv"] > 1000, what="it has heard of them")
    answers = underlay.neighbor()["routerAdvertisementsSent"] - sent
    assert answers < 8 + 4 * took, f"{answers} answers in {took:.1f}s"
    assert underlay.process.output().count("a second router") < 50
    assert underlay.speaker() == pid


@feature(FLOODS)
def test_an_interface_that_flaps(lab):
    """200 times in a row; then the session comes up as if nothing had been."""
    a, b = lab.node("a"), lab.node("b")
    link = lab.link(a, b, number=0)
    one = Underlay(a, [on_interface(link.dev_a)], id="10.255.1.1", advertise={"pod-cidrs": ["10.244.1.0/24"]}).start()
    two = Underlay(b, [on_interface(link.dev_b)], 65101, id="10.255.1.2", advertise={"pod-cidrs": ["10.244.2.0/24"]}).start()
    one.wait_established()
    pids = one.speaker(), two.speaker()
    a.run("ip", "-batch", "-", input=f"link set {link.dev_a} down\nlink set {link.dev_a} up\n" * 200)
    one.wait_established(timeout=40)
    wait_for(lambda: one.installed("10.244.2.0/24") and two.installed("10.244.1.0/24"), 40, "routes are there again")
    assert (one.speaker(), two.speaker()) == pids
    assert one.process.output().count("\n") < 5000


# The operator.

@feature("Policy: reload")
@endurance
def test_reloads_under_load(lab):
    """The policy changes ten times a second while a peer floods: the sessions stay, and nothing piles up."""
    def policies(n):
        return {"p": [{"match": {"prefix": [f"198.18.{i}.0/24" for i in range(n % 200)] or ["198.18.0.0/16"]},
                       "then": "reject"},
                      {"match": {"as-path": [f"_{i}_" for i in range(n, n + 30)]}, "set": {"local-pref": n}, "then": "next"},
                      {"set": {"med": n, "community-add": [f"65100:{n}"]}, "then": "accept"}]}

    rack = Rack(lab, 2, fib={"install": False}, policies=policies(1), keys={"import": "p"})
    quiet, peer = Quiet(rack, 0), drained(rack.session(1))
    pieces = bgp.host_routes(50000)
    stop = False

    def flood():
        k = 0
        while not stop:
            k += 1
            peer.send(*[bgp.update(attributes(bgp.communities(k)), p) for p in pieces])

    thread = threading.Thread(target=flood)
    thread.start()
    memory = None
    try:
        for n in range(2, 82):
            rack.underlay.config["policies"] = policies(n)
            rack.underlay.write()
            rack.underlay.command("reload")
            if n == 30:
                memory = rack.rss()
            time.sleep(0.1)
        bounded(memory, rack.rss(), 20, "50 reloads")
    finally:
        stop = True
        thread.join()
    rack.wait_routes(50000, 1)
    wait_for(lambda: rack.underlay.ctl("show bgp ipv4 unicast 100.64.0.7/32")["paths"][0]["metric"] == 81, 30, "the last one")
    assert rack.info(1)["connectionsEstablished"] == 1
    quiet.was_served()
    rack.unharmed()


@feature(FLOODS)
@endurance
def test_debug_again_and_again(lab):
    """Of a peer that floods: the log gets so many lines a second, and none of it is left at the end."""
    rack = Rack(lab, 2, fib={"install": False})
    quiet, peer = Quiet(rack, 0), rack.session(1, hold=0)
    before = rack.descriptors()
    flood = threading.Thread(target=lambda: peer.send(*[bgp.update(attributes(), p) for p in bgp.host_routes(500000)]))
    flood.start()
    for i in range(200):
        rack.underlay.command(f"debug {rack.addresses[1]} for {1 + i % 60}s" if i % 7 else f"debug {rack.addresses[1]}")
        if i % 7 == 3:
            rack.underlay.command(f"no debug {rack.addresses[1]}")
    flood.join()
    rack.wait_routes(500000, 1)
    rack.underlay.command(f"debug {rack.addresses[1]} for 1s")
    wait_for(lambda: rack.underlay.ctl("show debug") == {}, what="it ends by itself")
    wait_for(lambda: rack.descriptors() <= before, what="no descriptor is leaked")
    assert rack.underlay.process.output().count("debug: received") < 2000
    quiet.was_served()
    rack.unharmed()
