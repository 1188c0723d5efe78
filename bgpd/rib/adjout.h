/* Adj-RIB-Out of one peer, RFC 4271 section 3.2 and 9.1.3: which prefixes the peer has from us, and what must
 * still be sent. Two bits a prefix: advertised, dirty. What is sent is derived from the best path when it is
 * sent, so the last word wins and the queue is bounded by the table. Serves sorted by attribute object, so
 * that few UPDATEs carry much. */
#ifndef UNDERLAY_ADJOUT_H
#define UNDERLAY_ADJOUT_H

#include "rib/export.h"
#include "rib/rib.h"
#include "wire/update.h"

struct adjout;
/* wake: there is something to send; call adjout_fill when the peer can take it. */
struct adjout *adjout_new(struct rib *r, struct rib_peer *peer, void (*wake)(void *arg), void *arg);
void adjout_free(struct adjout *o);
/* The session is up: everything that passes is sent, then End-of-RIB per family. With x->add_path[f] that is
 * every usable path of a prefix, each under a path identifier of its own (RFC 7911). */
int adjout_start(struct adjout *o, const struct update_export *x, enum export_mode mode,
                 const bool family[FAM_COUNT]);
/* While held no End-of-RIB goes out, but routes do (RFC 4724 4.1: the initial update is not complete). */
void adjout_hold_eor(struct adjout *o, bool hold);
/* After adjout_start, of a session that another process began (handover.h): End-of-RIB of f was sent or not,
 * and the peer has this prefix, with ADD-PATH under this identifier. What is there now is said again, under
 * the identifiers that are in use; the rest is withdrawn. Held, such a session waits with everything. 0 or
 * -ENOMEM. */
void adjout_resume(struct adjout *o, enum family f, bool eor_sent);
int adjout_resume_prefix(struct adjout *o, enum family f, const struct prefix *p, uint32_t path_id);
bool adjout_waits(const struct adjout *o);
/* What the peer has, for that other process; path_id 0 without ADD-PATH. */
void adjout_each(const struct adjout *o, enum family f,
                 void (*cb)(void *arg, const struct prefix *p, uint32_t path_id), void *arg);
void adjout_stop(struct adjout *o); /* the session is gone: forget what was advertised */
/* Another export mode, or the same again after a ROUTE-REFRESH (resend: also what has not changed). */
int adjout_resend(struct adjout *o, enum family f, enum export_mode mode, bool force);
/* Writes whole UPDATE messages into w while there are some and there is room for one of max_len; bounded to a
 * few thousand prefixes a call. Returns messages written; *more: something is left. */
unsigned adjout_fill(struct adjout *o, struct wire_writer *w, bool *more);
/* Whether the last fill left something because what it is sent with could not be made. It stays to be sent.
 */
bool adjout_no_memory(const struct adjout *o);
bool adjout_pending(const struct adjout *o);
bool adjout_family_pending(const struct adjout *o, enum family f);
uint32_t adjout_count(const struct adjout *o,
                      enum family f); /* advertised prefixes (paths with ADD-PATH): "sentPrefixCounter" */
uint32_t adjout_queued(const struct adjout *o, enum family f);
bool adjout_eor_sent(const struct adjout *o, enum family f);
bool adjout_has(const struct adjout *o, enum family f, uint32_t index);
bool adjout_sends_paths(const struct adjout *o, enum family f); /* ADD-PATH was agreed on */
/* With ADD-PATH: whether the peer has this path of the entry. */
bool adjout_has_path(const struct adjout *o, enum family f, uint32_t index, uint32_t path);
/* The policy of EXPORT_BY_POLICY, from the next adjout_start or adjout_resend on; NULL: none. Takes a
 * reference. One that does the same as before changes nothing. */
struct policy;
struct policy_env;
void adjout_set_policy(struct adjout *o, const struct policy *p, const struct policy_env *env);
/* What a path of the entry is sent with now, borrowed until the next call; NULL: it is not. */
const struct attr *adjout_attr(struct adjout *o, enum family f, const struct rib_entry *e,
                               const struct rib_path *p);
/* Whether the best path of the entry may go to this peer, whatever its policy says: split horizon (not back
 * to its source), iBGP not to iBGP, NO_EXPORT / NO_ADVERTISE / NO_EXPORT_SUBCONFED (RFC 1997), the mode, a
 * usable own next hop for the family. */
const struct rib_path *adjout_exportable(const struct adjout *o, enum family f, const struct rib_entry *e);
uint64_t adjout_memory(const struct adjout *o);

#endif
