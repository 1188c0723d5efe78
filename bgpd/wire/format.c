/* Messages as text: the frame, and the messages that are short. OPEN is in format_open.c, UPDATE in
 * format_update.c.
 *
 * The bytes may be anything, since what a session is watched for is often what the codec refuses. So every
 * length is checked here again, what cannot be read becomes hex, and reading goes on where it still can.
 * Lists are cut after a few items and counted, because a message of 64 KiB must not become a line of 300. Not
 * here: when and how often a line is logged (peer_debug.c). */
#include "wire/format.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "wire/format_int.h"

#define HEX_BYTES 32

void text_say(struct text *t, const char *fmt, ...)
{
    va_list ap;
    size_t room = (size_t)(t->end - t->p);
    va_start(ap, fmt);
    int n = vsnprintf(t->p, room + 1, fmt, ap);
    va_end(ap);
    if (n < 0 || t->cut)
        return;
    t->cut = (size_t)n > room;
    t->p += t->cut ? room : (size_t)n;
}

void text_hex(struct text *t, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n && i < HEX_BYTES; i++)
        text_say(t, "%02x", p[i]);
    if (n > HEX_BYTES)
        text_say(t, ".. (%zu bytes)", n);
    else if (!n)
        text_say(t, "nothing");
}

void text_bad(struct text *t, const char *what, const uint8_t *p, size_t n)
{
    t->bad = true;
    text_say(t, "malformed %s: ", what);
    text_hex(t, p, n);
}

void text_addr(struct text *t, uint8_t af, const uint8_t *p)
{
    struct ip_addr a = addr_from_bytes(af, p);
    char buf[ADDR_STRLEN];
    text_say(t, "%s", addr_format(&a, buf));
}

void text_family(struct text *t, uint16_t afi, uint8_t safi)
{
    enum family f;
    if (family_from_afi(afi, safi, &f))
        text_say(t, "%s unicast", family_name(f));
    else
        text_say(t, "afi %u safi %u", afi, safi);
}

void list_end(struct text *t, const struct list *l)
{
    if (l->n > l->most)
        text_say(t, " (+%u more)", l->n - l->most);
}

static void format_notification(struct text *t, const uint8_t *body, size_t n)
{
    struct bgp_error e;
    char buf[BGP_ERROR_DATA * 2];
    if (n < 2) {
        text_bad(t, "body", body, n);
        return;
    }
    e = bgp_error_make(body[0], body[1], body + 2, n - 2);
    text_say(t, "%u/%u %s", e.code, e.subcode, bgp_error_format(&e, buf, sizeof buf));
    if (*bgp_error_message(&e, buf, sizeof buf)) {
        text_say(t, ", message \"%s\"", buf);
    } else if (n > 2) {
        text_say(t, ", data ");
        text_hex(t, body + 2, n - 2);
    }
}

/* RFC 2918, and RFC 7313 section 3.2 for what was a reserved byte; longer ones carry filters (RFC 5291). */
static void format_refresh(struct text *t, const uint8_t *body, size_t n)
{
    static const char *const subtypes[] = {"request", "begin", "end"};
    if (n < 4) {
        text_bad(t, "body", body, n);
        return;
    }
    if (body[2] < sizeof subtypes / sizeof *subtypes)
        text_say(t, "%s ", subtypes[body[2]]);
    else
        text_say(t, "subtype %u ", body[2]);
    text_family(t, (uint16_t)(body[0] << 8 | body[1]), body[3]);
    if (n > 4) {
        text_say(t, ", more: ");
        text_hex(t, body + 4, n - 4);
    }
}

static void format_body(struct text *t, uint8_t type, const uint8_t *body, size_t n)
{
    static const char *const names[] = {
        [BGP_OPEN] = "OPEN",
        [BGP_UPDATE] = "UPDATE",
        [BGP_NOTIFICATION] = "NOTIFICATION",
        [BGP_KEEPALIVE] = "KEEPALIVE",
        [BGP_ROUTE_REFRESH] = "ROUTE-REFRESH",
    };
    if (type >= sizeof names / sizeof *names || !names[type]) {
        text_say(t, "type %u, ", type);
        text_bad(t, "type", body, n);
        return;
    }
    text_say(t, "%s%s", names[type], type == BGP_KEEPALIVE ? "" : " ");
    switch (type) {
    case BGP_OPEN:
        format_open(t, body, n);
        break;
    case BGP_UPDATE:
        format_update(t, body, n);
        break;
    case BGP_NOTIFICATION:
        format_notification(t, body, n);
        break;
    case BGP_ROUTE_REFRESH:
        format_refresh(t, body, n);
        break;
    default:
        if (n)
            text_say(t, ", "), text_bad(t, "body", body, n);
        break;
    }
}

int msg_format(const uint8_t *msg, size_t len, const struct msg_format_ctx *ctx, char *buf, size_t size)
{
    static const char dots[] = "...";
    struct text t = {.start = buf, .p = buf, .end = buf + size - 1, .ctx = ctx};

    *buf = 0;
    if (len < BGP_HEADER_LEN) {
        text_bad(&t, "header", msg, len);
    } else {
        size_t said = (size_t)(msg[16] << 8 | msg[17]);
        for (int i = 0; i < 16 && !t.bad; i++)
            if (msg[i] != 0xff) {
                text_bad(&t, "marker", msg, 16);
                text_say(&t, ", ");
            }
        if (said != len) {
            t.bad = true;
            text_say(&t, "malformed length %zu of %zu bytes, ", said, len);
        }
        format_body(&t, msg[18], msg + BGP_HEADER_LEN, len - BGP_HEADER_LEN);
    }
    if (t.cut && size > sizeof dots)
        memcpy(t.end - (sizeof dots - 1), dots, sizeof dots);
    return t.bad ? -EBADMSG : 0;
}
