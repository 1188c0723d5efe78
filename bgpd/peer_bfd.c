/* BFD with a peer (RFC 5880, as RFC 5882 has BGP use it). The packets are the parent's business (fib/bfd.h),
 * and it has already taken the next hop out of the kernel when we hear that a session failed.
 *
 * What we do then: the BGP session is closed at once with Cease/10 (RFC 9384), and its routes are not kept
 * for a graceful restart, since it is forwarding that failed; one that goes on is over, unless the peer's BFD
 * shares fate with what restarts there (RFC 5882 4.3). Attempts to connect go on as ever, because a
 * peer without BFD must still work (RFC 5882 4.1); when BGP comes up over what BFD calls dead, the parent is
 * told so. AdminDown of either side is no failure (3.2, 4.2) and does nothing.
 *
 * With `strict` no BGP session is begun before BFD is up. What holds it is this side alone, before TCP:
 * neither a capability nor a word of the peer is needed for it. A peer that says AdminDown has no BFD to wait
 * for, and does not hold the session (4.1: "the establishment of a control protocol adjacency MUST be
 * allowed"). A connection that the peer makes meanwhile waits with us, unread, because a passive peer could
 * not try itself, and the other side would come back after minutes only.
 *
 * A session of BFD exists as long as its peer is wanted, whatever becomes of BGP: it survives resets, and the
 * speaker itself. Not here: how it is shown (control/show_bfd.c), and its log, which is the parent's. */
#include "peer_bfd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fibclient.h"
#include "lib/bfd_name.h"
#include "peer_impl.h"

struct peer_bfd {
    struct fm_bfd told;
    bool heard;
    bool handed;               /* the state's `downs` are what the former process had heard */
    struct fm_bfd_state state; /* as last heard */
    int parked;                /* -1: none */
};

static bool is_up(const struct peer_bfd *b)
{
    return b->heard && b->state.state == FM_BFD_UP;
}

/* It was up, and is dead by its own account. */
static bool has_failed(const struct fm_bfd_state *st)
{
    return (st->flags & FM_BFD_FAILED) && st->state != FM_BFD_UP && st->state != FM_BFD_ADMIN_DOWN;
}

/* Which session */

static bool is_wanted(const struct peer *p)
{
    const struct peer_set *ps = p->set;
    return p->config->bfd.on && !peer_admin_down(p) && ps->speaker->running && !ps->stopping &&
           p->address.af && peer_is_reachable(p);
}

/* RFC 5883; as for BGP itself, an internal peer may be anywhere. */
static bool is_multihop(const struct peer *p)
{
    return !p->unnumbered && (p->config->multihop ||
                              (p->ibgp && !fibclient_subnet_of(p->set->speaker->fib, &p->address, p->scope)));
}

/* Of the connection, where there is one: who came to one of our addresses looks for BFD from there. */
static struct ip_addr connected_from(const struct peer *p)
{
    for (const struct peer_link *l = p->links; l < p->links + 2; l++)
        if (l->state >= PEER_OPEN_SENT && l->s.local.af == p->address.af)
            return l->s.local;
    return (struct ip_addr){0};
}

/* Nothing, the kernel's choice, unless BGP is spoken from another address than BFD: a change costs nothing
 * then, since the other side does not know us by that one. */
static void choose_local(const struct peer *p, struct fm_bfd *m)
{
    const struct peer_bfd *b = p->bfd;
    struct ip_addr a = p->unnumbered ? unnumbered_local(p->unnumbered) : p->config->local_address;

    if (!a.af && b) {
        memcpy(m->local, b->told.local, sizeof m->local);
        a = connected_from(p);
        if (!b->heard || !memcmp(b->state.local, a.b, sizeof a.b))
            return;
    } else if (!a.af) {
        a = connected_from(p);
    }
    if (a.af)
        memcpy(m->local, a.b, sizeof m->local);
}

/* RFC 5882 4.3.2: the failure of BFD that shares fate with a control plane which is known to restart says
 * nothing about forwarding. It restarts until the last family has its End-of-RIB, or its time is over. */
static bool is_restarting(const struct peer *p)
{
    for (enum family f = 0; f < FAM_COUNT; f++)
        if (p->restart.kept[f].on && !p->restart.kept[f].long_lived)
            return true;
    return false;
}

static struct fm_bfd wanted(const struct peer *p)
{
    const struct peer_config *c = p->config;
    bool multihop = is_multihop(p);
    unsigned hops = !multihop ? 1 : c->multihop ? c->multihop : 255;
    struct fm_bfd m = {
        .peer = {.af = p->address.af, .scope = p->scope},
        .flags = (multihop ? FM_BFD_MULTIHOP : 0u) | (is_restarting(p) ? FM_BFD_RESTARTING : 0u),
        .interval_us = c->bfd.interval_ms * 1000,
        .multiplier = c->bfd.multiplier,
        .min_ttl = (uint8_t)(255 - hops + 1),
    };
    memcpy(m.peer.addr, p->address.b, sizeof m.peer.addr);
    choose_local(p, &m);
    return m;
}

static void unpark(struct peer_bfd *b)
{
    if (b->parked >= 0)
        close(b->parked);
    b->parked = -1;
}

void peer_bfd_free(struct peer *p)
{
    if (p->bfd)
        unpark(p->bfd);
    free(p->bfd);
    p->bfd = NULL;
}

void peer_bfd_end(struct peer *p)
{
    if (p->bfd)
        fibclient_bfd_del(p->set->speaker->fib, &p->bfd->told.peer);
    peer_bfd_free(p);
}

static void begin_if_free(struct peer *p)
{
    if (p->waiting && peer_is_reachable(p) && !peer_bfd_holds(p))
        peer_start(p, false);
    peer_bfd_unpark(p);
}

void peer_bfd_look(struct peer *p)
{
    struct peer_bfd *b = p->bfd;
    struct fm_bfd m;

    if (!is_wanted(p)) {
        if (!p->set->stopping) /* the parent says goodbye to all */
            peer_bfd_end(p);
        return;
    }
    m = wanted(p);
    if (b && memcmp(&b->told.peer, &m.peer, sizeof m.peer) != 0) { /* it is known by where the peer is */
        peer_bfd_end(p);
        b = NULL;
        m = wanted(p);
    }
    if (b && !memcmp(&b->told, &m, sizeof m))
        return;
    if (!b) {
        b = p->bfd = calloc(1, sizeof *b);
        if (!b) {
            log_error("no BFD with the peer", F_STR("peer", p->name), F_ERR(-ENOMEM));
            return;
        }
        b->parked = -1;
    }
    b->told = m;
    fibclient_bfd_set(p->set->speaker->fib, &m);
}

/* What its state means */

bool peer_bfd_holds(const struct peer *p)
{
    const struct peer_bfd *b = p->bfd;
    if (!p->config->bfd.on || !p->config->bfd.strict)
        return false;
    return !b || !b->heard || (!is_up(b) && b->state.remote_state != FM_BFD_ADMIN_DOWN);
}

void peer_bfd_why(const struct peer *p, char *why, size_t why_size, char *hint, size_t hint_size)
{
    const struct peer_bfd *b = p->bfd;
    unsigned port = b && (b->told.flags & FM_BFD_MULTIHOP) ? 4784 : 3784;

    *hint = 0;
    if (!b || !b->heard) {
        snprintf(why, why_size, "waiting for BFD (strict)");
    } else if (b->state.error) {
        snprintf(why, why_size, "waiting for BFD (strict), which cannot run: %s", strerror(-b->state.error));
        bfd_error_hint(b->state.error, hint, hint_size);
    } else {
        snprintf(why, why_size, "waiting for BFD (strict): its session with %s is %s", p->name,
                 bfd_state_name(b->state.state));
        snprintf(hint, hint_size,
                 "whether the other side has BFD with this node, and what may drop UDP to port %u", port);
    }
}

void peer_bfd_restart_changed(struct peer *p)
{
    if (p->bfd)
        peer_bfd_look(p);
}

void peer_bfd_changed(struct peer *p)
{
    peer_bfd_look(p);
    begin_if_free(p);
}

/* RFC 5882 4.2.1: "action SHOULD be taken in the control protocol". Of attempts under way only those end that
 * `strict` would not have let begin. */
static void failed(struct peer *p)
{
    const struct bgp_error e = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_BFD_DOWN, NULL, 0);
    bool strict = p->config->bfd.strict;
    bool excused = is_restarting(p) && !(p->bfd->state.flags & FM_BFD_REMOTE_CPI);

    if (!excused)
        peer_restart_abort(p);
    for (struct peer_link *l = p->links; l < p->links + 2; l++) {
        if (l == p->up ? excused : (!strict || l->state == PEER_IDLE))
            continue;
        snprintf(p->detail, sizeof p->detail, "%s", bfd_diag_name(p->bfd->state.diag));
        peer_link_event(l, FSM_EV_AUTO_STOP, &e);
        p->detail[0] = 0;
    }
}

/* BGP is up over what BFD calls dead. */
static void revive(struct peer *p)
{
    if (p->up && has_failed(&p->bfd->state))
        rib_peer_alive(p->set->speaker->rib, p->rib, p->scope);
}

void peer_set_bfd_state(struct peer_set *ps, const struct fm_bfd_state *st)
{
    const struct ip_addr a = addr_from_bytes(st->peer.af, st->peer.addr);
    struct peer *p = peer_set_at_address(ps, &a, st->peer.scope);
    struct peer_bfd *b = p ? p->bfd : NULL;

    if (!b || ps->stopping)
        return; /* a word that crossed the end of the session */
    const struct fm_bfd_state was = b->state;
    bool first = !b->heard, news = (b->heard || b->handed) && st->downs != was.downs;
    b->state = *st;
    b->heard = true;
    if (first)
        peer_bfd_look(p); /* where it is sent from is known now */
    if (news && has_failed(st))
        failed(p);
    else if (first)
        revive(p);
    begin_if_free(p);
}

void peer_bfd_session_up(struct peer *p)
{
    peer_bfd_look(p); /* our address is known now */
    if (p->bfd && p->bfd->heard)
        revive(p);
}

uint32_t peer_bfd_downs(const struct peer *p)
{
    return p->bfd ? p->bfd->state.downs : 0;
}

/* It came up over the failures that were known then; one that happened in between is news. */
void peer_bfd_taken_over(struct peer *p, uint32_t downs)
{
    peer_bfd_look(p);
    if (!p->bfd || p->bfd->heard)
        return;
    p->bfd->handed = true;
    p->bfd->state.downs = downs;
}

/* Connections that wait */

void peer_bfd_park(struct peer *p, int fd)
{
    if (!p->bfd) {
        close(fd);
        return;
    }
    unpark(p->bfd);
    p->bfd->parked = fd;
}

bool peer_bfd_has_parked(const struct peer *p)
{
    return p->bfd && p->bfd->parked >= 0;
}

void peer_bfd_unpark(struct peer *p)
{
    if (!peer_bfd_has_parked(p) || peer_bfd_holds(p))
        return;
    int fd = p->bfd->parked;
    p->bfd->parked = -1;
    peer_accept(p, fd);
}

void peer_bfd_info(const struct peer *p, struct peer_info *o)
{
    const struct peer_bfd *b = p->bfd;
    o->bfd = b ? &b->told : NULL;
    o->bfd_state = b && b->heard ? &b->state : NULL;
    o->waits_for_bfd = p->waiting && peer_is_reachable(p) && peer_bfd_holds(p);
}
