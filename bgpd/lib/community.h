/* Communities as people write them: "65000:100" and names (RFC 1997), "65000:1:2" (RFC 8092). */
#ifndef UNDERLAY_COMMUNITY_H
#define UNDERLAY_COMMUNITY_H

#include <stdint.h>

#define COMMUNITY_STRLEN 36

#define COMMUNITY_LLGR_STALE 0xffff0006u /* RFC 9494 */
#define COMMUNITY_NO_LLGR    0xffff0007u

/* Fills *standard and returns 1, or large and returns 3; -EINVAL: neither; -ERANGE: a number is too large for
 * its place. */
int community_parse(const char *text, uint32_t *standard, uint32_t large[3]);
/* By name where it has one. Returns buf. */
const char *community_format(uint32_t c, char buf[COMMUNITY_STRLEN]);
const char *community_format_large(const uint32_t c[3], char buf[COMMUNITY_STRLEN]);

#endif
