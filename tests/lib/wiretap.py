"""What underlayd says on the wire, judged by somebody else: every test's BGP traffic goes through tshark.

A Tap listens in each namespace of a lab from before the first underlayd starts there, for outgoing TCP only, so that the
sender of everything captured is the node itself and hostile peers may say what they like. At the end of the test,
check() fails on any BGP message that Wireshark calls malformed or warns about. TCP's own troubles (retransmissions, windows)
are no matter here. A capture is cut off at 20 MB, beyond which large tables only repeat themselves.
"""
import os
import re

from lab import LabError, run, wait_for

MOST = 20 << 20
WARNING = 0x600000
TCP_GROUP = 0x2000000  # "Sequence": the expert information of TCP
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

    def _tshark(self, path, *words):
        decode = [w for port in self.ports() for w in ("-d", f"tcp.port=={port},bgp")]
        done = run(["tshark", "-n", "-r", path, *decode, *words], check=False)
        if done.returncode and "cut short" not in done.stderr:
            raise LabError(f"tshark: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def _check(self, path):
        fields = [w for f in ("frame.number", "_ws.expert.group", "_ws.expert.severity", "_ws.expert.message", "_ws.malformed")
                  for w in ("-e", f)]
        out = self._tshark(path, "-Y", f"bgp && (_ws.malformed || _ws.expert.severity >= {WARNING})", "-T", "fields", "-E",
                           "aggregator=|", *fields)
        frames, said = [], []
        for line in out.splitlines():
            number, groups, severities, messages, malformed = line.split("\t")
            wrong = [text for group, severity, text in zip(groups.split("|"), severities.split("|"), messages.split("|"))
                     if int(severity, 0) >= WARNING and int(group, 0) != TCP_GROUP
                     and not any(re.search(pattern, text) for pattern, _ in FORGIVEN)]
            if wrong or malformed and not messages:
                frames.append(number)
                said += wrong or [malformed]
        if frames:
            show = self._tshark(path, "-V", "-O", "bgp", "-Y", f"frame.number in {{{', '.join(frames[:DETAILS])}}}")
            raise LabError(f"tshark on what we sent ({len(frames)} packets): {'; '.join(sorted(set(said)))}\n{show[:12000]}")
