/* See peer_rig.h. The fakes answer for modules that a session only asks: which addresses there are, and whom
 * to tell. */
#include "peer_rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Fakes */

unsigned fibclient_addresses(const struct fibclient *c, const struct fib_address **out)
{
    *out = c->addresses;
    return c->n;
}

const struct fib_address *fibclient_subnet_of(const struct fibclient *c, const struct ip_addr *a,
                                              uint32_t scope)
{
    (void)scope;
    return c->no_subnet || a->af != AF_INET ? NULL : &c->addresses[0];
}

void fibclient_reconsider(struct fibclient *c)
{
    (void)c;
}

const struct fib_link *fibclient_link_by_name(const struct fibclient *c, const char *name)
{
    for (unsigned i = 0; i < c->n_links; i++)
        if (!strcmp(c->links[i].name, name))
            return &c->links[i];
    return NULL;
}

void fibclient_bfd_set(struct fibclient *c, const struct fm_bfd *m)
{
    c->bfd = *m;
    c->bfd_sets++;
}

void fibclient_bfd_del(struct fibclient *c, const struct fm_nexthop *peer)
{
    CU_ASSERT_EQUAL(memcmp(&c->bfd.peer, peer, sizeof *peer), 0);
    c->bfd_dels++;
}

bool fibclient_is_own(const struct fibclient *c, const struct ip_addr *a, uint32_t scope)
{
    for (unsigned i = 0; i < c->n; i++)
        if (addr_equal(&c->addresses[i].addr, a) && (!scope || c->addresses[i].ifindex == scope))
            return true;
    return false;
}

struct rasock *rasock_new(struct speaker *s, const struct rasock_ops *ops, void *arg)
{
    struct rasock *r = calloc(1, sizeof *r);
    (void)s;
    r->ops = ops;
    r->arg = arg;
    return r;
}

void rasock_free(struct rasock *r)
{
    free(r);
}

bool rasock_is_open(const struct rasock *r)
{
    return !r->error;
}

int rasock_error(const struct rasock *r)
{
    return r->error;
}

int rasock_join(struct rasock *r, uint32_t ifindex)
{
    r->joined = ifindex;
    return 0;
}

void rasock_leave(struct rasock *r, uint32_t ifindex)
{
    if (r->joined == ifindex)
        r->joined = 0;
}

bool rasock_host_obeys(const struct rasock *r, const char *interface)
{
    (void)interface;
    ((struct rasock *)r)->obeyed++;
    return true;
}

bool rasock_lladdr(const struct rasock *r, const char *interface, uint8_t out[6])
{
    (void)r, (void)interface;
    memset(out, 2, 6);
    return true;
}

int rasock_send(struct rasock *r, uint32_t ifindex, const struct ip_addr *from, const struct ip_addr *to,
                const struct ra_msg *m)
{
    r->sent[m->type == RA_ADVERTISEMENT]++;
    r->last = *m;
    r->last_ifindex = ifindex;
    r->last_from = *from;
    r->last_to = *to;
    return 0;
}

void speaker_peer_state_changed(struct speaker *s)
{
    struct node *n = (struct node *)s;
    n->state_changes++;
}

/* Nodes */

static int import_all(void *arg, enum family f, const struct prefix *p, const struct attr **a,
                      const struct rib_peer *peer, bool judged)
{
    (void)arg, (void)f, (void)p, (void)a, (void)peer, (void)judged;
    return IMPORT_OK;
}

static void want_work(void *arg)
{
    struct speaker *s = arg;
    task_wake(s->rib_task);
}

static bool rib_step(void *arg)
{
    struct speaker *s = arg;
    return rib_work(s->rib);
}

static void on_deadline(void *arg)
{
    struct rig *r = arg;
    loop_stop(r->loop, 0);
}

static int bound(uint32_t host, uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa)) {
        close(fd);
        return -1;
    }
    return fd;
}

static struct peer_config default_peer(uint32_t address, uint32_t local, uint32_t asn, uint16_t port)
{
    static char nothing[1];
    return (struct peer_config){
        .address = addr_v4(address),
        .local_address = addr_v4(local),
        .asn = asn,
        .description = nothing,
        .port = port,
        .hold_time_ms = 90000,
        .keepalive_time_ms = 30000,
        .connect_retry_time_ms = 5000,
        .idle_hold_time_ms = 200,
        .idle_hold_max_ms = 1600,
        .families = {true, true},
        .export = EXPORT_ORIGINATED,
    };
}

static void on_revive(void *arg, const struct ip_addr *addr, uint32_t scope)
{
    struct fibclient *c = arg;
    (void)addr, (void)scope;
    c->alives++;
}

static void node_set_up(struct rig *r, struct node *n, unsigned number)
{
    const struct rib_config rc = {.multipath = 1, .default_local_pref = 100};
    const struct rib_hooks hooks = {.import = import_all, .want_work = want_work};
    const struct nexthop_ops ops = {.revive = on_revive};
    uint32_t me = 0x7f000000 | number, other = 0x7f000000 | (3 - number);

    n->config.router.asn = 65000 + number;
    n->config.peers = n->peers;
    n->config.n_peers = 1;
    n->peers[0] = default_peer(other, me, 65000 + (3 - number), r->port);
    n->peers[0].local_asn = n->config.router.asn;
    n->fib.addresses[0] = (struct fib_address){.ifindex = 1, .addr = addr_v4(me), .len = 8};
    n->fib.n = 1;
    n->s.loop = r->loop;
    n->s.config = &n->config;
    n->s.fib = &n->fib;
    n->s.router_id = 0x0a000000 | number;
    n->s.nexthops = nexthop_table_new(&ops, &n->fib);
    n->s.attrs = attr_table_new(n->s.nexthops);
    n->s.rib_task = task_new(r->loop, rib_step, &n->s);
    n->s.rib = rib_new(&rc, &hooks, &n->s, n->s.attrs, n->s.nexthops);
    n->s.peers = peer_set_new(&n->s);
    CU_ASSERT_PTR_NOT_NULL_FATAL(n->s.peers);
}

static void node_tear_down(struct node *n)
{
    peer_set_free(n->s.peers);
    while (rib_work(n->s.rib))
        ;
    rib_free(n->s.rib);
    attr_table_free(n->s.attrs);
    nexthop_table_free(n->s.nexthops);
    task_free(n->s.rib_task);
}

static int listening(uint32_t host, uint16_t port)
{
    int fd = bound(host, port);
    if (fd >= 0)
        listen(fd, 16);
    return fd;
}

void rig_set_up(struct rig *r)
{
    struct sockaddr_in sa;
    socklen_t len = sizeof sa;

    memset(r, 0, sizeof *r);
    r->loop = loop_new();
    r->deadline = timer_new(r->loop, on_deadline, r);
    int fd = listening(0x7f000001, 0);
    getsockname(fd, (struct sockaddr *)&sa, &len);
    r->port = ntohs(sa.sin_port);
    node_set_up(r, &r->a, 1);
    node_set_up(r, &r->b, 2);
    CU_ASSERT_EQUAL_FATAL(peer_set_listen(r->a.s.peers, fd), 0);
}

/* Streams that have ended and are still open: closed with bytes unread, or written to after that, a socket
 * sends a reset (RFC 1122 4.2.2.13), and the speaker's kernel then takes from it what it has not read yet. */
static struct {
    int fd[256];
    unsigned n;
} ended;

static void close_ended(void)
{
    while (ended.n)
        close(ended.fd[--ended.n]);
}

static void end_stream(int fd)
{
    shutdown(fd, SHUT_WR);
    if (ended.n == sizeof ended.fd / sizeof *ended.fd)
        close_ended();
    ended.fd[ended.n++] = fd;
}

void rig_tear_down(struct rig *r)
{
    close_ended();
    node_tear_down(&r->a);
    node_tear_down(&r->b);
    timer_free(r->deadline);
    loop_free(r->loop);
}

void rig_renew(struct rig *r)
{
    const struct config config = r->a.config;
    const struct peer_config peers[2] = {r->a.peers[0], r->a.peers[1]};

    node_tear_down(&r->a);
    memset(&r->a, 0, sizeof r->a);
    node_set_up(r, &r->a, 1);
    r->a.config = config;
    memcpy(r->a.peers, peers, sizeof peers);
}

void rig_start(struct node *n)
{
    if ((n->s.router_id & 0xff) == 2 && !n->s.peers->listeners)
        peer_set_listen(n->s.peers, listening(0x7f000002, n->peers[0].port));
    CU_ASSERT_EQUAL(peer_set_apply(n->s.peers, &n->config), 0);
    n->s.running = true;
    peer_set_start(n->s.peers);
}

void rig_run(struct rig *r, unsigned ms)
{
    timer_set(r->deadline, ms);
    loop_run(r->loop);
}

void rig_settle(struct rig *r, unsigned ms)
{
    uint64_t starved = unit_starved_ms();
    for (ms *= UNIT_SLOW; ms; ms = unit_owed_ms(&starved))
        rig_run(r, ms);
}

/* The clock of waits: without the time for which we were not let run. */
static uint64_t granted_ms(void)
{
    return loop_now_ms() - unit_starved_ms();
}

bool rig_wait(struct rig *r, struct node *n, enum peer_state state, unsigned ms)
{
    struct peer_info i;
    uint64_t end = granted_ms() + ms * UNIT_SLOW;
    do {
        peer_info(rig_peer(n), &i);
        if (i.state == state)
            return true;
        rig_settle(r, 2);
    } while (granted_ms() < end);
    return false;
}

int rig_originate(struct node *n, const char *text)
{
    struct prefix p;
    const struct attr_build b = {.origin = ORIGIN_IGP};
    const struct attr *a = attr_intern(n->s.attrs, &b);
    CU_ASSERT_EQUAL_FATAL(prefix_parse(text, true, &p), 0);
    int rc = rib_originate(n->s.rib, addr_family(&p.addr), &p, ORIGIN_KIND_STATIC, a);
    attr_unref(n->s.attrs, a);
    return rc;
}

bool rig_has(struct node *n, const char *text)
{
    struct prefix p;
    CU_ASSERT_EQUAL_FATAL(prefix_parse(text, true, &p), 0);
    enum family f = addr_family(&p.addr);
    uint32_t at = rib_find(n->s.rib, f, &p);
    return at && rib_entry(n->s.rib, f, at)->paths;
}

void capture_begin(struct capture *c)
{
    fflush(stderr);
    c->file = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(c->file);
    c->stderr_was = dup(STDERR_FILENO);
    dup2(fileno(c->file), STDERR_FILENO);
}

char *capture_end(struct capture *c)
{
    char *text = NULL;
    fflush(stderr);
    dup2(c->stderr_was, STDERR_FILENO);
    close(c->stderr_was);
    long n = lseek(fileno(c->file), 0, SEEK_END);
    text = calloc(1, (size_t)n + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_EQUAL(pread(fileno(c->file), text, (size_t)n, 0), n);
    fclose(c->file);
    return text;
}

unsigned capture_count(const char *text, const char *word)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, word)); p += strlen(word))
        n++;
    return n;
}

/* The played peer */

void raw_listen(struct rig *r, struct raw *x)
{
    *x = (struct raw){.fd = -1, .listener = listening(0x7f000002, r->port)};
    CU_ASSERT_TRUE_FATAL(x->listener >= 0);
    fcntl(x->listener, F_SETFL, O_NONBLOCK);
}

bool raw_accept(struct rig *r, struct raw *x)
{
    for (int i = 0; i < 200; i++) {
        x->fd = accept4(x->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (x->fd >= 0)
            return true;
        rig_settle(r, 5);
    }
    return false;
}

bool raw_connect(struct rig *r, struct raw *x, const char *from)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(r->port), .sin_addr.s_addr = htonl(0x7f000001)};
    *x = (struct raw){.listener = -1, .fd = bound(ntohl(inet_addr(from)), 0)};
    return x->fd >= 0 && !connect(x->fd, (struct sockaddr *)&sa, sizeof sa);
}

void raw_close(struct raw *x)
{
    if (x->fd >= 0)
        end_stream(x->fd);
    if (x->listener >= 0)
        close(x->listener);
    x->fd = x->listener = -1;
}

void raw_send(struct raw *x, const struct wire_writer *w)
{
    CU_ASSERT_EQUAL(send(x->fd, w->start, wire_len(w), MSG_NOSIGNAL), (ssize_t)wire_len(w));
}

static const struct capabilities *more_caps; /* of the next OPEN */

void raw_send_open(struct raw *x, uint32_t asn, uint32_t id, uint16_t hold)
{
    uint8_t buf[256];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    struct open_msg m = {.asn = asn,
                         .my_as = (uint16_t)asn,
                         .hold_time = hold,
                         .id = id,
                         .caps = {.has_multiprotocol = true,
                                  .family = {true, false},
                                  .as4 = true,
                                  .asn = asn,
                                  .route_refresh = true}};
    if (more_caps)
        m.caps = *more_caps;
    open_encode(&w, &m);
    raw_send(x, &w);
}

void raw_send_keepalive(struct raw *x)
{
    uint8_t buf[BGP_HEADER_LEN];
    struct wire_writer w = wire_writer(buf, sizeof buf);
    keepalive_encode(&w);
    raw_send(x, &w);
}

static bool fill(struct rig *r, struct raw *x, size_t need, uint64_t end)
{
    while (x->len < need) {
        ssize_t n = recv(x->fd, x->buf + x->len, sizeof x->buf - x->len, MSG_DONTWAIT);
        if (n == 0 || granted_ms() > end)
            return false;
        if (n > 0)
            x->len += (size_t)n;
        else
            rig_settle(r, 2);
    }
    return true;
}

uint8_t raw_next(struct rig *r, struct raw *x, uint8_t skip, unsigned ms, uint8_t *body, size_t *n)
{
    uint64_t end = granted_ms() + ms * UNIT_SLOW;
    uint8_t type;
    do {
        if (!fill(r, x, BGP_HEADER_LEN, end))
            return 0;
        size_t len = (size_t)(x->buf[16] << 8 | x->buf[17]);
        if (!fill(r, x, len, end))
            return 0;
        type = x->buf[18];
        *n = len - BGP_HEADER_LEN;
        memcpy(body, x->buf + BGP_HEADER_LEN, *n);
        x->len -= len;
        memmove(x->buf, x->buf + len, x->len);
    } while (type == skip);
    return type;
}

bool raw_expect(struct rig *r, struct raw *x, uint8_t type)
{
    uint8_t body[BGP_MAX_LEN];
    size_t n;
    uint8_t got = raw_next(r, x, 0, 1000, body, &n);
    if (got != type)
        printf("      message of type %u, not %u\n", got, type);
    return got == type;
}

bool raw_expect_notification(struct rig *r, struct raw *x, uint8_t code, uint8_t subcode, unsigned ms)
{
    uint8_t body[BGP_MAX_LEN], type;
    uint64_t end = granted_ms() + ms * UNIT_SLOW;
    size_t n;
    do
        type = raw_next(r, x, 0, ms, body, &n);
    while (type && type != BGP_NOTIFICATION && granted_ms() < end);
    if (type != BGP_NOTIFICATION || body[0] != code || body[1] != subcode)
        printf("      type %u %u/%u, not a NOTIFICATION %u/%u\n", type, body[0], body[1], code, subcode);
    return type == BGP_NOTIFICATION && body[0] == code && body[1] == subcode;
}

bool raw_establish(struct rig *r, struct raw *x)
{
    raw_send_open(x, 65002, 0x0a000002, 90);
    raw_send_keepalive(x);
    return raw_expect(r, x, BGP_OPEN) && raw_expect(r, x, BGP_KEEPALIVE) &&
           rig_wait(r, &r->a, PEER_ESTABLISHED, 1000);
}

bool raw_establish_with(struct rig *r, struct raw *x, const struct capabilities *caps)
{
    more_caps = caps;
    bool up = raw_establish(r, x);
    more_caps = NULL;
    return up;
}
