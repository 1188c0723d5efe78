/* The scalars of advertise.kubernetes, and what no single one of its keys shows.
 *
 * A mapping turns it on, `true` too, as bfd of a peer does. What is derived from outside of the file is found
 * here once: the name of the node, and from the kubeconfig how the API server is reached, so that --check
 * says what is wrong with it. Not here: what the API server says. */
#include "config_kube.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_int.h"
#include "config_schema.h"

#define WHERE "advertise.kubernetes"

static int parse_kube(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    struct config_kube *c = field;
    (void)k;
    c->on = !strcmp(text, "true");
    if (!c->on && strcmp(text, "false") != 0 && strcmp(text, "off") != 0)
        return value_wrong(why, "`%.40s` is not true, off or a mapping of keys", text);
    return 0;
}

static const char *format_kube(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    (void)k, (void)buf, (void)size;
    return ((const struct config_kube *)field)->on ? "true" : "off";
}

static bool equal_kube(const void *a, const void *b)
{
    return ((const struct config_kube *)a)->on == ((const struct config_kube *)b)->on;
}

static int parse_server(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    const char *wrong;
    if (!kube_server_valid(text, &wrong))
        return value_wrong(why, "`%.80s`: %s", text, wrong);
    return type_string.parse(&(struct schema_key){.name = k->name, .min = 1, .max = 300}, field, text, why);
}

static bool is_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && (!strchr("-_.", s[i]) || i == 0 || i == n - 1))
            return false;
    return n > 0 && n <= 63;
}

/* [DNS-PREFIX/]NAME, so many bytes of s. */
static bool is_qualified_name(const char *s, size_t n)
{
    const char *slash = memchr(s, '/', n);
    size_t prefix = slash ? (size_t)(slash - s) : 0;
    if (!slash)
        return is_name(s, n);
    for (size_t i = 0; i < prefix; i++)
        if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) && s[i] != '-' && s[i] != '.')
            return false;
    return prefix > 0 && prefix <= 253 && is_name(slash + 1, n - prefix - 1);
}

static int parse_label_key(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    if (!is_qualified_name(text, strlen(text)))
        return value_wrong(why, "`%.80s` is not the name of a label, such as app or example.com/app", text);
    return type_string.parse(&(struct schema_key){.name = k->name, .min = 1, .max = 317}, field, text, why);
}

static int parse_label_value(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    if (*text && !is_name(text, strlen(text)))
        return value_wrong(
            why, "`%.80s` is not the value of a label: at most 63 of A-Z, a-z, 0-9, -, _ and .", text);
    return type_string.parse(k, field, text, why);
}

/* KEY[=VALUE][:EFFECT] */
static int parse_taint(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    const char *effect = strchr(text, ':');
    size_t n = strcspn(text, "=:");
    if (!is_qualified_name(text, n) || (text[n] == '=' && effect && effect == text + n + 1))
        return value_wrong(why, "`%.80s` is not a taint; KEY, KEY=VALUE, KEY:EFFECT and KEY=VALUE:EFFECT are",
                           text);
    if (effect && strcmp(effect, ":NoSchedule") != 0 && strcmp(effect, ":PreferNoSchedule") != 0 &&
        strcmp(effect, ":NoExecute") != 0)
        return value_wrong(
            why, "`%.40s` is not the effect of a taint; NoSchedule, PreferNoSchedule and NoExecute are",
            effect + 1);
    return type_string.parse(&(struct schema_key){.name = k->name, .min = 1, .max = 400}, field, text, why);
}

static int parse_unicast(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    int err = type_prefix.parse(k, field, text, why);
    if (!err && (prefix_is_default(field) || prefix_is_martian(field)))
        return value_wrong(why, "`%.60s` is no unicast prefix that can be advertised", text);
    return err;
}

static void derive_node(struct load *ld, struct config_kube *c)
{
    char host[VARS_STRLEN];
    if (!c->node)
        c->node = strdup(vars_node_name(host));
    if (!c->node)
        ld->oom = true;
}

static void load_access(struct load *ld, struct config_kube *c, const struct node *section,
                        const struct path *path)
{
    const struct node *at = node_find(section, "kubeconfig");
    char *why = NULL;
    int err = kube_access_load(c->kubeconfig, c->servers, c->n_servers, ld->files, &c->access, &why);
    if (err == -ENOMEM)
        ld->oom = true;
    else if (err)
        load_error(ld, at ? at : section, at ? &(struct path){.up = path, .name = "kubeconfig"} : path, "%s",
                   why ? why : "cannot be read");
    free(why);
}

static void check_rules(struct load *ld, const struct config_kube *c, const struct node *section)
{
    const struct node *list =
        node_find(node_find(node_find(section, "services"), "selector"), "matchExpressions");
    struct path path = {.name = WHERE ".services.selector.matchExpressions"};
    for (unsigned i = 0; list && list->kind == NODE_SEQ && i < c->services.n_rules && i < list->n; i++) {
        const struct config_label_rule *r = &c->services.rules[i];
        struct path at = {.up = &path, .index = i};
        bool takes = r->op == LABEL_IN || r->op == LABEL_NOT_IN;
        if (takes && !r->n_values)
            load_error(ld, list->items[i], &at, "has no values; In and NotIn need some");
        else if (!takes && r->n_values)
            load_error(ld, list->items[i], &at, "has values; Exists and DoesNotExist take none");
    }
}

bool config_kube_same_selection(const struct config_kube *a, const struct config_kube *b)
{
    static const char *const keys[] = {"selector", "load-balancer-class"};
    const struct schema_section *services = schema_find(&schema_kube, "services")->sub;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!schema_equal(schema_find(services, keys[i]), outer_of(a, const struct config, advertise.kube),
                          outer_of(b, const struct config, advertise.kube)))
            return false;
    return true;
}

void check_kube(struct load *ld)
{
    struct config_kube *c = &ld->config->advertise.kube;
    const struct node *section = node_find(node_find(ld->root, "advertise"), "kubernetes");
    const struct node *services = node_find(section, "services"),
                      *template = node_find(section, "peer-template");
    struct path path = {.name = WHERE};
    if (section && section->kind == NODE_MAP)
        c->on = true;
    if (!c->on)
        return;
    derive_node(ld, c);
    load_access(ld, c, section, &path);
    check_rules(ld, c, section);
    if (c->services.mode[KUBE_CLUSTER_IP] == KUBE_VIP_AGGREGATE && !c->services.n_cidrs)
        load_error(ld, node_find(services, "cluster-ips"),
                   &(struct path){.up = &path, .name = "services.cluster-ips"},
                   "aggregate needs `cidrs`: the API server's --service-cluster-ip-range");
    if (template && c->peer_template && !node_find(node_find(ld->root, "peer-templates"), c->peer_template))
        load_error(ld, template, &(struct path){.up = &path, .name = "peer-template"},
                   "no template `%.40s` in peer-templates; add it there", c->peer_template);
}

static const char *string_format(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    return type_string.format(k, field, buf, size);
}
static bool string_equal(const void *a, const void *b)
{
    return type_string.equal(a, b);
}
static void string_release(void *field)
{
    type_string.release(field);
}
static const char *prefix_text(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    return type_prefix.format(k, field, buf, size);
}

/* clang-format off */
#define STRING(parse) parse, string_format, string_equal, string_release
const struct value_type type_kube = {"true, off, or a mapping of keys", parse_kube, format_kube, equal_kube, NULL};
const struct value_type type_server = {"https://HOST:PORT", STRING(parse_server)};
const struct value_type type_taint = {"a taint", STRING(parse_taint)};
const struct value_type type_label_key = {"the name of a label", STRING(parse_label_key)};
const struct value_type type_label_value = {"the value of a label", STRING(parse_label_value)};
const struct value_type type_unicast = {"a prefix", parse_unicast, prefix_text, NULL, NULL};
/* clang-format on */
