/* One daemon for a protocol number in a network namespace. Two would take each other's routes for leftovers
 * of their own and sweep them, and it takes no more for that than a copied configuration with another port
 * and socket.
 *
 * The claim is a listening socket in the abstract namespace, which every network namespace has of its own and
 * which the kernel clears when the holder dies, however it dies. The name is free to everybody on the host,
 * so whoever holds it is looked at: an account that could not run this daemon against us cannot keep it from
 * starting either.
 *
 * Not here: two daemons on one control socket (roles.c).
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fib/kernel_internal.h"

static socklen_t claim_name(uint8_t protocol, struct sockaddr_un *a)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(a->sun_path + 1, sizeof a->sun_path - 1, "underlay/protocol/%u", protocol);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

/* SO_PEERCRED: the account that called listen. Who does not listen, or has no room, is no daemon of ours. */
static bool is_held_by_our_equal(const struct sockaddr_un *a, socklen_t len)
{
    struct ucred who = {.uid = (uid_t)-1};
    socklen_t size = sizeof who;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool equal = fd >= 0 && !connect(fd, (const struct sockaddr *)a, len) &&
                 !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) &&
                 (who.uid == 0 || who.uid == geteuid());

    if (fd >= 0)
        close(fd);
    return equal;
}

int kernel_claim(struct kernel *k)
{
    struct sockaddr_un a;
    socklen_t len = claim_name(k->cfg.protocol, &a);

    if (k->claim >= 0)
        return 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (!bind(fd, (struct sockaddr *)&a, len) && !listen(fd, SOMAXCONN)) {
        k->claim = fd;
        return 0;
    }
    int rc = -errno;
    close(fd);
    return rc == -EADDRINUSE && !is_held_by_our_equal(&a, len) ? 0 : rc;
}

int kernel_claim_fd(const struct kernel *k)
{
    return k->claim;
}

void kernel_take_claim(struct kernel *k, int fd)
{
    k->claim = fd;
}
