#!/usr/bin/python3
"""make bench: underlayd beside BIRD and FRR and a bare netlink loop, in one run on one machine.

Each measurement runs in fresh network namespaces; the daemons take turns within a round, so that a noisy minute
hits all of them; the table shows the median of the rounds and half their range. The results also go to
build/bench.json with every single value. What each measure means, and its target, is in MEASURES.
"""
import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time

import daemons
import lab
from lab import Failed, Lab


def injector(args, box, routes, *more, sink=True):
    def spec(peer):
        return f"{peer[0]},{peer[1]},{peer[2]}"
    argv = [os.path.abspath(f"{args.build}/bench/injector"), "--source", spec(daemons.SOURCE), "--routes", str(routes),
            "--timeout", str(args.timeout), *more]
    if sink:
        argv += ["--sink", spec(daemons.SINK)]
    return box.start(box.peer_ns, argv)


def measure_in_out(args, daemon, box, _):
    processes, _ = box.start_daemon(daemon, fib=False)
    feed = injector(args, box, args.routes, "--hold", "1500")
    box.next_event(feed)
    before = lab.cpu_seconds(lab.pids_of(processes))
    loaded = box.next_event(feed)
    cpu = lab.cpu_seconds(lab.pids_of(processes)) - before
    time.sleep(0.8)
    rest = lab.pss_mib(lab.pids_of(processes))
    dropped = box.next_event(feed)
    peak = lab.peak_pss_mib(lab.pids_of(processes))
    if dropped["strays"]:
        raise Failed(f"{dropped['strays']} prefixes came out that never went in")
    return {"in": loaded["load_seconds"], "out": dropped["drop_seconds"], "peak": max(peak, rest), "rest": rest,
            "cpu": cpu, "sink_updates": loaded["sink_updates"], "sink_bytes": loaded["sink_bytes"]}


def measure_fib(args, daemon, box, routes):
    processes, _ = box.start_daemon(daemon, fib=True)
    feed = injector(args, box, routes, "--fib", f"/run/netns/{box.device_ns}", "--hold", "1500", "--end", "close",
                    sink=False)
    box.next_event(feed)
    before = lab.cpu_seconds(lab.pids_of(processes))
    loaded = box.next_event(feed)
    cpu = lab.cpu_seconds(lab.pids_of(processes)) - before
    time.sleep(0.5)
    rest = lab.pss_mib(lab.pids_of(processes))
    dropped = box.next_event(feed)
    return {"add": loaded["load_seconds"], "gone": dropped["drop_seconds"], "rest": rest, "cpu": cpu}


def measure_bare(args, box, routes):
    loop = box.start(box.device_ns, [os.path.abspath(f"{args.build}/bench/bare_fib"), str(routes), "10.99.1.2", "eth1"])
    result = box.next_event(loop)
    return {"add": result["add_seconds"], "gone": result["delete_seconds"]}


def measure_idle(args, daemon, box, _):
    processes, _ = box.start_daemon(daemon, fib=True)
    feed = injector(args, box, 100, "--hold", "-1")
    box.next_event(feed)
    box.next_event(feed)
    time.sleep(5)
    pids = lab.pids_of(processes)
    before, cpu, began = lab.status_sum(pids, "voluntary_ctxt_switches", True), lab.cpu_seconds(pids), time.monotonic()
    time.sleep(10)
    took = time.monotonic() - began
    return {"pss": lab.pss_mib(pids), "processes": len(pids),
            "wakeups": (lab.status_sum(pids, "voluntary_ctxt_switches", True) - before) / took,
            "cpu": (lab.cpu_seconds(pids) - cpu) / took}


def measure_start(args, daemon, box, _):
    feed = injector(args, box, 0, "--listen", sink=False)
    time.sleep(0.2)
    _, began = box.start_daemon(daemon, fib=True, passive=False)
    return {"established": box.next_event(feed)["at"] - began}


def half_of_best(best, _):
    return best / 2 if best else None


def constant(value):
    return lambda _best, _bare: value


# name, measurement, value, unit, target(best of the others, bare loop) or None, target in words
def measures(args):
    big, small = args.routes, args.routes // 5
    rows = [
        ("in-out", f"{count(big)} in, out at 2nd peer", "in-out", "in", "s", half_of_best, "best/2"),
        ("in-out", "… withdrawn at 2nd peer", "in-out", "out", "s", half_of_best, "best/2"),
        ("memory", "… PSS, peak", "in-out", "peak", "MiB", half_of_best, "best/2"),
        ("memory", "… PSS, table at rest", "in-out", "rest", "MiB", half_of_best, "best/2"),
        ("in-out", "… CPU of the daemon, in", "in-out", "cpu", "s", None, ""),
    ]
    for routes, gone in ((small, None), (big, 1.5 * big / 1e6)):
        key = f"fib-{routes}"
        rows += [
            ("fib", f"{count(routes)} UPDATE to kernel", key, "add", "s", lambda _, bare: bare and bare / 0.9, "bare/0.9"),
            ("fib", "… gone after session closes", key, "gone", "s", constant(gone) if gone else None, ""),
        ]
    rows += [
        ("memory", "… PSS, FIB in kernel, at rest", f"fib-{big}", "rest", "MiB", None, ""),
        ("idle", "idle: 2 peers, 100 routes, PSS", "idle", "pss", "MiB", constant(5.0), ""),
        ("idle", "idle: wake-ups", "idle", "wakeups", "/s", None, ""),
        ("start", "start to Established", "start", "established", "s", constant(0.2), ""),
    ]
    return rows


def count(n):
    return f"{n // 1000000}M" if n % 1000000 == 0 else f"{n // 1000}k" if n % 1000 == 0 else str(n)


def plan(args):
    """(key, function, argument, rounds, with bare loop)"""
    steps = []
    if args.only & {"in-out", "memory"}:
        steps.append(("in-out", measure_in_out, None, args.runs, False))
    if "fib" in args.only:
        for routes in (args.routes // 5, args.routes):
            steps.append((f"fib-{routes}", measure_fib, routes, args.runs, True))
    if "idle" in args.only:
        steps.append(("idle", measure_idle, None, 1, False))
    if "start" in args.only:
        steps.append(("start", measure_start, None, max(args.runs, 5), False))
    return steps


def attempt(results, who, key, function):
    """One measurement: its values are added to results[key][who], or its failure is noted there."""
    slot = results.setdefault(key, {}).setdefault(who, {"values": {}, "errors": []})
    if len(slot["errors"]) > 1:
        return
    began = time.monotonic()
    try:
        with Lab() as box:
            try:
                values = function(box)
            except Failed as failure:
                raise Failed(f"{failure}; {box.log_excerpt()}") from None
    except (Failed, OSError, subprocess.SubprocessError) as failure:
        slot["errors"].append(str(failure))
        print(f"  {key} {who}: FAILED: {failure}", file=sys.stderr)
        return
    for name, value in values.items():
        slot["values"].setdefault(name, []).append(value)
    text = " ".join(f"{name}={value:.3f}" if isinstance(value, float) else f"{name}={value}"
                    for name, value in values.items())
    print(f"  {key} {who}: {text} ({time.monotonic() - began:.0f} s)", file=sys.stderr)


def run_all(args, contenders, results):
    for key, function, argument, rounds, with_bare in plan(args):
        for number in range(rounds):
            print(f"{key}, round {number + 1} of {rounds}", file=sys.stderr)
            if with_bare:
                attempt(results, "bare", key, lambda box, n=argument: measure_bare(args, box, n))
            for daemon in contenders:
                attempt(results, daemon.name, key,
                        lambda box, d=daemon, f=function, n=argument: f(args, d, box, n))


def median(results, key, who, name):
    values = results.get(key, {}).get(who, {}).get("values", {}).get(name)
    return statistics.median(values) if values else None


def number(value):
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def cell(results, key, who, name):
    slot = results.get(key, {}).get(who)
    if not slot:
        return "-"
    values = slot["values"].get(name)
    if not values:
        return "failed" if slot["errors"] else "-"
    text = number(statistics.median(values))
    return text if len(values) == 1 else f"{text} ±{number((max(values) - min(values)) / 2)}"


def table(args, results):
    """Lines of at most 100 columns, and the rows as data."""
    names = ["underlayd", "bird", "frr"]
    lines = [f"{'median ± half of the range':<35} {'underlayd':>12} {'BIRD':>12} {'FRR':>12} {'bare':>6} {'target':>6}"
             f" {'/targ':>5} {'/best':>5}"]
    rows = []
    for group, label, key, name, unit, target_of, rule in measures(args):
        if key not in results or group not in args.only | ({"memory"} if "fib" in args.only else set()):
            continue
        values = {who: median(results, key, who, name) for who in names + ["bare"]}
        others = [values[who] for who in names[1:] if values[who]]
        best, ours = min(others, default=None), values["underlayd"]
        target = target_of(best, values["bare"]) if target_of else None
        to_target = ours / target if ours is not None and target else None
        to_best = ours / best if ours is not None and best else None
        cells = [cell(results, key, who, name) for who in names]
        short = [number(v) if v is not None else "-" for v in (values["bare"], target)]
        ratio = [f"{v:.2f}" if v is not None else "-" for v in (to_target, to_best)]
        lines.append(f"{label + ', ' + unit:<35} {cells[0]:>12} {cells[1]:>12} {cells[2]:>12} {short[0]:>6} {short[1]:>6}"
                     f" {ratio[0]:>5} {ratio[1]:>5}")
        rows.append({"measure": label, "unit": unit, "median": values, "target": target, "rule": rule,
                     "to_target": to_target, "to_best": to_best})
    return lines, rows


def parse_args():
    parser = argparse.ArgumentParser(description="underlayd beside BIRD, FRR and a bare netlink loop")
    known = ("in-out", "memory", "fib", "idle", "start")
    parser.add_argument("--build", default="build")
    parser.add_argument("--routes", type=int, default=1000000, help="of the large table; the small one is a fifth")
    parser.add_argument("--only", default=",".join(known), help="comma-separated: " + " ".join(known))
    parser.add_argument("--daemons", default=",".join(d.name for d in daemons.ALL))
    parser.add_argument("--runs", type=int, default=3, help="rounds of each measurement")
    parser.add_argument("--timeout", type=int, default=240, help="seconds for each step of one measurement")
    args = parser.parse_args()
    args.only = set(args.only.split(","))
    if args.only - set(known):
        parser.error("unknown in --only: " + " ".join(args.only - set(known)))
    wanted = args.daemons.split(",")
    if set(wanted) - {d.name for d in daemons.ALL}:
        parser.error("unknown in --daemons: " + args.daemons)
    args.daemons = wanted
    if args.routes < 1000:
        parser.error("--routes wants at least 1000")
    return args


def interrupt(*_):
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # the second must not disturb the cleaning up
        signal.signal(signum, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    args = parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root, for network namespaces")
    contenders, head, results = [], [], {}
    for daemon in (kind(args.build) for kind in daemons.ALL if kind.name in args.daemons):
        why = daemon.missing()
        head.append(f"{daemon.title}: {why or daemon.version()}")
        if not why:
            contenders.append(daemon)
    head.append(f"Linux {platform.release()}, {os.cpu_count()} CPUs")
    print("\n".join(head), file=sys.stderr)
    interrupted = False
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, interrupt)
    try:
        run_all(args, contenders, results)
    except KeyboardInterrupt:
        interrupted = True
    lines, rows = table(args, results)
    print("\n".join(head + [""] + lines))
    with open(f"{args.build}/bench.json", "w", encoding="utf-8") as file:
        json.dump({"versions": head, "routes": args.routes, "rows": rows, "results": results}, file, indent=1)
    failed = any(slot["errors"] for by in results.values() for slot in by.values())
    return 130 if interrupted else 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
