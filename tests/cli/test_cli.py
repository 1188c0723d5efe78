"""underlayctl as people and scripts meet it: help, errors, text that fits a terminal, JSON with the names everybody knows."""
import json
import re
import subprocess
import time

from lab import LabError, wait_for
from runner import cases
from topology import FAR4, FAR6, POD4, POD6, TOR_AS, Pair, gateways
from underlay import UNDERLAYCTL, UNDERLAYD

WIDTH = 80
PEER = "10.0.1.1"
SHOWS = ("show bgp summary", "show ip bgp summary", "show bgp summary established", "show bgp summary failed",
         "show bgp neighbors", f"show bgp neighbors {PEER}",
         f"show bgp neighbors {PEER} advertised-routes", f"show bgp neighbors {PEER} received-routes", "show bgp",
         "show bgp ipv4", "show bgp ipv6", "show bgp ipv4 unicast", "show bgp ipv6 unicast",
         f"show bgp ipv4 unicast {FAR4}", f"show bgp ipv6 {FAR6}", f"show bgp {FAR4}", "show bgp 192.0.2.77",
         "show ip route", "show ipv6 route", "show memory", "show version")


def program(*argv):
    return subprocess.run(argv, text=True, capture_output=True, timeout=20)


def with_routes(lab):
    pair = Pair(lab, "frr", peer={"description": "tor-a"}).up()
    pair.learn(FAR4, FAR6)
    wait_for(lambda: pair.tor.has(POD4, POD6))
    return pair


@cases((UNDERLAYD.rsplit("/", 1)[1],), (UNDERLAYCTL.rsplit("/", 1)[1],))
def test_help_and_version_need_no_daemon(lab, name):
    path = UNDERLAYD if name == "underlayd" else UNDERLAYCTL
    done = program(path, "--help")
    assert done.returncode == 0 and "usage" in done.stdout.lower() and name in done.stdout, done
    assert all(len(line) <= WIDTH for line in done.stdout.splitlines()), done.stdout
    done = program(path, "--version")
    assert done.returncode == 0 and re.search(r"\d+\.\d+\.\d+", done.stdout), done


@cases(("--bogus",), ("--config",), ("stray",))
def test_underlayd_usage_errors(lab, words):
    done = program(UNDERLAYD, words)
    assert done.returncode == 2 and done.stdout == "" and done.stderr, done


@cases(("--bogus show version",), ("--socket",), ("show bgp sumary",), ("shwo version",), ("show",), ("advertise",),
       ("advertise 10.0.0.0/33",), ("advertise 10.0.0.1/24",), ("advertise 10.9.0.0/24 med many",), ("clear bgp",),
       ("neighbor 10.0.1.1 shutdwn",), ("show bgp neighbors 10.0.1.1 routes-received",), ("log level loud",))
def test_usage_errors_exit_2(lab, words):
    pair = Pair(lab, "frr")
    pair.underlay.start()
    done = pair.underlay.ctl(*words.split(), json_out=False, check=False) if not words.startswith("--") else \
        program(UNDERLAYCTL, *words.split())
    assert done.returncode == 2 and done.stdout == "" and done.stderr, done


@cases(("show bgp sumary", "summary"), ("advertize 10.0.0.0/24", "advertise"), ("show bgp neighbours", "neighbors"))
def test_misspelt_commands_get_a_hint(lab, words, meant):
    pair = Pair(lab, "frr")
    pair.underlay.start()
    done = pair.underlay.ctl(*words.split(), json_out=False, check=False)
    assert done.returncode == 2 and meant in done.stderr, done


def test_refused_commands_exit_1(lab):
    pair = Pair(lab, "frr")
    pair.underlay.start()
    for words in ("show bgp neighbors 10.9.9.9", "clear bgp 10.9.9.9", "neighbor 10.9.9.9 shutdown",
                  "withdraw 203.0.113.99/32", f"withdraw {POD4}"):
        done = pair.underlay.ctl(*words.split(), json_out=False, check=False)
        assert done.returncode == 1 and done.stderr, (words, done)


def test_abbreviations(lab):
    pair = with_routes(lab)
    run = lambda words: pair.underlay.ctl(*words.split(), json_out=False).stdout
    up = re.compile(r"up for \S+")
    assert up.sub("", run("sh ver")) == up.sub("", run("show version"))
    assert "10.0.1.1" in run("sh bgp sum")
    done = pair.underlay.ctl("sh", "bgp", "i", json_out=False, check=False)
    assert done.returncode == 2 and "ipv4" in done.stderr and "ipv6" in done.stderr, done  # ambiguous: says between what


@cases()
def test_every_show_fits_80_columns_and_is_json_on_request(lab):
    pair = with_routes(lab)
    for command in SHOWS:
        text = pair.underlay.ctl(*command.split(), json_out=False).stdout
        assert text.strip(), f"{command}: nothing"
        wide = [line for line in text.splitlines() if len(line) > WIDTH]
        assert not wide, f"{command}: {len(wide[0])} columns: {wide[0]}"
        assert not re.search(r"[ \t]\n", text), f"{command}: trailing blanks"
        one = pair.underlay.ctl(command)
        last_word = pair.underlay.ctl(*command.split(), "json", json_out=False).stdout
        assert type(json.loads(last_word)) is type(one), command


def test_routes_with_long_everything_fit_80_columns(lab):
    communities = " ".join(f"65001:{i}" for i in range(30))
    far6 = "2001:db8:1234:5678:9abc:def0:1234:5678/128"
    out = ["neighbor 10.0.1.0 route-map OUT out"]
    pair = Pair(lab, "frr", tor_as=4200000100, node_as=4200000001, peer={"description": "tor-a " * 40, "asn": 4200000100},
                tor_options={"ipv4": out, "ipv6": out, "lines": [
                    "route-map OUT permit 10", f" set community {communities}", " set metric 4294967294",
                    " set large-community 4200000100:4200000100:4200000100 4200000100:1:2",
                    " set extcommunity rt 65001:1 65001:2", " set as-path prepend" + " 4200000101" * 6]}).up()
    pair.tor.announce(FAR4, far6, "0.0.0.0/0", "10.0.1.0/31")
    wait_for(lambda: pair.underlay.installed(FAR4, far6), what="learned")
    wait_for(lambda: pair.underlay.rib().get("10.0.1.0/31"), what="learned, and not to be installed")
    for command in (*SHOWS[:-7], f"show bgp {FAR4}", f"show bgp {far6}", "show bgp 10.0.1.0/31", "show bgp 0.0.0.0/0",
                    f"show bgp {POD4}", f"show bgp neighbors {PEER} filtered-routes", "show ip route", "show ipv6 route",
                    "show ip route 10.0.1.0/31", "show ip route 10.77.0.0/16"):
        if FAR6 not in command:
            text = pair.underlay.ctl(*command.split(), json_out=False).stdout
            assert text and not [line for line in text.splitlines() if len(line) > WIDTH], f"{command}:\n{text}"
    text = pair.underlay.ctl("show bgp 10.0.1.0/31", json_out=False).stdout
    assert "In the kernel: failed: connected (" in text, text
    text = pair.underlay.ctl("show bgp 0.0.0.0/0", json_out=False).stdout
    assert "no, there is no usable path" in text and "refused by the import: default route" in text, text


REASONS = {"refused": ({}, {}, "Connection refused", "whether BGP runs there on port 179"),
           "wrong-as": ({"asn": 65099}, {}, "Bad Peer AS, expected 65099, got 65001", "`asn` of this peer"),
           "expected-as": ({}, {"asn": 65099}, "received: OPEN Message Error/Bad Peer AS", "ours is 65100"),
           "md5": ({"password": "a"}, {"password": "b"}, "no answer from port 179", "TCP-MD5 key"),
           "far": ({"address": "10.99.0.1"}, {}, "not directly connected", "multihop"),
           "no-route": ({"address": "10.99.0.1", "multihop": 2}, {}, "Network is unreachable", "ip route get 10.99.0.1"),
           "shut-there": ({}, {"extra": ("shutdown",)}, "closed the connection before it sent an OPEN", "not shut down"),
           "no-family": ({"families": ["ipv4"]}, {"families": ("ipv6",)}, "Unsupported Capability", "families")}


@cases(*((name,) for name in REASONS))
def test_a_session_that_is_down_says_why_and_what_to_check(lab, name):
    peer, neighbor, reason, hint = REASONS[name]
    pair = Pair(lab, "frr", log={"level": "info"})
    pair.underlay.config["peers"][0].update(peer)
    for key, value in neighbor.items():
        setattr(pair.tor.neighbors[0], key, value)
    if name != "refused":
        pair.tor.start()
    pair.underlay.start()

    def shown():
        text = pair.underlay.ctl("show", "bgp", "neighbors", json_out=False).stdout
        assert not [line for line in text.splitlines() if len(line) > WIDTH], text
        flat = re.sub(r"\s+", " ", text)
        return reason in flat and hint in flat and "Next attempt: " in flat and flat

    try:
        wait_for(shown, what=f"{reason}; {hint}")
    except LabError:
        raise LabError(pair.underlay.ctl("show", "bgp", "neighbors", json_out=False).stdout) from None
    row = pair.underlay.neighbor(peer.get("address"))
    assert row["notEstablishedBecause"] and row["notEstablishedHint"], row
    text = pair.underlay.ctl("show", "bgp", "summary", "failed", json_out=False).stdout
    assert reason in re.sub(r"\s+", " ", text), text
    time.sleep(2.5)  # and fails again, which is not worth another line
    lines = [line for line in pair.underlay.process.output().splitlines() if peer.get("address", PEER) in line]
    most = 4 if name == "no-family" else 2  # which capabilities are tried next is said too
    assert len(lines) == len({line.split(" ", 1)[1] for line in lines}) <= most, "\n".join(lines)


def test_running_config_is_a_configuration(lab):
    pair = with_routes(lab)
    text = pair.underlay.ctl("show", "running-config", json_out=False).stdout
    path = lab.write("again.yaml", text)
    done = program(UNDERLAYD, "--check", "--config", path)
    assert done.returncode == 0, f"{done.stderr}\n{text}"


def test_summary_has_the_names_everybody_knows(lab):
    pair = with_routes(lab)
    both = pair.underlay.ctl("show bgp summary")
    for family in ("ipv4Unicast", "ipv6Unicast"):
        table = both[family]
        for key, kind in (("routerId", str), ("as", int), ("vrfId", int), ("vrfName", str), ("tableVersion", int),
                          ("ribCount", int), ("ribMemory", int), ("peerCount", int), ("peerMemory", int),
                          ("failedPeers", int), ("displayedPeers", int), ("totalPeers", int), ("dynamicPeers", int)):
            assert type(table[key]) is kind, (family, key, table)
        assert table["bestPath"]["multiPathRelax"] in ("true", "false")
        row = table["peers"][PEER]
        for key, kind in (("hostname", str), ("remoteAs", int), ("localAs", int), ("version", int), ("msgRcvd", int),
                          ("msgSent", int), ("tableVersion", int), ("outq", int), ("inq", int), ("peerUptime", str),
                          ("peerUptimeMsec", int), ("peerUptimeEstablishedEpoch", int), ("pfxRcd", int), ("pfxSnt", int),
                          ("state", str), ("peerState", str), ("connectionsEstablished", int),
                          ("connectionsDropped", int), ("desc", str), ("idType", str)):
            if key != "hostname":  # only with the FQDN capability
                assert type(row[key]) is kind, (family, key, row)
        assert (row["remoteAs"], row["localAs"], row["state"], row["idType"], row["desc"]) == \
            (TOR_AS, 65100, "Established", "ipv4", "tor-a"), row
        assert row["pfxRcd"] == 1 and row["pfxSnt"] == 1, row
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["peerUptime"]), row


def test_neighbors_have_the_names_everybody_knows(lab):
    pair = with_routes(lab)
    peer = pair.underlay.neighbor(PEER)
    for key in ("remoteAs", "localAs", "nbrExternalLink", "localRole", "remoteRole", "nbrDesc", "bgpVersion", "remoteRouterId", "localRouterId",
                "bgpState", "bgpTimerUpMsec", "bgpTimerUpString", "bgpTimerUpEstablishedEpoch", "bgpTimerLastRead",
                "bgpTimerLastWrite", "bgpTimerHoldTimeMsecs", "bgpTimerKeepAliveIntervalMsecs",
                "bgpTimerConfiguredHoldTimeMsecs", "bgpTimerConfiguredKeepAliveIntervalMsecs", "neighborCapabilities",
                "messageStats", "addressFamilyInfo", "connectionsEstablished", "connectionsDropped", "hostLocal",
                "portLocal", "hostForeign", "portForeign", "nexthop", "connectRetryTimer"):
        assert key in peer, f"no {key} in {sorted(peer)}"
    for key in ("4byteAs", "routeRefresh", "multiprotocolExtensions"):
        assert key in peer["neighborCapabilities"], peer["neighborCapabilities"]
    assert peer["neighborCapabilities"]["4byteAs"] == "advertisedAndReceived"
    for key in ("depthInq", "depthOutq", "opensSent", "opensRecv", "notificationsSent", "notificationsRecv",
                "updatesSent", "updatesRecv", "keepalivesSent", "keepalivesRecv", "routeRefreshSent", "routeRefreshRecv",
                "totalSent", "totalRecv"):
        assert type(peer["messageStats"][key]) is int, (key, peer["messageStats"])
    for family in ("ipv4Unicast", "ipv6Unicast"):
        info = peer["addressFamilyInfo"][family]
        assert info["acceptedPrefixCounter"] == 1 and info["sentPrefixCounter"] == 1, info
    assert peer["remoteRouterId"] == "10.255.0.1" and peer["bgpTimerHoldTimeMsecs"] == 9000


def test_routes_have_the_names_everybody_knows(lab):
    pair = with_routes(lab)
    table = pair.underlay.ctl("show bgp ipv4 unicast")
    for key in ("vrfId", "vrfName", "tableVersion", "routerId", "defaultLocPrf", "localAS", "routes", "totalRoutes",
                "totalPaths"):
        assert key in table, sorted(table)
    assert set(table["routes"]) == {FAR4, POD4}
    (path,) = table["routes"][FAR4]
    for key in ("valid", "bestpath", "pathFrom", "prefix", "prefixLen", "network", "weight", "peerId", "path", "origin",
                "nexthops"):
        assert key in path, sorted(path)
    assert path["network"] == FAR4 and path["prefixLen"] == 24 and path["prefix"] == "192.0.2.0"
    assert path["peerId"] == PEER and path["pathFrom"] == "external" and path["origin"] == "IGP"
    (hop,) = path["nexthops"]
    assert hop["ip"] == PEER and hop["afi"] == "ipv4" and hop["used"] is True, hop
    detail = pair.underlay.ctl(f"show bgp ipv4 unicast {FAR4}")
    (path,) = detail["paths"]
    assert path["aspath"]["string"] == str(TOR_AS) and detail["fibInstalled"] is True, detail
    assert path["bestpath"]["bestpathFromAs"] == TOR_AS, path
    assert abs(path["lastUpdate"]["epoch"] - time.time()) < 60 and path["lastUpdate"]["string"], path
    sent = pair.underlay.ctl(f"show bgp neighbors {PEER} advertised-routes")
    theirs = pair.tor.json(f"show bgp ipv4 unicast neighbors {pair.mine} advertised-routes")["advertisedRoutes"][FAR4]
    ours = sent["advertisedRoutes"][POD4]
    assert {k: type(v) for k, v in theirs.items() if k not in ("metric", "locPrf")}.items() <= \
        {k: type(v) for k, v in ours.items()}.items(), (theirs, ours)
    assert POD4 in json.dumps(sent) and POD6 in json.dumps(sent) and FAR4 not in json.dumps(sent)
    got = pair.underlay.ctl(f"show bgp neighbors {PEER} received-routes")
    assert FAR4 in got["receivedRoutes"] and FAR6 in got["receivedRoutes"], got
    assert "filteredReason" in got["receivedRoutes"].get(POD4, {"filteredReason": ""}), got  # FRR sends it back, or not yet


@cases(("show ip route", FAR4, POD4), ("show ipv6 route", FAR6, POD6))
def test_kernel_routes_are_named_as_ip_names_them(lab, command, far, pod):
    pair = with_routes(lab)
    rows = {r["dst"]: r for r in wait_for(lambda: pair.underlay.ctl(command))}
    assert set(rows) == {far, pod}, sorted(rows)
    assert rows[far]["state"] == "installed" and rows[far]["metric"] == 20, rows[far]
    kernel = pair.underlay.kernel("ipv6" if ":" in far else "ipv4")[far]
    assert gateways(rows[far]) == gateways(kernel), (rows[far], kernel)
    assert rows[pod]["type"] == "unreachable", rows[pod]


def test_many_commands_from_standard_input(lab):
    pair = Pair(lab, "frr").up()
    done = pair.underlay.ctl("-", json_out=False, input="# comment\n\nshow version\nadvertise 198.51.100.1/32\nshow bgp\n")
    assert "198.51.100.1" in done.stdout, done
    done = pair.underlay.ctl("-", json_out=False, check=False,
                             input="advertise 198.51.100.2/32\nshow bogus\nadvertise 198.51.100.3/32\n")
    assert done.returncode == 2 and "bogus" in done.stderr, done
    wait_for(lambda: pair.tor.has("198.51.100.1/32", "198.51.100.2/32"), what="what came before the bad line is done")


@cases(('"rack 7: the \\"left\\" one\'s PDU"', 'rack 7: the "left" one\'s PDU'), ("'say \\ \"hi\"'", 'say \\ "hi"'),
       ("plain words don\\'t need any", "plain words don't need any"), ("half'way in'side", "halfway inside"))
def test_quotes_from_standard_input_are_those_of_the_shell(lab, typed, meant):
    pair = Pair(lab, "frr").start()
    pair.underlay.ctl("-", json_out=False, input=f"neighbor {PEER} shutdown message {typed}\n")
    assert pair.underlay.neighbor(PEER)["shutdownMessage"] == meant
    pair.underlay.ctl("neighbor", PEER, "shutdown", "message", meant, json_out=False)
    assert pair.underlay.neighbor(PEER)["shutdownMessage"] == meant


def test_quote_that_is_not_closed(lab):
    underlay = Pair(lab, "frr").underlay.start()
    done = underlay.ctl("-", json_out=False, check=False, input=f"neighbor {PEER} shutdown message don't\nshow version\n")
    assert done.returncode == 2 and "line 1" in done.stderr and "quote" in done.stderr and "underlay" in done.stdout, done
    assert "shutdownMessage" not in underlay.neighbor(PEER)


def test_secrets_are_never_shown(lab):
    pair = Pair(lab, "frr", peer={"password": "hush-hush"}, neighbor={"password": "hush-hush"}).up()
    for command in (*SHOWS, "show running-config"):
        if FAR4 in command or FAR6 in command or "77" in command:
            continue
        done = pair.underlay.ctl(*command.split(), json_out=False)
        assert "hush" not in done.stdout, command
    assert "hush" not in pair.underlay.process.output()


def test_advertised_communities_and_med(lab):
    pair = Pair(lab, "frr").up()
    pair.underlay.command("advertise 198.51.100.5/32 community 65000:1 65000:1:2 med 42")
    wait_for(lambda: pair.tor.has("198.51.100.5/32"))
    path = pair.tor.route("198.51.100.5/32")["paths"][0]
    assert path["metric"] == 42 and path["community"]["string"] == "65000:1", path
    assert path["largeCommunity"]["string"] == "65000:1:2", path


def test_log_level_at_run_time(lab):
    pair = Pair(lab, "frr")
    pair.underlay.config["log"] = {"level": "error"}
    pair.underlay.start()
    quiet = len(pair.underlay.process.output())
    pair.underlay.command("log level debug")
    pair.tor.start()
    pair.wait_up()
    wait_for(lambda: len(pair.underlay.process.output()) > quiet, what="debug lines")
