/* The speaker's end of the channel: whatever the parent says about links, addresses, next hops and results of
 * routes, over a real channel into a real RIB that has routes of two peers to install. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fibclient.h"
#include "handover.h"
#include "log.h"
#include "loop.h"
#include "speaker_events.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/rib_fixture.h"

enum { RAW = 1, MESSAGES = 24 };

static struct speaker s;
static struct fixture fx;
static int far;
static bool gone;

void speaker_got_fd(struct speaker *sp, enum fm_file_role role, uint32_t index, int fd, int error)
{
    (void)sp, (void)role, (void)index, (void)error;
    if (fd >= 0)
        close(fd);
}
void speaker_links_known(struct speaker *sp, uint32_t kept)
{
    (void)sp, (void)kept;
}
void speaker_addresses_changed(struct speaker *sp)
{
    const struct fib_address *a;
    unsigned n = fibclient_addresses(sp->fib, &a);
    for (unsigned i = 0; i < n; i++)
        fibclient_is_own(sp->fib, &a[i].addr, a[i].ifindex);
    struct ip_addr peer = fx_addr(1);
    fibclient_subnet_of(sp->fib, &peer, 0);
    fibclient_link_by_name(sp->fib, "eth0");
}
void speaker_handover_got(struct speaker *sp, const struct fm_keep *m, int fd)
{
    (void)sp, (void)m;
    if (fd >= 0)
        close(fd);
}
void speaker_restart_asked(struct speaker *sp, uint32_t flags)
{
    (void)sp, (void)flags;
}
void speaker_fib_idle(struct speaker *sp)
{
    (void)sp;
}
void speaker_bfd_state(struct speaker *sp, const struct fm_bfd_state *st)
{
    (void)sp, (void)st;
}
void speaker_reload_asked(struct speaker *sp)
{
    (void)sp;
}
void speaker_stop(struct speaker *sp, bool preserve)
{
    (void)sp, (void)preserve;
}
void speaker_fib_closed(struct speaker *sp, const char *why)
{
    (void)sp, (void)why;
    gone = true;
}

/* A step comes once a turn: at the third one all that was woken has had two. No timer, whose ticks are long.
 */
static bool stop(void *arg)
{
    unsigned *steps = arg;
    if (++*steps < 3)
        return true;
    loop_stop(s.loop, 0);
    return false;
}

static void turn(void)
{
    static uint8_t buf[FIBMSG_MAX + 1];
    unsigned steps = 0;
    struct task *t = task_new(s.loop, stop, &steps);
    task_wake(t);
    loop_run(s.loop);
    task_free(t);
    while (rib_work(s.rib))
        ;
    for (ssize_t n; (n = recv(far, buf, sizeof buf, MSG_DONTWAIT)) > 0;) {
        struct fm_header h;
        memcpy(&h, buf, sizeof h);
        FUZZ_CHECK(n <= FIBMSG_MAX && h.version == FIBMSG_VERSION && fm_from_speaker(h.type) &&
                   (size_t)n == sizeof h + h.count * fm_record_size(h.type));
    }
}

static void hear(enum fm_type type, const void *records, uint32_t n)
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

static void hear_next(struct fuzz_in *in, bool raw)
{
    static uint8_t records[FIBMSG_MAX];
    if (raw) {
        struct fuzz_in piece = fuzz_piece(in);
        send(far, piece.p, piece.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        turn();
        return;
    }
    uint8_t type = fuzz_u8(in);
    uint32_t n = fm_record_size(type) ? fuzz_u8(in) % 6 : 0;
    size_t size = n * fm_record_size(type), there = size < in->n ? size : in->n;
    memset(records, 0, size);
    memcpy(records, in->p, there);
    in->p += there;
    in->n -= there;
    hear(type, records, n);
}

static void routes(void)
{
    for (unsigned i = 1; i <= 2; i++) {
        struct rib_peer *p = fx_peer(&fx, i, false);
        fx_update(&fx, p, "192.0.2.0/24", fx_attr(&fx, i, 1));
        fx_update(&fx, p, "2001:db8::/32", fx_attr(&fx, i, 1));
    }
    fx_originate(&fx, "10.244.0.0/24", ORIGIN_KIND_POD_CIDR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    struct rib_config config = {.multipath = 4, .as_path_relax = true, .default_local_pref = 100};
    int pair[2];
    uint8_t how = fuzz_u8(&in);
    log_init("fuzz", LOG_LVL_ERROR, LOG_FMT_TEXT, LOG_TO_STDERR);
    FUZZ_CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair));
    far = pair[1];
    gone = false;
    s = (struct speaker){.loop = loop_new()};
    FUZZ_CHECK(s.loop && (s.fib = fibclient_new(&s, pair[0])));
    struct nexthop_ops ops = fibclient_nexthop_ops();
    static const struct rib_hooks hooks = {0};
    fx.nexthops = s.nexthops = nexthop_table_new(&ops, s.fib);
    fx.attrs = s.attrs = attr_table_new(s.nexthops);
    fx.rib = s.rib = rib_new(&config, &hooks, NULL, s.attrs, s.nexthops);
    FUZZ_CHECK(s.rib);
    fibclient_attach_rib(s.fib);
    routes();
    turn();
    for (int i = 0; i < MESSAGES && in.n && !gone; i++)
        hear_next(&in, how & RAW);
    turn();
    fibclient_detach(s.fib);
    fx_free(&fx);
    fibclient_free(s.fib);
    loop_free(s.loop);
    close(far);
    return 0;
}
