/* `debug PEER`: for a while the messages of one peer go to the log, decoded, in both directions.
 *
 * It is asked for on a live node, so a table of a million routes must neither drown the log nor slow the
 * session: of UPDATEs, and apart from them of all other messages, so many are shown a second; the rest is
 * counted, and the count is logged. Only what is shown is decoded (wire/format.c). It ends by itself, not
 * with the session, since what is looked for is often why a session does not come up. Not here: the command
 * (control/debug.c). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "peer_impl.h"
#include "wire/format.h"

#define SHOWN_A_SECOND 40

enum { IN, OUT, WAYS };
enum { KIND_UPDATE, KIND_OTHER, KINDS };

struct peer_debug {
    struct peer *peer;
    struct timer *end, *second;
    uint32_t shown[KINDS];
    uint32_t hidden[WAYS];
};

static void tell_hidden(struct peer_debug *d)
{
    if (d->hidden[IN] || d->hidden[OUT])
        log_info("debug: messages not shown", F_STR("peer", d->peer->name), F_UINT("received", d->hidden[IN]),
                 F_UINT("sent", d->hidden[OUT]));
    memset(d->hidden, 0, sizeof d->hidden);
    memset(d->shown, 0, sizeof d->shown);
}

static void on_second(void *arg)
{
    tell_hidden(arg);
}

static void on_end(void *arg)
{
    struct peer *p = arg;
    peer_debug_stop(p);
}

static void debug_free(struct peer_debug *d)
{
    if (!d)
        return;
    timer_free(d->end);
    timer_free(d->second);
    free(d);
}

int peer_debug_start(struct peer *p, uint32_t ms)
{
    struct loop *loop = p->set->speaker->loop;
    struct peer_debug *d = p->debug;
    if (!d) {
        d = calloc(1, sizeof *d);
        if (!d)
            return -ENOMEM;
        d->peer = p;
        d->end = timer_new(loop, on_end, p);
        d->second = timer_new(loop, on_second, d);
        if (!d->end || !d->second) {
            debug_free(d);
            return -ENOMEM;
        }
        p->debug = d;
    }
    timer_set(d->end, ms);
    log_info("debug: messages of the peer are logged", F_STR("peer", p->name), F_UINT("seconds", ms / 1000));
    return 0;
}

void peer_debug_stop(struct peer *p)
{
    if (!p->debug)
        return;
    tell_hidden(p->debug);
    log_info("debug: over", F_STR("peer", p->name));
    debug_free(p->debug);
    p->debug = NULL;
}

void peer_debug_free(struct peer *p)
{
    debug_free(p->debug);
    p->debug = NULL;
}

uint64_t peer_debug_left(const struct peer *p)
{
    return p->debug ? timer_remaining_ms(p->debug->end) : 0;
}

void peer_debug_move(struct peer *from, struct peer *to)
{
    uint64_t left = peer_debug_left(from);
    if (left && !peer_debug_start(to, (uint32_t)left))
        peer_debug_free(from);
}

/* Whether there is room for one more line in this second. */
static bool may_show(struct peer_debug *d, int way, bool update)
{
    int kind = update ? KIND_UPDATE : KIND_OTHER;
    if (!timer_running(d->second))
        timer_set(d->second, 1000);
    if (d->shown[kind] < SHOWN_A_SECOND) {
        d->shown[kind]++;
        return true;
    }
    d->hidden[way]++;
    return false;
}

static void show(struct peer_link *l, int way, const uint8_t *msg, size_t len)
{
    const struct peer_session *s = &l->s;
    struct msg_format_ctx ctx = {.as4 = !s->caps_valid || s->common.as4};
    char text[MSG_FORMAT_SIZE];

    if (!may_show(l->peer->debug, way, len >= BGP_HEADER_LEN && msg[18] == BGP_UPDATE))
        return;
    for (enum family f = 0; f < FAM_COUNT; f++) /* RFC 7911 section 4: 1 receive, 2 send */
        ctx.add_path[f] = s->caps_valid && s->common.add_path[f] & (way == IN ? 1 : 2);
    msg_format(msg, len, &ctx, text, sizeof text);
    log_info(way == IN ? "debug: received" : "debug: sent", F_STR("peer", l->peer->name),
             F_UINT("bytes", len), F_STR("message", text));
}

void peer_debug_received(struct peer_link *l, const uint8_t *msg, size_t len)
{
    if (l->peer->debug)
        show(l, IN, msg, len);
}

void peer_debug_sent(struct peer_link *l, const uint8_t *p, size_t n)
{
    if (!l->peer->debug)
        return;
    while (n >= BGP_HEADER_LEN) {
        size_t len = (size_t)(p[16] << 8 | p[17]);
        if (len < BGP_HEADER_LEN || len > n)
            return;
        show(l, OUT, p, len);
        p += len;
        n -= len;
    }
}
