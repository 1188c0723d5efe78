"""A node and a ToR that a test plays byte by byte, with as many addresses as it likes; and what is measured of the daemon."""
import os
import threading
import time

import rawbgp as bgp
from lab import SLOW, wait_for
from rawbgp import Speaker
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
        # A played peer says nothing by itself: time for the test is time without a KEEPALIVE.
        keys = {"passive": True, "hold-time": "90s", **(keys or {})}
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


def cpu(rack):
    with open(f"/proc/{rack.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def held_up(task):
    """Seconds since its beginning that the task was ready to run and had to wait for a processor; 0 where it is not counted."""
    try:
        with open(f"/proc/{task}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except OSError:
        return 0


class Quiet(threading.Thread):
    """A well-behaved peer beside the rude one: its keepalives come on time, all the while. What a busy machine kept the
    speaker or this thread waiting does not count."""

    def __init__(self, rack, number):
        super().__init__(daemon=True)
        self.peer, self.worst, self.lost = rack.session(number, hold=3), 0, None
        self.speaker = rack.pid
        self.stop = False
        self.start()

    def run(self):
        def waits():
            return held_up(self.speaker), held_up("thread-self")

        last = sent = time.monotonic()
        before = waits()
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
                    last, before = time.monotonic(), waits()
                # Both may have waited at the same time: the longer wait is the excuse, not the sum.
                excuse = max(after - earlier for after, earlier in zip(waits(), before))
                self.worst = max(self.worst, time.monotonic() - last - excuse)
        except Exception as error:
            self.lost = repr(error)

    def was_served(self):
        self.stop = True
        self.join()
        assert not self.lost, f"the quiet peer lost its session: {self.lost}"
        assert self.worst < 1.6 * SLOW, f"the quiet peer heard nothing for {self.worst:.2f}s"
