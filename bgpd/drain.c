/* The clock of a drain; what goes out then is source/source.c's (sources_drain).
 *
 * Withdrawn is all that the node originates, pod CIDRs too: who drains has moved the pods away or is about to
 * switch off, and GRACEFUL_SHUTDOWN has given the other nodes their chance before. A VIP stays on its
 * interface, and a pod CIDR keeps its unreachable route: packets that are still under way arrive.
 *
 * It outlives the speaker by a line of the state file, which says for which daemon it was meant: a daemon
 * that was started anew (after a reboot, an upgrade) begins undrained, as the operator who boots a node
 * expects. The parent keeps its process id, and its start time, when it executes itself anew. */
#include "drain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/control.h"
#include "log.h"
#include "loop.h"
#include "peer.h"
#include "source/source.h"
#include "speaker.h"

#define LOOK_MS 50   /* between two looks whether peers have been told */
#define TELL_MS 5000 /* for them at most */

struct drain {
    struct speaker *s;
    enum drain_phase phase;
    uint64_t since_ms, due_ms; /* of the present phase; of the withdrawal, DRAIN_NEVER */
    struct timer *timer;
    struct drain_waiter *waiters;
    char daemon[128]; /* which one this is */
};

static void read_word(const char *path, unsigned nth, char *out, size_t size)
{
    char line[1024] = "", *save = NULL, *word = NULL;
    FILE *f = fopen(path, "re");
    if (f && fgets(line, sizeof line, f)) {
        char *name_end = strrchr(line, ')'); /* of /proc/PID/stat: a name may have blanks */
        word = strtok_r(name_end ? name_end + 1 : line, " \n", &save);
        while (word && nth--)
            word = strtok_r(NULL, " \n", &save);
    }
    if (f)
        fclose(f);
    snprintf(out, size, "%s", word ? word : "");
}

/* The boot, the parent's process id, and when it was started. */
static void name_daemon(struct drain *d)
{
    char path[64], boot[48], started[32];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)getppid());
    read_word("/proc/sys/kernel/random/boot_id", 0, boot, sizeof boot);
    read_word(path, 19, started, sizeof started); /* starttime, the 22nd field */
    snprintf(d->daemon, sizeof d->daemon, "%s/%d/%s", boot, (int)getppid(), started);
}

static void wake_all(struct drain *d)
{
    while (d->waiters) {
        struct drain_waiter *w = d->waiters;
        d->waiters = w->next;
        w->wake(w->arg);
    }
}

static void apply(struct drain *d, enum drain_phase phase)
{
    d->phase = phase;
    d->since_ms = loop_now_ms();
    int rc = sources_drain(d->s->sources, phase);
    if (rc)
        log_error("cannot change all that is advertised", F_ERR(rc));
    speaker_drain_changed(d->s);
}

bool drain_is_told(const struct drain *d)
{
    struct peer_set *ps = d->s->peers;
    for (unsigned i = 0; i < peer_set_count(ps); i++) {
        struct peer_info info;
        if (!peer_established(peer_set_at(ps, i)))
            continue;
        peer_info(peer_set_at(ps, i), &info);
        if (adjout_pending(peer_adjout(peer_set_at(ps, i))) || info.outq)
            return false;
    }
    return true;
}

static void withdraw(struct drain *d)
{
    log_info("drained: what this node originates is withdrawn",
             F_UINT("prefixes", sources_count(d->s->sources)));
    apply(d, DRAIN_WITHDRAWN);
    control_state_changed(d->s->control);
    if (d->waiters)
        timer_set(d->timer, LOOK_MS);
}

static void due(void *arg)
{
    struct drain *d = arg;
    if (d->phase == DRAIN_SHUTDOWN)
        withdraw(d);
    else if (drain_is_told(d) || loop_now_ms() - d->since_ms > TELL_MS)
        wake_all(d);
    else
        timer_set(d->timer, LOOK_MS);
}

struct drain *drain_new(struct speaker *s)
{
    struct drain *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->s = s;
    d->timer = timer_new(s->loop, due, d);
    if (!d->timer) {
        free(d);
        return NULL;
    }
    name_daemon(d);
    return d;
}

void drain_free(struct drain *d)
{
    if (!d)
        return;
    timer_free(d->timer);
    free(d);
}

static void set_due(struct drain *d, uint64_t after_ms)
{
    d->due_ms = after_ms == DRAIN_NEVER ? DRAIN_NEVER : loop_now_ms() + after_ms;
    if (d->due_ms == DRAIN_NEVER)
        timer_stop(d->timer);
    else
        timer_set(d->timer, after_ms);
    if (d->due_ms == DRAIN_NEVER)
        log_info("graceful shutdown: what this node originates is sent as a last choice");
    else
        log_info("draining: what this node originates is sent as a last choice, and withdrawn later",
                 F_UINT("after", after_ms / 1000));
}

void drain_begin(struct drain *d, uint64_t after_ms, bool again)
{
    bool has_delay = d->phase == DRAIN_SHUTDOWN && d->due_ms != DRAIN_NEVER;
    if (d->phase == DRAIN_WITHDRAWN || (again && has_delay))
        return;
    set_due(d, after_ms);
    if (d->phase == DRAIN_OFF)
        apply(d, DRAIN_SHUTDOWN);
    control_state_changed(d->s->control);
}

void drain_end(struct drain *d)
{
    if (d->phase == DRAIN_OFF)
        return;
    log_info("no longer drained: what this node originates is advertised as before");
    timer_stop(d->timer);
    apply(d, DRAIN_OFF);
    control_state_changed(d->s->control);
    wake_all(d);
}

enum drain_phase drain_phase(const struct drain *d)
{
    return d->phase;
}

uint64_t drain_left_ms(const struct drain *d)
{
    uint64_t now = loop_now_ms();
    if (d->phase != DRAIN_SHUTDOWN)
        return 0;
    return d->due_ms == DRAIN_NEVER ? DRAIN_NEVER : d->due_ms > now ? d->due_ms - now : 0;
}

const char *drain_text(const struct drain *d, char *buf, size_t size)
{
    uint64_t left = drain_left_ms(d);
    if (d->phase == DRAIN_OFF)
        return NULL;
    if (d->phase == DRAIN_WITHDRAWN)
        snprintf(buf, size, "what this node originates is withdrawn");
    else if (left == DRAIN_NEVER)
        snprintf(buf, size, "graceful shutdown is said");
    else
        snprintf(buf, size, "graceful shutdown is said, withdrawal in %" PRIu64 " s", (left + 999) / 1000);
    return buf;
}

bool drain_wait(struct drain *d, struct drain_waiter *w)
{
    if (d->phase == DRAIN_OFF || drain_left_ms(d) == DRAIN_NEVER ||
        (d->phase == DRAIN_WITHDRAWN && drain_is_told(d)))
        return false;
    w->next = d->waiters;
    d->waiters = w;
    if (d->phase == DRAIN_WITHDRAWN)
        timer_set(d->timer, LOOK_MS);
    return true;
}

void drain_forget(struct drain *d, struct drain_waiter *w)
{
    struct drain_waiter **p = &d->waiters;
    while (*p && *p != w)
        p = &(*p)->next;
    if (*p)
        *p = w->next;
}

void drain_save(const struct drain *d, FILE *f)
{
    if (d->phase != DRAIN_OFF)
        fprintf(f, "drain-of %s %" PRIu64 "\n", d->daemon, d->phase == DRAIN_WITHDRAWN ? 0 : d->due_ms);
}

bool drain_restore(struct drain *d, const char *line)
{
    static const char word[] = "drain-of ";
    if (strncmp(line, word, sizeof word - 1))
        return false;
    line += sizeof word - 1;
    size_t n = strcspn(line, " ");
    uint64_t now = loop_now_ms();
    if (n != strlen(d->daemon) || strncmp(line, d->daemon, n) || !line[n])
        return true;
    d->due_ms = strtoull(line + n + 1, NULL, 10);
    if (d->due_ms != DRAIN_NEVER && d->due_ms > now)
        timer_set(d->timer, d->due_ms - now);
    log_info("still drained, as before this speaker");
    apply(d, d->due_ms > now ? DRAIN_SHUTDOWN : DRAIN_WITHDRAWN);
    return true;
}
