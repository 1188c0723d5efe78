/* The commands that change something: sessions, advertisements, log level, reload.
 *
 * A request that names many prefixes is checked as a whole before the first one is applied: a typo in number
 * 9,999 leaves everything as it was. Both passes are cut into steps. When the client goes away between two
 * steps of the second, the rest is applied all the same, so that nobody has to find out how far it came. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control.h"
#include "control/show.h"
#include "drain.h"
#include "fibmsg.h"
#include "handover.h"
#include "lib/community.h"
#include "log.h"
#include "source/source.h"
#include "speaker.h"

#define PREFIXES_PER_STEP 500

struct bulk {
    struct advertise_options options;
    unsigned checked, applied; /* words of the command seen in each pass */
    unsigned n;                /* prefixes */
    struct prefix *prefixes;
};

static int add_community(struct advertise_options *o, const char *text)
{
    const unsigned max = sizeof o->communities / sizeof *o->communities;
    uint32_t standard, large[3];
    int kind = community_parse(text, &standard, large);
    if (kind < 0)
        return -EINVAL;
    if (kind == 1 ? o->n_communities == max : o->n_large == max)
        return -E2BIG;
    if (kind == 1)
        o->communities[o->n_communities++] = standard;
    else
        memcpy(o->large[o->n_large++], large, sizeof large);
    return 0;
}

/* False: exec_fail was called. */
static bool check_prefix(struct exec *e, const char *text, struct prefix *out)
{
    char masked[PREFIX_STRLEN];
    int rc = prefix_parse(text, true, out);
    if (rc == -EADDRNOTAVAIL)
        exec_fail(e, STATUS_USAGE, "%s has host bits set; did you mean %s?", text,
                  prefix_format(out, masked));
    else if (rc)
        exec_fail(e, STATUS_USAGE, "`%.60s` is not a prefix; expected ADDRESS/LENGTH%s", text,
                  rc == -ERANGE ? " with a LENGTH of at most 32 (IPv4) or 128 (IPv6)" : "");
    else if (e->cmd->row->id == CMD_ADVERTISE && prefix_is_default(out))
        exec_fail(e, STATUS_REFUSED, "%s: a node does not advertise the default route", text);
    else if (e->cmd->row->id == CMD_ADVERTISE && prefix_is_martian(out))
        exec_fail(e, STATUS_REFUSED, "%s is never routable between hosts; it cannot be advertised", text);
    return !e->error;
}

/* keyword: med or weight. False: exec_fail was called. */
static bool check_number(struct exec *e, struct advertise_options *o, const char *keyword, const char *text)
{
    bool med = !strcmp(keyword, "med");
    uint32_t least = med ? 0 : 1, most = med ? UINT32_MAX : ATTR_WEIGHT_MOST;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || v < least || v > most) {
        exec_fail(e, STATUS_USAGE, "%s %.20s is out of range; expected %" PRIu32 " to %" PRIu32, keyword,
                  text, least, most);
        return false;
    }
    o->has_med |= med;
    *(med ? &o->med : &o->weight) = (uint32_t)v;
    return true;
}

static bool check_word(struct exec *e, struct bulk *b, const struct command_word *w)
{
    if (w->keyword)
        return true;
    if (!strcmp(w->name, "PREFIX"))
        return check_prefix(e, w->value, &b->prefixes[b->n++]);
    if (!strcmp(w->name, "N"))
        return check_number(e, &b->options, w[-1].name, w->value);
    int rc = add_community(&b->options, w->value);
    if (rc == -E2BIG)
        exec_fail(e, STATUS_USAGE, "too many communities; at most 32 of a kind");
    else if (rc)
        exec_fail(e, STATUS_USAGE, "`%.60s` is not a community; expected N:N, N:N:N or a name like no-export",
                  w->value);
    return !rc;
}

static void bulk_drop(struct exec *e);

/* One step of the first pass. True while there is more of it, or it failed. */
static bool bulk_check(struct exec *e)
{
    struct bulk *b = e->state;
    if (!b) {
        b = exec_state(e, sizeof *b);
        e->drop = bulk_drop;
        if (b)
            b->prefixes = calloc(e->cmd->n, sizeof *b->prefixes);
        if (!b || !b->prefixes) {
            exec_fail(e, STATUS_REFUSED, "out of memory");
            return true;
        }
    }
    for (unsigned k = 0; k < PREFIXES_PER_STEP && b->checked < e->cmd->n; k++)
        if (!check_word(e, b, &e->cmd->words[b->checked++]))
            return true;
    return b->checked < e->cmd->n;
}

static int bulk_apply_one(struct exec *e, const struct prefix *p)
{
    struct bulk *b = e->state;
    if (e->cmd->row->id == CMD_ADVERTISE)
        return sources_advertise(e->s->sources, p, &b->options);
    return sources_withdraw(e->s->sources, p);
}

/* Withdrawing is checked as it goes: what is not there needs no taking back, and is said once, for the first.
 */
static bool bulk_apply(struct exec *e, unsigned max)
{
    struct bulk *b = e->state;
    char text[PREFIX_STRLEN];
    for (unsigned k = 0; k < max && b->applied < b->n; k++) {
        const struct prefix *p = &b->prefixes[b->applied++];
        int rc = bulk_apply_one(e, p);
        if (!rc || e->error)
            continue;
        prefix_format(p, text);
        if (rc == -EBUSY)
            exec_fail(e, STATUS_REFUSED, "%s is advertised by the configuration; remove it there and reload",
                      text);
        else if (rc == -ENOENT)
            exec_fail(e, STATUS_REFUSED, "%s is not advertised by a command", text);
        else
            exec_fail(e, STATUS_REFUSED, "%s: %s", text, strerror(-rc));
    }
    return b->applied < b->n;
}

static void bulk_drop(struct exec *e)
{
    struct bulk *b = e->state;
    if (b && b->applied && b->applied < b->n) {
        bulk_apply(e, UINT_MAX);
        control_state_changed(e->s->control);
    }
    if (b)
        free(b->prefixes);
    free(b);
}

static enum exec_result change_bulk(struct exec *e)
{
    struct bulk *b = e->state;
    if ((!b || b->checked < e->cmd->n) && bulk_check(e))
        return e->error ? EXEC_DONE : EXEC_MORE;
    b = e->state;
    bool more = bulk_apply(e, PREFIXES_PER_STEP);
    if (!more)
        control_state_changed(e->s->control);
    return more ? EXEC_MORE : EXEC_DONE;
}

enum exec_result change_advertise(struct exec *e)
{
    return change_bulk(e);
}

enum exec_result change_withdraw(struct exec *e)
{
    return change_bulk(e);
}

static enum exec_result clear_one(struct exec *e, struct peer *p, bool all)
{
    bool soft = command_has(e->cmd, "soft"), in = command_has(e->cmd, "in"), out = command_has(e->cmd, "out");
    int rc = 0;
    if (!soft) {
        peer_clear(p);
        return EXEC_DONE;
    }
    if (in || !out)
        rc = peer_soft_in(p);
    if (rc == -EOPNOTSUPP) {
        writer_text(e->w, "%s cannot refresh its routes; those it had sent were judged again\n",
                    peer_name(p));
        rc = 0;
    }
    if (!rc && (out || !in))
        rc = peer_soft_out(p);
    if (rc == -ENOTCONN && all)
        return EXEC_DONE;
    if (rc)
        return exec_fail(e, STATUS_REFUSED, "%s: %s", peer_name(p),
                         rc == -ENOTCONN ? "the session is not established" : strerror(-rc));
    return EXEC_DONE;
}

enum exec_result change_clear(struct exec *e)
{
    if (!command_has(e->cmd, "*")) {
        struct peer *p = show_find_peer(e);
        return p ? clear_one(e, p, false) : EXEC_DONE;
    }
    for (unsigned i = 0; i < peer_set_count(e->s->peers); i++)
        clear_one(e, peer_set_at(e->s->peers, i), true);
    return EXEC_DONE;
}

enum exec_result change_shutdown(struct exec *e)
{
    struct peer *p =
        e->cmd->row->id == CMD_SHUTDOWN ? peer_set_expect(e->s->peers, command_arg(e->cmd, "PEER")) : NULL;
    char message[256] = "";
    size_t n = 0;
    if (!p)
        p = show_find_peer(e);
    if (!p)
        return EXEC_DONE;
    for (unsigned i = 0; i < e->cmd->n; i++) {
        const struct command_word *w = &e->cmd->words[i];
        if (w->keyword || strcmp(w->name, "TEXT"))
            continue;
        if (n + (n > 0) + strlen(w->value) >= sizeof message) /* RFC 9003 section 2: 255 octets */
            return exec_fail(e, STATUS_USAGE, "the message is too long; at most 255 bytes");
        n += (size_t)snprintf(message + n, sizeof message - n, "%s%s", n ? " " : "", w->value);
    }
    if (e->cmd->row->id == CMD_SHUTDOWN) {
        peer_shutdown(p, *message ? message : NULL);
    } else {
        const char *old;
        if (!peer_is_shutdown(p, &old))
            return exec_fail(e, STATUS_REFUSED, "%s is not shut down by a command%s", peer_name(p),
                             peer_config(p)->shutdown ? "; the configuration says shutdown: true" : "");
        peer_no_shutdown(p);
    }
    control_state_changed(e->s->control);
    return EXEC_DONE;
}

static void drain_done(void *arg)
{
    struct exec *e = arg;
    e->wake(e->wake_arg);
}

static void drain_drop(struct exec *e)
{
    drain_forget(e->s->drain, e->state);
    free(e->state);
}

/* Who waits is about to switch the node off. */
static enum exec_result drain_waited(struct exec *e)
{
    if (drain_phase(e->s->drain) != DRAIN_WITHDRAWN)
        return exec_fail(e, STATUS_REFUSED, "the drain was taken back by another command");
    if (!drain_is_told(e->s->drain))
        return exec_fail(e, STATUS_REFUSED,
                         "drained, but not every peer has taken the withdrawal yet; see show bgp summary");
    return EXEC_DONE;
}

/* False: exec_fail was called. */
static bool drain_delay(struct exec *e, uint64_t *ms)
{
    const char *text = command_arg(e->cmd, "SECONDS");
    char *end;
    *ms = e->cmd->row->id == CMD_GRACEFUL_SHUTDOWN ? DRAIN_NEVER : DRAIN_AFTER_MS;
    if (!text)
        return true;
    unsigned long seconds = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : ULONG_MAX;
    if (seconds > DRAIN_AFTER_MOST_S || *end) {
        exec_fail(e, STATUS_USAGE, "after %.20s is out of range; expected 0 to %u seconds", text,
                  DRAIN_AFTER_MOST_S);
        return false;
    }
    *ms = seconds * 1000;
    return true;
}

enum exec_result change_drain(struct exec *e)
{
    struct drain *d = e->s->drain;
    uint64_t ms;
    if (e->state)
        return drain_waited(e);
    if (!drain_delay(e, &ms))
        return EXEC_DONE;
    drain_begin(d, ms, !command_arg(e->cmd, "SECONDS"));
    if (!command_has(e->cmd, "wait"))
        return EXEC_DONE;
    struct drain_waiter *w = exec_state(e, sizeof *w);
    if (!w)
        return EXEC_DONE;
    e->drop = drain_drop;
    *w = (struct drain_waiter){.wake = drain_done, .arg = e};
    return drain_wait(d, w) ? EXEC_WAIT : EXEC_DONE;
}

enum exec_result change_undrain(struct exec *e)
{
    drain_end(e->s->drain);
    return EXEC_DONE;
}

/* A reload or restart may end after its client has left: it answers to this, not to the client. */
struct reload_wait {
    struct exec *e; /* NULL: nobody waits any more */
    bool done;
    char *errors, *notes;
};

static void reload_free(struct reload_wait *r)
{
    free(r->errors);
    free(r->notes);
    free(r);
}

static void reload_done(void *arg, const char *errors, const char *notes)
{
    struct reload_wait *r = arg;
    if (!r->e) {
        reload_free(r);
        return;
    }
    r->done = true;
    r->errors = errors ? strdup(errors) : NULL;
    r->notes = notes ? strdup(notes) : NULL;
    r->e->wake(r->e->wake_arg);
}

static void reload_drop(struct exec *e)
{
    struct reload_wait *r = e->state;
    if (r && !r->done)
        r->e = NULL;
    else if (r)
        reload_free(r);
}

enum exec_result change_reload(struct exec *e)
{
    struct reload_wait *r = e->state;
    if (r && !r->done)
        return EXEC_WAIT;
    if (r) {
        if (r->notes && *r->notes)
            writer_text(e->w, "%s\n", r->notes);
        return r->errors ? exec_fail(e, STATUS_REFUSED, "%s", r->errors) : EXEC_DONE;
    }
    r = exec_state(e, sizeof *r);
    if (!r)
        return EXEC_DONE;
    r->e = e;
    int rc = speaker_reload(e->s, reload_done, r);
    if (rc)
        return exec_fail(e, STATUS_REFUSED, "%s", rc == -EBUSY ? "a reload is under way" : strerror(-rc));
    e->drop = reload_drop;
    return r->done ? change_reload(e) : EXEC_WAIT;
}

enum exec_result change_restart(struct exec *e)
{
    struct reload_wait *r = e->state;
    if (r && !r->done)
        return EXEC_WAIT;
    if (r) {
        if (r->errors)
            return exec_fail(e, STATUS_REFUSED, "%s", r->errors);
        writer_text(e->w, "%s\n", r->notes ? r->notes : "restarting");
        speaker_handover_end(e->s); /* the answer goes out in this turn still */
        return EXEC_DONE;
    }
    r = exec_state(e, sizeof *r);
    if (!r)
        return EXEC_DONE;
    r->e = e;
    int rc =
        speaker_handover_begin(e->s, command_has(e->cmd, "speaker") ? 0 : FM_RESTART_PARENT, reload_done, r);
    if (rc)
        return exec_fail(e, STATUS_REFUSED, "%s",
                         rc == -EBUSY ? "the daemon starts, stops, reloads or restarts" : strerror(-rc));
    e->drop = reload_drop;
    return r->done ? change_restart(e) : EXEC_WAIT;
}

enum exec_result change_log_level(struct exec *e)
{
    enum log_level level;
    if (log_level_parse(e->cmd->words[e->cmd->n - 1].name, &level))
        return exec_fail(e, STATUS_USAGE, "no such level");
    speaker_set_log_level(e->s, level);
    return EXEC_DONE;
}
