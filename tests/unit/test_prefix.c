#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "prefix.h"
#include "unit.h"

static struct ip_addr addr(const char *text)
{
    struct ip_addr a = {0};
    CU_ASSERT_EQUAL_FATAL(addr_parse(text, &a), 0);
    return a;
}

static struct prefix prefix(const char *text)
{
    struct prefix p = {0};
    CU_ASSERT_EQUAL_FATAL(prefix_parse(text, true, &p), 0);
    return p;
}

static void addresses_keep_their_text(void)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"0.0.0.0", "0.0.0.0"},
        {"10.0.1.255", "10.0.1.255"},
        {"::", "::"},
        {"::1", "::1"},
        {"2001:DB8::0:1", "2001:db8::1"},
        {"fd00:0:0:1:0:0:0:1", "fd00:0:0:1::1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, /* RFC 5952 4.2.2: one group is not shortened */
    };
    char buf[ADDR_STRLEN];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ip_addr a = addr(cases[i].in);
        CU_ASSERT_STRING_EQUAL(addr_format(&a, buf), cases[i].out);
    }
    CU_ASSERT_STRING_EQUAL(addr_format(&(struct ip_addr){0}, buf), "-");
}

static void malformed_addresses_are_refused(void)
{
    static const char *const bad[] = {
        "",         "1",          "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4",   " 1.2.3.4",
        "1.2.3.4 ", "fe80::1%lo", ":::",   "1::2::3",   "12345::",   "1.2.3.4:80", "g::"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ip_addr a = {.af = 99};
        CU_ASSERT_EQUAL(addr_parse(bad[i], &a), -EINVAL);
        CU_ASSERT_EQUAL(a.af, 99);
    }
}

static void prefixes_say_what_is_wrong(void)
{
    static const struct {
        const char *text;
        int err;
        const char *out;
    } cases[] = {
        {"10.0.0.0/8", 0, "10.0.0.0/8"},
        {"0.0.0.0/0", 0, "0.0.0.0/0"},
        {"::/0", 0, "::/0"},
        {"fd00:10:244:7::/64", 0, "fd00:10:244:7::/64"},
        {"192.0.2.1", 0, "192.0.2.1/32"},
        {"2001:db8::1", 0, "2001:db8::1/128"},
        {"10.244.7.1/24", -EADDRNOTAVAIL, "10.244.7.0/24"},
        {"10.255.255.255/9", -EADDRNOTAVAIL, "10.128.0.0/9"},
        {"2001:db8::1/127", -EADDRNOTAVAIL, "2001:db8::/127"},
        {"10.0.0.0/33", -ERANGE, NULL},
        {"::/129", -ERANGE, NULL},
        {"10.0.0.0/4294967304", -ERANGE, NULL},
        {"10.0.0.0/", -EINVAL, NULL},
        {"10.0.0.0/08", -EINVAL, NULL},
        {"10.0.0.0/-1", -EINVAL, NULL},
        {"10.0.0.0/8 ", -EINVAL, NULL},
        {"10.0.0/8", -EINVAL, NULL},
        {"/8", -EINVAL, NULL},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb/8", -EINVAL, NULL},
    };
    char buf[PREFIX_STRLEN];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct prefix p;
        CU_ASSERT_EQUAL(prefix_parse(cases[i].text, true, &p), cases[i].err);
        if (cases[i].out)
            CU_ASSERT_STRING_EQUAL(prefix_format(&p, buf), cases[i].out);
    }
    struct prefix p;
    CU_ASSERT_EQUAL(prefix_parse("192.0.2.1", false, &p), -EINVAL);
}

static void longest_texts_fit(void)
{
    char buf[PREFIX_STRLEN];
    struct prefix p = prefix("1111:2222:3333:4444:5555:6666:7777:8888/128");
    CU_ASSERT_STRING_EQUAL(prefix_format(&p, buf), "1111:2222:3333:4444:5555:6666:7777:8888/128");
    p = prefix("255.255.255.255/32");
    CU_ASSERT_STRING_EQUAL(prefix_format(&p, buf), "255.255.255.255/32");
}

static void containment(void)
{
    static const struct {
        const char *outer, *inner;
        bool yes;
    } cases[] = {
        {"10.0.0.0/8", "10.0.0.0/8", true},
        {"10.0.0.0/8", "10.255.0.0/16", true},
        {"10.0.0.0/8", "11.0.0.0/16", false},
        {"10.0.0.0/16", "10.0.0.0/8", false},
        {"0.0.0.0/0", "192.0.2.1/32", true},
        {"0.0.0.0/0", "::/0", false},
        {"10.128.0.0/9", "10.127.0.0/16", false},
        {"2001:db8::/33", "2001:db8:8000::/48", false},
        {"2001:db8::/33", "2001:db8:7fff::/48", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct prefix o = prefix(cases[i].outer), in = prefix(cases[i].inner);
        CU_ASSERT_EQUAL(prefix_contains(&o, &in), cases[i].yes);
    }
}

static void martians_are_exactly_the_listed_ones(void)
{
    static const struct {
        const char *p;
        bool yes;
    } cases[] = {
        {"0.0.0.0/8", true},      {"0.1.0.0/16", true},   {"127.0.0.1/32", true},
        {"169.254.0.0/16", true}, {"224.0.0.5/32", true}, {"255.255.255.255/32", true},
        {"::/128", true},         {"::1/128", true},      {"fe80::1/128", true},
        {"febf::/16", true},      {"ff02::/16", true},    {"0.0.0.0/0", false},
        {"::/0", false},          {"0.0.0.0/7", false},   {"192.0.2.0/24", false},
        {"2001:db8::/32", false}, {"126.0.0.0/7", false}, {"::/127", false},
        {"::2/128", false},       {"fec0::/16", false},   {"169.255.0.0/16", false},
        {"10.0.0.0/8", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct prefix p = prefix(cases[i].p);
        CU_ASSERT_EQUAL(prefix_is_martian(&p), cases[i].yes);
    }
}

static void address_classes(void)
{
    static const struct {
        const char *a;
        bool unspecified, multicast, loopback, link_local;
    } cases[] = {
        {"0.0.0.0", 1, 0, 0, 0},   {"::", 1, 0, 0, 0},          {"239.1.1.1", 0, 1, 0, 0},
        {"240.0.0.1", 0, 0, 0, 0}, {"ff02::1", 0, 1, 0, 0},     {"127.9.9.9", 0, 0, 1, 0},
        {"::1", 0, 0, 1, 0},       {"169.254.1.1", 0, 0, 0, 1}, {"fe80::1", 0, 0, 0, 1},
        {"febf::1", 0, 0, 0, 1},   {"fec0::1", 0, 0, 0, 0},     {"10.0.0.1", 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ip_addr a = addr(cases[i].a);
        CU_ASSERT_EQUAL(addr_is_unspecified(&a), cases[i].unspecified);
        CU_ASSERT_EQUAL(addr_is_multicast(&a), cases[i].multicast);
        CU_ASSERT_EQUAL(addr_is_loopback(&a), cases[i].loopback);
        CU_ASSERT_EQUAL(addr_is_link_local(&a), cases[i].link_local);
    }
}

static void order_is_family_address_length(void)
{
    static const char *const up[] = {"0.0.0.0/0",    "9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/9",
                                     "10.128.0.0/9", "::/0",      "::1/128",    "fd00::/8"};
    size_t n = sizeof up / sizeof *up;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            struct prefix a = prefix(up[i]), b = prefix(up[j]);
            int c = prefix_cmp(&a, &b);
            CU_ASSERT_EQUAL((c > 0) - (c < 0), (i > j) - (i < j));
            CU_ASSERT_EQUAL(prefix_equal(&a, &b), i == j);
        }
    }
}

static void sockaddr_and_back(void)
{
    struct sockaddr_storage ss;
    struct ip_addr out;
    uint16_t port;
    uint32_t scope;
    struct ip_addr a = addr("10.0.1.1");
    CU_ASSERT_EQUAL(addr_to_sockaddr(&a, 179, 7, &ss), sizeof(struct sockaddr_in));
    CU_ASSERT_EQUAL(addr_from_sockaddr((struct sockaddr *)&ss, &out, &port, &scope), 0);
    CU_ASSERT(addr_equal(&a, &out) && port == 179 && scope == 0);

    a = addr("fe80::1");
    CU_ASSERT_EQUAL(addr_to_sockaddr(&a, 1179, 7, &ss), sizeof(struct sockaddr_in6));
    CU_ASSERT_EQUAL(addr_from_sockaddr((struct sockaddr *)&ss, &out, &port, &scope), 0);
    CU_ASSERT(addr_equal(&a, &out) && port == 1179 && scope == 7);

    a = addr("fd00::1");
    addr_to_sockaddr(&a, 179, 7, &ss);
    CU_ASSERT_EQUAL(((struct sockaddr_in6 *)&ss)->sin6_scope_id, 0);

    struct ip_addr mapped = addr("::ffff:10.0.1.1"), v4 = addr("10.0.1.1");
    addr_to_sockaddr(&mapped, 179, 0, &ss);
    CU_ASSERT_EQUAL(addr_from_sockaddr((struct sockaddr *)&ss, &out, NULL, NULL), 0);
    CU_ASSERT(addr_equal(&out, &v4));

    ss.ss_family = AF_UNIX;
    CU_ASSERT_EQUAL(addr_from_sockaddr((struct sockaddr *)&ss, &out, NULL, NULL), -EAFNOSUPPORT);
}

static void hashes_spread_over_a_small_table(void)
{
    /* 64k consecutive /24s into 64k buckets: a random function leaves 1/e of them empty, and none with more
     * than ~10. */
    uint8_t *hits = calloc(65536, 1);
    unsigned empty = 0, most = 0;
    for (uint32_t i = 0; i < 65536; i++) {
        struct ip_addr a = addr_v4(0x0a000000 + (i << 8));
        struct prefix p = prefix_make(&a, 24);
        hits[hash_bytes(&p, sizeof p, 1) & 0xffff]++;
    }
    for (unsigned i = 0; i < 65536; i++) {
        empty += hits[i] == 0;
        most = hits[i] > most ? hits[i] : most;
    }
    free(hits);
    CU_ASSERT(empty > 23000 && empty < 25300);
    CU_ASSERT(most < 12);
    CU_ASSERT_NOT_EQUAL(hash_bytes("abc", 3, 1), hash_bytes("abc", 3, 2));
    CU_ASSERT_NOT_EQUAL(hash_bytes("abc\0", 4, 1), hash_bytes("abc", 3, 1));
}

static const struct unit_case cases[] = {
    UNIT(addresses_keep_their_text),
    UNIT(malformed_addresses_are_refused),
    UNIT(prefixes_say_what_is_wrong),
    UNIT(longest_texts_fit),
    UNIT(containment),
    UNIT(martians_are_exactly_the_listed_ones),
    UNIT(address_classes),
    UNIT(order_is_family_address_length),
    UNIT(sockaddr_and_back),
    UNIT(hashes_spread_over_a_small_table),
};
UNIT_MAIN("prefix", cases)
