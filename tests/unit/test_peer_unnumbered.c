/* Unnumbered peers: the interface, who is heard on it, what is sent, and what a change of either does. The
 * raw socket is a fake, and so is the far end but for its advertisements: nothing answers at a link-local
 * address here. */
#include <errno.h>
#include <string.h>

#include "peer_rig.h"

#define IFINDEX 7

static const struct ip_addr all = {0};

static struct ip_addr addr(const char *text)
{
    struct ip_addr a;
    CU_ASSERT_EQUAL_FATAL(addr_parse(text, &a), 0);
    return a;
}

static void link_is(struct node *n, uint32_t ifindex, uint32_t flags)
{
    n->fib.n_links = 1;
    n->fib.links[0] = (struct fib_link){.ifindex = ifindex, .flags = flags, .name = "eth0"};
}

static void local_is(struct node *n, const char *text, uint32_t flags)
{
    n->fib.n = text ? 1 : 0;
    if (text)
        n->fib.addresses[0] =
            (struct fib_address){.ifindex = IFINDEX, .flags = flags, .addr = addr(text), .len = 64};
}

static void changed(struct node *n)
{
    peer_set_addresses_changed(n->s.peers);
}

/* Node a of the rig with one unnumbered peer on eth0. */
static struct node *set_up(struct rig *r)
{
    struct node *n = &r->a;
    rig_set_up(r);
    n->peers[0].kind = PEER_BY_INTERFACE;
    n->peers[0].address = n->peers[0].local_address = (struct ip_addr){0};
    strcpy(n->peers[0].interface, "eth0");
    n->peers[0].asn_kind = ASN_EXTERNAL;
    n->peers[0].extended_nexthop = true;
    link_is(n, IFINDEX, FM_LINK_UP);
    local_is(n, "fe80::1", 0);
    return n;
}

static struct rasock *sock(struct node *n)
{
    return n->s.peers->rasock;
}

static void hear(struct node *n, enum ra_type type, const char *from, uint32_t ifindex)
{
    const struct ra_msg m = {.type = type};
    struct ip_addr a = addr(from);
    sock(n)->ops->received(sock(n)->arg, ifindex, &a, &m);
}

static struct peer_info info(struct node *n)
{
    struct peer_info i;
    peer_info(rig_peer(n), &i);
    return i;
}

static void the_reason_for_waiting_is_told_step_by_step(void)
{
    struct rig r;
    struct node *n = set_up(&r);
    n->fib.n_links = n->fib.n = 0;
    rig_start(n);
    CU_ASSERT_TRUE(info(n).waiting);
    CU_ASSERT_STRING_EQUAL(info(n).waiting_why, "interface eth0 does not exist");
    link_is(n, IFINDEX, 0);
    changed(n);
    CU_ASSERT_STRING_EQUAL(info(n).waiting_why, "interface eth0 is down");
    link_is(n, IFINDEX, FM_LINK_UP);
    changed(n);
    CU_ASSERT_STRING_EQUAL(info(n).waiting_why, "interface eth0 has no usable link-local address (yet)");
    local_is(n, "fe80::1", FM_ADDR_TENTATIVE);
    changed(n);
    CU_ASSERT_STRING_EQUAL(info(n).waiting_why, "interface eth0 has no usable link-local address (yet)");
    sock(n)->error = -EPERM;
    local_is(n, "fe80::1", 0);
    changed(n);
    CU_ASSERT_PTR_NOT_NULL(strstr(info(n).waiting_why, "raw ICMPv6 socket"));
    sock(n)->error = 0;
    CU_ASSERT_STRING_EQUAL(info(n).waiting_why, "no router advertisement heard on eth0 yet");
    CU_ASSERT_TRUE(*info(n).waiting_hint);
    hear(n, RA_ADVERTISEMENT, "fe80::2", IFINDEX);
    CU_ASSERT_FALSE(info(n).waiting);
    struct ip_addr want = addr("fe80::2");
    CU_ASSERT_TRUE(addr_equal(&rig_peer(n)->address, &want));
    CU_ASSERT_PTR_EQUAL(peer_set_find(n->s.peers, "eth0"), rig_peer(n));
    rig_tear_down(&r);
}

static void an_interface_that_comes_up_advertises_and_solicits_at_once(void)
{
    struct rig r;
    struct node *n = set_up(&r);
    rig_start(n);
    rig_settle(&r, 20);
    CU_ASSERT_EQUAL(sock(n)->sent[1], 1);
    CU_ASSERT_EQUAL(sock(n)->sent[0], 1);
    CU_ASSERT_EQUAL(sock(n)->last.lifetime, 0); /* never anybody's default router */
    CU_ASSERT_TRUE(sock(n)->last.has_lladdr);
    CU_ASSERT_EQUAL(sock(n)->last_ifindex, IFINDEX);
    CU_ASSERT_EQUAL(sock(n)->joined, IFINDEX);
    struct ip_addr mine = addr("fe80::1");
    CU_ASSERT_TRUE(addr_equal(&sock(n)->last_from, &mine));
    CU_ASSERT_TRUE(addr_equal(&sock(n)->last_to, &all));
    changed(n); /* of something else: no reason to say more */
    rig_settle(&r, 20);
    CU_ASSERT_EQUAL(sock(n)->sent[1], 1);
    link_is(n, IFINDEX, 0);
    changed(n);
    CU_ASSERT_EQUAL(sock(n)->joined, 0);
    link_is(n, IFINDEX, FM_LINK_UP);
    changed(n);
    rig_settle(&r, 20);
    CU_ASSERT_EQUAL(sock(n)->sent[1], 2);
    rig_tear_down(&r);
}

/* RFC 4861 6.2.6 */
static void a_solicitation_is_answered_to_whom_asked(void)
{
    struct rig r;
    struct node *n = set_up(&r);
    rig_start(n);
    rig_settle(&r, 20);
    for (int i = 0; i < 100; i++)
        hear(n, RA_SOLICITATION, "fe80::2", IFINDEX);
    hear(n, RA_SOLICITATION, "fe80::2", IFINDEX + 1); /* no peer there */
    rig_run(&r, 600);
    CU_ASSERT_EQUAL(sock(n)->sent[1], 2);
    struct ip_addr asker = addr("fe80::2");
    CU_ASSERT_TRUE(addr_equal(&sock(n)->last_to, &asker));
    hear(n, RA_SOLICITATION, "fe80::2", IFINDEX);
    hear(n, RA_SOLICITATION, "fe80::3", IFINDEX);
    rig_run(&r, 600);
    CU_ASSERT_EQUAL(sock(n)->sent[1], 2); /* to all nodes, and that not within 3 s of the last time */
    rig_tear_down(&r);
}

static void what_is_heard_of_us_or_elsewhere_is_ignored(void)
{
    struct rig r;
    struct node *n = set_up(&r);
    rig_start(n);
    hear(n, RA_ADVERTISEMENT, "fe80::1", IFINDEX);     /* our own */
    hear(n, RA_ADVERTISEMENT, "fe80::2", IFINDEX + 1); /* another interface */
    hear(n, RA_SOLICITATION, "fe80::2", IFINDEX);      /* hosts do that too */
    CU_ASSERT_TRUE(info(n).waiting);
    CU_ASSERT_EQUAL(info(n).neighbor.af, 0);
    rig_tear_down(&r);
}

static void a_default_router_is_asked_about_once(void)
{
    struct rig r;
    struct node *n = set_up(&r);
    struct ra_msg m = {.type = RA_ADVERTISEMENT};
    struct ip_addr from = addr("fe80::2");
    rig_start(n);
    sock(n)->ops->received(sock(n)->arg, IFINDEX, &from, &m);
    CU_ASSERT_EQUAL(sock(n)->obeyed, 0); /* it says that it is none */
    m.lifetime = 1800;
    for (int i = 0; i < 3; i++)
        sock(n)->ops->received(sock(n)->arg, IFINDEX, &from, &m);
    CU_ASSERT_EQUAL(sock(n)->obeyed, 1);
    rig_tear_down(&r);
}

static void the_present_peer_stays_while_it_is_heard(void)
{
    struct rig r;
    struct node *n = set_up(&r);
    struct ip_addr first = addr("fe80::2");
    rig_start(n);
    hear(n, RA_ADVERTISEMENT, "fe80::2", IFINDEX);
    for (int i = 0; i < 50; i++)
        hear(n, RA_ADVERTISEMENT, "fe80::3", IFINDEX);
    CU_ASSERT_TRUE(addr_equal(&rig_peer(n)->address, &first));
    rig_tear_down(&r);
}

static void a_lost_interface_forgets_the_peer(void)
{
    struct rig r;
    struct node *n = set_up(&r);
    rig_start(n);
    hear(n, RA_ADVERTISEMENT, "fe80::2", IFINDEX);
    CU_ASSERT_EQUAL(rig_peer(n)->scope, IFINDEX);
    CU_ASSERT_TRUE(info(n).state != PEER_IDLE);
    link_is(n, IFINDEX + 2, FM_LINK_UP); /* made again under the same name */
    n->fib.addresses[0].ifindex = IFINDEX + 2;
    changed(n);
    CU_ASSERT_TRUE(info(n).waiting);
    CU_ASSERT_EQUAL(info(n).state, PEER_IDLE);
    CU_ASSERT_EQUAL(info(n).neighbor.af, 0);
    hear(n, RA_ADVERTISEMENT, "fe80::3", IFINDEX); /* late, of the old one */
    CU_ASSERT_EQUAL(info(n).neighbor.af, 0);
    hear(n, RA_ADVERTISEMENT, "fe80::3", IFINDEX + 2);
    CU_ASSERT_EQUAL(rig_peer(n)->scope, IFINDEX + 2);
    CU_ASSERT_FALSE(info(n).waiting);
    rig_tear_down(&r);
}

static void a_connection_names_a_peer_that_does_not_advertise(void)
{
    struct rig r;
    struct node *n = set_up(&r);
    struct ip_addr from = addr("fe80::2"), other = addr("fe80::3");
    rig_start(n);
    CU_ASSERT_PTR_NULL(unnumbered_adopt(n->s.peers, &from, IFINDEX + 1));
    CU_ASSERT_PTR_EQUAL(unnumbered_adopt(n->s.peers, &from, IFINDEX), rig_peer(n));
    CU_ASSERT_TRUE(addr_equal(&rig_peer(n)->address, &from));
    CU_ASSERT_PTR_NULL(unnumbered_adopt(n->s.peers, &other, IFINDEX)); /* there is one now */
    rig_tear_down(&r);
}

static void a_password_is_never_given_up_for_a_stranger(void)
{
    struct rig r;
    struct node *n = set_up(&r);
    struct ip_addr from = addr("fe80::2");
    strcpy(n->peers[0].password, "secret");
    rig_start(n);
    CU_ASSERT_PTR_NULL(unnumbered_adopt(n->s.peers, &from, IFINDEX));
    rig_tear_down(&r);
}

static void a_peer_that_is_shut_down_is_silent(void)
{
    struct rig r;
    struct node *n = set_up(&r);
    n->peers[0].shutdown = true;
    rig_start(n);
    hear(n, RA_ADVERTISEMENT, "fe80::2", IFINDEX);
    hear(n, RA_SOLICITATION, "fe80::2", IFINDEX);
    rig_run(&r, 600);
    CU_ASSERT_EQUAL(sock(n)->sent[0] + sock(n)->sent[1], 0);
    CU_ASSERT_EQUAL(info(n).neighbor.af, 0);
    rig_tear_down(&r);
}

static void peers_are_paired_by_interface_when_the_configuration_changes(void)
{
    struct rig r;
    struct node *n = set_up(&r);
    struct peer_config peers[2];
    struct config next = {0};
    rig_start(n);
    hear(n, RA_ADVERTISEMENT, "fe80::2", IFINDEX);
    struct peer *before = rig_peer(n);
    memcpy(peers, n->peers, sizeof peers);
    peers[1] = peers[0];
    strcpy(peers[0].interface, "eth1");
    next = n->config;
    next.peers = peers;
    next.n_peers = 2;
    n->s.config = &next;
    CU_ASSERT_EQUAL(peer_set_apply(n->s.peers, &next), 0);
    CU_ASSERT_EQUAL(peer_set_count(n->s.peers), 2);
    CU_ASSERT_PTR_EQUAL(peer_set_at(n->s.peers, 1), before);
    CU_ASSERT_STRING_EQUAL(peer_name(peer_set_at(n->s.peers, 0)), "eth1");
    struct ip_addr want = addr("fe80::2");
    struct peer_info i;
    peer_info(before, &i);
    CU_ASSERT_TRUE(addr_equal(&i.neighbor, &want));
    next.n_peers = 1;
    CU_ASSERT_EQUAL(peer_set_apply(n->s.peers, &next), 0);
    CU_ASSERT_EQUAL(peer_set_count(n->s.peers), 1);
    CU_ASSERT_EQUAL(sock(n)->joined, 0);
    rig_tear_down(&r);
}

static const struct unit_case cases[] = {
    UNIT(the_reason_for_waiting_is_told_step_by_step),
    UNIT(an_interface_that_comes_up_advertises_and_solicits_at_once),
    UNIT(a_solicitation_is_answered_to_whom_asked),
    UNIT(what_is_heard_of_us_or_elsewhere_is_ignored),
    UNIT(a_default_router_is_asked_about_once),
    UNIT(the_present_peer_stays_while_it_is_heard),
    UNIT(a_lost_interface_forgets_the_peer),
    UNIT(a_connection_names_a_peer_that_does_not_advertise),
    UNIT(a_password_is_never_given_up_for_a_stranger),
    UNIT(a_peer_that_is_shut_down_is_silent),
    UNIT(peers_are_paired_by_interface_when_the_configuration_changes),
};
UNIT_MAIN("peer_unnumbered", cases)
