/* What the modules of the parent share: struct fib and the events between them. */
#ifndef UNDERLAY_FIB_INTERNAL_H
#define UNDERLAY_FIB_INTERNAL_H

#include "fib/fib.h"
#include "fib/heal.h"
#include "fib/kernel.h"
#include "fibmsg.h"
#include "log.h"
#include "loop.h"

struct links;
struct nexthops;
struct groups;
struct routes;
struct reconcile;
struct roles;
struct dispatch;
struct supervisor;
struct binds;
struct notify;
struct handover;
struct bfd;

struct fib {
    struct loop *loop;
    struct kernel *kernel;
    struct fibchan *chan; /* to the speaker, NULL while there is none */
    struct links *links;
    struct nexthops *nexthops;
    struct groups *groups;
    struct routes *routes;
    struct reconcile *reconcile;
    struct roles *roles;
    struct dispatch *dispatch;
    struct supervisor *supervisor;
    struct binds *binds;
    struct notify *notify;
    struct handover *handover;
    struct bfd *bfd;
    struct timer *resolve; /* next hops must be resolved again */
    struct timer *stale;   /* the sweep, when the speaker does not ask for it */
    struct task *resolver; /* which is done in parts */
    struct timer *mend;    /* nexthop objects that others have taken away or changed */
    struct heal mending;
    uint64_t resolve_backoff_ms, resolved_ms;
    bool resolve_refused;
    int events_lost; /* -errno, until all that waits is read and looked at: -EINTR, a look was interrupted */
    struct fm_settings settings;
    bool configured;     /* settings are known, once for the life of the parent */
    bool started;        /* and the sockets are open: what the kernel has of our protocol is ours */
    bool install;        /* settings ask for it and the kernel is ours to write to */
    bool reload_wanted;  /* SIGHUP came while the speaker was starting */
    bool restart_wanted; /* SIGUSR2 did */
    bool speaker_knows;  /* FM_LINK and FM_ADDRESS of the present state were sent */
    bool examined;       /* the first look at the kernel's routes is over */
    bool sync_due;       /* the speaker waits for that */
    bool withdraws;      /* a stop does, whatever the settings say: SIGUSR1 */
    bool was_ready;      /* a speaker of this process */
    bool ran;            /* one before the present one */
};

/* On a struct fib with loop and kernel set. False: out of memory; what was made is freed by the other. */
bool fib_make_modules(struct fib *f, const struct fib_options *o);
void fib_free_modules(struct fib *f);
/* To the speaker, when there is one; a message that cannot be queued ends the speaker. */
void fib_tell(struct fib *f, enum fm_type type, const void *records, uint32_t n);
/* Settings arrived or were confirmed: checks the kernel. 0 or -errno, then already logged. */
int fib_configure(struct fib *f, const struct fm_settings *s);
/* 0 or -errno, then already logged and the parent about to end. */
int fib_speaker_started(
    struct fib *f); /* FM_START: the kernel side starts, links and addresses go to the speaker */
void fib_speaker_ready(struct fib *f, const char *status);
void fib_speaker_status(struct fib *f, const char *status);
void fib_speaker_reloading(struct fib *f);
void fib_set_log(struct fib *f, const struct fm_log *m);
void fib_speaker_gone(struct fib *f);
void fib_sweep(struct fib *f);           /* what was not confirmed goes */
bool fib_preserves(const struct fib *f); /* a stop leaves all as it is */
void fib_examined(struct fib *f);        /* the first look at the kernel is over */
void fib_stop(struct fib *f,
              int status); /* ends the loop; withdraws first as the settings say when status is 0 */

/* events.c: what follows from the kernel's news. */
bool fib_events_init(struct fib *f); /* false: out of memory */
void fib_events_reset(struct fib *f);
void fib_on_monitor(void *f, int fd, unsigned events);
/* Events that the monitor, or a new look at the kernel, gives rise to; links.c raises them. */
void fib_link_changed(struct fib *f, uint32_t ifindex, bool up);
void fib_address_changed(struct fib *f, const struct kaddress *a, bool deleted);
/* Next hops must be resolved again, and groups with them: soon, or after a back-off because the kernel
 * refused something. */
void fib_nexthops_changed(struct fib *f, bool soon);
/* Whether the monitor hears of route changes; while it does not, next hops that depend on them are resolved
 * again now and then. */
void fib_monitor_routes(struct fib *f, bool on);

static inline struct ip_addr fm_addr(uint8_t af, const uint8_t *bytes)
{
    return addr_from_bytes(af, bytes);
}

#endif
