/* The commands that change something: all or nothing, what they refuse and how they say it. */
#include <stdlib.h>

#include "exec_fixture.h"

static void advertise_takes_prefixes_communities_and_med(void)
{
    begin();
    run("advertise 192.0.2.0/24 2001:db8::/32 198.51.100.7 community 65000:100 no-export 65000:1:2 med 10 "
        "weight 3");
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_STRING_EQUAL(output, "");
    CU_ASSERT_EQUAL_FATAL(sources.n, 3);
    CU_ASSERT_EQUAL(sources.list[1].addr.af, AF_INET6);
    CU_ASSERT_EQUAL(sources.list[2].len, 32); /* a bare address */
    CU_ASSERT_EQUAL(sources.last.n_communities, 2);
    CU_ASSERT_EQUAL(sources.last.communities[0], 0xfde80064);
    CU_ASSERT_EQUAL(sources.last.communities[1], 0xffffff01);
    CU_ASSERT_EQUAL(sources.last.n_large, 1);
    CU_ASSERT_EQUAL(sources.last.large[0][2], 2);
    CU_ASSERT_TRUE(sources.last.has_med);
    CU_ASSERT_EQUAL(sources.last.med, 10);
    CU_ASSERT_EQUAL(sources.last.weight, 3);
    CU_ASSERT_EQUAL(sources.state_changes, 1);
    end();
}

static void one_wrong_word_and_nothing_is_advertised(void)
{
    static const struct {
        const char *line, *says;
        int status;
    } rows[] = {
        {"advertise 10.1.0.0/16 10.2.0.1/16 10.3.0.0/16",
         "10.2.0.1/16 has host bits set; did you mean 10.2.0.0/16?", 2},
        {"advertise 10.1.0.0/16 10.2.0.0/33", "`10.2.0.0/33` is not a prefix", 2},
        {"advertise 10.1.0.0/16 10.2.0/24", "`10.2.0/24` is not a prefix", 2},
        {"advertise 2001:db8::/129", "LENGTH of at most 32 (IPv4) or 128", 2},
        {"advertise 10.1.0.0/16 127.0.0.0/8", "127.0.0.0/8 is never routable", 1},
        {"advertise fe80::/64", "fe80::/64 is never routable", 1},
        {"advertise 10.1.0.0/16 0.0.0.0/0", "default route", 1},
        {"advertise 10.1.0.0/16 community 65536:1", "`65536:1` is not a community", 2},
        {"advertise 10.1.0.0/16 community 1:65536", "is not a community", 2},
        {"advertise 10.1.0.0/16 community 1:", "is not a community", 2},
        {"advertise 10.1.0.0/16 community :1", "is not a community", 2},
        {"advertise 10.1.0.0/16 community 1:2:3:4", "is not a community", 2},
        {"advertise 10.1.0.0/16 community 1:2:4294967296", "is not a community", 2},
        {"advertise 10.1.0.0/16 community 99999999999999999999:1", "is not a community", 2},
        {"advertise 10.1.0.0/16 med 4294967296", "med 4294967296 is out of range", 2},
        {"advertise 10.1.0.0/16 med 1 weight 0", "weight 0 is out of range; expected 1 to 1000000", 2},
        {"advertise 10.1.0.0/16 weight 1000001", "weight 1000001 is out of range", 2},
    };
    begin();
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        run(rows[i].line);
        expect_error(rows[i].status, rows[i].says);
    }
    CU_ASSERT_EQUAL(sources.n, 0);
    CU_ASSERT_EQUAL(sources.state_changes, 0);
    end();
}

static void drain_takes_a_delay_and_waits_if_told(void)
{
    begin();
    run("drain");
    CU_ASSERT_TRUE(status == 0 && drain.after_ms == DRAIN_AFTER_MS && drain.again);
    run("drain after 5");
    CU_ASSERT_TRUE(status == 0 && drain.after_ms == 5000 && !drain.again && !drain.waiter);
    run("show version");
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "Draining: "));
    run("bgp graceful-shutdown");
    CU_ASSERT_TRUE(status == 0 && drain.after_ms == DRAIN_NEVER);
    run("undrain");
    CU_ASSERT_TRUE(status == 0 && drain.phase == DRAIN_OFF);
    run("show version");
    CU_ASSERT_PTR_NULL(strstr(output, "Draining"));
    run("drain after 86401");
    expect_error(STATUS_USAGE, "after 86401 is out of range; expected 0 to 86400 seconds");
    run_for("drain wait", false, 1); /* the client goes away while it waits */
    CU_ASSERT_PTR_NULL(drain.waiter);
    drain.ends = DRAIN_WITHDRAWN;
    run("drain wait");
    CU_ASSERT_EQUAL(status, 0);
    drain.untold = true;
    run("drain wait");
    expect_error(STATUS_REFUSED, "not every peer has taken the withdrawal");
    drain.ends = DRAIN_OFF; /* somebody said undrain */
    run("drain wait");
    expect_error(STATUS_REFUSED, "taken back");
    drain.untold = false;
    drain.phase = DRAIN_OFF;
    end();
}

static void at_most_32_communities_of_a_kind(void)
{
    char line[1024], *p = line;
    begin();
    p += sprintf(p, "advertise 10.1.0.0/16 community");
    for (unsigned i = 0; i < 32; i++)
        p += sprintf(p, " 65000:%u", i);
    run(line);
    CU_ASSERT_EQUAL(status, 0);
    sprintf(p, " 65000:32");
    run(line);
    expect_error(STATUS_USAGE, "too many communities");
    CU_ASSERT_EQUAL(sources.n, 1);
    end();
}

static char *many(const char *verb, unsigned n)
{
    char *line = malloc(20 + 20 * (size_t)n), *p = line;
    p += sprintf(p, "%s", verb);
    for (unsigned i = 0; i < n; i++)
        p += sprintf(p, " 10.%u.%u.0/24", i / 256, i % 256);
    return line;
}

static void ten_thousand_prefixes_in_bounded_steps_and_one_save(void)
{
    char *line = many("advertise", 10000);
    begin();
    run(line);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(sources.n, 10000);
    CU_ASSERT_EQUAL(sources.state_changes, 1);
    CU_ASSERT_TRUE(steps_taken >= 40);
    free(line);
    end();
}

static void a_client_that_leaves_between_steps_leaves_all_or_nothing(void)
{
    char *line = many("advertise", 10000);
    begin();
    run_for(line, false, 15); /* still checking */
    CU_ASSERT_EQUAL(sources.n, 0);
    run_for(line, false, 25); /* already applying */
    CU_ASSERT_EQUAL(sources.n, 10000);
    CU_ASSERT_EQUAL(sources.state_changes, 1);
    free(line);
    end();
}

static void withdraw_says_whose_a_prefix_is(void)
{
    begin();
    run("advertise 192.0.2.1 192.0.2.2");
    run("withdraw 192.0.2.1 192.0.2.2");
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(sources.withdrawn, 2);
    CU_ASSERT_EQUAL(sources.state_changes, 2);
    run("withdraw 192.0.2.3");
    expect_error(STATUS_REFUSED, "192.0.2.3/32 is not advertised by a command");
    run("withdraw 10.244.7.0/24");
    expect_error(STATUS_REFUSED, "10.244.7.0/24 is advertised by the configuration");
    run("withdraw 10.244.7.1/24");
    expect_error(STATUS_USAGE, "host bits");
    end();
}

static void clear_resets_one_or_all(void)
{
    begin();
    run("clear bgp tor-a");
    CU_ASSERT_EQUAL(peers[0].cleared, 1);
    CU_ASSERT_EQUAL(peers[1].cleared, 0);
    run("clear bgp *");
    CU_ASSERT_EQUAL(peers[0].cleared, 2);
    CU_ASSERT_EQUAL(peers[2].cleared, 1);
    run("clear bgp 10.9.9.9");
    expect_error(STATUS_REFUSED, "no peer `10.9.9.9`");
    end();
}

static void soft_clear_goes_the_way_it_is_told(void)
{
    begin();
    run("clear bgp tor-a soft in");
    CU_ASSERT_EQUAL(peers[0].soft_in, 1);
    CU_ASSERT_EQUAL(peers[0].soft_out, 0);
    run("clear bgp tor-a soft out");
    CU_ASSERT_EQUAL(peers[0].soft_in, 1);
    CU_ASSERT_EQUAL(peers[0].soft_out, 1);
    run("clear bgp tor-a soft");
    CU_ASSERT_EQUAL(peers[0].soft_in, 2);
    CU_ASSERT_EQUAL(peers[0].soft_out, 2);
    CU_ASSERT_EQUAL(peers[0].cleared, 0);
    run("clear bgp tor-c soft");
    expect_error(STATUS_REFUSED, "10.0.0.3: the session is not established");
    run("clear bgp * soft"); /* those that are down do not matter */
    CU_ASSERT_EQUAL(status, 0);
    peers[1].soft_in_result = -EOPNOTSUPP;
    run("clear bgp tor-b soft in");
    CU_ASSERT_EQUAL(status, 0);
    expect_output("10.0.0.2 cannot refresh its routes");
    end();
}

static void shutdown_passes_the_message_and_is_kept(void)
{
    char line[400] = "neighbor tor-a shutdown message ";
    begin();
    run("neighbor tor-a shutdown message back   at noon");
    CU_ASSERT_TRUE(peers[0].shut);
    CU_ASSERT_STRING_EQUAL(peers[0].message, "back at noon");
    CU_ASSERT_EQUAL(sources.state_changes, 1);
    run("no neighbor tor-a shutdown");
    CU_ASSERT_FALSE(peers[0].shut);
    CU_ASSERT_EQUAL(sources.state_changes, 2);
    run("no neighbor tor-a shutdown");
    expect_error(STATUS_REFUSED, "not shut down by a command");
    peers[0].config.shutdown = true;
    run("no neighbor tor-a shutdown");
    expect_error(STATUS_REFUSED, "the configuration says shutdown: true");
    memset(line + strlen(line), 'x', 256);
    run(line);
    expect_error(STATUS_USAGE, "at most 255 bytes");
    line[strlen(line) - 1] = 0;
    run(line);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(strlen(peers[0].message), 255);
    end();
}

static void reload_answers_when_it_is_done(void)
{
    begin();
    run_for("reload", false, 10);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(woken, 1);
    expect_output("a note\n");
    strcpy(peers[0].message, "underlay.yaml:3:5: asn: not a number");
    run_for("reload", false, 10);
    expect_error(STATUS_REFUSED, "underlay.yaml:3:5: asn");
    reload_result = -EBUSY;
    run("reload");
    expect_error(STATUS_REFUSED, "a reload is under way");
    end();
}

static void a_reload_outlives_its_client(void)
{
    begin();
    run_for("reload", false, 0); /* never started: nothing to answer */
    CU_ASSERT_PTR_NULL(reload_answer);
    struct command cmd;
    char why[128];
    struct evbuffer *body = evbuffer_new();
    CU_ASSERT_EQUAL_FATAL(grammar_parse(grammar, "reload", &cmd, why, sizeof why), 0);
    struct writer *w = writer_new(body, false);
    struct exec e = {.s = &speaker, .grammar = grammar, .cmd = &cmd, .w = w, .wake = no_wake};
    CU_ASSERT_EQUAL(exec_step(&e), EXEC_WAIT);
    exec_end(&e);
    reload_answer(reload_arg, "too late", NULL);
    CU_ASSERT_EQUAL(woken, 0);
    writer_free(w);
    evbuffer_free(body);
    command_free(&cmd);
    end();
}

static void restart_answers_before_it_ends(void)
{
    begin();
    handed_over = 0;
    run_for("restart", false, 10);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(restart_flags, FM_RESTART_PARENT);
    expect_output("a note\n");
    CU_ASSERT_EQUAL(handed_over, 1);
    run_for("restart speaker", false, 10);
    CU_ASSERT_EQUAL(restart_flags, 0);
    CU_ASSERT_EQUAL(handed_over, 2);
    strcpy(peers[0].message, "cannot write the state of the sessions");
    run_for("restart", false, 10);
    expect_error(STATUS_REFUSED, "cannot write the state");
    CU_ASSERT_EQUAL(handed_over, 2);
    reload_result = -EBUSY;
    run("restart");
    expect_error(STATUS_REFUSED, "the daemon starts, stops, reloads or restarts");
    end();
}

static void log_level_is_set(void)
{
    enum log_level before = log_get_level();
    begin();
    run("log level debug");
    CU_ASSERT_EQUAL(log_get_level(), LOG_LVL_DEBUG);
    run("log lev err");
    CU_ASSERT_EQUAL(log_get_level(), LOG_LVL_ERROR);
    log_set_level(before);
    end();
}

static void debug_watches_a_peer_for_a_while(void)
{
    begin();
    run("show debug");
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "No peer is watched"));
    run("debug 10.0.0.1");
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(debugged[0], 60000);
    run("debug 10.0.0.1 for 1h");
    CU_ASSERT_EQUAL(debugged[0], 3600000);
    run("show debug");
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "10.0.0.1 are logged for another 3600 seconds"));
    run("debug 10.0.0.1 for 61m");
    expect_error(2, "61m is out of range; 1s to 1h");
    run("debug 10.0.0.1 for 60");
    expect_error(2, "`60` is not a duration");
    run("debug nobody");
    expect_error(1, "no peer `nobody`");
    run("no debug 10.0.0.1");
    CU_ASSERT_EQUAL(debugged[0], 0);
    run("no debug 10.0.0.1");
    expect_error(1, "are not logged; `show debug`");
    end();
}

static const struct unit_case cases[] = {
    UNIT(drain_takes_a_delay_and_waits_if_told),
    UNIT(advertise_takes_prefixes_communities_and_med),
    UNIT(one_wrong_word_and_nothing_is_advertised),
    UNIT(at_most_32_communities_of_a_kind),
    UNIT(ten_thousand_prefixes_in_bounded_steps_and_one_save),
    UNIT(a_client_that_leaves_between_steps_leaves_all_or_nothing),
    UNIT(withdraw_says_whose_a_prefix_is),
    UNIT(clear_resets_one_or_all),
    UNIT(soft_clear_goes_the_way_it_is_told),
    UNIT(shutdown_passes_the_message_and_is_kept),
    UNIT(reload_answers_when_it_is_done),
    UNIT(a_reload_outlives_its_client),
    UNIT(restart_answers_before_it_ends),
    UNIT(log_level_is_set),
    UNIT(debug_watches_a_peer_for_a_while),
};
UNIT_MAIN("change", cases)
