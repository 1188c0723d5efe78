/* The sockets of BFD: RFC 5881 sections 4 and 5, RFC 5883 section 5. None of it needs a privilege.
 *
 * What comes in is read on four sockets, for one hop and for more, IPv4 and IPv6, each bound to its port on
 * all addresses. A filter in the kernel drops what does not have the TTL of one hop, so that a flood from
 * afar never fills the queue. Each session sends from a socket, and so a port, of its own; nothing is
 * received there. */
#include <errno.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fib/bfd_internal.h"

#define PORT_ONE_HOP  3784
#define PORT_MULTIHOP 4784
#define TTL           255  /* RFC 5881 section 5 */
#define DSCP_CS6      0xC0 /* as an octet of TOS or traffic class */
#define PAYLOAD_MAX   64   /* longer is cut: beyond Length nothing matters */
#define OFFSET_TTL    (SKF_NET_OFF + 8)
#define OFFSET_HOPS   (SKF_NET_OFF + 7)

struct bfd_inbox {
    struct mmsghdr headers[BFD_BATCH];
    struct iovec iov[BFD_BATCH];
    struct sockaddr_storage from[BFD_BATCH];
    uint8_t data[BFD_BATCH][PAYLOAD_MAX];
    union {
        struct cmsghdr align;
        char buf[128];
    } control[BFD_BATCH];
};

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value);
}

static int filter(int fd, const struct sock_filter *code, unsigned short n)
{
    struct sock_fprog program = {.len = n, .filter = (struct sock_filter *)code};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static int filter_one_hop(int fd, bool v6)
{
    const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(v6 ? OFFSET_HOPS : OFFSET_TTL)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TTL, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };

    return filter(fd, code, sizeof code / sizeof *code);
}

static int filter_all(int fd)
{
    const struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0)};

    return filter(fd, code, 1);
}

/* Bound, or closed and -errno. */
static int bound(int fd, const struct ip_addr *a, uint16_t port, uint32_t scope)
{
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(a, port, scope, &ss);

    if (!bind(fd, (const struct sockaddr *)&ss, len))
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

static int make(bool v6)
{
    int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);

    if (fd < 0)
        return -errno;
    if (v6 && set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

int bfd_socket_listen(uint8_t af, bool multihop)
{
    bool v6 = af == AF_INET6;
    int fd = make(v6);

    if (fd < 0)
        return fd;
    int failed =
        v6 ? set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) || set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1)
           : set(fd, IPPROTO_IP, IP_PKTINFO, 1) || set(fd, IPPROTO_IP, IP_RECVTTL, 1);
    if (failed || (!multihop && filter_one_hop(fd, v6))) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    set(fd, SOL_SOCKET, SO_RCVBUF, 1 << 20); /* as much as the system gives */
    return bound(fd, &(struct ip_addr){.af = af}, multihop ? PORT_MULTIHOP : PORT_ONE_HOP, 0);
}

int bfd_socket_sender(const struct bfd_flow *f, uint16_t port)
{
    bool v6 = f->peer.af == AF_INET6;
    int fd = make(v6);

    if (fd < 0)
        return fd;
    int failed =
        v6 ? set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, TTL) || set(fd, IPPROTO_IPV6, IPV6_TCLASS, DSCP_CS6)
           : set(fd, IPPROTO_IP, IP_TTL, TTL) || set(fd, IPPROTO_IP, IP_TOS, DSCP_CS6);
    if (failed || filter_all(fd)) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    const struct ip_addr any = {.af = f->peer.af}, *local = f->terms.local.af ? &f->terms.local : &any;
    return bound(fd, local, port, addr_is_link_local(local) ? f->name.scope : 0);
}

/* One hop away is over this interface, whatever the routes say (RFC 5881 section 6). */
static void pin(struct msghdr *msg, const struct bfd_flow *f)
{
    struct cmsghdr *cm = msg->msg_control;

    if (f->peer.af == AF_INET6) {
        struct in6_pktinfo info = {.ipi6_ifindex = f->terms.ifindex};
        memcpy(&info.ipi6_addr, f->terms.local.b, sizeof info.ipi6_addr);
        cm->cmsg_level = IPPROTO_IPV6;
        cm->cmsg_type = IPV6_PKTINFO;
        cm->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(cm), &info, sizeof info);
    } else {
        struct in_pktinfo info = {.ipi_ifindex = (int)f->terms.ifindex};
        memcpy(&info.ipi_spec_dst, f->terms.local.b, sizeof info.ipi_spec_dst);
        cm->cmsg_level = IPPROTO_IP;
        cm->cmsg_type = IP_PKTINFO;
        cm->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(cm), &info, sizeof info);
    }
    msg->msg_controllen = cm->cmsg_len;
}

int bfd_socket_send(const struct bfd_flow *f, const uint8_t packet[BFD_PACKET_LEN])
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control = {0};
    struct sockaddr_storage to;
    socklen_t len =
        addr_to_sockaddr(&f->peer, f->multihop ? PORT_MULTIHOP : PORT_ONE_HOP, f->name.scope, &to);
    struct iovec iov = {(void *)packet, BFD_PACKET_LEN};
    struct msghdr msg = {.msg_name = &to, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1};

    if (!f->multihop && f->terms.ifindex) {
        msg.msg_control = control.buf;
        msg.msg_controllen = sizeof control.buf;
        pin(&msg, f);
    }
    return sendmsg(f->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

bool bfd_socket_is_ours(int fd, uint8_t af)
{
    int type = 0, family = 0;
    socklen_t n = sizeof type, m = sizeof family;

    return fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) &&
           !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &m) && type == SOCK_DGRAM && family == af;
}

struct bfd_inbox *bfd_inbox_new(void)
{
    return calloc(1, sizeof(struct bfd_inbox));
}

void bfd_inbox_free(struct bfd_inbox *in)
{
    free(in);
}

unsigned bfd_inbox_read(struct bfd_inbox *in, int fd)
{
    for (unsigned i = 0; i < BFD_BATCH; i++) {
        in->iov[i] = (struct iovec){in->data[i], PAYLOAD_MAX};
        in->headers[i].msg_hdr = (struct msghdr){
            .msg_name = &in->from[i],
            .msg_namelen = sizeof in->from[i],
            .msg_iov = &in->iov[i],
            .msg_iovlen = 1,
            .msg_control = in->control[i].buf,
            .msg_controllen = sizeof in->control[i].buf,
        };
    }
    int n = recvmmsg(fd, in->headers, BFD_BATCH, MSG_DONTWAIT, NULL);
    return n > 0 ? (unsigned)n : 0;
}

static void take_control(const struct cmsghdr *cm, struct bfd_datagram *out)
{
    if (cm->cmsg_level == IPPROTO_IP && cm->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(cm), sizeof info);
        out->ifindex = (uint32_t)info.ipi_ifindex;
        out->to = addr_from_bytes(AF_INET, &info.ipi_addr);
    } else if (cm->cmsg_level == IPPROTO_IPV6 && cm->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(cm), sizeof info);
        out->ifindex = info.ipi6_ifindex;
        out->to = addr_from_bytes(AF_INET6, &info.ipi6_addr);
    } else if ((cm->cmsg_level == IPPROTO_IP && cm->cmsg_type == IP_TTL) ||
               (cm->cmsg_level == IPPROTO_IPV6 && cm->cmsg_type == IPV6_HOPLIMIT)) {
        memcpy(&out->ttl, CMSG_DATA(cm), sizeof out->ttl);
    }
}

void bfd_inbox_get(struct bfd_inbox *in, unsigned i, struct bfd_datagram *out)
{
    struct msghdr *msg = &in->headers[i].msg_hdr;

    *out = (struct bfd_datagram){.ttl = -1, .data = in->data[i], .n = in->headers[i].msg_len};
    addr_from_sockaddr((const struct sockaddr *)&in->from[i], &out->from, NULL, NULL);
    for (struct cmsghdr *cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm))
        take_control(cm, out);
}
