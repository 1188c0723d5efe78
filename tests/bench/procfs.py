"""What /proc says of the daemons: who belongs to them, their memory, time and wake-ups."""
import os
import time


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


def wait_quiet(processes, seconds=120.0, span=0.4):
    """Until they have used next to no time for a while: whatever they had to do is done."""
    deadline, before = time.monotonic() + seconds, cpu_seconds(pids_of(processes))
    while time.monotonic() < deadline:
        time.sleep(span)
        now = cpu_seconds(pids_of(processes))
        if now - before < 0.05 * span:
            return True
        before = now
    return False
