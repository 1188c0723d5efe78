#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "config_int.h"
#include "unit.h"

/* Paths are from the root of the repository, where tests run. */
#define DIRECTORY "tests/config/"

static char *slurp(const char *path, size_t *len)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, CONFIG_MAX_BYTES + 1);
    if (!f || !text) {
        free(text);
        return NULL;
    }
    *len = fread(text, 1, CONFIG_MAX_BYTES, f);
    fclose(f);
    return text;
}

static const struct config_files real_files = {.read = config_read_file};

/* Loads text; *errors (when asked for) gets what was said, the caller's. */
static struct config *load_with(const char *text, const struct config_files *files, char **errors)
{
    struct config_errors e = {0};
    struct config *c;
    int err = config_load("f", text, strlen(text), files, &e, &c);
    CU_ASSERT_EQUAL(err, c ? 0 : -EINVAL);
    CU_ASSERT_EQUAL(e.n > 0, !c);
    if (errors)
        *errors = config_errors_text(&e);
    else if (e.n)
        fprintf(stderr, "      %s\n", e.list[0].text);
    config_errors_reset(&e);
    return c;
}

static struct config *load(const char *text)
{
    return load_with(text, &real_files, NULL);
}

static bool says(const char *text, const struct config_files *files, const char *expected)
{
    char *errors;
    struct config *c = load_with(text, files, &errors);
    bool same = !c && errors && !strcmp(errors, expected);
    if (!same)
        fprintf(stderr, "      %s", errors && *errors ? errors : "no error\n");
    free(errors);
    config_free(c);
    return same;
}

static void for_each_file(const char *dir, void (*check)(const char *path, const char *text, size_t len))
{
    struct dirent **names;
    int n = scandir(dir, &names, NULL, alphasort);
    unsigned seen = 0;
    if (n < 0) {
        unit_skip("not run from the root of the repository");
        return;
    }
    for (int i = 0; i < n; i++) {
        char path[512];
        size_t len;
        snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
        if (strstr(path, ".yaml")) {
            char *text = slurp(path, &len);
            CU_ASSERT_PTR_NOT_NULL_FATAL(text);
            check(path, text, len);
            free(text);
            seen++;
        }
        free(names[i]);
    }
    free(names);
    CU_ASSERT(seen >= 5);
}

/* Loads, prints, puts the passwords back, loads that again: nothing may differ. */
static void expect_round_trip(struct config *c)
{
    struct config_errors e = {0};
    struct config *again = NULL;
    struct config_diff d;
    char *text = config_print(c), *visible = calloc(1, 2 * CONFIG_MAX_BYTES), *to = visible;
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    unsigned peer = 0;
    for (const char *from = text; *from;) {
        if (strncmp(from, "\"<hidden>\"", 10) != 0) {
            *to++ = *from++;
            continue;
        }
        while (!c->peers[peer].password[0] || c->peers[peer].password_file)
            peer++;
        *to++ = '"';
        for (const char *p = c->peers[peer++].password; *p; p++) {
            if (*p == '"' || *p == '\\')
                *to++ = '\\';
            *to++ = *p;
        }
        *to++ = '"';
        from += 10;
    }
    CU_ASSERT_EQUAL(config_load("printed", visible, strlen(visible), &real_files, &e, &again), 0);
    if (e.n)
        fprintf(stderr, "      %s\n", e.list[0].text);
    if (again) {
        CU_ASSERT_EQUAL(config_diff(c, again, &d), 0);
        CU_ASSERT_EQUAL(d.changes, 0);
        CU_ASSERT_EQUAL(d.n_peers, 0);
        config_diff_reset(&d);
        char *second = config_print(again);
        CU_ASSERT_STRING_EQUAL(text, second);
        free(second);
    }
    config_errors_reset(&e);
    config_free(again);
    free(visible);
    free(text);
}

static void check_good(const char *path, const char *text, size_t len)
{
    struct config_errors e = {0};
    struct config *c;
    CU_ASSERT_EQUAL(config_load(path, text, len, &real_files, &e, &c), 0);
    for (unsigned i = 0; i < e.n; i++)
        fprintf(stderr, "      %s\n", e.list[i].text);
    config_errors_reset(&e);
    if (c)
        expect_round_trip(c);
    config_free(c);
}

static void good_files_load_and_print_back_to_themselves(void)
{
    for_each_file(DIRECTORY "good", check_good);
}

static void check_bad(const char *path, const char *text, size_t len)
{
    char expected_path[512], *at = expected_path;
    size_t expected_len;
    struct config_errors e = {0};
    struct config *c;
    snprintf(expected_path, sizeof expected_path, "%.*s.expected", (int)(strlen(path) - strlen(".yaml")),
             path);
    char *expected = slurp(expected_path, &expected_len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(expected);
    CU_ASSERT_EQUAL(config_load(path, text, len, &real_files, &e, &c), -EINVAL);
    CU_ASSERT_PTR_NULL(c);
    char *said = config_errors_text(&e);
    at = expected;
    for (char *line = strtok(said, "\n"); line; line = strtok(NULL, "\n")) {
        size_t skip = strncmp(line, path, strlen(path)) ? 0 : strlen(path) + 1, n = strlen(line + skip);
        bool same = !strncmp(at, line + skip, n) && at[n] == '\n';
        CU_ASSERT_TRUE(same);
        if (!same) {
            fprintf(stderr, "      said:     %s\n      expected: %.*s\n", line, (int)strcspn(at, "\n"), at);
            break;
        }
        at += n + 1;
    }
    CU_ASSERT_EQUAL(*at, 0); /* nothing expected is missing */
    free(said);
    free(expected);
    config_errors_reset(&e);
}

static void bad_files_say_what_is_expected(void)
{
    unsetenv("NODE_IP");
    for_each_file(DIRECTORY "bad", check_bad);
}

static void shipped_example_is_valid(void)
{
    size_t len;
    char *text = slurp("etc/underlay.yaml", &len);
    if (!text) {
        unit_skip("not run from the root of the repository");
        return;
    }
    check_good("etc/underlay.yaml", text, len);
    free(text);
}

static void defaults_are_those_of_the_manual(void)
{
    struct config *c = load("router: {asn: 64512}\npeers: [{address: 10.0.1.1, asn: 65001}]\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    const struct peer_config *p = c->peers;
    CU_ASSERT(c->router.id == 0 && c->router.port == 179 && c->router.multipath == 16);
    CU_ASSERT(c->router.multipath_as_path_relax && c->router.on_stop == ON_STOP_WITHDRAW);
    CU_ASSERT_EQUAL_FATAL(c->router.n_listen, 2);
    CU_ASSERT(c->router.listen[0].af == AF_INET && addr_is_unspecified(&c->router.listen[0]));
    CU_ASSERT(c->router.listen[1].af == AF_INET6 && addr_is_unspecified(&c->router.listen[1]));
    CU_ASSERT(!c->router.always_compare_med && !c->router.med_missing_as_worst);
    CU_ASSERT(c->fib.install && c->fib.table == 254 && c->fib.protocol == 87 && c->fib.metric == 20);
    CU_ASSERT(!c->fib.accept_default && !c->fib.prefsrc[FAM_IPV4].af && !c->fib.prefsrc[FAM_IPV6].af);
    CU_ASSERT_STRING_EQUAL(c->control.socket, "/run/underlay/control.sock");
    CU_ASSERT_STRING_EQUAL(c->control.group, "underlay");
    CU_ASSERT(c->log.level == LOG_LVL_INFO && c->log.format == LOG_FMT_TEXT &&
              c->log.target == LOG_TO_STDERR);
    CU_ASSERT_EQUAL_FATAL(c->n_peers, 1);
    CU_ASSERT(p->asn_kind == ASN_NUMBER && p->asn == 65001 && !peer_config_is_ibgp(c, p));
    CU_ASSERT(p->port == 179 && !p->passive && !p->shutdown && !p->ttl_security && !p->multihop);
    CU_ASSERT(p->hold_time_ms == 90000 && p->keepalive_time_ms == 30000 && p->connect_retry_time_ms == 5000);
    CU_ASSERT(p->idle_hold_time_ms == 1000 && p->idle_hold_max_ms == 60000);
    CU_ASSERT(p->families[FAM_IPV4] && p->families[FAM_IPV6] && p->allow_own_as == 0);
    CU_ASSERT(p->import == IMPORT_ALL && p->export == EXPORT_ORIGINATED);
    CU_ASSERT(!p->password[0] && !p->password_file && !p->local_address.af);
    CU_ASSERT_STRING_EQUAL(p->description, "");
    config_free(c);
}

static void every_value_arrives(void)
{
    size_t len;
    char *text = slurp(DIRECTORY "good/everything.yaml", &len);
    if (!text) {
        unit_skip("not run from the root of the repository");
        return;
    }
    struct config *c = load(text);
    free(text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    char buf[PREFIX_STRLEN];
    CU_ASSERT(c->router.asn == 65546 && c->router.id == 0x0a00000b && c->router.port == 1179);
    CU_ASSERT(c->router.multipath == 1 && !c->router.multipath_as_path_relax && c->router.n_listen == 2);
    CU_ASSERT(c->router.always_compare_med && c->router.med_missing_as_worst);
    CU_ASSERT_EQUAL_FATAL(c->n_peers, 7);
    const struct peer_config *p = &c->peers[0];
    CU_ASSERT(p->asn_kind == ASN_EXTERNAL && p->asn == 0 && p->port == 2179 && p->passive && p->shutdown);
    CU_ASSERT_STRING_EQUAL(p->password, "s3cret: with # and \"quotes\"");
    CU_ASSERT_STRING_EQUAL(p->description, "tor-a, \"left\" \\ gr\xc3\xbcn");
    CU_ASSERT_STRING_EQUAL(addr_format(&p->local_address, buf), "10.0.1.0");
    CU_ASSERT(p->ttl_security == 1 && p->multihop == 0 && p->hold_time_ms == 9000 &&
              p->keepalive_time_ms == 2500);
    CU_ASSERT(p->connect_retry_time_ms == 300 && p->idle_hold_time_ms == 2000 &&
              p->idle_hold_max_ms == 120000);
    CU_ASSERT(p->families[FAM_IPV4] && !p->families[FAM_IPV6] && p->allow_own_as == 1);
    CU_ASSERT_EQUAL(p->add_path, ADD_PATH_BOTH);
    CU_ASSERT(p->import == IMPORT_NONE && p->export == EXPORT_ALL);
    p = &c->peers[1];
    CU_ASSERT(p->multihop == 3 && p->hold_time_ms == 0 && p->keepalive_time_ms == 0 &&
              !p->families[FAM_IPV4]);
    p = &c->peers[2];
    CU_ASSERT(p->multihop == 255 && p->ttl_security == 0 && p->asn == (65000u << 16 | 1) &&
              p->export == EXPORT_NONE);
    CU_ASSERT_EQUAL_FATAL(c->advertise.n_vips, 2);
    const struct config_vip *v = c->advertise.vips;
    CU_ASSERT(v->communities.n_standard == 3 && v->communities.standard[0] == (65000u << 16 | 7) &&
              v->communities.standard[2] == 0xffffff01);
    CU_ASSERT(v->communities.n_large == 1 && v->communities.large[0][0] == 65000 && v->communities.large[0][1] == 1 && v->communities.large[0][2] == 2);
    CU_ASSERT(v->has_med && v->med == 0 && v->bind_lo);
    CU_ASSERT(!v[1].bind_lo && v[1].med == UINT32_MAX && v[1].communities.n_standard == 0);
    CU_ASSERT_STRING_EQUAL(prefix_format(&c->advertise.pod_cidrs[1], buf), "fd00:10:244:7::/64");
    CU_ASSERT_EQUAL_FATAL(c->advertise.n_interfaces, 2);
    CU_ASSERT_STRING_EQUAL(c->advertise.interfaces[1], "bond0.100");
    CU_ASSERT(!c->fib.install && c->fib.table == 100 && c->fib.protocol == 88 && c->fib.accept_default);
    CU_ASSERT_STRING_EQUAL(addr_format(&c->fib.prefsrc[FAM_IPV6], buf), "fd00::11");
    CU_ASSERT(c->log.level == LOG_LVL_DEBUG && c->log.format == LOG_FMT_JSON &&
              c->log.target == LOG_TO_SYSLOG);
    CU_ASSERT(c->n_policies == 2 && c->peers[6].kind == PEER_BY_INTERFACE && c->peers[6].import_rules);
    expect_round_trip(c);
    config_free(c);
}

static void off_takes_all_of_the_limits_of_a_template_away(void)
{
    struct config *c =
        load("router: {asn: 64512}\n"
             "peer-templates: {t: {asn: 1, max-prefixes: {ipv4: 5, action: stop, warn-percent: 9}}}\n"
             "peers: [{address: 10.0.1.1, template: t, max-prefixes: off}]\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    const struct peer_config *p = &c->peers[0];
    CU_ASSERT(!p->max_prefixes.most[FAM_IPV4] && p->max_prefixes.action == LIMIT_RESTART);
    CU_ASSERT_EQUAL(p->max_prefixes.warn_percent, 75);
    expect_round_trip(c);
    config_free(c);
}

static void bfd_is_merged_with_its_template_or_taken_as_a_whole(void)
{
    static const struct {
        bool on;
        uint32_t interval_ms;
        uint8_t multiplier;
        bool strict;
    } expect[] = {
        {false, 300, 3, false}, {true, 100, 4, false}, {false, 300, 3, false},
        {true, 300, 3, false},  {true, 100, 5, true},  {true, 300, 3, false},
    };
    struct config *c = load("router: {asn: 64512}\n"
                            "peer-templates: {t: {asn: 1, bfd: {interval: 100ms, multiplier: 4}}}\n"
                            "peers:\n"
                            "  - {address: 10.0.1.1, asn: 1}\n"
                            "  - {address: 10.0.1.2, template: t}\n"
                            "  - {address: 10.0.1.3, template: t, bfd: off}\n"
                            "  - {address: 10.0.1.4, template: t, bfd: true}\n"
                            "  - {address: 10.0.1.5, template: t, bfd: {multiplier: 5, strict: true}}\n"
                            "  - {address: 10.0.1.6, asn: 1, bfd: {}}\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    for (unsigned i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(c->peers[i].bfd.on, expect[i].on);
        CU_ASSERT_EQUAL(c->peers[i].bfd.interval_ms, expect[i].interval_ms);
        CU_ASSERT_EQUAL(c->peers[i].bfd.multiplier, expect[i].multiplier);
        CU_ASSERT_EQUAL(c->peers[i].bfd.strict, expect[i].strict);
    }
    CU_ASSERT_FALSE(c->watch);
    expect_round_trip(c);
    config_free(c);
}

static void own_keys_win_over_the_template(void)
{
    struct config *c =
        load("router: {asn: 64512}\n"
             "peer-templates: {t: {asn: internal, ttl-security: 3, hold-time: 9s, password: one}}\n"
             "peers:\n"
             "  - {address: 10.0.1.1, template: t}\n"
             "  - {address: 10.0.1.2, template: t, asn: 65002, multihop: 2, hold-time: 30s}\n"
             "  - {address: 10.0.1.3, template: t, ttl-security: off, password: two}\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT(c->peers[0].asn == 64512 && peer_config_is_ibgp(c, &c->peers[0]));
    CU_ASSERT(c->peers[0].ttl_security == 3 && c->peers[0].keepalive_time_ms == 3000);
    CU_ASSERT(c->peers[1].asn == 65002 && !peer_config_is_ibgp(c, &c->peers[1]));
    CU_ASSERT(c->peers[1].multihop == 2 && c->peers[1].ttl_security == 0 &&
              c->peers[1].hold_time_ms == 30000);
    CU_ASSERT(c->peers[1].keepalive_time_ms == 10000);
    CU_ASSERT(c->peers[2].ttl_security == 0 && c->peers[2].multihop == 0);
    CU_ASSERT_STRING_EQUAL(c->peers[1].password, "one");
    CU_ASSERT_STRING_EQUAL(c->peers[2].password, "two");
    struct ip_addr a = addr_v4(0x0a000102);
    CU_ASSERT_PTR_EQUAL(config_find_peer(c, &a), &c->peers[1]);
    a = addr_v4(0x0a000109);
    CU_ASSERT_PTR_NULL(config_find_peer(c, &a));
    config_free(c);
}

/* Key files from memory. */
struct fake_file {
    const char *path, *content;
    size_t len;
    int err;
    unsigned reads;
};

static int read_fake(void *arg, const char *path, char *buf, size_t size, size_t *len)
{
    for (struct fake_file *f = arg; f->path; f++) {
        if (strcmp(f->path, path) != 0)
            continue;
        f->reads++;
        if (f->err)
            return f->err;
        *len = f->len ? f->len : strlen(f->content);
        memcpy(buf, f->content, *len < size ? *len : size);
        return 0;
    }
    return -ENOENT;
}

#define KEY_80 "12345678901234567890123456789012345678901234567890123456789012345678901234567890"
#define KEY_81 KEY_80 "1"

static void password_files_are_read_through_the_callback(void)
{
    static const struct {
        struct fake_file file;
        const char *password, *error;
    } cases[] = {
        {{.content = "secret\n"}, "secret", NULL},
        {{.content = "secret"}, "secret", NULL},
        {{.content = "with space \r\n"}, "with space ", NULL},
        {{.content = KEY_80}, KEY_80, NULL},
        {{.content = KEY_80 "\r\n"}, KEY_80, NULL},
        {{.content = KEY_81}, NULL, "/k is too long; TCP-MD5 takes 80 bytes at most"},
        {{.content = KEY_81 "\n\n\n"}, NULL, "/k is too long; TCP-MD5 takes 80 bytes at most"},
        {{.content = ""}, NULL, "/k is empty; put the password on its first line"},
        {{.content = "\n"}, NULL, "/k is empty; put the password on its first line"},
        {{.content = "a\nb\n"}, NULL, "/k has more than one line; put the password alone there"},
        {{.content = "a\0b", .len = 3}, NULL, "/k has more than one line; put the password alone there"},
        {{.err = -EACCES}, NULL, "/k cannot be read: Permission denied"},
        {{.err = -ENOKEY}, NULL, "/k was not named when the daemon started; a new file needs a restart"},
    };
    static const char text[] =
        "router: {asn: 64512}\npeers: [{address: 10.0.1.1, asn: 65001, password-file: /k}]\n";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fake_file disk[2] = {cases[i].file};
        struct config_files files = {.read = read_fake, .arg = disk};
        char expected[200];
        disk[0].path = "/k";
        if (cases[i].error) {
            snprintf(expected, sizeof expected, "f:2:56: peers[0].password-file: %s\n", cases[i].error);
            CU_ASSERT_TRUE(says(text, &files, expected));
            continue;
        }
        struct config *c = load_with(text, &files, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(c);
        CU_ASSERT_STRING_EQUAL(c->peers[0].password, cases[i].password);
        CU_ASSERT_STRING_EQUAL(c->peers[0].password_file, "/k");
        config_free(c);
    }
}

static void a_template_key_file_is_read_once_and_gives_way(void)
{
    struct fake_file disk[] = {{.path = "/t", .content = "one"}, {.path = "/own", .content = "two"}, {0}};
    struct config_files files = {.read = read_fake, .arg = disk};
    struct config *c =
        load_with("router: {asn: 64512}\n"
                  "peer-templates: {f: {asn: 65001, password-file: /t}, p: {asn: 65001, password: three}}\n"
                  "peers:\n"
                  "  - {address: 10.0.1.1, template: f}\n"
                  "  - {address: 10.0.1.2, template: f}\n"
                  "  - {address: 10.0.1.3, template: f, password: four}\n"
                  "  - {address: 10.0.1.4, template: p, password-file: /own}\n",
                  &files, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_EQUAL(disk[0].reads, 1);
    CU_ASSERT_STRING_EQUAL(c->peers[1].password, "one");
    CU_ASSERT_STRING_EQUAL(c->peers[2].password, "four");
    CU_ASSERT_PTR_NULL(c->peers[2].password_file);
    CU_ASSERT_STRING_EQUAL(c->peers[3].password, "two");
    char *printed = config_print(c);
    CU_ASSERT_PTR_NOT_NULL_FATAL(printed);
    CU_ASSERT_PTR_NOT_NULL(strstr(printed, "    password-file: /t\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(printed, "    password: \"<hidden>\"\n"));
    CU_ASSERT_PTR_NULL(strstr(printed, "four"));
    free(printed);
    config_free(c);
}

static void passwords_never_appear_in_errors(void)
{
    static const char *const bad[] = {
        "password: [hunter2]", "password: \"hunter2\\n\"", "password: {hunter2: x}",
        "password: hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[300], *errors;
        snprintf(text, sizeof text, "router: {asn: 64512}\npeers: [{address: 10.0.1.1, asn: 65001, %s}]\n",
                 bad[i]);
        CU_ASSERT_PTR_NULL(load_with(text, &real_files, &errors));
        CU_ASSERT_PTR_NOT_NULL(strstr(errors, "password: "));
        CU_ASSERT_PTR_NULL(strstr(errors, "hunter2"));
        free(errors);
    }
}

static void errors_are_bounded_sorted_and_harmless(void)
{
    struct config_errors e = {0};
    struct config *c;
    char *text = calloc(1, 100000);
    strcpy(text, "router: {asn: 64512}\nfib: {\"\\e[31m\\n\": 1}\npeers: [{address: 10.0.1.1, asn: x}]\n"
                 "advertise: {interfaces: [lo, lo]}\nlog: {level: x}\n");
    CU_ASSERT_EQUAL(config_load("f", text, strlen(text), &real_files, &e, &c), -EINVAL);
    CU_ASSERT(e.n == 4 && e.total == 4);
    CU_ASSERT_STRING_EQUAL(e.list[0].text,
                           "f:2:7: fib: unknown key `?[31m?`; underlay.yaml(5) lists the keys");
    for (unsigned i = 1; i < e.n; i++)
        CU_ASSERT_EQUAL(e.list[i].line, i + 2); /* found by two walks, told as the file goes */
    config_errors_reset(&e);
    CU_ASSERT_EQUAL(e.n, 0);

    strcpy(text, "router: {asn: 64512}\nadvertise: {pod-cidrs: [");
    for (int i = 0; i < 300; i++)
        strcat(text, "x,");
    strcat(text, "]}\nrouter: {}\n");
    CU_ASSERT_EQUAL(config_load("f", text, strlen(text), &real_files, &e, &c), -EINVAL);
    CU_ASSERT_EQUAL(e.n, CONFIG_MAX_ERRORS);
    CU_ASSERT_EQUAL(e.total, 301);
    char *said = config_errors_text(&e);
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "\n... and 251 more\n"));
    free(said);
    config_errors_reset(&e);
    free(text);
}

static void sizes_are_bounded(void)
{
    struct config_errors e = {0};
    struct config *c;
    size_t size = 3u << 20;
    char *text = malloc(size), *to = text;
    memset(text, ' ', size);
    CU_ASSERT_EQUAL(config_load("f", text, CONFIG_MAX_BYTES + 1, &real_files, &e, &c), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.list[0].text, "larger than 1 MiB"));
    config_errors_reset(&e);

    to += sprintf(to, "router: {asn: 64512}\npeers: [&a {address: 10.0.0.1, asn: 65001}");
    for (unsigned i = 0; i < CONFIG_MAX_PEERS; i++)
        to += sprintf(to, ",*a");
    to += sprintf(to, "]\n");
    CU_ASSERT_EQUAL(config_load("f", text, (size_t)(to - text), &real_files, &e, &c), -EINVAL);
    CU_ASSERT_EQUAL(e.total, 1);
    CU_ASSERT_STRING_EQUAL(e.list[0].text, "f:2:8: peers: 65001 elements; 65000 at most");
    config_errors_reset(&e);
    free(text);
}

static void twenty_thousand_peers_load_in_no_time(void)
{
    struct config_errors e = {0};
    struct config *c;
    char *text = malloc(CONFIG_MAX_BYTES), *to = text;
    to += sprintf(to, "router: {asn: 64512}\npeer-templates: {t: {asn: external}}\npeers:\n");
    for (unsigned i = 0; i < 20000; i++)
        to += sprintf(to, "- {address: 10.1.%u.%u, template: t}\n", i >> 8, i & 255);
    CU_ASSERT_EQUAL(config_load("f", text, (size_t)(to - text), &real_files, &e, &c), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_EQUAL(c->n_peers, 20000);
    struct config_diff d;
    CU_ASSERT_EQUAL(config_diff(c, c, &d), 0);
    CU_ASSERT(d.changes == 0 && d.n_peers == 0);
    config_diff_reset(&d);
    config_free(c);
    free(text);
}

static void garbage_never_loads_and_never_crashes(void)
{
    size_t len;
    char *text = slurp(DIRECTORY "good/everything.yaml", &len), *copy;
    if (!text) {
        unit_skip("not run from the root of the repository");
        return;
    }
    srandom(7);
    copy = malloc(len);
    unsigned refused = 0;
    for (int round = 0; round < 3000; round++) {
        struct config_errors e = {0};
        struct config *c;
        size_t n = round % 2 ? len : (size_t)random() % len;
        memcpy(copy, text, n);
        for (int k = (int)(random() % 8); k > 0 && n; k--)
            copy[(size_t)random() % n] = "\0\n\t :-[]{}&*!%@`\"'#|>,?x0\xff\xc3"[random() % 27];
        int err = config_load("f", copy, n, NULL, &e, &c);
        CU_ASSERT(err == 0 || err == -EINVAL);
        CU_ASSERT_EQUAL(err == 0, e.n == 0);
        refused += err != 0;
        config_errors_reset(&e);
        config_free(c);
    }
    CU_ASSERT(refused > 1000);
    free(copy);
    free(text);
}

/* The manual and the schema must not drift apart. */
static void find_in_manual(const struct schema_section *s, const char *manual, const char *from)
{
    for (unsigned i = 0; i < s->n; i++) {
        const struct schema_key *k = &s->keys[i];
        char item[80];
        const char *at;
        if (k->flags & KEY_NOT_YET)
            continue;
        snprintf(item, sizeof item, "\n.It Cm %s", k->name);
        at = strstr(from, item); /* the keys of a section mostly follow it, and names come again */
        for (at = at ? at : strstr(manual, item); at && !strchr(" \n", at[strlen(item)]);
             at = strstr(at + 1, item))
            ;
        CU_ASSERT_PTR_NOT_NULL(at);
        if (!at)
            fprintf(stderr, "      %s is not in underlay.yaml.5\n", k->name);
        if (k->sub)
            find_in_manual(k->sub, manual, at ? at : manual);
        if (!at || !k->def || !*k->def || k->shape != SHAPE_SCALAR)
            continue;
        const char *end = strstr(at + 1, "\n.It "), *def = strstr(at, "\n.Pq default ");
        bool right = false;
        for (; def && (!end || def < end) && !right; def = strstr(def + 1, "\n.Pq default "))
            right = strstr(def, k->def) && strstr(def, k->def) < strchr(def + 1, '\n');
        CU_ASSERT_TRUE(right);
        if (!right)
            fprintf(stderr, "      the default of %s is %s, but not in underlay.yaml.5\n", k->name, k->def);
    }
}

static void manual_has_every_key_with_its_default(void)
{
    size_t len;
    char *manual = slurp("etc/man/underlay.yaml.5", &len);
    if (!manual) {
        unit_skip("not run from the root of the repository");
        return;
    }
    find_in_manual(&schema_root, manual, manual);
    free(manual);
}

static void schema_rows_are_sound(void)
{
    for (unsigned i = 0; i < schema_peer.n; i++) {
        const struct schema_key *k = &schema_peer.keys[i];
        bool built = !(k->flags & KEY_NOT_YET);
        CU_ASSERT_PTR_EQUAL(schema_find(&schema_peer, k->name), k);
        CU_ASSERT(!built || k->type || k->words || k->shape == SHAPE_TEMPLATES);
        CU_ASSERT(!built || k->change || k->shape == SHAPE_TEMPLATES); /* nobody forgot what a change means */
        if (k->excludes)
            CU_ASSERT_STRING_EQUAL(schema_find(&schema_peer, k->excludes)->excludes, k->name);
    }
    CU_ASSERT_PTR_NULL(schema_find(&schema_root, "peer"));
}

static const struct unit_case cases[] = {
    UNIT(good_files_load_and_print_back_to_themselves),
    UNIT(bad_files_say_what_is_expected),
    UNIT(shipped_example_is_valid),
    UNIT(defaults_are_those_of_the_manual),
    UNIT(every_value_arrives),
    UNIT(own_keys_win_over_the_template),
    UNIT(off_takes_all_of_the_limits_of_a_template_away),
    UNIT(bfd_is_merged_with_its_template_or_taken_as_a_whole),
    UNIT(password_files_are_read_through_the_callback),
    UNIT(a_template_key_file_is_read_once_and_gives_way),
    UNIT(passwords_never_appear_in_errors),
    UNIT(errors_are_bounded_sorted_and_harmless),
    UNIT(sizes_are_bounded),
    UNIT(twenty_thousand_peers_load_in_no_time),
    UNIT(garbage_never_loads_and_never_crashes),
    UNIT(manual_has_every_key_with_its_default),
    UNIT(schema_rows_are_sound),
};
UNIT_MAIN("config", cases)
