/* What we offer in the OPEN: one small function a capability, in a table that says which of them a session
 * can do without. Each reads the configuration and what the connection allows, and fills in its own part.
 *
 * A peer that refuses the OPEN because of its parameters or capabilities (RFC 5492 sections 3 and 5: neither
 * should happen with what we send) gets one attempt with less: after "Unsupported Capability" only what the
 * session needs, after "Unsupported Optional Parameter" none at all. When that fails the same way, or the
 * session has been up and ends, everything is offered again.
 *
 * Not here: how capabilities look on the wire (wire/capability.c), and what the two sides have in common. */
#include <string.h>
#include <unistd.h>

#include "peer_impl.h"

static void offer_families(const struct peer *p, const struct peer_session *s, struct capabilities *c)
{
    c->has_multiprotocol = true;
    for (enum family f = 0; f < FAM_COUNT; f++)
        c->family[f] = p->config->families[f] && s->nexthop[f].af;
    c->extended_nexthop[FAM_IPV4] = s->nexthop6.af;
    c->family[FAM_IPV4] |= c->extended_nexthop[FAM_IPV4];
}

static void offer_as4(const struct peer *p, const struct peer_session *s, struct capabilities *c)
{
    (void)s;
    c->as4 = true;
    c->asn = p->local_as;
}

static void offer_route_refresh(const struct peer *p, const struct peer_session *s, struct capabilities *c)
{
    (void)p, (void)s;
    c->route_refresh = true;
}

static void offer_graceful_restart(const struct peer *p, const struct peer_session *s, struct capabilities *c)
{
    (void)s;
    peer_restart_offer(p, c);
}

/* Only with graceful restart: FRR (8.4 to 10.0) sends End-of-RIB only to peers that have that capability,
 * and until it has sent one it answers no request of a peer that knows the enhanced form. */
static void offer_enhanced_refresh(const struct peer *p, const struct peer_session *s, struct capabilities *c)
{
    (void)p, (void)s;
    c->enhanced_refresh = c->graceful_restart;
}

static void offer_add_path(const struct peer *p, const struct peer_session *s, struct capabilities *c)
{
    (void)s;
    for (enum family f = 0; f < FAM_COUNT; f++)
        c->add_path[f] = c->family[f] ? (uint8_t)p->config->add_path : 0;
}

static void offer_extended_message(const struct peer *p, const struct peer_session *s, struct capabilities *c)
{
    (void)p, (void)s;
    c->extended_message = true;
}

static void offer_role(const struct peer *p, const struct peer_session *s, struct capabilities *c)
{
    (void)s;
    c->has_role = peer_role(p) != ROLE_NONE;
    c->role = c->has_role ? role_to_wire(peer_role(p)) : 0;
}

static void offer_hostname(const struct peer *p, const struct peer_session *s, struct capabilities *c)
{
    const char *name = p->set->hostname;
    (void)s;
    if (*name)
        c->hostname = (struct cap_text){(const uint8_t *)name, (uint8_t)strlen(name)};
}

static const struct {
    bool needed;
    void (*offer)(const struct peer *p, const struct peer_session *s, struct capabilities *c);
} offers[] = {
    {true, offer_families}, /* first: others look at them */
    {true, offer_as4},
    {true, offer_role}, /* RFC 9234 4.1: MUST be advertised where it is configured */
    {false, offer_route_refresh},
    {false, offer_add_path},
    {false, offer_graceful_restart},
    {false, offer_enhanced_refresh}, /* looks at it */
    {false, offer_extended_message},
    {false, offer_hostname},
};

/* IPv4 alone is there without a word (RFC 4760 section 8). */
static bool lives_without(const struct peer *p, const struct peer_session *s)
{
    return p->config->families[FAM_IPV4] && s->nexthop[FAM_IPV4].af;
}

void peer_offer(const struct peer *p, struct peer_session *s)
{
    s->offer = p->offer == OFFER_NOTHING && !lives_without(p, s) ? OFFER_NEEDED : p->offer;
    s->sent = (struct capabilities){0};
    if (s->offer == OFFER_NOTHING) {
        s->family_why[FAM_IPV6] = "the peer refuses capabilities, and IPv6 needs one";
        return;
    }
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++)
        if (offers[i].needed || s->offer == OFFER_ALL)
            offers[i].offer(p, s, &s->sent);
}

void peer_offer_refused(struct peer *p, const struct peer_session *s, uint8_t subcode)
{
    if (s->offer != OFFER_ALL)
        p->offer = OFFER_ALL;
    else
        p->offer = subcode == BGP_ERR_OPEN_PARAM ? OFFER_NOTHING : OFFER_NEEDED;
    bool told = p->offers_told & 1u << p->offer;
    p->offers_told |= 1u << p->offer;
    log_at(told ? LOG_LVL_DEBUG : LOG_LVL_INFO,
           p->offer == OFFER_ALL      ? "the peer refuses our capabilities, and fewer too: all again"
           : p->offer == OFFER_NEEDED ? "the peer refuses our capabilities: next without the optional ones"
                                      : "the peer refuses our capabilities: next without any",
           F_STR("peer", p->name));
}
