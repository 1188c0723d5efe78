/* The roles of RFC 9234 as a table: name, number on the wire (table 1), and the role that the other side must
 * have (table 2). */
#include "wire/role.h"

static const struct {
    const char *name;
    uint8_t wire;
    enum bgp_role other;
} roles[ROLE_COUNT] = {
    [ROLE_NONE] = {"undefined", 255, ROLE_NONE},         [ROLE_PROVIDER] = {"provider", 0, ROLE_CUSTOMER},
    [ROLE_CUSTOMER] = {"customer", 3, ROLE_PROVIDER},    [ROLE_PEER] = {"peer", 4, ROLE_PEER},
    [ROLE_RS_SERVER] = {"rs-server", 1, ROLE_RS_CLIENT}, [ROLE_RS_CLIENT] = {"rs-client", 2, ROLE_RS_SERVER},
};

const char *role_name(enum bgp_role r)
{
    return roles[r < ROLE_COUNT ? r : ROLE_NONE].name;
}

uint8_t role_to_wire(enum bgp_role r)
{
    return roles[r < ROLE_COUNT ? r : ROLE_NONE].wire;
}

enum bgp_role role_from_wire(uint8_t v)
{
    for (enum bgp_role r = ROLE_PROVIDER; r < ROLE_COUNT; r++)
        if (roles[r].wire == v)
            return r;
    return ROLE_NONE;
}

bool role_matches(enum bgp_role ours, enum bgp_role theirs)
{
    return ours != ROLE_NONE && ours < ROLE_COUNT && roles[ours].other == theirs;
}
