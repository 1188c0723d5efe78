#!/usr/bin/python3
"""underlayctl and underlayd as users meet them. usage: run.py [-j N] [-l] [PATTERN...]; see tests/lib/runner.py."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import runner

if __name__ == "__main__":
    sys.exit(runner.main(HERE))
