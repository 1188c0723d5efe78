/* Configuration files. An error is told with a place; what is accepted prints to a file that loads to the
 * same. */
#include <errno.h>

#include "config.h"
#include "tests/fuzz/fuzz.h"

static int read_key(void *arg, const char *path, char *buf, size_t size, size_t *len)
{
    (void)arg;
    if (path[0] != '/')
        return -ENOENT;
    *len = strlen(path) < size ? strlen(path) : size;
    memcpy(buf, path, *len);
    return 0;
}
static const struct config_files files = {.read = read_key};

/* A password is printed as <hidden>, which is refused as a password: one of the same length takes its place
 * in the text and in what it is compared with. */
static void put_passwords_back(struct config *c, char *text)
{
    static const char hidden[] = "password: \"<hidden>\"", other[] = "password: \"-hidden-\"";
    for (char *at = text; (at = strstr(at, hidden)); at += sizeof other - 1)
        memcpy(at, other, sizeof other - 1);
    for (unsigned i = 0; i < c->n_peers; i++)
        if (c->peers[i].password[0] && !c->peers[i].password_file)
            strncpy(c->peers[i].password, "-hidden-", sizeof c->peers[i].password); /* pads with zeros */
}

static void print_and_load(struct config *c)
{
    struct config_errors errors = {.n = 0};
    struct config *again = NULL;
    struct config_diff diff;
    char *text = config_print(c);
    FUZZ_CHECK(text);
    put_passwords_back(c, text);
    int rc = config_load("printed", text, strlen(text), &files, &errors, &again);
    if (rc) {
        char *why = config_errors_text(&errors);
        fprintf(stderr, "%s\n%s\n", text, why ? why : "");
    }
    FUZZ_CHECK(!rc);
    FUZZ_CHECK(!config_diff(c, again, &diff));
    if (diff.changes)
        fprintf(stderr, "%s\nchanges %x restart \"%s\" key \"%s\"\n", text, diff.changes, diff.restart,
                diff.n_peers && diff.peers[0].key ? diff.peers[0].key : "");
    FUZZ_CHECK(!diff.changes);
    config_diff_reset(&diff);
    config_errors_reset(&errors);
    config_free(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_errors errors = {.n = 0};
    struct config *c = NULL;
    int rc = config_load("fuzz.yaml", (const char *)data, size, &files, &errors, &c);
    FUZZ_CHECK((rc == 0) == (c != NULL) && (rc == 0 || rc == -EINVAL));
    FUZZ_CHECK((rc == -EINVAL) == (errors.total > 0));
    for (unsigned i = 0; i < errors.n; i++)
        FUZZ_CHECK(!strncmp(errors.list[i].text, "fuzz.yaml:", 10) && !strchr(errors.list[i].text, '\n'));
    if (c)
        print_and_load(c);
    config_free(c);
    config_errors_reset(&errors);
    return 0;
}
