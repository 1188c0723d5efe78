/* Settings of this node that its object's annotations give: when they change, the configuration is read again
 * with them, as by a reload. When that is refused, the annotations before stay in force, and the new ones are
 * tried again when they change once more, or when somebody reloads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_overlay.h"
#include "kube/kube_internal.h"

#define RETRY_MS 500

static void ask(void *arg);

bool kube_settings_new(struct kube *k)
{
    k->settings_retry = timer_new(k->s->loop, ask, k);
    return k->settings_retry;
}

void kube_settings_free(struct kube *k)
{
    timer_free(k->settings_retry);
    config_overlay_free(k->settings_before);
    config_overlay_free(k->settings_refused);
    free(k->settings_error);
}

static void reloaded(void *arg, const char *errors, const char *notes)
{
    struct kube *k = arg;
    (void)notes;
    free(k->settings_error);
    k->settings_error = errors ? strndup(errors, strcspn(errors, "\n")) : NULL;
    if (errors) {
        log_warn("the annotations of the node are not in force", F_STR("reason", k->settings_error));
        config_overlay_free(k->settings_refused);
        k->settings_refused = k->s->overlay;
        k->s->overlay = k->settings_before;
    } else {
        config_overlay_free(k->settings_before);
    }
    k->settings_before = NULL;
    k->settings_asked = false;
    kube_changed(k);
    kube_settings_seen(k); /* they may have changed meanwhile */
    speaker_peer_state_changed(k->s);
}

bool kube_settings_pending(const struct kube *k)
{
    return k->settings_asked || timer_running(k->settings_retry);
}

static void forget_refused(struct kube *k)
{
    config_overlay_free(k->settings_refused);
    free(k->settings_error);
    k->settings_refused = NULL;
    k->settings_error = NULL;
}

static bool is_new(struct kube *k)
{
    struct config_overlay o;
    memcpy(o.text, k->annotations, sizeof o.text);
    if (config_overlay_equal(&o, k->s->overlay)) {
        forget_refused(k); /* they are what is in force, again */
        return false;
    }
    return !(k->settings_refused && config_overlay_equal(&o, k->settings_refused));
}

/* Not while it starts or somebody else reloads, and not again and again for annotations that never rest. */
static bool may_ask(struct kube *k)
{
    uint32_t more;
    return k->s->running && !k->s->reloading && log_limit_ok(&k->settings_rate, loop_now_ms(), &more);
}

static void ask(void *arg)
{
    struct kube *k = arg;
    if (!k->on || k->stopped || k->settings_asked || !is_new(k))
        return;
    struct config_overlay *o = may_ask(k) ? config_overlay_new(k->annotations) : NULL;
    if (!o) {
        timer_set(k->settings_retry, RETRY_MS);
        return;
    }
    k->settings_before = k->s->overlay;
    k->s->overlay = o;
    k->settings_asked = true;
    log_info("the annotations of the node have changed: reading the configuration with them");
    int rc = speaker_reload(k->s, reloaded, k);
    if (!rc)
        return;
    k->settings_asked = false;
    k->s->overlay = k->settings_before;
    k->settings_before = NULL;
    config_overlay_free(o);
    timer_set(k->settings_retry, RETRY_MS);
}

void kube_settings_seen(struct kube *k)
{
    if (kube_config(k)->node_annotations)
        ask(k);
    else if (!k->settings_asked)
        forget_refused(k);
}

void kube_settings_again(struct kube *k)
{
    config_overlay_free(k->settings_refused);
    k->settings_refused = NULL;
}
