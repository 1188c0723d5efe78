/* What a speaker leaves to the next one: what of it is taken, where it goes, and when it is lost. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "fib/bfd.h"
#include "fib/handover_internal.h"
#include "fibfixture.h"

static struct {
    struct fm_header h;
    union {
        struct fm_keep keep;
        struct fm_flags flags;
    } u;
    int fd;
} heard[128];

/* All that the speaker has been told but links and addresses. */
static unsigned listen_to_fib(void)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control;
    static uint8_t buf[FIBMSG_MAX];
    unsigned n = 0;

    for (;;) {
        struct iovec iov = {buf, sizeof buf};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control.buf,
                           .msg_controllen = sizeof control.buf};
        if (recvmsg(x.far, &m, MSG_DONTWAIT) <= 0)
            return n;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        memcpy(&heard[n].h, buf, sizeof heard[n].h);
        memcpy(&heard[n].u, buf + sizeof heard[n].h, sizeof heard[n].u);
        heard[n].fd = -1;
        if (c)
            memcpy(&heard[n].fd, CMSG_DATA(c), sizeof(int));
        if (heard[n].h.type != FM_LINK && heard[n].h.type != FM_ADDRESS)
            n++;
    }
}

/* A connection over loopback; the peer's end is returned. */
static int connection(int *mine)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0);

    *mine = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(!bind(l, (void *)&a, len) && !listen(l, 1) && !getsockname(l, (void *)&a, &len) &&
                    !connect(*mine, (void *)&a, len));
    int theirs = accept(l, NULL, NULL);
    close(l);
    return theirs;
}

static bool is_open(int theirs)
{
    struct pollfd p = {.fd = theirs, .events = POLLIN};
    return poll(&p, 1, 0) == 0;
}

static int state(unsigned seals)
{
    int fd = memfd_create("state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CU_ASSERT_FATAL(fd >= 0 && write(fd, "state", 5) == 5 && !fcntl(fd, F_ADD_SEALS, seals));
    return fd;
}

static int sealed(void)
{
    return state(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

static int keep(uint32_t kind, uint32_t index, int fd)
{
    return handover_keep(x.f.handover, &(struct fm_keep){kind, index}, fd);
}

static void set_up_ready(void)
{
    set_up();
    listen_to_fib();
    fib_speaker_ready(&x.f, "fine");
}

static void next_speaker_starts(void)
{
    fib_speaker_gone(&x.f);
    fib_speaker_started(&x.f);
    run_for(20);
}

static void what_is_kept_goes_to_the_next_speaker_in_order(void)
{
    int mine[2], theirs[2];

    set_up_ready();
    for (int i = 0; i < 2; i++)
        theirs[i] = connection(&mine[i]);
    CU_ASSERT_EQUAL(keep(FM_KEEP_SESSION, 7, mine[0]), 0);
    CU_ASSERT_EQUAL(keep(FM_KEEP_STATE, 0, sealed()), 0);
    CU_ASSERT_EQUAL(keep(FM_KEEP_SESSION, 3, mine[1]), 0);
    handover_restart(x.f.handover, 0);
    CU_ASSERT_TRUE(handover_speaker_gone(x.f.handover, true));
    next_speaker_starts();
    CU_ASSERT_EQUAL_FATAL(listen_to_fib(), 4);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(heard[i].h.type, FM_KEPT);
    CU_ASSERT_EQUAL(heard[0].u.keep.index, 7);
    CU_ASSERT_EQUAL(heard[1].u.keep.kind, FM_KEEP_STATE);
    CU_ASSERT_EQUAL(heard[2].u.keep.index, 3);
    CU_ASSERT_EQUAL(heard[3].h.type, FM_SYNC_DONE);
    CU_ASSERT_EQUAL(heard[3].u.flags.flags, FM_KEPT_IPV4 | FM_KEPT_IPV6);
    char text[6] = "";
    CU_ASSERT_TRUE(pread(heard[1].fd, text, 5, 0) == 5 && !strcmp(text, "state"));
    handover_done(x.f.handover);
    CU_ASSERT_TRUE(is_open(theirs[0]) && is_open(theirs[1]));
    for (int i = 0; i < 3; i++)
        close(heard[i].fd);
    CU_ASSERT_FALSE(is_open(theirs[0]) || is_open(theirs[1])); /* nobody else has them */
    next_speaker_starts();
    CU_ASSERT_EQUAL(listen_to_fib(), 1); /* once is enough */
    close(theirs[0]);
    close(theirs[1]);
    tear_down();
}

static void a_speaker_that_stays_after_all_has_its_connections_alone(void)
{
    int mine, theirs, other;

    set_up_ready();
    theirs = connection(&mine);
    CU_ASSERT_EQUAL(keep(FM_KEEP_STATE, 0, sealed()), 0);
    CU_ASSERT_EQUAL(keep(FM_KEEP_SESSION, 0, mine), 0);
    CU_ASSERT_EQUAL(keep(FM_KEEP_NOTHING, 0, -1), 0);
    CU_ASSERT_FALSE(is_open(theirs));
    close(theirs);
    theirs = connection(&other);
    CU_ASSERT_EQUAL(keep(FM_KEEP_NOTHING, 0, other), -EINVAL);
    CU_ASSERT_FALSE(is_open(theirs));
    close(theirs);
    CU_ASSERT_EQUAL(keep(FM_KEEP_STATE, 0, sealed()), 0); /* a restart that works is still possible */
    tear_down();
}

static void what_is_no_session_and_no_state_is_refused(void)
{
    int pair[2], mine, theirs;

    set_up_ready();
    theirs = connection(&mine);
    CU_ASSERT_FATAL(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CU_ASSERT_EQUAL(keep(FM_KEEP_SESSION, 0, -1), -EINVAL);
    CU_ASSERT_EQUAL(keep(FM_KEEP_STATE, 0, -1), -EINVAL);
    CU_ASSERT_EQUAL(keep(FM_KEEP_SESSION, 0, pair[0]), -EINVAL);
    CU_ASSERT_EQUAL(keep(FM_KEEP_STATE, 0, pair[1]), -EINVAL);
    CU_ASSERT_EQUAL(keep(FM_KEEP_SESSION, 0, socket(AF_INET, SOCK_DGRAM, 0)), -EINVAL);
    CU_ASSERT_EQUAL(keep(FM_KEEP_SESSION, 0, open("/dev/null", O_RDWR)), -EINVAL);
    CU_ASSERT_EQUAL(keep(FM_KEEP_SESSION, 0, sealed()), -EINVAL);
    CU_ASSERT_EQUAL(keep(FM_KEEP_STATE, 0, open("/dev/null", O_RDWR)), -EINVAL);
    CU_ASSERT_EQUAL(keep(FM_KEEP_STATE, 0, state(F_SEAL_SHRINK)), -EINVAL);
    CU_ASSERT_EQUAL(keep(0, 0, dup(mine)), -EINVAL);
    CU_ASSERT_EQUAL(keep(3, 0, dup(mine)), -EINVAL);
    CU_ASSERT_EQUAL(keep(FM_KEEP_STATE, 0, sealed()), 0);
    CU_ASSERT_EQUAL(keep(FM_KEEP_STATE, 0, sealed()), -EINVAL);
    CU_ASSERT_TRUE(is_open(theirs));
    close(mine);
    CU_ASSERT_FALSE(is_open(theirs)); /* what was refused was closed */
    close(theirs);
    tear_down();
}

static void without_a_clean_end_all_is_closed(void)
{
    int mine, theirs;

    for (int asked = 0; asked < 2; asked++) {
        set_up_ready();
        theirs = connection(&mine);
        CU_ASSERT_EQUAL(keep(FM_KEEP_SESSION, 0, mine), 0);
        if (asked)
            handover_restart(x.f.handover, 0);
        CU_ASSERT_FALSE(handover_speaker_gone(x.f.handover, !asked));
        CU_ASSERT_FALSE(is_open(theirs));
        next_speaker_starts();
        CU_ASSERT_EQUAL(listen_to_fib(), 1);
        close(theirs);
        tear_down();
    }
}

static void a_new_speaker_that_dies_before_it_is_ready_takes_all_with_it(void)
{
    int mine, theirs;

    for (int sent = 0; sent < 2; sent++) {
        set_up_ready();
        theirs = connection(&mine);
        CU_ASSERT_EQUAL(keep(FM_KEEP_SESSION, 0, mine), 0);
        handover_restart(x.f.handover, 0);
        CU_ASSERT_TRUE(handover_speaker_gone(x.f.handover, true));
        if (sent) {
            next_speaker_starts();
            CU_ASSERT_EQUAL_FATAL(listen_to_fib(), 2);
            close(heard[0].fd);
        }
        CU_ASSERT_FALSE(handover_speaker_gone(x.f.handover, true));
        CU_ASSERT_FALSE(is_open(theirs));
        next_speaker_starts();
        CU_ASSERT_EQUAL(listen_to_fib(), 1);
        close(theirs);
        tear_down();
    }
}

/* Those that fit are kept, the others lost; and no count is too high for a speaker that has gone mad. */
static void what_exceeds_the_descriptors_is_lost_alone(void)
{
    struct rlimit before, low;
    int mine, theirs, kept = 0, rc = 0;

    CU_ASSERT_FATAL(!getrlimit(RLIMIT_NOFILE, &before));
    low = before;
    low.rlim_cur = low.rlim_max = 600;
    if (before.rlim_max < 600 || setrlimit(RLIMIT_NOFILE, &low)) {
        unit_skip("not that many descriptors");
        return;
    }
    set_up_ready();
    theirs = connection(&mine);
    for (unsigned i = 0; i < FM_KEEP_MOST && !rc; i++)
        rc = keep(FM_KEEP_SESSION, i, dup(mine));
    CU_ASSERT_EQUAL(rc, 0);
    CU_ASSERT_EQUAL(keep(FM_KEEP_SESSION, 0, dup(mine)), -E2BIG);
    handover_restart(x.f.handover, 0);
    handover_speaker_gone(x.f.handover, true);
    next_speaker_starts();
    for (unsigned n = listen_to_fib(), i = 0; i < n; i++)
        if (heard[i].h.type == FM_KEPT) {
            close(heard[i].fd);
            kept++;
        }
    CU_ASSERT_TRUE(kept > 0 && kept < 88);
    close(mine);
    CU_ASSERT_FALSE(is_open(theirs));
    close(theirs);
    tear_down();
    setrlimit(RLIMIT_NOFILE, &before);
}

/* In the place of fib/bfd_handover.c: a signal comes while the sessions are saved, which does not work. */
static volatile sig_atomic_t signals;
static bool signal_waited;

static void on_signal(int signum)
{
    (void)signum;
    signals++;
}

int bfd_save(struct bfd *b, int fd)
{
    (void)b, (void)fd;
    raise(SIGUSR2);
    signal_waited = !signals;
    return -EIO;
}

int bfd_resume(struct bfd *b)
{
    (void)b;
    return 0;
}

int bfd_restore(struct bfd *b, int fd)
{
    (void)b, (void)fd;
    return 0;
}

/* What the loop has not come to before the exec the new life never hears of. */
static void a_signal_on_the_way_into_the_exec_waits_for_the_new_life(void)
{
    set_up_ready();
    signal(SIGUSR2, on_signal);
    CU_ASSERT_EQUAL(handover_exec(x.f.handover), -EIO);
    CU_ASSERT_TRUE(signal_waited);
    CU_ASSERT_EQUAL(signals, 1); /* or for this one, when nothing comes of it */
    signal(SIGUSR2, SIG_DFL);
    tear_down();
}

static const struct unit_case cases[] = {
    UNIT(what_is_kept_goes_to_the_next_speaker_in_order),
    UNIT(a_speaker_that_stays_after_all_has_its_connections_alone),
    UNIT(what_is_no_session_and_no_state_is_refused),
    UNIT(without_a_clean_end_all_is_closed),
    UNIT(a_new_speaker_that_dies_before_it_is_ready_takes_all_with_it),
    UNIT(what_exceeds_the_descriptors_is_lost_alone),
    UNIT(a_signal_on_the_way_into_the_exec_waits_for_the_new_life),
};
UNIT_MAIN("fib_handover", cases)
