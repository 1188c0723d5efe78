/* The border to the speaker: what it may say, when, and with which values. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_bfd_thread.h"
#include "fakekernel.h"
#include "fib/dispatch.h"
#include "fib/internal.h"
#include "unit.h"

struct fixture {
    struct fib f;
    struct kernel k;
};
static struct fixture x;

static void set_up(void)
{
    static const struct fib_options options = {0};

    memset(&x, 0, sizeof x);
    x.f.kernel = &x.k;
    x.f.loop = loop_new();
    log_init("fib", LOG_LVL_ERROR, LOG_FMT_TEXT, LOG_TO_STDERR);
    CU_ASSERT_FATAL(fib_make_modules(&x.f, &options));
}

static void tear_down(void)
{
    fib_free_modules(&x.f);
    loop_free(x.f.loop);
}

static int say(enum fm_type type, const void *records, uint32_t n)
{
    struct fm_header h = {FIBMSG_VERSION, (uint16_t)type, n};
    return dispatch_message(x.f.dispatch, &h, records ? records : "", -1);
}

static const struct fm_hello hello = {FIBMSG_VERSION, 1};
static const struct fm_settings settings = {.flags = FM_SET_INSTALL,
                                            .table = 254,
                                            .metric = 20,
                                            .protocol = 87,
                                            .port = 179,
                                            .control_gid = (uint32_t)-1};
static const struct fm_text text = {"fine"};
static const struct fm_nexthop nh4 = {.af = AF_INET, .addr = {10, 9, 0, 2}};
static const struct fm_nexthop nh6 = {.af = AF_INET6, .addr = {0xfd, 0x09, [15] = 2}};

static void start(void)
{
    struct fm_path state = {.role = FM_ROLE_STATE, .path = "/nonexistent/state"};
    struct fm_group g = {.id = 1, .n_members = 1, .members = {{nh4, 1}}};

    CU_ASSERT_EQUAL(say(FM_HELLO, &hello, 1), 0);
    CU_ASSERT_EQUAL(say(FM_SETTINGS, &settings, 1), 0);
    CU_ASSERT_EQUAL(say(FM_PATH, &state, 1), 0);
    CU_ASSERT_EQUAL(say(FM_START, NULL, 0), 0);
    CU_ASSERT_EQUAL(say(FM_READY, &text, 1), 0);
    CU_ASSERT_EQUAL(say(FM_GROUP_SET, &g, 1), 0);
    CU_ASSERT_TRUE(dispatch_is_ready(x.f.dispatch));
}

static void the_order_of_a_start_is_kept(void)
{
    set_up();
    CU_ASSERT_NOT_EQUAL(say(FM_SETTINGS, &settings, 1), 0);
    CU_ASSERT_NOT_EQUAL(say(FM_START, NULL, 0), 0);
    CU_ASSERT_NOT_EQUAL(say(FM_READY, &text, 1), 0);
    CU_ASSERT_NOT_EQUAL(say(FM_NEXTHOP_WATCH, &nh4, 1), 0);
    start();
    struct fm_path late = {.role = FM_ROLE_KEY, .path = "/etc/shadow"};
    struct fm_listen listen_late = {.af = AF_INET};
    CU_ASSERT_NOT_EQUAL(say(FM_PATH, &late, 1), 0);
    CU_ASSERT_NOT_EQUAL(say(FM_LISTEN, &listen_late, 1), 0);
    CU_ASSERT_NOT_EQUAL(say(FM_SETTINGS, &settings, 1), 0);
    CU_ASSERT_NOT_EQUAL(say(FM_HELLO, &hello, 1), 0);
    CU_ASSERT_NOT_EQUAL(say(FM_START, NULL, 0), 0);
    CU_ASSERT_NOT_EQUAL(say(FM_STOPPED, NULL, 0), 0);
    CU_ASSERT_EQUAL(say(FM_HEARTBEAT, NULL, 0), 0);
    tear_down();
}

static void what_only_the_parent_says_is_refused(void)
{
    static const enum fm_type types[] = {
        FM_FD,     FM_LINK, FM_ADDRESS, FM_SYNC_DONE, FM_NEXTHOP_STATE, FM_ROUTE_RESULTS, FM_STOP,
        FM_RELOAD, 0,       63,         999};
    static uint8_t zeros[256];

    set_up();
    start();
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        CU_ASSERT_NOT_EQUAL(say(types[i], zeros, fm_record_size(types[i]) ? 1 : 0), 0);
    tear_down();
}

static void settings_out_of_range_are_refused(void)
{
    struct fm_settings bad[9];

    for (size_t i = 0; i < 9; i++)
        bad[i] = settings;
    bad[0].protocol = 0;
    bad[1].protocol = 256;
    bad[2].protocol = 186;
    bad[3].table = 0;
    bad[4].port = 65536;
    bad[5].flags = 0x80;
    bad[6].log_level = LOG_LVL_COUNT;
    bad[7].log_format = 9;
    bad[8].log_target = 9;
    for (size_t i = 0; i < 9; i++) {
        set_up();
        CU_ASSERT_EQUAL(say(FM_HELLO, &hello, 1), 0);
        CU_ASSERT_NOT_EQUAL(say(FM_SETTINGS, &bad[i], 1), 0);
        CU_ASSERT_FALSE(x.f.configured);
        tear_down();
    }
}

static void malformed_routes_are_refused(void)
{
    static const struct {
        const char *what;
        struct fm_route r;
    } table[] = {
        {"no operation", {.op = 0, .af = AF_INET, .len = 8, .group = 1, .addr = {10}}},
        {"unknown operation", {.op = 6, .af = AF_INET, .len = 32, .addr = {10}}},
        {"no family", {.op = FM_ROUTE_SET, .af = 0, .len = 8, .group = 1, .addr = {10}}},
        {"other family", {.op = FM_ROUTE_SET, .af = AF_UNIX, .len = 8, .group = 1, .addr = {10}}},
        {"IPv4 length", {.op = FM_ROUTE_SET, .af = AF_INET, .len = 33, .group = 1, .addr = {10}}},
        {"IPv6 length", {.op = FM_ROUTE_DEL, .af = AF_INET6, .len = 129, .addr = {0xfd}}},
        {"IPv4 with a long address", {.op = FM_ROUTE_DEL, .af = AF_INET, .len = 8, .addr = {10, [15] = 1}}},
        {"host bits", {.op = FM_ROUTE_SET, .af = AF_INET, .len = 8, .group = 1, .addr = {10, 1}}},
        {"IPv6 host bits", {.op = FM_ROUTE_DEL, .af = AF_INET6, .len = 64, .addr = {0xfd, [15] = 1}}},
        {"loopback", {.op = FM_ROUTE_SET, .af = AF_INET, .len = 8, .group = 1, .addr = {127}}},
        {"multicast", {.op = FM_ROUTE_SET, .af = AF_INET6, .len = 8, .group = 1, .addr = {0xff}}},
        {"link-local", {.op = FM_ROUTE_SET, .af = AF_INET6, .len = 64, .group = 1, .addr = {0xfe, 0x80}}},
        {"no group", {.op = FM_ROUTE_SET, .af = AF_INET, .len = 8, .group = 0, .addr = {10}}},
        {"unknown group", {.op = FM_ROUTE_SET, .af = AF_INET, .len = 8, .group = 2, .addr = {10}}},
        {"group out of range",
         {.op = FM_ROUTE_SET, .af = AF_INET, .len = 8, .group = 0xFFFFFFFF, .addr = {10}}},
        {"delete with a group", {.op = FM_ROUTE_DEL, .af = AF_INET, .len = 8, .group = 1, .addr = {10}}},
        {"unreachable with a group",
         {.op = FM_ROUTE_UNREACHABLE, .af = AF_INET, .len = 8, .group = 1, .addr = {10}}},
        {"blackhole over a group",
         {.op = FM_ROUTE_BLACKHOLE, .af = AF_INET, .len = 32, .group = 1, .addr = {10, 0, 0, 1}}},
        {"blackhole for many", {.op = FM_ROUTE_BLACKHOLE, .af = AF_INET, .len = 31, .addr = {10}}},
        {"blackhole for many of IPv6",
         {.op = FM_ROUTE_BLACKHOLE, .af = AF_INET6, .len = 127, .addr = {0xfd}}},
        {"reserved byte", {.op = FM_ROUTE_DEL, .af = AF_INET, .len = 8, .reserved = 1, .addr = {10}}},
    };

    set_up();
    start();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int rc = say(FM_ROUTES, &table[i].r, 1);
        if (!rc)
            printf("      accepted: %s\n", table[i].what);
        CU_ASSERT_NOT_EQUAL(rc, 0);
    }
    struct fm_route good[2] = {{.op = FM_ROUTE_SET, .af = AF_INET, .len = 8, .group = 1, .addr = {10}},
                               {.op = FM_ROUTE_SET, .af = AF_INET, .len = 0, .group = 1}};
    CU_ASSERT_EQUAL(say(FM_ROUTES, good, 2), 0);
    good[1].len = 40;
    CU_ASSERT_NOT_EQUAL(say(FM_ROUTES, good, 2), 0);
    tear_down();
}

static void malformed_next_hops_are_refused(void)
{
    static const struct {
        const char *what;
        struct fm_nexthop nh;
    } table[] = {
        {"no family", {.addr = {10, 9, 0, 2}}},
        {"unspecified", {.af = AF_INET}},
        {"multicast", {.af = AF_INET, .addr = {224, 0, 0, 5}}},
        {"loopback", {.af = AF_INET6, .addr = {[15] = 1}}},
        {"long IPv4", {.af = AF_INET, .addr = {10, 9, 0, 2, 1}}},
        {"link-local without scope", {.af = AF_INET6, .addr = {0xfe, 0x80, [15] = 1}}},
        {"global with scope", {.af = AF_INET6, .scope = 2, .addr = {0xfd, [15] = 1}}},
        {"IPv4 with scope", {.af = AF_INET, .scope = 2, .addr = {10, 9, 0, 2}}},
        {"reserved byte", {.af = AF_INET, .reserved = {1}, .addr = {10, 9, 0, 2}}},
    };

    set_up();
    start();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct fm_group g = {.id = 7, .n_members = 1, .members = {{table[i].nh, 1}}};
        if (!say(FM_NEXTHOP_WATCH, &table[i].nh, 1))
            printf("      accepted: %s\n", table[i].what);
        CU_ASSERT_NOT_EQUAL(say(FM_NEXTHOP_WATCH, &table[i].nh, 1), 0);
        CU_ASSERT_NOT_EQUAL(say(FM_NEXTHOP_UNWATCH, &table[i].nh, 1), 0);
        CU_ASSERT_NOT_EQUAL(say(FM_GROUP_SET, &g, 1), 0);
    }
    CU_ASSERT_EQUAL(say(FM_NEXTHOP_WATCH, &nh6, 1), 0);
    CU_ASSERT_EQUAL(say(FM_NEXTHOP_UNWATCH, &nh6, 1), 0);
    CU_ASSERT_EQUAL(say(FM_NEXTHOP_UNWATCH, &nh6, 1), 0);
    tear_down();
}

static void malformed_groups_are_refused(void)
{
    const struct fm_group good = {.id = 3, .n_members = 2, .members = {{nh4, 1}, {nh4, 2}}};
    struct fm_group g[10];

    set_up();
    start();
    for (size_t i = 0; i < 10; i++) {
        g[i] = good;
        g[i].members[1].nexthop.addr[3] = 3;
    }
    CU_ASSERT_EQUAL(say(FM_GROUP_SET, &g[0], 1), 0);
    g[1].members[1].nexthop = nh6; /* IPv4 routes may go over both */
    CU_ASSERT_EQUAL(say(FM_GROUP_SET, &g[1], 1), 0);
    g[1].id = 0;
    g[2].id = 0xFFFFF;
    g[3].n_members = 0;
    g[4].n_members = FM_GROUP_MEMBERS + 1;
    g[5].n_backups = 1;
    g[6].members[1].weight = 0;
    g[7].members[1].weight = 256;
    g[8].members[1].nexthop.scope = 3; /* of an IPv4 address */
    g[9].members[1].nexthop = nh4;
    for (size_t i = 1; i < 10; i++)
        CU_ASSERT_NOT_EQUAL(say(FM_GROUP_SET, &g[i], 1), 0);
    CU_ASSERT_NOT_EQUAL(say(FM_GROUP_DEL, &(struct fm_group_id){4}, 1), 0);
    CU_ASSERT_NOT_EQUAL(say(FM_GROUP_DEL, &(struct fm_group_id){0xFFFFFFFF}, 1), 0);
    CU_ASSERT_EQUAL(say(FM_GROUP_DEL, &(struct fm_group_id){3}, 1), 0);
    CU_ASSERT_NOT_EQUAL(say(FM_GROUP_DEL, &(struct fm_group_id){3}, 1), 0);
    tear_down();
}

static void only_settled_roles_are_opened(void)
{
    static const struct fm_role bad[] = {{FM_ROLE_KEY, 0},       {FM_ROLE_CONFIG, 0}, {FM_ROLE_CONTROL, 0},
                                         {FM_ROLE_LISTEN, 0},    {FM_ROLE_STATE, 2},  {FM_ROLE_COUNT, 0},
                                         {0xFFFFFFFF, 0},        {FM_ROLE_CNI, 0},    {FM_ROLE_CNI, 1},
                                         {FM_ROLE_KUBE_STATE, 1}};
    static const struct fm_role not_written[] = {
        {FM_ROLE_KEY, 0}, {FM_ROLE_RA, 0}, {FM_ROLE_COUNT, 0}, {FM_ROLE_CNI, 1}, {0xFFFFFFFF, 1}};

    set_up();
    start();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_NOT_EQUAL(say(FM_OPEN, &bad[i], 1), 0);
    for (size_t i = 0; i < sizeof not_written / sizeof *not_written; i++)
        CU_ASSERT_NOT_EQUAL(say(FM_COMMIT, &not_written[i], 1), 0);
    CU_ASSERT_EQUAL(say(FM_OPEN, &(struct fm_role){FM_ROLE_STATE, 0}, 1), 0);
    tear_down();
}

static void malformed_paths_are_refused(void)
{
    struct fm_path p[6] = {{.role = FM_ROLE_LISTEN, .path = "/x"},
                           {.role = FM_ROLE_KEY, .path = ""},
                           {.role = FM_ROLE_KEY},
                           {.role = FM_ROLE_CONFIG, .index = 1, .path = "/x"},
                           {.role = FM_ROLE_CNI, .index = 1, .path = "/x"},
                           {.role = FM_ROLE_COUNT, .path = "/x"}};

    set_up();
    memset(p[2].path, 'x', sizeof p[2].path);
    CU_ASSERT_EQUAL(say(FM_HELLO, &hello, 1), 0);
    CU_ASSERT_EQUAL(say(FM_SETTINGS, &settings, 1), 0);
    for (size_t i = 0; i < 6; i++)
        CU_ASSERT_NOT_EQUAL(say(FM_PATH, &p[i], 1), 0);
    struct fm_path twice = {.role = FM_ROLE_KEY, .index = 4, .path = "/x"};
    CU_ASSERT_EQUAL(say(FM_PATH, &twice, 1), 0);
    CU_ASSERT_NOT_EQUAL(say(FM_PATH, &twice, 1), 0);
    tear_down();
}

static void texts_are_printable_and_end(void)
{
    struct fm_text bad = {"two\nlines"}, endless;

    memset(endless.text, 'x', sizeof endless.text);
    set_up();
    start();
    CU_ASSERT_NOT_EQUAL(say(FM_STATUS, &bad, 1), 0);
    CU_ASSERT_NOT_EQUAL(say(FM_STATUS, &endless, 1), 0);
    CU_ASSERT_EQUAL(say(FM_STATUS, &text, 1), 0);
    tear_down();
}

static void a_log_setting_is_checked_and_followed(void)
{
    static const struct fm_log bad[] = {{.level = LOG_LVL_COUNT},
                                        {.format = LOG_FMT_JSON + 1},
                                        {.target = LOG_TO_SYSLOG + 1},
                                        {.reserved = 1}};
    const struct fm_log warn = {.level = LOG_LVL_WARN};

    set_up();
    start();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_NOT_EQUAL(say(FM_LOG, &bad[i], 1), 0);
    CU_ASSERT_EQUAL(say(FM_LOG, &warn, 1), 0);
    CU_ASSERT_EQUAL(log_get_level(), LOG_LVL_WARN);
    tear_down();
}

/* Where another daemon has the socket, the routes of our protocol are that one's. */
static void without_its_sockets_it_leaves_the_kernel_alone(void)
{
    struct fm_path control = {.role = FM_ROLE_CONTROL, .path = "/dev/null/no.sock"};

    set_up();
    CU_ASSERT_EQUAL(say(FM_HELLO, &hello, 1), 0);
    CU_ASSERT_EQUAL(say(FM_SETTINGS, &settings, 1), 0);
    CU_ASSERT_EQUAL(say(FM_PATH, &control, 1), 0);
    CU_ASSERT_EQUAL(say(FM_START, NULL, 0), 0);
    CU_ASSERT_FALSE(x.f.started);
    CU_ASSERT_FALSE(x.f.install);
    CU_ASSERT_EQUAL(say(FM_READY, &text, 1), 0); /* swallowed: it is about to end */
    CU_ASSERT_EQUAL(say(FM_SYNCED, NULL, 0), 0);
    CU_ASSERT_FALSE(dispatch_is_ready(x.f.dispatch));
    x.k.n_nexthops = 1;
    x.k.nexthops[0] = (struct knexthop){.id = 87u << 24 | 1, .protocol = 87};
    fib_stop(&x.f, 0);
    CU_ASSERT_EQUAL(x.k.n_nexthops, 1);
    tear_down();
}

static void a_protocol_number_of_another_daemon_is_not_touched(void)
{
    set_up();
    x.k.claim = -EADDRINUSE;
    CU_ASSERT_EQUAL(say(FM_HELLO, &hello, 1), 0);
    CU_ASSERT_EQUAL(say(FM_SETTINGS, &settings, 1), 0);
    CU_ASSERT_EQUAL(say(FM_START, NULL, 0), 0);
    CU_ASSERT_FALSE(x.f.started);
    CU_ASSERT_EQUAL(loop_run(x.f.loop), 3);
    tear_down();
}

static void malformed_binds_are_refused(void)
{
    static const struct fm_bind bad[] = {{.op = 0, .af = AF_INET, .addr = {192, 0, 2, 1}},
                                         {.op = 3, .af = AF_INET, .addr = {192, 0, 2, 1}},
                                         {.op = FM_BIND_ADD, .af = 0, .addr = {192, 0, 2, 1}},
                                         {.op = FM_BIND_ADD, .af = AF_INET, .addr = {127, 0, 0, 1}},
                                         {.op = FM_BIND_ADD, .af = AF_INET6, .addr = {[15] = 1}},
                                         {.op = FM_BIND_ADD, .af = AF_INET, .addr = {224, 0, 0, 1}}};

    set_up();
    start();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_NOT_EQUAL(say(FM_BIND, &bad[i], 1), 0);
    CU_ASSERT_EQUAL(
        say(FM_BIND, &(struct fm_bind){.op = FM_BIND_ADD, .af = AF_INET, .addr = {192, 0, 2, 1}}, 1), 0);
    tear_down();
}

static void a_new_speaker_starts_over(void)
{
    set_up();
    start();
    fib_speaker_gone(&x.f);
    dispatch_reset(x.f.dispatch);
    CU_ASSERT_FALSE(dispatch_is_ready(x.f.dispatch));
    CU_ASSERT_NOT_EQUAL(say(FM_NEXTHOP_WATCH, &nh4, 1), 0);
    start();
    tear_down();
}

static void malformed_bfd_sessions_are_refused(void)
{
    static const struct fm_bfd good = {.peer = {.af = AF_INET, .addr = {10, 9, 0, 2}},
                                       .interval_us = 50000,
                                       .multiplier = 3,
                                       .min_ttl = 255};
    struct fm_bfd bad[14];
    size_t n = sizeof bad / sizeof *bad;

    for (size_t i = 0; i < n; i++)
        bad[i] = good;
    bad[0].peer.af = 0;
    bad[1].peer.addr[0] = 224;
    bad[2].peer.scope = 3;
    bad[3].peer.addr[15] = 1;
    bad[4].local[4] = 1;
    bad[5].local[0] = 239;
    bad[6].flags = 4;
    bad[7].reserved[1] = 1;
    bad[8].interval_us = BFD_MIN_US - 1;
    bad[9].interval_us = BFD_MAX_US + 1;
    bad[10].multiplier = 0;
    bad[11].min_ttl = 254;
    bad[12].min_ttl = 0;
    bad[12].flags = FM_BFD_MULTIHOP;
    bad[13].peer = (struct fm_nexthop){.af = AF_INET6, .scope = 2, .addr = {0xfe, 0x80, [15] = 2}};
    bad[13].flags = FM_BFD_MULTIHOP;
    struct fm_bfd beside = {.peer = {.af = AF_INET, .addr = {127, 0, 0, 2}},
                            .local = {127, 0, 0, 1},
                            .interval_us = 50000,
                            .multiplier = 3,
                            .min_ttl = 255};
    set_up();
    CU_ASSERT_NOT_EQUAL(say(FM_BFD_SET, &good, 1), 0); /* out of order */
    start();
    for (size_t i = 0; i < n; i++)
        CU_ASSERT_NOT_EQUAL(say(FM_BFD_SET, &bad[i], 1), 0);
    CU_ASSERT_NOT_EQUAL(say(FM_BFD_DEL, &bad[1].peer, 1), 0);
    CU_ASSERT_EQUAL(fake_bfd_told[BFD_CMD_ADD], 0);
    CU_ASSERT_EQUAL(say(FM_BFD_DEL, &beside.peer, 1), 0); /* of the unknown */
    CU_ASSERT_EQUAL(say(FM_BFD_SET, &beside, 1), 0);
    CU_ASSERT_EQUAL(say(FM_BFD_DEL, &beside.peer, 1), 0);
    fake_bfd_told[BFD_CMD_ADD] = fake_bfd_told[BFD_CMD_DEL] = 0;
    CU_ASSERT_EQUAL(say(FM_BFD_SET, &good, 1), 0);
    CU_ASSERT_EQUAL(say(FM_BFD_SET, &good, 1), 0); /* the same again */
    CU_ASSERT_EQUAL(fake_bfd_told[BFD_CMD_ADD], 1);
    CU_ASSERT_EQUAL(fake_bfd_told[BFD_CMD_CHANGE], 0);
    struct fm_bfd other = good;
    other.multiplier = 5;
    CU_ASSERT_EQUAL(say(FM_BFD_SET, &other, 1), 0);
    CU_ASSERT_EQUAL(fake_bfd_told[BFD_CMD_CHANGE], 1);
    other.flags = FM_BFD_MULTIHOP; /* another session */
    CU_ASSERT_EQUAL(say(FM_BFD_SET, &other, 1), 0);
    CU_ASSERT_EQUAL(fake_bfd_told[BFD_CMD_DEL], 1);
    CU_ASSERT_EQUAL(fake_bfd_told[BFD_CMD_ADD], 2);
    CU_ASSERT_EQUAL(say(FM_SYNCED, NULL, 0), 0);
    CU_ASSERT_EQUAL(fake_bfd_told[BFD_CMD_DEL], 1);
    fib_speaker_gone(&x.f);
    fib_sweep(&x.f);
    CU_ASSERT_EQUAL(fake_bfd_told[BFD_CMD_DEL], 2); /* nobody wants it any more */
    tear_down();
}

static void bfd_sessions_have_a_bound(void)
{
    struct fm_bfd m = {.peer = {.af = AF_INET}, .interval_us = 50000, .multiplier = 3, .min_ttl = 255};
    unsigned before = fake_bfd_told[BFD_CMD_ADD];

    set_up();
    start();
    for (unsigned i = 0; i < BFD_SESSIONS + 10; i++) {
        memcpy(m.peer.addr, (uint8_t[]){10, 9, (uint8_t)(i >> 8), (uint8_t)i}, 4);
        CU_ASSERT_EQUAL(say(FM_BFD_SET, &m, 1), 0);
    }
    CU_ASSERT_EQUAL(fake_bfd_told[BFD_CMD_ADD] - before, BFD_SESSIONS);
    tear_down();
}

static const struct unit_case cases[] = {
    UNIT(the_order_of_a_start_is_kept),
    UNIT(what_only_the_parent_says_is_refused),
    UNIT(settings_out_of_range_are_refused),
    UNIT(malformed_routes_are_refused),
    UNIT(malformed_next_hops_are_refused),
    UNIT(malformed_groups_are_refused),
    UNIT(only_settled_roles_are_opened),
    UNIT(malformed_paths_are_refused),
    UNIT(texts_are_printable_and_end),
    UNIT(malformed_binds_are_refused),
    UNIT(malformed_bfd_sessions_are_refused),
    UNIT(bfd_sessions_have_a_bound),
    UNIT(a_new_speaker_starts_over),
    UNIT(a_log_setting_is_checked_and_followed),
    UNIT(without_its_sockets_it_leaves_the_kernel_alone),
    UNIT(a_protocol_number_of_another_daemon_is_not_touched),
};
UNIT_MAIN("fib_dispatch", cases)
