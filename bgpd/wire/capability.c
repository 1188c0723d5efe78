/* Capabilities (RFC 5492): a table of rows {code, lengths, decode, encode}. An unknown capability, and an
 * address family that we do not have, is skipped: a peer may support more than we do. A known one whose
 * length cannot be is an error of the OPEN, since nothing after it can be trusted. What we offer is the
 * caller's choice; everything that is true is written. */
#include "wire/capability.h"

#include <errno.h>

bool family_from_afi(uint16_t afi, uint8_t safi, enum family *out)
{
    *out = afi == AFI_IPV6 ? FAM_IPV6 : FAM_IPV4;
    return safi == SAFI_UNICAST && (afi == AFI_IPV4 || afi == AFI_IPV6);
}

static void put_family(struct wire_writer *w, enum family f)
{
    wire_put_u16(w, f == FAM_IPV6 ? AFI_IPV6 : AFI_IPV4);
}

static void decode_multiprotocol(struct wire_reader *r, struct capabilities *c)
{
    enum family f;
    uint16_t afi = wire_get_u16(r);
    wire_get_u8(r); /* reserved */
    c->has_multiprotocol = true;
    if (family_from_afi(afi, wire_get_u8(r), &f))
        c->family[f] = true;
}

static void decode_as4(struct wire_reader *r, struct capabilities *c)
{
    c->as4 = true;
    c->asn = wire_get_u32(r);
}

static void encode_as4(struct wire_writer *w, const struct capabilities *c)
{
    wire_put_u32(w, c->asn);
}

static void decode_refresh(struct wire_reader *r, struct capabilities *c)
{
    (void)r;
    c->route_refresh = true;
}

static void decode_enhanced_refresh(struct wire_reader *r, struct capabilities *c)
{
    (void)r;
    c->enhanced_refresh = true;
}

static void decode_extended_message(struct wire_reader *r, struct capabilities *c)
{
    (void)r;
    c->extended_message = true;
}

/* RFC 8950 section 4: AFI, SAFI (two octets here), next hop AFI. Only IPv6 as next hop is ever meant. */
static void decode_extended_nexthop(struct wire_reader *r, struct capabilities *c)
{
    memset(c->extended_nexthop, 0, sizeof c->extended_nexthop);
    while (wire_left(r) && !r->err) {
        enum family f;
        uint16_t afi = wire_get_u16(r), safi = wire_get_u16(r), nexthop = wire_get_u16(r);
        if (safi <= UINT8_MAX && family_from_afi(afi, (uint8_t)safi, &f) && nexthop == AFI_IPV6)
            c->extended_nexthop[f] = true;
    }
}

static void encode_extended_nexthop(struct wire_writer *w, const struct capabilities *c)
{
    for (enum family f = 0; f < FAM_COUNT; f++) {
        if (!c->extended_nexthop[f])
            continue;
        put_family(w, f);
        wire_put_u16(w, SAFI_UNICAST);
        wire_put_u16(w, AFI_IPV6);
    }
}

/* RFC 9234 4.2: the same one again is one; another one is the session's to refuse. */
static void decode_role(struct wire_reader *r, struct capabilities *c)
{
    uint8_t role = wire_get_u8(r);
    c->role_conflict |= c->has_role && c->role != role;
    c->has_role = true;
    c->role = role;
}

static void encode_role(struct wire_writer *w, const struct capabilities *c)
{
    wire_put_u8(w, c->role);
}

/* RFC 4724 section 3. */
static void decode_graceful_restart(struct wire_reader *r, struct capabilities *c)
{
    c->graceful_restart = true;
    c->gr_flags_time = wire_get_u16(r);
    memset(c->gr_family, 0, sizeof c->gr_family);
    memset(c->gr_forwarding, 0, sizeof c->gr_forwarding);
    while (wire_left(r) && !r->err) {
        enum family f;
        uint16_t afi = wire_get_u16(r);
        bool known = family_from_afi(afi, wire_get_u8(r), &f);
        uint8_t flags = wire_get_u8(r);
        if (known) {
            c->gr_family[f] = true;
            c->gr_forwarding[f] = flags & 0x80;
        }
    }
}

static void encode_graceful_restart(struct wire_writer *w, const struct capabilities *c)
{
    wire_put_u16(w, c->gr_flags_time);
    for (enum family f = 0; f < FAM_COUNT; f++) {
        if (!c->gr_family[f])
            continue;
        put_family(w, f);
        wire_put_u8(w, SAFI_UNICAST);
        wire_put_u8(w, c->gr_forwarding[f] ? 0x80 : 0);
    }
}

/* RFC 9494 section 3: AFI, SAFI, flags, stale time of three octets. */
static void decode_long_lived_gr(struct wire_reader *r, struct capabilities *c)
{
    c->long_lived_gr = true;
    memset(c->llgr_family, 0, sizeof c->llgr_family);
    memset(c->llgr_forwarding, 0, sizeof c->llgr_forwarding);
    memset(c->llgr_stale_s, 0, sizeof c->llgr_stale_s);
    while (wire_left(r) && !r->err) {
        enum family f;
        uint16_t afi = wire_get_u16(r);
        bool known = family_from_afi(afi, wire_get_u8(r), &f);
        uint32_t v = wire_get_u32(r);
        if (known) {
            c->llgr_family[f] = true;
            c->llgr_forwarding[f] = v >> 31;
            c->llgr_stale_s[f] = v & CAP_LLGR_STALE_MAX;
        }
    }
}

static void encode_long_lived_gr(struct wire_writer *w, const struct capabilities *c)
{
    for (enum family f = 0; f < FAM_COUNT; f++) {
        if (!c->llgr_family[f])
            continue;
        uint32_t stale = c->llgr_stale_s[f] < CAP_LLGR_STALE_MAX ? c->llgr_stale_s[f] : CAP_LLGR_STALE_MAX;
        put_family(w, f);
        wire_put_u8(w, SAFI_UNICAST);
        wire_put_u32(w, (c->llgr_forwarding[f] ? 1u << 31 : 0) | stale);
    }
}

/* Names for people: lengths that do not fit make it void, not the OPEN. */
static void decode_fqdn(struct wire_reader *r, struct capabilities *c)
{
    struct cap_text host = {0}, domain = {0};
    host.len = wire_get_u8(r);
    host.p = wire_get_bytes(r, host.len);
    if (r->err)
        return;
    if (wire_left(r)) {
        domain.len = wire_get_u8(r);
        domain.p = wire_get_bytes(r, domain.len);
    }
    c->hostname = host;
    c->domain = r->err ? (struct cap_text){0} : domain;
}

static void encode_fqdn(struct wire_writer *w, const struct capabilities *c)
{
    wire_put_u8(w, c->hostname.len);
    wire_put_bytes(w, c->hostname.p, c->hostname.len);
    wire_put_u8(w, c->domain.len);
    wire_put_bytes(w, c->domain.p, c->domain.len);
}

/* RFC 7911 section 4: another value than 1, 2, 3 makes the tuple void. */
static void decode_add_path(struct wire_reader *r, struct capabilities *c)
{
    memset(c->add_path, 0, sizeof c->add_path);
    while (wire_left(r) && !r->err) {
        enum family f;
        uint16_t afi = wire_get_u16(r);
        bool known = family_from_afi(afi, wire_get_u8(r), &f);
        uint8_t mode = wire_get_u8(r);
        if (known && mode <= 3)
            c->add_path[f] = mode;
    }
}

static void encode_add_path(struct wire_writer *w, const struct capabilities *c)
{
    for (enum family f = 0; f < FAM_COUNT; f++) {
        if (!c->add_path[f])
            continue;
        put_family(w, f);
        wire_put_u8(w, SAFI_UNICAST);
        wire_put_u8(w, c->add_path[f]);
    }
}

/* The value is fixed octets, then any number of units (0: no such list). */
static const struct {
    uint8_t code, fixed, unit;
    void (*decode)(struct wire_reader *r, struct capabilities *c);
} decoders[] = {
    {CAP_MULTIPROTOCOL, 4, 0, decode_multiprotocol},
    {CAP_ROUTE_REFRESH, 0, 0, decode_refresh},
    {CAP_EXTENDED_NEXTHOP, 0, 6, decode_extended_nexthop},
    {CAP_EXTENDED_MESSAGE, 0, 0, decode_extended_message},
    {CAP_ROLE, 1, 0, decode_role},
    {CAP_GRACEFUL_RESTART, 2, 4, decode_graceful_restart},
    {CAP_AS4, 4, 0, decode_as4},
    {CAP_ADD_PATH, 0, 4, decode_add_path},
    {CAP_ENHANCED_REFRESH, 0, 0, decode_enhanced_refresh},
    {CAP_LONG_LIVED_GR, 0, 7, decode_long_lived_gr},
    {CAP_FQDN, 0, 1, decode_fqdn},
};

int capabilities_decode(const uint8_t *p, size_t n, struct capabilities *io)
{
    struct wire_reader r = wire_reader(p, n);
    while (wire_left(&r)) {
        uint8_t code = wire_get_u8(&r);
        size_t len = wire_get_u8(&r);
        struct wire_reader v = wire_get_sub(&r, len);
        if (r.err)
            return -EBADMSG;
        for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++) {
            if (decoders[i].code != code)
                continue;
            size_t fixed = decoders[i].fixed, unit = decoders[i].unit;
            if (len < fixed || (unit ? (len - fixed) % unit : len - fixed))
                return -EBADMSG;
            decoders[i].decode(&v, io);
        }
    }
    return 0;
}

static void put_capability(struct wire_writer *w, uint8_t code, const struct capabilities *c,
                           void (*value)(struct wire_writer *, const struct capabilities *))
{
    uint8_t *start = wire_reserve(w, 2);
    if (value)
        value(w, c);
    if (!start || w->err)
        return;
    size_t len = (size_t)(w->p - start - 2);
    w->err |= len > UINT8_MAX;
    start[0] = code;
    start[1] = (uint8_t)len;
}

static void encode_multiprotocol(struct wire_writer *w, enum family f)
{
    wire_put_bytes(w, (uint8_t[]){CAP_MULTIPROTOCOL, 4}, 2);
    put_family(w, f);
    wire_put_u8(w, 0);
    wire_put_u8(w, SAFI_UNICAST);
}

static bool any(const bool b[FAM_COUNT])
{
    return b[FAM_IPV4] || b[FAM_IPV6];
}

void capabilities_encode(struct wire_writer *w, const struct capabilities *c)
{
    for (enum family f = 0; f < FAM_COUNT; f++)
        if (c->family[f])
            encode_multiprotocol(w, f);
    if (c->route_refresh)
        put_capability(w, CAP_ROUTE_REFRESH, c, NULL);
    if (any(c->extended_nexthop))
        put_capability(w, CAP_EXTENDED_NEXTHOP, c, encode_extended_nexthop);
    if (c->extended_message)
        put_capability(w, CAP_EXTENDED_MESSAGE, c, NULL);
    if (c->has_role)
        put_capability(w, CAP_ROLE, c, encode_role);
    if (c->graceful_restart)
        put_capability(w, CAP_GRACEFUL_RESTART, c, encode_graceful_restart);
    if (c->as4)
        put_capability(w, CAP_AS4, c, encode_as4);
    if (c->add_path[FAM_IPV4] || c->add_path[FAM_IPV6])
        put_capability(w, CAP_ADD_PATH, c, encode_add_path);
    if (c->enhanced_refresh)
        put_capability(w, CAP_ENHANCED_REFRESH, c, NULL);
    if (c->long_lived_gr)
        put_capability(w, CAP_LONG_LIVED_GR, c, encode_long_lived_gr);
    if (c->hostname.p)
        put_capability(w, CAP_FQDN, c, encode_fqdn);
}

static bool has_family(const struct capabilities *c, enum family f)
{
    return c->family[f] || (f == FAM_IPV4 && !c->has_multiprotocol);
}

struct capabilities capabilities_negotiate(const struct capabilities *ours, const struct capabilities *theirs)
{
    struct capabilities n = {
        .has_multiprotocol = ours->has_multiprotocol && theirs->has_multiprotocol,
        .route_refresh = ours->route_refresh && theirs->route_refresh,
        .as4 = ours->as4 && theirs->as4,
        .asn = theirs->asn,
        .extended_message = ours->extended_message && theirs->extended_message,
        .enhanced_refresh = ours->enhanced_refresh && theirs->enhanced_refresh,
        .graceful_restart = ours->graceful_restart && theirs->graceful_restart,
        .gr_flags_time = theirs->gr_flags_time,
        .has_role = ours->has_role && theirs->has_role,
        .role = theirs->role,
    };
    /* RFC 9494 section 3: without graceful restart beside it, it must be ignored. */
    n.long_lived_gr = n.graceful_restart && ours->long_lived_gr && theirs->long_lived_gr;
    for (enum family f = 0; f < FAM_COUNT; f++) {
        uint8_t they = theirs->add_path[f]; /* what they send we receive, and the other way round */
        n.family[f] = has_family(ours, f) && has_family(theirs, f);
        n.extended_nexthop[f] = ours->extended_nexthop[f] && theirs->extended_nexthop[f];
        n.gr_family[f] = n.graceful_restart && theirs->gr_family[f];
        n.gr_forwarding[f] = n.graceful_restart && theirs->gr_forwarding[f];
        n.llgr_family[f] = n.long_lived_gr && theirs->llgr_family[f];
        n.llgr_forwarding[f] = n.long_lived_gr && theirs->llgr_forwarding[f];
        n.llgr_stale_s[f] = n.long_lived_gr ? theirs->llgr_stale_s[f] : 0;
        n.add_path[f] = ours->add_path[f] & (uint8_t)((they & 1) << 1 | (they & 2) >> 1);
    }
    return n;
}
