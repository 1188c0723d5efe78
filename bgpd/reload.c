/* Reloading: read everything again through the parent, check it as a whole, then apply the difference.
 *
 * Reading is a chain of answers from the parent (password files first, the configuration last), because the
 * speaker may not open them itself. Nothing is touched before the new configuration has parsed without an
 * error. What only a restart can change (fib, control, listeners) keeps its old value, and the answer says
 * so. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fibclient.h"
#include "kube/cni.h"
#include "kube/kube.h"
#include "log.h"
#include "peer.h"
#include "source/source.h"
#include "speaker.h"
#include "speaker_events.h"
#include "watch.h"

struct reload {
    struct speaker *s;
    bool only_check;
    struct keyfiles keys; /* by the same numbers as s->keys, with contents */
    void (*done)(void *arg, const char *errors, const char *notes);
    void *arg;
};

/* Whoever asked, the log has it; of the errors the first one, since underlayctl and --check tell them all. */
static void log_end(const struct reload *r, const char *errors, const char *notes)
{
    unsigned n = 0;
    if (!errors) {
        if (!r->only_check)
            log_info("configuration reloaded", F_STR_IF("notes", notes));
        return;
    }
    for (const char *p = errors; (p = strchr(p, '\n')); p++)
        n++;
    char *first = strndup(errors, strcspn(errors, "\n"));
    log_error(r->only_check ? "restart refused: the next process could not start with this configuration"
                            : "reload refused: the running configuration stays",
              F_STR("reason", first), F_UINT("errors", n));
    free(first);
}

static void count(struct speaker *s, const char *errors)
{
    s->reloads.last_refused = errors;
    if (errors) {
        s->reloads.refused++;
    } else {
        s->reloads.done++;
        s->reloads.done_wall = wall_now_s();
    }
}

static void finish(struct reload *r, const char *errors, const char *notes)
{
    log_end(r, errors, notes);
    struct speaker *s = r->s;
    s->reloading = false;
    if (!r->only_check)
        count(s, errors);
    if (!s->stopping && !r->only_check)
        speaker_ready_again(s);
    r->done(r->arg, errors, notes);
    keyfiles_free(&r->keys);
    free(r);
    if (s->reload_again)
        speaker_reload_asked(s);
}

static void finish_errno(struct reload *r, const char *what, int rc)
{
    char text[512];
    snprintf(text, sizeof text, "%s: %s: %s\n", r->s->config_name, what, strerror(-rc));
    finish(r, text, NULL);
}

/* What the running process cannot change goes back to what it was; the new configuration gives the old one
 * its own. */
static void keep_what_needs_restart(struct config *old, struct config *new)
{
#define KEEP(part)                                                                                           \
    do {                                                                                                     \
        typeof(new->part) was = old->part;                                                                   \
        old->part = new->part;                                                                               \
        new->part = was;                                                                                     \
    } while (0)
    KEEP(fib.install);
    KEEP(fib.protocol);
    KEEP(fib.table);
    KEEP(fib.metric);
    KEEP(fib.accept_default);
    KEEP(fib.prefsrc[FAM_IPV4]);
    KEEP(fib.prefsrc[FAM_IPV6]);
    KEEP(control.socket);
    KEEP(control.group);
    KEEP(router.listen);
    KEEP(router.n_listen);
    KEEP(router.port);
    KEEP(router.on_stop);
    KEEP(metrics.listen);
    KEEP(cni.write);
#undef KEEP
}

static void apply(struct reload *r, struct config *new)
{
    struct speaker *s = r->s;
    struct config *old = s->config;
    char notes[320];
    struct config_diff diff;
    int error = config_diff(old, new, &diff);
    if (error) {
        config_free(new);
        finish_errno(r, "cannot compare the configurations", error);
        return;
    }
    snprintf(notes, sizeof notes, "needs a restart of underlayd: %s", diff.restart);
    bool restart = diff.restart[0];
    config_diff_reset(&diff);
    keep_what_needs_restart(old, new);
    struct rib_config rc = speaker_rib_config(new);

    s->config = new;
    speaker_log_setup(s, new);
    speaker_log_changed(s);
    watch_apply(s->watch);
    if (new->router.id)
        s->router_id = new->router.id;
    rib_set_config(s->rib, &rc);
    error = sources_apply(s->sources, new);
    kube_apply(s->kube, old);
    if (!error)
        error = peer_set_apply(s->peers, new);
    rib_reimport(s->rib, NULL);
    cni_apply(s->cni);
    config_free(old);
    if (error)
        finish_errno(r, "applied in part", error);
    else
        finish(r, NULL, restart ? notes : NULL);
}

static void got_config(void *arg, int fd, int error)
{
    struct reload *r = arg;
    struct config *new = NULL;
    char *text, *errors = NULL;
    size_t len;
    if (!error) {
        error = configfile_read_fd(fd, CONFIG_MAX_BYTES, &text, &len);
        close(fd);
    }
    if (error) {
        finish_errno(r, "cannot read the configuration", error);
        return;
    }
    int rc = configfile_parse(r->s->config_name, text, len, &r->keys, r->s->overlay, &new, &errors);
    explicit_bzero(text, len);
    free(text);
    if (rc)
        finish(r, errors ? errors : "out of memory\n", NULL);
    else if (!r->only_check)
        apply(r, new);
    else {
        config_free(new);
        finish(r, NULL, NULL);
    }
    free(errors);
}

static void next_file(struct reload *r);

static void got_key(void *arg, int fd, int error)
{
    struct reload *r = arg;
    struct keyfile *k = &r->keys.files[r->keys.n++];
    k->error = error;
    if (!error) {
        k->error = configfile_read_fd(fd, CONFIG_MAX_BYTES, &k->text, &k->len);
        close(fd);
    }
    next_file(r);
}

static void next_file(struct reload *r)
{
    const struct keyfiles *known = &r->s->keys;
    int rc;
    if (r->keys.n < known->n) {
        char *path = strdup(known->files[r->keys.n].path);
        r->keys.files[r->keys.n] = (struct keyfile){.path = path};
        rc = path ? fibclient_open(r->s->fib, FM_ROLE_KEY, r->keys.n, got_key, r) : -ENOMEM;
        if (rc)
            free(path);
    } else {
        rc = fibclient_open(r->s->fib, FM_ROLE_CONFIG, 0, got_config, r);
    }
    if (rc)
        finish_errno(r, "cannot read the configuration", rc);
}

static int begin(struct speaker *s, bool only_check,
                 void (*done)(void *arg, const char *errors, const char *notes), void *arg)
{
    if (s->reloading || !s->running || s->stopping)
        return -EBUSY;
    struct reload *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    *r = (struct reload){.s = s, .only_check = only_check, .done = done, .arg = arg};
    r->keys.files = calloc(s->keys.n ? s->keys.n : 1, sizeof *r->keys.files);
    if (!r->keys.files) {
        free(r);
        return -ENOMEM;
    }
    s->reloading = true;
    if (!only_check)
        fibclient_reloading(s->fib);
    next_file(r);
    return 0;
}

int speaker_reload(struct speaker *s, void (*done)(void *arg, const char *errors, const char *notes),
                   void *arg)
{
    return begin(s, false, done, arg);
}

int speaker_check(struct speaker *s, void (*done)(void *arg, const char *errors, const char *notes),
                  void *arg)
{
    return begin(s, true, done, arg);
}
