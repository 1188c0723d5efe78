/* Originated prefixes and who wants them.
 *
 * One node per prefix in a search tree (glibc's tsearch), with a flag per source: pod CIDR, VIP and interface
 * address come from the configuration, `cli` from underlayctl. The RIB gets one originated path a prefix: its
 * kind is the strongest source's (a pod CIDR guards the import and has an unreachable route), its attributes
 * those of the CLI when it set any, else of the VIP, else of Kubernetes. Applying a configuration marks what
 * it wants, then sweeps what nobody wants any more, so that a reload never withdraws and advertises again
 * what has not changed.
 *
 * Not here: what Kubernetes wants (kube/advertise.c), and health checks, which will be a source beside these.
 */
#include "source/source.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fibclient.h"
#include "lib/community.h"
#include "log.h"
#include "speaker.h"

enum wanted {
    BY_POD_CIDR = 1,
    BY_VIP = 2,
    BY_INTERFACE = 4,
    BY_CLI = 8,
    BY_KUBE_SHIFT = 4, /* enum source_kube from here on */
    BY_KUBE = 0xf0,
    BY_CONFIG = BY_POD_CIDR | BY_VIP
};
#define ANY_POD_CIDR (BY_POD_CIDR | SOURCE_KUBE_POD_CIDR << BY_KUBE_SHIFT)
#define ANY_VIP      (BY_VIP | (SOURCE_KUBE_VIP | SOURCE_KUBE_SERVICE_CIDR) << BY_KUBE_SHIFT)
#define ANY_ADDRESS  (BY_INTERFACE | SOURCE_KUBE_NODE_ADDRESS << BY_KUBE_SHIFT)

struct source {
    struct prefix prefix;
    uint8_t wanted;          /* now */
    uint8_t keep;            /* while applying: what the new configuration wants */
    bool bound, bind_keep;   /* the VIP is on lo */
    const struct attr *vip;  /* attributes from the configuration; NULL without BY_VIP */
    const struct attr *cli;  /* from the CLI; NULL without BY_CLI */
    const struct attr *kube; /* from Kubernetes; NULL without BY_KUBE */
    bool kube_leaves;        /* which will take it back soon */
};

struct sources {
    struct speaker *s;
    void *tree;               /* struct source by prefix */
    const struct attr *plain; /* no attribute but ORIGIN IGP */
    struct prefix *pod_cidrs; /* borrowed order of the configuration; own copy */
    unsigned n_pod_cidrs;
    unsigned count;
    uint32_t asn; /* says the weights */
    enum drain_phase drain;
    bool guard_changed; /* the set that the import refuses has changed since the last word about it */
};

static int compare(const void *a, const void *b)
{
    return prefix_cmp(&((const struct source *)a)->prefix, &((const struct source *)b)->prefix);
}

static struct source *find(const struct sources *s, const struct prefix *p)
{
    struct source key = {.prefix = *p};
    struct source **node = tfind(&key, &((struct sources *)s)->tree, compare);
    return node ? *node : NULL;
}

/* One search: a node that is new points at the key until it has what it is for. */
static struct source *find_or_add(struct sources *s, const struct prefix *p)
{
    struct source key = {.prefix = *p}, **node = tsearch(&key, &s->tree, compare), *src;
    if (!node || *node != &key)
        return node ? *node : NULL;
    src = malloc(sizeof *src);
    if (!src) {
        tdelete(&key, &s->tree, compare);
        return NULL;
    }
    *src = key;
    *node = src;
    s->count++;
    return src;
}

static void drop_attr(struct sources *s, const struct attr **a)
{
    if (*a)
        attr_unref(s->s->attrs, *a);
    *a = NULL;
}

static void forget(struct sources *s, struct source *src)
{
    tdelete(src, &s->tree, compare);
    drop_attr(s, &src->vip);
    drop_attr(s, &src->cli);
    drop_attr(s, &src->kube);
    free(src);
    s->count--;
}

/* walk() collects first: tdelete inside twalk is not allowed. */
struct walk {
    struct source **list;
    unsigned n;
};

static void collect(const void *node, VISIT which, void *arg)
{
    struct walk *w = arg;
    if (which == postorder || which == leaf)
        w->list[w->n++] = *(struct source *const *)node;
}

static int all_sources(const struct sources *s, struct walk *w)
{
    *w = (struct walk){.list = calloc(s->count ? s->count : 1, sizeof *w->list)};
    if (!w->list)
        return -ENOMEM;
    twalk_r(s->tree, collect, w);
    return 0;
}

static void put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}

/* What a drained node says of a. The mark makes it outlast an export policy. A reference. */
static const struct attr *drained(struct sources *s, const struct attr *a, enum drain_phase phase)
{
    struct attr_build b;
    uint8_t communities[4 * (ADVERTISE_COMMUNITIES + 1)];
    attr_to_build(s->s->attrs, a, &b);
    uint16_t len = b.part_len[PART_COMMUNITY];
    memcpy(communities, b.part[PART_COMMUNITY], len);
    put_u32(communities + len, COMMUNITY_GRACEFUL_SHUTDOWN);
    b.part[PART_COMMUNITY] = communities;
    b.part_len[PART_COMMUNITY] = (uint16_t)(len + 4);
    b.local_pref = 0;
    b.flags |= ATTR_HAS_LOCAL_PREF | ATTR_DRAINING;
    if (phase == DRAIN_WITHDRAWN)
        b.flags |= ATTR_WITHHELD;
    return attr_intern(s->s->attrs, &b);
}

/* Tells the RIB what one source is now; forgets it when nobody wants it. */
static int publish(struct sources *s, struct source *src)
{
    enum family f = addr_family(&src->prefix.addr);
    if (!src->wanted) {
        rib_unoriginate(s->s->rib, f, &src->prefix);
        forget(s, src);
        return 0;
    }
    enum origin_kind kind = src->wanted & ANY_POD_CIDR  ? ORIGIN_KIND_POD_CIDR
                            : src->wanted & ANY_VIP     ? ORIGIN_KIND_VIP
                            : src->wanted & ANY_ADDRESS ? ORIGIN_KIND_INTERFACE
                                                        : ORIGIN_KIND_STATIC;
    const struct attr *a = src->cli ? src->cli : src->vip ? src->vip : src->kube ? src->kube : s->plain;
    enum drain_phase phase = s->drain;
    if (!phase && src->kube_leaves && !(src->wanted & ~BY_KUBE))
        phase = DRAIN_SHUTDOWN;
    rib_set_now(s->s->rib, (loop_now_ms() - s->s->started_ms) / 1000);
    if (!phase)
        return rib_originate(s->s->rib, f, &src->prefix, kind, a);
    const struct attr *out = drained(s, a, phase);
    int rc = out ? rib_originate(s->s->rib, f, &src->prefix, kind, out) : -ENOMEM;
    if (out)
        attr_unref(s->s->attrs, out);
    return rc;
}

static void tell_guard(struct sources *s)
{
    if (s->guard_changed)
        speaker_own_prefixes_changed(s->s);
    s->guard_changed = false;
}

/* What one source that has been published means to the import. A pod CIDR guards what is inside of it, which
 * takes a walk over the whole table; everything else nothing but itself: services come and go many times a
 * second. */
static void guard(struct sources *s, const struct prefix *p, uint8_t before, uint8_t now)
{
    if ((before ^ now) & ANY_POD_CIDR)
        s->guard_changed = true;
    else if (!before != !now)
        rib_reimport_prefix(s->s->rib, addr_family(&p->addr), p);
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int compare_large(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    for (int i = 0; i < 3; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

/* Attributes of an originated route: communities sorted and unique, as interning wants them. */
static const struct attr *make_attr(struct sources *s, const struct advertise_options *o)
{
    struct advertise_options c = *o;
    uint8_t standard[sizeof c.communities], large[sizeof c.large], extended[8];
    uint16_t n_standard = 0, n_large = 0;
    qsort(c.communities, c.n_communities, sizeof c.communities[0], compare_u32);
    qsort(c.large, c.n_large, sizeof c.large[0], compare_large);
    for (unsigned i = 0; i < c.n_communities; i++)
        if (!i || c.communities[i] != c.communities[i - 1]) {
            put_u32(standard + n_standard, c.communities[i]);
            n_standard += 4;
        }
    for (unsigned i = 0; i < c.n_large; i++)
        if (!i || compare_large(c.large[i], c.large[i - 1])) {
            for (int k = 0; k < 3; k++)
                put_u32(large + n_large + 4 * k, c.large[i][k]);
            n_large += 12;
        }
    struct attr_build b = {.origin = ORIGIN_IGP};
    if (c.has_med) {
        b.flags |= ATTR_HAS_MED;
        b.med = c.med;
    }
    b.part[PART_COMMUNITY] = standard;
    b.part_len[PART_COMMUNITY] = n_standard;
    b.part[PART_LARGE] = large;
    b.part_len[PART_LARGE] = n_large;
    if (c.weight) {
        b.part_len[PART_EXTENDED] = (uint16_t)attr_put_weight(NULL, 0, s->asn, c.weight, extended);
        b.part[PART_EXTENDED] = extended;
    }
    return attr_intern(s->s->attrs, &b);
}

struct sources *sources_new(struct speaker *speaker)
{
    struct sources *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->s = speaker;
    s->plain = make_attr(s, &(struct advertise_options){0});
    if (!s->plain) {
        free(s);
        return NULL;
    }
    return s;
}

void sources_free(struct sources *s)
{
    struct walk w;
    if (!s)
        return;
    if (!all_sources(s, &w)) {
        for (unsigned i = 0; i < w.n; i++)
            forget(s, w.list[i]);
        free(w.list);
    }
    drop_attr(s, &s->plain);
    free(s->pod_cidrs);
    free(s);
}

static int want(struct sources *s, const struct prefix *p, uint8_t by, struct source **out)
{
    struct source *src = find_or_add(s, p);
    if (!src)
        return -ENOMEM;
    src->keep |= by;
    if (out)
        *out = src;
    return 0;
}

void advertise_add_communities(struct advertise_options *o, const struct config_communities *c)
{
    for (unsigned i = 0; i < c->n_standard && o->n_communities < ADVERTISE_COMMUNITIES; i++)
        o->communities[o->n_communities++] = c->standard[i];
    for (unsigned i = 0; i < c->n_large && o->n_large < ADVERTISE_COMMUNITIES; i++)
        memcpy(o->large[o->n_large++], c->large[i], sizeof o->large[0]);
}

static int want_vip(struct sources *s, const struct config_vip *v)
{
    struct advertise_options o = {.has_med = v->has_med, .med = v->med, .weight = v->weight};
    struct source *src;
    advertise_add_communities(&o, &v->communities);
    const struct attr *a = make_attr(s, &o);
    if (!a)
        return -ENOMEM;
    int rc = want(s, &v->prefix, BY_VIP, &src);
    if (rc) {
        attr_unref(s->s->attrs, a);
        return rc;
    }
    drop_attr(s, &src->vip);
    src->vip = a;
    src->bind_keep = v->bind_lo;
    return 0;
}

static int want_interface(struct sources *s, const char *name)
{
    const struct fib_link *link = fibclient_link_by_name(s->s->fib, name);
    const struct fib_address *a;
    unsigned n = fibclient_addresses(s->s->fib, &a);
    int rc = 0;
    for (unsigned i = 0; link && !rc && i < n; i++) {
        struct prefix p = prefix_host(&a[i].addr);
        if (a[i].ifindex != link->ifindex || (a[i].flags & (FM_ADDR_OURS | FM_ADDR_TENTATIVE)) ||
            prefix_is_martian(&p))
            continue;
        rc = want(s, &p, BY_INTERFACE, NULL);
    }
    return rc;
}

static int want_all(struct sources *s, const struct config *c)
{
    int rc = 0;
    for (unsigned i = 0; !rc && i < c->advertise.n_pod_cidrs; i++)
        rc = want(s, &c->advertise.pod_cidrs[i], BY_POD_CIDR, NULL);
    for (unsigned i = 0; !rc && i < c->advertise.n_vips; i++)
        rc = want_vip(s, &c->advertise.vips[i]);
    for (unsigned i = 0; !rc && i < c->advertise.n_interfaces; i++)
        rc = want_interface(s, c->advertise.interfaces[i]);
    return rc;
}

/* What commands advertise with a weight says so by our AS, which a reload may have changed. */
static int renumber(struct sources *s, struct source *src)
{
    struct attr_build b;
    uint8_t extended[8];
    if (!src->cli || !(src->cli->flags & ATTR_HAS_BANDWIDTH))
        return 0;
    attr_to_build(s->s->attrs, src->cli, &b);
    b.part_len[PART_EXTENDED] = (uint16_t)attr_put_weight(NULL, 0, s->asn, attr_weight(src->cli), extended);
    b.part[PART_EXTENDED] = extended;
    const struct attr *a = attr_intern(s->s->attrs, &b);
    if (!a)
        return -ENOMEM;
    drop_attr(s, &src->cli);
    src->cli = a;
    return 0;
}

static bool is_pod_cidr(const struct source *src)
{
    return src->wanted & ANY_POD_CIDR;
}

/* The list that imports are compared with, from the tree as it is now. */
static int list_pod_cidrs(struct sources *s, const struct walk *w)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->n; i++)
        n += is_pod_cidr(w->list[i]);
    struct prefix *list = calloc(n ? n : 1, sizeof *list);
    if (!list)
        return -ENOMEM;
    n = 0;
    for (unsigned i = 0; i < w->n; i++)
        if (is_pod_cidr(w->list[i]))
            list[n++] = w->list[i]->prefix;
    free(s->pod_cidrs);
    s->pod_cidrs = list;
    s->n_pod_cidrs = n;
    return 0;
}

unsigned sources_pod_cidrs(const struct sources *s, const struct prefix **out)
{
    *out = s->pod_cidrs;
    return s->n_pod_cidrs;
}

static void set_bound(struct sources *s, struct source *src, bool bound)
{
    if (src->bound == bound)
        return;
    src->bound = bound;
    fibclient_bind(s->s->fib, &src->prefix.addr, bound);
}

int sources_apply(struct sources *s, const struct config *c)
{
    struct walk w;
    s->asn = c->router.asn;
    int rc = want_all(s, c);
    if (rc)
        return rc;
    rc = all_sources(s, &w);
    if (rc)
        return rc;
    for (unsigned i = 0; i < w.n; i++) {
        struct source *src = w.list[i];
        uint8_t wanted = (uint8_t)(src->keep | (src->wanted & (BY_CLI | BY_KUBE)));
        s->guard_changed |= wanted != src->wanted;
        src->wanted = wanted;
        src->keep = 0;
    }
    rc = list_pod_cidrs(s, &w);
    for (unsigned i = 0; i < w.n; i++) {
        struct source *src = w.list[i];
        if (!(src->wanted & BY_VIP)) {
            drop_attr(s, &src->vip);
            src->bind_keep = false;
        }
        set_bound(s, src, src->bind_keep);
        int one = renumber(s, src), two = publish(s, src);
        rc = rc ? rc : one ? one : two;
    }
    free(w.list);
    tell_guard(s);
    return rc;
}

void sources_addresses_changed(struct sources *s)
{
    s->guard_changed = true; /* own addresses are refused by the import too */
    int rc = sources_apply(s, s->s->config);
    if (rc)
        log_error("cannot apply the addresses of the node", F_ERR(rc));
}

int sources_advertise(struct sources *s, const struct prefix *p, const struct advertise_options *o)
{
    if (prefix_is_martian(p) || prefix_is_default(p))
        return -EINVAL;
    const struct attr *a = make_attr(s, o);
    struct source *src = a ? find_or_add(s, p) : NULL;
    if (!src) {
        if (a)
            attr_unref(s->s->attrs, a);
        return -ENOMEM;
    }
    uint8_t before = src->wanted;
    drop_attr(s, &src->cli);
    src->cli = a;
    src->wanted |= BY_CLI;
    int rc = publish(s, src);
    guard(s, p, before, before | BY_CLI);
    return rc;
}

int sources_withdraw(struct sources *s, const struct prefix *p)
{
    struct source *src = find(s, p);
    if (!src)
        return -ENOENT;
    if (!(src->wanted & BY_CLI))
        return -EBUSY;
    uint8_t before = src->wanted, now = before & (uint8_t)~BY_CLI;
    drop_attr(s, &src->cli);
    src->wanted = now;
    int rc = publish(s, src);
    guard(s, p, before, now);
    return rc;
}

static int refresh_pod_cidrs(struct sources *s)
{
    struct walk w;
    int rc = all_sources(s, &w);
    if (!rc) {
        rc = list_pod_cidrs(s, &w);
        free(w.list);
    }
    return rc;
}

int sources_set_kube(struct sources *s, const struct prefix *p, unsigned by,
                     const struct advertise_options *o, bool leaves)
{
    struct source *src = by ? find_or_add(s, p) : find(s, p);
    const struct attr *a = by && src ? make_attr(s, o) : NULL;
    if (!src)
        return by ? -ENOMEM : 0;
    if (by && !a) {
        if (!src->wanted)
            forget(s, src);
        return -ENOMEM;
    }
    uint8_t before = src->wanted, now = (uint8_t)((before & ~BY_KUBE) | by << BY_KUBE_SHIFT);
    src->wanted = now;
    drop_attr(s, &src->kube);
    src->kube = a;
    src->kube_leaves = leaves;
    bool pods = (before ^ now) & ANY_POD_CIDR;
    int rc = publish(s, src), listed = pods ? refresh_pod_cidrs(s) : 0;
    guard(s, p, before, now);
    return rc ? rc : listed;
}

void sources_kube_done(struct sources *s)
{
    tell_guard(s);
}

int sources_drain(struct sources *s, enum drain_phase phase)
{
    struct walk w;
    int rc = 0;
    s->drain = phase;
    if (all_sources(s, &w))
        return -ENOMEM;
    for (unsigned i = 0; i < w.n; i++) {
        int one = publish(s, w.list[i]);
        rc = rc ? rc : one;
    }
    free(w.list);
    return rc;
}

enum import_reason sources_own(const struct sources *s, const struct prefix *p)
{
    for (unsigned i = 0; i < s->n_pod_cidrs; i++)
        if (prefix_contains(&s->pod_cidrs[i], p))
            return IMPORT_OWN_POD_CIDR;
    if (s->count && find(s, p))
        return IMPORT_OWN_ADDRESS;
    if (prefix_is_host(p) && fibclient_is_own(s->s->fib, &p->addr, 0))
        return IMPORT_OWN_ADDRESS;
    return IMPORT_OK;
}

static void append(char *line, size_t size, size_t *n, const char *text)
{
    size_t len = strlen(text);
    if (*n + len < size) {
        memcpy(line + *n, text, len + 1);
        *n += len;
    }
}

static void append_communities(const struct attr *a, char *line, size_t size, size_t *n)
{
    char text[4096], *save = NULL;
    int (*const format[])(const struct attr *, char *, size_t) = {attr_format_communities, attr_format_large};
    for (int k = 0; k < 2; k++) {
        if (format[k](a, text, sizeof text) <= 0)
            continue;
        for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
            append(line, size, n, " community ");
            append(line, size, n, word);
        }
    }
}

void sources_each_command(const struct sources *s, void (*cb)(void *arg, const char *line), void *arg)
{
    struct walk w;
    if (all_sources(s, &w)) {
        log_error("cannot list the advertised prefixes", F_ERR(ENOMEM));
        return;
    }
    for (unsigned i = 0; i < w.n; i++) {
        const struct source *src = w.list[i];
        char line[8192], word[PREFIX_STRLEN + 16];
        size_t n = 0;
        if (!src->cli)
            continue;
        append(line, sizeof line, &n, "advertise ");
        append(line, sizeof line, &n, prefix_format(&src->prefix, word));
        append_communities(src->cli, line, sizeof line, &n);
        if (src->cli->flags & ATTR_HAS_MED) {
            snprintf(word, sizeof word, " med %u", src->cli->med);
            append(line, sizeof line, &n, word);
        }
        if (src->cli->flags & ATTR_HAS_BANDWIDTH) {
            snprintf(word, sizeof word, " weight %u", attr_weight(src->cli));
            append(line, sizeof line, &n, word);
        }
        cb(arg, line);
    }
    free(w.list);
}

unsigned sources_count(const struct sources *s)
{
    return s->count;
}

static void count(const void *node, VISIT which, void *arg)
{
    const struct source *src = *(struct source *const *)node;
    struct sources_counts *c = arg;
    if (which != postorder && which != leaf)
        return;
    c->pod_cidrs += !!(src->wanted & BY_POD_CIDR);
    c->vips += !!(src->wanted & BY_VIP);
    c->interfaces += !!(src->wanted & BY_INTERFACE);
    c->commands += !!(src->wanted & BY_CLI);
    c->kubernetes += !!(src->wanted & BY_KUBE);
}

void sources_counts(const struct sources *s, struct sources_counts *out)
{
    *out = (struct sources_counts){0};
    twalk_r(s->tree, count, out);
}
