/* When the CNI configuration is written, and what has become of it.
 *
 * Its being there is what makes a kubelet call the node ready for pods, so it waits for the FIB: before that
 * a pod would start without a route to anywhere. What is there already is read first and left alone when it
 * says the same, so that a restart does not make every runtime load it again. The text is small: it is
 * written here and now, and the parent syncs and renames it.
 *
 * An error is said once, tried again with a back-off, and loses nothing else. Not here: what the file says
 * (cni_conflist.c). */
#include "kube/cni.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "configfile.h"
#include "fibclient.h"
#include "log.h"
#include "source/source.h"
#include "speaker.h"

#define LARGEST        65536 /* that can be one of ours */
#define FIRST_RETRY_MS 1000
#define LAST_RETRY_MS  60000

enum phase { OFF, WAITS_FOR_FIB, WAITS_FOR_CIDRS, AT_WORK, WRITTEN, FAILED };

struct cni {
    struct speaker *s;
    struct task *task;
    struct timer *retry;
    uint64_t retry_ms;
    enum phase phase;
    bool busy;  /* the parent owes an answer */
    bool look;  /* at the file, although we know what we wrote */
    char *text; /* as it should be, NULL */
    char error[160];
};

static void fail(struct cni *c, const char *what, int error)
{
    char before[sizeof c->error];
    snprintf(before, sizeof before, "%s", c->phase == FAILED ? c->error : "");
    snprintf(c->error, sizeof c->error, "%s: %s%s", what, strerror(-error),
             error == -EROFS    ? "; the service may not write there: ReadWritePaths= of its unit"
             : error == -EACCES ? "; the directory has to be root's"
                                : "");
    if (strcmp(before, c->error) != 0)
        log_warn("the CNI configuration is not written", F_STR("path", c->s->config->cni.write),
                 F_STR("reason", c->error));
    c->phase = FAILED;
    c->retry_ms = c->retry_ms ? c->retry_ms * 2 : FIRST_RETRY_MS;
    if (c->retry_ms > LAST_RETRY_MS)
        c->retry_ms = LAST_RETRY_MS;
    timer_set(c->retry, c->retry_ms);
}

static void end(struct cni *c, const char *what, int error)
{
    c->busy = false;
    if (error) {
        fail(c, what, error);
    } else {
        c->phase = WRITTEN;
        c->retry_ms = 0;
    }
    task_wake(c->task); /* what it should be may have changed meanwhile */
}

static void committed(void *arg, int fd, int error)
{
    struct cni *c = arg;
    if (fd >= 0)
        close(fd);
    if (!error)
        log_info("CNI configuration written", F_STR("path", c->s->config->cni.write));
    end(c, "cannot be put in its place", error);
}

static int write_all(int fd, const char *text)
{
    for (size_t n = strlen(text); n;) {
        ssize_t put = write(fd, text, n);
        if (put < 0 && errno != EINTR)
            return -errno;
        text += put > 0 ? put : 0;
        n -= put > 0 ? (size_t)put : 0;
    }
    return 0;
}

static void temporary_opened(void *arg, int fd, int error)
{
    struct cni *c = arg;
    if (fd >= 0) {
        error = write_all(fd, c->text);
        close(fd);
    }
    if (!error)
        error = fibclient_commit(c->s->fib, FM_ROLE_CNI, committed, c);
    if (error)
        end(c, "cannot be written", error);
}

static void file_opened(void *arg, int fd, int error)
{
    struct cni *c = arg;
    char *there = NULL;
    size_t len = 0;
    if (fd >= 0) {
        error = configfile_read_fd(fd, LARGEST, &there, &len);
        close(fd);
    }
    bool same = there && len == strlen(c->text) && !memcmp(there, c->text, len);
    free(there);
    if (error && error != -ENOENT && error != -EFBIG)
        end(c, "cannot be read", error);
    else if (same)
        end(c, NULL, 0);
    else if ((error = fibclient_open(c->s->fib, FM_ROLE_CNI, 1, temporary_opened, c)))
        end(c, "cannot be written", error);
}

/* What it should be now; false: there is nothing to write, and c->phase says why. */
static bool renew_text(struct cni *c)
{
    const struct config_cni *config = &c->s->config->cni;
    const struct prefix *cidrs;
    unsigned n = sources_pod_cidrs(c->s->sources, &cidrs);
    char *text;

    enum phase next = !config->write       ? OFF
                      : !c->s->fib_settled ? WAITS_FOR_FIB
                      : !n                 ? WAITS_FOR_CIDRS
                                           : AT_WORK;
    if (next != AT_WORK) {
        c->phase = next;
        timer_stop(c->retry);
        return false;
    }
    int rc = cni_conflist(config, cidrs, n, &text);
    if (rc) {
        fail(c, "cannot be made", rc);
        return false;
    }
    if (!c->text || strcmp(c->text, text) != 0)
        c->look = true;
    free(c->text);
    c->text = text;
    return true;
}

static bool work(void *arg)
{
    struct cni *c = arg;
    if (c->busy || c->s->stopping || !renew_text(c))
        return false;
    if (c->phase == FAILED && !c->look && timer_running(c->retry))
        return false;
    if (c->phase == WRITTEN && !c->look)
        return false;
    timer_stop(c->retry);
    if (c->phase != FAILED)
        c->phase = AT_WORK;
    c->look = false;
    c->busy = true;
    int rc = fibclient_open(c->s->fib, FM_ROLE_CNI, 0, file_opened, c);
    if (rc)
        end(c, "cannot be read", rc);
    return false;
}

static void on_retry(void *arg)
{
    task_wake(((struct cni *)arg)->task);
}

struct cni *cni_new(struct speaker *s)
{
    struct cni *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->s = s;
    c->task = task_new(s->loop, work, c);
    c->retry = timer_new(s->loop, on_retry, c);
    if (c->task && c->retry)
        return c;
    cni_free(c);
    return NULL;
}

void cni_free(struct cni *c)
{
    if (!c)
        return;
    task_free(c->task);
    timer_free(c->retry);
    free(c->text);
    free(c);
}

void cni_update(struct cni *c)
{
    task_wake(c->task);
}

void cni_apply(struct cni *c)
{
    c->look = true;
    task_wake(c->task);
}

void cni_info(const struct cni *c, struct cni_info *out)
{
    static const char *const words[] = {[OFF] = "off",
                                        [WAITS_FOR_FIB] = "waiting for the FIB",
                                        [WAITS_FOR_CIDRS] = "waiting for pod CIDRs",
                                        [AT_WORK] = "being written",
                                        [WRITTEN] = "written"};
    *out = (struct cni_info){.path = c->s->config->cni.write,
                             .state = c->phase == FAILED ? c->error : words[c->phase],
                             .written = c->phase == WRITTEN};
}
