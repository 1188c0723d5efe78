/* What Kubernetes makes this node advertise, prefix by prefix, and of what kind: the way from the store to
 * source/source.h, and what is kept on disk. */
#ifndef UNDERLAY_KUBE_ADVERTISE_H
#define UNDERLAY_KUBE_ADVERTISE_H

#include "config_kube.h"
#include "prefix.h"

struct speaker;
struct kube_advertise;

struct kube_entry {
    struct prefix prefix;
    uint8_t by;          /* enum source_kube, united */
    uint8_t kinds;       /* of SOURCE_KUBE_VIP: 1 << enum kube_vip_kind */
    bool unconfirmed;    /* known from disk alone */
    uint32_t weight;     /* 0 none */
    const char *service; /* one that it is for; NULL none */
};

struct kube_advertise *kube_advertise_new(struct speaker *s); /* NULL: out of memory */
void kube_advertise_free(struct kube_advertise *a);           /* says nothing */
/* Makes the prefix what e says (its service is copied); by 0: it goes. True: something has changed. */
bool kube_advertise_set(struct kube_advertise *a, const struct kube_entry *e);
const struct kube_entry *kube_advertise_find(const struct kube_advertise *a,
                                             const struct prefix *p); /* or NULL */
/* Prefixes wanted for one of these reasons, and no other, are sent with GRACEFUL_SHUTDOWN, now and as they
 * come. */
void kube_advertise_leaving(struct kube_advertise *a, unsigned by);
unsigned kube_advertise_count(const struct kube_advertise *a, unsigned by);
void kube_advertise_again(struct kube_advertise *a); /* communities or our AS have changed */
/* In the order of prefixes. cb may set the entry that it is given. */
void kube_advertise_each(const struct kube_advertise *a, void (*cb)(void *arg, const struct kube_entry *e),
                         void *arg);

#endif
