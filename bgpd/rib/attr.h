/* Path attributes, interned: equal contents are one object, `const`, reference-counted, compared by pointer
 * and named by a dense 32-bit id (paths store the id). A next hop is part of them. The wire codec
 * (wire/attr.c) fills an attr_build; attr_intern turns it into an object. Not thread safe. */
#ifndef UNDERLAY_ATTR_H
#define UNDERLAY_ATTR_H

#include "prefix.h"

enum { ORIGIN_IGP, ORIGIN_EGP, ORIGIN_INCOMPLETE };
enum {
    ATTR_HAS_MED = 0x01,
    ATTR_HAS_LOCAL_PREF = 0x02,
    ATTR_ATOMIC_AGGREGATE = 0x04,
    ATTR_HAS_AGGREGATOR = 0x08,
    ATTR_HAS_ORIGINATOR = 0x10,
    ATTR_PATH_HAS_CONFED = 0x20,
    ATTR_LLGR_STALE = 0x40,        /* has that community: the least preferred, RFC 9494 4.3 */
    ATTR_GRACEFUL_SHUTDOWN = 0x80, /* has the community of RFC 8326 */
    ATTR_AS_IS = 0x100, /* made by an export policy: MED, next hop and communities go out as they are */
    ATTR_HAS_BANDWIDTH = 0x200, /* has a link bandwidth that means something */
    ATTR_BLACKHOLE = 0x400,     /* has the community of RFC 7999 */
    ATTR_DRAINING = 0x800,  /* of ours, while the node is drained: no policy takes GRACEFUL_SHUTDOWN away */
    ATTR_WITHHELD = 0x1000, /* and later: it goes to nobody */
};
/* Of what came with the Partial bit set; it stays set (RFC 4271 section 5). */
enum {
    PARTIAL_AGGREGATOR = 0x01,
    PARTIAL_COMMUNITY = 0x02,
    PARTIAL_LARGE = 0x04,
    PARTIAL_EXTENDED = 0x08,
    PARTIAL_OTC = 0x10,
};

/* The variable parts, in the order they lie in struct attr. */
enum attr_part {
    PART_AS_PATH,   /* segments with 4-octet ASNs as on the wire: type, count, asn… */
    PART_COMMUNITY, /* RFC 1997, 4 octets each, sorted, unique */
    PART_LARGE,     /* RFC 8092, 12 octets each, sorted, unique */
    PART_EXTENDED,  /* RFC 4360, 8 octets each, sorted, unique */
    PART_CLUSTER,   /* RFC 4456, 4 octets each */
    PART_UNKNOWN,   /* optional transitive attributes that are passed on as they are: flags (unknown ones with
                       Partial set), type, length 2, value; by type */
    PART_OTC,       /* RFC 9234, 4 octets */
    PART_COUNT
};

struct attr {
    uint32_t id;
    uint32_t refs;
    uint32_t hash;
    uint32_t nexthop;     /* id in the nexthop table (rib/nexthop.h); 0: none, we originate it */
    uint32_t med;         /* 0 without ATTR_HAS_MED */
    uint32_t local_pref;  /* 0 without ATTR_HAS_LOCAL_PREF */
    uint32_t neighbor_as; /* first AS of a leading AS_SEQUENCE, confederation segments
                             skipped, else 0: RFC 4271 9.1.2.2 c, RFC 5065 5.3 */
    uint32_t aggregator_as, aggregator_id, originator_id;
    uint16_t
        path_len; /* ASes, a set counts one, confederation segments none: RFC 4271 9.1.2.2 a, RFC 5065 5.3 */
    uint16_t flags;
    uint8_t origin;
    uint8_t partial;               /* PARTIAL_* */
    uint16_t part_len[PART_COUNT]; /* bytes */
    uint8_t data[];
};

/* The same before interning: spans borrow from anywhere. */
struct attr_build {
    struct ip_addr nexthop; /* af 0: none */
    uint32_t nexthop_scope; /* ifindex when link-local */
    uint32_t med, local_pref, aggregator_as, aggregator_id, originator_id;
    uint16_t flags;
    uint8_t origin, partial;
    const uint8_t *part[PART_COUNT];
    uint16_t part_len[PART_COUNT];
};

struct attr_table;
struct nexthop_table;
struct attr_table *attr_table_new(struct nexthop_table *nexthops); /* borrows nexthops; NULL: out of memory */
void attr_table_free(struct attr_table *t);
/* Computes path_len, neighbor_as and the flags ATTR_PATH_HAS_CONFED, ATTR_LLGR_STALE, ATTR_GRACEFUL_SHUTDOWN,
 * ATTR_HAS_BANDWIDTH, ATTR_BLACKHOLE; sorts the community parts. A new reference; NULL: out of memory. Takes
 * a nexthop reference for the object. part[PART_AS_PATH] must be well formed, the others multiples of their
 * unit. */
const struct attr *attr_intern(struct attr_table *t, const struct attr_build *b);
const struct attr *attr_ref(const struct attr *a);
void attr_unref(struct attr_table *t, const struct attr *a);
const struct attr *attr_by_id(const struct attr_table *t, uint32_t id); /* borrows */
static inline const uint8_t *attr_part(const struct attr *a, enum attr_part p, uint16_t *len)
{
    const uint8_t *d = a->data;
    for (int i = 0; i < (int)p; i++)
        d += a->part_len[i];
    *len = a->part_len[p];
    return d;
}
/* The AS of OTC; 0: none, or really 0 (look at part_len). */
static inline uint32_t attr_otc(const struct attr *a)
{
    uint16_t len;
    const uint8_t *p = attr_part(a, PART_OTC, &len);
    return len ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}
bool attr_has_community(const struct attr *a, uint32_t community);
/* Back to a build (spans borrow from a; nexthop filled from the table), to make a changed copy. */
void attr_to_build(const struct attr_table *t, const struct attr *a, struct attr_build *out);

/* "65001 64512 {64600,64601}", "65000:1 no-export", "65000:1:2", "RT:65000:1". Return bytes that would be
 * written. */
int attr_format_as_path(const struct attr *a, char *buf, size_t size);
int attr_format_communities(const struct attr *a, char *buf, size_t size);
int attr_format_large(const struct attr *a, char *buf, size_t size);
int attr_format_extended(const struct attr *a, char *buf, size_t size);
int attr_format_clusters(const struct attr *a, char *buf, size_t size); /* "10.0.0.1 10.0.0.2" */
int attr_format_carried(const struct attr *a, char *buf, size_t size);  /* type:value "99:abcd 200:" */
const char *origin_name(uint8_t origin);                                /* "IGP", "EGP", "incomplete" */
/* Occurrences of asn in the path, for loop detection and allow-own-as. */
unsigned attr_path_count_as(const struct attr *a, uint32_t asn);

/* attr_bandwidth.c: link bandwidth in bytes per second; 0: none that means something. */
float attr_bandwidth(const struct attr *a);
/* A weight is so many Mbit/s: only the relation of weights counts, and routers take it for a bandwidth. */
#define ATTR_WEIGHT_MOST 1000000
uint32_t attr_weight(const struct attr *a);
/* Puts weight into extended communities; replaces the one that is there, 0 removes it. as: of who says so.
 * out has room for the part and 8 bytes more; returns its length. */
size_t attr_put_weight(const uint8_t *extended, size_t len, uint32_t as, uint32_t weight, uint8_t *out);
/* Bandwidths above 0 to weights of 1..255 in about the same relation; n up to ATTR_WEIGHTS_MAX. */
#define ATTR_WEIGHTS_MAX 64
void bandwidth_to_weights(const float *bandwidth, unsigned n, uint8_t *weights);

uint32_t attr_table_count(const struct attr_table *t);
uint64_t attr_table_memory(const struct attr_table *t);

#endif
