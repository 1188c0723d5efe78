/* The speaker: the unprivileged process that everything on the network can reach. This struct ties the
 * modules together; modules take it as first argument when they need more than one of the others. */
#ifndef UNDERLAY_SPEAKER_H
#define UNDERLAY_SPEAKER_H

#include <sys/types.h>

#include "config.h"
#include "configfile.h"
#include "log.h"
#include "loop.h"
#include "rib/rib.h"

struct peer_set;
struct fibclient;
struct sources;
struct control;
struct watch;
struct speaker_handover;
struct drain;
struct health;
struct http;
struct kube;
struct kube_saved;
struct cni;

struct speaker {
    struct loop *loop;
    struct config *config;          /* the one in force */
    const char *config_name;        /* path, for messages */
    struct config_overlay *overlay; /* what annotations of the node say, for the next reload; NULL: nothing */
    struct attr_table *attrs;
    struct nexthop_table *nexthops;
    struct rib *rib;
    struct task *rib_task; /* rib_work */
    struct peer_set *peers;
    struct fibclient *fib;
    struct sources *sources;
    struct control *control;
    struct watch *watch;
    struct speaker_handover *handover;
    bool taking_over; /* during speaker_handover_resume */
    struct drain *drain;
    struct health *health;
    struct http *http;
    struct kube *kube;
    struct kube_saved *kube_saved; /* at the start only; NULL: nothing */
    struct cni *cni;
    uint32_t router_id; /* host order; configured or chosen */
    uint64_t started_ms;
    int64_t started_wall;
    bool kept[FAM_COUNT]; /* the kernel has routes of ours from before this process */
    bool running;         /* links and state file known, peers started */
    bool deferring;       /* End-of-RIB of what we learn: after a restart, until peers have sent theirs */
    bool whole;           /* a hand-over has brought all routes: no peer that is down is waited for then */
    struct timer *defer;
    bool fib_settled; /* see control/health.h */
    struct {
        uint64_t done, refused; /* reloads */
        bool last_refused;
        int64_t done_wall; /* when the configuration in force was read */
    } reloads;
    bool stopping, reloading, reload_again;
    bool preserve; /* of the stop under way: routes stay in the kernel */
    bool failed;   /* to start: the process ends with a status that says how */

    /* Of the start. */
    const char *log_level; /* --log-level, NULL */
    char *control_path, *state_path, *kube_state_path;
    struct keyfiles keys; /* password files by the number that the parent knows them by */
    uid_t uid;            /* the account without privilege */
    gid_t gid;
    unsigned fds_missing; /* control socket and all listeners that the parent still owes us */
    bool links_known, ready;
};

struct speaker_options {
    int fib_fd; /* the socketpair to the parent */
    const char *config;
    const char *control_socket; /* NULL: the configuration's */
    const char *user;           /* NULL: underlay, else nobody with a warning */
    const char *log_level;      /* NULL: the configuration's */
};
int speaker_main(const struct speaker_options *o); /* exit status of underlayd */

/* Reads the configuration again through the parent and applies it; done gets the error text (NULL: applied)
 * and notes (settings that need a restart; NULL none). -EBUSY: a reload is under way. */
int speaker_reload(struct speaker *s, void (*done)(void *arg, const char *errors, const char *notes),
                   void *arg);

/* The same without applying anything. */
int speaker_check(struct speaker *s, void (*done)(void *arg, const char *errors, const char *notes),
                  void *arg);

/* Events between the modules. */
void speaker_state_loaded(struct speaker *s); /* control: the state file has been read and its commands run */
void speaker_peer_state_changed(
    struct speaker *s); /* some session came up, went down or finished its End-of-RIB */
void speaker_own_prefixes_changed(
    struct speaker *s); /* import must be judged again; pod CIDRs may be others */
int speaker_import(struct speaker *s, enum family f, const struct prefix *p, const struct attr **a,
                   const struct rib_peer *from, bool judged); /* as rib_hooks.import */
void speaker_drain_changed(struct speaker *s);
void speaker_fib_idle(struct speaker *s); /* fibclient: the kernel has answered for all that it was told */
/* Derived from a configuration. */
struct rib_config speaker_rib_config(const struct config *c);
void speaker_log_setup(const struct speaker *s, const struct config *c);
void speaker_set_log_level(struct speaker *s,
                           enum log_level level); /* of both processes, until the next reload */
void speaker_log_changed(struct speaker *s);      /* the parent logs as we do */
void speaker_ready_again(struct speaker *s);      /* after a reload: READY=1 with a new status line */

#endif
