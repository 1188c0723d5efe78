/* /healthz and /readyz.
 *
 * That an answer comes at all says that the loop of the speaker runs. The parent is asked for something that
 * it answers at once, whatever else it does: the listener that it has given us already. One question serves
 * all who ask meanwhile, so that nobody can fill its queue.
 *
 * The body is that of Kubernetes' own probes, one check a line, or JSON for who prefers that. */
#include "control/health.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "control/http.h"
#include "control/writer.h"
#include "drain.h"
#include "fibclient.h"
#include "kube/kube.h"
#include "loop.h"
#include "peer.h"
#include "speaker.h"

#define PARENT_MS 2000 /* in which it has to answer */

/* One request that waits for the parent's answer. */
struct wait {
    struct wait *next;
    struct health *h;
    struct http_request *r;
    bool answered;
};

struct health {
    struct speaker *s;
    struct timer *late;
    struct wait *waits;
    bool asked;
};

/* Ends the waiting of all. */
static void tell(struct health *h, bool answered)
{
    while (h->waits) {
        struct wait *w = h->waits;
        h->waits = w->next;
        w->answered = answered;
        w->r->wake(w->r);
    }
}

static void parent_late(void *arg)
{
    tell(arg, false);
}

struct health *health_new(struct speaker *s)
{
    struct health *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->s = s;
    h->late = timer_new(s->loop, parent_late, h);
    if (!h->late) {
        free(h);
        return NULL;
    }
    return h;
}

void health_free(struct health *h)
{
    if (!h)
        return;
    timer_free(h->late);
    free(h);
}

static void check(struct health_check *c, const char *name, bool ok)
{
    *c = (struct health_check){.name = name, .ok = ok};
}

static void check_session(const struct speaker *s, struct health_check *c)
{
    unsigned up = 0, n = peer_set_count(s->peers), silent = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct peer *p = peer_set_at(s->peers, i);
        const char *message;
        up += peer_established(p);
        silent += peer_config(p)->shutdown || peer_is_shutdown(p, &message);
    }
    check(c, "session", up);
    if (!n)
        snprintf(c->why, sizeof c->why, "there are no peers");
    else if (!up)
        snprintf(c->why, sizeof c->why, "none of %u established%s; see underlayctl show bgp summary failed",
                 n, silent == n ? ", all are shut down" : "");
}

static void check_fib(const struct speaker *s, struct health_check *c)
{
    struct fib_counts fib;
    bool synced = false;
    check(c, "fib", s->fib_settled);
    if (c->ok)
        return;
    for (unsigned i = 0; !synced && i < peer_set_count(s->peers); i++)
        synced = peer_synced(peer_set_at(s->peers, i));
    fibclient_counts(s->fib, &fib);
    if (synced)
        snprintf(c->why, sizeof c->why,
                 "the first routes are on their way to the kernel, %" PRIu32 " not answered yet",
                 fib.pending);
    else
        snprintf(c->why, sizeof c->why, "no peer has sent all of its routes yet");
}

/* Something to go by, if only from disk: else what the node has is not advertised yet. */
static void check_kube(const struct speaker *s, struct health_check *c)
{
    struct kube_info i;
    kube_info(s->kube, &i);
    check(c, "kubernetes", i.state != KUBE_STATE_LISTING && i.state != KUBE_STATE_WAITING);
    if (!c->ok)
        snprintf(c->why, sizeof c->why, "nothing is known yet from the API server%s%.100s",
                 *i.error ? ": " : "", i.error);
}

bool health_ready(const struct speaker *s, struct health_check out[HEALTH_CHECKS])
{
    bool ok = true;
    char text[160];
    check(&out[0], "started", s->running && !s->stopping);
    if (!out[0].ok)
        snprintf(out[0].why, sizeof out[0].why,
                 s->stopping ? "the daemon is stopping" : "the daemon is starting");
    check_session(s, &out[1]);
    check_fib(s, &out[2]);
    check(&out[3], "drain", drain_phase(s->drain) == DRAIN_OFF);
    if (!out[3].ok)
        snprintf(out[3].why, sizeof out[3].why, "the node is drained: %s", drain_text(s->drain, text, 100));
    check_kube(s, &out[4]);
    for (unsigned i = 0; i < HEALTH_CHECKS; i++)
        ok &= out[i].ok;
    return ok;
}

/* name: of the page, for its last line. */
static enum http_result put_checks(struct http_request *r, const char *name, const struct health_check *c,
                                   unsigned n)
{
    bool ok = true;
    for (unsigned i = 0; i < n; i++)
        ok &= c[i].ok;
    r->status = ok ? 200 : 503;
    bool json = http_wants(r->accept, "application/json", NULL) > http_wants(r->accept, "text/plain", NULL);
    struct writer *w = writer_new(r->body, json);
    if (!w) {
        r->status = 503;
        return HTTP_DONE;
    }
    if (json)
        r->type = "application/json";
    writer_object(w, NULL);
    writer_bool(w, "ok", ok);
    writer_array(w, "checks");
    for (unsigned i = 0; i < n; i++) {
        writer_object(w, NULL);
        writer_str(w, "name", c[i].name);
        writer_bool(w, "ok", c[i].ok);
        if (!c[i].ok)
            writer_str(w, "reason", c[i].why);
        writer_end(w);
        if (c[i].ok)
            writer_text(w, "[+]%s ok\n", c[i].name);
        else
            writer_text(w, "[-]%s failed: %s\n", c[i].name, c[i].why);
    }
    writer_end(w);
    writer_end(w);
    writer_text(w, "%s check %s\n", name, ok ? "passed" : "failed");
    writer_free(w);
    return HTTP_DONE;
}

enum http_result page_readyz(struct http_request *r)
{
    struct health_check checks[HEALTH_CHECKS];
    health_ready(r->s, checks);
    return put_checks(r, "readyz", checks, HEALTH_CHECKS);
}

static void parent_answered(void *arg, int fd, int error)
{
    struct health *h = arg;
    (void)error;
    if (fd >= 0)
        close(fd);
    h->asked = false;
    timer_stop(h->late);
    tell(h, true);
}

static void drop_wait(struct http_request *r)
{
    struct wait *w = r->state, **p = &w->h->waits;
    while (*p && *p != w)
        p = &(*p)->next;
    if (*p)
        *p = w->next;
    free(w);
}

/* One question at a time, however many wait for the answer. False: it cannot be asked. */
static bool ask_parent(struct health *h)
{
    if (!h->asked && fibclient_open(h->s->fib, FM_ROLE_METRICS, 0, parent_answered, h))
        return false;
    h->asked = true;
    if (!timer_running(h->late))
        timer_set(h->late, PARENT_MS);
    return true;
}

enum http_result page_healthz(struct http_request *r)
{
    struct wait *w = r->state;
    struct health *h = r->s->health;
    if (!w && ask_parent(h)) {
        w = calloc(1, sizeof *w);
        if (w) {
            *w = (struct wait){.next = h->waits, .h = h, .r = r};
            h->waits = w;
            r->state = w;
            r->drop = drop_wait;
            return HTTP_WAIT;
        }
    }
    struct health_check checks[2];
    check(&checks[0], "loop", true);
    check(&checks[1], "fib", w && w->answered);
    if (!checks[1].ok)
        snprintf(checks[1].why, sizeof checks[1].why, "the fib process does not answer");
    return put_checks(r, "healthz", checks, 2);
}
