/* The speaker as a process: this program plays it, in the life in which the supervisor has executed it. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "fib/handover.h"
#include "fib/supervise.h"
#include "fibfixture.h"

enum { SESSIONS = 300, PORT_ARG = 1, MODE_ARG = 2 };

static int channel;

static void say(enum fm_type type, const void *records, uint32_t n, int fd)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct fm_header h = {FIBMSG_VERSION, (uint16_t)type, n};
    struct iovec iov[] = {{&h, sizeof h}, {(void *)(uintptr_t)records, n * fm_record_size(type)}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

    if (fd >= 0) {
        m.msg_control = control.buf;
        m.msg_controllen = sizeof control.buf;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    while (sendmsg(channel, &m, MSG_NOSIGNAL) < 0)
        if (errno != EAGAIN)
            _exit(3);
}

/* Until the parent has said all; a byte goes over each connection that came. */
static unsigned take_over(void)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control;
    static uint8_t buf[FIBMSG_MAX];
    unsigned n = 0;

    for (;;) {
        struct fm_header h;
        struct fm_keep what;
        struct iovec iov = {buf, sizeof buf};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control.buf,
                           .msg_controllen = sizeof control.buf};
        ssize_t got = recvmsg(channel, &m, 0);
        if (got < 0 && errno == EAGAIN)
            continue;
        if (got <= 0)
            _exit(3);
        memcpy(&h, buf, sizeof h);
        memcpy(&what, buf + sizeof h, sizeof what);
        if (h.type == FM_SYNC_DONE)
            return n;
        if (h.type != FM_KEPT)
            continue;
        int fd;
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
        if (what.kind == FM_KEEP_SESSION && what.index == n && write(fd, "x", 1) == 1)
            n++;
    }
}

static void leave(int port, const char *mode)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int state = memfd_create("state", MFD_ALLOW_SEALING);

    fcntl(state, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    for (uint32_t i = 0; i < SESSIONS; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (void *)&a, sizeof a))
            _exit(3);
        say(FM_KEEP, &(struct fm_keep){FM_KEEP_SESSION, i}, 1, fd);
        close(fd);
    }
    say(FM_KEEP, &(struct fm_keep){FM_KEEP_STATE, 0}, 1, state);
    if (!strcmp(mode, "dies"))
        _exit(0);
    say(FM_RESTART, &(struct fm_flags){strcmp(mode, "restarts") ? FM_RESTART_PARENT : 0}, 1, -1);
    _exit(0);
}

static _Noreturn void play_speaker(char **argv)
{
    static const struct fm_hello hello = {FIBMSG_VERSION, 1};
    static const struct fm_settings settings = {.flags = FM_SET_INSTALL,
                                                .table = 254,
                                                .metric = 20,
                                                .protocol = 87,
                                                .control_gid = (uint32_t)-1,
                                                .stale_time_ms = 60000};
    static const struct fm_text text = {"fine"};

    say(FM_HELLO, &hello, 1, -1);
    say(FM_SETTINGS, &settings, 1, -1);
    say(FM_START, NULL, 0, -1);
    unsigned n = take_over();
    say(FM_READY, &text, 1, -1);
    if (!n)
        leave(atoi(argv[PORT_ARG]), argv[MODE_ARG]);
    for (ssize_t got = 1; got > 0 || (got < 0 && errno == EAGAIN);) {
        static char any[FIBMSG_MAX];
        poll(&(struct pollfd){.fd = channel, .events = POLLIN}, 1, -1);
        got = recv(channel, any, sizeof any, 0);
    }
    _exit(3);
}

static void reap(void *arg, int signum)
{
    struct fib *f = arg;
    (void)signum;
    supervise_reap(f->supervisor);
}

/* Until it is killed; also in its next life. */
static _Noreturn void play_parent(char **argv)
{
    struct fib_options options = {.argv = argv};
    sigset_t none;

    x.f.kernel = &x.k;
    x.f.loop = loop_new();
    log_init("fib", LOG_LVL_ERROR, LOG_FMT_TEXT, LOG_TO_STDERR);
    if (!sig_new(x.f.loop, SIGCHLD, reap, &x.f) || !fib_make_modules(&x.f, &options) ||
        handover_resume(x.f.handover) < 0 || supervise_start(x.f.supervisor))
        _exit(3);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    _exit(loop_run(x.f.loop));
}

/* Before main: the arguments and the environment say in which life we are. */
__attribute__((constructor)) static void which_life(int argc, char **argv)
{
    const char *fd = getenv(FIB_SPEAKER_FD_ENV);

    if (argc <= MODE_ARG)
        return;
    if (!strcmp(argv[argc - 1], "--check"))
        _exit(!strcmp(argv[MODE_ARG], "refused"));
    if (!fd)
        play_parent(argv);
    channel = atoi(fd);
    play_speaker(argv);
}

static int listener(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CU_ASSERT_FATAL(!bind(fd, (void *)&a, len) && !listen(fd, SESSIONS) &&
                    !getsockname(fd, (void *)&a, &len));
    *port = ntohs(a.sin_port);
    return fd;
}

/* What has come over the connections: bytes, and how many of them have ended. */
static void look(int l, int conns[SESSIONS], unsigned *n, unsigned *bytes, unsigned *ended)
{
    char c;
    int fd;

    while (*n < SESSIONS && (fd = accept4(l, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
        conns[(*n)++] = fd;
    *ended = 0;
    for (unsigned i = 0; i < *n; i++) {
        ssize_t got = recv(conns[i], &c, 1, 0);
        *bytes += got == 1;
        *ended += got == 0 || (got < 0 && errno != EAGAIN);
    }
}

/* Whether process pid was executed by a former life of itself. */
static bool is_anew(pid_t pid)
{
    static char text[65536];
    char name[32];

    snprintf(name, sizeof name, "/proc/%d/environ", pid);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 && memmem(text, (size_t)n, "UNDERLAY_HANDOVER_FD=", 21);
}

static void run(const char *mode, bool planned, bool anew)
{
    char name[] = "test", port_text[16], mode_text[16], *argv[] = {name, port_text, mode_text, NULL};
    int conns[SESSIONS], port, l = listener(&port);
    unsigned n = 0, bytes = 0, ended = 0;

    snprintf(port_text, sizeof port_text, "%d", port);
    snprintf(mode_text, sizeof mode_text, "%s", mode);
    pid_t pid = fork();
    if (!pid)
        play_parent(argv);
    for (int i = 0; i < 1500 && (planned ? bytes : ended) < SESSIONS; i++) {
        poll(NULL, 0, 10);
        look(l, conns, &n, &bytes, &ended);
    }
    CU_ASSERT_EQUAL(n, SESSIONS);
    CU_ASSERT_EQUAL(bytes, planned ? SESSIONS : 0);
    CU_ASSERT_EQUAL(ended, planned ? 0 : SESSIONS);
    CU_ASSERT_EQUAL(is_anew(pid), anew);
    CU_ASSERT_EQUAL(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (unsigned i = 0; i < n; i++)
        close(conns[i]);
    close(l);
}

/* More messages than are read in a turn, and a speaker that is gone before all of them were. */
static void connections_outlive_a_planned_restart(void)
{
    run("restarts", true, false);
}

static void they_outlive_a_parent_that_executes_itself_anew(void)
{
    run("anew", true, true);
}

static void a_binary_that_does_not_run_is_not_executed(void)
{
    run("refused", true, false);
}

static void they_do_not_outlive_a_speaker_that_only_ends(void)
{
    run("dies", false, false);
}

static const struct unit_case cases[] = {
    UNIT(connections_outlive_a_planned_restart),
    UNIT(they_outlive_a_parent_that_executes_itself_anew),
    UNIT(a_binary_that_does_not_run_is_not_executed),
    UNIT(they_do_not_outlive_a_speaker_that_only_ends),
};
UNIT_MAIN("fib_supervise", cases)
