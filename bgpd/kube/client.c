/* The client as its users see it: what is shared by requests, and the beginning and end of one.
 *
 * A connection carries one request and is closed after it. Watches, which are nearly all there is, hold one
 * for minutes; and a new connection is a new chance for another server, a token and a certificate that were
 * rotated, and names that resolve to something else now.
 *
 * The way of a request is in request.c (files, servers, addresses) and request_io.c (TCP, TLS, HTTP). */
#include "kube/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kube/request.h"
#include "loop.h"

int kube_client_load(const char **why)
{
    return kube_libs_load(why) ? 0 : -ENOENT;
}

struct kube_client *kube_client_new(struct loop *l, const struct kube_client_ops *ops, void *arg)
{
    const struct kube_libs *libs = kube_libs_load(NULL);
    struct kube_client *c = libs ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return NULL;
    c->loop = l;
    c->libs = libs;
    c->ops = ops;
    c->arg = arg;
    c->resolver = resolver_new(l, libs);
    c->access = calloc(1, sizeof *c->access);
    if (!c->resolver || !c->access) {
        resolver_free(c->resolver);
        free(c->access);
        free(c);
        return NULL;
    }
    c->access->refs = 1;
    return c;
}

void access_unref(struct access_ref *a)
{
    if (--a->refs)
        return;
    kube_access_reset(&a->a);
    free(a);
}

static void forget_context(struct kube_client *c)
{
    if (c->tls.ctx)
        c->libs->SSL_CTX_free(c->tls.ctx);
    free(c->tls.ca);
    free(c->tls.cert);
    memset(&c->tls, 0, sizeof c->tls);
}

static bool same(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* A context takes a millisecond to make, and with the public CAs of Debian 70. A certificate has one key, so
 * the same certificate is the same key. */
SSL_CTX *client_tls_context(struct kube_client *c, const char *ca, const char *cert, const char *key,
                            const char **why)
{
    if (!c->tls.ctx || !same(ca, c->tls.ca) || !same(cert, c->tls.cert)) {
        forget_context(c);
        c->tls.ctx = tls_context_new(c->libs, ca, cert, key, why);
        c->tls.ca = strdup(ca);
        c->tls.cert = cert ? strdup(cert) : NULL;
    }
    if (!c->tls.ctx || !c->tls.ca || (cert && !c->tls.cert)) {
        forget_context(c);
        return NULL;
    }
    c->libs->SSL_CTX_up_ref(c->tls.ctx);
    return c->tls.ctx;
}

void kube_client_free(struct kube_client *c)
{
    if (!c)
        return;
    forget_context(c);
    access_unref(c->access);
    resolver_free(c->resolver);
    free(c);
}

static bool same_servers(const struct kube_access *a, const struct kube_access *b)
{
    bool same = a->n_servers == b->n_servers;
    for (unsigned i = 0; same && i < a->n_servers; i++)
        same = !strcmp(a->servers[i], b->servers[i]);
    return same;
}

int kube_client_set_access(struct kube_client *c, const struct kube_access *a)
{
    struct access_ref *fresh = calloc(1, sizeof *fresh);
    if (!fresh || kube_access_copy(&fresh->a, a)) {
        free(fresh);
        return -ENOMEM;
    }
    fresh->refs = 1;
    if (!same_servers(a, &c->access->a))
        c->first = 0;
    access_unref(c->access);
    c->access = fresh;
    return 0;
}

const char *kube_client_server(const struct kube_client *c)
{
    return c->reached;
}

void kube_client_next_server(struct kube_client *c)
{
    if (c->access->a.n_servers)
        c->first = (c->first + 1) % c->access->a.n_servers;
}

/* Requests */

static bool on_task(void *arg)
{
    struct kube_request *r = arg;
    if (r->stage == STAGE_FILES)
        request_begin(r);
    else
        request_read(r);
    return false;
}

static bool copy(char **out, const char *text)
{
    return !text || (*out = strdup(text));
}

struct kube_request *kube_request_start(struct kube_client *c, enum kube_method method, const char *path,
                                        const char *content_type, const char *body, uint32_t idle_ms,
                                        const struct kube_request_ops *ops, void *arg)
{
    struct kube_request *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->c = c;
    r->access = c->access;
    r->access->refs++;
    r->method = method;
    r->idle_ms = idle_ms;
    r->ops = ops;
    r->arg = arg;
    r->fd = -1;
    r->server = c->first;
    r->task = task_new(c->loop, on_task, r);
    r->timer = timer_new(c->loop, request_on_timer, r);
    if (!r->task || !r->timer || !copy(&r->path, path) || !copy(&r->content_type, content_type) ||
        !copy(&r->body, body)) {
        kube_request_cancel(r);
        return NULL;
    }
    request_stage(r, STAGE_FILES);
    task_wake(r->task);
    return r;
}
