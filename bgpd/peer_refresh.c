/* Route refresh: ROUTE-REFRESH (RFC 2918) and its demarcations (RFC 7313), both ways.
 *
 * Asked for: a bit a family, so any number of requests is one. It is served when the task of the output runs,
 * after the initial update (RFC 7313 4: no Beginning-of-RR before End-of-RIB, and before that everything is
 * on its way anyhow) and after a refresh under way. Then BoRR goes out, all of Adj-RIB-Out is said again, and
 * EoRR follows when nothing of the family is left to be said; the two only to peers that know them.
 *
 * Asking: a request a family. What the peer brackets by BoRR and EoRR is stale meanwhile and dropped at the
 * end if it was not said again; with a peer that knows no brackets nothing is ever swept, as only what is
 * withdrawn is known to be gone. */
#include <errno.h>
#include <string.h>

#include "peer_impl.h"

#define REFRESH_LEN (BGP_HEADER_LEN + 4)
#define STALE_MS    360000 /* where the configuration has no stale time */

enum { REQUEST, BEGIN, END }; /* RFC 7313 3.2 */

static bool put(struct peer_link *l, enum family f, uint8_t subtype)
{
    const struct refresh_msg m = {
        .afi = f == FAM_IPV6 ? AFI_IPV6 : AFI_IPV4, .subtype = subtype, .safi = SAFI_UNICAST};
    struct wire_writer w = conn_writer(l->conn, REFRESH_LEN);
    if (w.err)
        return false;
    refresh_encode(&w, &m);
    conn_commit(l->conn, &w, BGP_ROUTE_REFRESH, 1);
    return true;
}

/* In */

static uint64_t stale_time_ms(const struct peer *p)
{
    uint32_t ms = p->set->speaker->config->router.graceful_restart.stale_time_ms;
    return ms ? ms : STALE_MS;
}

static void end_stale(struct peer *p, enum family f, bool timeout)
{
    uint32_t swept = p->rib->stale[f];
    p->refresh.in[f] = false;
    if (timeout)
        log_warn("the peer began a route refresh and did not end it: what it has not sent again is dropped",
                 F_STR("peer", p->name), F_STR("family", family_name(f)), F_UINT("routes", swept));
    else
        log_debug("route refresh received", F_STR("peer", p->name), F_STR("family", family_name(f)),
                  F_UINT("swept", swept));
    rib_peer_stale_end(p->set->speaker->rib, p->rib, f);
}

/* RFC 7313 4: "MAY impose a locally configurable upper bound". */
void peer_refresh_timeout(void *arg)
{
    struct peer *p = arg;
    uint64_t now = loop_now_ms(), next = 0;
    for (enum family f = 0; f < FAM_COUNT; f++) {
        if (!p->refresh.in[f])
            continue;
        if (p->refresh.in_until_ms[f] <= now)
            end_stale(p, f, true);
        else if (!next || p->refresh.in_until_ms[f] < next)
            next = p->refresh.in_until_ms[f];
    }
    if (next)
        timer_set(p->refresh.timer, next - now);
}

static void ignored(struct peer *p, const char *why, uint8_t subtype)
{
    uint32_t swallowed = 0;
    if (log_limit_ok(&p->log_limit, loop_now_ms(), &swallowed))
        log_warn("ROUTE-REFRESH ignored", F_STR("peer", p->name), F_STR("reason", why),
                 F_UINT("subtype", subtype), F_UINT_IF("suppressed", swallowed));
}

/* Beginning-of-RR. What is stale from before stays so: the peer may begin anew before it has ended. */
static void receive_begin(struct peer_link *l, enum family f)
{
    struct peer *p = l->peer;
    if (l->s.received.graceful_restart && !l->s.eor_in[f]) { /* RFC 7313 4: "MUST ignore any BoRRs" */
        ignored(p, "a refresh begins before End-of-RIB", BEGIN);
        return;
    }
    if (!rib_peer_refresh(p->set->speaker->rib, p->rib, f)) { /* as if it knew no brackets */
        ignored(p, "one refresh follows the other too fast", BEGIN);
        return;
    }
    log_debug("route refresh begins", F_STR("peer", p->name), F_STR("family", family_name(f)),
              F_UINT("routes", p->rib->paths[f]));
    p->refresh.in[f] = true;
    p->refresh.in_until_ms[f] = loop_now_ms() + stale_time_ms(p);
    if (!timer_running(p->refresh.timer))
        timer_set(p->refresh.timer, stale_time_ms(p));
}

static void receive_request(struct peer_link *l, enum family f)
{
    struct peer *p = l->peer;
    log_debug("route refresh requested", F_STR("peer", p->name), F_STR("family", family_name(f)));
    p->refresh.due[f] = true;
    peer_tx_wake(p);
}

void peer_receive_refresh(struct peer_link *l, const uint8_t *body, size_t n)
{
    struct peer *p = l->peer;
    struct refresh_msg m;
    struct bgp_error err;
    enum family f;

    peer_link_event(l, FSM_EV_ROUTE_REFRESH, NULL);
    if (p->up != l)
        return;
    if (refresh_decode(body, n, &m, &err)) {
        /* RFC 7313 5: its errors are for peers that have the capability. */
        if (err.code == BGP_ERR_ROUTE_REFRESH && !l->s.received.enhanced_refresh)
            ignored(p, "wrong length", m.subtype);
        else
            peer_link_event(l, FSM_EV_HEADER_ERR, &err);
        return;
    }
    /* RFC 2918 section 4: what was not agreed on is ignored. */
    if (!family_from_afi(m.afi, m.safi, &f) || !l->s.common.family[f]) {
        log_debug("ROUTE-REFRESH of another family ignored", F_STR("peer", p->name), F_UINT("afi", m.afi),
                  F_UINT("safi", m.safi));
    } else if (m.subtype == REQUEST) {
        receive_request(l, f);
    } else if (m.subtype > END) { /* RFC 7313 5: "MUST ignore" */
        ignored(p, "unknown subtype", m.subtype);
    } else if (!l->s.common.enhanced_refresh) {
        ignored(p, "enhanced route refresh was not agreed on", m.subtype);
    } else if (m.subtype == BEGIN) {
        receive_begin(l, f);
    } else if (p->refresh.in[f]) {
        end_stale(p, f, false);
    } else {
        ignored(p, "the end of a refresh that did not begin", m.subtype);
    }
}

/* Out */

/* Starts what is due and may start. 0 or -ENOMEM. */
int peer_refresh_begin(struct peer *p)
{
    struct peer_link *l = p->up;
    int r = 0;
    for (enum family f = 0; !r && f < FAM_COUNT; f++) {
        if (!p->refresh.due[f] || p->refresh.out[f] || !adjout_eor_sent(p->adjout, f))
            continue;
        if (l->s.common.enhanced_refresh && !put(l, f, BEGIN))
            continue; /* no room: when the output has drained */
        p->refresh.due[f] = false;
        p->refresh.out[f] = l->s.common.enhanced_refresh;
        r = adjout_resend(p->adjout, f, p->config->export, true);
    }
    return r;
}

/* Ends what is said. Whether the task has to come back for a refresh. */
bool peer_refresh_end(struct peer *p)
{
    struct peer_link *l = p->up;
    bool again = false;
    for (enum family f = 0; f < FAM_COUNT; f++) {
        if (p->refresh.out[f] && !adjout_family_pending(p->adjout, f) && put(l, f, END))
            p->refresh.out[f] = false;
        /* What waits for an End-of-RIB that is held is woken with it. */
        again |= p->refresh.out[f] || (p->refresh.due[f] && adjout_eor_sent(p->adjout, f));
    }
    return again;
}

void peer_refresh_down(struct peer *p)
{
    timer_stop(p->refresh.timer);
    memset(p->refresh.due, 0, sizeof p->refresh.due);
    memset(p->refresh.out, 0, sizeof p->refresh.out);
    memset(p->refresh.in, 0, sizeof p->refresh.in);
}

/* By the operator, or a change of the configuration */

int peer_refresh_ask(struct peer *p)
{
    struct peer_link *l = p->up;

    if (!l->s.received.route_refresh)
        return -EOPNOTSUPP;
    for (enum family f = 0; f < FAM_COUNT; f++)
        if (l->s.common.family[f] && !put(l, f, REQUEST))
            return -ENOBUFS;
    conn_flush(l->conn);
    return 0;
}

int peer_soft_in(struct peer *p)
{
    rib_reimport(p->set->speaker->rib, p->rib);
    return p->up ? peer_refresh_ask(p) : -ENOTCONN;
}

int peer_soft_out(struct peer *p)
{
    if (!p->up)
        return -ENOTCONN;
    for (enum family f = 0; f < FAM_COUNT; f++)
        p->refresh.due[f] = p->up->s.common.family[f];
    peer_tx_wake(p);
    return 0;
}
