/* resolv.conf and hosts are read anew when a lookup begins and none is under way: both change while a node
 * boots, which is when names are looked up. Between lookups there are neither sockets nor memory.
 *
 * evdns calls back from within its own state, sometimes even before it returns, and a cancelled question is
 * answered later; so an answer is put down in the lookup, and a task of ours does what follows. */
#include "kube/resolve.h"

#include <stdbool.h>
#include <stdlib.h>

#include <event2/util.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "lib/loop_base.h"
#include "loop.h"

#define MAX_ADDRS 16

struct resolver {
    struct loop *loop;
    const struct kube_libs *libs;
    struct evdns_base *base; /* while there are lookups */
    unsigned lookups;
    bool closed;
};

struct lookup {
    struct resolver *r;
    struct evdns_getaddrinfo_request *request;
    struct task *task;
    void (*done)(void *arg, const struct ip_addr *addrs, unsigned n, const char *why); /* NULL: cancelled */
    void *arg;
    bool answered;
    const char *why;
    unsigned n;
    struct ip_addr addrs[MAX_ADDRS];
};

struct resolver *resolver_new(struct loop *l, const struct kube_libs *libs)
{
    struct resolver *r = calloc(1, sizeof *r);
    if (r) {
        r->loop = l;
        r->libs = libs;
    }
    return r;
}

void resolver_free(struct resolver *r)
{
    if (r && r->lookups)
        r->closed = true;
    else
        free(r);
}

static void release(struct lookup *k)
{
    struct resolver *r = k->r;
    task_free(k->task);
    free(k);
    if (--r->lookups)
        return;
    r->libs->evdns_base_free(r->base, 0);
    r->base = NULL;
    if (r->closed)
        free(r);
}

static bool on_task(void *arg)
{
    struct lookup *k = arg;
    if (k->done)
        k->done(k->arg, k->addrs, k->n, k->why);
    release(k);
    return false;
}

static const char *error_text(int error)
{
    switch (error) {
    case EVUTIL_EAI_NONAME:
    case EVUTIL_EAI_NODATA:
        return "DNS has no address of it";
    case EVUTIL_EAI_AGAIN:
    case EVUTIL_EAI_FAIL:
        return "no answer from the DNS servers of resolv.conf";
    case EVUTIL_EAI_MEMORY:
        return "out of memory";
    default:
        return "its name cannot be looked up";
    }
}

static void on_answer(int error, struct evutil_addrinfo *list, void *arg)
{
    struct lookup *k = arg;
    for (const struct evutil_addrinfo *i = list; i && k->n < MAX_ADDRS; i = i->ai_next)
        if (!addr_from_sockaddr(i->ai_addr, &k->addrs[k->n], NULL, NULL))
            k->n++;
    if (list)
        evutil_freeaddrinfo(list);
    k->why = k->n ? NULL : error_text(error);
    k->answered = true;
    k->request = NULL;
    task_wake(k->task);
}

struct lookup *lookup_start(struct resolver *r, const char *name,
                            void (*done)(void *arg, const struct ip_addr *addrs, unsigned n, const char *why),
                            void *arg)
{
    const struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct lookup *k = calloc(1, sizeof *k);
    if (!k || !(k->task = task_new(r->loop, on_task, k))) {
        free(k);
        return NULL;
    }
    if (!r->lookups)
        r->base = r->libs->evdns_base_new(loop_base(r->loop), EVDNS_BASE_INITIALIZE_NAMESERVERS);
    if (!r->base) {
        task_free(k->task);
        free(k);
        return NULL;
    }
    r->lookups++;
    k->r = r;
    k->done = done;
    k->arg = arg;
    struct evdns_getaddrinfo_request *q =
        r->libs->evdns_getaddrinfo(r->base, name, NULL, &hints, on_answer, k);
    if (!k->answered)
        k->request = q;
    return k;
}

void lookup_cancel(struct lookup *k)
{
    if (!k)
        return;
    k->done = NULL;
    if (k->answered)
        release(k);
    else if (k->request)
        k->r->libs->evdns_getaddrinfo_cancel(k->request);
}
