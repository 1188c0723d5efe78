/* Errors in a peer's UPDATEs, in show bgp neighbors: how many of them by attribute, and the last one with its
 * octets, which is what one needs to ask the other side's vendor. */
#include <inttypes.h>
#include <stdio.h>

#include "control/show.h"
#include "control/show_neighbors.h"
#include "loop.h"
#include "wire/update.h"

static const char *type_name(uint8_t type, char buf[16])
{
    const char *name = pa_name(type);
    snprintf(buf, 16, "%u", type);
    return name ? name : type ? buf : "other";
}

static void hex_of(const struct peer_offences *o, char hex[2 * PEER_OFFENCE_DATA + 4])
{
    for (unsigned i = 0; i < o->last.data_len; i++)
        snprintf(hex + 2 * i, 3, "%02x", o->last.data[i]);
    snprintf(hex + 2 * o->last.data_len, 4, "%s", o->last.len > o->last.data_len ? "..." : "");
}

void text_offences(struct writer *w, const struct peer *p, const struct peer_stats *s)
{
    const struct peer_offences *o = peer_offences(p);
    char name[16], up[UPTIME_STRLEN], text[320], hex[2 * PEER_OFFENCE_DATA + 4];
    if (!o)
        return;
    writer_text(w,
                "  Malformed updates received: as withdrawal %" PRIu64 ", attributes discarded %" PRIu64 "\n",
                s->treat_as_withdraw, s->attr_discard);
    for (unsigned i = 0; i < PEER_OFFENCE_TYPES; i++)
        if (o->withdrawn[i] || o->discarded[i])
            writer_text(w, "    %-26s %" PRIu32 " as withdrawal, %" PRIu32 " discarded\n",
                        type_name((uint8_t)i, name), o->withdrawn[i], o->discarded[i]);
    hex_of(o, hex);
    snprintf(text, sizeof text, "%s ago: %s, %s (%s)%s%s", show_uptime(loop_now_ms() - o->last.ms, up),
             type_name(o->last.type, name), o->last.reason, o->last.action, *hex ? ": " : "", hex);
    writer_text(w, "    Last one ");
    show_wrap(w, 13, 6, text);
}

void json_offences(struct writer *w, const struct peer *p)
{
    const struct peer_offences *o = peer_offences(p);
    char name[16], hex[2 * PEER_OFFENCE_DATA + 4];
    if (!o)
        return;
    writer_object(w, "malformedUpdates");
    writer_object(w, "attributes");
    for (unsigned i = 0; i < PEER_OFFENCE_TYPES; i++) {
        if (!o->withdrawn[i] && !o->discarded[i])
            continue;
        writer_object(w, type_name((uint8_t)i, name));
        writer_uint(w, "treatAsWithdraw", o->withdrawn[i]);
        writer_uint(w, "discarded", o->discarded[i]);
        writer_end(w);
    }
    writer_end(w);
    hex_of(o, hex);
    writer_object(w, "last");
    writer_str(w, "attribute", type_name(o->last.type, name));
    writer_str(w, "reason", o->last.reason);
    writer_str(w, "action", o->last.action);
    writer_str(w, "hex", hex);
    writer_uint(w, "length", o->last.len);
    writer_uint(w, "routes", o->last.routes);
    writer_uint(w, "ageMsecs", loop_now_ms() - o->last.ms);
    writer_end(w);
    writer_end(w);
}
