/* Settings of this node that its object's annotations give. */
#include <stdlib.h>

#include "kube/kube_internal.h"

bool kube_settings_new(struct kube *k)
{
    (void)k;
    return true;
}
void kube_settings_free(struct kube *k)
{
    free(k->settings_error);
}
void kube_settings_seen(struct kube *k)
{
    (void)k;
}
