/*
 * Feeds a BGP daemon a realistic table at full speed and times what comes of it.
 *
 * One process plays all neighbours, the sources of the routes and the sink that the daemon passes them on to,
 * so that both ends of a measurement are read from one clock. Several sources announce the same table (ECMP),
 * or with --split a table of their own each. It waits until its sessions are up, announces everything, notes
 * when the last route has come out at the other end (at the sink, or in the kernel of another network
 * namespace), holds still, takes the table back by withdrawals or by closing the session, and notes when the
 * last route is gone. Each step is one line of JSON on standard output; times are CLOCK_MONOTONIC seconds.
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

enum { SOURCES_MAX = 512, SOCKETS_MAX = SOURCES_MAX + 16 };

struct options {
    const char *source[SOURCES_MAX], *sink, *netns;
    unsigned sources;
    uint16_t port;
    bool listen, close, split;
    uint32_t routes; /* of each source */
    uint64_t seed;
    int64_t hold_ms, settle_ms, timeout_ms;
};

struct injector {
    struct options opt;
    struct table *tables; /* one for each source */
    struct peer *sources, sink;
    unsigned started;  /* sources that were begun */
    uint32_t distinct; /* prefixes that all sources have together */
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
        if (!slot || !table_marked(in->tables[0].present, slot))
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

static bool all_written(const struct injector *in)
{
    for (unsigned i = 0; i < in->opt.sources; i++)
        if (in->sources[i].out)
            return false;
    return true;
}

/* 1 when all routes are where they should be, or all gone from there. */
static int arrived(struct injector *in, bool present, int64_t now)
{
    if (!all_written(in))
        return 0;
    if (in->opt.netns)
        return fibwatch_poll(&in->fib, present, now);
    if (in->opt.sink)
        return in->held_count == (present ? in->distinct : 0);
    return 1;
}

static bool all_established(const struct injector *in)
{
    for (unsigned i = 0; i < in->opt.sources; i++)
        if (in->sources[i].state != PEER_ESTABLISHED)
            return false;
    return !in->opt.sink || in->sink.state == PEER_ESTABLISHED;
}

static void report_established(const struct injector *in)
{
    printf("{\"event\": \"established\", \"at\": %.6f}\n", seconds(in->sources[0].established_ns));
}

static void report_loaded(const struct injector *in, int64_t now)
{
    int64_t first = INT64_MAX, last = 0;

    for (unsigned i = 0; i < in->opt.sources; i++) {
        first = in->sources[i].first_write_ns < first ? in->sources[i].first_write_ns : first;
        last = in->sources[i].last_write_ns > last ? in->sources[i].last_write_ns : last;
    }
    printf("{\"event\": \"loaded\", \"at\": %.6f, \"routes\": %u, \"attribute_sets\": %u, \"updates\": %u, "
           "\"bytes\": %zu, \"write_seconds\": %.6f, \"load_seconds\": %.6f, \"sink_updates\": %llu, "
           "\"sink_bytes\": %llu, \"strays\": %llu}\n",
           seconds(now), in->distinct, in->tables[0].sets, in->tables[0].announce.messages,
           in->tables[0].announce.len, seconds(last - first), seconds(now - first),
           (unsigned long long)in->sink.in_updates, (unsigned long long)in->sink.in_bytes,
           (unsigned long long)in->strays);
}

static void begin_load(struct injector *in, int64_t now)
{
    for (unsigned i = 0; i < in->opt.sources; i++)
        peer_send(&in->sources[i], in->tables[i].announce.data, in->tables[i].announce.len);
    enter(in, PHASE_LOAD, now);
}

static void begin_drop(struct injector *in, int64_t now)
{
    fibwatch_turn(&in->fib);
    enter(in, PHASE_DROP, now);
    for (unsigned i = 0; i < in->opt.sources; i++)
        if (in->opt.close)
            peer_close(&in->sources[i]);
        else
            peer_send(&in->sources[i], in->tables[i].withdraw.data, in->tables[i].withdraw.len);
}

static int step_load(struct injector *in, int64_t now)
{
    int done = arrived(in, true, now);

    if (done <= 0)
        return done;
    report_loaded(in, now);
    enter(in, PHASE_HOLD, now);
    return 0;
}

static int step_drop(struct injector *in, int64_t now)
{
    int done = arrived(in, false, now);

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
        enter(in, in->opt.routes ? PHASE_SETTLE : PHASE_DONE, now);
        return 0;
    case PHASE_SETTLE:
        if (now - in->phase_ns < in->opt.settle_ms * 1000000)
            return 0;
        err = in->opt.netns ? fibwatch_begin(&in->fib) : 0;
        begin_load(in, now);
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
        return all_written(in) ? 2 : 10;
    return in->phase == PHASE_HOLD && in->opt.hold_ms < 0 ? 1000 : 5;
}

static bool timed_out(const struct injector *in, int64_t now)
{
    return in->phase != PHASE_HOLD && now - in->phase_ns > in->opt.timeout_ms * 1000000;
}

static int watch_all(struct injector *in, int epoll)
{
    int err = 0;

    for (unsigned i = 0; i < in->started && !err; i++)
        err = peer_watch(&in->sources[i], epoll);
    return !err && in->opt.sink ? peer_watch(&in->sink, epoll) : err;
}

/* One after the other: a daemon's queue of connections it has yet to accept is short, and a SYN that finds it
 * full is sent again after a second at the earliest. */
static int start_sources(struct injector *in)
{
    int err = 0;

    while (!err && in->started < in->opt.sources &&
           (in->opt.listen || !in->started || in->sources[in->started - 1].state == PEER_ESTABLISHED))
        err = peer_start(&in->sources[in->started++]);
    return err;
}

static int tick_all(struct injector *in, int64_t now)
{
    int err = start_sources(in);

    for (unsigned i = 0; i < in->started && !err; i++)
        err = peer_tick(&in->sources[i], now);
    return !err && in->opt.sink ? peer_tick(&in->sink, now) : err;
}

/* A session that is lost before all are up is opened again: FRR still reads its configuration while it
 * accepts. */
static int handle_ready(struct injector *in, struct peer *p, uint32_t events)
{
    int err = peer_ready(p, events);

    if (err != -ECONNRESET || in->phase != PHASE_CONNECT)
        return err;
    p->established_ns = 0;
    return 0;
}

static int run(struct injector *in, int epoll)
{
    struct epoll_event ev = {.events = EPOLLIN}, ready[SOCKETS_MAX];
    int err = epoll_ctl(epoll, EPOLL_CTL_ADD, in->signal_fd, &ev) < 0 ? -errno : 0;

    enter(in, PHASE_CONNECT, bench_now_ns());
    while (!err && in->phase != PHASE_DONE) {
        int64_t now;
        int n;

        err = watch_all(in, epoll);
        n = err ? 0 : epoll_wait(epoll, ready, SOCKETS_MAX, poll_timeout(in));
        for (int i = 0; i < n && !err; i++)
            err = ready[i].data.ptr ? handle_ready(in, ready[i].data.ptr, ready[i].events)
                                    : handle_signal(in, bench_now_ns());
        now = bench_now_ns();
        if (!err)
            err = tick_all(in, now);
        if (!err)
            err = step(in, now);
        if (!err && timed_out(in, now))
            err = -ETIMEDOUT;
    }
    return err;
}

static int usage(const char *name)
{
    fprintf(
        stderr,
        "usage: %s --source LOCAL,DAEMON,ASN... [--split] [--sink LOCAL,DAEMON,ASN] [--port N] [--listen]\n"
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
        {"source", 1, NULL, 's'},
        {"sink", 1, NULL, 'k'},
        {"port", 1, NULL, 'p'},
        {"listen", 0, NULL, 'l'},
        {"routes", 1, NULL, 'n'},
        {"seed", 1, NULL, 'S'},
        {"fib", 1, NULL, 'f'},
        {"end", 1, NULL, 'e'},
        {"hold", 1, NULL, 'h'},
        {"settle", 1, NULL, 't'},
        {"timeout", 1, NULL, 'T'},
        {"split", 0, NULL, 'm'},
        {0},
    };
    int c;

    *o = (struct options){.port = 179, .seed = 1, .settle_ms = 2000, .timeout_ms = 300000};
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 's':
            if (o->sources == SOURCES_MAX)
                return -ERANGE;
            o->source[o->sources++] = optarg;
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
        case 'm':
            o->split = true;
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
    return o->sources && optind == argc ? 0 : -EINVAL;
}

static int build_tables(struct injector *in)
{
    const struct options *o = &in->opt;
    int err = 0;

    for (unsigned i = 0; i < o->sources && o->routes && !err; i++) {
        struct table_spec spec = {.routes = o->routes,
                                  .seed = o->seed + (o->split ? i : 0),
                                  .asn = in->sources[i].asn,
                                  .next_hop = ntohl(in->sources[i].local.sin_addr.s_addr),
                                  .beside = o->split && i ? &in->tables[0] : NULL};

        err = table_build(&in->tables[i], &spec);
    }
    in->distinct = o->routes * (o->split ? o->sources : 1);
    in->held = table_bitmap_new();
    return err || in->held ? err : -ENOMEM;
}

static int block_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int prepare(struct injector *in)
{
    const struct options *o = &in->opt;
    int err = 0;

    in->sources = calloc(o->sources, sizeof(*in->sources));
    in->tables = calloc(o->sources, sizeof(*in->tables));
    if (!in->sources || !in->tables)
        return -ENOMEM;
    for (unsigned i = 0; i < o->sources && !err; i++)
        err = peer_init(&in->sources[i], "source", o->source[i], o->port, o->listen);
    if (!err && o->sink)
        err = peer_init(&in->sink, "sink", o->sink, o->port, o->listen);
    in->sink.on_update = sink_update;
    in->sink.arg = in;
    if (!err)
        err = build_tables(in);
    if (!err && o->netns && o->routes)
        err = fibwatch_open(&in->fib, o->netns, &in->tables[0], o->split ? 1 : o->sources);
    in->signal_fd = block_signals();
    return !err && o->sink ? peer_start(&in->sink) : err;
}

static void clean_up(struct injector *in)
{
    if (in->opt.sink)
        peer_close(&in->sink);
    fibwatch_close(&in->fib);
    for (unsigned i = in->opt.sources; i-- > 0;) { /* the first one's bitmap is the others' too */
        if (in->sources)
            peer_close(&in->sources[i]);
        if (in->tables)
            table_free(&in->tables[i]);
    }
    free(in->sources);
    free(in->tables);
    free(in->held);
    free(in);
}

/* Why any of the sources went down. */
static const char *source_why(const struct injector *in)
{
    for (unsigned i = 0; in->sources && i < in->opt.sources; i++)
        if (in->sources[i].why[0])
            return in->sources[i].why;
    return "";
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
               "\"%s\", \"at_sink\": %u}\n",
               phase_names[in->phase], strerror(-err), source_why(in), in->sink.why, in->held_count);
    clean_up(in);
    close(epoll);
    return err ? 1 : 0;
}
