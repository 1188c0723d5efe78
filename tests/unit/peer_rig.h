/* For tests of sessions: whole speakers in one process and one loop (real TCP over 127.0.0.0/8, real RIB and
 * codec; the FIB client and the speaker's life are fakes), and a peer that the test plays byte by byte. */
#ifndef UNDERLAY_PEER_RIG_H
#define UNDERLAY_PEER_RIG_H

#include <stdio.h>

#include "fibclient.h"
#include "peer_impl.h"
#include "unit.h"

struct fibclient { /* the fake: what is asked of it here */
    struct fib_address addresses[4];
    unsigned n;
    bool no_subnet;
    struct fib_link links[2];
    unsigned n_links;
    struct fm_bfd bfd; /* the session as last asked for */
    unsigned bfd_sets, bfd_dels, alives;
};

/* The fake raw socket of unnumbered peers: opens at once; what was sent last is kept, and the test says what
 * came. */
struct rasock {
    const struct rasock_ops *ops;
    void *arg;
    int error;        /* for rasock_is_open and rasock_error */
    unsigned obeyed;  /* how often it was asked whether the kernel obeys; it does */
    unsigned sent[2]; /* solicitations, advertisements */
    struct ra_msg last;
    struct ip_addr last_to, last_from;
    uint32_t last_ifindex, joined; /* of the last interface, 0 none */
};

struct node {
    struct speaker s;
    struct config config;
    struct peer_config peers[2];
    struct fibclient fib;
    unsigned state_changes;
};

struct rig {
    struct loop *loop;
    struct timer *deadline;
    uint16_t port;
    struct node a, b; /* 127.0.0.1 AS 65001, 127.0.0.2 AS 65002; b is started by rig_start_b */
    unsigned stopped;
};

void rig_set_up(struct rig *r); /* configured with each other, listening, not started */
void rig_tear_down(struct rig *r);
/* Another process in the place of a: without anything but the configuration. */
void rig_renew(struct rig *r);
void rig_start(struct node *n);           /* applies the configuration and starts */
void rig_run(struct rig *r, unsigned ms); /* time passes */
/* What is under way comes to its end: so long of our own time, see unit_starved_ms. */
void rig_settle(struct rig *r, unsigned ms);
/* Runs until the first peer of n is in that state; false after ms. */
bool rig_wait(struct rig *r, struct node *n, enum peer_state state, unsigned ms);
static inline struct peer *rig_peer(struct node *n)
{
    return peer_set_at(n->s.peers, 0);
}
int rig_originate(struct node *n, const char *prefix);
bool rig_has(struct node *n, const char *prefix);

/* What is logged between the two goes into a file, and is returned: to be freed. */
struct capture {
    FILE *file;
    int stderr_was;
};
void capture_begin(struct capture *c);
char *capture_end(struct capture *c);
unsigned capture_count(const char *text, const char *word);

/* The other end, played by the test, at 127.0.0.2. */
struct raw {
    int listener, fd;
    uint8_t buf[8192];
    size_t len;
};
void raw_listen(struct rig *r, struct raw *x);
bool raw_accept(struct rig *r, struct raw *x);                    /* a's connection */
bool raw_connect(struct rig *r, struct raw *x, const char *from); /* to a */
void raw_close(struct raw *x);
void raw_send(struct raw *x, const struct wire_writer *w);
void raw_send_open(struct raw *x, uint32_t asn, uint32_t id, uint16_t hold);
void raw_send_keepalive(struct raw *x);
/* The next message other than those of type `skip` (0: none): its type, 0 at end of file or after ms; body in
 * out. */
uint8_t raw_next(struct rig *r, struct raw *x, uint8_t skip, unsigned ms, uint8_t *body, size_t *n);
bool raw_expect(struct rig *r, struct raw *x, uint8_t type);
/* Skips what comes before a NOTIFICATION; code and subcode as asked. */
bool raw_expect_notification(struct rig *r, struct raw *x, uint8_t code, uint8_t subcode, unsigned ms);
bool raw_establish(struct rig *r, struct raw *x); /* over x->fd, AS 65002, id 10.0.0.2, hold 90 */
/* The same with these capabilities in place of the least. */
bool raw_establish_with(struct rig *r, struct raw *x, const struct capabilities *caps);

#endif
