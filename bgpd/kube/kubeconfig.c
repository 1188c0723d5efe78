/* kubeconfig, the file that kubectl writes, as far as it is data: a server, a CA, and a client certificate or
 * a token, of the current context. The tree of positions is that of our own configuration, so an error names
 * line and column.
 *
 * Unknown keys are read over, since other clients put theirs there. But a key that changes what a client does
 * is refused if we would not do it: programs that make credentials, passwords, proxies, impersonation, and
 * whatever turns the check of the server's certificate off. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_int.h"
#include "kube/access_int.h"

struct reader {
    struct load ld;
    const char *path; /* of the kubeconfig */
    const struct config_files *files;
    struct kube_access *out;
};

struct refused {
    const char *key, *why;
};
static const struct refused refused_of_cluster[] = {
    {"insecure-skip-tls-verify",
     "the server is always verified; give certificate-authority, and tls-server-name if the name differs"},
    {"proxy-url", "proxies are not supported; name a server that this node reaches directly"},
};
static const struct refused refused_of_user[] = {
    {"exec", "no program is run for credentials; use client-certificate and client-key, or tokenFile"},
    {"auth-provider",
     "auth providers are not supported; use client-certificate and client-key, or tokenFile"},
    {"username", "passwords are not supported; use client-certificate and client-key, or tokenFile"},
    {"password", "passwords are not supported; use client-certificate and client-key, or tokenFile"},
    {"as", "impersonation is not supported; give this user the rights itself"},
    {"as-uid", "impersonation is not supported; give this user the rights itself"},
    {"as-groups", "impersonation is not supported; give this user the rights itself"},
    {"as-user-extra", "impersonation is not supported; give this user the rights itself"},
};

static bool given(const struct node *n)
{
    return n && !node_is_null(n) && !(n->kind == NODE_SCALAR && (!*n->text || !strcmp(n->text, "false"))) &&
           (n->kind == NODE_SCALAR || n->n);
}

static void refuse(struct reader *k, const struct node *map, const struct path *at,
                   const struct refused *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct node *v = node_find(map, rows[i].key);
        const struct path path = {.up = at, .name = rows[i].key};
        if (given(v))
            load_error(&k->ld, v, &path, "%s", rows[i].why);
    }
}

/* The text of a key; NULL when it is not given, or no text (reported). */
static const char *text_of(struct reader *k, const struct node *map, const struct path *at, const char *key)
{
    const struct node *v = node_find(map, key);
    const struct path path = {.up = at, .name = key};
    if (!given(v))
        return NULL;
    if (v->kind == NODE_SCALAR)
        return v->text;
    load_error(&k->ld, v, &path, "not a text");
    return NULL;
}

/* The `field` of the element of `list` that is named so. *at: room for its path. */
struct place {
    struct path list, index, field;
};
static const struct node *find_named(struct reader *k, const char *list, const char *field, const char *name,
                                     struct place *at)
{
    const struct node *all = node_find(k->ld.root, list);
    at->list = (struct path){.name = list};
    for (unsigned i = 0; all && all->kind == NODE_SEQ && i < all->n; i++) {
        const struct node *n = node_find(all->items[i], "name"), *v = node_find(all->items[i], field);
        if (!n || n->kind != NODE_SCALAR || strcmp(n->text, name))
            continue;
        at->index = (struct path){.up = &at->list, .index = i};
        at->field = (struct path){.up = &at->index, .name = field};
        if (v && v->kind == NODE_MAP)
            return v;
        load_error(&k->ld, v ? v : n, &at->field, "not a mapping");
        return NULL;
    }
    load_error(&k->ld, all, &at->list, "there is none with the name \"%.100s\"", name);
    return NULL;
}

/* Secrets */

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* RFC 4648 section 4, white space read over. NULL: it is not, or out of memory. */
static char *base64_decode(const char *in)
{
    char *out = malloc(strlen(in) / 4 * 3 + 4);
    size_t n = 0;
    unsigned bits = 0, digits = 0, pads = 0;
    bool ok = out != NULL;
    for (; ok && *in; in++) {
        int d = base64_digit(*in);
        if (strchr(" \t\r\n", *in))
            continue;
        ok = *in == '=' ? ++pads <= 2 : d >= 0 && !pads;
        bits = bits << 6 | (d < 0 ? 0 : (unsigned)d);
        if (++digits % 4 || !ok)
            continue;
        out[n++] = (char)(bits >> 16);
        out[n++] = (char)(bits >> 8);
        out[n++] = (char)bits;
    }
    ok = ok && digits % 4 == 0;
    if (ok) {
        out[n - (n ? pads : 0)] = 0;
        ok = n && strlen(out) == n - pads;
    }
    if (ok)
        return out;
    free(out);
    return NULL;
}

static const char *cert_wrong(const char *text)
{
    return strstr(text, "-----BEGIN CERTIFICATE-----") ? NULL : "no PEM certificate is in it";
}

static const char *key_wrong(const char *text)
{
    if (strstr(text, "ENCRYPTED"))
        return "the key has a password; one without is needed";
    return strstr(text, "PRIVATE KEY-----") ? NULL : "no PEM private key is in it";
}

static const char *token_wrong(const char *text)
{
    size_t n = strspn(text, " \t\r\n"), len = strcspn(text + n, " \t\r\n");
    for (const char *p = text + n; p < text + n + len; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
            return "not a token";
    if (!len)
        return "the token is empty";
    return text[n + len + strspn(text + n + len, " \t\r\n")] ? "more than one token is in it" : NULL;
}

/* The file is read once to see that it will do; what counts is what is in it when a connection is made. */
static void check_file(struct reader *k, const struct node *v, const struct path *at, const char *file,
                       const char *(*wrong)(const char *text))
{
    char *text = malloc(KUBE_ACCESS_MAX_BYTES + 1);
    size_t len = 0;
    if (!text) {
        k->ld.oom = true;
        return;
    }
    int error = k->files->read(k->files->arg, file, text, KUBE_ACCESS_MAX_BYTES, &len);
    if (error) {
        load_error(&k->ld, v, at, "%s: %s", file, access_read_error(error));
    } else if (len >= KUBE_ACCESS_MAX_BYTES) {
        load_error(&k->ld, v, at, "%s: larger than 1 MiB", file);
        len = KUBE_ACCESS_MAX_BYTES;
    } else {
        text[len] = 0;
        const char *why = wrong(text);
        if (why)
            load_error(&k->ld, v, at, "%s: %s", file, why);
    }
    explicit_bzero(text, len);
    free(text);
}

static char *absolute(const struct reader *k, const char *file)
{
    const char *slash = strrchr(k->path, '/');
    char *out;
    if (*file == '/' || !slash)
        return strdup(file);
    return asprintf(&out, "%.*s/%s", (int)(slash - k->path), k->path, file) < 0 ? NULL : out;
}

/* KEY names a file, KEY-data is its contents in base64 and goes before it. */
static void read_secret(struct reader *k, const struct node *map, const struct path *at, const char *key,
                        const char *(*wrong)(const char *text), struct kube_secret *out)
{
    char data_key[64];
    snprintf(data_key, sizeof data_key, "%s-data", key);
    const char *data = text_of(k, map, at, data_key), *file = text_of(k, map, at, key), *why;
    const struct path data_path = {.up = at, .name = data_key}, path = {.up = at, .name = key};
    if (data) {
        out->text = base64_decode(data);
        if (!out->text)
            load_error(&k->ld, node_find(map, data_key), &data_path, "not base64 of a text");
        else if ((why = wrong(out->text)))
            load_error(&k->ld, node_find(map, data_key), &data_path, "%s", why);
    } else if (file) {
        out->file = absolute(k, file);
        if (out->file)
            check_file(k, node_find(map, key), &path, out->file, wrong);
        else
            k->ld.oom = true;
    }
}

static bool has(const struct kube_secret *s)
{
    return s->file || s->text;
}

/* The three parts */

static void read_cluster(struct reader *k, const char *name)
{
    struct place at;
    struct kube_access *a = k->out;
    const struct node *map = find_named(k, "clusters", "cluster", name, &at);
    if (!map)
        return;
    refuse(k, map, &at.field, refused_of_cluster, sizeof refused_of_cluster / sizeof *refused_of_cluster);
    const char *server = text_of(k, map, &at.field, "server"), *why;
    const char *tls_name = text_of(k, map, &at.field, "tls-server-name");
    const struct path path = {.up = &at.field, .name = "server"};
    if (!server)
        load_error(&k->ld, map, &path, "missing; https://HOST:PORT of the API server");
    else if (!kube_server_valid(server, &why))
        load_error(&k->ld, node_find(map, "server"), &path, "%.300s: %s", server, why);
    else if (access_add_server(a, server))
        k->ld.oom = true;
    if (tls_name && !(a->tls_server_name = strdup(tls_name)))
        k->ld.oom = true;
    read_secret(k, map, &at.field, "certificate-authority", cert_wrong, &a->ca);
    if (!has(&a->ca) && !k->ld.failed)
        load_error(
            &k->ld, map, &at.field,
            "certificate-authority or certificate-authority-data is missing; for a server with a public "
            "certificate it is /etc/ssl/certs/ca-certificates.crt");
}

static void read_token(struct reader *k, const struct node *map, const struct path *at)
{
    struct kube_secret *out = &k->out->token;
    const char *text = text_of(k, map, at, "token"), *why;
    const struct path path = {.up = at, .name = "token"};
    read_secret(k, map, at, "tokenFile", token_wrong, out);
    if (has(out) || !text)
        return;
    if ((why = token_wrong(text)))
        load_error(&k->ld, node_find(map, "token"), &path, "%s", why);
    else if (!(out->text = strdup(text)))
        k->ld.oom = true;
}

static void read_user(struct reader *k, const char *name)
{
    struct place at;
    struct kube_access *a = k->out;
    const struct node *map = find_named(k, "users", "user", name, &at);
    if (!map)
        return;
    refuse(k, map, &at.field, refused_of_user, sizeof refused_of_user / sizeof *refused_of_user);
    read_secret(k, map, &at.field, "client-certificate", cert_wrong, &a->cert);
    read_secret(k, map, &at.field, "client-key", key_wrong, &a->key);
    if (has(&a->cert) != has(&a->key))
        load_error(&k->ld, map, &at.field, "client-certificate and client-key go together; %s is missing",
                   has(&a->key) ? "client-certificate" : "client-key");
    if (has(&a->cert))
        return; /* the server looks at the certificate first */
    read_token(k, map, &at.field);
    if (!has(&a->token) && !k->ld.failed)
        load_error(&k->ld, map, &at.field,
                   "no credentials; client-certificate and client-key, tokenFile, or token");
}

static void read_root(struct reader *k)
{
    const struct path current = {.name = "current-context"};
    struct place at;
    if (!k->ld.root || k->ld.root->kind != NODE_MAP) {
        load_error(&k->ld, NULL, NULL, "not a kubeconfig: no mapping of keys");
        return;
    }
    const char *context = text_of(k, k->ld.root, NULL, "current-context");
    if (!context && k->ld.failed)
        return;
    if (!context) {
        load_error(&k->ld, NULL, &current, "missing; kubectl config use-context NAME sets it");
        return;
    }
    const struct node *map = find_named(k, "contexts", "context", context, &at);
    if (!map)
        return;
    const char *cluster = text_of(k, map, &at.field, "cluster"), *user = text_of(k, map, &at.field, "user");
    if (!cluster)
        load_error(&k->ld, map, &at.field, "cluster is missing");
    else
        read_cluster(k, cluster);
    if (!user)
        load_error(&k->ld, map, &at.field, "user is missing");
    else
        read_user(k, user);
}

static int parse(struct reader *k, const char *text, size_t len)
{
    struct tree tree;
    int rc = tree_parse(&k->ld, text, len, &tree);
    if (!rc) {
        k->ld.root = tree.root;
        read_root(k);
        k->ld.root = NULL;
    }
    tree_free(&tree);
    return k->ld.oom ? -ENOMEM : rc ? rc : k->ld.failed ? -EINVAL : 0;
}

int kubeconfig_load(const char *path, const struct config_files *files, struct kube_access *out, char **why)
{
    struct config_errors errors = {0};
    struct reader k = {.ld = {.name = path, .errors = &errors}, .path = path, .files = files, .out = out};
    char *text = malloc(KUBE_ACCESS_MAX_BYTES + 1);
    size_t len = 0;
    if (!text)
        return -ENOMEM;
    int rc = files->read(files->arg, path, text, KUBE_ACCESS_MAX_BYTES, &len);
    if (rc) {
        rc = access_fail(why, "%s: %s", path, access_read_error(rc));
    } else if (len >= KUBE_ACCESS_MAX_BYTES) {
        len = KUBE_ACCESS_MAX_BYTES;
        rc = access_fail(why, "%s: larger than 1 MiB; that is no kubeconfig", path);
    } else {
        rc = parse(&k, text, len);
        if (rc == -EINVAL)
            rc = access_fail(why, "%s", errors.n ? errors.list[0].text : path);
    }
    explicit_bzero(text, len);
    free(text);
    config_errors_reset(&errors);
    return rc;
}
