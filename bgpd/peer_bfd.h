/* BFD with a peer: which session the parent shall have (FM_BFD_SET), and what its state means to BGP. Only
 * for peer*.c. */
#ifndef UNDERLAY_PEER_BFD_H
#define UNDERLAY_PEER_BFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer;
struct peer_bfd;
struct peer_info;

/* Something that the session follows from may have changed: the configuration, what an operator shut down,
 * the address of the peer or of ours. Tells the parent when it has. */
void peer_bfd_look(struct peer *p);
void peer_bfd_end(struct peer *p);  /* the peer goes: the parent ends its session */
void peer_bfd_free(struct peer *p); /* without a word: the session goes on without us */

void peer_bfd_restart_changed(struct peer *p); /* a graceful restart of the peer begins or ends */
void peer_bfd_changed(struct peer *p);         /* the configuration has; a peer that waits may begin now */

/* `strict`, and BFD does not let BGP come up. */
bool peer_bfd_holds(const struct peer *p);
void peer_bfd_why(const struct peer *p, char *why, size_t why_size, char *hint, size_t hint_size);
/* A connection of the peer that comes while BFD holds it: kept until BFD lets it in, the newest of them. Owns
 * fd. */
void peer_bfd_park(struct peer *p, int fd);
bool peer_bfd_has_parked(const struct peer *p);
void peer_bfd_unpark(struct peer *p); /* accepts it, when BFD lets it in */

void peer_bfd_session_up(struct peer *p); /* Established */
/* Of a session that is handed over: how often BFD had gone down, as far as the former process had heard. */
uint32_t peer_bfd_downs(const struct peer *p);
void peer_bfd_taken_over(struct peer *p, uint32_t downs);
void peer_bfd_info(const struct peer *p, struct peer_info *o);

#endif
