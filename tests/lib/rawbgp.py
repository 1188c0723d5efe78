"""A BGP speaker that does what it is told, right or wrong: messages as bytes, sockets in a namespace of the lab.

Nothing here checks or answers by itself, so that a test decides about every byte. Only encoding of good messages is
offered; a bad one is a good one that the test has bent, or bytes of its own.
"""
import contextlib
import ipaddress
import select
import socket
import struct
import time

import netns
from lab import LabError, SLOW

OPEN, UPDATE, NOTIFICATION, KEEPALIVE, REFRESH = range(1, 6)
MARKER = b"\xff" * 16
MP4, MP6 = bytes((1, 4, 0, 1, 0, 1)), bytes((1, 4, 0, 2, 0, 1))


def message(kind, body=b"", length=None, marker=MARKER):
    return marker + struct.pack(">HB", 19 + len(body) if length is None else length, kind) + body


def as4(asn):
    return struct.pack(">BBI", 65, 4, asn)


def parameters(*capabilities):
    """Optional parameters, one of type 2 a capability."""
    return b"".join(bytes((2, len(c))) + c for c in capabilities)


def open_message(asn, router_id, hold=90, version=4, my_as=None, params=None, params_len=None):
    if params is None:
        params = parameters(MP4, MP6, bytes((2, 0)), as4(asn))
    body = struct.pack(">BHH4sB", version, my_as if my_as is not None else asn if asn < 65536 else 23456, hold,
                       socket.inet_aton(router_id), len(params) if params_len is None else params_len)
    return message(OPEN, body + params)


def keepalive():
    return message(KEEPALIVE)


def refresh(afi=1, subtype=0, safi=1):
    return message(REFRESH, struct.pack(">HBB", afi, subtype, safi))


def notification(code, subcode, data=b""):
    return message(NOTIFICATION, bytes((code, subcode)) + data)


def attribute(flags, kind, value):
    if len(value) > 255:
        return struct.pack(">BBH", flags | 0x10, kind, len(value)) + value
    return bytes((flags, kind, len(value))) + value


def origin(value=0):
    return attribute(0x40, 1, bytes((value,)))


def as_path(*asns):
    """One AS_SEQUENCE after the other, 255 ASNs each at most."""
    parts = [asns[i:i + 255] for i in range(0, len(asns), 255)]
    return attribute(0x40, 2, b"".join(struct.pack(f">BB{len(p)}I", 2, len(p), *p) for p in parts))


def next_hop(address):
    return attribute(0x40, 3, socket.inet_aton(address))


def communities(*values):
    return attribute(0xc0, 8, struct.pack(f">{len(values)}I", *values))


def nlri(*prefixes):
    out = bytearray()
    for prefix in prefixes:
        address, _, length = prefix.partition("/")
        packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
        out.append(int(length))
        out += packed[:(int(length) + 7) // 8]
    return bytes(out)


def update(attributes=b"", routes=b"", withdrawn=b""):
    return message(UPDATE, struct.pack(">H", len(withdrawn)) + withdrawn + struct.pack(">H", len(attributes)) + attributes +
                   routes)


def mp_reach6(hop, routes):
    return attribute(0x80, 14, struct.pack(">HBB", 2, 1, 16) + socket.inet_pton(socket.AF_INET6, hop) + b"\0" + routes)


def host_routes(count, base="100.64.0.0"):
    """The NLRI of count consecutive /32, in pieces of 4000 bytes, so that each fits a message."""
    first = int(ipaddress.ip_address(base))
    packed = b"".join(b"\x20" + struct.pack(">I", first + i) for i in range(count))
    return [packed[i:i + 3500] for i in range(0, len(packed), 3500)]


def socket_in(node, *arguments):
    """A socket in the node's namespace; the process itself stays where it is."""
    with netns.inside(node.netns):
        return socket.socket(*(arguments or (socket.AF_INET, socket.SOCK_STREAM)))


class Speaker:
    """One connection. Times out loudly; hung_up() and silent() are for what must or must not happen."""

    def __init__(self, node, address, asn=65001, router_id="10.255.0.1"):
        self.node, self.address, self.asn, self.router_id = node, address, asn, router_id
        self.sock, self.data = None, b""

    def connect(self, target, port=179, receive_buffer=None, wait=10):
        """Connect, again and again while the other side refuses or resets."""
        end = time.monotonic() + wait * SLOW
        while True:
            self.data = b""
            self.sock = socket_in(self.node)
            if receive_buffer:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.sock.settimeout(5 * SLOW)
            self.sock.bind((self.address, 0))
            try:
                self.sock.connect((target, port))
                # Idle refuses by closing without a word (RFC 4271 8.2.2); who will talk sends its OPEN at once.
                if self.sock.recv(1, socket.MSG_PEEK):
                    return self
            except OSError:
                pass
            self.sock.close()
            if time.monotonic() > end:
                raise LabError(f"no connection to {target} from {self.address}")
            time.sleep(0.05)

    def send(self, *messages):
        self.sock.sendall(b"".join(messages))
        return self

    def open(self, **keys):
        return self.send(open_message(keys.pop("asn", self.asn), keys.pop("router_id", self.router_id), **keys))

    def _whole(self):
        return len(self.data) >= 19 and len(self.data) >= int.from_bytes(self.data[16:18], "big")

    def readable(self, seconds):
        """A message is here, or at least a part of one more."""
        if self._whole():
            return True
        poll = select.poll()  # select() ends at 1024 descriptors
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(max(0, seconds) * 1000))

    def receive(self, timeout=5):
        """(type, body); None at end of file or after a reset; LabError when nothing comes in time."""
        end = time.monotonic() + timeout * SLOW
        while not self._whole():
            if not self.readable(end - time.monotonic()):
                raise LabError(f"{self.address}: nothing received within {timeout * SLOW:.0f}s")
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.data += more
        length, kind = struct.unpack(">HB", self.data[16:19])
        body, self.data = self.data[19:length], self.data[length:]
        return kind, body

    def expect(self, kind, timeout=5):
        """The body of the next message of that kind; what comes before it is skipped, but not a NOTIFICATION."""
        while True:
            got = self.receive(timeout)
            if got is None or (got[0] == NOTIFICATION != kind):
                raise LabError(f"{self.address}: {got and got[1][:2]!r} instead of a message of type {kind}")
            if got[0] == kind:
                return got[1]

    def expect_notification(self, code, subcode, data=None, timeout=5):
        body = self.expect(NOTIFICATION, timeout)
        assert (body[0], body[1]) == (code, subcode), f"{self.address}: {body[0]}/{body[1]}, not {code}/{subcode}"
        assert data is None or body[2:] == data, f"{self.address}: {code}/{subcode} with {body[2:].hex()}, not {data.hex()}"
        assert self.receive() is None, "a NOTIFICATION is the last word"

    def establish(self, target, **keys):
        """A whole session; the End-of-RIBs of the other side stay unread."""
        options = {k: keys.pop(k) for k in ("port", "receive_buffer", "wait") if k in keys}
        self.connect(target, **options).open(**keys).send(keepalive())
        self.expect(OPEN)
        self.expect(KEEPALIVE)
        return self

    def hung_up(self, timeout=5):
        """True once the other side has closed, whatever it said before."""
        try:
            while self.receive(timeout):
                pass
            return True
        except LabError:
            return False

    def close(self, reset=False):
        """Ends the stream after what was sent, or with reset at once. Plain close() with bytes unread is a reset too, which
        takes what the other side has not read yet with it (RFC 1122 4.2.2.13)."""
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)
                self.data = b""
                end = time.monotonic() + SLOW
                while self.readable(end - time.monotonic()) and self.sock.recv(65536):
                    pass
        self.sock.close()
