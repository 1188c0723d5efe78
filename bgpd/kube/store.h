/* What is known of the cluster, and from it: which addresses this node advertises. Answers per address, since
 * the same one may belong to several services. 10,000 services with 50,000 endpoints take a few MB. */
#ifndef UNDERLAY_KUBE_STORE_H
#define UNDERLAY_KUBE_STORE_H

#include "kube/reflector.h"
#include "kube/rules.h"

struct kube_store;
struct kube_store *kube_store_new(void); /* NULL: out of memory */
void kube_store_free(struct kube_store *st);
/* Comes first. Borrows c and node until the next call. Every address is to be judged again; services must be
 * seen anew (reflector_relist) when their selector or class changed, nodes and slices when node did. */
void kube_store_configure(struct kube_store *st, const struct config_kube *c, const char *node);

void kube_store_list_begin(struct kube_store *st, enum kube_kind kind);
/* 0 (also for nodes that are not ours, which are not kept), -EINVAL (it has no name), -ENOMEM. Nothing has
 * changed after an error, and what was known of the object stays, also at list_end. */
int kube_store_put(struct kube_store *st, enum kube_kind kind, const json_t *object);
void kube_store_gone(struct kube_store *st, enum kube_kind kind, const json_t *object);
void kube_store_list_end(struct kube_store *st,
                         enum kube_kind kind); /* what was not put since list_begin goes */

const struct kube_node *
kube_store_node(const struct kube_store *st); /* of our own name; NULL: there is none */
uint64_t
kube_store_node_version(const struct kube_store *st); /* another number whenever the node is another */
void kube_store_set_node_view(struct kube_store *st,
                              const struct kube_node_view *v); /* all is judged again if it differs */

/* One address that is to be judged again, oldest first; false: none. Takes it off the list. */
bool kube_store_next(struct kube_store *st, struct ip_addr *vip);
struct kube_vip_state {
    bool advertise;
    uint8_t kinds;       /* 1 << enum kube_vip_kind, of the services that want it */
    uint32_t weight;     /* the greatest; 0 none */
    const char *service; /* one that wants it, the first by name; borrowed; NULL none */
};
void kube_store_judge(const struct kube_store *st, const struct ip_addr *vip, struct kube_vip_state *out);

struct kube_store_counts {
    unsigned nodes, services, slices, addresses, pending;
    uint64_t endpoints, endpoints_here; /* ready ones */
    uint64_t bytes;                     /* of memory, with what malloc adds */
};
void kube_store_counts(const struct kube_store *st, struct kube_store_counts *out);

/* Services in the order of their names, after `after` (NULL: the first), for walks that pause: those that
 * come and go meanwhile are or are not in it. NULL: the end. */
const struct kube_service *kube_store_service_after(const struct kube_store *st, const char *after);
struct kube_verdict kube_store_verdict(const struct kube_store *st, const struct kube_service *s,
                                       const struct kube_service_vip *vip);
void kube_store_endpoints(const struct kube_store *st, const char *service, enum family f,
                          struct kube_endpoints *out);

#endif
