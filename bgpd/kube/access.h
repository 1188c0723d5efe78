/* How the API server is reached and who we are to it: a kubeconfig, or the service account of the pod. Only
 * what a kubeconfig says in data is taken: it never makes us run a program, and TLS is always verified. */
#ifndef UNDERLAY_KUBE_ACCESS_H
#define UNDERLAY_KUBE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "prefix.h"

struct config_files;

/* Text that is written where it is used, or is a file's: read anew for every connection, since tokens and
 * certificates are rotated. At most one of the two; both NULL: none. */
struct kube_secret {
    char *file;
    char *text; /* PEM, or the token; secret */
};
struct kube_access {
    char **servers; /* "https://HOST[:PORT]", tried in turn */
    unsigned n_servers;
    char *tls_server_name;        /* what the certificate must be for; NULL: the host of the server */
    struct kube_secret ca;        /* always there */
    struct kube_secret cert, key; /* both or none */
    struct kube_secret token;     /* none with a client certificate */
};

#define KUBE_ACCESS_MAX_BYTES (1u << 20) /* a kubeconfig, or a file that it names */

/* servers, n: instead of the one that is found; NULL, 0: that. path NULL: in the cluster, from the
 * environment (KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT) and the directory of the service account,
 * whose files need not be there yet. Else the kubeconfig: its current context; files that it names are
 * relative to its directory, and every one is asked for through files->read once, so that the caller learns
 * the paths. 0, -ENOMEM, or -EINVAL with *why (the caller frees it), one line: what is wrong, and what would
 * be right. exec credentials, auth providers, user names with passwords, proxies and insecure-skip-tls-verify
 * are refused by name. */
int kube_access_load(const char *path, char *const *servers, unsigned n, const struct config_files *files,
                     struct kube_access *out, char **why);
void kube_access_reset(struct kube_access *a);                              /* wipes; zeroed is empty */
int kube_access_copy(struct kube_access *out, const struct kube_access *a); /* 0 or -ENOMEM (out is empty) */
bool kube_access_equal(const struct kube_access *a, const struct kube_access *b);
/* Whether text is a server as above; else *why says what is wrong with it. */
bool kube_server_valid(const char *text, const char **why);
/* The same, and its parts. */
struct kube_server {
    char host[254];      /* without brackets */
    struct ip_addr addr; /* af 0: host is a name */
    uint16_t port;
};
bool kube_server_parse(const char *text, struct kube_server *out, const char **why);

#endif
