"""Import and export policies against real peers: what they change and reject, live reloads, and what `show policy` says."""
import rawbgp as bgp
from lab import wait_for
from rack import Rack, attributes
from runner import cases, feature
from topology import FAR4, FAR6, NODE_AS, POD4, POD6, TOR_AS, Pair

KINDS = [("frr",), ("bird",), ("gobgp",), ("exabgp",), ("openbgpd",)]
OTHER4 = "198.51.100.0/24"
VIP = "203.0.113.7/32"

IMPORT = [
    {"match": {"prefix": [OTHER4]}, "then": "reject"},
    {"match": {"family": "ipv6"}, "set": {"community-add": ["65100:6"]}, "then": "next"},
    {"match": {"as-path": f"^{TOR_AS}$", "origin": ["igp", "incomplete"]},
     "set": {"local-pref": 250, "med": 5, "community-add": ["65100:1", "65100:2:3"], "prepend": 2}, "then": "accept"},
]
EXPORT = [
    {"match": {"source": "vip"}, "set": {"med": 77, "prepend": 2, "community-add": ["65100:9"]}, "then": "accept"},
    {"match": {"source": "pod-cidr", "family": "ipv4"}, "then": "accept"},
]
ADVERTISE = {"pod-cidrs": [POD4, POD6], "vips": [{"prefix": VIP, "communities": ["65100:8"]}]}


def path(underlay, prefix):
    """The only path of a prefix, None when there is none."""
    done = underlay.ctl("show", "bgp", prefix, check=False, json_out=False)
    if done.returncode:
        return None
    paths = underlay.ctl("show", "bgp", prefix)["paths"]
    return paths[0] if len(paths) == 1 else None


def sessions(underlay):
    return [p["connectionsEstablished"] for p in underlay.ctl("show bgp neighbors").values()]


def reload(underlay, **sections):
    underlay.config.update(sections)
    underlay.write()
    underlay.command("reload")


@cases(*KINDS)
@feature("Policy: import")
def test_an_import_policy_changes_and_rejects(lab, kind):
    pair = Pair(lab, kind, peer={"import": "from-tor"}, policies={"from-tor": IMPORT}).up()
    pair.learn(FAR4, FAR6)
    pair.tor.announce(OTHER4)
    four = path(pair.underlay, FAR4)
    assert four["locPrf"] == 250 and four["metric"] == 5, four
    assert four["aspath"]["string"] == f"{TOR_AS} {TOR_AS} {TOR_AS}", four
    assert four["community"]["string"] == "65100:1" and four["largeCommunity"]["string"] == "65100:2:3", four
    assert path(pair.underlay, FAR6)["community"]["string"] == "65100:1 65100:6"
    wait_for(lambda: path(pair.underlay, OTHER4), what="the rejected route")
    assert path(pair.underlay, OTHER4)["filteredReason"] == "policy from-tor rule 1"
    assert pair.underlay.gone(OTHER4)
    filtered = pair.underlay.ctl(f"show bgp neighbors {pair.theirs} filtered-routes")["filteredRoutes"]
    assert filtered[OTHER4]["filteredReason"] == "policy from-tor rule 1" and FAR4 not in filtered, filtered


@cases(*KINDS)
@feature("Policy: export")
def test_an_export_policy_decides_what_goes_out_and_how(lab, kind):
    pair = Pair(lab, kind, peer={"export": "to-tor"}, policies={"to-tor": EXPORT}, advertise=ADVERTISE).up()
    wait_for(lambda: pair.tor.has(VIP, POD4), what="the VIP and the pod CIDR at the peer")
    route = pair.tor.routes("ipv4")[VIP]
    assert route["as_path"] == [NODE_AS] * 3 and route["med"] == 77, route
    if kind != "frr":
        assert sorted(route["communities"]) == ["65100:8", "65100:9"], route
    assert pair.tor.routes("ipv4")[POD4]["as_path"] == [NODE_AS]
    assert pair.tor.has_none(POD6)


@cases(*KINDS)
@feature("Policy: reload without a reset")
def test_a_reload_applies_a_policy_to_the_running_session(lab, kind):
    # OpenBGPD up to 7.7 offers route refresh and drops the requests: without the capability we need none.
    neighbor = {"extra": ("announce refresh no",)} if kind == "openbgpd" else {}
    pair = Pair(lab, kind, peer={"import": "from-tor", "export": "to-tor"}, neighbor=neighbor,
                policies={"from-tor": IMPORT, "to-tor": EXPORT}, advertise=ADVERTISE).up()
    underlay = pair.underlay
    pair.learn(FAR4)
    pair.tor.announce(OTHER4)
    wait_for(lambda: pair.tor.has(VIP, POD4), what="the VIP and the pod CIDR at the peer")
    wait_for(lambda: path(underlay, OTHER4), what="the rejected route")

    accept = [{"match": {"prefix": ["0.0.0.0/0 le 32"]}, "set": {"local-pref": 90}, "then": "accept"}]
    out = [{"match": {"source": "vip"}, "set": {"med": 78}, "then": "accept"}, {"match": {"source": "pod-cidr"}, "then": "accept"}]
    reload(underlay, policies={"from-tor": accept, "to-tor": out})
    wait_for(lambda: underlay.installed(OTHER4), what="what was rejected, in the kernel")
    wait_for(lambda: path(underlay, FAR4).get("locPrf") == 90, what="the other local preference")
    far = path(underlay, FAR4)
    assert far["aspath"]["string"] == str(TOR_AS) and "community" not in far, far
    wait_for(lambda: pair.tor.routes("ipv4")[VIP]["med"] == 78, what="the other MED at the peer")
    wait_for(lambda: pair.tor.has(POD6), what="the IPv6 pod CIDR at the peer")
    assert pair.tor.routes("ipv4")[VIP]["as_path"] == [NODE_AS]

    reload(underlay, policies={"from-tor": [], "to-tor": out[:1]})
    wait_for(lambda: underlay.gone(OTHER4, FAR4), what="nothing of the peer in the kernel")
    wait_for(lambda: pair.tor.has_none(POD4, POD6), what="pod CIDRs gone at the peer")
    assert pair.tor.has(VIP)

    underlay.config["peers"][0].pop("import")
    reload(underlay)
    wait_for(lambda: underlay.installed(OTHER4, FAR4), what="everything, without a policy")
    assert "locPrf" not in path(underlay, FAR4)
    assert sessions(underlay) == [1], "a session was reset"


@cases()
@feature("Policy: peer without route refresh", peer="bird")
def test_what_a_peer_without_refresh_sent_is_judged_again_from_what_is_kept(lab):
    pair = Pair(lab, "bird", peer={"import": "from-tor"}, policies={"from-tor": IMPORT},
                neighbor={"extra": ("enable route refresh off;",)}).up()
    underlay = pair.underlay
    pair.learn(FAR4)
    assert "routeRefresh" not in underlay.neighbor()["neighborCapabilities"] or \
        underlay.neighbor()["neighborCapabilities"]["routeRefresh"] == "advertised"
    received = underlay.ctl(f"show bgp neighbors {pair.theirs} received-routes")["receivedRoutes"][FAR4]
    assert "locPrf" not in received and received["path"] == str(TOR_AS), received
    for pref in (90, 91):
        reload(underlay, policies={"from-tor": [{"set": {"local-pref": pref}, "then": "accept"}]})
        wait_for(lambda: path(underlay, FAR4).get("locPrf") == pref, what=f"local preference {pref}")
        assert path(underlay, FAR4)["aspath"]["string"] == str(TOR_AS)
    assert sessions(underlay) == [1]


@cases()
@feature("Policy: communities of the peer", peer="exabgp")
def test_conditions_look_at_what_the_peer_attached(lab):
    rules = [
        {"match": {"community": ["65001:666"]}, "then": "reject"},
        {"match": {"community": ["65001:1:*", "rt:65001:*"]}, "set": {"community-remove": ["65001:1:*", "rt:*"]}, "then": "next"},
        {"match": {"community": ["65001:*"], "as-path": "_64999_"}, "set": {"local-pref": 42}, "then": "accept"},
        {"match": {"next-hop": "10.0.0.0/8"}, "then": "accept"},
    ]
    pair = Pair(lab, "exabgp", peer={"import": "p"}, policies={"p": rules}).up()
    pair.tor.announce(FAR4, attributes="community [ 65001:5 ] large-community [ 65001:1:9 ] "
                                       f"extended-community [ target:65001:7 ] as-path [ {TOR_AS} 64999 ]")
    pair.tor.announce(OTHER4, attributes="community [ 65001:666 ]")
    wait_for(lambda: path(pair.underlay, FAR4) and path(pair.underlay, OTHER4), what="both routes")
    far = path(pair.underlay, FAR4)
    assert far["locPrf"] == 42 and far["community"]["string"] == "65001:5", far
    assert "largeCommunity" not in far and "extendedCommunity" not in far, far
    assert path(pair.underlay, OTHER4)["filteredReason"] == "policy p rule 1"


@cases()
@feature("Policy: explanation", peer="frr")
def test_show_policy_explains_a_prefix(lab):
    policies = {"from-tor": IMPORT, "to-tor": EXPORT, "idle": [{"match": {"as-path": "_1_"}, "then": "accept"}]}
    pair = Pair(lab, "frr", peer={"import": "from-tor", "export": "to-tor", "description": "tor-a"}, policies=policies,
                advertise=ADVERTISE).up()
    underlay = pair.underlay
    pair.learn(FAR4)
    listed = underlay.ctl("show policy")["policies"]
    assert listed["from-tor"] == {"rules": 3, "importOf": [pair.theirs], "exportTo": []}, listed
    assert listed["idle"]["importOf"] == [] == listed["idle"]["exportTo"]
    rules = underlay.ctl("show policy from-tor")["rules"]
    assert rules[0]["match"] == {"prefix": [OTHER4]} and rules[0]["then"] == "reject", rules
    assert rules[2]["set"]["local-pref"] == 250 and rules[2]["set"]["community-add"] == ["65100:1", "65100:2:3"]
    text = underlay.command("show policy from-tor")
    assert f"import of {pair.theirs}" in text and "no rule decides: reject" in text

    pair.tor.announce(OTHER4)
    wait_for(lambda: path(underlay, OTHER4), what="the rejected route")
    said = underlay.ctl(f"show policy from-tor {OTHER4}")
    (one,) = said["evaluations"]
    assert one["direction"] == "import" and one["peer"] == pair.theirs and one["result"] == "rejected", one
    assert one["rule"] == 1 and one["rules"] == [{"rule": 1, "applies": True, "then": "reject"}], one
    (one,) = underlay.ctl(f"show policy to-tor {VIP}")["evaluations"]
    assert one["direction"] == "export" and one["result"] == "accepted" and one["rule"] == 1, one
    assert one["changes"]["metric"] == {"from": "", "to": "77"}, one
    assert one["changes"]["path"]["to"] == f"{NODE_AS} {NODE_AS}", one
    (one,) = underlay.ctl(f"show policy to-tor {POD6}")["evaluations"]
    assert one["result"] == "rejected" and one["rule"] == 0, one
    assert [r["failed"] for r in one["rules"]] == ["source", "family"], one
    text = underlay.command(f"show policy to-tor {POD6}")
    assert "rule 1: the source is not vip" in text and "rejected, as no rule decides" in text, text
    # Nobody uses it: tried on what there is. Not in the table: by the prefix alone.
    said = underlay.ctl(f"show policy idle {FAR4}")
    assert not said["used"] and said["evaluations"][0]["rules"][0]["reason"] == "the AS path does not match _1_", said
    said = underlay.ctl("show policy from-tor 192.0.2.77/32")
    assert said["evaluations"] == [] and [r["applies"] for r in said["byPrefix"]] == ["no", "no", "depends"], said
    refused = underlay.ctl("show", "policy", "nobody", check=False, json_out=False)
    assert refused.returncode == 1 and "there is no policy `nobody`; `show policy` lists them" in refused.stderr, refused


@cases()
def test_own_prefixes_win_over_any_policy(lab):
    """A VIP that appears makes the learned path of it unusable at once, and its going brings the policy's result back."""
    rack = Rack(lab, keys={"import": "p"}, policies={"p": [{"set": {"local-pref": 7}, "then": "accept"}]})
    peer = rack.session()
    peer.send(bgp.update(attributes(), b"\x20\xc0\x00\x02\x09" + b"\x00" + b"\x10\x7f\x01"))
    wait_for(lambda: path(rack.underlay, "127.1.0.0/16"), what="all of it")
    assert path(rack.underlay, "192.0.2.9/32")["locPrf"] == 7
    assert "default route" in path(rack.underlay, "0.0.0.0/0")["filteredReason"]
    assert "martian" in path(rack.underlay, "127.1.0.0/16")["filteredReason"]
    rack.underlay.command("advertise 192.0.2.9/32")

    def learned():
        return next(p for p in rack.underlay.ctl("show bgp 192.0.2.9/32")["paths"] if p["peer"]["peerId"] != "(unspec)")

    wait_for(lambda: "own VIP" in learned().get("filteredReason", ""), what="the learned path refused")
    rack.underlay.command("withdraw 192.0.2.9/32")
    wait_for(lambda: "filteredReason" not in learned(), what="the learned path again")
    assert learned()["locPrf"] == 7
    # A rule that lists it means it; what must not be in the kernel never gets there.
    reload(rack.underlay, policies={"p": [{"match": {"prefix": ["0.0.0.0/0 le 32"]}, "then": "accept"}]})
    wait_for(lambda: "filteredReason" not in path(rack.underlay, "0.0.0.0/0"), what="the default route")
    wait_for(lambda: rack.underlay.installed("default"), what="the default route in the kernel")
    assert "martian" in path(rack.underlay, "127.1.0.0/16")["filteredReason"]
    rack.unharmed()
