/* NLRI with and without path identifiers (RFC 7911 section 3): what is well formed, what comes out, what
 * fits. */
#include <stdio.h>

#include "hex.h"
#include "unit.h"
#include "wire/nlri.h"
#include "wire/update.h"

static void malformed_lists_are_refused(void)
{
    static const struct {
        const char *hex;
        bool v6, plain, add_path; /* well formed in that reading */
    } rows[] = {
        {"", false, true, true},
        {"00", false, true, false},
        {"18 0a0101", false, true, false},
        {"18 0a01", false, false, false},
        {"21 0a01010101", false, false, true},
        {"00000001 18 0a0101", false, true, true}, /* what it means is for both sides to agree on */
        {"00000001 18 0a01", false, false, false},
        {"00000001", false, false, false},
        {"00000001 18 0a0101 00000002", false, false, false},
        {"00000001 18 0a0101 000002", false, false, false},
        {"00000001 00 00000002 00", false, true, true},
        {"ffffffff 20 c0000201 00000000 08 0a", false, false, true},
        {"00000001 21 0a01010101", false, true, false},
        {"00000001 40 20010db800010002", true, false, true},
        {"00000001 81 20010db800010002000000000000000000", true, true, false},
        {"40 20010db800010002", true, true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t buf[64];
        size_t n = hex(rows[i].hex, buf, sizeof buf);
        enum family f = rows[i].v6 ? FAM_IPV6 : FAM_IPV4;
        if (nlri_check(buf, n, f, false) != rows[i].plain || nlri_check(buf, n, f, true) != rows[i].add_path)
            printf("      %s\n", rows[i].hex);
        CU_ASSERT_EQUAL(nlri_check(buf, n, f, false), rows[i].plain);
        CU_ASSERT_EQUAL(nlri_check(buf, n, f, true), rows[i].add_path);
    }
}

static void identifiers_come_out_as_they_went_in(void)
{
    static const struct {
        uint32_t id;
        const char *prefix;
    } rows[] = {
        {1, "10.0.0.0/8"}, {0, "0.0.0.0/0"}, {0xfffffffe, "192.0.2.1/32"}, {0x01020304, "10.128.0.0/9"}};
    enum { N = sizeof rows / sizeof *rows };
    struct prefix p[N], got;
    uint32_t ids[N], id;
    uint8_t buf[128];
    for (unsigned i = 0; i < N; i++) {
        CU_ASSERT_EQUAL(prefix_parse(rows[i].prefix, true, &p[i]), 0);
        ids[i] = rows[i].id;
    }
    struct wire_writer w = wire_writer(buf, sizeof buf);
    nlri_put(&w, p, ids, N);
    CU_ASSERT_TRUE(nlri_check(buf, wire_len(&w), FAM_IPV4, true));
    struct nlri_span s = {buf, (uint32_t)wire_len(&w)};
    for (unsigned i = 0; i < N; i++) {
        CU_ASSERT_TRUE(nlri_next_path(&s, FAM_IPV4, true, &got, &id));
        CU_ASSERT(id == ids[i] && prefix_equal(&got, &p[i]));
    }
    CU_ASSERT_FALSE(nlri_next_path(&s, FAM_IPV4, true, &got, &id));
    w = wire_writer(buf, sizeof buf);
    nlri_put(&w, p, NULL, N);
    s = (struct nlri_span){buf, (uint32_t)wire_len(&w)};
    CU_ASSERT_TRUE(nlri_next_path(&s, FAM_IPV4, false, &got, &id));
    CU_ASSERT(id == 0 && prefix_equal(&got, &p[0]));
}

static void what_fits_is_what_is_put(void)
{
    struct prefix p[3];
    uint32_t ids[3] = {1, 2, 3};
    size_t bytes;
    for (unsigned i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(prefix_parse("10.1.2.0/24", true, &p[i]), 0);
    for (int add_path = 0; add_path < 2; add_path++)
        for (size_t room = 0; room < 40; room++) {
            size_t one = add_path ? 8 : 4, want = room / one < 3 ? room / one : 3;
            CU_ASSERT_EQUAL(nlri_fit(p, add_path ? ids : NULL, 3, room, &bytes), want);
            CU_ASSERT_EQUAL(bytes, want * one);
        }
}

static const struct unit_case cases[] = {
    UNIT(malformed_lists_are_refused),
    UNIT(identifiers_come_out_as_they_went_in),
    UNIT(what_fits_is_what_is_put),
};
UNIT_MAIN("nlri", cases)
