/* What is known of the way to the API server, and the service account of a pod. kubeconfig.c reads the other
 * source of it.
 *
 * In a pod the address comes from the environment, as every client in Kubernetes takes it; the files of the
 * service account may come later than we do, so only their paths are told, and a file that is not there is an
 * error of the request. */
#include "kube/access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "kube/access_int.h"

#define ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

int access_fail(char **why, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(why, fmt, ap);
    va_end(ap);
    if (n < 0) {
        *why = NULL;
        return -ENOMEM;
    }
    for (char *c = *why; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?'; /* quoted from a file, and on its way to a terminal */
    return -EINVAL;
}

const char *access_read_error(int error)
{
    return error == -ENOKEY ? "was not named when the daemon started; restart it" : strerror(-error);
}

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static struct kube_secret *secrets_of(struct kube_access *a, unsigned i)
{
    struct kube_secret *all[] = {&a->ca, &a->cert, &a->key, &a->token, NULL};
    return all[i];
}

void kube_access_reset(struct kube_access *a)
{
    for (unsigned i = 0; i < a->n_servers; i++)
        free(a->servers[i]);
    free(a->servers);
    free(a->tls_server_name);
    struct kube_secret *s;
    for (unsigned i = 0; (s = secrets_of(a, i)); i++) {
        free(s->file);
        wipe(s->text);
    }
    *a = (struct kube_access){0};
}

static bool copy(char **out, const char *text)
{
    return !text || (*out = strdup(text));
}

int kube_access_copy(struct kube_access *out, const struct kube_access *a)
{
    struct kube_access from = *a; /* only to walk it */
    const struct kube_secret *s;
    *out = (struct kube_access){0};
    bool ok = copy(&out->tls_server_name, a->tls_server_name);
    out->servers = calloc(a->n_servers + 1, sizeof *out->servers);
    ok = ok && out->servers;
    for (unsigned i = 0; ok && i < a->n_servers; i++, out->n_servers++)
        ok = copy(&out->servers[i], a->servers[i]);
    for (unsigned i = 0; ok && (s = secrets_of(&from, i)); i++)
        ok = copy(&secrets_of(out, i)->file, s->file) && copy(&secrets_of(out, i)->text, s->text);
    if (ok)
        return 0;
    kube_access_reset(out);
    return -ENOMEM;
}

static bool same(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

bool kube_access_equal(const struct kube_access *a, const struct kube_access *b)
{
    struct kube_access x = *a, y = *b; /* only to walk them */
    const struct kube_secret *s;
    bool equal = a->n_servers == b->n_servers && same(a->tls_server_name, b->tls_server_name);
    for (unsigned i = 0; equal && i < a->n_servers; i++)
        equal = same(a->servers[i], b->servers[i]);
    for (unsigned i = 0; equal && (s = secrets_of(&x, i)); i++)
        equal = same(s->file, secrets_of(&y, i)->file) && same(s->text, secrets_of(&y, i)->text);
    return equal;
}

/* "https://HOST[:PORT]" */

static bool host_name_valid(const char *host)
{
    size_t label = 0;
    for (const char *p = host; *p; p++) {
        bool dot = *p == '.';
        bool ok = dot || *p == '-' || (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
                  (*p >= 'A' && *p <= 'Z');
        if (!ok || (dot && !label) || (*p == '-' && !label) || label == 63 + (size_t)dot)
            return false;
        label = dot ? 0 : label + 1;
    }
    return *host;
}

static bool port_valid(const char *text, uint16_t *port)
{
    unsigned n = 0;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9' || p - text > 4)
            return false;
        n = n * 10 + (unsigned)(*p - '0');
    }
    *port = (uint16_t)n;
    return n > 0 && n <= UINT16_MAX;
}

static const char *parse_server(const char *text, struct kube_server *out)
{
    if (!strncmp(text, "http://", 7))
        return "http:// would send the token in the clear; https://HOST[:PORT] is right";
    if (strncmp(text, "https://", 8))
        return "not of the form https://HOST[:PORT]";
    const char *host = text + 8, *end = host + strcspn(host, "/?#");
    if (*end && strcmp(end, "/"))
        return "a path after the host is not supported; https://HOST[:PORT] is right";
    bool bracket = *host == '[';
    const char *colon = memchr(host, ':', (size_t)(end - host));
    if (!bracket && colon && memchr(colon + 1, ':', (size_t)(end - colon) - 1))
        return "an IPv6 address is written in brackets: https://[ADDRESS]:PORT";
    const char *stop = bracket ? strchr(host, ']') : colon;
    if (!stop)
        stop = end;
    size_t len = (size_t)(stop - host) - bracket;
    if (stop > end || (bracket && *stop != ']') || len >= sizeof out->host)
        return "not of the form https://HOST[:PORT]";
    memcpy(out->host, host + bracket, len);
    out->host[len] = 0;
    stop += bracket;
    char port[8] = "443";
    if (stop < end) {
        if (*stop != ':' || end - stop < 2 || end - stop > 6)
            return *stop == ':' ? "the port is not a number from 1 to 65535"
                                : "not of the form https://HOST[:PORT]";
        memcpy(port, stop + 1, (size_t)(end - stop) - 1);
        port[end - stop - 1] = 0;
    }
    if (!port_valid(port, &out->port))
        return "the port is not a number from 1 to 65535";
    if (addr_parse(out->host, &out->addr))
        out->addr = (struct ip_addr){0};
    if (bracket != (out->addr.af == AF_INET6))
        return bracket ? "what is in brackets is not an IPv6 address"
                       : "an IPv6 address is written in brackets: https://[ADDRESS]:PORT";
    return out->addr.af || host_name_valid(out->host) ? NULL : "the host is neither a name nor an address";
}

bool kube_server_parse(const char *text, struct kube_server *out, const char **why)
{
    *why = parse_server(text, out);
    return !*why;
}

bool kube_server_valid(const char *text, const char **why)
{
    struct kube_server s;
    return kube_server_parse(text, &s, why);
}

/* The service account of a pod */

int access_add_server(struct kube_access *a, const char *server)
{
    char **grown = realloc(a->servers, (a->n_servers + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    a->servers = grown;
    if (!(grown[a->n_servers] = strdup(server)))
        return -ENOMEM;
    a->n_servers++;
    return 0;
}

/* The server that every pod is told. */
static int add_service(struct kube_access *out, char **why)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    const char *wrong;
    char server[400];
    if (!host || !*host)
        return access_fail(
            why,
            "not in a pod of Kubernetes: KUBERNETES_SERVICE_HOST is not set; name a kubeconfig, or servers");
    bool v6 = strchr(host, ':');
    snprintf(server, sizeof server, "https://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "",
             port && *port ? port : "443");
    if (!kube_server_valid(server, &wrong))
        return access_fail(why, "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: %s: %s", server, wrong);
    return access_add_server(out, server);
}

static int load_account(const struct config_files *files, struct kube_access *out)
{
    char byte;
    size_t len;
    if (!(out->ca.file = strdup(ACCOUNT_DIR "/ca.crt")) || !(out->token.file = strdup(ACCOUNT_DIR "/token")))
        return -ENOMEM;
    files->read(files->arg, out->ca.file, &byte, 1, &len); /* so that the caller knows of them */
    files->read(files->arg, out->token.file, &byte, 1, &len);
    explicit_bzero(&byte, 1);
    return 0;
}

static int set_servers(struct kube_access *a, char *const *servers, unsigned n)
{
    int rc = 0;
    for (unsigned i = 0; i < a->n_servers; i++)
        free(a->servers[i]);
    a->n_servers = 0;
    for (unsigned i = 0; !rc && i < n; i++)
        rc = servers[i] ? access_add_server(a, servers[i]) : 0;
    return rc;
}

int kube_access_load(const char *path, char *const *servers, unsigned n, const struct config_files *files,
                     struct kube_access *out, char **why)
{
    *out = (struct kube_access){0};
    *why = NULL;
    int rc = path ? kubeconfig_load(path, files, out, why) : load_account(files, out);
    if (!rc && n)
        rc = set_servers(out, servers, n);
    else if (!rc && !path)
        rc = add_service(out, why);
    if (rc)
        kube_access_reset(out);
    return rc;
}
