/* What show and metrics are told of Kubernetes. */
#include "kube/kube_internal.h"
#include "savedfile.h"

const char *kube_state_name(enum kube_state s)
{
    static const char *const names[] = {"off", "waiting", "listing", "current", "stale"};
    return names[s];
}

const char *kube_drain_name(enum kube_drain d)
{
    static const char *const names[] = {"off", "graceful-shutdown", "withdrawn"};
    return names[d];
}

void kube_info(const struct kube *k, struct kube_info *out)
{
    const struct kube_leave *leave = k->node.on ? &k->node : &k->services;
    *out = (struct kube_info){.server = "", .error = k->error, .readiness = ""};
    if (!k->on)
        return;
    bool known = k->from_disk || k->judged, failed = k->no_library;
    for (unsigned i = 0; k->client && i < KUBE_KINDS && k->reflectors[i]; i++) {
        reflector_info(k->reflectors[i], &out->kinds[i]);
        failed |= out->kinds[i].attempts > 0;
    }
    out->state = k->current && k->judged ? KUBE_STATE_CURRENT
                 : known && !k->current  ? KUBE_STATE_STALE
                 : failed                ? KUBE_STATE_WAITING
                                         : KUBE_STATE_LISTING;
    out->from_disk = k->from_disk;
    out->stale_ms = k->current || !k->stale_since_ms ? 0 : loop_now_ms() - k->stale_since_ms;
    out->expired = k->expired;
    out->server = k->client ? kube_client_server(k->client) : "";
    out->error = k->no_library ? k->no_library : k->error;
    out->settings_error = k->settings_error ? k->settings_error : "";
    out->drain = !leave->on ? KUBE_DRAIN_OFF : leave->withdrawn ? KUBE_DRAIN_WITHDRAWN : KUBE_DRAIN_GRACEFUL;
    out->drain_left_ms = out->drain == KUBE_DRAIN_GRACEFUL ? timer_remaining_ms(leave->grace) : 0;
    out->node_deleted = k->node.on;
    out->readiness = k->ready_error[0] ? k->ready_error : k->ready_done ? "done" : "waiting";
    out->save_error = savedfile_error(k->file);
    if (k->store)
        kube_store_counts(k->store, &out->counts);
    out->advertised = kube_advertise_count(k->advertise, UINT8_MAX);
}

const struct kube_store *kube_get_store(const struct kube *k)
{
    return k->on ? k->store : NULL;
}

const struct kube_advertise *kube_get_advertise(const struct kube *k)
{
    return k->advertise;
}
