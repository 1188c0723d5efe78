/* UPDATEs with errors, for those who have to find out where they come from (RFC 7606 section 6): counted by
 * attribute, the last one kept with its octets, and told in the log with the routes that it was about. The
 * log is rate-limited, since whoever sends one such UPDATE sends a thousand; the counters are not. At debug
 * level the whole message follows. What is done about an error is the codec's verdict (wire/attr.c), carried
 * out in peer_update.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer_impl.h"

#define DEBUG_OCTETS 500 /* of the message; what the log takes as one value */

static const char *action_name(enum update_action a)
{
    static const char *const names[] = {
        [UPDATE_OK] = "",
        [UPDATE_ATTR_DISCARD] = "attribute-discard",
        [UPDATE_TREAT_AS_WITHDRAW] = "treat-as-withdraw",
        [UPDATE_RESET] = "session-reset",
    };
    return names[a];
}

static char *to_hex(const uint8_t *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        sprintf(out + 2 * i, "%02x", p[i]);
    out[2 * n] = 0;
    return out;
}

/* How many routes the message announces, and the first of them. */
static uint32_t routes(const struct peer *p, const struct update *u, char first[PREFIX_STRLEN])
{
    uint32_t n = 0, id;
    struct prefix x;
    *first = 0;
    for (enum family f = 0; f < FAM_COUNT; f++)
        for (int k = 0; k < 2; k++)
            for (struct nlri_span s = u->reach[f][k]; nlri_next_path(&s, f, p->ctx.add_path[f], &x, &id); n++)
                if (!*first)
                    prefix_format(&x, first);
    return n;
}

static void count(struct peer *p, const struct update *u)
{
    struct peer_offences *o = p->h.offences;
    if (u->action == UPDATE_RESET)
        return;
    p->h.treat_as_withdraw += u->action == UPDATE_TREAT_AS_WITHDRAW;
    for (unsigned i = 0; i < u->n_offences; i++) {
        const struct update_offence *one = &u->offence[i];
        bool discard = one->action == UPDATE_ATTR_DISCARD;
        unsigned type = pa_name(one->type) && one->type < PEER_OFFENCE_TYPES ? one->type : 0;
        p->h.attr_discard += discard;
        if (o)
            (discard ? o->discarded : o->withdrawn)[type]++;
    }
}

static void remember(struct peer *p, const struct update *u, uint32_t n_routes)
{
    struct peer_offences *o = p->h.offences;
    if (!o)
        return;
    o->last.ms = loop_now_ms();
    o->last.action = action_name(u->action);
    o->last.reason = u->reason;
    o->last.type = u->bad_attr;
    o->last.len = u->bad_len;
    o->last.data_len = (uint8_t)(u->error.len < PEER_OFFENCE_DATA ? u->error.len : PEER_OFFENCE_DATA);
    memcpy(o->last.data, u->error.data, o->last.data_len);
    o->last.routes = n_routes;
}

void peer_note_offence(struct peer *p, const struct update *u, const uint8_t *body, size_t n)
{
    static const char *const lines[] = {
        [UPDATE_ATTR_DISCARD] = "malformed UPDATE: attribute discarded",
        [UPDATE_TREAT_AS_WITHDRAW] = "malformed UPDATE: its routes are taken as withdrawn",
        [UPDATE_RESET] = "malformed UPDATE: the session is reset",
    };
    char hex[2 * DEBUG_OCTETS + 1], first[PREFIX_STRLEN], number[16];
    const char *name = pa_name(u->bad_attr);
    uint32_t swallowed = 0, n_routes = routes(p, u, first);

    if (u->error.code != BGP_ERR_UPDATE) /* out of memory is no fault of theirs */
        return;
    if (!p->h.offences)
        p->h.offences = calloc(1, sizeof *p->h.offences); /* without it there is less to show */
    count(p, u);
    remember(p, u, n_routes);
    if (!log_limit_ok(&p->log_limit, loop_now_ms(), &swallowed))
        return;
    *number = 0;
    if (u->bad_attr)
        snprintf(number, sizeof number, "%u", u->bad_attr);
    size_t len = u->error.len < PEER_OFFENCE_DATA ? u->error.len : PEER_OFFENCE_DATA;
    log_warn(lines[u->action], F_STR("peer", p->name), F_STR_IF("attribute", name ? name : number),
             F_STR("reason", u->reason), F_STR("action", action_name(u->action)),
             F_STR_IF("hex", to_hex(u->error.data, len, hex)), F_UINT_IF("length", u->bad_len),
             F_UINT_IF("routes", n_routes), F_STR_IF("first", first), F_UINT_IF("suppressed", swallowed));
    if (log_enabled(LOG_LVL_DEBUG))
        log_debug("malformed UPDATE: the message", F_STR("peer", p->name), F_UINT("length", n),
                  F_STR("hex", to_hex(body, n < DEBUG_OCTETS ? n : DEBUG_OCTETS, hex)));
}

const struct peer_offences *peer_offences(const struct peer *p)
{
    return p->h.offences;
}
