/* A walk over one family of the table in the order of prefixes, in bounded steps, while the table changes. */
#ifndef UNDERLAY_WALK_H
#define UNDERLAY_WALK_H

#include "rib/rib.h"

#define WALK_STEP 2000 /* entries a turn */

struct walk;
struct walk *walk_new(struct rib *r, enum family f); /* NULL: out of memory */
void walk_free(struct walk *w);
/* One bounded step of getting ready. True: there is more to do; -> walk_failed afterwards. */
bool walk_prepare(struct walk *w);
bool walk_failed(const struct walk *w); /* out of memory */
/* The next entry that still exists; 0 at the end. */
uint32_t walk_next(struct walk *w);

#endif
