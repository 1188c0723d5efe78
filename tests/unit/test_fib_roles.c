/* The control socket and its lock; files by role. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fib/roles.h"
#include "unit.h"

struct fixture {
    char dir[64];
    char path[128];
    struct fib f;
    int far;
};
static struct fixture x;

static int ignore_message(void *arg, const struct fm_header *h, const void *records, int fd)
{
    (void)arg, (void)h, (void)records, (void)fd;
    return 0;
}

static void ignore_close(void *arg, const char *why)
{
    (void)arg, (void)why;
}

static void set_up(void)
{
    static const struct fibchan_ops ops = {.message = ignore_message, .closed = ignore_close};
    int pair[2];

    x = (struct fixture){.far = -1};
    CU_ASSERT_EQUAL_FATAL(unit_make_dir(x.dir, sizeof x.dir), 0);
    snprintf(x.path, sizeof x.path, "%s/run/deep/control.sock", x.dir);
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    x.f.loop = loop_new();
    x.f.chan = fibchan_new(x.f.loop, pair[0], &ops, NULL);
    x.f.roles = roles_new(&x.f);
    x.f.settings.control_gid = (uint32_t)-1;
    x.far = pair[1];
    log_init("fib", LOG_LVL_ERROR, LOG_FMT_TEXT, LOG_TO_STDERR);
}

static void tear_down(void)
{
    char cmd[128];

    roles_free(x.f.roles);
    fibchan_free(x.f.chan);
    loop_free(x.f.loop);
    close(x.far);
    snprintf(cmd, sizeof cmd, "rm -rf %s", x.dir);
    CU_ASSERT_EQUAL(system(cmd), 0);
}

/* The FM_FD that was sent; the descriptor or its error. */
static int received(void)
{
    struct {
        struct fm_header h;
        struct fm_fd m;
    } got;
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {&got, sizeof got};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf};
    int fd;

    CU_ASSERT_FATAL(recvmsg(x.far, &msg, MSG_DONTWAIT) == sizeof got && got.h.type == FM_FD);
    if (got.m.error || !CMSG_FIRSTHDR(&msg))
        return got.m.error;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
    return fd;
}

static void add_path(uint32_t role, const char *path)
{
    struct fm_path p = {.role = role};

    snprintf(p.path, sizeof p.path, "%s", path);
    CU_ASSERT_EQUAL(roles_add_path(x.f.roles, &p), 0);
}

static void a_control_socket_is_private_to_owner_and_group(void)
{
    struct stat st;
    int fd, lock;

    set_up();
    CU_ASSERT_EQUAL(roles_bind_control(x.path, (uint32_t)-1, &fd, &lock), 0);
    CU_ASSERT_TRUE(stat(x.path, &st) == 0 && S_ISSOCK(st.st_mode));
    CU_ASSERT_EQUAL(st.st_mode & 0777, 0660);
    close(fd);
    close(lock);
    tear_down();
}

static void a_second_daemon_is_refused_and_a_leftover_replaced(void)
{
    int fd, lock, fd2, lock2;

    set_up();
    CU_ASSERT_EQUAL(roles_bind_control(x.path, (uint32_t)-1, &fd, &lock), 0);
    CU_ASSERT_EQUAL(roles_bind_control(x.path, (uint32_t)-1, &fd2, &lock2), -EADDRINUSE);
    /* Without the lock but served by somebody. */
    close(lock);
    CU_ASSERT_EQUAL(roles_bind_control(x.path, (uint32_t)-1, &fd2, &lock2), -EADDRINUSE);
    /* The socket file of a process that died. */
    close(fd);
    CU_ASSERT_EQUAL(roles_bind_control(x.path, (uint32_t)-1, &fd2, &lock2), 0);
    close(fd2);
    close(lock2);
    tear_down();
}

static void what_is_no_socket_is_left_alone(void)
{
    int fd, lock;
    char cmd[256];
    struct stat st;

    set_up();
    snprintf(cmd, sizeof cmd, "mkdir -p %s/run/deep && echo precious > %s", x.dir, x.path);
    CU_ASSERT_EQUAL(system(cmd), 0);
    CU_ASSERT_EQUAL(roles_bind_control(x.path, (uint32_t)-1, &fd, &lock), -EADDRINUSE);
    CU_ASSERT_TRUE(stat(x.path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 9);
    tear_down();
}

static void a_path_too_long_for_a_socket_is_said_so(void)
{
    char path[FM_PATH_MAX];
    int fd, lock;

    set_up();
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = 0;
    CU_ASSERT_EQUAL(roles_bind_control(path, (uint32_t)-1, &fd, &lock), -ENAMETOOLONG);
    tear_down();
}

static void state_is_replaced_only_by_a_commit(void)
{
    char path[128], buf[16] = {0};
    struct fm_role rd = {FM_ROLE_STATE, 0}, wr = {FM_ROLE_STATE, 1};

    set_up();
    snprintf(path, sizeof path, "%s/lib/state.json", x.dir);
    add_path(FM_ROLE_STATE, path);
    roles_open(x.f.roles, &rd);
    CU_ASSERT_EQUAL(received(), -ENOENT);
    roles_commit(x.f.roles, &wr);
    CU_ASSERT_EQUAL(received(), -EBADF);
    roles_open(x.f.roles, &wr);
    int fd = received();
    CU_ASSERT_TRUE(fd > 0 && write(fd, "one", 3) == 3);
    roles_open(x.f.roles, &rd);
    CU_ASSERT_EQUAL(received(), -ENOENT);
    roles_commit(x.f.roles, &wr);
    CU_ASSERT_EQUAL(received(), 0);
    close(fd);
    roles_open(x.f.roles, &rd);
    fd = received();
    CU_ASSERT_TRUE(fd > 0 && read(fd, buf, sizeof buf) == 3);
    CU_ASSERT_STRING_EQUAL(buf, "one");
    CU_ASSERT_TRUE(write(fd, "x", 1) < 0);
    close(fd);
    tear_down();
}

static void put(uint32_t role, const char *text)
{
    struct fm_role m = {role, 1};

    roles_open(x.f.roles, &m);
    int fd = received();
    CU_ASSERT_FATAL(fd > 0);
    CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void commit(uint32_t role)
{
    struct fm_role m = {role, 1};

    roles_commit(x.f.roles, &m);
    CU_ASSERT_EQUAL(received(), 0);
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) < 0 ? 0 : st.st_mode & 07777;
}

static bool holds(const char *path, const char *text)
{
    char buf[64] = {0};
    int fd = open(path, O_RDONLY);
    bool same = fd >= 0 && read(fd, buf, sizeof buf - 1) >= 0 && !strcmp(buf, text);
    if (fd >= 0)
        close(fd);
    return same;
}

/* Between FM_OPEN and FM_COMMIT of one file those of others may come. */
static void written_files_do_not_meet(void)
{
    static const struct {
        uint32_t role;
        const char *name;
        unsigned mode;
    } rows[] = {{FM_ROLE_STATE, "lib/state", 0600},
                {FM_ROLE_KUBE_STATE, "lib/state-kubernetes", 0600},
                {FM_ROLE_CNI, "cni/net.d/10-underlay.conflist", 0644}};
    char paths[3][128];

    set_up();
    mode_t old = umask(0077);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s", x.dir, rows[i].name);
        add_path(rows[i].role, paths[i]);
        put(rows[i].role, rows[i].name);
    }
    for (unsigned i = 0; i < 3; i++)
        commit(rows[2 - i].role);
    umask(old);
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT_TRUE(holds(paths[i], rows[i].name));
        CU_ASSERT_EQUAL(mode_of(paths[i]), rows[i].mode);
    }
    *strrchr(paths[2], '/') = 0;
    CU_ASSERT_EQUAL(mode_of(paths[2]), 0755); /* made for it, and readable whatever the umask */
    tear_down();
}

/* A container runtime reads every *.conflist, *.conf and *.json that it finds, at any moment. */
static void an_unfinished_file_has_a_name_that_no_runtime_reads(void)
{
    char path[128], cmd[256];

    set_up();
    snprintf(path, sizeof path, "%s/net.d/10-underlay.conflist", x.dir);
    add_path(FM_ROLE_CNI, path);
    put(FM_ROLE_CNI, "{");
    snprintf(cmd, sizeof cmd,
             "ls %s/net.d | grep -q . && ! ls %s/net.d | grep -qE '\\.(conf|conflist|json)$'", x.dir, x.dir);
    CU_ASSERT_EQUAL(system(cmd), 0);
    put(FM_ROLE_CNI, "{}"); /* of a speaker that came back: what it left is gone */
    commit(FM_ROLE_CNI);
    CU_ASSERT_TRUE(holds(path, "{}"));
    snprintf(cmd, sizeof cmd, "test \"$(ls %s/net.d)\" = 10-underlay.conflist", x.dir);
    CU_ASSERT_EQUAL(system(cmd), 0);
    tear_down();
}

static void only_regular_files_are_opened(void)
{
    struct fm_role role = {FM_ROLE_CONFIG, 0};
    char path[128];

    set_up();
    snprintf(path, sizeof path, "%s/fifo", x.dir);
    CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
    add_path(FM_ROLE_CONFIG, path);
    roles_open(x.f.roles, &role);
    CU_ASSERT_EQUAL(received(), -EINVAL);
    tear_down();
}

static void a_new_speaker_gets_the_same_listener(void)
{
    struct fm_listen l = {.index = 0, .af = AF_INET, .role = FM_ROLE_LISTEN, .addr = {127, 0, 0, 1}};
    struct stat a, b;

    set_up();
    x.f.settings.port = 0;
    CU_ASSERT_EQUAL(roles_add_listen(x.f.roles, &l), 0);
    CU_ASSERT_NOT_EQUAL(roles_add_listen(x.f.roles, &l), 0);
    CU_ASSERT_TRUE(roles_start(x.f.roles));
    int first = received();
    CU_ASSERT_TRUE_FATAL(first > 0);
    roles_forget(x.f.roles);
    l.index = 3;
    CU_ASSERT_EQUAL(roles_add_listen(x.f.roles, &l), 0);
    CU_ASSERT_TRUE(roles_start(x.f.roles));
    int second = received();
    CU_ASSERT_TRUE(fstat(first, &a) == 0 && fstat(second, &b) == 0 && a.st_ino == b.st_ino);
    close(first);
    close(second);
    tear_down();
}

static void a_taken_port_is_an_error(void)
{
    struct fm_listen l = {.index = 0, .af = AF_INET, .role = FM_ROLE_LISTEN, .addr = {127, 0, 0, 1}};
    struct sockaddr_storage ss;
    struct ip_addr any = addr_v4(0x7f000001);
    socklen_t len = addr_to_sockaddr(&any, 0, 0, &ss);
    uint16_t port = 0;

    set_up();
    int s = socket(AF_INET, SOCK_STREAM, 0);
    CU_ASSERT_FATAL(bind(s, (void *)&ss, len) == 0 && listen(s, 1) == 0);
    CU_ASSERT_FATAL(getsockname(s, (void *)&ss, &len) == 0);
    addr_from_sockaddr((void *)&ss, &any, &port, NULL);
    x.f.settings.port = port;
    CU_ASSERT_EQUAL(roles_add_listen(x.f.roles, &l), 0);
    CU_ASSERT_FALSE(roles_start(x.f.roles));
    CU_ASSERT_EQUAL(received(), -EADDRINUSE);
    close(s);
    tear_down();
}

/* What is there to look at must not keep the node from forwarding; later it is asked for again. */
static void a_taken_port_of_the_metrics_is_no_obstacle(void)
{
    struct fm_listen bgp = {.index = 0, .af = AF_INET, .role = FM_ROLE_LISTEN, .addr = {127, 0, 0, 1}};
    struct fm_listen l = {.af = AF_INET, .role = FM_ROLE_METRICS, .addr = {127, 0, 0, 1}};
    const struct fm_role role = {.role = FM_ROLE_METRICS};
    struct sockaddr_storage ss;
    struct ip_addr any = addr_v4(0x7f000001);
    socklen_t len = addr_to_sockaddr(&any, 0, 0, &ss);

    set_up();
    int s = socket(AF_INET, SOCK_STREAM, 0);
    CU_ASSERT_FATAL(bind(s, (void *)&ss, len) == 0 && listen(s, 1) == 0);
    CU_ASSERT_FATAL(getsockname(s, (void *)&ss, &len) == 0);
    addr_from_sockaddr((void *)&ss, &any, &l.port, NULL);
    CU_ASSERT_EQUAL(roles_add_listen(x.f.roles, &bgp), 0);
    CU_ASSERT_EQUAL(roles_add_listen(x.f.roles, &l), 0);
    CU_ASSERT_TRUE(roles_known(x.f.roles, &role));
    CU_ASSERT_TRUE(roles_start(x.f.roles));
    close(received());
    CU_ASSERT_EQUAL(received(), -EADDRINUSE);
    close(s);
    roles_open(x.f.roles, &role); /* not the BGP listener of the same index */
    int fd = received();
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_TRUE(!getsockname(fd, (void *)&ss, &len) &&
                   !addr_from_sockaddr((void *)&ss, &any, &bgp.port, NULL) && bgp.port == l.port);
    close(fd);
    tear_down();
}

static void the_icmpv6_socket_is_a_raw_one_that_hears_only_its_two_types(void)
{
    const struct fm_role role = {.role = FM_ROLE_RA}, other = {.role = FM_ROLE_RA, .index = 1};
    struct icmp6_filter filter;
    socklen_t len = sizeof filter;
    int type = 0, hops = 0, protocol = 0;

    set_up();
    CU_ASSERT_TRUE(roles_known(x.f.roles, &role));
    CU_ASSERT_FALSE(roles_known(x.f.roles, &other));
    roles_open(x.f.roles, &role);
    int fd = received();
    if (fd == -EPERM || fd == -EAFNOSUPPORT) {
        tear_down();
        unit_skip("no raw ICMPv6 socket here");
        return;
    }
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(getsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, &len), 0);
    CU_ASSERT_TRUE(ICMP6_FILTER_WILLPASS(ND_ROUTER_ADVERT, &filter));
    CU_ASSERT_TRUE(ICMP6_FILTER_WILLPASS(ND_ROUTER_SOLICIT, &filter));
    CU_ASSERT_TRUE(ICMP6_FILTER_WILLBLOCK(ICMP6_ECHO_REPLY, &filter));
    CU_ASSERT_TRUE(ICMP6_FILTER_WILLBLOCK(ND_NEIGHBOR_SOLICIT, &filter));
    len = sizeof type;
    CU_ASSERT_TRUE(!getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_RAW);
    CU_ASSERT_TRUE(!getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) && protocol == IPPROTO_ICMPV6);
    CU_ASSERT_TRUE(!getsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, &len) && hops == 255);
    close(fd);
    tear_down();
}

/* The process executes itself anew: the same sockets for a speaker that asks for the same. */
static void sockets_are_handed_to_the_next_life(void)
{
    struct fm_listen listen4 = {.af = AF_INET, .role = FM_ROLE_LISTEN, .addr = {127, 0, 0, 1}};
    struct fm_path control = {.role = FM_ROLE_CONTROL};
    char *text = NULL, *at;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct stat before, after;

    set_up();
    snprintf(control.path, sizeof control.path, "%s", x.path);
    CU_ASSERT_FATAL(!roles_add_path(x.f.roles, &control) && !roles_add_listen(x.f.roles, &listen4));
    CU_ASSERT_TRUE(roles_start(x.f.roles));
    roles_save(x.f.roles, out);
    fclose(out);
    int fd = -1;
    CU_ASSERT_FATAL((at = strstr(text, "role listener ")) && sscanf(at, "role listener %d", &fd) == 1);
    CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), 0);
    CU_ASSERT_EQUAL(fstat(fd, &before), 0);
    struct roles *next = roles_new(&x.f);
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) && *line;) {
        CU_ASSERT_TRUE(roles_restore(next, line + strlen("role ")));
        CU_ASSERT_FALSE(roles_restore(next, line + strlen("role "))); /* it is taken */
    }
    CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CU_ASSERT_FALSE(roles_restore(next, "listener"));
    CU_ASSERT_FALSE(roles_restore(next, "listener 2 3 179 2 127.0.0.1"));
    CU_ASSERT_FALSE(roles_restore(next, "control 9999 9998 /x"));
    CU_ASSERT_FALSE(roles_restore(next, "kitchen 9999"));
    CU_ASSERT_FATAL(!roles_add_path(next, &control) && !roles_add_listen(next, &listen4));
    CU_ASSERT_TRUE(roles_start(next)); /* neither is bound again: that would be refused */
    CU_ASSERT_TRUE(!fstat(fd, &after) && after.st_ino == before.st_ino);
    free(text);
    roles_free(next); /* whose descriptors are the same */
    tear_down();
}

static const struct unit_case cases[] = {
    UNIT(a_control_socket_is_private_to_owner_and_group),
    UNIT(a_second_daemon_is_refused_and_a_leftover_replaced),
    UNIT(what_is_no_socket_is_left_alone),
    UNIT(a_path_too_long_for_a_socket_is_said_so),
    UNIT(state_is_replaced_only_by_a_commit),
    UNIT(written_files_do_not_meet),
    UNIT(an_unfinished_file_has_a_name_that_no_runtime_reads),
    UNIT(only_regular_files_are_opened),
    UNIT(a_new_speaker_gets_the_same_listener),
    UNIT(a_taken_port_is_an_error),
    UNIT(a_taken_port_of_the_metrics_is_no_obstacle),
    UNIT(the_icmpv6_socket_is_a_raw_one_that_hears_only_its_two_types),
    UNIT(sockets_are_handed_to_the_next_life),
};
UNIT_MAIN("fib_roles", cases)
