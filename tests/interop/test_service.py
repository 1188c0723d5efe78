"""What `make install` puts on a system: complete, running from there under what the unit allows, and gone again."""
import os
import re
import shutil

from lab import ROOT, Skip, run, wait_for
from topology import POD4
from underlay import UNDERLAYD, Underlay


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


def test_runs_with_what_the_unit_leaves_it(lab):
    """The unit's bounding set and no_new_privs, without systemd: the socket gets its group, state is written, a killed
    speaker comes back without privilege."""
    root = make(lab, "install")
    node = lab.node("node")
    daemon = Underlay(node, advertise={"pod-cidrs": [POD4]}, control={"group": "daemon"})
    daemon.write()
    caps = re.search(r"^CapabilityBoundingSet=(.*)$", unit(root), re.M).group(1).lower().replace("cap_", "+").split()
    state = os.path.join(lab.dir, "state")
    os.mkdir(state, 0o700)
    daemon.process = node.start("setpriv", "--bounding-set", ",".join(["-all", *caps]), "--inh-caps=-all", "--no-new-privs",
                                f"{root}/usr/sbin/underlayd", "--config", daemon.config_path, "--control-socket",
                                daemon.socket, env={"STATE_DIRECTORY": state})
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
