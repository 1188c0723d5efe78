/* Host addresses on lo for VIPs with `bind: lo`. They carry our protocol number (IFA_PROTO, Linux 5.18), so a
 * later life knows them for its own and an address that somebody else put there is never taken away. On older
 * kernels only what this process has added itself counts as ours.
 */
#include "fib/binds.h"

#include <errno.h>
#include <stdlib.h>

#include "fib/links.h"

struct binds {
    struct fib *f;
    struct bound {
        struct ip_addr addr;
        bool confirmed; /* by the present speaker */
        bool added;     /* by this process */
    } * list;
    unsigned n;
};

struct binds *binds_new(struct fib *f)
{
    struct binds *b = calloc(1, sizeof *b);
    if (b)
        b->f = f;
    return b;
}

void binds_free(struct binds *b)
{
    if (!b)
        return;
    free(b->list);
    free(b);
}

static struct bound *find(const struct binds *b, const struct ip_addr *a)
{
    for (unsigned i = 0; i < b->n; i++)
        if (addr_equal(&b->list[i].addr, a))
            return &b->list[i];
    return NULL;
}

static struct bound *get(struct binds *b, const struct ip_addr *a)
{
    struct bound *e = find(b, a);

    if (e)
        return e;
    if ((b->n & (b->n - 1)) == 0) {
        struct bound *grown = realloc(b->list, (b->n ? b->n * 2 : 1) * sizeof *grown);
        if (!grown)
            return NULL;
        b->list = grown;
    }
    b->list[b->n] = (struct bound){.addr = *a};
    return &b->list[b->n++];
}

static bool is_ours(const struct binds *b, const struct ip_addr *a)
{
    unsigned i = 0;
    const struct kaddress *k;
    const struct bound *e = find(b, a);

    if (e && e->added)
        return true;
    while ((k = links_own_bind(b->f->links, &i)))
        if (addr_equal(&k->local, a))
            return true;
    return false;
}

static void unbind(struct binds *b, const struct ip_addr *a)
{
    int rc = kernel_address_set(b->f->kernel, a, false);

    if (rc && rc != -EADDRNOTAVAIL)
        log_warn("cannot take an address off lo", F_ADDR("address", a), F_ERR(rc));
}

void binds_apply(struct binds *b, const struct fm_bind *m)
{
    struct ip_addr a = fm_addr(m->af, m->addr);
    struct bound *e;

    if (m->op == FM_BIND_DEL) {
        if (is_ours(b, &a))
            unbind(b, &a);
        if ((e = find(b, &a)))
            *e = b->list[--b->n];
        return;
    }
    if (!(e = get(b, &a)))
        return;
    e->confirmed = true;
    int rc = kernel_address_set(b->f->kernel, &a, true);
    if (!rc)
        e->added = true;
    else if (rc != -EEXIST)
        log_warn("cannot put an address on lo", F_ADDR("address", &a), F_ERR(rc));
}

bool binds_kept(const struct binds *b, enum family f)
{
    const struct kaddress *k;
    unsigned at = 0;

    while ((k = links_own_bind(b->f->links, &at)))
        if (addr_family(&k->local) == f)
            return true;
    return false;
}

void binds_speaker_gone(struct binds *b)
{
    for (unsigned i = 0; i < b->n; i++)
        b->list[i].confirmed = false;
}

/* links_own_bind shows the view of the last event, so an address just taken off may be asked for twice:
 * harmless. */
static void delete_where(struct binds *b, bool all)
{
    const struct kaddress *k;
    unsigned at = 0;

    for (unsigned i = b->n; i-- > 0;) {
        if (!all && b->list[i].confirmed)
            continue;
        if (b->list[i].added)
            unbind(b, &b->list[i].addr);
        b->list[i] = b->list[--b->n];
    }
    while ((k = links_own_bind(b->f->links, &at)))
        if (!find(b, &k->local))
            unbind(b, &k->local);
}

void binds_sweep(struct binds *b)
{
    delete_where(b, false);
}

void binds_delete_all(struct binds *b)
{
    delete_where(b, true);
}
