/*
 * How long does it take until all neighbours have what a node advertises? Plays any number of neighbours that
 * only receive, and notes when the last of them has so many distinct host routes, for each number asked for.
 * One line of JSON for each event; times are CLOCK_MONOTONIC seconds.
 *
 *     receivers --base 10.200.0.0 --expect 100 --expect 1100 LOCAL,DAEMON,ASN...
 */
#include "lib/fibwatch.h"
#include "lib/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { HOSTS = 1 << 16, EXPECT_MAX = 8, PEERS_MAX = 512, BGP_PORT = 179 };

struct receiver {
    struct peer peer;
    uint32_t base; /* host order; routes to it and the HOSTS addresses after it count */
    uint32_t count;
    uint8_t held[HOSTS / 8];
};

static void count_prefixes(struct receiver *r, const uint8_t *p, const uint8_t *end, bool announced)
{
    while (p < end) {
        unsigned len = *p++, bytes = (len + 7) / 8;
        uint32_t addr = 0, host;
        uint8_t bit;

        if (bytes > (size_t)(end - p))
            return;
        memcpy(&addr, p, bytes < 4 ? bytes : 4);
        p += bytes;
        host = ntohl(addr) - r->base;
        if (len != 32 || host >= HOSTS)
            continue;
        bit = (uint8_t)(1u << (host & 7));
        if (announced)
            r->count += !(r->held[host >> 3] & bit);
        else
            r->count -= !!(r->held[host >> 3] & bit);
        r->held[host >> 3] = announced ? r->held[host >> 3] | bit : r->held[host >> 3] & (uint8_t)~bit;
    }
}

/* RFC 4271 4.3. IPv4 in its own fields, which is what all daemons do on a session over IPv4. */
static void on_update(void *arg, const uint8_t *body, size_t len)
{
    size_t gone, attrs;

    if (len < 4)
        return;
    gone = (size_t)body[0] << 8 | body[1];
    if (gone + 4 > len)
        return;
    attrs = (size_t)body[2 + gone] << 8 | body[3 + gone];
    if (gone + attrs + 4 > len)
        return;
    count_prefixes(arg, body + 2, body + 2 + gone, false);
    count_prefixes(arg, body + 4 + gone + attrs, body + len, true);
}

static bool all_up(const struct receiver *r, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (r[i].peer.state != PEER_ESTABLISHED)
            return false;
    return true;
}

static bool all_have(const struct receiver *r, unsigned n, uint32_t count)
{
    for (unsigned i = 0; i < n; i++)
        if (r[i].count < count)
            return false;
    return true;
}

static void report_established(const struct receiver *r, unsigned n)
{
    int64_t first = INT64_MAX, last = 0;

    for (unsigned i = 0; i < n; i++) {
        first = r[i].peer.established_ns < first ? r[i].peer.established_ns : first;
        last = r[i].peer.established_ns > last ? r[i].peer.established_ns : last;
    }
    printf("{\"event\": \"established\", \"first\": %.6f, \"last\": %.6f}\n", (double)first / 1e9,
           (double)last / 1e9);
}

/* One after the other: a daemon's queue of connections that it has yet to accept is short. */
static int tick_all(struct receiver *r, unsigned n, unsigned *started)
{
    int err = 0;

    if (*started < n && (!*started || r[*started - 1].peer.state == PEER_ESTABLISHED))
        err = peer_start(&r[(*started)++].peer);
    for (unsigned i = 0; i < *started && !err; i++)
        err = peer_tick(&r[i].peer, bench_now_ns());
    return err;
}

static int run(struct receiver *r, unsigned n, int epoll, const uint32_t *expect, unsigned n_expect)
{
    struct epoll_event ready[PEERS_MAX];
    unsigned reached = 0, started = 0;
    bool up = false;
    int err = 0;

    while (!err && reached < n_expect) {
        int events;

        for (unsigned i = 0; i < started && !err; i++)
            err = peer_watch(&r[i].peer, epoll);
        events = err ? 0 : epoll_wait(epoll, ready, PEERS_MAX, 5);
        for (int i = 0; i < events && !err; i++) {
            struct peer *p = ready[i].data.ptr;

            err = peer_ready(p, ready[i].events);
            if (err == -ECONNRESET && !up) { /* FRR still reads its configuration while it accepts */
                p->established_ns = 0;
                err = 0;
            }
        }
        if (!err)
            err = tick_all(r, n, &started);
        if (!up && all_up(r, n)) {
            report_established(r, n);
            up = true;
        }
        for (; up && reached < n_expect && all_have(r, n, expect[reached]); reached++)
            printf("{\"event\": \"reached\", \"count\": %u, \"at\": %.6f}\n", expect[reached],
                   (double)bench_now_ns() / 1e9);
    }
    return err;
}

static int usage(const char *name)
{
    fprintf(stderr, "usage: %s --base ADDRESS --expect COUNT... LOCAL,DAEMON,ASN...\n", name);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {{"base", 1, NULL, 'b'}, {"expect", 1, NULL, 'e'}, {0}};
    struct in_addr base = {0};
    uint32_t expect[EXPECT_MAX];
    unsigned n_expect = 0, n;
    struct receiver *r;
    int c, err = 0, epoll = epoll_create1(EPOLL_CLOEXEC);

    setvbuf(stdout, NULL, _IOLBF, 0);
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'b' && inet_pton(AF_INET, optarg, &base) == 1)
            continue;
        if (c != 'e' || n_expect == EXPECT_MAX)
            return usage(argv[0]);
        expect[n_expect++] = (uint32_t)strtoul(optarg, NULL, 10);
    }
    n = (unsigned)(argc - optind);
    if (!n || n > PEERS_MAX || !n_expect)
        return usage(argv[0]);
    r = calloc(n, sizeof(*r));
    if (!r || epoll < 0)
        return 3;
    for (unsigned i = 0; i < n && !err; i++) {
        err = peer_init(&r[i].peer, "receiver", argv[optind + (int)i], BGP_PORT, false);
        r[i].base = ntohl(base.s_addr);
        r[i].peer.on_update = on_update;
        r[i].peer.arg = &r[i];
    }
    if (!err)
        err = run(r, n, epoll, expect, n_expect);
    if (err)
        printf("{\"event\": \"failed\", \"error\": \"%s\"}\n", strerror(-err));
    free(r);
    close(epoll);
    return err ? 1 : 0;
}
