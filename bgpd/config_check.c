/* What no single value shows: keys that do not go together, elements that collide, files that cannot be read.
 * Runs after the walk, also over a file with errors; what did not parse is empty then, and skipped.
 *
 * Collisions are found by sorting an index and looking at neighbours, so that 65,000 peers take milliseconds;
 * which of two is reported follows the order of the file. Also fills in what is derived from other keys: the
 * keepalive time, the AS of internal peers, and passwords from their files.
 *
 * Not here: what only the running system can tell (addresses that exist, groups, free ports). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_policy.h"
#include "lib/text.h"

/* The i-th peer and where its keys stand: in its own mapping or in its template. */
struct peer_view {
    struct peer_config *p;
    const struct node *own, *inherited;
    struct path path;
};

static const struct node *key_node(const struct peer_view *v, const char *key)
{
    const struct node *n = node_find(v->own, key);
    if (!n)
        n = node_find(v->inherited, key);
    return n ? n : v->own;
}

static void peer_error(struct load *ld, const struct peer_view *v, const char *key, const char *what)
{
    load_error(ld, key_node(v, key), &(struct path){.up = &v->path, .name = key}, "%s", what);
}

/* What a peer is known by: exactly one of three keys, none of them from a template. That there is one at all
 * config_read has seen to. */
static void check_identity(struct load *ld, const struct peer_view *v)
{
    static const char *const ways[] = {
        [PEER_BY_ADDRESS] = "address", [PEER_BY_INTERFACE] = "interface", [PEER_BY_RANGE] = "range"};
    const char *first = NULL;
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (!node_find(v->own, ways[i]))
            continue;
        if (first)
            load_error(ld, key_node(v, ways[i]), &(struct path){.up = &v->path, .name = ways[i]},
                       "excludes %s; keep one of the two", first);
        else
            v->p->kind = (enum peer_kind)i;
        first = first ? first : ways[i];
    }
}

/* A peer behind an interface is spoken to between two link-local addresses, one hop. */
static void check_interface(struct load *ld, const struct peer_view *v)
{
    const struct peer_config *p = v->p;
    bool heard = false;
    for (unsigned i = 0; i < ld->config->router.n_listen; i++)
        heard |= ld->config->router.listen[i].af == AF_INET6;
    if (p->passive && !heard)
        peer_error(ld, v, "passive", "waits for the peer, but router.listen has no IPv6 address; add \"::\"");
    if (p->local_address.af)
        peer_error(ld, v, "local-address",
                   "has no meaning with `interface`: the session is between link-local addresses; remove it");
    if (p->multihop)
        peer_error(ld, v, "multihop", "has no meaning with `interface`: the peer is on the link; remove it");
    if (!p->extended_nexthop && !p->families[FAM_IPV6])
        peer_error(ld, v, "extended-nexthop",
                   "is false and `families` has no ipv6: no route could have a next hop; change one");
}

static void check_times(struct load *ld, const struct peer_view *v)
{
    struct peer_config *p = v->p;
    if (!p->keepalive_time_ms)
        p->keepalive_time_ms = p->hold_time_ms / 3;
    else if (!p->hold_time_ms)
        peer_error(ld, v, "keepalive-time",
                   "has no meaning without a hold time; remove it, or give hold-time 3s or more");
    else if (p->keepalive_time_ms >= p->hold_time_ms)
        peer_error(ld, v, "keepalive-time",
                   "is not shorter than hold-time; a third of it is usual, and the default");
    if (p->send_hold_time_ms && !p->hold_time_ms)
        peer_error(ld, v, "send-hold-time",
                   "has no meaning without a hold time; remove it, or give hold-time 3s or more");
    if (p->idle_hold_max_ms < p->idle_hold_time_ms)
        peer_error(
            ld, v, node_find(v->own, "idle-hold-max") ? "idle-hold-max" : "idle-hold-time",
            "idle-hold-max is shorter than idle-hold-time; it is the limit up to which that is doubled");
}

/* A section that limits nothing is a mistake; `off` over a template's section takes all of that away. */
static void check_limits(struct load *ld, const struct peer_view *v)
{
    const struct node *n = key_node(v, "max-prefixes");
    if (n == v->own || v->p->max_prefixes.most[FAM_IPV4] || v->p->max_prefixes.most[FAM_IPV6])
        return;
    if (n->kind == NODE_MAP && !node_find(n, "ipv4") && !node_find(n, "ipv6"))
        peer_error(ld, v, "max-prefixes", "limits nothing; give `ipv4`, `ipv6` or both a number");
    else if (schema_key_default(schema_find(&schema_peer, "max-prefixes"), v->p))
        ld->oom = true;
}

/* A mapping means that there is BFD, and what it names; `true` and `off` its type has read. */
static void check_bfd(struct load *ld, const struct peer_view *v)
{
    struct peer_config *p = v->p;
    const struct node *n = key_node(v, "bfd");
    if (n != v->own && n->kind == NODE_MAP)
        p->bfd.on = true;
    if (p->bfd.on && p->hold_time_ms && (uint64_t)p->bfd.interval_ms * p->bfd.multiplier >= p->hold_time_ms)
        peer_error(ld, v, "bfd",
                   "interval times multiplier is not shorter than hold-time, so that BFD would find nothing "
                   "first; lower one of them");
}

static void check_asns(struct load *ld, const struct peer_view *v)
{
    struct peer_config *p = v->p;
    if (!p->local_asn)
        p->local_asn = ld->config->router.asn;
    if (p->asn_kind == ASN_INTERNAL)
        p->asn = p->local_asn;
    if (p->role != ROLE_NONE && p->asn && p->asn == p->local_asn)
        peer_error(ld, v, "role", "is a matter between two ASes, but this peer is internal; leave it away");
}

static void check_addresses(struct load *ld, const struct peer_view *v)
{
    struct peer_config *p = v->p;
    bool heard = false;
    for (unsigned i = 0; i < ld->config->router.n_listen; i++)
        heard |= ld->config->router.listen[i].af == p->address.af;
    if (!p->address.af)
        return;
    if (p->passive && !heard)
        peer_error(ld, v, "passive",
                   "waits for the peer, but router.listen has no address of its family; add one");
    if (!p->local_address.af)
        return;
    if (p->local_address.af != p->address.af)
        peer_error(ld, v, "local-address",
                   p->address.af == AF_INET
                       ? "is IPv6, but the peer is reached over IPv4; give an IPv4 address"
                       : "is IPv4, but the peer is reached over IPv6; give an IPv6 address");
    else if (addr_equal(&p->local_address, &p->address))
        peer_error(ld, v, "local-address", "is the peer's own address; give one of this node's");
}

/* The file read last: peers of one template name the same one. */
struct key_file {
    const char *path;
    int err;
    size_t len;
    char buf[CONFIG_MAX_PASSWORD + 3]; /* a line end of two bytes, and one that is too much */
};

static void read_key_file(struct load *ld, const struct peer_view *v, struct key_file *f)
{
    struct path at = {.up = &v->path, .name = "password-file"};
    const char *path = v->p->password_file;
    const struct node *n = key_node(v, "password-file");
    if (!f->path || strcmp(f->path, path) != 0) {
        explicit_bzero(f->buf, sizeof f->buf);
        f->path = path;
        f->len = 0;
        f->err = ld->files ? ld->files->read(ld->files->arg, path, f->buf, sizeof f->buf, &f->len) : -EACCES;
        if (!f->err && f->len && f->len <= sizeof f->buf && f->buf[f->len - 1] == '\n')
            f->len--;
        if (!f->err && f->len && f->len <= sizeof f->buf && f->buf[f->len - 1] == '\r')
            f->len--;
    }
    if (f->err == -ENOKEY)
        load_error(ld, n, &at, "%s was not named when the daemon started; a new file needs a restart", path);
    else if (f->err)
        load_error(ld, n, &at, "%s cannot be read: %s", path, strerror(-f->err));
    else if (!f->len)
        load_error(ld, n, &at, "%s is empty; put the password on its first line", path);
    else if (f->len > CONFIG_MAX_PASSWORD)
        load_error(ld, n, &at, "%s is too long; TCP-MD5 takes %d bytes at most", path, CONFIG_MAX_PASSWORD);
    else if (memchr(f->buf, '\n', f->len) || memchr(f->buf, 0, f->len))
        load_error(ld, n, &at, "%s has more than one line; put the password alone there", path);
    else
        memcpy(v->p->password, f->buf, f->len);
}

/* Collisions. The comparison looks at elements of one list by their index. */

struct sorted {
    const char *items;
    int (*cmp)(const void *a, const void *b);
    size_t size;
    unsigned *index;
    unsigned n;
};

static const void *element(const struct sorted *s, unsigned place)
{
    return s->items + s->index[place] * s->size;
}

static int by_element(const void *a, const void *b, void *arg)
{
    const struct sorted *s = arg;
    unsigned i = *(const unsigned *)a, j = *(const unsigned *)b;
    int c = s->cmp(s->items + i * s->size, s->items + j * s->size);
    return c ? c : i < j ? -1 : 1;
}

static int sort_elements(struct load *ld, struct sorted *s)
{
    s->index = s->n ? malloc(s->n * sizeof *s->index) : NULL;
    if (!s->index) {
        ld->oom |= s->n > 0;
        return -1;
    }
    for (unsigned i = 0; i < s->n; i++)
        s->index[i] = i;
    qsort_r(s->index, s->n, sizeof *s->index, by_element, s);
    return 0;
}

/* Reports every element that equals an earlier one. key: where in the element it stands, or NULL. */
static void check_unique(struct load *ld, struct sorted s, const struct node *list, const struct path *path,
                         const char *key, bool (*empty)(const void *element))
{
    if (!list || list->kind != NODE_SEQ || list->n != s.n || sort_elements(ld, &s))
        return;
    unsigned first =
        0; /* of a run of equal ones: the earliest in the file, as equal ones are sorted by index */
    for (unsigned i = 1; i < s.n; i++) {
        if (s.cmp(element(&s, first), element(&s, i)) != 0) {
            first = i;
            continue;
        }
        if (empty(element(&s, i)))
            continue;
        struct path at = {.up = path, .index = s.index[i]}, below = {.up = &at, .name = key};
        const struct node *n = list->items[s.index[i]], *value = key ? node_find(n, key) : n;
        load_error(ld, value ? value : n, key ? &below : &at, "already given as %s[%u] on line %u; keep one",
                   path->name, s.index[first], list->items[s.index[first]]->line);
    }
    free(s.index);
}

static int cmp_peer(const void *a, const void *b)
{
    return addr_cmp(&((const struct peer_config *)a)->address, &((const struct peer_config *)b)->address);
}
static int cmp_interface(const void *a, const void *b)
{
    return strcmp(((const struct peer_config *)a)->interface, ((const struct peer_config *)b)->interface);
}
static bool no_interface(const void *e)
{
    return !*((const struct peer_config *)e)->interface;
}
static int cmp_range(const void *a, const void *b)
{
    return prefix_cmp(&((const struct peer_config *)a)->range, &((const struct peer_config *)b)->range);
}
static bool no_range(const void *e)
{
    return !((const struct peer_config *)e)->range.addr.af;
}
static bool no_peer(const void *e)
{
    return !((const struct peer_config *)e)->address.af;
}
static int cmp_vip(const void *a, const void *b)
{
    return prefix_cmp(&((const struct config_vip *)a)->prefix, &((const struct config_vip *)b)->prefix);
}
static bool no_vip(const void *e)
{
    return !((const struct config_vip *)e)->prefix.addr.af;
}
static int cmp_addr(const void *a, const void *b)
{
    return addr_cmp(a, b);
}
static bool no_addr(const void *e)
{
    return !((const struct ip_addr *)e)->af;
}
static int cmp_name(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    return strcmp(x ? x : "", y ? y : "");
}
static bool no_name(const void *e)
{
    return !*(char *const *)e;
}
static int cmp_prefix(const void *a, const void *b)
{
    return prefix_cmp(a, b);
}

/* Sorted, a prefix stands right before all that it contains. */
static void check_overlap(struct load *ld, const struct node *list, const struct path *path)
{
    struct prefix *p = ld->config->advertise.pod_cidrs;
    struct sorted s = {
        .items = (char *)p, .n = ld->config->advertise.n_pod_cidrs, .size = sizeof *p, .cmp = cmp_prefix};
    char outer[PREFIX_STRLEN];
    if (!list || list->kind != NODE_SEQ || list->n != s.n || sort_elements(ld, &s))
        return;
    unsigned last = 0;
    for (unsigned i = 1; i < s.n; i++) {
        const struct prefix *a = element(&s, last), *b = element(&s, i);
        if (a->addr.af && prefix_contains(a, b))
            load_error(ld, list->items[s.index[i]], &(struct path){.up = path, .index = s.index[i]},
                       "overlaps %s on line %u; keep one", prefix_format(a, outer),
                       list->items[s.index[last]]->line);
        else
            last = i;
    }
    free(s.index);
}

static void check_peers(struct load *ld)
{
    const struct node *list = node_find(ld->root, "peers"),
                      *templates = node_find(ld->root, "peer-templates");
    struct config *c = ld->config;
    struct path path = {.name = "peers"};
    struct key_file file = {0};
    struct sorted s = {.items = (char *)c->peers, .n = c->n_peers, .size = sizeof *c->peers, .cmp = cmp_peer};
    for (unsigned i = 0; i < c->n_peers; i++) {
        const struct node *own = list->items[i], *name = node_find(own, "template");
        struct peer_view v = {.p = &c->peers[i], .own = own, .path = {.up = &path, .index = i}};
        if (name && name->kind == NODE_SCALAR)
            v.inherited = node_find(templates, name->text);
        check_asns(ld, &v);
        check_identity(ld, &v);
        check_times(ld, &v);
        check_limits(ld, &v);
        check_bfd(ld, &v);
        if (v.p->kind == PEER_BY_INTERFACE)
            check_interface(ld, &v);
        else if (v.p->kind == PEER_BY_RANGE)
            v.p->passive = true; /* config_range.c looks at the rest */
        else
            check_addresses(ld, &v);
        if (v.p->password_file)
            read_key_file(ld, &v, &file);
        config_check_peer_policies(ld, v.p, key_node(&v, "import"), key_node(&v, "export"), &v.path);
    }
    explicit_bzero(&file, sizeof file);
    check_unique(ld, s, list, &path, "address", no_peer);
    s.cmp = cmp_interface;
    check_unique(ld, s, list, &path, "interface", no_interface);
    s.cmp = cmp_range;
    check_unique(ld, s, list, &path, "range", no_range);
    check_ranges(ld, list, &path);
}

static void check_advertise(struct load *ld)
{
    const struct node *section = node_find(ld->root, "advertise");
    const struct node *vips = node_find(section, "vips");
    struct config *c = ld->config;
    struct path path = {.name = "advertise"}, at_vips = {.up = &path, .name = "vips"};
    struct sorted s = {.items = (char *)c->advertise.vips, .n = c->advertise.n_vips, .cmp = cmp_vip};
    s.size = sizeof *c->advertise.vips;
    for (unsigned i = 0; i < c->advertise.n_vips; i++) {
        const struct config_vip *v = &c->advertise.vips[i];
        struct path at = {.up = &at_vips, .index = i};
        if (v->bind_lo && v->prefix.addr.af && !prefix_is_host(&v->prefix))
            load_error(ld, node_find(vips->items[i], "bind"), &(struct path){.up = &at, .name = "bind"},
                       "only a single address (/32 or /128) can be put on lo");
    }
    check_unique(ld, s, vips, &at_vips, "prefix", no_vip);
    check_overlap(ld, node_find(section, "pod-cidrs"), &(struct path){.up = &path, .name = "pod-cidrs"});
    s = (struct sorted){
        .items = (char *)c->advertise.interfaces, .n = c->advertise.n_interfaces, .cmp = cmp_name};
    s.size = sizeof *c->advertise.interfaces;
    check_unique(ld, s, node_find(section, "interfaces"), &(struct path){.up = &path, .name = "interfaces"},
                 NULL, no_name);
}

void config_check(struct load *ld)
{
    struct config *c = ld->config;
    struct path router = {.name = "router"}, listen = {.up = &router, .name = "listen"};
    struct sorted s = {
        .items = (char *)c->router.listen, .n = c->router.n_listen, .size = sizeof *c->router.listen};
    s.cmp = cmp_addr;
    check_unique(ld, s, node_find(node_find(ld->root, "router"), "listen"), &listen, NULL, no_addr);
    check_advertise(ld);
    check_kube(ld);
    check_peers(ld);
    overlay_note_files(ld);
    config_check_policies(ld);
}
