/* The functions of OpenSSL and of libevent's resolver that the client calls, loaded when they are needed: a
 * node without Kubernetes does not map them. The types are those of the libraries' own headers. */
#ifndef UNDERLAY_KUBE_LIBS_H
#define UNDERLAY_KUBE_LIBS_H

#include <event2/dns.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* libssl.so.3, and libcrypto.so.3 that comes with it */
#define KUBE_LIBS_SSL(X)                                                                                     \
    X(ASN1_STRING_get0_data)                                                                                 \
    X(ASN1_STRING_length)                                                                                    \
    X(BIO_free)                                                                                              \
    X(BIO_new_mem_buf)                                                                                       \
    X(ERR_clear_error)                                                                                       \
    X(ERR_peek_error)                                                                                        \
    X(ERR_reason_error_string)                                                                               \
    X(EVP_PKEY_free)                                                                                         \
    X(GENERAL_NAMES_free)                                                                                    \
    X(OPENSSL_sk_num)                                                                                        \
    X(OPENSSL_sk_value)                                                                                      \
    X(PEM_read_bio_PrivateKey)                                                                               \
    X(PEM_read_bio_X509)                                                                                     \
    X(SSL_CTX_ctrl)                                                                                          \
    X(SSL_CTX_free)                                                                                          \
    X(SSL_CTX_get0_param)                                                                                    \
    X(SSL_CTX_get_cert_store)                                                                                \
    X(SSL_CTX_new)                                                                                           \
    X(SSL_CTX_set_alpn_protos)                                                                               \
    X(SSL_CTX_set_verify)                                                                                    \
    X(SSL_CTX_up_ref)                                                                                        \
    X(SSL_CTX_use_PrivateKey)                                                                                \
    X(SSL_CTX_use_certificate)                                                                               \
    X(SSL_connect)                                                                                           \
    X(SSL_ctrl)                                                                                              \
    X(SSL_free)                                                                                              \
    X(SSL_get0_param)                                                                                        \
    X(SSL_get_error)                                                                                         \
    X(SSL_get_ex_data)                                                                                       \
    X(SSL_get_ex_data_X509_STORE_CTX_idx)                                                                    \
    X(SSL_get_verify_result)                                                                                 \
    X(SSL_has_pending)                                                                                       \
    X(SSL_new)                                                                                               \
    X(SSL_read)                                                                                              \
    X(SSL_set1_host)                                                                                         \
    X(SSL_set_ex_data)                                                                                       \
    X(SSL_set_fd)                                                                                            \
    X(SSL_set_hostflags)                                                                                     \
    X(SSL_shutdown)                                                                                          \
    X(SSL_write)                                                                                             \
    X(TLS_client_method)                                                                                     \
    X(X509_STORE_CTX_get0_cert)                                                                              \
    X(X509_STORE_CTX_get_error)                                                                              \
    X(X509_STORE_CTX_get_ex_data)                                                                            \
    X(X509_STORE_add_cert)                                                                                   \
    X(X509_VERIFY_PARAM_set1_ip_asc)                                                                         \
    X(X509_VERIFY_PARAM_set_flags)                                                                           \
    X(X509_free)                                                                                             \
    X(X509_get_ext_d2i)                                                                                      \
    X(X509_verify_cert_error_string)

/* libevent_extra-2.1.so.7 */
#define KUBE_LIBS_DNS(X)                                                                                     \
    X(evdns_base_free)                                                                                       \
    X(evdns_base_new)                                                                                        \
    X(evdns_getaddrinfo)                                                                                     \
    X(evdns_getaddrinfo_cancel)                                                                              \
    X(evdns_set_log_fn)

struct kube_libs {
#define KUBE_LIBS_MEMBER(f) __typeof__(f) *f;
    KUBE_LIBS_SSL(KUBE_LIBS_MEMBER)
    KUBE_LIBS_DNS(KUBE_LIBS_MEMBER)
#undef KUBE_LIBS_MEMBER
};

/* The table, there for ever once it was there. NULL: *why (static; may be NULL) says what to install. */
const struct kube_libs *kube_libs_load(const char **why);

#endif
