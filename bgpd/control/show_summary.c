/* show bgp summary: a line a peer and family, after FRR's but within 80 columns (without FRR's constant
 * columns V and TblVer); `failed` says instead why each peer that is not up is not. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/show.h"
#include "loop.h"
#include "speaker.h"

static uint64_t messages_in(const struct peer_stats *s)
{
    return s->opens_in + s->notifications_in + s->updates_in + s->keepalives_in + s->refreshes_in;
}

static uint64_t messages_out(const struct peer_stats *s)
{
    return s->opens_out + s->notifications_out + s->updates_out + s->keepalives_out + s->refreshes_out;
}

static bool wanted(const struct exec *e, const struct peer *p, enum family f, struct peer_info *i)
{
    if (!peer_config(p)->families[f])
        return false;
    peer_info(p, i);
    bool up = i->state == PEER_ESTABLISHED;
    if (command_has(e->cmd, "established"))
        return up;
    return !command_has(e->cmd, "failed") || !up;
}

static const char *peer_state_word(const struct peer *p, const struct peer_info *i)
{
    if (i->admin_down)
        return "Admin";
    if (i->over_limit)
        return "PfxCt";
    if (i->state == PEER_ESTABLISHED)
        return "OK";
    return peer_config(p)->passive ? "Passive" : "OK";
}

static void json_peer(struct exec *e, const struct peer *p, enum family f, const struct peer_info *i)
{
    struct writer *w = e->w;
    char text[UPTIME_STRLEN], why[256];
    bool up = i->state == PEER_ESTABLISHED;
    struct rib_stats rs;
    rib_stats(e->s->rib, &rs);
    writer_object(w, peer_name(p));
    if (show_given(i->hostname))
        writer_str(w, "hostname", i->hostname);
    writer_uint(w, "remoteAs", i->remote_as);
    writer_uint(w, "localAs", i->local_as);
    writer_uint(w, "version", BGP_VERSION);
    writer_uint(w, "msgRcvd", messages_in(&i->stats));
    writer_uint(w, "msgSent", messages_out(&i->stats));
    writer_uint(w, "tableVersion", up ? rs.version : 0);
    writer_uint(w, "outq", i->outq);
    writer_uint(w, "inq", i->inq);
    writer_str(w, "peerUptime", up ? show_uptime(i->up_ms, text) : "never");
    writer_uint(w, "peerUptimeMsec", up ? i->up_ms : 0);
    if (up)
        writer_uint(w, "peerUptimeEstablishedEpoch", i->up_since_wall);
    writer_uint(w, "pfxRcd", up ? peer_rib(p)->accepted[f] : 0);
    writer_uint(w, "pfxSnt", up ? adjout_count(peer_adjout(p), f) : 0);
    writer_str(w, "state", show_peer_state(i));
    writer_str(w, "peerState", peer_state_word(p, i));
    writer_uint(w, "connectionsEstablished", i->established_count);
    writer_uint(w, "connectionsDropped", i->dropped_count);
    if (!up)
        writer_str(w, "lastResetDueTo", show_peer_why(p, i, why, sizeof why));
    if (*peer_config(p)->description)
        writer_str(w, "desc", peer_config(p)->description);
    if (peer_config(p)->kind == PEER_BY_RANGE)
        writer_bool(w, "dynamicPeer", true);
    writer_str(w, "idType", i->interface ? "interface" : i->neighbor.af == AF_INET6 ? "ipv6" : "ipv4");
    writer_end(w);
}

static void json_family(struct exec *e, enum family f)
{
    struct writer *w = e->w;
    struct peer_info i;
    struct rib_stats rs;
    char id[ADDR_STRLEN];
    unsigned shown = 0, total = 0, failed = 0, dynamic = 0, n = peer_set_count(e->s->peers);
    uint64_t memory = 0;
    rib_stats(e->s->rib, &rs);
    for (unsigned k = 0; k < n; k++)
        memory += peer_memory(peer_set_at(e->s->peers, k));
    writer_object(w, family_json_name(f));
    writer_str(w, "routerId", show_router_id(e->s->router_id, id));
    writer_uint(w, "as", e->s->config->router.asn);
    writer_int(w, "vrfId", 0);
    writer_str(w, "vrfName", "default");
    writer_uint(w, "tableVersion", rs.version);
    writer_uint(w, "ribCount", rs.prefixes[f]);
    writer_uint(w, "ribMemory", rs.table_bytes + rs.path_bytes + rs.index_bytes);
    writer_uint(w, "peerCount", n);
    writer_uint(w, "peerMemory", memory);
    show_drain(e);
    writer_object(w, "peers");
    for (unsigned k = 0; k < n; k++) {
        const struct peer *p = peer_set_at(e->s->peers, k);
        peer_info(p, &i);
        total += peer_config(p)->families[f];
        dynamic += peer_config(p)->families[f] && peer_config(p)->kind == PEER_BY_RANGE;
        failed += peer_config(p)->families[f] && i.state != PEER_ESTABLISHED;
        if (!wanted(e, p, f, &i))
            continue;
        json_peer(e, p, f, &i);
        shown++;
    }
    writer_end(w);
    writer_uint(w, "failedPeers", failed);
    writer_uint(w, "displayedPeers", shown);
    writer_uint(w, "totalPeers", total);
    writer_uint(w, "dynamicPeers", dynamic);
    writer_object(w, "bestPath");
    writer_str(w, "multiPathRelax", e->s->config->router.multipath_as_path_relax ? "true" : "false");
    writer_end(w);
    writer_end(w);
}

/* What stands in the column State/PfxRcd. */
static const char *state_or_prefixes(const struct peer *p, enum family f, const struct peer_info *i,
                                     char buf[32])
{
    if (i->state != PEER_ESTABLISHED)
        return show_peer_state(i);
    if (!i->family[f])
        return "NoNeg";
    snprintf(buf, 32, "%" PRIu32, peer_rib(p)->accepted[f]);
    return buf;
}

/* As FRR: a star in front of a dynamic one. */
static const char *shown_name(const struct peer *p, char buf[64])
{
    snprintf(buf, 64, "%s%s", peer_config(p)->kind == PEER_BY_RANGE ? "*" : "", peer_name(p));
    return buf;
}

static bool text_row(struct table *t, const struct peer *p, enum family f, const struct peer_info *i)
{
    char as[16], in[24], out[24], queue[24], up[UPTIME_STRLEN], state[32], sent[16] = "", name[64];
    bool established = i->state == PEER_ESTABLISHED;
    snprintf(as, sizeof as, "%" PRIu32, i->remote_as);
    snprintf(in, sizeof in, "%" PRIu64, messages_in(&i->stats));
    snprintf(out, sizeof out, "%" PRIu64, messages_out(&i->stats));
    snprintf(queue, sizeof queue, "%zu", i->outq);
    if (established)
        snprintf(sent, sizeof sent, "%" PRIu32, adjout_count(peer_adjout(p), f));
    return table_add(t,
                     (const char *[]){shown_name(p, name), i->remote_as ? as : "-", in, out, queue,
                                      established            ? show_uptime(i->up_ms, up)
                                      : i->established_count ? show_uptime(i->last_reset_ms, up)
                                                             : "never",
                                      state_or_prefixes(p, f, i, state), sent, peer_config(p)->description});
}

static bool failed_row(struct table *t, const struct peer *p, const struct peer_info *i)
{
    char established[16], dropped[16], ago[UPTIME_STRLEN], why[256], name[64];
    snprintf(established, sizeof established, "%" PRIu32, i->established_count);
    snprintf(dropped, sizeof dropped, "%" PRIu32, i->dropped_count);
    return table_add(t, (const char *[]){shown_name(p, name), established, dropped,
                                         show_was_reset(i) ? show_uptime(i->last_reset_ms, ago) : "never",
                                         show_peer_why(p, i, why, sizeof why)});
}

static unsigned dynamic_limit(const struct exec *e, enum family f)
{
    const struct config *c = e->s->config;
    unsigned n = 0;
    for (unsigned i = 0; i < c->n_peers; i++)
        n += c->peers[i].kind == PEER_BY_RANGE && c->peers[i].families[f] ? c->peers[i].limit : 0;
    return n;
}

static void text_family(struct exec *e, enum family f)
{
    static const char *const heading[] = {"Neighbor", "AS",           "MsgRcvd", "MsgSent", "OutQ",
                                          "Up/Down",  "State/PfxRcd", "PfxSnt",  "Desc"};
    static const char *const failed_heading[] = {"Neighbor", "EstdCnt", "DropCnt", "ResetTime", "Reason"};
    bool failed = command_has(e->cmd, "failed");
    struct table t = {.columns = failed ? 5 : 9, .cut_last = !failed};
    struct rib_stats rs;
    struct peer_info i;
    char id[ADDR_STRLEN];
    unsigned total = 0, dynamic = 0;
    rib_stats(e->s->rib, &rs);
    writer_text(e->w, "%s Unicast Summary:\n", f == FAM_IPV6 ? "IPv6" : "IPv4");
    writer_text(e->w, "BGP router identifier %s, local AS number %" PRIu32 "\n",
                show_router_id(e->s->router_id, id), e->s->config->router.asn);
    show_drain(e);
    writer_text(e->w, "BGP table version %" PRIu64 ", %" PRIu32 " prefixes, %" PRIu32 " paths\n\n",
                rs.version, rs.prefixes[f], rs.paths[f]);
    bool ok = table_add(&t, failed ? failed_heading : heading);
    for (unsigned k = 0; ok && k < peer_set_count(e->s->peers); k++) {
        const struct peer *p = peer_set_at(e->s->peers, k);
        total += peer_config(p)->families[f];
        dynamic += peer_config(p)->families[f] && peer_config(p)->kind == PEER_BY_RANGE;
        if (wanted(e, p, f, &i))
            ok = failed ? failed_row(&t, p, &i) : text_row(&t, p, f, &i);
    }
    unsigned shown = t.rows - 1;
    if (shown)
        table_print(&t, e->w);
    else
        free(t.cells);
    if (shown != total)
        writer_text(e->w, "%sDisplayed neighbors %u\n", shown ? "\n" : "", shown);
    writer_text(e->w, "%sTotal number of neighbors %u\n", shown && shown == total ? "\n" : "", total);
    unsigned limit = dynamic_limit(e, f);
    if (limit)
        writer_text(e->w, "%s%u dynamic neighbor(s), limit %u\n", dynamic ? "* - dynamic neighbor\n" : "",
                    dynamic, limit);
}

enum exec_result show_summary(struct exec *e)
{
    bool family[FAM_COUNT];
    show_families(e, family);
    if (e->s->peers == NULL)
        return exec_fail(e, STATUS_REFUSED, "the speaker is starting");
    writer_object(e->w, NULL);
    for (int f = 0; f < FAM_COUNT; f++) {
        if (!family[f])
            continue;
        if (writer_json(e->w))
            json_family(e, (enum family)f);
        else
            text_family(e, (enum family)f);
        if (!f && family[FAM_IPV6])
            writer_text(e->w, "\n");
    }
    writer_end(e->w);
    return EXEC_DONE;
}
