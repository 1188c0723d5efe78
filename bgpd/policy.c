/* Judging a route by a policy.
 *
 * The conditions on the prefix are looked at first, for all rules at once: what follows depends on their
 * outcome (one bit a rule), the attributes and the source alone, and is remembered by these. So the
 * expensive part, regular expressions above all, runs once for attributes that many prefixes share, and a
 * prefix costs what comparing it with a list costs.
 *
 * Not here: what `set` does to attributes (policy_set.c), and which policy is whose (peer_policy.c,
 * adjout.c). */
#include "policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/community.h"

#define MEMO_SLOTS 128

struct policy_memo {
    struct policy_env env;
    struct memo_slot {
        const struct attr *in, *out; /* references; in NULL: empty; out NULL: rejected */
        uint64_t mask;               /* rules whose conditions on the prefix hold */
        uint32_t from; /* serial of the peer: its number may be another one's by now, and its address too */
        uint8_t family, source, rule;
    } slots[MEMO_SLOTS];
    struct policy_result last; /* of policy_explain; holds a reference */
};

struct policy *policy_new(const char *name, unsigned n_rules)
{
    struct policy *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->refs = 1;
    strncpy(p->name, name, sizeof p->name - 1);
    p->rules = calloc(n_rules ? n_rules : 1, sizeof *p->rules);
    p->n_rules = n_rules;
    if (!p->rules) {
        free(p);
        return NULL;
    }
    return p;
}

struct policy *policy_ref(const struct policy *p)
{
    struct policy *m = (struct policy *)p; /* const to all others: only the count may change */
    if (m)
        m->refs++;
    return m;
}

static void rule_reset(struct policy_rule *r)
{
    for (unsigned c = 0; c < COND_COUNT; c++) {
        for (unsigned i = 0; i < r->words[c].n; i++)
            free(r->words[c].text[i]);
        free(r->words[c].text);
    }
    for (unsigned i = 0; i < r->n_paths; i++)
        path_regex_free(r->paths[i]);
    free(r->prefixes);
    free(r->communities);
    free(r->paths);
    free(r->next_hops);
    free(r->peers);
    free(r->add);
    free(r->remove);
    free(r->replace);
}

void policy_unref(struct policy *p)
{
    if (!p || --p->refs)
        return;
    for (unsigned i = 0; i < p->n_rules; i++)
        rule_reset(&p->rules[i]);
    free(p->rules);
    free(p);
}

static bool same(const void *a, unsigned n, const void *b, unsigned m, size_t size)
{
    return n == m && (!n || !memcmp(a, b, n * size));
}
#define SAME(x, y, list) same((x)->list, (x)->n_##list, (y)->list, (y)->n_##list, sizeof *(x)->list)

static bool rule_equal(const struct policy_rule *a, const struct policy_rule *b)
{
    bool eq = a->n_paths == b->n_paths;
    for (unsigned i = 0; eq && i < a->n_paths; i++)
        eq = !strcmp(path_regex_text(a->paths[i]), path_regex_text(b->paths[i]));
    return eq && SAME(a, b, prefixes) && SAME(a, b, communities) && SAME(a, b, next_hops) &&
           SAME(a, b, peers) && SAME(a, b, add) && SAME(a, b, remove) && SAME(a, b, replace) &&
           a->families == b->families && a->sources == b->sources && a->origins == b->origins &&
           a->has_local_pref == b->has_local_pref && a->local_pref == b->local_pref &&
           a->has_med == b->has_med && a->no_med == b->no_med && a->med == b->med &&
           a->has_origin == b->has_origin && a->origin == b->origin && a->replaces == b->replaces &&
           a->next_hop_self == b->next_hop_self && addr_equal(&a->next_hop, &b->next_hop) &&
           a->prepend == b->prepend && a->weight == b->weight && a->then == b->then;
}

bool policy_equal(const struct policy *a, const struct policy *b)
{
    if (a == b)
        return true;
    if (!a || !b || a->n_rules != b->n_rules)
        return false;
    for (unsigned i = 0; i < a->n_rules; i++)
        if (!rule_equal(&a->rules[i], &b->rules[i]))
            return false;
    return true;
}

bool policy_rule_sets(const struct policy_rule *r)
{
    return r->has_local_pref || r->has_med || r->no_med || r->has_origin || r->replaces || r->next_hop_self ||
           r->next_hop.af || r->prepend || r->weight || r->n_add || r->n_remove;
}

bool policy_changes_attributes(const struct policy *p)
{
    bool any = false;
    for (unsigned i = 0; p && i < p->n_rules; i++)
        any |= policy_rule_sets(&p->rules[i]);
    return any;
}

bool policy_may_accept_learned(const struct policy *p)
{
    for (unsigned i = 0; p && i < p->n_rules; i++)
        if (p->rules[i].then == POLICY_ACCEPT &&
            (!p->rules[i].sources || p->rules[i].sources & 1u << POLICY_SOURCE_LEARNED))
            return true;
    return false;
}

bool policy_sets_next_hop_self(const struct policy *p)
{
    bool any = false;
    for (unsigned i = 0; i < p->n_rules; i++)
        any |= p->rules[i].next_hop_self;
    return any;
}

struct policy_memo *policy_memo_new(const struct policy_env *env)
{
    struct policy_memo *m = calloc(1, sizeof *m);
    if (m)
        m->env = *env;
    return m;
}

static void slot_reset(struct attr_table *attrs, struct memo_slot *s)
{
    attr_unref(attrs, s->in);
    attr_unref(attrs, s->out);
    *s = (struct memo_slot){0};
}

void policy_memo_free(struct policy_memo *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < MEMO_SLOTS; i++)
        slot_reset(m->env.attrs, &m->slots[i]);
    attr_unref(m->env.attrs, m->last.attr);
    free(m);
}

uint64_t policy_memo_memory(const struct policy_memo *m)
{
    return m ? sizeof *m : 0;
}

/* Conditions */

enum policy_cond policy_check_prefix(const struct policy_rule *r, enum family f, const struct prefix *p)
{
    bool found = !r->n_prefixes;
    if (r->families && !(r->families & 1u << f))
        return COND_FAMILY;
    for (unsigned i = 0; !found && i < r->n_prefixes; i++) {
        const struct prefix_range *x = &r->prefixes[i];
        found = p->len >= x->ge && p->len <= x->le && prefix_contains(&x->prefix, p);
    }
    return found ? COND_NONE : COND_PREFIX;
}

static bool match_next_hop(const struct policy_rule *r, const struct ip_addr *next_hop)
{
    for (unsigned i = 0; i < r->n_next_hops; i++)
        if (next_hop->af && prefix_contains_addr(&r->next_hops[i], next_hop))
            return true;
    return false;
}

static bool match_peer(const struct policy_rule *r, const struct policy_env *env, const struct rib_peer *from)
{
    for (unsigned i = 0; from && i < r->n_peers; i++) {
        const struct policy_peer *p = &r->peers[i];
        if (*p->interface ? env->interface && !strcmp(env->interface(from), p->interface)
                          : prefix_contains_addr(&p->range, &from->address))
            return true;
    }
    return false;
}

static bool match_community(const struct policy_rule *r, const struct attr_build *b)
{
    static const enum attr_part part[COMMUNITY_KINDS] = {PART_COMMUNITY, PART_LARGE, PART_EXTENDED};
    for (unsigned i = 0; i < r->n_communities; i++) {
        const struct community_pattern *p = &r->communities[i];
        const uint8_t *c = b->part[part[p->kind]];
        for (unsigned n = b->part_len[part[p->kind]]; n >= p->len; n -= p->len, c += p->len)
            if (community_pattern_match(p, c))
                return true;
    }
    return false;
}

/* One route on its way through the rules. */
struct walk {
    const struct policy_env *env;
    const struct policy_route *r;
    const struct attr *seen; /* the attributes as changed so far; a reference */
    struct attr_build b;     /* the same */
    struct ip_addr next_hop; /* where traffic would go, as far as that is known */
    bool changed;
    int path_len;   /* of path; -1: not printed yet */
    unsigned steps; /* of AS path matching that are left; 0: it was too much */
    char path[POLICY_MAX_PATH];
    struct policy_buffer buffer;
};

static bool match_as_path(struct walk *w, const struct policy_rule *r)
{
    if (w->path_len < 0)
        w->path_len = attr_format_as_path(w->seen, w->path, sizeof w->path);
    for (unsigned i = 0; i < r->n_paths; i++)
        if (path_regex_match(r->paths[i], w->path, strlen(w->path), &w->steps))
            return w->steps;
    return false;
}

static enum policy_cond match_attributes(struct walk *w, const struct policy_rule *r)
{
    if (r->sources && !(r->sources & 1u << w->r->source))
        return COND_SOURCE;
    if (r->n_peers && !match_peer(r, w->env, w->r->from))
        return COND_PEER;
    if (r->n_next_hops && !match_next_hop(r, &w->next_hop))
        return COND_NEXT_HOP;
    if (r->origins && !(r->origins & 1u << w->b.origin))
        return COND_ORIGIN;
    if (r->n_communities && !match_community(r, &w->b))
        return COND_COMMUNITY;
    return r->n_paths && !match_as_path(w, r) ? COND_AS_PATH : COND_NONE;
}

/* On the way out by a policy, attributes are for one peer: what the codec would leave away of a learned
 * route is left away before anything is set, and nothing of what is set afterwards. RFC 4271 5.1.3, 5.1.4;
 * RFC 4360 section 3. */
static void prepare_export(struct walk *w)
{
    struct attr_build *b = &w->b;
    const uint8_t *c = b->part[PART_EXTENDED];
    uint8_t *out = w->buffer.parts[PART_EXTENDED];
    uint16_t n = 0;
    b->flags |= ATTR_AS_IS;
    if (!w->env->ebgp || !w->r->from)
        return;
    b->nexthop = (struct ip_addr){0};
    b->flags &= (uint16_t)~ATTR_HAS_MED;
    for (const uint8_t *stop = c + b->part_len[PART_EXTENDED]; c < stop; c += 8) {
        if (c[0] & 0x40)
            continue;
        memmove(out + n, c, 8);
        n = (uint16_t)(n + 8);
    }
    b->part[PART_EXTENDED] = out;
    b->part_len[PART_EXTENDED] = n;
}

/* On the way in from outside, RFC 8326: what asks for graceful shutdown is the last choice, whatever a policy
 * wants of it, and our internal peers are to see it so; only one that takes the community away decides. */
static void graceful_shutdown(struct walk *w, const struct policy_rule *r)
{
    struct attr_build *b = &w->b;
    const uint8_t *c = b->part[PART_COMMUNITY];
    bool asks = false;
    if (w->env->export || !w->env->ebgp)
        return;
    for (const uint8_t *stop = c + b->part_len[PART_COMMUNITY]; c < stop; c += 4)
        asks |= ((uint32_t)c[0] << 24 | (uint32_t)c[1] << 16 | (uint32_t)c[2] << 8 | c[3]) ==
                COMMUNITY_GRACEFUL_SHUTDOWN;
    if (asks)
        b->flags |= ATTR_HAS_LOCAL_PREF;
    else if (w->seen->flags & ATTR_GRACEFUL_SHUTDOWN && !r->has_local_pref)
        b->flags &= (uint16_t)~ATTR_HAS_LOCAL_PREF;
    if (asks)
        b->local_pref = 0;
}

/* Makes the changes of a rule: seen and b are what it leaves behind. */
static int change(struct walk *w, const struct policy_rule *r)
{
    if (!w->changed && w->env->export)
        prepare_export(w);
    w->changed = true;
    int err = policy_rule_apply(r, w->env, w->r->family, &w->b, &w->buffer);
    if (err)
        return err;
    graceful_shutdown(w, r);
    const struct attr *now = attr_intern(w->env->attrs, &w->b);
    if (!now)
        return -ENOMEM;
    attr_unref(w->env->attrs, w->seen);
    w->seen = now;
    attr_to_build(w->env->attrs, now, &w->b);
    if (r->next_hop_self || r->next_hop.af)
        w->next_hop = w->b.nexthop;
    w->path_len = -1;
    return 0;
}

typedef void rule_fn(void *arg, const struct policy *p, unsigned i, enum policy_cond failed,
                     const struct attr *seen);

/* mask: rules whose conditions on the prefix hold. *attr: a reference, NULL when rejected. */
static int walk_rules(const struct policy *p, struct policy_memo *m, const struct policy_route *route,
                      uint64_t mask, rule_fn *told, void *arg, uint8_t *rule, const struct attr **attr)
{
    struct walk w;
    enum policy_then then = POLICY_NEXT;
    int err = 0;
    *rule = 0;
    *attr = NULL;
    if (route->attr->part_len[PART_AS_PATH] > POLICY_MAX_PATH / 4)
        return 0; /* no honest path, and not one that would be printed whole */
    w.env = &m->env;
    w.r = route;
    w.seen = attr_ref(route->attr);
    attr_to_build(m->env.attrs, route->attr, &w.b);
    w.next_hop = w.b.nexthop;
    w.changed = false;
    w.path_len = -1;
    w.steps = POLICY_MAX_STEPS;
    for (unsigned i = 0; !err && then == POLICY_NEXT && i < p->n_rules; i++) {
        const struct policy_rule *r = &p->rules[i];
        enum policy_cond failed =
            mask >> i & 1 ? match_attributes(&w, r) : policy_check_prefix(r, route->family, route->prefix);
        if (told)
            told(arg, p, i, failed, w.seen);
        if (!w.steps) { /* what the rule would have said is not known */
            *rule = (uint8_t)(i + 1);
            then = POLICY_REJECT;
        }
        if (failed)
            continue;
        then = r->then;
        *rule = (uint8_t)(i + 1);
        if (then != POLICY_REJECT && policy_rule_sets(r))
            err = change(&w, r);
    }
    if (err == -E2BIG) { /* no attribute can hold that: rejected by the rule that asks for it */
        then = POLICY_REJECT;
        err = 0;
    }
    if (then == POLICY_NEXT)
        *rule = 0;
    if (!err && then == POLICY_ACCEPT)
        *attr = w.seen;
    else
        attr_unref(m->env.attrs, w.seen);
    return err;
}

static uint64_t prefix_mask(const struct policy *p, const struct policy_route *r)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < p->n_rules; i++)
        mask |= (uint64_t)(policy_check_prefix(&p->rules[i], r->family, r->prefix) == COND_NONE) << i;
    return mask;
}

int policy_apply(const struct policy *p, struct policy_memo *m, const struct policy_route *r,
                 struct policy_result *out)
{
    uint64_t mask = prefix_mask(p, r);
    uint32_t from = r->from ? r->from->serial : 0;
    uint64_t key = (mask * 0x9e3779b97f4a7c15u) ^ ((uint64_t)from << 20 | (uint64_t)r->source << 8) ^
                   (uint64_t)r->attr->id * 0xd6e8feb86659fd93u;
    struct memo_slot *s = &m->slots[(key >> 32 ^ key) % MEMO_SLOTS];
    if (s->in != r->attr || s->mask != mask || s->from != from || s->family != r->family ||
        s->source != r->source) {
        const struct attr *result;
        uint8_t rule;
        int err = walk_rules(p, m, r, mask, NULL, NULL, &rule, &result);
        if (err)
            return err;
        slot_reset(m->env.attrs, s);
        *s = (struct memo_slot){.in = attr_ref(r->attr),
                                .out = result,
                                .mask = mask,
                                .from = from,
                                .family = (uint8_t)r->family,
                                .source = r->source,
                                .rule = rule};
    }
    *out = (struct policy_result){.accepted = s->out, .rule = s->rule, .attr = s->out};
    return 0;
}

int policy_explain(const struct policy *p, struct policy_memo *m, const struct policy_route *r, rule_fn *rule,
                   void *arg, struct policy_result *out)
{
    const struct attr *result;
    int err = walk_rules(p, m, r, prefix_mask(p, r), rule, arg, &out->rule, &result);
    if (err)
        return err;
    attr_unref(m->env.attrs, m->last.attr);
    m->last.attr = result;
    out->accepted = result;
    out->attr = result;
    return 0;
}
