/* Router Advertisements and Solicitations (RFC 4861 4.1, 4.2) as far as unnumbered peers need them: to be
 * found and to find. A pure codec: no sockets, no clock. */
#ifndef UNDERLAY_RA_H
#define UNDERLAY_RA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "prefix.h"

#define RA_HOP_LIMIT 255 /* what all of Neighbor Discovery is sent with: no router has forwarded it */
#define RA_MAX       64  /* bytes of what ra_encode writes, at most */

enum ra_type { RA_SOLICITATION = 133, RA_ADVERTISEMENT = 134 };

struct ra_msg {
    enum ra_type type;
    uint8_t hop_limit; /* for hosts; 0: unspecified. This and the next four are of an advertisement only */
    uint8_t flags;     /* M, O and the rest, as on the wire */
    uint16_t lifetime; /* as a default router, seconds; 0: is none */
    uint32_t reachable_ms, retrans_ms;
    bool has_lladdr; /* the source link-layer address option, of an Ethernet */
    uint8_t lladdr[6];
    uint32_t mtu; /* the MTU option, 0: none */
};

/* An ICMPv6 message from its type on, the checksum verified by the kernel. 0; -ENOMSG: not one of the two
 * types; -EBADMSG: one that must be discarded (6.1.1, 6.1.2). */
int ra_decode(const uint8_t *icmp, size_t n, struct ra_msg *out);
/* What 6.1.1 and 6.1.2 ask of the packet around a decoded message: its hop limit and its source. */
bool ra_packet_is_valid(const struct ra_msg *m, const struct ip_addr *source, int hop_limit);
/* Writes m; the kernel fills in the checksum. Returns the length; 0: it does not fit, RA_MAX always does. */
size_t ra_encode(const struct ra_msg *m, uint8_t *buf, size_t size);

#endif
