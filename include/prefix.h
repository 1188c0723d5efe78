/* Addresses and prefixes of both families: plain values, no allocation, no sockets. */
#ifndef UNDERLAY_PREFIX_H
#define UNDERLAY_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* The two address families as dense array indices. Only IPv4 and IPv6 unicast exist here. */
enum family { FAM_IPV4, FAM_IPV6, FAM_COUNT };

static inline enum family family_of_af(uint8_t af)
{
    return af == AF_INET6 ? FAM_IPV6 : FAM_IPV4;
}
static inline uint8_t family_to_af(enum family f)
{
    return f == FAM_IPV6 ? AF_INET6 : AF_INET;
}
static inline unsigned family_bits(enum family f)
{
    return f == FAM_IPV6 ? 128 : 32;
}
static inline size_t family_bytes(enum family f)
{
    return f == FAM_IPV6 ? 16 : 4;
}
/* "ipv4", "ipv6": as configuration and CLI spell them. */
const char *family_name(enum family f);
/* "ipv4Unicast", "ipv6Unicast": as FRR's JSON spells them. */
const char *family_json_name(enum family f);

/* Network byte order; bytes past the family's size are zero, so that memcmp compares. af 0: no address. */
struct ip_addr {
    uint8_t af; /* AF_INET, AF_INET6 or 0 */
    uint8_t pad[3];
    uint8_t b[16];
};

/* Bits past len are zero. */
struct prefix {
    struct ip_addr addr;
    uint8_t len;
    uint8_t pad[3];
};

#define ADDR_STRLEN   46 /* with the final zero */
#define PREFIX_STRLEN 50

/* Text to value. Return 0 or -EINVAL; addr_parse takes no zone, no port, no leading zeros. */
int addr_parse(const char *text, struct ip_addr *out);
/* "A/LEN", or a bare address as a host prefix when host_ok. -EINVAL: syntax; -ERANGE: length too large;
 * -EADDRNOTAVAIL: host bits are set (out then holds the masked prefix, for the hint). */
int prefix_parse(const char *text, bool host_ok, struct prefix *out);

/* Both write at most the sizes above and return buf. RFC 5952 for IPv6. */
const char *addr_format(const struct ip_addr *a, char buf[ADDR_STRLEN]);
const char *prefix_format(const struct prefix *p, char buf[PREFIX_STRLEN]);

struct ip_addr addr_v4(uint32_t host_order);
struct ip_addr addr_from_bytes(uint8_t af, const void *bytes);
struct prefix prefix_make(const struct ip_addr *a, uint8_t len); /* masks the host bits */
struct prefix prefix_host(const struct ip_addr *a);

static inline enum family addr_family(const struct ip_addr *a)
{
    return family_of_af(a->af);
}
bool addr_equal(const struct ip_addr *a, const struct ip_addr *b);
int addr_cmp(const struct ip_addr *a, const struct ip_addr *b); /* family, then numeric */
bool addr_is_unspecified(const struct ip_addr *a);
bool addr_is_multicast(const struct ip_addr *a);
bool addr_is_loopback(const struct ip_addr *a);
bool addr_is_link_local(const struct ip_addr *a); /* 169.254/16, fe80::/10 */

bool prefix_equal(const struct prefix *a, const struct prefix *b);
int prefix_cmp(const struct prefix *a, const struct prefix *b);               /* family, address, length */
bool prefix_contains(const struct prefix *outer, const struct prefix *inner); /* equal counts */
bool prefix_contains_addr(const struct prefix *outer, const struct ip_addr *a);
static inline bool prefix_is_default(const struct prefix *p)
{
    return p->len == 0;
}
static inline bool prefix_is_host(const struct prefix *p)
{
    return p->len == family_bits(family_of_af(p->addr.af));
}
/* Never routable between hosts: 0/8, 127/8, 169.254/16, 224/4, 240/4, ::/128, ::1/128, fe80::/10, ff00::/8
 * and what is inside them. The default route is none of these. */
bool prefix_is_martian(const struct prefix *p);

/* sockaddr and back; port in host order; scope for link-local IPv6. addr_from_sockaddr turns IPv4-mapped into
 * IPv4. */
socklen_t addr_to_sockaddr(const struct ip_addr *a, uint16_t port, uint32_t scope,
                           struct sockaddr_storage *out);
int addr_from_sockaddr(const struct sockaddr *sa, struct ip_addr *out, uint16_t *port, uint32_t *scope);

/* A 32-bit mix of the value, good enough for power-of-two tables; seed it where a peer picks the keys. */
uint32_t hash_bytes(const void *p, size_t n, uint32_t seed);

#endif
