/* The tables of the store. Records lie in slabs and refer to each other by index, 0 being none. */
#ifndef UNDERLAY_KUBE_STORE_INT_H
#define UNDERLAY_KUBE_STORE_INT_H

#include "kube/store.h"
#include "lib/ixhash.h"
#include "lib/slab.h"

/* What a tree of names has as its first member. */
struct named {
    const char *name;
};
/* Sums over the slices of a service that are of one family; they do not saturate. */
struct endpoint_sums {
    uint32_t ready_here, terminating_here, ready, terminating;
};
/* All that is known under the name of a service: it may come before or after its slices. */
struct service {
    char *name;                  /* struct named */
    struct kube_service *object; /* NULL: only slices so far, or still */
    struct endpoint_sums endpoints[FAM_COUNT];
    uint32_t uses;   /* of its addresses, through next_of_service; one for each of object->vips */
    uint32_t slices; /* how many are its */
    uint32_t mark, self;
};
struct slice {
    const char *name;          /* struct named; the object's */
    struct kube_slice *object; /* NULL: a free record */
    uint32_t service, mark, self;
};
/* Lives while a service has it or it waits to be judged. */
struct address {
    struct ip_addr ip;
    uint32_t uses; /* through next */
    uint32_t next; /* of those to be judged */
    bool used, queued;
};
/* An address is one of a service's. */
struct use {
    uint32_t address, service;
    uint32_t next, prev; /* of the address */
    uint32_t next_of_service;
    uint16_t vip; /* in the object of the service */
};

struct kube_store {
    const struct config_kube *config; /* NULL: nothing is configured yet */
    const char *node_name;
    struct kube_node *node;
    uint64_t node_version;
    struct kube_node_view view;
    uint32_t marks[KUBE_KINDS]; /* objects that the present list had carry it */
    uint32_t node_mark;
    struct slab services, slices, addresses, uses;
    void *services_by_name, *slices_by_name; /* trees */
    struct ixhash addresses_by_ip;
    uint32_t seed;
    uint32_t first, last; /* addresses to be judged */
    unsigned pending, n_objects;
    uint64_t ready, ready_here; /* endpoints */
    uint64_t blocks;            /* bytes of what is neither in slabs nor in the hash */
};

/* Trees by name, store_tree.c. */
void *store_tree_find(void *const *tree, const char *name);
int store_tree_add(struct kube_store *st, void **tree, void *named); /* not there yet. 0 or -ENOMEM */
void store_tree_remove(struct kube_store *st, void **tree, const void *named);
void *store_tree_after(void *const *tree, const char *name); /* NULL: the first */
void store_tree_free(void **tree);
uint64_t block_bytes(const void *p); /* what malloc gave for it; 0 for NULL */

/* Addresses, store_address.c. */
void addresses_init(struct kube_store *st);
void addresses_reset(struct kube_store *st);
/* Uses of all addresses of a service as it will be, in *uses. 0, or -ENOMEM and nothing has changed. */
int addresses_use(struct kube_store *st, uint32_t service, const struct kube_service *object, uint32_t *uses);
void addresses_release(struct kube_store *st, uint32_t uses); /* queues them */
void addresses_queue(struct kube_store *st, uint32_t uses);
void addresses_queue_one(struct kube_store *st, uint32_t use);
void addresses_queue_all(struct kube_store *st);

/* Services and their slices, store_service.c. As kube_store_put and kube_store_gone; key is the object's. */
int service_put(struct kube_store *st, const char *key, const json_t *object);
void service_gone(struct kube_store *st, const char *key);
void services_sweep(struct kube_store *st);
int slice_put(struct kube_store *st, const char *key, const json_t *object);
void slice_gone(struct kube_store *st, const char *key);
void slices_sweep(struct kube_store *st);
void services_reset(struct kube_store *st); /* also slices */

static inline struct service *service_at(const struct kube_store *st, uint32_t i)
{
    return slab_at(&st->services, i);
}
static inline struct slice *slice_at(const struct kube_store *st, uint32_t i)
{
    return slab_at(&st->slices, i);
}
static inline struct address *address_at(const struct kube_store *st, uint32_t i)
{
    return slab_at(&st->addresses, i);
}
static inline struct use *use_at(const struct kube_store *st, uint32_t i)
{
    return slab_at(&st->uses, i);
}
/* Of the sums: what the rules are told. */
struct kube_endpoints service_endpoints(const struct service *s, enum family f);

#endif
