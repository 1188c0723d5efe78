/* What is handed over, as a whole: sessions, and the routes that came over them. handover.c sees to the
 * processes. */
#ifndef UNDERLAY_HANDOVER_STATE_H
#define UNDERLAY_HANDOVER_STATE_H

#include "peer.h"

struct handover_io;
struct speaker;

/* Count it up with every change of what is written, whatever the build. */
#define HANDOVER_FORMAT 3

struct handover_left {
    int state;     /* a sealed memfd */
    int *sessions; /* the connections, in the order of the state; borrowed from the peers */
    unsigned n;
    unsigned lost;  /* Established, and cannot be handed over */
    char text[512]; /* which, and why: "10.0.0.1: …; 10.0.0.2: …" */
};
/* Nothing is changed by it. 0 or -errno; then there is nothing to release. */
int handover_save(struct speaker *s, struct handover_left *out);
void handover_left_release(struct handover_left *h); /* closes the memfd */

struct handover_taken {
    unsigned sessions; /* Established again */
    unsigned ended;    /* taken, and closed with a word: the configuration has changed */
    uint32_t routes;
    bool whole; /* all that the former process had from peers is here, with their sessions */
};
/* Takes all connections of fds (-1: one that is missing) over or closes them. 0, or -errno: the state is not
 * sound, and nothing was taken over. */
int handover_load(struct speaker *s, int state, const int *fds, unsigned n, struct handover_taken *out);

/* handover_routes.c. sessions: by their number in the state; NULL: its routes are not wanted. When reading,
 * the peers are Established and nothing has been read from them yet. */
void handover_save_routes(struct speaker *s, struct handover_io *io, struct peer *const *sessions,
                          unsigned n);
uint32_t handover_load_routes(struct speaker *s, struct handover_io *io, struct peer *const *sessions,
                              unsigned n);

/* peer_handover.c */
/* NULL: can be handed over; else why not. */
const char *peer_handover_obstacle(const struct peer *p);
int peer_handover_fd(const struct peer *p);
void peer_handover_save(struct peer *p, struct handover_io *io);
/* Of the peers without a session: how often it was up, and why it is not. */
void peer_handover_save_histories(struct peer_set *ps, struct handover_io *io);
void peer_handover_load_histories(struct peer_set *ps, struct handover_io *io); /* after the sessions */
/* Reads one session and takes it up over fd, which it owns; -1: it is lost. NULL: none, the connection is
 * closed, with a word where the peer should have one (*ended). *changed: the key of the configuration that
 * forbids the session.
 */
struct peer *peer_handover_load(struct peer_set *ps, struct handover_io *io, int fd, bool *ended,
                                const char **changed);
/* Its routes are in. What the peer may have said and we not kept is asked for; what the configuration has
 * against the session ends it. False: it was ended so. */
bool peer_handover_resume(struct peer *p, const char *changed);
bool peer_handover_is_stale(const struct peer *p); /* some of its routes may be; NULL: no */
void peer_handover_abort(struct peer *p);          /* the state is not sound: as if the connection was lost */

#endif
