"""A laboratory of network namespaces: nodes, cables, processes, and the certainty that nothing of it stays behind.

Every namespace, process and file belongs to one Lab, is named after it (ul-<pid>-<lab>-<node>), and goes with it: at the end
of the with block, at exit, on SIGINT and SIGTERM. Only processes started here, or living in a namespace made here, are
ever ended. Nothing sleeps for a fixed time to "let things settle": wait_for() polls a condition under a deadline, and
never_during() holds one for as long as it is told.

Only the standard library is used, so that the labs run on a bare machine with python3 and iproute2. It knows nothing of
BGP: routing daemons are in peers.py, underlayd itself in underlay.py.
"""
import atexit
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import netns
from together import SIGNALS, end_on_signals

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Under sanitizers and on busy machines everything takes longer; only deadlines scale, never the tests' own protocol timers.
SLOW = float(os.environ.get("LAB_SLOW", "1"))
_labs = []
_count = itertools.count(1)


class LabError(AssertionError):
    """A condition did not come true, or a command failed."""


class Skip(Exception):
    """The test cannot run on this machine; the text says why."""


def wait_for(condition, timeout=10.0, what=None, every=0.05):
    """Poll until condition() is true and return its value; an exception inside counts as not yet.

    Not all the time: what runs beside it needs the processor too. The pauses grow with the wait, and with what a look costs."""
    began = time.monotonic()
    deadline = began + timeout * SLOW
    last = None
    while True:
        looked = time.monotonic()
        try:
            value = condition()
            if value:
                return value
            last = value
        except (LabError, KeyError, IndexError, TypeError, ValueError, OSError, subprocess.SubprocessError) as error:
            last = error
        now = time.monotonic()
        if now > deadline:
            raise LabError(f"not within {timeout * SLOW:.0f}s: {what or 'condition'} (last: {last!r})")
        time.sleep(min(max(every, 2 * (now - looked), (now - began) / 10), 10 * every))


def never_during(condition, seconds, what=None, every=0.1):
    """Fail as soon as condition() comes true within the given time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            raise LabError(f"must not happen: {what or 'condition'}")
        time.sleep(every)


def run(argv, check=True, input=None, timeout=60, env=None):
    """Run a command to its end; returns the CompletedProcess with text output."""
    done = subprocess.run([str(a) for a in argv], input=input, text=True, errors="replace", capture_output=True,
                          timeout=timeout * SLOW, env=env)
    if check and done.returncode:
        raise LabError(f"exit {done.returncode}: {' '.join(map(str, argv))}\n{done.stdout}{done.stderr}".rstrip())
    return done


class Process:
    """A program in a namespace, in a session of its own, its output in a log file of the lab."""

    def __init__(self, argv, log, env=None, stdin=subprocess.DEVNULL):
        self.argv, self.log = [str(a) for a in argv], log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(self.argv, stdin=stdin, stdout=out, stderr=out, start_new_session=True,
                                          env={**os.environ, **(env or {})})
        self.pid = self.popen.pid

    @property
    def alive(self):
        return self.popen.poll() is None

    def send(self, number):
        if self.alive:
            os.kill(self.pid, number)

    def stop(self, number=signal.SIGTERM, timeout=8):
        """Ask it to end and wait; one that does not gets SIGKILL. Returns its exit status as Popen gives it."""
        self.send(number)
        try:
            return self.popen.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            return -signal.SIGKILL

    def wait(self, timeout=10):
        try:
            return self.popen.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            raise LabError(f"still running after {timeout * SLOW:.0f}s: {' '.join(self.argv)}") from None

    def output(self):
        with open(self.log, errors="replace") as f:
            return f.read()


def adding(device, *addresses):
    """The words after `ip` that give a device its addresses."""
    return [f"addr add {a} dev {device}{' nodad' if ':' in a else ''}" for a in addresses]


class Node:
    """One network namespace."""

    def __init__(self, lab, name):
        self.lab, self.name, self.netns = lab, name, f"{lab.tag}-{name}"
        netns.create(self.netns)
        # Link-local addresses are usable at once, and equal-cost paths are chosen by port too, as on a real router.
        self.sysctl({"net.ipv6.conf.all.accept_dad": 0, "net.ipv6.conf.default.accept_dad": 0,
                     "net.ipv6.conf.default.accept_ra": 0, "net.ipv4.conf.all.rp_filter": 0,
                     "net.ipv4.conf.default.rp_filter": 0, "net.ipv4.fib_multipath_hash_policy": 1,
                     "net.ipv6.fib_multipath_hash_policy": 1})

    def run(self, *argv, **options):
        with netns.inside(self.netns):
            return run(argv, **options)

    def start(self, *argv, log=None, env=None, stdin=subprocess.DEVNULL):
        """Start a program in the namespace; the lab ends it. Its log is named after the node and the program."""
        base = log or f"{self.name}-{os.path.basename(str(argv[0]))}.log"
        if self.lab.before_start:
            self.lab.before_start(self, argv)
        with netns.inside(self.netns):
            process = Process(argv, os.path.join(self.lab.dir, base), env, stdin)
        self.lab.processes.append(process)
        return process

    def ip(self, *words, check=True):
        return run(["ip", "-n", self.netns, *words], check=check)

    def ip_batch(self, commands):
        run(["ip", "-n", self.netns, "-batch", "-"], input="\n".join(commands) + "\n")

    def ip_json(self, *words):
        out = run(["ip", "-N", "-json", "-n", self.netns, *words]).stdout
        return json.loads(out) if out.strip() else []

    def sysctl(self, values):
        netns.sysctl(self.netns, values)

    def forward(self):
        self.sysctl({"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})
        return self

    def address(self, device, *addresses):
        self.ip_batch(adding(device, *addresses))

    def routes(self, family="ipv4", **match):
        """The kernel's routes by destination; match by JSON field, as in routes("ipv6", protocol="87")."""
        rows = self.ip_json("-6" if family == "ipv6" else "-4", "route", "show", "table", "main")
        host = "/128" if family == "ipv6" else "/32"  # which iproute2 leaves out
        return {r["dst"] + ("" if "/" in r["dst"] or r["dst"] == "default" else host): r for r in rows
                if all(str(r.get(k)) == str(v) for k, v in match.items())}

    def monitor(self):
        """Watch the kernel's routes and nexthops; returns once the watcher really listens."""
        return Monitor(self)

    def pids(self):
        return netns.pids(self.netns)


class Monitor:
    """`ip monitor route nexthop` in a node: what the kernel announced since it was started."""

    def __init__(self, node):
        # stdbuf: iproute2 buffers output that goes to a file, and the last events would never show.
        self.process = node.start("stdbuf", "-oL", "ip", "-N", "monitor", "route", "nexthop",
                                  log=f"{node.name}-monitor-{next(_count)}.log")
        self.probe = f"198.18.{next(_count) % 256}.253"

        def listening():
            node.ip("route", "add", "blackhole", self.probe, check=False)
            node.ip("route", "del", "blackhole", self.probe, check=False)
            return self.probe in self.process.output()

        wait_for(listening, what="ip monitor listens")

    def events(self, word=""):
        return [line for line in self.process.output().splitlines() if word in line and self.probe not in line]

    def deleted(self, word=""):
        return [line for line in self.events(word) if line.startswith("Deleted")]


class Link:
    """A cable: names of its two ends and the addresses on them, without prefix length."""

    def __init__(self, a, b, dev_a, dev_b, v4, v6):
        self.a, self.b, self.dev_a, self.dev_b = a, b, dev_a, dev_b
        self.a4, self.b4 = v4
        self.a6, self.b6 = v6

    def down(self, end=None):
        end = end or self.b
        end.ip("link", "set", self.dev_a if end is self.a else self.dev_b, "down")

    def up(self, end=None):
        """Bring an end up again and give it back what the kernel took when it went down: its IPv6 address."""
        end = end or self.b
        device, v6 = (self.dev_a, self.a6) if end is self.a else (self.dev_b, self.b6)
        end.ip("link", "set", device, "up")
        if v6:
            end.ip("addr", "replace", f"{v6}/127", "dev", device, "nodad")


class Lab:
    """Owner of namespaces, processes and a directory. Use as a context manager; keep leaves all of it in place.

    A tag of one's own, as the demo has, makes names that a user can type; the directory is then /run/<tag>."""

    def __init__(self, name="lab", keep=False, tag=None):
        self.tag = tag or f"ul-{os.getpid()}-{next(_count)}"
        if tag:
            self.dir = f"/run/{tag}"
            os.mkdir(self.dir)
        else:
            self.dir = tempfile.mkdtemp(prefix=f"{self.tag}-{re.sub('[^a-z0-9]+', '-', name.lower())[:40]}-")
        os.chmod(self.dir, 0o755)
        netns.prepare()
        self.nodes, self.links, self.processes, self.keep = {}, [], [], keep
        self.before_start = None  # called with the node and the words of every program that Node.start starts
        _labs.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def node(self, name):
        self.nodes[name] = Node(self, name)
        return self.nodes[name]

    def link(self, a, b, number=None, dev_a=None, dev_b=None):
        """Cable two nodes: 10.0.N.0/31 and fd00:0:N::a/127, the lower address at a. number=0 leaves it without addresses."""
        number = len(self.links) + 1 if number is None else number
        dev_a, dev_b = dev_a or f"to-{b.name}", dev_b or f"to-{a.name}"
        v4 = v6 = (None, None)
        at_a, at_b = [f"link add {dev_a} type veth peer name {dev_b} netns {b.netns}"], []
        if number:
            v4 = (f"10.0.{number}.0", f"10.0.{number}.1")
            # Not ::0 and ::1: the first address of an IPv6 subnet is its router anycast address.
            v6 = (f"fd00:0:{number:x}::a", f"fd00:0:{number:x}::b")
            at_a += adding(dev_a, f"{v4[0]}/31", f"{v6[0]}/127")
            at_b += adding(dev_b, f"{v4[1]}/31", f"{v6[1]}/127")
        a.ip_batch([*at_a, f"link set {dev_a} up"])
        b.ip_batch([*at_b, f"link set {dev_b} up"])
        link = Link(a, b, dev_a, dev_b, v4, v6)
        self.links.append(link)
        return link

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def logs(self, lines=25):
        """The ends of all logs, and what the kernel has, for a failure report."""
        out = []
        for node in self.nodes.values():
            for words in (("route",), ("-6", "route"), ("nexthop",), ("-br", "addr")):
                text = node.ip(*words, check=False).stdout.splitlines()
                out += [f"--- {node.name}: ip {' '.join(words)}", *text[:lines]] if text else []
        for name in sorted(os.listdir(self.dir)):
            if name.endswith(".log"):
                with open(os.path.join(self.dir, name), errors="replace") as f:
                    tail = f.read().splitlines()[-lines:]
                if tail:
                    out.append(f"--- {name}")
                    out.extend(tail)
        return "\n".join(out)

    def close(self):
        """End and remove everything; a second interrupt waits until that is done."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            if self in _labs:
                _labs.remove(self)
            if not self.keep:
                self._end_processes()
                sweep(self.tag)
                shutil.rmtree(self.dir, ignore_errors=True)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _end_processes(self):
        for process in reversed(self.processes):
            process.send(signal.SIGTERM)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline and any(p.alive for p in self.processes):
            time.sleep(0.02)
        for process in self.processes:
            if process.alive:
                process.popen.kill()
                process.popen.wait()


def sweep(tag):
    """Remove all namespaces and directories named <tag>-… or <tag>, of a lab that ends or whose process is gone. Whatever
    lives in such a namespace is the lab's: daemons have children of their own."""
    for name in netns.names():
        if name.startswith(f"{tag}-"):
            _empty(name)
            netns.remove(name)
    for base in (tempfile.gettempdir(), "/run"):
        for name in os.listdir(base):
            if name == tag or name.startswith(f"{tag}-"):
                shutil.rmtree(os.path.join(base, name), ignore_errors=True)


def _empty(name):
    """Kill what lives in a namespace, until nothing does: one that is dying may just have forked."""
    deadline = time.monotonic() + 5
    while pids := netns.pids(name):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)


def _close_all(*_):
    for lab in list(_labs):
        lab.close()


def require_root():
    if os.geteuid():
        raise SystemExit("network namespaces need root: run this with sudo")


# Daemons and tests under other accounts read what the labs write, whatever the caller's umask; and root by way of su has
# the caller's PATH.
os.umask(0o022)
os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
atexit.register(_close_all)
end_on_signals()
