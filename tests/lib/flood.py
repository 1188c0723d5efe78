"""A flood of pings between two places, counted exactly: what is still on its way at the end is waited for, not lost.

    with Flood(far, [("10.244.8.1", "10.244.7.1")], rate=1000) as flood:
        ...
    assert flood.sent > 1000 and flood.lost == 0, flood

Echo requests take turns among pairs of source and destination, so that equal-cost paths are all in use; whoever owns a
destination has its kernel answer. A process of its own sends them, at absolute times: when the machine holds it up it makes
good for it. gap is the longest time in ms, from the sending of the first request lost in a row to the next one answered.
"""
import contextlib
import ipaddress
import multiprocessing
import os
import socket
import struct
import time

import netns
from lab import SLOW, wait_for

BURST = 16  # requests at once, after being held up
LAST_WAIT = 1.0  # seconds for the last answers
ECHO = {4: (8, 0), 6: (128, 129)}  # request, reply
ICMP_FILTER, SOL_RAW, ICMP6_FILTER = 1, 255, 1


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


class Way:
    """From one source to one destination."""

    def __init__(self, source, destination):
        self.version = ipaddress.ip_address(destination).version
        self.to = (destination, 0)
        family, protocol = (socket.AF_INET, socket.IPPROTO_ICMP) if self.version == 4 else \
            (socket.AF_INET6, socket.IPPROTO_ICMPV6)
        self.socket = socket.socket(family, socket.SOCK_RAW, protocol)
        self.socket.setblocking(False)
        with contextlib.suppress(OSError):  # 33: SO_RCVBUFFORCE
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)
        reply = ECHO[self.version][1]
        if self.version == 4:
            self.socket.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", ~(1 << reply) & 0xffffffff))
        else:
            passed = bytearray(b"\xff" * 32)
            word = struct.unpack_from("=I", passed, reply // 32 * 4)[0] & ~(1 << reply % 32)
            struct.pack_into("=I", passed, reply // 32 * 4, word)
            self.socket.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, bytes(passed))
        self.socket.bind((source, 0))
        self.ident = os.getpid() & 0xffff
        self.header = 0 if self.version == 6 else 20

    def send(self, number):
        """False: it did not even leave, as there is no route or no buffer."""
        body = struct.pack("!HHQ", self.ident, number & 0xffff, number)
        kind = ECHO[self.version][0]
        total = 0 if self.version == 6 else checksum(struct.pack("!BBH", kind, 0, 0) + body)  # of IPv6 the kernel makes it
        try:
            self.socket.sendto(struct.pack("!BBH", kind, 0, total) + body, self.to)
        except OSError:
            return False
        return True

    def answers(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    data = self.socket.recv(256)[self.header:]
                except (ConnectionError, PermissionError, OSError) as error:
                    if isinstance(error, BlockingIOError):
                        raise
                    continue  # an ICMP error for one of ours: its answer does not come
                if len(data) >= 16 and struct.unpack_from("!H", data, 4)[0] == self.ident:
                    yield struct.unpack_from("!Q", data, 8)[0]


def _flood(namespace, pairs, rate, pipe):
    with netns.inside(namespace):
        ways = [Way(*pair) for pair in pairs]
    answered, sent_at = bytearray(), []

    def collect():
        for way in ways:
            for number in way.answers():
                answered[number] = 1

    began, flowing = time.monotonic(), False
    while not pipe.poll():
        due = int((time.monotonic() - began) * rate) + 1 - len(sent_at)
        for _ in range(min(due, BURST)):
            number = len(sent_at)
            sent_at.append(time.monotonic())
            answered.append(0)
            ways[number % len(ways)].send(number)
        collect()
        if not flowing and len(sent_at) > rate // 10 and sum(answered[-20:]) > 10:
            pipe.send("flowing")
            flowing = True
        time.sleep(max(0, began + len(sent_at) / rate - time.monotonic()))
    end = time.monotonic() + LAST_WAIT * SLOW
    while not all(answered[-2000:]) and time.monotonic() < end:
        collect()
        time.sleep(0.005)
    gap, first = 0.0, None
    for at, ok in zip(sent_at, answered):
        first = None if ok and first is None else at if first is None else first
        if ok and first is not None:
            gap, first = max(gap, at - first), None
    if first is not None:
        gap = max(gap, sent_at[-1] - first)
    pipe.send((len(answered), answered.count(0), gap * 1000))


class Flood:
    """pairs: (source, destination) addresses, of both families if wanted; rate: requests a second, over all pairs."""

    def __init__(self, node, pairs, rate=1000):
        self.args = node.netns, list(pairs), rate
        self.sent = self.lost = self.gap = None

    def __enter__(self):
        self.pipe, there = multiprocessing.get_context("fork").Pipe()
        self.process = multiprocessing.get_context("fork").Process(target=self._run, args=(there,), daemon=True)
        self.process.start()
        there.close()
        return self

    def _run(self, pipe):
        self.pipe.close()  # so that this process ends with the test
        with contextlib.suppress(EOFError, OSError):
            _flood(*self.args, pipe)

    def wait_flowing(self):
        """Requests have left for a tenth of a second, and are answered."""
        wait_for(self.pipe.poll, what="the flood is answered")
        self.pipe.recv()
        return self

    def __exit__(self, *_):
        self.pipe.send("stop")
        got = "flowing"
        while got == "flowing":
            got = self.pipe.recv()
        self.sent, self.lost, self.gap = got
        self.process.join()

    def __str__(self):
        return f"{self.lost} of {self.sent} packets lost, {self.gap:.0f} ms"
