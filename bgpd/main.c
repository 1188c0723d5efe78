/* underlayd: the command line, and which of the two processes this one is.
 *
 * Started by a person or systemd it is the parent, which runs the FIB and starts the speaker by executing
 * itself with the same arguments and UNDERLAY_SPEAKER_FD in the environment. Usage errors and --check are
 * answered here, before any process is made. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "configfile.h"
#include "fib/fib.h"
#include "log.h"
#include "speaker.h"

enum { EXIT_OK, EXIT_CONFIG, EXIT_USAGE, EXIT_SYSTEM };

static const char help_text[] =
    "usage: underlayd [OPTION]...\n"
    "BGP speaker for a bare-metal node: advertises its pods and services to the\n"
    "top-of-rack routers and installs what it learns into the Linux kernel.\n"
    "\n"
    "  --config FILE          configuration (" UNDERLAY_SYSCONFDIR "/underlay/underlay.yaml)\n"
    "  --check                check the configuration and exit: 0 good, 1 not\n"
    "  --control-socket PATH  socket for underlayctl (/run/underlay/control.sock)\n"
    "  --user NAME            account of the speaker process (underlay, else nobody)\n"
    "  --log-level LEVEL      error, warn, info or debug; wins over the configuration\n"
    "  --version              print the version and exit\n"
    "  --help                 print this and exit\n"
    "\n"
    "It stays in the foreground. SIGHUP reloads the configuration, SIGUSR2 starts\n"
    "the program anew without losing a session, SIGTERM closes the sessions and\n"
    "removes its routes, unless on-stop is preserve. Exit status: 0 stopped,\n"
    "1 configuration, 2 usage, 3 the system (permission, port or socket taken,\n"
    "kernel).\n"
    "See underlayd(8), underlay.yaml(5), underlayctl(8).\n";

struct options {
    struct speaker_options speaker;
    bool check;
};

/* Returns -1 to go on, else an exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
    enum { OPT_CONFIG = 1, OPT_CHECK, OPT_SOCKET, OPT_USER, OPT_LEVEL, OPT_VERSION, OPT_HELP };
    static const struct option table[] = {
        {"config", required_argument, NULL, OPT_CONFIG},
        {"check", no_argument, NULL, OPT_CHECK},
        {"control-socket", required_argument, NULL, OPT_SOCKET},
        {"user", required_argument, NULL, OPT_USER},
        {"log-level", required_argument, NULL, OPT_LEVEL},
        {"version", no_argument, NULL, OPT_VERSION},
        {"help", no_argument, NULL, OPT_HELP},
        {NULL, 0, NULL, 0},
    };
    enum log_level level;
    int c;
    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (c) {
        case OPT_CONFIG:
            o->speaker.config = optarg;
            break;
        case OPT_CHECK:
            o->check = true;
            break;
        case OPT_SOCKET:
            o->speaker.control_socket = optarg;
            break;
        case OPT_USER:
            o->speaker.user = optarg;
            break;
        case OPT_LEVEL:
            if (log_level_parse(optarg, &level)) {
                fprintf(stderr, "underlayd: --log-level %s: not one of error, warn, info, debug\n", optarg);
                return EXIT_USAGE;
            }
            o->speaker.log_level = optarg;
            break;
        case OPT_VERSION:
            puts("underlayd " UNDERLAY_VERSION);
            return EXIT_OK;
        case OPT_HELP:
            fputs(help_text, stdout);
            return EXIT_OK;
        default:
            fputs("Try 'underlayd --help'.\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "underlayd: unexpected argument '%s'\nTry 'underlayd --help'.\n", argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

static int check(const char *path)
{
    struct config *c = NULL;
    char *errors = NULL;
    int rc = configfile_load(path, NULL, &c, &errors, NULL);
    if (rc)
        fputs(errors ? errors : "out of memory\n", stderr);
    free(errors);
    config_free(c);
    return rc ? EXIT_CONFIG : EXIT_OK;
}

/* No socket may take the place of a standard stream: the log would go there. */
static void fill_standard_streams(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
        ;
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    fill_standard_streams();
    struct options o = {.speaker = {.config = UNDERLAY_SYSCONFDIR "/underlay/underlay.yaml"}};
    int status = parse_options(argc, argv, &o);
    if (status >= 0)
        return status;
    if (o.check)
        return check(o.speaker.config);

    const char *fd = getenv(FIB_SPEAKER_FD_ENV);
    if (fd) {
        o.speaker.fib_fd = atoi(fd);
        unsetenv(FIB_SPEAKER_FD_ENV);
        return speaker_main(&o.speaker);
    }
    enum log_level level = LOG_LVL_INFO;
    if (o.speaker.log_level)
        log_level_parse(o.speaker.log_level, &level);
    log_init("fib", level, LOG_FMT_TEXT, LOG_TO_STDERR);
    struct fib_options fib = {.argv = argv};
    return fib_main(&fib);
}
