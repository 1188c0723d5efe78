/* Link bandwidth: what of the network's floats counts, and what weights come of them. */
#include "unit.h"

#include <string.h>

#include "rib/attr.h"
#include "rib/nexthop.h"

static struct attr_table *table;

static const struct attr *with(const uint8_t *extended, size_t len)
{
    struct attr_build b = {.part[PART_EXTENDED] = extended, .part_len[PART_EXTENDED] = (uint16_t)len};
    const struct attr *a = attr_intern(table, &b);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    return a;
}

static void only_floats_that_mean_something_count(void)
{
    static const struct {
        uint8_t community[8];
        float bandwidth;
    } rows[] = {
        {{0x40, 4, 0xfc, 0, 0x4b, 0x3e, 0xbc, 0x20}, 12500000}, /* 100 Mbit/s */
        {{0x00, 4, 0xfc, 0, 0x4b, 0x3e, 0xbc, 0x20}, 12500000}, /* transitive */
        {{0x40, 4, 0, 0, 0x00, 0x00, 0x00, 0x01}, 0x1p-149f},
        {{0x40, 4, 0, 0, 0x7f, 0x7f, 0xff, 0xff}, 0x1.fffffep127f},
        {{0x40, 4, 0, 0, 0x7f, 0x80, 0x00, 0x00}, 0}, /* infinite */
        {{0x40, 4, 0, 0, 0xff, 0x80, 0x00, 0x00}, 0},
        {{0x40, 4, 0, 0, 0x7f, 0xc0, 0x00, 0x00}, 0}, /* not a number */
        {{0x40, 4, 0, 0, 0x7f, 0x80, 0x00, 0x01}, 0},
        {{0x40, 4, 0, 0, 0xcb, 0x3e, 0xbc, 0x20}, 0}, /* negative */
        {{0x40, 4, 0, 0, 0x00, 0x00, 0x00, 0x00}, 0},
        {{0x40, 4, 0, 0, 0x80, 0x00, 0x00, 0x00}, 0},
        {{0x41, 4, 0, 0, 0x4b, 0x3e, 0xbc, 0x20}, 0}, /* of an address: another one */
        {{0x80, 4, 0, 0, 0x4b, 0x3e, 0xbc, 0x20}, 0},
        {{0x40, 2, 0, 0, 0x4b, 0x3e, 0xbc, 0x20}, 0},
    };
    table = attr_table_new(NULL);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct attr *a = with(rows[i].community, 8);
        CU_ASSERT_EQUAL(attr_bandwidth(a), rows[i].bandwidth);
        CU_ASSERT_EQUAL(!(a->flags & ATTR_HAS_BANDWIDTH), rows[i].bandwidth == 0);
    }
    /* One that means nothing does not hide one that does. */
    uint8_t two[16];
    memcpy(two, rows[4].community, 8);
    memcpy(two + 8, rows[0].community, 8);
    CU_ASSERT_EQUAL(attr_bandwidth(with(two, 16)), 12500000);
    attr_table_free(table);
}

static void a_weight_replaces_the_one_there(void)
{
    static const uint8_t there[] = {0x00, 0x02, 0xfc, 0, 0, 0, 0, 7, /* a route target, which stays */
                                    0x00, 0x04, 0xfc, 0, 0, 0, 0, 1, /* a bandwidth */
                                    0x40, 0x04, 0xfc, 0, 0, 0, 0, 2};
    uint8_t out[sizeof there + 8];
    table = attr_table_new(NULL);
    CU_ASSERT_EQUAL(attr_put_weight(there, sizeof there, 64512, 100, out), 16);
    const struct attr *a = with(out, 16);
    CU_ASSERT_EQUAL(attr_weight(a), 100);
    CU_ASSERT_EQUAL(memcmp(out, there, 8), 0);
    CU_ASSERT_EQUAL(attr_put_weight(out, 16, 64512, 0, out), 8);
    for (uint32_t w = 1; w <= ATTR_WEIGHT_MOST; w += w < 1000 ? 1 : 997) { /* what is written is read again */
        CU_ASSERT_EQUAL_FATAL(attr_put_weight(NULL, 0, 64512, w, out), 8);
        a = with(out, 8);
        CU_ASSERT_EQUAL_FATAL(attr_weight(a), w);
        attr_unref(table, a);
    }
    const uint8_t greatest[8] = {0x40, 4, 0, 0, 0x7f, 0x7f, 0xff, 0xff};
    CU_ASSERT_EQUAL(attr_weight(with(greatest, 8)), ATTR_WEIGHT_MOST);
    attr_table_free(table);
}

static void weights_are_small_numbers_in_the_same_relation(void)
{
    static const struct {
        unsigned n;
        float bandwidth[4];
        uint8_t weight[4];
    } rows[] = {
        {2, {12500000, 37500000}, {1, 3}},
        {2, {37500000, 12500000}, {3, 1}},
        {2, {1000, 1000}, {1, 1}},
        {2, {1000, 990}, {1, 1}}, /* a little change makes no other group */
        {2, {1010, 1000}, {1, 1}},
        {3, {2500, 1000, 500}, {5, 2, 1}},
        {4, {100, 10, 25, 40}, {20, 2, 5, 8}},
        {2, {100, 1}, {99, 1}}, /* within 2 in a hundred */
        {2, {1e9f, 1}, {250, 1}},
        {2, {0x1.fffffep127f, 0x1p-149f}, {250, 1}},
        {1, {5}, {1}},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t weight[4] = {0};
        bandwidth_to_weights(rows[i].bandwidth, rows[i].n, weight);
        CU_ASSERT_EQUAL(memcmp(weight, rows[i].weight, sizeof weight), 0);
        if (memcmp(weight, rows[i].weight, sizeof weight))
            fprintf(stderr, "      row %u: %u %u %u %u\n", i, weight[0], weight[1], weight[2], weight[3]);
    }
}

static void any_bandwidths_become_weights(void)
{
    float bandwidth[ATTR_WEIGHTS_MAX];
    uint8_t weight[ATTR_WEIGHTS_MAX];
    uint32_t x = 1;
    for (unsigned turn = 0; turn < 2000; turn++) {
        unsigned n = 1 + turn % ATTR_WEIGHTS_MAX, most = 0;
        float greatest = 0;
        for (unsigned i = 0; i < n; i++) {
            x = x * 1664525u + 1013904223u;
            uint32_t raw = x >> 1;
            memcpy(&bandwidth[i], &raw, sizeof raw);
            if (!(bandwidth[i] > 0 && bandwidth[i] <= 0x1.fffffep127f))
                bandwidth[i] = (float)(x % 1000 + 1);
            greatest = bandwidth[i] > greatest ? bandwidth[i] : greatest;
        }
        bandwidth_to_weights(bandwidth, n, weight);
        for (unsigned i = 0; i < n; i++)
            most = weight[i] > most ? weight[i] : most;
        for (unsigned i = 0; i < n; i++) {
            CU_ASSERT_FATAL(weight[i] >= 1);
            float exact = bandwidth[i] / greatest * (float)most; /* rounded, and 1 at least */
            CU_ASSERT_FATAL(weight[i] == 1 ? exact < 1.51f
                                           : weight[i] - exact < 0.51f && exact - weight[i] < 0.51f);
        }
    }
}

static const struct unit_case cases[] = {
    UNIT(only_floats_that_mean_something_count),
    UNIT(a_weight_replaces_the_one_there),
    UNIT(weights_are_small_numbers_in_the_same_relation),
    UNIT(any_bandwidths_become_weights),
};
UNIT_MAIN("attr_bandwidth", cases)
