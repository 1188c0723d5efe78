/* This node's own object: its pod CIDRs and addresses, and when it wants to be left alone.
 *
 * Two reasons to leave. A cordon or a taint makes the services leave, and what else the node has stays: its
 * pods are there until they have been moved. When the object is deleted, all of it leaves. In both cases
 * GRACEFUL_SHUTDOWN is said first, for as long as the grace, unless there is nothing that could be taken back
 * gracefully. An API server that is away is no reason at all. */
#include <stdlib.h>
#include <string.h>

#include "fibclient.h"
#include "kube/kube_internal.h"
#include "source/source.h"

#define BY_NODE     (SOURCE_KUBE_POD_CIDR | SOURCE_KUBE_NODE_ADDRESS | SOURCE_KUBE_SERVICE_CIDR)
#define BY_SERVICES (SOURCE_KUBE_VIP | SOURCE_KUBE_SERVICE_CIDR)

/* What is wanted */

static bool on_lo(const struct kube *k, const struct ip_addr *a)
{
    const struct fib_address *list;
    unsigned n = fibclient_addresses(k->s->fib, &list);
    for (unsigned i = 0; i < n; i++) {
        const struct fib_link *link = fibclient_link(k->s->fib, list[i].ifindex);
        if (addr_equal(&list[i].addr, a) && link && (link->flags & FM_LINK_LOOP))
            return true;
    }
    return false;
}

static bool is_node_address(const struct kube *k, const struct kube_node *n, const struct prefix *p)
{
    for (unsigned i = 0; i < n->n_internal_ips; i++)
        if (prefix_is_host(p) && addr_equal(&n->internal_ips[i], &p->addr))
            return on_lo(k, &p->addr);
    return false;
}

static bool is_one_of(const struct prefix *list, unsigned n, const struct prefix *p)
{
    for (unsigned i = 0; i < n; i++)
        if (prefix_equal(&list[i], p))
            return true;
    return false;
}

/* While there is no object, what was advertised for it until now: only the end of a grace takes that away. */
unsigned kube_node_wants(const struct kube *k, const struct prefix *p)
{
    const struct config_kube *c = kube_config(k);
    const struct kube_node *n = k->store ? kube_store_node(k->store) : NULL;
    if (k->node.withdrawn)
        return 0;
    if (!n) {
        const struct kube_entry *e = kube_advertise_find(k->advertise, p);
        return e ? e->by & BY_NODE : 0;
    }
    return (c->pod_cidrs && is_one_of(n->pod_cidrs, n->n_pod_cidrs, p) ? SOURCE_KUBE_POD_CIDR : 0) |
           (c->node_address && is_node_address(k, n, p) ? SOURCE_KUBE_NODE_ADDRESS : 0) |
           (c->services.mode[KUBE_CLUSTER_IP] == KUBE_VIP_AGGREGATE && !k->services.withdrawn &&
                    is_one_of(c->services.cidrs, c->services.n_cidrs, p)
                ? SOURCE_KUBE_SERVICE_CIDR
                : 0);
}

static void apply_one(struct kube *k, const struct prefix *p)
{
    const struct kube_entry *now = kube_advertise_find(k->advertise, p);
    struct kube_entry e = {.prefix = *p};
    if (now && (now->by & SOURCE_KUBE_VIP)) {
        e = *now;
        e.by &= (uint8_t)~BY_NODE;
    }
    e.by |= (uint8_t)kube_node_wants(k, p);
    if (kube_advertise_set(k->advertise, &e))
        kube_changed(k);
}

static void apply_entry(void *arg, const struct kube_entry *e)
{
    struct prefix p = e->prefix;
    if (e->by & BY_NODE)
        apply_one(arg, &p);
}

void kube_node_apply(struct kube *k)
{
    const struct config_kube *c = kube_config(k);
    const struct kube_node *n = k->store ? kube_store_node(k->store) : NULL;
    if (!n && !k->node.on)
        return;
    kube_advertise_each(k->advertise, apply_entry, k);
    for (unsigned i = 0; n && i < n->n_pod_cidrs; i++)
        apply_one(k, &n->pod_cidrs[i]);
    for (unsigned i = 0; n && i < n->n_internal_ips; i++) {
        struct prefix p = prefix_host(&n->internal_ips[i]);
        apply_one(k, &p);
    }
    for (unsigned i = 0; n && i < c->services.n_cidrs; i++)
        apply_one(k, &c->services.cidrs[i]);
    sources_kube_done(k->s->sources);
}

/* Leaving */

/* A node that is deleted is as it was until it has left. */
static void show_view(struct kube *k)
{
    const struct kube_node *n = kube_store_node(k->store);
    k->excluded = n ? n->excluded : k->excluded;
    struct kube_node_view v = {.known = n || (k->node.on && !k->node.withdrawn),
                               .excluded = k->excluded,
                               .drained = k->services.withdrawn || k->node.withdrawn};
    kube_store_set_node_view(k->store, &v);
}

static void say_leaving(struct kube *k)
{
    unsigned by = k->services.on ? BY_SERVICES : 0;
    if (k->node.on)
        by |= BY_NODE | BY_SERVICES;
    kube_advertise_leaving(k->advertise, by);
}

static void apply_leaving(struct kube *k)
{
    say_leaving(k);
    if (k->store)
        show_view(k);
    kube_disk_filter(k);
    kube_node_apply(k);
    kube_changed(k);
    task_wake(k->judge);
}

static void withdraw_services(void *arg)
{
    struct kube *k = arg;
    k->services.withdrawn = true;
    log_info("the node is cordoned or tainted: its service addresses are withdrawn");
    apply_leaving(k);
}

static void withdraw_node(void *arg)
{
    struct kube *k = arg;
    k->node.withdrawn = true;
    log_info("the node's object is deleted: all that Kubernetes had it advertise is withdrawn");
    apply_leaving(k);
}

static void set_leave(struct kube *k, struct kube_leave *l, bool on, unsigned by, const char *why)
{
    uint32_t grace = kube_config(k)->drain.grace_ms;
    if (l->on == on)
        return;
    l->on = on;
    l->withdrawn = false;
    l->since_ms = loop_now_ms();
    timer_stop(l->grace);
    if (!on)
        log_info("what Kubernetes wants of this node is advertised again", F_STR("reason", why));
    else if (!grace || !kube_advertise_count(k->advertise, by))
        l->withdrawn = true;
    else
        timer_set(l->grace, grace);
    if (on)
        log_info(l->withdrawn ? "leaving: nothing is advertised for it"
                              : "leaving: sent as a last choice until the grace is over",
                 F_STR("reason", why), F_UINT("grace", l->withdrawn ? 0 : grace / 1000));
}

static bool is_tainted(const struct kube *k, const struct kube_node *n)
{
    const struct config_kube *c = kube_config(k);
    for (unsigned i = 0; i < c->drain.n_taints; i++)
        for (unsigned t = 0; t < n->n_taints; t++)
            if (kube_taint_matches(n->taints[t], c->drain.taints[i]))
                return true;
    return false;
}

static void keep_annotations(struct kube *k, const struct kube_node *n)
{
    for (unsigned i = 0; i < KUBE_ANNOTATION_COUNT; i++) {
        const char *is = n->annotations[i], *was = k->annotations[i];
        if (is == was || (is && was && !strcmp(is, was)))
            continue;
        free(k->annotations[i]);
        k->annotations[i] = is ? strdup(is) : NULL;
    }
}

void kube_node_seen(struct kube *k)
{
    const struct kube_node *n = kube_store_node(k->store);
    struct reflector_info info;
    reflector_info(k->reflectors[KUBE_NODES], &info);
    if ((!n && !info.listed) || k->node_version == kube_store_node_version(k->store))
        return;
    k->node_version = kube_store_node_version(k->store);
    set_leave(k, &k->node, !n, UINT8_MAX, n ? "the node is back" : "the node's object is not there");
    bool cordoned = n && kube_config(k)->drain.cordon && n->unschedulable, tainted = n && is_tainted(k, n);
    if (n)
        set_leave(k, &k->services, cordoned || tainted, BY_SERVICES,
                  cordoned  ? "cordoned"
                  : tainted ? "tainted"
                            : "the cordon or taint is gone");
    apply_leaving(k);
    if (!n)
        return;
    keep_annotations(k, n);
    kube_settings_seen(k);
    kube_readiness_check(k);
}

/* A grace that is under way is counted from its beginning. */
static void regrace(const struct kube *k, struct kube_leave *l)
{
    uint64_t end = l->since_ms + kube_config(k)->drain.grace_ms, now = loop_now_ms();
    if (l->on && !l->withdrawn)
        timer_set(l->grace, end > now ? end - now : 0);
}

void kube_node_again(struct kube *k)
{
    regrace(k, &k->services);
    regrace(k, &k->node);
    k->node_version = UINT64_MAX;
    kube_node_seen(k);
}

unsigned kube_node_leaving(const struct kube *k)
{
    return (k->services.on && !k->services.withdrawn ? KUBE_SAVED_SERVICES_LEAVE : 0) |
           (k->node.on && !k->node.withdrawn ? KUBE_SAVED_NODE_LEAVES : 0);
}

void kube_node_leave_again(struct kube *k, unsigned leaving)
{
    if (leaving & KUBE_SAVED_SERVICES_LEAVE)
        set_leave(k, &k->services, true, BY_SERVICES, "cordoned or tainted, as last known");
    if (leaving & KUBE_SAVED_NODE_LEAVES)
        set_leave(k, &k->node, true, UINT8_MAX, "the node's object is not there, as last known");
    say_leaving(k);
}

bool kube_node_new(struct kube *k)
{
    k->services.grace = timer_new(k->s->loop, withdraw_services, k);
    k->node.grace = timer_new(k->s->loop, withdraw_node, k);
    return k->services.grace && k->node.grace;
}

void kube_node_reset(struct kube *k)
{
    timer_stop(k->services.grace);
    timer_stop(k->node.grace);
    k->services.on = k->services.withdrawn = k->node.on = k->node.withdrawn = k->excluded = false;
    kube_advertise_leaving(k->advertise, 0);
}

void kube_node_free_parts(struct kube *k)
{
    timer_free(k->services.grace);
    timer_free(k->node.grace);
    for (unsigned i = 0; i < KUBE_ANNOTATION_COUNT; i++)
        free(k->annotations[i]);
}
