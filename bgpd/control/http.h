/* The HTTP listener (key `metrics`): GET and HEAD of a few pages, one request a connection, for Prometheus,
 * for probes of Kubernetes and for curl. Whoever reaches the address may read; nobody can change anything. */
#ifndef UNDERLAY_HTTP_H
#define UNDERLAY_HTTP_H

#include <stdbool.h>

struct speaker;
struct evbuffer;

struct http;
struct http *http_new(struct speaker *s); /* NULL: out of memory */
void http_free(struct http *h);
/* The listener by role FM_ROLE_METRICS, or why there is none (-errno): said once, and asked for again every
 * minute. Owns fd. */
void http_listen(struct http *h, int fd, int error);
int http_error(const struct http *h); /* 0: it listens, or is not meant to; else -errno */

/* One request as a page sees it. */
struct http_request {
    struct speaker *s;
    const char *accept; /* "" when the client does not say */
    struct evbuffer *body;
    unsigned status;  /* 200 until the page says otherwise, in its first step that is not HTTP_WAIT */
    const char *type; /* Content-Type, likewise */
    void (*wake)(struct http_request *r); /* ends HTTP_WAIT */
    void *state;                          /* of the page; NULL at the first step */
    void (*drop)(struct http_request *r); /* releases it; also when the client goes away before the end */
};
enum http_result {
    HTTP_DONE,
    HTTP_MORE, /* call again when the client has read some of it */
    HTTP_WAIT, /* call again after wake */
};
/* One step writes to body what takes a few milliseconds to make. */
typedef enum http_result http_page(struct http_request *r);

/* How much the client wants a media type, 0 (not at all) to 1000 (RFC 9110 12.5.1). version: a parameter that
 * a range may ask for, NULL none. */
unsigned http_wants(const char *accept, const char *type, const char *version);

http_page page_metrics, page_healthz, page_readyz; /* metrics.c, health.c */

#endif
