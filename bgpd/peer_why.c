/* Why a session is not up, in words, and the log lines of its ups and downs.
 *
 * Everything that ends a session or an attempt passes through here once: NOTIFICATIONs of both directions, a
 * connection that was closed, one that never came about. Each leaves a reason (what happened) and, where
 * experience knows one, a hint (what to look at). "Last reset" is about the last session that was
 * Established, as operators understand it, and until there was one about the last error; a refused connection
 * later on does not hide why the session was lost.
 *
 * An attempt that fails again and again for the same reason is one line at info level; the repeats are for
 * debug. TCP-MD5 errors cannot be told from silence, since the kernel drops what is not signed as it should
 * be; the hint says so. Not here: when the next attempt comes (peer.c), how it is shown (control/).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "peer_impl.h"

#define CEASE_OF_BFD   (BGP_ERR_CEASE << 8 | BGP_CEASE_BFD_DOWN)
#define UNREACHABLE_MS 10000 /* so long "no answer" does not take the place of "no route to host" */

static uint32_t remote_as(const struct peer *p)
{
    return p->up ? p->up->s.remote_as : p->config->asn ? p->config->asn : p->h.asn; /* 0: not known yet */
}

/* One NOTIFICATION sent on one connection and received on the other is one reason: both sides refuse, and
 * take turns. */
static const char *gist(const char *failure)
{
    const char *text = strncmp(failure, "NOTIFICATION ", 13) ? NULL : strstr(failure, ": ");
    return text ? text : failure;
}

/* An attempt ended without a session. */
static void log_failure(struct peer *p)
{
    const char *message = p->h.last_error_received ? p->h.last_message : "";
    enum log_level level = LOG_LVL_DEBUG;
    uint32_t swallowed = 0;
    if (strcmp(gist(p->h.told), gist(p->h.last_failure)) &&
        log_limit_ok(&p->failure_limit, loop_now_ms(), &swallowed)) {
        memcpy(p->h.told, p->h.last_failure, sizeof p->h.told);
        level = LOG_LVL_INFO;
    }
    log_at(level, "session not established", F_STR("peer", p->name), F_UINT_IF("asn", remote_as(p)),
           F_STR("state", peer_state_name(p->state)), F_STR("reason", p->h.last_failure),
           F_STR_IF("message", message), F_UINT_IF("suppressed", swallowed));
}

void peer_log_transition(struct peer *p, enum peer_state before)
{
    const char *state = peer_state_name(p->state);
    if (p->state == PEER_ESTABLISHED) {
        p->h.told[0] = p->h.last_failure[0] = p->h.hint[0] = 0;
        p->h.asn = p->up->s.remote_as;
        log_info("session up", F_STR("peer", p->name), F_UINT("asn", remote_as(p)), F_STR("state", state));
    } else if (before == PEER_ESTABLISHED) {
        log_at(p->started ? LOG_LVL_WARN : LOG_LVL_INFO, "session down", F_STR("peer", p->name),
               F_UINT_IF("asn", remote_as(p)), F_STR("state", state), F_STR("reason", p->h.last_reset),
               F_STR_IF("message", p->h.last_message));
    } else {
        log_debug("session state", F_STR("peer", p->name), F_STR("state", state),
                  F_STR("was", peer_state_name(before)));
    }
}

static void note(struct peer *p, const char *reason, const char *hint)
{
    bool lost = p->up != NULL;
    snprintf(p->h.last_failure, sizeof p->h.last_failure, "%s", reason);
    snprintf(p->h.hint, sizeof p->h.hint, "%s", hint);
    p->h.last_failure_ms = loop_now_ms();
    if (lost)
        memcpy(p->h.told, p->h.last_failure, sizeof p->h.told); /* "session down" tells it */
    else if (p->started)
        log_failure(p);
}

static void note_reset(struct peer *p, const char *reason)
{
    if (!p->up && p->h.established)
        return;
    snprintf(p->h.last_reset, sizeof p->h.last_reset, "%s", reason);
    p->h.last_reset_ms = loop_now_ms();
}

static unsigned what_of(const struct bgp_error *e)
{
    return (unsigned)e->code << 8 | e->subcode;
}

/* What to look at after a NOTIFICATION that we sent or received; "" where its name says it all. */
static void error_hint(const struct peer *p, const struct bgp_error *e, bool received, char *hint,
                       size_t size)
{
    struct bgp_error inner;
    if (bgp_error_unwrap(e, &inner) && inner.code)
        e = &inner;
    unsigned what = what_of(e);
    *hint = 0;
    if (e->code == BGP_ERR_HOLD_TIMER && received)
        snprintf(hint, size,
                 "the peer heard nothing from us for its hold time: the link, and what lies between");
    else if (e->code == BGP_ERR_HOLD_TIMER)
        snprintf(hint, size, "whether the peer is alive, the link, and what lies between");
    else if (e->code == BGP_ERR_SEND_HOLD_TIMER && received)
        snprintf(hint, size, "the peer could not send to us for minutes: whether this node is overloaded");
    else if (e->code == BGP_ERR_SEND_HOLD_TIMER)
        snprintf(hint, size, "the BGP process of the peer: it is connected, but does not read");
    else if (what == (BGP_ERR_OPEN << 8 | BGP_ERR_OPEN_PEER_AS) && received)
        snprintf(hint, size, "which AS the peer expects here; ours is %" PRIu32, p->local_as);
    else if (what == (BGP_ERR_OPEN << 8 | BGP_ERR_OPEN_PEER_AS))
        snprintf(hint, size, "`asn` of this peer here, and the AS that is configured there");
    else if (what == (BGP_ERR_OPEN << 8 | BGP_ERR_OPEN_ID))
        snprintf(hint, size, "the router ids: both sides must have one, and not the same");
    else if (what == (BGP_ERR_OPEN << 8 | BGP_ERR_OPEN_HOLD_TIME))
        snprintf(hint, size, "`hold-time` here, and the least that the other side accepts");
    else if (what == (BGP_ERR_OPEN << 8 | BGP_ERR_OPEN_CAPABILITY))
        snprintf(hint, size, "`families` here, and the address families activated there");
    else if (what == (BGP_ERR_OPEN << 8 | BGP_ERR_OPEN_ROLE))
        snprintf(hint, size,
                 "`role` here and there: customer and provider, rs-client and rs-server, peer and peer");
    else if (what == (BGP_ERR_CEASE << 8 | BGP_CEASE_ADMIN_SHUTDOWN) && received)
        snprintf(hint, size, "an operator shut the session down on the other side");
    else if (what == (BGP_ERR_CEASE << 8 | BGP_CEASE_ADMIN_RESET) && received)
        snprintf(hint, size, "an operator cleared the session on the other side; it comes back by itself");
    else if (what == (BGP_ERR_CEASE << 8 | BGP_CEASE_CONFIG_CHANGE) && received)
        snprintf(hint, size, "the other side's configuration changed; the session comes back by itself");
    else if (what == (BGP_ERR_CEASE << 8 | BGP_CEASE_RESOURCES))
        snprintf(hint, size, "memory and limits of %s", received ? "the other side" : "this node");
    else if (what == (BGP_ERR_CEASE << 8 | BGP_CEASE_HARD_RESET) && received)
        snprintf(hint, size, "the other side's log: it reset the session and does not say why");
    else if (what == (BGP_ERR_CEASE << 8 | BGP_CEASE_BFD_DOWN) && received)
        snprintf(hint, size, "the link: the other side's BFD lost this node");
    else if (what == CEASE_OF_BFD)
        snprintf(hint, size, "the link, what lies between, and whether the peer is alive: `show bfd peers`");
    else if (what == (BGP_ERR_CEASE << 8 | BGP_CEASE_DECONFIGURED) && received)
        snprintf(hint, size, "this node was removed from the other side's configuration");
    else if (what == (BGP_ERR_CEASE << 8 | BGP_CEASE_REJECTED) && received)
        snprintf(hint, size, "whether the other side has this node's address as a neighbor");
    else if (what == (BGP_ERR_CEASE << 8 | BGP_CEASE_MAX_PREFIXES) && !received)
        snprintf(hint, size,
                 "what the peer sends, then `max-prefixes` here; `clear bgp` lets it come back at once");
    else if (what == (BGP_ERR_CEASE << 8 | BGP_CEASE_MAX_PREFIXES) && received)
        snprintf(hint, size, "the other side's limit of prefixes from this node");
    else if (e->code == BGP_ERR_HEADER || e->code == BGP_ERR_FSM || e->code == BGP_ERR_UPDATE)
        snprintf(hint, size, "the %s; `debug %s` logs the messages decoded",
                 received ? "other side's log, which says what it did not take" : "other side's software",
                 p->name);
}

void peer_note_error(struct peer *p, const struct bgp_error *e, bool received)
{
    char text[120], reason[sizeof p->h.last_reset], hint[sizeof p->h.hint];

    p->h.last_error = *e;
    p->h.last_error_received = received;
    bool silence = e->code == BGP_ERR_HOLD_TIMER || what_of(e) == CEASE_OF_BFD;
    p->complained = !received && !silence;
    if (e->code == BGP_ERR_CEASE && e->subcode == BGP_CEASE_COLLISION && !p->up) {
        log_debug("connection collision", F_STR("peer", p->name),
                  F_STR("closes", received ? "theirs" : "ours"));
        return; /* the other one of the two goes on */
    }
    p->h.last_message[0] = 0;
    if (received)
        bgp_error_message(e, p->h.last_message, sizeof p->h.last_message);
    if (e->code == BGP_ERR_HOLD_TIMER && !received)
        snprintf(reason, sizeof reason, "hold timer expired");
    else if (e->code == BGP_ERR_SEND_HOLD_TIMER && !received)
        snprintf(reason, sizeof reason, "send hold timer expired: the peer took nothing for %" PRIu32 " s",
                 (p->up ? p->up->s.send_hold_ms : 0) / 1000);
    else
        snprintf(reason, sizeof reason, "NOTIFICATION %s: %s%s%s", received ? "received" : "sent",
                 bgp_error_format(e, text, sizeof text), p->detail[0] ? ", " : "", p->detail);
    p->detail[0] = 0;
    error_hint(p, e, received, hint, sizeof hint);
    note_reset(p, reason);
    note(p, reason, hint);
}

void peer_note_bad_as(struct peer *p, uint32_t got)
{
    const struct peer_config *c = p->config;
    if (c->asn_kind == ASN_EXTERNAL)
        snprintf(p->detail, sizeof p->detail, "expected an AS other than ours, got %" PRIu32, got);
    else if (got == BGP_AS_TRANS)
        snprintf(p->detail, sizeof p->detail, "expected %" PRIu32 ", got AS_TRANS", c->asn);
    else
        snprintf(p->detail, sizeof p->detail, "expected %" PRIu32 ", got %" PRIu32, c->asn, got);
}

void peer_note_bad_role(struct peer *p, const struct capabilities *theirs)
{
    if (theirs->role_conflict)
        snprintf(p->detail, sizeof p->detail, "the peer says more than one role");
    else
        snprintf(p->detail, sizeof p->detail, "our role is %s, the peer's is %s", role_name(peer_role(p)),
                 role_name(role_from_wire(theirs->role)));
}

void peer_note_restarted(struct peer_link *l)
{
    static const char reason[] = "the peer has restarted: it opened a new connection";
    struct peer *p = l->peer;

    p->complained = false;
    p->h.last_message[0] = 0;
    note_reset(p, reason);
    note(p, reason, "");
}

void peer_note_closed(struct peer_link *l, int error)
{
    struct peer *p = l->peer;
    char reason[160], hint[sizeof p->h.hint] = "";

    p->complained = false;
    if (p->up)
        p->h.last_message[0] = 0; /* of an earlier session */
    if (l->state == PEER_OPEN_SENT && (!error || error == -ECONNRESET)) {
        char local[ADDR_STRLEN];
        snprintf(reason, sizeof reason, "the peer closed the connection before it sent an OPEN");
        snprintf(hint, sizeof hint,
                 "whether it has %s as a neighbor, with this AS (%" PRIu32 "), and not shut down",
                 l->s.local.af ? addr_format(&l->s.local, local) : "this node", p->local_as);
    } else if (!error) {
        snprintf(reason, sizeof reason, "the peer closed the connection without a NOTIFICATION");
        snprintf(hint, sizeof hint, "whether BGP was restarted on the other side, or crashed");
    } else {
        snprintf(reason, sizeof reason, "TCP: %s", strerror(-error));
    }
    if (p->up || l->state == PEER_OPEN_CONFIRM)
        note_reset(p, reason);
    note(p, reason, hint);
}

void peer_note_address_gone(struct peer_link *l)
{
    struct peer *p = l->peer;
    char reason[160], local[ADDR_STRLEN];

    p->complained = false;
    if (p->up)
        p->h.last_message[0] = 0;
    snprintf(reason, sizeof reason, "our address of the session is gone: %s",
             addr_format(&l->s.local, local));
    note_reset(p, reason);
    note(p, reason, "the addresses of this node");
}

void peer_note_ground_lost(struct peer *p, const char *reason, const char *hint)
{
    if (!p->up)
        return;
    p->complained = false;
    p->h.last_message[0] = 0;
    note_reset(p, reason);
    note(p, reason, hint);
}

void peer_waiting_why(const struct peer *p, char *why, size_t why_size, char *hint, size_t hint_size)
{
    if (peer_is_reachable(p)) {
        peer_bfd_why(p, why, why_size, hint, hint_size);
        return;
    }
    if (p->unnumbered) {
        unnumbered_why(p->unnumbered, why, why_size, hint, hint_size);
        return;
    }
    snprintf(why, why_size, "not directly connected: %s is on no subnet of this node", p->name);
    snprintf(hint, hint_size, "the interface and its address; a peer farther away needs `multihop`");
}

void peer_note_connect_failure(struct peer *p, int error)
{
    const struct peer_config *c = p->config;
    char reason[sizeof p->h.last_failure], hint[sizeof p->h.hint] = "", text[ADDR_STRLEN];

    if (error == -ETIMEDOUT && p->h.connect_error == -EHOSTUNREACH && p->h.last_failure[0] &&
        loop_now_ms() - p->h.last_failure_ms < UNREACHABLE_MS)
        return; /* attempts that are shorter than the kernel's own wait for ARP */
    p->h.connect_error = error;
    snprintf(reason, sizeof reason, "cannot connect: %s", strerror(-error));
    switch (-error) {
    case ECONNREFUSED:
        snprintf(hint, sizeof hint, "whether BGP runs there on port %u, and what may reject it",
                 (unsigned)c->port);
        break;
    case ETIMEDOUT:
        snprintf(reason, sizeof reason, "cannot connect: no answer from port %u", (unsigned)c->port);
        snprintf(hint, sizeof hint,
                 *c->password
                     ? "the TCP-MD5 key on both sides (a wrong one looks like silence); filters"
                     : "filters, and whether the peer wants a TCP-MD5 key (that looks like silence)");
        break;
    case EHOSTUNREACH:
        snprintf(hint, sizeof hint, "whether the peer is up: it does not answer %s, or a router says so",
                 p->address.af == AF_INET6 ? "neighbor discovery" : "ARP");
        break;
    case ENETUNREACH:
        snprintf(hint, sizeof hint, "the way to it: `ip route get %s`", p->name);
        break;
    case EADDRNOTAVAIL:
        if (c->local_address.af)
            snprintf(hint, sizeof hint, "`local-address`: %s is on no interface of this node",
                     addr_format(&c->local_address, text));
        break;
    }
    note(p, reason, hint);
}
