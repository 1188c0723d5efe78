"""Reload: the difference is applied, nothing else is touched; a bad file changes nothing."""
import signal

from lab import never_during, wait_for
from runner import cases
from topology import FAR4, POD4, Dual, Pair
from underlay import tor

NEW_VIP = "198.51.100.9/32"


def uptimes(underlay):
    return {a: p["bgpTimerUpEstablishedEpoch"] for a, p in underlay.ctl("show bgp neighbors").items()
            if p["bgpState"] == "Established"}


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
    wait_for(lambda: "6/3 (Cease/Peer Unconfigured)" in dual.tors[1].notifications(), what="it is told why")
    assert dual.underlay.neighbor(first)["connectionsDropped"] == dropped
    assert uptimes(dual.underlay)[first] == since


@cases(("command",), ("sighup",))
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
