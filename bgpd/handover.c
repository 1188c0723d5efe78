/* The two ends of a planned restart, as far as the process and its parent are concerned. What the state is:
 * handover_state.c, peer_handover.c, handover_routes.c.
 *
 * Leaving: whether the configuration can be read is found out first, since a process that does not start
 * takes the sessions with it; then the state file is brought up to date. Until then everything goes on. Then,
 * without a turn of the loop between, the state is written, everything given to the parent, and the peers
 * forgotten, so that nothing can be said or read any more that the next process does not know of. Writing is
 * a walk over the table and takes a fraction of a second for a million routes, during which nobody waits for
 * us but the clocks of the peers. */
#include "handover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/control.h"
#include "fibclient.h"
#include "handover_state.h"
#include "kube/kube.h"
#include "log.h"
#include "speaker.h"
#include "speaker_events.h"

#define END_MS 500 /* for who asked, to read the answer */

struct speaker_handover {
    struct speaker *s;
    bool leaving, over;
    uint32_t flags;
    void (*done)(void *arg, const char *error, const char *told);
    void *arg;
    struct timer *end;
    struct handover_arrival arrival;
    int state; /* as got, -1 none */
    int *sessions;
    unsigned n, room;
};

static void close_got(struct speaker_handover *h)
{
    if (h->state >= 0)
        close(h->state);
    for (unsigned i = 0; i < h->n; i++)
        if (h->sessions[i] >= 0)
            close(h->sessions[i]);
    free(h->sessions);
    h->sessions = NULL;
    h->state = -1;
    h->n = h->room = 0;
}

static void on_end(void *arg)
{
    struct speaker_handover *h = arg;
    loop_stop(h->s->loop, 0);
}

struct speaker_handover *speaker_handover_new(struct speaker *s)
{
    struct speaker_handover *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->s = s;
    h->state = -1;
    h->end = timer_new(s->loop, on_end, h);
    if (!h->end) {
        free(h);
        return NULL;
    }
    return h;
}

void speaker_handover_free(struct speaker_handover *h)
{
    if (!h)
        return;
    close_got(h);
    timer_free(h->end);
    free(h);
}

/* Leaving */

static void tell(struct speaker_handover *h, const char *error, const char *told)
{
    void (*done)(void *, const char *, const char *) = h->done;
    h->leaving = false;
    h->done = NULL;
    if (done)
        done(h->arg, error, told);
}

static void stay(struct speaker_handover *h, const char *what, int error)
{
    char text[160];
    snprintf(text, sizeof text, "%s%s%s", what, error ? ": " : "", error ? strerror(-error) : "");
    log_error("restart given up: the speaker goes on", F_STR("reason", text));
    tell(h, text, NULL);
}

static int give(struct speaker_handover *h, const struct handover_left *left)
{
    struct fibclient *fib = h->s->fib;
    int r = fibclient_keep(fib, FM_KEEP_STATE, 0, left->state);
    for (unsigned i = 0; !r && i < left->n; i++)
        r = fibclient_keep(fib, FM_KEEP_SESSION, i, left->sessions[i]);
    if (r)
        fibclient_keep_nothing(fib); /* or connections that we close would stay open there */
    return r;
}

static void leave(void *arg)
{
    struct speaker_handover *h = arg;
    struct speaker *s = h->s;
    struct handover_left left;
    char told[sizeof left.text + 128];

    if (s->stopping) {
        stay(h, "the daemon stops", 0);
        return;
    }
    int r = handover_save(s, &left);
    if (r) {
        stay(h, "cannot write the state of the sessions", r);
        return;
    }
    if (left.n + 1 > FM_KEEP_MOST)
        r = -E2BIG;
    r = r ? r : give(h, &left);
    if (r) {
        handover_left_release(&left);
        stay(h, "cannot give the sessions to the fib process", r);
        return;
    }
    snprintf(told, sizeof told, "%u of %u sessions handed over%s%s", left.n, left.n + left.lost,
             left.lost ? "; falls back to graceful restart: " : "", left.text);
    log_info("restarting: the sessions go to the next process", F_UINT("sessions", left.n),
             F_UINT("lost", left.lost), F_STR_IF("reason", left.text));
    s->stopping = h->over = true;
    fibclient_restart(s->fib, h->flags);
    peer_set_leave(s->peers);
    handover_left_release(&left);
    timer_set(h->end, h->done ? END_MS : 0);
    tell(h, NULL, told);
}

static void state_written(void *arg)
{
    struct speaker_handover *h = arg;
    kube_flush(h->s->kube, leave, h);
}

static void checked(void *arg, const char *errors, const char *notes)
{
    struct speaker_handover *h = arg;
    (void)notes;
    if (errors)
        tell(h, errors, NULL);
    else
        control_state_flush(h->s->control, state_written, h);
}

int speaker_handover_begin(struct speaker *s, uint32_t flags,
                           void (*done)(void *arg, const char *error, const char *told), void *arg)
{
    struct speaker_handover *h = s->handover;
    if (!s->running || s->stopping || s->reloading || h->leaving)
        return -EBUSY;
    int r = speaker_check(s, checked, h);
    if (r)
        return r;
    h->leaving = true;
    h->flags = flags;
    h->done = done;
    h->arg = arg;
    return 0;
}

void speaker_handover_end(struct speaker *s)
{
    loop_stop(s->loop, 0);
}

bool speaker_handover_is_over(const struct speaker *s)
{
    return s->handover->over;
}

/* Arriving */

/* The parent may have had no room for one or the other: those are -1. */
static int keep_session(struct speaker_handover *h, uint32_t index, int fd)
{
    if (index < h->n || index >= FM_KEEP_MOST)
        return -EINVAL;
    if (index >= h->room) {
        unsigned room = index * 2 + 16;
        int *grown = realloc(h->sessions, room * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        h->sessions = grown;
        h->room = room;
    }
    while (h->n < index)
        h->sessions[h->n++] = -1;
    h->sessions[h->n++] = fd;
    return 0;
}

void speaker_handover_got(struct speaker *s, const struct fm_keep *m, int fd)
{
    struct speaker_handover *h = s->handover;

    if (fd < 0)
        return;
    if (m->kind == FM_KEEP_STATE && h->state < 0 && !s->running)
        h->state = fd;
    else if (m->kind != FM_KEEP_SESSION || s->running || keep_session(h, m->index, fd))
        close(fd);
}

bool speaker_handover_has(const struct speaker *s)
{
    return s->handover->state >= 0 || s->handover->n;
}

void speaker_handover_resume(struct speaker *s)
{
    struct speaker_handover *h = s->handover;
    struct handover_taken taken;

    if (!speaker_handover_has(s))
        return;
    uint64_t began = loop_now_ms();
    struct handover_arrival *arrival = &h->arrival;
    *arrival = (struct handover_arrival){.planned = true, .sessions = h->n};
    int r = h->state < 0 ? -EBADMSG : handover_load(s, h->state, h->sessions, h->n, &taken);
    if (h->state >= 0)
        h->n = 0; /* handover_load has seen to all of them */
    if (r) {
        arrival->wrong = r == -EBADMSG ? "it is of another version, or incomplete" : strerror(-r);
        log_warn("what the former process handed over cannot be used: falls back to graceful restart",
                 F_STR("reason", arrival->wrong));
    } else {
        arrival->taken = taken.sessions;
        arrival->ended = taken.ended;
        log_info("taken over from the former process", F_UINT("sessions", taken.sessions),
                 F_UINT_IF("ended", taken.ended), F_UINT("routes", taken.routes),
                 F_UINT("ms", loop_now_ms() - began));
    }
    s->whole = !r && taken.whole;
    close_got(h);
}

const struct handover_arrival *speaker_handover_arrival(const struct speaker *s)
{
    return &s->handover->arrival;
}
