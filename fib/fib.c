/* The privileged parent: main loop, signals, and the paths along which one module's event becomes another's
 * work.
 *
 * It parses no configuration and no BGP. It starts the speaker, opens by role what that needs, and brings the
 * kernel in line with what the speaker says: fibmsg comes in through supervise.c and dispatch.c, the kernel's
 * news through events.c; links.c, nexthops.c, groups.c and routes.c hold the state.
 * Single-threaded but for BFD; all kernel requests are synchronous and bounded.
 */
#include "fib/fib.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fib/bfd.h"
#include "fib/binds.h"
#include "fib/caps.h"
#include "fib/dispatch.h"
#include "fib/groups.h"
#include "fib/handover.h"
#include "fib/internal.h"
#include "fib/links.h"
#include "fib/nexthops.h"
#include "fib/notify.h"
#include "fib/reconcile.h"
#include "fib/roles.h"
#include "fib/routes.h"
#include "fib/supervise.h"

#define EXIT_SYSTEM 3

struct signals {
    struct sig *term, *intr, *usr1, *usr2, *hup, *chld;
};

void fib_tell(struct fib *f, enum fm_type type, const void *records, uint32_t n)
{
    if (f->chan && fibchan_send(f->chan, type, records, n, -1) < 0)
        supervise_kill(f->supervisor, "a message to it cannot be queued");
}

static struct ip_addr prefsrc_of(uint8_t af, const uint8_t *bytes)
{
    struct ip_addr a = fm_addr(af, bytes);
    return addr_is_unspecified(&a) ? (struct ip_addr){0} : a;
}

static int check_kernel(struct fib *f)
{
    const struct fm_settings *s = &f->settings;
    struct kernel_config cfg = {.table = s->table, .metric = s->metric, .protocol = (uint8_t)s->protocol};

    cfg.prefsrc[FAM_IPV4] = prefsrc_of(AF_INET, s->prefsrc_ipv4);
    cfg.prefsrc[FAM_IPV6] = prefsrc_of(AF_INET6, s->prefsrc_ipv6);
    kernel_configure(f->kernel, &cfg);
    int rc = s->flags & FM_SET_INSTALL ? kernel_probe(f->kernel) : 0;
    if (rc == -EOPNOTSUPP) {
        log_error("this kernel has no nexthop objects: Linux 5.3 or newer is needed, or fib.install: false");
        return rc;
    }
    if (rc) {
        log_error("cannot read the kernel's nexthop objects", F_ERR(rc));
        return rc;
    }
    return 0;
}

/* A later speaker may have read a configuration that was changed since: what only matters from now on is
 * taken over. */
static void reconfigure(struct fib *f, const struct fm_settings *s)
{
    struct fm_settings now = *s, *old = &f->settings;

    old->stale_time_ms = s->stale_time_ms;
    old->flags = (old->flags & ~(uint32_t)FM_SET_PRESERVE) | (s->flags & FM_SET_PRESERVE);
    old->log_level = s->log_level;
    old->log_format = s->log_format;
    old->log_target = s->log_target;
    now.control_gid = old->control_gid;
    if (memcmp(&now, old, sizeof now))
        log_warn("changed fib settings and a changed port take effect after a full restart only");
}

void fib_set_log(struct fib *f, const struct fm_log *m)
{
    f->settings.log_level = m->level;
    f->settings.log_format = m->format;
    f->settings.log_target = m->target;
    log_init("fib", m->level, m->format, m->target);
}

int fib_configure(struct fib *f, const struct fm_settings *s)
{
    log_init("fib", s->log_level, s->log_format, s->log_target);
    if (f->configured) {
        reconfigure(f, s);
        return 0;
    }
    f->settings = *s;
    f->configured = true;
    int rc = check_kernel(f);
    if (rc)
        fib_stop(f, EXIT_SYSTEM);
    return rc;
}

/* That forwarding went on while BGP did not: of a former daemon the kernel's routes and addresses tell it; a
 * speaker that died has left all as it was. */
static void say_sync_done(struct fib *f)
{
    struct fm_flags m = {0};

    for (enum family fam = 0; fam < FAM_COUNT; fam++)
        if (f->ran || routes_kept(f->routes, fam) || binds_kept(f->binds, fam))
            m.flags |= fam == FAM_IPV6 ? FM_KEPT_IPV6 : FM_KEPT_IPV4;
    f->sync_due = false;
    handover_send(f->handover);
    fib_tell(f, FM_SYNC_DONE, &m, 1);
}

void fib_examined(struct fib *f)
{
    f->examined = true;
    if (f->sync_due)
        say_sync_done(f);
}

/* The kernel is not touched before the sockets are ours: where they are another daemon's, its routes are too.
 */
int fib_speaker_started(struct fib *f)
{
    if (!f->started) {
        int claimed = f->settings.flags & FM_SET_INSTALL ? kernel_claim(f->kernel) : 0;
        if (claimed) {
            log_error(claimed == -EADDRINUSE
                          ? "another underlayd in this network namespace has the protocol number; give "
                            "this one a fib.protocol of its own"
                          : "cannot claim the protocol number",
                      F_UINT("fib.protocol", f->settings.protocol), F_ERR(claimed));
            fib_stop(f, EXIT_SYSTEM);
            return claimed;
        }
        f->started = true;
        f->install = f->settings.flags & FM_SET_INSTALL;
        f->examined = !f->install;
        routes_sources_changed(f->routes);
        reconcile_start(f->reconcile);
    }
    links_send_all(f->links);
    f->sync_due = true;
    if (f->examined)
        say_sync_done(f);
    f->speaker_knows = true;
    int rc = caps_drop();
    if (rc)
        log_warn("cannot give up capabilities", F_ERR(rc));
    return 0;
}

/* It may be starting: then once it is there. */
static void ask_restart(struct fib *f)
{
    const struct fm_flags m = {.flags = FM_RESTART_PARENT};

    f->restart_wanted = !dispatch_is_ready(f->dispatch);
    if (!f->restart_wanted)
        fib_tell(f, FM_RESTART_ASKED, &m, 1);
}

void fib_speaker_ready(struct fib *f, const char *status)
{
    supervise_ready(f->supervisor);
    handover_done(f->handover);
    f->was_ready = true;
    notify_ready(f->notify, status);
    if (f->reload_wanted)
        fib_tell(f, FM_RELOAD, NULL, 0);
    f->reload_wanted = false;
    if (f->restart_wanted)
        ask_restart(f);
    if (!timer_running(f->stale))
        timer_set(f->stale, f->settings.stale_time_ms);
}

void fib_speaker_status(struct fib *f, const char *status)
{
    notify_status(f->notify, status);
}

void fib_speaker_reloading(struct fib *f)
{
    notify_reloading(f->notify);
}

void fib_speaker_gone(struct fib *f)
{
    f->speaker_knows = f->sync_due = false;
    f->ran = f->was_ready;
    timer_stop(f->stale);
    routes_speaker_gone(f->routes);
    groups_forget_ids(f->groups);
    nexthops_unwatch_all(f->nexthops);
    binds_speaker_gone(f->binds);
    bfd_speaker_gone(f->bfd);
}

void fib_sweep(struct fib *f)
{
    timer_stop(f->stale);
    routes_sweep(f->routes);
    groups_sweep(f->groups);
    hops_sweep(f->nexthops);
    binds_sweep(f->binds);
    bfd_sweep(f->bfd);
}

static void stale_due(void *arg)
{
    struct fib *f = arg;

    log_info("stale time is over");
    fib_sweep(f);
}

/* Deleting a group makes the kernel drop its routes, a million of them in under a second. */
static void withdraw(struct fib *f)
{
    uint64_t start = loop_now_ms();

    if (f->install) {
        groups_delete_all(f->groups);
        hops_delete_all(f->nexthops);
        routes_delete_all(f->routes);
    }
    binds_delete_all(f->binds);
    log_info("routes are withdrawn", F_UINT("took_ms", loop_now_ms() - start));
}

bool fib_preserves(const struct fib *f)
{
    return f->settings.flags & FM_SET_PRESERVE && !f->withdraws;
}

void fib_stop(struct fib *f, int status)
{
    /* When the sessions are closed, and not before: FRR ends one with a hard reset, and drops our routes,
     * when its BFD says AdminDown while it is up. */
    bfd_admin_down(f->bfd);
    if (!status && f->started && !fib_preserves(f))
        withdraw(f);
    loop_stop(f->loop, status);
}

static void on_signal(void *arg, int signum)
{
    struct fib *f = arg;

    switch (signum) {
    case SIGUSR1:
        f->withdraws = true;
        log_info("a stop will withdraw the routes", F_STR("signal", strsignal(signum)));
        break;
    case SIGUSR2:
        log_info("a restart is asked for", F_STR("signal", strsignal(signum)));
        ask_restart(f);
        break;
    case SIGTERM:
    case SIGINT:
        if (!supervise_stopping(f->supervisor)) {
            log_info("stopping", F_STR("signal", strsignal(signum)));
            notify_stopping(f->notify);
        }
        supervise_stop(f->supervisor);
        break;
    case SIGHUP:
        /* One that is starting may have read the file before it changed. */
        f->reload_wanted = !dispatch_is_ready(f->dispatch);
        if (!f->reload_wanted)
            fib_tell(f, FM_RELOAD, NULL, 0);
        break;
    case SIGCHLD:
        supervise_reap(f->supervisor);
        break;
    }
}

void fib_free_modules(struct fib *f)
{
    supervise_free(f->supervisor);
    handover_free(f->handover);
    if (f->roles)
        roles_remove_control(f->roles);
    roles_free(f->roles);
    dispatch_free(f->dispatch);
    reconcile_free(f->reconcile);
    bfd_free(f->bfd);
    routes_free(f->routes);
    groups_free(f->groups);
    nexthops_free(f->nexthops);
    binds_free(f->binds);
    links_free(f->links);
    notify_free(f->notify);
    fib_events_reset(f);
    timer_free(f->stale);
}

bool fib_make_modules(struct fib *f, const struct fib_options *o)
{
    return (f->links = links_new(f)) && (f->nexthops = nexthops_new(f)) && (f->groups = groups_new(f)) &&
           (f->routes = routes_new(f)) && (f->reconcile = reconcile_new(f)) && (f->roles = roles_new(f)) &&
           (f->dispatch = dispatch_new(f)) && (f->supervisor = supervise_new(f, o)) &&
           (f->handover = handover_new(f, o)) && (f->binds = binds_new(f)) && (f->bfd = bfd_new(f)) &&
           (f->notify = notify_new(f->loop)) && fib_events_init(f) &&
           (f->stale = timer_new(f->loop, stale_due, f));
}

static bool watch_signals(struct fib *f, struct signals *s)
{
    signal(SIGPIPE, SIG_IGN);
    s->term = sig_new(f->loop, SIGTERM, on_signal, f);
    s->intr = sig_new(f->loop, SIGINT, on_signal, f);
    s->usr1 = sig_new(f->loop, SIGUSR1, on_signal, f);
    s->usr2 = sig_new(f->loop, SIGUSR2, on_signal, f);
    s->hup = sig_new(f->loop, SIGHUP, on_signal, f);
    s->chld = sig_new(f->loop, SIGCHLD, on_signal, f);
    return s->term && s->intr && s->usr1 && s->usr2 && s->hup && s->chld;
}

static int run(struct fib *f)
{
    struct io *monitor = io_new(f->loop, kernel_monitor_fd(f->kernel), fib_on_monitor, f);
    int rc = monitor ? links_refresh(f->links) : -ENOMEM;

    if (rc == -EINTR)
        rc = links_refresh(f->links);
    if (rc == -EINTR) { /* once more when what has interrupted it is read */
        f->events_lost = rc;
        rc = 0;
    }
    if (!rc)
        rc = supervise_start(f->supervisor);
    if (monitor)
        io_want(monitor, IO_READ);
    int status = EXIT_SYSTEM;
    if (rc)
        log_error("cannot start", F_ERR(rc));
    else
        status = loop_run(f->loop);
    io_free(monitor);
    return status;
}

int fib_main(const struct fib_options *o)
{
    struct fib f = {0};
    struct signals s = {0};
    int status = EXIT_SYSTEM;
    static const int asking[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGCHLD};
    sigset_t early, none;

    sigemptyset(&early);
    sigemptyset(&none);

    /* What is asked for before there is a handler must not end us. A former life of this process has blocked
     * all. */
    for (size_t i = 0; i < sizeof asking / sizeof *asking; i++)
        sigaddset(&early, asking[i]);
    sigprocmask(SIG_SETMASK, &early, NULL);
    prctl(PR_SET_NAME, "underlayd: fib");
    if (!caps_can_administer()) {
        log_error("no permission: underlayd needs root, or CAP_NET_ADMIN and CAP_NET_BIND_SERVICE");
        return status;
    }
    int rc = kernel_open(&f.kernel);
    if (rc) {
        log_error("cannot talk to the kernel", F_ERR(rc));
        return status;
    }
    f.loop = loop_new();
    bool ok = f.loop && fib_make_modules(&f, o) && watch_signals(&f, &s);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (ok) {
        handover_resume(f.handover);
        status = run(&f);
    } else {
        log_error("out of memory");
    }
    fib_free_modules(&f);
    sig_free(s.term);
    sig_free(s.intr);
    sig_free(s.usr1);
    sig_free(s.usr2);
    sig_free(s.hup);
    sig_free(s.chld);
    if (f.loop)
        loop_free(f.loop);
    kernel_close(f.kernel);
    return status;
}
