"""The device under test and its neighbours: two network namespaces, two links, and the tools that measure.

A Box is a Lab (tests/lib/lab.py) with one node for the device and one that plays all its neighbours; leaving it ends the
processes by pid and removes everything, whatever happened. On link N the device has 10.99.N.1, the neighbours 10.99.N.2 and
the addresses after it. With a wire, each link runs through a bridge in a third node, so that it can go dead with or
without the device seeing its carrier go.
"""
import json
import os
import select
import shutil
import subprocess
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import lab  # noqa: E402
import netns  # noqa: E402


class Failed(Exception):
    """A measurement that could not be made; the run goes on with the next."""


class Tool(lab.Process):
    """A program of the benchmark's own: takes commands, a line each, and answers with events, a line of JSON each."""

    def __init__(self, argv):
        self.argv = [str(a) for a in argv]
        self.popen = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self.pid, self.unread = self.popen.pid, b""

    def say(self, text):
        try:
            self.popen.stdin.write(f"{text}\n".encode())
            self.popen.stdin.flush()
        except BrokenPipeError:
            raise Failed(f"{os.path.basename(self.argv[0])} has ended") from None

    def line(self, seconds):
        """The next line, None when there is none yet, "" at the end."""
        if b"\n" not in self.unread:
            if not select.select([self.popen.stdout], [], [], seconds)[0]:
                return None
            got = os.read(self.popen.stdout.fileno(), 1 << 16)
            self.unread += got
            if got and b"\n" not in self.unread:
                return None
        line, _, self.unread = self.unread.partition(b"\n")
        return line.decode()

    def event(self, seconds=None, meanwhile=lambda tool: None):
        """The next event, as a dict."""
        name = next(os.path.basename(word) for word in self.argv if word.startswith("/"))
        deadline = time.monotonic() + seconds if seconds else None
        while (line := self.line(0.1)) is None:
            meanwhile(self)
            if deadline and time.monotonic() > deadline:
                raise Failed(f"{name} says nothing for {seconds} s")
        if not line:
            raise Failed(f"{name} ended without a result, status {self.wait()}")
        event = json.loads(line)
        if event["event"] == "failed":
            raise Failed(", ".join(f"{k} {v}" for k, v in event.items() if k != "event" and v != ""))
        return event


class Box(lab.Lab):
    def __init__(self, addresses=(1, 1), wire=False):
        super().__init__("bench")
        self.device, self.peers = self.node("device"), self.node("peers")
        self.wire = self.node("wire") if wire else None
        for number, count in enumerate(addresses, 1):
            self.connect(number, [f"10.99.{number}.{host}" for host in range(2, 2 + count)])

    def connect(self, number, addresses):
        """eth<number> at both ends. In the wire: d<number> towards the device, p<number> towards the neighbours.
        The kernel reports a veth's carrier at once only where the two ends have different indices."""
        device, peers = self.device, self.peers
        name = f"eth{number}"
        if self.wire:
            self.wire.ip_batch([f"link add br{number} type bridge", f"link set br{number} up"])
            for node, end, index in ((device, "d", 100), (peers, "p", 200)):
                node.ip_batch([f"link add {name} type veth peer name {end}{number} index {index + number} "
                               f"netns {self.wire.netns}"])
                self.wire.ip_batch([f"link set {end}{number} master br{number}", f"link set {end}{number} up"])
        else:
            device.ip_batch([f"link add {name} type veth peer name {name} netns {peers.netns}"])
        device.ip_batch([f"addr add 10.99.{number}.1/24 dev {name}", f"link set {name} up"])
        peers.ip_batch([*[f"addr add {address}/24 dev {name}" for address in addresses], f"link set {name} up"])

    def tool(self, node, *argv):
        with netns.inside(node.netns):
            process = Tool(argv)
        self.processes.append(process)
        return process

    def start_daemon(self, daemon, job):
        """Returns the daemon's processes and the time at which the first was started."""
        self.write_files(daemon, job)
        if daemon.user:
            shutil.chown(self.dir, daemon.user)
        began, started = time.monotonic(), []
        for argv in daemon.commands(self.dir, job):
            if started:  # zebra's socket must be there before bgpd looks for it, or bgpd waits 10 s
                wait_for(lambda: os.path.exists(f"{self.dir}/zserv.api"))
            started.append(self.device.start(*daemon.wrap, *argv, log="daemon.log"))
        return started, began

    def write_files(self, daemon, job):
        for name, text in daemon.files(self.dir, job).items():
            self.write(name, text, daemon.mode)

    def next_event(self, tool, seconds=None):
        """The next event of the tool, as a dict. Fails as soon as another process has ended."""
        return tool.event(seconds, self.check_alive)

    def check_alive(self, tool):
        for other in self.processes:
            if other is not tool and not other.alive:
                raise Failed(f"{os.path.basename(other.argv[0])} ended with status {other.popen.returncode}")

    def log_excerpt(self):
        """The first line, which says why a daemon would not start, and the last two."""
        try:
            with open(f"{self.dir}/daemon.log", encoding="utf-8", errors="replace") as file:
                lines = [line.strip() for line in file if line.strip()]
        except OSError:
            return ""
        return " | ".join(lines[:1] + lines[1:][-2:])

    def close(self):
        """Daemons that clean the kernel up have time for it, so that the next measurement does not share it."""
        for process in self.processes:
            process.send(15)
        wait_for(lambda: not any(process.alive for process in self.processes), 10)
        super().close()


def wait_for(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)
    return condition()
