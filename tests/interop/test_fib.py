"""The kernel: whose route is it, how many next hops has it, and does it ever go missing."""
import os
import signal

from lab import never_during, wait_for
from peers import PEERS
from runner import cases, feature
from topology import FAR4, FAR6, POD4, POD6, PODS, Dual, Pair, prefixes
from underlay import PROTOCOL


UNREACHABLE = "7"  # RTN_UNREACHABLE: the labs read iproute2's numbers, not its names


def group_size(underlay, prefix):
    return len(underlay.next_hops(prefix))


@cases(*[(lost, k) for k in PEERS for lost in ("session", "link")])
@feature("ECMP over two ToRs")
def test_ecmp_over_two_tors_and_one_lost(lab, lost, kind):
    dual = Dual(lab, kinds=(kind, kind)).up()
    dual.learn(FAR4, FAR6)
    assert dual.underlay.next_hops(FAR4) == sorted(k.b4 for k in dual.links)
    assert len([p for p in dual.underlay.rib()[FAR4] if p.get("multipath") or p.get("bestpath")]) == 2
    if lost == "session":
        dual.tors[1].stop()
    else:
        dual.links[1].down()
    wait_for(lambda: group_size(dual.underlay, FAR4) == group_size(dual.underlay, FAR6) == 1, what="one next hop is left")
    assert dual.underlay.next_hops(FAR4) == [dual.links[0].b4]
    if lost == "session":
        dual.tors[1].start()
    else:
        dual.links[1].up()
    wait_for(lambda: group_size(dual.underlay, FAR4) == group_size(dual.underlay, FAR6) == 2, timeout=25,
             what="both again")


@feature("ECMP over two ToRs", peer="frr")
def test_multipath_off_uses_one(lab):
    dual = Dual(lab, router={"multipath": 1}).up()
    for peer in dual.tors:
        peer.announce(FAR4)
    wait_for(lambda: len(dual.underlay.rib().get(FAR4, [])) == 2 and dual.underlay.installed(FAR4), what="two paths")
    never_during(lambda: group_size(dual.underlay, FAR4) != 1, 1, "a second next hop")


@feature("Routes outlive a crash", peer="frr")
def test_killed_speaker_comes_back_and_no_route_leaves_the_kernel(lab):
    routes = prefixes(40) + prefixes(10, "ipv6")
    pair = Pair(lab, "frr", networks=routes).up()
    wait_for(lambda: pair.underlay.installed(*routes), what="routes in the kernel")
    watch = pair.node.monitor()
    old = pair.underlay.speaker()
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: pair.underlay.speaker() != old, what="a new speaker")
    assert pair.underlay.installed(*routes)
    pair.wait_up(timeout=30)
    wait_for(lambda: pair.tor.has(POD4, POD6), what="advertised again")
    wait_for(lambda: len(pair.underlay.rib()) >= 40, what="learned again")
    never_during(lambda: not pair.underlay.installed(*routes), 6, "a route left the kernel")  # past the sweep
    assert watch.deleted() == [], watch.deleted()
    assert pair.underlay.process.alive


def test_speaker_ends_with_its_parent(lab):
    pair = Pair(lab, "frr").up()
    child = pair.underlay.speaker()
    pair.underlay.stop(signal.SIGKILL)
    wait_for(lambda: child not in pair.node.pids(), what="the speaker sees end-of-file")


@feature("Routes outlive a crash", peer="frr")
def test_start_after_a_crash_keeps_what_is_learned_and_sweeps_the_rest(lab):
    pair = Pair(lab, "frr", networks=[FAR4, FAR6, "203.0.113.0/24"]).up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6, "203.0.113.0/24"))
    pair.underlay.stop(signal.SIGKILL)
    assert pair.underlay.installed(FAR4, FAR6), "routes outlive the daemon"
    pair.tor.withdraw("203.0.113.0/24")
    watch = pair.node.monitor()
    pair.underlay.start()
    pair.wait_up()
    wait_for(lambda: pair.underlay.gone("203.0.113.0/24"), timeout=20, what="the stale one is swept")
    assert pair.underlay.installed(FAR4, FAR6)
    assert watch.deleted(FAR4) == [] and watch.deleted(FAR6) == []


@cases(("ipv4",), ("ipv6",))
def test_foreign_routes_are_left_alone(lab, family):
    pair = Pair(lab, "frr")
    prefix = FAR4 if family == "ipv4" else FAR6
    pair.node.ip("link", "add", "other0", "type", "veth", "peer", "name", "other1")
    pair.node.ip("link", "set", "other0", "up")
    pair.node.ip("link", "set", "other1", "up")
    pair.node.ip("route", "add", prefix, "dev", "other0", "proto", "static", "metric", "20")
    pair.up()
    pair.tor.announce(FAR4, FAR6)
    sibling = FAR6 if family == "ipv4" else FAR4
    wait_for(lambda: pair.underlay.installed(sibling), what="the route without a conflict")
    command = "show ip route" if family == "ipv4" else "show ipv6 route"
    wait_for(lambda: ["failed"] == [r["state"] for r in pair.underlay.ctl(command) if r["dst"] == prefix],
             what="the conflict is shown")

    def foreign():
        rows = pair.node.ip_json("-6" if ":" in prefix else "-4", "route", "show", prefix)
        return [(r.get("dev"), r["protocol"]) for r in rows]

    assert foreign() == [("other0", "4")], foreign()
    pair.tor.withdraw(prefix)
    pair.underlay.stop()
    assert foreign() == [("other0", "4")], foreign()


def test_connected_prefixes_are_never_installed(lab):
    pair = Pair(lab, "frr")
    pair.node.ip("link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
    pair.node.address("lan0", "172.30.0.1/24", "fd00:30::1/64")
    pair.node.ip("link", "set", "lan1", "up")
    pair.node.ip("link", "set", "lan0", "up")
    pair.up()
    pair.learn(FAR4, FAR6)
    pair.tor.announce("172.30.0.0/24", "fd00:30::/64", "172.30.0.128/25")
    wait_for(lambda: pair.underlay.installed("172.30.0.128/25"), what="a more specific of a connected one is fine")
    wait_for(lambda: "fd00:30::/64" in pair.underlay.rib("ipv6"))
    never_during(lambda: not pair.underlay.gone("172.30.0.0/24", "fd00:30::/64"), 1, "a connected prefix was installed")
    for command, prefix in (("show ip route", "172.30.0.0/24"), ("show ipv6 route", "fd00:30::/64")):
        (row,) = [r for r in pair.underlay.ctl(command) if r["dst"] == prefix]
        assert (row["state"], row["reason"]) == ("failed", "connected"), row


def test_pod_cidrs_are_unreachable_where_no_pod_is(lab):
    pair = Pair(lab, "frr").up()
    for family, prefix in (("ipv4", POD4), ("ipv6", POD6)):
        wait_for(lambda: prefix in pair.underlay.kernel(family), what=f"unreachable {prefix}")
        route = pair.underlay.kernel(family)[prefix]
        assert route["type"] == UNREACHABLE and route["metric"] == 4294967295, route
    answer = pair.node.run("ping", "-c1", "-W1", "10.244.7.99", check=False)
    assert answer.returncode != 0
    pair.underlay.stop()
    assert pair.underlay.gone(POD4, POD6)


@feature("Route replaced without a gap", peer="exabgp")
def test_replace_has_no_gap(lab):
    """The best path moves from one ToR to the other and its attributes change; no route is ever deleted on the way."""
    dual = Dual(lab, kinds=("exabgp", "exabgp"), router={"multipath": 1}).up()
    a, b = dual.tors
    routes = prefixes(20) + prefixes(5, "ipv6")
    a.announce(*routes)
    wait_for(lambda: dual.underlay.installed(*routes), what="routes over the first ToR")
    b.announce(*routes, attributes="as-path [ 65002 65002 65002 ]")
    wait_for(lambda: len(dual.underlay.rib().get(routes[0], [])) == 2, what="the second, longer path")
    watch = dual.node.monitor()
    for turn in range(3):
        a.announce(*routes, attributes=f"as-path [ 65001 65001 65001 65001 65001 ] med {turn}")
        wait_for(lambda: all(dual.underlay.next_hops(p) == [dual.links[1].b4] for p in routes[:20]), what="over the second")
        a.announce(*routes, attributes=f"med {turn}")
        wait_for(lambda: all(dual.underlay.next_hops(p) == [dual.links[0].b4] for p in routes[:20]), what="over the first")
    gone = [line for line in watch.deleted() if any(p.split("/")[0] in line for p in routes)]
    assert gone == [], gone[:5]


@feature("Link down and up", peer="frr")
def test_link_down_and_up(lab):
    pair = Pair(lab, "frr", networks=[FAR4, FAR6]).up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6))
    pair.link.down()
    wait_for(lambda: pair.underlay.gone(FAR4, FAR6), what="nothing points at a link that is down")
    pair.link.up()
    pair.wait_up(timeout=25)
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6), what="back with the link")


@feature("Link down and up", peer="frr")
def test_link_flap_shorter_than_the_hold_time_heals(lab):
    """The session survives; the kernel has flushed the routes without a word, and they must come back. GoBGP takes no notice
    of links; FRR announces IPv6 anew with next hop ::ffff:10.0.1.1 when its link is back before its IPv6 addresses are."""
    pair = Pair(lab, "gobgp", networks=prefixes(20) + [FAR6], neighbor={"hold": 30}, peer={"hold_time": "30s"}).up()
    wait_for(lambda: pair.underlay.installed(*pair.tor.networks))
    pair.link.down(pair.node)
    wait_for(lambda: pair.underlay.gone(*pair.tor.networks))
    pair.link.up(pair.node)
    wait_for(lambda: pair.underlay.installed(*pair.tor.networks), timeout=25, what="healed")


def test_route_deleted_by_somebody_else_is_put_back(lab):
    pair = Pair(lab, "frr", networks=[FAR4, FAR6]).up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6))
    pair.node.ip("route", "del", FAR4)
    pair.node.ip("-6", "route", "del", FAR6)
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6), what="healed")


def test_install_false_leaves_the_kernel_alone(lab):
    pair = Pair(lab, "frr", networks=[FAR4, FAR6], fib={"install": False}).up()
    wait_for(lambda: FAR4 in pair.underlay.rib() and FAR6 in pair.underlay.rib("ipv6"))
    wait_for(lambda: pair.tor.has(POD4, POD6))
    never_during(lambda: pair.underlay.kernel("ipv4") or pair.underlay.kernel("ipv6"), 1, "a route in the kernel")


def test_fib_settings(lab):
    pair = Pair(lab, "frr", networks=[FAR4, FAR6], fib={
        "table": 100, "protocol": 88, "metric": 77, "prefsrc": {"ipv4": "10.255.1.1", "ipv6": "fd00::11"}})
    pair.node.address("lo", "10.255.1.1/32", "fd00::11/128")
    pair.up()

    def in_table(family, prefix):
        rows = pair.node.ip_json(family, "route", "show", "table", "100")
        return {r["dst"]: r for r in rows}[prefix]

    for family, prefix, source in (("-4", FAR4, "10.255.1.1"), ("-6", FAR6, "fd00::11")):
        route = wait_for(lambda: in_table(family, prefix), what=f"{prefix} in table 100")
        assert (route["protocol"], route["metric"], route["prefsrc"]) == ("88", 77, source), route
    assert PROTOCOL not in {r["protocol"] for r in pair.node.routes().values()}


@feature("Import and export defaults", peer="exabgp")
def test_import_defaults(lab):
    """Never installed: the default route, martians, parts of own pod CIDRs, own VIPs. The rest is."""
    refused4 = ["0.0.0.0/0", "127.1.0.0/16", "169.254.7.0/24", "10.244.7.64/26", "198.51.100.7/32"]
    refused6 = ["::/0", "fd00:10:244:7:8000::/65"]
    pair = Pair(lab, "exabgp", advertise={**PODS, "vips": [{"prefix": "198.51.100.7/32"}]}).up()
    pair.tor.announce(*refused4, *refused6, "203.0.113.0/24", "2001:db8:1::/48")
    wait_for(lambda: pair.underlay.installed("203.0.113.0/24", "2001:db8:1::/48"))
    assert pair.underlay.gone("default", *refused4, *refused6), pair.underlay.kernel()
    assert "default" not in pair.underlay.kernel("ipv6")


@feature("Import and export defaults", peer="frr")
def test_default_route_on_request(lab):
    pair = Pair(lab, "frr", networks=["0.0.0.0/0", "::/0"], fib={"accept-default": True}).up()
    wait_for(lambda: "default" in pair.underlay.kernel("ipv4") and "default" in pair.underlay.kernel("ipv6"))


@feature("Import and export defaults", peer="frr")
def test_not_a_transit_router(lab):
    """What one ToR says is never repeated to the other."""
    dual = Dual(lab).up()
    dual.tors[0].announce(FAR4, FAR6)
    wait_for(lambda: dual.underlay.installed(FAR4, FAR6) and dual.tors[1].has(POD4, POD6))
    never_during(lambda: dual.tors[1].has(FAR4) or dual.tors[1].has(FAR6), 2, "transit")


@feature("VIPs", peer="frr")
def test_vip_bound_to_lo_comes_and_goes(lab):
    pair = Pair(lab, "frr", advertise={"vips": [{"prefix": "198.51.100.7/32", "bind": "lo"},
                                                {"prefix": "2001:db8:7::7/128", "bind": "lo"}]}).up()
    on_lo = lambda: {a["local"] for d in pair.node.ip_json("addr", "show", "dev", "lo") for a in d["addr_info"]}
    wait_for(lambda: {"198.51.100.7", "2001:db8:7::7"} <= on_lo(), what="bound")
    wait_for(lambda: pair.tor.has("198.51.100.7/32", "2001:db8:7::7/128"), what="advertised")
    pair.underlay.stop()
    assert not {"198.51.100.7", "2001:db8:7::7"} & on_lo(), "taken off again"


def shown(underlay, prefix):
    """State and reason of a prefix in `show ip route` or `show ipv6 route`."""
    command = "show ipv6 route" if ":" in prefix else "show ip route"
    return [(r["state"], r.get("reason")) for r in underlay.ctl(command) if r["dst"] == prefix]


def test_foreign_route_that_goes_makes_room_for_ours(lab):
    pair = Pair(lab, "frr")
    pair.node.ip("link", "add", "other0", "type", "veth", "peer", "name", "other1")
    pair.node.ip("link", "set", "other0", "up")
    pair.node.ip("link", "set", "other1", "up")
    for prefix in (FAR4, FAR6):
        pair.node.ip("route", "add", prefix, "dev", "other0", "proto", "static", "metric", "20")
    pair.up()
    pair.tor.announce(FAR4, FAR6)
    for prefix in (FAR4, FAR6):
        wait_for(lambda: shown(pair.underlay, prefix)[0][0] == "failed", what="a conflict")
        assert "another protocol's route" in shown(pair.underlay, prefix)[0][1], shown(pair.underlay, prefix)
        pair.node.ip("route", "del", prefix, "dev", "other0", "proto", "static", "metric", "20")
        wait_for(lambda: pair.underlay.installed(prefix), what="ours takes the free place")
        wait_for(lambda: shown(pair.underlay, prefix) == [("installed", None)], what="shown so")


def test_foreign_route_of_another_metric_is_no_conflict(lab):
    pair = Pair(lab, "frr")
    pair.node.ip("link", "add", "other0", "type", "veth", "peer", "name", "other1")
    pair.node.ip("link", "set", "other0", "up")
    pair.node.ip("link", "set", "other1", "up")
    pair.node.ip("route", "add", FAR4, "dev", "other0", "proto", "static", "metric", "10")
    pair.up()
    pair.tor.announce(FAR4)
    wait_for(lambda: {r["metric"] for r in pair.node.ip_json("route", "show", FAR4)} == {10, 20}, what="both")
    pair.underlay.stop()
    assert [r["metric"] for r in pair.node.ip_json("route", "show", FAR4)] == [10]


def test_missing_preferred_source_is_shown_and_heals(lab):
    pair = Pair(lab, "frr", networks=[FAR4, FAR6], fib={"prefsrc": {"ipv4": "10.255.1.1", "ipv6": "fd00::11"}}).up()
    missing = [("failed", "fib.prefsrc is no address of this host")]
    for prefix in (FAR4, FAR6):
        wait_for(lambda: shown(pair.underlay, prefix) == missing, what="refused, with the reason")
    assert pair.underlay.gone(FAR4, FAR6)
    pair.node.address("lo", "10.255.1.1/32", "fd00::11/128")
    sources = lambda: [pair.underlay.kernel(f)[p].get("prefsrc") for f, p in (("ipv4", FAR4), ("ipv6", FAR6))]
    wait_for(lambda: sources() == ["10.255.1.1", "fd00::11"], what="healed when the address comes")
    pair.node.ip("addr", "del", "10.255.1.1/32", "dev", "lo")
    pair.node.ip("addr", "del", "fd00::11/128", "dev", "lo")
    for prefix in (FAR4, FAR6):  # the kernel itself deletes the IPv4 route only
        wait_for(lambda: shown(pair.underlay, prefix) == missing, what="lost its source")
    assert pair.underlay.gone(FAR4, FAR6)
    pair.node.address("lo", "10.255.1.1/32", "fd00::11/128")
    wait_for(lambda: sources() == ["10.255.1.1", "fd00::11"], timeout=15, what="and again")


def test_connected_prefix_that_comes_and_goes(lab):
    pair = Pair(lab, "frr", networks=["172.30.0.0/24", "fd00:30::/64"]).up()
    both = ("172.30.0.0/24", "fd00:30::/64")
    wait_for(lambda: pair.underlay.installed(*both))
    pair.node.ip("link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
    pair.node.ip("link", "set", "lan1", "up")
    pair.node.ip("link", "set", "lan0", "up")
    pair.node.address("lan0", "172.30.0.1/24", "fd00:30::1/64")
    wait_for(lambda: pair.underlay.gone(*both), what="a connected prefix has no second route")
    for prefix in both:
        wait_for(lambda: shown(pair.underlay, prefix) == [("failed", "connected")])
    pair.node.ip("link", "del", "lan0")
    wait_for(lambda: pair.underlay.installed(*both), what="back when the interface is gone")


def test_interface_made_anew_with_another_index(lab):
    pair = Pair(lab, "frr", networks=[FAR4, FAR6]).up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6))
    link, before = pair.link, pair.node.ip_json("link", "show", pair.link.dev_a)[0]["ifindex"]
    pair.node.ip("link", "del", link.dev_a)
    wait_for(lambda: pair.underlay.gone(FAR4, FAR6), what="nothing is left over the dead interface")
    pair.node.ip("link", "add", "filler0", "type", "veth", "peer", "name", "filler1")
    pair.node.ip("link", "add", link.dev_a, "type", "veth", "peer", "name", link.dev_b, "netns", pair.tor_node.netns)
    pair.node.address(link.dev_a, f"{link.a4}/31", f"{link.a6}/127")
    pair.tor_node.address(link.dev_b, f"{link.b4}/31", f"{link.b6}/127")
    pair.node.ip("link", "set", link.dev_a, "up")
    pair.tor_node.ip("link", "set", link.dev_b, "up")
    assert pair.node.ip_json("link", "show", link.dev_a)[0]["ifindex"] != before
    pair.wait_up(timeout=30)
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6), what="routes over the new one")


@cases(("ipv4",), ("ipv6",))
def test_session_address_removed_and_back(lab, transport):
    pair = Pair(lab, "frr", transport=transport, networks=[FAR4, FAR6]).up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6))
    address = f"{pair.mine}/{31 if transport == 'ipv4' else 127}"
    pair.node.ip("addr", "del", address, "dev", pair.link.dev_a)
    wait_for(lambda: not pair.underlay.established(), timeout=15, what="the session goes with its address")
    pair.node.address(pair.link.dev_a, address)
    pair.wait_up(timeout=30)
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6), what="all as before")


def test_vip_that_comes_and_goes_is_judged_again(lab):
    """The ToR announces our VIP too (another node has it): not installed while it is ours."""
    vip4, vip6 = "198.51.100.7/32", "2001:db8:7::7/128"
    pair = Pair(lab, "exabgp").up()
    pair.tor.announce(vip4, vip6)
    wait_for(lambda: pair.underlay.installed(vip4, vip6), what="somebody else's")
    pair.underlay.command(f"advertise {vip4} {vip6}")
    wait_for(lambda: pair.underlay.gone(vip4, vip6), what="ours now")
    pair.underlay.command(f"withdraw {vip4} {vip6}")
    wait_for(lambda: pair.underlay.installed(vip4, vip6), what="somebody else's again")


def test_own_address_that_comes_and_goes_is_judged_again(lab):
    pair = Pair(lab, "exabgp").up()
    pair.tor.announce("198.51.100.9/32", "2001:db8:9::9/128")
    wait_for(lambda: pair.underlay.installed("198.51.100.9/32", "2001:db8:9::9/128"))
    pair.node.address("lo", "198.51.100.9/32", "2001:db8:9::9/128")
    wait_for(lambda: pair.underlay.gone("198.51.100.9/32", "2001:db8:9::9/128"), what="an address of this host")
    pair.node.ip("addr", "del", "198.51.100.9/32", "dev", "lo")
    pair.node.ip("addr", "del", "2001:db8:9::9/128", "dev", "lo")
    wait_for(lambda: pair.underlay.installed("198.51.100.9/32", "2001:db8:9::9/128"), what="not any more")


def test_table_of_its_own_is_swept_and_withdrawn_too(lab):
    pair = Pair(lab, "frr", networks=[FAR4, FAR6, "203.0.113.0/24"], fib={"table": 100}).up()
    table = lambda f: {r["dst"] for r in pair.node.ip_json(f, "route", "show", "table", "100")}
    wait_for(lambda: {FAR4, "203.0.113.0/24", POD4} <= table("-4") and {FAR6, POD6} <= table("-6"))
    rows = {r["dst"]: r["state"] for r in pair.underlay.ctl("show ip route")}
    assert rows[FAR4] == "installed", rows
    pair.underlay.stop(signal.SIGKILL)
    pair.tor.withdraw("203.0.113.0/24")
    pair.underlay.start()
    wait_for(lambda: "203.0.113.0/24" not in table("-4"), timeout=20, what="the leftover is swept")
    assert FAR4 in table("-4") and FAR6 in table("-6")
    pair.underlay.stop()
    empty = lambda f: pair.node.run("ip", f, "route", "show", "table", "100", check=False).stdout.strip() == ""
    assert empty("-4") and empty("-6")
