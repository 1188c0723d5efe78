/* Unnumbered peers: a session over an interface that has no address but its link-local one. Both sides
 * advertise themselves as routers on the link (RFC 4861); the source of such an advertisement is the address
 * to connect to.
 *
 * Advertised is a router lifetime of 0, always: "the router is not a default router" (4.2). A node forwards
 * for its own pods only, and a host on the link that took it for its way out would lose its traffic. Peers do
 * not look at the lifetime; the source address is all that they want. As nobody ever took us for a default
 * router, no final advertisement has to take it back (6.2.5). Hop limit, timers and MTU are left unspecified:
 * nothing of the other side's own configuration is to change because of us.
 *
 * When an interface comes up, an advertisement goes out at once, and a solicitation, so that the other side
 * answers and does not wait for its next turn; two more follow quickly, and then one every 7.5 to 10 s. A
 * solicitation is answered to whom asked (6.2.6), so the limit of multicast advertisements does not delay it.
 *
 * One link has one peer. When somebody else advertises there, the present one keeps the session as long as it
 * lives: as long as it is heard of, by an advertisement or over the session. Only when it has been silent
 * while another one advertised itself, and does not answer a solicitation either, is that one taken for its
 * successor. A peer that is replaced usually takes the link down with it, and that ends everything at once,
 * without waiting for a timer.
 *
 * Not here: the socket (rasock.c), the FSM (peer.c), next hops (peer_nexthop.c). */
#include "peer_unnumbered.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fibclient.h"
#include "peer_impl.h"

/* RFC 4861 6.2.1 and section 10; the interval is the one that others use between unnumbered peers. */
#define MAX_INTERVAL_MS     10000 /* MaxRtrAdvInterval */
#define MIN_INTERVAL_MS     7500
#define INITIAL_INTERVAL_MS 3000 /* no less than MinRtrAdvInterval may be */
#define INITIAL_COUNT       3    /* MAX_INITIAL_RTR_ADVERTISEMENTS */
#define DELAY_MS            500  /* MAX_RA_DELAY_TIME */
#define BETWEEN_MS          3000 /* MIN_DELAY_BETWEEN_RAS, of multicast ones */
#define SOLICITATIONS       3    /* MAX_RTR_SOLICITATIONS */
#define SOLICIT_EACH_MS     4000 /* RTR_SOLICITATION_INTERVAL */

#define SILENT_MS    12000 /* an advertisement of the present one is overdue */
#define STRANGE_MOST 2     /* so many of another one then */

struct unnumbered {
    struct peer *peer;
    uint32_t ifindex; /* 0: there is no such interface */
    bool up, joined;
    struct ip_addr local;  /* our link-local address there, af 0: none that is usable */
    struct timer *send;    /* the next multicast advertisement */
    unsigned initial;      /* of those that follow quickly */
    uint64_t sent_ms;      /* the last multicast one, 0 never */
    struct timer *answer;  /* to a solicitation */
    struct ip_addr asker;  /* af 0: several */
    unsigned solicits;     /* sent */
    uint64_t solicited_ms; /* the last */
    uint64_t heard_ms;     /* an advertisement of the present peer, 0 never */
    unsigned strange;      /* advertisements of another one since the present one's last sign of life */
    struct log_limit log_limit;
    bool warned; /* of what the kernel makes of the peer's advertisements */
    uint64_t advertised, heard;
};

static const char *interface(const struct unnumbered *u)
{
    return u->peer->config->interface;
}

static struct rasock *rasock(const struct unnumbered *u)
{
    return u->peer->set->rasock;
}

/* Sending */

static bool may_send(const struct unnumbered *u)
{
    const struct peer *p = u->peer;
    return p->set->speaker->running && !p->set->stopping && u->up && u->local.af && rasock(u) &&
           rasock_is_open(rasock(u)) && !peer_admin_down(p);
}

static void send_message(struct unnumbered *u, enum ra_type type, const struct ip_addr *to)
{
    struct ra_msg m = {.type = type};

    m.has_lladdr = rasock_lladdr(rasock(u), interface(u), m.lladdr);
    int rc = rasock_send(rasock(u), u->ifindex, &u->local, to, &m);
    if (rc)
        log_debug("router advertisement not sent", F_STR("peer", u->peer->name), F_ERR(rc));
    else if (type == RA_ADVERTISEMENT)
        u->advertised++;
}

static void solicit(struct unnumbered *u)
{
    const struct ip_addr all = {0};
    uint64_t now = loop_now_ms();

    if (u->peer->address.af || u->solicits == SOLICITATIONS ||
        (u->solicits && now - u->solicited_ms < SOLICIT_EACH_MS))
        return;
    u->solicits++;
    u->solicited_ms = now;
    send_message(u, RA_SOLICITATION, &all);
}

static void on_send(void *arg)
{
    struct unnumbered *u = arg;
    const struct ip_addr all = {0};

    if (!may_send(u))
        return; /* whoever changes that starts it again */
    send_message(u, RA_ADVERTISEMENT, &all);
    u->sent_ms = loop_now_ms();
    solicit(u);
    if (u->initial) {
        u->initial--;
        timer_set(u->send, INITIAL_INTERVAL_MS);
    } else {
        timer_set(u->send, MIN_INTERVAL_MS + arc4random_uniform(MAX_INTERVAL_MS - MIN_INTERVAL_MS));
    }
}

/* From the start again, when the interface or we become able to. */
static void advertise(struct unnumbered *u)
{
    if (!may_send(u) || timer_running(u->send))
        return;
    if (!u->joined) {
        int rc = rasock_join(rasock(u), u->ifindex);
        if (rc) /* solicitations are not heard then; advertisements are */
            log_warn("cannot join the routers of the link", F_STR("peer", u->peer->name), F_ERR(rc));
        u->joined = !rc;
    }
    u->initial = INITIAL_COUNT - 1;
    u->solicits = 0;
    timer_set(u->send, 0);
}

/* "a random time between 0 and MAX_RA_DELAY_TIME"; several who ask at the same time get one answer to all
 * nodes, and that not sooner than such answers may follow each other. */
static void on_answer(void *arg)
{
    struct unnumbered *u = arg;
    uint64_t now = loop_now_ms();

    if (!may_send(u))
        return;
    if (!u->asker.af && u->sent_ms && now - u->sent_ms < BETWEEN_MS) {
        timer_set(u->answer, u->sent_ms + BETWEEN_MS - now);
        return;
    }
    send_message(u, RA_ADVERTISEMENT, &u->asker);
    if (!u->asker.af)
        u->sent_ms = now;
}

static void solicited(struct unnumbered *u, const struct ip_addr *from)
{
    if (!may_send(u))
        return;
    if (timer_running(u->answer)) {
        if (!addr_equal(&u->asker, from))
            u->asker = (struct ip_addr){0};
        return;
    }
    u->asker = addr_is_unspecified(from) ? (struct ip_addr){0} : *from;
    timer_set(u->answer, arc4random_uniform(DELAY_MS));
}

/* The other side */

static void take(struct unnumbered *u, const struct ip_addr *from)
{
    struct peer *p = u->peer;

    u->heard_ms = 0;
    u->strange = 0;
    peer_set_move(p, from, u->ifindex);
    log_info("router found on the interface", F_STR("peer", p->name), F_ADDR("address", from));
    if (p->waiting)
        peer_start(p, false);
}

/* Whether the present peer gave a sign of life lately: over the session, where the next word is due within a
 * third of the hold time, else by an advertisement. */
static bool lives(const struct unnumbered *u, uint64_t now)
{
    const struct peer_link *up = u->peer->up;
    uint64_t last = u->heard_ms, patience = SILENT_MS;

    if (up && up->s.hold_ms) {
        patience = up->s.hold_ms / 2;
        last = up->s.heard_ms > last ? up->s.heard_ms : last;
    }
    return last && now - last < patience;
}

static void strange_advertisement(struct unnumbered *u, const struct ip_addr *from)
{
    struct peer *p = u->peer;
    uint64_t now = loop_now_ms();
    uint32_t swallowed = 0;

    if (lives(u, now))
        u->strange = 0;
    else if (!u->strange++ && may_send(u))
        send_message(u, RA_SOLICITATION, &(struct ip_addr){0}); /* whoever lives will answer */
    if (u->strange < STRANGE_MOST) {
        if (log_limit_ok(&u->log_limit, now, &swallowed))
            log_warn("a second router on the interface; the present one stays the peer as long as it lives",
                     F_STR("peer", p->name), F_ADDR("address", &p->address), F_ADDR("other", from),
                     F_UINT_IF("suppressed", swallowed));
        return;
    }
    peer_note_ground_lost(p, "another router has taken the peer's place on the interface", "");
    peer_drop(p);
    peer_restart_drop(p, "another router has taken the peer's place");
    p->waiting = p->started;
    take(u, from);
    u->heard_ms = now;
}

/* What a router says to hosts, the kernel of this node may hear too: then it has a default route that nobody
 * configured, and that BGP knows nothing of. */
static void warn_of_default_route(struct unnumbered *u, const struct ip_addr *from, const struct ra_msg *m)
{
    char hint[128];

    if (u->warned || !m->lifetime || !rasock_host_obeys(rasock(u), interface(u)))
        return;
    u->warned = true;
    snprintf(hint, sizeof hint, "net.ipv6.conf.%s.accept_ra=0 here, or a router lifetime of 0 there",
             interface(u));
    log_warn("the kernel takes the router on the interface for a default router, as it advertises itself so",
             F_STR("peer", u->peer->name), F_ADDR("address", from), F_UINT("lifetime", m->lifetime),
             F_STR("hint", hint));
}

static void advertisement(struct unnumbered *u, const struct ip_addr *from, const struct ra_msg *m)
{
    const struct peer *p = u->peer;

    u->heard++;
    warn_of_default_route(u, from, m);
    if (!p->address.af)
        take(u, from);
    if (addr_equal(&p->address, from)) {
        u->heard_ms = loop_now_ms();
        u->strange = 0;
    } else {
        strange_advertisement(u, from);
    }
}

static struct unnumbered *find(const struct peer_set *ps, uint32_t ifindex)
{
    for (unsigned i = 0; i < ps->n; i++) {
        struct unnumbered *u = ps->peers[i]->unnumbered;
        if (u && u->ifindex == ifindex && u->up)
            return u;
    }
    return NULL;
}

static void on_received(void *arg, uint32_t ifindex, const struct ip_addr *from, const struct ra_msg *m)
{
    const struct peer_set *ps = arg;
    struct unnumbered *u = find(ps, ifindex);

    if (!u || fibclient_is_own(ps->speaker->fib, from, ifindex))
        return;
    if (m->type == RA_SOLICITATION)
        solicited(u, from);
    else if (!peer_admin_down(u->peer))
        advertisement(u, from, m);
}

static void on_opened(void *arg, int error)
{
    const struct peer_set *ps = arg;
    for (unsigned i = 0; !error && i < ps->n; i++)
        if (ps->peers[i]->unnumbered)
            advertise(ps->peers[i]->unnumbered);
}

const struct rasock_ops unnumbered_rasock_ops = {.opened = on_opened, .received = on_received};

struct peer *unnumbered_adopt(struct peer_set *ps, const struct ip_addr *from, uint32_t ifindex)
{
    struct unnumbered *u = find(ps, ifindex);
    struct peer *p = u ? u->peer : NULL;

    /* With a key the connection would have to be signed, but without its address the kernel had none to
     * check. */
    if (!p || p->address.af || !u->local.af || *p->config->password || peer_admin_down(p))
        return NULL;
    take(u, from);
    return p;
}

/* The interface */

/* Ours on that interface; the one that is in use as long as it is there. */
static struct ip_addr own_link_local(const struct unnumbered *u, uint32_t ifindex)
{
    const struct fib_address *a;
    const struct ip_addr *best = NULL;
    unsigned n = fibclient_addresses(u->peer->set->speaker->fib, &a);

    for (unsigned i = 0; i < n; i++) {
        if (a[i].ifindex != ifindex || a[i].addr.af != AF_INET6 || !addr_is_link_local(&a[i].addr) ||
            (a[i].flags & (FM_ADDR_TENTATIVE | FM_ADDR_OURS)))
            continue;
        if (addr_equal(&a[i].addr, &u->local))
            return u->local;
        if (!best || addr_cmp(&a[i].addr, best) < 0)
            best = &a[i].addr;
    }
    return best ? *best : (struct ip_addr){0};
}

/* What was known of the link is void. */
static void lose(struct unnumbered *u, const char *what)
{
    struct peer *p = u->peer;
    char why[96];
    const struct ip_addr none = {0};

    timer_stop(u->send);
    timer_stop(u->answer);
    if (u->joined)
        rasock_leave(rasock(u), u->ifindex);
    u->joined = false;
    u->strange = 0;
    u->heard_ms = u->sent_ms = 0;
    snprintf(why, sizeof why, "interface %s %s", interface(u), what);
    peer_note_ground_lost(p, why, "the cable, the other side, and `ip link`");
    peer_drop(p);
    peer_restart_drop(p, why); /* who comes back may be another one, and nothing is forwarded until then */
    if (p->address.af)
        peer_set_move(p, &none, 0);
}

void unnumbered_look(struct unnumbered *u)
{
    struct peer *p = u->peer;
    const struct fib_link *link = fibclient_link_by_name(p->set->speaker->fib, interface(u));
    uint32_t ifindex = link ? link->ifindex : 0;
    bool up = link && (link->flags & FM_LINK_UP);
    struct ip_addr local = up ? own_link_local(u, ifindex) : (struct ip_addr){0};

    bool lost = u->up && (!up || ifindex != u->ifindex);
    bool moved = !lost && u->local.af && !addr_equal(&u->local, &local);
    if (lost)
        lose(u, ifindex ? "is down" : "is gone");
    u->ifindex = ifindex;
    u->up = up;
    u->local = local;
    if (moved) {
        timer_stop(u->send);
        peer_note_ground_lost(p, "our link-local address of the interface is gone", "`ip -6 address`");
        peer_drop(p);
    }
    if ((lost || moved) && p->started)
        peer_wait(p);
    advertise(u);
}

bool unnumbered_is_ready(const struct unnumbered *u)
{
    return u->up && u->local.af && u->peer->address.af;
}

void unnumbered_why(const struct unnumbered *u, char *why, size_t why_size, char *hint, size_t hint_size)
{
    const char *name = interface(u);
    int error = rasock(u) ? rasock_error(rasock(u)) : 0;

    *hint = 0;
    if (!u->ifindex) {
        snprintf(why, why_size, "interface %s does not exist", name);
        snprintf(hint, hint_size, "`interface` of this peer, and `ip link`");
    } else if (!u->up) {
        snprintf(why, why_size, "interface %s is down", name);
        snprintf(hint, hint_size, "the cable, the other side, and `ip link set %s up`", name);
    } else if (!u->local.af) {
        snprintf(why, why_size, "interface %s has no usable link-local address (yet)", name);
        snprintf(hint, hint_size, "`ip -6 address show dev %s`, and net.ipv6.conf.%s.disable_ipv6", name,
                 name);
    } else if (error) {
        snprintf(why, why_size, "no raw ICMPv6 socket for router advertisements: %s", strerror(-error));
        snprintf(hint, hint_size, "whether underlayd has CAP_NET_RAW");
    } else {
        snprintf(why, why_size, "no router advertisement heard on %s yet", name);
        snprintf(hint, hint_size,
                 "whether the other side has an unnumbered peer on this link, or advertises itself");
    }
}

uint32_t unnumbered_ifindex(const struct unnumbered *u)
{
    return u->ifindex;
}

struct ip_addr unnumbered_local(const struct unnumbered *u)
{
    return u->local;
}

void unnumbered_info(const struct unnumbered *u, struct unnumbered_info *out)
{
    uint64_t now = loop_now_ms();
    *out = (struct unnumbered_info){.advertised = u->advertised, .heard = u->heard};
    if (u->heard_ms)
        out->heard_ms = now > u->heard_ms ? now - u->heard_ms : 1;
}

struct unnumbered *unnumbered_new(struct peer *p)
{
    struct unnumbered *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    u->peer = p;
    u->send = timer_new(p->set->speaker->loop, on_send, u);
    u->answer = timer_new(p->set->speaker->loop, on_answer, u);
    if (!u->send || !u->answer) {
        unnumbered_free(u);
        return NULL;
    }
    return u;
}

void unnumbered_free(struct unnumbered *u)
{
    if (!u)
        return;
    if (u->joined)
        rasock_leave(rasock(u), u->ifindex);
    timer_free(u->send);
    timer_free(u->answer);
    free(u);
}
