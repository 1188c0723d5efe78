#!/usr/bin/python3
"""make bench: underlayd beside BIRD, FRR, GoBGP, OpenBGPD and a bare netlink loop, in one run on one machine.

Each measurement runs in fresh network namespaces; the daemons take turns within a round, so that a noisy minute
hits all of them; the table shows the median of the rounds. All single values go to build/bench.json. What is measured,
and its target, is in rows.py; with whom, in daemons.py.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import time

import daemons
import report
import rows
from box import Box, Failed
from lab import LabError, require_root

SLOW = 90  # seconds for one measurement: whoever takes longer is measured once


def attempt(results, who, key, addresses, function):
    """One measurement: its values are added to results[key][who], or its failure is noted there."""
    slot = results.setdefault(key, {}).setdefault(who, {"values": {}, "errors": []})
    if len(slot["errors"]) > 1:
        return
    began = time.monotonic()
    try:
        with Box(addresses) as box:
            try:
                values = function(box)
            except (Failed, LabError) as failure:
                raise Failed(f"{failure}; {box.log_excerpt()}") from None
    except (Failed, LabError, OSError, subprocess.SubprocessError) as failure:
        slot["errors"].append(str(failure))
        print(f"  {key} {who}: FAILED: {failure}", file=sys.stderr)
        return
    for name, value in values.items():
        slot["values"].setdefault(name, []).append(value)
    shown = " ".join(f"{name}={value:.4g}" for name, value in values.items())
    print(f"  {key} {who}: {shown} ({time.monotonic() - began:.0f} s)", file=sys.stderr)


def run_all(args, contenders, results):
    for measure in rows.measures(args):
        if measure.group not in args.only:
            continue
        rounds = measure.rounds or args.runs
        slow = set()
        for turn in range(rounds):
            print(f"{measure.key}, round {turn + 1} of {rounds}", file=sys.stderr)
            if measure.bare:
                attempt(results, "bare", measure.key, measure.addresses, lambda box: rows.bare(args, box, measure))
            for daemon in contenders:
                why = daemon.cannot(measure.job)
                if why:
                    results.setdefault(measure.key, {})[daemon.name] = {"values": {}, "errors": [], "cannot": why}
                elif daemon not in slow:
                    began = time.monotonic()
                    attempt(results, daemon.name, measure.key, measure.addresses,
                            lambda box: measure.function(args, daemon, box, measure.job, measure))
                    if time.monotonic() - began > SLOW:
                        slow.add(daemon)


def cell(slot, name):
    if not slot:
        return ""
    values = slot["values"].get(name)
    return report.number(report.median(values)) if values else slot.get("cannot") or ("failed" if slot["errors"] else "")


def table(args, results):
    """Head, rows of cells, and the rows as data."""
    head = ["median", *[kind.short for kind in daemons.ALL], "bare", "target", "/target", "±%"]
    body, data = [], []
    for row in rows.rows(args):
        slots = results.get(row.key)
        if slots is None or row.group not in args.only:
            continue
        values = {who: slot["values"].get(row.value, []) for who, slot in slots.items()}
        middle = {who: report.median(v) for who, v in values.items()}
        ours, loop = middle.get("underlayd"), middle.get("bare")
        best = min((v for who, v in middle.items() if who not in ("underlayd", "bare") and v is not None), default=None)
        target = row.target(best, loop) if row.target else None
        ratio = ours / target if ours is not None and target else None
        spread = max((report.spread(v) for v in values.values() if len(v) > 1), default=None)
        body.append([f"{row.label}{row.unit and ', ' + row.unit}",
                     *[cell(slots.get(kind.name), row.value) for kind in daemons.ALL],
                     report.number(loop), report.number(target), "" if ratio is None else f"{ratio:.2f}",
                     "" if spread is None else f"{spread:.0f}"])
        data.append({"measure": row.label, "unit": row.unit, "median": middle, "target": target, "rule": row.rule,
                     "to_target": ratio})
    return head, body, data


NOTES = ["±%: half of the range in percent of the median, of the daemon with the greatest. /target: above 1 is",
         "a miss. bare: a loop around netlink, nothing else. One process plays all neighbours.",
         f"Who takes longer than {SLOW} s is measured once, not in every round.",
         "idle: 2 peers, 100 routes, which go to the kernel or to the second peer only."]


def parse_args():
    parser = argparse.ArgumentParser(description="underlayd beside BIRD, FRR, GoBGP, OpenBGPD and a bare netlink loop")
    parser.add_argument("--build", default="build")
    parser.add_argument("--routes", type=int, default=1000000, help="of the large table; all sizes are in proportion")
    parser.add_argument("--only", default=",".join(rows.GROUPS), help="comma-separated: " + " ".join(rows.GROUPS))
    parser.add_argument("--daemons", default=",".join(d.name for d in daemons.ALL))
    parser.add_argument("--runs", type=int, default=3, help="rounds of each measurement")
    parser.add_argument("--timeout", type=int, default=600, help="seconds for each step of one measurement")
    parser.add_argument("--markdown", metavar="FILE", help="the table as Markdown too")
    parser.add_argument("--perf", metavar="FILE", help="profile the daemon of the last measurement into it; not with vips")
    args = parser.parse_args()
    args.only = set(args.only.split(","))
    if args.only - set(rows.GROUPS):
        parser.error("unknown in --only: " + " ".join(args.only - set(rows.GROUPS)))
    if args.routes < 10000:
        parser.error("--routes wants at least 10000")
    return args


def choose(args, among=daemons.ALL):
    """The daemons that were asked for and can run, and lines that say who is who on which machine."""
    wanted = args.daemons.split(",")
    if set(wanted) - {kind.name for kind in daemons.ALL}:
        sys.exit("bench: unknown in --daemons: " + args.daemons)
    contenders, head = [], []
    for daemon in (kind(args.build) for kind in among if kind.name in wanted):
        why = daemon.missing()
        head.append(f"{daemon.title}: {why or daemon.version()}")
        if not why:
            contenders.append(daemon)
    head.append(f"Linux {platform.release()}, {os.cpu_count()} CPUs")
    print("\n".join(head), file=sys.stderr)
    return contenders, head


def show(args, head, table_head, body, notes):
    print("\n".join([*head, "", *report.text(table_head, body, notes)]))
    if args.markdown:
        with open(args.markdown, "w", encoding="utf-8") as file:
            file.write("\n".join(report.markdown(table_head, body, notes)) + "\n")


def main():
    args = parse_args()
    require_root()
    contenders, head = choose(args)
    for daemon in contenders if args.perf else ():
        daemon.wrap = ("perf", "record", "-e", "cpu-clock", "-F", "999", "-g", "-o", os.path.abspath(args.perf), "--")
    results, status = {}, 0
    try:
        run_all(args, contenders, results)
    except SystemExit as interrupted:  # what there is is shown
        status = interrupted.code
    table_head, body, data = table(args, results)
    show(args, head, table_head, body, NOTES)
    with open(f"{args.build}/bench.json", "w", encoding="utf-8") as file:
        json.dump({"versions": head, "routes": args.routes, "rows": data, "results": results}, file, indent=1)
    failed = any(slot["errors"] for by in results.values() for slot in by.values())
    return status or (1 if failed else 0)


if __name__ == "__main__":
    sys.exit(main())
