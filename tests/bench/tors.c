/*
 * Two routers at the other end that announce the same table, and are taken away and brought back. Commands on
 * standard input, a line each; each is answered by a line of JSON, with CLOCK_MONOTONIC seconds:
 *
 *     close N    the session with the N-th ends, as when its bgpd dies: nothing is said over BGP, no graceful
 *                restart was offered
 *     open       what is closed is opened again, what the daemon closed is noticed; once all sessions are up
 *                and all announced: "up"
 *
 * With --second-best the second router's paths are longer, so that the first one's are the best ones. The
 * first line names addresses that are spread over the table, from its first to its last prefix.
 */
#include "lib/fibwatch.h"
#include "lib/peer.h"
#include "lib/table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { TORS = 2, BGP_PORT = 179, PLACES = 8, CONNECT_NS = 500000000 };

struct tor {
    struct peer peer;
    struct table table;
    bool wanted, announced;
    int64_t since_ns; /* of the present attempt to connect */
};

struct tors {
    struct tor tor[TORS];
    bool asked; /* to open: an answer is due */
};

static void say(const char *event)
{
    printf("{\"event\": \"%s\", \"at\": %.6f}\n", event, (double)bench_now_ns() / 1e9);
}

static void take_away(struct tor *t)
{
    t->wanted = false;
    t->announced = false;
    peer_close(&t->peer);
    say("closed");
}

/* A session that the daemon has ended is not known to be, where the link was down: a KEEPALIVE finds out. */
static void open_all(struct tors *s)
{
    for (unsigned i = 0; i < TORS; i++) {
        struct tor *t = &s->tor[i];

        t->wanted = true;
        t->peer.keepalive_ns = 0;
    }
    s->asked = true;
}

/* Returns -1 at the end of the input. */
static int read_command(struct tors *s)
{
    char line[64];
    ssize_t got = read(STDIN_FILENO, line, sizeof(line) - 1);

    if (got <= 0)
        return -1;
    line[got] = 0;
    if (!strncmp(line, "open", 4))
        open_all(s);
    else if (!strncmp(line, "close ", 6) && line[6] >= '0' && line[6] < '0' + TORS)
        take_away(&s->tor[line[6] - '0']);
    return 0;
}

/* A lost session is nothing special here: it is opened again, unless it was taken away. */
static void tend(struct tor *t, int64_t now)
{
    struct peer *p = &t->peer;

    if (p->state != PEER_ESTABLISHED)
        t->announced = false;
    if (t->wanted && p->state == PEER_CONNECTING && now - t->since_ns > CONNECT_NS)
        peer_close(p); /* the SYN was lost: the kernel would wait ever longer before the next */
    if (t->wanted && p->state == PEER_DOWN) {
        p->established_ns = 0;
        t->since_ns = now;
    }
    if (t->wanted)
        peer_tick(p, now);
    if (p->state == PEER_ESTABLISHED && !t->announced) {
        t->announced = true;
        peer_send(p, t->table.announce.data, t->table.announce.len);
    }
}

static bool all_announced(const struct tors *s)
{
    for (unsigned i = 0; i < TORS; i++)
        if (!s->tor[i].announced || s->tor[i].peer.out)
            return false;
    return true;
}

static void run(struct tors *s, int epoll)
{
    struct epoll_event input = {.events = EPOLLIN}, ready[TORS + 1];

    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input);
    for (;;) {
        int n;

        for (unsigned i = 0; i < TORS; i++)
            peer_watch(&s->tor[i].peer, epoll);
        n = epoll_wait(epoll, ready, TORS + 1, all_announced(s) ? 500 : 10);
        for (int i = 0; i < n; i++)
            if (ready[i].data.ptr)
                peer_ready(ready[i].data.ptr, ready[i].events);
            else if (read_command(s) < 0)
                return;
        for (unsigned i = 0; i < TORS; i++)
            tend(&s->tor[i], bench_now_ns());
        if (s->asked && all_announced(s)) {
            s->asked = false;
            say("up");
        }
    }
}

static int prepare(struct tors *s, char **specs, uint32_t routes, bool second_best)
{
    int err = 0;

    for (unsigned i = 0; i < TORS && !err; i++) {
        struct peer *p = &s->tor[i].peer;
        struct table_spec spec = {.routes = routes, .seed = 1, .prepend = second_best && i ? 2 : 0};

        err = peer_init(p, "tor", specs[i], BGP_PORT, false);
        spec.asn = p->asn;
        spec.next_hop = ntohl(p->local.sin_addr.s_addr);
        if (!err)
            err = table_build(&s->tor[i].table, &spec);
    }
    return err;
}

static void report_places(const struct table *t)
{
    printf("{\"event\": \"places\", \"addresses\": [");
    for (unsigned i = 0; i < PLACES; i++) {
        struct in_addr a = {.s_addr = htonl(table_place(t, i, PLACES))};

        printf("%s\"%s\"", i ? ", " : "", inet_ntoa(a));
    }
    printf("]}\n");
}

int main(int argc, char **argv)
{
    static const struct option known[] = {{"routes", 1, NULL, 'n'}, {"second-best", 0, NULL, 'b'}, {0}};
    struct tors *s = calloc(1, sizeof(*s));
    int c, err, epoll = epoll_create1(EPOLL_CLOEXEC);
    bool second_best = false;
    uint32_t routes = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!s || epoll < 0)
        return 3;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'n')
            routes = (uint32_t)strtoul(optarg, NULL, 10);
        second_best |= c == 'b';
    }
    if (!routes || argc - optind != TORS) {
        fprintf(stderr, "usage: %s --routes N [--second-best] LOCAL,DAEMON,ASN LOCAL,DAEMON,ASN\n", argv[0]);
        return 2;
    }
    err = prepare(s, argv + optind, routes, second_best);
    if (err) {
        printf("{\"event\": \"failed\", \"error\": \"%s\"}\n", strerror(-err));
    } else {
        report_places(&s->tor[0].table);
        run(s, epoll);
    }
    for (unsigned i = 0; i < TORS; i++)
        table_free(&s->tor[i].table);
    free(s);
    close(epoll);
    return err ? 1 : 0;
}
