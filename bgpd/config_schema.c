/* Every key of underlay.yaml as data: name, type, bounds, default, where it lies in struct config, and what a
 * change of it means to a running daemon.
 *
 * Reading, defaults, printing, comparing and freeing are each one walk over these tables, so a new key is a
 * new row and a new type is a row in config_value.c. Keys that underlay will have but does not build yet are
 * rows with KEY_NOT_YET: they are refused by name, except for a value that means what there is now. To build
 * one, take the flag away and fill in the rest of its row.
 *
 * Not here: what needs two keys to judge (config_check.c). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_policy.h"
#include "config_schema.h"
#include "lib/pages.h"
#include "rib/attr.h"

/* clang-format off */
static const struct schema_key med_keys[] = {
    {"always-compare", VALUE(config, router.always_compare_med, bool), .def = "false",
     .change = CONFIG_DIFF_DECISION},
    {"missing-as-worst", VALUE(config, router.med_missing_as_worst, bool), .def = "false",
     .change = CONFIG_DIFF_DECISION},
};
static const struct schema_section schema_med = SECTION(med_keys, 0);
static const struct schema_key graceful_restart_keys[] = {
    {"enabled", VALUE(config, router.graceful_restart.enabled, bool), .def = "true",
     .change = CONFIG_DIFF_GRACEFUL},
    {"restart-time", VALUE(config, router.graceful_restart.restart_time_ms, duration),
     BETWEEN(1 * SECONDS, 4095 * SECONDS), .def = "120s", .change = CONFIG_DIFF_GRACEFUL},
    {"stale-time", VALUE(config, router.graceful_restart.stale_time_ms, duration),
     BETWEEN(1 * SECONDS, 24 * HOURS), .def = "360s", .change = CONFIG_DIFF_GRACEFUL},
    {"long-lived", VALUE(config, router.graceful_restart.long_lived_ms, duration),
     BETWEEN(0, 1000 * HOURS), .def = "0s", .change = CONFIG_DIFF_GRACEFUL},
};
static const struct schema_section schema_graceful_restart = SECTION(graceful_restart_keys, 0);

static const struct schema_key router_keys[] = {
    {"asn", VALUE(config, router.asn, asn), .flags = KEY_REQUIRED, .change = CONFIG_DIFF_ASN},
    {"id", VALUE(config, router.id, router_id), .change = CONFIG_DIFF_ID},
    {"listen", LIST(config, router.listen, router.n_listen, listen), .max = 16, .def = "0.0.0.0 ::",
     .change = CONFIG_DIFF_RESTART},
    {"port", VALUE(config, router.port, uint), BETWEEN(1, 65535), .def = "179",
     .change = CONFIG_DIFF_RESTART},
    {"multipath", VALUE(config, router.multipath, uint), BETWEEN(1, 64), .def = "16",
     .change = CONFIG_DIFF_DECISION},
    {"multipath-as-path-relax", VALUE(config, router.multipath_as_path_relax, bool), .def = "true",
     .change = CONFIG_DIFF_DECISION},
    {"med", .shape = SHAPE_MAP, .sub = &schema_med},
    {"graceful-restart", .shape = SHAPE_MAP, .sub = &schema_graceful_restart},
    {"on-stop", VALUE(config, router.on_stop, word), .words = "withdraw preserve", .def = "withdraw",
     .change = CONFIG_DIFF_RESTART},
};
static const struct schema_section schema_router = SECTION(router_keys, 0);

static const struct schema_key limit_keys[] = {
    {"ipv4", VALUE(peer_config, max_prefixes.most[FAM_IPV4], uint), BETWEEN(1, UINT32_MAX), .flags = KEY_OFF,
     .def = "off"},
    {"ipv6", VALUE(peer_config, max_prefixes.most[FAM_IPV6], uint), BETWEEN(1, UINT32_MAX), .flags = KEY_OFF,
     .def = "off"},
    {"warn-percent", VALUE(peer_config, max_prefixes.warn_percent, uint), BETWEEN(1, 100), .def = "75"},
    {"action", VALUE(peer_config, max_prefixes.action, word), .words = "restart stop warn", .def = "restart"},
    {"restart-after", VALUE(peer_config, max_prefixes.restart_after_ms, duration),
     BETWEEN(1 * SECONDS, 24 * HOURS), .def = "60s"},
};
static const struct schema_section schema_limit = SECTION(limit_keys, 0);

static const struct schema_key bfd_keys[] = {
    {"interval", VALUE(peer_config, bfd.interval_ms, duration), BETWEEN(10, 60 * SECONDS), .def = "300ms"},
    {"multiplier", VALUE(peer_config, bfd.multiplier, uint), BETWEEN(2, 255), .def = "3"},
    {"strict", VALUE(peer_config, bfd.strict, bool), .def = "false"},
};
static const struct schema_section schema_bfd = SECTION(bfd_keys, 0);

static const struct schema_key peer_keys[] = {
    {"address", VALUE(peer_config, address, addr), .flags = KEY_OWN, .change = PEER_DIFF_RESET},
    {"interface", VALUE(peer_config, interface, interface), .flags = KEY_OWN, .change = PEER_DIFF_RESET},
    {"range", VALUE(peer_config, range, range), .flags = KEY_OWN,
     .change = PEER_DIFF_OTHER}, /* a peer may come into another range, with the settings that it had */
    {"limit", VALUE(peer_config, limit, uint), BETWEEN(1, CONFIG_MAX_PEERS), .def = "100",
     .change = PEER_DIFF_OTHER},
    {"template", .shape = SHAPE_TEMPLATES, .flags = KEY_OWN},
    {"asn", VALUE(peer_config, asn, peer_asn), .flags = KEY_REQUIRED, .change = PEER_DIFF_RESET},
    {"description", VALUE(peer_config, description, string), BETWEEN(0, 255), .def = "",
     .change = PEER_DIFF_OTHER},
    {"port", VALUE(peer_config, port, uint), BETWEEN(1, 65535), .def = "179", .change = PEER_DIFF_RESET},
    {"local-address", VALUE(peer_config, local_address, addr), .change = PEER_DIFF_RESET},
    {"local-asn", VALUE(peer_config, local_asn, asn), .change = PEER_DIFF_RESET}, /* else router.asn: config_check */
    {"passive", VALUE(peer_config, passive, bool), .def = "false", .change = PEER_DIFF_OTHER},
    {"password", VALUE(peer_config, password, password), .excludes = "password-file",
     .change = PEER_DIFF_RESET},
    {"password-file", VALUE(peer_config, password_file, key_file), BETWEEN(1, 255), .excludes = "password",
     .change = PEER_DIFF_OTHER}, /* its content is `password` */
    {"ttl-security", VALUE(peer_config, ttl_security, uint), BETWEEN(1, 254), .flags = KEY_OFF, .def = "off",
     .excludes = "multihop", .change = PEER_DIFF_RESET},
    {"multihop", VALUE(peer_config, multihop, uint), BETWEEN(1, 255), .flags = KEY_OFF, .def = "off",
     .excludes = "ttl-security", .change = PEER_DIFF_RESET},
    {"hold-time", VALUE(peer_config, hold_time_ms, hold_time), BETWEEN(0, 65535 * SECONDS), .def = "90s",
     .change = PEER_DIFF_RESET},
    {"keepalive-time", VALUE(peer_config, keepalive_time_ms, duration), BETWEEN(1 * SECONDS, 65535 * SECONDS),
     .change = PEER_DIFF_RESET}, /* config_check derives it from the hold time */
    {"connect-retry-time", VALUE(peer_config, connect_retry_time_ms, duration), BETWEEN(100, 1 * HOURS),
     .def = "5s",
     .change = PEER_DIFF_OTHER},
    {"idle-hold-time", VALUE(peer_config, idle_hold_time_ms, duration), BETWEEN(100, 1 * HOURS), .def = "1s",
     .change = PEER_DIFF_OTHER},
    {"idle-hold-max", VALUE(peer_config, idle_hold_max_ms, duration), BETWEEN(100, 24 * HOURS), .def = "60s",
     .change = PEER_DIFF_OTHER},
    {"send-hold-time", VALUE(peer_config, send_hold_time_ms, duration), BETWEEN(3 * SECONDS, 24 * HOURS),
     .change = PEER_DIFF_RESET},
    {"families", .shape = SHAPE_SET, AT(peer_config, families), .words = "ipv4 ipv6", .def = "ipv4 ipv6",
     .change = PEER_DIFF_RESET},
    {"allow-own-as", VALUE(peer_config, allow_own_as, uint), BETWEEN(0, 255), .def = "0",
     .change = PEER_DIFF_REIMPORT},
    {"add-path", VALUE(peer_config, add_path, word), .words = "none receive send both", .def = "none",
     .change = PEER_DIFF_RESET},
    {"extended-nexthop", VALUE(peer_config, extended_nexthop, bool), .def = "true", .change = PEER_DIFF_RESET},
    {"role", VALUE(peer_config, role, word), .words = "none provider customer peer rs-server rs-client",
     .def = "none", .change = PEER_DIFF_RESET},
    {"blackhole", VALUE(peer_config, blackhole, bool), .def = "false", .change = PEER_DIFF_OTHER},
    {"max-prefixes", .shape = SHAPE_MAP, .sub = &schema_limit, .type = &type_limits, AT(peer_config, max_prefixes),
     BETWEEN(1, UINT32_MAX), .flags = KEY_OFF, .change = PEER_DIFF_OTHER},
    {"bfd", .shape = SHAPE_MAP, .sub = &schema_bfd, .type = &type_bfd, AT(peer_config, bfd),
     .change = PEER_DIFF_OTHER},
    {"import", VALUE(peer_config, import, import), .words = "all none", .def = "all",
     .change = PEER_DIFF_REIMPORT},
    {"export", VALUE(peer_config, export, export), .words = "originated all none", .def = "originated",
     .change = PEER_DIFF_REEXPORT},
    {"shutdown", VALUE(peer_config, shutdown, bool), .def = "false", .change = PEER_DIFF_ADMIN},
};
const struct schema_section schema_peer = SECTION(peer_keys, sizeof(struct peer_config));

static const struct schema_key vip_keys[] = {
    {"prefix", VALUE(config_vip, prefix, prefix), .flags = KEY_REQUIRED},
    {"communities", .shape = SHAPE_ADD, .type = &type_community, AT(config_vip, communities), .max = 32},
    {"med", VALUE(config_vip, med, med), BETWEEN(0, UINT32_MAX)},
    {"weight", VALUE(config_vip, weight, uint), BETWEEN(1, ATTR_WEIGHT_MOST), .flags = KEY_OFF, .def = "off"},
    {"bind", VALUE(config_vip, bind_lo, bind), .def = "off"},
    {"check", NOT_YET(.off = "off false")},
};
static const struct schema_section schema_vip = SECTION(vip_keys, sizeof(struct config_vip));

static const struct schema_key advertise_keys[] = {
    {"pod-cidrs", LIST(config, advertise.pod_cidrs, advertise.n_pod_cidrs, prefix), .max = 1000,
     .change = CONFIG_DIFF_ADVERTISE},
    {"vips", MAPS(config, advertise.vips, advertise.n_vips, schema_vip), .max = 65000,
     .change = CONFIG_DIFF_ADVERTISE},
    {"interfaces", LIST(config, advertise.interfaces, advertise.n_interfaces, ifname), .max = 1000,
     .change = CONFIG_DIFF_ADVERTISE},
    {"kubernetes", .shape = SHAPE_MAP, .sub = &schema_kube, .type = &type_kube, AT(config, advertise.kube),
     .change = CONFIG_DIFF_ADVERTISE},
};
static const struct schema_section schema_advertise = SECTION(advertise_keys, 0);

static const struct schema_key prefsrc_keys[] = {
    {"ipv4", VALUE(config, fib.prefsrc[FAM_IPV4], addr4), .change = CONFIG_DIFF_RESTART},
    {"ipv6", VALUE(config, fib.prefsrc[FAM_IPV6], addr6), .change = CONFIG_DIFF_RESTART},
};
static const struct schema_section schema_prefsrc = SECTION(prefsrc_keys, 0);

static const struct schema_key fib_keys[] = {
    {"install", VALUE(config, fib.install, bool), .def = "true", .change = CONFIG_DIFF_RESTART},
    {"table", VALUE(config, fib.table, table), BETWEEN(1, UINT32_MAX), .def = "254",
     .change = CONFIG_DIFF_RESTART},
    {"protocol", VALUE(config, fib.protocol, protocol), BETWEEN(0, 255), .def = "87",
     .change = CONFIG_DIFF_RESTART},
    {"metric", VALUE(config, fib.metric, uint), BETWEEN(1, UINT32_MAX - 1), .def = "20",
     .change = CONFIG_DIFF_RESTART},
    {"prefsrc", .shape = SHAPE_MAP, .sub = &schema_prefsrc},
    {"accept-default", VALUE(config, fib.accept_default, bool), .def = "false",
     .change = CONFIG_DIFF_RESTART},
};
static const struct schema_section schema_fib = SECTION(fib_keys, 0);

static const struct schema_key control_keys[] = {
    {"socket", VALUE(config, control.socket, path), BETWEEN(1, 107), .def = "/run/underlay/control.sock",
     .change = CONFIG_DIFF_RESTART},
    {"group", VALUE(config, control.group, string), BETWEEN(1, 32), .def = "underlay",
     .change = CONFIG_DIFF_RESTART},
};
static const struct schema_section schema_control = SECTION(control_keys, 0);

static const struct schema_key metrics_keys[] = {
    {"listen", VALUE(config, metrics.listen, endpoint), .def = "off", .change = CONFIG_DIFF_RESTART},
};
static const struct schema_section schema_metrics = SECTION(metrics_keys, 0);

static const struct schema_key log_keys[] = {
    {"level", VALUE(config, log.level, word), .words = "error warn info debug", .def = "info",
     .change = CONFIG_DIFF_LOG},
    {"format", VALUE(config, log.format, word), .words = "text json", .def = "text",
     .change = CONFIG_DIFF_LOG},
    {"target", VALUE(config, log.target, word), .words = "stderr syslog", .def = "stderr",
     .change = CONFIG_DIFF_LOG},
};
static const struct schema_section schema_log = SECTION(log_keys, 0);

static const struct schema_key root_keys[] = {
    {"watch", VALUE(config, watch, bool), .def = "false", .change = CONFIG_DIFF_WATCH},
    {"router", .shape = SHAPE_MAP, .sub = &schema_router, .flags = KEY_REQUIRED},
    {"peer-templates", .shape = SHAPE_TEMPLATES, .sub = &schema_peer},
    {"peers", MAPS(config, peers, n_peers, schema_peer), .max = CONFIG_MAX_PEERS},
    {"advertise", .shape = SHAPE_MAP, .sub = &schema_advertise},
    {"cni", .shape = SHAPE_MAP, .sub = &schema_cni},
    {"sets", .shape = SHAPE_SETS},
    {"policies", .shape = SHAPE_POLICIES},
    {"fib", .shape = SHAPE_MAP, .sub = &schema_fib},
    {"control", .shape = SHAPE_MAP, .sub = &schema_control},
    {"metrics", .shape = SHAPE_MAP, .sub = &schema_metrics, .type = &type_endpoint, AT(config, metrics.listen)},
    {"log", .shape = SHAPE_MAP, .sub = &schema_log},
};
const struct schema_section schema_root = SECTION(root_keys, sizeof(struct config));
/* clang-format on */

const struct schema_key *schema_find(const struct schema_section *s, const char *name)
{
    for (unsigned i = 0; i < s->n; i++)
        if (!strcmp(s->keys[i].name, name))
            return &s->keys[i];
    return NULL;
}

bool word_at(const char *words, unsigned i, char *buf, size_t size)
{
    for (;; words++) {
        size_t n = strcspn(words, " ");
        if (!n)
            return false;
        if (!i--) {
            if (n >= size)
                return false;
            memcpy(buf, words, n);
            buf[n] = 0;
            return true;
        }
        words += n;
        if (!*words)
            return false;
    }
}

bool word_in(const char *words, const char *word, unsigned *index)
{
    char buf[VALUE_STRLEN];
    for (unsigned i = 0; word_at(words, i, buf, sizeof buf); i++) {
        if (strcmp(buf, word) == 0) {
            if (index)
                *index = i;
            return true;
        }
    }
    return false;
}

struct list key_list(const struct schema_key *k, const void *base)
{
    struct list l;
    memcpy(&l.items, (const char *)base + k->offset, sizeof l.items);
    memcpy(&l.n, (const char *)base + k->count, sizeof l.n);
    return l;
}

static void release_list(const struct schema_key *k, void *base)
{
    struct list l = key_list(k, base), none = {0};
    for (unsigned i = 0; i < l.n; i++) {
        void *item = (char *)l.items + (size_t)i * k->size;
        if (k->sub)
            schema_release(k->sub, item);
        else if (k->type->release)
            k->type->release(item);
    }
    free(l.items);
    memcpy((char *)base + k->offset, &none.items, sizeof none.items);
    memcpy((char *)base + k->count, &none.n, sizeof none.n);
}

int key_list_reset(const struct schema_key *k, void *base, unsigned n)
{
    release_list(k, base);
    void *items = n ? pages_alloc((size_t)n * k->size) : NULL;
    if (n && !items)
        return -ENOMEM;
    if (n)
        memset(items, 0, (size_t)n * k->size);
    memcpy((char *)base + k->offset, &items, sizeof items);
    memcpy((char *)base + k->count, &n, sizeof n);
    return 0;
}

static int default_list(const struct schema_key *k, void *base)
{
    char word[VALUE_STRLEN];
    struct why why;
    unsigned n = 0;
    while (word_at(k->def, n, word, sizeof word))
        n++;
    int err = key_list_reset(k, base, n);
    for (unsigned i = 0; !err && i < n && word_at(k->def, i, word, sizeof word); i++)
        err = k->type->parse(k, (char *)key_list(k, base).items + (size_t)i * k->size, word, &why);
    return err;
}

int schema_key_default(const struct schema_key *k, void *base)
{
    struct why why;
    unsigned n = 0;
    char word[VALUE_STRLEN];
    if (k->shape == SHAPE_MAP)
        return schema_defaults(k->sub, base);
    if (k->type && k->type->release && k->shape == SHAPE_SCALAR)
        k->type->release(key_field(k, base));
    if (!k->def)
        return 0;
    switch (k->shape) {
    case SHAPE_SCALAR:
        return k->type->parse(k, key_field(k, base), k->def, &why);
    case SHAPE_LIST:
        return default_list(k, base);
    case SHAPE_SET:
        for (; word_at(k->words, n, word, sizeof word); n++)
            ((bool *)key_field(k, base))[n] = word_in(k->def, word, NULL);
        return 0;
    default:
        return 0;
    }
}

int schema_defaults(const struct schema_section *s, void *base)
{
    int err = 0;
    for (unsigned i = 0; !err && i < s->n; i++)
        err = schema_key_default(&s->keys[i], base);
    return err;
}

void schema_release(const struct schema_section *s, void *base)
{
    for (unsigned i = 0; i < s->n; i++) {
        const struct schema_key *k = &s->keys[i];
        if (k->shape == SHAPE_MAP)
            schema_release(k->sub, base);
        else if (k->shape == SHAPE_POLICIES)
            config_release_policies(base);
        else if (k->shape == SHAPE_SETS)
            config_release_sets(base);
        else if (k->shape == SHAPE_LIST || k->shape == SHAPE_MAPS || k->shape == SHAPE_PAIRS)
            release_list(k, base);
        else if (k->type && k->type->release)
            k->type->release(key_field(k, base));
    }
}

static bool equal_item(const struct schema_key *k, const void *a, const void *b)
{
    if (k->shape == SHAPE_MAPS || k->shape == SHAPE_PAIRS) {
        for (unsigned i = 0; i < k->sub->n; i++)
            if (!schema_equal(&k->sub->keys[i], a, b))
                return false;
        return true;
    }
    return k->type && k->type->equal ? k->type->equal(a, b) : !memcmp(a, b, k->size);
}

bool schema_equal(const struct schema_key *k, const void *a, const void *b)
{
    if (k->shape == SHAPE_TEMPLATES || k->shape == SHAPE_POLICIES || k->shape == SHAPE_SETS ||
        (k->flags & KEY_NOT_YET))
        return true; /* of policies it matters who uses them: type_import, type_export */
    if (k->shape == SHAPE_MAP) {
        if (k->type && k->type->equal && !k->type->equal(key_field(k, a), key_field(k, b)))
            return false;
        for (unsigned i = 0; i < k->sub->n; i++)
            if (!schema_equal(&k->sub->keys[i], a, b))
                return false;
        return true;
    }
    if (k->shape != SHAPE_LIST && k->shape != SHAPE_MAPS && k->shape != SHAPE_PAIRS)
        return equal_item(k, key_field(k, a), key_field(k, b));
    struct list x = key_list(k, a), y = key_list(k, b);
    bool same = x.n == y.n;
    for (unsigned i = 0; same && i < x.n; i++)
        same = equal_item(k, (char *)x.items + (size_t)i * k->size, (char *)y.items + (size_t)i * k->size);
    return same;
}
