/* The sessions of BFD while this process executes itself anew: the thread stops, its flows and sockets are
 * saved (bfd_save.c has the text), and another thread goes on with them, in the new life or in this one. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fib/bfd_peers.h"

static void keep_open(const struct bfd_saved *s, bool open)
{
    for (unsigned i = 0; i < BFD_LISTENERS; i++)
        if (s->listeners[i] >= 0)
            fcntl(s->listeners[i], F_SETFD, open ? 0 : FD_CLOEXEC);
    for (unsigned i = 0; i < s->n_flows; i++)
        if (s->flows[i]->fd >= 0)
            fcntl(s->flows[i]->fd, F_SETFD, open ? 0 : FD_CLOEXEC);
}

/* Those with a peer: what only says AdminDown ends here. */
static bool collect(struct bfd *b, struct bfd_saved *s)
{
    unsigned i = 0;

    *s = (struct bfd_saved){.flows = calloc(b->n_peers + 1, sizeof *s->flows)};
    memcpy(s->listeners, b->listeners, sizeof s->listeners);
    if (!s->flows)
        return false;
    for (struct bfd_peer *p = bfd_first_peer(b, &i); p; p = bfd_peer_after(b, &i, p))
        if (p->flow) {
            p->flow->overruled = p->overruled;
            s->flows[s->n_flows++] = p->flow;
        }
    return true;
}

int bfd_save(struct bfd *b, int fd)
{
    struct bfd_saved s;

    bfd_stop_thread(b, true);
    int rc = collect(b, &s) ? bfd_saved_write(&s, fd) : -ENOMEM;
    if (!rc)
        keep_open(&s, true);
    free(s.flows);
    return rc;
}

/* The thread takes over flows that have lived before. What came in between was not read by anyone: each peer
 * has its detection time anew. */
static int go_on(struct bfd *b, const struct bfd_saved *s)
{
    int rc = s->n_flows ? bfd_start_thread(b) : 0;

    keep_open(s, false);
    for (unsigned i = 0; !rc && i < s->n_flows; i++) {
        struct bfd_flow *f = s->flows[i];
        f->listens = f->touched = false;
        f->told_us = 0;
        f->retry_us = f->report_us = BFD_NEVER;
        f->session.detect_from_us = loop_now_us();
        bfd_thread_tell(b->thread, &(struct bfd_command){.type = BFD_CMD_ADD, .flow = f});
    }
    return rc;
}

/* No thread for them: the next speaker begins them again. */
static void give_up(struct bfd *b)
{
    unsigned i = 0;

    for (struct bfd_peer *p = bfd_first_peer(b, &i), *next; p; p = next) {
        next = bfd_peer_after(b, &i, p);
        p->flow = NULL;
        bfd_del(b, &p->want.peer);
    }
    bfd_forget_all(b);
}

int bfd_resume(struct bfd *b)
{
    struct bfd_saved s;
    struct bfd_flow *f = b->flows, *next;

    for (; f; f = next) {
        next = f->next;
        if (f->leaving)
            bfd_free_flow(b, f);
    }
    int rc = collect(b, &s) ? go_on(b, &s) : -ENOMEM;
    free(s.flows);
    if (rc)
        give_up(b);
    return rc;
}

static int adopt(struct bfd *b, const struct bfd_saved *s)
{
    memcpy(b->listeners, s->listeners, sizeof b->listeners);
    for (unsigned i = 0; i < s->n_flows; i++) {
        struct bfd_flow *f = s->flows[i];
        struct fm_bfd m = {.peer = f->name,
                           .flags = f->multihop ? FM_BFD_MULTIHOP : 0,
                           .interval_us = f->terms.interval_us,
                           .multiplier = f->terms.multiplier,
                           .min_ttl = f->terms.min_ttl};
        memcpy(m.local, f->terms.local.b, sizeof m.local);
        bfd_own_flow(b, f);
        struct bfd_peer *p = bfd_add_peer(b, &m);
        if (!p)
            return -ENOMEM;
        p->terms = f->terms;
        p->state.state = f->session.state; /* that is no news: the former life has said it */
        p->state.flags = f->session.failed ? FM_BFD_FAILED : 0;
        p->flow = f;
        p->overruled = f->overruled;
    }
    return go_on(b, s);
}

int bfd_restore(struct bfd *b, int fd)
{
    struct bfd_saved s;
    int rc = bfd_saved_read(&s, fd);

    if (rc)
        return rc;
    rc = adopt(b, &s);
    free(s.flows);
    if (rc)
        bfd_forget_all(b);
    return rc;
}
