/* The limit of prefixes from a peer (`max-prefixes`): warn when it comes near, act when it is passed.
 *
 * Counted is what the peer has said and not taken back, refused by the import or not, with ADD-PATH each
 * path: that is what costs us memory. Not counted is what a restarted peer has not said again yet: with other
 * path identifiers than before everything would be there twice until its End-of-RIB. The count is looked at
 * after each UPDATE, so that routes withdrawn and announced in one message are judged by what comes of it,
 * and a flood is stopped within the message that passes the limit.
 *
 * A session that passed it ends with Cease/1 (RFC 4486 section 4) and stays down, for a time or until an
 * operator clears it: a peer that leaks a table would send it again at once. Not here: how the session ends
 * (peer.c). */
#include <inttypes.h>
#include <stdio.h>

#include "peer_impl.h"

static void hold(struct peer *p)
{
    p->limit.held = true;
    if (p->config->max_prefixes.action == LIMIT_RESTART)
        timer_set(p->limit.again, p->config->max_prefixes.restart_after_ms);
    else
        timer_stop(p->limit.again);
}

void peer_limit_release(struct peer *p)
{
    p->limit.held = false;
    timer_stop(p->limit.again);
}

void peer_limit_again(void *arg)
{
    struct peer *p = arg;
    p->limit.held = false;
    log_info("the pause after too many prefixes is over", F_STR("peer", p->name));
    peer_start(p, false);
}

/* RFC 4486 section 4: AFI, SAFI and the upper bound, four octets. */
static struct bgp_error limit_error(enum family f, uint32_t most)
{
    uint8_t data[7];
    struct wire_writer w = wire_writer(data, sizeof data);
    wire_put_u16(&w, f == FAM_IPV6 ? AFI_IPV6 : AFI_IPV4);
    wire_put_u8(&w, SAFI_UNICAST);
    wire_put_u32(&w, most);
    return bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_MAX_PREFIXES, data, sizeof data);
}

static void stop(struct peer *p, enum family f, uint32_t n)
{
    uint32_t most = p->config->max_prefixes.most[f];
    const struct bgp_error e = limit_error(f, most);

    log_warn(p->config->max_prefixes.action == LIMIT_RESTART
                 ? "too many prefixes: the session is closed for a while"
                 : "too many prefixes: the session is closed until an operator clears it",
             F_STR("peer", p->name), F_STR("family", family_name(f)), F_UINT("prefixes", n),
             F_UINT("limit", most));
    snprintf(p->detail, sizeof p->detail, "more than %" PRIu32 " %s prefixes", most,
             f == FAM_IPV6 ? "IPv6" : "IPv4");
    p->limit.family = f;
    hold(p); /* before the session ends, so that nothing starts the next one */
    peer_stop(p, &e);
}

/* Once for each time that a mark is crossed; the way back is no news. */
static void tell(struct peer *p, enum family f, uint32_t n, bool *told, bool is, const char *message)
{
    uint32_t swallowed = 0;
    if (is && !*told && log_limit_ok(&p->limit.log, loop_now_ms(), &swallowed))
        log_warn(message, F_STR("peer", p->name), F_STR("family", family_name(f)), F_UINT("prefixes", n),
                 F_UINT("limit", p->config->max_prefixes.most[f]), F_UINT_IF("suppressed", swallowed));
    *told = is;
}

bool peer_limit_check(struct peer *p)
{
    for (enum family f = 0; p->up && f < FAM_COUNT; f++) {
        uint32_t n = p->rib->paths[f] - peer_restart_left(p, f), most = p->config->max_prefixes.most[f];
        bool over = most && n > most;
        bool near = most && (uint64_t)n * 100 > (uint64_t)most * p->config->max_prefixes.warn_percent;
        if (over && p->config->max_prefixes.action != LIMIT_WARN) {
            stop(p, f, n);
            return false;
        }
        tell(p, f, n, &p->limit.near[f], near, "the number of prefixes comes near the limit");
        tell(p, f, n, &p->limit.over[f], over, "more prefixes than the limit");
    }
    return true;
}

void peer_limit_session_up(struct peer *p)
{
    for (enum family f = 0; f < FAM_COUNT; f++)
        p->limit.near[f] = p->limit.over[f] = false;
}

/* Whether the limit that ended the session has become a wider one. */
static bool relieved(const struct peer *p, const struct peer_config *before)
{
    uint32_t was = before->max_prefixes.most[p->limit.family],
             is = p->config->max_prefixes.most[p->limit.family];
    return !is || is > was || p->config->max_prefixes.action == LIMIT_WARN;
}

void peer_limit_changed(struct peer *p, const struct peer_config *before)
{
    if (p->limit.held && relieved(p, before)) {
        peer_limit_release(p);
        peer_start(p, false);
    } else if (p->limit.held &&
               (before->max_prefixes.action != p->config->max_prefixes.action ||
                before->max_prefixes.restart_after_ms != p->config->max_prefixes.restart_after_ms)) {
        hold(p);
    } else {
        peer_limit_check(p);
    }
}
