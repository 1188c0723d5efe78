"""What goes wrong at a start, as a user meets it: a clear message, the right exit status, nothing half done."""
import os
import socket
import subprocess

from lab import never_during, wait_for
from runner import cases
from topology import FAR4, POD4, Pair
from underlay import UNDERLAYCTL, UNDERLAYD, Underlay, tor


def ends(daemon, status, *words):
    """The daemon, started without waiting, ends with a status, and at the default log level with one message, the last,
    which has these words. It leaves no socket and no route."""
    daemon.config["log"] = {"level": "info"}
    ours = lambda: (daemon.kernel("ipv4"), daemon.kernel("ipv6"), daemon.node.ip_json("nexthop", "show"))
    before, had = ours(), os.path.exists(daemon.socket)
    daemon.start(wait=False)
    got = daemon.process.wait(10)
    said = daemon.process.output()
    assert got == status, f"exit {got}: {said}"
    lines = [line for line in said.splitlines() if " warn  " not in line]
    assert len(lines) == 1 and said.endswith(lines[0] + "\n"), said
    for word in words:
        assert word in lines[0], f"no {word!r} in: {said}"
    assert ours() == before and os.path.exists(daemon.socket) == had, "half done"


def test_port_taken(lab):
    node = lab.node("node")
    holder = node.start("/usr/bin/python3", "-c",
                        "import socket, time; s = socket.create_server(('0.0.0.0', 179)); time.sleep(60)")
    wait_for(lambda: ":179" in node.run("ss", "-Htln").stdout, what="somebody else listens")
    ends(Underlay(node, advertise={"pod-cidrs": [POD4]}), 3, "179", "in use", "router.port")
    assert holder.alive


def test_address_to_listen_on_is_not_there(lab):
    ends(Underlay(lab.node("node"), advertise={"pod-cidrs": [POD4]}, router={"listen": ["10.9.9.9"]}), 3, "10.9.9.9",
         "router.listen")


def test_second_daemon_on_the_same_socket(lab):
    pair = Pair(lab, "frr").up()
    second = Underlay(lab.node("other"), name="second")
    second.socket = pair.underlay.socket
    ends(second, 3, pair.underlay.socket, "--control-socket")
    assert pair.underlay.established(), "the first one still answers"


def test_second_daemon_in_the_same_namespace_leaves_the_first_ones_routes(lab):
    pair = Pair(lab, "frr", networks=[FAR4]).up()
    wait_for(lambda: pair.underlay.installed(FAR4, POD4))
    watch = pair.node.monitor()
    second = Underlay(pair.node, name="second")
    second.socket = pair.underlay.socket
    ends(second, 3, pair.underlay.socket)
    ends(Underlay(pair.node, name="third"), 3, "179")
    ends(Underlay(pair.node, name="fourth", router={"listen": []}, advertise={"pod-cidrs": [POD4]}), 3, "fib.protocol")
    never_during(lambda: not pair.underlay.installed(FAR4, POD4), 1, "routes of the first one went")
    assert watch.events(FAR4) == [] and pair.underlay.established()


def test_nobody_in_particular_cannot_hold_the_protocol_number(lab):
    node = lab.node("node")
    squat = "import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('\\0underlay/protocol/87'); s.listen(); time.sleep(60)"
    node.start("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", squat)
    wait_for(lambda: "@underlay/protocol/87" in node.run("ss", "-Hxl").stdout, what="the name is taken")
    daemon = Underlay(node, advertise={"pod-cidrs": [POD4]}).start()
    wait_for(lambda: daemon.installed(POD4))


@cases(("a file",), ("no directory",), ("too long",))
def test_control_socket_that_cannot_be(lab, what):
    daemon = Underlay(lab.node("node"), advertise={"pod-cidrs": [POD4]})
    in_the_way = os.path.join(lab.dir, "file")
    open(in_the_way, "w").close()
    daemon.socket = {"a file": in_the_way, "no directory": in_the_way + "/x.sock",
                     "too long": os.path.join(lab.dir, "x" * 100)}[what]
    ends(daemon, 3, daemon.socket, *(["107"] if what == "too long" else []))
    assert os.path.getsize(in_the_way) == 0 and os.path.isfile(in_the_way), "it was not ours to remove"


def test_missing_directories_are_made(lab):
    daemon = Underlay(lab.node("node"))
    daemon.socket = os.path.join(lab.dir, "deep", "er", "ul.sock")
    daemon.start()
    daemon.command("advertise 198.51.100.7/32")
    wait_for(lambda: os.path.exists(daemon.socket + ".state"))


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
    daemon = Underlay(lab.node("node"), [tor("10.0.1.1", password_file=os.path.join(lab.dir, "missing.key"))],
                      advertise={"pod-cidrs": [POD4]})
    ends(daemon, 1, "missing.key")


def test_named_user_that_does_not_exist(lab):
    daemon = Underlay(lab.node("node"), advertise={"pod-cidrs": [POD4]})
    daemon.start(wait=False, argv=["--user", "no-such-user-here"])
    assert daemon.process.wait(10) in (2, 3), daemon.process.output()
    assert "no-such-user-here" in daemon.process.output()


def test_no_router_id_anywhere(lab):
    daemon = Underlay(lab.node("node"))
    del daemon.config["router"]["id"]
    ends(daemon, 1, daemon.config_path, "router.id")


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


