/* What /metrics is written with: OpenMetrics 1.0, or the text format 0.0.4 of Prometheus that came before.
 * One difference matters: to OpenMetrics a family has the name without "_total" or "_info", and a unit. */
#ifndef UNDERLAY_METRICS_H
#define UNDERLAY_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;
struct speaker;

enum metric_type { METRIC_GAUGE, METRIC_COUNTER, METRIC_INFO, METRIC_HISTOGRAM };
struct metric {
    const char *name; /* with its unit at the end, without _total, _info, _bucket */
    enum metric_type type;
    const char *unit; /* "seconds", "bytes"; NULL none */
    const char *help; /* one sentence without quotes and backslashes */
};

struct metrics {
    struct evbuffer *out;
    bool openmetrics;
    struct metric m; /* the family under way */
};
/* Begins a family; the samples of each stand together. */
void metrics_family(struct metrics *w, const struct metric *m);
/* labels: `peer="10.0.0.1",afi="ipv4"`, NULL none. milli: value is in thousandths. */
void metrics_put(struct metrics *w, const char *labels, uint64_t value);
void metrics_put_milli(struct metrics *w, const char *labels, uint64_t value);
/* With a suffix instead of the type's own: "_bucket", "_sum", "_count". */
void metrics_put_as(struct metrics *w, const char *suffix, const char *labels, const char *value);
/* Text as the value of a label: what is not UTF-8 replaced, quotes escaped, cut where it does not fit. */
const char *metrics_label(const char *text, char *buf, size_t size);

/* metrics_process.c: process_…, as every client library names them. */
void metrics_process(struct metrics *w, const struct speaker *s);
void metrics_kube(struct metrics *w, const struct speaker *s); /* metrics_kube.c */

/* metrics_peer.c: a snapshot of all peers, so that the values of a peer belong together although families,
 * not peers, stand together in the answer. Both steps are bounded; true: there is more. */
struct peer_samples;
struct peer_samples *peer_samples_new(const struct speaker *s); /* NULL: out of memory */
void peer_samples_free(struct peer_samples *p);
bool peer_samples_take(struct peer_samples *p);
bool peer_samples_write(struct peer_samples *p, struct metrics *w);

#endif
