/* The show commands over a real table: what stands in the text, the names and types in the JSON, bounded
 * steps. */
#include <stdlib.h>

#include "exec_fixture.h"

/* 10.1.0.0/24 over both ToRs, 10.2.0.0/16 from one, 10.3.0.0/16 refused, one prefix of ours. */
static void some_routes(void)
{
    fx_nexthop(&fx, 1, true, 0);
    fx_nexthop(&fx, 2, true, 0);
    fx_update(&fx, peers[0].rib, "10.1.0.0/24", fx_attr_med(&fx, 1, 65001, 2, 50));
    fx_update(&fx, peers[1].rib, "10.1.0.0/24", fx_attr_med(&fx, 2, 65002, 2, 50));
    fx_update(&fx, peers[0].rib, "10.2.0.0/16", fx_attr(&fx, 1, 16));
    fx.verdict = IMPORT_OWN_POD_CIDR;
    fx_update(&fx, peers[0].rib, "10.3.0.0/16", fx_attr(&fx, 1, 1));
    fx.verdict = IMPORT_OK;
    fx_originate(&fx, "10.244.7.0/24", ORIGIN_KIND_POD_CIDR);
    fx_nexthop(&fx, 1, true, 0);
    fx_nexthop(&fx, 2, true, 0);
    fx_work(&fx);
}

static void advertise_to(unsigned i)
{
    static uint8_t bytes[65536];
    const struct update_export x = {.ebgp = true,
                                    .as4 = true,
                                    .local_as = 64512,
                                    .nexthop = {peers[i].info.nexthop[FAM_IPV4]},
                                    .max_len = BGP_MAX_LEN};
    const bool family[FAM_COUNT] = {true, false};
    bool more = true;
    CU_ASSERT_EQUAL_FATAL(adjout_start(peers[i].out, &x, EXPORT_ORIGINATED, family), 0);
    while (more) {
        struct wire_writer w = wire_writer(bytes, sizeof bytes);
        adjout_fill(peers[i].out, &w, &more);
    }
}

static void table_has_codes_next_hops_and_paths(void)
{
    begin();
    some_routes();
    run("show bgp ipv4");
    CU_ASSERT_EQUAL(status, 0);
    expect_output("    Network           Next Hop            Metric LocPrf Path\n");
    expect_output(" *> 10.1.0.0/24       10.0.0.1                50        65001 64601 i\n");
    expect_output(" *=                   10.0.0.2                50        65002 64601 i\n");
    expect_output(" *> 10.244.7.0/24     0.0.0.0                           i\n");
    expect_output("\nDisplayed 3 routes and 4 total paths\n");
    CU_ASSERT_PTR_NULL(strstr(output, "10.3.0.0"));
    expect_tidy();
    run("show bgp");
    expect_output("For address family: IPv6 Unicast\nNo BGP prefixes displayed\n");
    expect_tidy();
    end();
}

static void table_json_is_frrs(void)
{
    begin();
    some_routes();
    json_t *j = run_json("show bgp ipv4 unicast");
    CU_ASSERT_EQUAL(json_integer_value(at(j, "vrfId")), 0);
    CU_ASSERT_STRING_EQUAL(json_string_value(at(j, "routerId")), "10.0.0.11");
    CU_ASSERT_EQUAL(json_integer_value(at(j, "localAS")), 64512);
    CU_ASSERT_EQUAL(json_integer_value(at(j, "totalRoutes")), 3);
    CU_ASSERT_EQUAL(json_integer_value(at(j, "totalPaths")), 4);
    json_t *p = at(j, "routes|10.1.0.0/24|0");
    CU_ASSERT_TRUE(json_is_true(at(p, "valid")));
    CU_ASSERT_TRUE(json_is_true(at(p, "bestpath")));
    CU_ASSERT_TRUE(json_is_true(at(p, "multipath")));
    CU_ASSERT_TRUE(json_is_string(at(p, "selectionReason")));
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "pathFrom")), "external");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "prefix")), "10.1.0.0");
    CU_ASSERT_EQUAL(json_integer_value(at(p, "prefixLen")), 24);
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "network")), "10.1.0.0/24");
    CU_ASSERT_EQUAL(json_integer_value(at(p, "metric")), 50);
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "peerId")), "10.0.0.1");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "path")), "65001 64601");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "origin")), "IGP");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "nexthops/0/ip")), "10.0.0.1");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "nexthops/0/afi")), "ipv4");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "nexthops/0/interface")), "eth0");
    CU_ASSERT_TRUE(json_is_true(at(p, "nexthops/0/used")));
    CU_ASSERT_PTR_NULL(at(j, "routes|10.1.0.0/24|1|bestpath"));
    CU_ASSERT_STRING_EQUAL(json_string_value(at(j, "routes|10.244.7.0/24|0|peerId")), "(unspec)");
    json_decref(j);
    j = run_json("show bgp");
    CU_ASSERT_EQUAL(json_integer_value(at(j, "ipv4Unicast/totalRoutes")), 3);
    CU_ASSERT_EQUAL(json_integer_value(at(j, "ipv6Unicast/totalRoutes")), 0);
    json_decref(j);
    end();
}

static void the_backup_of_a_prefix_is_shown(void)
{
    begin();
    some_routes();
    fx_update(&fx, peers[0].rib, "10.4.0.0/16", fx_attr(&fx, 1, 1));
    fx_update(&fx, peers[1].rib, "10.4.0.0/16", fx_attr(&fx, 2, 2));
    run("show bgp 10.4.0.0/16");
    expect_output("Origin IGP, valid, external, backup\n");
    json_t *j = run_json("show bgp 10.4.0.0/16");
    CU_ASSERT_TRUE(json_is_true(at(j, "paths/1/backup")));
    CU_ASSERT_PTR_NULL(at(j, "paths/0/backup"));
    json_decref(j);
    end();
}

static void one_prefix_in_detail(void)
{
    begin();
    some_routes();
    run("show bgp 10.1.0.77"); /* an address: the longest match */
    expect_output("BGP routing table entry for 10.1.0.0/24\nPaths: (2 available, best #1)\n");
    expect_output("    10.0.0.2 from 10.0.0.2 (0.0.0.2)\n");
    expect_output("Origin IGP, metric 50, valid, external, multipath, best (");
    expect_output("      Not the best: higher router ID; used beside it (multipath)\n");
    expect_tidy();
    run("show bgp 10.3.0.0/16");
    expect_output("no best path");
    expect_output("  In the kernel: no, there is no usable path\n");
    expect_output("      Not used, refused by the import: ");
    run("show bgp 10.9.0.0/16");
    expect_error(STATUS_REFUSED, "10.9.0.0/16: not in the table");
    run("show bgp 10.1.0.1/24");
    expect_error(STATUS_USAGE, "did you mean 10.1.0.0/24?");
    run("show bgp 10.1.0.0/40");
    expect_error(STATUS_USAGE, "neither a prefix nor an address");
    run("show bgp ipv6 10.1.0.0/24");
    expect_error(STATUS_USAGE, "is not IPv6");
    json_t *j = run_json("show bgp 10.1.0.0/24");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(j, "prefix|")), "10.1.0.0/24");
    CU_ASSERT_EQUAL(json_integer_value(at(j, "pathCount")), 2);
    CU_ASSERT_TRUE(json_is_object(at(j, "advertisedTo")));
    CU_ASSERT_TRUE(json_is_false(at(j, "fibInstalled")));
    CU_ASSERT_STRING_EQUAL(json_string_value(at(j, "paths/0/aspath/string")), "65001 64601");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(j, "paths/0/aspath/segments/0/type")), "as-sequence");
    CU_ASSERT_EQUAL(json_integer_value(at(j, "paths/0/aspath/segments/0/list/1")), 64601);
    CU_ASSERT_EQUAL(json_integer_value(at(j, "paths/0/aspath/length")), 2);
    CU_ASSERT_TRUE(json_is_true(at(j, "paths/0/bestpath/overall")));
    CU_ASSERT_STRING_EQUAL(json_string_value(at(j, "paths/0/peer/peerId")), "10.0.0.1");
    CU_ASSERT_PTR_NULL(at(j, "paths/0/peer/hostname"));
    json_decref(j);
    peers[0].info.hostname = "tor-a";
    peers[0].info.interface = "eth0";
    j = run_json("show bgp 10.1.0.0/24");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(j, "paths/0/peer/hostname")), "tor-a");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(j, "paths/0/peer/interface")), "eth0");
    json_decref(j);
    end();
}

static void what_a_peer_sent_and_what_of_it_was_refused(void)
{
    begin();
    some_routes();
    run("show bgp neighbors tor-a received-routes");
    expect_output(" *> 10.1.0.0/24 ");
    expect_output("F   10.3.0.0/16 ");
    expect_output("Total number of prefixes 3");
    CU_ASSERT_PTR_NULL(strstr(output, "10.0.0.2"));
    expect_tidy();
    run("show bgp neighbors tor-a filtered-routes");
    expect_output("refused: ");
    expect_output("Total number of prefixes 1\n");
    run("show bgp neighbors tor-b filtered-routes");
    expect_output("No BGP prefixes displayed\n");
    json_t *j = run_json("show bgp neighbors tor-a received-routes");
    CU_ASSERT_EQUAL(json_integer_value(at(j, "totalPrefixCounter")), 3);
    CU_ASSERT_EQUAL(json_integer_value(at(j, "filteredPrefixCounter")), 1);
    CU_ASSERT_STRING_EQUAL(json_string_value(at(j, "receivedRoutes|10.1.0.0/24|nextHop")), "10.0.0.1");
    json_decref(j);
    run("show bgp neighbors tor-x received-routes");
    expect_error(STATUS_REFUSED, "no peer `tor-x`; did you mean `tor-");
    end();
}

static void what_a_peer_has_from_us(void)
{
    begin();
    some_routes();
    advertise_to(0);
    run("show bgp neighbors 10.0.0.1 advertised-routes");
    expect_output(" *> 10.244.7.0/24     10.0.0.1 ");
    expect_output("Total number of prefixes 1\n");
    run("show bgp 10.244.7.0/24");
    expect_output("  Advertised to peers:\n    10.0.0.1 tor-a\n");
    expect_output("  In the kernel: no, it is originated here\n");
    json_t *j = run_json("show bgp neighbors tor-a advertised-routes");
    CU_ASSERT_EQUAL(json_integer_value(at(j, "totalPrefixCounter")), 1);
    CU_ASSERT_STRING_EQUAL(json_string_value(at(j, "advertisedRoutes|10.244.7.0/24|nextHop")), "10.0.0.1");
    json_decref(j);
    run("show bgp neighbors tor-c advertised-routes");
    expect_error(STATUS_REFUSED, "not established");
    end();
}

static void summary_counts_and_names_states(void)
{
    begin();
    some_routes();
    peers[0].info.up_ms = 3723000;
    peers[0].info.stats.updates_in = 7;
    run("show bgp summary");
    expect_output("BGP router identifier 10.0.0.11, local AS number 64512\n");
    expect_output("10.0.0.1 65001       7       0    0 01:02:03            2      0 tor-a\n");
    expect_output("   never       Active        tor-c\n");
    expect_output("NoNeg"); /* IPv6 was not negotiated */
    expect_output("Total number of neighbors 3\n");
    expect_tidy();
    run("show bgp ipv4 summary failed");
    expect_output("10.0.0.3       0       0     never no answer yet from port 179 of the peer\n");
    expect_output("Displayed neighbors 1\n");
    CU_ASSERT_PTR_NULL(strstr(output, "10.0.0.1 "));
    CU_ASSERT_PTR_NULL(strstr(output, "IPv6"));
    json_t *j = run_json("show bgp summary");
    json_t *p = at(j, "ipv4Unicast/peers/10.0.0.1");
    CU_ASSERT_EQUAL(json_integer_value(at(p, "remoteAs")), 65001);
    CU_ASSERT_EQUAL(json_integer_value(at(p, "pfxRcd")), 2);
    CU_ASSERT_EQUAL(json_integer_value(at(p, "msgRcvd")), 7);
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "peerUptime")), "01:02:03");
    CU_ASSERT_EQUAL(json_integer_value(at(p, "peerUptimeMsec")), 3723000);
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "state")), "Established");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "idType")), "ipv4");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(j, "ipv4Unicast/peers/10.0.0.3/peerUptime")), "never");
    CU_ASSERT_EQUAL(json_integer_value(at(j, "ipv4Unicast/failedPeers")), 1);
    CU_ASSERT_EQUAL(json_integer_value(at(j, "ipv4Unicast/displayedPeers")), 3);
    CU_ASSERT_EQUAL(json_integer_value(at(j, "ipv4Unicast/totalPeers")), 3);
    CU_ASSERT_STRING_EQUAL(json_string_value(at(j, "ipv4Unicast/bestPath/multiPathRelax")), "true");
    json_decref(j);
    end();
}

static void neighbors_say_what_holds_and_why_not(void)
{
    begin();
    some_routes();
    peers[0].info.caps_valid = true;
    peers[0].info.sent = (struct capabilities){.as4 = true, .route_refresh = true, .family = {true, true}};
    peers[0].info.received =
        (struct capabilities){.as4 = true, .family = {true, false}, .graceful_restart = true};
    peers[0].info.family_why[FAM_IPV6] = "no IPv6 next hop on eth0";
    peers[2].info.admin_down = peers[2].shut = true;
    peers[2].info.shutdown_message = "new optics";
    run("show bgp neighbors");
    expect_output("BGP neighbor is 10.0.0.1, remote AS 65001, local AS 64512, external link\n");
    expect_output("  BGP state = Established, up for 00:00:00\n");
    expect_output("    4 Byte AS: advertised and received\n");
    expect_output("    Route refresh: advertised\n");
    expect_output("    Graceful Restart: received\n");
    expect_output("    Address Family IPv6 Unicast: advertised\n");
    expect_output("  Not in use: no IPv6 next hop on eth0\n");
    expect_output("  Prefixes: 3 received, 2 accepted, 1 refused by the import\n");
    expect_output("  BGP state = Idle (Admin), for ");
    expect_output("  Not established: shut down by command (no neighbor 10.0.0.3 shutdown)\n");
    expect_output("  Shutdown message: new optics\n");
    expect_tidy();
    run("show bgp neighbors tor-b");
    expect_output("BGP neighbor is 10.0.0.2");
    CU_ASSERT_PTR_NULL(strstr(output, "BGP neighbor is 10.0.0.1"));
    peers[0].info.hostname = "tor-a";
    peers[0].info.own_hostname = "node";
    peers[0].info.domain = "";
    peers[0].info.local_role = ROLE_CUSTOMER;
    peers[0].info.sent.add_path[FAM_IPV4] = 3;
    peers[0].info.received.add_path[FAM_IPV4] = 2;
    peers[0].info.sent.graceful_restart = true;
    peers[0].info.received.gr_flags_time = 0xc000 | 30;
    peers[0].info.received.gr_family[FAM_IPV4] = peers[0].info.received.gr_forwarding[FAM_IPV4] = true;
    run("show bgp neighbors tor-a");
    expect_output("  Graceful restart: the peer's restart time is 30 seconds; it has restarted (R);\n"
                  "    a NOTIFICATION keeps the routes too (N)\n");
    expect_tidy();
    expect_output(" Hostname: tor-a\n");
    expect_output("  Local Role: customer, Remote Role: undefined\n");
    expect_output("    AddPath:\n      IPv4 Unicast: TX advertised and received\n"
                  "      IPv4 Unicast: RX advertised\n");
    json_t *j = run_json("show bgp neighbors");
    CU_ASSERT_EQUAL(json_object_size(j), 3);
    CU_ASSERT_STRING_EQUAL(json_string_value(at(j, "10.0.0.1/hostname")), "tor-a");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(j, "10.0.0.1/localRole")), "customer");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(j, "10.0.0.1/remoteRole")), "undefined");
    json_t *caps = at(j, "10.0.0.1/neighborCapabilities");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(caps, "hostName/advHostName")), "node");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(caps, "hostName/rcvHostName")), "tor-a");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(caps, "hostName/rcvDomainName")), "n/a");
    CU_ASSERT_TRUE(json_is_true(at(caps, "addPath/ipv4Unicast/txAdvertisedAndReceived")));
    CU_ASSERT_TRUE(json_is_true(at(caps, "addPath/ipv4Unicast/rxAdvertised")));
    CU_ASSERT_EQUAL(json_integer_value(at(caps, "gracefulRestartRemoteTimerMsecs")), 30000);
    CU_ASSERT_TRUE(json_is_true(at(caps, "addressFamiliesByPeer/ipv4Unicast/preserved")));
    json_t *p = at(j, "10.0.0.1");
    CU_ASSERT_TRUE(json_is_true(at(p, "nbrExternalLink")));
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "bgpState")), "Established");
    CU_ASSERT_EQUAL(json_integer_value(at(p, "bgpTimerHoldTimeMsecs")), 9000);
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "neighborCapabilities/4byteAs")), "advertisedAndReceived");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "neighborCapabilities/gracefulRestart")),
                           "advertisedAndReceived");
    CU_ASSERT_EQUAL(json_integer_value(at(p, "addressFamilyInfo/ipv4Unicast/acceptedPrefixCounter")), 2);
    CU_ASSERT_TRUE(json_is_true(at(j, "10.0.0.3/adminShutDown")));
    json_decref(j);
    end();
}

/* Reason, what to look at, when it goes on: for whoever is woken by it. */
static void neighbors_that_are_down_say_what_to_do(void)
{
    begin();
    struct peer_info *i = &peers[2].info;
    i->last_failure = "NOTIFICATION sent: OPEN Message Error/Bad Peer AS, expected 65003, got 65004";
    i->hint = "`asn` of this peer here, and the AS that is configured there";
    i->idle_hold_ms = 7400;
    i->last_error = bgp_error_make(BGP_ERR_OPEN, BGP_ERR_OPEN_PEER_AS, NULL, 0);
    i->last_reset = "hold timer expired";
    i->last_reset_ms = 61000;
    i->dropped_count = i->established_count = 1;
    run("show bgp neighbors tor-c");
    expect_output("  Not established: NOTIFICATION sent: OPEN Message Error/Bad Peer AS, expected\n"
                  "                   65003, got 65004\n"
                  "  Check: `asn` of this peer here, and the AS that is configured there\n"
                  "  Next attempt: in 8 seconds, after the pause that follows an error\n");
    expect_output("  Last reset 00:01:01, due to hold timer expired\n");
    CU_ASSERT_PTR_NULL(strstr(output, "  Hold time is ")); /* nothing was negotiated */
    expect_tidy();
    json_t *j = run_json("show bgp neighbors tor-c");
    json_t *p = at(j, "10.0.0.3");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "notEstablishedBecause")), i->last_failure);
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "notEstablishedHint")), i->hint);
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "lastErrorCodeSubcode")), "0202");
    CU_ASSERT_STRING_EQUAL(json_string_value(at(p, "lastNotificationReason")),
                           "OPEN Message Error/Bad Peer AS");
    CU_ASSERT_EQUAL(json_integer_value(at(p, "nextStartTimerDueInMsecs")), 7400);
    json_decref(j);
    i->idle_hold_ms = 0;
    i->waiting = true;
    strcpy(i->waiting_why, "not directly connected: 10.0.0.3 is on no subnet of this node");
    strcpy(i->waiting_hint, "the interface and its address; a peer farther away needs `multihop`");
    i->remote_as = 0;
    run("show bgp neighbors tor-c");
    expect_output("remote AS not known yet");
    expect_output("  Not established: not directly connected: 10.0.0.3 is on no subnet of this node\n");
    expect_output("needs `multihop`\n  Next attempt: as soon as there is such a subnet\n");
    expect_tidy();
    end();
}

static void long_descriptions_are_cut_in_the_summary_only(void)
{
    begin();
    peers[0].config.description = (char *)"tor-a, rack 12, the one with \xc3\xa4 description that is long";
    run("show bgp ipv4 summary");
    expect_output(" tor-a, rack...\n");
    expect_tidy();
    run("show bgp neighbors 10.0.0.1");
    expect_output(" Description: tor-a, rack 12, the one with \xc3\xa4 description that is long\n");
    end();
}

static void hostile_peer_texts_stay_inside_their_line(void)
{
    begin();
    peers[2].info.last_reset = "Cease/Administrative Shutdown received";
    peers[2].info.dropped_count = 1;
    peers[2].info.last_message =
        "a very long message from the other side that goes on and on until it is longer than "
        "eighty columns, as RFC 9003 allows";
    run("show bgp neighbors tor-c");
    expect_output("  Last reset 00:00:00, due to Cease/Administrative Shutdown received\n");
    expect_output("  Message from the peer: a very long");
    expect_tidy();
    end();
}

static void a_large_table_is_shown_in_bounded_steps(void)
{
    begin();
    fx_nexthop(&fx, 1, true, 0);
    for (unsigned k = 0; k < 20000; k++) {
        char text[PREFIX_STRLEN];
        snprintf(text, sizeof text, "10.%u.%u.0/24", k / 256, k % 256);
        fx_update(&fx, peers[0].rib, text, fx_attr(&fx, 1, 1));
    }
    json_t *j = run_json("show bgp ipv4");
    CU_ASSERT_EQUAL(json_integer_value(at(j, "totalRoutes")), 20000);
    CU_ASSERT_EQUAL(json_object_size(at(j, "routes")), 20000);
    CU_ASSERT_TRUE(steps_taken > strlen(output) / 70000); /* never much more than 64 KiB a step */
    json_decref(j);
    run_for("show bgp ipv4", false, 5); /* the client goes away in the middle: nothing leaks */
    run_for("show bgp neighbors tor-a received-routes", true, 15);
    end();
}

static void memory_version_and_configuration(void)
{
    begin();
    some_routes();
    json_t *j = run_json("show memory");
    CU_ASSERT_EQUAL(json_integer_value(at(j, "prefixes/count")), 4);
    CU_ASSERT_EQUAL(json_integer_value(at(j, "paths/count")), 5);
    CU_ASSERT_TRUE(json_integer_value(at(j, "attributes/bytes")) > 0);
    CU_ASSERT_EQUAL(json_integer_value(at(j, "peers/10.0.0.1/bytes")), 1000);
    CU_ASSERT_TRUE(json_integer_value(at(j, "process/pss")) > 100000);
    json_decref(j);
    run("show memory");
    expect_tidy();
    run("show version");
    expect_output("underlay " UNDERLAY_VERSION);
    expect_tidy();
    run("show running-config");
    CU_ASSERT_PTR_NULL(strstr(output, "#   "));
    run("advertise 192.0.2.1");
    peers[2].shut = true;
    run("show running-config");
    expect_output("router:\n  asn: 64512\n");
    expect_output("\n#   advertise 192.0.2.1/32\n#   neighbor 10.0.0.3 shutdown\n");
    j = run_json("show running-config");
    CU_ASSERT_EQUAL(json_array_size(at(j, "commands")), 2);
    json_decref(j);
    end();
}

static void version_tells_of_a_planned_restart(void)
{
    begin();
    arrival = (struct handover_arrival){.planned = true, .sessions = 3, .taken = 2, .ended = 1};
    run("show version");
    expect_output("\nplanned restart: 2 of 3 sessions taken over, 1 ended for a changed configuration\n");
    expect_tidy();
    arrival = (struct handover_arrival){.planned = true, .sessions = 3, .wrong = "it is of another version"};
    run("show version");
    expect_output("planned restart: 0 of 3 sessions taken over\nwhat was handed over cannot be used: it is "
                  "of another version\n");
    expect_tidy();
    json_t *j = run_json("show version"), *restart = at(j, "plannedRestart");
    CU_ASSERT_EQUAL(json_integer_value(at(restart, "sessions")), 3);
    CU_ASSERT_EQUAL(json_integer_value(at(restart, "sessionsTakenOver")), 0);
    CU_ASSERT_STRING_EQUAL(json_string_value(at(restart, "error")), "it is of another version");
    json_decref(j);
    arrival = (struct handover_arrival){0};
    run("show version");
    CU_ASSERT_PTR_NULL(strstr(output, "planned"));
    end();
}

static void help_comes_from_the_table(void)
{
    begin();
    run("help show mem");
    expect_output("show memory\n    ");
    run("help nonsense");
    expect_error(STATUS_USAGE, "no command starts with");
    end();
}

static const struct unit_case cases[] = {
    UNIT(table_has_codes_next_hops_and_paths),
    UNIT(table_json_is_frrs),
    UNIT(the_backup_of_a_prefix_is_shown),
    UNIT(one_prefix_in_detail),
    UNIT(what_a_peer_sent_and_what_of_it_was_refused),
    UNIT(what_a_peer_has_from_us),
    UNIT(summary_counts_and_names_states),
    UNIT(neighbors_say_what_holds_and_why_not),
    UNIT(neighbors_that_are_down_say_what_to_do),
    UNIT(long_descriptions_are_cut_in_the_summary_only),
    UNIT(hostile_peer_texts_stay_inside_their_line),
    UNIT(a_large_table_is_shown_in_bounded_steps),
    UNIT(memory_version_and_configuration),
    UNIT(version_tells_of_a_planned_restart),
    UNIT(help_comes_from_the_table),
};
UNIT_MAIN("show", cases)
