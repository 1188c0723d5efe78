/* underlayctl: one command, or commands from standard input, over the control socket of a running underlayd.
 *
 * The command table is linked in, so that a typo is answered, and help given, without a daemon. What commands
 * do, and all that they print, is the daemon's. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "control/control.h"
#include "control/grammar.h"

#define DEFAULT_SOCKET "/run/underlay/control.sock"
#define RESTART_S      30 /* so long a restart may take */

static const char usage[] =
    "usage: underlayctl [--socket PATH] [--json] COMMAND...\n"
    "       underlayctl [--socket PATH] [--json] -\n"
    "Asks or tells a running underlayd. With - it reads commands from standard input,\n"
    "one a line; blank lines and lines that start with # are skipped.\n"
    "\n"
    "  --socket PATH  the control socket ($UNDERLAY_SOCKET, else\n"
    "                 " DEFAULT_SOCKET ")\n"
    "  --json         answer in JSON; a last word `json` means the same\n"
    "  --version      print the version and exit\n"
    "  --help         print this and exit\n"
    "\n"
    "Exit status: 0 done, 1 refused by the daemon, 2 usage, 3 daemon not reached.\n"
    "\n"
    "Commands; every word may be cut short while it stays unambiguous:\n";

static void print_line(void *arg, const char *line)
{
    fprintf(arg, "%s\n", line);
}

static void print_help(FILE *f, const struct grammar *g)
{
    fputs(usage, f);
    grammar_help(g, "", print_line, f);
}

/* The words of the command line as one line. NULL: out of memory, or a word holds a newline. */
static char *join(char **words, int n)
{
    size_t size = 1;
    for (int i = 0; i < n; i++)
        size += strlen(words[i]) + 1;
    char *line = malloc(size), *p = line;
    for (int i = 0; line && i < n; i++)
        p += sprintf(p, "%s%s", i ? " " : "", words[i]);
    if (line && (strchr(line, '\n') || strchr(line, '\r'))) {
        free(line);
        return NULL;
    }
    return line;
}

static int help_locally(const struct grammar *g, const struct command *cmd)
{
    char words[256] = "";
    size_t n = 0;
    for (unsigned i = 1; i < cmd->n && n < sizeof words - 1; i++)
        n += (size_t)snprintf(words + n, sizeof words - n, "%s ", cmd->words[i].value);
    if (grammar_help(g, words, print_line, stdout))
        return CLI_OK;
    fprintf(stderr, "underlayctl: no command starts with `%s`\n", words);
    return CLI_USAGE;
}

static int ask_version(const char *socket, json_t **answer)
{
    char *text = NULL;
    size_t size;
    int fd, status = client_connect(socket, &fd);
    *answer = NULL;
    if (status)
        return status;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        close(fd);
        fprintf(stderr, "underlayctl: out of memory\n");
        return CLI_UNREACHABLE;
    }
    status = client_run_one(fd, true, "show version", out);
    close(fd);
    fclose(out);
    if (!status)
        *answer = json_loads(text, 0, NULL);
    free(text);
    return status;
}

static unsigned count_of(const json_t *object, const char *key)
{
    return (unsigned)json_integer_value(json_object_get(object, key));
}

static int restarted_but(const char *what)
{
    fprintf(stderr, "underlayctl: restarted, but %s; the log says why\n", what);
    return CLI_REFUSED;
}

/* By what the new process says: whether the restart, of the speaker or of the whole, was what was asked for.
 */
static int judge_restart(const json_t *version, bool whole)
{
    const json_t *restart = json_object_get(version, "plannedRestart");
    const char *error = json_string_value(json_object_get(restart, "error"));
    const char *running = json_string_value(json_object_get(version, "version"));
    unsigned sessions = count_of(restart, "sessions"), taken = count_of(restart, "sessionsTakenOver"),
             ended = count_of(restart, "sessionsEnded");
    bool unusable = error && *error;
    char text[256];

    if (!restart)
        return restarted_but("no session was taken over; they fall back to graceful restart");
    if (taken + ended < sessions) {
        snprintf(text, sizeof text,
                 "%u of %u sessions were taken over%s%s%s; the others fall back to graceful restart", taken,
                 sessions, unusable ? " (what was handed over cannot be used: " : "", unusable ? error : "",
                 unusable ? ")" : "");
        return restarted_but(text);
    }
    if (whole && strcmp(running ? running : "", UNDERLAY_VERSION)) {
        snprintf(text, sizeof text, "it is %.64s that runs, and this is %s",
                 running ? running : "another version", UNDERLAY_VERSION);
        return restarted_but(text);
    }
    if (ended)
        printf("restarted; sessions ended for a changed configuration: %u\n", ended);
    else
        puts("restarted");
    return CLI_OK;
}

static int await_restart(const char *socket, bool whole)
{
    json_t *version;
    fflush(stdout);
    int status = client_wait_served(socket, RESTART_S);
    if (!status)
        status = ask_version(socket, &version);
    if (status)
        return status;
    status = judge_restart(version, whole);
    json_decref(version);
    return status;
}

static int run_command(const struct grammar *g, const char *socket, bool json, char **words, int n)
{
    char error[512];
    struct command cmd;
    char *line = join(words, n);
    if (!line || strlen(line) > CONTROL_REQUEST_MAX - 16) {
        fprintf(stderr, "underlayctl: the command %s\n",
                line ? "is longer than 1 MiB" : "holds a line break");
        free(line);
        return CLI_USAGE;
    }
    int fd, status = CLI_USAGE;
    if (grammar_parse(g, line, &cmd, error, sizeof error)) {
        fprintf(stderr, "underlayctl: %s\n", error);
    } else if (cmd.row->flags & GRAMMAR_LOCAL) {
        status = help_locally(g, &cmd);
        command_free(&cmd);
    } else {
        bool restarts = cmd.row->id == CMD_RESTART, whole = cmd.n == 1;
        command_free(&cmd);
        status = client_connect(socket, &fd);
        if (!status) {
            status = client_run_one(fd, json, line, stdout);
            close(fd);
        }
        if (!status && restarts)
            status = await_restart(socket, whole);
    }
    free(line);
    return status;
}

static int run_lines(const struct grammar *g, const char *socket, bool json)
{
    int fd, status = client_connect(socket, &fd);
    if (status)
        return status;
    status = client_run_lines(fd, json, STDIN_FILENO, g);
    close(fd);
    return status;
}

struct options {
    const char *socket;
    bool json;
};

/* Returns -1 to go on, else an exit status. */
static int parse_options(int argc, char **argv, struct options *o, const struct grammar *g)
{
    enum { OPT_SOCKET = 1, OPT_JSON, OPT_VERSION, OPT_HELP, OPT_MDOC };
    static const struct option table[] = {
        {"socket", required_argument, NULL, OPT_SOCKET},
        {"json", no_argument, NULL, OPT_JSON},
        {"version", no_argument, NULL, OPT_VERSION},
        {"help", no_argument, NULL, OPT_HELP},
        {"commands-mdoc", no_argument, NULL, OPT_MDOC}, /* for the man page's list */
        {NULL, 0, NULL, 0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "+", table, NULL)) != -1) {
        switch (c) {
        case OPT_SOCKET:
            o->socket = optarg;
            break;
        case OPT_JSON:
            o->json = true;
            break;
        case OPT_VERSION:
            printf("underlayctl %s\n", UNDERLAY_VERSION);
            return CLI_OK;
        case OPT_HELP:
            print_help(stdout, g);
            return CLI_OK;
        case OPT_MDOC:
            grammar_mdoc(print_line, stdout);
            return CLI_OK;
        default:
            fprintf(stderr, "Try `underlayctl --help`.\n");
            return CLI_USAGE;
        }
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct options o = {.socket = getenv("UNDERLAY_SOCKET")};
    struct grammar *g = grammar_new();
    if (!g) {
        fprintf(stderr, "underlayctl: out of memory\n");
        return CLI_UNREACHABLE;
    }
    if (!o.socket || !*o.socket)
        o.socket = DEFAULT_SOCKET;
    int status = parse_options(argc, argv, &o, g), n = argc - optind;
    if (status < 0 && !n) {
        print_help(stderr, g);
        fprintf(stderr, "\nunderlayctl: no command given (there is no interactive shell yet)\n");
        status = CLI_USAGE;
    } else if (status < 0 && n == 1 && !strcmp(argv[optind], "-")) {
        status = run_lines(g, o.socket, o.json);
    } else if (status < 0) {
        status = run_command(g, o.socket, o.json, argv + optind, n);
    }
    grammar_free(g);
    return status;
}
