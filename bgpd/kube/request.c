/* The way of a request to a server: the files that make up who we are, then each server in turn, and of a
 * server that is a name each of its addresses. Why one did not do is kept until one does, so that the error
 * at the end names them all. */
#include "kube/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kube/access_int.h"
#include "loop.h"

#define FILES_MS     10000
#define RESOLVE_MS   15000
#define CONNECT_MS   5000
#define HANDSHAKE_MS 15000

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

void request_stage(struct kube_request *r, enum stage s)
{
    static const uint32_t limit_ms[] = {
        [STAGE_FILES] = FILES_MS,         [STAGE_RESOLVE] = RESOLVE_MS, [STAGE_CONNECT] = CONNECT_MS,
        [STAGE_HANDSHAKE] = HANDSHAKE_MS, [STAGE_SEND] = UINT32_MAX,    [STAGE_REPLY] = UINT32_MAX};
    r->stage = s;
    r->last_look = false;
    r->heard_ms = loop_now_ms();
    timer_set(r->timer, least(limit_ms[s], r->idle_ms));
}

void request_note(struct kube_request *r, int error, const char *fmt, ...)
{
    size_t n = strlen(r->why);
    va_list ap;
    r->error = error;
    if (n && n + 3 < sizeof r->why) {
        memcpy(r->why + n, "; ", 3);
        n += 2;
    }
    va_start(ap, fmt);
    vsnprintf(r->why + n, sizeof r->why - n, fmt, ap);
    va_end(ap);
}

static void wipe(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

/* Files */

/* A file that is being read; outlives the request if that is cancelled. */
struct reading {
    struct kube_request *r; /* NULL: nobody waits */
};

static struct kube_secret *secret_of(struct kube_request *r, enum secret s)
{
    struct kube_access *a = &r->access->a;
    return s == SECRET_CA ? &a->ca : s == SECRET_CERT ? &a->cert : s == SECRET_KEY ? &a->key : &a->token;
}

static const char *secret_name(struct kube_request *r, enum secret s)
{
    const char *file = secret_of(r, s)->file;
    return file ? file : "kubeconfig";
}

static void next_server(struct kube_request *r);

/* A file may end with a newline, and nothing of it may end up in another field of the head. */
static bool trim_token(char *token)
{
    size_t blank = strspn(token, " \t\r\n"), len = strcspn(token + blank, " \t\r\n");
    memmove(token, token + blank, len);
    explicit_bzero(token + len, strlen(token) - len);
    return len > 0;
}

static void with_files(struct kube_request *r)
{
    const char *why = NULL;
    if (r->secret[SECRET_TOKEN] && !trim_token(r->secret[SECRET_TOKEN])) {
        request_note(r, -EINVAL, "%s: there is no token in it", secret_name(r, SECRET_TOKEN));
        request_finish(r, -EINVAL);
        return;
    }
    r->ctx = client_tls_context(r->c, r->secret[SECRET_CA] ? r->secret[SECRET_CA] : "",
                                r->secret[SECRET_CERT], r->secret[SECRET_KEY], &why);
    if (!r->ctx) {
        request_note(r, -EPROTO, "%s", why ? why : "out of memory");
        request_finish(r, why ? -EPROTO : -ENOMEM);
        return;
    }
    for (enum secret s = SECRET_CA; s <= SECRET_KEY; s++)
        wipe(&r->secret[s]);
    next_server(r);
}

static void on_file(void *arg, char *text, size_t len, int error)
{
    struct reading *reading = arg;
    struct kube_request *r = reading->r;
    free(reading);
    if (!r) {
        if (text)
            explicit_bzero(text, len);
        free(text);
        return;
    }
    r->reading = NULL;
    r->secret[r->next_secret] = text;
    if (error) {
        request_note(r, error, "%s: %s", secret_of(r, r->next_secret)->file, access_read_error(error));
        request_finish(r, error);
        return;
    }
    r->next_secret++;
    request_begin(r);
}

void request_begin(struct kube_request *r)
{
    for (; r->next_secret < SECRETS; r->next_secret++) {
        const struct kube_secret *s = secret_of(r, r->next_secret);
        if (s->text && !(r->secret[r->next_secret] = strdup(s->text))) {
            request_note(r, -ENOMEM, "out of memory");
            request_finish(r, -ENOMEM);
            return;
        }
        if (s->text || !s->file)
            continue;
        struct reading *reading = r->reading = calloc(1, sizeof *reading);
        if (!reading) {
            request_note(r, -ENOMEM, "out of memory");
            request_finish(r, -ENOMEM);
            return;
        }
        reading->r = r;
        r->c->ops->read_file(r->c->arg, s->file, on_file, reading);
        return;
    }
    with_files(r);
}

/* Servers and addresses */

static void on_addresses(void *arg, const struct ip_addr *addrs, unsigned n, const char *why)
{
    struct kube_request *r = arg;
    r->lookup = NULL;
    r->n_addrs = n < REQUEST_ADDRS ? n : REQUEST_ADDRS;
    memcpy(r->addrs, addrs, r->n_addrs * sizeof *addrs);
    if (!n)
        request_note(r, -EHOSTUNREACH, "%s: %s", r->at.host, why);
    request_next_address(r);
}

static void next_server(struct kube_request *r)
{
    const struct kube_access *a = &r->access->a;
    const char *why;
    if (r->tried == a->n_servers) {
        if (!a->n_servers)
            request_note(r, -EINVAL, "no server is configured");
        request_finish(r, r->error);
        return;
    }
    r->server = (r->server + (r->tried > 0)) % a->n_servers;
    r->tried++;
    r->n_addrs = r->addr = 0;
    if (!kube_server_parse(a->servers[r->server], &r->at, &why)) {
        request_note(r, -EINVAL, "%s: %s", a->servers[r->server], why);
        next_server(r);
        return;
    }
    if (r->at.addr.af) {
        r->addrs[r->n_addrs++] = r->at.addr;
        request_next_address(r);
        return;
    }
    request_stage(r, STAGE_RESOLVE);
    r->lookup = lookup_start(r->c->resolver, r->at.host, on_addresses, r);
    if (!r->lookup) {
        request_note(r, -ENOMEM, "out of memory");
        request_finish(r, -ENOMEM);
    }
}

void request_next_address(struct kube_request *r)
{
    request_disconnect(r);
    while (r->addr < r->n_addrs) {
        int error = request_connect(r, &r->addrs[r->addr++]);
        if (!error)
            return;
    }
    next_server(r);
}

/* Ends */

static void release(struct kube_request *r)
{
    request_disconnect(r);
    lookup_cancel(r->lookup);
    if (r->reading)
        r->reading->r = NULL;
    if (r->ctx)
        r->c->libs->SSL_CTX_free(r->ctx);
    for (int s = 0; s < SECRETS; s++)
        wipe(&r->secret[s]);
    wipe(&r->out);
    task_free(r->task);
    timer_free(r->timer);
    access_unref(r->access);
    free(r->path);
    free(r->content_type);
    free(r->body);
    r->task = NULL;
}

void kube_request_cancel(struct kube_request *r)
{
    if (!r)
        return;
    release(r);
    free(r);
}

/* A server that was reached and failed is not the first choice of the next request. Of several requests that
 * it fails only the first moves on. */
static void avoid_server(struct kube_request *r, int error)
{
    struct kube_client *c = r->c;
    bool failed = error ? !r->stopped : r->reply.status >= 500;
    if (failed && c->access == r->access && c->first == r->server)
        kube_client_next_server(c);
}

void request_finish(struct kube_request *r, int error)
{
    if (r->stage >= STAGE_SEND)
        avoid_server(r, error);
    release(r);
    r->ops->done(r->arg, error, error ? r->why : "");
    free(r);
}
