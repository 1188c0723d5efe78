"""Namespaces, processes and what /proc says of them.

A Lab is one fresh pair of network namespaces with two veth links (source, sink), a temporary directory, and the
processes started in them; leaving it ends the processes by pid and removes everything, whatever happened.
"""
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time


def ip(*args):
    subprocess.run(["ip", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Failed(Exception):
    """A measurement that could not be made; the run goes on with the next."""


class Lab:
    serial = 0

    def __enter__(self):
        Lab.serial += 1
        self.device_ns = f"ulbench-{os.getpid()}-{Lab.serial}-d"
        self.peer_ns = f"ulbench-{os.getpid()}-{Lab.serial}-p"
        self.processes = []
        self.work = tempfile.mkdtemp(prefix="ulbench-")
        os.chmod(self.work, 0o755)
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self):
        for ns in (self.device_ns, self.peer_ns):
            ip("netns", "add", ns)
            ip("-n", ns, "link", "set", "lo", "up")
        for n in (1, 2):
            ip("-n", self.device_ns, "link", "add", f"eth{n}", "type", "veth", "peer", "name", f"eth{n}",
               "netns", self.peer_ns)
            for ns, host in ((self.device_ns, 1), (self.peer_ns, 2)):
                ip("-n", ns, "addr", "add", f"10.99.{n}.{host}/30", "dev", f"eth{n}")
                ip("-n", ns, "link", "set", f"eth{n}", "up")

    def __exit__(self, *_):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + 10
        for process in reversed(self.processes):
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                for pid in reversed(tree(process.pid)):
                    kill(pid)
                process.wait()
        for ns in (self.device_ns, self.peer_ns):
            subprocess.run(["ip", "netns", "del", ns], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.work, ignore_errors=True)

    def start(self, ns, argv, log=None):
        """Runs argv in the namespace; with log, both outputs go to that file, else standard output is a pipe."""
        out = open(f"{self.work}/{log}", "ab") if log else subprocess.PIPE
        process = subprocess.Popen(["nsenter", f"--net=/run/netns/{ns}", *argv], stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.STDOUT if log else None)
        if log:
            out.close()
        self.processes.append(process)
        return process

    def start_daemon(self, daemon, fib, passive=True):
        """Returns the daemon's processes and the time at which the first was started."""
        for name, text in daemon.files(self.work, fib, passive).items():
            with open(f"{self.work}/{name}", "w", encoding="ascii") as file:
                file.write(text)
        if daemon.user:
            shutil.chown(self.work, daemon.user)
        began, started = time.monotonic(), []
        for argv in daemon.commands(self.work, fib):
            if started:  # zebra's socket must be there before bgpd looks for it, or bgpd waits 10 s
                wait_for(lambda: os.path.exists(f"{self.work}/zserv.api"))
            started.append(self.start(self.device_ns, argv, log="daemon.log"))
        return started, began

    def next_event(self, process):
        """The next line of JSON that the process prints, as a dict. Fails as soon as another process has ended."""
        while not select.select([process.stdout], [], [], 0.1)[0]:
            for other in self.processes:
                if other is not process and other.poll() is not None:
                    raise Failed(f"{os.path.basename(other.args[2])} ended with status {other.returncode}")
        line = process.stdout.readline()
        if not line:
            raise Failed(f"{os.path.basename(process.args[2])} ended without a result, status {process.wait()}")
        event = json.loads(line)
        if event["event"] == "failed":
            raise Failed(", ".join(f"{k} {v}" for k, v in event.items() if k != "event" and v != ""))
        return event

    def log_excerpt(self):
        """The first line, which says why a daemon would not start, and the last two."""
        try:
            with open(f"{self.work}/daemon.log", encoding="utf-8", errors="replace") as file:
                lines = [line.strip() for line in file if line.strip()]
        except OSError:
            return ""
        return " | ".join(lines[:1] + lines[1:][-2:])


def wait_for(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def tree(pid):
    """The process and all its descendants."""
    pids, todo = [], [pid]
    while todo:
        pid = todo.pop()
        pids.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                    todo += [int(child) for child in file.read().split()]
        except OSError:
            pass
    return pids


def pids_of(processes):
    return [pid for process in processes for pid in tree(process.pid)]


def pss_mib(pids):
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except (OSError, StopIteration):
            pass
    return total / 1024


def status_sum(pids, key, tasks=False):
    """The sum of a field of /proc/PID/status, or of every thread's."""
    total = 0
    for pid in pids:
        paths = [f"/proc/{pid}/status"]
        if tasks:
            paths = [f"/proc/{pid}/task/{task}/status" for task in os.listdir(f"/proc/{pid}/task")]
        for path in paths:
            try:
                with open(path, encoding="ascii") as file:
                    total += next(int(line.split()[1]) for line in file if line.startswith(key + ":"))
            except (OSError, StopIteration):
                pass
    return total


def peak_pss_mib(pids):
    """What the PSS was at most: now, and what the resident set has shrunk since its peak. Sampling the PSS while a
    daemon works would be closer for several processes whose peaks do not coincide, but walks its page tables
    under its lock and doubled the times."""
    shrunk = status_sum(pids, "VmHWM") - status_sum(pids, "VmRSS")
    return pss_mib(pids) + shrunk / 1024


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return total / os.sysconf("SC_CLK_TCK")
