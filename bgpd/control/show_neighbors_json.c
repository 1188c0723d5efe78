/* show bgp neighbors as JSON: FRR's names, types and units. Times are ms where the name says so; what FRR
 * gives as a string stays one. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/show.h"
#include "control/show_neighbors.h"
#include "speaker.h"

static void json_timers(struct writer *w, const struct peer *p, const struct peer_info *i)
{
    char text[UPTIME_STRLEN];
    bool up = i->state == PEER_ESTABLISHED;
    writer_str(w, "bgpState", i->admin_down ? "Idle" : peer_state_name(i->state));
    if (up) {
        writer_uint(w, "bgpTimerUpMsec", i->up_ms);
        writer_str(w, "bgpTimerUpString", show_uptime(i->up_ms, text));
        writer_uint(w, "bgpTimerUpEstablishedEpoch", i->up_since_wall);
    }
    writer_uint(w, "bgpTimerLastRead", i->last_read_ms);
    writer_uint(w, "bgpTimerLastWrite", i->last_write_ms);
    writer_uint(w, "bgpTimerHoldTimeMsecs", i->hold_ms);
    writer_uint(w, "bgpTimerKeepAliveIntervalMsecs", i->keepalive_ms);
    if (i->send_hold_ms)
        writer_uint(w, "bgpTimerSendHoldTimeMsecs", i->send_hold_ms);
    writer_uint(w, "bgpTimerConfiguredHoldTimeMsecs", peer_config(p)->hold_time_ms);
    writer_uint(w, "bgpTimerConfiguredKeepAliveIntervalMsecs", peer_config(p)->keepalive_time_ms);
}

/* FRR's flags: what each side would send (tx) and receive (rx). */
static void json_add_path(struct writer *w, const struct peer_info *i)
{
    static const struct {
        uint8_t bit;
        const char *both, *ours, *theirs;
    } ways[] = {{2, "txAdvertisedAndReceived", "txAdvertised", "txReceived"},
                {1, "rxAdvertisedAndReceived", "rxAdvertised", "rxReceived"}};
    writer_object(w, "addPath");
    for (enum family f = 0; f < FAM_COUNT; f++) {
        uint8_t ours = i->sent.add_path[f], theirs = i->received.add_path[f];
        if (!ours && !theirs)
            continue;
        writer_object(w, family_json_name(f));
        for (int k = 0; k < 2; k++)
            if ((ours | theirs) & ways[k].bit)
                writer_bool(w,
                            ours & theirs & ways[k].bit ? ways[k].both
                            : ours & ways[k].bit        ? ways[k].ours
                                                        : ways[k].theirs,
                            true);
        writer_end(w);
    }
    writer_end(w);
}

/* FRR's names, its spelling included. */
static void json_by_peer(struct writer *w, const char *name, const bool family[FAM_COUNT], const char *word)
{
    if (!family[FAM_IPV4] && !family[FAM_IPV6])
        return;
    writer_object(w, name);
    for (enum family f = 0; f < FAM_COUNT; f++)
        if (family[f])
            writer_str(w, family_json_name(f), word);
    writer_end(w);
}

static void json_names(struct writer *w, const struct peer_info *i)
{
    writer_object(w, "hostName");
    writer_str(w, "advHostName", show_given(i->own_hostname) ? i->own_hostname : "n/a");
    writer_str(w, "advDomainName", "n/a");
    writer_str(w, "rcvHostName", show_given(i->hostname) ? i->hostname : "n/a");
    writer_str(w, "rcvDomainName", show_given(i->domain) ? i->domain : "n/a");
    writer_end(w);
}

/* What the peer's graceful restart says; "preserved" is the bit F. */
static void json_restart_by_peer(struct writer *w, const struct peer_info *i)
{
    if (!i->received.graceful_restart)
        return;
    writer_uint(w, "gracefulRestartRemoteTimerMsecs", (i->received.gr_flags_time & 0xfffu) * 1000);
    writer_object(w, "addressFamiliesByPeer");
    for (enum family f = 0; f < FAM_COUNT; f++) {
        if (!i->received.gr_family[f])
            continue;
        writer_object(w, family_json_name(f));
        if (i->received.gr_forwarding[f])
            writer_bool(w, "preserved", true);
        writer_end(w);
    }
    writer_end(w);
}

static void json_capabilities(struct writer *w, const struct peer_info *i)
{
    if (i->fewer_capabilities)
        writer_bool(w, "fewerCapabilitiesOffered", true);
    if (i->state != PEER_ESTABLISHED && i->state != PEER_OPEN_CONFIRM)
        return;
    writer_object(w, "neighborCapabilities");
    for (const struct capability_row *row = capability_rows; row->json; row++) {
        if (!row->per_family) {
            const char *sides = capability_sides(i, row, FAM_IPV4, true);
            if (sides)
                writer_str(w, row->json, sides);
            continue;
        }
        writer_object(w, row->json);
        for (int f = 0; f < FAM_COUNT; f++) {
            const char *sides = capability_sides(i, row, (enum family)f, true);
            if (!sides)
                continue;
            writer_object(w, family_json_name((enum family)f));
            writer_bool(w, sides, true);
            writer_end(w);
        }
        writer_end(w);
    }
    json_by_peer(w, "extendedNexthopFamililesByPeer", i->received.extended_nexthop, "recieved");
    json_by_peer(w, "longLivedGracefulRestartByPeer", i->received.llgr_family, "received");
    json_add_path(w, i);
    json_names(w, i);
    json_restart_by_peer(w, i);
    writer_end(w);
}

/* What FRR calls so: able to restart itself, or only to help. */
static const char *restart_mode(const struct capabilities *c)
{
    return !c->graceful_restart                               ? "Disable"
           : c->gr_family[FAM_IPV4] || c->gr_family[FAM_IPV6] ? "Restart"
                                                              : "Helper";
}

static void json_restart_family(struct writer *w, const struct peer *p, const struct peer_info *i,
                                enum family f, uint32_t stale_ms)
{
    if (!i->family[f] && !i->kept[f].on)
        return;
    writer_object(w, family_json_name(f));
    if (i->family[f]) {
        writer_bool(w, "fBit", i->received.gr_forwarding[f]);
        writer_object(w, "endOfRibStatus");
        writer_bool(w, "endOfRibSend", i->eor_out[f]);
        writer_bool(w, "endOfRibRecv", i->eor_in[f]);
        writer_end(w);
    }
    writer_object(w, "timers");
    writer_uint(w, "stalePathTimer", stale_ms / 1000);
    if (i->kept[f].on)
        writer_uint(w, i->kept[f].long_lived ? "longLivedStaleTimerRemaining" : "stalePathTimerRemaining",
                    (i->kept[f].left_ms + 999) / 1000);
    writer_end(w);
    if (i->kept[f].on) {
        writer_uint(w, "stalePrefixCounter", peer_rib(p)->stale[f]);
        writer_bool(w, "longLived", i->kept[f].long_lived);
    }
    writer_end(w);
}

static void json_restart_timers(struct exec *e, const struct peer_info *i)
{
    struct writer *w = e->w;
    uint64_t left = 0;
    writer_object(w, "timers");
    writer_uint(w, "configuredRestartTimer", e->s->config->router.graceful_restart.restart_time_ms / 1000);
    uint32_t received = i->caps_valid ? i->received.gr_flags_time & 0xfffu : 0;
    for (int f = 0; f < FAM_COUNT; f++)
        received = i->kept[f].restart_s ? i->kept[f].restart_s : received;
    writer_uint(w, "receivedRestartTimer", received);
    for (int f = 0; f < FAM_COUNT; f++)
        if (i->kept[f].on && !i->kept[f].long_lived && i->kept[f].left_ms > left)
            left = i->kept[f].left_ms;
    if (left && i->state != PEER_ESTABLISHED)
        writer_uint(w, "restartTimerRemaining", (left + 999) / 1000);
    writer_end(w);
}

static void json_graceful_restart(struct exec *e, const struct peer *p, const struct peer_info *i)
{
    struct writer *w = e->w;
    writer_object(w, "gracefulRestartInfo");
    writer_str(w, "localGrMode", e->s->config->router.graceful_restart.enabled ? "Restart" : "Disable");
    if (i->caps_valid) {
        writer_str(w, "remoteGrMode", restart_mode(&i->received));
        writer_bool(w, "rBit", i->received.gr_flags_time & 0x8000);
        writer_bool(w, "nBit", i->received.gr_flags_time & 0x4000);
    }
    json_restart_timers(e, i);
    for (int f = 0; f < FAM_COUNT; f++)
        json_restart_family(w, p, i, (enum family)f, e->s->config->router.graceful_restart.stale_time_ms);
    for (int side = 0; side < 2; side++) {
        writer_object(w, side ? "endOfRibRecv" : "endOfRibSend");
        for (int f = 0; f < FAM_COUNT; f++)
            if (i->family[f])
                writer_bool(w, family_json_name((enum family)f), side ? i->eor_in[f] : i->eor_out[f]);
        writer_end(w);
    }
    writer_end(w);
}

static void json_statistics(struct writer *w, const struct peer_info *i)
{
    const struct peer_stats *s = &i->stats;
    const struct {
        const char *name;
        uint64_t v;
    } rows[] = {
        {"depthInq", i->inq},
        {"depthOutq", i->outq},
        {"opensSent", s->opens_out},
        {"opensRecv", s->opens_in},
        {"notificationsSent", s->notifications_out},
        {"notificationsRecv", s->notifications_in},
        {"updatesSent", s->updates_out},
        {"updatesRecv", s->updates_in},
        {"keepalivesSent", s->keepalives_out},
        {"keepalivesRecv", s->keepalives_in},
        {"routeRefreshSent", s->refreshes_out},
        {"routeRefreshRecv", s->refreshes_in},
        {"totalSent",
         s->opens_out + s->notifications_out + s->updates_out + s->keepalives_out + s->refreshes_out},
        {"totalRecv", s->opens_in + s->notifications_in + s->updates_in + s->keepalives_in + s->refreshes_in},
        {"treatAsWithdraw", s->treat_as_withdraw},
        {"attributesDiscarded", s->attr_discard},
    };
    writer_object(w, "messageStats");
    for (unsigned k = 0; k < sizeof rows / sizeof *rows; k++)
        writer_uint(w, rows[k].name, rows[k].v);
    writer_end(w);
}

static void json_limit(struct writer *w, const struct peer_config *c, enum family f)
{
    if (!c->max_prefixes.most[f])
        return;
    writer_uint(w, "prefixAllowedMax", c->max_prefixes.most[f]);
    if (c->max_prefixes.action == LIMIT_WARN)
        writer_bool(w, "prefixAllowedMaxWarning", true);
    writer_uint(w, "prefixAllowedWarningThresh", c->max_prefixes.warn_percent);
    if (c->max_prefixes.action == LIMIT_RESTART)
        writer_uint(w, "prefixAllowedRestartIntervalMsecs", c->max_prefixes.restart_after_ms);
}

static void json_families(struct writer *w, const struct peer *p, const struct peer_info *i)
{
    const struct rib_peer *rp = peer_rib(p);
    writer_object(w, "addressFamilyInfo");
    for (int f = 0; f < FAM_COUNT; f++) {
        if (!peer_config(p)->families[f])
            continue;
        writer_object(w, family_json_name((enum family)f));
        json_limit(w, peer_config(p), (enum family)f);
        if (i->family[f]) {
            if (peer_config(p)->import_policy)
                writer_str(w, "routeMapForIncomingAdvertisements", peer_config(p)->import_policy);
            if (peer_config(p)->export_policy)
                writer_str(w, "routeMapForOutgoingAdvertisements", peer_config(p)->export_policy);
            writer_uint(w, "acceptedPrefixCounter", rp->accepted[f]);
            writer_uint(w, "receivedPrefixCounter", rp->paths[f]);
            if (i->sent.add_path[f] & 2 && i->received.add_path[f] & 1)
                writer_bool(w, "addpathTxAllPaths", true);
            writer_uint(w, "sentPrefixCounter", adjout_count(peer_adjout(p), (enum family)f));
        } else {
            writer_str(w, "notInUse",
                       i->family_why[f]               ? i->family_why[f]
                       : i->state != PEER_ESTABLISHED ? "the session is not established"
                                                      : "the peer does not offer it");
        }
        writer_end(w);
    }
    writer_end(w);
}

static void json_transport(struct writer *w, const struct peer *p, const struct peer_info *i)
{
    char why[256], code[8];
    writer_uint(w, "connectionsEstablished", i->established_count);
    writer_uint(w, "connectionsDropped", i->dropped_count);
    if (show_was_reset(i)) {
        writer_str(w, "lastReset", i->last_reset);
        writer_str(w, "lastResetDueTo", i->last_reset);
        writer_uint(w, "lastResetTimerMsecs", i->last_reset_ms);
    } else {
        writer_str(w, "lastReset", "never");
    }
    if (i->last_message && *i->last_message)
        writer_str(w, "lastShutdownDescription", i->last_message);
    if (i->last_error.code) { /* as FRR: of a Hard Reset, what is within */
        struct bgp_error e = i->last_error, inner;
        bool hard = bgp_error_unwrap(&e, &inner);
        if (hard && inner.code)
            e = inner;
        snprintf(code, sizeof code, "%02X%02X", e.code, e.subcode);
        writer_str(w, "lastErrorCodeSubcode", code);
        writer_str(w, "lastNotificationReason", bgp_error_format(&e, why, sizeof why));
        if (hard)
            writer_bool(w, "lastNotificationHardReset", true);
    }
    if (i->state != PEER_ESTABLISHED) {
        writer_str(w, "notEstablishedBecause", show_peer_why(p, i, why, sizeof why));
        if (*show_peer_hint(p, i))
            writer_str(w, "notEstablishedHint", show_peer_hint(p, i));
        if (i->shutdown_message && *i->shutdown_message)
            writer_str(w, "shutdownMessage", i->shutdown_message);
    }
    if (i->local.af) {
        writer_addr(w, "hostLocal", &i->local);
        writer_uint(w, "portLocal", i->local_port);
        writer_addr(w, "hostForeign", &i->remote);
        writer_uint(w, "portForeign", i->remote_port);
    }
    if (i->interface) {
        writer_uint(w, "routerAdvertisementsSent", i->ra_sent);
        writer_uint(w, "routerAdvertisementsRecv", i->ra_received);
        if (i->ra_last_ms)
            writer_uint(w, "routerAdvertisementLastRecvMsecs", i->ra_last_ms);
    }
    if (i->nexthop[FAM_IPV4].af)
        writer_addr(w, "nexthop", &i->nexthop[FAM_IPV4]);
    if (i->nexthop[FAM_IPV6].af)
        writer_addr(w, "nexthopGlobal", &i->nexthop[FAM_IPV6]);
    writer_str(w, "bgpConnection", peer_config(p)->multihop ? "nonSharedNetwork" : "sharedNetwork");
    if (peer_config(p)->multihop || !i->ibgp)
        writer_uint(w, "externalBgpNbrMaxHopsAway", peer_config(p)->multihop ? peer_config(p)->multihop : 1);
    writer_uint(w, "connectRetryTimer", peer_config(p)->connect_retry_time_ms / 1000);
    if (i->idle_hold_ms)
        writer_uint(w, "nextStartTimerDueInMsecs", i->idle_hold_ms);
    if (i->over_limit && i->limit_ms)
        writer_uint(w, "nextStartTimerDueInMsecs", i->limit_ms);
    if (i->connect_retry_ms)
        writer_uint(w, "nextConnectTimerDueInMsecs", i->connect_retry_ms);
    if (i->state == PEER_ESTABLISHED)
        writer_uint(w, "estimatedRttInMsecs", i->rtt_ms);
    if (i->md5)
        writer_int(w, "authenticationEnabled", 1);
}

void json_neighbor(struct exec *e, const struct peer *p, const struct peer_info *i)
{
    struct writer *w = e->w;
    char id[ADDR_STRLEN];
    writer_object(w, peer_name(p));
    if (i->interface && i->neighbor.af)
        writer_addr(w, "bgpNeighborAddr", &i->neighbor);
    else if (i->interface)
        writer_str(w, "bgpNeighborAddr", "none"); /* as FRR */
    writer_uint(w, "remoteAs", i->remote_as);
    writer_uint(w, "localAs", i->local_as);
    writer_bool(w, i->ibgp ? "nbrInternalLink" : "nbrExternalLink", true);
    writer_str(w, "localRole", role_name(i->local_role));
    writer_str(w, "remoteRole", role_name(i->remote_role));
    if (show_given(i->hostname))
        writer_str(w, "hostname", i->hostname);
    if (show_given(i->domain))
        writer_str(w, "domainname", i->domain);
    if (*peer_config(p)->description)
        writer_str(w, "nbrDesc", peer_config(p)->description);
    if (peer_config(p)->kind == PEER_BY_RANGE) {
        writer_bool(w, "dynamicPeer", true);
        writer_prefix(w, "peerSubnetRangeGroup", &peer_config(p)->range);
    }
    if (i->admin_down)
        writer_bool(w, "adminShutDown", true);
    if (peer_config(p)->blackhole)
        writer_bool(w, "blackhole", true);
    writer_uint(w, "bgpVersion", BGP_VERSION);
    writer_str(w, "remoteRouterId", show_router_id(i->remote_id, id));
    writer_str(w, "localRouterId", show_router_id(i->local_id, id));
    json_timers(w, p, i);
    json_capabilities(w, i);
    json_graceful_restart(e, p, i);
    json_statistics(w, i);
    json_offences(w, p);
    json_families(w, p, i);
    json_transport(w, p, i);
    json_bfd(w, p, i);
    writer_end(w);
}
