"""What two sides agree on in their OPENs with real peers, how sessions end and what is said, and who may connect at all."""
import json
import socket
import struct
import threading

import rawbgp as bgp
from lab import never_during, wait_for
from rack import Quiet, Rack, attributes
from runner import cases, feature
from topology import FAR4, FAR6, NODE_AS, POD4, POD6, TOR_AS, Pair, prefixes
from underlay import Underlay, tor

ALL = [("frr",), ("bird",), ("gobgp",), ("exabgp",), ("openbgpd",)]


def caps(pair):
    return pair.underlay.neighbor()["neighborCapabilities"]


# Capabilities

@cases(*ALL)
@feature("Capabilities: multiprotocol, refresh, 4-octet AS")
def test_capabilities_are_shown(lab, kind):
    pair = Pair(lab, kind).up()
    got = caps(pair)
    both = "advertisedAndReceived"
    assert got["4byteAs"] == both, got
    assert got["routeRefresh"] == both or kind == "exabgp", got
    for family in ("ipv4Unicast", "ipv6Unicast"):
        assert got["multiprotocolExtensions"][family] == {both: True}, got
    text = pair.underlay.ctl(f"show bgp neighbors {pair.theirs}", json_out=False).stdout
    assert "4 Byte AS: advertised and received" in text, text


@cases(("frr", ()), ("bird", ("advertise hostname on;",)), ("gobgp", ()), ("openbgpd", ()))
@feature("Hostname")
def test_hostname(lab, kind, extra):
    pair = Pair(lab, kind, neighbor={"extra": extra}).up()
    mine = socket.gethostname()
    if kind == "openbgpd":  # has none, and is not troubled by ours
        assert "hostname" not in pair.underlay.neighbor()
        return
    theirs = pair.tor_node.name if kind == "frr" else mine
    assert pair.underlay.neighbor()["hostname"] == theirs, pair.underlay.neighbor()
    assert caps(pair)["hostName"]["advHostName"] == mine
    assert pair.underlay.summary()["peers"][pair.theirs]["hostname"] == theirs
    if kind == "frr":
        assert pair.tor.neighbor()["hostname"] == mine
        assert pair.tor.json("show bgp summary")["ipv4Unicast"]["peers"][pair.mine]["hostname"] == mine
    elif kind == "bird":
        assert f"Hostname name: {mine}" in pair.tor.birdc("show protocols all peer0").replace("Hostname: ", "Hostname name: ")


MANY = 6000  # host routes with one set of attributes: 30,000 octets, 8 ordinary UPDATEs at least


LONG = tuple(f"65000:{i}" for i in range(1100))  # communities: 4,400 octets of attributes


@cases(("frr", ()), ("bird", ("enable extended messages on;",)), ("exabgp", ("capability { extended-message enable; }",)))
@feature("Extended messages")
def test_extended_messages(lab, kind, extra):
    """RFC 8654: an UPDATE above 4096 octets from us, and one to us."""
    adds = "".join(f" bgp_community.add(({c.replace(':', ',')}));" for c in LONG)
    lines = [f"protocol static widest {{ ipv4; route {FAR4} unreachable {{{adds} }}; }}"]
    pair = Pair(lab, kind, neighbor={"extra": extra}, tor_options={"lines": lines} if kind == "bird" else None,
                networks=prefixes(MANY) if kind == "frr" else (),
                advertise={"vips": [{"prefix": f"10.77.{i // 256}.{i % 256}/32"} for i in range(MANY)]}).up()
    assert caps(pair)["extendedMessage"] == "advertisedAndReceived", caps(pair)
    wait_for(lambda: len(pair.tor.routes("ipv4")) >= MANY, 20, "all of ours at the peer")
    sent = pair.underlay.neighbor()["messageStats"]["updatesSent"]
    assert sent <= 7, f"{sent} UPDATEs, two of them End-of-RIB, for {MANY} routes"
    if kind == "frr":  # a line of its configuration is too short for so many communities, but it packs well
        wait_for(lambda: len(pair.underlay.kernel()) >= MANY, what="all of theirs in the kernel")
        got = pair.underlay.neighbor()["messageStats"]["updatesRecv"]
        assert got <= 7, f"{got} UPDATEs, two of them End-of-RIB, for {MANY} routes"
        return
    if kind == "exabgp":
        pair.tor.announce(FAR4, attributes=f"community [ {' '.join(LONG)} ]")
    wait_for(lambda: pair.underlay.installed(FAR4), what="a route with 4,400 octets of communities")
    assert pair.underlay.neighbor()["messageStats"]["treatAsWithdraw"] == 0


def test_extended_messages_need_both_sides(lab):
    """BIRD does not have them unless told: nothing above 4096 octets goes there."""
    pair = Pair(lab, "bird", advertise={"vips": [{"prefix": f"10.77.{i // 256}.{i % 256}/32"} for i in range(MANY)]}).up()
    assert caps(pair)["extendedMessage"] == "advertised"
    wait_for(lambda: len(pair.tor.routes("ipv4")) >= MANY)
    assert pair.underlay.neighbor()["connectionsDropped"] == 0


@cases(("frr", ("dont-capability-negotiate",), False), ("bird", ("enable as4 off;",), True),
       ("exabgp", ("capability { asn4 disable; }",), True), ("openbgpd", ("announce as-4byte no",), True))
@feature("2-octet AS peers (AS4 off)")
def test_peer_without_four_octet_as(lab, kind, extra, multiprotocol):
    """RFC 6793: we are AS_TRANS to it, and our number comes back in AS4_PATH from whoever passes it on."""
    ours = 4200000001
    seen = {"bird": "external", "exabgp": 23456}.get(kind, ours)  # what the peer takes for our number
    pair = Pair(lab, kind, node_as=seen, neighbor={"extra": extra}, router={"asn": ours}).up()
    got = caps(pair)
    assert got.get("4byteAs") == "advertised", got
    assert pair.underlay.neighbor()["localAs"] == ours and pair.underlay.neighbor()["remoteAs"] == TOR_AS
    wait_for(lambda: pair.tor.has(POD4), what="our routes at the peer")
    assert pair.tor.routes("ipv4")[POD4]["as_path"] in ([23456], [ours]), pair.tor.routes("ipv4")[POD4]
    pair.learn(FAR4)
    assert pair.underlay.rib()[FAR4][0]["path"] == str(TOR_AS)
    if multiprotocol:
        pair.learn(FAR6)
    else:
        assert "notInUse" in pair.underlay.neighbor()["addressFamilyInfo"]["ipv6Unicast"]


ROLES = {"frr": "local-role {}", "bird": "local role {};", "openbgpd": "announce policy {}"}
SPELT = {("bird", "rs-server"): "rs_server", ("bird", "rs-client"): "rs_client", ("openbgpd", "rs-server"): "rs"}


def role_line(kind, role):
    return ROLES[kind].format(SPELT.get((kind, role), role))


@cases(*[(kind, ours, theirs) for kind in ROLES for ours, theirs in (
    ("customer", "provider"), ("provider", "customer"), ("peer", "peer"), ("rs-client", "rs-server"),
    ("rs-server", "rs-client"))])
@feature("Roles (RFC 9234)")
def test_roles(lab, kind, ours, theirs):
    pair = Pair(lab, kind, peer={"role": ours}, neighbor={"extra": (role_line(kind, theirs),)}).up()
    info = pair.underlay.neighbor()
    assert (info["localRole"], info["remoteRole"]) == (ours, theirs), info
    assert caps(pair)["role"] == "advertisedAndReceived"
    if kind == "frr":
        assert (pair.tor.neighbor()["localRole"], pair.tor.neighbor()["remoteRole"]) == (theirs, ours)


@cases(*[(kind,) for kind in ROLES])
@feature("Roles (RFC 9234)")
def test_roles_that_do_not_fit(lab, kind):
    pair = Pair(lab, kind, peer={"role": "customer"}, neighbor={"extra": (role_line(kind, "customer"),)}).start()
    wait_for(lambda: "Role Mismatch" in pair.underlay.neighbor().get("notEstablishedBecause", ""), what="the reason is shown")
    never_during(pair.underlay.established, 2, "two customers have a session")
    assert pair.underlay.neighbor()["lastErrorCodeSubcode"] == "020B"


@cases(*[(kind,) for kind in ROLES])
@feature("Roles (RFC 9234)")
def test_role_on_our_side_only(lab, kind):
    pair = Pair(lab, kind, peer={"role": "customer"}).up()
    info = pair.underlay.neighbor()
    assert (info["localRole"], info["remoteRole"]) == ("customer", "undefined"), info


@feature("Capabilities in any packing (RFC 9072)")
def test_capabilities_in_any_packing(lab):
    """RFC 5492 section 4, RFC 9072: many parameters, one, the extended form; what nobody knows is ignored."""
    mine = bgp.as4(TOR_AS)
    unknown = bytes((200, 3, 1, 2, 3)) + bytes((130, 0))
    together = bgp.MP4 + unknown + mine
    extended = bytes((2,)) + struct.pack(">H", len(together)) + together
    long = bytes((200, 250)) + bytes(250) + together
    long = bytes((2,)) + struct.pack(">H", len(long)) + long
    opens = [bgp.parameters(bgp.MP4, unknown, mine), bgp.parameters(together), bgp.parameters(mine, bgp.MP4, bgp.MP4),
             bytes((255,)) + struct.pack(">H", len(extended)) + extended, bytes((255,)) + struct.pack(">H", len(long)) + long]
    rack = Rack(lab, len(opens))
    sessions = []
    for i, params in enumerate(opens):
        sessions.append(rack.session(i, params=params, params_len=min(len(params), 255)))
        wait_for(lambda i=i: rack.underlay.established(rack.addresses[i]), what=f"OPEN {i}")
        assert rack.info(i)["neighborCapabilities"]["multiprotocolExtensions"]["ipv4Unicast"] == {"advertisedAndReceived": True}
    rack.unharmed()


MORE_FAMILIES = ("ipv4 multicast", "ipv6 multicast", "vpn4 mpls", "vpn6 mpls", "flow4", "flow6")


@feature("Capabilities in any packing (RFC 9072)", peer="bird")
def test_a_router_with_more_to_say_than_255_octets(lab):
    """BIRD with every family it knows and a long name: its OPEN takes the extended form."""
    tables = [f"{kind} table {kind}_here;" for kind in ("vpn4", "vpn6", "flow4", "flow6")]
    own = lambda family: f" table {family.split()[0]}_here;" if family[0] in "vf" else f" table master{family[3]};"
    extra = [f"{family} {{{own(family)} add paths on; import none; export none; }};" for family in MORE_FAMILIES]
    pair = Pair(lab, "bird", neighbor={"extra": (*extra, "advertise hostname on;", "long lived graceful restart on;")},
                tor_options={"lines": (f'hostname "{"x" * 200}";', *tables)}).up()
    pair.learn(FAR4, FAR6)
    row = pair.underlay.neighbor()
    assert row["hostname"].startswith("xxxx"), row


def options(body):
    """The capability codes of an OPEN's body."""
    params, codes = body[10:], []
    while params:
        value = params[2:2 + params[1]]
        while params[0] == 2 and value:
            codes.append(value[0])
            value = value[2 + value[1]:]
        params = params[2 + params[1]:]
    return codes


@cases((4, []), (7, [1, 65]))
@feature("Capabilities refused")
def test_peer_that_refuses_our_capabilities(lab, subcode, left):
    """RFC 5492 section 3: the next attempt goes without; and tells the operator."""
    rack = Rack(lab, 1, keys={"families": ["ipv4"], "idle-hold-time": "100ms"})
    first = rack.speaker().connect("10.9.0.1")
    assert {1, 2, 6, 65, 73} <= set(options(first.expect(bgp.OPEN)))
    first.send(bgp.notification(2, subcode))
    first.close()
    wait_for(lambda: rack.info()["bgpState"] != "OpenSent", what="the first attempt is over")
    again = rack.speaker().connect("10.9.0.1")
    assert options(again.expect(bgp.OPEN)) == left
    again.open(params=b"").send(bgp.keepalive())
    wait_for(rack.underlay.established, what="a session with less")
    assert rack.info()["fewerCapabilitiesOffered"] is True
    assert "the peer refuses our capabilities" in rack.underlay.process.output()
    rack.unharmed()


# Whose AS

@cases(("frr",), ("bird",), ("openbgpd",))
@feature("local-asn")
def test_local_asn(lab, kind):
    """To this peer we are local-asn and nothing else; both numbers are loops."""
    pair = Pair(lab, kind, node_as=64999, router={"asn": NODE_AS}, peer={"local_asn": 64999}).up()
    assert pair.underlay.neighbor()["localAs"] == 64999
    wait_for(lambda: pair.tor.has(POD4, POD6))
    assert pair.tor.routes("ipv4")[POD4]["as_path"] == [64999]
    pair.learn(FAR4)
    assert pair.underlay.rib()[FAR4][0]["path"] == str(TOR_AS)


@cases(("frr",), ("bird",))
@feature("local-asn")
def test_local_asn_makes_a_peer_internal(lab, kind):
    pair = Pair(lab, kind, node_as=TOR_AS, router={"asn": NODE_AS}, peer={"local_asn": TOR_AS, "asn": "internal"}).up()
    info = pair.underlay.neighbor()
    assert info["nbrInternalLink"] is True and info["remoteAs"] == TOR_AS, info
    wait_for(lambda: pair.tor.has(POD4))
    assert pair.tor.routes("ipv4")[POD4]["as_path"] == []


def test_either_of_our_numbers_is_a_loop(lab):
    rack = Rack(lab, 1, keys={"local-asn": 64999})
    raw = rack.session()
    for i, path in enumerate(((TOR_AS, 64999), (TOR_AS, NODE_AS), (TOR_AS, 65009))):
        raw.send(bgp.update(attributes(path=path), bgp.nlri(f"198.51.100.{i}/32")))
    wait_for(lambda: rack.underlay.installed("198.51.100.2/32"))
    assert rack.underlay.gone("198.51.100.0/32", "198.51.100.1/32")


@cases(*[(kind, how) for (kind,) in ALL for how in ("external", "internal")])
@feature("asn: external, internal")
def test_asn_by_kind(lab, kind, how):
    pair = Pair(lab, kind, tor_as=TOR_AS if how == "external" else NODE_AS, peer={"asn": how}).up()
    info = pair.underlay.neighbor()
    assert info["remoteAs"] == (TOR_AS if how == "external" else NODE_AS), info
    assert info.get("nbrInternalLink", False) == (how == "internal")
    assert pair.underlay.summary()["peers"][pair.theirs]["remoteAs"] == info["remoteAs"]
    pair.learn(FAR4)


# Timers

@cases(("frr",), ("bird",), ("exabgp",), ("openbgpd",))
@feature("Hold time 0")
def test_hold_time_0(lab, kind):
    """No keepalives but the one that ends the OPEN exchange, and no hold timer, on a session that works."""
    pair = Pair(lab, kind, peer={"hold_time": "0s"}).up()
    info = pair.underlay.neighbor()
    assert info["bgpTimerHoldTimeMsecs"] == 0 and info["bgpTimerKeepAliveIntervalMsecs"] == 0, info
    never_during(lambda: not pair.underlay.established() or pair.underlay.neighbor()["messageStats"]["keepalivesSent"] != 1,
                 4, "something other than one keepalive")
    pair.learn(FAR4)


@cases(("bird",), ("frr",))
@feature("Hold time 0")
def test_hold_time_0_of_the_peer(lab, kind):
    pair = Pair(lab, kind, neighbor={"hold": 0}).up()
    assert pair.underlay.neighbor()["bgpTimerHoldTimeMsecs"] == 0
    never_during(lambda: not pair.underlay.established(), 2, "the session ends")


@feature("Send hold timer (RFC 9687)")
def test_peer_that_takes_nothing_is_dropped(lab):
    """RFC 9687: it goes on talking, and reads nothing; its routes go with the session."""
    rack = Rack(lab, 3, fib={"install": False}, keys={"export": "all", "send-hold-time": "3s"})
    quiet, deaf, big = Quiet(rack, 0), rack.session(1, receive_buffer=4096), rack.session(2)
    deaf.send(bgp.update(attributes(hop="10.9.1.2"), bgp.nlri(FAR4)))
    rack.wait_routes(1, 1)
    threading.Thread(target=big.hung_up, args=(60,), daemon=True).start()
    assert rack.info(1)["bgpTimerSendHoldTimeMsecs"] == 3000
    never_during(lambda: not rack.underlay.established(rack.addresses[1]), 4, "dropped, though nothing waits for it")
    big.send(*[bgp.update(attributes(hop="10.9.1.3"), piece) for piece in bgp.host_routes(200000)])
    alive = threading.Event()

    def talk():
        while not alive.wait(0.5):
            try:
                deaf.send(bgp.keepalive())
            except OSError:
                return
    threading.Thread(target=talk, daemon=True).start()
    wait_for(lambda: not rack.underlay.established(rack.addresses[1]), 30, "the send hold timer expires")
    alive.set()
    info = rack.info(1)
    assert info["lastErrorCodeSubcode"] == "0800" and info["lastNotificationReason"] == "Send Hold Timer Expired", info
    assert "send hold timer expired" in info["lastReset"], info
    wait_for(lambda: "10.9.1.2" not in rack.underlay.ctl("show", "bgp", FAR4, json_out=False, check=False).stdout,
             what="its routes are gone")
    quiet.was_served()
    assert rack.underlay.established(rack.addresses[2])
    rack.unharmed()


@feature("Back-off for a flapping peer")
def test_flapping_peer_waits_longer_and_longer(lab):
    """idle-hold-time doubles up to idle-hold-max; a clear starts anew."""
    rack = Rack(lab, 1, keys={"idle-hold-time": "200ms", "idle-hold-max": "30s"})
    pauses = []
    for _ in range(7):
        rack.speaker().connect("10.9.0.1", wait=60).open(asn=NODE_AS).expect_notification(2, 2)
        wait_for(lambda: "nextStartTimerDueInMsecs" in rack.info() or rack.info()["bgpState"] != "Idle", what="a pause")
        pauses.append(rack.info().get("nextStartTimerDueInMsecs", 0))
    assert pauses[-1] > 4 * max(pauses[0], 100) and pauses[-1] <= 30000, pauses
    rack.underlay.command(f"clear bgp {rack.addresses[0]}")
    rack.session()


# The end

@cases(("ipv4",), ("ipv6",))
@feature("Own address removed: session ends at once", peer="frr")
def test_session_ends_with_its_local_address(lab, transport):
    pair = Pair(lab, "frr", transport, peer={"hold_time": "90s"}, neighbor={"hold": 90}).up()
    pair.learn(FAR4)
    row = next(a for link in pair.node.ip_json("addr", "show") for a in link["addr_info"] if a["local"] == pair.mine)
    pair.node.ip("addr", "del", f"{pair.mine}/{row['prefixlen']}", "dev", pair.link.dev_a)
    wait_for(lambda: not pair.underlay.established(), 5, "down long before the hold time")
    assert pair.underlay.neighbor()["lastReset"] == f"our address of the session is gone: {pair.mine}"
    pair.node.ip("addr", "add", f"{pair.mine}/{row['prefixlen']}", "dev", pair.link.dev_a, *(
        ["nodad"] if transport == "ipv6" else []))
    pair.tor.vtysh("clear bgp *")
    pair.wait_up()


@cases(*ALL)
@feature("Shutdown message: sent")
def test_shutdown_message_to(lab, kind):
    text = 'rack 7: "left" side, until 5' if kind != "openbgpd" else "rack 7: left"  # its JSON forgets to quote
    pair = Pair(lab, kind).up()
    pair.underlay.ctl("neighbor", pair.theirs, "shutdown", "message", text, json_out=False)
    wait_for(lambda: not pair.tor.established(pair.mine), what="down at the peer")
    if kind == "frr":
        said = "".join(p.output() for p in pair.tor.processes)  # its JSON is about our refusals already
        assert text.replace('"', "\\x22") in said, said
    elif kind == "bird":
        said = pair.tor.birdc("show protocols all peer0") + pair.tor.processes[0].output()
        assert text in said, said
    elif kind == "openbgpd":
        assert text in json.dumps(pair.tor.neighbor()) or text in pair.tor.processes[0].output() or \
            text in pair.tor.bgpctl("show", "neighbor", pair.mine), pair.tor.neighbor()
    info = pair.underlay.neighbor()
    assert info["shutdownMessage"] == text and info["adminShutDown"] is True, info
    assert info["lastErrorCodeSubcode"] == "0602"
    assert info["lastNotificationReason"] == "Cease/Administrative Shutdown"


@cases(("frr",), ("bird",), ("gobgp",), ("openbgpd",))
@feature("Shutdown message: received")
def test_shutdown_message_from(lab, kind):
    pair, text = Pair(lab, kind).up(), "power work"
    if kind == "frr":
        pair.tor.configure(f"neighbor {pair.mine} shutdown message {text}")
    elif kind == "bird":
        pair.tor.node.run("birdc", "-s", pair.tor.file("bird.ctl"), "disable", "peer0", f'"{text}"')
    elif kind == "gobgp":
        pair.tor.gobgp("neighbor", pair.mine, "shutdown", "--reason", text)
    else:
        pair.tor.bgpctl("neighbor", pair.mine, "down", text)
    wait_for(lambda: not pair.underlay.established(), what="down here")
    info = pair.underlay.neighbor()
    assert info["lastShutdownDescription"] == text, info
    assert info["lastErrorCodeSubcode"] == "0602" and info["lastNotificationReason"] == "Cease/Administrative Shutdown"
    shown = pair.underlay.command(f"show bgp neighbors {pair.theirs}")
    assert "Administrative Shutdown" in " ".join(shown.split()) and text in shown, shown


# Who may connect: GTSM (RFC 5082)

def knock(node, source, target, ttl):
    """A connection with that TTL: True when the other side begins to talk within two seconds."""
    six = ":" in source
    with bgp.socket_in(node, socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(*((socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if six else (socket.IPPROTO_IP, socket.IP_TTL)), ttl)
        sock.bind((source, 0))
        sock.settimeout(2)
        try:
            sock.connect((target, 179))
            return sock.recv(19)[18:19] == b"\1"
        except (socket.timeout, ConnectionResetError):
            return False


def two_hops(lab, hops, family):
    """A node, a router, and a peer behind it with GTSM of so many hops."""
    node, middle, far = lab.node("node"), lab.node("middle").forward(), lab.node("far")
    near, beyond = lab.link(node, middle), lab.link(middle, far)
    if family == "ipv4":
        mine, router, theirs, back = near.a4, near.b4, beyond.b4, beyond.a4
    else:
        mine, router, theirs, back = near.a6, near.b6, beyond.b6, beyond.a6
    node.ip("route", "add", f"{theirs}/{32 if family == 'ipv4' else 128}", "via", router)
    far.ip("route", "add", f"{mine}/{32 if family == 'ipv4' else 128}", "via", back)
    peer = tor(theirs, asn=NODE_AS, ttl_security=hops, families=[family], passive=True)
    return Underlay(node, [peer], advertise={"pod-cidrs": [POD4, POD6]}).start(), node, far, mine, theirs


@cases(*[(family, hops) for family in ("ipv4", "ipv6") for hops in (1, 2)])
def test_gtsm_from_two_hops_away(lab, family, hops):
    """The first packet is checked, before anything is said, and all that follow."""
    underlay, node, far, mine, theirs = two_hops(lab, hops, family)
    assert knock(far, theirs, mine, 255) == (hops == 2)
    assert not knock(far, theirs, mine, 64)
    wait_for(lambda: underlay.state() == "Active", what="nobody has got anywhere")
    assert underlay.neighbor()["messageStats"]["opensSent"] == (hops == 2)


@cases((True,), (False,))
def test_gtsm_is_for_its_own_peer_alone(lab, changed):
    """One listener serves peers with and without; a reload turns it on for the next connection."""
    rack = Rack(lab, 2, start=False)
    rack.underlay.config["peers"][0]["ttl-security"] = 1
    if changed:
        del rack.underlay.config["peers"][0]["ttl-security"]
    rack.underlay.start()
    if changed:
        assert knock(rack.tor, rack.addresses[0], "10.9.0.1", 64)
        rack.underlay.config["peers"][0]["ttl-security"] = 1
        rack.underlay.write()
        rack.underlay.command("reload")
    assert not knock(rack.tor, rack.addresses[0], "10.9.0.1", 254)
    assert knock(rack.tor, rack.addresses[0], "10.9.0.1", 255)
    assert knock(rack.tor, rack.addresses[1], "10.9.0.1", 64)


@cases(("frr", "ipv4"), ("frr", "ipv6"), ("bird", "ipv4"), ("bird", "ipv6"), ("gobgp", "ipv4"), ("openbgpd", "ipv4"))
@feature("GTSM")
def test_gtsm_with_the_peer_connecting(lab, kind, transport):
    pair = Pair(lab, kind, transport, peer={"ttl_security": 1, "passive": True}, neighbor={"ttl_security": 1}).up()
    assert pair.underlay.neighbor()["portLocal"] == 179
    pair.learn(FAR4)
