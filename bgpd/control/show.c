/* What the show commands share. Text is for a terminal of 80 columns and looks like FRR's, whose users read
 * it; the JSON beside it never depends on how the text is laid out. */
#include "control/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fibclient.h"
#include "lib/text.h"
#include "speaker.h"

#define TALKING_MS 2000 /* in OpenSent or OpenConfirm for longer than an OPEN takes: that is the reason */

struct peer *show_find_peer(struct exec *e)
{
    const char *name = command_arg(e->cmd, "PEER");
    struct peer *p = peer_set_find(e->s->peers, name);
    if (p)
        return p;
    unsigned n = peer_set_count(e->s->peers);
    const char *guess = NULL;
    for (unsigned i = 0; i < n; i++) {
        const struct peer *other = peer_set_at(e->s->peers, i);
        const char *names[] = {peer_name(other), peer_config(other)->description};
        const char *one = text_closest(name, names, 2);
        if (one && (!guess || text_distance(name, one) < text_distance(name, guess)))
            guess = one;
    }
    if (guess)
        exec_fail(e, STATUS_REFUSED, "no peer `%s`; did you mean `%s`?", name, guess);
    else
        exec_fail(e, STATUS_REFUSED, "no peer `%s`; `show bgp summary` lists them", name);
    return NULL;
}

void show_families(const struct exec *e, bool family[FAM_COUNT])
{
    bool v4 = command_has(e->cmd, "ipv4"), v6 = command_has(e->cmd, "ipv6");
    if (!v4 && !v6)
        v4 = command_has(e->cmd, "ip");
    family[FAM_IPV4] = !v6;
    family[FAM_IPV6] = !v4;
}

const char *show_uptime(uint64_t ms, char buf[UPTIME_STRLEN])
{
    uint64_t s = ms / 1000, days = s / 86400;
    unsigned h = (unsigned)(s / 3600 % 24), m = (unsigned)(s / 60 % 60);
    if (!days)
        snprintf(buf, UPTIME_STRLEN, "%02u:%02u:%02u", h, m, (unsigned)(s % 60));
    else if (days < 7)
        snprintf(buf, UPTIME_STRLEN, "%ud%02uh%02um", (unsigned)days, h, m);
    else
        snprintf(buf, UPTIME_STRLEN, "%02uw%ud%02uh", (unsigned)(days / 7) % 10000, (unsigned)(days % 7), h);
    return buf;
}

const char *show_seconds(uint64_t ms, char buf[24])
{
    uint32_t s = (uint32_t)((ms + 999) / 1000);
    snprintf(buf, 24, "%" PRIu32 " second%s", s, s == 1 ? "" : "s");
    return buf;
}

const char *show_router_id(uint32_t id, char buf[ADDR_STRLEN])
{
    struct ip_addr a = addr_v4(id);
    return addr_format(&a, buf);
}

#define BLANKS " \t\r\n"

void show_wrap(struct writer *w, unsigned at, unsigned indent, const char *text)
{
    bool first = true;
    text += strspn(text, BLANKS);
    while (*text) {
        size_t n = strcspn(text, BLANKS);
        if (!first && at + 1 + n > SHOW_WIDTH) {
            writer_text(w, "\n%*s", (int)indent, "");
            at = indent;
        } else if (!first) {
            writer_text(w, " ");
            at++;
        }
        writer_text(w, "%.*s", (int)n, text);
        at += (unsigned)n;
        text += n + strspn(text + n, BLANKS);
        first = false;
    }
    writer_text(w, "\n");
}

const char *show_peer_state(const struct peer_info *i)
{
    return i->admin_down ? "Idle (Admin)" : i->over_limit ? "Idle (PfxCt)" : peer_state_name(i->state);
}

bool show_was_reset(const struct peer_info *i)
{
    return i->last_reset && *i->last_reset && (i->dropped_count || i->last_error.code);
}

const char *show_peer_why(const struct peer *p, const struct peer_info *i, char *buf, size_t size)
{
    const char *message = NULL;
    bool failed = i->last_failure && *i->last_failure;
    bool talking = i->state == PEER_OPEN_SENT || i->state == PEER_OPEN_CONFIRM;
    if (peer_is_shutdown(p, &message))
        snprintf(buf, size, "shut down by command (no neighbor %s shutdown)", peer_name(p));
    else if (i->admin_down)
        snprintf(buf, size, "shut down in the configuration");
    else if (i->waiting)
        snprintf(buf, size, "%s", i->waiting_why);
    else if (talking && (!failed || i->state_ms >= TALKING_MS))
        snprintf(buf, size, "connected, waiting for the peer's %s",
                 i->state == PEER_OPEN_SENT ? "OPEN" : "KEEPALIVE");
    else if (failed)
        snprintf(buf, size, "%s", i->last_failure);
    else if (peer_config(p)->passive)
        snprintf(buf, size, "passive: waiting for the peer to connect");
    else
        snprintf(buf, size, "no answer yet from port %u of the peer", (unsigned)peer_config(p)->port);
    return buf;
}

const char *show_peer_hint(const struct peer *p, const struct peer_info *i)
{
    const char *message;
    if (i->admin_down)
        return peer_is_shutdown(p, &message) ? "" : "`shutdown` of this peer";
    if (i->waiting)
        return i->waiting_hint;
    return i->hint ? i->hint : "";
}

const char *show_fib_error(int32_t error)
{
    switch (error) {
    case FM_E_CONNECTED:
        return "connected";
    case FM_E_CONFLICT:
        return "another protocol's route is in the place";
    case FM_E_NEXTHOP:
        return "no usable next hop";
    case FM_E_PREFSRC:
        return "fib.prefsrc is no address of this host";
    default:
        return strerror(error < 0 ? -error : error);
    }
}

const char *show_fib_hint(int32_t error)
{
    switch (error) {
    case FM_E_CONNECTED:
        return "an interface of this node has that subnet";
    case FM_E_CONFLICT:
        return "`ip route show` says whose it is; ours never replaces it";
    case FM_E_NEXTHOP:
        return "its interface is down, or nothing leads to it";
    case FM_E_PREFSRC:
        return "put the address on lo; routes follow by themselves";
    default:
        return "the kernel refused it";
    }
}

struct path_view show_path(const struct rib *r, enum family f, uint32_t path)
{
    const struct rib_path *p = rib_path(r, path);
    struct path_view v = {.path = p, .attr = rib_path_attr(r, p), .index = path, .id = rib_path_id(r, path)};
    v.from = p->peer ? rib_peer_by_number(r, p->peer) : NULL;
    v.nexthop = v.attr->nexthop ? nexthop_by_id(rib_nexthops(r), v.attr->nexthop) : NULL;
    v.valid = !(p->flags & (PATH_FILTERED | PATH_UNREACHABLE));
    v.stale = rib_path_is_stale(r, f, p);
    return v;
}

struct ip_addr show_nexthop(const struct path_view *v, enum family f)
{
    return v->nexthop ? v->nexthop->addr : (struct ip_addr){.af = family_to_af(f)};
}

const char *show_path_peer(const struct path_view *v, char buf[ADDR_STRLEN])
{
    return v->from ? addr_format(&v->from->address, buf) : strcpy(buf, "(unspec)");
}

void json_nexthops(struct exec *e, const struct path_view *v, enum family f, const struct ip_addr *next)
{
    struct ip_addr a = next ? *next : show_nexthop(v, f);
    writer_array(e->w, "nexthops");
    writer_object(e->w, NULL);
    writer_addr(e->w, "ip", &a);
    writer_str(e->w, "afi", a.af == AF_INET6 ? "ipv6" : "ipv4");
    if (a.af == AF_INET6)
        writer_str(e->w, "scope", addr_is_link_local(&a) ? "link-local" : "global");
    if (v->nexthop && !next) {
        const struct fib_link *link = fibclient_link(e->s->fib, v->nexthop->ifindex);
        writer_bool(e->w, "accessible", v->nexthop->reachable);
        if (v->nexthop->reachable && link)
            writer_str(e->w, "interface", link->name);
    }
    writer_bool(e->w, "used", v->valid);
    writer_end(e->w);
    writer_end(e->w);
}

/* At most so many columns of it, whole characters of UTF-8; "..." says that there is more. Ends the line. */
static void put_cut(struct writer *w, const char *text, unsigned columns)
{
    size_t whole = 0, room = 0, n = 0; /* bytes of the text; of what leaves room for the dots */
    for (; text[whole]; whole++)
        if ((text[whole] & 0xc0) != 0x80) {
            if (n == columns - 3)
                room = whole;
            n++;
        }
    if (n > columns) {
        while (room && text[room - 1] == ' ')
            room--;
        writer_text(w, "%.*s...\n", (int)room, text);
    } else {
        writer_text(w, "%s\n", text);
    }
}

bool table_add(struct table *t, const char *const *cells)
{
    if (t->rows == t->room) {
        unsigned room = t->room ? 2 * t->room : 16;
        void *grown = realloc(t->cells, room * sizeof *t->cells);
        if (!grown)
            return false;
        t->cells = grown;
        t->room = room;
    }
    for (unsigned i = 0; i < t->columns; i++)
        snprintf(t->cells[t->rows][i], sizeof t->cells[0][0], "%s", cells[i]);
    t->rows++;
    return true;
}

/* The first column is left-aligned; a cell of it that is longer than 15 gets a line of its own, as FRR does.
 * The last one wraps, or with cut_last is cut where the line ends. */
void table_print(struct table *t, struct writer *w)
{
    unsigned width[TABLE_COLUMNS] = {0};
    for (unsigned r = 0; r < t->rows; r++)
        for (unsigned i = 0; i < t->columns; i++) {
            unsigned n = (unsigned)strlen(t->cells[r][i]);
            if (n > width[i] && (i || n <= 15))
                width[i] = n;
        }
    for (unsigned r = 0; r < t->rows; r++) {
        const char *first = t->cells[r][0], *last = t->cells[r][t->columns - 1];
        char line[(TABLE_CELL + 1) * TABLE_COLUMNS];
        bool own_line = strlen(first) > width[0];
        if (own_line)
            writer_text(w, "%s\n", first);
        size_t n = (size_t)sprintf(line, "%-*s", (int)width[0], own_line ? "" : first);
        for (unsigned i = 1; i + 1 < t->columns; i++)
            n += (size_t)sprintf(line + n, " %*s", (int)width[i], t->cells[r][i]);
        unsigned at = (unsigned)n + 1;
        while (!*last && n && line[n - 1] == ' ')
            n--;
        writer_text(w, "%.*s%s", (int)n, line, *last ? " " : "");
        if (t->cut_last)
            put_cut(w, last, at < SHOW_WIDTH - 8 ? SHOW_WIDTH - at : 8);
        else
            show_wrap(w, at, at, last);
    }
    free(t->cells);
    *t = (struct table){.columns = t->columns};
}
