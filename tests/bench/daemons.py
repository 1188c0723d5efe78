"""The daemons under test: how each is configured, started and found again.

Every daemon gets the same Job: directly connected eBGP neighbours, of which some get all that was learned and the
others nothing of it; with `fib` everything learned goes to the kernel. What a Job does not name stays at the daemon's
own default. Configuration, sockets and pid files are in the directory of the run.
"""
import dataclasses
import json
import os
import signal
import subprocess

import box  # noqa: F401  puts tests/lib on the path
from peers import vtysh

ASN = 64512


@dataclasses.dataclass
class Neighbor:
    link: int  # 10.99.<link>.1 is ours
    host: int = 2  # 10.99.<link>.<host> is theirs
    export: bool = False  # gets all that was learned

    @property
    def address(self):
        return f"10.99.{self.link}.{self.host}"

    @property
    def local(self):
        return f"10.99.{self.link}.1"

    @property
    def asn(self):
        return 65000 + 256 * (self.link - 1) + self.host

    @property
    def spec(self):
        """As the tools that play it want it."""
        return f"{self.address},{self.local},{self.asn}"


@dataclasses.dataclass
class Job:
    neighbors: list
    fib: bool = False
    passive: bool = True  # the neighbours connect
    multipath: int = None  # None: the daemon's default
    vips: list = ()  # host routes that the node itself advertises, to all neighbours
    bfd: int = None  # interval in ms, multiplier 3, with all neighbours
    impatient: bool = False  # lost sessions may come back soon


SOURCE, SINK = Neighbor(1), Neighbor(2, export=True)
TORS = [Neighbor(1), Neighbor(2)]


def vips(count):
    return [f"10.200.{i // 256}.{i % 256}/32" for i in range(count)]


class Daemon:
    """Subclasses say what to write and what to run."""

    name = title = short = ""
    programs = ()
    user = None  # whom the directory belongs to, where the daemon itself gives up root
    mode = 0o644  # of its files
    fib = True  # it can write to the kernel's table
    bfd = True
    forgets_links = False  # a link that was down does not get all its routes back
    wrap = ()  # a program to run it by, with its arguments

    def __init__(self, build):
        self.build = build

    def missing(self):
        """None, or why this daemon cannot run here."""
        return None if all(os.access(p, os.X_OK) for p in self.programs) else "not installed"

    def cannot(self, job):
        """None, or why it has no part in this."""
        if job.fib and not self.fib:
            return "no FIB"
        return "no BFD" if job.bfd and not self.bfd else None

    def files(self, work, job):
        """{file name: content} to be put into the directory work."""
        raise NotImplementedError

    def commands(self, work, job):
        """The processes to start, in this order."""
        raise NotImplementedError

    def reload(self, work, processes, new_vips):
        """The files were written anew, with more VIPs: have them read."""
        os.kill(processes[0].pid, signal.SIGHUP)

    def version(self):
        return first_line(self.programs[0], "--version")


def first_line(*argv):
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=10)
        return done.stdout.strip().splitlines()[0]
    except (OSError, IndexError, subprocess.SubprocessError):
        return "?"


class Underlay(Daemon):
    name, title, short = "underlayd", "underlayd", "underlayd"

    def __init__(self, build):
        super().__init__(build)
        self.programs = (os.path.abspath(f"{build}/underlayd"), os.path.abspath(f"{build}/underlayctl"))

    def missing(self):
        return super().missing() and "not built"

    def files(self, work, job):
        text = f"router:\n  asn: {ASN}\n  id: 10.0.0.1\n"
        text += f"  multipath: {job.multipath}\n" if job.multipath else ""
        text += "peers:\n"
        for n in job.neighbors:
            export = "originated" if job.vips else "all" if n.export else "none"
            text += (f"  - address: {n.address}\n    asn: {n.asn}\n    export: {export}\n"
                     f"    passive: {'true' if job.passive else 'false'}\n")
            text += f"    bfd: {{interval: {job.bfd}ms, multiplier: 3}}\n" if job.bfd else ""
            text += "    idle-hold-max: 2s\n" if job.impatient else ""
        if job.vips:
            text += "advertise:\n  vips:\n" + "".join(f"    - prefix: {vip}\n" for vip in job.vips)
        return {"underlay.yaml": text + f"fib:\n  install: {'true' if job.fib else 'false'}\n"}

    def commands(self, work, job):
        return [[self.programs[0], "--config", f"{work}/underlay.yaml", "--control-socket", f"{work}/control.sock"]]


class Bird(Daemon):
    name, title, short = "bird", "BIRD 2", "BIRD"
    programs = ("/usr/sbin/bird",)

    def files(self, work, job):
        text = "log stderr all;\nrouter id 10.0.0.1;\nprotocol device {}\n"
        if job.fib:
            several = "" if job.multipath is None else f" merge paths yes limit {job.multipath};"
            text += f"protocol kernel {{ ipv4 {{ import none; export all; }};{several} }}\n"
        if job.vips:
            text += "protocol static { ipv4;\n" + "".join(f" route {vip} unreachable;\n" for vip in job.vips) + "}\n"
        if job.bfd:
            text += f"protocol bfd {{ interface \"*\" {{ interval {job.bfd} ms; multiplier 3; }}; }}\n"
        for i, n in enumerate(job.neighbors):
            channel = "import all; export all;" if job.vips else "import none; export all;" if n.export else \
                "import all; export none;"
            text += (f"protocol bgp peer{i} {{ local {n.local} as {ASN}; neighbor {n.address} as {n.asn}; "
                     f"{'passive yes; ' if job.passive else ''}{'bfd on; ' if job.bfd else ''}"
                     f"{'error wait time 1, 2; ' if job.impatient else ''}ipv4 {{ {channel} }}; }}\n")
        return {"bird.conf": text}

    def commands(self, work, job):
        return [["bird", "-f", "-c", f"{work}/bird.conf", "-s", f"{work}/bird.ctl", "-P", f"{work}/bird.pid"]]


class Frr(Daemon):
    name, title, short, user = "frr", "FRR", "FRR", "frr"
    forgets_links = True
    programs = ("/usr/lib/frr/bgpd", "/usr/lib/frr/zebra", "/usr/lib/frr/bfdd")

    def files(self, work, job):
        text = (f"router bgp {ASN}\n bgp router-id 10.0.0.1\n no bgp ebgp-requires-policy\n"
                " no bgp network import-check\n")
        text += "" if job.multipath is None else " bgp bestpath as-path multipath-relax\n"
        for n in job.neighbors:
            text += f" neighbor {n.address} remote-as {n.asn}\n"
            text += f" neighbor {n.address} passive\n" if job.passive else ""
            text += f" neighbor {n.address} timers connect 1\n" if job.impatient else ""
            text += f" neighbor {n.address} bfd 3 {job.bfd} {job.bfd}\n" if job.bfd else ""
        text += " address-family ipv4 unicast\n"
        text += "" if job.multipath is None else f"  maximum-paths {job.multipath}\n"
        text += "".join(f"  network {vip}\n" for vip in job.vips)
        text += "".join(f"  neighbor {n.address} route-map NOTHING out\n" for n in job.neighbors
                        if not n.export and not job.vips)
        return {"bgpd.conf": text + " exit-address-family\nroute-map NOTHING deny 10\n", "zebra.conf": "", "bfdd.conf": ""}

    def commands(self, work, job):
        common = ["-P", "0", "--vty_socket", work, "-z", f"{work}/zserv.api"]
        zebra, bfdd, bgpd = ([f"/usr/lib/frr/{name}", *common, "-f", f"{work}/{name}.conf", "-i", f"{work}/{name}.pid"]
                             for name in ("zebra", "bfdd", "bgpd"))
        bfdd += ["--bfdctl", f"{work}/bfdd.sock"]
        if not job.fib:
            return [bgpd + ["-n", "-Z"]]
        return [zebra + ["-s", "90000000"], *([bfdd] if job.bfd else []), bgpd]

    def reload(self, work, processes, new_vips):
        """SIGHUP would reset its sessions; this is what frr-reload does in the end."""
        vtysh(f"{work}/bgpd.vty", "configure terminal", f"router bgp {ASN}", "address-family ipv4 unicast",
              *[f"network {vip}" for vip in new_vips])


class GoBgp(Daemon):
    """Without zebra it has no FIB. It takes own routes only through its API, which its command says one at a time."""
    name, title, short = "gobgp", "GoBGP", "GoBGP"
    programs = ("/usr/bin/gobgpd", "/usr/bin/gobgp")
    fib = bfd = False

    def cannot(self, job):
        return super().cannot(job) or ("API only" if job.vips else None)

    def files(self, work, job):
        silent = [f"{n.address}/32" for n in job.neighbors if not n.export]
        config = {
            "global": {"config": {"as": ASN, "router-id": "10.0.0.1", "port": 179},
                       "apply-policy": {"config": {"export-policy-list": ["sinks"],
                                                   "default-export-policy": "accept-route"}}},
            "defined-sets": {"neighbor-sets": [{"neighbor-set-name": "silent", "neighbor-info-list": silent}]},
            "policy-definitions": [{"name": "sinks", "statements": [{
                "name": "silent", "conditions": {"match-neighbor-set": {"neighbor-set": "silent"}},
                "actions": {"route-disposition": "reject-route"}}]}],
            "neighbors": [{"config": {"neighbor-address": n.address, "peer-as": n.asn},
                           "transport": {"config": {"passive-mode": job.passive, "local-address": n.local}},
                           "afi-safis": [{"config": {"afi-safi-name": "ipv4-unicast"}}]} for n in job.neighbors]}
        return {"gobgpd.json": json.dumps(config, indent=1)}

    def commands(self, work, job):
        return [["/usr/bin/gobgpd", "-f", f"{work}/gobgpd.json", "-t", "json", "--pprof-disable", "-l", "warn"]]


class OpenBgpd(Daemon):
    """On Linux it writes no routes to the kernel."""
    name, title, short = "openbgpd", "OpenBGPD", "OpenBGPD"
    programs = ("/usr/sbin/bgpd",)
    mode = 0o600
    fib = bfd = False

    def version(self):
        return first_line(self.programs[0], "-V")

    def files(self, work, job):
        text = f"AS {ASN}\nrouter-id 10.0.0.1\nfib-update no\nsocket \"{work}/bgpd.sock\"\nlisten on 0.0.0.0\n"
        text += "".join(f"network {vip}\n" for vip in job.vips)
        for n in job.neighbors:
            text += (f"neighbor {n.address} {{\n remote-as {n.asn}\n local-address {n.local}\n"
                     f"{' passive' if job.passive else ''}\n}}\n")
        text += "allow from any\n"
        text += "".join(f"allow to {n.address}\n" for n in job.neighbors if n.export or job.vips)
        return {"bgpd.conf": text}

    def commands(self, work, job):
        # Its processes lock themselves into /run/openbgpd, which only a started service makes.
        return [["unshare", "--mount", "sh", "-c",
                 'mount -t tmpfs none /run && mkdir /run/openbgpd && exec "$0" "$@"', *self.programs, "-d", "-f",
                 f"{work}/bgpd.conf"]]


ALL = (Underlay, Bird, Frr, GoBgp, OpenBgpd)
