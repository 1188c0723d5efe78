/* The decision process, RFC 4271 9.1.1 and 9.1.2: pure comparison over candidates, no table. */
#ifndef UNDERLAY_DECISION_H
#define UNDERLAY_DECISION_H

#include "rib/rib.h"

struct candidate {
    const struct attr *attr;
    const struct rib_peer *peer;
    uint32_t metric;  /* interior cost to the next hop */
    uint32_t path_id; /* RFC 7911: only to tell paths of one peer apart */
    bool usable;      /* not filtered, next hop resolvable */
    bool multipath;   /* out: used beside the best */
    bool in, judged;  /* scratch: still under consideration; its neighbour AS has been looked at */
};
/* What counts: LOCAL_PREF or the default; 0 for an external path that is being shut down (RFC 8326). */
uint32_t decision_local_pref(const struct attr *a, const struct rib_peer *from, const struct rib_config *c);
/* Index of the best among n candidates, or -1. Marks multipaths (the best too, when there is another one) up
 * to c's width. Deterministic whatever the order of the candidates: MED is compared only among paths of the
 * same neighbour AS (9.1.2.2 c) unless c wants it among all, by elimination, never pairwise. */
int decision_select(struct candidate *cand, unsigned n, const struct rib_config *c, enum select_reason *why);
/* After it: the index of the best among those over other next hops than the best and the multipaths, or -1;
 * what a route falls back to when none of its next hops is left. The node's own paths need none. Changes only
 * `usable` of the candidates. */
int decision_backup(struct candidate *cand, unsigned n, int best, const struct rib_config *c);

#endif
