/* The packet filter of GTSM, in the kernel: who is dropped, from the first packet on, and who is not. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gtsm.h"
#include "transport.h"
#include "unit.h"

#define PATIENCE_MS 3000
#define SILENCE_MS  150 /* of a SYN that is dropped; the first retransmission is after 1 s */

struct ends {
    int listener, client, server;
};

static socklen_t address(int af, const char *text, uint16_t port, struct sockaddr_storage *ss)
{
    struct ip_addr a;
    CU_ASSERT_EQUAL_FATAL(addr_parse(text, &a), 0);
    CU_ASSERT_EQUAL(a.af, af);
    return addr_to_sockaddr(&a, port, 0, ss);
}

static struct gtsm_rule rule(const char *prefix, uint8_t hops)
{
    struct gtsm_rule r = {.hops = hops};
    CU_ASSERT_EQUAL_FATAL(prefix_parse(prefix, true, &r.from), 0);
    return r;
}

static void set_ttl(int fd, int af, int ttl)
{
    if (af == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof ttl);
    else
        setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
}

static struct ends listening(int af, const struct gtsm_rule *rules, unsigned n)
{
    struct ends e = {-1, -1, -1};
    struct sockaddr_storage ss;
    struct sock_fprog p;
    socklen_t len = address(af, af == AF_INET6 ? "::1" : "127.0.0.1", 0, &ss);

    e.listener = socket(af, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(e.listener, (struct sockaddr *)&ss, len), 0);
    CU_ASSERT_EQUAL_FATAL(listen(e.listener, 4), 0);
    CU_ASSERT_EQUAL_FATAL(gtsm_program(af, rules, n, &p), 0);
    CU_ASSERT_EQUAL_FATAL(gtsm_attach(e.listener, &p), 0);
    free(p.filter);
    return e;
}

/* Whether the handshake comes about. */
static bool connects(struct ends *e, int af, const char *from, int ttl)
{
    struct sockaddr_storage to, ss;
    socklen_t len = sizeof to, n = address(af, from, 0, &ss);

    e->client = socket(af, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    set_ttl(e->client, af, ttl);
    CU_ASSERT_EQUAL_FATAL(bind(e->client, (struct sockaddr *)&ss, n), 0);
    getsockname(e->listener, (struct sockaddr *)&to, &len);
    if (connect(e->client, (struct sockaddr *)&to, len))
        CU_ASSERT_EQUAL(errno, EINPROGRESS);
    struct pollfd p = {.fd = e->listener, .events = POLLIN};
    if (poll(&p, 1, SILENCE_MS) == 1)
        e->server = accept4(e->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return e->server >= 0;
}

static void hang_up(struct ends *e)
{
    int *fds[] = {&e->client, &e->server};
    for (int i = 0; i < 2; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

static void expect(struct ends *e, int af, const char *from, int ttl, bool in)
{
    bool got = connects(e, af, from, ttl);
    if (got != in)
        printf("      from %s with TTL %d: %s\n", from, ttl, got ? "in" : "not in");
    CU_ASSERT_EQUAL(got, in);
    hang_up(e);
}

static void a_syn_from_afar_is_dropped(void)
{
    const struct gtsm_rule rules[] = {rule("127.0.0.2/32", 1), rule("fd00::2/128", 1),
                                      rule("127.0.0.3/32", 2)};
    struct ends e = listening(AF_INET, rules, 3);
    expect(&e, AF_INET, "127.0.0.2", 255, true);
    expect(&e, AF_INET, "127.0.0.2", 254, false);
    expect(&e, AF_INET, "127.0.0.2", 64, false);
    expect(&e, AF_INET, "127.0.0.3", 254, true);
    expect(&e, AF_INET, "127.0.0.3", 253, false);
    expect(&e, AF_INET, "127.0.0.4", 1, true); /* nobody's rule */
    close(e.listener);
}

static void ipv6_sources_are_compared_whole(void)
{
    const struct gtsm_rule rules[] = {rule("::2/128", 1), rule("8000::1/128", 1), rule("::1/128", 3)};
    struct ends e = listening(AF_INET6, rules, 3);
    expect(&e, AF_INET6, "::1", 253, true);
    expect(&e, AF_INET6, "::1", 252, false);
    close(e.listener);
    const struct gtsm_rule others[] = {rule("::2/128", 1), rule("8000::1/128", 1), rule("0:0:1::1/128", 1)};
    e = listening(AF_INET6, others, 3);
    expect(&e, AF_INET6, "::1", 64, true);
    close(e.listener);
}

static void ranges_count_in_their_order(void)
{
    const struct gtsm_rule rules[] = {rule("127.1.2.3/32", 0), rule("127.1.2.0/23", 1),
                                      rule("127.0.0.0/10", 5)};
    struct ends e = listening(AF_INET, rules, 3);
    expect(&e, AF_INET, "127.1.2.3", 1, true);
    expect(&e, AF_INET, "127.1.2.4", 254, false);
    expect(&e, AF_INET, "127.1.3.4", 254, false);
    expect(&e, AF_INET, "127.1.4.4", 251, true);
    expect(&e, AF_INET, "127.1.4.4", 250, false);
    expect(&e, AF_INET, "127.64.0.1", 1, true);
    close(e.listener);
    const struct gtsm_rule six[] = {rule("::/97", 1)};
    e = listening(AF_INET6, six, 1);
    expect(&e, AF_INET6, "::1", 254, false);
    expect(&e, AF_INET6, "::1", 255, true);
    close(e.listener);
}

/* What comes before accept() is in the reach of no option of the connection itself. */
static void data_from_afar_is_dropped_before_anybody_accepts(void)
{
    const struct gtsm_rule rules[] = {rule("127.0.0.2/32", 1)};
    struct ends e = listening(AF_INET, rules, 1);
    struct sockaddr_storage to, ss;
    socklen_t len = sizeof to, n = address(AF_INET, "127.0.0.2", 0, &ss);
    char byte;

    e.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    set_ttl(e.client, AF_INET, 255);
    CU_ASSERT_EQUAL_FATAL(bind(e.client, (struct sockaddr *)&ss, n), 0);
    getsockname(e.listener, (struct sockaddr *)&to, &len);
    CU_ASSERT_EQUAL_FATAL(connect(e.client, (struct sockaddr *)&to, len), 0);
    set_ttl(e.client, AF_INET, 64);
    CU_ASSERT_EQUAL(send(e.client, "x", 1, 0), 1);
    e.server = accept4(e.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CU_ASSERT_TRUE_FATAL(e.server >= 0);
    CU_ASSERT_EQUAL(recv(e.server, &byte, 1, 0), -1);
    CU_ASSERT_EQUAL(errno, EAGAIN);
    set_ttl(e.client, AF_INET, 255); /* the retransmission comes from near */
    struct pollfd p = {.fd = e.server, .events = POLLIN};
    CU_ASSERT_EQUAL(poll(&p, 1, PATIENCE_MS), 1);
    CU_ASSERT_EQUAL(recv(e.server, &byte, 1, 0), 1);
    hang_up(&e);
    close(e.listener);
}

/* Where the kernel keeps filters to the privileged. */
static void a_kept_syn_tells_where_it_came_from(void)
{
    static const struct {
        int af, ttl;
        uint8_t hops;
        int want;
    } rows[] = {{AF_INET, 255, 1, 0},  {AF_INET, 254, 1, -EHOSTUNREACH},  {AF_INET, 253, 3, 0},
                {AF_INET6, 255, 1, 0}, {AF_INET6, 64, 1, -EHOSTUNREACH},  {AF_INET6, 64, 192, 0},
                {AF_INET, 1, 0, 0},    {AF_INET6, 63, 192, -EHOSTUNREACH}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ends e = listening(rows[i].af, NULL, 0);
        struct transport_options o = {.gtsm_hops = rows[i].hops, .check_syn = true};
        CU_ASSERT_EQUAL(transport_save_syn(e.listener), 0);
        CU_ASSERT_TRUE(connects(&e, rows[i].af, rows[i].af == AF_INET6 ? "::1" : "127.0.0.2", rows[i].ttl));
        int r = transport_accepted(e.server, &o);
        if (r != rows[i].want)
            printf("      row %zu: %d\n", i, r);
        CU_ASSERT_EQUAL(r, rows[i].want);
        hang_up(&e);
        close(e.listener);
    }
}

static void a_syn_that_was_not_kept_is_not_trusted(void)
{
    struct ends e = listening(AF_INET, NULL, 0);
    struct transport_options o = {.gtsm_hops = 1, .check_syn = true};
    CU_ASSERT_TRUE(connects(&e, AF_INET, "127.0.0.2", 255));
    CU_ASSERT_EQUAL(transport_accepted(e.server, &o), -EHOSTUNREACH);
    hang_up(&e);
    close(e.listener);
}

static void no_rule_takes_the_filter_away(void)
{
    const struct gtsm_rule rules[] = {rule("127.0.0.2/32", 1)};
    struct ends e = listening(AF_INET, rules, 1);
    struct sock_fprog none;
    expect(&e, AF_INET, "127.0.0.2", 64, false);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(gtsm_program(AF_INET, rules, 0, &none), 0);
        CU_ASSERT_EQUAL(gtsm_attach(e.listener, &none), 0);
    }
    expect(&e, AF_INET, "127.0.0.2", 64, true);
    close(e.listener);
}

static void what_is_too_much_for_the_kernel_is_said(void)
{
    unsigned n = 5000;
    struct gtsm_rule *many = calloc(n, sizeof *many);
    struct sock_fprog p;
    for (unsigned i = 0; i < n; i++)
        many[i] = (struct gtsm_rule){.from = {.addr = addr_v4(0x0a000000 + i), .len = 32}, .hops = 1};
    CU_ASSERT_EQUAL(gtsm_program(AF_INET, many, n, &p), -E2BIG);
    CU_ASSERT_EQUAL(gtsm_program(AF_INET6, many, n, &p), 0);
    CU_ASSERT_PTR_NULL(p.filter);
    CU_ASSERT_EQUAL_FATAL(gtsm_program(AF_INET, many, 64, &p), 0); /* well within what any node has */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL(gtsm_attach(fd, &p), 0);
    close(fd);
    free(p.filter);
    free(many);
}

static const struct unit_case cases[] = {
    UNIT(a_syn_from_afar_is_dropped),          UNIT(ipv6_sources_are_compared_whole),
    UNIT(ranges_count_in_their_order),         UNIT(data_from_afar_is_dropped_before_anybody_accepts),
    UNIT(a_kept_syn_tells_where_it_came_from), UNIT(a_syn_that_was_not_kept_is_not_trusted),
    UNIT(no_rule_takes_the_filter_away),       UNIT(what_is_too_much_for_the_kernel_is_said),
};
UNIT_MAIN("gtsm", cases)
