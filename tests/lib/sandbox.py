"""Runs a program under the SystemCallFilter= of a systemd unit, without systemd: sandbox.py UNIT PROGRAM ARGUMENT...

A call that the unit does not allow kills the program, as systemd has it. Only what needs no systemd is done here.
"""
import ctypes
import os
import re
import struct
import subprocess
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, KILL_PROCESS = 0x7fff0000, 0x80000000


def members(name):
    """The calls of a set such as @system-service; a call is its own set."""
    if not name.startswith("@"):
        return {name}
    text = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in text.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return set().union(*(members(word) for word in words))


def allowed(unit):
    """Line by line: a list is added, one that begins with ~ is taken away."""
    calls = members("@default")
    with open(unit, encoding="utf-8") as file:
        for value in re.findall(r"^SystemCallFilter=(.*)$", file.read(), re.M):
            listed = set().union(*(members(word) for word in value.lstrip("~").split()))
            calls = calls - listed if value.startswith("~") else calls | listed
    return calls


def numbers(calls):
    argv = ["cc", "-E", "-dM", "-include", "asm/unistd.h", "-x", "c", "/dev/null"]
    source = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return [int(n) for name, n in re.findall(r"^#define __NR_(\w+) (\d+)$", source, re.M) if name in calls]


def enter(unit):
    code = [struct.pack("HBBI", LOAD, 0, 0, 0)]
    for number in numbers(allowed(unit)):
        code += [struct.pack("HBBI", JUMP_IF_EQUAL, 0, 1, number), struct.pack("HBBI", RETURN, 0, 0, ALLOW)]
    code.append(struct.pack("HBBI", RETURN, 0, 0, KILL_PROCESS))
    program = ctypes.create_string_buffer(b"".join(code))
    libc = ctypes.CDLL(None, use_errno=True)
    filters = ctypes.create_string_buffer(struct.pack("HP", len(code), ctypes.addressof(program)))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filters, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    enter(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
