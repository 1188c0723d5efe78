/* Export policies in Adj-RIB-Out.
 *
 * What a peer was sent is not kept; it follows from the best path and the policy. So when the policy changes,
 * the walk that compares evaluates both, the one before and the one now, and marks only what comes out
 * different: the peer hears of what changed and of nothing else. A third policy while that walk is under way
 * leaves no such knowledge, and everything is said again. */
#include <errno.h>
#include <stdlib.h>

#include "rib/adjout_int.h"

void out_policy_reset(struct out_policy *op)
{
    policy_memo_free(op->memo);
    policy_unref(op->policy);
    *op = (struct out_policy){0};
}

void adjout_set_policy(struct adjout *o, const struct policy *p, const struct policy_env *env)
{
    bool same = policy_equal(o->policy.policy, p) && (!p || policy_env_equal(&o->policy.env, env));
    struct policy *fresh = policy_ref(p);
    if (same) {
        policy_unref(o->policy.policy);
        o->policy.policy = fresh;
        return;
    }
    out_policy_reset(&o->before);
    for (enum family f = 0; f < FAM_COUNT; f++) {
        o->fam[f].changed = o->running && o->fam[f].on;
        o->fam[f].unsure |= o->fam[f].scan != 0;
    }
    o->before = o->policy;
    o->policy = (struct out_policy){.policy = fresh, .env = p ? *env : (struct policy_env){0}};
    if (!o->running)
        out_policy_reset(&o->before);
}

int out_policy_apply(struct out_policy *op, struct adjout *o, enum family f, const struct rib_entry *e,
                     const struct rib_path *p, const struct attr **a)
{
    struct prefix prefix;
    struct policy_result result;
    if (!op->policy)
        return 0;
    if (!op->memo && !(op->memo = policy_memo_new(&op->env)))
        return -ENOMEM;
    rib_entry_prefix(o->rib, f, e, &prefix);
    const struct policy_route r = {.family = f,
                                   .prefix = &prefix,
                                   .attr = rib_path_attr(o->rib, p),
                                   .from = p->peer ? rib_peer_by_number(o->rib, p->peer) : NULL,
                                   .source = p->peer ? POLICY_SOURCE_LEARNED : p->kind};
    int err = policy_apply(op->policy, op->memo, &r, &result);
    *a = result.attr;
    return err ? err : result.accepted;
}

void adjout_release(struct adjout *o, enum family f, const uint64_t *batch, unsigned n)
{
    struct attr_table *attrs = rib_attrs(o->rib);
    for (unsigned i = 0; o->fam[f].mode == EXPORT_BY_POLICY && i < n; i++)
        attr_unref(attrs, attr_by_id(attrs, (uint32_t)(batch[i] >> 32)));
}

bool out_policy_differs(struct adjout *o, enum family f, uint32_t index)
{
    const struct out_family *of = &o->fam[f];
    const struct rib_entry *e = rib_entry(o->rib, f, index);
    const struct rib_path *best = rib_best(o->rib, e);
    const struct attr *now = NULL, *then = NULL;
    bool has = dirty_test(&of->has, index);
    int may = best ? adjout_path_attr(o, f, e, best, &now) : 0;
    if (may < 0 || has != (may > 0))
        return true;
    if (!has || (of->before != EXPORT_BY_POLICY && of->mode != EXPORT_BY_POLICY))
        return false;
    then = rib_path_attr(o->rib, best);
    if (of->before == EXPORT_BY_POLICY && out_policy_apply(&o->before, o, f, e, best, &then) <= 0)
        return true;
    return of->unsure || now != then;
}
