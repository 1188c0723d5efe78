/* HTTPS to the API server: TLS verified against the cluster's CA, streams chunk by chunk. Nothing here
 * blocks. OpenSSL and libevent's resolver are loaded when they are needed, so that nodes without Kubernetes
 * do not pay for them. */
#ifndef UNDERLAY_KUBE_CLIENT_H
#define UNDERLAY_KUBE_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "kube/access.h"

struct loop;
struct kube_client;

/* Reads a file that kube_access names, for every new connection. done is called once, also before the call
 * returns, and even when the request is gone by then; text is zero-terminated and done's to free (wiped),
 * NULL with error -errno. */
struct kube_client_ops {
    void (*read_file)(void *arg, const char *path,
                      void (*done)(void *done_arg, char *text, size_t len, int error), void *done_arg);
};

/* Loads the libraries; before the privileges go. 0, or -ENOENT with *why (static): what is not installed. */
int kube_client_load(const char **why);
struct kube_client *kube_client_new(struct loop *l, const struct kube_client_ops *ops,
                                    void *arg); /* NULL: out of memory, or kube_client_load would fail */
void kube_client_free(struct kube_client *c);   /* after its requests */
/* Copies. Requests that are under way go on as they were. 0 or -ENOMEM. */
int kube_client_set_access(struct kube_client *c, const struct kube_access *a);
/* The server that was reached last ("https://10.0.0.1:6443"), or "". A request tries all of them, beginning
 * with that one; with the next after kube_client_next_server, and after a request that failed there once it
 * was reached. */
const char *kube_client_server(const struct kube_client *c);
void kube_client_next_server(struct kube_client *c);

enum kube_method { KUBE_GET, KUBE_PATCH };
struct kube_request_ops {
    void (*status)(void *arg, unsigned status); /* the head has come */
    /* A piece of the body, decoded, at most 64 KiB. Negative ends the request with that error. */
    int (*data)(void *arg, const char *data, size_t len);
    /* Once, last, not after a cancel and never before kube_request_start returned: 0 the body is complete,
     * else -errno (-ETIMEDOUT: no byte for the idle time; -ECONNRESET: cut in its midst; -EPROTO: TLS, with
     * why) and a line that says why. The request is gone when it returns. */
    void (*done)(void *arg, int error, const char *why);
};
struct kube_request;
/* One connection, one request. idle_ms: so long without a byte at most; an address that does not answer a
 * connect has 5 s, a TLS handshake 15 s (TCP keepalive finds a peer that died later within 30 s). path is
 * escaped already. content_type and body: of KUBE_PATCH, else NULL. NULL: out of memory. */
struct kube_request *kube_request_start(struct kube_client *c, enum kube_method method, const char *path,
                                        const char *content_type, const char *body, uint32_t idle_ms,
                                        const struct kube_request_ops *ops, void *arg);
void kube_request_cancel(struct kube_request *r); /* not from inside data or status; done is not called */

#endif
