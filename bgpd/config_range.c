/* Checks of ranges (dynamic neighbours): keys that have no meaning there, whether anybody listens, the sum of
 * the limits, and keys of TCP-MD5. The kernel asks for the key of a range from every address in it, so a peer
 * without a password inside of a range with one could never connect: that is said here instead of being
 * searched for.
 *
 * All ranges that contain an address are found by their lengths in a sorted list, so that many peers and
 * ranges take milliseconds. */
#include <stdlib.h>
#include <string.h>

#include "config_int.h"

struct ranges {
    const struct peer_config **list;
    unsigned n;
    bool has_len[FAM_COUNT][129];
};

static int against(const void *key, const void *member)
{
    const struct peer_config *const *p = member;
    return prefix_cmp(key, &(*p)->range);
}

static int by_range(const void *a, const void *b)
{
    return against(&(*(const struct peer_config *const *)a)->range, b);
}

/* The most specific range around an address, of at most so many bits; NULL: none. */
static const struct peer_config *around(const struct ranges *r, const struct ip_addr *a, unsigned bits)
{
    for (unsigned len = bits + 1; r->n && len-- > 0;) {
        if (!r->has_len[addr_family(a)][len])
            continue;
        const struct prefix p = prefix_make(a, (uint8_t)len);
        const struct peer_config **hit = bsearch(&p, r->list, r->n, sizeof *r->list, against);
        if (hit)
            return *hit;
    }
    return NULL;
}

static bool collect(struct load *ld, struct ranges *r)
{
    const struct config *c = ld->config;
    r->list = calloc(c->n_peers + 1, sizeof *r->list);
    if (!r->list) {
        ld->oom = true;
        return false;
    }
    for (unsigned i = 0; i < c->n_peers; i++) {
        const struct peer_config *p = &c->peers[i];
        if (!p->range.addr.af)
            continue;
        r->list[r->n++] = p;
        r->has_len[addr_family(&p->range.addr)][p->range.len] = true;
    }
    if (r->n)
        qsort(r->list, r->n, sizeof *r->list, by_range);
    return true;
}

static void wrong(struct load *ld, const struct node *peer, const struct path *at, const char *key,
                  const char *what)
{
    const struct node *n = node_find(peer, key);
    load_error(ld, n ? n : peer, &(struct path){.up = at, .name = key}, "%s", what);
}

static void check_range(struct load *ld, const struct peer_config *p, const struct node *peer,
                        const struct path *at)
{
    bool heard = false;
    for (unsigned i = 0; i < ld->config->router.n_listen; i++)
        heard |= ld->config->router.listen[i].af == p->range.addr.af;
    if (!heard && p->range.addr.af)
        wrong(ld, peer, at, "range",
              "waits for peers, but router.listen has no address of its family; add one");
    if (p->local_address.af)
        wrong(ld, peer, at, "local-address", "has no meaning with `range`: the peers connect; remove it");
    if (node_find(peer, "port"))
        wrong(ld, peer, at, "port", "has no meaning with `range`: the peers connect; remove it");
}

static void check_key(struct load *ld, const struct ranges *r, const struct peer_config *p,
                      const struct node *peer, const struct path *at)
{
    const struct peer_config *outer = NULL;
    char text[PREFIX_STRLEN];
    const char *key = p->kind == PEER_BY_RANGE ? "range" : "address";
    if (*p->password)
        return;
    if (p->kind == PEER_BY_RANGE && p->range.addr.af)
        outer = p->range.len ? around(r, &p->range.addr, p->range.len - 1u) : NULL;
    else if (p->kind == PEER_BY_ADDRESS && p->address.af)
        outer = around(r, &p->address, family_bits(addr_family(&p->address)));
    if (!outer || !*outer->password)
        return;
    const struct node *n = node_find(peer, key);
    load_error(
        ld, n ? n : peer, &(struct path){.up = at, .name = key},
        "has no password, but lies in the range %s that has one, which the kernel asks for; give it one too",
        prefix_format(&outer->range, text));
}

void check_ranges(struct load *ld, const struct node *list, const struct path *path)
{
    const struct config *c = ld->config;
    struct ranges r = {0};
    uint64_t sum = c->n_peers;
    if (!list || list->kind != NODE_SEQ || list->n != c->n_peers || !collect(ld, &r))
        return;
    for (unsigned i = 0; i < c->n_peers; i++) {
        const struct peer_config *p = &c->peers[i];
        const struct path at = {.up = path, .index = i};
        if (p->kind == PEER_BY_RANGE) {
            check_range(ld, p, list->items[i], &at);
            bool was = sum > CONFIG_MAX_PEERS;
            sum += p->limit - 1u;
            if (sum > CONFIG_MAX_PEERS && !was)
                wrong(ld, list->items[i], &at, "limit",
                      "the limits of the ranges and the other peers sum up to more than 65000; lower it");
        } else if (node_find(list->items[i], "limit")) {
            wrong(ld, list->items[i], &at, "limit", "is for `range` alone; remove it");
        }
        check_key(ld, &r, p, list->items[i], &at);
    }
    free(r.list);
}
