/* ${NODE_NAME} and ${NODE_IP} in values of the configuration. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "config_int.h"
#include "unit.h"

static const struct config_files files = {.read = config_read_file};

static void set(const char *name, const char *ip)
{
    CU_ASSERT_EQUAL(name ? setenv("NODE_NAME", name, 1) : unsetenv("NODE_NAME"), 0);
    CU_ASSERT_EQUAL(ip ? setenv("NODE_IP", ip, 1) : unsetenv("NODE_IP"), 0);
}

/* What became of it; "-22: why" when it is wrong. The caller's. */
static char *expanded(const char *text)
{
    struct why why = {""};
    char *out = NULL, *said = NULL;
    int err = vars_expand(text, &out, &why);
    if (!err)
        return out ? out : strdup(text);
    CU_ASSERT_TRUE(asprintf(&said, "%d: %s", err, why.text) > 0);
    return said;
}

static void variables_are_put_in(void)
{
    static const struct {
        const char *text, *meant;
    } rows[] = {
        {"", ""},
        {"${NODE_NAME}", "worker-7"},
        {"${NODE_IP}", "10.0.1.7"},
        {"a ${NODE_NAME} b ${NODE_IP}/32 c ${NODE_NAME}", "a worker-7 b 10.0.1.7/32 c worker-7"},
        {"$${NODE_IP}}", "$10.0.1.7}"},
        {"${${NODE_IP}}", "${10.0.1.7}"},
        {"${NODE_NAME", "${NODE_NAME"},
        {"$NODE_NAME", "$NODE_NAME"},
        {"${node_name}", "${node_name}"},
        {"${NODE_NAMES} ${HOME} ${}", "${NODE_NAMES} ${HOME} ${}"},
        {"${PASS${NODE_NAME}WORD}", "${PASSworker-7WORD}"},
        {"ends in $", "ends in $"},
        {"ends in ${", "ends in ${"},
    };

    set("worker-7", "10.0.1.7");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *have = expanded(rows[i].text);
        CU_ASSERT_STRING_EQUAL(have, rows[i].meant);
        free(have);
    }
}

static void the_host_name_stands_in_for_the_node_name(void)
{
    char host[256] = "";

    set(NULL, NULL);
    CU_ASSERT_EQUAL_FATAL(gethostname(host, sizeof host - 1), 0);
    for (char *p = host; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    char *have = expanded("${NODE_NAME}");
    CU_ASSERT_STRING_EQUAL(have, host);
    free(have);
    set("", NULL);
    have = expanded("${NODE_NAME}");
    CU_ASSERT_STRING_EQUAL(have, host);
    free(have);
}

static void what_cannot_be_put_in_is_said(void)
{
    char long_one[400];

    memset(long_one, 'x', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = 0;
    const struct {
        const char *ip, *said;
    } rows[] = {{NULL, "-22: ${NODE_IP} is not set in the environment of underlayd"},
                {"", "-22: ${NODE_IP} is not set in the environment of underlayd"},
                {long_one, "-22: ${NODE_IP} is longer than a name can be"},
                {"10.0.0.1\n", "-22: ${NODE_IP} holds what no name or address does"},
                {"\xff", "-22: ${NODE_IP} holds what no name or address does"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        set("n", rows[i].ip);
        char *have = expanded("x ${NODE_NAME} ${NODE_IP} ${NODE_IP}");
        CU_ASSERT_STRING_EQUAL(have, rows[i].said);
        free(have);
    }
}

static struct config *load(const char *text, char **errors)
{
    struct config_errors e = {0};
    struct config *c = NULL;
    int err = config_load("f", text, strlen(text), &files, &e, &c);
    CU_ASSERT_EQUAL(err, c ? 0 : -EINVAL);
    *errors = config_errors_text(&e);
    config_errors_reset(&e);
    return c;
}

static void values_are_expanded_and_keys_and_single_quotes_are_not(void)
{
    static const char text[] = "router:\n"
                               "  asn: 65001\n"
                               "  id: ${NODE_IP}\n"
                               "peers:\n"
                               "  - address: \"${NODE_IP}9\"\n"
                               "    asn: 65000\n"
                               "    description: &d ${NODE_NAME}\n"
                               "  - address: 10.0.0.2\n"
                               "    asn: 65000\n"
                               "    description: *d\n"
                               "  - address: 10.0.0.3\n"
                               "    asn: 65000\n"
                               "    description: '${NODE_NAME}'\n"
                               "advertise:\n"
                               "  vips: [{prefix: \"${NODE_IP}/32\"}]\n";
    char *errors;

    set("worker-7", "10.0.1.7");
    struct config *c = load(text, &errors);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_EQUAL(c->router.id, 0x0a000107);
    CU_ASSERT_TRUE(c->peers[0].address.b[3] == 79 && c->advertise.vips[0].prefix.addr.b[3] == 7);
    CU_ASSERT_STRING_EQUAL(c->peers[0].description, "worker-7");
    CU_ASSERT_STRING_EQUAL(c->peers[1].description, "worker-7");
    CU_ASSERT_STRING_EQUAL(c->peers[2].description, "${NODE_NAME}");
    free(errors);
    char *printed = config_print(c);
    config_free(c);
    c = load(printed, &errors); /* and it is printed so that it stays that */
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_STRING_EQUAL(c->peers[2].description, "${NODE_NAME}");
    free(errors);
    free(printed);
    config_free(c);
    CU_ASSERT_PTR_NULL(load("${NODE_NAME}: {asn: 65001}\n", &errors));
    CU_ASSERT_PTR_NOT_NULL(strstr(errors, "unknown key `${NODE_NAME}`"));
    free(errors);
}

static void a_missing_one_is_told_at_its_place(void)
{
    char *errors;

    set("worker-7", NULL);
    CU_ASSERT_PTR_NULL(load("router:\n  asn: 65001\n  id: ${NODE_IP}\n", &errors));
    CU_ASSERT_STRING_EQUAL(errors, "f:3:7: ${NODE_IP} is not set in the environment of underlayd\n");
    free(errors);
}

static const struct unit_case cases[] = {
    UNIT(variables_are_put_in),
    UNIT(the_host_name_stands_in_for_the_node_name),
    UNIT(what_cannot_be_put_in_is_said),
    UNIT(values_are_expanded_and_keys_and_single_quotes_are_not),
    UNIT(a_missing_one_is_told_at_its_place),
};
UNIT_MAIN("config_vars", cases)
