"""underlayd in a lab: a configuration as a dict, the daemon in a node, underlayctl's JSON as Python values.

$UNDERLAYD and $UNDERLAYCTL say which build is tested; build/underlayd by default. A sanitizer's report in the daemon's log
fails the test that ran it, whatever else it found (see check_logs()).
"""
import json
import os
import re
import signal

from lab import ROOT, LabError, wait_for

UNDERLAYD = os.path.abspath(os.environ.get("UNDERLAYD", os.path.join(ROOT, "build/underlayd")))
UNDERLAYCTL = os.path.abspath(os.environ.get("UNDERLAYCTL", os.path.join(os.path.dirname(UNDERLAYD), "underlayctl")))
REPORT = re.compile(r"ERROR: (Address|Leak|Thread)Sanitizer|runtime error:|AddressSanitizer:DEADLYSIGNAL")
PROTOCOL = "87"


def to_yaml(value, indent=0):
    """Enough YAML for a configuration: mappings in blocks, sequences of scalars in flow style."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        out = ""
        for key, item in value.items():
            nested = isinstance(item, dict) and item or isinstance(item, list) and any(isinstance(i, dict) for i in item)
            out += f"{pad}{key}:" + ("\n" + to_yaml(item, indent + 1) if nested else f" {to_yaml(item)}\n")
        return out
    if isinstance(value, list) and any(isinstance(i, dict) for i in value):
        return "".join(pad + "- " + to_yaml(i, indent + 1).lstrip() for i in value)
    if isinstance(value, list):
        return "[" + ", ".join(to_yaml(i) for i in value) + "]"
    return json.dumps(value)


def tor(address, **keys):
    """A peer as most tests want it: impatient. Keys are the configuration's own, with _ for -."""
    peer = {"address": address, "asn": "external", "hold-time": "9s", "connect-retry-time": "1s"}
    peer.update({k.replace("_", "-"): v for k, v in keys.items()})
    return {k: v for k, v in peer.items() if v is not None}


def on_interface(interface, **keys):
    """The same for an unnumbered one."""
    return {"interface": interface, **tor(None, **keys)}


def name_of(peer):
    return peer.get("address") or peer["interface"]


class Underlay:
    """One daemon. config: the parts that differ from a node with AS 65100; peers and advertise are the usual ones."""

    def __init__(self, node, peers=(), asn=65100, name=None, **sections):
        self.node, self.lab = node, node.lab
        self.name = name or f"{node.name}-underlayd"
        self.socket = os.path.join(self.lab.dir, f"{self.name}.sock")
        self.config_path = os.path.join(self.lab.dir, f"{self.name}.yaml")
        self.config = {"router": {"asn": asn, "id": sections.pop("id", "10.255.1.1"), **sections.pop("router", {})},
                       "peers": list(peers), "log": {"level": "debug"}, **sections}
        self.wrap = ()  # what starts it, with arguments
        self.process = None

    def write(self, text=None):
        """Write the configuration (or, for the bad ones, just text) where the daemon reads it."""
        with open(self.config_path, "w") as f:
            f.write(to_yaml(self.config) if text is None else text)

    def start(self, wait=True, argv=()):
        self.write()
        self.process = self.node.start(*self.wrap, UNDERLAYD, "--config", self.config_path, "--control-socket", self.socket, *argv,
                                       log=f"{self.name}.log")
        if wait:
            wait_for(self._answers, what=f"{self.name} answers on its control socket")
        return self

    def _answers(self):
        if not self.process.alive:
            raise SystemError(f"underlayd ended with {self.process.popen.returncode}:\n{self.process.output()[-2000:]}")
        done = self.ctl("show", "version", json_out=False, check=False)
        if done.returncode not in (0, 3):  # 3: not there yet
            raise SystemError(f"underlayctl ended with {done.returncode}: {done.stderr}")
        return done.returncode == 0

    def stop(self, number=signal.SIGTERM):
        return self.process.stop(number)

    def restart(self):
        self.stop()
        return self.start()

    def ctl(self, *words, json_out=True, check=True, input=None):
        """underlayctl: parsed JSON of a command given as one string or as words, or the CompletedProcess."""
        words = words[0].split() if len(words) == 1 else list(words)
        argv = [UNDERLAYCTL, "--socket", self.socket, *(["--json"] if json_out else []), *words]
        done = self.node.run(*argv, check=check, input=input)
        return json.loads(done.stdout) if json_out else done

    def command(self, text, **options):
        """A changing command: fails the test when refused."""
        return self.ctl(*text.split(), json_out=False, **options).stdout

    def neighbor(self, address=None):
        address = address or name_of(self.config["peers"][0])
        return self.ctl("show bgp neighbors")[address]

    def state(self, address=None):
        return self.neighbor(address)["bgpState"]

    def established(self, address=None):
        return self.state(address) == "Established"

    def wait_established(self, *addresses, timeout=20):
        for address in addresses or [name_of(p) for p in self.config["peers"]]:
            wait_for(lambda: self.established(address), timeout, f"{self.name}: session with {address} established")

    def summary(self, family="ipv4"):
        return self.ctl("show bgp summary")[f"{family}Unicast"]

    def rib(self, family="ipv4"):
        return self.ctl(f"show bgp {family} unicast")["routes"]

    def kernel(self, family="ipv4"):
        """The kernel's routes that are ours, seen by iproute2 and not by underlayctl."""
        return self.node.routes(family, protocol=PROTOCOL)

    def _in_kernel(self, prefixes):
        """Of each prefix, whether the kernel has a route of ours to it; each family is read once."""
        asked = {family: [p for p in prefixes if (":" in p) == (family == "ipv6")] for family in ("ipv4", "ipv6")}
        return [p in routes for family, some in asked.items() if some for routes in [self.kernel(family)] for p in some]

    def installed(self, *prefixes):
        return all(self._in_kernel(prefixes))

    def gone(self, *prefixes):
        return not any(self._in_kernel(prefixes))

    def next_hops(self, prefix):
        """Gateways of a kernel route, through its nexthop group if it has one."""
        route = self.kernel("ipv6" if ":" in prefix else "ipv4")[prefix]
        if "nhid" not in route:
            raise LabError(f"{prefix} carries no nexthop id: {route}")
        (object,) = self.node.ip_json("nexthop", "show", "id", str(route["nhid"]))
        ids = [m["id"] for m in object["group"]] if "group" in object else [object["id"]]
        every = {n["id"]: n for n in self.node.ip_json("nexthop", "show")}
        return sorted(every[i].get("gateway") or every[i].get("via", {}).get("host") for i in ids)

    def speaker(self):
        """Process id of the unprivileged child."""
        children = []
        for pid in self.node.pids():
            with open(f"/proc/{pid}/stat") as f:
                if int(f.read().rpartition(")")[2].split()[1]) == self.process.pid:
                    children.append(pid)
        if len(children) != 1:
            raise LabError(f"underlayd has {len(children)} children")
        return children[0]


def check_logs(lab):
    """Raise when a sanitizer said anything in a log of this lab."""
    for name in sorted(os.listdir(lab.dir)):
        if name.endswith(".log"):
            with open(os.path.join(lab.dir, name), errors="replace") as f:
                text = f.read()
            if m := REPORT.search(text):
                raise LabError(f"sanitizer report in {name}:\n{text[m.start():m.start() + 6000]}")
