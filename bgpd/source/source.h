/* What the node originates: pod CIDRs, VIPs and interface addresses from the configuration, what Kubernetes
 * gives it, and prefixes advertised at run time by the CLI (which survive restarts through the state file).
 * One prefix may have several sources; it is withdrawn when the last one goes. */
#ifndef UNDERLAY_SOURCE_H
#define UNDERLAY_SOURCE_H

#include "config.h"
#include "drain.h"
#include "rib/rib.h"

struct speaker;
struct sources;

struct sources *sources_new(struct speaker *s);
void sources_free(struct sources *s);
int sources_apply(struct sources *s, const struct config *c); /* difference to what is there */
void sources_addresses_changed(struct sources *s);            /* for advertise.interfaces */

/* CLI. communities are standard, large ones separate. Replaces an earlier advertisement of the same prefix.
 * 0, -ENOMEM, -EINVAL (martian or default). */
#define ADVERTISE_COMMUNITIES 32
struct advertise_options {
    uint32_t communities[ADVERTISE_COMMUNITIES];
    unsigned n_communities;
    uint32_t large[ADVERTISE_COMMUNITIES][3];
    unsigned n_large;
    bool has_med;
    uint32_t med;
    uint32_t weight; /* told as link bandwidth, 1..ATTR_WEIGHT_MOST; 0: none */
};
/* Those of c as well, as many as there is room for. */
void advertise_add_communities(struct advertise_options *o, const struct config_communities *c);
int sources_advertise(struct sources *s, const struct prefix *p, const struct advertise_options *o);
int sources_withdraw(struct sources *s,
                     const struct prefix *p); /* -ENOENT: not advertised by the CLI; -EBUSY: by the
                                                 configuration (not withdrawn) */
/* Kubernetes. by: all that it wants the prefix for, of enum source_kube; 0: nothing any more (o may be NULL).
 * leaves: it is taken back soon, and sent with GRACEFUL_SHUTDOWN until then (RFC 8326) unless somebody else
 * wants it as well. After some of these, sources_kube_done. 0 or -ENOMEM. */
enum source_kube {
    SOURCE_KUBE_POD_CIDR = 1,
    SOURCE_KUBE_NODE_ADDRESS = 2,
    SOURCE_KUBE_VIP = 4,
    SOURCE_KUBE_SERVICE_CIDR = 8
};
int sources_set_kube(struct sources *s, const struct prefix *p, unsigned by,
                     const struct advertise_options *o, bool leaves);
void sources_kube_done(struct sources *s);

/* The pod CIDRs of this node, from the configuration and from Kubernetes, IPv4 first. Borrowed. */
unsigned sources_pod_cidrs(const struct sources *s, const struct prefix **out);

/* How everything that is originated goes out: with GRACEFUL_SHUTDOWN and LOCAL_PREF 0 (RFC 8326 4.2), or not
 * at all; it stays originated in all other respects. 0 or -ENOMEM (the rest is done). */
int sources_drain(struct sources *s, enum drain_phase phase);

/* An address or prefix that the import must refuse: inside an own pod CIDR, or an own VIP/address. */
enum import_reason sources_own(const struct sources *s, const struct prefix *p);

/* Every CLI advertisement as a command line ("advertise 192.0.2.1/32 community 65000:1 med 5"), for the state
 * file. */
void sources_each_command(const struct sources *s, void (*cb)(void *arg, const char *line), void *arg);
unsigned sources_count(const struct sources *s);
/* Prefixes by who wants them; one may have several. */
struct sources_counts {
    unsigned pod_cidrs, vips, interfaces, commands, kubernetes;
};
void sources_counts(const struct sources *s, struct sources_counts *out);

#endif
