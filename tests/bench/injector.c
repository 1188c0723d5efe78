/*
 * Feeds a BGP daemon a realistic table at full speed and times what comes of it.
 *
 * One process plays both neighbours, the source of all routes and the sink that the daemon passes them on to,
 * so that both ends of a measurement are read from one clock. It waits until its sessions are up, announces
 * the whole table, notes when the last route has come out at the other end (at the sink, or in the kernel of
 * another network namespace), holds still, takes the table back by withdrawals or by closing the session, and
 * notes when the last route is gone. Each step is one line of JSON on standard output; times are
 * CLOCK_MONOTONIC seconds.
 *
 * It decides nothing about what is a good result: tests/bench/run.py does.
 */
#include "lib/fibwatch.h"
#include "lib/peer.h"
#include "lib/table.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum phase { PHASE_CONNECT, PHASE_SETTLE, PHASE_LOAD, PHASE_HOLD, PHASE_DROP, PHASE_DONE };

static const char *const phase_names[] = {"connect", "settle", "load", "hold", "drop", "done"};

struct options {
    const char *source, *sink, *netns;
    uint16_t port;
    bool listen, close;
    uint32_t routes;
    uint64_t seed;
    int64_t hold_ms, settle_ms, timeout_ms;
};

struct injector {
    struct options opt;
    struct table table;
    struct peer source, sink;
    struct fibwatch fib;
    uint8_t *held; /* what the sink holds, by table_slot() */
    uint32_t held_count;
    uint64_t strays; /* prefixes that nobody announced */
    enum phase phase;
    int64_t phase_ns;
    int signal_fd;
};

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static void enter(struct injector *in, enum phase phase, int64_t now)
{
    in->phase = phase;
    in->phase_ns = now;
}

/* RFC 4271 4.3: a run of prefixes, each a length in bits and as many bytes as that takes. */
static void count_prefixes(struct injector *in, const uint8_t *p, const uint8_t *end, bool announced)
{
    while (p < end) {
        unsigned len = *p++, bytes = (len + 7) / 8;
        uint32_t addr = 0, slot;

        if (bytes > (size_t)(end - p))
            return;
        for (unsigned i = 0; i < bytes && i < 4; i++)
            addr |= (uint32_t)p[i] << (24 - 8 * i);
        p += bytes;
        slot = len && len <= TABLE_MAX_LEN ? table_slot(addr, len) : 0;
        if (!slot || !table_marked(in->table.present, slot))
            in->strays++;
        else if (announced)
            in->held_count += !table_mark(in->held, slot);
        else
            in->held_count -= table_unmark(in->held, slot);
    }
}

static void sink_update(void *arg, const uint8_t *body, size_t len)
{
    const uint8_t *p = body, *end = body + len;
    size_t n;

    if (len < 4)
        return;
    n = (size_t)p[0] << 8 | p[1];
    p += 2;
    if (n + 2 > (size_t)(end - p))
        return;
    count_prefixes(arg, p, p + n, false);
    p += n;
    n = (size_t)p[0] << 8 | p[1];
    p += 2;
    if (n > (size_t)(end - p))
        return;
    count_prefixes(arg, p + n, end, true);
}

/* 1 when all routes are where they should be, or all gone from there. */
static int arrived(struct injector *in, bool present, int64_t now)
{
    if (in->opt.netns)
        return fibwatch_poll(&in->fib, present, now);
    if (in->opt.sink)
        return in->held_count == (present ? in->table.routes : 0);
    return !in->source.out;
}

static bool all_established(const struct injector *in)
{
    return in->source.state == PEER_ESTABLISHED && (!in->opt.sink || in->sink.state == PEER_ESTABLISHED);
}

static void report_established(struct injector *in)
{
    printf("{\"event\": \"established\", \"at\": %.6f}\n", seconds(in->source.established_ns));
}

static void report_loaded(struct injector *in, int64_t now)
{
    printf("{\"event\": \"loaded\", \"at\": %.6f, \"routes\": %u, \"attribute_sets\": %u, \"updates\": %u, "
           "\"bytes\": %zu, "
           "\"first_byte_at\": %.6f, \"write_seconds\": %.6f, \"load_seconds\": %.6f, "
           "\"sink_updates\": %llu, \"sink_bytes\": %llu, \"strays\": %llu}\n",
           seconds(now), in->table.routes, in->table.sets, in->table.announce.messages,
           in->table.announce.len, seconds(in->source.first_write_ns),
           seconds(in->source.last_write_ns - in->source.first_write_ns),
           seconds(now - in->source.first_write_ns), (unsigned long long)in->sink.in_updates,
           (unsigned long long)in->sink.in_bytes, (unsigned long long)in->strays);
}

static void begin_drop(struct injector *in, int64_t now)
{
    fibwatch_turn(&in->fib);
    enter(in, PHASE_DROP, now);
    if (in->opt.close)
        peer_close(&in->source);
    else
        peer_send(&in->source, in->table.withdraw.data, in->table.withdraw.len);
}

static int step_load(struct injector *in, int64_t now)
{
    int done = in->source.out ? 0 : arrived(in, true, now);

    if (done <= 0)
        return done;
    report_loaded(in, now);
    enter(in, PHASE_HOLD, now);
    return 0;
}

static int step_drop(struct injector *in, int64_t now)
{
    int done = in->source.out ? 0 : arrived(in, false, now);

    if (done <= 0)
        return done;
    printf(
        "{\"event\": \"dropped\", \"at\": %.6f, \"how\": \"%s\", \"drop_seconds\": %.6f, \"strays\": %llu}\n",
        seconds(now), in->opt.close ? "close" : "withdraw", seconds(now - in->phase_ns),
        (unsigned long long)in->strays);
    enter(in, PHASE_DONE, now);
    return 0;
}

/* Returns 0 or -errno. */
static int step(struct injector *in, int64_t now)
{
    int err;

    switch (in->phase) {
    case PHASE_CONNECT:
        if (!all_established(in))
            return 0;
        report_established(in);
        enter(in, in->table.routes ? PHASE_SETTLE : PHASE_DONE, now);
        return 0;
    case PHASE_SETTLE:
        if (now - in->phase_ns < in->opt.settle_ms * 1000000)
            return 0;
        err = in->opt.netns ? fibwatch_begin(&in->fib) : 0;
        peer_send(&in->source, in->table.announce.data, in->table.announce.len);
        enter(in, PHASE_LOAD, now);
        return err;
    case PHASE_LOAD:
        return step_load(in, now);
    case PHASE_HOLD:
        if (in->opt.hold_ms >= 0 && now - in->phase_ns >= in->opt.hold_ms * 1000000)
            begin_drop(in, now);
        return 0;
    case PHASE_DROP:
        return step_drop(in, now);
    case PHASE_DONE:
        return 0;
    }
    return 0;
}

static int watch_peer(int epoll, struct peer *p)
{
    struct epoll_event ev = {.events = peer_wants(p), .data.ptr = p};
    int fd = peer_fd(p);

    if (fd < 0)
        return 0;
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &ev) < 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
        return -errno;
    return 0;
}

static int handle_signal(struct injector *in, int64_t now)
{
    struct signalfd_siginfo info;

    if (read(in->signal_fd, &info, sizeof(info)) != sizeof(info))
        return 0;
    if (info.ssi_signo != SIGUSR1)
        return -EINTR;
    if (in->phase == PHASE_HOLD)
        begin_drop(in, now);
    return 0;
}

/* Busy phases poll closely; otherwise the injector sleeps, so as not to disturb a measurement of idleness. */
static int poll_timeout(const struct injector *in)
{
    if (in->opt.netns && (in->phase == PHASE_LOAD || in->phase == PHASE_DROP))
        return in->source.out ? 10 : 2;
    return in->phase == PHASE_HOLD && in->opt.hold_ms < 0 ? 1000 : 5;
}

static bool timed_out(const struct injector *in, int64_t now)
{
    return in->phase != PHASE_HOLD && now - in->phase_ns > in->opt.timeout_ms * 1000000;
}

static int run(struct injector *in, int epoll)
{
    struct epoll_event ev = {.events = EPOLLIN}, ready[4];
    int err = epoll_ctl(epoll, EPOLL_CTL_ADD, in->signal_fd, &ev) < 0 ? -errno : 0;

    enter(in, PHASE_CONNECT, bench_now_ns());
    while (!err && in->phase != PHASE_DONE) {
        int64_t now;
        int n;

        err = watch_peer(epoll, &in->source);
        if (!err && in->opt.sink)
            err = watch_peer(epoll, &in->sink);
        n = err ? 0 : epoll_wait(epoll, ready, 4, poll_timeout(in));
        for (int i = 0; i < n && !err; i++)
            err = ready[i].data.ptr ? peer_ready(ready[i].data.ptr, ready[i].events)
                                    : handle_signal(in, bench_now_ns());
        now = bench_now_ns();
        if (!err && in->phase != PHASE_DROP)
            err = peer_tick(&in->source, now);
        if (!err && in->opt.sink)
            err = peer_tick(&in->sink, now);
        if (!err)
            err = step(in, now);
        if (!err && timed_out(in, now))
            err = -ETIMEDOUT;
    }
    return err;
}

static int usage(const char *name)
{
    fprintf(stderr,
            "usage: %s --source LOCAL,DAEMON,ASN [--sink LOCAL,DAEMON,ASN] [--port N] [--listen]\n"
            "       [--routes N] [--seed N] [--fib NETNS-PATH] [--end withdraw|close] [--hold MS]\n"
            "       [--settle MS] [--timeout SECONDS]\n"
            "Announces N routes (0: only brings the sessions up), waits for them at the sink or in the "
            "kernel of\n"
            "the namespace, holds (--hold -1: until SIGUSR1) and takes them back.\n",
            name);
    return 2;
}

static int parse_options(struct options *o, int argc, char **argv)
{
    static const struct option known[] = {
        {"source", 1, NULL, 's'}, {"sink", 1, NULL, 'k'},    {"port", 1, NULL, 'p'},
        {"listen", 0, NULL, 'l'}, {"routes", 1, NULL, 'n'},  {"seed", 1, NULL, 'S'},
        {"fib", 1, NULL, 'f'},    {"end", 1, NULL, 'e'},     {"hold", 1, NULL, 'h'},
        {"settle", 1, NULL, 't'}, {"timeout", 1, NULL, 'T'}, {0},
    };
    int c;

    *o = (struct options){.port = 179, .seed = 1, .settle_ms = 2000, .timeout_ms = 300000};
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 's':
            o->source = optarg;
            break;
        case 'k':
            o->sink = optarg;
            break;
        case 'p':
            o->port = (uint16_t)atoi(optarg);
            break;
        case 'l':
            o->listen = true;
            break;
        case 'n':
            o->routes = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'S':
            o->seed = strtoull(optarg, NULL, 10);
            break;
        case 'f':
            o->netns = optarg;
            break;
        case 'e':
            o->close = !strcmp(optarg, "close");
            break;
        case 'h':
            o->hold_ms = atoll(optarg);
            break;
        case 't':
            o->settle_ms = atoll(optarg);
            break;
        case 'T':
            o->timeout_ms = atoll(optarg) * 1000;
            break;
        default:
            return -EINVAL;
        }
    }
    return o->source && optind == argc ? 0 : -EINVAL;
}

static int prepare(struct injector *in)
{
    struct options *o = &in->opt;
    sigset_t set;
    int err = peer_init(&in->source, "source", o->source, o->port, o->listen);

    if (!err && o->sink)
        err = peer_init(&in->sink, "sink", o->sink, o->port, o->listen);
    if (!err && o->routes)
        err = table_build(&in->table, o->routes, o->seed, in->source.asn,
                          ntohl(in->source.local.sin_addr.s_addr));
    in->held = table_bitmap_new();
    if (!err && !in->held)
        err = -ENOMEM;
    in->sink.on_update = sink_update;
    in->sink.arg = in;
    if (!err && o->netns && o->routes)
        err = fibwatch_open(&in->fib, o->netns, &in->table);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    in->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (!err)
        err = peer_start(&in->source);
    if (!err && o->sink)
        err = peer_start(&in->sink);
    return err;
}

int main(int argc, char **argv)
{
    struct injector *in = calloc(1, sizeof(*in));
    int epoll = epoll_create1(EPOLL_CLOEXEC), err;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!in || epoll < 0)
        return 3;
    if (parse_options(&in->opt, argc, argv) < 0) {
        free(in);
        return usage(argv[0]);
    }
    in->fib.netlink = in->fib.triestat = -1;
    err = prepare(in);
    if (!err)
        err = run(in, epoll);
    if (err)
        printf("{\"event\": \"failed\", \"phase\": \"%s\", \"error\": \"%s\", \"source\": \"%s\", \"sink\": "
               "\"%s\", "
               "\"at_sink\": %u}\n",
               phase_names[in->phase], strerror(-err), in->source.why, in->sink.why, in->held_count);
    peer_close(&in->source);
    peer_close(&in->sink);
    fibwatch_close(&in->fib);
    table_free(&in->table);
    free(in->held);
    free(in);
    close(epoll);
    return err ? 1 : 0;
}
