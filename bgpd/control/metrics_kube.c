/* The families about Kubernetes; none when it is off. Names of the objects are no labels: a cluster has too
 * many of them. */
#include <inttypes.h>
#include <stdio.h>

#include "control/metrics.h"
#include "kube/cni.h"
#include "kube/kube.h"
#include "loop.h"
#include "speaker.h"

static void begin(struct metrics *w, const char *name, enum metric_type type, const char *unit,
                  const char *help)
{
    metrics_family(w, &(struct metric){name, type, unit, help});
}

static void put_one(struct metrics *w, const char *name, const char *unit, const char *help, uint64_t value)
{
    begin(w, name, METRIC_GAUGE, unit, help);
    metrics_put(w, NULL, value);
}

static void put_kinds(struct metrics *w, const struct kube_info *i)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } counters[] = {
#define COUNT(field) offsetof(struct reflector_info, count.field)
        {"underlay_kubernetes_lists", "Complete lists asked of the API server.", COUNT(lists)},
        {"underlay_kubernetes_watches", "Watches begun.", COUNT(watches)},
        {"underlay_kubernetes_events", "Events of watches, bookmarks apart.", COUNT(events)},
        {"underlay_kubernetes_expired",
         "Lists that had to begin anew because the server had forgotten (410).", COUNT(gone)},
        {"underlay_kubernetes_stalls", "Watches ended because nothing came any more.", COUNT(stalls)},
        {"underlay_kubernetes_malformed", "Answers that could not be read.", COUNT(malformed)},
        {"underlay_kubernetes_failures", "Requests that failed.", COUNT(failures)},
#undef COUNT
    };
    char labels[64];
    begin(w, "underlay_kubernetes_current", METRIC_GAUGE, NULL, "1 while the watch of this kind stands.");
    for (unsigned k = 0; k < KUBE_KINDS; k++) {
        snprintf(labels, sizeof labels, "kind=\"%s\"", kube_kind_names[k]);
        metrics_put(w, labels, i->kinds[k].current);
    }
    for (size_t c = 0; c < sizeof counters / sizeof *counters; c++) {
        begin(w, counters[c].name, METRIC_COUNTER, NULL, counters[c].help);
        for (unsigned k = 0; k < KUBE_KINDS; k++) {
            snprintf(labels, sizeof labels, "kind=\"%s\"", kube_kind_names[k]);
            metrics_put(w, labels, *(const uint64_t *)((const char *)&i->kinds[k] + counters[c].offset));
        }
    }
}

void metrics_kube(struct metrics *w, const struct speaker *s)
{
    struct kube_info i;
    struct cni_info cni;
    kube_info(s->kube, &i);
    cni_info(s->cni, &cni);
    if (cni.path)
        put_one(w, "underlay_cni_written", NULL,
                "1 when the CNI configuration is there and says what it should.", cni.written);
    if (i.state == KUBE_STATE_OFF)
        return;
    begin(w, "underlay_kubernetes_stale_seconds", METRIC_GAUGE, "seconds",
          "How long not in step with the API server; 0 in step.");
    metrics_put_milli(w, NULL, i.stale_ms);
    put_one(w, "underlay_kubernetes_from_disk", NULL,
            "1 while what is advertised is what an earlier run knew.", i.from_disk);
    put_one(w, "underlay_kubernetes_saved", NULL,
            "0 while what is known cannot be written to disk for the next start.", !i.save_error);
    put_one(w, "underlay_kubernetes_draining", NULL,
            "Cordoned, tainted or deleted: 0 no, 1 graceful shutdown is said, 2 withdrawn.", i.drain);
    put_one(w, "underlay_kubernetes_services", NULL, "Services known.", i.counts.services);
    put_one(w, "underlay_kubernetes_addresses", NULL, "Addresses of services.", i.counts.addresses);
    begin(w, "underlay_kubernetes_endpoints", METRIC_GAUGE, NULL, "Ready endpoints.");
    metrics_put(w, "where=\"here\"", i.counts.endpoints_here);
    metrics_put(w, "where=\"cluster\"", i.counts.endpoints);
    put_one(w, "underlay_kubernetes_advertised", NULL, "Prefixes advertised for Kubernetes.", i.advertised);
    put_one(w, "underlay_kubernetes_settings_valid", NULL,
            "0 when the annotations of the node are not in force.", !*i.settings_error);
    put_kinds(w, &i);
}
