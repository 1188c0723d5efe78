/* Between the text and the JSON of show bgp neighbors. */
#ifndef UNDERLAY_SHOW_NEIGHBORS_H
#define UNDERLAY_SHOW_NEIGHBORS_H

#include "control/exec.h"
#include "peer.h"

struct capability_row {
    const char *json, *text;
    bool (*has)(const struct capabilities *c, enum family f);
    bool per_family;
};
extern const struct capability_row capability_rows[]; /* ends with json NULL */
/* "advertisedAndReceived", "advertised", "received" (text: with blanks), or NULL: neither. */
const char *capability_sides(const struct peer_info *i, const struct capability_row *row, enum family f,
                             bool json);

void json_neighbor(struct exec *e, const struct peer *p,
                   const struct peer_info *i); /* a member, keyed by the peer */

/* show_bfd.c */
void text_bfd(struct writer *w, const struct peer *p, const struct peer_info *i);
void json_bfd(struct writer *w, const struct peer *p, const struct peer_info *i);

/* show_offences.c */
void text_offences(struct writer *w, const struct peer *p, const struct peer_stats *s);
void json_offences(struct writer *w, const struct peer *p);

#endif
