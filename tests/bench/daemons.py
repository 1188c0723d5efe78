"""The daemons under test: how each is configured, started and found again.

Every daemon gets the same job: two directly connected eBGP neighbours, SOURCE and SINK, everything learned from SOURCE
goes to SINK, nothing to SOURCE, and with `fib` everything learned goes to the kernel. What is not named here stays
at the daemon's own default. Configuration, sockets and pid files are in a temporary directory of the run.
"""
import os
import shutil
import subprocess

ASN = 64512
SOURCE = ("10.99.1.2", "10.99.1.1", 65001)  # neighbour, our address towards it, its AS
SINK = ("10.99.2.2", "10.99.2.1", 65002)


class Daemon:
    """Subclasses say what to write and what to run; passive: the neighbours connect to us."""

    name = title = ""
    user = None  # whom the working directory belongs to, where the daemon itself gives up root

    def __init__(self, build):
        self.build = build

    def missing(self):
        """None, or why this daemon cannot run here."""
        raise NotImplementedError

    def files(self, work, fib, passive):
        """{file name: content} to be put into the directory work."""
        raise NotImplementedError

    def commands(self, work, fib):
        """The processes to start, in this order."""
        raise NotImplementedError

    def version(self):
        return ""


def first_line(*argv):
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=10)
        return done.stdout.strip().splitlines()[0]
    except (OSError, IndexError, subprocess.SubprocessError):
        return "?"


class Underlay(Daemon):
    name, title = "underlayd", "underlayd"

    def binary(self):
        return os.path.abspath(os.path.join(self.build, "underlayd"))

    def missing(self):
        return None if os.access(self.binary(), os.X_OK) else "not built"

    def version(self):
        return first_line(self.binary(), "--version")

    def files(self, work, fib, passive):
        peers = ""
        for (address, _, asn), export in ((SOURCE, "none"), (SINK, "all")):
            peers += (f"  - address: {address}\n    asn: {asn}\n    export: {export}\n"
                      f"    passive: {'true' if passive else 'false'}\n")
        return {"underlay.yaml": f"router:\n  asn: {ASN}\n  id: 10.0.0.1\npeers:\n{peers}"
                                 f"fib:\n  install: {'true' if fib else 'false'}\n"}

    def commands(self, work, fib):
        return [[self.binary(), "--config", f"{work}/underlay.yaml", "--control-socket", f"{work}/control.sock"]]


class Bird(Daemon):
    name, title = "bird", "BIRD 2"

    def missing(self):
        return None if shutil.which("bird") else "not installed"

    def version(self):
        return first_line("bird", "--version")

    def files(self, work, fib, passive):
        text = "log stderr all;\nrouter id 10.0.0.1;\nprotocol device {}\n"
        if fib:
            text += "protocol kernel { ipv4 { import none; export all; }; }\n"
        for name, (address, local, asn), channel in (
                ("tor_source", SOURCE, "import all; export none;"), ("tor_sink", SINK, "import none; export all;")):
            text += (f"protocol bgp {name} {{ local {local} as {ASN}; neighbor {address} as {asn}; "
                     f"{'passive yes; ' if passive else ''}ipv4 {{ {channel} }}; }}\n")
        return {"bird.conf": text}

    def commands(self, work, fib):
        return [["bird", "-f", "-c", f"{work}/bird.conf", "-s", f"{work}/bird.ctl", "-P", f"{work}/bird.pid"]]


class Frr(Daemon):
    name, title, user = "frr", "FRR", "frr"
    directory = "/usr/lib/frr"

    def missing(self):
        return None if os.access(f"{self.directory}/bgpd", os.X_OK) else "not installed"

    def version(self):
        return first_line(f"{self.directory}/bgpd", "--version")

    def files(self, work, fib, passive):
        text = (f"router bgp {ASN}\n bgp router-id 10.0.0.1\n no bgp ebgp-requires-policy\n"
                " no bgp network import-check\n")
        for address, _, asn in (SOURCE, SINK):
            text += f" neighbor {address} remote-as {asn}\n"
            if passive:
                text += f" neighbor {address} passive\n"
        text += f" address-family ipv4 unicast\n  neighbor {SOURCE[0]} route-map NOTHING out\n exit-address-family\n"
        return {"bgpd.conf": text + "route-map NOTHING deny 10\n", "zebra.conf": ""}

    def commands(self, work, fib):
        common = ["-P", "0", "--vty_socket", work, "-z", f"{work}/zserv.api"]
        zebra = [f"{self.directory}/zebra", *common, "-f", f"{work}/zebra.conf", "-i", f"{work}/zebra.pid",
                 "-s", "90000000"]
        bgpd = [f"{self.directory}/bgpd", *common, "-f", f"{work}/bgpd.conf", "-i", f"{work}/bgpd.pid"]
        return [zebra, bgpd] if fib else [bgpd + ["-n", "-Z"]]


ALL = (Underlay, Bird, Frr)
