/* What a speaker leaves to the next one: a memfd and TCP connections, held here while no speaker runs.
 *
 * The speaker is not believed: it may leave what it could have made itself, and as much of it as fits the
 * descriptors that this process may have, with some to spare for its own work. What cannot be kept is closed,
 * and its session lost as in a crash; nothing else is.
 *
 * Not here: what is in the memfd (bgpd/handover.h), which is for speakers to know; executing this process
 * anew (handover_exec.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fib/handover_internal.h"
#include "fib/supervise.h"

#define END_MS     5000 /* from FM_RESTART to the end of the speaker */
#define SPARE      512  /* descriptors that this process needs beside those it keeps */
#define WANTED     (FM_KEEP_MOST + 2 * SPARE)
#define STATE_SEAL (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static void speaker_overdue(void *arg)
{
    struct handover *h = arg;

    supervise_kill(h->f->supervisor, "it asked for a restart and does not end");
}

/* As many descriptors as a hand-over can take, if we may; those who started us seldom think of it. */
static int raise_limit(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0)
        return 0;
    if (r.rlim_cur < WANTED && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max < WANTED ? r.rlim_max : WANTED;
        setrlimit(RLIMIT_NOFILE, &r);
        getrlimit(RLIMIT_NOFILE, &r);
    }
    return r.rlim_cur < WANTED ? (int)r.rlim_cur : WANTED;
}

/* What /proc/self/exe means later may be the file that an upgrade has removed; the path is that of its
 * successor. */
static char *own_path(void)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

    return n < 0 ? NULL : strndup(path, (size_t)n);
}

struct handover *handover_new(struct fib *f, const struct fib_options *o)
{
    struct handover *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    h->f = f;
    h->path = own_path();
    h->argv = o->argv;
    h->fd_limit = raise_limit();
    h->overdue = timer_new(f->loop, speaker_overdue, h);
    if (h->overdue)
        return h;
    free(h->path);
    free(h);
    return NULL;
}

static void forget_kept(struct handover *h)
{
    free(h->kept);
    h->kept = NULL;
    h->n_kept = h->n_lost = 0;
}

void handover_drop(struct handover *h)
{
    for (unsigned i = 0; i < h->n_kept; i++)
        close(h->kept[i].fd);
    forget_kept(h);
}

void handover_free(struct handover *h)
{
    if (!h)
        return;
    handover_drop(h);
    timer_free(h->overdue);
    free(h->path);
    free(h);
}

static int socket_option(int fd, int option)
{
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

static bool is_tcp(int fd)
{
    int domain = socket_option(fd, SO_DOMAIN);
    return (domain == AF_INET || domain == AF_INET6) && socket_option(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

/* A memfd that nobody can change any more, so that the next speaker may map it. Only memfds have seals. */
static bool is_sealed(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & STATE_SEAL) == STATE_SEAL;
}

static bool may_be_kept(const struct handover *h, const struct fm_keep *m, int fd)
{
    if (fd < 0)
        return false;
    for (unsigned i = 0; i < h->n_kept && m->kind == FM_KEEP_STATE; i++)
        if (h->kept[i].what.kind == FM_KEEP_STATE)
            return false;
    return m->kind == FM_KEEP_STATE ? is_sealed(fd) : m->kind == FM_KEEP_SESSION && is_tcp(fd);
}

int handover_add(struct handover *h, const struct fm_keep *m, int fd)
{
    if (!(h->n_kept & (h->n_kept - 1))) {
        struct kept *grown = realloc(h->kept, (h->n_kept ? h->n_kept * 2 : 1) * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        h->kept = grown;
    }
    h->kept[h->n_kept++] = (struct kept){*m, fd};
    return 0;
}

int handover_keep(struct handover *h, const struct fm_keep *m, int fd)
{
    if (m->kind == FM_KEEP_NOTHING && fd < 0) {
        handover_drop(h);
        return 0;
    }
    int rc = h->n_kept + h->n_lost >= FM_KEEP_MOST ? -E2BIG : may_be_kept(h, m, fd) ? 0 : -EINVAL;

    if (!rc && (fd >= h->fd_limit - SPARE || handover_add(h, m, fd)))
        h->n_lost++;
    else if (!rc)
        return 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

void handover_restart(struct handover *h, uint32_t flags)
{
    log_info("the speaker restarts as asked", F_UINT("kept", h->n_kept));
    if (h->n_lost)
        log_warn("more connections than this process may keep; the others are lost",
                 F_UINT("lost", h->n_lost), F_INT("limit", h->fd_limit));
    h->asked = true;
    h->flags = flags;
    int rc = flags & FM_RESTART_PARENT ? handover_exec_check(h) : 0;
    if (rc) {
        log_error("what is installed now cannot take over; only the speaker restarts, as it was",
                  F_STR("path", h->path ? h->path : ""),
                  F_STR("reason", rc > 0 ? "its --check fails" : strerror(-rc)));
        h->flags = 0;
    }
    timer_set(h->overdue, END_MS);
}

bool handover_speaker_gone(struct handover *h, bool clean)
{
    bool planned = h->asked && clean;

    timer_stop(h->overdue);
    h->asked = false;
    if (h->n_sent)
        log_error("the new speaker has ended before it was ready; the sessions it was given are lost");
    h->n_sent = 0;
    if (planned && h->flags & FM_RESTART_PARENT && !supervise_stopping(h->f->supervisor)) {
        int rc = handover_exec(h);
        log_error("cannot execute this process anew; only the speaker restarts", F_ERR(rc));
    }
    if (planned)
        return true;
    if (h->n_kept)
        log_error("the restart was not clean; the sessions are lost", F_UINT("kept", h->n_kept));
    handover_drop(h);
    return false;
}

/* Ours are closed at once: if the new speaker dies nobody else can make use of them. */
void handover_send(struct handover *h)
{
    h->n_sent = h->n_kept;
    for (unsigned i = 0; i < h->n_kept; i++) {
        int rc = h->f->chan ? fibchan_send(h->f->chan, FM_KEPT, &h->kept[i].what, 1, h->kept[i].fd) : -EPIPE;
        close(h->kept[i].fd);
        if (rc)
            supervise_kill(h->f->supervisor, "what was kept for it cannot be queued");
    }
    forget_kept(h);
}

bool handover_pending(const struct handover *h)
{
    return h->asked || h->n_kept || h->n_sent;
}

void handover_done(struct handover *h)
{
    if (h->n_sent)
        log_info("the new speaker is ready", F_UINT("handed_over", h->n_sent));
    h->n_sent = 0;
}
