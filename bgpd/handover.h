/* A planned restart of the speaker: its sessions go to the next speaker without the other side noticing.
 *
 * The old one stops reading, writes what the sessions are into a memfd (negotiated capabilities, counters,
 * unread and unsent bytes, what was advertised, Adj-RIB-In of peers that cannot be asked for it by enhanced
 * route refresh, RFC 7313), gives that and the TCP sockets to the parent (FM_KEEP) and ends. The new one
 * takes them up once links and state file are known, before any session starts, for the peers that are still
 * configured the same; asks for the routes again, says what it originates, withdraws what is gone, and sweeps
 * what did not come again. A session that cannot be handed over is lost as in a crash, and graceful restart
 * has its turn; that is logged, and told to whom asked for the restart.
 *
 * The memfd is of this build's own form and begins with its version: another version starts without it. */
#ifndef UNDERLAY_HANDOVER_H
#define UNDERLAY_HANDOVER_H

#include <stddef.h>
#include <stdint.h>

struct speaker;
struct fm_keep;

/* Hands over and ends the loop with status 0. Returns when it cannot begin: -EBUSY (starting, stopping,
 * reloading), -errno; nothing has changed then. Who asked learns from the text what could not be handed
 * over (""). */
int handover_begin(struct speaker *s, uint32_t flags, char *text, size_t size); /* FM_RESTART_* */
/* FM_KEPT; owns fd. */
void handover_got(struct speaker *s, const struct fm_keep *m, int fd);
/* Peers are made and the speaker is about to run: takes up what was got. The others start as ever. */
void handover_resume(struct speaker *s);

#endif
