/* BFD as the rest of the parent sees it: which sessions there are, whose they are, and what follows from
 * their states. The protocol runs in bfd_thread.c.
 *
 * A session belongs to the peer, not to the speaker: when the speaker goes it is merely unclaimed, and the
 * next one finds it as it was. The thread exists while there is a session, or one that still says AdminDown.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fib/bfd_peers.h"
#include "fib/links.h"
#include "fib/nexthops.h"
#include "lib/bfd_name.h"

struct bfd *bfd_new(struct fib *f)
{
    struct bfd *b = calloc(1, sizeof *b);

    if (!b)
        return NULL;
    b->f = f;
    for (unsigned i = 0; i < BFD_LISTENERS; i++)
        b->listeners[i] = -1;
    if (getrandom(&b->seed, sizeof b->seed, GRND_NONBLOCK) < 0)
        b->seed = (uint32_t)loop_now_us();
    return b;
}

static struct bfd_peer **find(struct bfd *b, const struct fm_nexthop *name)
{
    struct bfd_peer **p = &b->peers[hash_bytes(name, sizeof *name, b->seed) % BFD_BUCKETS];

    while (*p && memcmp(&(*p)->want.peer, name, sizeof *name))
        p = &(*p)->next;
    return p;
}

/* Every session in turn: for (p = first(b, &i); p; p = bfd_peer_after(b, &i, p)). The present one may be
 * removed if `after` was called before. */
struct bfd_peer *bfd_first_peer(struct bfd *b, unsigned *i)
{
    while (*i < BFD_BUCKETS && !b->peers[*i])
        ++*i;
    return *i < BFD_BUCKETS ? b->peers[*i] : NULL;
}

struct bfd_peer *bfd_peer_after(struct bfd *b, unsigned *i, struct bfd_peer *p)
{
    if (p->next)
        return p->next;
    ++*i;
    return bfd_first_peer(b, i);
}

static void set_dead(struct bfd *b, struct bfd_peer *p, bool dead)
{
    if (p->dead == dead)
        return;
    p->dead = dead;
    nexthops_set_dead(b->f->nexthops, &p->want.peer, NEXTHOP_DEAD_BFD, dead);
}

/* Flows */

void bfd_own_flow(struct bfd *b, struct bfd_flow *f)
{
    f->next = b->flows;
    f->prev = NULL;
    if (f->next)
        f->next->prev = f;
    b->flows = f;
    b->n_flows++;
}

void bfd_free_flow(struct bfd *b, struct bfd_flow *f)
{
    if (f->next)
        f->next->prev = f->prev;
    if (f->prev)
        f->prev->next = f->next;
    else
        b->flows = f->next;
    if (f->fd >= 0)
        close(f->fd);
    b->n_flows--;
    free(f);
}

static void close_listeners(struct bfd *b)
{
    for (unsigned i = 0; i < BFD_LISTENERS; i++) {
        if (b->listeners[i] >= 0)
            close(b->listeners[i]);
        b->listeners[i] = -1;
    }
}

static void on_events(void *arg, int fd, unsigned events);

/* Every session needs a descriptor. */
static void raise_limit(void)
{
    struct rlimit r;

    if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

int bfd_start_thread(struct bfd *b)
{
    int rc = 0;

    if (b->thread)
        return 0;
    raise_limit();
    b->thread = bfd_thread_start(b->listeners, &rc);
    if (!b->thread)
        return rc;
    b->io = io_new(b->f->loop, bfd_thread_event_fd(b->thread), on_events, b);
    for (unsigned i = 0; i < BFD_LISTENERS; i++)
        b->listeners[i] = -1;
    if (b->io) {
        io_want(b->io, IO_READ);
        return 0;
    }
    bfd_thread_stop(b->thread, b->listeners);
    bfd_thread_free(b->thread);
    b->thread = NULL;
    return -ENOMEM;
}

static void take_events(struct bfd *b);

/* The flows and the listeners are ours again. */
void bfd_stop_thread(struct bfd *b, bool hear_it_out)
{
    if (!b->thread)
        return;
    bfd_thread_stop(b->thread, b->listeners);
    if (hear_it_out)
        take_events(b);
    io_free(b->io);
    bfd_thread_free(b->thread);
    b->io = NULL;
    b->thread = NULL;
}

/* What the thread has to say */

static const char *diag_text(uint8_t diag)
{
    return diag ? bfd_diag_name(diag) : "none";
}

static void log_error_of(const struct fm_nexthop *peer, int error, uint32_t suppressed)
{
    struct ip_addr a = fm_addr(peer->af, peer->addr);
    const char *hint = error == -EADDRINUSE ? "another program has UDP port 3784, or 4784 for more hops"
                       : error == -ENOSPC   ? "there are more peers than sessions can be had for"
                                            : NULL;

    log_warn("BFD cannot run", F_ADDR("peer", &a), F_UINT_IF("ifindex", peer->scope), F_ERR(error),
             F_STR_IF("hint", hint), F_UINT_IF("suppressed", suppressed));
}

static void log_change(struct bfd_peer *p, const struct fm_bfd_state *now)
{
    const struct fm_bfd_state *was = &p->state;
    struct ip_addr a = fm_addr(now->peer.af, now->peer.addr);
    bool failed = now->flags & ~was->flags & FM_BFD_FAILED,
         starved = now->flags & ~was->flags & FM_BFD_STARVED;
    bool up = now->state == FM_BFD_UP && was->state != FM_BFD_UP,
         left = was->state == FM_BFD_UP && !failed && now->state != FM_BFD_UP;
    uint32_t suppressed, scope = now->peer.scope; /* many links may have one and the same peer's address */

    if (now->error && now->error != was->error)
        log_error_of(&now->peer, now->error, 0);
    if (!(failed || up || left || starved) || !log_limit_ok(&p->limit, loop_now_ms(), &suppressed))
        return;
    if (failed)
        log_warn("BFD session failed", F_ADDR("peer", &a), F_UINT_IF("ifindex", scope),
                 F_STR("reason", diag_text(now->diag)), F_UINT_IF("suppressed", suppressed));
    else if (up)
        log_info("BFD session is up", F_ADDR("peer", &a), F_UINT_IF("ifindex", scope),
                 F_UINT("detection_us", now->detection_us), F_UINT_IF("suppressed", suppressed));
    else if (left)
        log_info("BFD session is down", F_ADDR("peer", &a), F_UINT_IF("ifindex", scope),
                 F_STR("reason", diag_text(now->diag)), F_UINT_IF("suppressed", suppressed));
    else
        log_warn("BFD was not let to run in time; the peer gets its detection time once more",
                 F_ADDR("peer", &a), F_UINT_IF("ifindex", scope), F_UINT("longest_us", now->starved_us),
                 F_UINT_IF("suppressed", suppressed));
}

static void on_state(struct bfd *b, const struct bfd_event *ev)
{
    struct bfd_peer *p = *find(b, &ev->state.peer);

    if (!p || p->flow != ev->flow)
        return;
    bool failed = ev->state.flags & FM_BFD_FAILED, independent = ev->state.flags & FM_BFD_REMOTE_CPI;
    bool restarts = !p->dead && !independent && p->want.flags & FM_BFD_RESTARTING;
    p->overruled = failed && (p->overruled || restarts);
    set_dead(b, p, failed && !p->overruled); /* before anything else */
    log_change(p, &ev->state);
    p->state = ev->state;
    fib_tell(b->f, FM_BFD_STATE, &p->state, 1);
}

static void take_events(struct bfd *b)
{
    struct bfd_event ev;

    while (bfd_thread_take(b->thread, &ev)) {
        if (ev.type == BFD_EV_STATE)
            on_state(b, &ev);
        else
            bfd_free_flow(b, ev.flow);
    }
}

static void on_events(void *arg, int fd, unsigned events)
{
    struct bfd *b = arg;
    uint64_t count;

    (void)events;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n;
    take_events(b);
    if (!b->flows) {
        bfd_stop_thread(b, false);
        close_listeners(b);
    }
}

/* What the speaker asks for */

static struct ip_addr local_of(const struct fm_bfd *m)
{
    struct ip_addr a = fm_addr(m->peer.af, m->local);

    return addr_is_unspecified(&a) ? (struct ip_addr){0} : a;
}

/* A link that is down keeps the peer where it was. */
static uint32_t interface_of(const struct bfd *b, const struct fm_bfd *m, uint32_t before)
{
    struct ip_addr a = fm_addr(m->peer.af, m->peer.addr);

    if (m->flags & FM_BFD_MULTIHOP)
        return 0;
    if (m->peer.scope)
        return m->peer.scope;
    uint32_t ifindex = links_connected(b->f->links, &a, 0);
    return ifindex || !before || links_is_up(b->f->links, before) ? ifindex : before;
}

static struct bfd_terms terms_of(const struct bfd *b, const struct fm_bfd *m, uint32_t before)
{
    return (struct bfd_terms){.interval_us = m->interval_us,
                              .multiplier = m->multiplier,
                              .min_ttl = m->min_ttl,
                              .local = local_of(m),
                              .ifindex = interface_of(b, m, before)};
}

static void change_terms(struct bfd *b, struct bfd_peer *p)
{
    struct bfd_command c = {
        .type = BFD_CMD_CHANGE, .flow = p->flow, .terms = terms_of(b, &p->want, p->terms.ifindex)};
    const struct bfd_terms *t = &c.terms;

    if (!p->flow || (t->interval_us == p->terms.interval_us && t->multiplier == p->terms.multiplier &&
                     t->min_ttl == p->terms.min_ttl && t->ifindex == p->terms.ifindex &&
                     addr_equal(&t->local, &p->terms.local)))
        return;
    p->terms = c.terms;
    bfd_thread_tell(b->thread, &c);
}

/* Unique among the sessions, not 0, random: RFC 5880 6.8.1. */
static uint32_t new_discriminator(const struct bfd *b)
{
    for (;;) {
        uint32_t d = arc4random();
        const struct bfd_flow *f = b->flows;
        while (f && f->session.discriminator != d)
            f = f->next;
        if (d && !f)
            return d;
    }
}

/* -EAGAIN: too many of those that were ended still say so. */
static int start_session(struct bfd *b, struct bfd_peer *p)
{
    int rc = b->n_flows < BFD_FLOWS ? bfd_start_thread(b) : -EAGAIN;
    struct bfd_flow *f = rc ? NULL : calloc(1, sizeof *f);

    if (!f)
        return rc ? rc : -ENOMEM;
    p->terms = terms_of(b, &p->want, 0);
    f->terms = p->terms;
    f->name = p->want.peer;
    f->peer = fm_addr(f->name.af, f->name.addr);
    f->multihop = p->want.flags & FM_BFD_MULTIHOP;
    f->fd = -1;
    f->retry_us = f->report_us = BFD_NEVER;
    bfd_session_init(&f->session, new_discriminator(b), p->terms.interval_us, p->terms.multiplier,
                     arc4random(), loop_now_us());
    bfd_own_flow(b, f);
    p->flow = f;
    bfd_thread_tell(b->thread, &(struct bfd_command){.type = BFD_CMD_ADD, .flow = f});
    return 0;
}

static void end_session(struct bfd *b, struct bfd_peer *p)
{
    if (p->flow)
        bfd_thread_tell(b->thread, &(struct bfd_command){.type = BFD_CMD_DEL, .flow = p->flow});
    p->flow = NULL;
    p->overruled = false;
    set_dead(b, p, false);
    p->state = (struct fm_bfd_state){.peer = p->want.peer, .state = FM_BFD_DOWN};
}

static void refuse(struct bfd *b, const struct fm_bfd *m, int error)
{
    const struct fm_bfd_state s = {
        .peer = m->peer, .state = FM_BFD_DOWN, .multiplier = m->multiplier, .error = error};
    uint32_t suppressed;

    if (log_limit_ok(&b->refusals, loop_now_ms(), &suppressed))
        log_error_of(&m->peer, error, suppressed);
    fib_tell(b->f, FM_BFD_STATE, &s, 1);
}

struct bfd_peer *bfd_add_peer(struct bfd *b, const struct fm_bfd *m)
{
    struct bfd_peer *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->want = *m;
    p->state = (struct fm_bfd_state){.peer = m->peer, .state = FM_BFD_DOWN};
    *find(b, &m->peer) = p;
    b->n_peers++;
    return p;
}

int bfd_set(struct bfd *b, const struct fm_bfd *m)
{
    struct bfd_peer *p = *find(b, &m->peer);
    int rc = 0;

    if (!p && b->n_peers == BFD_SESSIONS) {
        refuse(b, m, -ENOSPC);
        return 0;
    }
    if (!p && !(p = bfd_add_peer(b, m)))
        return -ENOMEM;
    p->claimed = true;
    if ((p->want.flags ^ m->flags) & FM_BFD_MULTIHOP)
        end_session(b, p);
    p->want = *m;
    if (!p->flow) {
        rc = start_session(b, p);
        if (rc)
            refuse(b, m, rc);
        return 0; /* the thread answers */
    }
    change_terms(b, p);
    if (p->state.since_ms) /* else the thread has not spoken of it yet */
        fib_tell(b->f, FM_BFD_STATE, &p->state, 1);
    return 0;
}

void bfd_del(struct bfd *b, const struct fm_nexthop *peer)
{
    struct bfd_peer **at = find(b, peer), *p = *at;

    if (!p)
        return;
    end_session(b, p);
    *at = p->next;
    b->n_peers--;
    free(p);
}

void bfd_overrule(struct bfd *b, const struct fm_nexthop *peer)
{
    struct bfd_peer *p = *find(b, peer);

    if (!p || !p->dead)
        return;
    p->overruled = true;
    set_dead(b, p, false);
}

void bfd_speaker_gone(struct bfd *b)
{
    unsigned i = 0;

    for (struct bfd_peer *p = bfd_first_peer(b, &i); p; p = bfd_peer_after(b, &i, p))
        p->claimed = false;
}

void bfd_sweep(struct bfd *b)
{
    unsigned i = 0;

    for (struct bfd_peer *p = bfd_first_peer(b, &i), *next; p; p = next) {
        next = bfd_peer_after(b, &i, p);
        if (!p->claimed)
            bfd_del(b, &p->want.peer);
    }
}

void bfd_links_changed(struct bfd *b)
{
    unsigned i = 0;

    for (struct bfd_peer *p = bfd_first_peer(b, &i); p; p = bfd_peer_after(b, &i, p))
        change_terms(b, p);
}

void bfd_admin_down(struct bfd *b)
{
    if (b->thread)
        bfd_thread_all_down(b->thread);
}

void bfd_forked(const struct bfd *b)
{
    setrlimit(RLIMIT_RTPRIO, &(struct rlimit){0, 0});
    if (b->thread)
        bfd_thread_forked(b->thread);
}

void bfd_forget_all(struct bfd *b)
{
    unsigned i = 0;

    bfd_stop_thread(b, false);
    close_listeners(b);
    while (b->flows)
        bfd_free_flow(b, b->flows);
    for (struct bfd_peer *p = bfd_first_peer(b, &i), *next; p; p = next) {
        next = bfd_peer_after(b, &i, p);
        free(p);
    }
    memset(b->peers, 0, sizeof b->peers);
    b->n_peers = 0;
}

void bfd_free(struct bfd *b)
{
    if (b)
        bfd_forget_all(b);
    free(b);
}
