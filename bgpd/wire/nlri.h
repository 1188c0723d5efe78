/* NLRI on the wire: <length in bits, as many bytes as that needs>…, RFC 4271 4.3 and RFC 4760 5; with
 * ADD-PATH a path identifier of four octets before each, RFC 7911 section 3. */
#ifndef UNDERLAY_NLRI_H
#define UNDERLAY_NLRI_H

#include "prefix.h"
#include "wire/wire.h"

/* RFC 7606 5.3: no length above the family's, no prefix beyond the end. */
bool nlri_check(const uint8_t *p, size_t n, enum family f, bool add_path);
/* How many of the prefixes fit into room bytes, and how many bytes these take. ids: their path identifiers,
 * NULL without ADD-PATH. */
unsigned nlri_fit(const struct prefix *prefixes, const uint32_t *ids, unsigned n, size_t room, size_t *bytes);
void nlri_put(struct wire_writer *w, const struct prefix *prefixes, const uint32_t *ids, unsigned n);

#endif
