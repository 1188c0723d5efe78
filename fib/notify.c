/* What systemd is told, by libsystemd's sd_notify. The parent alone speaks to systemd: supervise.c takes the
 * variables out of the speaker's environment. The watchdog is fed by a timer of the event loop: a loop that
 * hangs goes hungry. Without systemd every call is a no-op.
 *
 * Not here: stopping or starting anything. */
#include "fib/notify.h"

#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "log.h"

struct notify {
    struct timer *watchdog;
    uint64_t watchdog_ms; /* half of what systemd allows */
};

static void feed(void *arg)
{
    struct notify *n = arg;

    sd_notify(0, "WATCHDOG=1");
    timer_set(n->watchdog, n->watchdog_ms);
}

struct notify *notify_new(struct loop *l)
{
    struct notify *n = calloc(1, sizeof *n);
    uint64_t usec;

    if (!n || !(n->watchdog = timer_new(l, feed, n))) {
        free(n);
        return NULL;
    }
    if (sd_watchdog_enabled(0, &usec) > 0) {
        n->watchdog_ms = usec / 2000;
        feed(n);
    }
    return n;
}

void notify_free(struct notify *n)
{
    if (!n)
        return;
    timer_free(n->watchdog);
    free(n);
}

void notify_ready(struct notify *n, const char *status)
{
    (void)n;
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_status(struct notify *n, const char *status)
{
    (void)n;
    sd_notifyf(0, "STATUS=%s", status);
}

void notify_reloading(struct notify *n)
{
    (void)n;
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)loop_now_us());
}

void notify_stopping(struct notify *n)
{
    (void)n;
    sd_notify(0, "STOPPING=1");
}
