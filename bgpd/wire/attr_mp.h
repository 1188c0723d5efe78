/* MP_REACH_NLRI and MP_UNREACH_NLRI, RFC 4760: rows of the table in attr.c. */
#ifndef UNDERLAY_ATTR_MP_H
#define UNDERLAY_ATTR_MP_H

#include "wire/attr.h"

uint8_t decode_mp_reach(struct pa_decoder *d, const struct pa_tlv *t);
uint8_t decode_mp_unreach(struct pa_decoder *d, const struct pa_tlv *t);

/* Writes MP_REACH with as many prefixes as fit into room bytes, before what is already written from `at` on
 * (RFC 7606 5.1: it comes first). Returns how many. ids: as in nlri.h. */
unsigned encode_mp_reach(struct pa_encoder *e, uint8_t *at, const struct prefix *prefixes,
                         const uint32_t *ids, unsigned n);
unsigned encode_mp_unreach(struct wire_writer *w, enum family f, const struct prefix *prefixes,
                           const uint32_t *ids, unsigned n);

#endif
