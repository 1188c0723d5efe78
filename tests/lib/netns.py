"""Network namespaces as `ip netns` makes them, without a program for each step: a suite makes thousands.

Names are files in /run/netns, so `ip netns exec NAME ...` works on them. All functions raise OSError.
"""
import contextlib
import ctypes
import fcntl
import os
import socket
import struct

DIRECTORY = "/run/netns"
OURS = "/proc/thread-self/ns/net"
CLONE_NEWNET, MS_BIND, MS_REC, MS_SHARED, MNT_DETACH = 0x40000000, 0x1000, 0x4000, 1 << 20, 2
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name, *arguments):
    if getattr(_libc, name)(*arguments):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def _path(name):
    return os.path.join(DIRECTORY, name)


def prepare():
    """Make /run/netns what `ip netns add` makes of it: a mount that those who have mounts of their own see changes of."""
    os.makedirs(DIRECTORY, exist_ok=True)
    with open("/proc/self/mountinfo") as mounts:
        if any(line.split()[4] == DIRECTORY for line in mounts):
            return
    _call("mount", DIRECTORY.encode(), DIRECTORY.encode(), b"none", MS_BIND | MS_REC, None)
    _call("mount", b"", DIRECTORY.encode(), b"none", MS_SHARED | MS_REC, None)


@contextlib.contextmanager
def _back():
    """The thread is in the same namespace after as before."""
    home = os.open(OURS, os.O_RDONLY)
    try:
        yield
    finally:
        _call("setns", home, CLONE_NEWNET)
        os.close(home)


def private():
    """This thread, and what it starts, has a new namespace without a name, of which lo is up."""
    _call("unshare", CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP))


@contextlib.contextmanager
def inside(name):
    """This thread is in the namespace for as long as the block; sockets and programs begun there stay there."""
    with _back():
        there = os.open(_path(name), os.O_RDONLY)
        try:
            _call("setns", there, CLONE_NEWNET)
        finally:
            os.close(there)
        yield


def create(name):
    """A namespace in which lo is up."""
    os.close(os.open(_path(name), os.O_CREAT | os.O_EXCL))
    with _back():
        private()
        _call("mount", OURS.encode(), _path(name).encode(), b"none", MS_BIND, None)


def remove(name):
    """The namespace itself goes with the last process in it."""
    with contextlib.suppress(OSError):  # one whose creation was interrupted
        _call("umount2", _path(name).encode(), MNT_DETACH)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(name))


def names():
    return os.listdir(DIRECTORY) if os.path.isdir(DIRECTORY) else []


def pids(name):
    """The processes in it."""
    try:
        wanted = os.stat(_path(name))
    except FileNotFoundError:
        return []
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it has just ended
            its = os.stat(f"/proc/{pid}/ns/net")
            if (its.st_dev, its.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.append(int(pid))
    return found


def sysctl(name, values):
    """{"net.ipv4.ip_forward": 1}; /proc/sys/net shows the namespace of the thread that opens it."""
    with inside(name):
        for key, value in values.items():
            with open(f"/proc/sys/{key.replace('.', '/')}", "w") as file:
                file.write(str(value))
