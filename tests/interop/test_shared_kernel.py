"""The kernel belongs to everybody on the host: what others do to our routes and nexthop objects, and what we do about it."""
import os
import signal

from lab import never_during, run, wait_for
from peers import Frr
from runner import cases, feature
from topology import FAR4, FAR6, POD4, Dual, Pair, prefixes
from underlay import PROTOCOL

MANY = prefixes(3000) + prefixes(200, "ipv6")


def shown(underlay, prefix):
    """State and reason of a prefix in `show ip route` or `show ipv6 route`."""
    command = "show ipv6 route" if ":" in prefix else "show ip route"
    return [(r["state"], r.get("reason")) for r in underlay.ctl(command) if r["dst"] == prefix]


def group_of(underlay, prefix):
    """The kernel's id of the group that a route is over, and of its members."""
    nhid = underlay.kernel("ipv6" if ":" in prefix else "ipv4")[prefix]["nhid"]
    (group,) = underlay.node.ip_json("nexthop", "show", "id", str(nhid))
    return nhid, [m["id"] for m in group["group"]]


def other_link(node, *addresses):
    node.ip("link", "add", "other0", "type", "veth", "peer", "name", "other1")
    node.ip("link", "set", "other1", "up")
    node.ip("link", "set", "other0", "up")
    node.address("other0", *addresses)


@feature("Healed after others", peer="frr")
def test_flushed_routes_come_back(lab):
    pair = Pair(lab, "frr", networks=MANY).up()
    wait_for(lambda: pair.underlay.installed(*MANY), what="in the kernel")
    for family in ("-4", "-6"):
        pair.node.ip(family, "route", "flush", "proto", PROTOCOL, check=False)  # it gives up when we are quick
    wait_for(lambda: pair.underlay.installed(*MANY, POD4), what="healed")
    wait_for(lambda: {r["state"] for r in pair.underlay.ctl("show ip route")} == {"installed"}, what="shown so")


@cases(("deleted",), ("flushed",), ("replaced",))
@feature("Healed after others", peer="frr")
def test_nexthop_objects_are_healed(lab, what):
    dual = Dual(lab).up()
    dual.learn(FAR4, FAR6)
    hops = dual.underlay.next_hops(FAR4)
    group, members = group_of(dual.underlay, FAR4)
    if what == "deleted":
        dual.node.ip("nexthop", "del", "id", str(members[0]))
    elif what == "flushed":
        dual.node.ip("nexthop", "flush", "proto", PROTOCOL)
    else:
        dual.node.ip("nexthop", "replace", "id", str(group), "group", str(members[1]), "proto", PROTOCOL)

    def healed():
        return dual.underlay.installed(FAR4, FAR6) and dual.underlay.next_hops(FAR4) == hops

    wait_for(healed, what="two next hops again")
    never_during(lambda: not healed(), 1, "healed and broken again")


@feature("Healed after others", peer="frr")
def test_next_hop_that_was_turned_elsewhere_is_healed(lab):
    pair = Pair(lab, "frr", networks=[FAR4])
    other_link(pair.node, "172.30.0.1/24")
    pair.up()
    wait_for(lambda: pair.underlay.installed(FAR4))
    _, (member,) = group_of(pair.underlay, FAR4)
    pair.node.ip("nexthop", "replace", "id", str(member), "via", "172.30.0.9", "dev", "other0", "proto", PROTOCOL)
    wait_for(lambda: pair.underlay.next_hops(FAR4) == [pair.link.b4], what="the ToR again")


@cases((FAR4,), (FAR6,))
@feature("Healed after others", peer="frr")
def test_route_changed_under_our_protocol_is_healed(lab, prefix):
    pair = Pair(lab, "frr", networks=[prefix])
    other_link(pair.node, "172.30.0.1/24", "fd00:30::1/64")
    pair.up()
    wait_for(lambda: pair.underlay.installed(prefix))
    pair.node.ip("route", "replace", prefix, "dev", "other0", "proto", PROTOCOL, "metric", "20")
    wait_for(lambda: "nhid" in pair.underlay.kernel("ipv6" if ":" in prefix else "ipv4")[prefix], what="over our group again")


@feature("Conflicts left alone", peer="frr")
def test_route_of_another_protocol_that_took_the_place_stays(lab):
    pair = Pair(lab, "frr", networks=[FAR4])
    other_link(pair.node, "172.30.0.1/24")
    pair.up()
    wait_for(lambda: pair.underlay.installed(FAR4))
    pair.node.ip("route", "replace", FAR4, "dev", "other0", "proto", "static", "metric", "20")
    wait_for(lambda: shown(pair.underlay, FAR4)[0][0] == "failed", what="shown as a conflict")
    never_during(lambda: FAR4 in pair.underlay.kernel(), 1, "written over")
    assert pair.underlay.process.output().count("another protocol's route is in the place") == 1
    pair.node.ip("route", "del", FAR4, "dev", "other0", "proto", "static", "metric", "20")
    wait_for(lambda: pair.underlay.installed(FAR4), what="ours takes the free place")


@feature("Healed after others", peer="frr")
def test_who_deletes_for_ever_is_not_fought_in_a_busy_loop(lab):
    pair = Pair(lab, "frr", networks=[FAR4]).up()
    wait_for(lambda: pair.underlay.installed(FAR4))
    watch = pair.node.monitor()
    deleted = []

    def once_more():
        if pair.underlay.installed(FAR4):
            pair.node.ip("route", "del", FAR4, check=False)
            deleted.append(1)
        return False

    never_during(once_more, 6, "")
    assert len(deleted) < 30, f"put back {len(deleted)} times in 6 s"
    wait_for(lambda: pair.underlay.installed(FAR4), timeout=30, what="healed when it is over")
    assert len(watch.deleted(FAR4)) == len(deleted)
    log = pair.underlay.process.output()
    assert 1 <= log.count("deleted or changed by another program") <= 2, "said once"


@feature("Healed after others", peer="frr")
def test_lost_events_are_made_up_for_by_a_look_at_everything(lab):
    pair = Pair(lab, "frr", networks=[FAR4, FAR6]).up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6))
    other_link(pair.node, "172.30.0.1/24")
    os.kill(pair.underlay.process.pid, signal.SIGSTOP)
    pair.node.ip("route", "del", FAR4)
    pair.node.ip("-6", "route", "del", FAR6)
    flood = [f"route {verb} 172.{20 + i // 65536}.{i // 256 % 256}.{i % 256}/32 dev other0 proto static"
             for verb in ("add", "del") for i in range(20000)]
    pair.node.ip_batch(flood)
    os.kill(pair.underlay.process.pid, signal.SIGCONT)
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6), timeout=40, what="healed")
    wait_for(lambda: "events of the kernel were lost" in pair.underlay.process.output(), what="said so")


@feature("Interfaces that change", peer="frr")
def test_interface_renamed(lab):
    pair = Pair(lab, "frr", networks=[FAR4, FAR6]).up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6))
    watch = pair.node.monitor()
    pair.node.ip("link", "set", pair.link.dev_a, "name", "uplink")
    wait_for(lambda: {r["dev"] for r in pair.underlay.ctl("show ip route") if r["dst"] == FAR4} == {"uplink"}, what="known by its new name")
    assert pair.underlay.established() and pair.underlay.installed(FAR4, FAR6)
    assert watch.deleted(FAR4) == []


@feature("Interfaces that change", peer="frr")
def test_interface_moved_away_and_back(lab):
    pair = Pair(lab, "frr", networks=[FAR4, FAR6]).up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6))
    away = lab.node("away")
    pair.node.ip("link", "set", pair.link.dev_a, "netns", away.netns)
    wait_for(lambda: pair.underlay.gone(FAR4, FAR6), what="no route over what is gone")
    away.ip("link", "set", pair.link.dev_a, "netns", pair.node.netns)
    pair.node.address(pair.link.dev_a, f"{pair.link.a4}/31", f"{pair.link.a6}/127")
    pair.node.ip("link", "set", pair.link.dev_a, "up")
    pair.wait_up(timeout=30)
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6), what="all as before")


class Zebra(Frr):
    """zebra and staticd without bgpd, on a node of ours."""

    def launch(self):
        run(["chown", "frr:frr", self.dir])
        common = ["--vty_socket", self.dir, "-z", self.file("zserv.api"), "-P", "0", "--log", "stdout"]
        self.file("zebra.conf", f"hostname {self.node.name}\n")
        self.file("staticd.conf", "ip route 203.0.113.0/24 172.30.0.9\n")
        for daemon in ("zebra", "staticd"):
            self.spawn(f"/usr/lib/frr/{daemon}", *common, "-i", self.file(f"{daemon}.pid"), "-f", self.file(f"{daemon}.conf"),
                       tag=f"-{daemon}")
            wait_for(lambda: self.vtysh("show version", daemon=daemon), what=f"{daemon} answers")


@cases((signal.SIGTERM,), (signal.SIGKILL,))
@feature("Beside FRR's zebra", peer="frr")
def test_zebra_on_the_same_host_does_no_harm_and_gets_none(lab, end):
    pair = Pair(lab, "frr", networks=[FAR4, FAR6])
    other_link(pair.node, "172.30.0.1/24")
    pair.up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6))
    watch = pair.node.monitor()
    zebra = Zebra(pair.node, 65999, "10.255.9.9", [], name="beside")
    theirs = lambda: "203.0.113.0/24" in pair.node.routes("ipv4")
    zebra.start()
    wait_for(theirs, what="zebra's own route")
    zebra.stop(end)
    zebra.start()
    wait_for(theirs, what="zebra's own route again")
    never_during(lambda: not pair.underlay.installed(FAR4, FAR6), 1, "zebra took a route of ours with it")
    assert watch.deleted(FAR4) == [] and watch.deleted(FAR6) == []
    pair.underlay.restart()
    pair.wait_up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6))
    assert theirs()
