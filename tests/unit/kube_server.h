/* An API server of a test's own: HTTPS on loopback by libevent and OpenSSL, in the loop of the test. What it
 * says is said by the test, request by request, in whatever pieces and with whatever end. And the
 * certificates for it. */
#ifndef UNDERLAY_KUBE_SERVER_H
#define UNDERLAY_KUBE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

/* A CA, and what it signs. PEM texts live until certs_free. */
struct test_ca;
struct test_ca *test_ca_new(void);
void test_ca_free(struct test_ca *ca);
const char *test_ca_pem(const struct test_ca *ca);
/* names: as in openssl.cnf, "DNS:localhost,IP:127.0.0.1"; NULL: a client's. days: until it ends, from now;
 * negative: it has ended. The caller frees both. */
void test_ca_sign(struct test_ca *ca, const char *names, int days, char **cert, char **key);

struct fake_conn;
struct fake_options {
    struct test_ca *ca;
    const char *names;       /* default "IP:127.0.0.1,DNS:localhost" */
    int days;                /* default 1 */
    struct test_ca *clients; /* demands certificates of this CA */
    bool plain;              /* no TLS: whatever comes is answered with an HTTP error */
    bool tls12, tls11, ipv6; /* at most this version; on ::1 */
    /* The head has come, zero-terminated, with the body if there is one. */
    void (*request)(struct fake_conn *c, const char *head);
};
struct fake_server {
    struct loop *loop;
    uint16_t port;
    unsigned accepted, open;
    char last_head[8192]; /* of the last request */
    void *private;
};
void fake_start(struct fake_server *s, struct loop *l, const struct fake_options *o);
void fake_stop(struct fake_server *s);            /* closes all */
void fake_deaf(struct fake_server *s, bool deaf); /* accepts nothing; the backlog takes connections */

/* In order. Between two pieces that are not said in the same call the client's loop has a turn. */
void fake_say(struct fake_conn *c, const char *text, size_t len);
void fake_sayf(struct fake_conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fake_close(struct fake_conn *c); /* once all is said, with close_notify */
void fake_cut(struct fake_conn *c);   /* once all is said, without */
struct fake_server *fake_server_of(struct fake_conn *c);
/* "HTTP/1.1 STATUS x", the length, and the body; then the end. */
void fake_reply(struct fake_conn *c, unsigned status, const char *body);
void fake_chunked(struct fake_conn *c); /* the head of a watch */
void fake_chunk(struct fake_conn *c, const char *text);
/* The connection that asked last and is still open, or NULL. */
struct fake_conn *fake_last(struct fake_server *s);

#endif
