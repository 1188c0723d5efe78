/* What was last known from Kubernetes, as lines of a file: a node that starts while the API server is away
 * advertises by it. */
#ifndef UNDERLAY_KUBE_SAVED_H
#define UNDERLAY_KUBE_SAVED_H

#include <stdio.h>

#include "kube/advertise.h"
#include "kube/object.h"

#define KUBE_SAVED_MAX_BYTES (32u << 20)

struct kube_saved {
    char *node;     /* whose it is; NULL: nothing was saved */
    bool same_boot; /* written since the last boot: pods that ran then may run now, and VIPs count */
    char *annotations[KUBE_ANNOTATION_COUNT]; /* NULL: none */
    struct kube_entry *entries;               /* VIPs only with same_boot; unconfirmed */
    unsigned n_entries;
    unsigned ignored; /* lines that made no sense */
};
/* Reads it with the privilege of the start. 0, -ENOENT: none yet, or -errno. */
int kube_saved_load(const char *path, struct kube_saved *out);
/* From text; changes it. For the above and its test. boot: of now. */
int kube_saved_parse(char *text, const char *boot, struct kube_saved *out);
void kube_saved_reset(struct kube_saved *s);

void kube_saved_write(FILE *f, const char *node, const char *boot, const char *const *annotations,
                      const struct kube_advertise *a);
const char *kube_boot_id(char buf[64]); /* of this boot of the machine; "" when it cannot be told */

#endif
