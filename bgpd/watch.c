/* `watch: true`, by inotify on the directories of the files. A file that is watched itself is lost as soon as
 * an editor renames another one over it; and where Kubernetes mounts a ConfigMap or a Secret, the file is a
 * symbolic link through ..data, which alone is exchanged.
 *
 * A change makes a reload once it has been quiet for a moment, so that several files, or one that is written
 * slowly, are one reload; but changes without end hold it up for a second at most, and there is one reload in
 * a second at most. What a reload reads and what it makes of a bad file is its own business (reload.c). */
#include "watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"
#include "speaker.h"
#include "speaker_events.h"

#define QUIET_MS   200
#define LATEST_MS  1000
#define BETWEEN_MS 1000
#define EVENTS     (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct watch {
    struct speaker *s;
    int fd; /* -1: off */
    struct io *io;
    struct timer *timer;
    uint64_t first_ms, reloaded_ms; /* the first change that waits; the last reload */
    bool lost;                      /* a directory went away */
    int *directory; /* of the configuration, then of s->keys: its number at inotify, -1 none */
};

static const char *path_of(const struct watch *w, unsigned i)
{
    return i ? w->s->keys.files[i - 1].path : w->s->config_name;
}

static const char *name_of(const struct watch *w, unsigned i)
{
    const char *path = path_of(w, i), *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* What errno says of limits on descriptors and disks is about other limits here, inotify(7). */
static const char *limit_hint(int error)
{
    return error == EMFILE   ? "sysctl fs.inotify.max_user_instances, or the limit of open files"
           : error == ENOSPC ? "sysctl fs.inotify.max_user_watches"
                             : NULL;
}

static void add_directory(struct watch *w, unsigned i)
{
    const char *path = path_of(w, i);
    size_t n = (size_t)(name_of(w, i) - path);
    char *dir = n ? strndup(path, n) : strdup(".");

    w->directory[i] = dir ? inotify_add_watch(w->fd, dir, EVENTS) : -1;
    int error = w->directory[i] >= 0 ? 0 : dir ? errno : ENOMEM;
    if (error)
        log_warn("watch: changes of the file are not seen; a restart of underlayd may help",
                 F_STR("file", path), F_ERR(error), F_STR_IF("hint", limit_hint(error)));
    free(dir);
}

static void add_all(struct watch *w)
{
    for (unsigned i = 0; i <= w->s->keys.n; i++)
        add_directory(w, i);
}

static bool concerns(struct watch *w, const struct inotify_event *e)
{
    if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF))
        w->lost = true;
    if (e->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF))
        return true;
    for (unsigned i = 0; e->len && i <= w->s->keys.n; i++)
        if (e->wd == w->directory[i] && (!strcmp(e->name, name_of(w, i)) || !strcmp(e->name, "..data")))
            return true;
    return false;
}

static void changed(struct watch *w)
{
    uint64_t now = loop_now_ms(), due = now + QUIET_MS;

    if (!timer_running(w->timer))
        w->first_ms = now;
    if (due > w->first_ms + LATEST_MS)
        due = w->first_ms + LATEST_MS;
    if (w->reloaded_ms && due < w->reloaded_ms + BETWEEN_MS)
        due = w->reloaded_ms + BETWEEN_MS;
    timer_set(w->timer, due > now ? due - now : 0);
}

static void on_event(void *arg, int fd, unsigned events)
{
    struct watch *w = arg;
    char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n = read(fd, buf, sizeof buf);
    bool any = false;

    (void)events;
    for (char *at = buf; n > 0 && at < buf + n;) {
        const struct inotify_event *e = (const struct inotify_event *)(const void *)at;
        any |= concerns(w, e);
        at += sizeof *e + e->len;
    }
    if (any)
        changed(w);
}

static void on_quiet(void *arg)
{
    struct watch *w = arg;

    if (!w->s->running && !w->s->stopping) { /* what was read for the start is old already */
        timer_set(w->timer, QUIET_MS);
        return;
    }
    if (w->lost)
        add_all(w);
    w->lost = false;
    w->reloaded_ms = loop_now_ms();
    log_info("the configuration or a password file has changed");
    speaker_reload_asked(w->s);
}

static void begin(struct watch *w)
{
    w->directory = calloc(w->s->keys.n + 1, sizeof *w->directory);
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    w->io = w->directory && w->fd >= 0 ? io_new(w->s->loop, w->fd, on_event, w) : NULL;
    if (!w->io) {
        int error = errno;
        log_warn("watch: changes of the configuration are not seen", F_ERR(error),
                 F_STR_IF("hint", limit_hint(error)));
        return;
    }
    io_want(w->io, IO_READ);
    add_all(w);
}

static void stop(struct watch *w)
{
    io_free(w->io);
    if (w->fd >= 0)
        close(w->fd);
    free(w->directory);
    timer_stop(w->timer);
    w->io = NULL;
    w->fd = -1;
    w->directory = NULL;
}

struct watch *watch_new(struct speaker *s)
{
    struct watch *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->s = s;
    w->fd = -1;
    w->timer = timer_new(s->loop, on_quiet, w);
    if (!w->timer) {
        free(w);
        return NULL;
    }
    watch_apply(w);
    return w;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    stop(w);
    timer_free(w->timer);
    free(w);
}

void watch_apply(struct watch *w)
{
    if (w->s->config->watch == (w->fd >= 0))
        return;
    stop(w);
    if (w->s->config->watch)
        begin(w);
}
