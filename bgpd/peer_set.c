/* All peers: the configuration applied to them, the listening sockets, and the end of them all.
 *
 * Applying never touches a peer whose own settings are the same but for taking over the pointer into the new
 * configuration. Removed peers say goodbye before the arrays are swapped, so that whoever is told of a state
 * change meanwhile sees a consistent set; their connections linger on a list of the set, which outlives them.
 *
 * A connection is accepted only from a configured address; who else knocks is told so and closed, with a
 * limited log. TCP-MD5 keys live on every listener of the peer's family: the kernel drops a peer's unsigned
 * SYN before we hear of it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fibclient.h"
#include "gtsm.h"
#include "peer_impl.h"
#include "transport.h"

#define ACCEPT_BURST    16
#define LINGER_MOST     64 /* refused connections beyond it are just closed; peers have one each on top */
#define ACCEPT_PAUSE_MS 1000
#define STOP_MS         2000

static void resume_listeners(void *arg)
{
    struct peer_set *ps = arg;
    for (struct peer_listener *l = ps->listeners; l; l = l->next)
        io_want(l->io, ps->speaker->running && !ps->stopping ? IO_READ : 0);
}

static void stop_done(void *arg)
{
    struct peer_set *ps = arg;
    void (*done)(void *) = ps->done;

    timer_stop(ps->done_timer);
    ps->done = NULL;
    if (done)
        done(ps->done_arg);
}

struct peer_set *peer_set_new(struct speaker *s)
{
    struct peer_set *ps = calloc(1, sizeof *ps);
    if (!ps)
        return NULL;
    ps->speaker = s;
    if (gethostname(ps->hostname, sizeof ps->hostname - 1))
        ps->hostname[0] = 0;
    ps->scratch = malloc(sizeof *ps->scratch);
    ps->accept_again = timer_new(s->loop, resume_listeners, ps);
    ps->done_timer = timer_new(s->loop, stop_done, ps);
    ps->lingering = (struct conn_lingering){.most = LINGER_MOST, .empty = stop_done, .arg = ps};
    ps->dynamic = peer_dynamic_new(ps);
    if (!ps->scratch || !ps->dynamic || !ps->accept_again || !ps->done_timer) {
        peer_set_free(ps);
        return NULL;
    }
    return ps;
}

void peer_set_free(struct peer_set *ps)
{
    if (!ps)
        return;
    for (unsigned i = 0; i < ps->n; i++)
        peer_free(ps->peers[i]);
    peer_dynamic_delete(ps->dynamic);
    free(ps->peers);
    free(ps->by_addr);
    while (ps->listeners) {
        struct peer_listener *l = ps->listeners;
        ps->listeners = l->next;
        io_free(l->io);
        close(l->fd);
        free(l->gtsm.filter);
        free(l);
    }
    rasock_free(ps->rasock);
    ps->lingering.empty = NULL;
    conn_lingering_abort(&ps->lingering);
    timer_free(ps->accept_again);
    timer_free(ps->done_timer);
    free(ps->scratch);
    free(ps);
}

unsigned peer_set_count(const struct peer_set *ps)
{
    return ps->n;
}

struct peer *peer_set_at(const struct peer_set *ps, unsigned i)
{
    return ps->peers[i];
}

struct place {
    const struct ip_addr *address;
    uint32_t scope;
};

static int address_against(const void *key, const void *member)
{
    const struct peer *const *p = member;
    const struct place *at = key;
    int c = addr_cmp(at->address, &(*p)->address);
    return c ? c : (at->scope > (*p)->scope) - (at->scope < (*p)->scope);
}

static int by_address(const void *a, const void *b)
{
    const struct peer *const *p = a;
    return address_against(&(struct place){&(*p)->address, (*p)->scope}, b);
}

/* scope: of a link-local address, else 0. */
static struct peer *find_address(const struct peer_set *ps, const struct ip_addr *a, uint32_t scope)
{
    const struct place at = {a, scope};
    struct peer **p =
        ps->n_fixed ? bsearch(&at, ps->by_addr, ps->n_fixed, sizeof *ps->by_addr, address_against) : NULL;
    return p ? *p : NULL;
}

struct peer *peer_set_at_address(const struct peer_set *ps, const struct ip_addr *a, uint32_t scope)
{
    struct peer *p = find_address(ps, a, scope);
    return p || scope ? p : peer_dynamic_find(ps, a);
}

static int identity_against(const void *key, const void *member)
{
    const struct peer *const *p = member;
    return peer_config_cmp(key, (*p)->config);
}

static int by_identity(const void *a, const void *b)
{
    const struct peer *const *p = a;
    return identity_against((*p)->config, b);
}

struct peer *peer_set_find(const struct peer_set *ps, const char *name)
{
    struct ip_addr a;
    if (!addr_parse(name, &a)) {
        return peer_set_at_address(ps, &a, 0);
    }
    for (unsigned i = 0; i < ps->n_fixed; i++)
        if (!strcmp(ps->peers[i]->config->interface, name))
            return ps->peers[i];
    for (unsigned i = 0; i < ps->n_fixed; i++) /* the description of a range is nobody's name */
        if (!strcmp(ps->peers[i]->config->description, name))
            return ps->peers[i];
    return NULL;
}

/* Keys */

static void accept_one(struct peer_set *ps, int fd);

/* The kernel checks from now on; what it has taken before and we have not accepted yet came unchecked. Those
 * that are meant try again. */
static void refuse_unchecked(struct peer_set *ps, const struct peer_listener *l,
                             bool (*meant)(const struct peer_set *ps, const struct ip_addr *from,
                                           uint32_t scope, const void *arg),
                             const void *arg)
{
    int fd;
    while ((fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct ip_addr from = {0};
        uint32_t scope = 0;
        if (!ps->speaker->running || transport_remote(fd, &from, NULL, &scope) ||
            meant(ps, &from, scope, arg))
            close(fd);
        else
            accept_one(ps, fd);
    }
}

static bool is_keyed(const struct peer_set *ps, const struct ip_addr *from, uint32_t scope, const void *keyed)
{
    (void)ps, (void)scope;
    return addr_equal(from, keyed);
}

static void set_key(const struct peer *p, const char *key)
{
    struct peer_set *ps = p->set;
    for (struct peer_listener *l = ps->listeners; l && p->address.af; l = l->next) {
        struct ip_addr local;
        int r = transport_local(l->fd, &local, NULL);
        if (!r && local.af == p->address.af) {
            r = transport_set_key(l->fd, &p->address, p->scope, key);
            if (!r && key)
                refuse_unchecked(ps, l, is_keyed, &p->address);
        }
        if (r)
            log_error("cannot set the TCP-MD5 key; connections from this peer will not work",
                      F_STR("peer", p->name), F_ERR(r));
    }
}

static const char *key_of(const struct peer_config *c)
{
    return *c->password ? c->password : NULL;
}

/* GTSM */

static bool is_near(const struct peer_set *ps, const struct ip_addr *from, uint32_t scope, const void *arg)
{
    const struct peer *p = find_address(ps, from, addr_is_link_local(from) ? scope : 0);
    (void)arg;
    return p ? p->config->ttl_security : peer_dynamic_hops(ps, from);
}

static void attach_gtsm(struct peer_set *ps, struct peer_listener *l, const struct gtsm_rule *rules,
                        unsigned n)
{
    struct sock_fprog program;
    struct ip_addr local;
    int r = transport_local(l->fd, &local, NULL);

    if (!r)
        r = gtsm_program(local.af, rules, n, &program);
    if (r) {
        log_error("cannot apply ttl-security to the listener", F_ERR(r));
        return;
    }
    if (program.len == l->gtsm.len &&
        (!program.len || !memcmp(program.filter, l->gtsm.filter, program.len * sizeof *program.filter))) {
        free(program.filter);
        return;
    }
    r = gtsm_attach(l->fd, &program);
    if (r && !ps->check_syn)
        log_info(
            "ttl-security: the first packet of a connection is looked at when it is accepted, because the "
            "kernel does not let us filter",
            F_ERR(r));
    ps->check_syn |= r != 0;
    if (r && (r = transport_save_syn(l->fd)))
        log_error("ttl-security: the first packets of connections cannot be checked", F_ERR(r));
    free(l->gtsm.filter);
    l->gtsm = program;
    if (!r && program.len)
        refuse_unchecked(ps, l, is_near, NULL);
}

/* Who must be near, as filters on the listeners. */
static void apply_gtsm(struct peer_set *ps)
{
    struct gtsm_rule *rules = calloc(ps->n_fixed + peer_dynamic_ranges(ps) + 1, sizeof *rules);
    unsigned n = 0;

    for (unsigned i = 0; rules && i < ps->n_fixed; i++) {
        const struct peer *p = ps->peers[i];
        if (p->address.af && (p->config->ttl_security || peer_dynamic_hops(ps, &p->address)))
            rules[n++] = (struct gtsm_rule){
                .from = {.addr = p->address, .len = p->address.af == AF_INET6 ? 128 : 32},
                .hops = p->config->ttl_security,
            };
    }
    if (rules)
        n += peer_dynamic_gtsm(ps, rules + n);
    for (struct peer_listener *l = ps->listeners; rules && l; l = l->next)
        attach_gtsm(ps, l, rules, n);
    free(rules);
}

/* The kernel knows keys by address alone: peers of several interfaces with one link-local address share
 * one.
 */
static void take_key(const struct peer *p)
{
    const struct peer_set *ps = p->set;
    set_key(p, NULL);
    for (unsigned i = 0; p->scope && i < ps->n_fixed; i++) {
        const struct peer *other = ps->peers[i];
        if (other != p && key_of(other->config) && addr_equal(&other->address, &p->address))
            set_key(other, key_of(other->config));
    }
}

void peer_set_move(struct peer *p, const struct ip_addr *a, uint32_t scope)
{
    struct peer_set *ps = p->set;

    if (key_of(p->config))
        take_key(p);
    p->address = *a;
    rib_peer_move(ps->speaker->rib, p->rib, a);
    p->scope = scope;
    qsort(ps->by_addr, ps->n_fixed, sizeof *ps->by_addr, by_address);
    if (key_of(p->config))
        set_key(p, key_of(p->config));
    if (p->config->ttl_security)
        apply_gtsm(ps);
    peer_bfd_look(p);
}

/* Applying a configuration */

static void take_over(struct peer *p, const struct peer_config *now, bool reset)
{
    const struct peer_config *before = p->config;
    const char *key = "router";
    unsigned diff = peer_config_diff(before, now, reset ? NULL : &key);

    p->config = now;
    if (!p->dynamic && strcmp(before->password, now->password)) {
        take_key(p);
        if (key_of(now))
            set_key(p, key_of(now));
    }
    if (reset || (diff & PEER_DIFF_RESET)) {
        log_info("session reset: its configuration changed", F_STR("peer", p->name), F_STR("key", key));
        peer_reset(p, BGP_CEASE_CONFIG_CHANGE);
    } else if ((diff & PEER_DIFF_ADMIN) && now->shutdown) {
        const struct bgp_error e = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_ADMIN_SHUTDOWN, NULL, 0);
        peer_stop(p, &e);
    } else if (diff & PEER_DIFF_ADMIN) {
        peer_start(p, true);
    } else if (before->passive != now->passive && (p->state == PEER_CONNECT || p->state == PEER_ACTIVE)) {
        peer_drop(p); /* the FSM starts the other way; what is kept for a restart stays */
        peer_start(p, false);
    }
    if (diff & PEER_DIFF_REIMPORT)
        peer_import_changed(p, before);
    if ((diff & PEER_DIFF_REEXPORT) && peer_export_changed(p))
        peer_out_of_memory(p->up);
    if (p->rib->blackhole != now->blackhole) {
        p->rib->blackhole = now->blackhole;
        fibclient_reconsider(p->set->speaker->fib);
    }
    peer_limit_changed(p, before);
    peer_bfd_changed(p);
    peer_tx_wake(p);
}

static void remove_unkept(struct peer **peers, unsigned n)
{
    const struct bgp_error e = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_DECONFIGURED, NULL, 0);
    for (unsigned i = 0; i < n; i++)
        if (!peers[i]->next) {
            if (!peers[i]->dynamic && key_of(peers[i]->config))
                take_key(peers[i]);
            peer_stop(peers[i], &e);
            peer_bfd_end(peers[i]);
        }
}

static void free_unkept(struct peer **peers, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!peers[i]->next)
            peer_free(peers[i]);
}

/* The peers of c in its order: those that are there and those that are new. Returns how many. known is
 * room for all that are there. */
static unsigned gather(struct peer_set *ps, const struct config *c, struct peer **known, struct peer **next,
                       int *error)
{
    unsigned n = 0;
    for (unsigned i = 0; i < ps->n; i++) {
        ps->peers[i]->next = NULL;
        known[i] = ps->peers[i];
    }
    if (ps->n_fixed)
        qsort(known, ps->n_fixed, sizeof *known, by_identity);
    for (unsigned i = 0; i < c->n_peers; i++) {
        if (c->peers[i].kind == PEER_BY_RANGE)
            continue;
        struct peer **hit =
            ps->n_fixed ? bsearch(&c->peers[i], known, ps->n_fixed, sizeof *known, identity_against) : NULL;
        struct peer *was = hit ? *hit : NULL, *p = was;
        if (!p || p->ibgp != peer_config_is_ibgp(c, &c->peers[i]))
            p = peer_new(ps, &c->peers[i], NULL);
        if (was && p && p != was)
            peer_debug_move(was, p);
        if (!p) {
            *error = -ENOMEM;
            continue;
        }
        p->next = &c->peers[i];
        next[n++] = p;
    }
    return n;
}

/* The new set in place of the old one; who is in it no more has said goodbye and is gone. */
static void exchange(struct peer_set *ps, struct peer **next, struct peer **sorted, unsigned n_fixed,
                     unsigned n, unsigned room)
{
    struct peer **old = ps->peers;
    unsigned n_old = ps->n;

    ps->lingering.most = LINGER_MOST + (n > n_old ? n : n_old);
    remove_unkept(old, n_old);
    free(ps->by_addr);
    ps->peers = next;
    ps->by_addr = sorted;
    ps->n = n;
    ps->n_fixed = n_fixed;
    ps->room = room;
    free_unkept(old, n_old);
    free(old);
}

int peer_set_apply(struct peer_set *ps, const struct config *c)
{
    struct speaker *s = ps->speaker;
    unsigned room = c->n_peers + ps->n + 1, n_fixed = 0, n = 0;
    struct peer **next = calloc(room, sizeof *next), **sorted = calloc(room, sizeof *sorted);
    struct peer **known = calloc(ps->n + 1, sizeof *known);
    bool can = next && sorted && known && !peer_dynamic_prepare(ps, c);
    int error = 0;

    ps->applying = true;
    if (can)
        n_fixed = gather(ps, c, known, next, &error);
    else
        error =
            -ENOMEM; /* without room even for the list nobody may keep a pointer into the old configuration */
    free(known);
    if (n_fixed) {
        memcpy(sorted, next, n_fixed * sizeof *sorted);
        qsort(sorted, n_fixed, sizeof *sorted, by_address);
    }
    if (can)
        n = peer_dynamic_gather(ps, c, next, n_fixed);
    exchange(ps, next, sorted, n_fixed, n, next ? room : 0);
    peer_dynamic_changed(ps);

    for (unsigned i = 0; i < n; i++) {
        struct peer *p = next[i];
        if (p->config != p->next)
            take_over(p, p->next,
                      p->local_id != s->router_id ||
                          (p->local_as != p->next->local_asn && ps->asn != c->router.asn));
        else if (!p->dynamic && key_of(p->config))
            set_key(p, key_of(p->config));
    }
    apply_gtsm(ps);
    ps->asn = c->router.asn;
    for (unsigned i = 0; i < n; i++)
        if (!next[i]->started)
            peer_start(next[i], false);
    ps->applying = false;
    return error;
}

void peer_set_start(struct peer_set *ps)
{
    resume_listeners(ps);
    peer_dynamic_start(ps);
    for (unsigned i = 0; i < ps->n; i++)
        peer_start(ps->peers[i], false);
}

void peer_set_stop(struct peer_set *ps, uint8_t subcode, bool preserve, void (*done)(void *arg), void *arg)
{
    const struct bgp_error e = bgp_error_make(BGP_ERR_CEASE, subcode, NULL, 0);

    ps->stopping = true;
    resume_listeners(ps);
    for (unsigned i = 0; i < ps->n; i++) {
        if (preserve)
            peer_restart_close(ps->peers[i]);
        peer_stop(ps->peers[i], &e);
    }
    ps->done = done;
    ps->done_arg = arg;
    timer_set(ps->done_timer, ps->lingering.count ? STOP_MS : 0);
}

void peer_set_leave(struct peer_set *ps)
{
    ps->stopping = true;
    resume_listeners(ps);
    for (unsigned i = ps->n; i-- > 0;) {
        struct peer *p = ps->peers[i];
        ps->n = i;
        ps->n_fixed = i < ps->n_fixed ? i : ps->n_fixed;
        peer_free(p);
    }
}

void peer_set_addresses_changed(struct peer_set *ps)
{
    for (unsigned i = 0; i < ps->n; i++)
        peer_addresses_changed(ps->peers[i]);
}

/* Connections that come in */

static const struct conn_ops nobody = {0};

struct conn *peer_set_stranger(struct peer_set *ps, int fd)
{
    return conn_new(ps->speaker->loop, fd, false, ps->scratch, &ps->rejected, &nobody, NULL);
}

void peer_set_dismiss(struct peer_set *ps, struct conn *c, const struct bgp_error *e)
{
    conn_discard_queued(c);
    struct wire_writer w = conn_writer(c, BGP_MAX_LEN);
    if (!w.err)
        notification_encode(&w, e);
    conn_commit(c, &w, BGP_NOTIFICATION, 1);
    conn_linger(c, &ps->lingering);
}

void peer_set_reject(struct peer_set *ps, int fd, uint8_t cease)
{
    const struct bgp_error e = bgp_error_make(BGP_ERR_CEASE, cease, NULL, 0);

    if (ps->lingering.count >= LINGER_MOST) {
        close(fd);
        return;
    }
    struct conn *c = peer_set_stranger(ps, fd);
    if (c)
        peer_set_dismiss(ps, c, &e);
}

static void accept_one(struct peer_set *ps, int fd)
{
    struct ip_addr from;
    uint32_t swallowed = 0;
    uint32_t scope = 0;
    struct peer *p;

    if (transport_remote(fd, &from, NULL, &scope)) {
        close(fd);
        return;
    }
    bool link_local = from.af == AF_INET6 && addr_is_link_local(&from);
    p = find_address(ps, &from, link_local ? scope : 0);
    if (!p && link_local)
        p = unnumbered_adopt(ps, &from, scope);
    if (p) {
        peer_accept(p, fd);
        return;
    }
    if (peer_dynamic_accept(ps, &from, fd))
        return;
    if (log_limit_ok(&ps->log_limit, loop_now_ms(), &swallowed))
        log_info("connection refused: the address is no peer's", F_ADDR("peer", &from),
                 F_UINT_IF("suppressed", swallowed));
    peer_set_reject(ps, fd, BGP_CEASE_REJECTED);
}

void peer_set_accepted(struct peer_set *ps, int fd)
{
    accept_one(ps, fd);
}

static void on_accept(void *arg, int fd, unsigned events)
{
    struct peer_listener *l = arg;
    struct peer_set *ps = l->set;
    (void)events;

    for (int i = 0; i < ACCEPT_BURST; i++) {
        int c = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (c >= 0) {
            accept_one(ps, c);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_warn("cannot accept connections for a second", F_ERR(errno));
            for (l = ps->listeners; l; l = l->next)
                io_want(l->io, 0);
            timer_set(ps->accept_again, ACCEPT_PAUSE_MS);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

int peer_set_listen(struct peer_set *ps, int fd)
{
    struct peer_listener *l = calloc(1, sizeof *l);
    int r = l ? transport_listener(fd) : -ENOMEM;

    if (!r) {
        l->io = io_new(ps->speaker->loop, fd, on_accept, l);
        r = l->io ? 0 : -ENOMEM;
    }
    if (r) {
        free(l);
        close(fd);
        return r;
    }
    l->set = ps;
    l->fd = fd;
    l->next = ps->listeners;
    ps->listeners = l;
    for (unsigned i = 0; i < ps->n_fixed; i++)
        if (key_of(ps->peers[i]->config))
            set_key(ps->peers[i], key_of(ps->peers[i]->config));
    peer_dynamic_listen(ps, l);
    apply_gtsm(ps);
    resume_listeners(ps);
    return 0;
}
