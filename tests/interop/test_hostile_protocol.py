"""What the newer parts of the protocol let a peer say, said too often, too long or in the wrong order."""
import contextlib
import itertools
import json
import os
import struct
import threading
import time

import rawbgp as bgp
from lab import LabError, wait_for
from rack import Quiet, Rack, attributes, bounded
from runner import endurance, feature
from topology import TOR_AS

FLOODS = "Floods and exhaustion"
AS4 = bgp.as4(TOR_AS)
REFRESH, ENHANCED, EXTENDED = b"\2\0", b"\x46\0", b"\6\0"


def cap(code, value=b""):
    return bytes((code, len(value))) + value


def restart(seconds=120, flags=0x4000, families=((1, 0x80), (2, 0x80))):
    return cap(64, struct.pack(">H", flags | seconds) + b"".join(struct.pack(">HBB", f, 1, x) for f, x in families))


def long_lived(seconds=3600, families=(1, 2)):
    return cap(71, b"".join(struct.pack(">HBI", f, 1, 0x80000000 | seconds) for f in families))


def add_path(mode=3):
    return cap(69, struct.pack(">HBBHBB", 1, 1, mode, 2, 1, mode))


def packed(*capabilities):
    """All of them in parameters of RFC 9072's form, so that any number fits."""
    body = b"".join(struct.pack(">BH", 2, len(c)) + c for c in capabilities)
    return {"params": b"\xff" + struct.pack(">H", len(body)) + body, "params_len": 255}


def path_nlri(prefix, identifier):
    return struct.pack(">I", identifier) + bgp.nlri(prefix)




def drained(peer):
    """Reads in the background what the node has to say."""
    def run():
        with contextlib.suppress(OSError, LabError, ValueError):
            while peer.sock.recv(1 << 18):
                pass
    threading.Thread(target=run, daemon=True).start()
    return peer


# OPEN.

def odd_opens():
    """Every capability with every length up to 40, with 255, again and again, and in both forms of parameters."""
    base = (bgp.MP4, AS4)
    known = (1, 2, 5, 6, 9, 64, 65, 66, 67, 69, 70, 71, 73)
    for code in known:
        for size in (*range(0, 9), 255):
            for byte in (b"\0", b"\xff"):
                yield packed(*base, cap(code, byte * size))
        yield packed(*base, *[cap(code, bytes((i, 1, 0, 1))) for i in range(255)])
        yield packed(*base, b"".join(cap(code, os.urandom(i % 30)) for i in range(255)))
    for roles in itertools.product((0, 1, 2, 3, 4, 5, 255), repeat=2):
        yield packed(*base, *[cap(9, bytes((r,))) for r in roles])
    for mode in (0, 1, 2, 3, 4, 128, 255):
        yield packed(*base, add_path(mode))
    for seconds, flags in ((0, 0), (4095, 0xf000), (0, 0x8000), (1, 0x7000)):
        for forwarding in (0, 0x80, 0x7f, 0xff):
            yield packed(*base, restart(seconds, flags, ((1, forwarding),) * 60), long_lived(0xffffff))
    yield packed(*base, long_lived(0xffffff))
    for names in (b"\xff" + b"a" * 254, b"\0\0", b"\0", b"", b"\4a\n\x1b[\4\xff\xfe\0\x7f", b"\3a\rb\0", b"\4\xf0\x9f\x92\xa9\0",
                  bytes((253,)) + b"\x1b" * 253 + b"\0", b"\x40" + b"x" * 64 + b"\x40" + b'"' * 64):
        yield packed(*base, cap(73, names))
    yield packed(*base, *[bytes((c, 0)) for c in range(256)])
    yield {"params": b"\xff\0\0", "params_len": 255}
    yield {"params": b"\xff\xff\xff", "params_len": 255}
    yield {"params": b"\xff\0\4\2\0\1\0", "params_len": 255}
    yield packed(b"\1\4" * 400)


@feature("Malformed messages (RFC 4271 6)")
def test_capabilities_of_every_shape(lab):
    """Each OPEN gets a session or a NOTIFICATION, never silence; what is shown afterwards is text and JSON."""
    opens = list(odd_opens())
    rack = Rack(lab, 40, fib={"install": False}, keys={"idle-hold-time": "1s", "idle-hold-max": "1s", "role": "customer",
                                                     "add-path": "both"})
    quiet, up = Quiet(rack, 39), 0
    for i, keys in enumerate(opens):
        number = i % 39
        if i >= 39:
            rack.underlay.command(f"clear bgp {rack.addresses[number]}") if number == 0 else None
        try:
            peer = rack.speaker(number).connect("10.9.0.1", wait=20).open(**keys).send(bgp.keepalive())
        except LabError:
            raise AssertionError(f"nobody answers at OPEN {i}: {keys}") from None
        while (got := peer.receive()) and got[0] not in (bgp.NOTIFICATION, bgp.KEEPALIVE):
            pass
        up += bool(got and got[0] == bgp.KEEPALIVE)
        if up % 10 == 0:
            json.dumps(rack.underlay.ctl("show bgp neighbors"))
            text = rack.underlay.command("show bgp neighbors")
            assert not any(ord(c) < 0x20 and c != "\n" for c in text), [c for c in text if ord(c) < 0x20 and c != "\n"][:3]
        peer.close()
    assert up > 100, up
    log = rack.underlay.process.output()
    assert not any(ord(c) < 0x20 and c not in "\n" or c == "\x7f" for c in log), "a control character in the log"
    quiet.was_served()
    rack.unharmed()


@feature(FLOODS)
@endurance
def test_capabilities_that_change_from_session_to_session(lab):
    """Families, ADD-PATH and graceful restart come and go while routes are kept: nothing is left behind at the end."""
    rack = Rack(lab, 2, fib={"install": False}, keys={"add-path": "both", "export": "all"})
    quiet = Quiet(rack, 0)
    choices = [(), (bgp.MP4,), (bgp.MP6,), (bgp.MP4, bgp.MP6)]
    number = 0
    for families, paths, keeps, llgr, forwards in itertools.product(choices, (0, 3), (0, 1), (0, 1), (0, 0x80)):
        caps = [*families, AS4, REFRESH, ENHANCED, *([add_path(3)] if paths else []),
                *([restart(120, 0x4000, ((1, forwards), (2, forwards)))] if keeps else []), *([long_lived()] if llgr else [])]
        peer = rack.session(1, **packed(*caps))
        number += 1
        identifier = struct.pack(">I", number) if paths else b""
        if bgp.MP4 in families or not families:
            peer.send(bgp.update(attributes(), identifier + bgp.nlri("198.18.0.0/24")))
        if bgp.MP6 in families:
            peer.send(bgp.update(bgp.origin() + bgp.as_path(TOR_AS) + bgp.mp_reach6(
                "fd00:9::2", identifier + bgp.nlri("2001:db8::/48"))))
        peer.send(bgp.keepalive())
        before = rack.info(1)["messageStats"]["keepalivesRecv"]
        peer.send(bgp.keepalive())
        wait_for(lambda: rack.info(1)["messageStats"]["keepalivesRecv"] > before, what="all of it is read")
        assert rack.underlay.established(rack.addresses[1]), (families, paths, keeps, llgr, forwards)
        peer.close(reset=True)
        rack.underlay.command(f"clear bgp {rack.addresses[1]}") if number % 3 == 0 else None
        wait_for(lambda: not rack.underlay.established(rack.addresses[1]))
    rack.underlay.command(f"clear bgp {rack.addresses[1]}")
    peer = rack.session(1)
    peer.close()
    wait_for(lambda: rack.underlay.summary()["peers"][rack.addresses[1]]["pfxRcd"] == 0, what="nothing is left")
    wait_for(lambda: "198.18.0.0/24" not in rack.underlay.rib(), what="nothing is left in the table")
    quiet.was_served()
    rack.unharmed()


# Graceful restart.

@feature(FLOODS)
@endurance
def test_sessions_that_restart_without_end(lab):
    """24 sessions of 20,000 kept routes each, reset, half of them with a Beginning-of-RR and no End-of-RIB."""
    rack = Rack(lab, 2, fib={"install": False}, keys={"idle-hold-time": "1s", "idle-hold-max": "1s"})
    quiet, memory = Quiet(rack, 0), None
    caps = packed(bgp.MP4, AS4, REFRESH, ENHANCED, restart(4095))
    for i in range(24):
        peer = rack.session(1, **caps)
        piece = bgp.host_routes(20000, f"100.{64 + i % 8}.0.0")
        peer.send(*[bgp.update(attributes(), p) for p in piece])
        if i % 2:
            peer.send(bgp.update(), bgp.refresh(1, 1), bgp.refresh(1, 2) if i % 4 == 1 else b"")
        wait_for(lambda: rack.info(1)["messageStats"]["updatesRecv"] > 0)
        peer.close(reset=True)
        wait_for(lambda: not rack.underlay.established(rack.addresses[1]))  # else the next one is the second of two
        if i == 8:
            memory = rack.rss()
    bounded(memory, rack.rss(), 8, "15 more sessions that were kept")
    rack.underlay.command(f"neighbor {rack.addresses[1]} shutdown")
    rack.wait_routes(0, 1, 60)
    quiet.was_served()
    rack.unharmed()


@feature(FLOODS)
@endurance
def test_refreshes_that_never_end(lab):
    """Beginning-of-RR again and again, each with a new path of every prefix, in a table that takes long to walk."""
    rack = Rack(lab, 3, fib={"install": False}, keys={"add-path": "receive"})
    quiet, big = Quiet(rack, 0), rack.session(1)
    big.send(*[bgp.update(attributes(), p) for p in bgp.host_routes(200000)])
    rack.wait_routes(200000, 1)
    peer = drained(rack.session(2, **packed(bgp.MP4, AS4, REFRESH, ENHANCED, add_path(3))))
    before = rack.rss()
    nlri = [b"".join(path_nlri(f"198.18.{k}.0/24", i) for k in range(100)) for i in range(1500)]
    for i in range(0, 1500, 100):
        peer.send(*[bgp.refresh(1, 1) + bgp.update(attributes(), n) for n in nlri[i:i + 100]])
    wait_for(lambda: rack.info(2)["messageStats"]["routeRefreshRecv"] == 1500, 60, "all of it is read")
    shown = rack.underlay.ctl("show bgp ipv4 unicast 198.18.7.0/24")
    assert len(shown["paths"]) <= 64, len(shown["paths"])
    bounded(before, rack.rss(), 8, "1,500 refreshes that did not end")
    peer.send(bgp.refresh(1, 2) * 1000)
    wait_for(lambda: rack.info(2)["messageStats"]["routeRefreshRecv"] == 2500, what="ends without a beginning")
    assert rack.underlay.established(rack.addresses[2])
    quiet.was_served()
    rack.unharmed()


@feature(FLOODS)
def test_hard_resets_of_every_shape(lab):
    """RFC 8538: a NOTIFICATION within another, cut short, nested or garbage."""
    caps = packed(bgp.MP4, AS4, restart(30))
    rows = [b"", b"\6", b"\6\2", b"\6\2\xff", b"\6\x09" + b"\6\x09" * 1000, b"\0\0", b"\xff" * 4074, b"\6\2\x80" + b"\x1b" * 128,
            b"\6\2\4\xff\xfe\n\r"]
    rack = Rack(lab, len(rows) + 1)
    quiet = Quiet(rack, len(rows))
    for i, data in enumerate(rows):
        peer = rack.session(i, **caps)
        peer.send(bgp.update(attributes(), bgp.nlri(f"198.18.{i}.0/24")), bgp.notification(6, 9, data))
        assert peer.hung_up()
        wait_for(lambda: rack.info(i)["bgpState"] != "Established")
        assert f"198.18.{i}.0/24" not in rack.underlay.rib(), data
        json.dumps(rack.info(i))
        text = rack.underlay.command(f"show bgp neighbors {rack.addresses[i]}")
        assert not any(ord(c) < 0x20 and c != "\n" for c in text), data
    quiet.was_served()
    rack.unharmed()


# ADD-PATH.

@feature(FLOODS)
@endurance
def test_path_identifiers_without_end(lab):
    """Hundreds of thousands of identifiers of one prefix, withdrawals of unknown ones, and a slow reader of all paths."""
    rack = Rack(lab, 3, fib={"install": False}, keys={"add-path": "both", "export": "all"})
    caps = packed(bgp.MP4, AS4, REFRESH, EXTENDED, add_path(3))
    quiet, slow, peer = Quiet(rack, 0), rack.session(1, receive_buffer=4096, **caps), drained(rack.session(2, **caps))
    before = rack.rss()
    for k in range(40):
        ids = b"".join(path_nlri("198.18.0.0/24", (k * 7000 + i) & 0xffffffff) for i in range(7000))
        peer.send(bgp.update(attributes(bgp.communities(k)), ids))
        peer.send(bgp.update(withdrawn=ids))
        slow.send(bgp.keepalive())
    peer.send(bgp.update(attributes(), b"".join(path_nlri("198.18.0.0/24", 0xffffffff - i) for i in range(200))))
    last = b"".join(path_nlri("198.18.9.0/24", 1) for _ in range(7000))
    peer.send(bgp.update(attributes(), last))
    wait_for(lambda: "198.18.9.0/24" in rack.underlay.rib(), 60, "all of it is read")
    assert len(rack.underlay.ctl("show bgp ipv4 unicast 198.18.0.0/24")["paths"]) == 64
    bounded(before, rack.rss(), 12, "identifiers that come and go")
    quiet.was_served()
    rack.unharmed()


@feature(FLOODS)
@endurance
def test_many_paths_of_many_prefixes(lab):
    """64 paths of 1,200 prefixes from each of two peers, with attributes that make each step of the decision count."""
    rack = Rack(lab, 3, fib={"install": False}, router={"multipath": 64}, keys={"add-path": "both"})
    caps = packed(bgp.MP4, AS4, REFRESH, EXTENDED, add_path(3))
    quiet, peers = Quiet(rack, 0), [drained(rack.session(i, **caps)) for i in (1, 2)]
    for i in range(64):
        more = bgp.attribute(0x80, 4, struct.pack(">I", 5)) if i % 2 else b""
        nlri = [b"".join(path_nlri(f"198.{18 + k // 256}.{k % 256}.0/24", i) for k in range(at, at + 1200))
                for at in (0,)]
        for n, peer in enumerate(peers):
            peer.send(*[bgp.update(attributes(more, path=(TOR_AS, 100000 + i + 64 * n)), x) for x in nlri])
    for number in (1, 2):
        rack.wait_routes(64 * 1200, number, 60)
    quiet.was_served()
    rack.unharmed()
