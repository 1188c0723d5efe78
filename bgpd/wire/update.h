/* UPDATE: RFC 4271 4.3 and 6.3, RFC 4760, RFC 7606. Decodes into interned attributes and validated NLRI
 * spans; encodes from interned attributes. The attributes are rows of a table in attr.c, each with its RFC
 * 7606 action. */
#ifndef UNDERLAY_UPDATE_H
#define UNDERLAY_UPDATE_H

#include "rib/attr.h"
#include "wire/msg.h"
#include "wire/role.h"

/* RFC 7606 section 2, from mild to strong; the strongest of a message counts. */
enum update_action {
    UPDATE_OK,
    UPDATE_ATTR_DISCARD,
    UPDATE_TREAT_AS_WITHDRAW,
    UPDATE_RESET, /* AFI/SAFI disable is not used for unicast: reset, as 7606 section 2 allows */
};

struct update_ctx {
    struct attr_table *attrs;
    struct update_cache *cache; /* may be NULL */
    uint32_t local_as, peer_as;
    uint32_t scope;  /* ifindex of the session, for link-local next hops */
    bool link_local; /* the session is between link-local addresses: of a next hop with both kinds that one */
    bool extended_nexthop; /* negotiated: IPv4 NLRI may have an IPv6 next hop (RFC 8950) */
    bool ebgp;
    bool as4;                 /* negotiated */
    bool family[FAM_COUNT];   /* negotiated; NLRI of others is ignored */
    bool add_path[FAM_COUNT]; /* NLRI comes with path identifiers, RFC 7911 */
    bool confederation;       /* false: confederation segments in AS_PATH are malformed (RFC 7606 7.2) */
    enum bgp_role role;       /* ours to this peer, as configured (RFC 9234 4.2); ROLE_NONE to iBGP peers */
};

struct nlri_span {
    const uint8_t *p;
    uint32_t len;
};

#define UPDATE_OFFENCES 16 /* of one message that are told apart; more are not counted */

struct update {
    enum update_action action;
    struct bgp_error
        error; /* UPDATE_RESET: to be sent. Else, of the strongest offences, the first: for log, counters */
    uint8_t bad_attr;   /* its attribute's type code, 0 none */
    uint16_t bad_len;   /* octets of it (error.data may have less) */
    const char *reason; /* what is wrong with it, in words */
    unsigned n_offences;
    struct update_offence {
        uint8_t action, type;
    } offence[UPDATE_OFFENCES];               /* all of them, in order */
    struct nlri_span withdrawn[FAM_COUNT][2]; /* validated; classic and MP for IPv4 */
    struct nlri_span reach[FAM_COUNT][2];     /* validated; with TREAT_AS_WITHDRAW these are withdrawn */
    const struct attr
        *attr[FAM_COUNT][2]; /* reference of the caller, for the span of the same index; NULL if empty
                                or action >= TREAT_AS_WITHDRAW; update_release drops them */
    bool eor[FAM_COUNT];     /* End-of-RIB, RFC 4724 section 2 */
};

/* body: what follows the header. Always fills *out; spans point into body. Never partially: with UPDATE_RESET
 * there are no spans. -ENOMEM: as RESET with Cease/Out of Resources. Syntactic validity of every NLRI is
 * checked here; a prefix with host bits is masked by nlri_next. */
int update_decode(const struct update_ctx *ctx, const uint8_t *body, size_t n, struct update *out);
void update_release(const struct update_ctx *ctx, struct update *u);
const char *pa_name(uint8_t type); /* of a path attribute: "med"; NULL: not one that we know */

/* Iterates a validated span. False at the end. The second for any span: with add_path *id is the path
 * identifier, else 0. */
static inline bool nlri_next(struct nlri_span *s, enum family f, struct prefix *out);
static inline bool nlri_next_path(struct nlri_span *s, enum family f, bool add_path, struct prefix *out,
                                  uint32_t *id);

/* Remembers the attribute blocks seen last (bytes in, interned attr out), so that a repeated block is not
 * parsed again. Bounded; holds references. Keep one a session kind (ctx fields that change parsing), e.g. one
 * a peer. */
struct update_cache *update_cache_new(unsigned slots);
void update_cache_free(struct update_cache *c, struct attr_table *attrs);

/* How attributes change on their way out to one peer: RFC 4271 5.1, 9.1.3. */
struct update_export {
    bool ebgp;
    bool as4;                    /* the peer takes 4-octet ASNs; else AS_TRANS and AS4_PATH (RFC 6793) */
    uint32_t local_as;           /* prepended to eBGP peers */
    uint32_t default_local_pref; /* sent to iBGP where the attribute has none */
    struct ip_addr nexthop[FAM_COUNT]; /* self, per family; af 0: family cannot be sent. IPv6 for IPv4 routes:
                                          only with extended_nexthop */
    struct ip_addr link_local;         /* with IPv6 next hops, RFC 2545; af 0 none */
    bool extended_nexthop;             /* the peer takes IPv6 next hops of IPv4 routes (RFC 8950) */
    bool nexthop_self; /* always; else only where attr has no next hop (originated) or the peer is eBGP */
    size_t max_len;    /* BGP_MAX_LEN or the extended one */
    bool add_path[FAM_COUNT]; /* NLRI goes with path identifiers, RFC 7911; for who calls the encoder */
    enum bgp_role role;       /* ours to this peer, as in struct update_ctx */
    bool llgr; /* the peer knows long-lived stale routes (RFC 9494), for who asks the encoder */
};

/* Writes one UPDATE announcing as many of the n prefixes (same family, same attr) as fit: with an IPv4
 * next hop as classic NLRI, with an IPv6 one as MP_REACH. Returns how many went in; 0: the attributes alone
 * do not fit, or w has less room than max_len. */
unsigned update_encode_reach(struct wire_writer *w, const struct update_export *x, const struct attr_table *t,
                             const struct attr *a, enum family f, const struct prefix *prefixes, unsigned n);
/* The same for withdrawals. */
unsigned update_encode_unreach(struct wire_writer *w, const struct update_export *x, enum family f,
                               const struct prefix *prefixes, unsigned n);
/* Both for a session that sends path identifiers (RFC 7911), one a prefix; ids NULL: as above. */
unsigned update_encode_reach_paths(struct wire_writer *w, const struct update_export *x,
                                   const struct attr_table *t, const struct attr *a, enum family f,
                                   const struct prefix *prefixes, const uint32_t *ids, unsigned n);
unsigned update_encode_unreach_paths(struct wire_writer *w, const struct update_export *x, enum family f,
                                     const struct prefix *prefixes, const uint32_t *ids, unsigned n);
void update_encode_eor(struct wire_writer *w, enum family f);

static inline bool nlri_next(struct nlri_span *s, enum family f, struct prefix *out)
{
    if (!s->len)
        return false;
    uint8_t bits = s->p[0], bytes = (uint8_t)((bits + 7) / 8);
    memset(out, 0, sizeof *out);
    out->addr.af = family_to_af(f);
    out->len = bits;
    memcpy(out->addr.b, s->p + 1, bytes);
    if (bits & 7)
        out->addr.b[bytes - 1] &= (uint8_t)(0xff00 >> (bits & 7));
    s->p += 1 + bytes;
    s->len -= 1u + bytes;
    return true;
}

static inline bool nlri_next_path(struct nlri_span *s, enum family f, bool add_path, struct prefix *out,
                                  uint32_t *id)
{
    *id = 0;
    if (add_path && s->len) {
        *id = (uint32_t)s->p[0] << 24 | (uint32_t)s->p[1] << 16 | (uint32_t)s->p[2] << 8 | s->p[3];
        s->p += 4;
        s->len -= 4;
    }
    return nlri_next(s, f, out);
}

#endif
