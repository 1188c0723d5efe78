/* Roles: the speaker holds no privilege, so files, the control socket, the BGP listeners and the raw ICMPv6
 * socket of unnumbered peers are opened here and passed to it. It never names a path once it has met the
 * network; what it may ask for is fixed while it still runs as root. What it writes it writes into the
 * descriptor of a temporary file by itself, so neither size nor contents are ours to judge; where that file
 * goes, with which mode, and when, is.
 *
 * The control socket and the listeners stay open here as well. A restarted speaker gets the same ones, so a
 * ToR that reconnects meanwhile waits in the backlog and is not refused, and the group of the control socket
 * need not be set again after this process has given up CAP_CHOWN.
 *
 * Two daemons on one control socket: an flock beside it decides, without a race; a socket that nobody answers
 * is a leftover and replaced.
 */
#include "fib/roles.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fib/handover.h"
#include "fib/replace.h"

#define MAX_PATHS   4096
#define MAX_LISTENS 64
#define BACKLOG     128

struct listener {
    struct fm_listen l;
    uint32_t port;
    int fd; /* -1: not open */
    bool wanted;
};

struct roles {
    struct fib *f;
    struct fm_path *paths;
    unsigned n_paths;
    struct listener listeners[MAX_LISTENS];
    unsigned n_listeners;
    char control[FM_PATH_MAX]; /* where control_fd is bound */
    int control_fd;
    int control_lock;
    int temporary[FM_ROLE_COUNT]; /* of the files that are written, until FM_COMMIT; -1: none */
};

/* What the speaker writes, with the modes of the file and of directories that are made for it. */
static const struct {
    mode_t mode, directories;
} written[FM_ROLE_COUNT] = {
    [FM_ROLE_STATE] = {0600, 0750},
    [FM_ROLE_KUBE_STATE] = {0600, 0750},
    [FM_ROLE_CNI] = {0644, 0755},
};

bool roles_is_written(uint32_t role)
{
    return role < FM_ROLE_COUNT && written[role].mode;
}

struct roles *roles_new(struct fib *f)
{
    struct roles *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->f = f;
    r->control_fd = r->control_lock = -1;
    for (unsigned i = 0; i < FM_ROLE_COUNT; i++)
        r->temporary[i] = -1;
    return r;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_temporaries(struct roles *r)
{
    for (unsigned i = 0; i < FM_ROLE_COUNT; i++)
        close_fd(&r->temporary[i]);
}

void roles_free(struct roles *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->n_listeners; i++)
        close_fd(&r->listeners[i].fd);
    close_fd(&r->control_fd);
    close_fd(&r->control_lock);
    close_temporaries(r);
    free(r->paths);
    free(r);
}

void roles_forget(struct roles *r)
{
    r->n_paths = 0;
    close_temporaries(r);
    for (unsigned i = 0; i < r->n_listeners; i++)
        r->listeners[i].wanted = false;
}

static const struct fm_path *find_path(const struct roles *r, uint32_t role, uint32_t index)
{
    for (unsigned i = 0; i < r->n_paths; i++)
        if (r->paths[i].role == role && r->paths[i].index == index)
            return &r->paths[i];
    return NULL;
}

int roles_add_path(struct roles *r, const struct fm_path *p)
{
    if (p->role != FM_ROLE_CONFIG && p->role != FM_ROLE_KEY && p->role != FM_ROLE_CONTROL &&
        !roles_is_written(p->role))
        return -EINVAL;
    if (!p->path[0] || !memchr(p->path, 0, sizeof p->path) || find_path(r, p->role, p->index))
        return -EINVAL;
    if (p->role != FM_ROLE_KEY && p->index)
        return -EINVAL;
    if (r->n_paths == MAX_PATHS)
        return -E2BIG;
    struct fm_path *grown = realloc(r->paths, (r->n_paths + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    r->paths = grown;
    r->paths[r->n_paths++] = *p;
    return 0;
}

static bool same_listener(const struct listener *a, const struct fm_listen *l, uint32_t port)
{
    return a->port == port && a->l.role == l->role && a->l.af == l->af &&
           !memcmp(a->l.addr, l->addr, sizeof l->addr);
}

int roles_add_listen(struct roles *r, const struct fm_listen *l)
{
    uint32_t port = l->port ? l->port : r->f->settings.port;

    if ((l->af != AF_INET && l->af != AF_INET6) ||
        (l->role != FM_ROLE_LISTEN && (l->role != FM_ROLE_METRICS || l->index)))
        return -EINVAL;
    for (unsigned i = 0; i < r->n_listeners; i++)
        if (r->listeners[i].wanted && r->listeners[i].l.role == l->role &&
            r->listeners[i].l.index == l->index)
            return -EINVAL;
    for (unsigned i = 0; i < r->n_listeners; i++)
        if (!r->listeners[i].wanted && same_listener(&r->listeners[i], l, port)) {
            r->listeners[i].wanted = true;
            r->listeners[i].l.index = l->index;
            return 0;
        }
    if (r->n_listeners == MAX_LISTENS)
        return -E2BIG;
    r->listeners[r->n_listeners++] = (struct listener){.l = *l, .port = port, .fd = -1, .wanted = true};
    return 0;
}

/* The lock file goes when its holder does, so what was locked may no longer be what the name means: then once
 * more. */
static int take_lock(const char *path, int *lock)
{
    char name[FM_PATH_MAX + 8];
    struct stat held, named;

    snprintf(name, sizeof name, "%s.lock", path);
    for (;;) {
        int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            int rc = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
            close(fd);
            return rc;
        }
        if (!fstat(fd, &held) && !stat(name, &named) && held.st_ino == named.st_ino &&
            held.st_dev == named.st_dev) {
            *lock = fd;
            return 0;
        }
        close(fd);
    }
}

/* Whether somebody serves the socket at addr; what is no socket counts as served: it is not ours to remove.
 */
static bool is_served(const struct sockaddr_un *addr)
{
    struct stat st;

    if (lstat(addr->sun_path, &st) < 0)
        return false;
    if (!S_ISSOCK(st.st_mode))
        return true;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused = fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof *addr) < 0 &&
                   (errno == ECONNREFUSED || errno == EPROTOTYPE);
    close_fd(&fd);
    return !refused;
}

static int bind_and_listen(int fd, const struct sockaddr_un *addr, uint32_t gid)
{
    mode_t old = umask(0117);
    int rc = bind(fd, (const struct sockaddr *)addr, sizeof *addr) < 0 ? -errno : 0;

    umask(old);
    if (rc == -EADDRINUSE && !is_served(addr)) {
        unlink(addr->sun_path);
        old = umask(0117);
        rc = bind(fd, (const struct sockaddr *)addr, sizeof *addr) < 0 ? -errno : 0;
        umask(old);
    }
    if (rc)
        return rc;
    if (gid != (uint32_t)-1 && lchown(addr->sun_path, (uid_t)-1, gid) < 0)
        log_warn("cannot set the group of the control socket", F_STR("path", addr->sun_path), F_ERR(errno));
    return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

int roles_bind_control(const char *path, uint32_t gid, int *fd, int *lock)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int got_lock = -1;

    if (strlen(path) >= sizeof addr.sun_path)
        return -ENAMETOOLONG;
    memcpy(addr.sun_path, path, strlen(path));
    int rc = make_parent_directories(path, 0755);
    if (!rc)
        rc = take_lock(path, &got_lock);
    if (rc)
        return rc;
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    rc = s < 0 ? -errno : bind_and_listen(s, &addr, gid);
    if (rc) {
        close_fd(&s);
        close_fd(&got_lock);
        return rc;
    }
    *fd = s;
    *lock = got_lock;
    return 0;
}

static void answer(struct roles *r, uint32_t role, uint32_t index, int fd)
{
    struct fm_fd m = {.role = role, .index = index, .error = fd < 0 ? fd : 0};

    if (r->f->chan)
        fibchan_send(r->f->chan, FM_FD, &m, 1, fd);
}

static int open_control(struct roles *r)
{
    const struct fm_path *p = find_path(r, FM_ROLE_CONTROL, 0);

    if (!p)
        return -ENOENT;
    if (r->control_fd >= 0 && !strcmp(p->path, r->control))
        return r->control_fd;
    roles_remove_control(r);
    int rc = roles_bind_control(p->path, r->f->settings.control_gid, &r->control_fd, &r->control_lock);
    if (rc) {
        log_debug("cannot open the control socket", F_STR("path", p->path),
                  F_ERR(rc)); /* the speaker says it */
        return rc;
    }
    memcpy(r->control, p->path, sizeof r->control);
    return r->control_fd;
}

static int open_listener(struct listener *l)
{
    struct sockaddr_storage ss;
    struct ip_addr a = fm_addr(l->l.af, l->l.addr);
    socklen_t len = addr_to_sockaddr(&a, (uint16_t)l->port, 0, &ss);
    int one = 1;

    if (l->fd >= 0)
        return l->fd;
    int fd = socket(l->l.af, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (l->l.af == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (void *)&ss, len) < 0 || listen(fd, BACKLOG) < 0) {
        int rc = -errno;
        log_debug("cannot listen", F_ADDR("address", &a), F_UINT("port", l->port), F_ERR(rc)); /* the same */
        close(fd);
        return rc;
    }
    return l->fd = fd;
}

/* A host without one of the address families still listens on the wildcard of the other. Forwarding does not
 * depend on being looked at: the speaker says it and asks again. */
static bool is_dispensable(const struct listener *l, int error)
{
    if (l->l.role == FM_ROLE_METRICS)
        return true;
    struct ip_addr a = fm_addr(l->l.af, l->l.addr);
    return addr_is_unspecified(&a) && (error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL);
}

bool roles_start(struct roles *r)
{
    bool ok = true;

    for (unsigned i = r->n_listeners; i-- > 0;)
        if (!r->listeners[i].wanted) {
            close_fd(&r->listeners[i].fd);
            r->listeners[i] = r->listeners[--r->n_listeners];
        }
    if (find_path(r, FM_ROLE_CONTROL, 0)) {
        int fd = open_control(r);
        ok = fd >= 0;
        answer(r, FM_ROLE_CONTROL, 0, fd);
    }
    for (unsigned i = 0; ok && i < r->n_listeners; i++) {
        int fd = open_listener(&r->listeners[i]);
        ok = fd >= 0 || is_dispensable(&r->listeners[i], fd);
        answer(r, r->listeners[i].l.role, r->listeners[i].l.index, fd);
    }
    return ok;
}

bool roles_known(const struct roles *r, const struct fm_role *m)
{
    switch (m->role) {
    case FM_ROLE_CONFIG:
    case FM_ROLE_CONTROL:
    case FM_ROLE_KEY:
        return find_path(r, m->role, m->index);
    case FM_ROLE_STATE:
    case FM_ROLE_KUBE_STATE:
    case FM_ROLE_CNI:
        return m->index <= 1 && find_path(r, m->role, 0);
    case FM_ROLE_RA:
        return m->index == 0;
    case FM_ROLE_LISTEN:
    case FM_ROLE_METRICS:
        for (unsigned i = 0; i < r->n_listeners; i++)
            if (r->listeners[i].l.role == m->role && r->listeners[i].l.index == m->index)
                return true;
        return false;
    default:
        return false;
    }
}

/* A regular file, for reading. Not blocking on a FIFO that somebody put there. */
static int open_file(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    return fd;
}

static int open_temporary(struct roles *r, const struct fm_role *m)
{
    int *fd = &r->temporary[m->role];

    close_fd(fd);
    *fd = replace_begin(find_path(r, m->role, 0)->path, written[m->role].directories);
    return *fd;
}

/* One socket for all interfaces: which of them matter is the speaker's to know, and joining a group needs no
 * privilege. It hears only the two types that it is for. */
static int open_ra(void)
{
    const int on = 1, off = 0, hops = 255;
    struct icmp6_filter filter;
    int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6);

    if (fd < 0)
        return -errno;
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ND_ROUTER_SOLICIT, &filter);
    ICMP6_FILTER_SETPASS(ND_ROUTER_ADVERT, &filter);
    if (setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter) < 0 ||
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops) < 0 ||
        setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof hops) < 0 ||
        setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &off, sizeof off) < 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

void roles_open(struct roles *r, const struct fm_role *m)
{
    if (m->role == FM_ROLE_CONTROL) {
        answer(r, m->role, m->index, open_control(r));
    } else if (m->role == FM_ROLE_LISTEN || m->role == FM_ROLE_METRICS) {
        for (unsigned i = 0; i < r->n_listeners; i++)
            if (r->listeners[i].l.role == m->role && r->listeners[i].l.index == m->index)
                answer(r, m->role, m->index, open_listener(&r->listeners[i]));
    } else if (m->role == FM_ROLE_RA) {
        int fd = open_ra();
        answer(r, m->role, m->index, fd);
        close_fd(&fd);
    } else if (roles_is_written(m->role) && m->index == 1) {
        answer(r, m->role, m->index, open_temporary(r, m));
    } else {
        int fd = open_file(find_path(r, m->role, m->index)->path);
        answer(r, m->role, m->index, fd);
        close_fd(&fd);
    }
}

void roles_commit(struct roles *r, const struct fm_role *m)
{
    const char *path = find_path(r, m->role, 0)->path;
    int *fd = &r->temporary[m->role];
    struct fm_fd done = {.role = m->role, .index = m->index};

    done.error = *fd < 0 ? -EBADF : replace_commit(path, *fd, written[m->role].mode);
    close_fd(fd);
    if (r->f->chan)
        fibchan_send(r->f->chan, FM_FD, &done, 1, -1);
}

void roles_save(const struct roles *r, FILE *out)
{
    char addr[INET6_ADDRSTRLEN];

    if (r->control_fd >= 0)
        fprintf(out, "role control %d %d %s\n", handover_pass(r->control_fd), handover_pass(r->control_lock),
                r->control);
    for (unsigned i = 0; i < r->n_listeners; i++) {
        const struct listener *l = &r->listeners[i];
        if (l->fd >= 0)
            fprintf(out, "role listener %d %u %u %u %s\n", handover_pass(l->fd), l->l.role, l->port, l->l.af,
                    inet_ntop(l->l.af, l->l.addr, addr, sizeof addr));
    }
}

static bool restore_control(struct roles *r, const char *text)
{
    int fd, lock, path = 0;

    if (sscanf(text, "%d %d %n", &fd, &lock, &path) != 2 || !path ||
        strlen(text + path) >= sizeof r->control || !handover_take(fd) || !handover_take(lock))
        return false;
    r->control_fd = fd;
    r->control_lock = lock;
    snprintf(r->control, sizeof r->control, "%s", text + path);
    return true;
}

static bool restore_listener(struct roles *r, const char *text)
{
    struct listener l = {0};
    char addr[INET6_ADDRSTRLEN];

    if (r->n_listeners == MAX_LISTENS ||
        sscanf(text, "%d %hhu %u %hhu %45s", &l.fd, &l.l.role, &l.port, &l.l.af, addr) != 5 ||
        inet_pton(l.l.af, addr, l.l.addr) != 1 || !handover_take(l.fd))
        return false;
    r->listeners[r->n_listeners++] = l;
    return true;
}

bool roles_restore(struct roles *r, const char *text)
{
    static const char control[] = "control ", listener[] = "listener ";

    if (!strncmp(text, control, sizeof control - 1))
        return restore_control(r, text + sizeof control - 1);
    return !strncmp(text, listener, sizeof listener - 1) && restore_listener(r, text + sizeof listener - 1);
}

void roles_remove_control(struct roles *r)
{
    char name[FM_PATH_MAX + 8];

    if (r->control_fd < 0)
        return;
    unlink(r->control);
    snprintf(name, sizeof name, "%s.lock", r->control);
    unlink(name);
    close_fd(&r->control_fd);
    close_fd(&r->control_lock);
}
