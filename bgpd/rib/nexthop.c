/* Next hops and groups of them, both interned by content, both counted by reference.
 *
 * Attributes hold a reference on their next hop, and so do the groups that the FIB uses it in: a next hop is
 * watched as long as anything names it. A group's reference is with the table entry whose route points at it.
 * Groups are few (one for each set of ECMP partners), next hops at most as many as attribute objects, so
 * nothing here is tuned beyond constant time.
 *
 * It resolves nothing by itself: whether an address is reachable, over which interface and at what cost is
 * the FIB process's word (RFC 4271 9.1.2.1), which comes in by nexthop_set_state. */
#include "rib/nexthop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/ixhash.h"
#include "lib/slab.h"

struct group {
    struct nhgroup_member *members; /* NULL: not in use */
    uint32_t refs;
    uint8_t n, n_backups; /* the backup, 0 or 1, lies behind the members */
};
_Static_assert(FM_GROUP_MEMBERS <= UINT8_MAX, "group.n");

struct nexthop_table {
    struct nexthop_ops ops;
    void *arg;
    struct slab nexthops; /* struct nexthop; refs 0: not in use */
    struct slab groups;   /* struct group */
    struct ixhash by_addr, by_members;
    uint64_t member_bytes;
    uint64_t last_named;
    uint32_t seed; /* peers choose the addresses */
};

static uint32_t hash_nexthop(const struct nexthop_table *t, const struct ip_addr *a, uint32_t scope)
{
    return hash_bytes(a, sizeof *a, t->seed ^ scope * 0x9e3779b1u);
}

static uint32_t hash_members(const struct nexthop_table *t, const struct nhgroup_member *members, unsigned n,
                             unsigned n_backups)
{
    return hash_bytes(members, (n + n_backups) * sizeof *members, t->seed ^ n_backups);
}

static bool nexthop_hash_of(const void *arg, uint32_t id, uint32_t *hash)
{
    const struct nexthop_table *t = arg;
    const struct nexthop *nh = slab_at(&t->nexthops, id);
    if (!nh->refs)
        return false;
    *hash = hash_nexthop(t, &nh->addr, nh->scope);
    return true;
}

static bool group_hash_of(const void *arg, uint32_t id, uint32_t *hash)
{
    const struct nexthop_table *t = arg;
    const struct group *g = slab_at(&t->groups, id);
    if (!g->members || !g->refs)
        return false;
    *hash = hash_members(t, g->members, g->n, g->n_backups);
    return true;
}

struct nexthop_table *nexthop_table_new(const struct nexthop_ops *ops, void *arg)
{
    struct nexthop_table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    if (getrandom(&t->seed, sizeof t->seed, 0) != sizeof t->seed) {
        free(t);
        return NULL;
    }
    if (ops)
        t->ops = *ops;
    t->arg = arg;
    slab_init(&t->nexthops, sizeof(struct nexthop));
    slab_init(&t->groups, sizeof(struct group));
    ixhash_init(&t->by_addr, nexthop_hash_of, t);
    ixhash_init(&t->by_members, group_hash_of, t);
    return t;
}

void nexthop_table_free(struct nexthop_table *t)
{
    if (!t)
        return;
    for (uint32_t id = 1; id < t->groups.next; id++) {
        struct group *g = slab_at(&t->groups, id);
        if (g->refs)
            free(g->members);
    }
    ixhash_reset(&t->by_addr);
    ixhash_reset(&t->by_members);
    slab_reset(&t->nexthops);
    slab_reset(&t->groups);
    free(t);
}

static uint32_t nexthop_find(const struct nexthop_table *t, const struct ip_addr *addr, uint32_t scope,
                             uint32_t hash)
{
    struct ixhash_probe p;
    for (uint32_t id = ixhash_first(&t->by_addr, &p, hash); id; id = ixhash_next(&t->by_addr, &p)) {
        const struct nexthop *nh = slab_at(&t->nexthops, id);
        if (nh->scope == scope && !memcmp(&nh->addr, addr, sizeof *addr))
            return id;
    }
    return 0;
}

uint32_t nexthop_get(struct nexthop_table *t, const struct ip_addr *addr, uint32_t scope)
{
    struct ip_addr key = *addr;
    memset(key.pad, 0, sizeof key.pad);
    uint32_t hash = hash_nexthop(t, &key, scope), id = nexthop_find(t, &key, scope, hash);
    if (id) {
        ((struct nexthop *)slab_at(&t->nexthops, id))->refs++;
        return id;
    }
    id = t->nexthops.used < NEXTHOPS_MOST ? slab_alloc(&t->nexthops) : 0;
    if (!id)
        return 0;
    struct nexthop *nh = slab_at(&t->nexthops, id);
    *nh = (struct nexthop){.id = id, .refs = 1, .addr = key, .scope = scope};
    if (ixhash_insert(&t->by_addr, hash, id)) {
        nh->refs = 0;
        slab_free(&t->nexthops, id);
        return 0;
    }
    if (t->ops.watch)
        t->ops.watch(t->arg, nh);
    return id;
}

void nexthop_put(struct nexthop_table *t, uint32_t id)
{
    struct nexthop *nh = slab_at(&t->nexthops, id);
    if (nh->refs > 1) {
        nh->refs--;
        return;
    }
    ixhash_remove(&t->by_addr, hash_nexthop(t, &nh->addr, nh->scope), id);
    if (t->ops.unwatch)
        t->ops.unwatch(t->arg, nh);
    nh->refs = 0;
    t->last_named = 0; /* another one may get the id */
    slab_free(&t->nexthops, id);
}

bool nexthop_all_resolved(const struct nexthop_table *t)
{
    for (uint32_t id = 1; id < t->nexthops.next; id++) {
        const struct nexthop *nh = slab_at(&t->nexthops, id);
        if (nh->refs && !nh->resolved)
            return false;
    }
    return true;
}

const struct nexthop *nexthop_by_id(const struct nexthop_table *t, uint32_t id)
{
    if (!id || id >= t->nexthops.next)
        return NULL;
    const struct nexthop *nh = slab_at(&t->nexthops, id);
    return nh->refs ? nh : NULL;
}

static void set_alive(struct nexthop_table *t, struct nexthop *nh)
{
    if (nh->dead && t->ops.alive)
        t->ops.alive(t->arg, nh);
    nh->dead = false;
}

uint64_t *nexthop_last_named(struct nexthop_table *t)
{
    return &t->last_named;
}

void nexthop_name(struct nexthop_table *t, uint32_t id, uint16_t source, enum family f, bool anew)
{
    struct nexthop *nh = slab_at(&t->nexthops, id);
    if (!nh->named || (anew && !nh->shared)) {
        nh->source = source;
        nh->families = 0;
    }
    nh->named = true;
    nh->shared = nh->shared || nh->source != source;
    nh->families |= (uint8_t)(1u << f);
    set_alive(t, nh);
}

static void say_dead(const struct nexthop_table *t, const struct nexthop *const *nh, unsigned n)
{
    if (n && t->ops.dead)
        t->ops.dead(t->arg, nh, n);
}

void nexthop_lose(struct nexthop_table *t, uint16_t source, uint8_t families)
{
    const struct nexthop *lost[NEXTHOP_BATCH];
    unsigned n = 0;
    t->last_named = 0;
    for (uint32_t id = 1; id < t->nexthops.next; id++) {
        struct nexthop *nh = slab_at(&t->nexthops, id);
        if (!nh->refs || !nh->named || nh->shared || nh->dead || nh->source != source ||
            nh->families & ~families)
            continue;
        nh->dead = true;
        lost[n++] = nh;
        if (n == NEXTHOP_BATCH) {
            say_dead(t, lost, n);
            n = 0;
        }
    }
    say_dead(t, lost, n);
}

void nexthop_revive(struct nexthop_table *t, uint16_t source, const struct ip_addr *addr, uint32_t scope)
{
    for (uint32_t id = 1; id < t->nexthops.next; id++) {
        struct nexthop *nh = slab_at(&t->nexthops, id);
        if (nh->refs && nh->named && nh->source == source)
            set_alive(t, nh);
    }
    if (t->ops.revive)
        t->ops.revive(t->arg, addr, scope);
}

uint32_t nexthop_set_state(struct nexthop_table *t, const struct fm_nexthop_state *s)
{
    const struct fm_nexthop *f = &s->nexthop;
    if (f->af != AF_INET && f->af != AF_INET6)
        return 0;
    struct ip_addr addr = addr_from_bytes(f->af, f->addr);
    memset(addr.pad, 0, sizeof addr.pad);
    uint32_t id = nexthop_find(t, &addr, f->scope, hash_nexthop(t, &addr, f->scope));
    if (!id)
        return 0; /* the watch has ended meanwhile */
    struct nexthop *nh = slab_at(&t->nexthops, id);
    bool reachable = s->flags & FM_NH_REACHABLE;
    bool connected = s->flags & FM_NH_CONNECTED;
    bool changed =
        nh->reachable != reachable || (reachable && (nh->metric != s->metric || nh->connected != connected));
    nh->resolved = true;
    nh->reachable = reachable;
    nh->connected = connected;
    nh->ifindex = s->ifindex;
    nh->metric = s->metric;
    return changed ? id : 0;
}

/* Ascending by address without duplicates, as the FIB wants them and as the content is compared. */
static unsigned members_sort(const struct nexthop_table *t, const uint32_t *in, const uint8_t *weights,
                             unsigned n, struct nhgroup_member *out)
{
    unsigned m = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct nexthop *nh = slab_at(&t->nexthops, in[i]);
        unsigned at = m;
        while (at) {
            const struct nexthop *other = slab_at(&t->nexthops, out[at - 1].nexthop);
            int c = addr_cmp(&other->addr, &nh->addr);
            if (c < 0 || (c == 0 && other->scope <= nh->scope))
                break;
            at--;
        }
        if (at && out[at - 1].nexthop == in[i])
            continue;
        memmove(out + at + 1, out + at, (m - at) * sizeof *out);
        out[at] = (struct nhgroup_member){in[i] & 0xffffff, weights ? weights[i] : 1};
        m++;
    }
    return m;
}

static uint32_t group_new(struct nexthop_table *t, const struct nhgroup_member *members, unsigned n,
                          unsigned n_backups, uint32_t hash)
{
    size_t bytes = (n + n_backups) * sizeof *members;
    uint32_t id = t->groups.used < NHGROUPS_MOST ? slab_alloc(&t->groups) : 0;
    if (!id)
        return 0;
    struct group *g = slab_at(&t->groups, id);
    *g =
        (struct group){.members = malloc(bytes), .refs = 1, .n = (uint8_t)n, .n_backups = (uint8_t)n_backups};
    if (g->members)
        memcpy(g->members, members, bytes);
    if (!g->members || ixhash_insert(&t->by_members, hash, id)) {
        free(g->members);
        *g = (struct group){0};
        slab_free(&t->groups, id);
        return 0;
    }
    t->member_bytes += bytes;
    for (unsigned i = 0; i < n + n_backups; i++)
        ((struct nexthop *)slab_at(&t->nexthops, members[i].nexthop))->refs++;
    if (t->ops.group_set)
        t->ops.group_set(t->arg, id, g->members, n, n_backups);
    return id;
}

/* Peers decide how many different backups there are, so these leave half of the groups to the rest. */
static bool takes_backup(const struct nexthop_table *t, const struct nhgroup_member *members, unsigned n,
                         uint32_t backup)
{
    if (!backup || n == FM_GROUP_MEMBERS || t->groups.used >= NHGROUPS_MOST / 2)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (members[i].nexthop == backup)
            return false;
    return true;
}

uint32_t nhgroup_get(struct nexthop_table *t, const uint32_t *nexthops, const uint8_t *weights, unsigned n,
                     uint32_t backup)
{
    struct nhgroup_member members[FM_GROUP_MEMBERS];
    n = members_sort(t, nexthops, weights, n < FM_GROUP_MEMBERS ? n : FM_GROUP_MEMBERS, members);
    unsigned n_backups = takes_backup(t, members, n, backup);
    if (n_backups)
        members[n] = (struct nhgroup_member){backup & 0xffffff, 1};
    uint32_t hash = hash_members(t, members, n, n_backups);
    struct ixhash_probe p;
    for (uint32_t id = ixhash_first(&t->by_members, &p, hash); id; id = ixhash_next(&t->by_members, &p)) {
        struct group *g = slab_at(&t->groups, id);
        if (g->n == n && g->n_backups == n_backups &&
            !memcmp(g->members, members, (n + n_backups) * sizeof *members)) {
            g->refs++;
            return id;
        }
    }
    return group_new(t, members, n, n_backups, hash);
}

void nhgroup_ref(struct nexthop_table *t, uint32_t group)
{
    ((struct group *)slab_at(&t->groups, group))->refs++;
}

void nhgroup_put(struct nexthop_table *t, uint32_t group)
{
    struct group *g = slab_at(&t->groups, group);
    if (g->refs > 1) {
        g->refs--;
        return;
    }
    unsigned n = g->n + g->n_backups;
    ixhash_remove(&t->by_members, hash_members(t, g->members, g->n, g->n_backups), group);
    if (t->ops.group_del)
        t->ops.group_del(t->arg, group);
    for (unsigned i = 0; i < n; i++)
        nexthop_put(t, g->members[i].nexthop);
    t->member_bytes -= n * sizeof *g->members;
    free(g->members);
    *g = (struct group){0};
    slab_free(&t->groups, group);
}

unsigned nhgroup_members(const struct nexthop_table *t, uint32_t group, const struct nhgroup_member **members)
{
    if (!group || group >= t->groups.next)
        return 0;
    const struct group *g = slab_at(&t->groups, group);
    if (!g->refs)
        return 0;
    *members = g->members;
    return g->n;
}

uint32_t nhgroup_backup(const struct nexthop_table *t, uint32_t group)
{
    const struct nhgroup_member *members;
    unsigned n = nhgroup_members(t, group, &members);
    return n && ((const struct group *)slab_at(&t->groups, group))->n_backups ? members[n].nexthop : 0;
}

void nexthop_stats(const struct nexthop_table *t, struct nexthop_stats *out)
{
    *out = (struct nexthop_stats){.nexthops = t->nexthops.used, .groups = t->groups.used};
    for (uint32_t id = 1; id < t->nexthops.next; id++) {
        const struct nexthop *nh = slab_at(&t->nexthops, id);
        out->unreachable += nh->refs && !nh->reachable;
    }
}

uint64_t nexthop_table_memory(const struct nexthop_table *t)
{
    return sizeof *t + slab_memory(&t->nexthops) + slab_memory(&t->groups) + ixhash_memory(&t->by_addr) +
           ixhash_memory(&t->by_members) + t->member_bytes;
}
