/* Addresses and prefixes: text, comparison, classes, sockaddr.
 *
 * Values are copied freely and compared with memcmp, so every constructor here keeps two promises: bytes past
 * the family's size and the padding are zero, and in a prefix so are the bits past the length. Text goes
 * through inet_pton/inet_ntop, which read and write exactly what iproute2 and FRR do (RFC 5952 for IPv6);
 * what they leave open is checked here: a length is one to three digits without a leading zero.
 *
 * Not here: tables keyed by prefixes (rib.c), names of hosts, zones ("%eth0") and ports. */
#include "prefix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

const char *family_name(enum family f)
{
    return f == FAM_IPV6 ? "ipv6" : "ipv4";
}

const char *family_json_name(enum family f)
{
    return f == FAM_IPV6 ? "ipv6Unicast" : "ipv4Unicast";
}

int addr_parse(const char *text, struct ip_addr *out)
{
    struct ip_addr a = {.af = strchr(text, ':') ? AF_INET6 : AF_INET};
    if (inet_pton(a.af, text, a.b) != 1)
        return -EINVAL;
    *out = a;
    return 0;
}

static int parse_len(const char *s, unsigned *out)
{
    size_t n = strspn(s, "0123456789");
    if (n == 0 || s[n] || (n > 1 && s[0] == '0'))
        return -EINVAL;
    if (n > 3)
        return -ERANGE;
    *out = 0;
    for (; *s; s++)
        *out = *out * 10 + (unsigned)(*s - '0');
    return 0;
}

int prefix_parse(const char *text, bool host_ok, struct prefix *out)
{
    char buf[ADDR_STRLEN];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    if (n >= sizeof buf || (!slash && !host_ok))
        return -EINVAL;
    memcpy(buf, text, n);
    buf[n] = 0;
    struct ip_addr a;
    if (addr_parse(buf, &a))
        return -EINVAL;
    unsigned len = family_bits(addr_family(&a));
    if (slash) {
        unsigned given;
        int err = parse_len(slash + 1, &given);
        if (err)
            return err;
        if (given > len)
            return -ERANGE;
        len = given;
    }
    *out = prefix_make(&a, (uint8_t)len);
    return addr_equal(&out->addr, &a) ? 0 : -EADDRNOTAVAIL;
}

const char *addr_format(const struct ip_addr *a, char buf[ADDR_STRLEN])
{
    if (!a->af || !inet_ntop(a->af, a->b, buf, ADDR_STRLEN))
        strcpy(buf, "-");
    return buf;
}

const char *prefix_format(const struct prefix *p, char buf[PREFIX_STRLEN])
{
    addr_format(&p->addr, buf);
    size_t n = strlen(buf);
    snprintf(buf + n, PREFIX_STRLEN - n, "/%u", p->len);
    return buf;
}

struct ip_addr addr_v4(uint32_t host_order)
{
    uint32_t net = htonl(host_order);
    return addr_from_bytes(AF_INET, &net);
}

struct ip_addr addr_from_bytes(uint8_t af, const void *bytes)
{
    struct ip_addr a = {.af = af};
    memcpy(a.b, bytes, family_bytes(family_of_af(af)));
    return a;
}

struct prefix prefix_make(const struct ip_addr *a, uint8_t len)
{
    struct prefix p = {.addr.af = a->af, .len = len};
    unsigned whole = len / 8, rest = len % 8;
    memcpy(p.addr.b, a->b, whole);
    if (rest)
        p.addr.b[whole] = (uint8_t)(a->b[whole] & (0xff00u >> rest));
    return p;
}

struct prefix prefix_host(const struct ip_addr *a)
{
    return prefix_make(a, (uint8_t)family_bits(addr_family(a)));
}

bool addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
    return a->af == b->af && memcmp(a->b, b->b, sizeof a->b) == 0;
}

int addr_cmp(const struct ip_addr *a, const struct ip_addr *b)
{
    /* AF_INET is below AF_INET6, and "no address" below both. */
    if (a->af != b->af)
        return a->af < b->af ? -1 : 1;
    return memcmp(a->b, b->b, sizeof a->b);
}

static bool addr_starts_with(const struct ip_addr *a, const uint8_t *bytes, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a->b, bytes, whole) != 0)
        return false;
    return rest == 0 || ((a->b[whole] ^ bytes[whole]) & (0xff00u >> rest) & 0xffu) == 0;
}

bool addr_is_unspecified(const struct ip_addr *a)
{
    static const uint8_t zero[16];
    return memcmp(a->b, zero, sizeof zero) == 0;
}

bool addr_is_multicast(const struct ip_addr *a)
{
    return a->af == AF_INET6 ? a->b[0] == 0xff : (a->b[0] & 0xf0) == 0xe0;
}

bool addr_is_loopback(const struct ip_addr *a)
{
    static const uint8_t one[16] = {[15] = 1};
    return a->af == AF_INET6 ? memcmp(a->b, one, sizeof one) == 0 : a->b[0] == 127;
}

bool addr_is_link_local(const struct ip_addr *a)
{
    if (a->af == AF_INET6)
        return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
    return a->b[0] == 169 && a->b[1] == 254;
}

bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
    return a->len == b->len && addr_equal(&a->addr, &b->addr);
}

int prefix_cmp(const struct prefix *a, const struct prefix *b)
{
    int c = addr_cmp(&a->addr, &b->addr);
    return c ? c : (int)a->len - (int)b->len;
}

bool prefix_contains(const struct prefix *outer, const struct prefix *inner)
{
    return inner->len >= outer->len && prefix_contains_addr(outer, &inner->addr);
}

bool prefix_contains_addr(const struct prefix *outer, const struct ip_addr *a)
{
    return outer->addr.af == a->af && addr_starts_with(a, outer->addr.b, outer->len);
}

bool prefix_is_martian(const struct prefix *p)
{
    static const struct {
        uint8_t af, len, b[16];
    } martians[] = {
        {AF_INET, 8, {0}},           {AF_INET, 8, {127}},          {AF_INET, 16, {169, 254}},
        {AF_INET, 4, {224}},         {AF_INET, 4, {240}},          {AF_INET6, 128, {0}},
        {AF_INET6, 128, {[15] = 1}}, {AF_INET6, 10, {0xfe, 0x80}}, {AF_INET6, 8, {0xff}},
    };
    for (size_t i = 0; i < sizeof martians / sizeof *martians; i++)
        if (p->addr.af == martians[i].af && p->len >= martians[i].len &&
            addr_starts_with(&p->addr, martians[i].b, martians[i].len))
            return true;
    return false;
}

socklen_t addr_to_sockaddr(const struct ip_addr *a, uint16_t port, uint32_t scope,
                           struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (a->af == AF_INET6) {
        struct sockaddr_in6 *s6 = (struct sockaddr_in6 *)out;
        s6->sin6_family = AF_INET6;
        s6->sin6_port = htons(port);
        s6->sin6_scope_id = addr_is_link_local(a) ? scope : 0;
        memcpy(&s6->sin6_addr, a->b, 16);
        return sizeof *s6;
    }
    struct sockaddr_in *s4 = (struct sockaddr_in *)out;
    s4->sin_family = AF_INET;
    s4->sin_port = htons(port);
    memcpy(&s4->sin_addr, a->b, 4);
    return sizeof *s4;
}

int addr_from_sockaddr(const struct sockaddr *sa, struct ip_addr *out, uint16_t *port, uint32_t *scope)
{
    uint16_t net_port;
    uint32_t zone = 0;
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *s4 = (const struct sockaddr_in *)sa;
        *out = addr_from_bytes(AF_INET, &s4->sin_addr);
        net_port = s4->sin_port;
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *s6 = (const struct sockaddr_in6 *)sa;
        if (IN6_IS_ADDR_V4MAPPED(&s6->sin6_addr))
            *out = addr_from_bytes(AF_INET, s6->sin6_addr.s6_addr + 12);
        else
            *out = addr_from_bytes(AF_INET6, &s6->sin6_addr);
        net_port = s6->sin6_port;
        zone = s6->sin6_scope_id;
    } else {
        return -EAFNOSUPPORT;
    }
    if (port)
        *port = ntohs(net_port);
    if (scope)
        *scope = zone;
    return 0;
}

/* Multiply-and-fold over 8 bytes at a time: the high half of a 128-bit product carries every input bit into
 * the low bits that a power-of-two table looks at. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static uint64_t mix(uint64_t h, uint64_t w)
{
    return fold(h ^ w, 0xa0761d6478bd642fu ^ (h << 32 | h >> 32));
}

uint32_t hash_bytes(const void *p, size_t n, uint32_t seed)
{
    const uint8_t *b = p;
    uint64_t h = fold(seed ^ 0x9e3779b97f4a7c15u, n ^ 0xd6e8feb86659fd93u);
    for (; n >= 8; n -= 8, b += 8) {
        uint64_t w;
        memcpy(&w, b, 8);
        h = mix(h, w);
    }
    if (n >= 4) { /* the two may overlap: n is in h already */
        uint32_t first, last;
        memcpy(&first, b, 4);
        memcpy(&last, b + n - 4, 4);
        h = mix(h, (uint64_t)first << 32 | last);
    } else if (n) {
        h = mix(h, (uint64_t)b[0] << 16 | (uint64_t)b[n / 2] << 8 | b[n - 1]);
    }
    h = fold(h ^ 0xe7037ed1a0b428dbu, 0x8ebc6af09c88c6e3u);
    return (uint32_t)(h ^ h >> 32);
}
