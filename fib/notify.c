/* systemd's notification protocol: lines of text in one datagram to $NOTIFY_SOCKET.
 *
 * Written out, because libsystemd brings compression and cryptography libraries into both processes of a
 * daemon that means to idle under 5 MiB. The parent alone speaks to systemd; the variables are taken out of
 * the environment so that the speaker does not think it should. The watchdog is fed by a timer of the event
 * loop: a loop that hangs goes hungry.
 */
#include "fib/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

struct notify {
    int fd; /* -1: nobody listens */
    struct sockaddr_un to;
    socklen_t to_len;
    struct timer *watchdog;
    uint64_t watchdog_ms;
};

static void say(struct notify *n, const char *text)
{
    if (n->fd >= 0 && sendto(n->fd, text, strlen(text), MSG_NOSIGNAL, (void *)&n->to, n->to_len) < 0)
        log_debug("systemd does not listen");
}

static void feed(void *arg)
{
    struct notify *n = arg;

    say(n, "WATCHDOG=1");
    timer_set(n->watchdog, n->watchdog_ms);
}

static void open_socket(struct notify *n, const char *path)
{
    size_t len = strlen(path);

    if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof n->to.sun_path)
        return;
    n->to.sun_family = AF_UNIX;
    memcpy(n->to.sun_path, path, len);
    if (path[0] == '@')
        n->to.sun_path[0] = 0; /* the abstract namespace */
    n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static void start_watchdog(struct notify *n)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    if (!usec || n->fd < 0 || (pid && strtol(pid, NULL, 10) != getpid()))
        return;
    n->watchdog_ms = strtoull(usec, NULL, 10) / 2000;
    if (n->watchdog_ms)
        feed(n);
}

struct notify *notify_new(struct loop *l)
{
    struct notify *n = calloc(1, sizeof *n);
    const char *path = getenv("NOTIFY_SOCKET");

    if (!n || !(n->watchdog = timer_new(l, feed, n))) {
        free(n);
        return NULL;
    }
    n->fd = -1;
    if (path)
        open_socket(n, path);
    start_watchdog(n);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return n;
}

void notify_free(struct notify *n)
{
    if (!n)
        return;
    timer_free(n->watchdog);
    if (n->fd >= 0)
        close(n->fd);
    free(n);
}

void notify_ready(struct notify *n, const char *status)
{
    char text[256];

    snprintf(text, sizeof text, "READY=1\nSTATUS=%s", status);
    say(n, text);
}

void notify_status(struct notify *n, const char *status)
{
    char text[256];

    snprintf(text, sizeof text, "STATUS=%s", status);
    say(n, text);
}

void notify_reloading(struct notify *n)
{
    char text[64];

    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)loop_now_us());
    say(n, text);
}

void notify_stopping(struct notify *n)
{
    say(n, "STOPPING=1");
}
