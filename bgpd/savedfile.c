/* Writing files through the parent.
 *
 * The text is made at once in memory; the parent opens the temporary file; a thread writes and syncs it,
 * which can take as long as the disk likes, and touches nothing but its buffer and descriptor, so that no
 * keepalive waits for a disk; the parent renames. What changes meanwhile is written once more afterwards. Not
 * here: reading, which each owner does in its own way. */
#include "savedfile.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fibclient.h"
#include "log.h"
#include "loop.h"
#include "speaker.h"

#define RETRY_MS 30000

struct savedfile {
    struct speaker *s;
    const char *path;
    const struct savedfile_ops *ops;
    void *arg;
    struct timer *due;
    bool hold, saving, again;
    uint64_t saved_ms;          /* 0 never */
    int error;                  /* which has been said */
    void (*flushed)(void *arg); /* NULL: nobody waits */
    void *flushed_arg;
    /* the thread owns fd, data and result until it has written to done_fd */
    pthread_t thread;
    int fd, done_fd, result;
    struct io *done;
    char *data;
    size_t size;
};

static void save(void *arg);
static void written(void *arg, int fd, unsigned events);

struct savedfile *savedfile_new(struct speaker *s, const char *path, const struct savedfile_ops *ops,
                                void *arg)
{
    struct savedfile *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->s = s;
    f->path = path;
    f->ops = ops;
    f->arg = arg;
    f->fd = -1;
    f->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    f->due = timer_new(s->loop, save, f);
    f->done = f->done_fd < 0 ? NULL : io_new(s->loop, f->done_fd, written, f);
    if (f->due && f->done)
        return f;
    savedfile_free(f);
    return NULL;
}

void savedfile_free(struct savedfile *f)
{
    if (!f)
        return;
    if (f->data)
        pthread_join(f->thread, NULL);
    free(f->data);
    if (f->fd >= 0)
        close(f->fd);
    io_free(f->done);
    if (f->done_fd >= 0)
        close(f->done_fd);
    timer_free(f->due);
    free(f);
}

static void set_due(struct savedfile *f)
{
    uint64_t now = loop_now_ms(), rest = f->saved_ms + f->ops->rest_ms, wait = f->ops->delay_ms;
    if (f->saved_ms && rest > now + wait)
        wait = rest - now;
    if (!timer_running(f->due) || timer_remaining_ms(f->due) > wait)
        timer_set(f->due, wait);
}

void savedfile_changed(struct savedfile *f)
{
    if (f->hold || f->saving)
        f->again = true;
    else
        set_due(f);
}

void savedfile_hold(struct savedfile *f, bool hold)
{
    f->hold = hold;
    if (hold || f->saving)
        return;
    if (f->again)
        set_due(f);
    f->again = false;
}

int savedfile_error(const struct savedfile *f)
{
    return f->error;
}

static void tell_flushed(struct savedfile *f)
{
    void (*done)(void *arg) = f->flushed;
    f->flushed = NULL;
    if (done)
        done(f->flushed_arg);
}

void savedfile_flush(struct savedfile *f, void (*done)(void *arg), void *arg)
{
    f->flushed = done;
    f->flushed_arg = arg;
    if (f->saving)
        return; /* saving_done goes on */
    if (timer_running(f->due)) {
        timer_stop(f->due);
        save(f);
    } else {
        tell_flushed(f);
    }
}

static void saving_done(struct savedfile *f, int error)
{
    if (error && !f->error)
        log_warn(f->ops->failed, F_STR("path", f->path), F_ERR(error));
    else if (!error && f->error)
        log_info(f->ops->again, F_STR("path", f->path));
    f->error = error;
    f->saving = false;
    bool more = f->again || error; /* a disk that was full may no longer be */
    f->again = more && f->hold;
    if (more && f->flushed && !error)
        save(f);
    else if (error && !f->hold)
        timer_set(f->due, f->ops->retry_ms ? f->ops->retry_ms : RETRY_MS);
    else if (more && !f->hold)
        set_due(f);
    if (!f->saving)
        tell_flushed(f);
}

static void committed(void *arg, int fd, int error)
{
    if (fd >= 0)
        close(fd);
    saving_done(arg, error);
}

static void *write_thread(void *arg)
{
    struct savedfile *f = arg;
    size_t n = 0;
    f->result = 0;
    while (n < f->size && !f->result) {
        ssize_t put = write(f->fd, f->data + n, f->size - n);
        if (put >= 0)
            n += (size_t)put;
        else if (errno != EINTR)
            f->result = -errno;
    }
    if (!f->result && fsync(f->fd) < 0)
        f->result = -errno;
    uint64_t one = 1;
    while (write(f->done_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
    return NULL;
}

static void drop_data(struct savedfile *f)
{
    io_want(f->done, 0);
    free(f->data);
    f->data = NULL;
    close(f->fd);
    f->fd = -1;
}

static void written(void *arg, int fd, unsigned events)
{
    struct savedfile *f = arg;
    uint64_t count;
    (void)events;
    if (read(fd, &count, sizeof count) < 0)
        return;
    pthread_join(f->thread, NULL);
    drop_data(f);
    int rc = f->result ? f->result : fibclient_commit(f->s->fib, f->ops->role, committed, f);
    if (rc)
        saving_done(f, rc);
}

static void temporary_opened(void *arg, int fd, int error)
{
    struct savedfile *f = arg;
    sigset_t all, before;
    FILE *text = fd < 0 ? NULL : open_memstream(&f->data, &f->size);
    if (!text) {
        if (fd >= 0)
            close(fd);
        saving_done(f, fd < 0 ? error : -ENOMEM);
        return;
    }
    f->ops->write(f->arg, text);
    int rc = fclose(text) ? -ENOMEM : 0;
    f->fd = fd;
    io_want(f->done, IO_READ);
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (!rc)
        rc = -pthread_create(&f->thread, NULL, write_thread, f);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!rc)
        return;
    drop_data(f);
    saving_done(f, rc);
}

static void save(void *arg)
{
    struct savedfile *f = arg;
    f->saving = true;
    f->again = false;
    f->saved_ms = loop_now_ms();
    int rc = fibclient_open(f->s->fib, f->ops->role, 1, temporary_opened, f);
    if (rc)
        saving_done(f, rc);
}
