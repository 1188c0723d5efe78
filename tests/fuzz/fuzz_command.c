/* Commands as they come over the control socket, line by line, parsed and carried out over a small RIB with
 * three peers that are fakes. JSON is JSON, text is printable lines, an error is one line. */
#include "tests/unit/exec_fixture.h"

#include "tests/fuzz/fuzz.h"

enum { LINES = 6 };

static unsigned candidates;

static void candidate(void *arg, const char *text)
{
    (void)arg;
    FUZZ_CHECK(strlen(text) < 64);
    candidates++;
}

static void help_line(void *arg, const char *line)
{
    (void)arg;
    FUZZ_CHECK(!strchr(line, '\n'));
}

static void check_output(bool json)
{
    FUZZ_CHECK(!strchr(error_text, '\n'));
    FUZZ_CHECK(status == STATUS_OK ? !*error_text : *error_text != 0);
    if (json && *output) {
        json_t *j = json_loads(output, JSON_REJECT_DUPLICATES, NULL);
        FUZZ_CHECK(j);
        json_decref(j);
    }
}

static void one(const char *line)
{
    struct command cmd;
    char why[512] = "";
    bool json = *line == '!';
    line += json;
    grammar_complete(grammar, line, candidate, NULL);
    grammar_help(grammar, line, help_line, NULL);
    int rc = grammar_parse(grammar, line, &cmd, why, sizeof why);
    FUZZ_CHECK(!rc || rc == -EINVAL);
    if (rc) {
        FUZZ_CHECK(*why && !strchr(why, '\n'));
        return;
    }
    FUZZ_CHECK(cmd.row && cmd.n);
    json = (json || cmd.json) && (cmd.row->flags & GRAMMAR_JSON);
    command_free(&cmd);
    run_for(line, json, 100000);
    check_output(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    if (size > 4096)
        return 0;
    log_init("fuzz", LOG_LVL_ERROR, LOG_FMT_TEXT, LOG_TO_STDERR);
    begin();
    const struct attr *a = fx_attr(&fx, 1, 2);
    fx_update(&fx, peers[0].rib, "192.0.2.0/24", a);
    a = fx_attr(&fx, 2, 1);
    fx_update(&fx, peers[1].rib, "2001:db8::/32", a);
    fx_work(&fx);
    char *text = fuzz_text(&in), *save = NULL;
    unsigned n = 0;
    for (char *line = strtok_r(text, "\n", &save); line && n < LINES; line = strtok_r(NULL, "\n", &save), n++)
        one(line);
    free(text);
    log_set_level(LOG_LVL_ERROR);
    end();
    return 0;
}
