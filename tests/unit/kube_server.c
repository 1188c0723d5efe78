/* See kube_server.h. libevent and OpenSSL are linked to the test programs as usual. */
#include "kube_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "lib/loop_base.h"
#include "loop.h"
#include "unit.h"

/* Certificates */

struct test_ca {
    EVP_PKEY *key;
    X509 *cert;
    char *pem;
    long serial;
};

static char *to_pem(X509 *cert, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    CU_ASSERT_FATAL(cert ? PEM_write_bio_X509(bio, cert)
                         : PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
    long n = BIO_get_mem_data(bio, &data);
    char *text = strndup(data, (size_t)n);
    BIO_free(bio);
    return text;
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    X509_add_ext(cert, e, -1);
    X509_EXTENSION_free(e);
}

static X509 *new_cert(EVP_PKEY *key, long serial, const char *name, int days)
{
    X509 *cert = X509_new();
    long until = days * 86400L;
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), until < 0 ? until - 86400 : -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), until);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)name,
                               -1, -1, 0);
    X509_set_pubkey(cert, key);
    return cert;
}

struct test_ca *test_ca_new(void)
{
    static long number;
    char name[32];
    struct test_ca *ca = calloc(1, sizeof *ca);
    snprintf(name, sizeof name, "test CA %ld", ++number);
    ca->key = EVP_EC_gen("P-256");
    ca->cert = new_cert(ca->key, number, name, 2);
    X509_set_issuer_name(ca->cert, X509_get_subject_name(ca->cert));
    add_extension(ca->cert, ca->cert, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(ca->cert, ca->cert, NID_key_usage, "critical,keyCertSign");
    CU_ASSERT_FATAL(X509_sign(ca->cert, ca->key, EVP_sha256()));
    ca->pem = to_pem(ca->cert, NULL);
    return ca;
}

void test_ca_free(struct test_ca *ca)
{
    EVP_PKEY_free(ca->key);
    X509_free(ca->cert);
    free(ca->pem);
    free(ca);
}

const char *test_ca_pem(const struct test_ca *ca)
{
    return ca->pem;
}

void test_ca_sign(struct test_ca *ca, const char *names, int days, char **cert, char **key)
{
    EVP_PKEY *k = EVP_EC_gen("P-256");
    X509 *x = new_cert(k, 1000 + ++ca->serial, names ? "127.0.0.1" : "client", days);
    X509_set_issuer_name(x, X509_get_subject_name(ca->cert));
    add_extension(x, ca->cert, NID_ext_key_usage, names ? "serverAuth" : "clientAuth");
    if (names)
        add_extension(x, ca->cert, NID_subject_alt_name, names);
    CU_ASSERT_FATAL(X509_sign(x, ca->key, EVP_sha256()));
    *cert = to_pem(x, NULL);
    *key = to_pem(NULL, k);
    X509_free(x);
    EVP_PKEY_free(k);
}

/* The server */

struct listener {
    struct fake_server *s;
    struct fake_options o;
    int fd;
    struct io *io;
    SSL_CTX *ctx;
    struct fake_conn *conns;
};

struct fake_conn {
    struct fake_conn *next;
    struct listener *l;
    struct bufferevent *bev;
    bool asked, closing, notify;
};

static void conn_free(struct fake_conn *c)
{
    struct fake_conn **at = &c->l->conns;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->l->s->open--;
    if (c->notify && !c->l->o.plain)
        SSL_shutdown(bufferevent_openssl_get_ssl(c->bev));
    bufferevent_free(c->bev);
    free(c);
}

/* The request: its head, and the body that the head announces. */
static void on_read(struct bufferevent *bev, void *arg)
{
    struct fake_conn *c = arg;
    struct fake_server *s = c->l->s;
    struct evbuffer *in = bufferevent_get_input(bev);
    size_t n = evbuffer_get_length(in);
    if (c->asked || n >= sizeof s->last_head)
        return;
    evbuffer_copyout(in, s->last_head, n);
    s->last_head[n] = 0;
    const char *end = strstr(s->last_head, "\r\n\r\n");
    if (c->l->o.plain && n) {
        c->asked = true;
        fake_reply(c, 400, "Client sent an HTTP request to an HTTPS server.\n");
        return;
    }
    const char *length = strstr(s->last_head, "Content-Length: ");
    if (!end || (length && strlen(end + 4) < (size_t)atoi(length + 16)))
        return;
    c->asked = true;
    c->l->o.request(c, s->last_head);
}

static void on_written(struct bufferevent *bev, void *arg)
{
    struct fake_conn *c = arg;
    if (c->closing && !evbuffer_get_length(bufferevent_get_output(bev)))
        conn_free(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        conn_free(arg);
}

static void on_accept(void *arg, int fd, unsigned events)
{
    struct listener *l = arg;
    (void)events;
    int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0)
        return;
    struct fake_conn *c = calloc(1, sizeof *c);
    c->l = l;
    c->next = l->conns;
    l->conns = c;
    l->s->accepted++;
    l->s->open++;
    c->bev = l->o.plain ? bufferevent_socket_new(loop_base(l->s->loop), client, BEV_OPT_CLOSE_ON_FREE)
                        : bufferevent_openssl_socket_new(loop_base(l->s->loop), client, SSL_new(l->ctx),
                                                         BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

static void use_certificate(SSL_CTX *ctx, const struct fake_options *o)
{
    char *cert, *key;
    test_ca_sign(o->ca, o->names ? o->names : "IP:127.0.0.1,DNS:localhost", o->days ? o->days : 1, &cert,
                 &key);
    BIO *c = BIO_new_mem_buf(cert, -1), *k = BIO_new_mem_buf(key, -1);
    X509 *x = PEM_read_bio_X509(c, NULL, NULL, NULL);
    EVP_PKEY *p = PEM_read_bio_PrivateKey(k, NULL, NULL, NULL);
    CU_ASSERT_FATAL(SSL_CTX_use_certificate(ctx, x) == 1 && SSL_CTX_use_PrivateKey(ctx, p) == 1);
    X509_free(x);
    EVP_PKEY_free(p);
    BIO_free(c);
    BIO_free(k);
    free(cert);
    free(key);
}

static SSL_CTX *new_context(const struct fake_options *o)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    use_certificate(ctx, o);
    if (o->tls12)
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    if (o->tls11) {
        SSL_CTX_set_security_level(ctx, 0);
        SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
    }
    if (o->clients) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), o->clients->cert);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return ctx;
}

void fake_start(struct fake_server *s, struct loop *loop, const struct fake_options *o)
{
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *sa = o->ipv6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4;
    socklen_t len = o->ipv6 ? sizeof a6 : sizeof a4;
    struct listener *l = calloc(1, sizeof *l);
    a4.sin_port = htons(s->port);
    a6.sin6_port = htons(s->port); /* the same again, when it was here before */
    memset(s, 0, sizeof *s);
    s->loop = loop;
    s->private = l;
    l->s = s;
    l->o = *o;
    l->ctx = o->plain ? NULL : new_context(o);
    l->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    CU_ASSERT_FATAL(!bind(l->fd, sa, len) && !listen(l->fd, 64) && !getsockname(l->fd, sa, &len));
    s->port = ntohs(o->ipv6 ? a6.sin6_port : a4.sin_port);
    l->io = io_new(loop, l->fd, on_accept, l);
    io_want(l->io, IO_READ);
}

void fake_stop(struct fake_server *s)
{
    struct listener *l = s->private;
    if (!l)
        return;
    while (l->conns) {
        l->conns->notify = false;
        conn_free(l->conns);
    }
    io_free(l->io);
    close(l->fd);
    SSL_CTX_free(l->ctx);
    free(l);
    s->private = NULL;
}

void fake_deaf(struct fake_server *s, bool deaf)
{
    io_want(((struct listener *)s->private)->io, deaf ? 0 : IO_READ);
}

/* What it says */

struct fake_server *fake_server_of(struct fake_conn *c)
{
    return c->l->s;
}

struct fake_conn *fake_last(struct fake_server *s)
{
    struct fake_conn *c = ((struct listener *)s->private)->conns;
    while (c && !c->asked)
        c = c->next;
    return c;
}

void fake_say(struct fake_conn *c, const char *text, size_t len)
{
    bufferevent_write(c->bev, text, len);
}

void fake_sayf(struct fake_conn *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    evbuffer_add_vprintf(bufferevent_get_output(c->bev), fmt, ap);
    va_end(ap);
}

static void end(struct fake_conn *c, bool notify)
{
    c->closing = true;
    c->notify = notify;
    if (!evbuffer_get_length(bufferevent_get_output(c->bev)))
        conn_free(c);
}

void fake_close(struct fake_conn *c)
{
    end(c, true);
}

void fake_cut(struct fake_conn *c)
{
    end(c, false);
}

void fake_reply(struct fake_conn *c, unsigned status, const char *body)
{
    fake_sayf(c, "HTTP/1.1 %u x\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status,
              strlen(body), body);
    fake_close(c);
}

void fake_chunked(struct fake_conn *c)
{
    fake_sayf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
}

void fake_chunk(struct fake_conn *c, const char *text)
{
    fake_sayf(c, "%zx\r\n%s\r\n", strlen(text), text);
}
