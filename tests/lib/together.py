"""Jobs side by side, and a second run for what failed: what the runners of tests have in common.

A job is begun by what start(name) returns, and has: done(), whether it has ended; end(), which ends it and what it left;
report(), which prints how it went, called once when it is done; and from then on failed, and final: it failed by something that
no busy machine causes.
"""
import signal
import sys
import time

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_on_signals():
    """SIGINT, SIGTERM and SIGHUP end the program through its finally blocks, once: the second changes nothing. SIGINT too,
    which a shell's background job has ignored, and its children with it; not SIGHUP where nohup has it ignored."""

    def on_signal(number, _frame):
        for again in SIGNALS:
            signal.signal(again, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, on_signal)


def finished(names, start, side_by_side):
    """Run so many at once, and yield the name and the job of each that is done, reported."""
    waiting, running = list(reversed(names)), {}
    try:
        while waiting or running:
            while waiting and len(running) < side_by_side:
                name = waiting.pop()
                running[name] = start(name)
            for name in [n for n, job in running.items() if job.done()]:
                job = running.pop(name)
                job.report()
                sys.stdout.flush()
                yield name, job
            time.sleep(0.02)
    finally:
        for job in running.values():
            job.end()


def run(names, start, side_by_side, again=0):
    """The last job of each name. When no more than so many failed, those run once more, alone, and that counts."""
    jobs = dict(finished(names, start, side_by_side))
    failed = [name for name in names if jobs[name].failed]
    if len(failed) <= again:
        for name, job in finished([n for n in failed if not jobs[n].final], start, 1):
            jobs[name] = job
            if not job.failed:
                print(f"AGAIN {name}: failed beside others, passed alone", flush=True)
    return jobs
