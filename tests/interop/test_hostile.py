"""What a peer gets wrong, or says out of turn, has the answer that the RFCs ask for, and hurts nobody else."""
import contextlib
import json
import os
import socket
import struct
import threading
import time

import rawbgp as bgp
from lab import SLOW, never_during, wait_for
from rack import Rack, attributes
from runner import cases, feature
from topology import POD4, TOR_AS

# What goes wrong on the wire gets the answer that the RFC says, and nobody else notices.

HEADERS = [
    (b"\xff" * 15 + b"\xfe" + struct.pack(">HB", 19, 4), 1, b""),
    (b"\0" * 16 + struct.pack(">HB", 19, 4), 1, b""),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, b""),
    (bgp.message(4, length=18), 2, b"\0\x12"),
    (bgp.message(4, length=0), 2, b"\0\0"),
    (bgp.message(4, length=20) + b"\0", 2, b"\0\x14"),
    (bgp.message(1, length=4097), 2, b"\x10\x01"),  # RFC 8654 section 3: an OPEN is never extended
    (bgp.message(1, length=65535), 2, b"\xff\xff"),
    (bgp.message(4, length=4097), 2, b"\x10\x01"),
    (bgp.message(1, b"\0" * 9), 2, b"\0\x1c"),
    (bgp.message(2, b"\0" * 3), 2, b"\0\x16"),
    (bgp.message(3, b"\6"), 2, b"\0\x14"),
    (bgp.message(5, b"\0" * 3), 2, b"\0\x16"),
    (bgp.message(0), 3, b"\0"),
    (bgp.message(6), 3, b"\6"),
    (bgp.message(255), 3, b"\xff"),
]


@feature("Malformed messages (RFC 4271 6)")
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


@feature("Malformed messages (RFC 4271 6)")
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


@feature("Wrong state (RFC 6608)")
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


@feature("Malformed attributes (RFC 7606)")
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


@feature("Malformed attributes (RFC 7606)")
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


@cases((None,), (2,))
def test_next_hop_off_the_subnet(lab, multihop):
    """RFC 4271 6.3: a peer one hop away may not send our packets over somebody else's router. The session stays."""
    rack = Rack(lab, keys={"multihop": multihop} if multihop else {})
    rack.node.ip("route", "add", "default", "via", "10.9.200.200")
    peer = rack.session()
    peer.send(bgp.update(attributes(hop="203.0.113.7"), bgp.nlri("198.18.0.0/24")),
              bgp.update(attributes(hop="10.9.0.1"), bgp.nlri("198.18.1.0/24")),  # ourselves
              bgp.update(attributes(hop="10.9.77.7"), bgp.nlri("198.18.2.0/24")))
    wait_for(lambda: rack.underlay.installed("198.18.2.0/24"), what="on the subnet: as good as its own")
    never_during(lambda: rack.underlay.installed("198.18.1.0/24"), 0.3, "a route to ourselves")
    assert rack.underlay.installed("198.18.0.0/24") == bool(multihop)
    assert rack.underlay.established()
    rack.unharmed()


@cases(("10.255.0.1", "ours"), ("10.255.9.9", "ours"), ("10.255.0.1", "theirs"), ("10.255.9.9", "theirs"))
@feature("Collision of connections")
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


@feature("Shutdown with a message")
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
