/* Capabilities in OPEN, RFC 5492. Unknown ones are skipped; the last of a repeated kind counts, multiprotocol
 * adds up. */
#ifndef UNDERLAY_CAPABILITY_H
#define UNDERLAY_CAPABILITY_H

#include "prefix.h"
#include "wire/wire.h"

#define AFI_IPV4     1
#define AFI_IPV6     2
#define SAFI_UNICAST 1

enum capability_code {
    CAP_MULTIPROTOCOL = 1,
    CAP_ROUTE_REFRESH = 2,
    CAP_EXTENDED_NEXTHOP = 5,
    CAP_EXTENDED_MESSAGE = 6,
    CAP_ROLE = 9,
    CAP_GRACEFUL_RESTART = 64,
    CAP_AS4 = 65,
    CAP_ADD_PATH = 69,
    CAP_ENHANCED_REFRESH = 70,
    CAP_LONG_LIVED_GR = 71,
    CAP_FQDN = 73, /* draft-walton-bgp-hostname-capability */
};
#define CAP_LLGR_STALE_MAX 0xffffffu /* seconds, 24 bits */

/* What one side said, or (capabilities_negotiate) what holds for a session. */
struct capabilities {
    bool has_multiprotocol; /* any multiprotocol capability at all; without one IPv4 unicast is implied */
    bool family[FAM_COUNT]; /* IPv4 and IPv6 unicast */
    bool route_refresh;
    bool as4;
    uint32_t asn; /* of the AS4 capability */
    /* Room for the rest of the protocol; decoded as received, not offered yet. */
    bool extended_message, enhanced_refresh, extended_nexthop[FAM_COUNT];
    bool graceful_restart;
    uint16_t gr_flags_time; /* as on the wire: R, N and the restart time */
    bool gr_family[FAM_COUNT], gr_forwarding[FAM_COUNT];
    uint8_t add_path[FAM_COUNT]; /* 0, 1 receive, 2 send, 3 both */
    bool long_lived_gr;          /* RFC 9494 */
    bool llgr_family[FAM_COUNT], llgr_forwarding[FAM_COUNT];
    uint32_t llgr_stale_s[FAM_COUNT]; /* 24 bits */
    bool has_role;
    uint8_t role;       /* as on the wire, RFC 9234 4.1: 0 provider, 1 RS, 2 RS client, 3 customer, 4 peer */
    bool role_conflict; /* said more than once, and not the same (4.2) */
    struct cap_text {
        const uint8_t *p; /* borrowed: from the message, or from who encodes; NULL none */
        uint8_t len;
    } hostname, domain;
};

/* One optional parameter of type 2 (a list of capabilities). 0 or -EBADMSG: lengths do not fit. */
int capabilities_decode(const uint8_t *p, size_t n, struct capabilities *io);
/* The capabilities alone, as a parameter of type 2 holds them; what is false is not written. */
void capabilities_encode(struct wire_writer *w, const struct capabilities *c);
/* What both sides have. family[]: implied IPv4 counts. */
struct capabilities capabilities_negotiate(const struct capabilities *ours,
                                           const struct capabilities *theirs);
bool family_from_afi(uint16_t afi, uint8_t safi, enum family *out);

#endif
