#include <errno.h>
#include <string.h>

#include "lib/community.h"
#include "unit.h"

static void every_spelling_has_its_value(void)
{
    static const struct {
        const char *text;
        int kind;
        uint32_t v[3];
        const char *printed;
    } cases[] = {
        {"0:0", 1, {0}, "0:0"},
        {"65000:100", 1, {65000u << 16 | 100}, "65000:100"},
        {"65535:65281", 1, {0xffffff01}, "no-export"},
        {"no-advertise", 1, {0xffffff02}, "no-advertise"},
        {"graceful-shutdown", 1, {0xffff0000}, "graceful-shutdown"},
        {"65535:0", 1, {0xffff0000}, "graceful-shutdown"},
        {"accept-own", 1, {0xffff0001}, "accept-own"},
        {"llgr-stale", 1, {0xffff0006}, "llgr-stale"},
        {"no-llgr", 1, {0xffff0007}, "no-llgr"},
        {"blackhole", 1, {0xffff029a}, "blackhole"},
        {"local-AS", 1, {0xffffff03}, "local-AS"},
        {"no-export-subconfed", 1, {0xffffff03}, "local-AS"},
        {"no-peer", 1, {0xffffff04}, "no-peer"},
        {"65000:1:2", 3, {65000, 1, 2}, "65000:1:2"},
        {"4294967295:4294967295:4294967295",
         3,
         {UINT32_MAX, UINT32_MAX, UINT32_MAX},
         "4294967295:4294967295:4294967295"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t standard = 0, large[3] = {0};
        char buf[COMMUNITY_STRLEN];
        CU_ASSERT_EQUAL(community_parse(cases[i].text, &standard, large), cases[i].kind);
        if (cases[i].kind == 1) {
            CU_ASSERT_EQUAL(standard, cases[i].v[0]);
            CU_ASSERT_STRING_EQUAL(community_format(standard, buf), cases[i].printed);
        } else {
            CU_ASSERT_EQUAL(memcmp(large, cases[i].v, sizeof large), 0);
            CU_ASSERT_STRING_EQUAL(community_format_large(large, buf), cases[i].printed);
        }
    }
}

static void malformed_communities_are_refused(void)
{
    static const struct {
        const char *text;
        int err;
    } cases[] = {
        {"", -EINVAL},
        {"1", -EINVAL},
        {":", -EINVAL},
        {"1:", -EINVAL},
        {"1::2", -EINVAL},
        {"1:2:3:", -EINVAL},
        {"1:2:3:4", -EINVAL},
        {"-1:2", -EINVAL},
        {"1:2 ", -EINVAL},
        {"0x1:2", -EINVAL},
        {"NO-EXPORT", -EINVAL},
        {"65536:1", -ERANGE},
        {"1:65536", -ERANGE},
        {"1:2:4294967296", -ERANGE},
        {"99999999999999999999999:1", -ERANGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t standard, large[3];
        CU_ASSERT_EQUAL(community_parse(cases[i].text, &standard, large), cases[i].err);
    }
}

static const struct unit_case cases[] = {
    UNIT(every_spelling_has_its_value),
    UNIT(malformed_communities_are_refused),
};
UNIT_MAIN("community", cases)
