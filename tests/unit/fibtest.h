/* A fib process in a network namespace of its own, and the other end of its channel in the hands of the test.
 *
 * The test program executes itself as the "speaker": that process only passes its end of the channel to the
 * test over a unix socket and sleeps, so the test says what a speaker would, and can kill it like one. */
#ifndef UNDERLAY_FIBTEST_H
#define UNDERLAY_FIBTEST_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fib/fib.h"
#include "fibmsg.h"
#include "log.h"
#include "loop.h"
#include "unit.h"

#define TEST_PROTOCOL 201
#define WAIT_MS       (10000 * UNIT_SLOW)

struct fibtest {
    pid_t fib;
    pid_t speaker;
    int rendezvous; /* where fake speakers report */
    int chan;       /* fibmsg, the speaker's end */
    char name[64];
    char dir[64];
};

static inline void rendezvous_addr(const char *name, struct sockaddr_un *a, socklen_t *len)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(a->sun_path + 1, sizeof a->sun_path - 1, "%s", name);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

/* The executed fake: hands its channel over and sleeps until it is killed or the test goes. */
static inline int fake_speaker_main(const char *name)
{
    struct sockaddr_un a;
    socklen_t len;
    int s = socket(AF_UNIX, SOCK_SEQPACKET, 0), fd = atoi(getenv(FIB_SPEAKER_FD_ENV));
    int32_t pid = getpid();
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {&pid, sizeof pid};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf};
    struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);

    cm->cmsg_level = SOL_SOCKET;
    cm->cmsg_type = SCM_RIGHTS;
    cm->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(cm), &fd, sizeof fd);
    rendezvous_addr(name, &a, &len);
    if (connect(s, (void *)&a, len) < 0 || sendmsg(s, &msg, 0) < 0)
        return 3;
    close(fd);
    char c;
    ssize_t n = read(s, &c, 1); /* a byte: exit 0 as told; end of file: the test is gone */
    return n == 1 ? c : 3;
}

static inline bool run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline bool run(const char *fmt, ...)
{
    char cmd[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(cmd, sizeof cmd, fmt, ap);
    va_end(ap);
    return system(cmd) == 0;
}

/* Output of a command, at most size - 1 bytes. */
static inline const char *output(char *buf, size_t size, const char *cmd)
{
    FILE *f = popen(cmd, "r");
    size_t n = f ? fread(buf, 1, size - 1, f) : 0;

    buf[n] = 0;
    if (f)
        pclose(f);
    return buf;
}

static inline bool shows(const char *cmd, const char *needle)
{
    static char buf[65536];
    return strstr(output(buf, sizeof buf, cmd), needle);
}

static inline bool shows_soon(const char *cmd, const char *needle, bool present)
{
    for (int i = 0; i < WAIT_MS / 50; i++) {
        if (shows(cmd, needle) == present)
            return true;
        usleep(50000);
    }
    return false;
}

/* A fresh namespace with lo and two links: up0 10.9.0.1/24 fd09::1/64, up1 10.9.1.1/24 fd09:1::1/64. False:
 * not root. */
static inline bool fibtest_namespace(struct fibtest *t)
{
    *t = (struct fibtest){.rendezvous = -1, .chan = -1};
    if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
        unit_skip("needs root and network namespaces");
        return false;
    }
    bool ok = unit_make_dir(t->dir, sizeof t->dir) == 0 && run("ip link set lo up");
    for (int i = 0; ok && i < 2; i++)
        ok = run(
            "ip link add up%d type veth peer name far%d && ip link set up%d up && ip link set far%d up && "
            "ip addr add 10.9.%d.1/24 dev up%d && ip addr add fd09:%d::1/64 dev up%d nodad",
            i, i, i, i, i, i, i, i);
    CU_ASSERT_FATAL(ok);
    return true;
}

static inline void fibtest_accept(struct fibtest *t)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = {0};
    int32_t pid = 0;
    struct iovec iov = {&pid, sizeof pid};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf};
    struct pollfd p = {.fd = t->rendezvous, .events = POLLIN};

    CU_ASSERT_FATAL(poll(&p, 1, WAIT_MS) == 1);
    int s = accept(t->rendezvous, NULL, NULL);
    CU_ASSERT_FATAL(s >= 0 && recvmsg(s, &msg, 0) == sizeof pid);
    if (t->chan >= 0)
        close(t->chan);
    memcpy(&t->chan, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
    t->speaker = pid;
    /* s stays open: its end of file would end the fake. */
}

static inline void fibtest_send(struct fibtest *t, enum fm_type type, const void *records, uint32_t n)
{
    static uint8_t buf[FIBMSG_MAX];
    struct fm_header h = {FIBMSG_VERSION, (uint16_t)type, n};
    size_t body = n * fm_record_size(type);
    struct pollfd p = {.fd = t->chan, .events = POLLOUT};

    memcpy(buf, &h, sizeof h);
    if (body)
        memcpy(buf + sizeof h, records, body);
    while (send(t->chan, buf, sizeof h + body, MSG_NOSIGNAL) < 0 && errno == EAGAIN)
        poll(&p, 1, WAIT_MS);
}

/* The next message of that type; others are dropped. Records point into a static buffer; NULL: none within
 * the time. */
static inline const void *fibtest_wait(struct fibtest *t, enum fm_type type, uint32_t *n, int timeout_ms)
{
    static uint8_t buf[FIBMSG_MAX];
    uint64_t end = loop_now_ms() + (uint64_t)timeout_ms;
    struct fm_header h;

    for (;;) {
        uint64_t now = loop_now_ms();
        struct pollfd p = {.fd = t->chan, .events = POLLIN};
        if (now >= end || poll(&p, 1, (int)(end - now)) <= 0)
            return NULL;
        ssize_t got = recv(t->chan, buf, sizeof buf, 0);
        if (got < (ssize_t)sizeof h)
            return NULL;
        memcpy(&h, buf, sizeof h);
        if (h.type == type) {
            if (n)
                *n = h.count;
            return buf + sizeof h;
        }
    }
}

/* As shows_soon, while the speaker gives signs of life: for what may take longer than one without is let
 * live.
 */
static inline bool fibtest_shows_soon(struct fibtest *t, const char *cmd, const char *needle, bool present)
{
    uint64_t end = loop_now_ms() + 3 * WAIT_MS;

    while (loop_now_ms() < end) {
        fibtest_send(t, FM_HEARTBEAT, NULL, 0);
        if (shows(cmd, needle) == present)
            return true;
        usleep(50000);
    }
    return false;
}

static inline struct fm_settings fibtest_settings(void)
{
    return (struct fm_settings){.flags = FM_SET_INSTALL,
                                .table = 254,
                                .metric = 20,
                                .protocol = TEST_PROTOCOL,
                                .stale_time_ms = 60000,
                                .control_gid = (uint32_t)-1,
                                .port = 1790,
                                .log_level = getenv("FIBTEST_LOG") ? LOG_LVL_DEBUG : LOG_LVL_ERROR};
}

/* What a speaker says first, up to FM_READY; waits for FM_SYNC_DONE in between. */
static inline void fibtest_greet(struct fibtest *t, const struct fm_settings *s)
{
    struct fm_hello hello = {FIBMSG_VERSION, t->speaker};
    struct fm_path state = {.role = FM_ROLE_STATE}, control = {.role = FM_ROLE_CONTROL};
    struct fm_text ready = {"ready"};

    snprintf(state.path, sizeof state.path, "%s/lib/state.json", t->dir);
    snprintf(control.path, sizeof control.path, "%s/run/control.sock", t->dir);
    fibtest_send(t, FM_HELLO, &hello, 1);
    fibtest_send(t, FM_SETTINGS, s, 1);
    fibtest_send(t, FM_PATH, &state, 1);
    fibtest_send(t, FM_PATH, &control, 1);
    fibtest_send(t, FM_START, NULL, 0);
    CU_ASSERT_FATAL(fibtest_wait(t, FM_SYNC_DONE, NULL, WAIT_MS) != NULL);
    fibtest_send(t, FM_READY, &ready, 1);
}

static inline void fibtest_launch(struct fibtest *t)
{
    static int serial;
    static char flag[] = "--fake-speaker", self[] = "test";
    struct sockaddr_un a;
    socklen_t len;

    snprintf(t->name, sizeof t->name, "fibtest.%d.%d", getpid(), serial++);
    rendezvous_addr(t->name, &a, &len);
    if (t->rendezvous >= 0)
        close(t->rendezvous);
    t->rendezvous = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(bind(t->rendezvous, (void *)&a, len) == 0 && listen(t->rendezvous, 8) == 0);
    fflush(stdout);
    t->fib = fork();
    CU_ASSERT_FATAL(t->fib >= 0);
    if (t->fib == 0) {
        char *argv[] = {self, flag, t->name, NULL};
        log_init("fib", getenv("FIBTEST_LOG") ? LOG_LVL_DEBUG : LOG_LVL_ERROR, LOG_FMT_TEXT, LOG_TO_STDERR);
        exit(fib_main(&(struct fib_options){.argv = argv}));
    }
    fibtest_accept(t);
}

static inline bool fibtest_start(struct fibtest *t)
{
    struct fm_settings s = fibtest_settings();

    if (!fibtest_namespace(t))
        return false;
    fibtest_launch(t);
    fibtest_greet(t, &s);
    return true;
}

static inline int fibtest_exit_status(struct fibtest *t, int timeout_ms)
{
    int status;

    for (int i = 0; i < timeout_ms / 10; i++) {
        if (waitpid(t->fib, &status, WNOHANG) == t->fib) {
            t->fib = 0;
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        usleep(10000);
    }
    return -1;
}

static inline void fibtest_end(struct fibtest *t)
{
    if (t->fib > 0) {
        kill(t->fib, SIGKILL);
        waitpid(t->fib, NULL, 0);
    }
    if (t->speaker > 0)
        kill(t->speaker, SIGKILL);
    if (t->chan >= 0)
        close(t->chan);
    if (t->rendezvous >= 0)
        close(t->rendezvous);
    run("rm -rf %s", t->dir);
}

static inline struct fm_nexthop fibtest_nexthop(const char *text, uint32_t scope)
{
    struct fm_nexthop nh = {.scope = scope};
    struct ip_addr a;

    CU_ASSERT_FATAL(addr_parse(text, &a) == 0);
    nh.af = a.af;
    memcpy(nh.addr, a.b, sizeof nh.addr);
    return nh;
}

/* Up to two members; b may be NULL. */
static inline void fibtest_group(struct fibtest *t, uint32_t id, const char *a, const char *b)
{
    struct fm_group g = {.id = id, .n_members = b ? 2 : 1};

    g.members[0] = (struct fm_member){fibtest_nexthop(a, 0), 1};
    if (b)
        g.members[1] = (struct fm_member){fibtest_nexthop(b, 0), 1};
    fibtest_send(t, FM_GROUP_SET, &g, 1);
}

static inline struct fm_route fibtest_route(uint8_t op, const char *text, uint32_t group, uint32_t cookie)
{
    struct fm_route r = {.op = op, .group = group, .cookie = cookie};
    struct prefix p;

    CU_ASSERT_FATAL(prefix_parse(text, true, &p) == 0);
    r.af = p.addr.af;
    r.len = p.len;
    memcpy(r.addr, p.addr.b, sizeof r.addr);
    return r;
}

/* The next result for cookie; others are passed over. 1: none came. */
static inline int fibtest_result(struct fibtest *t, uint32_t cookie, int timeout_ms)
{
    const struct fm_result *r;
    uint32_t n;

    while ((r = fibtest_wait(t, FM_ROUTE_RESULTS, &n, timeout_ms)))
        for (uint32_t i = 0; i < n; i++)
            if (r[i].cookie == cookie)
                return r[i].error;
    return 1;
}

/* Sends one route and returns its result. */
static inline int fibtest_do(struct fibtest *t, uint8_t op, const char *prefix, uint32_t group)
{
    static uint32_t cookie = 1000;
    struct fm_route r = fibtest_route(op, prefix, group, ++cookie);

    fibtest_send(t, FM_ROUTES, &r, 1);
    return fibtest_result(t, cookie, WAIT_MS);
}

#define FIBTEST_MAIN(suite, cases)                                                                           \
    int main(int argc, char **argv)                                                                          \
    {                                                                                                        \
        if (argc == 3 && !strcmp(argv[1], "--fake-speaker"))                                                 \
            return fake_speaker_main(argv[2]);                                                               \
        return unit_main(suite, cases, sizeof(cases) / sizeof *(cases));                                     \
    }

#endif
