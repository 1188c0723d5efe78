/* Between kube.c and the files that have a part of it. */
#ifndef UNDERLAY_KUBE_INTERNAL_H
#define UNDERLAY_KUBE_INTERNAL_H

#include "config.h"
#include "kube/client.h"
#include "kube/kube.h"
#include "kube/saved.h"
#include "log.h"
#include "loop.h"
#include "speaker.h"

/* One reason to leave: GRACEFUL_SHUTDOWN is said first, and after the grace it is withdrawn. */
struct kube_leave {
    bool on, withdrawn;
    uint64_t since_ms;
    struct timer *grace;
};

struct kube {
    struct speaker *s;
    bool on, stopped;
    const char *no_library; /* what the client needs is not installed; NULL: it is */
    struct kube_client *client;
    struct reflector *reflectors[KUBE_KINDS];
    struct kube_store *store;
    struct kube_advertise *advertise;
    struct task *judge;
    struct savedfile *file;
    bool from_disk; /* until all kinds were listed */
    bool judged;    /* what is known in the store was judged once */
    struct log_limit changes, left_out;
    /* staleness */
    bool current, expired, kind_current[KUBE_KINDS];
    uint64_t stale_since_ms;
    struct timer *stale;
    char error[320];
    struct timer *error_due; /* to be said in the log, if it is still so */
    /* kube_node.c */
    uint64_t node_version; /* of the store's, which was seen last */
    bool excluded;         /* last known */
    struct kube_leave services, node;
    char *annotations[KUBE_ANNOTATION_COUNT]; /* last known */
    /* settings.c */
    struct timer *settings_retry;
    struct log_limit settings_rate;
    bool settings_asked;
    struct config_overlay *settings_before; /* in force, while a reload is under way */
    struct config_overlay *settings_refused;
    char *settings_error;
    /* readiness.c */
    struct kube_request *patch;
    struct timer *patch_retry;
    uint32_t patch_wait_ms;
    struct log_limit told;
    bool ready_done;
    unsigned patch_status;
    char ready_error[256];
};

const struct config_kube *kube_config(const struct kube *k);
void kube_changed(struct kube *k); /* what is to be kept on disk is another */

/* kube_node.c: the node object, and what follows from it. */
bool kube_node_new(struct kube *k);
void kube_node_free_parts(struct kube *k);
void kube_node_seen(struct kube *k);  /* the store's node may be another, or its list is complete */
void kube_node_again(struct kube *k); /* the configuration is another */
unsigned kube_node_leaving(const struct kube *k); /* KUBE_SAVED_…, while the grace lasts */
void kube_node_leave_again(struct kube *k, unsigned leaving);
void kube_node_apply(struct kube *k); /* pod CIDRs, addresses, service CIDRs once more */
void kube_node_reset(struct kube *k);
unsigned kube_node_wants(const struct kube *k, const struct prefix *p); /* enum source_kube but VIP */

/* settings.c: annotations into the configuration. */
bool kube_settings_new(struct kube *k);
void kube_settings_free(struct kube *k);
void kube_settings_seen(struct kube *k);
bool kube_settings_pending(const struct kube *k);
void kube_settings_again(struct kube *k); /* the configuration is another: what was refused may do now */

/* kube_disk.c */
struct savedfile *kube_disk_new(struct kube *k);
void kube_disk_take(struct kube *k, struct kube_saved *saved); /* before anything is asked */
void kube_disk_filter(
    struct kube *k); /* the configuration is another, or we have left: what is in the way goes */

/* readiness.c */
bool kube_readiness_new(struct kube *k);
void kube_readiness_free(struct kube *k);
void kube_readiness_check(struct kube *k);
void kube_readiness_reset(struct kube *k);

#endif
