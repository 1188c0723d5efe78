/* Kubernetes as a source of what this node advertises (advertise.kubernetes): watches the API server, applies
 * the rules, and keeps the last word for the time when it is away. */
#ifndef UNDERLAY_KUBE_KUBE_H
#define UNDERLAY_KUBE_KUBE_H

#include "kube/advertise.h"
#include "kube/reflector.h"
#include "kube/store.h"

struct speaker;
struct config;
struct kube;

struct kube *kube_new(struct speaker *s); /* NULL: out of memory */
void kube_free(struct kube *k);
/* The configuration in force is s->config; before is the one until now, NULL at the start. */
void kube_apply(struct kube *k, const struct config *before);
void kube_addresses_changed(struct kube *k);
void kube_ready_changed(struct kube *k); /* s->fib_settled, or a session */
/* Neither the API server nor a file has said yet what to advertise and who our peers are, and either may come
 * at any moment: whoever kept what we had before may keep it for a while longer. When that ends,
 * speaker_peer_state_changed is called. */
bool kube_is_awaited(const struct kube *k);
void kube_stop(struct kube *k); /* the daemon stops: nothing is asked any more; what is advertised stays */
/* Writes what is still due to disk; done is called once, also at once. */
void kube_flush(struct kube *k, void (*done)(void *arg), void *arg);

enum kube_state {
    KUBE_STATE_OFF,
    KUBE_STATE_WAITING, /* nothing is known yet, and the last attempt failed */
    KUBE_STATE_LISTING, /* nothing is known yet */
    KUBE_STATE_CURRENT,
    KUBE_STATE_STALE, /* what is known is as old as it is */
};
enum kube_drain { KUBE_DRAIN_OFF, KUBE_DRAIN_GRACEFUL, KUBE_DRAIN_WITHDRAWN };
struct kube_info {
    enum kube_state state;
    bool from_disk;             /* what is advertised is what an earlier process knew */
    uint64_t stale_ms;          /* 0 when current */
    bool expired;               /* stale-after has passed: the VIPs are withdrawn */
    const char *server;         /* "" none was reached yet */
    const char *error;          /* "" none */
    const char *settings_error; /* why the annotations of the node are not in force; "" none */
    enum kube_drain drain;
    bool node_deleted;
    uint64_t drain_left_ms; /* of KUBE_DRAIN_GRACEFUL */
    const char *readiness;  /* "", "done", "waiting", or why it failed */
    int save_error;         /* -errno; 0 none */
    struct reflector_info kinds[KUBE_KINDS];
    struct kube_store_counts counts;
    unsigned advertised; /* prefixes */
};
void kube_info(const struct kube *k, struct kube_info *out);
const char *kube_state_name(enum kube_state s);       /* "current" */
const char *kube_drain_name(enum kube_drain d);       /* "graceful-shutdown" */
extern const char *const kube_kind_names[KUBE_KINDS]; /* "nodes", "services", "endpointslices" */
/* Borrowed; NULL when off. */
const struct kube_store *kube_get_store(const struct kube *k);
const struct kube_advertise *kube_get_advertise(const struct kube *k);

#endif
