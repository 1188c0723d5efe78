/* RFC 9234 section 4: what a speaker is in the relation between two ASes, and the capability's octet for it.
 */
#ifndef UNDERLAY_ROLE_H
#define UNDERLAY_ROLE_H

#include <stdbool.h>
#include <stdint.h>

enum bgp_role {
    ROLE_NONE, /* no capability is sent */
    ROLE_PROVIDER,
    ROLE_CUSTOMER,
    ROLE_PEER,
    ROLE_RS_SERVER,
    ROLE_RS_CLIENT,
    ROLE_COUNT
};

const char *role_name(enum bgp_role r);  /* "provider" …; ROLE_NONE: "undefined", as FRR */
uint8_t role_to_wire(enum bgp_role r);   /* table 1; not of ROLE_NONE */
enum bgp_role role_from_wire(uint8_t v); /* ROLE_NONE: unassigned */
bool role_matches(enum bgp_role ours, enum bgp_role theirs); /* table 2 */

#endif
