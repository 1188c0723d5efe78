"""The runner of interop and CLI tests: functions test_* of test_*.py, each in a process and a lab of its own.

A test is a function taking a Lab; @cases(...) makes several of one, and its name says what must hold. A test passes when
it returns; Skip skips it, with the reason shown. The process of its own is what lets tests run side by side, and what a
test that hangs is ended by: SIGTERM first, so that its lab cleans up, then SIGKILL and a sweep by name.
"""
import argparse
import collections
import importlib.util
import glob
import os
import signal
import sys
import tempfile
import time
import traceback
import zlib

import netns
from lab import Lab, SLOW, Skip, require_root, sweep
from peers import PEERS
import together
from underlay import UNDERLAYCTL, UNDERLAYD, check_logs
import wiretap

SKIPPED = 77
NO_EXCUSE = 78  # a sanitizer or Wireshark has found something: true, however busy the machine was
# A second run over another build of the same source sends the same and may do without.
TAPPED = os.environ.get("LAB_TAP") != "0"
RAW = "raw"  # no implementation on the other side but a script, or nobody
COLUMNS = {"frr": "FRR", "bird": "BIRD", "gobgp": "GoBGP", "exabgp": "ExaBGP", "openbgpd": "OpenBGPD", RAW: RAW}
WIDTH = 80


def cases(*rows, timeout=None):
    """Run the test once per row; a row is a tuple of arguments, and its words go into the name."""

    def mark(function):
        function.cases = rows or ((),)
        function.timeout = timeout
        return function

    return mark


def feature(*names, peer=None, when=None):
    """What of BGP the test proves, for the matrix of features and peers. peer: the kind (or kinds) of the other side, where no
    argument says it; without either it is a scripted one. when: only of the cases with this argument."""

    def mark(function):
        function.features = getattr(function, "features", ()) + tuple((name, when) for name in names)
        function.peer = peer or getattr(function, "peer", None)
        return function

    return mark


def endurance(function):
    """Much of the same for long, or of the program as it is shipped: a --brief run goes without it."""
    function.endurance = True
    return function


class Matrix:
    """Features by peers: how many tests passed, or that one did not."""

    def __init__(self):
        self.rows = {}

    def add(self, function, row, word):
        named = getattr(function, "peer", None) or ()
        kinds = [a for a in row if isinstance(a, str) and a in PEERS] or ([named] if isinstance(named, str) else list(named))
        for name, when in getattr(function, "features", ()):
            for kind in dict.fromkeys(kinds or [RAW]) if when is None or when in row else ():
                self.rows.setdefault(name, {}).setdefault(kind, []).append(word)

    @staticmethod
    def cell(words):
        if "FAIL" in words:
            return "FAIL"
        return str(words.count("ok")) if "ok" in words else "skip" if words else "-"

    def text(self):
        widths = {kind: max(len(title), 4) for kind, title in COLUMNS.items()}
        room = WIDTH - sum(w + 2 for w in widths.values())
        lines = [("Feature", COLUMNS)]
        lines += [(name, {kind: self.cell(cells.get(kind, ())) for kind in COLUMNS})
                  for name, cells in sorted(self.rows.items(), key=lambda row: row[0].lower())]
        return "\n".join(f"{name if len(name) <= room else name[:room - 1] + '…':<{room}}" + "".join(f"  {cells[k]:>{w}}" for k, w in widths.items())
                         for name, cells in lines)


def collect(directory):
    """All tests of a directory as (name, function, arguments), in file order."""
    found = []
    for path in sorted(glob.glob(os.path.join(directory, "test_*.py"))):
        module_name = os.path.basename(path)[:-3]
        spec = importlib.util.spec_from_file_location(module_name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, function in list(vars(module).items()):
            if name.startswith("test_") and callable(function):
                for row in getattr(function, "cases", ((),)):
                    label = f"{module_name[5:]}/{name[5:]}"
                    found.append((f"{label}[{','.join(map(str, row))}]" if row else label, function, row))
    return found


def some_cases(tests, most):
    """Of each test at most so many of its cases: of several one with FRR, which most routers run, and otherwise their names decide,
    so that every kind of peer has its turn somewhere."""
    chosen = collections.defaultdict(list)
    for test in sorted(tests, key=lambda test: (most > 1 and "frr" not in test[0], zlib.crc32(test[0].encode()))):
        if len(chosen[test[1]]) < most:
            chosen[test[1]].append(test)
    names = {test[0] for cases_of in chosen.values() for test in cases_of}
    return [test for test in tests if test[0] in names]


def run_one(name, function, row):
    """In the child: run the test, say what went wrong, leave nothing."""
    status = 0
    lab = Lab(name)
    tap = wiretap.Tap(lab) if TAPPED else None
    failure = 1
    try:
        function(lab, *row)
        failure = NO_EXCUSE
        check_logs(lab)
        if tap:
            tap.check()
    except Skip as reason:
        print(f"\x00{reason}")
        status = SKIPPED
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        status = failure
        try:
            check_logs(lab)
        except AssertionError as report:
            print(report)
            status = NO_EXCUSE
        print(lab.logs())
    sys.stdout.flush()
    lab.close()
    return status


class Job:
    """A test in a process and a lab of its own; see together.py."""

    def __init__(self, name, function, row):
        self.name, self.began = name, time.monotonic()
        self.deadline = self.began + (getattr(function, "timeout", None) or 60) * SLOW
        self.killed, self.status, self.word = False, None, None
        self.output = tempfile.TemporaryFile("w+", errors="replace")
        self.pid = os.fork()
        if not self.pid:
            status = 1
            try:
                os.dup2(self.output.fileno(), 1)
                os.dup2(self.output.fileno(), 2)
                sys.stdout = os.fdopen(1, "w", errors="replace", buffering=1)
                status = run_one(name, function, row)
            except BaseException:
                traceback.print_exc(file=sys.stdout)
            finally:
                os._exit(status)

    def done(self):
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            sweep(f"ul-{self.pid}")
            self.status = os.waitstatus_to_exitcode(status)
            return True
        now = time.monotonic()
        if now > self.deadline + 10:
            os.kill(self.pid, signal.SIGKILL)
        elif now > self.deadline and not self.killed:
            self.killed = True
            os.kill(self.pid, signal.SIGTERM)
        return False

    def end(self):
        """Tell it to stop, and see that it leaves nothing: for a run that is interrupted."""
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        sweep(f"ul-{self.pid}")

    def report(self):
        self.word = "SKIP" if self.status == SKIPPED else "FAIL" if self.status or self.killed else "ok"
        self.output.seek(0)
        with self.output:
            text = self.output.read()
        why = ": " + text.split("\0")[-1].strip() if self.word == "SKIP" else ""
        print(f"{self.word:<5} {self.name} ({time.monotonic() - self.began:.1f}s){why}")
        if self.failed:
            note = "ran out of time\n" if self.killed else ""
            print("\n".join("      " + line for line in (note + text).splitlines()))

    @property
    def failed(self):
        return self.word == "FAIL"

    @property
    def final(self):
        return self.status == NO_EXCUSE


def main(directory):
    parser = argparse.ArgumentParser(description="Run the tests of this directory whose names contain a pattern.")
    parser.add_argument("pattern", nargs="*", help="part of a test's name; default: all")
    parser.add_argument("-j", type=int, default=1, metavar="N", help="run N side by side")
    parser.add_argument("-l", action="store_true", help="list the names and stop")
    parser.add_argument("--again", type=int, default=0, metavar="N",
                        help="up to N tests that failed run once more, alone, and that counts")
    parser.add_argument("--cases", type=int, default=0, metavar="N", help="of each test only N of its cases, always the same ones")
    parser.add_argument("--brief", action="store_true", help="no test of endurance")
    options = parser.parse_args()
    tests = [t for t in collect(directory) if not options.pattern or any(p in t[0] for p in options.pattern)]
    if options.brief:
        tests = [test for test in tests if not getattr(test[1], "endurance", False)]
    if options.cases:
        tests = some_cases(tests, options.cases)
    if options.l:
        print("\n".join(t[0] for t in tests))
        return 0
    require_root()
    for program in (UNDERLAYD, UNDERLAYCTL):
        if not os.access(program, os.X_OK):
            print(f"{program} is not there: run make first")
            return 3
    netns.prepare()
    if TAPPED:
        try:
            wiretap.judge()
        except FileNotFoundError as error:
            print(f"{error.filename} is not there: run sh tests/install-deps.sh check, or go without it by LAB_TAP=0")
            return 3
    by_name = {test[0]: test for test in tests}
    jobs = together.run(by_name, lambda name: Job(*by_name[name]), options.j, options.again)
    matrix = Matrix()
    for name, function, row in tests:
        matrix.add(function, row, jobs[name].word)
    if matrix.rows:
        print(f"\n{matrix.text()}\n")
    count = collections.Counter(job.word for job in jobs.values())
    print(f"{count['ok']} passed, {count['FAIL']} failed, {count['SKIP']} skipped")
    return 1 if count["FAIL"] else 0
