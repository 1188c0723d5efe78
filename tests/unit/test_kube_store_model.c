/* The store under random events, beside a model that holds the same objects in arrays and sums up anew each
 * time, and one who knows only what the list told. Small numbers, so that everything meets. */
#include "kube_store_fixture.h"

enum { NAMES = 4, SLICES = 5, IPS = 6 };
static const char *const ips[IPS] = {"192.0.2.1",   "192.0.2.2",   "192.0.2.3",
                                     "2001:db8::1", "2001:db8::2", "10.96.0.1"};
struct model {
    struct kube_service *services[NAMES];
    struct kube_slice *slices[SLICES];
    struct kube_vip_state told[IPS]; /* as judged when the address was last on the list */
};

static uint32_t roll(uint32_t below)
{
    static uint32_t state = 1;
    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
}

static json_t *any_service(unsigned name)
{
    json_t *o =
        service((char[]){(char)('a' + name), 0}, roll(2) ? "Local" : NULL, roll(3) ? ips[roll(5)] : NULL);
    json_t *external = json_array();
    for (unsigned n = roll(3); n; n--)
        json_array_append_new(external, json_string(ips[roll(IPS)]));
    json_object_set_new(json_object_get(o, "spec"), "externalIPs", external);
    if (!roll(4))
        json_object_set_new(json_object_get(o, "spec"), "clusterIP", json_string("None"));
    return o;
}

static void model_service(struct world *w, struct model *m)
{
    unsigned name = roll(NAMES);
    json_t *o = any_service(name);
    kube_service_free(m->services[name]);
    m->services[name] = NULL;
    if (roll(4)) {
        m->services[name] = kube_service_parse(o, &w->config);
        CU_ASSERT_EQUAL(kube_store_put(w->st, KUBE_SERVICES, o), 0);
    } else {
        kube_store_gone(w->st, KUBE_SERVICES, o);
    }
    json_decref(o);
}

static void model_slice(struct world *w, struct model *m)
{
    static const char *const types[] = {"IPv4", "IPv6", "IPv4", "IPv6", "FQDN"};
    unsigned name = roll(SLICES);
    json_t *o = slice((char[]){(char)('p' + name), 0}, (char[]){(char)('a' + roll(NAMES)), 0}, types[roll(5)],
                      roll(3), roll(2));
    json_t *e = json_array_get(json_object_get(o, "endpoints"), 0);
    if (e && roll(2))
        json_object_set_new(e, "conditions",
                            json_of("{'ready': false, 'serving': true, 'terminating': true}"));
    kube_slice_free(m->slices[name]);
    m->slices[name] = NULL;
    if (roll(4)) {
        m->slices[name] = kube_slice_parse(o, "n1");
        CU_ASSERT_EQUAL(kube_store_put(w->st, KUBE_SLICES, o), 0);
    } else {
        kube_store_gone(w->st, KUBE_SLICES, o);
    }
    json_decref(o);
}

static struct kube_endpoints model_endpoints(const struct model *m, const char *service, enum family f)
{
    struct kube_endpoints sum = {0};
    for (unsigned i = 0; i < SLICES; i++) {
        const struct kube_slice *s = m->slices[i];
        if (!s || !s->service || s->family != f || strcmp(s->service, service))
            continue;
        sum.ready = (uint16_t)(sum.ready + s->endpoints.ready);
        sum.ready_here = (uint16_t)(sum.ready_here + s->endpoints.ready_here);
        sum.terminating = (uint16_t)(sum.terminating + s->endpoints.terminating);
        sum.terminating_here = (uint16_t)(sum.terminating_here + s->endpoints.terminating_here);
    }
    return sum;
}

static struct kube_vip_state model_judge(const struct world *w, const struct model *m,
                                         const struct ip_addr *ip, const struct kube_node_view *view)
{
    struct kube_vip_state out = {0};
    for (unsigned i = 0; i < NAMES; i++) {
        const struct kube_service *s = m->services[i];
        for (unsigned v = 0; s && v < s->n_vips; v++) {
            struct kube_endpoints e = model_endpoints(m, s->name, addr_family(ip));
            struct kube_verdict verdict = kube_rule(&w->config, view, s, &s->vips[v], &e);
            if (!addr_equal(&s->vips[v].addr, ip) || verdict.reason != KUBE_ADVERTISED)
                continue;
            out.service = out.service ? out.service : s->name;
            out.advertise = true;
            out.kinds |= (uint8_t)(1 << s->vips[v].kind);
            out.weight = verdict.weight > out.weight ? verdict.weight : out.weight;
        }
    }
    return out;
}

/* Who is told by the list alone knows what there is. */
static bool model_agrees(struct world *w, struct model *m, const struct kube_node_view *view)
{
    struct ip_addr vip;
    bool agrees = true;
    while (kube_store_next(w->st, &vip))
        for (unsigned i = 0; i < IPS; i++) {
            struct ip_addr ip;
            addr_parse(ips[i], &ip);
            if (addr_equal(&ip, &vip))
                kube_store_judge(w->st, &vip, &m->told[i]);
        }
    for (unsigned i = 0; i < IPS; i++) {
        struct kube_vip_state now = judge(w, ips[i]);
        addr_parse(ips[i], &vip);
        struct kube_vip_state is = model_judge(w, m, &vip, view);
        agrees &= now.advertise == is.advertise && now.kinds == is.kinds && now.weight == is.weight &&
                  !strcmp(now.service ? now.service : "", is.service ? is.service : "") &&
                  m->told[i].advertise == is.advertise && m->told[i].weight == is.weight &&
                  m->told[i].kinds == is.kinds;
    }
    return agrees;
}

static void random_events_leave_what_a_model_says(void)
{
    struct kube_node_view view = {.known = true};
    struct model m = {0};
    struct world w;
    unsigned wrong = 0;
    open_world(&w);
    w.config.services.weight_by_endpoints = true;
    for (unsigned i = 0; i < 20000; i++) {
        for (unsigned n = roll(3); n; n--)
            (roll(2) ? model_service : model_slice)(&w, &m);
        if (!roll(20)) {
            view = (struct kube_node_view){.known = roll(4), .excluded = !roll(3), .drained = !roll(5)};
            kube_store_set_node_view(w.st, &view);
        }
        wrong += !model_agrees(&w, &m, &view);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    for (unsigned i = 0; i < NAMES; i++)
        kube_service_free(m.services[i]);
    for (unsigned i = 0; i < SLICES; i++)
        kube_slice_free(m.slices[i]);
    close_world(&w);
}

static const struct unit_case cases[] = {
    UNIT(random_events_leave_what_a_model_says),
};
UNIT_MAIN("kube store model", cases)
