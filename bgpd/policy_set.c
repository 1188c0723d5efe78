/* What `set` does to attributes. Works on a build: lists that change are written anew into the caller's
 * buffer, and attr_intern sorts them. Within a rule the order is fixed: communities are replaced, then
 * removed, then added, so that "remove all of ours, add this one" is one rule.
 *
 * `prepend` repeats our own AS on the way out and the neighbour's on the way in: an own AS in a received path
 * would look like a loop to us and to our internal peers. */
#include <errno.h>
#include <string.h>

#include "policy.h"
#include "wire/aspath.h"

static const enum attr_part part_of[COMMUNITY_KINDS] = {PART_COMMUNITY, PART_LARGE, PART_EXTENDED};

/* Drops from one part what a pattern of the list matches; all of it when patterns is NULL. */
static void drop(struct attr_build *b, struct policy_buffer *buf, enum community_kind kind,
                 const struct community_pattern *patterns, unsigned n)
{
    static const uint8_t unit[COMMUNITY_KINDS] = {4, 12, 8};
    enum attr_part part = part_of[kind];
    const uint8_t *c = b->part[part], *stop = c + b->part_len[part];
    uint8_t *out = buf->parts[part];
    uint16_t len = 0;
    for (; patterns && c < stop; c += unit[kind]) {
        bool hit = false;
        for (unsigned i = 0; !hit && i < n; i++)
            hit = patterns[i].kind == kind && community_pattern_match(&patterns[i], c);
        if (hit)
            continue;
        memmove(out + len, c, unit[kind]);
        len = (uint16_t)(len + unit[kind]);
    }
    b->part[part] = out;
    b->part_len[part] = len;
}

static int add(struct attr_build *b, struct policy_buffer *buf, const struct community_pattern *list,
               unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        enum attr_part part = part_of[list[i].kind];
        uint8_t *out = buf->parts[part];
        uint16_t len = b->part_len[part];
        if (len + list[i].len > UINT16_MAX)
            return -E2BIG;
        if (len)
            memmove(out, b->part[part], len);
        memcpy(out + len, list[i].value, list[i].len);
        b->part[part] = out;
        b->part_len[part] = (uint16_t)(len + list[i].len);
    }
    return 0;
}

static int set_communities(const struct policy_rule *r, struct attr_build *b, struct policy_buffer *buf)
{
    bool kind[COMMUNITY_KINDS] = {0};
    for (unsigned i = 0; i < r->n_replace; i++)
        kind[r->replace[i].kind] = true;
    for (enum community_kind k = 0; k < COMMUNITY_KINDS; k++)
        if (kind[k])
            drop(b, buf, k, NULL, 0);
    int err = add(b, buf, r->replace, r->n_replace);
    for (enum community_kind k = 0; r->n_remove && k < COMMUNITY_KINDS; k++)
        drop(b, buf, k, r->remove, r->n_remove);
    return err ? err : add(b, buf, r->add, r->n_add);
}

static int set_weight(const struct policy_rule *r, const struct policy_env *env, struct attr_build *b,
                      struct policy_buffer *buf)
{
    uint8_t *out = buf->parts[PART_EXTENDED];
    if (b->part_len[PART_EXTENDED] + 8 > UINT16_MAX)
        return -E2BIG;
    b->part_len[PART_EXTENDED] = (uint16_t)attr_put_weight(b->part[PART_EXTENDED], b->part_len[PART_EXTENDED],
                                                           env->local_as, r->weight, out);
    b->part[PART_EXTENDED] = out;
    return 0;
}

/* RFC 4271 5.1.2: a sequence in front, joined with the one that is there while that has room. */
static int prepend(struct attr_build *b, struct policy_buffer *buf, uint32_t as, unsigned times)
{
    const uint8_t *path = b->part[PART_AS_PATH];
    unsigned len = b->part_len[PART_AS_PATH], count = times;
    uint8_t *out = buf->parts[PART_AS_PATH];
    bool joins = len >= 2 && path[0] == SEG_SEQUENCE && path[1] + times <= 255;
    if (!as)
        return 0;
    if (len + 2 + 4 * times > UINT16_MAX)
        return -E2BIG;
    unsigned skip = joins ? 2 : 0, head = 2 + 4 * times;
    if (joins)
        count += path[1];
    if (len)
        memmove(out + head, path + skip, len - skip);
    out[0] = SEG_SEQUENCE;
    out[1] = (uint8_t)count;
    for (unsigned i = 0; i < times; i++) {
        uint8_t *p = out + 2 + 4 * i;
        p[0] = (uint8_t)(as >> 24);
        p[1] = (uint8_t)(as >> 16);
        p[2] = (uint8_t)(as >> 8);
        p[3] = (uint8_t)as;
    }
    b->part[PART_AS_PATH] = out;
    b->part_len[PART_AS_PATH] = (uint16_t)(head + len - skip);
    return 0;
}

/* Whatever the rule has made of the communities and of the preference: who is about to go says so. */
static int keep_draining(struct attr_build *b, struct policy_buffer *buf)
{
    static const struct community_pattern shutdown = {
        .kind = COMMUNITY_STANDARD, .len = 4, .value = {0xff, 0xff, 0, 0}}; /* RFC 8326 */
    b->local_pref = 0;
    b->flags |= ATTR_HAS_LOCAL_PREF;
    return add(b, buf, &shutdown, 1);
}

int policy_rule_apply(const struct policy_rule *r, const struct policy_env *env, enum family f,
                      struct attr_build *b, struct policy_buffer *buf)
{
    int err = set_communities(r, b, buf);
    if (r->has_local_pref) {
        b->flags |= ATTR_HAS_LOCAL_PREF;
        b->local_pref = r->local_pref;
    }
    if (r->has_med || r->no_med)
        b->flags = (uint16_t)((b->flags & ~ATTR_HAS_MED) | (r->has_med ? ATTR_HAS_MED : 0));
    if (r->has_med)
        b->med = r->med;
    if (r->has_origin)
        b->origin = r->origin;
    if (r->next_hop_self)
        b->nexthop = (struct ip_addr){0};
    if (r->next_hop.af == family_to_af(f)) { /* of the other family it is for other routes */
        b->nexthop = r->next_hop;
        b->nexthop_scope = 0;
    }
    if (!err && r->weight)
        err = set_weight(r, env, b, buf);
    if (!err && r->prepend) {
        uint32_t neighbour = aspath_first(b->part[PART_AS_PATH], b->part_len[PART_AS_PATH]);
        err = prepend(b, buf, env->export ? env->local_as : neighbour, r->prepend);
    }
    if (!err && b->flags & ATTR_DRAINING)
        err = keep_draining(b, buf);
    return err;
}
