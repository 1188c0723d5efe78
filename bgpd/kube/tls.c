/* What a Go client accepts is accepted here, since that is what kubectl and kubelet are: any certificate of
 * the CA file is an anchor, be it the root or not; names are those of subjectAltName, never the common name.
 *
 * OpenSSL's calls that are macros are written out as what they stand for, because only functions can be
 * loaded (libs.h). */
#include "kube/tls.h"

#include <stdio.h>
#include <string.h>

#include "prefix.h"

static const unsigned char ALPN[] = "\x08http/1.1";

/* Certificates of a PEM text, one by one; whatever else is in it is skipped. */
static X509 *next_cert(const struct kube_libs *l, BIO *bio)
{
    X509 *x = l->PEM_read_bio_X509(bio, NULL, NULL, (void *)(uintptr_t) "");
    l->ERR_clear_error(); /* the end of the text is an error as well */
    return x;
}

static bool add_anchors(const struct kube_libs *l, SSL_CTX *ctx, const char *pem)
{
    BIO *bio = l->BIO_new_mem_buf(pem, -1);
    unsigned n = 0;
    for (X509 *x; bio && (x = next_cert(l, bio)); n++) {
        l->X509_STORE_add_cert(l->SSL_CTX_get_cert_store(ctx), x);
        l->X509_free(x);
    }
    l->BIO_free(bio);
    return n > 0;
}

/* The first is ours, the others lead to the CA. */
static bool use_cert(const struct kube_libs *l, SSL_CTX *ctx, const char *pem)
{
    BIO *bio = l->BIO_new_mem_buf(pem, -1);
    unsigned n = 0;
    bool ok = true;
    for (X509 *x; bio && ok && (x = next_cert(l, bio)); n++) {
        ok = n ? l->SSL_CTX_ctrl(ctx, SSL_CTRL_CHAIN_CERT, 1, x) == 1
               : l->SSL_CTX_use_certificate(ctx, x) == 1;
        l->X509_free(x);
    }
    l->BIO_free(bio);
    return ok && n;
}

static EVP_PKEY *read_key(const struct kube_libs *l, const char *pem)
{
    BIO *bio = pem ? l->BIO_new_mem_buf(pem, -1) : NULL;
    /* An empty password: nobody is asked for one on the terminal. */
    EVP_PKEY *key = bio ? l->PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) "") : NULL;
    l->BIO_free(bio);
    return key;
}

/* Verification. The certificate of a handshake that fails is not to be had afterwards, so what it is for is
 * written down here. */

static void add_name(struct tls_names *names, const char *name, size_t len)
{
    size_t n = strlen(names->text);
    if (n + len + 6 > sizeof names->text) {
        if (n && names->text[n - 1] != '.')
            memcpy(names->text + n, " ...", sizeof " ...");
        return;
    }
    n += (size_t)sprintf(names->text + n, "%s%.*s", n ? ", " : "", (int)len, name);
    for (char *c = names->text; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            *c = '?'; /* whoever answers may write this */
}

static void collect_names(const struct kube_libs *l, const X509 *cert, struct tls_names *names)
{
    GENERAL_NAMES *all = l->X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    const OPENSSL_STACK *stack = (const OPENSSL_STACK *)all;
    for (int i = 0; all && i < l->OPENSSL_sk_num(stack); i++) {
        const GENERAL_NAME *g = l->OPENSSL_sk_value(stack, i);
        char addr[ADDR_STRLEN];
        if (g->type != GEN_DNS && g->type != GEN_IPADD)
            continue;
        const unsigned char *data = l->ASN1_STRING_get0_data(g->d.ia5);
        int len = l->ASN1_STRING_length(g->d.ia5);
        if (g->type == GEN_DNS) {
            add_name(names, (const char *)data, (size_t)len);
        } else if (len == 4 || len == 16) {
            struct ip_addr a = addr_from_bytes(len == 4 ? AF_INET : AF_INET6, data);
            addr_format(&a, addr);
            add_name(names, addr, strlen(addr));
        }
    }
    l->GENERAL_NAMES_free(all);
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
    const struct kube_libs *l = kube_libs_load(NULL);
    int error = l->X509_STORE_CTX_get_error(store);
    if (!ok && (error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH)) {
        const SSL *ssl = l->X509_STORE_CTX_get_ex_data(store, l->SSL_get_ex_data_X509_STORE_CTX_idx());
        struct tls_names *names = l->SSL_get_ex_data(ssl, 0);
        *names->text = 0;
        collect_names(l, l->X509_STORE_CTX_get0_cert(store), names);
    }
    return ok;
}

static const char *fill(const struct kube_libs *l, SSL_CTX *ctx, const char *ca, const char *cert,
                        const char *key)
{
    if (!add_anchors(l, ctx, ca))
        return "the CA has no PEM certificate";
    if (cert && !use_cert(l, ctx, cert))
        return "the client certificate is no PEM certificate, or too weak";
    EVP_PKEY *k = cert ? read_key(l, key) : NULL;
    if (cert && !k)
        return "the client key is no PEM private key without a password";
    bool fits = !k || l->SSL_CTX_use_PrivateKey(ctx, k) == 1;
    l->EVP_PKEY_free(k);
    return fits ? NULL : "the client key is not that of the client certificate";
}

SSL_CTX *tls_context_new(const struct kube_libs *l, const char *ca, const char *cert, const char *key,
                         const char **why)
{
    SSL_CTX *ctx = l->SSL_CTX_new(l->TLS_client_method());
    *why = NULL;
    if (!ctx)
        return NULL;
    l->SSL_CTX_ctrl(ctx, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
    l->SSL_CTX_ctrl(
        ctx, SSL_CTRL_MODE,
        SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS, NULL);
    l->SSL_CTX_ctrl(ctx, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, NULL);
    l->SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_verify);
    l->X509_VERIFY_PARAM_set_flags(l->SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    l->SSL_CTX_set_alpn_protos(ctx, ALPN, sizeof ALPN - 1);
    *why = fill(l, ctx, ca, cert, key);
    l->ERR_clear_error();
    if (!*why)
        return ctx;
    l->SSL_CTX_free(ctx);
    return NULL;
}

SSL *tls_new(const struct kube_libs *l, SSL_CTX *ctx, int fd, const char *name, struct tls_names *names)
{
    struct ip_addr addr;
    SSL *ssl = l->SSL_new(ctx);
    if (!ssl)
        return NULL;
    bool ok = l->SSL_set_fd(ssl, fd) == 1 && l->SSL_set_ex_data(ssl, 0, names) == 1;
    if (!addr_parse(name, &addr)) {
        ok = ok && l->X509_VERIFY_PARAM_set1_ip_asc(l->SSL_get0_param(ssl), name) == 1;
    } else {
        l->SSL_set_hostflags(ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        ok = ok && l->SSL_set1_host(ssl, name) == 1 &&
             l->SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                         (void *)(uintptr_t)name) == 1;
    }
    if (ok)
        return ssl;
    l->SSL_free(ssl);
    return NULL;
}

static void cert_why(const struct kube_libs *l, const SSL *ssl, const char *name, const char *ca, char *buf,
                     size_t size)
{
    long verify = l->SSL_get_verify_result(ssl);
    const struct tls_names *names = l->SSL_get_ex_data(ssl, 0);
    switch (verify) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        snprintf(buf, size, "certificate is not for %s, only for %s", name,
                 *names->text ? names->text : "no name at all");
        return;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        snprintf(buf, size, "certificate is not signed by %s", ca);
        return;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        snprintf(buf, size,
                 "certificate, or that of its CA, has expired, or the clock of this node is wrong");
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        snprintf(buf, size, "certificate is not valid yet, or the clock of this node is wrong");
        return;
    default:
        snprintf(buf, size, "certificate: %s", l->X509_verify_cert_error_string(verify));
    }
}

void tls_why(const struct kube_libs *l, const SSL *ssl, const char *name, const char *ca, bool have_cert,
             char *buf, size_t size)
{
    unsigned long e = l->ERR_peek_error();
    const char *reason = l->ERR_reason_error_string(e);
    switch (ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        cert_why(l, ssl, name, ca, buf, size);
        break;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
        snprintf(buf, size, "does not speak TLS");
        break;
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
        snprintf(buf, size, "does not speak TLS 1.2 or newer");
        break;
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        snprintf(buf, size, "demands a client certificate");
        break;
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        snprintf(buf, size, "ends the TLS handshake%s",
                 have_cert ? "" : "; perhaps it demands a client certificate");
        break;
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        snprintf(buf, size, "refuses %s: %s",
                 have_cert ? "our client certificate" : "to go on without a client certificate", reason);
        break;
    default:
        snprintf(buf, size, "TLS: %s", reason ? reason : "failed");
    }
    l->ERR_clear_error();
}
