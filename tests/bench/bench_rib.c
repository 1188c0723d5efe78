/* What the RIB alone takes: a million IPv4 routes in, out by withdrawal, in again, out by a lost session,
 * with a FIB subscriber, one peer that gets everything and 200 that get what is originated. Prints figures,
 * asserts nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rib/adjout.h"

#define ATTRS      125000
#define ORIGINATED 200 /* peers */

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct bench {
    struct nexthop_table *nexthops;
    struct attr_table *attrs;
    struct rib *rib;
    struct rib_peer *from;
    struct adjout *all, *originated[ORIGINATED];
    struct rib_sub fib;
    const struct attr **attr;
    struct prefix *prefix;
    unsigned n;
    double worst;
};

static void make_attrs(struct bench *b)
{
    b->attr = calloc(ATTRS, sizeof *b->attr);
    for (uint32_t i = 0; i < ATTRS; i++) {
        uint8_t path[] = {
            2, 3, 0, 0, 0xfd, 0xe9, 0, 0, (uint8_t)(i >> 8), (uint8_t)i, 0, 1, (uint8_t)(i >> 16), 7};
        struct attr_build a = {.nexthop = addr_v4(0x0a000001 + i % 2)};
        a.part[PART_AS_PATH] = path;
        a.part_len[PART_AS_PATH] = sizeof path;
        b->attr[i] = attr_intern(b->attrs, &a);
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct ip_addr a = addr_v4(0x0a000001 + i);
        struct fm_nexthop_state s = {.nexthop.af = AF_INET, .flags = FM_NH_REACHABLE};
        memcpy(s.nexthop.addr, a.b, 16);
        nexthop_set_state(b->nexthops, &s);
    }
}

/* Distinct prefixes of /16 to /24 in no particular order. */
static void make_prefixes(struct bench *b)
{
    b->prefix = calloc(b->n, sizeof *b->prefix);
    for (uint32_t i = 0; i < b->n; i++) {
        struct ip_addr a = addr_v4((i * 2654435761u & 0xffffff) << 8);
        b->prefix[i] = prefix_make(&a, 24);
    }
}

static struct adjout *out_new(struct bench *b, unsigned n, enum export_mode mode)
{
    static const bool both[FAM_COUNT] = {true, true};
    struct ip_addr a = addr_v4(0x0b000000 + n);
    struct rib_peer *p = rib_peer_add(b->rib, false, &a, NULL);
    struct adjout *o = adjout_new(b->rib, p, NULL, NULL);
    struct update_export x = {.ebgp = true,
                              .as4 = true,
                              .local_as = 64512,
                              .nexthop = {addr_v4(0x0b0000ff)},
                              .max_len = BGP_MAX_LEN};
    adjout_start(o, &x, mode, both);
    return o;
}

static void report(const struct bench *b, const char *what, double s)
{
    printf("%-34s %8.1f ms %8.2f M/s\n", what, s * 1e3, b->n / s / 1e6);
}

static void insert(struct bench *b)
{
    double t = now_s(), last = t;
    b->worst = 0;
    for (unsigned i = 0; i < b->n; i++) {
        rib_update(b->rib, FAM_IPV4, &b->prefix[i], b->from, 0, b->attr[(i / 8) % ATTRS]);
        if (i % 64 == 0) {
            double at = now_s();
            b->worst = at - last > b->worst ? at - last : b->worst;
            last = at;
        }
    }
    report(b, "insert, decide, mark", now_s() - t);
    printf("%-34s %8.2f ms\n", "  slowest 64 of them", b->worst * 1e3);
}

static void work(struct bench *b, const char *what)
{
    double t = now_s(), last = t, at;
    unsigned steps = 0;
    bool more = true;
    for (b->worst = 0; more; last = at, steps++) {
        more = rib_work(b->rib);
        at = now_s();
        b->worst = at - last > b->worst ? at - last : b->worst;
    }
    report(b, what, now_s() - t);
    printf("%-34s %8.2f ms of %u\n", "  slowest step", b->worst * 1e3, steps);
}

static void drain_adjout(struct bench *b)
{
    static uint8_t buf[65536];
    double t = now_s();
    unsigned long messages = 0, bytes = 0;
    for (bool more = true; more;) {
        struct wire_writer w = wire_writer(buf, sizeof buf);
        messages += adjout_fill(b->all, &w, &more);
        bytes += wire_len(&w);
    }
    report(b, "Adj-RIB-Out drained", now_s() - t);
    printf("%-34s %8lu, %lu bytes\n", "  messages", messages, bytes);
}

static void drain_fib(struct bench *b)
{
    double t = now_s();
    for (uint32_t i; (i = dirty_next(&b->fib.dirty[FAM_IPV4], 0)) != DIRTY_NONE;) {
        uint32_t group;
        dirty_clear(&b->fib.dirty[FAM_IPV4], i);
        int op = rib_fib_desired(b->rib, FAM_IPV4, i, &group);
        rib_fib_sent(b->rib, FAM_IPV4, i, op, group);
        rib_fib_result(b->rib, FAM_IPV4, i, op ? op : FM_ROUTE_DEL, 0);
    }
    report(b, "FIB: desired, sent, result", now_s() - t);
}

static void withdraw(struct bench *b)
{
    double t = now_s();
    for (unsigned i = 0; i < b->n; i++)
        rib_withdraw(b->rib, FAM_IPV4, &b->prefix[i], b->from, 0);
    report(b, "withdraw", now_s() - t);
}

static void memory(const struct bench *b)
{
    struct rib_stats s;
    rib_stats(b->rib, &s);
    uint64_t bits = dirty_memory(&b->fib.dirty[FAM_IPV4]) + adjout_memory(b->all);
    uint64_t few = 0;
    for (unsigned i = 0; i < ORIGINATED; i++)
        few += adjout_memory(b->originated[i]);
    double n = s.prefixes[FAM_IPV4];
    printf("bytes a route: entry %.1f, path %.1f, index %.1f, bits %.2f: %.1f (%u peers of originated: %lu "
           "bytes)\n",
           (double)s.table_bytes / n, (double)s.path_bytes / n, (double)s.index_bytes / n, (double)bits / n,
           (double)(s.table_bytes + s.path_bytes + s.index_bytes + bits) / n, ORIGINATED, few);
}

int main(int argc, char **argv)
{
    struct rib_config c = {.multipath = 16, .as_path_relax = true, .default_local_pref = 100};
    struct bench b = {.n = argc > 1 ? (unsigned)atoi(argv[1]) : 1000000,
                      .nexthops = nexthop_table_new(NULL, NULL)};
    struct ip_addr a = addr_v4(0x0a000001);
    b.attrs = attr_table_new(b.nexthops);
    b.rib = rib_new(&c, NULL, NULL, b.attrs, b.nexthops);
    b.from = rib_peer_add(b.rib, false, &a, NULL);
    b.fib = (struct rib_sub){.family = {true, true}, .forwarding = true};
    make_attrs(&b);
    make_prefixes(&b);
    rib_subscribe(b.rib, &b.fib);
    b.all = out_new(&b, 0, EXPORT_ALL);
    for (unsigned i = 0; i < ORIGINATED; i++)
        b.originated[i] = out_new(&b, i + 1, EXPORT_ORIGINATED);

    insert(&b);
    memory(&b);
    drain_adjout(&b);
    drain_fib(&b);
    withdraw(&b);
    drain_adjout(&b);
    drain_fib(&b);
    insert(&b);
    drain_adjout(&b);
    drain_fib(&b);
    rib_set_config(b.rib, &c);
    work(&b, "decide everything again");
    rib_peer_down(b.rib, b.from);
    work(&b, "session lost: sweep");
    drain_adjout(&b);
    drain_fib(&b);
    return 0;
}
