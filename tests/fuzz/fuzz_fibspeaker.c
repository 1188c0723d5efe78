/* What a speaker that somebody has taken over may send to the privileged parent, over a real channel into the
 * real dispatcher, tables and queues, with a kernel in memory. Opening files and sockets is a fake here: the
 * targets must not do as they are told. The parent says nothing but well-formed messages of its own. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fib/dispatch.h"
#include "fib/internal.h"
#include "fib/links.h"
#include "fib/roles.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_bfd_thread.h"
#include "tests/unit/fakekernel.h"

enum { VALID_START = 1, RAW = 2, MESSAGES = 24 };

static struct fib f;
static struct kernel kernel;
static int far;
static bool gone;

struct roles {
    int unused;
};
static struct roles no_roles;

struct roles *roles_new(struct fib *fib)
{
    (void)fib;
    return &no_roles;
}
void roles_free(struct roles *r)
{
    (void)r;
}
void roles_forget(struct roles *r)
{
    (void)r;
}
int roles_add_path(struct roles *r, const struct fm_path *p)
{
    (void)r;
    return p->role < FM_ROLE_COUNT && memchr(p->path, 0, sizeof p->path) ? 0 : -EINVAL;
}
int roles_add_listen(struct roles *r, const struct fm_listen *l)
{
    (void)r;
    return l->af == AF_INET || l->af == AF_INET6 ? 0 : -EINVAL;
}
bool roles_start(struct roles *r)
{
    (void)r;
    return true;
}
void roles_open(struct roles *r, const struct fm_role *m)
{
    struct fm_fd answer = {.role = m->role, .index = m->index, .error = -ENOENT};
    (void)r;
    fib_tell(&f, FM_FD, &answer, 1);
}
void roles_commit(struct roles *r, const struct fm_role *m)
{
    roles_open(r, m);
}
bool roles_known(const struct roles *r, const struct fm_role *m)
{
    (void)r;
    return m->role < FM_ROLE_COUNT;
}
bool roles_is_written(uint32_t role)
{
    return role == FM_ROLE_STATE || role == FM_ROLE_KUBE_STATE || role == FM_ROLE_CNI;
}
void roles_save(const struct roles *r, FILE *out)
{
    (void)r, (void)out;
}
bool roles_restore(struct roles *r, const char *text)
{
    (void)r, (void)text;
    return false;
}
void roles_remove_control(struct roles *r)
{
    (void)r;
}

static int take(void *arg, const struct fm_header *h, const void *records, int fd)
{
    (void)arg;
    int rc = dispatch_message(f.dispatch, h, records, fd);
    gone |= rc != 0;
    return rc;
}

static void closed(void *arg, const char *why)
{
    (void)arg, (void)why;
    gone = true;
}

/* A step comes once a turn: at the third one all that was woken has had two. No timer, whose ticks are long.
 */
static bool stop(void *arg)
{
    unsigned *steps = arg;
    if (++*steps < 3)
        return true;
    loop_stop(f.loop, 0);
    return false;
}

/* A few turns of the loop, then what the parent has said. */
static void turn(void)
{
    static uint8_t buf[FIBMSG_MAX + 1];
    struct fm_header h;
    unsigned steps = 0;
    struct task *t = task_new(f.loop, stop, &steps);
    task_wake(t);
    loop_run(f.loop);
    task_free(t);
    for (ssize_t n; (n = recv(far, buf, sizeof buf, MSG_DONTWAIT)) > 0;) {
        FUZZ_CHECK((size_t)n >= sizeof h && n <= FIBMSG_MAX);
        memcpy(&h, buf, sizeof h);
        FUZZ_CHECK(h.version == FIBMSG_VERSION && !fm_from_speaker(h.type) &&
                   (size_t)n == sizeof h + h.count * fm_record_size(h.type));
    }
}

static void say(enum fm_type type, const void *records, uint32_t n)
{
    static uint8_t buf[FIBMSG_MAX];
    struct fm_header h = {FIBMSG_VERSION, (uint16_t)type, n};
    size_t size = n * fm_record_size(type);
    memcpy(buf, &h, sizeof h);
    if (size)
        memcpy(buf + sizeof h, records, size);
    send(far, buf, sizeof h + size, MSG_DONTWAIT | MSG_NOSIGNAL);
    turn();
}

static void start(void)
{
    static const struct fm_hello hello = {FIBMSG_VERSION, 1};
    static const struct fm_settings settings = {.flags = FM_SET_INSTALL,
                                                .table = 254,
                                                .metric = 20,
                                                .protocol = 87,
                                                .port = 179,
                                                .log_level = LOG_LVL_ERROR,
                                                .control_gid = (uint32_t)-1};
    static const struct fm_text text = {"fine"};
    static const struct fm_group group = {
        .id = 1, .n_members = 1, .members = {{{.af = AF_INET, .addr = {10, 9, 0, 2}}, 1}}};
    say(FM_HELLO, &hello, 1);
    say(FM_SETTINGS, &settings, 1);
    say(FM_START, NULL, 0);
    say(FM_READY, &text, 1);
    say(FM_GROUP_SET, &group, 1);
    FUZZ_CHECK(!gone && dispatch_is_ready(f.dispatch));
}

/* Type, count and as many records as that takes, zeros where the input ends; or the bytes of the input. */
static void say_next(struct fuzz_in *in, bool raw)
{
    static uint8_t records[FIBMSG_MAX];
    if (raw) {
        struct fuzz_in piece = fuzz_piece(in);
        send(far, piece.p, piece.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        turn();
        return;
    }
    uint8_t type = fuzz_u8(in);
    uint32_t n = fm_record_size(type) ? fuzz_u8(in) % 4 : 0;
    size_t size = n * fm_record_size(type), there = size < in->n ? size : in->n;
    memset(records, 0, size);
    memcpy(records, in->p, there);
    in->p += there;
    in->n -= there;
    say(type, records, n);
}

static void add_link(uint32_t ifindex, uint8_t third)
{
    struct kevent link = {.type = KEVENT_LINK}, addr = {.type = KEVENT_ADDRESS};
    link.u.link = (struct klink){.ifindex = ifindex, .flags = IFF_UP | IFF_LOWER_UP | IFF_RUNNING};
    links_event(f.links, &link);
    addr.u.address =
        (struct kaddress){.ifindex = ifindex, .len = 24, .local = addr_v4(0x0a090001u | third << 8)};
    addr.u.address.subnet = addr.u.address.local;
    links_event(f.links, &addr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fibchan_ops ops = {.message = take, .closed = closed};
    static const struct fib_options options = {0};
    struct fuzz_in in = {data, size};
    int pair[2];
    uint8_t how = fuzz_u8(&in);
    log_init("fuzz", LOG_LVL_ERROR, LOG_FMT_TEXT, LOG_TO_STDERR);
    memset(&kernel, 0, sizeof kernel);
    f = (struct fib){.kernel = &kernel, .loop = loop_new()};
    gone = false;
    FUZZ_CHECK(f.loop && fib_make_modules(&f, &options));
    FUZZ_CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair));
    far = pair[1];
    f.chan = fibchan_new(f.loop, pair[0], &ops, &f);
    add_link(2, 0);
    add_link(3, 1);
    if (how & VALID_START)
        start();
    for (int i = 0; i < MESSAGES && in.n && !gone; i++)
        say_next(&in, how & RAW);
    turn();
    close(far);
    fib_free_modules(&f);
    loop_free(f.loop);
    return 0;
}
