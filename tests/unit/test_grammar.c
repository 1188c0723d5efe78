/* The command table: every row parses, abbreviations, ambiguity, hints, completion, and the man page's list.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/grammar.h"
#include "unit.h"

static void commands_parse_to_their_row(void)
{
    static const struct {
        const char *line;
        enum command_id id;
        bool json;
    } rows[] = {
        {"show bgp summary", CMD_SHOW_SUMMARY, false},
        {"  show\tip  bgp summary json \r\n", CMD_SHOW_SUMMARY, true},
        {"sh bgp sum", CMD_SHOW_SUMMARY, false},
        {"sh bgp ipv4 uni sum est j", CMD_SHOW_SUMMARY, true},
        {"show bgp summary failed", CMD_SHOW_SUMMARY, false},
        {"show bgp neighbors", CMD_SHOW_NEIGHBORS, false},
        {"show bgp neighbors json", CMD_SHOW_NEIGHBORS, true},
        {"show bgp neighbors 10.0.0.1", CMD_SHOW_NEIGHBORS, false},
        {"show bgp n tor-a", CMD_SHOW_NEIGHBORS, false},
        {"show bgp neighbors js", CMD_SHOW_NEIGHBORS, false}, /* a peer of that name */
        {"show bgp neighbors fe80::1 advertised-routes json", CMD_SHOW_ADVERTISED, true},
        {"show bgp neighbors x rec", CMD_SHOW_RECEIVED, false},
        {"show bgp neighbors x f", CMD_SHOW_FILTERED, false},
        {"show bgp", CMD_SHOW_BGP, false},
        {"show bgp json", CMD_SHOW_BGP, true},
        {"show ip bgp 10.0.0.0/8", CMD_SHOW_BGP, false},
        {"show bgp ipv6 unicast 2001:db8::1", CMD_SHOW_BGP, false},
        {"show bgp ::/0", CMD_SHOW_BGP, false},
        {"show ip route", CMD_SHOW_IP_ROUTE, false},
        {"sh ip ro 10.1.2.3 json", CMD_SHOW_IP_ROUTE, true},
        {"show ipv6 route 2001:db8::/32", CMD_SHOW_IPV6_ROUTE, false},
        {"sh bfd peers json", CMD_SHOW_BFD, true},
        {"show bf p", CMD_SHOW_BFD, false},
        {"show bfd peers b json", CMD_SHOW_BFD, true},
        {"show bfd peers counters", CMD_SHOW_BFD, false},
        {"show policy", CMD_SHOW_POLICY, false},
        {"sh pol from-tor json", CMD_SHOW_POLICY, true},
        {"show policy from-tor 10.0.0.0/8", CMD_SHOW_POLICY, false},
        {"show kubernetes", CMD_SHOW_KUBERNETES, false},
        {"sh kube serv json", CMD_SHOW_KUBERNETES, true},
        {"show kubernetes node", CMD_SHOW_KUBERNETES, false},
        {"show running-config", CMD_SHOW_RUNNING, false},
        {"sh ru", CMD_SHOW_RUNNING, false},
        {"show memory json", CMD_SHOW_MEMORY, true},
        {"show version", CMD_SHOW_VERSION, false},
        {"clear bgp *", CMD_CLEAR_BGP, false},
        {"clear bgp * soft", CMD_CLEAR_BGP, false},
        {"clear bgp 10.0.0.1 soft in", CMD_CLEAR_BGP, false},
        {"clear bgp tor-a soft out", CMD_CLEAR_BGP, false},
        {"advertise 10.0.0.0/24", CMD_ADVERTISE, false},
        {"advertise 10.0.0.1 2001:db8::/32 community 65000:1 65000:1:2 no-export med 5", CMD_ADVERTISE,
         false},
        {"advertise 10.0.0.0/24 community 65000:1 community 65000:1:2 65000:2 med 5", CMD_ADVERTISE, false},
        {"adv 10.0.0.0/24 m 5", CMD_ADVERTISE, false},
        {"withdraw 10.0.0.0/24 10.0.1.0/24", CMD_WITHDRAW, false},
        {"neighbor tor-a shutdown", CMD_SHUTDOWN, false},
        {"neigh tor-a shut mess back at json med 5", CMD_SHUTDOWN, false},
        {"no neighbor tor-a shutdown", CMD_NO_SHUTDOWN, false},
        {"reload", CMD_RELOAD, false},
        {"drain", CMD_DRAIN, false},
        {"drain after 5 wait", CMD_DRAIN, false},
        {"drain wait", CMD_DRAIN, false},
        {"undrain", CMD_UNDRAIN, false},
        {"bgp graceful-shutdown", CMD_GRACEFUL_SHUTDOWN, false},
        {"no bgp graceful-shutdown", CMD_NO_GRACEFUL_SHUTDOWN, false},
        {"restart", CMD_RESTART, false},
        {"restart sp", CMD_RESTART, false},
        {"log level debug", CMD_LOG_LEVEL, false},
        {"log level e", CMD_LOG_LEVEL, false},
        {"debug tor-a", CMD_DEBUG, false},
        {"debug 10.0.0.1 for 5m", CMD_DEBUG, false},
        {"no debug 10.0.0.1", CMD_NO_DEBUG, false},
        {"sh deb json", CMD_SHOW_DEBUG, true},
        {"help", CMD_HELP, false},
        {"help show bgp anything", CMD_HELP, false},
    };
    struct grammar *g = grammar_new();
    bool seen[CMD_COUNT] = {false};
    char error[512];
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct command c;
        int rc = grammar_parse(g, rows[i].line, &c, error, sizeof error);
        if (rc || c.row->id != rows[i].id || c.json != rows[i].json)
            printf("      %s: %s\n", rows[i].line, rc ? error : c.row->syntax);
        CU_ASSERT_EQUAL(rc, 0);
        if (rc)
            continue;
        CU_ASSERT_EQUAL(c.row->id, rows[i].id);
        CU_ASSERT_EQUAL(c.json, rows[i].json);
        seen[c.row->id] = true;
        command_free(&c);
    }
    for (const struct grammar_row *r = grammar_rows; r->id; r++) {
        if (!seen[r->id])
            printf("      no case for: %s\n", r->syntax);
        CU_ASSERT_TRUE(seen[r->id]);
    }
    grammar_free(g);
}

static void wrong_commands_get_a_hint(void)
{
    static const struct {
        const char *line, *says;
    } rows[] = {
        {"", "no command; expects one of show"},
        {"   ", "no command"},
        {"show", "incomplete command `show`; expects one of "},
        {"show bgp neigbors", "unknown word `neigbors`; did you mean `neighbors`?"},
        {"shwo version", "did you mean `show`?"},
        {"advertize 10.0.0.0/24", "did you mean `advertise`?"},
        {"advertise 10.0.0.0/24 comunity 1:2", "did you mean `community`?"},
        {"show i", "ambiguous word `i`: one of ip, ipv6"},
        {"show bgp i", "ambiguous word `i`: one of ipv4, ipv6"},
        {"n x shutdown", "ambiguous word `n`: one of neighbor, no"},
        {"show bgp nonsense", "unknown word `nonsense`; expected one of "},
        {"show version now", "unexpected word `now` after `show version`"},
        {"show version json json", "unexpected word `json`"},
        {"reload json", "unexpected word `json` after `reload`"},
        {"clear bgp", "incomplete command `clear bgp`; expects one of PEER, *"},
        {"clear bgp x hard", "unknown word `hard`"},
        {"advertise", "incomplete command `advertise`; expects PREFIX"},
        {"advertise tor-a", "unknown word `tor-a`; expected PREFIX"},
        {"advertise 10.0.0.0/24 med", "expects N"},
        {"advertise 10.0.0.0/24 weight heavy", "unknown word `heavy`; expected N"},
        {"advertise 10.0.0.0/24 med many", "unknown word `many`; expected N"},
        {"advertise 10.0.0.0/24 med -5", "unknown word `-5`"},
        {"neighbor x shutdown message", "expects TEXT"},
        {"log level loud", "unknown word `loud`; expected one of error, warn, info, debug"},
        {"show \x01\x1b[2J", "unknown word `??[2J`"},
    };
    struct grammar *g = grammar_new();
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct command c;
        char error[512];
        CU_ASSERT_EQUAL(grammar_parse(g, rows[i].line, &c, error, sizeof error), -EINVAL);
        if (!strstr(error, rows[i].says))
            printf("      %s: %s\n", rows[i].line, error);
        CU_ASSERT_PTR_NOT_NULL(strstr(error, rows[i].says));
    }
    grammar_free(g);
}

static void words_are_named_after_the_syntax(void)
{
    struct grammar *g = grammar_new();
    struct command c;
    char error[512];
    CU_ASSERT_EQUAL_FATAL(grammar_parse(g, "adv 10.0.0.0/24 ::/1 com 1:2 3:4 med 7", &c, error, sizeof error),
                          0);
    CU_ASSERT_EQUAL_FATAL(c.n, 8);
    CU_ASSERT_STRING_EQUAL(c.words[0].name, "advertise");
    CU_ASSERT_STRING_EQUAL(c.words[0].value, "adv");
    CU_ASSERT_STRING_EQUAL(c.words[2].name, "PREFIX");
    CU_ASSERT_STRING_EQUAL(c.words[2].value, "::/1");
    CU_ASSERT_STRING_EQUAL(c.words[5].name, "COMMUNITY");
    CU_ASSERT_TRUE(command_has(&c, "community"));
    CU_ASSERT_FALSE(command_has(&c, "json"));
    CU_ASSERT_STRING_EQUAL(command_arg(&c, "PREFIX"), "10.0.0.0/24");
    CU_ASSERT_STRING_EQUAL(command_arg(&c, "N"), "7");
    CU_ASSERT_PTR_NULL(command_arg(&c, "PEER"));
    command_free(&c);
    CU_ASSERT_EQUAL_FATAL(
        grammar_parse(g, "neighbor shutdown shutdown message message me", &c, error, sizeof error), 0);
    CU_ASSERT_STRING_EQUAL(command_arg(&c, "PEER"), "shutdown"); /* a keyword's name is fine for a peer */
    CU_ASSERT_STRING_EQUAL(command_arg(&c, "TEXT"), "message");
    command_free(&c);
    grammar_free(g);
}

static void short_error_buffers_are_respected(void)
{
    struct grammar *g = grammar_new();
    struct command c;
    char error[16];
    memset(error, 'x', sizeof error);
    CU_ASSERT_EQUAL(grammar_parse(g, "show nothing", &c, error, 8), -EINVAL);
    CU_ASSERT_EQUAL(strlen(error), 7);
    CU_ASSERT_EQUAL(error[8], 'x');
    grammar_free(g);
}

static void ten_thousand_prefixes_are_one_command(void)
{
    struct grammar *g = grammar_new();
    struct command c;
    char error[512], *line = malloc(200000), *p = line;
    p += sprintf(p, "advertise");
    for (unsigned i = 0; i < 10000; i++)
        p += sprintf(p, " 10.%u.%u.0/24", i / 256, i % 256);
    CU_ASSERT_EQUAL_FATAL(grammar_parse(g, line, &c, error, sizeof error), 0);
    CU_ASSERT_EQUAL(c.n, 10001);
    CU_ASSERT_STRING_EQUAL(c.words[10000].value, "10.39.15.0/24");
    command_free(&c);
    free(line);
    grammar_free(g);
}

struct list {
    char text[2048];
};

static void collect(void *arg, const char *s)
{
    struct list *l = arg;
    size_t n = strlen(l->text);
    snprintf(l->text + n, sizeof l->text - n, "%s|", s);
}

static void completion_offers_what_may_follow(void)
{
    static const struct {
        const char *line, *offers;
    } rows[] = {
        {"show bgp s", "summary|"},     {"show bgp summary ", "established|failed||"},
        {"sh bgp neighbors x ", "|"}, /* complete, and: */
        {"no ", "neighbor|bgp|debug|"}, {"log level ", "error|warn|info|debug|"},
        {"advertise ", "PREFIX|"},      {"nonsense ", ""},
    };
    struct grammar *g = grammar_new();
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct list l = {.text = ""};
        grammar_complete(g, rows[i].line, collect, &l);
        if (i == 2) {
            CU_ASSERT_PTR_NOT_NULL(strstr(l.text, "advertised-routes|received-routes|filtered-routes|"));
            CU_ASSERT_PTR_NOT_NULL(strstr(l.text, "||"));
            continue;
        }
        if (strcmp(l.text, rows[i].offers))
            printf("      %s: %s\n", rows[i].line, l.text);
        CU_ASSERT_STRING_EQUAL(l.text, rows[i].offers);
    }
    grammar_free(g);
}

static void help_lists_what_starts_with_the_words(void)
{
    struct grammar *g = grammar_new();
    struct list l = {.text = ""};
    CU_ASSERT_TRUE(grammar_help(g, "cl bgp", collect, &l));
    CU_ASSERT_PTR_NOT_NULL(strstr(l.text, "clear bgp PEER|* [soft [in|out]]|"));
    CU_ASSERT_PTR_NULL(strstr(l.text, "show"));
    CU_ASSERT_FALSE(grammar_help(g, "frobnicate", collect, &l));
    grammar_free(g);
}

static void fits(void *arg, const char *line)
{
    (void)arg;
    if (strlen(line) > 80)
        printf("      too wide: %s\n", line);
    CU_ASSERT_TRUE(strlen(line) <= 80);
}

static void help_fits_80_columns(void)
{
    struct grammar *g = grammar_new();
    CU_ASSERT_TRUE(grammar_help(g, "", fits, NULL));
    grammar_free(g);
}

static void add_line(void *arg, const char *line)
{
    fprintf(arg, "%s\n", line);
}

/* `underlayctl --commands-mdoc` prints what belongs between the two marks. */
static void man_page_lists_the_table(void)
{
    FILE *f = fopen("etc/man/underlayctl.8", "r");
    char page[65536], *expected = NULL;
    size_t size;
    if (!f) {
        unit_skip("not run from the top of the source tree");
        return;
    }
    size_t n = fread(page, 1, sizeof page - 1, f);
    page[n] = 0;
    fclose(f);
    FILE *m = open_memstream(&expected, &size);
    fputs(".\\\" commands: begin\n", m);
    grammar_mdoc(add_line, m);
    fputs(".\\\" commands: end\n", m);
    fclose(m);
    CU_ASSERT_PTR_NOT_NULL(strstr(page, expected));
    free(expected);
}

/* Form feeds and vertical tabs are no blanks, neither where words are counted nor where they are cut. */
static void other_white_space_is_part_of_a_word(void)
{
    static const char *const lines[] = {"\t\t\v\t\t\v", "\v \v \v \v \v \v", "show\f\f \f \f \f"};
    struct grammar *g = grammar_new();
    struct command c;
    char error[128];
    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++)
        CU_ASSERT_EQUAL(grammar_parse(g, lines[i], &c, error, sizeof error), -EINVAL);
    CU_ASSERT_EQUAL_FATAL(grammar_parse(g, " \r\t show  version \n", &c, error, sizeof error), 0);
    CU_ASSERT_EQUAL(c.n, 2);
    command_free(&c);
    grammar_free(g);
}

static const struct unit_case cases[] = {
    UNIT(commands_parse_to_their_row),
    UNIT(wrong_commands_get_a_hint),
    UNIT(words_are_named_after_the_syntax),
    UNIT(other_white_space_is_part_of_a_word),
    UNIT(short_error_buffers_are_respected),
    UNIT(ten_thousand_prefixes_are_one_command),
    UNIT(completion_offers_what_may_follow),
    UNIT(help_lists_what_starts_with_the_words),
    UNIT(help_fits_80_columns),
    UNIT(man_page_lists_the_table),
};
UNIT_MAIN("grammar", cases)
