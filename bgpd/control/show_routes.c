/* Listings of the table: show bgp, and what one peer sent us or has from us. All of them are the same sorted,
 * bounded walk (walk.h) with another idea of which paths of an entry belong in it. Nothing of the table is
 * copied: an entry is rendered when the walk reaches it, and peers are looked up again each step, since a
 * reload may remove them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/show.h"
#include "control/walk.h"
#include "speaker.h"

struct listing {
    bool family[FAM_COUNT];
    int f;
    struct walk *walk;
    bool open;    /* the JSON document's start is out */
    bool heading; /* the text heading is out */
    uint32_t prefixes, paths, filtered;
};

static bool is_table(const struct exec *e)
{
    return e->cmd->row->id == CMD_SHOW_BGP;
}

static void json_begin(struct exec *e)
{
    struct rib_stats rs;
    char id[ADDR_STRLEN];
    rib_stats(e->s->rib, &rs);
    if (is_table(e)) {
        writer_int(e->w, "vrfId", 0);
        writer_str(e->w, "vrfName", "default");
    }
    writer_uint(e->w, is_table(e) ? "tableVersion" : "bgpTableVersion", rs.version);
    writer_str(e->w, is_table(e) ? "routerId" : "bgpLocalRouterId", show_router_id(e->s->router_id, id));
    writer_uint(e->w, "defaultLocPrf", 100);
    writer_uint(e->w, "localAS", e->s->config->router.asn);
    writer_object(e->w, is_table(e)                              ? "routes"
                        : e->cmd->row->id == CMD_SHOW_ADVERTISED ? "advertisedRoutes"
                        : e->cmd->row->id == CMD_SHOW_RECEIVED   ? "receivedRoutes"
                                                                 : "filteredRoutes");
}

static void json_finish(struct exec *e, const struct listing *l)
{
    writer_end(e->w);
    if (is_table(e)) {
        writer_uint(e->w, "totalRoutes", l->prefixes);
        writer_uint(e->w, "totalPaths", l->paths);
    } else {
        writer_uint(e->w, "totalPrefixCounter", l->prefixes);
        writer_uint(e->w, "filteredPrefixCounter", l->filtered);
    }
}

static void text_heading(struct exec *e)
{
    struct rib_stats rs;
    char id[ADDR_STRLEN];
    rib_stats(e->s->rib, &rs);
    writer_text(e->w, "BGP table version is %" PRIu64 ", local router ID is %s\n", rs.version,
                show_router_id(e->s->router_id, id));
    writer_text(e->w,
                "Default local pref 100, local AS %" PRIu32 "\n"
                "Status codes: * valid, > best, = multipath, i internal, S stale, F refused by\n"
                "              the import, U next hop unreachable, r not in the kernel\n"
                "Origin codes: i - IGP, e - EGP, ? - incomplete\n\n"
                "    Network           Next Hop            Metric LocPrf Path\n",
                e->s->config->router.asn);
}

static char origin_letter(const struct attr *a)
{
    return "ie?"[a->origin <= ORIGIN_INCOMPLETE ? a->origin : ORIGIN_INCOMPLETE];
}

static char status_letter(const struct path_view *v, const struct rib_entry *entry)
{
    uint8_t flags = v->path->flags;
    return flags & PATH_FILTERED                                        ? 'F'
           : flags & PATH_UNREACHABLE                                   ? 'U'
           : v->stale                                                   ? 'S'
           : (flags & PATH_BEST) && v->from && entry->fib == FIB_FAILED ? 'r'
                                                                        : ' ';
}

/* What is wider than its column gets the line to itself, as with FRR; the next column starts at `next`. */
static void put_column(struct writer *w, const char *text, unsigned width, unsigned next)
{
    if (strlen(text) > width)
        writer_text(w, "%s\n%*s", text, (int)next, "");
    else
        writer_text(w, "%-*s ", (int)width, text);
}

/* With ADD-PATH, of what a peer sent, or has from us. */
static uint32_t path_id(const struct exec *e, const struct path_view *v)
{
    return is_table(e) || e->cmd->row->id != CMD_SHOW_ADVERTISED ? v->id : v->sent_id;
}

/* Received routes are shown as received where that is known. */
static bool changed_in(const struct exec *e, const struct path_view *v)
{
    return e->cmd->row->id == CMD_SHOW_RECEIVED && !rib_path_received(e->s->rib, v->index);
}

static void text_path(struct exec *e, enum family f, const struct rib_entry *entry, const struct prefix *p,
                      const struct path_view *v, const char *network, const struct ip_addr *next)
{
    char hop[ADDR_STRLEN], metric[16] = "", pref[16] = "", line[128], path[AS_PATH_STRLEN];
    struct ip_addr a = next ? *next : show_nexthop(v, f);
    uint8_t flags = v->path->flags;
    addr_format(&a, hop);
    if (v->attr->flags & ATTR_HAS_MED)
        snprintf(metric, sizeof metric, "%" PRIu32, v->attr->med);
    if (v->attr->flags & ATTR_HAS_LOCAL_PREF)
        snprintf(pref, sizeof pref, "%" PRIu32, v->attr->local_pref);
    writer_text(e->w, "%c%c%c%c", status_letter(v, entry), v->valid ? '*' : ' ',
                flags & PATH_BEST        ? '>'
                : flags & PATH_MULTIPATH ? '='
                                         : ' ',
                v->from && v->from->ibgp ? 'i' : ' ');
    put_column(e->w, network, 17, 22);
    put_column(e->w, hop, 15, 38);
    unsigned at = 38 + (unsigned)snprintf(line, sizeof line, "%10s %6s ", metric, pref);
    writer_text(e->w, "%s", line);
    attr_format_as_path(v->attr, path, sizeof path - 2);
    size_t n = strlen(path);
    snprintf(path + n, sizeof path - n, "%s%c", n ? " " : "", origin_letter(v->attr));
    show_wrap(e->w, at, at, path);
    uint32_t id = path_id(e, v);
    if (id)
        writer_text(e->w, "%22spath id %" PRIu32 "\n", "", id);
    if (e->cmd->row->id == CMD_SHOW_FILTERED)
        writer_text(e->w, "%22srefused: %s\n", "", show_refusal(e, f, p, v, line, sizeof line));
    if (changed_in(e, v))
        writer_text(e->w, "%22schanged by the import policy, not as received\n", "");
}

static void json_path(struct exec *e, enum family f, const struct rib_entry *entry, const struct prefix *p,
                      const struct path_view *v, const struct ip_addr *next)
{
    struct writer *w = e->w;
    char text[AS_PATH_STRLEN], address[ADDR_STRLEN];
    uint8_t flags = v->path->flags;
    if (v->valid)
        writer_bool(w, "valid", true);
    if (flags & PATH_BEST) {
        writer_bool(w, "bestpath", true);
        writer_str(w, "selectionReason", select_reason_name(entry->selection));
    }
    if (flags & PATH_MULTIPATH)
        writer_bool(w, "multipath", true);
    if (v->stale)
        writer_bool(w, "stale", true);
    if (flags & PATH_FILTERED)
        writer_str(w, "filteredReason", show_refusal(e, f, p, v, text, sizeof text));
    if (changed_in(e, v))
        writer_bool(w, "changedByPolicy", true);
    if (path_id(e, v))
        writer_uint(w, e->cmd->row->id == CMD_SHOW_ADVERTISED ? "addpathTxId" : "addpathRxId", path_id(e, v));
    writer_str(w, "pathFrom", v->from && v->from->ibgp ? "internal" : "external");
    writer_addr(w, "prefix", &p->addr);
    writer_uint(w, "prefixLen", p->len);
    writer_prefix(w, "network", p);
    if (v->attr->flags & ATTR_HAS_MED)
        writer_uint(w, "metric", v->attr->med);
    if (v->attr->flags & ATTR_HAS_LOCAL_PREF)
        writer_uint(w, "locPrf", v->attr->local_pref);
    writer_uint(w, "weight", v->from ? 0 : 32768);
    writer_str(w, "peerId", show_path_peer(v, address));
    attr_format_as_path(v->attr, text, sizeof text);
    writer_str(w, "path", text);
    writer_str(w, "origin", origin_name(v->attr->origin));
    if (!is_table(e)) {
        const char code[] = {origin_letter(v->attr), 0};
        struct ip_addr a = next ? *next : show_nexthop(v, f);
        writer_addr(w, "addrPrefix", &p->addr);
        writer_str(w, "bgpOriginCode", code);
        writer_object(w, "appliedStatusSymbols");
        if (v->valid)
            writer_bool(w, "*", true);
        if (flags & PATH_BEST)
            writer_bool(w, ">", true);
        else if (flags & PATH_MULTIPATH)
            writer_bool(w, "=", true);
        writer_end(w);
        writer_addr(w, "nextHop", &a);
    }
    json_nexthops(e, v, f, next);
}

static void put_path(struct exec *e, struct listing *l, const struct rib_entry *entry, const struct prefix *p,
                     const struct path_view *v, bool first, const struct ip_addr *next)
{
    char network[PREFIX_STRLEN];
    l->paths++;
    l->filtered += (v->path->flags & PATH_FILTERED) != 0;
    if (!writer_json(e->w)) {
        if (!l->heading)
            text_heading(e);
        l->heading = true;
        text_path(e, (enum family)l->f, entry, p, v, first ? prefix_format(p, network) : "", next);
        return;
    }
    if (is_table(e))
        writer_object(e->w, NULL);
    json_path(e, (enum family)l->f, entry, p, v, next);
    if (is_table(e))
        writer_end(e->w);
}

/* The array of paths (the table) or the one path (a peer's routes) under the prefix. */
static void json_prefix(struct exec *e, const struct prefix *p)
{
    char network[PREFIX_STRLEN];
    prefix_format(p, network);
    if (is_table(e))
        writer_array(e->w, network);
    else
        writer_object(e->w, network);
}

static bool belongs(const struct exec *e, const struct peer *peer, const struct rib_path *p)
{
    if (is_table(e))
        return !(p->flags & PATH_FILTERED);
    if (p->peer != peer_rib(peer)->number)
        return false;
    return e->cmd->row->id == CMD_SHOW_RECEIVED || (p->flags & PATH_FILTERED);
}

static void put_advertised(struct exec *e, struct listing *l, const struct peer *peer, uint32_t index,
                           const struct prefix *prefix)
{
    struct rib *r = e->s->rib;
    enum family f = (enum family)l->f;
    struct adjout *o = peer_adjout(peer);
    struct rib_entry *entry = rib_entry(r, f, index);
    struct peer_info info;
    bool first = true, best = adjout_exportable(o, f, entry) && !adjout_sends_paths(o, f);
    if (!adjout_has(o, f, index))
        return;
    peer_info(peer, &info);
    for (uint32_t i = entry->paths; i; i = best ? 0 : rib_path(r, i)->next) {
        struct path_view v = show_path(r, f, i);
        v.sent_id = best ? 0 : i;
        if (!best && !adjout_has_path(o, f, index, i))
            continue;
        const struct attr *sent = adjout_attr(o, f, entry, v.path);
        const struct ip_addr *next = !v.nexthop || !info.ibgp ? &info.nexthop[f] : NULL;
        struct ip_addr set;
        if (sent && sent->flags & ATTR_AS_IS && sent->nexthop) {
            set = nexthop_by_id(rib_nexthops(r), sent->nexthop)->addr;
            next = &set;
        }
        v.attr = sent ? sent : v.attr;
        if (first)
            json_prefix(e, prefix);
        put_path(e, l, entry, prefix, &v, first, next);
        first = false;
    }
    if (first)
        return;
    writer_end(e->w);
    l->prefixes++;
}

static void put_entry(struct exec *e, struct listing *l, const struct peer *peer, uint32_t index)
{
    struct rib *r = e->s->rib;
    enum family f = (enum family)l->f;
    struct rib_entry *entry = rib_entry(r, f, index);
    struct prefix prefix;
    bool first = true;
    rib_entry_prefix(r, f, entry, &prefix);
    if (e->cmd->row->id == CMD_SHOW_ADVERTISED) {
        put_advertised(e, l, peer, index, &prefix);
        return;
    }
    for (uint32_t i = entry->paths; i;) {
        const struct rib_path *p = rib_path(r, i);
        if (belongs(e, peer, p)) {
            struct path_view v = show_path(r, f, i);
            if (e->cmd->row->id == CMD_SHOW_RECEIVED && rib_path_received(r, i))
                v.attr = rib_path_received(r, i);
            if (first)
                json_prefix(e, &prefix);
            put_path(e, l, entry, &prefix, &v, first, NULL);
            first = false;
        }
        i = p->next;
    }
    if (first)
        return;
    writer_end(e->w);
    l->prefixes++;
}

static void listing_drop(struct exec *e)
{
    struct listing *l = e->state;
    if (l)
        walk_free(l->walk);
    free(l);
}

static struct listing *listing_new(struct exec *e)
{
    struct listing *l = exec_state(e, sizeof *l);
    if (!l)
        return NULL;
    e->drop = listing_drop;
    show_families(e, l->family);
    writer_object(e->w, NULL);
    return l;
}

static bool both(const struct listing *l)
{
    return l->family[FAM_IPV4] && l->family[FAM_IPV6];
}

/* Starts the next family that is wanted. False: there is none left. */
static bool begin_family(struct exec *e, struct listing *l)
{
    while (l->f < FAM_COUNT && !l->family[l->f])
        l->f++;
    if (l->f == FAM_COUNT)
        return false;
    l->walk = walk_new(e->s->rib, (enum family)l->f);
    if (is_table(e) && both(l)) {
        writer_text(e->w, "%sFor address family: %s Unicast\n", l->f ? "\n" : "", l->f ? "IPv6" : "IPv4");
        writer_object(e->w, family_json_name((enum family)l->f));
        l->open = false;
        l->heading = false;
        l->prefixes = l->paths = 0;
    }
    if (!l->open)
        json_begin(e);
    l->open = true;
    return true;
}

static void text_total(struct exec *e, const struct listing *l)
{
    if (!l->prefixes)
        writer_text(e->w, "No BGP prefixes displayed\n");
    else if (is_table(e))
        writer_text(e->w, "\nDisplayed %" PRIu32 " routes and %" PRIu32 " total paths\n", l->prefixes,
                    l->paths);
    else
        writer_text(e->w, "\nTotal number of prefixes %" PRIu32 "%s\n", l->prefixes,
                    l->filtered && e->cmd->row->id == CMD_SHOW_RECEIVED ? " (F: refused by the import)" : "");
}

static void end_family(struct exec *e, struct listing *l)
{
    bool last = l->f == FAM_IPV6 || !l->family[FAM_IPV6];
    walk_free(l->walk);
    l->walk = NULL;
    l->f++;
    if (!is_table(e) && !last)
        return; /* a peer's routes of both families are one list */
    text_total(e, l);
    json_finish(e, l);
    if (is_table(e) && both(l))
        writer_end(e->w);
}

static enum exec_result list_step(struct exec *e, const struct peer *peer)
{
    struct listing *l = e->state ? e->state : listing_new(e);
    if (!l)
        return EXEC_DONE;
    if (!l->walk && !begin_family(e, l)) {
        writer_end(e->w);
        return EXEC_DONE;
    }
    if (l->walk && walk_prepare(l->walk))
        return EXEC_MORE;
    if (!l->walk || walk_failed(l->walk))
        return exec_fail(e, STATUS_REFUSED, "out of memory");
    for (unsigned i = 0; i < WALK_STEP && !writer_full(e->w); i++) {
        uint32_t index = walk_next(l->walk);
        if (!index) {
            end_family(e, l);
            break;
        }
        put_entry(e, l, peer, index);
    }
    return EXEC_MORE;
}

enum exec_result show_bgp(struct exec *e)
{
    return command_arg(e->cmd, "PREFIX") ? show_prefix(e) : list_step(e, NULL);
}

enum exec_result show_peer_routes(struct exec *e)
{
    const struct peer *peer = show_find_peer(e);
    if (!peer)
        return EXEC_DONE;
    if (!e->state && !peer_established(peer) && e->cmd->row->id == CMD_SHOW_ADVERTISED)
        return exec_fail(e, STATUS_REFUSED, "%s has nothing from us: the session is not established",
                         peer_name(peer));
    return list_step(e, peer);
}
