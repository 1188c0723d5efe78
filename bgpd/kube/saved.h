/* What was last known from Kubernetes, as lines of a file: a node that starts while the API server is away
 * advertises by it. */
#ifndef UNDERLAY_KUBE_SAVED_H
#define UNDERLAY_KUBE_SAVED_H

#include <stdio.h>

#include "kube/advertise.h"
#include "kube/object.h"

#define KUBE_SAVED_MAX_BYTES (32u << 20)

enum { KUBE_SAVED_SERVICES_LEAVE = 1, KUBE_SAVED_NODE_LEAVES = 2 };
struct kube_saved {
    char *node;     /* whose it is; NULL: nothing was saved */
    bool same_boot; /* written since the last boot: pods that ran then may run now, and VIPs count */
    char *annotations[KUBE_ANNOTATION_COUNT]; /* NULL: none */
    unsigned leaving;                         /* sent with GRACEFUL_SHUTDOWN then */
    uint64_t stale_since_ms;    /* since when not in step, by loop_now_ms of that boot; 0: it was in step */
    struct kube_entry *entries; /* VIPs only with same_boot; unconfirmed */
    unsigned n_entries;
    unsigned ignored; /* lines that made no sense */
};
/* Reads it with the privilege of the start. 0, -ENOENT: none yet, or -errno. */
int kube_saved_load(const char *path, struct kube_saved *out);
/* From text; changes it. For the above and its test. boot: of now. */
int kube_saved_parse(char *text, const char *boot, struct kube_saved *out);
void kube_saved_reset(struct kube_saved *s);

/* head: what does not come from the others. */
void kube_saved_write(FILE *f, const struct kube_saved *head, const char *boot,
                      const struct kube_advertise *a);
const char *kube_boot_id(char buf[64]); /* of this boot of the machine; "" when it cannot be told */

#endif
