/* Interned attributes: equal is one object, references, ids, derived fields, text. */
#include <stdio.h>

#include "fake_nexthop.h"
#include "hex.h"
#include "rib/attr.h"
#include "unit.h"

static struct nexthop_table *nexthops;
static struct attr_table *table;

static void setup(void)
{
    nexthops = nexthop_table_new(NULL, NULL);
    table = attr_table_new(nexthops);
    CU_ASSERT_FATAL(nexthops && table);
}

static void teardown(void)
{
    attr_table_free(table);
    CU_ASSERT_EQUAL(fake_nexthop_refs(nexthops), 0);
    nexthop_table_free(nexthops);
}

struct parts {
    uint8_t bytes[PART_COUNT][128];
};

static void set_part(struct attr_build *b, struct parts *p, enum attr_part part, const char *text)
{
    b->part_len[part] = (uint16_t)hex(text, p->bytes[part], sizeof p->bytes[part]);
    b->part[part] = p->bytes[part];
}

static const struct attr *from_path(const char *path)
{
    struct parts p;
    struct attr_build b = {0};
    set_part(&b, &p, PART_AS_PATH, path);
    return attr_intern(table, &b);
}

static void equal_contents_are_one_object(void)
{
    setup();
    struct attr_build b = {.nexthop = addr_v4(0x0a000001), .med = 5, .flags = ATTR_HAS_MED};
    const struct attr *one = attr_intern(table, &b), *two = attr_intern(table, &b);
    CU_ASSERT_PTR_EQUAL(one, two);
    CU_ASSERT_EQUAL(one->refs, 2);
    CU_ASSERT_EQUAL(attr_table_count(table), 1);
    CU_ASSERT_EQUAL(fake_nexthop_refs(nexthops), 1);
    CU_ASSERT_PTR_EQUAL(attr_by_id(table, one->id), one);
    b.med = 6;
    const struct attr *three = attr_intern(table, &b);
    CU_ASSERT_PTR_NOT_EQUAL(one, three);
    CU_ASSERT_EQUAL(fake_nexthop_refs(nexthops), 2);
    attr_unref(table, one);
    CU_ASSERT_EQUAL(attr_table_count(table), 2);
    attr_unref(table, two);
    CU_ASSERT_EQUAL(attr_table_count(table), 1);
    attr_unref(table, three);
    CU_ASSERT_EQUAL(attr_table_count(table), 0);
    CU_ASSERT_EQUAL(fake_nexthop_refs(nexthops), 0);
    teardown();
}

static void every_field_makes_a_difference(void)
{
    setup();
    static const struct attr_build builds[] = {
        {.origin = ORIGIN_IGP},
        {.origin = ORIGIN_EGP},
        {.flags = ATTR_ATOMIC_AGGREGATE},
        {.flags = ATTR_HAS_MED},
        {.flags = ATTR_HAS_MED, .med = 1},
        {.flags = ATTR_HAS_LOCAL_PREF, .local_pref = 1},
        {.flags = ATTR_HAS_AGGREGATOR, .aggregator_as = 1},
        {.flags = ATTR_HAS_AGGREGATOR, .aggregator_id = 1},
        {.flags = ATTR_HAS_ORIGINATOR, .originator_id = 1},
        {.nexthop = {.af = AF_INET, .b = {10, 0, 0, 1}}},
        {.nexthop = {.af = AF_INET6, .b = {0xfe, 0x80}}, .nexthop_scope = 1},
        {.nexthop = {.af = AF_INET6, .b = {0xfe, 0x80}}, .nexthop_scope = 2},
        {.part = {[PART_COMMUNITY] = (const uint8_t *)"abcd"}, .part_len = {[PART_COMMUNITY] = 4}},
        {.part = {[PART_CLUSTER] = (const uint8_t *)"abcd"}, .part_len = {[PART_CLUSTER] = 4}},
        {.part = {[PART_OTC] = (const uint8_t *)"abcd"}, .part_len = {[PART_OTC] = 4}},
        {.part = {[PART_COMMUNITY] = (const uint8_t *)"abcd"},
         .part_len = {[PART_COMMUNITY] = 4},
         .partial = PARTIAL_COMMUNITY},
    };
    enum { N = sizeof builds / sizeof *builds };
    const struct attr *got[N];
    for (unsigned i = 0; i < N; i++)
        got[i] = attr_intern(table, &builds[i]);
    CU_ASSERT_EQUAL(attr_table_count(table), N);
    struct attr_build without = {.med = 7, .local_pref = 7, .aggregator_as = 7, .originator_id = 7};
    CU_ASSERT_PTR_EQUAL(attr_intern(table, &without), got[0]); /* values without their flag do not count */
    teardown();
    (void)got;
}

static void lists_are_sorted_and_unique(void)
{
    setup();
    struct parts p;
    struct attr_build b = {0};
    set_part(&b, &p, PART_COMMUNITY, "fde90002 fde90001 fde90002 00010001");
    set_part(&b, &p, PART_LARGE,
             "000000020000000000000000 000000010000000000000000 000000020000000000000000");
    set_part(&b, &p, PART_EXTENDED, "0002fde900000002 0002fde900000001");
    set_part(&b, &p, PART_CLUSTER, "00000002 00000001");
    const struct attr *a = attr_intern(table, &b);
    set_part(&b, &p, PART_COMMUNITY, "00010001 fde90001 fde90002");
    set_part(&b, &p, PART_LARGE, "000000010000000000000000 000000020000000000000000");
    CU_ASSERT_PTR_EQUAL(attr_intern(table, &b), a);
    uint16_t len;
    CU_ASSERT_EQUAL(attr_part(a, PART_COMMUNITY, &len)[1], 1);
    CU_ASSERT_EQUAL(len, 12);
    attr_part(a, PART_LARGE, &len);
    CU_ASSERT_EQUAL(len, 24);
    CU_ASSERT_EQUAL(attr_part(a, PART_CLUSTER, &len)[3], 2); /* the order of clusters has a meaning */
    teardown();
}

static void path_fields_are_derived(void)
{
    static const struct {
        const char *path, *text;
        unsigned len;
        uint32_t neighbor;
        bool confed;
    } rows[] = {
        {"", "", 0, 0, false},
        {"0201 0000fde9", "65001", 1, 65001, false},
        {"0202 0000fde9 0000fc00  0102 0000fc58 0000fc59", "65001 64512 {64600,64601}", 3, 65001, false},
        {"0102 0000fc58 0000fc59", "{64600,64601}", 1, 0, false},
        {"0301 0000fde8 0201 0000fde9", "(65000) 65001", 1, 65001, true},
        {"0402 00000001 00000002", "[1,2]", 0, 0, true},
        {"0201 ffffffff", "4294967295", 1, 4294967295, false},
    };
    setup();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char buf[64];
        const struct attr *a = from_path(rows[i].path);
        CU_ASSERT_EQUAL(attr_format_as_path(a, buf, sizeof buf), (int)strlen(rows[i].text));
        CU_ASSERT_STRING_EQUAL(buf, rows[i].text);
        CU_ASSERT_EQUAL(a->path_len, rows[i].len);
        CU_ASSERT_EQUAL(a->neighbor_as, rows[i].neighbor);
        CU_ASSERT_EQUAL(!!(a->flags & ATTR_PATH_HAS_CONFED), rows[i].confed);
    }
    const struct attr *a = from_path("0203 00000001 00000002 00000001 0102 00000001 00000003");
    CU_ASSERT_EQUAL(attr_path_count_as(a, 1), 3);
    CU_ASSERT_EQUAL(attr_path_count_as(a, 3), 1);
    CU_ASSERT_EQUAL(attr_path_count_as(a, 4), 0);
    teardown();
}

static void communities_read_as_operators_write_them(void)
{
    setup();
    struct parts p;
    struct attr_build b = {0};
    char buf[128];
    set_part(&b, &p, PART_COMMUNITY, "fde80001 ffffff01 ffffff02 ffff0000 ffff029a");
    set_part(&b, &p, PART_LARGE, "0000fde8 00000001 ffffffff");
    set_part(&b, &p, PART_EXTENDED,
             "0002fde800000064 0003fde800000001 01020a0000010005 0202000186a00007 4004fde84b3ebc20 "
             "0605000000000001");
    const struct attr *a = attr_intern(table, &b);
    attr_format_communities(a, buf, sizeof buf);
    CU_ASSERT_STRING_EQUAL(buf, "65000:1 graceful-shutdown blackhole no-export no-advertise");
    attr_format_large(a, buf, sizeof buf);
    CU_ASSERT_STRING_EQUAL(buf, "65000:1:4294967295");
    int n = attr_format_extended(a, buf, sizeof buf);
    CU_ASSERT_STRING_EQUAL(
        buf, "RT:65000:100 SoO:65000:1 RT:10.0.0.1:5 RT:100000:7 0x0605000000000001 LB:65000:12500000");
    set_part(&b, &p, PART_CLUSTER, "0a000001 0a000002");
    set_part(&b, &p, PART_UNKNOWN, "e0 63 0002 abcd c0 80 0000");
    const struct attr *rare = attr_intern(table, &b);
    attr_format_clusters(rare, buf, sizeof buf);
    CU_ASSERT_STRING_EQUAL(buf, "10.0.0.1 10.0.0.2");
    attr_format_carried(rare, buf, sizeof buf);
    CU_ASSERT_STRING_EQUAL(buf, "99:abcd 128:");
    char small[8];
    memset(small, 'x', sizeof small);
    CU_ASSERT_EQUAL(attr_format_extended(a, small, 6), n);
    CU_ASSERT_STRING_EQUAL(small, "RT:65");
    CU_ASSERT_EQUAL(small[6], 'x');
    CU_ASSERT_EQUAL(attr_format_extended(a, NULL, 0), n);
    CU_ASSERT_STRING_EQUAL(origin_name(ORIGIN_INCOMPLETE), "incomplete");
    CU_ASSERT_STRING_EQUAL(origin_name(77), "unknown");
    teardown();
}

static void a_build_from_an_object_interns_to_the_same(void)
{
    setup();
    struct parts p;
    struct attr_build b = {.nexthop = {.af = AF_INET6, .b = {0xfe, 0x80, [15] = 1}},
                           .nexthop_scope = 3,
                           .local_pref = 200,
                           .flags = ATTR_HAS_LOCAL_PREF},
                      back;
    set_part(&b, &p, PART_AS_PATH, "0201 0000fde9");
    set_part(&b, &p, PART_UNKNOWN, "e0 63 0002 abcd");
    set_part(&b, &p, PART_OTC, "0000fde9");
    set_part(&b, &p, PART_COMMUNITY, "ffff0000");
    b.partial = PARTIAL_OTC;
    const struct attr *a = attr_intern(table, &b);
    CU_ASSERT_EQUAL(attr_otc(a), 65001);
    CU_ASSERT_TRUE(a->flags & ATTR_GRACEFUL_SHUTDOWN);
    attr_to_build(table, a, &back);
    CU_ASSERT_EQUAL(back.nexthop_scope, 3);
    CU_ASSERT_PTR_EQUAL(attr_intern(table, &back), a);
    teardown();
}

static const struct attr *numbered(uint32_t i)
{
    struct attr_build b = {.med = i, .flags = ATTR_HAS_MED};
    return attr_intern(table, &b);
}

static void ids_stay_dense_through_churn(void)
{
    enum { N = 5000 };
    static const struct attr *got[N];
    setup();
    for (uint32_t i = 0; i < N; i++)
        got[i] = numbered(i);
    for (uint32_t round = 1; round <= 20; round++)
        for (uint32_t i = round % 3; i < N; i += 3) {
            attr_unref(table, got[i]);
            got[i] = numbered(round * N + i);
        }
    CU_ASSERT_EQUAL(attr_table_count(table), N);
    unsigned lost = 0, wide = 0;
    for (uint32_t i = 0; i < N; i++) {
        wide += got[i]->id > N;
        lost += numbered(got[i]->med) != got[i] || attr_by_id(table, got[i]->id) != got[i];
    }
    CU_ASSERT_EQUAL(lost, 0);
    CU_ASSERT_EQUAL(wide, 0);
    CU_ASSERT_PTR_NULL(attr_by_id(table, 0));
    CU_ASSERT_PTR_NULL(attr_by_id(table, N + 1));
    uint32_t id = got[0]->id;
    attr_unref(table, got[0]);
    attr_unref(table, got[0]);
    CU_ASSERT_PTR_NULL(attr_by_id(table, id));
    teardown();
}

static void an_object_of_four_ases_and_two_communities_is_small(void)
{
    setup();
    struct parts p;
    struct attr_build b = {.nexthop = addr_v4(0x0a000001)};
    set_part(&b, &p, PART_AS_PATH, "0204 00000001 00000002 00000003 00000004");
    uint64_t before = attr_table_memory(table);
    enum { N = 40000 };
    for (uint32_t i = 0; i < N; i++) {
        uint8_t communities[8] = {0, 1, 0, 1, 0, 2, (uint8_t)(i >> 8), (uint8_t)i};
        b.part[PART_COMMUNITY] = communities;
        b.part_len[PART_COMMUNITY] = sizeof communities;
        attr_intern(table, &b);
    }
    CU_ASSERT_EQUAL(attr_table_count(table), N);
    CU_ASSERT((attr_table_memory(table) - before) / N <= 130);
    teardown();
}

static const struct unit_case cases[] = {
    UNIT(equal_contents_are_one_object),
    UNIT(every_field_makes_a_difference),
    UNIT(lists_are_sorted_and_unique),
    UNIT(path_fields_are_derived),
    UNIT(communities_read_as_operators_write_them),
    UNIT(a_build_from_an_object_interns_to_the_same),
    UNIT(ids_stay_dense_through_churn),
    UNIT(an_object_of_four_ases_and_two_communities_is_small),
};
UNIT_MAIN("attr", cases)
