"""What goes wrong at a start, as a user meets it: a clear message, the right exit status, nothing half done."""
import os
import socket
import subprocess

from lab import wait_for
from runner import cases
from topology import POD4, Pair
from underlay import UNDERLAYCTL, UNDERLAYD, Underlay, tor


def ends(daemon, status, *words):
    """The daemon, started without waiting, ends with a status and a message with these words."""
    daemon.start(wait=False)
    got = daemon.process.wait(10)
    said = daemon.process.output()
    assert got == status, f"exit {got}: {said}"
    for word in words:
        assert word in said, f"no {word!r} in: {said}"


def test_port_taken(lab):
    node = lab.node("node")
    holder = node.start("/usr/bin/python3", "-c",
                        "import socket, time; s = socket.create_server(('0.0.0.0', 179)); time.sleep(60)")
    wait_for(lambda: ":179" in node.run("ss", "-Htln").stdout, what="somebody else listens")
    ends(Underlay(node, advertise={"pod-cidrs": [POD4]}), 3, "179", "in use")
    assert holder.alive
    assert node.routes("ipv4", protocol="87") == {}, "nothing half done"


def test_second_daemon_on_the_same_socket(lab):
    pair = Pair(lab, "frr").up()
    second = Underlay(lab.node("other"), name="second")
    second.socket = pair.underlay.socket
    ends(second, 3, pair.underlay.socket)
    assert pair.underlay.established(), "the first one still answers"


def test_stale_socket_of_a_dead_daemon_is_replaced(lab):
    daemon = Underlay(lab.node("node"))
    left = socket.socket(socket.AF_UNIX)
    left.bind(daemon.socket)
    left.close()
    daemon.start()


def test_no_permission(lab):
    node = lab.node("node")
    daemon = Underlay(node)
    daemon.write()
    daemon.socket = os.path.join(lab.dir, "nobody", "ul.sock")
    os.mkdir(os.path.dirname(daemon.socket))
    os.chown(os.path.dirname(daemon.socket), 65534, 65534)
    # Copied to where nobody may read it: the source tree may be under somebody's home.
    program = os.path.join(lab.dir, "underlayd")
    with open(UNDERLAYD, "rb") as f, open(program, "wb") as g:
        g.write(f.read())
    os.chmod(program, 0o755)
    done = node.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, "--config", daemon.config_path,
                    "--control-socket", daemon.socket, check=False)
    assert done.returncode == 3, done
    assert "permi" in done.stderr.lower() or "privilege" in done.stderr.lower() or "root" in done.stderr, done.stderr


@cases(("no file",), ("yaml",), ("key",), ("asn",))
def test_configuration_error(lab, what):
    daemon = Underlay(lab.node("node"), [tor("10.0.1.1")])
    daemon.write({"no file": "", "yaml": "router: {asn: [}\n", "key": "router: {asn: 65000, idd: 1.2.3.4}\n",
                  "asn": "router: {asn: many}\n"}[what])
    if what == "no file":
        os.unlink(daemon.config_path)
    done = subprocess.run([UNDERLAYD, "--config", daemon.config_path, "--control-socket", daemon.socket], text=True,
                          capture_output=True, timeout=20)
    assert done.returncode == 1, done
    assert daemon.config_path in done.stderr, done.stderr
    if what != "no file":
        assert f"{daemon.config_path}:1:" in done.stderr, done.stderr
    if what == "key":
        assert "idd" in done.stderr and "id" in done.stderr.replace("idd", ""), done.stderr
    assert not os.path.exists(daemon.socket)


def test_unreadable_key_file(lab):
    daemon = Underlay(lab.node("node"), [tor("10.0.1.1", password_file=os.path.join(lab.dir, "missing.key"))])
    ends(daemon, 1, "missing.key")


def test_named_user_that_does_not_exist(lab):
    daemon = Underlay(lab.node("node"))
    daemon.start(wait=False, argv=["--user", "no-such-user-here"])
    assert daemon.process.wait(10) in (2, 3), daemon.process.output()
    assert "no-such-user-here" in daemon.process.output()


def test_no_router_id_anywhere(lab):
    daemon = Underlay(lab.node("node"))
    del daemon.config["router"]["id"]
    daemon.start(wait=False)
    assert daemon.process.wait(10) == 1, daemon.process.output()
    assert "id" in daemon.process.output()


@cases(("missing",), ("dead",))
def test_underlayctl_without_a_daemon(lab, what):
    path = os.path.join(lab.dir, "x.sock")
    if what == "dead":
        left = socket.socket(socket.AF_UNIX)
        left.bind(path)
        left.close()
    done = subprocess.run([UNDERLAYCTL, "--socket", path, "show", "version"], text=True, capture_output=True, timeout=10)
    assert done.returncode == 3 and path in done.stderr and done.stdout == "", done


def test_speaker_has_no_privilege(lab):
    pair = Pair(lab, "frr").up()
    with open(f"/proc/{pair.underlay.speaker()}/status") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    assert "0" not in status["Uid"].split() and "0" not in status["Gid"].split(), status
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0 or kind == "CapBnd", (kind, status[kind])
    assert status["NoNewPrivs"] == "1"


