/* Addresses: which services have them, which are to be judged again, and the judgement.
 *
 * An address is judged by asking anew, of each service that has it, what the rules say now: no verdict is
 * kept that could be out of date, and a VIP that two services swap is seen only before and after. What is
 * kept is the queue of those for which the answer may have changed. It goes through the records themselves,
 * so that nothing is ever lost for want of memory: an address that no service has any more lives until it is
 * taken off the queue. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kube/store_int.h"

static uint32_t hash_of(const struct kube_store *st, const struct ip_addr *ip)
{
    return hash_bytes(ip, sizeof *ip, st->seed);
}

static bool hash_of_index(const void *arg, uint32_t index, uint32_t *hash)
{
    const struct kube_store *st = arg;
    const struct address *a = address_at(st, index);
    *hash = hash_of(st, &a->ip);
    return a->used;
}

void addresses_init(struct kube_store *st)
{
    st->seed = arc4random(); /* who makes services chooses the addresses */
    slab_init(&st->addresses, sizeof(struct address));
    slab_init(&st->uses, sizeof(struct use));
    ixhash_init(&st->addresses_by_ip, hash_of_index, st);
}

void addresses_reset(struct kube_store *st)
{
    ixhash_reset(&st->addresses_by_ip);
    slab_reset(&st->addresses);
    slab_reset(&st->uses);
}

static uint32_t find(const struct kube_store *st, const struct ip_addr *ip)
{
    struct ixhash_probe p;
    for (uint32_t i = ixhash_first(&st->addresses_by_ip, &p, hash_of(st, ip)); i;
         i = ixhash_next(&st->addresses_by_ip, &p))
        if (addr_equal(&address_at(st, i)->ip, ip))
            return i;
    return 0;
}

static uint32_t find_or_add(struct kube_store *st, const struct ip_addr *ip)
{
    uint32_t i = find(st, ip);
    if (i || !(i = slab_alloc(&st->addresses)))
        return i;
    *address_at(st, i) = (struct address){.ip = *ip, .used = true};
    if (!ixhash_insert(&st->addresses_by_ip, hash_of(st, ip), i))
        return i;
    address_at(st, i)->used = false;
    slab_free(&st->addresses, i);
    return 0;
}

static void drop_if_unused(struct kube_store *st, uint32_t i)
{
    struct address *a = address_at(st, i);
    if (a->uses || a->queued)
        return;
    ixhash_remove(&st->addresses_by_ip, hash_of(st, &a->ip), i);
    a->used = false;
    slab_free(&st->addresses, i);
}

static void unlink_use(struct kube_store *st, uint32_t i)
{
    struct use *u = use_at(st, i);
    if (u->next)
        use_at(st, u->next)->prev = u->prev;
    if (u->prev)
        use_at(st, u->prev)->next = u->next;
    else
        address_at(st, u->address)->uses = u->next;
    drop_if_unused(st, u->address);
    slab_free(&st->uses, i);
}

static int add_use(struct kube_store *st, uint32_t service, const struct ip_addr *ip, uint16_t vip,
                   uint32_t *uses)
{
    uint32_t i = slab_alloc(&st->uses), address = i ? find_or_add(st, ip) : 0;
    if (!address) {
        slab_free(&st->uses, i);
        return -ENOMEM;
    }
    uint32_t next = address_at(st, address)->uses;
    *use_at(st, i) = (struct use){
        .address = address, .service = service, .next = next, .next_of_service = *uses, .vip = vip};
    if (next)
        use_at(st, next)->prev = i;
    address_at(st, address)->uses = i;
    *uses = i;
    return 0;
}

static void unlink_all(struct kube_store *st, uint32_t uses)
{
    for (uint32_t next; uses; uses = next) {
        next = use_at(st, uses)->next_of_service;
        unlink_use(st, uses);
    }
}

int addresses_use(struct kube_store *st, uint32_t service, const struct kube_service *object, uint32_t *uses)
{
    *uses = 0;
    for (uint16_t i = object->n_vips; i-- > 0;) /* each goes before the others */
        if (add_use(st, service, &object->vips[i].addr, i, uses)) {
            unlink_all(st, *uses);
            return -ENOMEM;
        }
    return 0;
}

static void queue(struct kube_store *st, uint32_t i)
{
    struct address *a = address_at(st, i);
    if (a->queued)
        return;
    a->queued = true;
    a->next = 0;
    if (st->last)
        address_at(st, st->last)->next = i;
    else
        st->first = i;
    st->last = i;
    st->pending++;
}

void addresses_queue_one(struct kube_store *st, uint32_t use)
{
    queue(st, use_at(st, use)->address);
}

void addresses_queue(struct kube_store *st, uint32_t uses)
{
    for (; uses; uses = use_at(st, uses)->next_of_service)
        addresses_queue_one(st, uses);
}

void addresses_release(struct kube_store *st, uint32_t uses)
{
    addresses_queue(st, uses);
    unlink_all(st, uses);
}

void addresses_queue_all(struct kube_store *st)
{
    for (uint32_t i = 1; i < st->addresses.next; i++)
        if (address_at(st, i)->used)
            queue(st, i);
}

bool kube_store_next(struct kube_store *st, struct ip_addr *vip)
{
    uint32_t i = st->first;
    if (!i)
        return false;
    struct address *a = address_at(st, i);
    *vip = a->ip;
    a->queued = false;
    st->first = a->next;
    if (!st->first)
        st->last = 0;
    st->pending--;
    drop_if_unused(st, i);
    return true;
}

void kube_store_judge(const struct kube_store *st, const struct ip_addr *vip, struct kube_vip_state *out)
{
    uint32_t address = find(st, vip);
    *out = (struct kube_vip_state){0};
    for (uint32_t i = address ? address_at(st, address)->uses : 0; i; i = use_at(st, i)->next) {
        const struct use *u = use_at(st, i);
        const struct service *s = service_at(st, u->service);
        const struct kube_service_vip *v = &s->object->vips[u->vip];
        struct kube_endpoints e = service_endpoints(s, addr_family(vip));
        struct kube_verdict verdict = kube_rule(st->config, &st->view, s->object, v, &e);
        if (verdict.reason != KUBE_ADVERTISED)
            continue;
        out->advertise = true;
        out->kinds |= (uint8_t)(1u << v->kind);
        if (verdict.weight > out->weight)
            out->weight = verdict.weight;
        if (!out->service || strcmp(s->name, out->service) < 0)
            out->service = s->name;
    }
}
