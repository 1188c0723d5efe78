/* One entry per prefix in a search tree: it says what was told to source.c, so that what has not changed is
 * not told again, and it is what the file on disk holds. Attributes are made here, from the communities of
 * the configuration. Not here: why a prefix is advertised (rules.c, kube.c). */
#include "kube/advertise.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "rib/attr.h"
#include "source/source.h"
#include "speaker.h"

struct kube_advertise {
    struct speaker *s;
    void *tree; /* struct kube_entry by prefix; their service is owned */
    unsigned count;
    unsigned counts[16]; /* by all that an entry is wanted for */
    unsigned leaving;
};

static int compare(const void *a, const void *b)
{
    return prefix_cmp(&((const struct kube_entry *)a)->prefix, &((const struct kube_entry *)b)->prefix);
}

struct kube_advertise *kube_advertise_new(struct speaker *s)
{
    struct kube_advertise *a = calloc(1, sizeof *a);
    if (a)
        a->s = s;
    return a;
}

static void free_entry(void *entry)
{
    struct kube_entry *e = entry;
    free((char *)e->service);
    free(e);
}

void kube_advertise_free(struct kube_advertise *a)
{
    if (!a)
        return;
    tdestroy(a->tree, free_entry);
    free(a);
}

static struct kube_entry *find(const struct kube_advertise *a, const struct prefix *p)
{
    struct kube_entry key = {.prefix = *p},
                      **node = tfind(&key, &((struct kube_advertise *)a)->tree, compare);
    return node ? *node : NULL;
}

const struct kube_entry *kube_advertise_find(const struct kube_advertise *a, const struct prefix *p)
{
    return find(a, p);
}

/* Of our own AS 0, before the annotation has come, nothing can be said: then there is no peer to hear it
 * either. */
static void tell(struct kube_advertise *a, const struct kube_entry *e)
{
    const struct config_kube *c = &a->s->config->advertise.kube;
    struct advertise_options o = {.weight = e->weight < ATTR_WEIGHT_MOST ? e->weight : ATTR_WEIGHT_MOST};
    unsigned kinds = e->by & SOURCE_KUBE_VIP ? e->kinds : 0;
    if (e->by & SOURCE_KUBE_SERVICE_CIDR)
        kinds |= 1u << KUBE_CLUSTER_IP;
    for (unsigned k = 0; k < KUBE_VIP_KINDS; k++)
        if (kinds & 1u << k)
            advertise_add_communities(&o, &c->communities.vip[k]);
    if (e->by & SOURCE_KUBE_POD_CIDR)
        advertise_add_communities(&o, &c->communities.pod_cidrs);
    if (e->by & SOURCE_KUBE_NODE_ADDRESS)
        advertise_add_communities(&o, &c->communities.node_address);
    int rc = sources_set_kube(a->s->sources, &e->prefix, e->by, &o, e->by && !(e->by & ~a->leaving));
    if (rc)
        log_error("cannot change what is advertised for Kubernetes", F_PREFIX("prefix", &e->prefix),
                  F_ERR(rc));
}

static bool same(const struct kube_entry *a, const struct kube_entry *b)
{
    return a->by == b->by && a->kinds == b->kinds && a->weight == b->weight;
}

static bool same_service(const struct kube_entry *a, const struct kube_entry *b)
{
    return a->service && b->service ? !strcmp(a->service, b->service) : a->service == b->service;
}

static void remove_entry(struct kube_advertise *a, struct kube_entry *e)
{
    struct kube_entry none = {.prefix = e->prefix};
    tdelete(e, &a->tree, compare);
    a->count--;
    a->counts[e->by & 15]--;
    free_entry(e);
    tell(a, &none);
}

static struct kube_entry *add_entry(struct kube_advertise *a, const struct prefix *p)
{
    struct kube_entry *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->prefix = *p;
    if (!tsearch(e, &a->tree, compare)) {
        free(e);
        return NULL;
    }
    a->count++;
    a->counts[0]++; /* wanted for nothing yet */
    return e;
}

bool kube_advertise_set(struct kube_advertise *a, const struct kube_entry *want)
{
    struct kube_entry *e = find(a, &want->prefix);
    if (!want->by) {
        if (e)
            remove_entry(a, e);
        return e;
    }
    if (e && same(e, want)) {
        e->unconfirmed &= want->unconfirmed;
        if (same_service(e, want))
            return false;
    }
    char *service = want->service ? strdup(want->service) : NULL;
    bool told = e && same(e, want);
    e = e ? e : add_entry(a, &want->prefix);
    if (!e || (want->service && !service)) {
        log_error("cannot change what is advertised for Kubernetes", F_PREFIX("prefix", &want->prefix),
                  F_ERR(ENOMEM));
        free(service);
        if (e && !e->by)
            remove_entry(a, e);
        return false;
    }
    free((char *)e->service);
    a->counts[e->by & 15]--;
    a->counts[want->by & 15]++;
    *e = *want;
    e->service = service;
    if (!told)
        tell(a, e);
    return true;
}

struct list {
    struct kube_entry **list;
    unsigned n;
};

static void collect(const void *node, VISIT which, void *arg)
{
    struct list *l = arg;
    if (which == postorder || which == leaf)
        l->list[l->n++] = *(struct kube_entry *const *)node;
}

/* What is there when the walk begins; tdelete inside of twalk is not allowed. */
static void walk(const struct kube_advertise *a, struct list *l)
{
    *l = (struct list){.list = malloc((a->count ? a->count : 1) * sizeof *l->list)};
    if (l->list)
        twalk_r(a->tree, collect, l);
    else
        log_error("cannot list what is advertised for Kubernetes", F_ERR(ENOMEM));
}

void kube_advertise_each(const struct kube_advertise *a, void (*cb)(void *arg, const struct kube_entry *e),
                         void *arg)
{
    struct list l;
    walk(a, &l);
    for (unsigned i = 0; i < l.n; i++)
        cb(arg, l.list[i]);
    free(l.list);
}

void kube_advertise_leaving(struct kube_advertise *a, unsigned by)
{
    struct list l;
    unsigned before = a->leaving;
    if (before == by)
        return;
    a->leaving = by;
    walk(a, &l);
    for (unsigned i = 0; i < l.n; i++)
        if (!(l.list[i]->by & ~by) != !(l.list[i]->by & ~before))
            tell(a, l.list[i]);
    free(l.list);
}

void kube_advertise_again(struct kube_advertise *a)
{
    struct list l;
    walk(a, &l);
    for (unsigned i = 0; i < l.n; i++)
        tell(a, l.list[i]);
    free(l.list);
}

unsigned kube_advertise_count(const struct kube_advertise *a, unsigned by)
{
    unsigned n = 0;
    for (unsigned i = 0; i < 16; i++)
        n += i & by ? a->counts[i] : 0;
    return n;
}
