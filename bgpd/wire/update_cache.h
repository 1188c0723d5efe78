/* The cache of attribute blocks behind update_decode; made and freed by the functions in update.h. */
#ifndef UNDERLAY_UPDATE_CACHE_H
#define UNDERLAY_UPDATE_CACHE_H

#include "wire/update.h"

#define UPDATE_CACHE_PIECES 4

/* What decides the attributes of a block, in pieces: the attributes around MP_REACH and MP_UNREACH, then the
 * head of MP_REACH (AFI, SAFI, next hop). Both lengths are part of the key, so that pieces cannot be taken
 * for one another. */
struct update_cache_key {
    struct nlri_span piece[UPDATE_CACHE_PIECES];
    unsigned n;
    uint32_t attr_len, head_len;
    uint32_t hash; /* filled by update_cache_find */
};
/* The attributes (borrowed) or NULL. */
const struct attr *update_cache_find(const struct update_cache *c, struct update_cache_key *k);
/* Takes a reference; in place of what was in the slot. k must have been looked up. */
void update_cache_store(struct update_cache *c, struct attr_table *t, const struct update_cache_key *k,
                        const struct attr *a);

#endif
