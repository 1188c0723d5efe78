/* Settings of this node that are not in its configuration file, which all nodes share, but in annotations of
 * its Node object: AS number, router id and peers. With `compat: kube-router` those of kube-router as well.
 *
 * They reach config_load through struct config_files and are checked as the file is. What is wrong with one
 * is an error like any other ("annotation underlay.io/peers: [0].asn: …"), so that nothing changes by it. */
#ifndef UNDERLAY_CONFIG_OVERLAY_H
#define UNDERLAY_CONFIG_OVERLAY_H

#include <stdbool.h>

#include "kube/object.h"

struct config_overlay {
    char *text[KUBE_ANNOTATION_COUNT]; /* as they stand in the object; NULL: none */
};
/* A copy. NULL: out of memory. */
struct config_overlay *config_overlay_new(char *const annotations[KUBE_ANNOTATION_COUNT]);
void config_overlay_free(struct config_overlay *o);
/* NULL is one without annotations. */
bool config_overlay_equal(const struct config_overlay *a, const struct config_overlay *b);

#endif
