"""The watch over what is sent in every other test: it hears, it tells good from bad, and it does not mind what peers say."""
import os

import rawbgp as bgp
from lab import LabError, wait_for
from rack import attributes
from runner import cases
from wiretap import Tap

TALK = ("import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])));"
        "s.sendall(bytes.fromhex(sys.argv[3])); s.shutdown(socket.SHUT_WR); b''.join(iter(lambda: s.recv(65536), b''))")
LISTEN = ("import socket, sys; s = socket.create_server(('0.0.0.0', int(sys.argv[1]))).accept()[0];"
          "s.sendall(bytes.fromhex(sys.argv[2]));"
          "got = b''.join(iter(lambda: s.recv(65536), b'')); print(len(got))")
GOOD = bgp.open_message(65100, "10.255.1.1") + bgp.keepalive() + bgp.update(attributes(), bgp.nlri("192.0.2.0/24"))
BAD = {
    "malformed": GOOD + bgp.update(attributes() + bytes((0x40, 5, 40, 0, 0)), bgp.nlri("192.0.2.0/24")),
    "length": GOOD + bgp.message(bgp.UPDATE, b"\0\0\0\x09" + b"\x40\x01\x01\0"),
}


def talk(lab, said, answer=GOOD, port=179):
    """One node that counts as underlayd says something to another one; the tap between them."""
    tap = Tap(lab)
    a, b = lab.node("node"), lab.node("tor")
    link = lab.link(a, b)
    program = lab.write("underlayd", TALK)
    if port != 179:
        lab.write("some.yaml", f"router:\n  port: {port}\n")
    listener = b.start("/usr/bin/python3", "-c", LISTEN, str(port), answer.hex())
    wait_for(lambda: f":{port}" in b.run("ss", "-Htln").stdout, what="somebody listens")
    assert a.start("/usr/bin/python3", program, link.b4, str(port), said.hex()).wait() == 0
    wait_for(lambda: listener.output().strip() == str(len(said)), what="all of it arrived")
    return tap


def test_good_messages_pass_and_bad_ones_of_the_peer(lab):
    tap = talk(lab, GOOD, answer=BAD["malformed"])
    tap.check()
    assert os.path.getsize(os.path.join(lab.dir, "node.pcap")) > len(GOOD)


def complaint(tap):
    try:
        tap.check()
    except LabError as error:
        return str(error)
    raise AssertionError("not noticed")


@cases(*[(what, port) for what in BAD for port in (179, 1179)])
def test_bad_messages_are_found(lab, what, port):
    assert "Border Gateway Protocol" in complaint(talk(lab, BAD[what], port=port))


def cut(tap, size):
    """What a capture looks like whose tcpdump was ended in the middle of a packet."""
    for process, path in filter(None, tap.captures.values()):
        process.stop()
        os.truncate(path, size(os.path.getsize(path)))


def test_a_capture_that_was_cut_short_is_judged_as_far_as_it_goes(lab):
    tap = talk(lab, BAD["malformed"])
    cut(tap, lambda size: size - 20)
    assert "Border Gateway Protocol" in complaint(tap)


def test_a_capture_that_cannot_be_read_is_a_failure(lab):
    tap = talk(lab, GOOD)
    cut(tap, lambda size: 10)
    assert "Unable to open" in complaint(tap)
