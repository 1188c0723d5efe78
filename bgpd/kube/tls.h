/* TLS towards the API server: 1.2 or newer, verified against the cluster's CA and nothing else, for a host
 * name or an address. */
#ifndef UNDERLAY_KUBE_TLS_H
#define UNDERLAY_KUBE_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "kube/libs.h"

/* PEM; cert and key NULL: no client certificate. NULL with *why (static; NULL when out of memory). */
SSL_CTX *tls_context_new(const struct kube_libs *l, const char *ca, const char *cert, const char *key,
                         const char **why);
/* What a certificate that is for others is for: "a, b, 10.0.0.1". */
struct tls_names {
    char text[160];
};
/* Of a connected socket, not owned. name: what the certificate must be for, a host name or an address. names
 * lives as long as the SSL. NULL: out of memory. */
SSL *tls_new(const struct kube_libs *l, SSL_CTX *ctx, int fd, const char *name, struct tls_names *names);
/* Why an operation on it failed, right after it did, as a clause about the server: "certificate is not signed
 * by the CA of the kubeconfig". ca: which CA, in words. */
void tls_why(const struct kube_libs *l, const SSL *ssl, const char *name, const char *ca, bool have_cert,
             char *buf, size_t size);

#endif
