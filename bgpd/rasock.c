/* The raw ICMPv6 socket: what the packet around a router advertisement must be, and nothing of what it means.
 *
 * The socket hears every interface of the namespace, so each packet carries the one that it came in by
 * (IPV6_PKTINFO), and each that is sent names the one that it leaves by, with our link-local address there as
 * the source: the very address that the other side is to connect to. Packets that do not fit, are not valid
 * (RFC 4861 6.1.1, 6.1.2) or came from an address that no router can have are dropped without a word, as the
 * RFC wants; a link full of them costs a bounded number of reads a turn. */
#include "rasock.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fibclient.h"
#include "log.h"
#include "loop.h"
#include "speaker.h"

#define READ_BURST 32
#define PACKET_MAX                                                                                           \
    1500 /* options for hosts come in any number; what is longer is of no router that we know */
#define AGAIN_MS 5000

struct rasock {
    struct speaker *speaker;
    const struct rasock_ops *ops;
    void *arg;
    int fd; /* -1 */
    int error;
    struct io *io;
    struct timer *again;
};

static bool find_cmsg(struct msghdr *m, uint32_t *ifindex, int *hop_limit)
{
    bool has_info = false, has_hops = false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != IPPROTO_IPV6)
            continue;
        if (c->cmsg_type == IPV6_PKTINFO && c->cmsg_len >= CMSG_LEN(sizeof(struct in6_pktinfo))) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            *ifindex = info.ipi6_ifindex;
            has_info = true;
        } else if (c->cmsg_type == IPV6_HOPLIMIT && c->cmsg_len >= CMSG_LEN(sizeof *hop_limit)) {
            memcpy(hop_limit, CMSG_DATA(c), sizeof *hop_limit);
            has_hops = true;
        }
    }
    return has_info && has_hops;
}

/* False: nothing more to read. */
static bool receive_one(struct rasock *r)
{
    uint8_t packet[PACKET_MAX];
    union {
        struct cmsghdr align;
        char buf[256];
    } control;
    struct sockaddr_in6 from;
    struct iovec iov = {.iov_base = packet, .iov_len = sizeof packet};
    struct msghdr m = {.msg_name = &from,
                       .msg_namelen = sizeof from,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.buf,
                       .msg_controllen = sizeof control.buf};
    struct ip_addr source;
    struct ra_msg msg;
    uint32_t ifindex = 0;
    int hop_limit = 0;

    ssize_t n = recvmsg(r->fd, &m, MSG_DONTWAIT);
    if (n < 0)
        return errno == EINTR;
    if ((m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || !find_cmsg(&m, &ifindex, &hop_limit) ||
        addr_from_sockaddr((struct sockaddr *)&from, &source, NULL, NULL))
        return true;
    if (!ra_decode(packet, (size_t)n, &msg) && ra_packet_is_valid(&msg, &source, hop_limit))
        r->ops->received(r->arg, ifindex, &source, &msg);
    return true;
}

static void on_readable(void *arg, int fd, unsigned events)
{
    struct rasock *r = arg;
    (void)fd, (void)events;
    for (int i = 0; i < READ_BURST && r->fd >= 0 && receive_one(r); i++)
        ;
}

static void failed(struct rasock *r, int error)
{
    if (error != r->error)
        log_error("no router advertisements can be sent or heard: no raw ICMPv6 socket", F_ERR(error));
    r->error = error;
    timer_set(r->again, AGAIN_MS);
    r->ops->opened(r->arg, error);
}

static void got_fd(void *arg, int fd, int error)
{
    struct rasock *r = arg;

    if (!error) {
        r->io = io_new(r->speaker->loop, fd, on_readable, r);
        if (!r->io) {
            close(fd);
            error = -ENOMEM;
        }
    }
    if (error) {
        failed(r, error);
        return;
    }
    r->fd = fd;
    r->error = 0;
    io_want(r->io, IO_READ);
    r->ops->opened(r->arg, 0);
}

static void ask(void *arg)
{
    struct rasock *r = arg;
    int rc = fibclient_open(r->speaker->fib, FM_ROLE_RA, 0, got_fd, r);
    if (rc)
        failed(r, rc);
}

struct rasock *rasock_new(struct speaker *s, const struct rasock_ops *ops, void *arg)
{
    struct rasock *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    *r = (struct rasock){.speaker = s, .ops = ops, .arg = arg, .fd = -1};
    r->again = timer_new(s->loop, ask, r);
    if (!r->again) {
        free(r);
        return NULL;
    }
    timer_set(r->again, 0);
    return r;
}

void rasock_free(struct rasock *r)
{
    if (!r)
        return;
    io_free(r->io);
    if (r->fd >= 0)
        close(r->fd);
    timer_free(r->again);
    free(r);
}

bool rasock_is_open(const struct rasock *r)
{
    return r->fd >= 0;
}

int rasock_error(const struct rasock *r)
{
    return r->error;
}

static struct ip_addr multicast(uint8_t group)
{
    const uint8_t b[16] = {0xff, 0x02, [15] = group}; /* link-local scope: 1 all nodes, 2 all routers */
    return addr_from_bytes(AF_INET6, b);
}

static int membership(struct rasock *r, int option, uint32_t ifindex)
{
    struct ip_addr routers = multicast(2);
    struct ipv6_mreq req = {.ipv6mr_interface = ifindex};

    memcpy(&req.ipv6mr_multiaddr, routers.b, sizeof req.ipv6mr_multiaddr);
    return setsockopt(r->fd, IPPROTO_IPV6, option, &req, sizeof req) < 0 ? -errno : 0;
}

int rasock_join(struct rasock *r, uint32_t ifindex)
{
    int rc = membership(r, IPV6_ADD_MEMBERSHIP, ifindex);
    return rc == -EADDRINUSE ? 0 : rc; /* we are a member already */
}

void rasock_leave(struct rasock *r, uint32_t ifindex)
{
    if (r->fd >= 0)
        membership(r, IPV6_DROP_MEMBERSHIP, ifindex);
}

bool rasock_lladdr(const struct rasock *r, const char *interface, uint8_t out[6])
{
    struct ifreq req = {0};
    strncpy(req.ifr_name, interface, sizeof req.ifr_name - 1);
    if (ioctl(r->fd, SIOCGIFHWADDR, &req) < 0 || req.ifr_hwaddr.sa_family != ARPHRD_ETHER)
        return false;
    memcpy(out, req.ifr_hwaddr.sa_data, 6);
    return true;
}

/* 0 where it cannot be read. */
static int setting(const char *interface, const char *name)
{
    char path[96], text[16] = "";
    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/%s", interface, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 ? atoi(text) : 0;
}

/* accept_ra 1: unless it forwards; 2: always. */
bool rasock_host_obeys(const struct rasock *r, const char *interface)
{
    (void)r;
    return setting(interface, "accept_ra") > (setting(interface, "forwarding") != 0) &&
           setting(interface, "accept_ra_defrtr");
}

int rasock_send(struct rasock *r, uint32_t ifindex, const struct ip_addr *from, const struct ip_addr *to,
                const struct ra_msg *msg)
{
    uint8_t packet[RA_MAX];
    struct ip_addr dest = to->af ? *to : multicast(msg->type == RA_SOLICITATION ? 2 : 1);
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_scope_id = ifindex};
    struct in6_pktinfo info = {.ipi6_ifindex = ifindex};
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof info)];
    } control = {.buf = {0}};
    struct iovec iov = {.iov_base = packet, .iov_len = ra_encode(msg, packet, sizeof packet)};
    struct msghdr m = {.msg_name = &sa,
                       .msg_namelen = sizeof sa,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.buf,
                       .msg_controllen = sizeof control.buf};

    memcpy(&sa.sin6_addr, dest.b, sizeof sa.sin6_addr);
    memcpy(&info.ipi6_addr, from->b, sizeof info.ipi6_addr);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = IPPROTO_IPV6;
    c->cmsg_type = IPV6_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(c), &info, sizeof info);
    return sendmsg(r->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
