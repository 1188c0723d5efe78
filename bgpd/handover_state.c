/* The state of a planned restart: a header, the sessions one after the other, the history of peers that have
 * none, then attributes and routes.
 *
 * All of Adj-RIB-In goes along, of every peer. The new process is then where the old one was, to the byte:
 * the tables as they were, the start of an unfinished message, and the rest of the stream in the socket. So
 * it need not wait for any refresh before it may sweep the kernel, and a peer that promises an enhanced
 * refresh and never ends it (FRR before 10.1, without graceful restart) loses nothing. A refresh is asked for
 * all the same, and sweeps by its own brackets.
 *
 * What is not sound costs all sessions: they end without a word, and graceful restart has its turn. Not kept:
 * stale routes of peers whose session was down; the kernel has them until they come again. */
#include "handover_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fibmsg.h"
#include "handover_io.h"
#include "log.h"
#include "speaker.h"

#define PEERS_MOST FM_KEEP_MOST

static const char magic[8] = "UNDERLAY";

static void header(struct handover_io *io, uint32_t *sessions, bool *whole)
{
    char word[sizeof magic];
    uint32_t format = HANDOVER_FORMAT;
    memcpy(word, magic, sizeof word);
    hio_bytes(io, word, sizeof word);
    HIO(io, format);
    if (memcmp(word, magic, sizeof word) || format != HANDOVER_FORMAT)
        hio_fail(io);
    HIO(io, *sessions);
    HIO(io, *whole);
}

static void note_lost(struct handover_left *h, const struct peer *p, const char *why)
{
    size_t n = strlen(h->text);
    h->lost++;
    snprintf(h->text + n, sizeof h->text - n, "%s%s: %s", n ? "; " : "", peer_name(p), why);
}

static void choose(struct speaker *s, struct handover_left *h, struct peer **sessions)
{
    for (unsigned i = 0; i < peer_set_count(s->peers); i++) {
        struct peer *p = peer_set_at(s->peers, i);
        const char *why = peer_established(p) ? peer_handover_obstacle(p) : NULL;
        if (why) {
            note_lost(h, p, why);
        } else if (peer_established(p)) {
            sessions[h->n] = p;
            h->sessions[h->n++] = peer_handover_fd(p);
        }
    }
}

/* Whether all the routes that peers have from us are accounted for: those of peers that are down stay behind,
 * and some may be about to come again. */
static bool is_whole(const struct speaker *s, const struct handover_left *h)
{
    bool whole = !h->lost && !s->deferring;
    for (unsigned i = 0; i < peer_set_count(s->peers); i++) {
        const struct peer *p = peer_set_at(s->peers, i);
        const uint32_t *paths = peer_rib(p)->paths;
        whole &= peer_established(p) || !(paths[FAM_IPV4] || paths[FAM_IPV6]);
    }
    return whole;
}

int handover_save(struct speaker *s, struct handover_left *out)
{
    unsigned room = peer_set_count(s->peers) + 1;
    struct peer **sessions = calloc(room, sizeof *sessions);
    struct handover_io io;

    *out = (struct handover_left){.sessions = calloc(room, sizeof *out->sessions)};
    out->state = memfd_create("underlay-handover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int r = out->state < 0 ? -errno : !sessions || !out->sessions ? -ENOMEM : 0;
    if (!r && !(r = hio_begin_write(&io, out->state))) {
        choose(s, out, sessions);
        uint32_t n = out->n;
        bool whole = is_whole(s, out);
        header(&io, &n, &whole);
        for (unsigned i = 0; i < out->n; i++)
            peer_handover_save(sessions[i], &io);
        peer_handover_save_histories(s->peers, &io);
        handover_save_routes(s, &io, sessions, out->n);
        r = hio_end(&io);
    }
    free(sessions);
    if (!r)
        r = hio_seal(out->state);
    if (r)
        handover_left_release(out);
    return r;
}

void handover_left_release(struct handover_left *h)
{
    if (h->state >= 0)
        close(h->state);
    free(h->sessions);
    h->sessions = NULL;
    h->state = -1;
}

static unsigned take_sessions(struct speaker *s, struct handover_io *io, struct peer **sessions,
                              const char **changed, unsigned count, const int *fds, unsigned n,
                              struct handover_taken *out)
{
    unsigned used = 0;
    for (; used < count && !io->error; used++) {
        bool ended = false;
        sessions[used] = peer_handover_load(s->peers, io, used < n ? fds[used] : -1, &ended, &changed[used]);
        out->ended += ended;
    }
    return used;
}

int handover_load(struct speaker *s, int state, const int *fds, unsigned n, struct handover_taken *out)
{
    struct handover_io io;
    uint32_t count = 0;
    unsigned used = 0;
    bool whole = false;

    *out = (struct handover_taken){0};
    if (!hio_begin_read(&io, state)) {
        header(&io, &count, &whole);
        if (count > PEERS_MOST)
            hio_fail(&io);
    }
    count = io.error ? 0 : count;
    struct peer **sessions = calloc(count + 1, sizeof *sessions);
    const char **changed = calloc(count + 1, sizeof *changed);
    if (!io.error && (!sessions || !changed))
        io.error = -ENOMEM;
    if (!io.error)
        used = take_sessions(s, &io, sessions, changed, count, fds, n, out);
    if (!io.error)
        peer_handover_load_histories(s->peers, &io);
    for (unsigned i = used; i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (!io.error)
        out->routes = handover_load_routes(s, &io, sessions, count);
    int r = hio_end(&io);
    for (unsigned i = 0; i < used; i++) {
        if (sessions[i] && r)
            peer_handover_abort(sessions[i]);
        else if (sessions[i] && peer_handover_resume(sessions[i], changed[i]))
            out->sessions++;
        else
            out->ended += sessions[i] != NULL;
    }
    out->whole = !r && whole && out->sessions == count;
    free(changed);
    free(sessions);
    return r;
}
