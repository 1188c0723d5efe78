/* Communities as people write them: "65000:100" and names (RFC 1997), "65000:1:2" (RFC 8092). */
#ifndef UNDERLAY_COMMUNITY_H
#define UNDERLAY_COMMUNITY_H

#include <stdint.h>

#define COMMUNITY_STRLEN 36

/* IANA, BGP Well-known Communities */
#define COMMUNITY_GRACEFUL_SHUTDOWN 0xffff0000u /* RFC 8326 */
#define COMMUNITY_ACCEPT_OWN        0xffff0001u /* RFC 7611 */
#define COMMUNITY_LLGR_STALE        0xffff0006u /* RFC 9494 */
#define COMMUNITY_NO_LLGR           0xffff0007u
#define COMMUNITY_BLACKHOLE         0xffff029au /* RFC 7999 */
#define COMMUNITY_NO_EXPORT         0xffffff01u /* RFC 1997 */
#define COMMUNITY_NO_ADVERTISE      0xffffff02u
#define COMMUNITY_LOCAL_AS          0xffffff03u /* NO_EXPORT_SUBCONFED */
#define COMMUNITY_NO_PEER           0xffffff04u /* RFC 3765 */

/* Fills *standard and returns 1, or large and returns 3; -EINVAL: neither; -ERANGE: a number is too large for
 * its place. */
int community_parse(const char *text, uint32_t *standard, uint32_t large[3]);
/* By name where it has one. Returns buf. */
const char *community_format(uint32_t c, char buf[COMMUNITY_STRLEN]);
const char *community_format_large(const uint32_t c[3], char buf[COMMUNITY_STRLEN]);

#endif
