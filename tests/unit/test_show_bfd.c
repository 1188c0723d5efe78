/* show bfd peers, and BFD in show bgp neighbors: FRR's names, words and units; what fits into 80 columns. */
#include <netinet/in.h>
#include <stdlib.h>

#include "exec_fixture.h"
#include "loop.h"

static struct fm_bfd asked[PEERS];
static struct fm_bfd_state told[PEERS];

static void with_bfd(unsigned i, uint8_t state)
{
    asked[i] = (struct fm_bfd){.peer = {.af = AF_INET, .addr = {10, 0, 0, (uint8_t)(i + 1)}},
                               .interval_us = 300000,
                               .multiplier = 3,
                               .min_ttl = 255};
    told[i] = (struct fm_bfd_state){
        .peer = asked[i].peer,
        .local = {10, 0, 0, 9},
        .state = state,
        .remote_state = FM_BFD_UP,
        .multiplier = 3,
        .remote_multiplier = 4,
        .discriminator = 70 + i,
        .remote_discriminator = 80 + i,
        .tx_us = 300000,
        .rx_us = 300000,
        .remote_tx_us = 200000,
        .remote_rx_us = 400000,
        .detection_us = 1200000,
        .since_ms = loop_now_ms() - 62000,
        .ups = 1,
    };
    peers[i].config.bfd.on = true;
    peers[i].config.bfd.interval_ms = 300;
    peers[i].config.bfd.multiplier = 3;
    peers[i].info.bfd = &asked[i];
    peers[i].info.bfd_state = &told[i];
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static json_int_t number_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static void the_names_and_units_are_frrs(void)
{
    begin();
    with_bfd(0, FM_BFD_UP);
    with_bfd(1, FM_BFD_DOWN);
    told[1].diag = 1;
    told[1].error = -EADDRINUSE;
    json_t *j = run_json("show bfd peers json");
    CU_ASSERT_EQUAL_FATAL(json_array_size(j), 2);
    const json_t *up = json_array_get(j, 0), *down = json_array_get(j, 1);
    CU_ASSERT_TRUE(json_is_false(json_object_get(up, "multihop")));
    CU_ASSERT_STRING_EQUAL(text_of(up, "peer"), "10.0.0.1");
    CU_ASSERT_STRING_EQUAL(text_of(up, "local"), "10.0.0.9");
    CU_ASSERT_STRING_EQUAL(text_of(up, "interface"), "eth0");
    CU_ASSERT_STRING_EQUAL(text_of(up, "vrf"), "default");
    CU_ASSERT_STRING_EQUAL(text_of(up, "status"), "up");
    CU_ASSERT_STRING_EQUAL(text_of(up, "diagnostic"), "ok");
    CU_ASSERT_STRING_EQUAL(text_of(up, "remote-diagnostic"), "ok");
    CU_ASSERT(number_of(up, "id") == 70 && number_of(up, "remote-id") == 80);
    CU_ASSERT(number_of(up, "uptime") == 62 || number_of(up, "uptime") == 63);
    CU_ASSERT(number_of(up, "receive-interval") == 300 && number_of(up, "transmit-interval") == 300);
    CU_ASSERT(number_of(up, "detect-multiplier") == 3 && number_of(up, "remote-detect-multiplier") == 4);
    CU_ASSERT(number_of(up, "remote-receive-interval") == 400);
    CU_ASSERT(number_of(up, "remote-transmit-interval") == 200);
    CU_ASSERT_PTR_NULL(json_object_get(up, "downtime"));
    CU_ASSERT_STRING_EQUAL(text_of(down, "status"), "down");
    CU_ASSERT_STRING_EQUAL(text_of(down, "diagnostic"), "control detection time expired");
    CU_ASSERT(number_of(down, "downtime") >= 62 && !json_object_get(down, "uptime"));
    CU_ASSERT_STRING_EQUAL(text_of(down, "error"), "Address already in use");
    json_decref(j);
    j = run_json("show bgp neighbors json");
    const json_t *info = json_object_get(json_object_get(j, "10.0.0.1"), "peerBfdInfo");
    CU_ASSERT_STRING_EQUAL(text_of(info, "type"), "single hop");
    CU_ASSERT_STRING_EQUAL(text_of(info, "status"), "Up");
    CU_ASSERT_STRING_EQUAL(text_of(info, "lastUpdate"), "0:00:01:02");
    CU_ASSERT(number_of(info, "detectMultiplier") == 3 && number_of(info, "rxMinInterval") == 300);
    CU_ASSERT_PTR_NULL(json_object_get(json_object_get(j, "10.0.0.3"), "peerBfdInfo"));
    json_decref(j);
    end();
}

static void the_table_fits_and_says_what_is_wrong(void)
{
    begin();
    with_bfd(0, FM_BFD_UP);
    with_bfd(1, FM_BFD_DOWN);
    with_bfd(2, FM_BFD_DOWN);
    asked[1].flags = FM_BFD_MULTIHOP;
    told[1].error = -EADDRINUSE;
    told[2].remote_state = FM_BFD_ADMIN_DOWN;
    told[0].starvations = 2;
    told[0].starved_us = 123456;
    run("show bfd peers");
    expect_output("Neighbor Status    Since Sends each Hears each Detection Hops\n"
                  "10.0.0.1     up 00:01:02     400 ms     300 ms   1200 ms single\n"
                  "10.0.0.2   down 00:01:02     400 ms     300 ms   1200 ms multi\n");
    expect_output("\n10.0.0.2: cannot run: Address already in use; check: another BFD daemon (FRR's\n");
    expect_output("\n10.0.0.3: the peer has shut it down\n");
    expect_output("\nThis host did not let BFD run in time: 2 times, for 123.5 ms at the longest.");
    expect_tidy();
    peers[2].info.waiting = peers[2].info.waits_for_bfd = true;
    strcpy(peers[2].info.waiting_why, "waiting for BFD (strict)");
    peers[2].config.bfd.strict = true;
    run("show bgp neighbors tor-c");
    expect_output("  BFD: Type: single hop, strict\n"
                  "  Detect Multiplier: 3, Min Rx interval: 300, Min Tx interval: 300\n"
                  "  Status: Down, Last update: 0:00:01:02\n"
                  "  Not up: the peer has shut it down\n");
    expect_output("  Next attempt: as soon as BFD is up\n");
    expect_tidy();
    end();
}

static void without_sessions_it_says_so(void)
{
    begin();
    run("show bfd peers");
    expect_output("No BFD sessions");
    json_t *j = run_json("show bfd peers json");
    CU_ASSERT(json_is_array(j) && json_array_size(j) == 0);
    json_decref(j);
    with_bfd(0, FM_BFD_DOWN);
    peers[0].info.bfd_state = NULL; /* asked for, and not answered yet */
    run("show bfd peers");
    expect_output("10.0.0.1      -     -          -          -         - single\n\n10.0.0.1: being set up\n");
    run("show bgp neighbors tor-a");
    expect_output("  Status: Unknown, Last update: never\n");
    end();
}

static void brief_is_a_line_each(void)
{
    begin();
    with_bfd(0, FM_BFD_UP);
    with_bfd(1, FM_BFD_DOWN);
    with_bfd(2, FM_BFD_DOWN);
    peers[2].info.bfd_state = NULL;
    told[1].error = -EADDRINUSE;
    run("sh bfd peers br");
    CU_ASSERT_STRING_EQUAL(output, "Session count: 3\n"
                                   "SessionId LocalAddress PeerAddress Status\n"
                                   "70            10.0.0.9    10.0.0.1 up\n"
                                   "71            10.0.0.9    10.0.0.2 down\n"
                                   "-                    -    10.0.0.3 -\n");
    expect_tidy();
    json_t *j = run_json("show bfd peers brief json"), *whole = run_json("show bfd peers json");
    CU_ASSERT(json_array_size(j) == 3 && json_equal(j, whole)); /* so has bfdd */
    json_decref(j);
    json_decref(whole);
    end();
}

/* It is the thread's; who was told last knows most. */
static void starvation_is_shown_once_there_was_one(void)
{
    begin();
    with_bfd(0, FM_BFD_UP);
    with_bfd(1, FM_BFD_UP);
    run("show bfd peers");
    CU_ASSERT_PTR_NULL(strstr(output, "did not let BFD run"));
    told[1].starvations = 7;
    told[1].starved_us = 60001;
    json_t *j = run_json("show bfd peers json");
    CU_ASSERT_EQUAL(number_of(json_array_get(j, 0), "starvations"), 0);
    CU_ASSERT_EQUAL(number_of(json_array_get(j, 1), "starvations"), 7);
    CU_ASSERT_EQUAL(number_of(json_array_get(j, 1), "longestStarvationMsecs"), 61);
    json_decref(j);
    end();
}

static const struct unit_case cases[] = {
    UNIT(the_names_and_units_are_frrs),
    UNIT(the_table_fits_and_says_what_is_wrong),
    UNIT(without_sessions_it_says_so),
    UNIT(brief_is_a_line_each),
    UNIT(starvation_is_shown_once_there_was_one),
};
UNIT_MAIN("show_bfd", cases)
