/* What is kept on disk of Kubernetes for the next process: what is advertised, the annotations that are in
 * force, that we are leaving, and since when nobody could be asked. The lines of the file are saved.c's.
 *
 * What comes from there stands until the API server has confirmed or refuted it, but never against the
 * configuration: what that turns off is not advertised, whoever knew it. */
#include <string.h>

#include "config_overlay.h"
#include "kube/kube_internal.h"
#include "savedfile.h"
#include "source/source.h"

static void write_file(void *arg, FILE *f)
{
    struct kube *k = arg;
    char boot[64];
    const struct config_overlay *o = k->settings_asked ? k->settings_before : k->s->overlay;
    struct kube_saved head = {.node = k->on ? kube_config(k)->node : (char *)"",
                              .leaving = kube_node_leaving(k),
                              .stale_since_ms = k->current ? 0 : k->stale_since_ms};
    if (o)
        memcpy(head.annotations, o->text, sizeof head.annotations);
    kube_saved_write(f, &head, kube_boot_id(boot), k->advertise);
}

static const struct savedfile_ops file_ops = {
    .role = FM_ROLE_KUBE_STATE,
    .delay_ms = 1000,
    .rest_ms = 5000, /* services of a large cluster never rest, and each time the disk syncs */
    .failed = "cannot write what is known from Kubernetes; a start without the API server will not know it",
    .again = "what is known from Kubernetes is written again",
    .write = write_file,
};

struct savedfile *kube_disk_new(struct kube *k)
{
    return savedfile_new(k->s, k->s->kube_state_path, &file_ops, k);
}

static bool is_aggregate(const struct config_kube *c, const struct prefix *p)
{
    for (unsigned i = 0; i < c->services.n_cidrs; i++)
        if (prefix_equal(&c->services.cidrs[i], p))
            return c->services.mode[KUBE_CLUSTER_IP] == KUBE_VIP_AGGREGATE;
    return false;
}

/* What is left of it by the configuration, and when we have left. */
static struct kube_entry allowed(const struct kube *k, const struct kube_entry *e)
{
    const struct config_kube *c = kube_config(k);
    struct kube_entry out = *e;
    if (k->services.withdrawn || k->node.withdrawn)
        out.kinds = 0;
    if (k->node.withdrawn)
        out.by &= SOURCE_KUBE_VIP;
    for (unsigned i = 0; i < KUBE_VIP_KINDS; i++)
        if (c->services.mode[i] == KUBE_VIP_OFF || c->services.mode[i] == KUBE_VIP_AGGREGATE)
            out.kinds &= (uint8_t) ~(1u << i);
    if (!c->pod_cidrs)
        out.by &= (uint8_t)~SOURCE_KUBE_POD_CIDR;
    if (!c->node_address)
        out.by &= (uint8_t)~SOURCE_KUBE_NODE_ADDRESS;
    if (!is_aggregate(c, &e->prefix) || k->services.withdrawn)
        out.by &= (uint8_t)~SOURCE_KUBE_SERVICE_CIDR;
    if (!out.kinds) {
        out.by &= (uint8_t)~SOURCE_KUBE_VIP;
        out.service = NULL;
    }
    if (!out.kinds || !c->services.weight_by_endpoints)
        out.weight = 0;
    return out;
}

static void filter_entry(void *arg, const struct kube_entry *e)
{
    struct kube *k = arg;
    struct kube_entry out = allowed(k, e);
    if (e->unconfirmed && kube_advertise_set(k->advertise, &out))
        kube_changed(k);
}

void kube_disk_filter(struct kube *k)
{
    if (k->from_disk)
        kube_advertise_each(k->advertise, filter_entry, k);
}

void kube_disk_take(struct kube *k, struct kube_saved *saved)
{
    if (!saved->node || strcmp(saved->node, kube_config(k)->node) != 0)
        return;
    for (unsigned i = 0; i < saved->n_entries; i++) {
        const struct kube_entry e = allowed(k, &saved->entries[i]);
        kube_advertise_set(k->advertise, &e);
    }
    for (unsigned i = 0; i < KUBE_ANNOTATION_COUNT; i++) {
        k->annotations[i] = saved->annotations[i];
        saved->annotations[i] = NULL;
    }
    unsigned n = kube_advertise_count(k->advertise, UINT8_MAX);
    k->from_disk = n > 0;
    if (saved->same_boot && saved->stale_since_ms <= loop_now_ms())
        k->stale_since_ms = saved->stale_since_ms;
    if (k->from_disk)
        log_info("until the API server answers, what was last known is advertised", F_UINT("prefixes", n),
                 F_STR("boot", saved->same_boot ? "same" : "another"));
    kube_node_leave_again(k, saved->leaving);
    sources_kube_done(k->s->sources);
}
