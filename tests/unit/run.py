#!/usr/bin/python3
"""The unit test programs of one build, side by side: most of their time is spent waiting. usage: run.py [-j N] BUILD

A program prints "ok", "FAIL" or "SKIP" per case and ends with its totals; one that dies before them, runs out of time, or
exits non-zero without a failure to show for it counts as a failure. Programs put files below $TMPDIR, which is a
directory of this run, and are started in sessions of their own, so that an interrupted run leaves neither files nor
processes; for root each has a network namespace of its own, so that none takes another's ports. The last line is the sum
over all.
"""
import argparse
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import netns
import together

TOTALS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
SOURCES = os.path.dirname(os.path.abspath(__file__))
TIMEOUT = 300


class Program:
    def __init__(self, path, directory):
        self.path, self.began, self.late = path, time.monotonic(), False
        self.totals = None
        self.output = tempfile.TemporaryFile("w+", errors="replace", dir=directory)
        self.popen = subprocess.Popen([path], stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output,
                                      preexec_fn=None if os.geteuid() else netns.private,
                                      start_new_session=True, env={**os.environ, "TMPDIR": directory})

    def done(self):
        if self.popen.poll() is None and time.monotonic() > self.began + TIMEOUT:
            self.late = True
            self.end()
        return self.popen.poll() is not None

    def end(self):
        """Kill it and what it started."""
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()

    def report(self):
        self.output.seek(0)
        with self.output:
            text = self.output.read()
        found = TOTALS.findall(text)
        passed, failed, skipped = map(int, found[-1]) if found else (0, 0, 0)
        print(TOTALS.sub("", text).rstrip())
        if not failed and (self.popen.returncode or not found):
            why = f"not done after {TIMEOUT} s" if self.late else f"exit status {self.popen.returncode}"
            print(f"FAIL  {self.path}: {why}")
            print("\n".join(f"      {line}" for line in text.splitlines()[-40:]))
            failed = 1
        self.totals = passed, failed, skipped

    @property
    def failed(self):
        return self.totals[1] > 0

    @property
    def final(self):
        """A crash, or a sanitizer's word: a case that fails makes it 1."""
        return self.popen.returncode != 1 and not self.late


def main():
    parser = argparse.ArgumentParser(description="Run the unit tests of one build.")
    parser.add_argument("-j", type=int, default=1, metavar="N", help="run N side by side")
    parser.add_argument("--again", type=int, default=0, metavar="N",
                        help="up to N programs that failed run once more, alone, and that counts")
    parser.add_argument("build", help="the build directory, as in make BUILD=build/asan units")
    options = parser.parse_args()
    together.end_on_signals()
    names = sorted(os.path.basename(p)[:-2] for p in glob.glob(os.path.join(SOURCES, "test_*.c")))
    paths = [os.path.join(options.build, "tests", name) for name in names]
    missing = [path for path in paths if not os.access(path, os.X_OK)]
    for path in missing:
        print(f"FAIL  {path}: not built")
    with tempfile.TemporaryDirectory(prefix="ul-units-") as directory:
        os.chmod(directory, 0o755)
        programs = together.run([path for path in paths if path not in missing],
                                lambda path: Program(path, directory), options.j, options.again)
    passed, failed, skipped = map(sum, zip((0, len(missing), 0), *(p.totals for p in programs.values())))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
