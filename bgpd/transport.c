/* What BGP asks of a TCP socket, in one place.
 *
 * TTL: an eBGP peer is one hop away and gets packets with TTL 1, so that nothing of the session leaves the
 * link (RFC 4271 leaves it to implementations; all do so); multihop raises it. GTSM (RFC 5082) turns that
 * round: both send 255 and drop what arrives with less, which nobody further away can forge; what comes
 * before a connection is accepted is for the listener to drop (gtsm.c). Keys must be on a socket before the
 * first SYN: on our own before connect(), on the listener for every peer's address. IPv6 options go to
 * AF_INET6 sockets only; listeners are V6ONLY, so no address is ever IPv4-mapped.
 *
 * Not here: who may connect, and what is said (peer.c, conn.c).
 */
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* glibc's struct tcp_info ends too early */
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef IPV6_MINHOPCOUNT
#define IPV6_MINHOPCOUNT 73
#endif

static int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) ? -errno : 0;
}

static int socket_family(int fd)
{
    int domain = 0;
    socklen_t n = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) ? -errno : domain;
}

static int set_ttl(int fd, int af, int ttl)
{
    return af == AF_INET6 ? set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl)
                          : set_int(fd, IPPROTO_IP, IP_TTL, ttl);
}

static int set_min_ttl(int fd, int af, int ttl)
{
    return af == AF_INET6 ? set_int(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, ttl)
                          : set_int(fd, IPPROTO_IP, IP_MINTTL, ttl);
}

/* Network control: the queue of a switch that must not drop it (RFC 4594 section 3.1). */
static void set_class(int fd, int af)
{
    if (af == AF_INET6)
        set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, IPTOS_CLASS_CS6);
    else
        set_int(fd, IPPROTO_IP, IP_TOS, IPTOS_CLASS_CS6);
}

static int apply(int fd, int af, const struct transport_options *o)
{
    int r = 0;

    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_class(fd, af);
    if (o->gtsm_hops) {
        r = set_ttl(fd, af, 255);
        if (!r)
            r = set_min_ttl(fd, af, 256 - o->gtsm_hops);
    } else if (o->ttl) {
        r = set_ttl(fd, af, o->ttl);
    }
    return r;
}

int transport_connect(const struct ip_addr *peer, uint16_t port, const struct transport_options *o, int *out)
{
    struct sockaddr_storage ss;
    int r, fd = socket(peer->af, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

    if (fd < 0)
        return -errno;
    r = apply(fd, peer->af, o);
    if (!r && o->key)
        r = transport_set_key(fd, peer, o->scope, o->key);
    if (!r && o->local.af) {
        socklen_t n = addr_to_sockaddr(&o->local, 0, o->scope, &ss);
        r = bind(fd, (struct sockaddr *)&ss, n) ? -errno : 0;
    }
    if (!r) {
        socklen_t n = addr_to_sockaddr(peer, port, o->scope, &ss);
        r = connect(fd, (struct sockaddr *)&ss, n) && errno != EINPROGRESS ? -errno : 0;
    }
    if (r)
        close(fd);
    else
        *out = fd;
    return r;
}

int transport_result(int fd)
{
    int err = 0;
    socklen_t n = sizeof err;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) ? -errno : -err;
}

int transport_save_syn(int listener)
{
    return set_int(listener, IPPROTO_TCP, TCP_SAVE_SYN, 1);
}

/* The IP header of the SYN: TTL in octet 8 (RFC 791), hop limit in octet 7 (RFC 8200). The kernel has none of
 * a connection that came by way of a SYN cookie: nobody knows where from, so it is refused. */
static bool syn_is_near(int fd, int af, uint8_t hops)
{
    uint8_t syn[256];
    socklen_t n = sizeof syn;
    size_t at = af == AF_INET6 ? 7 : 8;
    return !getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, syn, &n) && n > at && syn[at] >= 256 - hops;
}

int transport_accepted(int fd, const struct transport_options *o)
{
    int af = socket_family(fd);
    if (af < 0)
        return af;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
        return -errno;
    int r = apply(fd, af, o);
    if (!r && o->gtsm_hops && o->check_syn && !syn_is_near(fd, af, o->gtsm_hops))
        r = -EHOSTUNREACH;
    if (!r)
        set_int(fd, SOL_SOCKET, SO_DETACH_FILTER, 0); /* the listener's, see gtsm.c */
    return r;
}

int transport_listener(int fd)
{
    int af = socket_family(fd);
    if (af < 0)
        return af;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
        return -errno;
    set_class(fd, af);
    return set_ttl(fd, af, 255);
}

int transport_set_key(int fd, const struct ip_addr *peer, uint32_t scope, const char *key)
{
    struct tcp_md5sig md5 = {0};
    size_t n = key ? strlen(key) : 0;

    if (n > sizeof md5.tcpm_key)
        return -EINVAL;
    struct sockaddr_storage ss;
    addr_to_sockaddr(peer, 0, scope, &ss);
    memcpy(&md5.tcpm_addr, &ss, sizeof md5.tcpm_addr);
    md5.tcpm_keylen = (uint16_t)n;
    if (n)
        memcpy(md5.tcpm_key, key, n);
    int r = setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &md5, sizeof md5) ? -errno : 0;
    explicit_bzero(&md5, sizeof md5);
    return r == -ENOENT && !key ? 0 : r;
}

int transport_set_range_key(int fd, const struct prefix *range, const char *key)
{
    struct tcp_md5sig md5 = {.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX, .tcpm_prefixlen = range->len};
    size_t n = key ? strlen(key) : 0;
    struct sockaddr_storage ss;

    if (n > sizeof md5.tcpm_key)
        return -EINVAL;
    addr_to_sockaddr(&range->addr, 0, 0, &ss);
    memcpy(&md5.tcpm_addr, &ss, sizeof md5.tcpm_addr);
    md5.tcpm_keylen = (uint16_t)n;
    if (n)
        memcpy(md5.tcpm_key, key, n);
    int r = setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG_EXT, &md5, sizeof md5) ? -errno : 0;
    explicit_bzero(&md5, sizeof md5);
    return r == -ENOENT && !key ? 0 : r;
}

int transport_local(int fd, struct ip_addr *a, uint16_t *port)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    if (getsockname(fd, (struct sockaddr *)&ss, &n))
        return -errno;
    return addr_from_sockaddr((struct sockaddr *)&ss, a, port, NULL);
}

int transport_remote(int fd, struct ip_addr *a, uint16_t *port, uint32_t *scope)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    if (getpeername(fd, (struct sockaddr *)&ss, &n))
        return -errno;
    return addr_from_sockaddr((struct sockaddr *)&ss, a, port, scope);
}

uint64_t transport_unacked(int fd, uint64_t *acked)
{
    struct tcp_info ti;
    socklen_t n = sizeof ti;
    int waiting = 0;

    *acked = 0;
    if (!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &n) &&
        n >= offsetof(struct tcp_info, tcpi_bytes_received))
        *acked = ti.tcpi_bytes_acked;
    return ioctl(fd, SIOCOUTQ, &waiting) ? 0 : (uint64_t)waiting;
}

void transport_give_up_after(int fd, uint32_t ms)
{
    set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)ms);
}

void transport_abort_on_close(int fd)
{
    const struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

uint32_t transport_rtt_us(int fd)
{
    struct tcp_info ti;
    socklen_t n = sizeof ti;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &n) ? 0 : ti.tcpi_rtt;
}
