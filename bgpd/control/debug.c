/* debug PEER: the messages of a peer in the log, for a while. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/show.h"
#include "lib/text.h"
#include "log.h"
#include "speaker.h"

#define DEFAULT_MS 60000
#define MOST_MS    3600000
#define MOST_PEERS 16 /* at the same time: each may fill a page of the log a second */

static unsigned watched(const struct peer_set *ps)
{
    unsigned n = 0;
    for (unsigned i = 0; i < peer_set_count(ps); i++)
        n += peer_debug_left(peer_set_at(ps, i)) != 0;
    return n;
}

/* 0: exec_fail was called. */
static uint32_t asked_duration(struct exec *e)
{
    const char *text = command_arg(e->cmd, "DURATION");
    uint32_t ms = DEFAULT_MS;
    if (text && duration_parse(text, &ms))
        exec_fail(e, STATUS_USAGE, "`%.40s` is not a duration; write a number and s, m or h, such as 60s",
                  text);
    else if (ms < 1000 || ms > MOST_MS)
        exec_fail(e, STATUS_USAGE, "%.40s is out of range; 1s to 1h", text);
    return e->error ? 0 : ms;
}

enum exec_result change_debug(struct exec *e)
{
    struct peer *p = show_find_peer(e);
    if (!p)
        return EXEC_DONE;
    if (e->cmd->row->id == CMD_NO_DEBUG) {
        if (!peer_debug_left(p))
            return exec_fail(e, STATUS_REFUSED, "messages of %s are not logged; `show debug` lists whose are",
                             peer_name(p));
        peer_debug_stop(p);
        return EXEC_DONE;
    }
    uint32_t ms = asked_duration(e);
    if (!ms)
        return EXEC_DONE;
    if (!peer_debug_left(p) && watched(e->s->peers) >= MOST_PEERS)
        return exec_fail(e, STATUS_REFUSED, "%d peers are watched already; `show debug` lists them",
                         MOST_PEERS);
    int rc = peer_debug_start(p, ms);
    if (rc)
        return exec_fail(e, STATUS_REFUSED, "%s", strerror(-rc));
    if (!log_enabled(LOG_LVL_INFO))
        writer_text(e->w, "The log level hides it; use `log level info`\n");
    return EXEC_DONE;
}

enum exec_result show_debug(struct exec *e)
{
    char left[24];
    bool any = false;
    writer_object(e->w, NULL);
    for (unsigned i = 0; i < peer_set_count(e->s->peers); i++) {
        const struct peer *p = peer_set_at(e->s->peers, i);
        uint64_t ms = peer_debug_left(p);
        if (!ms)
            continue;
        any = true;
        writer_object(e->w, peer_name(p));
        writer_uint(e->w, "remainingMsecs", ms);
        writer_end(e->w);
        writer_text(e->w, "Messages of %s are logged for another %s\n", peer_name(p), show_seconds(ms, left));
    }
    if (!any)
        writer_text(e->w, "No peer is watched\n");
    writer_end(e->w);
    return EXEC_DONE;
}
