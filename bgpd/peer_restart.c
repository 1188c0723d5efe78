/* Graceful restart: RFC 4724, notifications and Hard Reset of RFC 8538, long-lived of RFC 9494.
 *
 * As the receiving speaker: when a session ends in a way that says nothing about forwarding, the routes of
 * the families that the peer named in its capability stay, marked stale, and nothing else changes; the FIB
 * does not even hear of it. They go when the peer does not come back within its restart time, when it comes
 * back and says that it did not keep its own forwarding state, at its End-of-RIB, and at the latest after our
 * stale-time, counted from the loss. Where both sides have long-lived graceful restart the end of the restart
 * time only makes them the least preferred, for that much longer.
 *
 * As the restarting speaker: the parent knows whether the kernel kept our routes (speaker->kept). If so, the
 * first OPEN to each peer says that we restarted (R) and that forwarding went on (F). Within one life F is
 * always true after the first session: this process does not touch forwarding when a session is lost.
 *
 * What an operator does is never graceful: a shutdown, a removed or changed peer and a reset are Hard Resets,
 * and nothing is kept. Section 5.1 of RFC 8538 would rather have a changed configuration be graceful, but the
 * routes may not be what the new one wants, and it says itself that it only suggests.
 *
 * One timer a peer serves all families. The rest of a session's end is in peer.c; when stale paths are swept
 * from the RIB is in rib_peer.c. */
#include "peer_restart.h"

#include <errno.h>
#include <stdio.h>

#include "peer_impl.h"

#define FLAG_R       0x8000u
#define FLAG_N       0x4000u /* RFC 8538 section 2 */
#define RESTART_TIME 0x0fffu

static void on_timer(void *arg);

int peer_restart_init(struct peer *p)
{
    p->restart.timer = timer_new(p->set->speaker->loop, on_timer, p);
    return p->restart.timer ? 0 : -ENOMEM;
}

void peer_restart_free(struct peer *p)
{
    timer_free(p->restart.timer);
}

/* Ours */

static uint32_t seconds(uint32_t ms)
{
    return (ms + 999) / 1000;
}

/* RFC 4724 section 3: R says that we restarted, until the peer has seen it once. A restart that the peer did
 * not wait for is none. */
static bool has_restarted(const struct peer *p)
{
    const struct speaker *s = p->set->speaker;
    return (s->kept[FAM_IPV4] || s->kept[FAM_IPV6]) && !p->h.established &&
           loop_now_ms() - s->started_ms < s->config->router.graceful_restart.restart_time_ms;
}

void peer_restart_offer(const struct peer *p, struct capabilities *c)
{
    const struct speaker *s = p->set->speaker;
    bool enabled = s->config->router.graceful_restart.enabled;
    uint32_t long_s = seconds(s->config->router.graceful_restart.long_lived_ms);

    c->graceful_restart = enabled;
    c->long_lived_gr = enabled && long_s;
    if (!enabled)
        return;
    c->gr_flags_time =
        (uint16_t)((has_restarted(p) ? FLAG_R : 0) | FLAG_N |
                   (seconds(s->config->router.graceful_restart.restart_time_ms) & RESTART_TIME));
    for (enum family f = 0; f < FAM_COUNT; f++) {
        bool forwarding = c->family[f] && (p->h.established || s->kept[f]);
        c->gr_family[f] = c->family[f];
        c->gr_forwarding[f] = forwarding;
        c->llgr_family[f] = c->long_lived_gr && c->family[f];
        c->llgr_forwarding[f] = c->long_lived_gr && forwarding;
        c->llgr_stale_s[f] = c->llgr_family[f] ? long_s : 0;
    }
}

bool peer_restart_is_notified(const struct peer_session *s)
{
    return s->caps_valid && s->common.graceful_restart &&
           (s->sent.gr_flags_time & s->received.gr_flags_time & FLAG_N);
}

/* RFC 8538 section 5.1: what stands for a long-term end of the session. */
static bool is_hard(const struct bgp_error *e)
{
    if (e->code != BGP_ERR_CEASE)
        return false;
    switch (e->subcode) {
    case BGP_CEASE_MAX_PREFIXES:
    case BGP_CEASE_ADMIN_SHUTDOWN:
    case BGP_CEASE_DECONFIGURED:
    case BGP_CEASE_ADMIN_RESET:
    case BGP_CEASE_CONFIG_CHANGE:
    case BGP_CEASE_HARD_RESET:
    case BGP_CEASE_BFD_DOWN:
        return true;
    default:
        return false;
    }
}

struct bgp_error peer_restart_notification(const struct peer_link *l, const struct bgp_error *e)
{
    bool wrap = l->peer->up == l && is_hard(e) && e->subcode != BGP_CEASE_HARD_RESET &&
                peer_restart_is_notified(&l->s);
    return wrap ? bgp_error_wrap(e) : *e;
}

/* RFC 4724 section 4: a NOTIFICATION would make the peer delete our routes. */
void peer_restart_close(struct peer *p)
{
    struct peer_link *l = p->up;
    if (!l || !l->s.common.graceful_restart)
        return;
    p->started = false;
    snprintf(p->h.last_reset, sizeof p->h.last_reset, "this node stops and preserves its routes");
    p->h.last_reset_ms = loop_now_ms();
    peer_link_event(l, FSM_EV_TCP_FAILS, NULL);
}

/* The peer's */

static bool any_family(const bool family[FAM_COUNT])
{
    return family[FAM_IPV4] || family[FAM_IPV6];
}

void peer_restart_ends(struct peer_link *l, enum fsm_event e, const struct bgp_error *err)
{
    enum session_end *end = &l->peer->restart.end;

    if (e == FSM_EV_MANUAL_STOP)
        *end = END_ADMIN;
    else if (e == FSM_EV_TCP_FAILS)
        *end = END_CONNECTION;
    else if (e == FSM_EV_NOTIFICATION || e == FSM_EV_NOTIFICATION_VERSION) /* RFC 8538 section 4 */
        *end =
            err->code == BGP_ERR_CEASE && err->subcode == BGP_CEASE_HARD_RESET ? END_HARD : END_NOTIFICATION;
    else if (err && err->code == BGP_ERR_CEASE && err->subcode == BGP_CEASE_BFD_DOWN)
        *end = END_BFD_DOWN;
    else
        *end = err && is_hard(err) ? END_HARD : END_NOTIFICATION;
}

/* RFC 4724 4.2: when TCP ends; section 4: not when a NOTIFICATION does it, but RFC 8538 section 4: then too.
 */
static bool keeps_routes(const struct peer_link *l)
{
    const struct peer *p = l->peer;
    const struct peer_session *s = &l->s;

    if (!s->common.graceful_restart || !p->started || p->set->stopping)
        return false;
    return p->restart.end == END_CONNECTION ||
           (p->restart.end == END_NOTIFICATION && peer_restart_is_notified(s));
}

static void set_timer(struct peer *p)
{
    uint64_t now = loop_now_ms(), due = UINT64_MAX;
    for (enum family f = 0; f < FAM_COUNT; f++)
        if (p->restart.kept[f].on && p->restart.kept[f].due_ms < due)
            due = p->restart.kept[f].due_ms;
    if (due == UINT64_MAX)
        timer_stop(p->restart.timer);
    else
        timer_set(p->restart.timer, due > now ? due - now : 0);
    peer_bfd_restart_changed(p);
}

static void forget(struct peer *p, enum family f, const char *why)
{
    struct peer_kept *k = &p->restart.kept[f];
    if (!k->on)
        return;
    *k = (struct peer_kept){0};
    if (p->rib->stale[f])
        log_info("stale routes of the peer are removed", F_STR("peer", p->name),
                 F_STR("family", family_name(f)), F_UINT("routes", p->rib->stale[f]), F_STR("reason", why));
    rib_peer_stale_end(p->set->speaker->rib, p->rib, f);
}

void peer_restart_drop(struct peer *p, const char *why)
{
    for (enum family f = 0; f < FAM_COUNT; f++)
        forget(p, f, why);
    set_timer(p);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* What is still stale from an earlier loss stays only between two speakers that have the N bit (RFC
 * 8538 4.1), its time is not prolonged, and max-prefixes counts it then: a peer that comes and goes must not
 * leave more and more behind. What a refresh of this session has made stale is as good as the rest. */
static void keep(struct peer_link *l, enum family f)
{
    struct peer *p = l->peer;
    const struct config *c = p->set->speaker->config;
    const struct peer_session *s = &l->s;
    struct peer_kept *k = &p->restart.kept[f];
    uint32_t stale_ms = c->router.graceful_restart.stale_time_ms, most = p->config->max_prefixes.most[f];
    bool again =
        k->on && !k->long_lived && peer_restart_is_notified(s) && (!most || p->rib->paths[f] <= most);

    if (again || !k->on)
        rib_peer_stale_too(p->set->speaker->rib, p->rib, f);
    else
        rib_peer_stale(p->set->speaker->rib, p->rib, f);
    uint64_t latest = again ? k->last_ms : p->restart.lost_ms + stale_ms;
    uint64_t due = p->restart.lost_ms + (s->common.gr_family[f] ? p->restart.restart_s * 1000ull : 0);
    *k = (struct peer_kept){
        .on = p->rib->stale[f] > 0, .due_ms = due < latest ? due : latest, .last_ms = latest};
    if (s->common.llgr_family[f])
        k->long_ms =
            least(s->common.llgr_stale_s[f], seconds(c->router.graceful_restart.long_lived_ms)) * 1000u;
}

uint32_t peer_restart_left(const struct peer *p, enum family f)
{
    return p->restart.kept[f].on ? p->rib->stale[f] : 0;
}

void peer_restart_down(struct peer_link *l)
{
    struct peer *p = l->peer;
    const struct peer_session *s = &l->s;
    bool keeps = keeps_routes(l);

    p->restart.lost_ms = loop_now_ms();
    p->restart.restart_s = s->received.gr_flags_time & RESTART_TIME;
    for (enum family f = 0; f < FAM_COUNT; f++) {
        bool named = s->common.family[f] && (s->common.gr_family[f] || s->common.llgr_family[f]);
        if (keeps && named)
            keep(l, f);
        else
            forget(p, f, "the session was lost again, and not gracefully");
        if (!p->restart.kept[f].on)
            rib_peer_stale_end(p->set->speaker->rib, p->rib, f); /* of a refresh under way */
        if (p->restart.kept[f].on)
            log_info("the routes of the peer are kept: it may restart", F_STR("peer", p->name),
                     F_STR("family", family_name(f)), F_UINT("routes", p->rib->stale[f]),
                     F_UINT("restart_time", p->restart.restart_s));
    }
    set_timer(p);
}

/* RFC 4724 4.2, "once the session is re-established"; RFC 9494 4.2 has the same for its own F bit. */
void peer_restart_up(struct peer_link *l)
{
    struct peer *p = l->peer;
    const struct peer_session *s = &l->s;

    for (enum family f = 0; f < FAM_COUNT; f++) {
        struct peer_kept *k = &p->restart.kept[f];
        bool gr = s->common.gr_family[f], forwarding = s->common.gr_forwarding[f];
        if (k->long_lived) {
            gr = s->common.llgr_family[f];
            forwarding = s->common.llgr_forwarding[f];
        }
        if (!s->common.family[f] || !gr)
            forget(p, f, "graceful restart is not in the peer's new capabilities");
        else if (!forwarding)
            forget(p, f, "the peer did not keep its forwarding state");
        else if (k->on && !k->long_lived)
            k->due_ms = k->last_ms;
    }
    set_timer(p);
}

void peer_restart_eor(struct peer *p, enum family f)
{
    forget(p, f, "not in what the peer sent after its restart");
    set_timer(p);
}

static void family_is_due(struct peer *p, enum family f)
{
    struct peer_kept *k = &p->restart.kept[f];
    if (p->up || k->long_lived || !k->long_ms) {
        forget(p, f, p->up ? "no End-of-RIB within the stale time" : "the peer did not come back in time");
        return;
    }
    k->long_lived = true;
    k->due_ms = loop_now_ms() + k->long_ms;
    log_info("stale routes of the peer are long-lived from now on", F_STR("peer", p->name),
             F_STR("family", family_name(f)), F_UINT("routes", p->rib->stale[f]),
             F_UINT("stale_time", k->long_ms / 1000));
    rib_peer_stale_long(p->set->speaker->rib, p->rib, f);
}

static void on_timer(void *arg)
{
    struct peer *p = arg;
    for (enum family f = 0; f < FAM_COUNT; f++)
        if (p->restart.kept[f].on && p->restart.kept[f].due_ms <= loop_now_ms())
            family_is_due(p, f);
    set_timer(p);
}

void peer_restart_abort(struct peer *p)
{
    for (enum family f = 0; f < FAM_COUNT; f++)
        if (p->restart.kept[f].on && !p->restart.kept[f].long_lived)
            p->restart.kept[f].due_ms = loop_now_ms();
    set_timer(p);
}

void peer_restart_resume(struct peer *p)
{
    set_timer(p);
}

/* RFC 4724 4.2 takes any connection from the peer for its restart. Two that connect to each other at the same
 * time would tear their new session down again, so it takes an OPEN, a session that is not brand-new, and a
 * connection that came in after it was up (heard_ms is when OpenSent began). */
bool peer_restart_replaces(const struct peer_link *l, const struct peer_link *established)
{
    const struct peer *p = established->peer;
    return l->incoming && l->s.heard_ms > p->h.up_ms && p->settled &&
           any_family(established->s.common.gr_family);
}

/* Section 3: the capability says that the peer will send it, a set R bit only that it shall not be waited for
 * before advertising. */
bool peer_restart_awaits_eor(const struct peer_link *l)
{
    return l->s.common.graceful_restart;
}

/* "excluding the ones with the Restart State bit set … and the ones that do not advertise the graceful
 * restart capability" */
bool peer_has_sent_all(const struct peer *p)
{
    const struct peer_link *l = p->up;
    if (peer_admin_down(p))
        return true;
    if (!l)
        return false;
    if (!l->s.common.graceful_restart || l->s.received.gr_flags_time & FLAG_R)
        return true;
    for (enum family f = 0; f < FAM_COUNT; f++)
        if (l->s.common.family[f] && !l->s.eor_in[f])
            return false;
    return true;
}

/* What this node originates is known from the start; only learned routes have to be waited for. */
void peer_restart_hold_eor(struct peer *p)
{
    adjout_hold_eor(p->adjout, p->set->speaker->deferring && p->config->export != EXPORT_ORIGINATED);
}

void peer_set_release_eor(struct peer_set *ps)
{
    for (unsigned i = 0; i < ps->n; i++)
        adjout_hold_eor(ps->peers[i]->adjout, false);
}

void peer_restart_info(const struct peer *p, struct peer_info *o)
{
    uint64_t now = loop_now_ms();
    for (enum family f = 0; f < FAM_COUNT; f++) {
        const struct peer_kept *k = &p->restart.kept[f];
        o->kept[f].on = k->on;
        o->kept[f].long_lived = k->long_lived;
        o->kept[f].restart_s = k->on ? p->restart.restart_s : 0;
        o->kept[f].left_ms = k->on && k->due_ms > now ? k->due_ms - now : 0;
    }
}
