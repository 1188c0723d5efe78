"""Reload: the difference is applied, nothing else is touched; a bad file changes nothing."""
import signal

from lab import never_during, wait_for
from runner import cases, feature
from topology import FAR4, POD4, Dual, Pair
from underlay import tor

NEW_VIP = "198.51.100.9/32"


def uptimes(underlay):
    return {a: p["bgpTimerUpEstablishedEpoch"] for a, p in underlay.ctl("show bgp neighbors").items()
            if p["bgpState"] == "Established"}


@feature("Reload without reset", peer="frr")
def test_adding_and_removing_a_peer_leaves_the_other_alone(lab):
    dual = Dual(lab)
    both = dual.underlay.config["peers"]
    dual.underlay.config["peers"] = both[:1]
    dual.up()
    first = dual.links[0].b4
    dropped = dual.underlay.neighbor(first)["connectionsDropped"]
    since = uptimes(dual.underlay)[first]
    dual.underlay.config["peers"] = both
    dual.underlay.write()
    dual.underlay.command("reload")
    dual.underlay.wait_established(dual.links[1].b4)
    dual.learn(FAR4)
    dual.underlay.config["peers"] = both[:1]
    dual.underlay.write()
    dual.underlay.command("reload")
    wait_for(lambda: dual.links[1].b4 not in dual.underlay.ctl("show bgp neighbors"), what="the peer is gone")
    wait_for(lambda: dual.underlay.next_hops(FAR4) == [first], what="and so are its paths")
    wait_for(lambda: any(n.startswith("6/3 ") for n in dual.tors[1].notifications()), what="told why")
    assert dual.underlay.neighbor(first)["connectionsDropped"] == dropped
    assert uptimes(dual.underlay)[first] == since


@cases(("command",), ("sighup",))
@feature("Reload without reset", peer="frr")
def test_what_is_advertised_changes_without_a_reset(lab, how):
    pair = Pair(lab, "frr").up()
    wait_for(lambda: pair.tor.has(POD4))
    dropped = pair.underlay.neighbor()["connectionsDropped"]
    pair.underlay.config["advertise"] = {"vips": [{"prefix": NEW_VIP, "communities": ["65000:100"], "med": 7}]}
    pair.underlay.write()
    if how == "command":
        pair.underlay.command("reload")
    else:
        pair.underlay.process.send(signal.SIGHUP)
    wait_for(lambda: pair.tor.has(NEW_VIP) and pair.tor.has_none(POD4), what="the difference at the ToR")
    path = pair.tor.route(NEW_VIP)["paths"][0]
    assert path["community"]["string"] == "65000:100" and path["metric"] == 7, path
    assert pair.underlay.neighbor()["connectionsDropped"] == dropped


@feature("Reload without reset", peer="frr")
def test_session_settings_reset_only_their_own_session(lab):
    dual = Dual(lab).up()
    first, second = (k.b4 for k in dual.links)
    dropped = {a: dual.underlay.neighbor(a)["connectionsDropped"] for a in (first, second)}
    dual.underlay.config["peers"][1]["hold-time"] = "12s"
    dual.underlay.write()
    dual.underlay.command("reload")
    wait_for(lambda: dual.underlay.neighbor(second)["connectionsDropped"] == dropped[second] + 1, what="the changed one")
    dual.underlay.wait_established()
    assert dual.underlay.neighbor(first)["connectionsDropped"] == dropped[first]


@feature("Reload without reset", peer="frr")
def test_same_file_changes_nothing(lab):
    pair = Pair(lab, "frr").up()
    since = uptimes(pair.underlay)
    pair.underlay.command("reload")
    never_during(lambda: not pair.underlay.established(), 1, "a reset by a reload of the same file")
    assert uptimes(pair.underlay) == since


@cases(("syntax", "router: [unclosed\n"), ("unknown key", None), ("no file", False))
def test_bad_file_changes_nothing_and_is_reported(lab, what, text):
    pair = Pair(lab, "frr").up()
    wait_for(lambda: pair.tor.has(POD4))
    since = uptimes(pair.underlay)
    if text is None:
        pair.underlay.config["routr"] = {"asn": 1}
        pair.underlay.config["advertise"] = {}
        pair.underlay.write()
    elif text is False:
        import os
        os.unlink(pair.underlay.config_path)
    else:
        pair.underlay.write(text)
    done = pair.underlay.ctl("reload", json_out=False, check=False)
    assert done.returncode == 1, done
    said = done.stdout + done.stderr
    assert pair.underlay.config_path in said, said
    if text is None:
        assert "routr" in said and "router" in said, said
    never_during(lambda: not pair.underlay.established(), 1, "a bad file reset a session")
    assert uptimes(pair.underlay) == since and pair.tor.has(POD4)


def test_fib_settings_need_a_restart_and_say_so(lab):
    pair = Pair(lab, "frr", networks=[FAR4]).up()
    wait_for(lambda: pair.underlay.installed(FAR4))
    pair.underlay.config["fib"] = {"metric": 99}
    pair.underlay.write()
    done = pair.underlay.ctl("reload", json_out=False, check=False)
    assert "restart" in (done.stdout + done.stderr).lower(), done
    assert pair.underlay.established() and pair.underlay.kernel()[FAR4]["metric"] == 20


def test_bad_key_on_reload_resets_its_session_only_with_the_new_key(lab):
    dual = Dual(lab).up()
    first, second = (k.b4 for k in dual.links)
    dual.underlay.config["peers"][1] = tor(second, password="changed")
    dual.underlay.write()
    dual.underlay.command("reload")
    wait_for(lambda: not dual.underlay.established(second), timeout=15, what="a session without the new key ends")
    assert dual.underlay.established(first)
    dual.tors[1].configure(f"neighbor {dual.links[1].a4} password changed")
    dual.underlay.wait_established(second)


@cases(("description", "other"), ("connect-retry-time", "3s"), ("idle-hold-max", "10s"), ("allow-own-as", 1),
       ("import", "none"), ("export", "none"))
@feature("Reload without reset", peer="frr")
def test_keys_that_reset_nothing(lab, key, value):
    pair = Pair(lab, "frr", networks=[FAR4]).up()
    wait_for(lambda: pair.tor.has(POD4) and pair.underlay.installed(FAR4))
    since = uptimes(pair.underlay)
    pair.underlay.config["peers"][0][key] = value
    pair.underlay.write()
    assert pair.underlay.command("reload") == ""
    if key == "import":
        wait_for(lambda: pair.underlay.gone(FAR4), what="nothing is accepted any more")
    elif key == "export":
        wait_for(lambda: pair.tor.has_none(POD4), what="nothing is advertised any more")
    never_during(lambda: uptimes(pair.underlay) != since, 0.5, "a reset")
    if key in ("import", "export"):
        del pair.underlay.config["peers"][0][key]
        pair.underlay.write()
        pair.underlay.command("reload")
        wait_for(lambda: pair.tor.has(POD4) and pair.underlay.installed(FAR4), what="all as before")
        assert uptimes(pair.underlay) == since


@cases(("id", "10.255.7.7"), ("asn", 65200))
def test_router_id_and_asn_reset_every_session(lab, key, value):
    dual = Dual(lab).up()
    if key == "asn":
        for peer, link in zip(dual.tors, dual.links):
            peer.configure(f"neighbor {link.a4} remote-as external")
        dual.underlay.wait_established()
    dropped = {k.b4: dual.underlay.neighbor(k.b4)["connectionsDropped"] for k in dual.links}
    dual.underlay.config["router"][key] = value
    dual.underlay.write()
    dual.underlay.command("reload")
    for link in dual.links:
        wait_for(lambda: dual.underlay.neighbor(link.b4)["connectionsDropped"] == dropped[link.b4] + 1, what="a reset")
    dual.underlay.wait_established()
    seen = dual.underlay.neighbor(dual.links[0].b4)
    assert seen["localRouterId" if key == "id" else "localAs"] == value, seen


def test_changed_key_file_resets_its_session_only(lab):
    import os
    dual = Dual(lab)
    path = lab.write("tor.key", "old", mode=0o600)
    first, second = (k.b4 for k in dual.links)
    dual.underlay.config["peers"][1] = tor(second, password_file=path)
    for peer in dual.tors:
        peer.start()
    dual.tors[1].configure(f"neighbor {dual.links[1].a4} password old")
    dual.underlay.start()
    dual.underlay.wait_established()
    dropped = dual.underlay.neighbor(first)["connectionsDropped"]
    lab.write("tor.key", "new\n", mode=0o600)
    dual.underlay.command("reload")
    wait_for(lambda: not dual.underlay.established(second), timeout=15, what="the session of the changed key ends")
    dual.tors[1].configure(f"neighbor {dual.links[1].a4} password new")
    dual.underlay.wait_established(second)
    assert dual.underlay.established(first) and dual.underlay.neighbor(first)["connectionsDropped"] == dropped
    # Gone from the disk: refused, and nothing happens to the running session.
    os.unlink(path)
    done = dual.underlay.ctl("reload", json_out=False, check=False)
    assert done.returncode == 1 and path in done.stdout + done.stderr, done
    # A new one could only be read with the privilege of the start.
    dual.underlay.config["peers"][1] = tor(second, password_file=lab.write("other.key", "new", mode=0o600))
    dual.underlay.write()
    done = dual.underlay.ctl("reload", json_out=False, check=False)
    assert done.returncode == 1 and "other.key" in done.stdout + done.stderr and "restart" in done.stdout + done.stderr, done
    never_during(lambda: not dual.underlay.established(second), 0.5, "a refused reload reset a session")


def test_the_last_of_many_reloads_wins(lab):
    pair = Pair(lab, "frr").up()
    dropped = pair.underlay.neighbor()["connectionsDropped"]
    for i in range(20):
        pair.underlay.config["advertise"] = {"vips": [{"prefix": f"198.51.100.{i}/32"}]}
        pair.underlay.write()
        pair.underlay.process.send(signal.SIGHUP)
    wait_for(lambda: pair.tor.has("198.51.100.19/32") and pair.tor.has_none(POD4, "198.51.100.0/32", "198.51.100.18/32"),
             what="what the file says now")
    assert pair.underlay.established() and pair.underlay.neighbor()["connectionsDropped"] == dropped


def test_reload_during_the_start_is_not_lost(lab):
    pair = Pair(lab, "frr")
    daemon = pair.underlay
    daemon.start(wait=False)
    wait_for(lambda: open(f"/proc/{daemon.process.pid}/comm").read() == "underlayd: fib\n", every=0.001, what="it has begun")
    daemon.config["advertise"] = {"vips": [{"prefix": NEW_VIP}]}
    daemon.write()
    daemon.process.send(signal.SIGHUP)
    wait_for(lambda: NEW_VIP in daemon.rib(), what="the file as it is now")
    assert POD4 not in daemon.rib() and daemon.process.alive


@cases(("table", 100), ("protocol", 99), ("prefsrc", {"ipv4": "10.255.1.1"}), ("install", False), ("accept-default", True))
def test_each_fib_key_needs_a_restart_and_the_rest_is_applied(lab, key, value):
    pair = Pair(lab, "frr", networks=[FAR4, "0.0.0.0/0"]).up()
    wait_for(lambda: pair.underlay.installed(FAR4))
    before, since = pair.underlay.kernel()[FAR4], uptimes(pair.underlay)
    pair.underlay.config["fib"] = {key: value}
    pair.underlay.config["advertise"] = {"vips": [{"prefix": NEW_VIP}]}
    pair.underlay.write()
    said = pair.underlay.command("reload")
    assert "restart" in said and f"fib.{key}" in said, said
    wait_for(lambda: pair.tor.has(NEW_VIP), what="the rest of the file is in force")
    never_during(lambda: pair.underlay.kernel().get(FAR4) != before or "default" in pair.underlay.kernel(), 0.5, "a change")
    assert uptimes(pair.underlay) == since
    pair.underlay.restart()
    if key == "accept-default":
        wait_for(lambda: "default" in pair.underlay.kernel(), what="in force after the restart")
    elif key != "prefsrc":  # that address is not there
        wait_for(lambda: FAR4 in pair.underlay.rib() and pair.underlay.gone(FAR4), what="in force after the restart")


def test_log_level_reaches_both_processes(lab):
    import os
    pair = Pair(lab, "frr", log={"level": "info"}).up()
    said = pair.underlay.process.output
    assert " debug " not in said()
    pair.underlay.command("log level debug")
    os.kill(pair.underlay.speaker(), signal.SIGKILL)
    wait_for(lambda: " debug fib: " in said(), what="the parent says more")
    pair.wait_up(timeout=30)
    pair.underlay.config["log"] = {"level": "error"}
    pair.underlay.write()
    pair.underlay.command("reload")
    before = said()
    os.kill(pair.underlay.speaker(), signal.SIGKILL)
    wait_for(lambda: " error fib: the speaker died" in said()[len(before):])
    wait_for(lambda: pair.underlay.ctl("show version"), what="the next one")
    assert " info " not in said()[len(before):], said()[len(before):]
