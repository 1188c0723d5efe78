/* Interfaces and addresses: two short arrays, kept by the monitor and, after lost events, by a new dump.
 *
 * "Up" here means administratively up with carrier: that is when the kernel takes a nexthop object on the
 * link, and the loss of it is when the kernel silently deletes every one there (it reports the link, nothing
 * else). Whether a prefix is connected is judged by the administrative state alone, for the kernel keeps the
 * connected route when the carrier goes.
 *
 * Not here: what follows from a change (events.c passes it on to next hops and routes).
 */
#include "fib/links.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000
#endif

struct link {
    struct klink k;
    bool seen;
};
struct address {
    struct kaddress k;
    bool seen;
};

/* Where an address of ours, or a subnet that next hops are looked for in, is. */
struct place {
    struct ip_addr addr;
    uint8_t len;
    uint32_t ifindex;
};

struct links {
    struct fib *f;
    struct link *links;
    unsigned n_links;
    struct address *addrs;
    unsigned n_addrs;
    /* Built when first asked for after a change: the connected prefixes, sorted, and the lengths among them,
     * which every route asks for; our addresses, sorted, and the subnets of all links but loopbacks, the
     * longest first, for next hops. There may be thousands of addresses on lo, and of next hops. */
    struct prefix *connected;
    struct place *own, *subnets;
    unsigned n_connected, n_own, n_subnets;
    bool connected_stale;
    bool length_used[FAM_COUNT][129];
};

struct links *links_new(struct fib *f)
{
    struct links *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->f = f;
    l->connected_stale = true;
    return l;
}

void links_free(struct links *l)
{
    if (!l)
        return;
    free(l->links);
    free(l->addrs);
    free(l->connected);
    free(l->own);
    free(l->subnets);
    free(l);
}

static bool is_up(const struct klink *k)
{
    return (k->flags & IFF_UP) && (k->flags & IFF_LOWER_UP);
}

static struct link *find_link(const struct links *l, uint32_t ifindex)
{
    for (unsigned i = 0; i < l->n_links; i++)
        if (l->links[i].k.ifindex == ifindex)
            return &l->links[i];
    return NULL;
}

static struct address *find_addr(const struct links *l, const struct kaddress *a)
{
    for (unsigned i = 0; i < l->n_addrs; i++) {
        const struct kaddress *k = &l->addrs[i].k;
        if (k->ifindex == a->ifindex && k->len == a->len && addr_equal(&k->local, &a->local) &&
            addr_equal(&k->subnet, &a->subnet))
            return &l->addrs[i];
    }
    return NULL;
}

static struct fm_link link_record(const struct klink *k, bool deleted)
{
    struct fm_link r = {.ifindex = k->ifindex, .mtu = k->mtu};

    r.flags = (is_up(k) ? FM_LINK_UP : 0) | (k->flags & IFF_LOOPBACK ? FM_LINK_LOOP : 0) |
              (deleted ? FM_LINK_DELETED : 0);
    memcpy(r.name, k->name, sizeof r.name);
    return r;
}

static bool is_bind(const struct links *l, const struct kaddress *k)
{
    return l->f->configured && k->protocol == l->f->settings.protocol &&
           k->len == family_bits(addr_family(&k->local));
}

static struct fm_address addr_record(const struct links *l, const struct kaddress *k, bool deleted)
{
    struct fm_address r = {.ifindex = k->ifindex, .af = k->local.af, .len = k->len, .scope = k->scope};

    r.flags = (k->flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) ? FM_ADDR_TENTATIVE : 0) |
              (is_bind(l, k) ? FM_ADDR_OURS : 0) | (deleted ? FM_ADDR_DELETED : 0);
    memcpy(r.addr, k->local.b, sizeof r.addr);
    return r;
}

static void tell_link(struct links *l, const struct klink *k, bool deleted)
{
    struct fm_link r = link_record(k, deleted);
    if (l->f->speaker_knows)
        fib_tell(l->f, FM_LINK, &r, 1);
}

static void tell_addr(struct links *l, const struct kaddress *k, bool deleted)
{
    struct fm_address r = addr_record(l, k, deleted);
    if (l->f->speaker_knows)
        fib_tell(l->f, FM_ADDRESS, &r, 1);
}

/* By value: the arrays move under the events that this raises. */
static void delete_addr(struct links *l, struct address *a)
{
    struct kaddress k = a->k;

    *a = l->addrs[--l->n_addrs];
    l->connected_stale = true;
    tell_addr(l, &k, true);
    fib_address_changed(l->f, &k, true);
}

static void delete_link(struct links *l, struct link *link)
{
    struct klink k = link->k;

    for (unsigned i = l->n_addrs; i-- > 0;)
        if (l->addrs[i].k.ifindex == k.ifindex)
            delete_addr(l, &l->addrs[i]);
    *link = l->links[--l->n_links];
    tell_link(l, &k, true);
    fib_link_changed(l->f, k.ifindex, false);
}

/* An address is connected or not with its link's administrative state. */
static void admin_state_changed(struct links *l, uint32_t ifindex, bool up)
{
    l->connected_stale = true;
    for (unsigned i = 0; i < l->n_addrs; i++)
        if (l->addrs[i].k.ifindex == ifindex) {
            struct kaddress k = l->addrs[i].k;
            fib_address_changed(l->f, &k, !up);
        }
}

static void set_link(struct links *l, const struct klink *k)
{
    struct link *link = find_link(l, k->ifindex);

    if (!link) {
        struct link *grown = realloc(l->links, (l->n_links + 1) * sizeof *grown);
        if (!grown)
            return;
        l->links = grown;
        link = &l->links[l->n_links++];
        *link = (struct link){.k = *k, .seen = true};
        l->connected_stale = true;
        tell_link(l, k, false);
        fib_link_changed(l->f, k->ifindex, is_up(k));
        return;
    }
    struct klink old = link->k;
    link->k = *k;
    link->seen = true;
    if (is_up(&old) != is_up(k) || old.mtu != k->mtu || strcmp(old.name, k->name))
        tell_link(l, k, false);
    if (is_up(&old) != is_up(k))
        fib_link_changed(l->f, k->ifindex, is_up(k));
    if ((old.flags ^ k->flags) & IFF_UP)
        admin_state_changed(l, k->ifindex, k->flags & IFF_UP);
}

static void set_addr(struct links *l, const struct kaddress *k)
{
    struct address *a = find_addr(l, k);
    bool known = a;

    if (!a) {
        struct address *grown = realloc(l->addrs, (l->n_addrs + 1) * sizeof *grown);
        if (!grown)
            return;
        l->addrs = grown;
        a = &l->addrs[l->n_addrs++];
    }
    l->connected_stale = true;
    struct kaddress old = known ? a->k : (struct kaddress){0};
    *a = (struct address){.k = *k, .seen = true};
    bool same = known && old.flags == k->flags && old.scope == k->scope && old.protocol == k->protocol;
    if (!same)
        tell_addr(l, k, false);
    if (!known)
        fib_address_changed(l->f, k, false);
}

void links_event(struct links *l, const struct kevent *ev)
{
    if (ev->type == KEVENT_LINK) {
        struct link *link = find_link(l, ev->u.link.ifindex);
        if (!ev->deleted)
            set_link(l, &ev->u.link);
        else if (link)
            delete_link(l, link);
    } else if (ev->type == KEVENT_ADDRESS) {
        struct address *a = find_addr(l, &ev->u.address);
        if (!ev->deleted)
            set_addr(l, &ev->u.address);
        else if (a)
            delete_addr(l, a);
    }
}

static void on_dumped(void *arg, const struct kevent *ev)
{
    links_event(arg, ev);
}

int links_refresh(struct links *l)
{
    for (unsigned i = 0; i < l->n_links; i++)
        l->links[i].seen = false;
    for (unsigned i = 0; i < l->n_addrs; i++)
        l->addrs[i].seen = false;
    int rc = kernel_dump(l->f->kernel, KEVENT_LINK, AF_UNSPEC, on_dumped, l);
    if (!rc || rc == -EINTR)
        rc = kernel_dump(l->f->kernel, KEVENT_ADDRESS, AF_UNSPEC, on_dumped, l);
    if (rc)
        return rc; /* an interrupted dump may have missed some: nothing is taken for deleted on its word */
    for (unsigned i = l->n_addrs; i-- > 0;)
        if (!l->addrs[i].seen)
            delete_addr(l, &l->addrs[i]);
    for (unsigned i = l->n_links; i-- > 0;)
        if (!l->links[i].seen)
            delete_link(l, &l->links[i]);
    return 0;
}

#define SEND_BATCH 512

void links_send_all(struct links *l)
{
    struct fm_link links[SEND_BATCH];
    struct fm_address addrs[SEND_BATCH];
    uint32_t n = 0;

    for (unsigned i = 0; i < l->n_links; i++) {
        links[n++] = link_record(&l->links[i].k, false);
        if (n == SEND_BATCH || i + 1 == l->n_links) {
            fib_tell(l->f, FM_LINK, links, n);
            n = 0;
        }
    }
    for (unsigned i = 0; i < l->n_addrs; i++) {
        addrs[n++] = addr_record(l, &l->addrs[i].k, false);
        if (n == SEND_BATCH || i + 1 == l->n_addrs) {
            fib_tell(l->f, FM_ADDRESS, addrs, n);
            n = 0;
        }
    }
}

bool links_is_up(const struct links *l, uint32_t ifindex)
{
    const struct link *link = find_link(l, ifindex);
    return link && is_up(&link->k);
}

static int compare_prefixes(const void *a, const void *b)
{
    return prefix_cmp(a, b);
}

static int compare_own(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return memcmp(&x->addr, &y->addr, sizeof x->addr);
}

static int compare_subnets(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return (x->len < y->len) - (x->len > y->len);
}

/* False: out of memory; the old lists serve until the next question. */
static bool reserve_lists(struct links *l)
{
    size_t n = l->n_addrs + 1;
    struct prefix *connected = realloc(l->connected, n * sizeof *connected);
    struct place *own = realloc(l->own, n * sizeof *own);
    struct place *subnets = realloc(l->subnets, n * sizeof *subnets);

    l->connected = connected ? connected : l->connected;
    l->own = own ? own : l->own;
    l->subnets = subnets ? subnets : l->subnets;
    return connected && own && subnets;
}

static void rebuild_lists(struct links *l)
{
    if (!l->connected_stale || !reserve_lists(l))
        return;
    l->n_connected = l->n_own = l->n_subnets = 0;
    l->connected_stale = false;
    memset(l->length_used, 0, sizeof l->length_used);
    for (unsigned i = 0; i < l->n_addrs; i++) {
        const struct kaddress *k = &l->addrs[i].k;
        const struct link *link = find_link(l, k->ifindex);
        l->own[l->n_own++] = (struct place){k->local, k->len, k->ifindex};
        if (link && !(link->k.flags & IFF_LOOPBACK))
            l->subnets[l->n_subnets++] = (struct place){k->subnet, k->len, k->ifindex};
        if (!link || !(link->k.flags & IFF_UP))
            continue;
        l->connected[l->n_connected++] = prefix_make(&k->subnet, k->len);
        l->length_used[addr_family(&k->subnet)][k->len] = true;
    }
    qsort(l->connected, l->n_connected, sizeof *l->connected, compare_prefixes);
    qsort(l->own, l->n_own, sizeof *l->own, compare_own);
    qsort(l->subnets, l->n_subnets, sizeof *l->subnets, compare_subnets);
}

uint32_t links_connected(struct links *l, const struct ip_addr *a, uint32_t scope)
{
    if (a->af == AF_INET6 && addr_is_link_local(a))
        return links_is_up(l, scope) ? scope : 0;
    rebuild_lists(l);
    for (unsigned i = 0; i < l->n_subnets; i++) {
        const struct place *at = &l->subnets[i];
        struct prefix subnet = prefix_make(&at->addr, at->len);
        if (prefix_contains_addr(&subnet, a) && links_is_up(l, at->ifindex))
            return at->ifindex;
    }
    return 0;
}

bool links_is_own(struct links *l, const struct ip_addr *a, uint32_t scope)
{
    unsigned from = 0, to;

    rebuild_lists(l);
    for (to = l->n_own; from < to;) { /* the first that is not less */
        unsigned mid = (from + to) / 2;
        if (memcmp(&l->own[mid].addr, a, sizeof *a) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    for (; from < l->n_own && addr_equal(&l->own[from].addr, a); from++)
        if (!scope || l->own[from].ifindex == scope)
            return true;
    return false;
}

bool links_prefix_connected(struct links *l, const struct prefix *p)
{
    rebuild_lists(l);
    return l->length_used[addr_family(&p->addr)][p->len] &&
           bsearch(p, l->connected, l->n_connected, sizeof *p, compare_prefixes);
}

const struct kaddress *links_own_bind(const struct links *l, unsigned *i)
{
    while (*i < l->n_addrs) {
        const struct kaddress *k = &l->addrs[(*i)++].k;
        const struct link *link = find_link(l, k->ifindex);
        if (is_bind(l, k) && link && (link->k.flags & IFF_LOOPBACK))
            return k;
    }
    return NULL;
}
