/* GTSM for connections that come in, from their very first packet.
 *
 * IP_MINTTL is a property of a socket, and one listener serves all peers, so it can only be set on what
 * accept() returned: by then a handshake and perhaps data have been taken from anywhere. Instead the listener
 * carries a classic socket filter that looks up the source address of each packet, and drops what has too low
 * a TTL for that peer. The kernel applies it to the SYN, to the ACK that ends the handshake and to all that
 * comes after it, since connections inherit the filter; once IP_MINTTL is set on one of them the filter is
 * not needed there any more.
 *
 * A rule is a handful of instructions that are run for every packet of a handshake, so this is for the few
 * routers of a node: the kernel has room for some hundred (net.core.optmem_max).
 *
 * Kernels that keep filters to the privileged (6.18 wants CAP_NET_RAW or CAP_NET_ADMIN, 6.1 does not) refuse
 * ours. Then the listener keeps the SYN of each connection, and one whose SYN came from too far, or is not
 * there any more (SYN cookies), is closed when it is accepted, before anything is read or said. What that
 * leaves is data that arrives between the handshake and accept(): who forges it must know the sequence
 * numbers of a handshake that went to the peer's address.
 *
 * Not here: our own connections, where IP_MINTTL is set before the SYN goes out (transport.c). */
#include "gtsm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ACCEPT    UINT32_MAX
#define RULE_MOST 16 /* instructions of a rule, for IPv6 */

struct layout {
    int af;
    uint32_t source, ttl; /* offsets in the IP header: RFC 791, RFC 8200 */
    unsigned words;
};
static const struct layout ipv4 = {AF_INET, 12, 8, 1}, ipv6 = {AF_INET6, 8, 7, 4};

static void put(struct sock_fprog *p, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
    p->filter[p->len++] = (struct sock_filter){code, jt, jf, k};
}

static uint32_t header(uint32_t offset)
{
    return (uint32_t)SKF_NET_OFF + offset;
}

/* Falls through to the next rule where the source is another one. */
static void put_rule(struct sock_fprog *p, const struct layout *l, const struct gtsm_rule *r)
{
    unsigned compares[4], n = 0;

    for (unsigned w = 0; w < l->words && (!w || w * 32 < r->from.len); w++) {
        const uint8_t *b = r->from.addr.b + 4 * w;
        unsigned bits = r->from.len > w * 32 ? r->from.len - w * 32 : 0;
        uint32_t mask = bits >= 32 ? UINT32_MAX : bits ? UINT32_MAX << (32 - bits) : 0;
        uint32_t word = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
        put(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, header(l->source + 4 * w));
        if (mask != UINT32_MAX)
            put(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, mask);
        compares[n++] = p->len;
        put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, word & mask);
    }
    if (r->hops) {
        put(p, BPF_LD | BPF_B | BPF_ABS, 0, 0, header(l->ttl));
        put(p, BPF_JMP | BPF_JGE | BPF_K, 0, 1, 256u - r->hops);
    }
    put(p, BPF_RET | BPF_K, 0, 0, ACCEPT);
    if (r->hops)
        put(p, BPF_RET | BPF_K, 0, 0, 0);
    while (n--)
        p->filter[compares[n]].jf = (uint8_t)(p->len - compares[n] - 1);
}

int gtsm_program(int af, const struct gtsm_rule *rules, unsigned n, struct sock_fprog *out)
{
    const struct layout *l = af == AF_INET6 ? &ipv6 : &ipv4;
    unsigned mine = 0;

    *out = (struct sock_fprog){0};
    for (unsigned i = 0; i < n; i++)
        mine += rules[i].from.addr.af == af;
    if (!mine)
        return 0;
    if (mine > BPF_MAXINSNS / RULE_MOST)
        return -E2BIG;
    out->filter = calloc(mine * RULE_MOST + 1, sizeof *out->filter);
    if (!out->filter)
        return -ENOMEM;
    for (unsigned i = 0; i < n; i++)
        if (rules[i].from.addr.af == af)
            put_rule(out, l, &rules[i]);
    put(out, BPF_RET | BPF_K, 0, 0, ACCEPT);
    return 0;
}

int gtsm_attach(int fd, const struct sock_fprog *program)
{
    int none = 0, r;
    if (program->len)
        r = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, sizeof *program);
    else
        r = setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
    return !r || (!program->len && errno == ENOENT) ? 0 : -errno;
}
