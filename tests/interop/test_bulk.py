"""Many at once: what is advertised at run time, and what a ToR sends."""
from lab import wait_for
from runner import cases, feature
from topology import Pair, prefixes


@cases(timeout=90)
def test_ten_thousand_from_standard_input(lab):
    pair = Pair(lab, "frr").up()
    vips = [f"198.{18 + i // 65536}.{i // 256 % 256}.{i % 256}/32" for i in range(10000)]
    count = lambda: pair.tor.neighbor()["addressFamilyInfo"]["ipv4Unicast"]["acceptedPrefixCounter"]
    # One prefix a line, as a script would write it; the result of the whole counts.
    done = pair.underlay.ctl("-", json_out=False, input="".join(f"advertise {v}\n" for v in vips))
    assert done.returncode == 0, done
    wait_for(lambda: count() == len(vips) + 1, timeout=20, what="10,000 and a pod CIDR at the ToR")
    assert pair.underlay.summary()["peers"][pair.theirs]["pfxSnt"] == len(vips) + 1
    updates = pair.tor.neighbor()["messageStats"]["updatesRecv"]
    pair.underlay.ctl("-", json_out=False, input="withdraw " + " ".join(vips[:5000]) + "\n" +
                      "".join(f"withdraw {v}\n" for v in vips[5000:]))
    wait_for(lambda: count() == 1, timeout=20, what="all withdrawn, the pod CIDR stays")
    # 10,000 withdrawals of /32 need 13 full messages; far fewer than 10,000 shows that they are packed.
    assert pair.tor.neighbor()["messageStats"]["updatesRecv"] - updates < 500


@cases(timeout=90)
def test_advertised_at_run_time_survives_restarts(lab):
    pair = Pair(lab, "frr").up()
    pair.underlay.command("advertise 198.51.100.7/32 2001:db8:7::7/128 community 65000:1 med 30")
    wait_for(lambda: pair.tor.has("198.51.100.7/32", "2001:db8:7::7/128"))
    pair.underlay.command("reload")
    pair.underlay.restart()
    pair.wait_up()
    wait_for(lambda: pair.tor.has("198.51.100.7/32", "2001:db8:7::7/128"), what="still advertised after a restart")
    path = pair.tor.route("198.51.100.7/32")["paths"][0]
    assert path["metric"] == 30 and path["community"]["string"] == "65000:1", path


@cases(("bird",), ("exabgp",), timeout=120)
@feature("Thousands of routes")
def test_five_thousand_routes_in_and_out_of_the_kernel(lab, kind):
    many = prefixes(5000 if kind == "bird" else 500) + prefixes(500, "ipv6")
    pair = Pair(lab, kind, networks=many).up()
    four, six = len([p for p in many if "." in p]), 500
    wait_for(lambda: len(pair.underlay.kernel("ipv4")) == four + 1, timeout=30, what=f"{four} routes and a pod CIDR")
    wait_for(lambda: len(pair.underlay.kernel("ipv6")) == six + 1, timeout=30, what=f"{six} routes and a pod CIDR")
    assert pair.underlay.summary()["peers"][pair.theirs]["pfxRcd"] == four
    nhids = {r["nhid"] for r in pair.underlay.kernel("ipv4").values() if "nhid" in r}
    assert len(nhids) == 1, "routes over the same next hops share one nexthop object"
    pair.tor.stop()
    wait_for(lambda: len(pair.underlay.kernel("ipv4")) == 1 and len(pair.underlay.kernel("ipv6")) == 1, timeout=20,
             what="only the pod CIDRs stay")
