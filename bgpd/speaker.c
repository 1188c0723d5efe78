/* The speaker's life: read the configuration with the privilege of the start, ask the parent for what needs
 * root, give the privilege up, learn the links, then run until told to stop.
 *
 * Everything after the start is driven by the loop; the order of a start is that of fibmsg.h. A failure
 * before the sessions start ends the process with the exit status of underlayd, which the parent passes on.
 * When the parent goes, so do we: the kernel's routes are its business, and it keeps them or not.
 *
 * Reloading is in reload.c, the import check in import.c. */
#include "speaker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "config_overlay.h"
#include "control/control.h"
#include "control/health.h"
#include "control/http.h"
#include "drain.h"
#include "fibclient.h"
#include "handover.h"
#include "kube/cni.h"
#include "kube/kube.h"
#include "kube/saved.h"
#include "log.h"
#include "peer.h"
#include "source/source.h"
#include "speaker_events.h"
#include "watch.h"

#define DEFER_MS 30000 /* Selection_Deferral_Timer, RFC 4724 4.1 */

enum { EXIT_CONFIG = 1, EXIT_SYSTEM = 3 };

static void check_deferral(struct speaker *s);

static bool rib_work_step(void *arg)
{
    struct speaker *s = arg;
    bool more = rib_work(s->rib);
    if (!more) {
        fibclient_rib_idle(s->fib);
        check_deferral(s);
    }
    return more;
}

static void rib_wants_work(void *arg)
{
    struct speaker *s = arg;
    task_wake(s->rib_task);
}

static int rib_asks_import(void *arg, enum family f, const struct prefix *p, const struct attr **a,
                           const struct rib_peer *peer, bool judged)
{
    return speaker_import(arg, f, p, a, peer, judged);
}

/* The account of the speaker. 0, or an exit status after a message. */
static int find_user(struct speaker *s, const char *name)
{
    if (!name && geteuid() != 0)
        return 0; /* there is no choice */
    const struct passwd *pw = getpwnam(name ? name : "underlay");
    if (!pw && name) {
        fprintf(stderr, "underlayd: --user %s: no such account on this host; create it or name another one\n",
                name);
        return EXIT_SYSTEM;
    }
    if (!pw) {
        log_warn(
            "there is no account named underlay; the speaker runs as nobody (systemd-sysusers creates it)");
        pw = getpwnam("nobody");
    }
    s->uid = pw ? pw->pw_uid : 65534;
    s->gid = pw ? pw->pw_gid : 65534;
    return 0;
}

/* Every capability set but the bounding one, which no longer matters without gains by exec. The change of
 * account empties them too, but not where the daemon was started as another user with ambient capabilities.
 */
static int drop_capabilities(void)
{
    cap_t none = cap_init();
    int rc = !none                                                                            ? -ENOMEM
             : cap_set_proc(none) || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) ? -errno
                                                                                              : 0;
    cap_free(none);
    return rc;
}

static int drop_privileges(const struct speaker *s)
{
    if (geteuid() != 0)
        log_warn("not started as root; the speaker keeps the account it was started with");
    else if (setgroups(0, NULL) || setresgid(s->gid, s->gid, s->gid) || setresuid(s->uid, s->uid, s->uid))
        return -errno;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return -errno;
    return drop_capabilities();
}

static uint32_t control_gid(const struct config *c)
{
    const struct group *g = getgrnam(c->control.group);
    if (!g)
        log_warn("no such group: only root may use the control socket",
                 F_STR("control.group", c->control.group));
    return g ? g->gr_gid : (uint32_t)-1;
}

static int set_path(struct fm_path *p, enum fm_file_role role, uint32_t index, const char *path)
{
    *p = (struct fm_path){.role = role, .index = index};
    if (strlen(path) >= sizeof p->path) {
        fprintf(stderr, "underlayd: %s: the path is longer than %zu bytes\n", path, sizeof p->path - 1);
        return EXIT_CONFIG;
    }
    memcpy(p->path, path, strlen(path) + 1);
    return 0;
}

/* systemd's directory, the default one for the default socket, else beside the socket: instances never share
 * a state. */
static char *choose_state_path(const struct speaker *s)
{
    const char *dir = getenv("STATE_DIRECTORY");
    char *path;
    int n;
    if (dir && *dir)
        n = asprintf(&path, "%.*s/state", (int)strcspn(dir, ":"), dir);
    else if (!strcmp(s->control_path, "/run/underlay/control.sock"))
        n = asprintf(&path, "/var/lib/underlay/state");
    else
        n = asprintf(&path, "%s.state", s->control_path);
    return n < 0 ? NULL : path;
}

/* What is last known of Kubernetes lies beside it. 0 or -ENOMEM. */
static int choose_state_paths(struct speaker *s)
{
    s->state_path = choose_state_path(s);
    if (s->state_path && asprintf(&s->kube_state_path, "%s-kubernetes", s->state_path) < 0)
        s->kube_state_path = NULL;
    return s->kube_state_path ? 0 : -ENOMEM;
}

static struct fm_settings make_settings(const struct config *c)
{
    struct fm_settings m = {
        .flags = (c->fib.install ? FM_SET_INSTALL : 0u) |
                 (c->router.on_stop == ON_STOP_PRESERVE ? FM_SET_PRESERVE : 0u),
        .table = c->fib.table,
        .metric = c->fib.metric,
        .protocol = c->fib.protocol,
        .stale_time_ms = c->router.graceful_restart.stale_time_ms,
        .control_gid = control_gid(c),
        .port = c->router.port,
        .log_level = (uint8_t)log_get_level(),
        .log_format = (uint8_t)c->log.format,
        .log_target = (uint8_t)c->log.target,
    };
    if (c->fib.prefsrc[FAM_IPV4].af)
        memcpy(m.prefsrc_ipv4, c->fib.prefsrc[FAM_IPV4].b, 4);
    if (c->fib.prefsrc[FAM_IPV6].af)
        memcpy(m.prefsrc_ipv6, c->fib.prefsrc[FAM_IPV6].b, 16);
    return m;
}

/* All files that the parent may open for us; one that has no path is off. 0 or an exit status. */
static int set_paths(const struct speaker *s, struct fm_path *paths, unsigned *n)
{
    const struct {
        enum fm_file_role role;
        const char *path;
    } files[] = {{FM_ROLE_CONFIG, s->config_name},
                 {FM_ROLE_CONTROL, s->control_path},
                 {FM_ROLE_STATE, s->state_path},
                 {FM_ROLE_KUBE_STATE, s->kube_state_path}, /* a reload may turn it on */
                 {FM_ROLE_CNI, s->config->cni.write}};
    int status = 0;

    for (unsigned i = 0; !status && i < sizeof files / sizeof *files; i++)
        if (files[i].path)
            status = set_path(&paths[(*n)++], files[i].role, 0, files[i].path);
    for (unsigned i = 0; !status && i < s->keys.n; i++)
        status = set_path(&paths[(*n)++], FM_ROLE_KEY, i, s->keys.files[i].path);
    return status;
}

/* Says to the parent all that it may open for us, once. 0 or an exit status. */
static int send_start(struct speaker *s)
{
    const struct config *c = s->config;
    unsigned n_paths = 0;
    struct fm_settings settings = make_settings(c);
    struct fm_path *paths = calloc(FM_ROLE_COUNT + s->keys.n, sizeof *paths);
    struct fm_listen *listens = calloc(c->router.n_listen + 1, sizeof *listens);
    unsigned n_listens = c->router.n_listen;
    int status = paths && listens ? set_paths(s, paths, &n_paths) : EXIT_SYSTEM;

    for (unsigned i = 0; !status && i < c->router.n_listen; i++) {
        listens[i] = (struct fm_listen){.index = i, .af = c->router.listen[i].af, .role = FM_ROLE_LISTEN};
        memcpy(listens[i].addr, c->router.listen[i].b, sizeof listens[i].addr);
    }
    if (!status && c->metrics.listen.port) {
        const struct endpoint *e = &c->metrics.listen;
        listens[n_listens] = (struct fm_listen){.af = e->addr.af, .role = FM_ROLE_METRICS, .port = e->port};
        memcpy(listens[n_listens++].addr, e->addr.b, sizeof listens[0].addr);
    }
    if (!status) {
        s->fds_missing = 1 + n_listens;
        if (fibclient_send_start(s->fib, &settings, paths, n_paths, listens, n_listens))
            status = EXIT_SYSTEM;
    }
    free(paths);
    free(listens);
    return status;
}

/* The start failed, with a message; what still arrives in this turn changes nothing. */
static void fail(struct speaker *s, int status)
{
    s->stopping = s->failed = true;
    loop_stop(s->loop, status);
}

static const char *socket_hint(int error)
{
    return error == -EADDRINUSE ? "; another underlayd uses it: give this one a --control-socket of its own"
           : error == -EACCES || error == -EROFS || error == -EPERM
               ? "; make its directory writable for underlayd, or name another place with --control-socket"
           : error == -ENAMETOOLONG ? "; a socket's path has at most 107 bytes"
                                    : "";
}

static void got_listener(struct speaker *s, uint32_t index, int fd, int error)
{
    const struct ip_addr *a = index < s->config->router.n_listen ? &s->config->router.listen[index] : NULL;
    char text[ADDR_STRLEN] = "?";
    if (a)
        addr_format(a, text);
    if (a && addr_is_unspecified(a) && (error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL)) {
        log_warn("not listening: this host has no such address family", F_STR("address", text));
        return;
    }
    int rc = error ? error : peer_set_listen(s->peers, fd);
    if (!rc)
        return;
    fprintf(stderr, "underlayd: cannot listen on %s port %u: %s%s\n", text, s->config->router.port,
            strerror(-rc),
            rc == -EADDRINUSE ? "; another BGP daemon has it: stop that, or set router.listen or router.port"
            : rc == -EACCES   ? "; ports below 1024 need CAP_NET_BIND_SERVICE"
            : rc == -EADDRNOTAVAIL ? "; router.listen names an address that this host does not have"
                                   : "");
    fail(s, EXIT_SYSTEM);
}

void speaker_got_fd(struct speaker *s, enum fm_file_role role, uint32_t index, int fd, int error)
{
    if (s->failed || !s->fds_missing ||
        (role != FM_ROLE_CONTROL && role != FM_ROLE_LISTEN && role != FM_ROLE_METRICS)) {
        if (fd >= 0)
            close(fd);
        return;
    }
    s->fds_missing--;
    if (role == FM_ROLE_LISTEN) {
        got_listener(s, index, fd, error);
        return;
    }
    if (role == FM_ROLE_METRICS) {
        http_listen(s->http, fd, error);
        return;
    }
    int rc = error ? error : control_listen(s->control, fd);
    if (rc) {
        fprintf(stderr, "underlayd: control socket %s: %s%s\n", s->control_path, strerror(-rc),
                socket_hint(rc));
        fail(s, EXIT_SYSTEM);
    }
}

static bool is_vip(const struct config *c, const struct ip_addr *a)
{
    for (unsigned i = 0; i < c->advertise.n_vips; i++)
        if (prefix_is_host(&c->advertise.vips[i].prefix) && addr_equal(&c->advertise.vips[i].prefix.addr, a))
            return true;
    return false;
}

/* The lowest IPv4 address on lo that is not a VIP, else of any interface. 0: there is none. */
static uint32_t choose_router_id(const struct speaker *s)
{
    const struct fib_address *a;
    unsigned n = fibclient_addresses(s->fib, &a);
    uint32_t best = 0;
    bool best_on_lo = false;
    for (unsigned i = 0; i < n; i++) {
        const struct fib_link *link = fibclient_link(s->fib, a[i].ifindex);
        if (a[i].addr.af != AF_INET || addr_is_loopback(&a[i].addr) || (a[i].flags & FM_ADDR_OURS) ||
            is_vip(s->config, &a[i].addr))
            continue;
        bool on_lo = link && (link->flags & FM_LINK_LOOP);
        uint32_t id;
        memcpy(&id, a[i].addr.b, 4);
        id = ntohl(id);
        if (!best || (on_lo && !best_on_lo) || (on_lo == best_on_lo && id < best)) {
            best = id;
            best_on_lo = on_lo;
        }
    }
    return best;
}

static void update_status(struct speaker *s)
{
    char text[128];
    unsigned up = 0, n = peer_set_count(s->peers);
    for (unsigned i = 0; i < n; i++)
        up += peer_established(peer_set_at(s->peers, i));
    snprintf(text, sizeof text, "%s%u of %u sessions established",
             drain_phase(s->drain) == DRAIN_OFF         ? ""
             : drain_phase(s->drain) == DRAIN_WITHDRAWN ? "drained; "
                                                        : "draining; ",
             up, n);
    if (!s->ready)
        fibclient_ready(s->fib, text);
    else
        fibclient_status(s->fib, text);
    s->ready = true;
}

void speaker_ready_again(struct speaker *s)
{
    s->ready = false;
    update_status(s);
}

/* The parent sweeps what was not learned again once there is nothing left to wait for. Routes that are still
 * on their way through the RIB go first: fibclient holds the word back until its queue is empty. */
static void check_synced(struct speaker *s)
{
    if (peer_set_expects(s->peers) || (!peer_set_count(s->peers) && kube_is_awaited(s->kube)))
        return; /* peers may yet come from annotations */
    for (unsigned i = 0; i < peer_set_count(s->peers); i++) {
        const struct peer *p = peer_set_at(s->peers, i);
        const char *message;
        if (peer_config(p)->kind == PEER_BY_RANGE && !peer_established(p))
            continue; /* nobody knows whether it comes back */
        if (!peer_config(p)->shutdown && !peer_is_shutdown(p, &message) && !peer_synced(p))
            return;
    }
    fibclient_synced(s->fib);
}

static void end_deferral(void *arg)
{
    struct speaker *s = arg;
    s->deferring = false;
    timer_stop(s->defer);
    peer_set_release_eor(s->peers);
}

/* RFC 4724 4.1: peers that kept our routes drop at our End-of-RIB what we have not said again; what comes
 * from others must have come by then. Never at a cold start, when nobody keeps anything. */
static void check_deferral(struct speaker *s)
{
    if (!s->deferring || rib_has_work(s->rib) || !nexthop_all_resolved(s->nexthops) ||
        kube_is_awaited(s->kube))
        return;
    for (unsigned i = 0; i < peer_set_count(s->peers); i++) {
        const struct peer *p = peer_set_at(s->peers, i);
        if (!peer_has_sent_all(p) && (peer_established(p) || !s->whole))
            return;
    }
    end_deferral(s);
}

void speaker_drain_changed(struct speaker *s)
{
    if (s->running && !s->stopping)
        update_status(s);
}

/* Whether there was ever a peer whose routes the kernel has: one is enough, for a dead ToR must not keep the
 * node from being used. */
void speaker_fib_idle(struct speaker *s)
{
    if (s->fib_settled)
        return;
    for (unsigned i = 0; i < peer_set_count(s->peers); i++)
        s->fib_settled |= peer_synced(peer_set_at(s->peers, i));
    if (!s->fib_settled)
        return;
    cni_update(s->cni);
    kube_ready_changed(s->kube);
}

void speaker_peer_state_changed(struct speaker *s)
{
    if (!s->running || s->stopping || s->taking_over)
        return;
    update_status(s);
    if (!s->fib_settled && fibclient_idle(s->fib))
        speaker_fib_idle(s);
    check_synced(s);
    check_deferral(s);
}

void speaker_own_prefixes_changed(struct speaker *s)
{
    rib_reimport(s->rib, NULL);
    cni_update(s->cni);
}

/* The state file has been read (or there is none): sessions that an operator shut down must not come up for a
 * moment. */
void speaker_state_loaded(struct speaker *s)
{
    if (s->running || s->stopping)
        return;
    s->running = true;
    s->deferring = speaker_handover_has(s) ||
                   (s->config->router.graceful_restart.enabled && (s->kept[FAM_IPV4] || s->kept[FAM_IPV6]));
    if (s->deferring)
        timer_set(s->defer, DEFER_MS);
    s->taking_over = true;
    speaker_handover_resume(s);
    s->taking_over = false;
    peer_set_start(s->peers);
    update_status(s);
    check_synced(s);
    check_deferral(s);
    log_info("ready", F_UINT("asn", s->config->router.asn), F_UINT("peers", peer_set_count(s->peers)),
             F_UINT("originated", sources_count(s->sources)));
    control_serve(s->control);
}

void speaker_links_known(struct speaker *s, uint32_t kept)
{
    if (s->running || s->links_known || s->stopping)
        return;
    s->links_known = true;
    s->kept[FAM_IPV4] = kept & FM_KEPT_IPV4;
    s->kept[FAM_IPV6] = kept & FM_KEPT_IPV6;
    int rc = drop_privileges(s);
    if (rc) {
        fprintf(stderr, "underlayd: cannot give up the privileges of the speaker: %s\n", strerror(-rc));
        fail(s, EXIT_SYSTEM);
        return;
    }
    s->router_id = s->config->router.id ? s->config->router.id : choose_router_id(s);
    if (!s->router_id) {
        fprintf(stderr, "%s: router.id: this host has no IPv4 address to take it from; set it\n",
                s->config_name);
        fail(s, EXIT_CONFIG);
        return;
    }
    rc = sources_apply(s->sources, s->config);
    if (!rc)
        kube_apply(s->kube, NULL);
    if (!rc)
        rc = peer_set_apply(s->peers, s->config);
    if (rc) {
        fprintf(stderr, "underlayd: cannot apply the configuration: %s\n", strerror(-rc));
        fail(s, EXIT_SYSTEM);
        return;
    }
    control_state_load(s->control); /* ends in speaker_state_loaded */
}

void speaker_addresses_changed(struct speaker *s)
{
    if (!s->links_known || s->stopping)
        return;
    sources_addresses_changed(s->sources);
    kube_addresses_changed(s->kube);
    peer_set_addresses_changed(s->peers);
}

void speaker_bfd_state(struct speaker *s, const struct fm_bfd_state *st)
{
    peer_set_bfd_state(s->peers, st);
}

static void reload_done(void *arg, const char *errors, const char *notes)
{
    (void)arg, (void)errors, (void)notes; /* reload.c has logged it */
}

void speaker_reload_asked(struct speaker *s)
{
    int rc = speaker_reload(s, reload_done, s);
    s->reload_again = rc == -EBUSY && s->reloading; /* the file may have changed after it was read */
    if (rc && !s->reload_again)
        log_warn("reload not done: the daemon starts or stops", F_ERR(rc));
}

void speaker_restart_asked(struct speaker *s, uint32_t flags)
{
    int rc = speaker_handover_begin(s, flags, NULL, NULL);
    if (rc)
        log_warn("restart not done: the daemon starts, stops or reloads", F_ERR(rc));
}

static void sessions_closed(void *arg)
{
    struct speaker *s = arg;
    fibclient_stopped(s->fib);
    loop_stop(s->loop, 0);
}

static void kube_written(void *arg)
{
    struct speaker *s = arg;
    if (s->preserve)
        fibclient_detach(s->fib); /* that sessions end is nothing to the routes */
    peer_set_stop(s->peers, BGP_CEASE_ADMIN_SHUTDOWN, s->preserve, sessions_closed, s);
}

static void state_written(void *arg)
{
    struct speaker *s = arg;
    kube_flush(s->kube, kube_written, s);
}

void speaker_stop(struct speaker *s, bool preserve)
{
    if (s->stopping)
        return;
    s->stopping = true;
    s->preserve = preserve;
    log_info(preserve ? "stopping: connections are closed without a word, for a restart"
                      : "stopping: sessions are closed");
    kube_stop(s->kube);
    control_state_flush(s->control, state_written, s);
}

void speaker_fib_closed(struct speaker *s, const char *why)
{
    if (s->failed)
        return; /* with the status that is set */
    if (!s->stopping)
        log_error("the fib process is gone; the speaker ends too", F_STR("reason", why));
    loop_stop(s->loop, EXIT_SYSTEM);
}

/* 0 or -ENOMEM. */
static int make_modules(struct speaker *s, int fib_fd)
{
    const struct rib_hooks hooks = {.import = rib_asks_import, .want_work = rib_wants_work};
    const struct rib_config rc = speaker_rib_config(s->config);
    struct nexthop_ops ops = fibclient_nexthop_ops();

    s->loop = loop_new();
    s->fib = s->loop ? fibclient_new(s, fib_fd) : NULL;
    s->defer = s->fib ? timer_new(s->loop, end_deferral, s) : NULL;
    s->handover = s->defer ? speaker_handover_new(s) : NULL;
    s->rib_task = s->handover ? task_new(s->loop, rib_work_step, s) : NULL;
    s->nexthops = s->rib_task ? nexthop_table_new(&ops, s->fib) : NULL;
    s->attrs = s->nexthops ? attr_table_new(s->nexthops) : NULL;
    s->rib = s->attrs ? rib_new(&rc, &hooks, s, s->attrs, s->nexthops) : NULL;
    if (!s->rib)
        return -ENOMEM;
    fibclient_attach_rib(s->fib);
    s->peers = peer_set_new(s);
    s->sources = sources_new(s);
    s->control = control_new(s);
    s->drain = drain_new(s);
    s->health = health_new(s);
    s->http = http_new(s);
    s->watch = watch_new(s);
    s->cni = cni_new(s);
    s->kube = kube_new(s);
    return s->peers && s->sources && s->control && s->drain && s->health && s->http && s->watch && s->cni &&
                   s->kube
               ? 0
               : -ENOMEM;
}

struct rib_config speaker_rib_config(const struct config *c)
{
    return (struct rib_config){.multipath = c->router.multipath,
                               .as_path_relax = c->router.multipath_as_path_relax,
                               .always_compare_med = c->router.always_compare_med,
                               .med_missing_as_worst = c->router.med_missing_as_worst,
                               .default_local_pref = 100};
}

/* Order matters: users before what they use. */
static void free_modules(struct speaker *s)
{
    kube_free(s->kube);
    http_free(s->http);
    health_free(s->health);
    watch_free(s->watch);
    control_free(s->control);
    drain_free(s->drain);
    sources_free(s->sources);
    cni_free(s->cni);
    peer_set_free(s->peers);
    fibclient_detach(s->fib);
    rib_free(s->rib);
    attr_table_free(s->attrs);
    nexthop_table_free(s->nexthops);
    fibclient_free(s->fib);
    task_free(s->rib_task);
    speaker_handover_free(s->handover);
    timer_free(s->defer);
    loop_free(s->loop);
    keyfiles_free(&s->keys);
    config_free(s->config);
    config_overlay_free(s->overlay);
    free(s->control_path);
    free(s->state_path);
    free(s->kube_state_path);
}

void speaker_log_setup(const struct speaker *s, const struct config *c)
{
    enum log_level level = c->log.level;
    if (s->log_level)
        log_level_parse(s->log_level, &level);
    log_init("speaker", level, c->log.format, c->log.target);
}

void speaker_log_changed(struct speaker *s)
{
    const struct fm_log m = {.level = (uint8_t)log_get_level(),
                             .format = (uint8_t)s->config->log.format,
                             .target = (uint8_t)s->config->log.target};
    fibclient_log(s->fib, &m);
}

void speaker_set_log_level(struct speaker *s, enum log_level level)
{
    log_set_level(level);
    speaker_log_changed(s);
}

/* What an earlier process has left of Kubernetes, annotations of the node among it: who we are may hang on
 * them. */
static void load_kube_state(struct speaker *s, struct kube_saved *saved)
{
    struct config *with = NULL;
    char *errors = NULL;
    int rc = kube_saved_load(s->kube_state_path, saved);
    if (rc && rc != -ENOENT)
        log_warn("what was last known from Kubernetes cannot be read", F_STR("path", s->kube_state_path),
                 F_ERR(rc));
    s->kube_saved = rc ? NULL : saved;
    if (rc || !s->config->advertise.kube.node_annotations || !saved->node ||
        strcmp(saved->node, s->config->advertise.kube.node) != 0)
        return;
    s->overlay = config_overlay_new(saved->annotations);
    if (s->overlay && !configfile_load(s->config_name, s->overlay, &with, &errors, NULL)) {
        config_free(s->config);
        s->config = with;
        return;
    }
    log_warn("the annotations of the node are not in force", F_STR_IF("reason", errors));
    free(errors);
    config_overlay_free(s->overlay);
    s->overlay = NULL;
}

int speaker_main(const struct speaker_options *o)
{
    struct speaker s = {.config_name = o->config,
                        .log_level = o->log_level,
                        .started_ms = loop_now_ms(),
                        .started_wall = wall_now_s()};
    struct kube_saved saved = {0};
    char *errors = NULL;

    log_init("speaker", LOG_LVL_INFO, LOG_FMT_TEXT, LOG_TO_STDERR);
    prctl(PR_SET_NAME, "underlayd: bgp"); /* 15 bytes; the whole name is in argv[0] */
    /* The terminal and systemd speak to the parent; it tells us. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);

    if (configfile_load(o->config, NULL, &s.config, &errors, &s.keys)) {
        fputs(errors ? errors : "underlayd: out of memory\n", stderr);
        free(errors);
        keyfiles_free(&s.keys);
        return EXIT_CONFIG;
    }
    s.reloads.done_wall = s.started_wall;
    speaker_log_setup(&s, s.config);
    s.control_path = strdup(o->control_socket ? o->control_socket : s.config->control.socket);
    int status = s.control_path && !choose_state_paths(&s) ? find_user(&s, o->user) : EXIT_SYSTEM;
    if (!status && s.config->advertise.kube.on)
        load_kube_state(&s, &saved);
    if (!status && make_modules(&s, o->fib_fd)) {
        fputs("underlayd: out of memory\n", stderr);
        status = EXIT_SYSTEM;
    }
    if (!status)
        status = send_start(&s);
    if (!status)
        status = loop_run(s.loop);
    if (!status && speaker_handover_is_over(&s))
        _exit(status); /* to free a million routes takes half a second, in which nobody speaks for us */
    free_modules(&s);
    kube_saved_reset(&saved);
    return status;
}
