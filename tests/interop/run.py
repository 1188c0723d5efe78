#!/usr/bin/python3
"""underlayd against real FRR, BIRD, GoBGP, ExaBGP and OpenBGPD. usage: run.py [-j N] [-l] [PATTERN...]; see tests/lib/runner.py."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import runner

if __name__ == "__main__":
    sys.exit(runner.main(HERE))
