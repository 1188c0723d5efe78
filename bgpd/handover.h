/* A planned restart of the speaker: its sessions go to the next speaker without the other side noticing.
 *
 * The old one stops reading, writes what the sessions are into a memfd (handover_state.h), gives that and the
 * TCP sockets to the parent (FM_KEEP) and ends. The new one takes them up once links and state file are
 * known, before any session starts, for the peers that are still configured the same; asks for the routes
 * again, says what it originates, withdraws what is gone. A session that cannot be handed over is lost as in
 * a crash, and graceful restart has its turn; that is logged, and told to whom asked for the restart. */
#ifndef UNDERLAY_HANDOVER_H
#define UNDERLAY_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct speaker;
struct fm_keep;
struct speaker_handover;

/* What became of the restart that this process came from. */
struct handover_arrival {
    bool planned;      /* a former process handed over something */
    unsigned sessions; /* so many of them, */
    unsigned taken;    /* Established again */
    unsigned ended;    /* closed with a word: the configuration has changed */
    const char *wrong; /* NULL, or why none could be taken over */
};

struct speaker_handover *speaker_handover_new(struct speaker *s); /* NULL: out of memory */
void speaker_handover_free(struct speaker_handover *h);

/* Hands over and ends the process with status 0. -EBUSY: it starts, stops or reloads; nothing has changed
 * then. Else done (may be NULL) is called once, later: error NULL: all is with the parent, and this process
 * ends as soon as speaker_handover_end is called, or shortly after; told says what was handed over and what
 * could not be. error: nothing has changed. flags: FM_RESTART_*. */
int speaker_handover_begin(struct speaker *s, uint32_t flags,
                           void (*done)(void *arg, const char *error, const char *told), void *arg);
void speaker_handover_end(struct speaker *s); /* who asked has its answer */

/* FM_KEPT; owns fd. */
void speaker_handover_got(struct speaker *s, const struct fm_keep *m, int fd);
bool speaker_handover_is_over(const struct speaker *s); /* all is with the parent, nothing is left to do */
bool speaker_handover_has(const struct speaker *s);     /* something was got and not taken up yet */
/* Peers are made and the speaker is about to run: takes up what was got. The others start as ever. */
void speaker_handover_resume(struct speaker *s);
const struct handover_arrival *speaker_handover_arrival(const struct speaker *s);

#endif
