"""The other side of a session: FRR, BIRD, GoBGP, ExaBGP and OpenBGPD from Debian behind one interface.

    peer = Frr(node, asn=65001, router_id="10.255.0.1", neighbors=[Neighbor("10.0.1.0", 65100)])
    peer.start(); peer.established("10.0.1.0"); peer.announce("192.0.2.0/24"); peer.routes("ipv4"); peer.stop()

Each runs on files and sockets of its own in the lab's directory, never on /etc or /run, so that any number run side by side.
routes() is what the peer accepted from its neighbours, as {prefix: {"as_path": [...], "next_hop": ..., "med": ..,
"communities": [...]}}; announce() and withdraw() take any number of prefixes of both families.
"""
import dataclasses
import itertools
import json
import os
import re
import shutil
import signal
import socket

from lab import LabError, SLOW, run, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
FAMILIES = ("ipv4", "ipv6")


@dataclasses.dataclass
class Neighbor:
    """One configured session as the peer sees it. via4 and via6 are the peer's own next hops for what it announces."""
    address: str
    asn: int
    local: str = None
    via4: str = None
    via6: str = None
    password: str = None
    ttl_security: int = None
    multihop: int = None
    passive: bool = None  # None: as the kind is best used
    hold: int = 9
    families: tuple = FAMILIES
    add_path: str = None  # "send", "receive" or "both", as the peer sees it
    interface: bool = False  # unnumbered: address is the peer's own interface; FRR and GoBGP
    extended_nexthop: bool = False  # RFC 8950; FRR and BIRD (FRR always offers it when unnumbered)
    bfd: tuple = None  # (interval in ms, multiplier); FRR and BIRD
    extra: tuple = ()  # configuration lines in the peer's own language

    def paths(self, way):
        return self.add_path in (way, "both")


def family_of(prefix):
    return "ipv6" if ":" in prefix else "ipv4"


class Peer:
    kind = ""
    programs = ()
    _instances = itertools.count(1)

    def __init__(self, node, asn, router_id, neighbors, networks=(), name=None, **options):
        self.node, self.lab, self.asn, self.router_id = node, node.lab, asn, router_id
        self.neighbors, self.networks, self.options = list(neighbors), list(networks), options
        self.name = name or f"{node.name}-{self.kind}{next(self._instances)}"
        self.dir = os.path.join(self.lab.dir, self.name)
        self.processes = []

    @classmethod
    def installed(cls):
        return all(os.path.exists(p) for p in cls.programs)

    def file(self, name, text=None, mode=0o644):
        path = os.path.join(self.dir, name)
        if text is not None:
            with open(path, "w") as f:
                f.write(text)
            os.chmod(path, mode)
        return path

    def spawn(self, *argv, env=None, tag=""):
        process = self.node.start(*argv, env=env, log=f"{self.name}{tag}.log")
        self.processes.append(process)
        return process

    def start(self):
        if not self.installed():
            raise LabError(f"{self.kind} is not installed ({', '.join(self.programs)}): tests/install-deps.sh")
        os.makedirs(self.dir, exist_ok=True)
        self.launch()
        return self

    def stop(self, number=signal.SIGTERM):
        for process in reversed(self.processes):
            process.stop(number)
        self.processes = []

    def kill(self):
        self.stop(signal.SIGKILL)

    def kill_bgp(self):
        """BGP dies without a word; what is in the kernel stays."""
        self.kill()

    def restart(self):
        self.stop()
        self.start()

    def wait_established(self, address=None, timeout=20):
        address = address or self.neighbors[0].address
        wait_for(lambda: self.established(address), timeout, f"{self.name}: session with {address} established")

    def has(self, *prefixes):
        tables = {f: self.routes(f) for f in {family_of(p) for p in prefixes}}
        return all(p in tables[family_of(p)] for p in prefixes)

    def has_none(self, *prefixes):
        tables = {f: self.routes(f) for f in {family_of(p) for p in prefixes}}
        return not any(p in tables[family_of(p)] for p in prefixes)


def vtysh(path, *commands):
    """What `vtysh -c COMMAND...` prints, said to an FRR daemon's socket as vtysh says it: commands end with a zero, answers
    with three and a status."""
    answers = []
    with socket.socket(socket.AF_UNIX) as vty:
        vty.settimeout(20 * SLOW)
        vty.connect(path)
        for command in ("enable", *commands):
            vty.sendall(command.encode() + b"\0")
            data = b""
            while data[-4:-1] != b"\0\0\0":
                if not (more := vty.recv(65536)):
                    raise LabError(f"{path}: the daemon ended at {command}")
                data += more
            answers.append(data[:-4].decode(errors="replace"))
            if data[-1]:
                raise LabError(f"{path}: {command}: {answers[-1]} (status {data[-1]})")
    return "".join(answers)


class Frr(Peer):
    """zebra and bgpd; routes reach the namespace's kernel, so this is also the router of a lab."""
    kind = "frr"
    programs = ("/usr/lib/frr/zebra", "/usr/lib/frr/bgpd", "/usr/bin/vtysh")

    def config(self):
        lines = ["frr defaults datacenter", f"hostname {self.node.name}", f"router bgp {self.asn}",
                 f" bgp router-id {self.router_id}", " no bgp ebgp-requires-policy", " no bgp network import-check",
                 " no bgp default ipv4-unicast", " bgp bestpath as-path multipath-relax"]
        for n in self.neighbors:
            p = f" neighbor {n.address}"
            lines += [f"{p} interface"] if n.interface else []
            lines += [f"{p} remote-as {n.asn}", f"{p} timers {max(1, n.hold // 3)} {n.hold}", f"{p} timers connect 1",
                      f"{p} advertisement-interval 0"]
            lines += [f"{p} capability extended-nexthop"] if n.extended_nexthop else []
            lines += [f"{p} password {n.password}"] if n.password else []
            lines += [f"{p} ttl-security hops {n.ttl_security}"] if n.ttl_security else []
            lines += [f"{p} ebgp-multihop {n.multihop}"] if n.multihop and n.asn != self.asn else []
            lines += [f"{p} update-source {n.local}"] if n.local and n.multihop else []
            lines += [f"{p} passive"] if n.passive else []
            lines += [f"{p} bfd", f"{p} bfd profile i{n.bfd[0]}x{n.bfd[1]}"] if n.bfd else []
            lines += [f"{p} {extra}" for extra in n.extra]
        for family in FAMILIES:
            lines.append(f" address-family {family} unicast")
            lines += [f"  network {p}" for p in self.networks if family_of(p) == family]
            lines += [f"  neighbor {n.address} activate" for n in self.neighbors if family in n.families]
            lines += [f"  neighbor {n.address} addpath-tx-all-paths" for n in self.neighbors if n.paths("send")]
            lines += [f"  {line}" for line in self.options.get(family, ())]
            lines.append(" exit-address-family")
        return "\n".join(lines + list(self.options.get("lines", ()))) + "\n"

    def bfd_config(self):
        lines = ["bfd"]
        for interval, multiplier in {n.bfd for n in self.neighbors if n.bfd}:
            lines += [f" profile i{interval}x{multiplier}", f"  detect-multiplier {multiplier}",
                      f"  receive-interval {interval}", f"  transmit-interval {interval}", " exit"]
        return "\n".join(lines) + "\n"

    def launch(self):
        # The daemons drop to user frr, and make their sockets and pid files after that.
        run(["chown", "frr:frr", self.dir])
        common = ["--vty_socket", self.dir, "-z", self.file("zserv.api"), "-P", "0", "--log", "stdout"]
        self.file("zebra.conf", f"hostname {self.node.name}\nip nht resolve-via-default\nipv6 nht resolve-via-default\n")
        self.file("bgpd.conf", self.config())
        self.file("bfdd.conf", self.bfd_config())
        alive = {os.path.basename(p.argv[0]) for p in self.processes}  # who has outlived bgpd
        for daemon in ("zebra", *(["bfdd"] if any(n.bfd for n in self.neighbors) else []), "bgpd"):
            if daemon in alive:
                continue
            more = ["--bfdctl", self.file("bfdctl.sock")] if daemon == "bfdd" else []
            self.spawn(f"/usr/lib/frr/{daemon}", *common, *more, *self.options.get(f"{daemon}_argv", ()), "-i", self.file(f"{daemon}.pid"), "-f",
                       self.file(f"{daemon}.conf"), tag=f"-{daemon}")
            wait_for(lambda: self.vtysh("show version", daemon=daemon), what=f"{self.name}: {daemon} answers")
            if daemon == "zebra":
                wait_for(self.links_known, what=f"{self.name}: zebra knows its links")

    def kill_bgp(self):
        """bgpd dies, zebra and what it has in the kernel stay; start() brings it back."""
        self.processes.pop().stop(signal.SIGKILL)

    def bfd_process(self):
        """bfdd alone: what becomes of BGP when it dies is then not FRR's word, but ours."""
        return next(p for p in self.processes if p.argv[0].endswith("/bfdd"))

    def bfd(self, address):
        """bfdd's session with address: detect-multiplier, intervals, status, uptime in seconds, id."""
        return next(s for s in self.json("show bfd peers", daemon="bfdd") if s["peer"] == address)

    def links_known(self):
        """A link-local next hop over a link that zebra has not looked at yet stays inactive for good (FRR 8.4)."""
        up = [link for link in self.node.ip_json("link", "show", "up") if "LOOPBACK" not in link["flags"]]
        known = self.vtysh("show ipv6 route connected", daemon="zebra").count("fe80::/64")
        return known >= len(up)

    def vtysh(self, *commands, daemon="bgpd"):
        return vtysh(self.file(f"{daemon}.vty"), *commands)

    def json(self, command, daemon="bgpd"):
        return json.loads(self.vtysh(f"{command} json", daemon=daemon) or "{}")

    def configure(self, *lines):
        self.vtysh("configure terminal", f"router bgp {self.asn}", *lines)

    def neighbor(self, address=None):
        address = address or self.neighbors[0].address
        return self.json(f"show bgp neighbors {address}").get(address, {})

    def established(self, address):
        return self.neighbor(address).get("bgpState") == "Established"

    def notifications(self, way="received from"):
        """NOTIFICATIONs received from (or "sent to") neighbours so far, as in "6/4 (Cease/Administrative Reset)"."""
        text = "".join(p.output() for p in self.processes)
        return re.findall(rf"%NOTIFICATION(?:\(Hard Reset\))?: {way} neighbor \S+ (\d+/\d+ \([^)]*\))", text)

    def _networks(self, verb, prefixes):
        lines = []
        for family in FAMILIES:
            mine = [p for p in prefixes if family_of(p) == family]
            if mine:
                lines += [f"address-family {family} unicast", *[f"{verb} {p}" for p in mine], "exit-address-family"]
        self.configure(*lines)

    def announce(self, *prefixes):
        self.networks += [p for p in prefixes if p not in self.networks]
        self._networks("network", prefixes)

    def withdraw(self, *prefixes):
        self.networks = [p for p in self.networks if p not in prefixes]
        self._networks("no network", prefixes)

    def routes(self, family):
        rows = self.json(f"show bgp {family} unicast").get("routes", {})
        table = {}
        for prefix, paths in rows.items():
            learned = [p for p in paths if p.get("peerId") != "(unspec)" and p.get("valid")]
            if learned:
                best = next((p for p in learned if p.get("bestpath")), learned[0])
                table[prefix] = {"as_path": [int(a) for a in re.findall(r"\d+", best.get("path", ""))],
                                 "med": best.get("metric"), "paths": len(learned),
                                 "next_hop": best["nexthops"][0].get("ip")}
        return table

    def route(self, prefix):
        """One prefix in detail, as FRR's own JSON: {"paths": [...]}."""
        return self.json(f"show bgp {family_of(prefix)} unicast {prefix}")


class Bird(Peer):
    kind = "bird"
    programs = ("/usr/sbin/bird", "/usr/sbin/birdc")

    def config(self):
        out = [f"router id {self.router_id};", "log stderr all;", "protocol device { scan time 1; }",
               *self.options.get("lines", ())]
        if self.options.get("kernel"):
            out += [f"protocol kernel {{ {f} {{ export all; }}; merge paths yes; }}" for f in FAMILIES]
        for family in FAMILIES:
            nets = "".join(f" route {p} unreachable;" for p in self.networks if family_of(p) == family)
            out.append(f"protocol static static_{family} {{ {family};{nets} }}")
        if any(n.bfd for n in self.neighbors):
            out.append("protocol bfd bfd1 { }")
        for i, n in enumerate(self.neighbors):
            local = f"local {n.local or ''} as {self.asn};"
            whose = n.asn if n.asn in ("internal", "external") else f"as {n.asn}"
            out.append(f"protocol bgp peer{i} {{ {local} neighbor {n.address} {whose}; hold time {n.hold}; "
                       "connect retry time 1; connect delay time 1; error wait time 1, 4; startup hold time 60;")
            out += [f'  password "{n.password}";'] if n.password else []
            out += ["  ttl security on;"] if n.ttl_security else []
            out += [f"  multihop {n.multihop};"] if n.multihop else (["  direct;"] if n.asn == self.asn else [])
            out += ["  passive on;"] if n.passive else []
            if n.bfd:
                out += [f"  bfd {{ interval {n.bfd[0]} ms; multiplier {n.bfd[1]}; }};"]
            out += [f"  {line}" for line in n.extra]
            for family in n.families:
                via = n.via4 if family == "ipv4" else n.via6
                hop = f" next hop address {via}; next hop self;" if via else " next hop self;"
                hop += " extended next hop on;" if n.extended_nexthop and family == "ipv4" else ""
                hop += {"send": " add paths tx;", "receive": " add paths rx;", "both": " add paths on;"}.get(n.add_path, "")
                hop += "".join(f" {line}" for line in self.options.get("channel", ()))
                table = "" if self.options.get("no_import_table") else " import table;"
                exported = self.options.get("export", "all;")
                out.append(f"  {family} {{ import all;{table} export {exported}{hop} }};")
            out.append("}")
        return "\n".join(out) + "\n"

    def launch(self):
        config = self.file("bird.conf", self.config())
        self.spawn("/usr/sbin/bird", "-f", "-c", config, "-s", self.file("bird.ctl"), "-P", self.file("bird.pid"),
                   *self.options.get("argv", ()))
        wait_for(lambda: "up and running" in self.birdc("show status"), what=f"{self.name}: bird answers")

    def birdc(self, command):
        return self.node.run("birdc", "-s", self.file("bird.ctl"), *command.split()).stdout

    def bfd(self, address):
        """BIRD's session with address: state, and interval and timeout in seconds as negotiated."""
        rows = [line.split() for line in self.birdc("show bfd sessions").splitlines()]
        return next({"status": r[2].lower(), "interval": float(r[4]), "timeout": float(r[5])} for r in rows
                    if r and r[0] == address)

    def established(self, address):
        i = next(i for i, n in enumerate(self.neighbors) if n.address == address)
        return bool(re.search(rf"^peer{i}\s.*Established", self.birdc("show protocols"), re.M))

    def _reconfigure(self):
        self.file("bird.conf", self.config())
        if "econfigur" not in self.birdc("configure"):
            raise LabError("bird refused its configuration")

    def announce(self, *prefixes):
        self.networks += [p for p in prefixes if p not in self.networks]
        self._reconfigure()

    def withdraw(self, *prefixes):
        self.networks = [p for p in self.networks if p not in prefixes]
        self._reconfigure()

    def routes(self, family):
        table, prefix = {}, None
        for line in self.birdc(f"show route all table master{family[-1]} where source = RTS_BGP").splitlines():
            if m := re.match(r"([0-9a-f.:]+/\d+)\s", line):
                prefix = m[1]
                table[prefix] = {"as_path": [], "med": None, "paths": 0, "communities": []}
            if prefix and re.match(r"\S*\s+(unicast|unreachable)", line):
                table[prefix]["paths"] += 1
            if m := re.match(r"\s+BGP\.as_path: ?([\d ]*)", line):
                table[prefix]["as_path"] = [int(a) for a in m[1].split()]
            elif m := re.match(r"\s+BGP\.next_hop: (\S+)", line):
                table[prefix]["next_hop"] = m[1]
            elif m := re.match(r"\s+BGP\.med: (\d+)", line):
                table[prefix]["med"] = int(m[1])
            elif m := re.match(r"\s+BGP\.community: (.*)", line):
                table[prefix]["communities"] = [f"{a}:{b}" for a, b in re.findall(r"\((\d+),(\d+)\)", m[1])]
        return table


class GoBgp(Peer):
    kind = "gobgp"
    programs = ("/usr/bin/gobgpd", "/usr/bin/gobgp")
    API = 50051

    def config(self):
        neighbors = []
        for n in self.neighbors:
            one = {"config": {"neighbor-address": n.address, "peer-as": n.asn, "local-as": self.asn},
                   "timers": {"config": {"hold-time": n.hold, "keepalive-interval": max(1, n.hold // 3),
                                         "connect-retry": 1, "idle-hold-time-after-reset": 1}},
                   "transport": {"config": {"passive-mode": bool(n.passive)}},
                   "afi-safis": [{"config": {"afi-safi-name": f"{f}-unicast"}} for f in n.families]}
            if n.add_path:
                for family in one["afi-safis"]:
                    family["add-paths"] = {"config": {"receive": n.paths("receive"), "send-max": 8 * n.paths("send")}}
            if n.local:
                one["transport"]["config"]["local-address"] = n.local
            if n.password:
                one["config"]["auth-password"] = n.password
            if n.ttl_security:
                one["ttl-security"] = {"config": {"enabled": True, "ttl-min": 256 - n.ttl_security}}
            if n.multihop:
                one["ebgp-multihop"] = {"config": {"enabled": True, "multihop-ttl": n.multihop}}
            if n.interface:
                del one["config"]["neighbor-address"]
                one["config"]["neighbor-interface"] = n.address
            for key, value in self.options.get("neighbor", {}).items():
                one[key] = {**one.get(key, {}), **value}
            for family in one["afi-safis"]:
                family.update(self.options.get("afi-safi", {}))
            neighbors.append(one)
        return json.dumps({"global": {"config": {"as": self.asn, "router-id": self.router_id, "port": 179}},
                           "neighbors": neighbors}, indent=1)

    def launch(self):
        config = self.file("gobgpd.json", self.config())
        self.spawn("/usr/bin/gobgpd", "-f", config, "-t", "json", "--api-hosts", f"127.0.0.1:{self.API}",
                   "--pprof-disable", "-p", *self.options.get("argv", ()))
        wait_for(lambda: self.gobgp("global"), what=f"{self.name}: gobgpd answers")
        wait_for(lambda: self.json("neighbor"), what=f"{self.name}: neighbours configured")
        if self.networks:
            self.announce(*self.networks)

    def gobgp(self, *words):
        return self.node.run("gobgp", "-u", "127.0.0.1", "-p", self.API, *words).stdout

    def json(self, *words):
        return json.loads(self.gobgp("-j", *words) or "null")

    def established(self, address):
        for n in self.json("neighbor"):
            if n["conf"]["neighbor_address"] == address:
                return n.get("state", {}).get("session_state") in (6, "ESTABLISHED")
        return False

    def _rib(self, verb, prefixes):
        for p in prefixes:
            via = next((v for n in self.neighbors if (v := n.via6 if ":" in p else n.via4)), None)
            hop = ["nexthop", via] if via and verb == "add" else []
            self.gobgp("global", "rib", verb, "-a", family_of(p), p, *hop)

    def announce(self, *prefixes):
        self.networks += [p for p in prefixes if p not in self.networks]
        self._rib("add", prefixes)

    def withdraw(self, *prefixes):
        self.networks = [p for p in self.networks if p not in prefixes]
        self._rib("del", prefixes)

    def routes(self, family):
        table = {}
        for prefix, paths in (self.json("global", "rib", "-a", family) or {}).items():
            learned = [p for p in paths if p.get("neighbor-ip") not in (None, "<nil>", "") or p.get("source-id")]
            if not learned:
                continue
            row = {"as_path": [], "med": None, "paths": len(learned), "communities": [], "next_hop": None}
            for a in learned[0]["attrs"]:
                if a["type"] == 2:
                    row["as_path"] = [n for s in a["as_paths"] for n in s["asns"]]
                elif a["type"] in (3, 14):
                    row["next_hop"] = a.get("nexthop")
                elif a["type"] == 4:
                    row["med"] = a.get("metric", a.get("value"))
                elif a["type"] == 8:
                    row["communities"] = [f"{c >> 16}:{c & 0xffff}" for c in a["communities"]]
            table[prefix] = row
        return table


class ExaBgp(Peer):
    kind = "exabgp"
    programs = ("/usr/sbin/exabgp",)

    def config(self):
        fifo, events = self.file("commands"), self.file("events.json")
        helper = shutil.copy(os.path.join(HERE, "exabgp_api.py"), self.dir)  # its own path may have spaces
        out = ["process api {", f"  run /usr/bin/python3 {helper} {fifo} {events};", "  encoder json;", "}"]
        for n in self.neighbors:
            out += [f"neighbor {n.address} {{", f"  router-id {self.router_id};", f"  local-address {n.local};",
                    f"  local-as {self.asn};", f"  peer-as {n.asn};", f"  hold-time {n.hold};"]
            out += [f'  md5-password "{n.password}";'] if n.password else []
            out += ["  outgoing-ttl 255;", f"  incoming-ttl {256 - n.ttl_security};"] if n.ttl_security else []
            out += [f"  outgoing-ttl {n.multihop};"] if n.multihop else []
            # When both ends connect at once, its collision handling can break for good ("'NoneType' object has no
            # attribute 'router_id'"), so it waits unless told to connect.
            out += ["  passive true;"] if n.passive is not False else []
            ways = [way for way in ("send", "receive") if n.paths(way)]
            out += ["  capability {", "    route-refresh enable;", f"    add-path {'/'.join(ways)};", "  }"] if ways else []
            out += [f"  {line}" for line in n.extra]
            out += ["  family {", *[f"    {f} unicast;" for f in n.families], "  }", "  api {", "    processes [ api ];",
                    "    neighbor-changes;", "    receive { parsed; update; notification; }", "  }", "}"]
        return "\n".join(out) + "\n"

    def launch(self):
        for name in ("commands", "events.json"):
            if os.path.exists(self.file(name)):
                os.unlink(self.file(name))
        os.mkfifo(self.file("commands"), 0o600)
        # Held open both ways: a write must not block before the helper has come up.
        self.fifo = os.open(self.file("commands"), os.O_RDWR | os.O_NONBLOCK)
        config = self.file("exabgp.conf", self.config())
        # Bound so that the neighbour may connect first; a passive-only neighbour needs it.
        self.spawn("/usr/sbin/exabgp", config, env={
            "exabgp.daemon.drop": "false", "exabgp.api.cli": "false", "exabgp.tcp.port": "179",
            "exabgp.tcp.bind": " ".join(dict.fromkeys(n.local for n in self.neighbors)), "exabgp.log.level": "INFO"})
        wait_for(lambda: os.path.exists(self.file("events.json")), what=f"{self.name}: helper runs")
        if self.networks:
            self.announce(*self.networks)

    def stop(self, number=signal.SIGTERM):
        super().stop(number)
        if getattr(self, "fifo", None):
            os.close(self.fifo)
            self.fifo = None

    def command(self, text):
        def written():  # a line is shorter than PIPE_BUF, so it goes in whole or not at all
            try:
                return os.write(self.fifo, (text + "\n").encode())
            except BlockingIOError:
                return 0

        wait_for(written, what=f"{self.name} reads its commands", every=0.01)

    def events(self):
        with open(self.file("events.json")) as f:
            return [json.loads(line) for line in f if line.startswith("{") and line.endswith("}\n")]

    def established(self, address):
        states = [e["neighbor"]["state"] for e in self.events()
                  if e["type"] == "state" and e["neighbor"]["address"]["peer"] == address]
        return bool(states) and states[-1] == "up"

    def announce(self, *prefixes, attributes=""):
        self.networks += [p for p in prefixes if p not in self.networks]
        for n in self.neighbors:
            for p in prefixes:
                via = n.via6 if ":" in p else n.via4
                self.command(f"neighbor {n.address} announce route {p} next-hop {via} {attributes}".rstrip())

    def withdraw(self, *prefixes):
        self.networks = [p for p in self.networks if p not in prefixes]
        for n in self.neighbors:
            for p in prefixes:
                via = n.via6 if ":" in p else n.via4
                self.command(f"neighbor {n.address} withdraw route {p} next-hop {via}")

    def routes(self, family):
        """Folded from the updates seen so far; a session that went down takes its routes along."""
        table = {}
        for e in self.events():
            peer = e["neighbor"]["address"]["peer"]
            if e["type"] == "state" and e["neighbor"]["state"] == "down":
                table = {k: v for k, v in table.items() if v["peer"] != peer}
            if e["type"] != "update" or "update" not in e["neighbor"]["message"]:
                continue
            update = e["neighbor"]["message"]["update"]
            attributes = update.get("attribute", {})
            for hop, rows in update.get("announce", {}).get(f"{family} unicast", {}).items():
                for row in rows if isinstance(rows, list) else []:
                    table[row["nlri"]] = {
                        "as_path": [n for n in attributes.get("as-path", []) if isinstance(n, int)], "peer": peer,
                        "med": attributes.get("med"), "next_hop": hop, "paths": 1,
                        "communities": [f"{a}:{b}" for a, b in attributes.get("community", [])]}
            for row in update.get("withdraw", {}).get(f"{family} unicast", []):
                table.pop(row["nlri"], None)
        return table


class OpenBgpd(Peer):
    """It never touches the kernel's routes on Linux. options["lines"] and ["filters"] are lines for its configuration."""
    kind = "openbgpd"
    programs = ("/usr/sbin/bgpd", "/usr/sbin/bgpctl")

    def config(self):
        out = [f"AS {self.asn}", f"router-id {self.router_id}", f'socket "{self.file("bgpd.sock")}"', "fib-update no",
               "connect-retry 1", "listen on 0.0.0.0", "listen on ::", *self.options.get("lines", ())]
        out += [f"network {p}" for p in self.networks]
        filters = ["allow from any", "allow to any"]
        for n in self.neighbors:
            out += [f"neighbor {n.address} {{", f"  remote-as {n.asn}", f"  holdtime {n.hold}"]
            out += [f"  local-address {n.local}"] if n.local else []
            out += [f'  tcp md5sig password "{n.password}"'] if n.password else []
            hops = n.multihop or n.ttl_security or 1
            out += ["  ttl-security yes"] if n.ttl_security else []
            out += [f"  multihop {hops}"] if hops > 1 else []
            out += ["  passive"] if n.passive else []
            out += ["  announce add-path send all"] if n.paths("send") else []
            out += ["  announce add-path recv yes"] if n.paths("receive") else []
            out += [f"  announce IPv{f[-1]} {'unicast' if f in n.families else 'none'}" for f in FAMILIES]
            out += [f"  {line}" for line in n.extra] + ["}"]
        return "\n".join(out + filters + list(self.options.get("filters", ()))) + "\n"

    def launch(self):
        self.own_next_hops()
        config = self.file("bgpd.conf", self.config(), mode=0o600)
        # Its processes lock themselves into /run/openbgpd, which only a started service makes; here it exists for nobody else.
        self.spawn("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && mkdir /run/openbgpd && exec "$0" "$@"',
                   "/usr/sbin/bgpd", "-d", "-v", "-f", config)
        wait_for(lambda: self.json("show"), what=f"{self.name}: bgpd answers")

    def own_next_hops(self):
        """For the family that a session does not run over it sends the first address of lo, on Linux, whatever `set nexthop`
        says (7.7): make that the address of the link. So all neighbours get the next hops of the first one."""
        hop4, hop6 = self.neighbors[0].via4, self.neighbors[0].via6
        if hop6:
            self.node.ip("addr", "replace", f"{hop6}/128", "dev", "lo", "nodad")
        if hop4:
            self.node.ip("addr", "del", "127.0.0.1/8", "dev", "lo", check=False)
            self.node.ip("addr", "replace", f"{hop4}/32", "dev", "lo")
            self.node.ip("addr", "replace", "127.0.0.1/8", "dev", "lo", "scope", "global")

    def bgpctl(self, *words):
        return self.node.run("bgpctl", "-s", self.file("bgpd.sock"), *words).stdout

    def json(self, command):
        return json.loads(self.bgpctl("-j", *command.split()) or "{}")

    def neighbor(self, address=None):
        address = address or self.neighbors[0].address
        return next((n for n in self.json("show neighbor").get("neighbors", ()) if n.get("remote_addr") == address), {})

    def established(self, address):
        return self.neighbor(address).get("state") == "Established"

    def announce(self, *prefixes):
        self.networks += [p for p in prefixes if p not in self.networks]
        for p in prefixes:
            self.bgpctl("network", "add", p)

    def withdraw(self, *prefixes):
        self.networks = [p for p in self.networks if p not in prefixes]
        for p in prefixes:
            self.bgpctl("network", "delete", p)

    def routes(self, family):
        table = {}
        for row in self.json(f"show rib {'inet6' if family == 'ipv6' else 'inet'} detail").get("rib", ()):
            if row.get("announced") or not row.get("valid"):
                continue
            paths = table.get(row["prefix"], {}).get("paths", 0) + 1
            if paths == 1 or row.get("best"):
                table[row["prefix"]] = {
                    "as_path": [int(a) for a in re.findall(r"\d+", row["aspath"])], "med": row.get("metric"),
                    "next_hop": row.get("exit_nexthop"),
                    "communities": [c for c in row.get("communities", ()) if re.fullmatch(r"\d+:\d+", c)]}
            table[row["prefix"]]["paths"] = paths
        return table


PEERS = {p.kind: p for p in (Frr, Bird, GoBgp, ExaBgp, OpenBgpd)}
