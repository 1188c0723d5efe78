"""What `make install` puts on a system: complete, running from there under what the unit allows, and gone again."""
import os
import re
import shutil

from lab import ROOT, Skip, run, wait_for
from topology import POD4
from underlay import UNDERLAYD, Underlay, tor


def make(lab, target):
    build = os.path.relpath(os.path.dirname(UNDERLAYD), ROOT)  # make takes no spaces, which the path to here may have
    run(["make", "-C", ROOT, target, f"BUILD={build}", f"DESTDIR={lab.dir}/root", "PREFIX=/usr"], timeout=300)
    return os.path.join(lab.dir, "root")


def unit(root):
    with open(f"{root}/lib/systemd/system/underlayd.service") as f:
        return f.read()


def files(root):
    return sorted(os.path.relpath(os.path.join(d, n), root) for d, _, names in os.walk(root) for n in names)


def test_installed_and_uninstalled(lab):
    root = make(lab, "install")
    assert "@BINDIR@" not in unit(root), "a place-holder is left"
    assert re.search(r"^ExecStart=/usr/sbin/underlayd$", unit(root), re.M), unit(root)
    assert os.stat(f"{root}/etc/underlay/underlay.yaml").st_mode & 0o777 == 0o640, "it may hold passwords"
    assert run([f"{root}/usr/sbin/underlayd", "--check", "--config", f"{root}/etc/underlay/underlay.yaml"]).stderr == ""
    with open(f"{root}/etc/underlay/underlay.yaml", "a") as f:
        f.write("# mine\n")
    make(lab, "install")
    with open(f"{root}/etc/underlay/underlay.yaml") as f:
        assert f.read().endswith("# mine\n"), "an existing configuration is kept"
    make(lab, "uninstall")
    assert files(root) == ["etc/underlay/underlay.yaml"], files(root)


def policies_of(pid):
    """{name of a thread: its scheduling policy}"""
    threads = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/comm", encoding="utf-8") as f:
            threads[f.read().strip()] = os.sched_getscheduler(int(thread))
    return threads


def test_runs_with_what_the_unit_leaves_it(lab):
    """The unit's bounding set, no_new_privs, its limit of real time and its filter of system calls, without systemd: the socket
    gets its group, state is written, BFD has real time, a killed speaker comes back without privilege."""
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze is not installed")
    root = make(lab, "install")
    node = lab.node("node")
    daemon = Underlay(node, [tor("127.0.0.2", bfd=True)], advertise={"pod-cidrs": [POD4]}, control={"group": "daemon"})
    daemon.write()
    caps = re.search(r"^CapabilityBoundingSet=(.*)$", unit(root), re.M).group(1).lower().replace("cap_", "+").split()
    state = os.path.join(lab.dir, "state")
    os.mkdir(state, 0o700)
    limit = ["prlimit", "--rtprio=" + re.search(r"^LimitRTPRIO=(.*)$", unit(root), re.M).group(1)]
    if run([*limit, "true"], check=False).returncode:  # we may not raise it, where systemd may
        limit, caps = [], [*caps, "+sys_nice"]
    daemon.process = node.start(*limit, "setpriv", "--bounding-set", ",".join(["-all", *caps]),
                                "--inh-caps=-all", "--no-new-privs", "/usr/bin/python3", f"{ROOT}/tests/lib/sandbox.py",
                                f"{root}/lib/systemd/system/underlayd.service", f"{root}/usr/sbin/underlayd", "--config",
                                daemon.config_path, "--control-socket", daemon.socket,
                                env={"STATE_DIRECTORY": state, "ASAN_OPTIONS": "detect_leaks=0"})  # that would trace itself
    wait_for(lambda: daemon.installed(POD4), what="its route")
    found = os.stat(daemon.socket)
    assert found.st_mode & 0o777 == 0o660 and found.st_gid == 1, found
    daemon.command("advertise 198.51.100.7/32")
    wait_for(lambda: "198.51.100.7/32" in open(f"{state}/state").read(), what="state on disk")
    old = daemon.speaker()
    os.kill(old, 9)
    wait_for(lambda: daemon.speaker() != old and "198.51.100.7/32" in daemon.rib(), what="the speaker is back")
    with open(f"/proc/{daemon.speaker()}/status") as f:
        assert re.search(r"^CapEff:\t0+$", f.read(), re.M)
    policies = wait_for(lambda: len(found := policies_of(daemon.process.pid)) == 2 and found, what="BFD's thread")
    assert policies.pop("underlayd: bfd") == os.SCHED_RR and set(policies.values()) == {os.SCHED_OTHER}, policies
    with open(f"/proc/{daemon.speaker()}/limits", encoding="utf-8") as f:
        assert re.search(r"^Max realtime priority +0 +0", f.read(), re.M), "the speaker could get real time"
    assert os.sched_getaffinity(daemon.speaker()) == os.sched_getaffinity(0), "what BFD divides is not the speaker's loss"
    assert daemon.stop() == 0 and daemon.gone(POD4)


def test_unit_is_sound(lab):
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze is not installed")
    root = make(lab, "install")
    path = os.path.join(lab.dir, "underlayd.service")
    with open(path, "w") as f:  # it looks for the programs where they will be
        f.write(unit(root).replace("/usr/sbin/underlayd", f"{root}/usr/sbin/underlayd"))
    done = run(["systemd-analyze", "verify", "--man=no", path], check=False)
    assert done.returncode == 0 and "underlayd" not in done.stderr, done
