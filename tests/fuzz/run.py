#!/usr/bin/python3
"""The fuzz targets of one build: each over its corpus, and then on with what the fuzzer makes of it, for a number of runs or
some time. usage: run.py [-j N] [--runs N | --seconds N] [--only NAMES] [--grow DIR] BUILD

A target passes when it ends by itself. One that finds something is a failure: the input is kept in build/fuzz-crashes, and the
command that repeats it is shown. With --grow, inputs that reach something new are kept in DIR/NAME and used the next time.
The last line is "N passed, N failed, N skipped".
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

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import together

ROOT = os.path.dirname(os.path.dirname(HERE))
CRASHES = os.path.join(ROOT, "build", "fuzz-crashes")
# The longest inputs that are tried, and the words the fuzzer mixes in.
LENGTH = {"message": 4500, "update": 6000, "config": 4000, "command": 600, "state": 2000, "fibspeaker": 4000, "fibparent": 4000,
          "kube_object": 4000}


class Target:
    failed, final = False, True

    def __init__(self, path, options, directory):
        self.name, self.path, self.began = os.path.basename(path), path, time.monotonic()
        corpus = os.path.join(HERE, "corpus", self.name)
        words = [path, f"-max_len={LENGTH.get(self.name, 2000)}", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1",
                 f"-artifact_prefix={CRASHES}/{self.name}-", "-verbosity=1"]
        if options.seconds:
            words.append(f"-max_total_time={options.seconds}")
        if options.runs:
            words += [f"-runs={options.runs}", "-seed=1"]
        dictionary = os.path.join(HERE, f"{self.name}.dict")
        words += [f"-dict={dictionary}"] if os.path.exists(dictionary) else []
        # The first directory is the one that is written to; the corpus itself never is.
        grown = os.path.join(options.grow or directory, self.name)
        os.makedirs(grown, exist_ok=True)
        words.append(grown)
        words += [corpus] if os.path.isdir(corpus) else []
        self.log = os.path.join(CRASHES, f"{self.name}.log")
        with open(self.log, "w") as log:
            self.popen = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def end(self):
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()

    def done(self):
        return self.popen.poll() is not None

    def report(self):
        with open(self.log, errors="replace") as f:
            text = f.read()
        runs = re.search(r"stat::number_of_executed_units: (\d+)", text)
        spent = f"({runs[1] if runs else '?'} runs, {time.monotonic() - self.began:.1f}s)"
        if not self.popen.returncode and runs:
            print(f"ok    {self.name} {spent}")
            return
        self.failed = True
        print(f"FAIL  {self.name} {spent}: exit status {self.popen.returncode}")
        lines = [line for line in text.splitlines() if not re.match(r"#\d+\s", line)]
        print("\n".join("      " + line for line in lines[-60:]))
        if found := re.search(r"Test unit written to (\S+)", text):
            print(f"      again: {os.path.relpath(self.path, ROOT)} {os.path.relpath(found[1], ROOT)}")
        print(f"      whole log: {os.path.relpath(self.log, ROOT)}")


def main():
    parser = argparse.ArgumentParser(description="Run the fuzz targets of one build.")
    parser.add_argument("-j", type=int, default=1, metavar="N", help="run N side by side")
    parser.add_argument("--runs", type=int, help="so many runs each, the same ones every time")
    parser.add_argument("--seconds", type=int, help="so long each at most")
    parser.add_argument("--only", help="names of targets, by commas")
    parser.add_argument("--grow", metavar="DIR", help="keep inputs that reach something new in DIR")
    parser.add_argument("build", help="the build directory, as in make BUILD=build/asan fuzzers")
    options = parser.parse_args()
    if not options.runs and not options.seconds:
        parser.error("how long? --runs or --seconds")
    together.end_on_signals()
    names = sorted(os.path.basename(p)[5:-2] for p in glob.glob(os.path.join(HERE, "fuzz_*.c")))
    if options.only:
        if unknown := set(options.only.split(",")) - set(names):
            parser.error(f"no target {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
        names = [n for n in names if n in options.only.split(",")]
    os.makedirs(CRASHES, exist_ok=True)
    paths = [os.path.abspath(os.path.join(options.build, "fuzz", name)) for name in names]
    missing = [path for path in paths if not os.access(path, os.X_OK)]
    for path in missing:
        print(f"FAIL  {path}: not built")
    with tempfile.TemporaryDirectory(prefix="ul-fuzz-") as directory:
        targets = together.run([path for path in paths if path not in missing],
                               lambda path: Target(path, options, directory), options.j)
    failed = len(missing) + sum(target.failed for target in targets.values())
    print(f"{len(paths) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
