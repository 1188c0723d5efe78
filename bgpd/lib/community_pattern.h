/* Communities of all three kinds as people write them in a policy, and what they match: "65000:1",
 * "no-export" (RFC 1997); "65000:1:2" (RFC 8092); "rt:65000:1", "soo:10.0.0.1:7", "lb:*" and
 * "0x0002fde800000001" (RFC 4360). A number may be `*` where a pattern is wanted. */
#ifndef UNDERLAY_COMMUNITY_PATTERN_H
#define UNDERLAY_COMMUNITY_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

enum community_kind { COMMUNITY_STANDARD, COMMUNITY_LARGE, COMMUNITY_EXTENDED, COMMUNITY_KINDS };

/* In the bytes of the attribute. Equal patterns are equal bytes. */
struct community_pattern {
    uint8_t kind; /* enum community_kind */
    uint8_t len;  /* 4, 12 or 8 */
    uint8_t value[12], mask[12];
};

/* 0; -EINVAL: not a community; -ERANGE: a number is too large for its place; -EDOM: `*` where wildcard is
 * false. */
int community_pattern_parse(const char *text, bool wildcard, struct community_pattern *out);
bool community_pattern_match(const struct community_pattern *p, const uint8_t *community);
#define COMMUNITY_PATTERN_STRLEN 64
const char *community_pattern_format(const struct community_pattern *p, char buf[COMMUNITY_PATTERN_STRLEN]);

#endif
