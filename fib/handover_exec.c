/* This process executing itself anew, from the file that a package upgrade has replaced: same process id, so
 * that systemd and a container see nothing of it, same arguments and environment.
 *
 * What goes on is passed as open descriptors and a memfd with one line of text for each, whose number is in
 * the environment. What is not in there is found again in the kernel, as after any start: routes, nexthop
 * objects and addresses stay where they are, and are adopted. A life that does not understand the table
 * closes what it was given and starts cold: what was passed on is what is not close-on-exec.
 *
 * Signals are blocked from here until the new life has its handlers.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fib/bfd.h"
#include "fib/caps.h"
#include "fib/handover_internal.h"
#include "fib/roles.h"
#include "fib/supervise.h"

#define TABLE_ENV "UNDERLAY_HANDOVER_FD"
#define HEADLINE  "underlay parent 1\n" /* another number where a line has changed its meaning */
#define LAST_LINE "end\n"
#define CHECK_MS  2000

/* The check of a configuration, by what will take our place. */
static pid_t spawn_check(const struct handover *h, int alive)
{
    posix_spawn_file_actions_t actions;
    char option[] = "--check";
    size_t n = 0;
    pid_t pid;

    while (h->argv && h->argv[n])
        n++;
    char **argv = calloc(n + 2, sizeof *argv);
    if (!argv)
        return -ENOMEM;
    memcpy(argv, h->argv, n * sizeof *argv);
    argv[n] = option;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, alive, alive); /* without close-on-exec */
    int rc = posix_spawn(&pid, h->path, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    free(argv);
    return rc ? -rc : pid;
}

/* Whether who holds the other end of the pipe ends in time. */
static bool has_ended(int alive)
{
    uint64_t now = loop_now_ms(), end = now + CHECK_MS;
    struct pollfd p = {.fd = alive, .events = POLLIN};

    for (; now < end; now = loop_now_ms()) {
        int rc = poll(&p, 1, (int)(end - now));
        if (rc > 0 || (rc < 0 && errno != EINTR)) /* SIGCHLD comes in between */
            return rc > 0;
    }
    return false;
}

int handover_exec_check(const struct handover *h)
{
    int alive[2], status = 0;

    if (!h->path || !h->argv)
        return -ENOENT;
    if (pipe2(alive, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = spawn_check(h, alive[1]);
    close(alive[1]);
    if (pid > 0 && !has_ended(alive[0]))
        kill(pid, SIGKILL);
    close(alive[0]);
    if (pid < 0)
        return pid;
    if (waitpid(pid, &status, 0) < 0)
        return -errno;
    return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : 1;
}

int handover_pass(int fd)
{
    fcntl(fd, F_SETFD, 0);
    return fd;
}

static void write_settings(const struct fm_settings *s, FILE *out)
{
    char v4[INET_ADDRSTRLEN], v6[INET6_ADDRSTRLEN];

    fprintf(out, "settings %u %u %u %u %u %u %u %u %u %u %s %s\n", s->flags, s->table, s->metric, s->protocol,
            s->stale_time_ms, s->control_gid, s->port, s->log_level, s->log_format, s->log_target,
            inet_ntop(AF_INET, s->prefsrc_ipv4, v4, sizeof v4),
            inet_ntop(AF_INET6, s->prefsrc_ipv6, v6, sizeof v6));
}

static int write_table(struct handover *h, int bfd, FILE *out)
{
    const struct fib *f = h->f;
    int claim = kernel_claim_fd(f->kernel);

    fputs(HEADLINE, out);
    fprintf(out, "bfd %d\n", bfd);
    write_settings(&f->settings, out);
    fprintf(out, "flags %d %d\n", f->withdraws, f->reload_wanted);
    if (claim >= 0)
        fprintf(out, "claim %d\n", handover_pass(claim));
    roles_save(f->roles, out);
    for (unsigned i = 0; i < h->n_kept; i++)
        fprintf(out, "kept %d %" PRIu32 " %" PRIu32 "\n", handover_pass(h->kept[i].fd), h->kept[i].what.kind,
                h->kept[i].what.index);
    fputs(LAST_LINE, out);
    return fflush(out) ? -errno : 0;
}

static bool is_passed(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    return flags >= 0 && !(flags & FD_CLOEXEC);
}

/* Every descriptor but the standard streams that an exec would pass on: closed, or no longer so. */
static void for_passed(void (*fn)(int fd))
{
    DIR *d = opendir("/proc/self/fd");
    struct dirent *e;

    while (d && (e = readdir(d))) {
        int fd = atoi(e->d_name);
        if (fd > STDERR_FILENO && is_passed(fd))
            fn(fd);
    }
    if (d)
        closedir(d);
}

static void close_passed(int fd)
{
    close(fd);
}

static void keep_to_myself(int fd)
{
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* BFD's thread stops for it: no time to lose. Returns when it does not work. */
static int save_bfd_and_exec(struct handover *h, int bfd)
{
    int rc = bfd_save(h->f->bfd, bfd);

    if (!rc) {
        execv(h->path, h->argv);
        rc = -errno;
    }
    int lost = bfd_resume(h->f->bfd);
    if (lost)
        log_error("the BFD sessions cannot go on; they begin again", F_ERR(lost));
    return rc;
}

int handover_exec(struct handover *h)
{
    char number[16];
    FILE *out = NULL;
    sigset_t all, old;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    int fd = memfd_create("underlay-handover", 0), bfd = memfd_create("underlay-bfd", 0);
    int rc = fd < 0 || bfd < 0 || !(out = fdopen(fd, "w")) ? -errno : write_table(h, bfd, out);

    snprintf(number, sizeof number, "%d", fd);
    if (!rc && setenv(TABLE_ENV, number, 1))
        rc = -errno;
    if (!rc)
        rc = caps_pass_on();
    if (!rc)
        rc = save_bfd_and_exec(h, bfd);
    unsetenv(TABLE_ENV);
    if (out)
        fclose(out);
    else if (fd >= 0)
        close(fd);
    if (bfd >= 0)
        close(bfd);
    for_passed(keep_to_myself);
    sigprocmask(SIG_SETMASK, &old, NULL);
    return rc;
}

/* Reading the table: each function takes the rest of its line. */

/* Without its sessions we start all the same: they begin again. */
static bool take_bfd(struct handover *h, char *text)
{
    int fd;

    if (sscanf(text, "%d", &fd) != 1 || !handover_take(fd))
        return false;
    int rc = bfd_restore(h->f->bfd, fd);
    if (rc)
        log_error("the BFD sessions of the former process cannot go on", F_ERR(rc));
    close(fd);
    return true;
}

static bool take_settings(struct handover *h, char *text)
{
    char v4[INET_ADDRSTRLEN], v6[INET6_ADDRSTRLEN];
    struct fm_settings s = {0};
    int n = sscanf(text, "%u %u %u %u %u %u %u %hhu %hhu %hhu %15s %45s", &s.flags, &s.table, &s.metric,
                   &s.protocol, &s.stale_time_ms, &s.control_gid, &s.port, &s.log_level, &s.log_format,
                   &s.log_target, v4, v6);

    return n == 12 && inet_pton(AF_INET, v4, s.prefsrc_ipv4) == 1 &&
           inet_pton(AF_INET6, v6, s.prefsrc_ipv6) == 1 && !fib_configure(h->f, &s);
}

static bool take_flags(struct handover *h, char *text)
{
    int withdraws, reload;

    if (sscanf(text, "%d %d", &withdraws, &reload) != 2)
        return false;
    h->f->withdraws = withdraws;
    h->f->reload_wanted = reload;
    return true;
}

bool handover_take(int fd)
{
    return fd > STDERR_FILENO && is_passed(fd) && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static bool take_claim(struct handover *h, char *text)
{
    int fd;

    if (sscanf(text, "%d", &fd) != 1 || !handover_take(fd))
        return false;
    kernel_take_claim(h->f->kernel, fd);
    return true;
}

static bool take_role(struct handover *h, char *text)
{
    return roles_restore(h->f->roles, text);
}

static bool take_kept(struct handover *h, char *text)
{
    struct fm_keep m;
    int fd;

    return sscanf(text, "%d %" SCNu32 " %" SCNu32, &fd, &m.kind, &m.index) == 3 && handover_take(fd) &&
           !handover_add(h, &m, fd);
}

static bool take_line(struct handover *h, char *line)
{
    static const struct {
        const char *word;
        bool (*take)(struct handover *h, char *text);
    } rows[] = {
        {"bfd ", take_bfd},     {"settings ", take_settings}, {"flags ", take_flags},
        {"claim ", take_claim}, {"role ", take_role},         {"kept ", take_kept},
    };

    line[strcspn(line, "\n")] = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strncmp(line, rows[i].word, strlen(rows[i].word)))
            return rows[i].take(h, line + strlen(rows[i].word));
    return false;
}

/* 0, or -EPROTO: not a table that this version understands. */
static int take_table(struct handover *h, FILE *in)
{
    char *line = NULL;
    size_t size = 0;
    bool good = getline(&line, &size, in) >= 0 && !strcmp(line, HEADLINE), end = false;

    while (good && !end && getline(&line, &size, in) >= 0) {
        end = !strcmp(line, LAST_LINE);
        good = end || take_line(h, line);
    }
    free(line);
    return good && end ? 0 : -EPROTO;
}

int handover_resume(struct handover *h)
{
    const char *number = getenv(TABLE_ENV);
    int fd = number ? atoi(number) : -1;

    if (!number)
        return 0;
    unsetenv(TABLE_ENV); /* the speaker's business it is not */
    FILE *in = handover_take(fd) && lseek(fd, 0, SEEK_SET) == 0 ? fdopen(fd, "r") : NULL;
    int rc = in ? take_table(h, in) : -EBADF;
    if (in)
        fclose(in);
    for_passed(close_passed);
    if (rc) {
        log_error("what the former process has left is not understood; starting without it", F_ERR(rc));
        handover_drop(h);
        return rc;
    }
    h->f->ran = h->f->was_ready = true;
    supervise_ready(h->f->supervisor);
    log_info("executed anew", F_UINT("kept", h->n_kept));
    return 1;
}
