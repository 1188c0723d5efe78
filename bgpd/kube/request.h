/* Between client.c, request.c and request_io.c: one request on its way. */
#ifndef UNDERLAY_KUBE_REQUEST_H
#define UNDERLAY_KUBE_REQUEST_H

#include "kube/client.h"
#include "kube/libs.h"
#include "kube/reply.h"
#include "kube/resolve.h"
#include "kube/tls.h"

/* What kube_client_set_access was given last; requests that are under way keep theirs. */
struct access_ref {
    unsigned refs;
    struct kube_access a;
};
void access_unref(struct access_ref *a);

struct kube_client {
    struct loop *loop;
    const struct kube_libs *libs;
    const struct kube_client_ops *ops;
    void *arg;
    struct resolver *resolver;
    struct access_ref *access;
    unsigned first; /* the server that a request tries first */
    char reached[300];
    struct { /* of the last request: most come with the same files */
        SSL_CTX *ctx;
        char *ca, *cert;
    } tls;
};
/* The caller's. NULL with *why; NULL when out of memory. */
SSL_CTX *client_tls_context(struct kube_client *c, const char *ca, const char *cert, const char *key,
                            const char **why);

enum secret { SECRET_CA, SECRET_CERT, SECRET_KEY, SECRET_TOKEN, SECRETS };
enum stage {
    STAGE_FILES,
    STAGE_RESOLVE,
    STAGE_CONNECT,
    STAGE_HANDSHAKE,
    STAGE_SEND,
    STAGE_REPLY,
};
#define REQUEST_ADDRS 16

struct reading;
struct kube_request {
    struct kube_client *c;
    struct access_ref *access;
    const struct kube_request_ops *ops;
    void *arg;
    enum kube_method method;
    char *path, *content_type, *body;
    uint32_t idle_ms;
    enum stage stage;
    struct task *task;   /* begins, and goes on with what OpenSSL holds */
    struct timer *timer; /* of the stage */
    bool last_look;      /* the time is over; what is there already still counts */
    uint64_t heard_ms;

    char *secret[SECRETS]; /* until they are used */
    enum secret next_secret;
    struct reading *reading;
    SSL_CTX *ctx;

    unsigned server, tried; /* index; how many */
    struct kube_server at;
    struct lookup *lookup;
    struct ip_addr addrs[REQUEST_ADDRS];
    unsigned n_addrs, addr;

    int fd;
    struct io *io;
    SSL *ssl;
    struct tls_names names;
    char *out; /* has the token in it */
    size_t out_len, out_sent;
    struct reply reply;
    bool stopped; /* by who gets the data */

    int error; /* of the last attempt */
    char why[512];
};

/* request.c: which server, which address, with what. */
void request_begin(struct kube_request *r);
void request_next_address(struct kube_request *r);
/* Notes why this address (whole false) or server did not do. */
void request_note(struct kube_request *r, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void request_finish(struct kube_request *r, int error); /* calls done; r is gone */
void request_stage(struct kube_request *r, enum stage s);

/* request_io.c: connection, TLS, bytes. */
int request_connect(struct kube_request *r, const struct ip_addr *a); /* 0 or -errno */
void request_disconnect(struct kube_request *r);
void request_on_io(void *arg, int fd, unsigned events);
void request_read(struct kube_request *r);
void request_on_timer(void *arg);

#endif
