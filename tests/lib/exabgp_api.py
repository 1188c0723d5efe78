#!/usr/bin/python3
"""ExaBGP's helper process: commands come in by a FIFO, what ExaBGP says goes out to a file of JSON lines.

ExaBGP starts it as `process`; it speaks to us on our standard input and listens on our standard output.
usage: exabgp_api.py FIFO OUTPUT
"""
import os
import sys
import threading


def forward_commands(fifo):
    # Read and write, so that the FIFO never reports end-of-file between two writers.
    with os.fdopen(os.open(fifo, os.O_RDWR)) as commands:
        for line in commands:
            sys.stdout.write(line)
            sys.stdout.flush()


threading.Thread(target=forward_commands, args=(sys.argv[1],), daemon=True).start()
with open(sys.argv[2], "a", buffering=1) as out:
    for event in sys.stdin:
        out.write(event)
