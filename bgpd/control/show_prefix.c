/* show bgp PREFIX|ADDRESS: everything about one prefix, refused paths included, who has it from us and what
 * the kernel made of it. An address shows its longest match, as a router would forward it. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/show.h"
#include "loop.h"
#include "rib/decision.h"
#include "speaker.h"
#include "wire/wire.h"

/* 0: exec_fail was called. */
static uint32_t find_entry(struct exec *e, enum family *f)
{
    const char *text = command_arg(e->cmd, "PREFIX");
    struct rib *r = e->s->rib;
    bool family[FAM_COUNT];
    struct ip_addr a;
    struct prefix p;
    char masked[PREFIX_STRLEN];
    bool is_address = !addr_parse(text, &a);
    int rc = is_address ? 0 : prefix_parse(text, false, &p);
    if (rc) {
        if (rc == -EADDRNOTAVAIL)
            exec_fail(e, STATUS_USAGE, "%s has host bits set; did you mean %s?", text,
                      prefix_format(&p, masked));
        else
            exec_fail(e, STATUS_USAGE, "`%.60s` is neither a prefix nor an address", text);
        return 0;
    }
    *f = addr_family(is_address ? &a : &p.addr);
    show_families(e, family);
    if (!family[*f]) {
        exec_fail(e, STATUS_USAGE, "%s is not %s", text, *f == FAM_IPV6 ? "IPv4" : "IPv6");
        return 0;
    }
    uint32_t index = is_address ? rib_match(r, *f, &a) : rib_find(r, *f, &p);
    if (!index || !rib_entry(r, *f, index)->paths) {
        exec_fail(e, STATUS_REFUSED,
                  is_address ? "%s: no prefix in the table contains it" : "%s: not in the table", text);
        return 0;
    }
    return index;
}

static bool advertised_to(const struct peer *p, enum family f, uint32_t index)
{
    return peer_established(p) && adjout_has(peer_adjout(p), f, index);
}

static void text_communities(struct exec *e, const struct attr *a)
{
    static const struct {
        const char *name;
        int (*format)(const struct attr *a, char *buf, size_t size);
    } rows[] = {{"Community", attr_format_communities},
                {"Large Community", attr_format_large},
                {"Extended Community", attr_format_extended}};
    char text[AS_PATH_STRLEN];
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        *text = 0;
        rows[i].format(a, text, sizeof text);
        if (!*text)
            continue;
        writer_text(e->w, "      %s: ", rows[i].name);
        show_wrap(e->w, 8 + (unsigned)strlen(rows[i].name), 8, text);
    }
    if (a->flags & ATTR_HAS_BANDWIDTH)
        writer_text(e->w, "      Link bandwidth: %g Mbit/s\n", (double)attr_bandwidth(a) / 125000);
}

/* Why a usable path is not the best: what the decision says between the two alone. MED is compared within one
 * neighbour AS only, so that with more paths the two alone may come out the other way. NULL: the best, not
 * usable, or not to be told from two. */
static const char *lost_by(struct exec *e, enum family f, const struct rib_entry *entry,
                           const struct path_view *v)
{
    static const char *const words[] = {
        [SELECT_LOCAL] = "the best is originated here",
        [SELECT_LOCAL_PREF] = "lower local preference",
        [SELECT_AS_PATH] = "longer AS path",
        [SELECT_ORIGIN] = "worse origin",
        [SELECT_STALE] = "long-lived stale",
        [SELECT_MED] = "higher MED",
        [SELECT_EBGP] = "the best is external, this is internal",
        [SELECT_METRIC] = "higher cost to the next hop",
        [SELECT_ROUTER_ID] = "higher router ID",
        [SELECT_CLUSTER] = "longer cluster list",
        [SELECT_ADDRESS] = "higher peer address",
        [SELECT_PATH_ID] = "higher path identifier",
    };
    struct rib *r = e->s->rib;
    const struct rib_path *head = entry->paths ? rib_path(r, entry->paths) : NULL;
    struct rib_config rc = speaker_rib_config(e->s->config);
    static const struct rib_peer here = {0};
    struct candidate c[2];
    enum select_reason why;
    rc.multipath = 1;
    if (!head || !(head->flags & PATH_BEST) || v->path == head || !v->valid)
        return NULL;
    const struct path_view views[2] = {show_path(r, f, entry->paths), *v};
    for (int i = 0; i < 2; i++)
        c[i] = (struct candidate){.attr = views[i].attr,
                                  .peer = views[i].from ? views[i].from : &here,
                                  .metric = views[i].nexthop ? views[i].nexthop->metric : 0,
                                  .path_id = views[i].id,
                                  .usable = true};
    if (decision_select(c, 2, &rc, &why) != 0 || why >= sizeof words / sizeof *words)
        return NULL;
    return words[why];
}

/* When the path came or changed, as the wall clock of today sees it, in FRR's words (ctime without the
 * newline). */
static time_t last_update(const struct exec *e, const struct rib_path *p, char string[26])
{
    uint64_t age_s = (loop_now_ms() - e->s->started_ms) / 1000 - p->since;
    time_t then = (time_t)(wall_now_s() - (int64_t)age_s);
    if (!ctime_r(&then, string))
        *string = 0;
    string[strcspn(string, "\n")] = 0;
    return then;
}

/* Whether a peer with ADD-PATH has the path from us. */
static bool sent_as_path(const struct exec *e, enum family f, uint32_t entry, uint32_t path)
{
    for (unsigned i = 0; i < peer_set_count(e->s->peers); i++)
        if (adjout_has_path(peer_adjout(peer_set_at(e->s->peers, i)), f, entry, path))
            return true;
    return false;
}

static void text_path_ids(struct exec *e, enum family f, uint32_t entry, const struct path_view *v)
{
    bool sent = sent_as_path(e, f, entry, v->index);
    if (v->id || sent)
        writer_text(e->w, "      AddPath ID: RX %" PRIu32 ", TX-All %" PRIu32 "\n", v->id,
                    sent ? v->index : 0);
}

static void json_path_ids(struct exec *e, enum family f, uint32_t entry, const struct path_view *v)
{
    bool sent = sent_as_path(e, f, entry, v->index);
    if (!v->id && !sent)
        return;
    writer_uint(e->w, "addpathRxId", v->id);
    writer_object(e->w, "addpathTxIds");
    if (sent)
        writer_uint(e->w, "all", v->index);
    writer_end(e->w);
}

static void text_as_path(struct writer *w, const struct attr *a)
{
    char text[AS_PATH_STRLEN + 64], id[ADDR_STRLEN];
    int n = attr_format_as_path(a, text, AS_PATH_STRLEN);
    if (!n)
        n = snprintf(text, sizeof text, "Local");
    n = n < AS_PATH_STRLEN ? n : AS_PATH_STRLEN - 1;
    if (a->flags & ATTR_HAS_AGGREGATOR)
        snprintf(text + n, sizeof text - (size_t)n, ", (aggregated by %" PRIu32 " %s)", a->aggregator_as,
                 show_router_id(a->aggregator_id, id));
    writer_text(w, "  ");
    show_wrap(w, 2, 4, text);
}

/* RFC 4456; and what is passed on unread. */
static void text_reflection(struct writer *w, const struct attr *a)
{
    char text[AS_PATH_STRLEN], id[ADDR_STRLEN];
    if (a->flags & ATTR_HAS_ORIGINATOR)
        writer_text(w, "      Originator: %s\n", show_router_id(a->originator_id, id));
    if (a->part_len[PART_CLUSTER]) {
        attr_format_clusters(a, text, sizeof text);
        writer_text(w, "      Cluster list: ");
        show_wrap(w, 20, 8, text);
    }
    if (a->part_len[PART_UNKNOWN]) {
        attr_format_carried(a, text, sizeof text);
        writer_text(w, "      Attributes passed on unread: ");
        show_wrap(w, 35, 8, text);
    }
}

/* What the decision goes by, where the path says anything of it. */
static bool effective_local_pref(const struct exec *e, const struct path_view *v, uint32_t *out)
{
    const struct rib_config rc = speaker_rib_config(e->s->config);
    if (!(v->attr->flags & ATTR_HAS_LOCAL_PREF))
        return false;
    *out = v->from ? decision_local_pref(v->attr, v->from, &rc) : v->attr->local_pref;
    return true;
}

static const char *refusal(struct exec *e, enum family f, const struct rib_entry *entry,
                           const struct path_view *v, char *buf, size_t size)
{
    struct prefix prefix;
    rib_entry_prefix(e->s->rib, f, entry, &prefix);
    return show_refusal(e, f, &prefix, v, buf, size);
}

/* Of an unnumbered peer the interface: its link-local address says nothing, and may be that of another too.
 */
static const char *path_from(const struct path_view *v, char buf[ADDR_STRLEN])
{
    const struct peer *p = v->from->owner;
    return p && peer_config(p)->kind == PEER_BY_INTERFACE ? peer_name(p) : show_path_peer(v, buf);
}

static void text_path(struct exec *e, enum family f, const struct rib_entry *entry, const struct path_view *v)
{
    struct writer *w = e->w;
    const struct attr *a = v->attr;
    uint32_t local_pref;
    char text[AS_PATH_STRLEN], hop[ADDR_STRLEN], peer[ADDR_STRLEN], id[ADDR_STRLEN];
    struct ip_addr next = show_nexthop(v, f);
    text_as_path(w, a);
    writer_text(w, "    %s from %s (%s)\n", addr_format(&next, hop),
                v->from ? path_from(v, peer) : "this node",
                show_router_id(v->from ? v->from->router_id : e->s->router_id, id));
    size_t n = (size_t)snprintf(text, sizeof text, "Origin %s", origin_name(a->origin));
    if (a->flags & ATTR_HAS_MED)
        n += (size_t)snprintf(text + n, sizeof text - n, ", metric %" PRIu32, a->med);
    if (effective_local_pref(e, v, &local_pref))
        n += (size_t)snprintf(text + n, sizeof text - n, ", localpref %" PRIu32, local_pref);
    n += (size_t)snprintf(text + n, sizeof text - n, "%s, %s", v->valid ? ", valid" : "",
                          !v->from        ? "sourced, local"
                          : v->from->ibgp ? "internal"
                                          : "external");
    if (v->stale)
        n += (size_t)snprintf(text + n, sizeof text - n, ", stale");
    if (a->flags & ATTR_ATOMIC_AGGREGATE)
        n += (size_t)snprintf(text + n, sizeof text - n, ", atomic-aggregate");
    if (a->part_len[PART_OTC])
        n += (size_t)snprintf(text + n, sizeof text - n, ", otc %" PRIu32, attr_otc(a));
    if (v->path->flags & PATH_MULTIPATH)
        n += (size_t)snprintf(text + n, sizeof text - n, ", multipath");
    if (v->path->flags & PATH_BACKUP)
        n += (size_t)snprintf(text + n, sizeof text - n, ", backup");
    if (v->path->flags & PATH_BEST)
        n += (size_t)snprintf(text + n, sizeof text - n, ", best (%s)", select_reason_name(entry->selection));
    writer_text(w, "      ");
    show_wrap(w, 6, 8, text);
    const char *lost = lost_by(e, f, entry, v);
    if (lost)
        writer_text(w, "      Not the best: %s%s\n", lost,
                    v->path->flags & PATH_MULTIPATH ? "; used beside it (multipath)" : "");
    if (v->path->flags & PATH_FILTERED) {
        writer_text(w, "      Not used, refused by the import: ");
        show_wrap(w, 39, 8, refusal(e, f, entry, v, text, sizeof text));
    }
    if (v->path->flags & PATH_CHANGED)
        writer_text(w, "      As the import policy left it\n");
    if (v->path->flags & PATH_UNREACHABLE)
        writer_text(w, "      Not used: the next hop is %s\n",
                    v->nexthop && v->nexthop->resolved ? "unreachable" : "not resolved yet");
    text_communities(e, a);
    text_reflection(w, a);
    last_update(e, v->path, text);
    writer_text(w, "      Last update: %s\n", text);
}

static void text_kernel(struct exec *e, enum family f, uint32_t index)
{
    struct rib *r = e->s->rib;
    const struct rib_entry *entry = rib_entry(r, f, index);
    const struct rib_path *head = rib_path(r, entry->paths);
    char text[256];
    int32_t error;
    int told;
    writer_text(e->w, "  In the kernel: ");
    switch ((enum fib_state)entry->fib) {
    case FIB_INSTALLED:
        told = rib_fib_told(r, f, index);
        writer_text(e->w, "installed%s\n",
                    told == FM_ROUTE_UNREACHABLE ? " as unreachable"
                    : told == FM_ROUTE_BLACKHOLE ? " as blackhole"
                                                 : "");
        return;
    case FIB_PENDING:
        writer_text(e->w, "pending\n");
        return;
    case FIB_FAILED:
        error = rib_fib_error(r, f, index);
        snprintf(text, sizeof text, "failed: %s (%s)", show_fib_error(error), show_fib_hint(error));
        show_wrap(e->w, 17, 17, text);
        return;
    case FIB_NONE:
        break;
    }
    writer_text(e->w, "no, %s\n",
                !(head->flags & PATH_BEST)   ? "there is no usable path"
                : !head->peer                ? "it is originated here"
                : !e->s->config->fib.install ? "fib.install is false"
                                             : "not yet");
}

static void text_entry(struct exec *e, enum family f, uint32_t index)
{
    struct rib *r = e->s->rib;
    const struct rib_entry *entry = rib_entry(r, f, index);
    struct prefix prefix;
    char text[PREFIX_STRLEN];
    unsigned n = 0, best = 0, told = 0;
    rib_entry_prefix(r, f, entry, &prefix);
    for (uint32_t i = entry->paths; i; i = rib_path(r, i)->next) {
        n++;
        if (rib_path(r, i)->flags & PATH_BEST)
            best = n;
    }
    writer_text(e->w, "BGP routing table entry for %s\n", prefix_format(&prefix, text));
    writer_text(e->w, "Paths: (%u available, ", n);
    writer_text(e->w, best ? "best #%u)\n" : "no best path)\n", best);
    text_kernel(e, f, index);
    for (unsigned k = 0; k < peer_set_count(e->s->peers); k++) {
        const struct peer *p = peer_set_at(e->s->peers, k);
        if (!advertised_to(p, f, index))
            continue;
        writer_text(e->w, "%s    %s%s", told++ ? "" : "  Advertised to peers:\n", peer_name(p),
                    *peer_config(p)->description ? " " : "");
        unsigned at = 5 + (unsigned)strlen(peer_name(p));
        show_wrap(e->w, at, at, peer_config(p)->description);
    }
    if (!told)
        writer_text(e->w, "  Not advertised to any peer\n");
    for (uint32_t i = entry->paths; i; i = rib_path(r, i)->next) {
        struct path_view v = show_path(r, f, i);
        text_path(e, f, entry, &v);
        text_path_ids(e, f, index, &v);
    }
}

/* RFC 4271 4.3 and RFC 5065 3: the segments as FRR shows them. */
static void json_aspath(struct writer *w, const struct attr *a)
{
    static const char *const types[] = {"as-set", "as-sequence", "as-confed-sequence", "as-confed-set"};
    char text[AS_PATH_STRLEN];
    uint16_t len;
    const uint8_t *bytes = attr_part(a, PART_AS_PATH, &len);
    struct wire_reader in = wire_reader(bytes, len);
    writer_object(w, "aspath");
    attr_format_as_path(a, text, sizeof text);
    writer_str(w, "string", *text ? text : "Local");
    writer_array(w, "segments");
    while (wire_left(&in) && !in.err) {
        unsigned type = wire_get_u8(&in), n = wire_get_u8(&in);
        writer_object(w, NULL);
        writer_str(w, "type", type >= 1 && type <= 4 ? types[type - 1] : "unknown");
        writer_array(w, "list");
        while (n-- && !in.err)
            writer_uint(w, NULL, wire_get_u32(&in));
        writer_end(w);
        writer_end(w);
    }
    writer_end(w);
    writer_uint(w, "length", a->path_len);
    writer_end(w);
}

/* The list has FRR's other spelling of well-known ones: "no-export" in the string, "noExport" here. */
static void camel_case(char *word)
{
    char *out = word;
    for (bool up = false, tail = false; *word; word++) {
        if (*word == '-') {
            up = tail = true;
            continue;
        }
        *out++ = (char)(up ? toupper((unsigned char)*word) : tail ? tolower((unsigned char)*word) : *word);
        up = false;
    }
    *out = 0;
}

static void json_community(struct writer *w, const char *key, const struct attr *a,
                           int (*format)(const struct attr *a, char *buf, size_t size), bool list)
{
    char text[AS_PATH_STRLEN] = "", *save = NULL;
    format(a, text, sizeof text);
    if (!*text)
        return;
    writer_object(w, key);
    writer_str(w, "string", text);
    if (list) {
        writer_array(w, "list");
        for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
            camel_case(word);
            writer_str(w, NULL, word);
        }
        writer_end(w);
    }
    writer_end(w);
}

static void json_clusters(struct writer *w, const struct attr *a)
{
    char text[AS_PATH_STRLEN] = "", *save = NULL;
    if (!a->part_len[PART_CLUSTER])
        return;
    attr_format_clusters(a, text, sizeof text);
    writer_object(w, "clusterList");
    writer_str(w, "string", text);
    writer_array(w, "list");
    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
        writer_str(w, NULL, word);
    writer_end(w);
    writer_end(w);
}

/* What only some paths have. */
static void json_rare(struct writer *w, const struct attr *a)
{
    char text[AS_PATH_STRLEN], id[ADDR_STRLEN];
    if (a->flags & ATTR_HAS_AGGREGATOR) {
        writer_uint(w, "aggregatorAs", a->aggregator_as);
        writer_str(w, "aggregatorId", show_router_id(a->aggregator_id, id));
    }
    if (a->flags & ATTR_ATOMIC_AGGREGATE)
        writer_bool(w, "atomicAggregate", true);
    if (a->flags & ATTR_HAS_ORIGINATOR)
        writer_str(w, "originatorId", show_router_id(a->originator_id, id));
    json_clusters(w, a);
    if (a->part_len[PART_OTC])
        writer_uint(w, "otc", attr_otc(a));
    if (a->flags & ATTR_HAS_BANDWIDTH) { /* bytes per second, as it was sent */
        float bandwidth = attr_bandwidth(a);
        writer_uint(w, "linkBandwidth", bandwidth < 0x1p63f ? (uint64_t)bandwidth : 1ull << 63);
    }
    if (a->part_len[PART_UNKNOWN]) {
        attr_format_carried(a, text, sizeof text);
        writer_str(w, "unknownAttributes", text);
    }
}

static void json_path_source(struct exec *e, const struct path_view *v)
{
    char text[ADDR_STRLEN];
    writer_object(e->w, "peer");
    writer_str(e->w, "peerId", show_path_peer(v, text));
    writer_str(e->w, "routerId", show_router_id(v->from ? v->from->router_id : e->s->router_id, text));
    if (v->from) {
        const struct peer *p = v->from->owner;
        struct peer_info i = {0};
        if (p)
            peer_info(p, &i);
        if (show_given(i.hostname))
            writer_str(e->w, "hostname", i.hostname);
        if (i.interface)
            writer_str(e->w, "interface", i.interface);
        writer_str(e->w, "type", v->from->ibgp ? "internal" : "external");
    }
    writer_end(e->w);
}

static void json_path(struct exec *e, enum family f, uint32_t index, const struct path_view *v)
{
    const struct rib_entry *entry = rib_entry(e->s->rib, f, index);
    struct writer *w = e->w;
    const struct attr *a = v->attr;
    char why[160];
    uint8_t flags = v->path->flags;
    uint32_t local_pref;
    writer_object(w, NULL);
    json_aspath(w, a);
    writer_str(w, "origin", origin_name(a->origin));
    if (a->flags & ATTR_HAS_MED)
        writer_uint(w, "metric", a->med);
    if (effective_local_pref(e, v, &local_pref))
        writer_uint(w, "locPrf", local_pref);
    writer_uint(w, "weight", v->from ? 0 : 32768);
    writer_bool(w, "valid", v->valid);
    if (!v->from) {
        writer_bool(w, "sourced", true);
        writer_bool(w, "local", true);
    }
    if (flags & PATH_MULTIPATH)
        writer_bool(w, "multipath", true);
    if (flags & PATH_BACKUP)
        writer_bool(w, "backup", true);
    if (v->stale)
        writer_bool(w, "stale", true);
    if (flags & PATH_FILTERED)
        writer_str(w, "filteredReason", refusal(e, f, entry, v, why, sizeof why));
    if (flags & PATH_CHANGED)
        writer_bool(w, "changedByPolicy", true);
    if (lost_by(e, f, entry, v))
        writer_str(w, "notBestReason", lost_by(e, f, entry, v));
    if (flags & PATH_BEST) {
        writer_object(w, "bestpath");
        writer_bool(w, "overall", true);
        writer_uint(w, "bestpathFromAs", v->from ? a->neighbor_as : 0);
        writer_str(w, "selectionReason", select_reason_name(entry->selection));
        writer_end(w);
    }
    json_community(w, "community", a, attr_format_communities, true);
    json_community(w, "largeCommunity", a, attr_format_large, true);
    json_community(w, "extendedCommunity", a, attr_format_extended, false);
    json_rare(w, a);
    char when[26];
    writer_object(w, "lastUpdate");
    writer_int(w, "epoch", last_update(e, v->path, when));
    writer_str(w, "string", when);
    writer_end(w);
    json_nexthops(e, v, f, NULL);
    json_path_source(e, v);
    json_path_ids(e, f, index, v);
    writer_end(w);
}

static void json_entry(struct exec *e, enum family f, uint32_t index)
{
    struct rib *r = e->s->rib;
    struct writer *w = e->w;
    const struct rib_entry *entry = rib_entry(r, f, index);
    struct prefix prefix;
    unsigned n = 0;
    rib_entry_prefix(r, f, entry, &prefix);
    for (uint32_t i = entry->paths; i; i = rib_path(r, i)->next)
        n++;
    writer_object(w, NULL);
    writer_prefix(w, "prefix", &prefix);
    writer_object(w, "advertisedTo");
    for (unsigned k = 0; k < peer_set_count(e->s->peers); k++) {
        const struct peer *p = peer_set_at(e->s->peers, k);
        if (!advertised_to(p, f, index))
            continue;
        struct peer_info i;
        peer_info(p, &i);
        writer_object(w, peer_name(p));
        if (show_given(i.hostname))
            writer_str(w, "hostname", i.hostname);
        if (*peer_config(p)->description)
            writer_str(w, "desc", peer_config(p)->description);
        writer_end(w);
    }
    writer_end(w);
    writer_bool(w, "fibInstalled", entry->fib == FIB_INSTALLED);
    writer_bool(w, "fibPending", entry->fib == FIB_PENDING);
    if (entry->fib == FIB_FAILED)
        writer_str(w, "fibFailed", show_fib_error(rib_fib_error(r, f, index)));
    writer_uint(w, "pathCount", n);
    writer_array(w, "paths");
    for (uint32_t i = entry->paths; i; i = rib_path(r, i)->next) {
        struct path_view v = show_path(r, f, i);
        json_path(e, f, index, &v);
    }
    writer_end(w);
    writer_end(w);
}

enum exec_result show_prefix(struct exec *e)
{
    enum family f;
    uint32_t index = find_entry(e, &f);
    if (!index)
        return EXEC_DONE;
    if (writer_json(e->w))
        json_entry(e, f, index);
    else
        text_entry(e, f, index);
    return EXEC_DONE;
}
