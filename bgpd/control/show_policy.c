/* show policy: which there are and who uses them, the rules of one, and what it makes of a prefix and why.
 *
 * To explain is to evaluate once more, on the paths that are in the table: for each peer that imports by the
 * policy its own paths, for each that exports by it the best path. A policy that nobody uses is tried as an
 * import of everybody, and a prefix that nobody sent by its conditions on prefixes alone, so that a policy
 * can be looked at before it is put to use. Peers are looked up again each step: a reload may come between.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/show.h"
#include "lib/text.h"
#include "policy.h"
#include "speaker.h"

#define PEERS_STEP 20 /* peers a turn */

enum use { BY_NOBODY, BY_IMPORT = 1, BY_EXPORT = 2 };

static unsigned used_by(const struct peer *p, const char *name)
{
    const struct peer_config *c = peer_config(p);
    return (c->import_policy && !strcmp(c->import_policy, name) ? BY_IMPORT : 0u) |
           (c->export_policy && !strcmp(c->export_policy, name) ? BY_EXPORT : 0u);
}

static unsigned used(const struct exec *e, const char *name)
{
    unsigned by = BY_NOBODY;
    for (unsigned i = 0; i < peer_set_count(e->s->peers); i++)
        by |= used_by(peer_set_at(e->s->peers, i), name);
    return by;
}

/* Which peers use it in this direction; at most `most` of them by name. */
static void list_users(const struct exec *e, const char *name, enum use use, unsigned most, char *buf,
                       size_t size)
{
    unsigned n = 0;
    size_t len = 0;
    buf[0] = 0;
    for (unsigned i = 0; i < peer_set_count(e->s->peers); i++) {
        const struct peer *p = peer_set_at(e->s->peers, i);
        if (used_by(p, name) & use && n++ < most && len < size)
            len += (size_t)snprintf(buf + len, size - len, "%s%s", n > 1 ? ", " : "", peer_name(p));
    }
    if (n > most && len < size)
        snprintf(buf + len, size - len, " and %u more", n - most);
    if (!n)
        snprintf(buf, size, "-");
}

static void json_users(const struct exec *e, const char *key, const char *name, enum use use)
{
    writer_array(e->w, key);
    for (unsigned i = 0; i < peer_set_count(e->s->peers); i++)
        if (used_by(peer_set_at(e->s->peers, i), name) & use)
            writer_str(e->w, NULL, peer_name(peer_set_at(e->s->peers, i)));
    writer_end(e->w);
}

static enum exec_result list_policies(struct exec *e)
{
    const struct config *c = e->s->config;
    struct table t = {.columns = 4};
    bool ok = table_add(&t, (const char *[]){"Policy", "Rules", "Import of", "Export to"});
    writer_object(e->w, NULL);
    writer_object(e->w, "policies");
    for (unsigned i = 0; ok && i < c->n_policies; i++) {
        const struct policy *p = c->policies[i];
        char rules[16], import[80], export[80];
        snprintf(rules, sizeof rules, "%u", p->n_rules);
        list_users(e, p->name, BY_IMPORT, 2, import, sizeof import);
        list_users(e, p->name, BY_EXPORT, 2, export, sizeof export);
        ok = table_add(&t, (const char *[]){p->name, rules, import, export});
        writer_object(e->w, p->name);
        writer_uint(e->w, "rules", p->n_rules);
        json_users(e, "importOf", p->name, BY_IMPORT);
        json_users(e, "exportTo", p->name, BY_EXPORT);
        writer_end(e->w);
    }
    writer_end(e->w);
    writer_end(e->w);
    if (!c->n_policies)
        writer_text(e->w, "There are no policies; see `policies` in underlay.yaml(5)\n");
    else
        table_print(&t, e->w);
    free(t.cells);
    return ok ? EXEC_DONE : exec_fail(e, STATUS_REFUSED, "out of memory");
}

/* The rules of one */

static void text_item(void *arg, const struct policy_item *i)
{
    struct exec *e = arg;
    char line[1024];
    size_t n = 0;
    writer_text(e->w, "      %s: ", i->key);
    for (unsigned v = 0; v < i->n && n < sizeof line; v++)
        n += (size_t)snprintf(line + n, sizeof line - n, "%s%s", v ? ", " : "", i->values[v]);
    if (n >= sizeof line)
        memcpy(line + sizeof line - 4, "...", 4);
    show_wrap(e->w, 8 + (unsigned)strlen(i->key), 10, line);
}

static void json_item(void *arg, const struct policy_item *i)
{
    struct writer *w = ((struct exec *)arg)->w;
    if (!i->list) {
        char *end;
        unsigned long v = strtoul(i->values[0], &end, 10);
        if (*end)
            writer_str(w, i->key, i->values[0]);
        else
            writer_uint(w, i->key, v);
        return;
    }
    writer_array(w, i->key);
    for (unsigned v = 0; v < i->n; v++)
        writer_str(w, NULL, i->values[v]);
    writer_end(w);
}

static void show_rule(struct exec *e, const struct policy_rule *r, unsigned number)
{
    struct writer *w = e->w;
    bool any = false;
    for (unsigned c = 0; c < COND_COUNT; c++)
        any |= r->words[c].n > 0;
    writer_object(w, NULL);
    writer_uint(w, "rule", number);
    writer_text(w, "  rule %u: %s\n", number, any ? "match" : "every route");
    writer_object(w, "match");
    policy_rule_match_items(r, writer_json(w) ? json_item : text_item, e);
    writer_end(w);
    if (policy_rule_sets(r))
        writer_text(w, "    set\n");
    writer_object(w, "set");
    policy_rule_set_items(r, writer_json(w) ? json_item : text_item, e);
    writer_end(w);
    writer_text(w, "    then %s\n", policy_then_name(r->then));
    writer_str(w, "then", policy_then_name(r->then));
    writer_end(w);
}

static enum exec_result show_rules(struct exec *e, const struct policy *p)
{
    struct writer *w = e->w;
    char users[200];
    writer_object(w, NULL);
    writer_str(w, "policy", p->name);
    json_users(e, "importOf", p->name, BY_IMPORT);
    json_users(e, "exportTo", p->name, BY_EXPORT);
    list_users(e, p->name, BY_IMPORT, 8, users, sizeof users);
    writer_text(w, "Policy %s\n  import of ", p->name);
    show_wrap(w, 12, 12, users);
    list_users(e, p->name, BY_EXPORT, 8, users, sizeof users);
    writer_text(w, "  export to ");
    show_wrap(w, 12, 12, users);
    writer_array(w, "rules");
    for (unsigned i = 0; i < p->n_rules; i++)
        show_rule(e, &p->rules[i], i + 1);
    writer_end(w);
    writer_text(w, "  no rule decides: reject\n");
    writer_end(w);
    return EXEC_DONE;
}

/* What it makes of a prefix */

struct explaining {
    struct prefix prefix;
    enum family family;
    bool as_if; /* nobody uses it: tried as an import of everybody */
    unsigned peer, told;
};

static void told_rule(void *arg, const struct policy *p, unsigned i, enum policy_cond failed,
                      const struct attr *seen)
{
    struct exec *e = arg;
    const struct policy_rule *r = &p->rules[i];
    char miss[300];
    (void)seen;
    policy_miss_text(r, failed, miss, sizeof miss);
    writer_object(e->w, NULL);
    writer_uint(e->w, "rule", i + 1);
    writer_bool(e->w, "applies", failed == COND_NONE);
    if (failed) {
        writer_str(e->w, "failed", policy_cond_name(failed));
        writer_str(e->w, "reason", miss);
    } else {
        writer_str(e->w, "then", policy_then_name(r->then));
    }
    writer_end(e->w);
    if (!failed)
        snprintf(miss, sizeof miss, "applies: %s%s", policy_rule_sets(r) ? "set, " : "",
                 policy_then_name(r->then));
    char head[24];
    unsigned at = (unsigned)snprintf(head, sizeof head, "    rule %u: ", i + 1);
    writer_text(e->w, "%s", head);
    show_wrap(e->w, at, at, miss);
}

/* One property before and after, when they differ. */
static void changed(struct exec *e, const char *name, const char *key, const char *before, const char *after)
{
    if (!strcmp(before, after))
        return;
    unsigned at = 8 + (unsigned)strlen(name);
    char line[2 * AS_PATH_STRLEN + 8];
    writer_object(e->w, key);
    writer_str(e->w, "from", before);
    writer_str(e->w, "to", after);
    writer_end(e->w);
    snprintf(line, sizeof line, "%s -> %s", *before ? before : "none", *after ? after : "none");
    writer_text(e->w, "      %s: ", name);
    show_wrap(e->w, at, 10, line);
}

static void number_text(const struct attr *a, unsigned flag, uint32_t v, char buf[16])
{
    *buf = 0;
    if (a->flags & flag)
        snprintf(buf, 16, "%" PRIu32, v);
}

static void hop_text(const struct exec *e, const struct attr *a, char buf[ADDR_STRLEN])
{
    const struct nexthop *nh = a->nexthop ? nexthop_by_id(e->s->nexthops, a->nexthop) : NULL;
    snprintf(buf, ADDR_STRLEN, "self");
    if (nh)
        addr_format(&nh->addr, buf);
}

static void changes(struct exec *e, const struct attr *before, const struct attr *after)
{
    static const struct {
        const char *name, *key;
        int (*format)(const struct attr *a, char *buf, size_t size);
    } rows[] = {{"AS path", "path", attr_format_as_path},
                {"community", "community", attr_format_communities},
                {"large community", "largeCommunity", attr_format_large},
                {"extended community", "extendedCommunity", attr_format_extended}};
    char a[AS_PATH_STRLEN], b[AS_PATH_STRLEN];
    writer_object(e->w, "changes");
    number_text(before, ATTR_HAS_LOCAL_PREF, before->local_pref, a);
    number_text(after, ATTR_HAS_LOCAL_PREF, after->local_pref, b);
    changed(e, "local-pref", "locPrf", a, b);
    number_text(before, ATTR_HAS_MED, before->med, a);
    number_text(after, ATTR_HAS_MED, after->med, b);
    changed(e, "med", "metric", a, b);
    changed(e, "origin", "origin", origin_name(before->origin), origin_name(after->origin));
    hop_text(e, before, a);
    hop_text(e, after, b);
    changed(e, "next-hop", "nextHop", a, b);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        *a = *b = 0;
        rows[i].format(before, a, sizeof a);
        rows[i].format(after, b, sizeof b);
        changed(e, rows[i].name, rows[i].key, a, b);
    }
    writer_end(e->w);
}

static void heading(struct exec *e, const struct peer *p, const struct attr *a, bool export)
{
    char path[AS_PATH_STRLEN], line[AS_PATH_STRLEN + 400];
    const char *desc = peer_config(p)->description;
    attr_format_as_path(a, path, sizeof path);
    writer_str(e->w, "direction", export ? "export" : "import");
    writer_str(e->w, "peer", peer_name(p));
    if (*desc)
        writer_str(e->w, "desc", desc);
    writer_str(e->w, "path", path);
    snprintf(line, sizeof line, "%s %s%s%s%s, AS path %s", export ? "Export to" : "Import from", peer_name(p),
             *desc ? " (" : "", desc, *desc ? ")" : "", *path ? path : "empty");
    writer_text(e->w, "  ");
    show_wrap(e->w, 2, 4, line);
}

/* Outside of the policy: what the table or the rules of BGP say about it anyhow. */
static void remark(struct exec *e, const char *key, const char *text)
{
    writer_str(e->w, key, text);
    writer_text(e->w, "    ");
    show_wrap(e->w, 4, 6, text);
}

static int explain(struct exec *e, const struct policy *policy, struct peer *p, const struct explaining *x,
                   const struct rib_path *path, const struct attr *a, bool export)
{
    struct policy_memo *m = peer_policy_memo(p, export);
    const struct policy_route r = {.family = x->family,
                                   .prefix = &x->prefix,
                                   .attr = a,
                                   .from = path->peer ? rib_peer_by_number(e->s->rib, path->peer) : NULL,
                                   .source = path->peer ? POLICY_SOURCE_LEARNED : path->kind};
    struct policy_result result = {0};
    char text[160];
    writer_array(e->w, "rules");
    int err = m ? policy_explain(policy, m, &r, told_rule, e, &result) : -1;
    writer_end(e->w);
    if (!err) {
        writer_str(e->w, "result", result.accepted ? "accepted" : "rejected");
        if (result.rule)
            snprintf(text, sizeof text, "%s by rule %u", result.accepted ? "accepted" : "rejected",
                     result.rule);
        else
            snprintf(text, sizeof text, "rejected, as no rule decides");
        writer_text(e->w, "    Result: %s\n", text);
        writer_uint(e->w, "rule", result.rule);
        if (result.accepted)
            changes(e, a, result.attr);
    }
    policy_memo_free(m);
    return err;
}

static int explain_import(struct exec *e, const struct policy *policy, struct peer *p, struct explaining *x)
{
    struct rib *r = e->s->rib;
    uint32_t index = rib_find(r, x->family, &x->prefix);
    int err = 0;
    for (uint32_t i = index ? rib_entry(r, x->family, index)->paths : 0; i && !err;
         i = rib_path(r, i)->next) {
        const struct rib_path *path = rib_path(r, i);
        const struct attr *received = rib_path_received(r, i),
                          *a = received ? received : rib_path_attr(r, path);
        char text[200];
        if (path->peer != peer_rib(p)->number)
            continue;
        x->told++;
        writer_object(e->w, NULL);
        heading(e, p, a, false);
        writer_bool(e->w, "asReceived", received);
        if (!received)
            remark(e, "note",
                   "judged as the policy in force left it: as received it is not kept, since the peer "
                   "can send it again");
        err = explain(e, policy, p, x, path, a, false);
        if (path->flags & PATH_FILTERED && path->reason != IMPORT_POLICY) {
            snprintf(text, sizeof text, "Whatever the policy says, it is refused: %s",
                     import_reason_text(path->reason));
            remark(e, "filteredReason", text);
        }
        writer_end(e->w);
    }
    return err;
}

static int explain_export(struct exec *e, const struct policy *policy, struct peer *p, struct explaining *x)
{
    struct rib *r = e->s->rib;
    uint32_t index = rib_find(r, x->family, &x->prefix);
    const struct rib_entry *entry = index ? rib_entry(r, x->family, index) : NULL;
    const struct rib_path *best = entry ? rib_best(r, entry) : NULL;
    if (!best)
        return 0;
    x->told++;
    writer_object(e->w, NULL);
    heading(e, p, rib_path_attr(r, best), true);
    int err = explain(e, policy, p, x, best, rib_path_attr(r, best), true);
    if (!peer_established(p))
        remark(e, "note", "The session is not established.");
    else if (!adjout_exportable(peer_adjout(p), x->family, entry))
        remark(e, "note",
               "Whatever the policy says, it does not go there: the peer has told us, it is internal "
               "to internal, a community or role forbids it, or there is no next hop for the family.");
    writer_end(e->w);
    return err;
}

/* By the prefix alone. */
static void explain_prefix(struct exec *e, const struct policy *p, const struct explaining *x)
{
    writer_array(e->w, "byPrefix");
    writer_text(e->w, "  It is not in the table; by the prefix alone:\n");
    for (unsigned i = 0; i < p->n_rules; i++) {
        const struct policy_rule *r = &p->rules[i];
        enum policy_cond failed = policy_check_prefix(r, x->family, &x->prefix);
        char line[400], more[160] = "";
        size_t n = 0;
        for (enum policy_cond c = COND_SOURCE; c < COND_COUNT; c++)
            if (r->words[c].n)
                n += (size_t)snprintf(more + n, sizeof more - n, "%s%s", n ? ", " : "", policy_cond_name(c));
        if (failed)
            policy_miss_text(r, failed, line, sizeof line);
        else
            snprintf(line, sizeof line, "%s%s: %s%s", n ? "depends on " : "applies", more,
                     policy_rule_sets(r) ? "set, " : "", policy_then_name(r->then));
        writer_object(e->w, NULL);
        writer_uint(e->w, "rule", i + 1);
        writer_str(e->w, "applies", failed ? "no" : n ? "depends" : "yes");
        writer_str(e->w, "reason", line);
        writer_end(e->w);
        char head[24];
        unsigned at = (unsigned)snprintf(head, sizeof head, "    rule %u: ", i + 1);
        writer_text(e->w, "%s", head);
        show_wrap(e->w, at, at, line);
        if (!failed && !n && r->then != POLICY_NEXT)
            break;
    }
    writer_end(e->w);
}

static bool begin_explaining(struct exec *e, const struct policy *p, const char *text)
{
    struct prefix prefix;
    char masked[PREFIX_STRLEN];
    int rc = prefix_parse(text, true, &prefix);
    if (rc == -EADDRNOTAVAIL)
        exec_fail(e, STATUS_USAGE, "%s has host bits set; did you mean %s?", text,
                  prefix_format(&prefix, masked));
    else if (rc)
        exec_fail(e, STATUS_USAGE, "`%.60s` is not a prefix", text);
    struct explaining *x = rc ? NULL : exec_state(e, sizeof *x);
    if (!x)
        return false;
    x->prefix = prefix;
    x->family = addr_family(&prefix.addr);
    x->as_if = used(e, p->name) == BY_NOBODY;
    writer_object(e->w, NULL);
    writer_str(e->w, "policy", p->name);
    writer_prefix(e->w, "prefix", &prefix);
    writer_bool(e->w, "used", !x->as_if);
    writer_text(e->w, "Policy %s for %s%s\n", p->name, prefix_format(&prefix, masked),
                x->as_if ? "; no peer uses it: as if every import did" : "");
    writer_array(e->w, "evaluations");
    return true;
}

static enum exec_result explain_step(struct exec *e, const struct policy *p)
{
    if (!e->state && !begin_explaining(e, p, command_arg(e->cmd, "PREFIX")))
        return EXEC_DONE;
    struct explaining *x = e->state;
    int err = 0;
    for (unsigned n = 0; !err && n < PEERS_STEP && x->peer < peer_set_count(e->s->peers); n++, x->peer++) {
        struct peer *peer = peer_set_at(e->s->peers, x->peer);
        unsigned use = x->as_if ? BY_IMPORT : used_by(peer, p->name);
        if (use & BY_IMPORT)
            err = explain_import(e, p, peer, x);
        if (!err && use & BY_EXPORT)
            err = explain_export(e, p, peer, x);
    }
    if (err)
        return exec_fail(e, STATUS_REFUSED, "out of memory");
    if (x->peer < peer_set_count(e->s->peers))
        return EXEC_MORE;
    writer_end(e->w);
    if (!x->told)
        explain_prefix(e, p, x);
    writer_end(e->w);
    return EXEC_DONE;
}

static enum exec_result no_policy(struct exec *e, const char *name)
{
    const struct config *c = e->s->config;
    const char *guess = NULL;
    for (unsigned i = 0; i < c->n_policies; i++) {
        const char *names[] = {c->policies[i]->name}, *one = text_closest(name, names, 1);
        if (one && (!guess || text_distance(name, one) < text_distance(name, guess)))
            guess = one;
    }
    if (guess)
        return exec_fail(e, STATUS_REFUSED, "there is no policy `%.64s`; did you mean `%s`?", name, guess);
    return exec_fail(e, STATUS_REFUSED, "there is no policy `%.64s`; `show policy` lists them", name);
}

enum exec_result show_policy(struct exec *e)
{
    const char *name = command_arg(e->cmd, "POLICY");
    const struct policy *p = NULL;
    if (!name)
        return list_policies(e);
    for (unsigned i = 0; !p && i < e->s->config->n_policies; i++)
        if (!strcmp(e->s->config->policies[i]->name, name))
            p = e->s->config->policies[i];
    if (!p)
        return no_policy(e, name);
    return command_arg(e->cmd, "PREFIX") ? explain_step(e, p) : show_rules(e, p);
}

const char *show_refusal(const struct exec *e, enum family f, const struct prefix *prefix,
                         const struct path_view *v, char *buf, size_t size)
{
    const struct peer *peer = v->from ? v->from->owner : NULL;
    const struct policy *p = peer ? peer_config(peer)->import_rules : NULL;
    struct policy_memo *m = v->path->reason == IMPORT_POLICY && p ? peer_policy_memo(peer, false) : NULL;
    const struct policy_route r = {
        .family = f, .prefix = prefix, .attr = v->attr, .from = v->from, .source = POLICY_SOURCE_LEARNED};
    struct policy_result result;
    (void)e;
    snprintf(buf, size, "%s", import_reason_text(v->path->reason));
    if (m && !policy_apply(p, m, &r, &result) && !result.accepted) {
        if (result.rule)
            snprintf(buf, size, "policy %s rule %u", p->name, result.rule);
        else
            snprintf(buf, size, "policy %s, no rule accepts it", p->name);
    }
    policy_memo_free(m);
    return buf;
}
