/* The policies of a peer: its import policy on behalf of the RIB, and what a reload that changes them asks
 * for.
 *
 * The RIB keeps paths as the policy left them. When the policy changes, what it had rejected or left alone is
 * judged again from the table; what it had changed is sent again by the peer, which is asked for that, or is
 * in the table as received, too, where a peer cannot be asked (rib_received.c). No session is reset. */
#include <errno.h>

#include "peer_impl.h"
#include "policy.h"

static const char *interface_of(const struct rib_peer *rp)
{
    const struct peer *p = rp->owner;
    return p ? p->config->interface : "";
}

static struct policy_env environment(const struct peer *p, bool export)
{
    const struct speaker *s = p->set->speaker;
    return (struct policy_env){.attrs = s->attrs,
                               .nexthops = s->nexthops,
                               .export = export,
                               .ebgp = !p->ibgp,
                               .local_as = p->local_as,
                               .interface = interface_of};
}

struct policy_memo *peer_policy_memo(const struct peer *p, bool export)
{
    const struct policy_env env = environment(p, export);
    return policy_memo_new(&env);
}

int peer_import(struct peer *p, enum family f, const struct prefix *prefix, const struct attr **a,
                bool *named)
{
    const struct policy *policy = p->config->import_rules;
    const struct policy_route r = {
        .family = f, .prefix = prefix, .attr = *a, .from = p->rib, .source = POLICY_SOURCE_LEARNED};
    struct policy_result result;
    if (!p->import_memo)
        p->import_memo = peer_policy_memo(p, false);
    int err = p->import_memo ? policy_apply(policy, p->import_memo, &r, &result) : -ENOMEM;
    if (err)
        return err;
    if (!result.accepted)
        return IMPORT_POLICY;
    *a = result.attr;
    *named = policy->rules[result.rule - 1].n_prefixes;
    return IMPORT_OK;
}

void peer_policy_forget(struct peer *p)
{
    policy_memo_free(p->import_memo);
    p->import_memo = NULL;
}

void peer_import_changed(struct peer *p, const struct peer_config *before)
{
    bool lost = policy_changes_attributes(before->import_rules);
    peer_policy_forget(p);
    rib_reimport(p->set->speaker->rib, p->rib);
    if (lost && p->up && p->up->s.received.route_refresh)
        peer_soft_in(p);
}

void peer_export_policy(struct peer *p)
{
    const struct policy_env env = environment(p, true);
    adjout_set_policy(p->adjout, p->config->export_rules, &env);
}

int peer_export_changed(struct peer *p)
{
    int err = 0;
    peer_export_policy(p);
    for (enum family f = 0; p->up && !err && f < FAM_COUNT; f++)
        if (p->up->s.common.family[f])
            err = adjout_resend(p->adjout, f, p->config->export, false);
    return err;
}
