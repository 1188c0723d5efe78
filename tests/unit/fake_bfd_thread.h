/* A BFD thread that is none: it keeps what it is told and gives back what is deleted. Taken at link time in
 * the place of fib/bfd_thread.c, by what must neither send packets nor take ports. */
#ifndef UNDERLAY_FAKE_BFD_THREAD_H
#define UNDERLAY_FAKE_BFD_THREAD_H

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fib/bfd_internal.h"

struct bfd_thread {
    int event_fd;
    struct bfd_flow *gone; /* by next_touched */
};
static unsigned fake_bfd_told[BFD_CMD_STOP + 1];

struct bfd_thread *bfd_thread_start(const int listeners[BFD_LISTENERS], int *error)
{
    struct bfd_thread *t = calloc(1, sizeof *t);
    (void)listeners;
    *error = t ? 0 : -ENOMEM;
    if (t)
        t->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return t;
}

void bfd_thread_tell(struct bfd_thread *t, const struct bfd_command *c)
{
    fake_bfd_told[c->type]++;
    if (c->type != BFD_CMD_DEL)
        return;
    c->flow->next_touched = t->gone;
    t->gone = c->flow;
    eventfd_write(t->event_fd, 1);
}

bool bfd_thread_take(struct bfd_thread *t, struct bfd_event *ev)
{
    *ev = (struct bfd_event){.type = BFD_EV_GONE, .flow = t->gone};
    if (!t->gone)
        return false;
    t->gone = t->gone->next_touched;
    return true;
}

int bfd_thread_event_fd(const struct bfd_thread *t)
{
    return t->event_fd;
}

void bfd_thread_all_down(struct bfd_thread *t)
{
    (void)t;
}

void bfd_thread_stop(struct bfd_thread *t, int listeners[BFD_LISTENERS])
{
    (void)t, (void)listeners;
}

void bfd_thread_forked(const struct bfd_thread *t)
{
    (void)t;
}

void bfd_thread_free(struct bfd_thread *t)
{
    close(t->event_fd);
    free(t);
}

#endif
