"""What underlayd says on the wire, judged by somebody else: every test's BGP traffic goes through Wireshark.

A Tap listens in each namespace of a lab from before the first underlayd starts there, for outgoing TCP only, so that the
sender of everything captured is the node itself and hostile peers may say what they like. At the end of the test,
check() fails on any BGP message that Wireshark calls malformed or warns about. TCP's own troubles (retransmissions, windows)
are no matter here. A capture is cut off at 20 MB, beyond which large tables only repeat themselves.
"""
import contextlib
import fcntl
import functools
import json
import os
import re
import select
import subprocess
import tempfile
import time

from lab import LabError, SLOW, run, wait_for

MOST = 20 << 20
WRONG = ("Warn", "Error")
TCP_GROUP = "Sequence"
DETAILS = 3  # messages shown in full
FORGIVEN = (
    # (what Wireshark says, why it is wrong there)
    (r"^Length is invalid (409[7-9]|4[1-9]\d\d|[5-9]\d{3}|[1-6]\d{4})$",
     "4.0 does not know extended messages (RFC 8654); whether they were negotiated is judged by the peer, which would end the "
     "session over a long message"),
)


class Tap:
    """One a lab; hear() is what the lab calls before it starts a program in a node."""

    def __init__(self, lab):
        self.lab, self.captures = lab, {}
        lab.before_start = self.hear

    def hear(self, node, argv):
        if node.name in self.captures or not any(str(word).endswith("underlayd") for word in argv):
            return
        path = os.path.join(self.lab.dir, f"{node.name}.pcap")
        self.captures[node.name] = None  # the program started here is not to be listened for
        # As many blocks of 512 octets as a file may have; tcpdump ends there, with a message cut short.
        process = node.start("sh", "-c", f'ulimit -c 0; ulimit -f {MOST // 512}; exec "$0" "$@"', "tcpdump", "-i", "any",
                             "-Q", "out", "-n", "-s", "0", "-U", "--immediate-mode", "-Z", "root", "-w", path, "tcp",
                             log=f"{node.name}-tcpdump.err")
        self.captures[node.name] = process, path
        wait_for(lambda: "listening on" in process.output(), what=f"tcpdump listens in {node.name}")

    def ports(self):
        """Those of BGP: the usual one and whatever a configuration of this lab names."""
        found = {"179"}
        for name in os.listdir(self.lab.dir):
            if name.endswith(".yaml"):
                with open(os.path.join(self.lab.dir, name), errors="replace") as f:
                    found.update(re.findall(r'\bport"?: "?(\d+)', f.read()))
        return sorted(found)

    def check(self):
        for process, path in filter(None, self.captures.values()):
            process.stop()
            if os.path.exists(path):
                self._check(path)

    def _check(self, path):
        said = {}
        for entry in judge().expert(path, self.ports()):
            wrong = entry["s"] in WRONG and entry["g"] != TCP_GROUP
            if wrong and not any(re.search(pattern, entry["m"]) for pattern, _ in FORGIVEN):
                said.setdefault(entry["f"], []).append(entry["m"])
        if said:
            frames, texts = sorted(said), sorted({text for texts in said.values() for text in texts})
            decode = [w for port in self.ports() for w in ("-d", f"tcp.port=={port},bgp")]
            show = run(["tshark", "-n", "-r", path, *decode, "-V", "-O", "bgp", "-Y",
                        f"frame.number in {{{', '.join(map(str, frames[:DETAILS]))}}}"], check=False).stdout
            raise LabError(f"Wireshark on what we sent ({len(frames)} packets): {'; '.join(texts)}\n{show[:12000]}")


class Judge:
    """One sharkd for a process and the children it forks: Wireshark takes longer to start than to read a capture."""

    def __init__(self):
        self.lock = tempfile.TemporaryFile()
        self.process = subprocess.Popen(["sharkd", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, start_new_session=True)

    def expert(self, path, ports):
        """All that Wireshark remarks on a capture: [{f: frame, s: severity, g: group, m: text, p: protocol}]."""
        fcntl.lockf(self.lock, fcntl.LOCK_EX)
        try:
            ids = [self._say(*words) for words in (("setconf", {"name": "bgp.tcp.port", "value": ",".join(ports)}),
                                                   ("load", {"file": path}), ("tap", {"tap0": "expert"}))]
            answers = self._answers(ids[-1])
        finally:
            fcntl.lockf(self.lock, fcntl.LOCK_UN)
        # About a file that is cut short it says nothing, and takes it as far as it goes.
        for error in (answers[i]["error"]["message"] for i in ids if "error" in answers.get(i, ())):
            raise LabError(f"sharkd: {path}: {error}")
        return answers[ids[-1]]["result"]["taps"][0]["details"]

    def _say(self, method, parameters):
        name = int.from_bytes(os.urandom(4), "big") >> 1  # unlike that of any other child; it knows 31 bits
        question = {"jsonrpc": "2.0", "id": name, "method": method, "params": parameters}
        os.write(self.process.stdin.fileno(), json.dumps(question).encode() + b"\n")
        return name

    def _answers(self, last):
        """By id, up to the one to the last question; among them may be some to a test that was killed while it waited."""
        answers, data, end = {}, b"", time.monotonic() + 60 * SLOW
        while last not in answers:
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise LabError("sharkd does not answer")
            if not (more := os.read(self.process.stdout.fileno(), 1 << 20)):
                raise LabError("sharkd has ended")
            *lines, data = (data + more).split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError):  # the rest of one that was half read
                    answer = json.loads(line)
                    answers[answer["id"]] = answer
        return answers


@functools.cache
def judge():
    """The one there is; first called before the forks that are to share it."""
    return Judge()
