/* The CNI configuration of the node: pods get addresses of its pod CIDRs, which the underlay routes as they
 * are. Written once that is so, and never removed: without it no pod could be stopped properly. */
#ifndef UNDERLAY_KUBE_CNI_H
#define UNDERLAY_KUBE_CNI_H

#include <stdbool.h>

#include "config_kube.h"

struct speaker;

/* The network configuration list (CNI 0.4.0) as JSON: bridge or ptp with host-local addresses, then portmap.
 * *text is the caller's. 0, -EINVAL (no pod CIDR), -ENOMEM. */
int cni_conflist(const struct config_cni *c, const struct prefix *pod_cidrs, unsigned n, char **text);

struct cni;
struct cni *cni_new(struct speaker *s); /* NULL: out of memory */
void cni_free(struct cni *c);
/* The FIB is ready, or pod CIDRs are others. Cheap, and what follows happens once a turn of the loop. */
void cni_update(struct cni *c);
/* A configuration was applied: the file is looked at as well, whatever we wrote. */
void cni_apply(struct cni *c);

struct cni_info {
    const char *path;  /* NULL: off */
    const char *state; /* "written", "waiting for the FIB", "waiting for pod CIDRs", or what went wrong */
    bool written;      /* the file is there and says what it should */
};
void cni_info(const struct cni *c, struct cni_info *out); /* borrowed until the next turn */

#endif
