"""A node and a ToR that a test plays byte by byte, with as many addresses as it likes; and what is measured of the daemon."""
import contextlib
import multiprocessing
import os
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
        # A played peer says nothing by itself: time for the test is time without a KEEPALIVE. It hears one every second.
        keys = {"passive": True, "hold-time": "90s", "keepalive-time": "1s", **(keys or {})}
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


class Quiet:
    """A well-behaved peer beside the rude one: it is heard every second, all the while. What a busy machine kept the
    speaker or this peer waiting does not count. A process of its own: the test may be busy too."""

    def __init__(self, rack, number):
        self.peer, self.speaker = rack.session(number), rack.pid
        context = multiprocessing.get_context("fork")
        self.pipe, there = context.Pipe()
        self.process = context.Process(target=self.run, args=(there,), daemon=True)
        self.process.start()
        there.close()

    def run(self, pipe):
        self.pipe.close()  # so that the test's end of it is the only one: this one ends with the test
        with contextlib.suppress(EOFError, OSError):
            pipe.send(self.watch(pipe))

    def watch(self, pipe):
        """Until told to stop: why the session was lost, or None, and the longest silence in seconds."""
        def waits():
            return held_up(self.speaker), held_up("self")

        last = sent = time.monotonic()
        before, worst = waits(), 0
        try:
            while not pipe.poll():
                now = time.monotonic()
                if now - sent > 0.5:
                    self.peer.send(bgp.keepalive())
                    sent = now
                if self.peer.readable(0.1):
                    got = self.peer.receive()
                    if got is None or got[0] == bgp.NOTIFICATION:
                        return f"closed: {got}", worst
                    last, before = time.monotonic(), waits()
                # Both may have waited at the same time: the longer wait is the excuse, not the sum.
                excuse = max(after - earlier for after, earlier in zip(waits(), before))
                worst = max(worst, time.monotonic() - last - excuse)
        except Exception as error:
            return repr(error), worst
        return None, worst

    def was_served(self):
        self.pipe.send("stop")
        lost, worst = self.pipe.recv()
        self.process.join()
        assert not lost, f"the quiet peer lost its session: {lost}"
        assert worst < 1.6 * SLOW, f"the quiet peer heard nothing for {worst:.2f}s"
