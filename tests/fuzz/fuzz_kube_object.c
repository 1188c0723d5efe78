/* Objects of Kubernetes. The input is JSON, as many values as there are: objects, or events as a watch has
 * them, {"type": "DELETED", "object": {...}}, with LIST and END for the bounds of a list. Each goes to every
 * parser and, as every kind, into one store. What is parsed keeps the promises of object.h; what the store
 * says of an address is what its services say; and when all has gone, nothing is left. */
#include <errno.h>
#include <jansson.h>

#include "kube/store.h"
#include "tests/fuzz/fuzz.h"

static char *text(const char *s)
{
    return (char *)s;
}

/* A configuration in which everything can matter. */
static void configure(struct config_kube *c, struct config_label *label, struct config_label_rule *rules)
{
    static char *values[2];
    values[0] = text("db");
    values[1] = text("");
    *label = (struct config_label){text("app"), text("lb")};
    rules[0] = (struct config_label_rule){text("tier"), LABEL_NOT_IN, values, 2};
    rules[1] = (struct config_label_rule){text("env"), LABEL_DOES_NOT_EXIST, NULL, 0};
    *c = (struct config_kube){.services = {.mode = {KUBE_VIP_LOCAL, KUBE_VIP_AUTO, KUBE_VIP_AUTO},
                                           .load_balancer_class = text("x.io/y"),
                                           .labels = label,
                                           .rules = rules,
                                           .n_rules = 2,
                                           .weight_by_endpoints = true}};
}

static void check_node(const json_t *o)
{
    struct kube_node *n = kube_node_parse(o), *again = kube_node_parse(o);
    FUZZ_CHECK(!n == !again);
    if (!n)
        return;
    FUZZ_CHECK(kube_node_equal(n, again) && n->name[0]);
    FUZZ_CHECK(n->n_pod_cidrs <= KUBE_NODE_ADDRESSES_MOST && n->n_internal_ips <= KUBE_NODE_ADDRESSES_MOST);
    for (unsigned i = 0; i < n->n_pod_cidrs; i++) {
        struct prefix p = prefix_make(&n->pod_cidrs[i].addr, n->pod_cidrs[i].len);
        FUZZ_CHECK(prefix_equal(&p, &n->pod_cidrs[i]) && !prefix_is_default(&p) && !prefix_is_martian(&p));
    }
    for (unsigned i = 0; i < n->n_taints; i++)
        FUZZ_CHECK(kube_taint_matches(n->taints[i], n->taints[i]));
    kube_node_free(n);
    kube_node_free(again);
}

static void check_service(const json_t *o, const struct config_kube *c)
{
    struct kube_service *s = kube_service_parse(o, c), *again = kube_service_parse(o, c);
    FUZZ_CHECK(!s == !again);
    if (!s)
        return;
    FUZZ_CHECK(kube_service_equal(s, again) && strchr(s->name, '/') && s->type <= KUBE_SERVICE_EXTERNAL_NAME);
    for (unsigned i = 0; i < s->n_vips; i++) {
        FUZZ_CHECK(s->vips[i].addr.af && s->vips[i].kind < KUBE_VIP_KINDS);
        FUZZ_CHECK(!i || s->vips[i - 1].kind <= s->vips[i].kind);
        FUZZ_CHECK(s->vips[i].kind != KUBE_LOAD_BALANCER || s->type == KUBE_SERVICE_LOAD_BALANCER);
        for (unsigned k = 0; k < i; k++)
            FUZZ_CHECK(s->vips[i].kind != s->vips[k].kind || !addr_equal(&s->vips[i].addr, &s->vips[k].addr));
    }
    kube_service_free(s);
    kube_service_free(again);
}

static void check_slice(const json_t *o)
{
    struct kube_slice *s = kube_slice_parse(o, "n1");
    if (!s)
        return;
    FUZZ_CHECK(strchr(s->name, '/') && (!s->service || strchr(s->service, '/')));
    FUZZ_CHECK(s->endpoints.ready_here <= s->endpoints.ready);
    FUZZ_CHECK(s->endpoints.terminating_here <= s->endpoints.terminating);
    kube_slice_free(s);
}

/* Every service of the store against what the store says of its addresses. */
static void check_store(struct kube_store *st)
{
    struct kube_store_counts counts;
    struct ip_addr vip;
    unsigned services = 0;
    while (kube_store_next(st, &vip))
        ;
    for (const struct kube_service *s = NULL; (s = kube_store_service_after(st, s ? s->name : NULL));
         services++) {
        for (unsigned i = 0; i < s->n_vips; i++) {
            struct kube_verdict v = kube_store_verdict(st, s, &s->vips[i]);
            struct kube_vip_state state;
            kube_store_judge(st, &s->vips[i].addr, &state);
            FUZZ_CHECK(v.reason < KUBE_REASONS && state.advertise == !!state.service);
            FUZZ_CHECK(state.advertise == !!state.kinds && (state.advertise || !state.weight));
            FUZZ_CHECK(v.reason != KUBE_ADVERTISED ||
                       (state.advertise && state.kinds >> s->vips[i].kind & 1 && state.weight >= v.weight &&
                        strcmp(state.service, s->name) <= 0));
        }
    }
    kube_store_counts(st, &counts);
    FUZZ_CHECK(counts.services == services && counts.pending == 0 &&
               counts.endpoints_here <= counts.endpoints);
}

static void event(struct kube_store *st, const json_t *value)
{
    const char *type = json_string_value(json_object_get(value, "type"));
    const json_t *inside = json_object_get(value, "object"), *o = inside ? inside : value;
    struct kube_store_counts before, after;
    for (int i = 0; i < KUBE_KINDS; i++) {
        enum kube_kind kind = (enum kube_kind)i;
        if (type && !strcmp(type, "LIST")) {
            kube_store_list_begin(st, kind);
        } else if (type && !strcmp(type, "END")) {
            kube_store_list_end(st, kind);
        } else if (type && !strcmp(type, "DELETED")) {
            kube_store_gone(st, kind, o);
        } else {
            int rc = kube_store_put(st, kind, o);
            FUZZ_CHECK(rc == 0 || rc == -EINVAL);
            /* The same once more changes nothing. */
            kube_store_counts(st, &before);
            FUZZ_CHECK(kube_store_put(st, kind, o) == rc);
            kube_store_counts(st, &after);
            FUZZ_CHECK(before.services == after.services && before.slices == after.slices &&
                       before.addresses == after.addresses && before.pending == after.pending &&
                       before.endpoints == after.endpoints && before.bytes == after.bytes);
        }
    }
}

static void end(struct kube_store *st)
{
    struct kube_store_counts counts;
    for (int kind = 0; kind < KUBE_KINDS; kind++) {
        kube_store_list_begin(st, (enum kube_kind)kind);
        kube_store_list_end(st, (enum kube_kind)kind);
    }
    check_store(st);
    kube_store_counts(st, &counts);
    FUZZ_CHECK(counts.nodes + counts.services + counts.slices + counts.addresses == 0 &&
               counts.endpoints == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kube_store *st; /* empty between two inputs; to make one takes longer than to use it */
    static struct config_kube c;
    static struct config_label label;
    static struct config_label_rule rules[2];
    struct kube_node_view view = {.known = true};
    if (!st)
        st = kube_store_new();
    FUZZ_CHECK(st);
    configure(&c, &label, rules);
    c.services.n_labels = size % 2; /* also with a selector that most do not fit */
    kube_store_configure(st, &c, "n1");
    kube_store_set_node_view(st, &view);
    for (json_error_t error; size;) {
        json_t *value = json_loadb((const char *)data, size,
                                   JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        if (!value)
            break;
        const json_t *inside = json_object_get(value, "object"), *o = inside ? inside : value;
        check_node(o);
        check_service(o, &c);
        check_slice(o);
        event(st, value);
        check_store(st);
        json_decref(value);
        data += error.position;
        size -= (size_t)error.position;
    }
    end(st);
    return 0;
}
